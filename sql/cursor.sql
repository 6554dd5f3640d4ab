-- Option cursor_column: what an incremental read reads, how far it moves, and that nothing is lost.
SET client_min_messages = warning;
SET TimeZone = 'UTC';
\pset format unaligned
\pset null -

CREATE SCHEMA cursors;
SET search_path = cursors, public;

-- What a run did, and where the watermark stands after it.
CREATE FUNCTION run(sync text, dry_run boolean DEFAULT false, "limit" bigint DEFAULT NULL,
    OUT run text, OUT watermark text) LANGUAGE plpgsql AS $$
BEGIN
    SELECT concat_ws(' ', r.status, 'read ' || r.records_read, 'created ' || nullif(r.records_created, 0),
                     'updated ' || nullif(r.records_updated, 0), 'unchanged ' || nullif(r.records_unchanged, 0),
                     'skipped ' || nullif(r.records_skipped, 0), 'invalid ' || nullif(r.records_invalid, 0),
                     'rejected ' || nullif(r.records_rejected, 0), r.error_code)
      INTO run.run FROM censync_run(run.sync, run.dry_run, run."limit") r;
    SELECT s.watermark INTO run.watermark FROM censync.syncs s WHERE s.name = run.sync;
END $$;
-- The SQLSTATE and message of a definition that is refused, or its id's absence.
CREATE FUNCTION refusal(behavior text, query text, options jsonb) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE hint text; detail text;
BEGIN
    PERFORM censync_create_sync('refused', 'dst', behavior, query => query, options => options);
    PERFORM censync_drop_sync('refused');
    RETURN 'taken';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT, detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''), nullif(hint, ''));
END $$;

CREATE TABLE src (id int PRIMARY KEY, name text, at timestamptz);
CREATE TABLE dst (id int PRIMARY KEY, name text CONSTRAINT no_bad CHECK (name <> 'bad'), at timestamptz);
INSERT INTO src SELECT g, 'n' || g, '2026-01-01'::timestamptz + g * interval '1 minute' FROM generate_series(1, 10000) g;
CREATE INDEX ON src (at);
ANALYZE src;
SELECT censync_create_sync('s', 'dst', 'upsert', object => 'cursors.src', options => '{"cursor_column": "at"}') > 0 AS created;
SELECT name, watermark FROM censync.syncs;

-- A limit and a dry run read, and do not move it; the first whole run does.
SELECT * FROM run('s', "limit" => 100);
SELECT * FROM run('s', dry_run => true);
SELECT * FROM run('s');
-- Inclusive: another row may come with the same value.
SELECT * FROM run('s');
INSERT INTO src VALUES (10001, 'same moment', '2026-01-07 22:40+00');
SELECT * FROM run('s');
-- A changed row, a new row, and one without a cursor, which is read every time.
UPDATE src SET name = 'changed', at = '2026-02-01' WHERE id = 5;
INSERT INTO src VALUES (10002, 'new', '2026-02-02'), (10003, 'timeless', NULL);
SELECT * FROM run('s');
SELECT * FROM run('s');
UPDATE src SET name = 'timeless again' WHERE id = 10003;
SELECT * FROM run('s');
-- Nothing new: it stays, even if the row it came from is gone.
DELETE FROM src WHERE id = 10002;
SELECT * FROM run('s');

-- The source's index serves: one row comes out of it (and the one with NULL), and there is no other scan.
SELECT pg_stat_force_next_flush();
BEGIN;
SELECT run FROM run('s');
SELECT idx_scan > 0 AS by_index, seq_scan, seq_tup_read, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relid = 'src'::regclass;
ROLLBACK;

-- Undone with its transaction.
BEGIN;
INSERT INTO src VALUES (10004, 'undone', '2026-03-01');
SELECT * FROM run('s');
ROLLBACK;
SELECT watermark FROM censync.syncs WHERE name = 's';
-- A failed run leaves it, too.
INSERT INTO src VALUES (10005, 'fine', '2026-02-10'), (10006, 'bad', '2026-02-03');
SELECT censync_alter_sync('s', options => '{"on_error": "fail"}');
SET client_min_messages = error;
SELECT * FROM run('s');
SET client_min_messages = warning;
SELECT censync_alter_sync('s', options => '{"on_error": null}');

-- A rejected record holds it, and is read again until it is applied; later ones are applied meanwhile.
SELECT * FROM run('s');
SELECT * FROM run('s');
INSERT INTO src VALUES (10007, 'later', '2026-02-20');
SELECT * FROM run('s');
ALTER TABLE dst DROP CONSTRAINT no_bad;
SELECT * FROM run('s');
SELECT id, name FROM dst WHERE id > 10004 ORDER BY id;
SELECT count(*) FROM (TABLE src EXCEPT TABLE dst) lost;

-- A rejected record behind the watermark, found by an overlap, takes it back.
ALTER TABLE dst ADD CONSTRAINT no_bad CHECK (name <> 'bad') NOT VALID;
SELECT censync_alter_sync('s', options => '{"cursor_overlap": "7 days"}');
SELECT watermark AS kept FROM censync.syncs WHERE name = 's';
INSERT INTO src VALUES (10008, 'bad', '2026-02-15'), (10009, 'late, within', '2026-02-14'), (10010, 'late, outside', '2026-02-12');
SELECT * FROM run('s');
-- From there the overlap reaches further back.
SELECT * FROM run('s');
UPDATE src SET name = 'good' WHERE id = 10008;
SELECT * FROM run('s');
SELECT id, name FROM dst WHERE id > 10007 ORDER BY id;
SELECT censync_alter_sync('s', options => '{"cursor_overlap": "0"}');
INSERT INTO src VALUES (10011, 'late, no overlap', '2026-02-19 23:59:59');
SELECT * FROM run('s');
SELECT id FROM src EXCEPT SELECT id FROM dst;

-- What makes it forget: reset, and whatever changes what is read or where it goes.
SELECT censync_reset('s');
SELECT watermark FROM censync.syncs WHERE name = 's';
SELECT * FROM run('s');
CREATE FUNCTION remembers(VARIADIC changes text[]) RETURNS TABLE (change text, remembers boolean) LANGUAGE plpgsql AS $$
BEGIN
    FOREACH change IN ARRAY changes LOOP
        PERFORM censync_reset('s');
        PERFORM run('s');
        EXECUTE format('SELECT censync_alter_sync(''s'', %s)', change);
        RETURN QUERY SELECT change, watermark IS NOT NULL FROM censync.syncs WHERE name = 's';
    END LOOP;
END $$;
CREATE TABLE dst2 (LIKE dst INCLUDING ALL);
SELECT * FROM remembers($$options => '{"max_rejected": 0.5}'$$, $$object => 'cursors.src'$$, $$destination => 'dst'$$,
    $$options => '{"cursor_overlap": "1 day"}'$$, $$behavior => 'upsert'$$, $$sync_key => '{id}'$$,
    $$mappings => '{"id": "id", "name": "name", "at": "at"}'$$, $$mappings => '{"name": "name", "id": "id", "at": "at"}'$$,
    $$behavior => 'append'$$, $$query => 'SELECT * FROM cursors.src', object => ''$$, $$query => 'TABLE cursors.src'$$,
    $$destination => 'dst2'$$, $$destination => 'dst', behavior => 'upsert', mappings => '{}'$$,
    $$options => '{"cursor_column": "id", "cursor_overlap": null}'$$, $$options => '{"cursor_column": null}'$$);
SELECT censync_alter_sync('s', options => '{"cursor_column": "at"}');
SELECT run FROM run('s');
SELECT count(*) FROM censync.cursor_state;
SELECT censync_drop_sync('s');
SELECT count(*) FROM censync.cursor_state;

-- Invalid records: a value that does not fit, a NULL key, duplicates.  The least of them holds.
CREATE TABLE odd (k text, v text, n bigint);
CREATE TABLE odd_dst (k text PRIMARY KEY, v int);
INSERT INTO odd VALUES ('a', '1', 1), ('b', 'x', 2), (NULL, '3', 3), ('d', '4', 4), ('d', '4', 5), ('f', '6', 6);
SELECT censync_create_sync('odd', 'odd_dst', 'upsert', query => 'TABLE odd', options => '{"cursor_column": "n"}') > 0 AS created;
SELECT * FROM run('odd');
UPDATE odd SET v = '2' WHERE k = 'b';
SELECT * FROM run('odd');
UPDATE odd SET k = 'c' WHERE k IS NULL;
SELECT * FROM run('odd');
DELETE FROM odd WHERE n = 5;
SELECT * FROM run('odd');
SELECT * FROM run('odd');
TABLE odd_dst ORDER BY k;
-- Copies that on_duplicate passes over by choice hold nothing.
SELECT censync_alter_sync('odd', options => '{"on_duplicate": "last"}');
INSERT INTO odd VALUES ('g', '7', 7), ('g', '8', 8), ('h', '9', 9);
SELECT * FROM run('odd');
TABLE odd_dst ORDER BY k;
-- A bad record without a cursor holds nothing: it is read every time.
INSERT INTO odd VALUES ('i', 'x', NULL), ('j', '10', 10);
SELECT * FROM run('odd');
UPDATE odd SET v = '11' WHERE k = 'i';
SELECT * FROM run('odd');
-- An overlap of a number, and one that is larger than the type is wide.
SELECT censync_alter_sync('odd', options => '{"cursor_overlap": 2.5}');
SELECT * FROM run('odd');
SELECT censync_alter_sync('odd', options => '{"cursor_overlap": 1e30}');
SELECT * FROM run('odd');
SELECT censync_drop_sync('odd');

-- update passes over records without a row for good: they are not lost, there is nothing to update.
TRUNCATE dst;
INSERT INTO dst SELECT id, 'old', at FROM src WHERE id <= 2;
SELECT censync_create_sync('u', 'dst', 'update', query => 'TABLE src', options => '{"cursor_column": "at"}') > 0 AS created;
SELECT * FROM run('u');
SELECT * FROM run('u');
SELECT censync_drop_sync('u');
-- append leaves rows that it reads again alone.
SELECT censync_create_sync('a', 'dst', 'append', query => 'TABLE src',
    options => '{"cursor_column": "at", "cursor_overlap": "1 hour"}') > 0 AS created;
SELECT * FROM run('a');
UPDATE src SET name = 'changed again', at = '2026-02-25' WHERE id = 7;
INSERT INTO src VALUES (10012, 'appended', '2026-02-25 00:30');
SELECT * FROM run('a');
SELECT name FROM dst WHERE id = 7;
SELECT censync_drop_sync('a');

-- Types: after two runs, the watermark, and how many of three records the third run reads.
CREATE DOMAIN moment AS timestamp CHECK (value > '2000-01-01');
CREATE FUNCTION cursor_of(type text, vals text[], overlap text DEFAULT NULL)
    RETURNS TABLE (of text, run text, watermark text) LANGUAGE plpgsql AS $$
BEGIN
    DROP TABLE IF EXISTS t, t_dst;
    EXECUTE format('CREATE TABLE t (id int, c %s)', type);
    CREATE TABLE t_dst (id int PRIMARY KEY);
    PERFORM censync_create_sync('t', 't_dst', 'upsert', query => 'TABLE t', options =>
        jsonb_strip_nulls(jsonb_build_object('cursor_column', 'c', 'cursor_overlap', overlap)));
    EXECUTE format('INSERT INTO t SELECT row_number() OVER (), v FROM unnest($1::%s[]) v', regexp_replace(type, 'COLLATE.*', '')) USING vals;
    of := type;
    PERFORM run('t');
    SELECT r.run, r.watermark INTO cursor_of.run, cursor_of.watermark FROM run('t') r;
    PERFORM censync_drop_sync('t');
    RETURN NEXT;
END $$;
SELECT c.* FROM (VALUES
    (1, 'smallint', '{1,-32768,7}', NULL), (2, 'smallint', '{1,-32768,7}', '70000'), (3, 'int', '{1,2,3}', '1'),
    (4, 'bigint', '{1,9223372036854775807,3}', '0.5'), (5, 'numeric', '{1.5,12345678901234567890.12345,3}', NULL),
    (6, 'numeric', '{1.5,NaN,3}', NULL), (7, 'numeric', '{-Infinity,Infinity,3}', NULL), (8, 'numeric(6,2)', '{1,2.5,3}', '.5'),
    (9, 'real', '{1,0.1,NaN}', NULL), (10, 'double precision', '{0.1,-Infinity,0.30000000000000004}', NULL),
    (11, 'date', '{2026-01-01,2026-01-09,2026-01-10}', '36 hours'), (12, 'date', '{2026-01-01,infinity,2026-01-10}', NULL),
    (13, 'timestamp', '{2026-01-01,infinity,2026-01-10 11:12:13.123456}', '1 day'),
    (14, 'timestamptz(0)', '{2026-01-01,-infinity,2026-01-10 11:12:13+02}', '1 month'),
    (15, 'moment', '{2026-01-01,2026-01-02,2026-01-03}', '1 day'),
    (16, 'text', '{a,B,c}', NULL), (17, 'text COLLATE "C"', '{a,B,c}', NULL), (18, 'varchar(9)', '{x1,x2,x3}', NULL), (19, 'char(4)', '{x1,x2,x3}', NULL),
    (20, 'uuid', '{018f0000-0000-7000-8000-000000000001,018f0000-0000-7000-8000-000000000003,018f0000-0000-7000-8000-000000000002}', NULL),
    (21, 'bytea', '{\\x01,\\x0100,\\x00}', NULL), (22, 'pg_lsn', '{0/1,1/0,0/FFFFFFFF}', NULL), (23, 'xid8', '{1,2,3}', NULL)
  ) v (n, type, vals, overlap), LATERAL cursor_of(type, vals::text[], overlap) c ORDER BY n;

-- Queries of all sorts are narrowed, and mean what they meant.
CREATE TABLE q_dst (id int PRIMARY KEY, name text);
CREATE FUNCTION narrowed(query text) RETURNS TABLE (first text, second text, watermark text) LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE q_dst;
    PERFORM censync_create_sync('q', 'q_dst', 'upsert', query => narrowed.query, options => '{"cursor_column": "Changed At"}');
    SELECT r.run INTO first FROM run('q') r;
    SELECT r.run, r.watermark INTO second, narrowed.watermark FROM run('q') r;
    PERFORM censync_drop_sync('q');
    RETURN NEXT;
END $$;
CREATE VIEW changes AS SELECT id, name, at AS "Changed At" FROM src WHERE id <= 3;
SELECT n.* FROM unnest(ARRAY[
    'SELECT * FROM changes;', E'SELECT * FROM changes -- all of them', 'TABLE changes; ; ', '/* ; */ TABLE changes /* ; */',
    'WITH source AS (TABLE changes) SELECT * FROM source', 'VALUES (1, ''one'', 1), (2, ''two'', 2) ORDER BY 1',
    'SELECT * FROM changes ORDER BY "Changed At" DESC LIMIT 2', 'TABLE changes UNION ALL SELECT 4, ''four'', ''2025-01-01''',
    'SELECT id, max(name) AS name, max("Changed At") AS "Changed At" FROM changes GROUP BY id',
    'SELECT id, name, "Changed At", 1 AS x, 2 AS x FROM changes source']) WITH ORDINALITY AS q (text, n),
    LATERAL narrowed(CASE WHEN text LIKE 'VALUES%' THEN 'SELECT * FROM (' || text || ') v (id, name, "Changed At")' ELSE text END) n ORDER BY q.n;

-- A column whose type changes has no watermark any more.
CREATE TABLE m (id int, c int);
INSERT INTO m VALUES (1, 1), (2, 2);
CREATE TABLE m_dst (id int PRIMARY KEY);
SELECT censync_create_sync('m', 'm_dst', 'upsert', query => 'SELECT * FROM m', options => '{"cursor_column": "c"}') > 0 AS created;
SELECT * FROM run('m');
SELECT * FROM run('m');
ALTER TABLE m ALTER c TYPE date USING date '2026-01-01' + c;
SET client_min_messages = notice;
SELECT * FROM run('m');
SELECT * FROM run('m');
SET client_min_messages = warning;
-- And one that is gone fails the run by name.
ALTER TABLE m RENAME c TO d;
SET client_min_messages = error;
SELECT * FROM run('m');
SET client_min_messages = warning;
SELECT error_message FROM censync.runs ORDER BY run_id DESC LIMIT 1;
SELECT censync_drop_sync('m');

-- What is refused when the sync is defined.
SELECT refusal('upsert', 'TABLE src', '{"cursor_column": "at"}');
SELECT refusal('mirror', 'TABLE src', '{"cursor_column": "at"}');
SELECT refusal('upsert', 'TABLE src', '{"cursor_column": "updated"}');
SELECT refusal('upsert', 'SELECT 1 AS id, 2 AS seq, 3 AS seq', '{"cursor_column": "seq"}');
SELECT refusal('upsert', 'SELECT 1 AS id, ''{}''::jsonb AS at', '{"cursor_column": "at"}');
SELECT refusal('upsert', 'SELECT 1 AS id, 1 AS name, array[1] AS n', '{"cursor_column": "n"}');
SELECT refusal('upsert', 'TABLE src', '{"cursor_column": ""}');
SELECT refusal('upsert', 'TABLE src', '{"cursor_column": "at", "cursor_type": "date"}');
SELECT refusal('upsert', 'TABLE src', '{"cursor_overlap": "1 day"}');
SELECT refusal('upsert', 'TABLE src', '{"cursor_type": "date"}');
SELECT refusal('upsert', 'TABLE src', '{"cursor_column": "at", "cursor_overlap": "5"}');
SELECT refusal('upsert', 'TABLE src', '{"cursor_column": "at", "cursor_overlap": "-5 min"}');
SELECT refusal('upsert', 'TABLE src', '{"cursor_column": "at", "cursor_overlap": "soon"}');
SELECT refusal('upsert', 'TABLE src', '{"cursor_column": "id", "cursor_overlap": "5 min"}');
SELECT refusal('upsert', 'TABLE src', '{"cursor_column": "id", "cursor_overlap": -1}');
SELECT refusal('upsert', 'TABLE src', '{"cursor_column": "id", "cursor_overlap": "NaN"}');
SELECT refusal('upsert', 'TABLE src', '{"cursor_column": "name", "cursor_overlap": 1}');
CREATE SERVER cursor_http TYPE 'http' FOREIGN DATA WRAPPER censync OPTIONS (url 'https://127.0.0.1/');
\set VERBOSITY default
SELECT censync_create_sync('h', 'dst', 'upsert', server => 'cursor_http', options => '{"cursor_column": "at"}');
SELECT censync_create_sync('h', 'dst', 'upsert', server => 'cursor_http',
    options => '{"cursor_column": "meta.at", "cursor_request_param": "since"}');
SELECT censync_create_sync('h', 'dst', 'upsert', server => 'cursor_http',
    options => '{"cursor_column": "name", "cursor_request_param": "since"}');
SELECT censync_create_sync('h', 'dst', 'upsert', server => 'cursor_http',
    options => '{"cursor_column": "meta.at", "cursor_request_param": "since", "cursor_type": "jsonb"}');
SELECT censync_create_sync('h', 'dst', 'upsert', server => 'cursor_http',
    options => '{"cursor_column": "id", "cursor_request_param": "since", "cursor_request_format": "epoch"}');
SELECT censync_create_sync('h', 'dst', 'upsert', server => 'cursor_http',
    options => '{"cursor_column": "at", "cursor_request_param": "since", "cursor_request_format": "unix"}');
DROP SERVER cursor_http;

-- At random: a source that changes, with rows that the destination refuses for a while, and its cursor
-- from a counter or a clock.  In the end nothing that can be applied is missing.
CREATE TABLE r_src (id int, v text, c bigint);
CREATE TABLE r_dst (id int PRIMARY KEY, v int, CONSTRAINT below CHECK (v < 900));
CREATE PROCEDURE change(INOUT clock bigint) LANGUAGE plpgsql AS $$
DECLARE k int;
BEGIN
    FOR i IN 1 .. floor(random() * 8) LOOP
        -- Several rows may share a cursor, some have none; some values fit no integer or are refused.
        clock := clock + floor(random() * 3)::bigint;
        IF random() < 0.05 THEN
            DELETE FROM r_src WHERE id = k;
        END IF;
        k := floor(random() * 40)::int;
        UPDATE r_src SET v = floor(random() * 1000)::text, c = CASE WHEN random() < 0.9 THEN clock END WHERE id = k;
        IF NOT FOUND OR random() < 0.05 THEN
            INSERT INTO r_src VALUES (k, CASE WHEN random() < 0.1 THEN 'no number' ELSE floor(random() * 1000)::text END,
                                      CASE WHEN random() < 0.9 THEN clock END);
        END IF;
    END LOOP;
END $$;
SET client_min_messages = error;
SELECT setseed(0.4);
CREATE TABLE outcomes (seed int, lost bigint, incremental boolean);
DO $$
DECLARE
    clock bigint;
    full_reads bigint;
    partial bigint;
BEGIN
    PERFORM censync_create_sync('r', 'r_dst', 'upsert', query => 'TABLE r_src',
        options => '{"cursor_column": "c", "max_rejected": 1}');
    FOR seed IN 1 .. 40 LOOP
        TRUNCATE r_src, r_dst;
        PERFORM censync_reset('r');
        clock := 0; full_reads := 0; partial := 0;
        FOR round IN 1 .. 12 LOOP
            CALL change(clock);
            full_reads := full_reads + (SELECT count(*) FROM r_src);
            -- Now and then a run fails, or is dry, or cut short.
            PERFORM censync_alter_sync('r', options => jsonb_build_object('on_error', CASE WHEN random() < 0.1 THEN 'fail' END));
            partial := partial + (SELECT records_read FROM censync_run('r', random() < 0.1, CASE WHEN random() < 0.1 THEN 2 END));
        END LOOP;
        PERFORM censync_alter_sync('r', options => '{"on_error": null}');
        -- The destination takes more than before, and a whole run follows.
        ALTER TABLE r_dst DROP CONSTRAINT below;
        PERFORM censync_run('r');
        ALTER TABLE r_dst ADD CONSTRAINT below CHECK (v < 900) NOT VALID;
        -- Every record that has a number and an id of its own is there, with its value.
        INSERT INTO outcomes SELECT seed,
            (SELECT count(*) FROM r_src s
              WHERE s.v ~ '^\d+$' AND (SELECT count(*) FROM r_src o WHERE o.id = s.id) = 1
                AND NOT EXISTS (SELECT FROM r_dst d WHERE d.id = s.id AND d.v = s.v::int)),
            partial < full_reads;
    END LOOP;
    PERFORM censync_drop_sync('r');
END $$;
SELECT count(*) AS seeds, sum(lost) AS lost, count(*) FILTER (WHERE incremental) > 30 AS incremental FROM outcomes;

DROP SCHEMA cursors CASCADE;
SELECT count(*) FROM censync.cursor_state;
