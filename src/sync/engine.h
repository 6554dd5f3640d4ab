/*
 * engine.h
 *		A run from its definition to its log.
 */
#ifndef CS_ENGINE_H
#define CS_ENGINE_H

#include "base/errors.h"
#include "catalog/definition.h"

/* How to run. */
typedef struct CsRunRequest
{
	const char *trigger; /* "manual", "schedule", ... for the log */
	bool dry_run;
	int64 limit;	/* -1: all */
	int64 queued;	/* the run that waits in the queue and is to be this one; 0: a new one */
	bool pass_over; /* if another session runs it, or it is not active any more: a warning alone */
	bool durable;	/* commit the log before reading and after; needs a procedure's non-atomic SPI
				   * connection */
} CsRunRequest;

/*
 * Runs a sync.  Needs a connected SPI.  Returns the run's id; its row is closed (0: passed over).  *failure is what made
 * it fail, in CurrentMemoryContext, or NULL.  Throws before there is a run: 42704, 42501, 55000 (paused),
 * 55006 (already running); and rethrows a cancel after logging it.
 */
extern int64 cs_engine_run(const char *name, const CsRunRequest *request, CsError **failure);

/*
 * Locks those syncs of a list that nobody runs, until the end of the transaction.  Of two sessions that run
 * all syncs, the second then passes over what the first has in mind; else each could write to a table that
 * the other wants next.
 */
extern void cs_engine_reserve(List *names);

/* Checks a definition as far as that goes without reading its source; throws what is wrong. */
extern void cs_engine_validate(const CsSync *sync);

#endif /* CS_ENGINE_H */
