/*
 * redact.c
 *		Text from elsewhere made fit for a message, a log or a table.
 *
 * A server that echoes a request echoes its credentials too, in whatever
 * encoding the request had them.  So the text is compared with each secret
 * while its percent and JSON escapes are undone, JSON within JSON included; base64 is compared as text,
 * at each of the three offsets a secret can have inside an encoded "user:secret".
 */
#include "postgres.h"

#include "base/compat.h"
#include "common/base64.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "net/redact.h"

/* A shorter secret would turn every message into asterisks. */
#define MIN_SECRET 4

#define MASK "***"

/* What JSON in JSON in JSON, four times over, makes of two backslashes. */
#define MAX_BACKSLASHES 64

typedef struct Patterns
{
	List *texts;	 /* char *, each of MIN_SECRET bytes and more */
	bool first[256]; /* bytes with which a match can begin */
} Patterns;

static char *mask(const char *text, size_t len, List *secrets, bool mask_tail, int *masked_len);
static void build_patterns(Patterns *patterns, List *secrets);
static void add_pattern(Patterns *patterns, char *text);
static void add_base64(Patterns *patterns, const char *secret, int offset);
static size_t longest_match(const Patterns *patterns, const char *text, const char *end,
							bool mask_tail);
static size_t match(const char *text, const char *end, const char *pattern, bool mask_tail);
static size_t match_decoded(const char *text, const char *end, const char *pattern, bool mask_tail);
static const char *last_backslash(const char *text, const char *end);
static size_t decode(const char *text, const char *end, char decoded[5]);
static size_t decode_unicode(const char *text, const char *end, char decoded[5]);
static int hex_number(const char *text, const char *end, int digits);
static char *clean(const char *text, int len, int max_len);

char *
cs_redact(const char *text, int len, int max_len, List *secrets)
{
	int masked_len;
	char *masked = mask(text, len, secrets, true, &masked_len);

	return clean(masked, masked_len, max_len);
}

char *
cs_redact_secrets(const char *text, List *secrets)
{
	int ignored;

	return mask(text, strlen(text), secrets, false, &ignored);
}

/* mask_tail: the text may have been cut inside a secret, whose beginning is then hidden too. */
static char *
mask(const char *text, size_t len, List *secrets, bool mask_tail, int *masked_len)
{
	const char *end = text + len;
	const char *plain = text;
	Patterns patterns;
	StringInfoData out;

	build_patterns(&patterns, secrets);
	initStringInfo(&out);
	while (text < end)
	{
		size_t found = 0;

		if (patterns.first[(unsigned char) *text])
			found = longest_match(&patterns, text, end, mask_tail);
		if (found == 0)
		{
			text++;
			continue;
		}
		appendBinaryStringInfo(&out, plain, text - plain);
		appendStringInfoString(&out, MASK);
		plain = text += found;
	}
	appendBinaryStringInfo(&out, plain, end - plain);
	*masked_len = out.len;
	return out.data;
}

static void
build_patterns(Patterns *patterns, List *secrets)
{
	ListCell *cell;

	memset(patterns, 0, sizeof(*patterns));
	foreach (cell, secrets)
	{
		char *secret = lfirst(cell);

		if (secret == NULL || strlen(secret) < MIN_SECRET)
			continue;
		add_pattern(patterns, secret);
		for (int offset = 0; offset < 3; offset++)
			add_base64(patterns, secret, offset);
	}
}

static void
add_pattern(Patterns *patterns, char *text)
{
	patterns->texts = lappend(patterns->texts, text);
	patterns->first[(unsigned char) text[0]] = true;
	patterns->first['%'] = patterns->first['\\'] = true;
	if (text[0] == ' ')
		patterns->first['+'] = true;
}

/* The characters of base64 that depend on nothing but the secret, when it begins at this offset of
 * a group of three bytes; in the standard and in the URL alphabet. */
static void
add_base64(Patterns *patterns, const char *secret, int offset)
{
	int len = strlen(secret) + offset;
	int size = pg_b64_enc_len(len) + 1;
	char *padded = palloc0(len + 1);
	char *encoded = palloc0(size);
	char *url;

	memcpy(padded + offset, secret, len - offset);
	if (cs_base64_encode(padded, len, encoded, size) < 0)
		return;
	encoded[len * 8 / 6] = '\0';
	encoded += (offset * 8 + 5) / 6;
	add_pattern(patterns, encoded);
	if (strpbrk(encoded, "+/") == NULL)
		return;
	url = pstrdup(encoded);
	for (char *c = url; *c != '\0'; c++)
		*c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
	add_pattern(patterns, url);
}

/* How many bytes of text the longest secret there takes; 0: there is none. */
static size_t
longest_match(const Patterns *patterns, const char *text, const char *end, bool mask_tail)
{
	size_t longest = 0;
	ListCell *cell;

	foreach (cell, patterns->texts)
	{
		size_t found = match(text, end, lfirst(cell), mask_tail);

		longest = Max(longest, found);
	}
	return longest;
}

static size_t
match(const char *text, const char *end, const char *pattern, bool mask_tail)
{
	size_t len = strlen(pattern);

	if (len <= (size_t) (end - text) && memcmp(text, pattern, len) == 0)
		return len;
	return match_decoded(text, end, pattern, mask_tail);
}

static size_t
match_decoded(const char *text, const char *end, const char *pattern, bool mask_tail)
{
	const char *start = text;
	const char *p = pattern;

	while (*p != '\0')
	{
		char decoded[5] = { 0 };
		bool escaped = text < end && *text == '\\';
		size_t used;
		size_t len;

		if (escaped)
		{
			text = last_backslash(text, end);
			p += strspn(p, "\\");
			if (*p == '\0')
				return text + 1 - start;
		}
		used = text < end ? decode(text, end, decoded) : 0;
		len = strlen(decoded);
		if (used > 0 && len > 0 && strncmp(p, decoded, len) == 0)
		{
			text += used;
			p += len;
		}
		else if (escaped && end - text > 1 && text[1] == *p)
		{
			text += 2;
			p++;
		}
		else if (text < end && *text == *p)
		{
			text++;
			p++;
		}
		else if (text == end || (used == 0 && end - text < 6 && (*text == '%' || *text == '\\')))
			return mask_tail && p - pattern >= MIN_SECRET ? end - start : 0;
		else
			return 0;
	}
	return text - start;
}

/* Text that was put into JSON more than once has more backslashes than its secret, so their number is
 * not compared.  Returns where the last one of a run is, as far as that may matter. */
static const char *
last_backslash(const char *text, const char *end)
{
	const char *last = text;

	while (last + 1 < end && last[1] == '\\' && last - text < MAX_BACKSLASHES)
		last++;
	return last;
}

/* What an escape at text stands for, NUL-terminated; returns its length, 0 if there is none. */
static size_t
decode(const char *text, const char *end, char decoded[5])
{
	static const char plain[] = "\"\\/bfnrt";
	static const char meant[] = "\"\\/\b\f\n\r\t";
	const char *escape;

	if (*text == '+')
	{
		decoded[0] = ' ';
		return 1;
	}
	if (*text == '%')
	{
		decoded[0] = (char) Max(hex_number(text + 1, end, 2), 0);
		return decoded[0] != '\0' ? 3 : 0;
	}
	if (*text != '\\' || end - text < 2)
		return 0;
	if (text[1] == 'u')
		return decode_unicode(text, end, decoded);
	escape = text[1] != '\0' ? strchr(plain, text[1]) : NULL;
	if (escape == NULL)
		return 0;
	decoded[0] = meant[escape - plain];
	return 2;
}

static size_t
decode_unicode(const char *text, const char *end, char decoded[5])
{
	int code = hex_number(text + 2, end, 4);
	size_t used = 6;

	if (code >= 0xd800 && code < 0xdc00 && end - text >= 12 && text[6] == '\\' && text[7] == 'u')
	{
		int low = hex_number(text + 8, end, 4);

		if (low < 0xdc00 || low > 0xdfff)
			return 0;
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
		used = 12;
	}
	if (code <= 0 || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	(void) unicode_to_utf8(code, (unsigned char *) decoded);
	return used;
}

static int
hex_number(const char *text, const char *end, int digits)
{
	int result = 0;

	if (end - text < digits)
		return -1;
	for (; digits > 0; digits--, text++)
	{
		char c = pg_ascii_tolower((unsigned char) *text);

		if (c >= '0' && c <= '9')
			result = result * 16 + (c - '0');
		else if (c >= 'a' && c <= 'f')
			result = result * 16 + (c - 'a' + 10);
		else
			return -1;
	}
	return result;
}

static char *
clean(const char *text, int len, int max_len)
{
	int encoding = GetDatabaseEncoding();
	const char *end = text + len;
	int cut = 0;
	StringInfoData out;

	initStringInfo(&out);
	while (text < end && out.len <= max_len)
	{
		int width = 1;

		if ((unsigned char) *text < 0x20 || *text == 0x7f)
			appendStringInfoChar(&out, ' ');
		else if ((width = pg_encoding_verifymbchar(encoding, text, end - text)) > 0)
			appendBinaryStringInfo(&out, text, width);
		else
		{
			appendStringInfoChar(&out, '?');
			width = 1;
		}
		text += width;
		if (out.len <= max_len - 3)
			cut = out.len;
	}
	if (out.len > max_len)
	{
		out.len = cut;
		out.data[cut] = '\0';
		appendStringInfoString(&out, max_len < 3 ? "" : "...");
	}
	return out.data;
}
