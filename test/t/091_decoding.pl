# What a run looks like from outside its database: to a logical decoder, to a subscriber of a publication,
# and on a standby.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 'logical');
$node->append_conf('postgresql.conf', "autovacuum = off\ncensync.allowed_hosts = '127.0.0.0/8'");
$node->start;
sql(q{
	CREATE EXTENSION censync;
	CREATE TABLE source (id int PRIMARY KEY, name text);
	CREATE TABLE t (id int PRIMARY KEY, name text CHECK (name <> 'bad'), long text, seen int);
	-- a value out of line, which no sync writes
	ALTER TABLE t ALTER long SET STORAGE EXTERNAL;
	INSERT INTO source SELECT i, 'v' || i FROM generate_series(1, 4) i;
	SELECT censync_create_sync('m', 't', 'mirror', query => 'SELECT * FROM source');
	SELECT status FROM censync_run('m');
	UPDATE t SET long = repeat('x', 10000);
	CREATE FUNCTION gate(n int) RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM pg_advisory_lock_shared(n), pg_advisory_unlock_shared(n);
		RETURN true;
	END $$;
	SELECT censync_create_sync('held', 't', 'update', query => 'SELECT * FROM source WHERE gate(1)');
});

test_decoder();
test_subscriber();
test_publication_of_all();
test_standby();
done_testing();

sub sql { return $node->safe_psql('postgres', $_[0]) }

# Transactions since the last look, without numbers: BEGIN ... COMMIT; of table t, or of all tables.
sub decoded
{
	my ($all) = @_;
	my $changes = sql(q{SELECT data FROM pg_logical_slot_get_changes('slot', NULL, NULL, 'include-xids', '0')});
	$changes = join "\n", grep { $all || !/^table / || /^table public\.t:/ } split /\n/, $changes;
	1 while $changes =~ s/^BEGIN\nCOMMIT\n?//m;
	# In which order the rows of one statement come is nobody's promise.
	$changes =~ s/((?:^table public\.t: INSERT.*\n)+)/join '', sort { $a cmp $b } $1 =~ m{(.*\n)}g/gme;
	return $changes;
}

sub test_decoder
{
	sql(q{SELECT pg_create_logical_replication_slot('slot', 'test_decoding')});
	sql(q{UPDATE source SET name = 'two' WHERE id = 2; DELETE FROM source WHERE id = 1;
		INSERT INTO source VALUES (5, 'v5'), (6, 'v6')});
	decoded();

	# Deleted, updated, inserted; unchanged rows and unmapped columns are not written.
	my $expected = join "\n", 'BEGIN',
	  'table public.t: DELETE: id[integer]:1',
	  q(table public.t: UPDATE: id[integer]:2 name[text]:'two' long[text]:unchanged-toast-datum seen[integer]:null),
	  q(table public.t: INSERT: id[integer]:5 name[text]:'v5' long[text]:null seen[integer]:null),
	  q(table public.t: INSERT: id[integer]:6 name[text]:'v6' long[text]:null seen[integer]:null), 'COMMIT';
	sql(q{CALL censync_sync('m')});
	is(decoded(), $expected, 'a run is one transaction, with the changed rows only');

	sql(q{CALL censync_sync('m')});
	is(decoded(), '', 'a run without changes writes nothing to the table');
	sql(q{SELECT FROM censync_run('m', dry_run => true)});
	is(decoded(), '', 'nor does a dry run');

	# A refused row: what was tried and undone is not seen.
	sql(q{INSERT INTO source VALUES (7, 'v7'), (8, 'bad'), (9, 'v9')});
	decoded();
	sql(q{CALL censync_sync('m')});
	is(decoded() =~ s/ long.*//mgr, join("\n", 'BEGIN', q(table public.t: INSERT: id[integer]:7 name[text]:'v7'),
			q(table public.t: INSERT: id[integer]:9 name[text]:'v9'), 'COMMIT'), 'attempts that were undone are not seen');
	sql(q{DELETE FROM source WHERE id = 8; UPDATE source SET name = 'bad' WHERE id = 9; INSERT INTO source VALUES (10, 'v10');
		SELECT censync_alter_sync('m', options => '{"on_error": "fail"}')});
	decoded();
	$node->psql('postgres', q{CALL censync_sync('m')});
	is(decoded(), '', 'a run that failed is not seen');
	sql(q{UPDATE source SET name = 'v9' WHERE id = 9; SELECT censync_alter_sync('m', options => '{"on_error": null}')});

	# Two runs in one transaction are one; and what the log says comes with what it says.
	decoded();
	sql(q{BEGIN; UPDATE source SET name = 'x' WHERE id = 9; SELECT FROM censync_run('m'); UPDATE source SET name = 'y' WHERE id = 9;
		SELECT FROM censync_run('m'); COMMIT});
	my $both = decoded(1);
	is(scalar(() = $both =~ /^BEGIN$/mg), 1, 'runs in one transaction are one transaction');
	is(join(' ', $both =~ /^table public\.t: (\w+: id\[integer\]:\d+ name\[text\]:'\w+')/mg),
		q(UPDATE: id[integer]:9 name[text]:'x' INSERT: id[integer]:10 name[text]:'v10' UPDATE: id[integer]:9 name[text]:'y'),
		'... in their order');
	is(scalar(() = $both =~ /^table censync\.run_log: UPDATE.*'completed'/mg), 2, '... with their log');
	sql(q{UPDATE source SET name = 'z' WHERE id = 9});
	decoded();
	sql(q{CALL censync_sync('m')});
	like(decoded(1), qr/\ABEGIN\ntable censync\.run_log: INSERT.*'running'.*\nCOMMIT\nBEGIN\ntable public\.t: UPDATE.*\n(?:table censync\.mirror_memory.*\n)?table censync\.run_log: UPDATE.*'completed'.*\nCOMMIT\z/,
		'CALL: the log is opened in a transaction before, and closed in the one of the changes');
	sql(q{SELECT pg_drop_replication_slot('slot')});
	return;
}

# Somebody who follows the table by a publication.
sub test_subscriber
{
	my $subscriber = PostgreSQL::Test::Cluster->new('subscriber');

	$subscriber->init;
	$subscriber->start;
	$subscriber->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY, name text, long text, seen int)');
	sql('CREATE PUBLICATION p FOR TABLE t');
	$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION s CONNECTION " . sql_literal($node->connstr('postgres')) . ' PUBLICATION p');
	$subscriber->wait_for_subscription_sync($node, 's');
	sql(q{DELETE FROM source WHERE id = 2; UPDATE source SET name = 'three' WHERE id = 3; INSERT INTO source VALUES (11, 'v11')});
	sql(q{CALL censync_sync('m')});
	$node->wait_for_catchup('s');
	my $rows = q{SELECT string_agg(t::text, ' ' ORDER BY id) FROM t};
	is($subscriber->safe_psql('postgres', $rows), sql($rows), 'a subscriber has the same rows');
	$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION s');
	$subscriber->stop;
	return;
}

# A publication FOR ALL TABLES has the extension's own tables, and from those without a replica identity nothing
# could be deleted.
sub test_publication_of_all
{
	sql(q{CREATE PUBLICATION everything FOR ALL TABLES; CREATE TABLE u (id int PRIMARY KEY); CREATE TABLE v AS SELECT generate_series(1, 3) AS id; ALTER TABLE v ADD PRIMARY KEY (id);
		SELECT censync_create_sync('p', 'u', 'mirror', query => 'SELECT id FROM v', options => '{"log_records": "changes", "retention": "1ms"}');
		CALL censync_sync('p'); DELETE FROM v WHERE id = 3; CALL censync_sync('p')});
	is(sql(q{SELECT status, records_deleted FROM censync.runs WHERE sync = 'p' ORDER BY run_id DESC LIMIT 1}), 'completed|1', 'a mirror whose memory is published forgets');
	isnt(sql(q{SELECT count(*) FROM censync.records WHERE sync_key IS NOT NULL}), '0', '... it has logged its changes');
	sql(q{CALL censync_prune()});
	is(sql(q{SELECT count(*) FROM censync.record_log l JOIN censync.runs r USING (run_id) WHERE r.sync = 'p'}), '0', '... its records are pruned');
	sql(q{SELECT censync_reset('p'); CALL censync_sync('p'); SELECT censync_drop_sync('p'); DROP PUBLICATION everything; DROP TABLE u, v});
	is(sql(q{SELECT count(*) FROM pg_class c WHERE relnamespace = 'censync'::regnamespace AND relkind = 'r' AND relreplident <> 'f'
		AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary)}), '0', 'every table of the extension has a replica identity');
	return;
}

# On a standby a run is seen, and none can be made.
sub test_standby
{
	my $standby = PostgreSQL::Test::Cluster->new('standby');
	my ($out, $err);

	$node->backup('backup');
	$standby->init_from_backup($node, 'backup', has_streaming => 1);
	$standby->start;
	foreach my $case ([ q{SELECT FROM censync_run('m')}, 'censync_run()' ], [ q{SELECT FROM censync_run('m', dry_run => true)}, 'censync_run()' ],
		[ q{CALL censync_sync('m')}, 'censync_sync()' ])
	{
		(undef, undef, $err) = $standby->psql('postgres', $case->[0]);
		like($err, qr/ERROR:  cannot execute \Q$case->[1]\E during recovery/, "standby: $case->[0]");
	}

	my ($held_out, $held_err) = ('', '');
	my ($gate_in, $gate_out) = ("SELECT 'shut', pg_advisory_lock(1);\n", '');
	my $gate = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \$gate_in, '>', \$gate_out, IPC::Run::timeout(60));
	$gate->pump until $gate_out =~ /shut/;
	my $held = IPC::Run::start([ 'psql', '-XAtq', '-c', q{CALL censync_sync('held')}, '-d', $node->connstr('postgres') ],
		'<', '/dev/null', '>', \$held_out, '2>', \$held_err, IPC::Run::timeout(60));
	ok(wait_for($node, q{SELECT count(*) = 1 FROM censync.runs WHERE sync = 'held'}), 'standby: a run goes on');
	$node->wait_for_catchup($standby);
	my $look = q{SELECT r.status, s.last_status FROM censync.runs r JOIN censync.syncs s ON s.name = r.sync WHERE sync = 'held'};
	is(sql($look), 'running|running', 'primary: it runs');
	is($standby->safe_psql('postgres', $look), 'running|running', 'standby: it runs, as far as can be known');
	$gate_in .= "SELECT pg_advisory_unlock(1);\n\\q\n";
	$gate->finish;
	$held->finish;
	is($held_err, '', 'standby: the run ends');
	$node->wait_for_catchup($standby);
	is($standby->safe_psql('postgres', $look), 'completed|completed', 'standby: and is seen to have ended');
	is($standby->safe_psql('postgres', q{SELECT string_agg(t.id || t.name, ' ' ORDER BY id) FROM t}),
		sql(q{SELECT string_agg(t.id || t.name, ' ' ORDER BY id) FROM t}), 'standby: and so are its rows');

	$standby->promote;
	is($standby->safe_psql('postgres', q{UPDATE source SET name = 'promoted' WHERE id = 3; SELECT status, records_updated FROM censync_run('m')}),
		'completed|1', 'promoted: runs like its origin');
	$standby->stop;
	$node->stop;
	return;
}
