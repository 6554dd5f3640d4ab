/*
 * service_session.c
 *		Sessions with services over HTTP: requests with credentials, answers as
 *		documents.
 */
#include "postgres.h"

#include <time.h>

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/errors.h"
#include "base/settings.h"
#include "net/auth.h"
#include "net/retry.h"
#include "net/url.h"
#include "source/http_options.h"
#include "source/service_internal.h"

/* Of an answer that is no page of rows. */
#define MAX_DOCUMENT (64 * 1024 * 1024)

/* Between polls, in ms. */
#define MIN_WAIT 100
#define MAX_WAIT 5000

/* A parsed document, and who frees it. */
typedef struct Document
{
	json_t *root;
	MemoryContextCallback free;
} Document;

static void try_session(void *arg);
static int64 passing_refusal(CsServiceSession *session, CsHttp *http, const CsHttpRequest *request,
							 int status, int attempt);
static json_t *parse_counting(const char *text, const char *records, int64 *rows);
static json_t *read_document(CsServiceSession *session, const char *records);
static void throw_no_json(CsServiceSession *session, const char *text, size_t len)
	pg_attribute_noreturn();
static char *read_all(CsHttp *http, size_t *len);
static const char *read_envelope(CsHttp *http, const char *records);
static CsDecoder *envelope_decoder(const char *records);
static int64 pass_rows(CsDecoder *decoder);
static void free_document(void *arg);

CsServiceSession *
cs_service_session(const CsService *service, const CsReadSpec *spec)
{
	CsOptionSet *options = cs_options_load(spec->serverid, spec->userid, spec->near);
	CsServiceSession *session;

	cs_options_check_source(options, service->base.bit);
	if (spec->query && spec->object)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a source is a query or an object, not both"),
						errhint("Leave one of them out.")));
	session = service->create(spec, options);
	session->service = service;
	session->spec = spec;
	session->options = options;
	session->context = CurrentMemoryContext;
	session->total = -1;
	session->http = cs_service_client(session);
	return session;
}

CsHttp *
cs_service_client(CsServiceSession *session)
{
	MemoryContext old = MemoryContextSwitchTo(session->context);
	List *hosts = list_make1(cs_url_parse(session->base_url)->host);
	CsHttp *http =
		cs_http_client(session->options, list_concat(hosts, session->hosts), session->secrets);

	session->clients = lappend(session->clients, http);
	MemoryContextSwitchTo(old);
	return http;
}

/* Goes as far as it gets: a probe, or the description of what is to be read. */
void
cs_service_check(const CsSourceType *type, const CsReadSpec *spec, CsCheck *check)
{
	CsServiceSession *session = cs_service_session((const CsService *) type, spec);
	bool tls = pg_strncasecmp(session->base_url, "https:", 6) == 0;
	bool tunneled = cs_option_get(session->options, "ssh_host") != NULL;
	CsError *error = cs_check_try(try_session, session);

	if (error)
		cs_http_report_steps(check, cs_http_step(session->http), false, tls, tunneled,
							 cs_check_words(error));
	else
		cs_http_report_steps(check, CS_HTTP_QUERY, true, tls, tunneled,
							 psprintf("%s answers", cs_url_display(session->base_url)));
}

static void
try_session(void *arg)
{
	CsServiceSession *session = arg;
	const CsReadSpec *spec = session->spec;

	if (session->service->probe && spec->query == NULL && spec->object == NULL)
		session->service->probe(session);
	else
		session->service->describe(session);
}

int
cs_service_exchange(CsServiceSession *session, CsHttp *http, CsHttpRequest *request, bool foreign,
					int allowed)
{
	int status = cs_http_exchange(http, request);

	if (status == 401 && !foreign && session->service->authorize(session, request, true))
	{
		if (session->farewell)
			cs_service_set_farewell(session, session->farewell);
		status = cs_http_exchange(http, request);
	}
	for (int attempt = 1; status >= 300 && status != allowed && !foreign; attempt++)
	{
		int64 delay = passing_refusal(session, http, request, status, attempt);

		if (delay < 0)
			break;
		cs_retry_sleep(delay);
		status = cs_http_exchange(http, request);
	}
	if (status < 300 || status == allowed)
		return status;
	if (!foreign && session->service->refuse)
		session->service->refuse(session, status, cs_http_refusal(http));
	cs_http_throw_status(http);
}

/* How long to wait before it is sent again, in ms; -1: it stands. */
static int64
passing_refusal(CsServiceSession *session, CsHttp *http, const CsHttpRequest *request, int status,
				int attempt)
{
	const CsService *service = session->service;

	if (!request->repeatable || attempt > cs_http_retries || service->may_pass == NULL ||
		!service->may_pass(session, status, cs_http_refusal(http)))
		return -1;
	/* Quotas are mostly of a minute. */
	return cs_retry_delay_ms(status == 429 ? attempt + 4 : attempt,
							 cs_http_header(http, "Retry-After"), (int64) time(NULL));
}

json_t *
cs_service_call(CsServiceSession *session, CsHttpRequest *request, int allowed, int *status)
{
	int answered;

	(void) session->service->authorize(session, request, false);
	answered = cs_service_exchange(session, session->http, request, false, allowed);
	if (status)
		*status = answered;
	return read_document(session, NULL);
}

json_t *
cs_service_call_without(CsServiceSession *session, CsHttpRequest *request, const char *records,
						int *status)
{
	return cs_service_poll(session, request, records, 0, status);
}

json_t *
cs_service_poll(CsServiceSession *session, CsHttpRequest *request, const char *records, int allowed,
				int *status)
{
	int answered;

	(void) session->service->authorize(session, request, false);
	answered = cs_service_exchange(session, session->http, request, false, allowed);
	if (status)
		*status = answered;
	return read_document(session, records);
}

char *
cs_service_call_text(CsServiceSession *session, CsHttpRequest *request)
{
	size_t len;

	(void) session->service->authorize(session, request, false);
	(void) cs_service_exchange(session, session->http, request, false, 0);
	return read_all(session->http, &len);
}

json_t *
cs_service_call_keeping(CsServiceSession *session, CsHttpRequest *request, const char *records,
						int allowed, CsKeptAnswer *kept)
{
	json_t *root;
	size_t len;

	(void) session->service->authorize(session, request, false);
	kept->status = cs_service_exchange(session, session->http, request, false, allowed);
	kept->text = read_all(session->http, &len);
	kept->rows = 0;
	root = kept->status < 300 ? parse_counting(kept->text, records, &kept->rows)
							  : cs_json_parse(kept->text, len);
	if (root == NULL)
		throw_no_json(session, kept->text, len);
	return root;
}

CsHttpRequest *
cs_service_request(CsServiceSession *session, const char *method, const char *path,
				   const char *body)
{
	CsHttpRequest *request = palloc0(sizeof(CsHttpRequest));

	request->method = method;
	request->url = psprintf("%s%s", session->base_url, path);
	request->repeatable = strcmp(method, "GET") == 0;
	if (body)
	{
		CsHttpHeader *type = palloc(sizeof(CsHttpHeader));

		type->name = "Content-Type";
		type->value = "application/json";
		request->headers = list_make1(type);
		request->body = pg_server_to_any(body, (int) strlen(body), PG_UTF8);
		request->body_len = strlen(request->body);
	}
	return request;
}

void
cs_service_set_farewell(CsServiceSession *session, CsHttpRequest *request)
{
	if (request)
		(void) session->service->authorize(session, request, false);
	cs_http_set_farewell(session->http, request);
	session->farewell = request;
}

void
cs_service_wait(int polls)
{
	cs_retry_sleep(Min(MAX_WAIT, (int64) MIN_WAIT << Min(polls, 10)));
}

char *
cs_service_random_id(void)
{
	unsigned char b[16];

	if (!pg_strong_random(b, sizeof(b)))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not make random bytes")));
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	return psprintf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
					b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
					b[13], b[14], b[15]);
}

bool
cs_service_authorize_fixed(CsServiceSession *session, CsHttpRequest *request, bool renew)
{
	if (!renew)
		cs_auth_apply(session->auth, session->http, request);
	return false;
}

char *
cs_service_base_url(const char *url)
{
	size_t len = strlen(url);

	while (len > 0 && url[len - 1] == '/')
		len--;
	return pnstrdup(url, len);
}

void
cs_service_add_secret(CsServiceSession *session, const char *secret)
{
	MemoryContext old = MemoryContextSwitchTo(session->context);
	ListCell *lc;

	session->secrets = lappend(session->secrets, pstrdup(secret));
	foreach (lc, session->clients)
		cs_http_add_secret(lfirst(lc), secret);
	MemoryContextSwitchTo(old);
}

json_t *
cs_json_parse(const char *text, size_t len)
{
	Document *document = palloc0(sizeof(Document));

	document->free.func = free_document;
	document->free.arg = document;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &document->free);
	document->root = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
	return document->root;
}

json_t *
cs_json_parse_without(const char *text, const char *records)
{
	return parse_counting(text, records, NULL);
}

char *
cs_json_text(const json_t *object, const char *name)
{
	const json_t *member = json_object_get(object, name);

	return json_is_string(member) ? pstrdup(json_string_value(member)) : NULL;
}

int64
cs_json_int(const json_t *object, const char *name, int64 fallback)
{
	const json_t *member = json_object_get(object, name);
	const char *text = json_string_value(member);
	char *end;
	int64 value;

	if (json_is_integer(member))
		return json_integer_value(member);
	if (text == NULL || text[0] == '\0')
		return fallback;
	value = strtoll(text, &end, 10);
	return *end == '\0' ? value : fallback;
}

char *
cs_json_quote(const char *text)
{
	StringInfoData json;

	initStringInfo(&json);
	escape_json(&json, text);
	return json.data;
}

/* rows, unless NULL: how many there were. */
static json_t *
parse_counting(const char *text, const char *records, int64 *rows)
{
	CsDecoder *decoder = envelope_decoder(records);
	const char *envelope;
	int64 passed;

	cs_decoder_feed(decoder, text, strlen(text));
	passed = pass_rows(decoder);
	cs_decoder_finish(decoder);
	passed += pass_rows(decoder);
	if (rows)
		*rows = passed;
	envelope = cs_decoder_envelope(decoder);
	return cs_json_parse(envelope, strlen(envelope));
}

static json_t *
read_document(CsServiceSession *session, const char *records)
{
	size_t len = 0;
	const char *text =
		records ? read_envelope(session->http, records) : read_all(session->http, &len);
	json_t *root;

	if (records && text)
		len = strlen(text);
	root = text ? cs_json_parse(text, len) : NULL;
	if (root == NULL)
		throw_no_json(session, text ? text : "", len);
	return root;
}

static void
throw_no_json(CsServiceSession *session, const char *text, size_t len)
{
	ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
					errmsg("\"%s\" answered with something that is not JSON",
						   cs_url_display(cs_http_url(session->http))),
					errdetail("The answer begins: %s",
							  cs_http_redact(session->http, text, (int) Min(len, 1000), 300)),
					errhint("Check the address of the server: something else may answer there.")));
}

static char *
read_all(CsHttp *http, size_t *len)
{
	StringInfoData text;
	const char *data;
	size_t size;

	initStringInfo(&text);
	while (cs_http_read(http, &data, &size))
	{
		if (text.len + size > MAX_DOCUMENT)
			ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
							errmsg("an answer of \"%s\" is larger than %d MB",
								   cs_url_display(cs_http_url(http)), MAX_DOCUMENT / 1024 / 1024)));
		appendBinaryStringInfo(&text, data, (int) size);
	}
	*len = text.len;
	return text.data;
}

/* The document without its rows. */
static const char *
read_envelope(CsHttp *http, const char *records)
{
	CsDecoder *decoder = envelope_decoder(records);
	const char *data;
	size_t len;

	while (cs_http_read(http, &data, &len))
	{
		cs_decoder_feed(decoder, data, len);
		pass_rows(decoder);
	}
	cs_decoder_finish(decoder);
	pass_rows(decoder);
	return cs_decoder_envelope(decoder);
}

static CsDecoder *
envelope_decoder(const char *records)
{
	CsDecoderOptions options = { .format = CS_FORMAT_JSON,
								 .records = records,
								 .may_lack_records = true };
	CsProjection *none = palloc0(sizeof(CsProjection));

	return cs_decoder_create(&options, none);
}

static int64
pass_rows(CsDecoder *decoder)
{
	MemoryContext row =
		AllocSetContextCreate(CurrentMemoryContext, "censync passed row", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(row);
	CsRecord record;
	int64 rows = 0;

	for (; cs_decoder_next(decoder, &record); rows++)
		MemoryContextReset(row);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(row);
	return rows;
}

/* jansson's memory is malloc's. */
static void
free_document(void *arg)
{
	json_decref(((Document *) arg)->root);
}
