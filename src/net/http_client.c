/*
 * http_client.c
 *		The HTTP client's decisions: what goes to whom, where redirects lead, and what
 *		is tried again.
 */
#include "postgres.h"

#include <time.h>

#include "base/clock.h"
#include "base/settings.h"
#include "net/address.h"
#include "net/http_internal.h"
#include "net/rate.h"
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
	bool ahead; /* sent before its answer is needed */
} Hop;

static CsHttpRequest *copy_request(const CsHttpRequest *request);
static void forget_farewell(CsHttp *http);
static List *copy_secrets(List *secrets);
static void begin_exchange(CsHttp *http, const CsHttpRequest *request);
static bool is_same(const CsHttpRequest *a, const CsHttpRequest *b);
static void take_ahead(CsHttp *http);
static void check_headers(List *headers);
static bool is_token(const char *name);
static bool follow(CsHttp *http, const CsHttpRequest *request);
static void first_hop(const CsHttpRequest *request, Hop *hop);
static void send_hop(CsHttp *http, const CsHttpRequest *request, Hop *hop);
static void start_hop(CsHttp *http, const CsHttpRequest *request, const Hop *hop,
					  CsTransfer *transfer);
static void fill_wire(CsHttp *http, const CsHttpRequest *request, const Hop *hop,
					  CsTransferRequest *wire);
static void check_hop(CsHttp *http, const Hop *hop);
static bool may_be_plain(CsHttp *http, const Hop *hop);
static bool host_may_be_asked(const CsHttp *http, const Hop *hop);
static char *hop_url(const CsHttpRequest *request, const Hop *hop, bool with_secret);
static bool query_has(const char *query, const char *parameter);
static void throttle(CsHttp *http);
static void count_start(CsHttp *http, TimestampTz now);
static bool is_redirect(int status);
static void redirect(CsHttp *http, const CsHttpRequest *request, Hop *hop);
static void throw_redirect(CsHttp *http, const char *why) pg_attribute_noreturn();
static int64 retry_delay(CsHttp *http, const CsHttpRequest *request, int attempt, bool answered);

CsHttp *
cs_http_create(const CsHttpOptions *options)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "censync HTTP client", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	CsHttp *http = palloc0(sizeof(CsHttp));

	http->context = context;
	http->exchange = AllocSetContextCreate(context, "censync HTTP request", ALLOCSET_SMALL_SIZES);
	http->ahead_exchange =
		AllocSetContextCreate(context, "censync HTTP request", ALLOCSET_SMALL_SIZES);
	http->options = *options;
	if (options->ca_file != NULL)
		http->options.ca_file = pstrdup(options->ca_file);
	http->options.secrets = copy_secrets(options->secrets);
	http->transfer = cs_transfer_create(&http->options, NULL);
	http->next_start =
		OidIsValid(options->server) ? cs_rate_next_start(options->server) : &http->own_start;
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
		if (mine.repeat_query && attempt == 1)
			mine.url =
				psprintf("%s%c%s", mine.url, strchr(mine.url, '?') ? '&' : '?', mine.repeat_query);
	}
}

bool
cs_http_may_send_ahead(CsHttp *http)
{
	/* Nor does a client that was asked for nothing yet, and has no tunnel to open, have to wait. */
	bool fresh = http->url == NULL && http->asked_ahead == NULL && http->options.tunnel == NULL;

	return (fresh || (http->answered && cs_transfer_is_received(http->transfer))) &&
		   (*http->next_start == 0 || *http->next_start <= cs_clock_steady());
}

bool
cs_http_send_ahead(CsHttp *http, const CsHttpRequest *request)
{
	MemoryContext old;
	const char *why;
	Hop hop = { .first_origin = true, .ahead = true };

	cs_http_forget_ahead(http);
	if (!cs_http_may_send_ahead(http))
		return false;
	check_headers(request->headers);
	check_headers(request->credentials);
	old = MemoryContextSwitchTo(http->ahead_exchange);
	hop.method = request->method;
	hop.with_body = request->body != NULL;
	hop.url = cs_url_try_parse(request->url, &why);
	if (hop.url != NULL && hop.url->user_info == NULL && may_be_plain(http, &hop) &&
		host_may_be_asked(http, &hop))
	{
		MemoryContextSwitchTo(http->context);
		if (http->ahead == NULL)
			http->ahead = cs_transfer_create(&http->options, http->transfer);
		MemoryContextSwitchTo(http->ahead_exchange);
		count_start(http, cs_clock_steady());
		http->asked_ahead = copy_request(request);
		start_hop(http, http->asked_ahead, &hop, http->ahead);
		cs_transfer_work(http->ahead);
	}
	MemoryContextSwitchTo(old);
	return http->asked_ahead != NULL;
}

/* Its headers go into libcurl's hands at once; its body does not. */
static CsHttpRequest *
copy_request(const CsHttpRequest *request)
{
	CsHttpRequest *copy = palloc(sizeof(CsHttpRequest));

	*copy = *request;
	copy->method = pstrdup(request->method);
	copy->url = pstrdup(request->url);
	if (request->body)
	{
		char *body = palloc(request->body_len + 1);

		memcpy(body, request->body, request->body_len);
		body[request->body_len] = '\0';
		copy->body = body;
	}
	return copy;
}

void
cs_http_forget_ahead(CsHttp *http)
{
	if (http->ahead != NULL)
		cs_transfer_drop(http->ahead);
	http->asked_ahead = NULL;
	MemoryContextReset(http->ahead_exchange);
}

void
cs_http_join(CsHttp *http, const CsHttp *other)
{
	Assert(http->url == NULL && http->ahead == NULL);
	cs_transfer_join(http->transfer, other->transfer);
}

void
cs_http_set_farewell(CsHttp *http, const CsHttpRequest *request)
{
	CsTransferRequest wire = { 0 };
	MemoryContext old;
	Hop hop;

	forget_farewell(http);
	if (request == NULL)
		return;
	check_headers(request->headers);
	check_headers(request->credentials);
	http->farewell_context =
		AllocSetContextCreate(http->context, "censync HTTP farewell", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(http->farewell_context);
	first_hop(request, &hop);
	check_hop(http, &hop);
	fill_wire(http, request, &hop, &wire);
	wire.fresh_connection = true;
	wire.body = request->body ? pnstrdup(request->body, request->body_len) : NULL;
	wire.method = pstrdup(request->method);
	http->farewell = cs_farewell_create(&http->options, &wire);
	MemoryContextSwitchTo(old);
}

static void
forget_farewell(CsHttp *http)
{
	if (http->farewell)
		cs_farewell_take_back(http->farewell);
	http->farewell = NULL;
	if (http->farewell_context)
		MemoryContextDelete(http->farewell_context);
	http->farewell_context = NULL;
}

void
cs_http_work(CsHttp *http)
{
	cs_transfer_work(http->transfer);
	if (http->ahead != NULL)
		cs_transfer_work(http->ahead);
}

void
cs_http_add_secret(CsHttp *http, const char *secret)
{
	MemoryContext old = MemoryContextSwitchTo(http->context);

	http->options.secrets = lappend(http->options.secrets, pstrdup(secret));
	MemoryContextSwitchTo(old);
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
	bool is_ahead = http->asked_ahead != NULL && is_same(http->asked_ahead, request);

	cs_transfer_drop(http->transfer);
	if (is_ahead)
		take_ahead(http);
	else
		cs_http_forget_ahead(http);
	http->taken = is_ahead;
	http->gunzip = NULL;
	http->url = http->host = NULL;
	http->sent = http->tunnel_failed = false;
	http->answered = http->ended = false;
	http->refusal = NULL;
	http->authenticates = request->authenticates;
	if (!is_ahead)
		MemoryContextReset(http->exchange);
	check_headers(request->headers);
	check_headers(request->credentials);
	if (!is_token(request->method))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid HTTP method")));
}

static bool
is_same(const CsHttpRequest *a, const CsHttpRequest *b)
{
	if (strcmp(a->method, b->method) != 0 || strcmp(a->url, b->url) != 0 ||
		(a->body == NULL) != (b->body == NULL))
		return false;
	return a->body == NULL ||
		   (a->body_len == b->body_len && memcmp(a->body, b->body, a->body_len) == 0);
}

/* The request ahead becomes the present one. */
static void
take_ahead(CsHttp *http)
{
	CsTransfer *transfer = http->transfer;
	MemoryContext exchange = http->exchange;

	http->transfer = http->ahead;
	http->exchange = http->ahead_exchange;
	http->ahead = transfer;
	http->ahead_exchange = exchange;
	cs_http_forget_ahead(http);
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
		if (!answered || request->no_redirects || !is_redirect(cs_http_status(http)))
			break;
		if (redirects == MAX_REDIRECTS)
			throw_redirect(http, psprintf("It is the %dth in a row.", MAX_REDIRECTS + 1));
		redirect(http, request, &hop);
	}
	if (answered)
		cs_http_begin_body(http);
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
	hop->ahead = false;
	if (hop->url->user_info != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a URL can't contain a user name or password"),
						errhint("Use the options \"user\" and \"password\" of the user mapping.")));
}

static void
send_hop(CsHttp *http, const CsHttpRequest *request, Hop *hop)
{
	bool sent = http->taken;

	http->taken = http->sent = false;
	http->host = hop->url->host;
	http->url = hop_url(request, hop, false);
	check_hop(http, hop);
	/* One that failed unanswered meanwhile counts for no attempt: that may be for want of attention. */
	if (!sent || !cs_transfer_take(http->transfer))
	{
		throttle(http);
		start_hop(http, request, hop, http->transfer);
	}
	http->sent = true;
}

static void
start_hop(CsHttp *http, const CsHttpRequest *request, const Hop *hop, CsTransfer *transfer)
{
	CsTransferRequest wire = { 0 };

	fill_wire(http, request, hop, &wire);
	cs_transfer_start(transfer, &wire);
}

static void
fill_wire(CsHttp *http, const CsHttpRequest *request, const Hop *hop, CsTransferRequest *wire)
{
	wire->method = hop->method;
	wire->url = hop_url(request, hop, true);
	wire->host = hop->url->host;
	wire->tls = strcmp(hop->url->scheme, "https") == 0;
	wire->ahead = hop->ahead;
	wire->fresh_connection = !request->repeatable;
	wire->tunnel_port = cs_http_tunnel_port(http, hop->url);
	if (hop->first_origin)
		wire->headers = list_concat_copy(request->headers, request->credentials);
	if (hop->with_body)
	{
		wire->body = request->body;
		wire->body_len = request->body_len;
	}
}

static void
check_hop(CsHttp *http, const Hop *hop)
{
	if (!may_be_plain(http, hop))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("connection to \"%s\" without TLS is not allowed",
							   cs_http_shown_host(http)),
						errhint("Use an https URL, or have a superuser set the server option "
								"\"allow_http\".")));
	if (http->options.tunnel == NULL && !host_may_be_asked(http, hop))
		cs_http_throw_refused(http, NULL, NULL);
}

static bool
may_be_plain(CsHttp *http, const Hop *hop)
{
	return http->options.allow_http || strcmp(hop->url->scheme, "https") == 0;
}

static bool
host_may_be_asked(const CsHttp *http, const Hop *hop)
{
	return http->options.tunnel ? cs_http_may_tunnel_to(http, hop->url->host)
								: cs_host_may_be_allowed(hop->url->host);
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
	TimestampTz now = cs_clock_steady();

	if (http->options.requests_per_second <= 0)
		return;
	if (*http->next_start > now)
		cs_retry_sleep((*http->next_start - now + 999) / 1000);
	count_start(http, now);
}

static void
count_start(CsHttp *http, TimestampTz now)
{
	if (http->options.requests_per_second > 0)
		*http->next_start = Max(now, *http->next_start) +
							(int64) (USECS_PER_SEC / http->options.requests_per_second);
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
	bool passing;

	if (!request->repeatable || attempt > cs_http_retries)
		return -1;
	if (answered && !cs_retry_status(cs_http_status(http)))
		return -1;
	if (!answered && cs_http_tunnel_has_failed(http, &passing))
		return passing ? cs_retry_delay_ms(attempt, NULL, (int64) time(NULL)) : -1;
	if (!answered && kind != CS_FAILURE_RESOLVE && kind != CS_FAILURE_CONNECT &&
		kind != CS_FAILURE_CONNECT_TIMEOUT && kind != CS_FAILURE_LOST)
		return -1;
	return cs_retry_delay_ms(attempt, answered ? cs_http_header(http, "Retry-After") : NULL,
							 (int64) time(NULL));
}
