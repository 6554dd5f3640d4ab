/*
 * column.c
 *		The type that a column of the source has here.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "driver_mysql/mysql_session.h"

/* Of the library's field.charsetnr: no characters, but bytes. */
#define BINARY_CHARSET 63

/* Text arrives in utf8mb4, whose characters have at most so many bytes. */
#define BYTES_PER_CHARACTER 4

/* Longest that varchar(n) can be. */
#define MAX_VARCHAR 10485760

/* Where "decimals" says that there is no number of them. */
#define MAX_FRACTION 6

static void integer_column(const MysqlSession *session, const MYSQL_FIELD *field, CsColumn *column,
						   MysqlColumn *decode);
static void time_column(const MysqlSession *session, const MYSQL_FIELD *field, CsColumn *column,
						MysqlColumn *decode);
static void decimal_column(const MYSQL_FIELD *field, CsColumn *column, MysqlColumn *decode);
static void bit_column(const MYSQL_FIELD *field, CsColumn *column, MysqlColumn *decode);
static void string_column(const MYSQL_FIELD *field, CsColumn *column, MysqlColumn *decode);
static bool has_attribute(const MYSQL_FIELD *field, enum mariadb_field_attr_t attribute,
						  const char *text);
static void set(CsColumn *column, Oid typid, MysqlColumn *decode, int width, MysqlDecode function);

void
cs_mysql_column(const MysqlSession *session, const MYSQL_FIELD *field, CsColumn *column,
				MysqlColumn *decode)
{
	size_t len = strlen(field->name);
	const char *name = cs_mysql_recode(field->name, &len);

	if (name == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNTRANSLATABLE_CHARACTER),
						errmsg("a column of the source has a name that this database's encoding "
							   "cannot write"),
						errhint("Give it another name in a query: SELECT ... AS name.")));
	column->name = pnstrdup(name, len);
	column->typmod = -1;
	column->not_null = (field->flags & NOT_NULL_FLAG) != 0;
	switch (field->type)
	{
		case MYSQL_TYPE_TINY:
		case MYSQL_TYPE_SHORT:
		case MYSQL_TYPE_YEAR:
		case MYSQL_TYPE_INT24:
		case MYSQL_TYPE_LONG:
		case MYSQL_TYPE_LONGLONG:
			integer_column(session, field, column, decode);
			break;
		case MYSQL_TYPE_FLOAT:
			set(column, FLOAT4OID, decode, 4, cs_mysql_float4);
			break;
		case MYSQL_TYPE_DOUBLE:
			set(column, FLOAT8OID, decode, 8, cs_mysql_float8);
			break;
		case MYSQL_TYPE_DECIMAL:
		case MYSQL_TYPE_NEWDECIMAL:
			decimal_column(field, column, decode);
			break;
		case MYSQL_TYPE_DATE:
		case MYSQL_TYPE_NEWDATE:
		case MYSQL_TYPE_DATETIME:
		case MYSQL_TYPE_TIMESTAMP:
		case MYSQL_TYPE_TIME:
			time_column(session, field, column, decode);
			break;
		case MYSQL_TYPE_BIT:
			bit_column(field, column, decode);
			break;
		case MYSQL_TYPE_JSON:
			set(column, JSONBOID, decode, 0, cs_mysql_json);
			break;
		case MYSQL_TYPE_GEOMETRY:
			set(column, BYTEAOID, decode, 0, cs_mysql_geometry);
			break;
		default:
			string_column(field, column, decode);
	}
}

/* Of an unsigned type, the next larger one here. */
static void
integer_column(const MysqlSession *session, const MYSQL_FIELD *field, CsColumn *column,
			   MysqlColumn *decode)
{
	bool is_unsigned = (field->flags & UNSIGNED_FLAG) != 0;

	if (field->type == MYSQL_TYPE_TINY && field->length == 1 && !is_unsigned &&
		session->tinyint1_boolean)
		set(column, BOOLOID, decode, 1, cs_mysql_boolean);
	else if (field->type == MYSQL_TYPE_TINY)
		set(column, INT2OID, decode, 1, is_unsigned ? cs_mysql_uint1 : cs_mysql_int1);
	else if (field->type == MYSQL_TYPE_YEAR)
		set(column, INT2OID, decode, 2, cs_mysql_int2);
	else if (field->type == MYSQL_TYPE_SHORT && is_unsigned)
		set(column, INT4OID, decode, 2, cs_mysql_uint2);
	else if (field->type == MYSQL_TYPE_SHORT)
		set(column, INT2OID, decode, 2, cs_mysql_int2);
	else if (field->type == MYSQL_TYPE_LONG && is_unsigned)
		set(column, INT8OID, decode, 4, cs_mysql_uint4);
	else if (field->type == MYSQL_TYPE_LONGLONG && is_unsigned)
	{
		set(column, NUMERICOID, decode, 8, cs_mysql_uint8);
		column->typmod = ((20 << 16) | 0) + VARHDRSZ;
	}
	else if (field->type == MYSQL_TYPE_LONGLONG)
		set(column, INT8OID, decode, 8, cs_mysql_int8);
	else
		set(column, INT4OID, decode, 4, cs_mysql_int4);
}

/* A zero date that is to be NULL may stand in a column that has none there. */
static void
time_column(const MysqlSession *session, const MYSQL_FIELD *field, CsColumn *column,
			MysqlColumn *decode)
{
	int fraction = field->decimals <= MAX_FRACTION ? (int) field->decimals : -1;

	if (field->type == MYSQL_TYPE_TIME)
	{
		set(column, INTERVALOID, decode, 0, cs_mysql_time);
		if (fraction >= 0)
			column->typmod = INTERVAL_TYPMOD(fraction, INTERVAL_FULL_RANGE);
		return;
	}
	if (session->zero_dates_null)
		column->not_null = false;
	if (field->type == MYSQL_TYPE_DATE || field->type == MYSQL_TYPE_NEWDATE)
	{
		set(column, DATEOID, decode, 0, cs_mysql_date);
		return;
	}
	set(column, field->type == MYSQL_TYPE_TIMESTAMP ? TIMESTAMPTZOID : TIMESTAMPOID, decode, 0,
		cs_mysql_datetime);
	column->typmod = fraction;
}

/* The length is that of the longest text: sign and point are in it. */
static void
decimal_column(const MYSQL_FIELD *field, CsColumn *column, MysqlColumn *decode)
{
	int scale = (int) field->decimals;
	int precision =
		(int) field->length - (scale > 0 ? 1 : 0) - (field->flags & UNSIGNED_FLAG ? 0 : 1);

	set(column, NUMERICOID, decode, 0, cs_mysql_decimal);
	decode->scale = scale;
	if (precision >= 1 && precision <= NUMERIC_MAX_PRECISION && scale <= precision)
		column->typmod = ((precision << 16) | scale) + VARHDRSZ;
}

static void
bit_column(const MYSQL_FIELD *field, CsColumn *column, MysqlColumn *decode)
{
	set(column, BITOID, decode, 0, cs_mysql_bits);
	decode->bits = (int) field->length;
	column->typmod = decode->bits;
}

static void
string_column(const MYSQL_FIELD *field, CsColumn *column, MysqlColumn *decode)
{
	unsigned long characters = field->length / BYTES_PER_CHARACTER;
	bool is_short = field->type == MYSQL_TYPE_VAR_STRING || field->type == MYSQL_TYPE_STRING ||
					field->type == MYSQL_TYPE_VARCHAR;

	if (has_attribute(field, MARIADB_FIELD_ATTR_FORMAT_NAME, "json"))
		set(column, JSONBOID, decode, 0, cs_mysql_json);
	else if (has_attribute(field, MARIADB_FIELD_ATTR_DATA_TYPE_NAME, "uuid"))
		set(column, UUIDOID, decode, 0, cs_mysql_uuid);
	else if (field->charsetnr == BINARY_CHARSET && field->type != MYSQL_TYPE_NULL)
		set(column, BYTEAOID, decode, 0, cs_mysql_bytes);
	else if (is_short && !(field->flags & (ENUM_FLAG | SET_FLAG)) && characters >= 1 &&
			 characters <= MAX_VARCHAR)
	{
		set(column, VARCHAROID, decode, 0, cs_mysql_text);
		column->typmod = (int32) characters + VARHDRSZ;
	}
	else
		set(column, TEXTOID, decode, 0, cs_mysql_text);
}

static bool
has_attribute(const MYSQL_FIELD *field, enum mariadb_field_attr_t attribute, const char *text)
{
	MARIADB_CONST_STRING value = { NULL, 0 };

	return mariadb_field_attr(&value, field, attribute) == 0 && value.str &&
		   value.length == strlen(text) && strncmp(value.str, text, value.length) == 0;
}

static void
set(CsColumn *column, Oid typid, MysqlColumn *decode, int width, MysqlDecode function)
{
	column->typid = typid;
	column->collation =
		typid == TEXTOID || typid == VARCHAROID ? DEFAULT_COLLATION_OID : InvalidOid;
	decode->width = width;
	decode->decode = function;
}
