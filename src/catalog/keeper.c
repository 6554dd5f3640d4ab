/*
 * keeper.c
 *		Who sees to it that scheduled syncs run: the launcher, or pg_cron.
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "catalog/beacon.h"
#include "catalog/keeper.h"
#include "catalog/parents.h"
#include "catalog/schedule.h"

static void report_nobody(const CsSync *sync, bool must);
static char *crontab_line(const CsSync *sync);

void
cs_keeper_take(CsSync *sync, bool must)
{
	const char *before = sync->scheduler;

	sync->scheduler = NULL;
	sync->schedule_since = cs_clock_now();
	if (sync->schedule == NULL)
		return;
	if (cs_beacon_is_lit())
		sync->scheduler = CS_KEEPER_LAUNCHER;
	else if (cs_pg_cron_is_there())
		sync->scheduler = CS_KEEPER_PG_CRON;
	else
		report_nobody(sync, must);
	if (before && strcmp(before, CS_KEEPER_PG_CRON) == 0 &&
		!cs_same_text(sync->scheduler, CS_KEEPER_PG_CRON))
		cs_pg_cron_unschedule(sync);
	if (cs_same_text(sync->scheduler, CS_KEEPER_PG_CRON))
		cs_pg_cron_schedule(sync);
	cs_beacon_poke_at_commit();
}

void
cs_keeper_release(CsSync *sync)
{
	if (cs_same_text(sync->scheduler, CS_KEEPER_PG_CRON))
		cs_pg_cron_unschedule(sync);
	sync->scheduler = NULL;
	cs_beacon_poke_at_commit();
}

void
cs_keeper_set_schedule(CsSync *sync, const char *text)
{
	CsSchedule schedule;

	if (text == NULL || text[0] == '\0')
	{
		cs_keeper_release(sync);
		cs_parents_forget(sync->sync_id);
		sync->schedule = NULL;
		return;
	}
	cs_schedule_parse_or_throw(text, &schedule);
	sync->schedule = cs_schedule_canonical(text, &schedule);
	cs_parents_set(sync, schedule.parents);
	if (!sync->paused)
		cs_keeper_take(sync, true);
}

void
cs_keeper_find_parents(CsSync *sync)
{
	CsSchedule schedule;
	const char *problem;

	sync->scheduler = NULL;
	if (sync->schedule && cs_schedule_parse(sync->schedule, &schedule, &problem))
		cs_parents_set(sync, schedule.parents);
}

static void
report_nobody(const CsSync *sync, bool must)
{
	char *line = crontab_line(sync);

	ereport(must ? ERROR : WARNING,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("there is nothing that could keep the schedule of sync \"%s\"", sync->name),
			 errdetail("Neither censync's launcher runs, nor is pg_cron in this database."),
			 errhint("Set shared_preload_libraries = 'censync' and restart the server; or install "
					 "pg_cron here; or put this into a crontab: %s",
					 line)));
}

static char *
crontab_line(const CsSync *sync)
{
	char *fields = cs_pg_cron_fields(sync->schedule);

	return psprintf("%s  psql -X -q -d %s -U %s -c \"CALL censync_sync(%s)\"",
					fields ? fields : "*/15 * * * *", get_database_name(MyDatabaseId),
					sync->owner_name, quote_literal_cstr(sync->name));
}
