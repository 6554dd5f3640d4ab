/*
 * runner.c
 *		The background worker that makes one run, as the owner of its sync.
 *
 * It connects as the owner, so that it has the owner's privileges and
 * settings and no others, and nobody's to go back to.  Before PostgreSQL 17 a
 * worker can't connect as a role that may not log in: then it connects
 * without a role and becomes the owner before anything else.  User code, which
 * might try to undo that, only ever runs inside a security-restricted
 * operation, where it can't.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/procsignal.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/errors.h"
#include "catalog/beacon.h"
#include "catalog/locks.h"
#include "catalog/queue.h"
#include "sync/engine.h"
#include "sync/start.h"

/* Between looks for a free slot, in ms. */
#define SLOT_INTERVAL 100

/* So often a shutdown that somebody has swallowed is insisted upon, in ms. */
#define INSIST_INTERVAL 500

PGDLLEXPORT void cs_runner_main(Datum arg);

static volatile sig_atomic_t shutdown_requested = false;
static volatile sig_atomic_t insisted = 0;

/* The owner's transactions are read only, by his own settings or the database's. */
static bool is_read_only = false;

static void handle_shutdown(SIGNAL_ARGS);
static void insist(void);
static void connect_as_owner(const CsWorkerOrder *order);
static void become(Oid owner);
static CsQueuedRun *find_run(const CsWorkerOrder *order, MemoryContext context);
static void begin_own_transaction(void);
static void show_activity(const CsQueuedRun *run);
static void make_run(const CsQueuedRun *run, MemoryContext context);
static void refuse_if_read_only(void);
static void wait_for_slot(const CsQueuedRun *run);
static void run_sync(const CsQueuedRun *run);
static void end_run(const CsQueuedRun *run, CsError *error);

void
cs_runner_main(Datum arg pg_attribute_unused())
{
	CsWorkerOrder order;
	MemoryContext context;
	CsQueuedRun *run;
	TimeoutId timer;

	memcpy(&order, MyBgworkerEntry->bgw_extra, sizeof(order));
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, handle_shutdown);
	BackgroundWorkerUnblockSignals();
	connect_as_owner(&order);
	timer = RegisterTimeout(USER_TIMEOUT, insist);
	enable_timeout_every(timer, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), INSIST_INTERVAL),
						 INSIST_INTERVAL);
	context =
		AllocSetContextCreate(TopMemoryContext, "censync worker's run", ALLOCSET_DEFAULT_SIZES);
	/* Where SPI keeps what outlives a transaction. */
	PortalContext = context;
	run = find_run(&order, context);
	if (run)
	{
		show_activity(run);
		make_run(run, context);
	}
	proc_exit(0);
}

/* A shutdown cancels the run first, so that its log says what has become of it. */
static void
handle_shutdown(SIGNAL_ARGS)
{
	int saved = errno;

	(void) postgres_signal_arg;
	shutdown_requested = true;
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
	errno = saved;
}

/* In a signal handler, every now and then.  User code may have caught the cancel and gone on. */
static void
insist(void)
{
	if (shutdown_requested && ++insisted > 1)
	{
		InterruptPending = true;
		ProcDiePending = true;
		SetLatch(MyLatch);
	}
}

static void
connect_as_owner(const CsWorkerOrder *order)
{
	BackgroundWorkerInitializeConnectionByOid(
		order->database, order->may_connect ? order->owner : InvalidOid, CS_WORKER_ANY_ROLE);
	if (!order->may_connect)
		become(order->owner);
	SetConfigOption("application_name", MyBgworkerEntry->bgw_name, PGC_USERSET, PGC_S_SESSION);
	/* The log must be written all the same. */
	is_read_only = DefaultXactReadOnly;
	SetConfigOption("default_transaction_read_only", "off", PGC_USERSET, PGC_S_SESSION);
}

static void
become(Oid owner)
{
	bool is_superuser;

	StartTransactionCommand();
	is_superuser = superuser_arg(owner);
	CommitTransactionCommand();
	SetSessionAuthorization(owner, is_superuser);
}

/* NULL: it was canceled, or the transaction that queued it undone. */
static CsQueuedRun *
find_run(const CsWorkerOrder *order, MemoryContext context)
{
	CsQueuedRun *run = NULL;

	begin_own_transaction();
	if (TransactionIdIsValid(order->after))
		XactLockTableWait(order->after, NULL, NULL, XLTW_None);
	if (OidIsValid(cs_extension_lock_if_there()))
	{
		MemoryContextSwitchTo(context);
		run = cs_queue_find(order->run_id);
	}
	CommitTransactionCommand();
	return run;
}

/* The log of its run does not depend on what others do; the run itself, in a transaction of its own, is isolated as
 * its owner has it. */
static void
begin_own_transaction(void)
{
	StartTransactionCommand();
	XactIsoLevel = XACT_READ_COMMITTED;
}

static void
show_activity(const CsQueuedRun *run)
{
	char *activity = psprintf("CALL censync_sync(%s)", quote_literal_cstr(run->sync));

	SetConfigOption("application_name", psprintf("censync %s", run->sync), PGC_USERSET,
					PGC_S_SESSION);
	debug_query_string = MemoryContextStrdup(TopMemoryContext, activity);
	pgstat_report_activity(STATE_RUNNING, debug_query_string);
}

static void
make_run(const CsQueuedRun *run, MemoryContext context)
{
	CsError *volatile error = NULL;

	PG_TRY();
	{
		refuse_if_read_only();
		wait_for_slot(run);
		run_sync(run);
	}
	PG_CATCH();
	{
		error = cs_error_catch(context);
		AbortCurrentTransaction();
	}
	PG_END_TRY();
	if (error)
		end_run(run, error);
}

static void
refuse_if_read_only(void)
{
	if (is_read_only)
		ereport(ERROR, (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
						errmsg("transactions of the sync's owner are read only"),
						errhint("ALTER ROLE ... or ALTER DATABASE ... RESET "
								"default_transaction_read_only.")));
}

/* There should be one: whoever started us has looked. */
static void
wait_for_slot(const CsQueuedRun *run)
{
	for (;;)
	{
		bool taken;

		begin_own_transaction();
		taken = cs_worker_slot_take(cs_start_server(run->server));
		CommitTransactionCommand();
		if (taken)
			return;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, SLOT_INTERVAL,
						 cs_wait_event(CS_WAIT_SLOT));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

static void
run_sync(const CsQueuedRun *run)
{
	CsRunRequest request = {
		.trigger = run->trigger, .limit = -1, .durable = true, .queued = run->run_id
	};
	CsError *failure = NULL;

	begin_own_transaction();
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	(void) cs_engine_run(run->sync, &request, &failure);
	if (failure)
		ereport(WARNING, (errcode(failure->code),
						  errmsg("run " INT64_FORMAT " of sync \"%s\" failed: %s", run->run_id,
								 run->sync, failure->message),
						  failure->detail ? errdetail_internal("%s", failure->detail) : 0,
						  failure->hint ? errhint("%s", failure->hint) : 0));
	SPI_finish();
	CommitTransactionCommand();
}

/* If it never began; else the engine has written the row. */
static void
end_run(const CsQueuedRun *run, CsError *error)
{
	bool canceled = cs_error_is_cancel(error->code);

	ereport(LOG, (errmsg("run " INT64_FORMAT " of sync \"%s\" %s: %s", run->run_id, run->sync,
						 canceled ? "was canceled" : "did not begin", error->message)));
	begin_own_transaction();
	if (OidIsValid(cs_extension_lock_if_there()))
		(void) (cs_beacon_is_lit() ? cs_queue_end_unlocked : cs_queue_end)(
			run->run_id, canceled ? "canceled" : "failed", error);
	CommitTransactionCommand();
}
