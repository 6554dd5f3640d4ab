/*
 * prepared.h
 *		A statement of a run that is executed many times over few rows.
 */
#ifndef CS_PREPARED_H
#define CS_PREPARED_H

#include "tcop/dest.h"

typedef struct CsPrepared CsPrepared;

/* Planned when it is first executed, and over what is registered then.  Belongs to
 * CurrentMemoryContext, whose end is its end; the text must live as long. */
extern CsPrepared *cs_prepared_create(const char *sql);

/* Executes it as the current role; dest may be NULL.  Returns the number of rows. */
extern uint64 cs_prepared_execute(CsPrepared *statement, DestReceiver *dest);

/* The tables are no longer what they were: the next execution plans anew. */
extern void cs_prepared_replan(CsPrepared *statement);

#endif /* CS_PREPARED_H */
