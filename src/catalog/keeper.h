/*
 * keeper.h
 *		Who sees to it that scheduled syncs run: the launcher, or pg_cron.
 */
#ifndef CS_KEEPER_H
#define CS_KEEPER_H

#include "catalog/definition.h"

#define CS_KEEPER_LAUNCHER "launcher"
#define CS_KEEPER_PG_CRON "pg_cron"

/*
 * Has somebody keep the schedule of a sync that is not paused, from now on, instead of whoever did; sets
 * scheduler and schedule_since, which the caller writes.  The sync has an id.  Nobody there: throws 55000 if
 * must is true, else warns.
 */
extern void cs_keeper_take(CsSync *sync, bool must);

/* Nobody keeps it any more; the schedule itself stays. */
extern void cs_keeper_release(CsSync *sync);

/* Replaces the schedule of a sync by one that a user gave; NULL or empty: none. */
extern void cs_keeper_set_schedule(CsSync *sync, const char *text);

/* Looks up the syncs after which a sync runs that a dump brought here.  Throws as cs_parents_set. */
extern void cs_keeper_find_parents(CsSync *sync);

/* Is pg_cron in this database? */
extern bool cs_pg_cron_is_there(void);

/* Does pg_cron run what this session runs? */
extern bool cs_pg_cron_is_our_client(void);

/* Gives pg_cron a job for a sync, or changes the one there is; throws what speaks against it. */
extern void cs_pg_cron_schedule(const CsSync *sync);
extern void cs_pg_cron_unschedule(const CsSync *sync);

/* The schedule in the five fields of cron, or NULL if they can't say it. */
extern char *cs_pg_cron_fields(const char *schedule);

/* Where censync_sync is, quoted: a scheduler's session need not have that in its search_path. */
extern const char *cs_pg_cron_schema(void);

#endif /* CS_KEEPER_H */
