/*
 * json_words.h
 *		Eight bytes of JSON at once (Hacker's Delight, 6-1).
 */
#ifndef CS_JSON_WORDS_H
#define CS_JSON_WORDS_H

#include "port/pg_bitutils.h"

#define CS_BYTES(b) (UINT64CONST(0x0101010101010101) * (b))

/* Not zero if one of the bytes is below n, or zero. */
#define CS_ANY_BELOW(word, n) (((word) -CS_BYTES(n)) & ~(word) &CS_BYTES(0x80))
#define CS_ANY_ZERO(word) CS_ANY_BELOW(word, 1)

/* The first quote or backslash, or end. */
static inline const char *
cs_json_find_quote(const char *p, const char *end)
{
	for (; end - p >= (ptrdiff_t) sizeof(uint64); p += sizeof(uint64))
	{
		uint64 word;
		uint64 found;

		memcpy(&word, p, sizeof(word));
		found = CS_ANY_ZERO(word ^ CS_BYTES('"')) | CS_ANY_ZERO(word ^ CS_BYTES('\\'));
		if (found == 0)
			continue;
#ifndef WORDS_BIGENDIAN
		/* Bits above the lowest one may be wrong: of bytes behind the first. */
		return p + pg_rightmost_one_pos64(found) / 8;
#else
		break;
#endif
	}
	while (p < end && *p != '"' && *p != '\\')
		p++;
	return p;
}

#endif /* CS_JSON_WORDS_H */
