# Foreign tables over MariaDB, or MySQL (test/mysql): their columns have the source's types, and conditions that are sent there
# leave out no row that is wanted here.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncMariadb;
use CensyncTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', "timezone = 'UTC'");
my $db = CensyncMariadb->new;
my $is_mysql = $db->product eq 'MySQL';

$db->create_server($node, 'my', zero_dates => 'null');

test_import();
test_changed();
test_columns();
test_conditions();
is($db->connections, 0, 'no connection is left');
$db->stop;
done_testing();

sub pg { return $node->safe_psql('postgres', $_[0]) }

sub test_import
{
	my @types = ('tinyint' => 'smallint', 'tinyint unsigned' => 'smallint', 'tinyint(1)' => 'smallint', 'smallint' => 'smallint',
		'smallint unsigned' => 'integer', 'mediumint' => 'integer', 'mediumint unsigned' => 'integer', 'int' => 'integer',
		'int unsigned' => 'bigint', 'bigint' => 'bigint', 'bigint unsigned' => 'numeric(20,0)', 'float' => 'real',
		'float(7,4)' => 'real', 'double' => 'double precision', 'decimal(10,0)' => 'numeric(10,0)', 'decimal(5,5)' => 'numeric(5,5)',
		'decimal(65,30)' => 'numeric(65,30)', 'decimal(12,2) unsigned' => 'numeric(12,2)', 'date' => 'date',
		'datetime' => 'timestamp(0) without time zone', 'datetime(6)' => 'timestamp(6) without time zone',
		'timestamp(3) NULL' => 'timestamp(3) with time zone', 'time' => 'interval(0)', 'time(6)' => 'interval(6)', 'year' => 'smallint',
		'bit(1)' => 'bit(1)', 'bit(64)' => 'bit(64)', 'char(7)' => 'character varying(7)', 'varchar(20)' => 'character varying(20)',
		'varchar(20) CHARACTER SET latin1' => 'character varying(20)', 'varchar(16000)' => 'character varying(16000)',
		'tinytext' => 'text', 'longtext' => 'text', "enum('a')" => 'text', "set('a')" => 'text', 'binary(3)' => 'bytea',
		'varbinary(3)' => 'bytea', 'longblob' => 'bytea', 'json' => 'jsonb',
		$is_mysql ? ('vector(3)' => 'bytea') : (uuid => 'uuid'), 'geometry' => 'bytea',
		'int NOT NULL' => 'integer not null', 'date NOT NULL' => 'date');
	my (@columns, @expected);
	while (my ($there, $here) = splice(@types, 0, 2))
	{
		push @columns, 'c' . @columns . " $there";
		push @expected, "c$#columns $here";
	}
	$db->sql('CREATE TABLE types (' . join(', ', @columns) . q{); CREATE VIEW v AS SELECT c7, c42 FROM types;
		CREATE TABLE gone (a int); CREATE VIEW broken AS SELECT * FROM gone; DROP TABLE gone;
		CREATE TABLE `odd."name` (`a.b` int); CREATE TABLE other (a int)});
	$db->sql('CREATE SEQUENCE s') if !$is_mysql;
	my (undef, undef, $err) = $node->psql('postgres', q{CREATE SCHEMA all_of_it; CREATE SCHEMA my;
		IMPORT FOREIGN SCHEMA shop FROM SERVER my INTO all_of_it;
		IMPORT FOREIGN SCHEMA shop LIMIT TO (types, v, "odd.""name") FROM SERVER my INTO my});
	like($err, qr/WARNING:.*broken.*references invalid/, 'a view that cannot be read is named');
	is(pg(q{SELECT string_agg(ftrelid::regclass::text, ' ' ORDER BY ftrelid::regclass::text COLLATE "C") FROM pg_foreign_table}),
		'all_of_it."odd.""name" all_of_it.other all_of_it.types all_of_it.v my."odd.""name" my.types my.v', 'tables and views');
	is(pg(q{SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' not null' ELSE '' END,
		E'\n' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'my.types'::regclass AND attnum > 0}), join("\n", @expected), 'types');
	is(pg('SELECT count(*) FROM my."odd.""name"'), 0, 'odd names can be read');
	(undef, undef, $err) = $node->psql('postgres', 'IMPORT FOREIGN SCHEMA none FROM SERVER my INTO my');
	like($err, qr/the source has no database "none"/, 'a database that is not there');
	return;
}

# Between import and read.
sub test_changed
{
	$db->sql('DROP VIEW v; ALTER TABLE other RENAME COLUMN a TO b; DROP TABLE `odd."name`');
	my (undef, undef, $err) = $node->psql('postgres', q{\set VERBOSITY verbose
		SELECT * FROM my.v});
	like($err, qr/ERROR:  42P01.*doesn't exist/, 'a view was dropped');
	(undef, undef, $err) = $node->psql('postgres', q{\set VERBOSITY verbose
		SELECT a FROM all_of_it.other});
	like($err, qr/ERROR:  42703.*Unknown column 'a'/, 'a column was renamed');
	return;
}

# Columns that are computed there are read like others.  Those that SELECT * does not show are for queries.
sub test_columns
{
	$db->sql(q{CREATE TABLE computed (id int PRIMARY KEY, a int GENERATED ALWAYS AS (id * 2) VIRTUAL, b varchar(10) GENERATED ALWAYS AS
			(concat('b', id)) STORED, hidden int INVISIBLE DEFAULT 7); INSERT INTO computed (id) VALUES (1), (2)});
	pg('IMPORT FOREIGN SCHEMA shop LIMIT TO (computed) FROM SERVER my INTO my');
	is(pg('SELECT * FROM my.computed WHERE a = 4'), '2|4|b2', 'computed columns, and no invisible one');
	is(pg(q{SELECT censync_preview('my', query => 'SELECT id, hidden FROM computed WHERE id = 1')}), '{"id": 1, "hidden": 7}',
		'which a query names');
	return if !$is_mysql;
	$db->sql('SET sql_generate_invisible_primary_key = ON; CREATE TABLE keyless (v int); INSERT INTO keyless VALUES (5), (6)');
	pg('IMPORT FOREIGN SCHEMA shop LIMIT TO (keyless) FROM SERVER my INTO my');
	is(pg('SELECT * FROM my.keyless ORDER BY 1'), "5\n6", 'a table whose key MySQL has made');
	is(pg(q{SELECT string_agg(r::text, ' ') FROM censync_preview('my', query => 'SELECT my_row_id, v FROM keyless') r}),
		'{"v": 5, "my_row_id": 1} {"v": 6, "my_row_id": 2}', 'a query has the key');
	return;
}

# A foreign table, and a copy of it: whatever is asked of both has the same answer.
sub test_conditions
{
	$db->sql(q{SET sql_mode = 'ALLOW_INVALID_DATES';
		CREATE TABLE c (id int PRIMARY KEY, y year, t varchar(20), l varchar(20) CHARACTER SET latin1, b varchar(20) COLLATE utf8mb4_bin,
			n decimal(20,5), u bigint unsigned, f float, d date, dt datetime(6), ts timestamp(6) NULL, j json, e enum('x', 'y'));
		INSERT INTO c VALUES
		(1, 1999, 'a', 'a', 'a', 1, 1, 0.1, '2020-01-01', '2020-01-01 00:00:00.000001', '2020-01-01 00:00:00.000001', '"a"', 'x'),
		(2, 2050, 'A', 'A', 'A', 1.5, 18446744073709551615, 0.2, '0000-00-00', '0000-00-00 00:00:00', '0000-00-00 00:00:00', '1', 'y'),
		(3, 0, 'a ', 'a ', 'a ', -1.5, 0, 1, '2020-02-00', '2020-00-00 00:00:00', '2021-01-01 00:00:00', '[]', NULL),
		(4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
		(5, 2000, '', 'é', 'É', 0, 9223372036854775808, -0.0, '9999-12-31', '9999-12-31 23:59:59.999999', '2038-01-19 03:14:07', '{}', 'x'),
		(6, 1970, 'a\\\\''b', 'b', 'b', 999999999999999.99999, 2, 3.4e38, '1000-01-01', '1000-01-01 00:00:00', '1970-01-01 00:00:01', '0', 'y')});
	pg(q{IMPORT FOREIGN SCHEMA shop LIMIT TO (c) FROM SERVER my INTO my; CREATE TABLE c AS TABLE my.c});
	is(pg('SELECT count(*), count(d), count(dt), count(ts) FROM c'), '6|3|3|4', 'zero dates are NULL');
	my %constants = (
		id => [ '3', '2.5', '3000000000', 'NULL' ], y => [ '50', '1999', '0', '99' ],
		t => [ "'a'", "'A'", "'a '", "''", q{E'a\\\\\\'b'}, "'ä€'" ], l => [ "'a'", "'é'", "'€'" ], b => [ "'A'", "'É'", "'a '" ],
		n => [ '1', '1.5', "'NaN'", "'Infinity'", "'-Infinity'", '1e-40', '1e100', '-1.50000' ],
		u => [ '1', '-1', '18446744073709551615', '9223372036854775808' ], f => [ '0.1', '0', "'Infinity'" ],
		d => [ "'2020-01-01'", "'infinity'", "'-infinity'", "'0001-01-01 BC'", "'20000-01-01'", "'9999-12-31'" ],
		dt => [ "'2020-01-01 00:00:00.000001'", "'infinity'", "'2020-01-01'" ],
		ts => [ "'2020-01-01 00:00:00.000001+00'", "'-infinity'", "'2020-01-01 01:00:00.000001+01'" ],
		e => [ "'x'", "'z'", "''" ]);
	my ($asked, @wrong) = (0);
	my $ask = sub {
		my ($condition) = @_;
		my $sql = "SELECT string_agg(id::text, ',' ORDER BY id) FROM %s WHERE $condition";
		my ($there, $here) = split /\n/, pg(sprintf("SELECT (%s); SELECT (%s)", map { my $t = $_; sprintf $sql, $t } 'my.c', 'c') . ";SELECT 'end'");
		push @wrong, "$condition: $there, not $here" if $there ne $here;
		$asked++;
	};
	foreach my $column (sort keys %constants)
	{
		$ask->("$column IS NULL");
		$ask->("$column IS NOT NULL");
		foreach my $constant (@{ $constants{$column} })
		{
			$ask->("$column $_ $constant") foreach '=', '<>', '<', '<=', '>', '>=';
		}
	}
	is("@wrong", '', "$asked conditions");
	is(pg(q{SELECT count(*) FROM (SELECT * FROM my.c WHERE t = 'A' LIMIT 1) x}), 1, 'a limit waits for what is compared here');
	is(pg(q{SELECT count(*) FROM (SELECT * FROM my.c WHERE d IS NULL LIMIT 3) x}), 3, 'and for zero dates');
	like(pg(q{EXPLAIN (VERBOSE) SELECT t FROM my.c WHERE id = 3 AND t = 'a'}), qr/WHERE `id` = 3 AND `t` = _utf8mb4 X'61'/, 'they are sent');
	return;
}
