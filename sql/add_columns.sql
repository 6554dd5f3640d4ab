-- Option add_columns: columns that the source has and the destination lacks.
SET client_min_messages = notice;
\pset format unaligned
\pset null -

CREATE SCHEMA adds;
SET search_path = adds, public;
CREATE FUNCTION refusal(query text, options jsonb DEFAULT '{}', mappings jsonb DEFAULT NULL, destination text DEFAULT 'dst') RETURNS text
LANGUAGE plpgsql AS $$
DECLARE hint text; detail text;
BEGIN
    PERFORM censync_create_sync('refused', destination::regclass, 'upsert', query => query, mappings => mappings,
                                options => '{"add_columns": true}' || options);
    PERFORM censync_drop_sync('refused');
    RETURN 'taken';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT, detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''), nullif(hint, ''));
END $$;
CREATE FUNCTION columns(relation regclass) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod))
                      || CASE WHEN attcollation <> typcollation THEN ' ' || attcollation::regcollation ELSE '' END
                      || CASE WHEN attnotnull THEN ' not null' ELSE '' END || CASE WHEN atthasdef THEN ' default' ELSE '' END,
                      ', ' ORDER BY attnum)
      FROM pg_attribute a JOIN pg_type t ON t.oid = atttypid WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped $$;

CREATE DOMAIN short AS varchar(7) NOT NULL CHECK (value <> 'never');
CREATE TYPE pair AS (a int, b text);
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE src (id int, name text NOT NULL DEFAULT 'x', amount numeric(6, 2), tags text[], at timestamptz(3),
    "Weird ""; DROP TABLE dst; --" varchar(5), code char(3), limited short, c text COLLATE "C", p pair, m mood, b bit(3));
INSERT INTO src VALUES (1, 'one', 1.5, '{a,b}', '2026-01-01 10:00:00.1234+00', 'w', 'abc', 'short', 'c', '(1,x)', 'good', '101');
INSERT INTO src (id, limited) VALUES (2, 'l');
CREATE TABLE dst (id int PRIMARY KEY);
INSERT INTO dst VALUES (1), (3);

-- Defining and a dry run say what is missing, and leave it so.
SELECT censync_create_sync('s', 'dst', 'upsert', query => 'TABLE src', options => '{"add_columns": true}') > 0 AS created;
SELECT status, records_created, records_updated FROM censync_run('s', dry_run => true);
SELECT columns('dst');
-- The run adds them.
SELECT status, records_created, records_updated FROM censync_run('s');
SELECT columns('dst');
SELECT count(*) FROM (TABLE src EXCEPT TABLE dst) missing;
SELECT count(*) FROM dst;
SELECT status, records_unchanged FROM censync_run('s');
-- Without the option, a column more in the source is none of the sync's business.
ALTER TABLE src ADD more int DEFAULT 7;
SELECT censync_alter_sync('s', options => '{"add_columns": false}');
SELECT status, records_unchanged FROM censync_run('s');
SELECT censync_alter_sync('s', options => '{"add_columns": true}');
-- A run that fails in its caller's transaction takes the column along.
ALTER TABLE dst ADD CONSTRAINT c CHECK (id < 2) NOT VALID;
SELECT censync_alter_sync('s', options => '{"on_error": "fail"}');
SET client_min_messages = error;
SELECT status, error_code FROM censync_run('s');
SET client_min_messages = notice;
SELECT attname FROM pg_attribute WHERE attrelid = 'dst'::regclass AND attname = 'more';
ALTER TABLE dst DROP CONSTRAINT c;
BEGIN;
SELECT status, records_updated FROM censync_run('s');
ROLLBACK;
SELECT attname FROM pg_attribute WHERE attrelid = 'dst'::regclass AND attname = 'more';
SELECT status, records_updated FROM censync_run('s');
SELECT id, more FROM dst ORDER BY id;
SELECT censync_drop_sync('s');

-- CALL has committed the columns before it reads, so the table is not locked meanwhile; censync_run can't.
CREATE FUNCTION locked() RETURNS boolean LANGUAGE sql VOLATILE AS
$$ SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'adds.dst'::regclass AND mode = 'AccessExclusiveLock') $$;
SELECT censync_create_sync('l', 'dst', 'upsert', query => 'SELECT 1 AS id, adds.locked() AS locked', options => '{"add_columns": true}') > 0 AS created;
CALL censync_sync('l');
SELECT id, locked FROM dst WHERE id = 1;
ALTER TABLE dst DROP locked;
SELECT status FROM censync_run('l');
SELECT id, locked FROM dst WHERE id = 1;
-- It keeps them if the run fails: they are empty, and the next run goes on.
ALTER TABLE dst DROP locked;
SELECT censync_alter_sync('l', query => 'SELECT 1 AS id, NULL::int AS added, 1 / (random() * 0)::int AS zero');
\set VERBOSITY terse
CALL censync_sync('l');
\set VERBOSITY default
SELECT attname FROM pg_attribute WHERE attrelid = 'dst'::regclass AND attname IN ('added', 'zero') ORDER BY 1;
SELECT status, error_code FROM censync.runs ORDER BY run_id DESC LIMIT 1;
SELECT censync_drop_sync('l');

-- A source that reads the destination itself.
CREATE TABLE self (id int PRIMARY KEY, n int);
INSERT INTO self VALUES (1, 1), (2, 2);
SELECT censync_create_sync('self', 'self', 'update', query => 'SELECT id, n * 2 AS double FROM self', options => '{"add_columns": true}') > 0 AS created;
SELECT status, records_updated FROM censync_run('self');
ALTER TABLE self DROP double;
CALL censync_sync('self');
TABLE self ORDER BY id;
SELECT censync_drop_sync('self');

-- Incremental reads begin anew: what was read before has no values for the new column.
CREATE TABLE inc_dst (id int PRIMARY KEY);
SELECT censync_create_sync('inc', 'inc_dst', 'upsert', query => 'SELECT id FROM src', options => '{"add_columns": true, "cursor_column": "id"}') > 0 AS created;
SELECT records_read FROM censync_run('inc');
SELECT records_read FROM censync_run('inc');
SELECT censync_drop_sync('inc');
CREATE VIEW growing AS SELECT id FROM src;
SELECT censync_create_sync('inc', 'inc_dst', 'upsert', object => 'adds.growing', options => '{"add_columns": true, "cursor_column": "id"}') > 0 AS created;
SELECT records_read FROM censync_run('inc');
SELECT records_read FROM censync_run('inc');
CREATE OR REPLACE VIEW growing AS SELECT id, name FROM src;
SELECT records_read, records_updated FROM censync_run('inc');
SELECT records_read FROM censync_run('inc');
TABLE inc_dst ORDER BY id;
SELECT censync_drop_sync('inc');

-- Partitions and inheritance children get them too.  A partition alone can't have them.
CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE part1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child () INHERITS (parent);
SELECT censync_create_sync('p', 'parts', 'mirror', query => 'SELECT id, name FROM src', options => '{"add_columns": true}') > 0 AS created;
SELECT censync_create_sync('i', 'parent', 'append', query => 'SELECT id, name FROM src', options => '{"add_columns": true}') > 0 AS created;
SELECT sync, status, records_created FROM censync_run();
SELECT columns('parts'), columns('part1'), columns('parent'), columns('child');
SELECT count(censync_drop_sync(name)) FROM censync.syncs WHERE name IN ('p', 'i');
SELECT censync_create_sync('p', 'part1', 'upsert', query => 'SELECT id, amount FROM src', options => '{"add_columns": true}') > 0 AS created;
SET client_min_messages = error;
SELECT status, error_code, error_message FROM censync_run('p');
SET client_min_messages = notice;
SELECT censync_drop_sync('p');

-- As whom: the sync's owner must own the table, itself or as a member; a superuser's sync acts as the table's owner.
CREATE ROLE regress_censync_adder;
CREATE ROLE regress_censync_holder;
SET client_min_messages = warning;
CALL censync_admit('regress_censync_adder', 'owner');
CALL censync_admit('regress_censync_holder', 'owner');
SET client_min_messages = notice;
GRANT USAGE ON SCHEMA adds TO regress_censync_adder, regress_censync_holder;
GRANT SELECT ON src TO regress_censync_adder, regress_censync_holder;
CREATE TABLE theirs (id int PRIMARY KEY);
ALTER TABLE theirs OWNER TO regress_censync_holder;
GRANT ALL ON theirs TO regress_censync_adder;
CREATE TABLE ddl (who name, tag text, path text);
GRANT INSERT ON ddl TO PUBLIC;
CREATE FUNCTION note_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF tg_tag = 'ALTER TABLE' THEN INSERT INTO adds.ddl VALUES (current_user, tg_tag, current_setting('search_path')); END IF;
END $$;
CREATE EVENT TRIGGER regress_censync_ddl ON ddl_command_end EXECUTE FUNCTION note_ddl();
SET ROLE regress_censync_adder;
SELECT censync_create_sync('t', 'theirs', 'upsert', query => 'SELECT id, name FROM src', options => '{"add_columns": true}');
SELECT censync_create_sync('t', 'theirs', 'upsert', query => 'SELECT id FROM src', options => '{"add_columns": true}');
RESET ROLE;
GRANT regress_censync_holder TO regress_censync_adder;
SET ROLE regress_censync_adder;
SELECT censync_create_sync('t', 'theirs', 'upsert', query => 'SELECT id, name FROM src', options => '{"add_columns": true}') > 0 AS created;
SELECT status, records_created FROM censync_run('t');
RESET ROLE;
SELECT censync_create_sync('t2', 'theirs', 'upsert', query => 'SELECT id, name, amount FROM src', options => '{"add_columns": true}') > 0 AS created;
SELECT status, records_updated FROM censync_run('t2');
TABLE ddl;
-- The right is asked for again by each run that needs it.
REVOKE regress_censync_holder FROM regress_censync_adder;
ALTER TABLE theirs DROP name;
SET client_min_messages = error;
SELECT status, error_code, error_message FROM censync_run('t');
SET client_min_messages = notice;
SELECT count(censync_drop_sync(name)) FROM censync.syncs WHERE name IN ('t', 't2');
DROP EVENT TRIGGER regress_censync_ddl;

-- What is refused when the sync is defined.
SELECT refusal('SELECT id, 1 FROM src');
SELECT refusal('SELECT id, name AS n1, name AS n1 FROM src');
SELECT refusal('SELECT id, name AS ctid FROM src');
SELECT refusal('SELECT id, src AS whole, row(1, 2) AS r FROM src');
SELECT refusal('SELECT id, name AS other FROM src', mappings => '{"id": "id"}');
SELECT refusal('SELECT id, name AS id2 FROM src', '{"add_columns": "maybe"}');
SELECT refusal('SELECT name, id AS other FROM src');
CREATE SERVER adds_http TYPE 'http' FOREIGN DATA WRAPPER censync OPTIONS (url 'https://127.0.0.1/');
SELECT censync_create_sync('h', 'dst', 'upsert', server => 'adds_http', options => '{"add_columns": true}');
-- A foreign table knows its columns.
CREATE FOREIGN TABLE adds_ft (id int, remote numeric(9, 3)) SERVER adds_http;
SELECT censync_create_sync('h', 'dst', 'upsert', object => 'adds_ft', options => '{"add_columns": true}') > 0 AS created;

SET client_min_messages = error;
SELECT count(censync_drop_sync(name)) FROM censync.syncs;
DROP SERVER adds_http CASCADE;
DROP SCHEMA adds CASCADE;
DROP OWNED BY regress_censync_adder, regress_censync_holder;
DROP ROLE regress_censync_adder, regress_censync_holder;
