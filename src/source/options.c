/*
 * options.c
 *		Options of servers, user mappings, foreign tables and syncs.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_authid.h"
#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "base/compat.h"
#include "net/auth.h"
#include "source/option_table.h"
#include "source/options.h"
#include "source/ssh.h"

static void check_gate(const CsOption *option);
static void check_list(List *list, CsOptionLevel level, int source);
static void refuse_option(const char *name, CsOptionLevel level, int source)
	pg_attribute_noreturn();
static const char *place_of(const CsOption *option);
static const char *closest(const char *name, CsOptionLevel level, int source);
static const char *find_value(List *list, const char *name);

void
cs_options_validate(List *given, CsOptionLevel level)
{
	ListCell *lc;

	foreach (lc, given)
	{
		DefElem *def = (DefElem *) lfirst(lc);
		const CsOption *option = cs_option_find(def->defname);

		if (option == NULL || (option->levels & level) == 0)
			refuse_option(def->defname, level, CS_FOR_ALL);
		check_gate(option);
		if (option->check)
			option->check(def->defname, defGetString(def));
	}
}

void
cs_options_validate_credentials(List *given)
{
	cs_auth_validate(cs_options_credentials(given));
	cs_ssh_validate(given);
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
	const CsOption *option = cs_option_find(name);

	return option && (option->levels & CS_LEVEL_SYNC);
}

CsOptionSet *
cs_options_load(Oid serverid, Oid userid, List *near)
{
	CsOptionSet *set = palloc0(sizeof(CsOptionSet));
	ForeignServer *server = GetForeignServer(serverid);

	set->near = near;
	set->serverid = serverid;
	set->userid = userid;
	set->server = server->options;
	if (SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(userid),
							  ObjectIdGetDatum(serverid)) ||
		SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid),
							  ObjectIdGetDatum(serverid)))
		set->user = GetUserMapping(userid, serverid)->options;
	return set;
}

void
cs_options_check_source(const CsOptionSet *set, int source)
{
	check_list(set->server, CS_LEVEL_SERVER, source);
	check_list(set->user, CS_LEVEL_USER, source);
	check_list(set->near, CS_LEVEL_SYNC, source);
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

static void
check_gate(const CsOption *option)
{
	if (option->gate == CS_BY_SUPERUSER && !superuser())
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("only a superuser may set option \"%s\"", option->name)));
	if (option->gate == CS_BY_FILE_READER &&
		!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied to set option \"%s\"", option->name),
						errdetail("It names a file on the disk of this server."),
						errhint("GRANT pg_read_server_files, or let a superuser set it.")));
}

/* Of this kind of source; that it may stand there at all was checked when it was given. */
static void
check_list(List *list, CsOptionLevel level, int source)
{
	ListCell *lc;

	foreach (lc, list)
	{
		const char *name = ((DefElem *) lfirst(lc))->defname;
		const CsOption *option = cs_option_find(name);

		if (option && (option->sources & source) == 0)
			refuse_option(name, level, source);
	}
}

/* One that may stand elsewhere is no slip of the pen, and a secret must not be tried here once more. */
static void
refuse_option(const char *name, CsOptionLevel level, int source)
{
	const CsOption *option = cs_option_find(name);
	const char *close = closest(name, level, source);
	const char *valid = cs_option_names(level, source);

	ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("invalid option \"%s\"", name),
					option && (option->sources & source)
						? errhint("It is an option of %s.", place_of(option))
					: close	   ? errhint("Perhaps you meant the option \"%s\".", close)
					: valid[0] ? errhint("Valid options in this context are: %s.", valid)
							   : errhint("There are no valid options in this context.")));
}

static const char *
place_of(const CsOption *option)
{
	if (option->levels & CS_LEVEL_SERVER)
		return "the server";
	if (option->levels & CS_LEVEL_USER)
		return "the user mapping, where nobody else can read it";
	return option->levels & CS_LEVEL_TABLE ? "foreign tables" : "columns of foreign tables";
}

/* The valid name that is at most three letters off, and shares at least half of them; or NULL. */
static const char *
closest(const char *name, CsOptionLevel level, int source)
{
	int len = (int) strlen(name);
	int least = Min(3, len / 2) + 1;
	const char *found = NULL;
	char *rest;
	char *valid = cs_option_names(level, source);

	for (char *word = strtok_r(valid, ", ", &rest); word && len < 64;
		 word = strtok_r(NULL, ", ", &rest))
	{
		int distance = varstr_levenshtein(name, len, word, (int) strlen(word), 1, 1, 1, true);

		if (distance < least)
		{
			least = distance;
			found = word;
		}
	}
	return found;
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
