/*
 * scheduled.c
 *		Syncs that have a schedule, with what decides when they run next.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/errors.h"
#include "catalog/scheduled.h"
#include "catalog/spi.h"

/* Runs that are looked back at; more failures in a row make no difference. */
#define LOOK_BACK "20"

#define DEFAULT_RETRIES "5"

/*
 * The last run; of those before it, failures since one was good; and whether each parent's last run was
 * good and is one that the child has not followed.
 */
#define SELECT_SCHEDULED                                                                           \
	"SELECT d.sync_id, d.name, d.owner_oid, d.server_name, d.schedule, d.schedule_since, "         \
	"CASE WHEN d.options ->> 'retries' ~ '^[0-9]{1,4}$' THEN d.options ->> 'retries' "             \
	"ELSE '" DEFAULT_RETRIES "' END::pg_catalog.int4, "                                            \
	"l.status, l.started_at, coalesce(l.finished_at, l.started_at), l.error_code, "                \
	"CASE WHEN l.status IN ('failed', 'crashed') THEN (SELECT count(*) FROM "                      \
	"(SELECT f.status, bool_or(f.status = 'completed') OVER (ORDER BY f.run_id DESC) AS good "     \
	"FROM "                                                                                        \
	"(SELECT r.run_id, r.status FROM censync.run_log r WHERE r.sync_id = d.sync_id "               \
	"AND NOT r.dry_run ORDER BY r.run_id DESC LIMIT " LOOK_BACK ") f) f "                          \
	"WHERE NOT f.good AND f.status IN ('failed', 'crashed')) ELSE 0 END::int4, "                   \
	"(SELECT bool_and(coalesce((SELECT CASE WHEN r.status = 'completed' THEN r.run_id ELSE 0 END " \
	"FROM censync.run_log r WHERE r.sync_id = p.parent_id AND NOT r.dry_run "                      \
	"AND r.status IN ('completed', 'failed', 'crashed') ORDER BY r.run_id DESC LIMIT 1), 0) "      \
	"> p.seen_run_id) FROM censync.sync_parent p WHERE p.sync_id = d.sync_id), "                   \
	"EXISTS (SELECT FROM censync.run_log q WHERE q.sync_id = d.sync_id AND q.status = 'queued') "  \
	"FROM censync.sync_definition d LEFT JOIN LATERAL "                                            \
	"(SELECT r.started_at, r.finished_at, r.error_code, CASE WHEN r.status = 'running' "           \
	"AND censync.is_lost(r.run_id, r.sync_id) THEN 'crashed' ELSE r.status END AS status "         \
	"FROM censync.run_log r WHERE r.sync_id = d.sync_id AND NOT r.dry_run "                        \
	"ORDER BY r.run_id DESC LIMIT 1) l ON true "                                                   \
	"WHERE d.schedule IS NOT NULL AND NOT d.paused AND d.home = $1 AND "

/* By CsScheduledScope. */
static const char *const statements[] = {
	SELECT_SCHEDULED "d.scheduler = 'launcher'",
	SELECT_SCHEDULED "d.scheduler = 'launcher' AND d.sync_id IN "
					 "(SELECT $2 UNION SELECT p.sync_id FROM censync.sync_parent p "
					 "WHERE p.parent_id = $2)",
	SELECT_SCHEDULED "d.sync_id = $2",
};

PG_FUNCTION_INFO_V1(censync_next_run);
PG_FUNCTION_INFO_V1(censync_next_time);

static CsScheduledSync *from_row(CsCatalogAccess *access, uint64 row);
static void take_history(CsScheduledSync *sync, CsCatalogAccess *access, uint64 row);

/* SQL: censync.next_run(sync_id) */
PGDLLEXPORT Datum
censync_next_run(PG_FUNCTION_ARGS)
{
	TimestampTz due = cs_scheduled_next_run(PG_GETARG_INT64(0));

	if (due == DT_NOEND)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(due);
}

/* SQL: censync.next_time(schedule, after) */
PGDLLEXPORT Datum
censync_next_time(PG_FUNCTION_ARGS)
{
	TimestampTz after = PG_GETARG_TIMESTAMPTZ(1);
	CsSchedule schedule;
	TimestampTz next;

	if (TIMESTAMP_NOT_FINITE(after))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp must be finite")));
	cs_schedule_parse_or_throw(text_to_cstring(PG_GETARG_TEXT_PP(0)), &schedule);
	next = cs_schedule_next_time(&schedule, after, after);
	if (next == DT_NOEND)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(next);
}

TimestampTz
cs_scheduled_next_run(int64 sync_id)
{
	List *found = cs_scheduled_list(CS_SCHEDULED_ONE, sync_id);
	CsScheduledSync *sync = found == NIL ? NULL : linitial(found);

	if (sync == NULL || sync->broken || !has_privs_of_role(GetUserId(), sync->owner))
		return DT_NOEND;
	return cs_schedule_due(&sync->schedule, &sync->history, cs_clock_now());
}

List *
cs_scheduled_list(CsScheduledScope scope, int64 sync_id)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };
	List *syncs = NIL;

	cs_catalog_begin(&access);
	cs_args_add_text(&args, cs_home());
	cs_args_add_int8(&args, sync_id);
	cs_catalog_execute(statements[scope], &args);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		MemoryContext spi = MemoryContextSwitchTo(access.caller);

		syncs = lappend(syncs, from_row(&access, i));
		MemoryContextSwitchTo(spi);
	}
	cs_catalog_end(&access);
	return syncs;
}

bool
cs_scheduled_hold(int64 sync_id)
{
	CsArgs args = { 0 };

	cs_args_add_int8(&args, sync_id);
	return cs_catalog_hits("SELECT FROM censync.sync_definition WHERE sync_id = $1 "
						   "FOR SHARE SKIP LOCKED",
						   &args);
}

static CsScheduledSync *
from_row(CsCatalogAccess *access, uint64 row)
{
	CsScheduledSync *sync = palloc0(sizeof(CsScheduledSync));
	const char *problem;
	bool isnull;

	sync->sync_id = DatumGetInt64(cs_catalog_datum(row, 1, &isnull));
	sync->name = cs_catalog_text(access, row, 2);
	sync->owner = DatumGetObjectId(cs_catalog_datum(row, 3, &isnull));
	sync->server = cs_catalog_text(access, row, 4);
	if (!cs_schedule_parse(cs_catalog_text(access, row, 5), &sync->schedule, &problem))
		sync->broken = problem;
	take_history(sync, access, row);
	return sync;
}

static void
take_history(CsScheduledSync *sync, CsCatalogAccess *access, uint64 row)
{
	CsScheduleHistory *history = &sync->history;
	char *status = cs_catalog_text(access, row, 8);
	char *code = cs_catalog_text(access, row, 11);
	bool isnull;

	history->sync_id = sync->sync_id;
	history->since = DatumGetTimestampTz(cs_catalog_datum(row, 6, &isnull));
	history->retries = DatumGetInt32(cs_catalog_datum(row, 7, &isnull));
	history->has_run = status != NULL;
	history->parents_are_done = DatumGetBool(cs_catalog_datum(row, 13, &isnull)) && !isnull;
	/* One that waits may be older than one that did not have to. */
	sync->busy = DatumGetBool(cs_catalog_datum(row, 14, &isnull));
	if (status == NULL)
		return;
	history->crashed = strcmp(status, "crashed") == 0;
	history->failed = history->crashed || strcmp(status, "failed") == 0;
	history->may_pass = code && cs_error_may_pass(code);
	history->started_at = DatumGetTimestampTz(cs_catalog_datum(row, 9, &isnull));
	history->finished_at = DatumGetTimestampTz(cs_catalog_datum(row, 10, &isnull));
	history->failures = Max(1, DatumGetInt32(cs_catalog_datum(row, 12, &isnull)));
	sync->busy |= strcmp(status, "running") == 0;
}
