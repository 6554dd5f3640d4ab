# The next page of an http source is on its way while this one is decoded: that it is, that nothing else about
# a read changes by it, and that it ends with the read.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncTest;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node('main', "fsync = off\nlog_statement = none");
my $http = start_http();
my $json = JSON::PP->new->canonical;
my $name_count = 0;
my $requests_seen = 0;

# What each way of paging needs, for the fake server's form of it.
my %paging = (
	link     => { pagination => 'link' },
	cursor   => { pagination => 'cursor', records => '/data' },
	next_url => { pagination => 'next_url', records => '/results' },
	page     => { pagination => 'page', records => '/data', total_pages_path => '/total_pages' },
	offset   => { pagination => 'offset', records => '/items', page_size => 3, total_path => '/total' });

# The conversion of a record takes as long as the test wants it to.
$node->safe_psql('postgres', q{
	CREATE FUNCTION take_time(id int) RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
		IF id % 10000 = 2 THEN
			PERFORM pg_advisory_lock(1);
			PERFORM pg_advisory_unlock(1);
		END IF;
		RETURN true;
	END $$;
	CREATE FUNCTION nap(id int) RETURNS boolean LANGUAGE sql AS 'SELECT pg_sleep(0.2) IS NOT NULL';
	CREATE FUNCTION long_nap(id int) RETURNS boolean LANGUAGE plpgsql AS $$
	BEGIN
		IF id = 9000 THEN
			PERFORM pg_sleep(3);
			RAISE LOG 'the nap ends at % s', extract(epoch FROM clock_timestamp());
		END IF;
		RETURN true;
	END $$;
	CREATE DOMAIN held AS int CHECK (take_time(VALUE));
	CREATE DOMAIN slow AS int CHECK (nap(VALUE));
	CREATE DOMAIN very_slow AS int CHECK (long_nap(VALUE));
});
create_server($node, 'src', $http);
$http->put('seven', '[' . join(', ', map { qq({"id": $_, "name": "n$_"}) } 1 .. 7) . ']');
# Two pages of 6 MB each: more than is received ahead of the reader.
$http->put('large', '[' . join(', ', map { qq({"id": $_, "name": ") . 'x' x 570 . '"}' } 1 .. 20000) . ']');

test_is_ahead();
test_time();
test_errors();
test_dropped();
test_cancel();
test_slow_reader();
test_size();
test_partial();

$node->stop;
done_testing();

sub sql { return $node->safe_psql('postgres', $_[0]) }

# The requests since the last call.
sub requests
{
	my @log = $http->log;
	my @new = @log[ $requests_seen .. $#log ];
	$requests_seen = @log;
	return @new;
}

# How many there were for pages of four records.  One of another test that was given up may be logged late.
sub requests_of_four
{
	return scalar(grep { ($_->{query}{size} // '') eq '4' } requests());
}

# A new table and a sync into it.
sub new_sync
{
	my ($object, $options, %more) = @_;
	my $name   = 's' . ++$name_count;
	my $type   = $more{type}   // 'int';
	my $server = $more{server} // 'src';
	sql("CREATE TABLE $name (id $type PRIMARY KEY, name text)");
	sql("SELECT censync_create_sync('$name', '$name', 'upsert', '$server', object => "
		  . sql_literal($object) . ', options => ' . sql_literal($json->encode($options)) . ')');
	return $name;
}

# Runs a statement in the background, while this session holds what the conversion of record 2 waits for.
sub while_held
{
	my ($sql, $what) = @_;
	my ($in, $out, $err) = ("SELECT pg_advisory_lock(1);\n\\echo locked\n", '', '');
	my $lock = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
		'<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout(120));
	$lock->pump until $out =~ /locked/;
	my ($run_out, $run_err) = ('', '');
	my $run = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') . ' application_name=held', '-c', $sql ],
		'<', '/dev/null', '>', \$run_out, '2>', \$run_err, IPC::Run::timeout(120));
	wait_for($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'held' AND wait_event = 'advisory'});
	$what->();
	$in = "SELECT pg_advisory_unlock(1);\n\\q\n";
	$lock->finish;
	$run->finish;
	return ($run_out, $run_err);
}

# While a record of the first page is converted, the server has the request for the second; all requests
# come one after the other, on one connection.
sub test_is_ahead
{
	foreach my $kind (sort keys %paging)
	{
		my $name = new_sync("pages/$kind?set=seven&size=3&hold_at=2", $paging{$kind}, type => 'held');
		requests();
		my (undef, $err) = while_held("CALL censync_sync('$name')", sub {
			ok($http->wait_state(sub { $_->{waiting}{page} }), "$kind: the second page is asked for early");
			is(scalar(requests()), 2, "$kind: and no other");
			$http->release;
		});
		is($err, '', "$kind: no error");
		is(sql("SELECT string_agg(id || name, ' ' ORDER BY id) FROM $name"), join(' ', map { $_ . "n$_" } 1 .. 7), "$kind: rows");
		is(sql("SELECT records_read, bytes_read > 0 FROM censync.runs ORDER BY run_id DESC LIMIT 1"), '7|t', "$kind: counts");
		my @log = requests();
		is(scalar(@log), 1, "$kind: three requests");
		is($log[0]{connection}, ($http->log)[-2]{connection}, "$kind: on one connection");
	}
	sql("CREATE FOREIGN TABLE seven (id int, name text) SERVER src OPTIONS (object 'pages/link?set=seven&size=3', pagination 'link')");
	requests();
	is(sql('BEGIN; DECLARE c CURSOR FOR SELECT id FROM seven; FETCH 1 FROM c; SELECT pg_sleep(0.5)::text; COMMIT'), "1\n", 'foreign table: a row');
	is(scalar(requests()), 2, 'foreign table: the second page is asked for early');
	return;
}

# Six answers after 0.2 s, and seven records of 0.2 s: 2.6 s one after the other, 1.4 s together.
sub test_time
{
	my $name  = new_sync('pages/link?set=seven&size=1&pause=0.2', $paging{link}, type => 'slow');
	my $start = time;
	my $run   = run_sync($node, $name);
	my $took  = time - $start;
	is($run->{records_created}, 7, 'time: rows');
	cmp_ok($took, '>', 1.39, 'time: the records took theirs');
	cmp_ok($took, '<', 2.3, 'time: the answers came meanwhile');
	return;
}

# What the request ahead meets is what it would have met later, and says so in its turn.
sub test_errors
{
	my $statuses = sub { return join ' ', map { $_->{status} } requests() };
	my $fails = sub {
		my ($title, $object, $options, $code, $message, $read, $requests, $before) = @_;
		requests();
		my $run = run_sync($node, new_sync($object, $options), before => $before);
		is("$run->{status} " . ($run->{error_code} // ''), "failed $code", "$title: status and SQLSTATE");
		like($run->{error_message} // '', $message, "$title: message");
		is($run->{records_read}, $read, "$title: the records before it were read");
		is($statuses->(), $requests, "$title: requests");
	};
	my $completes = sub {
		my ($title, $object, $options, $requests) = @_;
		requests();
		my $run = run_sync($node, new_sync($object, $options));
		is("$run->{status} $run->{records_created}", 'completed 7', "$title: completed");
		is($statuses->(), $requests, "$title: requests");
	};
	my $page = { pagination => 'page', records => '/data' };

	$fails->('500', 'pages/link?set=seven&size=3&fail_at=2', $paging{link}, 'HV000', qr/HTTP status 500$/, 3, '200 500');
	$fails->('503 for ever', 'pages/cursor?set=seven&size=3&fail_at=2&status=503', $paging{cursor}, 'HV000',
		qr/HTTP status 503$/, 3, '200 503 503', 'SET censync.http_retries = 1');
	$fails->('404 behind the last page', 'pages/page?set=seven&size=3&totals=0&fail_at=4&status=404', $page,
		'42704', qr/HTTP status 404$/, 7, '200 200 200 404');
	$fails->('cut', 'pages/next_url?set=seven&size=3&cut_at=2', $paging{next_url}, '08006', qr/was lost$/, 3, '200 200');
	$fails->('repeats', 'pages/link?set=seven&size=3&repeat_at=2', $paging{link}, 'HV000', qr/repeat$/, 6, '200 200');
	$completes->('503 twice', 'pages/link?set=seven&size=3&fail_at=2&status=503&times=2', $paging{link}, '200 503 503 200 200');
	$completes->('empty last page', 'pages/page?set=seven&size=3&totals=0', $page, '200 200 200 200');

	my $start = time;
	$completes->('429 with Retry-After', 'pages/next_url?set=seven&size=3&fail_at=2&status=429&times=1&retry_after=1',
		$paging{next_url}, '200 429 200 200');
	cmp_ok(time - $start, '>=', 1, '429 with Retry-After: waited');

	create_server($node, 'rated', $http, rate_limit => '5/s');
	requests();
	my $run = run_sync($node, new_sync('pages/page?set=seven&size=2', $paging{page}, server => 'rated'));
	is(scalar(requests()), 4, 'rate limit: requests');
	is(sql("SELECT finished_at - started_at >= interval '0.6 s' FROM censync.runs WHERE run_id = $run->{run_id}"), 't', 'rate limit: kept');
	return;
}

# A page that was taken to exist and does not: no error, and not a word.
sub test_dropped
{
	requests();
	my $run = run_sync($node, new_sync('pages/offset?set=seven&totals=0&fail_at=4&status=404',
			{ pagination => 'offset', records => '/items', page_size => 3 }));
	is("$run->{status} $run->{records_read} $run->{records_created}", 'completed 7 7', 'dropped: completed');
	is($run->{_stderr}, '', 'dropped: no message');
	# It is on another connection than the one that follows it, and may be logged after that.
	is(join(' ', sort map { "$_->{query}{offset}:$_->{status}" } requests()), '0:200 3:200 6:200 7:200 9:404', 'dropped: requests');
	run_sync($node, new_sync('pages/offset?set=seven', $paging{offset}));
	is(scalar(requests()), 3, 'dropped: none where a total is announced');
	return;
}

# The request ahead ends with its run.
sub test_cancel
{
	foreach my $kind ('link', 'cursor')
	{
		my $name = new_sync("pages/$kind?set=seven&size=3&hold_at=2", $paging{$kind}, type => 'held');
		my (undef, $err) = while_held("CALL censync_sync('$name')", sub {
			ok($http->wait_state(sub { $_->{waiting}{page} }), "cancel, $kind: a request is ahead");
			sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'held'");
			ok($http->wait_state(sub { !$_->{waiting}{page} && !$_->{busy} }, 10), "cancel, $kind: it is given up");
		});
		like($err, qr/ERROR:  canceling statement due to user request/, "cancel, $kind: error");
	}
	return;
}

# The page ahead has to wait for three seconds, most of it outside: its time has not begun.
sub test_slow_reader
{
	create_server($node, 'hasty', $http, stall_timeout => 1, timeout => 2);
	my $name = new_sync('pages/link?set=large&size=10000', $paging{link}, type => 'very_slow', server => 'hasty');
	requests();
	my $run = run_sync($node, $name);
	is("$run->{status} $run->{records_created}", 'completed 20000', 'slow reader: completed') or diag $run->{error_message};
	my @times = map { $_->{time} } requests();
	my ($nap_end) = PostgreSQL::Test::Utils::slurp_file($node->logfile) =~ /the nap ends at ([0-9.]+) s/;
	cmp_ok($times[1], '<', $nap_end, 'slow reader: the second page was asked for before the rest');
	# The time of a request that is needed counts.
	$run = run_sync($node, new_sync('pages/link?set=seven&size=3&pause=4', $paging{link}, server => 'hasty'));
	like($run->{error_message}, qr/has sent nothing for 1 s/, 'slow reader: a slow server is told from it');
	return;
}

# Each body counts for itself.
sub test_size
{
	create_server($node, 'capped', $http, max_response_size => '7MB');
	my $run = run_sync($node, new_sync('pages/link?set=large&size=10000', $paging{link}, server => 'capped'));
	is("$run->{status} $run->{records_created}", 'completed 20000', 'size: two bodies below the limit');
	create_server($node, 'capped_low', $http, max_response_size => '5MB');
	$run = run_sync($node, new_sync('pages/link?set=large&size=10000', $paging{link}, server => 'capped_low'));
	is($run->{error_code}, '54000', 'size: one above');
	return;
}

# Who does not want all asks for nothing ahead.
sub test_partial
{
	my $name = new_sync('pages/link?set=seven&size=4', $paging{link});
	is(run_sync($node, $name, limit => 2)->{records_read}, 2, 'limit: records');
	is(requests_of_four(), 1, 'limit: one request');
	sql(q{SELECT count(*) FROM censync_preview('src', object => 'pages/link?set=seven&size=4', "limit" => 4, options => '{"pagination": "link"}')});
	is(requests_of_four(), 1, 'preview: one request');
	create_server($node, 'first_page', $http, path => '/pages/link?set=seven&size=4', pagination => 'link');
	is(sql(q{SELECT bool_and(ok) FROM censync_check('first_page')}), 't', 'check: good');
	is(requests_of_four(), 1, 'check: one request');
	return;
}
