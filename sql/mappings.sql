-- Mappings: what a destination column may be written from, and what is refused.
SET client_min_messages = warning;
CREATE SCHEMA mappings;
SET search_path = mappings, public;
\pset format unaligned
\pset null -

CREATE TABLE dest (id int PRIMARY KEY, email text, name text DEFAULT 'nobody', amount numeric, doc jsonb, raw json, tags text[],
                   flag bool, day date, code varchar(3), region text);
CREATE TABLE source (id int, "E mail" text, first text, last text, amount float8, seen timestamptz, code text);
INSERT INTO source VALUES (1, 'Ann@Example.org', 'Ann', 'Lee', 0.1, '2024-03-01 23:30+00', 'abc'),
                          (2, 'BOB@example.org', NULL, 'Ray', 1e20, '2024-02-29 12:00+00', 'x'),
                          (3, NULL, 'Cy', NULL, NULL, NULL, NULL);
CREATE FUNCTION run(name text) RETURNS TABLE (status text, read bigint, invalid bigint, rejected bigint, created bigint,
               updated bigint, unchanged bigint, skipped bigint, code text, message text)
LANGUAGE sql AS $$
    SELECT status, records_read, records_invalid, records_rejected, records_created, records_updated,
           records_unchanged, records_skipped, error_code, error_message FROM censync_run(name)
$$;
CREATE VIEW log AS
SELECT record_number AS number, sync_key, status, reason_code AS code, reason, column_name, payload
  FROM censync.records WHERE run_id = (SELECT max(run_id) FROM censync.runs) ORDER BY record_number;
-- Defines a sync into dest, and tells what it says of that.
CREATE FUNCTION try(mappings jsonb, destination regclass DEFAULT 'dest', behavior text DEFAULT 'upsert',
                    query text DEFAULT 'SELECT * FROM source ORDER BY id', sync_key text[] DEFAULT NULL)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
    hint text;
BEGIN
    PERFORM censync_create_sync('try', destination, behavior, query => query, mappings => mappings, sync_key => sync_key);
    PERFORM censync_drop_sync('try');
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(E'\n    ', SQLSTATE || ': ' || SQLERRM, nullif(detail, ''), nullif(hint, ''));
END $$;

-- Rename, expressions, and constants.  Columns that are not mapped are not written.
SELECT censync_create_sync('all', 'dest', 'upsert', query => 'SELECT * FROM source ORDER BY id', mappings => $${
    "id": "id",
    "email": {"expression": "lower(\"E mail\")"},
    "name": {"expression": "coalesce(first || ' ' || last, first, last)"},
    "amount": {"source": "amount"},
    "flag": {"expression": "seen > '2024-03-01'"},
    "code": {"column": "code"},
    "region": {"value": "EU"}}$$) IS NOT NULL AS created;
INSERT INTO dest (id, day) VALUES (2, '2020-01-01');
SET timezone = 'Pacific/Auckland';
SELECT * FROM run('all');
SELECT id, email, name, amount, flag, code, region, day FROM dest ORDER BY id;
RESET timezone;

-- Expressions see the session of the definition: its time zone, not that of the run.
SET timezone = 'Pacific/Auckland';
SELECT censync_create_sync('zone', 'dest', 'upsert', query => 'SELECT * FROM source WHERE id = 1',
                           mappings => '{"id": "id", "day": "seen", "name": {"expression": "seen::date::text"}}') IS NOT NULL AS created;
SET timezone = 'America/Los_Angeles';
SELECT * FROM run('zone');
SELECT day, name FROM dest WHERE id = 1;
RESET timezone;

-- Constants of every JSON kind, exact: a number never goes through a double.
SELECT censync_create_sync('constants', 'dest', 'update', query => 'SELECT 3 AS id', mappings => $${"id": "id",
    "amount": {"value": 1234567890123456789012345678901234567.890}, "email": {"value": ""}, "name": {"value": null},
    "doc": {"value": {"b": [1.10, null, "x"], "a": {"c": "\u00e9\"\\"}}}, "raw": {"value": "text \"quoted\""},
    "tags": {"value": ["a,b", null, "", "{\"c\"}"]}, "flag": {"value": true}, "day": {"value": "2024-02-29"}}$$) IS NOT NULL AS created;
SELECT * FROM run('constants');
SELECT amount, email = '' AS empty, name IS NULL AS null, doc, raw, tags, flag, day FROM dest WHERE id = 3;
SELECT * FROM run('constants');
SELECT censync_alter_sync('constants', mappings => '{"id": {"value": 3}, "doc": {"value": 0.10000000000000000000000000000000000001},
    "raw": {"value": [1.0, {}]}, "name": {"value": 1.50}, "email": {"value": false}, "amount": {"value": "-Infinity"}}');
SELECT * FROM run('constants');
SELECT doc, raw, name, email, amount FROM dest WHERE id = 3;
SELECT censync_alter_sync('constants', mappings => '{"id": "id", "doc": {"value": null}, "raw": {"value": "null"}, "name": {"value": {"a": 1}}, "tags": {"value": []}}');
SELECT * FROM run('constants');
SELECT doc IS NULL AS sql_null, raw, name, tags FROM dest WHERE id = 3;
-- One that the column cannot hold is refused at once.
SELECT try('{"id": "id", "code": {"value": "four"}}');
SELECT try('{"id": "id", "amount": {"value": "many"}}');
SELECT try('{"id": {"value": 12345678901}}');

-- when_null: skip. A NULL leaves what is there alone; a new row gets the default, or NULL where there is none.
CREATE TABLE skips (id int PRIMARY KEY, a text NOT NULL DEFAULT 'default', b text, c text DEFAULT 'default', d serial);
INSERT INTO skips VALUES (1, 'old', 'old', 'old', 7), (2, 'old', 'old', 'old', 7), (3, 'old', 'old', 'old', 7);
SELECT censync_create_sync('skips', 'skips', 'upsert',
    query => $$VALUES (1, 'new', NULL, NULL, NULL), (2, NULL, 'new', 'new', NULL), (3, NULL, NULL, NULL, NULL), (4, NULL, NULL, NULL, NULL), (5, 'new', NULL, NULL, 9)$$,
    mappings => '{"id": "column1", "a": {"source": "column2", "when_null": "skip"}, "b": {"expression": "column3", "when_null": "skip"}, "c": "column4",
                  "d": {"source": "column5", "when_null": "skip"}}') IS NOT NULL AS created;
SELECT status, records_created, records_updated, records_unchanged FROM censync_run('skips', dry_run => true);
SELECT * FROM run('skips');
SELECT * FROM skips ORDER BY id;
SELECT * FROM run('skips');

-- when: empty. Set only where the destination has NULL or ''; what is there is kept, and is no difference.
CREATE TABLE empties (id int PRIMARY KEY, a text, n numeric, c text DEFAULT 'default');
INSERT INTO empties VALUES (1, NULL, NULL, NULL), (2, '', 0, ''), (3, 'kept', 5, 'kept'), (4, ' ', NULL, NULL);
SELECT censync_create_sync('empties', 'empties', 'upsert', query => 'SELECT n AS id, ''new'' AS a, 1 AS n, CASE WHEN n <> 1 THEN ''new'' END AS c FROM generate_series(1, 5) n',
    mappings => '{"id": "id", "a": {"source": "a", "when": "empty"}, "n": {"source": "n", "when": "empty"}, "c": {"source": "c", "when": "empty", "when_null": "skip"}}') IS NOT NULL AS created;
SELECT status, records_created, records_updated, records_unchanged FROM censync_run('empties', dry_run => true);
SELECT * FROM run('empties');
SELECT * FROM empties ORDER BY id;
SELECT * FROM run('empties');

-- By name: columns that both have.  Generated ones are left alone, as are columns that only one has.
CREATE TABLE by_name (id int PRIMARY KEY, "Name" text, total int GENERATED ALWAYS AS (id * 2) STORED, own text DEFAULT 'own',
                      always int GENERATED ALWAYS AS IDENTITY (START 100), bydefault int GENERATED BY DEFAULT AS IDENTITY (START 200));
SELECT censync_create_sync('by name', 'by_name', 'upsert', query => $$SELECT 1 AS id, 'x' AS "Name", 'y' AS name, 5 AS total, 6 AS always, 7 AS bydefault, 8 AS other$$) IS NOT NULL AS created;
SELECT censync_create_sync('by name too', 'by_name', 'upsert', query => 'SELECT 2 AS id', mappings => '{}') IS NOT NULL AS created;
SELECT * FROM run('by name');
SELECT * FROM run('by name too');
SELECT * FROM by_name ORDER BY id;

-- Refused at definition: each names the column and the way out.
\t on
SELECT try('{"id": "id", "nosuch": "first"}');
SELECT try('{"id": "id", "Total": "first"}', 'by_name');
SELECT try('{"id": "id", "total": "id"}', 'by_name');
SELECT try('{"id": "id", "always": "id"}', 'by_name');
SELECT try('{"id": "id", "bydefault": "id"}', 'by_name');
SELECT try('{"id": "id", "name": "nosuch"}');
SELECT try('{"id": "id", "name": "First"}');
SELECT try('{"id": "id", "name": {"expression": "lower(nosuch)"}}');
SELECT try('{"name": "first"}');
SELECT try(NULL, query => 'SELECT 1 AS number');
SELECT try('{"id": {"expression": "nosuch + 1"}}');
-- Which of two columns of one name is meant, nobody has said; the others can be used.
SELECT try(NULL, query => 'SELECT a.*, b.id FROM source a, source b');
SELECT try('{"id": {"expression": "id + 1"}}', query => 'SELECT 1 AS id, 2 AS id');
SELECT try('{"id": "id", "name": "first"}', query => 'SELECT 1 AS id, a.first, b.last, a.last FROM source a, source b');
CREATE TABLE needs (id int PRIMARY KEY, must text NOT NULL, has text NOT NULL DEFAULT 'x', "key" text UNIQUE);
SELECT try('{"id": "id"}', 'needs');
SELECT try('{"id": "id"}', 'needs', 'append');
SELECT try('{"id": "id"}', 'needs', 'mirror');
SELECT try('{"id": "id", "has": "first"}', 'needs', 'update');
SELECT try('{"id": "id", "must": "first"}', 'needs');
SELECT try(NULL, 'needs');
SELECT try('{"id": "id", "must": "first"}', 'needs', sync_key => '{key}');
-- A NOT NULL primary key that is not the sync key must come from somewhere, too.
SELECT try('{"key": "first", "must": "first"}', 'needs', sync_key => '{key}');
SELECT try('{"key": "first", "must": "first"}', 'needs', 'update', sync_key => '{key}');
CREATE DOMAIN required AS text NOT NULL;
CREATE DOMAIN required_with_default AS text NOT NULL DEFAULT 'd';
CREATE TABLE needs_domain (id int PRIMARY KEY, r required, d required_with_default);
SELECT try('{"id": "id"}', 'needs_domain');
SELECT try('{"id": "id", "r": "first"}', 'needs_domain');
-- Malformed ones.
SELECT try('{"id": 1}');
SELECT try('{"id": null}');
SELECT try('{"id": ["id"]}');
SELECT try('{"id": "id", "name": {"expresion": "first"}}');
SELECT try('{"id": "id", "name": {"source": "first", "when_null": "ignore"}}');
SELECT try('{"id": "id", "name": {"source": "first", "when": "null"}}');
SELECT try('{"id": "id", "name": {"expression": "first", "value": 1}}');
SELECT try('{"id": "id", "name": {"source": "first", "value": 1}}');
SELECT try('{"id": "id", "name": {"source": "first", "expression": "last"}}');
SELECT try('{"id": "id", "name": {"source": "first", "column": "last"}}');
SELECT try('{"id": "id", "name": {"expression": 1}}');
SELECT try('{"id": "id", "name": {"source": {"a": 1}}}');
SELECT try('{"id": "id", "name": {"expression": null}}');
-- A name is a name, whatever is in it.
SELECT try('{"id": "id", "name": ""}');
SELECT try('{"id": "id", "": "first"}');
SELECT try('{"id": "id", "ctid": "first"}');
SELECT try('{"id": "id", "name\" = NULL; DROP TABLE dest --": "first"}');
SELECT try('{"id": "id", "name": "first\" FROM source; DROP TABLE dest --"}');
-- Expressions are one expression over one record.
SELECT try('{"id": "id", "name": {"expression": "(SELECT max(first) FROM source)"}}');
SELECT try('{"id": "id", "name": {"expression": "EXISTS (SELECT)"}}');
SELECT try('{"id": "id", "name": {"expression": "ARRAY(SELECT first FROM source)::text"}}');
SELECT try('{"id": "id", "name": {"expression": "max(first)"}}');
SELECT try('{"id": "id", "name": {"expression": "count(*) OVER ()"}}');
SELECT try('{"id": "id", "name": {"expression": "lag(first) OVER (ORDER BY id)"}}');
SELECT try('{"id": "id", "name": {"expression": "regexp_split_to_table(first, '''')"}}');
SELECT try('{"id": "id", "name": {"expression": "generate_series(1, 3)"}}');
SELECT try('{"id": "id", "name": {"expression": "grouping(id)"}}');
SELECT try('{"id": "id", "name": {"expression": "first, last"}}');
SELECT try('{"id": "id", "name": {"expression": "first FROM source"}}');
SELECT try('{"id": "id", "name": {"expression": "first WHERE true"}}');
SELECT try('{"id": "id", "name": {"expression": "first UNION SELECT last"}}');
SELECT try('{"id": "id", "name": {"expression": "DISTINCT first"}}');
SELECT try('{"id": "id", "name": {"expression": "first ORDER BY 1"}}');
SELECT try('{"id": "id", "name": {"expression": "first LIMIT 1"}}');
SELECT try('{"id": "id", "name": {"expression": "first FOR UPDATE"}}');
SELECT try('{"id": "id", "name": {"expression": "first GROUP BY ()"}}');
SELECT try('{"id": "id", "name": {"expression": "first; DROP TABLE dest"}}');
SELECT try('{"id": "id", "name": {"expression": "first) FROM source; DROP TABLE dest; --"}}');
SELECT try('{"id": "id", "name": {"expression": "first /* "}}');
SELECT try('{"id": "id", "name": {"expression": "''open"}}');
SELECT try('{"id": "id", "name": {"expression": ""}}');
SELECT try('{"id": "id", "name": {"expression": " -- nothing"}}');
SELECT try('{"id": "id", "name": {"expression": "*"}}');
SELECT try('{"id": "id", "name": {"expression": "source.*"}}');
SELECT try('{"id": "id", "name": {"expression": "row_to_json(source)::text"}}');
SELECT try('{"id": "id", "name": {"expression": "$1"}}');
SELECT try('{"id": "id", "name": {"expression": "DEFAULT"}}');
SELECT try('{"id": "id", "name": {"expression": "nosuch(first)"}}');
SELECT try('{"id": "id", "name": {"expression": "CURRENT OF c"}}');
SELECT try('{"id": "id", "name": {"expression": "first -- a comment at the end"}}');
\t off
SELECT count(*) > 0 AS still_there FROM dest;

-- What PostgreSQL says of an expression names the mapping, and points into the expression.
SELECT censync_create_sync('x', 'dest', 'upsert', query => 'TABLE source', mappings => '{"id": "id", "name": {"expression": "first || 1 +"}}');
SELECT censync_create_sync('x', 'dest', 'upsert', query => 'TABLE source', mappings => '{"id": "id", "name": {"expression": "lower(first, id)"}}');
SELECT censync_create_sync('x', 'dest', 'upsert', query => 'TABLE source', mappings => '{"id": "id", "code": {"value": "four"}}');

-- Errors of one record's expression or cast make that record invalid, and no other.
INSERT INTO source VALUES (4, 'x', 'a', '0', 1, NULL, 'y'), (5, 'x', 'b', '5', 1, NULL, 'z'), (6, 'x', 'c', 'six', 1, NULL, 'z');
SELECT censync_create_sync('errors', 'dest', 'upsert', query => 'SELECT id, first, last FROM source WHERE id > 3 ORDER BY id',
                           mappings => '{"id": "id", "amount": {"expression": "10 / last::int"}, "name": "first"}') IS NOT NULL AS created;
SELECT * FROM run('errors');
SELECT * FROM log;
SELECT id, name, amount FROM dest WHERE id > 3;

-- Values are assigned as INSERT would: casts for assignment, length checked rather than cut, and through text
-- where there is no cast.
CREATE TABLE casts (id int PRIMARY KEY, v varchar(3), b char(3), n numeric(5,2), s smallint, d date, t time, i text, j jsonb, bits bit(3), a int[], e text);
SELECT censync_create_sync('casts', 'casts', 'upsert', mappings => '{"id": "id", "v": "v", "b": "b", "n": "n", "s": "s", "d": "d", "t": "d", "i": "i", "j": "j", "bits": "bits", "a": "a"}', options => '{"max_rejected": 1}', query => $$
    SELECT n AS id, CASE n WHEN 2 THEN 'four' WHEN 3 THEN 'sp    ' ELSE 'abc' END::text AS v, CASE n WHEN 4 THEN 'four' ELSE 'a' END AS b,
           CASE n WHEN 5 THEN 1000 ELSE 1.005 END AS n, CASE n WHEN 6 THEN 40000 ELSE 1.5 END AS s,
           timestamptz '2024-02-29 23:59:59+00' AS d, interval '1 day' AS i, CASE n WHEN 7 THEN 'no json' ELSE '{"a": 1.0}' END AS j,
           CASE n WHEN 8 THEN '1111' ELSE '101' END AS bits, CASE n WHEN 9 THEN '{1,x}' ELSE '{1,2}' END AS a
      FROM generate_series(1, 9) n$$) IS NOT NULL AS created;
SELECT * FROM run('casts');
SELECT number, sync_key, code, reason, column_name FROM log;
SELECT * FROM casts ORDER BY id;

-- Domains are checked when a value is decoded, nested ones and those over arrays too.
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN even AS positive CHECK (VALUE % 2 = 0);
CREATE DOMAIN few AS int[] CHECK (cardinality(VALUE) < 3);
CREATE DOMAIN named AS text NOT NULL CHECK (VALUE <> '');
CREATE TABLE domains (id positive PRIMARY KEY, e even, f few, n named DEFAULT 'd');
SELECT censync_create_sync('domains', 'domains', 'upsert', query => $$
    VALUES (1, 2, '{1,2}', 'x'), (-2, 2, '{1}', 'x'), (3, 3, '{1}', 'x'), (4, -4, '{1}', 'x'), (5, NULL, '{1,2,3}', 'x'), (6, NULL, NULL, ''), (7, NULL, NULL, NULL), (8, 4, '{}', 'x')$$,
    mappings => '{"id": "column1", "e": "column2", "f": "column3", "n": "column4"}') IS NOT NULL AS created;
SELECT * FROM run('domains');
SELECT number, sync_key, code, reason, column_name FROM log;
SELECT * FROM domains ORDER BY id;

-- Only the run can know: the source or the destination changed after the definition.  The run fails and names it.
SET client_min_messages = error;
CREATE VIEW changing AS SELECT 1 AS id, 'a'::text AS note;
CREATE TABLE changed (id int PRIMARY KEY, note text);
SELECT censync_create_sync('changing', 'changed', 'upsert', object => 'changing', mappings => '{"id": "id", "note": "note"}') IS NOT NULL AS created;
SELECT * FROM run('changing');
DROP VIEW changing;
SELECT status, code, message FROM run('changing');
CREATE VIEW changing AS SELECT 1 AS id, 'b'::text AS remark;
SELECT status, code, message FROM run('changing');
SELECT censync_alter_sync('changing', mappings => '{"id": "id", "note": {"expression": "upper(remark)"}}');
SELECT status, updated FROM run('changing');
ALTER TABLE changed ADD must text NOT NULL DEFAULT 'x';
ALTER TABLE changed ALTER must DROP DEFAULT;
SELECT status, code, message FROM run('changing');
ALTER TABLE changed DROP must;
ALTER TABLE changed RENAME note TO remark;
SELECT status, code, message FROM run('changing');
ALTER TABLE changed RENAME remark TO note;
ALTER TABLE changed DROP note, ADD note text GENERATED ALWAYS AS (id::text) STORED;
SELECT status, code, message FROM run('changing');
ALTER TABLE changed DROP CONSTRAINT changed_pkey;
SELECT status, code, message FROM run('changing');
DROP TABLE changed;
SELECT status, code, message FROM run('changing');
SELECT error_hint FROM censync.runs ORDER BY run_id DESC LIMIT 1;

SELECT count(censync_drop_sync(name)) AS dropped FROM censync.syncs;
RESET search_path;
DROP SCHEMA mappings CASCADE;
