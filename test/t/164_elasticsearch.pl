# Elasticsearch and OpenSearch as sources, read from a fake one that refuses what they would refuse.
use strict;
use warnings;

use FindBin;
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

use lib "$FindBin::RealBin/../perl";
use CensyncFake;
use CensyncPredicates;
use CensyncTest;

my $secret   = 'Sup3r-s3cret-word';
my $api_key  = 'VuaCfGcBCdbkQm-e5aOK:ui2lp2axTNmsyakw9tvNnw';
my $encoded  = encode_base64($api_key, '');
my $basic    = 'Basic ' . encode_base64("reader:$secret", '');
my $json     = JSON::PP->new->canonical;
my $plain    = JSON::PP->new->canonical->pretty(0);
my $fake = CensyncFake->new('elasticsearch.py');
my @failures;

my %orders = (
	indices => {
		'orders-1' => { mapping => { properties => { id => { type => 'long' }, name => { type => 'keyword' } } },
			docs => [ map { [ "a$_", qq({"id":$_,"name":"n$_"}) ] } 1 .. 3 ] },
		'orders-2' => { mapping => { properties => { id => { type => 'integer' }, name => { type => 'text' } } },
			docs => [ map { [ "b$_", qq({"id":"$_","name":"n$_"}) ] } 4 .. 5 ] } },
	aliases => { orders => [ 'orders-1', 'orders-2' ] });

# What the documents of 4.7 (B) would have.
my $sample_mapping = {
	properties => {
		id => { type => 'long' }, tags => { type => 'keyword' }, when => { type => 'date' }, loc => { type => 'geo_point' },
		o => { properties => { k => { type => 'keyword' } } },
		lines => { type => 'nested', properties => { sku => { type => 'keyword' }, qty => { type => 'long' } } } } };


my $node = new_node('main', "censync.http_retries = 2");
my $base = $fake->url;

servers();
test_sql();
test_sql_samples();
test_documents();
test_ahead();
test_document_samples();
test_types();
test_vectors();
test_bad_document();
test_search_bodies();
test_conditions();
test_incremental();
test_mappings();
test_errors();
test_lies_and_cuts();
test_opensearch();
test_login();
test_discovery();
test_secrets();
done_testing();

sub control { return $fake->control(@_) }

sub fresh
{
	my (%state) = @_;
	$fake->forget_requests;
	control(reset => JSON::PP::true, auth => [$basic], %state);
	return;
}

# The requests since the last fresh, with their bodies decoded.
sub requests { return $fake->requests }

# What is open there when the session that read is gone; the farewell may take a moment.
sub is_closed
{
	my ($what) = @_;
	my $open;
	for (1 .. 50)
	{
		$open = control();
		last unless %{ $open->{pits} } || %{ $open->{cursors} };
		sleep 0.1;
	}
	is_deeply([ $open->{pits}, $open->{cursors} ], [ {}, {} ], "$what: nothing is left open");
	return;
}

sub servers
{
	$node->safe_psql('postgres', qq{
		CREATE SERVER es TYPE 'elasticsearch' FOREIGN DATA WRAPPER censync
		  OPTIONS (base_url '$base/', allow_http 'true', page_size '2');
		CREATE USER MAPPING FOR CURRENT_USER SERVER es OPTIONS (user 'reader', password '$secret');
	});
	return;
}

# Records of a query or object as they are previewed, one JSON text each.
sub preview
{
	my ($what, %options) = @_;
	my ($how, $text) = %$what;
	my $given = $options{options} ? ', options => ' . sql_literal($json->encode($options{options})) : '';
	my ($status, $out, $err) = $node->psql('postgres',
		"SET client_min_messages = warning; SELECT p::text FROM censync_preview('"
		  . ($options{server} // 'es') . "', $how => " . sql_literal($text) . ", \"limit\" => 100$given) p");
	return $status == 0 ? $out : "ERROR $err";
}

# The error of it: its SQLSTATE, and the words.
sub failure
{
	my ($what, %options) = @_;
	my ($how, $text) = %$what;
	my $given = $options{options} ? ', options => ' . sql_literal($json->encode($options{options})) : '';
	my ($status, $out, $err) = $node->psql('postgres',
		"\\set VERBOSITY verbose\nSELECT p::text FROM censync_preview('"
		  . ($options{server} // 'es') . "', $how => " . sql_literal($text) . ", \"limit\" => 100$given) p");
	push @failures, $err;
	return $status == 0 ? "no error: $out" : $err;
}

sub test_sql
{
	fresh(queries => {
		'SELECT id, name FROM "t"' => {
			columns => [ { name => 'id', type => 'long' }, { name => 'name', type => 'keyword' } ],
			rows    => [ map { "[$_,\"n$_\"]" } 1 .. 5 ] },
		'SELECT n' => { columns => [ { name => 'n', type => 'long' } ], rows => [ map { "[$_]" } 1 .. 3000 ] } });
	is(preview({ query => "  SELECT id, name FROM \"t\" ; \n" }),
		join("\n", map { qq({"id": $_, "name": "n$_"}) } 1 .. 5), 'SQL: three pages');
	is_closed('SQL');
	my @sql = grep { $_->{path} eq '/_sql' } requests();
	is_deeply($json->decode($sql[0]{body}),
		{ query => 'SELECT id, name FROM "t"', fetch_size => 2, field_multi_value_leniency => JSON::PP::false,
			request_timeout => '3600s', page_timeout => '5m' }, 'SQL: the first request');
	is_deeply([ map { [ keys %{ $json->decode($_->{body}) } ] } @sql[ 1, 2 ] ], [ ['cursor'], ['cursor'] ],
		'SQL: cursors alone');

	# Somebody who has enough, and one who fails.
	$node->safe_psql('postgres', q{
		CREATE FOREIGN TABLE five (id bigint, name text) SERVER es OPTIONS (query 'SELECT id, name FROM "t"');
		CREATE FOREIGN TABLE long (n bigint) SERVER es OPTIONS (query 'SELECT n', page_size '500');
		SELECT * FROM long LIMIT 1;
	});
	is_closed('SQL, a part');
	cmp_ok(control()->{closed}, '>', 0, 'SQL: the cursor was closed');
	$node->psql('postgres', 'SELECT 1 / (n - 1) FROM long');
	is_closed('SQL, an error');
	is($node->safe_psql('postgres', 'SELECT count(*), sum(id) FROM five'), '5|15', 'SQL: a foreign table');

	# A sync, twice.
	$node->safe_psql('postgres', q{
		CREATE TABLE five_here (id bigint PRIMARY KEY, name text);
		SELECT censync_create_sync('five', 'five_here', 'mirror', server => 'es', query => 'SELECT id, name FROM "t"');
	});
	is(run_sync($node, 'five')->{records_created}, 5, 'SQL: a mirror');
	is(run_sync($node, 'five')->{records_unchanged}, 5, 'SQL: the mirror again');
	is_closed('SQL, a mirror');

	control(queries => {
		'SELECT 1' => { columns => [ { name => 'x', type => 'integer' } ], rows => [] } });
	is(preview({ query => 'SELECT 1' }), '', 'SQL: no rows');
	return;
}

# 4.7 (A) of the reference, byte by byte.
sub test_sql_samples
{
	fresh(rules => [
		{ path => '/_sql', nth => 1, times => 1, body => <<'JSON' },
{"columns":[{"name":"id","type":"long"},{"name":"name","type":"keyword"},{"name":"amount","type":"double"},{"name":"created_at","type":"datetime"},{"name":"loc","type":"geo_point"}],
 "rows":[[1,"a",10.5,"2024-01-02T03:04:05.123Z","POINT (-71.34 41.12)"],[2,null,"NaN",null,null]],"cursor":"n5mQBEQ0FhY2=="}
JSON
		{ path => '/_sql', nth => 2, times => 1, body => <<'JSON' },
{"rows":[[3,"c",0.1,"2024-01-02T03:04:05.123456789Z",null],[4,"",1e20,null,null]],"cursor":"n5mQBEQ0FhY3=="}
JSON
		{ path => '/_sql', nth => 3, times => 1, body => "{\"rows\":[[9223372036854775807,\"z\",0.0,null,null]]}\n" },
		{ path => '/_sql/close', body => '{"succeeded":true}' } ]);
	is(preview({ query => 'SELECT id, name, amount, created_at, loc FROM "orders" ORDER BY id' }), <<'OUT' =~ s/\n\z//r, 'sample (A)');
{"id": 1, "loc": "POINT (-71.34 41.12)", "name": "a", "amount": 10.5, "created_at": "2024-01-02T03:04:05.123+00:00"}
{"id": 2, "loc": null, "name": null, "amount": "NaN", "created_at": null}
{"id": 3, "loc": null, "name": "c", "amount": 0.1, "created_at": "2024-01-02T03:04:05.123457+00:00"}
{"id": 4, "loc": null, "name": "", "amount": 100000000000000000000, "created_at": null}
{"id": 9223372036854775807, "loc": null, "name": "z", "amount": 0, "created_at": null}
OUT
	my @sql = grep { $_->{path} eq '/_sql' } requests();
	is_deeply([ map { $json->decode($_->{body})->{cursor} } @sql ], [ undef, 'n5mQBEQ0FhY2==', 'n5mQBEQ0FhY3==' ],
		'sample (A): each answer\'s cursor');
	return;
}

sub test_documents
{
	fresh(%orders);
	my @expected = ((map { qq({"id": $_, "_id": "a$_", "name": "n$_", "_index": "orders-1"}) } 1 .. 3),
		(map { qq({"id": $_, "_id": "b$_", "name": "n$_", "_index": "orders-2"}) } 4 .. 5));
	foreach my $object ('orders', 'orders-*', 'orders-1,orders-2')
	{
		is(preview({ object => $object }), join("\n", @expected), "documents of $object");
		is_closed("documents of $object");
	}
	my @searches = map { $json->decode($_->{body}) } grep { $_->{path} eq '/_search' } requests();
	is_deeply($searches[0], { size => 2, pit => { id => 'pit-1==', keep_alive => '5m' }, query => { match_all => {} },
		sort => [ { _shard_doc => 'asc' } ], track_total_hits => JSON::PP::true, _source => JSON::PP::true },
		'documents: the first page');
	is_deeply($searches[1], { %{ $searches[0] }, pit => { id => 'pit-2==', keep_alive => '5m' },
		track_total_hits => JSON::PP::false, search_after => [1] }, 'documents: the second page');

	$node->safe_psql('postgres', q{
		CREATE FOREIGN TABLE orders (id bigint, _id text) SERVER es OPTIONS (object 'orders');
		CREATE TABLE orders_here (id bigint PRIMARY KEY, name text);
		SELECT censync_create_sync('orders', 'orders_here', 'mirror', server => 'es', object => 'orders');
	});
	is($node->safe_psql('postgres', 'SELECT string_agg(_id, $$ $$) FROM orders WHERE id > 2'), 'a3 b4 b5', 'documents: a foreign table');
	is(run_sync($node, 'orders')->{records_created}, 5, 'documents: a mirror');
	$fake->forget_requests;
	is($node->safe_psql('postgres', 'SELECT sum(id) FROM orders'), 15, 'documents: one field');
	my ($search) = map { $json->decode($_->{body}) } grep { $_->{path} eq '/_search' } requests();
	is_deeply($search->{_source}, ['id'], 'documents: only what is needed is asked for');
	$node->safe_psql('postgres', 'SELECT * FROM orders LIMIT 1');
	is_closed('documents, a part');
	$node->psql('postgres', 'SELECT 1 / (id - 2) FROM orders');
	is_closed('documents, an error');

	control(indices => { none => { mapping => {}, docs => [] } });
	is(preview({ object => 'none' }), '', 'documents: none');
	is_closed('documents, none');
	return;
}

# The next page is asked for while this one is read, once it has come: before its last row is needed, and once.
sub test_ahead
{
	fresh(indices => { many => { mapping => { properties => { id => { type => 'long' } } },
				docs => [ map { [ "d$_", qq({"id":$_}) ] } 1 .. 10000 ] } },
		queries => { 'SELECT n' => { columns => [ { name => 'n', type => 'long' } ], rows => [ map { "[$_]" } 1 .. 10000 ] } });
	$node->safe_psql('postgres', q{
		CREATE FOREIGN TABLE many (id bigint) SERVER es OPTIONS (object 'many', page_size '4000');
		CREATE FOREIGN TABLE many_sql (n bigint) SERVER es OPTIONS (query 'SELECT n', page_size '3000');
	});
	# The first page of SQL comes with the columns: ahead is the third.
	foreach my $case ([ 'many', qr{^/_search$}, 'id', 2500, 2, 3 ], [ 'many_sql', qr{^/_sql$}, 'n', 4500, 3, 4 ])
	{
		my ($table, $path, $column, $most, $ahead, $all) = @$case;
		$fake->forget_requests;
		is($fake->asked_while_reading($node, $table, $path, $ahead, $most), $ahead, "ahead: $table, the next page is asked for while one is read");
		is_closed("ahead: $table");

		$fake->forget_requests;
		is($node->safe_psql('postgres', "SELECT count(*), sum($column), max($column) FROM $table"), '10000|50005000|10000', "ahead: $table, all rows");
		is($fake->asked($path), $all, "ahead: $table, each page once");
		is_closed("ahead: $table, all");
	}
	return;
}

# 4.7 (B)
sub test_document_samples
{
	my @rules = (
		{ path => '/*/_pit', body => '{"id":"46ToAwMDaWR5BXV1aWQy==","_shards":{"total":2,"successful":2,"skipped":0,"failed":0}}' },
		{ path => '/_pit', body => '{"succeeded":true,"num_freed":2}' });
	my $page = <<'JSON';
{"pit_id":"46ToAwMDaWR5BXV1aWQy==","took":3,"timed_out":false,"_shards":{"total":2,"successful":2,"skipped":0,"failed":0},
 "hits":{"max_score":null,"hits":[
  {"_index":"orders-000001","_id":"a1","_score":null,"_source":{"id":1,"tags":["x","y"],"when":1704164645123,"loc":[-71.34,41.12],"o":{"k":"v"}},"sort":[0]},
  {"_index":"orders-000002","_id":"b7","_score":null,"_source":{"id":"2","tags":"x","when":"2024-01-02","loc":{"lat":41.12,"lon":-71.34},"o.k":"v2","lines":[{"sku":"A","qty":1}]},"sort":[4294967296]}]}}
JSON
	my $empty = '{"pit_id":"46ToAwMDaWR5BXV1aWQy==","took":1,"timed_out":false,"_shards":{"total":2,"successful":2,"skipped":0,"failed":0},"hits":{"max_score":null,"hits":[]}}';
	my $failed = '{"took":12,"timed_out":false,"_shards":{"total":2,"successful":1,"skipped":0,"failed":1,"failures":[{"shard":1,"index":"orders-000002","node":"n1","reason":{"type":"illegal_argument_exception","reason":"Fielddata is disabled on [name]"}}]},"hits":{"max_score":null,"hits":[]}}';
	my %indices = (indices => { map { $_ => { mapping => $sample_mapping, docs => [] } } qw(orders-000001 orders-000002) });

	fresh(%indices, rules => [ @rules, { path => '/_search', nth => 1, times => 1, body => $page }, { path => '/_search', body => $empty } ]);
	is(preview({ object => 'orders-*' }, options => { array_fields => 'tags, lines' }), <<'OUT' =~ s/\n\z//r, 'sample (B)');
{"id": 1, "_id": "a1", "loc": "POINT (-71.34 41.12)", "o.k": "v", "tags": ["x", "y"], "when": "2024-01-02T03:04:05.123+00:00", "lines": null, "_index": "orders-000001"}
{"id": 2, "_id": "b7", "loc": "POINT (-71.34 41.12)", "o.k": "v2", "tags": ["x"], "when": "2024-01-02T00:00:00+00:00", "lines": [{"qty": 1, "sku": "A"}], "_index": "orders-000002"}
OUT
	my @searches = map { $json->decode($_->{body}) } grep { $_->{path} eq '/_search' } requests();
	is_deeply($searches[1]{search_after}, [4294967296], 'sample (B): search_after');
	is_deeply([ map { [ $_->{method}, $_->{path}, $_->{body} ] } (requests())[-1] ],
		[ [ 'DELETE', '/_pit', '{"id":"46ToAwMDaWR5BXV1aWQy=="}' ] ], 'sample (B): the point in time is closed');

	# Into an array, and what has no room for several values.
	$node->safe_psql('postgres', q{
		CREATE TABLE tagged (id bigint PRIMARY KEY, tags text[]);
		SELECT censync_create_sync('tagged', 'tagged', 'upsert', server => 'es', object => 'orders-*',
			options => '{"array_fields": "tags"}');
	});
	control(counts => {});
	is(run_sync($node, 'tagged')->{records_created}, 2, 'arrays: a sync');
	is($node->safe_psql('postgres', 'SELECT * FROM tagged ORDER BY id'), "1|{x,y}\n2|{x}", 'arrays: an array');
	$node->safe_psql('postgres', q{
		CREATE TABLE tag (id bigint PRIMARY KEY, tags text);
		SELECT censync_create_sync('tag', 'tag', 'upsert', server => 'es', object => 'orders-*');
	});
	control(counts => {});
	my $run = run_sync($node, 'tag');
	is("$run->{records_created} $run->{records_invalid}", '1 1', 'arrays: several values are no text');
	like($node->safe_psql('postgres', "SELECT reason FROM censync.records WHERE run_id = $run->{run_id}"),
		qr/several values; option array_fields makes an array of them/, 'arrays: and what to do');

	control(rules => [ @rules, { path => '/_search', body => $failed } ]);
	like(failure({ object => 'orders-*' }),
		qr/HV000: the service could not search all of its shards.*1 of 2 shards failed\. The first: Fielddata is disabled on \[name\]/s,
		'sample (B): a failed shard');
	control(rules => [ @rules, { path => '/_search', body => $empty =~ s/"timed_out":false/"timed_out":true/r } ]);
	like(failure({ object => 'orders-*' }), qr/the service ran out of time, and sent a part/, 'a search that timed out');
	return;
}

# Every type of a mapping, in every form that a document may have it.
sub test_types
{
	my %types = (
		t_bool => 'boolean', t_byte => 'byte', t_short => 'short', t_int => 'integer', t_long => 'long', t_ulong => 'unsigned_long',
		t_half => 'half_float', t_float => 'float', t_double => 'double', t_scaled => 'scaled_float', t_keyword => 'keyword',
		t_text => 'text', t_ip => 'ip', t_version => 'version', t_date => 'date', t_nanos => 'date_nanos', t_bin => 'binary',
		t_point => 'geo_point', t_shape => 'geo_shape', t_flat => 'flattened', t_nested => 'nested', t_range => 'integer_range',
		t_vector => 'dense_vector');
	my %properties = map { $_ => { type => $types{$_} } } keys %types;
	$properties{t_second} = { type => 'date', format => 'epoch_second' };
	$properties{t_custom} = { type => 'date', format => 'yyyy/MM/dd HH:mm:ss||dd.MM.yyyy||epoch_millis' };
	$properties{t_basic}  = { type => 'date', format => 'basic_date' };
	my $i = 0;
	my @docs = (
		[ 't_bool', 'true', 't' ], [ 't_bool', '"false"', 'f' ], [ 't_bool', '""', 'f' ], [ 't_bool', '[true]', 't' ],
		[ 't_byte', '-128', '-128' ], [ 't_short', '"32767"', '32767' ], [ 't_int', '42.9', '42' ], [ 't_int', '-42.9', '-42' ], [ 't_int', '1e3', '1000' ],
		[ 't_long', '9223372036854775807', '9223372036854775807' ], [ 't_long', '"-9223372036854775808"', '-9223372036854775808' ],
		[ 't_long', '[]', '' ], [ 't_long', '[null]', '' ], [ 't_long', '[null, 7]', '7' ],
		[ 't_ulong', '18446744073709551615', '18446744073709551615' ], [ 't_half', '0.5', '0.5' ], [ 't_float', '0.1', '0.1' ],
		[ 't_double', '0.1', '0.1' ], [ 't_double', '"1.5"', '1.5' ], [ 't_double', '1.7976931348623157e308', '1.7976931348623157e+308' ], [ 't_double', '"NaN"', 'NaN' ],
		[ 't_scaled', '10.25', '10.25' ],
		[ 't_keyword', '"a\u0041\n\"\ud83d\ude00"', "aA\n\"\x{1F600}" ], [ 't_keyword', '""', '' ], [ 't_keyword', '12.25', '12.25' ], [ 't_keyword', 'true', 'true' ],
		[ 't_text', '["one"]', 'one' ], [ 't_ip', '"::1"', '::1' ], [ 't_version', '"1.2.3-rc"', '1.2.3-rc' ],
		[ 't_date', '"2024-01-02T03:04:05.123Z"', '2024-01-02 03:04:05.123+00' ], [ 't_date', '"2024-01-02T03:04:05+02:00"', '2024-01-02 01:04:05+00' ],
		[ 't_date', '"2024"', '2024-01-01 00:00:00+00' ], [ 't_date', '"2024-05"', '2024-05-01 00:00:00+00' ], [ 't_date', '"2024-01-02T03"', '2024-01-02 03:00:00+00' ],
		[ 't_date', '1704164645123', '2024-01-02 03:04:05.123+00' ], [ 't_date', '"1704164645123"', '2024-01-02 03:04:05.123+00' ], [ 't_date', '-1', '1969-12-31 23:59:59.999+00' ],
		[ 't_date', '"1815-06-18"', '1815-06-18 00:00:00+00' ], [ 't_date', '1704164645123.456', '2024-01-02 03:04:05.123456+00' ],
		[ 't_nanos', '"2024-01-02T03:04:05.123456789Z"', '2024-01-02 03:04:05.123457+00' ],
		[ 't_second', '1704164645', '2024-01-02 03:04:05+00' ], [ 't_custom', '"2024/01/02 03:04:05"', '2024-01-02 03:04:05+00' ],
		[ 't_custom', '"02.01.2024"', '2024-01-02 00:00:00+00' ], [ 't_custom', '1704164645123', '2024-01-02 03:04:05.123+00' ], [ 't_basic', '"20240102"', '2024-01-02 00:00:00+00' ], [ 't_basic', '20240102', '2024-01-02 00:00:00+00' ],
		[ 't_bin', '"AAH/"', '\x0001ff' ],
		[ 't_point', '{"lat":41.12,"lon":-71.34}', 'POINT (-71.34 41.12)' ], [ 't_point', '"41.12,-71.34"', 'POINT (-71.34 41.12)' ],
		[ 't_point', '[-71.34,41.12]', 'POINT (-71.34 41.12)' ], [ 't_point', '"POINT (-71.34 41.12)"', 'POINT (-71.34 41.12)' ],
		[ 't_point', '{"type":"Point","coordinates":[-71.34,41.12]}', 'POINT (-71.34 41.12)' ], [ 't_point', '[[-71.34,41.12]]', 'POINT (-71.34 41.12)' ],
		[ 't_point', '"s000"', 'POINT (0.17578125 0.087890625)' ],
		[ 't_shape', '"POINT (1 2)"', 'POINT (1 2)' ], [ 't_shape', '{"type": "Point", "coordinates": [1.0, 2.0]}', '{"type": "Point", "coordinates": [1.0, 2.0]}' ],
		[ 't_flat', '{"a":{"b":1.25}}', '{"a": {"b": 1.25}}' ], [ 't_nested', '{"x":1}', '{"x": 1}' ], [ 't_range', '{"gte":1,"lt":5}', '{"lt": 5, "gte": 1}' ],
		[ 't_vector', '[0.5,1]', '[0.5, 1]' ]);
	fresh(indices => { types => { mapping => { properties => { map { my $d = $docs[$_]; ("f$_" => $properties{ $d->[0] }) } 0 .. $#docs } },
		docs => [ [ 'x', '{' . join(',', map { qq("f$_":$docs[$_][1]) } 0 .. $#docs) . '}' ] ] } });
	$node->safe_psql('postgres', q{IMPORT FOREIGN SCHEMA public LIMIT TO (types) FROM SERVER es INTO public});
	for my $n (0 .. $#docs)
	{
		my $got = $node->safe_psql('postgres', "SET timezone = 'UTC'; SELECT f$n FROM types");
		utf8::decode($got);
		is($got, $docs[$n][2], "$docs[$n][0] of $docs[$n][1]");
	}
	is($node->safe_psql('postgres', 'SELECT f12 IS NULL AND f11 IS NULL FROM types'), 't', 'no value is null');

	# What is none.
	my @bad = ([ long => '9223372036854775808', qr/out of range of bigint/ ], [ byte => '128', qr/out of range of smallint|tinyint/ ],
		[ date => '"yesterday"', qr/no date of the format strict_date_optional_time\|\|epoch_millis/ ], [ boolean => '"maybe"', qr/no boolean/ ],
		[ geo_point => '"nowhere!"', qr/no geo_point/ ], [ geo_point => '[[1,2],[3,4]]', qr/several values/ ], [ long => '[1,2]', qr/several values/ ],
		[ keyword => '{"a":1}', qr/an object; option json_fields/ ], [ binary => '"%"', qr/no base64/ ], [ keyword => '"a\u0000b"', qr/unicode|u0000|0x00/i ]);
	for my $case (@bad)
	{
		my ($type, $text, $words) = @$case;
		next if $type eq 'byte';
		fresh(indices => { bad => { mapping => { properties => { f => { type => $type } } }, docs => [ [ 'x', qq({"f":$text}) ] ] } });
		$node->psql('postgres', "DROP FOREIGN TABLE IF EXISTS bad; IMPORT FOREIGN SCHEMA public LIMIT TO (bad) FROM SERVER es INTO public");
		my ($status, $out, $err) = $node->psql('postgres', 'SELECT f FROM bad');
		like($err, $words, "$type of $text");
	}
	return;
}

# Since 9.2 documents come without their vectors, unless the request says otherwise; before, saying so is refused.
sub test_vectors
{
	my %vector = (type => 'dense_vector', dims => 2);
	my %indices = (indices => { vectors => {
			mapping => { properties => { id => { type => 'long' }, v => \%vector } }, docs => [ [ 'x', '{"id":1,"v":[0.5,1]}' ] ] } });
	my $all = '{"exclude_vectors":false}';
	my $some = '{"exclude_vectors":false,"includes":["v"]}';
	fresh(%indices);
	$node->safe_psql('postgres', q{IMPORT FOREIGN SCHEMA public LIMIT TO (vectors) FROM SERVER es INTO public});
	for my $case (
		[ 'before 9.2', 'true', '["v"]', version => '9.1.4' ], [ 'of 9.2', $all, $some, version => '9.2.0' ],
		[ 'of 10', $all, $some, version => '10.0.0' ], [ 'without a server', $all, $some, version => '8.11.0', build => 'serverless' ],
		[ 'of OpenSearch', 'true', '["v"]', flavor => 'opensearch', version => '3.3.0' ],
		[ 'that may be any', $all, $some, version => '9.2.0', rules => [ { path => '/', status => 403, body => '{"error":"no"}' } ] ])
	{
		my ($what, $whole, $part, %state) = @$case;
		fresh(%indices, %state);
		my @sent = searches_of(sub {
			is($node->safe_psql('postgres', 'SELECT id, v FROM vectors'), '1|[0.5, 1]', "vectors $what");
			is($node->safe_psql('postgres', 'SELECT v FROM vectors'), '[0.5, 1]', "vectors $what alone");
		});
		is_deeply([ map { $json->allow_nonref->encode($_->{_source}) } @sent ], [ $whole, $part ], "vectors $what: asked for");
	}
	fresh(%indices, rules => [ { path => '/', status => 403, body => '{"error":"no"}' } ]);
	like(failure({ object => 'vectors' }), qr/0A000: .*exclude_vectors.*cluster privilege "monitor"/s, 'vectors of an old version that is not told');
	fresh();
	return;
}

sub test_bad_document
{
	fresh(indices => { docs => { mapping => { properties => { id => { type => 'long' }, name => { type => 'keyword' } } },
		docs => [ [ 'a', '{"id":1,"name":"x"}' ], [ 'b', '{"id":2,"name":"a\u0000b"}' ], [ 'c', '{"id":3,"name":"z"}' ] ] } });
	$node->safe_psql('postgres', q{
		CREATE TABLE docs_here (id bigint PRIMARY KEY, name text);
		SELECT censync_create_sync('docs', 'docs_here', 'upsert', server => 'es', object => 'docs');
	});
	my $run = run_sync($node, 'docs');
	is("$run->{status} $run->{records_created} $run->{records_invalid}", 'completed 2 1', 'the last document of a page is bad');
	return;
}

sub test_search_bodies
{
	fresh(%orders);
	my %where = (options => { index => 'orders' });
	is(preview({ query => '{"query": {"range": {"id": {"gte": 2}}}, "size": 10}' }, %where), join("\n",
		map { qq({"id": $_, "_id": "a$_", "name": "n$_", "_index": "orders-1"}) } 2, 3), 'a search body')
	  if 0;
	is(preview({ query => ' {"query": {"term": {"name": "n3"}}, "track_total_hits": false, "_source": ["id"]}' }, %where),
		'{"id": 3, "_id": "a3", "name": "n3", "_index": "orders-1"}', 'a search body');
	is_closed('a search body');
	is(preview({ query => '{"sort": [{"name": {"order": "desc"}}], "size": 3}' }, %where) =~ s/.*"id": (\d).*/$1/gr, "5\n4\n3\n2\n1", 'a search body with its order');
	my @searches = map { $json->decode($_->{body}) } grep { $_->{path} eq '/_search' } requests();
	is_deeply($searches[-1]{sort}, [ { name => { order => 'desc' } }, { _shard_doc => 'asc' } ], 'its order, and what makes it one');
	is($searches[-1]{size}, 3, 'its size is that of a page');
	like(failure({ query => '{"aggs": {}}' }, %where), qr/0A000: a search may not have "aggs" here/, 'no aggregations');
	like(failure({ query => '{"from": 10}' }, %where), qr/0A000: a search may not have "from" here/, 'no from');
	like(failure({ query => '{"query": ' }, %where), qr/22032: the query begins with \{ but is no JSON/, 'no JSON');
	like(failure({ query => '{}' }), qr/HV002: a search needs the option "index"/, 'no index');
	like(failure({ query => '{"bogus": 1}' }, %where), qr/42601: the service refused the request: unknown field \[bogus\]/, 'what is unknown there');
	return;
}

# The bodies of the searches meanwhile.
sub searches_of
{
	my ($do) = @_;
	$fake->forget_requests;
	$do->();
	return map { ref $_->{body} ? $_->{body} : $json->decode($_->{body}) } grep { $_->{path} eq '/_search' } requests();
}

# Fields that are compared in an index as here, and those that are not.
sub test_conditions
{
	my %types = (id => 'long', n => 'integer', b => 'byte', ok => 'boolean', k => 'keyword', short => 'keyword', low => 'keyword', t => 'text', at => 'date', f => 'double', hidden => 'keyword', filled => 'keyword', copied => 'keyword', shadow => 'keyword');
	my %properties = map { $_ => { type => $types{$_} } } keys %types;
	$properties{short}{ignore_above} = 3;
	$properties{low}{normalizer} = 'lowercase';
	$properties{hidden}{index} = JSON::PP::false;
	$properties{filled}{null_value} = 'none';
	$properties{k}{copy_to} = 'copied';
	$properties{o} = { properties => { x => { type => 'short' }, 'y.z' => { type => 'keyword' } } };
	my %mapping = (properties => \%properties, runtime => { shadow => { type => 'keyword' } });
	my @docs = (
		{ id => 1, n => 5, b => 1, ok => JSON::PP::true, k => 'a', short => 'abc', low => 'A', t => 'a b', at => '2024-01-02T03:04:05.123456Z', f => 1.5, hidden => 'a', filled => 'a', shadow => 'a', o => { x => 1, y => { z => 'q' } } },
		{ id => 2, n => '7', b => -128, ok => JSON::PP::false, k => 'A', short => 'abcd', low => 'a', t => 'a', at => '2024-01-02T03:04:05.124Z', f => 2, hidden => 'b', filled => undef, shadow => 'b', 'o.x' => 2 },
		{ id => 3, n => 5.7, ok => 'true', k => '', short => '', low => 'b', at => '1969-12-31T23:59:59.999Z' },
		{ id => 4 },
		{ id => 5, n => -2147483648, b => 127, ok => '', k => "it's \"\\", at => '2024-01-02T03:04:05.123Z', o => { x => 3 } });
	fresh(indices => { items => { mapping => \%mapping, docs => [ map { [ "d$_->{id}", $json->encode($_) ] } @docs ] } });
	$node->safe_psql('postgres', q{CREATE FOREIGN TABLE items (_id text, id bigint, n int, b smallint, ok boolean, k text, short text, low text, t text, at timestamptz, f double precision, hidden text, filled text, copied text, shadow text, x smallint OPTIONS (source 'o.x'), z text OPTIONS (source 'o.y.z')) SERVER es OPTIONS (object 'items');
		CREATE TABLE items_copy AS SELECT * FROM items});
	compare_each($node, 'items', 'items_copy', 'id = 3', 'id <> 3', 'id IN (1, 5, 77)', 'n = 5', 'n > 5', 'n <= 5 AND ok', 'n < 3000000000', 'n > -3000000000', 'b < 300', 'b >= 127', 'b IN (1, 300)', 'ok', 'NOT ok', 'ok IS NULL', q{k = 'a'}, q{k = ''}, q{k = 'it''s "\\'}, q{k IN ('A', 'x')}, q{k <> 'a'}, q{k > 'B'},
		q{short = 'abcd'}, q{short = 'abc'}, q{low = 'a'}, q{low = 'A'}, q{t = 'a'}, q{t = 'a b'}, q{at = '2024-01-02 03:04:05.123456Z'}, q{at >= '2024-01-02 03:04:05.123456Z'}, q{at > '2024-01-02 03:04:05.123456Z'}, q{at <= '2024-01-02 03:04:05.123456Z'}, q{at < '2024-01-02 03:04:05.123456Z'}, q{at < '1970-01-01Z'}, q{at >= '1969-12-31 23:59:59.9985Z'}, q{at < 'infinity'}, q{at > '0044-03-15 BC'},
		'f = 1.5', q{hidden = 'a'}, 'hidden IS NULL', 'filled IS NULL', 'filled IS NOT NULL', q{filled = 'a'}, 'copied IS NULL', q{shadow = 'a'}, 'short IS NOT NULL', 'x > 1', q{z = 'q'}, q{_id = 'd2'}, q{_id IN ('d1', 'd9')});
	my $sent = sub { my ($where) = @_; my @bodies = searches_of(sub { $node->safe_psql('postgres', "SELECT count(*) FROM (SELECT id FROM items WHERE $where) s") }); return $json->encode($bodies[0]{query}) };
	is($sent->(q{k = 'a' AND n > 5}), '{"bool":{"filter":[{"range":{"n":{"gt":5}}},{"term":{"k":{"value":"a"}}}],"must":[{"match_all":{}}]}}', 'conditions as filters');
	is($sent->(q{at > '2024-01-02 03:04:05.123456Z'}), '{"bool":{"filter":[{"range":{"at":{"format":"strict_date_optional_time","gte":"2024-01-02T03:04:05.122Z"}}}],"must":[{"match_all":{}}]}}', 'a moment, a millisecond less');
	is($sent->($_), '{"match_all":{}}', "not sent: $_") foreach q{t = 'a'}, q{short = 'abcd'}, q{hidden = 'a'}, q{filled = 'a'}, q{copied = 'a'}, q{shadow = 'a'}, 'f > 1', 'b < 300', q{k > 'a'}, q{at = '2024-01-02Z'}, 'n IS NULL', q{at < 'infinity'};
	is_deeply([ map { $_->{size} } searches_of(sub { is($node->safe_psql('postgres', 'SELECT id FROM items WHERE n > 5 LIMIT 1'), 2, 'a limit') }) ], [1], '... is the size of the page');
	is((map { $_->{size} } searches_of(sub { is($node->safe_psql('postgres', q{SELECT id FROM items WHERE b < 300 LIMIT 1}), 1, 'a condition that is not sent') }))[0], 2, '... leaves it as it is');
	is(remote_statement($node, 'SELECT id FROM items WHERE n > 5 LIMIT 1'), '{"query":{"bool":{"must":[{"match_all":{}}],"filter":[{"range":{"n":{"gt":5}}}]}},"_source":["id","n"],"size":1}', 'EXPLAIN: the search');

	# What one index maps, and another does not, or otherwise.
	fresh(indices => { 'm-1' => { mapping => { properties => { id => { type => 'long' }, k => { type => 'keyword' }, n => { type => 'long' } } }, docs => [ [ a => '{"id":1,"k":"x","n":1}' ] ] },
		'm-2' => { mapping => { dynamic => JSON::PP::false, properties => { id => { type => 'long' }, n => { type => 'integer' } } }, docs => [ [ b => '{"id":2,"k":"x","n":1}' ], [ c => '{"id":3,"k":"y","n":2}' ] ] } });
	$node->safe_psql('postgres', q{CREATE FOREIGN TABLE several (id bigint, k text, n bigint) SERVER es OPTIONS (object 'm-*')});
	is($node->safe_psql('postgres', q{SELECT string_agg(id::text, ' ' ORDER BY id) FROM several WHERE k = 'x'}), '1 2', 'a field that one of the indices does not map');
	is($node->safe_psql('postgres', q{SELECT string_agg(id::text, ' ' ORDER BY id) FROM several WHERE n < 3000000000}), '1 2 3', 'a field of two types');

	# Bodies of searches.
	fresh(%orders);
	foreach my $case ([ '{"query": {"term": {"name": "n3"}}}', '{"bool":{"filter":[{"term":{"_id":{"value":"a3"}}}],"must":[{"term":{"name":"n3"}}]}}' ], [ '{"query": {"term": {"name": "n3"}}, "min_score": 0}', '{"term":{"name":"n3"}}' ])
	{
		my $query = $case->[0] =~ s/'/''/gr;
		$node->safe_psql('postgres', "DROP FOREIGN TABLE IF EXISTS found; CREATE FOREIGN TABLE found (_id text, id bigint) SERVER es OPTIONS (query '$query', index 'orders')");
		my @bodies = searches_of(sub { is($node->safe_psql('postgres', q{SELECT id FROM found WHERE _id = 'a3'}), 3, "a body: $query") });
		is($json->encode($bodies[0]{query}), $case->[1], '... what is sent');
	}
	fresh(queries => { 'SELECT id FROM t' => { columns => [ { name => 'id', type => 'long' } ], rows => [ map { "[$_]" } 1 .. 5 ] } });
	$node->safe_psql('postgres', q{CREATE FOREIGN TABLE by_sql (id bigint) SERVER es OPTIONS (query 'SELECT id FROM t')});
	is($node->safe_psql('postgres', 'SELECT id FROM by_sql WHERE id = 4'), 4, 'SQL: a condition is checked here');
	is($node->safe_psql('postgres', 'SELECT id FROM by_sql LIMIT 1'), 1, 'SQL: a limit');
	is((map { (ref $_->{body} ? $_->{body} : $json->decode($_->{body}))->{fetch_size} } grep { $_->{path} eq '/_sql' && (ref $_->{body} ? $json->encode($_->{body}) : $_->{body}) =~ /fetch_size/ } requests())[-1], 1, '... is the size of its page');
	return;
}

sub test_incremental
{
	my %mapping = (properties => { id => { type => 'long' }, at => { type => 'date' } });
	my @docs = ([ a => '{"id":1,"at":"2024-01-02T03:04:05.1236Z"}' ], [ b => '{"id":2}' ]);
	my $serve = sub { fresh(indices => { log => { mapping => \%mapping, docs => \@docs } }) };
	my $result;
	my $run = sub { $serve->(); my @bodies = searches_of(sub { $result = run_sync($node, 'log') }); return $json->encode($bodies[0]{query}) };
	$serve->();
	$node->safe_psql('postgres', q{CREATE TABLE log (id bigint PRIMARY KEY, at timestamptz CHECK (at <> '2024-01-02 03:04:06Z'));
		SELECT censync_create_sync('log', 'log', 'upsert', server => 'es', object => 'log', mappings => '{"id": "id", "at": "at"}', options => '{"cursor_column": "at", "max_rejected": 1}')});
	is($run->(), '{"match_all":{}}', 'incremental: the first run reads all');
	is($result->{records_read}, 2, '... documents');
	push @docs, [ c => '{"id":3,"at":"2024-01-02T03:04:05.1236Z"}' ], [ d => '{"id":4,"at":"2024-01-02T03:04:06Z"}' ], [ e => '{"id":5,"at":"2024-01-02T03:04:07Z"}' ], [ f => '{"id":6,"at":"2024-01-02T03:04:05.1Z"}' ];
	is($run->(), '{"bool":{"filter":[{"bool":{"minimum_should_match":1,"should":[{"range":{"at":{"format":"strict_date_optional_time","gte":"2024-01-02T03:04:05.122Z"}}},{"bool":{"must_not":[{"exists":{"field":"at"}}]}}]}}],"must":[{"match_all":{}}]}}', '... later ones what is new, and what has no cursor');
	is("$result->{records_read} $result->{records_created} $result->{records_rejected}", '5 2 1', '... and what is rejected');
	$run->();
	is($result->{records_read}, 3, '... which comes again');
	# Nobody knows where a cursor that can't be read stands.
	@docs = ([ a => '{"id":1,"at":"2024-01-02T03:04:05Z"}' ], [ b => '{"id":2,"at":"2024-02-30T00:00:00Z"}' ]);
	$serve->();
	$node->safe_psql('postgres', q{CREATE TABLE odd (id bigint PRIMARY KEY, at timestamptz);
		SELECT censync_create_sync('odd', 'odd', 'upsert', server => 'es', object => 'log', mappings => '{"id": "id", "at": "at"}', options => '{"cursor_column": "at", "max_rejected": 1}')});
	my $watermark = sub { $serve->(); my $odd = run_sync($node, 'odd'); return "$odd->{records_read} $odd->{records_invalid} " . $node->safe_psql('postgres', q{SET timezone = 'UTC'; SELECT watermark FROM censync.syncs WHERE name = 'odd'}) };
	is($watermark->(), '2 1 ', '... a cursor that is no date holds the watermark');
	$docs[1] = [ b => '{"id":2,"at":"2024-02-29T00:00:00Z"}' ];
	is($watermark->(), '2 0 2024-02-29 00:00:00+00', '... until it is one');
	$node->safe_psql('postgres', q{CREATE TABLE by_query (id bigint PRIMARY KEY)});
	fresh(queries => { 'SELECT id FROM t' => { columns => [ { name => 'id', type => 'long' } ], rows => [ '[1]' ] } });
	like(($node->psql('postgres', q{SELECT censync_create_sync('by_query', 'by_query', 'upsert', server => 'es', query => 'SELECT id FROM t', options => '{"cursor_column": "id"}')}))[2], qr/this source can't be read incrementally/, '... SQL can not');
	return;
}

sub test_mappings
{
	my %docs = (docs => [ [ 'x', '{"a":{"b":{"c":1},"list":[{"n":1},{"n":2}]},"d.e":2,"whole":{"x":1},"whole.y":2,"m":"text","g":5}' ] ]);
	fresh(indices => {
		one => { mapping => { _source => { excludes => [ 'hid*', 'a.secret' ] }, properties => {
			a => { properties => { b => { properties => { c => { type => 'long' } } }, list => { properties => { n => { type => 'long' } } }, secret => { type => 'keyword' } } },
			d => { properties => { e => { type => 'long' } } }, whole => { properties => { x => { type => 'long' }, y => { type => 'long' } } },
			m => { type => 'text', fields => { keyword => { type => 'keyword' } } }, al => { type => 'alias', path => 'm' }, gone => { type => 'alias', path => 'nothing' },
			hidden => { type => 'long' }, g => { type => 'long' }, empty => { type => 'object' } } }, %docs } });
	is(preview({ object => 'one' }, options => { json_fields => 'whole', array_fields => 'a.list.n' }),
		'{"g": 5, "m": "text", "al": "text", "_id": "x", "d.e": 2, "a.b.c": 1, "empty": null, "whole": {"x": 1, "y": 2}, "a.list.n": [1, 2]}',
		'objects, dotted names, arrays of objects, multi-fields, aliases, and what is not kept');
	is_deeply([ sort @{ (map { $json->decode($_->{body}) } grep { $_->{path} eq '/_search' } requests())[0]->{_source} // [] } ], [], 'all is asked for')
	  if 0;

	# Two indices that disagree.
	fresh(indices => {
		'x-1' => { mapping => { properties => { n => { type => 'integer' }, f => { type => 'long' }, t => { type => 'keyword' }, c => { type => 'keyword' }, o => { type => 'long' }, d => { type => 'date' } } },
			docs => [ [ '1', '{"n":1,"f":9007199254740993,"t":"a","c":"text","o":1,"d":"2024-01-02"}' ] ] },
		'x-2' => { mapping => { properties => { n => { type => 'long' }, f => { type => 'double' }, t => { type => 'ip' }, c => { type => 'boolean' }, o => { properties => { k => { type => 'long' } } }, d => { type => 'date', format => 'epoch_second' } } },
			docs => [ [ '2', '{"n":9223372036854775807,"f":0.5,"t":"::1","c":true,"o":{"k":1},"d":1704164645}' ] ] } });
	is(preview({ object => 'x-*' }), <<'OUT' =~ s/\n\z//r, 'indices that disagree');
{"c": "text", "d": "2024-01-02T00:00:00+00:00", "f": 9007199254740993, "n": 1, "o": 1, "t": "a", "_id": "1", "_index": "x-1"}
{"c": true, "d": "1970-01-20T17:22:44.645+00:00", "f": 0.5, "n": 9223372036854775807, "o": {"k": 1}, "t": "::1", "_id": "2", "_index": "x-2"}
OUT
	# Without subobjects a value may have others below its name, and objects are names with dots.
	my %long = (type => 'long');
	my %timed = (type => 'object', subobjects => JSON::PP::false, properties => { time => \%long, 'time.min' => \%long, 'time.max' => \%long });
	my @forms = ('{"m.time":100,"m.time.min":10,"m.time.max":900}', '{"m":{"time.min":10,"time":100,"time.max":900}}',
		'{"m":{"time":[100],"time.max":900,"time.min":10}}', '{"m":[{"time":100},{"time":{"min":10,"max":900}}]}', '{"m.time":[{"min":10},100,{"max":900}]}');
	fresh(indices => { flat => { mapping => { properties => { m => \%timed } }, docs => [ map { [ $_, $forms[$_] ] } 0 .. $#forms ] } });
	is(preview({ object => 'flat' }), join("\n", map { qq({"_id": "$_", "m.time": 100, "m.time.max": 900, "m.time.min": 10}) } 0 .. $#forms), 'values below the name of a value');
	fresh(indices => {
		'y-1' => { mapping => { properties => { o => \%long } }, docs => [ [ '1', '{"o":1}' ] ] },
		'y-2' => { mapping => { properties => { o => { properties => { k => \%long, l => \%long } } } }, docs => [ [ '2', '{"o":[1,2],"o.k":3,"o.l":4}' ], [ '3', '{"o":5,"o.k":6}' ] ] } });
	is(preview({ object => 'y-*' }), <<'OUT' =~ s/\n\z//r, 'a value and members of one name');
{"o": 1, "_id": "1", "_index": "y-1"}
{"o": [1, 2, {"k": 3}, {"l": 4}], "_id": "2", "_index": "y-2"}
{"o": [5, {"k": 6}], "_id": "3", "_index": "y-2"}
OUT
	fresh(indices => { off => { mapping => { _source => { enabled => JSON::PP::false }, properties => {} }, docs => [] } });
	like(failure({ object => 'off' }), qr/0A000: index "off" does not keep its documents/, 'an index without documents');
	return;
}

sub test_errors
{
	fresh(%orders);
	like(failure({ object => 'nothing' }), qr/42P01: the service refused the request: no such index \[nothing\].*Its type is index_not_found_exception, the status 404/s, 'no such index');
	like(failure({ object => 'nothing-*' }), qr/42P01: there is no index "nothing-\*" at the source/, 'no such pattern');
	like(failure({ query => 'SELECT x FROM y' }), qr/42703: the service refused the request: line 1:8: Unknown column \[x\]/, 'no such column');

	# 4.7 (C)
	my $array = '{"error":{"root_cause":[{"type":"ql_illegal_argument_exception","reason":"Arrays (returned by [tags]) are not supported"}],"type":"ql_illegal_argument_exception","reason":"Arrays (returned by [tags]) are not supported"},"status":400}';
	my $expired = '{"error":{"root_cause":[{"type":"search_context_missing_exception","reason":"No search context found for id [462]"}],"type":"search_phase_execution_exception","reason":"all shards failed","phase":"query","grouped":true,"failed_shards":[]},"status":404}';
	my $overload = '{"error":{"root_cause":[{"type":"es_rejected_execution_exception","reason":"rejected execution of search task"}],"type":"search_phase_execution_exception","reason":"all shards failed"},"status":429}';
	my %query = ('SELECT id' => { columns => [ { name => 'id', type => 'long' } ], rows => [ map { "[$_]" } 1 .. 5 ] });
	control(queries => \%query, rules => [ { path => '/_sql', nth => 2, status => 400, body => $array } ]);
	like(failure({ query => 'SELECT id' }), qr/0A000: the service refused the request: Arrays \(returned by \[tags\]\) are not supported.*field_multi_value_leniency/s, 'sample (C): an array on a later page');
	is_closed('an array');
	control(counts => {}, rules => [ { path => '/_search', nth => 2, status => 404, body => $expired } ]);
	like(failure({ object => 'orders' }), qr/HV000: the service refused the request: No search context found for id \[462\].*page_timeout/s, 'sample (C): expired');
	is_closed('expired');
	control(counts => {}, rules => [ { path => '/_search', nth => 2, times => 1, status => 429, body => $overload } ]);
	is(scalar(split /\n/, preview({ object => 'orders' })), 5, 'sample (C): an overload that passes');
	control(counts => {}, rules => [ { path => '/_search', nth => 2, status => 429, body => $overload } ]);
	like(failure({ object => 'orders' }), qr/53000: the service refused the request: rejected execution of search task/, 'sample (C): an overload that stays');
	is_closed('an overload');
	control(counts => {}, rules => [ { path => '/_sql', nth => 2, times => 1, status => 503, body => '' } ]);
	is(scalar(split /\n/, preview({ query => 'SELECT id' })), 5, '503 passes');
	control(counts => {}, rules => [ { path => '/*/_pit', status => 400, body => '{"error":"no handler found for uri","status":400}' } ]);
	like(failure({ object => 'orders' }), qr/the service refused the request: no handler found for uri/, 'an error that is a text');
	control(counts => {}, rules => [ { path => '/*/_mapping', status => 403, body => '{"error":{"root_cause":[{"type":"security_exception","reason":"action is unauthorized"}],"type":"security_exception","reason":"action is unauthorized"},"status":403}' } ]);
	like(failure({ object => 'orders' }), qr/42501: the service refused the request: action is unauthorized.*view_index_metadata/s, 'no privilege');
	control(counts => {}, rules => [ { path => '/', body => '<html>hello</html>', type => 'text/html' } ]);
	like(failure({ object => 'orders' }), qr/08P01:.*not JSON/, 'something else answers');
	control(counts => {}, rules => [ { path => '/', body => '{"hello": "world"}' } ]);
	like(failure({ object => 'orders' }), qr/08P01:.*is neither Elasticsearch nor OpenSearch/, 'some other API answers');
	control(counts => {}, rules => [ { path => '/', status => 403, body => '{"error":{"type":"security_exception","reason":"x"},"status":403}' } ]);
	is(scalar(split /\n/, preview({ object => 'orders' })), 5, 'a user who may not ask what answers');
	return;
}

sub test_lies_and_cuts
{
	my %query = ('SELECT id' => { columns => [ { name => 'id', type => 'long' } ], rows => [ map { "[$_]" } 1 .. 5 ] });
	$node->safe_psql('postgres', q{
		CREATE TABLE kept (id bigint PRIMARY KEY, name text);
		SELECT censync_create_sync('kept', 'kept', 'mirror', server => 'es', object => 'orders', options => '{"max_deletes": 1}');
	});
	fresh(%orders, queries => \%query);
	is(run_sync($node, 'kept')->{records_created}, 5, 'before lies');
	my $state = table_state($node, 'kept');
	my @cases = (
		[ 'more were announced' => { path => '/_search', total => 6 }, qr/the source announced 6 rows and sent 5/ ],
		[ 'fewer were announced' => { path => '/_search', total => 3 }, qr/the source announced 3 rows and sent 4/ ],
		[ 'a cut' => { path => '/_search', nth => 2, cut => 150 }, qr/connection to .* was lost|cut off/ ],
		[ 'an empty page' => { path => '/_search', nth => 2, body => '{"timed_out":false,"_shards":{"failed":0},"hits":{"hits":[]}}' }, qr/the source announced 5 rows and sent 2/ ],
		[ 'no hits' => { path => '/_search', nth => 2, body => '{"timed_out":false}' }, qr/a search without hits/ ],
		[ 'no sort' => { path => '/_search', nth => 2, body => '{"hits":{"hits":[{"_id":"x","_source":{"id":3}}]}}' }, qr/has no sort values/ ],
		[ 'a part of the shards' => { path => '/_search', nth => 3, body => '{"timed_out":false,"_shards":{"total":5,"failed":2},"hits":{"hits":[]}}' }, qr/2 of 5 shards failed/ ],
		[ 'an end of its points in time' => { path => '/_search', nth => 2, expire => JSON::PP::true }, qr/No search context found/ ],
	);
	for my $case (@cases)
	{
		my ($what, $rule, $words) = @$case;
		control(counts => {}, rules => [$rule]);
		my $run = run_sync($node, 'kept');
		is($run->{status}, 'failed', "$what: fails");
		like($run->{_stderr}, $words, "$what: says so");
		is(table_state($node, 'kept'), $state, "$what: changes nothing");
		is_closed($what);
	}
	control(counts => {}, rules => [ { path => '/_sql', nth => 2, body => '{"nothing": 1}' } ]);
	like(failure({ query => 'SELECT id' }), qr/a query without rows/, 'SQL: no rows in an answer');
	control(counts => {}, rules => [ { path => '/_sql', nth => 2, body => '{"rows":[[1,2]]}' } ]);
	like(preview({ query => 'SELECT id' }), qr/\[1, 2\]/, 'SQL: too many values');
	control(counts => {}, rules => [ { path => '/_sql', nth => 2, cut => 5 } ]);
	like(failure({ query => 'SELECT id' }), qr/was lost|cut off/, 'SQL: a cut');
	control(counts => {}, rules => [ { path => '/_sql', nth => 1, body => '{"columns":[],"rows":[]}' } ]);
	like(failure({ query => 'SELECT id' }), qr/a query without columns/, 'SQL: no columns');
	return;
}

sub test_opensearch
{
	my %os = (flavor => 'opensearch', version => '3.3.0');
	fresh(%os, %orders);
	is(scalar(split /\n/, preview({ object => 'orders' })), 5, 'OpenSearch 3.3: documents');
	is_closed('OpenSearch 3.3');
	my ($search) = map { $json->decode($_->{body}) } grep { $_->{path} eq '/_search' } requests();
	is_deeply($search->{sort}, [ { _shard_doc => 'asc' } ], 'OpenSearch 3.3: its order');
	fresh(%os, %orders, version => '2.19.6');
	is(scalar(split /\n/, preview({ object => 'orders' })), 5, 'OpenSearch 2: documents');
	is_closed('OpenSearch 2');
	($search) = map { $json->decode($_->{body}) } grep { $_->{path} eq '/_search' } requests();
	is_deeply($search->{sort}, [ { _index => 'asc' }, { _id => 'asc' } ], 'OpenSearch 2: its order');
	fresh(%os, %orders, version => '2.19.6');
	is(scalar(split /\n/, preview({ object => 'orders' }, options => { tiebreaker => 'name' })), 5, 'OpenSearch 2: a field as its order');

	# 4.7 (D)
	fresh(%os, rules => [ { path => '/_plugins/_sql', nth => 1, times => 1, body => <<'JSON' },
{"schema":[{"name":"id","type":"long"},{"name":"ts","type":"timestamp"},{"name":"tags","type":"keyword"}],"datarows":[[1,"2026-10-01 07:04:56.123",["x","y"]],[2,null,null]],"total":2,"size":2,"status":200,"cursor":"n:H4sIAAAA"}
JSON
		{ path => '/_plugins/_sql', body => '{"schema":[{"name":"id","type":"long"},{"name":"ts","type":"timestamp"},{"name":"tags","type":"keyword"}],"datarows":[],"total":0,"size":0,"status":200}' } ]);
	is(preview({ query => 'SELECT id, ts, tags FROM t' }, options => { array_fields => 'tags' }), <<'OUT' =~ s/\n\z//r, 'sample (D)');
{"id": 1, "ts": "2026-10-01T07:04:56.123+00:00", "tags": ["x", "y"]}
{"id": 2, "ts": null, "tags": null}
OUT
	my @sql = map { $json->decode($_->{body}) } grep { $_->{path} eq '/_plugins/_sql' } requests();
	is_deeply(\@sql, [ { query => 'SELECT id, ts, tags FROM t', fetch_size => 2 }, { cursor => 'n:H4sIAAAA' } ], 'sample (D): the requests');

	fresh(%os, version => '2.19.6', queries => { map { ("SELECT $_" => { columns => [ { name => 'max(x)', alias => '', type => 'long' } ], rows => ['[1]'] }) }
		'max (x) FROM t', 'x FROM t LIMIT 5', "x FROM t\nlimit 3 , 10000", 'x FROM t LIMIT 10001', 'x, count FROM t' });
	is(preview({ query => "SELECT $_" }), '{"max(x)": 1}', "OpenSearch: $_") foreach 'max (x) FROM t', 'x FROM t LIMIT 5', "x FROM t\nlimit 3 , 10000", 'x FROM t LIMIT 10001', 'x, count FROM t';
	is(join(' ', map { $json->decode($_->{body})->{fetch_size} // 'none' } grep { $_->{path} eq '/_plugins/_sql' && $_->{body} =~ /query/ } requests()), 'none none none 2 2', 'OpenSearch: which of them are asked for by pages');
	fresh(%os, version => '2.19.6', queries => { q{SELECT id FROM t WHERE x IN ('join', 1)} => { columns => [ { name => 'id', type => 'long' } ], rows => ['[1]'] } });
	is(preview({ query => q{SELECT id FROM t WHERE x IN ('join', 1)} }), '{"id": 1}', 'OpenSearch: IN with values');

	my @columns = ({ name => 'id', type => 'long' }, { name => 'max(x)', alias => 'most', type => 'double' });
	fresh(%os, version => '2.19.6', queries => {
		'SELECT id, x most FROM t' => { columns => \@columns, rows => [ map { "[$_,0.5]" } 1 .. 5 ] },
		'SELECT id, max(x) most FROM t GROUP BY id' => { columns => \@columns, rows => [ map { "[$_,0.5]" } 1 .. 1000 ] },
		'SELECT id FROM t GROUP BY id' => { columns => [ $columns[0] ], rows => [ map { "[$_]" } 1 .. 300 ] },
		'SELECT DISTINCT id FROM t' => { columns => [ $columns[0] ], rows => [ map { "[$_]" } 1 .. 200 ] },
		'SELECT "group" FROM t' => { columns => [ $columns[0] ], rows => [ map { "[$_]" } 1 .. 1000 ] } });
	is(preview({ query => 'SELECT id, x most FROM t' }), join("\n", map { qq({"id": $_, "most": 0.5}) } 1 .. 5), 'OpenSearch: SQL, pages');
	is_closed('OpenSearch: SQL');
	my %big = (options => { page_size => 500 });
	$node->safe_psql('postgres', q{
		CREATE FOREIGN TABLE grouped (id bigint) SERVER es OPTIONS (query 'SELECT id, max(x) most FROM t GROUP BY id', page_size '500');
		CREATE FOREIGN TABLE ungrouped (id bigint) SERVER es OPTIONS (query 'SELECT "group" FROM t', page_size '500');
	});
	my (undef, undef, $err) = $node->psql('postgres', 'SELECT count(*) FROM grouped');
	like($err, qr/the service may have left groups out/, 'OpenSearch: as many groups as it has at most');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM ungrouped'), 1000, 'OpenSearch: as many rows');
	$node->safe_psql('postgres', q{
		CREATE FOREIGN TABLE some_groups (id bigint) SERVER es OPTIONS (query 'SELECT id FROM t GROUP BY id', page_size '50');
		CREATE FOREIGN TABLE values_200 (id bigint) SERVER es OPTIONS (query 'SELECT DISTINCT id FROM t');
	});
	is($node->safe_psql('postgres', 'SELECT count(*) FROM some_groups'), 300, 'OpenSearch: groups are not asked for by pages, of which there would be 200 rows');
	(undef, undef, $err) = $node->psql('postgres', 'SELECT count(*) FROM values_200');
	like($err, qr/the service may have left groups out.*It sent 200 groups/s, 'OpenSearch: as many groups as its older engine has at most');
	for my $from ('a JOIN b ON a.id = b.id', "a\nleft join b ON a.id = b.id", 'a UNION SELECT id FROM b', 'a MINUS SELECT id FROM b', 'a WHERE x in ( SELECT y FROM b)', 'a WHERE EXISTS (SELECT * FROM a.b)')
	{
		like(failure({ query => "SELECT id FROM $from" }), qr/0A000: a query of OpenSearch may have neither JOIN.*200 rows/s, "OpenSearch: $from");
	}
	like(failure({ query => "SELECT id FROM t GROUP BY id HAVING count(*) > 1" }), qr/0A000: a query of OpenSearch may not have HAVING/, 'OpenSearch: HAVING');
	like(failure({ query => 'SELECT nothing' }), qr/42703: the service refused the request: line 1:8: Unknown column \[x\].*SyntaxCheckException/s, 'OpenSearch: its errors');

	# Errors as answers with a good status; a page that is short.
	control(counts => {}, rules => [ { path => '/_plugins/_sql', nth => 2, type => 'text/plain',
		body => '{"error":{"reason":"There was internal problem at backend","details":"boom","type":"IllegalStateException"},"status":500}' } ]);
	like(failure({ query => 'SELECT id, x most FROM t' }), qr/HV000: the service refused the request: boom.*IllegalStateException, the status 500/s, 'OpenSearch: 500 in an answer of status 200');
	control(counts => {}, rules => [ { path => '/_plugins/_sql', nth => 1,
		body => '{"error":{"reason":"no permissions","details":"no permissions for [indices:data/read]","type":"OpenSearchSecurityException"},"status":403}' } ]);
	like(failure({ query => 'SELECT id, x most FROM t' }), qr/42501: the service refused the request: no permissions for/, 'OpenSearch: 403 in an answer of status 200');
	control(counts => {}, rules => [ { path => '/_plugins/_sql', nth => 2, body => '{"datarows":[[3,0.5]],"total":2,"size":2,"status":200}' } ]);
	like(failure({ query => 'SELECT id, x most FROM t' }), qr/the source sent 1 of the 2 rows/, 'OpenSearch: a short page');
	control(auth => []);
	like(failure({ query => 'SELECT 1' }), qr/28000: .*status 401/, 'OpenSearch: 401 as a text');
	return;
}

sub test_login
{
	my %ways = ("api_key '$api_key'" => "ApiKey $encoded", "api_key '$encoded'" => "ApiKey $encoded", "token '$secret'" => "Bearer $secret");
	for my $way (sort keys %ways)
	{
		fresh(%orders, auth => [ $ways{$way} ]);
		$node->safe_psql('postgres', "DROP USER MAPPING FOR CURRENT_USER SERVER es; CREATE USER MAPPING FOR CURRENT_USER SERVER es OPTIONS ($way)");
		is(scalar(split /\n/, preview({ object => 'orders' })), 5, "login by $ways{$way}");
		fresh(%orders);
		like(failure({ object => 'orders' }), qr/28000: the service refused the request: missing or wrong credentials.*Check the credentials/s, "refused: $ways{$way}");
	}
	like($node->safe_psql('postgres', q{SELECT step, ok, detail FROM censync_check('es')}), qr/authenticate\|f\|the service refused.*Check the credentials in the user mapping/, 'censync_check: a refusal');
	$node->safe_psql('postgres', "DROP USER MAPPING FOR CURRENT_USER SERVER es; CREATE USER MAPPING FOR CURRENT_USER SERVER es OPTIONS (user 'reader', password '$secret')");
	like($node->safe_psql('postgres', q{SELECT step, ok FROM censync_check('es')}), qr/query\|t\z/, 'censync_check: all is well');
	like($node->safe_psql('postgres', q{SELECT step, ok FROM censync_check('es', 'orders')}), qr/query\|t\z/, 'censync_check: of an object');

	# Where it is, as far as can be told without going there.
	$node->safe_psql('postgres', q{
		CREATE SERVER cloud TYPE 'elasticsearch' FOREIGN DATA WRAPPER censync
		  OPTIONS (cloud_id 'prod:dXMtZWFzdC0xLmF3cy5mb3VuZC5pbzo5MjQzJDAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmJGZlZGNiYTk4', connect_timeout '1');
		CREATE SERVER host TYPE 'elasticsearch' FOREIGN DATA WRAPPER censync OPTIONS (host '127.0.0.1', port '1');
		CREATE SERVER nowhere TYPE 'elasticsearch' FOREIGN DATA WRAPPER censync;
		CREATE SERVER wrong TYPE 'elasticsearch' FOREIGN DATA WRAPPER censync OPTIONS (cloud_id 'what');
	});
	like(failure({ object => 'x' }, server => 'cloud'), qr/0123456789abcdef0123456789abcdef\.us-east-1\.aws\.found\.io/, 'cloud_id');
	like(failure({ object => 'x' }, server => 'host'), qr/08001: could not connect to "127\.0\.0\.1"/, 'host');
	like(failure({ object => 'x' }, server => 'nowhere'), qr/HV002: the server has neither option "host" nor "cloud_id"/, 'neither');
	like(failure({ object => 'x' }, server => 'wrong'), qr/22023: invalid value for option "cloud_id"/, 'a cloud_id that is none');
	return;
}

sub test_discovery
{
	fresh(%orders, streams => { logs => ['.ds-logs-1'] }, indices => { %{ $orders{indices} },
		'.ds-logs-1' => { mapping => { properties => { '@timestamp' => { type => 'date' } } }, docs => [] },
		'.kibana' => { mapping => { properties => { x => { type => 'long' } } }, docs => [] } });
	$node->safe_psql('postgres', 'CREATE SCHEMA found; IMPORT FOREIGN SCHEMA public FROM SERVER es INTO found');
	is($node->safe_psql('postgres', q{
		SELECT table_name, string_agg(column_name || ' ' || data_type, ', ' ORDER BY ordinal_position)
		FROM information_schema.columns WHERE table_schema = 'found' GROUP BY 1 ORDER BY 1}), <<'OUT' =~ s/\n\z//r, 'IMPORT FOREIGN SCHEMA');
logs|_id text, @timestamp timestamp with time zone
orders|_id text, _index text, id bigint, name text
orders-1|_id text, id bigint, name text
orders-2|_id text, id integer, name text
OUT
	is($node->safe_psql('postgres', 'SELECT count(*), sum(id) FROM found.orders'), '5|15', 'what was imported can be read');
	return;
}

# After all of the above, the secrets are in no place but the catalog.
sub test_secrets
{
	my $all = PostgreSQL::Test::Utils::slurp_file($node->logfile)
	  . $node->safe_psql('postgres', 'SELECT * FROM censync.runs')
	  . $node->safe_psql('postgres', 'SELECT * FROM censync.records')
	  . $node->safe_psql('postgres', 'SELECT query FROM pg_stat_activity');
	$all =~ s/^.*(?:CREATE|ALTER) USER MAPPING.*$//mg;
	for my $word ($secret, $api_key, $encoded, 'ui2lp2axTNmsyakw9tvNnw', $basic =~ s/Basic //r)
	{
		is(index($all, $word), -1, 'a secret is in no log');
	}
	fresh(rules => [ { path => '/', status => 400, body => qq({"error":{"type":"x","reason":"you sent $basic and $secret"},"status":400}) } ]);
	my $echo = failure({ object => 'orders' });
	like($echo, qr/you sent Basic \*\*\* and \*\*\*/, 'an echo of secrets');
	cmp_ok(scalar(@failures), '>', 30, 'errors of every kind');
	is_deeply([ grep { my $error = $_; grep { index($error, $_) >= 0 } ($secret, $api_key, $encoded, 'ui2lp2axTNmsyakw9tvNnw', $basic =~ s/Basic //r) } @failures ], [], '... and no secret in any');
	return;
}
