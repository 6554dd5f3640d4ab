/*
 * locks.h
 *		Locks on syncs and destinations, beside those of tables.
 */
#ifndef CS_LOCKS_H
#define CS_LOCKS_H

/* The lock that every run of a sync holds; false at once if another session has it.  for_session: until
 * cs_run_unlock, across transactions; else until the end of the transaction. */
extern bool cs_run_lock(int64 sync_id, bool for_session);
extern void cs_run_unlock(int64 sync_id);

/* Syncs that write to one table take turns at it, so that they can't deadlock with each other.  Waits;
 * until the end of the transaction. */
extern void cs_apply_lock(Oid relid);

#endif /* CS_LOCKS_H */
