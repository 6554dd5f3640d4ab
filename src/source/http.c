/*
 * http.c
 *		Source type "http": any endpoint that answers with JSON, NDJSON or CSV.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/errors.h"
#include "net/auth.h"
#include "net/redact.h"
#include "net/url.h"
#include "source/check.h"
#include "source/headers.h"
#include "source/http.h"
#include "source/http_options.h"
#include "source/option_table.h"
#include "source/pages.h"
#include "source/since.h"

/* What one batch holds at most, whichever comes first. */
#define BATCH_RECORDS 1000
#define BATCH_BYTES (1024 * 1024)

/* So much of a body, or all of it, is looked at before its format is guessed. */
#define SNIFF_BYTES 4096

typedef struct HttpReader
{
	CsReader base;				/* must be first */
	MemoryContext context;		/* of the reader; what follows lives in it */
	MemoryContext page_context; /* the current page's decoder */
	CsOptionSet *options;
	CsProjection projection; /* names and seen flags are those of base.columns */
	List *headers;			 /* CsHttpHeader * */
	CsAuth *auth;
	CsHttp *http;
	CsPager *pager;
	bool compares_pages; /* it wants page_digest */
	CsFormat format;	 /* as configured; CS_FORMAT_AUTO: each page by its answer */
	bool partial;		 /* see CsReadSpec */
	CsDecoder *decoder;	 /* NULL before a page's format is known */
	StringInfo head;	 /* first bytes of a page while its format is not known, else NULL */
	enum
	{
		PAGE_TO_FETCH,
		PAGE_BODY,	/* more of the body may come */
		PAGE_DRAIN, /* the body has ended, records may be left in the decoder */
		PAGE_LAST_DONE
	} state;
	MemoryContext request_context; /* the request */
	CsHttpRequest request;		   /* for the current page; once sent ahead, for the next */
	bool sent_ahead;
	char *next_url; /* of the next page, as guessed; in page_context; or NULL */
	int guesses;	/* 1: on the way, 2: at the page's end */
	int64 page_records;
	uint64 page_digest;
} HttpReader;

static CsReader *http_open(const CsSourceType *type, const CsReadSpec *spec);
static const char *ask_for_newer(HttpReader *reader, const CsReadSpec *spec, const char *url);
static void http_check(const CsSourceType *type, const CsReadSpec *spec, CsCheck *check);
static void read_one_batch(void *arg);
static CsReadStatus http_next_batch(CsReader *base, CsBatch *batch);
static char *http_record_json(CsReader *base, const CsRecord *record);
static List *named_hosts(const CsOptionSet *set);
static void set_up_columns(HttpReader *reader, const CsReadSpec *spec);
static void fetch_page(HttpReader *reader);
static void prepare_request(HttpReader *reader, const char *url);
static void look_ahead(HttpReader *reader, bool at_end);
static char *guess_next(HttpReader *reader, bool at_end);
static void describe_page(HttpReader *reader, CsPage *page);
static void read_some(HttpReader *reader);
static void start_decoder(HttpReader *reader, const char *data, size_t len);
static CsFormat format_of_page(HttpReader *reader, const char *data, size_t len);
static void end_page(HttpReader *reader);
static CsFormat format_by_name(const char *name);

const CsSourceType cs_source_http = { "http",	  CS_FOR_HTTP, false, http_open,
									  http_check, NULL,		   NULL,  NULL };

static CsReader *
http_open(const CsSourceType *type, const CsReadSpec *spec)
{
	HttpReader *reader = palloc0(sizeof(HttpReader));
	const char *url;
	const char *headers;

	reader->context = CurrentMemoryContext;
	reader->page_context =
		AllocSetContextCreate(CurrentMemoryContext, "censync page", ALLOCSET_DEFAULT_SIZES);
	reader->request_context =
		AllocSetContextCreate(CurrentMemoryContext, "censync request", ALLOCSET_SMALL_SIZES);
	reader->partial = spec->partial;
	reader->options = cs_options_load(spec->serverid, spec->userid, spec->near);
	cs_options_check_source(reader->options, type->bit);
	if (spec->query)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a source of type \"http\" has no query language"),
						errhint("Name the path below the server's url as object.")));
	url = cs_option_get(reader->options, "url");
	if (url == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
						errmsg("the server has no option \"url\""),
						errhint("ALTER SERVER ... OPTIONS (ADD url 'https://...')")));
	if (spec->object)
		url = cs_url_append(url, spec->object);
	url = ask_for_newer(reader, spec, url);
	headers = cs_option_get(reader->options, "headers");
	reader->headers = headers ? cs_headers_parse(headers) : NIL;
	reader->format = format_by_name(cs_option_get(reader->options, "format"));
	reader->auth = cs_auth_create(cs_options_credentials(reader->options->user));
	reader->http = cs_http_client(reader->options, named_hosts(reader->options),
								  cs_auth_secrets(reader->auth));
	reader->pager = cs_pager_create(reader->options, url);
	reader->compares_pages = cs_pager_compares(reader->pager);
	set_up_columns(reader, spec);
	reader->base.next_batch = http_next_batch;
	reader->base.record_json = http_record_json;
	return &reader->base;
}

/* Once there is a bound, it goes into a query parameter.  What the endpoint makes of it is its business:
 * more records than asked for do no harm. */
static const char *
ask_for_newer(HttpReader *reader, const CsReadSpec *spec, const char *url)
{
	const char *parameter = cs_option_get(reader->options, "cursor_request_param");
	const char *format = cs_option_get(reader->options, "cursor_request_format");
	char *bound;

	if (spec->since == NULL)
		return url;
	if (parameter == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("option \"cursor_column\" needs option \"cursor_request_param\" for a "
						"source of type \"http\""),
				 errhint("It names the query parameter by which the endpoint leaves out what is "
						 "older, such as updated_since.")));
	reader->base.since = true;
	bound = cs_since_format(spec->since, format);
	return bound ? cs_url_set_parameter(url, parameter, bound) : url;
}

/* Fetches the server's url itself: whatever it answers says how far we got. */
static void
http_check(const CsSourceType *type, const CsReadSpec *spec, CsCheck *check)
{
	CsReadSpec one_batch = *spec;
	HttpReader *reader;
	CsError *error;
	bool tls;
	bool tunneled;

	one_batch.partial = true;
	reader = (HttpReader *) http_open(type, &one_batch);
	tls = pg_strncasecmp(cs_pager_url(reader->pager), "https:", 6) == 0;
	tunneled = cs_option_get(reader->options, "ssh_host") != NULL;
	error = cs_check_try(read_one_batch, reader);
	if (error)
		cs_http_report_steps(check, cs_http_step(reader->http), false, tls, tunneled,
							 cs_check_words(error));
	else
		cs_http_report_steps(check, CS_HTTP_QUERY, true, tls, tunneled,
							 psprintf("%s answered with %s",
									  cs_url_display(cs_http_url(reader->http)),
									  reader->base.records_read > 0 ? "records" : "no record"));
}

static void
read_one_batch(void *arg)
{
	CsBatch batch;

	(void) http_next_batch(arg, &batch);
}

static CsReadStatus
http_next_batch(CsReader *base, CsBatch *batch)
{
	HttpReader *reader = (HttpReader *) base;
	int64 bytes = 0;

	batch->nrecords = 0;
	batch->records = palloc(sizeof(CsRecord) * BATCH_RECORDS);
	while (batch->nrecords < BATCH_RECORDS && bytes < BATCH_BYTES)
	{
		CsRecord *record = &batch->records[batch->nrecords];

		if (reader->state == PAGE_LAST_DONE)
			break;
		if (reader->state == PAGE_TO_FETCH)
			fetch_page(reader);
		if (reader->decoder && cs_decoder_next(reader->decoder, record))
		{
			record->number = ++base->records_read;
			reader->page_records++;
			if (reader->compares_pages)
				reader->page_digest = hash_bytes_extended((const unsigned char *) record->raw,
														  record->rawlen, reader->page_digest);
			bytes += record->rawlen;
			batch->nrecords++;
			if (reader->page_records == 1)
				look_ahead(reader, false);
		}
		else if (reader->state == PAGE_DRAIN && batch->nrecords > 0)
		{
			/* The batch's records still need this page's decoder. */
			look_ahead(reader, true);
			break;
		}
		else if (reader->state == PAGE_DRAIN)
			end_page(reader);
		else
			read_some(reader);
	}
	if (batch->nrecords == BATCH_RECORDS || bytes >= BATCH_BYTES)
		look_ahead(reader, false);
	return batch->nrecords > 0 ? CS_READ_ROWS : CS_READ_END;
}

static char *
http_record_json(CsReader *base, const CsRecord *record)
{
	HttpReader *reader = (HttpReader *) base;

	return cs_redact_secrets(cs_decoder_record_json(reader->decoder, record),
							 cs_auth_secrets(reader->auth));
}

static void
set_up_columns(HttpReader *reader, const CsReadSpec *spec)
{
	CsReader *base = &reader->base;
	ListCell *lc;
	int i = 0;

	base->ncolumns = list_length(spec->wanted);
	base->columns = palloc0(sizeof(CsColumn) * Max(1, base->ncolumns));
	base->seen = palloc0(sizeof(bool) * Max(1, base->ncolumns));
	reader->projection.ncolumns = base->ncolumns;
	reader->projection.names = palloc0(sizeof(char *) * Max(1, base->ncolumns));
	reader->projection.seen = base->seen;
	foreach (lc, spec->wanted)
	{
		base->columns[i].name = pstrdup(lfirst(lc));
		base->columns[i].typid = TEXTOID;
		base->columns[i].typmod = -1;
		base->columns[i].collation = DEFAULT_COLLATION_OID;
		reader->projection.names[i] = base->columns[i].name;
		i++;
	}
}

/* Those that a tunnel may be asked for. */
static List *
named_hosts(const CsOptionSet *set)
{
	const char *token_url = cs_option_get_user(set, "token_url");
	List *hosts = list_make1(cs_url_parse(cs_option_get(set, "url"))->host);

	return token_url ? lappend(hosts, cs_url_parse(token_url)->host) : hosts;
}

/* Sends the request for the current page; a token that has expired meanwhile is renewed once. */
static void
fetch_page(HttpReader *reader)
{
	bool renewable = cs_option_get_user(reader->options, "client_id") != NULL;
	MemoryContext old = MemoryContextSwitchTo(reader->page_context);

	for (int attempt = 0;; attempt++)
	{
		const char *url = cs_pager_url(reader->pager);

		if (!reader->sent_ahead || strcmp(reader->request.url, url) != 0)
			prepare_request(reader, url);
		reader->sent_ahead = false;
		if (cs_http_send(reader->http, &reader->request, renewable && attempt == 0) != 401)
			break;
		(void) cs_auth_renew(reader->auth);
	}
	reader->decoder = NULL;
	reader->head = makeStringInfo();
	reader->page_records = 0;
	reader->page_digest = 0;
	reader->next_url = NULL;
	reader->guesses = 0;
	reader->state = PAGE_BODY;
	MemoryContextSwitchTo(old);
}

static void
prepare_request(HttpReader *reader, const char *url)
{
	CsHttpRequest *request = &reader->request;
	MemoryContext old = MemoryContextSwitchTo(reader->request_context);

	MemoryContextReset(reader->request_context);
	memset(request, 0, sizeof(*request));
	request->method = "GET";
	request->url = pstrdup(url);
	request->headers = reader->headers;
	request->repeatable = true;
	cs_auth_apply(reader->auth, reader->http, request);
	MemoryContextSwitchTo(old);
}

/*
 * Between records: lets more of the body arrive, or once it is complete sends the request for the
 * next page, which the server then works on while we do on this one.
 */
static void
look_ahead(HttpReader *reader, bool at_end)
{
	int guesses = at_end ? 2 : 1;

	cs_http_work(reader->http);
	if (reader->partial || reader->sent_ahead || !cs_http_may_send_ahead(reader->http))
		return;
	if (reader->next_url == NULL && reader->guesses < guesses)
	{
		reader->guesses = guesses;
		reader->next_url = guess_next(reader, at_end);
	}
	if (reader->next_url == NULL || !cs_auth_is_ready(reader->auth))
		return;
	prepare_request(reader, reader->next_url);
	reader->sent_ahead = cs_http_send_ahead(reader->http, &reader->request);
}

static char *
guess_next(HttpReader *reader, bool at_end)
{
	MemoryContext old = MemoryContextSwitchTo(reader->page_context);
	CsPage page;
	char *url;

	describe_page(reader, &page);
	page.envelope = cs_decoder_envelope_so_far(reader->decoder);
	url = cs_pager_guess(reader->pager, &page, at_end);
	MemoryContextSwitchTo(old);
	return url;
}

static void
describe_page(HttpReader *reader, CsPage *page)
{
	page->url = cs_http_url(reader->http);
	page->links = cs_http_headers(reader->http, "Link");
	page->envelope = cs_decoder_envelope(reader->decoder);
	page->records = reader->page_records;
	page->digest = reader->page_digest;
}

static void
read_some(HttpReader *reader)
{
	const char *data;
	size_t len;
	bool more = cs_http_read(reader->http, &data, &len);
	MemoryContext old = MemoryContextSwitchTo(reader->page_context);

	reader->base.bytes_read = cs_http_bytes(reader->http);
	if (reader->decoder == NULL)
	{
		if (more)
			appendBinaryStringInfo(reader->head, data, (int) len);
		if (!more || reader->head->len >= SNIFF_BYTES || reader->format != CS_FORMAT_AUTO)
		{
			start_decoder(reader, reader->head->data, reader->head->len);
			cs_decoder_feed(reader->decoder, reader->head->data, reader->head->len);
		}
	}
	else if (more)
		cs_decoder_feed(reader->decoder, data, len);
	if (!more)
	{
		cs_decoder_finish(reader->decoder);
		reader->state = PAGE_DRAIN;
	}
	MemoryContextSwitchTo(old);
	if (more && reader->page_records > 0)
		look_ahead(reader, false);
}

static void
start_decoder(HttpReader *reader, const char *data, size_t len)
{
	CsDecoderOptions options = { 0 };

	options.format = format_of_page(reader, data, len);
	options.records = cs_option_get(reader->options, "records");
	options.delimiter =
		cs_option_delimiter(cs_option_get_default(reader->options, "delimiter", ","));
	reader->decoder = cs_decoder_create(&options, &reader->projection);
}

/* As configured, as its Content-Type says, or as its first bytes look.  Without any of these it is an
 * answer of no content, which the decoder of JSON calls what it is: empty. */
static CsFormat
format_of_page(HttpReader *reader, const char *data, size_t len)
{
	CsFormat format = reader->format;

	if (format == CS_FORMAT_AUTO)
		format = cs_format_from_content_type(cs_http_header(reader->http, "Content-Type"));
	if (format == CS_FORMAT_AUTO)
		format = len == 0 ? CS_FORMAT_JSON : cs_format_sniff(data, len);
	return format;
}

static void
end_page(HttpReader *reader)
{
	CsPage page;

	describe_page(reader, &page);
	reader->state = cs_pager_next(reader->pager, &page) ? PAGE_TO_FETCH : PAGE_LAST_DONE;
	reader->base.total = cs_pager_total(reader->pager);
	if (reader->state == PAGE_TO_FETCH)
	{
		reader->decoder = NULL;
		MemoryContextReset(reader->page_context);
	}
	else
		cs_http_forget_ahead(reader->http);
}

static CsFormat
format_by_name(const char *name)
{
	if (name == NULL)
		return CS_FORMAT_AUTO;
	if (strcmp(name, "json") == 0)
		return CS_FORMAT_JSON;
	return strcmp(name, "csv") == 0 ? CS_FORMAT_CSV : CS_FORMAT_NDJSON;
}
