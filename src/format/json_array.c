/*
 * json_array.c
 *		A JSON array as a PostgreSQL array literal.
 */
#include "postgres.h"

#include "format/decoder_internal.h"
#include "mb/pg_wchar.h"
#include "utils/json.h"

typedef struct ArrayWriter
{
	JsonLexContext *lex;
	StringInfoData out;
	char delimiter;		/* the element type's */
	bool json_elements; /* of type json or jsonb: strings keep their quotes */
	bool not_array;		/* the text is JSON, but something else */
	bool any;			/* there is an element that is no array */
	int objects;		/* objects the parser is in; what they have is not looked at */
	const char *object; /* start of the outermost of them */
} ArrayWriter;

static CsJsonAction array_start(void *state);
static CsJsonAction array_end(void *state);
static CsJsonAction element_start(void *state, bool isnull);
static CsJsonAction object_start(void *state);
static CsJsonAction object_end(void *state);
static CsJsonAction scalar(void *state, char *token, JsonTokenType type);
static void append_element(ArrayWriter *writer, const char *text, size_t len);
static bool needs_quotes(const char *text, size_t len, char delimiter);
static void throw_not_array(JsonParseErrorType error, JsonLexContext *lex) pg_attribute_noreturn();

/* See decoder.h.  json: in the server's encoding.  Result in CurrentMemoryContext. */
char *
cs_json_array_literal(const char *json, int len, char delimiter, bool json_elements)
{
	ArrayWriter writer = { 0 };
	JsonSemAction actions = { 0 };
	JsonParseErrorType error;

	if (cs_json_is_too_deep(json, len))
		ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
						errmsg("JSON array is nested more than %d levels deep", CS_MAX_NESTING)));
	initStringInfo(&writer.out);
	writer.delimiter = delimiter;
	writer.json_elements = json_elements;
	writer.lex = cs_json_lex_create(json, len, GetDatabaseEncoding(), true);
	actions.semstate = &writer;
	actions.array_start = array_start;
	actions.array_end = array_end;
	actions.array_element_start = element_start;
	actions.object_start = object_start;
	actions.object_end = object_end;
	actions.scalar = scalar;
	error = pg_parse_json(writer.lex, &actions);
	if (error != JSON_SUCCESS || writer.not_array)
		throw_not_array(error, writer.lex);
	/* An array of empty arrays is an empty array; not every server reads '{{}}' as one. */
	return writer.any ? writer.out.data : pstrdup("{}");
}

static CsJsonAction
array_start(void *state)
{
	ArrayWriter *writer = state;

	if (writer->objects == 0)
		appendStringInfoChar(&writer->out, '{');
	CS_JSON_GO_ON;
}

static CsJsonAction
array_end(void *state)
{
	ArrayWriter *writer = state;

	if (writer->objects == 0)
		appendStringInfoChar(&writer->out, '}');
	CS_JSON_GO_ON;
}

static CsJsonAction
element_start(void *state, bool isnull pg_attribute_unused())
{
	ArrayWriter *writer = state;

	/* An unquoted brace is never the last byte of an element. */
	if (writer->objects == 0 && writer->out.data[writer->out.len - 1] != '{')
		appendStringInfoChar(&writer->out, writer->delimiter);
	CS_JSON_GO_ON;
}

static CsJsonAction
object_start(void *state)
{
	ArrayWriter *writer = state;

	writer->any = true;
	if (writer->lex->lex_level == 0)
		writer->not_array = true;
	if (writer->objects++ == 0)
		writer->object = writer->lex->token_start;
	CS_JSON_GO_ON;
}

static CsJsonAction
object_end(void *state)
{
	ArrayWriter *writer = state;

	if (--writer->objects == 0)
		append_element(writer, writer->object, writer->lex->prev_token_terminator - writer->object);
	CS_JSON_GO_ON;
}

static CsJsonAction
scalar(void *state, char *token, JsonTokenType type)
{
	ArrayWriter *writer = state;

	if (writer->objects > 0)
		CS_JSON_GO_ON;
	writer->any = true;
	if (writer->out.len == 0)
		writer->not_array = true;
	else if (type == JSON_TOKEN_NULL)
		appendStringInfoString(&writer->out, "NULL");
	else if (type == JSON_TOKEN_STRING && writer->json_elements)
	{
		StringInfoData quoted;

		initStringInfo(&quoted);
		escape_json(&quoted, token);
		append_element(writer, quoted.data, quoted.len);
	}
	else
		append_element(writer, token, strlen(token));
	CS_JSON_GO_ON;
}

static void
append_element(ArrayWriter *writer, const char *text, size_t len)
{
	StringInfo out = &writer->out;

	if (!needs_quotes(text, len, writer->delimiter))
	{
		appendBinaryStringInfo(out, text, (int) len);
		return;
	}
	appendStringInfoCharMacro(out, '"');
	for (size_t i = 0; i < len; i++)
	{
		if (text[i] == '"' || text[i] == '\\')
			appendStringInfoCharMacro(out, '\\');
		appendStringInfoCharMacro(out, text[i]);
	}
	appendStringInfoCharMacro(out, '"');
}

/* Any byte that array_in may treat specially. */
static bool
needs_quotes(const char *text, size_t len, char delimiter)
{
	if (len == 0 || (len == 4 && pg_strncasecmp(text, "null", 4) == 0))
		return true;
	for (size_t i = 0; i < len; i++)
		if (text[i] == delimiter || strchr("{}\"\\", text[i]) != NULL ||
			(unsigned char) text[i] <= ' ')
			return true;
	return false;
}

static void
throw_not_array(JsonParseErrorType error, JsonLexContext *lex)
{
	if (error == JSON_SUCCESS)
		ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
						errmsg("value is not a JSON array")));
	ereport(ERROR, (errcode(cs_json_errcode(error)), errmsg("value is not a JSON array"),
					errdetail("%s", cs_text_clip(pstrdup(json_errdetail(error, lex)), 400))));
}
