# Schedules: the times they mean, against a model in SQL; a day of them by a clock that jumps; retries,
# sequences, limits, and what is made up for.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use CensyncClock;
use CensyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{CENSYNC_MODEL_SEED} || time % 1_000_000;
diag "seed $seed";
srand $seed;

my $node = new_clock_node('main', '2026-03-01 00:00+00');
sql(q{CREATE TABLE t (id int PRIMARY KEY, v text)});
sql(q{CREATE TABLE broken (code text)});
sql(q{CREATE FUNCTION fail_with(c text) RETURNS int LANGUAGE plpgsql AS $$
	BEGIN IF c <> '' THEN RAISE EXCEPTION 'made to fail' USING ERRCODE = c; END IF; RETURN 1; END $$});
launcher_is_there($node);

test_syntax();
test_model();
test_day();
test_missed();
test_since();
test_continuous();
test_after();
test_retries();
test_no_retries();
test_pause();
test_clock_jumps();
test_crashing();
test_limits();

$node->stop;
done_testing();

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub create
{
	my ($name, $schedule, %options) = @_;
	my $query = $options{query} // 'SELECT 1 AS id';
	sql(sprintf 'SELECT censync_create_sync(%s, %s, %s, query => %s, schedule => %s, options => %s)',
		sql_literal($name), sql_literal($options{destination} // 't'), sql_literal('upsert'), sql_literal($query),
		sql_literal($schedule), sql_literal($options{options} // '{}'));
	return;
}

sub drop_all
{
	sql(q{SELECT censync_unschedule(name) FROM censync.syncs});
	sql(q{SELECT censync_drop_sync(name) FROM censync.syncs});
	sql(q{DELETE FROM censync.run_log});
	return;
}

# When runs of a sync began, with their trigger and status if asked for.
sub runs
{
	my ($name, $columns) = @_;
	return sql(sprintf q{SET timezone = 'UTC'; SELECT string_agg(concat_ws(' ', to_char(started_at, 'DD HH24:MI:SS')%s), ', ' ORDER BY run_id)
		FROM censync.runs WHERE sync = %s}, $columns ? ", $columns" : '', sql_literal($name));
}

sub refused
{
	my ($schedule, $pattern, $what) = @_;
	my (undef, undef, $err) = $node->psql('postgres', 'SELECT censync.next_time(' . sql_literal($schedule) . ')');
	like($err, qr/invalid schedule.*$pattern/s, $what // "\"$schedule\" is refused");
	return;
}

sub test_syntax
{
	refused('', qr/A schedule is an interval such as/);
	refused('soon', qr/A schedule is an interval such as/);
	refused('5', qr/It has 1 field/);
	refused('* * * *', qr/It has 4 fields/);
	refused('60 * * * *', qr/Its minute is "60"; it can be \*, a number from 0 to 59/);
	refused('* 24 * * *', qr/Its hour is "24"/);
	refused('* * 0 * *', qr/Its day of the month is "0"/);
	refused('* * * 13 *', qr/Its month is "13"/);
	refused('* * * * 8', qr/Its day of the week is "8"/);
	refused('*/0 * * * *', qr/Its minute is "\*\/0"/);
	refused('5-1 * * * *', qr/Its minute is "5-1"/);
	refused('1,,2 * * * *', qr/Its minute is "1,,2"/);
	refused('99999999999 * * * *', qr/Its minute is/);
	refused('0 0 31 2 *', qr/There is no such day/);
	refused('0 0 * * * Mars/Olympus', qr/"Mars\/Olympus" is not the name of a time zone/);
	refused('0 0 * * * UTC extra', qr/is not the name of a time zone/);
	refused('@fortnightly', qr/It can be \@hourly/);
	refused('0 seconds', qr/An interval lasts from a second/);
	refused('2 months', qr/months differ in length/);
	refused('367 days', qr/An interval lasts from a second to a year/);
	refused('5 minutes 3', qr/An interval is made of numbers and the units/);
	refused('after ', qr/come names of syncs/);
	refused('after a,', qr/come names of syncs/);
	refused('after "a', qr/come names of syncs/);
	my %same = ('15 minutes' => 900, '1 hour 30 min' => 5400, '90s' => 90, 'every 2 days' => 172800, '1 week' => 604800,
		'1h' => 3600, '366 days' => 31622400);
	foreach my $text (sort keys %same)
	{
		is(sql(sprintf q{SELECT extract(epoch FROM censync.next_time(%s, '2026-01-01') - '2026-01-01')::int}, sql_literal($text)),
			$same{$text}, "\"$text\" is $same{$text} s");
	}
	my %nicknames = ('@hourly' => '01:00:00', '@daily' => '1 day', '@midnight' => '1 day', '@weekly' => '4 days',
		'@monthly' => '31 days', '@YEARLY' => '365 days', '@annually UTC' => '365 days');
	foreach my $text (sort keys %nicknames)
	{
		is(sql(sprintf q{SET timezone = 'UTC'; SELECT censync.next_time(%s, '2025-01-01') - '2025-01-01'::timestamptz}, sql_literal($text)),
			$nicknames{$text}, $text);
	}
	is(sql(q{SET timezone = 'UTC'; SELECT censync.next_time('0 0 29 2 *', '2096-03-01')}), '2104-02-29 00:00:00+00', 'a leap day, eight years on');
	is(sql(q{SET timezone = 'UTC'; SELECT censync.next_time('0 12 * jan,MAR mon-wed', '2026-01-08')}), '2026-01-12 12:00:00+00', 'names of months and days');
	is(sql(q{SET timezone = 'UTC'; SELECT censync.next_time('0 0 13 * fri', '2026-02-01')}), '2026-02-06 00:00:00+00', 'either field of days');
	is(sql(q{SELECT censync.next_time('continuous') IS NULL AND censync.next_time('after a, "b,c"') IS NULL}), 't', 'others have no times');
	return;
}

# Values of a field, by a parser of its own.
sub values_of
{
	my ($field, $min, $max) = @_;
	my %values;
	foreach my $part (split /,/, $field)
	{
		my ($range, $step) = split m{/}, $part;
		my ($from, $to) = $range eq '*' ? ($min, $max) : $range =~ /^(\d+)-(\d+)$/ ? ($1, $2) : ($range, defined $step ? $max : $range);
		for (my $i = $from; $i <= $to; $i += $step // 1) { $values{$i} = 1 }
	}
	return '{' . join(',', sort { $a <=> $b } keys %values) . '}';
}

# A minute is meant if what the clock shows matches.  Unless the hour is *, only the first of two equal
# local minutes, and in place of those that are left out the first that is there.
sub model
{
	my ($expression, $zone, $from, $to) = @_;
	my @fields = split ' ', $expression;
	my @values = map { values_of(@$_) } [ $fields[0], 0, 59 ], [ $fields[1], 0, 23 ], [ $fields[2], 1, 31 ], [ $fields[3], 1, 12 ],
	  [ $fields[4], 0, 6 ];
	my $days = $fields[2] =~ /^\*/ || $fields[4] =~ /^\*/ ? 'AND' : 'OR';
	my $matches = sub {
		my $l = shift;
		return "extract(minute FROM $l)::int = ANY ('$values[0]'::int[]) AND extract(hour FROM $l)::int = ANY ('$values[1]'::int[])
			AND extract(month FROM $l)::int = ANY ('$values[3]'::int[])
			AND (extract(day FROM $l)::int = ANY ('$values[2]'::int[]) $days extract(dow FROM $l)::int = ANY ('$values[4]'::int[]))";
	};
	my $fixed = $fields[1] =~ /^\*/ ? 'false' : 'true';
	return sql(sprintf q{SET timezone = 'UTC';
		WITH minutes AS (SELECT t, t AT TIME ZONE %1$s AS l, (t - interval '1 min') AT TIME ZONE %1$s AS before
			FROM generate_series(%2$s::timestamptz - interval '2 days', %3$s::timestamptz, interval '1 min') t),
		numbered AS (SELECT *, row_number() OVER (PARTITION BY l ORDER BY t) AS copy FROM minutes)
		SELECT string_agg(t::text, ', ' ORDER BY t) FROM numbered
		WHERE t > %2$s AND t <= %3$s AND (%4$s AND NOT (%5$s AND copy > 1)
			OR %5$s AND EXISTS (SELECT FROM generate_series(before + interval '1 min', l - interval '1 min', interval '1 min') g(x) WHERE %6$s))},
		sql_literal($zone), sql_literal($from), sql_literal($to), $matches->('l'), $fixed, $matches->('x'));
}

sub times_of
{
	my ($expression, $zone, $from, $to) = @_;
	return sql(sprintf q{SET timezone = 'UTC';
		WITH RECURSIVE times(t) AS (SELECT censync.next_time(%1$s, %2$s)
			UNION ALL SELECT censync.next_time(%1$s, t) FROM times WHERE t <= %3$s)
		SELECT string_agg(t::text, ', ' ORDER BY t) FROM times WHERE t <= %3$s},
		sql_literal("$expression $zone"), sql_literal($from), sql_literal($to));
}

sub random_field
{
	my ($min, $max) = @_;
	my $value = sub { $min + int rand($max - $min + 1) };
	my $kind = rand;
	return '*' if $kind < 0.3;
	return '*/' . (2 + int rand 12) if $kind < 0.45;
	return $value->() if $kind < 0.65;
	my ($a, $b) = sort { $a <=> $b } $value->(), $value->();
	return "$a-$b" if $kind < 0.8;
	return "$a-$b/" . (1 + int rand 4) if $kind < 0.9;
	return join ',', $value->(), $value->(), "$a-$b";
}

sub test_model
{
	my @periods = (
		[ 'Europe/Berlin', '2026-03-28', '2026-03-31' ], [ 'Europe/Berlin', '2026-10-24', '2026-10-27' ],
		[ 'America/New_York', '2026-03-07', '2026-03-10' ], [ 'America/New_York', '2026-10-31', '2026-11-03' ],
		[ 'Australia/Lord_Howe', '2026-04-03', '2026-04-06' ], [ 'Australia/Lord_Howe', '2026-10-02', '2026-10-05' ],
		[ 'America/Havana', '2026-03-07', '2026-03-10' ], [ 'America/Havana', '2026-10-31', '2026-11-03' ],
		[ 'Asia/Beirut', '2026-03-28', '2026-03-31' ], [ 'Asia/Beirut', '2026-10-23', '2026-10-26' ],
		[ 'America/St_Johns', '2010-03-13', '2010-03-16' ], [ 'America/St_Johns', '2010-11-06', '2010-11-09' ],
		[ 'Pacific/Apia', '2011-12-28', '2012-01-01' ], [ 'Africa/Casablanca', '2026-02-14', '2026-02-17' ],
		[ 'Asia/Kathmandu', '2026-05-30', '2026-06-02' ], [ 'UTC', '2028-02-28', '2028-03-02' ]);
	my @expressions = ('30 2 * * *', '0 0 * * *', '*/20 1-3 * * *', '15 * * * *', '0 */2 * * *', '59 23 * * 0', '30 0-2 * * *');
	my $compared = 0;
	my @different;
	foreach my $period (@periods)
	{
		my @random = map {
			join ' ', random_field(0, 59), random_field(0, 23), rand() < 0.6 ? '*' : random_field(1, 31), rand() < 0.8 ? '*' : random_field(1, 12),
			  rand() < 0.6 ? '*' : random_field(0, 6)
		} 1 .. 12;
		foreach my $expression (@expressions, @random)
		{
			my $times = eval { times_of($expression, @$period) } // 'refused';
			my $model = model($expression, @$period);
			next if $times eq 'refused' && $model eq '' && $expression =~ /^\S+ \S+ (?:29|30|31)/;
			$compared++;
			push @different, "$expression @$period:\n  $times\n  $model" if $times ne $model;
		}
	}
	is(join("\n", @different), '', "$compared expressions mean what the model says");
	cmp_ok($compared, '>', 250, 'many were compared');
	return;
}

# Intervals and cron expressions over a day on which clocks are put forward.
sub test_day
{
	set_clock($node, '2026-03-28 12:00+00');
	create('interval', '15 minutes');
	create('hours', '0 */6 * * * UTC');
	create('berlin', '30 2,4 * * * Europe/Berlin');
	my $start = time;
	ok(run_until($node, '2026-03-29 12:00+00'), 'a day passes');
	cmp_ok(time - $start, '<', 60, 'within a minute');
	is(sql(q{SELECT count(*), count(DISTINCT started_at), min(started_at AT TIME ZONE 'UTC'), max(started_at AT TIME ZONE 'UTC'), bool_and(status = 'completed' AND trigger = 'schedule'),
		bool_and(extract(minute FROM started_at)::int % 15 = 0) FROM censync.runs WHERE sync = 'interval'}),
		'97|97|2026-03-28 12:00:00|2026-03-29 12:00:00|t|t', 'every 15 minutes, beginning at once');
	is(runs('hours'), '28 18:00:00, 29 00:00:00, 29 06:00:00, 29 12:00:00', 'every six hours');
	is(runs('berlin'), '29 01:00:00, 29 02:30:00', 'half past two, which is left out, is made up for at three');
	is(sql(q{SELECT count(*) FROM censync.runs r JOIN censync.runs s USING (sync) WHERE r.run_id < s.run_id AND s.started_at < r.finished_at}), '0',
		'no two runs of a sync at once');
	drop_all();
	return;
}

# The server is down over several times.
sub test_missed
{
	set_clock($node, '2026-05-01 00:10+00');
	create('missed', '15 minutes');
	create('missed cron', '0 * * * *');
	run_until($node, '2026-05-01 00:30+00');
	is(runs('missed'), '01 00:10:00, 01 00:25:00', 'before');
	restart_at($node, '2026-05-01 05:00:30+00');
	launcher_is_there($node);
	ok(run_until($node, '2026-05-01 05:30+00'), 'after a restart');
	like(runs('missed'), qr/^01 00:10:00, 01 00:25:00, 01 05:00:30, 01 05:10:00, 01 05:25:00$/, 'missed times are made up for once');
	is(runs('missed cron'), '01 05:00:30', 'of a cron expression, too');
	drop_all();
	return;
}

sub test_since
{
	set_clock($node, '2026-05-02 00:10+00');
	create('a', '1 hour');
	run_until($node, '2026-05-02 00:20+00');
	is(sql(q{SET timezone = 'UTC'; SELECT censync_schedule('a', '30 minutes')}), '2026-05-02 00:50:00+00', 'one that has run before does not run at once');
	is(sql(q{SET timezone = 'UTC'; SELECT schedule, scheduler, next_run FROM censync.syncs}), '30 minutes|launcher|2026-05-02 00:50:00+00', 'shown');
	is(sql(q{SET timezone = 'Asia/Tokyo'; SELECT censync_schedule('a', '0 9 * * *') AT TIME ZONE 'UTC'}), '2026-05-03 00:00:00', 'the zone of the session');
	is(sql(q{SELECT schedule FROM censync.syncs}), '0 9 * * * Asia/Tokyo', 'is kept');
	sql(q{SELECT censync_alter_sync('a', schedule => '')});
	is(sql(q{SELECT schedule, scheduler, next_run FROM censync.syncs}), '||', 'taken away by censync_alter_sync');
	run_until($node, '2026-05-03 12:00+00');
	is(runs('a'), '02 00:10:00', 'and it does not run any more');
	drop_all();
	return;
}

sub test_continuous
{
	set_clock($node, '2026-05-04 00:00+00');
	create('c', 'continuous');
	run_until($node, '2026-05-04 00:04:30+00');
	is(runs('c'), '04 00:00:00, 04 00:01:00, 04 00:02:00, 04 00:03:00, 04 00:04:00', 'again and again, a minute apart');
	drop_all();
	create('f', 'continuous', query => q{SELECT fail_with('42501') AS id});
	run_until($node, '2026-05-04 00:12:00+00');
	is(runs('f', 'trigger'), '04 00:04:30 schedule, 04 00:05:30 retry, 04 00:06:30 retry, 04 00:08:30 retry',
		'one that fails is given time');
	drop_all();
	return;
}

sub test_after
{
	set_clock($node, '2026-05-05 00:00+00');
	create('a', '0 1 * * * UTC');
	create('b, with "quotes"', '30 1 * * * UTC');
	create('both', 'after a, "b, with ""quotes"""');
	create('then', 'after both');
	ok(run_until($node, '2026-05-06 00:00+00'), 'a day passes');
	is(runs('both', 'trigger'), '05 01:30:00 after', 'after both parents');
	is(runs('then', 'trigger'), '05 01:30:00 after', 'and after that');
	foreach my $case ([ 'a', 'after then', qr/can't run after "then", which runs after it/ ], [ 'both', 'after both', qr/can't run after itself/ ],
		[ 'a', 'after nobody', qr/sync "nobody" does not exist/ ])
	{
		my (undef, undef, $err) = $node->psql('postgres', sprintf 'SELECT censync_schedule(%s, %s)', map { sql_literal($_) } @$case[ 0, 1 ]);
		like($err, $case->[2], "$case->[0] $case->[1]: refused");
	}
	my (undef, undef, $err) = $node->psql('postgres', q{SELECT censync_drop_sync('a')});
	like($err, qr/other syncs run after sync "a".*They are: "both"/s, 'a parent is not dropped');

	sql(q{INSERT INTO broken VALUES ('23505')});
	sql(q{SELECT censync_alter_sync('a', query => 'SELECT fail_with((SELECT max(code) FROM broken)) AS id')});
	run_until($node, '2026-05-07 00:00+00');
	is(runs('both'), '05 01:30:00', 'not after a parent that failed');
	sql(q{TRUNCATE broken; INSERT INTO broken VALUES ('')});
	run_until($node, '2026-05-08 00:00+00');
	is(runs('both'), '05 01:30:00, 07 01:00:00', 'again once both have been well, of which one was well before');
	sql(q{CALL censync_sync('a')});
	sql(q{SELECT count(*) FROM censync_run('b, with "quotes"')});
	ok(wait_for($node, q{SELECT count(*) = 3 FROM censync.runs WHERE sync = 'both' AND status = 'completed'}), 'runs by hand count');
	drop_all();
	return;
}

sub test_retries
{
	set_clock($node, '2026-06-01 00:00+00');
	sql(q{TRUNCATE broken; INSERT INTO broken VALUES ('08006')});
	create('r', '0 0 * * * UTC', query => q{SELECT fail_with((SELECT max(code) FROM broken)) AS id}, options => '{"retries": 3}');
	run_until($node, '2026-06-02 12:00+00');
	is(runs('r', 'trigger, status'), '02 00:00:00 schedule failed, 02 00:00:30 retry failed, 02 00:01:30 retry failed, 02 00:03:30 retry failed',
		'tried again, each time later, three times');
	is(sql(q{SET timezone = 'UTC'; SELECT consecutive_failures, last_success_at, next_run FROM censync.syncs}), '4||2026-06-03 00:00:00+00', 'then at its time');
	sql(q{UPDATE broken SET code = '40P01'});
	run_until($node, '2026-06-03 00:00:10+00');
	sql(q{UPDATE broken SET code = ''});
	run_until($node, '2026-06-04 12:00+00');
	is(runs('r', 'trigger, status') =~ s/.*?, (?=03)//r, '03 00:00:00 schedule failed, 04 00:00:00 schedule completed',
		'more failures than retries: only at its time');
	is(sql(q{SELECT consecutive_failures, last_success_records FROM censync.syncs}), '0|1', 'all is well');
	sql(q{UPDATE broken SET code = '53300'});
	run_until($node, '2026-06-05 00:00:10+00');
	sql(q{UPDATE broken SET code = ''});
	run_until($node, '2026-06-05 12:00+00');
	is(runs('r', 'trigger, status') =~ s/.*?, (?=05)//r, '05 00:00:00 schedule failed, 05 00:00:30 retry completed', 'the count begins anew');
	drop_all();
	# The wait is doubled up to an hour.
	sql(q{UPDATE broken SET code = '57P03'});
	create('r', '0 0 1 * * UTC', query => q{SELECT fail_with((SELECT max(code) FROM broken)) AS id}, options => '{"retries": 15}');
	run_until($node, '2026-07-01 12:00+00');
	is(runs('r'), '01 00:00:00, 01 00:00:30, 01 00:01:30, 01 00:03:30, 01 00:07:30, 01 00:15:30, 01 00:31:30, 01 01:03:30, '
		. join(', ', map { sprintf '01 %02d:03:30', $_ } 2 .. 9), 'an hour at most');
	drop_all();
	return;
}

sub test_no_retries
{
	set_clock($node, '2026-07-10 00:00+00');
	foreach my $code (qw(42501 42703 23505 22023 P0001 54000 28000 42704 HV00L))
	{
		create("no $code", '0 1 * * * UTC', query => "SELECT fail_with('$code') AS id");
	}
	foreach my $code (qw(08001 08006 40001 40P01 53300 53200 55P03 57P01 57P03 HV000 HV00N))
	{
		create("yes $code", '0 1 * * * UTC', query => "SELECT fail_with('$code') AS id", options => '{"retries": 1}');
	}
	run_until($node, '2026-07-10 02:00+00');
	is(sql(q{SELECT string_agg(DISTINCT split_part(sync, ' ', 1) || ' ' || n || ' ' || triggers, ', ') FROM
		(SELECT sync, count(*) AS n, string_agg(trigger, '+' ORDER BY run_id) AS triggers FROM censync.runs GROUP BY sync) r}),
		'no 1 schedule, yes 2 schedule+retry', 'what may pass is tried again, the rest is not');
	drop_all();
	return;
}

sub test_pause
{
	set_clock($node, '2026-08-01 00:00+00');
	create('p', '1 hour');
	run_until($node, '2026-08-01 01:30+00');
	sql(q{SELECT censync_pause('p')});
	is(sql(q{SELECT state, schedule, scheduler, next_run FROM censync.syncs}), 'paused|1 hour||', 'paused');
	run_until($node, '2026-08-01 05:30+00');
	sql(q{SELECT censync_resume('p')});
	run_until($node, '2026-08-01 07:00+00');
	is(runs('p'), '01 00:00:00, 01 01:00:00, 01 06:30:00', 'what was missed in a pause is not made up for');
	sql(q{SELECT censync_pause('p')});
	like(join(' ', $node->psql('postgres', q{SELECT censync_schedule('p', '2 hours')})), qr/is paused: its schedule begins with censync_resume/, 'of a paused one');
	sql(q{SELECT censync_resume('p')});
	run_until($node, '2026-08-01 09:30+00');
	is(runs('p') =~ s/.*, //r, '01 09:00:00', 'changed while it was paused');
	drop_all();
	return;
}

sub test_clock_jumps
{
	set_clock($node, '2026-09-01 10:00+00');
	create('j', '10 minutes');
	run_until($node, '2026-09-01 10:25+00');
	set_clock($node, '2026-09-01 09:00+00');
	run_until($node, '2026-09-01 09:25+00');
	is(runs('j', 'trigger'), '01 10:00:00 schedule, 01 10:10:00 schedule, 01 10:20:00 schedule, 01 09:00:00 schedule, 01 09:10:00 schedule, 01 09:20:00 schedule',
		'put back by an hour: it goes on by the new time');
	set_clock($node, '2030-01-01 00:00+00');
	ok(run_until($node, '2030-01-01 00:05+00'), 'put forward by years');
	is(sql(q{SELECT count(*) FROM censync.runs WHERE started_at > '2029-01-01'}), '1', 'one run');
	set_clock($node, '2026-09-02 00:01+00');
	sql(q{SELECT censync_schedule('j', '0 * * * *')});
	ok(run_until($node, '2026-09-02 02:30+00'), 'and back again');
	is(runs('j') =~ s/.*2030//r =~ s/.*, (?=02 01)//r, '02 01:00:00, 02 02:00:00', 'a run in the future holds nothing up');
	drop_all();
	return;
}

# A crash of the server is as many crashes as there were runs.
sub test_crashing
{
	set_clock($node, '2026-10-01 00:00+00');
	create('k', '1 second', query => q{SELECT 1 AS id FROM pg_sleep(60)});
	my $pid;
	foreach my $crash (1 .. 5)
	{
		$node->safe_psql('postgres', q{SELECT test_clock_run_until(test_clock_now() + interval '2 hours')});
		wait_for($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'censync k'});
		$pid = sql(q{SELECT pid FROM pg_stat_activity WHERE application_name = 'censync k'});
		# The clock is in memory that goes.
		set_clock($node, sql('SELECT test_clock_now()'));
		kill 'KILL', $pid;
		ok(wait_for($node, qq{SELECT count(*) = $crash FROM censync.run_log WHERE status = 'crashed'}), "crash $crash is noted");
	}
	is(runs('k', 'trigger, status') =~ s/\d\d \d\d:\d\d:\d\d //gr, 'schedule crashed, retry crashed, retry crashed, retry crashed, retry crashed', 'five crashes');
	is(sql(q{SELECT bool_and(gap >= want) FROM (SELECT started_at - lag(started_at) OVER (ORDER BY run_id) AS gap,
		interval '1 minute' * 2 ^ (row_number() OVER (ORDER BY run_id) - 2) AS want FROM censync.runs) g WHERE gap IS NOT NULL}), 't', 'each time it is given more time');
	is(sql(q{SELECT state, paused_reason, consecutive_failures FROM censync.syncs}), 'paused|its last 5 runs all crashed|5', 'and then it is paused');
	sql(q{SELECT censync_alter_sync('k', query => 'SELECT 1 AS id'); SELECT censync_resume('k')});
	is(sql(q{SELECT state, paused_reason FROM censync.syncs}), 'active|', 'resumed');
	drop_all();
	return;
}

# Of twenty syncs that are due together, no more run at once than may.
sub test_limits
{
	set_clock($node, '2026-11-01 00:00+00');
	$node->append_conf('postgresql.conf', "censync.max_workers = 3\ncensync.max_workers_per_server = 1");
	$node->reload;
	sql(q{CREATE TABLE many (id int PRIMARY KEY)});
	create("l$_", '0 1 * * * UTC', query => "SELECT $_ AS id FROM pg_sleep(0.05)", destination => 'many') foreach 1 .. 20;
	ok(run_until($node, '2026-11-01 01:30+00'), 'twenty at once');
	is(sql(q{SELECT count(*), count(*) FILTER (WHERE status = 'completed') FROM censync.runs}), '20|20', 'all have run');
	$node->append_conf('postgresql.conf', "censync.jitter = '30 s'");
	$node->reload;
	sql('DELETE FROM censync.run_log');
	sleep 1;
	ok(run_until($node, '2026-11-02 01:30+00'), 'with jitter');
	is(sql(q{SELECT count(*), count(DISTINCT started_at) > 15, max(started_at) - min(started_at) BETWEEN '15 s' AND '30 s' FROM censync.runs}),
		'20|t|t', 'they are spread');
	drop_all();
	return;
}
