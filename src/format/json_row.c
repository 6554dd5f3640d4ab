/*
 * json_row.c
 *		Records that are rows: values in the order of the columns, in an array
 *		of its own or in BigQuery's cells.
 */
#include "postgres.h"

#include "format/json_picker.h"
#include "format/json_plain.h"

static CsJsonAction element_start(void *state, bool isnull);
static CsJsonAction element_end(void *state, bool isnull);
static CsJsonAction cell_list_start(void *state, bool isnull);
static CsJsonAction cell_start(void *state, char *fname, bool isnull);
static CsJsonAction cell_end(void *state, char *fname, bool isnull);
static bool is_member(const CsJsonPicker *picker, const char *fname, const char *name);
static void begin_value(CsJsonPicker *picker);
static void end_value(CsJsonPicker *picker);
static void check_count(const CsJsonPicker *picker, CsRecord *record);

/* Behind it if it was plain, and has as many values as it must; else NULL. */
char *
cs_json_row_read_plain(CsJsonPicker *picker, char *text)
{
	int n = picker->projection->ncolumns;
	bool utf8 = picker->text->encoding == PG_UTF8;
	int count;
	char *end = picker->shape == CS_ROW_ARRAY
					? cs_json_plain_read_array(text, picker->fields, n, utf8, &count)
					: cs_json_plain_read_cells(text, picker->fields, n, utf8, &count);

	return end && (count == n || picker->ragged) ? end : NULL;
}

void
cs_json_row_parse(CsJsonPicker *picker, CsRecord *record)
{
	JsonSemAction actions = { 0 };

	picker->count = 0;
	picker->in_cells = false;
	if (picker->shape == CS_ROW_ARRAY)
	{
		actions.array_element_start = element_start;
		actions.array_element_end = element_end;
	}
	else
	{
		actions.array_element_start = cell_list_start;
		actions.object_field_start = cell_start;
		actions.object_field_end = cell_end;
	}
	if (cs_json_picker_parse(picker, record, &actions) == JSON_SUCCESS)
		check_count(picker, record);
}

static CsJsonAction
element_start(void *state, bool isnull pg_attribute_unused())
{
	CsJsonPicker *picker = state;

	if (picker->lex->lex_level == 1)
	{
		picker->count++;
		begin_value(picker);
	}
	CS_JSON_GO_ON;
}

static CsJsonAction
element_end(void *state, bool isnull pg_attribute_unused())
{
	CsJsonPicker *picker = state;

	if (picker->lex->lex_level == 1)
		end_value(picker);
	CS_JSON_GO_ON;
}

/* Each element of "f" is a cell. */
static CsJsonAction
cell_list_start(void *state, bool isnull pg_attribute_unused())
{
	CsJsonPicker *picker = state;

	if (picker->lex->lex_level == 2 && picker->in_cells)
		picker->count++;
	CS_JSON_GO_ON;
}

static CsJsonAction
cell_start(void *state, char *fname, bool isnull pg_attribute_unused())
{
	CsJsonPicker *picker = state;

	if (picker->lex->lex_level == 1)
		picker->in_cells = is_member(picker, fname, "f");
	else if (picker->lex->lex_level == 3 && picker->in_cells && is_member(picker, fname, "v"))
		begin_value(picker);
	CS_JSON_GO_ON;
}

static CsJsonAction
cell_end(void *state, char *fname pg_attribute_unused(), bool isnull pg_attribute_unused())
{
	CsJsonPicker *picker = state;

	if (picker->lex->lex_level == 3 && picker->in_cells)
		end_value(picker);
	CS_JSON_GO_ON;
}

static bool
is_member(const CsJsonPicker *picker, const char *fname, const char *name)
{
	int len;
	const char *raw;

	if (fname != NULL)
		return strcmp(fname, name) == 0;
	raw = cs_json_picker_name(picker, &len);
	return len == (int) strlen(name) && memcmp(raw, name, len) == 0;
}

static void
begin_value(CsJsonPicker *picker)
{
	picker->member[0].type = picker->lex->token_type;
	picker->member[0].start = picker->lex->token_start;
}

static void
end_value(CsJsonPicker *picker)
{
	if (picker->member[0].start && picker->count <= picker->projection->ncolumns)
		cs_json_picker_read_value(picker, &picker->member[0], &picker->fields[picker->count - 1]);
	picker->member[0].start = NULL;
}

static void
check_count(const CsJsonPicker *picker, CsRecord *record)
{
	int n = picker->projection->ncolumns;

	if (picker->count > n || (picker->count < n && !picker->ragged))
		cs_record_fail(record, ERRCODE_FDW_INCONSISTENT_DESCRIPTOR_INFORMATION,
					   psprintf("record has %d values for %d columns", picker->count, n));
}
