/*
 * json_elements.c
 *		The elements of the record array, cut out of the document as text.
 *
 * Brackets are counted, not matched: an element that mixes them up is closed
 * by count, and the parser makes it that record's error.
 */
#include "postgres.h"

#include "format/json_document.h"
#include "format/json_words.h"

/* Bytes outside of strings that scan_value does something about. */
static const bool tells[256] = {
	['"'] = true, ['{'] = true, ['['] = true, ['}'] = true, [']'] = true, ['\n'] = true,
};

static bool read_element(JsonDocument *doc, CsRecord *record);
static void end_element(JsonDocument *doc, const char *stop);
static const char *scan_value(JsonDocument *doc, const char *p, const char *end);
static inline const char *skip_indentation(const char *p, const char *end);
static const char *scan_string(JsonDocument *doc, const char *p, const char *end);
static const char *scan_scalar(const char *p, const char *end);
static void between_elements(JsonDocument *doc);
static void end_array(JsonDocument *doc);

/* The next byte opens a record. */
void
cs_json_record_begin(JsonDocument *doc)
{
	doc->in_string = false;
	doc->escaped = false;
	doc->depth = 0;
	doc->deepest = 0;
	doc->state = DOC_RECORD_VALUE;
}

/*
 * Reads on in the record array; true: *record is filled.
 *
 * False: the segment is used up, or the array has ended.
 */
bool
cs_json_records_read(JsonDocument *doc, CsRecord *record)
{
	while (doc->base.input < doc->base.input_end && doc->state >= DOC_RECORD_FIRST)
	{
		if (doc->state >= DOC_RECORD_VALUE)
			return read_element(doc, record);
		between_elements(doc);
	}
	return false;
}

static bool
read_element(JsonDocument *doc, CsRecord *record)
{
	CsDecoder *decoder = &doc->base;
	const char *start = decoder->input;
	const char *text;
	const char *stop;
	size_t len;

	if (doc->state == DOC_RECORD_VALUE && decoder->partial.len == 0 &&
		(len = cs_json_record_try(doc->picker, start, decoder->input_end - start, record)) > 0)
	{
		cs_record_check_size(decoder, len);
		end_element(doc, start + len);
		return true;
	}
	if (doc->state == DOC_RECORD_VALUE)
		stop = scan_value(doc, start, decoder->input_end);
	else
		stop = scan_scalar(start, decoder->input_end);
	if (stop == NULL)
	{
		cs_partial_append(decoder, start, decoder->input_end - start);
		decoder->input = decoder->input_end;
		return false;
	}
	text = cs_partial_join(decoder, start, stop, &len);
	cs_json_record_decode(doc->picker, text, len, doc->deepest > CS_MAX_NESTING, record);
	resetStringInfo(&decoder->partial);
	end_element(doc, stop);
	return true;
}

static void
end_element(JsonDocument *doc, const char *stop)
{
	doc->base.input = stop;
	doc->state = doc->single ? DOC_NEXT : DOC_RECORD_NEXT;
	doc->single = false;
}

/* Behind the container or string that is being read, or NULL: it goes on after end. */
static const char *
scan_value(JsonDocument *doc, const char *p, const char *end)
{
	while (p < end)
	{
		if (doc->in_string)
			p = scan_string(doc, p, end);
		else
		{
			char c;

			while (!tells[(unsigned char) *p])
				if (++p == end)
					return NULL;
			c = *p++;
			if (c == '"')
			{
				p = cs_json_find_quote(p, end);
				doc->in_string = p == end || *p != '"';
				if (!doc->in_string)
					p++;
			}
			else if (c == '{' || c == '[')
			{
				doc->depth++;
				doc->deepest = Max(doc->deepest, doc->depth);
			}
			else if (c == '}' || c == ']')
				doc->depth--;
			else
			{
				p = skip_indentation(p, end);
				continue;
			}
		}
		if (doc->depth == 0 && !doc->in_string)
			return p;
	}
	return NULL;
}

/* Of documents for human eyes a half is spaces. */
static inline const char *
skip_indentation(const char *p, const char *end)
{
	while (end - p >= 8 && memcmp(p, "        ", 8) == 0)
		p += 8;
	while (p < end && *p == ' ')
		p++;
	return p;
}

/* Behind the string's closing quote, or end. */
static const char *
scan_string(JsonDocument *doc, const char *p, const char *end)
{
	if (doc->escaped)
	{
		doc->escaped = false;
		p++;
	}
	while ((p = cs_json_find_quote(p, end)) < end)
	{
		if (*p++ == '"')
		{
			doc->in_string = false;
			return p;
		}
		if (p++ == end)
		{
			doc->escaped = true;
			return end;
		}
	}
	return end;
}

static const char *
scan_scalar(const char *p, const char *end)
{
	while (p < end && cs_json_is_scalar_byte(*p))
		p++;
	return p < end ? p : NULL;
}

/* One byte between records, or the first of a record, which is left where it is. */
static void
between_elements(JsonDocument *doc)
{
	const char *p = doc->base.input;
	bool starts = doc->state != DOC_RECORD_NEXT;

	if (starts && (*p == '{' || *p == '[' || *p == '"'))
	{
		cs_json_record_begin(doc);
		return;
	}
	if (starts && cs_json_is_scalar_byte(*p))
	{
		cs_json_record_begin(doc);
		doc->state = DOC_RECORD_SCALAR;
		return;
	}
	if (*p == ']' && doc->state != DOC_RECORD)
		end_array(doc);
	else if (*p == ',' && doc->state == DOC_RECORD_NEXT)
		doc->state = DOC_RECORD;
	else if (!cs_json_is_space(*p))
		cs_json_unexpected(doc, p);
	doc->base.input++;
}

static void
end_array(JsonDocument *doc)
{
	appendStringInfoChar(&doc->envelope, ']');
	doc->state = doc->nframes > 0 ? DOC_NEXT : DOC_END;
}
