/*
 * run_events.c
 *		The events of a run's life, from its row in the log.
 */
#include "postgres.h"

#include "utils/elog.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "catalog/alerts.h"
#include "catalog/events.h"
#include "catalog/run_events.h"

static void tell_begin(const char *name, const CsSync *sync, int64 run_id, const char *trigger,
					   const char *status);
static void tell_end_of(int64 run_id);
static void load_counts(CsRunCounts *counts);

void
cs_run_tell_triggered(const CsSync *sync, int64 run_id, const char *trigger)
{
	tell_begin("sync.triggered", sync, run_id, trigger, "queued");
}

void
cs_run_tell_started(const CsSync *sync, int64 run_id, const char *trigger)
{
	tell_begin("sync.started", sync, run_id, trigger, "running");
}

void
cs_run_tell_end(CsCatalogAccess *access, uint64 row, const char *status, const CsRunCounts *counts,
				const CsError *error)
{
	CsEvent event = { .status = status, .counts = counts, .error = error };
	bool isnull;

	event.run_id = DatumGetInt64(cs_catalog_datum(row, 1, &isnull));
	event.sync_id = DatumGetInt64(cs_catalog_datum(row, 2, &isnull));
	event.sync = cs_catalog_text(access, row, 3);
	event.owner = DatumGetObjectId(cs_catalog_datum(row, 4, &isnull));
	event.trigger = cs_catalog_text(access, row, 5);
	event.started_at = DatumGetTimestampTz(cs_catalog_datum(row, 6, &isnull));
	event.finished_at = DatumGetTimestampTz(cs_catalog_datum(row, 7, &isnull));
	if (isnull)
		event.finished_at = 0;
	if (!DatumGetBool(cs_catalog_datum(row, 8, &isnull)))
		cs_event_tell_end(&event);
}

void
cs_run_tell_ended(CsCatalogAccess *access, uint64 rows)
{
	int64 *runs = MemoryContextAlloc(access->caller, sizeof(int64) * Max(rows, 1));
	bool isnull;

	for (uint64 row = 0; row < rows; row++)
		runs[row] = DatumGetInt64(cs_catalog_datum(row, 1, &isnull));
	for (uint64 row = 0; row < rows; row++)
	{
		tell_end_of(runs[row]);
		cs_alerts_judge_run(runs[row]);
	}
	pfree(runs);
}

static void
tell_begin(const char *name, const CsSync *sync, int64 run_id, const char *trigger,
		   const char *status)
{
	CsEvent event = { .sync_id = sync->sync_id,
					  .sync = sync->name,
					  .owner = sync->owner,
					  .run_id = run_id,
					  .trigger = trigger,
					  .status = status,
					  .started_at = cs_clock_now() };

	cs_event_tell(name, &event);
}

static void
tell_end_of(int64 run_id)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };
	CsRunCounts counts;
	CsError error = { 0 };
	const char *state;

	cs_catalog_begin(&access);
	cs_args_add_int8(&args, run_id);
	if (cs_catalog_execute("SELECT " CS_RUN_TOLD ", status, error_code, error_message, error_hint, "
						   "records_read, records_invalid, records_rejected, records_created, "
						   "records_updated, records_deleted, records_unchanged, "
						   "records_skipped, bytes_read FROM censync.run_log WHERE run_id = $1",
						   &args) > 0)
	{
		state = cs_catalog_text(&access, 0, 10);
		if (state)
			error.code = MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4]);
		error.message = cs_catalog_text(&access, 0, 11);
		error.hint = cs_catalog_text(&access, 0, 12);
		load_counts(&counts);
		cs_run_tell_end(&access, 0, cs_catalog_text(&access, 0, 9), &counts, state ? &error : NULL);
	}
	cs_catalog_end(&access);
}

static void
load_counts(CsRunCounts *counts)
{
	int64 *const targets[] = { &counts->read,	   &counts->invalid, &counts->rejected,
							   &counts->created,   &counts->updated, &counts->deleted,
							   &counts->unchanged, &counts->skipped, &counts->bytes };
	bool isnull;

	for (int i = 0; i < (int) lengthof(targets); i++)
		*targets[i] = DatumGetInt64(cs_catalog_datum(0, 13 + i, &isnull));
}
