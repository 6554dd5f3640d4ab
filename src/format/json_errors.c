/*
 * json_errors.c
 *		Where in a document we are, and what can be wrong with a document.
 */
#include "postgres.h"

#include "format/json_document.h"
#include "mb/pg_wchar.h"

/* Longest pointer shown in a message. */
#define MAX_SHOWN 200

/* Is that name, sent with or without escapes, the one wanted?  name: in UTF-8. */
bool
cs_json_key_equals(const JsonDocument *doc, const JsonFrame *frame, const char *name)
{
	const char *key = doc->envelope.data + frame->key_start;
	StringInfoData plain;
	bool equal;

	if (memchr(key, '\\', frame->key_len) == NULL)
		return (size_t) frame->key_len == strlen(name) && memcmp(key, name, frame->key_len) == 0;
	initStringInfo(&plain);
	cs_json_unescape(key, frame->key_len, &plain);
	equal = strcmp(plain.data, name) == 0;
	pfree(plain.data);
	return equal;
}

/* The JSON Pointer to the value being read, for messages; the decoder's memory. */
char *
cs_json_path(JsonDocument *doc)
{
	MemoryContext old = MemoryContextSwitchTo(doc->base.context);
	StringInfoData path;
	StringInfoData name;
	char *shown;

	initStringInfo(&path);
	initStringInfo(&name);
	for (int i = 0; i < doc->nframes && path.len <= MAX_SHOWN; i++)
	{
		const JsonFrame *frame = &doc->frames[i];

		resetStringInfo(&name);
		if (frame->object)
			cs_json_unescape(doc->envelope.data + frame->key_start, Min(frame->key_len, MAX_SHOWN),
							 &name);
		else
			appendStringInfo(&name, INT64_FORMAT, frame->index);
		cs_json_pointer_append(&path, name.data, name.len);
	}
	shown = cs_text_clip(cs_text_printable(&doc->base.text, path.data, path.len, true), MAX_SHOWN);
	pfree(path.data);
	pfree(name.data);
	MemoryContextSwitchTo(old);
	return shown;
}

/* Remembers the array that begins now, to tell of it if the records are not found. */
void
cs_json_note_array(JsonDocument *doc)
{
	if (doc->nnoted < CS_MAX_NOTED_ARRAYS)
		doc->noted[doc->nnoted++] = cs_json_path(doc);
}

/* The byte at p can't be where it is. */
void
cs_json_unexpected(const JsonDocument *doc, const char *p)
{
	long long at = (long long) (doc->base.position + (p - doc->base.segment) + 1);
	bool printable = *p > ' ' && *p < 0x7f;

	if (doc->root != '{' && doc->root != '[')
		cs_decoder_not_json(&doc->base);
	if (doc->state == DOC_END)
		ereport(ERROR, (errcode(ERRCODE_INVALID_JSON_TEXT),
						errmsg("response goes on after the end of its JSON document"),
						errdetail("The document ends before byte %lld.", at),
						*p == '{' || *p == '['
							? errhint("If the source sends one document per line, set the option "
									  "\"format\" to \"ndjson\".")
							: 0));
	ereport(ERROR, (errcode(ERRCODE_INVALID_JSON_TEXT), errmsg("response is not valid JSON"),
					printable ? errdetail("Unexpected character \"%c\" at byte %lld.", *p, at)
							  : errdetail("Unexpected byte 0x%02x at byte %lld.",
										  (unsigned char) *p, at)));
}

/* A second place where the records are, or could be. */
void
cs_json_found_twice(JsonDocument *doc)
{
	if (doc->pointer != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_JSON_TEXT),
						errmsg("response has \"%s\" more than once", doc->pointer)));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("response has more than one array that could be the records"),
			 errhint("Set the option \"records\" to the one that is meant: \"%s\" or \"%s\".",
					 doc->found_pointer, cs_json_path(doc))));
}

/* The document is complete, and its records were nowhere. */
void
cs_json_not_found(JsonDocument *doc)
{
	StringInfoData arrays;

	initStringInfo(&arrays);
	for (int i = 0; i < doc->nnoted; i++)
		appendStringInfo(&arrays, "%s\"%s\"", i > 0 ? ", " : "", doc->noted[i]);
	if (doc->pointer == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("response has no records"),
						errdetail("It is a JSON document, but neither an array nor an object.")));
	ereport(
		ERROR,
		(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		 errmsg("response has no records at \"%s\"", doc->pointer),
		 doc->target_is_scalar ? errdetail("What is there is neither an array nor an object.") : 0,
		 doc->nnoted > 0
			 ? errhint("Set the option \"records\" to an array of the response: %s.", arrays.data)
			 : errhint("The response has no array; set the option \"records\" to \"\" if it "
					   "is one record itself.")));
}

/* What is not records is more than may be held. */
void
cs_json_too_large(const JsonDocument *doc, size_t limit)
{
	int mb = (int) (limit / (1024 * 1024));

	if (doc->whole || (doc->pointer == NULL && !doc->found))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("response is one record of more than %d MB", mb),
				 errhint("Set the option \"records\" to the array in it that has the records, or "
						 "raise censync.max_record_size.")));
	ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					errmsg("response has more than %d MB outside its records", mb),
					errhint("Set the option \"records\" to the array that has the records.")));
}
