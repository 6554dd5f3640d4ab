# Answers that the services' own descriptions allow, and other servers of their APIs give, but the reference's samples
# do not show: members that are missing, null or in other forms, and all that says that a result is not whole.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncFake;
use CensyncTest;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', "log_statement = none\ncensync.http_retries = 0\ncensync.allowed_hosts = '127.0.0.0/8, localhost'");
my $fake = CensyncFake->new('samples.py');
my $url  = $fake->url;
my $json = JSON::PP->new->canonical->ascii->allow_nonref;
my %row_type = (rowType => [ { name => 'ID', type => 'FIXED', precision => 38, scale => 0 } ]);
our $product = { version => { number => '8.19.0' }, tagline => 'You Know, for Search' };

server('bq', 'bigquery', base_url => "$url/v2", project => 'acme', dataset => 'shop', mapping => { token => 't' });
server('sf', 'snowflake', mapping => { token => 't' });
server('db', 'databricks', warehouse_id => '0123456789abcdef', disposition => 'inline', mapping => { token => 't' });
server('es', 'elasticsearch', page_size => 2);
server('rs', 'rockset', page_size => 2, mapping => { api_key => 'k' });

bigquery_pages();
bigquery_other_columns();
snowflake_forms();
snowflake_states();
databricks_counts();
elasticsearch_parts();
elasticsearch_sql_parts();
rockset_cursors();

$node->stop;
done_testing();

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub server
{
	my ($name, $type, %options) = @_;
	my $mapping = delete $options{mapping};
	my %all     = (allow_http => 'true', base_url => $url, %options);
	my $given   = join ', ', map { "$_ " . sql_literal($all{$_}) } sort keys %all;
	sql("CREATE SERVER $name TYPE '$type' FOREIGN DATA WRAPPER censync OPTIONS ($given)");
	sql("CREATE USER MAPPING FOR CURRENT_USER SERVER $name OPTIONS (" . join(', ', map { "$_ " . sql_literal($mapping->{$_}) } keys %$mapping) . ')') if $mapping;
	return;
}

# What the service answers from now on; bodies that are no texts become JSON.
sub serve
{
	my (@exchanges) = @_;
	$_->{body} = $json->encode($_->{body}) foreach grep { ref $_->{body} } @exchanges;
	$fake->forget_requests;
	$fake->control(exchanges => \@exchanges);
	return;
}

sub post { my ($path, $body, %more) = @_; return { method => 'POST', path => $path, body => $body, %more } }
sub get { my ($path, $body, %more) = @_; return { path => $path, body => $body, %more } }
sub preview { my ($server, $what, $limit) = @_; return "SELECT censync_preview('$server', $what, \"limit\" => " . ($limit // 100) . ')' }
sub rows { return sql(preview($_[0], q{query => 'q'})) }
sub refused { my ($server, $expected, $name) = @_; return like(sql_error($node, preview($server, q{query => 'q'})), $expected, $name) }

sub bigquery_pages
{
	my %schema = (schema => { fields => [ { name => 'id', type => 'INTEGER' } ] });
	my %job    = (jobComplete => JSON::PP::true, jobReference => { projectId => 'acme', jobId => 'j' });
	my $page   = sub { my ($ids, %more) = @_; return { %job, ($ids ? (rows => [ map { { f => [ { v => "$_" } ] } } @$ids ]) : ()), %more } };
	my $pages  = sub {
		my (%page) = @_;
		serve(post('/v2/projects/acme/queries', { %job, %schema, totalRows => '3' }),
			(map { get('/v2/projects/acme/queries/j', $page{$_}, $_ eq '' ? () : (query => { pageToken => $_ })) } sort { length $b <=> length $a } keys %page));
	};
	$pages->('' => $page->(undef, totalRows => '3', pageToken => 'ab'), ab => $page->([ 1, 2 ], totalRows => '3', pageToken => 'c'), c => $page->([3]));
	is(rows('bq'), qq({"id": 1}\n{"id": 2}\n{"id": 3}), 'BigQuery: a page without rows, one without the total');
	$pages->('' => $page->([ 1, 2, 3 ], totalRows => 3, pageToken => ''));
	is(rows('bq'), qq({"id": 1}\n{"id": 2}\n{"id": 3}), 'BigQuery: a total that is a number, a token that is empty');
	$pages->('' => $page->([ 1, 2 ]));
	refused('bq', qr/HV000: the source announced 3 rows and sent 2/, 'BigQuery: pages that end too early, without the total');
	serve(post('/v2/projects/acme/queries', { jobComplete => JSON::PP::true, totalRows => 1, rows => [ { f => [ { v => '[2024-01-01, UNBOUNDED)' }, {}, { v => 2 }, { v => [ { v => undef }, { v => '1' } ] } ] } ],
		schema => { fields => [ { rangeElementType => { type => 'DATE' } }, { name => 's' }, { name => 'i', type => 'INT64' }, { name => 'a', type => 'INTEGER', mode => 'REPEATED' } ] } }));
	is(rows('bq'), '{"a": [null, 1], "i": 2, "s": null, "_field_1": "[2024-01-01,)"}', 'BigQuery: fields without types and names, a number, a cell without a value, a null in an array');
	serve(post('/v2/projects/acme/queries', { %job, %schema, totalRows => '0', rows => undef }));
	is(rows('bq'), '', 'BigQuery: null for no rows');
	my $tables = '/v2/projects/acme/datasets/shop/tables';
	serve(get("$tables/items", {%schema}), get("$tables/items/data", $page->([1])));
	like(sql_error($node, preview('bq', q{object => 'items'})), qr/08P01: the service did not say how many rows/, 'BigQuery: a table without a total');
	serve(get($tables, { tables => [ { tableReference => { tableId => 'items' } } ], nextPageToken => '' }), get("$tables/items", {%schema}));
	sql('CREATE SCHEMA listed; IMPORT FOREIGN SCHEMA shop FROM SERVER bq INTO listed');
	is(sql('SELECT count(*) FROM pg_attribute WHERE attrelid = \'listed.items\'::regclass AND attnum > 0'), 1, 'BigQuery: a list whose token is empty');
	return;
}

# goccy's emulator lists all columns, whatever is selected.
sub bigquery_other_columns
{
	my $table  = '/v2/projects/acme/datasets/shop/tables/three';
	my $listed = sub {
		serve(get($table, { schema => { fields => [ map { { name => $_, type => 'STRING' } } qw(a b c) ] } }),
			get("$table/data", { totalRows => '3', rows => [ map { { f => [ map { { v => $_ } } @$_ ] } } @_ ] }));
	};
	sql(q{CREATE FOREIGN TABLE three (a text, b text, c text) SERVER bq OPTIONS (object 'three')});
	$listed->([ 'a1', 'b1', "c\x{e9}\"1" ], [ 'a2', undef, 'c2' ], [ 'a3', 'b3', undef ]);
	is(sql(q{SELECT coalesce(c, 'null'), coalesce(b, 'null') FROM three}), "c\x{c3}\x{a9}\"1|b1\nc2|null\nnull|b3", 'BigQuery: all columns where two were selected');
	is(sql('SELECT count(*) FROM three'), 3, 'BigQuery: ... or none');
	$listed->([ 'b1', 'c1' ], [ 'b2', 'c2' ], [ 'b3', 'c3' ]);
	is(sql('SELECT c, b FROM three LIMIT 1'), 'c1|b1', 'BigQuery: those that were selected');
	$listed->(['b1'], ['b2'], ['b3']);
	like(sql_error($node, 'SELECT c, b FROM three'), qr/HV021: record has 1 values for 2 columns/, 'BigQuery: neither');
	my $failed = sub {
		my ($message, $expected) = @_;
		serve(post('/v2/projects/acme/queries', { error => { code => 400, message => $message, errors => [ { reason => 'jobInternalError', message => $message, location => '' } ] } }, status => 400));
		like(sql_error($node, preview('bq', q{query => 'SELECT nope'})), qr/$expected.*DETAIL:  Its reason is "jobInternalError"/s, "BigQuery: $message");
		is(scalar($fake->requests), 1, '... is not tried again');
	};
	$failed->('failed to analyze: INVALID_ARGUMENT: Unrecognized name: nope [at 1:8]', '42703: .*LINE 1: SELECT nope\n {15}\^');
	$failed->('INVALID_ARGUMENT: Table not found: nope [at 1:8]', '42P01: ');
	$failed->('failed to analyze: INVALID_ARGUMENT: Syntax error: Unexpected identifier [at 1:1]', '42601: ');
	return;
}

sub snowflake
{
	my ($meta, $data, $last) = @_;
	my %statement = (statementHandle => 'h', code => '090001');
	my @data      = $data eq 'absent' ? () : (data => $data);
	serve(post('/api/v2/statements', { %statement, code => '333334' }, status => 202), get('/api/v2/statements/h', { @data, %{ $last // {} } }, query => { partition => '0' }),
		get('/api/v2/statements/h', { %statement, @data, resultSetMetaData => $meta }), post('/api/v2/statements/h/cancel', {}));
	return;
}

# Its description has texts where the service itself has numbers.
sub snowflake_forms
{
	my @columns = map { { name => $_, type => $_ } } qw(DATE TIME TIMESTAMP_NTZ TIMESTAMP_LTZ TIMESTAMP_TZ);
	snowflake({ numRows => 3, format => 'jsonv2', rowType => \@columns },
		[ [ '2019-08-10', '23:56:34.123', '2019-08-10 23:56:34.123', '2019-08-10T23:56:34.123Z', '2019-08-10T23:56:34.123 +0200' ],
			[ '-1', '0.5', '-0.5', '1.25', '1.25 1500' ], [ '18118', '86399', '1565481394.123', '2019-08-10 23:56:34', '2019-08-10 23:56:34' ] ]);
	is(rows('sf'), <<'OUT' =~ s/\n\z//r, 'Snowflake: moments as texts and as numbers; none without a zone');
{"DATE": "2019-08-10", "TIME": "23:56:34.123", "TIMESTAMP_TZ": "2019-08-10T21:56:34.123+00:00", "TIMESTAMP_LTZ": "2019-08-10T23:56:34.123+00:00", "TIMESTAMP_NTZ": "2019-08-10T23:56:34.123"}
{"DATE": "1969-12-31", "TIME": "00:00:00.5", "TIMESTAMP_TZ": "1970-01-01T00:00:01.25+00:00", "TIMESTAMP_LTZ": "1970-01-01T00:00:01.25+00:00", "TIMESTAMP_NTZ": "1969-12-31T23:59:59.5"}
{"DATE": "2019-08-10", "TIME": "23:59:59", "TIMESTAMP_TZ": null, "TIMESTAMP_LTZ": null, "TIMESTAMP_NTZ": "2019-08-10T23:56:34.123"}
OUT
	snowflake({ numRows => 0, %row_type, partitionInfo => undef }, 'absent', { code => '090001' });
	is(rows('sf'), '', 'Snowflake: no data where there are no rows');
	snowflake({ numRows => 0, %row_type }, undef);
	is(rows('sf'), '', 'Snowflake: null for no rows');
	snowflake({ numRows => 2, %row_type }, 'absent');
	refused('sf', qr/22023: response has no records at "\/data"/, 'Snowflake: no data where there are rows');
	snowflake({ numRows => '2', %row_type, partitionInfo => [] }, [ ['1'], ['2'] ]);
	refused('sf', qr/HV000: the source announced 2 rows and sent 0/, 'Snowflake: no partition');

	# Which of two columns is meant, nobody knows.
	my $twice = sub { snowflake({ numRows => 1, rowType => [ map { { name => $_, type => 'text' } } qw(A A B) ] }, [ [ '1', '2', '3' ] ]) };
	sql(q{CREATE FOREIGN TABLE twice ("A" text, "B" text) SERVER sf OPTIONS (query 'q');
		CREATE TABLE target ("A" text PRIMARY KEY)});
	my $several = qr/42702: the source has more than one column "A"\n.*HINT:  Give each of them a name of its own/s;
	$twice->();
	like(sql_error($node, 'SELECT "A" FROM twice'), $several, 'Snowflake: two columns of a name');
	$twice->();
	is(sql('SELECT "B" FROM twice'), 3, '... and the other one');
	my $define = sub { return "SELECT censync_create_sync('twice', 'target', 'upsert', server => 'sf', query => 'q', mappings => " . sql_literal($_[0]) . ')' };
	foreach my $mapping ('{"A": "A"}', '{"A": {"expression": "\\"B\\" || \\"A\\""}}')
	{
		$twice->();
		like(sql_error($node, $define->($mapping)), $several, "Snowflake: ... mapped by $mapping");
	}
	$twice->();
	sql($define->('{"A": "B"}'));
	$twice->();
	is(sql(q{SELECT status, records_created FROM censync_run('twice')}), 'completed|1', 'Snowflake: ... and the other one');
	return;
}

sub snowflake_states
{
	my $running = { code => '333334', sqlState => '00000', statementHandle => 'h' };
	serve(post('/api/v2/statements', $running), get('/api/v2/statements/h', { data => [ ['7'] ] }, query => { partition => '0' }), get('/api/v2/statements/h', {%$running}, times => 1),
		get('/api/v2/statements/h', { code => '090001', statementHandle => 'h', resultSetMetaData => { numRows => 1, %row_type }, data => [ ['7'] ] }));
	is(rows('sf'), '{"ID": 7}', 'Snowflake: a statement that still runs, with status 200');
	serve(post('/api/v2/statements', { code => '002003', sqlState => '42000', statementHandle => 'h', message => 'Table T does not exist' }), post('*/cancel', {}));
	refused('sf', qr/42P01: Table T does not exist\nDETAIL:  Snowflake's code is 002003, its SQLSTATE 42000, the statement h\./, 'Snowflake: an error with status 200');
	return;
}

# All of it may be missing, says its description.
sub databricks_counts
{
	my $done = sub {
		my ($manifest, $result, @chunks) = @_;
		my $at = '/api/2.0/sql/statements';
		serve(post($at, { statement_id => 'x', status => { state => 'SUCCEEDED' }, result => $result,
			manifest => { schema => { columns => [ { name => 'id', type_name => 'INT' } ] }, %$manifest } }),
			(map { get("$at/x/result/chunks/$_", { data_array => $chunks[$_] }) } 0 .. $#chunks), post("$at/x/cancel", {}));
	};
	my @two = ([ ['1'], ['2'] ], [ ['3'] ]);
	$done->({ total_row_count => 3, chunks => [ {}, {} ] }, {}, @two);
	is(rows('db'), qq({"id": 1}\n{"id": 2}\n{"id": 3}), 'Databricks: chunks that are not counted');
	$done->({ total_row_count => '3', total_chunk_count => '2' }, {}, @two);
	is(rows('db'), qq({"id": 1}\n{"id": 2}\n{"id": 3}), 'Databricks: chunks that are counted alone');
	$done->({ chunks => [ { row_count => 2 }, { row_count => 1 } ] }, {}, @two);
	is(rows('db'), qq({"id": 1}\n{"id": 2}\n{"id": 3}), 'Databricks: chunks with their rows, and no total');
	$done->({}, {});
	is(rows('db'), '', 'Databricks: nothing at all');
	my $uncounted = qr/08P01: the result was not described by Databricks\nDETAIL:  It does not say how many rows/;
	$done->({}, { row_count => 2, data_array => $two[0] }, @two);
	refused('db', $uncounted, 'Databricks: rows, and no chunks');
	$done->({ total_chunk_count => 1 }, { next_chunk_index => 1, data_array => $two[0] }, @two);
	refused('db', $uncounted, 'Databricks: a chunk of an unknown number of rows');
	return;
}

sub elasticsearch_parts
{
	my %shards = (_shards => { total => 2, successful => 2, skipped => 0, failed => 0 });
	my $hit    = sub { return { _index => 't', _id => "$_[0]", _source => { id => $_[0] }, sort => [ $_[0] ] } };
	my $found  = sub {
		my ($hits, $total, %more) = @_;
		serve(get('/', $product), get('/t/_mapping', { t => { mappings => { properties => { id => { type => 'long' } } } } }), post('/t/_pit', { id => 'p', %shards }), { method => 'DELETE', path => '/_pit', body => {} },
			(map { post('/_search', { timed_out => JSON::PP::false, %shards, hits => { hits => $_, ($total ? (total => $total) : ()) }, %more }, times => 1) } @$hits));
	};
	my @pages = ([ $hit->(1) ], [ $hit->(2), $hit->(3) ], []);
	my $three = qq({"id": 1, "_id": "1"}\n{"id": 2, "_id": "2"}\n{"id": 3, "_id": "3"});
	my $part  = sub { my ($expected, $name) = @_; return like(sql_error($node, preview('es', q{object => 't'})), $expected, "Elasticsearch: $name") };
	$found->(\@pages, undef);
	is(sql(preview('es', q{object => 't'})), $three, 'Elasticsearch: no total, and a page that is short');
	$found->(\@pages, { value => 1, relation => 'gte' });
	is(sql(preview('es', q{object => 't'})), $three, 'Elasticsearch: a total that is only a bound');
	my $unfinished = qr/HV000: the service did not finish, and sent a part of the result/;
	$found->(\@pages, undef, terminated_early => JSON::PP::true);
	$part->($unfinished, 'terminated early');
	foreach my $state (qw(skipped partial failed))
	{
		$found->(\@pages, undef, _clusters => { total => 2, successful => 1, $state => 1 });
		$part->($unfinished, "a cluster that is $state");
	}
	$found->(\@pages, undef, _shards => { total => 2, successful => 1, skipped => 0, failed => 0 });
	$part->(qr/could not search all of its shards.*DETAIL:  1 of 2 shards failed/s, 'a shard that nobody has');
	$found->(\@pages, undef, terminated_early => JSON::PP::false, _clusters => { total => 2, successful => 2, skipped => 0 });
	is(sql(preview('es', q{object => 't'})), $three, 'Elasticsearch: all clusters');
	return;
}

sub elasticsearch_sql_parts
{
	my $answered = sub { my ($path, @pages) = @_; serve(get('/', $product), (map { post($path, $_, times => 1) } @pages), post("$path/close", {})) };
	$answered->('/_sql', { columns => [ { name => 'a', type => 'long' } ], rows => [], cursor => 'c1' }, { rows => [ [1] ], cursor => 'c2' }, { rows => [ [2] ], cursor => '' });
	is(rows('es'), qq({"a": 1}\n{"a": 2}), 'Elasticsearch: a page without rows, a cursor that is empty');
	$answered->('/_sql', { columns => [ { name => 'a', type => 'long' } ], rows => [ [1] ], id => 'x', is_running => JSON::PP::true });
	refused('es', qr/HV000: the service did not finish/, 'Elasticsearch: SQL that still runs');
	local $product = { version => { number => '2.19.0', distribution => 'opensearch' } };
	my @first = ({ schema => [ { name => 'a', type => 'long' } ], datarows => [ [1], [2] ], size => 2, total => 3, status => 200, cursor => 'd:1' }, { datarows => [ [3] ] });
	$answered->('/_plugins/_sql', @first);
	is(rows('es'), qq({"a": 1}\n{"a": 2}\n{"a": 3}), 'OpenSearch: a total of all pages');
	$answered->('/_plugins/_sql', { %{ $first[0] }, cursor => undef });
	refused('es', qr/HV000: the source announced 3 rows and sent 2\n.*read the index as object/s, 'OpenSearch: more rows than pages');
	$answered->('/_plugins/_sql', { %{ $first[0] }, cursor => undef });
	is(sql(preview('es', q{query => 'SELECT a FROM t LIMIT 2'})), qq({"a": 1}\n{"a": 2}), 'OpenSearch: ... as a LIMIT has it');
	return;
}

sub rockset_cursors
{
	my $at    = '/v1/orgs/self/queries';
	my $first = { query_id => 'q', results => [ { a => 1 } ], column_fields => [ { name => 'a', type => 'int' } ], pagination => { next_cursor => 'c1' } };
	serve(post($at, $first), get("$at/q/pages", { results => [], pagination => { next_cursor => 'c2' } }, query => { cursor => 'c1' }),
		get("$at/q/pages", { results => [ { a => 2 } ], pagination => { next_cursor => '' } }, query => { cursor => 'c2' }));
	is(rows('rs'), qq({"a": 1}\n{"a": 2}), 'Rockset: a page without rows, a cursor that is empty');
	serve(post($at, $first), get("$at/q/pages", { results => [ { a => 2 } ], pagination => { next_cursor => 'c1' } }), { method => 'DELETE', path => "$at/q", body => {} });
	refused('rs', qr/08P01: the service named the same page twice/, 'Rockset: a cursor that leads nowhere');
	return;
}
