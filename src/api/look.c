/*
 * look.c
 *		SQL: looking at a source before anything depends on it.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "base/user.h"
#include "source/check.h"
#include "source/reader.h"
#include "sync/sync_options.h"

PG_FUNCTION_INFO_V1(censync_preview);
PG_FUNCTION_INFO_V1(censync_check);

static void preview(const CsReadSpec *spec, int limit, ReturnSetInfo *rsinfo);
static void put_json(ReturnSetInfo *rsinfo, CsReader *reader, const CsRecord *record);

/* SQL: censync_preview(server, query, object, "limit", options) returns setof jsonb */
PGDLLEXPORT Datum
censync_preview(PG_FUNCTION_ARGS)
{
	CsReadSpec spec = { 0 };
	int limit = PG_ARGISNULL(3) ? 10 : PG_GETARG_INT32(3);
	MemoryContext old;
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "censync preview", ALLOCSET_DEFAULT_SIZES);

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	if (!PG_ARGISNULL(0))
	{
		spec.serverid = get_foreign_server_oid(NameStr(*PG_GETARG_NAME(0)), false);
		cs_server_check_usage(spec.serverid, GetUserId());
	}
	spec.userid = GetUserId();
	spec.partial = true;
	spec.query = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	spec.object = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	if (!PG_ARGISNULL(4))
		spec.near = cs_sync_options_parse(PG_GETARG_JSONB_P(4))->read;
	/* Around a query, it could cost the order of its rows. */
	spec.limit = spec.object ? limit : 0;
	if (limit < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("limit must not be negative")));
	SPI_connect();
	old = MemoryContextSwitchTo(context);
	preview(&spec, limit, (ReturnSetInfo *) fcinfo->resultinfo);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	SPI_finish();
	return (Datum) 0;
}

/* SQL: censync_check(server, object) returns setof (step, ok, detail) */
PGDLLEXPORT Datum
censync_check(PG_FUNCTION_ARGS)
{
	CsReadSpec spec = { 0 };
	CsCheck check = { NIL };
	const CsSourceType *type;
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ListCell *lc;

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"server\" must not be null")));
	InitMaterializedSRF(fcinfo, 0);
	spec.serverid = get_foreign_server_oid(NameStr(*PG_GETARG_NAME(0)), false);
	spec.userid = GetUserId();
	spec.object = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	cs_server_check_usage(spec.serverid, spec.userid);
	type = cs_source_type_of_server(spec.serverid);
	type->check(type, &spec, &check);
	foreach (lc, check.steps)
	{
		CsCheckStep *step = lfirst(lc);
		Datum values[] = { CStringGetTextDatum(step->name), BoolGetDatum(step->ok),
						   CStringGetTextDatum(step->detail) };
		bool nulls[] = { false, false, false };

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

static void
preview(const CsReadSpec *spec, int limit, ReturnSetInfo *rsinfo)
{
	MemoryContext reader_context = CurrentMemoryContext;
	MemoryContext batch_context =
		AllocSetContextCreate(reader_context, "censync preview batch", ALLOCSET_DEFAULT_SIZES);
	CsReader *reader = cs_reader_open(spec);
	CsBatch batch;
	int shown = 0;

	MemoryContextSwitchTo(batch_context);
	while (shown < limit && reader->next_batch(reader, &batch) == CS_READ_ROWS)
	{
		for (int i = 0; i < batch.nrecords && shown < limit; i++, shown++)
			put_json(rsinfo, reader, &batch.records[i]);
		MemoryContextReset(batch_context);
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextSwitchTo(reader_context);
}

static void
put_json(ReturnSetInfo *rsinfo, CsReader *reader, const CsRecord *record)
{
	Datum value;
	bool isnull = false;
	char *json = reader->record_json(reader, record);

	value = DirectFunctionCall1(jsonb_in, CStringGetDatum(json));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value, &isnull);
}
