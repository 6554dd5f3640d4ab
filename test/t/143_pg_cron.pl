# Schedules kept by pg_cron where the launcher is not: jobs are made, changed and removed with the syncs,
# and run them as their owners.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', <<'END');
shared_preload_libraries = 'pg_cron'
cron.database_name = 'postgres'
cron.use_background_workers = on
timezone = 'UTC'
fsync = off
log_statement = none
max_worker_processes = 20
END

sql(q{CREATE TABLE t (id int PRIMARY KEY, v text); CREATE ROLE etl LOGIN; CREATE ROLE mute NOLOGIN;
	CALL censync_admit('etl', 'owner'); CALL censync_admit('mute', 'owner');
	CREATE TABLE of_etl (id int PRIMARY KEY, v text); GRANT ALL ON of_etl TO etl, mute});

test_without();
test_crontab_line();
test_crontab_elsewhere();
sql('CREATE EXTENSION pg_cron');
test_jobs();
test_refused();
test_run();
test_other_database();
test_launcher_takes_over();

$node->stop;
done_testing();

sub sql { return $node->safe_psql($_[1] // 'postgres', $_[0]) }

sub jobs
{
	return sql(q{SELECT string_agg(concat_ws(' | ', jobname, schedule, command, username, database, active), '; ' ORDER BY jobname) FROM cron.job});
}

sub fails
{
	my ($what, $sql, $pattern, $dbname) = @_;
	my (undef, undef, $err) = $node->psql($dbname // 'postgres', "\\set VERBOSITY verbose\n$sql");
	like($err, $pattern, $what);
	return;
}

sub test_without
{
	fails('neither of the two', q{SELECT censync_create_sync('x', 't', 'upsert', query => 'SELECT 1 AS id', schedule => '1 hour')},
		qr/55000.*nothing that could keep the schedule.*Set shared_preload_libraries = 'censync'.*install pg_cron here.*0 \*\/1 \* \* \*  psql/s);
	return;
}

# A crontab knows no time zone but the machine's, and its session has no search_path for us.
sub test_crontab_elsewhere
{
	sql('CREATE DATABASE elsewhere');
	$node->safe_psql('elsewhere', 'CREATE SCHEMA "s x"; CREATE EXTENSION censync SCHEMA "s x"; CREATE TABLE t (id int PRIMARY KEY)');
	my (undef, undef, $err) = $node->psql('elsewhere', q{SELECT "s x".censync_create_sync('x', 't', 'upsert', query => 'SELECT 7 AS id', schedule => '0 8 * * * Asia/Tokyo')});
	like($err, qr/The times of a crontab are those of its machine, these are of Asia\/Tokyo\./, 'the time zone of a crontab');
	like($err, qr/: 0 8 \* \* \*  psql .*CALL \\"s x\\"\.censync_sync\('x'\)"/, 'the schema of the extension');
	sql('DROP DATABASE elsewhere');
	return;
}

# The line for a crontab does what it says, and nothing else, whatever a name has in it.
sub test_crontab_line
{
	my $name = qq(a "b" \$HOME `id` \\ 100%\n* * * * * touch /tmp/x 'c');
	my (undef, undef, $err) = $node->psql('postgres', sprintf q{SELECT censync_create_sync(%s, 't', 'upsert', query => 'SELECT 7 AS id', schedule => '15 minutes')}, sql_literal($name));
	my ($line) = $err =~ /put this into a crontab: (.*)/;
	ok($line =~ s{^\*/15 \* \* \* \*  psql -X -q -d postgres -U \S+ }{psql -X -q }, 'a line of a crontab, however many a name has');
	unlike($line =~ s/\\%//gr, qr/%/, 'no percent sign that cron would take');
	sql(sprintf q{SELECT censync_create_sync(%s, 't', 'upsert', query => 'SELECT 7 AS id')}, sql_literal($name));
	is(system('/bin/sh', '-c', ($line =~ s/\\%/%/gr) . sprintf q{ '%s'}, $node->connstr('postgres')), 0, 'the shell takes it');
	is(sql('SELECT status FROM censync.runs'), 'completed', 'and it runs the sync');
	sql(sprintf q{SELECT censync_drop_sync(%s); DELETE FROM censync.run_log; DELETE FROM t}, sql_literal($name));
	return;
}

sub test_jobs
{
	sql(q{SELECT censync_create_sync('o''s "sync"', 't', 'upsert', query => 'SELECT 1 AS id', schedule => '15 minutes')});
	is(jobs(), q{censync o's "sync" | */15 * * * * | CALL public.censync_sync('o''s "sync"') | postgres | postgres | t}, 'a job for an interval');
	is(sql(q{SELECT schedule, scheduler FROM censync.syncs}), '15 minutes|pg_cron', 'shown');
	sql(q{SELECT censync_schedule('o''s "sync"', '*/5 8-18 * * 1-5')});
	like(jobs(), qr/^censync o's "sync" \| \*\/5 8-18 \* \* 1-5 \|[^;]*$/, 'changed');
	sql(q{SELECT censync_alter_sync('o''s "sync"', schedule => '@daily')});
	like(jobs(), qr/ \| \@daily \|/, 'by censync_alter_sync');
	sql(q{SELECT censync_pause('o''s "sync"')});
	is(jobs(), '', 'no job while it is paused');
	sql(q{SELECT censync_resume('o''s "sync"')});
	like(jobs(), qr/ \| \@daily \|/, 'one again');
	sql(q{SELECT censync_unschedule('o''s "sync"')});
	is(jobs(), '', 'taken away');
	sql(q{SELECT censync_schedule('o''s "sync"', '2 hours')});
	like(jobs(), qr/ \| 0 \*\/2 \* \* \* \|/, 'hours');
	sql(q{BEGIN; SELECT censync_drop_sync('o''s "sync"'); ROLLBACK});
	like(jobs(), qr/ \| 0 \*\/2/, 'what is rolled back stays');
	sql(q{SELECT censync_drop_sync('o''s "sync"')});
	is(jobs(), '', 'removed with the sync');
	return;
}

sub test_refused
{
	my $create = q{SET ROLE %s; SELECT censync_create_sync('x', 'of_etl', 'upsert', query => 'SELECT 1 AS id', schedule => '%s')};
	fails('a rhythm that cron has not', sprintf($create, 'postgres', '7 minutes'), qr/0A000.*pg_cron can't keep the schedule "7 minutes"/);
	fails('after', sprintf($create, 'postgres', 'continuous'), qr/0A000.*pg_cron can't keep the schedule "continuous"/);
	fails('another zone', sprintf($create, 'postgres', '0 8 * * * Europe/Berlin'), qr/0A000.*pg_cron can't keep a schedule in time zone Europe\/Berlin/);
	fails('an owner without pg_cron', sprintf($create, 'etl', '1 hour'), qr/42501.*role "etl" may not use pg_cron.*GRANT USAGE ON SCHEMA cron TO etl;/s);
	fails('an owner that may not log in', sprintf($create, 'mute', '1 hour'), qr/55000.*its owner "mute" may not log in/);
	is(jobs(), '', 'no job of all these');
	is(sql('SELECT count(*) FROM censync.sync_definition'), '0', 'and no sync');
	return;
}

sub test_run
{
	sql('GRANT USAGE ON SCHEMA cron TO etl');
	sql(q{SET ROLE etl; SELECT censync_create_sync('runs', 'of_etl', 'upsert',
		query => 'SELECT 1 AS id, current_user || '' '' || session_user AS v', schedule => '1 minute')});
	like(jobs(), qr/^censync runs \| \*\/1 \* \* \* \* \| CALL public.censync_sync\('runs'\) \| etl \| postgres \| t$/, 'a job of the owner\'s');
	ok(wait_for($node, q{SELECT count(*) > 0 FROM censync.runs WHERE sync = 'runs' AND status = 'completed'}, 130), 'pg_cron runs it');
	is(sql(q{SELECT DISTINCT trigger FROM censync.runs WHERE sync = 'runs'}), 'schedule', 'and the log says that it was the schedule');
	is(sql('SELECT v FROM of_etl'), 'etl etl', 'as its owner');
	{
		local $ENV{PGAPPNAME} = 'pg_cron';
		sql(q{CALL censync_sync('runs')});
	}
	sql(q{CALL censync_sync('runs')});
	is(sql(q{SELECT string_agg(trigger, ' ') FROM (SELECT trigger FROM censync.runs ORDER BY run_id DESC LIMIT 2) r}), 'manual schedule',
		'also where pg_cron connects like a client; and nobody else');
	is(sql(q{SELECT count(*) FROM cron.job_run_details WHERE status = 'succeeded'}) > 0, 1, 'and knows that it went well');
	return;
}

sub test_other_database
{
	sql('CREATE DATABASE other');
	sql('CREATE EXTENSION censync; CREATE TABLE t (id int PRIMARY KEY)', 'other');
	fails('pg_cron is in another database', q{SELECT censync_create_sync('x', 't', 'upsert', query => 'SELECT 1 AS id', schedule => '1 hour')},
		qr/55000.*nor is pg_cron in this database/s, 'other');
	return;
}

sub test_launcher_takes_over
{
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_cron, censync'");
	$node->restart;
	is(sql(q{SELECT scheduler FROM censync.syncs WHERE name = 'runs'}), 'pg_cron', 'what pg_cron keeps, it keeps');
	sql(q{SELECT censync_schedule('runs', '1 second')});
	is(jobs(), '', 'until the schedule is set again');
	is(sql(q{SELECT scheduler FROM censync.syncs WHERE name = 'runs'}), 'launcher', 'then the launcher does');
	ok(wait_for($node, q{SELECT count(*) > 1 FROM censync.runs WHERE trigger = 'schedule'}), 'and runs it');
	return;
}
