/*
 * bigquery.c
 *		Source: Google BigQuery, by its REST API v2.
 *
 * A query runs as a job, whose result is then read page by page; rows of a
 * table are listed, which costs nothing, unless not all are wanted; views are
 * queried.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "format/decoder.h"
#include "net/url.h"
#include "source/bigquery.h"
#include "source/json_peek.h"
#include "source/option_table.h"
#include "source/services.h"

#define BASE_URL "https://bigquery.googleapis.com/bigquery/v2"
#define SCOPE "https://www.googleapis.com/auth/bigquery"

/* Rows of a page where only some are wanted. */
#define FEW_ROWS 1000

static CsServiceSession *create(const CsReadSpec *spec, CsOptionSet *options);
static const char *qualify(const BqSession *session, const char *object, char **project,
						   char **dataset);
static bool authorize(CsServiceSession *base, CsHttpRequest *request, bool renew);
static void describe(CsServiceSession *base);
static void describe_object(BqSession *session);
static void set_table_path(BqSession *session, const char *project, const char *dataset,
						   const char *table);
static void narrow(CsServiceSession *base, const bool *needed);
static char *names_of(const BqSession *session, const bool *needed);
static void keep_columns(BqSession *session, const bool *needed);
static bool next_part(CsServiceSession *base, CsServicePart *part);
static char *page_url(const BqSession *session, const char *token);
static CsHttpRequest *guess_next(CsServiceSession *base, const char *beginning, const char *end);
static void end_part(CsServiceSession *base, const char *envelope, int64 rows);
static CsField *spread(CsServiceSession *base, CsRecord *raw);

const CsService cs_source_bigquery = {
	.base = CS_SERVICE("bigquery", CS_FOR_BIGQUERY),
	.create = create,
	.authorize = authorize,
	.may_pass = cs_bq_may_pass,
	.refuse = cs_bq_refuse,
	.describe = describe,
	.narrow = narrow,
	.next_part = next_part,
	.sequential = true,
	.guess_next = guess_next,
	.end_part = end_part,
	.spread = spread,
	.list = cs_bq_list,
	.dialect = &cs_bq_dialect,
	.statement = cs_bq_statement,
	.probe = cs_bq_probe,
};

static CsServiceSession *
create(const CsReadSpec *spec pg_attribute_unused(), CsOptionSet *options)
{
	BqSession *session = palloc0(sizeof(BqSession));

	session->base.context = CurrentMemoryContext;
	session->base.base_url = cs_option_get_default(options, "base_url", BASE_URL);
	session->auth = cs_google_auth_create(&session->base, options, SCOPE);
	session->dataset = cs_option_get(options, "dataset");
	session->location = cs_option_get(options, "location");
	if (cs_option_get(options, "project"))
		session->project = pstrdup(cs_option_get(options, "project"));
	return &session->base;
}

static bool
authorize(CsServiceSession *base, CsHttpRequest *request, bool renew)
{
	return cs_google_authorize(((BqSession *) base)->auth, base, request, renew);
}

/* The one that pays. */
const char *
cs_bq_project(BqSession *session)
{
	if (session->project == NULL)
		session->project = cs_google_auth_project(session->auth, &session->base);
	if (session->project == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
						errmsg("the server has no option \"project\""),
						errhint("ALTER SERVER ... OPTIONS (ADD project 'my-project')")));
	return session->project;
}

static void
describe(CsServiceSession *base)
{
	BqSession *session = (BqSession *) base;

	base->since = true;
	if (cs_warehouse_defers(&cs_bq_dialect, base->spec))
		cs_bq_dry_run(session);
	else if (base->spec->query)
	{
		session->statement = cs_warehouse_first_statement(&cs_bq_dialect, base->spec, NULL);
		cs_bq_run(session);
	}
	else if (base->spec->object)
		describe_object(session);
	else
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("there is neither a query nor an object"),
						errhint("Give object => 'dataset.table' or query => 'SELECT ...'.")));
}

/* Tables, snapshots and clones can be listed, everything else is queried. */
static void
describe_object(BqSession *session)
{
	char *project;
	char *dataset;
	const char *table = qualify(session, session->base.spec->object, &project, &dataset);
	json_t *answer;
	BqField *fields;
	char *type;
	int n;

	set_table_path(session, project ? project : cs_bq_project(session), dataset, table);
	answer = cs_service_call(&session->base,
							 cs_service_request(&session->base, "GET", session->table_path, NULL),
							 0, NULL);
	fields = cs_bq_fields(json_object_get(answer, "schema"), &n);
	if (n == 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("\"%s\" has no columns", session->base.spec->object),
						errhint("It must be a table or view with a schema.")));
	cs_bq_set_columns(&session->base, fields, n);
	type = cs_json_text(answer, "type");
	session->is_listable = type == NULL || strcmp(type, "TABLE") == 0 ||
						   strcmp(type, "SNAPSHOT") == 0 || strcmp(type, "CLONE") == 0;
	session->from = psprintf("`%s.%s.%s`", project ? project : session->project, dataset, table);
}

/* [project.]dataset.table, or [project:]; the project may have dots itself.  Returns the table. */
static const char *
qualify(const BqSession *session, const char *object, char **project, char **dataset)
{
	char *text = pstrdup(object);
	char *dot;
	char *before;

	*project = NULL;
	for (char *p = text; (p = strchr(p, '`')) != NULL;)
		memmove(p, p + 1, strlen(p));
	dot = strrchr(text, '.');
	if (dot == NULL && session->dataset)
	{
		*dataset = pstrdup(session->dataset);
		return text;
	}
	if (dot == NULL || dot[1] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("object \"%s\" names no dataset", object),
						errhint("It is 'dataset.table' or 'project.dataset.table'; the server "
								"option \"dataset\" stands for the first.")));
	*dot = '\0';
	before = strrchr(text, '.');
	if (strrchr(text, ':') > before)
		before = strrchr(text, ':');
	*dataset = before ? before + 1 : text;
	if (before)
	{
		*before = '\0';
		*project = text;
	}
	return dot + 1;
}

static void
set_table_path(BqSession *session, const char *project, const char *dataset, const char *table)
{
	session->table_path = psprintf("/projects/%s/datasets/%s/tables/%s", cs_url_encode(project),
								   cs_url_encode(dataset), cs_url_encode(table));
}

/* Only now is it known which columns, and which rows, an object is asked for.  Listing costs nothing, but
 * can't choose rows, and lacks those that were streamed a moment ago: an incremental read would never see them. */
static void
narrow(CsServiceSession *base, const bool *needed)
{
	BqSession *session = (BqSession *) base;
	const CsReadSpec *spec = base->spec;

	if (session->submitted)
		return;
	if (spec->query || !session->is_listable || spec->since ||
		cs_sql_narrows(&cs_bq_dialect, spec, base->columns, base->ncolumns))
	{
		session->statement = cs_sql_select_needed(&cs_bq_dialect, spec, base->columns,
												  base->ncolumns, needed, session->from);
		cs_bq_run(session);
		return;
	}
	session->fields = names_of(session, needed);
	keep_columns(session, needed);
}

/* The columns by comma; the first of them if none is needed. */
static char *
names_of(const BqSession *session, const bool *needed)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < session->base.ncolumns; i++)
		if (needed[i])
			appendStringInfo(&names, "%s%s", names.len ? "," : "", session->base.columns[i].name);
	if (names.len == 0)
		appendStringInfoString(&names, session->base.columns[0].name);
	return names.data;
}

/* Rows then have those alone, in their order; the first one if there are none. */
static void
keep_columns(BqSession *session, const bool *needed)
{
	CsServiceSession *base = &session->base;
	int all = base->ncolumns;
	int n = 0;

	session->all.ncolumns = all;
	session->all.names = palloc0(sizeof(char *) * all);
	session->all.seen = palloc0(sizeof(bool) * all);
	session->places = palloc0(sizeof(int) * all);
	base->members = palloc0(sizeof(char *) * all);
	for (int i = 0; i < all; i++)
	{
		session->all.names[i] = base->columns[i].name;
		if (!needed[i])
			continue;
		session->places[n] = i;
		base->columns[n] = base->columns[i];
		base->cells[n++] = base->cells[i];
	}
	base->ncolumns = base->nmembers = Max(n, 1);
	for (int i = 0; i < base->nmembers; i++)
		base->members[i] = base->columns[i].name;
}

static bool
next_part(CsServiceSession *base, CsServicePart *part)
{
	BqSession *session = (BqSession *) base;

	if (session->started && session->page_token == NULL)
		return false;
	if (session->submitted && base->total == 0)
		return false;
	session->started = true;
	part->answer = session->answer;
	if (session->answer == NULL)
		part->request.url = page_url(session, session->page_token);
	part->records = "/rows";
	part->shape = CS_ROW_CELLS;
	part->may_lack_records = true;
	return true;
}

/* token: NULL for the first one. */
static char *
page_url(const BqSession *session, const char *token)
{
	const CsServiceSession *base = &session->base;
	const char *size = cs_option_get(base->options, "page_size");
	StringInfoData url;

	initStringInfo(&url);
	appendStringInfoString(&url, base->base_url);
	if (session->submitted)
		appendStringInfo(
			&url, "%s&",
			cs_bq_job_path(session, NULL, "fields=jobComplete,pageToken,totalRows,rows"));
	else
		appendStringInfo(&url, "%s/data?selectedFields=%s&", session->table_path,
						 cs_url_encode(session->fields));
	appendStringInfoString(&url, "formatOptions.useInt64Timestamp=true");
	if (size)
		appendStringInfo(&url, "&maxResults=%d", cs_option_int(size));
	else if (base->spec->partial)
		appendStringInfo(&url, "&maxResults=%d", FEW_ROWS);
	if (token)
		appendStringInfo(&url, "&pageToken=%s", cs_url_encode(token));
	return url.data;
}

static CsHttpRequest *
guess_next(CsServiceSession *base, const char *beginning, const char *end pg_attribute_unused())
{
	char *token = cs_json_peek(beginning, "/pageToken");
	CsHttpRequest *request;

	if (token == NULL || token[0] == '\0')
		return NULL;
	request = palloc0(sizeof(CsHttpRequest));
	request->method = "GET";
	request->url = page_url((BqSession *) base, token);
	request->repeatable = true;
	return request;
}

/* The total is that of the first page: a table that changes meanwhile is an error. */
static void
end_part(CsServiceSession *base, const char *envelope, int64 rows)
{
	BqSession *session = (BqSession *) base;
	json_t *page = cs_json_parse(envelope, strlen(envelope));
	char *token = cs_json_text(page, "pageToken");
	int64 total = cs_json_int(page, "totalRows", -1);

	if (session->submitted && !cs_bq_is_complete(page))
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("the service sent a page of a result that is not complete"),
						errhint("Run it again.")));
	if (base->total < 0)
		base->total = total;
	if (base->total < 0)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("the service did not say how many rows there are"),
						errhint("Check the server option \"base_url\".")));
	if (total >= 0 && total != base->total)
		ereport(ERROR, (errcode(ERRCODE_FDW_ERROR),
						errmsg("the number of rows changed while they were being read"),
						errdetail("It was " INT64_FORMAT ", and then " INT64_FORMAT ".",
								  base->total, total),
						errhint("Run it again, or read by a query, which has a result that does "
								"not change.")));
	session->rows += rows;
	if (token && token[0] == '\0')
		token = NULL;
	if (token && session->page_token && strcmp(token, session->page_token) == 0)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("the service named the same page twice"), errhint("Run it again.")));
	if (token && session->rows > base->total)
		token = NULL; /* the reader says that there are too many */
	if (session->page_token)
		pfree(session->page_token);
	session->page_token = token ? MemoryContextStrdup(base->context, token) : NULL;
}

/* A server that does not know selectedFields sends all columns: others than Google's are known to. */
static CsField *
spread(CsServiceSession *base, CsRecord *raw)
{
	BqSession *session = (BqSession *) base;
	CsDecoderOptions options = { .format = CS_FORMAT_JSON, .records = "", .shape = CS_ROW_CELLS };
	CsDecoder *decoder;
	CsRecord whole;
	CsField *fields;
	char *text;

	if (raw->error_code == 0 || raw->raw == NULL || session->all.ncolumns == base->ncolumns)
		return raw->fields;
	decoder = cs_decoder_create(&options, &session->all);
	text = psprintf("[%s]", raw->raw);
	text = pg_server_to_any(text, (int) strlen(text), PG_UTF8);
	cs_decoder_feed(decoder, text, strlen(text));
	if (!cs_decoder_next(decoder, &whole) || whole.error_code)
		return raw->fields;
	fields = palloc(sizeof(CsField) * base->ncolumns);
	for (int i = 0; i < base->ncolumns; i++)
		fields[i] = whole.fields[session->places[i]];
	raw->error_code = 0;
	raw->error_message = NULL;
	return fields;
}
