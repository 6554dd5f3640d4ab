/*
 * start.c
 *		Runs in background workers.
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/worker.h"
#include "catalog/pg_database.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/settings.h"
#include "base/user.h"
#include "catalog/beacon.h"
#include "catalog/locks.h"
#include "catalog/spi.h"
#include "sync/start.h"

/* A run that the commit of this transaction is to start. */
typedef struct PendingRun
{
	CsQueuedRun run; /* must be first */
	SubTransactionId within;
} PendingRun;

static List *pending = NIL; /* PendingRun *, in TopTransactionContext */

static void refuse_second_run(const CsSync *sync);
static void remember(const CsSync *sync, int64 run_id);
static void at_transaction_end(XactEvent event, void *arg);
static void at_subtransaction_end(SubXactEvent event, SubTransactionId ended,
								  SubTransactionId parent, void *arg);
static void start_pending(void);
static void throw_no_worker(void) pg_attribute_noreturn();

int64
cs_start_run(const CsSync *sync)
{
	Oid server = cs_start_server(sync->server);
	CsError *problem = cs_start_owner_problem(sync->name, sync->owner);
	int free = cs_worker_slots_free(server);
	int64 run_id;

	if (problem)
		cs_error_throw(problem);
	refuse_second_run(sync);
	cs_sync_keep(sync);
	if (!cs_beacon_is_lit() && free <= list_length(pending))
		ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						errmsg("all workers that may run syncs at once are running"),
						errdetail("censync.max_workers is %d, censync.max_workers_per_server %d.",
								  cs_max_workers, cs_max_workers_per_server),
						errhint("Raise them, or wait. With censync in shared_preload_libraries, "
								"runs are queued.")));
	run_id = cs_queue_add(sync, "start");
	if (!cs_beacon_is_lit())
		remember(sync, run_id);
	else if (free == 0)
		ereport(NOTICE, (errmsg("run " INT64_FORMAT " of sync \"%s\" waits for a free worker",
								run_id, sync->name),
						 errdetail("censync.max_workers is %d, censync.max_workers_per_server %d.",
								   cs_max_workers, cs_max_workers_per_server)));
	cs_beacon_poke_at_commit();
	return run_id;
}

bool
cs_start_is_pending(int64 run_id)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };
	bool is_ours = false;
	bool isnull;

	cs_catalog_begin(&access);
	cs_args_add_int8(&args, run_id);
	if (cs_catalog_execute("SELECT xmin FROM censync.run_log WHERE run_id = $1 "
						   "AND status = 'queued'",
						   &args) > 0)
		is_ours = TransactionIdIsCurrentTransactionId(
			DatumGetTransactionId(cs_catalog_datum(0, 1, &isnull)));
	cs_catalog_end(&access);
	return is_ours;
}

CsError *
cs_start_owner_problem(const char *sync, Oid owner)
{
	CsError *problem = palloc0(sizeof(CsError));

	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(owner)))
	{
		problem->code = ERRCODE_UNDEFINED_OBJECT;
		problem->message = psprintf("the owner of sync \"%s\" does not exist", sync);
		problem->hint = "Drop the sync, and let another role define it anew.";
		return problem;
	}
	if (cs_database_aclcheck(MyDatabaseId, owner, ACL_CONNECT) == ACLCHECK_OK)
		return NULL;
	problem->code = ERRCODE_INSUFFICIENT_PRIVILEGE;
	problem->message = psprintf("owner \"%s\" of sync \"%s\" may not connect to this database",
								GetUserNameFromId(owner, false), sync);
	problem->hint = "A worker runs the sync as that role: grant it CONNECT.";
	return problem;
}

bool
cs_start_worker(const CsQueuedRun *run, TransactionId after, BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker;
	CsWorkerOrder order = { 0 };

	StaticAssertStmt(sizeof(order) <= BGW_EXTRALEN, "an order fits into bgw_extra");
	order.database = MyDatabaseId;
	order.owner = run->owner;
	order.run_id = run->run_id;
	order.after = after;
	order.may_connect = cs_worker_may_be(cs_role_can_login(run->owner));
	cs_worker_init(&worker, "censync worker", "cs_runner_main");
	memcpy(worker.bgw_extra, &order, sizeof(order));
	snprintf(worker.bgw_name, BGW_MAXLEN, "censync run " INT64_FORMAT " of %.*s", run->run_id,
			 pg_mbcliplen(run->sync, (int) strlen(run->sync), 60), run->sync);
	worker.bgw_notify_pid = handle ? MyProcPid : 0;
	return RegisterDynamicBackgroundWorker(&worker, handle);
}

Oid
cs_start_server(const char *name)
{
	return name ? get_foreign_server_oid(name, true) : InvalidOid;
}

/* Best effort: what slips through is refused by the lock of the run. */
static void
refuse_second_run(const CsSync *sync)
{
	int64 waiting = cs_queue_of_sync(sync->sync_id);

	if (cs_run_is_locked(sync->sync_id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("sync \"%s\" is already running", sync->name),
				 errhint("censync.runs shows since when. censync_wait(run) waits for its end.")));
	if (waiting == 0)
		return;
	/* Nobody is there any more who would start it: the server was restarted meanwhile. */
	if (!cs_beacon_is_lit() && cs_queue_is_abandoned(waiting))
		cs_queue_end(waiting, "crashed",
					 &(CsError){ .code = ERRCODE_SYSTEM_ERROR,
								 .message = "the worker that was to run it is gone",
								 .detail = "The run had not begun." });
	else
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("sync \"%s\" is already queued, as run " INT64_FORMAT, sync->name, waiting),
				 errhint("censync_wait(run) waits for its end, censync_cancel(run) cancels it.")));
}

static void
remember(const CsSync *sync, int64 run_id)
{
	static bool registered = false;
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	PendingRun *started = palloc0(sizeof(PendingRun));

	if (!registered)
	{
		RegisterXactCallback(at_transaction_end, NULL);
		RegisterSubXactCallback(at_subtransaction_end, NULL);
	}
	registered = true;
	started->run.run_id = run_id;
	started->run.sync_id = sync->sync_id;
	started->run.sync = pstrdup(sync->name);
	started->run.owner = sync->owner;
	started->within = GetCurrentSubTransactionId();
	pending = lappend(pending, started);
	MemoryContextSwitchTo(old);
}

static void
at_transaction_end(XactEvent event, void *arg pg_attribute_unused())
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			start_pending();
			break;
		case XACT_EVENT_PRE_PREPARE:
			if (pending != NIL)
				ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
								errmsg("cannot PREPARE a transaction that has started a sync")));
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
			pending = NIL;
			break;
		default:
			break;
	}
}

/* What was started within it, or within what it had within it, has gone with it: they all came later. */
static void
at_subtransaction_end(SubXactEvent event, SubTransactionId ended,
					  SubTransactionId parent pg_attribute_unused(),
					  void *arg pg_attribute_unused())
{
	ListCell *lc;

	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach (lc, pending)
		if (((PendingRun *) lfirst(lc))->within >= ended)
			pending = foreach_delete_current(pending, lc);
}

/* The worker waits until we are done. */
static void
start_pending(void)
{
	ListCell *lc;

	foreach (lc, pending)
		if (!cs_start_worker(lfirst(lc), GetTopTransactionIdIfAny(), NULL))
			throw_no_worker();
	pending = NIL;
}

static void
throw_no_worker(void)
{
	ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					errmsg("there is no free background worker slot"),
					errhint("Raise max_worker_processes. With censync in shared_preload_libraries, "
							"runs wait for one.")));
}
