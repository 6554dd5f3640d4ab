/*
 * elasticsearch_sql.c
 *		Results of SQL in Elasticsearch and OpenSearch: a first page with the
 *		columns, and a cursor for the others.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/memutils.h"

#include "source/elasticsearch.h"
#include "source/json_peek.h"

/* Groups after which OpenSearch stops without a word: 2.x, 3.x, and what its older engine answers there and then. */
#define GROUPS_OF_2 1000
#define GROUPS_OF_3 10000
#define GROUPS_OF_OLD 200

/* Rows of a page of OpenSearch, unless its indices are set to others. */
#define MAX_LIMIT 10000

static const char *rows_member(const ElasticSession *session);
static char *statement_body(ElasticSession *session);
static char *trim_statement(const char *query);
static bool has_pages(const char *query);
static bool is_grouped(const char *query);
static int64 limit_of(const char *query);
static const char *find_word(const char *text, const char *word);
static void refuse_partial(const ElasticSession *session);
static bool has_subquery(const char *query);
static void set_columns(ElasticSession *session, const json_t *document);
static void set_cursor(ElasticSession *session, const json_t *document);
static CsHttpRequest *page_request(ElasticSession *session, const char *cursor);
static void check_size(const json_t *document, int64 rows);
static void check_found(const ElasticSession *session);
static void check_groups(const ElasticSession *session);

/* The first page comes with the columns, and is kept. */
void
cs_elastic_sql_describe(ElasticSession *session)
{
	CsServiceSession *base = &session->base;
	CsHttpRequest *request;
	const json_t *document;

	if (session->opensearch)
		refuse_partial(session);
	request = cs_service_request(
		base, "POST", session->opensearch ? "/_plugins/_sql?format=jdbc" : "/_sql?format=json",
		statement_body(session));
	request->repeatable = true;
	session->first_page = cs_service_call_text(base, request);
	document = cs_json_parse_without(session->first_page, rows_member(session));
	cs_elastic_check_answer(session, document);
	set_columns(session, document);
	set_cursor(session, document);
}

static const char *
rows_member(const ElasticSession *session)
{
	return session->opensearch ? "/datarows" : "/rows";
}

static char *
statement_body(ElasticSession *session)
{
	const CsOptionSet *options = session->base.options;
	const char *leniency = cs_option_get(options, "field_multi_value_leniency");
	int timeout_s = cs_option_int(cs_option_get_default(options, "timeout", "3600"));
	StringInfoData body;

	initStringInfo(&body);
	appendStringInfo(&body, "{\"query\":%s",
					 cs_json_quote(trim_statement(session->base.spec->query)));
	if (!session->opensearch || has_pages(session->base.spec->query))
		appendStringInfo(&body, ",\"fetch_size\":%d", session->page_size);
	if (!session->opensearch)
	{
		appendStringInfo(&body, ",\"field_multi_value_leniency\":%s",
						 leniency && cs_option_bool(leniency) ? "true" : "false");
		if (timeout_s > 0)
			appendStringInfo(&body, ",\"request_timeout\":\"%ds\"", timeout_s);
		appendStringInfo(&body, ",\"page_timeout\":%s", cs_json_quote(session->page_timeout));
	}
	appendStringInfoChar(&body, '}');
	return body.data;
}

/* Neither takes a semicolon at the end. */
static char *
trim_statement(const char *query)
{
	char *text = pstrdup(query + strspn(query, " \t\r\n"));
	size_t len = strlen(text);

	while (len > 0 && strchr(" \t\r\n;", text[len - 1]))
		text[--len] = '\0';
	return text;
}

/* OpenSearch has no pages of groups, nor of what a LIMIT takes: asked for them, it answers with its older engine,
 * of which groups are few, and dates and keywords of other types.  The newer one takes any LIMIT that is
 * not larger than a page may be. */
static bool
has_pages(const char *query)
{
	int64 limit = limit_of(query);

	return !is_grouped(query) && (limit < 0 || limit > MAX_LIMIT);
}

static bool
is_grouped(const char *query)
{
	static const char *const functions[] = { "avg",		   "count",	   "max",		 "min",
											 "percentile", "std",	   "stddev",	 "sum",
											 "var_pop",	   "var_samp", "stddev_pop", "stddev_samp",
											 "variance" };

	for (int i = 0; i < (int) lengthof(functions); i++)
		for (const char *p = query; (p = find_word(p, functions[i])) != NULL;)
			if (p[strspn(p, " \t\r\n")] == '(')
				return true;
	return find_word(query, "group") || find_word(query, "distinct");
}

/* "LIMIT 10", or "LIMIT 5, 10"; -1: there is none. */
static int64
limit_of(const char *query)
{
	const char *p = find_word(query, "limit");
	char *end;
	int64 limit;

	if (p == NULL)
		return -1;
	limit = strtoll(p, &end, 10);
	end += strspn(end, " \t\r\n");
	return *end == ',' ? strtoll(end + 1, NULL, 10) : limit;
}

/* Behind a word of the statement, outside of quotes and comments; NULL: it has none. */
static const char *
find_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = text; *p; p++)
	{
		if (*p == '\'' || *p == '"' || *p == '`')
		{
			const char *end = strchr(p + 1, *p);

			if (end == NULL)
				return NULL;
			p = end;
		}
		else if (isalpha((unsigned char) *p) || *p == '_')
		{
			size_t n = 1;

			while (isalnum((unsigned char) p[n]) || p[n] == '_')
				n++;
			if (n == len && pg_strncasecmp(p, word, len) == 0)
				return p + n;
			p += n - 1;
		}
	}
	return NULL;
}

/* Groups are cut before HAVING chooses among them: the number of rows would not tell.  Nor does it where
 * the older engine reads more than one index, or an index more than once. */
static void
refuse_partial(const ElasticSession *session)
{
	static const char *const words[] = { "join", "union", "minus", "exists" };
	const char *query = session->base.spec->query;
	bool reads_more = has_subquery(query);

	if (find_word(query, "having"))
		ereport(
			ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a query of OpenSearch may not have HAVING"),
			 errdetail("It leaves groups out behind the first %d without telling, before HAVING.",
					   session->major < 3 ? GROUPS_OF_2 : GROUPS_OF_3),
			 errhint("Read the groups, and choose among them with a foreign table.")));
	for (int i = 0; i < (int) lengthof(words); i++)
		reads_more |= find_word(query, words[i]) != NULL;
	if (reads_more)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a query of OpenSearch may have neither JOIN, UNION, MINUS, EXISTS "
							   "nor IN with a query"),
						errdetail("It answers with the first 200 rows of them, without telling."),
						errhint("Read each index with a foreign table, and join them here.")));
}

/* IN (SELECT ...), which becomes a join there. */
static bool
has_subquery(const char *query)
{
	for (const char *p = query; (p = find_word(p, "in")) != NULL;)
		if (pg_strncasecmp(p + strspn(p, " \t\r\n("), "select", 6) == 0)
			return true;
	return false;
}

static void
set_columns(ElasticSession *session, const json_t *document)
{
	CsServiceSession *base = &session->base;
	const json_t *columns = json_object_get(document, session->opensearch ? "schema" : "columns");

	if (!json_is_array(columns) || json_array_size(columns) == 0)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("the service answered a query without columns"),
						errhint("Check the address of the server: something else may answer "
								"there.")));
	base->ncolumns = (int) json_array_size(columns);
	base->columns = palloc0(sizeof(CsColumn) * base->ncolumns);
	base->cells = palloc0(sizeof(CsCell) * base->ncolumns);
	for (int i = 0; i < base->ncolumns; i++)
	{
		const json_t *column = json_array_get(columns, i);
		const char *name = cs_json_text(column, "alias");
		const char *type = cs_json_text(column, "type");

		if (name == NULL || name[0] == '\0' || !session->opensearch)
			name = cs_json_text(column, "name");
		base->columns[i].name = pstrdup(name ? name : psprintf("column%d", i + 1));
		if (cs_elastic_is_listed(session, "array_fields", base->columns[i].name))
			cs_cell_set(&base->columns[i], &base->cells[i], JSONBOID, -1, cs_elastic_read_array);
		else if (cs_elastic_is_listed(session, "json_fields", base->columns[i].name))
			cs_cell_set(&base->columns[i], &base->cells[i], JSONBOID, -1, cs_cell_json_value);
		else
			cs_elastic_type_of_sql(&base->columns[i], &base->cells[i], type ? type : "");
	}
}

/* The service is told when nobody wants the rest. */
static void
set_cursor(ElasticSession *session, const json_t *document)
{
	MemoryContext old = MemoryContextSwitchTo(session->base.context);

	session->cursor = cs_json_text(document, "cursor");
	if (session->cursor && session->cursor[0] == '\0')
		session->cursor = NULL;
	cs_service_set_farewell(
		&session->base,
		session->cursor
			? cs_service_request(&session->base, "POST",
								 session->opensearch ? "/_plugins/_sql/close" : "/_sql/close",
								 psprintf("{\"cursor\":%s}", cs_json_quote(session->cursor)))
			: NULL);
	MemoryContextSwitchTo(old);
}

bool
cs_elastic_sql_next(ElasticSession *session, CsServicePart *part)
{
	if (session->ended)
		return false;
	part->records = rows_member(session);
	part->shape = CS_ROW_ARRAY;
	part->may_lack_records = true;
	if (session->first_page)
	{
		part->answer = session->first_page;
		return true;
	}
	part->request = *page_request(session, session->cursor);
	return true;
}

static CsHttpRequest *
page_request(ElasticSession *session, const char *cursor)
{
	CsHttpRequest *request =
		cs_service_request(&session->base, "POST",
						   session->opensearch ? "/_plugins/_sql?format=jdbc" : "/_sql?format=json",
						   psprintf("{\"cursor\":%s}", cs_json_quote(cursor)));

	request->repeatable = true;
	return request;
}

/* The cursor stands behind the rows. */
CsHttpRequest *
cs_elastic_sql_guess(ElasticSession *session, const char *end)
{
	char *cursor = cs_json_peek_behind_rows(end, "cursor");

	return cursor ? page_request(session, cursor) : NULL;
}

void
cs_elastic_sql_end(ElasticSession *session, const char *envelope, int64 rows)
{
	const json_t *document = cs_json_parse(envelope, strlen(envelope));

	cs_elastic_check_answer(session, document);
	if (!json_is_array(json_object_get(document, session->opensearch ? "datarows" : "rows")))
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("the service answered a query without rows"),
						errhint("Check the address of the server: something else may answer "
								"there.")));
	if (session->opensearch)
		check_size(document, rows);
	if (session->first_page)
	{
		session->found = cs_json_int(document, "total", 0);
		pfree(session->first_page);
	}
	session->first_page = NULL;
	session->rows += rows;
	set_cursor(session, document);
	session->ended = session->cursor == NULL;
	if (session->ended && session->opensearch)
	{
		check_found(session);
		check_groups(session);
	}
}

/* OpenSearch says how many rows a page has. */
static void
check_size(const json_t *document, int64 rows)
{
	int64 size = cs_json_int(document, "size", rows);

	if (size != rows)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 errmsg("the source sent " INT64_FORMAT " of the " INT64_FORMAT
						" rows that it announced for a part of the result",
						rows, size),
				 errhint("Nothing was changed. Run it again; if it happens again, the source is "
						 "at fault.")));
}

/* Its older engine says how many rows it has found, of which a LIMIT takes some. */
static void
check_found(const ElasticSession *session)
{
	if (session->rows < session->found && !find_word(session->base.spec->query, "limit"))
		ereport(ERROR, (errcode(ERRCODE_FDW_ERROR),
						errmsg("the source announced " INT64_FORMAT " rows and sent " INT64_FORMAT,
							   session->found, session->rows),
						errhint("Nothing was changed. Let the query bring less, or read the index "
								"as object.")));
}

static void
check_groups(const ElasticSession *session)
{
	if (is_grouped(session->base.spec->query) &&
		(session->rows == GROUPS_OF_2 || session->rows == GROUPS_OF_3 ||
		 session->rows == GROUPS_OF_OLD))
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("the service may have left groups out"),
						errdetail("It sent " INT64_FORMAT
								  " groups, which is where it stops without telling.",
								  session->rows),
						errhint("Ask for fewer groups at a time, with WHERE.")));
}
