/*
 * beacon.c
 *		How sessions reach the launcher and the schedulers.
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "base/compat.h"
#include "base/settings.h"
#include "catalog/beacon.h"

#define LOCK_NAME "censync"

typedef struct SchedulerSlot
{
	Oid database; /* InvalidOid: the slot is free */
	pid_t pid;
	Latch *
		latch; /* in shared memory: at worst another process's by now, which is none the worse for it */
	bool poked;
} SchedulerSlot;

typedef struct Beacon
{
	LWLock *lock; /* guards all of it */
	pid_t launcher;
	Latch *launcher_latch;
	int nwanted;
	int nslots;			   /* as many schedulers as there may be workers */
	SchedulerSlot slots[]; /* nslots, and then as many OIDs: wanted */
} Beacon;

static Beacon *beacon = NULL;
static bool poke_wanted = false;
static bool come_again = false;

static shmem_request_hook_type next_shmem_request = NULL;
static shmem_startup_hook_type next_shmem_startup = NULL;

static void request_memory(void);
static void set_up_memory(void);
static Size memory_size(void);
static Oid *wanted(void);
static void at_transaction_end(XactEvent event, void *arg);
static void poke(void);
static void want(Oid database);
static SchedulerSlot *find_slot(Oid database);
static void extinguish(int code, Datum arg);
static void leave(int code, Datum arg);

PG_FUNCTION_INFO_V1(censync_wake);

/* SQL: censync.wake() */
PGDLLEXPORT Datum
censync_wake(FunctionCallInfo fcinfo pg_attribute_unused())
{
	cs_beacon_poke_at_commit();
	PG_RETURN_VOID();
}

void
cs_beacon_init(void)
{
	if (!process_shared_preload_libraries_in_progress || !cs_launcher_enabled)
		return;
	next_shmem_request = shmem_request_hook;
	shmem_request_hook = request_memory;
	next_shmem_startup = shmem_startup_hook;
	shmem_startup_hook = set_up_memory;
}

/* Between the server's start and that of the launcher, it is about to be. */
bool
cs_beacon_is_lit(void)
{
	return beacon != NULL;
}

void
cs_beacon_poke_at_commit(void)
{
	static bool registered = false;

	if (beacon == NULL)
		return;
	if (!registered)
		RegisterXactCallback(at_transaction_end, NULL);
	registered = true;
	poke_wanted = true;
}

void
cs_beacon_light(void)
{
	LWLockAcquire(beacon->lock, LW_EXCLUSIVE);
	beacon->launcher = MyProcPid;
	beacon->launcher_latch = MyLatch;
	LWLockRelease(beacon->lock);
	on_shmem_exit(extinguish, 0);
}

List *
cs_beacon_take_wanted(void)
{
	List *databases = NIL;

	LWLockAcquire(beacon->lock, LW_EXCLUSIVE);
	for (int i = 0; i < beacon->nwanted; i++)
		databases = lappend_oid(databases, wanted()[i]);
	beacon->nwanted = 0;
	LWLockRelease(beacon->lock);
	return databases;
}

bool
cs_beacon_is_attended(Oid database)
{
	bool attended;

	LWLockAcquire(beacon->lock, LW_SHARED);
	attended = find_slot(database) != NULL;
	LWLockRelease(beacon->lock);
	return attended;
}

bool
cs_beacon_attend(void)
{
	SchedulerSlot *slot;
	bool taken;

	LWLockAcquire(beacon->lock, LW_EXCLUSIVE);
	taken = find_slot(MyDatabaseId) != NULL;
	slot = taken ? NULL : find_slot(InvalidOid);
	if (slot)
		*slot = (SchedulerSlot){ MyDatabaseId, MyProcPid, MyLatch, true };
	LWLockRelease(beacon->lock);
	if (slot)
		on_shmem_exit(leave, 0);
	return slot != NULL;
}

bool
cs_beacon_was_poked(void)
{
	SchedulerSlot *slot;
	bool poked;

	LWLockAcquire(beacon->lock, LW_EXCLUSIVE);
	slot = find_slot(MyDatabaseId);
	poked = slot && slot->poked;
	if (slot)
		slot->poked = false;
	LWLockRelease(beacon->lock);
	return poked;
}

void
cs_beacon_come_again(void)
{
	come_again = true;
}

static void
request_memory(void)
{
	if (next_shmem_request)
		next_shmem_request();
	RequestAddinShmemSpace(memory_size());
	RequestNamedLWLockTranche(LOCK_NAME, 1);
}

static void
set_up_memory(void)
{
	bool found;

	if (next_shmem_startup)
		next_shmem_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	beacon = ShmemInitStruct("censync beacon", memory_size(), &found);
	if (!found)
	{
		memset(beacon, 0, memory_size());
		beacon->nslots = max_worker_processes;
		beacon->lock = &GetNamedLWLockTranche(LOCK_NAME)->lock;
	}
	LWLockRelease(AddinShmemInitLock);
}

static Size
memory_size(void)
{
	return add_size(offsetof(Beacon, slots),
					mul_size(max_worker_processes, sizeof(SchedulerSlot) + sizeof(Oid)));
}

static Oid *
wanted(void)
{
	return (Oid *) &beacon->slots[beacon->nslots];
}

static void
at_transaction_end(XactEvent event, void *arg pg_attribute_unused())
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	/* What is prepared is committed by another session: the scheduler finds it when it looks next. */
	if (poke_wanted && event != XACT_EVENT_PREPARE)
		poke();
	poke_wanted = false;
}

/* After the commit: nothing in it may fail. */
static void
poke(void)
{
	SchedulerSlot *slot;
	Latch *latch;

	LWLockAcquire(beacon->lock, LW_EXCLUSIVE);
	slot = find_slot(MyDatabaseId);
	if (slot)
		slot->poked = true;
	else
		want(MyDatabaseId);
	latch = slot ? slot->latch : beacon->launcher_latch;
	LWLockRelease(beacon->lock);
	if (latch)
		SetLatch(latch);
}

/* If there are more of them than there can be workers, the launcher comes by the rest in time. */
static void
want(Oid database)
{
	for (int i = 0; i < beacon->nwanted; i++)
		if (wanted()[i] == database)
			return;
	if (beacon->nwanted < beacon->nslots)
		wanted()[beacon->nwanted++] = database;
}

/* The one of a database, or for InvalidOid a free one; or NULL. */
static SchedulerSlot *
find_slot(Oid database)
{
	for (int i = 0; i < beacon->nslots; i++)
		if (beacon->slots[i].database == database)
			return &beacon->slots[i];
	return NULL;
}

static void
extinguish(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	LWLockAcquire(beacon->lock, LW_EXCLUSIVE);
	if (beacon->launcher == MyProcPid)
		beacon->launcher_latch = NULL;
	LWLockRelease(beacon->lock);
}

static void
leave(int code, Datum arg pg_attribute_unused())
{
	Latch *latch = NULL;

	LWLockAcquire(beacon->lock, LW_EXCLUSIVE);
	for (int i = 0; i < beacon->nslots; i++)
	{
		if (beacon->slots[i].pid != MyProcPid)
			continue;
		/* Somebody may have poked us in our last moment. */
		if (come_again || code != 0 || beacon->slots[i].poked)
		{
			want(MyDatabaseId);
			latch = beacon->launcher_latch;
		}
		memset(&beacon->slots[i], 0, sizeof(SchedulerSlot));
	}
	LWLockRelease(beacon->lock);
	if (latch)
		SetLatch(latch);
}
