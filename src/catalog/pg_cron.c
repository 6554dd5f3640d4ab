/*
 * pg_cron.c
 *		Schedules kept by the extension pg_cron.
 *
 * Its jobs run CALL censync_sync as the sync's owner, who must be able to log
 * in for that.  A job is named after the sync; name, owner and database tell
 * it from all others.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "catalog/keeper.h"
#include "catalog/schedule.h"
#include "catalog/spi.h"

#define JOB_NAME "censync %s"

static char *fields_of_interval(int64 seconds);
static void check_owner(const CsSync *sync);
static char *fields_for_cron(const CsSync *sync);
static const char *cron_zone(void);
static char *command(const CsSync *sync);
static bool is_utc(const pg_tz *zone);

bool
cs_pg_cron_is_there(void)
{
	return OidIsValid(get_extension_oid("pg_cron", true));
}

/* A worker that pg_cron has started, or a session that it has opened by libpq. */
bool
cs_pg_cron_is_our_client(void)
{
	if (MyBgworkerEntry)
		return strcmp(MyBgworkerEntry->bgw_library_name, "pg_cron") == 0;
	return application_name && strcmp(application_name, "pg_cron") == 0;
}

void
cs_pg_cron_schedule(const CsSync *sync)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };

	check_owner(sync);
	cs_args_add_text(&args, psprintf(JOB_NAME, sync->name));
	cs_args_add_text(&args, fields_for_cron(sync));
	cs_args_add_text(&args, command(sync));
	cs_args_add_text(&args, get_database_name(MyDatabaseId));
	cs_args_add_text(&args, GetUserNameFromId(sync->owner, false));
	cs_catalog_begin(&access);
	cs_catalog_execute("SELECT cron.schedule_in_database($1, $2, $3, $4, $5)", &args);
	cs_catalog_end(&access);
}

void
cs_pg_cron_unschedule(const CsSync *sync)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };

	if (!cs_pg_cron_is_there())
		return;
	cs_args_add_text(&args, psprintf(JOB_NAME, sync->name));
	cs_args_add_text(&args, get_database_name(MyDatabaseId));
	cs_catalog_begin(&access);
	cs_catalog_execute("SELECT cron.unschedule(jobid) FROM cron.job "
					   "WHERE jobname = $1 AND database = $2",
					   &args);
	cs_catalog_end(&access);
}

const char *
cs_pg_cron_schema(void)
{
	CsCatalogAccess access;
	char *schema;

	cs_catalog_begin(&access);
	cs_catalog_execute("SELECT n.nspname FROM pg_extension e "
					   "JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'censync'",
					   NULL);
	schema = cs_catalog_text(&access, 0, 1);
	cs_catalog_end(&access);
	return quote_identifier(schema);
}

char *
cs_pg_cron_fields(const char *text)
{
	CsSchedule schedule;
	const char *problem;
	char *fields;

	if (!cs_schedule_parse(text, &schedule, &problem))
		return NULL;
	if (schedule.kind == CS_SCHEDULE_INTERVAL)
		return fields_of_interval(schedule.interval_s);
	if (schedule.kind != CS_SCHEDULE_CRON)
		return NULL;
	/* Its zone comes last. */
	fields = pstrdup(text);
	if (schedule.zone)
	{
		*strrchr(fields, ' ') = '\0';
		while (fields[0] && fields[strlen(fields) - 1] == ' ')
			fields[strlen(fields) - 1] = '\0';
	}
	return fields;
}

/* Only what divides an hour or a day is a rhythm to cron. */
static char *
fields_of_interval(int64 seconds)
{
	int64 minutes = seconds / 60;

	if (seconds % 60 != 0)
		return NULL;
	if (minutes < 60 && 60 % minutes == 0)
		return psprintf("*/" INT64_FORMAT " * * * *", minutes);
	if (minutes % 60 == 0 && minutes / 60 < 24 && 24 % (minutes / 60) == 0)
		return psprintf("0 */" INT64_FORMAT " * * *", minutes / 60);
	return minutes == 24 * 60 ? pstrdup("0 0 * * *") : NULL;
}

static void
check_owner(const CsSync *sync)
{
	const char *owner = GetUserNameFromId(sync->owner, false);
	Oid schema = get_namespace_oid("cron", false);

	if (!cs_role_can_login(sync->owner))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("pg_cron can't run sync \"%s\": its owner \"%s\" may not log in",
							   sync->name, owner),
						errhint("censync's launcher can: set shared_preload_libraries = "
								"'censync' and restart the server.")));
	if (cs_namespace_aclcheck(schema, sync->owner, ACL_USAGE) != ACLCHECK_OK)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("role \"%s\" may not use pg_cron", owner),
						errhint("GRANT USAGE ON SCHEMA cron TO %s;", quote_identifier(owner))));
}

/* What pg_cron can't say is refused, and so is what it would take to mean something else. */
static char *
fields_for_cron(const CsSync *sync)
{
	char *fields = cs_pg_cron_fields(sync->schedule);
	CsSchedule schedule;

	cs_schedule_parse_or_throw(sync->schedule, &schedule);
	if (fields == NULL)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("pg_cron can't keep the schedule \"%s\"", sync->schedule),
						errdetail("It keeps cron expressions, and intervals that divide an hour or "
								  "a day."),
						errhint("censync's launcher can: set shared_preload_libraries = "
								"'censync' and restart the server.")));
	if (schedule.kind == CS_SCHEDULE_CRON && schedule.zone != pg_tzset(cron_zone()) &&
		!(is_utc(schedule.zone) && is_utc(pg_tzset(cron_zone()))))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("pg_cron can't keep a schedule in time zone %s",
							   pg_get_timezone_name((pg_tz *) schedule.zone)),
						errdetail("Its own is %s.", cron_zone()),
						errhint("Give the schedule in that zone, as in \"%s %s\"; or set "
								"cron.timezone, if this version of pg_cron has it.",
								fields, cron_zone())));
	return fields;
}

/* Before version 1.5 it has no such setting. */
static const char *
cron_zone(void)
{
	const char *zone = GetConfigOption("cron.timezone", true, false);

	return zone ? zone : "GMT";
}

static char *
command(const CsSync *sync)
{
	return psprintf("CALL %s.censync_sync(%s)", cs_pg_cron_schema(),
					quote_literal_cstr(sync->name));
}

static bool
is_utc(const pg_tz *zone)
{
	long offset;

	return pg_get_timezone_offset(zone, &offset) && offset == 0;
}
