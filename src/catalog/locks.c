/*
 * locks.c
 *		Locks on syncs and destinations, beside those of tables.
 */
#include "postgres.h"

#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/inval.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/settings.h"
#include "catalog/locks.h"

/* Field 4 of our advisory locks.  pg_advisory_lock uses 1 and 2, so no user's lock is ever ours. */
#define CS_LOCK_CLASS_APPLY 0xC502
#define CS_LOCK_CLASS_DELIVER 0xC510
#define CS_LOCK_CLASS_ALERT 0xC511
#define CS_LOCK_CLASS_PARENTS 0xC512
#define CS_LOCK_CLASS_WORKER 0xC503
#define CS_LOCK_CLASS_SERVER 0xC504

/* Runs of this backend, the innermost first: the lock manager lets a session lock twice. */
typedef struct RunningHere
{
	int64 sync_id;
	struct RunningHere *outer;
} RunningHere;

static RunningHere *running_here = NULL;

typedef void (*SetSlotTag)(LOCKTAG *tag, Oid serverid, int i);

static bool is_taken(const LOCKTAG *tag);
static bool is_among_all(const LOCKTAG *wanted);
static bool take_one(SetSlotTag set_tag, Oid serverid, int limit, LOCKTAG *tag);
static int count_free(SetSlotTag set_tag, Oid serverid, int limit);
static void set_worker_tag(LOCKTAG *tag, Oid serverid, int i);
static void set_server_tag(LOCKTAG *tag, Oid serverid, int i);
static void pop_running(int64 sync_id);
static void set_run_tag(LOCKTAG *tag, int64 sync_id);

bool
cs_run_is_locked(int64 sync_id)
{
	LOCKTAG tag;

	set_run_tag(&tag, sync_id);
	return is_taken(&tag) || is_among_all(&tag);
}

bool
cs_worker_slot_take(Oid serverid)
{
	LOCKTAG of_server;
	LOCKTAG of_cluster;

	if (OidIsValid(serverid) &&
		!take_one(set_server_tag, serverid, cs_max_workers_per_server, &of_server))
		return false;
	if (take_one(set_worker_tag, InvalidOid, cs_max_workers, &of_cluster))
		return true;
	if (OidIsValid(serverid))
		LockRelease(&of_server, ExclusiveLock, true);
	return false;
}

int
cs_worker_slots_free(Oid serverid)
{
	int free = count_free(set_worker_tag, InvalidOid, cs_max_workers);

	if (OidIsValid(serverid))
		free = Min(free, count_free(set_server_tag, serverid, cs_max_workers_per_server));
	return free;
}

bool
cs_run_lock(int64 sync_id, bool for_session)
{
	LOCKTAG tag;

	for (RunningHere *run = running_here; run; run = run->outer)
		if (run->sync_id == sync_id)
			return false;
	set_run_tag(&tag, sync_id);
	return LockAcquire(&tag, ExclusiveLock, for_session, true) != LOCKACQUIRE_NOT_AVAIL;
}

void
cs_run_enter(int64 sync_id)
{
	RunningHere *run = MemoryContextAlloc(TopMemoryContext, sizeof(RunningHere));

	run->sync_id = sync_id;
	run->outer = running_here;
	running_here = run;
}

void
cs_run_lock_again(int64 sync_id)
{
	LOCKTAG tag;

	set_run_tag(&tag, sync_id);
	if (LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
						errmsg("another session has begun to run this sync")));
}

void
cs_run_leave(int64 sync_id, bool for_session)
{
	LOCKTAG tag;

	pop_running(sync_id);
	set_run_tag(&tag, sync_id);
	/* User code may have called pg_advisory_unlock_all. */
	if (for_session && cs_lock_is_held(&tag, ExclusiveLock))
		LockRelease(&tag, ExclusiveLock, true);
}

void
cs_apply_lock(Oid relid)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, relid, CS_LOCK_CLASS_APPLY);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

bool
cs_deliver_lock(void)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, 0, CS_LOCK_CLASS_DELIVER);
	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

bool
cs_alert_lock(int64 sync_id)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (sync_id >> 32), (uint32) sync_id,
						 CS_LOCK_CLASS_ALERT);
	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

void
cs_parents_lock(void)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, 0, CS_LOCK_CLASS_PARENTS);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

Oid
cs_extension_lock_if_there(void)
{
	Oid oid = get_extension_oid("censync", true);

	if (OidIsValid(oid))
		LockDatabaseObject(ExtensionRelationId, oid, 0, AccessShareLock);
	return get_extension_oid("censync", true) == oid ? oid : InvalidOid;
}

bool
cs_extension_try_lock(void)
{
	Oid oid = get_extension_oid("censync", true);
	LOCKTAG tag;

	if (!OidIsValid(oid))
		return false;
	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, oid, 0);
	if (LockAcquire(&tag, AccessShareLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	AcceptInvalidationMessages();
	return get_extension_oid("censync", true) == oid;
}

Oid
cs_extension_lock(Oid expected)
{
	Oid oid = cs_extension_lock_if_there();

	if (!OidIsValid(oid) || (OidIsValid(expected) && oid != expected))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("extension \"censync\" was dropped during the run"),
						errhint("Nothing was changed.")));
	return oid;
}

/* Looking, not locking: a look must never be what refuses a run its lock.  A session that holds it and is between
 * two transactions is passed over. */
static bool
is_taken(const LOCKTAG *tag)
{
	int holders;

	if (cs_lock_is_held(tag, ExclusiveLock))
		return true;
	(void) GetLockConflicts(tag, ExclusiveLock, &holders);
	return holders > 0;
}

/* The same of all sessions, at the price of a copy of all locks that there are. */
static bool
is_among_all(const LOCKTAG *wanted)
{
	LockData *all = GetLockStatusData();
	bool found = false;

	for (int i = 0; i < all->nelements && !found; i++)
		found = (all->locks[i].holdMask & LOCKBIT_ON(ExclusiveLock)) != 0 &&
				memcmp(&all->locks[i].locktag, wanted, sizeof(LOCKTAG)) == 0;
	pfree(all->locks);
	pfree(all);
	return found;
}

static bool
take_one(SetSlotTag set_tag, Oid serverid, int limit, LOCKTAG *tag)
{
	for (int i = 0; i < limit; i++)
	{
		set_tag(tag, serverid, i);
		if (LockAcquire(tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL)
			return true;
	}
	return false;
}

static int
count_free(SetSlotTag set_tag, Oid serverid, int limit)
{
	int free = 0;
	LOCKTAG tag;

	for (int i = 0; i < limit; i++)
	{
		set_tag(&tag, serverid, i);
		free += !is_taken(&tag);
	}
	return free;
}

/* Of all databases together. */
static void
set_worker_tag(LOCKTAG *tag, Oid serverid pg_attribute_unused(), int i)
{
	SET_LOCKTAG_ADVISORY(*tag, InvalidOid, 0, (uint32) i, CS_LOCK_CLASS_WORKER);
}

static void
set_server_tag(LOCKTAG *tag, Oid serverid, int i)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, serverid, (uint32) i, CS_LOCK_CLASS_SERVER);
}

static void
pop_running(int64 sync_id)
{
	while (running_here)
	{
		RunningHere *run = running_here;
		bool found = run->sync_id == sync_id;

		running_here = run->outer;
		pfree(run);
		if (found)
			break;
	}
}

static void
set_run_tag(LOCKTAG *tag, int64 sync_id)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) (sync_id >> 32), (uint32) sync_id,
						 CS_LOCK_CLASS_RUN);
}
