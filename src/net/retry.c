/*
 * retry.c
 *		Whether and when a failed HTTP request is sent again.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/settings.h"
#include "common/pg_prng.h"
#include "datatype/timestamp.h"
#include "miscadmin.h"
#include "net/retry.h"
#include "storage/latch.h"
#include "utils/datetime.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#define FIRST_DELAY_MS 500
#define MAX_DELAY_MS 30000

/* No delay longer than this is ever computed with. */
#define MAX_SECONDS 1000000000

static int64 parse_retry_after(const char *text, int64 now);
static int64 parse_date(const char *text, int64 now);
static bool take_number(const char **text, int min_digits, int max_digits, int *value);
static bool take_month(const char **text, int *month);
static bool take_time(const char **text, int *seconds);
static int full_year(int two_digits, int64 now);

bool
cs_retry_status(int status)
{
	return status == 429 || status == 502 || status == 503 || status == 504;
}

int64
cs_retry_delay_ms(int attempt, const char *retry_after, int64 now)
{
	int64 asked = retry_after ? parse_retry_after(retry_after, now) : -1;
	int64 delay = FIRST_DELAY_MS;

	if (asked > cs_http_max_wait_s)
		return -1;
	if (asked > 0)
		return asked * 1000;
	while (--attempt > 0 && delay < MAX_DELAY_MS)
		delay *= 2;
	delay = Min(delay, MAX_DELAY_MS);
	return delay - (int64) (pg_prng_double(&pg_global_prng_state) * (delay / 2));
}

void
cs_retry_sleep(int64 ms)
{
	TimestampTz end = TimestampTzPlusMilliseconds(cs_clock_steady(), ms);

	InvalidateCatalogSnapshotConditionally();
	for (;;)
	{
		long left;

		CHECK_FOR_INTERRUPTS();
		left = TimestampDifferenceMilliseconds(cs_clock_steady(), end);
		if (left <= 0)
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, left,
						 cs_wait_event(CS_WAIT_RETRY));
		ResetLatch(MyLatch);
	}
}

/* Seconds to wait, or -1 if the text is neither a number nor a date. */
static int64
parse_retry_after(const char *text, int64 now)
{
	int64 seconds = 0;
	const char *p = text + strspn(text, " \t");
	int64 date;

	if (*p >= '0' && *p <= '9')
	{
		for (; *p >= '0' && *p <= '9'; p++)
			seconds = Min(seconds * 10 + (*p - '0'), MAX_SECONDS);
		return p[strspn(p, " \t")] == '\0' ? seconds : -1;
	}
	date = parse_date(p, now);
	return date < 0 ? -1 : Min(Max(date - now, 0), MAX_SECONDS);
}

/*
 * Seconds since the epoch of an HTTP date, or -1:
 *		Sun, 06 Nov 1994 08:49:37 GMT
 *		Sunday, 06-Nov-94 08:49:37 GMT
 *		Sun Nov  6 08:49:37 1994
 */
static int64
parse_date(const char *text, int64 now)
{
	int year;
	int month;
	int day;
	int seconds;
	bool ok;

	while (isalpha((unsigned char) *text))
		text++;
	if (*text == ',')
	{
		const char *start;
		char separator;

		text += 1 + strspn(text + 1, " ");
		ok = take_number(&text, 2, 2, &day);
		separator = *text;
		ok = ok && (separator == ' ' || separator == '-') && text++ && take_month(&text, &month) &&
			 *text == separator && text++;
		start = text;
		ok = ok && take_number(&text, 2, 4, &year) && take_time(&text, &seconds) &&
			 strcmp(text, " GMT") == 0;
		if (ok && strcspn(start, " ") == 2)
			year = full_year(year, now);
	}
	else
	{
		ok = *text++ == ' ' && take_month(&text, &month) && *text == ' ';
		if (ok)
			text += strspn(text, " ");
		ok = ok && take_number(&text, 1, 2, &day) && take_time(&text, &seconds) && *text++ == ' ' &&
			 take_number(&text, 4, 4, &year) && *text == '\0';
	}
	if (!ok || day < 1 || day > 31 || year < 1970)
		return -1;
	return (int64) (date2j(year, month, day) - UNIX_EPOCH_JDATE) * SECS_PER_DAY + seconds;
}

static bool
take_number(const char **text, int min_digits, int max_digits, int *value)
{
	int digits = 0;

	*value = 0;
	for (; **text >= '0' && **text <= '9' && digits < max_digits; (*text)++, digits++)
		*value = *value * 10 + (**text - '0');
	return digits >= min_digits;
}

static bool
take_month(const char **text, int *month)
{
	static const char *const names[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
										 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		if (strncmp(*text, names[i], 3) == 0)
		{
			*month = i + 1;
			*text += 3;
			return true;
		}
	}
	return false;
}

/* " HH:MM:SS" as seconds of the day. */
static bool
take_time(const char **text, int *seconds)
{
	int part;

	*seconds = 0;
	for (int i = 0; i < 3; i++)
	{
		if (*(*text)++ != (i == 0 ? ' ' : ':') || !take_number(text, 2, 2, &part) ||
			part > (i == 0 ? 23 : 60))
			return false;
		*seconds = *seconds * 60 + part;
	}
	return true;
}

/* RFC 9110: a year that seems to be more than 50 years ahead is of the past century. */
static int
full_year(int two_digits, int64 now)
{
	int year;
	int month;
	int day;
	int result;

	j2date((int) (now / SECS_PER_DAY) + UNIX_EPOCH_JDATE, &year, &month, &day);
	result = year - year % 100 + two_digits;
	return result > year + 50 ? result - 100 : result;
}
