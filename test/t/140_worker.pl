# Runs in background workers: as whom, when, how they are waited for and canceled; with the launcher and
# without.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncTest;
use List::Util qw(min);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node('main', <<'END');
fsync = off
log_statement = none
max_worker_processes = 4
END
my $http = start_http();
create_server($node, 'src', $http);
$http->put('long', '[' . join(', ', map { qq({"id": $_, "v": "v$_"}) } 1 .. 2000) . ']');
sql(q{
	CREATE TABLE t (id int PRIMARY KEY, v text);
	CREATE ROLE mute NOLOGIN; CREATE ROLE speaking LOGIN; CREATE ROLE operator LOGIN; CREATE ROLE stranger LOGIN;
	GRANT mute, speaking TO operator;
	CALL censync_admit('mute', 'owner'); CALL censync_admit('speaking', 'owner'); CALL censync_admit('operator', 'operator');
	CALL censync_admit('stranger', 'operator');
	CREATE TABLE of_mute (id int PRIMARY KEY, v text); ALTER TABLE of_mute OWNER TO mute;
	CREATE TABLE of_speaking (id int PRIMARY KEY, v text); ALTER TABLE of_speaking OWNER TO speaking;
	CREATE TABLE secret (id int); GRANT USAGE ON FOREIGN SERVER src TO mute, speaking;
	ALTER ROLE speaking SET work_mem = '5MB';
	CREATE USER MAPPING FOR PUBLIC SERVER src;
});

test_run();
test_transactions();
test_roles();
test_privileges();
test_cancel();
test_shutdown();
test_no_worker();
test_limits();
test_killed();
test_activity();
test_queue();
test_cost();

$node->stop;
done_testing();

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub fails
{
	my ($what, $sql, $pattern) = @_;
	my ($status, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	like($err, $pattern, $what);
	return;
}

sub create
{
	my ($name, $query, $role, $destination) = @_;
	sql(join ';', $role ? 'SET ROLE ' . sql_ident($role) : (),
		sprintf 'SELECT censync_create_sync(%s, %s, %s, query => %s)', sql_literal($name), sql_literal($destination // 't'), sql_literal('upsert'), sql_literal($query));
	return;
}

sub wait_run
{
	my ($run, $timeout) = @_;
	return sql(sprintf q{SELECT status, trigger, records_created, error_code FROM censync_wait(%d, %s)}, $run, sql_literal($timeout // '30 s'));
}

# A sync whose run waits for the network until it is canceled.
sub create_stalled
{
	my ($name, $role, $destination) = @_;
	sql(join ';', $role ? 'SET ROLE ' . sql_ident($role) : (),
		sprintf q{SELECT censync_create_sync(%s, %s, 'upsert', server => 'src', object => '/bad/stall?set=long&seconds=300', mappings => '{"id": "id"}')},
		sql_literal($name), sql_literal($destination // 't'));
	return;
}

sub running { return wait_for($node, "SELECT status = 'running' FROM censync.runs WHERE run_id = $_[0]", 10) }

sub test_run
{
	create('a', 'SELECT g AS id, g::text AS v FROM generate_series(1, 10) g');
	my $run = sql(q{SELECT censync_start('a')});
	is(wait_run($run), 'completed|start|10|', 'runs');
	is(sql('SELECT count(*) FROM t'), '10', 'and writes');
	is(wait_run($run), 'completed|start|10|', 'waiting for what is over');
	create('bad', 'SELECT 1 / (random() > 2)::int AS id');
	$run = sql(q{SELECT censync_start('bad')});
	is(wait_run($run), 'failed|start|0|22012', 'a failed run is a row');
	ok($node->log_contains(qr/WARNING:.*run $run of sync "bad" failed: division by zero/), 'and a line of the server log');
	fails('no such sync', q{SELECT censync_start('nosuch')}, qr/42704.*sync "nosuch" does not exist/);
	sql(q{SELECT censync_pause('a')});
	fails('paused', q{SELECT censync_start('a')}, qr/55000.*is paused/);
	sql(q{SELECT censync_resume('a')});
	fails('no such run', q{SELECT * FROM censync_wait(123456)}, qr/42704.*run 123456 does not exist/);
	fails('no run', q{SELECT * FROM censync_wait(NULL)}, qr/22004/);
	fails('cancel no such run', q{SELECT censync_cancel(123456)}, qr/42704.*run 123456 does not exist/);
	is(sql("SELECT censync_cancel($run)"), 'f', 'what is over is not canceled');
	fails('read only', q{SET default_transaction_read_only = on; SELECT censync_start('a')}, qr/25006/);
	return;
}

sub test_transactions
{
	my $before = sql('SELECT max(run_id) FROM censync.runs');
	sql(q{BEGIN; SELECT censync_start('a'); ROLLBACK});
	sql(q{BEGIN; SAVEPOINT s; SELECT censync_start('a'); ROLLBACK TO s; COMMIT});
	sleep 0.5;
	is(sql("SELECT count(*) FROM censync.runs WHERE run_id > $before"), '0', 'a rollback takes the run back');
	# As often as there are workers, and once more.
	is(sql('BEGIN; ' . (q{SAVEPOINT s; SAVEPOINT t; SELECT 'x' FROM censync_start('a'); RELEASE t; ROLLBACK TO s; } x 5) . q{SELECT censync_start('a') > 0; ROLLBACK}) =~ s/\n//gr,
		'xxxxxt', 'and the worker that it would have had');
	is(sql(q{BEGIN; SELECT censync_start('a'); SELECT pg_sleep(0.3); SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'censync worker'; COMMIT}) =~ s/.*\n//sr,
		'0', 'nothing begins before the commit');
	ok(wait_for($node, "SELECT bool_and(status = 'completed') FROM censync.runs WHERE run_id > $before"), 'and then it does');
	fails('waiting in the same transaction', q{BEGIN; SELECT * FROM censync_wait(censync_start('a'))}, qr/55000.*begins only when this transaction is committed/);
	fails('twice in a transaction', q{BEGIN; SELECT censync_start('a'); SELECT censync_start('a')}, qr/55006.*is already queued, as run \d+/);
	# Created in the same transaction.
	my $run = sql(q{BEGIN; SELECT 'x' FROM censync_create_sync('new', 't', 'upsert', query => 'SELECT 77 AS id'); SELECT censync_start('new'); COMMIT}) =~ s/.*\n//sr;
	is(wait_run($run), 'completed|start|1|', 'a sync of the same transaction');
	return;
}

sub test_roles
{
	my $query = q{SELECT 1 AS id, concat_ws(' ', current_user, session_user, current_setting('is_superuser'), current_setting('work_mem')) AS v};
	foreach my $role (qw(mute speaking))
	{
		create("as $role", $query, $role, "of_$role");
		my $run = sql("SET ROLE operator; SELECT censync_start('as $role')");
		is(wait_run($run), 'completed|start|1|', "$role: runs");
		is(sql("SELECT v FROM of_$role"), $role eq 'speaking' ? 'speaking speaking off 5MB' : 'mute mute off 4MB', "$role: as the owner, with nobody else's rights");
	}
	create('superuser', $query);
	my $run = sql(q{SELECT censync_start('superuser')});
	like(wait_run($run), qr/^completed/, 'of a superuser');
	# What could give a worker more than its owner has.
	sql(q{GRANT CREATE ON SCHEMA public TO mute; SET ROLE mute;
		CREATE FUNCTION climb(how text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE how; RETURN 'up: ' || current_user; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$});
	foreach my $how ('RESET SESSION AUTHORIZATION', 'SET SESSION AUTHORIZATION DEFAULT', 'SET SESSION AUTHORIZATION postgres', 'RESET ROLE', 'SET ROLE postgres',
		'DISCARD ALL', 'RESET ALL', 'SELECT * FROM secret')
	{
		sql('DELETE FROM of_mute');
		sql(sprintf q{SET ROLE mute; SELECT censync_alter_sync('as mute', query => %s)},
			sql_literal(sprintf q{SELECT 2 AS id, climb(%s) || ' ' || session_user AS v}, sql_literal($how)));
		like(wait_run(sql("SELECT censync_start('as mute')")), qr/^completed/, "$how: runs");
		like(sql('SELECT v FROM of_mute'), qr/^(42501|25001|up: mute|0A000) mute$/, "$how: stays who it is");
	}
	return;
}

sub test_privileges
{
	fails('a stranger can\'t start', q{SET ROLE stranger; SELECT censync_start('as mute')}, qr/42501.*must be owner of sync/);
	my $run = sql(q{SELECT censync_start('as mute')});
	wait_run($run);
	fails('a stranger can\'t wait', "SET ROLE stranger; SELECT * FROM censync_wait($run)", qr/42501.*must be owner of run/);
	fails('a stranger can\'t cancel', "SET ROLE stranger; SELECT censync_cancel($run)", qr/42501.*must be owner of run/);
	sql(q{REVOKE CONNECT ON DATABASE postgres FROM PUBLIC});
	fails('an owner that may not connect', q{SELECT censync_start('as mute')}, qr/42501.*may not connect to this database/);
	sql(q{GRANT CONNECT ON DATABASE postgres TO PUBLIC});
	return;
}

sub test_cancel
{
	create_stalled('stalled');
	create_stalled('stalled mute', 'mute', 'of_mute');
	create('sleepy', 'SELECT 1 AS id FROM pg_sleep(100)');
	foreach my $name ('stalled', 'stalled mute', 'sleepy')
	{
		my $run = sql(sprintf 'SELECT censync_start(%s)', sql_literal($name));
		ok(running($run), "$name: is running");
		is(sql(sprintf q{SELECT status FROM censync_wait(%d, '50 ms')}, $run), 'running', "$name: after a timeout, the row as it is");
		is(sql('SELECT count(*) FROM pg_stat_activity WHERE backend_type = \'censync worker\' AND backend_xmin IS NOT NULL'), $name eq 'sleepy' ? 1 : 0,
			"$name: a snapshot only where a query runs");
		fails("$name: twice", sprintf('SELECT censync_start(%s)', sql_literal($name)), qr/55006.*is already running/);
		my $start = time;
		is(sql(sprintf q{SET ROLE operator; RESET ROLE; SELECT censync_cancel(%d)}, $run), 't', "$name: canceled");
		is(wait_run($run), 'canceled|start|0|57014', "$name: logged");
		cmp_ok(time - $start, '<', soon(10), "$name: soon");
	}
	my $run = sql(q{SELECT censync_start('stalled mute')});
	running($run);
	is(sql("SET ROLE operator; SELECT censync_cancel($run)"), 't', 'by an operator, of whose role the owner is');
	like(wait_run($run), qr/^canceled/, 'of a role that may not log in');
	# A session of a role that is not his.
	my ($out, $err) = ('', '');
	my $session = IPC::Run::start([ 'psql', '-XAtq', '-c', q{CALL censync_sync('stalled mute')}, '-d', $node->connstr('postgres') ],
		'<', '/dev/null', '>', \$out, '2>', \$err, IPC::Run::timeout(60));
	wait_for($node, q{SELECT count(*) = 1 FROM censync.runs WHERE status = 'running'});
	$run = sql(q{SELECT run_id FROM censync.runs WHERE status = 'running'});
	fails('a superuser\'s session', "SET ROLE operator; SELECT censync_cancel($run)", qr/42501/);
	is(sql("SELECT censync_cancel($run)"), 't', 'but by a superuser');
	$session->finish;
	like($err, qr/canceling statement due to user request/, 'the session hears of it');
	like(wait_run($run), qr/^canceled/, 'the run is canceled');
	return;
}

sub test_shutdown
{
	sql(q{CREATE FUNCTION deaf() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
		LOOP BEGIN PERFORM pg_sleep(100); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$});
	create('deaf', q{SELECT deaf() AS id});
	my $deaf = sql(q{SELECT censync_start('deaf')});
	my @runs = map { sql("SELECT censync_start('$_')") } 'stalled', 'sleepy';
	running($_) foreach @runs, $deaf;
	sql("SELECT censync_cancel($deaf)");
	my $start = time;
	$node->stop('fast');
	cmp_ok(time - $start, '<', soon(3), 'a shutdown does not wait');
	$node->start;
	is(sql(sprintf q{SELECT string_agg(DISTINCT status || ' ' || error_code, ', ') FROM censync.runs WHERE run_id IN (%s)}, join ',', @runs),
		'canceled 57014', 'and the log says what became of the runs');
	is(sql("SELECT status FROM censync.runs WHERE run_id = $deaf"), 'crashed', 'also of one that would not be canceled');
	return;
}

sub test_no_worker
{
	# One is the launcher of logical replication.
	my @runs = map { create("s$_", 'SELECT 1 AS id FROM pg_sleep(100)'); sql("SELECT censync_start('s$_')") } 1 .. 3;
	running($_) foreach @runs;
	create('one more', 'SELECT 1 AS id');
	fails('no slot', q{SELECT censync_start('one more')}, qr/53400.*there is no free background worker slot.*Raise max_worker_processes/s);
	is(sql(q{SELECT count(*) FROM censync.runs WHERE sync = 'one more'}), '0', 'and no run');
	sql("SELECT censync_cancel($_)") foreach @runs;
	wait_run($_) foreach @runs;
	ok(wait_for($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'censync worker'}), 'slots are free again');
	is(wait_run(sql(q{SELECT censync_start('one more')})), 'completed|start|0|', 'then it runs');
	return;
}

sub test_limits
{
	$node->append_conf('postgresql.conf', "censync.max_workers = 2\ncensync.max_workers_per_server = 1");
	$node->reload;
	my @runs = map { sql("SELECT censync_start('s$_')") } 1 .. 2;
	running($_) foreach @runs;
	fails('the limit of workers', q{SELECT censync_start('s3')}, qr/53400.*all workers that may run syncs at once are running.*censync.max_workers is 2/s);
	sql("SELECT censync_cancel($_)") foreach @runs;
	wait_run($_) foreach @runs;
	@runs = sql(q{SELECT censync_start('stalled')});
	running(@runs);
	fails('the limit of a server', q{SELECT censync_start('stalled mute')}, qr/53400.*censync.max_workers_per_server 1/s);
	push @runs, sql(q{SELECT censync_start('s3')});
	ok(running($runs[1]), 'others run');
	sql("SELECT censync_cancel($_)") foreach @runs;
	wait_run($_) foreach @runs;
	return;
}

sub test_killed
{
	my $run = sql(q{SELECT censync_start('stalled')});
	running($run);
	sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'censync worker'});
	like(wait_run($run), qr/^canceled/, 'pg_terminate_backend');
	return;
}

sub test_activity
{
	my $run = sql(q{SELECT censync_start('stalled mute')});
	running($run);
	is(sql(q{SELECT application_name, query, wait_event_type, (SELECT count(*) FROM pg_stat_activity WHERE usename = 'mute') FROM pg_stat_activity WHERE backend_type = 'censync worker'}),
		'censync stalled mute|CALL censync_sync(\'stalled mute\')|Extension|' . ($node->pg_version >= 17 ? 1 : 0), 'pg_stat_activity says what it is');
	is(sql(q{SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'censync worker'}), $node->pg_version >= 17 ? 'CensyncSource' : 'Extension', 'what it waits for');
	sql("SELECT censync_cancel($run)");
	wait_run($run);
	return;
}

# With the launcher what can't run at once waits, also for a restart.
sub test_queue
{
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'censync'\nmax_worker_processes = 8");
	$node->restart;
	my @runs = map { sql("SELECT censync_start('s$_')") } 1 .. 2;
	running($_) foreach @runs;
	my (undef, $waiting, $err) = $node->psql('postgres', q{SELECT censync_start('one more')});
	like($err, qr/NOTICE:  run $waiting of sync "one more" waits for a free worker/, 'a run waits');
	is(sql("SELECT status FROM censync_wait($waiting, '300 ms')"), 'queued', 'it is queued');
	fails('a second one', q{SELECT censync_start('one more')}, qr/55006.*is already queued, as run $waiting/);
	$node->restart;
	is(wait_run($waiting), 'completed|start|0|', 'after a restart it runs');
	is(sql(sprintf q{SELECT count(*) FROM censync.runs WHERE run_id IN (%s) AND status = 'canceled'}, join ',', @runs), '2', 'those that ran were canceled');
	@runs = map { sql("SELECT censync_start('s$_')") } 1 .. 2;
	running($_) foreach @runs;
	(undef, $waiting) = $node->psql('postgres', q{SELECT censync_start('one more')});
	is(sql("SELECT censync_cancel($waiting)"), 't', 'one that waits is canceled');
	is(wait_run($waiting), 'canceled|start|0|57014', 'and logged');
	(undef, $waiting) = $node->psql('postgres', q{SELECT censync_start('one more')});
	sql(q{SELECT censync_drop_sync('one more')});
	is(sql("SELECT status, error_message FROM censync.runs WHERE run_id = $waiting"), 'canceled|the sync was dropped', 'one whose sync is dropped');
	sql("SELECT censync_cancel($_)") foreach @runs;
	wait_run($_) foreach @runs;
	return;
}

# From the start to the end of a run that does nothing, with the launcher; a run in a session is the measure.  Of others'
# load it is the least that is free: the best of 40 counts, or of more if need be.
sub test_cost
{
	create('nothing', 'SELECT 1 AS id WHERE false');
	my (@in_worker, @in_session);
	my @best = (1e9, 0);
	for (my $n = 1; $n <= 40 || ($n <= 400 && $best[0] - $best[1] >= 20); $n++)
	{
		push @in_worker, sql(q{SELECT clock_timestamp() AS t0, censync_start('nothing') AS run \gset
			SELECT 1000 * extract(epoch FROM finished_at - :'t0') FROM censync_wait(:run)});
		push @in_session, sql(q{SELECT clock_timestamp() AS t0 \gset
			CALL censync_sync('nothing');
			SELECT 1000 * extract(epoch FROM max(finished_at) - :'t0') FROM censync.runs WHERE sync = 'nothing'});
		@best = (min(@in_worker), min(@in_session));
	}
	my ($worker, $session) = map { my @sorted = sort { $a <=> $b } @$_; $sorted[@sorted / 2] } \@in_worker, \@in_session;
	diag sprintf 'a run of nothing, from the start to the end: %.1f ms in a worker, %.1f ms in a session', $worker, $session;
	cmp_ok($best[0] - $best[1], '<', 20, 'a worker costs less than 20 ms');
	return;
}
