/*
 * unit_http.c
 *		The HTTP client, callable from SQL with a JSON object of options.
 */
#include "postgres.h"

#include <jansson.h>

#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/md5.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "net/auth.h"
#include "net/http.h"
#include "portability/instr_time.h"

#include "utils/memutils.h"

/* utils/builtins.h has another json_object. */
extern text *cstring_to_text(const char *s);
extern char *text_to_cstring(const text *t);

/* Of a body, in the result. */
#define MAX_SHOWN 100000

static MemoryContext context = NULL;
static CsHttp *http = NULL;
static CsAuth *auth = NULL;

static char *get_text(json_t *options, const char *name);
static double get_number(json_t *options, const char *name, double otherwise);
static bool get_bool(json_t *options, const char *name, bool otherwise);
static List *get_headers(json_t *options, const char *name);
static void create_client(json_t *options);
static void create_auth(json_t *options);
static char *read_body(json_t *options, char **beginning);
static json_t *parse(const char *text);

/*
 * status|url|bytes of this client|md5|wanted header|ms|beginning of the body
 */
PG_FUNCTION_INFO_V1(unit_http);

PGDLLEXPORT Datum
unit_http(PG_FUNCTION_ARGS)
{
	json_t *options = parse(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	CsHttpRequest request = { 0 };
	char *wanted = get_text(options, "want");
	int times = (int) get_number(options, "times", 1);
	char *md5 = NULL;
	char *beginning = NULL;
	int status = 0;
	instr_time start;
	instr_time end;

	if (!get_bool(options, "keep", false) || http == NULL)
		create_client(options);
	request.method = get_text(options, "method") ? get_text(options, "method") : "GET";
	request.url = get_text(options, "url");
	request.headers = get_headers(options, "headers");
	request.credentials = get_headers(options, "credentials");
	request.secret_query = get_text(options, "secret_query");
	request.body = get_text(options, "body");
	request.body_len = request.body ? strlen(request.body) : 0;
	request.repeatable = get_bool(options, "repeatable", false);
	cs_http_allow_unproven_end(http, get_bool(options, "unproven", false));
	INSTR_TIME_SET_CURRENT(start);
	while (times-- > 0)
	{
		bool accept = get_bool(options, "accept_unauthorized", false);

		cs_auth_apply(auth, http, &request);
		status = cs_http_send(http, &request, accept);
		if (status == 401 && cs_auth_renew(auth))
		{
			cs_auth_apply(auth, http, &request);
			status = cs_http_send(http, &request, false);
		}
		if (get_bool(options, "read", true))
			md5 = read_body(options, &beginning);
	}
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	PG_RETURN_TEXT_P(cstring_to_text(
		psprintf("%d|%s|" INT64_FORMAT "|%s|%s|%.0f|%s", status, cs_http_url(http),
				 cs_http_bytes(http), md5 ? md5 : "-",
				 wanted && cs_http_header(http, wanted) ? cs_http_header(http, wanted) : "-",
				 INSTR_TIME_GET_MILLISEC(end), beginning ? beginning : "")));
}

/* How far the last request got. */
PG_FUNCTION_INFO_V1(unit_http_step);

PGDLLEXPORT Datum
unit_http_step(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {
		"resolve", "ssh", "connect", "tls", "authenticate", "query"
	};

	PG_RETURN_TEXT_P(cstring_to_text(http ? names[cs_http_step(http)] : "-"));
}

/* Deletes the client, to see that nothing stays open. */
PG_FUNCTION_INFO_V1(unit_http_close);

PGDLLEXPORT Datum
unit_http_close(PG_FUNCTION_ARGS)
{
	if (context != NULL)
		MemoryContextDelete(context);
	context = NULL;
	http = NULL;
	PG_RETURN_VOID();
}

static char *
get_text(json_t *options, const char *name)
{
	json_t *value = json_object_get(options, name);

	return json_is_string(value) ? pstrdup(json_string_value(value)) : NULL;
}

static double
get_number(json_t *options, const char *name, double otherwise)
{
	json_t *value = json_object_get(options, name);

	return json_is_number(value) ? json_number_value(value) : otherwise;
}

static bool
get_bool(json_t *options, const char *name, bool otherwise)
{
	json_t *value = json_object_get(options, name);

	return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

static List *
get_headers(json_t *options, const char *name)
{
	json_t *object = json_object_get(options, name);
	const char *key;
	json_t *value;
	List *result = NIL;

	json_object_foreach(object, key, value)
	{
		CsHttpHeader *header = palloc(sizeof(CsHttpHeader));

		header->name = pstrdup(key);
		header->value = pstrdup(json_string_value(value));
		result = lappend(result, header);
	}
	return result;
}

static void
create_client(json_t *options)
{
	CsHttpOptions client = { 0 };
	MemoryContext old;
	json_t *secrets = json_object_get(options, "secrets");

	if (context != NULL)
		MemoryContextDelete(context);
	http = NULL;
	context = AllocSetContextCreate(TopMemoryContext, "unit http", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	create_auth(options);
	client.allow_http = get_bool(options, "allow_http", true);
	client.ca_file = get_text(options, "ca_file");
	client.connect_timeout_s = (int) get_number(options, "connect_timeout", 5);
	client.timeout_s = (int) get_number(options, "timeout", 0);
	client.stall_timeout_s = (int) get_number(options, "stall_timeout", 30);
	client.max_response_bytes = (int64) get_number(options, "max_bytes", 4e9);
	client.requests_per_second = get_number(options, "rps", 0);
	client.secrets = list_copy(cs_auth_secrets(auth));
	for (size_t i = 0; i < json_array_size(secrets); i++)
		client.secrets =
			lappend(client.secrets, pstrdup(json_string_value(json_array_get(secrets, i))));
	http = cs_http_create(&client);
	MemoryContextSwitchTo(old);
}

static void
create_auth(json_t *options)
{
	json_t *object = json_object_get(options, "auth");
	CsCredentials credentials = { .user = get_text(object, "user"),
								  .password = get_text(object, "password"),
								  .token = get_text(object, "token"),
								  .api_key = get_text(object, "api_key"),
								  .api_key_header = get_text(object, "api_key_header"),
								  .api_key_parameter = get_text(object, "api_key_parameter"),
								  .client_id = get_text(object, "client_id"),
								  .client_secret = get_text(object, "client_secret"),
								  .token_url = get_text(object, "token_url"),
								  .scope = get_text(object, "scope"),
								  .client_auth = get_text(object, "client_auth") };

	cs_auth_validate(&credentials);
	auth = cs_auth_create(&credentials);
}

static char *
read_body(json_t *options, char **beginning)
{
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_MD5);
	bool hashing = get_bool(options, "md5", true);
	int slow_ms = (int) get_number(options, "slow_ms", 0);
	const char *data;
	size_t len;
	uint8 digest[MD5_DIGEST_LENGTH];
	char *result = palloc0(MD5_DIGEST_LENGTH * 2 + 1);
	StringInfoData text;

	initStringInfo(&text);
	(void) pg_cryptohash_init(hash);
	while (cs_http_read(http, &data, &len))
	{
		CHECK_FOR_INTERRUPTS();
		appendBinaryStringInfo(&text, data, Min(len, MAX_SHOWN - text.len));
		if (hashing)
			(void) pg_cryptohash_update(hash, (const uint8 *) data, len);
		if (slow_ms > 0)
			pg_usleep(slow_ms * 1000L);
	}
	(void) pg_cryptohash_final(hash, digest, sizeof(digest));
	pg_cryptohash_free(hash);
	*beginning = text.data;
	for (int i = 0; i < MD5_DIGEST_LENGTH; i++)
		snprintf(result + i * 2, 3, "%02x", digest[i]);
	return result;
}

/* Never freed: a test's backend is short-lived. */
static json_t *
parse(const char *text)
{
	json_t *result = json_loads(text, 0, NULL);

	if (result == NULL)
		elog(ERROR, "bad JSON in test");
	return result;
}
