/*
 * run.c
 *		SQL: running syncs.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "catalog/beacon.h"
#include "catalog/definition.h"
#include "catalog/keeper.h"
#include "catalog/spi.h"
#include "sync/deliver.h"
#include "sync/engine.h"

PG_FUNCTION_INFO_V1(censync_run);
PG_FUNCTION_INFO_V1(censync_sync);

static void run_and_return(const char *name, const CsRunRequest *request, ReturnSetInfo *rsinfo);
static void return_run(int64 run_id, ReturnSetInfo *rsinfo);

/* SQL: censync_run(sync, dry_run, "limit") returns setof censync.runs */
PGDLLEXPORT Datum
censync_run(PG_FUNCTION_ARGS)
{
	CsRunRequest request = { .trigger = "manual", .limit = -1 };
	List *names;
	ListCell *lc;

	PreventCommandDuringRecovery("censync_run()");
	PreventCommandIfReadOnly("censync_run()");
	InitMaterializedSRF(fcinfo, 0);
	request.dry_run = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	if (!PG_ARGISNULL(2))
	{
		request.limit = PG_GETARG_INT64(2);
		if (request.limit < 0)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("limit must not be negative")));
	}
	names =
		PG_ARGISNULL(0) ? cs_sync_list_active() : list_make1(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	request.pass_over = PG_ARGISNULL(0);
	if (PG_ARGISNULL(0))
		cs_engine_reserve(names);
	foreach (lc, names)
		run_and_return(lfirst(lc), &request, (ReturnSetInfo *) fcinfo->resultinfo);
	return (Datum) 0;
}

/* SQL: CALL censync_sync(sync) */
PGDLLEXPORT Datum
censync_sync(PG_FUNCTION_ARGS)
{
	CsRunRequest request = { .trigger = cs_pg_cron_is_our_client() ? "schedule" : "manual",
							 .limit = -1,
							 .durable = true };
	CsError *failure = NULL;

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"sync\" must not be null")));
	PreventCommandDuringRecovery("censync_sync()");
	PreventCommandIfReadOnly("censync_sync()");
	if (!fcinfo->context || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR, (errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
						errmsg("censync_sync cannot run inside a transaction block"),
						errhint("It commits its log. SELECT censync_run(...) runs within a "
								"transaction.")));
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	cs_engine_run(text_to_cstring(PG_GETARG_TEXT_PP(0)), &request, &failure);
	cs_beacon_poke_at_commit();
	cs_deliver_all(true);
	/* The failure lives in SPI's memory. */
	if (failure)
		cs_error_throw(failure);
	SPI_finish();
	PG_RETURN_VOID();
}

static void
run_and_return(const char *name, const CsRunRequest *request, ReturnSetInfo *rsinfo)
{
	CsError *failure = NULL;
	int64 run_id;

	CHECK_FOR_INTERRUPTS();
	SPI_connect();
	run_id = cs_engine_run(name, request, &failure);
	SPI_finish();
	cs_beacon_poke_at_commit();
	if (run_id != 0)
		return_run(run_id, rsinfo);
}

static void
return_run(int64 run_id, ReturnSetInfo *rsinfo)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };

	cs_catalog_begin(&access);
	cs_args_add_int8(&args, run_id);
	if (cs_catalog_execute("SELECT * FROM censync.runs WHERE run_id = $1", &args) == 1)
		tuplestore_puttuple(rsinfo->setResult, SPI_tuptable->vals[0]);
	cs_catalog_end(&access);
}
