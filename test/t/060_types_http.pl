# The edge values of every type, as the server itself writes them in JSON and CSV, over HTTP and back into a table:
# the same images, and nothing to do for a second run.
use strict;
use warnings;

use File::Basename;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use CensyncTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $files = PostgreSQL::Test::Utils::tempdir('files');
my $http = start_http(root => $files);
my $node = new_node('types', "search_path = 'types, public'", init => [ '--encoding=UTF8', '--locale=C' ]);

install();
test_each_type();
test_json_to_columns();
test_csv_cells();
test_bad_values();
test_names();

$node->stop;
done_testing();

# The values, their sources, and functions that write a source to a file and run a sync from it.
sub install
{
	my $data = slurp_file(dirname(__FILE__) . '/../data/type_values.sql');

	$node->safe_psql('postgres', "CREATE SCHEMA types;\n$data");
	create_server($node, 'files', $http, path => '/files/');
	create_server($node, 'data', $http, path => '/data/');
	$node->safe_psql('postgres', <<'SQL');
CREATE TABLE kinds (number serial, type text);
INSERT INTO kinds (type) SELECT DISTINCT type FROM type_values ORDER BY type;
SELECT make_source(type) FROM kinds;

-- query has columns id, v and a.  JSON holds no control character, so that this CSV is the lines themselves.
CREATE FUNCTION write_file(query text, file text, format text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF format = 'csv' THEN
    EXECUTE format('COPY (%s) TO %L (FORMAT csv, HEADER)', query, file);
  ELSIF format = 'ndjson' THEN
    EXECUTE format('COPY (SELECT row_to_json(q) FROM (%s) q) TO %L (FORMAT csv, QUOTE %L, DELIMITER %L)', query, file, E'\x01', E'\x02');
  ELSE
    EXECUTE format('COPY (SELECT ''['' || string_agg(row_to_json(q)::text, '','') || '']'' FROM (%s) q) TO %L (FORMAT csv, QUOTE %L, DELIMITER %L)',
      query, file, E'\x01', E'\x02');
  END IF;
END $$;

CREATE FUNCTION run_of(sync text) RETURNS text LANGUAGE sql AS $$
  SELECT format('%s read %s invalid %s created %s unchanged %s%s', r.status, records_read, records_invalid, records_created, records_unchanged, ' ' || error_message)
    FROM censync_run(sync) r $$;

-- Writes what "source" says, syncs it, and compares the copy with what "expected" says.
CREATE FUNCTION round_trip(kind text, dir text, number int, type text, format text, source text, expected text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  sync text := kind || ' ' || type;
  table_name text := format('%I', 'source ' || type);
  first text; second text; rows bigint; same bigint;
BEGIN
  PERFORM write_file(format(source, table_name), format('%s/%s.%s', dir, number, kind), format);
  EXECUTE format('CREATE TABLE %I (LIKE %s INCLUDING ALL)', sync, table_name);
  PERFORM censync_create_sync(sync, format('%I', sync)::regclass, 'upsert', server => 'files', object => format('%s.%s', number, kind),
                              options => jsonb_build_object('format', format));
  first := run_of(sync);
  EXECUTE format('SELECT count(*), count(*) FILTER (WHERE s *= d) FROM (%s) s LEFT JOIN %I d USING (id)', format(expected, table_name), sync) INTO rows, same;
  second := run_of(sync);
  RETURN nullif(concat_ws('; ', same || ' same', first, second), format('%s same; completed read %1$s invalid 0 created %1$s unchanged 0; completed read %1$s invalid 0 created 0 unchanged %1$s', rows));
END $$;
SQL
}

# Of each kind of document: the types, what is written, and what has to come back.
sub test_each_type
{
	my $all = 'SELECT * FROM %s';
	my $text = "SELECT id, CASE WHEN NOT v IS NULL THEN format('%%s', v) END AS v, a::text AS a FROM %s";

	# JSON's arrays have no lower bounds, its null is SQL's, and what is an array to it is not to a vector.
	my $values = 'SELECT * FROM %s WHERE id <> 1004';
	my $plain = "type NOT IN ('json', 'jsonb')";
	my $no_vector = "$plain AND type NOT IN ('int2vector', 'oidvector')";

	# A string in JSON is a string to a json column, so that the text of a document can't come that way.
	my $arrays = 'SELECT id, CASE WHEN false THEN v END AS v, a%s AS a FROM %%s';
	my $documents = 'SELECT id, %s AS v, CASE WHEN false THEN a END AS a FROM %%s WHERE id < 1000';

	for ([ 'rows as JSON', 'json', $no_vector, $values, $values ],
		[ 'rows as NDJSON',  'ndjson', $no_vector,        $values,                      $values ],
		[ 'text as JSON',    'json',   $plain,            $text,                        $all ],
		[ 'text as NDJSON',  'ndjson', $plain,            $text,                        $all ],
		[ 'rows as CSV',     'csv',    'true',            $all,                         $all ],
		[ 'text as CSV',     'csv',    'true',            $text,                        $all ],
		[ 'array literals',  'json',   "type ~ '^json'",  sprintf($arrays, '::text'),   sprintf($arrays, '') ],
		[ 'jsonb documents', 'json',   "type = 'jsonb'",  sprintf($documents, 'v'),     sprintf($documents, "CASE WHEN v <> 'null' THEN v END") ],
		[ 'jsonb lines',     'ndjson', "type = 'jsonb'",  sprintf($documents, 'v'),     sprintf($documents, "CASE WHEN v <> 'null' THEN v END") ])
	{
		my ($kind, $format, $which, $source, $back) = @$_;
		my $arguments = join ', ', map { sql_literal($_) } $kind =~ tr/ /_/r, $files, $format, $source, $back;

		$arguments =~ s/, ('(?:json|ndjson|csv)')/, number, type, $1/;
		is( $node->safe_psql('postgres',
				"SELECT type || ': ' || result FROM kinds, round_trip($arguments) result WHERE $which AND result IS NOT NULL ORDER BY type"),
			'', "$kind: every type");
	}

	# json keeps what is inside an object or array to the byte; strings come in this server's spelling.
	is( $node->safe_psql('postgres', <<SQL), "completed read 18 invalid 0 created 18 unchanged 0\n18", 'json documents');
SELECT write_file('SELECT id, v FROM "source json" WHERE v::text <> ''"\\u0000"'' AND id < 1000', '$files/documents.json', 'json') \\g /dev/null
CREATE TABLE documents (id int PRIMARY KEY, v json);
SELECT censync_create_sync('documents', 'documents', 'upsert', server => 'files', object => 'documents.json') \\g /dev/null
SELECT run_of('documents');
SELECT count(*) FROM "source json" s JOIN documents d USING (id)
 WHERE CASE WHEN s.v::text = 'null' THEN d.v IS NULL WHEN json_typeof(s.v) = 'string' THEN s.v::jsonb = d.v::jsonb ELSE btrim(s.v::text) = d.v::text END;
SQL
	return;
}

# Numbers, strings, booleans, objects and arrays of JSON to columns of all sorts.
sub test_json_to_columns
{
	my $big = '1234567890123456789012345678901234567890.1234567890123456789012345678901234567890';

	json_is('numeric', "[$big, 1.0, 1.00, -0, 1e3, 12345678901234567890, \"NaN\", \"1e-7\", null]", "$big,1.0,1.00,0,1000,12345678901234567890,NaN,0.0000001,-", 'numbers keep their digits');
	json_is('text', "[$big, 1.00, -0, 1e3, true, \"\", null, {\"a\" : 1.0}, [1,  \"b\"], \"null\"]",
		"$big,1.00,-0,1e3,true,,-,{\"a\" : 1.0},[1,  \"b\"],null", 'anything as text');
	json_is('jsonb', "[$big, 1.00, \"1.00\", true, \"\", {\"a\" : [1.0, null]}, [], \"[]\", \"null\", null]", "$big,1.00,\"1.00\",true,\"\",{\"a\": [1.0, null]},[],\"[]\",\"null\",-", 'anything as jsonb');
	json_is('json', '[{"a" : 1.0, "a":2}, [1,  2], 1.00, "x"]', '{"a" : 1.0, "a":2},[1,  2],1.00,"x"', 'anything as json');
	json_is('int8', '[9223372036854775807, -9223372036854775808, "9007199254740993", 0]', '9223372036854775807,-9223372036854775808,9007199254740993,0', 'integers beyond doubles');
	json_is('float8', '[5e-324, 1.7976931348623157e308, -0, 0.1, "Infinity"]', '5e-324,1.7976931348623157e+308,-0,0.1,Infinity', 'doubles');
	json_is('boolean', '[true, false, "t", "off", 1, 0, null]', 'true,false,true,false,true,false,-', 'booleans');
	json_is('int[]', '[[1, null, 3], [], [[1, 2], [3, 4]], "{5,6}", "[0:1]={7,8}", null, [[]]]', '{1,NULL,3},{},{{1,2},{3,4}},{5,6},[0:1]={7,8},-,{}', 'arrays of integers');
	json_is('text[]', '[["", null, "NULL", "null", "a\"b\\\\c", "{}", "a,b;c", " d "], [1.00, true, {"x": [1]}], ["\u00e9\ud83d\ude00\n"]]',
		"{\"\",NULL,\"NULL\",\"null\",\"a\\\"b\\\\c\",\"{}\",\"a,b;c\",\" d \"},{1.00,true,\"{\\\"x\\\": [1]}\"},{\"\xc3\xa9\xf0\x9f\x98\x80\n\"}", 'arrays of text');
	json_is('box[]', '[["(1,2),(0,0)", null], [["(1,1),(0,0)"], ["(2,2),(0,0)"]]]', '{(1,2),(0,0);NULL},{{(1,1),(0,0)};{(2,2),(0,0)}}', 'arrays of a type with another delimiter');
	json_is('jsonb[]', '[["a", 1.00, true, null, {"b": "c"}, "null", "\"", "[1]"], [], ["\u00e9"]]',
		"{\"\\\"a\\\"\",1.00,true,NULL,\"{\\\"b\\\": \\\"c\\\"}\",\"\\\"null\\\"\",\"\\\"\\\\\\\"\\\"\",\"\\\"[1]\\\"\"},{},{\"\\\"\xc3\xa9\\\"\"}", 'arrays of documents');
	json_is('date[]', '[["0044-03-15 BC", "infinity"]]', '{"0044-03-15 BC",infinity}', 'arrays of dates');
	json_is('bytea', '["\\\\x00ff", "\\\\000a", ""]', '\x00ff,\x0061,\x', 'bytes in both forms');
	$node->safe_psql('postgres', 'CREATE TYPE pair AS (x int, "Y" text); CREATE DOMAIN pairs AS pair[]; CREATE TYPE mood AS ENUM (\'ok\', \'it\'\'s "great"\')');
	json_is('pair', '["(1,\"a,b\")", "(,)", null]', '(1,"a,b"),(,),-', 'composites by their text form');
	json_is('pairs', '[["(1,a)", null], "{\"(2,b)\"}"]', '{"(1,a)",NULL},{"(2,b)"}', 'a domain over arrays of composites');
	json_is('mood[]', '[["ok", "it\'s \"great\"", null]]', '{ok,"it\'s \"great\"",NULL}', 'arrays of an enum');
	return;
}

# Values, as a JSON array, for column v of a type; the expected texts, by commas, as they stand afterwards.
sub json_is
{
	my ($type, $values, $expected, $what) = @_;

	$http->put('values', _rows($values));
	is( $node->safe_psql('postgres', <<SQL), "completed|0\n$expected\nsame", $what);
CREATE TABLE target (id int PRIMARY KEY, v $type);
SELECT censync_create_sync('target', 'target', 'upsert', server => 'data', object => 'values') \\g /dev/null
SELECT status, records_invalid FROM censync_run('target');
SELECT string_agg(coalesce(v::text, '-'), ',' ORDER BY id) FROM target;
SELECT CASE WHEN records_unchanged = records_read THEN 'same' ELSE 'not the same' END FROM censync_run('target');
SELECT censync_drop_sync('target') \\g /dev/null
DROP TABLE target;
SQL
	return;
}

# [1, "x"] as [{"id": 1, "v": 1}, {"id": 2, "v": "x"}], values to the byte.
sub _rows
{
	my ($values) = @_;
	my ($depth, $in_string, $id, $out) = (0, 0, 1, '[{"id": 1, "v": ');

	$values =~ s/\A\[(.*)\]\z/$1/s;
	while ($values =~ /\G(\\.|.)/gs)
	{
		my $c = $1;
		$in_string = !$in_string if $c eq '"';
		$depth += ($c =~ /^[\[{]$/) - ($c =~ /^[\]}]$/) unless $in_string;
		$out .= $c eq ',' && !$in_string && $depth == 0 ? '}, {"id": ' . ++$id . ', "v":' : $c;
	}
	return "$out}]";
}

# NULL and the empty string; JSON in cells.
sub test_csv_cells
{
	my $csv = "id,t,i,j,js,a\r\n1,,,,,\r\n2,\"\",7,\"{\"\"a\"\": 1.0}\",\"\"\"x\"\"\",\"{1,\"\"a b\"\",NULL}\"\r\n3,NULL,,null,[],{}\r\n4,\" x \",,1.00,\"[1,  2]\",\"{\"\"\"\"}\"\r\n";

	$http->put('cells', $csv, 'text/csv');
	is( $node->safe_psql('postgres', <<'SQL'), "completed read 4 invalid 0 created 4 unchanged 0\n1|-|-|-|-|-\n2||7|{\"a\": 1.0}|\"x\"|{1,\"a b\",NULL}\n3|NULL|-|null|[]|{}\n4| x |-|1.00|[1,  2]|{\"\"}\ncompleted read 4 invalid 0 created 0 unchanged 4", 'cells of CSV');
\pset null -
CREATE TABLE cells (id int PRIMARY KEY, t text, i int, j jsonb, js json, a text[]);
SELECT censync_create_sync('cells', 'cells', 'upsert', server => 'data', object => 'cells') \g /dev/null
SELECT run_of('cells');
SELECT * FROM cells ORDER BY id;
SELECT run_of('cells');
SQL
	return;
}

# A bad value makes an invalid record, with its number, column and SQLSTATE; the others arrive.
sub test_bad_values
{
	my $rows = '[{"id": 1, "i": 2147483648}, {"id": 2, "i": 1.5}, {"id": 3, "i": true}, {"id": 4, "i": ""}, {"id": 5, "i": [1]}, {"id": 6, "t": "a\u0000b"},
		{"id": 7, "a": [[1], [2, 3]]}, {"id": 8, "a": {"x": 1}}, {"id": 9, "a": 1}, {"id": 10, "d": "2026-02-30"}, {"id": 11, "d": 20260101}, {"id": 12, "p": {"x": 1}}, {"id": 13, "i": " 5 "},
		{"id": "14"}, {"id": null}, {"id": 16, "j": {"b": "\u0000"}}, {"id": 17, "r": "no_such_table"}, {"id": 18, "t": "\ud800"}, {"id": 19, "n": 1e200000}]';

	$http->put('bad', $rows);
	is( $node->safe_psql('postgres', <<'SQL'), <<'OUT' =~ s/\n\z//r, 'bad values');
CREATE TABLE bad (id int PRIMARY KEY, i int, t text, a int[], d date, p pair, j jsonb, r regclass, n numeric);
SELECT censync_create_sync('bad', 'bad', 'upsert', server => 'data', object => 'bad', options => '{"max_rejected": 1}') \g /dev/null
SELECT status, records_read, records_invalid, records_created FROM censync_run('bad');
SELECT record_number, sync_key, column_name, reason_code, reason FROM censync.records WHERE run_id = (SELECT max(run_id) FROM censync.runs) ORDER BY record_number;
SELECT id, i, d FROM bad ORDER BY id;
SQL
completed|19|16|3
1|{"id": 1}|i|22003|value "2147483648" is out of range for type integer
2|{"id": 2}|i|22P02|invalid input syntax for type integer: "1.5"
3|{"id": 3}|i|22P02|invalid input syntax for type integer: "true"
4|{"id": 4}|i|22P02|invalid input syntax for type integer: ""
5|{"id": 5}|i|22P02|invalid input syntax for type integer: "[1]"
6|||22P05|record is not valid JSON: \u0000 cannot be converted to text.
7|{"id": 7}|a|22P02|malformed array literal: "{{1},{2,3}}"
8|{"id": 8}|a|22P02|malformed array literal: "{"x": 1}"
9|{"id": 9}|a|22P02|malformed array literal: "1"
10|{"id": 10}|d|22008|date/time field value out of range: "2026-02-30"
12|{"id": 12}|p|22P02|malformed record literal: "{"x": 1}"
15|{"id": null}|id|23502|column "id" of the sync key is null
16|||22P05|record is not valid JSON: \u0000 cannot be converted to text.
17|{"id": 17}|r|42P01|relation "no_such_table" does not exist
18|||22P02|record is not valid JSON: Unicode low surrogate must follow a high surrogate.
19|{"id": 19}|n|22003|value overflows numeric format
11||2026-01-01
13|5|
14||
OUT
	return;
}

# Any name of a member, a table, a server and a sync.
sub test_names
{
	my $name = 'a"b; drop table x --';

	$http->put('names', '[{"a\"b; drop table x --": 1, "ID": 2, "a.b": 3, "a": {"c": {"d": 4}, "b": 5}, "\u00df": "x"}]');
	create_server($node, $name, $http, path => '/data/');
	is( $node->safe_psql('postgres', <<'SQL'), "completed read 1 invalid 0 created 1 unchanged 0\n1|2|3|4|x\ncompleted read 1 invalid 0 created 0 unchanged 1", 'names');
CREATE SCHEMA "a""b; drop table x --";
CREATE TABLE "a""b; drop table x --"."a""b; drop table x --" ("a""b; drop table x --" int PRIMARY KEY, "ID" int, ab int, acd int, "ß" text);
SELECT censync_create_sync('a"b; drop table x --', '"a""b; drop table x --"."a""b; drop table x --"', 'mirror', server => 'a"b; drop table x --', object => 'names',
  mappings => '{"a\"b; drop table x --": "a\"b; drop table x --", "ID": "ID", "ab": "a.b", "acd": "a.c.d", "ß": {"expression": "\"ß\""}}') \g /dev/null
SELECT run_of('a"b; drop table x --');
SELECT * FROM "a""b; drop table x --"."a""b; drop table x --";
SELECT run_of('a"b; drop table x --');
SQL
	return;
}
