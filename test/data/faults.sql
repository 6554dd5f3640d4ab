-- Tables that a fault may damage, and what must be in them: behaviors as the documentation has them, in
-- plain SQL and without our code.  Keys below 1000000 belong to the sync, others to the application.

-- Tables come and go.
SET check_function_bodies = off;
CREATE EXTENSION amcheck;
CREATE SCHEMA model;

-- A destination with what may stand around one.  is_mirror_table: nothing but source rows may be there.
CREATE PROCEDURE model.build(seed float8, rows int, features text[]) LANGUAGE plpgsql AS $$
DECLARE
	key text := CASE WHEN 'composite' = ANY (features) THEN 'k, sub' ELSE 'k' END;
BEGIN
	PERFORM setseed(seed);
	SET LOCAL client_min_messages = error;
	DROP TABLE IF EXISTS clean, source, child, destination, parent, audit, hit_log, app_log, elsewhere CASCADE;
	CREATE TABLE parent (id int PRIMARY KEY);
	INSERT INTO parent SELECT generate_series(1, 50);
	CREATE TABLE clean (k bigint, sub text, v text, t text, parent int);
	CREATE TABLE source (LIKE clean);
	EXECUTE format('CREATE TABLE destination (note text NOT NULL DEFAULT ''default'', t text, k bigint,
		hits int NOT NULL DEFAULT 0, v int CHECK (v >= 0), sub text, parent int, PRIMARY KEY (%s)) %s', key,
		CASE WHEN 'partitions' = ANY (features) THEN 'PARTITION BY HASH (k)' END);
	IF 'partitions' = ANY (features) THEN
		FOR part IN 0 .. 2 LOOP
			EXECUTE format('CREATE TABLE destination_%s PARTITION OF destination
				FOR VALUES WITH (MODULUS 3, REMAINDER %1$s)', part);
		END LOOP;
	END IF;
	CREATE TABLE audit (op text, k bigint, sub text);
	CREATE TABLE hit_log (k bigint, sub text);
	CREATE TABLE app_log (k bigint, sub text, v int, t text);
	CREATE TABLE elsewhere (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text);

	INSERT INTO clean
	SELECT k, CASE WHEN 'composite' = ANY (features) AND random() < 0.5 THEN 'b' ELSE 'a' END,
		   floor(random() * 1000)::int, repeat(md5(k::text), 1 + floor(random() * 3)::int),
		   1 + floor(random() * 50)::int
	  FROM generate_series(1, rows) k WHERE random() < 0.85;
	INSERT INTO source SELECT * FROM clean;
	-- What was there before the first run: rows like the source's, rows that differ, rows of others.
	INSERT INTO destination (k, sub, v, t, parent, note)
	SELECT k, sub, CASE WHEN random() < 0.5 THEN v::int ELSE 1 END, t, parent, 'old' FROM clean
	 WHERE random() < 0.3;
	INSERT INTO destination (k, sub, v, t, note)
	SELECT k, 'a', 2, 'of others', 'old' FROM generate_series(1, rows) k WHERE random() < 0.1
	ON CONFLICT DO NOTHING;

	IF 'index' = ANY (features) THEN
		CREATE INDEX ON destination (v);
		CREATE INDEX ON destination (lower(t), k) WHERE v > 100;
	END IF;
	IF 'parent' = ANY (features) THEN
		ALTER TABLE destination ADD FOREIGN KEY (parent) REFERENCES parent;
	END IF;
	CREATE TABLE child (k bigint, sub text);
	IF 'child' = ANY (features) THEN
		EXECUTE format('ALTER TABLE child ADD FOREIGN KEY (%s) REFERENCES destination', key);
	END IF;
	IF 'trigger' = ANY (features) THEN
		CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE OF v, t, parent ON destination
			FOR EACH ROW EXECUTE FUNCTION model.audit();
	END IF;
END $$;

CREATE FUNCTION model.audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'DELETE' THEN
		INSERT INTO public.audit VALUES (TG_OP, OLD.k, OLD.sub);
	ELSE
		INSERT INTO public.audit VALUES (TG_OP, NEW.k, NEW.sub);
	END IF;
	RETURN NULL;
END $$;

-- The source as it is next: some rows gone, changed and new, and some that can't be applied.
CREATE PROCEDURE model.change(seed float8, share float8, features text[]) LANGUAGE plpgsql AS $$
DECLARE
	beyond bigint := (SELECT max(k) FROM clean);
BEGIN
	PERFORM setseed(seed);
	DELETE FROM clean WHERE random() < share / 3;
	UPDATE clean SET v = floor(random() * 1000)::int WHERE random() < share;
	INSERT INTO clean
	SELECT beyond + i, 'a', floor(random() * 1000)::int, 'new', 1 + i % 50
	  FROM generate_series(1, greatest(10, (beyond * share / 3)::int)) i;
	IF 'child' = ANY (features) THEN
		INSERT INTO child SELECT k, sub FROM destination WHERE k < 1000000 AND random() < 0.01;
	END IF;
	IF 'huge' = ANY (features) THEN
		UPDATE clean SET t = (SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 200000)), v = 7
		 WHERE k IN (SELECT k FROM clean WHERE sub = 'a' ORDER BY random() LIMIT 2);
	END IF;
	TRUNCATE source;
	INSERT INTO source SELECT * FROM clean;
	IF 'bad' = ANY (features) THEN
		UPDATE source SET v = 'no number' WHERE random() < 0.002;
		UPDATE source SET v = '-1' WHERE random() < 0.002;
		IF 'parent' = ANY (features) THEN
			UPDATE source SET parent = 99 WHERE random() < 0.002;
		END IF;
		INSERT INTO source SELECT NULL, 'a', '1', 'without a key', 1 FROM generate_series(1, 3);
		INSERT INTO source SELECT * FROM clean WHERE random() < 0.002;
	END IF;
END $$;

-- What is now, and what will be when the source has been applied.
CREATE PROCEDURE model.predict(sync text, behavior text, whole_table boolean, features text[]) LANGUAGE plpgsql AS $$
DECLARE
	keeps_audit boolean := 'trigger' = ANY (features);
BEGIN
	SET LOCAL client_min_messages = error;
	DROP TABLE IF EXISTS model.before, model.after, model.tracked_before, model.tracked_after,
		model.audit_before, model.audit_after, model.record, model.vanished, model.changed;
	CREATE TABLE model.before AS SELECT k, sub, v, t, parent, note FROM destination WHERE k < 1000000;
	CREATE TABLE model.after AS TABLE model.before;
	CREATE TABLE model.audit_before AS SELECT * FROM audit WHERE k < 1000000;
	CREATE TABLE model.tracked_before AS
		SELECT m.key FROM censync.mirror_memory m JOIN censync.sync_definition d USING (sync_id) WHERE d.name = sync;

	CREATE TABLE model.record AS
	SELECT s.k, s.sub, s.v::int AS v, s.t, s.parent, a.k IS NOT NULL AS present,
		   (s.v::int, s.t, s.parent) IS DISTINCT FROM (a.v, a.t, a.parent) AS differs,
		   s.v = '-1' OR (s.parent = 99 AND 'parent' = ANY (features)) AS refused
	  FROM (SELECT *, count(*) OVER (PARTITION BY k, sub) AS copies FROM source
			 WHERE k IS NOT NULL AND v <> 'no number') s
	  LEFT JOIN model.before a USING (k, sub)
	 WHERE copies = 1;
	CREATE TABLE model.changed AS
	SELECT CASE WHEN present THEN 'UPDATE' ELSE 'INSERT' END AS op, k, sub, v, t, parent FROM model.record
	 WHERE NOT refused AND CASE WHEN present THEN behavior <> 'append' AND differs ELSE behavior <> 'update' END;
	CREATE TABLE model.vanished AS
	SELECT k, sub FROM model.before b
	 WHERE behavior = 'mirror' AND NOT EXISTS (SELECT FROM source s WHERE s.k = b.k AND s.sub = b.sub)
	   AND (whole_table OR EXISTS (SELECT FROM model.tracked_before WHERE key = model.key(b.k, b.sub, features)))
	   AND NOT EXISTS (SELECT FROM child c WHERE c.k = b.k AND c.sub = b.sub);

	UPDATE model.after a SET v = c.v, t = c.t, parent = c.parent FROM model.changed c
	 WHERE c.op = 'UPDATE' AND c.k = a.k AND c.sub = a.sub;
	INSERT INTO model.after SELECT k, sub, v, t, parent, 'default' FROM model.changed WHERE op = 'INSERT';
	DELETE FROM model.after a USING model.vanished d WHERE d.k = a.k AND d.sub = a.sub;
	CREATE TABLE model.audit_after AS
		TABLE model.audit_before
		UNION ALL SELECT op, k, sub FROM model.changed WHERE keeps_audit
		UNION ALL SELECT 'DELETE', k, sub FROM model.vanished WHERE keeps_audit;
	CREATE TABLE model.tracked_after AS TABLE model.tracked_before;
	IF behavior = 'mirror' AND NOT whole_table THEN
		INSERT INTO model.tracked_after
		SELECT model.key(k, sub, features) FROM model.changed EXCEPT TABLE model.tracked_before;
		DELETE FROM model.tracked_after t USING model.vanished v WHERE t.key = model.key(v.k, v.sub, features);
	END IF;
END $$;

CREATE FUNCTION model.key(k bigint, sub text, features text[]) RETURNS text[] LANGUAGE sql IMMUTABLE AS
$$ SELECT CASE WHEN 'composite' = ANY (features) THEN ARRAY[k::text, sub] ELSE ARRAY[k::text] END $$;

-- "created|updated|deleted" of a run from before to after.
CREATE FUNCTION model.counts() RETURNS text LANGUAGE sql AS $$
SELECT concat_ws('|', count(*) FILTER (WHERE op = 'INSERT'), count(*) FILTER (WHERE op = 'UPDATE'),
	(SELECT count(*) FROM model.vanished)) FROM model.changed $$;

-- 'before', 'after', both when these are the same, or how far it is from either.
CREATE FUNCTION model.compare(what text, got text, before text, after text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text := '';
	side text;
	name text;
	missing bigint;
	surplus bigint;
	details text := '';
BEGIN
	FOR name, side IN SELECT * FROM unnest(ARRAY['before', 'after'], ARRAY[before, after]) LOOP
		EXECUTE format('SELECT count(*) FROM (%s EXCEPT ALL %s) x', side, got) INTO missing;
		EXECUTE format('SELECT count(*) FROM (%2$s EXCEPT ALL %1$s) x', side, got) INTO surplus;
		IF missing + surplus = 0 THEN
			answer := concat_ws(' ', nullif(answer, ''), name);
		END IF;
		details := details || format('; %s: %s rows missing, %s too many', name, missing, surplus);
	END LOOP;
	RETURN coalesce(nullif(answer, ''), 'neither' || details);
END $$;

CREATE FUNCTION model.rows_are() RETURNS text LANGUAGE sql AS $$
SELECT model.compare('rows', 'SELECT k, sub, v, t, parent, note FROM destination WHERE k < 1000000',
	'TABLE model.before', 'TABLE model.after') $$;

CREATE FUNCTION model.memory_is(sync text) RETURNS text LANGUAGE sql AS $$
SELECT model.compare('memory', format('SELECT m.key FROM censync.mirror_memory m
	JOIN censync.sync_definition d USING (sync_id) WHERE d.name = %L', sync),
	'TABLE model.tracked_before', 'TABLE model.tracked_after') $$;

CREATE FUNCTION model.audit_is() RETURNS text LANGUAGE sql AS $$
SELECT model.compare('audit', 'SELECT * FROM audit WHERE k < 1000000', 'TABLE model.audit_before',
	'TABLE model.audit_after') $$;

-- Nothing of the application's is lost, in its own rows and in the columns that only it writes.
CREATE FUNCTION model.application_is() RETURNS text LANGUAGE sql AS $$
SELECT concat_ws(', ',
	(SELECT nullif(count(*), 0) || ' rows differ from the application''s log' FROM (
		(SELECT k, sub, v, t FROM destination WHERE k >= 1000000 EXCEPT ALL TABLE app_log)
		UNION ALL (TABLE app_log EXCEPT ALL SELECT k, sub, v, t FROM destination WHERE k >= 1000000)) x),
	(SELECT nullif(count(*), 0) || ' rows have lost hits' FROM destination d
		LEFT JOIN (SELECT k, sub, count(*) AS hits FROM hit_log GROUP BY k, sub) h USING (k, sub)
	  WHERE d.k < 1000000 AND d.hits <> coalesce(h.hits, 0)))
$$;
