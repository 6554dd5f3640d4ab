/*
 * snowflake_types.c
 *		Snowflake's types, and their values in the SQL API's texts.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "source/cells.h"
#include "source/snowflake.h"

/* Whole numbers of so many digits are a bigint's. */
#define MAX_INT8_DIGITS 18

static Datum read_date(CsCell *cell, const CsField *field, char **why);
static Datum read_time(CsCell *cell, const CsField *field, char **why);
static Datum read_timestamp(CsCell *cell, const CsField *field, char **why);
static Datum read_timestamptz(CsCell *cell, const CsField *field, char **why);
static bool is_written_out(const CsField *field);
static Datum read_semi_structured(CsCell *cell, const CsField *field, char **why);

/* As rowType names them, and INFORMATION_SCHEMA.  All others are text. */
static const CsCellType types[] = {
	{ "real", FLOAT8OID, cs_cell_float8 },
	{ "float", FLOAT8OID, cs_cell_float8 },
	{ "decfloat", NUMERICOID, cs_cell_numeric },
	{ "boolean", BOOLOID, cs_cell_bool },
	{ "binary", BYTEAOID, cs_cell_hex },
	{ "date", DATEOID, read_date },
	{ "time", TIMEOID, read_time },
	{ "timestamp_ntz", TIMESTAMPOID, read_timestamp },
	{ "timestamp_ltz", TIMESTAMPTZOID, read_timestamptz },
	{ "timestamp_tz", TIMESTAMPTZOID, read_timestamptz },
	{ "variant", JSONBOID, read_semi_structured },
	{ "object", JSONBOID, read_semi_structured },
	{ "array", JSONBOID, read_semi_structured },
	{ "map", JSONBOID, read_semi_structured },
	{ "vector", JSONBOID, cs_cell_json },
};

void
cs_snowflake_set_type(CsColumn *column, CsCell *cell, const char *type, const char *extended,
					  int64 precision, int64 scale)
{
	/* Of places: GeoJSON, or what else the account has set. */
	if (extended &&
		(pg_strcasecmp(extended, "geography") == 0 || pg_strcasecmp(extended, "geometry") == 0))
		type = "geography";
	if (pg_strcasecmp(type, "fixed") == 0 || pg_strcasecmp(type, "number") == 0)
	{
		if (scale == 0 && precision >= 1 && precision <= MAX_INT8_DIGITS)
			cs_cell_set(column, cell, INT8OID, -1, cs_cell_int8);
		else
			cs_cell_set(column, cell, NUMERICOID, cs_cell_numeric_typmod(precision, scale),
						cs_cell_numeric);
		return;
	}
	if (cs_cell_set_named(column, cell, types, lengthof(types), type))
		return;
	cs_cell_set(column, cell, TEXTOID, -1, cs_cell_text);
	column->opaque = pg_strcasecmp(type, "text") != 0 && pg_strcasecmp(type, "varchar") != 0;
}

/* Days, and seconds, since 1970; but they stand as texts in the examples of the API's own description. */
static Datum
read_date(CsCell *cell, const CsField *field, char **why)
{
	return is_written_out(field) ? cs_cell_date(cell, field, why)
								 : cs_cell_date_days(cell, field, why);
}

static Datum
read_time(CsCell *cell, const CsField *field, char **why)
{
	return is_written_out(field) ? cs_cell_time(cell, field, why)
								 : cs_cell_time_seconds(cell, field, why);
}

static Datum
read_timestamp(CsCell *cell, const CsField *field, char **why)
{
	return is_written_out(field) ? cs_cell_timestamp(cell, field, why)
								 : cs_cell_seconds(cell, field, why);
}

/* A text without a zone is that of a session there, which nobody knows here. */
static Datum
read_timestamptz(CsCell *cell, const CsField *field, char **why)
{
	const char *clock = strchr(field->text, ':');

	if (!is_written_out(field))
		return cs_cell_seconds(cell, field, why);
	if (clock == NULL || strpbrk(clock, "Z+-") == NULL)
		return cs_cell_fail(field, "no timestamp with a zone", why);
	return cs_cell_timestamptz(cell, field, why);
}

static bool
is_written_out(const CsField *field)
{
	return field->len > 1 && strpbrk(field->text + 1, "-:") != NULL;
}

/* JSON but for the word undefined, which stands for the nulls of an ARRAY. */
static Datum
read_semi_structured(CsCell *cell, const CsField *field, char **why)
{
	static const char word[] = "undefined";
	bool in_string = false;

	for (char *c = field->text; *c != '\0'; c++)
	{
		if (in_string && *c == '\\' && c[1] != '\0')
			c++;
		else if (*c == '"')
			in_string = !in_string;
		else if (!in_string && *c == 'u' && strncmp(c, word, sizeof(word) - 1) == 0)
		{
			memcpy(c, "null     ", sizeof(word) - 1);
			c += sizeof(word) - 2;
		}
	}
	return cs_cell_json(cell, field, why);
}
