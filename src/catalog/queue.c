/*
 * queue.c
 *		Runs that wait for a worker, and the end of those whose worker is gone.
 *
 * A run's row is committed before the run begins, and is called running as
 * long as nobody has closed it.  So a crash needs no counting beforehand: the
 * row that remains is the count.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "catalog/queue.h"
#include "catalog/run_events.h"
#include "catalog/run_log.h"
#include "catalog/spi.h"

/* So many crashes in a row pause a sync. */
#define MAX_CRASHES 5

#define SELECT_QUEUED                                                                              \
	"SELECT l.run_id, l.sync_id, d.name, d.owner_oid, d.server_name, l.trigger "                   \
	"FROM censync.run_log l JOIN censync.sync_definition d ON d.sync_id = l.sync_id "              \
	"WHERE l.status = 'queued' "

/* How a run ends, of the arguments of end(). */
#define ENDED                                                                                      \
	"status = $2, finished_at = $3, error_code = $4, error_message = $5, error_detail = $6, "      \
	"error_hint = $7"

#define END_UNLOCKED(from)                                                                         \
	"UPDATE censync.run_log SET " ENDED " WHERE run_id = (SELECT run_id FROM censync.run_log "     \
	"WHERE run_id = $1 AND status = " from " FOR UPDATE SKIP LOCKED) RETURNING run_id"

static List *list(const char *sql, CsArgs *args);
static bool end(const char *sql, int64 run_id, const char *status, const CsError *error);

int64
cs_queue_add(const CsSync *sync, const char *trigger)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };
	int64 run_id;
	bool isnull;

	cs_catalog_begin(&access);
	cs_args_add_int8(&args, sync->sync_id);
	cs_args_add_text(&args, sync->name);
	cs_args_add(&args, OIDOID, ObjectIdGetDatum(sync->owner), false);
	cs_args_add_text(&args, trigger);
	cs_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(cs_clock_now()), false);
	cs_catalog_execute("INSERT INTO censync.run_log (sync_id, sync, owner_oid, status, trigger, "
					   "dry_run, started_at) VALUES ($1, $2, $3, 'queued', $4, false, $5) "
					   "RETURNING run_id",
					   &args);
	run_id = DatumGetInt64(cs_catalog_datum(0, 1, &isnull));
	cs_catalog_end(&access);
	cs_run_tell_triggered(sync, run_id, trigger);
	return run_id;
}

List *
cs_queue_list(void)
{
	CsArgs args = { 0 };

	return list(SELECT_QUEUED "ORDER BY l.run_id", &args);
}

CsQueuedRun *
cs_queue_find(int64 run_id)
{
	CsArgs args = { 0 };
	List *found;

	cs_args_add_int8(&args, run_id);
	found = list(SELECT_QUEUED "AND l.run_id = $1", &args);
	return found == NIL ? NULL : linitial(found);
}

int64
cs_queue_of_sync(int64 sync_id)
{
	CsArgs args = { 0 };
	List *found;

	cs_args_add_int8(&args, sync_id);
	found = list(SELECT_QUEUED "AND l.sync_id = $1", &args);
	return found == NIL ? 0 : ((CsQueuedRun *) linitial(found))->run_id;
}

bool
cs_queue_is_abandoned(int64 run_id)
{
	CsArgs args = { 0 };

	cs_args_add_int8(&args, run_id);
	return cs_catalog_hits("SELECT FROM censync.run_log WHERE run_id = $1 "
						   "AND started_at < clock_timestamp() - interval '1 minute'",
						   &args);
}

bool
cs_queue_hold(int64 run_id)
{
	CsArgs args = { 0 };

	cs_args_add_int8(&args, run_id);
	return cs_catalog_hits("SELECT FROM censync.run_log WHERE run_id = $1 AND status = 'queued' "
						   "FOR SHARE SKIP LOCKED",
						   &args);
}

void
cs_queue_cancel_of_sync(int64 sync_id)
{
	int64 run_id;

	/* Two sessions may have started it at the same moment. */
	while ((run_id = cs_queue_of_sync(sync_id)) != 0)
		if (!cs_queue_end(run_id, "canceled",
						  &(CsError){ .code = ERRCODE_QUERY_CANCELED,
									  .message = "the sync was dropped",
									  .detail = "The run had not begun." }))
			break;
}

bool
cs_queue_end(int64 run_id, const char *status, const CsError *error)
{
	return end("UPDATE censync.run_log SET " ENDED " WHERE run_id = $1 AND status = 'queued' "
			   "RETURNING run_id",
			   run_id, status, error);
}

bool
cs_queue_end_unlocked(int64 run_id, const char *status, const CsError *error)
{
	return end(END_UNLOCKED("'queued'"), run_id, status, error);
}

bool
cs_queue_end_left(int64 run_id)
{
	static const CsError kept_out = {
		.code = ERRCODE_CANNOT_CONNECT_NOW,
		.message = "its worker ended before the run began",
		.detail = "Nothing was changed.",
		.hint = "The server log says why: perhaps its owner may not connect to this database now."
	};
	static const CsError lost = {
		.code = ERRCODE_SYSTEM_ERROR,
		.message = "the worker that ran it is gone",
		.detail = "The destination is as it was before the run.",
		.hint = "The server log says what ended the worker. The next run starts afresh."
	};

	if (cs_queue_end_unlocked(run_id, "failed", &kept_out))
		return false;
	/* Another worker may have been sent for it, and have it. */
	return end(END_UNLOCKED("'running' AND censync.is_lost(run_id, sync_id)"), run_id, "crashed",
			   &lost);
}

uint64
cs_queue_end_lost(void)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };
	uint64 count;

	cs_catalog_begin(&access);
	count = cs_catalog_execute("UPDATE censync.run_log SET " CS_RUN_IS_CRASHED
							   " WHERE run_id = ANY (ARRAY(SELECT run_id FROM censync.run_log "
							   "WHERE status = 'running' AND censync.is_lost(run_id, sync_id) "
							   "FOR UPDATE SKIP LOCKED)) RETURNING run_id",
							   &args);
	cs_run_tell_ended(&access, count);
	cs_catalog_end(&access);
	return count;
}

void
cs_queue_pause_crashing(int64 sync_id)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };

	cs_catalog_begin(&access);
	cs_args_add_text(&args, cs_home());
	cs_args_add(&args, INT4OID, Int32GetDatum(MAX_CRASHES), false);
	cs_args_add_int8(&args, sync_id);
	cs_catalog_execute(
		"UPDATE censync.sync_definition SET paused = true, "
		"paused_reason = pg_catalog.format('its last %s runs all crashed', $2) "
		"WHERE sync_id = ANY (ARRAY(SELECT d.sync_id FROM censync.sync_definition d WHERE home = "
		"$1 AND NOT paused AND ($3 = 0 OR d.sync_id = $3) AND $2 = "
		"(SELECT pg_catalog.count(*) FILTER (WHERE l.status = 'crashed') FROM "
		"(SELECT r.status FROM censync.run_log r WHERE r.sync_id = d.sync_id AND NOT r.dry_run "
		"ORDER BY r.run_id DESC LIMIT $2) l) FOR UPDATE SKIP LOCKED)) RETURNING name",
		&args);
	for (uint64 i = 0; i < SPI_processed; i++)
		ereport(WARNING, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						  errmsg("sync \"%s\" is paused: its last %d runs all crashed",
								 cs_catalog_text(&access, i, 1), MAX_CRASHES),
						  errhint("Find the cause in the server log, then censync_resume it.")));
	cs_catalog_end(&access);
}

static List *
list(const char *sql, CsArgs *args)
{
	CsCatalogAccess access;
	List *runs = NIL;
	bool isnull;

	cs_catalog_begin(&access);
	cs_catalog_execute_latest(sql, args);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		CsQueuedRun *run = MemoryContextAllocZero(access.caller, sizeof(CsQueuedRun));
		MemoryContext spi;

		run->run_id = DatumGetInt64(cs_catalog_datum(i, 1, &isnull));
		run->sync_id = DatumGetInt64(cs_catalog_datum(i, 2, &isnull));
		run->sync = cs_catalog_text(&access, i, 3);
		run->owner = DatumGetObjectId(cs_catalog_datum(i, 4, &isnull));
		run->server = cs_catalog_text(&access, i, 5);
		run->trigger = cs_catalog_text(&access, i, 6);
		spi = MemoryContextSwitchTo(access.caller);
		runs = lappend(runs, run);
		MemoryContextSwitchTo(spi);
	}
	cs_catalog_end(&access);
	return runs;
}

static bool
end(const char *sql, int64 run_id, const char *status, const CsError *error)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };
	bool ended;

	cs_catalog_begin(&access);
	cs_args_add_int8(&args, run_id);
	cs_args_add_text(&args, status);
	cs_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(cs_clock_now()), false);
	cs_args_add_text(&args, cs_error_state(error->code));
	cs_args_add_text(&args, error->message);
	cs_args_add_text(&args, error->detail);
	cs_args_add_text(&args, error->hint);
	ended = cs_catalog_execute_latest(sql, &args) > 0;
	cs_run_tell_ended(&access, SPI_processed);
	cs_catalog_end(&access);
	return ended;
}
