/*
 * databricks_login.c
 *		Where a Databricks workspace is, and who asks: a token, or a service
 *		principal that gets one.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "net/url.h"
#include "source/databricks.h"
#include "source/service_words.h"
#include "source/sql_statement.h"

/* A class of errors, as the message of a failed statement begins with it, and what to do. */
typedef struct KnownError
{
	const char *name;
	int sqlstate; /* unless the service says another one */
	const char *hint;
} KnownError;

static const KnownError known_errors[] = {
	{ "TABLE_OR_VIEW_NOT_FOUND", ERRCODE_UNDEFINED_TABLE,
	  "Check its name, options \"catalog\" and \"schema\", and that the user there has SELECT on "
	  "it, USE SCHEMA and USE CATALOG." },
	{ "SCHEMA_NOT_FOUND", ERRCODE_UNDEFINED_SCHEMA, "Check options \"catalog\" and \"schema\"." },
	{ "UNRESOLVED_COLUMN", ERRCODE_UNDEFINED_COLUMN,
	  "The source may have changed: import its foreign table again, or change the query." },
	{ "PARSE_SYNTAX_ERROR", ERRCODE_SYNTAX_ERROR,
	  "The query must be one statement in Databricks' SQL." },
	{ "INSUFFICIENT_PERMISSIONS", ERRCODE_INSUFFICIENT_PRIVILEGE,
	  "GRANT SELECT on it, USE SCHEMA and USE CATALOG to the user there." },
};

static const char *find_base_url(const CsOptionSet *options);
static const char *find_warehouse(const CsOptionSet *options);
static const KnownError *find_error(const char *message);
static int state_of(const json_t *status, const char *message, const KnownError *known);
static void throw_failed(CsHttp *http, const json_t *answer, const json_t *status)
	pg_attribute_noreturn();

void
cs_databricks_log_in(CsDatabricks *session, const CsOptionSet *options)
{
	CsCredentials credentials = { 0 };

	session->base.base_url = find_base_url(options);
	session->warehouse = find_warehouse(options);
	credentials.token = cs_option_get_user(options, "token");
	credentials.client_id = cs_option_get_user(options, "client_id");
	credentials.client_secret = cs_option_get_user(options, "client_secret");
	if (credentials.client_id || credentials.client_secret)
	{
		credentials.token_url = psprintf("%s/oidc/v1/token", session->base.base_url);
		credentials.scope = "all-apis";
	}
	else if (credentials.token == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
						errmsg("there are no credentials for Databricks"),
						errhint("Give the user mapping \"token\", or \"client_id\" and "
								"\"client_secret\" of a service principal.")));
	session->auth = cs_auth_create(&credentials);
	session->base.secrets = cs_auth_secrets(session->auth);
}

bool
cs_databricks_authorize(CsServiceSession *base, CsHttpRequest *request, bool renew)
{
	CsDatabricks *session = (CsDatabricks *) base;
	ListCell *lc;

	if (renew && !cs_auth_renew(session->auth))
		return false;
	cs_auth_apply(session->auth, base->http, request);
	base->secrets = cs_auth_secrets(session->auth);
	/* The clients of parts do not know the new token. */
	foreach (lc, renew ? base->clients : NIL)
		cs_http_add_secret(lfirst(lc), llast(base->secrets));
	return true;
}

bool
cs_databricks_check_status(CsServiceSession *base, const json_t *answer)
{
	const json_t *status = json_object_get(answer, "status");
	char *state = cs_json_text(status, "state");

	if (state && strcmp(state, "SUCCEEDED") == 0)
		return true;
	if (state && (strcmp(state, "PENDING") == 0 || strcmp(state, "RUNNING") == 0))
		return false;
	if (state && strcmp(state, "FAILED") == 0)
		throw_failed(base->http, answer, status);
	if (state && (strcmp(state, "CANCELED") == 0 || strcmp(state, "CLOSED") == 0))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR), errmsg("the statement was canceled at the source"),
				 errdetail("Databricks says that it is %s.", state),
				 errhint("It was canceled there, by a timeout or by somebody.")));
	ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
					errmsg("the state of the statement is not one that Databricks has"),
					errdetail("Its state is %s.",
							  state ? cs_http_redact_secrets(base->http, state) : "missing")));
}

void
cs_databricks_refuse(CsServiceSession *base, int status, const char *body)
{
	const json_t *answer = cs_json_parse(body, strlen(body));
	char *message = cs_json_text(answer, "message");
	char *code = cs_json_text(answer, "error_code");
	bool token = message && strstr(message, "access token");
	const char *hint = NULL;
	int sqlstate = cs_http_refusal_code(status);

	if (message == NULL)
		return;
	if (status == 401 || (status == 403 && token))
	{
		sqlstate = ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
		hint = "Give the user mapping a token of this workspace that has not expired.";
	}
	else if (status == 403)
	{
		sqlstate = ERRCODE_INSUFFICIENT_PRIVILEGE;
		hint = "The user there needs CAN USE on the SQL warehouse; an unknown warehouse is refused "
			   "in the same way.";
	}
	else if (status == 404)
	{
		sqlstate = ERRCODE_UNDEFINED_OBJECT;
		hint = "Check options \"host\", \"warehouse_id\", \"catalog\" and \"schema\".";
	}
	else if (status == 429)
	{
		sqlstate = ERRCODE_CONFIGURATION_LIMIT_EXCEEDED;
		hint = "Set the server's option \"rate_limit\", or \"parallel\" to less.";
	}
	else if (status == 503)
		hint = "Run it again when the warehouse is back.";
	cs_service_throw(base->http, sqlstate, message,
					 psprintf("Databricks answered with status %d%s%s.", status, code ? ", " : "",
							  code ? code : ""),
					 hint);
}

static const char *
find_base_url(const CsOptionSet *options)
{
	const char *base_url = cs_option_get(options, "base_url");
	const char *host = cs_option_get(options, "host");
	char *url;

	if (base_url == NULL && host == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("option \"host\" is missing"),
				 errhint("ALTER SERVER ... OPTIONS (ADD host '...cloud.databricks.com')")));
	/* As it is pasted from a browser. */
	if (host && pg_strncasecmp(host, "https://", 8) == 0)
		host += 8;
	url = base_url ? pstrdup(base_url) : psprintf("https://%s", host);
	while (url[0] != '\0' && url[strlen(url) - 1] == '/')
		url[strlen(url) - 1] = '\0';
	return url;
}

static const char *
find_warehouse(const CsOptionSet *options)
{
	const char *warehouse = cs_option_get(options, "warehouse_id");
	const char *path = cs_option_get(options, "http_path");

	if (warehouse)
		return warehouse;
	if (path && strstr(path, "/warehouses/") && strrchr(path, '/')[1] != '\0')
		return strrchr(path, '/') + 1;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 path ? errmsg("option \"http_path\" names no SQL warehouse")
				  : errmsg("option \"warehouse_id\" is missing"),
			 errhint("Give option \"warehouse_id\", or \"http_path\" "
					 "'/sql/1.0/warehouses/...'; the connection details of the SQL warehouse "
					 "show both.")));
}

static const KnownError *
find_error(const char *message)
{
	message += strspn(message, " \n");
	for (int i = 0; i < (int) lengthof(known_errors); i++)
	{
		size_t len = strlen(known_errors[i].name);

		/* [UNRESOLVED_COLUMN.WITH_SUGGESTION] is one, too. */
		if (message[0] == '[' && strncmp(message + 1, known_errors[i].name, len) == 0 &&
			(message[len + 1] == ']' || message[len + 1] == '.'))
			return &known_errors[i];
	}
	return NULL;
}

/* The service's own, else the one that the message ends with, else that of its class. */
static int
state_of(const json_t *status, const char *message, const KnownError *known)
{
	static const char mark[] = "SQLSTATE: ";
	const char *at = strstr(message, mark);
	int code = cs_service_sqlstate(cs_json_text(status, "sql_state"));

	if (code == 0 && at && strlen(at) >= sizeof(mark) - 1 + 5)
		code = cs_service_sqlstate(pnstrdup(at + sizeof(mark) - 1, 5));
	if (code == 0 && strstr(message, "byte limit exceeded"))
		code = ERRCODE_PROGRAM_LIMIT_EXCEEDED;
	if (code == 0)
		code = known ? known->sqlstate : ERRCODE_FDW_ERROR;
	return code;
}

/* Of a statement that failed, with HTTP's status 200. */
static void
throw_failed(CsHttp *http, const json_t *answer, const json_t *status)
{
	char *said = cs_json_text(json_object_get(status, "error"), "message");
	char *message = said ? said : pstrdup("the statement failed");
	const KnownError *known = find_error(message);
	char *id = cs_json_text(answer, "statement_id");
	int code = state_of(status, message, known);
	const char *hint = known ? known->hint : NULL;

	if (strstr(message, "nline byte limit exceeded"))
		hint = "Set option \"disposition\" to external_links.";
	if (strstr(message, "only supports ARROW_STREAM"))
		hint = "This warehouse needs option \"disposition\" external_links.";
	cs_service_throw(http, code, message, id ? psprintf("The statement is %s.", id) : NULL, hint);
}
