/*
 * decoder_internal.h
 *		What the decoders of the single formats share.
 *
 * A format embeds CsDecoder as the first member of its own struct, and fills
 * a CsDecoderOps.  format.c hands it the body in segments; a format keeps
 * what it needs of a segment before its next() returns false.
 */
#ifndef CS_DECODER_INTERNAL_H
#define CS_DECODER_INTERNAL_H

#include "base/compat.h"
#include "common/jsonapi.h"
#include "format/decoder.h"
#include "lib/stringinfo.h"

/* Containers inside each other; the server's parser recurses once or twice for each. */
#define CS_MAX_NESTING 1000

/* Bytes of a body's start that are kept for messages. */
#define CS_SAMPLE_SIZE 200

/* How text comes from UTF-8 into the server's encoding. */
typedef struct CsText
{
	int encoding; /* the server's */
	Oid proc;	  /* conversion from UTF-8; InvalidOid: bytes stay as they are */
} CsText;

typedef struct CsDecoderOps
{
	/* Once, in the decoder's context, when the fields below are set; may be NULL. */
	void (*begin)(CsDecoder *decoder);

	/* Reads on from decoder->input; as cs_decoder_next. */
	bool (*next)(CsDecoder *decoder, CsRecord *record);

	/* As in decoder.h; envelope may be NULL. */
	const char *(*envelope)(CsDecoder *decoder);
	char *(*envelope_so_far)(CsDecoder *decoder);
	char *(*record_json)(CsDecoder *decoder, const CsRecord *record);
} CsDecoderOps;

struct CsDecoder
{
	const CsDecoderOps *ops;
	MemoryContext context;	  /* the decoder's own; child of the context of its creation */
	CsProjection *projection; /* the caller's */
	CsText text;
	size_t max_record; /* bytes */

	const char *segment; /* start of the segment being read; the caller's bytes, or head */
	const char *input;	 /* next byte of it to read */
	const char *input_end;
	const char *rest; /* the caller's chunk while head is the segment, else NULL */
	size_t restlen;
	int64 position; /* bytes of the body before segment */

	char head[4]; /* first bytes, held back until a byte order mark is ruled out */
	int nhead;
	bool begun;	   /* the byte order mark is behind us */
	bool finished; /* the caller has no more bytes */
	bool last;	   /* no byte will follow this segment */
	bool drained;  /* all was read and was complete */

	StringInfoData partial;		 /* start of a record that began in an earlier segment */
	char sample[CS_SAMPLE_SIZE]; /* first bytes of the body */
	int nsample;
};

/* Members of a JSON record, picked by the projection; see json_record.c. */
typedef struct CsJsonPicker CsJsonPicker;

/* text.c */
extern void cs_text_init(CsText *text);
extern bool cs_text_decode(const CsText *text, const char *src, size_t len, CsRecord *record);
extern char *cs_text_convert(const CsText *text, const char *src, size_t len, int *outlen);
extern char *cs_text_printable(const CsText *text, const char *src, size_t len, bool one_line);
extern char *cs_text_clip(char *message, int maxlen);

/* format.c */
extern void cs_partial_append(CsDecoder *decoder, const char *data, size_t len);
extern const char *cs_partial_join(CsDecoder *decoder, const char *start, const char *end,
								   size_t *len);
extern void cs_record_check_size(const CsDecoder *decoder, size_t len);
extern void cs_record_fail(CsRecord *record, int code, char *message);
extern void cs_decoder_not_json(const CsDecoder *decoder) pg_attribute_noreturn();
extern void cs_decoder_is_markup(int code) pg_attribute_noreturn();
extern void cs_decoder_cut_short(int code, const char *what) pg_attribute_noreturn();

/* The formats: each returns its own struct, with ops set. */
extern CsDecoder *cs_json_decoder_create(const CsDecoderOptions *options);
extern CsDecoder *cs_ndjson_decoder_create(const CsDecoderOptions *options);
extern CsDecoder *cs_csv_decoder_create(const CsDecoderOptions *options);

/* json_text.c */
extern void cs_json_unescape(const char *src, size_t len, StringInfo out);
extern char *cs_json_unescape_in_place(char *text, char *stop, char **end);
extern bool cs_json_escapes_are_valid(const char *json, size_t len);
extern bool cs_json_escapes_exist(const CsText *text, const char *json, size_t len);
extern JsonParseErrorType cs_json_validate(const char *json, size_t len, int encoding,
										   bool need_escapes, char **detail);
extern bool cs_json_is_closed(const char *json, size_t len);
extern int cs_json_errcode(JsonParseErrorType error);
extern char *cs_json_record_json(CsDecoder *decoder, const CsRecord *record);

static inline bool
cs_json_is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* json_pointer.c */
extern char **cs_json_pointer_parse(const char *pointer, int *ntokens);
extern void cs_json_pointer_append(StringInfo pointer, const char *name, size_t len);

/* json_record.c */
extern CsJsonPicker *cs_json_picker_create(CsProjection *projection, const CsText *text,
										   CsRowShape shape, bool ragged);
extern size_t cs_json_record_try(CsJsonPicker *picker, const char *json, size_t len,
								 CsRecord *record);
extern void cs_json_record_decode(CsJsonPicker *picker, const char *json, size_t len, bool too_deep,
								  CsRecord *record);

#endif /* CS_DECODER_INTERNAL_H */
