/*
 * schedule.c
 *		What a schedule says, and when it means a sync to run next.
 *
 * All times are counted from the last run's start, so that times that were
 * missed are made up for once.  What lies in the future when the clock has
 * been put back counts as just past, so that nobody waits for it to catch up.
 */
#include "postgres.h"

#include <ctype.h>

#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "utils/timestamp.h"

#include "base/settings.h"
#include "catalog/schedule.h"

/* Between the starts of runs of a continuous sync. */
#define CONTINUOUS_GAP (INT64CONST(60) * USECS_PER_SEC)

/* Waits before a failed run is tried again: doubled with each failure, up to an hour. */
#define RETRY_DELAY (INT64CONST(30) * USECS_PER_SEC)
#define CRASH_DELAY (INT64CONST(60) * USECS_PER_SEC)
#define MAX_RETRY_DELAY (INT64CONST(3600) * USECS_PER_SEC)

/* Times of cron expressions are whole minutes, and are to be recognized as such. */
#define MAX_CRON_JITTER_S 50

/* So long that a due time is still seen as one when it is looked at again, to be acted upon. */
#define JUST_PAST (INT64CONST(60) * USECS_PER_SEC)

#define MAX_INTERVAL_S (INT64CONST(366) * SECS_PER_DAY)

static const struct
{
	const char *name;
	int seconds;
} units[] = {
	{ "s", 1 },		  { "sec", 1 },		 { "second", 1 },	 { "seconds", 1 },
	{ "m", 60 },	  { "min", 60 },	 { "minute", 60 },	 { "minutes", 60 },
	{ "h", 3600 },	  { "hour", 3600 },	 { "hours", 3600 },	 { "d", 86400 },
	{ "day", 86400 }, { "days", 86400 }, { "week", 604800 }, { "weeks", 604800 },
};

static const char forms[] =
	"A schedule is an interval such as \"15 minutes\", a cron expression such as \"*/5 8-18 * * "
	"1-5\" with or without a time zone after it, \"continuous\", or \"after\" and names of syncs.";

static bool parse_interval(const char *text, CsSchedule *schedule, const char **problem);
static bool parse_cron(const char *text, CsSchedule *schedule, const char **problem);
static bool parse_after(const char *names, CsSchedule *schedule, const char **problem);
static char *parse_name(const char **at);
static const char *skip_spaces(const char *at);
static bool begins_with(const char *text, const char *word);
static int unit_seconds(const char *word, size_t len);
static TimestampTz own_time(const CsSchedule *schedule, const CsScheduleHistory *history,
							TimestampTz now);
static TimestampTz past(TimestampTz time, TimestampTz now);
static TimestampTz retry_time(const CsSchedule *schedule, const CsScheduleHistory *history,
							  TimestampTz now);
static int64 jitter(int64 sync_id, int64 limit_s);
static int64 jitter_limit(const CsSchedule *schedule);

bool
cs_schedule_parse(const char *text, CsSchedule *schedule, const char **problem)
{
	const char *at = skip_spaces(text);

	memset(schedule, 0, sizeof(*schedule));
	if (begins_with(at, "after"))
		return parse_after(skip_spaces(at + strlen("after")), schedule, problem);
	if (begins_with(at, "continuous") && *skip_spaces(at + strlen("continuous")) == '\0')
	{
		schedule->kind = CS_SCHEDULE_CONTINUOUS;
		return true;
	}
	if (begins_with(at, "every"))
		return parse_interval(skip_spaces(at + strlen("every")), schedule, problem);
	/* After its first number an interval has a unit, and a cron expression another field. */
	if (isdigit((unsigned char) *at) &&
		isalpha((unsigned char) *skip_spaces(at + strspn(at, "0123456789"))))
		return parse_interval(at, schedule, problem);
	if (*at == '*' || *at == '@' || isdigit((unsigned char) *at))
		return parse_cron(at, schedule, problem);
	*problem = forms;
	return false;
}

void
cs_schedule_parse_or_throw(const char *text, CsSchedule *schedule)
{
	const char *problem;

	if (!cs_schedule_parse(text, schedule, &problem))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid schedule \"%s\"", text),
				 errdetail("%s", problem), problem == forms ? 0 : errhint("%s", forms)));
}

char *
cs_schedule_canonical(const char *text, const CsSchedule *schedule)
{
	if (schedule->kind != CS_SCHEDULE_CRON || schedule->zone != NULL)
		return pstrdup(text);
	return psprintf("%s %s", text, pg_get_timezone_name(session_timezone));
}

TimestampTz
cs_schedule_due(const CsSchedule *schedule, const CsScheduleHistory *history, TimestampTz now)
{
	TimestampTz own = own_time(schedule, history, now);
	TimestampTz retry = retry_time(schedule, history, now);

	if (!history->has_run || !history->failed)
		return own;
	/* A crash takes the whole server with it, and a continuous sync has no time of its own to keep to. */
	if (history->crashed || schedule->kind == CS_SCHEDULE_CONTINUOUS)
		return retry == DT_NOEND ? own : retry;
	return Min(own, retry);
}

bool
cs_schedule_is_retry(const CsSchedule *schedule, const CsScheduleHistory *history, TimestampTz now)
{
	return history->has_run && history->failed &&
		   cs_schedule_due(schedule, history, now) == retry_time(schedule, history, now);
}

TimestampTz
cs_schedule_next_time(const CsSchedule *schedule, TimestampTz since, TimestampTz after)
{
	if (schedule->kind == CS_SCHEDULE_INTERVAL)
	{
		int64 interval = schedule->interval_s * USECS_PER_SEC;
		int64 elapsed = after - since;
		int64 times = elapsed >= 0 ? elapsed / interval : -((-elapsed + interval - 1) / interval);

		return since + (times + 1) * interval;
	}
	if (schedule->kind == CS_SCHEDULE_CRON)
	{
		pg_time_t next = cs_cron_next(&schedule->cron, timestamptz_to_time_t(after),
									  schedule->zone ? schedule->zone : session_timezone);

		return next == 0 ? DT_NOEND : time_t_to_timestamptz(next);
	}
	return DT_NOEND;
}

/* Numbers, each with its unit. */
static bool
parse_interval(const char *text, CsSchedule *schedule, const char **problem)
{
	const char *at = text;
	int64 total = 0;

	do
	{
		int64 number = 0;
		size_t digits = strspn(at, "0123456789");
		size_t letters;

		for (size_t i = 0; i < Min(digits, 9); i++)
			number = number * 10 + (at[i] - '0');
		at = skip_spaces(at + digits);
		letters = strcspn(at, " \t0123456789");
		if (digits == 0 || digits > 9 || unit_seconds(at, letters) == 0)
		{
			*problem = "An interval is made of numbers and the units seconds, minutes, hours, days "
					   "and weeks; months differ in length: a cron expression can mean them.";
			return false;
		}
		total += number * unit_seconds(at, letters);
		at = skip_spaces(at + letters);
	} while (*at != '\0');
	if (total < 1 || total > MAX_INTERVAL_S)
	{
		*problem = "An interval lasts from a second to a year.";
		return false;
	}
	schedule->kind = CS_SCHEDULE_INTERVAL;
	schedule->interval_s = total;
	return true;
}

static bool
parse_cron(const char *text, CsSchedule *schedule, const char **problem)
{
	const char *zone;

	if (!cs_cron_parse(text, &schedule->cron, &zone, problem))
		return false;
	schedule->kind = CS_SCHEDULE_CRON;
	if (*zone != '\0')
	{
		size_t len = strcspn(zone, " \t");

		schedule->zone =
			zone[len + strspn(zone + len, " \t")] == '\0' ? pg_tzset(pnstrdup(zone, len)) : NULL;
		if (schedule->zone == NULL)
		{
			*problem =
				psprintf("\"%s\" is not the name of a time zone; pg_timezone_names has those "
						 "there are.",
						 zone);
			return false;
		}
	}
	if (cs_schedule_next_time(schedule, 0, GetCurrentTimestamp()) == DT_NOEND)
	{
		*problem = "There is no such day.";
		return false;
	}
	return true;
}

/* Names separated by commas; with double quotes around what has a comma in it. */
static bool
parse_after(const char *names, CsSchedule *schedule, const char **problem)
{
	const char *at = names;

	schedule->kind = CS_SCHEDULE_AFTER;
	for (;;)
	{
		char *name = parse_name(&at);

		if (name == NULL || name[0] == '\0' || (*at != ',' && *at != '\0'))
		{
			*problem = "After \"after\" come names of syncs, separated by commas, in double quotes "
					   "if there is a comma or a quote in them.";
			return false;
		}
		schedule->parents = lappend(schedule->parents, name);
		if (*at == '\0')
			return true;
		at = skip_spaces(at + 1);
	}
}

/* NULL: its quotes are not closed. */
static char *
parse_name(const char **at)
{
	StringInfoData name;

	initStringInfo(&name);
	if (**at != '"')
	{
		while (**at != ',' && **at != '\0')
			appendStringInfoChar(&name, *(*at)++);
		while (name.len > 0 && isspace((unsigned char) name.data[name.len - 1]))
			name.data[--name.len] = '\0';
		return name.data;
	}
	for ((*at)++; **at != '"' || (*at)[1] == '"'; (*at)++)
	{
		if (**at == '\0')
			return NULL;
		if (**at == '"')
			(*at)++;
		appendStringInfoChar(&name, **at);
	}
	*at = skip_spaces(*at + 1);
	return name.data;
}

static const char *
skip_spaces(const char *at)
{
	while (*at == ' ' || *at == '\t' || *at == '\n')
		at++;
	return at;
}

/* A word: not a part of a longer one. */
static bool
begins_with(const char *text, const char *word)
{
	size_t len = strlen(word);

	return pg_strncasecmp(text, word, len) == 0 && !isalnum((unsigned char) text[len]);
}

static int
unit_seconds(const char *word, size_t len)
{
	for (int i = 0; i < (int) lengthof(units); i++)
		if (strlen(units[i].name) == len && pg_strncasecmp(units[i].name, word, len) == 0)
			return units[i].seconds;
	return 0;
}

/* Without regard to failures. */
static TimestampTz
own_time(const CsSchedule *schedule, const CsScheduleHistory *history, TimestampTz now)
{
	int64 late = jitter(history->sync_id, jitter_limit(schedule));
	TimestampTz since = past(history->since, now);
	TimestampTz last = past(history->started_at, now);
	TimestampTz next;

	if (schedule->kind == CS_SCHEDULE_AFTER)
		return history->parents_are_done ? since : DT_NOEND;
	if (!history->has_run && schedule->kind != CS_SCHEDULE_CRON)
		return since + late;
	if (schedule->kind == CS_SCHEDULE_CONTINUOUS)
		return Max(past(history->finished_at, now), last + CONTINUOUS_GAP);
	next = cs_schedule_next_time(schedule, history->since,
								 history->has_run ? Max(since, last) : since);
	return next == DT_NOEND ? next : next + late;
}

static TimestampTz
past(TimestampTz time, TimestampTz now)
{
	return time <= now ? time : now - JUST_PAST;
}

/* When a failed run is tried again; DT_NOEND: not before its time. */
static TimestampTz
retry_time(const CsSchedule *schedule, const CsScheduleHistory *history, TimestampTz now)
{
	int64 delay = history->crashed ? CRASH_DELAY : RETRY_DELAY;
	bool tried_again =
		history->failures <= history->retries && (history->crashed || history->may_pass);

	if (!history->has_run || !history->failed)
		return DT_NOEND;
	if (!tried_again && schedule->kind != CS_SCHEDULE_CONTINUOUS)
		return DT_NOEND;
	for (int i = 1; i < history->failures && delay < MAX_RETRY_DELAY; i++)
		delay *= 2;
	delay = Min(delay, MAX_RETRY_DELAY);
	/* Those that failed together are not tried again together. */
	delay += jitter(history->sync_id, delay / USECS_PER_SEC / 10 + 1);
	if (schedule->kind == CS_SCHEDULE_CONTINUOUS)
		delay = Max(delay, CONTINUOUS_GAP);
	return history->finished_at <= now ? history->finished_at + delay : now;
}

/* The same for a sync each time, and different ones for different syncs: so much of the limit. */
static int64
jitter(int64 sync_id, int64 limit_s)
{
	limit_s = Min(limit_s, cs_jitter_s);
	if (limit_s <= 0)
		return 0;
	return (int64) (hash_bytes_uint32_extended((uint32) sync_id, (uint64) sync_id >> 32) %
					(uint64) (limit_s * 1000)) *
		   1000;
}

static int64
jitter_limit(const CsSchedule *schedule)
{
	switch (schedule->kind)
	{
		case CS_SCHEDULE_INTERVAL:
			return schedule->interval_s / 4;
		case CS_SCHEDULE_CRON:
			return MAX_CRON_JITTER_S;
		default:
			return CONTINUOUS_GAP / USECS_PER_SEC;
	}
}
