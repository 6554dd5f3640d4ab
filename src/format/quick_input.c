/*
 * quick_input.c
 *		Plain forms of common types, without the detours that an input function
 *		takes for all the others.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "format/quick_input.h"

static bool quick_text(const CsField *field, Datum *value);
static bool quick_bool(const CsField *field, Datum *value);
static bool quick_int2(const CsField *field, Datum *value);
static bool quick_int4(const CsField *field, Datum *value);
static bool quick_int8(const CsField *field, Datum *value);
static bool quick_date(const CsField *field, Datum *value);
static bool quick_timestamptz(const CsField *field, Datum *value);
static bool read_integer(const CsField *field, int64 *value);
static bool read_date(const char *text, int *day_number);
static const char *read_time(const char *text, int64 *microseconds);
static const char *read_zone(const char *text, int64 *microseconds);
static bool read_digits(const char *text, int n, int *value);

CsQuickInput
cs_quick_input_find(Oid type)
{
	switch (type)
	{
		case TEXTOID:
		case VARCHAROID:
			return quick_text;
		case BOOLOID:
			return quick_bool;
		case INT2OID:
			return quick_int2;
		case INT4OID:
			return quick_int4;
		case INT8OID:
			return quick_int8;
		case DATEOID:
			return quick_date;
		case TIMESTAMPTZOID:
			return quick_timestamptz;
		default:
			return NULL;
	}
}

/*
 * The cast takes the first 15 digits.  A decimal of so many that is nearest to the number, and to which the number
 * is nearest, is the one that they make; both divisor and dividend are exact below 2^53, and so is the question.  The first
 * scale for which there is one leaves no zeros at the end.
 */
bool
cs_quick_numeric(float8 number, Datum *value)
{
	float8 power = 1;

	for (int scale = 0; scale <= 15; scale++, power *= 10)
	{
		float8 digits = rint(number * power);

		if (!(fabs(digits) < 1e15))
			return false;
		if (digits / power != number)
			continue;
		*value = NumericGetDatum(int64_div_fast_to_numeric((int64) digits, scale));
		return true;
	}
	return false;
}

static bool
quick_text(const CsField *field, Datum *value)
{
	*value = PointerGetDatum(cstring_to_text_with_len(field->text, field->len));
	return true;
}

static bool
quick_bool(const CsField *field, Datum *value)
{
	if (field->kind != CS_VALUE_BOOL)
		return false;
	*value = BoolGetDatum(field->text[0] == 't');
	return true;
}

static bool
quick_int2(const CsField *field, Datum *value)
{
	int64 number;

	if (!read_integer(field, &number) || number < PG_INT16_MIN || number > PG_INT16_MAX)
		return false;
	*value = Int16GetDatum((int16) number);
	return true;
}

static bool
quick_int4(const CsField *field, Datum *value)
{
	int64 number;

	if (!read_integer(field, &number) || number < PG_INT32_MIN || number > PG_INT32_MAX)
		return false;
	*value = Int32GetDatum((int32) number);
	return true;
}

static bool
quick_int8(const CsField *field, Datum *value)
{
	int64 number;

	if (!read_integer(field, &number))
		return false;
	*value = Int64GetDatum(number);
	return true;
}

/* 2026-01-31 */
static bool
quick_date(const CsField *field, Datum *value)
{
	int day_number;

	if (field->len != 10 || !read_date(field->text, &day_number))
		return false;
	*value = Int32GetDatum(day_number);
	return true;
}

/* 2026-01-31T12:30:00.123456+02:00, with a zone of its own: any other depends on settings. */
static bool
quick_timestamptz(const CsField *field, Datum *value)
{
	const char *text = field->text;
	int day_number;
	int64 time;
	int64 offset;

	if (field->len < 20 || !read_date(text, &day_number) || (text[10] != 'T' && text[10] != ' '))
		return false;
	text = read_time(text + 11, &time);
	if (text == NULL)
		return false;
	text = read_zone(text, &offset);
	if (text == NULL || *text != '\0')
		return false;
	*value = TimestampTzGetDatum(day_number * USECS_PER_DAY + time - offset);
	return true;
}

/* Up to 18 digits, which no int64 is too small for. */
static bool
read_integer(const CsField *field, int64 *value)
{
	const char *p = field->text;
	bool negative = *p == '-';
	int64 number = 0;

	p += negative;
	if (*p == '\0' || field->len > 18)
		return false;
	for (; *p; p++)
	{
		unsigned digit = (unsigned char) *p - '0';

		if (digit > 9)
			return false;
		number = number * 10 + digit;
	}
	*value = negative ? -number : number;
	return true;
}

/* Days since 2000-01-01 of a day in the years 1 to 9999. */
static bool
read_date(const char *text, int *day_number)
{
	int year;
	int month;
	int day;

	if (!read_digits(text, 4, &year) || text[4] != '-' || !read_digits(text + 5, 2, &month) ||
		text[7] != '-' || !read_digits(text + 8, 2, &day))
		return false;
	if (year < 1 || month < 1 || month > 12 || day < 1 || day > day_tab[isleap(year)][month - 1])
		return false;
	*day_number = date2j(year, month, day) - POSTGRES_EPOCH_JDATE;
	return true;
}

/* Of a time from 00:00:00 to 23:59:59.999999; returns what follows it, NULL if it is none. */
static const char *
read_time(const char *text, int64 *microseconds)
{
	int hour;
	int minute;
	int second;
	int64 unit = USECS_PER_SEC;

	if (!read_digits(text, 2, &hour) || text[2] != ':' || !read_digits(text + 3, 2, &minute) ||
		text[5] != ':' || !read_digits(text + 6, 2, &second))
		return NULL;
	if (hour > 23 || minute > 59 || second > 59)
		return NULL;
	*microseconds = ((hour * INT64CONST(60) + minute) * 60 + second) * USECS_PER_SEC;
	text += 8;
	if (*text != '.')
		return text;
	for (text++; *text >= '0' && *text <= '9'; text++)
	{
		unit /= 10;
		if (unit == 0)
			return NULL; /* to be rounded */
		*microseconds += (*text - '0') * unit;
	}
	return unit < USECS_PER_SEC ? text : NULL;
}

/* Z, +02 or +02:00; what is to be taken from the local time. */
static const char *
read_zone(const char *text, int64 *microseconds)
{
	int hour;
	int minute = 0;
	bool west = *text == '-';

	*microseconds = 0;
	if (*text == 'Z')
		return text + 1;
	if ((*text != '+' && !west) || !read_digits(text + 1, 2, &hour))
		return NULL;
	text += 3;
	if (*text == ':' && !read_digits(text + 1, 2, &minute))
		return NULL;
	if (*text == ':')
		text += 3;
	if (hour > MAX_TZDISP_HOUR || minute > 59)
		return NULL;
	*microseconds = (hour * INT64CONST(60) + minute) * USECS_PER_MINUTE;
	if (west)
		*microseconds = -*microseconds;
	return text;
}

/* Exactly n digits; the text may end earlier. */
static bool
read_digits(const char *text, int n, int *value)
{
	*value = 0;
	for (int i = 0; i < n; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return false;
		*value = *value * 10 + (text[i] - '0');
	}
	return true;
}
