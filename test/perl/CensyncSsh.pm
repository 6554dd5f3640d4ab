
=pod

=head1 NAME

CensyncSsh - SSH servers for the tests of tunnels

=head1 SYNOPSIS

  use CensyncSsh;

  my $sshd = CensyncSsh->new('PermitOpen 127.0.0.1:5432');
  $sshd->authorize($line);
  $node->safe_psql('postgres', "CREATE SERVER ... OPTIONS (" . $sshd->options . ')');
  $sshd->drop_sessions;

=head1 DESCRIPTION

A real sshd, started by the test as the user it runs as, on a free port of the loopback address, with
a host key and a file of authorized keys of its own.  It is stopped when the object goes away.

=cut

package CensyncSsh;

use strict;
use warnings;

use Carp;
use Exporter 'import';
use File::Spec;
use IO::Socket::INET;
use POSIX ();
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(processes);

=head1 METHODS

=over

=item new(lines of sshd_config ...)

=cut

sub new
{
	my ($class, @config) = @_;
	my $directory = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir('sshd'));
	my $self = bless { directory => $directory, owner => $$, port => _free_port() }, $class;

	$self->make_key('host');
	_write("$directory/authorized_keys", '');
	# Since 9.8, who has failed often is kept out for a while; here, that is the point.
	my ($major, $minor) = `ssh -V 2>&1` =~ /OpenSSH_(\d+)\.(\d+)/;
	push @config, 'PerSourcePenalties no' if $major * 100 + $minor >= 908;
	_write("$directory/config", join '', map { "$_\n" } @config,
		"Port $self->{port}", 'ListenAddress 127.0.0.1', "HostKey $directory/host",
		"AuthorizedKeysFile $directory/authorized_keys", 'StrictModes no', 'PidFile none', 'UsePAM no',
		'PasswordAuthentication no', 'KbdInteractiveAuthentication no', 'LogLevel VERBOSE');
	$self->start;
	return $self;
}

=item port, user, host_key, options

host_key is the line of known_hosts without the host; options the options of a server, as SQL.

=cut

sub port { return $_[0]->{port} }

sub user { return scalar getpwuid $< }

sub host_key
{
	return join ' ', (split ' ', _read("$_[0]->{directory}/host.pub"))[ 0, 1 ];
}

sub options
{
	my ($self) = @_;
	return sprintf("ssh_host '127.0.0.1', ssh_port '%d', ssh_known_hosts '[127.0.0.1]:%d %s'",
		$self->port, $self->port, $self->host_key);
}

=item make_key(name, arguments of ssh-keygen)

The path of a new private key.

=cut

sub make_key
{
	my ($self, $name, @arguments) = @_;
	my $path = "$self->{directory}/$name";
	my @command = ('ssh-keygen', '-q', '-t', 'ed25519', '-C', $name, '-f', $path,
		@arguments ? @arguments : ('-N', ''));
	system(@command) == 0 or croak "@command failed";
	return $path;
}

=item authorize(line ...)

Who may log in from now on: these keys and no others.

=cut

sub authorize
{
	my ($self, @lines) = @_;
	_write("$self->{directory}/authorized_keys", join '', map { "$_\n" } @lines);
	return;
}

=item log

What it has logged.

=cut

sub log { return _read("$_[0]->{directory}/log") }

=item start, stop, drop_sessions

drop_sessions kills the processes of connections, and not the one that takes new ones.

=back

=cut

sub start
{
	my ($self) = @_;
	my @command = ('/usr/sbin/sshd', '-D', '-f', "$self->{directory}/config", '-E', "$self->{directory}/log");
	defined(my $pid = fork) or croak "cannot fork: $!";
	if ($pid == 0)
	{
		open(my $null, '+<', '/dev/null') or POSIX::_exit(126);
		POSIX::dup2(fileno($null), $_) for 0 .. 2;
		no warnings 'exec';
		exec { $command[0] } @command or POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	my $end = time + 30;
	until (IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->port))
	{
		croak 'sshd does not start: ' . $self->log if time > $end || waitpid($pid, POSIX::WNOHANG()) != 0;
		sleep 0.05;
	}
	return;
}

sub stop
{
	my ($self) = @_;
	return unless $self->{pid} && $self->{owner} == $$;
	local ($?, $!, $@);
	kill 'KILL', _descendants($self->{pid}), $self->{pid};
	waitpid(delete $self->{pid}, 0);
	return;
}

sub drop_sessions
{
	my ($self) = @_;
	return kill 'KILL', _descendants($self->{pid});
}

sub DESTROY { $_[0]->stop }

=head1 FUNCTIONS

=over

=item processes

All processes there are, zombies included: hashes of pid, parent, state and command (arguments with
spaces between).

=back

=cut

sub processes
{
	my @found;
	foreach my $directory (glob '/proc/[0-9]*')
	{
		my ($pid) = $directory =~ /(\d+)$/;
		my ($state, $parent) = _read("$directory/stat") =~ /.*\) (\S) (\d+)/s or next;
		my $command = _read("$directory/cmdline") =~ tr/\0/ /r;
		push @found, { pid => $pid, parent => $parent, state => $state, command => $command };
	}
	return @found;
}

sub _descendants
{
	my ($pid) = @_;
	return map { ($_->{pid}, _descendants($_->{pid})) } grep { $_->{parent} == $pid } processes();
}

sub _free_port
{
	my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or croak "no port: $!";
	return $socket->sockport;
}

sub _read
{
	my ($path) = @_;
	local $/;
	open(my $file, '<', $path) or return '';
	return <$file> // '';
}

sub _write
{
	my ($path, $content) = @_;
	open(my $file, '>', $path) or croak "cannot write $path: $!";
	print $file $content;
	close $file;
	return;
}

1;
