/*
 * check.c
 *		What censync_check says of an error.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "base/errors.h"
#include "source/check.h"

static void add_sentence(StringInfo words, const char *sentence);

char *
cs_check_words(const CsError *error)
{
	StringInfoData words;

	initStringInfo(&words);
	appendStringInfoString(&words, error->message);
	add_sentence(&words, error->detail);
	add_sentence(&words, error->hint);
	return words.data;
}

/* Messages and hints have no full stop where they end, details have. */
static void
add_sentence(StringInfo words, const char *sentence)
{
	if (sentence == NULL)
		return;
	if (words->len > 0 && strchr(".?!", words->data[words->len - 1]) == NULL)
		appendStringInfoChar(words, '.');
	appendStringInfo(words, " %s", sentence);
}
