
=pod

=head1 NAME

CensyncMariadb - a MariaDB server of a test's own

=head1 SYNOPSIS

  my $db = CensyncMariadb->new;
  $db->sql('CREATE TABLE shop.t (id int PRIMARY KEY)');
  $db->create_server($node, 'my', zero_dates => 'null');

=head1 METHODS

=over

=cut

package CensyncMariadb;

use strict;
use warnings;

use Carp;
use CensyncTest qw(sql_ident);
use IPC::Run;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Scalar::Util qw(weaken);
use Time::HiRes qw(sleep time);

our @running;

=item new

Starts a server in a temporary directory, on a loopback port, with TLS by a certificate for
localhost.  It has a database shop, and a user reader who may read all
of it, with password 'secret'.  Stopped when the test ends.  It is a MySQL where test/mysql has one:
see CensyncMysql.pm.

=cut

sub new
{
	my ($class) = @_;
	my $directory = PostgreSQL::Test::Utils::tempdir_short();

	if ($ENV{CENSYNC_MYSQL_ROOT})
	{
		require CensyncMysql;
		$class = 'CensyncMysql';
	}
	my $self = bless { directory => $directory, owner => $$,
		port => PostgreSQL::Test::Cluster::get_free_port() }, $class;

	$self->_make_certificates;
	$self->_install;
	push @running, $self;
	weaken($running[-1]);
	$self->start;
	$self->sql(q{
		CREATE DATABASE shop CHARACTER SET utf8mb4;
		CREATE USER reader@'%' IDENTIFIED BY 'secret';
		GRANT SELECT ON shop.* TO reader@'%';
	});
	$self->{database} = 'shop';
	return $self;
}

=item start, stop, kill

kill is a crash: the server has no time for anything.

=cut

sub start
{
	my ($self) = @_;
	my $directory = $self->{directory};
	my @command = ($self->_program, "--socket=$directory/socket",
		"--port=$self->{port}", '--bind-address=127.0.0.1', "--ssl-ca=$directory/ca.pem",
		"--ssl-cert=$directory/server.pem", "--ssl-key=$directory/server.key", "--pid-file=$directory/pid",
		'--max-allowed-packet=1G', '--innodb-flush-log-at-trx-commit=0',
		'--sql-mode=');

	my $pid = fork() // croak "cannot fork: $!";
	if ($pid == 0)
	{
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>>', "$directory/log");
		open(STDERR, '>&', \*STDOUT);
		exec(@command) or
			POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;
	while (1)
	{
		last if eval { $self->sql('SELECT 1') };
		croak $self->product . ' does not start: ' . slurp_file("$directory/log")
		  if time > $end || waitpid($pid, POSIX::WNOHANG) != 0;
		sleep 0.1;
	}
	return;
}

sub stop
{
	$_[0]->_end('TERM');
	return;
}

sub kill
{
	$_[0]->_end('KILL');
	return;
}

=item sql(statements)

Runs them as root, in database shop; returns what the client prints: rows in lines, columns by tabs,
without escapes.  Dies when one fails.

=cut

sub sql
{
	my ($self, $statements) = @_;
	my ($out, $err) = ('', '');

	utf8::encode($statements) if utf8::is_utf8($statements);
	IPC::Run::run(['mariadb', '--no-defaults', '-S', "$self->{directory}/socket", '-u', 'root', '-N', '-r',
			'--batch', '--default-character-set=utf8mb4', '--max-allowed-packet=1G', $self->{database} // ()],
		'<', \$statements, '>', \$out, '2>', \$err) or croak $self->product . ": $err";
	chomp $out;
	return $out;
}

=item ca_file, port, directory

=cut

sub ca_file { return "$_[0]->{directory}/ca.pem" }
sub port { return $_[0]->{port} }
sub directory { return $_[0]->{directory} }

=item product

MariaDB or MySQL.

=cut

sub product { return 'MariaDB' }

=item provide_sequences(number, ...)

Has tables seq_1_to_N be there, for each of these N.

=cut

sub provide_sequences { return }

=item create_server(node, name, options)

A server of TYPE 'mysql' for it in the node's database postgres, with a user mapping for postgres.
user and password go into the mapping (reader, secret), all else into the server; undef leaves an
option out.

=cut

sub create_server
{
	my ($self, $node, $name, %options) = @_;
	my %user = (user => 'reader', password => 'secret');

	foreach my $option (qw(user password tls_cert_file tls_key_file))
	{
		$user{$option} = delete $options{$option} if exists $options{$option};
	}
	%options = (host => 'localhost', port => $self->port, database => 'shop', ca_file => $self->ca_file,
		%options);
	$node->safe_psql('postgres', sprintf q{
		DROP SERVER IF EXISTS %1$s CASCADE;
		CREATE SERVER %1$s TYPE 'mysql' FOREIGN DATA WRAPPER censync %2$s;
		CREATE USER MAPPING FOR postgres SERVER %1$s %3$s;
	}, sql_ident($name), CensyncTest::_sql_options(%options), CensyncTest::_sql_options(%user));
	return;
}

=item connections

How many the user reader has there.

=cut

sub connections
{
	return $_[0]->sql("SELECT count(*) FROM information_schema.processlist WHERE user = 'reader'");
}

=item wait_connections(number)

Waits for there being so many; returns whether it came to that.

=back

=cut

sub wait_connections
{
	my ($self, $number) = @_;
	my $end = time + $PostgreSQL::Test::Utils::timeout_default;

	while ($self->connections != $number)
	{
		return 0 if time > $end;
		sleep 0.1;
	}
	return 1;
}

# An authority, the server's certificate, and one for a client.
sub _make_certificates
{
	my ($self) = @_;
	my $directory = $self->{directory};
	my $openssl = sub {
		system_or_bail('sh', '-c', "cd $directory && openssl @_ 2>> openssl.log");
	};

	append_to_file("$directory/names", "subjectAltName=DNS:localhost\n");
	$openssl->('req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority');
	$openssl->('req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -days 2 -subj /CN=other');
	foreach my $who (qw(server client))
	{
		$openssl->("req -newkey rsa:2048 -nodes -keyout $who.key -out $who.csr -subj /CN=$who");
		$openssl->("x509 -req -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
			  . "-extfile names -out $who.pem");
	}
	return;
}

sub _install
{
	my ($self) = @_;
	my $directory = $self->{directory};

	system_or_bail('sh', '-c', "mariadb-install-db --no-defaults --datadir=$directory/data "
		. "--auth-root-authentication-method=normal --skip-test-db > $directory/install.log 2>&1");
	return;
}

sub _program
{
	my ($self) = @_;
	return ('/usr/sbin/mariadbd', '--no-defaults', "--datadir=$self->{directory}/data");
}

sub _end
{
	my ($self, $signal) = @_;
	my $pid = delete $self->{pid} or return;

	local ($?, $!, $@);
	CORE::kill($signal, $pid);
	waitpid($pid, 0);
	return;
}

sub DESTROY
{
	my ($self) = @_;
	$self->_end('KILL') if $self->{owner} == $$;
	return;
}

END
{
	foreach my $server (grep { defined } @running)
	{
		$server->DESTROY;
	}
}

1;
