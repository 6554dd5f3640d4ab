-- Everything a user calls.  Nothing is granted to PUBLIC; censync_admit grants.

CREATE FUNCTION censync_fdw_handler() RETURNS fdw_handler
    LANGUAGE C STRICT AS 'MODULE_PATHNAME';
CREATE FUNCTION censync_fdw_validator(text[], oid) RETURNS void
    LANGUAGE C STRICT AS 'MODULE_PATHNAME';
CREATE FOREIGN DATA WRAPPER censync HANDLER censync_fdw_handler VALIDATOR censync_fdw_validator;
COMMENT ON FUNCTION censync_fdw_handler() IS 'foreign tables over the sources of censync, read only';
COMMENT ON FUNCTION censync_fdw_validator(text[], oid) IS 'checks options of servers, user mappings, foreign tables and their columns';
COMMENT ON FOREIGN DATA WRAPPER censync IS 'sources of syncs: CREATE SERVER name TYPE ''http'' FOREIGN DATA WRAPPER censync OPTIONS (url ''https://...'')';

CREATE FUNCTION censync_create_sync(
    name text, destination regclass, behavior text,
    server name DEFAULT NULL, query text DEFAULT NULL, object text DEFAULT NULL,
    sync_key text[] DEFAULT NULL, mappings jsonb DEFAULT NULL, schedule text DEFAULT NULL,
    options jsonb DEFAULT NULL) RETURNS bigint
    LANGUAGE C VOLATILE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION censync_create_sync(text, regclass, text, name, text, text, text[], jsonb, text, jsonb) IS
'defines a sync owned by the current role and returns its id; behavior is update, upsert, append or mirror';

CREATE FUNCTION censync_alter_sync(
    name text, destination regclass DEFAULT NULL, behavior text DEFAULT NULL,
    server name DEFAULT NULL, query text DEFAULT NULL, object text DEFAULT NULL,
    sync_key text[] DEFAULT NULL, mappings jsonb DEFAULT NULL, schedule text DEFAULT NULL,
    options jsonb DEFAULT NULL) RETURNS void
    LANGUAGE C VOLATILE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION censync_alter_sync(text, regclass, text, name, text, text, text[], jsonb, text, jsonb) IS
'changes what is given and keeps the rest; empty text takes server, query or object away, an option set to null goes back to its default';

CREATE FUNCTION censync_drop_sync(name text) RETURNS void
    LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION censync_drop_sync(text) IS 'removes a sync and its memory; the log of its runs stays';

CREATE FUNCTION censync_pause(name text) RETURNS void
    LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION censync_pause(text) IS 'the sync is left out until censync_resume';

CREATE FUNCTION censync_resume(name text) RETURNS void
    LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION censync_resume(text) IS 'makes a paused sync active; one that a dump brought here is checked against this database first';

CREATE FUNCTION censync_reset(name text) RETURNS void
    LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION censync_reset(text) IS 'forgets what a mirror has written and how far a cursor has come; the next run is a first run';

CREATE FUNCTION censync_run(sync text DEFAULT NULL, dry_run boolean DEFAULT false, "limit" bigint DEFAULT NULL)
    RETURNS SETOF censync.runs
    LANGUAGE C VOLATILE ROWS 1 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION censync_run(text, boolean, bigint) IS
'runs a sync, or every active one, in this transaction; a failed run is a row with status failed and a warning';

CREATE PROCEDURE censync_sync(sync text)
    LANGUAGE C AS 'MODULE_PATHNAME';
COMMENT ON PROCEDURE censync_sync(text) IS
'runs a sync in transactions of its own, so that its log lasts whatever happens; raises the error of a failed run';

CREATE FUNCTION censync_start(sync text) RETURNS bigint
    LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION censync_start(text) IS
'has a background worker run a sync once this transaction is committed, and returns the id of the run';

CREATE FUNCTION censync_wait(run_id bigint, timeout interval DEFAULT NULL) RETURNS SETOF censync.runs
    LANGUAGE C VOLATILE ROWS 1 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION censync_wait(bigint, interval) IS
'waits for the end of a run and returns its row; after the timeout, the row as it is then';

CREATE FUNCTION censync_cancel(run_id bigint) RETURNS boolean
    LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION censync_cancel(bigint) IS
'cancels a run that is queued or running; false if it is neither';

CREATE FUNCTION censync_schedule(sync text, schedule text) RETURNS timestamptz
    LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION censync_schedule(text, text) IS
'has a sync run by itself: an interval, a cron expression, continuous, or after other syncs; returns when first';

CREATE FUNCTION censync_unschedule(sync text) RETURNS void
    LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION censync_unschedule(text) IS 'has a sync no longer run by itself';

CREATE FUNCTION censync_preview(server name DEFAULT NULL, query text DEFAULT NULL, object text DEFAULT NULL,
                                "limit" int DEFAULT 10, options jsonb DEFAULT NULL)
    RETURNS SETOF jsonb
    LANGUAGE C VOLATILE ROWS 10 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION censync_preview(name, text, text, int, jsonb) IS 'the first records of a source';

CREATE FUNCTION censync_check(server name, object text DEFAULT NULL, OUT step text, OUT ok boolean, OUT detail text)
    RETURNS SETOF record
    LANGUAGE C VOLATILE ROWS 5 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION censync_check(name, text) IS 'tests a connection step by step: resolve, ssh (where there is a tunnel), connect, tls, authenticate, query; with object, by asking for that';

CREATE FUNCTION censync_ssh_keygen(server name, replace boolean DEFAULT false) RETURNS text
    LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION censync_ssh_keygen(name, boolean) IS
'makes a key for the server''s SSH host, keeps its private half in the user mapping of the current role, and returns the line for authorized_keys there';

CREATE FUNCTION censync_objects(schema name DEFAULT NULL,
    OUT schema_name name, OUT table_name name, OUT supported boolean, OUT key_name name, OUT sync_key text[],
    OUT is_primary boolean, OUT usable boolean, OUT reason text, OUT remedy text)
    RETURNS SETOF record
    LANGUAGE C STABLE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION censync_objects(name) IS
'every table of a schema, or of all: can it be a destination, by which keys, and if not, why and what would help';

CREATE PROCEDURE censync_admit(role regrole, level text)
    LANGUAGE C AS 'MODULE_PATHNAME';
COMMENT ON PROCEDURE censync_admit(regrole, text) IS
'grants a role what a viewer, an operator or an owner of syncs needs';

REVOKE ALL ON FUNCTION censync_fdw_handler(), censync_fdw_validator(text[], oid),
    censync_create_sync(text, regclass, text, name, text, text, text[], jsonb, text, jsonb),
    censync_alter_sync(text, regclass, text, name, text, text, text[], jsonb, text, jsonb),
    censync_drop_sync(text), censync_pause(text), censync_resume(text), censync_reset(text),
    censync_run(text, boolean, bigint), censync_start(text), censync_wait(bigint, interval), censync_cancel(bigint),
    censync_schedule(text, text), censync_unschedule(text), censync_preview(name, text, text, int, jsonb), censync_check(name, text),
    censync_ssh_keygen(name, boolean), censync_objects(name) FROM PUBLIC;
REVOKE ALL ON PROCEDURE censync_sync(text), censync_admit(regrole, text) FROM PUBLIC;
