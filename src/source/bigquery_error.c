/*
 * bigquery_error.c
 *		What BigQuery's errors mean.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "source/bigquery.h"

static const char *hint_of(const BqSession *session, const char *reason, int code);
static int code_of(const char *reason, const char *message, int status);
static int query_position(const char *query, const char *message);

/* Reasons that mean the same whatever the message is. */
static const struct
{
	const char *reason;
	int code;
	const char *hint;
} meanings[] = {
	{ "accessDenied", ERRCODE_INSUFFICIENT_PRIVILEGE, NULL },
	{ "billingNotEnabled", ERRCODE_INSUFFICIENT_PRIVILEGE,
	  "Enable billing for the project, or set the server option \"project\" to one that has it." },
	{ "blocked", ERRCODE_INSUFFICIENT_PRIVILEGE,
	  "BigQuery has blocked the project or the statement for now; its support knows why." },
	{ "authError", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, NULL },
	{ "rateLimitExceeded", ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
	  "It was tried again for a while. Run less at the same time, or set the server option "
	  "\"rate_limit\"." },
	{ "jobRateLimitExceeded", ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
	  "It was tried again for a while. Run less at the same time." },
	{ "quotaExceeded", ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
	  "A quota of the project is used up; most of them are of a day." },
	{ "bytesBilledLimitExceeded", ERRCODE_PROGRAM_LIMIT_EXCEEDED,
	  "Let the query read less, or raise option \"maximum_bytes_billed\"." },
	{ "responseTooLarge", ERRCODE_PROGRAM_LIMIT_EXCEEDED,
	  "Let the query return less, or write its result into a table there and read that as "
	  "object." },
	{ "resourcesExceeded", ERRCODE_INSUFFICIENT_RESOURCES,
	  "Simplify the query: fewer joins, no ORDER BY over all rows." },
	{ "billingTierLimitExceeded", ERRCODE_INSUFFICIENT_RESOURCES, NULL },
	{ "duplicate", ERRCODE_DUPLICATE_OBJECT, NULL },
	{ "notImplemented", ERRCODE_FEATURE_NOT_SUPPORTED, NULL },
	{ "tableUnavailable", ERRCODE_OBJECT_IN_USE, "Try again later." },
	{ "resourceInUse", ERRCODE_OBJECT_IN_USE, "Try again later." },
	{ "stopped", ERRCODE_FDW_ERROR, "Somebody has canceled the job." },
	{ "timeout", ERRCODE_FDW_ERROR, "Try again later, or let the query do less." },
	{ "backendError", ERRCODE_FDW_ERROR, "The fault is BigQuery's; try again later." },
	{ "internalError", ERRCODE_FDW_ERROR, "The fault is BigQuery's; try again later." },
	{ "jobBackendError", ERRCODE_FDW_ERROR, "The fault is BigQuery's; try again later." },
	{ "jobInternalError", ERRCODE_FDW_ERROR, "The fault is BigQuery's; try again later." },
};

const char *
cs_bq_reason(const json_t *document)
{
	const json_t *error = json_object_get(document, "error");

	return json_string_value(
		json_object_get(json_array_get(json_object_get(error, "errors"), 0), "reason"));
}

/* Emulators call it a failure of theirs. */
bool
cs_bq_blames_statement(const json_t *document)
{
	static const char *const words[] = { "Syntax error", "Unrecognized name", "Table not found",
										 "INVALID_ARGUMENT" };
	const char *reason = cs_bq_reason(document);
	const char *message =
		json_string_value(json_object_get(json_object_get(document, "error"), "message"));

	if (reason == NULL || message == NULL || strcmp(reason, "jobInternalError") != 0)
		return false;
	for (int i = 0; i < (int) lengthof(words); i++)
		if (strstr(message, words[i]))
			return true;
	return false;
}

bool
cs_bq_may_pass(CsServiceSession *session pg_attribute_unused(), int status, const char *body)
{
	const char *reason = cs_bq_reason(cs_json_parse(body, strlen(body)));

	if (status == 500)
		return true;
	return reason &&
		   (strcmp(reason, "rateLimitExceeded") == 0 || strcmp(reason, "backendError") == 0 ||
			strcmp(reason, "badGateway") == 0 || strcmp(reason, "internalError") == 0);
}

void
cs_bq_refuse(CsServiceSession *session, int status, const char *body)
{
	json_t *document = cs_json_parse(body, strlen(body));

	if (json_is_string(json_object_get(json_object_get(document, "error"), "message")))
		cs_bq_throw((BqSession *) session, document, status);
}

void
cs_bq_throw(BqSession *session, const json_t *document, int status)
{
	const json_t *error = json_object_get(document, "error");
	char *message = cs_json_text(error, "message");
	const char *reason = cs_bq_reason(document);
	const char *meant;
	int code;
	int position;
	const char *hint;

	message = cs_http_redact(session->base.http, message ? message : "",
							 message ? (int) strlen(message) : 0, 2000);
	reason =
		reason ? cs_http_redact(session->base.http, reason, (int) strlen(reason), 100) : "unknown";
	meant = cs_bq_blames_statement(document) ? "invalidQuery" : reason;
	code = code_of(meant, message, status);
	hint = hint_of(session, meant, code);
	position = session->statement ? query_position(session->statement, message) : 0;
	ereport(ERROR, (errcode(code), errmsg("refused by BigQuery: %s", message),
					errdetail("Its reason is \"%s\", the HTTP status %d.", reason, status),
					hint ? errhint("%s", hint) : 0,
					position > 0 ? internalerrquery(session->statement) : 0,
					position > 0 ? internalerrposition(position) : 0));
}

static const char *
hint_of(const BqSession *session, const char *reason, int code)
{
	const char *account = cs_google_auth_account(session->auth);

	if (code == ERRCODE_INSUFFICIENT_PRIVILEGE && strcmp(reason, "accessDenied") == 0)
		return psprintf("%s needs the roles BigQuery Job User on the project and BigQuery Data "
						"Viewer on the dataset; a dataset that does not exist is refused alike.",
						account ? account : "The account");
	if (code == ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION)
		return account ? "The account's new token was refused, too: is the account still there?"
					   : "Check the token in the user mapping: it is good for an hour at most.";
	if (code == ERRCODE_UNDEFINED_OBJECT || code == ERRCODE_UNDEFINED_TABLE)
		return "Check the names, and the server option \"location\" if the dataset is elsewhere "
			   "than where it says.";
	for (int i = 0; i < (int) lengthof(meanings); i++)
		if (strcmp(meanings[i].reason, reason) == 0)
			return meanings[i].hint;
	return NULL;
}

static int
code_of(const char *reason, const char *message, int status)
{
	if (status == 401)
		return ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
	for (int i = 0; i < (int) lengthof(meanings); i++)
		if (strcmp(meanings[i].reason, reason) == 0)
			return meanings[i].code;
	if (strcmp(reason, "notFound") == 0)
		return strstr(message, "Table") ? ERRCODE_UNDEFINED_TABLE : ERRCODE_UNDEFINED_OBJECT;
	if (strcmp(reason, "invalidQuery") == 0 || strcmp(reason, "parseError") == 0)
	{
		if (strstr(message, "Table not found"))
			return ERRCODE_UNDEFINED_TABLE;
		if (strstr(message, "Syntax error"))
			return ERRCODE_SYNTAX_ERROR;
		if (strstr(message, "Unrecognized name"))
			return ERRCODE_UNDEFINED_COLUMN;
		return ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION;
	}
	return status == 403 ? ERRCODE_INSUFFICIENT_PRIVILEGE : cs_http_refusal_code(status);
}

/* "... at [line:column]", or "[at line:column]", from 1, in characters; 0: the message has none. */
static int
query_position(const char *query, const char *message)
{
	const char *at = strstr(message, "at [");
	const char *line = query;
	char *rest;
	long lines;
	long column;

	if (at == NULL)
		at = strstr(message, "[at ");
	if (at == NULL)
		return 0;
	lines = strtol(at + 4, &rest, 10);
	if (*rest != ':')
		return 0;
	column = strtol(rest + 1, &rest, 10);
	if (*rest != ']' || column < 1)
		return 0;
	for (; lines > 1; lines--)
	{
		line = strchr(line, '\n');
		if (line == NULL)
			return 0;
		line++;
	}
	if (column > (long) strlen(line) + 1)
		return 0;
	return pg_mbstrlen_with_len(query, (int) (line - query)) + (int) column;
}
