/*
 * snowflake_login.c
 *		Where a Snowflake account is, and who asks: a key pair, or a token.
 */
#include "postgres.h"

#include <time.h>

#include "lib/stringinfo.h"
#include "utils/memutils.h"

#include "source/snowflake.h"

/* A token lives for an hour at most; it is made anew a little before its end. */
#define TOKEN_LIFE_S (59 * 60)
#define TOKEN_USE_S (54 * 60)

static const char *find_base_url(const CsOptionSet *options);
static char *account_host(const char *account);
static void use_token(CsSnowflake *session, const CsOptionSet *options, const char *token);
static void use_key(CsSnowflake *session, const CsOptionSet *options, const char *pem);
static char *account_of_token(const CsOptionSet *options);
static char *user_of_token(const char *user);
static char *upper(const char *text);
static void make_token(CsSnowflake *session);
static CsHttpHeader *header(char *name, const char *value);

void
cs_snowflake_log_in(CsSnowflake *session, const CsOptionSet *options)
{
	const char *token = cs_option_get_user(options, "token");
	const char *pem = cs_option_get_user(options, "private_key");

	session->base.base_url = find_base_url(options);
	if (token && pem)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("conflicting credentials in the user mapping"),
						errhint("Give one of: \"token\"; \"user\" and \"private_key\".")));
	if (token)
		use_token(session, options, token);
	else if (pem)
		use_key(session, options, pem);
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("there are no credentials for Snowflake"),
				 cs_option_get_user(options, "password")
					 ? errdetail("Its SQL API takes no passwords.")
					 : 0,
				 errhint("Give the user mapping \"user\" and \"private_key\", or \"token\".")));
}

bool
cs_snowflake_authorize(CsServiceSession *base, CsHttpRequest *request, bool renew)
{
	CsSnowflake *session = (CsSnowflake *) base;

	if (renew && session->key == NULL)
		return false;
	if (session->key && (renew || session->token == NULL || time(NULL) >= session->renew_at))
		make_token(session);
	request->headers = list_make2(header("Accept", "application/json"),
								  header("Content-Type", "application/json"));
	request->credentials =
		list_make1(header("Authorization", psprintf("Bearer %s", session->token)));
	if (session->token_type)
		request->credentials =
			lappend(request->credentials,
					header("X-Snowflake-Authorization-Token-Type", session->token_type));
	return true;
}

static const char *
find_base_url(const CsOptionSet *options)
{
	const char *base_url = cs_option_get(options, "base_url");
	const char *account = cs_option_get(options, "account");
	const char *host = cs_option_get(options, "host");
	char *url;

	if (base_url == NULL && host == NULL && account == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("option \"account\" is missing"),
				 errhint("ALTER SERVER ... OPTIONS (ADD account 'organization-account')")));
	url =
		base_url ? pstrdup(base_url) : psprintf("https://%s", host ? host : account_host(account));
	while (url[0] != '\0' && url[strlen(url) - 1] == '/')
		url[strlen(url) - 1] = '\0';
	return url;
}

/* Of organization-account, locator, locator.region, locator.region.cloud, with .privatelink or not. */
static char *
account_host(const char *account)
{
	const char *dot = strchr(account, '.');
	char *host;

	if (strstr(account, ".snowflakecomputing."))
		return pstrdup(account);
	/* The region that is named in no host. */
	if (dot && strcmp(dot, ".us-west-2") == 0)
		account = pnstrdup(account, dot - account);
	host = psprintf("%s.snowflakecomputing.%s", account,
					dot && pg_strncasecmp(dot, ".cn-", 4) == 0 ? "cn" : "com");
	/* Not every resolver and certificate check takes them. */
	for (char *c = host; *c != '\0'; c++)
		if (*c == '_')
			*c = '-';
	return host;
}

static void
use_token(CsSnowflake *session, const CsOptionSet *options, const char *token)
{
	const char *type = cs_option_get_user(options, "token_type");

	session->token = token;
	session->base.secrets = lappend(session->base.secrets, pstrdup(token));
	/* Those of workload identities say themselves what they are. */
	if (strncmp(token, "WIF.", 4) == 0)
		return;
	session->token_type = type && strcmp(type, "pat") == 0 ? "PROGRAMMATIC_ACCESS_TOKEN" : "OAUTH";
}

static void
use_key(CsSnowflake *session, const CsOptionSet *options, const char *pem)
{
	const char *user = cs_option_get_user(options, "user");
	const char *passphrase = cs_option_get_user(options, "private_key_passphrase");

	if (user == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("option \"user\" is missing"),
				 errdetail("It is needed because of private_key."),
				 errhint("Add \"user\" to the user mapping.")));
	session->base.secrets = lappend(session->base.secrets, pstrdup(pem));
	if (passphrase && passphrase[0] != '\0')
		session->base.secrets = lappend(session->base.secrets, pstrdup(passphrase));
	session->key = cs_signing_key_read(pem, passphrase, "private_key");
	session->subject = psprintf("%s.%s", account_of_token(options), user_of_token(user));
	session->issuer =
		psprintf("%s.SHA256:%s", session->subject, cs_signing_key_fingerprint(session->key));
	session->token_type = "KEYPAIR_JWT";
}

/* Not always what is in the host: without region and cloud, in capitals. */
static char *
account_of_token(const CsOptionSet *options)
{
	const char *account = cs_option_get(options, "jwt_account");
	char *name;
	char *global;

	if (account == NULL)
		account = cs_option_get(options, "account");
	if (account == NULL)
		account = cs_option_get(options, "host");
	if (account == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("option \"account\" is missing"),
				 errdetail("A key pair's token names the account."),
				 errhint("ALTER SERVER ... OPTIONS (ADD account 'organization-account')")));
	name = upper(account);
	global = strstr(name, ".GLOBAL");
	name[global ? strcspn(name, "-") : strcspn(name, ".")] = '\0';
	for (char *c = name; *c != '\0'; c++)
		if (*c == '.')
			*c = '-';
	return name;
}

/* Names are stored in capitals there, unless they were created in double quotes: then so here. */
static char *
user_of_token(const char *user)
{
	size_t len = strlen(user);

	if (len > 2 && user[0] == '"' && user[len - 1] == '"')
		return pnstrdup(user + 1, len - 2);
	return upper(user);
}

static char *
upper(const char *text)
{
	char *result = pstrdup(text);

	for (char *c = result; *c != '\0'; c++)
		if (*c >= 'a' && *c <= 'z')
			*c -= 'a' - 'A';
	return result;
}

static void
make_token(CsSnowflake *session)
{
	int64 now = (int64) time(NULL);
	char *claims = psprintf(
		"{\"iss\":%s,\"sub\":%s,\"iat\":" INT64_FORMAT ",\"exp\":" INT64_FORMAT "}",
		cs_json_quote(session->issuer), cs_json_quote(session->subject), now, now + TOKEN_LIFE_S);
	MemoryContext old = MemoryContextSwitchTo(session->base.context);

	session->token = cs_jwt_sign(session->key, NULL, claims);
	session->renew_at = now + TOKEN_USE_S;
	MemoryContextSwitchTo(old);
	cs_service_add_secret(&session->base, session->token);
}

static CsHttpHeader *
header(char *name, const char *value)
{
	CsHttpHeader *result = palloc(sizeof(CsHttpHeader));

	result->name = name;
	result->value = pstrdup(value);
	return result;
}
