# What a run costs beside its rows: memory that does not grow with the source, no snapshot and no lock while
# it waits, no catalog rows, no temporary files, no descriptors left over.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncTest;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $limit_kb = 100 * 1024;
my $node = new_node('main', <<'END');
fsync = off
autovacuum = off
log_statement = none
work_mem = 4MB
temp_buffers = 1MB
END
my $http = start_http();

create_server($node, 'src', $http);
$http->put('few', '[' . join(', ', map { qq({"id": $_, "name": "n$_"}) } 1 .. 7) . ']');

test_memory();
test_waiting();
test_many_runs();
test_catalogs();

$node->stop;
done_testing();

sub sql { return $node->safe_psql('postgres', $_[0]) }

# A psql with one statement, in the background.
sub start_session
{
	my ($name, $sql) = @_;
	my ($out, $err) = ('', '');
	my $session = IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', $sql,
			'-d', $node->connstr('postgres') . " application_name=$name" ],
		'<', '/dev/null', '>', \$out, '2>', \$err, IPC::Run::timeout(300));
	return { session => $session, out => \$out, err => \$err, name => $name };
}

# Runs a statement and watches its backend meanwhile: most memory seen, in kB, and megabytes read.
sub watch
{
	my ($sql) = @_;
	my $started = start_session('watched', $sql);
	my ($pid, $most, $samples) = (undef, 0, 0);

	until ($pid)
	{
		$pid = backend_pid($node, 'watched');
	}
	while ($started->{session}->pumpable)
	{
		$started->{session}->pump_nb;
		my $kb = eval { rss_kb($pid) } // last;
		$most = $kb if $kb > $most;
		$samples++;
		sleep 0.05;
	}
	$started->{session}->finish;
	return ($most, $samples, ${ $started->{out} }, ${ $started->{err} });
}

sub test_memory
{
	sql(q{CREATE TABLE small (id bigint PRIMARY KEY, name text);
		INSERT INTO small SELECT 1000000000 + i, 'old' FROM generate_series(0, 999) i});
	# Rows take about 290 bytes as JSON, 190 as CSV.
	my @cases = (
		[ 'NDJSON, 1 GB', 'gen/ndjson?rows=3700000', 3_700_000, 1000 ],
		[ 'JSON array, 200 MB', 'gen/json?rows=740000', 740_000, 200 ],
		[ 'CSV, 200 MB', 'gen/csv?rows=1150000', 1_150_000, 200 ],
		[ 'NDJSON packed, 100 MB', 'gen/ndjson?rows=370000&gzip=force', 370_000, 100 ]);

	sql(q{SELECT censync_create_sync('small', 'small', 'update', 'src', object => 'data/few',
		mappings => '{"id": "id", "name": "city"}')});
	foreach my $case (@cases)
	{
		my ($title, $object, $rows, $megabytes) = @$case;
		sql("SELECT censync_alter_sync('small', object => '$object'); UPDATE small SET name = 'old'");
		my $start = time;
		my ($most, $samples, $out, $err) = watch("CALL censync_sync('small')");
		is($err, '', "$title: no error");
		note sprintf("%s: %.1f s, at most %d kB in %d samples", $title, time - $start, $most, $samples);
		is(sql('SELECT status, records_read, records_updated, records_skipped FROM censync.runs
			ORDER BY run_id DESC LIMIT 1'), "completed|$rows|1000|" . ($rows - 1000), "$title: counts");
		cmp_ok(sql('SELECT bytes_read FROM censync.runs ORDER BY run_id DESC LIMIT 1'), '>=', $megabytes * 1_000_000,
			"$title: as large as it should be");
		cmp_ok($samples, '>', 5, "$title: looked at often enough");
		cmp_ok($most, '>', 1000, "$title: looked at the right process");
		cmp_ok($most, '<', $limit_kb, "$title: memory stays below 100 MB");
		is(sql('SELECT count(*) FROM pg_ls_tmpdir()'), 0, "$title: no temporary file is left");
	}

	# The same for those that only look: a scan, and an error in the middle.
	sql(q{CREATE FOREIGN TABLE large (id bigint, city text) SERVER src OPTIONS (object 'gen/ndjson?rows=740000')});
	my ($most, $samples, $out) = watch('SELECT count(city) FROM large');
	is($out, "740000\n", 'foreign table, 200 MB: rows');
	cmp_ok($most, '<', $limit_kb, 'foreign table, 200 MB: memory stays below 100 MB');
	sql(q{SELECT censync_alter_sync('small', object => 'gen/ndjson?rows=740000&cut_at=200000000')});
	($most, $samples, $out, my $err) = watch("CALL censync_sync('small')");
	like($err, qr/ERROR:  connection to "127.0.0.1" was lost/, 'cut after 200 MB: error');
	cmp_ok($most, '<', $limit_kb, 'cut after 200 MB: memory stays below 100 MB');
	is(sql('SELECT count(*) FROM pg_ls_tmpdir()'), 0, 'cut after 200 MB: no temporary file is left');
	return;
}

# While the source is silent nothing in the database waits for us.
sub test_waiting
{
	sql(q{CREATE TABLE waiting (id int PRIMARY KEY, name text);
		SELECT censync_create_sync('waiting', 'waiting', 'mirror', 'src', object => 'data/few?hold=gate');
		SELECT censync_create_sync('waiting_pages', 'waiting', 'upsert', 'src',
			object => 'pages/cursor?set=few&size=2&hold_at=2', options => '{"pagination": "cursor", "records": "/data"}')});
	foreach my $case ([ 'waiting', 'gate' ], [ 'waiting_pages', 'page' ])
	{
		my ($sync, $gate) = @$case;
		my $held = start_session('waiting', "CALL censync_sync('$sync')");
		ok($http->wait_state(sub { $_->{waiting}{$gate} }), "$sync: the source holds its answer");
		my $pid = backend_pid($node, 'waiting');
		is(sql("SELECT backend_xmin IS NULL, backend_xid IS NULL FROM pg_stat_activity WHERE pid = $pid"), 't|t',
			"$sync: no snapshot and no transaction id");
		is(sql("SELECT string_agg(relation::regclass || ' ' || mode, ', ') FROM pg_locks
			WHERE pid = $pid AND locktype = 'relation'"), '', "$sync: no lock on any table");
		is(sql("SELECT status, finished_at IS NULL FROM censync.runs WHERE sync = '$sync'"), 'running|t',
			"$sync: others see that it runs");
		my (undef, undef, $blocked) = $node->psql('postgres', "SET lock_timeout = '2s';\n"
			. "ALTER TABLE waiting ADD other int;\nALTER TABLE waiting DROP other;\nTRUNCATE waiting;\nVACUUM FULL waiting");
		is($blocked, '', "$sync: the destination can be altered meanwhile");
		like(error_of("SELECT FROM censync_run('$sync')"), qr/ERROR:  55006: sync "$sync" is already running/,
			"$sync: not twice at a time");
		$http->release($gate);
		$held->{session}->finish;
		is(${ $held->{err} }, '', "$sync: goes on when the answer comes");
		is(sql('SELECT count(*) FROM waiting'), 7, "$sync: and finds the table as it is now");
	}
	# Between two attempts it is no different.
	sql(q{SELECT censync_alter_sync('waiting', object => 'bad/503?retry_after=60')});
	my $held = start_session('waiting', "CALL censync_sync('waiting')");
	ok($http->wait_state(sub { $_->{requests} > 0 && grep { $_->{path} eq '/bad/503' } $http->log }),
		'before another attempt: the source was asked');
	sleep 0.2;
	my $pid = backend_pid($node, 'waiting');
	is(sql("SELECT backend_xmin IS NULL, backend_xid IS NULL FROM pg_stat_activity WHERE pid = $pid"), 't|t',
		'before another attempt: no snapshot and no transaction id');
	sql("SELECT pg_cancel_backend($pid)");
	eval { $held->{session}->finish };
	like(${ $held->{err} }, qr/canceling statement due to user request/, 'before another attempt: canceled');
	$http->reset;
	$http->put('few', '[' . join(', ', map { qq({"id": $_, "name": "n$_"}) } 1 .. 7) . ']');
	return;
}

sub error_of
{
	my ($sql) = @_;
	my ($status, undef, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	return $status == 0 ? 'no error' : $err;
}

# One session, hundreds of runs, good and bad: what it holds afterwards is what it held before.
sub test_many_runs
{
	my %objects = (
		run_ok    => 'data/few', run_page => 'pages/cursor?set=few&size=2', run_404 => 'bad/404', run_cut => 'bad/cut?set=few',
		run_html  => 'bad/html', run_records => 'bad/not_object');
	foreach my $sync (sort keys %objects)
	{
		sql("CREATE TABLE $sync (id int PRIMARY KEY, name text);
			SELECT censync_create_sync('$sync', '$sync', 'mirror', 'src', object => '$objects{$sync}')");
	}
	sql(q{SELECT censync_alter_sync('run_page', options => '{"pagination": "cursor", "records": "/data"}');
		CREATE FOREIGN TABLE few (id int, name text) SERVER src OPTIONS (object 'data/few');
		CREATE FOREIGN TABLE endless (id int, name text) SERVER src OPTIONS (object 'bad/endless')});

	my $loop = join '', map { "SELECT FROM censync_run('$_');\n" } sort keys %objects;
	$loop .= "CALL censync_sync('run_ok');\nCALL censync_sync('run_404');\n";
	$loop .= "SELECT FROM few;\nSELECT FROM endless LIMIT 3;\n";
	$loop .= "SELECT FROM censync_preview('src', object => 'data/few');\nSELECT FROM censync_check('src');\n";
	$loop .= "SELECT FROM censync_preview('src', object => 'bad/500');\n";
	# run_ok alternates, so that each mirror inserts and deletes.
	$loop .= "UPDATE run_ok SET name = 'x';\nDELETE FROM run_page WHERE id > 5;\n";

	# Contexts, descriptors, anonymous memory in pages.
	my $measure = q{SELECT '@', (SELECT sum(total_bytes) FROM pg_backend_memory_contexts),
		(SELECT count(*) FROM pg_ls_dir('/proc/self/fd')),
		(SELECT split_part(s, ' ', 2)::int - split_part(s, ' ', 3)::int FROM pg_read_file('/proc/self/statm') s);
	};
	my $script = "SET client_min_messages = fatal; SET censync.http_retries = 0;\n"
	  . $loop x 20 . $measure . $loop x 32 . $measure . $loop x 32 . $measure;
	my (undef, $out, $err) = $node->psql('postgres', $script, on_error_stop => 0, timeout => 200);
	my @measured = map { [ split /\|/ ] } grep { /^@/ } split /\n/, $out;
	is(scalar @measured, 3, 'many runs: measured') or diag $err;
	my ($first, $second, $last) = @measured;
	note "contexts, descriptors, pages: @{$_}[1 .. 3]" foreach @measured;
	cmp_ok(sql(q{SELECT count(*) FROM censync.runs WHERE sync LIKE 'run%'}), '>=', 600, 'many runs: so many');
	is(sql(q{SELECT string_agg(DISTINCT sync || ' ' || status, ', ' ORDER BY sync || ' ' || status)
		FROM censync.runs WHERE sync LIKE 'run%'}),
		'run_404 failed, run_cut failed, run_html failed, run_ok completed, run_page completed, run_records completed',
		'many runs: each as expected');
	cmp_ok($last->[1] - $first->[1], '<', 64 * 1024, 'many runs: memory contexts do not grow');
	cmp_ok($last->[2] - $first->[2], '<', 10, 'many runs: no descriptor is left over');
	# A buffer that is needed for the first time may stay with the process's heap: once.  What leaks grows twice.
	my ($growth) = sort { $a <=> $b } $second->[3] - $first->[3], $last->[3] - $second->[3];
	cmp_ok($growth, '<', 512, 'many runs: less than 2 MB more after five hundred statements');
	is(sql('SELECT count(*) FROM pg_ls_tmpdir()'), 0, 'many runs: no temporary file');
	ok($http->wait_state(sub { $_->{busy} == 0 }, 10), 'many runs: no request is left over');
	return;
}

# Nothing is created in a catalog, and nothing written but the log.
sub test_catalogs
{
	my $sizes = q{SELECT string_agg(oid::regclass || '=' || pg_relation_size(oid), ' ' ORDER BY oid)
		FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'i')};
	my $rows = q{SELECT (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_attribute), (SELECT count(*) FROM pg_type),
		(SELECT count(*) FROM pg_depend), (SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_sys_tables
		WHERE schemaname = 'pg_catalog')};
	my $temp = q{SELECT temp_files FROM pg_stat_database WHERE datname = 'postgres'};

	sql("SELECT FROM censync_run('run_ok')");
	sql('CHECKPOINT; SELECT pg_stat_force_next_flush()');
	my ($sizes_before, $rows_before, $temp_before) = (sql($sizes), sql($rows), sql($temp));
	my $unchanged = table_state($node, 'run_ok', xmax => 1);
	my $wal = sql('SELECT pg_current_wal_insert_lsn()');
	$node->safe_psql('postgres', "SELECT FROM censync_run('run_ok');\n" x 200 . 'SELECT pg_stat_force_next_flush();');
	my $bytes = sql("SELECT pg_current_wal_insert_lsn() - '$wal'");
	is(sql($sizes), $sizes_before, '200 runs: no catalog has grown');
	is(sql($rows), $rows_before, '200 runs: nothing was written to a catalog');
	is(sql($temp), $temp_before, '200 runs: no temporary file');
	is(table_state($node, 'run_ok', xmax => 1), $unchanged, '200 runs: unchanged rows are not touched, not even locked');
	note "$bytes bytes of WAL for 200 runs";
	cmp_ok($bytes / 200, '<', 4000, '200 runs: no more WAL than the log takes');
	return;
}
