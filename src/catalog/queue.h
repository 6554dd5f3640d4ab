/*
 * queue.h
 *		Runs that wait for a worker, and the end of those whose worker is gone.
 */
#ifndef CS_QUEUE_H
#define CS_QUEUE_H

#include "base/errors.h"
#include "catalog/definition.h"

/* In the context of the list. */
typedef struct CsQueuedRun
{
	int64 run_id;
	int64 sync_id;
	char *sync;
	Oid owner;
	char *server; /* or NULL */
	char *trigger;
} CsQueuedRun;

/* Writes the row of a run that is to be, and returns its id. */
extern int64 cs_queue_add(const CsSync *sync, const char *trigger);

/* All that wait, in their order; CsQueuedRun *. */
extern List *cs_queue_list(void);

/* The one of that id, if it waits; else NULL. */
extern CsQueuedRun *cs_queue_find(int64 run_id);

/* The run of that sync that waits; 0: there is none. */
extern int64 cs_queue_of_sync(int64 sync_id);

/* Has it been there for so long that its worker must be gone? */
extern bool cs_queue_is_abandoned(int64 run_id);

/* Does it wait, and is nobody about to end it whose transaction is still open?  Kept so until the end of ours. */
extern bool cs_queue_hold(int64 run_id);

/* Ends a run that waits; returns whether it did.  The second leaves a run alone that somebody else is about to
 * end, and does not wait for him. */
extern bool cs_queue_end(int64 run_id, const char *status, const CsError *error);
extern bool cs_queue_end_unlocked(int64 run_id, const char *status, const CsError *error);

/* Ends a run whose worker is gone, if that has not done so: one that has not begun as failed, one that has as
 * crashed.  Returns whether it has crashed.  This and the next two wait for no other session. */
extern bool cs_queue_end_left(int64 run_id);

/* Ends runs that are called running although nobody runs them; returns how many. */
extern uint64 cs_queue_end_lost(void);

/* Cancels the one of that sync that waits, if there is one. */
extern void cs_queue_cancel_of_sync(int64 sync_id);

/* Pauses those syncs whose last runs have all crashed; only this one, if it is not 0. */
extern void cs_queue_pause_crashing(int64 sync_id);

#endif /* CS_QUEUE_H */
