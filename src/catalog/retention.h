/*
 * retention.h
 *		What is older than it is to be kept goes.
 */
#ifndef CS_RETENTION_H
#define CS_RETENTION_H

/*
 * Deletes some of what is older than censync.record_retention, censync.run_retention or its sync's option
 * retention, of syncs whose owner's privileges caller has: records first, then runs, alerts and
 * deliveries.  At most about max_rows; returns how many.  0: nothing is left to delete.  The last run of
 * a sync and its last success are kept.  For the launcher, once an hour or so, until it returns 0, each call
 * in a transaction of its own.
 */
extern int64 cs_prune_some(Oid caller, int64 max_rows);

#endif /* CS_RETENTION_H */
