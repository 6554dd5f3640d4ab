/*
 * maintain.c
 *		SQL: what is to be done now and then, by the launcher or by whoever calls.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"

#include "catalog/alerts.h"
#include "catalog/retention.h"
#include "sync/deliver.h"

/* Rows that one transaction deletes. */
#define ROWS_AT_ONCE 5000

PG_FUNCTION_INFO_V1(censync_deliver);
PG_FUNCTION_INFO_V1(censync_prune);
PG_FUNCTION_INFO_V1(censync_maintain);

static void begin(FunctionCallInfo fcinfo, const char *name);
static void prune_all(void);

/* SQL: CALL censync_deliver() */
PGDLLEXPORT Datum
censync_deliver(PG_FUNCTION_ARGS)
{
	begin(fcinfo, "censync_deliver");
	cs_deliver_all(false);
	SPI_finish();
	PG_RETURN_VOID();
}

/* SQL: CALL censync_prune() */
PGDLLEXPORT Datum
censync_prune(PG_FUNCTION_ARGS)
{
	begin(fcinfo, "censync_prune");
	prune_all();
	SPI_finish();
	PG_RETURN_VOID();
}

/* SQL: CALL censync_maintain() */
PGDLLEXPORT Datum
censync_maintain(PG_FUNCTION_ARGS)
{
	begin(fcinfo, "censync_maintain");
	cs_alerts_watch();
	SPI_commit();
	cs_deliver_all(false);
	prune_all();
	SPI_finish();
	PG_RETURN_VOID();
}

static void
begin(FunctionCallInfo fcinfo, const char *name)
{
	PreventCommandDuringRecovery(name);
	PreventCommandIfReadOnly(name);
	if (!fcinfo->context || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR, (errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
						errmsg("%s cannot run inside a transaction block", name),
						errhint("It commits as it goes.")));
	SPI_connect_ext(SPI_OPT_NONATOMIC);
}

static void
prune_all(void)
{
	while (cs_prune_some(GetUserId(), ROWS_AT_ONCE) > 0)
	{
		SPI_commit();
		CHECK_FOR_INTERRUPTS();
	}
}
