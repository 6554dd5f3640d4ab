/*
 * progress.c
 *		SQL: what running runs are doing.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "catalog/progress.h"

PG_FUNCTION_INFO_V1(censync_run_progress);

static bool may_see(const CsProgress *progress);
static void put_run(ReturnSetInfo *rsinfo, const CsProgress *progress);

/* SQL: censync.run_progress() returns setof record */
PGDLLEXPORT Datum
censync_run_progress(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < cs_progress_slot_count(); i++)
	{
		CsProgress progress;

		if (cs_progress_get(i, &progress) && may_see(&progress))
			put_run((ReturnSetInfo *) fcinfo->resultinfo, &progress);
	}
	return (Datum) 0;
}

/* Here and not in the view: whoever may read the view may call the function. */
static bool
may_see(const CsProgress *progress)
{
	return progress->database == MyDatabaseId && has_privs_of_role(GetUserId(), progress->owner);
}

static void
put_run(ReturnSetInfo *rsinfo, const CsProgress *progress)
{
	Datum values[] = {
		Int64GetDatum(progress->run_id),
		CStringGetTextDatum(progress->sync),
		ObjectIdGetDatum(progress->owner),
		Int32GetDatum(progress->pid),
		BoolGetDatum(progress->dry_run),
		TimestampTzGetDatum(progress->started_at),
		CStringGetTextDatum(cs_progress_phase_name(progress->phase)),
		TimestampTzGetDatum(progress->phase_started_at),
		TimestampTzGetDatum(progress->changed_at),
		Int64GetDatum(progress->records_read),
		Int64GetDatum(progress->bytes_read),
		Int64GetDatum(progress->records_done),
		Int64GetDatum(progress->records_total),
	};
	bool nulls[lengthof(values)] = { false };

	nulls[lengthof(values) - 2] = progress->records_done < 0;
	nulls[lengthof(values) - 1] = progress->records_total < 0;
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}
