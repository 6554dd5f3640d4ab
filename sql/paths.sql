-- Which way a run takes: what spares a mirror its memory, rows that are inserted page by page, and the two
-- ways of comparison, each beside plain SQL.
SET client_min_messages = error;
CREATE SCHEMA paths;
CREATE EXTENSION pg_walinspect SCHEMA paths;
SET search_path = paths, public;
\pset format unaligned

CREATE FUNCTION run(name text, OUT status text, OUT created bigint, OUT updated bigint, OUT deleted bigint,
                    OUT unchanged bigint, OUT rejected bigint, OUT code text)
LANGUAGE sql AS $$
    SELECT r.status, records_created, records_updated, records_deleted, records_unchanged, records_rejected, error_code
      FROM censync_run(name) r
$$;

-- A mirror's memory.  A key in it that cannot be read tells whether a run has read it.
CREATE TABLE source AS SELECT n AS id, 'v' || n AS v FROM generate_series(1, 3000) n;
CREATE TABLE dest (id int PRIMARY KEY, v text);
SELECT censync_create_sync('mirror', 'dest', 'mirror', query => 'SELECT * FROM source') > 0 AS ok;
SELECT * FROM run('mirror');
INSERT INTO censync.mirror_memory SELECT sync_id, '{unreadable,key}' FROM censync.syncs WHERE name = 'mirror';
-- The source has the keys that it had: nothing can have vanished.
SELECT * FROM run('mirror');
UPDATE source SET v = v || '!' WHERE id % 1000 = 0;
SELECT * FROM run('mirror');
-- Some are gone, some are new, some of the rows are gone: the comparison finds all of what is remembered.
DELETE FROM source WHERE id % 100 = 7;
INSERT INTO source SELECT n, 'new' FROM generate_series(3001, 3010) n;
DELETE FROM dest WHERE id BETWEEN 20 AND 25;
INSERT INTO dest VALUES (-1, 'of an application');
SELECT * FROM run('mirror');
SELECT count(*) AS differences FROM (SELECT * FROM (TABLE source EXCEPT TABLE dest) a UNION ALL (SELECT * FROM dest WHERE id > 0 EXCEPT TABLE source)) d;
SELECT tracked = (SELECT count(*) - 1 FROM censync.mirror_memory m WHERE m.sync_id = s.sync_id) AS counted FROM censync.mirror_state s;
SELECT * FROM run('mirror');
-- A remembered row is gone from the source and from the table: only the memory knows of it.
DELETE FROM source WHERE id = 50;
DELETE FROM dest WHERE id = 50;
SELECT * FROM run('mirror');
DELETE FROM censync.mirror_memory WHERE key = '{unreadable,key}';
SELECT * FROM run('mirror');
SELECT count(*) AS remembered FROM censync.mirror_memory m JOIN censync.syncs s USING (sync_id) WHERE s.name = 'mirror' AND key = '{50}';
-- So an application's row with that key is its own.
INSERT INTO dest VALUES (50, 'of an application');
SELECT * FROM run('mirror');
SELECT * FROM dest WHERE id IN (-1, 50) ORDER BY id;
-- Without fingerprints the memory is read, and they are made anew.
DELETE FROM censync.mirror_state;
INSERT INTO censync.mirror_memory SELECT sync_id, '{unreadable,key}' FROM censync.syncs WHERE name = 'mirror';
SELECT * FROM run('mirror');
DELETE FROM censync.mirror_memory WHERE key = '{unreadable,key}';
SELECT * FROM run('mirror');
SELECT all_seen, tracked = seen AS all_tracked FROM censync.mirror_state;

-- Keys that bigint's own hash function does not tell apart are different ones.
CREATE TABLE big (id bigint PRIMARY KEY);
CREATE TABLE big_source AS SELECT 5::bigint AS id UNION ALL SELECT n FROM generate_series(100, 110) n;
SELECT hashint8extended(5, 0) = hashint8extended(4294967300, 0) AS collide;
SELECT censync_create_sync('big', 'big', 'mirror', query => 'SELECT * FROM big_source') > 0 AS ok;
SELECT * FROM run('big');
UPDATE big_source SET id = 4294967300 WHERE id = 5;
SELECT * FROM run('big');
SELECT * FROM big WHERE id < 100 OR id > 110;

-- Many rows into a plain table go in page by page: a table that has had columns dropped and added, long
-- values, indexes of all kinds.  The same rows by INSERT must give the same table.
CREATE TABLE plain (gone int, id int PRIMARY KEY, v varchar(10) NOT NULL CHECK (v <> 'bad'), gone_too text, long text,
                    n numeric, extra text);
ALTER TABLE plain DROP COLUMN gone, DROP COLUMN gone_too, ADD COLUMN later text;
CREATE UNIQUE INDEX ON plain (lower(v)) WHERE id > 10;
CREATE INDEX ON plain USING gin (string_to_array(long, ' '));
CREATE TABLE rows AS SELECT n AS id, 'v' || n AS v, CASE WHEN n % 500 = 0 THEN repeat(md5(n::text), 2000) ELSE 'a b ' || n END AS long,
                            CASE WHEN n % 7 <> 0 THEN n / 7.0 END AS n, 'later ' || n AS later FROM generate_series(1, 5000) n;
SELECT censync_create_sync('plain', 'plain', 'upsert', query => 'SELECT * FROM rows') > 0 AS ok;
SELECT pg_current_wal_insert_lsn() AS start \gset
SELECT * FROM run('plain');
SELECT pg_current_wal_flush_lsn() AS stop \gset
CREATE FUNCTION inserted_by(start pg_lsn, stop pg_lsn, tab regclass) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT DISTINCT split_part(record_type, '+', 1) FROM pg_get_wal_records_info(start, stop) w
     WHERE record_type LIKE '%INSERT%' AND resource_manager LIKE 'Heap%'
       AND strpos(block_ref, format('/%s fork', (SELECT relfilenode FROM pg_class WHERE oid = tab))) > 0
$$;
SELECT * FROM inserted_by(:'start', :'stop', 'plain');
SELECT count(*) AS differences FROM (SELECT id, v, long, n, NULL AS extra, later FROM rows EXCEPT SELECT id, v, long, n, extra, later FROM plain) d;
SET enable_seqscan = off;
SELECT count(*) FROM plain WHERE lower(v) = 'v4711' AND id > 10;
SELECT count(*) FROM plain WHERE string_to_array(long, ' ') @> '{4711}';
SELECT count(*) FROM plain WHERE id BETWEEN 1 AND 5000;
RESET enable_seqscan;
SELECT * FROM run('plain');
-- What cannot go in is refused as ever.
TRUNCATE plain;
UPDATE rows SET v = 'bad' WHERE id = 17;
UPDATE rows SET v = NULL WHERE id = 18;
UPDATE rows SET v = 'V20' WHERE id = 19;
UPDATE rows SET id = 1 WHERE id = 2;
SELECT * FROM run('plain');
SELECT record_number, sync_key, reason_code, column_name, constraint_name FROM censync.records r JOIN censync.runs USING (run_id)
 WHERE sync = 'plain' AND operation = 'insert' ORDER BY 1;
-- What only the executor does right goes through it: a trigger, a foreign key, a policy, a default, a
-- generated column, a deferrable constraint, an exclusion constraint, a partition.
CREATE TABLE parent (id int PRIMARY KEY);
INSERT INTO parent SELECT generate_series(1, 2000);
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := upper(NEW.v); RETURN NEW; END $$;
CREATE TABLE with_trigger (id int PRIMARY KEY, v text);
CREATE TRIGGER shout BEFORE INSERT ON with_trigger FOR EACH ROW EXECUTE FUNCTION shout();
CREATE TABLE with_fk (id int PRIMARY KEY REFERENCES parent, v text);
CREATE TABLE with_policy (id int PRIMARY KEY, v text);
ALTER TABLE with_policy ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE TABLE with_default (id int PRIMARY KEY, v text, w text DEFAULT 'w');
CREATE TABLE with_generated (id int PRIMARY KEY, v text, w int GENERATED ALWAYS AS (id + 1) STORED);
CREATE TABLE with_deferrable (id int PRIMARY KEY, v text UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE with_exclusion (id int PRIMARY KEY, v text, EXCLUDE USING btree (v WITH =));
CREATE TABLE with_partitions (id int PRIMARY KEY, v text) PARTITION BY HASH (id);
CREATE TABLE a_partition PARTITION OF with_partitions FOR VALUES WITH (MODULUS 1, REMAINDER 0);
SELECT count(censync_create_sync(t, t::regclass, 'upsert', query => 'SELECT n AS id, ''v'' || n AS v FROM generate_series(1, 2000) n'))
  FROM unnest('{with_trigger,with_fk,with_policy,with_default,with_generated,with_deferrable,with_exclusion,a_partition}'::text[]) t;
CREATE POLICY all_of_it ON with_policy USING (id > 0) WITH CHECK (id <> 1500);
GRANT ALL ON SCHEMA paths TO PUBLIC;
SELECT pg_current_wal_insert_lsn() AS start \gset
SELECT sync, status, records_created, records_rejected
  FROM unnest('{with_trigger,with_fk,with_policy,with_default,with_generated,with_deferrable,with_exclusion,a_partition}'::text[]) t,
       censync_run(t) ORDER BY sync;
SELECT pg_current_wal_flush_lsn() AS stop \gset
SELECT t, way FROM unnest('{with_trigger,with_fk,with_policy,with_default,with_generated,with_deferrable,with_exclusion,a_partition}'::text[]) t,
       inserted_by(:'start', :'stop', t::regclass) way ORDER BY t;
SELECT (SELECT v FROM with_trigger WHERE id = 5) AS trigger, (SELECT w FROM with_default WHERE id = 5) AS "default",
       (SELECT w FROM with_generated WHERE id = 5) AS generated;

-- The comparison, by walking along both sides or by a join, whatever the order of either: each result
-- beside what EXCEPT says.
CREATE TABLE walked (id int, part text COLLATE "C", v text, w int, PRIMARY KEY (part, id));
CREATE TABLE walk_source (LIKE walked);
CREATE TABLE orders (source_order text, dest_order text);
INSERT INTO orders SELECT s, d FROM unnest('{id,id DESC,md5(id::text),"id % 10, id"}'::text[]) s, unnest('{id,md5(id::text)}'::text[]) d;
CREATE FUNCTION walk(source_order text, dest_order text, memory text, OUT wrong bigint, OUT counts text) LANGUAGE plpgsql AS $$
DECLARE
    expected text;
BEGIN
    PERFORM set_config('maintenance_work_mem', memory, true);
    TRUNCATE walked, walk_source;
    EXECUTE 'INSERT INTO walked SELECT n, ''p'' || n % 3, repeat(md5(n::text), 3), n FROM generate_series(1, 20000) id, LATERAL (SELECT id AS n) x ORDER BY ' || dest_order;
    EXECUTE 'INSERT INTO walk_source SELECT id, part, CASE WHEN id % 50 = 1 THEN v || ''!'' ELSE v END, CASE WHEN id % 70 = 1 THEN NULL ELSE w END FROM '
            '(SELECT * FROM walked WHERE id % 40 <> 2 UNION ALL SELECT n, ''q'', ''new'', n FROM generate_series(1, 20000, 33) n) s ORDER BY ' || source_order;
    SELECT format('created %s updated %s deleted %s', count(*) FILTER (WHERE d.id IS NULL), count(*) FILTER (WHERE d.id IS NOT NULL AND s.id IS NOT NULL AND s IS DISTINCT FROM d), count(*) FILTER (WHERE s.id IS NULL))
      INTO expected FROM walk_source s FULL JOIN walked d USING (part, id);
    SELECT format('created %s updated %s deleted %s', records_created, records_updated, records_deleted) INTO counts FROM censync_run('walk');
    IF counts = expected THEN counts := 'as expected'; ELSE counts := counts || ', not ' || expected; END IF;
    SELECT count(*) INTO wrong FROM ((TABLE walked EXCEPT TABLE walk_source) UNION ALL (TABLE walk_source EXCEPT TABLE walked)) d;
END $$;
SELECT censync_create_sync('walk', 'walked', 'mirror', query => 'SELECT * FROM walk_source', options => '{"mirror_scope": "table"}') > 0 AS ok;
SELECT o.*, memory, w.* FROM orders o, unnest('{1MB,64MB}'::text[]) memory, walk(source_order, dest_order, memory) w ORDER BY 1, 2, 3;

-- Duplicates are found whatever the order of the keys.
CREATE TABLE keyed (id bigint PRIMARY KEY, v text);
CREATE TABLE keyed_source (id bigint, v text, n int);
SELECT censync_create_sync('order', 'keyed', 'upsert', query => 'SELECT id, v FROM keyed_source ORDER BY n') > 0 AS created;
SELECT censync_create_sync('order mirror', 'keyed', 'mirror', query => 'SELECT id, v FROM keyed_source ORDER BY n') > 0 AS created;
-- Keys in order up to a point: the copy stands before it, behind it, on both sides.
INSERT INTO keyed_source SELECT g, 'first', g FROM generate_series(1, 30000) g;
INSERT INTO keyed_source VALUES (7, 'copy', 30001), (40000, 'later', 30002), (40001, 'once', 30003), (40001, 'twice', 30004);
SELECT records_read, records_invalid, records_created FROM censync_run('order');
SELECT array_agg(i ORDER BY i) FROM generate_series(1, 40001) i WHERE i NOT BETWEEN 30001 AND 39999 AND NOT EXISTS (SELECT FROM keyed WHERE id = i);
SELECT records_read, records_invalid, records_created, records_unchanged FROM censync_run('order mirror');
DELETE FROM keyed_source WHERE n IN (7, 30004);
SELECT records_read, records_invalid, records_created, records_unchanged FROM censync_run('order mirror');
SELECT records_read, records_invalid, records_created, records_unchanged FROM censync_run('order mirror');

SELECT count(censync_drop_sync(name)) FROM censync.syncs;
DROP SCHEMA paths CASCADE;
