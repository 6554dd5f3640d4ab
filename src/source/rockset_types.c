/*
 * rockset_types.c
 *		The types of Rockset, and how their values are read.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "utils/builtins.h"

#include "source/rockset_types.h"

static Datum read_microseconds(CsCell *cell, const CsField *field, char **why);
static Datum read_months(CsCell *cell, const CsField *field, char **why);

/* "number" is that of rows whose columns nobody has declared. */
static const CsCellType types[] = {
	{ "int", INT8OID, cs_cell_int8 },
	{ "float", FLOAT8OID, cs_cell_float8 },
	{ "number", NUMERICOID, cs_cell_numeric },
	{ "bool", BOOLOID, cs_cell_bool },
	{ "string", TEXTOID, cs_cell_text },
	{ "timestamp", TIMESTAMPTZOID, cs_cell_timestamptz },
	{ "date", DATEOID, cs_cell_date },
	{ "datetime", TIMESTAMPOID, cs_cell_timestamp },
	{ "time", TIMEOID, cs_cell_time },
	{ "microsecond_interval", INTERVALOID, read_microseconds },
	{ "month_interval", INTERVALOID, read_months },
	{ "geography", TEXTOID, cs_cell_text },
	{ "bytes", BYTEAOID, cs_cell_base64 },
};

void
cs_rockset_type_set(CsColumn *column, CsCell *cell, const char *type)
{
	if (type && cs_cell_set_named(column, cell, types, lengthof(types), type))
	{
		column->opaque = column->typid == TEXTOID && pg_strcasecmp(type, "string") != 0;
		return;
	}
	if (type && (pg_strcasecmp(type, "null") == 0 || pg_strcasecmp(type, "undefined") == 0))
	{
		cs_cell_set(column, cell, TEXTOID, -1, cs_cell_text);
		column->opaque = true;
	}
	else
		cs_cell_set(column, cell, JSONBOID, -1, cs_cell_json_value);
}

CsJsonLeaves *
cs_rockset_wrapper(void)
{
	static char *const names[] = { CS_ROCKSET_TYPE, "value" };
	static const CsLeafKind kinds[] = { CS_LEAF_JSON, CS_LEAF_JSON };

	return cs_json_leaves_create(2, names, kinds);
}

char *
cs_rockset_type_of(CsJsonLeaves *wrapper, const CsField *field)
{
	CsField parts[2];

	switch (field->kind)
	{
		case CS_VALUE_NULL:
			return NULL;
		case CS_VALUE_NUMBER:
			return "number";
		case CS_VALUE_BOOL:
			return "bool";
		case CS_VALUE_ARRAY:
			return "array";
		case CS_VALUE_OBJECT:
			if (strstr(field->text, CS_ROCKSET_TYPE) &&
				cs_json_leaves_read(wrapper, field->text, parts) &&
				parts[0].kind == CS_VALUE_STRING)
				return pg_strcasecmp(parts[0].text, "undefined") == 0 ? NULL : parts[0].text;
			return "object";
		default:
			return "string";
	}
}

void
cs_rockset_unwrap(CsJsonLeaves *wrapper, CsField *field)
{
	CsField parts[2];

	if (field->kind != CS_VALUE_OBJECT || strstr(field->text, CS_ROCKSET_TYPE) == NULL ||
		!cs_json_leaves_read(wrapper, field->text, parts) || parts[0].kind != CS_VALUE_STRING)
		return;
	if (pg_strcasecmp(parts[0].text, "undefined") == 0)
		parts[1].kind = CS_VALUE_NULL;
	*field = parts[1];
}

static Datum
read_microseconds(CsCell *cell, const CsField *field, char **why)
{
	Interval *interval = palloc0(sizeof(Interval));

	interval->time = DatumGetInt64(cs_cell_int8(cell, field, why));
	return PointerGetDatum(interval);
}

static Datum
read_months(CsCell *cell, const CsField *field, char **why)
{
	Interval *interval = palloc0(sizeof(Interval));

	interval->month = DatumGetInt32(cs_cell_int4(cell, field, why));
	return PointerGetDatum(interval);
}
