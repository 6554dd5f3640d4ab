/*
 * errors.h
 *		Errors as data: caught, judged, kept, thrown again.
 */
#ifndef CS_ERRORS_H
#define CS_ERRORS_H

#include "base/compat.h"

typedef struct CsError
{
	int code;	   /* packed SQLSTATE */
	char *message; /* this and the rest live in the context given to cs_error_catch */
	char *detail;  /* or NULL, as the rest may be */
	char *hint;
	char *column;
	char *constraint;
} CsError;

/* A source's refusal of a request for what is in it: it refuses the same request again. */
#define CS_ERRCODE_REFUSED ERRCODE_FDW_UNABLE_TO_CREATE_EXECUTION

/* Inside PG_CATCH: copies the current error into context and clears the error state.  The caller
 * still has to roll back the subtransaction that surrounds the PG_TRY.  Throws nothing; without memory
 * for a copy, returns one that says so and that the next call overwrites. */
extern CsError *cs_error_catch(MemoryContext context);

/*
 * Inside PG_CATCH: rolls back to the level of nesting that GetCurrentTransactionNestLevel() gave before
 * the subtransaction began.  There may be more of them than one: a PG_CATCH that runs out of memory
 * leaves its own open.  Throws the error again when not even a rollback is possible.
 */
extern void cs_error_roll_back(const CsError *error, int level);

/* A copy in CurrentMemoryContext. */
extern CsError *cs_error_copy(const CsError *error);

/* Throws it again, at ERROR, as it was. */
extern void cs_error_throw(const CsError *error) pg_attribute_noreturn();

/* The five characters of its SQLSTATE, in CurrentMemoryContext. */
extern char *cs_error_state(int code);

/* May the error be blamed on the row that was being handled (its values, a constraint, a trigger, a
 * policy), so that other rows can go on?  Not so: cancel, shutdown, deadlock, lost resources, bugs. */
extern bool cs_error_is_of_row(int code);

/* The same while values are being made of a record's text: names of objects that do not exist, for the
 * types whose values they are, are of the record too. */
extern bool cs_error_is_of_value(int code);

/* May the cause pass by itself: the network, a server that is overloaded, a deadlock, lost resources?  Of a
 * SQLSTATE as text. */
extern bool cs_error_may_pass(const char *state);

/* What an error of a source's is here: a query that was canceled there is none that was canceled here, and
 * a server that shuts down there is a lost connection. */
extern int cs_error_of_source(int code);

/* A cancel, or a timeout of a statement: never to be swallowed. */
extern bool cs_error_is_cancel(int code);

#endif /* CS_ERRORS_H */
