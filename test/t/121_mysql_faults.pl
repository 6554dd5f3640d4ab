# MariaDB as a source, or MySQL (test/mysql), when something goes wrong: it dies in the midst of a read, is slow, is not there,
# or is not what it says it is.  The destination stays as it was, the log says why, no connection is
# left, and nobody waits.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncMariadb;
use CensyncTest;
use IO::Socket::INET;
use IPC::Run;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node('main');
my $db = CensyncMariadb->new;
my @fakes;

# Rows of a kB each, 100 a second: a read that lasts, in the midst of which something can happen.
my $slow = "SELECT id, repeat(v, 1000) AS v FROM t WHERE id > 0 OR sleep(0)"
  . " UNION ALL SELECT seq + 100000, repeat('y', 1000 + sleep(0.01)) FROM seq_1_to_6000";

$db->create_server($node, 'my');
$db->provide_sequences(3, 2000, 6000, 1000000);
$db->sql(q{CREATE TABLE t (id int PRIMARY KEY, v varchar(10)); INSERT INTO t SELECT seq, 'x' FROM seq_1_to_2000;
	GRANT SELECT ON shop.* TO reader@'%'});
pg(q{CREATE TABLE t (id int PRIMARY KEY, v text);
	SELECT censync_create_sync('t', 't', 'mirror', server => 'my', query => 'SELECT id, repeat(v, 1000) AS v FROM t')});
is(run_sync($node, 't')->{records_created}, 2000, 'a mirror');
my $state = table_state($node, 't');

test_midst();
test_statements();
test_not_there();
test_slow();
test_false_servers();
test_leaks();
is($db->connections, 0, 'no connection is left');
$db->stop;
done_testing();

sub pg { return $node->safe_psql('postgres', $_[0]) }

# The sync's query from now on.
sub set_query
{
	pg('SELECT censync_alter_sync(' . sql_literal('t') . ', query => ' . sql_literal($_[0]) . ')');
	return;
}

# A psql in the background; what it says comes into a hash.
sub start_psql
{
	my ($sql) = @_;
	my $psql = { out => '', err => '' };
	$psql->{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres'), '-c', $sql ],
		'<', \undef, '>', \$psql->{out}, '2>', \$psql->{err});
	return $psql;
}

# Waits until the source is sending rows of a slow query.
sub wait_for_rows
{
	$db->wait_connections(1);
	sleep 1.5;
	return;
}

# A run that is struck in the midst of a read.
sub test_midst
{
	my %strikes = (
		'the connection is killed' => [ '08006', sub { kill_reader('CONNECTION') } ],
		'the statement is killed' => [ '57000', sub { kill_reader('QUERY') } ],
		'the run is canceled' => [ '57014', sub { pg(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity
			WHERE query LIKE '%censync_sync%' AND pid <> pg_backend_pid()}) } ],
		'the server is killed' => [ '08006', sub { $db->kill } ]);

	set_query($slow);
	foreach my $name (sort keys %strikes)
	{
		my ($code, $strike) = @{ $strikes{$name} };
		my $psql = start_psql(q{CALL censync_sync('t')});
		wait_for_rows();
		my $start = time;
		$strike->();
		$psql->{run}->finish;
		cmp_ok(time - $start, '<', soon(5), "$name: the run ends at once");
		like($psql->{err}, qr/ERROR:  $code/, 'with an error') or diag $psql->{err};
		is(table_state($node, 't'), $state, 'the destination is as it was');
		is(pg(q{SELECT status || ' ' || error_code FROM censync.runs ORDER BY run_id DESC LIMIT 1}),
			($code eq '57014' ? 'canceled' : 'failed') . " $code", 'the log says so');
		if ($name eq 'the server is killed')
		{
			like($psql->{err}, qr/the connection to "localhost" was lost.*DETAIL:.*number 2013.*HINT:  Run it again/s,
				'and what to do');
			$db->start;
		}
		ok($db->wait_connections(0), 'no connection is left there');
	}
	set_query('SELECT id, repeat(v, 1000) AS v FROM t');
	is(run_sync($node, 't')->{records_unchanged}, 2000, 'the next run is well');
	return;
}

sub kill_reader
{
	my ($what) = @_;
	my $id = $db->sql(q{SELECT id FROM information_schema.processlist WHERE user = 'reader'});
	$db->sql("KILL $what $id");
	return;
}

# A query of the sync that fails at the source, and how.
sub fails
{
	my ($name, $code, $pattern, $query) = @_;
	set_query($query) if defined $query;
	my $run = run_sync($node, 't');
	is("$run->{status} $run->{error_code}", "failed $code", $name) or diag explain $run;
	like($run->{_stderr}, qr/$pattern/s, 'its message, detail and hint');
	is(table_state($node, 't'), $state, 'the destination is as it was');
	return;
}

sub test_statements
{
	$db->sql(q{CREATE TABLE u (id int PRIMARY KEY, v varchar(10)); INSERT INTO u VALUES (1, 'x')});
	pg(q{SELECT censync_create_sync('u', 't', 'mirror', server => 'my', object => 'u')});
	set_query('SELECT id, v FROM u');
	$db->sql('ALTER TABLE u RENAME COLUMN v TO w');
	fails('a column was renamed', '42703', "Unknown column 'v'.*DETAIL:  Error number 1054.*HINT");
	$db->sql('DROP TABLE u');
	fails('the table was dropped', '42P01', "Table 'shop.u' doesn't exist.*DETAIL:  Error number 1146.*HINT");
	like(run_sync($node, 'u')->{_stderr}, qr/Table 'shop.u' doesn't exist/, 'as an object');
	pg(q{SELECT censync_drop_sync('u')});
	# What has no meaning of its own, but is the statement's: it is not tried again.
	fails('a value that cannot be', 'HV00L', 'DOUBLE value is out of range.*DETAIL:  Error number 1690', 'SELECT id, exp(id + 1000) AS v FROM t');
	# Definitions are checked when they are made: this one is wrong afterwards.
	$db->sql(q{CREATE FUNCTION late() RETURNS int RETURN 1; GRANT EXECUTE ON shop.* TO reader@'%'});
	set_query('SELECT late() AS id, 1 AS v');
	$db->sql('DROP FUNCTION late');
	fails('a function was dropped', '42883', 'does not exist.*Error number 1305');
	my (undef, undef, $err) = $node->psql('postgres', q{\set VERBOSITY verbose
		SELECT * FROM censync_preview('my', query => 'SELEC 1')});
	like($err, qr/ERROR:  42601.*You have an error in your SQL syntax.*DETAIL:  Error number 1064.*HINT/s, 'a syntax error');
	(undef, undef, $err) = $node->psql('postgres', q{\set VERBOSITY verbose
		SELECT * FROM censync_preview('my', query => 'SELECT * FROM mysql.user')});
	like($err, qr/ERROR:  42501.*SELECT command denied.*GRANT SELECT/s, 'no privilege');
	(undef, undef, $err) = $node->psql('postgres', q{\set VERBOSITY verbose
		SELECT * FROM censync_preview('my', query => 'SELECT ?')});
	like($err, qr/ERROR:  42601.*placeholder/s, 'a placeholder');
	# An error that comes after rows is no end.
	fails('an error after many rows', '21000', 'Subquery returns more than 1 row.*Error number 1242', q{SELECT id,
		concat(repeat('x', 1000), (SELECT seq FROM seq_1_to_3 WHERE t.id = 1900 OR seq = 1)) AS v FROM t});
	set_query('SELECT id, repeat(v, 1000) AS v FROM t');
	return;
}

sub fails_to_connect
{
	my ($name, $code, $pattern, $seconds, %options) = @_;
	$db->create_server($node, 'try', %options);
	my $start = time;
	my (undef, undef, $err) = $node->psql('postgres', q{\set VERBOSITY verbose
		SELECT * FROM censync_preview('try', query => 'SELECT 1')});
	like($err, qr/ERROR:  $code: .*$pattern/s, $name);
	cmp_ok(time - $start, '<', $seconds, 'in time');
	return;
}

sub test_not_there
{
	my $closed = PostgreSQL::Test::Cluster::get_free_port();
	my $silent = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die "cannot listen: $!";

	fails_to_connect('nobody listens', '08001', 'could not connect to "localhost".*HINT:  Check options', 5, port => $closed);
	fails_to_connect('an unknown host', '08001', 'could not resolve host "nowhere.invalid"', 30, host => 'nowhere.invalid');
	fails_to_connect('no answer', '08001', 'in time.*did not answer within 2 s.*HINT', 6, port => $silent->sockport,
		connect_timeout => 2);
	my $psql = start_psql(q{SELECT * FROM censync_preview('try', query => 'SELECT 1')});
	pg(q{ALTER SERVER try OPTIONS (SET connect_timeout '60')});
	$psql->{run}->finish;
	cancels_promptly('while it connects', q{SELECT * FROM censync_preview('try', query => 'SELECT 1')});
	return;
}

sub cancels_promptly
{
	my ($name, $sql) = @_;
	my $psql = start_psql("/* canceled */ $sql");
	wait_for($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '/* canceled */%'});
	sleep 1;
	my $start = time;
	pg(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '/* canceled */%'});
	$psql->{run}->finish;
	cmp_ok(time - $start, '<', soon(2), "canceled $name: at once");
	like($psql->{err}, qr/57014/, 'by the user');
	return;
}

sub test_slow
{
	my $start = time;
	cancels_promptly('while the source thinks', q{SELECT * FROM censync_preview('my', query => 'SELECT sleep(100)')});
	ok($db->wait_connections(0), 'its statement was ended there') and cmp_ok(time - $start, '<', 20, 'before its time');
	$db->create_server($node, 'try', stall_timeout => 2);
	my (undef, undef, $err) = $node->psql('postgres', q{\set VERBOSITY verbose
		SELECT * FROM censync_preview('try', query => 'SELECT sleep(5)')});
	like($err, qr/ERROR:  08006: the source has sent nothing for 2 s.*HINT:.*stall_timeout/s, 'silence');
	$db->create_server($node, 'try', timeout => 1);
	foreach my $query ('SELECT sleep(60)', 'SELECT a.seq FROM seq_1_to_1000000 a, seq_1_to_1000000 b')
	{
		$start = time;
		(undef, undef, $err) = $node->psql('postgres', qq{\\set VERBOSITY verbose
			SELECT count(*) FROM censync_preview('try', query => '$query', "limit" => 2000000000)});
		like($err, qr/ERROR:  08006: the request to "localhost" took longer than 1 s.*HINT:.*"timeout"/s, "option timeout: $query");
		cmp_ok(time - $start, '<', 20, 'in time');
	}
	ok($db->wait_connections(0), 'no connection is left');
	return;
}

# What a server sends first: of MySQL 5.7, with the capabilities given beside those that all have.
sub greeting
{
	my ($capabilities) = @_;
	$capabilities |= 0x00080000 | 0x8000 | 0x0200 | 0x0008 | 0x1;   # plugins, 4.1, ...
	my $body = "\x0a5.7.99\0" . pack('V', 1) . 'abcdefgh' . "\0" . pack('v', $capabilities & 0xffff) . "\x2d"
	  . pack('v', 2) . pack('v', $capabilities >> 16) . "\x15" . "\0" x 10 . 'ijklmnopqrst' . "\0"
	  . "mysql_native_password\0";
	return packet(0, $body);
}

sub packet
{
	my ($number, $body) = @_;
	return substr(pack('V', length $body), 0, 3) . chr($number) . $body;
}

# A server that sends each of these, waiting for an answer between them; then it is silent.  What it got
# is in the file that is returned, beside the port.
sub fake
{
	my (@answers) = @_;
	my $listen = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die "cannot listen: $!";
	my $file = PostgreSQL::Test::Utils::tempdir_short() . '/received';
	my $pid = fork() // die "cannot fork: $!";
	if ($pid == 0)
	{
		while (my $client = $listen->accept)
		{
			foreach my $answer (@answers)
			{
				syswrite $client, $answer;
				sysread($client, my $received, 65536) or last;
				append_to_file($file, $received);
			}
			1 while sysread($client, my $ignored, 65536);
		}
		POSIX::_exit(0);
	}
	push @fakes, $pid;
	append_to_file($file, '');
	return ($listen->sockport, $file);
}

END
{
	local $?;
	foreach my $pid (@fakes)
	{
		kill 'KILL', $pid;
		waitpid $pid, 0;
	}
}

sub test_false_servers
{
	my $tls = 0x800;
	my $ok = packet(2, "\0\0\0\2\0\0\0");
	my ($port, $file) = fake(greeting(0));
	fails_to_connect('a server without TLS', '08001', 'The server does not offer TLS', 5, port => $port);
	is(slurp_file($file), '', 'is told nothing');

	($port, $file) = fake(greeting($tls));
	fails_to_connect('one that is silent when TLS begins', '08001', 'with TLS|in time', 8, port => $port, connect_timeout => 2);
	unlike(slurp_file($file), qr/reader/, 'is told no name');
	pg(q{ALTER SERVER try OPTIONS (SET connect_timeout '60')});
	cancels_promptly('while TLS begins', q{SELECT * FROM censync_preview('try', query => 'SELECT 1')});

	foreach my $plugin (qw(mysql_clear_password mysql_old_password dialog))
	{
		($port, $file) = fake(greeting(0), packet(2, "\xfe$plugin\0abcdefghijklmnopqrst\0"));
		fails_to_connect("one that asks for $plugin", '28000', 'HINT', 5, port => $port, tls => 'off', ca_file => undef);
		unlike(slurp_file($file), qr/secret/, 'is told no password');
	}
	($port, $file) = fake(greeting(0), packet(2, "\xfe"));
	fails_to_connect('one that asks for the oldest password', '28000', '', 5, port => $port, tls => 'off', ca_file => undef);

	my $secret = PostgreSQL::Test::Utils::tempdir_short() . '/file';
	append_to_file($secret, 'the contents');
	($port, $file) = fake(greeting(0x80), $ok, packet(1, "\xfb$secret"));
	fails_to_connect('one that asks for a file', '\w{5}', '', 5, port => $port, tls => 'off', ca_file => undef,
		connect_timeout => 2);
	unlike(slurp_file($file), qr/the contents/, 'does not get it');

	# A statement of one column (a bigint), and a row that is shorter than its column.
	my $column = "\3def\0\0\0\1a\0\x0c\x3f\0\x14\0\0\0\x08\0\0\0\0\0";
	my $string = $column =~ s/\x0c\x3f\0\x14\0\0\0\x08/\x0c\x2d\0\xff\xff\xff\0\xfd/r;
	foreach my $case ([ 'a row that is cut', $column, "\0\0" ],
		[ 'a length beyond the row', $string, "\0\0\xfe" . "\xff" x 8 ])
	{
		my ($name, $type, $row) = @$case;
		fails_to_connect("one that sends $name", '08P01|08006', 'cannot be read|sent nothing', 8, port => fake_row($type, $row),
			tls => 'off', ca_file => undef, stall_timeout => 2);
	}

	# Values that no column has: bits that are minus seven, a time of millions of years.
	my $bits = $column =~ s/\x14\0\0\0\x08/\xf9\xff\xff\xff\x10/r;
	my $time = $column =~ s/\x08(.{5})$/\x0b$1/rs;
	foreach my $case ([ 'not as many as its type says', $bits, "\0\0\0" ],
		[ 'of an unknown form', $time, "\0\0\x08\0\xff\xff\xff\x7f\1\2\3" ])
	{
		my ($reason, $type, $row) = @$case;
		$db->create_server($node, 'try', port => fake_row($type, $row), tls => 'off', ca_file => undef, stall_timeout => 2);
		is(pg(q{SELECT * FROM censync_preview('try', query => 'SELECT 1')}), '{"a": null}', "refused: $reason");
	}
	# It says that names are numbers: taken for texts they would be addresses.
	$db->create_server($node, 'try', port => fake_row($column, "\0\0" . 'AAAAAAAA'), tls => 'off', ca_file => undef, stall_timeout => 2);
	my (undef, undef, $err) = $node->psql('postgres', q{\set VERBOSITY verbose
		IMPORT FOREIGN SCHEMA shop FROM SERVER try INTO public});
	like($err, qr/HV000: the source lists tables otherwise than by their names/, 'numbers are no names');
	return;
}

# The port of a server that prepares any statement as one of that column, and has that row.
sub fake_row
{
	my ($column, $row) = @_;
	my $end = "\xfe\0\0\2\0";
	my $done = packet(1, "\0\0\0\2\0\0\0");
	my ($port) = fake(greeting(0), packet(2, "\0\0\0\2\0\0\0"), ($done) x 4,
		packet(1, "\0" . pack('VvvCv', 1, 1, 0, 0, 0)) . packet(2, $column) . packet(3, $end),
		packet(1, "\1") . packet(2, $column) . packet(3, $end) . packet(4, $row) . packet(5, $end));
	return $port;
}

sub sockets
{
	my ($pid) = @_;
	return scalar(grep { (readlink($_) // '') =~ /socket/ } glob("/proc/$pid/fd/*"));
}

# Failed and unfinished reads leave neither files nor memory behind in their session.
sub test_leaks
{
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query('SELECT pg_backend_pid()');
	chomp $pid;
	my $each = sub {
		my ($n) = @_;
		$session->query(qq{SET client_min_messages = error; DO \$\$ BEGIN FOR i IN 1 .. $n LOOP
			BEGIN PERFORM * FROM censync_preview('my', query => 'SELECT 1 FROM none'); EXCEPTION WHEN undefined_table THEN END;
			PERFORM * FROM censync_run('leak');
			END LOOP; END \$\$});
	};
	pg(q{CREATE TABLE leak (id int PRIMARY KEY, v text);
		SELECT censync_create_sync('leak', 'leak', 'upsert', server => 'my', options => '{"on_error": "fail"}',
			query => 'SELECT if(seq = 500, NULL, seq) AS id, repeat(''x'', 1000) AS v FROM seq_1_to_1000000')});
	$each->(5);
	my $start = time;
	my ($files, $memory) = (sockets($pid), rss_kb($pid));
	$each->(60);
	cmp_ok(time - $start, '<', 60, 'what was not read is not read for the sake of closing');
	is(sockets($pid), $files, '120 reads that failed or were left leave no socket open');
	cmp_ok(rss_kb($pid) - $memory, '<', 8_000, 'and no memory');
	$session->quit;
	ok($db->wait_connections(0), 'nor a connection');
	return;
}
