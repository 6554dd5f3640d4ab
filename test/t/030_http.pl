# The http source from end to end: formats, mappings, pages, options, credentials, retries, foreign tables.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncTest;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket;
use Test::More;
use Time::HiRes qw(time);

my $node = new_node('main', "fsync = off\nlog_statement = none\nmax_parallel_workers_per_gather = 0");
my $http = start_http();
my $json = JSON::PP->new->canonical->allow_nonref;
my $seven = '[' . join(', ', map { qq({"id": $_, "name": "n$_"}) } 1 .. 7) . ']';
my $let_in = qq({"id":1,"name":"let"}\n{"id":2,"name":"in"});
my $name_count = 0;
my $requests_seen = 0;

create_server($node, 'src', $http);
$http->put('seven', $seven);

test_formats();
test_csv();
test_records();
test_mappings();
test_optional_fields();
test_link();
test_cursor();
test_next_url();
test_page_number();
test_offset();
test_empty_pages();
test_nearer_option_wins();
test_objects();
test_no_auth();
test_keys_and_passwords();
test_oauth();
test_headers();
test_rate_limit();
test_retries();
test_foreign_tables();
test_preview();
test_check();
test_hosts_of_a_client();
test_tls();

$node->stop;
done_testing();

sub sql { return $node->safe_psql('postgres', $_[0]) }

# What psql says when a statement fails, with its SQLSTATE.
sub error_of
{
	my ($sql) = @_;
	my ($status, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	return $status == 0 ? 'no error' : $err;
}

# A new table and a sync into it.  Options of censync_create_sync as such; columns is the table's.
sub new_sync
{
	my (%sync) = @_;
	my $name     = 's' . ++$name_count;
	my $columns  = delete $sync{columns} // 'id int PRIMARY KEY, name text';
	my $behavior = delete $sync{behavior} // 'upsert';
	$sync{server} = 'src' unless exists $sync{server};
	sql("CREATE TABLE $name ($columns)");
	my $arguments = join '', map {
		", $_ => " . sql_literal(ref $sync{$_} ? $json->encode($sync{$_}) : $sync{$_})
	} sort keys %sync;
	sql("SELECT censync_create_sync('$name', '$name', '$behavior'$arguments)");
	return $name;
}

# The rows of a table, one line of JSON each.
sub rows_of
{
	my ($table) = @_;
	return sql("SELECT row_to_json(t) FROM $table t ORDER BY t.id");
}

# Syncs into a new table: that must work, and leave these rows.
sub reads
{
	my ($title, $expected, %sync) = @_;
	my $name = new_sync(%sync);
	my $run  = run_sync($node, $name);
	is($run->{status}, 'completed', "$title: completed") or diag "$run->{error_code} $run->{error_message}";
	is(rows_of($name), $expected, "$title: rows");
	my $count = () = $expected =~ /\S+$/mg;
	is($run->{records_created}, $count, "$title: counted");
	return $run;
}

# Syncs into a new table: that must fail like this.
sub fails
{
	my ($title, $code, $message, $hint, %sync) = @_;
	my $name = new_sync(%sync);
	my $run  = run_sync($node, $name);
	is("$run->{status} " . ($run->{error_code} // ''), "failed $code", "$title: status and SQLSTATE");
	like($run->{error_message}, $message, "$title: message");
	like($run->{error_hint}, $hint, "$title: hint");
	is(sql("SELECT count(*) FROM $name"), 0, "$title: no row");
	return $run;
}

sub seven_rows { return join "\n", map { qq({"id":$_,"name":"n$_"}) } 1 .. 7 }

# The requests since the last call.
sub requests
{
	my @log = $http->log;
	my @new = @log[ $requests_seen .. $#log ];
	$requests_seen = @log;
	return @new;
}

sub test_formats
{
	my $text = qq({"id":1,"name":"Zo\xc3\xab \\"q\\" \xf0\x9f\x98\x80"}\n{"id":2,"name":null}\n{"id":3,"name":""});
	my %body = (
		json => qq([{"id": 1, "name": "Zo\xc3\xab \\"q\\" \\ud83d\\ude00"},\n{"id": 2, "name": null}, {"id": 3, "name": ""}]),
		ndjson => qq({"id": 1, "name": "Zo\\u00eb \\"q\\" \xf0\x9f\x98\x80"}\n\n{"id": 2}\r\n{"name": "", "id": 3}),
		csv => qq(id,name\n1,"Zo\xc3\xab ""q"" \xf0\x9f\x98\x80"\n2,\n3,""\n));
	my %types = (
		json => [ 'application/json', 'application/json; charset=utf-8', 'application/vnd.api+json', 'APPLICATION/JSON' ],
		ndjson => [ 'application/x-ndjson', 'application/jsonl' ],
		csv => [ 'text/csv', 'text/csv; charset=utf-8; header=present' ]);

	foreach my $format (sort keys %body)
	{
		foreach my $type (@{ $types{$format} })
		{
			$http->put('formats', $body{$format}, $type);
			reads("$format by Content-Type $type", $text, object => 'data/formats');
		}
		foreach my $type ('application/octet-stream', 'text/plain', '')
		{
			$http->put('formats', $body{$format}, $type eq '' ? 'x/y' : $type);
			reads("$format by its first bytes, Content-Type '$type'", $text, object => 'data/formats');
		}
		# What the user says counts for more than what the server says.
		$http->put('formats', $body{$format}, $format eq 'csv' ? 'application/json' : 'text/csv');
		reads("$format by option", $text, object => 'data/formats', options => { format => $format });
		$http->put('formats', $body{$format}, $types{$format}[0]);
		foreach my $delivery ('chunked=1', 'gzip=1', 'gzip=force&chunked=1', 'trickle=2000')
		{
			reads("$format, $delivery", $text, object => "data/formats?$delivery");
		}
	}
	my ($packed) = grep { $_->{target} =~ /gzip=1/ } requests();
	like($packed->{headers}{'accept-encoding'}, qr/gzip/, 'gzip is offered');
	like($packed->{headers}{'user-agent'} // '', qr/censync/, 'the client says who it is');

	# The first byte decides between the JSON kinds only as far as it can.
	$http->put('formats', '{"data": [{"id": 1, "name": "a"}]}', 'text/plain');
	reads('an object with an array, by its first bytes', '{"id":1,"name":"a"}', object => 'data/formats');
	$http->put('formats', "\xef\xbb\xbf[{\"id\": 1, \"name\": \"a\"}]", 'application/json');
	reads('JSON after a BOM', '{"id":1,"name":"a"}', object => 'data/formats');
	$http->put('formats', '[]', 'application/json');
	reads('no record', '', object => 'data/formats');
	is(run_sync($node, new_sync(object => 'data/formats', behavior => 'mirror'))->{status}, 'failed',
		'an empty source fails a mirror');
	like(error_of("SELECT censync_preview('src', object => 'data/seven', options => '{\"format\": \"xml\"}')"),
		qr/ERROR:  22023: .*format.*HINT:  .*json, ndjson or csv/s, 'unknown format');
	requests();

	# Numbers keep every digit, and never meet a double.
	$http->put('numbers', '[{"id": 9223372036854775807, "n": 12345678901234567890.123456789012345678901234567890, "f": 1e2},
		{"id": -9223372036854775808, "n": 0.10, "f": -0.0}]');
	my $name = new_sync(object => 'data/numbers', columns => 'id bigint PRIMARY KEY, n numeric, f text');
	run_sync($node, $name);
	is(sql("SELECT id, n, f FROM $name ORDER BY id"),
		"-9223372036854775808|0.10|-0.0\n9223372036854775807|12345678901234567890.123456789012345678901234567890|1e2",
		'numbers are exact');
	return;
}

sub test_csv
{
	my %columns = (columns => 'id int PRIMARY KEY, name text, note text');
	my $row = sub { my ($id, $name, $note) = @_; return qq({"id":$id,"name":$name,"note":$note}) };
	my @cases = (
		[ 'CRLF, BOM, quoted newline', "\xef\xbb\xbfid,name,note\r\n1,\"two\r\nlines\",x\r\n2,\"a,b\",\"\"\"q\"\"\"\r\n",
			$row->(1, '"two\\r\\nlines"', '"x"') . "\n" . $row->(2, '"a,b"', '"\\"q\\""'), {} ],
		[ 'empty and quoted empty', "id,name,note\n1,,\"\"\n", $row->(1, 'null', '""'), {} ],
		[ 'semicolon', "id;name;note\n1;\"a;b\";c,d\n", $row->(1, '"a;b"', '"c,d"'), { delimiter => ';' } ],
		[ 'tab', "id\tname\tnote\n1\ta b\tc\n", $row->(1, '"a b"', '"c"'), { delimiter => '\t' } ],
		[ 'tab by name', "id\tname\tnote\n1\ta b\tc\n", $row->(1, '"a b"', '"c"'), { delimiter => 'tab' } ],
		[ 'bar', "id|name|note\n1|a|b\n", $row->(1, '"a"', '"b"'), { delimiter => '|' } ],
		[ 'no last newline', "id,name,note\n1,a,b\n2,c,d", $row->(1, '"a"', '"b"') . "\n" . $row->(2, '"c"', '"d"'), {} ],
		[ 'columns in another order, and one more', "note,x,id,name\nb,ignored,1,a\n", $row->(1, '"a"', '"b"'), {} ],
		[ 'blank lines', "id,name,note\n\n1,a,b\n\r\n\n", $row->(1, '"a"', '"b"'), {} ],
		[ 'spaces are data', "id,name,note\n1, a , b\n", $row->(1, '" a "', '" b"'), {} ],
		[ 'a header alone', "id,name,note\n", '', {} ]);

	foreach my $case (@cases)
	{
		my ($title, $body, $expected, $options) = @$case;
		$http->put('rows', $body, 'text/csv');
		reads("CSV, $title", $expected, object => 'data/rows', options => $options, %columns);
	}
	$http->put('rows', "id,name,note\n1,a,b\n2,short\n3,too,many,fields\n4,c,d\n", 'text/csv');
	my $name = new_sync(object => 'data/rows', %columns);
	my $run  = run_sync($node, $name);
	is("$run->{status} $run->{records_read} $run->{records_invalid} $run->{records_created}", 'completed 4 2 2',
		'CSV, rows of another width are invalid');
	is(sql("SELECT record_number, status, payload IS NOT NULL FROM censync.records
		WHERE run_id = $run->{run_id} ORDER BY 1"), "2|invalid|t\n3|invalid|t", 'CSV, which ones is logged');
	$http->put('rows', "id,name,name\n1,a,b\n", 'text/csv');
	fails('CSV, a name twice', '22P04', qr/column "name" more than once/, qr/./, object => 'data/rows', %columns);
	$http->put('rows', "\"no\"\n1\n", 'text/csv');
	fails('CSV, no key column', '42703', qr/"id"/, qr/./, object => 'data/rows', %columns);
	requests();
	return;
}

sub test_records
{
	my $row = '{"id":1,"name":"a"}';
	my $array = '[{"id": 1, "name": "a"}]';
	my @cases = (
		[ 'the document',       $array,                                                    undef ],
		[ 'the document, said', $array,                                                    '' ],
		[ 'the only array',     qq({"meta": {"n": 1}, "items": $array, "next": null}),     undef ],
		[ 'the only array, deep', qq({"a": {"b": {"c": $array}}}),                         undef ],
		[ 'a pointer',          qq({"other": [9], "data": {"items": $array}, "z": [8]}),   '/data/items' ],
		[ 'a pointer with escapes', qq({"a/b": {"~m": $array}, "x": [1]}),                 '/a~1b/~0m' ],
		[ 'a pointer into an array', qq([{"rows": []}, {"rows": $array}]),                 '/1/rows' ],
		[ 'a pointer to an object', '{"result": {"id": 1, "name": "a"}, "x": [1]}',        '/result' ],
		[ 'the document as the record', '{"id": 1, "name": "a", "tags": [1], "x": [2]}',   '' ],
		[ 'a document without an array', '{"id": 1, "name": "a"}',                         undef ]);

	foreach my $case (@cases)
	{
		my ($title, $body, $pointer) = @$case;
		$http->put('doc', $body);
		reads("records, $title", $row, object => 'data/doc',
			defined $pointer ? (options => { records => $pointer }) : ());
	}
	$http->put('doc', qq({"users": $array, "groups": $array}));
	fails('records, two arrays', '22023', qr/more than one array/, qr/"\/users" or "\/groups"/, object => 'data/doc');
	$http->put('doc', qq({"users": $array, "n": 1}));
	fails('records, wrong pointer', '22023', qr/^response has no records at "\/people"$/, qr/"\/users"/,
		object => 'data/doc', options => { records => '/people' });
	fails('records, pointer to a number', '22023', qr/at "\/n"/, qr/"\/users"/, object => 'data/doc',
		options => { records => '/n' });
	like(error_of("SELECT censync_preview('src', object => 'data/doc', options => '{\"records\": \"users\"}')"),
		qr/ERROR:  22023: .*JSON Pointer/s, 'records, not a pointer');
	requests();
	return;
}

sub test_mappings
{
	my $body = '[{"id": 1, "address": {"city": "Bern", "geo": {"lat": 46.94809}}, "address.zip": "3000", "tags": ["a", "b\"c", null],
		"qty": 7, "meta": {"b": 1, "a": [1.10, "x"]}, "flag": true, "first": "Ann", "last": "Lee"},
		{"id": 2, "address": {"zip": "9", "city": null}, "tags": [], "qty": "8", "meta": [1], "flag": false, "first": "Bo"},
		{"id": 3, "address": "none", "tags": null, "qty": null, "meta": "text", "flag": null, "first": null, "last": "x"}]';
	my $columns = 'id int PRIMARY KEY, city text, zip text, lat numeric, address jsonb, tags text[], tags_json jsonb,
		meta jsonb, twice int, fullname text, origin text, flag boolean';
	my %mappings = (id => 'id', city => 'address.city', zip => 'address.zip', lat => 'address.geo.lat',
		address => 'address', tags => 'tags', tags_json => 'tags', meta => 'meta', flag => 'flag',
		twice => { expression => 'qty::int * 2' },
		fullname => { expression => q{concat_ws(' ', upper(first), last)} },
		origin => { value => 'EU' });

	$http->put('nested', $body);
	my $name = new_sync(object => 'data/nested', columns => $columns, mappings => \%mappings);
	my $run  = run_sync($node, $name);
	is("$run->{status} $run->{records_created}", 'completed 3', 'nested: completed') or diag $run->{error_message};
	is(sql("SELECT id, city, zip, lat, tags, twice, fullname, origin, flag FROM $name ORDER BY id"),
		"1|Bern|3000|46.94809|{a,\"b\\\"c\",NULL}|14|ANN Lee|EU|t\n2||9||{}|16|BO|EU|f\n3|||||" . "|x|EU|",
		'nested: paths, arrays, expressions, constants');
	is(sql("SELECT address, meta, tags_json FROM $name ORDER BY id"), join("\n",
		'{"geo": {"lat": 46.94809}, "city": "Bern"}|{"a": [1.10, "x"], "b": 1}|["a", "b\\"c", null]',
		'{"zip": "9", "city": null}|[1]|[]', '"none"|"text"|'), 'nested: objects and arrays as jsonb');
	is(run_sync($node, $name)->{records_unchanged}, 3, 'nested: the second run finds nothing to do');

	fails('mapping of what no record has', '42703', qr/^no record of the source has "address.street"$/, qr/preview/,
		object => 'data/nested', mappings => { id => 'id', name => 'address.street' });
	fails('expression over what no record has', '42703', qr/^no record of the source has "street"$/, qr/preview/,
		object => 'data/nested', mappings => { id => 'id', name => { expression => 'upper(street)' } });
	fails('a key that no record has', '42703', qr/^no record of the source has "key"$/, qr/preview/,
		object => 'data/nested', columns => 'key int PRIMARY KEY, flag text');
	requests();
	return;
}

# A field that a record leaves out is null; one that all leave out is not touched.
sub test_optional_fields
{
	$http->put('optional', '[{"id": 1}, {"id": 2, "late": "x"}]');
	my $name = new_sync(object => 'data/optional', columns => q{id int PRIMARY KEY, late text, never text DEFAULT 'd'});
	sql("INSERT INTO $name VALUES (1, 'old', 'keep')");
	my $run = run_sync($node, $name);
	is("$run->{records_updated} $run->{records_created}", '1 1', 'optional fields: one update, one insert');
	is(sql("SELECT * FROM $name ORDER BY id"), "1||keep\n2|x|d", 'optional fields: rows');
	requests();
	return;
}

# Reads the seven records page by page; the rows, the pages' queries, and the number of requests.
sub pages
{
	my ($title, $object, $options, $expected) = @_;
	requests();
	reads($title, seven_rows(), object => $object, options => $options);
	my @requests = requests();
	is(scalar @requests, scalar @$expected, "$title: number of requests");
	for my $i (0 .. $#$expected)
	{
		my %query = %{ $requests[$i]{query} };
		my %want  = %{ $expected->[$i] };
		is_deeply({ map { $_ => $query{$_} } keys %want }, \%want, "$title: request " . ($i + 1));
	}
	return @requests;
}

sub test_link
{
	my %options = (pagination => 'link');
	foreach my $form ('nasty', 'plain', 'headers', 'relative')
	{
		my @requests = pages("link, $form", "pages/link?set=seven&size=3&form=$form", \%options,
			[ { after => undef }, { size => 3 }, { size => 3 } ]);
		like($requests[1]{query}{after}, qr/^a,b:/, "link, $form: the token is sent as it came");
		is($requests[0]{connection}, $requests[2]{connection}, "link, $form: the connection is kept");
	}
	pages('link, one page', 'pages/link?set=seven&size=10', \%options, [ {} ]);
	return;
}

sub test_cursor
{
	my %options = (pagination => 'cursor', records => '/data');
	foreach my $end ('null', 'missing', 'empty')
	{
		my @requests = pages("cursor, $end at the end", "pages/cursor?set=seven&size=3&end=$end", \%options,
			[ { cursor => undef }, { size => 3, end => $end }, { size => 3, end => $end } ]);
		like($requests[1]{query}{cursor}, qr/^\+\+/, "cursor, $end at the end: encoded well enough to come through");
		pages("cursor, $end at the end, has_more", "pages/cursor?set=seven&size=3&end=$end",
			{ %options, has_more_path => '/has_more' }, [ {}, {}, {} ]);
	}
	pages('cursor, announced total', 'pages/cursor?set=seven&size=3&lie_total=7',
		{ %options, total_path => '/total' }, [ {}, {}, {} ]);
	pages('cursor, the server caps the page', 'pages/cursor?set=seven&size=100&cap=2', \%options, [ {}, {}, {}, {} ]);
	fails('cursor, total not reached', 'HV000', qr/announced 8 records and sent 7/, qr/./,
		object => 'pages/cursor?set=seven&size=3&lie_total=8', options => { %options, total_path => '/total' });
	fails('cursor, no has_more', 'HV000', qr/no usable value at "\/more"/, qr/has_more_path/,
		object => 'pages/cursor?set=seven', options => { %options, has_more_path => '/more' });
	fails('cursor, no total', 'HV000', qr/no usable value at "\/total"/, qr/total_path/,
		object => 'pages/cursor?set=seven', options => { %options, total_path => '/total' });
	return;
}

sub test_next_url
{
	my %options = (pagination => 'next_url', records => '/results');
	foreach my $form ('absolute', 'relative', 'query')
	{
		pages("next_url, $form", "pages/next_url?set=seven&size=3&form=$form", \%options,
			[ { page => undef }, { page => 2 }, { page => 3 } ]);
	}
	pages('next_url, HAL', 'pages/next_url?set=seven&size=3&form=hal',
		{ pagination => 'next_url', records => '/items', next_url_path => '/_links/next/href' },
		[ {}, { page => 2 }, { page => 3 } ]);
	pages('next_url, announced total', 'pages/next_url?set=seven&size=3', { %options, total_path => '/count' }, [ {}, {}, {} ]);
	# Another name of the same address is another origin.
	fails('next_url, another host', '08P01', qr/^the next page is on another host$/, qr/server's url/,
		object => 'pages/next_url?set=seven&foreign=' . $http->url('', 'localhost'), options => \%options);
	is(scalar(grep { $_->{headers}{host} =~ /^localhost/ } requests()), 0, 'next_url, another host: not asked');
	return;
}

sub test_page_number
{
	my %options = (pagination => 'page', records => '/data');
	my @three = ({ page => 1 }, { page => 2 }, { page => 3 });

	pages('page, until an empty one', 'pages/page?set=seven&size=3&totals=0', \%options, [ @three, { page => 4 } ]);
	pages('page, total_pages', 'pages/page?set=seven&size=3', { %options, total_pages_path => '/total_pages' }, \@three);
	pages('page, from 0', 'pages/page?set=seven&size=3&base=0',
		{ %options, page_start => 0, total_pages_path => '/total_pages' }, [ { page => 0 }, { page => 1 }, { page => 2 } ]);
	pages('page, its size', 'pages/page?set=seven&totals=0',
		{ %options, page_size => 5, page_size_param => 'per_page' },
		[ map { { page => $_, per_page => 5 } } 1 .. 3 ]);
	# A short page ends nothing: here the server never gives more than two.
	pages('page, the server caps it', 'pages/page?set=seven&totals=0&cap=2',
		{ %options, page_size => 5, page_size_param => 'per_page' }, [ map { { page => $_ } } 1 .. 5 ]);
	fails('page, no total_pages', 'HV000', qr/no usable value at "\/total_pages"/, qr/total_pages_path/,
		object => 'pages/page?set=seven&totals=0', options => { %options, total_pages_path => '/total_pages' });
	like(error_of(q{SELECT censync_preview('src', object => 'pages/page?set=seven',
		options => '{"pagination": "page", "page_size": 5}')}),
		qr/ERROR:  22023: option "page_size" needs option "page_size_param"/, 'page, a size and no parameter');
	return;
}

sub test_offset
{
	my %options = (pagination => 'offset', records => '/items');

	# Of full pages; what is asked for in vain behind one that is not, 035_ahead.pl tells.
	pages('offset, until an empty page', 'pages/offset?set=seven&totals=0', { %options, page_size => 1 },
		[ map { { offset => $_, limit => 1 } } 0 .. 7 ]);
	pages('offset, total', 'pages/offset?set=seven', { %options, page_size => 3, total_path => '/total' },
		[ map { { offset => $_, limit => 3 } } 0, 3, 6 ]);
	# It goes on from what came, not from what was asked for.
	pages('offset, the server caps the page', 'pages/offset?set=seven&cap=2',
		{ %options, page_size => 5, total_path => '/total' }, [ map { { offset => $_ } } 0, 2, 4, 6 ]);
	pages('offset, no size', 'pages/offset?set=seven', { %options, total_path => '/total' },
		[ map { { offset => $_ } } 0, 2, 4, 6 ]);
	return;
}

# An empty page in the middle is not the end where the source says how it goes on.
sub test_empty_pages
{
	pages('empty page, link', 'pages/link?set=seven&size=3&empty_at=2', { pagination => 'link' }, [ {}, {}, {}, {} ]);
	pages('empty page, cursor', 'pages/cursor?set=seven&size=3&empty_at=1',
		{ pagination => 'cursor', records => '/data' }, [ {}, {}, {}, {} ]);
	pages('empty page, next_url', 'pages/next_url?set=seven&size=3&empty_at=2',
		{ pagination => 'next_url', records => '/results' }, [ {}, {}, {}, {} ]);
	return;
}

sub test_nearer_option_wins
{
	$http->put('two', '{"a": [{"id": 1, "name": "of a"}], "b": [{"id": 2, "name": "of b"}], "c": [{"id": 3, "name": "of c"}]}');
	create_server($node, 'near', $http, records => '/a', headers => '{"X-Who": "server", "X-Only": "server"}');
	reads('option of the server', '{"id":1,"name":"of a"}', server => 'near', object => 'data/two');
	reads('option of the sync', '{"id":3,"name":"of c"}', server => 'near', object => 'data/two',
		options => { records => '/c', headers => '{"X-Who": "sync"}' });
	sql(q{CREATE FOREIGN TABLE near_table (id int, name text) SERVER near
		OPTIONS (object 'data/two', records '/b', headers '{"X-Who": "table"}');
		CREATE FOREIGN TABLE far_table (id int, name text) SERVER near OPTIONS (object 'data/two')});
	is(sql('SELECT * FROM near_table'), '2|of b', 'option of the foreign table');
	is(sql('SELECT * FROM far_table'), '1|of a', 'option of the server, for a foreign table');
	is(join(' ', map { ($_->{headers}{'x-who'} // '-') . '/' . ($_->{headers}{'x-only'} // '-') } requests()),
		'server/server sync/- table/- server/server', 'headers of the nearest, and of that alone');

	$http->put('one', "id,name\n1,csv\n", 'text/csv');
	create_server($node, 'near_csv', $http, format => 'json', pagination => 'page', records => '/data');
	reads('format and pagination of the sync', '{"id":1,"name":"csv"}', server => 'near_csv', object => 'data/one',
		options => { format => 'csv', pagination => 'none' });
	requests();
	is(sql(q{SELECT count(*) FROM censync_preview('near_csv', object => 'pages/page?set=seven&size=3', "limit" => 100)}), 7,
		'pagination of the server');
	requests();
	return;
}

# The object is a path below the server's url, which may have a query of its own.
sub test_objects
{
	create_server($node, 'deep', $http, url => $http->url('/pages'));
	reads('object below a path', seven_rows(), server => 'deep', object => 'page?set=seven&size=10', options => { records => '/data' });
	reads('object with a slash', seven_rows(), server => 'deep', object => '/page?set=seven&size=10', options => { records => '/data' });
	create_server($node, 'slash', $http, url => $http->url('/pages/'));
	reads('url with a slash', seven_rows(), server => 'slash', object => 'page?set=seven&size=10', options => { records => '/data' });
	create_server($node, 'query', $http, url => $http->url('/pages/page?set=seven'));
	reads('url with a query', seven_rows(), server => 'query', object => '?size=10', options => { records => '/data' });
	reads('no object', seven_rows(), server => 'query', options => { records => '/data', pagination => 'page' });
	is_deeply([ map { $_->{path} } requests() ], [ ('/pages/page') x 4, ('/pages/page') x 5 ], 'the paths asked for');

	# Neither may lead to another host.
	foreach my $object ('http://127.0.0.2/x', 'file:///etc/passwd', '\\\\127.0.0.2\\x', "a\nb")
	{
		like(error_of("SELECT censync_preview('src', object => " . sql_literal($object) . ')'),
			qr/ERROR:  22023: invalid object/, "object $object: refused");
	}
	is(scalar(requests()), 0, 'such objects are not asked for');
	run_sync($node, new_sync(object => '//127.0.0.2/x'));
	is(join(' ', map { "$_->{headers}{host}$_->{target}" } requests()), '127.0.0.1:' . $http->port . '/127.0.0.2/x',
		'slashes in front lead to no other host');
	return;
}

sub test_no_auth
{
	create_server($node, 'bare', $http, mapping => {});
	reads('an empty user mapping', seven_rows(), server => 'bare', object => 'data/seven');
	is(scalar(grep { exists $_->{headers}{authorization} || exists $_->{headers}{'x-api-key'} } requests()), 0,
		'no credentials, no header');
	return;
}

sub test_keys_and_passwords
{
	my $key = 'k3y/+=&%"x';
	my @cases = (
		[ 'basic',          { user => 'etl', password => "p:\xc3\xa4\"\\x" }, 'auth/basic', '401' ],
		[ 'bearer',         { token => 'tok-9f3a.B~+/==' }, 'auth/bearer', '401' ],
		[ 'key in X-API-Key', { api_key => $key }, 'auth/api_key_header', '401' ],
		[ 'key in another header', { api_key => $key, api_key_header => 'X-Secret' }, 'auth/api_key_header?header=X-Secret', '401' ],
		[ 'key in the query', { api_key => $key, api_key_parameter => 'api_key' }, 'auth/api_key_query', '401' ]);

	foreach my $case (@cases)
	{
		my ($title, $mapping, $object, $status) = @$case;
		(my $server = "auth $title") =~ s/ /_/g;
		create_server($node, $server, $http, mapping => $mapping);
		reads("auth, $title", $let_in, server => $server, object => $object);
		fails("auth, $title, without", '28000', qr/HTTP status $status/, qr/user mapping/, object => $object);

		my %wrong = %$mapping;
		$wrong{ (grep { /password|token|api_key$/ } keys %wrong)[0] } = 'wrong-secret';
		create_server($node, "${server}_wrong", $http, mapping => \%wrong);
		my $run = fails("auth, $title, wrong", '28000', qr/HTTP status 40[13]/, qr/user mapping/,
			server => "${server}_wrong", object => $object);
		unlike($json->encode($run), qr/wrong-secret/, "auth, $title, wrong: the secret is not shown");
	}
	# Credentials go along from page to page, and are no part of the next address.
	reads('auth, pages with a key in the query', seven_rows(), server => 'auth_key_in_the_query',
		object => 'auth/api_key_query/pages/link?set=seven&size=3', options => { pagination => 'link' });
	my @requests = grep { $_->{path} =~ /link/ } requests();
	is(scalar(grep { $_->{target} =~ /[?&]api_key=k3y%2F%2B%3D%26%25%22x(?:&|$)/ } @requests), 3,
		'auth, the key is sent with each page');

	like(error_of("CREATE USER MAPPING FOR PUBLIC SERVER src OPTIONS (token 'x123', api_key 'y123')"),
		qr/ERROR:  22023: conflicting credentials/, 'auth, two kinds at once');
	unlike(error_of("CREATE USER MAPPING FOR PUBLIC SERVER src OPTIONS (token 'x123', api_key 'y123')"),
		qr/[xy]123.*HINT/s, 'auth, and no secret in that message');
	return;
}

sub test_oauth
{
	my $secret  = "s3cr:t/+=&% \xc3\xbc";
	my %client  = (client_id => 'census-client', client_secret => $secret, scope => 'read');
	my $token   = sub { return $http->url('/oauth/token' . ($_[0] // '')) };
	my $counts  = sub {
		return join ' ', map { ($_->{path} eq '/oauth/token' ? 'token' : 'data') . ":$_->{status}" } @_;
	};

	foreach my $form ('basic', 'body')
	{
		create_server($node, "oauth_$form", $http,
			mapping => { %client, token_url => $token->(), client_auth => $form });
		requests();
		reads("OAuth, $form", seven_rows(), server => "oauth_$form",
			object => 'auth/oauth/pages/link?set=seven&size=3', options => { pagination => 'link' });
		my @log = requests();
		is(exists $log[0]{headers}{authorization} ? 'basic' : 'body', $form, "OAuth, $form: where the secret is");
		is($counts->(@log), 'token:200 data:200 data:200 data:200', "OAuth, $form: one token for all pages");
	}

	# A token that is good for two requests, and says that it lasts an hour.
	create_server($node, 'oauth_short', $http, mapping => { %client, token_url => $token->('?uses=2') });
	reads('OAuth, expired between pages', seven_rows(), server => 'oauth_short',
		object => 'auth/oauth/pages/cursor?set=seven&size=2', options => { pagination => 'cursor', records => '/data' });
	is($counts->(requests()), 'token:200 data:200 data:200 data:401 token:200 data:200 data:200', 'OAuth, renewed once each time');

	# One that never works is not renewed for ever.
	create_server($node, 'oauth_never', $http, mapping => { %client, token_url => $token->('?uses=0') });
	fails('OAuth, never good', '28000', qr/HTTP status 401/, qr/user mapping/, server => 'oauth_never',
		object => 'auth/oauth');
	is($counts->(requests()), 'token:200 data:401 token:200 data:401', 'OAuth, never good: renewed once');

	# Known to be over: renewed before it is refused.
	foreach my $form ('number', 'string')
	{
		create_server($node, "oauth_1s_$form", $http,
			mapping => { %client, token_url => $token->("?expires_in=1&expires_form=$form") });
		reads("OAuth, one second ($form)", seven_rows(), server => "oauth_1s_$form",
			object => 'auth/oauth/pages/cursor?set=seven&size=4&pause=1.1',
			options => { pagination => 'cursor', records => '/data' });
		unlike($counts->(requests()), qr/401/, "OAuth, one second ($form): renewed in time");
	}
	create_server($node, 'oauth_missing', $http, mapping => { %client, token_url => $token->('?expires_form=missing') });
	reads('OAuth, no expires_in', $let_in, server => 'oauth_missing', object => 'auth/oauth');

	create_server($node, 'oauth_wrong', $http, mapping => { %client, client_secret => 'not-the-secret', token_url => $token->() });
	my $run = fails('OAuth, wrong secret', '28000', qr/^the token endpoint refused the client$/, qr/client_secret/,
		server => 'oauth_wrong', object => 'auth/oauth');
	unlike($json->encode($run), qr/not-the-secret/, 'OAuth, wrong secret: not shown');
	create_server($node, 'oauth_404', $http, mapping => { %client, token_url => $http->url('/nowhere') });
	$run = run_sync($node, new_sync(server => 'oauth_404', object => 'auth/oauth'));
	is($run->{status}, 'failed', 'OAuth, no token endpoint');
	like($run->{error_hint} // '', qr/token_url/, 'OAuth, no token endpoint: hint');
	requests();
	return;
}

sub test_headers
{
	reads('headers', seven_rows(), object => 'data/seven',
		options => { headers => { 'X-Tenant' => "a \"b\" c", 'Accept-Language' => 'de' } });
	my ($request) = requests();
	is("$request->{headers}{'x-tenant'} $request->{headers}{'accept-language'}", 'a "b" c de', 'headers are sent');
	foreach my $headers ('{"Authorization": "x"}', '{"Host": "x"}', '{"A": 1}', '["A"]', 'A: b', "{\"A\": \"b\\r\\nC: d\"}")
	{
		like(error_of("ALTER SERVER src OPTIONS (ADD headers " . sql_literal($headers) . ')'),
			qr/ERROR:  22023: invalid value for option "headers"/, "headers $headers: refused");
	}
	return;
}

sub test_rate_limit
{
	create_server($node, 'slow', $http, rate_limit => '5/s');
	requests();
	my $run = reads('rate limit', seven_rows(), server => 'slow', object => 'pages/link?set=seven&size=2', options => { pagination => 'link' });
	is(scalar(requests()), 4, 'rate limit: four requests');
	# A request is logged some time after it was made, so the time that the run took counts.
	my $seconds = sql("SELECT extract(epoch FROM finished_at - started_at) FROM censync.runs WHERE run_id = $run->{run_id}");
	cmp_ok($seconds, '>=', 0.6, 'rate limit: three gaps of 0.2 s');
	cmp_ok($seconds, '<=', soon(10), 'rate limit: and not much more');
	return;
}

# The requests of a read that must work, and the seconds between the first two.
sub retried
{
	my ($title, $object, $requests) = @_;
	requests();
	my $start = time;
	reads($title, seven_rows(), object => $object);
	my $took = time - $start;
	my @log = requests();
	is(join(' ', map { $_->{status} } @log), $requests, "$title: requests");
	return ($log[1]{time} - $log[0]{time}, $took);
}

sub test_retries
{
	my $set = 'set=seven';
	my ($gap) = retried('429 with seconds', "bad/429?$set&times=1&retry_after=1&id=1", '429 200');
	cmp_ok($gap, '>=', 0.98, '429 with seconds: waited for them');
	cmp_ok($gap, '<', soon(3), '429 with seconds: and no longer');
	foreach my $form ('imf', 'rfc850', 'asctime')
	{
		($gap) = retried("429 with a date ($form)", "bad/429?$set&times=1&retry_date=2.$form&id=$form", '429 200');
		cmp_ok($gap, '>=', 0.9, "429 with a date ($form): waited for it");
		cmp_ok($gap, '<', soon(4), "429 with a date ($form): and no longer");
	}
	foreach my $status (502, 503, 504)
	{
		($gap) = retried("$status, then 200", "bad/$status?$set&times=1", "$status 200");
		cmp_ok($gap, '>=', 0.2, "$status, then 200: not at once");
	}
	retried('503 twice, then 200', "bad/503?$set&times=2&id=2", '503 503 200');
	retried('connection closed, then 200', "bad/no_answer?$set&times=1", '0 200');

	fails('429 that asks for too long', '53400', qr/HTTP status 429/, qr/Retry-After is "3600".*rate_limit/s,
		object => "bad/429?$set&times=1&retry_after=3600");
	is(scalar(requests()), 1, '429 that asks for too long: not waited for');
	foreach my $status (400, 404, 500, 501)
	{
		run_sync($node, new_sync(object => "bad/$status?$set"));
		is(scalar(requests()), 1, "$status: not tried again");
	}
	# A body that is lost in the middle has been read already: the whole run has to be repeated.
	my $run = run_sync($node, new_sync(object => "bad/cut?$set&times=1"));
	is($run->{status}, 'failed', 'cut in the middle of a body: failed');
	is(scalar(requests()), 1, 'cut in the middle of a body: not tried again');

	my $name = new_sync(object => "bad/503?$set");
	$run = run_sync($node, $name, before => 'SET censync.http_retries = 1');
	is($run->{status}, 'failed', '503 for ever: failed');
	is(scalar(requests()), 2, '503 for ever: as often as censync.http_retries says');
	return;
}

sub test_foreign_tables
{
	$http->put('people', '[{"id": 1, "name": "a", "a.b": 5, "x": {"y": {"z": "deep"}}, "n": 1.50, "big": "never looked at"},
		{"id": 2, "name": null, "x": {"y": null}, "n": 2}, {"id": 3, "name": "c", "big": 7}]');
	sql(q{CREATE FOREIGN TABLE people (id int, who text OPTIONS (source 'name'), dotted int OPTIONS (source 'a.b'),
		z text OPTIONS (source 'x.y.z'), x jsonb, n numeric(5,1), big int) SERVER src OPTIONS (object 'data/people');
		CREATE FOREIGN TABLE whole (id int, name text) SERVER src OPTIONS (object 'data/people');
		CREATE TABLE wanted (id int, label text); INSERT INTO wanted VALUES (1, 'one'), (3, 'three'), (4, 'four')});
	is(sql('SELECT id, who, dotted, z, x, n FROM people ORDER BY id'),
		"1|a|5|deep|{\"y\": {\"z\": \"deep\"}}|1.5\n2||||{\"y\": null}|2.0\n3|c||||", 'foreign table: rows');
	is(sql('SELECT count(*) FROM people'), 3, 'foreign table: no column at all');
	is(sql("SELECT who FROM people WHERE id > 1 AND who = 'c'"), 'c', 'foreign table: conditions');
	is(sql('SELECT to_jsonb(w) FROM whole w LIMIT 1'), '{"id": 1, "name": "a"}', 'foreign table: a whole row');
	is(sql('SELECT label, who FROM wanted JOIN people USING (id) ORDER BY id'), "one|a\nthree|c", 'foreign table: join');
	is(sql('SELECT tableoid::regclass FROM people LIMIT 1'), 'people', 'foreign table: system columns');
	like(error_of('SELECT big FROM people'), qr/ERROR:  22P02: invalid input syntax for type integer: "never looked at"/,
		'foreign table: a value that does not fit is an error');
	requests();
	is(sql(q{SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off;
		SELECT label, who FROM wanted LEFT JOIN LATERAL (SELECT who FROM people p WHERE p.id = wanted.id OFFSET 0) s ON true
		ORDER BY wanted.id}), "one|a\nthree|c\nfour|", 'foreign table: scanned again for each row');
	is(scalar(requests()), 3, 'foreign table: asked again for each row');

	# Stopping early ends the request; the session goes on.
	sql(q{CREATE FOREIGN TABLE many (id int, name text) SERVER src OPTIONS (object 'gen/ndjson?rows=2000000')});
	my $start = time;
	is(sql('SELECT id, name FROM many LIMIT 2'), "1000000000|Customer 1000000000\n1000000001|Customer 1000000001", 'foreign table: LIMIT');
	cmp_ok(time - $start, '<', soon(3), 'foreign table: LIMIT does not read it all');
	ok($http->wait_state(sub { $_->{busy} == 0 }, 10), 'foreign table: LIMIT ends the request');
	is(sql('BEGIN; DECLARE c CURSOR FOR SELECT id FROM many; FETCH 1 FROM c; CLOSE c; COMMIT; SELECT count(*) FROM people'),
		"1000000000\n3", 'foreign table: a cursor that is closed early');

	like(sql('EXPLAIN (COSTS off) SELECT who FROM people WHERE id = 1'),
		qr/^Foreign Scan on people\n\s+Filter: \(id = 1\)\n\s+Object: data\/people$/, 'foreign table: EXPLAIN');
	requests();
	sql('EXPLAIN SELECT * FROM people');
	is(scalar(requests()), 0, 'foreign table: EXPLAIN asks for nothing');
	like(sql('EXPLAIN (ANALYZE, TIMING off, COSTS off, SUMMARY off) SELECT * FROM many LIMIT 1'), qr/actual rows=1/,
		'foreign table: EXPLAIN ANALYZE');
	foreach my $write ('INSERT INTO people (id) VALUES (9)', 'UPDATE people SET who = NULL', 'DELETE FROM people',
		'TRUNCATE people', 'COPY people (id) FROM STDIN')
	{
		like(error_of($write), qr/ERROR:  (?:0A000|55000|42809): /, "foreign table: $write is refused");
	}
	like(error_of('SELECT * FROM people FOR UPDATE') . 'ok', qr/ok$/, 'foreign table: FOR UPDATE ends');
	like(error_of("CREATE FOREIGN TABLE f (id int) SERVER src OPTIONS (url 'http://x/')"),
		qr/ERROR:  HV00D: invalid option "url".*HINT:  It is an option of the server\./s,
		'foreign table: an option of servers');
	like(error_of('CREATE FOREIGN TABLE f (id int OPTIONS (object $$x$$)) SERVER src'),
		qr/ERROR:  HV00D: invalid option "object".*It is an option of foreign tables\./s, 'foreign table: an option of tables');

	# The same as a source, in the database itself.
	my $name = new_sync(server => undef, query => 'SELECT id, who AS name FROM people');
	is(run_sync($node, $name)->{records_created}, 3, 'foreign table: as the source of a sync');

	# A prepared statement follows its server's options.
	is(sql(q{PREPARE p AS SELECT count(*) FROM people; EXECUTE p;
		ALTER SERVER src OPTIONS (ADD records '/nowhere'); ALTER SERVER src OPTIONS (SET records ''); EXECUTE p}),
		"3\n3", 'foreign table: prepared, and then the server altered');
	sql('ALTER SERVER src OPTIONS (DROP records)');
	return;
}

sub test_preview
{
	is(sql(q{SELECT censync_preview('src', object => 'data/people', "limit" => 1)}),
		'{"n": 1.50, "x": {"y": {"z": "deep"}}, "id": 1, "a.b": 5, "big": "never looked at", "name": "a"}', 'preview: a record as sent');
	$http->put('rows', "id,name,note\n1,,\"\"\n2,b,c\n", 'text/csv');
	is(sql(q{SELECT censync_preview('src', object => 'data/rows')}),
		"{\"id\": \"1\", \"name\": null, \"note\": \"\"}\n{\"id\": \"2\", \"name\": \"b\", \"note\": \"c\"}", 'preview: CSV');
	requests();
	is(sql(q{SELECT count(*) FROM censync_preview('src', object => 'gen/json?rows=100000')}), 10, 'preview: ten by default');
	is(sql(q{SELECT count(*) FROM censync_preview('src', object => 'data/seven', "limit" => 0)}), 0, 'preview: none');
	is(scalar(requests()), 1, 'preview: none asks for nothing');
	is(sql(q{SELECT string_agg(p ->> 'id', ',') FROM censync_preview('src', object => 'pages/cursor?set=seven&size=2', "limit" => 5,
		options => '{"pagination": "cursor", "records": "/data"}') p}), '1,2,3,4,5', 'preview: over pages');
	is(scalar(requests()), 3, 'preview: no more pages than needed');
	is(sql(q{SELECT count(*) FROM censync_preview('src', object => 'bad/not_object')}), 6, 'preview: shows bad records too');
	like(error_of(q{SELECT censync_preview('src', object => 'bad/404')}), qr/ERROR:  42704: .*HTTP status 404.*HINT:/s, 'preview: 404');
	like(error_of(q{SELECT censync_preview('src', query => 'SELECT 1')}), qr/ERROR:  0A000: .*HINT:  .*object/s, 'preview: a query');
	like(error_of(q{SELECT censync_preview('nowhere')}), qr/ERROR:  42704: server "nowhere" does not exist/, 'preview: no server');
	like(error_of(q{SELECT censync_preview('src', "limit" => -1)}), qr/ERROR:  22023: limit must not be negative/, 'preview: limit');
	return;
}

# The steps of a check, as "name=ok" each; the detail of the last.
sub check
{
	my ($server) = @_;
	my @steps = map { $json->decode($_) } split /\n/, sql("SELECT row_to_json(c) FROM censync_check('$server') c");
	ok(!grep({ $_->{detail} eq '' } @steps), "check of $server: each step has a detail");
	return (join(' ', map { "$_->{step}=" . ($_->{ok} ? 't' : 'f') } @steps), $steps[-1]{detail});
}

sub test_check
{
	socket(my $socket, PF_INET, SOCK_STREAM, 0) or die $!;
	bind($socket, sockaddr_in(0, INADDR_LOOPBACK)) or die $!;
	my ($closed_port) = sockaddr_in(getsockname($socket));
	my $silent = start_http();
	my @cases = (
		[ 'ok', $http->url('/data/seven'), {}, 'resolve=t connect=t tls=t authenticate=t query=t', qr/answered with records$/ ],
		[ 'no record', $http->url('/data/none'), {}, 'resolve=t connect=t tls=t authenticate=t query=t', qr/no record$/ ],
		[ 'name', 'http://no-such-host.invalid/', { connect_timeout => 5 }, 'resolve=f', qr/could not resolve host "no-such-host.invalid"/ ],
		[ 'port', "http://127.0.0.1:$closed_port/", {}, 'resolve=t connect=f', qr/could not connect to "127.0.0.1"/ ],
		[ 'private', 'http://10.1.2.3/', {}, 'resolve=t connect=f', qr/connection to "10.1.2.3" is not allowed.*allowed_hosts/ ],
		[ 'tls', "https://127.0.0.1:" . $http->port . '/', {}, 'resolve=t connect=t tls=f', qr/could not establish a TLS connection/ ],
		[ '401', $http->url('/auth/bearer'), {}, 'resolve=t connect=t tls=t authenticate=f', qr/HTTP status 401.*user mapping/s ],
		[ '403', $http->url('/bad/403'), {}, 'resolve=t connect=t tls=t authenticate=f', qr/HTTP status 403/ ],
		[ '404', $http->url('/data/nothing'), {}, 'resolve=t connect=t tls=t authenticate=t query=f', qr/HTTP status 404/ ],
		[ 'html', $http->url('/bad/html'), {}, 'resolve=t connect=t tls=t authenticate=t query=f', qr/HTML/ ]);

	$http->put('none', '[]');
	foreach my $case (@cases)
	{
		my ($title, $url, $options, $steps, $detail) = @$case;
		create_server($node, "check_$title", $http, url => $url, %$options);
		my ($got, $last) = check_without_retries("check_$title");
		is($got, $steps, "check, $title: steps");
		like($last, $detail, "check, $title: detail");
	}
	create_server($node, 'check_oauth', $http, url => $http->url('/auth/oauth'), mapping => { client_id => 'census-client',
		client_secret => 'wrong-secret', token_url => $http->url('/oauth/token') });
	my ($got, $last) = check('check_oauth');
	is($got, 'resolve=t connect=t tls=t authenticate=f', 'check, OAuth refused: steps');
	unlike($last, qr/wrong-secret/, 'check, OAuth refused: no secret');
	close $socket;
	requests();
	return;
}

# A library that is not preloaded finds what a client has said in place of what the file says. It was not allowed
# to, so it is dropped; that must not open what the file has closed.
sub test_hosts_of_a_client
{
	sql("CREATE ROLE client LOGIN; CALL censync_admit('client', 'operator')");
	create_server($node, 'elsewhere', $http, url => 'https://no-such-host.invalid/', allow_http => undef, connect_timeout => 5);
	sql('GRANT USAGE ON FOREIGN SERVER elsewhere TO client');
	foreach my $list ('', '*', 'no-such-host.invalid', 'a:1')
	{
		local $ENV{PGOPTIONS} = "-c censync.allowed_hosts=$list";
		my (undef, $out, $err) = $node->psql('postgres', q{SELECT detail FROM censync_check('elsewhere') WHERE NOT ok}, extra_params => [ '-U', 'client' ]);
		like($out, qr/^connection to "no-such-host.invalid" is not allowed\. What was given as censync\.allowed_hosts could not be set/, "a client's list: '$list'");
		like($err, qr/WARNING:  permission denied to set parameter "censync.allowed_hosts"/, '... is refused');
	}
	local $ENV{PGOPTIONS} = '-c censync.allowed_hosts=no-such-host.invalid';
	like(sql(q{SELECT detail FROM censync_check('elsewhere') WHERE NOT ok}), qr/could not resolve host/, 'a list of a superuser is in force');
	return;
}

sub check_without_retries
{
	my ($server) = @_;
	sql('ALTER ROLE CURRENT_USER SET censync.http_retries = 0');
	my @result = check($server);
	sql('ALTER ROLE CURRENT_USER RESET censync.http_retries');
	return @result;
}

sub test_tls
{
	my $tls   = start_http(tls => 1);
	my $wrong = start_http(tls => 'DNS:elsewhere.example.com');

	$_->put('seven', $seven) foreach $tls, $wrong;
	create_server($node, 'tls', $tls);
	reads('TLS', seven_rows(), server => 'tls', object => 'data/seven');
	is(($tls->log)[0]{tls} ? 1 : 0, 1, 'TLS: it was TLS');
	create_server($node, 'tls_name', $tls, url => $tls->url('', 'localhost'));
	reads('TLS, by name', seven_rows(), server => 'tls_name', object => 'data/seven');
	reads('TLS, closed with goodbye', seven_rows(), server => 'tls', object => 'data/seven?close=1');
	my $run = run_sync($node, new_sync(server => 'tls', object => 'data/seven?close=silent'));
	is($run->{status}, 'failed', 'TLS, closed without goodbye: not taken for the end');
	create_server($node, 'tls_unknown', $tls, ca_file => undef);
	fails('TLS, unknown authority', '08001', qr/^the certificate of "127.0.0.1" could not be verified$/, qr/ca_file/,
		server => 'tls_unknown', object => 'data/seven');
	create_server($node, 'tls_other', $tls, ca_file => $wrong->ca_file);
	fails('TLS, another authority', '08001', qr/could not be verified/, qr/ca_file/, server => 'tls_other', object => 'data/seven');
	create_server($node, 'tls_wrong', $wrong);
	fails('TLS, wrong host name', '08001', qr/could not be verified/, qr/valid for this host name/,
		server => 'tls_wrong', object => 'data/seven');
	create_server($node, 'tls_no_file', $tls, ca_file => '/nonexistent/ca.pem');
	fails('TLS, no such file', '08001', qr/could not load the certificates/, qr/ca_file/, server => 'tls_no_file', object => 'data/seven');
	is(scalar(grep { $_->{path} ne '/data/seven' } $tls->log) + scalar($wrong->log), 0, 'TLS: nothing was sent before the check');

	my ($steps, $detail) = check('tls_unknown');
	is($steps, 'resolve=t connect=t tls=f', 'check, TLS: steps');
	like($detail, qr/could not be verified/, 'check, TLS: detail');
	create_server($node, 'tls_check', $tls, url => $tls->url('/data/seven'));
	($steps, $detail) = check('tls_check');
	is($steps, 'resolve=t connect=t tls=t authenticate=t query=t', 'check, TLS: ok');

	# Not without TLS unless the server object says so.
	create_server($node, 'plain', $http, allow_http => undef);
	fails('plain http', '42501', qr/^connection to "127.0.0.1" without TLS is not allowed$/, qr/allow_http/,
		server => 'plain', object => 'data/seven');
	# Nor by a redirect.
	$run = fails('redirect from TLS to plain http', '08P01', qr/^can't follow a redirect/, qr/./, server => 'tls',
		object => 'bad/redirect?to=' . $http->url('/data/seven'));
	like($run->{error_detail}, qr/from https to plain http/, 'redirect from TLS to plain http: detail');
	sql('CREATE ROLE unprivileged; GRANT USAGE ON FOREIGN DATA WRAPPER censync TO unprivileged');
	foreach my $option ("allow_http 'true'", "ca_file '/etc/passwd'")
	{
		like(error_of("SET ROLE unprivileged; CREATE SERVER own TYPE 'http' FOREIGN DATA WRAPPER censync OPTIONS (url 'https://x/', $option)"),
			qr/ERROR:  42501: only a superuser may set option/, "$option: for superusers");
	}
	return;
}
