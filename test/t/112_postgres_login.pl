# As whom and how carefully a PostgreSQL is connected to: TLS, passwords that must be a role's own, nothing from the
# environment, options that are not for everybody.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";
use CensyncTest;
use CensyncRemote;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $directory = PostgreSQL::Test::Utils::tempdir('login');
my $remote = new_remote('there');
my $node = node_with_environment();

$remote->safe_psql('postgres', 'CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)');
$node->safe_psql('postgres', q{CREATE ROLE etl LOGIN; CALL censync_admit('etl', 'owner'); GRANT USAGE ON FOREIGN DATA WRAPPER censync TO etl});

test_environment();
test_tls();
test_without_tls();
test_client_certificate();
test_password_required();
test_socket();
test_privileged_options();
test_values_of_options();
test_other_options();
ok(is_quiet($remote), 'no connection is left');

$node->stop;
$remote->stop;
done_testing();

# A server whose own environment says much about how to connect.
sub node_with_environment
{
	append_to_file("$directory/pass", "*:*:*:*:" . $remote_password =~ s/([\\:])/\\$1/gr . "\n");
	append_to_file("$directory/service", "[leak]\npassword=leaked\nconnect_timeout=1\noptions=-c nosuch.thing\n");
	chmod 0600, "$directory/pass";
	local %ENV = %ENV;
	@ENV{qw(PGPASSWORD PGPASSFILE PGUSER PGDATABASE PGSSLMODE PGOPTIONS PGSERVICE PGSERVICEFILE PGCHANNELBINDING PGAPPNAME PGTARGETSESSIONATTRS PGSSLROOTCERT PGREQUIREPEER)} =
	  ($remote_password, "$directory/pass", 'reader', 'nosuch', 'disable', '-c no_such=1', 'leak', "$directory/service", 'bad', 'leak', 'standby', '/nosuch', 'nobody');
	my $cluster = PostgreSQL::Test::Cluster->new('here');
	{
		# initdb connects to nothing, but pg_ctl would.
		local %ENV = %ENV;
		delete @ENV{ grep { /^PG(?!_|HOST|PORT)/ } keys %ENV };
		$cluster->init;
	}
	$cluster->append_conf('postgresql.conf', "censync.allowed_hosts = '127.0.0.0/8'");
	# pg_ctl waits by pg_ctl's own file, so that its environment can be anything.
	$cluster->start;
	delete @ENV{ grep { /^PG(?!_|HOST|PORT)/ } keys %ENV };
	$cluster->safe_psql('postgres', 'CREATE EXTENSION censync');
	return $cluster;
}

# The server made anew with these options.
sub server
{
	my (%options) = @_;
	$node->safe_psql('postgres', 'DROP SERVER IF EXISTS there CASCADE');
	create_remote_server($node, 'there', $remote, %options);
	$node->safe_psql('postgres', 'GRANT USAGE ON FOREIGN SERVER there TO etl');
}

sub check
{
	my ($role) = @_;
	return $node->safe_psql('postgres', ($role ? "SET SESSION AUTHORIZATION $role;" : '')
		  . q{SELECT string_agg(step || ' ' || ok || CASE WHEN step = 'tls' OR NOT ok THEN ': ' || detail ELSE '' END, E'\n') FROM censync_check('there', object => 't')});
}

sub test_environment
{
	server();
	like($node->safe_psql('postgres', q{CREATE TEMP TABLE e (line text); COPY e FROM PROGRAM 'env' (DELIMITER E'\x01'); TABLE e}),
		qr/PGSERVICE=leak/, 'the environment is there');
	like(check(), qr/authenticate true\nquery true$/, 'what is said counts, not the environment');
	server(mapping => { user => 'reader' });
	like(check(), qr/authenticate false: server "localhost" wants a password/, 'a password of the environment, or of a file there, is nobody\'s');
	server(mapping => {});
	like(check(), qr/the user mapping has no option "user"/, 'nor is its user');
}

sub test_tls
{
	my $own = certificate_of($remote);
	server();
	like(check(), qr/tls true: TLSv1\.3, certificate not verified\n/, 'encrypted without being asked');
	server(sslmode => 'verify-full', sslrootcert => $own);
	like(check(), qr/tls true: TLSv1\.3, certificate verified\n/, 'a certificate for this name');
	server(sslmode => 'verify-full', ca_file => $own);
	like(check(), qr/tls true: TLSv1\.3, certificate verified\n/, 'the authority by the option of all sources');
	server(sslmode => 'verify-full', sslrootcert => $own, host => '127.0.0.1');
	like(check(), qr/connect true\ntls false: .*does not match host name "127\.0\.0\.1"/s, 'one for another name');
	server(sslmode => 'verify-ca', sslrootcert => $own, host => '127.0.0.1');
	like(check(), qr/query true$/, 'only the authority counts');
	server(sslmode => 'verify-full');
	like(check(), qr/tls false: .*certificate verify failed/s, 'the system does not know this authority');
	server(sslmode => 'verify-full', sslrootcert => '/no/such/file');
	like(check(), qr/false: .*root certificate file "\/no\/such\/file" does not exist/s, 'no such file');
	server(ssl_max_protocol_version => 'TLSv1.2');
	like(check(), qr/tls true: TLSv1\.2/, 'an older version, on request');
	server(channel_binding => 'require');
	like(check(), qr/query true$/, 'bound to the channel');
}

sub test_without_tls
{
	$remote->append_conf('postgresql.conf', 'ssl = off');
	$remote->restart;
	server();
	like(check(), qr/connect true\ntls false: .*server does not support SSL.*sslmode/s, 'a server without TLS');
	server(sslmode => 'prefer');
	like(check(), qr/tls true: not used\n.*query true$/s, '... on request');
	$remote->append_conf('postgresql.conf', 'ssl = on');
	$remote->restart;
}

sub test_client_certificate
{
	my $ca = $remote->data_dir . '/client_ca.crt';
	my $key = "$directory/client.key";
	system_or_bail('openssl', 'req', '-new', '-x509', '-days', '30', '-nodes', '-subj', '/CN=certified', '-keyout', $key, '-out', $ca);
	system_or_bail('openssl', 'rsa', '-aes128', '-passout', 'pass:key secret', '-in', $key, '-out', "$directory/locked.key");
	chmod 0600, $key, "$directory/locked.key";
	$remote->append_conf('postgresql.conf', "ssl_ca_file = 'client_ca.crt'");
	my $hba = slurp_file($remote->data_dir . '/pg_hba.conf');
	unlink $remote->data_dir . '/pg_hba.conf';
	$remote->append_conf('pg_hba.conf', "hostssl all certified 127.0.0.1/32 cert\n$hba");
	$remote->safe_psql('postgres', 'CREATE ROLE certified LOGIN; GRANT pg_read_all_data TO certified');
	$remote->reload;
	server(mapping => { user => 'certified', sslcert => $ca, sslkey => $key });
	like(check(), qr/query true$/, 'known by its certificate');
	server(mapping => { user => 'certified', sslcert => $ca, sslkey => "$directory/locked.key", sslpassword => 'key secret' });
	like(check(), qr/query true$/, 'its key is behind a password');
	server(mapping => { user => 'certified', sslcert => $ca, sslkey => "$directory/locked.key", sslpassword => 'wrong secret' });
	my $steps = check();
	like($steps, qr/false: .*could not load private key/s, 'a wrong one');
	unlike($steps, qr/wrong secret/, '... is not shown');
	server(mapping => { user => 'certified' });
	like(check(), qr/authenticate false: .*valid client certificate/s, 'without one');
	server(role => 'etl', mapping => { user => 'certified', sslcert => $ca, sslkey => $key, password => 'unused' });
	like(check('etl'), qr/false: a password is required/, 'a role is let in by a file of the server\'s only if a superuser says so');
	server(role => 'etl', mapping => { user => 'certified', sslcert => $ca, sslkey => $key, password_required => 'false' });
	like(check('etl'), qr/query true$/, '... as here');
}

sub test_password_required
{
	server(role => 'etl', mapping => { user => 'reader', password => $remote_password });
	like(check('etl'), qr/query true$/, 'a role with its password');
	server(role => 'etl', mapping => { user => 'trusted' });
	like(check('etl'), qr/false: a password is required\. Roles that are no superusers/, 'a role without one');
	is($remote->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE usename = 'trusted'}), '0', '... does not get there');
	server(role => 'etl', mapping => { user => 'trusted', password => '' });
	like(check('etl'), qr/false: a password is required\. Roles that are no superusers/, 'an empty one is none');
	server(role => 'etl', mapping => { user => 'trusted', password => 'whatever' });
	like(check('etl'), qr/false: a password is required\. The server let the user in/, 'one that nobody asked for');
	my (undef, undef, $err) = $node->psql('postgres', q{SET SESSION AUTHORIZATION etl; SELECT censync_preview('there', object => 't')});
	like($err, qr/a password is required/, 'a preview, too');
	$node->safe_psql('postgres', q{SET SESSION AUTHORIZATION etl; CREATE SERVER mine TYPE 'postgres' FOREIGN DATA WRAPPER censync OPTIONS (host 'localhost')});
	foreach my $sql (q{CREATE USER MAPPING FOR etl SERVER mine OPTIONS (user 'trusted', password_required 'false')})
	{
		(undef, undef, $err) = $node->psql('postgres', "SET SESSION AUTHORIZATION etl; $sql");
		like($err, qr/only a superuser may set option "password_required" to false/, 'only a superuser gives leave to go without');
	}
	$node->safe_psql('postgres', q{SET SESSION AUTHORIZATION etl; CREATE USER MAPPING FOR etl SERVER mine OPTIONS (user 'trusted', password_required 'true'); DROP SERVER mine CASCADE});
	server(role => 'etl', mapping => { user => 'trusted', password_required => 'false' });
	like(check('etl'), qr/query true$/, '... as here');
	server(mapping => { user => 'trusted' });
	like(check(), qr/query true$/, 'a superuser needs none');
	$node->safe_psql('postgres', q{CREATE TABLE t (id int PRIMARY KEY); ALTER TABLE t OWNER TO etl; DROP SERVER there CASCADE});
	server(role => 'etl', mapping => { user => 'trusted', password_required => 'false' });
	$node->safe_psql('postgres', q{SET SESSION AUTHORIZATION etl; SELECT censync_create_sync('t', 't', 'upsert', server => 'there', object => 't')});
	$node->safe_psql('postgres', q{ALTER USER MAPPING FOR etl SERVER there OPTIONS (DROP password_required)});
	is(run_sync($node, 't')->{error_code}, '2F003', 'a sync of a role has its rights, whoever runs it');
	$node->safe_psql('postgres', q{SELECT censync_drop_sync('t')});
}

sub test_socket
{
	server(host => $remote->host, mapping => { user => 'postgres' });
	like(check(), qr/^resolve true\nconnect true\ntls true: not used\nauthenticate true\nquery true$/, 'a socket of this machine, for a superuser');
	server(host => $remote->host, role => 'etl', mapping => { user => 'postgres', password => 'x' });
	like(check('etl'), qr/false: a password is required/, 'not as whom the operating system says, for others');
	my (undef, undef, $err) = $node->psql('postgres', q{SET SESSION AUTHORIZATION etl; CREATE SERVER mine TYPE 'postgres' FOREIGN DATA WRAPPER censync OPTIONS (host '/tmp')});
	like($err, qr/only a superuser may set option "host" to the directory of a socket/, 'nor may others name one');
}

sub test_privileged_options
{
	my $try = sub {
		my ($options) = @_;
		my (undef, undef, $err) = $node->psql('postgres', '\set VERBOSITY verbose' . "\nSET SESSION AUTHORIZATION etl; BEGIN; CREATE SERVER mine TYPE 'postgres' FOREIGN DATA WRAPPER censync OPTIONS ($options); ROLLBACK");
		return $err;
	};
	foreach my $option (qw(sslcert sslkey sslrootcert sslcrl sslcrldir))
	{
		like($try->("$option '/etc/passwd'"), qr/42501: .*permission denied to set option "$option".*HINT:  GRANT pg_read_server_files/s, "$option is not for everybody");
	}
	like($try->("gssencmode 'prefer'"), qr/42501: .*only a superuser/, 'nor is gssencmode');
	$node->safe_psql('postgres', 'GRANT pg_read_server_files TO etl');
	is($try->("sslrootcert '/etc/passwd', sslcert '/x'"), '', 'it is for those who may read files');
	$node->safe_psql('postgres', 'REVOKE pg_read_server_files FROM etl');
	is($try->("host 'a', port '5433', database 'd', sslmode 'verify-full', keepalives_idle '10', tcp_user_timeout '1000', options '-c x.y=z'"), '', 'others are');
}

sub test_values_of_options
{
	foreach my $bad ("sslmode 'requir'", "sslmode ''", "keepalives '2'", "ssl_min_protocol_version 'SSLv3'", "channel_binding 'x'", "port '0'", "sslsni 'x'", "tcp_user_timeout 'x'", "host 'a,b'")
	{
		my (undef, undef, $err) = $node->psql('postgres', "CREATE SERVER bad TYPE 'postgres' FOREIGN DATA WRAPPER censync OPTIONS ($bad)");
		like($err, qr/invalid value for option "\w+"/, "refused: $bad");
	}
	my (undef, undef, $err) = $node->psql('postgres', q{CREATE SERVER bad TYPE 'postgres' FOREIGN DATA WRAPPER censync OPTIONS (service 'x')});
	like($err, qr/invalid option "service"/, 'an option of libpq that is none here');
}

sub test_other_options
{
	server(application_name => 'my app', options => '-c search_path=elsewhere', keepalives => 0);
	$remote->safe_psql('postgres', 'CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.t AS SELECT 7 AS id');
	is($node->safe_psql('postgres', q{SELECT p ->> 'id', p ->> 'name' FROM censync_preview('there', query => 'SELECT id, current_setting(''application_name'') AS name FROM t') p}),
		'7|my app', 'a search_path of the user\'s own, and a name');
}
