# Foreign tables over another cluster: import, what random predicates and limits find there, what becomes of
# connections, and memory.
#
# CENSYNC_FOREIGN_SEED repeats a run, CENSYNC_FOREIGN_PREDICATES says how many predicates are tried.
use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncPredicates;
use CensyncTest;
use Encode qw(encode_utf8);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $seed       = $ENV{CENSYNC_FOREIGN_SEED} || int(time) % 1_000_000;
my $predicates = $ENV{CENSYNC_FOREIGN_PREDICATES} || 250;
diag "seed $seed";
srand $seed;

my $far  = new_node('far', "timezone = 'Asia/Kolkata'\nDateStyle = 'German'\nIntervalStyle = 'sql_standard'\nsynchronize_seqscans = off", extension => 0);
my $near = new_node('near', "timezone = 'America/New_York'\nDateStyle = 'SQL, DMY'");

sub on_near { my ($sql, %options) = @_; return $near->safe_psql('postgres', encode_utf8($sql), %options) }
sub on_far  { return $far->safe_psql('postgres', encode_utf8($_[0])) }

# What a statement fails with, and the context it fails in.
sub error_of
{
	my ($sql) = @_;
	my ($rc, $out, $err) = $near->psql('postgres', encode_utf8("\\set VERBOSITY verbose\n$sql"));
	isnt($rc, 0, "fails: $sql");
	return $err;
}

# Backends over there that serve this extension.
sub far_backends { return on_far(q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'censync'}) }

sub no_backend_left
{
	my ($name) = @_;
	my $until = time + 10;
	sleep 0.02 while far_backends() > 0 && time < $until;
	is(far_backends(), 0, "$name: no connection is left");
	return;
}

on_near(sprintf(q{CREATE SERVER far TYPE 'postgres' FOREIGN DATA WRAPPER censync OPTIONS (host %s, port '%d', database 'postgres');
	CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (user %s)},
	sql_literal($far->host), $far->port, sql_literal(on_far('SELECT current_user'))));

# As compare_predicates wants them.  Those of "ci" are equal there without regard to case, those of "tz" are text of a type that is none here.
my @strings = ("", "a", "A", "ab", "a ", "'", '\\', q{\\'"}, "é", "É", "日本", "z%_", "null", "NULL");
my %columns = (
	int_  => ['int',         map { "$_" } -2147483648, -7, -1, 0, 1, 2, 3, 7, 42, 2147483647],
	small => ['smallint',    map { "$_" } -32768, -1, 0, 1, 5, 32767],
	big   => ['bigint',      map { "$_" } '-9223372036854775808', -1, 0, 1, 2147483648, '9223372036854775807'],
	num   => ['numeric',     qw(-1.5 0 0.00 1 1.0 1.05 99999999999999999999.000001 NaN)],
	money => ['numeric(8,2)', qw(-1.50 0 0.01 1.05 99999.99)],
	real_ => ['real',        qw(-1.5 0 0.1 1e30 NaN Infinity)],
	dbl   => ['float8',      qw(-1.5 0 -0 0.1 0.30000000000000004 1e300 NaN Infinity -Infinity)],
	bool_ => ['boolean',     qw(true false)],
	day   => ['date',        '2024-02-29', '1999-12-31', '2000-01-01', '0044-03-15 BC', 'infinity', '-infinity'],
	ts    => ['timestamp',   '2024-03-31 02:30:00', '2000-01-01 00:00:00.000001', 'infinity'],
	tz    => ['timestamptz', '2024-03-31 02:30:00+05:30', '2000-01-01 00:00:00.000001Z', '2024-11-03 01:30:00-05', '-infinity'],
	tod   => ['time',        '00:00', '24:00', '12:34:56.789'],
	uuid_ => ['uuid',        '00000000-0000-0000-0000-000000000000', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'],
	str   => ['text',        @strings],
	ci    => ['text',        @strings],
	vc    => ['varchar(20)', @strings],
	fixed => ['char(3)',     'a', 'A', 'ab', 'abc', 'é'],
	mood  => ['text',        qw(sad ok happy)],
	span  => ['interval',    '1 day', '24 hours', '1 mon', '-3 days 04:05:06'],
	bits  => ['bytea',       '\\x', '\\x00', '\\xff']);
my @names = sort keys %columns;

sub create_rows
{
	my $types = join ', ', map {
		$_ eq 'mood' ? "mood mood" : $_ eq 'ci' ? 'ci text COLLATE ignoring_case' : "$_ $columns{$_}[0]"
	} @names;
	on_far(qq{CREATE COLLATION ignoring_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
		CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
		CREATE TABLE odd (id int PRIMARY KEY, $types)});
	my @rows = map {
		my $id = $_;
		"($id, " . join(', ', map { rand() < 0.1 ? 'NULL' : sql_literal(any_value(\%columns, $_)) } @names) . ')'
	} 1 .. 400;
	on_far("INSERT INTO odd VALUES " . join(",\n", @rows));
	on_near('IMPORT FOREIGN SCHEMA public LIMIT TO (odd) FROM SERVER far INTO public');
	on_near('CREATE TABLE copy AS SELECT * FROM odd');
	my $canonical = q{SET DateStyle = ISO; SET IntervalStyle = postgres; SET TimeZone = 'UTC'};
	my $list = join ', ', 'id', @names;
	is(on_near("$canonical; SELECT md5(string_agg(t::text, E'\\n' ORDER BY id)) FROM (SELECT $list FROM copy) t"),
		on_far("$canonical; SELECT md5(string_agg(t::text, E'\\n' ORDER BY id)) FROM (SELECT $list FROM odd) t"),
		'a copy of the foreign table is what there is');
	return;
}

# Names as they may be there.
sub test_names
{
	my $long = 'é' x 31 . 'x';
	my @tables = ('Upper', 'with.dot', 'with"quote', q{it's}, 'select', $long, '日本', ' blank ', 'a\\b', '$x$', '%s');
	on_far('CREATE SCHEMA "Odd.Names";' . join '', map {
		my $name = sql_ident($_);
		qq{CREATE TABLE "Odd.Names".$name ($name int NOT NULL, n int); INSERT INTO "Odd.Names".$name VALUES (1, 2);}
	} @tables);
	on_near('CREATE SCHEMA names; IMPORT FOREIGN SCHEMA "Odd.Names" FROM SERVER far INTO names');
	is(on_near(q{SELECT string_agg(relname, '|' ORDER BY relname COLLATE "C") FROM pg_class WHERE relnamespace = 'names'::regnamespace}),
		encode_utf8(join '|', sort @tables), 'tables keep their names');
	foreach my $table (@tables)
	{
		my $name = sql_ident($table);
		is(on_near("SELECT $name + n FROM names.$name WHERE $name = 1 AND n IS NOT NULL LIMIT 1"), 3, encode_utf8("$table is read"));
	}
	on_near('CREATE SCHEMA part; IMPORT FOREIGN SCHEMA "Odd.Names" LIMIT TO (' . join(', ', map { sql_ident($_) } $long, 'Upper') . ') FROM SERVER far INTO part');
	is(on_near(q{SELECT count(*) FROM pg_class WHERE relnamespace = 'part'::regnamespace}), 2, 'two are asked for');
	return;
}

# However a scan ends, its connection does.
sub test_connections
{
	on_far(q{CREATE TABLE large AS SELECT i AS id, repeat('x', 1000) AS filler FROM generate_series(1, 200000) i});
	on_near('IMPORT FOREIGN SCHEMA public LIMIT TO (large) FROM SERVER far INTO public;
		CREATE FOREIGN TABLE slow (i int) SERVER far OPTIONS (query $$SELECT i FROM generate_series(1, 1000000) i WHERE pg_sleep(0.01) IS NOT NULL$$)');
	my $session = $near->background_psql('postgres', on_error_stop => 0);
	is($session->query('SELECT id FROM large WHERE id % 2 = 0 LIMIT 1'), 2, 'a limit that stays here ends the read');
	no_backend_left('LIMIT');
	$session->query('BEGIN; DECLARE c CURSOR FOR SELECT id FROM large; FETCH 3 FROM c');
	is(far_backends(), 1, 'a cursor holds a connection');
	$session->query('CLOSE c');
	no_backend_left('CLOSE');
	$session->query('DECLARE c CURSOR FOR SELECT id FROM large; FETCH 3 FROM c; ROLLBACK');
	no_backend_left('ROLLBACK');
	$session->query('BEGIN; SAVEPOINT s; DECLARE c CURSOR FOR SELECT id FROM large; FETCH 3 FROM c; ROLLBACK TO s');
	no_backend_left('ROLLBACK TO');
	$session->query('DECLARE c CURSOR FOR SELECT id FROM large; SAVEPOINT s; FETCH 3 FROM c; SELECT 1 / 0; ROLLBACK TO s');
	is($session->query('FETCH 1 FROM c'), 4, 'a read that was begun outside goes on after a savepoint');
	$session->query('COMMIT');
	no_backend_left('COMMIT');
	$session->query('SELECT 1 / (id - 150000) FROM large');
	no_backend_left('an error in the midst of a read');
	$session->query("SET statement_timeout = '300ms'; SELECT count(*) FROM slow");
	no_backend_left('statement_timeout');
	$session->query("RESET statement_timeout");
	$session->quit;
	return;
}

sub test_lost_connection
{
	my $session = $near->background_psql('postgres', on_error_stop => 0);
	$session->query('BEGIN; DECLARE c CURSOR FOR SELECT id FROM large; FETCH 3 FROM c');
	on_far(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'censync'});
	no_backend_left('killed');
	$session->{stderr} = '';
	$session->query('MOVE ALL FROM c');
	like($session->{stderr}, qr/ERROR:/, 'a read whose connection was lost is no end');
	$session->quit;
	return;
}

# A sample of large rows must not be larger than it may.
sub test_analyze
{
	my $session = $near->background_psql('postgres');
	$session->query("SET application_name = 'analyzing'; SET maintenance_work_mem = '8MB'; SELECT count(*) FROM odd");
	my $pid = backend_pid($near, 'analyzing');
	my $before = rss_kb($pid);
	my $most = $before;
	$session->query_until(qr/started/, "\\echo started\nANALYZE large;\n\\echo ended\n");
	while (on_near("SELECT state FROM pg_stat_activity WHERE pid = $pid") eq 'active')
	{
		my $now = rss_kb($pid);
		$most = $now if $now > $most;
	}
	cmp_ok($most - $before, '<', 60_000, sprintf 'ANALYZE of 200 MB took %d kB', $most - $before);
	$session->quit;
	is(on_near(q{SELECT reltuples FROM pg_class WHERE relname = 'large'}), 200000, 'and knows their number');
	like(on_near('EXPLAIN SELECT * FROM large WHERE id < 100001'), qr/rows=(9[5-9]|10[0-5])\d{3}\b/, 'the planner uses it');
	no_backend_left('ANALYZE');
	return;
}

# What was imported is no longer there.
sub test_drift
{
	on_far('CREATE TABLE drift (id int, a text, b int); INSERT INTO drift VALUES (1, $$x$$, 2)');
	on_near('IMPORT FOREIGN SCHEMA public LIMIT TO (drift) FROM SERVER far INTO public');
	on_far('ALTER TABLE drift RENAME a TO c');
	my $error = error_of('SELECT a FROM drift');
	like($error, qr/ERROR:  42703: column "a" does not exist/, 'a renamed column');
	like($error, qr/HINT:/, 'with a hint');
	is(on_near('SELECT b FROM drift WHERE b > 1'), 2, 'others can be read');
	on_far('ALTER TABLE drift ALTER b TYPE text USING $$two$$');
	$error = error_of('SELECT b FROM drift WHERE b > 1');
	like($error, qr/ERROR:  22P02: invalid input syntax for type integer: "two"/, 'a retyped column');
	like($error, qr/HINT:  Column "b" of the source is of type text\.\nCONTEXT:  column "b" of foreign table "drift", record 1/,
		'says which, where, and what it is there');
	on_far('DROP TABLE drift');
	$error = error_of('SELECT b FROM drift');
	like($error, qr/ERROR:  42P01: relation "public.drift" does not exist/, 'a dropped table');
	like($error, qr/HINT:/, 'with a hint');
	$far->stop;
	like(error_of('SELECT id FROM large'), qr/ERROR:  08001:.*HINT:/s, 'a server that is down');
	is(on_near('EXPLAIN (COSTS off) SELECT id FROM large WHERE id = 1'), join("\n",
		'Foreign Scan on large', '  Filter: (id = 1)', '  Object: public.large',
		q{  Remote Statement: SELECT "id" FROM "public"."large" WHERE "id" = '1'::pg_catalog.int4}), 'EXPLAIN needs no connection');
	return;
}

create_rows();
compare_predicates($near, 'odd', 'copy', \%columns, $predicates);
test_names();
test_connections();
test_lost_connection();
test_analyze();
test_drift();
$near->stop;
done_testing();
