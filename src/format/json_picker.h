/*
 * json_picker.h
 *		The state that reads one JSON record, shared by json_record.c (objects)
 *		and json_row.c (rows of values).
 */
#ifndef CS_JSON_PICKER_H
#define CS_JSON_PICKER_H

#include "mb/pg_wchar.h"

#include "format/decoder_internal.h"
#include "format/json_names.h"

/* Longest quotation of a record in its error. */
#define CS_MAX_MESSAGE 400

/* The member being read at one level. */
typedef struct JsonMember
{
	JsonNode *node;		/* NULL: not wanted */
	JsonTokenType type; /* of its value's first token */
	const char *start;	/* of its value, in the record's text */
} JsonMember;

struct CsJsonPicker
{
	CsProjection *projection; /* the caller's */
	CsRowShape shape;		  /* of records */
	bool ragged;			  /* rows may have fewer values than there are columns */
	const CsText *text;		  /* the decoder's */
	MemoryContext scratch;	  /* what the parser allocates; emptied after each record */
	JsonNames names;		  /* of the wanted members */
	int not_plain;			  /* records to come for which the quick way is not tried */
	size_t usual;			  /* length of records, about; 0: unknown, or large */

	/* While a record is read: */
	JsonNode **open;	/* objects entered on wanted paths; open[0] is root */
	JsonMember *member; /* per open object */
	int nopen;
	bool *by_name; /* per column: the exact member was there, the path is out */
	int count;	   /* rows: values so far */
	bool in_cells; /* the member being read is the list of cells */
	JsonLexContext *lex;
	bool escapes;		  /* the text has some, and the parser does not resolve them */
	StringInfoData plain; /* a name or value whose escapes were resolved here */
	char *token;		  /* content of the last scalar when the parser resolves escapes */
	CsField *fields;
	char *room; /* for values, in the record's context */
	size_t roomleft;
	MemoryContext result;
};

/* json_record.c */
extern JsonParseErrorType cs_json_picker_parse(CsJsonPicker *picker, CsRecord *record,
											   JsonSemAction *actions);
extern const char *cs_json_picker_name(const CsJsonPicker *picker, int *len);
extern void cs_json_picker_read_value(CsJsonPicker *picker, const JsonMember *member,
									  CsField *field);

/* json_row.c: reads record->raw into picker->fields, or sets the record's error. */
extern char *cs_json_row_read_plain(CsJsonPicker *picker, char *text);
extern void cs_json_row_parse(CsJsonPicker *picker, CsRecord *record);

#endif /* CS_JSON_PICKER_H */
