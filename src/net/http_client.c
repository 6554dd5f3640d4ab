/*
 * http_client.c
 *		The HTTP client's decisions: what goes to whom, where redirects lead, what is
 *		tried again, and when a body has ended.
 */
#include "postgres.h"

#include <time.h>

#include "base/settings.h"
#include "net/address.h"
#include "net/http_internal.h"
#include "net/redact.h"
#include "net/retry.h"
#include "net/url.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define MAX_REDIRECTS 5

/* A request on its way through redirects; all memory is the exchange's. */
typedef struct Hop
{
	CsUrl *url;
	const char *method;
	bool first_origin; /* never left so far: gets headers and credentials */
	bool with_body;
} Hop;

static List *copy_secrets(List *secrets);
static void begin_exchange(CsHttp *http, const CsHttpRequest *request);
static void check_headers(List *headers);
static bool is_token(const char *name);
static bool follow(CsHttp *http, const CsHttpRequest *request);
static void first_hop(const CsHttpRequest *request, Hop *hop);
static void send_hop(CsHttp *http, const CsHttpRequest *request, Hop *hop);
static void check_hop(CsHttp *http, const Hop *hop);
static char *hop_url(const CsHttpRequest *request, const Hop *hop, bool with_secret);
static bool query_has(const char *query, const char *parameter);
static void throttle(CsHttp *http);
static bool is_redirect(int status);
static void redirect(CsHttp *http, const CsHttpRequest *request, Hop *hop);
static void throw_redirect(CsHttp *http, const char *why) pg_attribute_noreturn();
static int64 retry_delay(CsHttp *http, const CsHttpRequest *request, int attempt, bool answered);
static void begin_body(CsHttp *http);
static CsBodyStatus next_raw(CsHttp *http, const char **data, size_t *len);
static CsBodyStatus next_plain(CsHttp *http, const char **data, size_t *len);

CsHttp *
cs_http_create(const CsHttpOptions *options)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "censync HTTP client", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	CsHttp *http = palloc0(sizeof(CsHttp));

	http->context = context;
	http->exchange = AllocSetContextCreate(context, "censync HTTP request", ALLOCSET_SMALL_SIZES);
	http->options = *options;
	if (options->ca_file != NULL)
		http->options.ca_file = pstrdup(options->ca_file);
	http->options.secrets = copy_secrets(options->secrets);
	http->transfer = cs_transfer_create(&http->options);
	MemoryContextSwitchTo(old);
	return http;
}

int
cs_http_send(CsHttp *http, const CsHttpRequest *request, bool accept_unauthorized)
{
	int status = cs_http_exchange(http, request);

	if (status >= 300 && !(status == 401 && accept_unauthorized))
		cs_http_throw_status(http);
	return status;
}

int
cs_http_exchange(CsHttp *http, const CsHttpRequest *request)
{
	CsHttpRequest mine = *request;

	/* It may point into the answer before, a "next" link perhaps. */
	mine.url = pstrdup(request->url);
	begin_exchange(http, &mine);
	for (int attempt = 1;; attempt++)
	{
		bool answered = follow(http, &mine);
		int64 delay = retry_delay(http, &mine, attempt, answered);

		if (delay < 0 && answered)
			return cs_http_status(http);
		if (delay < 0)
			cs_http_throw_failure(http);
		cs_transfer_drop(http->transfer);
		cs_retry_sleep(delay);
	}
}

int
cs_http_status(CsHttp *http)
{
	return cs_transfer_head(http->transfer)->status;
}

bool
cs_http_read(CsHttp *http, const char **data, size_t *len)
{
	CsBodyStatus status;

	if (!http->answered)
		elog(ERROR, "there is no HTTP answer to read");
	if (http->ended)
		return false;
	status = cs_http_next_piece(http, data, len);
	if (status == CS_BODY_DATA)
		return true;
	if (status != CS_BODY_END && !(status == CS_BODY_UNPROVEN_END && http->allow_unproven_end))
		cs_http_throw_body(http, status);
	http->ended = true;
	cs_transfer_drop(http->transfer);
	return false;
}

CsBodyStatus
cs_http_next_piece(CsHttp *http, const char **data, size_t *len)
{
	CsBodyStatus status = http->gunzip ? next_plain(http, data, len) : next_raw(http, data, len);

	if (status != CS_BODY_DATA)
		return status;
	http->bytes += *len;
	http->response_bytes += *len;
	if (http->response_bytes > http->options.max_response_bytes)
		return CS_BODY_TOO_LARGE;
	return CS_BODY_DATA;
}

bool
cs_http_allow_unproven_end(CsHttp *http, bool allow)
{
	bool before = http->allow_unproven_end;

	http->allow_unproven_end = allow;
	return before;
}

void
cs_http_add_secret(CsHttp *http, const char *secret)
{
	MemoryContext old = MemoryContextSwitchTo(http->context);

	http->options.secrets = lappend(http->options.secrets, pstrdup(secret));
	MemoryContextSwitchTo(old);
}

char *
cs_http_redact(CsHttp *http, const char *text, int len, int max_len)
{
	return cs_redact(text, len, max_len, http->options.secrets);
}

const char *
cs_http_header(CsHttp *http, const char *name)
{
	return cs_head_find(cs_transfer_head(http->transfer), name, NULL);
}

List *
cs_http_headers(CsHttp *http, const char *name)
{
	const CsHttpHead *head = cs_transfer_head(http->transfer);
	const char *value = NULL;
	List *result = NIL;

	while ((value = cs_head_find(head, name, value)) != NULL)
		result = lappend(result, pstrdup(value));
	return result;
}

const char *
cs_http_url(CsHttp *http)
{
	return http->url;
}

int64
cs_http_bytes(CsHttp *http)
{
	return http->bytes;
}

CsHttpStep
cs_http_step(CsHttp *http)
{
	int status = cs_transfer_head(http->transfer)->status;
	CsHttpStep step = cs_transfer_step(http->transfer);

	if (http->url == NULL)
		return CS_HTTP_RESOLVE;
	/* The curl handle still knows of the request before when this one was refused unsent. */
	if (!http->sent)
		return CS_HTTP_CONNECT;
	if (cs_transfer_failure(http->transfer)->kind != CS_FAILURE_NONE)
		step = cs_transfer_failure(http->transfer)->step;
	if (step == CS_HTTP_QUERY && (http->authenticates || status == 401 || status == 403))
		return CS_HTTP_AUTHENTICATE;
	return step;
}

static List *
copy_secrets(List *secrets)
{
	List *result = NIL;
	ListCell *cell;

	foreach (cell, secrets)
	{
		if (lfirst(cell) != NULL)
			result = lappend(result, pstrdup(lfirst(cell)));
	}
	return result;
}

static void
begin_exchange(CsHttp *http, const CsHttpRequest *request)
{
	cs_transfer_drop(http->transfer);
	http->gunzip = NULL;
	http->url = http->host = NULL;
	http->sent = false;
	http->answered = http->ended = false;
	http->authenticates = request->authenticates;
	MemoryContextReset(http->exchange);
	check_headers(request->headers);
	check_headers(request->credentials);
	if (!is_token(request->method))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid HTTP method")));
}

/* A line break in a value would begin another header, or another request. */
static void
check_headers(List *headers)
{
	ListCell *cell;

	foreach (cell, headers)
	{
		const CsHttpHeader *header = lfirst(cell);
		bool ok = is_token(header->name);

		for (const char *c = header->value; *c != '\0'; c++)
			ok = ok && ((unsigned char) *c >= 0x20 || *c == '\t') && *c != 0x7f;
		if (!ok)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid HTTP header"),
					 errdetail("A name consists of letters, digits and hyphens, and a value has no "
							   "control characters.")));
	}
}

static bool
is_token(const char *name)
{
	for (const char *c = name; *c != '\0'; c++)
	{
		if (!isalnum((unsigned char) *c) && strchr("!#$%&'*+-.^_`|~", *c) == NULL)
			return false;
	}
	return *name != '\0';
}

/* Sends the request and follows where it is sent on to.  False: see cs_transfer_failure. */
static bool
follow(CsHttp *http, const CsHttpRequest *request)
{
	MemoryContext old = MemoryContextSwitchTo(http->exchange);
	bool answered;
	Hop hop;

	first_hop(request, &hop);
	for (int redirects = 0;; redirects++)
	{
		send_hop(http, request, &hop);
		answered = cs_transfer_await_head(http->transfer);
		if (!answered || !is_redirect(cs_http_status(http)))
			break;
		if (redirects == MAX_REDIRECTS)
			throw_redirect(http, psprintf("It is the %dth in a row.", MAX_REDIRECTS + 1));
		redirect(http, request, &hop);
	}
	if (answered)
		begin_body(http);
	MemoryContextSwitchTo(old);
	return answered;
}

static void
first_hop(const CsHttpRequest *request, Hop *hop)
{
	hop->url = cs_url_parse(request->url);
	hop->method = request->method;
	hop->first_origin = true;
	hop->with_body = request->body != NULL;
	if (hop->url->user_info != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a URL can't contain a user name or password"),
						errhint("Use the options \"user\" and \"password\" of the user mapping.")));
}

static void
send_hop(CsHttp *http, const CsHttpRequest *request, Hop *hop)
{
	CsTransferRequest wire = { .method = hop->method,
							   .url = hop_url(request, hop, true),
							   .host = hop->url->host,
							   .tls = strcmp(hop->url->scheme, "https") == 0,
							   .fresh_connection = !request->repeatable };

	http->sent = false;
	http->host = hop->url->host;
	http->url = hop_url(request, hop, false);
	check_hop(http, hop);
	if (hop->first_origin)
		wire.headers = list_concat_copy(request->headers, request->credentials);
	if (hop->with_body)
	{
		wire.body = request->body;
		wire.body_len = request->body_len;
	}
	throttle(http);
	cs_transfer_start(http->transfer, &wire);
	http->sent = true;
}

static void
check_hop(CsHttp *http, const Hop *hop)
{
	if (strcmp(hop->url->scheme, "https") != 0 && !http->options.allow_http)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("connection to \"%s\" without TLS is not allowed",
							   cs_http_shown_host(http)),
						errhint("Use an https URL, or have a superuser set the server option "
								"\"allow_http\".")));
	if (!cs_host_may_be_allowed(hop->url->host))
		cs_http_throw_refused(http, NULL, NULL);
}

static char *
hop_url(const CsHttpRequest *request, const Hop *hop, bool with_secret)
{
	CsUrl url = *hop->url;

	/* A server that redirects to the URL it was asked for has it in there already. */
	if (with_secret && request->secret_query != NULL && hop->first_origin &&
		!query_has(url.query, request->secret_query))
		url.query = url.query == NULL || *url.query == '\0'
						? pstrdup(request->secret_query)
						: psprintf("%s&%s", url.query, request->secret_query);
	return cs_url_build(&url);
}

static bool
query_has(const char *query, const char *parameter)
{
	size_t len = strlen(parameter);

	while (query != NULL && *query != '\0')
	{
		size_t this_len = strcspn(query, "&");

		if (this_len == len && memcmp(query, parameter, len) == 0)
			return true;
		query += this_len + (query[this_len] == '&');
	}
	return false;
}

/* Waits until the next request may begin. */
static void
throttle(CsHttp *http)
{
	TimestampTz now = GetCurrentTimestamp();

	if (http->options.requests_per_second <= 0)
		return;
	if (http->next_start > now)
		cs_retry_sleep((http->next_start - now + 999) / 1000);
	http->next_start =
		Max(now, http->next_start) + (int64) (USECS_PER_SEC / http->options.requests_per_second);
}

static bool
is_redirect(int status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Makes hop the next one, or throws. */
static void
redirect(CsHttp *http, const CsHttpRequest *request, Hop *hop)
{
	int status = cs_http_status(http);
	const char *location = cs_http_header(http, "Location");
	const char *why;
	char *target;
	CsUrl *url;

	if (location == NULL || *location == '\0')
		throw_redirect(http, "It does not say where to.");
	target = cs_url_try_resolve(http->url, location, &why);
	if (target == NULL)
		throw_redirect(http, psprintf("Where it leads is no usable URL: %s.", why));
	url = cs_url_try_parse(target, &why);
	if (strcmp(hop->url->scheme, "https") == 0 && strcmp(url->scheme, "https") != 0)
		throw_redirect(http, "It leads from https to plain http.");
	if ((status == 303 && strcmp(hop->method, "HEAD") != 0) ||
		(status <= 302 && strcmp(hop->method, "POST") == 0))
	{
		hop->method = "GET";
		hop->with_body = false;
	}
	if (!cs_url_same_origin(request->url, target))
		hop->first_origin = false;
	if (hop->with_body && !hop->first_origin)
		throw_redirect(http, psprintf("It would send the request's body to another server, \"%s\".",
									  url->host));
	hop->url = url;
}

static void
throw_redirect(CsHttp *http, const char *why)
{
	cs_transfer_drop(http->transfer);
	ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
					errmsg("can't follow a redirect from \"%s\"", cs_http_shown_url(http)),
					errdetail("%s", cs_http_redact(http, why, strlen(why), 500)),
					errhint("Check the URL; the server may have moved.")));
}

/* Milliseconds until the next attempt, or -1: there is none. */
static int64
retry_delay(CsHttp *http, const CsHttpRequest *request, int attempt, bool answered)
{
	CsFailureKind kind = cs_transfer_failure(http->transfer)->kind;

	if (!request->repeatable || attempt > cs_http_retries)
		return -1;
	if (answered && !cs_retry_status(cs_http_status(http)))
		return -1;
	if (!answered && kind != CS_FAILURE_RESOLVE && kind != CS_FAILURE_CONNECT &&
		kind != CS_FAILURE_CONNECT_TIMEOUT && kind != CS_FAILURE_LOST)
		return -1;
	return cs_retry_delay_ms(attempt, answered ? cs_http_header(http, "Retry-After") : NULL,
							 (int64) time(NULL));
}

/* The head is there.  What can't be decoded is refused when the body is read. */
static void
begin_body(CsHttp *http)
{
	const char *encoding = cs_http_header(http, "Content-Encoding");

	http->answered = true;
	http->ended = false;
	http->response_bytes = 0;
	http->gunzip = NULL;
	if (encoding != NULL && *encoding != '\0' && pg_strcasecmp(encoding, "identity") != 0)
		http->gunzip = cs_gunzip_create();
}

static CsBodyStatus
next_raw(CsHttp *http, const char **data, size_t *len)
{
	switch (cs_transfer_read(http->transfer, data, len))
	{
		case CS_TRANSFER_DATA:
			return CS_BODY_DATA;
		case CS_TRANSFER_END:
			return CS_BODY_END;
		case CS_TRANSFER_UNPROVEN_END:
			return CS_BODY_UNPROVEN_END;
		case CS_TRANSFER_FAILED:
			break;
	}
	return CS_BODY_FAILED;
}

/* The end of a compressed stream proves nothing about the body around it, nor the other way
 * round: both must have ended. */
static CsBodyStatus
next_plain(CsHttp *http, const char **data, size_t *len)
{
	for (;;)
	{
		const char *raw;
		size_t raw_len;
		CsBodyStatus status;

		switch (cs_gunzip_next(http->gunzip, data, len))
		{
			case CS_GUNZIP_DATA:
				return CS_BODY_DATA;
			case CS_GUNZIP_CORRUPT:
				return CS_BODY_CORRUPT;
			case CS_GUNZIP_MORE:
				break;
		}
		status = next_raw(http, &raw, &raw_len);
		if (status == CS_BODY_DATA)
			cs_gunzip_feed(http->gunzip, raw, raw_len);
		else if (status == CS_BODY_FAILED || cs_gunzip_is_complete(http->gunzip))
			return status;
		else
			return CS_BODY_TRUNCATED;
	}
}
