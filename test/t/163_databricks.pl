# The source databricks against a fake of its statement execution: logins, statements, chunks, links, types, errors.
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

my $node = new_node('main', "fsync = off\nlog_statement = none\nmax_parallel_workers_per_gather = 0\ncensync.http_retries = 2\ncensync.allowed_hosts = '127.0.0.0/8, ::1, localhost'");
my $http = start_http();
my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my @errors;
my $token = 'dapi-secret-of-the-test';

my @moments = (q{ts >= '2024-01-02 03:04:05.123Z'}, q{ts > '2024-01-02 03:04:05.123Z'}, q{ts < '2024-01-02 03:04:05.123001Z'}, q{ts <= '2024-01-02 05:04:05.123456+02'}, q{ts = '2024-01-02 03:04:05.123Z'}, q{ts <> '2024-01-02 03:04:05.123Z'},
	q{tn >= '1969-12-31 23:59:59.999'}, q{tn < '1970-01-01'}, q{tn = '2024-01-02 03:04:05.123'}, q{tn < '2024-01-02 03:04:05.1235'}, q{ts < 'infinity'}, q{ts IS NULL AND id > 2});
my $item_columns = 'id bigint, n numeric(12,2), big numeric(38,0), ok boolean, s text, d date, ts timestamptz, tn timestamp, f double precision, g text';

sql('CREATE SCHEMA imported');
server('wh', mapping => { token => $token });
server('inline', disposition => 'inline', mapping => { token => $token });

test_types();
test_nested();
test_chunks();
test_links();
test_errors();
test_logins();
test_objects();
test_conditions();
test_query_conditions();
test_incremental();
test_import();
test_lies();
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

sub server
{
	my ($name, %options) = @_;
	my $mapping = delete $options{mapping};
	create_server($node, $name, $http, type => 'databricks', url => undef, base_url => $http->url('/databricks'),
		warehouse_id => '0123456789abcdef', catalog => 'main', schema => 'shop', %options, mapping => $mapping);
}

# What the service has; statements by their text.
sub serve
{
	my ($statements, %more) = @_;
	my %config = (token => $token, warehouse => '0123456789abcdef', catalog => 'main', schema => 'shop',
		storage => $http->url('', 'localhost'), statements => $statements, %more);
	$http->reset;
	$http->put('databricks', $json->encode(\%config));
}

sub column { my ($name, $type, @more) = @_; return { name => $name, type_name => $type, type_text => $type, @more } }

# id and name, ids from 1 on, in chunks of so many.
sub numbered
{
	my ($counts, %more) = @_;
	my $id = 0;
	return { columns => [ column('id', 'INT'), column('name', 'STRING') ],
		chunks => [ map { [ map { $id++; [ "$id", "n$id" ] } 1 .. $_ ] } @$counts ], %more };
}

sub preview
{
	my ($query, $server) = @_;
	return 'SELECT censync_preview(' . sql_literal($server // 'wh') . ', query => ' . sql_literal($query) . ', "limit" => 1000)';
}

sub foreign_table
{
	my ($name, $columns, %options) = @_;
	my $server = delete $options{server} // 'wh';
	my $options = join ', ', map { "$_ " . sql_literal($options{$_}) } sort keys %options;
	sql("DROP FOREIGN TABLE IF EXISTS $name; CREATE FOREIGN TABLE $name ($columns) SERVER $server OPTIONS ($options)");
}

sub test_types
{
	my @types = (
		[ 'id', 'LONG', '9223372036854775807', 'bigint' ],
		[ 'f', 'DOUBLE', '-Infinity', 'double precision' ],
		[ 'nan', 'DOUBLE', 'NaN', 'double precision' ],
		[ 'e', 'DOUBLE', '1.0E10', 'double precision', '10000000000' ],
		[ 'r', 'FLOAT', '1.5', 'real' ],
		[ 'n', 'DECIMAL', '12.30', 'numeric(10,2)', undef, type_precision => 10, type_scale => 2 ],
		[ 'big', 'DECIMAL', '-99999999999999999999999999999999999999', 'numeric(38,0)', undef, type_precision => 38, type_scale => 0 ],
		[ 'b', 'BOOLEAN', 'true', 'boolean', 't' ],
		[ 's', 'STRING', '', 'text' ],
		[ 'w', 'STRING', 'null', 'text' ],
		[ 'bin', 'BINARY', '3q2+7w==', 'bytea', '\xdeadbeef' ],
		[ 'd', 'DATE', '2024-01-02', 'date' ],
		[ 'old', 'DATE', '0001-01-01', 'date' ],
		[ 'ts', 'TIMESTAMP', '2024-01-02T03:04:05.123Z', 'timestamptz', '2024-01-02 03:04:05.123+00' ],
		[ 'tn', 'TIMESTAMP_NTZ', '2024-01-02T03:04:05.123', 'timestamp', '2024-01-02 03:04:05.123' ],
		[ 'a', 'ARRAY', '["1",null]', 'jsonb', '["1", null]' ],
		[ 'm', 'MAP', '{"k":"1"}', 'jsonb', '{"k": "1"}' ],
		[ 'st', 'STRUCT', '{"x":"1","y":null}', 'jsonb', '{"x": "1", "y": null}' ],
		[ 'v', 'VARIANT', '{"x":1.50}', 'jsonb', '{"x": 1.50}' ],
		[ 'by', 'BYTE', '-128', 'smallint' ],
		[ 'sh', 'SHORT', '32767', 'smallint' ],
		[ 'i1', 'INTERVAL', "INTERVAL '1-2' YEAR TO MONTH", 'interval', '1 year 2 mons' ],
		[ 'i2', 'INTERVAL', "INTERVAL '1 02:03:04.123456' DAY TO SECOND", 'interval', '1 day 02:03:04.123456' ],
		[ 'i3', 'INTERVAL', "INTERVAL '-1 02:03:04' DAY TO SECOND", 'interval', '-1 days -02:03:04' ],
		[ 'i4', 'INTERVAL', "INTERVAL '02:03' MINUTE TO SECOND", 'interval', '00:02:03' ],
		[ 'i5', 'INTERVAL', "INTERVAL '5' DAY", 'interval', '5 days' ],
		[ 'i6', 'INTERVAL', "INTERVAL '-1-2' YEAR TO MONTH", 'interval', '-1 years -2 mons' ],
		[ 'g', 'GEOGRAPHY', 'SRID=4326;POINT(1 2)', 'text' ]);
	my @columns = map { my @t = @$_; column(@t[ 0, 1 ], @t[ 5 .. $#t ]) } @types;
	for my $server (qw(inline wh))
	{
		serve({ all => { columns => \@columns, chunks => [ [ [ map { $_->[2] } @types ], [ map { undef } @types ] ] ] } });
		foreign_table('all_types', join(', ', map { "\"$_->[0]\" $_->[3]" } @types), query => 'all', server => $server);
		for my $type (@types)
		{
			is(sql("SET timezone = 'UTC'; SET extra_float_digits = 1; SELECT \"$type->[0]\" FROM all_types LIMIT 1"), $type->[4] // $type->[2], "$server: type $type->[1] $type->[0]");
		}
		is(sql('SELECT count(*) FROM all_types WHERE num_nulls(' . join(', ', map { "\"$_->[0]\"" } @types) . ') = ' . @types), 1, "$server: nulls");
	}
	serve({ q => { columns => [ column('id', 'INT'), column('i', 'INTERVAL'), column('t', 'TIMESTAMP') ],
				chunks => [ [ [ '1', "INTERVAL 'x' DAY", undef ], [ '2', "INTERVAL '999999999999' DAY", undef ], [ '3', undef, 'yesterday' ], [ '4', "INTERVAL '1' HOUR", '2024-01-01T00:00:00.000Z' ], [ '2147483648', undef, undef ] ] ] } });
	sql(q{CREATE TABLE bad (id int PRIMARY KEY, i interval, t timestamptz); SELECT censync_create_sync('bad', 'bad', 'upsert', server => 'wh', query => 'q', options => '{"max_rejected": 1}')});
	my $run = run_sync($node, 'bad');
	is("$run->{status} $run->{records_invalid} $run->{records_created}", 'completed 4 1', 'values that are none are errors of their records') or diag explain $run;
}

# In arrays, maps and structs every value is a text; what it is of, the type's text says.
sub test_nested
{
	my @cases = (
		[ 'ARRAY<INT>', '["1",null,"-2147483648"]', '[1, null, -2147483648]' ],
		[ 'ARRAY<STRING>', '["1",null,"true"]', '["1", null, "true"]' ],
		[ 'ARRAY<VOID>', '[]', '[]' ],
		[ 'ARRAY<BOOLEAN>', '["true","false",null]', '[true, false, null]' ],
		[ 'ARRAY<DECIMAL(38,2)>', '["123456789012345678901234567890123456.78","0.00"]', '[123456789012345678901234567890123456.78, 0.00]' ],
		[ 'ARRAY<DOUBLE>', '["1.0E10","-4.9E-3","NaN","-Infinity"]', '[10000000000, -0.0049, "NaN", "-Infinity"]' ],
		[ 'ARRAY<ARRAY<BIGINT>>', ' [ ["9223372036854775807"] , [], null ] ', '[[9223372036854775807], [], null]' ],
		[ 'MAP<STRING, INT>', '{"k":"1","2":null}', '{"2": null, "k": 1}' ],
		[ 'MAP<INT, STRING>', '{"1":"2"}', '{"1": "2"}' ],
		[ 'MAP<STRING, DOUBLE>', '[{"key":"k","value":"1.5"}]', '[{"key": "k", "value": 1.5}]' ],
		[ 'STRUCT<x: INT, y: STRING>', '{"x":"1","y":null}', '{"x": 1, "y": null}' ],
		[ 'STRUCT<a: INT NOT NULL, `b``: c`: DECIMAL(10,2), ts: TIMESTAMP>', '{"a":"1","b`: c":"1.50","ts":"2024-01-02T03:04:05.000Z"}', '{"a": 1, "ts": "2024-01-02T03:04:05.000Z", "b`: c": 1.50}' ],
		[ 'STRUCT<s: STRING COLLATE UTF8_BINARY, n: INT>', '{"n":"7","s":"7"}', '{"n": 7, "s": "7"}' ],
		[ 'STRUCT<i: INTERVAL DAY TO SECOND, v: VARIANT, n: INT>', '{"i":"x, y>","v":{"a":["1"]},"n":"3"}', '{"i": "x, y>", "n": 3, "v": {"a": ["1"]}}' ],
		[ 'ARRAY<STRUCT<a: MAP<STRING, ARRAY<INT>> NOT NULL>>', '[{"a":{"q\\"\\\\":["1","2"]}}]', '[{"a": {"q\\"\\\\": [1, 2]}}]' ],
		[ 'ARRAY<INT>', '[1,"x",{"y":["2"]},"00","1.","-"]', '[1, "x", {"y": ["2"]}, "00", "1.", "-"]' ],
		[ 'STRUCT<x INT>', '{"x":"1"}', '{"x": "1"}' ],
		[ 'ARRAY<', '["1"]', '["1"]' ],
		[ 'ARRAY<INT', '["1"]', '["1"]' ]);
	my $n = 0;
	my @columns = map { { name => 'c' . $n++, type_name => $_->[0] =~ /^(\w+)/ && $1, type_text => $_->[0] } } @cases;
	serve({ nested => { columns => \@columns, chunks => [ [ [ map { $_->[1] } @cases ] ] ] } });
	foreign_table('nested', join(', ', map { "c$_ jsonb" } 0 .. $#cases), query => 'nested');
	is(sql("SELECT c$_ FROM nested"), $cases[$_][2], "nested: $cases[$_][0] $cases[$_][1]") for 0 .. $#cases;
	my @bad = ('[', '["1"', '["1",]', '["1]', '{"a":"1"}}', '', '["1"] x', '[1 2]');
	serve({ nested => { columns => [ column('id', 'INT'), { name => 'c', type_name => 'ARRAY', type_text => 'ARRAY<INT>' } ], chunks => [ [ map { [ "$_", $bad[$_] ] } 0 .. $#bad ] ] } });
	sql(q{CREATE TABLE nested_bad (id int PRIMARY KEY, c jsonb); SELECT censync_create_sync('nested', 'nested_bad', 'upsert', server => 'wh', query => 'nested', options => '{"max_rejected": 1}')});
	my $run = run_sync($node, 'nested');
	is("$run->{records_invalid} $run->{records_created}", @bad . ' 0', 'nested: what is no JSON is an error of its record');
	sql(q{CREATE TABLE nested_array (id int PRIMARY KEY, c int[]); SELECT censync_create_sync('to_array', 'nested_array', 'upsert', server => 'wh', query => 'nested')});
	serve({ nested => { columns => [ column('id', 'INT'), { name => 'c', type_name => 'ARRAY', type_text => 'ARRAY<INT>' } ], chunks => [ [ [ '1', '["1",null]' ] ] ] } });
	$run = run_sync($node, 'to_array');
	is(sql('SELECT c FROM nested_array'), '{1,NULL}', 'nested: into an array') or diag(explain($run));
}

sub test_chunks
{
	for my $server (qw(inline wh))
	{
		serve({ three => numbered([ 2, 2, 1 ], polls => 2, delay => { 1 => 0.5 }) });
		foreign_table('three', 'id int, name text', query => 'three', server => $server);
		is(sql('SELECT string_agg(id || name, \' \') FROM three'), '1n1 2n2 3n3 4n4 5n5', "$server: rows of three chunks, in order");
		my @log = $http->log;
		is(join(' ', sort map { $_->{path} =~ m{/result/chunks/(\d+)$} ? $1 : () } @log), '0 1 2', "$server: each chunk was asked for once");
		is(scalar(grep { $_->{path} =~ /cancel/ } @log), 0, "$server: nothing is canceled");
		my ($sent) = grep { $_->{path} =~ m{/statements$} } @log;
		is($json->encode($json->decode($sent->{body})), $json->encode({ warehouse_id => '0123456789abcdef', statement => 'three', catalog => 'main', schema => 'shop',
				wait_timeout => '0s', on_wait_timeout => 'CONTINUE', disposition => $server eq 'wh' ? 'EXTERNAL_LINKS' : 'INLINE', format => 'JSON_ARRAY' }), "$server: what is submitted");
		serve({ none => { %{ numbered([]) }, at_once => JSON::PP::true } });
		foreign_table('none', 'id int', query => 'none', server => $server);
		is(sql('SELECT count(*) FROM none'), 0, "$server: no rows");
	}
	serve({ three => numbered([ 1, 1 ], throttle => 1) });
	my $start = time;
	is(sql('SELECT count(*) FROM three'), 2, 'throttled once');
	cmp_ok(time - $start, '>=', 1, 'Retry-After is heeded');
	serve({ three => numbered([ 1, 1 ], fail => { 1 => { status => 503, retry_after => '0', times => 2, body => { error_code => 'TEMPORARILY_UNAVAILABLE', message => 'later' } } }) });
	is(sql('SELECT count(*) FROM three'), 2, 'unavailable twice');
}

sub test_links
{
	foreign_table('linked', 'id int, name text', query => 'q');
	my $all = 'SELECT string_agg(id::text, \' \') FROM linked';
	serve({ q => numbered([ 2, 2, 1 ], headers => { 'x-amz-server-side-encryption-customer-algorithm' => 'AES256' }, delay => { 0 => 3 }) });
	is(sql($all), '1 2 3 4 5', 'links with headers of their own');
	my @storage = grep { $_->{path} =~ m{^/storage/} } $http->log;
	is(scalar(@storage), 3, 'three were followed');
	is(scalar(grep { exists $_->{headers}{authorization} || exists $_->{headers}{cookie} } @storage), 0, '... without credentials');
	cmp_ok($storage[2]{time} - $storage[0]{time}, '<', soon(3), '... at a time');
	serve({ q => numbered([ 2, 2, 1 ], expired => { 1 => 1 }) });
	is(sql($all), '1 2 3 4 5', 'a link that has expired is made anew');
	serve({ q => numbered([ 2, 2, 1 ], expired => { 1 => 9 }) });
	my $error = error_of($all);
	like($error, qr/28000.*Request has expired/s, 'one that never works is not');
	unlike($error, qr/signed-secret/, '... and not shown');
	is(scalar(grep { $_->{path} =~ m{^/storage/.*/1$} } $http->log), 2, '... asked for twice');
	is(scalar(grep { $_->{path} =~ /cancel$/ } $http->log), 1, 'an error cancels the statement there');
	serve({ q => numbered([1]) }, storage => 'http://169.254.169.254');
	like(error_of($all), qr/42501/, 'a link to where nobody may go');
	serve({ q => numbered([1]) }, storage => 'ftp://localhost');
	like(error_of($all), qr/22023/, 'a link that is none of the web');
}

sub test_errors
{
	serve({});
	like(error_of(preview('nope')), qr/42P01: \[TABLE_OR_VIEW_NOT_FOUND\] The table or view `main`\.`shop`\.`nope` cannot.*DETAIL:  The statement is 01ee-dddd\..*HINT:  Check its name/s, 'a statement that failed');
	my @errors = (
		[ { state => 'FAILED', sql_state => '42601', error => { error_code => 'BAD_REQUEST', message => "\n[PARSE_SYNTAX_ERROR] Syntax error at or near 'FORM'. SQLSTATE: 42601 (line 1, pos 9)\n\n== SQL ==\nSELECT * FORM t\n---------^^^" } }, qr/42601: \[PARSE_SYNTAX_ERROR\].*pos 9\).*== SQL ==.*HINT/s ],
		[ { state => 'FAILED', error => { message => '[UNRESOLVED_COLUMN.WITH_SUGGESTION] A column `x` cannot be resolved.' } }, qr/42703: \[UNRESOLVED/ ],
		[ { state => 'FAILED', error => { message => '[DIVIDE_BY_ZERO] Division by zero. SQLSTATE: 22012' } }, qr/22012: / ],
		[ { state => 'FAILED', error => { message => 'Inline byte limit exceeded. Statements executed with disposition=INLINE can have a result size of at most 26214400 bytes.' } }, qr/54000: Inline.*HINT:  Set option "disposition"/s ],
		[ { state => 'CANCELED' }, qr/HV000: the statement was canceled at the source/ ],
		[ { state => 'CLOSED' }, qr/HV000: the statement was canceled at the source/ ],
		[ { state => 'ASLEEP' }, qr/08P01: the state of the statement is not/ ]);
	for my $error (@errors)
	{
		serve({ q => { %{ $error->[0] }, polls => 1 } });
		like(error_of(preview('q')), $error->[1], "error $error->[1]");
	}
	serve({ q => numbered([1], throttle => 99) });
	like(error_of(preview('q')), qr/53400: Too many requests.*REQUEST_LIMIT_EXCEEDED.*HINT:.*rate_limit/s, 'throttled for ever');
	serve({ q => numbered([1]) }, warehouse => 'ffff');
	like(error_of(preview('q')), qr/42501: You do not have permission.*403, PERMISSION_DENIED.*HINT:.*CAN USE/s, 'a warehouse that is not there');
}

sub test_logins
{
	serve({ q => numbered([1]) }, token => 'another');
	like(error_of(preview('q')), qr/28000: Invalid access token.*HINT:.*token(?!.*$token)/s, 'a wrong token');
	my %principal = (client_id => 'sp-1', client_secret => 'dose-secret-of-the-test');
	server('m2m', mapping => \%principal);
	serve({ q => numbered([ 1, 1, 1 ]) }, %principal);
	is(sql("SELECT count(*) FROM censync_preview('m2m', query => 'q')"), 3, 'a service principal');
	is(scalar(grep { $_->{path} =~ m{oidc/v1/token} } $http->log), 1, '... gets one token');
	serve({ q => numbered([ 1, 1, 1 ]) }, %principal, uses => 4);
	is(sql("SELECT count(*) FROM censync_preview('m2m', query => 'q')"), 3, 'a token that expires in the midst is renewed');
	serve({ q => numbered([1]) }, client_id => 'sp-1', client_secret => 'other');
	like(error_of(preview('q', 'm2m')), qr/28000: the token endpoint refused the client(?!.*dose-secret)/s, 'a wrong secret');
	server('nobody', mapping => {});
	like(error_of(preview('q', 'nobody')), qr/28000: there are no credentials/, 'no credentials');
	server('path', warehouse_id => undef, http_path => '/sql/1.0/warehouses/0123456789abcdef', mapping => { token => $token });
	serve({ q => numbered([1]) });
	is(sql("SELECT count(*) FROM censync_preview('path', query => 'q')"), 1, 'http_path');
	server('cluster', warehouse_id => undef, http_path => '/sql/protocolv1/o/0/0123', mapping => { token => $token });
	like(error_of(preview('q', 'cluster')), qr/22023: option "http_path" names no SQL warehouse/, 'a path of a cluster');
}

sub test_objects
{
	my @types = (column('id', 'INT'), column('at', 'TIMESTAMP'), column('day', 'TIMESTAMP_NTZ'), column('tags', 'ARRAY'), column('a`b', 'STRING'));
	serve({
		'SELECT * FROM `main`.`shop`.`People` LIMIT 0' => { columns => \@types, chunks => [] },
		'SELECT `id`, unix_micros(`at`) AS `at`, CAST(`day` AS STRING) AS `day`, to_json(`tags`, map(\'ignoreNullFields\', \'false\')) AS `tags`, `a``b` FROM `main`.`shop`.`People`' =>
		  { columns => [ column('id', 'INT'), column('at', 'LONG'), column('day', 'STRING'), column('tags', 'STRING'), column('a`b', 'STRING') ],
			chunks => [ [ [ '1', '-1', '2024-01-02 03:04:05.123456', '[1,{"x":null}]', 'y' ] ] ] },
		'SELECT `id` FROM `main`.`shop`.`People`' => { columns => [ column('id', 'INT') ], chunks => [ [ ['1'], ['2'] ] ] },
		'SELECT `a``b` FROM `main`.`shop`.`People`' => { columns => [ column('a`b', 'INT') ], chunks => [ [ ['1'] ] ] } });
	foreign_table('people', 'id int, "at" timestamptz, day timestamp, tags jsonb, "a`b" text', object => 'main.shop.People');
	is(sql("SET timezone = 'UTC'; SELECT * FROM people"), '1|1969-12-31 23:59:59.999999+00|2024-01-02 03:04:05.123456|[1, {"x": null}]|y', 'an object has its microseconds, and the types in its arrays');
	is(sql('SELECT count(*) FROM people'), 2, 'rows are counted by one column');
	like(error_of('SELECT "a`b" FROM people'), qr/HV000: column "a`b" was changed at the source/, 'a type that changed in between');
}

# What the service is asked meanwhile.
sub statements_of
{
	my ($do) = @_;
	my $before = () = $http->log;
	$do->();
	my @log = $http->log;
	return map { $json->decode($_->{body})->{statement} } grep { $_->{method} eq 'POST' && $_->{path} =~ /statements$/ } @log[ $before .. $#log ];
}

sub items
{
	my @rows = map { [ @$_, "$_->[0].5", 'SRID=4326;POINT(1 2)' ] } (
		[ '1', '1.50', '7', 'true', 'a', '1970-01-01', '2024-01-02T03:04:05.123456Z', '2024-01-02T03:04:05.123456' ],
		[ '2', '-1.50', '12345678901234567890123456789012345678', 'false', "it's \\ \"q\"\n\${x}", '2024-01-02', '2024-01-02T03:04:05.123457Z', '2024-01-02T03:04:05.124' ],
		[ '3', '0.00', '-1', undef, '', '1900-01-01', '1969-12-31T23:59:59.9995Z', '1969-12-31T23:59:59.9995' ],
		[ '4', undef, undef, 'true', undef, undef, undef, undef ],
		[ '5', '99.99', '8', 'false', 'A', '1970-01-02', '2024-01-02T03:04:05.123Z', '2024-01-02T03:04:05.123' ],
		[ '6', '1.49', '9', 'true', "h\x{e9}", '1970-01-03', '2024-01-02T03:04:06Z', '2024-01-02T03:04:06' ]);
	return { columns => [ column('id', 'LONG'), column('n', 'DECIMAL', type_precision => 12, type_scale => 2), column('big', 'DECIMAL', type_precision => 38, type_scale => 0), column('ok', 'BOOLEAN'),
			column('s', 'STRING'), column('d', 'DATE'), column('ts', 'TIMESTAMP'), column('tn', 'TIMESTAMP_NTZ'), column('f', 'DOUBLE'), column('g', 'GEOGRAPHY') ], chunks => [ [ @rows[ 0 .. 2 ] ], [ @rows[ 3 .. 5 ] ] ] };
}

sub test_conditions
{
	serve({}, objects => { '`items`' => items() });
	foreign_table('items', $item_columns, object => 'items');
	sql('CREATE TABLE items_copy AS SELECT * FROM items');
	compare_each($node, 'items', 'items_copy', @moments, 'id = 3', 'id IN (1, 5, 77)', 'n < 1.5', 'n = 1.5', 'n > 1.4999', 'big >= 12345678901234567890123456789012345678', 'big < 8 AND n IS NOT NULL', 'ok', 'NOT ok', 'ok IS NULL', q{s = 'a'},
		q{s = E'it''s \\\\ "q"\n${x}'}, q{s = ''}, q{s <> 'a'}, q{s > 'B'}, q{d = '2024-01-02'}, q{d > '1969-01-01'}, q{d < 'infinity'}, 'f > 4', q{g = 'SRID=4326;POINT(1 2)'}, 'id > (SELECT 2) AND ok');
	my $sent = sub { remote_statement($node, "SELECT id FROM items WHERE $_[0]") =~ s/^SELECT .*? FROM `items`//r };
	is($sent->('id = 3 LIMIT 5'), ' WHERE `id` = 3 LIMIT 5', 'EXPLAIN: a condition and a limit');
	is($sent->(q{s = E'it''s ${x}\\\\' LIMIT 5}), q{ WHERE `s` = 'it\'s \u0024{x}\\\\'}, '... a text');
	is($sent->(q{tn < '2024-01-02' AND ts = '2024-01-02 03:04:05.123456Z' LIMIT 3}), q{ WHERE `tn` < TIMESTAMP_NTZ '2024-01-02 00:00:00.000000' AND `ts` = TIMESTAMP '2024-01-02 03:04:05.123456+00:00' LIMIT 3}, '... moments of an object are exact');
	is($sent->($_), '', "not sent: $_") for 'f = 1', q{s > 'a'}, q{s <> 'a'}, q{ts < 'infinity'}, q{n = 'NaN'};
	is((statements_of(sub { sql('SELECT id FROM items WHERE n > 1.499') }))[1], 'SELECT `id`, `n` FROM `items`', 'a number with more digits than the column has is not compared there');
	is((statements_of(sub { sql(q{SELECT id, ts FROM items WHERE ts > '2024-01-01Z' LIMIT 2}) }))[1], q{SELECT `id`, unix_micros(`ts`) AS `ts` FROM `items` WHERE `ts` > TIMESTAMP '2024-01-01 00:00:00.000000+00:00' LIMIT 2}, 'what is read by an expression is compared by its name');
}

sub test_query_conditions
{
	serve({ 'SELECT * FROM items' => items(), 'SHOW TABLES' => items() });
	foreign_table('queried', $item_columns, query => 'SELECT * FROM items');
	sql('CREATE TABLE queried_copy AS SELECT * FROM queried');
	compare_each($node, 'queried', 'queried_copy', @moments, 'id = 3 AND ok IS NULL');
	is_deeply([ statements_of(sub { is(sql(q{SELECT id FROM queried WHERE ts > '2024-01-02 03:04:05.5Z' AND id < 10}), 6, 'a query: a condition') }) ],
		[ "SELECT * FROM (SELECT * FROM items\n) AS source LIMIT 0", "SELECT * FROM (SELECT * FROM items\n) AS source WHERE `ts` > TIMESTAMP '2024-01-02 03:04:05.499000+00:00' AND `id` < 10" ], '... the statements: moments are cut to milliseconds');
	is_deeply([ statements_of(sub { is(sql(q{SELECT count(*) FROM (SELECT id FROM queried LIMIT 2) s}), 2, 'a query: a limit') }) ], [ "SELECT * FROM (SELECT * FROM items\n) AS source LIMIT 2" ], '... the statement');
	foreign_table('narrower', 'id int', query => 'SELECT * FROM items');
	is_deeply([ statements_of(sub { is(sql('SELECT id FROM narrower WHERE id = 3 LIMIT 1'), 3, 'a query: a column of another type here') }) ], [ "SELECT * FROM (SELECT * FROM items\n) AS source LIMIT 0", 'SELECT * FROM items' ], '... is not compared there, and its rows come nevertheless');
	foreign_table('shown', $item_columns, query => 'SHOW TABLES');
	is_deeply([ statements_of(sub { is(sql(q{SELECT id FROM shown WHERE id = 5 LIMIT 1}), 5, 'what can not be wrapped') }) ], ['SHOW TABLES'], '... runs as it is');
}

sub test_incremental
{
	for my $how (qw(object query))
	{
		my $from = $how eq 'object' ? '`main`.`shop`.`log`' : "(SELECT * FROM log\n) AS source";
		my @rows = ([ '1', '2024-01-02T03:04:05.1236Z' ], [ '2', undef ]);
		my $serve = sub { my %log = (columns => [ column('id', 'INT'), column('at', 'TIMESTAMP') ], chunks => [ \@rows ]); serve({ 'SELECT * FROM log' => \%log }, objects => { '`main`.`shop`.`log`' => \%log }) };
		my $run = sub { $serve->(); my $result; my @statements = statements_of(sub { $result = run_sync($node, "log_$how") }); return ($result, $statements[-1] =~ s/.*? FROM \Q$from\E//sr) };
		$serve->();
		sql("CREATE TABLE log_$how (id int PRIMARY KEY, at timestamptz CHECK (at <> '2024-01-02 03:04:06Z'))");
		sql("SELECT censync_create_sync('log_$how', 'log_$how', 'upsert', server => 'wh', $how => " . ($how eq 'object' ? "'main.shop.log'" : "'SELECT * FROM log'") . q{, options => '{"cursor_column": "at", "max_rejected": 1}')});
		my ($first) = $run->();
		is("$first->{status} $first->{records_read}", 'completed 2', "$how: the first run reads all") or diag explain $first;
		is(sql("SET timezone = 'UTC'; SELECT watermark FROM censync.syncs WHERE name = 'log_$how'"), $how eq 'object' ? '2024-01-02 03:04:05.1236+00' : '2024-01-02 03:04:05.123+00', "$how: the watermark");
		push @rows, [ '3', '2024-01-02T03:04:05.1236Z' ], [ '4', '2024-01-02T03:04:06Z' ], [ '5', '2024-01-02T03:04:07Z' ], [ '6', '2024-01-02T03:04:05.121Z' ];
		my ($next, $condition) = $run->();
		is($condition, q{ WHERE (`at` >= TIMESTAMP '2024-01-02 03:04:05.} . ($how eq 'object' ? '123600' : '122000') . q{+00:00' OR `at` IS NULL)}, "$how: what is asked for later");
		is("$next->{records_read} $next->{records_created} $next->{records_rejected}", '5 2 1', "$how: what is new comes, and nulls") or diag explain $next;
		is((($run->())[0])->{records_read}, 3, "$how: a rejected record holds the watermark");
	}
}

sub test_import
{
	my @orders = (column('id', 'LONG', nullable => JSON::PP::false, position => 0), column('amount', 'DECIMAL', type_precision => 12, type_scale => 2), column('at', 'TIMESTAMP'), column('m', 'MAP'));
	serve({}, tables => [ [ { name => 'orders', columns => \@orders } ], [], [ { name => 'odd.name', columns => [ column('x', 'INTERVAL') ] } ], [] ]);
	sql('IMPORT FOREIGN SCHEMA shop FROM SERVER wh INTO imported');
	is(sql(q{SELECT string_agg(attrelid::regclass || '.' || attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' not null' ELSE '' END, ', ' ORDER BY attrelid::regclass::text DESC, attnum) FROM pg_attribute WHERE attnum > 0 AND attrelid::regclass::text LIKE 'imported.%'}),
		'imported.orders.id bigint not null, imported.orders.amount numeric(12,2), imported.orders.at timestamp with time zone, imported.orders.m jsonb, imported."odd.name".x interval', 'imported tables, over empty pages');
	is(sql(q{SELECT string_agg(option_value, ' ' ORDER BY option_value COLLATE "C") FROM information_schema.foreign_table_options WHERE foreign_table_schema = 'imported' AND option_name = 'object'}), 'main.shop."odd.name" main.shop.orders', 'their objects');
	like(error_of('IMPORT FOREIGN SCHEMA nope FROM SERVER wh INTO imported'), qr/42704: Schema does not exist/, 'a schema that is not there');
}

sub test_lies
{
	for my $server (qw(inline wh))
	{
		foreign_table('lied', 'id int, name text', query => 'q', server => $server);
		my $lie = sub { my ($result, $expected, $name) = @_; serve({ q => $result }); like(error_of('SELECT count(name) FROM lied'), $expected, "$server: $name") };
		$lie->(numbered([ 2, 2 ], total => 5), qr/HV000: the source announced 5 rows and sent 4/, 'fewer rows than announced');
		$lie->(numbered([ 2, 2 ], counts => [ 2, 3 ]), qr/HV000: the source sent 2 of the 3 rows/, 'fewer in a chunk');
		$lie->(numbered([ 2, 1 ], swap => { 1 => 0 }), qr/HV000: the source sent 2 of the 1 rows/, 'a chunk that comes twice');
		$lie->(numbered([ 2, 2 ], cut => { 1 => 12 }), qr/08006/, 'a chunk that is cut');
		$lie->(numbered([2], truncated => JSON::PP::true), qr/54000: the result was too large/, 'truncated');
		$lie->(numbered([2], format => 'ARROW_STREAM'), qr/08P01: the result was not described by Databricks/, 'another format');
	}
}

# Statements that run for ever: who stops waiting for them cancels them.
sub test_cancel
{
	foreign_table('slow', 'id int, name text', query => 'q');
	for my $how (qw(cancel terminate))
	{
		serve({ q => numbered([1], polls => 100000) });
		my $guard = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "SET application_name = 'slow'", '-c', 'SELECT * FROM slow' ], '<', \undef, '>', \my $out, '2>', \my $err);
		ok($http->wait_state(sub { $_->{requests} > 3 }), "$how: it runs");
		sql("SELECT pg_${how}_backend(pid) FROM pg_stat_activity WHERE application_name = 'slow'");
		$guard->finish;
		my @canceled = grep { $_->{path} =~ /cancel$/ } $http->log;
		is(scalar(@canceled), 1, "$how: the statement there is canceled");
		is("$canceled[0]{method} $canceled[0]{status} '$canceled[0]{body}'", "POST 200 ''", "$how: as it must be");
	}
}

sub test_check
{
	serve({ 'SELECT 1' => numbered([1]), 'SELECT * FROM `people` LIMIT 0' => numbered([]) });
	is(sql(q{SELECT string_agg(step || ' ' || ok, ', ') FROM censync_check('wh')}), 'resolve true, connect true, tls true, authenticate true, query true', 'a check');
	is(sql(q{SELECT bool_and(ok) FROM censync_check('wh', object => 'people')}), 't', 'a check of an object');
	like(sql(q{SELECT step || ' ' || ok || ' ' || detail FROM censync_check('wh', object => 'nope') WHERE NOT ok}), qr/query false .*TABLE_OR_VIEW_NOT_FOUND.*USE SCHEMA/s, 'an object that is not there');
	serve({}, token => 'another');
	like(sql(q{SELECT step || ' ' || ok || ' ' || detail FROM censync_check('wh') WHERE NOT ok}), qr/authenticate false .*Invalid access token/s, 'a wrong token');
}

sub test_options
{
	like(error_of(q{ALTER SERVER wh OPTIONS (SET warehouse_id 'x y')}), qr/22023: invalid value for option "warehouse_id"/, 'no id of a warehouse');
	like(error_of(q{ALTER SERVER wh OPTIONS (ADD disposition 'arrow')}), qr/22023: invalid value for option "disposition"/, 'no disposition');
	server('h', account => 'x', mapping => { token => $token });
	like(error_of(preview('q', 'h')), qr/HV00D: invalid option "account".*warehouse_id/s, 'an option of others');
	server('n', base_url => undef, mapping => { token => $token });
	like(error_of(preview('q', 'n')), qr/22023: option "host" is missing/, 'no host');
	server('http', base_url => undef, type => 'http', catalog => undef, schema => undef, warehouse_id => undef, url => $http->url('/'), mapping => { client_id => 'x', client_secret => 'y' });
	like(error_of(q{SELECT censync_preview('http', object => 'x')}), qr/22023: option "token_url" is missing/, 'a source of type http does not know where tokens are');
}

sub test_secrets
{
	my $everything = slurp_file($node->logfile) . sql('SELECT string_agg(r::text, $$ $$) FROM censync.runs r') . sql('SELECT coalesce(string_agg(r::text, $$ $$), $$$$) FROM censync.records r') . sql('SELECT string_agg(a::text, $$ $$) FROM pg_stat_activity a WHERE pid <> pg_backend_pid()');
	$everything =~ s/^.*STATEMENT: .*(CREATE USER MAPPING|OPTIONS).*$//mg;
	my @secrets = ($token, 'dose-secret-of-the-test', 'signed-secret');
	is(index($everything, $_), -1, "a secret is nowhere: $_") for @secrets;
	cmp_ok(scalar(@errors), '>', 20, 'errors of every kind');
	is_deeply([ grep { my $error = $_; grep { index($error, $_) >= 0 } @secrets } @errors ], [], '... and no secret in any');
}
