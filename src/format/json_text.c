/*
 * json_text.c
 *		Small questions about a JSON text: is it valid, closed, too deep?
 */
#include "postgres.h"

#include "common/string.h"
#include "format/decoder_internal.h"
#include "mb/pg_wchar.h"
#include "utils/json.h"


static bool measure(const char *json, size_t len, int *deepest);
static const char *unescape_one(const char *p, const char *end, StringInfo out);
static const char *read_hex4(const char *p, const char *end, pg_wchar *value);
static const char *read_code_point(const char *p, const char *end, pg_wchar *value);

/*
 * Appends UTF-8 text with JSON's escapes resolved.  Escapes that are not JSON are kept as they are:
 * telling is the parser's business.
 */
void
cs_json_unescape(const char *src, size_t len, StringInfo out)
{
	const char *end = src + len;

	while (src < end)
	{
		const char *escape = memchr(src, '\\', end - src);
		const char *stop = escape != NULL ? escape : end;

		appendBinaryStringInfo(out, src, (int) (stop - src));
		src = escape != NULL ? unescape_one(escape, end, out) : end;
	}
}

/* True if all \u escapes are characters, and none is NUL: cs_json_unescape will resolve them all. */
bool
cs_json_escapes_are_valid(const char *json, size_t len)
{
	const char *end = json + len;

	while ((json = memchr(json, '\\', end - json)) != NULL)
	{
		pg_wchar code = 0;

		if (end - json < 2)
			return false;
		if (json[1] != 'u')
			json += 2;
		else if ((json = read_code_point(json, end, &code)) == NULL || code == 0)
			return false;
	}
	return true;
}

/*
 * Resolves the escapes of a string in UTF-8 in place.
 *
 * text: behind the opening quote; what precedes stop has none.  Returns the closing quote, *end the end of
 * the content; NULL if there is an escape that is none, or a byte that has to be one.
 */
char *
cs_json_unescape_in_place(char *text, char *stop, char **end)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	const char *p = stop;
	const char *known;
	char *out = stop;
	pg_wchar code = 0;

	Assert(stop >= text);
	while (*p != '"')
	{
		if ((unsigned char) *p < ' ')
			return NULL;
		if (*p != '\\')
			*out++ = *p++;
		else if (p[1] == 'u')
		{
			p = read_code_point(p, p + strnlen(p, 12), &code);
			if (p == NULL || code == 0)
				return NULL;
			unicode_to_utf8(code, (unsigned char *) out);
			out += pg_utf_mblen((unsigned char *) out);
		}
		else if (p[1] != '\0' && (known = strchr(from, p[1])) != NULL)
		{
			*out++ = to[known - from];
			p += 2;
		}
		else
			return NULL;
	}
	*end = out;
	return (char *) p;
}

/*
 * True if every escaped character of the text exists in the server's encoding: the parser throws
 * over one that does not.
 */
bool
cs_json_escapes_exist(const CsText *text, const char *json, size_t len)
{
	StringInfoData chars;
	const char *end = json + len;
	char *converted = NULL;
	int convertedlen;
	bool exist;

	if (text->encoding == PG_UTF8)
		return true;
	initStringInfo(&chars);
	while ((json = memchr(json, '\\', end - json)) != NULL)
		json = unescape_one(json, end, &chars);
	if (OidIsValid(text->proc))
		converted = cs_text_convert(text, chars.data, chars.len, &convertedlen);
	exist = converted != NULL || pg_is_ascii(chars.data);
	pfree(chars.data);
	return exist;
}

/*
 * Runs the server's parser over a text that is not too deep.
 *
 * need_escapes: find \u0000 and broken surrogates too (slower).  *detail, if wanted, becomes what is
 * wrong, in encoding.
 */
JsonParseErrorType
cs_json_validate(const char *json, size_t len, int encoding, bool need_escapes, char **detail)
{
	JsonLexContext *lex;
	JsonParseErrorType result;

	lex = cs_json_lex_create(json, len, encoding, need_escapes);
	result = pg_parse_json(lex, &nullSemAction);
	if (result != JSON_SUCCESS && detail != NULL)
		*detail = json_errdetail(result, lex);
	return result;
}

/* True if what the text opens it also closes: it was not cut off inside a container or string. */
bool
cs_json_is_closed(const char *json, size_t len)
{
	int deepest;

	return measure(json, len, &deepest);
}

/* True if parsing the text would recurse deeper than CS_MAX_NESTING. */
bool
cs_json_is_too_deep(const char *json, size_t len)
{
	int openings = 0;
	int deepest;

	/* Most texts are done here or after one pass without branches. */
	if (len <= CS_MAX_NESTING)
		return false;
	for (size_t i = 0; i < len; i++)
		openings += (json[i] | 0x20) == '{';
	if (openings <= CS_MAX_NESTING)
		return false;
	measure(json, len, &deepest);
	return deepest > CS_MAX_NESTING;
}

/* The SQLSTATE that the json type itself gives for an error. */
int
cs_json_errcode(JsonParseErrorType error)
{
	if (error == JSON_UNICODE_CODE_POINT_ZERO || error == JSON_UNICODE_HIGH_ESCAPE)
		return ERRCODE_UNTRANSLATABLE_CHARACTER;
	return ERRCODE_INVALID_TEXT_REPRESENTATION;
}

/* cs_decoder_record_json of the JSON formats: the raw text if jsonb could read it. */
char *
cs_json_record_json(CsDecoder *decoder, const CsRecord *record)
{
	StringInfoData text;
	bool readable = false;

	if (!cs_json_is_too_deep(record->raw, record->rawlen) &&
		cs_json_escapes_exist(&decoder->text, record->raw, record->rawlen))
		readable = cs_json_validate(record->raw, record->rawlen, decoder->text.encoding, true,
									NULL) == JSON_SUCCESS;
	if (readable)
		return pnstrdup(record->raw, record->rawlen);
	initStringInfo(&text);
	escape_json(&text, record->raw);
	return text.data;
}

/* Depth of nesting, ignoring brackets in strings; true if all is closed at the end. */
static bool
measure(const char *json, size_t len, int *deepest)
{
	bool in_string = false;
	int depth = 0;

	*deepest = 0;
	for (size_t i = 0; i < len; i++)
	{
		char c = json[i];

		if (in_string)
		{
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		}
		else if (c == '"')
			in_string = true;
		else if (c == '{' || c == '[')
		{
			depth++;
			*deepest = Max(*deepest, depth);
		}
		else if (c == '}' || c == ']')
			depth--;
	}
	return depth <= 0 && !in_string;
}

/* One escape at p; returns what follows it. */
static const char *
unescape_one(const char *p, const char *end, StringInfo out)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	const char *after = NULL;
	const char *known;
	pg_wchar code = 0;

	if (p + 1 < end && p[1] == 'u')
		after = read_code_point(p, end, &code);
	else if (p + 1 < end && p[1] != '\0' && (known = strchr(from, p[1])) != NULL)
	{
		appendStringInfoChar(out, to[known - from]);
		return p + 2;
	}
	if (after == NULL || code == 0)
	{
		int kept = p + 1 < end && !IS_HIGHBIT_SET(p[1]) ? 2 : 1;

		appendBinaryStringInfo(out, p, kept);
		return p + kept;
	}
	else
	{
		unsigned char utf8[8] = { 0 };

		unicode_to_utf8(code, utf8);
		appendBinaryStringInfo(out, (char *) utf8, pg_utf_mblen(utf8));
		return after;
	}
}

/* \uXXXX at p, or a pair of them; NULL if it is no code point. */
static const char *
read_code_point(const char *p, const char *end, pg_wchar *value)
{
	pg_wchar low;

	p = read_hex4(p, end, value);
	if (p == NULL || is_utf16_surrogate_second(*value))
		return NULL;
	if (!is_utf16_surrogate_first(*value))
		return p;
	p = read_hex4(p, end, &low);
	if (p == NULL || !is_utf16_surrogate_second(low))
		return NULL;
	*value = surrogate_pair_to_codepoint(*value, low);
	return p;
}

static const char *
read_hex4(const char *p, const char *end, pg_wchar *value)
{
	if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return NULL;
	*value = 0;
	for (int i = 2; i < 6; i++)
	{
		char c = p[i];

		*value <<= 4;
		if (c >= '0' && c <= '9')
			*value |= c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			*value |= (c | 0x20) - 'a' + 10;
		else
			return NULL;
	}
	return p + 6;
}
