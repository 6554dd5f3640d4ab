/*
 * value_time.c
 *		Dates and times of the source: of its year, month, day, hour, minute,
 *		second and microsecond, those at the end that are 0 may be left out.
 */
#include "postgres.h"

#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "driver_mysql/mysql_session.h"

/* 838:59:59 */
#define MAX_TIME_DAYS 34

typedef struct Moment
{
	int year;
	int month;
	int day;
	int64 time; /* of the day, in microseconds */
} Moment;

static bool read_moment(const MysqlValue *value, Moment *moment);
static int64 read_time(const unsigned char *data, size_t len);
static int load2(const unsigned char *data);
static int load4(const unsigned char *data);
static bool is_date(const Moment *moment);
static Datum no_date(MysqlSession *session, const MysqlColumn *column, const Moment *moment,
					 bool *isnull);
static Datum malformed(MysqlSession *session, const MysqlColumn *column, bool *isnull);

Datum
cs_mysql_date(MysqlSession *session, const MysqlColumn *column, const MysqlValue *value,
			  bool *isnull)
{
	Moment moment;

	if (!read_moment(value, &moment))
		return malformed(session, column, isnull);
	if (!is_date(&moment))
		return no_date(session, column, &moment, isnull);
	return DateADTGetDatum(date2j(moment.year, moment.month, moment.day) - POSTGRES_EPOCH_JDATE);
}

/* Of a TIMESTAMP, too: the session's time zone is UTC. */
Datum
cs_mysql_datetime(MysqlSession *session, const MysqlColumn *column, const MysqlValue *value,
				  bool *isnull)
{
	Moment moment;

	if (!read_moment(value, &moment))
		return malformed(session, column, isnull);
	if (!is_date(&moment))
		return no_date(session, column, &moment, isnull);
	return TimestampGetDatum(
		(int64) (date2j(moment.year, moment.month, moment.day) - POSTGRES_EPOCH_JDATE) *
			USECS_PER_DAY +
		moment.time);
}

/* Up to 838 hours, all of them in the time of the interval: a day of the source's has 24. */
Datum
cs_mysql_time(MysqlSession *session, const MysqlColumn *column, const MysqlValue *value,
			  bool *isnull)
{
	Interval *interval = palloc0(sizeof(Interval));
	int64 time;

	if (value->len != 0 && value->len != 8 && value->len != 12)
		return malformed(session, column, isnull);
	if (value->len == 0)
		return IntervalPGetDatum(interval);
	if (load4(value->data + 1) < 0 || load4(value->data + 1) > MAX_TIME_DAYS)
		return malformed(session, column, isnull);
	time =
		(int64) load4(value->data + 1) * USECS_PER_DAY + read_time(value->data + 5, value->len - 5);
	interval->time = value->data[0] ? -time : time;
	return IntervalPGetDatum(interval);
}

static bool
read_moment(const MysqlValue *value, Moment *moment)
{
	const unsigned char *data = value->data;

	memset(moment, 0, sizeof(*moment));
	if (value->len != 0 && value->len != 4 && value->len != 7 && value->len != 11)
		return false;
	if (value->len == 0)
		return true;
	moment->year = load2(data);
	moment->month = data[2];
	moment->day = data[3];
	moment->time = read_time(data + 4, value->len - 4);
	return true;
}

/* Hour, minute, second, microsecond. */
static int64
read_time(const unsigned char *data, size_t len)
{
	int64 time = 0;

	if (len >= 3)
		time = data[0] * USECS_PER_HOUR + data[1] * USECS_PER_MINUTE + data[2] * USECS_PER_SEC;
	if (len >= 7)
		time += load4(data + 3);
	return time;
}

static int
load2(const unsigned char *data)
{
	return data[0] | data[1] << 8;
}

static int
load4(const unsigned char *data)
{
	return (int) (data[0] | data[1] << 8 | data[2] << 16 | (uint32) data[3] << 24);
}

static bool
is_date(const Moment *moment)
{
	return moment->year >= 1 && moment->year <= 9999 && moment->month >= 1 && moment->month <= 12 &&
		   moment->day >= 1 && moment->day <= day_tab[isleap(moment->year)][moment->month - 1];
}

/* 0000-00-00, or one with parts that are 0, or 30 February: sources may let all of them in. */
static Datum
no_date(MysqlSession *session, const MysqlColumn *column, const Moment *moment, bool *isnull)
{
	if (session->zero_dates_null)
	{
		*isnull = true;
		return (Datum) 0;
	}
	return cs_mysql_refuse(
		session, column, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
		psprintf("%04d-%02d-%02d is no date (option zero_dates can make it NULL)", moment->year,
				 moment->month, moment->day),
		isnull);
}

static Datum
malformed(MysqlSession *session, const MysqlColumn *column, bool *isnull)
{
	return cs_mysql_refuse(session, column, ERRCODE_PROTOCOL_VIOLATION,
						   pstrdup("the source has sent a date or time of an unknown form"),
						   isnull);
}
