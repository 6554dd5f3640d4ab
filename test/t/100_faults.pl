# Runs that are cut off at random moments, under load: the backend or the postmaster is killed, the
# server is stopped at once, the run is canceled, terminated or times out.  Afterwards the destination
# is exactly as before or as after the run, the mirror's memory and the log say the same, and the next
# run repairs.
#
# CENSYNC_FAULT_MOMENTS is how many (the crashes; a quarter of that is added for the gentler ends),
# CENSYNC_FAULT_ROWS how many rows a source has at most, CENSYNC_FAULT_SEED makes it the same again, as
# far as clocks allow.
#
# fsync stays off: processes are killed here, not the machine, and what was written to a file outlives
# its process.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncFaults;
use CensyncTest;
use List::Util qw(shuffle);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $moments = $ENV{CENSYNC_FAULT_MOMENTS} || 6;
my $rows = $ENV{CENSYNC_FAULT_ROWS} || 6000;
my $seed = $ENV{CENSYNC_FAULT_SEED} || int(time) % 1_000_000;

# What may become of a run that was in the log, beside completed.
my %ends = (
	kill_backend => 'crashed', stop_immediate => 'crashed', kill_postmaster => 'crashed',
	cancel => 'canceled', timeout => 'canceled', terminate => 'crashed');
my @crashes = qw(kill_backend stop_immediate kill_backend kill_postmaster);
my @others = qw(cancel terminate timeout);

diag "seed $seed, $moments crashes";
srand $seed;
my $node = new_node('main', <<'END');
restart_after_crash = on
log_statement = none
checkpoint_timeout = 30s
max_wal_size = 64MB
autovacuum_naptime = 1s
END
my $http = start_http();
my $faults = CensyncFaults->new($node, $http);
my $watcher;
my %seen;

my @faults = map { $crashes[ $_ % @crashes ] } 1 .. $moments;
push @faults, map { $others[ $_ % @others ] } 1 .. ($moments + 3) / 4;
my $first = int(rand(28));
my @numbers = shuffle $first .. $first + $#faults;
foreach my $fault (shuffle @faults)
{
	my $case = $faults->random_case(shift @numbers, $rows);
	$case->{fault} = $fault;
	# A little beyond what was measured, for commits.
	$case->{at} = rand(1.1);
	$case->{title} = "$case->{title}, $fault at " . int($case->{at} * 100) . ' %';
	test_moment($case);
}
foreach my $kind (sort keys %seen)
{
	diag sprintf '%-36s %d', $kind, $seen{$kind};
}
is(amcheck(), '', 'at the end: indexes and tables are whole');
$node->stop;
done_testing();

sub test_moment
{
	my ($case) = @_;
	my $title = $case->{title};

	$faults->set_up($case);
	$faults->start_load($case);
	my $delay = $faults->measure($case) * $case->{at};
	my $last_run = last_run();
	$watcher = $faults->session;
	my $session = $faults->session;
	$session->ask('SET statement_timeout = ' . (1 + int($delay * 1000)) . ';') if $case->{fault} eq 'timeout';
	$session->send($faults->statement($case));
	sleep $delay if $case->{fault} ne 'timeout';
	# Later than that, a run of CALL is in the log.
	my $logged = $case->{way} eq 'call' && $case->{at} > 0.15 && $case->{fault} ne 'timeout' && wait_logged($last_run);
	strike($case, $session);
	$faults->stop_load;

	my $acknowledged = $session->done && $session->err eq '';
	my $status = status_of($case, $session, $last_run, $logged);
	my $wanted = $status eq 'completed' ? 'after' : 'before';
	$seen{ sprintf '%s of %s: %s', $case->{fault}, $case->{way} eq 'call' ? 'CALL' : 'SELECT', $status }++;
	like($status, $acknowledged ? qr/^completed$/ : qr/^(completed|none|$ends{$case->{fault}})$/,
		"$title: closed as it should be") or diag $session->err;
	isnt($status, 'none', "$title: a run that was in the log is there still") if $logged;
	is($faults->state($wanted), $wanted, "$title: rows, memory and log agree ($status)");
	is($faults->ask('SELECT model.application_is()'), '', "$title: nothing of others is lost");
	is(temporary_files(), '', "$title: no temporary file is left");
	test_next_runs($case, $session, $wanted);
	$session->close;
	return;
}

# The next run repairs; the one after it deletes what it should.
sub test_next_runs
{
	my ($case, $session, $before) = @_;
	my $title = $case->{title};
	my $counts = $before eq 'after' ? '0|0|0' : $faults->ask('SELECT model.counts()');

	# In the same session, if it is still there: it must be usable.
	$session = $faults->session if $ends{ $case->{fault} } eq 'crashed';
	# A timeout at the very end of a statement may hit the next one.
	$session->ask('SELECT 1; RESET statement_timeout;');
	$session->ask($faults->statement($case));
	is($session->err, '', "$title: the next run has no error");
	is(last_counts(), "completed|$counts", "$title: and completes, with counts as predicted");
	is($faults->state('after'), 'after', "$title: then all is as it should be");
	is($faults->ask("SELECT count(*) FROM censync.run_log WHERE status = 'running'"), 0,
		"$title: no run is open for ever");
	return if $case->{behavior} ne 'mirror';
	$faults->next_source($case);
	$counts = $faults->ask('SELECT model.counts()');
	$session->ask($faults->statement($case));
	is(last_counts(), "completed|$counts", "$title: a mirror's run with another source");
	is($faults->state('after'), 'after', "$title: deletes exactly what it should");
	is(amcheck(), '', "$title: indexes and tables are whole");
	return;
}

# Ends the run, and returns when the server is there again.
sub strike
{
	my ($case, $session) = @_;
	my $fault = $case->{fault};
	my $log_end = -s $node->logfile;

	if ($fault eq 'kill_backend')
	{
		kill 'KILL', $session->pid;
		wait_ready($log_end);
	}
	elsif ($fault eq 'stop_immediate')
	{
		$node->stop('immediate');
		$node->start;
	}
	elsif ($fault eq 'kill_postmaster')
	{
		kill_postmaster();
		$node->start;
	}
	elsif ($fault ne 'timeout')
	{
		kill $fault eq 'cancel' ? 'INT' : 'TERM', $session->pid;
	}
	$session->wait or BAIL_OUT("the session of $case->{title} goes on");
	return;
}

# A backend that is busy notices later that it is an orphan, perhaps after its commit.
sub kill_postmaster
{
	my ($postmaster) = split /\n/, slurp_file($node->data_dir . '/postmaster.pid');
	my @family = ($postmaster, grep { parent($_) == $postmaster } map { m{(\d+)} } glob '/proc/[0-9]*');
	my $end = time + 60;
	$node->kill9;
	while (grep { kill 0, $_ } @family)
	{
		BAIL_OUT('a process of a killed server goes on') if time > $end;
		sleep 0.02;
	}
	return;
}

sub parent
{
	my ($pid) = @_;
	open my $file, '<', "/proc/$pid/stat" or return 0;
	return (<$file> // '') =~ /\) \w (\d+)/ ? $1 : 0;
}

sub wait_ready
{
	my ($log_end) = @_;
	my $end = time + 60;
	while (time < $end)
	{
		return if slurp_file($node->logfile, $log_end) =~ /database system is ready to accept connections/;
		sleep 0.05;
	}
	BAIL_OUT('the server does not come back');
}

sub last_run
{
	return $faults->ask('SELECT coalesce(max(run_id), 0) FROM censync.run_log');
}

sub wait_logged
{
	my ($last_run) = @_;
	my $end = time + 20;
	while (time < $end)
	{
		return 1 if $watcher->ask("SELECT count(*) FROM censync.runs WHERE run_id > $last_run;") == 1;
	}
	return 0;
}

# The status of the run after that one, or none.
sub status_of
{
	my ($case, $session, $last_run, $logged) = @_;
	my $sql = "SELECT status FROM censync.runs WHERE run_id > $last_run";
	my $status = $faults->ask($sql);
	# Another process writes the log of a canceled censync_run; and if the run has taken a number, there must be one.
	if ($status eq '' && $ends{ $case->{fault} } eq 'canceled'
		&& $faults->ask("SELECT last_value > $last_run FROM censync.run_log_run_id_seq") eq 't')
	{
		my $end = time + 20;
		sleep 0.05 while ($status = $faults->ask($sql)) eq '' && time < $end;
		# Unless the run was over, and it was the statement around it that was canceled.
		return 'lost' if $status eq '' && $session->err !~ /FROM censync\.runs/;
	}
	return $status eq '' ? 'none' : $status;
}

sub last_counts
{
	return $faults->ask('SELECT status, records_created, records_updated, records_deleted FROM censync.runs
		ORDER BY run_id DESC LIMIT 1');
}

sub temporary_files
{
	return join ' ', glob $node->data_dir . '/base/pgsql_tmp/* ' . $node->data_dir . '/pg_tblspc/*/*/pgsql_tmp/*';
}

sub amcheck
{
	my $output = '';
	IPC::Run::run([ 'pg_amcheck', '--heapallindexed', '-h', $node->host, '-p', $node->port, 'postgres' ], '>&', \$output);
	return $output;
}
