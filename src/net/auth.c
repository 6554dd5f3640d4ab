/*
 * auth.c
 *		Credentials of a user mapping on the wire.
 *
 * An OAuth token is kept as long as it is good, and fetched by the client that
 * will use it, under the same rules as every other request.
 */
#include "postgres.h"

#include <jansson.h>
#include <time.h>

#include "common/base64.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "net/auth.h"
#include "net/url.h"
#include "utils/memutils.h"

/* Of the token endpoint's answer. */
#define MAX_ANSWER (1024 * 1024)

#define MAX_TOKEN (64 * 1024)

/* A token is renewed this long before it expires, but not before half of its life is over. */
#define EXPIRY_MARGIN_S 60

#define DEFAULT_KEY_HEADER "X-API-Key"

typedef enum AuthScheme
{
	AUTH_NONE,
	AUTH_BASIC,
	AUTH_BEARER,
	AUTH_KEY_HEADER,
	AUTH_KEY_PARAMETER,
	AUTH_OAUTH
} AuthScheme;

struct CsAuth
{
	MemoryContext context; /* the one it was created in; everything below lives there */
	AuthScheme scheme;
	CsCredentials credentials;
	List *secrets;	/* char * */
	char *token;	/* OAuth: the current one, or NULL */
	int64 renew_at; /* seconds since the epoch; 0: unknown, until a 401 */
	int uses;		/* requests the token was put into */
	bool renewed;	/* the token before it was refused by the server */
};

/* What the token endpoint said, copied out of jansson's memory. */
typedef struct TokenAnswer
{
	char *token;
	char *type;
	char *error;
	char *description;
	int64 expires_in; /* seconds; 0: not given */
} TokenAnswer;

static AuthScheme check_credentials(const CsCredentials *credentials);
static void check_conflicts(const CsCredentials *c);
static void check_text(const char *name, const char *value);
static void check_header_name(const char *name);
static void missing(const char *needed, const char *by);
static char *copy(const char *text);
static void add_secret(CsAuth *auth, const char *secret);
static char *basic_value(const char *user, const char *password);
static char *base64(const char *text);
static void put_header(CsAuth *auth, CsHttpRequest *request, const char *name, char *value);
static void fetch_token(CsAuth *auth, CsHttp *http);
static void describe_fetch(void *arg);
static void send_token_request(CsAuth *auth, CsHttp *http);
static char *form_body(const CsCredentials *credentials, bool client_in_body);
static void read_answer(CsHttp *http, TokenAnswer *answer);
static void parse_answer(const char *text, size_t len, TokenAnswer *answer);
static char *copy_string(const json_t *object, const char *name, size_t max_len);
static void refuse_answer(CsHttp *http, int status, const TokenAnswer *answer);
static bool is_usable_token(const TokenAnswer *answer);
static void keep_token(CsAuth *auth, CsHttp *http, const TokenAnswer *answer);

CsAuth *
cs_auth_create(const CsCredentials *credentials)
{
	CsAuth *auth = palloc0(sizeof(CsAuth));
	CsCredentials *mine = &auth->credentials;

	auth->context = CurrentMemoryContext;
	auth->scheme = check_credentials(credentials);
	/* Some sources know themselves where; the validator sees no source. */
	if (auth->scheme == AUTH_OAUTH && credentials->token_url == NULL)
		missing("token_url", "client_id");
	mine->user = copy(credentials->user);
	mine->password = copy(credentials->password);
	mine->token = copy(credentials->token);
	mine->api_key = copy(credentials->api_key);
	mine->api_key_header = copy(credentials->api_key_header);
	mine->api_key_parameter = copy(credentials->api_key_parameter);
	mine->client_id = copy(credentials->client_id);
	mine->client_secret = copy(credentials->client_secret);
	mine->token_url = copy(credentials->token_url);
	mine->scope = copy(credentials->scope);
	mine->client_auth = copy(credentials->client_auth);
	add_secret(auth, mine->password);
	add_secret(auth, mine->token);
	add_secret(auth, mine->api_key);
	add_secret(auth, mine->client_secret);
	if (auth->scheme == AUTH_BASIC)
		add_secret(auth, basic_value(mine->user, mine->password));
	if (auth->scheme == AUTH_OAUTH)
		add_secret(auth,
				   basic_value(cs_url_encode(mine->client_id), cs_url_encode(mine->client_secret)));
	return auth;
}

void
cs_auth_validate(const CsCredentials *credentials)
{
	(void) check_credentials(credentials);
}

List *
cs_auth_secrets(CsAuth *auth)
{
	return auth->secrets;
}

bool
cs_auth_is_ready(const CsAuth *auth)
{
	return auth->scheme != AUTH_OAUTH ||
		   (auth->token != NULL && (auth->renew_at == 0 || time(NULL) < auth->renew_at));
}

void
cs_auth_apply(CsAuth *auth, CsHttp *http, CsHttpRequest *request)
{
	const CsCredentials *c = &auth->credentials;

	switch (auth->scheme)
	{
		case AUTH_NONE:
			break;
		case AUTH_BASIC:
			put_header(auth, request, "Authorization",
					   psprintf("Basic %s", basic_value(c->user, c->password)));
			break;
		case AUTH_BEARER:
			put_header(auth, request, "Authorization", psprintf("Bearer %s", c->token));
			break;
		case AUTH_KEY_HEADER:
			put_header(auth, request, c->api_key_header ? c->api_key_header : DEFAULT_KEY_HEADER,
					   pstrdup(c->api_key));
			break;
		case AUTH_KEY_PARAMETER:
			request->secret_query =
				psprintf("%s=%s", cs_url_encode(c->api_key_parameter), cs_url_encode(c->api_key));
			break;
		case AUTH_OAUTH:
			if (!cs_auth_is_ready(auth))
				fetch_token(auth, http);
			auth->uses++;
			put_header(auth, request, "Authorization", psprintf("Bearer %s", auth->token));
			break;
	}
}

bool
cs_auth_renew(CsAuth *auth)
{
	bool useful;

	if (auth->scheme != AUTH_OAUTH || auth->token == NULL)
		return false;
	/* A second fresh token in a row that is refused at once: the next will be, too. */
	useful = !auth->renewed || auth->uses > 1;
	pfree(auth->token);
	auth->token = NULL;
	auth->renewed = true;
	return useful;
}

/* Throws 22023 when the options contradict each other; returns what they ask for. */
static AuthScheme
check_credentials(const CsCredentials *credentials)
{
	const CsCredentials *c = credentials;

	check_text("user", c->user);
	check_text("password", c->password);
	check_text("token", c->token);
	check_text("api_key", c->api_key);
	check_text("api_key_parameter", c->api_key_parameter);
	check_text("client_id", c->client_id);
	check_text("client_secret", c->client_secret);
	check_text("scope", c->scope);
	check_conflicts(c);
	if (c->api_key_header != NULL)
		check_header_name(c->api_key_header);
	if (c->token_url != NULL)
		(void) cs_url_parse(c->token_url);
	if (c->client_id != NULL)
		return AUTH_OAUTH;
	if (c->token != NULL)
		return AUTH_BEARER;
	if (c->api_key != NULL)
		return c->api_key_parameter ? AUTH_KEY_PARAMETER : AUTH_KEY_HEADER;
	return c->user != NULL ? AUTH_BASIC : AUTH_NONE;
}

static void
check_conflicts(const CsCredentials *c)
{
	bool oauth = c->client_id || c->client_secret || c->token_url || c->scope || c->client_auth;
	bool basic = c->user || c->password;
	bool key = c->api_key || c->api_key_header || c->api_key_parameter;

	if (oauth + basic + key + (c->token != NULL) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("conflicting credentials in the user mapping"),
				 errhint("Give one of: \"user\" and \"password\"; \"token\"; \"api_key\"; or "
						 "\"client_id\", \"client_secret\" and \"token_url\".")));
	if (c->password != NULL && c->user == NULL)
		missing("user", "password");
	if (key && c->api_key == NULL)
		missing("api_key", c->api_key_header ? "api_key_header" : "api_key_parameter");
	if (oauth && c->client_id == NULL)
		missing("client_id", "an OAuth 2 login");
	if (oauth && c->client_secret == NULL)
		missing("client_secret", "client_id");
	if (c->api_key_header != NULL && c->api_key_parameter != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("\"api_key_header\" and \"api_key_parameter\" exclude each other"),
						errhint("Drop one of them.")));
	if (c->client_auth != NULL && strcmp(c->client_auth, "basic") != 0 &&
		strcmp(c->client_auth, "body") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid value for option \"client_auth\""),
						errhint("Valid values are \"basic\" and \"body\".")));
	if (c->user != NULL && strchr(c->user, ':') != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a user name for HTTP authentication can't contain a colon")));
}

/* Control characters would end a header and begin another. */
static void
check_text(const char *name, const char *value)
{
	if (value == NULL)
		return;
	for (const char *c = value; *c != '\0'; c++)
	{
		if ((unsigned char) *c < 0x20 || *c == 0x7f)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("option \"%s\" contains a control character", name),
							errhint("Look for a line break at the end of the value.")));
	}
	if (*value == '\0' && strcmp(name, "password") != 0 && strcmp(name, "scope") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("option \"%s\" is empty", name)));
}

static void
check_header_name(const char *name)
{
	for (const char *c = name; *c != '\0'; c++)
	{
		if (!isalnum((unsigned char) *c) && strchr("!#$%&'*+-.^_`|~", *c) == NULL)
			name = "";
	}
	if (*name == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"api_key_header\" is not the name of an HTTP header"),
						errhint("Give a name such as \"%s\".", DEFAULT_KEY_HEADER)));
}

static void
missing(const char *needed, const char *by)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("option \"%s\" is missing", needed),
			 errdetail("It is needed because of %s.", by),
			 errhint("Add \"%s\" to the user mapping.", needed)));
}

static char *
copy(const char *text)
{
	return text ? pstrdup(text) : NULL;
}

static void
add_secret(CsAuth *auth, const char *secret)
{
	MemoryContext old = MemoryContextSwitchTo(auth->context);

	if (secret != NULL && *secret != '\0')
		auth->secrets = lappend(auth->secrets, pstrdup(secret));
	MemoryContextSwitchTo(old);
}

/* RFC 7617; in UTF-8, whatever the server's encoding is. */
static char *
basic_value(const char *user, const char *password)
{
	char *pair = psprintf("%s:%s", user, password ? password : "");

	return base64(pg_server_to_any(pair, strlen(pair), PG_UTF8));
}

static char *
base64(const char *text)
{
	int size = pg_b64_enc_len(strlen(text)) + 1;
	char *result = palloc(size);
	int len = cs_base64_encode(text, strlen(text), result, size);

	if (len < 0)
		elog(ERROR, "could not encode base64");
	result[len] = '\0';
	return result;
}

/* Replaces a header of that name; the caller's list is not touched, only its pointer. */
static void
put_header(CsAuth *auth pg_attribute_unused(), CsHttpRequest *request, const char *name,
		   char *value)
{
	CsHttpHeader *header = palloc(sizeof(CsHttpHeader));
	List *headers = NIL;
	ListCell *cell;

	foreach (cell, request->credentials)
	{
		if (pg_strcasecmp(((CsHttpHeader *) lfirst(cell))->name, name) != 0)
			headers = lappend(headers, lfirst(cell));
	}
	header->name = pstrdup(name);
	header->value = pg_server_to_any(value, strlen(value), PG_UTF8);
	request->credentials = lappend(headers, header);
}

static void
fetch_token(CsAuth *auth, CsHttp *http)
{
	ErrorContextCallback callback = { error_context_stack, describe_fetch,
									  (void *) auth->credentials.token_url };
	TokenAnswer answer = { 0 };
	MemoryContext scratch =
		AllocSetContextCreate(CurrentMemoryContext, "censync token", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);

	error_context_stack = &callback;
	send_token_request(auth, http);
	read_answer(http, &answer);
	keep_token(auth, http, &answer);
	error_context_stack = callback.previous;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}

static void
describe_fetch(void *arg)
{
	errcontext("requesting an access token from %s", cs_url_display(arg));
}

/* Leaves http at the head of the answer, whatever its status. */
static void
send_token_request(CsAuth *auth, CsHttp *http)
{
	const CsCredentials *c = &auth->credentials;
	bool in_body = c->client_auth != NULL && strcmp(c->client_auth, "body") == 0;
	CsHttpHeader accept = { "Accept", "application/json" };
	CsHttpHeader type = { "Content-Type", "application/x-www-form-urlencoded" };
	CsHttpRequest request = { .method = "POST",
							  .url = c->token_url,
							  .headers = list_make2(&accept, &type),
							  .repeatable = true,
							  .authenticates = true };

	request.body = form_body(c, in_body);
	request.body_len = strlen(request.body);
	if (!in_body)
	{
		/* RFC 6749, 2.3.1: the two are form-encoded before they are base64. */
		char *value = basic_value(cs_url_encode(c->client_id), cs_url_encode(c->client_secret));

		put_header(auth, &request, "Authorization", psprintf("Basic %s", value));
	}
	(void) cs_http_exchange(http, &request);
}

static char *
form_body(const CsCredentials *credentials, bool client_in_body)
{
	StringInfoData body;

	initStringInfo(&body);
	appendStringInfoString(&body, "grant_type=client_credentials");
	if (credentials->scope != NULL && *credentials->scope != '\0')
		appendStringInfo(&body, "&scope=%s", cs_url_encode(credentials->scope));
	if (client_in_body)
		appendStringInfo(&body, "&client_id=%s&client_secret=%s",
						 cs_url_encode(credentials->client_id),
						 cs_url_encode(credentials->client_secret));
	return body.data;
}

/* Reads and judges the answer; afterwards it holds a usable token. */
static void
read_answer(CsHttp *http, TokenAnswer *answer)
{
	int status = cs_http_status(http);
	StringInfoData body;
	const char *data;
	size_t len;
	bool allowed;

	if (status >= 500 || status == 404 || status == 429)
		cs_http_throw_status(http);
	initStringInfo(&body);
	/* A short answer that ends with the connection is complete if it parses. */
	allowed = cs_http_allow_unproven_end(http, true);
	while (cs_http_read(http, &data, &len))
	{
		if (len > (size_t) (MAX_ANSWER - body.len))
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("the answer of the token endpoint is larger than %d bytes", MAX_ANSWER),
					 errhint("Check the option \"token_url\" of the user mapping.")));
		appendBinaryStringInfo(&body, data, len);
	}
	(void) cs_http_allow_unproven_end(http, allowed);
	parse_answer(body.data, body.len, answer);
	if (status != 200 || !is_usable_token(answer))
		refuse_answer(http, status, answer);
}

/* jansson allocates with malloc: everything needed is copied, and nothing throws before its
 * document is released, short of running out of memory. */
static void
parse_answer(const char *text, size_t len, TokenAnswer *answer)
{
	json_t *document = json_loadb(text, len, 0, NULL);
	json_t *expires = json_object_get(document, "expires_in");

	if (document == NULL)
		return;
	answer->token = copy_string(document, "access_token", MAX_TOKEN);
	answer->type = copy_string(document, "token_type", 100);
	answer->error = copy_string(document, "error", 200);
	answer->description = copy_string(document, "error_description", 1000);
	if (json_is_number(expires))
		answer->expires_in = (int64) Min(Max(json_number_value(expires), 0), 1e9);
	else if (json_is_string(expires))
		answer->expires_in = Min(strtoul(json_string_value(expires), NULL, 10), 1000000000UL);
	json_decref(document);
}

/* NULL if there is no such string, or it is longer than max_len. */
static char *
copy_string(const json_t *object, const char *name, size_t max_len)
{
	const json_t *member = json_object_get(object, name);
	size_t len = json_is_string(member) ? json_string_length(member) : 0;
	char *result;

	if (len == 0 || len > max_len)
		return NULL;
	result = palloc_extended(len + 1, MCXT_ALLOC_NO_OOM);
	if (result != NULL)
		memcpy(result, json_string_value(member), len + 1);
	return result;
}

/* Never shows the answer itself: it may hold a token. */
static void
refuse_answer(CsHttp *http, int status, const TokenAnswer *answer)
{
	const char *text = answer->description ? answer->description : answer->error;

	if (status == 200 && answer->error == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("the token endpoint sent no usable access token"),
				 errdetail("Its answer is not a JSON object with a bearer \"access_token\"."),
				 errhint("Check the option \"token_url\" of the user mapping.")));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
			 errmsg("the token endpoint refused the client"),
			 text ? errdetail("It answered with status %d: %s", status,
							  cs_http_redact(http, text, strlen(text), 500))
				  : errdetail("It answered with status %d.", status),
			 errhint("Check \"client_id\", \"client_secret\", \"scope\" and \"client_auth\" in the "
					 "user mapping.")));
}

static bool
is_usable_token(const TokenAnswer *answer)
{
	if (answer->token == NULL)
		return false;
	for (const char *c = answer->token; *c != '\0'; c++)
	{
		if (*c <= 0x20 || *c >= 0x7f)
			return false;
	}
	return answer->type == NULL || pg_strncasecmp(answer->type, "bearer", 6) == 0;
}

static void
keep_token(CsAuth *auth, CsHttp *http, const TokenAnswer *answer)
{
	if (auth->token != NULL)
		pfree(auth->token);
	auth->token = NULL;
	cs_http_add_secret(http, answer->token);
	add_secret(auth, answer->token);
	auth->token = MemoryContextStrdup(auth->context, answer->token);
	auth->uses = 0;
	auth->renew_at = 0;
	if (answer->expires_in > 0)
		auth->renew_at =
			(int64) time(NULL) + answer->expires_in - Min(EXPIRY_MARGIN_S, answer->expires_in / 2);
}
