-- Foreign tables over a source of type postgres, which is this very database.
SET client_min_messages = warning;
CREATE SCHEMA far;
CREATE SCHEMA near;
SET search_path = near, public;
\pset format unaligned
\pset null -
SELECT split_part(current_setting('unix_socket_directories'), ',', 1) AS socket, current_setting('port') AS port,
       current_database() AS database, current_user AS me \gset
CREATE SERVER far TYPE 'postgres' FOREIGN DATA WRAPPER censync OPTIONS (host :'socket', port :'port', database :'database');
CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (user :'me');

-- What there is to import.
CREATE TYPE far.mood AS ENUM ('bad', 'fine');
CREATE DOMAIN far.code AS varchar(10);
CREATE TABLE far.people (id int PRIMARY KEY, name text, joined date NOT NULL, balance numeric(10, 2), score float8,
  vip boolean, born timestamptz, big bigint, ref uuid, code far.code, mood far.mood, short char(4), tags text[], doc jsonb);
INSERT INTO far.people
  SELECT i, CASE WHEN i % 7 > 0 THEN 'n' || i % 50 END, date '2020-01-01' + i, (i % 40) / 4.0, i / 8.0, nullif(i % 3, 1) = 0,
         timestamptz '2000-01-01 00:00+00' + i * interval '1 hour', i::bigint << 33,
         lpad(i::text, 32, '0')::uuid, 'c' || i % 9, CASE WHEN i % 2 = 0 THEN 'bad' ELSE 'fine' END::far.mood, 'x' || i % 5,
         ARRAY['a', i::text], jsonb_build_object('i', i)
    FROM generate_series(1, 500) i;
INSERT INTO far.people (id, joined, balance, score, born) VALUES (501, 'infinity', 'NaN', 'NaN', 'infinity'), (502, '-infinity', -1, '-Infinity', '-infinity');
CREATE TABLE far.parted (k int NOT NULL, v text) PARTITION BY LIST (k);
CREATE TABLE far.parted_1 PARTITION OF far.parted FOR VALUES IN (1);
CREATE VIEW far.vips AS SELECT ctid, id, name FROM far.people WHERE vip;
CREATE MATERIALIZED VIEW far.totals AS SELECT vip, count(*) AS n FROM far.people GROUP BY vip;
CREATE FOREIGN TABLE far.chained (id int, name text) SERVER far OPTIONS (object 'far.people');
CREATE TABLE far."Odd ""name"". é" ("Ü." int, "a""b" int NOT NULL, "c'd\e" int);
CREATE TABLE far."sixty-three bytes of a name that has to come over as it is, whol" (id int);
CREATE TABLE far.nothing ();
CREATE SEQUENCE far.counter;
INSERT INTO far."Odd ""name"". é" VALUES (1, 2, 3);
INSERT INTO far.parted VALUES (1, 'one');

IMPORT FOREIGN SCHEMA far FROM SERVER far INTO near;
SELECT relname, ftoptions FROM pg_foreign_table JOIN pg_class c ON c.oid = ftrelid WHERE relnamespace = 'near'::regnamespace ORDER BY relname COLLATE "C";
SELECT relname, attname, format_type(atttypid, atttypmod) AS type, attnotnull AS nn, attfdwoptions AS options
  FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 'near'::regnamespace AND relkind = 'f' AND attnum > 0
 ORDER BY relname COLLATE "C", attnum;
-- Everything that can be read is as it was. (What is text here is text there.)
SELECT count(*), bool_and(f IS NOT DISTINCT FROM t) AS same
  FROM people f FULL JOIN (SELECT id, name, joined, balance, score, vip, born, big, ref, code::varchar(10), mood::text, short, tags, doc FROM far.people) t USING (id)
 WHERE f.*::text IS DISTINCT FROM t.*::text OR f.id > 0;
TABLE "Odd ""name"". é";
TABLE parted;
SELECT count(*), count(name), min(ctid_1) = (SELECT min(ctid) FROM far.vips) AS ctid FROM vips;
SELECT * FROM totals ORDER BY n;
SELECT count(*), sum(id) FROM chained;
-- Some of it.
CREATE SCHEMA part;
IMPORT FOREIGN SCHEMA far LIMIT TO (people, "Vips", nosuch, parted_1) FROM SERVER far INTO part;
SELECT relname FROM pg_class WHERE relnamespace = 'part'::regnamespace ORDER BY 1;
DROP SCHEMA part CASCADE;
CREATE SCHEMA part;
IMPORT FOREIGN SCHEMA far EXCEPT (people, nothing, chained, "Odd ""name"". é", nosuch) FROM SERVER far INTO part;
SELECT relname COLLATE "C" FROM pg_class WHERE relnamespace = 'part'::regnamespace ORDER BY 1;
IMPORT FOREIGN SCHEMA "FAR" FROM SERVER far INTO part;
IMPORT FOREIGN SCHEMA far FROM SERVER far INTO part OPTIONS (import_default 'true');
CREATE SCHEMA far_empty;
IMPORT FOREIGN SCHEMA far_empty FROM SERVER far INTO part;
CREATE SERVER web TYPE 'http' FOREIGN DATA WRAPPER censync OPTIONS (url 'https://example.com');
IMPORT FOREIGN SCHEMA public FROM SERVER web INTO part;

-- What the source is asked, and that its answer is the same as that of the table itself.
CREATE FUNCTION remote(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  plan json;
BEGIN
  EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
  RETURN string_agg(s #>> '{}', E'\n') FROM jsonb_path_query(plan::jsonb, 'strict $.**."Remote Statement"') s;
END $$;
CREATE FUNCTION compare(condition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  there int[]; here int[];
BEGIN
  EXECUTE 'SELECT array_agg(id ORDER BY id) FROM near.people WHERE ' || condition INTO there;
  EXECUTE 'SELECT array_agg(id ORDER BY id) FROM far.people WHERE ' || condition INTO here;
  RETURN format('%s rows, %s, %s', coalesce(cardinality(here), 0), CASE WHEN there IS NOT DISTINCT FROM here THEN 'same' ELSE 'OTHERS' END,
                coalesce(substring(near.remote('SELECT id FROM near.people WHERE ' || condition) FROM 'WHERE .*'), 'all'));
END $$;
SELECT c AS condition, compare(c) FROM unnest(ARRAY[
  'id = 7', '7 = id', 'id <> 7', 'id < 7', '7 < id', 'id <= 7', 'id >= 499', 'id = 7::bigint', 'big > 12::smallint', 'id IN (1, 2, NULL, 900)',
  'id = ANY (ARRAY[NULL]::int[])', 'id = ANY (''{}'')', 'id <> ALL (''{1,2}'')', 'id NOT IN (1, 2)', 'id BETWEEN 3 AND 5', 'id > 3.5', 'id + 0 = 7',
  'name = ''n7''', 'name <> ''n7''', 'name < ''n2''', 'name = ''n7'' COLLATE "C"', 'name IN (''n1'', ''n2'', E''\\''''"'')', 'name LIKE ''n1%''', 'name IS NULL', 'name IS NOT NULL',
  'code = ''c3''', 'short = ''x1''', 'short = ''x1  ''', 'mood = ''bad''', 'mood > ''bad''', 'mood IS NULL',
  'vip', 'NOT vip', 'vip = false', 'vip IS NOT TRUE', 'vip IS NULL',
  'joined = ''2020-01-08''', 'joined >= ''infinity''', 'joined < ''2020-01-05''', 'joined = timestamptz ''2020-01-08 00:00+00''',
  'balance = 2.25', 'balance > 9.5', 'balance = ''NaN''', 'score = ''NaN''', 'score < 0.5', 'score < 0', 'score = 0.125::float4',
  'born = ''2000-01-01 03:00+02''', 'born > ''2000-01-21''', 'born < now() AND id < 3', 'ref = ''00000000-0000-0000-0000-000000000077''',
  'id = 1 OR id = 2', 'id < 10 AND name > ''n3''', 'tags = ''{a,7}''', 'doc = ''{"i": 7}''', 'doc @> ''{"i": 7}''',
  'id = (SELECT min(id) FROM far.people)', 'id = random() * 0 + 5', 'id < abs(-3)', 'people IS NOT NULL AND id < 3', 'id = NULL', 'false']) WITH ORDINALITY AS x (c, n) ORDER BY n;

-- The limit goes along where nothing else can take rows away.
SELECT q AS query, remote('SELECT ' || q) FROM unnest(ARRAY[
  'id FROM people LIMIT 5', 'id FROM people LIMIT 5 OFFSET 10', 'id FROM people OFFSET 10', 'id FROM people LIMIT ALL', 'id FROM people LIMIT 0',
  'id FROM people WHERE id > 5 LIMIT 3', 'id FROM people WHERE name = ''n1'' LIMIT 3', 'id FROM people WHERE id > 5 AND id % 2 = 0 LIMIT 3',
  'id FROM people WHERE name LIKE ''n%'' LIMIT 3',
  'id FROM people ORDER BY id LIMIT 3', 'DISTINCT vip FROM people LIMIT 3', 'count(*) FROM people LIMIT 3', 'vip FROM people GROUP BY vip LIMIT 3',
  'id, rank() OVER () FROM people LIMIT 3', 'generate_series(1, 2), id FROM people LIMIT 3', 'id FROM people LIMIT 3 FOR UPDATE', 'a.id FROM people a, people b LIMIT 3',
  'id FROM people FETCH FIRST 3 ROWS ONLY', 'count(*) FROM (SELECT id FROM people LIMIT 3) s', 'id FROM people LIMIT random() * 5', 'id FROM people LIMIT (SELECT 3)']) q;
SELECT count(*) FROM (SELECT id FROM people LIMIT 5 OFFSET 500) s;
SELECT count(*) FROM (SELECT id FROM people WHERE id > 5 AND id % 2 = 0 LIMIT 3) s;
SELECT count(*) FROM (SELECT id FROM people LIMIT (SELECT 3)) s;
SELECT id FROM people LIMIT -1;
EXPLAIN (COSTS off, VERBOSE) SELECT name FROM people WHERE id < 4 AND mood = 'bad' LIMIT 2;
EXPLAIN (COSTS off) SELECT count(*) FROM people;
SELECT count(*) FROM people;
-- Columns are what is needed; none of the query's own are left out.
CREATE FOREIGN TABLE asked (n int, lower text OPTIONS (source 'UPPER'), n2 numeric(4, 1)) SERVER far
  OPTIONS (query 'SELECT i AS n, ''u'' || i AS "UPPER", i / 4.0 AS n2 FROM generate_series(1, 10) i ORDER BY i -- all');
EXPLAIN (COSTS off) SELECT lower FROM asked WHERE n > 7 LIMIT 2;
SELECT lower FROM asked WHERE n > 7 LIMIT 2;
SELECT count(*) FROM asked WHERE lower = 'u3';
SELECT sum(n2) FROM asked;
-- Values that are others here than there are not compared there: n2 was rounded.
EXPLAIN (COSTS off) SELECT n FROM asked WHERE n2 = 0.3 LIMIT 1;
SELECT n FROM asked WHERE n2 = 0.3 LIMIT 1;
CREATE FOREIGN TABLE retyped (id text, name varchar(2), joined timestamp, balance int, mood far.mood, code text, doc text) SERVER far OPTIONS (object 'far.people');
SELECT * FROM retyped WHERE id < '2' AND id > '102' ORDER BY id LIMIT 2;
SELECT count(*) FROM retyped WHERE id < '2';
SELECT count(*) FROM retyped WHERE mood > 'bad';
SELECT id, balance FROM retyped WHERE balance = 2 ORDER BY id LIMIT 3;
SELECT count(*) FROM retyped WHERE code = 'c3';

-- Parameters: at the start of each execution.
SET plan_cache_mode = force_generic_plan;
PREPARE of_id (int, text[]) AS SELECT id, name FROM people WHERE id <= $1 AND name = ANY ($2);
EXPLAIN (COSTS off) EXECUTE of_id (3, '{n1,n3}');
EXECUTE of_id (3, '{n1,n3}');
EXECUTE of_id (55, '{n1,NULL}');
EXECUTE of_id (NULL, '{n1}');
EXECUTE of_id (3, NULL);
EXECUTE of_id (3, '{}');
PREPARE some_of (bigint, bigint) AS SELECT count(*) FROM (SELECT id FROM people LIMIT $1 OFFSET $2) s;
EXECUTE some_of (7, 3);
EXECUTE some_of (NULL, 500);
EXECUTE some_of (9223372036854775807, 500);
RESET plan_cache_mode;
-- Begun again, for each row of others.
SELECT g, (SELECT name FROM people WHERE id = g), (SELECT count(*) FROM people WHERE id < g) FROM generate_series(0, 3) g;
SELECT g, l.id FROM generate_series(1, 3) g, LATERAL (SELECT id FROM people WHERE id > g * 10 AND id < g * 10 + 5 ORDER BY id LIMIT g) l;
SET enable_material = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
SELECT count(*) FROM people a JOIN parted b ON a.id - 9 <= b.k JOIN totals c ON c.vip WHERE a.id < 20;
SELECT count(*) FROM generate_series(1, 3) g LEFT JOIN people p ON p.id < g;
RESET enable_material; RESET enable_hashjoin; RESET enable_mergejoin;

-- Cursors, savepoints: what is left open is closed.
CREATE FUNCTION connections() RETURNS bigint LANGUAGE sql AS
$$ SELECT count(*) FROM pg_stat_activity WHERE application_name = 'censync' AND datname = current_database() $$;
CREATE FUNCTION connections_close() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. 500 LOOP
    IF near.connections() = 0 THEN
      RETURN true;
    END IF;
    PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
  END LOOP;
  RETURN false;
END $$;
-- More rows than are fetched at a time.
CREATE FOREIGN TABLE long (n int) SERVER far OPTIONS (query 'SELECT n FROM generate_series(1, 5000) n');
BEGIN;
DECLARE c CURSOR FOR SELECT p.id, q.name FROM (SELECT id FROM people ORDER BY id) p JOIN asked a ON a.n = p.id, LATERAL (SELECT name FROM people WHERE id = p.id) q;
FETCH 2 FROM c;
CLOSE c;
DECLARE d CURSOR FOR SELECT n FROM long;
FETCH 1 FROM d;
SELECT connections() > 0 AS open;
CLOSE d;
SELECT connections_close();
SAVEPOINT a;
DECLARE e CURSOR FOR SELECT n FROM long;
FETCH 1 FROM e;
ROLLBACK TO a;
SELECT connections_close();
DECLARE f CURSOR FOR SELECT id FROM people WHERE id < 5;
SAVEPOINT b;
FETCH 1 FROM f;
SELECT 1 / (id - 3) FROM people WHERE id < 5;
ROLLBACK TO b;
FETCH 2 FROM f;
FETCH ALL FROM f;
SELECT connections_close();
DECLARE g SCROLL CURSOR FOR SELECT id FROM people WHERE id < 5;
FETCH ALL FROM g;
FETCH BACKWARD 2 FROM g;
DECLARE h CURSOR WITH HOLD FOR SELECT count(*) FROM people;
COMMIT;
FETCH h;
CLOSE h;
SELECT connections_close();

-- Children of other tables; locks, which are none; security barriers.
CREATE TABLE mixed (k int, v text) PARTITION BY LIST (k);
CREATE TABLE mixed_2 PARTITION OF mixed FOR VALUES IN (2);
CREATE FOREIGN TABLE mixed_1 PARTITION OF mixed FOR VALUES IN (1) SERVER far OPTIONS (object 'far.parted');
INSERT INTO mixed VALUES (2, 'two');
SELECT *, tableoid::regclass FROM mixed ORDER BY k;
EXPLAIN (COSTS off) SELECT * FROM mixed WHERE k = 1 LIMIT 1;
SELECT * FROM mixed WHERE v = 'one' FOR UPDATE;
INSERT INTO mixed VALUES (1, 'refused');
UPDATE mixed SET v = 'x' FROM people p WHERE mixed.k = 2 AND p.id = 2 RETURNING mixed.*, p.name;
CREATE VIEW barrier WITH (security_barrier) AS SELECT id, balance, name FROM people WHERE name LIKE 'n1%';
EXPLAIN (COSTS off) SELECT id FROM barrier WHERE id = 1 AND balance > 0 LIMIT 1;
SELECT id FROM barrier WHERE id = 1 AND balance > 0 LIMIT 1;

-- Whose user mapping.
CREATE ROLE regress_far_owner;
CREATE ROLE regress_far_reader;
CREATE FOREIGN TABLE whoami (me text) SERVER far OPTIONS (query 'SELECT current_user::text AS me');
CREATE VIEW owners AS SELECT me AS far_user FROM whoami;
GRANT USAGE ON SCHEMA near TO regress_far_owner, regress_far_reader;
GRANT SELECT ON whoami TO regress_far_owner, regress_far_reader;
GRANT SELECT ON owners TO regress_far_reader;
SET ROLE regress_far_reader;
SELECT me FROM whoami;
SELECT far_user = :'me' AS as_owner FROM owners;
IMPORT FOREIGN SCHEMA far FROM SERVER far INTO near;
SELECT * FROM people;
RESET ROLE;

-- ANALYZE.
SELECT reltuples FROM pg_class WHERE oid = 'people'::regclass;
ANALYZE people;
SELECT reltuples FROM pg_class WHERE oid = 'people'::regclass;
SELECT attname, null_frac, n_distinct FROM pg_stats WHERE schemaname = 'near' AND tablename = 'people' AND attname IN ('id', 'name', 'vip', 'short') ORDER BY 1;
CREATE FOREIGN TABLE wide (n int, t text) SERVER far OPTIONS (query 'SELECT i AS n, repeat(''x'', 2000) AS t FROM generate_series(1, 10000) i');
SET maintenance_work_mem = '1MB';
ANALYZE wide;
RESET maintenance_work_mem;
-- A fair sample, although it had to become a smaller one.
SELECT reltuples FROM pg_class WHERE oid = 'wide'::regclass;
SELECT avg(b) BETWEEN 3500 AND 6500 AS fair, count(*) > 50 AS many
  FROM pg_stats, unnest(histogram_bounds::text::int[]) b WHERE schemaname = 'near' AND tablename = 'wide' AND attname = 'n';

-- Nothing is written.
INSERT INTO people (id, joined) VALUES (9, now());
UPDATE people SET name = 'x' WHERE id = 1;
DELETE FROM people;
EXPLAIN DELETE FROM people;
TRUNCATE people;
COPY people FROM stdin;
\.
SELECT is_insertable_into FROM information_schema.tables WHERE table_schema = 'near' AND table_name = 'people';

-- The source has changed since.
CREATE TABLE far.drifts (id int, gone text, renamed text, retyped text, wider varchar(3), deferred int);
INSERT INTO far.drifts VALUES (1, 'a', 'b', '12', 'abc', 5), (2, 'a', 'b', '13', 'abc', 6);
IMPORT FOREIGN SCHEMA far LIMIT TO (drifts) FROM SERVER far INTO near;
ALTER TABLE far.drifts DROP COLUMN gone, ALTER COLUMN retyped TYPE int USING retyped::int, ADD COLUMN extra int, ALTER COLUMN deferred TYPE text USING 'v' || deferred,
  ALTER COLUMN wider TYPE varchar(10) USING wider || 'defg';
ALTER TABLE far.drifts RENAME COLUMN renamed TO other;
SELECT id, retyped FROM drifts WHERE retyped = '12';
SELECT id, retyped FROM drifts WHERE retyped < '2';
CREATE FUNCTION error_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  hint text; context text;
BEGIN
  EXECUTE statement;
  RETURN 'no error';
EXCEPTION WHEN others THEN
  GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
  RETURN concat_ws(' | ', sqlstate, sqlerrm, hint, split_part(context, E'\n', 1));
END $$;
SELECT error_of('SELECT gone FROM drifts');
SELECT error_of('SELECT renamed FROM drifts');
SELECT error_of('SELECT deferred FROM drifts WHERE id = 2');
SELECT error_of('SELECT wider FROM drifts');
SELECT error_of('ANALYZE drifts');
DROP TABLE far.drifts;
SELECT error_of('SELECT id FROM drifts');
SELECT error_of('DELETE FROM people');
SELECT error_of('SELECT 1 FROM asked WHERE n > 3');

-- What a foreign table must say, and what a server must be.
CREATE FOREIGN TABLE neither (id int) SERVER far;
SELECT * FROM neither;
CREATE FOREIGN TABLE twofold (id int) SERVER far OPTIONS (object 'far.people', query 'SELECT 1 AS id');
ALTER FOREIGN TABLE people OPTIONS (ADD query 'SELECT 1');
CREATE FOREIGN TABLE unnamed (id int) SERVER far OPTIONS (object 'far."');
SELECT * FROM unnamed;
\set VERBOSITY terse
CREATE SERVER untyped FOREIGN DATA WRAPPER censync;
CREATE SERVER mistyped TYPE 'postgre' FOREIGN DATA WRAPPER censync;
\set VERBOSITY default

-- Options that are misspelled, out of place, or of another source.  Credentials do not stand where all can read them.
SELECT error_of($$CREATE SERVER x TYPE 'http' FOREIGN DATA WRAPPER censync OPTIONS (conect_timeot '5')$$);
SELECT error_of($$ALTER SERVER web OPTIONS (ADD token 'geheim')$$);
SELECT error_of($$ALTER USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (ADD host 'x')$$);
SELECT error_of($$CREATE FOREIGN TABLE x (id int OPTIONS (url 'x')) SERVER web$$);
SELECT error_of($$ALTER SERVER web OPTIONS (ADD object 'x')$$);
SELECT error_of($$ALTER SERVER web OPTIONS (ADD headers '{"$$ || name || $$": "x"}')$$) AS error, name
  FROM unnest('{X-Api-Key,DD-API-KEY,apikey,X-Auth-Token,accessToken,X_Secret,cookie,Proxy-Authorization,Host,upgrade}'::text[]) name;
ALTER SERVER web OPTIONS (ADD headers '{"X-Author": "x", "X-Keyboard": "x", "X-Tokens-Left": "x"}');
SELECT error_of($$SELECT censync_preview('far', query => 'SELECT 1', options => '{"format": "csv"}')$$);
SELECT error_of($$SELECT censync_preview(NULL, query => 'SELECT 1', options => '{"zero_dates": "null"}')$$);
SELECT error_of($$SELECT censync_preview(NULL, query => 'SELECT 1', options => '["format"]')$$);
CREATE FOREIGN TABLE misfit (id int) SERVER far OPTIONS (object 'far.people', records '/x');
SELECT error_of('SELECT * FROM misfit');

-- Looks and syncs at the same source, by object and by query.
SELECT censync_preview('far', object => 'far.vips', "limit" => 1) - 'ctid';
SELECT censync_preview('far', query => 'SELECT 1 AS one, NULL::text AS none', "limit" => 5);
SELECT * FROM censync_preview('far', query => 'SELECT 1 / 0 AS x', "limit" => 0);
SELECT * FROM censync_preview('far', query => 'SELECT 1 AS x', object => 'far.people');
CREATE TABLE dest (id int PRIMARY KEY, name text, joined date, code text);
SELECT censync_create_sync('by_object', 'dest', 'mirror', server => 'far', object => 'far.people') > 0 AS made;
SELECT status, records_read, records_created FROM censync_run('by_object');
SELECT censync_alter_sync('by_object', object => '', query => 'SELECT id, name, joined, code FROM far.people WHERE id > 100');
SELECT status, records_read, records_deleted, records_unchanged FROM censync_run('by_object');
SELECT count(*) FROM (SELECT id, name, joined, code FROM dest EXCEPT SELECT id, name, joined, code FROM far.people) x;
SELECT censync_create_sync('nosuch', 'dest', 'upsert', server => 'far', object => 'far.nosuch');
SELECT censync_create_sync('neither', 'dest', 'upsert', server => 'far');

SELECT connections_close();
SELECT censync_drop_sync('by_object');
DROP SERVER far CASCADE;
DROP SERVER web CASCADE;
DROP SCHEMA near, far, far_empty, part CASCADE;
DROP SERVER untyped;
DROP SERVER mistyped;
DROP ROLE regress_far_owner, regress_far_reader;
