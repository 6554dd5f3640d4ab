# Tables and rows of unusual shapes: very wide, very big, oddly named, partitioned, inherited, generated, replicated,
# unlogged, under row-level security; and what can be no destination.
use strict;
use warnings;

use Encode ();
use FindBin;
use lib "$FindBin::RealBin/../perl";
use CensyncTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $files = PostgreSQL::Test::Utils::tempdir('files');
my $http = start_http(root => $files);
my $node = new_node('shapes', "wal_level = logical\nmax_wal_senders = 5\nautovacuum = off\nmax_wal_size = 4GB\ncensync.max_record_size = '300MB'", init => [ '--encoding=UTF8', '--locale=C' ]);

create_server($node, 'files', $http, path => '/files/');
# What a run did, without zeros.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION go(sync text) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', r.status, (SELECT string_agg(replace(key, 'records_', '') || ' ' || value, ' ' ORDER BY key) FROM jsonb_each_text(to_jsonb(r))
                                    WHERE key ~ '^records_' AND key <> 'records_read' AND value <> '0'), r.error_code, r.error_message)
    FROM censync_run(sync) r $$;
SQL

test_wide();
test_big();
test_names();
test_partitions();
test_inheritance();
test_generated();
test_replication();
test_storage();
test_row_security();
test_refused();

$node->stop;
done_testing();

sub sql_is
{
	my ($sql, $expected, $what) = @_;
	is($node->safe_psql('postgres', "SET client_min_messages = error;\n$sql"), $expected =~ s/\n\z//r, $what);
	return;
}

# 100 and 1,600 columns, the most that a table can have.
sub test_wide
{
	for my $n (100, 1600)
	{
		my $columns = join ', ', 'id int PRIMARY KEY', map { "c$_ int" } 2 .. $n;
		my $values = join ', ', 'g AS id', map { "g * $_ AS c$_" } 2 .. $n;
		my $source = "wide_source$n";

		# A query has room for 64 columns more than a table: 1,600 are no limit for a source.
		sql_is(<<SQL, <<OUT, "$n columns");
CREATE TABLE wide$n ($columns);
CREATE TABLE $source AS SELECT $values FROM generate_series(1, 50) g;
SELECT censync_create_sync('wide$n', 'wide$n', 'mirror', query => 'SELECT * FROM $source') \\g /dev/null
SELECT go('wide$n'), go('wide$n');
UPDATE $source SET c$n = -1 WHERE id = 7;
UPDATE wide$n SET c2 = 0 WHERE id = 8;
DELETE FROM $source WHERE id = 9;
INSERT INTO $source (id) VALUES (99);
SELECT go('wide$n'), go('wide$n');
SELECT count(*) FROM (TABLE wide$n EXCEPT TABLE $source) x;
COPY (SELECT row_to_json(s) FROM $source s) TO '$files/wide$n.json';
DELETE FROM wide$n WHERE id < 20;
SELECT censync_create_sync('http$n', 'wide$n', 'upsert', server => 'files', object => 'wide$n.json', options => '{"format": "ndjson"}') \\g /dev/null
SELECT go('http$n'), go('http$n');
SELECT count(*) FROM (TABLE wide$n EXCEPT TABLE $source) x;
SQL
completed created 50|completed unchanged 50
completed created 1 deleted 1 unchanged 47 updated 2|completed unchanged 50
0
completed created 18 unchanged 32|completed unchanged 50
0
OUT
	}
	return;
}

# One value of 200 MB.
sub test_big
{
	my $size = 200 * 1024 * 1024;
	my $memory = q{(regexp_match(pg_read_file('/proc/self/status'), 'VmHWM:\s+(\d+) kB'))[1]::int / 1024};

	write_big('big.ndjson', '1', $size);
	write_big('bad.ndjson', '"x"', $size, '{"id": 2, "v": "small"}');
	for my $from ("query => 'SELECT 1 AS id, repeat(''0123456789'', $size / 10) AS v'", "server => 'files', object => 'big.ndjson', options => '{\"format\": \"ndjson\"}'")
	{
		my $what = $from =~ /^query/ ? 'a query' : 'HTTP';
		my $out = $node->safe_psql('postgres', <<SQL);
SET client_min_messages = error;
DROP TABLE IF EXISTS big;
CREATE TABLE big (id int PRIMARY KEY, v text);
SELECT censync_create_sync('big', 'big', 'upsert', $from) \\g /dev/null
SELECT go('big');
SELECT $memory;
SELECT length(v), md5(v) = md5(repeat('0123456789', $size / 10)) FROM big;
SELECT go('big');
SELECT $memory;
SELECT censync_drop_sync('big') \\g /dev/null
SQL
		my ($first, $memory1, $length, $second, $memory2) = split /\n/, $out;
		is("$first, $length, $second", "completed created 1, $size|t, completed unchanged 1", "a text of 200 MB from $what");
		# Memory of other contexts comes on top of what the server itself needs of such a value.
		note "peak of the backend: $memory1 MB at the first run, $memory2 MB after the second";
		cmp_ok($memory2, '<', 2000, 'memory, in MB');
	}
	my $out = $node->safe_psql('postgres', <<SQL);
SET client_min_messages = error;
SELECT censync_create_sync('bad', 'big', 'upsert', server => 'files', object => 'bad.ndjson', options => '{"format": "ndjson"}') \\g /dev/null
SELECT go('bad');
SELECT record_number, reason_code, octet_length(payload::text) BETWEEN 8000 AND 40000 FROM censync.records WHERE run_id = (SELECT max(run_id) FROM censync.runs);
SELECT $memory;
SQL
	my ($run, $record, $peak) = split /\n/, $out;
	is($run, 'completed created 1 invalid 1', 'a bad record of 200 MB');
	is($record, '1|22P02|t', 'of which the beginning is logged');
	note "peak of the backend: $peak MB";

	# Rejected by the table, then: the row it became is as big.
	sql_is(<<SQL, <<OUT, 'a rejected record of 200 MB');
TRUNCATE big;
ALTER TABLE big ADD CHECK (length(v) < 1000);
SELECT censync_create_sync('big', 'big', 'upsert', query => 'SELECT 1 AS id, repeat(''0123456789'', $size / 10) AS v', options => '{"max_rejected": 1}') \\g /dev/null
SELECT go('big');
SELECT record_number, reason_code, octet_length(payload::text) BETWEEN 8000 AND 40000 FROM censync.records WHERE run_id = (SELECT max(run_id) FROM censync.runs);
DROP TABLE big;
SQL
completed rejected 1
1|23514|t
OUT

	# Beyond max_record_size it is refused before it is held.
	sql_is(<<SQL, <<OUT, 'a record above max_record_size');
SET censync.max_record_size = '64MB';
CREATE TABLE big (id int PRIMARY KEY, v text);
SELECT censync_create_sync('limited', 'big', 'upsert', server => 'files', object => 'bad.ndjson', options => '{"format": "ndjson"}') \\g /dev/null
SELECT status, error_code FROM censync_run('limited');
SQL
failed|54000
OUT
	return;
}

sub write_big
{
	my ($name, $id, $size, @more) = @_;
	open(my $file, '>', "$files/$name") or die "$name: $!";
	print $file qq({"id": $id, "v": "), '0123456789' x ($size / 10), qq("}\n), map { "$_\n" } @more;
	close $file or die "$name: $!";
	return;
}

# Names of 63 bytes, of any character.
sub test_names
{
	my $long = 'ü"' . "'" . '\\%s $1; -- /*' . ('x' x 63);
	utf8::decode($long);
	$long = substr($long, 0, length($long) - 1) while length(Encode::encode('UTF-8', $long)) > 63;
	$long = Encode::encode('UTF-8', $long);
	my ($name, $text) = (sql_ident($long), sql_literal($long));
	my $column = sql_ident('c' . substr($long, 3) . 'yy');
	my $json = $column =~ s/^"|"$//gr =~ s/""/"/gr =~ s/([\\"])/\\$1/gr;
	my $mappings = sql_literal(sprintf('{"%s": "%s", "v": {"expression": "%s"}}', map { s/([\\"])/\\$1/gr } $long, $long, $column));

	is(length($long), 63, '63 bytes');
	sql_is(<<SQL, <<OUT, 'names of 63 bytes');
CREATE SCHEMA $name;
CREATE TABLE $name.$name ($name int PRIMARY KEY, v text CONSTRAINT $name CHECK (v <> 'bad'), $column text);
CREATE TABLE $name.source AS SELECT 1 AS $name, 'a'::text AS $column UNION ALL SELECT 2, 'bad';
SELECT censync_create_sync($text, format('%I.%I', $text, $text)::regclass, 'mirror', query => format('SELECT * FROM %I.source', $text), mappings => $mappings) \\g /dev/null
SELECT go($text), go($text);
SELECT record_number, reason_code, sync_key = jsonb_build_object($text, 2) FROM censync.records WHERE run_id = (SELECT max(run_id) FROM censync.runs);
DELETE FROM $name.source WHERE $name = 1;
SELECT censync_alter_sync($text, options => '{"max_deletes": 1, "max_rejected": 1}') \\g /dev/null
SELECT go($text);
SELECT supported, sync_key = ARRAY[$text] FROM censync_objects($text) WHERE table_name = $text;
SQL
completed created 1 rejected 1|completed rejected 1 unchanged 1
2|23514|t
completed deleted 1 rejected 1
t|t
OUT
	return;
}

sub test_partitions
{
	my %by = (hash => ['HASH (id)', map { "FOR VALUES WITH (MODULUS 3, REMAINDER $_)" } 0 .. 2 ],
		range => ['RANGE (id)', 'FOR VALUES FROM (MINVALUE) TO (100)', 'FOR VALUES FROM (100) TO (500)', 'DEFAULT' ],
		list => ['LIST (region)', q(FOR VALUES IN ('eu', 'us')), q(FOR VALUES IN ('cn')), 'DEFAULT' ]);

	$node->safe_psql('postgres', q(CREATE TABLE regional AS SELECT g AS id, (ARRAY['eu', 'us', 'cn', 'xx'])[1 + g % 4] AS region, g AS v FROM generate_series(1, 1000) g));
	for my $kind (sort keys %by)
	{
		my ($how, @parts) = @{ $by{$kind} };
		my $n = 0;
		my $sql = join "\n", map { "CREATE TABLE $kind" . $n++ . " PARTITION OF $kind $_;" } @parts;

		sql_is(<<SQL, <<OUT, "partitions by $kind");
CREATE TABLE $kind (id int, region text, v int CHECK (v <> 13), PRIMARY KEY (region, id)) PARTITION BY $how;
$sql
SELECT censync_create_sync('$kind', '$kind', 'mirror', query => 'SELECT * FROM regional') \\g /dev/null
SELECT go('$kind'), go('$kind');
SELECT count(DISTINCT tableoid) FROM $kind;
BEGIN;
-- The key that is partitioned by changes: another row, to whoever looks for it by its key.
UPDATE regional SET region = 'cn' WHERE id % 100 = 1;
UPDATE regional SET v = -v WHERE id % 100 = 2;
SELECT go('$kind'), go('$kind');
SELECT count(*) FROM (TABLE $kind EXCEPT TABLE regional) x;
ROLLBACK;
SQL
completed created 999 rejected 1|completed rejected 1 unchanged 999
@{[ scalar @parts ]}
completed created 10 deleted 10 rejected 1 unchanged 979 updated 10|completed rejected 1 unchanged 999
0
OUT
	}
	sql_is(<<SQL, <<OUT, 'two levels, and no partition for a row');
CREATE TABLE deep (region text, id int, v int, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE deep_eu PARTITION OF deep FOR VALUES IN ('eu') PARTITION BY RANGE (id);
CREATE TABLE deep_eu1 PARTITION OF deep_eu FOR VALUES FROM (0) TO (500);
CREATE TABLE deep_eu2 PARTITION OF deep_eu FOR VALUES FROM (500) TO (900);
CREATE TABLE deep_us (id int, v int, extra int, region text NOT NULL, PRIMARY KEY (region, id));
ALTER TABLE deep_us DROP COLUMN extra;
ALTER TABLE deep ATTACH PARTITION deep_us FOR VALUES IN ('us');
SELECT censync_create_sync('deep', 'deep', 'upsert', query => 'SELECT * FROM regional') \\g /dev/null
SELECT go('deep'), go('deep');
SELECT reason_code, count(*) FROM censync.records WHERE run_id = (SELECT min(run_id) FROM censync.runs WHERE sync = 'deep') GROUP BY 1;
SELECT tableoid::regclass, count(*) FROM deep GROUP BY 1 ORDER BY tableoid::regclass::text;
SELECT censync_create_sync('leaf', 'deep_us', 'upsert', query => 'SELECT id, region, -v AS v FROM regional WHERE region = ''us''') \\g /dev/null
SELECT go('leaf'), go('leaf');
SQL
completed created 474 rejected 526|completed rejected 526 unchanged 474
23514|526
deep_eu1|124
deep_eu2|100
deep_us|250
completed updated 250|completed unchanged 250
OUT
	return;
}

# The key does not cover the rows of children: they are none of the destination's.
sub test_inheritance
{
	sql_is(<<SQL, <<OUT, 'inheritance');
CREATE TABLE parent (id int PRIMARY KEY, v text);
CREATE TABLE child (more text) INHERITS (parent);
INSERT INTO parent VALUES (1, 'old');
INSERT INTO child VALUES (1, 'old', 'of the child'), (2, 'old', 'of the child');
SELECT censync_create_sync('parent', 'parent', 'mirror', query => 'SELECT i AS id, ''new''::text AS v FROM generate_series(1, 3) i', options => '{"mirror_scope": "table"}') \\g /dev/null
SELECT go('parent'), go('parent');
SELECT * FROM ONLY parent ORDER BY id;
SELECT * FROM child ORDER BY id;
SQL
completed created 2 updated 1|completed unchanged 3
1|new
2|new
3|new
1|old|of the child
2|old|of the child
OUT
	return;
}

sub test_generated
{
	sql_is(<<SQL, <<OUT, 'generated and identity columns');
CREATE TABLE made (id int PRIMARY KEY, always int GENERATED ALWAYS AS IDENTITY (START 100), given int GENERATED BY DEFAULT AS IDENTITY (START 500),
  v int, double int GENERATED ALWAYS AS (v * 2) STORED, s serial, moment timestamptz DEFAULT now());
SELECT censync_create_sync('made', 'made', 'upsert', query => 'SELECT i AS id, i AS v, 7 AS always, 7 AS double, CASE WHEN i = 2 THEN 9 END AS given FROM generate_series(1, 2) i',
  mappings => '{"id": "id", "v": "v", "given": {"source": "given", "when_null": "skip"}}') \\g /dev/null
SELECT go('made'), go('made');
SELECT id, always, given, v, double, s FROM made ORDER BY id;
SELECT censync_create_sync('by name', 'made', 'upsert', query => 'SELECT i AS id, -i AS v, 7 AS always, 7 AS double FROM generate_series(1, 3) i') \\g /dev/null
SELECT go('by name'), go('by name');
SELECT id, always, v, double, s FROM made ORDER BY id;
SQL
completed created 2|completed unchanged 2
1|100|500|1|2|1
2|101|9|2|4|2
completed created 1 updated 2|completed unchanged 3
1|100|-1|-2|1
2|101|-2|-4|2
3|102|-3|-6|3
OUT
	return;
}

# Changes reach subscribers exactly; what is unchanged sends nothing.
sub test_replication
{
	my $subscriber = new_node('subscriber', 'wal_level = logical');
	my $from = $node->connstr('postgres');
	my $decoded = "SELECT regexp_replace(data, '^table public.published: ', '') FROM pg_logical_slot_get_changes('watch', NULL, NULL, 'include-xids', '0') WHERE data ~ '^table public.published:'";

	$_->safe_psql('postgres', 'CREATE TABLE published (id int PRIMARY KEY, v text, n numeric)') for $node, $subscriber;
	sql_is(<<SQL, <<OUT, 'what is decoded of a run');
CREATE PUBLICATION p FOR TABLE published;
SELECT FROM pg_create_logical_replication_slot('watch', 'test_decoding') \\g /dev/null
CREATE TABLE to_publish AS SELECT g AS id, 'v' || g AS v, 1.0 AS n FROM generate_series(1, 1000) g;
SELECT censync_create_sync('published', 'published', 'mirror', query => 'SELECT * FROM to_publish') \\g /dev/null
CALL censync_sync('published');
SELECT count(*), count(*) FILTER (WHERE data ~ '^INSERT:') FROM ($decoded) d (data);
CALL censync_sync('published');
SELECT count(*) FROM ($decoded) d (data);
UPDATE to_publish SET n = 1.00 WHERE id = 500;
DELETE FROM to_publish WHERE id = 1;
INSERT INTO to_publish VALUES (2000, NULL, 'NaN');
CALL censync_sync('published');
CREATE TEMP TABLE changes AS SELECT row_number() OVER () AS n, xid, data FROM pg_logical_slot_get_changes('watch', NULL, NULL, 'include-xids', '0');
SELECT regexp_replace(data, '^table public.published: ', '') FROM changes WHERE data ~ 'public.published' ORDER BY n;
SELECT count(DISTINCT xid::text) FROM changes WHERE data ~ 'public.published';
SQL
1000|1000
0
DELETE: id[integer]:1
UPDATE: id[integer]:500 v[text]:'v500' n[numeric]:1.00
INSERT: id[integer]:2000 v[text]:null n[numeric]:NaN
1
OUT

	$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION s CONNECTION " . sql_literal($from) . " PUBLICATION p");
	wait_for($subscriber, q(SELECT count(*) = 1 AND bool_and(srsubstate = 'r') FROM pg_subscription_rel)) or die 'the subscription does not begin';
	$node->safe_psql('postgres', <<'SQL');
UPDATE to_publish SET v = v || '!' WHERE id % 10 = 0;
DELETE FROM to_publish WHERE id % 10 = 1;
INSERT INTO to_publish SELECT g, 'new', g FROM generate_series(3000, 3100) g;
CALL censync_sync('published');
SQL
	$node->wait_for_catchup('s');
	is(table_state($subscriber, 'published', contents => 1), table_state($node, 'published', contents => 1), 'a subscriber has the same rows');

	# It may be the destination of a sync of its own.
	is( $subscriber->safe_psql('postgres', <<'SQL'), "completed|1|1\n5000|here", 'a subscriber as a destination');
SET client_min_messages = error;
SELECT censync_create_sync('here', 'published', 'upsert', query => $$VALUES (5000, 'here', 1), (500, 'changed', 1)$$, mappings => '{"id": "column1", "v": "column2"}') \g /dev/null
SELECT status, records_created, records_updated FROM censync_run('here');
SELECT id, v FROM published WHERE id = 5000;
SQL
	$subscriber->safe_psql('postgres', 'DELETE FROM published WHERE id = 5000; DROP SUBSCRIPTION s');
	$subscriber->stop;

	sql_is(<<SQL, <<OUT, 'replica identity');
ALTER TABLE published REPLICA IDENTITY FULL;
UPDATE to_publish SET v = 'full' WHERE id = 500;
SELECT go('published');
ALTER TABLE published REPLICA IDENTITY NOTHING;
SELECT go('published');
UPDATE to_publish SET v = 'nothing' WHERE id = 500;
SELECT go('published');
SELECT v FROM published WHERE id = 500;
SELECT error_hint FROM censync.runs ORDER BY run_id DESC LIMIT 1;
ALTER TABLE published REPLICA IDENTITY DEFAULT;
SELECT go('published');
SELECT pg_drop_replication_slot('watch') \\g /dev/null
SQL
completed unchanged 1001 updated 1
completed unchanged 1002
failed 55000 cannot update table "published" because it does not have a replica identity and publishes updates
full
To enable updating the table, set REPLICA IDENTITY using ALTER TABLE.
completed unchanged 1001 updated 1
OUT
	return;
}

sub test_storage
{
	my $directory = PostgreSQL::Test::Utils::tempdir('space');

	sql_is(<<SQL, <<OUT, 'unlogged, temporary, and elsewhere');
CREATE TABLESPACE elsewhere LOCATION '$directory';
CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY, v text);
CREATE TABLE moved (id int, v text, PRIMARY KEY (id) USING INDEX TABLESPACE elsewhere) WITH (fillfactor = 50) TABLESPACE elsewhere;
CREATE TEMP TABLE temporary (id int PRIMARY KEY, v text);
SELECT censync_create_sync(t, t::regclass, 'mirror', query => 'SELECT i AS id, i::text AS v FROM generate_series(1, 100) i') FROM unnest(ARRAY['unlogged', 'moved', 'temporary']) t \\g /dev/null
SELECT go(t), go(t) FROM unnest(ARRAY['unlogged', 'moved', 'temporary']) t;
SQL
completed created 100|completed unchanged 100
completed created 100|completed unchanged 100
completed created 100|completed unchanged 100
OUT
	return;
}

# Forced on the owner: rows he can't see are no rows of a run's, and what he may not write is rejected.
sub test_row_security
{
	sql_is(<<SQL, <<OUT, 'row-level security, forced');
CREATE ROLE etl;
CALL censync_admit('etl', 'owner');
GRANT CREATE ON SCHEMA public TO etl;
SET SESSION AUTHORIZATION etl;
CREATE TABLE guarded (id int PRIMARY KEY, tenant text, v int);
INSERT INTO guarded VALUES (1, 'a', 1), (2, 'b', 2), (3, 'a', 3), (4, 'b', 4);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
ALTER TABLE guarded FORCE ROW LEVEL SECURITY;
CREATE POLICY mine ON guarded USING (tenant = 'a') WITH CHECK (tenant = 'a');
SELECT censync_create_sync('guarded', 'guarded', 'mirror', query => \$\$VALUES (1, 'a', 10), (5, 'a', 50), (6, 'b', 60), (2, 'a', 20)\$\$,
  mappings => '{"id": "column1", "tenant": "column2", "v": "column3"}', options => '{"mirror_scope": "table", "max_rejected": 1}') \\g /dev/null
SELECT go('guarded');
SELECT record_number, operation, reason_code FROM censync.records ORDER BY 1;
RESET SESSION AUTHORIZATION;
SELECT * FROM guarded ORDER BY id;
SQL
completed created 1 deleted 1 rejected 2 updated 1
3|insert|42501
4|insert|23505
1|a|10
2|b|2
4|b|4
5|a|50
OUT
	return;
}

sub test_refused
{
	$node->safe_psql('postgres', <<'SQL');
CREATE VIEW a_view AS SELECT 1 AS id;
CREATE MATERIALIZED VIEW a_matview AS SELECT 1 AS id;
CREATE UNIQUE INDEX ON a_matview (id);
CREATE FOREIGN TABLE a_foreign (id int) SERVER files;
CREATE SEQUENCE a_sequence;
CREATE TABLE a_keyless (id int);
SQL
	for my $table (qw(a_view a_matview a_foreign a_sequence a_keyless pg_catalog.pg_class))
	{
		my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT censync_create_sync('refused', '$table', 'upsert', query => 'SELECT 1 AS id', sync_key => NULL)");
		isnt($status, 0, "$table is refused");
		like($err, qr/ERROR:  (42809|55000|0A000): .*cannot be a destination: /, "$table: with a reason");
	}
	return;
}
