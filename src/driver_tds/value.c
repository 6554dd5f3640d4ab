/*
 * value.c
 *		Values as FreeTDS hands them out, as Datums.
 *
 * Nothing is converted by the library: dates are its counts of days and ticks,
 * decimals its digits in base 256, in the order of this machine's bytes.
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "driver_tds/tds.h"

#define DAYS_FROM_1900_TO_2000 36524
#define TICKS_PER_USEC 10 /* of 100 ns */

/* What SQL Server has at most.  FreeTDS takes numbers of 77 digits. */
#define MAX_PRECISION 38
#define MAX_DAYS (10000 * 366) /* from 2000, in either direction */

static Datum number(const char *digits);
static char *digits_of(const DBNUMERIC *number);
static Datum money(int64 units);
static int64 round_ticks(uint64 ticks);
static bool timestamp(int days, int64 usecs, Datum *value);
static Datum uuid(const BYTE *data);
static Datum bytes(const BYTE *data, int length);

bool
tds_value(int type, const BYTE *data, int length, Datum *value, int *code, const char **why)
{
	union
	{
		int16 i2;
		int32 i4;
		int64 i8;
		float4 f4;
		float8 f8;
		DBMONEY money;
		DBDATETIME datetime;
		DBDATETIME4 minutes;
		DBDATETIMEALL all;
		DBNUMERIC numeric;
	} raw;

	memset(&raw, 0, sizeof(raw));
	/* The server's word for what it sends is all there is. */
	*code = ERRCODE_PROTOCOL_VIOLATION;
	*why = "it is none that its type can have";
	switch (type)
	{
		case SYBBIT:
		case SYBBITN:
			*value = BoolGetDatum(data[0] != 0);
			return true;
		case SYBINT1:
			*value = Int16GetDatum((int16) data[0]);
			return true;
		case SYBINT2:
			memcpy(&raw.i2, data, sizeof(raw.i2));
			*value = Int16GetDatum(raw.i2);
			return true;
		case SYBINT4:
			memcpy(&raw.i4, data, sizeof(raw.i4));
			*value = Int32GetDatum(raw.i4);
			return true;
		case SYBINT8:
			memcpy(&raw.i8, data, sizeof(raw.i8));
			*value = Int64GetDatum(raw.i8);
			return true;
		case SYBREAL:
			memcpy(&raw.f4, data, sizeof(raw.f4));
			*value = Float4GetDatum(raw.f4);
			return true;
		case SYBFLT8:
			memcpy(&raw.f8, data, sizeof(raw.f8));
			*value = Float8GetDatum(raw.f8);
			return true;
		case SYBMONEY:
			memcpy(&raw.money, data, sizeof(raw.money));
			*value =
				money((int64) (((uint64) (uint32) raw.money.mnyhigh << 32) | raw.money.mnylow));
			return true;
		case SYBMONEY4:
			memcpy(&raw.i4, data, sizeof(raw.i4));
			*value = money(raw.i4);
			return true;
		case SYBNUMERIC:
		case SYBDECIMAL:
			memcpy(&raw.numeric, data, sizeof(raw.numeric));
			if (raw.numeric.precision > MAX_PRECISION || raw.numeric.scale > raw.numeric.precision)
				return false;
			*value = number(digits_of(&raw.numeric));
			return true;
		case SYBDATETIME4:
			memcpy(&raw.minutes, data, sizeof(raw.minutes));
			return timestamp(raw.minutes.days, (int64) raw.minutes.minutes * USECS_PER_MINUTE,
							 value);
		case SYBDATETIME:
			memcpy(&raw.datetime, data, sizeof(raw.datetime));
			/* 1/300 s to the nearest millisecond, as SQL Server itself shows it */
			return timestamp(raw.datetime.dtdays, ((int64) raw.datetime.dttime * 20 + 3) / 6 * 1000,
							 value);
		case SYBMSDATE:
			memcpy(&raw.all, data, sizeof(raw.all));
			*value = DateADTGetDatum(raw.all.date - DAYS_FROM_1900_TO_2000);
			return true;
		case SYBMSTIME: /* 23:59:59.9999999 is 24:00:00 then, as in PostgreSQL */
			memcpy(&raw.all, data, sizeof(raw.all));
			*value = TimeADTGetDatum(round_ticks(raw.all.time));
			return DatumGetTimeADT(*value) <= USECS_PER_DAY;
		case SYBMSDATETIME2:
		case SYBMSDATETIMEOFFSET: /* in UTC on the wire */
			memcpy(&raw.all, data, sizeof(raw.all));
			return timestamp(raw.all.date, round_ticks(raw.all.time), value);
		case TDS_UNIQUE:
			*value = uuid(data);
			return true;
		case SYBCHAR:
		case SYBVARCHAR:
		case SYBTEXT:
		case SYBNTEXT:
		case SYBNVARCHAR:
			return tds_text((const char *) data, length, value, code, why);
		case SYBBINARY:
		case SYBVARBINARY:
		case SYBIMAGE:
		case TDS_UDT:
			*code = ERRCODE_PROGRAM_LIMIT_EXCEEDED;
			*why = "it has more than 1 GB";
			if (length > (int) MaxAllocSize - VARHDRSZ)
				return false;
			*value = bytes(data, length);
			return true;
		default:
			*code = ERRCODE_FEATURE_NOT_SUPPORTED;
			*why = "its type is not supported";
			return false;
	}
}

static Datum
number(const char *digits)
{
	return DirectFunctionCall3(numeric_in, CStringGetDatum(digits), ObjectIdGetDatum(InvalidOid),
							   Int32GetDatum(-1));
}

/* In decimal: four limbs of 32 bits are divided by 10^9 until nothing is left. */
static char *
digits_of(const DBNUMERIC *number)
{
	/* the bytes that FreeTDS fills for a precision: those that 10^precision - 1 needs */
	int nbytes = (number->precision * 33219281 / 10000000 + 1 + 7) / 8;
	uint32 limbs[5] = { 0 };
	char digits[64];
	char *end = digits + sizeof(digits) - 1;
	char *start = end;
	int ndigits;

	for (int i = 0; i < nbytes; i++)
		limbs[i / 4] |= (uint32) number->array[nbytes - i] << (i % 4 * 8);
	*end = '\0';
	for (int group = 0; group < 5; group++)
	{
		uint64 rest = 0;

		for (int i = lengthof(limbs) - 1; i >= 0; i--)
		{
			rest = rest << 32 | limbs[i];
			limbs[i] = (uint32) (rest / 1000000000);
			rest %= 1000000000;
		}
		for (int i = 0; i < 9; i++, rest /= 10)
			*--start = (char) ('0' + rest % 10);
	}
	ndigits = (int) (end - start);
	while (ndigits > number->scale + 1 && *start == '0')
		start++, ndigits--;
	return psprintf("%s%.*s%s%s", number->array[0] ? "-" : "", ndigits - number->scale, start,
					number->scale > 0 ? "." : "", start + ndigits - number->scale);
}

/* Of 1/10000. */
static Datum
money(int64 units)
{
	uint64 magnitude = units < 0 ? -(uint64) units : (uint64) units;

	return number(psprintf("%s" UINT64_FORMAT ".%04d", units < 0 ? "-" : "", magnitude / 10000,
						   (int) (magnitude % 10000)));
}

/* To microseconds, half of one upwards. */
static int64
round_ticks(uint64 ticks)
{
	return (int64) ((ticks + TICKS_PER_USEC / 2) / TICKS_PER_USEC);
}

/* Days from 1900-01-01, and the time of the day.  False: out of range. */
static bool
timestamp(int days, int64 usecs, Datum *value)
{
	int64 from_2000 = (int64) days - DAYS_FROM_1900_TO_2000;

	if (from_2000 < -MAX_DAYS || from_2000 > MAX_DAYS || usecs < 0 || usecs > USECS_PER_DAY)
		return false;
	*value = TimestampGetDatum(from_2000 * USECS_PER_DAY + usecs);
	return IS_VALID_TIMESTAMP(from_2000 * USECS_PER_DAY + usecs);
}

/* Its first three parts are numbers with the low byte first. */
static Datum
uuid(const BYTE *data)
{
	static const int order[UUID_LEN] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
	pg_uuid_t *value = palloc(sizeof(pg_uuid_t));

	for (int i = 0; i < UUID_LEN; i++)
		value->data[i] = data[order[i]];
	return UUIDPGetDatum(value);
}

static Datum
bytes(const BYTE *data, int length)
{
	bytea *value = palloc(VARHDRSZ + (Size) length);

	SET_VARSIZE(value, VARHDRSZ + length);
	memcpy(VARDATA(value), data, length);
	return PointerGetDatum(value);
}
