# Events of a run's life: NOTIFY, and webhooks that check what they are told, fail, and come back.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncTest;
use Digest::SHA qw(hmac_sha256_base64);
use JSON::PP;
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node('main', 'log_statement = none');
my $http = start_http();
my $secret = "s3cr\xc3\xa9t & more";
my @life = qw(sync.triggered sync.started sync.completed);

sql(q{CREATE TABLE t (id int PRIMARY KEY, name text CHECK (name <> 'bad'));
	SELECT censync_create_sync('good', 't', 'upsert', query => 'SELECT 1 AS id, ''x'' AS name');
	SELECT censync_create_sync('broken', 't', 'upsert', query => 'SELECT 1 AS id, ''row-data'' || 1/(random() * 0)::int AS name')});

test_notify();
test_webhook();
test_refused_event();
test_down_and_back();
test_times_out();
test_redirect();
test_given_up();
test_gone();
test_rollback();
test_in_flight();
test_who();
test_secret_is_kept();
test_secret_address();
test_options();
test_others_first();
test_encoding();
test_no_encoding();

$node->stop;
test_by_itself();
done_testing();

sub sql { return $node->safe_psql('postgres', $_[0]) }

# Also of statements that fail.
sub attempt
{
	my ($statements) = @_;
	my (undef, $out, $err) = $node->psql('postgres', $statements);
	return ($out, $err);
}

# The payloads that a session gets of what it does itself.
sub notifications
{
	my ($statements) = @_;
	my ($out) = attempt("LISTEN censync; $statements; SELECT 1");
	return map { JSON::PP->new->decode($_) } $out =~ /payload "(\{.*?\})" received/g;
}

# One webhook, and nobody else's deliveries.
sub create_hook
{
	my ($path, $options, $mapping) = @_;
	sql('DROP SERVER IF EXISTS hook CASCADE; DELETE FROM censync.outbox');
	$http->reset;
	create_server($node, 'hook', $http, type => 'webhook', path => $path, mapping => $mapping // {}, %{ $options // {} });
	return;
}

sub bodies { return map { JSON::PP->new->decode($_->{body}) } $http->log }
sub events { return join ' ', map { $_->{event} } bodies() }

sub states
{
	return sql(q{SELECT coalesce(string_agg(status || ' ' || n, ', ' ORDER BY status), 'none')
		FROM (SELECT status, count(*) AS n FROM censync.deliveries GROUP BY 1) x});
}

# Waiting is not what is tested here.
sub make_due
{
	sql(q{UPDATE censync.outbox SET next_attempt_at = now() WHERE status = 'pending'});
	return;
}

sub test_notify
{
	my @told = notifications(q{SELECT FROM censync_run('good')});
	is(join(' ', map { $_->{event} } @told), "@life sync.success", 'notify: the life of a good run');
	is_deeply([ sort keys %{ $told[3] } ], [ sort qw(id event at sync run_id status) ], 'notify: no more than that');
	is("$told[3]{sync} $told[3]{status}", 'good completed', 'notify: which one, and how it ended');
	is(sql("SELECT started_at < timestamptz '$told[3]{at}' FROM censync.runs WHERE run_id = $told[3]{run_id}"), 't', 'notify: of that run');
	my %ids = map { $_->{id} => 1 } @told;
	is(keys %ids, 4, 'notify: each has an id');
	@told = notifications(q{SELECT FROM censync_run('broken')});
	is(join(' ', map { $_->{event} } @told), "@life sync.failed", 'notify: of a failed one');
	is($told[3]{error_code}, '22012', 'notify: with its code');
	is(scalar(grep { /division|row-data/ } map { JSON::PP->new->encode($_) } @told), 0, 'notify: and nothing else of it');
	@told = notifications(q{CALL censync_sync('broken')});
	is(join(' ', map { $_->{event} } @told), "@life sync.failed", 'notify: the same of CALL');
	is(scalar(notifications(q{SELECT FROM censync_run('good', dry_run => true)})), 0, 'notify: nothing of a dry run');
	is(scalar(notifications(q{BEGIN; SELECT FROM censync_run('good'); ROLLBACK})), 0, 'notify: nothing of what was undone');
	is(scalar(notifications(q{SET censync.notify = off; SELECT FROM censync_run('good')})), 0, 'notify: can be turned off');
	my $name = 'long "' . "\xc3\xa9" x 3000;
	sql('SELECT censync_create_sync(' . sql_literal($name) . q{, 't', 'upsert', query => 'SELECT 1 AS id')});
	@told = notifications('SELECT FROM censync_run(' . sql_literal($name) . ')');
	is(scalar(@told), 4, 'notify: a name too long for a notification does no harm');
	sql('SELECT censync_drop_sync(' . sql_literal($name) . ')');
	return;
}

sub test_webhook
{
	create_hook('/hook/good?secret=s3cr%C3%A9t%20%26%20more', {}, { secret => $secret });
	is(sql(q{SELECT step, ok FROM censync_check('hook')}), 'deliver|t', 'webhook: censync_check');
	is(events(), 'test', 'webhook: tells it an event "test"');
	$http->reset;
	sql(q{CALL censync_sync('good')});
	is(events(), "@life sync.success", 'webhook: is told of a run by CALL itself, in order');
	is(states(), 'delivered 4', 'webhook: all are delivered');
	my ($request) = ($http->log)[3];
	my ($body)    = (bodies())[3];
	my $bytes     = $request->{body};
	utf8::encode($bytes);
	is($request->{headers}{'x-signature'}, hmac_sha256_base64($bytes, $secret) . '=', 'webhook: HMAC-SHA256 of the body, in base64');
	my $file = PostgreSQL::Test::Utils::tempdir('hmac') . '/body';
	append_to_file($file, $bytes);
	my ($mac) = run_command([ 'openssl', 'dgst', '-sha256', '-hmac', $secret, '-hex', $file ]);
	is(unpack('H*', decode_base64($request->{headers}{'x-signature'})), $mac =~ s/.* //r, 'webhook: as openssl has it');
	is($body->{id}, $request->{headers}{'x-event-id'}, 'webhook: its id');
	is(sql("SELECT event FROM censync.deliveries WHERE event_id = '$body->{id}'"), 'sync.success', 'webhook: by which it can be found');
	is_deeply([ @$body{qw(sync status trigger records_read records_unchanged database)} ], [ 'good', 'completed', 'manual', 1, 1, 'postgres' ],
		'webhook: what happened');
	attempt(q{CALL censync_sync('broken')});
	$body = (bodies())[-1];
	is_deeply([ @$body{qw(event error_code error_message)} ], [ 'sync.failed', '22012', 'division by zero' ], 'webhook: why it failed');
	# Of a run within a transaction: when that is over, by whoever delivers.
	$http->reset;
	sql(q{SELECT FROM censync_run('good')});
	is(scalar($http->log), 0, 'webhook: nobody waits for it in a transaction');
	sql('CALL censync_deliver()');
	is(events(), "@life sync.success", 'webhook: censync_deliver tells it');
	sql('CALL censync_deliver()');
	is(scalar($http->log), 4, 'webhook: once');
	my ($wrong) = $http->url('/hook/good?secret=other');
	sql("ALTER SERVER hook OPTIONS (SET url '$wrong')");
	sql(q{SELECT FROM censync_run('good'); CALL censync_deliver()});
	like(sql(q{SELECT last_error FROM censync.deliveries WHERE status = 'pending' LIMIT 1}), qr/status 400/, 'webhook: a wrong signature would be noticed');
	return;
}

# An answer that is about one event does not keep others waiting.
sub test_refused_event
{
	create_hook('/hook/some?status=422&times=2');
	sql(q{CALL censync_sync('good'); CALL censync_deliver()});
	is(states(), 'delivered 2, pending 2', 'refused: the others go on');
	is(sql(q{SELECT string_agg(event || ' ' || attempts || ' ' || last_error, ', ' ORDER BY delivery_id) FROM censync.deliveries WHERE status = 'pending'}),
		'sync.triggered 1 the webhook answered with status 422, sync.started 1 the webhook answered with status 422', 'refused: why is seen');
	is(sql(q{SELECT bool_and(next_attempt_at BETWEEN now() + '5 s' AND now() + '10 s') FROM censync.deliveries WHERE status = 'pending'}), 't',
		'refused: tried again in ten seconds');
	make_due();
	sql('CALL censync_deliver()');
	is(states(), 'delivered 4', 'refused: and taken then');
	return;
}

# A webhook that is out of order is left alone for a while, and then hears everything in order.
sub test_down_and_back
{
	create_hook('/hook/down?status=503&times=3');
	sql(q{CALL censync_sync('good')});
	is(scalar($http->log), 1, 'down: one attempt');
	sql(q{SELECT FROM censync_run('broken'); CALL censync_deliver()});
	is(scalar($http->log), 1, 'down: new events wait, too');
	foreach my $wait (20, 40)
	{
		make_due();
		sql('CALL censync_deliver()');
		is(sql(qq{SELECT next_attempt_at - now() BETWEEN '$wait s'::interval - '5 s' AND '$wait s' FROM censync.outbox WHERE holds}), 't',
			"down: then after $wait seconds");
	}
	is(scalar($http->log), 3, 'down: one attempt each time');
	make_due();
	sql('CALL censync_deliver()');
	is(states(), 'delivered 8', 'down: it is back');
	my @told = splice @{ [ bodies() ] }, 3;
	is(join(' ', map { $_->{event} } @told), "@life sync.success @life sync.failed", 'down: order is kept');
	is((bodies())[0]{id}, $told[0]{id}, 'down: an attempt has the id of the one before');
	$http->stop;
	my $port = $http->port;
	sql(q{CALL censync_sync('good')});
	is(sql('SELECT last_error FROM censync.deliveries WHERE attempts = 1 AND status = $$pending$$'), 'could not connect to "127.0.0.1"',
		'down: nothing listens');
	$http = start_http(port => $port);
	sql('ALTER SERVER hook OPTIONS (SET url ' . sql_literal($http->url('/hook/down')) . ')');
	make_due();
	sql('CALL censync_deliver()');
	is(states(), 'delivered 12', 'down: a server that was started again');
	return;
}

sub test_times_out
{
	create_hook('/hook/slow?delay=30', { timeout => 1 });
	my $start = time;
	sql(q{CALL censync_sync('good')});
	cmp_ok(time - $start, '<', 8, 'slow: CALL does not wait for long');
	is(sql(q{SELECT status FROM censync.runs ORDER BY run_id DESC LIMIT 1}), 'completed', 'slow: the run is not touched by it');
	like(sql('SELECT last_error FROM censync.deliveries WHERE attempts = 1'), qr/took longer than 1 s/, 'slow: is said');
	return;
}

# Whoever is sent elsewhere may lose the body on the way.
sub test_redirect
{
	create_hook('/hook/moved?status=302&to=/hook/there');
	sql(q{CALL censync_sync('good')});
	is(scalar(grep { $_->{path} ne '/hook/moved' } $http->log), 0, 'redirect: is not followed');
	like(sql('SELECT last_error FROM censync.deliveries WHERE attempts = 1'), qr/status 302/, 'redirect: counts as not delivered');
	return;
}

sub test_given_up
{
	create_hook('/hook/never?status=500');
	sql(q{CALL censync_sync('good')});
	sql(q{UPDATE censync.outbox SET created_at = created_at - interval '3 days', next_attempt_at = now()});
	sql('CALL censync_deliver()');
	is(states(), 'failed 4', 'given up: after three days');
	is(scalar($http->log), 5, 'given up: after a last attempt each');
	sql(q{CALL censync_sync('good'); UPDATE censync.outbox SET attempts = 500, next_attempt_at = now(); CALL censync_deliver()});
	is(sql(q{SELECT next_attempt_at - now() BETWEEN '59 min' AND '60 min' FROM censync.outbox WHERE holds}), 't', 'given up: until then every hour at least');
	return;
}

sub test_gone
{
	create_hook('/hook/gone');
	sql(q{SELECT FROM censync_run('good'); DROP SERVER hook CASCADE; CALL censync_deliver()});
	is(states(), 'failed 4', 'gone: a webhook that was dropped');
	is(sql('SELECT DISTINCT last_error FROM censync.deliveries'), 'the webhook does not exist any more', 'gone: is said');
	return;
}

sub test_rollback
{
	create_hook('/hook/rollback');
	sql(q{BEGIN; SELECT FROM censync_run('good'); ROLLBACK; CALL censync_deliver()});
	is(states() . scalar($http->log), 'none0', 'rollback: what was undone is told to nobody');
	my (undef, $err) = attempt('BEGIN; CALL censync_deliver(); COMMIT');
	like($err, qr/cannot run inside a transaction block/, 'rollback: and nobody is told within a transaction');
	return;
}

# A session that is killed while it delivers: told again, with the same id.
sub test_in_flight
{
	create_hook('/hook/held?hold=gate');
	sql(q{SELECT FROM censync_run('good')});
	my $err = '';
	my $session = IPC::Run::start([ 'psql', '-XAtq', '-c', 'CALL censync_deliver()', '-d', $node->connstr('postgres') . ' application_name=deliver' ],
		'<', '/dev/null', '>', \my $out, '2>', \$err, IPC::Run::timeout(60));
	ok($http->wait_state(sub { $_->{waiting}{gate} }), 'in flight: an event is on its way');
	is(sql(q{SELECT backend_xmin IS NULL FROM pg_stat_activity WHERE application_name = 'deliver'}), 't', 'in flight: without a snapshot');
	sql('CALL censync_deliver()');
	is($http->state->{requests}, 1, 'in flight: two sessions do not tell the same');
	sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'deliver'});
	$session->finish;
	like($err, qr/terminating connection/, 'in flight: ends at once');
	$http->release('gate', 100);
	sql('CALL censync_deliver()');
	is(states(), 'delivered 4', 'in flight: another delivers');
	my @told = bodies();
	is("$told[0]{id} " . scalar(@told), "$told[1]{id} 5", 'in flight: told twice, with one id');
	return;
}

# Each owner's events go where he has a mapping, and nowhere else.
sub test_who
{
	create_hook('/hook/who');
	sql(q{CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN; CREATE SCHEMA alice AUTHORIZATION alice; CREATE SCHEMA bob AUTHORIZATION bob;
		CALL censync_admit('alice', 'owner'); CALL censync_admit('bob', 'owner'); DROP USER MAPPING FOR postgres SERVER hook;
		SET SESSION AUTHORIZATION alice; CREATE TABLE alice.t (id int PRIMARY KEY);
		SELECT censync_create_sync('a', 'alice.t', 'upsert', query => 'SELECT 1 AS id');
		SET SESSION AUTHORIZATION bob; CREATE TABLE bob.t (id int PRIMARY KEY);
		SELECT censync_create_sync('b', 'bob.t', 'upsert', query => 'SELECT 1 AS id')});
	sql(q{SELECT FROM censync_run('good'); SELECT FROM censync_run('a'); SELECT FROM censync_run('b')});
	is(states(), 'none', 'who: without a mapping, nobody is told');
	sql(q{CREATE USER MAPPING FOR alice SERVER hook; SELECT FROM censync_run('a')});
	is(states(), 'none', 'who: nor without USAGE');
	sql(q{GRANT USAGE ON FOREIGN SERVER hook TO alice, bob; SELECT FROM censync_run('a'); SELECT FROM censync_run('b'); SELECT FROM censync_run('good')});
	is(states(), 'pending 4', 'who: the events of one');
	is(sql(q{SET SESSION AUTHORIZATION bob; SELECT count(*) FROM censync.deliveries; CALL censync_deliver()}) . scalar($http->log), '00', 'who: are not the other one\'s to see or to send');
	sql(q{SET SESSION AUTHORIZATION alice; CALL censync_deliver()});
	is(states(), 'delivered 4', 'who: but his own');
	sql(q{CREATE USER MAPPING FOR PUBLIC SERVER hook; SELECT FROM censync_run('b'); SELECT FROM censync_run('a')});
	is(states(), 'delivered 4, pending 8', 'who: a mapping for all');
	sql(q{REVOKE USAGE ON FOREIGN SERVER hook FROM alice; CALL censync_deliver()});
	is(states(), 'delivered 8, pending 4', 'who: USAGE that was taken away meanwhile counts');
	return;
}

sub test_secret_is_kept
{
	my $token = 'tok-12345-abcdef';
	create_hook('/bad/403', { }, { secret => 'k3y-67890-xyz', token => $token });
	$http->put('x', '{}');
	sql('ALTER SERVER hook OPTIONS (SET url ' . sql_literal($http->url('/auth/echo?status=403')) . ')');
	sql(q{CALL censync_sync('good')});
	is(scalar(grep { /$token/ } map { $_->{headers}{authorization} // '' } $http->log), 1, 'secret: the token is sent');
	my $shown = sql('SELECT string_agg(d::text, $$ $$) FROM censync.deliveries d') . sql('SELECT string_agg(d::text, $$ $$) FROM censync.outbox d')
	  . sql(q{SELECT string_agg(c::text, ' ') FROM censync_check('hook') c});
	unlike($shown, qr/tok-12345|k3y-67890/, 'secret: no table and no answer has it');
	unlike(slurp_file($node->logfile), qr/answered.*(?:tok-12345|k3y-67890)/, 'secret: nor has the log');
	is(sql(q{SET SESSION AUTHORIZATION bob; SELECT umoptions FROM pg_user_mappings WHERE srvname = 'hook'}), '', 'secret: nor can others read it');
	return;
}

# Where the address itself is what nobody else may know.
sub test_secret_address
{
	my $path = '/hook/T0246-s3cr3t-0ther-part';
	create_hook('', { url => undef, timeout => 1 }, { webhook_url => $http->url($path) });
	is(sql(q{SELECT ok, detail FROM censync_check('hook')}), 't|the webhook has taken the event "test"', 'secret address: there it is told');
	is(join(' ', map { $_->{path} } $http->log), $path, 'secret address: and nowhere else');
	sql('ALTER USER MAPPING FOR postgres SERVER hook OPTIONS (SET webhook_url ' . sql_literal($http->url("$path?delay=30")) . ')');
	sql(q{CALL censync_sync('good')});
	like(sql('SELECT last_error FROM censync.deliveries WHERE attempts = 1'), qr/^the request to "http:\/\/127\.0\.0\.1:\d+\*\*\*" took longer than 1 s$/, 'secret address: no message has it');
	sql('ALTER USER MAPPING FOR postgres SERVER hook OPTIONS (SET webhook_url ' . sql_literal("http://127.0.0.1:1$path") . ')');
	make_due();
	sql('CALL censync_deliver()');
	my $shown = sql('SELECT string_agg(d::text, $$ $$) FROM censync.deliveries d') . sql('SELECT string_agg(d::text, $$ $$) FROM censync.outbox d')
	  . sql(q{SELECT string_agg(c::text, ' ') FROM censync_check('hook') c});
	like($shown, qr/could not connect/, 'secret address: nor has another one');
	unlike($shown, qr/s3cr3t|0ther/, 'secret address: nor any part of it');
	unlike(slurp_file($node->logfile) =~ s/^.*(?:USER MAPPING).*$//gmr, qr/s3cr3t|0ther/, 'secret address: nor the log');
	is(sql(q{SET SESSION AUTHORIZATION bob; SELECT umoptions FROM pg_user_mappings WHERE srvname = 'hook'}), '', 'secret address: nor can others read it');
	my (undef, $err) = attempt(q{ALTER SERVER hook OPTIONS (ADD webhook_url 'https://example.com/x')});
	like($err, qr/invalid option "webhook_url"/, 'secret address: it is no option of a server');
	sql('ALTER USER MAPPING FOR postgres SERVER hook OPTIONS (DROP webhook_url)');
	is(sql(q{SELECT detail FROM censync_check('hook')}), 'the server has no option "url"', 'secret address: without any');
	return;
}

# Who does not answer is asked again only after the others.
sub test_others_first
{
	create_hook('/hook/slow?delay=30', { timeout => 1 });
	create_server($node, 'quick', $http, type => 'webhook', path => '/hook/quick', mapping => {});
	sql(q{SELECT FROM censync_run('good'); CALL censync_deliver()});
	is(states(), 'delivered 4, pending 4', 'others first: one hears, one does not');
	$http->reset;
	sql(q{SELECT FROM censync_run('good')});
	make_due();
	sql('CALL censync_deliver()');
	is(join(' ', map { $_->{path} =~ s/.*\///r } $http->log), 'quick quick quick quick slow', 'others first: also when both are due');
	sql('DROP SERVER quick CASCADE');
	return;
}

sub test_options
{
	create_hook('/hook/options');
	foreach my $option (qw(records=/x format=csv page_size=5 rate_limit=5 max_response_size=5MB end_of_body=close pagination=link cursor_param=x))
	{
		my ($name, $value) = split /=/, $option;
		sql("ALTER SERVER hook OPTIONS (ADD $name '$value')");
		like(sql(q{SELECT detail FROM censync_check('hook')}), qr/invalid option "$name"/, "options: $name is of sources");
		sql("ALTER SERVER hook OPTIONS (DROP $name)");
	}
	sql(q{ALTER SERVER hook OPTIONS (ADD ssh_host 'ssh.example.com')});
	like(sql(q{SELECT detail FROM censync_check('hook')}), qr/ssh_/, 'options: with an SSH host it goes through that');
	is(scalar($http->log), 0, 'options: and not past it');
	create_hook('/hook/events', { events => 'sync.failed, alert.*' });
	sql(q{SELECT FROM censync_run('good'); SELECT FROM censync_run('broken'); CALL censync_deliver()});
	is(events(), 'sync.failed', 'options: only the events that are wanted');
	foreach my $list ('sync.fail', 'x.*', '', '*', 'sync.failed,,x')
	{
		my (undef, $err) = attempt(qq{ALTER SERVER hook OPTIONS (SET events '$list')});
		like($err, qr/invalid value for option "events"/, "options: events are not '$list'");
	}
	my (undef, $err) = attempt(q{SELECT FROM censync_preview('hook')});
	like($err, qr/told of events and cannot be read/, 'options: it is no source');
	(undef, $err) = attempt(q{CREATE SERVER plain TYPE 'http' FOREIGN DATA WRAPPER censync OPTIONS (url 'http://127.0.0.1:1', events 'sync.*', allow_http 'true');
		SELECT FROM censync_preview('plain')});
	like($err, qr/invalid option "events"/, 'options: and a source is no webhook');
	sql(q{DROP SERVER hook CASCADE; DELETE FROM censync.outbox;
		CREATE SERVER hook TYPE 'webhook' FOREIGN DATA WRAPPER censync OPTIONS (url 'http://10.0.0.1/x', allow_http 'true');
		CREATE USER MAPPING FOR postgres SERVER hook});
	sql(q{CALL censync_sync('good')});
	like(sql('SELECT last_error FROM censync.deliveries WHERE attempts = 1'), qr/10\.0\.0\.1/, 'options: private addresses are refused as everywhere');
	sql('ALTER SERVER hook OPTIONS (DROP allow_http)');
	like(sql(q{SELECT detail FROM censync_check('hook')}), qr/without TLS is not allowed/, 'options: and so is plain http');
	return;
}

# Text of another encoding is told in UTF-8, and signed so.
sub test_encoding
{
	local $ENV{PGCLIENTENCODING} = 'UTF8';
	$node->safe_psql('postgres', q{CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0});
	$http->reset;
	$node->safe_psql('latin', 'CREATE EXTENSION censync; CREATE TABLE t (id int PRIMARY KEY)');
	create_server($node, 'hook', $http, type => 'webhook', path => '/hook/latin?secret=%C3%A9', dbname => 'latin', mapping => { secret => "\xc3\xa9" });
	$node->safe_psql('latin', qq{SELECT censync_create_sync('caf\xc3\xa9', 't', 'upsert', query => 'SELECT 1 AS id'); CALL censync_sync('caf\xc3\xa9')});
	is((bodies())[3]{sync}, "caf\x{e9}", 'encoding: a name in LATIN1');
	is($node->safe_psql('latin', q{SELECT count(*) FROM censync.deliveries WHERE status = 'delivered'}), 4, 'encoding: signed');
	return;
}

# A database of no encoding may have a name that is no text in any.
sub test_no_encoding
{
	local $ENV{PGCLIENTENCODING} = 'SQL_ASCII';
	$node->safe_psql('postgres', q{CREATE DATABASE raw ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0});
	$http->reset;
	$node->safe_psql('raw', 'CREATE EXTENSION censync; CREATE TABLE t (id int PRIMARY KEY)');
	create_server($node, 'hook', $http, type => 'webhook', path => '/hook/raw?secret=%C3%A9', dbname => 'raw', mapping => { secret => "\xc3\xa9" });
	my $name = "caf\xe9 \xc3\xa9";
	$node->safe_psql('raw', qq{SELECT censync_create_sync('$name', 't', 'upsert', query => 'SELECT 1 AS id'); CALL censync_sync('$name')});
	is((bodies())[3]{sync}, "caf? \x{e9}", 'no encoding: what is no text becomes a question mark');
	is($node->safe_psql('raw', q{SELECT count(*) FROM censync.deliveries WHERE status = 'delivered'}), 4, 'no encoding: and is told, signed');
	my $long = "\x01" x 3000;
	$node->safe_psql('raw', qq{SELECT censync_create_sync('$long', 't', 'upsert', query => 'SELECT 1 AS id'); CALL censync_sync('$long')});
	is($node->safe_psql('raw', q{SELECT status FROM censync.runs ORDER BY run_id DESC LIMIT 1}), 'completed', 'no encoding: what grows in JSON fits a notification');
	return;
}

# With the launcher, nobody has to call anything; a run that is queued is told in its steps.
sub test_by_itself
{
	$node = new_node('preloaded', "shared_preload_libraries = 'censync'\nlog_statement = none\nmax_worker_processes = 20");
	sql(q{CREATE TABLE t (id int PRIMARY KEY);
		SELECT censync_create_sync('s', 't', 'upsert', query => 'SELECT 1 AS id', options => '{"alert_stale": "1 h", "retention": "1 d"}');
		UPDATE censync.sync_definition SET created_at = now() - interval '2 h';
		INSERT INTO censync.run_log (sync_id, sync, owner_oid, status, trigger, dry_run, started_at, finished_at)
			SELECT 1, 's', 10, 'failed', 'manual', false, now() - interval '3 d', now() - interval '3 d' FROM generate_series(1, 3)});
	create_hook('/hook/itself');
	my $run = sql(q{SELECT censync_start('s')});
	ok(wait_for($node, q{SELECT count(*) >= 4 AND bool_and(status = 'delivered') FROM censync.deliveries}, 60), 'by itself: events are delivered');
	my @told = grep { ($_->{run_id} // 0) == $run } bodies();
	is(join(' ', map { "$_->{event}/$_->{status}" } grep { $_->{event} =~ /^sync/ } @told),
		'sync.triggered/queued sync.started/running sync.completed/completed sync.success/completed', 'by itself: in order');
	ok(wait_for($node, q{SELECT count(*) = 1 FROM censync.runs}, 60), 'by itself: what is too old goes');
	my $crash = q{SELECT 1 AS id FROM pg_sleep(60)};
	sql(qq{SELECT censync_alter_sync('s', query => '$crash')});
	$http->reset;
	$run = sql(q{SELECT censync_start('s')});
	wait_for($node, qq{SELECT status = 'running' FROM censync.runs WHERE run_id = $run});
	sql(qq{SELECT censync_cancel($run)});
	ok(wait_for($node, qq{SELECT count(*) = 4 FROM censync.deliveries d JOIN censync.outbox o USING (delivery_id) WHERE d.status = 'delivered' AND o.body ~ '"run_id": $run,'}, 60),
		'by itself: so are those of a run that was canceled');
	is((bodies())[-1]{event} . ' ' . (bodies())[-1]{status}, 'sync.failed canceled', 'by itself: as what it is');
	$node->stop;
	return;
}
