/*
 * ndjson.c
 *		One JSON document per line (NDJSON, JSON Lines), or per RS and line
 *		(RFC 7464, application/json-seq).
 *
 * A line that can't be parsed is that record's error, but for a last line
 * without its newline: that one was cut off.
 */
#include "postgres.h"

#include "format/decoder_internal.h"

typedef struct NdjsonDecoder
{
	CsDecoder base;
	CsJsonPicker *picker;
	bool started; /* something that looks like JSON has come */
} NdjsonDecoder;

static void ndjson_begin(CsDecoder *decoder);
static bool ndjson_next(CsDecoder *decoder, CsRecord *record);
static bool read_line(NdjsonDecoder *lines, const char *line, size_t len, bool ended,
					  CsRecord *record);
static void check_start(NdjsonDecoder *lines, char first);
static bool is_cut_short(const CsRecord *record, const char *line, size_t len);

static const CsDecoderOps ndjson_ops = { ndjson_begin, ndjson_next, NULL, NULL,
										 cs_json_record_json };

/* A decoder of lines.  options->records says nothing here: each line is a record. */
CsDecoder *
cs_ndjson_decoder_create(const CsDecoderOptions *options pg_attribute_unused())
{
	NdjsonDecoder *lines = palloc0(sizeof(NdjsonDecoder));

	lines->base.ops = &ndjson_ops;
	return &lines->base;
}

static void
ndjson_begin(CsDecoder *decoder)
{
	((NdjsonDecoder *) decoder)->picker =
		cs_json_picker_create(decoder->projection, &decoder->text, CS_ROW_OBJECT, false);
}

/* cs_decoder_next of lines.  Throws 22032 if this is not JSON or cut short, 54000 for its limit. */
static bool
ndjson_next(CsDecoder *decoder, CsRecord *record)
{
	bool filled = false;

	while (!filled && decoder->input < decoder->input_end)
	{
		const char *start = decoder->input;
		const char *end = memchr(start, '\n', decoder->input_end - start);
		const char *line;
		size_t len;

		if (end == NULL)
		{
			cs_partial_append(decoder, start, decoder->input_end - start);
			decoder->input = decoder->input_end;
			break;
		}
		line = cs_partial_join(decoder, start, end, &len);
		decoder->input = end + 1;
		filled = read_line((NdjsonDecoder *) decoder, line, len, true, record);
		resetStringInfo(&decoder->partial);
	}
	if (!filled && decoder->last && decoder->partial.len > 0)
	{
		filled = read_line((NdjsonDecoder *) decoder, decoder->partial.data, decoder->partial.len,
						   false, record);
		resetStringInfo(&decoder->partial);
	}
	return filled;
}

/* False: the line is blank. */
static bool
read_line(NdjsonDecoder *lines, const char *line, size_t len, bool ended, CsRecord *record)
{
	const char *end = line + len;

	while (line < end && (cs_json_is_space(*line) || *line == 0x1e))
		line++;
	while (line < end && cs_json_is_space(end[-1]))
		end--;
	if (line == end)
		return false;
	check_start(lines, *line);
	len = end - line;
	cs_json_record_decode(lines->picker, line, len, cs_json_is_too_deep(line, len), record);
	if (!ended && is_cut_short(record, line, len))
		cs_decoder_cut_short(ERRCODE_INVALID_JSON_TEXT, "line of JSON");
	return true;
}

/* The first byte of the first line tells a page of HTML or a message from data. */
static void
check_start(NdjsonDecoder *lines, char first)
{
	if (!lines->started && (first == '\0' || strchr("{[\"-0123456789tfn", first) == NULL))
		cs_decoder_not_json(&lines->base);
	lines->started = true;
}

static bool
is_cut_short(const CsRecord *record, const char *line, size_t len)
{
	return record->error_code == ERRCODE_INVALID_TEXT_REPRESENTATION ||
		   (record->error_code != 0 && !cs_json_is_closed(line, len));
}
