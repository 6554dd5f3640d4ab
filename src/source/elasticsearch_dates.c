/*
 * elasticsearch_dates.c
 *		Dates as documents have them, by the formats of their mapping.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "source/elasticsearch_types.h"

/* Of a number: they fit an int. */
#define MAX_DIGITS 9

/* What is put together of a text, for the readers of cells. */
typedef struct Moment
{
	int year;
	int month;
	int day;
	int hour;
	int minute;
	int second;
	bool afternoon;
	bool half_day; /* hours go to 12 */
	char fraction[10];
	char zone[16];
} Moment;

static bool read_format(const char *format, int len, const char *text, char **iso, bool *epoch);
static bool is_iso_name(const char *format, int len);
static bool is_number(const char *text);
static char *divide_by_thousand(const char *text);
static char *complete_iso(const char *text);
static bool read_pattern(const char *pattern, int len, const char *text, Moment *moment);
static bool read_letters(char letter, int count, const char **text, Moment *moment);
static bool read_digits(const char **text, int min, int max, int *value);
static bool read_month_name(const char **text, int *month);
static bool read_zone(const char **text, Moment *moment);
static char *moment_text(const Moment *moment);

Datum
cs_elastic_read_date(CsCell *cell, const CsField *field, char **why)
{
	const char *formats = cell->fields;

	if (field->kind != CS_VALUE_STRING && field->kind != CS_VALUE_NUMBER)
		return cs_cell_fail(field, "no date", why);
	/* What most have. */
	if (strncmp(formats, "strict_date_optional_time", 25) == 0 && field->len >= 10 &&
		field->text[4] == '-' && field->text[7] == '-' &&
		(field->len == 10 || (field->len >= 20 && field->text[10] == 'T')))
		return cs_cell_timestamptz(cell, field, why);
	for (const char *format = formats; format; format = strstr(format, "||"))
	{
		const char *end;
		char *iso = NULL;
		bool epoch = false;

		if (format != formats)
			format += 2;
		end = strstr(format, "||");
		if (read_format(format, end ? (int) (end - format) : (int) strlen(format), field->text,
						&iso, &epoch))
		{
			CsField value = { CS_VALUE_STRING, iso, (int) strlen(iso) };

			return epoch ? cs_cell_seconds(cell, &value, why)
						 : cs_cell_timestamptz(cell, &value, why);
		}
	}
	return cs_cell_fail(field, psprintf("no date of the format %s", formats), why);
}

/* *iso: what the readers of cells take, seconds if it is an epoch. */
static bool
read_format(const char *format, int len, const char *text, char **iso, bool *epoch)
{
	Moment moment = { .month = 1, .day = 1 };
	static const struct
	{
		const char *name;
		const char *pattern;
	} names[] = {
		{ "basic_date", "yyyyMMdd" },
		{ "basic_date_time", "yyyyMMdd'T'HHmmss.SSSZ" },
		{ "basic_date_time_no_millis", "yyyyMMdd'T'HHmmssZ" },
	};

	if (len > 7 && strncmp(format, "strict_", 7) == 0)
	{
		format += 7;
		len -= 7;
	}
	*epoch = (len == 12 && strncmp(format, "epoch_millis", len) == 0) ||
			 (len == 12 && strncmp(format, "epoch_second", len) == 0);
	if (*epoch)
	{
		if (!is_number(text))
			return false;
		*iso = format[6] == 'm' ? divide_by_thousand(text) : pstrdup(text);
		return true;
	}
	if (is_iso_name(format, len))
		return (*iso = complete_iso(text)) != NULL;
	for (int i = 0; i < (int) lengthof(names); i++)
	{
		if ((int) strlen(names[i].name) == len && strncmp(names[i].name, format, len) == 0)
		{
			format = names[i].pattern;
			len = (int) strlen(format);
			break;
		}
	}
	if (!read_pattern(format, len, text, &moment))
		return false;
	*iso = moment_text(&moment);
	return true;
}

/* Those of the named formats whose texts are ISO 8601 dates of years, months and days. */
static bool
is_iso_name(const char *format, int len)
{
	static const char *const names[] = { "date_optional_time",
										 "date_optional_time_nanos",
										 "date_time",
										 "date_time_no_millis",
										 "iso8601",
										 "date",
										 "year",
										 "year_month",
										 "year_month_day",
										 "date_hour",
										 "date_hour_minute",
										 "date_hour_minute_second",
										 "date_hour_minute_second_millis",
										 "date_hour_minute_second_fraction" };

	for (int i = 0; i < (int) lengthof(names); i++)
		if ((int) strlen(names[i]) == len && strncmp(names[i], format, len) == 0)
			return true;
	return false;
}

static bool
is_number(const char *text)
{
	const char *p = text + (*text == '-' || *text == '+');
	size_t digits = strspn(p, "0123456789");

	if (digits == 0)
		return false;
	p += digits;
	if (*p == '.')
		p += 1 + strspn(p + 1, "0123456789");
	return *p == '\0';
}

/* Digits, maybe with a sign and a fraction. */
static char *
divide_by_thousand(const char *text)
{
	const char *digits = text + (*text == '-' || *text == '+');
	int whole = (int) strspn(digits, "0123456789");
	const char *fraction = digits[whole] == '.' ? digits + whole + 1 : "";
	char *padded = psprintf("%s%.*s", whole < 4 ? "000" : "", whole, digits);
	int len = (int) strlen(padded);

	return psprintf("%s%.*s.%s%s", *text == '-' ? "-" : "", len - 3, padded, padded + len - 3,
					fraction);
}

/* A date of which parts at the end are left out, in full; NULL: it is none. */
static char *
complete_iso(const char *text)
{
	const char *p = text + (*text == '-' || *text == '+');
	size_t year = strspn(p, "0123456789");
	const char *time = strchr(text, 'T');
	int date_len = time ? (int) (time - text) : (int) strlen(text);
	int parts = 1;
	StringInfoData iso;

	/* More digits without a sign are an epoch. */
	if (year < 4 || year > 9 || (year > 4 && p == text))
		return NULL;
	for (p += year; p < text + date_len; p += 3, parts++)
		if (p[0] != '-' || strspn(p + 1, "0123456789") != 2)
			return NULL;
	if (parts > 3 || (time && parts != 3 && time[1] != '\0'))
		return NULL;
	initStringInfo(&iso);
	appendStringInfo(&iso, "%.*s%s", date_len, text,
					 parts == 1	  ? "-01-01"
					 : parts == 2 ? "-01"
								  : "");
	if (time == NULL || time[1] == '\0')
		appendStringInfoString(&iso, "T00:00:00Z");
	else
	{
		int hour = (int) strspn(time + 1, "0123456789");

		appendStringInfo(&iso, "%.*s%s%s", hour + 1, time, time[1 + hour] == ':' ? "" : ":00",
						 time + 1 + hour);
		for (char *c = iso.data; *c; c++)
			if (*c == ',')
				*c = '.';
	}
	return iso.data;
}

/* A pattern of java.time: letters, texts in quotes, brackets around what may be left out. */
static bool
read_pattern(const char *pattern, int len, const char *text, Moment *moment)
{
	const char *end = pattern + len;

	while (pattern < end)
	{
		char c = *pattern;
		int count = 1;

		if (isalpha((unsigned char) c))
		{
			while (pattern + count < end && pattern[count] == c)
				count++;
			if (!read_letters(c, count, &text, moment))
				return false;
			pattern += count;
			continue;
		}
		if (c == '[' && *text == '\0')
			return true;
		if (c == '\'' && pattern + 1 < end && pattern[1] != '\'')
		{
			for (pattern++; pattern < end && *pattern != '\''; pattern++)
				if (*text++ != *pattern)
					return false;
			pattern++;
			continue;
		}
		if (c == '\'')
			pattern++;
		if (c != '[' && c != ']' && *text++ != c)
			return false;
		pattern++;
	}
	return *text == '\0';
}

static bool
read_letters(char letter, int count, const char **text, Moment *moment)
{
	int max = count == 1 ? 2 : Min(count, MAX_DIGITS);
	int digits;
	int half;

	switch (letter)
	{
		case 'y':
		case 'u':
			if (!read_digits(text, Min(count, 4), count == 2 ? 2 : MAX_DIGITS, &moment->year))
				return false;
			moment->year += count == 2 ? 2000 : 0;
			return true;
		case 'M':
		case 'L':
			return count == 3 ? read_month_name(text, &moment->month)
							  : count < 3 && read_digits(text, count, max, &moment->month);
		case 'd':
			return read_digits(text, count, max, &moment->day);
		case 'h':
			moment->half_day = true;
			return read_digits(text, count, max, &moment->hour);
		case 'H':
			return read_digits(text, count, max, &moment->hour);
		case 'm':
			return read_digits(text, count, max, &moment->minute);
		case 's':
			return read_digits(text, count, max, &moment->second);
		case 'S':
			digits = (int) strspn(*text, "0123456789");
			if (digits == 0 || digits > 9)
				return false;
			memcpy(moment->fraction, *text, digits);
			moment->fraction[digits] = '\0';
			*text += digits;
			return true;
		case 'a':
			half = pg_strncasecmp(*text, "pm", 2) == 0;
			moment->afternoon = half;
			if (!half && pg_strncasecmp(*text, "am", 2) != 0)
				return false;
			*text += 2;
			return true;
		case 'Z':
		case 'X':
		case 'x':
			return read_zone(text, moment);
		default:
			return false;
	}
}

/* Years of more digits than there are letters run on to what is no digit. */
static bool
read_digits(const char **text, int min, int max, int *value)
{
	int digits = (int) strspn(*text, "0123456789");
	int number = 0;

	if (max == MAX_DIGITS && digits > 4)
		digits = 4;
	digits = Min(digits, max);
	if (digits < min)
		return false;
	for (int i = 0; i < digits; i++)
		number = number * 10 + ((*text)[i] - '0');
	*text += digits;
	*value = number;
	return true;
}

static bool
read_month_name(const char **text, int *month)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int i = 0; i < 12; i++)
	{
		if (pg_strncasecmp(*text, names + (ptrdiff_t) i * 3, 3) == 0)
		{
			*month = i + 1;
			*text += 3;
			return true;
		}
	}
	return false;
}

/* Z, +02, +0200, +02:00 */
static bool
read_zone(const char **text, Moment *moment)
{
	size_t len = **text == 'Z' ? 1 : strspn(*text, "+-0123456789:");

	if (len == 0 || len >= sizeof(moment->zone))
		return false;
	memcpy(moment->zone, *text, len);
	moment->zone[len] = '\0';
	*text += len;
	return true;
}

static char *
moment_text(const Moment *moment)
{
	int hour = moment->hour;

	if (moment->half_day)
		hour = hour % 12 + (moment->afternoon ? 12 : 0);
	return psprintf("%04d-%02d-%02dT%02d:%02d:%02d%s%s%s", moment->year, moment->month, moment->day,
					hour, moment->minute, moment->second, moment->fraction[0] ? "." : "",
					moment->fraction, moment->zone[0] ? moment->zone : "Z");
}
