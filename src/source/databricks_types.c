/*
 * databricks_types.c
 *		Databricks' types, and their values in texts.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/fmgroids.h"

#include "source/cells.h"
#include "source/databricks.h"

/* Of one number in an interval; more would not fit one here. */
#define MAX_INTERVAL_DIGITS 8

static Datum read_interval(CsCell *cell, const CsField *field, char **why);
static char *interval_text(const char *text);
static bool is_interval_body(const char *body, int len);
static char *negate(const char *body);

/* All others are text. */
static const CsCellType types[] = {
	{ "BYTE", INT2OID, cs_cell_int2 },
	{ "SHORT", INT2OID, cs_cell_int2 },
	{ "INT", INT4OID, cs_cell_int4 },
	{ "LONG", INT8OID, cs_cell_int8 },
	{ "FLOAT", FLOAT4OID, cs_cell_float4 },
	{ "DOUBLE", FLOAT8OID, cs_cell_float8 },
	{ "BOOLEAN", BOOLOID, cs_cell_bool },
	{ "BINARY", BYTEAOID, cs_cell_base64 },
	{ "DATE", DATEOID, cs_cell_date },
	{ "TIMESTAMP", TIMESTAMPTZOID, cs_cell_timestamptz },
	{ "TIMESTAMP_NTZ", TIMESTAMPOID, cs_cell_timestamp },
	{ "INTERVAL", INTERVALOID, read_interval },
	{ "ARRAY", JSONBOID, cs_cell_json },
	{ "MAP", JSONBOID, cs_cell_json },
	{ "STRUCT", JSONBOID, cs_cell_json },
	{ "VARIANT", JSONBOID, cs_cell_json },
};

void
cs_databricks_set_type(CsColumn *column, CsCell *cell, const char *type, int64 precision,
					   int64 scale)
{
	if (pg_strcasecmp(type, "DECIMAL") == 0)
	{
		cs_cell_set(column, cell, NUMERICOID, cs_cell_numeric_typmod(precision, scale),
					cs_cell_numeric);
		return;
	}
	if (cs_cell_set_named(column, cell, types, lengthof(types), type))
		return;
	cs_cell_set(column, cell, TEXTOID, -1, cs_cell_text);
	column->opaque = pg_strcasecmp(type, "STRING") != 0 && pg_strcasecmp(type, "CHAR") != 0 &&
					 pg_strcasecmp(type, "VARCHAR") != 0;
}

/* INTERVAL '1-2' YEAR TO MONTH */
static Datum
read_interval(CsCell *cell pg_attribute_unused(), const CsField *field, char **why)
{
	char *text = interval_text(field->text);

	if (text == NULL)
		return cs_cell_fail(field, "no interval", why);
	return OidFunctionCall3(F_INTERVAL_IN, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid),
							Int32GetDatum(-1));
}

/* As PostgreSQL reads it in every IntervalStyle, or NULL. */
static char *
interval_text(const char *text)
{
	const char *begin = strchr(text, '\'');
	const char *end = begin ? strchr(begin + 1, '\'') : NULL;
	const char *unit = end ? end + 1 + strspn(end + 1, " ") : NULL;
	bool negative;
	char *body;

	if (pg_strncasecmp(text, "INTERVAL ", 9) != 0 || end == NULL)
		return NULL;
	begin++;
	negative = *begin == '-';
	begin += negative;
	if (!is_interval_body(begin, (int) (end - begin)))
		return NULL;
	body = pnstrdup(begin, end - begin);
	if (pg_strcasecmp(unit, "MINUTE TO SECOND") == 0)
		body = psprintf("00:%s", body);
	else if (pg_strcasecmp(unit, "DAY TO HOUR") == 0)
		body = psprintf("%s:00", body);
	else if (strchr(unit, ' ') == NULL)
		body = psprintf("%s %s", body, unit);
	return negative ? negate(body) : body;
}

/* Digits, and between them what separates the fields. */
static bool
is_interval_body(const char *body, int len)
{
	int digits = 0;

	for (int i = 0; i < len; i++)
	{
		bool digit = body[i] >= '0' && body[i] <= '9';

		if (!digit && (strchr("-: .", body[i]) == NULL || digits == 0))
			return false;
		digits = digit ? digits + 1 : 0;
		/* A fraction of a second may have one more. */
		if (digits > MAX_INTERVAL_DIGITS + 1)
			return false;
	}
	return digits > 0;
}

/* The sign counts for days and times alike there. */
static char *
negate(const char *body)
{
	const char *blank = strchr(body, ' ');

	if (blank && blank[1] >= '0' && blank[1] <= '9')
		return psprintf("-%.*s -%s", (int) (blank - body), body, blank + 1);
	return psprintf("-%s", body);
}
