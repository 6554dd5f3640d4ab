# Retention: what goes when, what stays whatever its age, for whom, and in small steps.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = new_node('main', 'log_statement = none');

sql(q{CREATE TABLE t (id int PRIMARY KEY);
	CREATE ROLE alice LOGIN; CALL censync_admit('alice', 'owner'); CREATE SCHEMA alice AUTHORIZATION alice;
	SELECT censync_create_sync('plain', 't', 'upsert', query => 'SELECT 1 AS id');
	SELECT censync_create_sync('short', 't', 'upsert', query => 'SELECT 1 AS id', options => '{"retention": "2 d"}');
	SELECT censync_create_sync('long', 't', 'upsert', query => 'SELECT 1 AS id', options => '{"retention": "400 d"}');
	SELECT censync_create_sync('ever', 't', 'upsert', query => 'SELECT 1 AS id', options => '{"retention": 0}');
	SET SESSION AUTHORIZATION alice; CREATE TABLE alice.t (id int PRIMARY KEY);
	SELECT censync_create_sync('hers', 'alice.t', 'upsert', query => 'SELECT 1 AS id')});

test_ages();
test_settings();
test_last_ones();
test_not_over();
test_dropped();
test_alerts_and_deliveries();
test_roles();
test_steps();
test_options();

$node->stop;
done_testing();

sub sql { return $node->safe_psql('postgres', $_[0]) }

# A run of a sync so many days ago, with a record.
sub add_run
{
	my ($sync, $days, $status) = @_;
	$status //= 'completed';
	sql(qq{WITH l AS (INSERT INTO censync.run_log (sync_id, sync, owner_oid, status, trigger, dry_run, started_at, finished_at, records_rejected)
		SELECT sync_id, name, owner_oid, '$status', 'manual', false, now() - interval '$days days' - interval '1 h', now() - interval '$days days', 1
		FROM censync.sync_definition WHERE name = '$sync' RETURNING run_id)
		INSERT INTO censync.record_log (run_id, record_number, status) SELECT run_id, $days, 'rejected' FROM l});
	return;
}

sub empty { sql('TRUNCATE censync.run_log, censync.record_log, censync.alert_log, censync.outbox'); return }

# Ages in days of the runs of a sync, and of those that have their records.
sub left
{
	my ($sync) = @_;
	return sql(qq{SELECT coalesce(string_agg(round(extract(epoch FROM now() - finished_at) / 86400)
		|| CASE WHEN EXISTS (SELECT FROM censync.record_log r WHERE r.run_id = l.run_id) THEN '+' ELSE '' END, ' ' ORDER BY run_id DESC), 'none')
		FROM censync.run_log l WHERE sync = '$sync'});
}

sub prune
{
	my ($role) = @_;
	sql(($role ? "SET SESSION AUTHORIZATION $role; " : '') . 'CALL censync_prune()');
	return;
}

sub test_ages
{
	empty();
	foreach my $sync ('plain', 'short', 'long', 'ever')
	{
		add_run($sync, $_) foreach 1000, 399, 91, 89, 15, 13, 3, 1, 0;
	}
	prune();
	is(left('plain'), '0+ 1+ 3+ 13+ 15 89', 'ages: 14 days of records, 90 of runs');
	is(left('short'), '0+ 1+', 'ages: two days of both');
	is(left('long'), '0+ 1+ 3+ 13+ 15+ 89+ 91+ 399+', 'ages: 400 days of both');
	is(left('ever'), '0+ 1+ 3+ 13+ 15+ 89+ 91+ 399+ 1000+', 'ages: for ever');
	is(sql('SELECT count(*) FROM censync.record_log r WHERE NOT EXISTS (SELECT FROM censync.run_log l WHERE l.run_id = r.run_id)'), 0,
		'ages: no record is left of a run that is gone');
	return;
}

sub test_settings
{
	empty();
	add_run('plain', $_) foreach 9, 5, 3, 0;
	sql(q{SET censync.record_retention = '4d'; SET censync.run_retention = '8d'; CALL censync_prune()});
	is(left('plain'), '0+ 3+ 5', 'settings: four and eight days');
	sql(q{SET censync.record_retention = '1d'; SET censync.run_retention = 0; CALL censync_prune()});
	is(left('plain'), '0+ 3 5', 'settings: 0 is for ever');
	add_run('ever', 1000);
	sql(q{SET censync.record_retention = '1 min'; SET censync.run_retention = '1min'; CALL censync_prune()});
	is(left('ever'), '1000+', 'settings: what a sync says goes before them');
	my (undef, undef, $err) = $node->psql('postgres', q{SET SESSION AUTHORIZATION alice; SELECT FROM censync.syncs; SET censync.run_retention = '1min'});
	like($err, qr/permission denied to set parameter "censync.run_retention"/, 'settings: not for everybody to set');
	return;
}

# What the views need: the last run, and the last success.
sub test_last_ones
{
	empty();
	add_run('plain', 300);
	add_run('plain', $_, 'failed') foreach 200, 100;
	prune();
	is(left('plain'), '100 300', 'last: the last run and the last success stay');
	is(sql(q{SELECT last_status, round(extract(epoch FROM now() - last_success_at) / 86400) FROM censync.syncs WHERE name = 'plain'}), 'failed|300',
		'last: censync.syncs still knows them');
	add_run('plain', 0);
	prune();
	is(left('plain'), '0+', 'last: until there are newer ones');
	return;
}

sub test_not_over
{
	empty();
	add_run('plain', 500, 'running');
	sql(q{UPDATE censync.run_log SET finished_at = NULL});
	add_run('plain', 0);
	prune();
	is(sql('SELECT count(DISTINCT run_id), count(*) FROM censync.run_log JOIN censync.record_log USING (run_id)'), '2|2', 'not over: a run without an end, and its records, are not touched');
	return;
}

sub test_dropped
{
	empty();
	sql(q{SELECT censync_create_sync('gone', 't', 'upsert', query => 'SELECT 1 AS id')});
	add_run('gone', $_) foreach 100, 50;
	sql(q{SELECT censync_drop_sync('gone')});
	prune();
	is(left('gone'), '50', 'dropped: the log of a sync that is gone goes in its time');
	sql(q{UPDATE censync.run_log SET started_at = started_at - interval '50 days', finished_at = finished_at - interval '50 days'});
	prune();
	is(left('gone'), 'none', 'dropped: all of it');
	sql(q{INSERT INTO censync.record_log (run_id, status) VALUES (1, 'invalid')});
	add_run('plain', 20);
	add_run('plain', 0);
	prune();
	is(sql('SELECT count(*) FROM censync.record_log WHERE run_id = 1'), 0, 'dropped: records of no run at all');
	return;
}

sub test_alerts_and_deliveries
{
	empty();
	sql(q{INSERT INTO censync.alert_log (sync_id, sync, owner_oid, alert, message, raised_at, last_at, resolved_at)
			SELECT 1, 'plain', 10, 'failed', 'x', now() - days * interval '1 day', now(), CASE WHEN days <> 500 THEN now() - days * interval '1 day' END FROM unnest('{500,91,89}'::int[]) days;
		INSERT INTO censync.outbox (event_id, event, sync, owner_oid, server_oid, home, webhook, body, status, created_at, next_attempt_at, finished_at)
			SELECT gen_random_uuid(), 'x', 'plain', 10, 0, censync.home(), 'hook', days, CASE WHEN days = 500 THEN 'pending' ELSE 'delivered' END, now(), now() + interval '1 h',
				CASE WHEN days <> 500 THEN now() - days * interval '1 day' END FROM unnest('{500,15,13}'::int[]) days});
	prune();
	is(sql('SELECT count(*), count(resolved_at) FROM censync.alert_log'), '2|1', 'alerts: are kept like runs; open ones stay');
	is(sql(q{SELECT string_agg(body, ' ' ORDER BY body) FROM censync.outbox}), '13 500', 'deliveries: are kept like records; waiting ones stay');
	return;
}

sub test_roles
{
	empty();
	foreach my $sync ('plain', 'hers')
	{
		add_run($sync, $_) foreach 100, 0;
	}
	prune('alice');
	is(left('hers') . ', ' . left('plain'), '0+, 0+ 100+', 'roles: everybody prunes what is his');
	prune();
	is(left('plain'), '0+', 'roles: a superuser all');
	my (undef, undef, $err) = $node->psql('postgres', 'BEGIN; CALL censync_prune(); COMMIT');
	like($err, qr/censync_prune cannot run inside a transaction block/, 'roles: not within a transaction');
	return;
}

# Many rows: no transaction deletes all of them, and others go on meanwhile.
sub test_steps
{
	empty();
	sql(q{INSERT INTO censync.run_log (sync_id, sync, owner_oid, status, trigger, dry_run, started_at, finished_at)
			SELECT 1, 'plain', 10, 'completed', 'schedule', false, t, t FROM generate_series(1, 30000) i, LATERAL (SELECT now() - interval '100 days' + i * interval '1 min') x(t);
		INSERT INTO censync.record_log (run_id, record_number, status) SELECT run_id, i, 'rejected' FROM censync.run_log, generate_series(1, 3) i;
		ANALYZE censync.run_log; ANALYZE censync.record_log});
	my $xid = sql('SELECT txid_current()');
	my $start = time;
	sql(q{SET censync.run_retention = '95 d'; CALL censync_prune()});
	cmp_ok(time - $start, '<', 60, 'steps: 90,000 records and 7,200 runs are not long in going');
	is(sql('SELECT count(*) FROM censync.record_log'), 0, 'steps: the records are gone');
	cmp_ok(abs(sql('SELECT count(*) FROM censync.run_log') - 22800), '<', 5, 'steps: and the runs that are too old');
	cmp_ok(sql('SELECT txid_current()') - $xid, '>', 15, 'steps: many transactions');
	$xid = sql('SELECT txid_current()');
	my $wal = sql('SELECT pg_current_wal_insert_lsn()');
	sql(q{SET censync.run_retention = '95 d'; CALL censync_prune()});
	cmp_ok(sql("SELECT pg_current_wal_insert_lsn() - '$wal'"), '<', 5000, 'steps: nothing left, nothing written');
	return;
}

sub test_options
{
	foreach my $value ('"x"', -1, '"1 year"')
	{
		my (undef, undef, $err) = $node->psql('postgres', qq{SELECT censync_alter_sync('plain', options => '{"retention": $value}')});
		like($err, qr/invalid value for option "retention"/, "options: retention is not $value");
	}
	return;
}
