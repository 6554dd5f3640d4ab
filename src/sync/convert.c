/*
 * convert.c
 *		A source's text as a value of a PostgreSQL type.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

#include "sync/convert.h"

void
cs_text_input_init(CsTextInput *target, Oid type, int32 typmod)
{
	Oid base = getBaseType(type);
	Oid input;

	getTypeInputInfo(type, &input, &target->ioparam);
	fmgr_info(input, &target->input);
	target->typmod = typmod;
	target->is_json = base == JSONOID || base == JSONBOID;
	target->is_array = OidIsValid(get_element_type(base));
	target->is_domain = base != type;
}

Datum
cs_text_input(CsTextInput *target, const CsField *field, bool *isnull)
{
	char *text = field->text;
	StringInfoData quoted;

	*isnull = field->kind == CS_VALUE_NULL;
	if (*isnull)
	{
		if (!target->is_domain)
			return (Datum) 0;
		text = NULL; /* the domain may forbid it */
	}
	else if (target->is_json && field->kind == CS_VALUE_STRING)
	{
		initStringInfo(&quoted);
		escape_json(&quoted, text);
		text = quoted.data;
	}
	else if (target->is_array && field->kind == CS_VALUE_ARRAY)
		text = cs_json_array_literal(text, field->len);
	return InputFunctionCall(&target->input, text, target->ioparam, target->typmod);
}
