/*
 * format.c
 *		What all formats have in common: which one it is, the start of a body,
 *		and handing a body on to its format in segments.
 */
#include "postgres.h"

#include "base/settings.h"
#include "format/decoder_internal.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#define MEGABYTE ((size_t) 1024 * 1024)

/* A byte order mark, and what it says of a body. */
typedef struct ByteOrderMark
{
	const char *bytes;
	int len;
	const char *encoding; /* NULL: UTF-8, the mark is skipped */
} ByteOrderMark;

static const ByteOrderMark marks[] = {
	{ "\xEF\xBB\xBF", 3, NULL }, { "\xFF\xFE\0\0", 4, "UTF-32" }, { "\0\0\xFE\xFF", 4, "UTF-32" },
	{ "\xFF\xFE", 2, "UTF-16" }, { "\xFE\xFF", 2, "UTF-16" },
};

static bool media_type_is(const char *type, size_t len, const char *const *names, int nnames);
static const char *skip_document(const char *p, const char *end, bool *one_line);
static const ByteOrderMark *find_mark(const char *data, size_t len);
static void refuse_encoding(const ByteOrderMark *mark) pg_attribute_noreturn();
static size_t record_limit(const CsText *text);
static void take_segment(CsDecoder *decoder, const char *data, size_t len);
static bool begin_body(CsDecoder *decoder);
static bool next_segment(CsDecoder *decoder);

/*
 * The format of a media type as a Content-Type header has it, or CS_FORMAT_AUTO.
 *
 * content_type: may be NULL; parameters and case don't matter.
 */
CsFormat
cs_format_from_content_type(const char *content_type)
{
	static const char *const lines[] = { "application/x-ndjson",
										 "application/ndjson",
										 "application/jsonl",
										 "application/x-jsonl",
										 "application/jsonlines",
										 "application/x-jsonlines",
										 "application/json-lines",
										 "application/x-json-lines",
										 "application/json-seq",
										 "application/stream+json",
										 "application/x-json-stream",
										 "text/x-ndjson",
										 "text/jsonl" };
	static const char *const json[] = { "application/json", "text/json", "text/x-json",
										"application/x-json" };
	static const char *const csv[] = { "text/csv",
									   "text/x-csv",
									   "application/csv",
									   "application/x-csv",
									   "text/comma-separated-values",
									   "text/tab-separated-values" };
	size_t len;

	if (content_type == NULL)
		return CS_FORMAT_AUTO;
	content_type += strspn(content_type, " \t");
	len = strcspn(content_type, "; \t\r\n");
	if (media_type_is(content_type, len, lines, lengthof(lines)))
		return CS_FORMAT_NDJSON;
	if (media_type_is(content_type, len, csv, lengthof(csv)))
		return CS_FORMAT_CSV;
	if (media_type_is(content_type, len, json, lengthof(json)))
		return CS_FORMAT_JSON;
	if (len > 9 && pg_strncasecmp(content_type + len - 9, "+json-seq", 9) == 0)
		return CS_FORMAT_NDJSON;
	if (len > 5 && pg_strncasecmp(content_type + len - 5, "+json", 5) == 0)
		return CS_FORMAT_JSON;
	return CS_FORMAT_AUTO;
}

/*
 * The format that a body's first bytes show; the more there are, the surer.
 *
 * Throws 22032 with a hint for '<': a page where data was expected, and 22021 for UTF-16 and UTF-32.
 */
CsFormat
cs_format_sniff(const char *data, size_t len)
{
	const ByteOrderMark *mark = find_mark(data, len);
	const char *end = data + len;
	bool one_line;

	if (mark != NULL && mark->encoding != NULL)
		refuse_encoding(mark);
	if (mark != NULL)
		data += mark->len;
	while (data < end && cs_json_is_space(*data))
		data++;
	if (data == end)
		return CS_FORMAT_CSV;
	if (*data == '<')
		cs_decoder_is_markup(ERRCODE_INVALID_JSON_TEXT);
	if (*data == 0x1e)
		return CS_FORMAT_NDJSON;
	if (*data != '{' && *data != '[')
		return CS_FORMAT_CSV;
	data = skip_document(data, end, &one_line);
	if (one_line && data < end && (*data == '{' || *data == '['))
		return CS_FORMAT_NDJSON;
	return CS_FORMAT_JSON;
}

/* See decoder.h.  Throws 22023 for options that can't be. */
CsDecoder *
cs_decoder_create(const CsDecoderOptions *options, CsProjection *projection)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "censync decoder", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	CsDecoder *decoder;

	switch (options->format)
	{
		case CS_FORMAT_JSON:
			decoder = cs_json_decoder_create(options);
			break;
		case CS_FORMAT_NDJSON:
			decoder = cs_ndjson_decoder_create(options);
			break;
		case CS_FORMAT_CSV:
			decoder = cs_csv_decoder_create(options);
			break;
		default:
			elog(ERROR, "no decoder for format %d", (int) options->format);
	}
	decoder->context = context;
	decoder->projection = projection;
	cs_text_init(&decoder->text);
	decoder->max_record = record_limit(&decoder->text);
	initStringInfo(&decoder->partial);
	if (decoder->ops->begin != NULL)
		decoder->ops->begin(decoder);
	MemoryContextSwitchTo(old);
	return decoder;
}

/* See decoder.h. */
void
cs_decoder_feed(CsDecoder *decoder, const char *data, size_t len)
{
	size_t sampled = Min(len, (size_t) (CS_SAMPLE_SIZE - decoder->nsample));

	if (decoder->finished || decoder->input < decoder->input_end || decoder->rest != NULL)
		elog(ERROR, "decoder was fed before it had used up what it was given");
	memcpy(decoder->sample + decoder->nsample, data, sampled);
	decoder->nsample += (int) sampled;
	take_segment(decoder, data, len);
}

/* See decoder.h. */
void
cs_decoder_finish(CsDecoder *decoder)
{
	decoder->finished = true;
}

/* See decoder.h; what it throws over a document is told at each format's next(). */
bool
cs_decoder_next(CsDecoder *decoder, CsRecord *record)
{
	CHECK_FOR_INTERRUPTS();

	if (decoder->drained || (!decoder->begun && !begin_body(decoder)))
		return false;
	do
	{
		decoder->last = decoder->finished && decoder->rest == NULL;
		if (decoder->ops->next(decoder, record))
			return true;
	} while (next_segment(decoder));
	decoder->drained = decoder->last;
	return false;
}

/* See decoder.h; in UTF-8. */
const char *
cs_decoder_envelope(CsDecoder *decoder)
{
	if (decoder->ops->envelope == NULL || !decoder->drained)
		return NULL;
	return decoder->ops->envelope(decoder);
}

/* See decoder.h. */
char *
cs_decoder_envelope_so_far(CsDecoder *decoder)
{
	return decoder->ops->envelope_so_far ? decoder->ops->envelope_so_far(decoder) : NULL;
}

/* See decoder.h. */
char *
cs_decoder_record_json(CsDecoder *decoder, const CsRecord *record)
{
	return decoder->ops->record_json(decoder, record);
}

/* Keeps the start of a record whose end is not here yet.  Throws 54000 if it is too large. */
void
cs_partial_append(CsDecoder *decoder, const char *data, size_t len)
{
	cs_record_check_size(decoder, decoder->partial.len + len);
	if (len > 0)
		appendBinaryStringInfo(&decoder->partial, data, (int) len);
}

/* The record that ends at end: in place if all of it is, else joined with the part that was kept. */
const char *
cs_partial_join(CsDecoder *decoder, const char *start, const char *end, size_t *len)
{
	*len = end - start;
	if (decoder->partial.len == 0)
	{
		cs_record_check_size(decoder, *len);
		return start;
	}
	cs_partial_append(decoder, start, *len);
	*len = decoder->partial.len;
	return decoder->partial.data;
}

/* Throws 54000 for a record of more than censync.max_record_size. */
void
cs_record_check_size(const CsDecoder *decoder, size_t len)
{
	if (len > decoder->max_record)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("response has a record of more than %d MB",
							   (int) (decoder->max_record / MEGABYTE)),
						errhint("Raise censync.max_record_size, or have the source send less in "
								"one record.")));
}

/* Makes it a record that can't be used.  message: in CurrentMemoryContext. */
void
cs_record_fail(CsRecord *record, int code, char *message)
{
	record->error_code = code;
	record->error_message = message;
}

/* Throws 22032: this is something else than JSON. */
void
cs_decoder_not_json(const CsDecoder *decoder)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_JSON_TEXT), errmsg("response is not JSON"),
			 errdetail("It begins with: %s",
					   cs_text_printable(&decoder->text, decoder->sample, decoder->nsample, true)),
			 errhint("Check the address: it may be a web page, or the source asks for a "
					 "login. For CSV or other formats set the option \"format\".")));
}

/* Throws: HTML or XML where data was expected. */
void
cs_decoder_is_markup(int code)
{
	ereport(ERROR, (errcode(code), errmsg("response is HTML or XML, not data"),
					errhint("Check the address: it may be a web page, or the source asks for a "
							"login.")));
}

/* Throws: the body ended inside a "what", so more was to come. */
void
cs_decoder_cut_short(int code, const char *what)
{
	ereport(ERROR, (errcode(code), errmsg("response ends in the middle of a %s", what),
					errhint("The source or something on the way cut the response short: run again, "
							"or have it send less in one response.")));
}

static bool
media_type_is(const char *type, size_t len, const char *const *names, int nnames)
{
	for (int i = 0; i < nnames; i++)
		if (strlen(names[i]) == len && pg_strncasecmp(names[i], type, len) == 0)
			return true;
	return false;
}

/* What follows the first document and the space after it; *one_line: it had no newline in it. */
static const char *
skip_document(const char *p, const char *end, bool *one_line)
{
	bool in_string = false;
	int depth = 0;

	*one_line = true;
	for (; p < end; p++)
	{
		if (in_string && *p == '\\')
			p++;
		else if (*p == '"')
			in_string = !in_string;
		else if (*p == '\n')
			*one_line = false;
		else if (!in_string && (*p == '{' || *p == '['))
			depth++;
		else if (!in_string && (*p == '}' || *p == ']') && --depth == 0)
			break;
	}
	if (p >= end)
		return end;
	for (p++; p < end && (cs_json_is_space(*p) || *p == 0x1e);)
		p++;
	return p;
}

static const ByteOrderMark *
find_mark(const char *data, size_t len)
{
	for (int i = 0; i < (int) lengthof(marks); i++)
		if (len >= (size_t) marks[i].len && memcmp(data, marks[i].bytes, marks[i].len) == 0)
			return &marks[i];
	return NULL;
}

static void
refuse_encoding(const ByteOrderMark *mark)
{
	ereport(ERROR, (errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
					errmsg("response is encoded in %s", mark->encoding),
					errhint("Have the source send its data in UTF-8.")));
}

/* A value must fit one allocation, after its conversion too. */
static size_t
record_limit(const CsText *text)
{
	size_t most = OidIsValid(text->proc) ? 255 : 1023;

	return Min((size_t) Max(cs_max_record_size_mb, 1), most) * MEGABYTE;
}

static void
take_segment(CsDecoder *decoder, const char *data, size_t len)
{
	decoder->position += decoder->input_end - decoder->segment;
	decoder->segment = decoder->input = data;
	decoder->input_end = data + len;
}

/*
 * Skips a byte order mark; false: more bytes are needed to tell.
 *
 * The first bytes are held back until they are no mark, and are then a segment of their own.
 */
static bool
begin_body(CsDecoder *decoder)
{
	const ByteOrderMark *mark;

	while (decoder->nhead < (int) sizeof(decoder->head) && decoder->input < decoder->input_end)
	{
		if (decoder->nhead == 0 && strchr("\xEF\xFE\xFF", *decoder->input) == NULL)
			break;
		decoder->head[decoder->nhead++] = *decoder->input++;
	}
	if (decoder->nhead < (int) sizeof(decoder->head) && decoder->input == decoder->input_end &&
		!decoder->finished)
		return false;
	decoder->begun = true;
	mark = find_mark(decoder->head, decoder->nhead);
	if (mark != NULL && mark->encoding != NULL)
		refuse_encoding(mark);
	if (decoder->nhead > 0)
	{
		int skip = mark != NULL ? mark->len : 0;

		decoder->rest = decoder->input;
		decoder->restlen = decoder->input_end - decoder->input;
		decoder->position = 0;
		decoder->segment = decoder->head;
		decoder->input = decoder->head + skip;
		decoder->input_end = decoder->head + decoder->nhead;
	}
	return true;
}

/* From the bytes held back to the caller's; false: they were the caller's. */
static bool
next_segment(CsDecoder *decoder)
{
	const char *rest = decoder->rest;

	if (rest == NULL)
		return false;
	decoder->rest = NULL;
	take_segment(decoder, rest, decoder->restlen);
	return true;
}
