/*
 * decoder.h
 *		A decoder turns the bytes of a body, in whatever pieces they arrive,
 *		into records.  It knows nothing of HTTP.
 *
 * Memory stays flat: a decoder holds at most one record (bounded by
 * censync.max_record_size) and the envelope around the records (bounded by
 * CS_MAX_ENVELOPE).
 *
 * Three outcomes, no fourth: a record, "need more bytes", or an error.  What
 * is wrong with one record (not an object, bad encoding, bad syntax inside a
 * closed record) is that record's error, and the others go on.  What is wrong
 * with the document (it ends too early, it is not JSON at all) is thrown, and
 * ends the decoder's usefulness.  Bad syntax in a document that is one record
 * itself is thrown too: nothing of such a body is known to be true.
 *
 * Of members of one name in an object the last counts, as in jsonb.  A CSV
 * field that is empty is NULL without quotes and '' with them; blank lines are
 * skipped.
 */
#ifndef CS_DECODER_H
#define CS_DECODER_H

#define CS_MAX_ENVELOPE (16 * 1024 * 1024)

typedef enum CsFormat
{
	CS_FORMAT_AUTO, /* by Content-Type, else by the first bytes */
	CS_FORMAT_JSON,
	CS_FORMAT_NDJSON,
	CS_FORMAT_CSV
} CsFormat;

/* What a value was in the source; CSV values are always CS_VALUE_TEXT. */
typedef enum CsValueKind
{
	CS_VALUE_NULL, /* null, or the record has no such member */
	CS_VALUE_STRING,
	CS_VALUE_NUMBER,
	CS_VALUE_BOOL,
	CS_VALUE_OBJECT,
	CS_VALUE_ARRAY,
	CS_VALUE_TEXT /* of a source without types: the text form of anything */
} CsValueKind;

/* One value of a record: its text form, never passed through a C double. */
typedef struct CsField
{
	CsValueKind kind;
	char *text; /* NUL-terminated, in the server's encoding: a string's content
								 * without quotes and escapes, a number's digits as sent,
								 * true/false, or the JSON text of an object or array.
								 * NULL when kind is CS_VALUE_NULL. */
	int len;	/* strlen(text) */
} CsField;

/* One record.  Everything it points to is in the context current at the call
 * that filled it (the caller's batch context). */
typedef struct CsRecord
{
	int64 number;	 /* 1-based over the whole read; set by the reader */
	CsField *fields; /* one per wanted column; NULL if the record has an error */
	Datum *values;	 /* readers of typed sources: one per column, instead of fields */
	bool *nulls;	 /* same */
	char *raw;		 /* the record as it was sent, converted to the server's encoding
								 * where that is possible, NUL-terminated; for the log */
	int rawlen;
	int error_code;		 /* SQLSTATE (MAKE_SQLSTATE form), or 0: the record is fine */
	char *error_message; /* why it can't be used, or NULL */
	int error_column; /* readers of typed sources: the one column, from 1, whose value is to blame; the
						  * others have theirs.  0: the record as a whole */
} CsRecord;

/* The columns asked for.  Owned by the caller, outlives the decoder. */
typedef struct CsProjection
{
	int ncolumns;
	char **names; /* NULL for rows; else a member of the record, or a path "a.b" into it; an exact
								 * top-level member "a.b" wins over the path */
	bool *seen;	  /* set to true by the decoder once any record had the member,
								 * null or not (CSV: once the header has it) */
} CsProjection;

/* What a record of JSON is.  Of rows, the columns of the projection are the values in their order. */
typedef enum CsRowShape
{
	CS_ROW_OBJECT, /* {"id": 1, "name": "x"} */
	CS_ROW_ARRAY,  /* [1, "x"] */
	CS_ROW_CELLS   /* {"f": [{"v": "1"}, {"v": "x"}]}, as BigQuery has them */
} CsRowShape;

typedef struct CsDecoderOptions
{
	CsFormat format;	   /* never CS_FORMAT_AUTO */
	const char *records;   /* JSON Pointer (RFC 6901) to the array of records, "" for the whole
								 * document, or NULL: the document itself if it is an array, else
								 * the only array in it, else the document as one record */
	char delimiter;		   /* CSV; ',' unless told otherwise */
	CsRowShape shape;	   /* JSON */
	bool ragged;		   /* of rows: missing values at the end are null, not an error */
	bool may_lack_records; /* JSON: where there is no array of records, there are none */
} CsDecoderOptions;

typedef struct CsDecoder CsDecoder;

/* The format named by a media type (parameters ignored), or CS_FORMAT_AUTO if it tells nothing. */
extern CsFormat cs_format_from_content_type(const char *content_type);

/* The format that the first bytes of a body show: '[' or '{' JSON (NDJSON if a second document
 * follows the first line), '<' an error with a hint (HTML where data was expected), else CSV. */
extern CsFormat cs_format_sniff(const char *data, size_t len);

/* A decoder in CurrentMemoryContext; deleting that context is closing it. */
extern CsDecoder *cs_decoder_create(const CsDecoderOptions *options, CsProjection *projection);

/* Hands over bytes, which must stay where they are until cs_decoder_next has returned false: records
 * are cut out of them in place, and what is needed longer is copied then.  Only after that may the
 * next bytes be fed. */
extern void cs_decoder_feed(CsDecoder *decoder, const char *data, size_t len);

/* The body has ended.  cs_decoder_next may yield a last record after this; once drained it throws if
 * the document was not complete: 22032 (ERRCODE_INVALID_JSON_TEXT), CSV 22P04.  NDJSON and CSV don't
 * announce their end: there, only a last line that lacks its newline and can't be read (CSV: is in
 * quotes, or has too few fields) is known to be cut off. */
extern void cs_decoder_finish(CsDecoder *decoder);

/* Fills *record (allocated in CurrentMemoryContext) and returns true; false means: feed more, or,
 * after finish, that all of the document was read and was complete. */
extern bool cs_decoder_next(CsDecoder *decoder, CsRecord *record);

/* JSON only, after the drained finish: the document with the record array cut to [], and the record
 * that a pointer led to cut to {}; the whole document where that is the record.  For cursors, totals
 * and next URLs.  NULL before the drained finish and for other formats.  In UTF-8, proven to be valid
 * JSON, NUL-terminated, the decoder's memory. */
extern const char *cs_decoder_envelope(CsDecoder *decoder);

/* JSON only, while records are read and after: the same so far, the containers closed that are still
 * open; in CurrentMemoryContext.  Nothing is proven of it.  NULL if there is no telling yet. */
extern char *cs_decoder_envelope_so_far(CsDecoder *decoder);

/* A record as JSON text for the log and for previews, in CurrentMemoryContext: a JSON record as
 * sent, a CSV row as an object of its header's names, anything unreadable as a JSON string. */
extern char *cs_decoder_record_json(CsDecoder *decoder, const CsRecord *record);

/* A JSON array's text as a PostgreSQL array literal ('{1,"a b",NULL}'), nested arrays included;
 * elements that are objects keep their JSON text, as do strings where the elements are JSON themselves.
 * delimiter: the element type's.  Throws 22P02 on text that is not a JSON array. */
extern char *cs_json_array_literal(const char *json, int len, char delimiter, bool json_elements);

/* Is it nested deeper than documents and records may be?  Whether it is JSON is another question. */
extern bool cs_json_is_too_deep(const char *json, size_t len);

#endif /* CS_DECODER_H */
