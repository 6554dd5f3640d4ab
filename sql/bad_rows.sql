-- Rows that the destination refuses, for every reason there is, beside an independent truth: each row applied by
-- itself in PL/pgSQL, in the same order, its SQLSTATE and constraint caught there.
SET client_min_messages = warning;
CREATE SCHEMA bad_rows;
SET search_path = bad_rows, public;
\pset format unaligned
\pset null -
CREATE ROLE regress_censync_bad;
GRANT USAGE, CREATE ON SCHEMA bad_rows TO regress_censync_bad;

-- Syncs of a superuser apply as the table's owner, who is bound by the policy.
SET ROLE regress_censync_bad;
CREATE DOMAIN size AS int CONSTRAINT size_is_positive CHECK (VALUE > 0);
CREATE TABLE parents (id int PRIMARY KEY);
CREATE TABLE dest (id int PRIMARY KEY, needed text NOT NULL, checked int CONSTRAINT "checked ""it""" CHECK (checked > least(base, 1)), base int DEFAULT 0,
                   parent int REFERENCES parents DEFERRABLE INITIALLY DEFERRED, self int REFERENCES dest, code text, kept text DEFAULT 'k', size size,
                   during int4range, divisor int, quotient int GENERATED ALWAYS AS (100 / divisor) STORED, share int CHECK (100 / share <> 7),
                   big text, note text, CONSTRAINT code_once UNIQUE (kept, code), CONSTRAINT no_overlap EXCLUDE USING gist (during WITH &&));
CREATE INDEX dest_big ON dest (big);
ALTER TABLE dest ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY readable ON dest USING (true) WITH CHECK (note IS DISTINCT FROM 'hidden');
CREATE FUNCTION object() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.note = TG_NAME THEN RAISE 'not this one' USING ERRCODE = 'P0042', CONSTRAINT = TG_NAME; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER before BEFORE INSERT OR UPDATE ON dest FOR EACH ROW EXECUTE FUNCTION object();
CREATE TRIGGER after AFTER INSERT OR UPDATE ON dest FOR EACH ROW EXECUTE FUNCTION object();
RESET ROLE;

CREATE TABLE source (id int, needed text, checked int, parent int, self int, code text, size int, during int4range, divisor text,
                     share int, big text, note text);
GRANT SELECT ON source TO regress_censync_bad;
-- Every seventeenth record is bad, in one of so many ways; the first half of them is in the destination already.
CREATE PROCEDURE fill(kinds text[], every int DEFAULT 17, rows int DEFAULT 3000) LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE source, dest, parents;
    INSERT INTO parents SELECT generate_series(1, 9);
    INSERT INTO dest (id, needed, code, during) VALUES (0, 'x', 'taken', '[0,10)');
    INSERT INTO dest (id, needed, checked, code, self) SELECT n, 'x', 2, 'old' || n, 0 FROM generate_series(1, rows / 2) n;
    INSERT INTO source
      SELECT n, CASE WHEN k <> 'missing' THEN 'y' END, CASE k WHEN 'check' THEN -1 ELSE 5 END, CASE k WHEN 'parent' THEN 99 ELSE n % 9 + 1 END,
             CASE k WHEN 'self' THEN -n ELSE CASE WHEN n > rows * 2 / 3 THEN rows / 2 + 2 ELSE 0 END END, CASE k WHEN 'unique' THEN 'taken' ELSE 'new' || n END,
             CASE k WHEN 'domain' THEN -1 ELSE 1 END, CASE k WHEN 'exclusion' THEN '[5,6)' ELSE int4range(n * 10, n * 10 + 5) END,
             CASE k WHEN 'conversion' THEN 'many' WHEN 'generated' THEN '0' ELSE '3' END, CASE k WHEN 'raising check' THEN 0 ELSE 3 END,
             CASE k WHEN 'big' THEN (SELECT string_agg(md5((n * 1000 + i)::text), '') FROM generate_series(1, 500) i) END,
             CASE k WHEN 'before' THEN k WHEN 'after' THEN k WHEN 'hidden' THEN k WHEN 'quiet' THEN k ELSE 'new' END
        FROM (SELECT n, CASE WHEN n % every = 1 THEN kinds[n / every % cardinality(kinds) + 1] ELSE '' END FROM generate_series(1, rows) n) g (n, k);
END $$;

-- The truth: outcomes by id, and what the table then has.  All of it is undone; the result is in variables.
CREATE TYPE outcome AS (id int, code text, "constraint" text);
CREATE TABLE want (outcomes outcome[], rows jsonb);
CREATE FUNCTION truth(OUT outcomes outcome[], OUT rows jsonb) LANGUAGE plpgsql SECURITY DEFINER SET search_path = bad_rows AS $$
DECLARE
    s source;
    o outcome;
BEGIN
    BEGIN
        SET CONSTRAINTS ALL IMMEDIATE;
        FOR s IN SELECT source.* FROM source LEFT JOIN dest USING (id) ORDER BY dest.id IS NULL, id LOOP
            o := ROW(s.id, NULL, '');
            BEGIN
                UPDATE dest SET needed = s.needed, checked = s.checked, parent = s.parent, self = s.self, code = s.code, size = s.size, during = s.during,
                       divisor = s.divisor::int, share = s.share, big = s.big, note = s.note WHERE id = s.id;
                IF NOT FOUND AND NOT EXISTS (SELECT FROM dest WHERE id = s.id) THEN
                    INSERT INTO dest (id, needed, checked, parent, self, code, size, during, divisor, share, big, note)
                    VALUES (s.id, s.needed, s.checked, s.parent, s.self, s.code, s.size, s.during, s.divisor::int, s.share, s.big, s.note);
                END IF;
            EXCEPTION WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS o.code = RETURNED_SQLSTATE, o.constraint = CONSTRAINT_NAME;
                outcomes := outcomes || o;
            END;
        END LOOP;
        SELECT jsonb_agg(to_jsonb(d) ORDER BY id) INTO rows FROM dest d;
        RAISE 'undo' USING ERRCODE = 'P9999';
    EXCEPTION WHEN SQLSTATE 'P9999' THEN NULL;
    END;
END $$;
ALTER FUNCTION truth() OWNER TO regress_censync_bad;

-- One line per reason of the truth; "differs" are outcomes and rows of the table that a run made otherwise.
CREATE FUNCTION play(kinds text[], every int DEFAULT 17, rows int DEFAULT 3000, options jsonb DEFAULT '{}') RETURNS TABLE (what text, code text, "constraint" text, n bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    r censync.runs;
BEGIN
    CALL fill(kinds, every, play.rows);
    TRUNCATE want;
    INSERT INTO want SELECT * FROM truth();
    PERFORM censync_alter_sync('bad', options => '{"max_rejected": 1}' || play.options);
    SELECT * INTO r FROM censync_run('bad');
    RETURN QUERY SELECT 'truth', o.code, o.constraint, count(*) FROM want, unnest(outcomes) o GROUP BY 2, 3 ORDER BY 2, 3;
    RETURN QUERY SELECT 'run ' || r.status || ' read ' || r.records_read || ' created ' || r.records_created || ' updated ' || r.records_updated,
                        NULL, NULL, r.records_invalid + r.records_rejected;
    RETURN QUERY
      WITH does AS (SELECT (sync_key ->> 'id')::int AS id, reason_code AS code, coalesce(constraint_name, '') AS "constraint", record_number, operation
                      FROM censync.records WHERE run_id = r.run_id)
      SELECT 'differs', w.code || ' -> ' || coalesce(d.code, 'went through'), w.constraint || ' -> ' || coalesce(d.constraint, ''), count(*)
        FROM (SELECT o.* FROM want, unnest(outcomes) o) w FULL JOIN does d USING (id)
       WHERE (w.code, w.constraint) IS DISTINCT FROM (d.code, d.constraint) OR record_number <> id
          OR operation <> CASE WHEN w.code IN ('22P02') OR w.constraint = 'size_is_positive' THEN 'read' WHEN id <= play.rows / 2 THEN 'update' ELSE 'insert' END
       GROUP BY 2, 3;
    RETURN QUERY
      SELECT 'rows that differ', NULL, NULL, count(*) FROM (SELECT e FROM want, jsonb_array_elements(want.rows) e) w FULL JOIN dest d ON to_jsonb(d) = e WHERE e IS NULL OR d IS NULL;
END $$;
SELECT censync_create_sync('bad', 'dest', 'upsert', query => 'SELECT * FROM bad_rows.source ORDER BY id') IS NOT NULL AS created;
-- Each kind by itself, so that the way by which it is found is its own; then all at once.
SELECT k.kind, p.* FROM unnest('{missing,check,parent,self,unique,exclusion,before,after,generated,hidden,big,domain,conversion,raising check}'::text[]) WITH ORDINALITY k (kind, o),
  LATERAL play(ARRAY[kind], rows => 600) p WHERE what <> 'truth' ORDER BY o;
SELECT * FROM play('{missing,check,parent,self,unique}');
SELECT * FROM play('{missing,check,parent,self,unique,exclusion,before,after,generated,hidden,big,domain,conversion,raising check}');
-- Very many of them.
SELECT * FROM play('{missing,check,parent,unique,before,generated}', every => 2);
SELECT * FROM play('{after,before,quiet,exclusion}', every => 3);
-- What is logged: number, key, reason, payload.
SELECT DISTINCT ON (operation, reason_code, constraint_name) record_number, sync_key, operation, status, reason_code, constraint_name, column_name, left(reason, 70) AS reason, payload ->> 'checked' AS checked
  FROM censync.records WHERE run_id = (SELECT max(run_id) FROM censync.runs) ORDER BY operation, reason_code, constraint_name, record_number;

-- A trigger that repairs what would be refused: whoever suspects the row must let it pass; and one that keeps rows out in silence.
CREATE FUNCTION repair() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.note = 'quiet' THEN RETURN NULL; END IF;
    NEW.needed := coalesce(NEW.needed, 'repaired');
    NEW.checked := abs(NEW.checked);
    NEW.parent := nullif(NEW.parent, 99);
    NEW.code := nullif(NEW.code, 'taken');
    RETURN NEW;
END $$;
CREATE TRIGGER repair BEFORE INSERT OR UPDATE ON dest FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION repair();
SELECT * FROM play('{missing,check,parent,self,unique,before,after,quiet,generated}');
SELECT records_skipped FROM censync.runs ORDER BY run_id DESC LIMIT 1;
DROP TRIGGER repair ON dest;

-- on_error = fail: the first bad row ends the run, and nothing is changed; too many bad rows likewise.
SET client_min_messages = error;
CALL fill('{check}');
SELECT censync_alter_sync('bad', options => '{"on_error": "fail"}');
SELECT status, error_code, error_message, error_detail FROM censync_run('bad');
CALL fill('{before}');
SELECT status, error_code, error_message, error_detail FROM censync_run('bad');
SELECT count(*) FROM dest WHERE note = 'new';
CALL fill('{check}');
UPDATE source SET checked = -1;
SELECT censync_alter_sync('bad', options => '{"on_error": "continue", "max_rejected": 0.75}');
SELECT status, error_code, error_message, records_rejected FROM censync_run('bad');
UPDATE source SET checked = 5, note = 'after';
SELECT status, error_code, error_message, records_rejected FROM censync_run('bad');
SELECT count(*) FROM dest WHERE note = 'new' OR checked <> 2;
SET client_min_messages = warning;

-- Deletions: referred to by others, or refused by a trigger; each by itself, and the others are gone.
CREATE TABLE gone (id int PRIMARY KEY, note text);
CREATE TABLE refers (id int REFERENCES gone);
INSERT INTO gone SELECT n, CASE WHEN n % 31 = 0 THEN 'locked' END FROM generate_series(1, 3000) n;
INSERT INTO refers SELECT n FROM generate_series(1, 3000) n WHERE n % 29 = 0;
CREATE FUNCTION locked() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'locked' USING ERRCODE = 'P0043'; END$$;
CREATE TRIGGER locked BEFORE DELETE ON gone FOR EACH ROW WHEN (OLD.note = 'locked') EXECUTE FUNCTION locked();
SELECT censync_create_sync('gone', 'gone', 'mirror', query => 'SELECT 1 AS id', options => '{"mirror_scope": "table", "max_deletes": 1, "max_rejected": 1}') IS NOT NULL AS created;
SELECT status, records_deleted, records_rejected FROM censync_run('gone');
SELECT count(*), count(*) FILTER (WHERE id % 29 = 0 OR id % 31 = 0 OR id = 1) AS justly FROM gone;
SELECT operation, reason_code, constraint_name, count(*),
       count(*) FILTER (WHERE (sync_key ->> 'id')::int % CASE reason_code WHEN 'P0043' THEN 31 ELSE 29 END = 0) AS justly
  FROM censync.records WHERE run_id = (SELECT max(run_id) FROM censync.runs) GROUP BY 1, 2, 3 ORDER BY 2;

-- Partitions that are not there, and a row that a trigger moves into another one.
CREATE TABLE parts (id int, region text, note text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parts_eu PARTITION OF parts FOR VALUES IN ('EU');
CREATE TABLE parts_us PARTITION OF parts FOR VALUES IN ('US');
CREATE FUNCTION move() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.region := NEW.note; RETURN NEW; END$$;
CREATE TRIGGER move BEFORE UPDATE ON parts FOR EACH ROW WHEN (NEW.note IN ('US', 'nowhere')) EXECUTE FUNCTION move();
INSERT INTO parts SELECT n, 'EU', 'old' FROM generate_series(1, 500) n;
CREATE TABLE parts_source AS
  SELECT n AS id, CASE WHEN n > 500 AND n % 50 = 0 THEN 'XX' ELSE 'EU' END AS region,
         CASE n WHEN 7 THEN 'US' WHEN 8 THEN 'nowhere' ELSE 'new' END AS note FROM generate_series(1, 2000) n;
SELECT censync_create_sync('parts', 'parts', 'upsert', query => 'SELECT * FROM parts_source ORDER BY id') IS NOT NULL AS created;
SELECT status, records_created, records_updated, records_rejected, records_skipped FROM censync_run('parts');
SELECT operation, reason_code, constraint_name, count(*), min(record_number), max(record_number), count(*) FILTER (WHERE record_number % 50 = 0 OR record_number = 8) AS justly
  FROM censync.records WHERE run_id = (SELECT max(run_id) FROM censync.runs) GROUP BY 1, 2, 3 ORDER BY 1, 2;
SELECT tableoid::regclass, count(*), count(*) FILTER (WHERE note = 'old') AS old FROM parts GROUP BY 1 ORDER BY 1;

-- Unique values that go round: chains in either direction and at random, swaps and cycles; a third who wants the same goes without.
CREATE TABLE ring (id int PRIMARY KEY, code text CONSTRAINT ring_code UNIQUE, must int NOT NULL CONSTRAINT ring_must UNIQUE, note text);
CREATE TABLE ring_source AS TABLE ring;
CREATE TABLE fired (id int, note text);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO bad_rows.fired VALUES (NEW.id, format('%s -> %s', OLD.code, NEW.code)); RETURN NEW; END$$;
CREATE TRIGGER tell AFTER UPDATE ON ring FOR EACH ROW WHEN (NEW.id IN (1, 2)) EXECUTE FUNCTION tell();
CREATE FUNCTION go_round(code text, must text DEFAULT 'id', n int DEFAULT 300) RETURNS TABLE (updated bigint, rejected bigint, unchanged bigint, differs bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    TRUNCATE ring, ring_source, fired;
    INSERT INTO ring SELECT id, 'c' || id, id, 'old' FROM generate_series(1, n) id;
    EXECUTE format('INSERT INTO ring_source SELECT id, %s, %s, note FROM ring', go_round.code, go_round.must);
    SELECT records_updated, records_rejected, records_unchanged INTO updated, rejected, unchanged FROM censync_run('ring');
    SELECT count(*) INTO differs FROM ring d JOIN ring_source s USING (id) WHERE (d.code, d.must) IS DISTINCT FROM (s.code, s.must);
    RETURN NEXT;
END $$;
SELECT censync_create_sync('ring', 'ring', 'update', query => 'SELECT * FROM ring_source ORDER BY id', options => '{"max_rejected": 1, "log_records": "changes"}') IS NOT NULL AS created;
SELECT 'up' AS what, * FROM go_round($$'c' || id + 1$$)
UNION ALL SELECT 'up, not null', * FROM go_round('code', 'id + 1')
UNION ALL SELECT 'down', * FROM go_round($$'c' || id - 1$$)
UNION ALL SELECT 'down, not null', * FROM go_round('code', 'id - 1')
UNION ALL SELECT 'mixed', * FROM go_round($$'c' || id * 7 % 1009$$)
UNION ALL SELECT 'to the front', * FROM go_round($$'c' || CASE WHEN id = 1 THEN 999 ELSE id - 1 END$$)
UNION ALL SELECT 'round', * FROM go_round($$'c' || id % 300 + 1$$)
UNION ALL SELECT 'round, not null', * FROM go_round('code', 'id % 300 + 1', 300)
UNION ALL SELECT 'pairs', * FROM go_round($$'c' || CASE WHEN id % 2 = 1 THEN id + 1 ELSE id - 1 END$$)
UNION ALL SELECT 'pairs and a third', * FROM go_round($$CASE id WHEN 1 THEN 'c2' WHEN 2 THEN 'c1' WHEN 3 THEN 'c1' ELSE code END$$)
UNION ALL SELECT 'pairs, hopeless', * FROM go_round($$CASE id WHEN 1 THEN 'c2' WHEN 2 THEN 'c1' WHEN 3 THEN 'c4' WHEN 4 THEN 'c5' WHEN 5 THEN 'c6' ELSE code END$$);
SELECT record_number, status, reason, payload FROM censync.records WHERE run_id = (SELECT max(run_id) FROM censync.runs) ORDER BY 1;
SELECT * FROM fired ORDER BY id, note;
SELECT * FROM go_round('code', 'CASE id WHEN 1 THEN 2 WHEN 2 THEN 1 ELSE id END', 3);
SELECT record_number, status, reason FROM censync.records WHERE run_id = (SELECT max(run_id) FROM censync.runs) ORDER BY 1;
-- A NULL in between that the table does not take, and one that a trigger keeps out: neither row is changed.
ALTER TABLE ring ADD CONSTRAINT code_given CHECK (code IS NOT NULL);
SELECT * FROM go_round($$CASE id WHEN 1 THEN 'c2' WHEN 2 THEN 'c1' ELSE code END$$, 'id', 3);
ALTER TABLE ring DROP CONSTRAINT code_given;
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
CREATE TRIGGER keep BEFORE UPDATE ON ring FOR EACH ROW WHEN (OLD.code IS NULL) EXECUTE FUNCTION keep();
SELECT * FROM go_round($$CASE id WHEN 1 THEN 'c2' WHEN 2 THEN 'c1' ELSE code END$$, 'id', 3);
SELECT id, code FROM ring ORDER BY id;
DROP TRIGGER keep ON ring;
-- What depends on the value that is there can't be set to NULL in between.
SELECT censync_alter_sync('ring', mappings => '{"id": "id", "code": {"source": "code", "when_null": "skip"}, "must": "must"}');
SELECT * FROM go_round($$CASE id WHEN 1 THEN 'c2' WHEN 2 THEN 'c1' ELSE code END$$, 'id', 3);

-- log_records = changes: what a row was and became, as a trigger of the table sees it.
CREATE TABLE logged (id int, region text, amount numeric, note text, untouched text DEFAULT 'x', doc json, PRIMARY KEY (region, id));
CREATE TABLE logged_source (id int, region text, amount numeric, note text, doc json);
CREATE TABLE seen (operation text, id int, old jsonb, new jsonb);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO bad_rows.seen VALUES (lower(TG_OP), coalesce(NEW.id, OLD.id), to_jsonb(OLD) - 'untouched', to_jsonb(NEW) - 'untouched');
    RETURN NULL;
END $$;
CREATE TRIGGER see AFTER INSERT OR UPDATE OR DELETE ON logged FOR EACH ROW EXECUTE FUNCTION see();
CREATE FUNCTION upper_note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.note := upper(NEW.note); RETURN NEW; END$$;
CREATE TRIGGER upper_note BEFORE INSERT OR UPDATE ON logged FOR EACH ROW EXECUTE FUNCTION upper_note();
INSERT INTO logged SELECT n, 'eu', n, 'OLD' || n, 'x', '[1]' FROM generate_series(1, 2000) n;
INSERT INTO logged_source SELECT n, 'eu', n + n % 3, CASE WHEN n % 40 = 1 THEN NULL ELSE 'new' || n END, '[ 1 ]' FROM generate_series(201, 2500) n;
ALTER TABLE logged ADD CHECK (amount < 100 OR note IS NOT NULL);
DELETE FROM seen;
SELECT censync_create_sync('logged', 'logged', 'mirror', query => 'SELECT * FROM logged_source ORDER BY id DESC',
                           options => '{"mirror_scope": "table", "log_records": "changes", "max_deletes": 1}') IS NOT NULL AS created;
SELECT status, records_created, records_updated, records_deleted, records_rejected FROM censync_run('logged');
SELECT operation, count(*), count(payload -> 'old') AS old, count(payload -> 'new') AS new, count(record_number) AS numbers,
       count(*) FILTER (WHERE record_number = 2501 - (sync_key ->> 'id')::int) AS right_numbers
  FROM censync.records WHERE run_id = (SELECT max(run_id) FROM censync.runs) AND status = 'succeeded' GROUP BY 1 ORDER BY 1;
SELECT count(*) AS differs FROM seen s FULL JOIN (SELECT * FROM censync.records WHERE run_id = (SELECT max(run_id) FROM censync.runs) AND status = 'succeeded') r
    ON (s.operation, s.id) = (r.operation, (r.sync_key ->> 'id')::int)
 WHERE (s.old, s.new) IS DISTINCT FROM (r.payload -> 'old', r.payload -> 'new');
SELECT payload FROM censync.records WHERE run_id = (SELECT max(run_id) FROM censync.runs) AND sync_key ->> 'id' IN ('7', '700', '2400') ORDER BY sync_key;

SELECT count(censync_drop_sync(name)) AS dropped FROM censync.syncs;
RESET search_path;
DROP SCHEMA bad_rows CASCADE;
DROP ROLE regress_censync_bad;
