/*
 * rockset.c
 *		Rockset, and what speaks its API, as a source: SQL over HTTP, results in
 *		pages of objects.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/memutils.h"

#include "base/names.h"
#include "net/auth.h"
#include "net/url.h"
#include "source/json_peek.h"
#include "source/option_table.h"
#include "source/rockset.h"
#include "source/services.h"

#define DEFAULT_PAGE_SIZE "10000"

/* The service's own limits of a query. */
#define TIMEOUT_MS 120000
#define ASYNC_TIMEOUT_MS 1800000

#define MAX_MESSAGE 500

static CsServiceSession *create(const CsReadSpec *spec, CsOptionSet *options);
static char *address(const CsOptionSet *options);
static void refuse(CsServiceSession *base, int status, const char *body);
static void throw_error(RocksetSession *session, int status, const json_t *error)
	pg_attribute_noreturn();
static int error_code(int status, const char *type);
static const char *error_hint(int status);
static void check_answer(RocksetSession *session, const json_t *document);
static void describe(CsServiceSession *base);
static void narrow(CsServiceSession *base, const bool *needed);
static char *statement(const CsReadSpec *spec);
static char *from_of(const char *object, const char *default_workspace, char **workspace,
					 char **name);
static const json_t *run(RocksetSession *session, const char *query);
static char *submit(RocksetSession *session, const char *query);
static char *await_end(RocksetSession *session, char *answer);
static CsHttpRequest *page_request(RocksetSession *session, const char *cursor);
static void set_pages(RocksetSession *session, const json_t *document);
static void start_members(RocksetSession *session);
static bool next_part(CsServiceSession *base, CsServicePart *part);
static CsHttpRequest *guess_next(CsServiceSession *base, const char *beginning, const char *end);
static void end_part(CsServiceSession *base, const char *envelope, int64 rows);
static CsField *spread(CsServiceSession *base, CsRecord *raw);
static List *list(CsServiceSession *base, const char *schema, List *only);
static void probe(CsServiceSession *base);

const CsService cs_source_rockset = {
	.base = CS_SERVICE("rockset", CS_FOR_ROCKSET),
	.create = create,
	.authorize = cs_service_authorize_fixed,
	.refuse = refuse,
	.describe = describe,
	.narrow = narrow,
	.next_part = next_part,
	.sequential = true,
	.guess_next = guess_next,
	.end_part = end_part,
	.spread = spread,
	.list = list,
	.dialect = &cs_rockset_dialect,
	.statement = statement,
	.probe = probe,
};

static CsServiceSession *
create(const CsReadSpec *spec pg_attribute_unused(), CsOptionSet *options)
{
	RocksetSession *session = palloc0(sizeof(RocksetSession));
	CsCredentials credentials = { 0 };
	const char *key = cs_option_get_user(options, "api_key");

	session->workspace = cs_option_get_default(options, "workspace", "commons");
	session->page_size = cs_option_get_default(options, "page_size", DEFAULT_PAGE_SIZE);
	session->wrapper = cs_rockset_wrapper();
	session->base.base_url = address(options);
	if (key)
	{
		credentials.api_key = psprintf("ApiKey %s", key);
		credentials.api_key_header = "Authorization";
		session->base.secrets = list_make1(pstrdup(key));
	}
	session->base.auth = cs_auth_create(&credentials);
	session->base.secrets = list_concat(session->base.secrets, cs_auth_secrets(session->base.auth));
	return &session->base;
}

static char *
address(const CsOptionSet *options)
{
	static const char *const regions[][2] = { { "us-east-1", "use1a1" },
											  { "us-west-2", "usw2a1" },
											  { "eu-central-1", "euc1a1" } };
	const char *url = cs_option_get(options, "base_url");
	const char *region = cs_option_get_default(options, "region", "us-east-1");

	if (url)
		return cs_service_base_url(url);
	for (int i = 0; i < (int) lengthof(regions); i++)
		if (strcmp(region, regions[i][0]) == 0)
			region = regions[i][1];
	return psprintf("https://api.%s.rockset.com", cs_url_encode(region));
}

static void
refuse(CsServiceSession *base, int status, const char *body)
{
	const json_t *document = cs_json_parse(body, strlen(body));

	if (json_object_get(document, "message"))
		throw_error((RocksetSession *) base, status, document);
}

static void
throw_error(RocksetSession *session, int status, const json_t *error)
{
	CsHttp *http = session->base.http;
	const char *message = cs_json_text(error, "message");
	const char *type = cs_json_text(error, "type");
	int64 line = cs_json_int(error, "line", 0);

	if (message == NULL)
		message = "it does not say why";
	ereport(
		ERROR,
		(errcode(error_code(status, type)),
		 errmsg("the service refused the request: %s",
				cs_http_redact(http, message, (int) strlen(message), MAX_MESSAGE)),
		 errdetail("Its type is %s, the status %d.%s",
				   type ? cs_http_redact(http, type, (int) strlen(type), 100) : "unknown", status,
				   line > 0 ? psprintf(" Line " INT64_FORMAT ", column " INT64_FORMAT ".", line,
									   cs_json_int(error, "column", 0))
							: ""),
		 errhint("%s", error_hint(status))));
}

static int
error_code(int status, const char *type)
{
	static const struct
	{
		const char *type;
		int code;
	} types[] = {
		{ "AUTHEXCEPTION", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION },
		{ "FORBIDDEN", ERRCODE_INSUFFICIENT_PRIVILEGE },
		{ "INVALIDINPUT", ERRCODE_SYNTAX_ERROR },
		{ "QUERY_ERROR", ERRCODE_SYNTAX_ERROR },
		{ "NOTFOUND", ERRCODE_UNDEFINED_OBJECT },
		{ "RATELIMITEXCEEDED", ERRCODE_CONFIGURATION_LIMIT_EXCEEDED },
		{ "RESOURCEEXCEEDED", ERRCODE_INSUFFICIENT_RESOURCES },
	};

	for (int i = 0; type && i < (int) lengthof(types); i++)
		if (pg_strcasecmp(types[i].type, type) == 0)
			return types[i].code;
	return status == 401   ? ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION
		   : status == 403 ? ERRCODE_INSUFFICIENT_PRIVILEGE
		   : status == 404 ? ERRCODE_UNDEFINED_OBJECT
		   : status == 429 ? ERRCODE_CONFIGURATION_LIMIT_EXCEEDED
						   : cs_http_refusal_code(status);
}

static const char *
error_hint(int status)
{
	return status == 401   ? "Check the API key in the user mapping."
		   : status == 403 ? "Check what the role of the API key may do."
		   : status == 429 ? "Ask for less, or run it again later."
		   : status >= 500 ? "The fault is the service's; try again later."
						   : "Check the query, and the names in it.";
}

/* Some failures come with a good status. */
static void
check_answer(RocksetSession *session, const json_t *document)
{
	const json_t *data = json_object_get(document, "data");
	const json_t *query = data ? data : document;
	const json_t *errors = json_object_get(query, "query_errors");
	const char *status = cs_json_text(query, "status");

	if (json_array_size(errors) > 0)
	{
		const json_t *error = json_array_get(errors, 0);

		throw_error(session, (int) cs_json_int(error, "status_code", 500), error);
	}
	if (status && (strcmp(status, "ERROR") == 0 || strcmp(status, "CANCELLED") == 0))
		ereport(ERROR,
				(errcode(strcmp(status, "ERROR") == 0 ? ERRCODE_FDW_ERROR : ERRCODE_QUERY_CANCELED),
				 errmsg("the service ended the query with status %s", status),
				 errhint("Run it again; the service's log says more.")));
}

static void
describe(CsServiceSession *base)
{
	RocksetSession *session = (RocksetSession *) base;
	const char *query = base->spec->query;
	char *workspace;
	char *name;
	const json_t *document;

	if (query == NULL && base->spec->object == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
						errmsg("neither an object nor a query is given"),
						errhint("Give a collection as object, or a query.")));
	if (query == NULL)
	{
		char *from = from_of(base->spec->object, session->workspace, &workspace, &name);

		base->since = true;
		if (cs_rockset_set_described_columns(session, workspace, name))
		{
			session->from = from;
			start_members(session);
			return;
		}
		query = psprintf("SELECT * FROM %s", from);
	}
	document = run(session, query);
	if (!cs_rockset_set_declared_columns(session, json_object_get(document, "column_fields")))
		cs_rockset_set_found_columns(session);
	start_members(session);
}

/* A collection was described; now it is known which columns and rows are wanted. */
static void
narrow(CsServiceSession *base, const bool *needed)
{
	RocksetSession *session = (RocksetSession *) base;

	if (session->from)
		(void) run(session, cs_sql_select_needed(&cs_rockset_dialect, base->spec, base->columns,
												 base->ncolumns, needed, session->from));
}

static char *
statement(const CsReadSpec *spec)
{
	char *workspace;
	char *name;

	if (spec->query)
		return pstrdup(spec->query);
	return cs_warehouse_statement(&cs_rockset_dialect, spec,
								  from_of(spec->object, NULL, &workspace, &name));
}

/* collection, or workspace.collection */
static char *
from_of(const char *object, const char *default_workspace, char **workspace, char **name)
{
	const char *dot = strrchr(object, '.');

	*workspace = dot ? pnstrdup(object, dot - object) : (char *) default_workspace;
	*name = pstrdup(dot ? dot + 1 : object);
	if (strpbrk(*name, "\"") || (*workspace && strpbrk(*workspace, "\"")))
		ereport(ERROR, (errcode(ERRCODE_INVALID_NAME),
						errmsg("the name of a collection has no double quotes"),
						errhint("Give it as workspace.collection.")));
	return *workspace ? psprintf("\"%s\".\"%s\"", *workspace, *name) : psprintf("\"%s\"", *name);
}

/* The statement's first page, and what it says but for its rows. */
static const json_t *
run(RocksetSession *session, const char *query)
{
	MemoryContext old = MemoryContextSwitchTo(session->base.context);
	const json_t *document;

	session->first_page = await_end(session, submit(session, query));
	document = cs_json_parse_without(session->first_page, "/results");
	check_answer(session, document);
	set_pages(session, document);
	MemoryContextSwitchTo(old);
	return document;
}

/* The answer to a statement, which may say that it still runs. */
static char *
submit(RocksetSession *session, const char *query)
{
	CsServiceSession *base = &session->base;
	const char *async = cs_option_get(base->options, "async");
	const char *instance = cs_option_get(base->options, "virtual_instance");
	bool is_async = async && cs_option_bool(async);
	int timeout_s = cs_option_int(cs_option_get_default(base->options, "timeout", "3600"));
	int64 most = is_async ? ASYNC_TIMEOUT_MS : TIMEOUT_MS;
	CsHttpRequest *request = cs_service_request(
		base, "POST",
		instance ? psprintf(CS_ROCKSET_SELF "/virtualinstances/%s/queries", cs_url_encode(instance))
				 : CS_ROCKSET_SELF "/queries",
		psprintf("{\"sql\":{\"query\":%s},%s\"max_initial_results\":%s,\"timeout_ms\":" INT64_FORMAT
				 "}",
				 cs_json_quote(query), is_async ? "\"async\":true," : "", session->page_size,
				 timeout_s > 0 ? Min(most, (int64) timeout_s * 1000) : most));

	request->repeatable = true;
	return cs_service_call_text(base, request);
}

/* The first page of a query that may still run. */
static char *
await_end(RocksetSession *session, char *answer)
{
	CsServiceSession *base = &session->base;
	const json_t *document = cs_json_parse_without(answer, "/results");
	const char *status;

	check_answer(session, document);
	session->query_id = cs_json_text(document, "query_id");
	if (session->query_id == NULL)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("the service answered a query without its id"),
						errhint("Check the address of the server: something else may answer "
								"there.")));
	cs_service_set_farewell(base, cs_service_request(base, "DELETE",
													 psprintf(CS_ROCKSET_SELF "/queries/%s",
															  cs_url_encode(session->query_id)),
													 NULL));
	status = cs_json_text(document, "status");
	if (status == NULL || (strcmp(status, "QUEUED") != 0 && strcmp(status, "RUNNING") != 0))
		return answer;
	for (int polls = 0;; polls++)
	{
		const json_t *data;

		cs_service_wait(polls);
		document = cs_service_call(base,
								   cs_service_request(base, "GET",
													  psprintf(CS_ROCKSET_SELF "/queries/%s",
															   cs_url_encode(session->query_id)),
													  NULL),
								   0, NULL);
		check_answer(session, document);
		data = json_object_get(document, "data");
		status = cs_json_text(data, "status");
		if (status == NULL || (strcmp(status, "QUEUED") != 0 && strcmp(status, "RUNNING") != 0))
		{
			session->cursor = cs_json_text(json_object_get(data, "pagination"), "start_cursor");
			return cs_service_call_text(base, page_request(session, session->cursor));
		}
	}
}

static CsHttpRequest *
page_request(RocksetSession *session, const char *cursor)
{
	return cs_service_request(
		&session->base, "GET",
		psprintf(CS_ROCKSET_SELF "/queries/%s/pages?docs=%s%s%s", cs_url_encode(session->query_id),
				 session->page_size, cursor ? "&cursor=" : "", cursor ? cs_url_encode(cursor) : ""),
		NULL);
}

static void
set_pages(RocksetSession *session, const json_t *document)
{
	MemoryContext old = MemoryContextSwitchTo(session->base.context);
	char *next = cs_json_text(json_object_get(document, "pagination"), "next_cursor");

	if (next && next[0] == '\0')
		next = NULL;
	session->cursor = next;
	session->ended = session->cursor == NULL;
	if (session->base.total < 0)
		session->base.total = cs_json_int(document, "results_total_doc_count", -1);
	MemoryContextSwitchTo(old);
}

static void
start_members(RocksetSession *session)
{
	CsServiceSession *base = &session->base;

	base->nmembers = base->ncolumns;
	base->members = palloc(sizeof(char *) * Max(1, base->ncolumns));
	for (int i = 0; i < base->ncolumns; i++)
		base->members[i] = base->columns[i].name;
}

static bool
next_part(CsServiceSession *base, CsServicePart *part)
{
	RocksetSession *session = (RocksetSession *) base;

	if (session->first_page == NULL && session->ended)
		return false;
	part->records = "/results";
	part->may_lack_records = true;
	if (session->first_page)
		part->answer = session->first_page;
	else
		part->request = *page_request(session, session->cursor);
	return true;
}

/* The cursor stands before the rows, or behind them. */
static CsHttpRequest *
guess_next(CsServiceSession *base, const char *beginning, const char *end)
{
	char *cursor = cs_json_peek(beginning, "/pagination/next_cursor");

	if (cursor == NULL)
		cursor = cs_json_peek_behind_rows(end, "next_cursor");
	return cursor ? page_request((RocksetSession *) base, cursor) : NULL;
}

static void
end_part(CsServiceSession *base, const char *envelope, int64 rows)
{
	RocksetSession *session = (RocksetSession *) base;
	const json_t *document = cs_json_parse(envelope, strlen(envelope));
	const json_t *pagination = json_object_get(document, "pagination");
	int64 announced = cs_json_int(pagination, "current_page_doc_count", rows);
	const char *next = cs_json_text(pagination, "next_cursor");

	check_answer(session, document);
	if (!json_is_array(json_object_get(document, "results")))
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("the service answered a query without results"),
						errhint("Check the address of the server: something else may answer "
								"there.")));
	if (announced != rows)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 errmsg("the source sent " INT64_FORMAT " of the " INT64_FORMAT
						" rows that it announced for a part of the result",
						rows, announced),
				 errhint("Nothing was changed. Run it again; if it happens again, the source is "
						 "at fault.")));
	if (session->first_page == NULL && session->cursor && next &&
		strcmp(next, session->cursor) == 0)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("the service named the same page twice"), errhint("Run it again.")));
	session->first_page = NULL;
	set_pages(session, document);
}

/* Values without their wrappers. */
static CsField *
spread(CsServiceSession *base, CsRecord *raw)
{
	RocksetSession *session = (RocksetSession *) base;

	if (raw->error_code)
		return raw->fields;
	if (session->open_ended && session->first_page == NULL && base->spec->wanted == NIL && raw->raw)
		cs_rockset_check_members(session, raw->raw);
	for (int i = 0; i < base->ncolumns; i++)
		cs_rockset_unwrap(session->wrapper, &raw->fields[i]);
	return raw->fields;
}

/* Collections of a workspace. */
static List *
list(CsServiceSession *base, const char *schema, List *only)
{
	RocksetSession *session = (RocksetSession *) base;
	const json_t *answer = cs_service_call(
		base, cs_service_request(base, "GET", CS_ROCKSET_SELF "/collections", NULL), 0, NULL);
	const json_t *data = json_object_get(answer, "data");
	const char *wanted = *schema && strcmp(schema, "public") != 0 ? schema : session->workspace;
	List *objects = NIL;

	for (size_t i = 0; i < json_array_size(data); i++)
	{
		const json_t *entry = json_array_get(data, i);
		const char *workspace = cs_json_text(entry, "workspace");
		const char *name = cs_json_text(entry, "name");
		CsObject *object;

		if (workspace == NULL || name == NULL || strcmp(workspace, wanted) != 0 ||
			!cs_names_want(only, name))
			continue;
		object = palloc0(sizeof(CsObject));
		object->schema = pstrdup(workspace);
		object->name = pstrdup(name);
		object->object = psprintf("%s.%s", workspace, name);
		if (cs_rockset_set_described_columns(session, workspace, name))
		{
			object->ncolumns = base->ncolumns;
			object->columns = base->columns;
		}
		else
			object->refused = "it can't be described";
		objects = lappend(objects, object);
	}
	return objects;
}

static void
probe(CsServiceSession *base)
{
	(void) cs_service_call(base, cs_service_request(base, "GET", CS_ROCKSET_SELF, NULL), 0, NULL);
}
