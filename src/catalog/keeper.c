/*
 * keeper.c
 *		Who sees to it that scheduled syncs run: the launcher, or pg_cron.
 */
#include "postgres.h"

#include <ctype.h>

#include "commands/dbcommands.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "catalog/beacon.h"
#include "catalog/keeper.h"
#include "catalog/parents.h"
#include "catalog/schedule.h"

/* What needs no quotes in a command. */
#define PLAIN_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"

static void report_nobody(const CsSync *sync, bool must);
static char *crontab_line(const CsSync *sync);
static void put_word(StringInfo line, const char *word);
static void put_literal(StringInfo line, const char *text);
static void put_character(StringInfo line, char c);

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
	CsSchedule schedule;
	const char *problem;
	bool zoned = cs_schedule_parse(sync->schedule, &schedule, &problem) &&
				 schedule.kind == CS_SCHEDULE_CRON && schedule.zone;

	ereport(
		must ? ERROR : WARNING,
		(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		 errmsg("there is nothing that could keep the schedule of sync \"%s\"", sync->name),
		 zoned ? errdetail("Neither censync's launcher runs, nor is pg_cron in this database. The "
						   "times of a crontab are those of its machine, these are of %s.",
						   pg_get_timezone_name((pg_tz *) schedule.zone))
			   : errdetail("Neither censync's launcher runs, nor is pg_cron in this database."),
		 errhint("Set shared_preload_libraries = 'censync' and restart the server; or install "
				 "pg_cron here; or put this into a crontab: %s",
				 line)));
}

/* It is meant to be pasted, and a name may hold anything. */
static char *
crontab_line(const CsSync *sync)
{
	char *fields = cs_pg_cron_fields(sync->schedule);
	const char *schema = cs_pg_cron_schema();
	StringInfoData line;

	initStringInfo(&line);
	appendStringInfo(&line, "%s  psql -X -q -d ", fields ? fields : "*/15 * * * *");
	put_word(&line, get_database_name(MyDatabaseId));
	appendStringInfoString(&line, " -U ");
	put_word(&line, sync->owner_name);
	appendStringInfoString(&line, " -c \"CALL ");
	if (strcmp(schema, "public") != 0)
		for (const char *c = psprintf("%s.", schema); *c; c++)
			put_character(&line, *c);
	appendStringInfoString(&line, "censync_sync(");
	put_literal(&line, sync->name);
	appendStringInfoString(&line, ")\"");
	return line.data;
}

/* In double quotes if it needs any. */
static void
put_word(StringInfo line, const char *word)
{
	const char *quote = word[strspn(word, PLAIN_CHARACTERS)] == '\0' ? "" : "\"";

	appendStringInfoString(line, quote);
	for (; *word; word++)
		put_character(line, iscntrl((unsigned char) *word) ? '?' : *word);
	appendStringInfoString(line, quote);
}

/* A line of a crontab ends at a line feed, however it is quoted for the shell. */
static void
put_literal(StringInfo line, const char *text)
{
	char *literal = quote_literal_cstr(text);
	bool has_controls = false;

	for (const char *c = text; *c; c++)
		has_controls = has_controls || iscntrl((unsigned char) *c);
	literal += strspn(literal, " ");
	if (has_controls && *literal != 'E')
		appendStringInfoChar(line, 'E');
	for (; *literal; literal++)
	{
		if (iscntrl((unsigned char) *literal))
			appendStringInfo(line, "\\\\x%02x", (unsigned char) *literal);
		else
			put_character(line, *literal);
	}
}

/* Within double quotes of the shell; cron itself takes a percent sign for the end of the command. */
static void
put_character(StringInfo line, char c)
{
	if (strchr("\"$`\\%", c))
		appendStringInfoChar(line, '\\');
	appendStringInfoChar(line, c);
}
