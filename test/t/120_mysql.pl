# MariaDB as a source, or MySQL (test/mysql): every type's values arrive exactly, tables of all shapes, and
# how it is connected to.
use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncMariadb;
use CensyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', "timezone = 'Europe/Berlin'\nintervalstyle = postgres");
my $db = CensyncMariadb->new;
my $tables = 0;

$db->provide_sequences(1000, 4000);

$db->create_server($node, 'my');
$db->create_server($node, 'loose', zero_dates => 'null', tinyint1 => 'boolean');

test_types();
$db->product eq 'MySQL' ? test_types_of_mysql() : test_types_of_mariadb();
test_zero_dates();
test_bad_values();
test_bulk();
test_shapes();
test_encodings();
test_conditions();
test_new_columns();
test_check();
test_tls();
test_logins();
test_plugins();
test_module();
is($db->connections, 0, 'no connection is left');
$db->stop;
done_testing();

# Statements and their answers have characters, programs have bytes.
sub pg
{
	my ($sql) = @_;
	utf8::encode($sql) if utf8::is_utf8($sql);
	my $answer = $node->safe_psql('postgres', $sql);
	utf8::decode($answer);
	return $answer;
}

# A sync of a query into a new table (id int, v of that type); returns its run, and the table's name.
sub sync
{
	my ($server, $query, $type) = @_;
	my $name = 't' . ++$tables;

	pg("CREATE TABLE $name (id int PRIMARY KEY, v $type)");
	pg("SELECT censync_create_sync('$name', '$name', 'upsert', server => '$server', query => " . sql_literal($query)
		. ')');
	return (run_sync($node, $name), $name);
}

# Values of a MySQL type, as its SQL has them, and what they are here as text.
sub test_type
{
	my ($type, $here, @values) = @_;
	my (@rows, @expected);

	while (my ($value, $text) = splice(@values, 0, 2))
	{
		push @rows, '(' . (@rows + 1) . ", $value)";
		push @expected, @rows . '|' . ($text // '~');
	}
	push @rows, '(' . (@rows + 1) . ', NULL)';
	push @expected, @rows . '|~';
	$db->sql("CREATE OR REPLACE TABLE shop.v (id int PRIMARY KEY, v $type NULL); INSERT INTO shop.v VALUES "
		  . join(', ', @rows));
	my $server = $here eq 'boolean' ? 'loose' : 'my';
	my ($run, $table) = sync($server, 'SELECT * FROM v', $here);
	my $name = "$type is $here";
	is($run->{status}, 'completed', $name) or diag explain $run;
	my $got = pg("SET timezone = 'UTC'; SELECT id || '|' || coalesce(v::text, '~') FROM $table ORDER BY id");
	ok($got eq join("\n", @expected), "$name: values") or diag_text("$got\nexpected:\n" . join("\n", @expected));
	return;
}

sub diag_text
{
	my ($text) = @_;
	utf8::encode($text);
	diag(length $text > 2000 ? substr($text, 0, 2000) : $text);
	return;
}

sub test_types
{
	test_type('tinyint', 'smallint', -128 => -128, 127 => 127, 0 => 0);
	test_type('tinyint unsigned', 'smallint', 255 => 255, 128 => 128);
	test_type('tinyint(1)', 'smallint', 1 => 1, 2 => 2, -1 => -1);
	test_type('tinyint(1)', 'boolean', 1 => 'true', 0 => 'false');
	test_type('smallint', 'smallint', -32768 => -32768, 32767 => 32767);
	test_type('smallint unsigned', 'integer', 65535 => 65535, 32768 => 32768);
	test_type('mediumint', 'integer', -8388608 => -8388608, 8388607 => 8388607);
	test_type('mediumint unsigned', 'integer', 16777215 => 16777215);
	test_type('int', 'integer', -2147483648 => -2147483648, 2147483647 => 2147483647);
	test_type('int(11) unsigned zerofill', 'bigint', 4294967295 => 4294967295, 1 => 1);
	test_type('bigint', 'bigint', '-9223372036854775808' => '-9223372036854775808',
		'9223372036854775807' => '9223372036854775807');
	test_type('bigint unsigned', 'numeric(20,0)', '18446744073709551615' => '18446744073709551615',
		'9223372036854775808' => '9223372036854775808', '9223372036854775807' => '9223372036854775807', 0 => 0);
	test_type('float', 'real', '0.1' => '0.1', '16777217' => '1.6777216e+07', '3.4028234e38' => '3.4028235e+38',
		'1.4e-45' => '1e-45', '123456.789' => '123456.79');
	test_type('double', 'double precision', '0.1e0' => '0.1', '1.7976931348623157e308' => '1.7976931348623157e+308',
		'2.2250738585072014e-308' => '2.2250738585072014e-308', '9007199254740993' => '9.007199254740992e+15',
		'0.30000000000000004e0' => '0.30000000000000004');
	test_type('decimal(10,0)', 'numeric(10,0)', 9999999999 => 9999999999, -9999999999 => -9999999999);
	test_type('decimal(5,5)', 'numeric(5,5)', '0.99999' => '0.99999', '-0.00001' => '-0.00001', 0 => '0.00000');
	test_type('decimal(18,2) unsigned', 'numeric(18,2)', '9999999999999999.99' => '9999999999999999.99', 0 => '0.00');
	test_type('decimal(20,3)', 'numeric(20,3)', '-99999999999999999.999' => '-99999999999999999.999');
	test_type('decimal(65,30)', 'numeric',
		'99999999999999999999999999999999999.999999999999999999999999999999' =>
		  '99999999999999999999999999999999999.999999999999999999999999999999',
		'-0.000000000000000000000000000001' => '-0.000000000000000000000000000001');
	test_type('decimal(65,0)', 'numeric', '9' x 65 => '9' x 65);
	test_type('date', 'date', "'0001-01-01'" => '0001-01-01', "'1000-01-01'" => '1000-01-01', "'2000-02-29'" => '2000-02-29',
		"'9999-12-31'" => '9999-12-31');
	test_type('datetime', 'timestamp', "'1000-01-01 00:00:00'" => '1000-01-01 00:00:00',
		"'9999-12-31 23:59:59'" => '9999-12-31 23:59:59');
	test_type('datetime(6)', 'timestamp', "'2020-12-31 23:59:59.999999'" => '2020-12-31 23:59:59.999999',
		"'2020-03-29 02:30:00.000001'" => '2020-03-29 02:30:00.000001');
	test_type('datetime(3)', 'timestamp(3)', "'2020-12-31 23:59:59.999'" => '2020-12-31 23:59:59.999');
	# The times of the server's own zone, which is whatever it is: made from UTC.
	test_type('timestamp(6)', 'timestamptz', 'from_unixtime(1.000001)' => '1970-01-01 00:00:01.000001+00',
		'from_unixtime(2147483647.999999)' => '2038-01-19 03:14:07.999999+00',
		'from_unixtime(1585443600)' => '2020-03-29 01:00:00+00');
	test_type('time', 'interval', "'838:59:59'" => '838:59:59', "'-838:59:59'" => '-838:59:59', "'00:00:00'" => '00:00:00',
		"'-00:00:01'" => '-00:00:01', "'23:59:59'" => '23:59:59', "'24:00:00'" => '24:00:00');
	test_type('time(6)', 'interval', "'-12:34:56.000001'" => '-12:34:56.000001', "'838:59:58.999999'" => '838:59:58.999999');
	test_type('year', 'smallint', 1901 => 1901, 2155 => 2155, "'0000'" => 0);
	test_type('bit(1)', 'bit(1)', "b'1'" => '1', "b'0'" => '0');
	test_type('bit(8)', 'bit(8)', "b'10000001'" => '10000001');
	test_type('bit(9)', 'bit(9)', "b'100000001'" => '100000001', "b'1'" => '000000001');
	test_type('bit(64)', 'bit(64)', "b'1" . '0' x 62 . "1'" => '1' . '0' x 62 . '1');
	test_type('char(5)', 'text', "'ab'" => 'ab', "''" => '', "'héllo'" => 'héllo');
	test_type('varchar(300)', 'text', "''" => '', "' a '" => ' a ', "repeat('x', 126)" => 'x' x 126,
		"repeat('x', 127)" => 'x' x 127, "repeat('x', 250)" => 'x' x 250, "repeat('x', 251)" => 'x' x 251,
		"repeat('€', 300)" => '€' x 300, q{'a\\\\b\'c"d'} => q{a\\b'c"d}, "'😀'" => '😀');
	test_type('varchar(100) CHARACTER SET latin1', 'text', "'été ÿ'" => 'été ÿ', "'€'" => '€');
	test_type('varchar(100) CHARACTER SET utf16', 'text', "'😀é'" => '😀é');
	test_type('varchar(100) CHARACTER SET sjis', 'text', "'日本'" => '日本');
	test_type('text', 'text', "repeat('x', 65535)" => 'x' x 65535, "''" => '');
	test_type('mediumtext', 'text', "repeat('y', 70000)" => 'y' x 70000);
	test_type("enum('a', '', 'b ü')", 'text', "'a'" => 'a', "''" => '', "'b ü'" => 'b ü', 3 => 'b ü');
	test_type("set('x', 'y', 'z')", 'text', "'x,z'" => 'x,z', "''" => '', "'z,y,x'" => 'x,y,z');
	test_type('binary(4)', 'bytea', "x'00ff'" => '\x00ff0000', "''" => '\x00000000');
	test_type('varbinary(300)', 'bytea', "x'00'" => '\x00', "''" => '\x', "repeat(x'ff', 300)" => '\x' . 'ff' x 300);
	test_type('blob', 'bytea', "x'deadbeef00'" => '\xdeadbeef00');
	test_type('json', 'jsonb', q('{"a": 1.5, "b": [null, true, "x"]}') => '{"a": 1.5, "b": [null, true, "x"]}',
		q('18446744073709551615') => '18446744073709551615', q('"😀"') => '"😀"', q('null') => 'null');
	test_type('geometry', 'bytea', "ST_GeomFromText('LINESTRING(0 0, 1 1)')" =>
		  '\x010200000002000000' . '0' x 32 . '000000000000f03f' x 2);
}

# Its JSON is the text that was written; geometries are as it was told.
sub test_types_of_mariadb
{
	test_type('timestamp(6)', 'timestamptz', 'from_unixtime(0.000001)' => '1970-01-01 00:00:00.000001+00');
	test_type('time(6)', 'interval', "'838:59:59.999999'" => '838:59:59.999999');
	test_type('json', 'jsonb', q('1.50') => '1.50', q('123456789012345678901234567890.5') => '123456789012345678901234567890.5');
	test_type('uuid', 'uuid', "'123E4567-e89b-12d3-a456-426614174000'" => '123e4567-e89b-12d3-a456-426614174000');
	test_type('inet6', 'inet', "'2001:db8::1'" => '2001:db8::1/128');
	test_type('point', 'bytea', "ST_GeomFromText('POINT(1 2)', 4326)" => '\x0101000000000000000000f03f0000000000000040');
	return;
}

# Its JSON is its own: keys in an order of its own, doubles.  Where the reference system says that the latitude comes
# first, that is so in its text only.
sub test_types_of_mysql
{
	test_type('time(6)', 'interval', "'838:59:59.999999'" => '838:59:59', "'-838:59:59'" => '-838:59:59');
	test_type('json', 'jsonb', q('1.50') => '1.5', q('1e300') => '1' . '0' x 300, q('-9223372036854775808') => '-9223372036854775808',
		'cast(1.50 AS json)' => '1.50', q(json_object('d', date'2020-01-01')) => '{"d": "2020-01-01"}',
		q(cast(x'00ff' AS json)) => '"base64:type15:AP8="', q(json_quote('\"\\\\é')) => '"\\"\\\\é"');
	test_type('point', 'bytea', "ST_GeomFromText('POINT(1 2)', 4326)" => '\x01010000000000000000000040000000000000f03f',
		"ST_GeomFromText('POINT(1 2)', 4326, 'axis-order=long-lat')" => '\x0101000000000000000000f03f0000000000000040',
		"ST_GeomFromText('POINT(1 2)')" => '\x0101000000000000000000f03f0000000000000040');
	test_type('point SRID 3857', 'bytea', "ST_GeomFromText('POINT(1 2)', 3857)" => '\x0101000000000000000000f03f0000000000000040');
	test_type('geometrycollection', 'bytea', "ST_GeomFromText('GEOMETRYCOLLECTION EMPTY')" => '\x010700000000000000');
	test_type('vector(3)', 'bytea', "STRING_TO_VECTOR('[1, -2, 0.5]')" => '\x0000803f000000c00000003f');
	test_type('varchar(20) COLLATE utf8mb4_0900_ai_ci', 'text', "'é '" => 'é ');
	test_type('varchar(20) CHARACTER SET gb18030', 'text', "'日本€'" => '日本€');
	return;
}

# Zero dates, those with parts that are zero, and days that no month has.
sub test_zero_dates
{
	$db->sql(q{CREATE TABLE shop.zero (id int PRIMARY KEY, d date, t datetime NOT NULL, s timestamp NULL);
		SET sql_mode = 'ALLOW_INVALID_DATES';
		INSERT INTO zero VALUES (1, '0000-00-00', '2020-01-01', '2020-01-01'), (2, '2020-00-00', '2020-01-01', '2020-01-01'),
		  (3, '2020-02-31', '2020-01-01', '2020-01-01'), (4, '2020-01-01', '0000-00-00', '2020-01-01'),
		  (5, '2020-01-01', '2020-01-01', '0000-00-00'), (6, '2020-01-01', '2020-01-01', '2020-01-01')} =~ s/INTO zero/INTO shop.zero/r);
	my ($run, $table) = sync('my', "SELECT id, concat_ws('', d) IS NULL AS x, d AS v, t, s FROM zero", 'date');
	is("$run->{records_created} $run->{records_invalid}", '3 3', 'zero_dates error: rows with a zero date are invalid');
	is(pg("SELECT string_agg(record_number || ' ' || reason_code || ' ' || reason, E'\n' ORDER BY record_number)
		FROM censync.records WHERE run_id = $run->{run_id}"),
		join("\n", '1 22008 0000-00-00 is no date (option zero_dates can make it NULL)',
			'2 22008 2020-00-00 is no date (option zero_dates can make it NULL)',
			'3 22008 2020-02-31 is no date (option zero_dates can make it NULL)'), 'each with its reason');
	foreach my $column (qw(t s))
	{
		($run) = sync('my', "SELECT id, $column AS v FROM zero", 'timestamptz');
		is($run->{records_invalid}, 1, "zero_dates error: column $column");
	}
	($run, $table) = sync('loose', 'SELECT id, d AS v FROM zero', 'date');
	is($run->{records_created}, 6, 'zero_dates null: all rows come');
	is(pg("SELECT string_agg(id::text, ',' ORDER BY id) FROM $table WHERE v IS NULL"), '1,2,3', 'and those are NULL');
}

# Of a record, the one value that is none here.
sub test_bad_values
{
	my @cases = (
		[ 'tinyint(1)', '2', 'loose', 'boolean', '22003', 'value 2 is neither 0 nor 1' ],
		[ 'varchar(10)', "'a\\0b'", 'my', 'text', '22021', 'the text has a zero byte, which no text here can have' ],
		[ 'json', q('"\\\\u0000"'), 'my', 'jsonb', '22P02', 'the value is no JSON that jsonb can hold' ],
		$db->product eq 'MariaDB' ? [ 'json', q('1e999999'), 'my', 'jsonb', '22P02', 'the value is no JSON that jsonb can hold' ] : ());

	foreach my $case (@cases)
	{
		my ($type, $value, $server, $here, $code, $reason) = @$case;
		$db->sql("CREATE OR REPLACE TABLE shop.bad (id int PRIMARY KEY, v $type);
			INSERT INTO shop.bad VALUES (1, NULL), (2, $value), (3, NULL)");
		my ($run) = sync($server, 'SELECT * FROM bad ORDER BY id', $here);
		is("$run->{records_created} $run->{records_invalid}", '2 1', "a bad value of $type");
		is(pg("SELECT record_number || ' ' || reason_code || ' ' || reason FROM censync.records
			WHERE run_id = $run->{run_id}"), "2 $code $reason", 'is an invalid record');
	}
}

# Thousands of values of all kinds, compared with what the source's own functions say of them.
sub test_bulk
{
	$db->sql(q{CREATE TABLE shop.bulk (id int PRIMARY KEY, i bigint, u bigint unsigned, m decimal(30,10), f float, d double,
			t datetime(6), s timestamp(6) NULL, h time(6), x varchar(400), b varbinary(400));
		INSERT INTO shop.bulk SELECT seq, (rand(1) - 0.5) * 1.8e19, rand(2) * 1.8e19, (rand(3) - 0.5) * pow(10, seq % 20),
			(rand(4) - 0.5) * pow(10, cast(seq % 70 AS signed) - 35), (rand(5) - 0.5) * pow(10, cast(seq % 600 AS signed) - 300),
			timestamp'1000-01-01 00:00:00' + INTERVAL floor(rand(6) * 2.8e11) SECOND + INTERVAL floor(rand(7) * 1e6) MICROSECOND,
			from_unixtime(1 + floor(rand(8) * 2e9) + 0.000001 * floor(rand(9) * 1e6)), sec_to_time((rand(10) - 0.5) * 6e6),
			repeat(elt(1 + seq % 4, 'a', 'é', '€', '😀'), seq % 400), repeat(char(seq % 256), seq % 400)
			FROM seq_1_to_4000});
	pg(q{CREATE TABLE bulk (id int PRIMARY KEY, i bigint, u numeric(20,0), m numeric(30,10), f real, d double precision,
			t timestamp, s timestamptz, h interval, x text, b bytea);
		SELECT censync_create_sync('bulk', 'bulk', 'upsert', server => 'my', object => 'bulk')});
	is(run_sync($node, 'bulk')->{records_created}, 4000, 'rows of all kinds');
	is(run_sync($node, 'bulk')->{records_unchanged}, 4000, 'again: nothing has changed');
	my $theirs = $db->sql(q{SET time_zone = '+00:00';
		SELECT id, i, u, m, timestampdiff(MICROSECOND, '1970-01-01', t), round(unix_timestamp(s) * 1000000),
			round(timestampdiff(MICROSECOND, '2000-01-01', addtime('2000-01-01 00:00:00.000000', h))), hex(x), hex(b)
			FROM shop.bulk ORDER BY id});
	my $ours = pg(q{COPY (SELECT id, i, u, m, (extract(epoch FROM t) * 1000000)::bigint, (extract(epoch FROM s) * 1000000)::bigint,
			(extract(epoch FROM h) * 1000000)::bigint, upper(encode(convert_to(x, 'UTF8'), 'hex')), upper(encode(b, 'hex'))
			FROM bulk ORDER BY id) TO STDOUT});
	ok($ours eq $theirs, 'all of them exactly') or diag first_difference($ours, $theirs);
	# Floats as both sides write them are the same numbers; a float has to be a double for that, there.
	my @theirs = split /\s+/, $db->sql('SELECT cast(f AS double), d FROM shop.bulk ORDER BY id');
	my @ours = split /\s+/, pg('COPY (SELECT f::float8, d FROM bulk ORDER BY id) TO STDOUT');
	is(scalar(@ours), 8000, 'floats');
	is(scalar(grep { $ours[$_] != $theirs[$_] } 0 .. $#theirs), 0, 'all of them exactly');
}

sub first_difference
{
	my @a = split /\n/, $_[0];
	my @b = split /\n/, $_[1];
	foreach my $i (0 .. ($#a > $#b ? $#a : $#b))
	{
		return "$a[$i]\n$b[$i]" if ($a[$i] // '') ne ($b[$i] // '');
	}
	return 'lengths';
}

sub test_shapes
{
	my ($run, $table) = sync('my', 'SELECT 1 AS id, 2 AS v FROM DUAL WHERE 1 = 0', 'int');
	is("$run->{status} $run->{records_read}", 'completed 0', 'no rows');

	my @names = map { "c$_" } 1 .. 1000;
	$db->sql('CREATE TABLE shop.wide (id int PRIMARY KEY, ' . join(', ', map { "$_ int" } @names) . ')');
	$db->sql('INSERT INTO shop.wide VALUES (1, ' . join(', ', 1 .. 1000) . '), (2, ' . join(', ', ('NULL') x 1000) . ')');
	pg('CREATE TABLE wide (id int PRIMARY KEY, ' . join(', ', map { "$_ int" } @names) . ');'
		. q(SELECT censync_create_sync('wide', 'wide', 'upsert', server => 'my', object => 'wide')));
	is(run_sync($node, 'wide')->{records_created}, 2, '1,001 columns');
	is(pg(q{SELECT count(*) FROM wide w, jsonb_each_text(to_jsonb(w)) e WHERE id = 1 AND 'c' || e.value = e.key}), 1000,
		'each in its place');
	is(pg(q{SELECT count(*) FROM wide w, jsonb_each(to_jsonb(w)) e WHERE id = 2 AND e.value = 'null'}), 1000, 'or NULL');

	$db->sql(q{CREATE TABLE shop.`odd ``"names.` (`id` int PRIMARY KEY, `v "x`` .é` varchar(10));
		INSERT INTO shop.`odd ``"names.` VALUES (1, 'yes')});
	pg(q{CREATE TABLE odd (id int PRIMARY KEY, "v ""x` .é" text);
		SELECT censync_create_sync('odd', 'odd', 'upsert', server => 'my', object => 'shop."odd `""names."')});
	is(run_sync($node, 'odd')->{records_created}, 1, 'names that must be quoted');
	is(pg('TABLE odd'), '1|yes', 'its row');

	# One field of 100 MB, which no server sends in one packet of the protocol.
	$db->sql(q{SET SESSION sql_mode = ''; CREATE TABLE shop.large (id int PRIMARY KEY, v longblob);
		INSERT INTO shop.large VALUES (1, repeat(x'00ff10', 35000000)), (2, 'small')});
	($run, $table) = sync('my', 'SELECT * FROM large', 'bytea');
	is($run->{status}, 'completed', 'a field of 105 MB');
	is(pg("SELECT string_agg(encode(sha256(v), 'hex'), ' ' ORDER BY id) FROM $table"),
		$db->sql("SELECT group_concat(sha2(v, 256) ORDER BY id SEPARATOR ' ') FROM shop.large"), 'arrives whole');
	pg("DROP TABLE $table");

	($run) = sync('my', 'SELECT 1 AS id, 2 AS v -- a comment at the end', 'int');
	is($run->{records_created}, 1, 'a query that ends with a comment');
	($run) = sync('my', 'WITH q AS (SELECT 1 AS id, 2 AS v) SELECT * FROM q;', 'int');
	is($run->{records_created}, 1, 'a query that begins with WITH, and ends with a semicolon');
	is(pg(q{SELECT count(*) FROM censync_preview('my', object => 'bulk', "limit" => 3)}), 3, 'a preview');
	is($node->psql('postgres', q{SELECT * FROM censync_preview('my', query => 'DELETE FROM bulk')}), 3,
		'a statement that returns no rows is refused');
	is($db->sql('SELECT count(*) FROM shop.bulk'), 4000, 'and was not run');
}

# Databases that can't hold all that comes.
sub test_encodings
{
	$db->sql(q{CREATE TABLE shop.enc (id int PRIMARY KEY, v varchar(10)); INSERT INTO shop.enc VALUES (1, 'é'), (2, '€'), (3, 'x')});
	pg(q{CREATE DATABASE latin1 TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'});
	$node->safe_psql('latin1', sprintf q{CREATE EXTENSION censync;
		CREATE SERVER my TYPE 'mysql' FOREIGN DATA WRAPPER censync OPTIONS (host 'localhost', port '%d', database 'shop', ca_file '%s');
		CREATE USER MAPPING FOR postgres SERVER my OPTIONS (user 'reader', password 'secret');
		CREATE TABLE enc (id int PRIMARY KEY, v text);
		SELECT censync_create_sync('enc', 'enc', 'upsert', server => 'my', object => 'enc')}, $db->port, $db->ca_file);
	my $run = run_sync($node, 'enc', dbname => 'latin1');
	is("$run->{records_created} $run->{records_invalid}", '2 1', 'a database in LATIN1 refuses what it cannot write');
	is($node->safe_psql('latin1', q{SELECT string_agg(encode(convert_to(v, 'LATIN1'), 'hex'), ' ' ORDER BY id) FROM enc}),
		'e9 78', 'and holds the rest in its encoding');
	is($node->safe_psql('latin1', q{SELECT record_number || ' ' || reason_code FROM censync.records}), '2 22P05', 'with the reason');
}

# What an incremental read leaves out, the source has left out.
sub test_conditions
{
	$db->sql(q{CREATE TABLE shop.inc (id int PRIMARY KEY, v varchar(10), at datetime(6));
		INSERT INTO shop.inc SELECT seq, 'v', timestamp'2020-01-01 00:00:00' + INTERVAL seq MICROSECOND FROM seq_1_to_1000});
	foreach my $cursor (qw(id at))
	{
		pg(qq{DROP TABLE IF EXISTS inc; CREATE TABLE inc (id int PRIMARY KEY, v text, at timestamp);
			SELECT censync_create_sync('inc_$cursor', 'inc', 'upsert', server => 'my', object => 'inc',
				options => '{"cursor_column": "$cursor"}')});
		is(run_sync($node, "inc_$cursor")->{records_read}, 1000, "first read by $cursor");
		cmp_ok(run_sync($node, "inc_$cursor")->{records_read}, '<=', 1, 'second read');
		pg(qq{SELECT censync_drop_sync('inc_$cursor')});
	}
}

# Columns of the source that the destination lacks; what the options of the sync say of its types counts.
sub test_new_columns
{
	$db->sql(q{CREATE TABLE shop.grows (id int PRIMARY KEY, flag tinyint(1), big bigint unsigned, t time(3), v varchar(7));
		INSERT INTO shop.grows VALUES (1, 1, 18446744073709551615, '100:00:00.5', 'x')});
	pg(q{CREATE TABLE grows (id int PRIMARY KEY);
		SELECT censync_create_sync('grows', 'grows', 'mirror', server => 'my', object => 'grows',
			options => '{"add_columns": true, "tinyint1": "boolean"}')});
	is(run_sync($node, 'grows')->{records_created}, 1, 'add_columns');
	is(pg(q{SELECT string_agg(format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute
		WHERE attrelid = 'grows'::regclass AND attnum > 1}), 'boolean, numeric(20,0), interval(3), character varying(7)', 'with its types');
	is(pg('TABLE grows'), '1|t|18446744073709551615|100:00:00.5|x', 'and its values');
}

sub test_check
{
	is(pg(q{SELECT string_agg(step || ' ' || ok || ' ' || detail, E'\n') FROM censync_check('my')}) =~
		  s/(MariaDB|MySQL) [\d.]+/$1/r, "resolve true 127.0.0.1\nconnect true ok\ntls true TLSv1.3, certificate verified\n"
		  . "authenticate true ok\nquery true " . $db->product . ' answers', 'censync_check');
}

# The step at which a server's options end, and what is said of it.
sub fails_at
{
	my ($name, $step, $detail, %options) = @_;
	$db->create_server($node, 'try', %options);
	like((split /\n/, pg(q{SELECT step || ' ' || ok || ' ' || detail FROM censync_check('try')}))[-1],
		qr/^$step false .*$detail/, $name);
}

sub ends_well
{
	my ($name, $tls, %options) = @_;
	$db->create_server($node, 'try', %options);
	is(pg(q{SELECT string_agg(detail, ' ') FILTER (WHERE step = 'tls') || ' ' || bool_and(ok) FROM censync_check('try')}),
		"$tls true", $name);
}

sub test_tls
{
	my $other = $db->directory . '/other.pem';
	ends_well('the name that is asked for counts', 'TLSv1.3, certificate verified');
	fails_at('a certificate of another authority', 'tls', 'could not connect to "localhost" with TLS', ca_file => $other);
	fails_at('the system does not know our authority', 'tls', 'could not connect to "localhost" with TLS', ca_file => undef);
	fails_at('not the address', 'tls', 'certificate.*must name option "host"', host => '127.1');
	ends_well('another name, not verified', 'TLSv1.3, certificate not verified', host => '127.0.0.1', tls => 'require',
		ca_file => undef);
	ends_well('an unknown authority, not verified', 'TLSv1.3, certificate not verified', tls => 'require', ca_file => undef);
	ends_well('without TLS', 'not used', tls => 'off', ca_file => undef);
	$db->sql(q{CREATE USER safe@'%' IDENTIFIED BY 'x' REQUIRE X509; GRANT SELECT ON shop.* TO safe@'%'});
	fails_at('a client certificate is missing', 'authenticate', 'Access denied', user => 'safe', password => 'x');
	ends_well('a client certificate', 'TLSv1.3, certificate verified', user => 'safe', password => 'x',
		tls_cert_file => $db->directory . '/client.pem', tls_key_file => $db->directory . '/client.key');
	my ($status, undef, $err) = $node->psql('postgres', q{CREATE ROLE somebody; GRANT USAGE ON FOREIGN DATA WRAPPER censync TO somebody;
		SET ROLE somebody; CREATE SERVER s TYPE 'mysql' FOREIGN DATA WRAPPER censync OPTIONS (host 'db', tls 'off')});
	like($err, qr/only a superuser may set option "tls"/, 'it is for superusers');
}

sub test_logins
{
	fails_at('a wrong password', 'authenticate', 'Access denied.*Error number 1045.*Check user and password', password => 'no');
	fails_at('an unknown user', 'authenticate', 'Access denied', user => 'nobody');
	fails_at('an unknown database', 'authenticate', '(?:Access denied|Unknown database)', database => 'none');
	$db->sql(q{CREATE USER open@'%'; GRANT SELECT ON shop.* TO open@'%'});
	ends_well('no password', 'TLSv1.3, certificate verified', user => 'open', password => undef);
	ends_well('a socket', 'not used', host => $db->directory . '/socket', port => undef);
	$db->create_server($node, 'try', user => undef, password => undef);
	my (undef, undef, $err) = $node->psql('postgres', q{SELECT * FROM censync_preview('try', query => 'SELECT 1')});
	like($err, qr/there is no user to connect to "localhost" as/, 'no user');
	$db->create_server($node, 'try', password => 'hunter2');
	(undef, undef, $err) = $node->psql('postgres', q{\set VERBOSITY verbose
SELECT * FROM censync_preview('try', query => 'SELECT 1')});
	like($err, qr/28P01/, 'its SQLSTATE');
	unlike($err, qr/hunter2/, 'no password in the message');
}

# Ways to prove a password.  The server of MySQL forgets with FLUSH PRIVILEGES what it has found to be right: the next
# login must send it, behind TLS, through a socket, or encrypted by the server's key.
sub test_plugins
{
	my @plugins = $db->product eq 'MySQL' ? qw(caching_sha2_password sha256_password) : qw(mysql_native_password);
	my %ways = (TLS => [ 'TLSv1.3, certificate verified' ], 'a socket' => [ 'not used', host => $db->directory . '/socket', port => undef ],
		'the clear' => [ 'not used', tls => 'off', ca_file => undef ]);

	foreach my $plugin (@plugins)
	{
		$db->sql("CREATE USER $plugin\@'%' IDENTIFIED WITH $plugin" . ($plugin =~ /native/ ? " AS PASSWORD('sécret')" : " BY 'sécret'")
			  . "; GRANT SELECT ON shop.* TO $plugin\@'%'");
		foreach my $way (sort keys %ways)
		{
			my ($tls, @options) = @{ $ways{$way} };
			$db->sql('FLUSH PRIVILEGES');
			ends_well("$plugin over $way: login $_", $tls, user => $plugin, password => 'sécret', @options) foreach 1, 2;
			fails_at("$plugin over $way: a wrong password", 'authenticate', 'Access denied', user => $plugin, password => 'no', @options);
		}
	}
	my $user = $plugins[0];
	my %logins = (user => $user, password => 'sécret');
	$db->sql("ALTER USER $user\@'%' ACCOUNT LOCK");
	fails_at('a locked account', 'authenticate', 'locked', %logins);
	my (undef, undef, $err) = $node->psql('postgres', q{\set VERBOSITY verbose
SELECT * FROM censync_preview('try', query => 'SELECT 1')});
	like($err, qr/28000/, 'its SQLSTATE');
	$db->sql("ALTER USER $user\@'%' ACCOUNT UNLOCK; ALTER USER $user\@'%' PASSWORD EXPIRE");
	fails_at('an expired password', '(?:authenticate|query)', 'password.*set a new one', %logins);
	return if $db->product ne 'MySQL';   # MariaDB says of it what it says of a wrong password
	$db->sql("SET GLOBAL require_secure_transport = ON");
	fails_at('a server that wants TLS', 'authenticate', 'insecure transport.*leave it out', tls => 'off', ca_file => undef);
	$db->sql("SET GLOBAL require_secure_transport = OFF");
}

# Where the client library was not there at build time: another installation, without the module.
sub test_module
{
	my $root = PostgreSQL::Test::Utils::tempdir_short();
	chomp(my $bin = `pg_config --bindir`);
	my ($prefix, $path) = $bin =~ m{^(.*)/(usr/lib/postgresql/\d+)/bin$} or die "an odd place for programs: $bin";
	(my $share = $path) =~ s/lib/share/;

	system_or_bail('sh', '-c', "mkdir -p $root/$path $root/usr/share/postgresql && cp -rL $prefix/$path/bin $root/$path/ && "
		. "cp -rs $prefix/$path/lib $root/$path/ && cp -rs $prefix/$share $root/usr/share/postgresql/ && "
		. "rm $root/$path/lib/censync_mysql.so");
	my $other = PostgreSQL::Test::Cluster->new('other', install_path => "$root/$path");
	$other->init;
	$other->append_conf('postgresql.conf', "censync.allowed_hosts = '127.0.0.0/8'");
	$other->start;
	$other->safe_psql('postgres', q{CREATE EXTENSION censync;
		CREATE SERVER my TYPE 'mysql' FOREIGN DATA WRAPPER censync OPTIONS (host '127.0.0.1')});
	my (undef, undef, $err) = $other->psql('postgres', q{SELECT * FROM censync_preview('my', query => 'SELECT 1')});
	like($err, qr/no driver for source type "mysql"/, 'without the module');
	like($err, qr/Install libmariadb-dev, then build/, 'the package is named');
	$other->stop;
}
