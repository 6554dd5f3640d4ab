/*
 * snowflake.c
 *		The source snowflake: statements through its SQL API, results by
 *		partitions.
 *
 * A statement is submitted to run by itself, so that its handle is known, and
 * it can be canceled, from the beginning.  An object is described by a SELECT
 * of none of its rows; which of its columns are needed is known later.
 */
#include "postgres.h"


#include "base/names.h"
#include "net/url.h"
#include "source/option_table.h"
#include "source/services.h"
#include "source/snowflake.h"

#define STATEMENTS "/api/v2/statements"
#define CODE_SUCCESS "090001"
#define CODE_TRUNCATED "391908"

static CsServiceSession *create(const CsReadSpec *spec, CsOptionSet *options);
static void describe(CsServiceSession *base);
static void narrow(CsServiceSession *base, const bool *needed);
static bool next_part(CsServiceSession *base, CsServicePart *part);
static void end_part(CsServiceSession *base, const char *envelope, int64 rows);
static List *list(CsServiceSession *base, const char *schema, List *only);
static void probe(CsServiceSession *base);
static void run(CsSnowflake *session, const char *statement);
static CsHttpRequest *submission(CsSnowflake *session, const char *statement);
static char *submission_body(CsSnowflake *session, const char *statement);
static void add_context(StringInfo json, CsSnowflake *session, const char *name);
static char *new_uuid(void);
static json_t *wait_for_result(CsSnowflake *session, json_t *answer, int status);
static bool is_running(const json_t *answer);
static char *path_of(const char *handle, const char *rest);
static void check_code(const json_t *answer);
static void take_result(CsSnowflake *session, const json_t *answer);
static void take_columns(CsSnowflake *session, const json_t *types);
static void take_partitions(CsSnowflake *session, const json_t *partitions);
static void check_same_type(const CsColumn *before, int nbefore, const CsColumn *now);
static List *read_all_rows(CsSnowflake *session, const char *statement);
static char *list_statement(CsSnowflake *session, const char *schema);
static void add_listed(CsSnowflake *session, List **objects, const json_t *row, List *only);
static const char *cell_of(const json_t *row, int column);
static int64 number_of(const json_t *row, int column);

const CsService cs_source_snowflake = {
	.base = CS_SERVICE("snowflake", CS_FOR_SNOWFLAKE),
	.create = create,
	.authorize = cs_snowflake_authorize,
	.refuse = cs_snowflake_refuse,
	.describe = describe,
	.narrow = narrow,
	.next_part = next_part,
	.end_part = end_part,
	.list = list,
	.dialect = &cs_snowflake_dialect,
	.statement = cs_snowflake_statement,
	.probe = probe,
};

static CsServiceSession *
create(const CsReadSpec *spec pg_attribute_unused(), CsOptionSet *options)
{
	CsSnowflake *session = palloc0(sizeof(CsSnowflake));

	cs_snowflake_log_in(session, options);
	return &session->base;
}

static void
describe(CsServiceSession *base)
{
	CsSnowflake *session = (CsSnowflake *) base;

	if (base->spec->query == NULL && base->spec->object == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a source of type \"snowflake\" needs a query or an object")));
	base->since = true;
	base->deferred = cs_warehouse_defers(&cs_snowflake_dialect, base->spec);
	run(session, cs_warehouse_first_statement(&cs_snowflake_dialect, base->spec,
											  cs_snowflake_from(base->spec)));
}

/* A query has run, unless more is known to be asked for now; of an object, its rows are. */
static void
narrow(CsServiceSession *base, const bool *needed)
{
	CsSnowflake *session = (CsSnowflake *) base;
	const CsColumn *before = base->columns;
	int nbefore = base->ncolumns;

	if (base->spec->query && !base->deferred)
		return;
	run(session, cs_sql_select_needed(&cs_snowflake_dialect, base->spec, before, nbefore, needed,
									  cs_snowflake_from(base->spec)));
	for (int i = 0; i < base->ncolumns; i++)
		check_same_type(before, nbefore, &base->columns[i]);
}

static bool
next_part(CsServiceSession *base, CsServicePart *part)
{
	CsSnowflake *session = (CsSnowflake *) base;
	int number = session->next_part;

	if (number >= session->nparts)
		return false;
	part->request.url = psprintf("%s%s", base->base_url,
								 path_of(session->handle, psprintf("?partition=%d", number)));
	part->records = "/data";
	part->shape = CS_ROW_ARRAY;
	part->expected = session->part_rows[number];
	part->may_lack_records = part->expected == 0;
	session->next_part++;
	return true;
}

static void
end_part(CsServiceSession *base pg_attribute_unused(), const char *envelope,
		 int64 rows pg_attribute_unused())
{
	if (envelope)
		check_code(cs_json_parse(envelope, strlen(envelope)));
}

static List *
list(CsServiceSession *base, const char *schema, List *only)
{
	CsSnowflake *session = (CsSnowflake *) base;
	List *rows = read_all_rows(session, list_statement(session, schema));
	bool exact = false;
	List *objects = NIL;
	ListCell *lc;

	foreach (lc, rows)
		exact = exact || strcmp(cell_of(lfirst(lc), 0), schema) == 0;
	foreach (lc, rows)
		if (!exact || strcmp(cell_of(lfirst(lc), 0), schema) == 0)
			add_listed(session, &objects, lfirst(lc), only);
	return objects;
}

static void
probe(CsServiceSession *base)
{
	run((CsSnowflake *) base, "SELECT 1");
}

/* Submits a statement and waits for its result, whose shape the session then has. */
static void
run(CsSnowflake *session, const char *statement)
{
	CsServiceSession *base = &session->base;
	MemoryContext old = MemoryContextSwitchTo(base->context);
	int status;
	json_t *answer;

	cs_service_set_farewell(base, NULL);
	answer = cs_service_call_without(base, submission(session, statement), "/data", &status);
	answer = wait_for_result(session, answer, status);
	check_code(answer);
	take_result(session, answer);
	MemoryContextSwitchTo(old);
}

/* May be sent again: the service knows it by its requestId, and runs it once. */
static CsHttpRequest *
submission(CsSnowflake *session, const char *statement)
{
	char *path = psprintf(STATEMENTS "?requestId=%s&async=true", new_uuid());
	CsHttpRequest *request =
		cs_service_request(&session->base, "POST", path, submission_body(session, statement));

	request->repeatable = true;
	request->repeat_query = "retry=true";
	return request;
}

static char *
submission_body(CsSnowflake *session, const char *statement)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfo(&json, "{\"statement\":%s", cs_json_quote(statement));
	add_context(&json, session, "database");
	add_context(&json, session, "schema");
	add_context(&json, session, "warehouse");
	add_context(&json, session, "role");
	appendStringInfoString(&json, ",\"parameters\":{\"query_tag\":\"censync\"}}");
	return json.data;
}

static void
add_context(StringInfo json, CsSnowflake *session, const char *name)
{
	const char *value = cs_option_get(session->base.options, name);

	if (value)
		appendStringInfo(json, ",\"%s\":%s", name, cs_json_quote(value));
}

/* Version 4. */
static char *
new_uuid(void)
{
	unsigned char b[16];

	if (!pg_strong_random(b, sizeof(b)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	return psprintf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
					b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
					b[13], b[14], b[15]);
}

static json_t *
wait_for_result(CsSnowflake *session, json_t *answer, int status)
{
	CsServiceSession *base = &session->base;

	session->handle = cs_json_text(answer, "statementHandle");
	if (session->handle == NULL)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("the answer of Snowflake to a statement has no handle of it")));
	cs_service_set_farewell(
		base, cs_service_request(base, "POST", path_of(session->handle, "/cancel"), NULL));
	/* 429: so it may say that it still runs. */
	for (int polls = 0; status == 202 || status == 429 || is_running(answer); polls++)
	{
		cs_service_wait(polls);
		answer = cs_service_poll(
			base, cs_service_request(base, "GET", path_of(session->handle, ""), NULL), "/data", 429,
			&status);
		if (status == 429 && !is_running(answer))
			cs_snowflake_refuse_answer(session, status, answer);
	}
	return answer;
}

static bool
is_running(const json_t *answer)
{
	char *code = cs_json_text(answer, "code");

	return code && (strcmp(code, "333333") == 0 || strcmp(code, "333334") == 0);
}

static char *
path_of(const char *handle, const char *rest)
{
	return psprintf(STATEMENTS "/%s%s", cs_url_encode(handle), rest);
}

/* Of an answer that is none of an error. */
static void
check_code(const json_t *answer)
{
	char *code = cs_json_text(answer, "code");

	if (code && strcmp(code, CODE_TRUNCATED) == 0)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("the result was too large for Snowflake, which cut it off"),
						errdetail("Snowflake's code is %s.", CODE_TRUNCATED),
						errhint("Let the query bring less.")));
}

static void
take_result(CsSnowflake *session, const json_t *answer)
{
	const json_t *meta = json_object_get(answer, "resultSetMetaData");
	char *format = cs_json_text(meta, "format");
	char *code = cs_json_text(answer, "code");

	if (meta == NULL && code && strcmp(code, CODE_SUCCESS) != 0)
		cs_snowflake_refuse_answer(session, 200, answer);
	if (json_array_size(json_object_get(answer, "statementHandles")) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("the query is several statements"),
				 errhint("A source's query is one.")));
	if (!json_is_array(json_object_get(meta, "rowType")) ||
		(format && strcmp(format, "jsonv2") != 0))
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("the result was not described by Snowflake"),
						errdetail("Its format is %s.",
								  format ? cs_http_redact_secrets(session->base.http, format)
										 : "missing")));
	session->base.total = cs_json_int(meta, "numRows", -1);
	take_columns(session, json_object_get(meta, "rowType"));
	take_partitions(session, json_object_get(meta, "partitionInfo"));
}

static void
take_columns(CsSnowflake *session, const json_t *types)
{
	CsServiceSession *base = &session->base;

	base->ncolumns = (int) json_array_size(types);
	base->columns = palloc0(sizeof(CsColumn) * Max(1, base->ncolumns));
	base->cells = palloc0(sizeof(CsCell) * Max(1, base->ncolumns));
	for (int i = 0; i < base->ncolumns; i++)
	{
		const json_t *described = json_array_get(types, i);
		CsColumn *column = &base->columns[i];
		char *name = cs_json_text(described, "name");
		char *type = cs_json_text(described, "type");

		column->name = name ? name : psprintf("column%d", i + 1);
		column->not_null = json_is_false(json_object_get(described, "nullable"));
		cs_snowflake_set_type(
			column, &base->cells[i], type ? type : "text", cs_json_text(described, "extTypeName"),
			cs_json_int(described, "precision", -1), cs_json_int(described, "scale", -1));
	}
}

static void
take_partitions(CsSnowflake *session, const json_t *partitions)
{
	session->next_part = 0;
	session->nparts = json_is_array(partitions) ? (int) json_array_size(partitions) : 1;
	session->part_rows = palloc(sizeof(int64) * Max(1, session->nparts));
	session->part_rows[0] = session->base.total;
	for (int i = 0; i < (int) json_array_size(partitions); i++)
		session->part_rows[i] = cs_json_int(json_array_get(partitions, i), "rowCount", -1);
}

/* It was described a moment ago. */
static void
check_same_type(const CsColumn *before, int nbefore, const CsColumn *now)
{
	int at = cs_column_find(before, nbefore, now->name);

	if (at < 0 || before[at].typid != now->typid || before[at].typmod != now->typmod)
		ereport(ERROR, (errcode(ERRCODE_FDW_ERROR),
						errmsg("column \"%s\" was changed at the source while it was being read",
							   now->name),
						errhint("Run it again.")));
}

/* json_t * of rows; a small result. */
static List *
read_all_rows(CsSnowflake *session, const char *statement)
{
	CsServiceSession *base = &session->base;
	List *rows = NIL;

	run(session, statement);
	for (int part = 0; part < session->nparts; part++)
	{
		char *path = path_of(session->handle, psprintf("?partition=%d", part));
		json_t *answer =
			cs_service_call(base, cs_service_request(base, "GET", path, NULL), 0, NULL);
		json_t *data = json_object_get(answer, "data");

		check_code(answer);
		for (size_t i = 0; i < json_array_size(data); i++)
			rows = lappend(rows, json_array_get(data, i));
	}
	if (base->total >= 0 && list_length(rows) != base->total)
		ereport(ERROR, (errcode(ERRCODE_FDW_ERROR),
						errmsg("the source announced " INT64_FORMAT " rows and sent %d",
							   base->total, list_length(rows))));
	cs_service_set_farewell(base, NULL);
	return rows;
}

/* A schema's name in other letters than it has there is taken in capitals, as their SQL does. */
static char *
list_statement(CsSnowflake *session, const char *schema)
{
	const char *database = cs_option_get(session->base.options, "database");
	StringInfoData sql;

	if (database == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("option \"database\" is missing"),
				 errhint("ALTER SERVER ... OPTIONS (ADD database '...'), exactly as it is "
						 "written there, usually in capitals.")));
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, "
								 "NUMERIC_PRECISION, NUMERIC_SCALE, IS_NULLABLE FROM ");
	cs_sql_append_name(&sql, &cs_snowflake_dialect, database);
	appendStringInfoString(&sql, ".INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA IN (");
	cs_sql_append_text(&sql, &cs_snowflake_dialect, schema);
	appendStringInfoString(&sql, ", UPPER(");
	cs_sql_append_text(&sql, &cs_snowflake_dialect, schema);
	appendStringInfoString(&sql, ")) ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION");
	return sql.data;
}

/* A row of the list: one column; those of a table come one after the other. */
static void
add_listed(CsSnowflake *session, List **objects, const json_t *row, List *only)
{
	const char *name = cell_of(row, 1);
	CsObject *object = *objects ? llast(*objects) : NULL;
	CsCell ignored = { 0 };
	CsColumn *column;

	if (!cs_names_want(only, name))
		return;
	if (object == NULL || strcmp(object->name, name) != 0)
	{
		StringInfoData quoted;

		initStringInfo(&quoted);
		cs_sql_append_name(&quoted, &cs_snowflake_dialect,
						   cs_option_get(session->base.options, "database"));
		appendStringInfoChar(&quoted, '.');
		cs_sql_append_name(&quoted, &cs_snowflake_dialect, cell_of(row, 0));
		appendStringInfoChar(&quoted, '.');
		cs_sql_append_name(&quoted, &cs_snowflake_dialect, name);
		object = palloc0(sizeof(CsObject));
		object->schema = pstrdup(cell_of(row, 0));
		object->name = pstrdup(name);
		object->object = quoted.data;
		object->columns = palloc(sizeof(CsColumn));
		*objects = lappend(*objects, object);
	}
	object->columns = repalloc(object->columns, sizeof(CsColumn) * (object->ncolumns + 1));
	column = &object->columns[object->ncolumns++];
	memset(column, 0, sizeof(CsColumn));
	column->name = pstrdup(cell_of(row, 2));
	column->not_null = strcmp(cell_of(row, 6), "NO") == 0;
	cs_snowflake_set_type(column, &ignored, cell_of(row, 3), cell_of(row, 3), number_of(row, 4),
						  number_of(row, 5));
}

static const char *
cell_of(const json_t *row, int column)
{
	const char *text = json_string_value(json_array_get(row, column));

	return text ? text : "";
}

static int64
number_of(const json_t *row, int column)
{
	const char *text = cell_of(row, column);

	return text[0] != '\0' ? strtoll(text, NULL, 10) : -1;
}
