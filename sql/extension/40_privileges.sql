-- Default privileges (ALTER DEFAULT PRIVILEGES) are meant for what people make, not for a log of everybody's rows and
-- for routines that take SQL: who is let in, says censync_admit.
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        WITH members AS (
            SELECT classid, objid FROM pg_depend
             WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass
               AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'censync')),
        acls AS (
            SELECT 'ROUTINE ' || p.oid::regprocedure AS object, p.proacl AS acl, p.proowner AS owner
              FROM members m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
            UNION ALL
            SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || c.oid::regclass, c.relacl, c.relowner
              FROM members m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
             WHERE c.relkind IN ('r', 'v', 'S')
            UNION ALL
            SELECT 'SCHEMA ' || quote_ident(n.nspname), n.nspacl, n.nspowner
              FROM members m JOIN pg_namespace n ON m.classid = 'pg_namespace'::regclass AND n.oid = m.objid)
        SELECT DISTINCT format('REVOKE ALL ON %s FROM %s', object,
                               CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END)
          FROM acls, aclexplode(acl) WHERE grantee <> owner
    LOOP
        EXECUTE statement;
    END LOOP;
END $$;
