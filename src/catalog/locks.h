/*
 * locks.h
 *		Locks on syncs and destinations, beside those of tables.
 */
#ifndef CS_LOCKS_H
#define CS_LOCKS_H

/*
 * The lock that every run of a sync holds; false at once if another session has it, or an outer run of
 * this session.  for_session: across transactions; else until the end of the transaction.
 */
extern bool cs_run_lock(int64 sync_id, bool for_session);

/* Holds it for the current transaction as well: user code can release a session's advisory locks. */
extern void cs_run_lock_again(int64 sync_id);

/* To be called on every path once cs_run_lock has returned true. */
extern void cs_run_unlock(int64 sync_id, bool for_session);

/* Syncs that write to one table take turns at it, so that they can't deadlock with each other.  Waits;
 * until the end of the transaction. */
extern void cs_apply_lock(Oid relid);

#endif /* CS_LOCKS_H */
