/*
 * variant.c
 *		Values of sql_variant as text, and the digits of decimals.
 *
 * The text is what a literal of the value says: all digits, dates by ISO 8601
 * whatever DateStyle is, binary as 0x and hexadecimal digits.
 */
#include "postgres.h"

#include "common/shortest_dec.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/datetime.h"

#include "driver_tds/tds.h"

/*
 * What dbdata points to for a sql_variant; db-lib has no function that tells the type of one.  FreeTDS has
 * had this since 0.95, with the data first so that it passes for a blob.
 */
typedef struct TdsVariant
{
	char *data;
	int32 size;
	int32 length;
	int type;
	unsigned char collation[5];
} TdsVariant;

#define DAYS_FROM_1900_TO_2000 36524
#define TICKS_PER_DAY (INT64CONST(86400) * 10000000)

static char *variant_text(int type, const BYTE *data, int length);
static char *scalar_text(int type, const BYTE *data);
static char *date_text(int type, const DBDATETIMEALL *value);
static void append_date(StringInfo text, int days);
static void append_time(StringInfo text, uint64 ticks, int scale);
static char *hex_text(const BYTE *data, int length);

bool
tds_variant(const BYTE *data, Datum *value, int *code, const char **why)
{
	const TdsVariant *variant = (const TdsVariant *) data;
	const BYTE *inner = (const BYTE *) variant->data;
	int length = inner ? variant->length : 0;
	char *text;

	switch (variant->type)
	{
		case SYBCHAR:
		case SYBVARCHAR:
		case SYBNVARCHAR:
		case 167:
		case 175:
		case 231:
		case 239:
			return tds_text(inner ? (const char *) inner : "", length, value, code, why);
		default:
			break;
	}
	text = variant_text(variant->type, inner, length);
	if (text == NULL)
	{
		*code = ERRCODE_FEATURE_NOT_SUPPORTED;
		*why = psprintf("it holds a type that is not supported (%d)", variant->type);
		return false;
	}
	*value = CStringGetTextDatum(text);
	return true;
}

/* In decimal: four limbs of 32 bits are divided by 10^9 until nothing is left. */
char *
tds_digits(const DBNUMERIC *number)
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

/* NULL: not a type that a sql_variant can hold. */
static char *
variant_text(int type, const BYTE *data, int length)
{
	DBDATETIMEALL date;

	switch (type)
	{
		case SYBBINARY:
		case SYBVARBINARY:
		case 165:
		case 173:
			return hex_text(data, length);
		case SYBMSDATE:
		case SYBMSTIME:
		case SYBMSDATETIME2:
		case SYBMSDATETIMEOFFSET:
			if (data == NULL)
				return NULL;
			memcpy(&date, data, sizeof(date));
			return date_text(type, &date);
		default:
			return data ? scalar_text(type, data) : NULL;
	}
}

static char *
scalar_text(int type, const BYTE *data)
{
	DBDATETIMEALL date;
	DBDATETIME datetime;
	DBDATETIME4 minutes;
	Datum value;
	char *text;
	int code;
	const char *why;

	switch (type)
	{
		case SYBBIT:
			return pstrdup(data[0] ? "1" : "0");
		case SYBINT1:
		case SYBINT2:
		case SYBINT4:
		case SYBINT8:
		case SYBREAL:
		case SYBFLT8:
		case SYBMONEY:
		case SYBMONEY4:
		case SYBNUMERIC:
		case SYBDECIMAL:
		case TDS_UNIQUE:
			break;
		case SYBDATETIME:
			memcpy(&datetime, data, sizeof(datetime));
			memset(&date, 0, sizeof(date));
			date.date = datetime.dtdays;
			date.time = ((uint64) datetime.dttime * 20 + 3) / 6 * 10000;
			date.time_prec = 3;
			return date_text(SYBMSDATETIME2, &date);
		case SYBDATETIME4:
			memcpy(&minutes, data, sizeof(minutes));
			memset(&date, 0, sizeof(date));
			date.date = minutes.days;
			date.time = (uint64) minutes.minutes * 60 * 10000000;
			return date_text(SYBMSDATETIME2, &date);
		default:
			return NULL;
	}
	if (!tds_value(type, data, 0, &value, &code, &why))
		return NULL;
	switch (type)
	{
		case SYBINT1:
		case SYBINT2:
			return psprintf("%d", DatumGetInt16(value));
		case SYBINT4:
			return psprintf("%d", DatumGetInt32(value));
		case SYBINT8:
			return psprintf(INT64_FORMAT, DatumGetInt64(value));
		case SYBREAL: /* the shortest that is read back exactly, whatever extra_float_digits says */
			text = palloc(FLOAT_SHORTEST_DECIMAL_LEN);
			float_to_shortest_decimal_buf(DatumGetFloat4(value), text);
			return text;
		case SYBFLT8:
			text = palloc(DOUBLE_SHORTEST_DECIMAL_LEN);
			double_to_shortest_decimal_buf(DatumGetFloat8(value), text);
			return text;
		case TDS_UNIQUE:
			return DatumGetCString(DirectFunctionCall1(uuid_out, value));
		default:
			return DatumGetCString(DirectFunctionCall1(numeric_out, value));
	}
}

static char *
date_text(int type, const DBDATETIMEALL *value)
{
	int64 minutes = type == SYBMSDATETIMEOFFSET ? value->offset : 0;
	int64 ticks = (int64) value->time + minutes * 60 * 10000000;
	int days = value->date;
	StringInfoData text;

	/* what is sent is UTC; what it stands for is that offset's local time */
	if (ticks < 0)
		ticks += TICKS_PER_DAY, days--;
	else if (ticks >= TICKS_PER_DAY)
		ticks -= TICKS_PER_DAY, days++;
	initStringInfo(&text);
	if (type != SYBMSTIME)
		append_date(&text, days);
	if (type != SYBMSTIME && type != SYBMSDATE)
		appendStringInfoChar(&text, ' ');
	if (type != SYBMSDATE)
		append_time(&text, (uint64) ticks, value->time_prec);
	if (type == SYBMSDATETIMEOFFSET)
		appendStringInfo(&text, " %c%02d:%02d", minutes < 0 ? '-' : '+', abs((int) minutes) / 60,
						 abs((int) minutes) % 60);
	return text.data;
}

/* Days from 1900-01-01. */
static void
append_date(StringInfo text, int days)
{
	int year;
	int month;
	int day;

	j2date(days - DAYS_FROM_1900_TO_2000 + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	appendStringInfo(text, "%04d-%02d-%02d", year, month, day);
}

/* Ticks of 100 ns. */
static void
append_time(StringInfo text, uint64 ticks, int scale)
{
	int seconds = (int) (ticks / 10000000);
	char fraction[8];

	appendStringInfo(text, "%02d:%02d:%02d", seconds / 3600, seconds / 60 % 60, seconds % 60);
	if (scale > 0)
	{
		snprintf(fraction, sizeof(fraction), "%07d", (int) (ticks % 10000000));
		appendStringInfo(text, ".%.*s", Min(scale, 7), fraction);
	}
}

static char *
hex_text(const BYTE *data, int length)
{
	char *text = palloc((Size) length * 2 + 3);

	text[0] = '0';
	text[1] = 'x';
	hex_encode((const char *) data, length, text + 2);
	text[2 + length * 2] = '\0';
	return text;
}
