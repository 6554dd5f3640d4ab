# A dump carries definitions, no history, and no syncs that start to write by themselves: restored or copied ones are
# paused until censync_resume has found owner and destination.  And what a sync says whose owner or table is gone.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use CensyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $tmp = PostgreSQL::Test::Utils::tempdir('dump');
my $node = new_node('origin', undef, extension => 0);
my $other = new_node('other', undef, extension => 0);

# What has to be the same in every restored database.
my $definitions = 'SELECT sync_id, name, owner, destination, behavior, server, query, object, sync_key, mappings, options, created_at = altered_at OR name = \'altered\' '
  . 'FROM censync.syncs ORDER BY sync_id';

set_up();
my $original = $node->safe_psql('postgres', $definitions);
test_dump();
test_restore($_) for 'plain', 'custom', 'directory';
test_other_cluster();
test_missing_owner();
test_missing_destination();
test_data_only();
test_template();
test_upgrade_of_home();
test_drop_extension();
test_lost_owner();
test_lost_destination();

$node->stop;
$other->stop;
done_testing();

# Syncs of two owners, with history, memory and a bad record.
sub set_up
{
	$node->safe_psql('postgres', <<'SQL');
CREATE ROLE etl LOGIN;
CREATE ROLE "Own""er" LOGIN;
CREATE EXTENSION censync;
CALL censync_admit('etl', 'owner');
CALL censync_admit('"Own""er"', 'owner');
GRANT CREATE ON DATABASE postgres TO etl, "Own""er";
CREATE SCHEMA "the'schema";
GRANT ALL ON SCHEMA "the'schema" TO etl, "Own""er";
SET ROLE etl;
CREATE TABLE "the'schema"."t""x" (id int PRIMARY KEY, v text CHECK (v <> 'bad'));
CREATE TABLE "the'schema".source AS SELECT * FROM (VALUES (1, 'a'), (2, 'b'), (3, 'bad')) v(id, v);
SELECT censync_create_sync('mirrored', '"the''schema"."t""x"', 'mirror', query => 'SELECT id, v AS w FROM "the''schema".source', sync_key => '{id}',
  mappings => '{"id": "id", "v": {"expression": "w", "when_null": "skip"}}', options => '{"max_deletes": 1, "on_duplicate": "last"}');
SELECT censync_create_sync('dropped', '"the''schema"."t""x"', 'append', object => '"the''schema".source');
SELECT censync_create_sync('altered', '"the''schema"."t""x"', 'append', object => '"the''schema".source');
SELECT censync_alter_sync('altered', behavior => 'update');
SELECT censync_create_sync('resting', '"the''schema"."t""x"', 'update', object => '"the''schema".source');
SELECT censync_pause('resting');
SELECT censync_drop_sync('dropped');
RESET ROLE;
CREATE SERVER api TYPE 'http' FOREIGN DATA WRAPPER censync OPTIONS (url 'https://127.0.0.1:1/base', format 'json');
CREATE USER MAPPING FOR "Own""er" SERVER api OPTIONS (token 'it''s secret');
GRANT USAGE ON FOREIGN SERVER api TO "Own""er";
SET ROLE "Own""er";
CREATE TABLE "the'schema".other (id int PRIMARY KEY);
SELECT censync_create_sync('remote', '"the''schema".other', 'upsert', server => 'api', object => 'rows', options => '{"records": "/data"}');
SQL
	is(run_sync($node, 'mirrored')->{status}, 'completed', 'a first run');
	$node->safe_psql('postgres', q(DELETE FROM "the'schema".source WHERE id = 2));
	is(run_sync($node, 'mirrored')->{records_deleted}, 1, 'a mirror with a memory');
	is($node->safe_psql('postgres', counts()), '4|2|2|1', 'definitions, runs, records, memory');
	return;
}

sub counts
{
	return 'SELECT (SELECT count(*) FROM censync.sync_definition), (SELECT count(*) FROM censync.run_log), '
	  . '(SELECT count(*) FROM censync.record_log), (SELECT count(*) FROM censync.mirror_memory)';
}

# What is in a dump and what is not.
sub test_dump
{
	my ($out, $err) = run_command([ 'pg_dump', '-d', $node->connstr('postgres') ]);

	is($err, '', 'pg_dump says nothing');
	like($out, qr/^COPY censync\.sync_definition /m, 'the definitions are in the dump');
	unlike($out, qr/^COPY censync\.(?!sync_definition)/m, 'nothing else of the extension is');
	unlike($out, qr/CREATE (TABLE|VIEW|FUNCTION|PROCEDURE) (censync\.|public\.censync_)/, 'nor its objects');
	like($out, qr/pg_catalog\.setval\('censync\.sync_definition_sync_id_seq', 5, true\)/, 'the sequence is');
	like($out, qr/^GRANT .*FUNCTION public\.censync_run/m, 'what was granted is');
	return;
}

# Into another database of the same cluster: its OIDs are others even if they look alike.
sub test_restore
{
	my ($format) = @_;
	my $name = "restored_$format";

	dump_database($format, 'postgres', "$tmp/$name");
	$node->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE template0");
	restore($format, $node, $name, "$tmp/$name");
	check_restored($node, $name);
	$node->safe_psql('postgres', "DROP DATABASE $name");
	return;
}

sub dump_database
{
	my ($format, $database, $file, @options) = @_;

	command_ok([ 'pg_dump', '-F', substr($format, 0, 1), '-f', $file, @options, $node->connstr($database) ], "pg_dump as $format");
	return;
}

sub restore
{
	my ($format, $to, $database, $file) = @_;
	my @command = $format eq 'plain' ? ('psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $file) : ('pg_restore', '--exit-on-error');
	my ($out, $err) = ('', '');
	my $ok = IPC::Run::run([ @command, '-d', $to->connstr($database), $format eq 'plain' ? () : $file ], '>', \$out, '2>', \$err);

	ok($ok, "restore from $format");
	is($err, '', '... without a word');
	return;
}

# A restored database with all owners and tables: paused, told so, and running after censync_resume.
sub check_restored
{
	my ($to, $database) = @_;
	my $error;

	is($to->safe_psql($database, $definitions), $original, 'the definitions are the same');
	is($to->safe_psql($database, counts()), '4|0|0|0', '... and have no history');
	is($to->safe_psql($database, 'SELECT DISTINCT state FROM censync.syncs'), 'paused', '... and all are paused');
	is($to->safe_psql($database, 'SELECT count(*) FROM censync_run()'), '0', 'a run of all active syncs runs none');
	$error = error_of($to, $database, "SELECT censync_run('mirrored')");
	like($error, qr/ERROR:  55000: sync "mirrored" is paused\nDETAIL:  It came here with a dump or a copy, or with pg_upgrade\.\nHINT:  SELECT censync_resume\('mirrored'\);/, 'a run refuses, and says why and what to do');
	like(error_of($to, $database, "CALL censync_sync('mirrored')"), qr/55000: sync "mirrored" is paused/, 'so does CALL');
	unlike(error_of($to, $database, "SELECT censync_pause('mirrored')"), qr/ERROR/, 'pausing it is no error');
	like(error_of($to, $database, "SET ROLE etl; SELECT censync_resume('remote')"), qr/42501: must be owner of sync "remote"/, 'only its owner resumes a sync');

	# The role that owns a sync sees it under the name of the dump.
	is($to->safe_psql($database, "SET ROLE etl; SELECT string_agg(name, ',' ORDER BY name) FROM censync.syncs"), 'altered,mirrored,resting', 'its owner sees it');

	$to->safe_psql($database, q(SET ROLE etl; SELECT censync_resume('mirrored')));
	is($to->safe_psql($database, q(SELECT state FROM censync.syncs WHERE name = 'mirrored')), 'active', 'censync_resume makes it active');
	my $run = run_sync($to, 'mirrored', dbname => $database);
	is("$run->{status} $run->{records_read} $run->{records_unchanged} $run->{records_deleted} $run->{records_rejected}", 'completed 2 1 0 1', 'it runs, as a first run');
	$to->safe_psql($database, q(INSERT INTO "the'schema".source VALUES (7, 'g'), (8, 'h')));
	run_sync($to, 'mirrored', dbname => $database);
	$to->safe_psql($database, q(DELETE FROM "the'schema".source WHERE id IN (1, 7)));
	$run = run_sync($to, 'mirrored', dbname => $database);
	is("$run->{records_deleted} " . $to->safe_psql($database, q(SELECT string_agg(id::text, ',' ORDER BY id) FROM "the'schema"."t""x")), '1 1,8', 'the mirror deletes what it wrote here, nothing else');

	is( $to->safe_psql($database, q(SET ROLE etl; SELECT censync_create_sync('new', '"the''schema"."t""x"', 'append', object => '"the''schema".source'))),
		'6', 'the sequence goes on');
	is($to->safe_psql($database, q(SELECT censync_resume('resting'), censync_resume('remote'); SELECT string_agg(name || ' ' || state, ',' ORDER BY name) FROM censync.syncs) =~ s/\A\|\n//r)
		  =~ s/\A\|\n//r, 'altered paused,mirrored active,new active,remote active,resting active', 'the others resume too');
	is($to->safe_psql($database, q(SELECT option_value FROM pg_user_mappings, pg_options_to_table(umoptions) WHERE srvname = 'api')), q(it's secret), 'servers and user mappings are as everywhere');
	$run = run_sync($to, 'remote', dbname => $database);
	is($run->{status}, 'failed', 'the remote one tries');
	is($run->{error_code}, '08001', '... to connect');
	return;
}

sub error_of
{
	my ($to, $database, $sql) = @_;
	my ($status, $out, $err) = $to->psql($database, "\\set VERBOSITY verbose\n$sql");

	return $err;
}

# Another cluster, where roles and tables have other OIDs.
sub test_other_cluster
{
	dump_database('plain', 'postgres', "$tmp/elsewhere");
	$other->safe_psql('postgres', 'CREATE TABLE filler (a int); CREATE ROLE filler; CREATE ROLE "Own""er" LOGIN; CREATE ROLE etl LOGIN; CREATE DATABASE elsewhere TEMPLATE template0');
	restore('plain', $other, 'elsewhere', "$tmp/elsewhere");
	check_restored($other, 'elsewhere');
	return;
}

# No owner: no error of the restore, a clear one later, and a superuser can still clean up.
sub test_missing_owner
{
	$node->safe_psql('postgres', q(CREATE DATABASE orphans TEMPLATE template0));
	$other->safe_psql('postgres', 'CREATE DATABASE orphans TEMPLATE template0; DROP DATABASE elsewhere; DROP ROLE etl');
	dump_database('plain', 'postgres', "$tmp/orphans", '--no-owner', '--no-privileges');
	restore('plain', $other, 'orphans', "$tmp/orphans");
	is($other->safe_psql('orphans', $definitions), $original, 'definitions without their owner are there');
	like(error_of($other, 'orphans', "SELECT censync_run('mirrored')"), qr/ERROR:  (55000|42704): .*sync "mirrored"/, 'a run says what is wrong');
	like(error_of($other, 'orphans', "SELECT censync_resume('mirrored')"),
		qr/ERROR:  42704: role "etl", owner of sync "mirrored", does not exist here\nHINT:  Create the role, or define the sync anew\./, 'so does censync_resume');
	like(error_of($other, 'orphans', q(SET ROLE "Own""er"; SELECT censync_resume('mirrored'))), qr/ERROR:  (42501|42704)/, 'nobody else may take it over');
	is($other->safe_psql('orphans', q(CREATE ROLE etl; GRANT ALL ON SCHEMA "the'schema" TO etl; GRANT ALL ON ALL TABLES IN SCHEMA "the'schema" TO etl; SELECT censync_resume('mirrored');
		SELECT state, owner FROM censync.syncs WHERE name = 'mirrored')) =~ s/\A\n//r, 'active|etl', 'once the role is there it resumes');
	is(run_sync($other, 'mirrored', dbname => 'orphans')->{status}, 'completed', '... and runs');
	$other->safe_psql('orphans', q(SELECT censync_drop_sync('mirrored'); DROP OWNED BY etl));
	$other->safe_psql('postgres', 'DROP OWNED BY etl; DROP ROLE etl');
	$other->safe_psql('orphans', q(SELECT censync_drop_sync('altered')));
	is($other->safe_psql('orphans', 'SELECT count(*) FROM censync.syncs'), '2', 'a superuser drops what has no owner');
	$other->safe_psql('postgres', 'DROP DATABASE orphans');
	$node->safe_psql('postgres', 'DROP DATABASE orphans');
	return;
}

# No destination: dumped without the tables.
sub test_missing_destination
{
	dump_database('custom', 'postgres', "$tmp/tableless", '--exclude-table', q("the'schema".*));
	$node->safe_psql('postgres', 'CREATE DATABASE tableless TEMPLATE template0');
	restore('custom', $node, 'tableless', "$tmp/tableless");
	is($node->safe_psql('tableless', $definitions), $original, 'definitions without their tables are there');
	like(error_of($node, 'tableless', "SELECT censync_resume('mirrored')"),
		qr/ERROR:  42P01: destination "the'schema"\."t""x" of sync "mirrored" does not exist here\nHINT:  Create the table, or name another with censync_alter_sync\./, 'censync_resume names what is missing');
	is($node->safe_psql('tableless', q(SELECT state FROM censync.syncs WHERE name = 'mirrored')), 'paused', '... and leaves the sync paused');
	like(error_of($node, 'tableless', "SELECT censync_run('mirrored')"), qr/55000: sync "mirrored" is paused/, '... which a run says');

	# A table that is there but has no key; then one that is another.
	$node->safe_psql('tableless', q(CREATE TABLE "the'schema"."t""x" (id int, v text); CREATE TABLE "the'schema".source (id int, v text); ALTER TABLE "the'schema"."t""x" OWNER TO etl; ALTER TABLE "the'schema".source OWNER TO etl));
	like(error_of($node, 'tableless', "SELECT censync_resume('mirrored')"), qr/ERROR:  (55000|42P10): .*HINT:.*ADD (PRIMARY KEY|UNIQUE)/s, 'a table without a key is refused with the statement that helps');
	is($node->safe_psql('tableless', q(SELECT state FROM censync.syncs WHERE name = 'mirrored')), 'paused', '... and the sync stays paused');
	$node->safe_psql('tableless', q(CREATE TABLE public.instead (id int PRIMARY KEY, v text); ALTER TABLE instead OWNER TO etl; SELECT censync_alter_sync('mirrored', destination => 'instead')));
	is($node->safe_psql('tableless', q(SELECT state, destination FROM censync.syncs WHERE name = 'mirrored')), 'paused|public.instead', 'another destination leaves it paused');
	$node->safe_psql('tableless', q(SELECT censync_resume('mirrored')));
	is(run_sync($node, 'mirrored', dbname => 'tableless')->{error_code}, '55000', 'then it runs (and refuses an empty source)');
	$node->safe_psql('postgres', 'DROP DATABASE tableless');
	return;
}

# Only the data, into a database that has the extension and nothing else.
sub test_data_only
{
	dump_database('plain', 'postgres', "$tmp/data", '--data-only', '-t', 'censync.sync_definition', '-t', 'censync.sync_definition_sync_id_seq');
	$node->safe_psql('postgres', 'CREATE DATABASE data TEMPLATE template0');
	$node->safe_psql('data', 'CREATE EXTENSION censync');
	restore('plain', $node, 'data', "$tmp/data");
	is($node->safe_psql('data', $definitions), $original, 'definitions alone can be carried over');
	$node->safe_psql('postgres', 'DROP DATABASE data');
	return;
}

# A copy of the database, OIDs and all: it must not start to write.
sub test_template
{
	$node->safe_psql('postgres', 'CREATE DATABASE copied TEMPLATE postgres');
	is($node->safe_psql('copied', counts()), '4|2|2|1', 'a copy has everything');
	is($node->safe_psql('copied', 'SELECT DISTINCT state FROM censync.syncs'), 'paused', '... but its syncs are paused');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM censync.syncs WHERE state = \'active\''), '3', 'those of the original are not');
	is($node->safe_psql('copied', 'SELECT count(*) FROM censync_run()'), '0', 'nothing runs');
	like(error_of($node, 'copied', "SELECT censync_run('mirrored')"), qr/55000: sync "mirrored" is paused/, 'nor by name');
	$node->safe_psql('copied', q(SELECT censync_resume('mirrored'); INSERT INTO "the'schema".source VALUES (5, 'e')));
	my $run = run_sync($node, 'mirrored', dbname => 'copied');
	is("$run->{status} $run->{records_created}", 'completed 1', 'until it is resumed');
	is($node->safe_psql('copied', q(SELECT string_agg(id::text, ',' ORDER BY id) FROM "the'schema"."t""x")), '1,5', 'it writes to the copy');
	is($node->safe_psql('postgres', q(SELECT string_agg(id::text, ',' ORDER BY id) FROM "the'schema"."t""x")), '1', 'and not to the original');
	$node->safe_psql('postgres', 'DROP DATABASE copied');
	return;
}

# Renaming is not moving.
sub test_upgrade_of_home
{
	$node->safe_psql('postgres', 'CREATE DATABASE before TEMPLATE postgres');
	$node->safe_psql('before', q(SELECT censync_resume('mirrored')));
	$node->safe_psql('postgres', 'ALTER DATABASE before RENAME TO after; ALTER ROLE etl RENAME TO loader');
	is($node->safe_psql('after', q(SELECT state, owner FROM censync.syncs WHERE name = 'mirrored')), 'active|loader', 'a renamed database and a renamed owner keep their sync');
	$node->safe_psql('after', q(ALTER SCHEMA "the'schema" RENAME TO sch; ALTER TABLE sch."t""x" RENAME TO renamed; ALTER TABLE sch.source RENAME TO feed; ALTER SCHEMA sch RENAME TO "the'schema"; ALTER TABLE "the'schema".feed RENAME TO source));
	is($node->safe_psql('after', q(SELECT destination FROM censync.syncs WHERE name = 'mirrored')), q("the'schema".renamed), 'a renamed destination shows its new name');
	is(run_sync($node, 'mirrored', dbname => 'after')->{status}, 'completed', '... and the sync goes on');

	# The dump must carry today's names.
	dump_database('plain', 'after', "$tmp/renamed");
	$node->safe_psql('postgres', 'CREATE DATABASE renamed TEMPLATE template0');
	restore('plain', $node, 'renamed', "$tmp/renamed");
	is( $node->safe_psql('renamed', q(SELECT censync_resume('mirrored'); SELECT destination, owner, state FROM censync.syncs WHERE name = 'mirrored')) =~ s/\A\n//r,
		q("the'schema".renamed|loader|active), 'a dump made after renames resumes');
	$node->safe_psql('postgres', 'DROP DATABASE renamed; DROP DATABASE after; ALTER ROLE loader RENAME TO etl');
	return;
}

sub test_drop_extension
{
	$node->safe_psql('postgres', 'CREATE DATABASE dropping TEMPLATE postgres');
	like(error_of($node, 'dropping', 'DROP EXTENSION censync'), qr/2BP01: cannot drop extension censync because other objects depend on it\nDETAIL:  server api depends/, 'servers are in the way of DROP EXTENSION');
	unlike(error_of($node, 'dropping', 'DROP EXTENSION censync CASCADE'), qr/ERROR/, 'CASCADE takes them along');
	is($node->safe_psql('dropping', q(SELECT count(*) FROM pg_namespace WHERE nspname = 'censync') . q(UNION ALL SELECT count(*) FROM pg_proc WHERE proname ~ '^censync'
		UNION ALL SELECT count(*) FROM pg_foreign_server UNION ALL SELECT count(*) FROM pg_foreign_data_wrapper)), "0\n0\n0\n0", 'nothing is left');
	is($node->safe_psql('dropping', q(SELECT count(*) FROM "the'schema"."t""x")), '1', '... but the tables');
	is($node->safe_psql('dropping', 'CREATE EXTENSION censync; SELECT count(*) FROM censync.syncs'), '0', 'and it can be made again');
	$node->safe_psql('postgres', 'DROP DATABASE dropping');
	return;
}

# An owner who is dropped.  His tables went to somebody else.
sub test_lost_owner
{
	$node->safe_psql('postgres', q(REASSIGN OWNED BY etl TO CURRENT_USER; DROP OWNED BY etl; DROP ROLE etl));
	is($node->safe_psql('postgres', q(SELECT name, owner, state FROM censync.syncs WHERE name = 'mirrored')), 'mirrored|etl|active', 'a sync whose owner is gone is still listed');
	like(error_of($node, 'postgres', "SELECT censync_run('mirrored')"), qr/ERROR:  42704: owner "etl" of sync "mirrored" does not exist/, 'it does not run, and says why');
	like(error_of($node, 'postgres', "CALL censync_sync('mirrored')"), qr/ERROR:  42704: owner "etl" of sync "mirrored" does not exist/, 'nor by CALL');
	like(error_of($node, 'postgres', q(SELECT censync_pause('remote'); SELECT censync_run())), qr/\A[^\n]*WARNING:  42704: sync "mirrored" is left out: its owner "etl" does not exist\n(?!.*ERROR)/s, 'a run of all leaves it out and says so');

	# Another role of the same name is not the owner.
	$node->safe_psql('postgres', q(CREATE ROLE etl; CALL censync_admit('etl', 'owner')));
	is($node->safe_psql('postgres', q(SET ROLE etl; SELECT count(*) FROM censync.syncs)), '0', 'a new role of that name sees nothing');
	like(error_of($node, 'postgres', q(SET ROLE etl; SELECT censync_run('mirrored'))), qr/ERROR:  (42704|42501)/, '... and runs nothing');
	like(error_of($node, 'postgres', q(SET ROLE "Own""er"; SELECT censync_drop_sync('mirrored'))), qr/ERROR:  (42704|42501)/, 'nor does anybody else');
	$node->safe_psql('postgres', q(SELECT censync_drop_sync(name) FROM censync.syncs WHERE owner = 'etl'));
	is($node->safe_psql('postgres', 'SELECT string_agg(name, \',\') FROM censync.syncs'), 'remote', 'a superuser removes them');
	return;
}

sub test_lost_destination
{
	$node->safe_psql('postgres', q(CREATE TABLE lost (id int PRIMARY KEY); CREATE TABLE kept (id int PRIMARY KEY);
		SELECT censync_create_sync('lost', 'lost', 'mirror', query => 'SELECT 1 AS id'); SELECT censync_run('lost'); DROP TABLE lost; CREATE TABLE lost (id int PRIMARY KEY)));
	is($node->safe_psql('postgres', q(SELECT destination, state FROM censync.syncs WHERE name = 'lost')), 'public.lost|active', 'a sync whose destination is gone is listed by its old name');
	my $run = run_sync($node, 'lost');
	is("$run->{status} $run->{error_code} $run->{error_message}", 'failed 42P01 destination public.lost does not exist any more', 'its run fails and says so');
	is($run->{error_hint}, 'Name another with censync_alter_sync, or the same again if it was made anew.', '... with a way out');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM lost'), '0', 'another table of the same name is left alone');
	like(error_of($node, 'postgres', "CALL censync_sync('lost')"), qr/ERROR:  42P01: destination public\.lost does not exist any more/, 'CALL raises it');
	$node->safe_psql('postgres', q(SELECT censync_alter_sync('lost', destination => 'kept')));
	$run = run_sync($node, 'lost');
	is("$run->{status} $run->{records_created}", 'completed 1', 'with another destination it runs');
	$node->safe_psql('postgres', q(SELECT censync_resume('remote'); DROP SCHEMA "the'schema" CASCADE));
	is(run_sync($node, 'remote')->{error_code}, '42P01', 'a dropped schema is the same');
	return;
}
