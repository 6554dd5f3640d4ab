# Alerts: each kind is raised when it should be, told once or each time, and ends with a notice of recovery.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncTest;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node('main', 'log_statement = none');
my $http = start_http();

# What the source has is what the tables say.
sql(q{CREATE TABLE source (id int, name text); CREATE TABLE t (id int PRIMARY KEY, name text CHECK (name <> 'bad'));
	CREATE FUNCTION broken() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'out of order: secret-row-data'; END $$});

test_failed();
test_shares();
test_unusual();
test_duration();
test_stale();
test_running_too_long();
test_crash();
test_every();
test_no_reason();
test_no_longer_watched();
test_rollback();
test_webhook();
test_roles();
test_options();
test_cost();

$node->stop;
done_testing();

sub sql { return $node->safe_psql('postgres', $_[0]) }

# A fresh sync s with these options.
sub create
{
	my ($options, $query) = @_;
	$query //= 'SELECT id::text, name FROM source';
	sql(q{SELECT censync_drop_sync(name) FROM censync.syncs WHERE name = 's'; TRUNCATE t, source, censync.run_log, censync.record_log, censync.alert_log});
	sql('SELECT censync_create_sync($$s$$, $$t$$, $$upsert$$, query => ' . sql_literal($query) . ', options => ' . sql_literal(JSON::PP->new->encode($options)) . ')');
	return;
}

# What a run, or other statements, are told of alerts: "raised failed, resolved stale".
sub told
{
	my ($statements) = @_;
	$statements //= q{SELECT FROM censync_run('s')};
	my (undef, $out, $err) = $node->psql('postgres', "LISTEN censync; $statements; SELECT 1");
	my @events = grep { $_->{event} =~ /^alert/ } map { JSON::PP->new->decode($_) } $out =~ /payload "(\{.*?\})" received/g;
	unlike(JSON::PP->new->encode(\@events), qr/secret-row-data/, 'nothing of a record is told');
	return join(', ', map { ($_->{event} =~ s/alert\.//r) . " $_->{alert}" } @events);
}

# "3 records, 1 of them invalid, 1 rejected"
sub fill
{
	my ($good, $invalid, $rejected) = @_;
	sql(sprintf q{TRUNCATE source; INSERT INTO source SELECT i, 'n' FROM generate_series(1, %d) i;
		INSERT INTO source SELECT NULL, 'x' FROM generate_series(1, %d); INSERT INTO source SELECT 1000 + i, 'bad' FROM generate_series(1, %d) i},
		$good, $invalid // 0, $rejected // 0);
	return;
}

sub alerts { return sql(q{SELECT coalesce(string_agg(alert || ' ' || state || ' ' || times, ', ' ORDER BY alert_id), 'none') FROM censync.alerts}) }

sub message { return sql('SELECT message FROM censync.alerts ORDER BY alert_id DESC LIMIT 1') =~ s/run \d+/run N/r }

sub test_failed
{
	create({ alert_failed => JSON::PP::true }, 'SELECT id::text, name FROM source WHERE name = $$n$$ OR broken()');
	fill(3);
	is(told(), '', 'failed: not by a good run');
	fill(3, 1);
	is(told(), 'raised failed', 'failed: raised');
	is(message(), 'run N failed (P0001)', 'failed: says which run, and not why: that is in the log');
	is(told(), '', 'failed: told once');
	is(alerts(), 'failed raised 2', 'failed: and counted');
	fill(3);
	is(told(), 'resolved failed', 'failed: resolved');
	is(alerts(), 'failed resolved 2', 'failed: kept');
	is(sql('SELECT raised_at < last_at AND last_at < resolved_at FROM censync.alerts'), 't', 'failed: with its times');
	fill(3, 1);
	is(told(q{CALL censync_sync('s')}), 'raised failed', 'failed: again, by CALL');
	is(alerts(), 'failed resolved 2, failed raised 1', 'failed: another alert');
	return;
}

sub test_shares
{
	create({ alert_invalid => 0.2, alert_rejected => 0.1, max_rejected => 1 });
	fill(8, 2);
	is(told(), '', 'shares: two of ten are not over 0.2');
	fill(7, 3);
	is(told(), 'raised invalid', 'shares: three are');
	is(message(), '3 of 10 records of run N are invalid', 'shares: says how many');
	fill(8, 0, 2);
	is(told(), 'resolved invalid, raised rejected', 'shares: rejected ones are another matter');
	is(message(), '2 of 10 records of run N were rejected', 'shares: says so');
	sql('TRUNCATE source');
	is(told(), '', 'shares: a run that reads nothing says nothing');
	fill(10);
	is(told(), 'resolved rejected', 'shares: and a good one everything');
	sql(q{SELECT censync_alter_sync('s', options => '{"alert_invalid": 0, "max_rejected": 0.3}')});
	fill(5, 5);
	is(told(), 'raised invalid', 'shares: also of a run that fails because of them');
	return;
}

sub test_unusual
{
	create({ alert_unusual => 0.5, alert_unusual_runs => 4 });
	foreach my $count (1000, 10, 100)
	{
		fill($count);
		is(told(), '', 'unusual: nothing is usual yet');
	}
	fill(100);
	is(told(), 'raised unusual', 'unusual: 100 where 370 is usual');
	is(message(), 'run N read 100 records, the 3 before it 370 on average', 'unusual: says why');
	sql('DELETE FROM censync.run_log WHERE run_id <= 2; TRUNCATE censync.alert_log');
	fill(100);
	told() for 1 .. 2;
	fill(150);
	is(told(), '', 'unusual: half more is not over 0.5');
	fill(170);
	is(told(), 'raised unusual', 'unusual: 170 where 112 is usual');
	is(message(), 'run N read 170 records, the 4 before it 113 on average', 'unusual: of the last four');
	fill(120);
	is(told(), 'resolved unusual', 'unusual: over');
	fill(0);
	is(told(), 'raised unusual', 'unusual: none at all');
	return;
}

sub test_duration
{
	create({ alert_duration => '200 ms' }, 'SELECT id::text, name FROM source, pg_sleep(CASE WHEN name = $$slow$$ THEN 0.5 ELSE 0 END)');
	fill(1);
	is(told(), '', 'duration: a quick run');
	sql(q{UPDATE source SET name = 'slow'});
	is(told(), 'raised duration', 'duration: a slow one') or diag(sql('TABLE censync.run_log'));
	like(message(), qr/^run N took 00:00:00\.\d+$/, 'duration: says how slow');
	fill(1);
	is(told(), 'resolved duration', 'duration: over');
	return;
}

sub test_stale
{
	create({ alert_stale => '1 h' });
	is(told('CALL censync_maintain()'), '', 'stale: not yet');
	sql(q{UPDATE censync.sync_definition SET created_at = now() - interval '61 min'});
	is(told('CALL censync_maintain()'), 'raised stale', 'stale: never a success');
	like(message(), qr/^no run has succeeded since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC$/, 'stale: says since when');
	is(told('CALL censync_maintain()'), '', 'stale: told once');
	is(alerts(), 'stale raised 1', 'stale: and counted once');
	fill(1);
	is(told(q{SELECT FROM censync_run('s', dry_run => true)}), '', 'stale: not over by a dry run');
	is(told(), 'resolved stale', 'stale: over by a success');
	sql(q{UPDATE censync.run_log SET finished_at = finished_at - interval '61 min', started_at = started_at - interval '61 min'});
	is(told('CALL censync_maintain()'), 'raised stale', 'stale: again');
	sql(q{SELECT censync_alter_sync('s', options => '{"alert_stale": "2 h"}')});
	is(told('CALL censync_maintain()'), 'resolved stale', 'stale: over because more is allowed');
	sql(q{SELECT censync_alter_sync('s', options => '{"alert_stale": "1 h"}'); SELECT censync_pause('s')});
	is(told('CALL censync_maintain()'), '', 'stale: nobody waits for a sync that is paused');
	return;
}

sub test_running_too_long
{
	create({ alert_duration => '1 s' }, 'SELECT 1 AS id FROM pg_sleep(60)');
	my $session = IPC::Run::start([ 'psql', '-XAtq', '-c', q{CALL censync_sync('s')}, '-d', $node->connstr('postgres') . ' application_name=slow' ],
		'<', '/dev/null', '>', \my $out, '2>', \my $err, IPC::Run::timeout(100));
	wait_for($node, q{SELECT count(*) = 1 FROM censync.runs WHERE status = 'running'});
	is(told('CALL censync_maintain()'), '', 'running: not yet too long');
	sleep 1.2;
	is(told('CALL censync_maintain()'), 'raised duration', 'running: too long, while it goes on');
	like(message(), qr/^run N has taken 00:00:0\d so far$/, 'running: says so');
	is(told('CALL censync_maintain()'), '', 'running: told once');
	sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'slow'});
	$session->finish;
	return;
}

# Whoever runs the sync next notes that the last one is gone.
sub test_crash
{
	create({ alert_failed => JSON::PP::true }, 'SELECT 1 AS id FROM pg_sleep(CASE WHEN (SELECT count(*) FROM source) = 0 THEN 60 ELSE 0 END)');
	my $session = IPC::Run::start([ 'psql', '-XAtq', '-c', q{CALL censync_sync('s')}, '-d', $node->connstr('postgres') . ' application_name=slow' ],
		'<', '/dev/null', '>', \my $out, '2>', \my $err, IPC::Run::timeout(100));
	wait_for($node, q{SELECT count(*) = 1 FROM censync.runs WHERE status = 'running'});
	sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'slow'});
	$session->finish;
	fill(1);
	is(told(), 'raised failed, resolved failed', 'crash: raised and resolved by the next run');
	is(sql('SELECT message FROM censync.alerts'), 'run ' . sql('SELECT min(run_id) FROM censync.runs') . ' crashed (58000)', 'crash: says so');
	return;
}

sub test_every
{
	create({ alert_failed => JSON::PP::true, alert_repeat => 'every' }, 'SELECT 1 AS id FROM source WHERE broken()');
	fill(1);
	is(told(), 'raised failed', 'every: first') for 1;
	is(told(), 'raised failed', 'every: second');
	is(alerts(), 'failed raised 2', 'every: one alert');
	sql('TRUNCATE source');
	is(told(), 'resolved failed', 'every: recovery is told once');
	is(told(), '', 'every: once');
	return;
}

sub test_no_reason
{
	create({ alert_failed => JSON::PP::true, alert_unusual => 0.1 }, 'SELECT 1 AS id FROM source WHERE broken() OR pg_sleep(60) IS NULL');
	fill(1);
	is(told(q{SELECT FROM censync_run('s', dry_run => true)}), '', 'no reason: a dry run that fails');
	create({ alert_failed => JSON::PP::true }, 'SELECT 1 AS id FROM pg_sleep(60)');
	is(told(q{SET statement_timeout = '200ms'; SELECT FROM censync_run('s')}), '', 'no reason: a run that was canceled');
	ok(wait_for($node, q{SELECT count(*) = 1 FROM censync.runs WHERE status = 'canceled'}), 'no reason: it is logged');
	is(alerts(), 'none', 'no reason: no alert');
	create({}, 'SELECT 1 AS id FROM source WHERE broken()');
	is(told(), '', 'no reason: nobody has asked for alerts');
	return;
}

sub test_no_longer_watched
{
	create({ alert_failed => JSON::PP::true }, 'SELECT 1 AS id FROM source WHERE broken()');
	fill(1);
	is(told(), 'raised failed', 'watched: raised');
	sql(q{SELECT censync_alter_sync('s', options => '{"alert_failed": null}')});
	is(told('CALL censync_maintain()'), 'resolved failed', 'watched: the option is gone');
	sql(q{SELECT censync_alter_sync('s', options => '{"alert_failed": "on"}')});
	is(told(), 'raised failed', 'watched: raised again');
	sql(q{SELECT censync_drop_sync('s')});
	is(told('CALL censync_maintain()'), 'resolved failed', 'watched: the sync is gone');
	is(told('CALL censync_maintain()'), '', 'watched: nothing is left');
	return;
}

sub test_rollback
{
	create({ alert_failed => JSON::PP::true }, 'SELECT 1 AS id FROM source WHERE broken()');
	fill(1);
	is(told(q{BEGIN; SELECT FROM censync_run('s'); ROLLBACK}), '', 'rollback: nothing is told');
	is(alerts(), 'none', 'rollback: and nothing raised');
	return;
}

sub test_webhook
{
	create({ alert_failed => JSON::PP::true }, 'SELECT 1 AS id FROM source WHERE broken()');
	create_server($node, 'hook', $http, type => 'webhook', path => '/hook/alerts', mapping => {}, events => 'alert.*');
	fill(1);
	$node->psql('postgres', q{CALL censync_sync('s')});
	sql('TRUNCATE source');
	sql(q{CALL censync_sync('s')});
	my @bodies = map { JSON::PP->new->decode($_->{body}) } $http->log;
	is(join(', ', map { "$_->{event} $_->{alert}" } @bodies), 'alert.raised failed, alert.resolved failed', 'webhook: hears of both');
	like($bodies[0]{text}, qr/^Alert of sync s: run \d+ failed \(P0001\)$/, 'webhook: in words');
	sql('DROP SERVER hook CASCADE');
	return;
}

sub test_roles
{
	create({ alert_failed => JSON::PP::true }, 'SELECT 1 AS id FROM source WHERE broken()');
	fill(1);
	told();
	sql(q{CREATE ROLE viewer LOGIN; CALL censync_admit('viewer', 'viewer')});
	is(sql(q{SET SESSION AUTHORIZATION viewer; SELECT count(*) FROM censync.alerts}), 0, "roles: others' alerts are not seen");
	my (undef, undef, $err) = $node->psql('postgres', 'SET SESSION AUTHORIZATION viewer; CALL censync_maintain()');
	like($err, qr/permission denied for procedure censync_maintain/, 'roles: a viewer only views');
	return;
}

sub test_options
{
	foreach my $bad (
		[ alert_failed => 'perhaps', 'true or false' ], [ alert_invalid => 2, 'a share, 0 to 1' ], [ alert_rejected => -1, 'a share, 0 to 1' ],
		[ alert_duration => 'long', 'seconds, or' ], [ alert_stale => -1, 'seconds, or' ], [ alert_unusual => 0, 'a number above 0' ],
		[ alert_unusual_runs => 0, 'a whole number above 0' ], [ alert_unusual_runs => 1.5, 'a whole number above 0' ],
		[ alert_repeat => 'never', 'first, every' ])
	{
		my ($name, $value, $hint) = @$bad;
		my (undef, undef, $err) = $node->psql('postgres', q{SELECT censync_alter_sync('s', options => } . sql_literal(JSON::PP->new->encode({ $name => $value })) . ')');
		like($err, qr/invalid value for option "$name".*$hint/s, "options: $name is not $value");
	}
	# What the parser of options takes for seconds, the queries must take, too.
	foreach my $value ('90', '"90"', '"90s"', '"1.5 min"', '"2h"', '" 1 d"', '0', '"100 ms"', '"0x10"', '"1e3"')
	{
		my ($status, undef, $err) = $node->psql('postgres', qq{SELECT censync_alter_sync('s', options => '{"alert_stale": $value, "alert_duration": $value, "retention": $value}')});
		is($status == 0, $value !~ /x|e/, "options: $value seconds are taken or not");
		next if $status != 0;
		is(told('CALL censync_maintain()') =~ s/(raised|resolved) stale//r, '', "options: $value seconds are understood");
		($status, undef, $err) = $node->psql('postgres', 'CALL censync_maintain()');
		is($status . $err, '0', "options: $value seconds give no error");
	}
	return;
}

# One query, whose time is that of few syncs.
sub test_cost
{
	create({});
	sql(q{CREATE TABLE many (id int PRIMARY KEY); SELECT censync_create_sync('many ' || i, 'many', 'upsert', query => 'SELECT 1 AS id', options => '{"alert_stale": "1 h"}') FROM generate_series(1, 1000) i});
	sql('CALL censync_maintain()');
	my $wal = sql('SELECT pg_current_wal_insert_lsn()');
	my $start = time;
	sql('CALL censync_maintain()');
	cmp_ok(time - $start, '<', soon(2), 'cost: 1,000 syncs are looked at quickly');
	is(alerts(), 'none', 'cost: nothing is raised');
	cmp_ok(sql("SELECT pg_current_wal_insert_lsn() - '$wal'"), '<', 2000, 'cost: and nothing written');
	return;
}
