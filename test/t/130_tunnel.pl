# Tunnels: HTTP and PostgreSQL through a real sshd; what goes wrong, and that nothing is left behind.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncSsh;
use CensyncTest;
use IO::Socket::INET;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# The server's own account has an agent with a key that the SSH host would let in.
my $sshd = CensyncSsh->new;
my $agent_key = $sshd->make_key('agent');
my $agent = start_agent($agent_key);

my $node = new_node('main', "censync.http_retries = 0\nlog_statement = 'ddl'\nlog_min_messages = debug1\n"
	. "restart_after_crash = on");
my $far = start_far();
my $http = start_http();
my $https = start_http(tls => 'DNS:localhost');
my $user = $sshd->user;
my $port = $far->port;

$http->put('people', '[{"id": 1, "name": "Ada"}, {"id": 2, "name": "Grace"}]');
$https->put('people', '[{"id": 3, "name": "Edsger"}]');
sql(q{CREATE ROLE etl LOGIN; CALL censync_admit('etl', 'owner'); CREATE SCHEMA etl AUTHORIZATION etl});

test_keygen();
test_http();
test_postgres();
test_names();
test_errors();
test_options();
test_no_other_keys();
test_config_file();
test_strangers();
test_ends();
test_many_runs();
test_secrets();

$node->stop;
$far->stop;
kill 'TERM', $agent;
done_testing();

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub error_of
{
	my ($sql) = @_;
	my ($status, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	return $status == 0 ? 'no error' : $err;
}

# "step=ok" of each step, and the detail of the last.
sub check
{
	my ($server) = @_;
	my @steps = map { decode_json($_) } split /\n/, sql("SELECT row_to_json(c) FROM censync_check('$server') c");
	return (join(' ', map { "$_->{step}=" . ($_->{ok} ? 't' : 'f') } @steps), $steps[-1]{detail});
}

sub start_agent
{
	my ($key) = @_;
	my ($pid) = `ssh-agent -s -a $sshd->{directory}/agent.sock` =~ /SSH_AGENT_PID=(\d+)/;
	$ENV{SSH_AUTH_SOCK} = "$sshd->{directory}/agent.sock";
	system('ssh-add', '-q', $key) == 0 or die 'ssh-add failed';
	return $pid;
}

# Another PostgreSQL, with TLS; its certificate is for 127.0.0.2 alone.
sub start_far
{
	my $cluster = PostgreSQL::Test::Cluster->new('far');
	my $data = $cluster->data_dir;
	$cluster->init;
	run_log([ 'openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=far',
			'-addext', 'subjectAltName=IP:127.0.0.2', '-days', 2,
			'-keyout', "$data/server.key", '-out', "$data/server.crt" ]) or die 'openssl failed';
	chmod 0600, "$data/server.key";
	$cluster->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1,127.0.0.2'\nssl = on");
	unlink "$data/pg_hba.conf";
	$cluster->append_conf('pg_hba.conf', "local all all trust\nhostssl all all 127.0.0.0/8 scram-sha-256\n");
	$cluster->start;
	$cluster->safe_psql('postgres', q{SET password_encryption = 'scram-sha-256';
		CREATE ROLE reader LOGIN PASSWORD 'far away'; CREATE TABLE people (id int PRIMARY KEY, name text);
		INSERT INTO people SELECT i, 'p' || i FROM generate_series(1, 1000) i; GRANT SELECT ON people TO reader});
	return $cluster;
}

# Processes of tunnels.
sub tunnels
{
	return grep { $_->{command} =~ /ssh gate|^\S*\/ssh -F/ || ($_->{state} eq 'Z' && $_->{parent} == ($_[0] // 0)) } processes();
}

# Nothing is left of any of them, within a moment.
sub nothing_left
{
	my ($title) = @_;
	my $end = time + 5;
	my @left;
	do { @left = tunnels(); sleep 0.05 if @left } while (@left && time < $end);
	is(join(', ', map { "$_->{pid} $_->{command}" } @left), '', "$title: no process is left");
	my $data = $node->data_dir;
	is(join(', ', glob "$data/base/pgsql_tmp/*"), '', "$title: no file is left");
	return;
}

sub start_session
{
	my ($name, @sql) = @_;
	my ($out, $err) = ('', '');
	my $session = IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', (map { ('-c', $_) } @sql),
			'-d', $node->connstr('postgres') . " application_name=$name" ],
		'<', '/dev/null', '>', \$out, '2>', \$err, IPC::Run::timeout(120));
	return { session => $session, out => \$out, err => \$err, name => $name };
}

# As users do it: a server, a key, a line on the host.
sub test_keygen
{
	my $url = $http->url('/data');
	sql("CREATE SERVER web TYPE 'http' FOREIGN DATA WRAPPER censync
			OPTIONS (url '$url', allow_http 'true', @{[ $sshd->options ]});
		GRANT USAGE ON FOREIGN SERVER web TO etl;
		CREATE SERVER \"odd\nname\" TYPE 'http' FOREIGN DATA WRAPPER censync OPTIONS (url '$url');
		CREATE ROLE other LOGIN; GRANT EXECUTE ON FUNCTION censync_ssh_keygen(name, boolean) TO other");
	my $line = sql("SET SESSION AUTHORIZATION etl; SELECT censync_ssh_keygen('web')");
	like($line, qr/^ssh-ed25519 AAAA[\w+\/]+=* censync web$/, 'keygen: the line for authorized_keys');
	is(sql(q{SELECT umuser::regrole, array_length(umoptions, 1), umoptions[1] ~ '^ssh_private_key=-----BEGIN OPENSSH PRIVATE KEY-----\n'
		FROM pg_user_mapping}), 'etl|1|t', "keygen: a user mapping of the caller with the other half, and no other");
	my $key = sql(q{SELECT substr(umoptions[1], 17) FROM pg_user_mapping});
	my $path = "$sshd->{directory}/generated";
	open(my $file, '>', $path) or die;
	chmod 0600, $path;
	print $file "$key\n";
	close $file;
	my $public = `ssh-keygen -y -f $path`;
	is(join(' ', (split ' ', $public)[ 0, 1 ]), join(' ', (split ' ', $line)[ 0, 1 ]), 'keygen: it is that half');
	unlink $path;

	like(error_of("SET SESSION AUTHORIZATION etl; SELECT censync_ssh_keygen('web')"), qr/42710:.*has a key already/,
		'keygen: not twice by mistake');
	my $again = sql("SET SESSION AUTHORIZATION etl; SELECT censync_ssh_keygen('web', replace => true)");
	isnt($again, $line, 'keygen: replaced on demand');
	is(sql('SELECT count(*) FROM pg_user_mapping'), 1, 'keygen: in the same mapping');
	like(error_of("SET SESSION AUTHORIZATION other; SELECT censync_ssh_keygen('web')"), qr/42501:.*permission denied for foreign server web/,
		'keygen: not without USAGE');
	is(sql("SELECT censync_ssh_keygen(E'odd\\nname') ~ E'[\\n\\r]'"), 'f', 'keygen: a name with a line break makes one line');
	sql("CREATE USER MAPPING FOR PUBLIC SERVER web OPTIONS (ssh_user 'x')");
	like(error_of("SELECT censync_ssh_keygen('web')"), qr/55000:.*no user mapping of its own/, "keygen: not beside PUBLIC's");
	sql('DROP USER MAPPING FOR PUBLIC SERVER web');
	like(error_of("BEGIN READ ONLY; SELECT censync_ssh_keygen('web')"), qr/25006:/, 'keygen: not where nothing may be written');
	nothing_left('keygen');
	is(-e "$ENV{HOME}/.ssh" ? 1 : 0, 0, 'keygen: nothing in the home directory');

	like(error_of("SET SESSION AUTHORIZATION etl; SELECT FROM censync_preview('web', object => 'people')"),
		qr/HV00J: the user mapping has no option "ssh_user"/, 'keygen: what is still missing is named');
	sql("SET SESSION AUTHORIZATION etl; ALTER USER MAPPING FOR etl SERVER web OPTIONS (ADD ssh_user '$user')");
	my ($steps, $detail) = check_as_etl('web');
	is($steps, 'resolve=t ssh=f', 'before the host knows the key: steps');
	like($detail, qr/^ssh host "127.0.0.1" did not let user "$user" in\. .*Permission denied \(publickey.*authorized_keys/,
		'before the host knows the key: detail');
	$sshd->authorize($again);
	($steps, $detail) = check_as_etl('web');
	is($steps, 'resolve=t ssh=t connect=t tls=t authenticate=t query=f', 'with it: steps');
	return;
}

sub check_as_etl
{
	my ($server) = @_;
	my @steps = map { decode_json($_) }
	  split /\n/, sql("SET SESSION AUTHORIZATION etl; SELECT row_to_json(c) FROM censync_check('$server') c");
	return (join(' ', map { "$_->{step}=" . ($_->{ok} ? 't' : 'f') } @steps), $steps[-1]{detail});
}

sub test_http
{
	sql(q{SET SESSION AUTHORIZATION etl; CREATE TABLE etl.people (id int PRIMARY KEY, name text);
		SELECT censync_create_sync('people', 'etl.people', 'mirror', 'web', object => 'people')});
	my $run = run_sync($node, 'people', role => 'etl');
	is($run->{status}, 'completed', 'http: a run') or diag $run->{_stderr};
	is(sql('SELECT * FROM etl.people ORDER BY id'), "1|Ada\n2|Grace", 'http: its rows');
	like($sshd->log, qr/Accepted publickey for \Q$user\E/, 'http: by way of the SSH host');
	nothing_left('http: a run');

	# Pages one after the other over one connection, with requests sent ahead.
	my $logins = () = $sshd->log =~ /Accepted publickey/g;
	is(sql(q{SET SESSION AUTHORIZATION etl; SELECT count(*) FROM censync_preview('web', object => 'people')}), 2, 'http: a preview');
	sql("ALTER SERVER web OPTIONS (SET url '@{[ $http->url ]}')");
	sql(q{SELECT censync_alter_sync('people', object => 'pages/link?set=people&size=1', options => '{"pagination": "link"}')});
	$run = run_sync($node, 'people', role => 'etl');
	is("$run->{status} $run->{records_read}", 'completed 2', 'http: pages');
	is((() = $sshd->log =~ /Accepted publickey/g) - $logins, 2, 'http: one login for all pages of a run');

	# An answer must not lead elsewhere in the network behind the host.
	my $elsewhere = $http->url('/data/people', 'localhost');
	$elsewhere =~ s/([^\w.])/sprintf '%%%02X', ord $1/ge;
	like(error_of("SET SESSION AUTHORIZATION etl;
		SELECT FROM censync_preview('web', object => 'bad/redirect?to=$elsewhere')"),
		qr/42501: connection to "localhost" through ssh host "127.0.0.1" is not allowed/, 'http: no redirect to another host');
	sql(q{SET SESSION AUTHORIZATION etl; SELECT censync_alter_sync('people', object => 'data/people', options => '{"pagination": null}')});
	return;
}

sub test_postgres
{
	sql("CREATE SERVER far TYPE 'postgres' FOREIGN DATA WRAPPER censync OPTIONS (host '127.0.0.2', port '$port',
			database 'postgres', sslmode 'verify-full', sslrootcert '@{[ $far->data_dir ]}/server.crt', @{[ $sshd->options ]});
		GRANT USAGE ON FOREIGN SERVER far TO etl;
		SET SESSION AUTHORIZATION etl;
		CREATE USER MAPPING FOR etl SERVER far OPTIONS (user 'reader', password 'far away', ssh_user '$user')");
	my $web = (split ' ', sql("SELECT censync_ssh_keygen('web', replace => true)
		FROM (SELECT set_config('role', 'etl', true)) r"))[1];
	my $line = sql("SET SESSION AUTHORIZATION etl; SELECT censync_ssh_keygen('far')");
	$sshd->authorize("ssh-ed25519 $web", $line);
	my ($steps, $detail) = check_as_etl('far');
	is($steps, 'resolve=t ssh=t connect=t tls=t authenticate=t query=t', 'postgres: steps') or diag $detail;
	sql(q{SET SESSION AUTHORIZATION etl; CREATE TABLE etl.far (id int PRIMARY KEY, name text);
		SELECT censync_create_sync('far', 'etl.far', 'mirror', 'far', object => 'people')});
	my $run = run_sync($node, 'far', role => 'etl');
	is("$run->{status} $run->{records_read}", 'completed 1000', 'postgres: a run') or diag $run->{_stderr};
	is(sql('SELECT md5(string_agg(t::text, chr(10) ORDER BY id)) FROM etl.far t'),
		$far->safe_psql('postgres', 'SELECT md5(string_agg(t::text, chr(10) ORDER BY id)) FROM people t'), 'postgres: its rows');
	is($far->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE usename = 'reader'"), 0,
		'postgres: no connection is left there');
	nothing_left('postgres: a run');
	return;
}

# The tunnel ends at 127.0.0.1, whose name is nobody's.
sub test_names
{
	sql(q{ALTER SERVER far OPTIONS (SET host 'localhost')});
	my ($steps, $detail) = check_as_etl('far');
	is($steps, 'resolve=t ssh=t connect=t tls=f', 'another name in the certificate: steps');
	like($detail, qr/certificate for .*does not match host name "localhost"/, 'another name: detail');
	sql(q{ALTER SERVER far OPTIONS (SET host '127.0.0.1')});
	($steps, $detail) = check_as_etl('far');
	is($steps, 'resolve=t ssh=t connect=t tls=f', "the tunnel's own address counts for nothing: steps");
	sql(q{ALTER SERVER far OPTIONS (SET host '127.0.0.2')});

	my $good = $https->url('/data', 'localhost');
	my $bad = $https->url('/data');
	my $key = sql(q{SELECT substr(o, 17) FROM pg_user_mapping m, unnest(umoptions) o
		WHERE umserver = (SELECT oid FROM pg_foreign_server WHERE srvname = 'web') AND o ~ '^ssh_private_key='});
	sql("CREATE SERVER tls TYPE 'http' FOREIGN DATA WRAPPER censync OPTIONS (url '$good', ca_file '@{[ $https->ca_file ]}',
			@{[ $sshd->options ]});
		CREATE USER MAPPING FOR postgres SERVER tls OPTIONS (ssh_user '$user', ssh_private_key '$key')");
	is(sql(q{SELECT censync_preview('tls', object => 'people')}), '{"id": 3, "name": "Edsger"}', 'https: by its name');
	sql("ALTER SERVER tls OPTIONS (SET url '$bad')");
	my ($tls_steps, $tls_detail) = check('tls');
	is($tls_steps, 'resolve=t ssh=t connect=t tls=f', 'https, by the address of the tunnel: steps');
	like($tls_detail, qr/the certificate of "127.0.0.1" could not be verified/, 'https, by the address of the tunnel: detail');
	sql("ALTER SERVER tls OPTIONS (SET url '$good')");
	return;
}

# What goes wrong, seen through HTTP and through libpq: code, step, words.
sub test_errors
{
	my $closed = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1');
	my $nobody = $closed->sockport;
	close $closed;
	my $strict = CensyncSsh->new('PermitOpen 127.0.0.1:1');
	$strict->authorize(keys_of($sshd));
	my $mute = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1');
	my $other_key = (split ' ', $strict->host_key)[1];
	my $p = $sshd->port;
	my @cases = (
		[ 'unknown host key', "SET ssh_known_hosts '[elsewhere]:$p @{[ $sshd->host_key ]}'", '08001', 'ssh',
			qr/the key of ssh host "127.0.0.1" is not known.*No ED25519 host key is known.*ssh-keyscan/s ],
		[ 'another host key', "SET ssh_known_hosts '[127.0.0.1]:$p @{[ $strict->host_key ]}'", '08001', 'ssh',
			qr/has another key than "ssh_known_hosts" says.*fingerprint SHA256:/s ],
		[ 'the same key under no name', "SET ssh_known_hosts '@{[ $sshd->host_key ]} a comment'", '', '', qr// ],
		[ 'no SSH host', "SET ssh_port '$nobody'", '08001', 'ssh', qr/could not connect to ssh host.*Connection refused/s ],
		[ 'an SSH host that says nothing', "SET ssh_port '@{[ $mute->sockport ]}', ADD connect_timeout '1'", '08001', 'ssh',
			qr/(could not connect to ssh host|logging in to ssh host "127.0.0.1" took longer)/ ],
		[ 'forwarding refused', "SET ssh_port '@{[ $strict->port ]}', SET ssh_known_hosts '@{[ $strict->host_key ]}'",
			'08004', 'connect', qr/does not let user "\Q$user\E" connect to.*administratively prohibited.*PermitOpen/s ],
	);
	foreach my $case (@cases)
	{
		my ($title, $options, $code, $step, $words) = @$case;
		foreach my $server ('tls', 'far')
		{
			my $role = $server eq 'far' ? 'etl' : 'postgres';
			my $what = $server eq 'far' ? "query => 'SELECT 1 AS one'" : "object => 'people'";
			my $changed = "BEGIN; ALTER SERVER $server OPTIONS ($options); SET LOCAL ROLE $role;";
			my $error = error_of("$changed SELECT FROM censync_preview('$server', $what)");
			if ($code eq '')
			{
				is($error, 'no error', "$title, $server: goes well");
				next;
			}
			like($error, qr/ERROR:  $code: /, "$title, $server: code");
			like($error, $words, "$title, $server: words");
			is(sql("$changed SELECT step FROM censync_check('$server') WHERE NOT ok"), $step, "$title, $server: step");
		}
	}
	foreach my $case ([ 'tls', "SET url 'https://localhost:$nobody'", 'postgres', "object => 'people'" ],
		[ 'far', "SET port '$nobody'", 'etl', "query => 'SELECT 1 AS one'" ])
	{
		my ($server, $options, $role, $what) = @$case;
		my $changed = "BEGIN; ALTER SERVER $server OPTIONS ($options); SET LOCAL ROLE $role;";
		like(error_of("$changed SELECT FROM censync_preview('$server', $what)"),
			qr/ERROR:  08001: ssh host "127.0.0.1" could not connect to "[\w.]+" port $nobody.*Connection refused/s,
			"nobody at the far end, $server");
		is(sql("$changed SELECT step FROM censync_check('$server') WHERE NOT ok"), 'connect', "nobody at the far end, $server: step");
		like(error_of("BEGIN; SET LOCAL censync.allowed_hosts = ''; SET LOCAL ROLE $role; SELECT FROM censync_preview('$server', $what)"),
			qr/42501: connecting to host "127.0.0.1" is not allowed/, "an SSH host that is not allowed, $server");
	}
	like(error_of(q{ALTER SERVER tls OPTIONS (ADD rate_limit '1'); DROP SERVER nosuch}), qr/nosuch/, 'the session goes on');
	my $wrong = slurp_file($sshd->make_key('stranger'));
	like(error_of("BEGIN; ALTER USER MAPPING FOR postgres SERVER tls OPTIONS (SET ssh_private_key '$wrong');
		SELECT FROM censync_preview('tls', object => 'people')"), qr/28000: ssh host "127.0.0.1" did not let user/, 'a key that is not let in');
	$wrong =~ s/(?<=KEY-----\n)(.{60}).*?\n/$1\n/;
	like(error_of("BEGIN; ALTER USER MAPPING FOR postgres SERVER tls OPTIONS (SET ssh_private_key '$wrong');
		SELECT FROM censync_preview('tls', object => 'people')"), qr/28000: ssh can't read the private key/, 'a key that is damaged');
	# What the database says is the database's.
	like(error_of("BEGIN; SET ROLE etl; SELECT FROM censync_preview('far', 'SELECT broken')"), qr/42703:/, "the database's own errors");
	sql(q{SET ROLE etl; ALTER USER MAPPING FOR etl SERVER far OPTIONS (SET password 'wrong one')});
	my ($steps) = check_as_etl('far');
	is($steps, 'resolve=t ssh=t connect=t tls=t authenticate=f', "the database's own password: steps");
	sql(q{SET ROLE etl; ALTER USER MAPPING FOR etl SERVER far OPTIONS (SET password 'far away')});
	nothing_left('errors');
	return;
}

sub keys_of { return slurp_file("$_[0]->{directory}/authorized_keys") }

sub test_options
{
	my $locked = slurp_file($sshd->make_key('locked', '-N', 'a phrase'));
	sql(q{GRANT USAGE ON FOREIGN DATA WRAPPER censync TO etl});
	foreach my $case (
		[ "ssh_host '-oProxyCommand=id'", '22023' ], [ "ssh_host 'a b'", '22023' ], [ "ssh_host 'u\@h'", '22023' ],
		[ "ssh_port '0'", '22023' ], [ "ssh_known_hosts ''", '22023' ], [ "ssh_known_hosts '/etc/passwd'", '42501' ],
		[ "ssh_config_file '/etc/passwd'", '42501' ])
	{
		like(error_of("SET SESSION AUTHORIZATION etl; CREATE SERVER x TYPE 'http' FOREIGN DATA WRAPPER censync
			OPTIONS (url 'https://example.com', $case->[0])"), qr/ERROR:  $case->[1]: /, "refused: $case->[0]");
	}
	sql("SET SESSION AUTHORIZATION etl; CREATE SERVER x TYPE 'http' FOREIGN DATA WRAPPER censync OPTIONS (url 'https://example.com')");
	foreach my $case (
		[ "ssh_user '-l'", '22023' ], [ "ssh_user 'a b'", '22023' ], [ "ssh_private_key 'secretsecret'", '22023' ],
		[ "ssh_private_key '$locked'", '22023' ], [ "ssh_private_key_file '/etc/shadow'", '42501' ])
	{
		my $error = error_of("SET SESSION AUTHORIZATION etl; CREATE USER MAPPING FOR etl SERVER x OPTIONS ($case->[0])");
		like($error, qr/ERROR:  $case->[1]: /, 'refused: ' . substr($case->[0], 0, 30));
		unlike(($error =~ /^(?!LINE|STATEMENT)(.*)$/m)[0] // '', qr/secretsecret|b3BlbnNza/, 'and not repeated');
	}
	my $key = slurp_file($agent_key);
	like(error_of("CREATE USER MAPPING FOR postgres SERVER x OPTIONS (ssh_private_key '$key', ssh_private_key_file '/x')"),
		qr/22023:.*exclude each other/, 'refused: two keys');
	sql('DROP SERVER x CASCADE');
	return;
}

# The server's account could log in; that is no business of those who use the server.
sub test_no_other_keys
{
	my @keys = split /\n/, keys_of($sshd);
	$sshd->authorize(slurp_file("$agent_key.pub") =~ s/\n//r);
	my ($steps, $detail) = check('tls');
	is($steps, 'resolve=t ssh=f', "the agent of the server's account is not asked");
	like($detail, qr/did not let user/, "the agent of the server's account is not asked: detail");
	$sshd->authorize(@keys);
	return;
}

# A superuser may let the client do whatever it can.
sub test_config_file
{
	my $config = "$sshd->{directory}/client_config";
	my ($host_key, $p) = ($sshd->host_key, $sshd->port);
	my @keys = split /\n/, keys_of($sshd);
	open(my $file, '>', $config) or die;
	print $file "Host inner\n  HostName 127.0.0.1\n  Port $p\n  User $user\n  ProxyJump jump\n  HostKeyAlias host\n"
	  . "  UserKnownHostsFile $sshd->{directory}/known\n"
	  . "Host jump\n  HostName 127.0.0.1\n  Port $p\n  User $user\n  HostKeyAlias host\n  UserKnownHostsFile $sshd->{directory}/known\n"
	  . "  IdentityAgent $sshd->{directory}/agent.sock\n"
	  . "Match all\n  IdentityAgent $sshd->{directory}/agent.sock\n";
	close $file;
	open($file, '>', "$sshd->{directory}/known") or die;
	print $file "host $host_key\n";
	close $file;
	$sshd->authorize(slurp_file("$agent_key.pub") =~ s/\n//r);
	my $logins = () = $sshd->log =~ /Accepted publickey/g;
	sql("CREATE SERVER jump TYPE 'http' FOREIGN DATA WRAPPER censync
		OPTIONS (url '@{[ $http->url('/data') ]}', allow_http 'true', ssh_host 'inner', ssh_config_file '$config');
		CREATE USER MAPPING FOR postgres SERVER jump");
	is(sql(q{SELECT count(*) FROM censync_preview('jump', object => 'people')}), 2, 'a configuration file: agent and jump host');
	is((() = $sshd->log =~ /Accepted publickey/g) - $logins, 2, 'a configuration file: two logins');
	open($file, '>', "$sshd->{directory}/known") or die;
	close $file;
	like(error_of(q{SELECT count(*) FROM censync_preview('jump', object => 'people')}), qr/08001: the key of ssh host "inner" is not known/,
		'a configuration file: host keys are checked all the same');
	nothing_left('a configuration file');
	$sshd->authorize(@keys);
	return;
}

# While a tunnel is open, nobody but its backend gets through.
sub test_strangers
{
	my $held = start_session('held', 'SET ROLE etl', "SELECT FROM censync_preview('web', object => 'data/people?hold=gate')");
	ok($http->wait_state(sub { $_->{waiting}{gate} }), 'a tunnel is open');
	my $pid = backend_pid($node, 'held');
	my ($gate) = grep { $_->{parent} == $pid && $_->{command} =~ /ssh gate/ } processes();
	ok($gate, 'its process is a child of the backend');
	my $gate_port = listening_port($gate->{pid});
	ok($gate_port, 'it listens on the loopback address');
	is(scalar(() = glob "/proc/$gate->{pid}/fd/*"), 7, 'it has no open files but its own');
	# (Where dynamic shared memory is System V's, what the backend has of it shows as SYSV.)
	my @shared = map { /^(\w+)-(\w+) .*\/dev\/zero/ ? hex($2) - hex($1) : () } split /\n/, slurp_file("/proc/$gate->{pid}/maps");
	is("@shared", 4096, 'it has let go of the shared memory, but for a page of counters');
	my $requests = () = $http->log;
	foreach my $attempt (1 .. 3)
	{
		my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $gate_port, Timeout => 5);
		my $got = '';
		if ($socket)
		{
			local $SIG{PIPE} = 'IGNORE';
			local $SIG{ALRM} = sub { die "nothing happened\n" };
			alarm 20;
			eval
			{
				print $socket "GET /data/people HTTP/1.1\r\nHost: 127.0.0.1:@{[ $http->port ]}\r\n\r\n";
				$socket->flush;
				$got = <$socket> // '';
			};
			$got = $@ if $@;
			alarm 0;
		}
		is($got, '', "another process of the same user is turned away ($attempt)");
	}
	is(scalar(() = $http->log), $requests, 'nothing of it came through');
	# Not even another session of the same server.
	my $direct = $http->url('/data');
	$direct =~ s/:\d+/:$gate_port/;
	like(error_of("CREATE SERVER direct TYPE 'http' FOREIGN DATA WRAPPER censync OPTIONS (url '$direct', allow_http 'true');
		SELECT * FROM censync_preview('direct', object => 'people')"), qr/ERROR:  080\d\d: /, 'another session is turned away');
	is(scalar(() = $http->log), $requests, 'nothing of it came through either');
	my @ssh = grep { $_->{parent} == $gate->{pid} } processes();
	is(scalar @ssh, 1, 'one ssh runs');
	unlike($ssh[0]{command}, qr/PRIVATE|b3BlbnNza/, 'its arguments have no secret');
	my ($key_path) = $ssh[0]{command} =~ /IdentityFile="([^"]+)"/;
	is(sprintf('%04o', (stat $key_path)[2] & 07777), '0600', 'the key is readable by its owner alone');
	$http->release('gate');
	$held->{session}->finish;
	is(${ $held->{err} }, '', 'the backend itself is not disturbed');
	nothing_left('strangers');
	return;
}

sub listening_port
{
	my ($pid) = @_;
	my %inodes = map { (readlink($_) // '') =~ /^socket:\[(\d+)\]/ ? ($1 => 1) : () } glob "/proc/$pid/fd/*";
	foreach my $line (split /\n/, slurp_file('/proc/net/tcp'))
	{
		my @fields = split ' ', $line;
		return hex((split /:/, $fields[1])[1]) if $fields[3] eq '0A' && $inodes{ $fields[9] };
	}
	return;
}

# In the middle of a read, through either driver: each way to end it.
sub test_ends
{
	$far->safe_psql('postgres', "INSERT INTO people SELECT i, repeat('x', 1000) FROM generate_series(10001, 60000) i");
	sql(q{SET ROLE etl; SELECT censync_create_sync('slow', 'etl.people', 'upsert', 'web',
		object => 'gen/ndjson?rows=100000&trickle=200000', mappings => '{"id": "id", "name": "name"}');
		SELECT censync_create_sync('far_slow', 'etl.far', 'upsert', 'far',
			query => 'SELECT id, name || coalesce(pg_sleep(0.001)::text, '''') AS name FROM people')});
	my $before = table_state($node, 'etl.people') . table_state($node, 'etl.far');
	foreach my $sync ('slow', 'far_slow')
	{
		my ($held, $pid) = in_the_middle($sync);
		sql("SELECT pg_cancel_backend($pid)");
		eval { $held->{session}->finish };
		like(${ $held->{err} }, qr/canceling statement due to user request/, "$sync, canceled");
		nothing_left("$sync, canceled");

		($held, $pid) = in_the_middle($sync);
		$sshd->drop_sessions;
		eval { $held->{session}->finish };
		like(${ $held->{err} }, qr/ERROR:  the connection to ssh host "127.0.0.1" was lost\n.*HINT:  Run it again/s, "$sync, SSH host dies");
		is(sql("SELECT status, error_code FROM censync.runs WHERE sync = '$sync' ORDER BY run_id DESC LIMIT 1"), 'failed|08006',
			"$sync, SSH host dies: logged");
		nothing_left("$sync, SSH host dies");

		($held, $pid) = in_the_middle($sync);
		kill 'KILL', map { $_->{pid} } grep { $_->{command} =~ /^\S*\/ssh -F/ } tunnels();
		eval { $held->{session}->finish };
		like(${ $held->{err} }, qr/ERROR:  the connection to ssh host "127.0.0.1" was lost/, "$sync, ssh dies");
		nothing_left("$sync, ssh dies");

		($held, $pid) = in_the_middle($sync);
		kill 'KILL', map { $_->{pid} } grep { $_->{command} =~ /ssh gate/ } tunnels();
		eval { $held->{session}->finish };
		like(${ $held->{err} }, qr/ERROR:  the (connection to|tunnel through) ssh host "127.0.0.1" (was lost|is gone)/, "$sync, the gate dies");
		nothing_left("$sync, the gate dies");

		($held, $pid) = in_the_middle($sync);
		sql("SELECT pg_terminate_backend($pid)");
		eval { $held->{session}->finish };
		like(${ $held->{err} }, qr/terminating connection due to administrator command/, "$sync, terminated");
		nothing_left("$sync, terminated");

		($held, $pid) = in_the_middle($sync);
		kill 'KILL', $pid;
		eval { $held->{session}->finish };
		nothing_left("$sync, backend killed");
		ok($node->poll_query_until('postgres', 'SELECT 1', 1), "$sync, backend killed: the server is back");
		ok(wait_for($node, q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'ends')}), "$sync: all is over");
	}
	is(table_state($node, 'etl.people') . table_state($node, 'etl.far'), $before, 'no row of it was written');

	# The postmaster itself, with the tunnel open: its next start is not hindered.
	my ($held, $pid) = in_the_middle('far_slow');
	$node->stop('immediate');
	eval { $held->{session}->finish };
	nothing_left('immediate stop');
	$node->start;
	is(run_sync($node, 'people', role => 'etl')->{status}, 'completed', 'after an immediate stop: a run');
	return;
}

# A session whose run is reading, and its process.
sub in_the_middle
{
	my ($sync) = @_;
	$http->reset;
	$http->put('people', '[{"id": 1, "name": "Ada"}, {"id": 2, "name": "Grace"}]');
	ok(wait_for($far, q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'reader')}), 'nothing runs at the far end');
	my $held = start_session('ends', 'SET ROLE etl', "CALL censync_sync('$sync')");
	my $end = time + 30;
	my $reads;
	do
	{
		sleep 0.05;
		$reads = $sync eq 'slow' ? $http->state->{busy} > 0 :
		  $far->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE usename = 'reader' AND wait_event = 'PgSleep'") > 0;
	} until ($reads || time > $end);
	ok($reads, "$sync is reading") or diag ${ $held->{err} };
	sleep 0.3;
	return ($held, backend_pid($node, 'ends'));
}

# One session, many tunnels, good and bad: what it holds afterwards is what it held before.
sub test_many_runs
{
	my $loop = "SELECT FROM censync_run('people');\nSELECT FROM censync_run('far');\n"
	  . "SELECT FROM censync_preview('web', object => 'bad/cut?set=people');\n"
	  . "SELECT FROM censync_preview('far', 'SELECT broken');\n";
	my $measure = q{SELECT '@', (SELECT count(*) FROM pg_ls_dir('/proc/self/fd')), pg_backend_pid(),
		(SELECT sum(total_bytes) FROM pg_backend_memory_contexts);};
	my (undef, $out, $err) = $node->psql('postgres',
		"SET client_min_messages = fatal;\nSET ROLE etl;\n" . $loop x 5
		  . "RESET ROLE; $measure\nSET ROLE etl;\n" . $loop x 20 . "RESET ROLE; $measure\n"
		  . q{SELECT '#' || split_part(s, ') ', 2) FROM pg_ls_dir('/proc') d,
			LATERAL (SELECT CASE WHEN d ~ '^[0-9]+$' THEN pg_read_file('/proc/' || d || '/stat', true) END) f (s)
			WHERE split_part(split_part(s, ') ', 2), ' ', 2) = pg_backend_pid()::text;},
		on_error_stop => 0, timeout => 300);
	my @measured = map { [ split /\|/ ] } grep { /^@/ } split /\n/, $out;
	is(scalar @measured, 2, 'many runs: measured') or diag $err;
	# Files of tables come and go with what the server has open of them; one left by each tunnel would be eighty.
	cmp_ok($measured[1][1] - $measured[0][1], '<', 10, 'many runs: no descriptor is left over');
	cmp_ok($measured[1][3] - $measured[0][3], '<', 64 * 1024, 'many runs: memory contexts do not grow');
	is(join(', ', grep { /^#/ } split /\n/, $out), '', 'many runs: no child, not even a zombie');
	is(sql(q{SELECT count(*) FROM (SELECT status FROM censync.runs WHERE sync IN ('people', 'far')
		ORDER BY run_id DESC LIMIT 40) r WHERE status = 'completed'}), 40, 'many runs: they went well');
	nothing_left('many runs');
	return;
}

# Keys are in user mappings, and nowhere else.
sub test_secrets
{
	my $log = slurp_file($node->logfile);
	my @body = split /\n/, sql(q{SELECT o FROM pg_user_mapping m JOIN pg_foreign_server s ON s.oid = umserver, unnest(umoptions) o
		WHERE srvname = 'far' AND o ~ '^ssh_private_key='});
	is(scalar(@body), 7, 'secrets: a key that no statement had');
	is(scalar(grep { index($log, $_) >= 0 } @body[ 2 .. 5 ]), 0, "secrets: not in the server's log");
	is(sql(q{SELECT count(*) FROM censync.runs r WHERE r::text ~ 'PRIVATE KEY|b3BlbnNza'}), 0, 'secrets: not in the log of runs');
	return;
}
