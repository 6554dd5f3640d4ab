/*
 * json_value.c
 *		Values of PostgreSQL types as JSON.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

#include "format/json_value.h"

static bool is_json_number(const char *text);

void
cs_json_append_value(StringInfo json, Oid type, Datum value)
{
	Oid base = getBaseType(type);
	Oid output;
	bool is_varlena;
	char *text;

	/* Dates and times as JSON has them everywhere, whatever DateStyle says. */
	if (base == DATEOID || base == TIMESTAMPOID || base == TIMESTAMPTZOID)
		text = JsonEncodeDateTime(palloc(MAXDATELEN + 1), value, base, NULL);
	else
	{
		getTypeOutputInfo(type, &output, &is_varlena);
		text = OidOutputFunctionCall(output, value);
	}
	switch (base)
	{
		case BOOLOID:
			appendStringInfoString(json, text[0] == 't' ? "true" : "false");
			break;
		case JSONOID:
		case JSONBOID:
			appendStringInfoString(json, text);
			break;
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
			if (is_json_number(text))
			{
				appendStringInfoString(json, text);
				break;
			}
			/* NaN and the infinities are strings. */
			/* FALLTHROUGH */
		default:
			escape_json(json, text);
	}
}

void
cs_json_append_member(StringInfo json, const char *name, Oid type, Datum value, bool isnull)
{
	if (json->data[json->len - 1] != '{')
		appendStringInfoString(json, ", ");
	escape_json(json, name);
	appendStringInfoString(json, ": ");
	if (isnull)
		appendStringInfoString(json, "null");
	else
		cs_json_append_value(json, type, value);
}

static bool
is_json_number(const char *text)
{
	return text[strspn(text, "+-0123456789.eE")] == '\0';
}
