# A second PostgreSQL as a source: every value of every type arrives as it is, whatever its type is there and here, and
# however large or wide it is.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use CensyncTest;
use CensyncRemote;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Literals by type; NULL is tried with each.  Written as in SQL's '...'.
my %values = (
	bool => [ 't', 'f' ],
	bytea => [ '', '\x00', '\x00ff', '\x' . 'ab' x 126, '\x' . 'cd' x 127, '\x' . 'ef' x 5000 ],
	'"char"' => [ 'a', '', '\377' ],
	int2 => [ -32768, 32767, 0 ],
	int4 => [ -2147483648, 2147483647, 0 ],
	int8 => [ '-9223372036854775808', '9223372036854775807', 0 ],
	float4 => [ 'NaN', 'Infinity', '-Infinity', '-0', '1e-45', '3.4028235e38', '0.1' ],
	float8 => [ 'NaN', 'Infinity', '-Infinity', '-0', '5e-324', '1.7976931348623157e308', '0.1' ],
	numeric => [ 'NaN', 'Infinity', '-Infinity', '0', '0.00', '1.50', '-1e-1000', '9' x 2000, '1e100' ],
	'numeric(10,2)' => [ '12345678.90', '-0.01', 'NaN' ],
	'numeric(3,-2)' => ['99900'],
	text => [ '', ' ', "\x{e4}\x{20ac}\x{1f600}", 'x' x 126, 'y' x 127, 'z' x 100000, "a\tb\nc\\d", '\N', 'NULL' ],
	'varchar(5)' => [ '', 'abcde', "\x{e4}\x{f6}\x{fc}\x{df}\x{20ac}" ],
	'char(5)' => [ '', 'ab', "\x{20ac}" ],
	name => [ 'a', 'n' x 63 ],
	uuid => [ '00000000-0000-0000-0000-000000000000', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' ],
	date => [ 'infinity', '-infinity', '4713-01-01 BC', '5874897-12-31', '2000-01-01' ],
	time => [ '00:00:00', '24:00:00', '23:59:59.999999' ],
	'time(0)' => ['12:34:56'],
	timetz => [ '23:59:59.999999-15:59', '00:00:00+15:59', '24:00:00+00' ],
	timestamp => [ 'infinity', '-infinity', '4713-01-01 00:00:00 BC', '294276-12-31 23:59:59.999999' ],
	timestamptz => [ 'infinity', '-infinity', '4713-01-01 00:00:00+00 BC', '2024-10-27 02:30:00+02' ],
	'timestamptz(3)' => ['2024-01-02 03:04:05.678+00'],
	interval => [ '178000000 years', '-1 mon 1 day -00:00:00.000001', '0' ],
	'interval day to second(3)' => ['1 day 02:03:04.567'],
	json => [ '{"a" : 1,  "a":2}', '"\u00e4"', 'null', '[' . '1,' x 500 . '2]' ],
	jsonb => [ '{"b": 1.10, "a": null}', '"x"', '[]' ],
	xml => ['<a b="c">d</a>'],
	inet => [ '::1/64', '10.1.2.3/8', '255.255.255.255' ],
	cidr => [ '10.0.0.0/8', '::/0' ],
	macaddr => ['08:00:2b:01:02:03'],
	macaddr8 => ['08:00:2b:01:02:03:04:05'],
	'bit(3)' => ['101'],
	varbit => [ '', '1', '1' x 1000 ],
	point => [ '(1,2)', '(NaN,-Infinity)' ],
	line => ['{1,2,3}'], lseg => ['[(1,2),(3,4)]'], box => ['(3,4),(1,2)'], path => [ '[(1,2),(3,4)]', '((1,2),(3,4))' ],
	polygon => ['((1,2),(3,4),(5,6))'], circle => ['<(1,2),3>'],
	tsvector => [ '', q{'a':1A 'b':2,3}, q{'it''s'} ], tsquery => [ '', q{'a' & !'b':*A} ],
	money => [ '-92233720368547758.08', '1234.56' ],
	oid => [ 0, 4294967295 ], xid => [4294967295], xid8 => ['18446744073709551615'], cid => [1], tid => ['(4294967295,65535)'],
	int2vector => [ '', '1 -2' ], oidvector => [ '', '1 2' ],
	pg_lsn => ['FFFFFFFF/FFFFFFFF'], pg_snapshot => ['10:20:10,14,15'], txid_snapshot => ['10:20:10,14,15'],
	jsonpath => ['$."a"[*]?(@ > 1)'],
	int4range => [ 'empty', '[1,10)', '(,)' ], int8range => ['[1,)'], numrange => ['(1.10,2.20]'],
	daterange => ['[2024-01-01,infinity)'], tsrange => ['["2024-01-01 00:00:00","2024-01-02 00:00:00")'],
	tstzrange => ['["2024-01-01 00:00:00+00",)'],
	int4multirange => [ '{}', '{[1,2),[5,6)}' ], nummultirange => ['{[1.1,2.20)}'], int8multirange => ['{(,)}'],
	datemultirange => ['{[2024-01-01,2024-01-03)}'], tsmultirange => ['{}'], tstzmultirange => ['{(,"2024-01-01 00:00:00+00")}'],
	regclass => ['pg_class'], regtype => ['integer'], regproc => ['now'], regrole => ['postgres'], regnamespace => ['pg_catalog'],
	aclitem => ['postgres=r/postgres'], refcursor => [ '', 'c' ],
	'int4[]' => [ '{}', '{NULL}', '[0:1]={1,2}', '{{1,2},{3,4}}' ], 'text[]' => [ '{"",NULL,"a\"b",NULL}' ],
	'numeric[]' => ['{1.10,NaN}'], 'timestamptz[]' => ['{infinity,2024-01-01 00:00:00+00}'], 'regclass[]' => ['{pg_class}'],
	'int4range[]' => ['{"[1,2)",empty}'],
	mood => [ 'sad', "it's" ], 'mood[]' => ['{sad,NULL}'], pair => [ '(1,"a,b")', '(,)' ], 'pair[]' => ['{"(1,a)"}'],
	positive => [1], short => [ '', 'abc' ], '"Odd ""Domain"' => ['x'], 'positive[]' => ['{1,2}'], floatrange => ['[1.5,2)'],
	citext => [ '', 'Abc' ], hstore => ['"a"=>NULL, "b"=>"c\"d"'],
);

my $node = new_node('here');
my $remote = new_remote('there');

create_remote_server($node, 'there', $remote);
make_types($node, 1);
make_types($remote, 0);
test_values();
test_every_type();
test_same_through_text();
test_empty();
test_wide();
test_large();
test_query_forms();
test_one_snapshot();
test_let_go();
test_incremental();
test_encodings();
ok(is_quiet($remote), 'no connection is left');

$node->stop;
$remote->stop;
done_testing();

# Types of the user's own; in an other order, so with other OIDs, on either side.
sub make_types
{
	my ($cluster, $backwards) = @_;
	my @sql = (
		"CREATE TYPE mood AS ENUM ('sad', 'it''s');",
		'CREATE TYPE pair AS (a int, b text);',
		'CREATE DOMAIN positive AS int CHECK (VALUE > 0);',
		'CREATE DOMAIN short AS varchar(3); CREATE DOMAIN "Odd ""Domain" AS short NOT NULL;',
		'CREATE TYPE floatrange AS RANGE (subtype = float8);',
		'CREATE EXTENSION citext;', 'CREATE EXTENSION hstore;');
	$cluster->safe_psql('postgres', join ' ', $backwards ? reverse @sql : @sql);
}

# A table with a column of each type on both sides.
sub test_values
{
	my @types = sort keys %values;
	my $columns = join ', ', map { "c$_ $types[$_]" } 0 .. $#types;
	my $rows = 0;
	foreach my $list (values %values)
	{
		$rows = @$list if @$list > $rows;
	}
	$_->safe_psql('postgres', "CREATE TABLE every_value (id int PRIMARY KEY, $columns)") for $node, $remote;
	foreach my $row (0 .. $rows)
	{
		my @row = map { my $value = $values{$_}[$row]; $_ eq '"Odd ""Domain"' ? 'x' : $value } @types;
		my $sql = "INSERT INTO every_value VALUES ($row, " . join(', ', map { defined $_ ? "'" . s/'/''/gr . "'" : 'NULL' } @row) . ')';
		utf8::encode($sql);
		$remote->safe_psql('postgres', $sql);
	}
	$node->safe_psql('postgres', "SELECT censync_create_sync('every_value', 'every_value', 'mirror', server => 'there', object => 'every_value')");
	my $run = run_sync($node, 'every_value');
	is($run->{status}, 'completed', 'a table of every type is read') or diag($run->{error_message});
	is($run->{records_created}, $rows + 1, 'all of it');
	foreach my $i (0 .. $#types)
	{
		my $sql = "SET extra_float_digits = 3; SELECT string_agg(coalesce(md5(c$i\::text) || left(c$i\::text, 40), 'NULL'), '|' ORDER BY id) FROM every_value";
		is($node->safe_psql('postgres', $sql), $remote->safe_psql('postgres', $sql), "$types[$i]: values are the same");
	}
	$run = run_sync($node, 'every_value');
	is($run->{records_unchanged}, $rows + 1, 'the same again changes nothing');
}

# Each type of the catalog, arrays too, can at least be NULL.
sub test_every_type
{
	my @types = split /\n/, $remote->safe_psql('postgres', <<'SQL');
SELECT format_type(oid, NULL) FROM pg_type
WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm')
AND oid NOT IN (SELECT reltype FROM pg_class) AND typelem NOT IN (SELECT reltype FROM pg_class)
ORDER BY oid
SQL
	cmp_ok(scalar @types, '>', 80, 'there are many types');
	my $select = 'SELECT 1 AS id' . join '', map { ", NULL::$types[$_] AS c$_" } 0 .. $#types;
	my $list = join ', ', map { "c$_ text" } 0 .. $#types;
	$node->safe_psql('postgres', "CREATE TABLE every_type (id int PRIMARY KEY, $list); SELECT censync_create_sync('every_type', 'every_type', 'upsert', "
		  . 'server => \'there\', query => ' . sql_literal($select) . ')');
	my $run = run_sync($node, 'every_type');
	is($run->{status}, 'completed', 'a NULL of every type') or diag($run->{error_message});
	# The server's own tables have the odd ones among them.
	foreach my $table (qw(pg_type pg_class pg_attribute pg_proc pg_index pg_statistic pg_stats pg_attrdef pg_database pg_authid pg_replication_slots))
	{
		my $rows = $remote->safe_psql('postgres', "SELECT count(*) FROM pg_catalog.$table");
		is($node->safe_psql('postgres', "SELECT count(*) FROM censync_preview('there', object => 'pg_catalog.$table', \"limit\" => 100000)"),
			$rows, "pg_catalog.$table can be read");
	}
}

# What the destination knows as text arrives as the text it has there.
sub test_same_through_text
{
	my $columns = join ', ', map { "c$_ text" } 0 .. keys(%values) - 1;
	$node->safe_psql('postgres', "CREATE TABLE as_text (id int PRIMARY KEY, $columns);
		SELECT censync_create_sync('as_text', 'as_text', 'upsert', server => 'there', object => 'every_value')");
	my $run = run_sync($node, 'as_text');
	is($run->{status}, 'completed', 'into columns of text') or diag($run->{error_message});
	foreach my $i (0 .. keys(%values) - 1)
	{
		my $type = (sort keys %values)[$i];
		next if $type eq '"char"' || $type eq 'money';
		is($node->safe_psql('postgres', "SELECT string_agg(coalesce(md5(c$i) || left(c$i, 20), 'NULL'), '|' ORDER BY id) FROM as_text"),
			$remote->safe_psql('postgres', "SET timezone = 'UTC'; SET extra_float_digits = 3; SELECT string_agg(coalesce(md5(c$i\::text) || left(c$i\::text, 20), 'NULL'), '|' ORDER BY id) FROM every_value"),
			"$type as text");
	}
}

sub test_empty
{
	$remote->safe_psql('postgres', 'CREATE TABLE empty (id int PRIMARY KEY, v text); CREATE TABLE nothing ()');
	$node->safe_psql('postgres', q{CREATE TABLE empty (id int PRIMARY KEY, v text);
		SELECT censync_create_sync('empty', 'empty', 'upsert', server => 'there', object => 'empty')});
	my $run = run_sync($node, 'empty');
	is("$run->{status} $run->{records_read}", 'completed 0', 'a table without rows');
	my (undef, undef, $err) = $node->psql('postgres', "SELECT * FROM censync_preview('there', object => 'nothing')");
	like($err, qr/the source query returns no columns/, 'a table without columns');
}

sub test_wide
{
	my $columns = join ', ', map { "c$_ int" } 2 .. 1600;
	$_->safe_psql('postgres', "CREATE TABLE wide (c1 int PRIMARY KEY, $columns)") for $node, $remote;
	$remote->safe_psql('postgres', 'INSERT INTO wide (c1, c2, c1600) SELECT g, -g, g + 5 FROM generate_series(1, 10) g');
	$node->safe_psql('postgres', q{SELECT censync_create_sync('wide', 'wide', 'upsert', server => 'there', object => 'wide')});
	my $run = run_sync($node, 'wide');
	is("$run->{status} $run->{records_created}", 'completed 10', '1,600 columns') or diag($run->{error_message});
	is(table_state($node, 'wide', contents => 1), table_state($remote, 'wide', contents => 1), '... are the same');
}

sub test_large
{
	$_->safe_psql('postgres', 'CREATE TABLE large (id int PRIMARY KEY, t text, b bytea, j jsonb)') for $node, $remote;
	$remote->safe_psql('postgres', q{INSERT INTO large SELECT 1, repeat('0123456789', 10485760), NULL, NULL;
		INSERT INTO large SELECT 2, 'x', decode(repeat('00ff', 5000000), 'hex'), to_jsonb(repeat('j', 1000000))});
	$node->safe_psql('postgres', q{SELECT censync_create_sync('large', 'large', 'upsert', server => 'there', object => 'large')});
	my $run = run_sync($node, 'large');
	is("$run->{status} $run->{records_created}", 'completed 2', '100 MB in one field') or diag($run->{error_message});
	my $sql = 'SELECT id, length(t), md5(t), length(b), md5(b), md5(j::text) FROM large ORDER BY id';
	is($node->safe_psql('postgres', $sql), $remote->safe_psql('postgres', $sql), '... is the same');
	$remote->safe_psql('postgres', 'DROP TABLE large');
}

sub preview
{
	my ($query) = @_;
	my ($status, $out, $err) =
	  $node->psql('postgres', 'SELECT * FROM censync_preview(\'there\', query => ' . sql_literal($query) . ')');
	return $status == 0 ? $out : $err;
}

sub test_query_forms
{
	is(preview('SELECT 1 AS a -- a comment'), '{"a": 1}', 'a comment at the end');
	is(preview("SELECT 1 AS a;\n"), '{"a": 1}', 'a semicolon');
	is(preview("SELECT 'sad'::mood AS a, 2 AS b -- both"), '{"a": "sad", "b": 2}', 'a comment behind what is cast');
	is(preview('WITH w AS (SELECT 1) SELECT * FROM w, (VALUES (2)) v(b)'), '{"b": 2, "?column?": 1}', 'WITH')
	  or diag(preview('WITH w AS (SELECT 1) SELECT * FROM w, (VALUES (2)) v(b)'));
	is(preview('TABLE empty'), '', 'TABLE');
	like(preview('SELECT 1; SELECT 2'), qr/cannot insert multiple commands/, 'two statements');
	like(preview("SELECT 1) TO PROGRAM 'true' --"), qr/syntax error/, 'no way out of COPY');
	like(preview('CREATE TABLE x (a int)'), qr/returns no columns/, 'a statement without rows');
	like(preview('INSERT INTO empty VALUES (1) RETURNING id'), qr/cannot execute INSERT in a read-only transaction|permission denied/, 'a statement that writes');
}

# All of a read is of one moment, functions included.
sub test_one_snapshot
{
	$remote->safe_psql('postgres', q{CREATE TABLE moving (id int); INSERT INTO moving VALUES (1);
		CREATE FUNCTION slow_count() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$ BEGIN PERFORM pg_sleep(2); RETURN (SELECT count(*) FROM moving); END $$});
	my ($out, $err) = ('', '');
	my $psql = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'),
		'-c', "SELECT * FROM censync_preview('there', query => 'SELECT slow_count() AS n, slow_count() AS m')" ],
		'<', \undef, '>', \$out, '2>', \$err);
	ok(wait_for($remote, "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'censync' AND wait_event = 'PgSleep'"), 'a read is under way');
	$remote->safe_psql('postgres', 'INSERT INTO moving VALUES (2)');
	$psql->finish;
	is($out, qq({"m": 1, "n": 1}\n), 'what is written meanwhile is not seen') or diag($err);
}

# Writing may take long; the source is let go of before.
sub test_let_go
{
	$node->safe_psql('postgres', q{CREATE TABLE waiting (id int PRIMARY KEY);
		CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(5); RETURN NEW; END $$;
		CREATE TRIGGER wait BEFORE INSERT ON waiting FOR EACH ROW EXECUTE FUNCTION wait();
		SELECT censync_create_sync('waiting', 'waiting', 'upsert', server => 'there', query => 'SELECT 1 AS id')});
	my ($out, $err) = ('', '');
	my $psql = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', q{SELECT status FROM censync_run('waiting')} ],
		'<', \undef, '>', \$out, '2>', \$err);
	ok(wait_for($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'}), 'a run writes');
	is($remote->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'censync'}), '0', 'it has left the source');
	$psql->finish;
	is($out, "completed\n", '... and completes') or diag($err);
}

sub test_incremental
{
	$remote->safe_psql('postgres', q{CREATE TABLE changing (id int PRIMARY KEY, v text, at timestamptz(3));
		INSERT INTO changing SELECT g, 'v', timestamptz '2024-01-01' + g * interval '1 h' FROM generate_series(1, 100) g});
	$node->safe_psql('postgres', q{CREATE TABLE changing (id int PRIMARY KEY, v text, at timestamptz(3));
		SELECT censync_create_sync('changing', 'changing', 'upsert', server => 'there', object => 'changing', options => '{"cursor_column": "at"}')});
	is(run_sync($node, 'changing')->{records_created}, 100, 'the first run reads everything');
	my $run = run_sync($node, 'changing');
	is($run->{records_read}, 1, 'the second one what is not older than the newest');
	$remote->safe_psql('postgres', q{UPDATE changing SET v = 'w', at = '2025-01-01' WHERE id <= 3; INSERT INTO changing VALUES (101, 'null', NULL)});
	$run = run_sync($node, 'changing');
	is("$run->{records_read} $run->{records_updated} $run->{records_created}", '5 3 1', 'then what has changed, and what has no time');
	$node->safe_psql('postgres', q{SELECT censync_create_sync('changing_query', 'changing', 'upsert', server => 'there',
		query => 'SELECT * FROM changing WHERE id > 50 -- those', options => '{"cursor_column": "id"}')});
	is(run_sync($node, 'changing_query')->{records_read}, 51, 'of a query, too');
	is(run_sync($node, 'changing_query')->{records_read}, 1, '... only the newest');
}

# The text of another database's encoding, and bytes that are no text here.
sub test_encodings
{
	$remote->safe_psql('postgres', q{CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0});
	$remote->safe_psql('postgres', q{CREATE DATABASE raw ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0});
	$remote->safe_psql('latin', 'CREATE TABLE t (id int PRIMARY KEY, v text, n varchar(3)); INSERT INTO t VALUES (1, chr(228) || chr(255), chr(228))');
	$remote->safe_psql('raw', q{CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, E'\xe4'), (3, 'c')});
	create_remote_server($node, 'latin', $remote, database => 'latin');
	create_remote_server($node, 'raw', $remote, database => 'raw');
	is($node->safe_psql('postgres', "SELECT p ->> 'v' = chr(228) || chr(255), p ->> 'n' = chr(228) FROM censync_preview('latin', object => 't') p"),
		't|t', 'LATIN1 becomes UTF-8');
	my (undef, undef, $err) = $node->psql('postgres', q{\set VERBOSITY verbose
		SELECT censync_preview('raw', object => 't')});
	like($err, qr/22021: .*invalid byte sequence for encoding "UTF8": 0xe4/, 'bytes that are no text are refused by the server there');
	$node->safe_psql('postgres', q{CREATE DATABASE ascii ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0});
	$node->safe_psql('ascii', 'CREATE EXTENSION censync; CREATE TABLE t (id int PRIMARY KEY, v bytea)');
	$node->safe_psql('ascii', "CREATE SERVER raw TYPE 'postgres' FOREIGN DATA WRAPPER censync OPTIONS (host 'localhost', port '" . $remote->port
		  . "', database 'raw'); CREATE USER MAPPING FOR CURRENT_USER SERVER raw OPTIONS (user 'reader', password " . sql_literal($remote_password) . ");
		SELECT censync_create_sync('t', 't', 'upsert', server => 'raw', object => 't',
			mappings => '{\"id\": \"id\", \"v\": {\"expression\": \"convert_to(v, ''SQL_ASCII'')\"}}')");
	is(run_sync($node, 't', dbname => 'ascii')->{records_created}, 3, 'a database without an encoding takes them');
	is($node->safe_psql('ascii', 'SELECT v FROM t WHERE id = 2'), '\xe4', '... as they are');
}
