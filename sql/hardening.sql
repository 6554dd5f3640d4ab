-- What broke once and must not again: lifetimes, limits, rights, side effects.
\pset format unaligned
\pset null -
SET client_min_messages = warning;
CREATE SCHEMA hardening;
SET search_path = hardening, public;
-- Runs a sync and returns what counts, in one line.
CREATE FUNCTION run(name text, dry boolean DEFAULT false) RETURNS text LANGUAGE sql AS $$
	SELECT format('%s: read %s, invalid %s, rejected %s, created %s, updated %s, deleted %s, unchanged %s%s',
				  status, records_read, records_invalid, records_rejected, records_created, records_updated,
				  records_deleted, records_unchanged, ' ' || error_code || ' ' || error_message)
	  FROM censync_run(name, dry) $$;

-- Refused rows among staged rows that went to disk.
SET work_mem = '64kB';
CREATE TABLE spilled (id int PRIMARY KEY, v int CHECK (v % 2 = 0), pad text);
SELECT censync_create_sync('spilled', 'spilled', 'upsert',
	query => $$SELECT g AS id, g AS v, repeat('x', 100) AS pad FROM generate_series(1, 6000) g$$) > 0 AS defined;
SELECT run('spilled');
SELECT run('spilled');
SELECT count(*), count(DISTINCT record_number) FROM censync.records r JOIN censync.runs USING (run_id) WHERE sync = 'spilled';
RESET work_mem;

-- A failed CALL tells all of a long message.
CREATE FUNCTION complain() RETURNS int LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION USING message = repeat('m', 30000), detail = repeat('d', 30000), errcode = 'XX123'; END $$;
CREATE TABLE plain (id int PRIMARY KEY, name text);
SELECT censync_create_sync('complaining', 'plain', 'upsert', query => 'SELECT complain() AS id') > 0 AS defined;
\set VERBOSITY sqlstate
CALL censync_sync('complaining');
\set VERBOSITY default
SELECT length(error_message), length(error_detail) FROM censync.runs WHERE sync = 'complaining';

-- A large value in a bad record is logged by its beginning.
SELECT censync_create_sync('huge', 'plain', 'upsert',
	query => $$SELECT NULL::int AS id, repeat('x', 2000000) AS name UNION ALL SELECT 1, 'small'$$) > 0 AS defined;
SELECT run('huge');
SELECT payload ->> 'payload_bytes' AS bytes, length(payload ->> 'payload_begins') AS kept
  FROM censync.records JOIN censync.runs USING (run_id) WHERE sync = 'huge';

-- Looking at a source runs no code of those who made its types.
CREATE TYPE mood AS ENUM ('a', 'b');
CREATE FUNCTION mood_to_json(mood) RETURNS json LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'a cast to json was called'; END $$;
CREATE CAST (mood AS json) WITH FUNCTION mood_to_json(mood);
CREATE TABLE moody (id int, name mood);
INSERT INTO moody VALUES (NULL, 'a'), (2, 'b');
SELECT censync_preview(object => 'moody');
SELECT censync_create_sync('moody', 'plain', 'upsert', query => 'SELECT * FROM moody') > 0 AS defined;
SELECT run('moody');
SELECT payload FROM censync.records JOIN censync.runs USING (run_id) WHERE sync = 'moody';
DROP CAST (mood AS json);

-- max_deletes counts rows, however many images of their keys were seen.
CREATE EXTENSION citext SCHEMA hardening;
CREATE TABLE images (k citext PRIMARY KEY);
CREATE TABLE image_source (k citext);
INSERT INTO image_source SELECT 'a' || g FROM generate_series(1, 6) g;
SELECT censync_create_sync('images', 'images', 'mirror', query => 'SELECT * FROM image_source') > 0 AS defined;
SELECT run('images');
UPDATE image_source SET k = upper(k::text);
SELECT run('images');
DELETE FROM image_source WHERE k <> 'A1';
SET client_min_messages = error;
SELECT run('images');
SET client_min_messages = warning;
SELECT string_agg(k::text, ' ' ORDER BY k) FROM images;

-- Copies that on_duplicate passes over are no fault: neither max_rejected nor on_error counts them.
SELECT censync_create_sync('copies', 'plain', 'upsert', query => $$SELECT 5 AS id, 'copy ' || g AS name
	FROM generate_series(1, 9) g$$, options => '{"on_duplicate": "last", "on_error": "fail"}') > 0 AS defined;
SELECT run('copies');
SELECT * FROM plain WHERE id = 5;

-- A dry run leaves nothing behind, not even what the source's functions do.
CREATE TABLE traces (v int);
CREATE FUNCTION trace(v int) RETURNS int LANGUAGE sql AS 'INSERT INTO traces VALUES (v) RETURNING v';
SELECT censync_create_sync('tracing', 'plain', 'upsert', query => 'SELECT trace(7) AS id, NULL AS name') > 0 AS defined;
SELECT run('tracing', true);
SELECT count(*) FROM traces;
SELECT status, dry_run FROM censync.runs WHERE sync = 'tracing';

-- What is not altered keeps its meaning: the search_path is that of the query's author.
CREATE SCHEMA hardening_other;
CREATE TABLE hardening.which AS SELECT 1 AS id, 'right' AS name;
CREATE TABLE hardening_other.which AS SELECT 1 AS id, 'wrong' AS name;
SELECT censync_create_sync('which', 'plain', 'upsert', query => 'SELECT * FROM which') > 0 AS defined;
SET search_path = hardening_other, hardening, public;
SELECT censync_alter_sync('which', options => '{"max_rejected": 0.5}');
SELECT run('which');
SELECT name FROM plain WHERE id = 1;
SET search_path = hardening, public;
DROP SCHEMA hardening_other CASCADE;

-- Rows whose key is null belong to no record: a mirror of the whole table neither counts nor deletes them.
CREATE TABLE nullable (k int UNIQUE, note text);
INSERT INTO nullable VALUES (NULL, 'x'), (NULL, 'y'), (NULL, 'z'), (1, 'one'), (2, 'two'), (3, 'three');
SELECT censync_create_sync('whole', 'nullable', 'mirror', query => $$SELECT 1 AS k, 'one' AS note UNION SELECT 2, 'two'$$,
	options => '{"mirror_scope": "table"}') > 0 AS defined;
SELECT run('whole', true);
SELECT run('whole');
SELECT count(*) FROM nullable;

-- A mirror tracks keys that are longer than its index could hold.
CREATE TABLE long_keys (k bytea PRIMARY KEY);
CREATE TABLE long_source (k bytea);
INSERT INTO long_source
SELECT decode(string_agg(md5(g::text || i::text), '' ORDER BY i), 'hex') FROM generate_series(1, 3) g, generate_series(1, 130) i GROUP BY g;
SELECT censync_create_sync('long', 'long_keys', 'mirror', query => 'SELECT * FROM long_source') > 0 AS defined;
SELECT run('long');
DELETE FROM long_source WHERE k = (SELECT k FROM long_source ORDER BY k LIMIT 1);
SELECT run('long');
SELECT run('long');

-- A key type that became stricter is named, with the way out.
CREATE DOMAIN code AS text;
CREATE TABLE coded (k code PRIMARY KEY);
CREATE TABLE coded_source (k text);
INSERT INTO coded_source VALUES ('a'), ('b'), ('c');
SELECT censync_create_sync('coded', 'coded', 'mirror', query => 'SELECT * FROM coded_source') > 0 AS defined;
SELECT run('coded');
DELETE FROM coded WHERE k = 'c';
ALTER DOMAIN code ADD CHECK (value <> 'c');
DELETE FROM coded_source WHERE k = 'c';
SET client_min_messages = error;
SELECT status, error_message, error_hint FROM censync_run('coded');
SET client_min_messages = warning;
SELECT censync_reset('coded');
SELECT run('coded');

-- A sync does not run inside itself, and one after the other in a transaction it does.
CREATE FUNCTION again() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM censync_run('inner'); RETURN 8; END $$;
SELECT censync_create_sync('inner', 'plain', 'upsert', query => $$SELECT again() AS id, 'x' AS name$$) > 0 AS defined;
SET client_min_messages = error;
SELECT run('inner');
SET client_min_messages = warning;
BEGIN;
SELECT run('which');
SELECT run('which');
COMMIT;

-- User code that lets go of advisory locks does not let go of the run's.
CREATE TABLE unlocking (id int PRIMARY KEY);
CREATE FUNCTION unlock() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_unlock_all(); RETURN new; END $$;
CREATE TRIGGER unlock BEFORE INSERT ON unlocking FOR EACH ROW EXECUTE FUNCTION unlock();
SELECT censync_create_sync('unlocking', 'unlocking', 'upsert', query => 'SELECT 1 AS id') > 0 AS defined;
CALL censync_sync('unlocking');
SELECT status FROM censync.runs WHERE sync = 'unlocking';

-- The time limit of a run ends it wherever it is, and is its failure, not the caller's.
SELECT censync_create_sync('slow', 'plain', 'upsert', query => 'SELECT 1 AS id, pg_sleep(20)::text AS name',
	options => '{"timeout": 1}') > 0 AS defined;
SET client_min_messages = error;
BEGIN;
INSERT INTO plain VALUES (99, 'the caller''s');
SELECT run('slow');
COMMIT;
SET client_min_messages = warning;
SELECT name FROM plain WHERE id = 99;

-- Nobody's sync: only dropping it is left.
CREATE ROLE regress_censync_gone;
UPDATE censync.sync_definition SET owner_oid = 'regress_censync_gone'::regrole, owner_name = 'regress_censync_gone' WHERE name = 'slow';
DROP ROLE regress_censync_gone;
SELECT censync_alter_sync('slow', object => '');
SELECT censync_pause('slow');
SELECT censync_drop_sync('slow');

SELECT count(censync_drop_sync(name)) AS dropped FROM censync.syncs;
DROP SCHEMA hardening CASCADE;
