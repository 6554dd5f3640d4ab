-- The extension as an object: what it brings, whom it lets in, and that it leaves nothing behind.
SET client_min_messages = warning;
\pset format unaligned
\pset null -

-- Everything that CREATE EXTENSION could leave behind, counted by kind.
CREATE FUNCTION pg_temp.everything() RETURNS TABLE (kind text, n bigint) LANGUAGE sql AS $$
    SELECT 'classes', count(*) FROM pg_class WHERE relpersistence <> 't'
    UNION ALL SELECT 'types', count(*) FROM pg_type WHERE typnamespace <> pg_my_temp_schema()
    UNION ALL SELECT 'functions', count(*) FROM pg_proc
    UNION ALL SELECT 'operators', count(*) FROM pg_operator
    UNION ALL SELECT 'casts', count(*) FROM pg_cast
    UNION ALL SELECT 'schemas', count(*) FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'
    UNION ALL SELECT 'wrappers', count(*) FROM pg_foreign_data_wrapper
    UNION ALL SELECT 'servers', count(*) FROM pg_foreign_server
    UNION ALL SELECT 'roles', count(*) FROM pg_roles
    UNION ALL SELECT 'members', count(*) FROM pg_auth_members
    UNION ALL SELECT 'triggers', count(*) FROM pg_trigger
    UNION ALL SELECT 'event triggers', count(*) FROM pg_event_trigger
    UNION ALL SELECT 'policies', count(*) FROM pg_policy
    UNION ALL SELECT 'rules', count(*) FROM pg_rewrite
    UNION ALL SELECT 'defaults', count(*) FROM pg_attrdef
    UNION ALL SELECT 'constraints', count(*) FROM pg_constraint
    UNION ALL SELECT 'default privileges', count(*) FROM pg_default_acl
    UNION ALL SELECT 'initial privileges', count(*) FROM pg_init_privs
    UNION ALL SELECT 'comments', count(*) FROM pg_description
    UNION ALL SELECT 'shared comments', count(*) FROM pg_shdescription
    UNION ALL SELECT 'dependencies', count(*) FROM pg_depend
    UNION ALL SELECT 'settings', count(*) FROM pg_db_role_setting
    UNION ALL SELECT 'extensions', count(*) FROM pg_extension
$$;
-- What each member of the extension grants; a NULL acl stands for the built-in defaults of its kind.
CREATE TEMP VIEW acls AS
WITH members AS (
    SELECT classid, objid FROM pg_depend
     WHERE deptype = 'e' AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'censync'))
SELECT 'function' AS kind, p.oid::regprocedure::text AS name, coalesce(p.proacl, acldefault('f', p.proowner)) AS acl
  FROM members m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
UNION ALL
SELECT 'relation', c.oid::regclass::text,
       coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))
  FROM members m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
UNION ALL
SELECT 'schema', n.nspname, coalesce(n.nspacl, acldefault('n', n.nspowner))
  FROM members m JOIN pg_namespace n ON m.classid = 'pg_namespace'::regclass AND n.oid = m.objid
UNION ALL
SELECT 'wrapper', w.fdwname, coalesce(w.fdwacl, acldefault('F', w.fdwowner))
  FROM members m JOIN pg_foreign_data_wrapper w ON m.classid = 'pg_foreign_data_wrapper'::regclass AND w.oid = m.objid;

CREATE TEMP TABLE before AS SELECT * FROM pg_temp.everything();
UPDATE before SET n = (SELECT e.n FROM pg_temp.everything() e WHERE e.kind = before.kind);

CREATE EXTENSION censync;
SELECT extname, extversion, extnamespace::regnamespace, extrelocatable FROM pg_extension WHERE extname = 'censync';

-- Only these schemas.
SELECT DISTINCT (pg_identify_object(classid, objid, 0)).schema COLLATE "C" AS schema
  FROM pg_depend WHERE deptype = 'e' AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'censync') ORDER BY 1;

-- Every routine, view, schema and wrapper that a user meets: name, kind.
SELECT i.type, i.identity
  FROM pg_depend d, pg_identify_object(d.classid, d.objid, 0) i
 WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'censync')
   AND i.type NOT IN ('type', 'sequence')
 ORDER BY i.type COLLATE "C", i.identity COLLATE "C";

-- Each of them says what it is for.  (Row types and the sequences of identity columns are parts of their tables.)
SELECT i.type, i.identity AS without_comment
  FROM pg_depend d, pg_identify_object(d.classid, d.objid, 0) i
 WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'censync')
   AND i.type NOT IN ('type', 'sequence') AND obj_description(d.objid, d.classid::regclass::text) IS NULL;
SELECT obj_description(oid, 'pg_extension') <> '' AS extension_has_comment FROM pg_extension WHERE extname = 'censync';

-- PUBLIC may do nothing with any of them.
SELECT kind, count(*) FROM acls GROUP BY kind ORDER BY kind;
SELECT kind, name, a.privilege_type FROM acls, aclexplode(acl) a WHERE a.grantee = 0;
-- And no column of a table does either.
SELECT attrelid::regclass, attname FROM pg_attribute
 WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'censync'::regnamespace) AND attacl IS NOT NULL;

-- The same seen with the eyes of a role that nothing was granted to.
CREATE ROLE regress_censync_nobody;
SELECT p.oid::regprocedure FROM pg_proc p
 WHERE (p.pronamespace = 'censync'::regnamespace OR p.proname ~ '^censync')
   AND has_function_privilege('regress_censync_nobody', p.oid, 'EXECUTE');
SELECT has_schema_privilege('regress_censync_nobody', 'censync', 'USAGE, CREATE') AS schema,
       has_foreign_data_wrapper_privilege('regress_censync_nobody', 'censync', 'USAGE') AS wrapper;
SET ROLE regress_censync_nobody;
SELECT * FROM censync.syncs;
SELECT * FROM censync_run();
CALL censync_sync('x');
CALL censync_admit('regress_censync_nobody', 'owner');
CREATE SERVER s TYPE 'http' FOREIGN DATA WRAPPER censync;
RESET ROLE;
DROP ROLE regress_censync_nobody;

-- No routine resolves names by its caller's path: C, or a search_path of its own.  None runs as its owner.
SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
 WHERE (p.pronamespace = 'censync'::regnamespace OR p.proname ~ '^censync')
   AND NOT (l.lanname = 'c' OR array_to_string(p.proconfig, ',') ~ 'search_path');
SELECT p.oid::regprocedure FROM pg_proc p
 WHERE (p.pronamespace = 'censync'::regnamespace OR p.proname ~ '^censync') AND p.prosecdef;

-- Views that filter by role must not let a caller's cheap function see what they filter out.
SELECT relname, 'security_barrier=true' = ANY (reloptions) OR 'security_barrier' = ANY (reloptions) AS barrier
  FROM pg_class WHERE relnamespace = 'censync'::regnamespace AND relkind = 'v' ORDER BY relname;

-- Nothing runs now.  Where the library is not preloaded nothing ever shows, and the view says so.
SELECT count(*) FROM censync.progress;
SELECT obj_description('censync.progress'::regclass) ~ 'empty unless shared_preload_libraries' AS says_why;

-- A dump carries the definitions and their sequence, and no history.
SELECT c.oid::regclass AS dumped, condition
  FROM pg_extension e, unnest(e.extconfig, e.extcondition) AS c(oid, condition) WHERE extname = 'censync' ORDER BY 1;

-- The settings, and a typing error in one of them.  (The first call loads the library.)
SELECT count(*) FROM censync_run();
SELECT name, context, vartype, boot_val, unit FROM pg_settings WHERE name ~ '^censync\.' ORDER BY name COLLATE "C";
SELECT name FROM pg_settings WHERE name ~ '^censync\.' AND short_desc = '';
SET censync.http_retry = 3;

-- DROP EXTENSION, also with a server, a user mapping, a foreign table and a sync in use.
DROP EXTENSION censync;
SELECT kind, b.n AS before, a.n AS after FROM before b JOIN pg_temp.everything() a USING (kind)
 WHERE a.n <> b.n;
CREATE EXTENSION censync;
CREATE TABLE kept (id int PRIMARY KEY);
CREATE SERVER wh TYPE 'http' FOREIGN DATA WRAPPER censync OPTIONS (url 'https://127.0.0.1/');
CREATE USER MAPPING FOR CURRENT_USER SERVER wh;
CREATE FOREIGN TABLE wh_rows (id int) SERVER wh;
SELECT censync_create_sync('kept', 'kept', 'mirror', query => 'SELECT 1 AS id') IS NOT NULL AS created;
SELECT status, records_created FROM censync_run('kept');
DROP EXTENSION censync;
DROP EXTENSION censync CASCADE;
SELECT * FROM kept;
DROP TABLE kept;
SELECT kind, b.n AS before, a.n AS after FROM before b JOIN pg_temp.everything() a USING (kind) WHERE a.n <> b.n;

-- Default privileges let nobody in either.
CREATE ROLE "regress_censync_Default";
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO "regress_censync_Default";
ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO "regress_censync_Default", PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO "regress_censync_Default", PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON ROUTINES TO "regress_censync_Default";
CREATE TABLE given (id int);
SELECT has_table_privilege('regress_censync_Default', 'given', 'SELECT') AS to_what_people_make;
DROP TABLE given;
CREATE EXTENSION censync;
SELECT kind, name, a.privilege_type FROM acls, aclexplode(acl) a WHERE a.grantee <> a.grantor;
DROP EXTENSION censync;
DROP OWNED BY "regress_censync_Default";
ALTER DEFAULT PRIVILEGES REVOKE ALL ON SEQUENCES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON SCHEMAS FROM PUBLIC;
DROP ROLE "regress_censync_Default";
SELECT kind, b.n AS before, a.n AS after FROM before b JOIN pg_temp.everything() a USING (kind) WHERE a.n <> b.n;

-- In a schema of the user's choice, with a name that needs quotes; censync_admit finds it.
CREATE SCHEMA "Else where";
CREATE EXTENSION censync SCHEMA "Else where";
CREATE TABLE elsewhere (id int PRIMARY KEY, note text);
CREATE ROLE regress_censync_elsewhere;
CALL "Else where".censync_admit('regress_censync_elsewhere', 'owner');
SELECT count(*) FROM pg_proc WHERE pronamespace = '"Else where"'::regnamespace
   AND has_function_privilege('regress_censync_elsewhere', oid, 'EXECUTE');
SELECT "Else where".censync_create_sync('elsewhere', 'elsewhere', 'upsert', query => 'SELECT 1 AS id, ''one'' AS note') IS NOT NULL AS created;
SELECT status, records_created FROM "Else where".censync_run();
TABLE elsewhere;
DROP TABLE elsewhere;
-- It stays where it is: C code and grants know it there.
ALTER EXTENSION censync SET SCHEMA public;
DROP EXTENSION censync;
DROP SCHEMA "Else where";
DROP ROLE regress_censync_elsewhere;

-- A schema censync that somebody else put there is not adopted; nothing of the attempt remains.  (Since 18
-- an error in a script has the statement as its context.)
\set SHOW_CONTEXT never
CREATE SCHEMA censync;
CREATE EXTENSION censync;
DROP SCHEMA censync;
-- Nor are routines that were planted, not even by someone with the right signature.
CREATE FUNCTION censync_drop_sync(name text) RETURNS void LANGUAGE sql AS 'SELECT';
CREATE EXTENSION censync;
DROP FUNCTION censync_drop_sync(text);
\set SHOW_CONTEXT errors
SELECT kind, b.n AS before, a.n AS after FROM before b JOIN pg_temp.everything() a USING (kind) WHERE a.n <> b.n;

-- Only a superuser installs it, and the script does not run outside CREATE EXTENSION.
CREATE ROLE regress_censync_nobody;
SET ROLE regress_censync_nobody;
CREATE EXTENSION censync;
RESET ROLE;
DROP ROLE regress_censync_nobody;

-- For the scripts that follow.
CREATE EXTENSION censync;
SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'censync';
