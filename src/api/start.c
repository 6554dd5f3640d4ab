/*
 * start.c
 *		SQL: runs in background workers.
 */
#include "postgres.h"

#include "base/clock.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "catalog/locks.h"
#include "catalog/spi.h"
#include "sync/start.h"

/* Between looks at a run, in ms: the first, and the longest. */
#define FIRST_LOOK 2
#define LONGEST_LOOK 500

PG_FUNCTION_INFO_V1(censync_start);
PG_FUNCTION_INFO_V1(censync_wait);
PG_FUNCTION_INFO_V1(censync_cancel);

static TimestampTz end_of_wait(FunctionCallInfo fcinfo);
static char *run_status(int64 run_id, Oid *owner, int64 *sync_id);
static bool is_over(int64 run_id);
static void sleep_for(int64 ms);
static void return_run(int64 run_id, ReturnSetInfo *rsinfo);
static int runner_pid(int64 sync_id, bool *is_worker);
static bool cancel_backend(int pid, bool is_worker);

/* SQL: censync_start(sync) returns bigint */
PGDLLEXPORT Datum
censync_start(PG_FUNCTION_ARGS)
{
	CsSync *sync;

	PreventCommandDuringRecovery("censync_start()");
	PreventCommandIfReadOnly("censync_start()");
	PreventCommandIfParallelMode("censync_start()");
	sync = cs_sync_load(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	cs_sync_check_access(sync);
	if (sync->paused)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("sync \"%s\" is paused", sync->name),
						errhint("SELECT censync_resume(%s);", quote_literal_cstr(sync->name))));
	PG_RETURN_INT64(cs_start_run(sync));
}

/* SQL: censync_wait(run_id, timeout) returns setof censync.runs */
PGDLLEXPORT Datum
censync_wait(PG_FUNCTION_ARGS)
{
	int64 run_id;
	int64 interval = FIRST_LOOK;
	TimestampTz end = end_of_wait(fcinfo);

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"run_id\" must not be null")));
	run_id = PG_GETARG_INT64(0);
	if (!is_over(run_id) && cs_start_is_pending(run_id))
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("run " INT64_FORMAT " begins only when this transaction is committed", run_id),
			 errhint("Commit, then wait.")));
	while (!is_over(run_id))
	{
		int64 left = TimestampDifferenceMilliseconds(cs_clock_steady(), end);

		if (end != DT_NOEND && left <= 0)
			break;
		sleep_for(end == DT_NOEND ? interval : Min(interval, left));
		interval = Min(interval * 2, LONGEST_LOOK);
	}
	return_run(run_id, (ReturnSetInfo *) fcinfo->resultinfo);
	return (Datum) 0;
}

/* SQL: censync_cancel(run_id) returns boolean */
PGDLLEXPORT Datum
censync_cancel(PG_FUNCTION_ARGS)
{
	int64 run_id = PG_GETARG_INT64(0);
	CsError canceled = { .code = ERRCODE_QUERY_CANCELED,
						 .message = "canceling statement due to user request",
						 .detail = "The run had not begun." };
	Oid owner;
	int64 sync_id;
	bool is_worker;
	int pid;
	char *status;

	PreventCommandDuringRecovery("censync_cancel()");
	PreventCommandIfReadOnly("censync_cancel()");
	status = run_status(run_id, &owner, &sync_id);
	if (!has_privs_of_role(GetUserId(), owner))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("must be owner of run " INT64_FORMAT, run_id)));
	if (strcmp(status, "queued") == 0 && cs_queue_end(run_id, "canceled", &canceled))
		PG_RETURN_BOOL(true);
	/* It may have begun just now; or have ended, and whoever has the lock by now is not to be canceled for it. */
	pid = runner_pid(sync_id, &is_worker);
	if (pid == 0 || strcmp(run_status(run_id, &owner, &sync_id), "running") != 0)
		PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(cancel_backend(pid, is_worker));
}

static TimestampTz
end_of_wait(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(1))
		return DT_NOEND;
	return DatumGetTimestampTz(DirectFunctionCall2(
		timestamptz_pl_interval, TimestampTzGetDatum(cs_clock_steady()), PG_GETARG_DATUM(1)));
}

/* As it is now, whatever the transaction's snapshot says.  Throws 42704 if there is no such run. */
static char *
run_status(int64 run_id, Oid *owner, int64 *sync_id)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };
	char *status = NULL;
	bool isnull;

	cs_catalog_begin(&access);
	cs_args_add_int8(&args, run_id);
	if (cs_catalog_select_latest("SELECT CASE WHEN status = 'running' AND "
								 "censync.is_lost(run_id, sync_id) THEN 'crashed' ELSE status END, "
								 "owner_oid, sync_id FROM censync.run_log WHERE run_id = $1",
								 &args) > 0)
	{
		status = cs_catalog_text(&access, 0, 1);
		*owner = DatumGetObjectId(cs_catalog_datum(0, 2, &isnull));
		*sync_id = DatumGetInt64(cs_catalog_datum(0, 3, &isnull));
	}
	cs_catalog_end(&access);
	if (status == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("run " INT64_FORMAT " does not exist", run_id),
						errhint("censync.runs lists those there are.")));
	return status;
}

static bool
is_over(int64 run_id)
{
	Oid owner;
	int64 sync_id;
	char *status = run_status(run_id, &owner, &sync_id);

	if (!has_privs_of_role(GetUserId(), owner))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("must be owner of run " INT64_FORMAT, run_id)));
	return strcmp(status, "queued") != 0 && strcmp(status, "running") != 0;
}

static void
sleep_for(int64 ms)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms,
					 cs_wait_event(CS_WAIT_RUN));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* What the view would show, as it is now. */
static void
return_run(int64 run_id, ReturnSetInfo *rsinfo)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };

	cs_catalog_begin(&access);
	cs_args_add_int8(&args, run_id);
	if (cs_catalog_select_latest("SELECT * FROM censync.runs WHERE run_id = $1", &args) == 1)
		tuplestore_puttuple(rsinfo->setResult, SPI_tuptable->vals[0]);
	cs_catalog_end(&access);
}

/* The process that runs a sync; 0: none does. */
static int
runner_pid(int64 sync_id, bool *is_worker)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };
	int pid = 0;
	bool isnull;

	cs_catalog_begin(&access);
	cs_args_add_int8(&args, sync_id);
	if (cs_catalog_execute(
			"SELECT l.pid, coalesce(a.backend_type, '') = 'censync worker' FROM pg_locks l "
			"LEFT JOIN pg_stat_activity a ON a.pid = l.pid "
			"WHERE l.locktype = 'advisory' AND l.granted AND l.database = "
			"(SELECT oid FROM pg_database WHERE datname = current_database()) "
			"AND l.classid::bigint = $1 >> 32 AND l.objid::bigint = $1 & 4294967295 "
			"AND l.objsubid & 65535 = " CS_LOCK_CLASS_RUN_TEXT,
			&args) > 0)
	{
		pid = DatumGetInt32(cs_catalog_datum(0, 1, &isnull));
		*is_worker = DatumGetBool(cs_catalog_datum(0, 2, &isnull));
	}
	cs_catalog_end(&access);
	return pid;
}

/* A worker does nothing else, so whose sync it runs may cancel it; a session is its role's to cancel. */
static bool
cancel_backend(int pid, bool is_worker)
{
	CsUserContext saved;
	Datum done;

	if (is_worker)
		cs_user_switch_to_catalog(&saved);
	done = DirectFunctionCall1(pg_cancel_backend, Int32GetDatum(pid));
	if (is_worker)
		cs_user_restore(&saved);
	return DatumGetBool(done);
}
