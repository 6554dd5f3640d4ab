# Runs that run out of disk or of memory at random moments: the run fails with the code that says so,
# nothing has changed, the session goes on, and the next run completes when there is room again.
#
# A tenth of CENSYNC_FAULT_MOMENTS is how many times for each disk, and twice for memory;
# CENSYNC_FAULT_SEED as in 100_faults.pl.  Full is the disk of the destination, of temporary files and
# of the WAL; test/full_disk/full_disk.c makes it so.  (A full disk of the WAL is a crash.)
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncFaults;
use CensyncTest;
use Cwd qw(abs_path);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $times = int(($ENV{CENSYNC_FAULT_MOMENTS} || 1) / 10) || 1;
my $seed = $ENV{CENSYNC_FAULT_SEED} || int(time) % 1_000_000;
my $plenty = 1 << 40;

diag "seed $seed, $times times each";
srand $seed;
my $directory = abs_path(PostgreSQL::Test::Utils::tempdir('disks'));
my $control = "$directory/full_disk";
build_full_disk();
my $node = start_node();
my $http = start_http();
my $faults = CensyncFaults->new($node, $http);
foreach my $disk (qw(data spill))
{
	mkdir "$directory/$disk" or die "cannot make a directory: $!\n";
	$node->safe_psql('postgres', "CREATE TABLESPACE $disk LOCATION '$directory/$disk'");
}

foreach my $time (1 .. $times)
{
	test_disk($time, 'data', "$directory/data");
	test_disk($time, 'spill', "$directory/spill");
	test_wal($time);
	test_memory(2 * $time + $_) foreach 0 .. 1;
}
$node->stop;
done_testing();

sub build_full_disk
{
	my @command = ('gcc', '-O2', '-shared', '-fPIC', '-o', "$directory/full_disk.so",
		"$FindBin::RealBin/../full_disk/full_disk.c", '-ldl');
	system(@command) == 0 or BAIL_OUT('full_disk.c does not compile');
	PostgreSQL::Test::Utils::append_to_file($control, pack('q a1024', 0, ''));
	return;
}

# Segments of 1 MB that are not used again, so that a run needs new ones; a cluster that stays down after a crash, so that
# there is room when it comes up again.
sub start_node
{
	local $ENV{LD_PRELOAD} = "$directory/full_disk.so";
	local $ENV{FULL_DISK} = $control;
	return new_node('main', <<"END", init => ['--wal-segsize=1']);
work_mem = 64kB
min_wal_size = 2MB
max_wal_size = 1GB
wal_recycle = off
default_toast_compression = lz4
autovacuum = off
log_statement = none
END
}

sub set_disk
{
	my ($path, $left) = @_;
	open my $file, '+<', $control or die "cannot write $control: $!\n";
	syswrite $file, pack('q Z1024', $left, $path);
	close $file;
	return;
}

sub disk_left
{
	open my $file, '<', $control or die "cannot read $control: $!\n";
	sysread $file, my $left, 8;
	close $file;
	return unpack 'q', $left;
}

# A case whose run is to be stopped, ready to run, and the bytes that it needs of a disk.
sub prepare
{
	my ($time, $title, $path) = @_;
	my $case = $faults->random_case(int(rand(1000)), 8000);
	if ($title eq 'WAL')
	{
		# Some megabytes: the next segment may be there already.
		$case = $faults->random_case(7 * int(rand(200)) + (1, 2)[ rand(2) ], 8000);
		$case->{rows} = 25_000;
	}
	$case->{features} = [ grep { $_ ne 'partitions' } @{ $case->{features} } ];
	$case->{share} = 0.6;
	set_disk('', 0);
	$case->{settings} = 'SET temp_tablespaces = spill;' if $title eq 'spill';
	$case->{title} = "$title $time: $case->{title}";
	$faults->set_up($case);
	$node->safe_psql('postgres', 'ALTER TABLE destination SET TABLESPACE data') if $title eq 'data';
	set_disk($path, $plenty);
	$faults->measure($case);
	my $needed = $plenty - disk_left();
	# What was written and undone leaves room in the table, which the next run may use.
	$node->safe_psql('postgres', 'VACUUM FULL destination') if $title eq 'data';
	cmp_ok($needed, '>', 0, "$case->{title}: the run needs that disk");
	return ($case, $needed);
}

sub test_disk
{
	my ($time, $disk, $path) = @_;
	my ($case, $needed) = prepare($time, $disk, $path);
	my $session = $faults->session;

	$session->ask($case->{settings}) if $case->{settings};
	set_disk($path, int(rand(0.9) * $needed));
	$session->ask($faults->statement($case));
	check_failed($case, $session, '53100', qr/No space left on device|wrote only \d+ of \d+ bytes/);
	is(join(' ', glob "$path/*/pgsql_tmp/*"), '', "$case->{title}: no temporary file is left");
	set_disk($path, $plenty);
	check_next($case, $session);
	set_disk('', 0);
	return;
}

sub test_wal
{
	my ($time) = @_;
	my $path = $node->data_dir . '/pg_wal';
	my ($case, $needed) = prepare($time, 'WAL', $path);
	my $last_run = $faults->ask('SELECT coalesce(max(run_id), 0) FROM censync.run_log');
	my $session = $faults->session;

	set_disk($path, int(rand(0.4) * $needed));
	$session->send($faults->statement($case));
	ok($session->wait, "$case->{title}: the session ends");
	ok(wait_down(), "$case->{title}: the server is down");
	ok(slurp_file($node->logfile) =~ /PANIC: .*No space left on device/, "$case->{title}: for want of space");
	set_disk('', 0);
	$node->_update_pid(0);
	{
		local $ENV{LD_PRELOAD} = "$directory/full_disk.so";
		local $ENV{FULL_DISK} = $control;
		$node->start;
	}
	like($faults->ask("SELECT status FROM censync.runs WHERE run_id > $last_run"),
		$case->{way} eq 'call' ? qr/^(crashed|)$/ : qr/^$/, "$case->{title}: closed as it should be");
	is($faults->state('before'), 'before', "$case->{title}: nothing has changed");
	check_next($case, $faults->session);
	return;
}

sub wait_down
{
	my $end = time + 60;
	while (time < $end)
	{
		return 1 if !-e $node->data_dir . '/postmaster.pid';
		sleep 0.05;
	}
	return 0;
}

# Rows of 6 MB, and no more memory than a part of what they need.  (Where none of them is written, a run
# needs next to nothing: then there is no moment at which it must fail.)
sub test_memory
{
	my ($time) = @_;
	my ($case, $least, $most);
	do
	{
		$case = $faults->random_case(int(rand(1000)), 500);
		$case->{features} = [ 'huge', grep { $_ ne 'index' } @{ $case->{features} } ];
		$case->{title} = "memory $time: $case->{title}";
		$faults->set_up($case);
		($least, $most) = memory_needed($case);
		note "$case->{title}: from $least to $most kB";
	} until ($most - $least > 16 * 1024);

	my $session = $faults->session;
	$least = memory_kb($session->pid, 'VmSize');
	limit_memory($session->pid, 1024 * int($least + (0.1 + rand(0.8)) * ($most - $least)));
	$session->ask($faults->statement($case));
	# Where not even the log can be written, censync_run fails as any statement would.
	if ($case->{way} eq 'run' && $session->err =~ /^ERROR:  53200/)
	{
		is($faults->state('before'), 'before', "$case->{title}: nothing has changed, nor been logged");
	}
	else
	{
		check_failed($case, $session, '53200', qr/out of memory/);
	}
	is($session->ask('SELECT 1;'), '1', "$case->{title}: the session goes on");
	limit_memory($session->pid, 'unlimited');
	check_next($case, $session);
	return;
}

# What a run adds to the memory of its session: before and after, in kB.
sub memory_needed
{
	my ($case) = @_;
	my $session = $faults->session;
	my $least = memory_kb($session->pid, 'VmSize');
	is($session->ask("BEGIN; SELECT status FROM censync_run('fault'); ROLLBACK;"), 'completed', "$case->{title}: measured");
	my $most = memory_kb($session->pid, 'VmPeak');
	$session->close;
	return ($least, $most);
}

sub memory_kb
{
	my ($pid, $what) = @_;
	return slurp_file("/proc/$pid/status") =~ /^$what:\s+(\d+) kB/m ? $1 : die "no $what of $pid\n";
}

sub limit_memory
{
	my ($pid, $bytes) = @_;
	system('prlimit', "--pid=$pid", "--as=$bytes:") == 0 or BAIL_OUT('prlimit does not work');
	return;
}

sub check_failed
{
	my ($case, $session, $code, $message) = @_;
	like($session->err, qr/$code: .*/, "$case->{title}: the session is told");
	like($session->err, $message, "$case->{title}: and why");
	like($faults->ask('SELECT status, error_code, error_message FROM censync.runs ORDER BY run_id DESC LIMIT 1'),
		qr/^failed\|$code\|.*$message/, "$case->{title}: so says the log");
	is($faults->state('before'), 'before', "$case->{title}: nothing has changed");
	is($faults->ask(q{SELECT count(*) FROM censync.run_log WHERE status = 'running'}), 0, "$case->{title}: no run is open");
	return;
}

sub check_next
{
	my ($case, $session) = @_;
	$session->ask($faults->statement($case));
	is($session->err, '', "$case->{title}: the next run has no error");
	is($faults->ask('SELECT status, concat_ws(\'|\', records_created, records_updated, records_deleted) = model.counts()
		FROM censync.runs ORDER BY run_id DESC LIMIT 1'), 'completed|t', "$case->{title}: and completes as predicted");
	is($faults->state('after'), 'after', "$case->{title}: then all is as it should be");
	$session->close;
	return;
}
