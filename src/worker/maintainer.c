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

#include "base/clock.h"
#include "base/worker.h"
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
	TimestampTz now = cs_clock_steady();
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

/* What it was about to note of a webhook is lost: that will be told again. */
void
cs_maintainer_stop(void)
{
	if (last_worker)
		TerminateBackgroundWorker(last_worker);
}

/* The worker. */
void
cs_maintainer_main(Datum prune)
{
	bool must_prune = DatumGetBool(prune);
	MemoryContext context;
	bool more;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(*(Oid *) MyBgworkerEntry->bgw_extra, InvalidOid, 0);
	cs_worker_set_defaults();
	SetConfigOption("application_name", MyBgworkerEntry->bgw_name, PGC_USERSET, PGC_S_SESSION);
	pgstat_report_activity(STATE_RUNNING, "censync maintenance");
	context =
		AllocSetContextCreate(TopMemoryContext, "censync maintenance", ALLOCSET_DEFAULT_SIZES);
	/* What is told comes first, also while there is much to prune. */
	do
	{
		MemoryContextReset(context);
		MemoryContextSwitchTo(context);
		more = deliver_one();
		if (!more && must_prune)
			more = must_prune = prune_some();
		CHECK_FOR_INTERRUPTS();
	} while (more);
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
	BackgroundWorker worker;
	bool started;

	cs_worker_init(&worker, "censync maintenance", "cs_maintainer_main");
	memcpy(worker.bgw_extra, &MyDatabaseId, sizeof(MyDatabaseId));
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
