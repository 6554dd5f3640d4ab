# Every sample body of the services' wire reference, served as it stands there (but for addresses), and what is read
# from it.  Those of Elasticsearch, OpenSearch and Rockset are in 164 and 165.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncFake;
use CensyncGoogle qw(bigquery_all_types);
use CensyncTest;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', "log_statement = none\ncensync.http_retries = 0\ncensync.allowed_hosts = '127.0.0.0/8, localhost'");
my $fake = CensyncFake->new('samples.py');
my $json = JSON::PP->new->canonical;
my $url  = $fake->url;
my $port = $url =~ /:(\d+)$/ && $1;

# 5.8 (A)
my $tabs = <<'JSON';
{"properties":{"title":"Q3 plan","locale":"en_US","timeZone":"Europe/Berlin"},
 "sheets":[{"properties":{"sheetId":0,"title":"Leads","index":0,"sheetType":"GRID","gridProperties":{"rowCount":1000,"columnCount":26,"frozenRowCount":1}}},
           {"properties":{"sheetId":562149769,"title":"Jon's data","index":1,"sheetType":"GRID","gridProperties":{"rowCount":1000,"columnCount":26}}},
           {"properties":{"sheetId":1609058389,"title":"Chart","index":2,"sheetType":"OBJECT"}}],
 "namedRanges":[{"namedRangeId":"nr1","name":"TotalBudget","range":{"sheetId":0,"startRowIndex":0,"endRowIndex":5,"startColumnIndex":0,"endColumnIndex":2}}]}
JSON

bigquery_token();
bigquery_answer();
bigquery_job();
bigquery_errors();
bigquery_lists();
snowflake_types();
snowflake_partitions();
snowflake_errors();
databricks_types();
databricks_chunks();
databricks_links();
databricks_errors();
sheets_tabs();
sheets_values();
sheets_ranges();
sheets_formats();
sheets_errors();
opensearch_point_in_time();
generic_pages();
generic_links();
generic_errors();
generic_formats();

$node->stop;
done_testing();

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub error_of { return sql_error($node, "SET client_min_messages = warning;\n$_[0]") }

# What the service answers from now on; see samples.py.
sub serve
{
	my (@exchanges) = @_;
	$fake->forget_requests;
	$fake->control(exchanges => \@exchanges);
	return;
}

sub post { my ($path, $body, %more) = @_; return { method => 'POST', path => $path, body => $body, %more } }
sub get { my ($path, $body, %more) = @_; return { path => $path, body => $body, %more } }

# "METHOD path?query" of the requests, each.
sub requests { return map { "$_->{method} $_->{path}" . ($_->{query} eq '' ? '' : "?$_->{query}") } $fake->requests }

# No request that the service would not know.
sub is_known { return is(join("\n", map { "$_->{method} $_->{path}?$_->{query}" } grep { $_->{matched} < 0 } $fake->requests), '', "$_[0]: nothing else was asked for") }

sub server
{
	my ($name, $type, %options) = @_;
	my $mapping = delete $options{mapping};
	my $base = { http => undef, bigquery => "$url/bigquery/v2", google_sheets => "$url/v4/spreadsheets" };
	my %all = (allow_http => 'true', $type eq 'http' ? (url => $url) : (base_url => $base->{$type} // $url), %options);
	my $given = join ', ', map { "$_ " . sql_literal($all{$_}) } sort keys %all;
	my $user = join ', ', map { "$_ " . sql_literal($mapping->{$_}) } sort keys %$mapping;
	sql("CREATE SERVER $name TYPE '$type' FOREIGN DATA WRAPPER censync OPTIONS ($given)");
	sql("CREATE USER MAPPING FOR CURRENT_USER SERVER $name OPTIONS ($user)") if $mapping;
	return;
}

sub table
{
	my ($name, $columns, %options) = @_;
	my $server = delete $options{server};
	my $given = join ', ', map { "$_ " . sql_literal($options{$_}) } sort keys %options;
	sql("CREATE FOREIGN TABLE $name ($columns) SERVER $server" . ($given ? " OPTIONS ($given)" : ''));
	return;
}

sub preview { my ($server, $what) = @_; return "SELECT * FROM censync_preview('$server', $what)" }

# -- 1.9

sub bigquery_token
{
	my $key = new_google_key();
	server('signed', 'bigquery', location => 'EU', mapping => { service_account_key => $key });
	serve(post('/token', <<'JSON'), post('/bigquery/v2/projects/acme/queries', '{"jobComplete": true}', auth => 'Bearer ya29.c.c0ASRK0Ga-example'));
{"access_token":"ya29.c.c0ASRK0Ga-example","expires_in":3599,"token_type":"Bearer"}
JSON
	is(sql("SELECT bool_and(ok) FROM censync_check('signed')"), 't', 'BigQuery, token: taken');
	is_known('BigQuery, token');
	is(($fake->requests)[0]{headers}{'content-type'}, 'application/x-www-form-urlencoded', 'BigQuery, token: asked for by a form');
	serve(post('/token', <<'JSON', status => 400));
{"error":"invalid_grant","error_description":"Invalid JWT Signature."}
JSON
	like(error_of(preview('signed', "query => 'x'")), qr/28000: .*token endpoint refused service account "etl\@acme\.iam\.gserviceaccount\.com".*Invalid JWT Signature\..*HINT: /s, 'BigQuery, token: refused');
	return;
}

sub new_google_key
{
	my $file = PostgreSQL::Test::Utils::tempdir('key') . '/key';
	run_log([ 'openssl', 'genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', $file ]);
	return $json->encode({ type => 'service_account', project_id => 'acme', private_key_id => 'key-1', private_key => slurp_file($file),
		client_email => 'etl@acme.iam.gserviceaccount.com', token_uri => "$url/token" });
}

# (A): a query that is answered at once, without a job.
sub bigquery_answer
{
	server('bq', 'bigquery', project => 'acme', location => 'EU', mapping => { token => 'ya29' });
	my $query = 'SELECT * FROM `acme.shop.all_types` ORDER BY i';
	my $asked = $json->decode(<<'JSON');
{"query":"SELECT * FROM `acme.shop.all_types` ORDER BY i","useLegacySql":false,"timeoutMs":30000,"maxResults":1000,
 "location":"EU","requestId":"3d1f9f0c-8d0b-4a53-9f65-6d4f4f2f9a11","jobCreationMode":"JOB_CREATION_OPTIONAL",
 "formatOptions":{"useInt64Timestamp":true}}
JSON
	is($asked->{query}, $query, 'BigQuery (A): the query');
	my ($schema, $rows) = bigquery_all_types();
	serve(post('/bigquery/v2/projects/acme/queries', <<"JSON", auth => 'Bearer ya29'));
{"kind":"bigquery#queryResponse",
 "schema":$schema,
 "queryId":"job_short_1","totalRows":"2",
 "rows":$rows,
 "totalBytesProcessed":"0","jobComplete":true,"cacheHit":true,"statementType":"SELECT"}
JSON
	table('bq_a', 'i bigint, f double precision, n numeric, bn numeric, b boolean, s text, by bytea, d date, t time, dt timestamp, ts timestamptz, j jsonb, g text, iv interval, r daterange, arr int[], st jsonb, items jsonb',
		server => 'bq', query => $query);
	my @rows = split /\n(?=-9|\|)/, sql("SET timezone = 'UTC'; SET intervalstyle = 'postgres'; SELECT * FROM bq_a");
	is($rows[0], join('|', '-9223372036854775808', '-Infinity', '12345678901234567890123456789.123456789', '0.00000000000000000000000000000000000001', 't',
		"h\xc3\xa9llo\n\"q\"", '\xdeadbeef', '2024-01-02', '12:34:56.789', '2024-01-02 03:04:05', '2024-01-02 03:04:05.123456+00', 'null', 'POINT(1 2)',
		'1 year 2 mons 3 days 04:05:06.789', '[2024-01-01,)', '{1,2}', '{"a": "x", "b": "1969-12-31T23:59:59.999999+00:00"}',
		'[{"sku": "A1", "tags": ["red", "big"]}, {"sku": null, "tags": []}]'), 'BigQuery (A): every type');
	is($rows[1], '|' x 15 . '{}||[]', 'BigQuery (A): nulls');
	my ($sent) = map { $json->decode($_->{body}) } $fake->requests;
	is($json->encode([ map { $sent->{$_} } qw(query useLegacySql location formatOptions) ]), $json->encode([ map { $asked->{$_} } qw(query useLegacySql location formatOptions) ]), 'BigQuery (A): what was asked');
	is(scalar($fake->requests), 1, 'BigQuery (A): once');
	is(sql(preview('bq', "query => '$query', \"limit\" => 1") =~ s/\*/count(*)/r), 1, 'BigQuery (A): a preview');
	# Other servers of this API have other forms of timestamps.
	my $fields = join ',', map { qq({"name":"$_","type":"TIMESTAMP"}) } 'a' .. 'f';
	my @forms = ('1.704164645123456E9', '1704164645.123456', '2024-01-02T03:04:05.123456Z', '-0.5', '-6.21355968E10', '253402300799999999');
	serve(post('/bigquery/v2/projects/acme/queries', qq({"schema":{"fields":[$fields]},"jobReference":{"projectId":"acme","jobId":"gone"},"totalRows":"1","rows":[{"f":[) . join(',', map { qq({"v":"$_"}) } @forms) . ']}],"jobComplete":true}'));
	table('bq_times', 'a timestamptz, b timestamptz, c timestamptz, d timestamptz, e timestamptz, f timestamptz', server => 'bq', query => 'x');
	is(sql("SET timezone = 'UTC'; SELECT * FROM bq_times"), '2024-01-02 03:04:05.123456+00|2024-01-02 03:04:05.123456+00|2024-01-02 03:04:05.123456+00|1969-12-31 23:59:59.5+00|0001-01-01 00:00:00+00|9999-12-31 23:59:59.999999+00', 'BigQuery (A): timestamps in every form');
	serve(post('/bigquery/v2/projects/acme/queries', '{"schema":{"fields":[{"name":"a","type":"INTEGER"}]},"totalRows":"3","rows":[{"f":[{"v":"1"}]}],"jobComplete":true}'));
	table('bq_short', 'a int', server => 'bq', query => 'x');
	like(error_of('SELECT * FROM bq_short'), qr/HV000: the source announced 3 rows and sent 1/, 'BigQuery (A): an answer that lacks some of its rows');
	serve(post('/bigquery/v2/projects/acme/queries', '{"schema":{"fields":[{"name":"a","type":"INTEGER"}]},"totalRows":"3","jobComplete":true}'));
	like(error_of(preview('bq', "query => 'x'")), qr/08P01: the service did not say which job has the result/, 'BigQuery (A): neither rows nor a job');
	return;
}

# (B)
sub bigquery_job
{
	my $results = '/bigquery/v2/projects/acme/queries/job_7f3';
	my $first = <<'JSON';
{"kind":"bigquery#getQueryResultsResponse","etag":"bbb==","schema":{"fields":[{"name":"id","type":"INTEGER","mode":"NULLABLE"},{"name":"v","type":"STRING","mode":"NULLABLE"}]},
 "jobReference":{"projectId":"acme","jobId":"job_7f3","location":"EU"},"totalRows":"3","pageToken":"BFMVXK2OZAAQAAASA4EAAEEAQCAAKGQEAEEJAH2==",
 "rows":[{"f":[{"v":"1"},{"v":"a"}]},{"f":[{"v":"2"},{"v":null}]}],"totalBytesProcessed":"1048576","jobComplete":true,"cacheHit":false}
JSON
	serve(post('/bigquery/v2/projects/acme/queries', <<'JSON'), get($results, <<'RUNNING', times => 1), get($results, $first, query => { maxResults => '0' }),
{"kind":"bigquery#queryResponse","jobReference":{"projectId":"acme","jobId":"job_7f3","location":"EU"},"jobCreationReason":{"code":"LONG_RUNNING"},
 "queryId":"job_7f3","location":"EU","jobComplete":false,"creationTime":"1704164645000","startTime":"1704164645100","statementType":"SELECT"}
JSON
{"kind":"bigquery#getQueryResultsResponse","etag":"aaa==","jobReference":{"projectId":"acme","jobId":"job_7f3","location":"EU"},"jobComplete":false}
RUNNING
		get($results, <<'LAST', query => { pageToken => 'BFMVXK2OZAAQAAASA4EAAEEAQCAAKGQEAEEJAH2==' }), get($results, $first));
{"kind":"bigquery#getQueryResultsResponse","etag":"ccc==","totalRows":"3","rows":[{"f":[{"v":"3"},{"v":""}]}],"jobComplete":true}
LAST
	table('bq_b', 'id int, v text', server => 'bq', query => 'slow');
	is(sql("SELECT id, coalesce('<' || v || '>', 'null') FROM bq_b"), "1|<a>\n2|null\n3|<>", 'BigQuery (B): a job, polled, in two pages');
	is_known('BigQuery (B)');
	is(scalar(grep { /location=EU/ && /useInt64Timestamp=true/ } requests()), 4, 'BigQuery (B): each request says where the job is, and in which form');
	return;
}

# (C)
sub bigquery_errors
{
	my $fail = sub { my ($status, $body, $expected, $what) = @_; serve(post('/bigquery/v2/projects/acme/queries', $body, status => $status)); like(error_of(preview('bq', "query => 'SELECT nope'")), $expected, "BigQuery (C): $what") };
	$fail->(400, <<'JSON', qr/42703: refused by BigQuery: Unrecognized name: nope at \[1:8\]\nLINE 1: SELECT nope\n {15}\^\nDETAIL:  Its reason is "invalidQuery", the HTTP status 400\./, 'bad SQL, with its position');
{"error":{"code":400,"message":"Unrecognized name: nope at [1:8]","errors":[{"message":"Unrecognized name: nope at [1:8]","domain":"global","reason":"invalidQuery","location":"q","locationType":"parameter"}],"status":"INVALID_ARGUMENT"}}
JSON
	$fail->(403, <<'JSON', qr/42501: refused by BigQuery: Access Denied: Table acme:missing\.t: User does not have permission.*reason is "accessDenied", the HTTP status 403.*HINT: .*BigQuery Data Viewer on the dataset; a dataset that does not exist is refused alike/s, 'a missing dataset');
{"error":{"code":403,"message":"Access Denied: Table acme:missing.t: User does not have permission to query table acme:missing.t, or perhaps it does not exist.","errors":[{"message":"Access Denied: Table acme:missing.t","domain":"global","reason":"accessDenied"}],"status":"PERMISSION_DENIED"}}
JSON
	$fail->(403, <<'JSON', qr/53400: refused by BigQuery: Exceeded rate limits: too many concurrent queries.*reason is "rateLimitExceeded".*HINT: .*rate_limit/s, 'throttled');
{"error":{"code":403,"message":"Exceeded rate limits: too many concurrent queries for this project_and_region","errors":[{"message":"Exceeded rate limits","domain":"global","reason":"rateLimitExceeded"}],"status":"PERMISSION_DENIED"}}
JSON
	serve(post('/bigquery/v2/projects/acme/queries', '{"jobReference":{"projectId":"acme","jobId":"job_1","location":"EU"},"jobComplete":false}'),
		post('*/jobs/job_1/cancel', '{}'), get('*/queries/job_1', <<'JSON', status => 499));
{"error":{"code":499,"message":"Job execution was cancelled: User requested cancellation","errors":[{"message":"Job execution was cancelled: User requested cancellation","domain":"global","reason":"stopped"}],"status":"CANCELLED"}}
JSON
	like(error_of(preview('bq', "query => 'x'")), qr/HV000: refused by BigQuery: Job execution was cancelled: User requested cancellation\nDETAIL:  Its reason is "stopped", the HTTP status 499\.\nHINT:  Somebody has canceled the job/, 'BigQuery (C): a canceled job');
	return;
}

# (D)
sub bigquery_lists
{
	my $tables = '/bigquery/v2/projects/acme/datasets/shop/tables';
	my $orders = '{"type":"TABLE","numRows":"250000","schema":{"fields":[{"name":"id","type":"INTEGER"},{"name":"at","type":"TIMESTAMP"}]}}';
	my $more = join ',', map { qq({"f":[{"v":"$_"},{"v":null}]}) } 2 .. 1001;
	my @data = (get("$tables/orders", $orders), get("$tables/orders/data", qq({"totalRows":"250000","pageToken":"more","rows":[$more]}), query => { pageToken => 'BGQRXK2P' }), get("$tables/orders/data", <<'JSON'));
{"kind":"bigquery#tableDataList","etag":"x","totalRows":"250000","pageToken":"BGQRXK2P","rows":[{"f":[{"v":"1"},{"v":"1704164645123456"}]}]}
JSON
	serve(@data);
	is(sql("SET timezone = 'UTC'; " . preview('bq', q{object => 'shop.orders', "limit" => 1})), '{"at": "2024-01-02T03:04:05.123456+00:00", "id": 1}', 'BigQuery (D): rows of a table');
	like((requests())[1], qr{/data\?selectedFields=id%2Cat&formatOptions\.useInt64Timestamp=true}, 'BigQuery (D): ... as they were asked for');
	serve(@data[ 0, 2 ]);
	like(error_of(preview('bq', q{object => 'shop.orders', "limit" => 10})), qr/08P01: the service named the same page twice/, 'BigQuery (D): the same page for ever');
	serve(get($tables, '{"kind":"bigquery#tableList","tables":[{"tableReference":{"projectId":"acme","datasetId":"shop","tableId":"last"},"type":"VIEW"}],"totalItems":51}', query => { pageToken => 'tbl_50' }), get($tables, <<'JSON'), get("$tables/orders", $orders), get("$tables/last", $orders));
{"kind":"bigquery#tableList","etag":"y","nextPageToken":"tbl_50","tables":[{"kind":"bigquery#table","id":"acme:shop.orders","tableReference":{"projectId":"acme","datasetId":"shop","tableId":"orders"},"type":"TABLE","creationTime":"1704164645000"}],"totalItems":51}
JSON
	sql('CREATE SCHEMA bq_d; IMPORT FOREIGN SCHEMA shop FROM SERVER bq INTO bq_d');
	is(sql(q{SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = 'bq_d'::regnamespace}), 'last orders', 'BigQuery (D): a list of tables, and its second page');
	is_known('BigQuery (D)');
	return;
}

# -- 2.8

sub snowflake_types
{
	server('sf', 'snowflake', account => 'myorg-acct', database => 'SHOP', schema => 'PUBLIC', warehouse => 'LOAD_WH', role => 'READER', mapping => { token => 'pat', token_type => 'pat' });
	my $asked = $json->decode(<<'JSON');
{"statement":"SELECT * FROM all_types ORDER BY i NULLS LAST","timeout":60,"database":"SHOP","schema":"PUBLIC","warehouse":"LOAD_WH","role":"READER","parameters":{"query_tag":"pg_sync"}}
JSON
	my $answer = <<'JSON';
{"resultSetMetaData":{"numRows":2,"format":"jsonv2","partitionInfo":[{"rowCount":2,"uncompressedSize":612}],
  "rowType":[
   {"name":"I","type":"fixed","precision":38,"scale":0,"length":null,"byteLength":null,"nullable":true},
   {"name":"N","type":"fixed","precision":10,"scale":2,"length":null,"byteLength":null,"nullable":true},
   {"name":"F","type":"real","precision":null,"scale":null,"length":null,"byteLength":null,"nullable":true},
   {"name":"S","type":"text","precision":null,"scale":null,"length":16777216,"byteLength":67108864,"nullable":true},
   {"name":"B","type":"binary","precision":null,"scale":null,"length":8388608,"byteLength":8388608,"nullable":true},
   {"name":"BO","type":"boolean","precision":null,"scale":null,"length":null,"byteLength":null,"nullable":true},
   {"name":"D","type":"date","precision":null,"scale":null,"length":null,"byteLength":null,"nullable":true},
   {"name":"TM","type":"time","precision":0,"scale":9,"length":null,"byteLength":null,"nullable":true},
   {"name":"TN","type":"timestamp_ntz","precision":0,"scale":9,"length":null,"byteLength":null,"nullable":true},
   {"name":"TL","type":"timestamp_ltz","precision":0,"scale":9,"length":null,"byteLength":null,"nullable":true},
   {"name":"TZ","type":"timestamp_tz","precision":0,"scale":9,"length":null,"byteLength":null,"nullable":true},
   {"name":"V","type":"variant","precision":null,"scale":null,"length":null,"byteLength":null,"nullable":true},
   {"name":"A","type":"array","precision":null,"scale":null,"length":null,"byteLength":null,"nullable":true},
   {"name":"G","extTypeName":"GEOGRAPHY","type":"object","precision":null,"scale":null,"length":null,"byteLength":null,"nullable":true}]},
 "data":[["12345678901234567890123456789012345678","-12345678.91","-inf","h\u00e9llo\n\"q\"","DEADBEEF","true","-25567","45296.123456789","1791549296.123456789","-0.500000000","1791524096.123456789 1860","{\n  \"a\": 1\n}","[\n  1,\n  \"x\",\n  undefined\n]","{\n  \"coordinates\": [\n    1,\n    2\n  ],\n  \"type\": \"Point\"\n}"],
         [null,null,null,null,null,null,null,null,null,null,null,null,null,null]],
 "code":"090001","statementStatusUrl":"/api/v2/statements/01b0-aaaa?requestId=11111111-2222-3333-4444-555555555555",
 "requestId":"11111111-2222-3333-4444-555555555555","sqlState":"00000","statementHandle":"01b0-aaaa","message":"Statement executed successfully.","createdOn":1791499231275}
JSON
	serve(post('/api/v2/statements', $answer, query => { async => 'true' }, auth => 'Bearer pat'), get('/api/v2/statements/01b0-aaaa', $answer));
	table('sf_a', '"I" numeric, "N" numeric, "F" double precision, "S" text, "B" bytea, "BO" boolean, "D" date, "TM" time, "TN" timestamp, "TL" timestamptz, "TZ" timestamptz, "V" jsonb, "A" jsonb, "G" text',
		server => 'sf', query => $asked->{statement});
	is(sql("SET timezone = 'UTC'; SELECT * FROM sf_a WHERE num_nulls(\"I\") = 0"), join('|', '12345678901234567890123456789012345678', '-12345678.91', '-Infinity', "h\xc3\xa9llo\n\"q\"", '\xdeadbeef', 't', '1900-01-01',
		'12:34:56.123457', '2026-10-09 12:34:56.123457', '1969-12-31 23:59:59.5+00', '2026-10-09 05:34:56.123457+00', '{"a": 1}', '[1, "x", null]', "{\n  \"coordinates\": [\n    1,\n    2\n  ],\n  \"type\": \"Point\"\n}"), 'Snowflake (A): every type');
	is(sql('SELECT count(*) FROM sf_a WHERE num_nulls("I", "N", "F", "S", "B", "BO", "D", "TM", "TN", "TL", "TZ", "V", "A", "G") = 14'), 1, 'Snowflake (A): nulls');
	my ($sent) = grep { $_->{method} eq 'POST' } $fake->requests;
	my $body = $json->decode($sent->{body});
	is($json->encode([ map { $body->{$_} } qw(statement database schema warehouse role) ]), $json->encode([ map { $asked->{$_} } qw(statement database schema warehouse role) ]), 'Snowflake (A): what was asked');
	is(join(' ', sort keys %{ $body->{parameters} }), 'query_tag', 'Snowflake (A): no parameter that changes the form of values');
	is($sent->{headers}{'x-snowflake-authorization-token-type'}, 'PROGRAMMATIC_ACCESS_TOKEN', 'Snowflake (A): the kind of the token');
	return;
}

# (B), and (D).
sub snowflake_partitions
{
	my $at = '/api/v2/statements/01b0-bbbb';
	my $done = <<'JSON';
{"resultSetMetaData":{"numRows":5,"format":"jsonv2","partitionInfo":[{"rowCount":2,"uncompressedSize":40},{"rowCount":2,"uncompressedSize":41,"compressedSize":60},{"rowCount":1,"uncompressedSize":20,"compressedSize":44}],
  "rowType":[{"name":"ID","type":"fixed","precision":38,"scale":0,"length":null,"byteLength":null,"nullable":false},{"name":"NAME","type":"text","precision":null,"scale":null,"length":10,"byteLength":40,"nullable":true}]},
 "data":[["1","a"],["2",null]],"code":"090001","statementHandle":"01b0-bbbb","statementStatusUrl":"/api/v2/statements/01b0-bbbb?requestId=9","requestId":"9","sqlState":"00000","message":"Statement executed successfully.","createdOn":1791499231999}
JSON
	serve(post('/api/v2/statements', <<'JSON', status => 202), get($at, <<'AGAIN', status => 202, times => 1), get($at, $done, query => { partition => '0' }),
{"code":"333334","message":"Asynchronous execution in progress. Use provided query id to perform query monitoring and management.","statementHandle":"01b0-bbbb","statementStatusUrl":"/api/v2/statements/01b0-bbbb"}
JSON
{"code":"333334","message":"Asynchronous execution in progress. Use provided query id to perform query monitoring and management.","statementHandle":"01b0-bbbb","statementStatusUrl":"/api/v2/statements/01b0-bbbb"}
AGAIN
		get($at, <<'PART', query => { partition => '1' }, gzip => JSON::PP::true), get($at, '{"data":[["5","e"]]}', query => { partition => '2' }, gzip => JSON::PP::true), get($at, $done));
{"data":[["3","c"],["4",""]]}
PART
	table('sf_b', '"ID" numeric, "NAME" text', server => 'sf', query => 'three');
	is(sql(q{SELECT "ID", coalesce('<' || "NAME" || '>', 'null') FROM sf_b}), "1|<a>\n2|null\n3|<c>\n4|<>\n5|<e>", 'Snowflake (B): three partitions');
	is_known('Snowflake (B)');
	serve(post('/api/v2/statements', <<'JSON'), post('*/cancel', '{}'));
{"resultSetMetaData":{"numRows":1,"format":"jsonv2","partitionInfo":[{"rowCount":1,"uncompressedSize":60}],"rowType":[{"name":"multiple statement execution","type":"text","precision":null,"scale":null,"length":16777216,"byteLength":16777216,"nullable":false}]},
 "data":[["Multiple statements executed successfully."]],"code":"090001","statementHandle":"01b0-ffff","statementHandles":["01b0-ffff-1","01b0-ffff-2"],"sqlState":"00000","message":"Statement executed successfully.","createdOn":1791499232000,"requestId":"10","statementStatusUrl":"/api/v2/statements/01b0-ffff?requestId=10"}
JSON
	like(error_of(preview('sf', "query => 'SELECT 1; SELECT 2'")), qr/0A000: the query is several statements.*HINT:  A source's query is one/s, 'Snowflake (D): several statements');
	return;
}

# (C)
sub snowflake_errors
{
	my $fail = sub { my ($status, $body, $expected, $what) = @_; serve(post('/api/v2/statements', $body, status => $status), post('*/cancel', '{}')); like(error_of(preview('sf', "query => 'x'")), $expected, "Snowflake (C): $what") };
	$fail->(422, <<'JSON', qr/42P01: SQL compilation error:\nDETAIL:  Object 'SHOP\.PUBLIC\.NOPE' does not exist or not authorized\.\nSnowflake's code is 002003, its SQLSTATE 42S02, the statement 01b0-cccc\.\nHINT: .*GRANT SELECT on it/s, 'an object that is missing');
{"code":"002003","message":"SQL compilation error:\nObject 'SHOP.PUBLIC.NOPE' does not exist or not authorized.","sqlState":"42S02","statementHandle":"01b0-cccc"}
JSON
	$fail->(422, <<'JSON', qr/HV000: SQL execution canceled\nDETAIL:  Snowflake's code is 000604, its SQLSTATE 57014, the statement 01b0-dddd\.\nHINT:  It was canceled there/, 'canceled');
{"code":"000604","message":"SQL execution canceled","sqlState":"57014","statementHandle":"01b0-dddd"}
JSON
	$fail->(401, <<'JSON', qr/28000: JWT token is invalid\. \[c3a1c9c0-0000-0000-0000-000000000000\]\nDETAIL:  Snowflake's code is 390144\.\nHINT:  DESC USER/, 'a bad token');
{"code":"390144","message":"JWT token is invalid. [c3a1c9c0-0000-0000-0000-000000000000]"}
JSON
	$fail->(408, <<'JSON', qr/HV000: Statement reached its statement or warehouse timeout of 5 second\(s\) and was canceled\.\nDETAIL: .*000630.*\nHINT:  Raise STATEMENT_TIMEOUT_IN_SECONDS/, 'a timeout');
{"code":"000630","message":"Statement reached its statement or warehouse timeout of 5 second(s) and was canceled.","sqlState":"57014","statementHandle":"01b0-eeee"}
JSON
	my $at = '/api/v2/statements/01b0-bbbb';
	serve(post('/api/v2/statements', <<'JSON'), post('*/cancel', '{}'), get($at, <<'PART', status => 400));
{"resultSetMetaData":{"numRows":5,"format":"jsonv2","partitionInfo":[{"rowCount":2,"uncompressedSize":40},{"rowCount":2,"uncompressedSize":41,"compressedSize":60},{"rowCount":1,"uncompressedSize":20,"compressedSize":44}],
  "rowType":[{"name":"ID","type":"fixed","precision":38,"scale":0,"length":null,"byteLength":null,"nullable":false},{"name":"NAME","type":"text","precision":null,"scale":null,"length":10,"byteLength":40,"nullable":true}]},
 "data":[["1","a"],["2",null]],"code":"090001","statementHandle":"01b0-bbbb","statementStatusUrl":"/api/v2/statements/01b0-bbbb?requestId=9","requestId":"9","sqlState":"00000","message":"Statement executed successfully.","createdOn":1791499231999}
JSON
{"code":"391922","message":"Invalid partition parameter. The partition must be long type parsable and between 0 and 3, but 'x' is specified.","sqlState":"22023","statementHandle":"01b0-bbbb"}
PART
	like(error_of('SELECT count("NAME") FROM sf_b'), qr/HV00L: Invalid partition parameter\. The partition must be long type parsable and between 0 and 3, but 'x' is specified\.\nDETAIL:  Snowflake's code is 391922, its SQLSTATE 22023/, 'Snowflake (C): a partition that is none');
	return;
}

# -- 3.9

sub databricks_types
{
	server('db', 'databricks', warehouse_id => '0123456789abcdef', catalog => 'main', schema => 'shop', disposition => 'inline', mapping => { token => 'dapi' });
	my $asked = $json->decode(<<'JSON');
{"warehouse_id":"0123456789abcdef","statement":"SELECT * FROM main.shop.all_types WHERE id >= :lo","catalog":"main","schema":"shop","wait_timeout":"30s","on_wait_timeout":"CONTINUE","disposition":"INLINE","format":"JSON_ARRAY","parameters":[{"name":"lo","value":"1","type":"BIGINT"}]}
JSON
	my $answer = <<'JSON';
{"statement_id":"01ee-aaaa","status":{"state":"SUCCEEDED"},
 "manifest":{"format":"JSON_ARRAY","schema":{"column_count":12,"columns":[
  {"name":"id","position":0,"type_name":"LONG","type_text":"BIGINT"},
  {"name":"f","position":1,"type_name":"DOUBLE","type_text":"DOUBLE"},
  {"name":"n","position":2,"type_name":"DECIMAL","type_text":"DECIMAL(10,2)","type_precision":10,"type_scale":2},
  {"name":"b","position":3,"type_name":"BOOLEAN","type_text":"BOOLEAN"},
  {"name":"s","position":4,"type_name":"STRING","type_text":"STRING"},
  {"name":"bin","position":5,"type_name":"BINARY","type_text":"BINARY"},
  {"name":"d","position":6,"type_name":"DATE","type_text":"DATE"},
  {"name":"ts","position":7,"type_name":"TIMESTAMP","type_text":"TIMESTAMP"},
  {"name":"tn","position":8,"type_name":"TIMESTAMP_NTZ","type_text":"TIMESTAMP_NTZ"},
  {"name":"a","position":9,"type_name":"ARRAY","type_text":"ARRAY<INT>"},
  {"name":"m","position":10,"type_name":"MAP","type_text":"MAP<STRING, INT>"},
  {"name":"st","position":11,"type_name":"STRUCT","type_text":"STRUCT<x: INT, y: STRING>"}]},
  "total_chunk_count":1,"chunks":[{"chunk_index":0,"row_offset":0,"row_count":2}],"total_row_count":2,"truncated":false},
 "result":{"chunk_index":0,"row_offset":0,"row_count":2,"data_array":[
  ["9223372036854775807","-Infinity","12.30","true","","3q2+7w==","2024-01-02","2024-01-02T03:04:05.123Z","2024-01-02T03:04:05.123","[\"1\",null]","{\"k\":\"1\"}","{\"x\":\"1\",\"y\":null}"],
  [null,null,null,null,"null",null,null,null,null,null,null,null]]}}
JSON
	my $chunk = $json->encode($json->decode($answer)->{result});
	serve(post('/api/2.0/sql/statements', $answer, auth => 'Bearer dapi'), get('/api/2.0/sql/statements/01ee-aaaa/result/chunks/0', $chunk));
	table('db_a', 'id bigint, f double precision, n numeric, b boolean, s text, bin bytea, d date, ts timestamptz, tn timestamp, a int[], m jsonb, st jsonb', server => 'db', query => 'SELECT * FROM main.shop.all_types WHERE id >= 1');
	is(sql("SET timezone = 'UTC'; SELECT * FROM db_a"), "9223372036854775807|-Infinity|12.30|t||\\xdeadbeef|2024-01-02|2024-01-02 03:04:05.123+00|2024-01-02 03:04:05.123|{1,NULL}|{\"k\": 1}|{\"x\": 1, \"y\": null}\n||||null|||||||", 'Databricks (A): every type');
	my ($sent) = map { $json->decode($_->{body}) } grep { $_->{method} eq 'POST' } $fake->requests;
	is($json->encode([ map { $sent->{$_} } qw(warehouse_id catalog schema on_wait_timeout disposition format) ]), $json->encode([ map { $asked->{$_} } qw(warehouse_id catalog schema on_wait_timeout disposition format) ]), 'Databricks (A): what was asked');
	is_known('Databricks (A)');
	return;
}

# (B)
sub databricks_chunks
{
	my $at = '/api/2.0/sql/statements/01ee-bbbb';
	my $done = <<'JSON';
{"statement_id":"01ee-bbbb","status":{"state":"SUCCEEDED"},"manifest":{"format":"JSON_ARRAY","schema":{"column_count":1,"columns":[{"name":"id","position":0,"type_name":"INT","type_text":"INT"}]},"total_chunk_count":2,"chunks":[{"chunk_index":0,"row_offset":0,"row_count":2},{"chunk_index":1,"row_offset":2,"row_count":1}],"total_row_count":3,"truncated":false},
 "result":{"chunk_index":0,"row_offset":0,"row_count":2,"next_chunk_index":1,"next_chunk_internal_link":"/api/2.0/sql/statements/01ee-bbbb/result/chunks/1?row_offset=2","data_array":[["1"],["2"]]}}
JSON
	serve(post('/api/2.0/sql/statements', <<'JSON'), get($at, <<'AGAIN', times => 1), get($at, $done), get("$at/result/chunks/0", $json->encode($json->decode($done)->{result})), get("$at/result/chunks/1", <<'CHUNK'));
{"statement_id":"01ee-bbbb","status":{"state":"PENDING"}}
JSON
{"statement_id":"01ee-bbbb","status":{"state":"PENDING"}}
AGAIN
{"chunk_index":1,"row_offset":2,"row_count":1,"data_array":[["3"]]}
CHUNK
	table('db_b', 'id int', server => 'db', query => 'q');
	is(sql('SELECT * FROM db_b'), "1\n2\n3", 'Databricks (B): two chunks');
	is_known('Databricks (B)');
	return;
}

# (C): the links lead here.
sub databricks_links
{
	server('dbx', 'databricks', warehouse_id => '0123456789abcdef', mapping => { token => 'dapi' });
	my $at = '/api/2.0/sql/statements/01ee-cccc';
	my $answer = <<'JSON' =~ s{https://bucket\.s3\.eu-west-1\.amazonaws\.com}{http://localhost:$port}r;
{"statement_id":"01ee-cccc","status":{"state":"SUCCEEDED"},"manifest":{"format":"JSON_ARRAY","schema":{"column_count":2,"columns":[{"name":"id","position":0,"type_name":"INT","type_text":"INT"},{"name":"s","position":1,"type_name":"STRING","type_text":"STRING"}]},"total_chunk_count":2,"chunks":[{"chunk_index":0,"row_offset":0,"row_count":2,"byte_count":22},{"chunk_index":1,"row_offset":2,"row_count":1,"byte_count":11}],"total_row_count":3,"total_byte_count":33,"truncated":false},
 "result":{"external_links":[{"chunk_index":0,"row_offset":0,"row_count":2,"byte_count":22,"next_chunk_index":1,"next_chunk_internal_link":"/api/2.0/sql/statements/01ee-cccc/result/chunks/1?row_offset=2","external_link":"https://bucket.s3.eu-west-1.amazonaws.com/x/0?X-Amz-Signature=abc","expiration":"2024-01-02T03:19:05.000Z","http_headers":{"x-amz-server-side-encryption-customer-algorithm":"AES256"}}]}}
JSON
	my $result = $json->decode($answer)->{result};
	my $second = $json->decode($json->encode($result));
	@{ $second->{external_links}[0] }{qw(chunk_index row_offset row_count external_link)} = (1, 2, 1, "http://localhost:$port/x/1?X-Amz-Signature=def");
	serve(post('/api/2.0/sql/statements', $answer), get("$at/result/chunks/0", $json->encode($result)), get("$at/result/chunks/1", $json->encode($second)),
		get('/x/0', <<'ROWS', query => { 'X-Amz-Signature' => 'abc' }), get('/x/1', '[["3","c"]]', query => { 'X-Amz-Signature' => 'def' }));
[["1","a"],["2",null]]
ROWS
	table('db_c', 'id int, s text', server => 'dbx', query => 'q');
	is(sql(q{SELECT id, coalesce(s, 'null') FROM db_c}), "1|a\n2|null\n3|c", 'Databricks (C): rows behind links');
	is_known('Databricks (C)');
	my @links = grep { $_->{path} =~ m{^/x/} } $fake->requests;
	is(scalar(grep { $_->{headers}{'x-amz-server-side-encryption-customer-algorithm'} eq 'AES256' } @links), 2, 'Databricks (C): with the headers of the links');
	is(scalar(grep { exists $_->{headers}{authorization} || exists $_->{headers}{cookie} || $json->encode($_) =~ /dapi/ } @links), 0, 'Databricks (C): ... and without credentials');
	return;
}

# (D)
sub databricks_errors
{
	my $fail = sub { my ($status, $body, $expected, $what) = @_; serve(post('/api/2.0/sql/statements', $body, status => $status), post('*/cancel', '{}')); like(error_of(preview('db', "query => 'x'")), $expected, "Databricks (D): $what") };
	$fail->(200, <<'JSON', qr/42P01: \[TABLE_OR_VIEW_NOT_FOUND\] The table or view `main`\.`shop`\.`nope` cannot be found\. SQLSTATE: 42P01\nDETAIL:  The statement is 01ee-dddd\.\nHINT:  Check its name/, 'a statement that failed');
{"statement_id":"01ee-dddd","status":{"state":"FAILED","error":{"error_code":"BAD_REQUEST","message":"[TABLE_OR_VIEW_NOT_FOUND] The table or view `main`.`shop`.`nope` cannot be found. SQLSTATE: 42P01"},"sql_state":"42P01"}}
JSON
	$fail->(403, <<'JSON', qr/28000: Invalid access token\. \[ReqId: 1c9d0000-0000-0000-0000-000000000000\]\nDETAIL:  Databricks answered with status 403\.\nHINT:  Give the user mapping a token/, 'a bad token');
{"error_code":403,"message":"Invalid access token. [ReqId: 1c9d0000-0000-0000-0000-000000000000]"}
JSON
	$fail->(429, <<'JSON', qr/53400: Too many requests\. Please wait a moment and try again\.\nDETAIL:  Databricks answered with status 429, REQUEST_LIMIT_EXCEEDED\.\nHINT: .*rate_limit/, 'throttled');
{"error_code":"REQUEST_LIMIT_EXCEEDED","message":"Too many requests. Please wait a moment and try again."}
JSON
	serve(post('/api/2.0/sql/statements', <<'JSON'));
{"statement_id":"01ee-eeee","status":{"state":"SUCCEEDED"},"manifest":{"format":"JSON_ARRAY","schema":{"column_count":1,"columns":[{"name":"id","position":0,"type_name":"INT","type_text":"INT"}]},"total_chunk_count":0,"total_row_count":0,"truncated":false},"result":{}}
JSON
	is(sql('SELECT count(*) FROM db_b'), 0, 'Databricks (D): no rows');
	# What a statement without a result is answered with.
	serve(post('/api/2.0/sql/statements', '{"statement_id":"01ee-ffff","status":{"state":"SUCCEEDED"},"manifest":{"format":"JSON_ARRAY","schema":{"column_count":0},"total_chunk_count":0,"total_row_count":0,"truncated":false},"result":{}}'));
	like(error_of(preview('db', "query => 'DROP VIEW IF EXISTS v'")), qr/22023: the source query returns no rows/, 'Databricks (D): no result');
	return;
}

# -- 5.8

sub sheets_tabs
{
	server('gs', 'google_sheets', spreadsheet_id => '1AbC', mapping => { token => 'ya29' });
	my $all = '/v4/spreadsheets/1AbC';
	serve(get($all, $tabs, query => { fields => 'properties(title,locale,timeZone),sheets.properties,namedRanges' }), get("$all/values:batchGet", <<'JSON'));
{"spreadsheetId":"1AbC","valueRanges":[{"range":"Leads!A1:F2","majorDimension":"ROWS","values":[["id"]]},{"range":"'Jon''s data'!A1:B1","majorDimension":"ROWS"}]}
JSON
	my (undef, undef, $err) = $node->psql('postgres', 'CREATE SCHEMA gs; IMPORT FOREIGN SCHEMA "Q3 plan" FROM SERVER gs INTO gs');
	is(sql(q{SELECT string_agg(c.relname || '.' || a.attname, ' ') FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0 WHERE relnamespace = 'gs'::regnamespace}), 'Leads.id', 'Sheets (A), (D): tabs, a chart left out');
	like($err, qr/WARNING:.*"Jon's data" is not imported: its row 1 has no names/, 'Sheets (D): a tab without headers');
	like((requests())[1], qr{values:batchGet\?ranges=%27Leads%27%211%3A1&ranges=%27Jon%27%27s%20data%27%211%3A1&}, 'Sheets (D): the ranges that were asked for');
	is_known('Sheets (A), (D)');
	return;
}

# (B), (C): all of a tab, unformatted, formatted, and the end of it.
sub sheets_values
{
	my $all = '/v4/spreadsheets/1AbC';
	my $leads = "$all/values/%27Leads%27%21A1%3AZ1000";
	my @exchanges = (get($all, $tabs), get($leads, <<'JSON', query => { valueRenderOption => 'UNFORMATTED_VALUE', dateTimeRenderOption => 'SERIAL_NUMBER' }), get($leads, <<'FORMATTED', query => { valueRenderOption => 'FORMATTED_VALUE' }));
{"range":"Leads!A1:Z1000","majorDimension":"ROWS","values":[["id","name","amount","signed","when","ok"],
 ["00123","h\u00e9llo",1250.5,45292,45293.12783564815,true],[2,"",-0.1],[],[3,"x","#DIV/0! (Function DIVIDE parameter 2 cannot be zero.)",45292.5,"",false]]}
JSON
{"range":"Leads!A1:Z1000","majorDimension":"ROWS","values":[["id","name","amount","signed","when","ok"],["00123","h\u00e9llo","$1,250.50","1/1/2024","1/2/2024 3:04:05","TRUE"]]}
FORMATTED
	serve(@exchanges);
	my $columns = '"A" text, "B" text, "C" text, "D" text, "E" text, "F" text, "G" text';
	table('gs_b', $columns, server => 'gs', object => 'Leads', header_row => '0');
	is(sql(q{SELECT * FROM gs_b}), <<"OUT" =~ s/\n\z//r, 'Sheets (B): short rows, blanks, booleans, serials, the text of an error');
id|name|amount|signed|when|ok|
00123|h\xc3\xa9llo|1250.5|45292|45293.12783564815|true|
2||-0.1||||
3|x|#DIV/0! (Function DIVIDE parameter 2 cannot be zero.)|45292.5||false|
OUT
	table('gs_c', $columns, server => 'gs', object => 'Leads', header_row => '0', cell_values => 'formatted');
	is(sql(q{SELECT * FROM gs_c}), "id|name|amount|signed|when|ok|\n00123|h\xc3\xa9llo|\$1,250.50|1/1/2024|1/2/2024 3:04:05|TRUE|", 'Sheets (C): values as they are displayed');
	is_known('Sheets (B), (C)');
	like(error_of(preview('gs', q{object => 'Leads', options => '{"cell_values": "formatted", "serial_dates": "auto"}'})), qr/22023: conflicting options "cell_values" and "serial_dates"/, 'Sheets (C): displayed dates are texts');
	serve(get($all, $tabs), get("$all/values/%27Leads%27%21A1%3AZ899", '{"range":"Leads!A1:Z899","majorDimension":"ROWS","values":[["x"]]}'), get("$all/values/%27Leads%27%21A900%3AZ1000", <<'JSON'));
{"range":"Leads!A900:Z1000","majorDimension":"ROWS"}
JSON
	table('gs_end', $columns, server => 'gs', object => 'Leads', header_row => '0', page_size => '899');
	is(sql('SELECT "A" FROM gs_end'), 'x', 'Sheets (C): an empty range');
	is_known('Sheets (C), empty');
	return;
}

# (A) has a named range, A1:B5 of Leads.
sub sheets_ranges
{
	my $all = '/v4/spreadsheets/1AbC';
	serve(get($all, $tabs), get("$all/values/%27Leads%27%21A1%3AB1", '{"range":"Leads!A1:B1","majorDimension":"ROWS","values":[["k","v"]]}'),
		get("$all/values/%27Leads%27%21A2%3AB5", '{"range":"Leads!A2:B5","majorDimension":"ROWS","values":[["1","a"],[],["2"]]}'));
	is(sql(preview('gs', "object => 'TotalBudget'")), qq({"k": "1", "v": "a"}\n{"k": "2", "v": null}), 'Sheets (A): a named range');
	is_known('Sheets (A), named range');
	serve(get($all, $tabs), get("$all/values:batchGet", '{"spreadsheetId":"1AbC","valueRanges":[{"range":"Leads!A1:B1","values":[["k","v"]]}]}', query => { ranges => "'Leads'!A1:B1" }));
	sql('CREATE SCHEMA gs_ranges; IMPORT FOREIGN SCHEMA public LIMIT TO ("TotalBudget") FROM SERVER gs INTO gs_ranges');
	is(sql(q{SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'gs_ranges."TotalBudget"'::regclass AND attnum > 0}), 'k v', 'Sheets (A): ... imported by name');
	# In the midst of another tab, open at its end, and one of no tab.
	my $ranges = '[{"name":"Inner","range":{"sheetId":562149769,"startRowIndex":2,"startColumnIndex":1,"endColumnIndex":4}},{"name":"One","range":{"startRowIndex":3,"endRowIndex":4,"startColumnIndex":1,"endColumnIndex":2}},
		{"name":"Nowhere","range":{"sheetId":7,"startRowIndex":0,"endRowIndex":1}},{"name":"Beyond","range":{"startRowIndex":1000,"endRowIndex":1001}},{"name":"Leads","range":{"startRowIndex":0,"endRowIndex":1}}]';
	my $inner = $tabs =~ s/"namedRanges":\K\[.*\]/$ranges/sr;
	my $jon = "$all/values/%27Jon%27%27s%20data%27%21";
	serve(get($all, $inner), get("${jon}B3%3AD3", q({"range":"'Jon''s data'!B3:D3","values":[["a","","a"]]})), get("${jon}B4%3AD1000", q({"range":"'Jon''s data'!B4:D1000","values":[["1","2","3"]]})),
		get("$all/values/%27Leads%27%21B4", '{"range":"Leads!B4","values":[["cell"]]}'), get("$all/values/%27Leads%27%211%3A1", '{"range":"Leads!A1:Z1","values":[["tab"]]}'), get("$all/values/%27Leads%27%21A2%3AA1000", '{"range":"Leads!A2:A1000"}'));
	is(sql(preview('gs', "object => 'Inner', options => '{\"page_size\": 5000}'")), '{"a_B3": "1", "a_D3": "3", "column_C": "2"}', 'Sheets: a range in the midst of a tab');
	is(sql(preview('gs', "object => 'One', options => '{\"header_row\": 0}'")), '{"B": "cell"}', 'Sheets: a range of one cell');
	is_known('Sheets: ranges');
	like(error_of(preview('gs', "object => '$_'")), qr/42P01: the spreadsheet has no tab "$_" that holds cells.*HINT: .*the name of a named range/s, "Sheets: $_") for qw(Nowhere Beyond);
	is(sql(preview('gs', "object => 'Leads', options => '{\"page_size\": 5000}'")), '', 'Sheets: a tab comes before a range of its name');
	is((requests())[-2], 'GET /v4/spreadsheets/1AbC/values/%27Leads%27%211%3A1?majorDimension=ROWS&valueRenderOption=FORMATTED_VALUE', '... and is what is read');
	return;
}

# (D)
sub sheets_formats
{
	my $all = '/v4/spreadsheets/1AbC';
	serve(get($all, <<'JSON', query => { fields => 'sheets.data.rowData.values(effectiveValue,effectiveFormat.numberFormat)', ranges => "'Leads'!A2:A11" }), get($all, $tabs), get("$all/values/%27Leads%27%211%3A1", '{"range":"Leads!A1:Z1","values":[["signed"]]}'),
{"sheets":[{"data":[{"rowData":[{"values":[{"formattedValue":"signed","effectiveValue":{"stringValue":"signed"}}]},{"values":[{"formattedValue":"1/1/2024","effectiveValue":{"numberValue":45292},"effectiveFormat":{"numberFormat":{"type":"DATE","pattern":"m/d/yyyy"}}}]}]}]}]}
JSON
		get("$all/values/%27Leads%27%21A2%3AA1000", '{"range":"Leads!A2:A1000","majorDimension":"ROWS","values":[[45292]]}'));
	table('gs_d', 'signed date', server => 'gs', object => 'Leads', serial_dates => 'auto');
	is(sql('SELECT * FROM gs_d'), '2024-01-01', 'Sheets (D): formats say that numbers are dates');
	is_known('Sheets (D), formats');
	return;
}

sub sheets_errors
{
	serve(get('/v4/spreadsheets/1AbC', $tabs), get('*/values/*', <<'JSON', status => 400));
{"error":{"code":400,"message":"Unable to parse range: 'Nope'!A1:Z","status":"INVALID_ARGUMENT"}}
JSON
	like(error_of(preview('gs', "object => 'Leads'")), qr/42P01: refused by Google Sheets: Unable to parse range: 'Nope'!A1:Z\nDETAIL:  Its status is "INVALID_ARGUMENT", the HTTP status 400\.\nHINT:  The object is the title of a tab/, 'Sheets (D): a range that is none');
	serve(get('/v4/spreadsheets/1AbC', <<'JSON', status => 429));
{"error":{"code":429,"message":"Quota exceeded for quota metric 'Read requests' and limit 'Read requests per minute per user' of service 'sheets.googleapis.com' for consumer 'project_number:1'.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"RATE_LIMIT_EXCEEDED","domain":"googleapis.com","metadata":{"service":"sheets.googleapis.com","quota_metric":"sheets.googleapis.com/read_requests","quota_limit":"ReadRequestsPerMinutePerUser","quota_limit_value":"60"}}]}}
JSON
	like(error_of(preview('gs', "object => 'Leads'")), qr/53400: refused by Google Sheets: Quota exceeded for quota metric 'Read requests' and limit 'Read requests per minute per user'.*Its status is "RESOURCE_EXHAUSTED", the HTTP status 429\.\nHINT: .*60 times a minute/s, 'Sheets (D): the quota');
	return;
}

# -- 4.7 (D), what 164 does not serve

sub opensearch_point_in_time
{
	server('os', 'elasticsearch', mapping => { user => 'reader', password => 'x' });
	my $hit = '{"took":1,"timed_out":false,"_shards":{"total":1,"successful":1,"skipped":0,"failed":0},"hits":{"total":{"value":1,"relation":"eq"},"max_score":null,"hits":[{"_index":"my-index","_id":"a","_source":{"id":7},"sort":[0]}]}}';
	serve(get('/', '{"name":"n","cluster_name":"c","version":{"distribution":"opensearch","number":"3.3.0"},"tagline":"The OpenSearch Project: https://opensearch.org/"}'), get('/my-index/_mapping', '{"my-index":{"mappings":{"properties":{"id":{"type":"long"}}}}}'),
		post('/my-index/_search/point_in_time', <<'JSON'), post('/_search', $hit, sent => ['"o463QQEPbXktaW5kZXg=="'], times => 1), post('/_search', $hit =~ s/"hits":\[\{.*\}\]/"hits":[]/r),
{"pit_id":"o463QQEPbXktaW5kZXg==","_shards":{"total":1,"successful":1,"skipped":0,"failed":0},"creation_time":1658146050064}
JSON
		{ method => 'DELETE', path => '/_search/point_in_time', sent => ['"pit_id":["o463QQEPbXktaW5kZXg=="]'], body => '{"pits":[{"successful":true,"pit_id":"o463QQEPbXktaW5kZXg=="}]}' });
	is(sql(preview('os', "object => 'my-index'")), '{"id": 7, "_id": "a"}', 'OpenSearch (D): a point in time');
	is_known('OpenSearch (D)');
	is((requests())[-1], 'DELETE /_search/point_in_time', 'OpenSearch (D): ... is closed');
	return;
}

# -- 7.5

# (A), (B)
sub generic_pages
{
	server('web', 'http', mapping => { token => 'not-for-others' });
	my %cursor = (object => 'customers', pagination => 'cursor', records => '/data', has_more_path => '/has_more', cursor_path => '/next_cursor', cursor_param => 'starting_after');
	serve(get('/customers', <<'LAST', query => { starting_after => 'cus_1' }), get('/customers', <<'JSON'));
{"object":"list","data":[],"has_more":false,"next_cursor":null}
LAST
{"object":"list","data":[{"id":"cus_2","email":null,"created":1704164645,"meta":{"tier":"gold"}},{"id":"cus_1","email":"a@example.com","created":1704164000,"meta":{}}],"has_more":true,"next_cursor":"cus_1"}
JSON
	table('web_a', 'id text, email text, created bigint, meta jsonb', server => 'web', %cursor);
	is(sql('SELECT * FROM web_a'), qq(cus_2||1704164645|{"tier": "gold"}\ncus_1|a\@example.com|1704164000|{}), 'HTTP (A): a cursor in the body');
	is(scalar($fake->requests), 2, 'HTTP (A): two pages');
	serve(get('/v1/items', '{"count":3,"next":null,"previous":null,"results":[{"id":3}]}', query => { page => '2', per_page => '2' }), get('/v1/items', <<'JSON' =~ s{https://api\.example\.com}{$url}r));
{"count":3,"next":"https://api.example.com/v1/items?page=2&per_page=2","previous":null,"results":[{"id":1},{"id":2}]}
JSON
	table('web_b', 'id int', server => 'web', object => 'v1/items', pagination => 'next_url', records => '/results', next_url_path => '/next', total_path => '/count');
	is(sql('SELECT * FROM web_b'), "1\n2\n3", 'HTTP (B): the next address in the body');
	serve(get('/v1/items', <<'JSON'));
{"count":3,"next":"https://api.example.com/v1/items?page=2&per_page=2","previous":null,"results":[{"id":1},{"id":2}]}
JSON
	like(error_of('SELECT * FROM web_b'), qr/next page .*(another|other) (host|server)|leads to/s, 'HTTP (B): ... of another host is not followed');
	serve(get('/v1/items', <<'JSON', query => { page => '2' }), get('/v1/items', '{"items":[{"id":4}],"_links":{"self":{"href":"/v1/items?page=3"}}}', query => { page => '3' }));
{"items":[{"id":3}],"_links":{"self":{"href":"/v1/items?page=2"},"next":{"href":"/v1/items?page=3"}}}
JSON
	table('web_hal', 'id int', server => 'web', object => 'v1/items?page=2', pagination => 'next_url', records => '/items', next_url_path => '/_links/next/href');
	is(sql('SELECT * FROM web_hal'), "3\n4", 'HTTP (B): HAL, relative');
	return;
}

# (C): a head.
sub generic_links
{
	my %head = (<<'HEAD' =~ s{https://api\.example\.com}{$url}gr) =~ /^([\w-]+): (.*)$/mg;
HTTP/1.1 200 OK
Content-Type: application/json
Link: <https://api.example.com/items?after=a%2Cb&n=2>; title="x, \"y\""; rel="next last", <https://api.example.com/items>; rel=first
X-RateLimit-Remaining: 0
X-RateLimit-Reset: 1704164705
HEAD
	serve(get('/items', '[{"id":2}]', query => { after => 'a,b', n => '2' }), get('/items', '[{"id":1}]', headers => \%head));
	table('web_c', 'id int', server => 'web', object => 'items', pagination => 'link');
	is(sql('SELECT * FROM web_c'), "1\n2", 'HTTP (C): the Link header');
	is((requests())[1], 'GET /items?after=a%2Cb&n=2', 'HTTP (C): ... as it stands there');
	return;
}

# (D)
sub generic_errors
{
	my %head = <<'HEAD' =~ /^([\w-]+): (.*)$/mg;
HTTP/1.1 429 Too Many Requests
Retry-After: Tue, 02 Jan 2024 03:05:05 GMT
Content-Type: text/html
HEAD
	my $type = delete $head{'Content-Type'};
	table('web_d', 'id int', server => 'web', object => 'busy');
	serve(get('/busy', '<html>Too Many Requests</html>', status => 429, headers => \%head, type => $type, times => 1), get('/busy', '[{"id":1}]'));
	is(sql('SET censync.http_retries = 1; SELECT * FROM web_d'), '1', 'HTTP (D): a Retry-After that has passed');
	serve(get('/busy', '<html>Too Many Requests</html>', status => 429, headers => \%head, type => $type));
	like(error_of('SELECT * FROM web_d'), qr/53400: .*status 429.*HINT: .*rate_limit/s, 'HTTP (D): throttled for ever');
	serve(get('/busy', <<'JSON', status => 401));
{"error":{"code":"invalid_token","message":"expired"},"request_id":"r1"}
JSON
	like(error_of('SELECT * FROM web_d'), qr/28000: .*status 401.*expired.*HINT: /s, 'HTTP (D): the words of an error');
	return;
}

# (E)
sub generic_formats
{
	table('web_e', 'id int, s text', server => 'web', object => 'lines');
	serve(get('/lines', <<'LINES', type => 'application/x-ndjson'));
{"id":1,"s":"a"}
{"id":2,"s":null}

{"id":3,"s":"line\nbreak"}
LINES
	is(sql(q{SELECT id, coalesce(s, 'null') FROM web_e}), "1|a\n2|null\n3|line\nbreak", 'HTTP (E): NDJSON, with a blank line');
	serve(get('/lines', <<'LINES' =~ s/\n\z//r, type => 'application/x-ndjson'));
{"id":1,"s":"a"}
{"id":2,"s":null}

{"id":3,"s":"line\nbreak"}
LINES
	is(sql('SELECT count(*) FROM web_e'), 3, 'HTTP (E): ... and no line end at its end');
	table('web_csv', 'id int, name text, note text', server => 'web', object => 'table');
	serve(get('/table', <<'CSV', type => 'text/csv'));
id,name,note
1,"Smith, Jane","said ""hi"""
2,,
CSV
	is(sql(q{SELECT id, coalesce(name, 'null'), coalesce(note, 'null') FROM web_csv}), qq(1|Smith, Jane|said "hi"\n2|null|null), 'HTTP (E): CSV');
	return;
}
