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
#include "format/quick_input.h"

static bool is_json_type(Oid type);
static char element_delimiter(Oid type);

void
cs_text_input_init(CsTextInput *target, Oid type, int32 typmod)
{
	Oid base = getBaseType(type);
	Oid element = get_element_type(base);
	Oid input;

	getTypeInputInfo(type, &input, &target->ioparam);
	fmgr_info(input, &target->input);
	target->typmod = typmod;
	target->is_json = is_json_type(base);
	target->is_array = OidIsValid(element);
	if (target->is_array)
	{
		target->delimiter = element_delimiter(element);
		target->is_json_array = is_json_type(getBaseType(element));
	}
	target->is_domain = base != type;
	target->quick = typmod < 0 ? cs_quick_input_find(type) : NULL;
}

Datum
cs_text_input(CsTextInput *target, const CsField *field, bool *isnull)
{
	char *text = field->text;
	StringInfoData quoted;
	Datum value;

	*isnull = field->kind == CS_VALUE_NULL;
	if (!*isnull && target->quick && target->quick(field, &value))
		return value;
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
		text = cs_json_array_literal(text, field->len, target->delimiter, target->is_json_array);
	return InputFunctionCall(&target->input, text, target->ioparam, target->typmod);
}

bool
cs_text_input_takes_json(const CsTextInput *target, Oid column)
{
	return target->is_array && is_json_type(getBaseType(column));
}

/* JSON's null is one here. */
Datum
cs_text_input_json(CsTextInput *target, Oid type, Datum value, bool *isnull)
{
	CsField field = { CS_VALUE_NULL, NULL, 0 };
	Oid output;
	bool is_varlena;

	if (!*isnull)
	{
		getTypeOutputInfo(type, &output, &is_varlena);
		field.text = OidOutputFunctionCall(output, value);
		field.text += strspn(field.text, " \t\r\n");
		field.kind = field.text[0] == '['				   ? CS_VALUE_ARRAY
					 : strncmp(field.text, "null", 4) == 0 ? CS_VALUE_NULL
														   : CS_VALUE_TEXT;
		field.len = (int) strlen(field.text);
	}
	return cs_text_input(target, &field, isnull);
}

static bool
is_json_type(Oid type)
{
	return type == JSONOID || type == JSONBOID;
}

/* What separates elements in an array's text: a comma for all built-in types but box. */
static char
element_delimiter(Oid type)
{
	int16 length;
	bool by_value;
	char align;
	char delimiter;
	Oid ioparam;
	Oid function;

	get_type_io_data(type, IOFunc_input, &length, &by_value, &align, &delimiter, &ioparam,
					 &function);
	return delimiter;
}
