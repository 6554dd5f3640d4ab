/*
 * check.c
 *		What censync_check tries, and what it says of an error.
 */
#include "postgres.h"

#include "access/xact.h"
#include "lib/stringinfo.h"
#include "utils/resowner.h"

#include "base/errors.h"
#include "source/check.h"

static void add_sentence(StringInfo words, const char *sentence);

CsError *
cs_check_try(void (*attempt)(void *arg), void *arg)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int level = GetCurrentTransactionNestLevel();
	CsError *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		attempt(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		error = cs_error_catch(caller);
		cs_error_roll_back(error, level);
		if (cs_error_is_cancel(error->code))
			cs_error_throw(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return error;
}

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
