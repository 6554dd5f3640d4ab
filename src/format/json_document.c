/*
 * json_document.c
 *		One JSON document that arrives in pieces: its records and its envelope.
 *
 * A state machine over the bytes.  It knows the containers it is in and the
 * names that lead there, cuts each element of the record array out as text for
 * json_record.c, and keeps everything else as the envelope.  It is strict
 * about structure; tokens are checked by the server's parser, those of the
 * envelope when the document is complete.
 *
 * When the document itself is the one record, the envelope is that record.
 */
#include "postgres.h"

#include "format/json_document.h"
#include "mb/pg_wchar.h"

static void json_begin(CsDecoder *decoder);
static bool json_next(CsDecoder *decoder, CsRecord *record);
static const char *json_envelope(CsDecoder *decoder);
static char *json_envelope_so_far(CsDecoder *decoder);
static void read_envelope(JsonDocument *doc);
static void envelope_byte(JsonDocument *doc, const char *p);
static void begin_value(JsonDocument *doc, const char *p);
static void begin_object(JsonDocument *doc, bool at_target);
static void begin_array(JsonDocument *doc, bool at_target);
static void push_frame(JsonDocument *doc, bool object, bool on_path);
static void end_container(JsonDocument *doc);
static void end_value(JsonDocument *doc);
static void end_key(JsonDocument *doc);
static const char *read_string(JsonDocument *doc, const char *p);
static void keep_envelope(JsonDocument *doc, const char *data, size_t len);
static bool value_on_path(const JsonDocument *doc);
static bool finish_document(JsonDocument *doc, CsRecord *record);
static bool finish_whole(JsonDocument *doc, CsRecord *record);
static void check_envelope(JsonDocument *doc);

static const CsDecoderOps json_ops = { json_begin, json_next, json_envelope, json_envelope_so_far,
									   cs_json_record_json };

/* A decoder of one JSON document.  Throws 22023 if options->records is not a JSON Pointer. */
CsDecoder *
cs_json_decoder_create(const CsDecoderOptions *options)
{
	JsonDocument *doc = palloc0(sizeof(JsonDocument));

	doc->base.ops = &json_ops;
	doc->state = DOC_VALUE;
	doc->shape = options->shape;
	doc->ragged = options->ragged;
	doc->may_lack_records = options->may_lack_records;
	initStringInfo(&doc->envelope);
	if (options->records != NULL)
	{
		doc->pointer = pstrdup(options->records);
		doc->tokens = cs_json_pointer_parse(doc->pointer, &doc->ntokens);
	}
	return &doc->base;
}

static void
json_begin(CsDecoder *decoder)
{
	JsonDocument *doc = (JsonDocument *) decoder;

	doc->picker =
		cs_json_picker_create(decoder->projection, &decoder->text, doc->shape, doc->ragged);
}

/*
 * cs_decoder_next of a JSON document.
 *
 * Throws 22032 if this is not JSON, or is cut short, or goes on after its end; 22023 if the records
 * are not where they were said to be, or could be in several places; 54000 for a size limit; 22021
 * if the envelope is not UTF-8.
 */
static bool
json_next(CsDecoder *decoder, CsRecord *record)
{
	JsonDocument *doc = (JsonDocument *) decoder;

	while (decoder->input < decoder->input_end)
	{
		if (doc->state < DOC_RECORD_FIRST)
			read_envelope(doc);
		else if (cs_json_records_read(doc, record))
			return true;
	}
	if (!decoder->last || doc->ended)
		return false;
	return finish_document(doc, record);
}

static const char *
json_envelope(CsDecoder *decoder)
{
	return ((JsonDocument *) decoder)->envelope.data;
}

static char *
json_envelope_so_far(CsDecoder *decoder)
{
	JsonDocument *doc = (JsonDocument *) decoder;
	StringInfoData text;

	if (doc->state < DOC_RECORD_FIRST && !doc->ended)
		return NULL;
	initStringInfo(&text);
	appendBinaryStringInfo(&text, doc->envelope.data, doc->envelope.len);
	if (doc->state >= DOC_RECORD_FIRST && !doc->single)
		appendStringInfoChar(&text, ']');
	for (int i = doc->nframes - 1; i >= 0; i--)
		appendStringInfoChar(&text, doc->frames[i].object ? '}' : ']');
	return text.data;
}

/* Reads up to the end of the segment, or to where records begin. */
static void
read_envelope(JsonDocument *doc)
{
	const char *p = doc->base.input;

	while (p < doc->base.input_end && doc->state < DOC_RECORD_FIRST)
	{
		if (doc->state == DOC_IN_KEY || doc->state == DOC_IN_STRING)
			p = read_string(doc, p);
		else
		{
			doc->base.input = p;
			envelope_byte(doc, p);
			/* The single record at a pointer starts with this very byte. */
			if (doc->state != DOC_RECORD_VALUE)
				p++;
		}
	}
	doc->base.input = p;
}

static void
envelope_byte(JsonDocument *doc, const char *p)
{
	bool object = doc->nframes > 0 && doc->frames[doc->nframes - 1].object;

	if (doc->state == DOC_IN_SCALAR)
	{
		if (cs_json_is_scalar_byte(*p))
		{
			keep_envelope(doc, p, 1);
			return;
		}
		end_value(doc);
	}
	keep_envelope(doc, p, 1);
	if (cs_json_is_space(*p))
		return;
	switch (doc->state)
	{
		case DOC_VALUE:
			begin_value(doc, p);
			return;
		case DOC_FIRST_VALUE:
			if (*p == ']')
				end_container(doc);
			else
				begin_value(doc, p);
			return;
		case DOC_FIRST_KEY:
		case DOC_KEY:
			if (*p == '}' && doc->state == DOC_FIRST_KEY)
				end_container(doc);
			else if (*p == '"')
			{
				doc->frames[doc->nframes - 1].key_start = doc->envelope.len;
				doc->state = DOC_IN_KEY;
			}
			else
				cs_json_unexpected(doc, p);
			return;
		case DOC_COLON:
			if (*p != ':')
				cs_json_unexpected(doc, p);
			doc->state = DOC_VALUE;
			return;
		case DOC_NEXT:
			if (*p == (object ? '}' : ']'))
				end_container(doc);
			else if (*p != ',')
				cs_json_unexpected(doc, p);
			else if (object)
				doc->state = DOC_KEY;
			else
			{
				doc->frames[doc->nframes - 1].index++;
				doc->state = DOC_VALUE;
			}
			return;
		default:
			cs_json_unexpected(doc, p);
	}
}

/* The byte at p, already in the envelope, starts a value. */
static void
begin_value(JsonDocument *doc, const char *p)
{
	bool at_target = doc->pointer != NULL && doc->nframes == doc->ntokens && value_on_path(doc);

	if (doc->nframes == 0)
		doc->root = *p;
	if (at_target && doc->found)
		cs_json_found_twice(doc);
	if (*p == '{')
		begin_object(doc, at_target);
	else if (*p == '[')
		begin_array(doc, at_target);
	else if (*p == '"' || cs_json_is_scalar_byte(*p))
	{
		/* Some write null for what others leave out. */
		doc->target_is_scalar |= at_target && !(doc->may_lack_records && *p == 'n');
		doc->state = *p == '"' ? DOC_IN_STRING : DOC_IN_SCALAR;
	}
	else
		cs_json_unexpected(doc, p);
}

static void
begin_object(JsonDocument *doc, bool at_target)
{
	if (at_target)
		doc->found = true;
	if (at_target && doc->nframes > 0)
	{
		/* The brace belongs to the record; the envelope has an empty object instead. */
		keep_envelope(doc, "}", 1);
		doc->single = true;
		cs_json_record_begin(doc);
		return;
	}
	if (at_target)
		doc->whole = true;
	push_frame(doc, true, value_on_path(doc));
	doc->state = DOC_FIRST_KEY;
}

static void
begin_array(JsonDocument *doc, bool at_target)
{
	bool outermost = doc->narrays == 0;

	if (outermost)
		cs_json_note_array(doc);
	if (at_target || (doc->pointer == NULL && outermost))
	{
		if (doc->found)
			cs_json_found_twice(doc);
		doc->found = true;
		doc->found_pointer = cs_json_path(doc);
		doc->state = DOC_RECORD_FIRST;
		return;
	}
	push_frame(doc, false, value_on_path(doc));
	doc->state = DOC_FIRST_VALUE;
	doc->narrays++;
}

/* Nesting is bounded here because the envelope will be parsed by something that recurses. */
static void
push_frame(JsonDocument *doc, bool object, bool on_path)
{
	JsonFrame *frame;

	if (doc->nframes >= CS_MAX_NESTING)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("response is nested more than %d levels deep", CS_MAX_NESTING)));
	if (doc->nframes == doc->maxframes)
	{
		MemoryContext old = MemoryContextSwitchTo(doc->base.context);

		doc->maxframes = Max(16, doc->maxframes * 2);
		doc->frames = doc->frames == NULL
						  ? palloc(doc->maxframes * sizeof(JsonFrame))
						  : repalloc(doc->frames, doc->maxframes * sizeof(JsonFrame));
		MemoryContextSwitchTo(old);
	}
	frame = &doc->frames[doc->nframes++];
	memset(frame, 0, sizeof(JsonFrame));
	frame->object = object;
	frame->on_path = on_path;
}

static void
end_container(JsonDocument *doc)
{
	if (!doc->frames[--doc->nframes].object)
		doc->narrays--;
	end_value(doc);
}

static void
end_value(JsonDocument *doc)
{
	doc->state = doc->nframes > 0 ? DOC_NEXT : DOC_END;
}

/* The envelope ends with the key's closing quote. */
static void
end_key(JsonDocument *doc)
{
	JsonFrame *frame = &doc->frames[doc->nframes - 1];

	frame->key_len = doc->envelope.len - 1 - frame->key_start;
	doc->state = DOC_COLON;
}

/* Reads on in a key or string; returns where the segment or the string ended. */
static const char *
read_string(JsonDocument *doc, const char *p)
{
	const char *start = p;

	while (p < doc->base.input_end)
	{
		char c = *p++;

		if (doc->escaped)
			doc->escaped = false;
		else if (c == '\\')
			doc->escaped = true;
		else if (c == '"')
		{
			keep_envelope(doc, start, p - start);
			if (doc->state == DOC_IN_KEY)
				end_key(doc);
			else
				end_value(doc);
			return p;
		}
	}
	keep_envelope(doc, start, p - start);
	return p;
}

/* While the document itself may be the record, a record's limit counts too. */
static void
keep_envelope(JsonDocument *doc, const char *data, size_t len)
{
	size_t limit = CS_MAX_ENVELOPE;

	if (doc->whole)
		limit = doc->base.max_record;
	else if (doc->pointer == NULL && !doc->found)
		limit = Max(limit, doc->base.max_record);
	if (doc->envelope.len + len > limit)
		cs_json_too_large(doc, limit);
	if (len == 1)
		appendStringInfoCharMacro(&doc->envelope, *data);
	else
		appendBinaryStringInfo(&doc->envelope, data, (int) len);
}

/* Does the value that begins now lie on the way to the records? */
static bool
value_on_path(const JsonDocument *doc)
{
	const JsonFrame *frame;
	const char *token;

	if (doc->nframes == 0)
		return true;
	frame = &doc->frames[doc->nframes - 1];
	if (doc->nframes > doc->ntokens || !frame->on_path)
		return false;
	token = doc->tokens[doc->nframes - 1];
	if (!frame->object)
	{
		char index[32];

		snprintf(index, sizeof(index), INT64_FORMAT, frame->index);
		return strcmp(token, index) == 0;
	}
	return cs_json_key_equals(doc, frame, token);
}

/* All bytes were read.  Returns true once if the document itself is the record. */
static bool
finish_document(JsonDocument *doc, CsRecord *record)
{
	if (doc->state == DOC_IN_SCALAR && doc->nframes == 0)
		doc->state = DOC_END;
	if (doc->root == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_JSON_TEXT), errmsg("response is empty"),
						errdetail("A JSON document was expected."),
						errhint("A source without records answers with an empty array.")));
	if (doc->state != DOC_END)
		cs_decoder_cut_short(ERRCODE_INVALID_JSON_TEXT, "JSON document");
	doc->ended = true;
	if (doc->pointer == NULL && !doc->found && doc->root == '{')
		doc->whole = true;
	check_envelope(doc);
	if (doc->whole)
		return finish_whole(doc, record);
	if (!doc->found && !(doc->may_lack_records && !doc->target_is_scalar))
		cs_json_not_found(doc);
	return false;
}

static bool
finish_whole(JsonDocument *doc, CsRecord *record)
{
	const char *start = doc->envelope.data;
	const char *end = start + doc->envelope.len;

	while (cs_json_is_space(*start))
		start++;
	while (cs_json_is_space(end[-1]))
		end--;
	if ((size_t) (end - start) > (size_t) doc->base.max_record)
		cs_json_too_large(doc, doc->base.max_record);
	cs_json_record_decode(doc->picker, start, end - start, false, record);
	return true;
}

/*
 * Proves the envelope to be JSON: the splitter has not looked into its tokens.
 *
 * The encoding of a document that is the record is the record's affair.
 */
static void
check_envelope(JsonDocument *doc)
{
	StringInfo envelope = &doc->envelope;
	char *detail;

	if (cs_json_validate(envelope->data, envelope->len, PG_UTF8, false, &detail) != JSON_SUCCESS)
	{
		if (doc->root != '{' && doc->root != '[')
			cs_decoder_not_json(&doc->base);
		detail = cs_text_printable(&doc->base.text, detail, strlen(detail), true);
		ereport(ERROR, (errcode(ERRCODE_INVALID_JSON_TEXT), errmsg("response is not valid JSON"),
						errdetail("%s", cs_text_clip(detail, 2 * CS_SAMPLE_SIZE))));
	}
	if (doc->whole)
		return;
	if (pg_encoding_verifymbstr(PG_UTF8, envelope->data, envelope->len) < envelope->len)
		ereport(ERROR, (errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
						errmsg("response is not valid UTF-8 outside its records"),
						errhint("Have the source send its data in UTF-8.")));
}
