/*
 * maintainer.c
 *		What is to be done besides runs: alerts by time, webhooks, retention.
 *
 * Webhooks may take their time and a log may be long, so a worker of its own
 * does both, while the scheduler goes on.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "catalog/alerts.h"
#include "catalog/events.h"
#include "catalog/locks.h"
#include "catalog/retention.h"
#include "sync/deliver.h"
#include "worker/maintainer.h"

/* Between looks for what is to be told, and for what is too old; and rows that one transaction deletes. */
#define LOOK_INTERVAL_MS 2000
#define PRUNE_INTERVAL_MS (3600 * 1000)
#define ROWS_AT_ONCE 5000

PGDLLEXPORT void cs_maintainer_main(Datum database);

/* Of the last worker, or NULL; in TopMemoryContext. */
static BackgroundWorkerHandle *last_worker = NULL;
static TimestampTz next_look = 0;
static TimestampTz next_prune = 0;

static bool look(bool round);
static bool is_busy(void);
static bool start_worker(bool prune);
static bool deliver_one(void);
static bool prune_some(void);

void
cs_maintainer_tick(bool round)
{
	TimestampTz now = GetCurrentTimestamp();
	bool prune = now >= next_prune;

	if (!round && now < next_look)
		return;
	next_look = TimestampTzPlusMilliseconds(now, LOOK_INTERVAL_MS);
	if (!look(round) && !prune)
		return;
	if (is_busy() || !start_worker(prune) || !prune)
		return;
	next_prune = TimestampTzPlusMilliseconds(now, PRUNE_INTERVAL_MS);
}

/* The worker. */
void
cs_maintainer_main(Datum prune)
{
	MemoryContext context;
	bool more;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(*(Oid *) MyBgworkerEntry->bgw_extra, InvalidOid, 0);
	SetConfigOption("application_name", MyBgworkerEntry->bgw_name, PGC_USERSET, PGC_S_SESSION);
	pgstat_report_activity(STATE_RUNNING, "censync maintenance");
	context =
		AllocSetContextCreate(TopMemoryContext, "censync maintenance", ALLOCSET_DEFAULT_SIZES);
	do
	{
		MemoryContextReset(context);
		MemoryContextSwitchTo(context);
		more = deliver_one();
	} while (more);
	while (DatumGetBool(prune) && prune_some())
		CHECK_FOR_INTERRUPTS();
	proc_exit(0);
}

/* Is there something to tell? */
static bool
look(bool round)
{
	bool due = false;

	StartTransactionCommand();
	if (OidIsValid(cs_extension_lock_if_there()))
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		if (round)
			cs_alerts_watch();
		due = cs_outbox_is_due();
		PopActiveSnapshot();
	}
	CommitTransactionCommand();
	return due;
}

static bool
is_busy(void)
{
	pid_t pid;
	BgwHandleStatus status;

	if (last_worker == NULL)
		return false;
	status = GetBackgroundWorkerPid(last_worker, &pid);
	if (status == BGWH_STARTED || status == BGWH_NOT_YET_STARTED)
		return true;
	pfree(last_worker);
	last_worker = NULL;
	return false;
}

static bool
start_worker(bool prune)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	BackgroundWorker worker = { 0 };
	bool started;

	strlcpy(worker.bgw_name, "censync maintenance", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "censync maintenance", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "censync", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "cs_maintainer_main", BGW_MAXLEN);
	memcpy(worker.bgw_extra, &MyDatabaseId, sizeof(MyDatabaseId));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_main_arg = BoolGetDatum(prune);
	started = RegisterDynamicBackgroundWorker(&worker, &last_worker);
	MemoryContextSwitchTo(old);
	return started;
}

static bool
deliver_one(void)
{
	bool more = false;

	StartTransactionCommand();
	if (OidIsValid(cs_extension_lock_if_there()))
		more = cs_deliver_next() != CS_DELIVER_NOTHING;
	CommitTransactionCommand();
	return more;
}

static bool
prune_some(void)
{
	bool more = false;

	StartTransactionCommand();
	if (OidIsValid(cs_extension_lock_if_there()))
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		more = cs_prune_some(GetUserId(), ROWS_AT_ONCE) > 0;
		PopActiveSnapshot();
	}
	CommitTransactionCommand();
	return more;
}
