/*
 * options.c
 *		Options of servers, user mappings, foreign tables and syncs.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "net/auth.h"
#include "net/url.h"
#include "source/headers.h"
#include "source/options.h"

typedef struct CsOption
{
	const char *name;
	int levels;											/* CsOptionLevel bits */
	bool privileged;									/* only a superuser may set it */
	void (*check)(const char *name, const char *value); /* throws; NULL: any text */
} CsOption;

static void check_url(const char *name, const char *value);
static void check_boolean(const char *name, const char *value);
static void check_seconds(const char *name, const char *value);
static void check_some_seconds(const char *name, const char *value);
static void check_count(const char *name, const char *value);
static void check_size(const char *name, const char *value);
static void check_rate(const char *name, const char *value);
static void check_format(const char *name, const char *value);
static void check_delimiter(const char *name, const char *value);
static void check_pagination(const char *name, const char *value);
static void check_cursor_format(const char *name, const char *value);
static void check_pointer(const char *name, const char *value);
static void check_word(const char *name, const char *value);
static void check_headers(const char *name, const char *value);
static void check_end_of_body(const char *name, const char *value);
static void check_client_auth(const char *name, const char *value);
static void bad_value(const char *name, const char *expected) pg_attribute_noreturn();

#define SERVER CS_LEVEL_SERVER
#define USER CS_LEVEL_USER
#define READ (CS_LEVEL_SERVER | CS_LEVEL_TABLE | CS_LEVEL_SYNC)
#define CURSOR (CS_LEVEL_SERVER | CS_LEVEL_SYNC)

/* Every option there is, by name within its group. */
static const CsOption options[] = {
	/* where, and how carefully */
	{ "allow_http", SERVER, true, check_boolean },
	{ "ca_file", SERVER, true, NULL },
	{ "connect_timeout", SERVER, false, check_some_seconds },
	{ "end_of_body", SERVER, false, check_end_of_body },
	{ "max_response_size", SERVER, false, check_size },
	{ "rate_limit", SERVER, false, check_rate },
	{ "stall_timeout", SERVER, false, check_seconds },
	{ "timeout", SERVER, false, check_seconds },
	{ "url", SERVER, false, check_url },
	/* what */
	{ "object", CS_LEVEL_TABLE, false, NULL },
	{ "source", CS_LEVEL_COLUMN, false, NULL },
	/* in which form */
	{ "delimiter", READ, false, check_delimiter },
	{ "format", READ, false, check_format },
	{ "headers", READ, false, check_headers },
	{ "records", READ, false, check_pointer },
	/* from where on */
	{ "cursor_request_format", CURSOR, false, check_cursor_format },
	{ "cursor_request_param", CURSOR, false, check_word },
	/* in how many pieces */
	{ "cursor_param", READ, false, check_word },
	{ "cursor_path", READ, false, check_pointer },
	{ "has_more_path", READ, false, check_pointer },
	{ "limit_param", READ, false, check_word },
	{ "next_url_path", READ, false, check_pointer },
	{ "offset_param", READ, false, check_word },
	{ "page_param", READ, false, check_word },
	{ "page_size", READ, false, check_count },
	{ "page_size_param", READ, false, check_word },
	{ "page_start", READ, false, check_count },
	{ "pagination", READ, false, check_pagination },
	{ "total_pages_path", READ, false, check_pointer },
	{ "total_path", READ, false, check_pointer },
	/* as whom */
	{ "api_key", USER, false, NULL },
	{ "api_key_header", USER, false, check_word },
	{ "api_key_parameter", USER, false, check_word },
	{ "client_auth", USER, false, check_client_auth },
	{ "client_id", USER, false, NULL },
	{ "client_secret", USER, false, NULL },
	{ "password", USER, false, NULL },
	{ "scope", USER, false, NULL },
	{ "token", USER, false, NULL },
	{ "token_url", USER, false, check_url },
	{ "user", USER, false, NULL },
};

static const CsOption *find_option(const char *name);
static char *valid_names(CsOptionLevel level);
static const char *find_value(List *list, const char *name);

void
cs_options_validate(List *given, CsOptionLevel level)
{
	ListCell *lc;

	foreach (lc, given)
	{
		DefElem *def = (DefElem *) lfirst(lc);
		const CsOption *option = find_option(def->defname);

		if (option == NULL || (option->levels & level) == 0)
		{
			char *names = valid_names(level);

			ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
							errmsg("invalid option \"%s\"", def->defname),
							names[0] ? errhint("Valid options in this context are: %s.", names)
									 : errhint("There are no valid options in this context.")));
		}
		if (option->privileged && !superuser())
			ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
							errmsg("only a superuser may set option \"%s\"", def->defname)));
		if (option->check)
			option->check(def->defname, defGetString(def));
	}
}

void
cs_options_validate_credentials(List *given)
{
	cs_auth_validate(cs_options_credentials(given));
}

CsCredentials *
cs_options_credentials(List *given)
{
	CsCredentials *c = palloc0(sizeof(CsCredentials));

	c->user = find_value(given, "user");
	c->password = find_value(given, "password");
	c->token = find_value(given, "token");
	c->api_key = find_value(given, "api_key");
	c->api_key_header = find_value(given, "api_key_header");
	c->api_key_parameter = find_value(given, "api_key_parameter");
	c->client_id = find_value(given, "client_id");
	c->client_secret = find_value(given, "client_secret");
	c->token_url = find_value(given, "token_url");
	c->scope = find_value(given, "scope");
	c->client_auth = find_value(given, "client_auth");
	return c;
}

bool
cs_option_is_of_sync(const char *name)
{
	const CsOption *option = find_option(name);

	return option && (option->levels & CS_LEVEL_SYNC);
}

CsOptionSet *
cs_options_load(Oid serverid, Oid userid, List *near)
{
	CsOptionSet *set = palloc0(sizeof(CsOptionSet));
	ForeignServer *server = GetForeignServer(serverid);

	set->near = near;
	set->server = server->options;
	if (SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(userid),
							  ObjectIdGetDatum(serverid)) ||
		SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid),
							  ObjectIdGetDatum(serverid)))
		set->user = GetUserMapping(userid, serverid)->options;
	return set;
}

const char *
cs_option_get(const CsOptionSet *set, const char *name)
{
	const char *value = find_value(set->near, name);

	return value ? value : find_value(set->server, name);
}

const char *
cs_option_get_default(const CsOptionSet *set, const char *name, const char *otherwise)
{
	const char *value = cs_option_get(set, name);

	return value ? value : otherwise;
}

const char *
cs_option_get_user(const CsOptionSet *set, const char *name)
{
	return find_value(set->user, name);
}

int64
cs_option_bytes(const char *value)
{
	return DatumGetInt64(DirectFunctionCall1(pg_size_bytes, CStringGetTextDatum(value)));
}

double
cs_option_rate(const char *value)
{
	char *end;
	double rate = strtod(value, &end);
	double per = -1;

	if (*end == '\0' || strcmp(end, "/s") == 0 || strcmp(end, "/second") == 0)
		per = 1;
	else if (strcmp(end, "/min") == 0 || strcmp(end, "/minute") == 0)
		per = 60;
	else if (strcmp(end, "/h") == 0 || strcmp(end, "/hour") == 0)
		per = 3600;
	if (end == value || per < 0 || !(rate > 0) || isinf(rate))
		return -1;
	return rate / per;
}

int
cs_option_int(const char *value)
{
	int result;

	if (!parse_int(value, &result, 0, NULL))
		return -1;
	return result;
}

bool
cs_option_bool(const char *value)
{
	bool result = false;

	(void) parse_bool(value, &result);
	return result;
}

char
cs_option_delimiter(const char *value)
{
	if (strcmp(value, "\\t") == 0 || strcmp(value, "tab") == 0)
		return '\t';
	return value[0] != '\0' && value[1] == '\0' ? value[0] : '\0';
}

static const CsOption *
find_option(const char *name)
{
	for (int i = 0; i < (int) lengthof(options); i++)
		if (strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

static char *
valid_names(CsOptionLevel level)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < (int) lengthof(options); i++)
		if (options[i].levels & level)
			appendStringInfo(&names, "%s%s", names.len ? ", " : "", options[i].name);
	return names.data;
}

static const char *
find_value(List *list, const char *name)
{
	ListCell *lc;

	foreach (lc, list)
	{
		DefElem *def = (DefElem *) lfirst(lc);

		if (strcmp(def->defname, name) == 0)
			return defGetString(def);
	}
	return NULL;
}

static void
check_url(const char *name, const char *value)
{
	CsUrl *url = cs_url_parse(value);

	if (url->user_info)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"%s\" must not hold credentials", name),
						errhint("Server options can be read by everybody. Credentials belong in a "
								"user mapping.")));
}

static void
check_boolean(const char *name, const char *value)
{
	bool ignored;

	if (!parse_bool(value, &ignored))
		bad_value(name, "true or false");
}

static void
check_seconds(const char *name, const char *value)
{
	int seconds = cs_option_int(value);

	if (seconds < 0 || seconds > 7 * 86400)
		bad_value(name, "a number of seconds");
}

/* libcurl takes 0 for its own default of five minutes. */
static void
check_some_seconds(const char *name, const char *value)
{
	if (cs_option_int(value) == 0)
		bad_value(name, "a number of seconds above 0");
	check_seconds(name, value);
}

static void
check_count(const char *name, const char *value)
{
	if (cs_option_int(value) < 0)
		bad_value(name, "a number");
}

static void
check_size(const char *name, const char *value)
{
	if (cs_option_bytes(value) <= 0)
		bad_value(name, "a size such as '100 MB'");
}

static void
check_rate(const char *name, const char *value)
{
	if (cs_option_rate(value) < 0)
		bad_value(name, "a number of requests such as '10' or '10/s', '600/min', '1000/h'");
}

static void
check_format(const char *name, const char *value)
{
	if (strcmp(value, "json") != 0 && strcmp(value, "ndjson") != 0 && strcmp(value, "csv") != 0)
		bad_value(name, "json, ndjson or csv");
}

static void
check_delimiter(const char *name, const char *value)
{
	char c = cs_option_delimiter(value);

	if (c == '\0' || c == '"' || c == '\n' || c == '\r')
		bad_value(name, "one character, or tab");
}

static void
check_pagination(const char *name, const char *value)
{
	static const char *const kinds[] = { "none", "link", "cursor", "next_url", "page", "offset" };

	for (int i = 0; i < (int) lengthof(kinds); i++)
		if (strcmp(kinds[i], value) == 0)
			return;
	bad_value(name, "none, link, cursor, next_url, page or offset");
}

static void
check_cursor_format(const char *name, const char *value)
{
	if (strcmp(value, "iso") != 0 && strcmp(value, "epoch") != 0 && strcmp(value, "epoch_ms") != 0)
		bad_value(name, "iso, epoch or epoch_ms");
}

static void
check_pointer(const char *name, const char *value)
{
	if (value[0] != '\0' && value[0] != '/')
		bad_value(name,
				  "a JSON Pointer (RFC 6901) such as '/data/items', or '' for the whole document");
}

static void
check_word(const char *name, const char *value)
{
	if (value[0] == '\0' || strpbrk(value, " \t\r\n:") != NULL)
		bad_value(name, "a name without spaces and colons");
}

static void
check_headers(const char *name pg_attribute_unused(), const char *value)
{
	(void) cs_headers_parse(value);
}

static void
check_end_of_body(const char *name, const char *value)
{
	if (strcmp(value, "proven") != 0 && strcmp(value, "close") != 0)
		bad_value(name, "proven or close");
}

static void
check_client_auth(const char *name, const char *value)
{
	if (strcmp(value, "basic") != 0 && strcmp(value, "body") != 0)
		bad_value(name, "basic or body");
}

/* The value itself stays out of the message: it may be a secret that was put in the wrong place. */
static void
bad_value(const char *name, const char *expected)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s\"", name), errhint("Expected: %s.", expected)));
}
