/*
 * elasticsearch_error.c
 *		What errors of Elasticsearch and OpenSearch mean, and which answers are
 *		errors though they do not look it.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "base/errors.h"
#include "source/elasticsearch.h"

/* Of a message of the service. */
#define MAX_REASON 500

/* Errors by the service's own names for them, or what is found in its words. */
typedef struct ErrorRow
{
	const char *type; /* the same as its type, whatever the case */
	int code;
	const char *hint;
} ErrorRow;

static const ErrorRow *find_error(int status, const char *type, const char *inner,
								  const char *reason);
static char *error_detail(ElasticSession *session, int status, const char *type,
						  const json_t *error);
static bool is_incomplete(const json_t *document);

void
cs_elastic_throw(ElasticSession *session, int status, const json_t *document)
{
	CsHttp *http = session->base.http;
	const json_t *error = json_object_get(document, "error");
	const json_t *root = json_array_get(json_object_get(error, "root_cause"), 0);
	const char *type = cs_json_text(error, "type");
	const char *inner = cs_json_text(root, "type");
	const char *reason = cs_json_text(root, "reason");
	const ErrorRow *row;

	/* OpenSearch's plugin says more in its details. */
	if (reason == NULL)
		reason = cs_json_text(error, "details");
	if (reason == NULL)
		reason = cs_json_text(error, "reason");
	if (reason == NULL && json_is_string(error))
		reason = json_string_value(error);
	if (reason == NULL)
		reason = "it does not say why";
	row = find_error(status, type, inner, reason);
	ereport(ERROR, (errcode(row->code),
					errmsg("the service refused the request: %s",
						   cs_http_redact(http, reason, (int) strlen(reason), MAX_REASON)),
					errdetail("%s", error_detail(session, status, inner ? inner : type, error)),
					row->hint ? errhint("%s", row->hint) : 0));
}

static const ErrorRow *
find_error(int status, const char *type, const char *inner, const char *reason)
{
	static const ErrorRow words[] = {
		{ "Arrays (returned by", ERRCODE_FEATURE_NOT_SUPPORTED,
		  "SQL has no arrays there. Option field_multi_value_leniency takes any one value; with "
		  "object in place of query all of them are read." },
		{ "Result window is too large", ERRCODE_PROGRAM_LIMIT_EXCEEDED,
		  "Lower the option \"page_size\"." },
		{ "exclude_vectors", ERRCODE_FEATURE_NOT_SUPPORTED,
		  "Let the user ask for the version, with the cluster privilege \"monitor\": only 9.2 and "
		  "later have to be asked for vectors." },
		{ "Unknown index", ERRCODE_UNDEFINED_TABLE, "Check the name in the query." },
		{ "no such index", ERRCODE_UNDEFINED_TABLE, "Check the name in the query." },
		{ "Unknown column", ERRCODE_UNDEFINED_COLUMN, "Check the name in the query." },
		{ "can't resolve Symbol", ERRCODE_UNDEFINED_COLUMN, "Check the name in the query." },
	};
	static const ErrorRow types[] = {
		{ "index_not_found_exception", ERRCODE_UNDEFINED_TABLE,
		  "Check the name of the index, and that the user may see it." },
		{ "IndexNotFoundException", ERRCODE_UNDEFINED_TABLE,
		  "Check the name of the index, and that the user may see it." },
		{ "search_context_missing_exception", ERRCODE_FDW_ERROR,
		  "What the service kept for the next page has expired. Raise the option "
		  "\"page_timeout\", and run it again." },
		{ "search_timeout_exception", ERRCODE_FDW_ERROR,
		  "Raise the option \"timeout\", or let the query do less." },
		{ "parsing_exception", ERRCODE_SYNTAX_ERROR, "Check the query." },
		{ "verification_exception", ERRCODE_SYNTAX_ERROR, "Check the query." },
		{ "SyntaxCheckException", ERRCODE_SYNTAX_ERROR, "Check the query." },
		{ "SemanticCheckException", ERRCODE_SYNTAX_ERROR, "Check the query." },
		{ "x_content_parse_exception", ERRCODE_SYNTAX_ERROR, "Check the query." },
		{ "es_rejected_execution_exception", ERRCODE_INSUFFICIENT_RESOURCES,
		  "The service is overloaded; run it again later." },
		{ "circuit_breaking_exception", ERRCODE_INSUFFICIENT_RESOURCES,
		  "The service is short of memory. Lower the option \"page_size\", or run it again "
		  "later." },
	};
	static const ErrorRow statuses[] = {
		{ "401", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
		  "Check the credentials in the user mapping." },
		{ "403", ERRCODE_INSUFFICIENT_PRIVILEGE,
		  "The user needs the privileges \"read\" and \"view_index_metadata\" on the index." },
		{ "404", ERRCODE_UNDEFINED_OBJECT, "Check the server's address and the object." },
		{ "429", ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
		  "Set the server option \"rate_limit\", or run it later." },
	};
	static const ErrorRow client = { NULL, CS_ERRCODE_REFUSED, "Check the query or object." };
	static const ErrorRow server = { NULL, ERRCODE_FDW_ERROR,
									 "The fault is the service's; try again later." };

	for (int i = 0; i < (int) lengthof(words); i++)
		if (strstr(reason, words[i].type))
			return &words[i];
	for (int i = 0; i < (int) lengthof(types); i++)
		if ((type && strcmp(type, types[i].type) == 0) ||
			(inner && strcmp(inner, types[i].type) == 0))
			return &types[i];
	for (int i = 0; i < (int) lengthof(statuses); i++)
		if (status == cs_option_int(statuses[i].type))
			return &statuses[i];
	return cs_http_refusal_code(status) == CS_ERRCODE_REFUSED ? &client : &server;
}

static char *
error_detail(ElasticSession *session, int status, const char *type, const json_t *error)
{
	CsHttp *http = session->base.http;
	const char *cause = cs_json_text(json_object_get(error, "caused_by"), "reason");
	StringInfoData detail;

	initStringInfo(&detail);
	if (type)
		appendStringInfo(&detail, "Its type is %s, the status %d.",
						 cs_http_redact(http, type, (int) strlen(type), 100), status);
	else
		appendStringInfo(&detail, "The status is %d.", status);
	if (cause)
		appendStringInfo(&detail, " Cause: %s",
						 cs_http_redact(http, cause, (int) strlen(cause), MAX_REASON));
	return detail.data;
}

/* As it says itself; or a cluster did not answer. */
static bool
is_incomplete(const json_t *document)
{
	const json_t *clusters = json_object_get(document, "_clusters");

	return json_is_true(json_object_get(document, "is_partial")) ||
		   json_is_true(json_object_get(document, "is_running")) ||
		   json_is_true(json_object_get(document, "terminated_early")) ||
		   cs_json_int(clusters, "skipped", 0) > 0 || cs_json_int(clusters, "partial", 0) > 0 ||
		   cs_json_int(clusters, "failed", 0) > 0;
}

void
cs_elastic_check_answer(ElasticSession *session, const json_t *document)
{
	const json_t *shards = json_object_get(document, "_shards");
	int64 total = cs_json_int(shards, "total", 0);
	int64 failed = cs_json_int(shards, "failed", 0);
	int64 status = cs_json_int(document, "status", 200);
	const char *reason;

	if (json_object_get(document, "error") || status >= 400)
		cs_elastic_throw(session, status >= 400 ? (int) status : 500, document);
	if (json_is_true(json_object_get(document, "timed_out")))
		ereport(ERROR, (errcode(ERRCODE_FDW_ERROR),
						errmsg("the service ran out of time, and sent a part of the result"),
						errhint("Leave \"timeout\" out of the search, or run it again later.")));
	/* Shards that nobody has are not always counted as failed. */
	failed = Max(failed, total - cs_json_int(shards, "successful", total));
	if (failed == 0 && is_incomplete(document))
		ereport(ERROR, (errcode(ERRCODE_FDW_ERROR),
						errmsg("the service did not finish, and sent a part of the result"),
						errhint("Nothing was changed. Run it again when all of its shards and "
								"clusters are well.")));
	if (failed == 0)
		return;
	reason = cs_json_text(
		json_object_get(json_array_get(json_object_get(shards, "failures"), 0), "reason"),
		"reason");
	if (reason == NULL)
		reason = "it does not say why";
	ereport(
		ERROR,
		(errcode(ERRCODE_FDW_ERROR),
		 errmsg("the service could not search all of its shards, and sent a part of the result"),
		 errdetail(INT64_FORMAT " of " INT64_FORMAT " shards failed. The first: %s", failed, total,
				   cs_http_redact(session->base.http, reason, (int) strlen(reason), MAX_REASON)),
		 errhint("Nothing was changed. Run it again when all of its shards are well.")));
}
