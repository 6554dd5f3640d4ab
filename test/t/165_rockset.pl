# Rockset as a source, read from a fake one: the service itself is gone.
use strict;
use warnings;

use FindBin;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

use lib "$FindBin::RealBin/../perl";
use CensyncFake;
use CensyncPredicates;
use CensyncTest;

my $key       = 'kQ7-very-s3cret-key';
my $json      = JSON::PP->new->canonical;
my $fake = CensyncFake->new('rockset.py');
my @failures;

my $node = new_node('main', "censync.http_retries = 2");
my $base = $fake->url;
$node->safe_psql('postgres', qq{
	CREATE SERVER rs TYPE 'rockset' FOREIGN DATA WRAPPER censync
	  OPTIONS (base_url '$base/', allow_http 'true', page_size '2');
	CREATE USER MAPPING FOR CURRENT_USER SERVER rs OPTIONS (api_key '$key');
});

test_samples();
test_async();
test_objects();
test_conditions();
test_ahead();
test_errors();
test_secrets();
done_testing();

sub control { return $fake->control(@_) }

sub fresh
{
	my (%state) = @_;
	$fake->forget_requests;
	control(reset => JSON::PP::true, auth => ["ApiKey $key"], %state);
	return;
}

sub requests { return $fake->requests }

# What is previewed, or the error.
sub preview
{
	my ($how, $text, %options) = @_;
	my $given = %options ? ', options => ' . sql_literal($json->encode(\%options)) : '';
	my ($status, $out, $err) = $node->psql('postgres',
		"\\set VERBOSITY verbose\nSELECT p::text FROM censync_preview('rs', $how => " . sql_literal($text) . ", \"limit\" => 100$given) p");
	push @failures, $err;
	return $status == 0 ? $out : $err;
}

# 6.7 (A) of the reference, byte by byte but for its address.
sub test_samples
{
	my $first = <<'JSON';
{"query_id":"6a1c-1:abc","status":"COMPLETED","collections":["commons.orders"],"results_total_doc_count":3,"stats":{"elapsed_time_ms":126,"throttled_time_micros":0},
 "results":[
  {"_id":"1","amount":10.75,"n":9007199254740993,"ok":true,"ts":"2024-01-02T03:04:05.123456Z","d":{"__rockset_type":"date","value":"2024-01-02"},"dt":{"__rockset_type":"datetime","value":"2024-01-02T03:04:05.5"},"t":{"__rockset_type":"time","value":"12:34:56.789"},"iv":{"__rockset_type":"microsecond_interval","value":1500000},"mi":{"__rockset_type":"month_interval","value":40},"geo":{"__rockset_type":"geography","value":{"type":"Point","coordinates":[1.0,2.0]}},"tags":["a",null],"o":{"k":{"__rockset_type":"date","value":"2024-01-03"}}},
  {"_id":"2","amount":null}],
 "pagination":{"start_cursor":"c0","next_cursor":"c1","next_cursor_offset":2,"current_page_doc_count":2,"next_page_link":"https://api.use1a1.rockset.com/v1/orgs/self/queries/6a1c-1:abc/pages?cursor=c1"}}
JSON
	my $second = '{"results":[{"_id":"3","amount":11,"extra":"only here"}],"results_total_doc_count":3,"pagination":{"start_cursor":"c0","next_cursor":null,"next_cursor_offset":null,"current_page_doc_count":1,"next_page_link":null}}';
	my @rules = ({ path => '/v1/orgs/self/queries', body => $first }, { path => '/v1/orgs/self/queries/*/pages', body => $second });
	my $query = 'SELECT * FROM commons.orders';

	fresh(rules => \@rules);
	like(preview(query => $query), qr/HV021: a row has a field "extra" that no row of the first page had/, 'sample (A): a field that comes late is not lost');
	$node->safe_psql('postgres', qq{
		CREATE FOREIGN TABLE orders (_id text, amount numeric, n bigint, ok boolean, ts timestamptz, d date, dt timestamp, t time, iv interval, mi interval,
			geo text, tags jsonb, o jsonb, extra text) SERVER rs OPTIONS (query '$query')});
	is($node->safe_psql('postgres', "SET timezone = 'UTC'; SELECT * FROM orders"), <<'OUT' =~ s/\n\z//r, 'sample (A)');
1|10.75|9007199254740993|t|2024-01-02 03:04:05.123456+00|2024-01-02|2024-01-02 03:04:05.5|12:34:56.789|00:00:01.5|3 years 4 mons|{"type":"Point","coordinates":[1.0,2.0]}|["a", null]|{"k": {"value": "2024-01-03", "__rockset_type": "date"}}|
2|||||||||||||
3|11||||||||||||only here
OUT
	my @all = requests();
	is_deeply($json->decode($all[0]{body}), { sql => { query => $query }, max_initial_results => 2, timeout_ms => 120000 }, 'sample (A): the request');
	is_deeply([ $all[1]{path}, $all[1]{query} ], [ '/v1/orgs/self/queries/6a1c-1%3Aabc/pages', 'docs=2&cursor=c1' ], 'sample (A): the page');

	# (B)
	my $id = '6a1c-2:def';
	fresh(rules => [
		{ path => '/v1/orgs/self/queries', body => '{"query_id":"6a1c-2:def","status":"QUEUED","results":[],"stats":{"elapsed_time_ms":0,"throttled_time_micros":0}}' },
		{ path => '/v1/orgs/self/queries/*/pages', nth => 1, body => $second =~ s/"results_total_doc_count":3/"results_total_doc_count":1/r },
		{ path => '/v1/orgs/self/queries/*def', nth => 1, times => 1, method => 'GET', body => '{"data":{"query_id":"6a1c-2:def","status":"RUNNING","executed_by":"a@example.com","submitted_at":"2024-01-02T03:04:05Z","stats":{"elapsed_time_ms":900,"throttled_time_ms":0}}}' },
		{ path => '/v1/orgs/self/queries/*def', nth => 2, times => 1, method => 'GET', body => '{"data":{"query_id":"6a1c-2:def","status":"COMPLETED","executed_by":"a@example.com","submitted_at":"2024-01-02T03:04:05Z","expires_at":"2024-01-02T04:04:05Z","stats":{"elapsed_time_ms":4200,"throttled_time_ms":0,"result_set_document_count":3,"result_set_bytes_size":512},"pagination":{"start_cursor":"s0"}}}' } ]);
	is(preview(query => $query, async => 'true'), '{"_id": "3", "extra": "only here", "amount": 11}', 'sample (B)');
	@all = requests();
	is($all[-1]{query}, 'docs=2&cursor=s0', 'sample (B): where the pages begin');
	ok($json->decode($all[0]{body})->{async}, 'sample (B): the request is asynchronous');
	return;
}

sub test_async
{
	fresh(queries => { 'SELECT n' => { running => 2, rows => [ map { qq({"n":$_}) } 1 .. 5 ] } });
	is(preview(query => 'SELECT n'), join("\n", map { qq({"n": $_}) } 1 .. 5), 'a query that runs on');
	fresh(queries => { 'SELECT n' => { running => 1000, rows => [] } });
	my (undef, undef, $err) = $node->psql('postgres', "SET statement_timeout = '1s'; SELECT censync_preview('rs', query => 'SELECT n')");
	like($err, qr/canceling statement/, 'a query that never ends can be canceled');
	for (1 .. 50)
	{
		last if control()->{closed};
		sleep 0.1;
	}
	is(control()->{closed}, 1, 'and is canceled there');
	fresh(queries => { 'SELECT n' => { rows => [ map { qq({"n":$_}) } 1 .. 5 ],
		fields => [ { name => 'n', type => 'int' }, { name => 's', type => 'string' }, { name => 'w', type => 'date' } ] } });
	is(preview(query => 'SELECT n'), join("\n", map { qq({"n": $_, "s": null, "w": null}) } 1 .. 5), 'columns as the query declares them');
	is(control()->{closed}, 0, 'what was read to its end is not canceled');
	return;
}

sub test_objects
{
	my %state = (collections => [ [ 'commons', 'orders' ], [ 'commons', 'roll' ], [ 'other', 'x' ] ], queries => {
		'DESCRIBE "commons"."orders"' => { rows => [ map { $json->encode($_) }
			{ field => ['_id'], type => 'string' }, { field => ['n'], type => 'int' }, { field => ['m'], type => 'int' }, { field => ['m'], type => 'string' },
			{ field => ['late'], type => 'timestamp' }, { field => ['late'], type => 'null' }, { field => ['o'], type => 'object' }, { field => [ 'o', 'k' ], type => 'int' } ] },
		'SELECT * FROM "commons"."orders"' => { rows => [ '{"_id":"1","n":1,"m":1}', '{"_id":"2","n":2,"m":"x"}', '{"_id":"3","late":"2024-01-02T03:04:05Z","o":{"k":1}}' ] },
		'SELECT * FROM "other"."x"' => { rows => ['{"a":1}'] } });
	fresh(%state);
	my $rows = <<'OUT' =~ s/\n\z//r;
{"m": 1, "n": 1, "o": null, "_id": "1", "late": null}
{"m": "x", "n": 2, "o": null, "_id": "2", "late": null}
{"m": null, "n": null, "o": {"k": 1}, "_id": "3", "late": "2024-01-02T03:04:05+00:00"}
OUT
	is(preview(object => $_), $rows, "object $_") foreach 'orders', 'commons.orders';
	is(preview(object => 'other.x'), '{"a": 1}', 'a collection that can\'t be described');
	is(preview(object => 'x', workspace => 'other'), '{"a": 1}', 'a workspace by option');
	$node->safe_psql('postgres', 'CREATE SCHEMA found; SET client_min_messages = error; IMPORT FOREIGN SCHEMA commons FROM SERVER rs INTO found');
	is($node->safe_psql('postgres', q{
		SELECT table_name, string_agg(column_name || ' ' || data_type, ', ' ORDER BY ordinal_position)
		FROM information_schema.columns WHERE table_schema = 'found' GROUP BY 1 ORDER BY 1}),
		'orders|_id text, n bigint, m jsonb, late timestamp with time zone, o jsonb', 'IMPORT FOREIGN SCHEMA');
	$node->safe_psql('postgres', q{
		CREATE TABLE here (_id text PRIMARY KEY, n int);
		SELECT censync_create_sync('orders', 'here', 'mirror', server => 'rs', object => 'orders');
	});
	is(run_sync($node, 'orders')->{records_created}, 3, 'a mirror');
	is(run_sync($node, 'orders')->{records_unchanged}, 3, 'the mirror again');
	like($node->safe_psql('postgres', "SELECT step, ok FROM censync_check('rs')"), qr/query\|t\z/, 'censync_check');
	control(rules => [ { path => '/v1/orgs/self/queries', nth => 2, total => 4 } ], counts => {});
	like(preview(object => 'orders'), qr/the source announced/, 'a lie about the total');
	control(rules => [ { path => '/v1/orgs/self/queries/*/pages', cut => 40 } ], counts => {});
	like(run_sync($node, 'orders')->{_stderr}, qr/was lost|cut off/, 'a cut page');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM here'), 3, 'changes nothing');
	control(rules => [ { path => '/v1/orgs/self/queries/*/pages', nth => 1, times => 1, status => 429, body => '' } ], counts => {});
	is(preview(object => 'orders'), $rows, 'a rate limit passes');
	return;
}

# The statements meanwhile.
sub statements_of
{
	my ($do) = @_;
	$fake->forget_requests;
	$do->();
	return map { (ref $_->{body} ? $_->{body} : $json->decode($_->{body}))->{sql}{query} } grep { $_->{method} eq 'POST' } requests();
}

sub test_conditions
{
	my %types = (id => 'int', f => 'float', ok => 'bool', s => 'string', d => 'date', dt => 'datetime', ts => 'timestamp', g => 'geography');
	my @rows = (
		'{"id":1,"f":1.5,"ok":true,"s":"a","d":{"__rockset_type":"date","value":"2024-01-02"},"dt":{"__rockset_type":"datetime","value":"2024-01-02T03:04:05.123456"},"ts":"2024-01-02T03:04:05.123456Z","g":{"__rockset_type":"geography","value":{"type":"Point","coordinates":[1.0,2.0]}}}',
		'{"id":2,"f":2,"ok":false,"s":"it\'s \\\\","d":{"__rockset_type":"date","value":"1969-12-31"},"dt":{"__rockset_type":"datetime","value":"1969-12-31T23:59:59.999999"},"ts":"1969-12-31T23:59:59.999999Z"}',
		'{"id":3,"s":"","ok":null,"ts":"2024-01-02T03:04:06Z"}', '{"id":4}');
	my %state = (queries => { 'DESCRIBE "commons"."items"' => { rows => [ map { $json->encode({ field => [$_], type => $types{$_} }) } sort keys %types ] }, 'SELECT * FROM "commons"."items"' => { rows => \@rows } });
	fresh(%state);
	$node->safe_psql('postgres', q{CREATE FOREIGN TABLE items (id bigint, f double precision, ok boolean, s text, d date, dt timestamp, ts timestamptz, g text) SERVER rs OPTIONS (object 'items'); CREATE TABLE items_copy AS SELECT * FROM items});
	compare_each($node, 'items', 'items_copy', 'id = 3', 'id <> 3', 'id IN (1, 77)', 'id > 1 AND ok IS NULL', 'ok', 'NOT ok', 'ok IS NULL', 's IS NOT NULL', q{s = 'a'}, q{s = 'it''s \\'}, q{s = ''}, q{s <> 'a'}, q{s > ''}, q{d = '2024-01-02'}, q{d < '1970-01-01'},
		q{dt >= '2024-01-02 03:04:05.123456'}, q{dt <= '1969-12-31 23:59:59.999999'}, q{ts = '2024-01-02 03:04:05.123456Z'}, q{ts > '2024-01-02 05:04:05.123456+02'}, q{ts < 'infinity'}, 'f = 1.5', 'g IS NOT NULL');
	is((statements_of(sub { is($node->safe_psql('postgres', q{SELECT id FROM items WHERE ok AND ts > '2024-01-01Z' LIMIT 3}), 1, 'conditions and a limit') }))[1],
		q{SELECT "id", "ok", "ts" FROM "commons"."items" WHERE "ok" = TRUE AND "ts" > PARSE_TIMESTAMP_ISO8601('2024-01-01T00:00:00.000000Z') LIMIT 3}, '... are sent');
	is(remote_statement($node, q{SELECT id FROM items WHERE s = 'it''s' LIMIT 1}), q{SELECT "id", "s" FROM "items" WHERE "s" = 'it''s'}, 'EXPLAIN');
	is(remote_statement($node, "SELECT id FROM items WHERE $_") =~ s/.*FROM "items"//r, '', "not sent: $_") foreach 'f = 1', 'ok IS NULL', q{s > 'a'}, q{ts < 'infinity'};

	$node->safe_psql('postgres', q{CREATE TABLE log (id bigint PRIMARY KEY, ts timestamptz);
		SELECT censync_create_sync('log', 'log', 'upsert', server => 'rs', object => 'items', options => '{"cursor_column": "ts"}')});
	is(run_sync($node, 'log')->{records_read}, 4, 'incremental: all at first');
	push @rows, '{"id":5,"ts":"2024-01-02T03:04:06.5Z"}';
	fresh(%state);
	my $run;
	is((statements_of(sub { $run = run_sync($node, 'log') }))[1], q{SELECT "id", "ts" FROM "commons"."items" WHERE CASE WHEN "ts" < PARSE_TIMESTAMP_ISO8601('2024-01-02T03:04:06.000000Z') THEN FALSE ELSE TRUE END}, '... then what is not known to be below the watermark');
	is("$run->{records_read} $run->{records_created}", '3 1', '... and what has no cursor');
	return;
}

# The first page comes with the columns; the third is asked for while the second is read, and once.
sub test_ahead
{
	fresh(queries => { 'SELECT n' => { rows => [ map { qq({"n":$_}) } 1 .. 10000 ] } });
	$node->safe_psql('postgres', q{CREATE FOREIGN TABLE many (n bigint) SERVER rs OPTIONS (query 'SELECT n', page_size '3000')});
	is($fake->asked_while_reading($node, 'many', qr{/pages$}, 2, 4500), 2, 'ahead: the next page is asked for while one is read');
	$fake->forget_requests;
	is($node->safe_psql('postgres', 'SELECT count(*), sum(n), max(n) FROM many'), '10000|50005000|10000', 'ahead: all rows');
	is($fake->asked(qr{/pages$}), 3, 'ahead: each page once');
	return;
}

# 6.7 (C)
sub test_errors
{
	my @cases = (
		[ 400, '{"message":"Collection \"orderz\" not found in workspace \"commons\".","type":"INVALIDINPUT","line":1,"column":15,"trace_id":"t1","error_id":"e1","query_id":"6a1c-3:ghi"}',
			qr/42601: the service refused the request: Collection "orderz" not found in workspace "commons"\..*INVALIDINPUT, the status 400\. Line 1, column 15\./s ],
		[ 401, '{"message":"Invalid API key","type":"AUTHEXCEPTION","line":null,"column":null,"trace_id":"t2","error_id":null,"query_id":null}',
			qr/28000: the service refused the request: Invalid API key.*Check the API key/s ],
		[ 200, '{"query_id":"6a1c-4:jkl","status":"ERROR","results":[],"query_errors":[{"type":"ResourceExceeded","message":"Too many rows","status_code":429}]}',
			qr/53000: the service refused the request: Too many rows/ ],
		[ 200, '{"query_id":"6a1c-4:jkl","status":"ERROR","results":[]}', qr/HV000: the service ended the query with status ERROR/ ],
		[ 200, '{"hello":"world"}', qr/08P01: the service answered a query without its id/ ]);
	for my $case (@cases)
	{
		my ($status, $body, $words) = @$case;
		fresh(rules => [ { path => '/v1/orgs/self/queries', status => $status, body => $body } ]);
		like(preview(query => 'SELECT 1'), $words, "an answer of status $status");
	}
	fresh();
	control(auth => []);
	like($node->safe_psql('postgres', "SELECT step, ok, detail FROM censync_check('rs')"), qr/authenticate\|f\|.*Check the API key in the user mapping/, 'censync_check: a wrong key');
	like(preview(query => 'SELECT 1'), qr/28000/, 'a wrong key');
	return;
}

sub test_secrets
{
	my $all = PostgreSQL::Test::Utils::slurp_file($node->logfile) . $node->safe_psql('postgres', 'SELECT * FROM censync.runs')
	  . $node->safe_psql('postgres', 'SELECT * FROM censync.records') . $node->safe_psql('postgres', 'SELECT query FROM pg_stat_activity');
	$all =~ s/^.*CREATE USER MAPPING.*$//mg;
	is(index($all, $key), -1, 'the key is in no log');
	fresh(rules => [ { path => '/v1/orgs/self/queries', status => 400, body => qq({"message":"you sent ApiKey $key","type":"INVALIDINPUT"}) } ]);
	like(preview(query => 'SELECT 1'), qr/you sent (?:ApiKey )?\*\*\*/, 'an echo of the key');
	cmp_ok(scalar(@failures), '>', 10, 'answers of every kind');
	is_deeply([ grep { index($_, $key) >= 0 } @failures ], [], '... and the key in none');
	return;
}
