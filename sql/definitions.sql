-- Definitions: what is refused and what would help; who may do what; as whom a run acts.
SET client_min_messages = warning;
CREATE SCHEMA definitions;
SET search_path = definitions, public;
\pset format unaligned
\pset null -

CREATE TABLE dest (id int PRIMARY KEY, note text);
CREATE TABLE source AS SELECT 1 AS id, 'one'::text AS note;

-- Arguments.
SELECT censync_create_sync(NULL, 'dest', 'upsert', object => 'source');
SELECT censync_create_sync('x', NULL, 'upsert', object => 'source');
SELECT censync_create_sync('x', 'dest', NULL, object => 'source');
SELECT censync_create_sync('', 'dest', 'upsert', object => 'source');
SELECT censync_create_sync('x', 'nosuch', 'upsert', object => 'source');
SELECT censync_create_sync('x', 0, 'upsert', object => 'source');
SELECT censync_create_sync('x', 4294967295, 'upsert', object => 'source');
SELECT censync_create_sync('x', 'dest', 'replace', object => 'source');
SELECT censync_create_sync('x', 'dest', 'Upsert', object => 'source');
SELECT censync_create_sync('x', 'dest', 'upsert');
SELECT censync_create_sync('x', 'dest', 'upsert', query => 'TABLE source', object => 'source');
SELECT censync_create_sync('x', 'dest', 'upsert', object => 'source', schedule => '5 minutes');
SELECT censync_create_sync('x', 'dest', 'upsert', object => 'source', mappings => '[]');
SELECT censync_create_sync('x', 'dest', 'upsert', object => 'source', mappings => '"id"');
SELECT censync_create_sync('x', 'dest', 'upsert', object => 'source', options => '[1]');
SELECT censync_create_sync('x', 'dest', 'upsert', object => 'source', options => 'true');
-- Sources in this database: one query that reads, or one name.
SELECT censync_create_sync('x', 'dest', 'upsert', query => 'SELEC 1');
SELECT censync_create_sync('x', 'dest', 'upsert', query => 'SELECT 1 AS id; DROP TABLE dest');
SELECT censync_create_sync('x', 'dest', 'upsert', query => 'DROP TABLE dest');
SELECT censync_create_sync('x', 'dest', 'upsert', query => 'DELETE FROM dest RETURNING *');
SELECT censync_create_sync('x', 'dest', 'upsert', query => 'WITH d AS (DELETE FROM dest RETURNING *) TABLE d');
SELECT censync_create_sync('x', 'dest', 'upsert', query => 'SELECT * FROM source FOR UPDATE');
SELECT censync_create_sync('x', 'dest', 'upsert', query => 'SELECT 1 AS id, $1');
SELECT censync_create_sync('x', 'dest', 'upsert', query => ' ');
SELECT censync_create_sync('x', 'dest', 'upsert', query => 'SELECT');
SELECT censync_create_sync('x', 'dest', 'upsert', object => 'nosuch');
SELECT censync_create_sync('x', 'dest', 'upsert', object => 'source; DROP TABLE dest');
SELECT censync_create_sync('x', 'dest', 'upsert', object => 'source WHERE id = 1');
SELECT censync_create_sync('x', 'dest', 'upsert', object => 'a.b.c.d');
-- A name may be anything, and is one name.
-- Several definitions in one statement, with options: each leaves the memory of the statement as it was.
SELECT censync_create_sync('several 1', 'dest', 'upsert', query => 'TABLE source', options => '{"max_deletes": 0.1}') > 0 AS one,
       censync_create_sync('several 2', 'dest', 'upsert', query => 'TABLE source', options => '{"max_rejected": 0.1}') > 0 AS two,
       repeat('x', 3) AS three;
SELECT count(censync_drop_sync(name)) FROM censync.syncs WHERE name LIKE 'several%';

CREATE TABLE "a""b; drop table x --" ("c""d; --" int PRIMARY KEY, "E" text);
SELECT censync_create_sync('n"''; DROP TABLE dest --', '"a""b; drop table x --"', 'upsert', object => '"a""b; drop table x --"') IS NOT NULL AS created;
SELECT censync_alter_sync('n"''; DROP TABLE dest --', object => '', query => $$SELECT 1 AS "c""d; --", 'e' AS "E"$$);
SELECT sync, status, records_created FROM censync_run('n"''; DROP TABLE dest --');
TABLE "a""b; drop table x --";
SELECT censync_drop_sync('n"''; DROP TABLE dest --');

-- Servers.
SELECT censync_create_sync('x', 'dest', 'upsert', server => 'nosuch', object => 'source');
CREATE FOREIGN DATA WRAPPER definitions_other;
CREATE SERVER other FOREIGN DATA WRAPPER definitions_other;
SELECT censync_create_sync('x', 'dest', 'upsert', server => 'other', object => 'source');
CREATE SERVER untyped FOREIGN DATA WRAPPER censync;
SELECT censync_create_sync('x', 'dest', 'upsert', server => 'untyped', object => 'source');
CREATE SERVER strange TYPE 'strange' FOREIGN DATA WRAPPER censync;
SELECT censync_create_sync('x', 'dest', 'upsert', server => 'strange', object => 'source');
DROP SERVER IF EXISTS untyped, strange;

-- Options: an unknown name and a bad value of every one of them.
CREATE FUNCTION try(options jsonb, behavior text DEFAULT 'mirror') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
    hint text;
BEGIN
    PERFORM censync_create_sync('try', 'dest', behavior, object => 'source', options => options);
    PERFORM censync_drop_sync('try');
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(E'\n    ', SQLSTATE || ': ' || SQLERRM, nullif(detail, ''), nullif(hint, ''));
END $$;
\t on
SELECT try('{"max_delete": 1}');
SELECT try('{"Max_deletes": 1}');
SELECT try('{"": 1}');
SELECT try('{"on_duplicate": "any"}');
SELECT try('{"on_error": "stop"}');
SELECT try('{"mirror_scope": "all"}');
SELECT try('{"log_records": true}');
SELECT try('{"max_rejected": 1.5}');
SELECT try('{"max_rejected": "NaN"}');
SELECT try('{"max_deletes": -0.1}');
SELECT try('{"max_deletes": "half"}');
SELECT try('{"max_deletes": ""}');
SELECT try('{"max_deletes": [1]}');
SELECT try('{"max_deletes": {}}');
SELECT try('{"allow_empty_source": "maybe"}');
SELECT try('{"timeout": "soon"}');
SELECT try('{"timeout": -1}');
SELECT try('{"timeout": "99999999999"}');
SELECT try('{"format": "xml"}');
SELECT try('{"url": "https://example.org"}');
SELECT try('{"password": "secret"}');
SELECT try('{"allow_http": true}');
SELECT try('{"on_duplicate": "last", "on_error": "fail", "mirror_scope": "table", "max_rejected": 0, "max_deletes": "1e-1", "allow_empty_source": "on", "timeout": "5 min"}');
SELECT try('{"on_duplicate": null, "nosuch": null}');
\t off

-- Destinations that can't be one, each with what would help.
CREATE VIEW a_view AS TABLE dest;
CREATE MATERIALIZED VIEW a_matview AS TABLE dest;
CREATE FOREIGN TABLE a_foreign_table (id int) SERVER other;
CREATE SEQUENCE a_sequence;
CREATE TABLE no_key (id int NOT NULL, note text);
CREATE TABLE partial_key (id int NOT NULL, note text);
CREATE UNIQUE INDEX partial_key_id ON partial_key (id) WHERE id > 0;
CREATE TABLE two_keys (id int UNIQUE, note text UNIQUE);
SELECT censync_create_sync('x', 'a_view', 'upsert', object => 'source');
SELECT censync_create_sync('x', 'a_matview', 'upsert', object => 'source');
SELECT censync_create_sync('x', 'a_foreign_table', 'upsert', object => 'source');
SELECT censync_create_sync('x', 'a_sequence', 'upsert', object => 'source');
SELECT censync_create_sync('x', 'dest_pkey', 'upsert', object => 'source');
SELECT censync_create_sync('x', 'pg_class', 'upsert', object => 'source');
SELECT censync_create_sync('x', 'censync.run_log', 'upsert', object => 'source');
SELECT censync_create_sync('x', 'no_key', 'upsert', object => 'source');
SELECT censync_create_sync('x', 'partial_key', 'upsert', object => 'source', sync_key => '{id}');
SELECT censync_create_sync('x', 'two_keys', 'upsert', object => 'source');
SELECT censync_create_sync('x', 'two_keys', 'upsert', object => 'source', sync_key => '{id, note}');
SELECT censync_create_sync('x', 'two_keys', 'upsert', object => 'source', sync_key => '{nosuch}');
SELECT censync_create_sync('x', 'two_keys', 'upsert', object => 'source', sync_key => '{id, id}');
SELECT censync_create_sync('x', 'two_keys', 'upsert', object => 'source', sync_key => '{id, NULL}');
SELECT censync_create_sync('x', 'two_keys', 'upsert', object => 'source', sync_key => '{}');
SELECT censync_create_sync('x', 'two_keys', 'upsert', object => 'source', sync_key => '{{id},{note}}');
SELECT count(*) FROM censync.syncs;

-- What is defined, and a second one of that name; what alter changes, keeps, and refuses without changing anything.
SELECT censync_create_sync('one', 'dest', 'upsert', object => 'source', options => '{"max_deletes": 0.1, "on_error": "fail"}') IS NOT NULL AS created;
SELECT censync_create_sync('one', 'dest', 'update', object => 'source');
CREATE VIEW defined AS SELECT name, owner, destination, behavior, server, query, object, sync_key, mappings, options, state FROM censync.syncs ORDER BY name;
TABLE defined;
SELECT censync_alter_sync('one');
TABLE defined;
SELECT censync_alter_sync('one', behavior => 'update_or_create', options => '{"max_deletes": 0.2, "on_error": null}', mappings => '{"id": "id"}');
TABLE defined;
SELECT censync_alter_sync('one', query => 'SELECT 2 AS id', object => '', mappings => '{}', destination => 'two_keys', sync_key => '{id}');
TABLE defined;
SELECT censync_alter_sync('one', behavior => 'replace');
SELECT censync_alter_sync('one', query => '');
SELECT censync_alter_sync('one', object => 'source');
SELECT censync_alter_sync('one', server => 'nosuch');
SELECT censync_alter_sync('one', destination => 'a_view');
SELECT censync_alter_sync('one', destination => 'dest', sync_key => '{note}');
SELECT censync_alter_sync('one', mappings => '{"nosuch": "id"}');
SELECT censync_alter_sync('one', options => '{"nosuch": 1}');
SELECT censync_alter_sync('one', options => '1');
SELECT censync_alter_sync('one', schedule => 'hourly');
SELECT censync_alter_sync('nosuch', behavior => 'update');
SELECT censync_alter_sync(NULL);
TABLE defined;
-- A renamed destination is followed; a dropped one is named.
ALTER TABLE two_keys RENAME TO renamed;
SELECT destination FROM defined;
SELECT status, records_created FROM censync_run('one');
DROP TABLE renamed;
SELECT destination FROM defined;
SET client_min_messages = error;
SELECT status, error_code, error_message, error_hint FROM censync_run('one');
SET client_min_messages = warning;
SELECT censync_drop_sync('one');
-- Another destination or sync key makes a mirror forget.
CREATE TABLE dest2 (id int PRIMARY KEY, note text UNIQUE);
SELECT censync_create_sync('forget', 'dest', 'mirror', object => 'source') IS NOT NULL AS created;
SELECT status, records_created FROM censync_run('forget');
SELECT count(*) FROM censync.mirror_memory;
SELECT censync_alter_sync('forget', options => '{"max_deletes": 1}');
SELECT count(*) FROM censync.mirror_memory;
SELECT censync_alter_sync('forget', destination => 'dest2');
SELECT count(*) FROM censync.mirror_memory;
SELECT status, records_created FROM censync_run('forget');
SELECT count(*) FROM censync.mirror_memory;
SELECT censync_alter_sync('forget', sync_key => '{note}');
SELECT count(*) FROM censync.mirror_memory;
SELECT censync_drop_sync('forget');

-- CALL needs a transaction of its own; it raises what made the run fail, and the log remains.
SELECT censync_create_sync('call', 'dest', 'upsert', query => 'SELECT 1/(id - 1) AS id FROM source') IS NOT NULL AS created;
CALL censync_sync(NULL);
CALL censync_sync('nosuch');
BEGIN;
CALL censync_sync('call');
ROLLBACK;
CALL censync_sync('call');
SELECT status, error_code FROM censync.runs ORDER BY run_id DESC LIMIT 1;
SELECT censync_alter_sync('call', query => 'SELECT 50 AS id');
CALL censync_sync('call');
SELECT status, records_created FROM censync.runs ORDER BY run_id DESC LIMIT 1;
SELECT censync_drop_sync('call');

-- censync_admit: three levels, each with what the one before has.
CREATE ROLE regress_censync_viewer;
CREATE ROLE regress_censync_operator;
CREATE ROLE regress_censync_owner;
CREATE ROLE regress_censync_other;
CALL censync_admit('regress_censync_viewer', 'viewer');
CALL censync_admit('regress_censync_operator', 'operator');
CALL censync_admit('regress_censync_owner', 'owner');
CALL censync_admit('regress_censync_other', 'owner');
CALL censync_admit('regress_censync_other', 'admin');
CALL censync_admit('regress_censync_other', NULL);
CALL censync_admit(NULL, 'owner');
CALL censync_admit('regress_censync_nosuch', 'owner');
SELECT p.proname, string_agg(split_part(r.rolname, '_', 3), ', ' ORDER BY r.oid) AS may_call
  FROM pg_proc p, pg_roles r
 WHERE p.proname ~ '^censync' AND r.rolname ~ '^regress_censync_(viewer|operator|owner)' AND has_function_privilege(r.oid, p.oid, 'EXECUTE')
 GROUP BY p.proname ORDER BY p.proname COLLATE "C";
SELECT c.relname, a.privilege_type, count(*) AS roles FROM pg_class c, aclexplode(relacl) a
 WHERE relnamespace = 'censync'::regnamespace AND a.grantee <> c.relowner GROUP BY 1, 2 ORDER BY 1, 2;

-- An owner's privileges on the destination are checked before the source is read, and the GRANT that helps is named.
-- (A source that would be read fails.)
GRANT USAGE ON SCHEMA definitions TO regress_censync_viewer, regress_censync_operator, regress_censync_owner, regress_censync_other;
GRANT SELECT ON source TO regress_censync_owner;
CREATE TABLE granted (id int PRIMARY KEY, note text, secret text);
CREATE FUNCTION unread() RETURNS int LANGUAGE plpgsql AS $$BEGIN RAISE 'the source was read'; END$$;
SET ROLE regress_censync_owner;
SELECT censync_create_sync('mine', 'granted', 'mirror', query => 'SELECT unread() AS id, ''x'' AS note');
RESET ROLE;
GRANT SELECT (id, note) ON granted TO regress_censync_owner;
SET ROLE regress_censync_owner;
SELECT censync_create_sync('mine', 'granted', 'mirror', query => 'SELECT unread() AS id, ''x'' AS note');
RESET ROLE;
GRANT INSERT (id, note) ON granted TO regress_censync_owner;
SET ROLE regress_censync_owner;
SELECT censync_create_sync('mine', 'granted', 'append', query => 'SELECT unread() AS id, ''x'' AS note') IS NOT NULL AS append_needs_no_more;
SELECT censync_alter_sync('mine', behavior => 'mirror');
RESET ROLE;
GRANT UPDATE (note) ON granted TO regress_censync_owner;
SET ROLE regress_censync_owner;
SELECT censync_alter_sync('mine', behavior => 'upsert');
SELECT censync_alter_sync('mine', behavior => 'mirror');
RESET ROLE;
GRANT DELETE ON granted TO regress_censync_owner;
SET ROLE regress_censync_owner;
SELECT censync_alter_sync('mine', behavior => 'mirror');
-- Column grants suffice for a run of each kind of change, and reach no further.
SELECT censync_alter_sync('mine', query => 'SELECT id, note FROM source', options => '{"max_deletes": 1}');
SELECT status, records_created FROM censync_run('mine');
RESET ROLE;
UPDATE source SET note = 'changed';
SET ROLE regress_censync_owner;
SELECT status, records_updated FROM censync_run('mine');
RESET ROLE;
UPDATE source SET id = 2;
SET ROLE regress_censync_owner;
SELECT status, records_created, records_deleted FROM censync_run('mine');
SELECT censync_alter_sync('mine', mappings => '{"id": "id", "secret": "note"}');
RESET ROLE;
-- A privilege taken away later fails the run, before it reads.
SET client_min_messages = error;
SET ROLE regress_censync_owner;
SELECT censync_alter_sync('mine', query => 'SELECT definitions.unread() AS id, ''x'' AS note');
RESET ROLE;
REVOKE DELETE ON granted FROM regress_censync_owner;
SET ROLE regress_censync_owner;
SELECT status, error_code, error_message, error_hint FROM censync_run('mine');
RESET ROLE;
GRANT DELETE ON granted TO regress_censync_owner;
SET ROLE regress_censync_owner;
SELECT status, error_code, error_message FROM censync_run('mine');
SELECT censync_alter_sync('mine', query => 'SELECT 1 AS id, ''x'' AS note');
RESET ROLE;
REVOKE USAGE ON SCHEMA definitions FROM regress_censync_owner;
SET ROLE regress_censync_owner;
SELECT status, error_code, error_message, error_hint FROM public.censync_run('mine');
RESET ROLE;
GRANT USAGE ON SCHEMA definitions TO regress_censync_owner;
SET ROLE regress_censync_owner;
SELECT censync_alter_sync('mine', query => 'SELECT id, note FROM source');
RESET ROLE;
REVOKE SELECT ON source FROM regress_censync_owner;
SET ROLE regress_censync_owner;
SELECT status, error_code, error_message FROM censync_run('mine');
RESET ROLE;
GRANT SELECT ON source TO regress_censync_owner;
SET client_min_messages = warning;
-- A server needs USAGE.
CREATE SERVER web TYPE 'http' FOREIGN DATA WRAPPER censync OPTIONS (url 'https://127.0.0.1:1/');
SET ROLE regress_censync_owner;
SELECT censync_create_sync('web', 'granted', 'append', server => 'web', object => 'x');
SELECT * FROM censync_preview('web');
SELECT * FROM censync_check('web');
RESET ROLE;
DROP SERVER web;

-- Others neither see a sync, its runs and records, nor run, change or drop it, be they owners of syncs themselves.
INSERT INTO source VALUES (NULL, 'bad');
SELECT status, records_invalid FROM censync_run('mine');
SET ROLE regress_censync_owner;
SELECT name, owner FROM censync.syncs;
SELECT count(*) > 0 AS runs FROM censync.runs;
SELECT count(*) > 0 AS records FROM censync.records;
SELECT count(*) FROM censync.sync_definition;
SET ROLE regress_censync_other;
SELECT count(*) FROM censync.syncs;
SELECT count(*) FROM censync.runs;
SELECT count(*) FROM censync.records;
-- (Nor does a function of theirs that a view might call too early.)
CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$BEGIN RAISE WARNING 'seen: %', $1; RETURN true; END$$;
SELECT count(*) FROM censync.syncs WHERE pg_temp.leak(name);
SELECT count(*) FROM censync.runs WHERE pg_temp.leak(sync);
SELECT count(*) FROM censync.records WHERE pg_temp.leak(reason);
SELECT count(*) FROM censync_run();
SELECT * FROM censync_run('mine');
CALL censync_sync('mine');
SELECT censync_alter_sync('mine', behavior => 'upsert');
SELECT censync_pause('mine');
SELECT censync_resume('mine');
SELECT censync_reset('mine');
SELECT censync_drop_sync('mine');
SELECT censync_create_sync('mine', 'dest', 'upsert', query => 'SELECT 1 AS id');
RESET ROLE;
-- A viewer only looks, and an operator defines nothing.
SET ROLE regress_censync_viewer;
SELECT count(*) FROM censync.syncs;
SELECT DISTINCT table_name FROM censync_objects('definitions');
SELECT * FROM censync_run();
CALL censync_sync('mine');
SELECT censync_pause('mine');
SELECT * FROM censync_preview(query => 'SELECT 1');
SET ROLE regress_censync_operator;
SELECT * FROM censync_run();
SELECT * FROM censync_preview(query => 'SELECT 1 AS id');
SELECT censync_create_sync('y', 'granted', 'append', query => 'SELECT 1 AS id');
SELECT censync_alter_sync('mine', behavior => 'append');
SELECT censync_drop_sync('mine');
CALL censync_admit('regress_censync_operator', 'owner');
RESET ROLE;
-- Whose syncs a role sees and runs is a matter of membership in their owner's role, and of inheriting from it.
GRANT regress_censync_owner TO regress_censync_viewer, regress_censync_operator;
SET SESSION AUTHORIZATION regress_censync_viewer;
SELECT name, state FROM censync.syncs;
SELECT count(*) > 0 AS runs FROM censync.runs;
RESET SESSION AUTHORIZATION;
CREATE ROLE regress_censync_noinherit NOINHERIT;
CALL censync_admit('regress_censync_noinherit', 'operator');
GRANT regress_censync_owner TO regress_censync_noinherit;
SET SESSION AUTHORIZATION regress_censync_noinherit;
SELECT count(*) FROM censync.syncs;
SELECT * FROM public.censync_run('mine');
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION regress_censync_operator;
SELECT public.censync_pause('mine');
SELECT name, state FROM censync.syncs;
SELECT public.censync_resume('mine');
SELECT sync, status FROM public.censync_run('mine');
RESET SESSION AUTHORIZATION;

-- A run acts as the sync's owner, whoever starts it: a superuser's rights are not lent to it, and what a trigger
-- does is done as that role.  A superuser's sync applies as the destination's owner.
CREATE TABLE who (id int PRIMARY KEY, note text, changed_by text);
ALTER TABLE who OWNER TO regress_censync_other;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.changed_by := current_user || ' ' || (SELECT setting FROM pg_settings WHERE name = 'search_path'); RETURN NEW; END$$;
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON who FOR EACH ROW EXECUTE FUNCTION stamp();
GRANT SELECT, INSERT, UPDATE ON who TO regress_censync_owner;
CREATE FUNCTION me() RETURNS text LANGUAGE sql AS 'SELECT current_user::text';
SET ROLE regress_censync_owner;
SELECT censync_create_sync('who', 'who', 'upsert', query => 'SELECT 1 AS id, me() AS note') IS NOT NULL AS created;
RESET ROLE;
SELECT status FROM censync_run('who');
SELECT censync_create_sync('super', 'who', 'upsert', query => 'SELECT 2 AS id, me() AS note') IS NOT NULL AS created;
SELECT status FROM censync_run('super');
SELECT censync_create_sync('super expression', 'who', 'upsert', query => 'SELECT 4 AS id', mappings => '{"id": "id", "note": {"expression": "current_user || '' evaluates''"}}') IS NOT NULL AS created;
SELECT status FROM censync_run('super expression');
SELECT note FROM who WHERE id = 4;
SELECT id, note = current_user AS note_by_superuser, note = 'regress_censync_owner' AS note_by_owner, changed_by FROM who WHERE id < 3 ORDER BY id;
-- What user code may not do in a run: become somebody else, or leave something behind for later.
CREATE OR REPLACE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN EXECUTE 'SET ROLE ' || quote_ident(session_user); RETURN NEW; END$$;
UPDATE source SET note = 'again';
SET client_min_messages = error;
SELECT censync_alter_sync('super', query => 'SELECT 2 AS id, ''again'' AS note');
CREATE VIEW reasons AS SELECT reason_code, reason FROM censync.records WHERE run_id = (SELECT max(run_id) FROM censync.runs);
SELECT status, error_code, error_message FROM censync_run('super');
CREATE OR REPLACE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN EXECUTE 'RESET SESSION AUTHORIZATION'; RETURN NEW; END$$;
SELECT status, error_code, error_message FROM censync_run('super');
TABLE reasons;
CREATE OR REPLACE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN CREATE TEMP TABLE left_behind (); RETURN NEW; END$$;
SELECT status, error_code, error_message FROM censync_run('super');
TABLE reasons;
CREATE OR REPLACE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM set_config('search_path', 'evil', false); RETURN NEW; END$$;
SELECT status, error_code, error_message FROM censync_run('super');
SHOW search_path;
SELECT current_user = session_user AS still_me;
-- Nor may a deferred trigger wait until the run's guard is gone.
CREATE OR REPLACE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;
CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO definitions.late_log VALUES (current_user); RETURN NULL; END$$;
CREATE TABLE late_log (who name);
GRANT INSERT ON late_log TO PUBLIC;
CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE ON who DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late();
SELECT censync_alter_sync('super', query => 'SELECT 3 AS id, ''late'' AS note');
BEGIN;
SELECT status FROM censync_run('super');
TABLE late_log;
COMMIT;
TABLE late_log;
SELECT status FROM censync_run('who');
SET client_min_messages = warning;

-- Nothing that somebody planted in a schema of the caller's path, or in public, is used in place of PostgreSQL's own:
-- the statements of a run look names up in pg_catalog only.
CREATE SCHEMA planted;
GRANT ALL ON SCHEMA planted TO PUBLIC;
CREATE TABLE victims (id int PRIMARY KEY, amount numeric, label varchar(20), tags text[], doc jsonb);
INSERT INTO victims VALUES (1, 1.0, 'a', '{a}', '{}'), (2, 2.0, 'b', '{b}', '{}');
CREATE FUNCTION planted.gotcha(anyelement, anyelement) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE 'planted code was run'; END$$;
CREATE FUNCTION planted.eq(int, int) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE 'planted code was run'; END$$;
CREATE FUNCTION planted.eq(varchar, varchar) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE 'planted code was run'; END$$;
CREATE FUNCTION planted.eq(numeric, numeric) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE 'planted code was run'; END$$;
CREATE FUNCTION planted.eq(record, record) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE 'planted code was run'; END$$;
CREATE FUNCTION planted.eq(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE 'planted code was run'; END$$;
CREATE OPERATOR planted.= (FUNCTION = planted.eq, LEFTARG = int, RIGHTARG = int);
CREATE OPERATOR planted.= (FUNCTION = planted.eq, LEFTARG = bigint, RIGHTARG = bigint);
CREATE OPERATOR planted.= (FUNCTION = planted.eq, LEFTARG = varchar, RIGHTARG = varchar);
CREATE OPERATOR planted.= (FUNCTION = planted.eq, LEFTARG = numeric, RIGHTARG = numeric);
CREATE OPERATOR planted.*<> (FUNCTION = planted.eq, LEFTARG = record, RIGHTARG = record);
CREATE OPERATOR planted.<> (FUNCTION = planted.eq, LEFTARG = varchar, RIGHTARG = varchar);
CREATE FUNCTION planted.count(bigint) RETURNS bigint LANGUAGE plpgsql AS $$BEGIN RAISE 'planted code was run'; END$$;
CREATE FUNCTION planted.now() RETURNS timestamptz LANGUAGE plpgsql AS $$BEGIN RAISE 'planted code was run'; END$$;
CREATE FUNCTION planted.jsonb_each(jsonb) RETURNS SETOF record LANGUAGE plpgsql AS $$BEGIN RAISE 'planted code was run'; END$$;
CREATE FUNCTION planted.pg_has_role(oid, text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE 'planted code was run'; END$$;
CREATE TABLE planted.stage (id int);
CREATE TABLE planted.part (id int);
CREATE TABLE planted.mirror_memory (id int);
SET search_path = planted, pg_catalog, definitions, public;
SELECT censync_create_sync('victims', 'definitions.victims', 'mirror', options => '{"mirror_scope": "table", "max_deletes": 1}',
  query => $$SELECT n AS id, n + 1.0 AS amount, 'x'::text AS label, '{x}'::text[] AS tags, '{}'::jsonb AS doc FROM generate_series(1, 3) n WHERE n OPERATOR(pg_catalog.<>) 2
             UNION ALL SELECT 3, 0, 'twice', NULL, NULL$$,
  mappings => '{"id": "id", "amount": {"source": "amount", "when_null": "skip"}, "label": {"source": "label", "when": "empty"}, "tags": "tags", "doc": "doc"}') IS NOT NULL AS created;
SELECT status, records_read, records_invalid, records_created, records_updated, records_deleted, error_message FROM censync_run('victims', dry_run => true);
SELECT status, records_read, records_invalid, records_created, records_updated, records_deleted, error_message FROM censync_run('victims');
SELECT name FROM censync.syncs WHERE name LIKE 'vic%';
SELECT censync_reset('victims');
SELECT censync_alter_sync('victims', options => '{"mirror_scope": "synced", "on_duplicate": "last"}');
SELECT status, records_created, records_updated, records_deleted, error_message FROM censync_run('victims');
SELECT status, records_created, records_updated, records_deleted, error_message FROM censync_run('victims');
SET search_path = definitions, public;
SELECT * FROM victims ORDER BY id;
-- The query and the expressions are the owner's, and see the path of the session that defined them, not the runner's.
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2';
CREATE FUNCTION planted.twice(int) RETURNS int LANGUAGE plpgsql AS $$BEGIN RAISE 'planted code was run'; END$$;
CREATE TABLE planted.source (id int, note text);
SELECT censync_create_sync('path', 'dest', 'upsert', query => 'SELECT twice(50) AS id FROM source WHERE id IS NULL',
                           mappings => '{"id": {"expression": "twice(id)"}, "note": {"value": "path"}}') IS NOT NULL AS created;
SET search_path = planted, public;
SELECT status, records_created, error_message FROM censync_run('path');
SELECT id FROM definitions.dest WHERE note = 'path';
SET search_path = definitions, public;

-- Row-level security: a policy's WITH CHECK rejects a record, and rows that USING hides are not there.
CREATE TABLE tenants (id int PRIMARY KEY, tenant text, note text);
INSERT INTO tenants VALUES (1, 'own', 'old'), (2, 'foreign', 'old'), (3, 'own', 'old'), (9, 'foreign', 'old'), (10, 'own', 'old');
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON tenants USING (tenant = 'own');
GRANT ALL ON tenants TO regress_censync_owner;
CREATE TABLE tenants_source (id int, tenant text, note text);
INSERT INTO tenants_source VALUES (1, 'own', 'new'), (2, 'own', 'new'), (3, 'foreign', 'new'), (4, 'foreign', 'new'), (5, 'own', 'new');
GRANT SELECT ON tenants_source TO regress_censync_owner;
SET ROLE regress_censync_owner;
SELECT censync_create_sync('tenants', 'tenants', 'mirror', query => 'SELECT * FROM tenants_source ORDER BY id', options => '{"mirror_scope": "table"}') IS NOT NULL AS created;
SELECT status, records_read, records_rejected, records_created, records_updated, records_deleted, records_unchanged, records_skipped, error_message FROM censync_run('tenants');
SELECT record_number, operation, sync_key, reason_code, reason FROM censync.records WHERE run_id = (SELECT max(run_id) FROM censync.runs) ORDER BY 1;
RESET ROLE;
SELECT * FROM tenants ORDER BY id;
-- row_security = off makes the server refuse rather than filter: the run fails and changes nothing.
SET client_min_messages = error;
SET ROLE regress_censync_owner;
SET row_security = off;
SELECT status, error_code, error_message FROM censync_run('tenants');
RESET row_security;
RESET ROLE;

-- An owner that is gone: nobody runs it but a superuser may drop it.  A superuser that lost his rights has none.
CREATE ROLE regress_censync_gone SUPERUSER;
SET ROLE regress_censync_gone;
SELECT censync_create_sync('gone', 'who', 'upsert', query => 'SELECT 7 AS id') IS NOT NULL AS created;
SELECT status FROM censync_run('gone');
RESET ROLE;
ALTER ROLE regress_censync_gone NOSUPERUSER;
SELECT status, error_code, error_message FROM censync_run('gone');
DROP ROLE regress_censync_gone;
SELECT * FROM censync_run('gone');
SELECT censync_drop_sync('gone');

RESET search_path;
SET client_min_messages = error;
SELECT count(censync_drop_sync(name)) AS dropped FROM censync.syncs;
DROP FOREIGN DATA WRAPPER definitions_other CASCADE;
DROP SCHEMA definitions, planted CASCADE;
DROP OWNED BY regress_censync_viewer, regress_censync_operator, regress_censync_owner, regress_censync_other, regress_censync_noinherit;
DROP ROLE regress_censync_viewer, regress_censync_operator, regress_censync_owner, regress_censync_other, regress_censync_noinherit;
