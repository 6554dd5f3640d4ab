/*
 * scheduler.c
 *		The process that runs the syncs of one database when they are due.
 *
 * What it knows of them it has read from their definitions and their log,
 * and reads again when somebody says that something has changed.  It may end
 * at any moment: the next one reads the same.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/worker.h"
#include "catalog/beacon.h"
#include "catalog/locks.h"
#include "catalog/queue.h"
#include "catalog/spi.h"
#include "worker/agenda.h"
#include "worker/crew.h"
#include "worker/maintainer.h"

/* Longest wait: so soon DROP DATABASE and DROP EXTENSION are noticed. */
#define TICK (INT64CONST(1) * USECS_PER_SEC)

/* So often everything is read again, whether somebody has said anything or not. */
#define ROUND_MS (60 * 1000)

PGDLLEXPORT void cs_scheduler_main(Datum database);

/* The schema censync may have gone, or the database be closed. */
static volatile bool must_check = false;

static void note_change(Datum arg, int cacheid, uint32 hash);
static bool is_unwanted(void);
static bool extension_is_there(void);
static bool database_is_open(void);
static bool database_may_be_written(void);
static bool is_own_setting(const char *name);
static bool database_is_claimed(void);
static void close_lost_runs(void);
static void work(void);

void
cs_scheduler_main(Datum database)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(database), InvalidOid, 0);
	if (!extension_is_there() || !database_is_open() || !database_may_be_written() ||
		!cs_beacon_attend())
		proc_exit(0);
	cs_worker_set_defaults();
	CacheRegisterSyscacheCallback(NAMESPACEOID, note_change, 0);
	CacheRegisterSyscacheCallback(DATABASEOID, note_change, 0);
	SetConfigOption("application_name", "censync scheduler", PGC_USERSET, PGC_S_SESSION);
	cs_agenda_init();
	close_lost_runs();
	work();
	proc_exit(0);
}

/* Until there is nothing to do here any more. */
static void
work(void)
{
	MemoryContext scratch =
		AllocSetContextCreate(TopMemoryContext, "censync scheduler", ALLOCSET_DEFAULT_SIZES);
	TimestampTz next_round = 0;
	TimestampTz last_now = 0;

	for (;;)
	{
		TimestampTz next;
		/* When the clock was put back, what is due has to be reckoned anew. */
		bool round = cs_clock_steady() >= next_round || cs_clock_now() < last_now;

		MemoryContextSwitchTo(scratch);
		MemoryContextReset(scratch);
		last_now = cs_clock_now();
		AcceptInvalidationMessages();
		if (is_unwanted())
			return;
		cs_crew_dismiss_ended();
		if (cs_beacon_was_poked() || round)
			cs_agenda_load();
		cs_maintainer_tick(round);
		if (round)
			next_round = TimestampTzPlusMilliseconds(cs_clock_steady(), ROUND_MS);
		/* The end of a transaction leaves a context that is never reset. */
		MemoryContextSwitchTo(scratch);
		next = cs_agenda_start_due();
		pgstat_report_activity(STATE_IDLE, NULL);
		MemoryContextSwitchTo(scratch);
		cs_clock_wait(Min(next, cs_clock_now() + TICK), cs_crew_size() > 0);
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			next_round = 0;
		}
	}
}

static void
note_change(Datum arg pg_attribute_unused(), int cacheid pg_attribute_unused(),
			uint32 hash pg_attribute_unused())
{
	must_check = true;
}

static bool
is_unwanted(void)
{
	bool claimed = database_is_claimed();

	if (claimed)
		cs_beacon_come_again();
	if (must_check && !claimed)
	{
		must_check = false;
		claimed = !extension_is_there() || !database_is_open();
	}
	if (claimed)
		cs_maintainer_stop();
	return claimed;
}

static bool
extension_is_there(void)
{
	bool is_there;

	StartTransactionCommand();
	is_there = OidIsValid(cs_extension_lock_if_there());
	CommitTransactionCommand();
	return is_there;
}

/* Else no worker could connect to it. */
static bool
database_is_open(void)
{
	HeapTuple tuple;
	bool is_open;

	StartTransactionCommand();
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
	is_open = HeapTupleIsValid(tuple) && ((Form_pg_database) GETSTRUCT(tuple))->datallowconn;
	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	CommitTransactionCommand();
	return is_open;
}

/* Somebody has closed it for all that writes, so nothing runs. */
static bool
database_may_be_written(void)
{
	if (!DefaultXactReadOnly || is_own_setting("default_transaction_read_only"))
		return true;
	ereport(LOG, (errmsg("censync runs nothing in a database whose transactions are read only"),
				  errhint("It looks again every ten minutes, and when the configuration is "
						  "loaded: see default_transaction_read_only.")));
	return false;
}

/* Not the database's, nor the server's, but of the role that workers have, as which syncs need not run. */
static bool
is_own_setting(const char *name)
{
	CsArgs args = { 0 };
	bool is;

	StartTransactionCommand();
	cs_args_add_text(&args, name);
	is = cs_catalog_hits("SELECT FROM pg_settings WHERE name = $1 "
						 "AND source IN ('user', 'database user')",
						 &args);
	CommitTransactionCommand();
	return is;
}

/* Does somebody drop, rename, move or copy the database, for which nobody may be connected to it? */
static bool
database_is_claimed(void)
{
	LOCKTAG tag;
	int holders;

	SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, MyDatabaseId, 0);
	(void) GetLockConflicts(&tag, RowExclusiveLock, &holders);
	return holders > 0;
}

/* After a crash of the server. */
static void
close_lost_runs(void)
{
	uint64 lost;

	StartTransactionCommand();
	lost = cs_queue_end_lost();
	if (lost > 0)
		cs_queue_pause_crashing(0);
	CommitTransactionCommand();
}
