/*
 * text.c
 *		Text between UTF-8, which FreeTDS was told to speak, and this database's
 *		encoding.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "driver_tds/tds.h"

static bool convert(const char *utf8, int length, Datum *value, int *code, const char **why);

/* A text of UTF-8, as a Datum.  False: this database can't hold it. */
bool
tds_text(const char *utf8, int length, Datum *value, int *code, const char **why)
{
	*code = ERRCODE_CHARACTER_NOT_IN_REPERTOIRE;
	if (memchr(utf8, '\0', length) != NULL)
		*why = "it has the character U+0000, which no text of PostgreSQL can have";
	else if (length > (int) MaxAllocSize - 1024)
	{
		*code = ERRCODE_PROGRAM_LIMIT_EXCEEDED;
		*why = "it has more than 1 GB";
	}
	else if (!pg_verify_mbstr(PG_UTF8, utf8, length, true))
		*why = "it is no valid text";
	else if (GetDatabaseEncoding() != PG_UTF8 && GetDatabaseEncoding() != PG_SQL_ASCII)
		return convert(utf8, length, value, code, why);
	else
	{
		*value = PointerGetDatum(cstring_to_text_with_len(utf8, length));
		return true;
	}
	return false;
}

/* A message of the server: never a reason to fail in a message. */
char *
tds_from_utf8(const char *utf8)
{
	Datum value;
	int code;
	const char *why;
	int length = (int) strlen(utf8);

	/* It was cut at a fixed length, perhaps in a character. */
	length = pg_encoding_mbcliplen(PG_UTF8, utf8, length, length);
	while (length > 0 && !pg_verify_mbstr(PG_UTF8, utf8, length, true))
		length--;
	if (tds_text(utf8, length, &value, &code, &why))
		return TextDatumGetCString(value);
	return pstrdup("(a message that this database's encoding can't express)");
}

char *
tds_to_utf8(const char *text)
{
	return pg_server_to_any(text, (int) strlen(text), PG_UTF8);
}

/* pg_any_to_server would throw, and the other values of the row are fine. */
static bool
convert(const char *utf8, int length, Datum *value, int *code, const char **why)
{
	int encoding = GetDatabaseEncoding();
	Oid procedure = FindDefaultConversionProc(PG_UTF8, encoding);
	Size space = (Size) length * MAX_CONVERSION_GROWTH + 1;
	unsigned char *buffer;

	if (!OidIsValid(procedure))
	{
		*code = ERRCODE_UNDEFINED_FUNCTION;
		*why = "there is no conversion to this database's encoding";
		return false;
	}
	buffer = MemoryContextAllocHuge(CurrentMemoryContext, space);
	if (pg_do_encoding_conversion_buf(procedure, PG_UTF8, encoding, (unsigned char *) utf8, length,
									  buffer, (int) Min(space, INT_MAX), true) < length)
	{
		*code = ERRCODE_UNTRANSLATABLE_CHARACTER;
		*why = "it has characters that this database's encoding lacks";
		pfree(buffer);
		return false;
	}
	*value = PointerGetDatum(cstring_to_text((char *) buffer));
	pfree(buffer);
	return true;
}
