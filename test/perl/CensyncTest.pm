
=pod

=head1 NAME

CensyncTest - what the TAP tests of censync share

=head1 SYNOPSIS

  use FindBin;
  use lib "$FindBin::RealBin/../perl";
  use CensyncTest;

  my $node = new_node('main', "work_mem = '1MB'");
  my $http = start_http();
  $http->put('people', '[{"id": 1}]', 'application/json');
  create_server($node, 'src', $http, path => '/data', mapping => { token => 'x' });
  is(run_sync($node, 'people')->{status}, 'completed', 'runs');
  my ($request) = $http->log;

=cut

package CensyncTest;

use strict;
use warnings;

use Carp;
use Exporter 'import';
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More ();
use Time::HiRes qw(sleep time);

our @EXPORT = qw(
  new_node start_http create_server run_sync
  table_state rss_kb backend_pid wait_for sql_literal sql_ident sql_error soon
);

=pod

=head1 FUNCTIONS

=over

=item new_node(name, extra configuration lines, options)

A started cluster that may reach 127.0.0.0/8, with the extension in its database postgres.
Options: extension => 0 leaves CREATE EXTENSION out; init => [...] goes to initdb.

=cut

sub new_node
{
	my ($name, $conf, %options) = @_;

	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(extra => $options{init} // []);
	$node->append_conf('postgresql.conf', "censync.allowed_hosts = '127.0.0.0/8'");
	$node->append_conf('postgresql.conf', $conf) if defined $conf && $conf ne '';
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION censync') if $options{extension} // 1;
	return $node;
}

=pod

=item start_http(options)

A running fake HTTP server (test/http/server.py says what it serves), stopped when the object goes
away or the test ends.  Options: root => directory of /files; port => number; tls => 1 (makes a
certificate for 127.0.0.1 and localhost) or tls => 'DNS:elsewhere' (another subjectAltName);
host_names => [names to answer to].

=cut

sub start_http
{
	return CensyncTest::Http->new(@_);
}

=pod

=item create_server(node, name, http, options)

Creates a server of TYPE 'http' at the fake server's URL.  Of the options, path is appended to the
URL, type replaces 'http', mapping => { option => value } creates a user mapping, for the role
mapping_for (default: CURRENT_USER), dbname is the database; the others become options of the
server (allow_http, or ca_file with TLS, are set unless given; undef leaves an option out).

=cut

sub create_server
{
	my ($node, $name, $http, %options) = @_;
	my $path    = delete $options{path}   // '';
	my $type    = delete $options{type}   // 'http';
	my $dbname  = delete $options{dbname} // 'postgres';
	my $mapping = delete $options{mapping};
	my $role    = delete $options{mapping_for};

	%options = (url => $http->url($path), $http->trust, %options);
	my $sql = sprintf("CREATE SERVER %s TYPE %s FOREIGN DATA WRAPPER censync%s;\n",
		sql_ident($name), sql_literal($type), _sql_options(%options));
	$sql .= sprintf("CREATE USER MAPPING FOR %s SERVER %s%s;\n",
		defined $role ? sql_ident($role) : 'CURRENT_USER',
		sql_ident($name), _sql_options(%$mapping))
	  if $mapping;
	$node->safe_psql($dbname, $sql);
	return;
}

=pod

=item run_sync(node, name, options)

Runs a sync and returns the row of its run as a hash reference, with what psql wrote to stderr
(the WARNING of a failed run) added as _stderr.  Dies when the statement itself fails.  Options:
dry_run => 1, limit => n, role => who runs it, dbname, before => statements to run first in the
same session.  64-bit integers are exact, booleans JSON::PP's.

=cut

sub run_sync
{
	my ($node, $name, %options) = @_;
	my $arguments = join ', ', sql_literal($name),
	  $options{dry_run} ? 'dry_run => true' : (),
	  defined $options{limit} ? '"limit" => ' . int($options{limit}) : ();
	my $sql = $options{before} // '';
	$sql .= ';SET SESSION AUTHORIZATION ' . sql_ident($options{role}) if defined $options{role};
	$sql .= ";SELECT '\@run' || row_to_json(r) FROM censync_run($arguments) r;";

	my ($status, $out, $err) = $node->psql($options{dbname} // 'postgres', $sql);
	croak "censync_run of $name failed ($status): $err" if $status != 0;
	my @rows = $out =~ /^\@run(.*)$/mg;
	croak "censync_run of $name returned " . @rows . " rows" if @rows != 1;
	my $run = _json()->decode($rows[0]);
	$run->{_stderr} = $err;
	return $run;
}

=pod

=item table_state(node, table, options)

A string that is the same only if the table's contents are the same, in the same row versions:
"rows=... contents=md5 versions=md5" (contents in order; ctid, xmin and, in partitions, the table).
The table's name is SQL.  Options: xmax => 1 includes row locks (and attempts that were rolled
back), contents => 1 gives the contents' part only; dbname.

=cut

sub table_state
{
	my ($node, $table, %options) = @_;
	my $xmax    = $options{xmax} ? ', xmax' : '';
	my $version = "concat_ws(' ', tableoid, ctid, xmin$xmax)";
	my $row     = '(censync_row.*)::text';
	my $versions =
	  $options{contents}
	  ? ''
	  : "|| ' versions=' || coalesce(md5(string_agg($version, ',' ORDER BY tableoid, ctid)), '-')";

	return $node->safe_psql(
		$options{dbname} // 'postgres', qq{
		SET timezone = 'UTC'; SET datestyle = 'ISO'; SET extra_float_digits = 1;
		SELECT 'rows=' || count(*) || ' contents=' ||
			coalesce(md5(string_agg($row, E'\\n' ORDER BY $row COLLATE "C")), '-') $versions
		FROM $table AS censync_row});
}

=pod

=item rss_kb(pid)

Memory of a process without shared memory (buffers touched don't count), in kB.

=cut

sub rss_kb
{
	my ($pid) = @_;
	open(my $file, '<', "/proc/$pid/status") or croak "no process $pid: $!";
	my %kb = map { /^(VmRSS|RssShmem):\s+(\d+) kB/ ? ($1 => $2) : () } <$file>;
	close $file;
	croak "process $pid has no memory" unless defined $kb{VmRSS};
	return $kb{VmRSS} - ($kb{RssShmem} // 0);
}

=pod

=item backend_pid(node, application_name)

The process of the one session with that application_name.

=cut

sub backend_pid
{
	my ($node, $name) = @_;
	return $node->safe_psql('postgres',
		'SELECT pid FROM pg_stat_activity WHERE application_name = ' . sql_literal($name));
}

=pod

=item wait_for(node, sql, timeout, dbname)

Repeats a query until it returns t; returns 1, or 0 after timeout seconds (default: that of
PostgreSQL's own tests), with the last answer as a diagnostic.

=cut

sub wait_for
{
	my ($node, $sql, $timeout, $dbname) = @_;
	my $end = time + ($timeout // $PostgreSQL::Test::Utils::timeout_default);
	my ($out, $err);
	while (1)
	{
		(undef, $out, $err) = $node->psql($dbname // 'postgres', $sql);
		return 1 if $out eq 't';
		last if time > $end;
		sleep 0.1;
	}
	Test::More::diag("waited in vain for: $sql\nlast answer: $out\n$err");
	return 0;
}

=pod

=item sql_error(node, sql)

What psql writes to stderr, with SQLSTATEs; "no error: " and what it shows if there is none.

=cut

sub sql_error
{
	my ($node, $sql) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	return $status == 0 ? "no error: $out" : $err;
}

=pod

=item soon(seconds)

How long something may take that takes so long at most where nothing else runs: more while the machine has more to
do than it has processors.

=cut

sub soon
{
	my ($seconds) = @_;
	my ($load) = split / /, PostgreSQL::Test::Utils::slurp_file('/proc/loadavg');
	my $processors = () = PostgreSQL::Test::Utils::slurp_file('/proc/cpuinfo') =~ /^processor/mg;
	my $share = 2 * $load / ($processors || 1);
	return $seconds * ($share > 1 ? $share : 1);
}

=pod

=item sql_literal(text), sql_ident(name)

Quoted for SQL; undef is NULL.

=back

=cut

sub sql_literal
{
	my ($text) = @_;
	return 'NULL' unless defined $text;
	my $escape = $text =~ /\\/ ? ' E' : '';
	$text =~ s/\\/\\\\/g;
	$text =~ s/'/''/g;
	return "$escape'$text'";
}

sub sql_ident
{
	my ($name) = @_;
	$name =~ s/"/""/g;
	return "\"$name\"";
}

sub _sql_options
{
	my (%options) = @_;
	my @list = map { sql_ident($_) . ' ' . sql_literal($options{$_}) }
	  grep { defined $options{$_} } sort keys %options;
	return @list ? ' OPTIONS (' . join(', ', @list) . ')' : '';
}

sub _json
{
	return JSON::PP->new->utf8->allow_nonref;
}

=pod

=head1 METHODS of what start_http returns

=over

=cut

package CensyncTest::Http;

use strict;
use warnings;

use Carp;
use File::Basename;
use File::Spec;
use HTTP::Tiny;
use JSON::PP;
use POSIX ();
use PostgreSQL::Test::Utils;
use Scalar::Util qw(weaken);
use Test::More ();
use Time::HiRes qw(sleep time);

our @running;

sub new
{
	my ($class, %options) = @_;
	my $directory = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir('http'));
	my $self = bless { directory => $directory, owner => $$, tls => $options{tls} }, $class;
	my $script = File::Spec->catfile(dirname(__FILE__), '..', 'http', 'server.py');
	my @command = ($ENV{PYTHON} || 'python3', '-B', $script, '--parent-pid', $$,
		'--port', $options{port} // 0, '--port-file', "$directory/port", '--log', "$directory/log",
		'--root', $options{root} // $directory);
	push @command, map { ('--host-name', $_) } @{ $options{host_names} // [] };
	push @command, $self->_make_certificate if $options{tls};
	# Kept with the logs if the test fails.
	$self->{output} = "$PostgreSQL::Test::Utils::log_path/" . basename($directory) . '.log';
	$self->_spawn(@command);
	$self->_read_ports;
	push @running, $self;
	weaken($running[-1]);
	return $self;
}

=item port, scheme, url(path)

Where the server listens.  url('/x') is scheme://127.0.0.1:port/x; url('/x', 'localhost') the same
under another name, and so of another origin.

=cut

sub port
{
	return $_[0]->{port};
}

sub scheme
{
	return $_[0]->{tls} ? 'https' : 'http';
}

sub url
{
	my ($self, $path, $host) = @_;
	return sprintf('%s://%s:%d%s', $self->scheme, $host // '127.0.0.1', $self->port, $path // '');
}

=item trust, ca_file

The options that a server object needs to accept this server: allow_http, or ca_file.

=cut

sub trust
{
	my ($self) = @_;
	return $self->{tls} ? (ca_file => $self->ca_file) : (allow_http => 'true');
}

sub ca_file
{
	return "$_[0]->{directory}/cert.pem";
}

=item put(name, content, type)

From now on /data/name answers these bytes (text is sent as UTF-8); the default type is
application/json.

=cut

sub put
{
	my ($self, $name, $content, $type) = @_;
	$type //= 'application/json';
	utf8::encode($content) if utf8::is_utf8($content);
	my $query = HTTP::Tiny->new->www_form_urlencode({ path => "/$name", content_type => $type });
	$self->control('POST', "put?$query", $content);
	return;
}

=item reset, revoke, release(gate, count), state

Forgets everything, the log included; makes every OAuth token invalid; lets requests go on that wait
at a gate (default: page, where hold_at waits); returns a hash of the server's state.

=cut

sub reset
{
	$_[0]->control('POST', 'reset');
	return;
}

sub revoke
{
	$_[0]->control('POST', 'revoke');
	return;
}

sub release
{
	my ($self, $gate, $count) = @_;
	$self->control('POST', sprintf('release?gate=%s&count=%d', $gate // 'page', $count // 1));
	return;
}

sub state
{
	return $_[0]->control('GET', 'state');
}

=item wait_state(condition, timeout)

Waits until the code reference, given the state as $_, returns true; returns whether it did.

=cut

sub wait_state
{
	my ($self, $condition, $timeout) = @_;
	my $end = time + ($timeout // $PostgreSQL::Test::Utils::timeout_default);
	do
	{
		local $_ = $self->state;
		return 1 if $condition->($_);
		sleep 0.02;
	} while (time < $end);
	return 0;
}

=item log

The requests since the start or the last reset, as hashes: method, target, path, query (hash),
headers (hash, names in lower case), body, body_length, status, connection, tls, time.

=cut

sub log
{
	my ($self) = @_;
	open(my $file, '<', "$self->{directory}/log") or croak "no log: $!";
	my @lines = map { JSON::PP->new->utf8->decode($_) } grep { /\n\z/ } <$file>;
	close $file;
	return @lines;
}

=item stop

Ends the server.  Connections and requests in flight die with it.

=back

=cut

sub stop
{
	my ($self) = @_;
	return unless $self->{pid} && $self->{owner} == $$;
	my $pid = delete $self->{pid};
	local ($?, $!, $@);
	kill 'TERM', $pid;
	for (1 .. 250)
	{
		return if waitpid($pid, POSIX::WNOHANG()) != 0;
		sleep 0.02;
	}
	kill 'KILL', $pid;
	waitpid($pid, 0);
	return;
}

sub control
{
	my ($self, $method, $what, $content) = @_;
	my %options = $method eq 'GET' ? () :
	  (content => $content // '', headers => { 'Content-Type' => 'application/octet-stream' });
	my $url    = "http://127.0.0.1:$self->{control_port}/control/$what";
	my $answer = HTTP::Tiny->new(timeout => 20, proxy => undef, http_proxy => undef)
	  ->request($method, $url, \%options);
	croak "the fake server answers $answer->{status} to $what: $answer->{content}"
	  unless $answer->{success};
	return JSON::PP->new->utf8->decode($answer->{content});
}

sub _spawn
{
	my ($self, @command) = @_;
	my $output = $self->{output};
	defined(my $pid = fork) or croak "cannot fork: $!";
	if ($pid == 0)
	{
		# File descriptors themselves: STDOUT and STDERR may be tied.
		open(my $out, '>', $output) or POSIX::_exit(126);
		POSIX::dup2(fileno($out), 1);
		POSIX::dup2(fileno($out), 2);
		no warnings 'exec';
		exec { $command[0] } @command or POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	return;
}

sub _read_ports
{
	my ($self) = @_;
	my $end = time + 30;
	until (-e "$self->{directory}/port")
	{
		croak 'the fake server does not start: '
		  . PostgreSQL::Test::Utils::slurp_file($self->{output})
		  if time > $end || waitpid($self->{pid}, POSIX::WNOHANG()) != 0;
		sleep 0.02;
	}
	my @ports = split /\n/, PostgreSQL::Test::Utils::slurp_file("$self->{directory}/port");
	($self->{port}, $self->{control_port}) = @ports[ 0, -1 ];
	return;
}

sub _make_certificate
{
	my ($self) = @_;
	my $names = $self->{tls} eq '1' ? 'IP:127.0.0.1,DNS:localhost' : $self->{tls};
	my ($cert, $key) = ($self->ca_file, "$self->{directory}/key.pem");
	my @command = ('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes',
		'-subj', '/CN=fake', '-addext', "subjectAltName=$names", '-days', 2,
		'-keyout', $key, '-out', $cert);
	PostgreSQL::Test::Utils::run_log(\@command) or croak 'openssl cannot make a certificate';
	return ('--tls-cert', $cert, '--tls-key', $key);
}

sub DESTROY
{
	$_[0]->stop;
	return;
}

END
{
	# stop() keeps $?, the test's exit status.
	$_->stop foreach grep { defined } @running;
}

1;
