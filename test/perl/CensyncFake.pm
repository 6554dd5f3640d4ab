# A fake service of test/http that runs beside a test and has its state put into it.
package CensyncFake;

use strict;
use warnings;

use File::Basename qw(dirname);
use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use POSIX ();
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep);

my $json = JSON::PP->new->canonical;
my @running;

# Starts test/http/SCRIPT.
sub new
{
	my ($class, $script) = @_;
	my $directory = PostgreSQL::Test::Utils::tempdir('fake');
	my $self = bless { log => "$directory/log" }, $class;
	my $pid = fork // die "cannot fork: $!";

	if ($pid == 0)
	{
		exec('python3', '-B', dirname(__FILE__) . "/../http/$script", "$directory/port", $self->{log})
		  or POSIX::_exit(127);
	}
	push @running, $pid;
	for (1 .. 300)
	{
		last if -e "$directory/port";
		sleep 0.1;
	}
	$self->{url} = 'http://127.0.0.1:' . PostgreSQL::Test::Utils::slurp_file("$directory/port");
	return $self;
}

sub url { return $_[0]{url} }

# Replaces its state; returns what is open there.
sub control
{
	my ($self, %state) = @_;
	my $answer = HTTP::Tiny->new(proxy => undef, http_proxy => undef)
	  ->request('POST', "$self->{url}/_control", { content => $json->encode(\%state) });
	die "the fake answers $answer->{status}: $answer->{content}" unless $answer->{success};
	return $json->decode($answer->{content});
}

sub forget_requests { unlink $_[0]{log}; return }

# Those since they were forgotten.
sub requests
{
	my ($self) = @_;
	return () unless -e $self->{log};
	return map { $json->decode($_) } split /\n/, PostgreSQL::Test::Utils::slurp_file($self->{log});
}

# How many of them had a path like that.
sub asked
{
	my ($self, $path) = @_;
	return scalar grep { $_->{path} =~ $path } $self->requests;
}

# Reads a foreign table bit by bit until so many requests of that path have come, or most of its rows were read; returns
# how many have.
sub asked_while_reading
{
	my ($self, $node, $table, $path, $wanted, $most) = @_;
	my ($in, $out) = ("BEGIN; DECLARE c CURSOR FOR SELECT * FROM $table;\n", '');
	my $session = IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') ],
		'<', \$in, '>', \$out, IPC::Run::timeout(300));
	for (my $read = 100; $read <= $most && $self->asked($path) < $wanted; $read += 100)
	{
		$in .= "FETCH 100 FROM c;\n\\echo read $read\n";
		$session->pump until $out =~ /^read $read$/m;
		sleep 0.1;
	}
	my $asked = $self->asked($path);
	$in .= "ROLLBACK;\n";
	$session->finish or die "reading $table failed";
	return $asked;
}

END
{
	my $status = $?;
	kill 'TERM', @running if @running;
	$? = $status;
}

1;
