/*
 * late_log.c
 *		The log of a run whose own transaction is about to be undone.
 *
 * What is to be written travels in a dynamic shared memory segment, which is
 * pinned until the worker has it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/worker.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "catalog/events.h"
#include "catalog/late_log.h"
#include "catalog/spi.h"

/* All of the row; texts are cut to fit. */
typedef struct LateLog
{
	Oid database;
	int64 run_id;
	int64 sync_id;
	Oid owner;
	bool dry_run;
	TimestampTz started_at;
	TimestampTz finished_at;
	CsRunCounts counts;
	int error_code;
	char sync[NAMEDATALEN * 4];
	char trigger[NAMEDATALEN];
	char message[1024];
	char detail[1024];
	char hint[1024];
} LateLog;

PGDLLEXPORT void cs_late_log_main(Datum handle);

static bool start_worker(dsm_handle handle);
static void write_row(const LateLog *log);
static void tell(const LateLog *log);
static void put_text(char *target, size_t size, const char *text);

void
cs_late_log_write(const CsSync *sync, int64 run_id, const char *trigger, bool dry_run,
				  TimestampTz started_at, const CsRunCounts *counts, const CsError *error)
{
	dsm_segment *segment = dsm_create(sizeof(LateLog), DSM_CREATE_NULL_IF_MAXSEGMENTS);
	LateLog *log;

	if (segment == NULL)
	{
		ereport(LOG, (errmsg("canceled run " INT64_FORMAT " of sync \"%s\" could not be logged",
							 run_id, sync->name)));
		return;
	}
	log = memset(dsm_segment_address(segment), 0, sizeof(LateLog));
	log->database = MyDatabaseId;
	log->run_id = run_id;
	log->sync_id = sync->sync_id;
	log->owner = sync->owner;
	log->dry_run = dry_run;
	log->started_at = started_at;
	log->finished_at = GetCurrentTimestamp();
	log->counts = *counts;
	log->error_code = error->code;
	put_text(log->sync, sizeof(log->sync), sync->name);
	put_text(log->trigger, sizeof(log->trigger), trigger);
	put_text(log->message, sizeof(log->message), error->message);
	put_text(log->detail, sizeof(log->detail), error->detail);
	put_text(log->hint, sizeof(log->hint), error->hint);
	dsm_pin_segment(segment);
	if (!start_worker(dsm_segment_handle(segment)))
	{
		dsm_unpin_segment(dsm_segment_handle(segment));
		ereport(LOG, (errmsg("canceled run " INT64_FORMAT " of sync \"%s\" could not be logged",
							 run_id, sync->name),
					  errhint("There is no free background worker slot: raise "
							  "max_worker_processes.")));
	}
	dsm_detach(segment);
}

/* The worker: attaches, releases the segment, writes the row, ends. */
void
cs_late_log_main(Datum handle)
{
	dsm_segment *segment;
	LateLog log;

	BackgroundWorkerUnblockSignals();
	segment = dsm_attach(DatumGetUInt32(handle));
	if (segment == NULL)
		return;
	memcpy(&log, dsm_segment_address(segment), sizeof(log));
	dsm_unpin_segment(DatumGetUInt32(handle));
	dsm_detach(segment);
	BackgroundWorkerInitializeConnectionByOid(log.database, InvalidOid, 0);
	cs_worker_set_defaults();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	write_row(&log);
	PopActiveSnapshot();
	CommitTransactionCommand();
}

static bool
start_worker(dsm_handle handle)
{
	BackgroundWorker worker;

	cs_worker_init(&worker, "censync run log", "cs_late_log_main");
	worker.bgw_main_arg = UInt32GetDatum(handle);
	return RegisterDynamicBackgroundWorker(&worker, NULL);
}

/* Its unique index makes the insert wait until the canceled transaction is gone. */
static void
write_row(const LateLog *log)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };
	const CsRunCounts *counts = &log->counts;
	bool written;

	cs_catalog_begin(&access);
	cs_args_add_int8(&args, log->run_id);
	cs_args_add_int8(&args, log->sync_id);
	cs_args_add_text(&args, log->sync);
	cs_args_add(&args, OIDOID, ObjectIdGetDatum(log->owner), false);
	cs_args_add_text(&args, log->trigger);
	cs_args_add(&args, BOOLOID, BoolGetDatum(log->dry_run), false);
	cs_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(log->started_at), false);
	cs_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(log->finished_at), false);
	cs_args_add_int8(&args, counts->read);
	cs_args_add_int8(&args, counts->invalid);
	cs_args_add_int8(&args, counts->rejected);
	cs_args_add_int8(&args, counts->bytes);
	cs_args_add_text(&args, cs_error_state(log->error_code));
	cs_args_add_text(&args, log->message);
	cs_args_add_text(&args, log->detail[0] ? log->detail : NULL);
	cs_args_add_text(&args, log->hint[0] ? log->hint : NULL);
	cs_catalog_execute("INSERT INTO censync.run_log (run_id, sync_id, sync, owner_oid, status, "
					   "trigger, dry_run, started_at, finished_at, records_read, records_invalid, "
					   "records_rejected, bytes_read, error_code, error_message, error_detail, "
					   "error_hint) VALUES ($1, $2, $3, $4, 'canceled', $5, $6, $7, $8, $9, $10, "
					   "$11, $12, $13, $14, $15, $16) ON CONFLICT DO NOTHING",
					   &args);
	written = SPI_processed > 0;
	cs_catalog_end(&access);
	if (written && !log->dry_run)
		tell(log);
}

/* What the canceled transaction has told went with it. */
static void
tell(const LateLog *log)
{
	CsError error = { .code = log->error_code, .message = (char *) log->message };
	CsEvent event = { .sync_id = log->sync_id,
					  .sync = log->sync,
					  .owner = log->owner,
					  .run_id = log->run_id,
					  .trigger = log->trigger,
					  .status = "running",
					  .started_at = log->started_at };

	cs_event_tell("sync.triggered", &event);
	cs_event_tell("sync.started", &event);
	event.status = "canceled";
	event.finished_at = log->finished_at;
	event.counts = &log->counts;
	event.error = &error;
	cs_event_tell_end(&event);
}

/* Cut at a character's boundary. */
static void
put_text(char *target, size_t size, const char *text)
{
	if (text)
		strlcpy(target, text, Min(size, (size_t) pg_mbcliplen(text, strlen(text), size - 1) + 1));
}
