# pg_upgrade: while it works nothing runs; after it everything is there, paused, and goes on from where it was.
#
# From this major to itself, which all of it can be seen by; another installation to come from can be named in
# CENSYNC_OLD_INSTALL, with the extension installed in it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use CensyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# The launcher is there in both, as it is with those who have it in their configuration.
my $conf = <<'END';
shared_preload_libraries = 'censync'
censync.allowed_hosts = '127.0.0.0/8'
log_statement = none
END
my $http = start_http();
my $old  = PostgreSQL::Test::Cluster->new('old', install_path => $ENV{CENSYNC_OLD_INSTALL});
my $new  = PostgreSQL::Test::Cluster->new('new');

# What has to be the same before and after.
my %kept = (
	definitions => q{SELECT name, owner_name, destination_oid::regclass, destination_name, behavior, sync_key, mappings, options, settings, schedule, scheduler, paused FROM censync.sync_definition},
	parents => 'SELECT * FROM censync.sync_parent',
	runs => 'SELECT * FROM censync.runs',
	records => 'SELECT * FROM censync.records',
	alerts => 'SELECT * FROM censync.alerts',
	memory => 'SELECT * FROM censync.mirror_memory',
	fingerprints => 'SELECT * FROM censync.mirror_state',
	watermarks => 'SELECT * FROM censync.cursor_state',
	deliveries => 'SELECT * FROM censync.deliveries',
	destinations => q{SELECT 'mirrored' AS t, id, v FROM mirrored UNION ALL SELECT 'latest', id, v FROM latest UNION ALL SELECT 'ticking', id, v FROM ticking},
	grants => q{SELECT proname, proacl FROM pg_proc WHERE proname ~ '^censync_'},
);
my %before;

set_up();
test_copy();
stop_old();
test_upgrade();
test_paused();
test_deliveries();
test_resumed();

$new->stop;
done_testing();

sub sql { return $new->safe_psql('postgres', $_[0]) }

# The rows of a query, sorted.
sub rows
{
	my ($node, $query) = @_;
	return $node->safe_psql('postgres', "SET TimeZone = 'UTC'; SELECT t::text FROM ($query) t ORDER BY 1");
}

# A mirror with a memory and a bad record, a sync with a cursor, one with a schedule and one that follows it, one that was
# paused, a run that failed with its alert, and a webhook that has not heard of any of it yet.
sub set_up
{
	$old->init;
	$old->append_conf('postgresql.conf', $conf);
	$old->start;
	$old->safe_psql('postgres', <<'SQL');
CREATE EXTENSION censync;
CREATE ROLE filler;
CREATE ROLE etl LOGIN;
CALL censync_admit('etl', 'owner');
GRANT CREATE ON SCHEMA public TO etl;
SET ROLE etl;
CREATE TABLE mirrored (id int PRIMARY KEY, v text CHECK (v <> 'bad'));
CREATE TABLE latest (id int PRIMARY KEY, v text);
CREATE TABLE ticking (id int PRIMARY KEY, v text);
CREATE TABLE source AS SELECT id, CASE id WHEN 7 THEN 'bad' ELSE 'v' || id END AS v, timestamptz '2020-01-01' + id * interval '1 hour' AS changed
	FROM generate_series(1, 20) id;
INSERT INTO mirrored VALUES (100, 'somebody else''s');
SELECT censync_create_sync('mirrored', 'mirrored', 'mirror', object => 'source', sync_key => '{id}', mappings => '{"id": "id", "v": "v"}');
SELECT censync_create_sync('latest', 'latest', 'upsert', query => 'SELECT id, v, changed FROM source', options => '{"cursor_column": "changed"}',
	mappings => '{"id": "id", "v": "v"}');
SELECT censync_create_sync('resting', 'latest', 'upsert', object => 'source', mappings => '{"id": "id", "v": "v"}');
SELECT censync_pause('resting');
SELECT censync_create_sync('broken', 'latest', 'upsert', query => 'SELECT 1 / (random() > 2)::int AS id', options => '{"alert_failed": true}');
SELECT censync_create_sync('ticking', 'ticking', 'upsert', query => 'SELECT 1 AS id, clock_timestamp()::text AS v');
SELECT censync_create_sync('following', 'ticking', 'upsert', query => 'SELECT 2 AS id', schedule => 'after ticking');
RESET ROLE;
SQL
	is(run_sync($old, 'mirrored')->{status}, 'completed', 'a mirror');
	$old->safe_psql('postgres', 'DELETE FROM source WHERE id = 20');
	is(run_sync($old, 'mirrored')->{records_deleted}, 1, '... with a memory');
	is(run_sync($old, 'latest')->{records_read}, 19, 'a cursor');
	create_server($old, 'hook', $http, type => 'webhook', path => '/hook/deaf?status=503', mapping => {}, mapping_for => 'etl');
	$old->safe_psql('postgres', 'GRANT USAGE ON FOREIGN SERVER hook TO etl');
	is(run_sync($old, 'broken')->{status}, 'failed', 'a failure');
	$old->safe_psql('postgres', q{UPDATE censync.outbox SET next_attempt_at = now() WHERE status = 'pending'});
	$old->safe_psql('postgres', q{SELECT censync_schedule('ticking', '1 second')});
	ok(wait_for($old, q{SELECT count(*) > 1 FROM censync.runs WHERE sync = 'following' AND status = 'completed'}), 'a schedule and what follows it');
	return;
}

# A copy of the database has the same OIDs, and must tell nobody all the same.
sub test_copy
{
	# Its schedules do not stop for a copy, which needs a database without sessions.
	$old->stop;
	$old->append_conf('postgresql.conf', 'censync.launcher = off');
	$old->start;
	$old->safe_psql('postgres', q{UPDATE censync.outbox SET next_attempt_at = now(), holds = false WHERE status = 'pending'});
	my $waiting = $old->safe_psql('postgres', q{SELECT count(*) FROM censync.deliveries WHERE status = 'pending'});
	cmp_ok($waiting, '>', 3, 'deliveries wait');
	$old->safe_psql('template1', 'CREATE DATABASE copied TEMPLATE postgres');
	$http->reset;
	$old->safe_psql('copied', 'CALL censync_deliver()');
	is(scalar($http->log), 0, 'a copy of the database tells nobody what waited in the original');
	is($old->safe_psql('copied', q{SELECT last_error, count(*) FROM censync.deliveries WHERE status = 'failed' GROUP BY 1}),
		"it came here with a copy of the database, or with pg_upgrade|$waiting", '... and says so');
	is($old->safe_psql('copied', q{SELECT count(*) FROM censync.deliveries WHERE status = 'pending'}), '0', '... of all of them');
	is($old->safe_psql('postgres', q{SELECT count(*) FROM censync.deliveries WHERE status = 'pending'}), $waiting, 'those of the original wait');
	$old->safe_psql('postgres', 'DROP DATABASE copied');
	return;
}

# Remembers what is there.
sub stop_old
{
	$before{$_} = rows($old, $kept{$_}) foreach keys %kept;
	like($before{$_}, qr/./, "$_: there are some") foreach sort keys %kept;
	$old->append_conf('postgresql.conf', 'censync.launcher = on');
	$old->stop;
	$http->reset;
	return;
}

sub test_upgrade
{
	$new->init(extra => checksums());
	$new->append_conf('postgresql.conf', $conf);
	my @command = (
		'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $old->config_data('--bindir'), '-B', $new->config_data('--bindir'),
		'-s', $new->host, '-p', $old->port, '-P', $new->port);

	chdir(PostgreSQL::Test::Utils::tempdir('upgrade')) or die "chdir: $!";
	command_ok([ @command, '--check' ], 'pg_upgrade has no objections');
	command_ok(\@command, 'pg_upgrade works');
	is(scalar($http->log), 0, 'nobody was told of anything meanwhile');
	$new->append_conf('postgresql.conf', 'censync.launcher = off');
	$new->start;
	is(rows($new, $kept{$_}), $before{$_}, "$_: as they were, nothing ran") foreach sort keys %kept;
	return;
}

# 18 has them by default, and pg_upgrade wants the same on both sides.
sub checksums
{
	return $old->pg_version < 18 && $new->pg_version >= 18 ? ['--no-data-checksums'] : [];
}

# Until somebody says so, nothing runs.
sub test_paused
{
	my ($status, $out, $err);

	is(sql('SELECT DISTINCT state FROM censync.syncs'), 'paused', 'all syncs are paused');
	is(sql('SELECT count(*) FROM censync_run()'), '0', '... so nothing runs');
	($status, $out, $err) = $new->psql('postgres', q{SELECT censync_run('mirrored')});
	like($err, qr/sync "mirrored" is paused.*It came here with a dump or a copy, or with pg_upgrade\..*censync_resume/s, '... and says why');
	return;
}

# pg_upgrade gives servers other OIDs, so those in deliveries may be of somebody else's.
sub test_deliveries
{
	sql('CALL censync_deliver()');
	is(scalar($http->log), 0, 'no webhook is told what waited before');
	is(sql(q{SELECT DISTINCT status, last_error FROM censync.deliveries WHERE status <> 'delivered'}),
		'failed|it came here with a copy of the database, or with pg_upgrade', '... which is said');
	return;
}

sub test_resumed
{
	$new->append_conf('postgresql.conf', 'censync.launcher = on');
	$new->restart;

	my $last = sql('SELECT max(run_id) FROM censync.runs');
	is(sql(q{SELECT string_agg(name, ' ' ORDER BY name) FROM (SELECT name, censync_resume(name) FROM censync.sync_definition WHERE NOT paused) s}),
		'broken following latest mirrored ticking', 'all that were active are resumed');
	is(sql(q{SELECT string_agg(concat_ws(' ', name, state, owner), ', ' ORDER BY name) FROM censync.syncs WHERE state <> 'active'}),
		'resting paused etl', '... and that which was paused is not');

	my $run = run_sync($new, 'mirrored');
	is("$run->{status} $run->{records_read} $run->{records_unchanged} $run->{records_rejected}", 'completed 19 18 1', 'the mirror finds everything as it was');
	sql('DELETE FROM source WHERE id = 3');
	$run = run_sync($new, 'mirrored');
	is("$run->{status} $run->{records_deleted}", 'completed 1', 'it deletes what it had written before');
	is(sql('SELECT count(*), count(*) FILTER (WHERE id = 100) FROM mirrored'), '18|1', '... and nothing else');

	sql(q{INSERT INTO source VALUES (21, 'new', timestamptz '2021-01-01')});
	$run = run_sync($new, 'latest');
	is("$run->{status} $run->{records_created}", 'completed 1', 'the cursor goes on');
	cmp_ok($run->{records_read}, '<=', 2, '... from where it was');

	ok(wait_for($new, qq{SELECT count(*) > 1 FROM censync.runs WHERE sync = 'following' AND status = 'completed' AND run_id > $last}), 'schedules are kept');
	create_server($new, 'hook2', $http, type => 'webhook', path => '/hook/good', mapping => {}, mapping_for => 'etl');
	sql('GRANT USAGE ON FOREIGN SERVER hook2 TO etl');
	is(run_sync($new, 'mirrored')->{status}, 'completed', 'a run to tell of');
	ok(wait_for($new, q{SELECT count(*) > 0 FROM censync.deliveries WHERE webhook = 'hook2' AND status = 'delivered'}), '... of which webhooks hear');
	return;
}
