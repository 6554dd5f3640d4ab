/*
 * check.h
 *		What censync_check collects from a source.
 */
#ifndef CS_CHECK_H
#define CS_CHECK_H

#include "nodes/pg_list.h"

struct CsError; /* base/errors.h */

typedef struct CsCheckStep
{
	const char *name; /* resolve, connect, tls, authenticate, query */
	bool ok;
	char *detail;
} CsCheckStep;

typedef struct CsCheck
{
	List *steps; /* CsCheckStep *, in CurrentMemoryContext of the adding call */
} CsCheck;

static inline void
cs_check_step(CsCheck *check, const char *name, bool ok, char *detail)
{
	CsCheckStep *step = palloc(sizeof(CsCheckStep));

	step->name = name;
	step->ok = ok;
	step->detail = detail;
	check->steps = lappend(check->steps, step);
}

/* Makes an attempt, in a subtransaction: the error it ended with, or NULL; both in CurrentMemoryContext.  A
 * cancel is thrown again. */
extern struct CsError *cs_check_try(void (*attempt)(void *arg), void *arg);

/* Message, detail and hint of an error; in CurrentMemoryContext. */
extern char *cs_check_words(const struct CsError *error);

#endif /* CS_CHECK_H */
