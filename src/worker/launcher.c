/*
 * launcher.c
 *		The process that sees to it that each database has a scheduler.
 *
 * It is connected to no database.  At its start it sends a scheduler into
 * every database, one after the other; those that find no extension there
 * leave at once.  From then on it sends one where a session asks for it.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "base/clock.h"
#include "base/worker.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/settings.h"
#include "catalog/beacon.h"
#include "worker/launcher.h"

/* After which a launcher that has failed is started again, in seconds. */
#define RESTART_S 5

/* Between two schedulers for one database, in ms. */
#define MIN_INTERVAL_MS 2000

/* While somebody waits for a scheduler that could not be sent, in ms. */
#define RETRY_MS 1000

/* So often all databases are visited, in ms: for what nobody has said anything of. */
#define ROUND_MS (10 * 60 * 1000)

/* A database; in TopMemoryContext. */
typedef struct Visit
{
	Oid database;
	bool wanted; /* a scheduler is to be sent */
	TimestampTz sent_at;
	BackgroundWorkerHandle *handle; /* of the last one; NULL: it has left, or none was sent */
} Visit;

PGDLLEXPORT void cs_launcher_main(Datum arg);

static List *visits = NIL; /* Visit * */
static bool out_of_workers = false;

static void look_around(bool all, List *wanted);
static List *connectable_databases(void);
static void forget_others(List *databases);
static void want(Oid database);
static bool send_wanted(void);
static void check_whether_left(Visit *visit);
static bool send_scheduler(Visit *visit);

void
cs_launcher_register(void)
{
	BackgroundWorker worker;

	/* While pg_upgrade has a server, nothing may change and nobody may be in the way. */
	if (!process_shared_preload_libraries_in_progress || !cs_launcher_enabled || IsBinaryUpgrade)
		return;
	cs_worker_init(&worker, "censync launcher", "cs_launcher_main");
	worker.bgw_restart_time = RESTART_S;
	RegisterBackgroundWorker(&worker);
}

void
cs_launcher_main(Datum arg pg_attribute_unused())
{
	TimestampTz next_round = 0;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	cs_worker_set_defaults();
	cs_beacon_light();
	pgstat_report_activity(STATE_IDLE, NULL);
	for (;;)
	{
		List *wanted = cs_beacon_take_wanted();
		bool round = cs_clock_steady() >= next_round;

		if (round)
			next_round = TimestampTzPlusMilliseconds(cs_clock_steady(), ROUND_MS);
		if (round || wanted != NIL)
			look_around(round, wanted);
		list_free(wanted);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 send_wanted() ? ROUND_MS : RETRY_MS, cs_wait_event(CS_WAIT_SCHEDULE));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			next_round = 0;
		}
	}
}

/* All databases, or those that are wanted. */
static void
look_around(bool all, List *wanted)
{
	List *databases = connectable_databases();
	ListCell *lc;

	foreach (lc, databases)
		if (all || list_member_oid(wanted, lfirst_oid(lc)))
			want(lfirst_oid(lc));
	forget_others(databases);
	list_free(databases);
}

/* In TopMemoryContext. */
static List *
connectable_databases(void)
{
	List *databases = NIL;
	Relation relation;
	TableScanDesc scan;
	HeapTuple tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext old;

		/* One whose removal was interrupted has a limit below -1. */
		if (database->datistemplate || !database->datallowconn || database->datconnlimit < -1)
			continue;
		old = MemoryContextSwitchTo(TopMemoryContext);
		databases = lappend_oid(databases, database->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();
	return databases;
}

static void
forget_others(List *databases)
{
	ListCell *lc;

	foreach (lc, visits)
	{
		Visit *visit = lfirst(lc);

		check_whether_left(visit);
		if (visit->handle || list_member_oid(databases, visit->database))
			continue;
		pfree(visit);
		visits = foreach_delete_current(visits, lc);
	}
}

static void
want(Oid database)
{
	MemoryContext old;
	Visit *visit;
	ListCell *lc;

	foreach (lc, visits)
	{
		visit = lfirst(lc);
		if (visit->database == database)
		{
			visit->wanted = true;
			return;
		}
	}
	old = MemoryContextSwitchTo(TopMemoryContext);
	visit = palloc0(sizeof(Visit));
	visit->database = database;
	visit->wanted = true;
	visits = lappend(visits, visit);
	MemoryContextSwitchTo(old);
}

/* Returns whether that was all. */
static bool
send_wanted(void)
{
	bool all = true;
	ListCell *lc;

	foreach (lc, visits)
	{
		Visit *visit = lfirst(lc);

		check_whether_left(visit);
		/* One that has not begun, or is about to leave, may not have heard of it. */
		if (visit->handle && cs_beacon_is_attended(visit->database))
			visit->wanted = false;
		if (!visit->wanted)
			continue;
		if (visit->handle ||
			cs_clock_steady() < TimestampTzPlusMilliseconds(visit->sent_at, MIN_INTERVAL_MS) ||
			!send_scheduler(visit))
			all = false;
	}
	return all;
}

static void
check_whether_left(Visit *visit)
{
	pid_t pid;

	if (visit->handle == NULL || GetBackgroundWorkerPid(visit->handle, &pid) != BGWH_STOPPED)
		return;
	pfree(visit->handle);
	visit->handle = NULL;
}

static bool
send_scheduler(Visit *visit)
{
	BackgroundWorker worker;
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	bool sent;

	cs_worker_init(&worker, "censync scheduler", "cs_scheduler_main");
	snprintf(worker.bgw_name, BGW_MAXLEN, "censync scheduler of database %u", visit->database);
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = ObjectIdGetDatum(visit->database);
	sent = RegisterDynamicBackgroundWorker(&worker, &visit->handle);
	if (!sent && !out_of_workers)
		ereport(LOG, (errmsg("censync has no free background worker slot for a scheduler"),
					  errhint("Raise max_worker_processes: each database with the extension needs "
							  "one.")));
	out_of_workers = !sent;
	if (sent)
	{
		visit->wanted = false;
		visit->sent_at = cs_clock_steady();
	}
	MemoryContextSwitchTo(old);
	return sent;
}
