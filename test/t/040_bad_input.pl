# Whatever a source does wrong: the destination is as it was before the run, or as it is after a whole
# one; the run is logged with what happened; the next run succeeds.
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

my $secret = 'tok-9f3a.B~+/==';
my $node = new_node('main', <<'END');
censync.http_retries = 0
restart_after_crash = on
log_statement = none
fsync = off
END
my $http  = start_http();
my $other = start_http();
my $json  = JSON::PP->new->canonical;
my @behaviors = ('mirror', 'upsert');
my $no_options = $json->encode({ map { $_ => undef } qw(records pagination page_size cursor_path
	has_more_path total_path max_rejected max_deletes on_error) });

# Before: six records and a row of somebody else's.  After: 1 changed, 2 gone, 7 new.
my %before = map { $_ => "name $_" } 1 .. 6;
my %after = (%before, 1 => 'changed', 7 => 'name 7');
delete $after{2};
my %good_counts = (
	mirror => { created => 1, updated => 1, deleted => 1, unchanged => 4 },
	upsert => { created => 1, updated => 1, deleted => 0, unchanged => 4 });

# Where a run is when something happens to it.
my @held = (
	[ 'before the answer', 'data/after?hold=gate', {} ],
	[ 'in the middle of the pages', 'pages/page?set=long&size=2000&hold_at=2',
		{ pagination => 'page', records => '/data' } ]);

put_documents();
create_server($node, 'src', $http, stall_timeout => 2, max_response_size => '1MB',
	mapping => { token => $secret });
create_server($node, 'patient', $http);
create_server($node, 'src_close', $http, end_of_body => 'close');
create_server($node, 'src_far', $http, url => 'http://192.0.2.1/');
create_server($node, 'src_name', $http, url => 'http://metadata.example.com/');
create_syncs();

test_answers();
test_bodies();
test_pages();
test_limits();
test_redirects();
test_records();
test_records_of_a_mirror();
test_statement_timeout();
test_cancel();
test_terminate();
test_kill();
test_secrets();

$node->stop;
done_testing();

sub put_documents
{
	$http->put('before', document(%before));
	$http->put('after', document(%after));
	$http->put('long', '[' . join(',', map { qq({"id": $_, "name": "long $_"}) } 1 .. 5000) . ']');
	return;
}

sub document
{
	my (%rows) = @_;
	return '[' . join(', ', map { qq({"id": $_, "name": "$rows{$_}"}) } sort keys %rows) . ']';
}

sub create_syncs
{
	foreach my $behavior (@behaviors)
	{
		sql("CREATE TABLE $behavior (id int PRIMARY KEY, name text NOT NULL, own text DEFAULT 'kept')");
		sql("SELECT censync_create_sync('$behavior', '$behavior', '$behavior', 'src',
			object => 'data/before')");
	}
	return;
}

sub sql { return $node->safe_psql('postgres', $_[0]) }

# Starts over: a table with what a first run wrote, and one row that the sync knows nothing of.
sub prepare
{
	my ($behavior) = @_;
	sql(qq{
		TRUNCATE $behavior;
		SELECT censync_reset('$behavior');
		SELECT censync_alter_sync('$behavior', server => 'src', object => 'data/before',
			options => '$no_options');
		SELECT FROM censync_run('$behavior');
		INSERT INTO $behavior VALUES (100, 'theirs', 'not ours');
		UPDATE $behavior SET own = 'own ' || id});
	return;
}

sub memory { return sql("SELECT string_agg(key::text, ' ' ORDER BY key) FROM censync.mirror_memory") }

# Everything that a bad run must leave alone.
sub state_of
{
	my ($behavior) = @_;
	return table_state($node, $behavior) . ' memory=' . memory();
}

sub point_at
{
	my ($behavior, $object, %more) = @_;
	my $options = $more{options} ? ', options => ' . sql_literal($json->encode($more{options})) : '';
	my $server  = $more{server}  ? ', server => ' . sql_literal($more{server})                  : '';
	sql("SELECT censync_alter_sync('$behavior', object => " . sql_literal($object) . "$options$server)");
	return;
}

# The run after a bad one, against a source that is well again.
sub next_run_succeeds
{
	my ($behavior, $title, %counts) = @_;
	%counts = %{ $good_counts{$behavior} } unless %counts;
	sql("SELECT censync_alter_sync('$behavior', server => 'src', object => 'data/after',
		options => '$no_options')");
	my $run = run_sync($node, $behavior);
	is($run->{status}, 'completed', "$title, $behavior: the next run succeeds")
	  or diag $run->{error_message};
	is_deeply({ map { $_ => $run->{"records_$_"} } keys %counts }, \%counts,
		"$title, $behavior: the next run does what is left to do");
	my %expected = (%after, $behavior eq 'upsert' ? (2 => 'name 2') : (), 100 => 'theirs');
	is(sql("SELECT string_agg(id || '=' || name, ', ' ORDER BY id) FROM $behavior"),
		join(', ', map { "$_=$expected{$_}" } sort { $a <=> $b } keys %expected),
		"$title, $behavior: the next run's rows");
	is(sql("SELECT count(*) FROM $behavior WHERE own IS DISTINCT FROM
		CASE id WHEN 100 THEN 'own 100' WHEN 7 THEN 'kept' ELSE 'own ' || id END"),
		0, "$title, $behavior: columns that are not mapped are left alone");
	return;
}

# What is logged of a failed run is what the caller got, and complete.
sub check_log
{
	my ($behavior, $title, $run, $code, $message, $status) = @_;
	my $logged = $json->decode(sql("SELECT row_to_json(r) FROM censync.runs r
		WHERE sync = '$behavior' ORDER BY run_id DESC LIMIT 1"));

	is($logged->{status}, $status // 'failed', "$title, $behavior: status");
	like($logged->{error_code}, qr/^(?:$code)$/, "$title, $behavior: SQLSTATE");
	like($logged->{error_message}, $message, "$title, $behavior: message");
	like($logged->{error_hint}, qr/\w.*\.$/s, "$title, $behavior: hint");
	ok($logged->{finished_at}, "$title, $behavior: finished");
	is(join(',', map { $logged->{"records_$_"} } qw(created updated deleted unchanged)),
		'0,0,0,0', "$title, $behavior: nothing is counted as done");
	is($run->{run_id}, $logged->{run_id}, "$title, $behavior: the caller got that row") if $run;
	return $logged;
}

# A run that must fail, once for each behavior.
sub fails
{
	my ($title, $object, $code, $message, %more) = @_;
	foreach my $behavior (@behaviors)
	{
		prepare($behavior);
		my $state = state_of($behavior);
		point_at($behavior, $object, %more);
		my $run = run_sync($node, $behavior);
		is(state_of($behavior), $state, "$title, $behavior: nothing is changed");
		check_log($behavior, $title, $run, $code, $message);
		like($run->{_stderr}, qr/^(?:psql:.*: )?WARNING: .*run $run->{run_id} of sync "$behavior" failed: /m,
			"$title, $behavior: warning");
		next_run_succeeds($behavior, $title);
	}
	return;
}

sub test_answers
{
	fails('HTML', 'bad/html', '22032', qr/^response is HTML or XML, not data$/);
	fails('HTML said to be JSON', 'bad/html_as_json', '22032', qr/^response is not JSON$/);
	fails('404', 'bad/404', '42704', qr/^"http:.*\/bad\/404" answered with HTTP status 404$/);
	fails('401', 'bad/401', '28000', qr/answered with HTTP status 401$/);
	fails('403', 'bad/403', '28000', qr/answered with HTTP status 403$/);
	fails('418', 'bad/418', 'HV00L', qr/answered with HTTP status 418$/);
	fails('429', 'bad/429?retry_after=1', '53400', qr/answered with HTTP status 429$/);
	fails('500', 'bad/500', 'HV000', qr/answered with HTTP status 500$/);
	fails('no body', 'bad/empty', '22032', qr/^response is empty$/);
	fails('204', 'bad/no_content', '22032', qr/^response is empty$/);
	fails('not HTTP', 'bad/no_http', '08P01', qr/did not answer in HTTP$/);
	fails('endless headers', 'bad/huge_headers', '54000', qr/headers of the answer .* too large$/);
	return;
}

sub test_bodies
{
	my $cut = qr/^response ends in the middle of a JSON document$/;
	my $lost = qr/^connection to "127.0.0.1" was lost$/;

	fails('truncated body', 'bad/truncated?set=before', '22032', $cut);
	# Cut between two records, where everything read so far is good.
	my $at = index(document(%before), ', {"id": 4');
	fails('truncated after a record', "bad/truncated?set=before&at=$at", '22032', $cut);
	fails('truncated before the last bracket',
		'bad/truncated?set=before&at=' . (length(document(%before)) - 1), '22032', $cut);
	fails('Content-Length too small', 'bad/short_length?set=before', '22032', $cut);
	fails('Content-Length too large', "bad/cut?set=before&at=$at", '08006', $lost);
	fails('Content-Length one too large',
		'bad/cut?set=before&at=' . (length(document(%before)) - 1), '08006', $lost);
	fails('cut connection', 'bad/cut?set=long', '08006', $lost);
	fails('reset connection', 'bad/rst?set=long', '08006', $lost);
	fails('no answer', 'bad/no_answer', '08006', $lost);
	fails('bad chunk', 'bad/bad_chunk?set=before', '08006', $lost);
	fails('truncated gzip', 'bad/gzip_truncated?set=long', '08006', qr/^the answer of .* is cut off$/);
	fails('truncated gzip trailer', 'bad/gzip_truncated?set=long&at=30', '08006', qr/is cut off$/);
	fails('not gzip', 'bad/gzip_garbage', '08P01', qr/^can't decompress the answer/);
	fails('end of the connection as the end of the body', 'data/before?close=1', '08P01',
		qr/^can't tell whether the answer of .* is complete$/);
	fails('stalled', 'bad/stall?set=long', '08006', qr/has sent nothing for 2 s$/);

	# NDJSON and CSV have no end of their own: the framing must prove it.
	$http->put('lines', join('', map { qq({"id": $_, "name": "n"}\n) } 1 .. 6), 'application/x-ndjson');
	$http->put('rows', join("\n", 'id,name', map { "$_,n" } 1 .. 6) . "\n", 'text/csv');
	my $line = length(qq({"id": 1, "name": "n"}\n));
	fails('NDJSON cut after a line', 'bad/cut?set=lines&at=' . 2 * $line, '08006', $lost);
	fails('NDJSON cut off by close', 'data/lines?close=1', '08P01', qr/^can't tell/);
	fails('CSV cut after a line', 'bad/cut?set=rows&at=12', '08006', $lost);
	fails('CSV cut off by close', 'data/rows?close=1', '08P01', qr/^can't tell/);

	# Who accepts such ends gets them; the JSON document still has to be complete.
	fails('truncated document, end accepted', "bad/truncated?set=before&at=$at&close=1", '22032', $cut,
		server => 'src_close');
	prepare('mirror');
	point_at('mirror', 'data/after?close=1', server => 'src_close');
	is(run_sync($node, 'mirror')->{records_read}, 6, 'end_of_body = close accepts a whole document');
	return;
}

sub test_pages
{
	my $repeat = qr/^the pages of the source repeat$/;
	my %cursor = (pagination => 'cursor', records => '/data', cursor_path => '/next_cursor');
	my %number = (pagination => 'page', records => '/data');
	my %offset = (pagination => 'offset', records => '/items');

	fails('500 after page 3', 'pages/cursor?set=long&size=10&fail_at=4', 'HV000',
		qr/answered with HTTP status 500$/, options => \%cursor);
	is(scalar(grep { $_->{path} eq '/pages/cursor' && $_->{status} == 200 } $http->log), 6,
		'three pages were read each time');
	fails('page 3 is cut', 'pages/cursor?set=long&size=1000&cut_at=3', '08006', qr/was lost$/,
		options => \%cursor);
	fails('the same cursor twice', 'pages/cursor?set=long&size=10&repeat_at=3', 'HV000', $repeat,
		options => \%cursor);
	fails('the same cursor with has_more', 'pages/cursor?set=long&size=10&repeat_at=3', 'HV000', $repeat,
		options => { %cursor, has_more_path => '/has_more' });
	fails('the same next URL', 'pages/next_url?set=long&size=10&repeat_at=3', 'HV000', $repeat,
		options => { pagination => 'next_url', records => '/results' });
	fails('the same link', 'pages/link?set=long&size=10&repeat_at=2', 'HV000', $repeat,
		options => { pagination => 'link' });
	fails('page number ignored', 'pages/page?set=long&size=10&repeat_at=1', 'HV000', $repeat,
		options => \%number);
	fails('page number ignored later', 'pages/page?set=long&size=10&repeat_at=4', 'HV000', $repeat,
		options => \%number);
	fails('offset ignored', 'pages/offset?set=long&repeat_at=1', 'HV000', $repeat,
		options => { %offset, page_size => 10 });

	fails('fewer records than announced', 'pages/cursor?set=long&size=1000&lie_total=5001', 'HV000',
		qr/^the source announced 5001 records and sent 5000$/, options => { %cursor, total_path => '/total' });
	fails('an offset that ends before the total', 'pages/offset?set=long&lie_total=5001', 'HV000',
		qr/^the source announced 5001 records and sent 5000$/,
		options => { %offset, page_size => 2000, total_path => '/total' });
	fails('no cursor where one should be', 'pages/cursor?set=long&size=1000', 'HV000',
		qr/^the response has no usable value at "\/cursors\/next"$/,
		options => { %cursor, cursor_path => '/cursors/next', has_more_path => '/has_more' });
	fails('next page on another host',
		'pages/next_url?set=long&size=1000&foreign=' . $other->url, '08P01',
		qr/^the next page is on another host$/, options => { pagination => 'next_url', records => '/results' });
	is_deeply([ $other->log ], [], 'nothing was asked of the other host');
	return;
}

sub test_limits
{
	my $large = qr/^the answer of .* is larger than 1048576 bytes$/;

	fails('body over the cap', 'bad/huge?mb=2', '54000', $large);
	fails('endless body', 'bad/endless', '54000', $large);
	fails('one huge record', 'bad/huge?mb=2&one=1', '54000', $large);
	fails('gzip bomb', 'bad/gzip_bomb?mb=64', '54000', $large);
	fails('private network', 'x', '42501', qr/^connection to "192.0.2.1" is not allowed$/,
		server => 'src_far');
	sql("ALTER SYSTEM SET censync.allowed_hosts = 'api.example.com'");
	sql('SELECT pg_reload_conf()');
	wait_for($node, "SELECT current_setting('censync.allowed_hosts') = 'api.example.com'");
	foreach my $behavior (@behaviors)
	{
		my $state = state_of($behavior);
		foreach my $case ([ 'src', '127.0.0.1' ], [ 'src_name', 'metadata.example.com' ])
		{
			my ($server, $host) = @$case;
			point_at($behavior, 'data/before', server => $server);
			my $run = run_sync($node, $behavior);
			check_log($behavior, "host $host outside the list", $run, '42501',
				qr/^connection to "\Q$host\E" is not allowed$/);
		}
		is(state_of($behavior), $state, "host outside the list, $behavior: nothing is changed");
	}
	sql("ALTER SYSTEM RESET censync.allowed_hosts");
	sql('SELECT pg_reload_conf()');
	wait_for($node, "SELECT current_setting('censync.allowed_hosts') = '127.0.0.0/8'");
	foreach my $behavior (@behaviors)
	{
		prepare($behavior);
		next_run_succeeds($behavior, 'host in the list again');
	}
	return;
}

sub test_redirects
{
	my $refused = qr/^connection to "169.254.169.254" is not allowed$/;

	fails('redirect to the metadata service', 'bad/redirect?to=http://169.254.169.254/latest/meta-data/',
		'42501', $refused);
	fails('the same written otherwise', 'bad/redirect?to=http://%5B::ffff:169.254.169.254%5D/', '42501',
		qr/is not allowed$/);
	fails('the same as a number', 'bad/redirect?to=http://2852039166/', '42501|08P01',
		qr/not allowed$|can't follow a redirect/);
	fails('redirect in a circle', 'bad/redirect_loop', '08P01', qr/^can't follow a redirect/);
	fails('too many redirects', 'bad/redirect_chain?hops=6', '08P01', qr/^can't follow a redirect/);
	fails('redirect to a file', 'bad/redirect?to=file:///etc/passwd', '08P01', qr/^can't follow a redirect/);
	fails('redirect to nowhere', 'bad/redirect', '08P01', qr/^can't follow a redirect/);

	# To other origins: followed where the address is allowed, but without what is not theirs.
	$other->put('after', document(%after));
	foreach my $host ('127.0.0.1', 'localhost')
	{
		$other->control('POST', 'reset');
		$other->put('after', document(%after));
		foreach my $behavior (@behaviors)
		{
			prepare($behavior);
			point_at($behavior, 'bad/redirect?to=' . $other->url('/data/after', $host));
			my $run = run_sync($node, $behavior);
			is($run->{status}, 'completed', "redirect to $host, $behavior: followed")
			  or diag $run->{error_message};
			my %counts = map { $_ => $run->{"records_$_"} } keys %{ $good_counts{$behavior} };
			is_deeply(\%counts, $good_counts{$behavior}, "redirect to $host, $behavior: counts");
		}
		my @requests = $other->log;
		is(scalar @requests, 2, "redirect to $host: asked once for each");
		ok(!exists $_->{headers}{authorization}, "redirect to $host: without credentials") for @requests;
		unlike($json->encode(\@requests), qr/tok-9f3a/, "redirect to $host: no secret anywhere");
	}
	my @own = grep { $_->{path} eq '/bad/redirect' } $http->log;
	ok(@own > 0 && !grep({ ($_->{headers}{authorization} // '') ne "Bearer $secret" } @own),
		'the first host does get the credentials');
	# Another name of the same server is another origin too.
	$http->reset;
	put_documents();
	prepare('upsert');
	point_at('upsert', 'bad/redirect?to=' . $http->url('/data/after', 'localhost'));
	is(run_sync($node, 'upsert')->{status}, 'completed', 'redirect to localhost by name: followed');
	my ($request) = grep { $_->{headers}{host} =~ /^localhost:/ } $http->log;
	ok($request, 'redirect to localhost by name: asked by that name');
	ok(!exists $request->{headers}{authorization}, 'redirect to localhost by name: without credentials');
	return;
}

# Records that are bad in themselves: they are refused, the others are applied.
sub test_records
{
	my @cases = (
		[ 'invalid UTF-8', 'bad/invalid_utf8', 3, '2:22021' ],
		[ 'zero character', 'bad/nul', 3, '2:22P05' ],
		[ 'lone surrogate', 'bad/surrogate', 2, '2:22P02' ],
		[ 'records that are no objects', 'bad/not_object', 6, '2:22023 3:22023 4:22023 5:22023' ],
		[ 'records without a key', 'bad/missing_key', 4, '2:23502 3:23502' ],
		[ 'numbers out of range', 'bad/big_number', 4, '2:22003 3:22003 4:22P02' ]);

	foreach my $case (@cases)
	{
		my ($title, $object, $read, $expected) = @$case;
		foreach my $behavior (@behaviors)
		{
			prepare($behavior);
			my $state = state_of($behavior);
			sql("SELECT censync_alter_sync('$behavior', options => '{\"max_rejected\": 0.2}')");
			point_at($behavior, $object);
			check_log($behavior, "$title, too many", run_sync($node, $behavior), '54000',
				qr/^\d of $read records are invalid or rejected$/);
			is(state_of($behavior), $state, "$title, too many, $behavior: nothing is changed");

			sql("SELECT censync_alter_sync('$behavior',
				options => '{\"max_rejected\": null, \"on_error\": \"fail\"}')");
			my ($code) = $expected =~ /:(\w+)/;
			check_log($behavior, "$title, on_error = fail", run_sync($node, $behavior), $code, qr/./);
			is(state_of($behavior), $state, "$title, on_error = fail, $behavior: nothing is changed");

			sql("SELECT censync_alter_sync('$behavior', options => '{\"on_error\": null, \"max_deletes\": 1}')");
			my $run = run_sync($node, $behavior);
			my $bad = () = $expected =~ /:/g;
			is("$run->{status} $run->{records_read} $run->{records_invalid} $run->{records_updated}",
				"completed $read $bad " . ($read - $bad), "$title, $behavior: the others are applied");
			is(sql("SELECT string_agg(record_number || ':' || reason_code, ' ' ORDER BY record_number)
				FROM censync.records WHERE run_id = $run->{run_id} AND status = 'invalid'
				AND operation = 'read' AND reason <> '' AND payload IS NOT NULL"),
				$expected, "$title, $behavior: the bad ones are logged");
			is(sql("SELECT name FROM $behavior WHERE id = 1"), 'one', "$title, $behavior: a good record's row");
			is(sql("SELECT name FROM $behavior WHERE id = 100"), 'theirs', "$title, $behavior: a foreign row");
			is(sql("SELECT max(name) FROM $behavior WHERE id = 2"), 'name 2', "$title, $behavior: the row of a bad record")
			  if $behavior eq 'upsert';
			my $left = $read - $bad;
			sql("SELECT censync_alter_sync('$behavior', options => '{\"max_deletes\": null}')");
			prepare($behavior);
			next_run_succeeds($behavior, $title);
		}
	}
	fails('nothing but bad records', 'bad/nan', '54000', qr/^1 of 1 records are invalid/);
	fails('a zero byte', 'bad/nul_byte', '54000', qr/^1 of 1 records are invalid/);
	fails('text after the document', 'bad/trailing', '22032', qr/^response goes on after the end/);
	fails('nested without end', 'bad/deep_record', '54000', qr/^1 of 1 records are invalid/);
	return;
}

# A record that can't be read might be about any row: what a mirror has not seen is then not gone.
sub test_records_of_a_mirror
{
	my $rest = join ', ', map { qq({"id": $_, "name": "name $_"}) } 3 .. 5;
	my %bad = (
		'invalid UTF-8'   => qq({"id": 2, "name": "a\xff"}),
		'zero character'  => '{"id": 2, "name": "a\u0000"}',
		'lone surrogate'  => '{"id": 2, "name": "\udc00"}',
		'bad escape'      => '{"id": 2, "name": "\x"}',
		'not an object'   => '["id", 2]',
		'key of no value' => '{"id": "2nd", "name": "name 2"}');

	foreach my $title (sort keys %bad)
	{
		prepare('mirror');
		$http->put('bad', qq([{"id": 1, "name": "changed"}, $bad{$title}, $rest]));
		point_at('mirror', 'data/bad');
		my $run = run_sync($node, 'mirror');
		is("$run->{status} $run->{records_invalid} $run->{records_updated} $run->{records_deleted}",
			'completed 1 1 0', "$title: a mirror deletes nothing");
		like($run->{_stderr}, qr/WARNING: .*mirror "mirror" deletes nothing in this run/, "$title: warning");
		is(sql('SELECT string_agg(id::text, \' \' ORDER BY id) FROM mirror'), '1 2 3 4 5 6 100',
			"$title: every row is there");
		is(memory(), '{1} {2} {3} {4} {5} {6}', "$title: the mirror's memory is unharmed");
		next_run_succeeds('mirror', $title, created => 1, updated => 0, deleted => 1, unchanged => 5);
	}

	# Where the key can be read, the row is known to be in the source, and the others are known to be gone.
	prepare('mirror');
	$http->put('bad', qq([{"id": 1, "name": "changed"}, {"id": 2, "name": null}, $rest]));
	point_at('mirror', 'data/bad');
	my $run = run_sync($node, 'mirror');
	is(sql('SELECT string_agg(id || name, \' \' ORDER BY id) FROM mirror'),
		'1changed 2name 2 3name 3 4name 4 5name 5 100theirs', 'a record that is rejected keeps its row');
	is($run->{records_deleted}, 1, 'what is gone is deleted');

	# A key that is null is nobody's.
	prepare('mirror');
	$http->put('bad', qq([{"id": 1, "name": "changed"}, {"id": null, "name": "x"}, $rest]));
	point_at('mirror', 'data/bad', options => { max_deletes => 1 });
	run_sync($node, 'mirror');
	is(sql('SELECT string_agg(id::text, \' \' ORDER BY id) FROM mirror'), '1 3 4 5 100',
		'a record whose key is null keeps no row');
	sql(q{SELECT censync_alter_sync('mirror', options => '{"max_deletes": null}')});
	return;
}

sub psql_fails
{
	my ($sql, $pattern, $title) = @_;
	my $start = time;
	my ($status, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	isnt($status, 0, "$title: the statement fails");
	like($err, $pattern, "$title: error");
	cmp_ok(time - $start, '<', 10, "$title: at once");
	return;
}

sub last_run_is
{
	my ($behavior, $status, $title) = @_;
	return wait_for($node, "SELECT count(*) = 1 FROM (SELECT status FROM censync.runs
		WHERE sync = '$behavior' ORDER BY run_id DESC LIMIT 1) r WHERE status = '$status'", 20);
}

sub test_statement_timeout
{
	foreach my $how ('SELECT FROM censync_run', 'CALL censync_sync')
	{
		foreach my $behavior (@behaviors)
		{
			my $title = "$how, slow source, $behavior";
			prepare($behavior);
			my $state = state_of($behavior);
			point_at($behavior, 'data/after?delay=20');
			psql_fails("SET statement_timeout = 300; $how('$behavior')",
				qr/ERROR:  57014: .*statement timeout/, $title);
			ok(last_run_is($behavior, 'canceled'), "$title: logged");
			check_log($behavior, $title, undef, '57014', qr/statement timeout/, 'canceled');
			is(state_of($behavior), $state, "$title: nothing is changed");
			next_run_succeeds($behavior, $title);
		}
	}
	return;
}

# A session that runs a sync against a source that holds its answer.
sub start_held_run
{
	my ($how, $behavior, $object) = @_;
	my $name = 'held';
	my $session = IPC::Run::start([ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-c', "$how('$behavior')",
			'-d', $node->connstr('postgres') . " application_name=$name" ],
		'<', '/dev/null', '>', \my $out, '2>', \my $err, IPC::Run::timeout(60));
	my $gate = $object =~ /hold_at/ ? 'page' : 'gate';
	ok($http->wait_state(sub { $_->{waiting}{$gate} }, 20), "$how, $behavior: the source was asked");
	return { session => $session, err => \$err, out => \$out, pid => backend_pid($node, $name) };
}

sub finish
{
	my ($held) = @_;
	eval { $held->{session}->finish };
	return ${ $held->{err} };
}

sub test_cancel
{
	foreach my $how ('SELECT FROM censync_run', 'CALL censync_sync')
	{
		foreach my $behavior (@behaviors)
		{
			foreach my $case (@held)
			{
				my ($when, $object, $options) = @$case;
				my $title = "$how, canceled $when";
				prepare($behavior);
				my $state = state_of($behavior);
				point_at($behavior, $object, options => $options, server => 'patient');
				my $held = start_held_run($how, $behavior, $object);
				my $start = time;
				sql("SELECT pg_cancel_backend($held->{pid})");
				like(finish($held), qr/ERROR:  57014: .*canceling statement due to user request/,
					"$title, $behavior: canceled");
				cmp_ok(time - $start, '<', 5, "$title, $behavior: at once");
				ok(last_run_is($behavior, 'canceled'), "$title, $behavior: logged");
				check_log($behavior, $title, undef, '57014', qr/user request/, 'canceled');
				is(state_of($behavior), $state, "$title, $behavior: nothing is changed");
				next_run_succeeds($behavior, $title);
			}
		}
	}
	$http->reset;
	put_documents();
	return;
}

sub test_terminate
{
	foreach my $behavior (@behaviors)
	{
		foreach my $case (@held)
		{
			my ($when, $object, $options) = @$case;
			my $title = "terminated $when";
			prepare($behavior);
			my $state = state_of($behavior);
			point_at($behavior, $object, options => $options, server => 'patient');
			my $held = start_held_run('CALL censync_sync', $behavior, $object);
			is(sql("SELECT status FROM censync.runs ORDER BY run_id DESC LIMIT 1"), 'running',
				"$title, $behavior: the run is seen while it goes on");
			sql("SELECT pg_terminate_backend($held->{pid}, 10000)");
			like(finish($held), qr/57P01/, "$title, $behavior: terminated");
			ok(last_run_is($behavior, 'crashed'), "$title, $behavior: logged");
			my $logged = sql("SELECT error_code || ' ' || error_message || ' ' || error_hint
				FROM censync.runs WHERE sync = '$behavior' ORDER BY run_id DESC LIMIT 1");
			like($logged, qr/^58000 the session that ran it is gone .*\.$/, "$title, $behavior: with a hint");
			is(state_of($behavior), $state, "$title, $behavior: nothing is changed");
			next_run_succeeds($behavior, $title);
			# From then on the table itself says so.
			is(sql("SELECT status FROM censync.run_log WHERE sync = '$behavior'
				ORDER BY run_id DESC OFFSET 1 LIMIT 1"), 'crashed', "$title, $behavior: for good");
		}
	}
	$http->reset;
	put_documents();

	# Within a transaction the run is gone with it: nothing stays behind, no lock either.
	prepare('upsert');
	my $state = state_of('upsert');
	point_at('upsert', $held[0][1], server => 'patient');
	my $held = start_held_run('SELECT FROM censync_run', 'upsert', $held[0][1]);
	sql("SELECT pg_terminate_backend($held->{pid}, 10000)");
	finish($held);
	is(state_of('upsert'), $state, 'terminated in a transaction: nothing is changed');
	next_run_succeeds('upsert', 'terminated in a transaction');
	$http->reset;
	put_documents();
	return;
}

sub test_kill
{
	foreach my $how ('CALL censync_sync', 'SELECT FROM censync_run')
	{
		foreach my $behavior (@behaviors)
		{
			my $title = "$how, killed, $behavior";
			prepare($behavior);
			my $state = state_of($behavior);
			point_at($behavior, $held[1][1], options => $held[1][2], server => 'patient');
			sql('CHECKPOINT');
			my $held = start_held_run($how, $behavior, $held[1][1]);
			my $started = sql('SELECT pg_postmaster_start_time()');
			kill 'KILL', $held->{pid};
			finish($held);
			wait_for($node, 'SELECT true');
			is(state_of($behavior), $state, "$title: nothing is changed");
			if ($how =~ /CALL/)
			{
				ok(last_run_is($behavior, 'crashed'), "$title: logged");
				check_log_crashed($behavior, $title);
			}
			next_run_succeeds($behavior, $title);
		}
	}
	$http->reset;
	put_documents();
	return;
}

sub check_log_crashed
{
	my ($behavior, $title) = @_;
	my $run = $json->decode(sql("SELECT row_to_json(r) FROM censync.runs r
		WHERE sync = '$behavior' ORDER BY run_id DESC LIMIT 1"));
	is($run->{error_code}, '58000', "$title: SQLSTATE");
	like($run->{error_message}, qr/^the session that ran it is gone$/, "$title: message");
	like($run->{error_hint}, qr/\.$/, "$title: hint");
	return;
}

# Secrets that a source repeats, and those of every run above.
sub test_secrets
{
	my %mappings = (
		basic  => { user => 'etl', password => "p:\xc3\xa4\"\\x" },
		bearer => { token => $secret },
		key    => { api_key => 'k3y/+=&%"x' },
		query  => { api_key => 'k3y/+=&%"x', api_key_parameter => 'api_key' });
	my @forms = ('p:\x{c3}\x{a4}', 'tok-9f3a', 'dG9rLT', 'k3y/', 'k3y%2F', 'k3y\\\\/', 'ZXRsOnA6', 'p%3A');

	foreach my $kind (sort keys %mappings)
	{
		create_server($node, "echo_$kind", $http, mapping => $mappings{$kind});
		foreach my $object ('auth/echo', 'auth/echo?type=text', 'auth/echo?status=500', 'auth/echo?pad=470')
		{
			point_at('upsert', $object, server => "echo_$kind");
			my $run = run_sync($node, 'upsert');
			is($run->{status}, 'failed', "echo of $kind, $object: failed");
			my $all = $json->encode($run);
			unlike($all, qr/$_/, "echo of $kind, $object: not a word of $_") for @forms;
			# A preview and a check say no more.
			my (undef, undef, $err) = $node->psql('postgres',
				"SELECT * FROM censync_preview('echo_$kind', object => '$object')");
			unlike($err, qr/$_/, "preview of $kind, $object: not a word of $_") for @forms;
		}
	}
	my $log = slurp_file($node->logfile);
	unlike($log, qr/$_/, "server log: not a word of $_") for @forms;
	my $tables = sql('SELECT string_agg(r::text, \'\') FROM censync.runs r')
	  . sql('SELECT string_agg(r::text, \'\') FROM censync.records r');
	unlike($tables, qr/$_/, "run log: not a word of $_") for @forms;
	return;
}
