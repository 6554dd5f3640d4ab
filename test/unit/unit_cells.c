/*
 * unit_cells.c
 *		The readers of services' values as a SQL function.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "source/cells.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PGDLLEXPORT Datum unit_cell(PG_FUNCTION_ARGS);

static const struct
{
	const char *name;
	CsCellRead read;
	Oid type;
} readers[] = {
	{ "text", cs_cell_text, TEXTOID },
	{ "bool", cs_cell_bool, BOOLOID },
	{ "int2", cs_cell_int2, INT2OID },
	{ "int4", cs_cell_int4, INT4OID },
	{ "int8", cs_cell_int8, INT8OID },
	{ "numeric", cs_cell_numeric, NUMERICOID },
	{ "float4", cs_cell_float4, FLOAT4OID },
	{ "float8", cs_cell_float8, FLOAT8OID },
	{ "base64", cs_cell_base64, BYTEAOID },
	{ "hex", cs_cell_hex, BYTEAOID },
	{ "json", cs_cell_json, JSONBOID },
	{ "json_value", cs_cell_json_value, JSONBOID },
	{ "date", cs_cell_date, DATEOID },
	{ "date_days", cs_cell_date_days, DATEOID },
	{ "time", cs_cell_time, TIMEOID },
	{ "time_seconds", cs_cell_time_seconds, TIMEOID },
	{ "timestamp", cs_cell_timestamp, TIMESTAMPOID },
	{ "timestamptz", cs_cell_timestamptz, TIMESTAMPTZOID },
	{ "micros", cs_cell_micros, TIMESTAMPTZOID },
	{ "seconds", cs_cell_seconds, TIMESTAMPTZOID },
};

/* What a reader makes of a text, as text; "! " and why not; kind: string, number, object; numeric's typmod comes from
 * precision and scale. */
PG_FUNCTION_INFO_V1(unit_cell);

PGDLLEXPORT Datum
unit_cell(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char *given = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char *kind = text_to_cstring(PG_GETARG_TEXT_PP(2));
	CsCell cell = { .typmod = cs_cell_numeric_typmod(PG_GETARG_INT32(3), PG_GETARG_INT32(4)) };
	CsField field = { CS_VALUE_STRING, given, (int) strlen(given) };
	char *why = NULL;

	if (strcmp(kind, "string") != 0)
		field.kind = strcmp(kind, "number") == 0 ? CS_VALUE_NUMBER : CS_VALUE_OBJECT;
	for (int i = 0; i < (int) lengthof(readers); i++)
	{
		Datum value;
		Oid output;
		bool varlena;

		if (strcmp(readers[i].name, name) != 0)
			continue;
		value = readers[i].read(&cell, &field, &why);
		if (why)
			PG_RETURN_TEXT_P(cstring_to_text(psprintf("! %s", why)));
		getTypeOutputInfo(readers[i].type, &output, &varlena);
		PG_RETURN_TEXT_P(cstring_to_text(OidOutputFunctionCall(output, value)));
	}
	elog(ERROR, "there is no reader \"%s\"", name);
}

PGDLLEXPORT Datum unit_json_number(PG_FUNCTION_ARGS);

PG_FUNCTION_INFO_V1(unit_json_number);

PGDLLEXPORT Datum
unit_json_number(PG_FUNCTION_ARGS)
{
	char *given = text_to_cstring(PG_GETARG_TEXT_PP(0));

	PG_RETURN_BOOL(cs_text_is_json_number(given, strlen(given)));
}
