/*
 * beacon.h
 *		How sessions reach the launcher and the schedulers.
 *
 * The launcher, one per cluster, sees to it that each database that has
 * something to run has a scheduler.  Sessions that change what there is to
 * run say so when they commit.  All of this needs memory that exists only
 * where the server has loaded the library at its start; elsewhere it does
 * nothing.
 */
#ifndef CS_BEACON_H
#define CS_BEACON_H

#include "nodes/pg_list.h"

/* To be called when the library is loaded. */
extern void cs_beacon_init(void);

/* Is there a launcher, so that what is queued or scheduled will be run? */
extern bool cs_beacon_is_lit(void);

/* Has the scheduler of this database look again, once this transaction is over. */
extern void cs_beacon_poke_at_commit(void);

/* For the launcher: it begins, until its process ends; the databases (OIDs) in which sessions have
 * something to run and nobody to do it, which are forgotten then. */
extern void cs_beacon_light(void);
extern List *cs_beacon_take_wanted(void);

/* Has a database a scheduler that will hear of what is to be done? */
extern bool cs_beacon_is_attended(Oid database);

/* For a scheduler of this database: it begins, until its process ends; false: there is one.  Has anybody
 * poked since the last call? */
extern bool cs_beacon_attend(void);
extern bool cs_beacon_was_poked(void);

/* For a scheduler that leaves although there may be work: another is to be sent later.  One that fails asks
 * for that by itself. */
extern void cs_beacon_come_again(void);

#endif /* CS_BEACON_H */
