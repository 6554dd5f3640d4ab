/*
 * cron.c
 *		Cron expressions, and the times they mean in a time zone.
 *
 * Times are found along stretches over which the zone's offset does not
 * change.  Along one, what the clock shows moves as time does, and plain
 * arithmetic on minutes and days does.  What is special happens where two
 * stretches meet.
 */
#include "postgres.h"

#include <ctype.h>

#include "pgtime.h"
#include "utils/datetime.h"

#include "catalog/cron.h"

#define MINUTES_PER_DAY 1440

/* So far ahead a time is looked for: from one 29 February to the next it can be eight years. */
#define HORIZON ((pg_time_t) 9 * 366 * SECS_PER_DAY)

/* So far back a stretch is taken up, to know whether clocks have just been put back. */
#define LOOK_BACK ((pg_time_t) 2 * SECS_PER_DAY)

typedef struct Field
{
	const char *name;
	int min;
	int max;
	const char *const *names; /* of the values from min on, or NULL */
} Field;

/* A time over which the zone's offset is the same. */
typedef struct Stretch
{
	pg_time_t start; /* of the first: some time in it */
	pg_time_t end;
	long offset;
	long offset_before; /* of the first: its own */
} Stretch;

static const char *const month_names[] = { "jan", "feb", "mar", "apr", "may", "jun", "jul",
										   "aug", "sep", "oct", "nov", "dec", NULL };
static const char *const weekday_names[] = {
	"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL
};

static const Field fields[] = {
	{ "minute", 0, 59, NULL },
	{ "hour", 0, 23, NULL },
	{ "day of the month", 1, 31, NULL },
	{ "month", 1, 12, month_names },
	{ "day of the week", 0, 7, weekday_names },
};

static const struct
{
	const char *name;
	const char *fields;
} nicknames[] = {
	{ "@hourly", "0 * * * *" },	  { "@daily", "0 0 * * *" },   { "@midnight", "0 0 * * *" },
	{ "@weekly", "0 0 * * 0" },	  { "@monthly", "0 0 1 * *" }, { "@yearly", "0 0 1 1 *" },
	{ "@annually", "0 0 1 1 *" },
};

static const char *skip_spaces(const char *at);
static bool parse_nickname(const char *text, CsCron *cron, const char **rest, const char **problem);
static bool parse_field(const char **at, const Field *field, uint64 *bits, bool *any,
						const char **problem);
static bool parse_range(const char **at, const Field *field, uint64 *bits);
static bool parse_value(const char **at, const Field *field, int *value);
static bool parse_number(const char **at, int *value);
static Stretch first_stretch(pg_time_t around, const pg_tz *zone);
static bool next_stretch(Stretch *stretch, const pg_tz *zone);
static pg_time_t search(const CsCron *cron, const Stretch *stretch, pg_time_t after);
static int64 find_minute(const CsCron *cron, int64 from, int64 to);
static bool matches_day(const CsCron *cron, int64 day);
static int64 divide_down(int64 a, int64 b);

bool
cs_cron_parse(const char *text, CsCron *cron, const char **rest, const char **problem)
{
	uint64 bits[lengthof(fields)] = { 0 };
	bool any[lengthof(fields)];
	const char *at = skip_spaces(text);

	if (*at == '@')
		return parse_nickname(at, cron, rest, problem);
	for (int i = 0; i < (int) lengthof(fields); i++)
	{
		if (*at == '\0')
		{
			*problem =
				psprintf("It has %d fields; five are needed: minute, hour, day of the month, "
						 "month, day of the week.",
						 i);
			return false;
		}
		if (!parse_field(&at, &fields[i], &bits[i], &any[i], problem))
			return false;
		at = skip_spaces(at);
	}
	cron->minutes = bits[0];
	cron->hours = (uint32) bits[1];
	cron->days = (uint32) bits[2];
	cron->months = (uint32) bits[3];
	/* 7 is Sunday, too. */
	cron->weekdays = (uint32) ((bits[4] | bits[4] >> 7) & 0x7f);
	cron->any_hour = any[1];
	cron->any_day = any[2];
	cron->any_weekday = any[4];
	*rest = at;
	return true;
}

pg_time_t
cs_cron_next(const CsCron *cron, pg_time_t after, const pg_tz *zone)
{
	Stretch stretch = first_stretch(after - LOOK_BACK, zone);

	do
	{
		pg_time_t found = stretch.end > after ? search(cron, &stretch, after) : 0;

		if (found != 0)
			return found;
	} while (stretch.end < after + HORIZON && next_stretch(&stretch, zone));
	return 0;
}

static const char *
skip_spaces(const char *at)
{
	while (*at == ' ' || *at == '\t')
		at++;
	return at;
}

static bool
parse_nickname(const char *text, CsCron *cron, const char **rest, const char **problem)
{
	const char *ignored;

	for (int i = 0; i < (int) lengthof(nicknames); i++)
	{
		size_t len = strlen(nicknames[i].name);

		if (pg_strncasecmp(text, nicknames[i].name, len) != 0 || isalnum((unsigned char) text[len]))
			continue;
		*rest = skip_spaces(text + len);
		return cs_cron_parse(nicknames[i].fields, cron, &ignored, problem);
	}
	*problem = "It can be @hourly, @daily, @weekly, @monthly or @yearly.";
	return false;
}

/* Ranges separated by commas, up to a space. */
static bool
parse_field(const char **at, const Field *field, uint64 *bits, bool *any, const char **problem)
{
	const char *start = *at;
	bool good = true;

	*any = **at == '*';
	do
		good = parse_range(at, field, bits);
	while (good && *(*at)++ == ',');
	if (good)
		(*at)--;
	if (good && (**at == ' ' || **at == '\t' || **at == '\0'))
		return true;
	*problem = psprintf("Its %s is \"%.*s\"; it can be *, a number from %d to %d, a range such as "
						"%d-%d, each with a step such as */2, or several of these with commas.",
						field->name, (int) Min(strcspn(start, " \t"), 40), start, field->min,
						field->max, field->min, field->min + 5);
	return false;
}

/* "*", "5", "5-7", each with "/2". */
static bool
parse_range(const char **at, const Field *field, uint64 *bits)
{
	int from = field->min;
	int to = field->names == weekday_names ? 6 : field->max;
	int step = 1;

	if (**at == '*')
		(*at)++;
	else
	{
		if (!parse_value(at, field, &from))
			return false;
		if (**at == '-')
		{
			(*at)++;
			if (!parse_value(at, field, &to))
				return false;
		}
		else if (**at != '/')
			to = from;
	}
	if (**at == '/')
	{
		(*at)++;
		if (!parse_number(at, &step) || step == 0)
			return false;
	}
	if (from > to)
		return false;
	for (int i = from; i <= to; i += step)
		*bits |= UINT64CONST(1) << i;
	return true;
}

static bool
parse_value(const char **at, const Field *field, int *value)
{
	for (int i = 0; field->names && field->names[i]; i++)
	{
		if (pg_strncasecmp(*at, field->names[i], 3) != 0)
			continue;
		*at += 3;
		*value = field->min + i;
		return true;
	}
	return parse_number(at, value) && *value >= field->min && *value <= field->max;
}

static bool
parse_number(const char **at, int *value)
{
	int digits = 0;

	for (*value = 0; isdigit((unsigned char) **at) && digits < 4; (*at)++, digits++)
		*value = *value * 10 + (**at - '0');
	return digits > 0;
}

static Stretch
first_stretch(pg_time_t around, const pg_tz *zone)
{
	Stretch stretch = { .start = around, .end = around };

	if (!next_stretch(&stretch, zone))
		stretch.end = PG_INT64_MAX;
	stretch.start = around;
	stretch.offset_before = stretch.offset;
	return stretch;
}

/* The one that begins where this one ends; false if there is none. */
static bool
next_stretch(Stretch *stretch, const pg_tz *zone)
{
	pg_time_t start = stretch->end;
	pg_time_t boundary;
	long offset_after;
	int dst_before;
	int dst_after;
	int found;

	if (start == PG_INT64_MAX)
		return false;
	stretch->offset_before = stretch->offset;
	found = pg_next_dst_boundary(&start, &stretch->offset, &dst_before, &boundary, &offset_after,
								 &dst_after, zone);
	if (found < 0)
		return false;
	stretch->start = start;
	stretch->end = found == 0 ? PG_INT64_MAX : boundary;
	return true;
}

/* The first time within a stretch that is meant and comes after another; 0: none. */
static pg_time_t
search(const CsCron *cron, const Stretch *stretch, pg_time_t after)
{
	pg_time_t start = stretch->start;
	long jump = stretch->offset - stretch->offset_before;
	pg_time_t to = Min(stretch->end, after + HORIZON);
	int64 minute;

	/* Local times that were left out: meant at once, where the stretch begins. */
	if (jump > 0 && !cron->any_hour && start > after &&
		find_minute(cron, divide_down(start + stretch->offset_before + 59, 60),
					divide_down(start + stretch->offset + 59, 60)) >= 0)
		return start;
	/* Local times that were there before. */
	if (jump < 0 && !cron->any_hour)
		start -= jump;
	start = Max(start, after + 1);
	minute = find_minute(cron, divide_down(start + stretch->offset + 59, 60),
						 divide_down(to + stretch->offset + 59, 60));
	return minute < 0 ? 0 : minute * 60 - stretch->offset;
}

/* The first minute that is meant, of those from one on and before another, in what the clock shows since
 * 1970; -1: none. */
static int64
find_minute(const CsCron *cron, int64 from, int64 to)
{
	while (from < to)
	{
		int64 day = divide_down(from, MINUTES_PER_DAY);
		int hour = (int) (from - day * MINUTES_PER_DAY) / 60;
		int minute = (int) (from - day * MINUTES_PER_DAY) % 60;

		if (!matches_day(cron, day))
			from = (day + 1) * MINUTES_PER_DAY;
		else if (!(cron->hours & 1u << hour))
			from += 60 - minute;
		else if (!(cron->minutes & UINT64CONST(1) << minute))
			from++;
		else
			return from;
	}
	return -1;
}

/* Either of the two fields of days does, unless one of them is *. */
static bool
matches_day(const CsCron *cron, int64 day)
{
	int julian = (int) (day + UNIX_EPOCH_JDATE);
	int year;
	int month;
	int date;
	bool of_month;
	bool of_week;

	j2date(julian, &year, &month, &date);
	if (!(cron->months & 1u << month))
		return false;
	of_month = cron->days & 1u << date;
	of_week = cron->weekdays & 1u << j2day(julian);
	return cron->any_day || cron->any_weekday ? of_month && of_week : of_month || of_week;
}

static int64
divide_down(int64 a, int64 b)
{
	return a >= 0 ? a / b : -((-a + b - 1) / b);
}
