/*
 * rockset_columns.c
 *		The columns of results: as the query declares them, as a collection is
 *		described, or as the rows of the first page have them.
 */
#include "postgres.h"

#include "source/rockset.h"

static void add_described(json_t *columns, const json_t *row);
static void find_columns(RocksetSession *session, const char *row, json_t *columns);
static CsValueKind value_kind(char first);
static char *plain_name(const char *name, int len);
static void set_columns(RocksetSession *session, const json_t *columns);

/* As the query names them; SELECT * names none. */
bool
cs_rockset_set_declared_columns(RocksetSession *session, const json_t *fields)
{
	json_t *columns = cs_json_parse("{}", 2);

	for (size_t i = 0; i < json_array_size(fields); i++)
	{
		const json_t *field = json_array_get(fields, i);
		const char *name = cs_json_text(field, "name");
		const char *type = cs_json_text(field, "type");

		if (name)
			json_object_set_new(columns, name, json_string(type ? type : "object"));
	}
	set_columns(session, columns);
	return json_object_size(columns) > 0;
}

/* As the collection's documents have them; false: it can't be described. */
bool
cs_rockset_set_described_columns(RocksetSession *session, const char *workspace, const char *name)
{
	CsServiceSession *base = &session->base;
	CsHttpRequest *request = cs_service_request(
		base, "POST", CS_ROCKSET_SELF "/queries",
		psprintf("{\"sql\":{\"query\":%s}}",
				 cs_json_quote(psprintf("DESCRIBE \"%s\".\"%s\"", workspace, name))));
	json_t *columns = cs_json_parse("{}", 2);
	const json_t *answer;
	const json_t *rows;
	int status;

	request->repeatable = true;
	answer = cs_service_call(base, request, 400, &status);
	if (status == 400 || json_array_size(json_object_get(answer, "query_errors")) > 0)
		return false;
	rows = json_object_get(answer, "results");
	for (size_t i = 0; i < json_array_size(rows); i++)
		add_described(columns, json_array_get(rows, i));
	set_columns(session, columns);
	return json_object_size(columns) > 0;
}

/* {"field": ["a"], "type": "int"}; one of several types is taken as it is. */
static void
add_described(json_t *columns, const json_t *row)
{
	const json_t *path = json_object_get(row, "field");
	const char *name = json_string_value(json_array_get(path, 0));
	const char *type = cs_json_text(row, "type");
	const char *known;

	if (json_array_size(path) != 1 || name == NULL || type == NULL)
		return;
	known = json_string_value(json_object_get(columns, name));
	if (known == NULL || strcmp(known, "null") == 0 || strcmp(known, "undefined") == 0)
		json_object_set_new(columns, name, json_string(type));
	else if (strcmp(known, type) != 0 && strcmp(type, "null") != 0 &&
			 strcmp(type, "undefined") != 0)
		json_object_set_new(columns, name, json_string("object"));
}

/* As the rows of the first page have them. */
void
cs_rockset_set_found_columns(RocksetSession *session)
{
	json_t *columns = cs_json_parse("{}", 2);
	const char *document = session->first_page;
	const char *name;
	const char *value;
	int name_len;
	int len;

	while (cs_json_member_next(&document, &name, &name_len, &value, &len))
	{
		const char *row;
		int row_len;

		if (name_len != 7 || strncmp(name, "results", 7) != 0 || *value != '[')
			continue;
		while (cs_json_element_next(&value, &row, &row_len))
			find_columns(session, row, columns);
	}
	set_columns(session, columns);
	session->open_ended = true;
}

/* A field of several types in the rows is taken as it is. */
static void
find_columns(RocksetSession *session, const char *row, json_t *columns)
{
	const char *name;
	const char *value;
	int name_len;
	int len;

	while (cs_json_member_next(&row, &name, &name_len, &value, &len))
	{
		CsField field = { value_kind(*value), pnstrdup(value, len), len };
		const char *type = cs_rockset_type_of(session->wrapper, &field);
		const char *column = plain_name(name, name_len);
		const char *known = json_string_value(json_object_get(columns, column));

		if (known == NULL || strcmp(known, "null") == 0)
			json_object_set_new(columns, column, json_string(type ? type : "null"));
		else if (type && strcmp(known, type) != 0)
			json_object_set_new(columns, column, json_string("object"));
	}
}

static CsValueKind
value_kind(char first)
{
	return first == '{'					  ? CS_VALUE_OBJECT
		   : first == '['				  ? CS_VALUE_ARRAY
		   : first == '"'				  ? CS_VALUE_STRING
		   : first == 't' || first == 'f' ? CS_VALUE_BOOL
		   : first == 'n'				  ? CS_VALUE_NULL
										  : CS_VALUE_NUMBER;
}

/* A name without escapes. */
static char *
plain_name(const char *name, int len)
{
	char *array = psprintf("[\"%.*s\"]", len, name);
	const json_t *parsed = memchr(name, '\\', len) ? cs_json_parse(array, strlen(array)) : NULL;
	const char *plain = json_string_value(json_array_get(parsed, 0));

	return plain ? pstrdup(plain) : pnstrdup(name, len);
}

static void
set_columns(RocksetSession *session, const json_t *columns)
{
	CsServiceSession *base = &session->base;
	int most = (int) json_object_size(columns) + list_length(base->spec->wanted);
	const char *name;
	json_t *type;
	ListCell *cell;
	int n = 0;

	base->columns = palloc0(sizeof(CsColumn) * Max(1, most));
	base->cells = palloc0(sizeof(CsCell) * Max(1, most));
	json_object_foreach((json_t *) columns, name, type)
	{
		base->columns[n].name = pstrdup(name);
		cs_rockset_type_set(&base->columns[n], &base->cells[n], json_string_value(type));
		n++;
	}
	/* Rows have no schema: later ones may have what these lack. */
	foreach (cell, base->spec->wanted)
	{
		if (cs_column_find(base->columns, n, lfirst(cell)) >= 0)
			continue;
		base->columns[n].name = pstrdup(lfirst(cell));
		cs_rockset_type_set(&base->columns[n], &base->cells[n], "null");
		n++;
	}
	base->ncolumns = n;
}

/* A row may have what no row of the first page had: it must not get lost. */
void
cs_rockset_check_members(RocksetSession *session, const char *json)
{
	CsServiceSession *base = &session->base;
	const char *name;
	const char *value;
	int name_len;
	int len;

	while (cs_json_member_next(&json, &name, &name_len, &value, &len))
	{
		const char *plain = plain_name(name, name_len);

		if (*value != 'n' && cs_column_find(base->columns, base->ncolumns, plain) < 0)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INCONSISTENT_DESCRIPTOR_INFORMATION),
					 errmsg("a row has a field \"%s\" that no row of the first page had", plain),
					 errhint("Let the query name its columns, or map them.")));
	}
}
