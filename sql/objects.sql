-- censync_objects: which tables can be destinations, by which keys, and what helps the others.
SET client_min_messages = warning;
CREATE SCHEMA objects;
CREATE EXTENSION citext SCHEMA objects;
SET search_path = objects, public;
\pset format unaligned
\pset null -

-- Keys that can serve.
CREATE TABLE a_primary (id bigint PRIMARY KEY, note text);
CREATE TABLE a_composite (region text, code int, note text, PRIMARY KEY (code, region));
CREATE TABLE a_several (id int PRIMARY KEY, email text UNIQUE, tenant int, sku text,
                        CONSTRAINT a_several_by_tenant UNIQUE (tenant, sku));
CREATE UNIQUE INDEX a_bare_index ON a_several (sku);
CREATE TABLE a_include (id int, note text, UNIQUE (id) INCLUDE (note));
CREATE TABLE a_nulls (id int, UNIQUE NULLS NOT DISTINCT (id));
CREATE TABLE a_citext (email citext PRIMARY KEY);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN order_number AS positive;
CREATE TABLE a_domain (id order_number PRIMARY KEY);
CREATE TABLE a_pattern (code varchar(10), region text);
CREATE UNIQUE INDEX a_pattern_ops ON a_pattern (code varchar_pattern_ops DESC, region COLLATE "C");
CREATE TABLE a_dropped (gone int, id int, gone_too int, code text, UNIQUE (code, id));
ALTER TABLE a_dropped DROP gone, DROP gone_too;
CREATE UNLOGGED TABLE a_unlogged (id int PRIMARY KEY);
CREATE TABLE a_parent (id int PRIMARY KEY, note text);
CREATE TABLE a_child (extra text, UNIQUE (extra)) INHERITS (a_parent);
CREATE TYPE item AS (id int, note text);
CREATE TABLE a_typed OF item (PRIMARY KEY (id));
CREATE TABLE "a""b; drop table x --" ("c""d; --" int, "E" text, PRIMARY KEY ("c""d; --", "E"));
CREATE TABLE a_partitioned (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE a_partitioned_2026 PARTITION OF a_partitioned FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE a_disabled_rule (id int PRIMARY KEY);
CREATE RULE swallow AS ON INSERT TO a_disabled_rule DO INSTEAD NOTHING;
ALTER TABLE a_disabled_rule DISABLE RULE swallow;

SELECT table_name, supported, key_name, sync_key, is_primary, usable, reason, remedy
  FROM censync_objects('objects');

-- Keys that cannot serve, beside one that can and alone.
CREATE TABLE b_partial (id int PRIMARY KEY, email text, deleted_at timestamptz);
CREATE UNIQUE INDEX b_partial_email ON b_partial (email) WHERE deleted_at IS NULL;
CREATE TABLE c_partial (email text, deleted bool);
CREATE UNIQUE INDEX c_partial_email ON c_partial (email) WHERE NOT deleted AND email <> '';
CREATE FUNCTION fold(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
  $$BEGIN RETURN $1; END$$;
CREATE TABLE c_expression (email text, tenant int);
CREATE UNIQUE INDEX c_expression_email ON c_expression (tenant, lower(email));
CREATE TABLE c_expression_own (email text);
CREATE UNIQUE INDEX c_expression_own_email ON c_expression_own (fold(email), (1)) WHERE fold('x') = 'x';
CREATE TABLE c_default (code text PRIMARY KEY DEFERRABLE, note text DEFAULT fold('x'));
CREATE OR REPLACE FUNCTION fold(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
  $$BEGIN RAISE 'user code was run'; END$$;
CREATE TABLE c_expression_two (first text, last text);
CREATE UNIQUE INDEX c_expression_two_names ON c_expression_two ((first || last));
CREATE TABLE c_expression_json (doc json);
CREATE UNIQUE INDEX c_expression_json_id ON c_expression_json ((doc ->> 'id'));
CREATE TABLE c_deferrable (id int PRIMARY KEY DEFERRABLE, "Code" text UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE c_exclusion (id int, during int4range, EXCLUDE USING gist (during WITH &&));
CREATE TABLE c_exclusion_equal (id int, EXCLUDE USING btree (id WITH =));
CREATE TYPE pair AS (x numeric);
CREATE TABLE c_operator_class (p pair);
CREATE UNIQUE INDEX c_operator_class_image ON c_operator_class (p record_image_ops);
CREATE TABLE c_twice (code text);
CREATE UNIQUE INDEX c_twice_code ON c_twice (code, code text_pattern_ops);
CREATE TABLE c_invalid (id int, note text);
INSERT INTO c_invalid VALUES (1, 'one'), (1, 'another');
CREATE UNIQUE INDEX CONCURRENTLY "C invalid" ON c_invalid (id);
CREATE TABLE c_invalid_partial (id int);
INSERT INTO c_invalid_partial VALUES (1), (1);
CREATE UNIQUE INDEX CONCURRENTLY c_invalid_partial_id ON c_invalid_partial (id) WHERE id > 0;
CREATE TABLE c_partitioned (id int, day date, note text) PARTITION BY RANGE (day);
CREATE TABLE c_partitioned_2026 PARTITION OF c_partitioned FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE UNIQUE INDEX c_partitioned_only ON ONLY c_partitioned (day, id);

SELECT table_name, supported, key_name, sync_key, is_primary, usable, reason, remedy
  FROM censync_objects('objects') WHERE table_name >= 'b';

-- No key at all.
CREATE TABLE d_id (note text NOT NULL, id int NOT NULL);
CREATE TABLE d_id_nullable (note text NOT NULL, id int);
CREATE TABLE d_own (note text NOT NULL, d_own_id int NOT NULL);
CREATE TABLE d_first (maybe text, flag bool NOT NULL, doc json NOT NULL, twice int GENERATED ALWAYS AS (2) STORED NOT NULL,
                      code text NOT NULL, note text NOT NULL);
CREATE DOMAIN filled AS text NOT NULL;
CREATE DOMAIN filled_too AS filled;
CREATE TABLE d_domain (maybe text, code filled_too);
CREATE TABLE d_none (note text);
CREATE TABLE d_none_json (id json, note text);
CREATE TABLE d_no_columns ();
CREATE TABLE d_not_unique (id int NOT NULL);
CREATE INDEX ON d_not_unique (id);
CREATE TABLE d_parent (note text);
CREATE TABLE d_child () INHERITS (d_parent);
CREATE TABLE d_typed OF item;
CREATE TYPE memo AS (body text);
CREATE TABLE d_typed_none OF memo;
CREATE TABLE "d""b; drop table x --" ("i""d" int NOT NULL);
CREATE TABLE d_partitioned (id int NOT NULL, day date, note text) PARTITION BY RANGE (day);
CREATE TABLE d_partitioned_deep (id int NOT NULL, day date, "Part" int) PARTITION BY RANGE (day);
CREATE TABLE d_partitioned_deep_2026 ("Part" int, gone int, id int NOT NULL, day date) PARTITION BY LIST ("Part");
ALTER TABLE d_partitioned_deep_2026 DROP gone;
ALTER TABLE d_partitioned_deep ATTACH PARTITION d_partitioned_deep_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE d_partitioned_none (day date, note text) PARTITION BY RANGE (day);
CREATE TABLE d_partitioned_none_2026 PARTITION OF d_partitioned_none FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE d_partitioned_expression (id int NOT NULL) PARTITION BY RANGE ((id / 10));

SELECT table_name, supported, key_name, sync_key, is_primary, usable, reason, remedy
  FROM censync_objects('objects') WHERE table_name >= 'd';

-- What is no table, or no ordinary one.
CREATE VIEW e_view AS SELECT * FROM a_primary;
CREATE MATERIALIZED VIEW e_matview AS SELECT * FROM a_primary;
CREATE UNIQUE INDEX e_matview_id ON e_matview (id);
CREATE FOREIGN DATA WRAPPER objects_dummy;
CREATE SERVER objects_dummy FOREIGN DATA WRAPPER objects_dummy;
CREATE FOREIGN TABLE e_foreign (id int) SERVER objects_dummy;
CREATE SEQUENCE e_sequence;
CREATE TABLE e_rules (id int PRIMARY KEY);
CREATE RULE "Keep it" AS ON DELETE TO e_rules DO INSTEAD NOTHING;

SELECT table_name, supported, key_name, sync_key, is_primary, usable, reason, remedy
  FROM censync_objects('objects') WHERE table_name >= 'e';

-- Temporary tables.
CREATE TEMP TABLE f_temporary (id int PRIMARY KEY);
CREATE TEMP TABLE f_temporary_none (id int NOT NULL);
SELECT schema_name = pg_my_temp_schema()::regnamespace::name AS own, table_name, supported, key_name, sync_key,
       is_primary, usable, reason, regexp_replace(remedy, 'pg_temp_\d+', 'pg_temp_n') AS remedy
  FROM censync_objects('pg_temp');
DROP TABLE f_temporary, f_temporary_none;

-- The same seen from the catalog: no difference in what is there, what it is on, and what is usable.
WITH says_censync AS (
  SELECT table_name, key_name, is_primary, usable,
         CASE WHEN reason IS DISTINCT FROM 'it is on expressions' THEN sync_key END AS columns
    FROM censync_objects('objects')
   WHERE key_name NOT IN ('c_operator_class_image', 'c_twice_code')
), says_catalog AS (
  SELECT t.relname, i.relname, x.indisprimary,
         x.indisunique AND x.indimmediate AND x.indisvalid AND x.indpred IS NULL AND x.indexprs IS NULL,
         (SELECT array_agg(a.attname::text ORDER BY k.n)
            FROM unnest(x.indkey::int2[]) WITH ORDINALITY k(attnum, n)
            JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum
           WHERE k.n <= x.indnkeyatts AND x.indexprs IS NULL)
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
   WHERE t.relnamespace = 'objects'::regnamespace AND t.relname NOT IN ('e_matview', 'e_rules')
     AND (x.indisunique OR x.indisexclusion) AND i.relname NOT IN ('c_operator_class_image', 'c_twice_code')
)
SELECT count(*) > 30 AS many FROM says_catalog
UNION ALL SELECT count(*) = 0 FROM (TABLE says_censync EXCEPT TABLE says_catalog) d
UNION ALL SELECT count(*) = 0 FROM (TABLE says_catalog EXCEPT TABLE says_censync) d;

-- Every remedy does what it promises: it runs, and the table can be a destination afterwards.  One
-- meets rows that are no unique key; one is left out, as any statement would run its index's function.
CREATE FUNCTION try_remedy(schema_name name, table_name name, remedy text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  result text;
BEGIN
  BEGIN
    EXECUTE remedy;
    SELECT CASE WHEN bool_or(o.usable) AND bool_and(o.supported) THEN 'helped' ELSE 'did not help' END
      INTO result FROM censync_objects(try_remedy.schema_name) o WHERE o.table_name = try_remedy.table_name;
    RAISE SQLSTATE 'UNDOE';
  EXCEPTION WHEN SQLSTATE 'UNDOE' THEN
    RETURN result;
  WHEN OTHERS THEN
    RETURN SQLERRM;
  END;
END$$;
SELECT table_name, key_name, try_remedy(schema_name, table_name, remedy)
  FROM censync_objects('objects') WHERE remedy IS NOT NULL AND remedy !~ 'CONCURRENTLY' AND table_name <> 'c_expression_own'
 ORDER BY table_name, key_name;
SELECT remedy FROM censync_objects('objects') WHERE remedy ~ 'CONCURRENTLY' \gexec
DELETE FROM c_invalid WHERE note = 'another';
SELECT remedy FROM censync_objects('objects') WHERE remedy ~ 'CONCURRENTLY' AND key_name = 'C invalid' \gexec
SELECT table_name, supported, key_name, usable, reason, remedy
  FROM censync_objects('objects') WHERE table_name = 'c_invalid';

-- Only what the caller may use is shown.
CREATE ROLE regress_censync_looker;
GRANT EXECUTE ON FUNCTION public.censync_objects(name) TO regress_censync_looker;
CREATE SCHEMA objects_hidden;
CREATE TABLE objects_hidden.a_open (id int PRIMARY KEY);
GRANT SELECT ON objects_hidden.a_open TO regress_censync_looker;
GRANT SELECT ON a_primary TO regress_censync_looker;
GRANT INSERT ON a_composite TO regress_censync_looker;
GRANT UPDATE ON a_include TO regress_censync_looker;
GRANT SELECT (email) ON a_citext TO regress_censync_looker;
GRANT UPDATE (id) ON e_view TO regress_censync_looker;
GRANT DELETE, TRUNCATE, REFERENCES, TRIGGER ON a_several TO regress_censync_looker;
SET ROLE regress_censync_looker;
SELECT * FROM public.censync_objects() WHERE schema_name ~ '^objects';
RESET ROLE;
GRANT USAGE ON SCHEMA objects TO regress_censync_looker;
SET ROLE regress_censync_looker;
SELECT schema_name, table_name, key_name FROM public.censync_objects() WHERE schema_name ~ '^objects';
SELECT schema_name, table_name, key_name FROM public.censync_objects('objects_hidden');
RESET ROLE;

-- The argument.
SELECT DISTINCT schema_name FROM censync_objects() WHERE schema_name ~ '^objects' ORDER BY 1;
SELECT schema_name, table_name, key_name FROM censync_objects('objects_hidden');
SELECT count(*) FROM censync_objects('pg_catalog');
SELECT count(*) FROM censync_objects('information_schema');
SELECT count(*) FROM censync_objects('censync');
SELECT count(*) FROM censync_objects('pg_temp');
SELECT count(*) FROM censync_objects()
 WHERE schema_name IN ('pg_catalog', 'information_schema', 'censync') OR schema_name ~ '^pg_toast';
SELECT * FROM censync_objects('no such schema');
\set VERBOSITY sqlstate
SELECT * FROM censync_objects('no such schema');
\set VERBOSITY default

-- In the order of schema, table, primary key first, key: row by row, as it comes.
WITH o AS (SELECT * FROM censync_objects() WITH ORDINALITY)
SELECT bool_and(ordinality = sorted) AS in_order
  FROM (SELECT ordinality,
               row_number() OVER (ORDER BY schema_name, table_name, is_primary DESC, key_name) AS sorted FROM o) s;

-- Nothing stays locked, and no setting stays changed.
BEGIN;
SET LOCAL datestyle = 'German';
SELECT count(*) > 40 AS many FROM censync_objects('objects');
SELECT count(*) FROM pg_locks
 WHERE pid = pg_backend_pid() AND locktype = 'relation' AND relation >= 16384;
SHOW search_path;
SHOW datestyle;
ROLLBACK;

RESET search_path;
REVOKE EXECUTE ON FUNCTION public.censync_objects(name) FROM regress_censync_looker;
DROP SCHEMA objects, objects_hidden CASCADE;
DROP FOREIGN DATA WRAPPER objects_dummy CASCADE;
DROP ROLE regress_censync_looker;
