# The source snowflake against a fake of its SQL API: logins, statements, partitions, types, errors, cancels.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncPredicates;
use CensyncTest;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node('main', "fsync = off\nlog_statement = none\nmax_parallel_workers_per_gather = 0\ncensync.http_retries = 2");
my $http = start_http();
my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my @errors;
my $directory = PostgreSQL::Test::Utils::tempdir('keys');
my %key = (clear => new_key('clear'), locked => new_key('locked', 'the pass phrase'), other => new_key('other'));
my %context = (database => 'SHOP', schema => 'PUBLIC', warehouse => 'LOAD_WH', role => 'READER');
my %done = (code => '090001');
my %config;

sql('CREATE SCHEMA imported');
server('wh', mapping => { user => 'etl', private_key => $key{clear}{private} });

test_types();
test_partitions();
test_new_columns();
test_submission();
test_errors();
test_logins();
test_objects();
test_conditions();
test_query_conditions();
test_incremental();
test_import();
test_lies();
test_trouble();
test_cancel();
test_check();
test_options();
test_secrets();

$node->stop;
done_testing();

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub error_of
{
	push @errors, sql_error($node, $_[0]);
	return $errors[-1];
}

# PEM of a key pair of its own.
sub new_key
{
	my ($name, $passphrase) = @_;
	my $file = "$directory/$name";
	system_or_bail('openssl', 'genpkey', '-quiet', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', "$file.clear");
	system_or_bail('openssl', 'pkey', '-in', "$file.clear", '-pubout', '-out', "$file.pub");
	system_or_bail('openssl', 'pkcs8', '-topk8', '-v2', 'aes256', '-in', "$file.clear", '-passout', "pass:$passphrase", '-out', "$file.locked") if $passphrase;
	return { private => slurp_file($file . ($passphrase ? '.locked' : '.clear')), public => slurp_file("$file.pub"), passphrase => $passphrase };
}

# A server whose context is %context.
sub server
{
	my ($name, %options) = @_;
	my $mapping = delete $options{mapping};
	create_server($node, $name, $http, type => 'snowflake', url => undef, base_url => $http->url('/snowflake'),
		account => 'myorg-my_acct', %context, %options, mapping => $mapping);
}

# What the service has; statements by their text.
sub serve
{
	my ($statements, %more) = @_;
	%config = (account => 'MYORG-MY_ACCT', user => 'ETL', public_key => $key{clear}{public}, context => \%context, %more);
	$http->reset;
	$http->put('snowflake', $json->encode({ %config, statements => $statements }));
}

sub column { my ($name, $type, $precision, $scale, @more) = @_; return { name => $name, type => $type, precision => $precision, scale => $scale, nullable => JSON::PP::true, @more } }

# id and name, ids from 1 on, in parts of so many.
sub numbered
{
	my ($counts, %more) = @_;
	my $id = 0;
	return { rowType => [ column('ID', 'fixed', 10, 0, nullable => JSON::PP::false), column('NAME', 'text') ],
		parts => [ map { [ map { $id++; [ "$id", "n$id" ] } 1 .. $_ ] } @$counts ], %more };
}

# What a query of the server brings, a line of JSON a row.
sub preview
{
	my ($query, %options) = @_;
	my $what = $options{object} ? 'object => ' . sql_literal($query) : 'query => ' . sql_literal($query);
	my $server = sql_literal($options{server} // 'wh');
	return "SELECT censync_preview($server, $what, \"limit\" => 1000)";
}

sub foreign_table
{
	my ($name, $columns, %options) = @_;
	my $options = join ', ', map { "$_ " . sql_literal($options{$_}) } sort keys %options;
	sql("DROP FOREIGN TABLE IF EXISTS $name; CREATE FOREIGN TABLE $name ($columns) SERVER wh OPTIONS ($options)");
}

sub test_types
{
	my @types = (
		[ 'I', 'fixed', 38, 0, '12345678901234567890123456789012345678', 'numeric(38,0)' ],
		[ 'N', 'fixed', 10, 2, '-12345678.91', 'numeric(10,2)' ],
		[ 'F', 'real', undef, undef, '-inf', 'double precision', '-Infinity' ],
		[ 'S', 'text', undef, undef, "h\x{e9}llo\n\"q\"", 'text' ],
		[ 'B', 'binary', undef, undef, 'DEADBEEF', 'bytea', '\xdeadbeef' ],
		[ 'BO', 'boolean', undef, undef, 'true', 'boolean', 't' ],
		[ 'D', 'date', undef, undef, '-25567', 'date', '1900-01-01' ],
		[ 'TM', 'time', 0, 9, '45296.123456789', 'time', '12:34:56.123457' ],
		[ 'TN', 'timestamp_ntz', 0, 9, '1791549296.123456789', 'timestamp', '2026-10-09 12:34:56.123457' ],
		[ 'TL', 'timestamp_ltz', 0, 9, '-0.500000000', 'timestamptz', '1969-12-31 23:59:59.5+00' ],
		[ 'TZ', 'timestamp_tz', 0, 9, '1791524096.123456789 1860', 'timestamptz', '2026-10-09 05:34:56.123457+00' ],
		[ 'V', 'variant', undef, undef, "{\n  \"a\": 1,\n  \"u\": \"undefined \\\"undefined\"\n}", 'jsonb', '{"a": 1, "u": "undefined \"undefined"}' ],
		[ 'A', 'array', undef, undef, "[\n  1,\n  \"x\",\n  undefined\n]", 'jsonb', '[1, "x", null]' ],
		[ 'G', 'object', undef, undef, "{\n  \"type\": \"Point\"\n}", 'text' ],
		[ 'SMALL', 'FIXED', 18, 0, '-999999999999999999', 'bigint' ],
		[ 'DEC', 'decfloat', undef, undef, '1.5E-100', 'numeric', '0.' . '0' x 99 . '15' ],
		[ 'NAN', 'real', undef, undef, 'NaN', 'double precision' ],
		[ 'BIG', 'real', undef, undef, '1.7976931348623157e+308', 'double precision' ],
		[ 'ONE', 'boolean', undef, undef, '1', 'boolean', 't' ],
		[ 'FAR', 'timestamp_ntz', 0, 3, '253402300799.999', 'timestamp', '9999-12-31 23:59:59.999' ],
		[ 'OLD', 'timestamp_ntz', 0, 9, '-62135596800.000000000', 'timestamp', '0001-01-01 00:00:00' ],
		[ 'VEC', 'vector', undef, undef, '[1.000000,2.000000]', 'jsonb', '[1.000000, 2.000000]' ],
		[ 'EMPTY', 'text', undef, undef, '', 'text' ],
		[ 'WORD', 'text', undef, undef, 'null', 'text' ]);
	my @rows = ([ map { $_->[4] } @types ], [ map { undef } @types ]);
	my @columns = map { column(@$_[0 .. 3], $_->[0] eq 'G' ? (extTypeName => 'GEOGRAPHY') : ()) } @types;
	serve({ 'SELECT * FROM all_types ORDER BY i NULLS LAST' => { rowType => \@columns, parts => [ \@rows ] } });
	foreign_table('all_types', join(', ', map { "\"$_->[0]\" $_->[5]" } @types), query => 'SELECT * FROM all_types ORDER BY i NULLS LAST');
	for my $type (@types)
	{
		my $text = defined $type->[6] ? $type->[6] : $type->[4];
		utf8::encode($text) if utf8::is_utf8($text) || $text =~ /[\x80-\xff]/;
		is(sql("SET timezone = 'UTC'; SELECT \"$type->[0]\" FROM all_types LIMIT 1"), $text, "type $type->[1] $type->[0]");
	}
	is(sql('SELECT count(*) FROM all_types WHERE num_nulls(' . join(', ', map { "\"$_->[0]\"" } @types) . ') = ' . @types), 1, 'nulls are null, an empty text and the word null are not');
	sql('CREATE TABLE types_of AS SELECT * FROM all_types');
	is(sql(q{SELECT count(*) FROM censync_preview('wh', query => 'SELECT * FROM all_types ORDER BY i NULLS LAST')}), 2, 'both rows are in a preview');

	serve({ 'SELECT 1' => { rowType => [ column('D', 'date'), column('N', 'fixed', 5, 2), column('X', 'timestamp_tz', 0, 9), column('J', 'variant') ],
				parts => [ [ [ 'x', '1.00', '1 1860', '1' ], [ '1', '12345.6', '1 1860', '1' ], [ '1', '1.00', '1,5', '1' ], [ '1', '1.00', '1', '{' ], [ '2', '1.50', '1.0 1440', '"a"' ] ] ] } });
	sql(q{CREATE TABLE bad ("D" date PRIMARY KEY, "N" numeric, "X" timestamptz, "J" jsonb); SELECT censync_create_sync('bad', 'bad', 'upsert', server => 'wh', query => 'SELECT 1', options => '{"max_rejected": 1}')});
	my $run = run_sync($node, 'bad');
	is("$run->{status} $run->{records_invalid} $run->{records_created}", 'completed 4 1', 'values that are none are errors of their records') or diag explain $run;
}

sub test_new_columns
{
	serve({ grows => { rowType => [ column('ID', 'fixed', 9, 0), column('N', 'fixed', 10, 2), column('V', 'variant') ], parts => [ [ [ '1', '1.50', '[1]' ] ] ] } });
	sql(q{CREATE TABLE grows ("ID" int PRIMARY KEY);
		SELECT censync_create_sync('grows', 'grows', 'upsert', server => 'wh', query => 'grows', options => '{"add_columns": true}')});
	is(run_sync($node, 'grows')->{records_created}, 1, 'add_columns');
	is(sql(q{SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'grows'::regclass AND attnum > 1}),
		'N numeric(10,2), V jsonb', 'with the types of the service');
	is(sql('TABLE grows'), '1|1.50|[1]', 'and its values');
}

sub test_partitions
{
	my %three = (rowType => [ column('ID', 'fixed', 38, 0), column('NAME', 'text') ],
		parts => [ [ [ '1', 'a' ], [ '2', undef ] ], [ [ '3', 'c' ], [ '4', '' ] ], [ [ '5', 'e' ] ] ]);
	serve({ three => { %three, polls => 3, busy => JSON::PP::true } });
	foreign_table('three', '"ID" numeric, "NAME" text', query => 'three');
	is(sql('SELECT string_agg("ID" || coalesce("NAME", \'-\'), \' \') FROM three'), '1a 2- 3c 4 5e', 'rows of three partitions, in order');
	my @log = $http->log;
	is(scalar(grep { $_->{path} =~ m{/statements/[^/]+$} && !exists $_->{query}{partition} } @log), 4, 'polled until it was there');
	is(join(' ', sort map { $_->{query}{partition} } grep { exists $_->{query}{partition} } @log), '0 1 2', 'each partition was asked for once');

	serve({ many => numbered([ 3, 1, 5, 0, 2, 4, 1, 1 ], delay => { 1 => 3, 2 => 0.1 }) });
	foreign_table('many', '"ID" int, "NAME" text', query => 'many');
	is(sql('SELECT string_agg("ID"::text, \' \') FROM many'), join(' ', 1 .. 17), 'late partitions come in order, empty ones are none');
	my %times = map { $_->{query}{partition} => $_->{time} } grep { exists $_->{query}{partition} } $http->log;
	# One after the other, the fourth would wait for the second's answer.
	cmp_ok($times{3} - $times{1}, '<', 3, 'four are asked for at a time');

	serve({ none => numbered([0]), gone => { %{ numbered([]) }, parts => [] } });
	foreign_table('none', '"ID" int', query => 'none');
	is(sql('SELECT count(*) FROM none'), 0, 'no rows');
	foreign_table('gone', '"ID" int', query => 'gone');
	is(sql('SELECT count(*) FROM gone'), 0, 'no partitions');
}

sub test_submission
{
	serve({ q{SELECT 'it''s' AS "Q" -- \\} => { rowType => [ column('Q', 'text') ], parts => [ [ ["it's"] ] ], submit_error => { code => '390000', message => 'later' }, submit_status => 503, times => 1 } });
	is(sql(q{SELECT record->>'Q' FROM censync_preview('wh', query => 'SELECT ''it''''s'' AS "Q" -- \\') record}), "it's", 'a statement with quotes, sent twice');
	my @sent = grep { $_->{method} eq 'POST' && $_->{path} =~ /statements$/ } $http->log;
	is(scalar(@sent), 2, 'the submission was repeated');
	is($sent[0]{query}{requestId}, $sent[1]{query}{requestId}, '... under the same requestId');
	is(($sent[0]{query}{retry} // 'none') . " $sent[1]{query}{retry}", 'none true', '... and says so');
	is($sent[0]{query}{async}, 'true', 'it runs by itself');
	is($json->encode($json->decode($sent[1]{body})), $json->encode({ %context, statement => q{SELECT 'it''s' AS "Q" -- \\}, parameters => { query_tag => 'censync' } }), 'what is submitted');
}

sub test_errors
{
	my @errors = (
		[ 422, { code => '002003', message => "SQL compilation error:\nObject 'SHOP.PUBLIC.NOPE' does not exist or not authorized.", sqlState => '42S02' }, qr/42P01: SQL compilation error.*DETAIL:  Object 'SHOP.PUBLIC.NOPE' does not exist.*Snowflake's code is 002003, its SQLSTATE 42S02, the statement 01b0-1\..*HINT:  Names without/s ],
		[ 422, { code => '001003', message => "SQL compilation error:\nsyntax error line 1 at position 7 unexpected 'FORM'.", sqlState => '42000' }, qr/42601: SQL compilation error.*line 1 at position 7/s ],
		[ 422, { code => '000604', message => 'SQL execution canceled', sqlState => '57014' }, qr/HV000: SQL execution canceled.*HINT:  It was canceled there/s ],
		[ 422, { code => '000606', message => 'No active warehouse selected in the current session.', sqlState => '57P03' }, qr/55000: No active warehouse.*HINT:  Set the server's option "warehouse"/s ],
		[ 422, { code => '100038', message => "Numeric value 'x' is not recognized", sqlState => '22018' }, qr/22018: Numeric value/ ],
		[ 408, { code => '000630', message => 'Statement reached its statement or warehouse timeout of 5 second(s) and was canceled.', sqlState => '57014' }, qr/HV000: Statement reached.*HINT:  Raise STATEMENT_TIMEOUT/s ],
		[ 429, { code => '390505', message => 'Too many requests' }, qr/53400: Too many requests.*HINT:  Set the server's option "rate_limit"/s ],
		[ 400, { code => '391911', message => 'Unsupported statement type' }, qr/0A000: Unsupported/ ],
		[ 400, { code => '390186', message => 'Role READER is not granted' }, qr/42501: Role.*HINT:  Set option "role"/s ],
		[ 403, { message => 'The API is not enabled' }, qr/42501: The API/ ]);
	for my $error (@errors)
	{
		my ($status, $body, $expected) = @$error;
		serve({ q => { error => $body, status => $status, polls => 1 } });
		like(error_of(preview('q')), $expected, "error $status $body->{message}");
	}
	serve({ q => { submit_error => { code => '000008', message => 'Actual statement count 2 did not match the desired statement count 1.', sqlState => '0A000' }, submit_status => 422 } });
	like(error_of(preview('q')), qr/0A000: Actual statement count/, 'several statements');
	serve({ q => { rowType => [ column('multiple statement execution', 'text') ], parts => [ [ ['Multiple statements executed successfully.'] ] ], handles => [ '01b0-ffff-1', '01b0-ffff-2' ] } });
	like(error_of(preview('q')), qr/0A000: the query is several statements/, 'several statements that ran');
	serve({ q => numbered([2], code => '391908') });
	like(error_of(preview('q')), qr/54000: the result was too large for Snowflake/, 'cut off with status 200');
	serve({ q => numbered([2], fail => { 0 => { status => 400, body => { code => '391922', message => "Invalid partition parameter. The partition must be long type parsable and between 0 and 3, but 'x' is specified.", sqlState => '22023' } } }) });
	like(error_of(preview('q')), qr/HV00L: Invalid partition parameter/, 'a partition that is none');
	serve({ q => { error => 'x', status => 500 } });
	like(error_of(preview('nope')), qr/42P01/, 'the fake knows no other statement');
}

sub test_logins
{
	my $statements = { q => numbered([1]) };
	my $try = sub {
		my ($name, $mapping, %config) = @_;
		serve($statements, %config);
		sql("DROP SERVER IF EXISTS l CASCADE");
		server('l', mapping => $mapping);
		my $error = error_of("SELECT count(*) FROM censync_preview('l', query => 'q')");
		sql("DROP SERVER l CASCADE");
		return $error;
	};
	my %clear = (user => 'etl', private_key => $key{clear}{private});
	is($try->('clear', \%clear), 'no error: 1', 'key pair');
	is($try->('locked', { user => 'etl', private_key => $key{locked}{private}, private_key_passphrase => 'the pass phrase' }, public_key => $key{locked}{public}), 'no error: 1', 'encrypted key');
	like($try->('locked', { user => 'etl', private_key => $key{locked}{private}, private_key_passphrase => 'wrong phrase' }), qr/22023: .*private_key(?!.*wrong phrase)/s, 'wrong passphrase');
	like($try->('locked', { user => 'etl', private_key => $key{locked}{private} }), qr/22023: .*passphrase/s, 'no passphrase');
	is($try->('quoted', { %clear, user => '"Mixed.Case"' }, user => 'Mixed.Case'), 'no error: 1', 'a user whose name was created in quotes');
	like($try->('other', { user => 'etl', private_key => $key{other}{private} }), qr/28000: JWT token is invalid.*The token was issued by MYORG-MY_ACCT\.ETL\.SHA256:.*HINT:  DESC USER/s, 'a key that is not the user\'s');
	my @refused = grep { ($_->{status} // 0) == 401 } $http->log;
	is(scalar(@refused), 2, '... renewed once');
	is($try->('oauth', { token => 'ver:1-hint:1-oauth-secret' }, public_key => undef, token => 'ver:1-hint:1-oauth-secret', token_type => 'OAUTH'), 'no error: 1', 'OAuth');
	is($try->('pat', { token => 'pat-secret-token', token_type => 'pat' }, public_key => undef, token => 'pat-secret-token', token_type => 'PROGRAMMATIC_ACCESS_TOKEN'), 'no error: 1', 'programmatic access token');
	like($try->('pat', { token => 'pat-secret-token' }, public_key => undef, token => 'pat-secret-token', token_type => 'PROGRAMMATIC_ACCESS_TOKEN'), qr/28000: Invalid OAuth access token.*HINT:.*token_type 'pat'(?!.*pat-secret)/s, 'a token that is taken for another kind');
	like($try->('none', { password => 'hunter2-secret', user => 'etl' }), qr/28000: there are no credentials.*takes no passwords/s, 'a password');
	like($try->('both', { private_key => $key{clear}{private}, token => 'x' }), qr/22023: conflicting credentials/, 'a key and a token');
	for my $case ([ 'xy12345.us-east-1', 'XY12345' ], [ 'org-acct', 'ORG-ACCT' ], [ 'acct-abc123.global', 'ACCT' ], [ 'xy12345.eu-central-1.privatelink', 'XY12345' ])
	{
		serve($statements, account => $case->[1]);
		server('a', account => $case->[0], mapping => \%clear);
		is(sql("SELECT count(*) FROM censync_preview('a', query => 'q')"), 1, "account $case->[0] in the token");
		sql('DROP SERVER a CASCADE');
	}
	serve($statements, account => 'OTHER-NAME');
	server('a', jwt_account => 'other-name', mapping => \%clear);
	is(sql("SELECT count(*) FROM censync_preview('a', query => 'q')"), 1, 'jwt_account');
	sql('DROP SERVER a CASCADE');
	# Nothing answers there: the name is in the error.
	for my $case ([ { account => 'my_org-my_acct' }, 'my-org-my-acct.snowflakecomputing.com' ], [ { account => 'xy12345.us-west-2' }, 'xy12345.snowflakecomputing.com' ],
		[ { account => 'xy12345.eu-west-1.aws' }, 'xy12345.eu-west-1.aws.snowflakecomputing.com' ], [ { account => 'xy12345.cn-north-1' }, 'xy12345.cn-north-1.snowflakecomputing.cn' ],
		[ { host => 'abc.privatelink.snowflakecomputing.com' }, 'abc.privatelink.snowflakecomputing.com' ])
	{
		server('a', base_url => undef, %{ $case->[0] }, mapping => \%clear);
		like(error_of("SET censync.http_retries = 0; SELECT count(*) FROM censync_preview('a', query => 'q')"), qr/: .*"\Q$case->[1]\E"/, "host of $case->[1]");
		sql('DROP SERVER a CASCADE');
	}
}

sub test_objects
{
	my $types = [ column('ID', 'fixed', 38, 0), column('NAME', 'text'), column('Note "x"', 'text') ];
	serve({
		'SELECT * FROM SHOP."Pub.lic".people LIMIT 0' => { rowType => $types, parts => [ [] ] },
		'SELECT "ID", "Note ""x""" FROM SHOP."Pub.lic".people' => { rowType => [ @$types[ 0, 2 ] ], parts => [ [ [ '7', 'seven' ] ] ] },
		'SELECT "ID" FROM SHOP."Pub.lic".people' => { rowType => [ $types->[0] ], parts => [ [ ['1'], ['2'] ] ] },
		'SELECT "ID", "NAME", "Note ""x""" FROM SHOP."Pub.lic".people LIMIT 2' => { rowType => $types, parts => [ [ [ '1', 'a', 'b' ] ] ] } });
	foreign_table('people', '"ID" numeric, "NAME" text, "Note ""x""" text', object => 'SHOP."Pub.lic".people');
	is(sql('SELECT "ID", "Note ""x""" FROM people'), '7|seven', 'columns that nobody looks at are not asked for');
	is(sql('SELECT count(*) FROM people'), 2, 'rows are counted by one column');
	is(sql(q{SELECT record->>'NAME' FROM censync_preview('wh', object => 'SHOP."Pub.lic".people', "limit" => 2) record}), 'a', 'a preview asks for its limit') or diag(join "\n", map { $_->{body} } $http->log);
	serve({ 'SELECT * FROM t LIMIT 0' => { rowType => [ column('ID', 'fixed', 38, 0) ], parts => [ [] ] },
		'SELECT "ID" FROM t' => { rowType => [ column('ID', 'text') ], parts => [ [ ['x'] ] ] } });
	foreign_table('t', '"ID" numeric', object => 't');
	like(error_of('SELECT "ID" FROM t'), qr/HV000: column "ID" was changed at the source/, 'a type that changed in between');
	like(error_of(preview($_, object => 1)), qr/42602/, "no object: $_") for 'a; DROP TABLE x', 'a.b.c.d', '"a', 'a b', '1a', '""', '(SELECT 1)';
}

# Moments to the nanosecond, of which half a microsecond is rounded up here.
sub items
{
	my @rows = map { [ @$_, ("$_->[0].5", 'POINT(1 2)')[ 0, 1 ] ] } (
		[ '1', '1.50', '7', 'true', 'a', 'A', '0', '1704164645.123456499', '1704164645.123456499 1440' ],
		[ '2', '-1.50', '12345678901234567890123456789012345678', 'false', "it's \\ \"q\"\n", 'a', '19724', '1704164645.123456500', '1704164645.123456500 1860' ],
		[ '3', '0.00', '-1', undef, '', 'b', '-25567', '1704164645.123456999', '1704164645.123456000 1440' ],
		[ '4', undef, undef, 'true', undef, undef, undef, undef, undef ],
		[ '5', '99.99', '8', 'false', 'A', 'B', '1', '-0.000000500', '-0.500000000 1440' ],
		[ '6', '1.49', '9', 'true', "h\x{e9}", 'a', '2', '0.000000000', '0 1440' ]);
	return { rowType => [ column('ID', 'fixed', 9, 0), column('N', 'fixed', 12, 2), column('BIG', 'fixed', 38, 0), column('OK', 'boolean'), column('S', 'text'),
			column('CI', 'text', undef, undef, ci => JSON::PP::true), column('D', 'date'), column('AT', 'timestamp_ntz', 0, 9), column('TZ', 'timestamp_tz', 0, 9), column('F', 'real'),
			column('G', 'object', undef, undef, extTypeName => 'GEOGRAPHY') ], parts => [ [ @rows[ 0 .. 2 ] ], [ @rows[ 3 .. 5 ] ] ] };
}

# What the service is asked meanwhile.
sub statements_of
{
	my ($do) = @_;
	my $before = () = $http->log;
	$do->();
	my @log = $http->log;
	return map { $json->decode($_->{body})->{statement} } grep { $_->{method} eq 'POST' && $_->{body} } @log[ $before .. $#log ];
}

sub test_conditions
{
	my $columns = '"ID" bigint, "N" numeric(12,2), "BIG" numeric(38,0), "OK" boolean, "S" text, "CI" text, "D" date, "AT" timestamp, "TZ" timestamptz, "F" double precision, "G" text';
	serve({}, tables => { 'PUBLIC.ITEMS' => items() });
	foreign_table('items', $columns, object => 'PUBLIC.ITEMS');
	sql('CREATE TABLE items_copy AS SELECT * FROM items');
	compare_each($node, 'items', 'items_copy', '"ID" = 3', '"ID" <> 3', '"ID" IN (1, 5, 77)', '"N" < 1.5', '"N" >= 1.50', '"N" = 1.5', '"N" > 1.4999', '"N" < 100000000000', '"BIG" >= 12345678901234567890123456789012345678',
		'"BIG" < 8 AND "N" IS NOT NULL', '"OK"', 'NOT "OK"', '"OK" IS NULL', '"S" = \'a\'', q{"S" = E'it''s \\\\ "q"\n'}, '"S" = \'\'', '"S" <> \'a\'', '"S" > \'B\'', q{"S" = U&'h\00e9'}, '"CI" = \'a\'', '"CI" IN (\'a\', \'B\')', '"CI" <> \'a\'', '"D" = \'2024-01-02\'',
		'"D" > \'1969-01-01\'', '"D" < \'infinity\'', '"AT" = \'2024-01-02 03:04:05.123457\'', '"AT" >= \'2024-01-02 03:04:05.123457\'', '"AT" > \'2024-01-02 03:04:05.123456\'', '"AT" <= \'2024-01-02 03:04:05.123456\'', '"AT" < \'2024-01-02 03:04:05.123457\'', '"AT" < \'1970-01-01\'',
		'"AT" <= \'1969-12-31 23:59:59.999999\'', '"AT" < \'infinity\'', '"AT" > \'0001-01-01\'', '"AT" IS NULL', '"TZ" = \'2024-01-02 03:04:05.123456Z\'', '"TZ" >= \'2024-01-02 05:04:05.123457+02\'', '"TZ" BETWEEN \'1969-12-31\' AND \'1970-01-02\'', '"F" = 3.5', '"F" > 4', '"G" = \'POINT(1 2)\'',
		'"ID" > (SELECT 2) AND "OK"');
	my $sent = sub { remote_statement($node, "SELECT \"ID\" FROM items WHERE $_[0]") =~ s/^SELECT .*? FROM PUBLIC\.ITEMS//r };
	is($sent->('"ID" = 3 LIMIT 5'), ' WHERE "ID" = 3 LIMIT 5', 'EXPLAIN: a condition and a limit');
	is($sent->('"S" = $$it\'s \\$$ LIMIT 5'), ' WHERE "S" = \'it\'\'s \\\\\'', '... a text, whose collation may find more');
	is($sent->('"TZ" >= $$2024-01-02 03:04:05.123456Z$$ AND "AT" < $$2024-01-02$$'), q{ WHERE "TZ" >= TO_TIMESTAMP_TZ('2024-01-02 03:04:05.123455 +00:00', 'YYYY-MM-DD HH24:MI:SS.FF6 TZH:TZM') AND "AT" < TO_TIMESTAMP_NTZ('2024-01-02 00:00:00.000001', 'YYYY-MM-DD HH24:MI:SS.FF6')}, '... moments, a microsecond more');
	is($sent->('"OK" AND "N" IN (1.5, 2) AND "D" = $$2024-01-31$$'), q{ WHERE "OK" = TRUE AND "N" IN (1.5, 2) AND "D" = TO_DATE('2024-01-31', 'YYYY-MM-DD')}, '... others');
	is($sent->($_), '', "not sent: $_") for '"F" = 1', '"S" > $$a$$', '"S" <> $$a$$', '"AT" = $$2024-01-02$$', '"AT" < $$infinity$$', '"N" = $$NaN$$', '"D" > $$10000-01-01$$';
	my @statements = statements_of(sub { is(sql('SELECT "ID" FROM items WHERE "N" = 1.5 LIMIT 3'), 1, 'a condition') });
	is_deeply(\@statements, [ 'SELECT * FROM PUBLIC.ITEMS LIMIT 0', 'SELECT "ID", "N" FROM PUBLIC.ITEMS WHERE "N" = 1.5 LIMIT 3' ], '... the statements');
	@statements = statements_of(sub { is(sql('SELECT count(*) FROM items WHERE "G" = $$POINT(1 2)$$'), 6, 'a column that is no text there') });
	is($statements[1], 'SELECT "G" FROM PUBLIC.ITEMS', '... is not compared there');
	# Here it is an integer, there it is not.
	foreign_table('others', '"ID" text, "N" int', object => 'PUBLIC.ITEMS');
	is(sql('SELECT "ID" FROM others WHERE "N" = 2 AND "ID" = \'1\''), 1, 'a column of another type here') or diag(join "\n", map { $_->{body} } $http->log);
	sql(q{CREATE COLLATION anycase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)});
	foreign_table('folded', '"ID" int, "S" text COLLATE anycase', object => 'PUBLIC.ITEMS');
	is(sql('SELECT string_agg("ID"::text, \' \') FROM folded WHERE "S" = \'a\''), '1 5', 'a collation here that takes capitals and small letters for the same');
}

sub test_query_conditions
{
	my %q = ('SELECT * FROM items -- all' => items(), 'SHOW ITEMS' => items(), 'SELECT 1; SELECT 2' => items(), 'WITH x AS (SELECT 1) SELECT * FROM x;' => items());
	$q{'WITH x AS (SELECT 1) SELECT * FROM x'} = items();
	serve(\%q);
	for my $query ('SELECT * FROM items -- all', 'SHOW ITEMS', 'SELECT 1; SELECT 2', 'WITH x AS (SELECT 1) SELECT * FROM x;')
	{
		my $wraps = $query =~ /^(SELECT \*|WITH)/;
		foreign_table('queried', '"ID" bigint, "S" text, "AT" timestamp', query => $query);
		(my $inner = $query) =~ s/;$//;
		my @statements = statements_of(sub { is(sql('SELECT string_agg("ID"::text, $$ $$) FROM queried WHERE "AT" >= \'2024-01-02 03:04:05.123457\' AND "ID" < 10'), '2 3', "$query: a condition") });
		is_deeply(\@statements, $wraps ? [ "SELECT * FROM ($inner\n) AS source LIMIT 0", "SELECT * FROM ($inner\n) AS source WHERE \"AT\" >= TO_TIMESTAMP_NTZ('2024-01-02 03:04:05.123456', 'YYYY-MM-DD HH24:MI:SS.FF6') AND \"ID\" < 10" ] : [$query], '... the statements') or diag explain \@statements;
		@statements = statements_of(sub { is(sql('SELECT count(*) FROM (SELECT FROM queried LIMIT 2) s'), 2, '... a limit') });
		is_deeply(\@statements, [ $wraps ? "SELECT * FROM ($inner\n) AS source LIMIT 2" : $query ], '... in one statement') or diag explain \@statements;
		foreign_table('narrower', '"ID" int', query => $query);
		@statements = statements_of(sub { is(sql('SELECT "ID" FROM narrower WHERE "ID" = 3 LIMIT 1'), 3, '... a column of another type here') });
		is_deeply(\@statements, $wraps ? [ "SELECT * FROM ($inner\n) AS source LIMIT 0", $inner ] : [$query], '... is not compared there, and its rows come nevertheless');
	}
	my %twice = (rowType => [ column('A', 'fixed', 9, 0), column('A', 'fixed', 9, 0), column('B', 'fixed', 9, 0) ], parts => [ [ [ '1', '2', '3' ] ] ]);
	serve({ 'SELECT a, a, b' => \%twice });
	foreign_table('twice', '"B" int', query => 'SELECT a, a, b');
	is(sql('SELECT "B" FROM twice WHERE "B" = 3'), 3, 'two columns of the same name');
	is($json->decode((grep { $_->{method} eq 'POST' } $http->log)[-1]{body})->{statement}, 'SELECT a, a, b', '... the query stands by itself');
}

# What comes with each run, by its statement.
sub test_incremental
{
	for my $how (qw(object query))
	{
		my $from = $how eq 'object' ? 'PUBLIC.LOG' : "(SELECT * FROM log\n) AS source";
		my @rows = ([ '1', '1704164645.123450000' ], [ '2', '1704164645.123456600' ], [ '3', undef ]);
		my $serve = sub { my %log = (rowType => [ column('ID', 'fixed', 9, 0), column('AT', 'timestamp_ntz', 0, 9) ], parts => [ \@rows ]); serve({ 'SELECT * FROM log' => \%log }, tables => { 'PUBLIC.LOG' => \%log }) };
		my $last = sub { ((map { $json->decode($_->{body})->{statement} } grep { $_->{method} eq 'POST' && $_->{body} } $http->log)[-1]) =~ s/.*? FROM \Q$from\E//sr };
		$serve->();
		sql("CREATE TABLE log_$how (id int PRIMARY KEY, at timestamp CHECK (at <> '2024-01-02 03:04:06'))");
		sql("SELECT censync_create_sync('log_$how', 'log_$how', 'upsert', server => 'wh', $how => " . ($how eq 'object' ? "'PUBLIC.LOG'" : "'SELECT * FROM log'") . q{, mappings => '{"id": "ID", "at": "AT"}', options => '{"cursor_column": "AT", "max_rejected": 1}')});
		my $run = run_sync($node, "log_$how");
		is("$run->{status} $run->{records_read}", 'completed 3', "$how: the first run reads all") or diag explain $run;
		my $watermark = sub { sql("SELECT watermark FROM censync.syncs WHERE name = 'log_$how'") };
		is($watermark->(), '2024-01-02 03:04:05.123457', "$how: the watermark is rounded as the values are");
		# What is rounded to the watermark, what is bad, and what is behind it.
		push @rows, [ '4', '1704164645.123456500' ], [ '5', '1704164646' ], [ '6', '1704164647' ];
		$serve->();
		$run = run_sync($node, "log_$how");
		is("$run->{status} $run->{records_read} $run->{records_created}", 'completed 5 2', "$how: the next reads what is not below it, and nulls") or diag explain $run;
		is($last->(), q{ WHERE ("AT" >= TO_TIMESTAMP_NTZ('2024-01-02 03:04:05.123456', 'YYYY-MM-DD HH24:MI:SS.FF6') OR "AT" IS NULL)}, "$how: ... the condition");
		is($watermark->(), '2024-01-02 03:04:06', "$how: a rejected record holds the watermark");
		$serve->();
		$run = run_sync($node, "log_$how");
		is("$run->{records_read} $run->{records_rejected}", '3 1', "$how: it comes again");
	}
	serve({}, tables => { T => { rowType => [ column('NAME', 'text') ], parts => [ [ ['a'], ['B'] ] ] } });
	sql(q{CREATE TABLE names (name text PRIMARY KEY); SELECT censync_create_sync('names', 'names', 'upsert', server => 'wh', object => 'T', mappings => '{"name": "NAME"}', options => '{"cursor_column": "NAME"}')});
	is(run_sync($node, 'names')->{records_read} . run_sync($node, 'names')->{records_read}, '22', 'a text as cursor: all is read each time');
}

sub test_import
{
	my @row = map { column($_, 'text') } qw(TABLE_SCHEMA TABLE_NAME COLUMN_NAME DATA_TYPE NUMERIC_PRECISION NUMERIC_SCALE IS_NULLABLE);
	my $statement = q{SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, NUMERIC_PRECISION, NUMERIC_SCALE, IS_NULLABLE FROM "SHOP".INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA IN ('public', UPPER('public')) ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION};
	serve({ $statement => { rowType => \@row, parts => [
		[ [ 'PUBLIC', 'ORDERS', 'ID', 'NUMBER', '38', '0', 'NO' ], [ 'PUBLIC', 'ORDERS', 'AMOUNT', 'NUMBER', '12', '2', 'YES' ], [ 'PUBLIC', 'ORDERS', 'AT', 'TIMESTAMP_TZ', undef, undef, 'YES' ] ],
		[ [ 'PUBLIC', 'ORDERS', 'N', 'NUMBER', '9', '0', 'YES' ], [ 'PUBLIC', 'ORDERS', 'V', 'VARIANT', undef, undef, 'YES' ], [ 'PUBLIC', 'ORDERS', 'G', 'GEOGRAPHY', undef, undef, 'YES' ], [ 'PUBLIC', 'small"q', 'X', 'FLOAT', undef, undef, 'YES' ] ] ] } });
	sql('IMPORT FOREIGN SCHEMA public FROM SERVER wh INTO imported');
	is(sql(q{SELECT string_agg(attrelid::regclass || '.' || attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' not null' ELSE '' END, ', ' ORDER BY attrelid::regclass::text, attnum) FROM pg_attribute WHERE attnum > 0 AND attrelid::regclass::text LIKE 'imported.%'}),
		'imported."ORDERS".ID numeric(38,0) not null, imported."ORDERS".AMOUNT numeric(12,2), imported."ORDERS".AT timestamp with time zone, imported."ORDERS".N bigint, imported."ORDERS".V jsonb, imported."ORDERS".G text, imported."small""q".X double precision', 'imported tables');
	is(sql(q{SELECT string_agg(option_value, ' ' ORDER BY option_value COLLATE "C") FROM information_schema.foreign_table_options WHERE foreign_table_schema = 'imported' AND option_name = 'object'}), '"SHOP"."PUBLIC"."ORDERS" "SHOP"."PUBLIC"."small""q"', 'their objects');
	my @types = (column('ID', 'fixed', 38, 0), column('AMOUNT', 'fixed', 12, 2), column('AT', 'timestamp_tz', 0, 9), column('N', 'fixed', 9, 0), column('V', 'variant'), column('G', 'object', undef, undef, extTypeName => 'GEOGRAPHY'));
	serve({ 'SELECT * FROM "SHOP"."PUBLIC"."ORDERS" LIMIT 0' => { rowType => \@types, parts => [ [] ] },
		'SELECT "ID", "AMOUNT", "AT", "N", "V", "G" FROM "SHOP"."PUBLIC"."ORDERS"' => { rowType => \@types, parts => [ [ [ '1', '2.50', '0 1440', '3', '{}', 'x' ] ] ] } });
	is(sql(q{SET timezone = 'UTC'; SELECT * FROM imported."ORDERS"}), '1|2.50|1970-01-01 00:00:00+00|3|{}|x', 'an imported table is read');
}

sub test_lies
{
	foreign_table('lied', '"ID" int, "NAME" text', query => 'q');
	my $lie = sub { my ($result, $expected, $name) = @_; serve({ q => $result }); like(error_of('SELECT count("NAME") FROM lied'), $expected, $name) };
	$lie->(numbered([ 2, 2 ], numRows => 5), qr/HV000: the source announced 5 rows and sent 4/, 'fewer rows than announced');
	$lie->(numbered([ 2, 2 ], numRows => 3), qr/HV000: the source announced 3 rows and sent 4/, 'more');
	$lie->(numbered([ 2, 2 ], rowCounts => [ 2, 3 ]), qr/HV000: the source sent 2 of the 3 rows/, 'fewer in a partition');
	$lie->(numbered([ 2, 1 ], swap => { 1 => 0 }), qr/HV000: the source sent 2 of the 1 rows/, 'a partition that comes twice');
	$lie->(numbered([ 2, 2 ], cut => { 1 => 20 }), qr/08006/, 'a partition that is cut');
	$lie->(numbered([2], format => 'arrowv1'), qr/08P01: the result was not described by Snowflake/, 'another format');
	$lie->({ rowType => [ column('ID', 'fixed', 9, 0), column('NAME', 'text') ], parts => [ [ [ '1', 'a' ], ['2'] ] ] }, qr/./, 'a row that is too short');
	sql(q{CREATE TABLE mirrored ("ID" int PRIMARY KEY, "NAME" text); INSERT INTO mirrored VALUES (1, 'a'), (9, 'z'); SELECT censync_create_sync('mirrored', 'mirrored', 'mirror', server => 'wh', query => 'q', options => '{"mirror_scope": "table"}')});
	serve({ q => numbered([ 1, 1 ], numRows => 3) });
	my $run = run_sync($node, 'mirrored');
	is("$run->{status} " . sql('SELECT count(*) FROM mirrored'), 'failed 2', 'a mirror deletes nothing then');
}

sub test_trouble
{
	foreign_table('trouble', '"ID" int, "NAME" text', query => 'q');
	my $all = 'SELECT string_agg("ID"::text, \' \') FROM trouble';
	serve({ q => numbered([ 2, 2, 1 ], fail => { 1 => { status => 429, body => { code => '390505', message => 'slow down' }, retry_after => '1', times => 1 } }) });
	my $start = time;
	is(sql($all), '1 2 3 4 5', 'throttled once');
	cmp_ok(time - $start, '>=', 1, 'Retry-After is heeded');
	serve({ q => numbered([ 2, 2, 1 ], fail => { 2 => { status => 401, body => { code => '390144', message => 'JWT token is invalid.' }, times => 1 } }) });
	is(sql($all), '1 2 3 4 5', 'a token that expires in the midst is renewed');
	serve({ q => numbered([ 2, 2, 1 ], fail => { 2 => { status => 401, body => { code => '390144', message => 'JWT token is invalid.' } } }) });
	like(error_of($all), qr/28000: JWT token is invalid/, 'one that is refused for ever is not');
	is(scalar(grep { ($_->{status} // 0) == 401 } $http->log), 2, '... renewed once');
	is(scalar(grep { $_->{path} =~ /cancel$/ } $http->log), 1, 'an error cancels the statement there');
	serve({ q => numbered([ 2, 2, 1 ], fail => { 1 => { status => 503, body => { message => 'not now' }, retry_after => '0', times => 2 } }) });
	is(sql($all), '1 2 3 4 5', 'unavailable twice');
	serve({ q => numbered([ 2, 2 ]) });
	is(sql($all), '1 2 3 4', 'all of it');
	is(scalar(grep { $_->{path} =~ /cancel$/ } $http->log), 0, 'a result that was read to its end is not canceled');
}

# Statements that run for ever: who stops waiting for them cancels them.
sub test_cancel
{
	foreign_table('slow', '"ID" int, "NAME" text', query => 'q');
	for my $how (qw(timeout cancel terminate))
	{
		serve({ q => numbered([1], polls => 100000) });
		my $guard = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c',
				($how eq 'timeout' ? "SET statement_timeout = '1s';" : '') . " SET application_name = 'slow'", '-c', 'SELECT * FROM slow' ], '<', \undef, '>', \my $out, '2>', \my $err);
		ok($http->wait_state(sub { $_->{requests} > 3 }), "$how: it runs");
		sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'slow'") if $how eq 'cancel';
		sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'slow'") if $how eq 'terminate';
		$guard->finish;
		like($err, $how eq 'terminate' ? qr/terminating connection/ : qr/canceling statement/, "$how: it ends");
		my @canceled = grep { $_->{path} =~ /cancel$/ } $http->log;
		is(scalar(@canceled), 1, "$how: the statement there is canceled");
		is("$canceled[0]{method} $canceled[0]{path} $canceled[0]{status} '$canceled[0]{body}'", "POST /snowflake/api/v2/statements/01b0-1/cancel 200 ''", "$how: as it must be");
		unlike($err, qr/cancel\b.*snowflake/, "$how: ... without a word");
	}
	serve({ q => numbered([ 1500, 1500, 1500 ]) });
	like(error_of('SELECT 1 / ("ID" - 1) FROM slow'), qr/division by zero/, 'an error of the statement');
	is(scalar(grep { $_->{path} =~ /cancel$/ } $http->log), 1, '... cancels, too');
	# Nobody answers.
	serve({ q => numbered([1], polls => 100000) });
	my $guard = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "SET application_name = 'slow'", '-c', 'SELECT * FROM slow' ], '<', \undef, '>', \my $out, '2>', \my $err);
	ok($http->wait_state(sub { $_->{requests} > 3 }), 'it runs');
	kill 'STOP', $http->{pid};
	my $start = time;
	sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'slow'");
	$guard->finish;
	my $took = time - $start;
	kill 'CONT', $http->{pid};
	cmp_ok($took, '<', soon(5), "a service that does not answer holds nobody up ($took s)");
	ok($http->wait_state(sub { $_->{busy} == 0 }), 'all is answered');
}

sub test_check
{
	serve({ 'SELECT 1' => numbered([1]), 'SELECT * FROM people LIMIT 0' => numbered([0]) });
	is(sql(q{SELECT string_agg(step || ' ' || ok, ', ') FROM censync_check('wh')}), 'resolve true, connect true, tls true, authenticate true, query true', 'a check');
	is(sql(q{SELECT bool_and(ok) FROM censync_check('wh', object => 'people')}), 't', 'a check of an object');
	like(sql(q{SELECT step || ' ' || ok || ' ' || detail FROM censync_check('wh', object => 'nope') WHERE NOT ok}), qr/query false .*does not exist or not authorized.*GRANT SELECT/s, 'an object that is not there');
	serve({}, public_key => $key{other}{public});
	like(sql(q{SELECT step || ' ' || ok || ' ' || detail FROM censync_check('wh') WHERE NOT ok}), qr/authenticate false .*JWT token is invalid.*RSA_PUBLIC_KEY_FP/s, 'a key that is not known');
}

sub test_options
{
	like(error_of(q{CREATE SERVER x TYPE 'snowflake' FOREIGN DATA WRAPPER censync OPTIONS (account 'https://x')}), qr/22023: invalid value for option "account"/, 'an account that is a URL');
	like(error_of(q{CREATE USER MAPPING FOR PUBLIC SERVER wh OPTIONS (token_type 'jwt')}), qr/22023: invalid value for option "token_type"/, 'a type of token that there is not');
	server('h', delimiter => ',', mapping => { token => 'x' });
	like(error_of(preview('q', server => 'h')), qr/HV00D: invalid option "delimiter".*account/s, 'an option of others');
	server('n', account => undef, mapping => { token => 'x', token_type => 'pat' }, base_url => undef);
	like(error_of(preview('q', server => 'n')), qr/22023: option "account" is missing/, 'no account');
	sql('CREATE ROLE plain; GRANT USAGE ON FOREIGN DATA WRAPPER censync TO plain');
	like(error_of(q{SET ROLE plain; CREATE SERVER x TYPE 'snowflake' FOREIGN DATA WRAPPER censync OPTIONS (base_url 'http://127.0.0.1')}), qr/42501/, 'base_url is a superuser\'s');
}

sub test_secrets
{
	my $everything = slurp_file($node->logfile) . sql('SELECT string_agg(r::text, $$ $$) FROM censync.runs r') . sql('SELECT coalesce(string_agg(r::text, $$ $$), $$$$) FROM censync.records r') . sql('SELECT string_agg(a::text, $$ $$) FROM pg_stat_activity a WHERE pid <> pg_backend_pid()');
	# Statements that make mappings are logged nowhere here (log_statement is none).
	$everything =~ s/^.*STATEMENT: .*(CREATE USER MAPPING|OPTIONS).*$//mg;
	my @secrets = ('the pass phrase', 'pat-secret-token', 'ver:1-hint:1-oauth-secret', 'hunter2-secret', (split /\n/, $key{clear}{private})[3], (split /\n/, $key{locked}{private})[3]);
	is(index($everything, $_), -1, 'a secret is nowhere: ' . substr($_, 0, 3)) for @secrets;
	unlike($everything, qr/eyJ[A-Za-z0-9_-]{20,}\./, 'nor is a token');
	cmp_ok(scalar(@errors), '>', 50, 'errors of every kind');
	is_deeply([ grep { my $error = $_; grep { index($error, $_) >= 0 } @secrets } @errors ], [], '... and no secret in any');
	is_deeply([ grep { /eyJ[A-Za-z0-9_-]{20,}\./ } @errors ], [], '... nor a token');
}
