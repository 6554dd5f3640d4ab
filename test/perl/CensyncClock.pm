
=pod

=head1 NAME

CensyncClock - clusters whose launcher goes by a clock that tests set

=head1 SYNOPSIS

  my $node = new_clock_node('main', '2026-03-28 00:00+00');
  run_until($node, '2026-03-29 00:00+00');

=cut

package CensyncClock;

use strict;
use warnings;

use CensyncTest;
use Cwd qw(abs_path);
use Exporter 'import';
use File::Basename;
use PostgreSQL::Test::Utils;
use Test::More ();

our @EXPORT = qw(new_clock_node set_clock restart_at run_until launcher_is_there);

my $top = abs_path(dirname(__FILE__) . '/../..');

=pod

=over

=item new_clock_node(name, time, extra configuration lines)

A started cluster with the extension and its launcher, at that time, which stands still.  Runs of times long
ago are kept.

=cut

sub new_clock_node
{
	my ($name, $time, $conf) = @_;
	my $library = abs_path(PostgreSQL::Test::Utils::tempdir('clock')) . '/clock';
	my ($include) = run_command([ 'pg_config', '--includedir-server' ]);

	system('gcc', '-O2', '-shared', '-fPIC', "-I$top/src", "-I$include", '-o', "$library.so", "$top/test/clock/clock.c") == 0
	  or Test::More::BAIL_OUT('clock.c does not compile');
	my $node = new_node($name, join("\n", "shared_preload_libraries = 'censync, $library'",
			'censync.jitter = 0', 'censync.run_retention = 0', 'fsync = off', 'log_statement = none', 'restart_after_crash = on', 'max_worker_processes = 20', $conf // ''));
	$node->safe_psql('postgres', join '', map {
			my ($function, $type, $result) = @$_;
			"CREATE FUNCTION $function($type) RETURNS $result LANGUAGE C AS '$library', '$function';"
		} [ 'test_clock_set', 'timestamptz', 'void' ], [ 'test_clock_run_until', 'timestamptz', 'void' ],
		[ 'test_clock_now', '', 'timestamptz' ]);
	set_clock($node, $time);
	return $node;
}

=item set_clock(node, time)

=cut

sub set_clock
{
	my ($node, $time) = @_;
	$node->safe_psql('postgres', 'SELECT test_clock_set(' . sql_literal($time) . ')');
	return;
}

=item run_until(node, time, timeout)

Lets the time pass, and waits until what was due is done.  Returns whether it was within the timeout.

=cut

sub run_until
{
	my ($node, $time, $timeout) = @_;
	$node->safe_psql('postgres', 'SELECT test_clock_run_until(' . sql_literal($time) . ')');
	return wait_for($node, sprintf(q{SELECT test_clock_now() >= %s
		AND NOT EXISTS (SELECT FROM censync.run_log WHERE status IN ('queued', 'running'))
		AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'censync worker')
		AND NOT EXISTS (SELECT FROM censync.syncs WHERE scheduler = 'launcher' AND next_run <= %1$s)},
			sql_literal($time)), $timeout);
}

=item restart_at(node, time)

Restarts the server as if it had been down until then.

=cut

sub restart_at
{
	my ($node, $time) = @_;
	my $microseconds = $node->safe_psql('postgres',
		sprintf q{SELECT ((extract(epoch FROM %s::timestamptz) - 946684800) * 1000000)::bigint}, sql_literal($time));
	$node->stop;
	open(my $file, '>', $node->data_dir . '/censync_test_clock') or die "cannot set the clock: $!\n";
	print $file pack('q', $microseconds);
	close $file;
	$node->start;
	return;
}

=item launcher_is_there(node, dbname)

Waits for the scheduler of a database.

=back

=cut

sub launcher_is_there
{
	my ($node, $dbname) = @_;
	return wait_for($node, sprintf(q{SELECT count(*) = 1 FROM pg_stat_activity
		WHERE backend_type = 'censync scheduler' AND datname = %s AND state = 'idle'},
			sql_literal($dbname // 'postgres')));
}

1;
