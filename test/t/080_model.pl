# The same rows by an independent way: sources and destinations made at random from a seed, every
# behavior applied round after round while an application changes the destination in between, and
# each result compared with a model of the behaviors in plain SQL.
#
# CENSYNC_MODEL_SEEDS sets how many seeds are tried, CENSYNC_MODEL_SEED the first of them.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CensyncTest;

my $seeds = $ENV{CENSYNC_MODEL_SEEDS} || 12;
my $first = $ENV{CENSYNC_MODEL_SEED} || 1;
my $rounds = 5;

my $node = CensyncTest::new_node('model');
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION citext;
CREATE TYPE outcome AS (created bigint, updated bigint, deleted bigint, unchanged bigint,
						skipped bigint, invalid bigint, rejected bigint);

-- A word of few, so that keys and values meet by chance.
CREATE FUNCTION pick(variadic words text[]) RETURNS text LANGUAGE sql VOLATILE AS
$$ SELECT words[1 + floor(random() * array_length(words, 1))::int] $$;

-- New source rows: null keys, duplicate keys, numbers that are none, values that the table refuses.
CREATE PROCEDURE fill_source(n int) LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM source WHERE random() < 0.5;
	INSERT INTO source
	SELECT CASE WHEN random() < 0.05 THEN NULL ELSE floor(random() * n)::int END,
		   CASE WHEN random() < 0.03 THEN NULL ELSE pick('a', 'A', 'b', 'ü', '') END,
		   pick('x', 'y', 'bad', '', NULL, 'x'),
		   pick('1', '1.0', '1.00', '-0', 'NaN', 'no number', NULL, '12345678901234567890.5'),
		   pick('{"a": 1}', '{"a": 1.0}', '[1, null]', NULL)
	  FROM generate_series(1, n);
END $$;

-- What an application does meanwhile.
CREATE PROCEDURE disturb() LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM destination WHERE random() < 0.1
	   AND NOT EXISTS (SELECT FROM child c WHERE (c.k1, c.k2) = (destination.k1, destination.k2));
	UPDATE destination SET note = 'application', v2 = pick('7', '1.0')::numeric WHERE random() < 0.1;
	INSERT INTO destination (k1, k2, note)
	SELECT 1000 + floor(random() * 50)::int, 'app', 'application' FROM generate_series(1, 3)
	ON CONFLICT DO NOTHING;
	DELETE FROM child WHERE random() < 0.3;
	INSERT INTO child SELECT k1, k2 FROM destination WHERE random() < 0.1;
END $$;

-- The model: behaviors as the documentation has them, one plain statement after another.
CREATE FUNCTION model(behavior text, on_duplicate text, whole_table boolean) RETURNS outcome
LANGUAGE plpgsql AS $$
DECLARE
	result outcome := (0, 0, 0, 0, 0, 0, 0);
	applied bigint;
BEGIN
	DROP TABLE IF EXISTS expected, numbered, candidates, matched, kept, vanished;
	CREATE TEMP TABLE expected AS SELECT * FROM destination;
	CREATE TEMP TABLE numbered AS SELECT s.*, row_number() OVER () AS rn FROM source s;
	CREATE TEMP TABLE candidates AS
		SELECT k1, k2::citext AS k2, v1, v2::numeric AS v2, v3::jsonb AS v3, rn FROM numbered
		 WHERE k1 IS NOT NULL AND k2 IS NOT NULL AND v2 IS DISTINCT FROM 'no number';
	CREATE TEMP TABLE kept AS
		SELECT c.* FROM candidates c
		 WHERE CASE on_duplicate
			   WHEN 'reject' THEN (SELECT count(*) FROM candidates o WHERE o.k1 = c.k1 AND o.k2 = c.k2) = 1
			   WHEN 'first' THEN rn = (SELECT min(rn) FROM candidates o WHERE o.k1 = c.k1 AND o.k2 = c.k2)
			   ELSE rn = (SELECT max(rn) FROM candidates o WHERE o.k1 = c.k1 AND o.k2 = c.k2) END;
	result.invalid := (SELECT count(*) FROM numbered) - (SELECT count(*) FROM kept);

	-- matched: is there a row, does it differ in any image, would the table refuse the new values?
	CREATE TEMP TABLE matched AS
		SELECT s.*, d.k1 IS NOT NULL AS present,
			   s.k2::text COLLATE "C" IS DISTINCT FROM d.k2::text
			   OR s.v1 IS DISTINCT FROM d.v1 OR s.v2::text IS DISTINCT FROM d.v2::text
			   OR s.v3::text IS DISTINCT FROM d.v3::text AS differs,
			   coalesce(s.v1 = 'bad', false) AS refused
		  FROM kept s LEFT JOIN expected d ON d.k1 = s.k1 AND d.k2 = s.k2;
	IF behavior = 'append' THEN
		result.unchanged := (SELECT count(*) FROM matched WHERE present);
	ELSE
		result.unchanged := (SELECT count(*) FROM matched WHERE present AND NOT differs);
		UPDATE expected d SET k2 = m.k2, v1 = m.v1, v2 = m.v2, v3 = m.v3
		  FROM matched m WHERE m.k1 = d.k1 AND m.k2 = d.k2 AND present AND differs AND NOT refused;
		GET DIAGNOSTICS applied = ROW_COUNT;
		result.updated := applied;
		result.rejected := (SELECT count(*) FROM matched WHERE present AND differs AND refused);
	END IF;
	IF behavior = 'update' THEN
		result.skipped := (SELECT count(*) FROM matched WHERE NOT present);
	ELSE
		INSERT INTO expected (k1, k2, v1, v2, v3, note)
		SELECT k1, k2, v1, v2, v3, 'default' FROM matched WHERE NOT present AND NOT refused;
		GET DIAGNOSTICS applied = ROW_COUNT;
		result.created := applied;
		result.rejected := result.rejected + (SELECT count(*) FROM matched WHERE NOT present AND refused);
	END IF;
	IF behavior = 'mirror' THEN
		CREATE TEMP TABLE vanished AS
			SELECT d.k1, d.k2, EXISTS (SELECT FROM child c WHERE c.k1 = d.k1 AND c.k2 = d.k2) AS referenced
			  FROM expected d
			 WHERE NOT EXISTS (SELECT FROM numbered s WHERE s.k1 = d.k1 AND s.k2::citext = d.k2)
			   AND (whole_table OR EXISTS (SELECT FROM tracked t WHERE t.k1 = d.k1 AND t.k2 = d.k2));
		DELETE FROM expected d USING vanished v WHERE d.k1 = v.k1 AND d.k2 = v.k2 AND NOT referenced;
		GET DIAGNOSTICS applied = ROW_COUNT;
		result.deleted := applied;
		result.rejected := result.rejected + (SELECT count(*) FROM vanished WHERE referenced);
		INSERT INTO tracked SELECT k1, k2 FROM matched WHERE (NOT present OR differs) AND NOT refused
			ON CONFLICT DO NOTHING;
		DELETE FROM tracked t WHERE NOT EXISTS (SELECT FROM expected d WHERE d.k1 = t.k1 AND d.k2 = t.k2)
			AND NOT EXISTS (SELECT FROM numbered s WHERE s.k1 = t.k1 AND s.k2::citext = t.k2);
	END IF;
	RETURN result;
END $$;
SQL

for my $seed ($first .. $first + $seeds - 1)
{
	my @behaviors = qw(update upsert append mirror);
	my $behavior = $behaviors[ $seed % 4 ];
	my $on_duplicate = (qw(reject first last))[ int($seed / 4) % 3 ];
	my $whole_table = $behavior eq 'mirror' && $seed % 8 == 7 ? 'true' : 'false';
	my $scope = $whole_table eq 'true' ? 'table' : 'synced';
	my $rows = (5, 40, 400)[ $seed % 3 ];
	my $label = "seed $seed: $behavior, $on_duplicate, $rows rows"
	  . ($scope eq 'table' ? ', whole table' : '');

	my $out = $node->safe_psql('postgres', <<"SQL");
SET client_min_messages = error;
SET jit = off;
SELECT setseed($seed / 10000.0);
DROP TABLE IF EXISTS source, destination, child, tracked CASCADE;
CREATE TABLE source (k1 int, k2 text, v1 text, v2 text, v3 text);
CREATE TABLE destination (note text DEFAULT 'default', v3 jsonb, v2 numeric,
	v1 text CHECK (v1 <> 'bad'), k2 citext, k1 int, PRIMARY KEY (k1, k2));
CREATE TABLE child (k1 int, k2 citext, FOREIGN KEY (k1, k2) REFERENCES destination ON UPDATE CASCADE);
CREATE TABLE tracked (k1 int, k2 citext, PRIMARY KEY (k1, k2));
SELECT censync_drop_sync(name) FROM censync.syncs;
SELECT censync_create_sync('model', 'destination', '$behavior', query => 'SELECT * FROM source',
	options => '{"on_duplicate": "$on_duplicate", "mirror_scope": "$scope", "max_rejected": 1,
				 "max_deletes": 1, "allow_empty_source": true}');
DO \$\$
DECLARE
	wanted outcome;
	got outcome;
	again censync.runs;
	missing bigint;
	surplus bigint;
BEGIN
	FOR round IN 1 .. $rounds LOOP
		CALL fill_source($rows);
		IF random() < 0.1 THEN DELETE FROM source; END IF;
		IF round > 1 OR random() < 0.5 THEN CALL disturb(); END IF;
		wanted := model('$behavior', '$on_duplicate', $whole_table);
		SELECT records_created, records_updated, records_deleted, records_unchanged, records_skipped,
			   records_invalid, records_rejected INTO got FROM censync_run('model');
		SELECT count(*) INTO missing FROM (SELECT k1, k2::text, v1, v2::text, v3::text, note FROM expected
			EXCEPT ALL SELECT k1, k2::text, v1, v2::text, v3::text, note FROM destination) x;
		SELECT count(*) INTO surplus FROM (SELECT k1, k2::text, v1, v2::text, v3::text, note FROM destination
			EXCEPT ALL SELECT k1, k2::text, v1, v2::text, v3::text, note FROM expected) x;
		IF missing + surplus > 0 OR wanted IS DISTINCT FROM got THEN
			RAISE EXCEPTION 'round %: % rows missing, % too many, wanted %, got %',
				round, missing, surplus, wanted, got;
		END IF;
		SELECT * INTO again FROM censync_run('model');
		IF again.status <> 'completed' OR again.records_created + again.records_updated
			+ again.records_deleted > 0 THEN
			RAISE EXCEPTION 'round %: a second run changed something: %', round, again;
		END IF;
	END LOOP;
END \$\$;
SELECT 'agreed';
SQL
	like($out, qr/^agreed$/m, $label);
}

done_testing();
