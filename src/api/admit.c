/*
 * admit.c
 *		SQL: what a role needs to see, run or own syncs, granted in one statement.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(censync_admit);

/* What each level adds to the one before it.  %s is the schema of the routines. */
static const char *const viewer_grants[] = {
	"USAGE ON SCHEMA censync",
	"USAGE ON SCHEMA %s",
	"SELECT ON censync.syncs, censync.runs, censync.records, censync.progress",
	"SELECT ON censync.alerts, censync.deliveries",
	"EXECUTE ON FUNCTION censync.home(), censync.is_lost(bigint, bigint), censync.run_progress()",
	"EXECUTE ON FUNCTION censync.next_run(bigint), censync.next_time(text, timestamptz)",
	"EXECUTE ON FUNCTION %s.censync_objects(name)",
	"EXECUTE ON FUNCTION %s.censync_report()",
	NULL,
};
static const char *const operator_grants[] = {
	"EXECUTE ON FUNCTION %s.censync_run(text, boolean, bigint)",
	"EXECUTE ON PROCEDURE %s.censync_sync(text)",
	"EXECUTE ON PROCEDURE %s.censync_deliver()",
	"EXECUTE ON PROCEDURE %s.censync_prune()",
	"EXECUTE ON PROCEDURE %s.censync_maintain()",
	"EXECUTE ON FUNCTION %s.censync_start(text)",
	"EXECUTE ON FUNCTION %s.censync_wait(bigint, interval)",
	"EXECUTE ON FUNCTION %s.censync_cancel(bigint)",
	"EXECUTE ON FUNCTION %s.censync_schedule(text, text)",
	"EXECUTE ON FUNCTION %s.censync_unschedule(text)",
	"EXECUTE ON FUNCTION %s.censync_pause(text)",
	"EXECUTE ON FUNCTION %s.censync_resume(text)",
	"EXECUTE ON FUNCTION %s.censync_reset(text)",
	"EXECUTE ON FUNCTION %s.censync_check(name, text)",
	"EXECUTE ON FUNCTION %s.censync_preview(name, text, text, int, jsonb)",
	NULL,
};
static const char *const owner_grants[] = {
	"EXECUTE ON FUNCTION %s.censync_create_sync(text, regclass, text, name, text, text, text[], "
	"jsonb, text, jsonb)",
	"EXECUTE ON FUNCTION %s.censync_alter_sync(text, regclass, text, name, text, text, text[], "
	"jsonb, text, jsonb)",
	"EXECUTE ON FUNCTION %s.censync_drop_sync(text)",
	"EXECUTE ON FUNCTION %s.censync_ssh_keygen(name, boolean)",
	NULL,
};

static const struct
{
	const char *name;
	const char *const *grants;
} levels[] = { { "viewer", viewer_grants },
			   { "operator", operator_grants },
			   { "owner", owner_grants } };

static void grant_all(const char *const *grants, const char *schema, const char *role);

/* SQL: CALL censync_admit(role, level); needs the right to grant these, so a superuser. */
PGDLLEXPORT Datum
censync_admit(PG_FUNCTION_ARGS)
{
	char *level;
	const char *role;
	const char *schema =
		quote_identifier(get_namespace_name(get_func_namespace(fcinfo->flinfo->fn_oid)));
	int upto = -1;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("role and level must not be null")));
	role = quote_identifier(GetUserNameFromId(PG_GETARG_OID(0), false));
	level = text_to_cstring(PG_GETARG_TEXT_PP(1));
	for (int i = 0; i < (int) lengthof(levels); i++)
		if (strcmp(levels[i].name, level) == 0)
			upto = i;
	if (upto < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown level \"%s\"", level),
				 errhint("Levels are viewer, operator and owner.")));
	SPI_connect();
	for (int i = 0; i <= upto; i++)
		grant_all(levels[i].grants, schema, role);
	SPI_finish();
	PG_RETURN_VOID();
}

static void
grant_all(const char *const *grants, const char *schema, const char *role)
{
	for (; *grants; grants++)
	{
		StringInfoData sql;
		const char *at = strstr(*grants, "%s");

		initStringInfo(&sql);
		appendStringInfoString(&sql, "GRANT ");
		if (at)
		{
			appendBinaryStringInfo(&sql, *grants, (int) (at - *grants));
			appendStringInfo(&sql, "%s%s", schema, at + 2);
		}
		else
			appendStringInfoString(&sql, *grants);
		appendStringInfo(&sql, " TO %s", role);
		if (SPI_execute(sql.data, false, 0) < 0)
			elog(ERROR, "could not execute: %s", sql.data);
	}
}
