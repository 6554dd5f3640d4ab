# Foreign tables over MariaDB, or MySQL (test/mysql): import, with names that are too long here, and what random predicates find there.
#
# CENSYNC_FOREIGN_SEED and CENSYNC_FOREIGN_PREDICATES as in 115_foreign.pl.
use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncMariadb;
use CensyncPredicates;
use CensyncTest;
use Encode qw(encode_utf8);
use Test::More;

my $seed = $ENV{CENSYNC_FOREIGN_SEED} || int(time) % 1_000_000;
diag "seed $seed";
srand $seed;

my $near = new_node('near', "timezone = 'America/New_York'\nDateStyle = 'SQL, DMY'");
my $db   = CensyncMariadb->new;
$db->create_server($near, 'my', zero_dates => 'null');

sub on_near { return $near->safe_psql('postgres', encode_utf8($_[0])) }
sub on_far  { return $db->sql(encode_utf8("SET NAMES utf8mb4; $_[0]")) }

# Text compares there without regard to case and to blanks at the end.
my @strings = ('', 'a', 'A', 'ab', 'a ', q{'}, '\\', q{\\'"}, 'é', 'É', 'e', '日本', '%_', 'NULL', '0');
my %columns = (
	int_  => ['int',         -2147483648, -7, -1, 0, 1, 2, 3, 7, 42, 2147483647],
	small => ['smallint',    -32768, -1, 0, 1, 5, 32767],
	big   => ['bigint',      '-9223372036854775808', -1, 0, 1, 2147483648, '9223372036854775807'],
	huge  => ['numeric',     0, 1, '18446744073709551615', '9223372036854775808'],
	num   => ['numeric',     qw(-1.5 0 0.00 1 1.05 99999999999999.000001)],
	real_ => ['real',        qw(-1.5 0 0.1 1e30)],
	dbl   => ['float8',      qw(-1.5 0 0.1 0.30000000000000004 1e300)],
	day   => ['date',        '2024-02-29', '1999-12-31', '2000-01-01', '1000-01-01'],
	ts    => ['timestamp',   '2024-03-31 02:30:00', '2000-01-01 00:00:00.000001', '1000-01-01'],
	tz    => ['timestamptz', '2024-03-31 02:30:00+00', '2000-01-01 00:00:01+00', '2024-11-03 05:30:00+00'],
	year_ => ['smallint',    1970, 2050, 1999],
	str   => ['text',        @strings],
	vc    => ['varchar(20)', @strings],
	bin   => ['text',        @strings],
	fixed => ['text',        'a', 'A', 'ab', 'é'],
	mood  => ['text',        qw(sad ok happy)]);
my %types = (huge => 'bigint unsigned', num => 'decimal(20, 6)', real_ => 'float', dbl => 'double', ts => 'datetime(6)', tz => 'timestamp(6) NULL',
	year_ => 'year', vc => 'varchar(20)', bin => 'varchar(20) COLLATE utf8mb4_bin', fixed => 'char(3)', mood => "enum ('sad', 'ok', 'happy')");
my @names = sort keys %columns;

sub far_literal
{
	my ($name) = @_;
	return 'NULL' if rand() < 0.1;
	return "'0000-00-00'" if $name =~ /^(?:day|ts)$/ && rand() < 0.2;
	my $value = any_value(\%columns, $name);
	$value =~ s/\+00$//;
	$value =~ s/([\\'])/\\$1/g;
	return "'$value'";
}

on_far("SET time_zone = '+00:00'; CREATE TABLE shop.odd (id int PRIMARY KEY, " . join(', ', map { "$_ " . ($types{$_} // $columns{$_}[0]) } @names)
	. ') CHARACTER SET utf8mb4; INSERT INTO shop.odd VALUES '
	. join(', ', map { my $id = $_; "($id, " . join(', ', map { far_literal($_) } @names) . ')' } 1 .. 400));
on_near('IMPORT FOREIGN SCHEMA shop FROM SERVER my INTO public; CREATE TABLE copy AS SELECT * FROM odd');
is(on_near('SELECT count(*) FROM copy'), 400, 'all rows are there');
compare_predicates($near, 'odd', 'copy', \%columns, $ENV{CENSYNC_FOREIGN_PREDICATES} || 250);

# Two tables and two columns that differ behind the 63rd byte, and a column that no table here can have.
my $long = 'é' x 45;
my $here = 'é' x 31;
my $next = 'é' x 30 . '_1';
on_far("CREATE TABLE shop.`${long}a` (id int, `${long}x` int, `${long}y` int, ctid int); INSERT INTO shop.`${long}a` VALUES (1, 2, 3, 4);
	CREATE TABLE shop.`${long}b` (id int); CREATE TABLE shop.Caps (id int)");
on_near('CREATE SCHEMA long; IMPORT FOREIGN SCHEMA shop EXCEPT (odd) FROM SERVER my INTO long');
is(on_near(q{SELECT relname, ftoptions FROM pg_foreign_table JOIN pg_class c ON c.oid = ftrelid WHERE relnamespace = 'long'::regnamespace ORDER BY relname COLLATE "C"}),
	encode_utf8("Caps|{object=shop.Caps}\n$next|{object=shop.${long}b}\n$here|{object=shop.${long}a}"), 'long names of tables');
is(on_near(qq{SELECT id, "$here", "$next", ctid_1 FROM long."$here" WHERE "$next" = 3}), '1|2|3|4', 'long names of columns');
my ($rc, $out, $err) = $near->psql('postgres', 'IMPORT FOREIGN SCHEMA shop LIMIT TO (caps) FROM SERVER my INTO public');
like($err, qr/WARNING:  "caps" is not imported: schema "shop" of the source has no such table/, 'what is asked for and not there is said');
$near->stop;
done_testing();
