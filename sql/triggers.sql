-- What triggers on a destination see and may do: the section of docs/guarantees.md that says so.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA triggers;
SET search_path = triggers, public;
CREATE ROLE regress_trigger_owner;
GRANT USAGE, CREATE ON SCHEMA triggers TO regress_trigger_owner;
CALL censync_admit('regress_trigger_owner', 'owner');

CREATE TABLE source (id int PRIMARY KEY, name text, sort int);
CREATE TABLE dest (id int PRIMARY KEY, name text, sort int UNIQUE, seen int);
CREATE TABLE audit (n int GENERATED ALWAYS AS IDENTITY, what text, count int, ids text);
ALTER TABLE source OWNER TO regress_trigger_owner;
ALTER TABLE dest OWNER TO regress_trigger_owner;
ALTER TABLE audit OWNER TO regress_trigger_owner;
CREATE FUNCTION run(sync text) RETURNS text LANGUAGE sql AS $$
	SELECT format('%s, %s created, %s updated, %s deleted, %s unchanged, %s skipped, %s rejected', status, records_created,
		records_updated, records_deleted, records_unchanged, records_skipped, records_rejected) FROM censync_run(sync)
$$;
SET ROLE regress_trigger_owner;
SELECT censync_create_sync('m', 'dest', 'mirror', query => 'SELECT * FROM source', options => '{"max_deletes": 1, "max_rejected": 1}') > 0 AS defined;
RESET ROLE;
INSERT INTO source SELECT i, 'v' || i, i FROM generate_series(1, 4) i;
SELECT run('m');

-- Statement triggers, transition tables and row triggers, in the order in which they fire.
CREATE FUNCTION note_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO triggers.audit (what, count)
	SELECT format('%s %s %s %s', tg_when, tg_op, tg_level, coalesce(new.id, old.id)), count(*) FROM triggers.dest;
	RETURN coalesce(new, old);
END $$;
CREATE FUNCTION note_set() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	old_ids text; new_ids text; rows int;
BEGIN
	IF tg_when = 'AFTER' AND tg_op <> 'INSERT' THEN SELECT string_agg(id || '=' || name, ',' ORDER BY id) INTO old_ids FROM old_rows; END IF;
	IF tg_when = 'AFTER' AND tg_op <> 'DELETE' THEN SELECT string_agg(id || '=' || name, ',' ORDER BY id) INTO new_ids FROM new_rows; END IF;
	SELECT count(*) INTO rows FROM triggers.dest;
	INSERT INTO triggers.audit (what, count, ids)
	VALUES (format('%s %s %s', tg_when, tg_op, tg_level), rows, concat_ws(' to ', old_ids, new_ids));
	RETURN NULL;
END $$;
CREATE TRIGGER a BEFORE INSERT OR UPDATE OR DELETE ON dest FOR EACH STATEMENT EXECUTE FUNCTION note_set();
CREATE TRIGGER b BEFORE INSERT OR UPDATE OR DELETE ON dest FOR EACH ROW EXECUTE FUNCTION note_rows();
CREATE TRIGGER c AFTER INSERT OR UPDATE OR DELETE ON dest FOR EACH ROW EXECUTE FUNCTION note_rows();
CREATE TRIGGER d AFTER INSERT ON dest REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION note_set();
CREATE TRIGGER e AFTER UPDATE ON dest REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION note_set();
CREATE TRIGGER f AFTER DELETE ON dest REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION note_set();
-- Delete 1, update 2, leave 3 and 4 alone, insert 5 and 6: the count is that of the table at that moment.
DELETE FROM source WHERE id = 1;
UPDATE source SET name = 'two' WHERE id = 2;
INSERT INTO source VALUES (5, 'v5', 5), (6, 'v6', 6);
SELECT run('m');
SELECT what, count, ids FROM audit ORDER BY n;
TRUNCATE audit;
-- Nothing to do: no statement, so not even statement triggers.
SELECT run('m');
SELECT count(*) FROM audit;
-- One kind of change: triggers of that kind only.
INSERT INTO source VALUES (7, 'v7', 7);
SELECT run('m');
SELECT what, count, ids FROM audit ORDER BY n;
TRUNCATE audit;
-- A row that is refused: the others come in several statements.  What the undone ones left is gone.
ALTER TABLE dest ADD CHECK (name <> 'bad');
INSERT INTO source VALUES (8, 'v8', 8), (9, 'bad', 9), (10, 'v10', 10);
SELECT run('m');
SELECT what, count(*), string_agg(ids, ' | ' ORDER BY n) AS ids FROM audit WHERE what LIKE '%STATEMENT' GROUP BY what ORDER BY what;
SELECT count(*) FILTER (WHERE what = 'AFTER INSERT ROW 8') AS row_8, count(*) FILTER (WHERE what = 'AFTER INSERT ROW 9') AS row_9 FROM audit;
DELETE FROM source WHERE id = 9;
-- A run that fails takes with it what its triggers wrote elsewhere.
TRUNCATE audit;
SELECT censync_alter_sync('m', options => '{"on_error": "fail"}');
INSERT INTO source VALUES (11, 'v11', 11), (12, 'bad', 12);
SET client_min_messages = error;
SELECT run('m');
SET client_min_messages = warning;
SELECT count(*) FROM audit;
SELECT censync_alter_sync('m', options => '{"on_error": null}');
DELETE FROM source WHERE id > 10;
-- A dry run fires none.
UPDATE source SET name = 'dry' WHERE id = 2;
SELECT status, records_updated FROM censync_run('m', dry_run => true);
SELECT count(*) FROM audit;
UPDATE source SET name = 'two' WHERE id = 2;
DROP FUNCTION note_rows(), note_set() CASCADE;

-- UPDATE OF fires for every mapped column but the key, also one that keeps its value; for others not.
CREATE FUNCTION count_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO triggers.audit (what) VALUES (tg_name);
	RETURN NULL;
END $$;
CREATE TRIGGER of_id AFTER UPDATE OF id ON dest FOR EACH ROW EXECUTE FUNCTION count_up();
CREATE TRIGGER of_name AFTER UPDATE OF name ON dest FOR EACH ROW EXECUTE FUNCTION count_up();
CREATE TRIGGER of_sort AFTER UPDATE OF sort ON dest FOR EACH ROW EXECUTE FUNCTION count_up();
CREATE TRIGGER of_seen AFTER UPDATE OF seen ON dest FOR EACH ROW EXECUTE FUNCTION count_up();
UPDATE source SET name = 'TWO' WHERE id = 2;
SELECT run('m');
SELECT what FROM audit ORDER BY what;
TRUNCATE audit;
DROP FUNCTION count_up() CASCADE;

-- As whom, and under which settings.
CREATE FUNCTION who() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO triggers.audit (what) VALUES (format('current_user %s, session_user is the caller''s %s, search_path %s, depth %s, %s',
		current_user, session_user = current_setting('regress.session_user'), current_setting('search_path'), pg_trigger_depth(),
		current_setting('DateStyle')));
	RETURN NULL;
END $$;
SELECT set_config('regress.session_user', session_user, false) = session_user AS noted;
SET DateStyle = 'German';
CREATE TRIGGER who AFTER UPDATE ON dest FOR EACH STATEMENT EXECUTE FUNCTION who();
UPDATE source SET name = 'zwei' WHERE id = 2;
SELECT run('m');
SELECT what FROM audit;
TRUNCATE audit;
RESET DateStyle;
DROP FUNCTION who() CASCADE;

-- What a security-restricted operation does not allow, and what it does.
CREATE TABLE attempts (code text);
CREATE FUNCTION attempt() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	code text;
BEGIN
	FOR code IN SELECT a.code FROM triggers.attempts a LOOP
		EXECUTE code;
	END LOOP;
	RETURN new;
END $$;
GRANT SELECT ON attempts TO regress_trigger_owner;
CREATE TRIGGER attempt BEFORE UPDATE ON dest FOR EACH ROW EXECUTE FUNCTION attempt();
CREATE FUNCTION attempt(code text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	outcome text;
BEGIN
	TRUNCATE triggers.attempts;
	INSERT INTO triggers.attempts VALUES (code);
	UPDATE triggers.source SET name = clock_timestamp() WHERE id = 2;
	SELECT concat_ws(' ', status, error_code) INTO outcome FROM censync_run('m');
	RETURN coalesce((SELECT format('%s %s: %s', r.status, r.reason_code, r.reason) FROM censync.records r
		WHERE r.run_id = (SELECT max(run_id) FROM censync.runs)), outcome);
END $$;
SET client_min_messages = error;
SELECT code, attempt(code) FROM (VALUES ('CREATE TEMP TABLE temporary (x int)'), ('LISTEN channel'), ('SET ROLE pg_monitor'),
	('SET SESSION AUTHORIZATION regress_trigger_owner'), ('PREPARE p AS SELECT 1'), ('SET search_path = triggers'),
	('SET CONSTRAINTS ALL DEFERRED'), ('NOTIFY channel'), ($$SELECT FROM public.censync_run('m')$$),
	($$SELECT FROM public.censync_run()$$), ($$SELECT FROM triggers.attempts$$), ('SELECT FROM pg_authid'),
	('COMMIT')) v (code);
SET client_min_messages = warning;
SHOW search_path;
SELECT count(*) FROM audit;
DROP FUNCTION attempt() CASCADE;

-- Deferred constraint triggers fire at the end of their statement, as immediate ones; and the caller's are not deferred any more.
CREATE FUNCTION deferred() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO triggers.audit (what, count) SELECT 'deferred ' || new.id, count(*) FROM triggers.dest;
	IF EXISTS (SELECT FROM triggers.dest WHERE id = new.id AND name = 'late') THEN RAISE 'refused late' USING ERRCODE = 'check_violation'; END IF;
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER deferred AFTER INSERT OR UPDATE ON dest DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION deferred();
UPDATE source SET name = 'late' WHERE id = 2;
UPDATE source SET name = 'fine' WHERE id = 3;
INSERT INTO source VALUES (20, 'v20', 20);
BEGIN;
SELECT run('m');
SELECT what, count FROM audit ORDER BY n;
INSERT INTO dest VALUES (30, 'late');
ROLLBACK;
-- What the caller has deferred is checked before the run, and if it does not hold, it is the run that fails.
BEGIN;
INSERT INTO dest VALUES (30, 'late');
SET client_min_messages = error;
SELECT status, error_code, error_message FROM censync_run('m');
SET client_min_messages = warning;
UPDATE dest SET name = 'in time' WHERE id = 30;
COMMIT;
SELECT name FROM dest WHERE id = 30;
DROP FUNCTION deferred() CASCADE;

-- A trigger that says nothing: what it keeps out is counted as skipped; what it changes is what the table gets.
CREATE FUNCTION silent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF new.id = 2 THEN RETURN NULL; END IF;
	new.name := upper(new.name);
	RETURN new;
END $$;
CREATE TRIGGER silent BEFORE INSERT OR UPDATE ON dest FOR EACH ROW EXECUTE FUNCTION silent();
UPDATE source SET name = 'other' WHERE id IN (2, 3);
SELECT run('m');
SELECT name FROM dest WHERE id = 3;
-- So the row differs from its record again and again.
SELECT run('m');
DROP FUNCTION silent() CASCADE;

-- Triggers that are off, or for replicas, do as they do for any client; a sync is no replication.
CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO triggers.audit (what) VALUES (tg_name); RETURN NULL; END $$;
CREATE TRIGGER plain AFTER UPDATE ON dest EXECUTE FUNCTION fired();
CREATE TRIGGER off AFTER UPDATE ON dest EXECUTE FUNCTION fired();
CREATE TRIGGER replica AFTER UPDATE ON dest EXECUTE FUNCTION fired();
ALTER TABLE dest DISABLE TRIGGER off, ENABLE REPLICA TRIGGER replica;
TRUNCATE audit;
UPDATE source SET name = 'last' WHERE id = 3;
SELECT run('m');
SELECT what FROM audit;

-- A function that finds what it needs only by the search_path of its user fails the run, and is told why.
CREATE FUNCTION unqualified() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit (what) VALUES (tg_name); RETURN NULL; END $$;
CREATE TRIGGER unqualified AFTER UPDATE ON dest EXECUTE FUNCTION unqualified();
UPDATE source SET name = 'unqualified' WHERE id = 3;
SET client_min_messages = error;
SELECT status, error_code, error_message, error_hint FROM censync_run('m');
SET client_min_messages = warning;
ALTER FUNCTION unqualified() SET search_path = triggers;
SELECT run('m');

SELECT censync_drop_sync('m');
DROP SCHEMA triggers CASCADE;
DROP OWNED BY regress_trigger_owner;
DROP ROLE regress_trigger_owner;
