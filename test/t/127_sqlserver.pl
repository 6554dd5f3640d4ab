# SQL Server as a source, against a server of its protocol that is as strict as the document: every type, TLS, logins,
# errors at every point, cancel.
use strict;
use warnings;

use File::Basename;
use FindBin;
use IPC::Run;
use lib "$FindBin::RealBin/../perl";

use CensyncTest;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $directory = PostgreSQL::Test::Utils::tempdir('tds');
my $password = q(pass wörd €;'"#);
my $long = 'ü€𝄞x' x 30000;
my @running;

# Columns c_... of the table, the type of each here, and its values in three rows; the fourth has NULLs.
my @types = (
	[ 'bit', 'boolean', 'false', 'true', 'true' ],
	[ 'tinyint', 'smallint', '0', '255', '128' ],
	[ 'smallint', 'smallint', '-32768', '32767', '-1' ],
	[ 'int', 'integer', '-2147483648', '2147483647', '-1' ],
	[ 'bigint', 'bigint', '-9223372036854775808', '9223372036854775807', '-1' ],
	[ 'real', 'real', '-3.4028235e+38', '1e-45', '0.1' ],
	[ 'float', 'double precision', '-1.7976931348623157e+308', '5e-324', '0.1' ],
	[ 'dec38', 'numeric(38,0)', '-' . '9' x 38, '9' x 38, '0' ],
	[ 'dec38_38', 'numeric(38,38)', '-0.' . '9' x 38, '0.' . '0' x 37 . '1', '0.' . '0' x 38 ],
	[ 'num9_4', 'numeric(9,4)', '-99999.9999', '0.0005', '1.0000' ],
	[ 'num19_2', 'numeric(19,2)', '-99999999999999999.99', '99999999999999999.99', '1.23' ],
	[ 'num28_9', 'numeric(28,9)', '-9999999999999999999.999999999', '9999999999999999999.999999999', '0.000000001' ],
	[ 'money', 'numeric(19,4)', '-922337203685477.5808', '922337203685477.5807', '-0.0001' ],
	[ 'smallmoney', 'numeric(10,4)', '-214748.3648', '214748.3647', '1.2345' ],
	[ 'date', 'date', '0001-01-01', '9999-12-31', '2024-02-29' ],
	[ 'time7', 'time(6)', '00:00:00', '24:00:00', '12:34:56.123457' ],
	[ 'time0', 'time(0)', '00:00:00', '23:59:59', '12:34:56' ],
	[ 'time3', 'time(3)', '00:00:00', '23:59:59.999', '12:34:56.123' ],
	[ 'datetime', 'timestamp(3)', '1753-01-01 00:00:00', '9999-12-31 23:59:59.997', '1900-01-01 00:00:00.007' ],
	[ 'smalldatetime', 'timestamp(0)', '1900-01-01 00:00:00', '2079-06-06 23:59:00', '2024-02-29 01:01:00' ],
	[ 'datetime2', 'timestamp(6)', '0001-01-01 00:00:00', '10000-01-01 00:00:00', '2024-02-29 12:34:56.123456' ],
	[ 'datetime2_0', 'timestamp(0)', '0001-01-01 00:00:00', '9999-12-31 23:59:59', '2024-02-29 12:34:56' ],
	[ 'offset', 'timestamptz(6)', '0001-01-01 14:00:00+00', '9999-12-31 10:00:00+00', '2024-02-29 07:04:56.123457+00' ],
	[ 'offset3', 'timestamptz(3)', '1970-01-01 00:00:00+00', '1999-12-31 23:59:59.999+00', '2024-02-29 07:04:56.123+00' ],
	[ 'char', 'text', 'ab   ', '     ', 'äß€xy' ],
	[ 'varchar', 'text', '', "it's € ÿ", 'x' x 50 ],
	[ 'varchar_max', 'text', '', 'é' x 100000, 'y' ],
	[ 'text', 'text', '', 'long é' x 5000, 'z' ],
	[ 'nchar', 'text', 'é   ', '    ', '𝄞日本' ],
	[ 'nvarchar', 'text', '', '日本語 𝄞 ñ', 'Ω' x 50 ],
	[ 'nvarchar_max', 'text', '', $long, 'w' ],
	[ 'ntext', 'text', '', '語' x 40000, 'v' ],
	[ 'binary', 'bytea', '\x00010203', '\xffffffff', '\x00000000' ],
	[ 'varbinary', 'bytea', '\x', '\x' . join('', map { sprintf '%02x', $_ } 0 .. 49), '\x00' ],
	[ 'varbinary_max', 'bytea', '\x', '\x' . join('', map { sprintf '%02x', $_ } 0 .. 255) x 400, '\x0000' ],
	[ 'image', 'bytea', '\x', '\x' . '89504e47' x 30000, '\x00' ],
	[ 'uuid', 'uuid', '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff',
		'00112233-4455-6677-8899-aabbccddeeff' ],
	[ 'xml', 'text', '', '<a b="é">' . 'x' x 70000 . '</a>', '<r/>' ],
	[ 'hierarchyid', 'bytea', '\x', '\x5ac0', '\x58' ],
	[ 'rowversion', 'bytea', '\x0000000000000000', '\xffffffffffffffff', '\x00000000000007d1' ]);

make_certificates();

# What FreeTDS would heed: a log with passwords, another server, another protocol, another configuration.
my $dump = "$directory/dump";
@ENV{qw(TDSDUMP TDSDUMPCONFIG TDSHOST TDSPORT TDSVER FREETDSCONF)} =
  ($dump, "$dump-config", '127.0.0.9', 1, '5.0', "$directory/nothing");
my $node = new_node('sqlserver', "fsync = off\nlog_statement = none", init => [ '--encoding=UTF8', '--locale=C' ]);
delete @ENV{qw(TDSDUMP TDSDUMPCONFIG TDSHOST TDSPORT TDSVER FREETDSCONF)};

my $server = start_server('main');
create_source('ms', $server);

test_check();
test_types();
test_null_and_empty();
test_rounding();
test_other_types();
test_shapes();
test_statements();
test_import();
test_babelfish();
test_cut_off();
test_errors();
test_bad_values();
test_logins();
test_tls();
test_cancel();
test_timeouts();
test_options();
test_another_encoding();
test_without_module();
test_nothing_is_left();

$node->stop;
done_testing();

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub error_of
{
	my ($sql, $dbname) = @_;
	my ($status, undef, $err) = $node->psql($dbname // 'postgres', "\\set VERBOSITY verbose\n$sql", timeout => 60);
	$err =~ s/^LOCATION:.*\n//mg;
	return $err;
}

sub preview
{
	my ($object, $from) = @_;
	return sprintf q{SELECT count(*) FROM censync_preview('%s', object => 'dbo.%s', "limit" => 100000000)}, $from // 'ms', $object;
}

# One authority, and certificates for two names.
sub make_certificates
{
	my $make = q(
		cd "$1"
		openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=authority -addext basicConstraints=critical,CA:TRUE
		for name in localhost db.example.com second; do
			openssl req -newkey rsa:2048 -nodes -keyout $name.key -out $name.csr -subj /CN=server
			printf 'subjectAltName=DNS:%s\n' $name | sed s/second/localhost/ > ext
			openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile ext -out $name.pem
		done);
	system('sh', '-ec', "exec > /dev/null 2>&1; $make", 'sh', $directory) == 0 or die "no certificates\n";
}

sub start_server
{
	my ($name, @options) = @_;
	my $script = File::Spec->catfile(dirname(__FILE__), '..', 'tds', 'server.py');
	my $self = { log => "$directory/$name.log", port_file => "$directory/$name.port" };
	my $certificate = (grep { $_ eq 'other name' } @options) ? 'db.example.com' : 'localhost';
	my ($in, $out) = ('', '');

	$self->{process} = IPC::Run::start(
		[ $ENV{PYTHON} || 'python3', '-B', $script, '--parent-pid', $$, '--port-file', $self->{port_file}, '--log', $self->{log},
			'--cert', "$directory/$certificate.pem", grep { $_ ne 'other name' } @options ],
		'<', \$in, '>', "$directory/$name.out", '2>&1');
	push @running, $self->{process};
	for (1 .. 200)
	{
		last if -e $self->{port_file};
		sleep 0.05;
	}
	$self->{port} = slurp_file($self->{port_file});
	return $self;
}

END
{
	my $status = $?;
	$_->kill_kill foreach @running;
	$? = $status;
}

sub create_source
{
	my ($name, $at, %options) = @_;
	my %user = (user => 'reader', password => $password, %{ delete $options{mapping} // {} });
	my $type = delete $options{type} // 'sqlserver';
	%options = (host => 'localhost', port => $at->{port}, database => 'shop', ca_file => "$directory/ca.pem", %options);
	my $list = sub {
		my (%given) = @_;
		return join ', ', map { "$_ " . sql_literal($given{$_}) } grep { defined $given{$_} } sort keys %given;
	};
	sql("CREATE SERVER $name TYPE '$type' FOREIGN DATA WRAPPER censync OPTIONS (" . $list->(%options) . ');'
		. "CREATE USER MAPPING FOR CURRENT_USER SERVER $name OPTIONS (" . $list->(%user) . ')');
}

sub log_of
{
	my ($at) = @_;
	return map { JSON::PP->new->utf8->decode($_) } split /\n/, -e $at->{log} ? slurp_bytes($at->{log}) : '';
}

sub slurp_bytes
{
	my ($file) = @_;
	open(my $handle, '<:raw', $file) or die "cannot read $file: $!\n";
	local $/;
	return <$handle>;
}

sub test_check
{
	is(sql(q(SELECT string_agg(concat_ws(' ', step, ok, detail), E'\n') FROM censync_check('ms'))),
		join("\n", 'resolve t 127.0.0.1', 'connect t ok', 'tls t TLSv1.2, certificate verified', 'authenticate t ok',
			'query t Microsoft SQL Server 2019 answers'), 'every step of a check');
	my ($login) = grep { $_->{event} eq 'login' } log_of($server);
	is_deeply([ @$login{qw(user password_ok app server database encrypted read_only)} ],
		[ 'reader', JSON::PP::true, 'censync', 'localhost', 'shop', JSON::PP::true, JSON::PP::false ], 'what the server was told');
	ok(!-e $dump && !-e "$dump-config", 'FreeTDS writes no log, whatever the environment says');
	create_source('pool', $server, type => 'azure_synapse');
	is(sql(q(SELECT bool_and(ok) FROM censync_check('pool', object => 'dbo.two'))), 't', 'azure_synapse speaks the same');
	unlike(join(' ', map { $_->{event} } log_of($server)), qr/protocol error/, 'nothing that was sent offends against the protocol');
}

# A sync into columns of the types that the source says it has.
sub copy_table
{
	my ($object, $table, $columns) = @_;
	sql("DROP TABLE IF EXISTS $table; CREATE TABLE $table ($columns)");
	sql(sprintf q{SELECT censync_create_sync('%s', '%s', 'append', server => 'ms', object => 'dbo.%s')}, $table, $table, $object);
	my $run = run_sync($node, $table);
	is($run->{status}, 'completed', "$object is read") or diag($run->{error_message}, $run->{_stderr});
	is($run->{records_invalid}, 0, "all of $object is valid") or diag(sql('SELECT reason FROM censync.records'));
	sql("SELECT censync_drop_sync('$table')");
}

# Rows of all values, and rows whose NULLs are a bitmap.
sub test_types
{
	foreach my $object (qw(types types_compact))
	{
		copy_table($object, 'got', join ', ', 'id int PRIMARY KEY', map { "c_$_->[0] $_->[1]" } @types);
		foreach my $type (@types)
		{
			my ($name, undef, @values) = @$type;
			my $got = sql("SET timezone = 'UTC'; SELECT json_agg(c_$name\::text ORDER BY id) FROM got");
			my $decoded = JSON::PP->new->decode($got);
			my $expected = [ @values, undef ];
			# a diagnostic of 100 kB helps nobody
			my @differ = grep { ($decoded->[$_] // 'NULL') ne ($expected->[$_] // 'NULL') } 0 .. 3;
			ok(@$decoded == 4 && !@differ, "$object: $name")
			  or diag(map { "row $_: " . substr($decoded->[$_] // 'NULL', 0, 80) . ' for ' . substr($expected->[$_] // 'NULL', 0, 80) . "\n" } @differ);
		}
	}
}

sub test_null_and_empty
{
	is(sql(q(SELECT string_agg(format('%s %s', c_nvarchar IS NULL, c_nvarchar = ''), ' ' ORDER BY id) FROM got)),
		'f t f f f f t ', 'NULL is not the empty string');
	is(sql(preview('empty')), 0, 'zero rows');
}

# Half a microsecond goes up, into the next day, too.
sub test_rounding
{
	is(sql(q(SELECT c_time7 FROM got WHERE id = 2)), '24:00:00', '23:59:59.9999999 is the end of the day');
	is(sql(q(SELECT c_datetime2 - '2024-02-29 12:34:56.123456' FROM got WHERE id = 3)), '00:00:00', '.1234564 goes down');
	is(sql(q(SELECT c_datetime2 > c_date FROM got WHERE id = 2)), 't', 'the last 100 ns of 9999 are in the next year');
}

sub test_other_types
{
	copy_table('not_null', 'plain', 'id int PRIMARY KEY, b boolean, t smallint, s smallint, l bigint, r real, f float8, m numeric(19,4),'
		. ' sm numeric(10,4), dt timestamp(3), sdt timestamp(0)');
	is(sql('SELECT * FROM plain'), '1|t|255|-32768|-9223372036854775808|0.5|0.1|-1.0001|12.3456|2024-02-29 00:00:00.003|2024-02-29 23:59:00',
		'types that can hold no NULL');
	copy_table('variants', 'variants', 'id int PRIMARY KEY, v text');
	is(sql(q(SELECT string_agg(coalesce(v, 'NULL'), ', ' ORDER BY id) FROM variants)), '-7, NULL, 2024-02-29 12:34:56.1234567 +05:30', 'sql_variant');
	my ($statement) = grep { /SQL_VARIANT_PROPERTY/ } map { $_->{sql} // '' } log_of($server);
	like($statement, qr/WHEN N'datetime2' THEN CONVERT\(nvarchar\(max\), CAST\(\[v\] AS datetime2\(7\)\), 121\)/, 'as a text that the server makes');
	like(error_of(q(SELECT * FROM censync_preview('ms', query => 'SELECT * FROM dbo.variants'))),
		qr/0A000: column "v" of the query has type sql_variant\nHINT:  Cast it in the query/, 'not in a query');
	like(error_of(preview('unknown_type')), qr/0A000: column "v" has type vector\(3\), which is not supported/, 'an unknown type is refused by name');
}

sub test_shapes
{
	is(sql(q(SELECT string_agg((SELECT count(v)::text FROM jsonb_each_text(r) AS e(k, v)), ' ') FROM censync_preview('ms', object => 'dbo.wide') r)),
		'1000 1', '1,000 columns');
	is(sql(q(SELECT length(r->>'v') || ' ' || left(r->>'v', 2) FROM censync_preview('ms', object => 'dbo.big') r)), '99999999 éx', '100 MB in one field');
	is(sql(q(SELECT * FROM censync_preview('ms', object => 'dbo."odd ]name.x"""'))), '{"id": 1, "odd ]col\"": "x"}', 'names with everything in them');
	is(sql(preview('informed')), 2, 'what is no error is none in the midst of rows');
}

sub test_statements
{
	sql(q(CREATE TABLE two (id int PRIMARY KEY, v text);
		SELECT censync_create_sync('two', 'two', 'upsert', server => 'ms', object => 'dbo.two', options => '{"cursor_column": "id"}')));
	is(run_sync($node, 'two')->{status}, 'completed', 'the first run');
	is(run_sync($node, 'two')->{status}, 'completed', 'the second run');
	like((map { $_->{sql} // () } log_of($server))[-1], qr/^SELECT \[id\], \[v\] FROM \[dbo\]\.\[two\] WHERE \(\[id\] >= 2 OR \[id\] IS NULL\)$/,
		'an incremental read sends its bound');
	sql(q(SELECT censync_drop_sync('two')));
	sql(q(SELECT * FROM censync_preview('ms', object => 'dbo.endless', "limit" => 3)));
	is(sql(q(SELECT r->>'v' FROM censync_preview('ms', object => 'dbo.undescribed') r)), 'one', 'a statement that the server can not analyze');
	is(sql(q(SELECT r->>'v' FROM censync_preview('ms', query => 'SELECT * FROM dbo.two ORDER BY id; -- two') r LIMIT 1)), 'one', 'a query as it is');
	like(error_of(preview('unnamed')), qr/42611: column 2 of the query has no name/, 'a column without a name');
}

# Names, types and NOT NULL of the catalog; what is sent of a WHERE.
sub test_import
{
	sql(q(CREATE SCHEMA shop; IMPORT FOREIGN SCHEMA dbo LIMIT TO (types, variants, not_null, unknown_type, two, "odd ]name.x""") FROM SERVER ms INTO shop));
	my %types = map { split /=/, $_, 2 } split /\n/,
	  sql(q(SELECT attname || '=' || format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'shop.types'::regclass AND attnum > 1));
	my %expected = map { ("c_$_->[0]", sql("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'got'::regclass AND attname = 'c_$_->[0]'")) } @types;
	is_deeply(\%types, \%expected, 'types of a foreign table');
	is(sql(q(SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'shop.not_null'::regclass AND attnum > 0 AND attnotnull)),
		'id b t s l r f m sm dt sdt', 'NOT NULL');
	is(sql(q(SELECT string_agg(attname, ' ') FROM pg_attribute WHERE attrelid = 'shop.unknown_type'::regclass AND attnum > 0)), 'id', 'a type that is not supported');
	is(sql(q(SELECT * FROM shop."odd ]name.x""")), '1|x', 'names with everything in them');
	like(error_of(qq(IMPORT FOREIGN SCHEMA "no $_" FROM SERVER ms INTO shop)), qr/HV000: the server lists a table or column without its name/, "no name of a $_") for qw(table column);
	is(sql(q(SELECT count(*) FROM shop.types)), 4, 'a scan');
	is(sql(q(SELECT v FROM shop.two WHERE id >= 1 AND v = 'one')), 'one', 'a scan with conditions');
	like((map { $_->{sql} // () } log_of($server))[-1], qr/WHERE \[id\] >= 1 AND \[v\] = N'one'$/, 'which were sent');
	sql(q(SELECT id FROM shop.types WHERE c_text = 'z' AND c_ntext = 'v' AND c_xml = '<r/>' AND c_varchar = 'x'
		AND c_uuid = '00112233-4455-6677-8899-aabbccddeeff' AND c_datetime2 >= '2024-01-01' AND c_date >= '-infinity' AND c_offset >= 'infinity'));
	is_deeply([ sort split / AND /, (map { $_->{sql} // () } log_of($server))[-1] =~ s/.* WHERE //sr ], [ sort q([c_varchar] = N'x'),
			q([c_uuid] = CAST(N'00112233-4455-6677-8899-aabbccddeeff' AS uniqueidentifier)), q([c_datetime2] >= CAST(N'2023-12-31 23:59:59.999000' AS datetime2(7))),
			q([c_date] >= CAST(N'0001-01-01' AS date)), q([c_offset] >= CAST(N'9999-12-31 23:59:58.999000 +00:00' AS datetimeoffset(7))) ],
		'no text that can not be compared, and bounds that SQL Server has');
}

# Its catalog has other numbers for types, and what describes statements is not for readers.
sub test_babelfish
{
	my $other = start_server('babelfish', '--version', 'Babelfish for PostgreSQL with SQL Server Compatibility - 12.0.2000.8');
	my $types = q(SELECT string_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull), ', ' ORDER BY attrelid::regclass::text, attnum)
		FROM pg_attribute WHERE attrelid IN ('%1$s.types'::regclass, '%1$s.not_null'::regclass) AND attnum > 0);
	create_source('bbf', $other);
	sql('CREATE SCHEMA bbf; IMPORT FOREIGN SCHEMA dbo LIMIT TO (types, variants, not_null, two, twice) FROM SERVER bbf INTO bbf');
	is(sql(sprintf $types, 'bbf'), sql(sprintf $types, 'shop') =~ s/numeric\K\(38,38\)//r, 'Babelfish: types by their names');
	is(sql('SELECT v FROM bbf.twice'), '21.00', 'a decimal without a precision');
	is(sql('SELECT count(*) FROM (TABLE shop.types EXCEPT TABLE bbf.types) x'), 0, 'their values');
	is(sql(q(SELECT string_agg(coalesce(v, 'NULL'), ' ' ORDER BY id) FROM bbf.variants)), '-7 NULL 2024-02-29 12:34:56.1234567 +05:30', 'sql_variant');
	is(sql(q(SELECT id FROM bbf.two WHERE v = 'one')), '1', 'a condition on a text');
	is_deeply([ (map { $_->{sql} // () } log_of($other))[ -4 .. -1 ] ], [ 'SET ROWCOUNT 1; BEGIN TRANSACTION', 'SELECT [id], [v] FROM [dbo].[two]',
			'IF @@TRANCOUNT > 0 ROLLBACK; SET ROWCOUNT 0', q(SELECT [id], [v] FROM [dbo].[two] WHERE [v] = N'one') ], 'described by a row, and undone');
	is(sql(q(SELECT count(*) FROM censync_preview('bbf', query => 'SELECT * FROM dbo.two'))), 2, 'all rows of a query');
	like(error_of(preview('nothing', 'bbf')), qr/42P01: Invalid object name 'dbo\.nothing'/, 'an error while describing');
	like(error_of(preview('unnamed', 'bbf')), qr/42611: column 2 of the query has no name/, 'a column without a name');
}

# A cut connection is never an end: a mirror would delete what it did not see.
sub test_cut_off
{
	sql(q(CREATE TABLE kept (id int PRIMARY KEY, v text); INSERT INTO kept SELECT i, 'old' FROM generate_series(1, 5000) i));
	my $before = table_state($node, 'kept', xmax => 1);
	foreach my $case (
		[ 'cut', '08006', 'in the midst of a row' ], [ 'cut_at_once', '08006', 'in the first row' ], [ 'cut_between', '08006', 'between two rows' ],
		[ 'cut_before_decimal', '08006', 'before a decimal' ], [ 'fails', '22012', 'by an error behind rows' ],
		[ 'killed', '08006', 'by KILL' ], [ 'too_few', '08006', 'with fewer rows than the server counted' ], [ 'two_results', '0A000', 'by a second result' ])
	{
		my ($object, $code, $how) = @$case;
		sql("SELECT censync_create_sync('cut', 'kept', 'mirror', server => 'ms', object => 'dbo.$object', options => '{\"mirror_scope\": \"table\"}')");
		my $run = run_sync($node, 'cut');
		is("$run->{status} $run->{error_code}", "failed $code", "ended $how") or diag($run->{error_message});
		is(table_state($node, 'kept', xmax => 1), $before, 'the destination is untouched');
		sql(q(SELECT censync_drop_sync('cut')));
	}
}

sub test_errors
{
	like(error_of(preview('fails')), qr/22012: Divide by zero error encountered\nDETAIL:  SQL Server error 8134, severity 16, state 1, line 3, procedure dbo\.ratio\./, 'message and where');
	like(error_of(preview('missing')), qr/42P01: Invalid object name 'dbo\.missing'\n.*\nHINT:  Name it with its schema/, 'no such table');
	like(error_of(q(SELECT * FROM censync_preview('ms', query => 'SELECT [nothing] FROM dbo.two'))), qr/42703: Invalid column name 'nothing'/, 'no such column');
	like(error_of(q(SELECT * FROM censync_preview('ms', query => 'SELEKT 1'))), qr/42601: Incorrect syntax near 'SELEKT'/, 'no SQL');
}

sub test_bad_values
{
	sql(q(CREATE TABLE texts (id int PRIMARY KEY, v text); SELECT censync_create_sync('texts', 'texts', 'upsert', server => 'ms', object => 'dbo.bad_text')));
	my $run = run_sync($node, 'texts');
	is("$run->{status} $run->{records_invalid}", 'completed 2', 'values that are no text are those records\' own');
	is(sql(q(SELECT string_agg(concat_ws(' ', id, v), ', ' ORDER BY id) FROM texts)), '1 fine?, 4 fine', 'and no others\'');
	is(sql(q(SELECT string_agg(concat_ws(' ', record_number, reason_code, reason), E'\n' ORDER BY record_number) FROM censync.records WHERE run_id = ) . $run->{run_id}),
		qq(2 22021 the value of column "v" can't be had: it is no valid text\n)
		  . q(3 22021 the value of column "v" can't be had: it has the character U+0000, which no text of PostgreSQL can have), 'with the reason');
	sql(q(SELECT censync_drop_sync('texts')));

	# Numbers of 77 digits, which FreeTDS takes, and moments beyond all calendars.
	sql(q(CREATE TABLE beyond (id int PRIMARY KEY, n numeric, dt timestamp, t time, d2 timestamp); SELECT censync_create_sync('beyond', 'beyond', 'upsert', server => 'ms', object => 'dbo.beyond')));
	$run = run_sync($node, 'beyond');
	is("$run->{status} $run->{records_invalid}", 'completed 4', 'values that no type can have are their records\' own');
	is(sql(q(SELECT string_agg(concat_ws(' ', record_number, reason_code, reason), E'\n' ORDER BY record_number) FROM censync.records WHERE run_id = ) . $run->{run_id}),
		join("\n", map { "$_->[0] 08P01 the value of column \"$_->[1]\" can't be had: it is none that its type can have" }
			  [ 2, 'n' ], [ 3, 'dt' ], [ 4, 't' ], [ 5, 'd2' ]), 'with the reason');
	is(sql('SELECT string_agg(id::text, $$ $$ ORDER BY id) FROM beyond'), '0 5', 'and no others\'');
	sql(q(SELECT censync_drop_sync('beyond')));
}

sub failing_step
{
	my ($name) = @_;
	return sql("SELECT concat_ws(' ', step, detail) FROM censync_check('$name') WHERE NOT ok");
}

sub test_logins
{
	create_source('wrong', $server, mapping => { password => 'guess' });
	like(error_of(preview('two', 'wrong')), qr/28P01: Login failed for user 'reader'\n.*18456.*\nHINT:  Check user and password/, 'a wrong password');
	unlike(error_of(preview('two', 'wrong')), qr/guess/, 'which is not told');
	like(failing_step('wrong'), qr/^authenticate Login failed/, 'the step that failed');
	create_source('elsewhere', $server, database => 'void');
	like(error_of(preview('two', 'elsewhere')), qr/3D000: Cannot open database "void"/, 'no such database');
	sql(q(CREATE SERVER nobody TYPE 'sqlserver' FOREIGN DATA WRAPPER censync OPTIONS (host 'localhost')));
	sql(q(CREATE USER MAPPING FOR CURRENT_USER SERVER nobody));
	like(error_of(preview('two', 'nobody')), qr/28000: the user mapping has no user and password/, 'no user: not the Kerberos ticket of the server');
	my $busy = start_server('busy', '--busy');
	create_source('busy', $busy);
	like(error_of(preview('two', 'busy')), qr/08006: Database 'shop' on server 'fake' is not currently available/, 'Azure SQL while it moves');
	my $routed = start_server('routed', '--route', "localhost:$server->{port}");
	create_source('routed', $routed);
	like(error_of(preview('two', 'routed')), qr/08001: the server sends its clients to another host\nDETAIL:  It is (127\.0\.0\.1|::1) port $server->{port}\.\nHINT:  Set the connection policy/,
		'a server that sends its clients elsewhere');
	create_source('nowhere', { port => $server->{port} }, host => 'no.such.host.invalid');
	like(failing_step('nowhere'), qr/^resolve could not resolve host/, 'no such host');
	create_source('closed', { port => PostgreSQL::Test::Cluster::get_free_port() });
	like(failing_step('closed'), qr/^connect could not connect to host "localhost" port \d+: Connection refused/, 'nobody listens');
}

sub test_tls
{
	my $other = start_server('other', 'other name');
	create_source('other', $other);
	like(error_of(preview('two', 'other')), qr/08001: the server's certificate could not be verified for "localhost": hostname mismatch\nHINT:  Option "host" must be a name/i, 'another name');
	like(failing_step('other'), qr/^tls /, 'is a matter of TLS');
	is(scalar(grep { $_->{event} eq 'login' } log_of($other)), 0, 'no login was sent there');
	create_source('unknown', $server, ca_file => undef);
	like(error_of(preview('two', 'unknown')), qr/08001: the server's certificate could not be verified for "localhost": unable to get local issuer certificate/i, 'an unknown authority');
	create_source('required', $other, tls => 'require', ca_file => undef);
	is(sql(q(SELECT detail FROM censync_check('required') WHERE step = 'tls')), 'TLSv1.2, certificate not verified', 'require: encrypted for whoever answers');
	my $plain = start_server('plain', '--encrypt', 'none');
	create_source('plain', $plain);
	like(error_of(preview('two', 'plain')), qr/08001: the server does not encrypt\n/, 'a server without TLS');
	sql(q(ALTER SERVER plain OPTIONS (ADD tls 'off')));
	is(sql(preview('two', 'plain')), 2, 'off');
	is(sql(q(SELECT detail FROM censync_check('plain') WHERE step = 'tls')), 'not used', 'says so');
	create_source('open', $server, tls => 'off');
	like(error_of(preview('two', 'open')), qr/08001: the server demands encryption\n/, 'off, at a server that demands it');
	my $login = start_server('login', '--encrypt', 'login');
	create_source('login', $login);
	like(error_of(preview('two', 'login')), qr/08001: the server does not encrypt\n/, 'only the login encrypted');
	is(scalar(grep { $_->{event} eq 'login' } log_of($login)), 0, 'no login was sent there');
	foreach my $how (qw(later pretend))
	{
		my $later = start_server($how, '--encrypt', $how);
		create_source($how, $later);
		like(error_of(preview('two', $how)), qr/08001: the server encrypts nothing but the login\n/, "the same, found out behind the login ($how)");
		is(scalar(grep { ($_->{sql} // '') =~ /two/ } log_of($later)), 0, 'no query was sent there');
	}
	my $two = start_server('two_faces', '--cert', "$directory/second.pem");
	create_source('two_faces', $two);
	like(error_of(preview('two', 'two_faces')), qr/08001: could not log in to the server\n.*\nHINT:  If its name stands for several machines/,
		'the certificate that was verified is the only one to log in to');
	is(scalar(grep { $_->{event} eq 'login' } log_of($two)), 0, 'no login was sent to another');
	create_source('bad_file', $server, ca_file => "$directory/nothing.pem");
	like(error_of(preview('two', 'bad_file')), qr/could not load certificates from ".*nothing\.pem"/, 'no such file');
}

sub test_cancel
{
	foreach my $object (qw(slow endless stalls trickle))
	{
		my ($out, $err) = ('', '');
		my $session = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') . " application_name=$object", '-c',
				'\set VERBOSITY verbose', '-c', preview($object) ], '<', \'', '>', \$out, '2>', \$err);
		ok(wait_for($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = '$object' AND query LIKE '%preview%')"), "$object runs");
		sleep 1.5;
		my $start = time;
		sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = '$object'");
		$session->finish;
		my $took = time - $start;
		like($err, qr/57014: canceling statement due to user request/, "$object: canceled");
		cmp_ok($took, '<', soon(10), sprintf('within %.1f s', $took));
	}
	sleep 0.5;
	cmp_ok(scalar(grep { $_->{event} eq 'attention' } log_of($server)), '>=', 3, 'the server was asked to stop');
}

sub test_timeouts
{
	my $mute = start_server('mute', '--mute');
	create_source('mute', $mute, connect_timeout => 2);
	my $start = time;
	like(error_of(preview('two', 'mute')), qr/08001: could not connect to host "localhost" port \d+\nDETAIL:  There was no answer within 2 seconds/, 'nobody answers');
	cmp_ok(time - $start, '<', 15, 'soon after the time given');
	create_source('short', $server, stall_timeout => 1);
	foreach my $object (qw(slow stalls))
	{
		$start = time;
		like(error_of(preview($object, 'short')), qr/08006: the server sends nothing any more\nDETAIL:  There was not a byte from it for 1 seconds/, "$object: given up");
		cmp_ok(time - $start, '<', 15, 'soon after the time given');
	}
	create_source('late', $server, timeout => 1);
	create_source('late_pool', $server, timeout => 1, type => 'azure_synapse');
	foreach my $case (map { my $object = $_; map { [ $_, $object ] } qw(late late_pool) } qw(slow stalls trickle endless))
	{
		my ($name, $object) = @$case;
		my $query = qq(SELECT count(*) FROM censync_preview('$name', object => 'dbo.$object', "limit" => 2000000000));
		$start = time;
		like(error_of($query), qr/08006: the request to "localhost" took longer than 1 s\nHINT:  .*"timeout"/, "$name, $object: took too long");
		cmp_ok(time - $start, '<', 20, 'within the time given');
	}
}

sub test_options
{
	create_source('ro', $server, read_only_intent => 'true');
	sql(preview('two', 'ro'));
	is((grep { $_->{event} eq 'login' } log_of($server))[-1]->{read_only}, JSON::PP::true, 'read_only_intent');
	like(error_of(q(ALTER SERVER ms OPTIONS (ADD tls 'maybe'))), qr/invalid value for option "tls"\nHINT:  Expected: verify, require or off/, 'a value of tls');
	create_source('named', $server, host => '/tmp', ca_file => undef);
	like(error_of(preview('two', 'named')), qr/22023: "\/tmp" is not the name of a host that a SQL Server can have/, 'no socket');
	sql(q(CREATE ROLE plain; GRANT CREATE ON DATABASE postgres TO plain; GRANT USAGE ON FOREIGN DATA WRAPPER censync TO plain));
	like(error_of(q(SET ROLE plain; CREATE SERVER x TYPE 'sqlserver' FOREIGN DATA WRAPPER censync OPTIONS (host 'x', tls 'off'))), qr/42501/, 'tls is for superusers');
}

sub test_another_encoding
{
	sql(q(CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0));
	my $options = "host 'localhost', port '$server->{port}', ca_file '$directory/ca.pem'";
	$node->safe_psql('latin', "SET client_encoding = 'UTF8'; CREATE EXTENSION censync; CREATE SERVER ms TYPE 'sqlserver' FOREIGN DATA WRAPPER censync OPTIONS ($options);"
		. "CREATE USER MAPPING FOR CURRENT_USER SERVER ms OPTIONS (user 'reader', password 'none')");
	like(error_of(preview('two'), 'latin'), qr/28P01/, 'a database of another encoding');
}

sub test_without_module
{
	my $library = $node->config_data('--pkglibdir') . '/censync_tds.so';
	rename($library, "$library.away") or die "cannot rename $library: $!\n";
	my $err = error_of(preview('two'));
	rename("$library.away", $library) or die "cannot rename $library: $!\n";
	like($err, qr/0A000: this installation of censync has no driver for source type "sqlserver"\n.*\nHINT:  Install freetds-dev, then build and install censync again\./, 'without the module');
}

sub test_nothing_is_left
{
	is(sql(q(SELECT count(*) FROM pg_stat_activity WHERE application_name <> '' AND backend_type = 'client backend' AND pid <> pg_backend_pid())), 0, 'no session is left');
	unlike(slurp_file($node->logfile), qr/was terminated by signal|PANIC|TRAP/, 'no crash');
	is_deeply([ grep { $_->{event} eq 'protocol error' } log_of($server) ], [], 'nothing offended against the protocol');
	unlike(slurp_file($node->logfile), qr/pass w/, 'no password in the log');
	ok(!-e $dump, 'no log of FreeTDS');
}
