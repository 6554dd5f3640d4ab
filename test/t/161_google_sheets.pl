# Google Sheets, as far as it can be had without it: a server that checks every request and range.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use CensyncTest;
use CensyncGoogle;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $node   = new_node('here', "censync.http_retries = 2\nlog_statement = none\nlog_min_error_statement = panic");
my $http   = start_http();
my $google = new_google($http);
my @errors;

create_google_server($node, 'sheet', $http, type => 'google_sheets', spreadsheet_id => '1AbC', mapping => $google->{mapping});

# The service's own sample: short row, inner blank, empty row, booleans, serials, an error's text.
my $leads = '[["id","name","amount","signed","when","ok"],["00123","h\u00e9llo",1250.5,45292,45293.12783564815,true],[2,"",-0.1],[],[3,"x","#DIV/0! (Function DIVIDE parameter 2 cannot be zero.)",45292.5,"",false]]';
my %tabs = (
	'Leads'      => qq({"values": $leads}),
	"Jon's data" => '{"values": [["a","b"],[1,2]]}',
	'Chart'      => '{"type": "OBJECT", "values": []}');
my %more;

test_values();
test_dates();
test_headers();
test_blocks();
test_titles();
test_refusals();
test_quota();
test_check();
test_import();
test_secrets();

$node->stop;
done_testing();

sub world
{
	my $tabs = join ',', map { encode_json([$_]) =~ s/^\[|\]$//gr . ": $tabs{$_}" } sort { ($a ne 'Leads') <=> ($b ne 'Leads') || $a cmp $b } keys %tabs;
	my $more = join '', map { qq(, "$_": $more{$_}) } sort keys %more;
	$http->put('sheets', qq({"id": "1AbC", "tabs": {$tabs}$more}));
	return;
}

sub preview
{
	my ($what) = @_;
	return $node->safe_psql('postgres', "SELECT * FROM censync_preview('sheet', $what)");
}

sub refused
{
	my ($what) = @_;
	my $error = error_of($node, "SELECT * FROM censync_preview('sheet', $what)");
	push @errors, $error;
	return $error;
}

sub requests
{
	my ($pattern) = @_;
	return grep { "$_->{method} $_->{target}" =~ $pattern } $http->log;
}

sub test_values
{
	world();
	is(preview(q{object => 'Leads'}), join("\n",
		"{\"id\": \"00123\", \"ok\": \"true\", \"name\": \"h\xc3\xa9llo\", \"when\": \"45293.12783564815\", \"amount\": \"1250.5\", \"signed\": \"45292\"}",
		'{"id": "2", "ok": null, "name": null, "when": null, "amount": "-0.1", "signed": null}',
		'{"id": "3", "ok": "false", "name": "x", "when": null, "amount": "#DIV/0! (Function DIVIDE parameter 2 cannot be zero.)", "signed": "45292.5"}'),
		'ragged rows, blank rows, empty cells');
	is(preview(q{"limit" => 1}), preview(q{object => 'Leads', "limit" => 1}), 'the first tab');
	$node->safe_psql('postgres', q{CREATE TABLE leads (id text PRIMARY KEY, name text, amount numeric, ok boolean);
		SELECT censync_create_sync('leads', 'leads', 'mirror', server => 'sheet', object => 'Leads',
			options => '{"mirror_scope": "table"}')});
	my $run = run_sync($node, 'leads');
	is("$run->{records_read} $run->{records_created} $run->{records_invalid}", '3 2 1', 'a sync: text becomes what the table has, or its record is invalid') or diag($run->{_stderr});
	is($node->safe_psql('postgres', q{SELECT * FROM leads ORDER BY id}), "00123|h\xc3\xa9llo|1250.5|t\n2||-0.1|", 'what it wrote');
	return;
}

sub test_dates
{
	my $options = q(options => '{"serial_dates": "signed, when:timestamp"}');
	is(preview(qq{object => 'Leads', "limit" => 1, $options}) =~ /"signed": "([^"]*)"/ && $1, '2024-01-01', 'a date');
	is(preview(qq{object => 'Leads', "limit" => 1, $options}) =~ /"when": "([^"]*)"/ && $1, '2024-01-02T03:04:05', '... and a timestamp, of the columns that are named');
	$tabs{Dates} = '{"values": [["n","d","t","c","i"],["1",2.5,33.625,0.5,1.25],["2",25569,-1,0.999988426,-0.5],["3","n/a",1,2,1],["4",0,0,0,0],["5",-657434,1,0,0]]}';
	$more{formats} = '{"sheets":[{"data":[{"rowData":[{"values":[{"effectiveValue":{"stringValue":"1"}},{"formattedValue":"1/1/2024","effectiveValue":{"numberValue":45292},"effectiveFormat":{"numberFormat":{"type":"DATE","pattern":"m/d/yyyy"}}},
		{"effectiveValue":{"numberValue":1},"effectiveFormat":{"numberFormat":{"type":"DATE_TIME"}}},{"effectiveValue":{"numberValue":1},"effectiveFormat":{"numberFormat":{"type":"TIME"}}},{"effectiveValue":{"numberValue":1}}]}]}]}]}';
	world();
	$node->safe_psql('postgres', q{CREATE FOREIGN TABLE dates (n text, d date, t timestamp, c time, i interval) SERVER sheet OPTIONS (object 'Dates', serial_dates 'd:date,t:timestamp,c:time,i:interval');
		CREATE FOREIGN TABLE auto_dates (n text, d date, t timestamp, c time, i text) SERVER sheet OPTIONS (object 'Dates', serial_dates 'auto');
		CREATE TABLE some_dates (n text PRIMARY KEY, d date, t timestamp, c time, i interval);
		SELECT censync_create_sync('some', 'some_dates', 'upsert', server => 'sheet', object => 'Dates', options => '{"serial_dates": "d:date,t:timestamp,c:time,i:interval"}')});
	is($node->safe_psql('postgres', q{SELECT * FROM dates LIMIT 2}), "1|1900-01-01|1900-02-01 15:00:00|12:00:00|30:00:00\n2|1970-01-01|1899-12-29 00:00:00|23:59:59|-12:00:00", 'days since 1899-12-30');
	is($node->safe_psql('postgres', q{SELECT d, t, c, i FROM auto_dates LIMIT 1}), '1900-01-01|1900-02-01 15:00:00|12:00:00|1.25', 'as the cells are formatted');
	my $run = run_sync($node, 'some');
	is("$run->{records_created} $run->{records_invalid}", '4 1', 'a text among dates is invalid');
	is($node->safe_psql('postgres', q{SELECT reason FROM censync.records JOIN censync.runs USING (run_id) WHERE sync = 'some'}), 'no date: the cell holds no number: "n/a"', '... and named');
	is($node->safe_psql('postgres', q{SELECT d FROM some_dates WHERE n = '5'}), '0100-01-01', 'long ago');
	like(refused(q{object => 'Leads', options => '{"serial_dates": "signed:day"}'}), qr/22023: .*unknown type "day"/, 'no such type');
	return;
}

sub test_headers
{
	$tabs{Heads} = '{"values": [["Name"," x ","","Name",5,"",""],["a","b","c","d","e","beyond"]]}';
	$tabs{Lower} = '{"values": [["Report"],[],["k","v"],["1","2"]]}';
	$tabs{Bare}  = '{"columns": 3, "values": [["p","q"],["r","","s"]]}';
	$tabs{Empty} = '{"values": []}';
	world();
	is(preview(q{object => 'Heads'}), '{"5": "e", "x": "b", "Name_A1": "a", "Name_D1": "d", "column_C": "c"}', 'names: twice, blank, a number; what is beyond has none');
	is(preview(q{object => 'Lower', options => '{"header_row": 3}'}), '{"k": "1", "v": "2"}', 'further down');
	is(preview(q{object => 'Bare', options => '{"header_row": 0}'}), qq({"A": "p", "B": "q", "C": null}\n{"A": "r", "B": null, "C": "s"}), 'none');
	like(refused(q{object => 'Empty'}), qr/42703: .*row 1 of tab "Empty" has no names.*HINT.*header_row/s, 'nothing there');
	return;
}

sub test_blocks
{
	my $list = join ',', '["id","v"]', map { $_ % 7 ? qq([$_,"v$_"]) : '[]' } 1 .. 2500;
	$tabs{Long} = qq({"rows": 2600, "values": [$list]});
	$tabs{Shrinks} = qq({"rows": 2600, "shrinks": true, "values": [$list]});
	world();
	$http->reset; reput();
	$node->safe_psql('postgres', q{CREATE FOREIGN TABLE long (id int, v text) SERVER sheet OPTIONS (object 'Long', page_size '1000')});
	is($node->safe_psql('postgres', q{SELECT count(*), sum(id), min(v), max(id) FROM long}), join('|', 2500 - 357, 2500 * 2501 / 2 - 7 * 357 * 358 / 2, 'v1', 2500), 'blocks of rows, in order');
	is(scalar(requests(qr{UNFORMATTED_VALUE})), 3, 'three of them');
	is(join(' ', sort map { $_->{path} =~ /!(.*)/ } requests(qr{UNFORMATTED_VALUE})), 'A1002:B2001 A2002:B2600 A2:B1001', '... to the end of the grid');
	$node->safe_psql('postgres', q{CREATE TABLE long_copy (id int PRIMARY KEY, v text); INSERT INTO long_copy SELECT g, 'old' FROM generate_series(1, 2500) g;
		SELECT censync_create_sync('shrinks', 'long_copy', 'mirror', server => 'sheet', object => 'Shrinks', options => '{"mirror_scope": "table", "page_size": 1000}')});
	my $before = table_state($node, 'long_copy');
	$http->reset; reput();
	my $run = run_sync($node, 'shrinks');
	like("$run->{status} $run->{error_message}", qr/failed tab "Shrinks" changed while it was being read/, 'a tab that gets smaller meanwhile');
	is(table_state($node, 'long_copy'), $before, '... changes nothing');
	$more{cut} = 'true';
	world();
	$run = run_sync($node, 'shrinks');
	is("$run->{status} $run->{error_code}", 'failed 08006', 'an answer that is cut');
	delete $more{cut};
	return;
}

sub reput
{
	my $out;
	IPC::Run::run([ 'openssl', 'pkey', '-pubout' ], '<', \$google->{pem}, '>', \$out);
	$http->put('google.pem', $out, 'text/plain');
	world();
	return;
}

sub test_titles
{
	$tabs{'A1'} = '{"values": [["x"],["a tab, no cell"]]}';
	$tabs{"\x{df}/ 100% & 'q'"} = '{"values": [["y"],["odd"]]}';
	world();
	is(preview(q{object => 'Jon''s data'}), '{"a": "1", "b": "2"}', 'an apostrophe');
	is(preview(q{object => 'A1'}), '{"x": "a tab, no cell"}', 'the name of a cell');
	is(preview(q{object => U&'\00df/ 100% & ''q'''}), '{"y": "odd"}', 'everything that must be encoded');
	like(refused(q{object => 'Chart'}), qr/42P01: .*no tab "Chart" that holds cells.*DETAIL: .*"Leads".*HINT/s, 'a chart');
	like(refused(q{object => 'leads'}), qr/42P01: .*no tab "leads"/, 'case counts');
	like(refused(q{query => 'SELECT 1'}), qr/0A000: .*can't be queried/, 'a query');
	create_google_server($node, 'by_address', $http, type => 'google_sheets', spreadsheet_id => 'https://docs.google.com/spreadsheets/d/1AbC/edit?gid=0#gid=0', mapping => $google->{mapping});
	is($node->safe_psql('postgres', q{SELECT count(*) FROM censync_preview('by_address', object => 'Leads')}), 3, 'the address of a spreadsheet');
	return;
}

sub test_refusals
{
	my @cases = (
		[ 403, 'PERMISSION_DENIED', 'The caller does not have permission', qr/42501: .*HINT: .*Share the spreadsheet with etl\@acme/s ],
		[ 404, 'NOT_FOUND', 'Requested entity was not found.', qr/42704: .*HINT: .*spreadsheet_id/s ],
		[ 400, 'FAILED_PRECONDITION', 'This operation is not supported for this document. The document must not be an Office file.', qr/0A000: .*HINT: .*save it/s ],
		[ 400, 'INVALID_ARGUMENT', "Unable to parse range: 'Nope'!A1:Z", qr/42P01: /s ],
		[ 401, 'UNAUTHENTICATED', 'Request had invalid authentication credentials.', qr/28000: .*refused, too/s ]);
	foreach my $case (@cases)
	{
		my ($status, $name, $message, $expected) = @$case;
		my $failure = encode_json({ status => $status, body => { error => { code => $status, message => $message, status => $name } } });
		$http->reset;
		$more{fail} = qq({"": [$failure, $failure]});
		reput();
		like(refused(q{object => 'Leads'}), $expected, $message);
	}
	delete $more{fail};
	reput();
	create_google_server($node, 'unknown', $http, type => 'google_sheets', spreadsheet_id => '1XyZ', mapping => $google->{mapping});
	like(error_of($node, q{SELECT * FROM censync_preview('unknown')}), qr/42704: .*Requested entity was not found/, 'no such spreadsheet');
	create_google_server($node, 'no_id', $http, type => 'google_sheets', mapping => $google->{mapping});
	like(error_of($node, q{SELECT * FROM censync_preview('no_id')}), qr/HV00[D-P]: .*spreadsheet_id/, 'no spreadsheet');
	create_google_server($node, 'given', $http, type => 'google_sheets', spreadsheet_id => '1AbC', mapping => { token => 'given-4cc3ss-wrong' });
	push @errors, my $error = error_of($node, q{SELECT * FROM censync_preview('given')});
	like($error, qr/28000: .*HINT: .*an hour/s, 'a token that is wrong');
	return;
}

sub test_quota
{
	my $body = '{"error":{"code":429,"message":"Quota exceeded for quota metric \'Read requests\' and limit \'Read requests per minute per user\' of service \'sheets.googleapis.com\' for consumer \'project_number:1\'.","status":"RESOURCE_EXHAUSTED","details":[{"reason":"RATE_LIMIT_EXCEEDED"}]}}';
	$more{fail} = qq({"": [{"status": 429, "headers": {"Retry-After": "1"}, "body": $body}], "values": [{"status": 429, "headers": {"Retry-After": "1"}, "html": "<html>Too Many Requests</html>"}, {"status": 500, "html": "oops"}]});
	$http->reset; reput();
	is($node->safe_psql('postgres', q{SELECT count(*) FROM censync_preview('sheet', object => 'Leads')}), 3, 'quotas are waited for');
	my $always = join ',', (qq({"status": 429, "headers": {"Retry-After": "1"}, "body": $body})) x 20;
	$more{fail} = qq({"": [$always]});
	$http->reset; reput();
	like(refused(q{object => 'Leads'}), qr/53400: .*Quota exceeded.*RESOURCE_EXHAUSTED.*HINT: .*60 times a minute/s, '... not for ever');
	delete $more{fail};
	$http->reset; reput();
	return;
}

sub test_check
{
	is($node->safe_psql('postgres', q{SELECT string_agg(step || ' ' || ok, ', ') FROM censync_check('sheet')}), 'resolve true, connect true, tls true, authenticate true, query true', 'the check');
	like($node->safe_psql('postgres', q{SELECT step, ok, detail FROM censync_check('sheet', object => 'nothing') WHERE NOT ok}), qr/^query\|f\|.*no tab "nothing"/s, '... of a tab that is not there');
	return;
}

sub test_import
{
	$node->safe_psql('postgres', q{CREATE SCHEMA tabs; IMPORT FOREIGN SCHEMA public LIMIT TO ("Leads", "Jon's data", "Heads") FROM SERVER sheet INTO tabs});
	is($node->safe_psql('postgres', q{SELECT string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum) FROM pg_attribute a WHERE attrelid = 'tabs."Leads"'::regclass AND attnum > 0}),
		'id text, name text, amount text, signed text, when text, ok text', 'columns of an imported tab');
	is($node->safe_psql('postgres', q{SELECT count(*), max("Name_D1") FROM tabs."Heads"}), '1|d', '... which can be read');
	my (undef, undef, $err) = $node->psql('postgres', q{CREATE SCHEMA whole; IMPORT FOREIGN SCHEMA public FROM SERVER sheet INTO whole});
	like($err, qr/WARNING:.*"Empty" is not imported: its row 1 has no names/, 'a tab without names is left out, with a warning');
	is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_foreign_table t JOIN pg_class c ON c.oid = t.ftrelid WHERE relnamespace = 'whole'::regnamespace}), scalar(keys %tabs) - 2, 'all others but the chart');
	like(error_of($node, 'CREATE SCHEMA n; IMPORT FOREIGN SCHEMA nothing FROM SERVER sheet INTO n'), qr/HV00Q: .*no schema "nothing"/, 'no such schema');
	return;
}

sub test_secrets
{
	is_deeply([ secrets_shown($node, @{ $google->{secrets} }) ], [], 'no secret in the log, in activity, runs and records');
	is_deeply([ map { my $error = $_; grep { index($error, $_) >= 0 } @{ $google->{secrets} } } @errors ], [], '... nor in an error');
	return;
}
