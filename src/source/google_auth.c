/*
 * google_auth.c
 *		Access tokens for Google's services.
 *
 * A token is good for about an hour.  It is kept for the next sessions of this
 * backend: fetching one takes longer than reading a small table.
 */
#include "postgres.h"

#include <time.h>

#include "lib/stringinfo.h"
#include "utils/memutils.h"

#include "net/jwt.h"
#include "net/url.h"
#include "source/google_auth.h"
#include "source/http_options.h"

#define GRANT "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"
#define METADATA_PATH "/computeMetadata/v1/"

/* What is asked for, in s, and how long before its end a token is renewed. */
#define TOKEN_LIFE 3600
#define EXPIRY_MARGIN 225

/* Of an answer that holds a token. */
#define MAX_ANSWER (1024 * 1024)

struct CsGoogleAuth
{
	const char *token; /* the present one, or NULL */
	int64 renew_at;	   /* seconds since 1970; 0: nobody knows */
	bool fixed;		   /* the token was given, and there is no other */
	const char *scope;
	const char *quota_project;
	/* of a service account */
	CsSigningKey *key;
	const char *key_id;
	const char *account;
	const char *project;
	const char *token_uri;
	char *
		identity; /* what the kept token depends on: all of the key, so that nobody gets the token of
					 * a key that they have a part of */
	/* of the metadata server */
	const char *metadata_host;
	CsHttp *metadata;
};

/* The last token of this backend; in TopMemoryContext. */
typedef struct KeptToken
{
	char *identity;
	char *token;
	int64 renew_at;
} KeptToken;

static KeptToken kept;

static void read_key(CsGoogleAuth *auth, CsServiceSession *session, const char *text);
static const char *key_member(const json_t *key, const char *name);
static void connect_metadata(CsGoogleAuth *auth, CsOptionSet *options);
static void get_token(CsGoogleAuth *auth, CsServiceSession *session);
static json_t *ask_token_endpoint(CsGoogleAuth *auth, CsServiceSession *session, CsHttp **http,
								  int *status);
static char *assertion(const CsGoogleAuth *auth);
static json_t *ask_metadata(CsGoogleAuth *auth, int *status);
static void send_metadata(CsGoogleAuth *auth, const char *path);
static void describe_fetch(void *arg);
static char *read_text(CsHttp *http);
static void take_token(CsGoogleAuth *auth, CsServiceSession *session, const json_t *answer,
					   int status, CsHttp *http);
static void refuse(const CsGoogleAuth *auth, const json_t *answer, int status, CsHttp *http)
	pg_attribute_noreturn();
static bool is_token(const char *text);
static bool take_kept(CsGoogleAuth *auth);
static void keep(const CsGoogleAuth *auth);
static void forget(void);
static void put_header(CsHttpRequest *request, const char *name, const char *value);

CsGoogleAuth *
cs_google_auth_create(CsServiceSession *session, CsOptionSet *options, const char *scope)
{
	CsGoogleAuth *auth = palloc0(sizeof(CsGoogleAuth));
	const char *key = cs_option_get_user(options, "service_account_key");

	auth->scope = scope;
	auth->token = cs_option_get_user(options, "token");
	auth->fixed = auth->token != NULL;
	auth->quota_project = cs_option_get(options, "quota_project");
	auth->metadata_host = cs_option_get(options, "metadata_host");
	if (key && auth->fixed)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the user mapping has both a service account's key and a token"),
						errhint("Drop one of the two.")));
	if (key)
		read_key(auth, session, key);
	else if (auth->fixed)
		cs_service_add_secret(session, auth->token);
	else if (auth->metadata_host)
		connect_metadata(auth, options);
	else
		ereport(ERROR, (errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
						errmsg("there are no credentials"),
						errhint("CREATE USER MAPPING ... OPTIONS (service_account_key '{...}') "
								"with the text of the service account's JSON key file, or (token "
								"'...').")));
	return auth;
}

char *
cs_google_auth_project(CsGoogleAuth *auth, CsServiceSession *session pg_attribute_unused())
{
	if (auth->metadata && auth->project == NULL)
	{
		send_metadata(auth, "project/project-id");
		if (cs_http_status(auth->metadata) == 200)
			auth->project = read_text(auth->metadata);
	}
	return auth->project ? pstrdup(auth->project) : NULL;
}

const char *
cs_google_auth_account(const CsGoogleAuth *auth)
{
	return auth->account;
}

bool
cs_google_authorize(CsGoogleAuth *auth, CsServiceSession *session, CsHttpRequest *request,
					bool renew)
{
	MemoryContext old = MemoryContextSwitchTo(session->context);

	if (renew && auth->fixed)
	{
		MemoryContextSwitchTo(old);
		return false;
	}
	if (renew)
		forget();
	if (renew || (auth->renew_at > 0 && time(NULL) >= auth->renew_at))
		auth->token = NULL;
	if (auth->token == NULL && take_kept(auth))
		cs_service_add_secret(session, auth->token);
	if (auth->token == NULL)
		get_token(auth, session);
	MemoryContextSwitchTo(old);
	request->credentials = NIL;
	put_header(request, "Authorization", psprintf("Bearer %s", auth->token));
	if (auth->quota_project)
		put_header(request, "X-Goog-User-Project", auth->quota_project);
	return true;
}

/* https://google.aip.dev/auth/4112 */
static void
read_key(CsGoogleAuth *auth, CsServiceSession *session, const char *text)
{
	json_t *key = cs_json_parse(text, strlen(text));
	char *type = key ? cs_json_text(key, "type") : NULL;
	const char *pem;

	if (key == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"service_account_key\" is not JSON"),
						errhint("It is the whole text of the key file that Google gave.")));
	if (type == NULL || strcmp(type, "service_account") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"service_account_key\" is no key of a service account"),
				 errhint("Its \"type\" must be \"service_account\"; credentials of users and "
						 "of other clouds can't be used.")));
	pem = key_member(key, "private_key");
	cs_service_add_secret(session, pem);
	auth->account = key_member(key, "client_email");
	auth->key_id = cs_json_text(key, "private_key_id");
	auth->project = cs_json_text(key, "project_id");
	auth->token_uri = cs_json_text(key, "token_uri");
	if (auth->token_uri == NULL)
		auth->token_uri = "https://oauth2.googleapis.com/token";
	auth->key = cs_signing_key_read(pem, NULL, "service_account_key");
	auth->identity = psprintf("%s %s", auth->scope, text);
	session->hosts = lappend(session->hosts, cs_url_parse(auth->token_uri)->host);
}

static const char *
key_member(const json_t *key, const char *name)
{
	char *value = cs_json_text(key, name);

	if (value == NULL || value[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"service_account_key\" lacks \"%s\"", name),
						errhint("It is the whole text of the key file that Google gave.")));
	return value;
}

/* It speaks plain HTTP, to those on its own machine only; a tunnel does not lead there. */
static void
connect_metadata(CsGoogleAuth *auth, CsOptionSet *options pg_attribute_unused())
{
	CsHttpOptions http = { 0 };

	http.allow_http = true;
	http.connect_timeout_s = 3;
	http.timeout_s = 10;
	http.stall_timeout_s = 10;
	http.max_response_bytes = MAX_ANSWER;
	auth->metadata = cs_http_create(&http);
}

static void
get_token(CsGoogleAuth *auth, CsServiceSession *session)
{
	const char *from = auth->key ? auth->token_uri : auth->metadata_host;
	ErrorContextCallback callback = { error_context_stack, describe_fetch, (void *) from };
	MemoryContext scratch =
		AllocSetContextCreate(CurrentMemoryContext, "censync token", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	CsHttp *http = auth->metadata;
	json_t *answer;
	int status;

	error_context_stack = &callback;
	answer =
		auth->key ? ask_token_endpoint(auth, session, &http, &status) : ask_metadata(auth, &status);
	MemoryContextSwitchTo(old);
	take_token(auth, session, answer, status, http);
	error_context_stack = callback.previous;
	MemoryContextDelete(scratch);
	keep(auth);
}

/* RFC 7523. */
static json_t *
ask_token_endpoint(CsGoogleAuth *auth, CsServiceSession *session, CsHttp **http, int *status)
{
	CsHttpHeader type = { "Content-Type", "application/x-www-form-urlencoded" };
	CsHttpRequest request = { .method = "POST",
							  .url = auth->token_uri,
							  .headers = list_make1(&type),
							  .repeatable = true,
							  .authenticates = true };
	char *signed_claims = assertion(auth);
	char *text;

	cs_service_add_secret(session, signed_claims);
	request.body = psprintf("grant_type=%s&assertion=%s", GRANT, signed_claims);
	request.body_len = strlen(request.body);
	*http = session->http;
	*status = cs_http_exchange(*http, &request);
	if (*status >= 500 || *status == 404 || *status == 429)
		cs_http_throw_status(*http);
	text = read_text(*http);
	return cs_json_parse(text, strlen(text));
}

static char *
assertion(const CsGoogleAuth *auth)
{
	int64 now = (int64) time(NULL);

	return cs_jwt_sign(auth->key, auth->key_id,
					   psprintf("{\"iss\":%s,\"scope\":%s,\"aud\":%s,\"iat\":" INT64_FORMAT
								",\"exp\":" INT64_FORMAT "}",
								cs_json_quote(auth->account), cs_json_quote(auth->scope),
								cs_json_quote(auth->token_uri), now, now + TOKEN_LIFE));
}

static json_t *
ask_metadata(CsGoogleAuth *auth, int *status)
{
	const char *flavor;
	char *text;

	send_metadata(auth, psprintf("instance/service-accounts/default/token?scopes=%s",
								 cs_url_encode(auth->scope)));
	*status = cs_http_status(auth->metadata);
	if (*status != 200)
		cs_http_throw_status(auth->metadata);
	flavor = cs_http_header(auth->metadata, "Metadata-Flavor");
	if (flavor == NULL || strcmp(flavor, "Google") != 0)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("\"%s\" is not Google's metadata server", auth->metadata_host),
						errdetail("Its answer has no header Metadata-Flavor: Google."),
						errhint("Check the server option \"metadata_host\".")));
	text = read_text(auth->metadata);
	return cs_json_parse(text, strlen(text));
}

static void
send_metadata(CsGoogleAuth *auth, const char *path)
{
	CsHttpHeader flavor = { "Metadata-Flavor", "Google" };
	CsHttpRequest request = { .method = "GET",
							  .url = psprintf("http://%s" METADATA_PATH "%s", auth->metadata_host,
											  path),
							  .headers = list_make1(&flavor),
							  .repeatable = true,
							  .authenticates = true };

	(void) cs_http_exchange(auth->metadata, &request);
}

static void
describe_fetch(void *arg)
{
	const char *from = arg;

	errcontext("requesting an access token from %s",
			   strstr(from, "://") ? cs_url_display(from) : from);
}

static char *
read_text(CsHttp *http)
{
	StringInfoData text;
	const char *data;
	size_t len;

	initStringInfo(&text);
	while (cs_http_read(http, &data, &len))
	{
		if (text.len + len > MAX_ANSWER)
			ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
							errmsg("an answer that should hold a token is larger than %d bytes",
								   MAX_ANSWER)));
		appendBinaryStringInfo(&text, data, (int) len);
	}
	return text.data;
}

/* In CurrentMemoryContext, which is the session's. */
static void
take_token(CsGoogleAuth *auth, CsServiceSession *session, const json_t *answer, int status,
		   CsHttp *http)
{
	char *token = answer ? cs_json_text(answer, "access_token") : NULL;
	int64 life = answer ? cs_json_int(answer, "expires_in", 0) : 0;

	if (status != 200 || token == NULL || !is_token(token))
		refuse(auth, answer, status, http);
	cs_service_add_secret(session, token);
	auth->token = token;
	auth->renew_at = 0;
	if (life > 0)
		auth->renew_at = (int64) time(NULL) + life - Min(EXPIRY_MARGIN, life / 2);
}

/* Never shows the answer itself: it may hold a token. */
static void
refuse(const CsGoogleAuth *auth, const json_t *answer, int status, CsHttp *http)
{
	char *error = answer ? cs_json_text(answer, "error") : NULL;
	char *words = answer ? cs_json_text(answer, "error_description") : NULL;

	if (status == 200)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("the token endpoint sent no usable access token"),
						errhint("Check \"token_uri\" in the service account's key.")));
	if (words == NULL)
		words = error;
	ereport(
		ERROR,
		(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
		 errmsg("the token endpoint refused service account \"%s\"",
				auth->account ? auth->account : "default"),
		 words ? errdetail("It answered with status %d: %s", status,
						   cs_http_redact(http, words, (int) strlen(words), 500))
			   : errdetail("It answered with status %d.", status),
		 errhint("Is the key still there, and the account not disabled? A clock that is wrong on "
				 "this machine makes every signature invalid.")));
}

static bool
is_token(const char *text)
{
	for (const char *p = text; *p; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return false;
	return text[0] != '\0';
}

static bool
take_kept(CsGoogleAuth *auth)
{
	if (auth->identity == NULL || kept.identity == NULL ||
		strcmp(auth->identity, kept.identity) != 0 || time(NULL) >= kept.renew_at)
		return false;
	auth->token = pstrdup(kept.token);
	auth->renew_at = kept.renew_at;
	return true;
}

/* The metadata server keeps its own. */
static void
keep(const CsGoogleAuth *auth)
{
	forget();
	if (auth->identity == NULL || auth->renew_at == 0)
		return;
	kept.token = MemoryContextStrdup(TopMemoryContext, auth->token);
	kept.renew_at = auth->renew_at;
	kept.identity = MemoryContextStrdup(TopMemoryContext, auth->identity);
}

static void
forget(void)
{
	if (kept.identity)
		pfree(kept.identity);
	if (kept.token)
		pfree(kept.token);
	kept.identity = kept.token = NULL;
}

static void
put_header(CsHttpRequest *request, const char *name, const char *value)
{
	CsHttpHeader *header = palloc(sizeof(CsHttpHeader));

	header->name = pstrdup(name);
	header->value = pstrdup(value);
	request->credentials = lappend(request->credentials, header);
}
