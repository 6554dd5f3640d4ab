# What all services over HTTP share: one budget of requests, private CAs, farewells where nobody hears them or
# through an SSH host, and that no failure shows a secret.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncFake;
use CensyncSsh;
use CensyncTest;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node('main', "log_statement = none\nlog_min_error_statement = panic\nlog_min_messages = debug1\ncensync.http_retries = 1\n"
	. "censync.allowed_hosts = '127.0.0.0/8, ::1, localhost'");
my $sshd = CensyncSsh->new;
my $http = start_http();
my $https = start_http(tls => 'DNS:localhost,IP:127.0.0.1');
my $json = JSON::PP->new->canonical;
my %secret = (databricks => 'dapi-s3cret-of-the-test', snowflake => 'pat-s3cret-of-the-test');
my @errors;

test_rate();
test_tls();
test_tunnel();
test_nobody_there();
test_echo();
test_secrets();

$node->stop;
done_testing();

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub error_of
{
	push @errors, sql_error($node, $_[0]);
	return $errors[-1];
}

# A server of a type at a fake one, with a foreign table "q" of its name that has the result of the query q.
sub source
{
	my ($type, $name, $at, %options) = @_;
	my %own = $type eq 'databricks' ? (warehouse_id => '0123456789abcdef', disposition => 'inline') : (account => 'a');
	my %mapping = $type eq 'databricks' ? (token => $secret{$type}) : (token => $secret{$type}, token_type => 'pat');

	create_server($node, $name, $at, type => $type, url => undef, base_url => $at->url("/$type", 'localhost'), %own, %options, mapping => \%mapping);
	sql($type eq 'databricks' ? qq{CREATE FOREIGN TABLE "$name" (id int) SERVER "$name" OPTIONS (query 'q')}
		: qq{CREATE FOREIGN TABLE "$name" (id numeric OPTIONS (source 'ID')) SERVER "$name" OPTIONS (query 'q')});
	return;
}

# Both services have q: ids from 1 on in parts of so many.
sub serve
{
	my ($at, $counts, %more) = @_;
	my $id = 0;
	my @parts = map { [ map { [ '' . ++$id ] } 1 .. $_ ] } @$counts;
	my $text = delete $more{text} // 'q';
	$at->reset;
	$at->put('databricks', $json->encode({ token => $secret{databricks}, warehouse => '0123456789abcdef', storage => $at->url('', 'localhost'),
		statements => { $text => { columns => [ { name => 'id', type_name => 'INT', type_text => 'INT' } ], chunks => \@parts, %more } } }));
	$at->put('snowflake', $json->encode({ token => $secret{snowflake}, token_type => 'PROGRAMMATIC_ACCESS_TOKEN', context => {},
		statements => { $text => { rowType => [ { name => 'ID', type => 'fixed', precision => 10, scale => 0 } ], parts => \@parts, %more } } }));
	return;
}

# Parts that are asked for in parallel share one budget, as do reads that follow each other.
sub test_rate
{
	foreach my $type ('databricks', 'snowflake')
	{
		source($type, "slow_$type", $http, rate_limit => '10/s', parallel => 8);
		serve($http, [ (1) x 8 ]);
		my $start = time;
		is(sql("SELECT sum(id) FROM slow_$type; SELECT sum(id) FROM slow_$type"), "36\n36", "$type: parts under a rate limit");
		my $took = time - $start;
		my $n = () = $http->log;
		cmp_ok($n, '>=', 18, "$type: a request for each part");
		cmp_ok($took, '>=', ($n - 1) / 10 - 0.05, "$type: one budget for all clients of two reads ($n requests, $took s)");
	}
	return;
}

sub test_tls
{
	foreach my $type ('databricks', 'snowflake')
	{
		source($type, "tls_$type", $https);
		source($type, "untrusted_$type", $https, ca_file => undef);
		serve($https, [ 2, 1 ]);
		is(sql("SELECT sum(id) FROM tls_$type"), 6, "$type: over TLS, by a private CA");
		is(scalar(grep { !$_->{tls} } $https->log), 0, "$type: ... and nothing without it");
		my $steps = sql("SELECT string_agg(step || ' ' || ok, ', ') FROM censync_check('tls_$type')");
		like($steps, qr/resolve true, connect true, tls true, authenticate true/, "$type: its check");
		like(error_of("SELECT sum(id) FROM untrusted_$type"), qr/08001: .*certificate/, "$type: without its CA");
		like(sql("SELECT step || ' ' || ok || ' ' || detail FROM censync_check('untrusted_$type') WHERE NOT ok"), qr/^tls false .*certificate/, "$type: ... as the check says");
	}
	# Links lead to storage over TLS, too.
	source('databricks', 'tls_links', $https, disposition => 'external_links');
	serve($https, [ 2, 1 ]);
	is(sql('SELECT sum(id) FROM tls_links'), 6, 'databricks: links over TLS');
	my @storage = grep { $_->{path} =~ m{^/storage/} } $https->log;
	is(scalar(@storage), 2, '... to each chunk');
	is_deeply([ map { grep { index($_, $secret{databricks}) >= 0 } %{ $_->{headers} } } @storage ], [], '... without the token in any header');
	is(scalar(grep { index($_->{target}, $secret{databricks}) >= 0 } $https->log), 0, 'the token is in no address');
	return;
}

# Runs forever until it is canceled, through whatever server; how long the cancel took.
sub cancel
{
	my ($name, $at, $what, %options) = @_;
	my $guard = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "SET application_name = 'endless'", '-c', qq{SELECT * FROM "$name"} ],
		'<', \undef, '>', \my $out, '2>', \my $err);
	ok($at->wait_state(sub { $_->{requests} > 3 }), "$what: it runs");
	$options{before}->() if $options{before};
	my $start = time;
	sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'endless'");
	$guard->finish;
	my $took = time - $start;
	$options{after}->() if $options{after};
	push @errors, $err;
	like($err, qr/canceling statement due to user request/, "$what: it ends");
	return $took;
}

sub canceled { return scalar grep { $_->{path} =~ /cancel$/ } $_[0]->log }

sub test_tunnel
{
	my $key = $sshd->make_key('client');
	(my $public = slurp_file("$key.pub")) =~ s/\n//;
	my $pem = slurp_file($key);
	$sshd->authorize($public);
	foreach my $type ('databricks', 'snowflake')
	{
		source($type, "far_$type", $http);
		sql("ALTER SERVER far_$type OPTIONS (" . join(', ', map { "ADD $_" } split /, /, $sshd->options) . ')');
		sql("ALTER USER MAPPING FOR CURRENT_USER SERVER far_$type OPTIONS (ADD ssh_user " . sql_literal($sshd->user) . ', ADD ssh_private_key ' . sql_literal($pem) . ')');
		serve($http, [ 2, 1 ]);
		is(sql("SELECT sum(id) FROM far_$type"), 6, "$type: through an SSH host");
		is(canceled($http), 0, "$type: ... to the end");
		serve($http, [1], polls => 100000);
		cancel("far_$type", $http, "$type, SSH");
		ok($http->wait_state(sub { canceled($http) == 1 }), "$type, SSH: the statement there is canceled");
		# The SSH host goes away meanwhile.
		serve($http, [1], polls => 100000);
		my $took = cancel("far_$type", $http, "$type, no SSH any more", before => sub { $sshd->stop }, after => sub { $sshd->start });
		cmp_ok($took, '<', 20, "$type, no SSH any more: nobody is held up for long ($took s)");
	}
	is(scalar(grep { $_->{command} =~ /^ssh .*127\.0\.0\.1/ && $_->{state} ne 'Z' } processes()), 0, 'no ssh is left');
	return;
}

# The service goes away while a statement runs: the farewell is refused, or nobody answers it.
sub test_nobody_there
{
	foreach my $type ('databricks', 'snowflake')
	{
		my $gone = start_http();
		source($type, "gone_$type", $gone);
		serve($gone, [ 1200, 1 ]);
		my $session = $node->background_psql('postgres', on_error_stop => 0);
		$session->query_safe("BEGIN; DECLARE c CURSOR FOR SELECT * FROM gone_$type; FETCH 1 FROM c");
		$gone->stop;
		my $start = time;
		is($session->query_safe('CLOSE c; COMMIT; SELECT 42'), '42', "$type: a farewell to an address that refuses is no error");
		cmp_ok(time - $start, '<', soon(5), "$type: ... and takes no time");
		$session->quit;
		# A port that takes connections and never answers.
		my $mute = start_http();
		source($type, "mute_$type", $mute);
		serve($mute, [ 1200, 1 ]);
		$session = $node->background_psql('postgres', on_error_stop => 0);
		$session->query_safe("BEGIN; DECLARE c CURSOR FOR SELECT * FROM mute_$type; FETCH 1 FROM c");
		kill 'STOP', $mute->{pid};
		$start = time;
		is($session->query_safe('CLOSE c; COMMIT; SELECT 42'), '42', "$type: one that nobody answers is no error");
		cmp_ok(time - $start, '<', soon(8), "$type: ... and is given up soon");
		kill 'CONT', $mute->{pid};
		$session->quit;
	}
	return;
}

# Services that repeat the credentials that they were sent, in errors and in answers.
sub test_echo
{
	my $fake = CensyncFake->new('samples.py');
	my $token = 'ech0ed-s3cret-t0ken';
	my $said = "you sent Bearer $token, $token";
	my %bodies = (
		bigquery => $json->encode({ error => { code => 400, message => $said, status => $token, errors => [ { reason => $token, message => $said } ] } }),
		google_sheets => $json->encode({ error => { code => 400, message => $said, status => $token } }),
		snowflake => $json->encode({ code => $token, message => $said, sqlState => '42000', statementHandle => $token }),
		databricks => $json->encode({ error_code => $token, message => $said }),
		elasticsearch => $json->encode({ error => { type => $token, reason => $said }, status => 400 }),
		rockset => $json->encode({ type => $token, message => $said }));
	my %options = (bigquery => { project => 'acme' }, google_sheets => { spreadsheet_id => '1AbC' }, snowflake => { account => 'a' },
		databricks => { warehouse_id => '0123456789abcdef' }, elasticsearch => {}, rockset => {});
	foreach my $type (sort keys %bodies)
	{
		my %all = (base_url => $fake->url, allow_http => 'true', %{ $options{$type} });
		my $given = join ', ', map { "$_ " . sql_literal($all{$_}) } sort keys %all;
		my $mapping = $type eq 'rockset' ? "api_key '$token'" : "token '$token'";
		sql("CREATE SERVER echo_$type TYPE '$type' FOREIGN DATA WRAPPER censync OPTIONS ($given); CREATE USER MAPPING FOR CURRENT_USER SERVER echo_$type OPTIONS ($mapping)");
		my $what = $type eq 'google_sheets' ? "object => 'x'" : "query => 'x'";
		foreach my $status (400, 401, 403, 404, 409, 422, 429, 500)
		{
			$fake->control(exchanges => [ map { { method => $_, path => '*', status => $status, body => $bodies{$type}, headers => { 'Retry-After' => '0', 'X-Echo' => $token } } } 'GET', 'POST', 'DELETE' ]);
			my $error = error_of("SET censync.http_retries = 0; SELECT censync_preview('echo_$type', $what)");
			unlike($error, qr/\Q$token\E/, "$type, $status: what is echoed is not shown");
			like($error, qr/ERROR: /, "$type, $status: an error");
		}
	}
	# A statement that failed, in a good answer.
	foreach my $body ($json->encode({ statement_id => $token, status => { state => 'FAILED', sql_state => '42601', error => { message => "[X] $said" } } }), $json->encode({ statement_id => 'x', status => { state => $token } }),
		$json->encode({ statement_id => 'x', status => { state => 'SUCCEEDED' }, manifest => { format => $token, schema => { columns => [ { name => 'x' } ] } } }))
	{
		$fake->control(exchanges => [ map { { method => $_, path => '*', body => $body } } 'GET', 'POST' ]);
		my $error = error_of("SELECT censync_preview('echo_databricks', query => 'x')");
		like($error, qr/\*\*\*/, 'databricks: an answer that repeats the token');
		unlike($error, qr/\Q$token\E/, '... which is not shown');
	}
	$fake->control(exchanges => [ map { { method => $_, path => '*', body => $json->encode({ statementHandle => 'x', resultSetMetaData => { format => $token, rowType => [ { name => 'x' } ] } }) } } 'GET', 'POST' ]);
	unlike(error_of("SELECT censync_preview('echo_snowflake', query => 'x')"), qr/\Q$token\E/, 'snowflake: an answer that repeats the token');
	$secret{echo} = $token;
	return;
}

# The log has every debug message of the above.
sub test_secrets
{
	my $everything = slurp_file($node->logfile) . sql('SELECT string_agg(a::text, $$ $$) FROM pg_stat_activity a WHERE pid <> pg_backend_pid()');
	foreach my $type (sort keys %secret)
	{
		is(index($everything, $secret{$type}), -1, "$type: its token is in no log");
		is_deeply([ grep { index($_, $secret{$type}) >= 0 } @errors ], [], "$type: ... nor in an error");
	}
	return;
}
