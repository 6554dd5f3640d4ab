# What one session does just between two steps of another: a run, the launcher, a cancel, a drop.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', <<'END');
shared_preload_libraries = 'censync'
censync.jitter = 0
censync.max_workers = 1
fsync = off
log_statement = none
max_worker_processes = 12
END
my $pid = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()');
sql(q{CREATE TABLE t (id int PRIMARY KEY);
	CREATE FUNCTION gate(n int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock_shared(n), pg_advisory_unlock_shared(n); RETURN true; END $$;
	SELECT censync_create_sync('tick', 't', 'upsert', query => 'SELECT 1 AS id');
	SELECT censync_create_sync('other', 't', 'upsert', query => 'SELECT 3 AS id');
	SELECT censync_create_sync('gated', 't', 'upsert', query => 'SELECT 2 AS id WHERE gate(1)')});

test_commit();
test_start();
test_open_cancel();
test_old_snapshot();
test_drop();
test_parent();
test_second_cancel();
test_serializable();
test_late_log();
is(sql('SELECT pg_postmaster_start_time()'), $pid, 'the server is the one that it was');
test_launcher();

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'and no process has crashed');
$node->stop;
done_testing();

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub wait_sql { return wait_for($node, $_[0], 30) }

# A session that says these things, one after the other.
sub start_session
{
	my ($name, @sql) = @_;
	my ($out, $err) = ('', '');
	my $run = IPC::Run::start([ 'psql', '-XAtq', (map { ('-c', $_) } @sql), '-d', $node->connstr('postgres') . " application_name=$name" ],
		'<', '/dev/null', '>', \$out, '2>', \$err, IPC::Run::timeout(120));
	return { name => $name, run => $run, out => \$out, err => \$err };
}

sub waits { return wait_sql("SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = '$_[0]' AND wait_event_type = 'Lock'") }

# Until that session is ended.
sub shut_gate
{
	my ($n) = @_;
	my $session = start_session("gate_$n", "SELECT pg_advisory_lock($n)", 'SELECT pg_sleep(100)');
	ok(wait_sql("SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'gate_$n' AND wait_event = 'PgSleep'"), "gate $n is shut");
	return $session;
}

sub end_session
{
	my ($session) = @_;
	sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '$session->{name}'");
	$session->{run}->finish;
	return;
}

sub ended { return wait_sql("SELECT status NOT IN ('queued', 'running') FROM censync.run_log WHERE run_id = $_[0]") }

# A run's session has no transaction just after it has committed the log's row, or undone what has failed.
sub test_commit
{
	my $dir = PostgreSQL::Test::Utils::tempdir('commit');
	my $gate = "$dir/shut";
	my ($include) = run_command([ 'pg_config', '--includedir-server' ]);
	system('gcc', '-O2', '-shared', '-fPIC', "-DGATE=\"$gate\"", "-I$include", '-o', "$dir/commit.so", "$FindBin::RealBin/../clock/commit.c") == 0
	  or BAIL_OUT('commit.c does not compile');
	my $session = start_session('slow', "LOAD '$dir/commit.so'", "\\! touch '$gate'", q{CALL censync_sync('tick')});
	ok(wait_sql(q{SELECT count(*) = 1 FROM censync.run_log WHERE status = 'running'}), 'commit: the log says that it runs');
	is(sql(q{SELECT r.status, last_status, consecutive_failures FROM censync.runs r, censync.syncs WHERE name = 'tick'}), 'running|running|0',
		'commit: a run that is between two transactions has not crashed');
	sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'censync scheduler'});
	my $offset = sql('SELECT clock_timestamp()');
	ok(wait_sql("SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'censync scheduler' AND backend_start > '$offset' AND state = 'idle'"),
		'commit: another scheduler looks around');
	unlink $gate;
	$session->{run}->finish;
	is(${ $session->{err} }, '', 'commit: the run goes on');
	is(sql(q{SELECT string_agg(status, ',') FROM censync.run_log}), 'completed', 'commit: and has ended once, and well');
	return;
}

# The launcher has found a sync due, and before it can keep it so it is paused, or its schedule is taken away.
sub test_start
{
	my %change = (paused => q{SELECT censync_pause('tick')}, unscheduled => q{SELECT censync_unschedule('tick')}, later => q{SELECT censync_schedule('tick', '1 day')});
	foreach my $what (sort keys %change)
	{
		sql(q{SELECT censync_resume('tick'); SELECT censync_schedule('tick', '1 second')});
		ok(wait_sql(q{SELECT count(*) > 0 FROM censync.runs WHERE sync = 'tick' AND trigger = 'schedule' AND status = 'completed'}), "start: $what: at first it is run");
		my $session = start_session('changes', 'BEGIN', 'LOCK TABLE censync.sync_definition IN EXCLUSIVE MODE',
			q{DO $$ BEGIN FOR i IN 1 .. 3000 LOOP PERFORM pg_stat_clear_snapshot();
				EXIT WHEN EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'censync scheduler' AND wait_event_type = 'Lock'); PERFORM pg_sleep(0.01); END LOOP; END $$},
			$change{$what}, 'SELECT max(run_id) FROM censync.run_log', 'COMMIT');
		$session->{run}->finish;
		my ($last) = ${ $session->{out} } =~ /^(\d+)$/m;
		is(${ $session->{err} }, '', "start: $what: at the moment at which it was due");
		sql(q{SELECT censync_schedule('other', '1 second')});
		ok(wait_sql(q{SELECT count(*) > 1 FROM censync.runs WHERE sync = 'other' AND status = 'completed'}), "start: $what: others are run");
		is(sql("SELECT count(*) FROM censync.runs WHERE sync = 'tick' AND run_id > $last"), '0', "start: $what: and this one is not");
		sql(q{SELECT censync_unschedule('other')});
		ok(wait_sql(q{SELECT count(*) = 0 FROM censync.runs WHERE status IN ('queued', 'running')}), "start: $what: until they are over");
		sql(q{DELETE FROM censync.run_log});
	}
	sql(q{SELECT censync_unschedule('tick')});
	return;
}


# The only worker is busy, so that others wait.
sub occupy
{
	my $shut = shut_gate(1);
	my $run = sql(q{SELECT censync_start('gated')});
	ok(wait_sql("SELECT status = 'running' FROM censync.runs WHERE run_id = $run"), 'the worker is busy');
	return ($shut, $run);
}

sub start_waiting
{
	my ($name) = @_;
	my (undef, $run) = $node->psql('postgres', sprintf 'SELECT censync_start(%s)', sql_literal($name));
	return $run;
}

# A run that waits is canceled, and the cancel neither committed nor undone: the run is not begun, and nobody waits for that.
sub test_open_cancel
{
	sql(q{SELECT censync_schedule('tick', '1 second'); SELECT censync_schedule('other', '1 second')});
	foreach my $end ('COMMIT', 'ROLLBACK')
	{
		my ($shut, $busy) = occupy();
		my $waiting = start_waiting('tick');
		my $held = shut_gate(2);
		my $session = start_session('cancels', 'BEGIN', "SELECT censync_cancel($waiting)", 'SELECT gate(2)', $end);
		ok(waits('cancels'), "open cancel: $end");
		end_session($shut);
		ok(ended($busy), "open cancel: $end: the worker is free");
		ok(wait_sql("SELECT count(*) > 1 FROM censync.runs WHERE sync = 'other' AND status = 'completed' AND run_id > $waiting"), "open cancel: $end: others are run");
		is(sql("SELECT count(*) FROM censync.runs WHERE sync = 'tick' AND run_id > $waiting"), '0', "open cancel: $end: no second run is queued beside it");
		end_session($held);
		$session->{run}->finish;
		is(${ $session->{err} }, '', "open cancel: $end: said");
		ended($waiting);
		is(sql("SELECT status FROM censync.runs WHERE run_id = $waiting"), $end eq 'COMMIT' ? 'canceled' : 'completed', "open cancel: $end: and done");
	}
	sql(q{SELECT censync_unschedule('tick'); SELECT censync_unschedule('other')});
	return;
}

# Transactions at REPEATABLE READ act upon what they can't see.
sub test_old_snapshot
{
	my %act = (cancel => 'SELECT censync_cancel((SELECT last_value FROM censync.run_log_run_id_seq))', drop => q{SELECT censync_drop_sync('victim')});
	foreach my $what (sort keys %act)
	{
		create_victim();
		my ($shut, $busy) = occupy();
		my $held = shut_gate(2);
		my $session = start_session('old', 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT gate(2)', $act{$what}, 'COMMIT');
		ok(waits('old'), "old snapshot: $what");
		my $run = start_waiting('victim');
		end_session($held);
		$session->{run}->finish;
		is(${ $session->{err} }, '', "old snapshot: $what: said");
		is(sql("SELECT status FROM censync.runs WHERE run_id = $run"), 'canceled', "old snapshot: $what: done");
		end_session($shut);
		ended($busy);
	}
	return;
}

sub create_victim
{
	sql(q{SELECT censync_drop_sync(name) FROM censync.syncs WHERE name = 'victim'});
	sql(q{SELECT censync_create_sync('victim', 't', 'upsert', query => 'SELECT 4 AS id')});
	return;
}

# A sync is dropped while it is started, by two sessions: none of the runs is left in the queue.
sub test_drop
{
	create_victim();
	my ($shut, $busy) = occupy();
	my $held = shut_gate(2);
	my $session = start_session('starts', 'BEGIN', q{SELECT censync_start('victim')}, 'SELECT gate(2)', 'COMMIT');
	ok(waits('starts'), 'drop: it has been started, but that is not committed');
	start_waiting('victim');
	my $drop = start_session('drops', q{SELECT censync_drop_sync('victim')});
	ok(wait_sql(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'drops' AND wait_event_type = 'Lock'}), 'drop: who drops it waits for that');
	end_session($held);
	$_->{run}->finish foreach $session, $drop;
	is(${ $drop->{err} }, '', 'drop: and drops');
	is(sql(q{SELECT count(*), string_agg(DISTINCT status || ' ' || error_message, ', ') FROM censync.runs WHERE sync = 'victim' AND finished_at > now() - interval '1 minute' AND run_id > } . $busy),
		'2|canceled the sync was dropped', 'drop: all runs that waited are canceled');
	end_session($shut);
	ended($busy);
	return;
}

# What a parent is about to do when it becomes one, its child follows.
sub test_parent
{
	my ($shut, $busy) = occupy();
	sql(q{SELECT censync_schedule('tick', 'after gated')});
	end_session($shut);
	ok(wait_sql("SELECT count(*) = 1 FROM censync.runs WHERE sync = 'tick' AND trigger = 'after' AND status = 'completed' AND run_id > $busy"), 'parent: followed by its child');
	sql(q{SELECT censync_unschedule('tick')});
	return;
}

# A cancel that comes while the log of a canceled run is being closed.
sub test_second_cancel
{
	sql(q{CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.gate(2); RETURN NULL; END $$;
		CREATE TRIGGER wait_at_gate AFTER UPDATE ON censync.run_log FOR EACH ROW WHEN (NEW.status = 'canceled') EXECUTE FUNCTION wait_at_gate()});
	my $shut = shut_gate(1);
	my $held = shut_gate(2);
	my $session = start_session('runs', q{CALL censync_sync('gated')});
	ok(waits('runs'), 'second cancel: it runs');
	my $run = sql(q{SELECT max(run_id) FROM censync.runs});
	my $cancel = q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'runs'};
	sql($cancel);
	ok(wait_sql(q{SELECT count(*) = 1 FROM pg_stat_activity a JOIN pg_locks USING (pid) WHERE application_name = 'runs' AND NOT granted AND locktype = 'advisory' AND objid = 2}),
		'second cancel: it is canceled, and about to say so');
	sql($cancel);
	end_session($held);
	$session->{run}->finish;
	like(${ $session->{err} }, qr/canceling statement due to user request/, 'second cancel: the session hears of it');
	is(sql("SELECT status, error_code FROM censync.runs WHERE run_id = $run"), 'canceled|57014', 'second cancel: and the log says so');
	end_session($shut);
	sql('DROP TRIGGER wait_at_gate ON censync.run_log');
	return;
}

# What others do at the same time fails at most the run itself, and never the transactions that keep its log or tell of it.
sub test_serializable
{
	my %when = (
		running   => [ q{AFTER UPDATE ON censync.run_log FOR EACH ROW WHEN (NEW.status = 'running' AND NEW.sync <> 'other')}, q{SELECT censync_start('tick')}, 'completed|' ],
		failed    => [ q{AFTER UPDATE ON censync.run_log FOR EACH ROW WHEN (NEW.status = 'failed')}, q{CALL censync_sync('bad')}, 'failed|22012' ],
		delivered => [ q{AFTER UPDATE ON censync.outbox FOR EACH ROW WHEN (NEW.status = 'delivered' AND NEW.sync <> 'other')}, q{CALL censync_sync('tick')}, 'completed|' ]);
	my $http = start_http();
	create_server($node, 'hook', $http, type => 'webhook', path => '/hook/told', mapping => {}, events => 'sync.completed');
	sql(q{SELECT censync_create_sync('bad', 't', 'upsert', query => 'SELECT 1 / (random() > 2)::int AS id'); ALTER DATABASE postgres SET default_transaction_isolation = serializable});
	foreach my $status (sort keys %when)
	{
		my ($trigger, $begin, $end) = @{ $when{$status} };
		my $last = sql('SELECT max(run_id) FROM censync.runs');
		sql("CREATE TRIGGER wait_at_gate $trigger EXECUTE FUNCTION wait_at_gate()");
		my $shut = shut_gate(2);
		my $session = start_session('runs', $begin);
		ok(wait_sql(q{SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND objid = 2}), "serializable: $status: about to be noted");
		sql(q{BEGIN; SELECT FROM censync.run_log; SELECT FROM censync.outbox; SELECT FROM censync_run('other'); COMMIT});
		end_session($shut);
		$session->{run}->finish;
		unlike(${ $session->{err} }, qr/could not serialize/, "serializable: $status: the session hears nothing of others");
		ok(wait_sql("SELECT bool_and(status NOT IN ('queued', 'running')) FROM censync.run_log WHERE run_id > $last"), "serializable: $status: it ends");
		is(sql("SELECT status, error_code FROM censync.runs WHERE run_id > $last AND sync <> 'other'"), $end, "serializable: $status: as it would alone");
		sql($trigger =~ s/^AFTER UPDATE (ON \S+).*/DROP TRIGGER wait_at_gate $1/r);
	}
	sql('ALTER DATABASE postgres RESET default_transaction_isolation; DROP SERVER hook CASCADE');
	return;
}

# A canceled run's log is written by a worker, whatever the database's settings.
sub test_late_log
{
	my %settings = (default_transaction_read_only => 'on', default_transaction_isolation => 'serializable', lock_timeout => '1ms');
	my $shut = shut_gate(1);
	sql(join ';', map { "ALTER DATABASE postgres SET $_ = " . sql_literal($settings{$_}) } sort keys %settings);
	my $session = start_session('runs', 'SET default_transaction_read_only = off', 'SET lock_timeout = 0', q{SELECT FROM censync_run('gated')});
	ok(waits('runs'), 'late log: it runs');
	my $last = sql(q{SELECT max(run_id) FROM censync.runs});
	sql(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'runs'});
	ok(wait_sql("SELECT count(*) = 1 FROM censync.runs WHERE run_id > $last AND status = 'canceled'"), 'late log: written');
	$session->{run}->finish;
	end_session($shut);
	sql('SET default_transaction_read_only = off; ' . join ';', map { "ALTER DATABASE postgres RESET $_" } sort keys %settings);
	return;
}

# Whatever the server has for defaults, the launcher waits for nobody's transaction.
sub test_launcher
{
	$node->append_conf('postgresql.conf', "default_transaction_isolation = serializable\ndefault_transaction_read_only = on\ndefault_transaction_deferrable = on");
	$node->restart;
	local $ENV{PGOPTIONS} = '-c default_transaction_read_only=off';
	ok(wait_sql(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'censync launcher'}), 'launcher: it is there');
	my $held = shut_gate(2);
	my $session = start_session('open', 'BEGIN', 'SELECT gate(2)', 'COMMIT');
	ok(waits('open'), 'launcher: somebody has a transaction');
	sql('CREATE DATABASE fresh');
	sql('ALTER DATABASE fresh SET default_transaction_read_only = off');
	$node->safe_psql('fresh', 'CREATE EXTENSION censync');
	ok(wait_sql(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'censync scheduler' AND datname = 'fresh'}), 'launcher: and yet it sends a scheduler to another database');
	end_session($held);
	$session->{run}->finish;
	return;
}
