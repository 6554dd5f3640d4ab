/*
 * alerts.c
 *		What a sync's owner wants to be told when it goes wrong.
 *
 * An alert is named like the option that asks for it, without "alert_".  It is
 * open from its first violation to its recovery: one row of alert_log.  Option
 * values have been through the parser of sync options; what it takes for
 * seconds is an interval to SQL, too.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "catalog/alerts.h"
#include "catalog/definition.h"
#include "catalog/events.h"
#include "catalog/locks.h"
#include "catalog/spi.h"

/* One alert, looked at. */
typedef struct Check
{
	int64 sync_id;
	char *sync;
	Oid owner;
	int64 run_id; /* 0: of no run */
	char *alert;
	bool violated;
	char *message;	/* holds of either case */
	int64 alert_id; /* of the open alert; 0: there is none */
	bool every;		/* tell of each violation */
} Check;

/* What both queries return, of a source c with sync_id, sync, owner_oid, o (options), run_id, alert, violated
 * and message. */
#define SELECT_CHECKS                                                                              \
	"SELECT c.sync_id, c.sync, c.owner_oid, c.run_id, c.alert, c.violated, c.message, "            \
	"a.alert_id, coalesce(c.o ->> 'alert_repeat', 'first') = 'every' "
#define JOIN_OPEN                                                                                  \
	"LEFT JOIN censync.alert_log a ON a.sync_id = c.sync_id AND a.alert = c.alert "                \
	"AND a.resolved_at IS NULL "

static const char *const checks_of_run =
	"WITH r AS (SELECT l.*, d.options AS o, l.finished_at - l.started_at AS took "
	"FROM censync.run_log l JOIN censync.sync_definition d USING (sync_id) "
	"WHERE l.run_id = $1 AND NOT l.dry_run AND l.status IN ('completed', 'failed', 'crashed')), "
	"usual AS (SELECT count(*) AS runs, avg(p.records_read) AS mean FROM ("
	"SELECT x.records_read FROM r JOIN censync.run_log x ON x.sync_id = r.sync_id "
	"WHERE x.run_id < r.run_id AND x.status = 'completed' AND NOT x.dry_run "
	"ORDER BY x.run_id DESC "
	"LIMIT (SELECT coalesce((o ->> 'alert_unusual_runs')::int, 10) FROM r)) p), "
	"c AS (SELECT r.*, v.* FROM r, usual, LATERAL (VALUES "
	"('failed', (o ->> 'alert_failed')::boolean, status <> 'completed', "
	"format('run %s %s%s', run_id, status, ' (' || error_code || ')')), "
	"('invalid', o ? 'alert_invalid' AND records_read > 0, "
	"records_invalid > (o ->> 'alert_invalid')::float8 * records_read, "
	"format('%s of %s records of run %s are invalid', records_invalid, records_read, run_id)), "
	"('rejected', o ? 'alert_rejected' AND records_read > 0, "
	"records_rejected > (o ->> 'alert_rejected')::float8 * records_read, "
	"format('%s of %s records of run %s were rejected', records_rejected, records_read, run_id)), "
	"('duration', (o ->> 'alert_duration')::interval > '0', "
	"took > (o ->> 'alert_duration')::interval, "
	"format('run %s took %s', run_id, date_trunc('milliseconds', took))), "
	"('unusual', status = 'completed' AND runs >= least(3, "
	"coalesce((o ->> 'alert_unusual_runs')::int, 10)), "
	"abs(records_read - mean) > (o ->> 'alert_unusual')::float8 * mean, "
	"format('run %s read %s records, the %s before it %s on average', run_id, records_read, runs, "
	"round(mean))), "
	"('stale', o ? 'alert_stale' AND status = 'completed', false, "
	"format('run %s has succeeded', run_id))) v(alert, watched, violated, message) "
	"WHERE v.watched AND v.violated IS NOT NULL) " SELECT_CHECKS "FROM c " JOIN_OPEN;

/* The last part: nobody is told any more what is no longer asked for, or whose sync is gone. */
static const char *const checks_of_time =
	"WITH d AS (SELECT s.sync_id, s.name AS sync, s.owner_oid, s.options AS o, "
	"(o.options ->> 'alert_stale')::interval AS stale, "
	"(o.options ->> 'alert_duration')::interval AS duration, "
	"coalesce(g.finished_at, s.created_at) AS success_at "
	"FROM censync.sync_definition s CROSS JOIN LATERAL (SELECT s.options) o LEFT JOIN LATERAL ("
	"SELECT x.finished_at FROM censync.run_log x WHERE x.sync_id = s.sync_id "
	"AND x.status = 'completed' AND NOT x.dry_run ORDER BY x.run_id DESC LIMIT 1) g "
	"ON s.options ? 'alert_stale' "
	"WHERE s.home = $1 AND NOT s.paused AND s.options ?| '{alert_stale,alert_duration}'), "
	"c AS (SELECT sync_id, sync, owner_oid, o, NULL::bigint AS run_id, 'stale' AS alert, "
	"clock_timestamp() - success_at > stale AS violated, "
	"'no run has succeeded since ' || to_char(success_at AT TIME ZONE 'UTC', "
	"'YYYY-MM-DD HH24:MI:SS \"UTC\"') AS message FROM d WHERE stale > '0' UNION ALL "
	"SELECT d.sync_id, d.sync, d.owner_oid, d.o, l.run_id, 'duration', true, "
	"format('run %s has taken %s so far', l.run_id, "
	"date_trunc('second', clock_timestamp() - l.started_at)) "
	"FROM d JOIN censync.run_log l ON l.sync_id = d.sync_id AND l.status = 'running' "
	"AND NOT l.dry_run WHERE duration > '0' AND clock_timestamp() - l.started_at > duration "
	"AND NOT censync.is_lost(l.run_id, l.sync_id) UNION ALL "
	"SELECT a.sync_id, a.sync, a.owner_oid, s.options, NULL, a.alert, false, "
	"'it is not watched any more' FROM censync.alert_log a "
	"LEFT JOIN censync.sync_definition s ON s.sync_id = a.sync_id "
	"WHERE a.resolved_at IS NULL AND (s.sync_id IS NULL OR CASE a.alert WHEN 'failed' "
	"THEN (s.options ->> 'alert_failed')::boolean ELSE s.options ? ('alert_' || a.alert) END "
	"IS NOT TRUE)) " SELECT_CHECKS "FROM c " JOIN_OPEN "WHERE c.violated = (a.alert_id IS NULL)";

static List *look(const char *sql, CsArgs *args);
static void act(const Check *check);
static bool open_alert(const Check *check);
static bool renew_alert(const Check *check);
static bool close_alert(const Check *check);
static void tell(const char *event, const Check *check);

bool
cs_alerts_are_wanted(Jsonb *options)
{
	JsonbIterator *iterator = JsonbIteratorInit(&options->root);
	JsonbIteratorToken token;
	JsonbValue value;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
		if (token == WJB_KEY && value.val.string.len > 6 &&
			strncmp(value.val.string.val, "alert_", 6) == 0)
			return true;
	return false;
}

void
cs_alerts_judge_run(int64 run_id)
{
	CsArgs args = { 0 };
	List *checks;
	ListCell *lc;

	cs_args_add_int8(&args, run_id);
	checks = look(checks_of_run, &args);
	foreach (lc, checks)
		act(lfirst(lc));
}

void
cs_alerts_watch(void)
{
	CsArgs args = { 0 };
	List *checks;
	ListCell *lc;

	cs_args_add_text(&args, cs_home());
	checks = look(checks_of_time, &args);
	foreach (lc, checks)
		act(lfirst(lc));
}

static List *
look(const char *sql, CsArgs *args)
{
	CsCatalogAccess access;
	List *checks = NIL;
	bool isnull;

	cs_catalog_begin(&access);
	cs_catalog_execute_latest(sql, args);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		Check *check = MemoryContextAllocZero(access.caller, sizeof(Check));
		MemoryContext spi;

		check->sync_id = DatumGetInt64(cs_catalog_datum(row, 1, &isnull));
		check->sync = cs_catalog_text(&access, row, 2);
		check->owner = DatumGetObjectId(cs_catalog_datum(row, 3, &isnull));
		check->run_id = DatumGetInt64(cs_catalog_datum(row, 4, &isnull));
		check->alert = cs_catalog_text(&access, row, 5);
		check->violated = DatumGetBool(cs_catalog_datum(row, 6, &isnull));
		check->message = cs_catalog_text(&access, row, 7);
		check->alert_id = DatumGetInt64(cs_catalog_datum(row, 8, &isnull));
		check->every = DatumGetBool(cs_catalog_datum(row, 9, &isnull));
		spi = MemoryContextSwitchTo(access.caller);
		checks = lappend(checks, check);
		MemoryContextSwitchTo(spi);
	}
	cs_catalog_end(&access);
	return checks;
}

static void
act(const Check *check)
{
	if (check->violated && check->alert_id == 0)
	{
		if (open_alert(check))
			tell("alert.raised", check);
	}
	else if (check->violated)
	{
		if (renew_alert(check) && check->every)
			tell("alert.raised", check);
	}
	else if (check->alert_id != 0 && close_alert(check))
		tell("alert.resolved", check);
}

/* False: another session has just done it, or is about to, and is not waited for.  So with the next two. */
static bool
open_alert(const Check *check)
{
	CsArgs args = { 0 };

	if (!cs_alert_lock(check->sync_id))
		return false;
	cs_args_add_int8(&args, check->sync_id);
	cs_args_add_text(&args, check->sync);
	cs_args_add(&args, OIDOID, ObjectIdGetDatum(check->owner), false);
	cs_args_add_text(&args, check->alert);
	cs_args_add_text(&args, check->message);
	cs_args_add(&args, INT8OID, Int64GetDatum(check->run_id), check->run_id == 0);
	cs_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(GetCurrentTimestamp()), false);
	return cs_catalog_hits("INSERT INTO censync.alert_log (sync_id, sync, owner_oid, alert, "
						   "message, run_id, raised_at, last_at) "
						   "VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT DO NOTHING",
						   &args);
}

static bool
renew_alert(const Check *check)
{
	CsArgs args = { 0 };

	cs_args_add_int8(&args, check->alert_id);
	cs_args_add_text(&args, check->message);
	cs_args_add_int8(&args, check->run_id);
	return cs_catalog_hits("UPDATE censync.alert_log SET times = times + 1, message = $2, "
						   "run_id = $3, last_at = clock_timestamp() WHERE alert_id = ("
						   "SELECT alert_id FROM censync.alert_log WHERE alert_id = $1 "
						   "AND resolved_at IS NULL FOR UPDATE SKIP LOCKED)",
						   &args);
}

/* The row goes on saying why it was raised. */
static bool
close_alert(const Check *check)
{
	CsArgs args = { 0 };

	cs_args_add_int8(&args, check->alert_id);
	return cs_catalog_hits("UPDATE censync.alert_log SET resolved_at = clock_timestamp() "
						   "WHERE alert_id = (SELECT alert_id FROM censync.alert_log "
						   "WHERE alert_id = $1 AND resolved_at IS NULL "
						   "FOR UPDATE SKIP LOCKED)",
						   &args);
}

static void
tell(const char *name, const Check *check)
{
	CsEvent event = { .sync_id = check->sync_id,
					  .sync = check->sync,
					  .owner = check->owner,
					  .run_id = check->run_id,
					  .alert = check->alert,
					  .message = check->message };

	cs_event_tell(name, &event);
}
