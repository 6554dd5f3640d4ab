/*
 * cell_times.c
 *		Readers of values as several services send them: dates and times.
 *
 * All is done with integers; PostgreSQL's settings have no say.
 */
#include "postgres.h"

#include "common/int.h"
#include "datatype/timestamp.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "source/cells.h"

/* Between 1970 and 2000. */
#define EPOCH_DAYS (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)
#define EPOCH_MICROS (EPOCH_DAYS * USECS_PER_DAY)

static const char *read_days(const char *text, int32 *date);
static const char *read_clock(const char *text, int64 *microseconds);
static const char *read_number(const char *text, int min_digits, int max_digits, int *value);
static const char *read_fraction(const char *text, int64 *microseconds);
static const char *read_zone(const char *text, int64 *microseconds);
static bool read_seconds(const char *text, int64 *microseconds, const char **rest);
static Datum read_moment(const CsField *field, bool zoned, char **why);
static Datum make_date(int64 date, const CsField *field, char **why);
static Datum make_timestamp(int64 some, int64 more, const CsField *field, char **why);

Datum
cs_cell_date(CsCell *cell pg_attribute_unused(), const CsField *field, char **why)
{
	int32 date;

	if (!cs_days_parse(field->text, &date))
		return cs_cell_fail(field, "no date", why);
	return make_date(date, field, why);
}

Datum
cs_cell_date_days(CsCell *cell, const CsField *field, char **why)
{
	int64 date = DatumGetInt32(cs_cell_int4(cell, field, why));

	return *why ? (Datum) 0 : make_date(date - EPOCH_DAYS, field, why);
}

Datum
cs_cell_time(CsCell *cell pg_attribute_unused(), const CsField *field, char **why)
{
	int64 microseconds;

	if (!cs_clock_parse(field->text, &microseconds))
		return cs_cell_fail(field, "no time", why);
	return TimeADTGetDatum(microseconds);
}

Datum
cs_cell_time_seconds(CsCell *cell pg_attribute_unused(), const CsField *field, char **why)
{
	const char *rest;
	int64 microseconds;

	if (!read_seconds(field->text, &microseconds, &rest) || *rest != '\0' || microseconds < 0 ||
		microseconds > USECS_PER_DAY)
		return cs_cell_fail(field, "no time", why);
	return TimeADTGetDatum(microseconds);
}

Datum
cs_cell_timestamp(CsCell *cell pg_attribute_unused(), const CsField *field, char **why)
{
	return read_moment(field, false, why);
}

Datum
cs_cell_timestamptz(CsCell *cell pg_attribute_unused(), const CsField *field, char **why)
{
	return read_moment(field, true, why);
}

Datum
cs_cell_micros(CsCell *cell, const CsField *field, char **why)
{
	int64 microseconds = DatumGetInt64(cs_cell_int8(cell, field, why));

	return *why ? (Datum) 0 : make_timestamp(microseconds, -EPOCH_MICROS, field, why);
}

Datum
cs_cell_seconds(CsCell *cell pg_attribute_unused(), const CsField *field, char **why)
{
	const char *rest;
	int64 microseconds;

	if (!read_seconds(field->text, &microseconds, &rest) ||
		(*rest == ' ' && rest[1 + strspn(rest + 1, "0123456789")] != '\0') ||
		(*rest != ' ' && *rest != '\0'))
		return cs_cell_fail(field, "no timestamp", why);
	return make_timestamp(microseconds, -EPOCH_MICROS, field, why);
}

bool
cs_days_parse(const char *text, int32 *date)
{
	text = read_days(text, date);
	return text && *text == '\0';
}

bool
cs_clock_parse(const char *text, int64 *microseconds)
{
	text = read_clock(text, microseconds);
	return text && *text == '\0' && *microseconds <= USECS_PER_DAY;
}

/* Since 2000; years of four digits and more, with or without a sign.  Returns what follows, NULL: no date. */
static const char *
read_days(const char *text, int32 *date)
{
	bool negative = *text == '-';
	int year;
	int month;
	int day;

	if (*text == '-' || *text == '+')
		text++;
	if ((text = read_number(text, 4, 6, &year)) == NULL || *text != '-' ||
		(text = read_number(text + 1, 2, 2, &month)) == NULL || *text != '-' ||
		(text = read_number(text + 1, 2, 2, &day)) == NULL)
		return NULL;
	if (negative)
		year = -year;
	if (month < 1 || month > 12 || day < 1 || day > day_tab[isleap(year)][month - 1])
		return NULL;
	*date = IS_VALID_JULIAN(year, month, day) ? date2j(year, month, day) - POSTGRES_EPOCH_JDATE
											  : PG_INT32_MIN;
	return text;
}

static const char *
read_clock(const char *text, int64 *microseconds)
{
	int hour;
	int minute;
	int second = 0;
	int64 fraction = 0;

	if ((text = read_number(text, 1, 2, &hour)) == NULL || *text != ':' ||
		(text = read_number(text + 1, 1, 2, &minute)) == NULL)
		return NULL;
	if (*text == ':' && (text = read_number(text + 1, 1, 2, &second)) == NULL)
		return NULL;
	if (*text == '.' && (text = read_fraction(text + 1, &fraction)) == NULL)
		return NULL;
	if (hour > 24 || minute > 59 || second > 60)
		return NULL;
	*microseconds = ((hour * INT64CONST(60) + minute) * 60 + second) * USECS_PER_SEC + fraction;
	return text;
}

static const char *
read_number(const char *text, int min_digits, int max_digits, int *value)
{
	int n = 0;

	for (*value = 0; n < max_digits && *text >= '0' && *text <= '9'; n++)
		*value = *value * 10 + (*text++ - '0');
	return n >= min_digits ? text : NULL;
}

/* Of a second; half a microsecond is one. */
static const char *
read_fraction(const char *text, int64 *microseconds)
{
	int64 unit = USECS_PER_SEC;
	const char *start = text;

	for (*microseconds = 0; *text >= '0' && *text <= '9'; text++)
	{
		if (unit == 1 && text[0] >= '5')
			(*microseconds)++;
		unit /= 10;
		*microseconds += (*text - '0') * unit;
	}
	return text > start ? text : NULL;
}

/* What is to be taken from the clock. */
static const char *
read_zone(const char *text, int64 *microseconds)
{
	bool west;
	int hour;
	int minute = 0;

	*microseconds = 0;
	if (*text == ' ')
		text++;
	if (*text == 'Z')
		return text + 1;
	if (strcmp(text, "UTC") == 0)
		return text + 3;
	if (*text != '+' && *text != '-')
		return *text == '\0' ? text : NULL;
	west = *text == '-';
	if ((text = read_number(text + 1, 2, 2, &hour)) == NULL)
		return NULL;
	if (*text != '\0' && (text = read_number(text + (*text == ':'), 2, 2, &minute)) == NULL)
		return NULL;
	if (hour > MAX_TZDISP_HOUR || minute > 59)
		return NULL;
	*microseconds = (hour * INT64CONST(60) + minute) * USECS_PER_MINUTE;
	if (west)
		*microseconds = -*microseconds;
	return text;
}

/* [-]digits[.digits] and what follows it. */
static bool
read_seconds(const char *text, int64 *microseconds, const char **rest)
{
	bool negative = *text == '-';
	int64 seconds = 0;
	int64 fraction = 0;
	int n = 0;

	for (text += negative; n < 13 && *text >= '0' && *text <= '9'; n++)
		seconds = seconds * 10 + (*text++ - '0');
	if (n == 0 || seconds > PG_INT64_MAX / USECS_PER_SEC - 1)
		return false;
	if (*text == '.' && (text = read_fraction(text + 1, &fraction)) == NULL)
		return false;
	*microseconds = seconds * USECS_PER_SEC + fraction;
	if (negative)
		*microseconds = -*microseconds;
	*rest = text;
	return true;
}

static Datum
read_moment(const CsField *field, bool zoned, char **why)
{
	const char *text = field->text;
	int32 date;
	int64 clock = 0;
	int64 zone = 0;

	if ((text = read_days(text, &date)) == NULL)
		return cs_cell_fail(field, "no timestamp", why);
	if ((*text == 'T' || *text == ' ') && (text = read_clock(text + 1, &clock)) == NULL)
		return cs_cell_fail(field, "no timestamp", why);
	if (zoned && (text = read_zone(text, &zone)) == NULL)
		return cs_cell_fail(field, "no timestamp", why);
	if (*text != '\0')
		return cs_cell_fail(field, zoned ? "no timestamp" : "no timestamp without a zone", why);
	if (date < DATETIME_MIN_JULIAN - POSTGRES_EPOCH_JDATE ||
		date >= TIMESTAMP_END_JULIAN - POSTGRES_EPOCH_JDATE)
		return cs_cell_fail(field, "out of range of timestamp", why);
	return make_timestamp(date * USECS_PER_DAY, clock - zone, field, why);
}

static Datum
make_date(int64 date, const CsField *field, char **why)
{
	if (date < DATETIME_MIN_JULIAN - POSTGRES_EPOCH_JDATE ||
		date >= DATE_END_JULIAN - POSTGRES_EPOCH_JDATE)
		return cs_cell_fail(field, "out of range of date", why);
	return DateADTGetDatum((DateADT) date);
}

static Datum
make_timestamp(int64 some, int64 more, const CsField *field, char **why)
{
	int64 sum;

	if (pg_add_s64_overflow(some, more, &sum) || !IS_VALID_TIMESTAMP(sum))
		return cs_cell_fail(field, "out of range of timestamp", why);
	return TimestampGetDatum(sum);
}
