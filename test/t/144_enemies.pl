# The launcher and its workers against those who mean no good, or just leave something open: what one role does with
# its syncs holds up nobody else's, whatever is dropped, closed or set while syncs run, and a cancel is heard anywhere.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node('main', <<'END');
shared_preload_libraries = 'censync'
censync.jitter = 0
fsync = off
log_statement = none
max_worker_processes = 24
END
my $http = start_http();
put_long();
create_server($node, 'src', $http);
sql(q{CREATE USER MAPPING FOR PUBLIC SERVER src;
	CREATE TABLE t (id int PRIMARY KEY, v text); CREATE ROLE mallory LOGIN; CALL censync_admit('mallory', 'owner');
	CREATE TABLE of_mallory (id int PRIMARY KEY, v text); ALTER TABLE of_mallory OWNER TO mallory; GRANT USAGE ON FOREIGN SERVER src TO mallory;
	SELECT censync_create_sync('tick', 't', 'upsert', query => 'SELECT 1 AS id', schedule => '1 second');
	SELECT censync_create_sync('parent', 't', 'upsert', query => 'SELECT 2 AS id');
	SELECT censync_create_sync('child', 't', 'upsert', query => 'SELECT 3 AS id', schedule => 'after parent')});

test_left_open();
test_crowd();
test_names();
test_settings();
test_read_only();
test_closed();
test_cancel();
test_dropped();
test_delivering();
test_drop_extension();

$node->stop;
done_testing();

sub put_long { return $http->put('long', '[' . join(', ', map { qq({"id": $_}) } 1 .. 2000) . ']') }
sub sql { return $node->safe_psql($_[1] // 'postgres', $_[0]) }

sub wait_sql
{
	my ($sql, $dbname, $timeout) = @_;
	return wait_for($node, $sql, $timeout // 30, $dbname);
}

# A session that goes on until it is ended.
sub start_session
{
	my ($name, $sql, $dbname) = @_;
	my ($out, $err) = ('', '');
	my $run = IPC::Run::start([ 'psql', '-XAtq', '-c', $sql, '-d', $node->connstr($dbname // 'postgres') . " application_name=$name" ],
		'<', '/dev/null', '>', \$out, '2>', \$err, IPC::Run::timeout(120));
	return { name => $name, run => $run, err => \$err };
}

# One that has done something and sits in its transaction.
sub leave_open
{
	my ($name, $sql) = @_;
	my $session = start_session($name, "BEGIN; $sql; SELECT pg_sleep(100)");
	ok(wait_sql("SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = '$name' AND wait_event = 'PgSleep'"), "$name: is left open");
	return $session;
}

sub end_session
{
	my ($session) = @_;
	sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '$session->{name}'");
	$session->{run}->finish;
	return ${ $session->{err} };
}

sub as_mallory { return sql("SET SESSION AUTHORIZATION mallory; $_[0]") }

sub runs_again
{
	my ($what, $dbname, $name) = @_;
	my $last = sql(q{SELECT coalesce(max(run_id), 0) FROM censync.runs}, $dbname);
	$name //= 'tick';
	ok(wait_sql("SELECT count(*) > 1 FROM censync.runs WHERE run_id > $last AND sync = '$name' AND status = 'completed'", $dbname), $what);
	return;
}

sub fails
{
	my ($what, $sql, $pattern) = @_;
	my (undef, undef, $err) = $node->psql('postgres', $sql);
	like($err, $pattern, $what);
	return;
}

sub running
{
	my ($run) = @_;
	ok(wait_sql("SELECT status = 'running' FROM censync.runs WHERE run_id = $run"), "run $run is running");
	return;
}

# Transactions that have changed a sync or a run, and are neither committed nor undone.
sub test_left_open
{
	as_mallory(q{SELECT censync_create_sync('his', 'of_mallory', 'upsert', query => 'SELECT 1 AS id', schedule => '1 second');
		SELECT censync_create_sync('his other', 'of_mallory', 'upsert', query => 'SELECT 1/(random() > 2)::int AS id', options => '{"alert_failed": true}')});
	my %what = (
		schedule => q{SELECT censync_schedule('his', '2 seconds')},
		after    => q{SELECT censync_schedule('his', 'after his other')},
		pause    => q{SELECT censync_pause('his')},
		drop     => q{SELECT censync_drop_sync('his')},
		alert    => q{SELECT FROM censync_run('his other')},
		start    => q{SELECT censync_start('his other')});
	foreach my $name (sort keys %what)
	{
		my $session = leave_open("open_$name", "SET LOCAL SESSION AUTHORIZATION mallory; $what{$name}");
		runs_again("open_$name: schedules are kept");
		my $last = sql(q{SELECT coalesce(max(run_id), 0) FROM censync.runs WHERE sync = 'child'});
		sql(q{SELECT FROM censync_run('parent')});
		ok(wait_sql("SELECT count(*) > 0 FROM censync.runs WHERE sync = 'child' AND run_id > $last AND status = 'completed'"), "open_$name: and sequences");
		end_session($session);
	}
	runs_again('his own goes on, too', undef, 'his');
	as_mallory(q{SELECT censync_drop_sync('his'); SELECT censync_drop_sync('his other')});
	return;
}

# One role's runs, however many, leave room for another's.
sub test_crowd
{
	as_mallory(q{SELECT count(censync_create_sync('crowd ' || g, 'of_mallory', 'upsert', query => 'SELECT 1 AS id FROM pg_sleep(0.5)')) FROM generate_series(1, 200) g});
	my $last = sql('SELECT max(run_id) FROM censync.runs');
	as_mallory(q{SET client_min_messages = warning; SELECT count(censync_start('crowd ' || g)) FROM generate_series(1, 200) g});
	ok(wait_sql("SELECT count(*) >= 4 FROM censync.runs WHERE run_id > $last AND sync = 'tick' AND status = 'completed'"), 'crowd: others are run meanwhile');
	cmp_ok(sql(q{SELECT count(*) FROM censync.runs WHERE sync ~ '^crowd' AND status = 'queued'}), '>', 20, 'crowd: while most of them wait');
	sql(q{SELECT count(censync_cancel(run_id)) FROM censync.runs WHERE sync ~ '^crowd' AND status = 'queued'});
	ok(wait_sql(q{SELECT count(*) = 0 FROM censync.runs WHERE sync ~ '^crowd' AND status IN ('queued', 'running')}), 'crowd: until they are over');
	as_mallory(q{SELECT count(censync_drop_sync('crowd ' || g)) FROM generate_series(1, 200) g});
	return;
}

sub test_names
{
	my @names = (qq(line\nbreak), q(quote' "double" \\ %s %n), "\xc3\xa9" x 100, '$(id) `id`', q(after tick, "x"), ' ');
	my ($i, $before) = (100, 'tick');
	foreach my $name (@names)
	{
		sql(sprintf q{SELECT censync_create_sync(%s, 't', 'upsert', query => %s, schedule => %s)}, sql_literal($name), sql_literal("SELECT $i AS id"),
			sql_literal('after "' . $before =~ s/"/""/gr . '"'));
		$before = $name;
		$i++;
	}
	ok(wait_sql('SELECT count(DISTINCT sync) = 6 FROM censync.runs WHERE status = \'completed\' AND trigger = \'after\' AND sync IN ('
			. join(', ', map { sql_literal($_) } @names) . ')'), 'names: one after the other');
	sql(sprintf q{SELECT censync_unschedule(%s)}, sql_literal($_)) foreach @names;
	ok(wait_sql(q{SELECT count(*) = 0 FROM censync.runs WHERE status IN ('queued', 'running') AND sync <> 'tick'}), 'names: idle');
	sql(sprintf q{SELECT censync_drop_sync(%s)}, sql_literal($_)) foreach reverse @names;
	sql(sprintf q{SELECT censync_create_sync(%s, 't', 'upsert', query => 'SELECT 1 AS id FROM pg_sleep(100)')}, sql_literal($names[0]));
	my $run = sql(sprintf q{SELECT censync_start(%s)}, sql_literal($names[0]));
	running($run);
	like(sql(q{SELECT application_name FROM pg_stat_activity WHERE backend_type = 'censync worker' AND query ~ 'line'}), qr/^censync line(\?|\\x0a)break$/,
		'names: shown without what is no text');
	sql("SELECT censync_cancel($run)");
	ok(wait_sql("SELECT status = 'canceled' FROM censync.runs WHERE run_id = $run"), 'names: canceled');
	sql(sprintf q{SELECT censync_drop_sync(%s)}, sql_literal($names[0]));
	return;
}

# What sessions of the database or the owner get by default.
sub test_settings
{
	my %settings = (statement_timeout => '1ms', lock_timeout => '1ms', search_path => '"$user", nowhere', default_transaction_isolation => 'serializable',
		row_security => 'off', session_replication_role => 'replica', DateStyle => 'SQL, DMY', IntervalStyle => 'sql_standard', TimeZone => 'Asia/Kathmandu',
		client_encoding => 'LATIN1', standard_conforming_strings => 'off', quote_all_identifiers => 'on', bytea_output => 'escape', work_mem => '64kB', jit => 'on');
	# Not those of this test.
	local $ENV{PGOPTIONS} = join ' ', map { "-c $_" } 'statement_timeout=0', 'lock_timeout=0', 'search_path=public',
		'default_transaction_isolation=read\\ committed', 'standard_conforming_strings=on';
	as_mallory(q{SELECT censync_create_sync('set', 'of_mallory', 'upsert', query => 'SELECT 5 AS id', schedule => '1 second', options => '{"alert_stale": "1 s", "alert_duration": "1 h"}')});
	foreach my $whose ('DATABASE postgres', 'ROLE mallory')
	{
		sql(join ';', map { "ALTER $whose SET $_ = " . sql_literal($settings{$_}) } grep { $whose =~ /^D/ || $_ ne 'session_replication_role' } keys %settings);
		sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'censync scheduler'});
		runs_again("settings of $whose: runs go on", undef, 'set');
		is($node->safe_psql('template1', 'SELECT 1'), '1', 'and so do sessions elsewhere');
		sql("ALTER $whose RESET ALL");
	}
	sql(q{CREATE ROLE other; GRANT other TO mallory; ALTER ROLE mallory SET role = 'other'});
	ok(wait_sql(q{SELECT count(*) > 0 FROM censync.runs WHERE sync = 'set' AND status = 'failed' AND error_code = '42501' AND error_message ~ 'must be owner'}),
		'settings: a role that its owner takes instead of himself is who runs it, and may not');
	sql('ALTER ROLE mallory RESET role; DROP ROLE other');
	runs_again('settings: the rest goes on');
	as_mallory(q{SELECT censync_drop_sync('set')});
	return;
}

sub test_read_only
{
	as_mallory(q{SELECT censync_create_sync('set', 'of_mallory', 'upsert', query => 'SELECT 5 AS id')});
	sql('ALTER ROLE mallory SET default_transaction_read_only = on');
	my $run = sql(q{SELECT censync_start('set')});
	is(sql("SELECT status, error_code, error_message FROM censync_wait($run, '20 s')"), 'failed|25006|transactions of the sync\'s owner are read only',
		'read only: an owner whose transactions are');
	sql('ALTER ROLE mallory RESET default_transaction_read_only');
	as_mallory(q{SELECT censync_drop_sync('set')});
	my $offset = -s $node->logfile;
	sql('ALTER DATABASE postgres SET default_transaction_read_only = on');
	sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'censync scheduler'});
	ok($node->wait_for_log(qr/censync runs nothing in a database whose transactions are read only/, $offset), 'read only: a database, said once');
	sleep 3;
	my $log = substr slurp_file($node->logfile), $offset;
	is(scalar(() = $log =~ /runs nothing in a database/g), 1, 'read only: and not again and again');
	unlike($log, qr/cannot execute/, 'read only: nothing is tried');
	sql('SET default_transaction_read_only = off; ALTER DATABASE postgres RESET default_transaction_read_only');
	sql('SELECT pg_reload_conf()');
	runs_again('read only: and then everything goes on');
	as_mallory(q{SELECT censync_create_sync('set', 'of_mallory', 'upsert', query => 'SELECT 5 AS id', schedule => '1 second')});
	sql('ALTER ROLE postgres SET default_transaction_read_only = on');
	sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'censync scheduler'});
	runs_again('read only: what a superuser has for his own sessions keeps nobody from running', undef, 'set');
	sql('SET default_transaction_read_only = off; ALTER ROLE postgres RESET default_transaction_read_only');
	as_mallory(q{SELECT censync_drop_sync('set')});
	return;
}

# While no connection is allowed, no worker can come: that is no crash.
sub test_closed
{
	sql('CREATE DATABASE closed');
	sql(q{CREATE EXTENSION censync; CREATE TABLE t (id int PRIMARY KEY);
		SELECT censync_create_sync('tick', 't', 'upsert', query => 'SELECT 1 AS id', schedule => '1 second')}, 'closed');
	runs_again('closed: at first it is open', 'closed');
	sql('ALTER DATABASE closed ALLOW_CONNECTIONS false');
	ok(wait_sql(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'censync scheduler' AND datname = 'closed'}), 'closed: the scheduler leaves');
	sleep 2;
	my $refused = () = slurp_file($node->logfile) =~ /database "closed" is not currently accepting connections/g;
	cmp_ok($refused, '<=', 1, 'closed: nobody knocks again and again');
	sql('ALTER DATABASE closed ALLOW_CONNECTIONS true; SELECT pg_reload_conf()');
	runs_again('closed: when it is opened, it goes on', 'closed');
	is(sql(q{SELECT count(*) FILTER (WHERE status = 'crashed'), count(*) FILTER (WHERE status = 'failed' AND error_code <> '57P03') FROM censync.runs}, 'closed'), '0|0',
		'closed: and no run has crashed');
	sql('DROP DATABASE closed WITH (FORCE)');
	return;
}

sub create_stalled
{
	my ($name, $destination) = @_;
	return sprintf q{SELECT censync_create_sync(%s, %s, 'upsert', server => 'src', object => '/bad/stall?set=long&seconds=300', mappings => '{"id": "id"}')},
		sql_literal($name), sql_literal($destination // 't');
}

# Wherever a run or a session is, it hears a cancel within a second.
sub test_cancel
{
	sql(q{CREATE TABLE slow (id int PRIMARY KEY); CREATE TABLE locked (id int PRIMARY KEY);
		CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(100); RETURN NEW; END $$;
		CREATE TRIGGER linger BEFORE INSERT ON slow FOR EACH ROW EXECUTE FUNCTION linger();
		CREATE TABLE later (id int PRIMARY KEY);
		CREATE CONSTRAINT TRIGGER linger AFTER INSERT ON later DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION linger();
		SELECT censync_create_sync('in a trigger', 'slow', 'upsert', query => 'SELECT 1 AS id');
		SELECT censync_create_sync('in a deferred trigger', 'later', 'upsert', query => 'SELECT 1 AS id');
		SELECT censync_create_sync('at a lock', 'locked', 'upsert', query => 'SELECT 1 AS id')} . ';' . create_stalled('at a source'));
	my $holder = leave_open('holder', 'LOCK TABLE locked IN SHARE MODE');
	foreach my $name ('in a trigger', 'in a deferred trigger', 'at a lock', 'at a source')
	{
		my %end = ('censync_cancel' => q{SELECT censync_cancel(%d)},
			'pg_terminate_backend' => q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'censync worker' AND %d > 0 AND query ~ '} . $name . "'");
		foreach my $how (sort keys %end)
		{
			my $run = sql(sprintf 'SELECT censync_start(%s)', sql_literal($name));
			running($run);
			wait_sql(q{SELECT bool_and(wait_event IS NOT NULL) FROM pg_stat_activity WHERE backend_type = 'censync worker' AND query ~ '} . $name . "'");
			sleep 0.2;
			my $start = time;
			sql(sprintf $end{$how}, $run);
			is(sql("SELECT status, error_code FROM censync_wait($run, '10 s')"), 'canceled|57014', "cancel: $name, by $how");
			cmp_ok(time - $start, '<', soon(1.5), "cancel: $name: within a second");
		}
	}
	end_session($holder);
	my $run = sql(q{SELECT censync_start('at a source')});
	running($run);
	my $waiter = start_session('waiter', "SELECT * FROM censync_wait($run)");
	wait_sql(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'waiter' AND wait_event_type = 'Extension'});
	my $start = time;
	sql(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'waiter'});
	$waiter->{run}->finish;
	like(${ $waiter->{err} }, qr/canceling statement due to user request/, 'cancel: one who waits');
	cmp_ok(time - $start, '<', soon(1.5), 'cancel: within a second');
	is(sql("SELECT status FROM censync.runs WHERE run_id = $run"), 'running', 'cancel: what he waits for goes on');
	sql("SELECT censync_cancel($run)");
	wait_sql("SELECT status = 'canceled' FROM censync.runs WHERE run_id = $run");
	return;
}

# What a run needs goes while it waits for its source: it fails, and says why; who drops waits for nobody.
sub test_dropped
{
	my %drop = (
		server => [ q{DROP SERVER gone CASCADE}, qr/^completed/ ],
		destination => [ q{DROP TABLE goes}, qr/^failed 42P01 .*was dropped during the run/ ],
		mapping => [ q{DROP USER MAPPING FOR PUBLIC SERVER gone}, qr/^completed/ ],
		owner => [ q{REASSIGN OWNED BY leaver TO postgres; DROP OWNED BY leaver; DROP ROLE leaver}, qr/^failed 55000 .*was altered during the run/ ],
		update => [ q{ALTER EXTENSION censync UPDATE}, qr/^completed/ ]);
	foreach my $what (sort keys %drop)
	{
		my ($how, $pattern) = @{ $drop{$what} };
		$http->put('few', '[{"id": 1}]');
		create_server($node, 'gone', $http);
		sql(q{CREATE USER MAPPING FOR PUBLIC SERVER gone; CREATE ROLE leaver; CALL censync_admit('leaver', 'owner'); GRANT USAGE ON FOREIGN SERVER gone TO leaver;
			CREATE TABLE goes (id int PRIMARY KEY, v text); ALTER TABLE goes OWNER TO leaver; SET ROLE leaver;
			SELECT censync_create_sync('goes', 'goes', 'upsert', server => 'gone', object => '/data/few?hold=gate_} . $what . q{', mappings => '{"id": "id"}')});
		my $run = sql(q{SELECT censync_start('goes')});
		running($run);
		ok($http->wait_state(sub { $_->{waiting}{"gate_$what"} }), "dropped: $what: the run waits for its source");
		fails("dropped: $what: but the sync itself does not, while it runs", q{SELECT censync_drop_sync('goes')}, qr/sync "goes" is running/);
		my $start = time;
		my (undef, undef, $err) = $node->psql('postgres', $how);
		cmp_ok(time - $start, '<', soon(2), "dropped: $what: waits for nobody");
		is($err =~ s/^(?:psql:\S+ NOTICE: |DETAIL: |drop cascades).*\n?//gmr, '', "dropped: $what: goes");
		$http->release("gate_$what", 10);
		ok(wait_sql("SELECT status NOT IN ('queued', 'running') FROM censync.run_log WHERE run_id = $run"), "dropped: $what: the run ends");
		my $end = sql("SELECT concat_ws(' ', status, error_code, error_message) FROM censync.run_log WHERE run_id = $run");
		like($end, $pattern, "dropped: $what: as it should");
		runs_again("dropped: $what: others go on");
		sql(q{SELECT censync_drop_sync(name) FROM censync.syncs WHERE name = 'goes'; DROP SERVER IF EXISTS gone CASCADE; DROP TABLE IF EXISTS goes});
		sql(q{DROP OWNED BY leaver; DROP ROLE leaver}) if $what ne 'owner';
	}
	return;
}

# A webhook that never answers keeps nobody: no shutdown, no DROP, no cancel.
sub test_delivering
{
	my $hook = sub {
		my ($dbname) = @_;
		$http->reset;
		create_server($node, 'hook', $http, type => 'webhook', path => "/hook/hole?hold=hook_$dbname", mapping => {}, dbname => $dbname, timeout => 30);
		sql(q{SELECT FROM censync_run('tick')}, $dbname);
		ok($http->wait_state(sub { $_->{waiting}{"hook_$dbname"} }), "delivering: the launcher's worker waits in $dbname");
	};
	sql('CREATE DATABASE hole');
	sql(q{CREATE EXTENSION censync; CREATE TABLE t (id int PRIMARY KEY); SELECT censync_create_sync('tick', 't', 'upsert', query => 'SELECT 1 AS id')}, 'hole');
	$hook->('hole');
	my $start = time;
	sql('DROP DATABASE hole');
	cmp_ok(time - $start, '<', soon(4), 'delivering: DROP DATABASE');
	sql(q{SELECT censync_unschedule('tick'); SELECT censync_unschedule('child')});
	$hook->('postgres');
	is(sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'censync maintenance' AND backend_xmin IS NOT NULL}), '0', 'delivering: without a snapshot');
	$start = time;
	sql(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'censync maintenance'});
	ok(wait_sql(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'censync maintenance' AND backend_start < now() - (clock_timestamp() - now()) - interval '1 s'}), 'delivering: pg_cancel_backend');
	ok($http->wait_state(sub { $_->{waiting}{hook_postgres} }), 'delivering: another one tries again');
	$start = time;
	$node->stop('fast');
	cmp_ok(time - $start, '<', soon(3), 'delivering: a shutdown');
	$http->release('hook_postgres', 1000);
	$node->start;
	ok(wait_sql(q{SELECT bool_and(status = 'delivered') FROM censync.deliveries}, undef, 60), 'delivering: after all, it is told');
	return;
}

sub test_drop_extension
{
	put_long();
	sql(create_stalled('stalled'));
	my $run = sql(q{SELECT censync_start('stalled')});
	running($run);
	my $start = time;
	sql('DROP EXTENSION censync CASCADE');
	cmp_ok(time - $start, '<', soon(3), 'extension: dropped while a run waits for its source');
	ok(wait_sql(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'censync scheduler'}), 'extension: the scheduler leaves');
	sql('CREATE EXTENSION censync');
	sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'censync worker'});
	ok(wait_sql(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'censync worker'}), 'extension: and the worker, when it is asked to');
	is(sql('SELECT count(*) FROM censync.run_log'), '0', 'extension: what ran under the old one leaves nothing in the new one');
	unlike(slurp_file($node->logfile), qr/PANIC|TRAP|server process.*was terminated/, 'extension: no crash of all this');
	return;
}
