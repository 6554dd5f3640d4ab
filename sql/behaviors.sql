-- The four behaviors, beside a model of each in plain SQL.
SET client_min_messages = warning;
CREATE SCHEMA behaviors;
CREATE EXTENSION citext SCHEMA behaviors;
CREATE EXTENSION pg_walinspect SCHEMA behaviors;
SET search_path = behaviors, public;
SET intervalstyle = postgres;
\pset format unaligned
\pset null -
\set VERBOSITY default

-- The destination: a composite key in another order than its columns, types whose equality is not
-- exact, and a column that no sync writes.  Triggers tell what a run costs.
CREATE TABLE dest (id int, label citext, amount numeric, note text, kept text DEFAULT 'app', region text,
                   PRIMARY KEY (region, id)) WITH (autovacuum_enabled = off);
CREATE TABLE source (region text, id int, label text, amount numeric, note text);
CREATE TABLE fired (op text, level text);
CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO behaviors.fired VALUES (lower(TG_OP), lower(TG_LEVEL));
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER of_rows BEFORE INSERT OR UPDATE OR DELETE ON dest FOR EACH ROW EXECUTE FUNCTION fire();
CREATE TRIGGER of_statements BEFORE INSERT OR UPDATE OR DELETE ON dest FOR EACH STATEMENT EXECUTE FUNCTION fire();

-- 2,000 rows.  The source has three quarters of them, some the same, some changed in one way each, 500 new
-- ones, and records without a key or with a key that others have too.
CREATE PROCEDURE fill() LANGUAGE sql AS $$
    TRUNCATE dest, source;
    INSERT INTO dest (region, id, label, amount, note)
      SELECT r, n, 'a' || n % 10, n % 100 + 1.0, CASE WHEN n % 3 <> 0 THEN 'n' || n END
        FROM generate_series(1, 1000) n, unnest(ARRAY['eu', 'us']) r;
    INSERT INTO source
      SELECT CASE WHEN n % 50 <> 0 THEN r END, CASE WHEN n % 70 <> 0 THEN n END,
             CASE WHEN n % 21 = 7 THEN 'A' ELSE 'a' END || n % 10,
             CASE WHEN n % 21 = 8 THEN n % 100 + 1.00 ELSE n % 100 + 1.0 END,
             CASE n % 21 WHEN 3 THEN '' WHEN 2 THEN NULL WHEN 4 THEN 'changed'
                         ELSE CASE WHEN n % 3 <> 0 THEN 'n' || n END END
        FROM generate_series(251, 1250) n, unnest(ARRAY['eu', 'us']) r;
    INSERT INTO source SELECT region, id, label, amount, note || c
      FROM source, unnest(ARRAY['', 'copy']) c WHERE id % 60 = 0 AND (c = '' OR id % 120 = 0);
    TRUNCATE fired;
$$;

-- The model: what a sync should make of the destination, worked out with MERGE and joins.
CREATE TABLE model_memory (sync text, region text, id int, PRIMARY KEY (sync, region, id));
CREATE TABLE delta (region text, id int, label text, amount numeric, note text, op text);
CREATE TABLE want (LIKE dest);
CREATE PROCEDURE model(name text, behavior text, scope text) LANGUAGE sql AS $$
    TRUNCATE delta, want;
    INSERT INTO want TABLE dest;
    INSERT INTO delta
      SELECT v.*, CASE WHEN d.id IS NULL AND behavior = 'update' THEN 'skip'
                       WHEN d.id IS NULL THEN 'create'
                       WHEN behavior = 'append' THEN 'same'
                       WHEN (v.label, v.amount::text, v.note) IS DISTINCT FROM (d.label::text, d.amount::text, d.note)
                       THEN 'update' ELSE 'same' END
        FROM (SELECT region, id, min(label), min(amount), min(note) FROM source
               WHERE region IS NOT NULL AND id IS NOT NULL
               GROUP BY region, id HAVING count(*) = 1) v (region, id, label, amount, note)
        LEFT JOIN dest d USING (region, id);
    INSERT INTO delta (region, id, op)
      SELECT region, id, 'delete' FROM dest d
       WHERE behavior = 'mirror'
         AND NOT EXISTS (SELECT FROM source s WHERE (s.region, s.id) = (d.region, d.id))
         AND (scope = 'table' OR EXISTS (SELECT FROM model_memory m WHERE (m.sync, m.region, m.id) = (name, d.region, d.id)));
    MERGE INTO want w USING delta s ON (w.region, w.id) = (s.region, s.id)
     WHEN MATCHED AND s.op = 'update' THEN UPDATE SET label = s.label, amount = s.amount, note = s.note
     WHEN MATCHED AND s.op = 'delete' THEN DELETE
     WHEN NOT MATCHED AND s.op = 'create' THEN INSERT VALUES (s.id, s.label, s.amount, s.note, 'app', s.region);
    INSERT INTO model_memory SELECT name, region, id FROM delta WHERE op IN ('create', 'update') ON CONFLICT DO NOTHING;
    DELETE FROM model_memory m USING delta d WHERE (m.sync, m.region, m.id) = (name, d.region, d.id) AND d.op = 'delete';
$$;

-- Plays the model, a dry run, and the run; a line of counts for each.  "differs" is the number of rows that are
-- not as the model (of the dry run: as they were before) says; "touched" is how many of the rows from before
-- have another ctid, xmin or xmax now.
CREATE FUNCTION play(name text, behavior text, scope text DEFAULT 'synced')
RETURNS TABLE (what text, status text, read bigint, invalid bigint, rejected bigint, created bigint, updated bigint,
               deleted bigint, unchanged bigint, skipped bigint, differs bigint, touched bigint, triggers text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    dry boolean;
BEGIN
    CREATE TEMP TABLE was AS SELECT ctid AS old_ctid, xmin AS old_xmin, xmax AS old_xmax, d.*, row_to_json(d)::text AS image FROM dest d;
    CALL model(play.name, play.behavior, play.scope);
    RETURN QUERY
      SELECT 'model', 'completed', s.n, s.n - count(*) FILTER (WHERE op <> 'delete'), 0::bigint,
             count(*) FILTER (WHERE op = 'create'), count(*) FILTER (WHERE op = 'update'),
             count(*) FILTER (WHERE op = 'delete'), count(*) FILTER (WHERE op = 'same'),
             count(*) FILTER (WHERE op = 'skip'), 0::bigint, count(*) FILTER (WHERE op IN ('update', 'delete')), NULL
        FROM delta, (SELECT count(*) AS n FROM source) s GROUP BY s.n;
    FOREACH dry IN ARRAY ARRAY[true, false] LOOP
        TRUNCATE fired;
        SELECT CASE WHEN dry THEN 'dry run' ELSE 'run' END, r.status, records_read, records_invalid,
               records_rejected, records_created, records_updated, records_deleted, records_unchanged, records_skipped
          INTO what, status, read, invalid, rejected, created, updated, deleted, unchanged, skipped
          FROM censync_run(play.name, dry_run => dry) r;
        ASSERT read = invalid + rejected + created + updated + unchanged + skipped, 'the counts do not add up';
        WITH should AS (SELECT image FROM was WHERE dry UNION ALL SELECT row_to_json(w)::text FROM want w WHERE NOT dry),
             does AS (SELECT row_to_json(d)::text FROM dest d)
        SELECT count(*) INTO differs
          FROM ((TABLE should EXCEPT ALL TABLE does) UNION ALL (TABLE does EXCEPT ALL TABLE should)) x;
        SELECT count(*) INTO touched FROM was w LEFT JOIN dest d USING (region, id)
         WHERE (d.ctid, d.xmin, d.xmax) IS DISTINCT FROM (w.old_ctid, w.old_xmin, w.old_xmax);
        SELECT string_agg(format('%s %s %s', n, op, level), ', ' ORDER BY op, level) INTO triggers
          FROM (SELECT op, level, count(*) AS n FROM fired GROUP BY 1, 2) f;
        RETURN NEXT;
    END LOOP;
    DROP TABLE was;
END $$;

-- Each behavior on the same data, twice: the second run finds nothing to do, and does nothing.
CALL fill();
SELECT censync_create_sync('u', 'dest', 'update', query => 'TABLE source') IS NOT NULL AS created;
SELECT * FROM play('u', 'update');
SELECT * FROM play('u', 'update');
CALL fill();
SELECT censync_create_sync('uc', 'dest', 'update_or_create', object => 'source') IS NOT NULL AS created;
SELECT * FROM play('uc', 'upsert');
SELECT * FROM play('uc', 'upsert');
CALL fill();
SELECT censync_create_sync('a', 'dest', 'append', object => 'source', sync_key => '{id, region}') IS NOT NULL AS created;
SELECT * FROM play('a', 'append');
SELECT * FROM play('a', 'append');
SELECT name, behavior, destination, sync_key FROM censync.syncs ORDER BY sync_id;

-- A mirror: its first run is an upsert; then it deletes what it wrote and the source no longer has, even
-- when it wrote it some runs ago.  Rows that it found unchanged and rows of the application stay.
CALL fill();
SELECT censync_create_sync('m', 'dest', 'mirror', object => 'source') IS NOT NULL AS created;
SELECT * FROM play('m', 'mirror');
SELECT * FROM play('m', 'mirror');
DELETE FROM source WHERE id BETWEEN 900 AND 1100;
INSERT INTO source VALUES ('eu', 5000, 'x', 1, 'new'), ('eu', 1, 'a1', 1.0, 'changed');
SELECT * FROM play('m', 'mirror');
DELETE FROM source WHERE id IN (1, 5000) OR id > 1100;
INSERT INTO source SELECT 'eu', n, 'back', 2, 'back' FROM generate_series(1001, 1010) n;
SELECT * FROM play('m', 'mirror');
SELECT * FROM play('m', 'mirror');
SELECT (SELECT count(*) FROM model_memory WHERE sync = 'm') AS model, count(*) AS memory
  FROM censync.mirror_memory JOIN censync.syncs USING (sync_id) WHERE name = 'm';

-- mirror_scope = table: whatever is not in the source goes, but no row of a record that is only invalid.
CALL fill();
SELECT censync_create_sync('t', 'dest', 'mirror', object => 'source', options => '{"mirror_scope": "table"}') IS NOT NULL AS created;
SELECT * FROM play('t', 'mirror', 'table');
SELECT * FROM play('t', 'mirror', 'table');
SELECT count(*) FROM censync.mirror_memory JOIN censync.syncs USING (sync_id) WHERE name = 't';

-- A run that changes nothing writes nothing about the table into the WAL, nor about the mirror's memory.
SELECT * FROM play('m', 'mirror');
VACUUM (FREEZE) dest;
SELECT pg_current_wal_insert_lsn() AS start \gset
SELECT sync, status, records_unchanged FROM censync_run('t');
SELECT sync, status, records_unchanged FROM censync_run('m');
SELECT sync, status, records_unchanged, records_updated FROM censync_run('uc', dry_run => true);
SELECT pg_current_wal_insert_lsn() AS stop \gset
CHECKPOINT;  -- what was written last must be on disk to be read
SELECT c.oid::regclass, count(*) FROM pg_get_wal_records_info(:'start', :'stop') w, pg_class c
 WHERE c.relnamespace = 'behaviors'::regnamespace AND c.relfilenode <> 0
   AND strpos(w.block_ref, format('/%s fork', c.relfilenode)) > 0 GROUP BY 1;
-- (The same question does find the run's log, so it would find the table.)
SELECT DISTINCT c.oid::regclass FROM pg_get_wal_records_info(:'start', :'stop') w, pg_class c
 WHERE c.relnamespace = 'censync'::regnamespace AND c.relkind = 'r' AND w.record_type NOT LIKE 'PRUNE%' AND strpos(w.block_ref, format('/%s fork', c.relfilenode)) > 0 ORDER BY 1;
SELECT count(censync_drop_sync(name)) AS dropped FROM censync.syncs;
DROP TABLE dest, source, delta, want, model_memory;

-- The counts of a run in one line.
CREATE FUNCTION run(name text, dry_run boolean DEFAULT false, "limit" bigint DEFAULT NULL)
RETURNS TABLE (sync text, status text, read bigint, invalid bigint, rejected bigint, created bigint,
               updated bigint, deleted bigint, unchanged bigint, skipped bigint, code text)
LANGUAGE sql AS $$
    SELECT r.sync, status, records_read, records_invalid, records_rejected, records_created,
           records_updated, records_deleted, records_unchanged, records_skipped, error_code
      FROM censync_run(name, dry_run, "limit") r
$$;
-- What its log has of single records.
CREATE VIEW log AS
SELECT record_number AS number, sync_key, operation, status, reason_code AS code, reason, payload, column_name, constraint_name
  FROM censync.records WHERE run_id = (SELECT max(run_id) FROM censync.runs) ORDER BY record_number NULLS LAST, sync_key;

-- Differs is not "=": values that are equal and look different are changes, in keys too.
CREATE TABLE images (k int PRIMARY KEY, c citext, n numeric, f float8, i interval, b char(5), j jsonb, x json, r numrange, a citext[], t timetz);
CREATE TABLE images_source AS TABLE images;
INSERT INTO images VALUES
 (1, 'a', 1.0, 0, '1 day', 'a', '{"a": 1.0}', '{"a":1}', '[1,2)', '{a}', '12:00+00'),
 (2, 'a', 1.0, 0, '1 day', 'a', '{"a": 1.0}', '{"a":1}', '[1,2)', '{a}', '12:00+00'),
 (3, 'a', 1.0, 0, '1 day', 'a', '{"a": 1.0}', '{"a":1}', '[1,2)', '{a}', '12:00+00'),
 (4, 'a', 1.0, 0, '1 day', 'a', '{"a": 1.0}', '{"a":1}', '[1,2)', '{a}', '12:00+00'),
 (5, 'a', 1.0, 0, '1 day', 'a', '{"a": 1.0}', '{"a":1}', '[1,2)', '{a}', '12:00+00'),
 (6, 'a', 1.0, 0, '1 day', 'a', '{"a": 1.0}', '{"a":1}', '[1,2)', '{a}', '12:00+00'),
 (7, 'a', 1.0, 0, '1 day', 'a', '{"a": 1.0}', '{"a":1}', '[1,2)', '{a}', '12:00+00'),
 (8, 'a', 1.0, 0, '1 day', 'a', '{"a": 1.0}', '{"a":1}', '[1,2)', '{a}', '12:00+00'),
 (9, NULL, 'NaN', 'NaN', NULL, '', NULL, NULL, NULL, NULL, NULL);
INSERT INTO images_source SELECT * FROM images;
UPDATE images_source SET c = 'A' WHERE k = 1;
UPDATE images_source SET n = 1.00 WHERE k = 2;
UPDATE images_source SET f = '-0' WHERE k = 3;
UPDATE images_source SET i = '24:00' WHERE k = 4;
UPDATE images_source SET j = '{"a": 1.00}' WHERE k = 5;
UPDATE images_source SET x = '{"a": 1}', a = '{A}' WHERE k = 6;
UPDATE images_source SET r = '[1.0,2)' WHERE k = 7;
SELECT count(*) AS equal_nevertheless FROM images d JOIN images_source s USING (k)
 WHERE (d.c, d.n, d.f, d.i, d.b, d.j, d.r, d.a) IS NOT DISTINCT FROM (s.c, s.n, s.f, s.i, s.b, s.j, s.r, s.a);
SELECT censync_create_sync('images', 'images', 'upsert', object => 'images_source') IS NOT NULL AS created;
SELECT * FROM run('images', dry_run => true);
SELECT * FROM run('images');
SELECT * FROM run('images');
SELECT * FROM images ORDER BY k;
CREATE TABLE key_images (c citext, n numeric, note text, PRIMARY KEY (c, n));
INSERT INTO key_images VALUES ('same', 1.0, 'x'), ('case', 1.0, 'x'), ('scale', 1.0, 'x');
SELECT censync_create_sync('key images', 'key_images', 'mirror', options => '{"mirror_scope": "table"}',
  query => $$VALUES ('same', 1.0, 'x'), ('CASE', 1.0, 'x'), ('scale', 1.00, 'x'), ('twice', 1.0, 'x'), ('TWICE', 1.00, 'y')$$,
  mappings => '{"c": "column1", "n": "column2", "note": "column3"}') IS NOT NULL AS created;
SELECT * FROM run('key images');
SELECT number, sync_key, reason FROM log;
SELECT * FROM run('key images');
SELECT * FROM key_images ORDER BY c;

-- Records without a key, and records with the key of others: what becomes of each, and what the log says.
CREATE TABLE keys (id int PRIMARY KEY, note text);
CREATE TABLE keys_source (n int GENERATED ALWAYS AS IDENTITY, id int, note text);
INSERT INTO keys VALUES (1, 'old'), (2, 'old'), (9, 'old');
INSERT INTO keys_source (id, note) VALUES (1, 'new'), (NULL, 'lost'), (2, 'first'), (3, 'first'), (2, 'second'), (3, 'first'), (2, 'last'), (NULL, NULL);
SELECT censync_create_sync('keys', 'keys', 'upsert', query => 'SELECT id, note FROM keys_source ORDER BY n',
                           options => '{"max_rejected": 1}') IS NOT NULL AS created;
BEGIN;
SELECT * FROM run('keys');
SELECT * FROM log;
SELECT * FROM keys ORDER BY id;
ROLLBACK;
BEGIN;
SELECT censync_alter_sync('keys', options => '{"on_duplicate": "first"}');
SELECT * FROM run('keys');
SELECT number, sync_key, code, reason FROM log;
SELECT * FROM keys ORDER BY id;
ROLLBACK;
BEGIN;
SELECT censync_alter_sync('keys', options => '{"on_duplicate": "last"}');
SELECT * FROM run('keys');
SELECT number, sync_key, code FROM log;
SELECT * FROM keys ORDER BY id;
SELECT * FROM run('keys');
ROLLBACK;
SELECT censync_alter_sync('keys', options => '{"on_duplicate": "fail"}');
SET client_min_messages = error;
SELECT * FROM run('keys');
SET client_min_messages = warning;
SELECT error_code, error_message, error_detail, error_hint FROM censync.runs ORDER BY run_id DESC LIMIT 1;
SELECT * FROM keys ORDER BY id;

-- A mirror deletes no row of a record that is in the source and could not be applied: its value does not convert,
-- it comes twice, or the destination refuses it.  A record whose key is null names no row, and so holds none.
CREATE TABLE held (id int PRIMARY KEY, amount int CHECK (amount < 1000), note text);
CREATE TABLE held_source (n int GENERATED ALWAYS AS IDENTITY, id text, amount text, note text);
INSERT INTO held_source (id, amount, note) SELECT n, n, 'first' FROM generate_series(1, 20) n;
SELECT censync_create_sync('held', 'held', 'mirror', query => 'SELECT id, amount, note FROM held_source ORDER BY n',
                           options => '{"max_deletes": 1, "max_rejected": 1}') IS NOT NULL AS created;
SELECT * FROM run('held');
UPDATE held_source SET amount = 'many' WHERE id = '2';
INSERT INTO held_source (id, amount, note) VALUES (3, 3, 'copy');
UPDATE held_source SET amount = 1000 WHERE id = '4';
UPDATE held_source SET id = NULL WHERE id = '5';
DELETE FROM held_source WHERE id = '7';
SELECT * FROM run('held', dry_run => true);
SELECT * FROM run('held');
SELECT * FROM log;
SELECT array_agg(id ORDER BY id) FROM held;
-- They are still the mirror's own: once the source no longer has them, they go.
UPDATE held_source SET amount = 4 WHERE id IN ('2', '4');
DELETE FROM held_source WHERE id = '3';
SELECT * FROM run('held');
SELECT array_agg(id ORDER BY id) FROM held;
-- A key that can't be read may stand for any row: the run deletes nothing, says so, and the next one makes up for it.
UPDATE held_source SET id = 'six' WHERE id = '6';
DELETE FROM held_source WHERE id = '8';
SELECT * FROM run('held', dry_run => true);
SELECT * FROM run('held');
SELECT number, sync_key, status, code, reason, column_name FROM log WHERE number = 5;
SELECT array_agg(id ORDER BY id) FROM held;
UPDATE held_source SET id = '6' WHERE id = 'six';
SELECT * FROM run('held');
SELECT array_agg(id ORDER BY id) FROM held;
-- The same when the whole table is mirrored.
SELECT censync_alter_sync('held', options => '{"mirror_scope": "table"}');
INSERT INTO held VALUES (100, 1, 'app'), (101, 1, 'app'), (102, 1, 'app'), (103, 1, 'app');
INSERT INTO held_source (id, amount, note) VALUES ('100', 'many', 'invalid'), ('101', '5', 'twice'), ('101', '5', 'twice'), ('102', '1000', 'rejected');
SELECT * FROM run('held', dry_run => true);
SELECT * FROM run('held');
SELECT array_agg(id ORDER BY id) FROM held;
UPDATE held_source SET id = 'six' WHERE id = '6';
SELECT * FROM run('held');
SELECT array_agg(id ORDER BY id) FROM held;

-- A delete that the destination rejects is logged, counted apart from the records, and tried again.
CREATE TABLE parents (id int PRIMARY KEY);
CREATE TABLE children (parent int REFERENCES parents);
CREATE TABLE parents_source AS SELECT generate_series(1, 5) AS id;
SELECT censync_create_sync('parents', 'parents', 'mirror', object => 'parents_source', options => '{"max_deletes": 1, "max_rejected": 1}') IS NOT NULL AS created;
SELECT * FROM run('parents');
INSERT INTO children VALUES (1);
DELETE FROM parents_source WHERE id <= 3;
SELECT * FROM run('parents', dry_run => true);
SELECT * FROM run('parents');
SELECT * FROM log;
SELECT array_agg(id ORDER BY id) FROM parents;
SELECT * FROM run('parents');
SELECT operation, sync_key, constraint_name FROM log;
DELETE FROM children;
SELECT * FROM run('parents');
SELECT * FROM run('parents');
SELECT array_agg(id ORDER BY id) FROM parents;
-- With on_error = fail it ends the run.
SET client_min_messages = error;
SELECT censync_alter_sync('parents', options => '{"on_error": "fail"}');
INSERT INTO children VALUES (4);
DELETE FROM parents_source WHERE id = 4;
INSERT INTO parents_source VALUES (6);
SELECT * FROM run('parents');
SELECT error_message, error_detail, error_hint FROM censync.runs ORDER BY run_id DESC LIMIT 1;
SELECT array_agg(id ORDER BY id) FROM parents;
SET client_min_messages = warning;

-- What a mirror remembers: rows of the application stay, be they older, newer, or of a key that the mirror wrote
-- and somebody deleted; censync_reset and another destination make the next run a first one.
CREATE TABLE remembered (id int PRIMARY KEY, note text);
CREATE TABLE remembered_source (id int, note text);
INSERT INTO remembered VALUES (1, 'app'), (2, 'app'), (3, 'same');
INSERT INTO remembered_source VALUES (2, 'source'), (3, 'same'), (4, 'source'), (5, 'source'), (6, 'source'), (7, 'source');
SELECT censync_create_sync('remembered', 'remembered', 'mirror', object => 'remembered_source', options => '{"max_deletes": 1}') IS NOT NULL AS created;
SELECT * FROM run('remembered');
SELECT key FROM censync.mirror_memory JOIN censync.syncs USING (sync_id) WHERE name = 'remembered' ORDER BY key;
INSERT INTO remembered VALUES (8, 'app');
DELETE FROM remembered WHERE id = 7;
DELETE FROM remembered_source WHERE id IN (3, 5, 7);
SELECT * FROM run('remembered');
INSERT INTO remembered VALUES (5, 'app'), (7, 'app');
SELECT * FROM run('remembered');
SELECT * FROM remembered ORDER BY id;
SELECT key FROM censync.mirror_memory JOIN censync.syncs USING (sync_id) WHERE name = 'remembered' ORDER BY key;
SELECT censync_reset('remembered');
SELECT count(*) FROM censync.mirror_memory JOIN censync.syncs USING (sync_id) WHERE name = 'remembered';
DELETE FROM remembered_source WHERE id = 4;
SELECT * FROM run('remembered');
DELETE FROM remembered_source WHERE id = 6;
SELECT * FROM run('remembered');
SELECT * FROM remembered ORDER BY id;
-- Two mirrors of one table do not delete each other's rows.
CREATE TABLE remembered_too AS SELECT 20 AS id, 'too' AS note;
SELECT censync_create_sync('remembered too', 'remembered', 'mirror', object => 'remembered_too', options => '{"max_deletes": 1}') IS NOT NULL AS created;
INSERT INTO remembered_source VALUES (21, 'mine'), (22, 'mine');
SELECT * FROM run('remembered') UNION ALL SELECT * FROM run('remembered too');
UPDATE remembered_too SET id = 23;
DELETE FROM remembered_source WHERE id = 21;
SELECT * FROM run('remembered') UNION ALL SELECT * FROM run('remembered too');
SELECT array_agg(id ORDER BY id) FROM remembered WHERE id >= 20;
-- Dropping a sync takes its memory, and no row.
SELECT count(*) FROM censync.mirror_memory m WHERE sync_id = (SELECT sync_id FROM censync.syncs WHERE name = 'remembered too');
SELECT sync_id FROM censync.syncs WHERE name = 'remembered too' \gset
SELECT censync_drop_sync('remembered too');
SELECT count(*) FROM censync.mirror_memory WHERE sync_id = :sync_id;
SELECT count(*) FROM remembered WHERE id = 23;
-- Keys of any type are found again whatever the session's settings are.
CREATE TABLE remembered_types (t timestamptz, d date, f float8, b bytea, i interval, PRIMARY KEY (t, d, f, b, i));
CREATE TABLE remembered_types_source AS
  SELECT timestamptz '2024-02-29 12:34:56.789+05' t, date '0044-03-15 BC' d, 0.1::float8 + 0.2::float8 f, '\x00ff'::bytea b, interval '1 mon -1 day 00:00:01' i;
SELECT censync_create_sync('remembered types', 'remembered_types', 'mirror', object => 'remembered_types_source',
                           options => '{"max_deletes": 1, "allow_empty_source": true}') IS NOT NULL AS created;
SET datestyle = 'German'; SET timezone = 'Asia/Kathmandu'; SET intervalstyle = 'iso_8601'; SET extra_float_digits = -3; SET bytea_output = 'escape';
SELECT * FROM run('remembered types');
SELECT key FROM censync.mirror_memory JOIN censync.syncs USING (sync_id) WHERE name = 'remembered types';
RESET datestyle; RESET timezone; RESET intervalstyle; RESET extra_float_digits; RESET bytea_output;
SELECT * FROM run('remembered types');
DELETE FROM remembered_types_source;
SELECT * FROM run('remembered types');

-- Guards: an empty source, too many deletes, a limit.  The run fails, nothing is changed, and the log says what would help.
SET client_min_messages = error;
CREATE TABLE guarded (id int PRIMARY KEY);
CREATE TABLE guarded_source AS SELECT generate_series(1, 10) AS id;
SELECT censync_create_sync('guarded', 'guarded', 'mirror', object => 'guarded_source') IS NOT NULL AS created;
SELECT * FROM run('guarded');
SELECT * FROM run('guarded', "limit" => 3);
SELECT * FROM run('guarded', "limit" => 0);
CREATE TABLE guarded_keep AS TABLE guarded_source;
DELETE FROM guarded_source;
SELECT * FROM run('guarded');
SELECT error_message, error_detail, error_hint FROM censync.runs ORDER BY run_id DESC LIMIT 1;
SELECT * FROM run('guarded', dry_run => true);
-- Half of the rows is allowed by default, one more is not; new rows of the same run are not created either.
INSERT INTO guarded_source SELECT generate_series(7, 11);
SELECT * FROM run('guarded');
SELECT error_message, error_detail, error_hint FROM censync.runs ORDER BY run_id DESC LIMIT 1;
SELECT count(*), max(id) FROM guarded;
INSERT INTO guarded_source VALUES (6);
SELECT * FROM run('guarded');
SELECT count(*), max(id) FROM guarded;
-- With the whole table, its rows are what the share is of.
SELECT censync_alter_sync('guarded', options => '{"mirror_scope": "table", "max_deletes": 0.25}');
INSERT INTO guarded SELECT generate_series(101, 103);
SELECT * FROM run('guarded');
SELECT error_message FROM censync.runs ORDER BY run_id DESC LIMIT 1;
DELETE FROM guarded WHERE id = 103;
SELECT * FROM run('guarded', "limit" => 6);
SELECT * FROM run('guarded');
SELECT array_agg(id ORDER BY id) FROM guarded;
-- An empty source that is meant.
DELETE FROM guarded_source;
SELECT censync_alter_sync('guarded', options => '{"allow_empty_source": true}');
SELECT * FROM run('guarded');
SELECT censync_alter_sync('guarded', options => '{"max_deletes": 1}');
SELECT * FROM run('guarded', dry_run => true);
SELECT * FROM run('guarded');
SELECT count(*) FROM guarded;
-- The other behaviors have nothing against an empty source.
SELECT censync_alter_sync('guarded', behavior => 'upsert');
SELECT * FROM run('guarded');

-- Records that the destination rejects: each for its own reason; the others are applied, and the counts add up.
CREATE TABLE referenced (id int PRIMARY KEY);
INSERT INTO referenced VALUES (1);
CREATE TABLE strict (id int PRIMARY KEY, needed text NOT NULL DEFAULT 'x', checked int CONSTRAINT positive CHECK (checked > 0),
                     reference int CONSTRAINT known REFERENCES referenced DEFERRABLE INITIALLY DEFERRED, code text CONSTRAINT code_once UNIQUE, note text);
CREATE FUNCTION object() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.note = 'object' THEN RAISE 'not this one' USING ERRCODE = 'P0042', DETAIL = 'a trigger says so', COLUMN = 'note'; END IF;
    IF NEW.note = 'swallow' THEN RETURN NULL; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER object BEFORE INSERT OR UPDATE ON strict FOR EACH ROW EXECUTE FUNCTION object();
CREATE TABLE strict_source (id int, needed text, checked int, reference int, code text, note text);
INSERT INTO strict SELECT n, 'x', 1, 1, 'old' || n FROM generate_series(1, 9) n;
INSERT INTO strict_source SELECT n, 'x', 1, 1, 'new' || n FROM generate_series(1, 20) n;
UPDATE strict_source SET needed = NULL WHERE id IN (1, 11);
UPDATE strict_source SET checked = -1 WHERE id IN (2, 12);
UPDATE strict_source SET reference = 99 WHERE id IN (3, 13);
UPDATE strict_source SET code = 'old9' WHERE id IN (4, 14);
UPDATE strict_source SET note = 'object' WHERE id IN (5, 15);
UPDATE strict_source SET note = 'swallow' WHERE id IN (6, 16);
UPDATE strict_source SET code = 'old9' WHERE id = 9;
SELECT censync_create_sync('strict', 'strict', 'upsert', query => 'SELECT * FROM strict_source ORDER BY id') IS NOT NULL AS created;
SELECT * FROM run('strict');
SELECT number, sync_key, operation, status, code, reason, column_name, constraint_name FROM log;
SELECT payload FROM log WHERE number = 12;
SELECT array_agg(id || ' ' || code ORDER BY id) FROM strict;
SELECT * FROM run('strict');
-- Too many bad ones: nothing is changed, and the log still has them all.
UPDATE strict_source SET note = 'new';
SELECT censync_alter_sync('strict', options => '{"max_rejected": 0.3}');
UPDATE strict_source SET checked = 0 WHERE id > 14;
SELECT * FROM run('strict');
SELECT error_message, error_detail, error_hint FROM censync.runs ORDER BY run_id DESC LIMIT 1;
SELECT count(*), count(*) FILTER (WHERE status = 'rejected') AS rejected FROM log;
SELECT count(*) FROM strict WHERE note = 'new';
SELECT censync_alter_sync('strict', options => '{"max_rejected": 1}');
SELECT * FROM run('strict');
-- on_error = fail: the first bad record ends the run, invalid or rejected, and is named.
SELECT censync_alter_sync('strict', options => '{"on_error": "fail"}');
UPDATE strict_source SET note = 'newer';
SELECT * FROM run('strict');
SELECT error_code, error_message, error_detail, error_hint FROM censync.runs ORDER BY run_id DESC LIMIT 1;
SELECT number, sync_key, operation, status, code FROM log;
SELECT count(*) FROM strict WHERE note = 'newer';
UPDATE strict_source SET checked = 1, id = CASE WHEN id <> 18 THEN id END;
SELECT * FROM run('strict');
SELECT error_code, error_message, error_detail, error_hint FROM censync.runs ORDER BY run_id DESC LIMIT 1;
SELECT number, sync_key, operation, status, code FROM log;
SELECT count(*) FROM strict WHERE note = 'newer';

-- A failed run is a row and a warning; the transaction goes on, and so do other syncs.
SET client_min_messages = warning;
CREATE TABLE one (id int PRIMARY KEY);
CREATE TABLE two (id int PRIMARY KEY);
SELECT count(censync_drop_sync(name)) AS dropped FROM censync.syncs;
SELECT censync_create_sync('one', 'one', 'upsert', query => 'SELECT 1 AS id') IS NOT NULL AS created;
SELECT censync_create_sync('broken', 'one', 'upsert', query => 'SELECT 1/(2 - n) AS id FROM generate_series(1, 3) n') IS NOT NULL AS created;
SELECT censync_create_sync('two', 'two', 'upsert', query => 'SELECT id + 1 AS id FROM one') IS NOT NULL AS created;
SELECT censync_create_sync('off', 'two', 'upsert', query => 'SELECT 77 AS id') IS NOT NULL AS created;
SELECT censync_pause('off');
BEGIN;
\set VERBOSITY terse
SET LOCAL client_min_messages = error;
SELECT sync, status, records_created, error_code, error_message FROM censync_run();
COMMIT;
\set VERBOSITY default
TABLE two;
SELECT name, state, last_status, last_success_at IS NOT NULL AS succeeded FROM censync.syncs ORDER BY name;
SELECT sync, status, trigger, dry_run, finished_at >= started_at AS finished, error_code
  FROM (SELECT * FROM censync.runs ORDER BY run_id DESC LIMIT 3) r ORDER BY run_id;

-- Pause and resume; running what is paused or is not there; a limit that makes no sense.
SELECT * FROM run('off');
SELECT censync_resume('off');
SELECT censync_resume('off');
SELECT * FROM run('off', dry_run => true);
SELECT * FROM run('off');
SELECT * FROM run('nowhere');
SELECT * FROM run('off', "limit" => -1);
SELECT censync_pause('nowhere');
SELECT censync_resume('nowhere');
SELECT censync_reset('nowhere');
SELECT censync_drop_sync('nowhere');
SELECT censync_pause(NULL) IS NULL AS nothing;

-- Dropping a sync leaves its rows and the log of its runs.
SELECT censync_drop_sync('off');
SELECT count(*) FROM two WHERE id = 77;
SELECT DISTINCT sync FROM censync.runs WHERE sync = 'off';
SELECT count(censync_drop_sync(name)) AS dropped FROM censync.syncs;

-- A run that is rolled back leaves nothing, neither rows nor log.
SELECT count(*) AS runs FROM censync.runs \gset
SELECT censync_create_sync('undone', 'two', 'upsert', query => 'SELECT 78 AS id') IS NOT NULL AS created;
BEGIN;
SELECT * FROM run('undone');
ROLLBACK;
SELECT count(*) FROM two WHERE id = 78;
SELECT count(*) - :runs AS new_runs FROM censync.runs;
SELECT censync_drop_sync('undone');

RESET search_path;
DROP SCHEMA behaviors CASCADE;
