/*
 * locks.c
 *		Locks on syncs and destinations, beside those of tables.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lock.h"

#include "catalog/locks.h"

/* Field 4 of our advisory locks.  pg_advisory_lock uses 1 and 2, so no user's lock is ever ours. */
#define CS_LOCK_CLASS_RUN 0xC501
#define CS_LOCK_CLASS_APPLY 0xC502

PG_FUNCTION_INFO_V1(censync_is_running);

static void set_run_tag(LOCKTAG *tag, int64 sync_id);

/* SQL: censync.is_running(sync_id) */
PGDLLEXPORT Datum
censync_is_running(PG_FUNCTION_ARGS)
{
	LOCKTAG tag;
	int holders;

	set_run_tag(&tag, PG_GETARG_INT64(0));
	if (LockHeldByMe(&tag, ExclusiveLock))
		PG_RETURN_BOOL(true);
	/* Looking, not locking: a look must never be what refuses a run its lock. */
	(void) GetLockConflicts(&tag, ExclusiveLock, &holders);
	PG_RETURN_BOOL(holders > 0);
}

bool
cs_run_lock(int64 sync_id, bool for_session)
{
	LOCKTAG tag;

	set_run_tag(&tag, sync_id);
	return LockAcquire(&tag, ExclusiveLock, for_session, true) != LOCKACQUIRE_NOT_AVAIL;
}

void
cs_run_unlock(int64 sync_id)
{
	LOCKTAG tag;

	set_run_tag(&tag, sync_id);
	LockRelease(&tag, ExclusiveLock, true);
}

void
cs_apply_lock(Oid relid)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, relid, CS_LOCK_CLASS_APPLY);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

static void
set_run_tag(LOCKTAG *tag, int64 sync_id)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) (sync_id >> 32), (uint32) sync_id,
						 CS_LOCK_CLASS_RUN);
}
