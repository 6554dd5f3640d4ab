# SQL Server as a source: the edges of every type that its protocol can carry, in each scale and code page, from the
# server of test/tds.  What they are here is written down a second time, in Perl.
use strict;
use warnings;
use utf8;

use File::Basename;
use FindBin;
use IPC::Run;
use lib "$FindBin::RealBin/../perl";

use CensyncTest;
use Encode qw(encode_utf8);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my %texts = (437 => 'é─½', 850 => 'éÐ¾', 874 => 'สวัสดี€', 932 => 'ｱ日本表ソ①', 936 => '中国镕', 949 => '한국똠', 950 => '中國許',
	1250 => 'Łódź€', 1251 => 'Привет€', 1252 => 'Œuvre €ÿ', '1252l' => 'Œuvre €ÿ', 1253 => 'Ελλάς€', 1254 => 'İstanbulğ€',
	1255 => 'שלום€', 1256 => 'سلام€', 1257 => 'Šiaulių€', 1258 => 'Đăư€', 65001 => 'ü€𝄞日本');
my $directory = PostgreSQL::Test::Utils::tempdir('tds');
my $process = start_server();
my $node = new_node('types', "timezone = 'UTC'", init => [ '--encoding=UTF8', '--locale=C' ]);

sql(sprintf q{CREATE SERVER ms TYPE 'sqlserver' FOREIGN DATA WRAPPER censync OPTIONS (host 'localhost', port '%s', database 'shop', tls 'off');
	CREATE USER MAPPING FOR CURRENT_USER SERVER ms OPTIONS (user 'reader', password %s);
	CREATE SCHEMA far; IMPORT FOREIGN SCHEMA dbo LIMIT TO (times, decimals, code_pages, ticks, floats, others, variants) FROM SERVER ms INTO far},
	slurp_file("$directory/port"), sql_literal(q(pass wörd €;'"#)));

test_times();
test_decimals();
test_code_pages();
test_ticks();
test_floats();
test_others();
test_variants();
test_new_columns();

$node->stop;
$process->kill_kill;
done_testing();

sub sql { return $node->safe_psql('postgres', encode_utf8($_[0])) }

sub start_server
{
	my $script = dirname(__FILE__) . '/../tds/server.py';
	my $self = IPC::Run::start([ $ENV{PYTHON} || 'python3', '-B', $script, '--parent-pid', $$, '--port-file', "$directory/port", '--log',
			"$directory/log", '--encrypt', 'none' ], '<', \'', '>', "$directory/out", '2>&1');
	for (1 .. 200)
	{
		last if -e "$directory/port";
		sleep 0.05;
	}
	return $self;
}

# A column's values in the order of id, and its type here.
sub values_are
{
	my ($table, $column, $type, @expected) = @_;
	my $got = sql("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'far.$table'::regclass AND attname = '$column';
		SELECT coalesce(\"$column\"::text, 'NULL') FROM far.$table ORDER BY id");
	my $expected = encode_utf8(join("\n", $type, @expected, 'NULL'));
	ok($got eq $expected, "$table: $column") or diag(substr($got, 0, 400) . "\nexpected:\n" . substr($expected, 0, 400));
}

# The seventh digit is rounded.
sub test_times
{
	foreach my $n (0 .. 7)
	{
		my $shown = $n > 6 ? 6 : $n;
		my $nines = $n ? '.' . '9' x $n : '';
		my $last = $n == 7 ? '24:00:00' : "23:59:59$nines";
		my $middle = $n == 0 ? '12:00:01' : $n == 7 ? '12:00:00' : '12:00:00.' . '0' x ($n - 1) . '1';
		my ($second, $third) = $n == 0 ? ('2024-02-29 13:59:59', '1899-12-31 12:30:01') : ();
		values_are('times', "time$n", "time($shown) without time zone", '00:00:00', $last, $middle);
		values_are('times', "dt$n", "timestamp($shown) without time zone", '0001-01-01 00:00:00',
			$n == 7 ? '2024-02-29 00:00:00' : "2024-02-28 23:59:59$nines", "1899-12-31 $middle");
		# on the wire they are in UTC
		values_are('times', "off$n", "timestamp($shown) with time zone", '0001-01-01 00:00:00+00',
			$n == 7 ? '2024-02-29 00:00:00+00' : "2024-02-28 23:59:59$nines+00", "1899-12-31 $middle+00");
	}
}

sub test_decimals
{
	foreach my $case ((map { [ 38, $_ ] } 0 .. 38), (map { [ $_, int($_ / 2) ] } 1 .. 37))
	{
		my ($precision, $scale) = @$case;
		my $point = sub {
			my ($digits) = @_;
			my $whole = substr($digits, 0, $precision - $scale);
			$whole =~ s/^0+(?=\d)//;
			return ($whole eq '' ? '0' : $whole) . ($scale ? '.' . substr($digits, $precision - $scale) : '');
		};
		my $greatest = $point->('9' x $precision);
		my $least = $point->('0' x ($precision - 1) . '1');
		values_are('decimals', "d${precision}_$scale", "numeric($precision,$scale)", "-$greatest", $greatest, "-$least", $least,
			$point->('0' x $precision));
	}
}

sub test_code_pages
{
	foreach my $page (sort keys %texts)
	{
		my $text = $texts{$page};
		values_are('code_pages', "vc$page", 'text', $text);
		values_are('code_pages', "max$page", 'text', $text x 10000);
		values_are('code_pages', "text$page", 'text', $text x 3000);
		is(sql("SELECT rtrim(char$page) FROM far.code_pages WHERE id = 1"), encode_utf8($text), "code_pages: char$page");
	}
}

# As SQL Server shows them: a third of a hundredth is 3 ms, two are 7.
sub test_ticks
{
	my @expected = map { int($_ / 3) * 10 + (0, 3, 7)[ $_ % 3 ] } 0 .. 299;
	is(sql(q(SELECT string_agg(round(extract(epoch FROM v - '2000-01-01') * 1000)::text, ' ' ORDER BY id) FROM far.ticks)), "@expected", 'every tick of datetime');
}

sub test_floats
{
	is(sql(q(SELECT string_agg(encode(float8send(d), 'hex'), ' ' ORDER BY id) FROM far.floats)),
		'0000000000000000 8000000000000000 0000000000000001 800fffffffffffff 0010000000000000 7fefffffffffffff ffefffffffffffff 3fd5555555555555',
		'every bit of a float');
	is(sql(q(SELECT string_agg(encode(float4send(r), 'hex'), ' ' ORDER BY id) FROM far.floats)),
		'00000000 80000000 00000001 807fffff 00800000 7f7fffff ff7fffff 3eaaaaab', 'every bit of a real');
}

sub test_others
{
	my $point = '\xe6100000010c00000000000000400000000000000040';
	values_are('others', 'geometry', 'bytea', $point, '\x');
	values_are('others', 'geography', 'bytea', '\x' . '00' x 100000, $point);
	values_are('others', 'json', 'text', '{"a": "𝄞"}', '[]');
	values_are('others', 'nchar', 'text', '𝄞𝄞', "\x{ffff}   ");
	values_are('others', 'vbmax', 'bytea', '\x' . '0001' x 100000, '\x' . '00' x 65536);
	values_are('others', 'xml', 'text', '<a>𝄞</a>', '<b/>');
	values_are('others', $_, 'text', 'x' x 100 . '𝄞', $_ eq 'pair' ? '' : 'x') foreach qw(pair half);
	values_are('others', 'guid', 'uuid', '01020304-0506-0708-090a-0b0c0d0e0f10', '10000000-0000-0000-0000-000000000001');
}

# The server makes texts of them: those that its CAST would cut get a style of their own.
sub test_variants
{
	sql('SELECT * FROM far.variants');
	my ($statement) = grep { /SQL_VARIANT_PROPERTY/ } split /\n/, slurp_file("$directory/log");
	my %casts = $statement =~ /WHEN N'(\w+)' THEN CONVERT\(nvarchar\(max\), CAST\(\[v\] AS ([^)]*?(?:\([\d,]+\))?)(?:\), |\)\))/g;
	is_deeply(\%casts, { bit => 'int', real => 'float', float => 'float', smallmoney => 'decimal(19,4)', money => 'decimal(19,4)', date => 'date', time => 'time(7)',
		smalldatetime => 'datetime2(0)', datetime => 'datetime2(3)', datetime2 => 'datetime2(7)', datetimeoffset => 'datetimeoffset(7)',
		binary => 'varbinary(8000)', varbinary => 'varbinary(8000)' }, 'types of a sql_variant whose text must be asked for');
	like($statement, qr/ELSE CAST\(\[v\] AS nvarchar\(max\)\) END/, 'all others');
}

sub test_new_columns
{
	sql(q{CREATE TABLE decimals (id int PRIMARY KEY);
		SELECT censync_create_sync('decimals', 'decimals', 'upsert', server => 'ms', object => 'dbo.decimals', options => '{"add_columns": true}')});
	is(run_sync($node, 'decimals')->{records_created}, 6, 'add_columns');
	is(sql(q{SELECT count(*) FROM pg_attribute a JOIN pg_attribute b USING (attname, atttypid, atttypmod)
		WHERE a.attrelid = 'decimals'::regclass AND b.attrelid = 'far.decimals'::regclass AND a.attnum > 1}), 76, 'with the types of the source');
	is(sql('SELECT count(*) FROM (TABLE far.decimals EXCEPT TABLE decimals) missing'), 0, 'and its values');
}
