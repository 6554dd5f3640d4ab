/*
 * json_document.h
 *		The state of the JSON document decoder, shared by its three files:
 *		json_document.c (structure and envelope), json_elements.c (the record
 *		array), json_errors.c (what can be wrong with a document).
 */
#ifndef CS_JSON_DOCUMENT_H
#define CS_JSON_DOCUMENT_H

#include "format/decoder_internal.h"

/* Arrays named in the hint that the records were not found. */
#define CS_MAX_NOTED_ARRAYS 10

/* What the next byte may be.  Those from DOC_RECORD_FIRST on are inside the record array. */
typedef enum JsonState
{
	DOC_VALUE,
	DOC_FIRST_VALUE, /* or ] */
	DOC_FIRST_KEY,	 /* or } */
	DOC_KEY,
	DOC_IN_KEY,
	DOC_COLON,
	DOC_IN_STRING,
	DOC_IN_SCALAR,	  /* number, true, false, null */
	DOC_NEXT,		  /* comma or closing bracket */
	DOC_END,		  /* space only */
	DOC_RECORD_FIRST, /* record or ] */
	DOC_RECORD,
	DOC_RECORD_NEXT,  /* comma or ] */
	DOC_RECORD_VALUE, /* in a container or string */
	DOC_RECORD_SCALAR
} JsonState;

/* A container of the envelope that is open. */
typedef struct JsonFrame
{
	bool object;
	bool on_path;  /* lies on the way to the records */
	int64 index;   /* array: of the current element */
	int key_start; /* object: the current name, as sent, in the envelope */
	int key_len;
} JsonFrame;

typedef struct JsonDocument
{
	CsDecoder base;
	CsJsonPicker *picker;
	char *pointer; /* where the records are, as given; NULL: find them */
	char **tokens; /* the pointer's parts, in UTF-8 */
	int ntokens;
	CsRowShape shape; /* these three as in CsDecoderOptions */
	bool ragged;
	bool may_lack_records;

	JsonState state;
	bool escaped; /* the last byte of a string was its backslash */
	char root;	  /* first byte of the document, '\0' until it came */
	JsonFrame *frames;
	int nframes;
	int maxframes;
	int narrays;			 /* frames that are arrays */
	StringInfoData envelope; /* in UTF-8 */

	bool found;			   /* the records, or the one record, have been reached */
	bool single;		   /* the record is the object that the pointer leads to */
	bool whole;			   /* the record is the document */
	bool target_is_scalar; /* the pointer leads to something that can't be a record */
	bool ended;			   /* the end was checked, and the whole document delivered */
	char *found_pointer;   /* where they are, for messages */
	int nnoted;
	char *noted[CS_MAX_NOTED_ARRAYS]; /* pointers to the document's arrays, for messages */

	/* The record being read: */
	bool in_string;
	int depth;
	int deepest;
} JsonDocument;

/* Bytes of numbers and literals, and of what is mistaken for them. */
static inline bool
cs_json_is_scalar_byte(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
		   c == '+' || c == '.';
}

/* json_elements.c */
extern void cs_json_record_begin(JsonDocument *doc);
extern bool cs_json_records_read(JsonDocument *doc, CsRecord *record);

/* json_errors.c */
extern bool cs_json_key_equals(const JsonDocument *doc, const JsonFrame *frame, const char *name);
extern char *cs_json_path(JsonDocument *doc);
extern void cs_json_note_array(JsonDocument *doc);
extern void cs_json_unexpected(const JsonDocument *doc, const char *p) pg_attribute_noreturn();
extern void cs_json_found_twice(JsonDocument *doc) pg_attribute_noreturn();
extern void cs_json_not_found(JsonDocument *doc) pg_attribute_noreturn();
extern void cs_json_too_large(const JsonDocument *doc, size_t limit) pg_attribute_noreturn();

#endif /* CS_JSON_DOCUMENT_H */
