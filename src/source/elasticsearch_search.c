/*
 * elasticsearch_search.c
 *		Documents of Elasticsearch and OpenSearch: a point in time, and pages
 *		that begin after the last document of the one before.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/memutils.h"

#include "net/url.h"
#include "source/elasticsearch.h"
#include "source/json_peek.h"

/* Members of each hit. */
enum
{
	HIT_ID,
	HIT_INDEX,
	HIT_SOURCE,
	HIT_SORT,
	HIT_MEMBERS
};

static char *const hit_members[] = { "_id", "_index", "_source", "sort" };

static bool is_in(const char *const *names, const char *name, int len);
static void check_json(const char *body);
static void refuse_member(const char *name, int len) pg_attribute_noreturn();
static int find_path(char *const *names, int n, const char *path);
static void open_point_in_time(ElasticSession *session);
static void set_point_in_time(ElasticSession *session, const char *id);
static CsHttpRequest *page_request(ElasticSession *session, const char *pit, const char *after,
								   bool first);
static char *page_body(ElasticSession *session, const char *pit, const char *after, bool first);
static const char *tie_breaker(const ElasticSession *session);
static bool is_last_page(const ElasticSession *session, const char *beginning);
static void check_hits(ElasticSession *session, const json_t *document, int64 rows);
static void set_total(ElasticSession *session, const json_t *hits);
static void find_sort(ElasticSession *session, const char *json);
static CsField *read_leaves(ElasticSession *session, CsRecord *raw);

/* Of a search body, those members that are sent on. */
char *
cs_elastic_search_members(ElasticSession *session, const char *body)
{
	static const char *const refused[] = { "aggregations",
										   "aggs",
										   "collapse",
										   "pit",
										   "script_fields",
										   "scroll",
										   "search_after",
										   "slice",
										   "suggest",
										   "terminate_after",
										   NULL };
	static const char *const replaced[] = { "_source",
											"docvalue_fields",
											"explain",
											"fields",
											"highlight",
											"profile",
											"query",
											"size",
											"sort",
											"seq_no_primary_term",
											"stored_fields",
											"track_scores",
											"track_total_hits",
											"version",
											NULL };
	/* A filter of the query would mean something else with them. */
	static const char *const unfiltered[] = { "knn",		  "min_score", "rank",
											  "rescore",	  "retriever", "runtime_mappings",
											  "sub_searches", NULL };
	StringInfoData members;
	const char *name;
	const char *value;
	int name_len;
	int len;

	check_json(body);
	initStringInfo(&members);
	while (cs_json_member_next(&body, &name, &name_len, &value, &len))
	{
		if (is_in(refused, name, name_len) ||
			(name_len == 4 && strncmp(name, "from", 4) == 0 && strncmp(value, "0", len) != 0))
			refuse_member(name, name_len);
		if (name_len == 4 && strncmp(name, "sort", 4) == 0)
			session->sort = pnstrdup(value, len);
		if (name_len == 4 && strncmp(name, "size", 4) == 0 && *value > '0' && *value <= '9')
			session->page_size = cs_option_int(pnstrdup(value, len));
		if (name_len == 5 && strncmp(name, "query", 5) == 0)
			session->query = pnstrdup(value, len);
		session->no_filter |= is_in(unfiltered, name, name_len);
		if (!is_in(replaced, name, name_len) && !(name_len == 4 && strncmp(name, "from", 4) == 0))
			appendStringInfo(&members, "\"%.*s\":%.*s,", name_len, name, len, value);
	}
	return members.data;
}

static bool
is_in(const char *const *names, const char *name, int len)
{
	for (; *names; names++)
		if ((int) strlen(*names) == len && strncmp(*names, name, len) == 0)
			return true;
	return false;
}

static void
check_json(const char *body)
{
	CsCell cell = { 0 };
	CsField field = { CS_VALUE_TEXT, pstrdup(body), (int) strlen(body) };
	char *why = NULL;

	(void) cs_cell_json(&cell, &field, &why);
	if (why)
		ereport(ERROR, (errcode(ERRCODE_INVALID_JSON_TEXT),
						errmsg("the query begins with { but is no JSON"),
						errhint("A query is SQL, or the body of a search as JSON.")));
}

static void
refuse_member(const char *name, int len)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("a search may not have \"%.*s\" here", len, name),
					errdetail("All documents that it finds are read, page by page, at one point in "
							  "time."),
					errhint("For groups and sums, let the query be SQL.")));
}

/* The leaves of documents that are looked at; a column and its aliases have the same. */
void
cs_elastic_search_narrow(ElasticSession *session, const bool *needed)
{
	CsServiceSession *base = &session->base;
	char **names = palloc(sizeof(char *) * Max(1, base->ncolumns));
	CsLeafKind *kinds = palloc(sizeof(CsLeafKind) * Max(1, base->ncolumns));
	StringInfoData source;
	bool all = true;

	initStringInfo(&source);
	session->column_leaves = palloc(sizeof(int) * Max(1, base->ncolumns));
	session->nleaves = 0;
	for (int i = 0; i < base->ncolumns; i++)
	{
		int leaf = needed[i] ? find_path(names, session->nleaves, session->paths[i]) : -1;

		all = all && (needed[i] || session->paths[i] == NULL);
		session->column_leaves[i] = leaf;
		if (session->paths[i] == NULL || !needed[i] || leaf >= 0)
			continue;
		session->column_leaves[i] = session->nleaves;
		kinds[session->nleaves] = session->kinds[i];
		names[session->nleaves++] = session->paths[i];
		appendStringInfo(&source, "%s%s", source.len ? "," : "[", cs_json_quote(session->paths[i]));
	}
	appendStringInfoChar(&source, ']');
	session->source = session->nleaves == 0 ? "false" : all ? "true" : source.data;
	if (session->nleaves > 0 && session->has_vectors && session->hides_vectors)
		session->source = psprintf("{\"exclude_vectors\":false%s%s}",
								   all ? "" : ",\"includes\":", all ? "" : source.data);
	session->leaves = cs_json_leaves_create(session->nleaves, names, kinds);
	cs_elastic_filter_set(session);
	base->nmembers = HIT_MEMBERS;
	base->members = (char **) hit_members;
}

static int
find_path(char *const *names, int n, const char *path)
{
	for (int i = 0; path && i < n; i++)
		if (strcmp(names[i], path) == 0)
			return i;
	return -1;
}

bool
cs_elastic_search_next(ElasticSession *session, CsServicePart *part)
{
	if (session->ended)
		return false;
	if (session->pit == NULL)
		open_point_in_time(session);
	part->request =
		*page_request(session, session->pit,
					  session->last_sort.len > 0 ? session->last_sort.data : NULL, session->first);
	part->records = "/hits/hits";
	part->may_lack_records = true;
	resetStringInfo(&session->last_sort);
	return true;
}

static void
open_point_in_time(ElasticSession *session)
{
	CsServiceSession *base = &session->base;
	char *path = psprintf("/%s/%s?keep_alive=%s%s", cs_elastic_path(session->index),
						  session->opensearch ? "_search/point_in_time" : "_pit",
						  cs_url_encode(session->page_timeout),
						  session->opensearch ? "&allow_partial_pit_creation=false" : "");
	CsHttpRequest *request = cs_service_request(base, "POST", path, NULL);
	const json_t *answer;
	const char *id;

	request->repeatable = true;
	answer = cs_service_call(base, request, 0, NULL);
	cs_elastic_check_answer(session, answer);
	id = cs_json_text(answer, session->opensearch ? "pit_id" : "id");
	if (id == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION), errmsg("the service opened no point in time"),
				 errhint("It needs Elasticsearch 7.10 or OpenSearch 2.4, or later.")));
	set_point_in_time(session, id);
	session->first = true;
}

/* Each answer may name another; it is given back when the session ends, however that is. */
static void
set_point_in_time(ElasticSession *session, const char *id)
{
	MemoryContext old = MemoryContextSwitchTo(session->base.context);
	CsHttpRequest *request;

	session->pit = pstrdup(id);
	request = cs_service_request(
		&session->base, "DELETE", session->opensearch ? "/_search/point_in_time" : "/_pit",
		session->opensearch ? psprintf("{\"pit_id\":[%s]}", cs_json_quote(id))
							: psprintf("{\"id\":%s}", cs_json_quote(id)));
	session->base.always_farewell = true;
	cs_service_set_farewell(&session->base, request);
	MemoryContextSwitchTo(old);
}

/* Of the page after the document with those sort values. */
static CsHttpRequest *
page_request(ElasticSession *session, const char *pit, const char *after, bool first)
{
	CsHttpRequest *request =
		cs_service_request(&session->base, "POST", "/_search?allow_partial_search_results=false",
						   page_body(session, pit, after, first));

	request->repeatable = true;
	return request;
}

static char *
page_body(ElasticSession *session, const char *pit, const char *after, bool first)
{
	StringInfoData body;
	const char *sort = session->sort;

	initStringInfo(&body);
	appendStringInfo(&body, "{\"size\":%d,\"pit\":{\"id\":%s,\"keep_alive\":%s},",
					 session->page_size, cs_json_quote(pit), cs_json_quote(session->page_timeout));
	appendStringInfo(&body, "%s\"query\":%s,\"sort\":[", session->search,
					 cs_elastic_filtered(session->query, session->filter));
	if (sort)
	{
		const char *value = sort;
		const char *element;
		int len;

		if (*sort != '[')
			appendStringInfo(&body, "%s,", sort);
		else
			while (cs_json_element_next(&value, &element, &len))
				appendStringInfo(&body, "%.*s,", len, element);
	}
	appendStringInfo(&body, "%s],\"track_total_hits\":%s,\"_source\":%s", tie_breaker(session),
					 first ? "true" : "false", session->source);
	if (after)
		appendStringInfo(&body, ",\"search_after\":%s", after);
	appendStringInfoChar(&body, '}');
	return body.data;
}

/* What no two documents have in common. */
static const char *
tie_breaker(const ElasticSession *session)
{
	const char *field = cs_option_get(session->base.options, "tiebreaker");
	bool has_it;

	if (field)
		return psprintf("{%s:\"asc\"}", cs_json_quote(field));
	has_it = session->opensearch
				 ? session->major > 3 || (session->major == 3 && session->minor >= 3)
				 : session->major != 7 || session->minor >= 12;
	if (has_it)
		return "{\"_shard_doc\":\"asc\"}";
	return "{\"_index\":\"asc\"},{\"_id\":\"asc\"}";
}

/* The last document's sort values stand at the end, behind everything else that it has. */
CsHttpRequest *
cs_elastic_search_guess(ElasticSession *session, const char *beginning, const char *end)
{
	const char *rest;
	char *after = cs_json_peek_last(end, "sort", &rest);
	char *pit = cs_json_peek(beginning, "/pit_id");

	if (after == NULL || *after != '[' || is_last_page(session, beginning))
		return NULL;
	for (const char *closing = "}]}}"; *closing; closing++)
	{
		rest += strspn(rest, " \t\r\n");
		if (*rest++ != *closing)
			return NULL;
	}
	return page_request(session, pit ? pit : session->pit, after, false);
}

static bool
is_last_page(const ElasticSession *session, const char *beginning)
{
	int64 total = session->base.total;
	char *value = total < 0 ? cs_json_peek(beginning, "/hits/total/value") : NULL;

	if (value)
		total = strtoll(value, NULL, 10);
	return total >= 0 && session->rows + session->page_size >= total;
}

void
cs_elastic_search_end(ElasticSession *session, const char *envelope, int64 rows)
{
	const json_t *document = cs_json_parse(envelope, strlen(envelope));
	const char *id;

	cs_elastic_check_answer(session, document);
	check_hits(session, document, rows);
	id = cs_json_text(document, "pit_id");
	if (id && strcmp(id, session->pit) != 0)
		set_point_in_time(session, id);
	session->first = false;
	session->rows += rows;
	session->ended =
		rows == 0 || (session->base.total >= 0 && session->rows >= session->base.total);
}

static void
check_hits(ElasticSession *session, const json_t *document, int64 rows)
{
	const json_t *hits = json_object_get(document, "hits");

	if (!json_is_array(json_object_get(hits, "hits")))
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("the service answered a search without hits"),
						errhint("Check the address of the server: something else may answer "
								"there.")));
	if (session->first)
		set_total(session, hits);
	if (rows > 0 && session->last_sort.len == 0)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("the last document of a page has no sort values, or can't be read"),
						errhint("Without them the next page can't be asked for.")));
}

/* {"value": 5, "relation": "eq"}; as a number alone before version 7. */
static void
set_total(ElasticSession *session, const json_t *hits)
{
	const json_t *total = json_object_get(hits, "total");
	const char *relation = json_string_value(json_object_get(total, "relation"));

	if (json_is_integer(total))
		session->base.total = json_integer_value(total);
	else if (relation && strcmp(relation, "eq") == 0)
		session->base.total = cs_json_int(total, "value", -1);
}

/* A hit as the fields of the columns. */
CsField *
cs_elastic_search_spread(CsServiceSession *base, CsRecord *raw)
{
	ElasticSession *session = (ElasticSession *) base;
	CsField *fields;
	CsField *leaves;

	resetStringInfo(&session->last_sort);
	if (raw->error_code)
	{
		if (raw->raw)
			find_sort(session, raw->raw);
		return raw->fields;
	}
	if (raw->fields[HIT_SORT].kind == CS_VALUE_ARRAY)
		appendBinaryStringInfo(&session->last_sort, raw->fields[HIT_SORT].text,
							   raw->fields[HIT_SORT].len);
	fields = palloc0(sizeof(CsField) * Max(1, base->ncolumns));
	leaves = read_leaves(session, raw);
	for (int i = 0; i < base->ncolumns; i++)
	{
		if (session->paths[i] == NULL)
			fields[i] = raw->fields[strcmp(base->columns[i].name, "_id") == 0 ? HIT_ID : HIT_INDEX];
		else if (session->column_leaves[i] >= 0)
			fields[i] = leaves[session->column_leaves[i]];
	}
	return fields;
}

/* Of a hit that can't be read: the next page begins after it all the same. */
static void
find_sort(ElasticSession *session, const char *json)
{
	const char *name;
	const char *value;
	int name_len;
	int len;

	while (cs_json_member_next(&json, &name, &name_len, &value, &len))
		if (name_len == 4 && strncmp(name, "sort", 4) == 0 && *value == '[')
			appendBinaryStringInfo(&session->last_sort, value, len);
}

static CsField *
read_leaves(ElasticSession *session, CsRecord *raw)
{
	CsField *leaves = palloc0(sizeof(CsField) * Max(1, session->nleaves));
	const CsField *source = &raw->fields[HIT_SOURCE];

	if (session->nleaves == 0)
		return leaves;
	if (source->kind != CS_VALUE_OBJECT)
	{
		raw->error_code = ERRCODE_FDW_INCONSISTENT_DESCRIPTOR_INFORMATION;
		raw->error_message = "the document has no _source";
	}
	else if (!cs_json_leaves_read(session->leaves, source->text, leaves))
	{
		raw->error_code = ERRCODE_UNTRANSLATABLE_CHARACTER;
		raw->error_message = "a text of the document has a character that can't be stored";
	}
	return leaves;
}
