
=pod

=head1 NAME

CensyncFaults - a sync at work, and a look at what is left of it

=head1 SYNOPSIS

  my $faults = CensyncFaults->new($node, $http);
  my $case = $faults->random_case($seed, 20_000);
  $faults->set_up($case);
  my $seconds = $faults->measure($case);
  my $session = $faults->session;
  $session->send($faults->statement($case));
  ...
  is($faults->ask('SELECT model.rows_are()'), 'before', 'nothing has changed');

test/data/faults.sql has the tables and the model.

=cut

package CensyncFaults;

use strict;
use warnings;

use Carp;
use FindBin;
use IPC::Run ();
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More ();
use Time::HiRes qw(sleep time);

use CensyncTest;

# Mirrors have most to lose.
my @behaviors = ('update', 'mirror', 'upsert', 'mirror', 'append', 'mirror of the table', 'mirror');
my @features = qw(composite partitions index trigger parent child bad);

sub new
{
	my ($class, $node, $http) = @_;
	my $self = bless { node => $node, http => $http, directory => PostgreSQL::Test::Utils::tempdir('load') }, $class;
	create_server($node, 'src', $http);
	$node->safe_psql('postgres', PostgreSQL::Test::Utils::slurp_file("$FindBin::RealBin/../data/faults.sql"));
	$self->_write_scripts;
	return $self;
}

=pod

=item random_case(number, rows)

One of all combinations of behavior, source and statement, the same for the same number and srand;
the rest is thrown.

=cut

sub random_case
{
	my ($self, $number, $rows) = @_;
	my %case = (number => $number);
	my $behavior = $behaviors[ $number % 7 ];
	$case{source} = (qw(query http))[ int($number / 7) % 2 ];
	$case{way} = (qw(call run))[ (int($number / 14) + $number) % 2 ];
	$case{behavior} = $behavior =~ s/ .*//r;
	$case{whole_table} = $behavior =~ /table/ ? 'true' : 'false';
	$case{features} = [ grep { rand() < 0.5 } @features ];
	$case{rows} = int($rows * (0.2 + 0.8 * rand()));
	$case{share} = (0.1, 0.3, 0.6)[ int(rand(3)) ];
	$case{first_run} = rand() < 0.8;
	$case{seed} = sprintf '%.6f', rand();
	$case{title} = sprintf '%s, %s, %s, %d rows%s', $behavior, $case{source},
	  $case{way} eq 'call' ? 'CALL' : 'SELECT', $case{rows}, join '', map { " +$_" } @{ $case{features} };
	return \%case;
}

=pod

=item set_up(case)

A destination, a sync, mostly a first run; then the source changes and the model predicts.

=cut

sub set_up
{
	my ($self, $case) = @_;
	my $features = $self->_features($case);
	my @source =
	  $case->{source} eq 'http'
	  ? "'src', object => 'data/source'"
	  : "NULL, query => 'SELECT * FROM source'";
	$self->sql('SELECT censync_drop_sync(name) FROM censync.syncs');
	$self->sql("CALL model.build($case->{seed}, $case->{rows}, $features)");
	$self->sql("SELECT censync_create_sync('fault', 'destination', '$case->{behavior}', @source, options => '" .
		encode_json({ max_rejected => 1, max_deletes => 1, mirror_scope => $case->{whole_table} eq 'true' ? 'table' : 'synced',
				%{ $case->{options} // {} } }) . "')");
	if ($case->{first_run})
	{
		$self->publish($case);
		$self->predict($case);
		$self->sql("CALL censync_sync('fault')");
		Test::More::is($self->state('after'), 'after', "$case->{title}: the first run does what the model says");
	}
	$self->next_source($case);
	return;
}

=pod

=item next_source(case)

The source changes, and the model predicts what comes of it.

=cut

sub next_source
{
	my ($self, $case) = @_;
	my $features = $self->_features($case);
	$self->sql("CALL model.change(" . rand() . ", $case->{share}, $features)");
	$self->publish($case);
	$self->predict($case);
	return;
}

sub predict
{
	my ($self, $case) = @_;
	$self->sql("CALL model.predict('fault', '$case->{behavior}', $case->{whole_table}, " . $self->_features($case) . ')');
	return;
}

sub publish
{
	my ($self, $case) = @_;
	return if $case->{source} eq 'query';
	my $lines = $self->ask(q{SELECT string_agg(row_to_json(s)::text, E'\n') FROM source s});
	$self->{http}->put('source', "$lines\n", 'application/x-ndjson');
	return;
}

sub statement
{
	my ($self, $case) = @_;
	return $case->{way} eq 'call'
	  ? "CALL censync_sync('fault');"
	  : "SELECT 'status', status, error_code FROM censync_run('fault');";
}

=pod

=item measure(case)

Seconds that the run takes; what it does is undone.

=cut

sub measure
{
	my ($self, $case) = @_;
	my $start = time;
	my $settings = $case->{settings} // '';
	my $status = $self->ask("RESET work_mem; $settings BEGIN; SELECT status FROM censync_run('fault'); ROLLBACK");
	croak "a run that is only measured is $status" if $status ne 'completed';
	return time - $start;
}

=pod

=item state(wanted)

"before" or "after", the wanted one if it can be either, if rows, memory and the trigger's notes agree
on it; otherwise what each of them is.

=cut

sub state
{
	my ($self, $wanted) = @_;
	my %found;
	@found{qw(rows memory audit)} =
	  split /\n/, $self->ask("SELECT model.rows_are(); SELECT model.memory_is('fault'); SELECT model.audit_is()");
	foreach my $side ($wanted, 'before', 'after')
	{
		return $side unless grep { !/^(before |)$side\b/ } values %found;
	}
	return join ', ', map { "$_: $found{$_}" } sort keys %found;
}

sub sql
{
	my ($self, $sql) = @_;
	return $self->{node}->safe_psql('postgres', "SET client_min_messages = error; SET jit = off; SET work_mem = '64MB'; $sql");
}

*ask = \&sql;

sub session
{
	my ($self) = @_;
	return CensyncFaults::Session->new($self->{node});
}

=pod

=item start_load(case), stop_load

Other sessions that write: to columns that the sync doesn't map, to rows of their own (not when the
mirror would delete them), to another table.

=cut

sub start_load
{
	my ($self, $case) = @_;
	my @scripts = map { "$self->{directory}/$_.sql" } 'hits', 'elsewhere', $case->{whole_table} eq 'true' ? () : 'own';
	open my $null, '>', "$self->{directory}/load.log" or croak "cannot write: $!";
	defined(my $pid = fork) or croak "cannot fork: $!";
	if ($pid == 0)
	{
		POSIX::dup2(fileno($null), 1);
		POSIX::dup2(fileno($null), 2);
		$ENV{PGAPPNAME} = 'load';
		no warnings 'exec';
		exec 'pgbench', '-n', '-c', 3, '-T', 600, '--rate', 150, '-D', "rows=$case->{rows}", '-h', $self->{node}->host,
		  '-p', $self->{node}->port, (map { ('-f', $_) } @scripts), 'postgres'
		  or POSIX::_exit(127);
	}
	$self->{load} = $pid;
	return;
}

sub stop_load
{
	my ($self) = @_;
	my $pid = delete $self->{load} or return;
	kill 'KILL', $pid;
	waitpid $pid, 0;
	# Its sessions may be at a last statement.
	wait_for($self->{node}, "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'load'");
	return;
}

sub _features
{
	my ($self, $case) = @_;
	return "'{" . join(',', @{ $case->{features} }) . "}'";
}

sub _write_scripts
{
	my ($self) = @_;
	my %scripts = (
		hits => '\set k random(1, :rows)
			WITH hit AS (UPDATE destination SET hits = hits + 1 WHERE k = :k RETURNING k, sub) INSERT INTO hit_log SELECT * FROM hit;',
		elsewhere => "INSERT INTO elsewhere (what) VALUES ('something');",
		own => q{\set k 1000000 + 1000 * :client_id + random(1, 200)
			\set v random(1, 1000)
			BEGIN;
			DELETE FROM destination WHERE k = :k;
			DELETE FROM app_log WHERE k = :k;
			INSERT INTO destination (k, sub, v, t) VALUES (:k, 'a', :v, 'of the application');
			INSERT INTO app_log VALUES (:k, 'a', :v, 'of the application');
			COMMIT;});
	foreach my $name (sort keys %scripts)
	{
		my $text = $scripts{$name} =~ s/^\s+//mgr;
		PostgreSQL::Test::Utils::append_to_file("$self->{directory}/$name.sql", "$text\n");
	}
	return;
}

=pod

=head1 METHODS of a session

pid; send(statements), at once; wait(seconds), until they are done or the connection is gone; done;
out and err, what came since the last send; close.

=cut

package CensyncFaults::Session;

use strict;
use warnings;

use Carp;
use Time::HiRes qw(time);

sub new
{
	my ($class, $node) = @_;
	my $self = bless { in => '', out => '', err => '' }, $class;
	$self->{harness} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
		'<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err});
	$self->ask('\set VERBOSITY verbose');
	$self->ask("SET application_name = 'censync fault'; SET jit = off; LOAD 'censync';");
	$self->{pid} = $self->ask('SELECT pg_backend_pid();');
	return $self;
}

sub pid { return $_[0]->{pid} }
sub out { return $_[0]->{out} =~ s/\@done\n//r }
sub err { return $_[0]->{err} }
sub done { return $_[0]->{out} =~ /\@done/ }

sub send
{
	my ($self, $statements) = @_;
	$self->{out} = $self->{err} = '';
	$self->{in} .= "$statements\n\\echo \@done\n";
	$self->{harness}->pump_nb while length $self->{in};
	return;
}

sub wait
{
	my ($self, $seconds) = @_;
	my $end = time + ($seconds // $PostgreSQL::Test::Utils::timeout_default);
	while (!$self->done && $self->{harness}->pumpable && time < $end)
	{
		$self->{harness}->pump_nb;
		select undef, undef, undef, 0.005;
	}
	return $self->done || !$self->{harness}->pumpable;
}

sub ask
{
	my ($self, $statements) = @_;
	$self->send($statements);
	$self->wait or croak "no answer to $statements: $self->{err}";
	return $self->out =~ s/\s+\z//r;
}

sub close
{
	my ($self) = @_;
	my $harness = delete $self->{harness} or return;
	$self->{in} = "\\q\n";
	eval { $harness->kill_kill(grace => 2) };
	return;
}

sub DESTROY
{
	local ($?, $!, $@);
	$_[0]->close;
	return;
}

1;
