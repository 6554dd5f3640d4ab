-- Every type of pg_catalog, its edge values, through a sync and back: from a column of the same type and from
-- its text form, into a column and into an array, as a sync key, and under the settings of any session.
-- The database's encoding has to be UTF8.
SET client_min_messages = error;
-- The other styles write time zones as abbreviations, not all of which can be read back.
SET datestyle = 'ISO, DMY';
SET timezone = 'America/St_Johns';
CREATE SCHEMA types;
SET search_path = types, public;
\pset format unaligned
\pset null -
\getenv srcdir PG_ABS_SRCDIR
\set values_file :srcdir '/test/data/type_values.sql'
\i :values_file

-- Values that are too long for a key; statistics of each kind, for the types that only they have.
SELECT add_values('text', repeat('ten chars ', 1000000), repeat('é', 3000) || E'\n' || repeat('"', 3000)),
       add_values('bytea', '\x' || repeat('00ff5c27', 500000)),
       add_values('numeric', repeat('9', 131072), '-' || repeat('7', 1000) || '.' || repeat('3', 16383), '0.' || repeat('0', 16382) || '1'),
       add_values('varbit', repeat('011', 50000)),
       add_values('jsonb', '{"a": [' || repeat('{"b": "c"}, ', 50000) || '{}]}'),
       add_values('json', '{"a": [' || repeat('{"b": "c"}, ', 50000) || '{}]}');
CREATE TABLE described AS SELECT i / 10 AS a, i / 10 AS b FROM generate_series(1, 1000) i;
CREATE STATISTICS described_statistics ON a, b FROM described;
ANALYZE described;

-- A type without a value here would be one that nobody has tried.
SELECT t.oid::regtype AS "type without a value" FROM pg_type t
 WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype NOT IN ('p', 'c')
   AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
   AND t.typname NOT IN (SELECT (parse_ident(split_part(v.type, '(', 1)))[1] FROM type_values v UNION ALL SELECT q.type FROM type_queries q);

-- A source per type; the values and arrays of them.
SELECT count(make_source(type)) > 60 AS many FROM (SELECT DISTINCT type FROM type_values) t;

-- Runs a sync; what it did, without zeros.
CREATE FUNCTION go(sync text) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', r.status, (SELECT string_agg(key || ' ' || value, ' ' ORDER BY key) FROM jsonb_each_text(to_jsonb(r))
                                    WHERE key IN ('records_created', 'records_updated', 'records_deleted', 'records_unchanged', 'records_skipped',
                                                  'records_invalid', 'records_rejected') AND value <> '0'),
                   r.error_code, r.error_message, r.error_detail)
    FROM censync_run(sync) r $$;

-- The sync of a type's source into an empty copy, twice; NULL if all rows came over with the same image and
-- the second run found nothing to do.
CREATE FUNCTION round_trip(kind text, type text, query text, mappings jsonb DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  sync text := kind || ' ' || type;
  source text := format('%I', 'source ' || type);
  first text; second text; rows bigint; same bigint;
BEGIN
  EXECUTE format('CREATE TABLE %I (LIKE %s INCLUDING ALL)', sync, source);
  PERFORM censync_create_sync(sync, format('%I', sync)::regclass, 'upsert', query => format(query, source), mappings => mappings);
  first := go(sync);
  EXECUTE format('SELECT count(*), count(*) FILTER (WHERE s *= d) FROM %s s LEFT JOIN %I d USING (id)', source, sync)
    INTO rows, same;
  second := go(sync);
  RETURN nullif(format('%s of %s the same; %s; %s', same, rows, first, second),
                format('%s of %1$s the same; completed records_created %1$s; completed records_unchanged %1$s', rows));
END $$;

-- Typed to typed.
SELECT type, result FROM (SELECT DISTINCT type FROM type_values) t, round_trip('typed', type, 'SELECT * FROM %s') result
 WHERE result IS NOT NULL ORDER BY type;
-- Text forms, written by the types' output functions.
SELECT type, result FROM (SELECT DISTINCT type FROM type_values) t,
       round_trip('text', type, 'SELECT id, CASE WHEN NOT v IS NULL THEN format(''%%s'', v) END AS v, a::text AS a FROM %s') result
 WHERE result IS NOT NULL ORDER BY type;
-- Typed values by way of expressions, which planning may fold and casts may touch.
SELECT type, result FROM (SELECT DISTINCT type FROM type_values) t,
       round_trip('expression', type, 'SELECT * FROM %s', '{"id": "id", "v": {"expression": "coalesce(v, NULL)"}, "a": {"expression": "CASE WHEN id > 0 THEN a END"}}') result
 WHERE result IS NOT NULL ORDER BY type;

-- The types that only a query can have values of, and no array.
CREATE FUNCTION round_trip_query(type text, query text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TABLE %I (id bigint PRIMARY KEY, v %s)', 'source ' || type, type);
  EXECUTE format('INSERT INTO %I SELECT row_number() OVER (), q.* FROM (%s) q', 'source ' || type, query);
  EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', 'typed ' || type, 'source ' || type);
  PERFORM censync_create_sync('typed ' || type, format('%I', 'typed ' || type)::regclass, 'upsert', query => format('SELECT * FROM %I', 'source ' || type));
  RETURN concat_ws('; ', go('typed ' || type), go('typed ' || type));
END $$;
SELECT type, round_trip_query(type, query) FROM type_queries ORDER BY type;
SELECT count(*) = 0 AS same FROM "source pg_node_tree" s FULL JOIN "typed pg_node_tree" d USING (id) WHERE s.v::text IS DISTINCT FROM d.v::text;
-- Their text can't be read, and it says so.
SELECT censync_alter_sync('typed pg_node_tree', query => 'SELECT id, v::text FROM "source pg_node_tree"');
SELECT go('typed pg_node_tree');

-- Every type that can be compared as the key of a mirror: equal values are one row, what is unchanged is found
-- again, what is gone is deleted, by the keys that the mirror remembers.
CREATE FUNCTION as_key(type text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  sync text := 'key ' || type;
  n bigint; steps text[]; gone text;
BEGIN
  BEGIN
    EXECUTE format('CREATE TABLE %I (v %s PRIMARY KEY, note text)', sync, type);
  EXCEPTION WHEN undefined_object THEN
    RETURN 'no key';
  END;
  EXECUTE format('CREATE TABLE %I AS SELECT DISTINCT ON (v) v, id::text AS note FROM %I WHERE pg_column_size(v) < 2000 ORDER BY v', 'source of ' || sync, 'source ' || type);
  EXECUTE format('SELECT count(*) FROM %I', 'source of ' || sync) INTO n;
  PERFORM censync_create_sync(sync, format('%I', sync)::regclass, 'mirror', query => format('SELECT * FROM %I', 'source of ' || sync),
                              options => '{"max_deletes": 1}');
  steps := ARRAY[go(sync), go(sync)];
  EXECUTE format('UPDATE %I SET note = ''other''', 'source of ' || sync);
  steps := steps || go(sync);
  -- Half of the rows go; another session's settings are in force, which the memory must not depend on.
  SET LOCAL datestyle = 'SQL, DMY'; SET LOCAL intervalstyle = 'sql_standard'; SET LOCAL timezone = 'Asia/Kathmandu'; SET LOCAL bytea_output = 'escape'; SET LOCAL extra_float_digits = -10;
  EXECUTE format('DELETE FROM %I WHERE ctid IN (SELECT ctid FROM %1$I LIMIT %s)', 'source of ' || sync, n / 2);
  steps := steps || go(sync) || go(sync);
  RETURN nullif(array_to_string(steps, '; '), format('completed records_created %s; completed records_unchanged %1$s; completed records_updated %1$s; '
           || 'completed records_deleted %s records_unchanged %s; completed records_unchanged %3$s', n, n / 2, n - n / 2));
END $$;
SELECT type, result FROM (SELECT DISTINCT type FROM type_values) t, as_key(type) result WHERE result IS NOT NULL ORDER BY type;

-- Constants of a mapping keep every digit and every level.
CREATE TABLE constants (id int PRIMARY KEY, n numeric, f float8, t text, d date, b bytea, j jsonb, js jsonb, x json, ia int[], ta text[], nothing text DEFAULT 'something', yes bool, z box[]);
SELECT censync_create_sync('constants', 'constants', 'upsert', query => 'SELECT 1 AS id', mappings => '{"id": "id",
  "n": {"value": 1234567890123456789012345678901234567890.1234567890123456789012345678901234567890}, "f": {"value": 5e-324}, "t": {"value": "a\"b\\ é\n"},
  "d": {"value": "0044-03-15 BC"}, "b": {"value": "\\x00ff"}, "j": {"value": {"a": [1, {"b": 1.00}]}}, "js": {"value": "a string"}, "x": {"value": [1.00, null]},
  "ia": {"value": [[1, null], [3, 4]]}, "ta": {"value": ["", null, "NULL", "a\"b\\,{}", "é"]}, "nothing": {"value": null}, "yes": {"value": true},
  "z": {"value": ["(1,2),(0,0)", null, "(0.1,2),(0,0)"]}}') > 0 AS defined;
SELECT go('constants'), go('constants');
\x
SELECT * FROM constants;
\x

-- Type modifiers hold, and say so by record.
CREATE TABLE modified (id int PRIMARY KEY, n numeric(5,2), v varchar(3), c char(3), b bit(3), vb varbit(3), ts timestamp(0), t time(1), i interval second(2), a varchar(2)[]);
CREATE TABLE strings (id int, n text, v text, c text, b text, vb text, ts text, t text, i text, a text);
INSERT INTO strings VALUES (1, '1.005', 'abc', 'a', '101', '1', '2026-01-01 00:00:00.5', '00:00:00.06', '1.005', '{ab,c}');
INSERT INTO strings (id, n) VALUES (2, '1000'), (3, 'NaN'), (4, 'Infinity'), (5, '1e2'), (6, '');
INSERT INTO strings (id, v) VALUES (7, 'abcd'), (8, 'abc  '), (9, '');
INSERT INTO strings (id, c) VALUES (10, 'abc  '), (11, 'abcd');
INSERT INTO strings (id, b) VALUES (12, '1010'), (13, '10'), (14, '2');
INSERT INTO strings (id, vb) VALUES (15, '1010'), (16, '');
INSERT INTO strings (id, ts) VALUES (17, 'yesterdy'), (18, '2026-12-31 23:59:59.7');
INSERT INTO strings (id, t) VALUES (19, '25:00'), (20, '23:59:59.97');
INSERT INTO strings (id, a) VALUES (21, '{abc}'), (22, '{"ab "}');
SELECT censync_create_sync('modified', 'modified', 'upsert', query => 'SELECT * FROM strings') > 0 AS defined;
SELECT go('modified'), go('modified');
SELECT record_number, sync_key, status, reason_code, reason, column_name FROM censync.records
 WHERE run_id = (SELECT max(run_id) FROM censync.records) ORDER BY record_number;
SELECT * FROM modified ORDER BY id;

-- What does not fit a type, typed or as text: an invalid record each, and the others go on.
CREATE TABLE narrow (id int PRIMARY KEY, s smallint, i int, r real, n numeric, oid regclass, ns regnamespace, d date, u uuid, x xml, e int[]);
CREATE TABLE wide (id bigint, s int, i bigint, r float8, n text, oid text, ns text, d text, u text, x text, e text);
INSERT INTO wide (id, s, i, r) VALUES (1, 32768, 0, 0), (2, 0, 2147483648, 0), (3, 0, 0, 1e39), (4, 0, 0, 1e-50), (2147483648, 0, 0, 0), (5, 32767, -2147483648, 'NaN'),
  (NULL, 0, 0, 0);
INSERT INTO wide (id, n) VALUES (10, '1e140000'), (11, '0xG'), (12, '1__000'), (13, ' 12 '), (14, 'NaN');
INSERT INTO wide (id, oid) VALUES (15, 'no_such_table'), (16, '"half'), (17, 'narrow'), (18, '-');
INSERT INTO wide (id, ns) VALUES (19, 'no_such_schema'), (20, 'types');
INSERT INTO wide (id, d) VALUES (21, '2026-02-30'), (22, '4714-01-01 BC'), (23, 'infinity');
INSERT INTO wide (id, u) VALUES (24, '{}'), (25, '{a0eebc999c0b4ef8bb6d6bb9bd380a11}');
INSERT INTO wide (id, x) VALUES (26, '<a>'), (27, '');
INSERT INTO wide (id, e) VALUES (28, '{{1},{2,3}}'), (29, '{1,2'), (30, '{}'), (31, '{NULL}');
SELECT censync_create_sync('narrow', 'narrow', 'upsert', query => 'SELECT * FROM wide', options => '{"max_rejected": 0.9}') > 0 AS defined;
SELECT go('narrow'), go('narrow');
SELECT record_number, sync_key, reason_code, reason, column_name, payload->>column_name AS value FROM censync.records
 WHERE run_id = (SELECT max(run_id) FROM censync.records) ORDER BY record_number;
SELECT * FROM narrow ORDER BY id;

-- The settings of the session that defined a sync hold, whoever runs it.
CREATE TABLE dated (id int PRIMARY KEY, d date, ts timestamptz, i interval, f text, b text, m text, a text[], x xml, w tsvector, day text);
SET datestyle = 'SQL, DMY'; SET intervalstyle = 'sql_standard'; SET timezone = 'Asia/Kathmandu'; SET bytea_output = 'escape'; SET extra_float_digits = 0;
SET array_nulls = off; SET xmloption = document; SET xmlbinary = hex; SET default_text_search_config = 'english';
SELECT censync_create_sync('dated', 'dated', 'upsert', query => $$SELECT 1 AS id, '02/01/2026' AS d, '02/01/2026 00:00' AS ts, '-1-2 +3 -4:00:00' AS i, 0.1::float8 + 0.2 AS f,
  '\x00ff'::bytea AS b, 1234.5::money AS m, '{NULL,a}'::text AS a, '<!DOCTYPE a><a/>'::text AS x, to_tsvector('running') AS w, now()::date = current_date AS day$$) > 0 AS defined;
SELECT go('dated');
RESET intervalstyle; RESET bytea_output; RESET extra_float_digits; RESET array_nulls; RESET xmloption; RESET xmlbinary;
SET default_text_search_config = 'simple'; SET datestyle = 'ISO, MDY'; SET timezone = 'UTC'; SET intervalstyle = 'iso_8601'; SET extra_float_digits = -3;
SELECT go('dated');
SHOW datestyle;
SHOW timezone;
\x
SELECT * FROM dated;
\x

-- Floats become numerics as by their cast, digit for digit.
RESET extra_float_digits;
CREATE TABLE floats AS SELECT row_number() OVER ()::int AS id, f FROM (
  SELECT s * v AS f FROM unnest('{0,1,7,0.1,0.3,1.005,2.675,1234567.89,99999999999999.9,999999999999999,1e15,1e16,123456789012345678,1e22,1.7976931348623157e308,
    4.9406564584124654e-324,2.2250738585072014e-308,1e-5,1e-15,1.5e-15,1e-16,0.30000000000000004,0.1000000000000001,3.141592653589793,NaN,Infinity}'::float8[]) v, unnest('{1,-1}'::float8[]) s
  UNION ALL SELECT n::float8 / power(10, n % 19)::float8 FROM generate_series(1, 20000, 7) n
  UNION ALL SELECT n::float8 / (n % 97 + 1) FROM generate_series(1, 20000, 11) n
  UNION ALL SELECT (n::bigint * 100 + k)::float8 / 100 FROM generate_series(1, 900000000, 9999991) n, generate_series(0, 99, 3) k) s;
CREATE TABLE numerics (id int PRIMARY KEY, f numeric);
SELECT censync_create_sync('floats', 'numerics', 'upsert', query => 'SELECT id, f FROM floats') > 0 AS defined;
SELECT go('floats'), go('floats');
SELECT count(*), count(*) FILTER (WHERE n.f::text = s.f::numeric::text) AS same,
  count(*) FILTER (WHERE numeric_send(n.f) = numeric_send(s.f::numeric)) AS same_inside FROM floats s JOIN numerics n USING (id);

RESET search_path;
DO $$BEGIN PERFORM public.censync_drop_sync(name) FROM censync.syncs WHERE destination LIKE 'types.%'; END$$;
DROP SCHEMA types CASCADE;
