/*
 * text.c
 *		Text of a body (UTF-8, or what claims to be) into the server's encoding.
 */
#include "postgres.h"

#include <limits.h>

#include "catalog/namespace.h"
#include "format/decoder_internal.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

static void fail_encoding(CsRecord *record, const char *bad, size_t len);
static int convert_prefix(const CsText *text, const char *src, int len, char **out);

/*
 * Looks up how UTF-8 comes into the database's encoding.
 *
 * Reads the catalog.  Throws 42883 if there is no conversion.
 */
void
cs_text_init(CsText *text)
{
	text->encoding = GetDatabaseEncoding();
	text->proc = InvalidOid;
	if (text->encoding == PG_UTF8 || text->encoding == PG_SQL_ASCII)
		return;
	text->proc = FindDefaultConversionProc(PG_UTF8, text->encoding);
	if (!OidIsValid(text->proc))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION), errmsg("no conversion from UTF8 to %s exists",
															 pg_encoding_to_char(text->encoding))));
}

/*
 * Fills record->raw with the converted text and returns true.
 *
 * Text that is not UTF-8 (22021), or that the server's encoding lacks (22P05),
 * becomes the record's error, its raw text has '?' in those places, and the
 * result is false.  Allocates in CurrentMemoryContext.
 */
bool
cs_text_decode(const CsText *text, const char *src, size_t len, CsRecord *record)
{
	int valid = pg_encoding_verifymbstr(PG_UTF8, src, (int) len);

	if (valid < (int) len)
		fail_encoding(record, src + valid, len - valid);
	else
	{
		record->raw = cs_text_convert(text, src, len, &record->rawlen);
		if (record->raw != NULL)
			return true;
		cs_record_fail(record, ERRCODE_UNTRANSLATABLE_CHARACTER,
					   psprintf("record has a character that the database's encoding %s lacks",
								pg_encoding_to_char(text->encoding)));
	}
	record->raw = cs_text_printable(text, src, len, false);
	record->rawlen = (int) strlen(record->raw);
	return false;
}

/*
 * Valid UTF-8 in the server's encoding, NUL-terminated, in CurrentMemoryContext;
 * NULL if a character of it does not exist there.
 */
char *
cs_text_convert(const CsText *text, const char *src, size_t len, int *outlen)
{
	char *out;

	if (!OidIsValid(text->proc))
	{
		out = palloc(len + 1);
		memcpy(out, src, len);
		out[len] = '\0';
		*outlen = (int) len;
		return out;
	}
	if (convert_prefix(text, src, (int) len, &out) < (int) len)
	{
		pfree(out);
		return NULL;
	}
	*outlen = (int) strlen(out);
	return out;
}

/*
 * Any bytes as text in the server's encoding, with '?' for what can't be shown.
 *
 * one_line: control characters become spaces.  NUL bytes are '?' always.
 */
char *
cs_text_printable(const CsText *text, const char *src, size_t len, bool one_line)
{
	StringInfoData out;
	const char *end = src + len;

	initStringInfo(&out);
	while (src < end)
	{
		int valid = pg_encoding_verifymbstr(PG_UTF8, src, (int) (end - src));
		const char *stop = src + valid;

		while (src < stop)
		{
			char *part;
			int done = convert_prefix(text, src, (int) (stop - src), &part);

			appendStringInfoString(&out, part);
			pfree(part);
			src += done;
			if (src < stop)
			{
				appendStringInfoChar(&out, '?');
				src += pg_utf_mblen((const unsigned char *) src);
			}
		}
		if (src < end)
		{
			appendStringInfoChar(&out, '?');
			src++;
		}
	}
	for (char *c = out.data; one_line && *c; c++)
		if ((unsigned char) *c < ' ' || *c == 0x7f)
			*c = ' ';
	return out.data;
}

/* Cuts a message in the server's encoding to maxlen bytes, in place, at a character's border. */
char *
cs_text_clip(char *message, int maxlen)
{
	int len = (int) strlen(message);

	if (len > maxlen)
		message[pg_mbcliplen(message, len, maxlen)] = '\0';
	return message;
}

/* The bytes are shown in hexadecimal: nothing else is safe to print. */
static void
fail_encoding(CsRecord *record, const char *bad, size_t len)
{
	StringInfoData message;
	int expected = pg_utf_mblen((const unsigned char *) bad);

	initStringInfo(&message);
	appendStringInfoString(&message, "record is not valid UTF-8: byte sequence");
	for (int i = 0; i < expected && i < (int) len; i++)
		appendStringInfo(&message, " 0x%02x", (unsigned char) bad[i]);
	cs_record_fail(record, ERRCODE_CHARACTER_NOT_IN_REPERTOIRE, message.data);
}

/* Converts valid UTF-8 up to the first character that can't be; returns the bytes consumed. */
static int
convert_prefix(const CsText *text, const char *src, int len, char **out)
{
	Size room;
	int done;

	if (!OidIsValid(text->proc))
	{
		*out = pnstrdup(src, len);
		return len;
	}
	/* The conversion stops early unless there is room for its worst case, and one byte. */
	room = Min((Size) (len + 1) * MAX_CONVERSION_GROWTH + 1, (Size) INT_MAX);
	*out = MemoryContextAllocHuge(CurrentMemoryContext, room);
	(*out)[0] = '\0';
	done = pg_do_encoding_conversion_buf(text->proc, PG_UTF8, text->encoding,
										 (unsigned char *) unconstify(char *, src), len,
										 (unsigned char *) *out, (int) room, true);
	*out = repalloc_huge(*out, strlen(*out) + 1);
	return done;
}
