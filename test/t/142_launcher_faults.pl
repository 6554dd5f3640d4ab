# The launcher and its schedulers against what happens to servers: extensions and databases that come and
# go, processes that are killed, a standby that is promoted, roles that are dropped, a thousand syncs.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', <<'END');
shared_preload_libraries = 'censync'
censync.allowed_hosts = '127.0.0.0/8'
censync.jitter = 0
fsync = off
log_statement = none
restart_after_crash = on
max_worker_processes = 12
END
$node->start;

test_extension();
test_databases();
test_drop_database();
test_drop_role();
test_dump();
test_standby();
test_killed();
test_immediate();
test_disabled();
test_many();

$node->stop;
done_testing();

sub sql
{
	my ($sql, $dbname) = @_;
	return $node->safe_psql($dbname // 'postgres', $sql);
}

sub wait_sql
{
	my ($sql, $dbname, $timeout) = @_;
	return wait_for($node, $sql, $timeout // 30, $dbname);
}

sub schedulers
{
	return q{SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_stat_activity WHERE backend_type = 'censync scheduler'};
}

sub prepare
{
	my ($dbname, $schedule) = @_;
	sql(q{CREATE EXTENSION censync; CREATE TABLE t (id int PRIMARY KEY)}, $dbname);
	sql(sprintf(q{SELECT censync_create_sync('s', 't', 'upsert', query => 'SELECT 1 AS id', schedule => %s)}, sql_literal($schedule // '1 second')), $dbname);
	return;
}

sub runs_again
{
	my ($dbname, $what) = @_;
	my $last = sql(q{SELECT coalesce(max(run_id), 0) FROM censync.runs}, $dbname);
	ok(wait_sql("SELECT count(*) > 0 FROM censync.runs WHERE run_id > $last AND status = 'completed' AND trigger = 'schedule'", $dbname), $what);
	return;
}

sub test_extension
{
	ok(wait_sql(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'censync launcher'}), 'the launcher is there');
	sleep 1;
	is(sql(schedulers()), '', 'and no scheduler without the extension');
	my $start = time;
	sql('CREATE EXTENSION censync');
	ok(wait_sql(schedulers() =~ s/SELECT (.*?\)) FROM/SELECT $1 = 'postgres' FROM/r), 'CREATE EXTENSION is noticed');
	cmp_ok(time - $start, '<', soon(3), 'promptly');
	sql('DROP EXTENSION censync');
	ok(wait_sql('SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = \'censync scheduler\''), 'so is DROP EXTENSION');
	prepare('postgres');
	runs_again('postgres', 'and a new one');
	$start = time;
	sql('DROP EXTENSION censync CASCADE; DROP TABLE t');
	cmp_ok(time - $start, '<', soon(3), 'DROP EXTENSION with a schedule that is kept waits for nobody');
	sleep 2;
	ok(wait_sql('SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type ~ \'censync (worker|scheduler)\''), 'nothing remains');
	return;
}

sub test_databases
{
	sql('CREATE DATABASE one');
	sql('CREATE DATABASE two');
	sql('CREATE DATABASE empty');
	prepare($_) foreach qw(one two);
	runs_again($_, "database $_") foreach qw(one two);
	sql('CREATE DATABASE template IS_TEMPLATE true');
	prepare('template', '1 hour');
	sql('CREATE DATABASE closed');
	prepare('closed', '1 hour');
	sleep 2;
	unlike(sql(schedulers()), qr/template/, 'none in a template database');
	sql('ALTER DATABASE closed ALLOW_CONNECTIONS false');
	$node->restart;
	runs_again($_, "database $_ after a restart") foreach qw(one two);
	is(sql(schedulers()), 'one,two', 'none in templates, closed databases and those without the extension');
	sql('CREATE DATABASE copy TEMPLATE one');
	is(sql(q{SELECT state FROM censync.syncs}, 'copy'), 'paused', 'what is copied is paused');
	runs_again('one', 'the original goes on after it was copied');
	sql(q{SELECT censync_resume('s')}, 'copy');
	runs_again('copy', 'and the copy, once it is resumed');
	return;
}

sub test_drop_database
{
	foreach my $dbname (qw(copy two))
	{
		my ($status, undef, $err);
		# Somebody may be running for a moment.
		sql(q{SELECT censync_schedule('s', '1 hour')}, $dbname);
		ok(wait_sql(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'censync worker'}), 'idle');
		my $start = time;
		($status, undef, $err) = $node->psql('postgres', $dbname eq 'two' ? 'ALTER DATABASE two RENAME TO renamed' : "DROP DATABASE $dbname");
		is($err, '', "$dbname: dropped or renamed");
		cmp_ok(time - $start, '<', soon(4), 'without waiting long');
	}
	sql(q{SELECT censync_schedule('s', '1 second')}, 'renamed');
	runs_again('renamed', 'a renamed one goes on');
	sql('DROP DATABASE renamed WITH (FORCE)');
	runs_again('one', 'and so do others');
	ok(!$node->log_contains(qr/PANIC|TRAP/), 'no panic');
	return;
}

sub test_drop_role
{
	sql(q{CREATE ROLE leaving; GRANT CREATE ON SCHEMA public TO leaving; CALL censync_admit('leaving', 'owner');
		CREATE TABLE of_leaving (id int PRIMARY KEY); GRANT ALL ON of_leaving TO leaving;
		SET ROLE leaving; SELECT censync_create_sync('leaving', 'of_leaving', 'upsert', query => 'SELECT 1 AS id', schedule => '1 second')}, 'one');
	ok(wait_sql(q{SELECT count(*) > 0 FROM censync.run_log WHERE sync = 'leaving' AND status = 'completed'}, 'one'), 'runs');
	sql('DROP OWNED BY leaving; DROP ROLE leaving', 'one');
	ok(wait_sql(q{SELECT count(*) > 0 FROM censync.run_log WHERE sync = 'leaving' AND status = 'failed' AND error_code = '42704' AND error_message ~ 'owner'}, 'one'),
		'without its owner, it fails and says why');
	runs_again('one', 'others go on');
	drop_scheduled('leaving');
	return;
}

# A sync that may be running when it is to go: its schedule does not wait for a test.
sub drop_scheduled
{
	my ($name) = @_;
	wait_sql("SELECT censync_drop_sync('$name')::text = ''", 'one');
	return;
}

# A dump has schedules; what is restored waits for censync_resume.
sub test_dump
{
	my $file = PostgreSQL::Test::Utils::tempdir('dump') . '/dump.sql';
	sql(q{SELECT censync_create_sync('follows', 't', 'upsert', query => 'SELECT 3 AS id', schedule => 'after s')}, 'one');
	$node->command_ok([ 'pg_dump', '-f', $file, '-d', $node->connstr('one') ], 'dumped');
	drop_scheduled('follows');
	sql('CREATE DATABASE restored');
	$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $file, '-d', $node->connstr('restored') ], 'restored');
	is(sql(q{SELECT string_agg(concat_ws(' ', name, state, schedule, next_run), ', ' ORDER BY name) FROM censync.syncs}, 'restored'),
		'follows paused after s, s paused 1 second', 'with their schedules, paused');
	my (undef, undef, $err) = $node->psql('restored', q{SELECT censync_schedule('s', '2 seconds')});
	like($err, qr/came here with a dump/, 'a schedule can\'t be given to it');
	sleep 2;
	is(sql('SELECT count(*) FROM censync.run_log', 'restored'), '0', 'nothing runs');
	sql(q{SELECT censync_resume('follows'); SELECT censync_resume('s')}, 'restored');
	runs_again('restored', 'until they are resumed');
	ok(wait_sql(q{SELECT count(*) > 0 FROM censync.runs WHERE sync = 'follows' AND trigger = 'after'}, 'restored'), 'one after the other');
	sql('DROP DATABASE restored WITH (FORCE)');
	return;
}

sub test_standby
{
	$node->backup('base');
	my $standby = PostgreSQL::Test::Cluster->new('standby');
	$standby->init_from_backup($node, 'base', has_streaming => 1);
	$standby->start;
	$node->wait_for_catchup($standby);
	sleep 2;
	is($standby->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'censync'}), '0', 'nothing runs on a standby');
	is($standby->safe_psql('one', q{SELECT count(*) > 0, bool_or(next_run IS NOT NULL) FROM censync.syncs}), 't|t', 'which shows the schedules');
	my ($status, undef, $err) = $standby->psql('one', q{SELECT censync_start('s')});
	like($err, qr/cannot execute censync_start\(\) during recovery/, 'and starts nothing');
	sql(q{SELECT censync_pause('s')}, 'one');
	sql(q{SELECT censync_create_sync('slow', 't', 'upsert', query => 'SELECT 2 AS id FROM pg_sleep(100)')}, 'one');
	my $run = sql(q{SELECT censync_start('slow')}, 'one');
	wait_sql("SELECT status = 'running' FROM censync.run_log WHERE run_id = $run", 'one');
	sql(q{SELECT censync_resume('s')}, 'one');
	$node->wait_for_catchup($standby);
	$node->stop('immediate');
	$standby->promote;
	my $last = $standby->safe_psql('one', 'SELECT max(run_id) FROM censync.run_log');
	ok(wait_for($standby, "SELECT count(*) > 0 FROM censync.runs WHERE sync = 's' AND status = 'completed' AND run_id > $last", 30, 'one'),
		'after the promotion everything does, without a restart');
	is($standby->safe_psql('one', "SELECT status FROM censync.run_log WHERE run_id = $run"), 'crashed', 'and what ran on the old primary is closed');
	$standby->stop;
	$node->start;
	ok(wait_sql("SELECT status = 'crashed' FROM censync.run_log WHERE run_id = $run", 'one'), 'there, too');
	sql(q{SELECT censync_drop_sync('slow')}, 'one');
	return;
}

sub test_killed
{
	foreach my $type ('censync launcher', 'censync scheduler', 'censync worker')
	{
		sql(q{SELECT censync_create_sync('slow', 't', 'upsert', query => 'SELECT 2 AS id FROM pg_sleep(100)')}, 'one');
		my $run = sql(q{SELECT censync_start('slow')}, 'one');
		wait_sql("SELECT status = 'running' FROM censync.run_log WHERE run_id = $run", 'one');
		my $pid = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = '$type' ORDER BY backend_start LIMIT 1");
		kill 'KILL', $pid;
		sleep 0.5;
		ok(wait_sql("SELECT status = 'crashed' FROM censync.run_log WHERE run_id = $run", 'one'), "SIGKILL of a $type: the run that went on is closed");
		is(sql("SELECT error_code FROM censync.runs WHERE run_id = $run", 'one'), '58000', 'with its reason');
		sql(q{SELECT censync_drop_sync('slow')}, 'one');
		runs_again('one', 'and schedules are kept');
	}
	# These end in good order.
	foreach my $type ('censync launcher', 'censync scheduler')
	{
		my $pid = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = '$type' ORDER BY backend_start LIMIT 1");
		sql("SELECT pg_terminate_backend($pid)");
		ok(wait_sql("SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = '$type' AND pid <> $pid"), "another $type comes");
		runs_again('one', 'and schedules are kept');
	}
	return;
}

sub test_immediate
{
	sql(q{SELECT censync_create_sync('slow', 't', 'upsert', query => 'SELECT 2 AS id FROM pg_sleep(100)')}, 'one');
	my $run = sql(q{SELECT censync_start('slow')}, 'one');
	wait_sql("SELECT status = 'running' FROM censync.run_log WHERE run_id = $run", 'one');
	$node->stop('immediate');
	$node->start;
	ok(wait_sql("SELECT status = 'crashed' FROM censync.run_log WHERE run_id = $run", 'one'), 'immediate shutdown: the run is closed');
	runs_again('one', 'and schedules are kept');
	sql(q{SELECT censync_drop_sync('slow')}, 'one');
	is(sql(q{SELECT count(*) FROM censync.run_log r WHERE status = 'running' AND censync.is_lost(run_id, sync_id)}, 'one'), '0', 'no run is called running that is not');
	return;
}

sub test_disabled
{
	$node->append_conf('postgresql.conf', 'censync.launcher = off');
	$node->restart;
	sleep 1;
	is(sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'censync'}), '0', 'censync.launcher = off');
	my (undef, undef, $err) = $node->psql('one', q{SELECT censync_schedule('s', '2 hours')});
	like($err, qr/nothing that could keep the schedule.*shared_preload_libraries = 'censync'.*pg_cron.*0 \*\/2 \* \* \*  psql -X -q -d one -U \S+ -c "CALL censync_sync\('s'\)"/s,
		'a schedule is refused, with the ways out');
	$node->append_conf('postgresql.conf', 'censync.launcher = on');
	$node->restart;
	runs_again('one', 'on again');
	return;
}

# What a thousand syncs cost that have nothing to do; and that they are all run when they are due.
sub test_many
{
	sql(q{SELECT censync_unschedule('s')}, 'one');
	sql(q{SELECT censync_create_sync('m' || g, 't', 'upsert', query => 'SELECT 1 AS id', schedule => '0 0 1 1 *') FROM generate_series(1, 1000) g}, 'one');
	sleep 3;
	ok(wait_sql(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'censync worker'}, 'one'), 'idle');
	sql('CHECKPOINT', 'one');
	my @pids = split /\n/, sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type ~ 'censync'});
	my $lsn = sql('SELECT pg_current_wal_insert_lsn()');
	my ($ticks, $start) = (ticks(@pids), time);
	sleep 20;
	my $share = (ticks(@pids) - $ticks) / 100 / (time - $start);
	diag sprintf 'launcher and scheduler with 1,000 syncs: %.3f %% of a core', 100 * $share;
	cmp_ok($share, '<', 0.005, 'an idle launcher costs little');
	# The server itself notes running transactions now and then.
	cmp_ok(sql("SELECT pg_current_wal_insert_lsn() - '$lsn'::pg_lsn"), '<', 500, 'and writes nothing');
	# As many as can be in a few seconds.
	$start = time;
	sql(q{SELECT count(censync_schedule(name, '1 hour')) FROM censync.syncs WHERE name ~ '^m'}, 'one');
	ok(wait_sql(q{SELECT count(DISTINCT sync) = 1000 FROM censync.runs WHERE sync ~ '^m' AND status = 'completed'}, 'one', 200), 'a thousand runs');
	my $each = (time - $start);
	diag sprintf 'a run of a thousand: %.1f ms', $each;
	is(sql(q{SELECT count(*) FROM censync.runs WHERE sync ~ '^m'}, 'one'), '1000', 'one of each');
	return;
}

sub ticks
{
	my $sum = 0;
	foreach my $pid (@_)
	{
		open(my $file, '<', "/proc/$pid/stat") or next;
		my @fields = split ' ', <$file> =~ s/^.*\) //r;
		$sum += $fields[11] + $fields[12];
	}
	return $sum;
}
