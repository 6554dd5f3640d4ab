/*
 * schedule.c
 *		SQL: having syncs run by themselves.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "catalog/definition.h"
#include "catalog/keeper.h"
#include "catalog/scheduled.h"

PG_FUNCTION_INFO_V1(censync_schedule);
PG_FUNCTION_INFO_V1(censync_unschedule);

static void set_schedule(CsSync *sync, const char *schedule);

/* SQL: censync_schedule(sync, schedule) returns timestamptz */
PGDLLEXPORT Datum
censync_schedule(PG_FUNCTION_ARGS)
{
	CsSync *sync = cs_sync_load_to_change(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	char *schedule = text_to_cstring(PG_GETARG_TEXT_PP(1));
	TimestampTz due;

	if (schedule[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the schedule is empty"),
						errhint("censync_unschedule takes a schedule away.")));
	set_schedule(sync, schedule);
	if (sync->paused)
	{
		ereport(NOTICE, (errmsg("sync \"%s\" is paused: its schedule begins with censync_resume",
								sync->name)));
		PG_RETURN_NULL();
	}
	due = cs_scheduled_next_run(sync->sync_id);
	if (due == DT_NOEND)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(due);
}

/* SQL: censync_unschedule(sync) */
PGDLLEXPORT Datum
censync_unschedule(PG_FUNCTION_ARGS)
{
	set_schedule(cs_sync_load_to_change(text_to_cstring(PG_GETARG_TEXT_PP(0))), NULL);
	PG_RETURN_VOID();
}

static void
set_schedule(CsSync *sync, const char *schedule)
{
	cs_sync_check_access(sync);
	if (!sync->at_home)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("sync \"%s\" came here with a dump", sync->name),
						errhint("SELECT censync_resume(%s); checks it against this database.",
								quote_literal_cstr(sync->name))));
	cs_keeper_set_schedule(sync, schedule);
	cs_sync_update(sync);
}
