# The readers of values as services send them, one by one: good values, borders, and what is refused.
#
# CENSYNC_UNIT: path of censync_unit.so, see test/unit/Makefile.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $module = $ENV{CENSYNC_UNIT}
  or plan skip_all => 'CENSYNC_UNIT does not name censync_unit.so';

my $node = PostgreSQL::Test::Cluster->new('cells');
$node->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
# Settings that would change what the server's own input functions make of a text.
$node->append_conf('postgresql.conf', "fsync = off\nclient_encoding = utf8\ntimezone = 'America/New_York'\ndatestyle = 'SQL, DMY'\nintervalstyle = 'iso_8601'");
$node->start;
$node->safe_psql('postgres', qq{
	CREATE FUNCTION cell(reader text, value text, kind text = 'string', "precision" int = -1, scale int = -1) RETURNS text STRICT LANGUAGE c AS '$module', 'unit_cell';
	CREATE FUNCTION is_json_number(text) RETURNS boolean STRICT LANGUAGE c AS '$module', 'unit_json_number';
});

my @cases;

texts();
booleans();
integers();
numerics();
floats();
bytes();
json();
dates();
clocks();
timestamps();
epochs();
run_cases();
test_random();
test_json_numbers();

$node->stop;
done_testing();

# What a reader makes of values: value => text, or "! why".
sub cases
{
	my ($reader, @pairs) = @_;
	my %more = ref $pairs[0] ? %{ shift @pairs } : ();
	while (my ($value, $expected) = splice @pairs, 0, 2)
	{
		push @cases, [ $reader, $value, $more{kind} // 'string', $more{p} // -1, $more{s} // -1, $expected ];
	}
	return;
}

# Each value is refused, with these words and itself.
sub refused
{
	my ($reader, $why, @values) = @_;
	my %more = ref $values[0] ? %{ shift @values } : ();
	cases($reader, \%more, map { ($_ => qq(! $why: "$_")) } @values);
	return;
}

sub texts
{
	cases('text', '' => '', 'x' => 'x', "a\tb\n" => "a\tb\n", "\x{20ac}" => "\x{20ac}");
	return;
}

sub booleans
{
	cases('bool', (map { $_ => 't' } qw(true TRUE True 1)), (map { $_ => 'f' } qw(false FALSE 0)));
	refused('bool', 'no boolean', '', 't', 'yes', 'on', ' true', 'true ', '2', '00', '-0');
	return;
}

sub integers
{
	my %limits = (int2 => [ 'smallint', '32767', '-32768', '32768', '-32769' ], int4 => [ 'integer', '2147483647', '-2147483648', '2147483648', '-2147483649' ],
		int8 => [ 'bigint', '9223372036854775807', '-9223372036854775808', '9223372036854775808', '-9223372036854775809' ]);
	foreach my $reader (sort keys %limits)
	{
		my ($type, $max, $min, @beyond) = @{ $limits{$reader} };
		cases($reader, $max => $max, $min => $min, '0' => '0', '-0' => '0', '007' => '7', '-1' => '-1', '5.0' => '5', '-5.000' => '-5', ('0' x 30 . '1') => '1', "$max.0" => $max);
		refused($reader, "out of range of $type", @beyond, "${max}0", '9' x 40, '-' . '9' x 40);
		refused($reader, 'no integer', '', '-', '+1', ' 1', '1 ', '1.', '.0', '1.5', '1.01', '1e3', '0x1', '1_000', 'one', '--1', '1-', "1\n");
	}
	return;
}

sub numerics
{
	cases('numeric', '0' => '0', '1.50' => '1.50', '-0.000' => '0.000', '+7' => '7', '.5' => '0.5', '5.' => '5', '1e3' => '1000', '1.5E-3' => '0.0015', '1.0E+2' => '100',
		'99999999999999999999999999999999999999' => '99999999999999999999999999999999999999', '0.00000000000000000000000000000000000001' => '0.00000000000000000000000000000000000001',
		'12345678901234567890123456789.123456789' => '12345678901234567890123456789.123456789',
		'NaN' => 'NaN', 'nan' => 'NaN', 'inf' => 'Infinity', '+inf' => 'Infinity', '-Infinity' => '-Infinity', 'INFINITY' => 'Infinity');
	refused('numeric', 'no number', '', '.', '-', '+', 'e5', '1e', '1e+', '1e+-5', '1.2.3', '1,5', ' 1', '1 ', '0x10', '1_0', 'infinit', '--1');
	refused('numeric', 'out of range of numeric', '1e10001', '1e-10001', '1e99999999999999999999');
	my %money = (p => 10, s => 2);
	cases('numeric', \%money, '12345678.91' => '12345678.91', '-99999999.99' => '-99999999.99', '1' => '1.00', '0.005' => '0.01', '-0.005' => '-0.01', '0.004' => '0.00',
		'12345678.911' => '12345678.91', '99999999.994' => '99999999.99', '00000000001.5' => '1.50', '0.001e5' => '100.00', '0.00001e12' => '10000000.00', 'NaN' => 'NaN');
	refused('numeric', 'out of range of numeric', \%money, '100000000', '-123456789.00', '99999999.995', '-99999999.999', '1e8', '1e300', 'inf', '-inf');
	cases('numeric', { p => 38, s => 38 }, '0.99999999999999999999999999999999999999' => '0.99999999999999999999999999999999999999', '0' => '0.' . '0' x 38);
	refused('numeric', 'out of range of numeric', { p => 38, s => 38 }, '1', '-1.0');
	cases('numeric', { p => 38, s => 0 }, '-99999999999999999999999999999999999999' => '-99999999999999999999999999999999999999', '0.5' => '1', '1.4' => '1');
	return;
}

sub floats
{
	cases('float8', '0' => '0', '-0.0' => '-0', '1.5' => '1.5', '1.0E10' => '10000000000', '1.7976931348623157E308' => '1.7976931348623157e+308', '4.9E-324' => '5e-324',
		'0.1' => '0.1', 'NaN' => 'NaN', 'inf' => 'Infinity', '-inf' => '-Infinity', 'Infinity' => 'Infinity', '-Infinity' => '-Infinity', '.5' => '0.5', '5.' => '5', '0e999999' => '0');
	refused('float8', 'no number', '', '.', ' 1', '1 ', '0x10', '1e', 'infinite', 'nan(1)', '1f', '1,5');
	refused('float8', 'out of range of double precision', '1e309', '-1e309', '1e-400', '2e99999');
	cases('float4', '1.5' => '1.5', '0.1' => '0.1', '3.4028235E38' => '3.4028235e+38', '-1.4E-45' => '-1e-45', 'NaN' => 'NaN', 'inf' => 'Infinity', '0' => '0');
	refused('float4', 'out of range of real', '3.5e38', '-1e39', '1e-46');
	refused('float4', 'no number', '', 'x');
	refused('float4', 'out of range of double precision', '1e400');
	return;
}

sub bytes
{
	cases('base64', '' => '\x', 'AA==' => '\x00', '3q2+7w==' => '\xdeadbeef', 'YWJj' => '\x616263', 'AP8=' => '\x00ff', '////' => '\xffffff');
	refused('base64', 'no base64', '!', 'A', 'AA', 'AAA', 'A===', '3q2-7w==', '3q2_7w==', "\x{e9}AAA");
	cases('hex', '' => '\x', 'DEADBEEF' => '\xdeadbeef', 'deadBEEF' => '\xdeadbeef', '00ff' => '\x00ff', '0123456789ABCDEFabcdef' => '\x0123456789abcdefabcdef');
	refused('hex', 'no hexadecimal bytes', 'a', 'abc', 'zz', '0x', '\xab', 'AB ', ' AB', 'a-', "\x{e9}a");
	return;
}

sub json
{
	cases('json', '{"a": 1}' => '{"a": 1}', 'null' => 'null', '"x"' => '"x"', '[1.10, 1e2]' => '[1.10, 100]', " {\n} " => '{}', '12345678901234567890123' => '12345678901234567890123',
		'"\u00e9\ud83d\ude00"' => "\"\x{e9}\x{1f600}\"", '{"a": 1, "a": 2}' => '{"a": 2}');
	refused('json', 'no JSON', '', '{', '[1,]', '{"a"}', 'undefined', 'NaN', '01', '"a', '1 2', '"\u0000"', '"\ud800"', "'x'", 'True');
	refused('json', 'out of range of numeric', '1e99999');
	is($node->safe_psql('postgres', "SELECT left(cell('json', repeat('[', 100000)), 30), left(cell('json', repeat('[', 500) || repeat(']', 500)), 3)"), '! JSON that is nested too deep|[[[', 'JSON that is nested deep');
	cases('json', '[1, 1e99999]' => '! out of range of numeric: "1e99999"');
	cases('json_value', '' => '""', 'x' => '"x"', 'a"b\\' => '"a\\"b\\\\"', '{}' => '"{}"', 'null' => '"null"');
	cases('json_value', { kind => 'number' }, '1.50' => '1.50', '1e400' => '1' . '0' x 400);
	cases('json_value', { kind => 'object' }, '{"a": [null]}' => '{"a": [null]}', '[1, "x"]' => '[1, "x"]');
	refused('json_value', 'out of range of numeric', { kind => 'number' }, '1e99999');
	return;
}

sub dates
{
	cases('date', '2024-02-29' => '29/02/2024', '1970-01-01' => '01/01/1970', '0001-01-01' => '01/01/0001', '0000-12-31' => '31/12/0001 BC', '-0001-01-01' => '01/01/0002 BC',
		'9999-12-31' => '31/12/9999', '+10000-01-01' => '01/01/10000', '294276-12-31' => '31/12/294276', '1900-02-28' => '28/02/1900', '2000-02-29' => '29/02/2000', '-4713-11-24' => '24/11/4714 BC');
	refused('date', 'no date', '', '2023-02-29', '1900-02-29', '2024-13-01', '2024-00-01', '2024-01-00', '2024-04-31', '2024-1-2', '24-01-02', '2024/01/02', '2024-01-02T', '2024-01-02 ', ' 2024-01-02',
		'01.02.2024', '20240102', 'infinity', 'today', '5874898-01-01');
	refused('date', 'out of range of date', '-4713-11-23', '-9999-01-01');
	cases('date_days', '0' => '01/01/1970', '-1' => '31/12/1969', '-25567' => '01/01/1900', '20735' => '09/10/2026', '-719162' => '01/01/0001', '2932896' => '31/12/9999', '11016' => '29/02/2000', '20735.0' => '09/10/2026');
	refused('date_days', 'no integer', '', 'x', '1.5', '2024-01-02');
	refused('date_days', 'out of range of integer', '2147483648');
	refused('date_days', 'out of range of date', '2147483647', '-2440589');
	cases('date_days', '-2440588' => '24/11/4714 BC', '2145042905' => '31/12/5874897');
	refused('date_days', 'out of range of date', '2145042906');
	return;
}

sub clocks
{
	cases('time', '12:34' => '12:34:00', '12:34:56' => '12:34:56', '00:00:00' => '00:00:00', '1:2:3' => '01:02:03', '12:34:56.789000' => '12:34:56.789', '12:34:56.1234565' => '12:34:56.123457',
		'12:34:56.1234564999' => '12:34:56.123456', '23:59:59.999999' => '23:59:59.999999', '23:59:59.9999999' => '24:00:00', '24:00:00' => '24:00:00', '12:34:60' => '12:35:00', '00:00:00.0000005' => '00:00:00.000001');
	refused('time', 'no time', '', '12', '12:', '25:00', '24:00:01', '24:00:00.000001', '12:60', '12:34:61', '12:34:56.', '12:34:56Z', '12:34:56 ', '-1:00', '123:00', '12:34:56.5+02', 'noon');
	cases('time_seconds', '0' => '00:00:00', '45296.123456789' => '12:34:56.123457', '86399.999999' => '23:59:59.999999', '86400' => '24:00:00', '86399.9999999' => '24:00:00', '0.000000001' => '00:00:00', '45296' => '12:34:56');
	refused('time_seconds', 'no time', '', '-1', '-0.5', '86400.000001', '1e3', '1.', '.5', '12:34', '45296 0', 'x', '99999999999999');
	return;
}

sub timestamps
{
	my %same = ('2024-01-02T03:04:05' => '02/01/2024 03:04:05', '2024-01-02 03:04:05.123456' => '02/01/2024 03:04:05.123456', '2024-01-02' => '02/01/2024 00:00:00', '2024-01-02T03:04' => '02/01/2024 03:04:00',
		'0001-01-01T00:00:00' => '01/01/0001 00:00:00', '1969-12-31T23:59:59.9999995' => '01/01/1970 00:00:00', '2024-12-31T24:00:00' => '01/01/2025 00:00:00', '1582-10-10 00:00:00' => '10/10/1582 00:00:00');
	cases('timestamp', %same, '294276-12-31T23:59:59.999999' => '31/12/294276 23:59:59.999999', '-4713-11-24T00:00:00' => '24/11/4714 00:00:00 BC');
	refused('timestamp', 'no timestamp without a zone', '2024-01-02T03:04:05Z', '2024-01-02T03:04:05+00', '2024-01-02 03:04:05 UTC', '2024-01-02x', '2024-01-02T03:04:05 ');
	refused('timestamp', 'no timestamp', '', '2024-01-02T', '2024-02-30T00:00:00', '2024-01-02T25:00:00', '2024-01-02T03', 'infinity', 'now', '1704164645');
	refused('timestamp', 'out of range of timestamp', '294277-01-01', '294276-12-31T24:00:00', '-4713-11-23T23:59:59', '999999-01-01');
	# In New York.
	cases('timestamptz', '2024-01-02T03:04:05Z' => '01/01/2024 22:04:05 EST', '2024-01-02T03:04:05.123456+00:00' => '01/01/2024 22:04:05.123456 EST', '2024-07-02 03:04:05 UTC' => '01/07/2024 23:04:05 EDT',
		'2024-01-02T03:04:05' => '01/01/2024 22:04:05 EST', '2024-01-02T03:04:05+05:30' => '01/01/2024 16:34:05 EST', '2024-01-02T03:04:05-0800' => '02/01/2024 06:04:05 EST', '2024-01-02T03:04:05 +02' => '01/01/2024 20:04:05 EST',
		'2024-01-02' => '01/01/2024 19:00:00 EST', '2024-01-02T03:04:05-15:59' => '02/01/2024 14:03:05 EST');
	refused('timestamptz', 'no timestamp', '', '2024-01-02T03:04:05z', '2024-01-02T03:04:05+2', '2024-01-02T03:04:05+16:00', '2024-01-02T03:04:05+02:60', '2024-01-02T03:04:05 EST', '2024-01-02T03:04:05+02:', '2024-01-02T03:04:05ZZ', 'yesterday');
	refused('timestamptz', 'out of range of timestamp', '294277-01-01T00:00:00Z', '294276-12-31T23:59:59-01:00');
	return;
}

sub epochs
{
	cases('micros', '0' => '31/12/1969 19:00:00 EST', '-1' => '31/12/1969 18:59:59.999999 EST', '1704164645123456' => '01/01/2024 22:04:05.123456 EST', '253402300799999999' => '31/12/9999 18:59:59.999999 EST', '1704164645123456.0' => '01/01/2024 22:04:05.123456 EST');
	refused('micros', 'no integer', '', 'x', '1.5', '1.7E15', '2024-01-02');
	cases('micros', '9223372036854775807' => '09/01/294247 23:00:54.775807 EST');
	refused('micros', 'out of range of bigint', '9223372036854775808');
	refused('micros', 'out of range of timestamp', '-9223372036854775808', '-210866803200000001');
	cases('seconds', '0' => '31/12/1969 19:00:00 EST', '-0.500000000' => '31/12/1969 18:59:59.5 EST', '1704164645.123456789' => '01/01/2024 22:04:05.123457 EST', '1704164645.123456789 1860' => '01/01/2024 22:04:05.123457 EST',
		'1704164645 0' => '01/01/2024 22:04:05 EST', '-0' => '31/12/1969 19:00:00 EST', '-0.0000005' => '31/12/1969 18:59:59.999999 EST', '0.9999995' => '31/12/1969 19:00:01 EST', '-62135596800' => '31/12/0001 19:03:58 LMT BC', '253402300799.999999' => '31/12/9999 18:59:59.999999 EST');
	refused('seconds', 'no timestamp', '', '-', '.5', '1.', '1e9', '1 x', '1  5 ', '1x', '1.5.5', '+1', '1 -5', 'x', '9999999999999', '12345678901234');
	refused('seconds', 'out of range of timestamp', '-9223372036853', '-210866803200.000001');
	cases('seconds', '9223372036853' => '09/01/294247 23:00:53 EST', '-210866803200' => '23/11/4714 19:03:58 LMT BC');
	return;
}

sub run_cases
{
	my $sql = '';
	foreach my $case (@cases)
	{
		my ($reader, $value, $kind, $p, $s, $expected) = @$case;
		my @quoted = map { my $t = $_; $t =~ s/'/''/g; utf8::encode($t); "'$t'" } ($reader, $value, $kind);
		$sql .= ($sql eq '' ? '' : ', ') . "($quoted[0], $quoted[1], $quoted[2], $p, $s)";
	}
	my $out = $node->safe_psql('postgres', "SELECT replace(replace(cell(r, v, k, p, s), '\\', '\\\\'), E'\\n', '\\n') FROM (VALUES $sql) x(r, v, k, p, s)");
	my @got = split /\n/, $out, -1;
	is(scalar(@got), scalar(@cases), 'an answer for each value');
	foreach my $case (@cases)
	{
		my $expected = $case->[5];
		utf8::encode($expected);
		my $got = shift @got;
		$got =~ s/\\(.)/$1 eq 'n' ? "\n" : $1/ge;
		my $name = "$case->[0] of '" . substr($case->[1], 0, 50) . "'" . ($case->[3] >= 0 ? " as numeric($case->[3],$case->[4])" : '');
		utf8::encode($name);
		is($got, $expected, $name =~ s/\n/\\n/gr =~ s/#/(hash)/gr);
	}
	return;
}

# Against the server's own functions.
sub test_random
{
	my %checks = (
		date => q{cell('date', d::text) = d::text}, date_days => q{cell('date_days', (d - '1970-01-01')::text) = d::text},
		timestamp => q{cell('timestamp', t::text) = t::text AND cell('timestamp', replace(t::text, ' ', 'T')) = t::text},
		micros => q{cell('micros', m::text) = (timestamptz 'epoch' + m * interval '1 microsecond')::text},
		seconds => q{cell('seconds', trunc(m / 1000000.0, 6)::text) = (timestamptz 'epoch' + m * interval '1 microsecond')::text},
		timestamptz => q{cell('timestamptz', (t AT TIME ZONE 'Asia/Kolkata')::text) = (t AT TIME ZONE 'Asia/Kolkata')::text},
		time => q{cell('time', t::time::text) = t::time::text}, time_seconds => q{cell('time_seconds', extract(epoch FROM t::time)::text) = t::time::text},
		int8 => q{cell('int8', m::text) = m::text}, hex => q{cell('hex', encode(b, 'hex')) = b::text}, base64 => q{cell('base64', replace(encode(b, 'base64'), E'\n', '')) = b::text},
		numeric => q{cell('numeric', n::text, 'string', 30, 10) = n::numeric(30,10)::text}, float8 => q{cell('float8', f::text) = f::text});
	my $failed = $node->safe_psql('postgres', "SET datestyle = 'ISO'; SET timezone = 'UTC'; SELECT setseed(0.25); WITH r AS MATERIALIZED (
		SELECT (date '0001-01-01' + (random() * 3652058)::int) d, timestamp '0001-01-01' + random() * interval '9998 years' t, (random() * 1e15 - 5e14)::bigint m,
			decode(substr(md5(random()::text), 1, 2 * (random() * 16)::int), 'hex') b, (random()::numeric * 1e15 - 5e14) * random()::numeric n, (random() - 0.5) * 10 ^ (random() * 600 - 300) f
		FROM generate_series(1, 5000))
		SELECT " . join(', ', map { "'$_', count(*) FILTER (WHERE ($checks{$_}) IS NOT TRUE)" } sort keys %checks) . ' FROM r');
	is((split /\n/, $failed)[-1], join('|', map { "$_|0" } sort keys %checks), "random values, against the server's own functions");
	return;
}

sub test_json_numbers
{
	my @good = qw(0 -0 1 -1 10 1.5 -0.5 1e5 1E+5 1e-5 1.5e10 12345678901234567890 0.0 0e0);
	my @bad = ('', '-', '+1', '01', '-01', '1.', '.5', '1e', '1e+', 'e5', '1 ', ' 1', 'NaN', 'Infinity', '1-2', '1.2.3', '0x1', '1e5.0', '--1');
	my $values = join ', ', map { "('$_')" } @good, @bad;
	is($node->safe_psql('postgres', "SELECT string_agg(CASE WHEN is_json_number(v) THEN 'y' ELSE 'n' END, '') FROM (VALUES $values) x(v)"), 'y' x @good . 'n' x @bad, 'what is a number of JSON');
	return;
}
