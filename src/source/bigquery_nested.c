/*
 * bigquery_nested.c
 *		BigQuery's STRUCTs and ARRAYs as JSON: numbers as numbers with all their
 *		digits, booleans as such, members by their names.
 *
 * What is read was parsed before, so that it is JSON; that it is of the form
 * that the schema promises is what is checked here.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "source/bigquery.h"

typedef struct Nested
{
	const char *p; /* what is to be read; NULL: it was not of the form */
	StringInfoData json;
	char *why; /* a value that is none, or NULL */
} Nested;

static void read_value(Nested *nested, const BqField *field, bool repeated);
static void read_array(Nested *nested, const BqField *field);
static void read_struct(Nested *nested, const BqField *field);
static void read_scalar(Nested *nested, const BqField *field);
static void append_scalar(Nested *nested, const BqField *field, char *text);
static void append_timestamp(Nested *nested, const CsField *value);
static char *read_string(Nested *nested);
static char *unescape(const char *from, const char *to);
static bool take(Nested *nested, const char *token);
static bool next_is(Nested *nested, char c);
static void skip_spaces(Nested *nested);

Datum
cs_bq_cell_nested(CsCell *cell, const CsField *field, char **why)
{
	const BqField *schema = cell->fields;
	Nested nested = { .p = field->text };
	CsField result = { CS_VALUE_OBJECT, NULL, 0 };

	initStringInfo(&nested.json);
	read_value(&nested, schema, schema->repeated);
	if (nested.p)
		skip_spaces(&nested);
	if (nested.p == NULL || *nested.p != '\0')
		return cs_cell_fail(field, "not of the form that its schema announces", why);
	*why = nested.why;
	if (*why)
		return (Datum) 0;
	result.text = nested.json.data;
	result.len = nested.json.len;
	return cs_cell_json(cell, &result, why);
}

/* The schema, not the text, bounds how deep this goes. */
static void
read_value(Nested *nested, const BqField *field, bool repeated)
{
	if (nested->p == NULL)
		return;
	if (next_is(nested, 'n'))
	{
		if (take(nested, "null"))
			appendStringInfoString(&nested->json, "null");
	}
	else if (repeated)
		read_array(nested, field);
	else if (strcmp(field->type, "STRUCT") == 0)
		read_struct(nested, field);
	else
		read_scalar(nested, field);
}

/* [{"v": ...}, ...] */
static void
read_array(Nested *nested, const BqField *field)
{
	bool more = take(nested, "[") && !next_is(nested, ']');

	appendStringInfoChar(&nested->json, '[');
	while (more)
	{
		if (!take(nested, "{") || !take(nested, "\"v\"") || !take(nested, ":"))
			return;
		read_value(nested, field, false);
		if (nested->p == NULL || !take(nested, "}"))
			return;
		more = next_is(nested, ',') && take(nested, ",");
		appendStringInfoString(&nested->json, more ? ", " : "");
	}
	if (nested->p)
		(void) take(nested, "]");
	appendStringInfoChar(&nested->json, ']');
}

/* {"f": [{"v": ...}, ...]} */
static void
read_struct(Nested *nested, const BqField *field)
{
	if (!take(nested, "{") || !take(nested, "\"f\"") || !take(nested, ":") || !take(nested, "["))
		return;
	appendStringInfoChar(&nested->json, '{');
	for (int i = 0; i < field->nfields; i++)
	{
		const BqField *member = &field->fields[i];

		if ((i > 0 && !take(nested, ",")) || !take(nested, "{") || !take(nested, "\"v\"") ||
			!take(nested, ":"))
			return;
		appendStringInfoString(&nested->json, i > 0 ? ", " : "");
		escape_json(&nested->json, member->name);
		appendStringInfoString(&nested->json, ": ");
		read_value(nested, member, member->repeated);
		if (nested->p == NULL || !take(nested, "}"))
			return;
	}
	appendStringInfoChar(&nested->json, '}');
	if (take(nested, "]"))
		(void) take(nested, "}");
}

static void
read_scalar(Nested *nested, const BqField *field)
{
	const char *start;
	char *text;

	skip_spaces(nested);
	start = nested->p;
	text = read_string(nested);
	if (text == NULL)
		return;
	if (strcmp(field->type, "STRING") == 0)
		appendBinaryStringInfo(&nested->json, start, (int) (nested->p - start));
	else
		append_scalar(nested, field, text);
}

/* What JSON has no form for is a string. */
static void
append_scalar(Nested *nested, const BqField *field, char *text)
{
	CsField value = { CS_VALUE_STRING, text, (int) strlen(text) };
	const char *type = field->type;

	if (strcmp(type, "BOOL") == 0 && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0))
		appendStringInfoString(&nested->json, text);
	else if ((strcmp(type, "INT64") == 0 || strcmp(type, "FLOAT64") == 0 ||
			  strcmp(type, "NUMERIC") == 0 || strcmp(type, "BIGNUMERIC") == 0) &&
			 cs_text_is_json_number(text, strlen(text)))
		appendStringInfoString(&nested->json, text);
	else if (strcmp(type, "JSON") == 0)
		appendStringInfoString(&nested->json, text);
	else if (strcmp(type, "TIMESTAMP") == 0)
		append_timestamp(nested, &value);
	else
		escape_json(&nested->json, text);
}

/* Microseconds as everybody reads them. */
static void
append_timestamp(Nested *nested, const CsField *value)
{
	CsCell cell = { 0 };
	Datum timestamp = cs_bq_cell_timestamp(&cell, value, &nested->why);
	char text[MAXDATELEN + 1];
	int utc = 0;

	if (nested->why)
		return;
	appendStringInfo(&nested->json, "\"%s\"",
					 JsonEncodeDateTime(text, timestamp, TIMESTAMPTZOID, &utc));
}

/* A JSON string's content. */
static char *
read_string(Nested *nested)
{
	const char *start;
	bool escapes = false;

	if (!take(nested, "\""))
		return NULL;
	start = nested->p;
	while (*nested->p != '"' && *nested->p != '\0')
	{
		escapes |= *nested->p == '\\';
		nested->p += *nested->p == '\\' && nested->p[1] ? 2 : 1;
	}
	if (*nested->p == '\0')
	{
		nested->p = NULL;
		return NULL;
	}
	nested->p++;
	return escapes ? unescape(start, nested->p - 1) : pnstrdup(start, nested->p - 1 - start);
}

static char *
unescape(const char *from, const char *to)
{
	char *quoted = psprintf("[\"%.*s\"]", (int) (to - from), from);
	char *utf8 = pg_server_to_any(quoted, (int) strlen(quoted), PG_UTF8);
	json_t *array = cs_json_parse(utf8, strlen(utf8));
	const char *text = json_string_value(json_array_get(array, 0));

	return text ? pg_any_to_server(pstrdup(text), (int) strlen(text), PG_UTF8) : pstrdup("");
}

static bool
take(Nested *nested, const char *token)
{
	size_t len = strlen(token);

	if (nested->p == NULL)
		return false;
	skip_spaces(nested);
	if (strncmp(nested->p, token, len) != 0)
	{
		nested->p = NULL;
		return false;
	}
	nested->p += len;
	return true;
}

static bool
next_is(Nested *nested, char c)
{
	if (nested->p == NULL)
		return false;
	skip_spaces(nested);
	return *nested->p == c;
}

static void
skip_spaces(Nested *nested)
{
	nested->p += strspn(nested->p, " \t\r\n");
}
