# Redshift, as far as it can be had without one: a PostgreSQL that has Redshift's types under their OIDs, and its view of
# columns.  What is tested so is all of the driver but the server: types, text form, import, errors, statements.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use CensyncTest;
use CensyncRemote;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('here');
my $remote = new_remote('there');

# Types whose text is what Redshift writes; a COPY would be a bug.
$remote->safe_psql('postgres', <<'SQL');
SET allow_system_table_mods = on;
CREATE FUNCTION pg_temp.make(new_oid oid, name text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE row pg_type;
BEGIN
	SELECT * INTO row FROM pg_type WHERE typname = 'text';
	row.oid := new_oid; row.typname := name; row.typarray := 0; row.typcategory := 'U';
	INSERT INTO pg_type SELECT row.*;
END $$;
SELECT pg_temp.make(4000, 'super'), pg_temp.make(6551, 'varbyte'), pg_temp.make(2935, 'hllsketch'), pg_temp.make(3000, 'geometry');
SQL
$remote->safe_psql('postgres', <<'SQL');
CREATE TABLE every_value (id int PRIMARY KEY, s smallint, b bigint, n numeric(38,10), r real, d double precision, t boolean,
	c char(5), v varchar(20), da date, ti time, tz timetz, ts timestamp, tstz timestamptz, su super, vb varbyte, g geometry);
INSERT INTO every_value VALUES
	(1, -32768, 9223372036854775807, 1234567890123456789012345678.0123456789, 'NaN', 0.1, true, 'ab', E'\u00e4\\''"', '2024-02-29', '23:59:59.999999',
	 '12:00:00+02', '2024-01-01 00:00:00.000001', '2024-01-01 00:00:00+02', '{"a":[1,2.50,null]}', '00ff', '0101000000'),
	(2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
	(3, 0, 0, -0.0000000001, 3.4028235e38, 1.7976931348623157e308, false, '', '', '0001-01-01', '00:00', '00:00+00', '9999-12-31', '9999-12-31 00:00+00', '"x"', '', '');
CREATE TABLE sketches (id int, h hllsketch);
INSERT INTO sketches VALUES (1, 'x');
CREATE VIEW late_view AS SELECT id, v FROM every_value;
CREATE VIEW svv_columns AS
	SELECT table_schema::varchar, table_name::varchar, column_name::varchar, ordinal_position::int, is_nullable::varchar,
		CASE WHEN data_type = 'USER-DEFINED' OR udt_name IN ('super', 'varbyte', 'hllsketch', 'geometry') THEN udt_name ELSE data_type END::varchar AS data_type,
		character_maximum_length::int, numeric_precision::int, numeric_scale::int
	FROM information_schema.columns;
SQL
create_remote_server($node, 'wh', $remote, type => 'redshift');
my $columns = 'id int PRIMARY KEY, s smallint, b bigint, n numeric(38,10), r real, d double precision, t boolean, c char(5), v varchar(20),
	da date, ti time, tz timetz, ts timestamp, tstz timestamptz, su jsonb, vb bytea, g text';
$node->safe_psql('postgres', "CREATE TABLE every_value ($columns)");

test_values();
test_check();
test_sketches();
test_errors();
test_many();
test_statements();
test_cursor();
test_import();
ok(is_quiet($remote), 'no connection is left');

$node->stop;
$remote->stop;
done_testing();

sub test_values
{
	$node->safe_psql('postgres', q{SELECT censync_create_sync('e', 'every_value', 'mirror', server => 'wh', object => 'public.every_value')});
	my $run = run_sync($node, 'e');
	is("$run->{status} $run->{records_created}", 'completed 3', 'every type is read') or diag($run->{error_message});
	my $plain = 'id, s, b, n, r, d, t, c, v, da, ti, tz, ts, tstz, g';
	is($node->safe_psql('postgres', "SELECT $plain FROM every_value ORDER BY id"), $remote->safe_psql('postgres', "SELECT $plain FROM every_value ORDER BY id"),
		'values are the same');
	is($node->safe_psql('postgres', q{SELECT su, vb FROM every_value ORDER BY id}), qq({"a": [1, 2.50, null]}|\\x00ff\n|\n"x"|\\x), 'SUPER is jsonb, VARBYTE is bytea');
	is(run_sync($node, 'e')->{records_unchanged}, 3, 'the same again changes nothing');
}

sub test_check
{
	like($node->safe_psql('postgres', q{SELECT detail FROM censync_check('wh') WHERE step = 'query' AND ok}), qr/^Redshift .* answers$/, 'the check');
	like($node->safe_psql('postgres', q{SELECT count(*) FROM censync_check('wh', object => 'late_view') WHERE ok}), qr/^5$/, 'of a view');
}

sub test_sketches
{
	my (undef, undef, $err) = $node->psql('postgres', q{SELECT censync_preview('wh', object => 'sketches')});
	like($err, qr/column "h" is of type hllsketch, which can't be read.*HINT/s, 'HLLSKETCH is refused by name');
	is($node->safe_psql('postgres', q{SELECT censync_preview('wh', query => 'SELECT id FROM sketches')}), '{"id": 1}', 'the rest of its table can be read');
}

sub test_errors
{
	my (undef, undef, $err) = $node->psql('postgres', '\set VERBOSITY verbose' . "\nSELECT censync_preview('wh', query => 'SELECT id, 1 / (3 - id) AS v FROM every_value')");
	like($err, qr/22012: .*division by zero/, 'an error in the midst of rows');
	(undef, undef, $err) = $node->psql('postgres', q{SELECT censync_preview('wh', query => 'SELECT 1 AS a; DROP TABLE every_value')});
	like($err, qr/cannot insert multiple commands/, 'two statements');
	(undef, undef, $err) = $node->psql('postgres', q{SELECT censync_preview('wh', query => 'DELETE FROM every_value RETURNING id')});
	like($err, qr/read-only transaction|permission denied/, 'a statement that writes');
	(undef, undef, $err) = $node->psql('postgres', '\set VERBOSITY verbose' . q{
		ALTER SERVER wh OPTIONS (ADD timeout '1');
		SELECT censync_preview('wh', query => 'SELECT g FROM generate_series(1, 60) g WHERE pg_sleep(1) IS NOT NULL');
		ALTER SERVER wh OPTIONS (DROP timeout)});
	like($err, qr/08006: the request to "[^"]+" took longer than 1 s.*HINT:  [^\n]*"timeout"/s, 'option timeout');
}

# More rows than would be held at once; given up in their midst, and cut in it.
sub test_many
{
	$node->safe_psql('postgres', q{CREATE TABLE many (id int PRIMARY KEY, v text);
		SELECT censync_create_sync('many', 'many', 'upsert', server => 'wh', query => 'SELECT g AS id, md5(g::text) AS v FROM generate_series(1, 100000) g');
		SELECT censync_create_sync('killed', 'many', 'mirror', server => 'wh', options => '{"mirror_scope": "table", "max_deletes": 1}', query =>
			'SELECT g AS id, CASE WHEN g = 50000 THEN pg_terminate_backend(pg_backend_pid())::text ELSE repeat(''x'', 100) END AS v FROM generate_series(1, 100000) g')});
	is(run_sync($node, 'many')->{records_created}, 100000, 'many rows');
	is(run_sync($node, 'many', limit => 10)->{records_read}, 10, 'some of them');
	my $before = table_state($node, 'many');
	my $run = run_sync($node, 'killed');
	is("$run->{status} $run->{error_code}", 'failed 08006', 'a session that ends in the midst of rows is an error');
	is(table_state($node, 'many'), $before, '... the destination is as it was');
}

# What is sent, as the server there has it in its log.
sub test_statements
{
	my $offset = -s $remote->logfile;
	$node->safe_psql('postgres', q{SELECT * FROM censync_preview('wh', object => 'every_value')});
	my $log = substr(slurp_file($remote->logfile), $offset);
	like($log, qr/statement: BEGIN READ ONLY; SET datestyle/, 'a transaction that only reads');
	like($log, qr/SELECT .* FROM "every_value"/, 'the select');
	unlike($log, qr/COPY|IntervalStyle|bytea_output/, 'and nothing that Redshift does not know');
}

sub test_cursor
{
	$node->safe_psql('postgres', q{CREATE TABLE changing (id int PRIMARY KEY, v varchar(20), ts timestamp);
		SELECT censync_create_sync('changing', 'changing', 'upsert', server => 'wh', object => 'every_value', options => '{"cursor_column": "ts"}')});
	is(run_sync($node, 'changing')->{records_read}, 3, 'a first incremental run');
	is(run_sync($node, 'changing')->{records_read}, 2, 'a second one: the newest, and that without a time');
}

sub test_import
{
	my (undef, undef, $err) = $node->psql('postgres', q{CREATE SCHEMA wh; IMPORT FOREIGN SCHEMA public LIMIT TO (every_value, late_view, sketches) FROM SERVER wh INTO wh});
	like($err, qr/column "h" of "sketches" is left out: its type is hllsketch/, 'HLLSKETCH is left out of an import');
	is($node->safe_psql('postgres', q{SELECT string_agg(format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' not null' ELSE '' END, ', ' ORDER BY attnum)
		FROM pg_attribute WHERE attrelid = 'wh.every_value'::regclass AND attnum > 0}),
		'integer not null, smallint, bigint, numeric(38,10), real, double precision, boolean, character(5), character varying(20), date, '
		  . 'time without time zone, time with time zone, timestamp without time zone, timestamp with time zone, jsonb, bytea, text', 'types of an import');
	is($node->safe_psql('postgres', q{SELECT id, su ->> 'a', vb FROM wh.every_value WHERE id = 1}), '1|[1, 2.50, null]|\x00ff', 'a foreign table');
	is($node->safe_psql('postgres', q{SELECT count(*) FROM wh.late_view WHERE v = E'\u00e4\\\\''"'}), '1', 'a condition on text with a backslash');
	(undef, undef, $err) = $node->psql('postgres', q{IMPORT FOREIGN SCHEMA nosuch FROM SERVER wh INTO wh});
	like($err, qr/the source has no schema "nosuch", or nothing in it/, 'no such schema');
}
