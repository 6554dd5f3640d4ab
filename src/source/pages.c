/*
 * pages.c
 *		From one page of an HTTP source to the next, and when there is none.
 *
 * Every way of paging ends by something the source said: no next link, a null
 * cursor, an empty page, a total that was reached.  A short page ends nothing:
 * servers cap page sizes silently.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "net/url.h"
#include "source/json_peek.h"
#include "source/pages.h"

typedef enum PageKind
{
	PAGE_NONE,
	PAGE_LINK,
	PAGE_CURSOR,
	PAGE_NEXT_URL,
	PAGE_NUMBER,
	PAGE_OFFSET
} PageKind;

struct CsPager
{
	MemoryContext context; /* the pager's own */
	PageKind kind;
	const char *first_url; /* all of these belong to the creator */
	const char *cursor_path;
	const char *cursor_param;
	const char *next_url_path;
	const char *has_more_path;
	const char *page_param;
	const char *offset_param;
	const char *total_path;
	const char *total_pages_path;
	char *url;	/* current page */
	int64 page; /* current page number */
	int64 page_start;
	int64 records;			 /* of all pages so far */
	int64 records_announced; /* by the last page, or 0 */
	int64 page_records;		 /* of the page before; 0 on the first one */
	int64 total;			 /* as the page before announced them; -1 on the first one */
	int64 total_pages;
	HTAB *seen; /* hashes of cursors and URLs that were followed, or of pages */
};

static void set_up_first_page(CsPager *pager, const CsOptionSet *options);
static bool next_by_url(CsPager *pager, const CsPage *page, Jsonb *envelope, const char *reference);
static bool next_by_cursor(CsPager *pager, const CsPage *page, Jsonb *envelope);
static bool next_by_count(CsPager *pager, const CsPage *page, Jsonb *envelope);
static void remember_or_complain(CsPager *pager, const char *token);
static bool is_new(CsPager *pager, uint64 hash);
static bool has_more(CsPager *pager, Jsonb *envelope, bool otherwise);
static char *guess_by_url(const CsPager *pager, const CsPage *page, const char *reference);
static char *guess_by_count(const CsPager *pager, const CsPage *page, bool at_end);
static int64 announced(const CsPage *page, const char *pointer, int64 before);
static bool may_have_more(const CsPager *pager, const CsPage *page);
static bool was_seen(const CsPager *pager, const char *token);
static uint64 token_hash(const char *token);
static void check_total(CsPager *pager, Jsonb *envelope);
static int64 required_number(Jsonb *envelope, const char *pointer, const char *option);
static int64 number_at(Jsonb *envelope, const char *pointer);
static char *value_at(Jsonb *document, const char *pointer);
static void set_url(CsPager *pager, const char *url);
static void missing_member(const char *pointer, const char *option) pg_attribute_noreturn();
static void pages_repeat(const char *detail) pg_attribute_noreturn();

CsPager *
cs_pager_create(const CsOptionSet *options, const char *first_url)
{
	CsPager *pager = palloc0(sizeof(CsPager));
	static const char *const kinds[] = { "none", "link", "cursor", "next_url", "page", "offset" };
	const char *kind = cs_option_get_default(options, "pagination", "none");
	HASHCTL ctl = { 0 };

	pager->context =
		AllocSetContextCreate(CurrentMemoryContext, "censync pager", ALLOCSET_SMALL_SIZES);
	for (int i = 0; i < (int) lengthof(kinds); i++)
		if (strcmp(kind, kinds[i]) == 0)
			pager->kind = (PageKind) i;
	pager->first_url = first_url;
	pager->cursor_path = cs_option_get_default(options, "cursor_path", "/next_cursor");
	pager->cursor_param = cs_option_get_default(options, "cursor_param", "cursor");
	pager->next_url_path = cs_option_get_default(options, "next_url_path", "/next");
	pager->has_more_path = cs_option_get(options, "has_more_path");
	pager->page_param = cs_option_get_default(options, "page_param", "page");
	pager->offset_param = cs_option_get_default(options, "offset_param", "offset");
	pager->total_path = cs_option_get(options, "total_path");
	pager->total_pages_path = cs_option_get(options, "total_pages_path");
	pager->page_start = cs_option_int(cs_option_get_default(options, "page_start", "1"));
	pager->page = pager->page_start;
	pager->total = pager->total_pages = -1;
	ctl.keysize = sizeof(uint64);
	ctl.entrysize = sizeof(uint64);
	ctl.hcxt = pager->context;
	pager->seen =
		hash_create("censync pages seen", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	set_up_first_page(pager, options);
	return pager;
}

const char *
cs_pager_url(const CsPager *pager)
{
	return pager->url;
}

bool
cs_pager_next(CsPager *pager, const CsPage *page)
{
	Jsonb *envelope = NULL;
	bool more = false;

	if (page->envelope)
		envelope = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(page->envelope)));
	pager->records += page->records;
	pager->records_announced =
		pager->total_path ? Max(0, number_at(envelope, pager->total_path)) : 0;
	pager->page_records = page->records;
	switch (pager->kind)
	{
		case PAGE_NONE:
			break;
		case PAGE_LINK:
			more = next_by_url(pager, page, envelope, cs_link_next(page->links));
			break;
		case PAGE_NEXT_URL:
			more = next_by_url(pager, page, envelope, value_at(envelope, pager->next_url_path));
			break;
		case PAGE_CURSOR:
			more = next_by_cursor(pager, page, envelope);
			break;
		case PAGE_NUMBER:
		case PAGE_OFFSET:
			more = next_by_count(pager, page, envelope);
			break;
	}
	if (!more)
		check_total(pager, envelope);
	return more;
}

bool
cs_pager_compares(const CsPager *pager)
{
	return pager->kind == PAGE_NUMBER || pager->kind == PAGE_OFFSET;
}

int64
cs_pager_total(const CsPager *pager)
{
	return pager->records_announced;
}

char *
cs_pager_guess(const CsPager *pager, const CsPage *page, bool at_end)
{
	char *value = NULL;

	switch (pager->kind)
	{
		case PAGE_NONE:
			break;
		case PAGE_LINK:
			return guess_by_url(pager, page, cs_link_next(page->links));
		case PAGE_NEXT_URL:
			return guess_by_url(pager, page, cs_json_peek(page->envelope, pager->next_url_path));
		case PAGE_CURSOR:
			value = cs_json_peek(page->envelope, pager->cursor_path);
			if (value == NULL || value[0] == '\0' || was_seen(pager, value) ||
				!may_have_more(pager, page))
				return NULL;
			return cs_url_set_parameter(pager->first_url, pager->cursor_param, value);
		case PAGE_NUMBER:
		case PAGE_OFFSET:
			return guess_by_count(pager, page, at_end);
	}
	return NULL;
}

static void
set_up_first_page(CsPager *pager, const CsOptionSet *options)
{
	const char *size = cs_option_get(options, "page_size");
	const char *size_param = cs_option_get(options, "page_size_param");
	char *url = pstrdup(pager->first_url);

	if (pager->kind == PAGE_NUMBER)
		url = cs_url_set_parameter(url, pager->page_param, psprintf(INT64_FORMAT, pager->page));
	if (pager->kind == PAGE_OFFSET)
	{
		url = cs_url_set_parameter(url, pager->offset_param, "0");
		size_param = cs_option_get_default(options, "limit_param", "limit");
	}
	if (size && size_param)
		url = cs_url_set_parameter(url, size_param, size);
	else if (size && pager->kind != PAGE_NONE)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"page_size\" needs option \"page_size_param\""),
						errhint("It names the query parameter that carries the size.")));
	pager->first_url = MemoryContextStrdup(pager->context, url);
	set_url(pager, url);
}

static bool
next_by_url(CsPager *pager, const CsPage *page, Jsonb *envelope, const char *reference)
{
	char *url;

	if (reference == NULL || reference[0] == '\0')
	{
		if (has_more(pager, envelope, false))
			missing_member(pager->next_url_path, "next_url_path");
		return false;
	}
	url = cs_url_resolve(page->url, reference);
	if (!cs_url_same_origin(url, pager->first_url))
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION), errmsg("the next page is on another host"),
				 errdetail("%s follows %s.", cs_url_display(url), cs_url_display(pager->first_url)),
				 errhint("Credentials are not sent to other hosts. If the next address is "
						 "right, make it the server's url.")));
	remember_or_complain(pager, url);
	set_url(pager, url);
	return true;
}

static bool
next_by_cursor(CsPager *pager, const CsPage *page pg_attribute_unused(), Jsonb *envelope)
{
	char *cursor = value_at(envelope, pager->cursor_path);

	if (!has_more(pager, envelope, cursor && cursor[0]))
		return false;
	if (cursor == NULL || cursor[0] == '\0')
		missing_member(pager->cursor_path, "cursor_path");
	remember_or_complain(pager, cursor);
	set_url(pager, cs_url_set_parameter(pager->first_url, pager->cursor_param, cursor));
	return true;
}

/* By page number, or by the number of records so far. */
static bool
next_by_count(CsPager *pager, const CsPage *page, Jsonb *envelope)
{
	const char *param = pager->kind == PAGE_NUMBER ? pager->page_param : pager->offset_param;
	int64 value;

	if (page->records == 0 || !has_more(pager, envelope, true))
		return false;
	if (!is_new(pager, page->digest))
		pages_repeat(
			"Two pages hold the same records: the source ignores the parameter that should "
			"turn the page.");
	if (pager->total_pages_path)
		pager->total_pages = required_number(envelope, pager->total_pages_path, "total_pages_path");
	if (pager->total_pages_path && pager->page - pager->page_start + 1 >= pager->total_pages)
		return false;
	if (pager->total_path)
		pager->total = required_number(envelope, pager->total_path, "total_path");
	if (pager->total_path && pager->records >= pager->total)
		return false;
	pager->page++;
	value = pager->kind == PAGE_NUMBER ? pager->page : pager->records;
	set_url(pager, cs_url_set_parameter(pager->first_url, param, psprintf(INT64_FORMAT, value)));
	return true;
}

static char *
guess_by_url(const CsPager *pager, const CsPage *page, const char *reference)
{
	const char *why;
	char *url = NULL;

	if (reference != NULL && reference[0] != '\0')
		url = cs_url_try_resolve(page->url, reference, &why);
	if (url == NULL || !cs_url_same_origin(url, pager->first_url) || was_seen(pager, url))
		return NULL;
	return url;
}

/* A page that is not read to its end is taken to have as many records as the one before, and what
 * it does not announce to be what that one did. */
static char *
guess_by_count(const CsPager *pager, const CsPage *page, bool at_end)
{
	bool by_page = pager->kind == PAGE_NUMBER;
	int64 records = at_end ? page->records : Max(page->records, pager->page_records);
	bool is_known = at_end || pager->page_records > 0;
	int64 next_page = pager->page + 1;
	int64 next_offset = pager->records + records;

	if (page->records == 0 || !may_have_more(pager, page))
		return NULL;
	if (pager->total_pages_path && next_page - pager->page_start >=
									   announced(page, pager->total_pages_path, pager->total_pages))
		return NULL;
	if (pager->total_path &&
		(!is_known || next_offset >= announced(page, pager->total_path, pager->total)))
		return NULL;
	if (!by_page && !is_known)
		return NULL;
	return cs_url_set_parameter(pager->first_url, by_page ? pager->page_param : pager->offset_param,
								psprintf(INT64_FORMAT, by_page ? next_page : next_offset));
}

static int64
announced(const CsPage *page, const char *pointer, int64 before)
{
	char *value = cs_json_peek(page->envelope, pointer);

	if (value == NULL || value[0] == '\0' || strspn(value, "0123456789") != strlen(value) ||
		strlen(value) > 18)
		return before;
	return pg_strtoint64(value);
}

static bool
may_have_more(const CsPager *pager, const CsPage *page)
{
	char *value;

	if (pager->has_more_path == NULL)
		return true;
	value = cs_json_peek(page->envelope, pager->has_more_path);
	return value != NULL && pg_strcasecmp(value, "true") == 0;
}

static bool
was_seen(const CsPager *pager, const char *token)
{
	uint64 hash = token_hash(token);

	return hash_search(pager->seen, &hash, HASH_FIND, NULL) != NULL;
}

static void
remember_or_complain(CsPager *pager, const char *token)
{
	if (!is_new(pager, token_hash(token)))
		pages_repeat("The source names a next page that was read before.");
}

static uint64
token_hash(const char *token)
{
	return hash_bytes_extended((const unsigned char *) token, strlen(token), 0);
}

static bool
is_new(CsPager *pager, uint64 hash)
{
	bool found;

	(void) hash_search(pager->seen, &hash, HASH_ENTER, &found);
	return !found;
}

/* What has_more_path says, or otherwise where there is none. */
static bool
has_more(CsPager *pager, Jsonb *envelope, bool otherwise)
{
	char *value;

	if (pager->has_more_path == NULL)
		return otherwise;
	value = value_at(envelope, pager->has_more_path);
	if (value && pg_strcasecmp(value, "true") == 0)
		return true;
	if (value == NULL || pg_strcasecmp(value, "false") != 0)
		missing_member(pager->has_more_path, "has_more_path");
	return false;
}

static void
check_total(CsPager *pager, Jsonb *envelope)
{
	int64 total;

	if (pager->total_path == NULL)
		return;
	total = required_number(envelope, pager->total_path, "total_path");
	if (pager->records < total)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 errmsg("the source announced " INT64_FORMAT " records and sent " INT64_FORMAT,
						total, pager->records),
				 errhint("An incomplete read is never applied. Check the pagination options, "
						 "or run again if the source was changing.")));
}

static int64
required_number(Jsonb *envelope, const char *pointer, const char *option)
{
	int64 number = number_at(envelope, pointer);

	if (number < 0)
		missing_member(pointer, option);
	return number;
}

/* -1: there is none. */
static int64
number_at(Jsonb *envelope, const char *pointer)
{
	char *value = value_at(envelope, pointer);

	if (value == NULL || value[0] == '\0' || strspn(value, "0123456789") != strlen(value) ||
		strlen(value) > 18)
		return -1;
	return pg_strtoint64(value);
}

/* The text of what a JSON Pointer leads to; NULL for null, or if there is nothing. */
static char *
value_at(Jsonb *document, const char *pointer)
{
	LOCAL_FCINFO(fcinfo, 2);
	Datum parts[64];
	int n = 0;
	Datum result;

	if (document == NULL)
		return NULL;
	while (*pointer == '/' && n < (int) lengthof(parts))
	{
		size_t len = strcspn(pointer + 1, "/");
		StringInfoData part;

		initStringInfo(&part);
		for (const char *p = pointer + 1; p <= pointer + len; p++)
		{
			if (*p == '~' && (p[1] == '0' || p[1] == '1'))
				appendStringInfoChar(&part, *++p == '0' ? '~' : '/');
			else
				appendStringInfoChar(&part, *p);
		}
		parts[n++] = PointerGetDatum(cstring_to_text_with_len(part.data, part.len));
		pointer += len + 1;
	}
	InitFunctionCallInfoData(*fcinfo, NULL, 2, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = JsonbPGetDatum(document);
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value =
		PointerGetDatum(construct_array(parts, n, TEXTOID, -1, false, TYPALIGN_INT));
	fcinfo->args[1].isnull = false;
	result = jsonb_extract_path_text(fcinfo);
	return fcinfo->isnull ? NULL : TextDatumGetCString(result);
}

static void
set_url(CsPager *pager, const char *url)
{
	char *old = pager->url;

	pager->url = MemoryContextStrdup(pager->context, url);
	if (old)
		pfree(old);
}

static void
missing_member(const char *pointer, const char *option)
{
	ereport(ERROR, (errcode(ERRCODE_FDW_ERROR),
					errmsg("the response has no usable value at \"%s\"", pointer),
					errdetail("Without it nobody knows whether there are more pages."),
					errhint("Check option \"%s\" against a response of the source.", option)));
}

static void
pages_repeat(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_ERROR), errmsg("the pages of the source repeat"),
			 errdetail("%s", detail),
			 errhint("Check the pagination options against the documentation of the source.")));
}
