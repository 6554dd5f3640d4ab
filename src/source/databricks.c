/*
 * databricks.c
 *		The source databricks: statements of a SQL warehouse, results by chunks.
 *
 * A statement is submitted without waiting, so that its id is known, and it can
 * be canceled, from the beginning.  Chunks come from where links lead to that
 * are signed and need no credentials, as a result in the answers themselves
 * may have 25 MiB at most.  An object is described by a SELECT of none of its
 * rows; the one that reads it asks for what the service would else cut or turn
 * into text.
 */
#include "postgres.h"

#include <limits.h>

#include "catalog/pg_type.h"

#include "net/url.h"
#include "source/databricks.h"
#include "source/option_table.h"
#include "source/services.h"

#define STATEMENTS "/api/2.0/sql/statements"

static CsServiceSession *create(const CsReadSpec *spec, CsOptionSet *options);
static void describe(CsServiceSession *base);
static void narrow(CsServiceSession *base, const bool *needed);
static bool next_part(CsServiceSession *base, CsServicePart *part);
static void again(CsServiceSession *base, CsServicePart *part);
static void probe(CsServiceSession *base);
static char *expression_of(const CsColumn *column);
static void keep_described(CsDatabricks *session, const CsColumn *before, int nbefore);
static void run(CsDatabricks *session, const char *statement);
static char *submission_body(CsDatabricks *session, const char *statement);
static void add_context(StringInfo json, CsDatabricks *session, const char *name);
static char *path_of(CsDatabricks *session, const char *rest);
static void take_manifest(CsDatabricks *session, const json_t *manifest, const json_t *result);
static void take_columns(CsDatabricks *session, const json_t *columns);
static void take_chunks(CsDatabricks *session, const json_t *manifest);
static bool is_counted(const CsDatabricks *session, const json_t *result);
static void ask_storage(CsDatabricks *session, CsServicePart *part, int chunk);
static const json_t *find_link(const json_t *links, int chunk);
static List *headers_of(json_t *headers);

const CsService cs_source_databricks = {
	.base = CS_SERVICE("databricks", CS_FOR_DATABRICKS),
	.create = create,
	.authorize = cs_databricks_authorize,
	.refuse = cs_databricks_refuse,
	.describe = describe,
	.narrow = narrow,
	.next_part = next_part,
	.again = again,
	.list = cs_databricks_list,
	.takes = cs_databricks_takes,
	.statement = cs_databricks_statement,
	.probe = probe,
};

static CsServiceSession *
create(const CsReadSpec *spec pg_attribute_unused(), CsOptionSet *options)
{
	CsDatabricks *session = palloc0(sizeof(CsDatabricks));

	cs_databricks_log_in(session, options);
	session->external =
		strcmp(cs_option_get_default(options, "disposition", "external_links"), "inline") != 0;
	return &session->base;
}

static void
describe(CsServiceSession *base)
{
	CsDatabricks *session = (CsDatabricks *) base;
	const CsDialect *dialect = cs_databricks_dialect(base->spec);

	if (base->spec->query == NULL && base->spec->object == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a source of type \"databricks\" needs a query or an object")));
	base->since = true;
	base->deferred = cs_warehouse_defers(dialect, base->spec);
	run(session, cs_warehouse_first_statement(dialect, base->spec, cs_databricks_from(base->spec)));
}

/* A query has run, unless more is known to be asked for now; of an object, its rows are. */
static void
narrow(CsServiceSession *base, const bool *needed)
{
	CsDatabricks *session = (CsDatabricks *) base;
	CsColumn *before = base->columns;
	int nbefore = base->ncolumns;

	if (base->spec->query && !base->deferred)
		return;
	for (int i = 0; base->spec->object && i < nbefore; i++)
		before[i].expression = expression_of(&before[i]);
	run(session, cs_sql_select_needed(cs_databricks_dialect(base->spec), base->spec, before,
									  nbefore, needed, cs_databricks_from(base->spec)));
	if (base->spec->object)
		keep_described(session, before, nbefore);
}

static bool
next_part(CsServiceSession *base, CsServicePart *part)
{
	CsDatabricks *session = (CsDatabricks *) base;
	int chunk = session->next_chunk;

	if (chunk >= session->nchunks)
		return false;
	part->number = chunk;
	part->shape = CS_ROW_ARRAY;
	part->expected = session->chunk_rows[chunk];
	if (session->external)
		ask_storage(session, part, chunk);
	else
	{
		part->request.url = psprintf("%s%s", base->base_url,
									 path_of(session, psprintf("/result/chunks/%d", chunk)));
		part->records = "/data_array";
	}
	session->next_chunk++;
	return true;
}

/* Its link has expired: the service makes another one. */
static void
again(CsServiceSession *base, CsServicePart *part)
{
	ask_storage((CsDatabricks *) base, part, part->number);
}

static void
probe(CsServiceSession *base)
{
	run((CsDatabricks *) base, "SELECT 1");
}

/* Timestamps would be cut to milliseconds, those in arrays, maps and structs as well. */
static char *
expression_of(const CsColumn *column)
{
	StringInfoData name;

	initStringInfo(&name);
	cs_sql_append_name(&name, &cs_databricks_object_dialect, column->name);
	switch (column->typid)
	{
		case TIMESTAMPTZOID:
			return psprintf("unix_micros(%s)", name.data);
		case TIMESTAMPOID:
			return psprintf("CAST(%s AS STRING)", name.data);
		case JSONBOID:
			return psprintf("to_json(%s, map('ignoreNullFields', 'false'))", name.data);
		default:
			return NULL;
	}
}

/* Columns stay of the type that they were described with; the cells read what was asked for. */
static void
keep_described(CsDatabricks *session, const CsColumn *before, int nbefore)
{
	CsServiceSession *base = &session->base;

	for (int i = 0; i < base->ncolumns; i++)
	{
		CsColumn *now = &base->columns[i];
		int at = cs_column_find(before, nbefore, now->name);
		Oid type = at < 0 ? InvalidOid : before[at].typid;
		Oid sent = type == TIMESTAMPTZOID					  ? INT8OID
				   : type == TIMESTAMPOID || type == JSONBOID ? TEXTOID
															  : type;

		if (at < 0 || now->typid != sent || (type == sent && now->typmod != before[at].typmod))
			ereport(ERROR, (errcode(ERRCODE_FDW_ERROR),
							errmsg("column \"%s\" was changed at the source while it was being "
								   "read",
								   now->name),
							errhint("Run it again.")));
		if (type == TIMESTAMPTZOID)
			base->cells[i].read = cs_cell_micros;
		else if (type == TIMESTAMPOID)
			base->cells[i].read = cs_cell_timestamp;
		else if (type == JSONBOID)
			base->cells[i].read = cs_cell_json;
		*now = before[at];
	}
}

/* Submits a statement and waits for its result, whose shape the session then has. */
static void
run(CsDatabricks *session, const char *statement)
{
	CsServiceSession *base = &session->base;
	MemoryContext old = MemoryContextSwitchTo(base->context);
	CsHttpRequest *request =
		cs_service_request(base, "POST", STATEMENTS, submission_body(session, statement));
	const char *rows = "/result/data_array";
	json_t *answer;

	cs_service_set_farewell(base, NULL);
	/* It only reads: sent twice it does no harm. */
	request->repeatable = true;
	answer = cs_service_call_without(base, request, rows, NULL);
	session->statement = cs_json_text(answer, "statement_id");
	if (session->statement == NULL)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("the answer of Databricks to a statement has no id of it")));
	cs_service_set_farewell(base,
							cs_service_request(base, "POST", path_of(session, "/cancel"), NULL));
	for (int polls = 0; !cs_databricks_check_status(base, answer); polls++)
	{
		cs_service_wait(polls);
		answer = cs_service_call_without(
			base, cs_service_request(base, "GET", path_of(session, ""), NULL), rows, NULL);
	}
	take_manifest(session, json_object_get(answer, "manifest"), json_object_get(answer, "result"));
	MemoryContextSwitchTo(old);
}

static char *
submission_body(CsDatabricks *session, const char *statement)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfo(&json, "{\"warehouse_id\":%s,\"statement\":%s",
					 cs_json_quote(session->warehouse), cs_json_quote(statement));
	add_context(&json, session, "catalog");
	add_context(&json, session, "schema");
	appendStringInfo(&json,
					 ",\"wait_timeout\":\"0s\",\"on_wait_timeout\":\"CONTINUE\","
					 "\"disposition\":\"%s\",\"format\":\"JSON_ARRAY\"}",
					 session->external ? "EXTERNAL_LINKS" : "INLINE");
	return json.data;
}

static void
add_context(StringInfo json, CsDatabricks *session, const char *name)
{
	const char *value = cs_option_get(session->base.options, name);

	if (value)
		appendStringInfo(json, ",\"%s\":%s", name, cs_json_quote(value));
}

static char *
path_of(CsDatabricks *session, const char *rest)
{
	return psprintf(STATEMENTS "/%s%s", cs_url_encode(session->statement), rest);
}

static void
take_manifest(CsDatabricks *session, const json_t *manifest, const json_t *result)
{
	const json_t *columns = json_object_get(json_object_get(manifest, "schema"), "columns");
	char *format = cs_json_text(manifest, "format");

	if (manifest == NULL || (format && strcmp(format, "JSON_ARRAY") != 0))
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("the result was not described by Databricks"),
						errdetail("Its format is %s.",
								  format ? cs_http_redact_secrets(session->base.http, format)
										 : "missing")));
	if (json_is_true(json_object_get(manifest, "truncated")))
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("the result was too large for Databricks, which cut it off"),
						errdetail("It says that the result is truncated."),
						errhint("Let the query bring less.")));
	if (json_array_size(columns) == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the source query returns no rows"),
						errhint("It must be one statement that returns rows.")));
	session->base.total = cs_json_int(manifest, "total_row_count", -1);
	take_columns(session, columns);
	take_chunks(session, manifest);
	if (!is_counted(session, result))
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("the result was not described by Databricks"),
						errdetail("It does not say how many rows there are.")));
}

static void
take_columns(CsDatabricks *session, const json_t *columns)
{
	CsServiceSession *base = &session->base;

	base->ncolumns = (int) json_array_size(columns);
	base->columns = palloc0(sizeof(CsColumn) * Max(1, base->ncolumns));
	base->cells = palloc0(sizeof(CsCell) * Max(1, base->ncolumns));
	for (int i = 0; i < base->ncolumns; i++)
	{
		const json_t *described = json_array_get(columns, i);
		char *name = cs_json_text(described, "name");
		char *type = cs_json_text(described, "type_name");
		char *text = cs_json_text(described, "type_text");

		base->columns[i].name = name ? name : psprintf("column%d", i + 1);
		cs_databricks_set_type(&base->columns[i], &base->cells[i], type ? type : "STRING",
							   cs_json_int(described, "type_precision", -1),
							   cs_json_int(described, "type_scale", -1));
		if (text && base->columns[i].typid == JSONBOID)
			(void) cs_databricks_set_nested(&base->columns[i], &base->cells[i], text);
	}
}

static void
take_chunks(CsDatabricks *session, const json_t *manifest)
{
	const json_t *chunks = json_object_get(manifest, "chunks");
	int64 count = cs_json_int(manifest, "total_chunk_count", (int64) json_array_size(chunks));

	if (count < 0 || count > INT_MAX / (int64) sizeof(int64))
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("the result was not described by Databricks"),
						errdetail("It has " INT64_FORMAT " chunks.", count)));
	session->next_chunk = 0;
	session->nchunks = (int) count;
	session->chunk_rows = palloc(sizeof(int64) * Max(1, session->nchunks));
	for (int i = 0; i < session->nchunks; i++)
		session->chunk_rows[i] = -1;
	for (size_t i = 0; i < json_array_size(chunks); i++)
	{
		int64 at = cs_json_int(json_array_get(chunks, i), "chunk_index", (int64) i);

		if (at >= 0 && at < count)
			session->chunk_rows[at] = cs_json_int(json_array_get(chunks, i), "row_count", -1);
	}
}

/* Else nobody could tell that rows are missing. */
static bool
is_counted(const CsDatabricks *session, const json_t *result)
{
	if (session->base.total >= 0)
		return true;
	for (int i = 0; i < session->nchunks; i++)
		if (session->chunk_rows[i] < 0)
			return false;
	return session->nchunks > 0 || json_object_size(result) == 0;
}

/* Asks for the chunk's link, which is good for some minutes, and makes the request for what is there. */
static void
ask_storage(CsDatabricks *session, CsServicePart *part, int chunk)
{
	CsServiceSession *base = &session->base;
	char *path = path_of(session, psprintf("/result/chunks/%d", chunk));
	json_t *answer = cs_service_call(base, cs_service_request(base, "GET", path, NULL), 0, NULL);
	const json_t *link = find_link(json_object_get(answer, "external_links"), chunk);

	part->request.url = cs_json_text(link, "external_link");
	if (part->request.url == NULL)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("no link to chunk %d of the result came from Databricks", chunk)));
	part->request.headers = headers_of(json_object_get(link, "http_headers"));
	part->foreign = true;
	part->records = "";
}

static const json_t *
find_link(const json_t *links, int chunk)
{
	for (size_t i = 0; i < json_array_size(links); i++)
		if (cs_json_int(json_array_get(links, i), "chunk_index", -1) == chunk)
			return json_array_get(links, i);
	return NULL;
}

static List *
headers_of(json_t *headers)
{
	List *result = NIL;
	const char *name;
	json_t *value;

	json_object_foreach(headers, name, value)
	{
		CsHttpHeader *header = palloc(sizeof(CsHttpHeader));

		if (!json_is_string(value))
			continue;
		header->name = pstrdup(name);
		header->value = pstrdup(json_string_value(value));
		result = lappend(result, header);
	}
	return result;
}
