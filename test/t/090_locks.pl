# Which locks a run holds in each of its phases, and who waits for whom: the table in docs/guarantees.md.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', <<'END');
fsync = off
autovacuum = off
END
my $http = start_http();

create_server($node, 'src', $http);
$http->put('rows', '[' . join(', ', map { qq({"id": $_, "name": "new"}) } 2 .. 4) . ']');
sql(q{
	CREATE TABLE t (id int PRIMARY KEY, name text, note text);
	INSERT INTO t VALUES (1, 'old'), (2, 'old'), (3, 'new'), (9, 'old');
	CREATE TABLE bystander (id int);
	CREATE TABLE local (id int PRIMARY KEY, name text);
	INSERT INTO local VALUES (2, 'new'), (3, 'new'), (4, 'new');
	CREATE FUNCTION gate(n int) RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM pg_advisory_lock_shared(n), pg_advisory_unlock_shared(n);
		RETURN true;
	END $$;
	CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
	BEGIN
		IF current_setting('application_name') = 'r' THEN
			PERFORM gate(2);
		END IF;
		RETURN NULL;
	END $$;
	CREATE TRIGGER hold AFTER INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION hold();
	SELECT censync_create_sync('s', 't', 'mirror', 'src', object => 'data/rows');
	SELECT censync_create_sync('slow', 't', 'mirror', 'src', object => 'data/rows?hold=gate');
	SELECT censync_create_sync('query', 't', 'mirror', query => 'SELECT * FROM local WHERE gate(1)');
	SELECT censync_create_sync('other', 't', 'update', query => 'SELECT 9 AS id, ''other'' AS name');
});

my $other = session('other');
my @phases = (
	[ 'reading', 'slow', sub { }, sub { $http->release('gate') } ],
	[ 'waiting for the table', 's', sub { say_to($other, 'BEGIN; LOCK TABLE t IN SHARE MODE') },
		sub { say_to($other, 'ROLLBACK') } ],
	[ 'waiting for its turn', 's', sub { say_to($other, q{BEGIN; SELECT FROM censync_run('other')}) },
		sub { say_to($other, 'ROLLBACK') } ],
	[ 'waiting for a row', 's', sub { say_to($other, 'BEGIN; UPDATE t SET note = note WHERE id = 2') },
		sub { say_to($other, 'ROLLBACK') } ],
	[ 'writing', 's', sub { say_to($other, 'SELECT pg_advisory_lock(2)') },
		sub { say_to($other, 'SELECT pg_advisory_unlock(2)') } ]);

# The locks of CALL censync_sync, and those that SELECT censync_run has besides from its beginning.
my $run   = 'advisory run ExclusiveLock';
my $xid   = 'transactionid ExclusiveLock';
my $extension = 'object pg_extension AccessShareLock';
my $table = 'relation t RowExclusiveLock';
my $turn  = 'advisory turn ExclusiveLock';
my @own_memory = map { "relation censync.mirror_$_ AccessShareLock" } qw(memory state);
my %of_call    = (
	'reading'               => [$run],
	'waiting for the table' => [ $run, $extension, 'WAITS relation t RowExclusiveLock' ],
	'waiting for its turn'  => [ $run, $extension, $table, 'WAITS advisory turn ExclusiveLock' ],
	'waiting for a row' => [ $run, $extension, $table, 'relation t AccessShareLock', $turn, @own_memory, $xid,
		'tuple t ExclusiveLock', 'WAITS transactionid ShareLock' ],
	'writing' => [ $run, $extension, $table, 'relation t AccessShareLock', $turn, @own_memory, $xid,
		'WAITS advisory 2 ShareLock' ]);

# What others do, each in a transaction that is undone, and whether the run keeps them waiting.
my @commands = (
	[ 'SELECT'              => 'SELECT count(*) FROM t' ],
	[ 'LOCK ACCESS SHARE'   => 'LOCK TABLE t IN ACCESS SHARE MODE' ],
	[ 'INSERT'              => q{INSERT INTO t VALUES (100, 'app')} ],
	[ 'UPDATE unchanged'    => q{UPDATE t SET note = 'app' WHERE id = 3} ],
	[ 'UPDATE of others'    => q{UPDATE t SET note = 'app' WHERE id = 9} ],
	[ 'UPDATE written'      => q{UPDATE t SET note = 'app' WHERE id = 2} ],
	[ 'INSERT written'      => q{INSERT INTO t VALUES (4, 'app')} ],
	[ 'KEY SHARE written'   => 'SELECT FROM t WHERE id = 2 FOR KEY SHARE' ],
	[ 'ANALYZE'             => 'ANALYZE t' ],
	[ 'CREATE INDEX'        => 'CREATE INDEX ON t (name)' ],
	[ 'CREATE TRIGGER'      => 'CREATE TRIGGER more AFTER DELETE ON t EXECUTE FUNCTION hold()' ],
	[ 'ALTER TABLE'         => 'ALTER TABLE t ADD more int' ],
	[ 'TRUNCATE'            => 'TRUNCATE t' ],
	[ 'DROP TABLE'          => 'DROP TABLE t' ],
	[ 'LOCK SHARE'          => 'LOCK TABLE t IN SHARE MODE' ],
	[ 'VACUUM'              => 'VACUUM t' ],
	[ 'VACUUM FULL'         => 'VACUUM FULL t' ],
	[ 'CREATE INDEX CONCURRENTLY' => 'CREATE INDEX CONCURRENTLY more ON t (name)' ],
	[ 'REINDEX CONCURRENTLY' => 'REINDEX INDEX CONCURRENTLY t_pkey' ],
	[ 'DROP SYNC'           => 'SELECT censync_drop_sync(name) FROM censync.syncs' ],
	[ 'PAUSE'               => 'SELECT censync_pause(name) FROM censync.syncs' ]);

# SHARE, which the second phase has to have, keeps writers and each other out by itself.
my @all_ddl = ('CREATE INDEX', 'CREATE TRIGGER', 'ALTER TABLE', 'TRUNCATE', 'DROP TABLE', 'LOCK SHARE',
	'VACUUM FULL', 'CREATE INDEX CONCURRENTLY', 'REINDEX CONCURRENTLY');
my %kept_waiting = (
	'reading'              => [],
	# the rows named here are locked by the session that the run waits for
	'waiting for its turn' => [ @all_ddl, 'UPDATE of others' ],
	'waiting for a row'    => [ @all_ddl, 'UPDATE written' ],
	'writing'              => [ @all_ddl, 'UPDATE written', 'INSERT written' ]);

test_phases();
test_reading_by_run();
test_reading_a_query();
test_after();
test_others_first();
test_dump();

$node->stop;
done_testing();

sub sql { return $node->safe_psql('postgres', $_[0]) }

# A psql that is told one thing after the other.
sub session
{
	my ($name) = @_;
	my %session = (in => '', out => '', err => '', name => $name);
	$session{process} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') . " application_name=$name" ],
		'<', \$session{in}, '>', \$session{out}, '2>', \$session{err}, IPC::Run::timeout(60));
	say_to(\%session, 'SELECT');
	return \%session;
}

sub ask
{
	my ($session, $sql) = @_;
	$session->{out} = $session->{err} = '';
	$session->{in} .= "\\echo asked\n$sql;\n\\echo done\n";
	$session->{process}->pump until $session->{out} =~ s/^asked\n//m;
	return;
}

# Waits for the answer and returns it, errors first.
sub hear
{
	my ($session) = @_;
	$session->{process}->pump until $session->{out} =~ /^done$/m;
	return $session->{err} . $session->{out} =~ s/^done\n//mr;
}

sub say_to
{
	my ($session, $sql) = @_;
	ask($session, $sql);
	return hear($session);
}

sub pid_of { return backend_pid($node, $_[0]{name}) }

# Locks on tables and advisory locks of a session, without those on indexes, sequences and catalogs.
sub locks
{
	my ($session, $what) = @_;
	my $pid = pid_of($session);
	return sql(qq{
		SELECT string_agg(l, E'\\n' ORDER BY l COLLATE "C") FROM (SELECT DISTINCT concat_ws(' ',
			CASE WHEN NOT granted THEN 'WAITS' END, locktype,
			CASE WHEN locktype = 'object' THEN classid::regclass::text WHEN locktype <> 'advisory' THEN relation::regclass::text
				WHEN objsubid = -15103 THEN 'run' WHEN objsubid = -15102 THEN 'turn' ELSE objid::text END, mode) AS l
		FROM pg_locks LEFT JOIN pg_class c ON c.oid = relation AND database <> 0
		WHERE pid = $pid AND locktype <> 'virtualxid'
			AND (relation IS NULL OR (c.relkind IN ('r', 'p') AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace)))) x});
}

sub lines { return join "\n", sort @_ }

# Those of the commands that have to wait; every other one has to succeed.
sub who_waits
{
	my ($phase) = @_;
	my @waiting;
	foreach my $command (@commands)
	{
		my ($name, $sql) = @$command;
		my $alone = $sql =~ /^VACUUM|CONCURRENTLY/;
		my (undef, $out, $err) = $node->psql('postgres', "SET lock_timeout = '200ms';\n"
			. ($alone ? $sql : "BEGIN;\n$sql;\nROLLBACK") . ';', on_error_stop => 1);
		push @waiting, $name if $err =~ /lock timeout/;
		if ($name eq 'DROP SYNC')
		{
			like($err, qr/sync ".*" is running/, "$phase: the sync is not dropped from under its run, and nobody waits");
		}
		elsif ($err !~ /lock timeout/)
		{
			is($err, '', "$phase: $name need not wait");
		}
	}
	return @waiting;
}

sub test_phases
{
	foreach my $phase (@phases)
	{
		my ($name, $sync, $begin, $end) = @$phase;
		my $r = session('r');
		my $pid = pid_of($r);

		$begin->();
		ask($r, "CALL censync_sync('$sync')");
		ok($name eq 'reading' ? $http->wait_state(sub { $_->{waiting}{gate} })
			: wait_for($node, "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $pid"),
			"$name: the run is there");
		is(locks($r), lines(@{ $of_call{$name} }), "$name: locks");
		is(sql("SELECT backend_xmin IS NULL FROM pg_stat_activity WHERE pid = $pid"), $name eq 'reading' ? 't' : 'f',
			"$name: snapshot");
		is(lines(who_waits($name)), lines(@{ $kept_waiting{$name} }), "$name: who has to wait for it")
		  if $kept_waiting{$name};
		if ($name eq 'reading')
		{
			sql('INSERT INTO bystander SELECT generate_series(1, 1000)');
			sql('DELETE FROM bystander');
			sql('VACUUM bystander');
			is(sql(q{SELECT pg_relation_size('bystander')}), 0, 'reading: VACUUM removes what is dead everywhere');
		}
		is($end->() // '', $name eq 'writing' ? "t\n" : $name eq 'reading' ? '' : '', "$name: goes on");
		is(hear($r), '', "$name: no error");
		is(locks($r), '', "$name: no lock is left");
		is(sql('SELECT status FROM censync.runs ORDER BY run_id DESC LIMIT 1'), 'completed', "$name: completed");
		$r->{process}->kill_kill;
		restore();
	}
	return;
}

# With it goes what a concurrent build leaves behind when it gives up.
sub restore
{
	sql("DROP INDEX $_") foreach split /\n/, sql(q{SELECT indexrelid::regclass FROM pg_index
		WHERE indrelid = 't'::regclass AND indexrelid <> 't_pkey'::regclass});
	sql(q{TRUNCATE t; INSERT INTO t VALUES (1, 'old'), (2, 'old'), (3, 'new'), (9, 'old');
		DELETE FROM censync.mirror_memory; DELETE FROM censync.mirror_state});
	return;
}

# SELECT censync_run: the statement around it has a snapshot, and its log is not yet committed.
sub test_reading_by_run
{
	my $r = session('r');

	ask($r, "SELECT status FROM censync_run('slow')");
	ok($http->wait_state(sub { $_->{waiting}{gate} }), 'reading, censync_run: the run is there');
	is(locks($r), lines($run, $extension, $xid, 'relation censync.run_log RowExclusiveLock',
			'relation censync.sync_definition AccessShareLock'),
		'reading, censync_run: locks');
	is(sql('SELECT backend_xmin IS NULL FROM pg_stat_activity WHERE pid = ' . pid_of($r)), 'f',
		'reading, censync_run: the snapshot of the statement');
	is(lines(who_waits('reading, censync_run')), lines('CREATE INDEX CONCURRENTLY', 'REINDEX CONCURRENTLY'),
		'reading, censync_run: who has to wait for it');
	$http->release('gate');
	is(hear($r), "completed\n", 'reading, censync_run: completed');
	$r->{process}->kill_kill;
	restore();
	return;
}

# A query in this database: its own snapshot and locks, whichever way it is run.
sub test_reading_a_query
{
	my $r = session('r');

	say_to($other, 'SELECT pg_advisory_lock(1)');
	ask($r, "CALL censync_sync('query')");
	ok(wait_for($node, q{SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = } . pid_of($r)),
		'reading a query: the run is there');
	is(locks($r), lines($run, 'relation local AccessShareLock', 'WAITS advisory 1 ShareLock'), 'reading a query: locks');
	is(sql('SELECT backend_xmin IS NULL FROM pg_stat_activity WHERE pid = ' . pid_of($r)), 'f',
		'reading a query: the snapshot of the query');
	is(lines(who_waits('reading a query')), lines('CREATE INDEX CONCURRENTLY', 'REINDEX CONCURRENTLY'),
		'reading a query: who has to wait for it');
	say_to($other, 'SELECT pg_advisory_unlock(1)');
	is(hear($r), '', 'reading a query: no error');
	$r->{process}->kill_kill;
	restore();
	return;
}

# Everything is held until the transaction ends, and nothing longer.
sub test_after
{
	my $r = session('r');

	say_to($r, q{BEGIN; SELECT FROM censync_run('s', dry_run => true)});
	is(locks($r), lines($run, $extension, $xid, 'relation censync.sync_definition AccessShareLock',
			map { "relation censync.run_log $_" } 'AccessShareLock', 'RowExclusiveLock'),
		'after a dry run: no turn, and none on the table');
	say_to($r, 'ROLLBACK');
	say_to($r, q{BEGIN; SELECT FROM censync_run('s')});
	like(locks($r), qr/^\Q$turn\E\n.*^\Q$table\E$/ms, 'after a run: its locks are held until the transaction ends');
	is(lines(who_waits('after a run')), lines(@all_ddl, 'UPDATE written', 'INSERT written'),
		'after a run: who has to wait for it');
	say_to($r, 'COMMIT');
	is(locks($r), '', 'after the transaction: none');
	restore();

	say_to($r, q{BEGIN; SAVEPOINT a; SELECT FROM censync_run('s'); ROLLBACK TO a});
	is(locks($r), $xid, 'after going back to a savepoint before the run: none');
	say_to($r, 'COMMIT');
	$r->{process}->kill_kill;
	return;
}

# Another session locked the table first: in which modes does the run wait, and has it read by then?
sub test_others_first
{
	my @modes = ([ 'ACCESS SHARE', '' ], [ 'ROW SHARE', '' ], [ 'ROW EXCLUSIVE', '' ], [ 'SHARE UPDATE EXCLUSIVE', '' ],
		[ 'SHARE', 3 ], [ 'SHARE ROW EXCLUSIVE', 3 ], [ 'EXCLUSIVE', 3 ], [ 'ACCESS EXCLUSIVE', 0 ]);

	foreach my $case (@modes)
	{
		my ($mode, $read) = @$case;
		say_to($other, "BEGIN; LOCK TABLE t IN $mode MODE");
		my (undef, undef, $err) = $node->psql('postgres', "SET lock_timeout = '300ms';\nCALL censync_sync('s')");
		if ($read eq '')
		{
			is($err, '', "$mode: the run does not wait");
		}
		else
		{
			like($err, qr/canceling statement due to lock timeout/, "$mode: the run waits");
			is(sql('SELECT status, error_code, records_read FROM censync.runs ORDER BY run_id DESC LIMIT 1'),
				"failed|55P03|$read", $mode eq 'ACCESS EXCLUSIVE' ? "$mode: before it reads" : "$mode: once it has read");
		}
		say_to($other, 'ROLLBACK');
		restore();
	}
	return;
}

# pg_dump takes the table with or without the run, and nobody waits.
sub test_dump
{
	my $r = session('r');
	my @dump = ('pg_dump', '--data-only', '--table=t', '--lock-wait-timeout=1s', '-d', $node->connstr('postgres'));

	say_to($other, 'SELECT pg_advisory_lock(2)');
	ask($r, "CALL censync_sync('s')");
	ok(wait_for($node, q{SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = } . pid_of($r)),
		'pg_dump: the run writes');
	my ($during, $err) = run_command(\@dump);
	is($err, '', 'pg_dump: need not wait');
	is(join(' ', $during =~ /^(\d+\t\w+)\t/mg), "1\told 2\told 3\tnew 9\told", 'pg_dump: as before the run');
	say_to($other, 'SELECT pg_advisory_unlock(2)');
	is(hear($r), '', 'pg_dump: the run ends');
	my ($after) = run_command(\@dump);
	is(join(' ', $after =~ /^(\d+\t\w+)\t/mg), "1\told 3\tnew 9\told 2\tnew 4\tnew", 'pg_dump: as after the run');
	$r->{process}->kill_kill;
	return;
}
