# A second run of unchanged input changes nothing: for every type, from queries, JSON, NDJSON and CSV, in sessions
# whose settings are not those of the first.
use strict;
use warnings;

use File::Basename;
use FindBin;
use lib "$FindBin::RealBin/../perl";
use CensyncTest;
use PostgreSQL::Test::Utils;
use Test::More;

# A locale that writes money in another way than C: it need not be among those of the system.
my $locales = PostgreSQL::Test::Utils::tempdir('locales');
command_ok([ 'localedef', '-i', 'de_DE', '-f', 'UTF-8', "$locales/de_DE.UTF-8" ], 'a locale');
$ENV{LOCPATH} = $locales;

my $files = PostgreSQL::Test::Utils::tempdir('files');
my $http = start_http(root => $files);
my $node = new_node('second', "search_path = 'types, public'\nautovacuum = off", init => [ '--encoding=UTF8', '--locale=C' ]);

install();
test_every_type();
test_money();
test_internal_errors();

$node->stop;
done_testing();

sub install
{
	my $data = slurp_file(dirname(__FILE__) . '/../data/type_values.sql');

	create_server($node, 'files', $http, path => '/files/');
	$node->safe_psql('postgres', "CREATE SCHEMA types;\n$data");
	$node->safe_psql('postgres', <<'SQL');
SET search_path = public;
CREATE EXTENSION citext;
CREATE EXTENSION hstore;
CREATE EXTENSION ltree;
CREATE EXTENSION isn;
CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
SET search_path = types, public;
CREATE TYPE mood AS ENUM ('low', 'it''s "mid"', 'High, higher');
CREATE TYPE pair AS (x numeric, y citext, z timestamptz);
CREATE TYPE span AS RANGE (subtype = numeric);
CREATE DOMAIN amount AS numeric(12,3) CHECK (value > -1000);
CREATE DOMAIN code AS citext CHECK (value <> '') DEFAULT 'x';
CREATE DOMAIN padded AS char(6);
SELECT add_values('citext', '', 'a', 'A', 'ÜBER', 'über', 'a '),
	   add_values('numeric(12,3)', '0', '-0.000', '1', '1.0', '1.0005', '123456789.123', 'NaN'),
	   add_values('varchar(5)', '', 'a', 'a    ', 'üüüüü'), add_values('char(6)', '', 'a', 'a  ', ' a', 'üüüüüü'),
	   add_values('timestamp(3)', '1999-02-01 03:04:05.0006', 'infinity'), add_values('timestamptz(0)', '1999-02-01 03:04:05.6+05:45', '-infinity'),
	   add_values('time(0)', '23:59:59.4', '24:00'), add_values('timetz(2)', '12:34:56.789-08'), add_values('interval day to second(3)', '1 day 02:03:04.5678', '-1 day +00:00:01'),
	   add_values('varbit(9)', '', '0', '101010101'), add_values('mood', 'low', 'it''s "mid"', 'High, higher'),
	   add_values('pair', '(,,)', '(1.0,a,"2026-03-29 01:30:00+00")', '(1.00,"A,""b",infinity)'), add_values('span', 'empty', '[1.0,1.00]', '(,5)'),
	   add_values('amount', '1', '1.5', '-0', '999.9995'), add_values('code', 'a', 'A', 'a b'), add_values('padded', 'a', 'a  ', ''),
	   add_values('hstore', '', 'a=>1', 'b=>NULL, a=>" x"', '"a\"b"=>"c d"'), add_values('ltree', '', 'a.b', 'Top.a_1'),
	   add_values('ean13', '978-0-393-04002-9'), add_values('jsonb', '{"z": 1, "aa": 2, "b": [3, {"y": 1.10, "x": null}]}', '{"b": [3, {"x": null, "y": 1.10}], "aa": 2, "z": 1}');

CREATE TABLE kinds (number serial, type text);
INSERT INTO kinds (type) SELECT DISTINCT type FROM type_values ORDER BY type;
SELECT make_source(type) FROM kinds;

-- query has columns id, v and a.  JSON holds no control character, so that this CSV is the lines themselves.
CREATE FUNCTION write_file(query text, file text, format text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  lines text := CASE format WHEN 'json' THEN 'SELECT ''['' || string_agg(row_to_json(q)::text, '','') || '']''' ELSE 'SELECT row_to_json(q)' END;
BEGIN
  IF format = 'csv' THEN
    EXECUTE format('COPY (%s) TO %L (FORMAT csv, HEADER)', query, file);
  ELSE
    EXECUTE format('COPY (%s FROM (%s) q) TO %L (FORMAT csv, QUOTE %L, DELIMITER %L)', lines, query, file, E'\x01', E'\x02');
  END IF;
END $$;

-- Settings that decide how values are read and written, none of them twice the same.
CREATE FUNCTION use_settings(n int) RETURNS void LANGUAGE sql AS $$
  SELECT set_config(name, "values"[1 + n % array_length("values", 1)], false)
    FROM (VALUES ('datestyle', ARRAY['ISO, YMD', 'SQL, DMY', 'German', 'Postgres, MDY']), ('timezone', ARRAY['UTC', 'Asia/Kathmandu', 'America/St_Johns', 'Pacific/Apia']),
                 ('intervalstyle', ARRAY['postgres', 'sql_standard', 'iso_8601', 'postgres_verbose']), ('extra_float_digits', ARRAY['1', '-15', '0', '3']),
                 ('lc_monetary', ARRAY['C', 'de_DE.UTF-8']), ('lc_numeric', ARRAY['C', 'de_DE.UTF-8']), ('bytea_output', ARRAY['hex', 'escape']),
                 ('xmlbinary', ARRAY['base64', 'hex']), ('xmloption', ARRAY['content', 'document']), ('array_nulls', ARRAY['on', 'off']),
                 ('quote_all_identifiers', ARRAY['off', 'on']), ('standard_conforming_strings', ARRAY['on', 'off']), ('default_text_search_config', ARRAY['simple', 'english']),
                 ('timezone_abbreviations', ARRAY['Default', 'India'])) s (name, "values") $$;

-- A first run, and two more under other settings: NULL, or what they did.
CREATE FUNCTION runs(kind text, type text, source text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  sync text := kind || ' ' || type;
  steps text[];
  versions text[];
  step text;
  n bigint;
BEGIN
  EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', sync, 'source ' || type);
  EXECUTE format('SELECT censync_create_sync(%L, %L, ''upsert'', %s)', sync, format('%I', sync), source);
  FOR i IN 0 .. 2 LOOP
    PERFORM use_settings(i + length(sync) % 2 * i);
    SELECT format('%s created %s unchanged %s of %s%s', r.status, records_created, records_unchanged, records_read, ' ' || error_message) INTO step FROM censync_run(sync) r;
    PERFORM use_settings(0);
    steps := steps || step;
    EXECUTE format('SELECT count(*), string_agg(ctid || '' '' || xmin, '','' ORDER BY ctid) FROM %I', sync) INTO n, step;
    versions := versions || step;
  END LOOP;
  RETURN nullif(array_to_string(steps, '; ') || CASE WHEN versions[1] = ALL (versions) THEN '' ELSE '; new row versions' END,
                format('completed created %s unchanged 0 of %1$s; completed created 0 unchanged %1$s of %1$s; completed created 0 unchanged %1$s of %1$s', n));
END $$;
SQL
	return;
}

sub test_every_type
{
	my $text = "SELECT id, CASE WHEN NOT v IS NULL THEN format('%%s', v) END AS v, a::text AS a FROM %I";
	my $some = 'SELECT * FROM %I WHERE id <> 1004';

	for ([ 'typed query', 'SELECT * FROM %I', undef ],
		[ 'text query', $text, undef ],
		[ 'expression', $text, undef, '{"id": "id", "v": {"expression": "CASE WHEN id > 0 THEN v END"}, "a": {"source": "a", "when_null": "skip"}}' ],
		[ 'JSON', $some, 'json' ],
		[ 'text as JSON', $text, 'json' ],
		[ 'NDJSON', $some, 'ndjson' ],
		[ 'text as NDJSON', $text, 'ndjson' ],
		[ 'CSV', 'SELECT * FROM %I', 'csv' ])
	{
		my ($kind, $query, $format, $mappings) = @$_;
		# What is an array or object to JSON is none to these; arrays of documents come as one literal.
		my $where = $query eq $some && $format ? q(type NOT IN ('int2vector', 'oidvector', 'hstore', 'pair') AND type !~ '^json') :
		  $kind =~ /^text as/ ? q(type !~ '^json') : 'true';
		my $source = $format ? "format('server => ''files'', object => %L, options => %L', number || '.$format', '{\"format\": \"$format\"}')"
		  : "format('query => %L', format(" . sql_literal($query) . ", 'source ' || type))" . ($mappings ? ' || ' . sql_literal(', mappings => ' . sql_literal($mappings)) : '');
		my $write = $format ? "SELECT write_file(format(" . sql_literal($query) . ", 'source ' || type), format('%s/%s.%s', " . sql_literal($files) . ", number, '$format'), '$format') FROM kinds WHERE $where;" : '';

		is( $node->safe_psql('postgres', "SET client_min_messages = error; $write"), $format ? "\n" x ($node->safe_psql('postgres', "SELECT count(*) FROM kinds WHERE $where") - 1) : '', "$kind: written")
		  if $format;
		is( $node->safe_psql('postgres', "SELECT type || ': ' || result FROM kinds, runs(" . sql_literal($kind) . ", type, $source) result WHERE $where AND result IS NOT NULL ORDER BY type"),
			'', "$kind: every type");
	}

	# Documents as such.
	$node->safe_psql('postgres', "SELECT write_file(format('SELECT id, v, NULL AS a FROM %I WHERE id < 1000 AND v::text !~ ''u0000''', 'source ' || type), format('%s/%s.json', " . sql_literal($files) . ", type), 'json') FROM kinds WHERE type ~ '^json'");
	is( $node->safe_psql('postgres', "SELECT type || ': ' || result FROM kinds, runs('documents', type, format('server => ''files'', object => %L', type || '.json')) result WHERE type IN ('json', 'jsonb') AND result IS NOT NULL"),
		'', 'documents as JSON');
	return;
}

# Text of money is read as the session that defined the sync would, whoever runs it.
sub test_money
{
	is( $node->safe_psql('postgres', <<'SQL'), "100000\ncompleted|1|0\ncompleted|0|1\n1234.50", 'money under another locale');
SET lc_monetary = 'de_DE.UTF-8';
SELECT '1.000,00'::money::numeric::int * 100;
CREATE TABLE prices (id int PRIMARY KEY, v money);
SELECT censync_create_sync('prices', 'prices', 'upsert', query => $$SELECT 1 AS id, '1.234,50'::text AS v$$) \g /dev/null
SELECT status, records_created, records_unchanged FROM censync_run('prices');
SET lc_monetary = 'C';
SELECT status, records_created, records_unchanged FROM censync_run('prices');
SELECT v::numeric FROM prices;
SQL
	return;
}

# An input function that knows no SQLSTATE for text that it can't read: the record is bad, not the run.
# (That of hstore has known one since PostgreSQL 16.)
sub test_internal_errors
{
	$http->put('pairs', qq({"id": 1, "v": "a"}\n{"id": 2, "v": "a=>1"}\n), 'application/x-ndjson');
	create_server($node, 'data', $http, path => '/data/');
	$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION has_arrow(v text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF v !~ '=>' THEN RAISE 'no arrow' USING ERRCODE = 'internal_error'; END IF;
  RETURN true;
END $$;
CREATE DOMAIN arrow AS text CHECK (types.has_arrow(value));
SQL
	test_bad_input('hstore', $node->pg_version < 16 ? 'XX000' : '42601');
	test_bad_input('arrow', 'XX000');
	return;
}

sub test_bad_input
{
	my ($type, $code) = @_;

	is( $node->safe_psql('postgres', <<"SQL"), "completed|1|1\n1|$code|v\ncompleted|1|1\n1|$code|v", "errors of the input function of $type");
CREATE TABLE pairs_$type (id int PRIMARY KEY, v $type);
SELECT censync_create_sync('$type', 'pairs_$type', 'upsert', server => 'data', object => 'pairs') \\g /dev/null
SELECT status, records_created, records_invalid FROM censync_run('$type');
SELECT record_number, reason_code, column_name FROM censync.records WHERE run_id = (SELECT max(run_id) FROM censync.runs);
TRUNCATE pairs_$type;
SELECT censync_alter_sync('$type', mappings => '{"id": {"expression": "id::int"}, "v": {"expression": "v::$type"}}') \\g /dev/null
SELECT status, records_created, records_invalid FROM censync_run('$type');
SELECT record_number, reason_code, column_name FROM censync.records WHERE run_id = (SELECT max(run_id) FROM censync.runs);
SQL
	return;
}
