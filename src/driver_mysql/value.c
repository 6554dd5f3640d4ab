/*
 * value.c
 *		Numbers, booleans and bits of the source.  Integers and floats arrive as
 *		they are in memory, the least byte first; decimals as text.
 */
#include "postgres.h"

#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/varbit.h"

#include "base/compat.h"
#include "driver_mysql/mysql_session.h"

/* So many digits fit 64 bits whatever they are. */
#define INT64_DIGITS 18

/* Of a BIT. */
#define MAX_BITS 64

static uint64 load(const unsigned char *data, int width);
static Numeric small_decimal(const MysqlColumn *column, const MysqlValue *value);

/* The parameters that all of these functions have. */
#define DECODE(name)                                                                               \
	Datum cs_mysql_##name(MysqlSession *session pg_attribute_unused(),                             \
						  const MysqlColumn *column pg_attribute_unused(),                         \
						  const MysqlValue *value, bool *isnull pg_attribute_unused())

Datum
cs_mysql_refuse(MysqlSession *session, const MysqlColumn *column, int code, char *message,
				bool *isnull)
{
	CsSqlSession *base = &session->base;

	if (base->error_code == 0)
	{
		base->error_code = code;
		base->error_message = message;
		base->error_column = column->position;
	}
	*isnull = true;
	return (Datum) 0;
}

DECODE(int1)
{
	return Int16GetDatum((int8) value->data[0]);
}

DECODE(uint1)
{
	return Int16GetDatum(value->data[0]);
}

DECODE(int2)
{
	return Int16GetDatum((int16) load(value->data, 2));
}

DECODE(uint2)
{
	return Int32GetDatum((uint16) load(value->data, 2));
}

DECODE(int4)
{
	return Int32GetDatum((int32) load(value->data, 4));
}

DECODE(uint4)
{
	return Int64GetDatum((uint32) load(value->data, 4));
}

DECODE(int8)
{
	return Int64GetDatum((int64) load(value->data, 8));
}

DECODE(uint8)
{
	uint64 number = load(value->data, 8);
	char text[24];

	if (number <= PG_INT64_MAX)
		return NumericGetDatum(int64_to_numeric((int64) number));
	text[pg_ulltoa_n(number, text)] = '\0';
	return DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid),
							   Int32GetDatum(-1));
}

/* What is called a boolean holds numbers as well. */
DECODE(boolean)
{
	int8 number = (int8) value->data[0];

	if (number != 0 && number != 1)
		return cs_mysql_refuse(session, column, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
							   psprintf("value %d is neither 0 nor 1", number), isnull);
	return BoolGetDatum(number == 1);
}

DECODE(float4)
{
	uint32 bits = (uint32) load(value->data, 4);
	float4 number;

	memcpy(&number, &bits, sizeof(number));
	return Float4GetDatum(number);
}

DECODE(float8)
{
	uint64 bits = load(value->data, 8);
	float8 number;

	memcpy(&number, &bits, sizeof(number));
	return Float8GetDatum(number);
}

DECODE(decimal)
{
	Numeric number = small_decimal(column, value);

	if (number)
		return NumericGetDatum(number);
	return DirectFunctionCall3(numeric_in,
							   CStringGetDatum(pnstrdup((const char *) value->data, value->len)),
							   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

/* The source's bytes end with the last bit, ours begin with the first. */
DECODE(bits)
{
	int bits = column->bits;
	VarBit *result = palloc0(VARBITTOTALLEN(MAX_BITS));
	bits8 *out = VARBITS(result);
	int shift;

	if (bits < 1 || bits > MAX_BITS ||
		value->len != (size_t) (bits + BITS_PER_BYTE - 1) / BITS_PER_BYTE)
		return cs_mysql_refuse(session, column, ERRCODE_PROTOCOL_VIOLATION,
							   pstrdup("the bits of the value are not as many as its type says"),
							   isnull);
	SET_VARSIZE(result, VARBITTOTALLEN(bits));
	VARBITLEN(result) = bits;
	shift = (int) value->len * BITS_PER_BYTE - bits;
	for (size_t i = 0; i < value->len; i++)
		out[i] = (bits8) (value->data[i] << shift |
						  (i + 1 < value->len ? value->data[i + 1] >> (BITS_PER_BYTE - shift) : 0));
	return VarBitPGetDatum(result);
}

static uint64
load(const unsigned char *data, int width)
{
	uint64 number = 0;

	memcpy(&number, data, width);
#ifdef WORDS_BIGENDIAN
	number = pg_bswap64(number);
#endif
	return number;
}

/* One whose digits fit 64 bits; NULL: it's another, or not of the column's scale. */
static Numeric
small_decimal(const MysqlColumn *column, const MysqlValue *value)
{
	const unsigned char *p = value->data;
	const unsigned char *end = p + value->len;
	bool negative = p < end && *p == '-';
	int64 number = 0;
	int fraction = -1;

	if (negative)
		p++;
	if (p == end || end - p > INT64_DIGITS)
		return NULL;
	for (; p < end; p++)
	{
		if (*p >= '0' && *p <= '9')
		{
			number = number * 10 + (*p - '0');
			fraction += fraction >= 0;
		}
		else if (*p == '.' && fraction < 0)
			fraction = 0;
		else
			return NULL;
	}
	if (Max(fraction, 0) != column->scale)
		return NULL;
	return int64_div_fast_to_numeric(negative ? -number : number, column->scale);
}
