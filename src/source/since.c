/*
 * since.c
 *		The bound of an incremental read, as it goes into a request.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "source/since.h"

/* Seconds from the epoch of Unix to that of PostgreSQL. */
#define EPOCH_SHIFT ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)

static bool is_time(Oid type);
static Timestamp bound_as_timestamp(const CsReadSince *since);
static char *iso(const CsReadSince *since, Timestamp bound);
static int64 floor_division(int64 value, int64 by);

char *
cs_since_format(const CsReadSince *since, const char *format)
{
	bool as_epoch = format && strcmp(format, "iso") != 0;
	Timestamp bound;
	int64 unit;

	if (as_epoch && !is_time(since->declared))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"cursor_request_format\" needs a cursor of a date or time"),
						errdetail("The cursor is of type %s.", format_type_be(since->declared)),
						errhint("Numbers and text are sent as they are. Leave the option out.")));
	if (!OidIsValid(since->type))
		return NULL;
	if (!is_time(since->type))
		return since->text;
	bound = bound_as_timestamp(since);
	if (TIMESTAMP_NOT_FINITE(bound))
		return NULL;
	if (!as_epoch)
		return iso(since, bound);
	unit = strcmp(format, "epoch") == 0 ? USECS_PER_SEC : 1000;
	return psprintf(INT64_FORMAT,
					floor_division(bound, unit) + EPOCH_SHIFT * (USECS_PER_SEC / unit));
}

static bool
is_time(Oid type)
{
	return type == TIMESTAMPTZOID || type == TIMESTAMPOID || type == DATEOID;
}

/* In UTC. */
static Timestamp
bound_as_timestamp(const CsReadSince *since)
{
	if (since->type == DATEOID)
		return DatumGetTimestamp(DirectFunctionCall1(date_timestamp, since->value));
	return DatumGetTimestamp(since->value);
}

static char *
iso(const CsReadSince *since, Timestamp bound)
{
	char text[MAXDATELEN + 1];
	struct pg_tm tm;
	fsec_t fraction;

	if (since->type == DATEOID)
		return since->text;
	if (timestamp2tm(bound, NULL, &tm, &fraction, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
	EncodeDateTime(&tm, fraction, false, 0, NULL, USE_XSD_DATES, text);
	return psprintf("%s%s", text, since->type == TIMESTAMPTZOID ? "Z" : "");
}

static int64
floor_division(int64 value, int64 by)
{
	int64 quotient = value / by;

	return value % by < 0 ? quotient - 1 : quotient;
}
