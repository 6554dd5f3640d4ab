/*
 * locks.h
 *		Locks on syncs and destinations, beside those of tables.
 */
#ifndef CS_LOCKS_H
#define CS_LOCKS_H

/* What pg_locks.objsubid is of the lock of a run; its classid and objid are the halves of the sync's id. */
#define CS_LOCK_CLASS_RUN 0xC501
#define CS_LOCK_CLASS_RUN_TEXT "50433"

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

/* Does some session hold the lock of a run of this sync? */
extern bool cs_run_is_locked(int64 sync_id);

/*
 * Workers that run syncs hold one of a number of slots of the cluster, and one of a number of slots of the
 * server that they read from (InvalidOid: none is read from).  Both are locks, so that none is lost with its
 * process.  False: all are taken.
 */
extern bool cs_worker_slot_take(Oid serverid);

/* How many more could be taken now. */
extern int cs_worker_slots_free(Oid serverid);

/* Syncs that write to one table take turns at it, so that they can't deadlock with each other.  Waits;
 * until the end of the transaction. */
extern void cs_apply_lock(Oid relid);

/*
 * Makes DROP EXTENSION wait until the end of the transaction, before it has locked anything that a run needs
 * next, and returns the extension's OID.  Throws 42704 if it is not the one expected (InvalidOid: any).
 */
extern Oid cs_extension_lock(Oid expected);

/* The same where there may be no extension: then InvalidOid. */
extern Oid cs_extension_lock_if_there(void);

/* The same without waiting: false if there is no extension, or somebody is about to drop it. */
extern bool cs_extension_try_lock(void);

/* Who delivers events; until the end of the transaction.  False at once if another session does. */
extern bool cs_deliver_lock(void);

/* Who opens an alert of a sync; likewise. */
extern bool cs_alert_lock(int64 sync_id);

/* Who changes which syncs run after which: waits; until the end of the transaction. */
extern void cs_parents_lock(void);

#endif /* CS_LOCKS_H */
