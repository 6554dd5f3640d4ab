/*
 * json_record.c
 *		One record's text into the fields that are wanted of it.
 *
 * The server's own parser does the work.  Told to resolve escapes it copies
 * every string byte by byte, wanted or not; so it is only told so where escapes
 * could be wrong, or have to be converted.  Elsewhere names and values are
 * taken straight from the record's text.
 */
#include "postgres.h"

#include "format/decoder_internal.h"
#include "format/json_picker.h"
#include "format/json_plain.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

/* Of a record whose length is worth a guess. */
#define MAX_USUAL 8192

/* After a record that was not plain, so many are taken for the same. */
#define NOT_PLAIN_EITHER 15

static void expect_length(CsJsonPicker *picker, size_t len);
static bool read_plain(CsJsonPicker *picker, const CsRecord *record);
static char *copy_padded(const char *json, size_t len);
static const char *read_plain_text(CsJsonPicker *picker, char *text);
static bool check_record(CsJsonPicker *picker, bool too_deep, CsRecord *record);
static void parse_record(CsJsonPicker *picker, CsRecord *record);
static void fail_syntax(CsRecord *record, JsonParseErrorType error, JsonLexContext *lex);
static CsJsonAction field_start(void *state, char *fname, bool isnull);
static CsJsonAction field_end(void *state, char *fname, bool isnull);
static CsJsonAction keep_token(void *state, char *token, JsonTokenType type);
static const char *resolve_escapes(CsJsonPicker *picker, const char *raw, int *len);
static void forget_paths(CsJsonPicker *picker, const JsonNode *node);
static void store_value(CsJsonPicker *picker, int column, bool exact, const CsField *field);
static char *keep_text(CsJsonPicker *picker, const char *start, int len);

/* A picker in CurrentMemoryContext.  Throws 22023 for a path that is deeper than records may be. */
CsJsonPicker *
cs_json_picker_create(CsProjection *projection, const CsText *text, CsRowShape shape, bool ragged)
{
	CsJsonPicker *picker = palloc0(sizeof(CsJsonPicker));

	picker->projection = projection;
	picker->text = text;
	picker->shape = shape;
	picker->ragged = ragged;
	picker->scratch =
		AllocSetContextCreate(CurrentMemoryContext, "censync json record", ALLOCSET_DEFAULT_SIZES);
	initStringInfo(&picker->plain);
	if (shape == CS_ROW_OBJECT)
		cs_json_names_build(&picker->names, projection);
	picker->by_name = palloc0((projection->ncolumns + 1) * sizeof(bool));
	picker->open = palloc0(Max(1, picker->names.levels) * sizeof(JsonNode *));
	picker->member = palloc0(Max(1, picker->names.levels) * sizeof(JsonMember));
	return picker;
}

/*
 * Fills the record from one record's text, in CurrentMemoryContext.
 *
 * json: in UTF-8 as sent, without space around it.  too_deep: the caller knows it to be nested
 * beyond CS_MAX_NESTING.  Never throws over the text: what is wrong with it is the record's error.
 */
void
cs_json_record_decode(CsJsonPicker *picker, const char *json, size_t len, bool too_deep,
					  CsRecord *record)
{
	int ncolumns = picker->projection->ncolumns;

	memset(record, 0, sizeof(CsRecord));
	expect_length(picker, len);
	if (!cs_text_decode(picker->text, json, len, record))
		return;
	picker->fields = palloc0((ncolumns + 1) * sizeof(CsField));
	if (read_plain(picker, record))
	{
		record->fields = picker->fields;
		return;
	}
	if (!check_record(picker, too_deep, record))
		return;

	picker->result = CurrentMemoryContext;
	/* Enough for all values together, unless one is inside another. */
	picker->roomleft = record->rawlen + ncolumns + 1;
	picker->room = palloc(picker->roomleft);
	if (picker->shape == CS_ROW_OBJECT)
		parse_record(picker, record);
	else
		cs_json_row_parse(picker, record);
	if (record->error_code == 0)
		record->fields = picker->fields;
}

/*
 * The same of a record that json, not longer than len, begins with, if it is plain, and not much longer than those before it:
 * then nobody has to look for its end first.  Returns its length with the spaces behind it; 0: nothing was done.
 */
size_t
cs_json_record_try(CsJsonPicker *picker, const char *json, size_t len, CsRecord *record)
{
	char *text;
	const char *end;

	if (picker->usual == 0 || picker->not_plain > 0 || picker->names.any_path ||
		picker->text->encoding != PG_UTF8)
		return 0;
	len = Min(len, picker->usual + picker->usual / 8);
	text = copy_padded(json, len);
	picker->fields = palloc0((picker->projection->ncolumns + 1) * sizeof(CsField));
	end = read_plain_text(picker, text);
	if (end == NULL)
	{
		pfree(text);
		pfree(picker->fields);
		return 0;
	}
	len = end - text;
	expect_length(picker, len);
	memset(record, 0, sizeof(CsRecord));
	while (cs_json_is_space(json[len - 1]))
		len--;
	if (cs_text_decode(picker->text, json, len, record))
		record->fields = picker->fields;
	return end - text;
}

/* The longest of late; what is too long for a guess makes all of them be measured first. */
static void
expect_length(CsJsonPicker *picker, size_t len)
{
	picker->usual = len > MAX_USUAL ? 0 : Max(len, picker->usual - picker->usual / 64);
}

/* False: the record is not plain, and nothing was read of it. */
static bool
read_plain(CsJsonPicker *picker, const CsRecord *record)
{
	char *text;
	const char *end;

	if (picker->names.any_path || (picker->not_plain > 0 && picker->not_plain--))
		return false;
	text = copy_padded(record->raw, record->rawlen);
	end = read_plain_text(picker, text);
	if (end && *end == '\0')
		return true;
	pfree(text);
	memset(picker->fields, 0, picker->projection->ncolumns * sizeof(CsField));
	picker->not_plain = NOT_PLAIN_EITHER;
	return false;
}

static char *
copy_padded(const char *json, size_t len)
{
	char *text = palloc(len + CS_JSON_PADDING);

	memcpy(text, json, len);
	memset(text + len, 0, CS_JSON_PADDING);
	return text;
}

static const char *
read_plain_text(CsJsonPicker *picker, char *text)
{
	if (picker->shape != CS_ROW_OBJECT)
		return cs_json_row_read_plain(picker, text);
	return cs_json_plain_read(&picker->names, picker->projection->seen, text, picker->fields,
							  picker->text->encoding == PG_UTF8);
}

/* What the parser would choke on is refused first; false: the record has its error. */
static bool
check_record(CsJsonPicker *picker, bool too_deep, CsRecord *record)
{
	JsonParseErrorType error;
	JsonLexContext *lex;

	if (too_deep)
		cs_record_fail(record, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
					   psprintf("record is nested more than %d levels deep", CS_MAX_NESTING));
	else if (!cs_json_escapes_exist(picker->text, record->raw, record->rawlen))
		cs_record_fail(record, ERRCODE_UNTRANSLATABLE_CHARACTER,
					   psprintf("record has an escaped character that the database's encoding %s "
								"lacks",
								pg_encoding_to_char(picker->text->encoding)));
	else if (record->raw[0] != (picker->shape == CS_ROW_ARRAY ? '[' : '{'))
	{
		lex = cs_json_lex_create(record->raw, record->rawlen, picker->text->encoding, false);
		error = pg_parse_json(lex, &nullSemAction);
		if (error != JSON_SUCCESS)
			fail_syntax(record, error, lex);
		else
			cs_record_fail(record, ERRCODE_INVALID_PARAMETER_VALUE,
						   psprintf("record is not a JSON %s",
									picker->shape == CS_ROW_ARRAY ? "array" : "object"));
	}
	return record->error_code == 0;
}

static void
parse_record(CsJsonPicker *picker, CsRecord *record)
{
	JsonSemAction actions = { 0 };

	picker->open[0] = picker->names.root;
	picker->nopen = 1;
	picker->names.root->next = 0;
	if (picker->names.any_path)
		memset(picker->by_name, 0, picker->projection->ncolumns * sizeof(bool));
	actions.object_field_start = field_start;
	actions.object_field_end = field_end;
	(void) cs_json_picker_parse(picker, record, &actions);
}

/*
 * Parses record->raw by the server's parser; actions get the picker, and scalar is ours.  A syntax error
 * becomes the record's.
 */
JsonParseErrorType
cs_json_picker_parse(CsJsonPicker *picker, CsRecord *record, JsonSemAction *actions)
{
	JsonParseErrorType error;
	bool escapes = memchr(record->raw, '\\', record->rawlen) != NULL;
	bool resolve = escapes && (picker->text->encoding != PG_UTF8 ||
							   !cs_json_escapes_are_valid(record->raw, record->rawlen));

	actions->semstate = picker;
	if (resolve)
		actions->scalar = keep_token;
	picker->escapes = escapes && !resolve;

	picker->token = NULL;
	MemoryContextSwitchTo(picker->scratch);
	picker->lex = cs_json_lex_create(record->raw, record->rawlen, picker->text->encoding, resolve);
	error = pg_parse_json(picker->lex, actions);
	MemoryContextSwitchTo(picker->result);

	if (error != JSON_SUCCESS)
		fail_syntax(record, error, picker->lex);
	/* Else the parser allocates nothing more, and a reset costs more than a pfree. */
	if (resolve)
		MemoryContextReset(picker->scratch);
	else
		pfree(picker->lex);
	return error;
}

static void
fail_syntax(CsRecord *record, JsonParseErrorType error, JsonLexContext *lex)
{
	char *detail = json_errdetail(error, lex);

	cs_record_fail(record, cs_json_errcode(error),
				   cs_text_clip(psprintf("record is not valid JSON: %s", detail), CS_MAX_MESSAGE));
}

/*
 * A member begins; the parser stands on its value's first token.
 *
 * Only members of open objects count, and the parser's level tells: a member of an object inside an
 * array, or inside a member that is not wanted, is always deeper than the next open one.
 */
static CsJsonAction
field_start(void *state, char *fname, bool isnull pg_attribute_unused())
{
	CsJsonPicker *picker = state;
	JsonLexContext *lex = picker->lex;
	JsonMember *member;
	JsonNode *object;
	int len;

	if (lex->lex_level != picker->nopen)
		CS_JSON_GO_ON;
	object = picker->open[picker->nopen - 1];
	member = &picker->member[picker->nopen - 1];
	if (fname != NULL)
		member->node = cs_json_names_find(object, fname, (int) strlen(fname));
	else
	{
		const char *name = cs_json_picker_name(picker, &len);

		if (picker->escapes)
			name = resolve_escapes(picker, name, &len);
		member->node = cs_json_names_find(object, name, len);
	}
	if (member->node == NULL)
		CS_JSON_GO_ON;
	member->type = lex->token_type;
	member->start = lex->token_start;
	if (member->node->nchildren > 0)
	{
		/* The last of several members of one name wins, with all that is in it. */
		forget_paths(picker, member->node);
		if (member->type == JSON_TOKEN_OBJECT_START)
		{
			member->node->next = 0;
			picker->open[picker->nopen++] = member->node;
		}
	}
	CS_JSON_GO_ON;
}

/* A member ends; the parser stands behind it. */
static CsJsonAction
field_end(void *state, char *fname pg_attribute_unused(), bool isnull pg_attribute_unused())
{
	CsJsonPicker *picker = state;
	JsonMember *member;
	CsField field;

	if (picker->lex->lex_level == picker->nopen - 1)
		picker->nopen--;
	else if (picker->lex->lex_level != picker->nopen)
		CS_JSON_GO_ON;
	member = &picker->member[picker->nopen - 1];
	if (member->node == NULL || (member->node->exact < 0 && member->node->path < 0))
		CS_JSON_GO_ON;
	cs_json_picker_read_value(picker, member, &field);
	/* A name that has a dot or is nested is never both. */
	if (picker->nopen == 1 && member->node->exact >= 0)
		store_value(picker, member->node->exact, true, &field);
	else if (member->node->path >= 0)
		store_value(picker, member->node->path, false, &field);
	CS_JSON_GO_ON;
}

/* The parser's token lives in scratch until the record is done. */
static CsJsonAction
keep_token(void *state, char *token, JsonTokenType type pg_attribute_unused())
{
	((CsJsonPicker *) state)->token = token;
	CS_JSON_GO_ON;
}

/*
 * The name, as sent, of the member whose value the parser stands on.
 *
 * Before the value is a colon, before that, maybe, space, and then the name's closing quote.  Quotes
 * in the name have a backslash before them, the one that opens it never has.
 */
const char *
cs_json_picker_name(const CsJsonPicker *picker, int *len)
{
	const char *end = picker->lex->prev_token_terminator - 2;
	const char *start;

	while (*end != '"')
		end--;
	for (start = end; start[-1] != '"' || start[-2] == '\\';)
		start--;
	*len = (int) (end - start);
	return start;
}

/* A string's content with its valid escapes resolved; good until the next call. */
static const char *
resolve_escapes(CsJsonPicker *picker, const char *raw, int *len)
{
	if (memchr(raw, '\\', *len) == NULL)
		return raw;
	resetStringInfo(&picker->plain);
	cs_json_unescape(raw, *len, &picker->plain);
	*len = picker->plain.len;
	return picker->plain.data;
}

/* Takes back what an earlier member of the same name gave to paths through it. */
static void
forget_paths(CsJsonPicker *picker, const JsonNode *node)
{
	for (int i = 0; i < node->nchildren; i++)
	{
		int column = node->children[i]->path;

		for (; column >= 0; column = picker->names.same[column])
			if (!picker->by_name[column])
				memset(&picker->fields[column], 0, sizeof(CsField));
		forget_paths(picker, node->children[i]);
	}
}

void
cs_json_picker_read_value(CsJsonPicker *picker, const JsonMember *member, CsField *field)
{
	const char *start = member->start;
	const char *end = picker->lex->prev_token_terminator;

	switch (member->type)
	{
		case JSON_TOKEN_NULL:
			field->kind = CS_VALUE_NULL;
			field->text = NULL;
			field->len = 0;
			return;
		case JSON_TOKEN_STRING:
			field->kind = CS_VALUE_STRING;
			if (picker->token != NULL)
			{
				start = picker->token;
				end = start + strlen(start);
			}
			else
			{
				int len = (int) (--end - ++start);

				if (picker->escapes)
					start = resolve_escapes(picker, start, &len);
				end = start + len;
			}
			break;
		case JSON_TOKEN_NUMBER:
			field->kind = CS_VALUE_NUMBER;
			break;
		case JSON_TOKEN_OBJECT_START:
			field->kind = CS_VALUE_OBJECT;
			break;
		case JSON_TOKEN_ARRAY_START:
			field->kind = CS_VALUE_ARRAY;
			break;
		default:
			field->kind = CS_VALUE_BOOL;
			break;
	}
	field->len = (int) (end - start);
	field->text = keep_text(picker, start, field->len);
}

/* Gives a value to all columns of a name; by path only where the exact member is not there. */
static void
store_value(CsJsonPicker *picker, int column, bool exact, const CsField *field)
{
	for (; column >= 0; column = picker->names.same[column])
	{
		if (!exact && picker->by_name[column])
			continue;
		picker->by_name[column] = exact;
		picker->fields[column] = *field;
		picker->projection->seen[column] = true;
	}
}

/* A NUL-terminated copy with the record's other memory. */
static char *
keep_text(CsJsonPicker *picker, const char *start, int len)
{
	char *copy;

	if (picker->roomleft > (size_t) len)
	{
		copy = picker->room;
		picker->room += len + 1;
		picker->roomleft -= len + 1;
	}
	else
		copy = MemoryContextAlloc(picker->result, len + 1);
	memcpy(copy, start, len);
	copy[len] = '\0';
	return copy;
}
