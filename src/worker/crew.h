/*
 * crew.h
 *		The workers that a scheduler has sent.
 */
#ifndef CS_CREW_H
#define CS_CREW_H

#include "catalog/queue.h"

/* How many there are; of these, how many read from a server, and how many run syncs of an owner. */
extern int cs_crew_size(void);
extern int cs_crew_size_for_server(Oid server);
extern int cs_crew_size_for_owner(Oid owner);

/* Is one of them there for this run? */
extern bool cs_crew_has_run(int64 run_id);

/* Sends a worker for a run; false: there is no free slot.  Within a transaction. */
extern bool cs_crew_send(const CsQueuedRun *run);

/* Notes which have ended, and has the agenda read what has become of their syncs. */
extern void cs_crew_dismiss_ended(void);

#endif /* CS_CREW_H */
