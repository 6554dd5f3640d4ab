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

/* A run begins, with the lock held; cs_run_leave is to be called on every path, and releases a session's
 * hold. */
extern void cs_run_enter(int64 sync_id);
extern void cs_run_leave(int64 sync_id, bool for_session);

/* Holds the lock for the current transaction as well: user code can release a session's locks. */
extern void cs_run_lock_again(int64 sync_id);

/* Syncs that write to one table take turns at it, so that they can't deadlock with each other.  Waits;
 * until the end of the transaction. */
extern void cs_apply_lock(Oid relid);

/*
 * Makes DROP EXTENSION wait until the end of the transaction, before it has locked anything that a run needs
 * next, and returns the extension's OID.  Throws 42704 if it is not the one expected (InvalidOid: any).
 */
extern Oid cs_extension_lock(Oid expected);

/* Who delivers events; until the end of the transaction.  False at once if another session does. */
extern bool cs_deliver_lock(void);

#endif /* CS_LOCKS_H */
