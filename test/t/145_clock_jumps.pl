# Somebody sets the machine's time, forward and back: the launcher, its schedulers, webhooks and waits go on.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncTest;
use Fcntl qw(O_RDWR O_CREAT);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $dir     = PostgreSQL::Test::Utils::tempdir('jump');
my $library = "$dir/jump.so";
my $file    = "$dir/offset";
my $day     = 86400;

system('gcc', '-O2', '-shared', '-fPIC', '-o', $library, "$FindBin::RealBin/../clock/jump.c") == 0 or BAIL_OUT('jump.c does not compile');
jump(0);

my $node = new_node('main', <<'END');
shared_preload_libraries = 'censync'
censync.jitter = 0
fsync = off
log_statement = none
max_worker_processes = 20
END
$node->stop;
{
	local $ENV{LD_PRELOAD} = $library;
	local $ENV{CENSYNC_TEST_JUMP} = $file;
	$node->start;
}
my $http = start_http();
sql(q{CREATE TABLE t (id int PRIMARY KEY);
	SELECT censync_create_sync('tick', 't', 'upsert', query => 'SELECT 1 AS id', schedule => '2 seconds');
	SELECT censync_create_sync('hourly', 't', 'upsert', query => 'SELECT 2 AS id', schedule => '1 hour');
	SELECT censync_create_sync('manual', 't', 'upsert', query => 'SELECT 3 AS id')});
create_server($node, 'src', $http, mapping => {});
create_server($node, 'hook', $http, type => 'webhook', path => '/hook/jump?status=503&times=1', mapping => {});
sql(q{SELECT censync_create_sync('retries', 't', 'upsert', server => 'src', object => '/bad/503', mappings => '{"id": "id"}')});
ok(wait_for($node, q{SELECT count(DISTINCT sync) = 2 FROM censync.runs WHERE status = 'completed'}), 'before: schedules are kept');
my $n = 0;
foreach my $offset (-$day, 0, 30 * $day, -30 * $day)
{
	my $before = sql('SELECT max(run_id) FROM censync.runs');
	my $retries = sql(q{SELECT censync_start('retries')});
	wait_for($node, "SELECT status = 'running' FROM censync.runs WHERE run_id = $retries");
	jump($offset);
	my $start = time;
	my $run = sql(q{SELECT censync_start('manual')});
	is(sql("SELECT status FROM censync_wait($run, '20 s')"), 'completed', "$offset: one who waits");
	goes_on($offset, $before);
	# A database that is new.
	$n++;
	sql("CREATE DATABASE new$n");
	$node->safe_psql("new$n", 'CREATE EXTENSION censync');
	ok(wait_for($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'censync scheduler' AND datname = 'new$n'"), "$offset: the launcher hears of a new database");
	ok(wait_for($node, "SELECT status = 'failed' FROM censync.runs WHERE run_id = $retries", 60), "$offset: a run that waits to ask again");
	cmp_ok(time - $start, '<', 60, "$offset: all of it in time");
}
$node->stop;
done_testing();

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub jump
{
	my ($offset) = @_;
	# In place: the servers have it mapped.
	sysopen(my $out, $file, O_RDWR | O_CREAT) or die "$file: $!";
	syswrite $out, pack('q', $offset);
	close $out;
	return;
}

sub goes_on
{
	my ($offset, $before) = @_;
	ok(wait_for($node, "SELECT count(*) >= 3 FROM censync.runs WHERE run_id > $before AND sync = 'tick' AND status = 'completed'", 30), "$offset: schedules are kept");
	cmp_ok(sql("SELECT count(*) FROM censync.runs WHERE run_id > $before AND sync = 'hourly'"), '<=', 1, "$offset: what was passed over is made up for once");
	my $run = sql("SELECT min(run_id) FROM censync.runs WHERE run_id > $before AND sync = 'tick'");
	ok(wait_for($node, qq{SELECT count(*) = 4 FROM censync.outbox WHERE body ~ '"run_id": $run,' AND status = 'delivered'}, 60), "$offset: webhooks are told");
	is(sql("SELECT count(*) FROM censync.runs WHERE run_id > $before AND sync <> 'retries' AND status NOT IN ('completed', 'running', 'queued')"), '0', "$offset: no run has failed");
	return;
}
