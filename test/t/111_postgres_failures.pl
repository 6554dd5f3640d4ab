# What goes wrong with a PostgreSQL as a source: a clear error, a failed run in the log, a destination as it was, and
# nobody connected there any more.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use CensyncTest;
use CensyncRemote;
use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node('here');
my $remote = new_remote('there');

$remote->safe_psql('postgres', q{CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT g, repeat('v', 1000) FROM generate_series(1, 100000) g});
$node->safe_psql('postgres', q{CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (-1, 'mine')});
create_remote_server($node, 'there', $remote);
define('t', object => 't');
my $before = table_state($node, 't');

test_login();
test_network();
test_statements();
test_changes();
test_remote_timeout();
test_cancel();
test_terminate();
test_silent_server();
test_cut();
test_many_connections();
is(table_state($node, 't'), $before, 'after all of this the destination is as it was');

$node->stop;
$remote->stop('immediate');
done_testing();

sub define
{
	my ($name, %source) = @_;
	my $server = delete $source{server} // 'there';
	my ($key) = keys %source;
	return $node->safe_psql('postgres', "SELECT censync_create_sync('$name', 't', 'mirror', server => '$server', $key => "
		  . sql_literal($source{$key}) . q{, mappings => '{"id": "id", "v": "v"}', options => '{"mirror_scope": "table", "max_deletes": 1}')});
}

# A failed run with that error; the rest as it was.
sub fails
{
	my ($sync, $code, $message, $hint, $what) = @_;
	my $run = run_sync($node, $sync);
	is("$run->{status} $run->{error_code}", "failed $code", "$what: fails with $code") or diag($run->{error_message});
	like($run->{error_message}, $message, "$what: says so");
	like($run->{error_hint} // '', $hint, "$what: says what to do");
	unlike($run->{_stderr} . ($run->{error_detail} // ''), qr/\\secret/, "$what: no password in it");
	is(table_state($node, 't'), $before, "$what: the destination is as it was");
	is($node->safe_psql('postgres', 'SELECT status FROM censync.runs ORDER BY run_id DESC LIMIT 1'), 'failed', "$what: the log has it");
	return $run;
}

sub check_steps
{
	my ($server) = @_;
	return $node->safe_psql('postgres', "SELECT string_agg(step || ' ' || ok, ', ') FROM censync_check('$server')");
}

# With options changed for the time of a call.
sub with_options
{
	my ($object, $change, $back, $code) = @_;
	$node->safe_psql('postgres', "ALTER $object OPTIONS ($change)");
	$code->();
	$node->safe_psql('postgres', "ALTER $object OPTIONS ($back)");
}

sub test_login
{
	my $mapping = 'USER MAPPING FOR CURRENT_USER SERVER there';
	my $password = sql_literal($remote_password);
	with_options($mapping, "SET password 'wrong \\secret'", "SET password $password", sub {
		fails('t', '28P01', qr/^password authentication failed for user "reader"$/, qr/user and password/, 'wrong password');
		is(check_steps('there'), 'resolve true, connect true, tls true, authenticate false', 'the check names the step');
	});
	with_options($mapping, "SET user 'nobody'", "SET user 'reader'", sub {
		fails('t', '28P01', qr/password authentication failed for user "nobody"/, qr/user and password/, 'unknown user');
	});
	with_options($mapping, 'DROP password', "ADD password $password", sub {
		fails('t', '28P01', qr/server "localhost" wants a password/, qr/ADD password/, 'no password');
	});
	with_options('SERVER there', "SET database 'nosuch'", "SET database 'postgres'", sub {
		fails('t', '3D000', qr/^database "nosuch" does not exist$/, qr/database of the server/, 'no such database');
	});
}

sub test_network
{
	with_options('SERVER there', "SET host 'no.such.host.invalid'", "SET host 'localhost'", sub {
		fails('t', '08001', qr/could not resolve host "no.such.host.invalid"/, qr/"host"/, 'unknown host');
		is(check_steps('there'), 'resolve false', 'the check names the step');
	});
	with_options('SERVER there', "SET port '1'", 'SET port \'' . $remote->port . q{'}, sub {
		my $run = fails('t', '08001', qr/could not connect to server "localhost"/, qr/host and port/, 'nobody there');
		like($run->{error_detail}, qr/Connection refused/, 'nobody there: why');
		is(check_steps('there'), 'resolve true, connect false', 'the check names the step');
	});
	# A listener that takes no more connections is as silent as a route that leads nowhere.
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 0, ReuseAddr => 1) or die "no socket: $!";
	my @waiting = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $socket->sockport, Blocking => 0) } 1 .. 4;
	with_options('SERVER there', 'SET port \'' . $socket->sockport . "', ADD connect_timeout '2'", 'SET port \'' . $remote->port . q{', DROP connect_timeout}, sub {
		my $start = time;
		fails('t', '08001', qr/could not connect to server "localhost" within 2 s/, qr/connect_timeout/, 'no answer');
		cmp_ok(time - $start, '<', 20, 'it took no longer than that');
	});
	# One that accepts and says nothing.
	my $silent = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5, ReuseAddr => 1) or die "no socket: $!";
	with_options('SERVER there', 'SET port \'' . $silent->sockport . "', ADD connect_timeout '2'", 'SET port \'' . $remote->port . q{', DROP connect_timeout}, sub {
		fails('t', '08001', qr/within 2 s/, qr/connect_timeout/, 'a listener that says nothing');
		is(check_steps('there'), 'resolve true, connect true, tls false', 'the check names the step');
	});
	$node->safe_psql('postgres', "ALTER SYSTEM SET censync.allowed_hosts = ''; SELECT pg_reload_conf()");
	fails('t', '42501', qr/connecting to host "localhost" is not allowed/, qr/allowed_hosts/, 'an address that is not allowed');
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET censync.allowed_hosts; SELECT pg_reload_conf()');
	ok(is_quiet($remote), 'no connection is left');
}

sub create_fails
{
	my ($query, $code, $message, $what) = @_;
	my (undef, undef, $err) = $node->psql('postgres', '\set VERBOSITY verbose' . "\n"
		  . "SELECT censync_create_sync('bad', 't', 'upsert', server => 'there', query => " . sql_literal($query) . ')');
	like($err, qr/$code: .*$message.*HINT:  \S/s, $what);
}

sub test_statements
{
	create_fails('SELEC 1', '42601', 'syntax error at or near "SELEC"', 'a syntax error');
	create_fails('SELECT * FROM nosuch', '42P01', 'relation "nosuch" does not exist', 'no such table');
	create_fails('SELECT nosuch FROM t', '42703', 'column "nosuch" does not exist', 'no such column');
	create_fails('SELECT no_such(1)', '42883', 'function no_such\(integer\) does not exist', 'no such function');
	$remote->safe_psql('postgres', 'CREATE TABLE secret (id int); REVOKE pg_read_all_data FROM reader; GRANT SELECT ON t TO reader');
	define('secret', query => 'SELECT id, NULL::text AS v FROM secret');
	fails('secret', '42501', qr/^permission denied for table secret$/, qr/GRANT SELECT/, 'no privilege');
	define('division', query => q{SELECT id, (1 / (50000 - id))::text AS v FROM t});
	fails('division', '22012', qr/^division by zero$/, qr/^/, 'an error in the midst of the rows');
	ok(is_quiet($remote), 'no connection is left');
}

sub test_changes
{
	$remote->safe_psql('postgres', q{CREATE TABLE u (id int PRIMARY KEY, v text); INSERT INTO u VALUES (1, 'v'); GRANT SELECT ON u TO reader});
	define('u', object => 'u');
	define('uq', query => 'SELECT id, v FROM u');
	$remote->safe_psql('postgres', 'ALTER TABLE u RENAME v TO w');
	fails('uq', '42703', qr/column "v" does not exist/, qr/./, 'a column renamed after the definition');
	fails('u', '42703', qr/"v"/, qr/./, 'a column of an object renamed');
	$remote->safe_psql('postgres', q{ALTER TABLE u RENAME w TO v; ALTER TABLE u ALTER id TYPE text USING 'x'});
	my $run = run_sync($node, 'u', dry_run => 1);
	isnt($run->{status}, 'completed', 'a column of another type, whose values do not fit');
	is(table_state($node, 't'), $before, '... the destination is as it was');
	$remote->safe_psql('postgres', 'DROP TABLE u');
	fails('u', '42P01', qr/relation "u" does not exist/, qr/dropped or renamed/, 'a table dropped after the definition');
	ok(is_quiet($remote), 'no connection is left');
}

# What is canceled there has not been canceled here.
sub test_remote_timeout
{
	define('slow', query => q{SELECT id, v FROM t WHERE pg_sleep(20) IS NOT NULL});
	with_options('SERVER there', "ADD options '-c statement_timeout=500'", 'DROP options', sub {
		my $run = fails('slow', 'HV000', qr/canceling statement due to statement timeout/, qr/canceled there/, 'a timeout there');
		like($run->{error_detail}, qr/57014/, '... with its SQLSTATE');
	});
	with_options('SERVER there', "ADD stall_timeout '1'", 'DROP stall_timeout', sub {
		fails('slow', '08006', qr/sent nothing for 1 s/, qr/stall_timeout/, 'a server that is silent');
	});
	define('flood', query => q{SELECT g AS id, 'v' AS v FROM generate_series(1, 2000000000) g});
	with_options('SERVER there', "ADD timeout '1'", 'DROP timeout', sub {
		fails('slow', '08006', qr/took longer than 1 s/, qr/"timeout"/, 'a request that is silent for longer than its timeout');
		fails('flood', '08006', qr/took longer than 1 s/, qr/"timeout"/, 'one that brings rows all the time');
	});
	ok(is_quiet($remote), 'no connection is left, and nothing goes on there');
}

# In a session of its own; returns its handle, once the read is under way there.
sub start_run
{
	my ($sync, $event) = @_;
	my %run = (out => '', err => '');
	$run{handle} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') . " application_name=runner",
		'-c', "SELECT status, error_code FROM censync_run('$sync')" ], '<', \undef, '>', \$run{out}, '2>', \$run{err});
	ok(wait_for($remote, "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'censync' AND $event"), 'the read is under way');
	return \%run;
}

sub test_cancel
{
	my $run = start_run('slow', "wait_event = 'PgSleep'");
	my $start = time;
	$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'runner'});
	$run->{handle}->finish;
	cmp_ok(time - $start, '<', 12, 'a cancel is heard at once');
	like("$run->{out}$run->{err}", qr/cancel/, '... and is one');
	ok(wait_for($remote, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'censync'}, 12), '... there, too');
	$run = start_run('slow', "wait_event = 'PgSleep'");
	$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'runner'});
	$run->{handle}->finish;
	ok(wait_for($remote, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'censync'}, 12), 'a session that is terminated takes its query with it');
	# In the midst of rows.
	define('endless', query => 'SELECT g AS id, repeat(\'x\', 500) AS v FROM generate_series(1, 1000000000) g');
	$run = start_run('endless', "state = 'active' AND query LIKE 'COPY%'");
	sleep 1;
	$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'runner'});
	$run->{handle}->finish;
	ok(wait_for($remote, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'censync'}, 12), 'a cancel in the midst of rows');
	is(table_state($node, 't'), $before, '... the destination is as it was');
}

sub test_terminate
{
	my $run = start_run('endless', "state = 'active' AND query LIKE 'COPY%'");
	$remote->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'censync'});
	$run->{handle}->finish;
	is($run->{out}, "failed|08006\n", 'a session terminated there, in the midst of rows') or diag($run->{err});
	$run = start_run('endless', "state = 'active' AND query LIKE 'COPY%'");
	$remote->stop('immediate');
	$run->{handle}->finish;
	is($run->{out}, "failed|08006\n", 'a server that is stopped at once, in the midst of rows') or diag($run->{err});
	is(table_state($node, 't'), $before, '... the destination is as it was');
	fails('t', '08001', qr/could not connect/, qr/host and port/, 'a server that is down');
	$remote->start;
}

# Its processes are frozen: neither its rows nor its answer to a cancel ever come.
sub test_silent_server
{
	my $run = start_run('endless', "state = 'active' AND query LIKE 'COPY%'");
	my $pid = $remote->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE application_name = 'censync'});
	my ($postmaster) = slurp_file($remote->data_dir . '/postmaster.pid') =~ /^(\d+)/;
	kill 'STOP', $pid, $postmaster;
	sleep 1;
	my $start = time;
	$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'runner'});
	$run->{handle}->finish;
	my $took = time - $start;
	kill 'CONT', $postmaster, $pid;
	cmp_ok($took, '<', 20, 'a cancel does not wait for ever on a frozen server');
	ok(is_quiet($remote), 'once it goes on, it is rid of the connection');
}

# What lies between is cut at any byte: never the end of the data.
sub test_cut
{
	my $port = $remote->port;
	my $relay = <<'PERL';
		use IO::Socket::INET; use IO::Select;
		my ($to, $limit, $file) = @ARGV;
		my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die;
		open my $f, '>', "$file.new"; print $f $listen->sockport; close $f; rename "$file.new", $file;
		while (my $client = $listen->accept) {
			my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $to) or die;
			my ($select, $left) = (IO::Select->new($client, $server), $limit);
			RELAY: while (my @ready = $select->can_read) {
				foreach my $from (@ready) {
					sysread($from, my $data, 8192) or last RELAY;
					if ($from == $server) { $data = substr($data, 0, $left); $left -= length $data; }
					syswrite($from == $server ? $client : $server, $data) if length $data;
					last RELAY if $left <= 0;
				}
			}
			close $client; close $server;
		}
PERL
	my $directory = PostgreSQL::Test::Utils::tempdir('relay');
	$remote->safe_psql('postgres', q{CREATE TABLE few (id int PRIMARY KEY, v text); INSERT INTO few SELECT g, 'v' FROM generate_series(1, 200) g; GRANT SELECT ON few TO reader});
	define('few', object => 'few');
	with_options('SERVER there', "ADD sslmode 'disable'", 'DROP sslmode', sub {
		my %seen;
		foreach my $limit (map { $_ * 97 } 1 .. 60)
		{
			my $file = "$directory/$limit";
			my $handle = IPC::Run::start([ $^X, '-e', $relay, $port, $limit, $file ], '<', \undef);
			until (-e $file) { sleep 0.02 }
			my $relay_port = slurp_file($file);
			$node->safe_psql('postgres', "ALTER SERVER there OPTIONS (SET port '$relay_port')");
			my $run = run_sync($node, 'few', dry_run => 1);
			$seen{"$run->{status} " . ($run->{error_code} // '')}++;
			is($run->{records_read}, 200, "with $limit bytes a completed run has all rows") if $run->{status} eq 'completed';
			$handle->signal('KILL');
			$handle->finish;
		}
		$node->safe_psql('postgres', "ALTER SERVER there OPTIONS (SET port '$port')");
		is(join(', ', sort grep { $_ !~ /^completed/ } keys %seen), 'failed 08001, failed 08006', 'a connection that is cut is an error, whenever');
		ok($seen{'completed '}, 'not cut, it is none');
	});
}

# Hundreds of runs that fail in the middle leave nothing open.
sub test_many_connections
{
	my $out = $node->safe_psql('postgres', q{SET client_min_messages = error;
		DO $$ BEGIN FOR i IN 1..5 LOOP PERFORM censync_run('division', dry_run => true), censync_preview('there', object => 'few', "limit" => 1); END LOOP; END $$;
		CREATE TEMP TABLE before AS SELECT count(*) AS n FROM pg_ls_dir('/proc/self/fd');
		DO $$ BEGIN FOR i IN 1..100 LOOP PERFORM censync_run('division', dry_run => true); END LOOP; END $$;
		DO $$ BEGIN FOR i IN 1..50 LOOP PERFORM censync_preview('there', object => 'few', "limit" => 1); END LOOP; END $$;
		SELECT (SELECT count(*) FROM pg_ls_dir('/proc/self/fd')) - n FROM before});
	cmp_ok((split /\n/, $out)[-1], '<=', 3, 'no file descriptor is left');
	ok(is_quiet($remote), 'no connection is left');
}
