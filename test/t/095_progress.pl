# censync.progress: what other sessions see of a run, who sees it, and that nothing remains of one.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncTest;
use HTTP::Tiny;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# Few backends, so that there are few slots: one that is not given back is soon missed.
my $node = new_node('main', <<'END');
shared_preload_libraries = 'censync'
fsync = off
log_statement = none
restart_after_crash = on
max_connections = 10
autovacuum_max_workers = 1
max_worker_processes = 5
max_wal_senders = 0
wal_level = minimal
END
# Ten sessions, the launcher and the worker of autovacuum, five other workers, of which our launcher is one; since 17 a process that
# synchronizes slots of replication.
my $slots = $node->pg_version < 17 ? 17 : 18;
if ($node->pg_version >= 18)
{
	$node->append_conf('postgresql.conf', 'autovacuum_worker_slots = 1');
	$node->restart;
}
my $http = start_http();

create_server($node, 'src', $http);
sql('CREATE TABLE t (id int PRIMARY KEY, name text)');
put_documents();

test_reading();
test_dripping();
test_limit();
test_waiting_to_apply();
test_statement();
test_refused();
test_roles();
test_endings();
test_runs_within_runs();
test_many_runs();
test_crash();
test_not_preloaded();

$node->stop;
done_testing();

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub put_documents
{
	$http->put('few', '[' . join(', ', map { qq({"id": $_, "name": "n$_"}) } 1 .. 7) . ']');
	$http->put('lines', join('', map { qq({"id": $_, "name": "name $_"}\n) } 1 .. 3000), 'application/x-ndjson');
	return;
}

# A psql with some statements, in the background.
sub start_session
{
	my ($name, $sql, $dbname) = @_;
	my ($out, $err) = ('', '');
	my $session = IPC::Run::start([ 'psql', '-XAtq', '-c', $sql,
			'-d', $node->connstr($dbname // 'postgres') . " application_name=$name" ],
		'<', '/dev/null', '>', \$out, '2>', \$err, IPC::Run::timeout(300));
	return { session => $session, out => \$out, err => \$err, name => $name };
}

# Returns what it wrote to stderr.
sub finish
{
	my ($started) = @_;
	eval { $started->{session}->finish };
	return ${ $started->{err} };
}

# Waits until a condition holds for one run.
sub wait_progress
{
	my ($condition, $title) = @_;
	return ok(wait_for($node, "SELECT EXISTS (SELECT FROM censync.progress WHERE $condition)"), $title)
	  || diag sql('SELECT * FROM censync.progress');
}

sub nothing_runs
{
	my ($title) = @_;
	return is(sql('SELECT count(*) FROM censync.run_progress()'), 0, "$title: nothing is shown");
}

# A session that holds what others will wait for, until its transaction is ended with release.
sub hold
{
	my ($sql) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 1);
	$session->query_safe("BEGIN; $sql");
	return $session;
}

sub release
{
	my ($session) = @_;
	$session->query_safe('COMMIT');
	$session->quit;
	return;
}

# A source that has sent some pages and then is silent.
sub test_reading
{
	sql(q{SELECT censync_create_sync('paged', 't', 'upsert', 'src',
		object => 'pages/offset?set=few&hold_at=3',
		options => '{"pagination": "offset", "page_size": 2, "total_path": "/total"}')});
	foreach my $case ([ 'CALL', "CALL censync_sync('paged')", 'f' ],
		[ 'a transaction', "BEGIN; SELECT count(*) FROM censync_run('paged', dry_run => true)", 't' ])
	{
		my ($title, $statement, $dry_run) = @$case;
		my $run = start_session('run', $statement);
		ok($http->wait_state(sub { $_->{waiting}{page} }), "$title: the source holds its third page");
		# What pages 1 and 2 have, asked for once more.
		my $bytes = 0;
		foreach my $request ((grep { $_->{path} eq '/pages/offset' } $http->log)[ 0, 1 ])
		{
			$bytes += length HTTP::Tiny->new->get($http->url($request->{target}))->{content};
		}
		wait_progress('records_read = 4 AND records_total IS NOT NULL', "$title: the records of two pages are seen");
		is(sql(q{SELECT sync, owner = current_user, dry_run, phase, records_read, bytes_read, records_done, records_total
			FROM censync.progress}), "paged|t|$dry_run|reading|4|$bytes|4|7", "$title: what it has read, and what is announced");
		is(sql('SELECT pid FROM censync.progress'), backend_pid($node, 'run'), "$title: by which process");
		is(sql(q{SELECT started_at <= phase_started_at AND phase_started_at <= changed_at AND changed_at <= clock_timestamp()
			AND started_at > now() - interval '1 min' FROM censync.progress}), 't', "$title: since when");
		is(sql(q{SELECT abs(records_per_second * extract(epoch FROM clock_timestamp() - phase_started_at) - 4) < 1,
			abs(extract(epoch FROM remaining - 0.75 * (clock_timestamp() - phase_started_at))) < 1 FROM censync.progress}),
			't|t', "$title: rate and remaining time");
		my ($seen) = sql('SELECT run_id FROM censync.progress');
		$http->release('page');
		is(finish($run), '', "$title: goes on");
		nothing_runs($title);
		is(sql("SELECT records_read, bytes_read > $bytes FROM censync.runs WHERE run_id = $seen"), '7|t', "$title: the same run is in the log")
		  if $title eq 'CALL';
		$http->reset;
		put_documents();
	}
	# An announced number that can't be true is no reason to fail.
	sql(q{SELECT censync_alter_sync('paged', object => 'pages/offset?set=few&hold_at=2&lie_total=1000000000000')});
	my $run = start_session('run', "CALL censync_sync('paged')");
	wait_progress('records_read = 2 AND records_total IS NOT NULL', 'an absurd total: a page is read');
	is(sql('SELECT records_total, remaining FROM censync.progress'), '1000000000000|', 'an absurd total: no remaining time');
	sql(q{SELECT pg_cancel_backend(pid) FROM censync.progress});
	finish($run);
	$http->reset;
	put_documents();
	return;
}

# Numbers that grow while one batch is being filled.
sub test_dripping
{
	sql(q{SELECT censync_create_sync('dripping', 't', 'upsert', 'src', object => 'data/lines?trickle=30000')});
	my $document = join '', map { qq({"id": $_, "name": "name $_"}\n) } 1 .. 3000;
	my $run      = start_session('run', "CALL censync_sync('dripping')");
	my ($samples, $wrong) = (0, '');
	my @last = (0, 0);
	while ($run->{session}->pumpable)
	{
		$run->{session}->pump_nb;
		my $seen = sql("SELECT records_read, bytes_read, phase, records_done, records_total FROM censync.progress") or next;
		my ($records, $bytes, $phase, $done, $total) = split /\|/, $seen;
		next if $phase ne 'reading';
		my $lines = substr($document, 0, $bytes) =~ tr/\n//;
		$samples++ if $records > $last[0];
		$wrong .= "$seen; " if $records < $last[0] || $bytes < $last[1] || $records > $lines || $done != $records || $total ne '';
		@last = ($records, $bytes);
	}
	is(finish($run), '', 'dripping: no error');
	is($wrong, '', 'dripping: numbers only grow, and no record is there before its bytes');
	cmp_ok($samples, '>', 3, "dripping: they grow before the first batch of a thousand is full");
	is(sql(q{SELECT records_read, bytes_read FROM censync.runs ORDER BY run_id DESC LIMIT 1}), '3000|' . length $document,
		'dripping: and end where they should');
	nothing_runs('dripping');
	return;
}

# A limited run shows no more than it takes.
sub test_limit
{
	my $session = hold('LOCK TABLE t IN SHARE MODE');
	my $run     = start_session('run', q{SELECT count(*) FROM censync_run('dripping', "limit" => 10)});
	wait_progress(q{phase = 'waiting'}, 'limit: is read');
	is(sql('SELECT records_read FROM censync.progress'), 10, 'limit: ten records');
	release($session);
	is(finish($run), '', 'limit: goes on');
	return;
}

# Locks of others: on the table, on a row; another run that applies to the same table.
sub test_waiting_to_apply
{
	sql(q{TRUNCATE t; INSERT INTO t SELECT i, 'old' FROM generate_series(1, 20) i;
		SELECT censync_create_sync('local', 't', 'mirror', query => 'SELECT i AS id, ''new'' AS name FROM generate_series(5, 24) i',
			options => '{"mirror_scope": "table"}');
		SELECT censync_create_sync('other', 't', 'append', query => 'SELECT 100 AS id')});
	my $table = hold('LOCK TABLE t IN SHARE MODE');
	my $run   = start_session('run', "CALL censync_sync('local')");
	wait_progress(q{sync = 'local' AND phase = 'waiting' AND records_read = 20}, 'table locked: waits after reading');
	release($table);
	is(finish($run), '', 'table locked: goes on');
	is(sql(q{SELECT string_agg(name || ' ' || n, ', ' ORDER BY name) FROM (SELECT name, count(*) AS n FROM t GROUP BY 1) x}),
		'new 20', 'table locked: and applies');

	sql(q{TRUNCATE t; INSERT INTO t SELECT i, 'old' FROM generate_series(1, 20) i});
	my $row = hold('SELECT FROM t WHERE id = 7 FOR UPDATE');
	$run = start_session('run', "CALL censync_sync('local')");
	wait_progress(q{phase = 'updating'}, 'row locked: waits while updating');
	is(sql('SELECT records_read, records_total, records_done < 16, remaining IS NULL OR remaining >= interval \'0\' FROM censync.progress'),
		'20|16|t|t', 'row locked: 16 rows to update, not all of them done');
	my $second = start_session('second', "CALL censync_sync('other')");
	wait_progress(q{sync = 'other' AND phase = 'waiting'}, 'two runs: the second waits for the first');
	is(sql(q{SELECT string_agg(sync || ' ' || phase || ' ' || (pid IN (SELECT pid FROM pg_stat_activity)), ', ' ORDER BY sync)
		FROM censync.progress}), 'local updating true, other waiting true', 'two runs: both are seen');
	release($row);
	is(finish($run) . finish($second), '', 'two runs: both go on');
	is(sql(q{SELECT records_updated, records_created, records_deleted FROM censync.runs WHERE sync = 'local' ORDER BY run_id DESC LIMIT 1}),
		'16|4|4', 'row locked: all is done');

	# A deletion that waits.
	sql(q{TRUNCATE t; INSERT INTO t SELECT i, 'old' FROM generate_series(1, 20) i});
	$row = hold('SELECT FROM t WHERE id = 2 FOR UPDATE');
	$run = start_session('run', "CALL censync_sync('local')");
	wait_progress(q{phase = 'deleting' AND records_total = 4}, 'deleted row locked: waits while deleting');
	release($row);
	is(finish($run), '', 'deleted row locked: goes on');
	nothing_runs('locks');
	return;
}

# Rows of one statement are counted while it runs; with and without the keys that a mirror wants back.
sub test_statement
{
	sql(q{CREATE TABLE slow (id int PRIMARY KEY, name text);
		CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM pg_catalog.pg_sleep(0.01), pg_catalog.count(*) FROM pg_catalog.pg_class;
			RETURN NEW;
		END $$;
		CREATE TRIGGER slow BEFORE INSERT OR UPDATE ON slow FOR EACH ROW EXECUTE FUNCTION slow();
		CREATE TABLE slow_source AS SELECT i AS id, 'n' AS name FROM generate_series(1, 250) i;
		SELECT censync_create_sync('slow', 'slow', 'mirror', query => 'SELECT * FROM slow_source')});
	foreach my $case ([ 'upsert', 'inserting' ], [ 'upsert', 'updating' ], [ 'mirror', 'updating' ])
	{
		my ($behavior, $expected) = @$case;
		my $title = "$behavior, $expected";
		sql("SELECT censync_alter_sync('slow', behavior => '$behavior'); UPDATE slow_source SET name = '$title'");
		my $run = start_session('run', "SELECT count(*) FROM censync_run('slow')");
		my ($last, $samples, $wrong) = (0, 0, '');
		while ($run->{session}->pumpable)
		{
			$run->{session}->pump_nb;
			my $seen = sql('SELECT phase, records_done, records_total FROM censync.progress') or next;
			my ($phase, $done, $total) = split /\|/, $seen;
			next if $phase ne $expected;
			$samples++ if $done > $last && $done < 250;
			$wrong .= "$seen; " if $done < $last || $done > 250 || $total != 250;
			$last = $done;
		}
		is(finish($run), '', "$title: no error");
		is($wrong, '', "$title: the count only grows, up to the total");
		cmp_ok($samples, '>=', 2, "$title: and does while the statement runs");
	}
	is(sql(q{SELECT name, count(*) FROM slow GROUP BY 1}), 'mirror, updating|250', 'statement: all is written');
	return;
}

# A set with rows that are refused begins anew, in parts.
sub test_refused
{
	sql(q{CREATE TABLE picky (id int PRIMARY KEY, name text CHECK (name <> 'bad'));
		CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF NEW.id = 2990 THEN
				PERFORM pg_catalog.pg_advisory_lock_shared(1), pg_catalog.pg_advisory_unlock_shared(1);
			END IF;
			RETURN NEW;
		END $$;
		CREATE TRIGGER gate BEFORE INSERT ON picky FOR EACH ROW EXECUTE FUNCTION gate();
		SELECT censync_create_sync('picky', 'picky', 'upsert', query =>
			'SELECT i AS id, CASE i WHEN 5 THEN ''bad'' ELSE ''good'' END AS name FROM generate_series(1, 3000) i')});
	my $lock = hold('SELECT pg_advisory_lock(1)');
	my $run  = start_session('run', "CALL censync_sync('picky')");
	wait_progress(q{phase = 'inserting' AND records_total = 3000 AND records_done >= 2048}, 'refused: two parts of three are done');
	$lock->query_safe('SELECT pg_advisory_unlock(1)');
	release($lock);
	is(finish($run), '', 'refused: goes on');
	is(sql(q{SELECT records_created, records_rejected FROM censync.runs WHERE sync = 'picky'}), '2999|1', 'refused: one of them');
	nothing_runs('refused');
	return;
}

# A role sees the runs of roles whose privileges it has, in its own database, however it asks.
sub test_roles
{
	sql(q{CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN; CREATE ROLE carol LOGIN IN ROLE alice; CREATE ROLE nobody LOGIN;
		CALL censync_admit('alice', 'owner'); CALL censync_admit('bob', 'owner'); CALL censync_admit('carol', 'viewer');
		GRANT USAGE ON FOREIGN SERVER src TO alice;
		CREATE TABLE of_alice (id int PRIMARY KEY, name text); ALTER TABLE of_alice OWNER TO alice});
	$node->safe_psql('postgres', q{SET SESSION AUTHORIZATION alice;
		SELECT censync_create_sync('of alice', 'of_alice', 'upsert', 'src', object => 'data/few?hold=gate')});
	$node->safe_psql('postgres', 'CREATE DATABASE elsewhere');
	$node->safe_psql('elsewhere', 'CREATE EXTENSION censync');
	my $run = start_session('run', "SET SESSION AUTHORIZATION alice; SELECT count(*) FROM censync_run('of alice')");
	wait_progress(q{phase = 'reading'}, 'roles: a superuser sees it');
	my $ask = q{SELECT (SELECT string_agg(sync || ' of ' || owner, ',') FROM censync.progress),
		(SELECT string_agg(sync, ',') FROM censync.run_progress())};
	foreach my $case ([ alice => 'of alice of alice|of alice' ], [ bob => '|' ], [ carol => 'of alice of alice|of alice' ])
	{
		is(sql("SET SESSION AUTHORIZATION $case->[0]; $ask"), $case->[1], "roles: $case->[0]");
	}
	my (undef, undef, $err) = $node->psql('postgres', 'SET SESSION AUTHORIZATION nobody; SELECT * FROM censync.progress');
	like($err, qr/permission denied for schema censync/, 'roles: nobody was admitted');
	is($node->safe_psql('elsewhere', $ask), '|', 'roles: another database has other runs');
	$http->release('gate');
	is(finish($run), '', 'roles: goes on');
	$http->reset;
	put_documents();
	return;
}

# However a run ends, its slot is free again; more often than there are slots.
sub test_endings
{
	sql(q{SELECT censync_create_sync('held', 't', 'upsert', 'src', object => 'data/few?hold=gate')});
	my %ways = (
		cancel    => [ 'SELECT pg_cancel_backend(pid) FROM censync.progress', qr/canceling statement due to user request/ ],
		terminate => [ 'SELECT pg_terminate_backend(pid) FROM censync.progress', qr/terminating connection/ ]);
	foreach my $way (sort keys %ways)
	{
		foreach my $statement ("CALL censync_sync('held')", "SELECT FROM censync_run('held')", "BEGIN; SELECT FROM censync_run('held')")
		{
			my $run = start_session('run', $statement);
			wait_progress(q{phase = 'reading'}, "$way of $statement: it runs");
			sql($ways{$way}[0]);
			like(finish($run), $ways{$way}[1], "$way of $statement: it ends");
			ok(wait_for($node, 'SELECT count(*) = 0 FROM censync.run_progress()'), "$way of $statement: nothing is shown");
		}
	}
	# The log of a canceled run is written by a worker, which has the library from the server.
	ok(wait_for($node, q{SELECT count(*) = 3 FROM censync.runs WHERE sync = 'held' AND status = 'canceled'}),
		'cancel: each is in the log');
	# While a statement is being watched, too.
	foreach my $way (('cancel', 'terminate') x 10)
	{
		sql("UPDATE slow_source SET name = clock_timestamp()::text");
		my $run = start_session('run', "CALL censync_sync('slow')");
		wait_for($node, q{SELECT EXISTS (SELECT FROM censync.progress WHERE phase = 'updating')}) or last;
		sql($ways{$way}[0]);
		like(finish($run), $ways{$way}[1], "$way while updating: it ends");
		ok(wait_for($node, 'SELECT count(*) = 0 FROM censync.run_progress()'), "$way while updating: nothing is shown");
	}
	# Errors of every step.
	sql(q{SELECT censync_create_sync('lost', 't', 'upsert', 'src', object => 'bad/404');
		SELECT censync_create_sync('timeout', 't', 'upsert', 'src', object => 'data/few?hold=gate', options => '{"timeout": 1}');
		SELECT censync_create_sync('strict', 'picky', 'upsert', query => 'SELECT 5 AS id, ''bad'' AS name', options => '{"on_error": "fail"}')});
	foreach my $sync ('lost', 'timeout', 'strict')
	{
		is(run_sync($node, $sync)->{status}, 'failed', "$sync: fails");
		my (undef, undef, $err) = $node->psql('postgres', "CALL censync_sync('$sync')");
		like($err, qr/^psql:<stdin>:1: ERROR/, "$sync: fails the call, too");
		nothing_runs($sync);
	}
	$http->reset;
	put_documents();
	return;
}

# Runs within runs, by triggers, deeper than there are slots: each has its own, the last has none, and works.
sub test_runs_within_runs
{
	my $depth = $slots + 1;
	sql(q{CREATE FUNCTION go_on() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF TG_ARGV[0] = 'wait' THEN
				PERFORM pg_catalog.pg_advisory_lock_shared(2), pg_catalog.pg_advisory_unlock_shared(2);
			ELSE
				PERFORM public.censync_run(TG_ARGV[0]);
			END IF;
			RETURN NEW;
		END $$});
	foreach my $i (1 .. $depth)
	{
		my $next = $i < $depth ? 'chain_' . ($i + 1) : 'wait';
		sql("CREATE TABLE chain_$i (id int PRIMARY KEY);
			CREATE TRIGGER go_on BEFORE INSERT ON chain_$i FOR EACH ROW EXECUTE FUNCTION go_on('$next');
			SELECT censync_create_sync('chain_$i', 'chain_$i', 'upsert', query => 'SELECT count(*)::int AS id FROM chain_$i')");
	}
	run_chain('runs within runs');
	return;
}

sub run_chain
{
	my ($title) = @_;
	my $lock = hold('SELECT pg_advisory_xact_lock(2)');
	my $run  = start_session('run', q{SELECT status FROM censync_run('chain_1')});
	ok(wait_for($node, q{SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND NOT granted)}),
		"$title: the innermost waits");
	is(sql('SELECT count(*), count(DISTINCT sync), string_agg(DISTINCT phase, $$, $$) FROM censync.progress'),
		"$slots|$slots|inserting", "$title: every slot can be had");
	release($lock);
	is(finish($run) . ${ $run->{out} }, "completed\n", "$title: goes on");
	nothing_runs($title);
	return;
}

# One session, a thousand runs, good and bad: no memory and no slot is lost.
sub test_many_runs
{
	sql(q{CREATE TABLE few (id int PRIMARY KEY, name text CHECK (name <> 'bad'));
		SELECT censync_create_sync('good', 'few', 'mirror', query => 'SELECT 1 AS id, random()::text AS name');
		SELECT censync_create_sync('poor', 'few', 'upsert', query => 'SELECT 2 AS id, ''bad'' AS name');
		SELECT censync_create_sync('broken', 'few', 'upsert', query => 'SELECT 1/(random() * 0)::int AS id, ''x'' AS name')});
	my $loop    = join '', map { "SELECT FROM censync_run('$_');\nCALL censync_sync('$_');\n" } 'good', 'good', 'good', 'poor', 'broken';
	my $measure = q{SELECT '@', (SELECT sum(total_bytes) FROM pg_backend_memory_contexts), (SELECT count(*) FROM censync.progress);
	};
	my (undef, $out, $err) = $node->psql('postgres', 'SET client_min_messages = fatal;' . $loop x 20 . $measure . $loop x 100 . $measure,
		on_error_stop => 0, timeout => 200);
	my @measured = map { [ split /\|/ ] } grep { /^@/ } split /\n/, $out;
	is(sql(q{SELECT string_agg(sync || ' ' || status || ' ' || n, ', ' ORDER BY sync) FROM
		(SELECT sync, status, count(*) AS n FROM censync.runs WHERE sync IN ('good', 'poor', 'broken') GROUP BY 1, 2) x}),
		'broken failed 240, good completed 720, poor failed 240', 'many runs: each as expected') or diag $err;
	cmp_ok($measured[1][1] - $measured[0][1], '<', 64 * 1024, 'many runs: memory does not grow');
	is($measured[1][2], 0, 'many runs: none is shown');
	run_chain('after many runs');
	return;
}

# A crash takes all of them.
sub test_crash
{
	foreach my $statement ("CALL censync_sync('held')", "SELECT FROM censync_run('held')")
	{
		my $run = start_session('run', $statement);
		wait_progress(q{sync = 'held' AND phase = 'reading'}, 'crash: it runs');
		my $pid = sql('SELECT pid FROM censync.progress');
		my $start = sql('SELECT pg_postmaster_start_time()');
		kill 'KILL', $pid;
		like(finish($run), qr/server closed the connection unexpectedly/, 'crash: its backend is gone');
		sleep 0.2;
		ok($node->poll_query_until('postgres', 'SELECT true'), 'crash: the server starts again');
		is(sql('SELECT pg_postmaster_start_time()'), $start, 'crash: by itself');
		nothing_runs('crash');
	}
	is(sql(q{SELECT status FROM censync.runs WHERE sync = 'held' ORDER BY run_id DESC LIMIT 1}), 'crashed', 'crash: the log says so');
	$http->reset;
	put_documents();
	run_chain('after a crash');
	return;
}

# Without the library in shared_preload_libraries runs run, and nothing shows.
sub test_not_preloaded
{
	$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
	$node->restart;
	my $run = start_session('run', "CALL censync_sync('held')");
	ok($http->wait_state(sub { $_->{waiting}{gate} }), 'not preloaded: a run waits for its source');
	is(sql(q{SELECT status FROM censync.runs ORDER BY run_id DESC LIMIT 1}), 'running', 'not preloaded: it is in the log');
	is(sql('SELECT count(*) FROM censync.progress'), 0, 'not preloaded: the view is empty');
	like(sql(q{SELECT obj_description('censync.progress'::regclass)}), qr/empty unless shared_preload_libraries has censync/,
		'not preloaded: and its comment says why');
	$http->release('gate');
	is(finish($run), '', 'not preloaded: goes on');
	# Too late: the session has the library, but there is no shared memory.
	is(sql(q{LOAD 'censync'; SELECT count(*) FROM censync.progress; SELECT status FROM censync_run('good')}), "0\ncompleted",
		'not preloaded: LOAD does no harm');
	return;
}
