# BigQuery, as far as it can be had without one: a server that checks every request, token and page.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use CensyncTest;
use CensyncGoogle;
use CensyncPredicates;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $node   = new_node('here', "censync.http_retries = 3\nlog_statement = none\nlog_min_error_statement = panic");
my $http   = start_http();
my $google = new_google($http);
my @errors;

create_google_server($node, 'bq', $http, type => 'bigquery', location => 'EU', mapping => $google->{mapping});

# Every type, and null, as in the service's own documents.
my ($schema, $rows) = bigquery_all_types();
my $two = '{"fields":[{"name":"id","type":"INTEGER","mode":"REQUIRED"},{"name":"v","type":"STRING","mode":"NULLABLE"}]}';
my %queries;
my %tables;

test_types();
test_more_types();
test_invalid_values();
test_job_and_pages();
test_ahead();
test_table_and_view();
test_conditions();
test_query_conditions();
test_incremental();
test_totals();
test_refusals();
test_retries();
test_tokens();
test_cancel();
test_check();
test_import();
test_secrets();

$node->stop;
done_testing();

# The world as the fake server is to have it.
sub world
{
	my $json = JSON::PP->new->utf8->canonical;
	my $put = sub { my ($h) = @_; join ',', map { encode_json([$_]) =~ s/^\[|\]$//gr . ':' . $h->{$_} } sort keys %$h };
	$http->put('bigquery', '{"tables": {' . $put->(\%tables) . '}, "queries": {' . $put->(\%queries) . '}}');
	return;
}

# The two-column rows from ... to ..., with more members of the query or table.
sub rows
{
	my ($from, $to, $more) = @_;
	my $list = join ',', map { qq({"f":[{"v":"$_"},{"v":"v$_"}]}) } $from .. $to;
	return qq({"schema": $two, "rows": [$list]) . ($more ? ", $more" : '') . '}';
}

sub failure
{
	my ($status, $reason, $message, $headers) = @_;
	return encode_json({ status => $status, headers => $headers // {}, body => { error => { code => $status, message => $message,
		status => 'X', errors => [ { message => $message, domain => 'global', reason => $reason } ] } } });
}

sub preview
{
	my ($what) = @_;
	return $node->safe_psql('postgres', "SELECT * FROM censync_preview('bq', $what)");
}

sub refused
{
	my ($what) = @_;
	my $error = error_of($node, "SELECT * FROM censync_preview('bq', $what)");
	push @errors, $error;
	return $error;
}

sub requests
{
	my ($pattern) = @_;
	return grep { "$_->{method} $_->{target}" =~ $pattern } $http->log;
}

sub test_types
{
	$queries{'SELECT * FROM `acme.shop.all_types` ORDER BY i'} = qq({"schema": $schema, "rows": $rows});
	world();
	$node->safe_psql('postgres', q{
		CREATE FOREIGN TABLE every_type (i bigint, f double precision, n numeric, bn numeric, b boolean, s text, by bytea, d date, t time,
			dt timestamp, ts timestamptz, j jsonb, g text, iv interval, r daterange, arr jsonb, st jsonb, items jsonb)
			SERVER bq OPTIONS (query 'SELECT * FROM `acme.shop.all_types` ORDER BY i');
		CREATE FOREIGN TABLE arrays (i bigint, arr int[], a2 jsonb[] OPTIONS (source 'items'))
			SERVER bq OPTIONS (query 'SELECT * FROM `acme.shop.all_types` ORDER BY i')});
	my $row = $node->safe_psql('postgres', q{SET timezone = 'UTC'; SET intervalstyle = 'postgres'; SELECT * FROM every_type WHERE i IS NOT NULL});
	is($row, join('|', '-9223372036854775808', '-Infinity', '12345678901234567890123456789.123456789', '0.00000000000000000000000000000000000001', 't',
		"h\xc3\xa9llo\n\"q\"", '\xdeadbeef', '2024-01-02', '12:34:56.789', '2024-01-02 03:04:05', '2024-01-02 03:04:05.123456+00', 'null', 'POINT(1 2)',
		'1 year 2 mons 3 days 04:05:06.789', '[2024-01-01,)', '[1, 2]', '{"a": "x", "b": "1969-12-31T23:59:59.999999+00:00"}',
		'[{"sku": "A1", "tags": ["red", "big"]}, {"sku": null, "tags": []}]'), 'every type');
	is($node->safe_psql('postgres', 'SELECT count(*), count(i), count(s), count(j), count(st), min(arr::text), min(items::text) FROM every_type WHERE i IS NULL'),
		'1|0|0|0|0|[]|[]', 'nulls; an array is never null');
	is($node->safe_psql('postgres', q{SELECT arr, a2 FROM arrays WHERE i IS NOT NULL}), q({1,2}|{"{\"sku\": \"A1\", \"tags\": [\"red\", \"big\"]}","{\"sku\": null, \"tags\": []}"}), 'arrays where the table has them');
	$node->safe_psql('postgres', q{CREATE TABLE typed (i bigint PRIMARY KEY, arr int[], ts timestamptz, by bytea);
		SELECT censync_create_sync('typed', 'typed', 'upsert', server => 'bq', query => 'SELECT * FROM `acme.shop.all_types` ORDER BY i')});
	my $run = run_sync($node, 'typed');
	is("$run->{status} $run->{records_created} $run->{records_invalid}", 'completed 1 1', 'a sync; a key that is null is invalid') or diag($run->{_stderr});
	is($node->safe_psql('postgres', q{SET timezone = 'UTC'; SELECT * FROM typed}), '-9223372036854775808|{1,2}|2024-01-02 03:04:05.123456+00|\xdeadbeef', 'what it wrote');
	return;
}

sub test_more_types
{
	$queries{more} = <<'JSON';
{"schema": {"fields": [{"name":"x","type":"STRUCT","fields":[{"name":"","type":"INT64"},{"name":"k","type":"FLOAT64"},{"name":"k","type":"FLOAT64"},
  {"name":"ok","type":"BOOL"},{"name":"num","type":"NUMERIC"},{"name":"j","type":"JSON"},{"name":"d","type":"DATE"},{"name":"s","type":"STRING"}]},
  {"name":"rt","type":"RANGE","rangeElementType":{"type":"TIMESTAMP"}},{"name":"rs","type":"RANGE","rangeElementType":{"type":"TIMESTAMP"}},
  {"name":"rd","type":"RANGE","rangeElementType":{"type":"DATETIME"}},{"name":"iv","type":"INTERVAL"},{"name":"n","type":"NUMERIC","precision":"10","scale":"2"},
  {"name":"d","type":"DATE"},{"name":"ts","type":"TIMESTAMP"},{"name":"s","type":"STRING"}]},
 "rows": [{"f":[{"v":{"f":[{"v":"9223372036854775807"},{"v":"NaN"},{"v":"1.0E-5"},{"v":"false"},{"v":"0.1234567890123456789012345678"},
   {"v":"{\"a\": [1.10, \"\\u00e9\"]}"},{"v":"0001-01-01"},{"v":"tab\t \"x\""}]}},
  {"v":"[1704067200000000, UNBOUNDED)"},{"v":"[UNBOUNDED, 1704067200.000001)"},{"v":"[2024-01-01T00:00:00, 2024-01-01T12:00:00.000001)"},
  {"v":"-1-2 3 -4:5:6.000001"},{"v":"1.5"},{"v":"9999-12-31"},{"v":"-62135596800000000"},{"v":""}]}]}
JSON
	world();
	is($node->safe_psql('postgres', q{SET timezone = 'UTC'; SELECT v FROM censync_preview('bq', query => 'more') v}),
		'{"d": "9999-12-31", "n": 1.50, "s": "", "x": {"d": "0001-01-01", "j": {"a": [1.10, "é"]}, "k": "NaN", "s": "tab\t \"x\"", "ok": false, "k_1": 0.000010, "num": 0.1234567890123456789012345678, "_field_1": 9223372036854775807}, '
		. '"iv": "-1 years -2 mons +3 days -04:05:06.000001", "rd": "[\"2024-01-01 00:00:00\",\"2024-01-01 12:00:00.000001\")", "rs": "(,\"2024-01-01 00:00:00.000001+00\")", "rt": "[\"2024-01-01 00:00:00+00\",)", "ts": "0001-01-01T00:00:00+00:00"}',
		'ranges of timestamps, signs in intervals, members of structs');
	return;
}

sub test_invalid_values
{
	my $deep = '[' x 20000 . ']' x 20000;

	$queries{invalid} = qq({"schema": {"fields": [{"name":"id","type":"INTEGER"},{"name":"d","type":"DATE"},{"name":"n","type":"NUMERIC"},{"name":"b","type":"BYTES"},{"name":"j","type":"JSON"}]},
		"rows": [{"f":[{"v":"1"},{"v":"2024-02-30"},{"v":"1"},{"v":""},{"v":"1"}]},{"f":[{"v":"2"},{"v":null},{"v":"1x"},{"v":""},{"v":"1"}]},{"f":[{"v":"3"},{"v":null},{"v":"1"},{"v":"!"},{"v":"1"}]},
		{"f":[{"v":"4"},{"v":null},{"v":"1"},{"v":""},{"v":"{"}]},{"f":[{"v":"5"},{"v":null},{"v":"1"},{"v":""},{"v":"$deep"}]},{"f":[{"v":"9223372036854775808"},{"v":null},{"v":"1"},{"v":""},{"v":"1"}]},{"f":[{"v":"6"},{"v":null},{"v":"1"},{"v":""}]},{"f":[{"v":"7"},{"v":"2024-02-29"},{"v":"1.0"},{"v":"AA=="},{"v":"[]"}]}]});
	world();
	$node->safe_psql('postgres', q{CREATE TABLE invalid (id bigint PRIMARY KEY, d date, n numeric, b bytea, j jsonb);
		SELECT censync_create_sync('invalid', 'invalid', 'upsert', server => 'bq', query => 'invalid', options => '{"max_rejected": 1.0}')});
	my $run = run_sync($node, 'invalid');
	is("$run->{records_read} $run->{records_created} $run->{records_invalid}", '8 1 7', 'values that are none are invalid records') or diag(explain($run));
	is($node->safe_psql('postgres', q{SELECT string_agg(reason, ' ; ' ORDER BY record_number) FROM censync.records JOIN censync.runs USING (run_id) WHERE sync = 'invalid'}),
		'no date: "2024-02-30" ; no number: "1x" ; no base64: "!" ; no JSON: "{" ; JSON that is nested too deep: "' . '[' x 60 . '..." ; out of range of bigint: "9223372036854775808" ; record has 4 values for 5 columns', '... each for its reason');
	return;
}

sub test_job_and_pages
{
	$queries{slow} = rows(1, 25, '"polls": 2, "page": 10');
	$queries{none} = qq({"schema": $two, "rows": []});
	$queries{backwards} = rows(1, 3, '"polls": 1, "page": 2, "backwards": true, "gzip": true');
	world();
	$http->reset; reput();
	is(preview(q{query => 'slow', "limit" => 100}), join("\n", map { qq({"v": "v$_", "id": $_}) } 1 .. 25), 'a job that takes its time, in three pages');
	is(scalar(requests(qr{^POST /bigquery/v2/projects/acme/queries$})), 1, 'one job');
	is(scalar(requests(qr{maxResults=0})), 3, 'polled until it was done');
	is(scalar(requests(qr{fields=})), 3, 'three pages');
	is(preview(q{query => 'none'}), '', 'a result without rows');
	is(preview(q{query => 'backwards'}), join("\n", map { qq({"v": "v$_", "id": $_}) } 1 .. 3), 'members in another order, compressed');
	my ($submit) = requests(qr{^POST /bigquery});
	my $body = decode_json($submit->{body});
	is("$body->{location} $body->{maxResults}", 'EU 0', 'what was sent');
	return;
}

# The next page is asked for while the rows of one are taken.
sub test_ahead
{
	$queries{ahead} = rows(1, 9000, '"page": 3000');
	$http->reset; reput();
	$node->safe_psql('postgres', q{CREATE FOREIGN TABLE ahead (id bigint, v text) SERVER bq OPTIONS (query 'ahead')});
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	$session->query_safe('BEGIN; DECLARE c CURSOR FOR SELECT id FROM ahead');
	$session->query_safe('MOVE 1001 IN c');
	ok($http->wait_state(sub { scalar(requests(qr{fields=})) == 2 }, 5), 'the second page is on its way while the first is read');
	is($session->query_safe('MOVE 1999 IN c; FETCH 1 FROM c'), '3001', '... and is taken');
	$session->query_safe('MOVE ALL IN c');
	is(scalar(requests(qr{fields=})), 3, '... and none is asked for twice');
	$session->quit;
	return;
}

# reset forgets documents, too.
sub reput
{
	$http->put('google.pem', slurp_file_of_key(), 'text/plain');
	world();
	return;
}

sub slurp_file_of_key
{
	my ($out, $err);
	IPC::Run::run([ 'openssl', 'pkey', '-pubout' ], '<', \$google->{pem}, '>', \$out, '2>', \$err);
	return $out;
}

sub test_table_and_view
{
	$tables{'shop.orders'} = rows(1, 7, '"page": 3');
	$tables{'shop.v'} = rows(1, 2, '"type": "VIEW"');
	$tables{'shop.wide'} = qq({"schema": $schema, "rows": $rows});
	$http->reset; reput();
	is(preview(q{object => 'shop.orders', "limit" => 10}), join("\n", map { qq({"v": "v$_", "id": $_}) } 1 .. 7), 'a table');
	is(scalar(requests(qr{/data\?})), 3, '... is listed');
	is(scalar(requests(qr{^POST /bigquery})), 0, '... without a job');
	is(preview(q{object => 'acme.shop.orders', "limit" => 1}), '{"v": "v1", "id": 1}', 'with its project');
	is(preview(q{object => 'acme:shop.orders', "limit" => 1}), '{"v": "v1", "id": 1}', 'as of old');
	is(preview(q{object => 'shop.v'}), qq({"v": "v1", "id": 1}\n{"v": "v2", "id": 2}), 'a view is queried');
	$node->safe_psql('postgres', q{CREATE FOREIGN TABLE v (id bigint, v text) SERVER bq OPTIONS (object 'shop.v');
		CREATE FOREIGN TABLE wide (s text, i bigint, items jsonb) SERVER bq OPTIONS (object 'shop.wide')});
	is($node->safe_psql('postgres', 'SELECT v FROM v ORDER BY 1'), "v1\nv2", '... for the columns that are needed');
	is($node->safe_psql('postgres', 'SELECT i, items FROM wide LIMIT 1'), '-9223372036854775808|[{"sku": "A1", "tags": ["red", "big"]}, {"sku": null, "tags": []}]', 'columns of a table in another order');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM wide'), '2', '... and none of them');
	like(refused(q{object => 'orders'}), qr/22023: .*names no dataset/, 'no dataset');
	like(refused(q{object => 'shop.nothing'}), qr/42P01: .*BigQuery: Not found: Table acme:shop.nothing.*DETAIL.*notFound.*HINT/s, 'no such table');
	return;
}

# What jobs run meanwhile, and whether rows are listed.
sub asked
{
	my ($do) = @_;
	my $before = () = $http->log;
	$do->();
	my @log = $http->log;
	return map { $_->{target} =~ m{/data\?} ? 'list' : $_->{target} =~ m{/queries$} ? (decode_json($_->{body})->{dryRun} ? 'dry: ' : '') . decode_json($_->{body})->{query} : () } @log[ $before .. $#log ];
}

sub items
{
	my @fields = ([ id => 'INTEGER' ], [ n => 'NUMERIC' ], [ bn => 'BIGNUMERIC' ], [ ok => 'BOOLEAN' ], [ s => 'STRING' ], [ d => 'DATE' ], [ dt => 'DATETIME' ], [ ts => 'TIMESTAMP' ], [ f => 'FLOAT' ], [ g => 'GEOGRAPHY' ], [ fine => 'TIMESTAMP', timestampPrecision => 12 ]);
	my @rows = map { [ @$_, "$_->[0].5", 'POINT(1 2)', $_->[7] ] } (
		[ '1', '1.5', '7', 'true', 'a', '1970-01-01', '2024-01-02T03:04:05.123456', '1704164645123456' ],
		[ '2', '-1.500000001', '0.00000000000000000000000000000000000001', 'false', "it's \\ \"q\"\n\r\t", '2024-01-02', '2024-01-02T03:04:05', '1704164645123457' ],
		[ '3', '0', '12345678901234567890123456789012345678', undef, '', '0001-01-01', '1969-12-31T23:59:59.999999', '-1' ],
		[ '4', undef, undef, 'true', undef, undef, undef, undef ],
		[ '5', '99999999999999999999999999999.999999999', '8', 'false', 'A', '9999-12-31', '9999-12-31T23:59:59.999999', '253402300799999999' ],
		[ '6', '1.49', '-9', 'true', "h\x{e9}", '1970-01-03', '1970-01-01T00:00:00', '0' ]);
	return JSON::PP->new->canonical->utf8->encode({ schema => { fields => [ map { my ($name, $type, @more) = @$_; { name => $name, type => $type, mode => 'NULLABLE', @more } } @fields ] },
		rows => [ map { { f => [ map { { v => $_ } } @$_ ] } } @rows ] });
}

sub test_conditions
{
	$tables{'shop.items'} = items();
	world();
	$node->safe_psql('postgres', q{CREATE FOREIGN TABLE items (id bigint, n numeric, bn numeric, ok boolean, s text, d date, dt timestamp, ts timestamptz, f double precision, g text, fine timestamptz) SERVER bq OPTIONS (object 'shop.items')});
	is_deeply([ asked(sub { $node->safe_psql('postgres', 'CREATE TABLE items_copy AS SELECT * FROM items') }) ], ['list'], 'all rows of a table are listed');
	compare_each($node, 'items', 'items_copy', 'id = 3', 'id <> 3', 'id IN (1, 5, 77)', 'n < 1.5', 'n = 1.50', 'n > -1.5000000005', 'n = -1.500000001', 'n >= 99999999999999999999999999999.999999999', 'bn >= 12345678901234567890123456789012345678',
		'bn = 0.00000000000000000000000000000000000001', 'bn > 0.000000000000000000000000000000000000001', 'bn < 1e50', 'n IN (1.5, 0, 7e40)', 'bn < 8 AND n IS NOT NULL', 'ok', 'NOT ok', 'ok IS NULL', q{s = 'a'}, q{s = E'it''s \\\\ "q"\n\r\t'}, q{s = ''}, q{s IN ('A', U&'h\00e9')}, q{s <> 'a'},
		q{s > 'B'}, q{d = '2024-01-02'}, q{d > '1969-01-01'}, q{d <= '0001-01-01'}, q{d < 'infinity'}, q{d >= '9999-12-31'}, q{dt = '2024-01-02 03:04:05.123456'}, q{dt < '1970-01-01'}, q{dt >= '9999-12-31 23:59:59.999999'}, q{dt > '0044-03-15 BC'},
		q{ts = '2024-01-02 03:04:05.123457Z'}, q{ts <> '2024-01-02 03:04:05.123457Z'}, q{ts > '2024-01-02 05:04:05.123456+02'}, q{ts < '1970-01-01Z'}, q{ts BETWEEN '1969-12-31Z' AND '2024-01-02Z'}, q{ts IS NULL}, 'f > 4', 'f = 2.5', q{g = 'POINT(1 2)'}, q{fine > '2000-01-01Z'}, 'id > (SELECT 2) AND ok');
	is_deeply([ asked(sub { is($node->safe_psql('postgres', q{SELECT id FROM items WHERE ts > '2024-01-01Z' AND s = 'A'}), 5, 'a condition') }) ], [q{SELECT `id`, `s`, `ts` FROM `acme.shop.items` WHERE `ts` > TIMESTAMP '2024-01-01 00:00:00.000000+00:00' AND `s` = 'A'}], '... is a job');
	is_deeply([ asked(sub { is($node->safe_psql('postgres', q{SELECT id FROM items WHERE ok AND n = 1.49 LIMIT 3}), 6, 'a condition with a limit') }) ], [q{SELECT `id`, `n`, `ok` FROM `acme.shop.items` WHERE `ok` = TRUE AND `n` = NUMERIC '1.49' LIMIT 3}], '... is a job');
	is_deeply([ asked(sub { is($node->safe_psql('postgres', qq{SELECT count(*) FROM (SELECT id FROM items $_) x}), /LIMIT 2/ ? 2 : /f >/ ? 3 : 6, "listed: $_") }) ], ['list'], '... without a job') foreach 'LIMIT 2', 'WHERE f > 4', q{WHERE g = 'POINT(1 2)'}, 'OFFSET 0';
	is(remote_statement($node, 'SELECT id FROM items WHERE id = 3 LIMIT 4'), 'SELECT `id` FROM `shop.items` WHERE `id` = 3 LIMIT 4', 'EXPLAIN: a condition');
	is(remote_statement($node, 'SELECT id, ok FROM items'), 'tabledata.list shop.items selectedFields=id,ok', 'EXPLAIN: none');
	is(remote_statement($node, "SELECT id FROM items WHERE $_"), 'tabledata.list shop.items selectedFields=' . (/(id|f|s|ts|n) / && $1 ne 'id' ? "id,$1" : 'id'), "EXPLAIN: not sent: $_") foreach 'f = 1', q{s > 'a'}, q{s <> 'a'}, q{ts < 'infinity'}, q{n = 'NaN'}, 'n < 1e40';
	$tables{'shop.items_view'} = items() =~ s/^\{/{"type":"VIEW",/r;
	world();
	$node->safe_psql('postgres', q{CREATE FOREIGN TABLE items_view (id bigint, s text) SERVER bq OPTIONS (object 'shop.items_view')});
	is_deeply([ asked(sub { is($node->safe_psql('postgres', q{SELECT id FROM items_view WHERE s = 'A'}), 5, 'a view') }) ], [q{SELECT `id`, `s` FROM `acme.shop.items_view` WHERE `s` = 'A'}], '... likewise');
	return;
}

sub test_query_conditions
{
	$queries{'SELECT * FROM shop.items -- all of them'} = $queries{'DECLARE x INT64; SELECT * FROM shop.items'} = $queries{'SELECT 1; SELECT * FROM shop.items'} = items();
	world();
	foreach my $query ('SELECT * FROM shop.items -- all of them', 'DECLARE x INT64; SELECT * FROM shop.items', 'SELECT 1; SELECT * FROM shop.items')
	{
		$node->safe_psql('postgres', "DROP FOREIGN TABLE IF EXISTS queried; CREATE FOREIGN TABLE queried (id bigint, ts timestamptz) SERVER bq OPTIONS (query '$query')");
		my $wraps = $query =~ /all of them/;
		my $source = "SELECT * FROM ($query\n) AS source";
		is_deeply([ asked(sub { is($node->safe_psql('postgres', q{SELECT id FROM queried WHERE ts < '1970-01-01Z'}), 3, "$query: a condition") }) ],
			$wraps ? [ "dry: $query", "$source WHERE `ts` < TIMESTAMP '1970-01-01 00:00:00.000000+00:00'" ] : [$query], '... what is asked');
		is_deeply([ asked(sub { is($node->safe_psql('postgres', q{SELECT id FROM queried LIMIT 1}), 1, '... a limit') }) ], [ $wraps ? "$source LIMIT 1" : $query ], '... what is asked');
		$node->safe_psql('postgres', "DROP FOREIGN TABLE queried; CREATE FOREIGN TABLE queried (id int) SERVER bq OPTIONS (query '$query')");
		is_deeply([ asked(sub { is($node->safe_psql('postgres', q{SELECT id FROM queried WHERE id = 3 LIMIT 1}), 3, '... a column of another type here') }) ], $wraps ? [ "dry: $query", $query ] : [$query], '... is not compared there, and its rows come nevertheless');
	}
	return;
}

# Rows that were streamed a moment ago are not listed; a watermark would pass them by.
sub test_incremental
{
	my $cell = sub { my ($id, $at) = @_; return { f => [ { v => $id }, { v => $at } ] } };
	my $fields = [ { name => 'id', type => 'INTEGER', mode => 'REQUIRED' }, { name => 'at', type => 'TIMESTAMP', mode => 'NULLABLE' } ];
	my @rows = ($cell->('1', '1704164645000000'), $cell->('2', undef), $cell->('3', '1704164647000000'));
	my @streamed = ($cell->('4', '1704164646000000'));
	my $serve = sub { $tables{'shop.log'} = $queries{'SELECT * FROM shop.log'} = encode_json({ schema => { fields => $fields }, rows => \@rows, streamed => \@streamed }); world() };
	$serve->();
	foreach my $how (qw(object query))
	{
		my $from = $how eq 'object' ? '`acme.shop.log`' : "(SELECT * FROM shop.log\n) AS source";
		$node->safe_psql('postgres', "CREATE TABLE log_$how (id bigint PRIMARY KEY, at timestamptz CHECK (at <> '2024-01-02 03:04:08Z'));"
			  . "SELECT censync_create_sync('log_$how', 'log_$how', 'upsert', server => 'bq', $how => '" . ($how eq 'object' ? 'shop.log' : 'SELECT * FROM shop.log') . q{', options => '{"cursor_column": "at", "max_rejected": 1}')});
		my $result;
		my $run = sub { my @asked = asked(sub { $result = run_sync($node, "log_$how") }); return $asked[-1] };
		is($run->(), $how eq 'object' ? "SELECT `id`, `at` FROM $from" : 'SELECT * FROM shop.log', "$how: the first run is a job, not a list");
		is($result->{records_read}, @rows + ($how eq 'object'), "$how: it reads all, what was streamed, too") or diag explain $result;
		push @rows, $cell->('5', '1704164648000000'), $cell->('6', '1704164649000000') if $how eq 'object';
		$serve->();
		next if $how eq 'query';
		is($run->(), "SELECT `id`, `at` FROM $from WHERE (`at` >= TIMESTAMP '2024-01-02 03:04:07.000000+00:00' OR `at` IS NULL)", "$how: later runs read what is new");
		is("$result->{records_read} $result->{records_created} $result->{records_rejected}", '4 1 1', "$how: ... and nulls");
		is($run->(), "SELECT `id`, `at` FROM $from WHERE (`at` >= TIMESTAMP '2024-01-02 03:04:08.000000+00:00' OR `at` IS NULL)", "$how: a rejected record holds the watermark");
		is($result->{records_read}, 3, "$how: it comes again");
	}
	my @asked = asked(sub { run_sync($node, 'log_query') });
	is_deeply(\@asked, [ 'dry: SELECT * FROM shop.log', "SELECT * FROM (SELECT * FROM shop.log\n) AS source WHERE (`at` >= TIMESTAMP '2024-01-02 03:04:08.000000+00:00' OR `at` IS NULL)" ], 'query: later runs, likewise') or diag explain \@asked;
	return;
}

# A mirror would delete what it has not seen.
sub test_totals
{
	$node->safe_psql('postgres', q{CREATE TABLE copy (id bigint PRIMARY KEY, v text); INSERT INTO copy SELECT g, 'old' FROM generate_series(1, 30) g});
	my %lies = (
		fewer    => [ '"page": 10, "total": 26', qr/changed while they were being read|announced 26 rows and sent 25/ ],
		more     => [ '"page": 10, "total": 24', qr/announced 24 rows and sent 25/ ],
		changing => [ '"page": 10, "totals": {"2": 24}', qr/number of rows changed/ ],
		repeated => [ '"page": 10, "repeat": 2', qr/named the same page twice/ ],
		cut      => [ '"page": 10, "cut": 2', qr/connection .* was lost/ ]);
	foreach my $name (sort keys %lies)
	{
		my ($more, $error) = @{ $lies{$name} };
		$queries{$name} = rows(1, 25, $more);
		$tables{"shop.$name"} = rows(1, 25, $more);
	}
	world();
	my $before = table_state($node, 'copy');
	foreach my $name (sort keys %lies)
	{
		foreach my $what ("query => '$name'", "object => 'shop.$name'")
		{
			$node->safe_psql('postgres', qq{SELECT censync_create_sync('lie', 'copy', 'mirror', server => 'bq', $what, options => '{"mirror_scope": "table"}')});
			my $run = run_sync($node, 'lie');
			is($run->{status}, 'failed', "$what fails");
			like($run->{error_message}, $lies{$name}[1], '... and says why');
			push @errors, $run->{_stderr};
			is(table_state($node, 'copy'), $before, '... and changes nothing');
			$node->safe_psql('postgres', q{SELECT censync_drop_sync('lie')});
		}
	}
	return;
}

sub test_refusals
{
	my @cases = (
		[ 400, 'invalidQuery', 'Unrecognized name: nope at [2:3]', qr/42703: .*LINE 2:   nope\n *\^/s ],
		[ 400, 'invalidQuery', 'Syntax error: Expected end of input at [1:8]', qr/42601: .*LINE 1:/s ],
		[ 403, 'accessDenied', 'Access Denied: Table acme:missing.t: User does not have permission', qr/42501: .*HINT: .*etl\@acme.*BigQuery Data Viewer/s ],
		[ 403, 'quotaExceeded', 'Quota exceeded: Your project exceeded quota', qr/53400: .*HINT: .*quota/s ],
		[ 403, 'billingNotEnabled', 'Billing has not been enabled', qr/42501: .*HINT: .*billing/si ],
		[ 404, 'notFound', 'Not found: Dataset acme:x was not found in location EU', qr/42704: .*HINT: .*location/s ],
		[ 400, 'responseTooLarge', 'Response too large to return', qr/54000: .*HINT: .*less/s ],
		[ 400, 'bytesBilledLimitExceeded', 'Query exceeded limit for bytes billed: 1. 2 or higher required.', qr/54000: .*maximum_bytes_billed/s ],
		[ 400, 'resourcesExceeded', 'Resources exceeded during query execution', qr/53000: /s ],
		[ 409, 'duplicate', 'Already Exists: Job x', qr/42710: /s ],
		[ 501, 'notImplemented', 'Not implemented', qr/0A000: /s ]);
	my $i = 0;
	foreach my $case (@cases)
	{
		my ($status, $reason, $message, $expected) = @$case;
		$i++;
		$queries{"refused $i\n  nope"} = rows(1, 1, '"fail": [' . failure($status, $reason, $message) . ']');
		world();
		like(refused("query => E'refused $i\\n  nope'"), $expected, "$reason: $message");
	}
	$queries{stopped} = rows(1, 1, '"polls": 1, "poll_fail": [' . failure(499, 'stopped', 'Job execution was cancelled: User requested cancellation') . ']');
	$queries{ddl} = qq({"schema": $two, "type": "CREATE_TABLE"});
	$queries{html} = rows(1, 1, '"fail": [{"status": 404, "html": "<!DOCTYPE html><title>Error 404 (Not Found)</title>"}]');
	world();
	like(refused(q{query => 'stopped'}), qr/HV000: .*cancelled.*reason is "stopped", the HTTP status 499/s, 'a job that somebody else canceled');
	like(refused(q{query => 'ddl'}), qr/22023: .*returns no rows.*CREATE_TABLE/s, 'a statement without rows');
	like(refused(q{query => 'html'}), qr/42704: .*answered with HTTP status 404/s, 'an error that is no JSON');
	like(refused(q{query => 'x', object => 'shop.orders'}), qr/22023|42601/, 'query and object');
	return;
}

sub test_retries
{
	my $limited = failure(403, 'rateLimitExceeded', 'Exceeded rate limits', { 'Retry-After' => '1' });
	$queries{throttled} = rows(1, 25, qq("page": 10, "polls": 1, "fail": [$limited], "poll_fail": [) . failure(503, 'backendError', 'Try again') . qq(], "page_fail": {"2": [$limited, ) . failure(500, 'internalError', 'An internal error') . ']}');
	$queries{'fails once'} = rows(1, 5, '"polls": 1, "poll_fail": [' . failure(400, 'jobBackendError', 'The job encountered an error') . ']');
	$queries{'fails always'} = rows(1, 5, '"polls": 9, "poll_fail": [' . join(',', (failure(400, 'jobInternalError', 'The job encountered an internal error')) x 9) . ']');
	$http->reset; reput();
	is(() = preview(q{query => 'throttled', "limit" => 100}) =~ /"id"/g, 25, 'throttled everywhere, and read nevertheless');
	is(() = preview(q{query => 'fails once', "limit" => 100}) =~ /"id"/g, 5, 'a job that fails by no fault of its own is run anew');
	my %ids = map { decode_json($_->{body})->{requestId} => 1 } grep { $_->{body} =~ /fails once/ } requests(qr{^POST /bigquery});
	is(scalar(keys %ids), 2, '... under another name');
	like(refused(q{query => 'fails always'}), qr/HV000: .*internal error.*HINT:.*try again later/s, '... and not for ever');
	return;
}

sub test_tokens
{
	$queries{expires} = rows(1, 25, '"page": 10');
	$http->reset; reput();
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	$session->query_safe('SELECT 1');
	is(() = $session->query_safe(q{SELECT * FROM censync_preview('bq', query => 'expires', "limit" => 3)}) =~ /"id"/g, 3, 'a token');
	is(() = $session->query_safe(q{SELECT * FROM censync_preview('bq', query => 'expires', "limit" => 3)}) =~ /"id"/g, 3, '... ');
	is(scalar(requests(qr{^POST /google/token})), 1, '... is kept for the next session');
	$http->revoke;
	is(() = $session->query_safe(q{SELECT * FROM censync_preview('bq', query => 'expires', "limit" => 100)}) =~ /"id"/g, 25, 'one that is refused is renewed');
	is(scalar(requests(qr{^POST /google/token})), 2, '... once');
	# In the midst of pages.
	$session->quit;
	$node->safe_psql('postgres', q{CREATE FOREIGN TABLE expires (id bigint, v text) SERVER bq OPTIONS (query 'long')});
	$queries{long} = rows(1, 3000, '"page": 1000');
	world();
	$session = $node->background_psql('postgres', on_error_stop => 0);
	$session->query_safe('BEGIN; DECLARE c CURSOR FOR SELECT id FROM expires');
	$session->query_safe('FETCH 10 FROM c');
	my $before = () = requests(qr{^POST /google/token});
	$http->revoke;
	is($session->query_safe('MOVE ALL IN c; SELECT 42'), '42', 'a token that expires in the midst of pages');
	is(scalar(requests(qr{^POST /google/token})), $before + 1, '... is renewed once');
	$session->quit;

	create_google_server($node, 'given', $http, type => 'bigquery', project => 'acme', mapping => { token => 'given-4cc3ss-t0ken' });
	is($node->safe_psql('postgres', q{SELECT count(*) FROM censync_preview('given', query => 'expires', "limit" => 100)}), 25, 'a token that is given');
	create_google_server($node, 'wrong', $http, type => 'bigquery', project => 'acme', mapping => { token => 'given-4cc3ss-wrong' });
	push @errors, my $error = error_of($node, q{SELECT * FROM censync_preview('wrong', query => 'expires')});
	like($error, qr/28000: .*invalid authentication credentials.*HINT: .*an hour/s, 'one that is wrong');
	my $other = new_google($http);
	reput();
	create_google_server($node, 'forged', $http, type => 'bigquery', mapping => $other->{mapping});
	push @errors, $error = error_of($node, q{SELECT * FROM censync_preview('forged', query => 'expires')});
	like($error, qr/28000: .*token endpoint refused service account "etl\@acme.*Invalid JWT Signature.*HINT/s, 'a key that is not the account\'s');
	create_google_server($node, 'nobody', $http, type => 'bigquery');
	like(error_of($node, q{SELECT * FROM censync_preview('nobody', query => 'expires')}), qr/28000: .*no credentials.*HINT.*service_account_key/s, 'no credentials');
	create_google_server($node, 'broken', $http, type => 'bigquery', mapping => { service_account_key => $google->{key} =~ s/PRIVATE KEY-----/PRIVATE KEX-----/gr });
	push @errors, $error = error_of($node, q{SELECT * FROM censync_preview('broken', query => 'expires')});
	like($error, qr/22023: .*"service_account_key" holds no private key/s, 'a key that is none');
	create_google_server($node, 'machine', $http, type => 'bigquery', metadata_host => '127.0.0.1:' . $http->port, mapping => {});
	is($node->safe_psql('postgres', q{SELECT count(*) FROM censync_preview('machine', query => 'expires', "limit" => 100)}), 25, 'the metadata server, project included');
	return;
}

sub test_cancel
{
	$queries{forever} = rows(1, 1, '"polls": 1000, "hold": "poll"');
	$http->reset; reput();
	my $session = $node->background_psql('postgres', on_error_stop => 0, timeout => 60);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	$session->query_until(qr/started/, qq(\\echo started\nSELECT * FROM censync_preview('bq', query => 'forever');\n));
	ok($http->wait_state(sub { ($_->{waiting}{poll} // 0) > 0 }), 'a job that runs');
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
	ok(wait_for($node, "SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $pid"), '... is left at once');
	my $end = time + 20;
	sleep 1 while time < $end && !requests(qr{/jobs/[^/]*/cancel});
	is(scalar(requests(qr{^POST .*/jobs/[^/]*/cancel\?location=EU$})), 1, '... and canceled there');
	$session->{run}->kill_kill;
	return;
}

sub test_check
{
	is($node->safe_psql('postgres', q{SELECT string_agg(step || ' ' || ok, ', ') FROM censync_check('bq')}), 'resolve true, connect true, tls true, authenticate true, query true', 'the check');
	my $steps = $node->safe_psql('postgres', q{SELECT step, ok, detail FROM censync_check('bq', object => 'shop.nothing') WHERE NOT ok});
	like($steps, qr/^query\|f\|.*Not found: Table.*Check the names/s, '... of a table that is not there');
	like($node->safe_psql('postgres', q{SELECT step, ok, detail FROM censync_check('forged') WHERE NOT ok}), qr/^authenticate\|f\|.*Invalid JWT Signature/s, '... of a key that is refused');
	return;
}

sub test_import
{
	$tables{"shop.t$_"} = rows(1, 1) foreach 1 .. 3;
	$tables{'shop.all_types'} = qq({"schema": $schema, "rows": $rows});
	world();
	$node->safe_psql('postgres', q{CREATE SCHEMA shop; IMPORT FOREIGN SCHEMA shop LIMIT TO (all_types, orders, t1, t2) FROM SERVER bq INTO shop});
	is($node->safe_psql('postgres', q{SELECT string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum) FROM pg_attribute a WHERE attrelid = 'shop.all_types'::regclass AND attnum > 0}),
		'i bigint, f double precision, n numeric, bn numeric, b boolean, s text, by bytea, d date, t time without time zone, dt timestamp without time zone, ts timestamp with time zone, j jsonb, g text, iv interval, r daterange, arr jsonb, st jsonb, items jsonb', 'types of an imported table');
	is($node->safe_psql('postgres', 'SELECT count(*), sum(id) FROM shop.orders'), '7|28', '... which can be read');
	$node->safe_psql('postgres', q{CREATE SCHEMA whole; IMPORT FOREIGN SCHEMA shop FROM SERVER bq INTO whole});
	is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_foreign_table t JOIN pg_class c ON c.oid = t.ftrelid WHERE relnamespace = 'whole'::regnamespace}), scalar(keys %tables), 'all of a dataset, listed in pages');
	like(error_of($node, 'CREATE SCHEMA no; IMPORT FOREIGN SCHEMA no FROM SERVER bq INTO no'), qr/42704: .*Not found: Dataset/, 'no such dataset');
	return;
}

sub test_secrets
{
	is_deeply([ secrets_shown($node, @{ $google->{secrets} }) ], [], 'no secret in the log, in activity, runs and records');
	is_deeply([ map { my $error = $_; grep { index($error, $_) >= 0 } @{ $google->{secrets} } } @errors ], [], '... nor in an error');
	return;
}
