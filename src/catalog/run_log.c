/*
 * run_log.c
 *		What is known of runs: one row each, and the records that went wrong.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include <limits.h>

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "base/clock.h"
#include "catalog/beacon.h"
#include "catalog/locks.h"
#include "catalog/run_events.h"
#include "catalog/run_log.h"
#include "catalog/spi.h"

/* A worker waits for so long at most for whoever is about to cancel its run, where the launcher sends another one. */
#define LONGEST_WAIT "1s"

/* Memory before the waiting outcomes go to disk, in kB. */
#define RECORD_LOG_WORK_MEM 4096

/* Bytes of a record that are logged whole, and what is kept of a larger one. */
#define MAX_PAYLOAD (1024 * 1024)
#define KEPT_OF_PAYLOAD 8192

PG_FUNCTION_INFO_V1(censync_is_lost);

static bool is_called_running(int64 run_id);
static int64 insert_run(const CsSync *sync, const char *trigger, bool dry_run);
static int64 take_queued(int64 run_id);
static void end_store(void *store);
static const char *bounded(const char *payload);
static Datum log_jsonb(const char *json, bool own);
static Datum safe_jsonb(const char *json);

/* SQL: censync.is_lost(run_id, sync_id) */
PGDLLEXPORT Datum
censync_is_lost(PG_FUNCTION_ARGS)
{
	/* A standby has the rows of the log, but not the locks. */
	if (RecoveryInProgress())
		PG_RETURN_NULL();
	/* The lock first: a run that ends well has committed its row before it lets go of the lock, but the row that
	 * the caller has may be older than both. */
	PG_RETURN_BOOL(!cs_run_is_locked(PG_GETARG_INT64(1)) && is_called_running(PG_GETARG_INT64(0)));
}

int64
cs_run_log_open(const CsSync *sync, const char *trigger, bool dry_run, int64 queued)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };
	int64 run_id;

	cs_catalog_begin(&access);
	cs_args_add_int8(&args, sync->sync_id);
	cs_catalog_execute("UPDATE censync.run_log SET " CS_RUN_IS_CRASHED
					   " WHERE sync_id = $1 AND status = 'running' RETURNING run_id",
					   &args);
	cs_run_tell_ended(&access, SPI_processed);
	run_id = queued ? take_queued(queued) : insert_run(sync, trigger, dry_run);
	cs_catalog_end(&access);
	if (!dry_run && !queued)
		cs_run_tell_triggered(sync, run_id, trigger);
	if (!dry_run)
		cs_run_tell_started(sync, run_id, trigger);
	return run_id;
}

void
cs_run_log_close(int64 run_id, const char *status, const CsRunCounts *counts, const CsError *error)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };

	cs_catalog_begin(&access);
	cs_args_add_int8(&args, run_id);
	cs_args_add_text(&args, status);
	cs_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(cs_clock_now()), false);
	cs_args_add_int8(&args, counts->read);
	cs_args_add_int8(&args, counts->invalid);
	cs_args_add_int8(&args, counts->rejected);
	cs_args_add_int8(&args, counts->created);
	cs_args_add_int8(&args, counts->updated);
	cs_args_add_int8(&args, counts->deleted);
	cs_args_add_int8(&args, counts->unchanged);
	cs_args_add_int8(&args, counts->skipped);
	cs_args_add_int8(&args, counts->bytes);
	cs_args_add_text(&args, error ? cs_error_state(error->code) : NULL);
	cs_args_add_text(&args, error ? error->message : NULL);
	cs_args_add_text(&args, error ? error->detail : NULL);
	cs_args_add_text(&args, error ? error->hint : NULL);
	cs_catalog_execute("UPDATE censync.run_log SET status = $2, finished_at = $3, "
					   "records_read = $4, records_invalid = $5, records_rejected = $6, "
					   "records_created = $7, records_updated = $8, records_deleted = $9, "
					   "records_unchanged = $10, records_skipped = $11, bytes_read = $12, "
					   "error_code = $13, error_message = $14, error_detail = $15, "
					   "error_hint = $16 WHERE run_id = $1 RETURNING " CS_RUN_TOLD,
					   &args);
	if (SPI_processed > 0)
		cs_run_tell_end(&access, 0, status, counts, error);
	cs_catalog_end(&access);
}

CsRecordLog *
cs_record_log_create(void)
{
	static const struct
	{
		const char *name;
		Oid type;
	} columns[] = { { "record_number", INT8OID },  { "sync_key", JSONBOID },
					{ "operation", TEXTOID },	   { "status", TEXTOID },
					{ "reason_code", TEXTOID },	   { "reason", TEXTOID },
					{ "payload", JSONBOID },	   { "column_name", TEXTOID },
					{ "constraint_name", TEXTOID } };
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "censync record log", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	CsRecordLog *log = palloc0(sizeof(CsRecordLog));
	MemoryContext end;

	log->context = context;
	log->desc = CreateTemplateTupleDesc(lengthof(columns));
	for (int i = 0; i < (int) lengthof(columns); i++)
		TupleDescInitEntry(log->desc, i + 1, columns[i].name, columns[i].type, -1, 0);
	/* Across transactions: its files must not go with the one that is committed or undone first. */
	log->store = tuplestore_begin_heap(false, true, RECORD_LOG_WORK_MEM);
	log->end.func = end_store;
	log->end.arg = log->store;
	/* Since 18 the store has a context below ours, which must not go before it is ended.  Of several
	 * children the newest goes first. */
	end = AllocSetContextCreate(context, "censync record log end", ALLOCSET_SMALL_SIZES);
	MemoryContextRegisterResetCallback(end, &log->end);
	MemoryContextSwitchTo(old);
	return log;
}

void
cs_record_log_destroy(CsRecordLog *log)
{
	MemoryContextDelete(log->context);
}

void
cs_record_log_add(CsRecordLog *log, const CsRecordOutcome *outcome)
{
	MemoryContext scratch =
		AllocSetContextCreate(CurrentMemoryContext, "censync record outcome", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	const CsError *error = outcome->error;
	const char *texts[] = { error ? cs_error_state(error->code) : NULL,
							error ? error->message : NULL };
	Datum values[9] = { 0 };
	bool nulls[9];

	memset(nulls, true, sizeof(nulls));
#define SET(i, datum) (values[i] = (datum), nulls[i] = false)
#define SET_TEXT(i, text) ((text) ? (void) SET(i, CStringGetTextDatum(text)) : (void) 0)
	if (outcome->record_number > 0)
		SET(0, Int64GetDatum(outcome->record_number));
	if (outcome->sync_key)
		SET(1, log_jsonb(outcome->sync_key, outcome->own_json));
	SET_TEXT(2, outcome->operation);
	SET_TEXT(3, outcome->status);
	SET_TEXT(4, texts[0]);
	SET_TEXT(5, texts[1]);
	if (outcome->payload)
		SET(6, log_jsonb(bounded(outcome->payload), outcome->own_json));
	SET_TEXT(7, error ? error->column : NULL);
	SET_TEXT(8, error ? error->constraint : NULL);
#undef SET
#undef SET_TEXT
	tuplestore_putvalues(log->store, log->desc, values, nulls);
	log->count++;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}

void
cs_record_log_write(CsRecordLog *log, int64 run_id)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };
	EphemeralNamedRelationData outcomes = { 0 };

	if (log->count == 0)
		return;
	cs_catalog_begin(&access);
	outcomes.md.name = "outcomes";
	outcomes.md.reliddesc = InvalidOid;
	outcomes.md.tupdesc = log->desc;
	outcomes.md.enrtype = ENR_NAMED_TUPLESTORE;
	outcomes.md.enrtuples = log->count;
	outcomes.reldata = log->store;
	if (SPI_register_relation(&outcomes) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register the outcomes of records");
	cs_args_add_int8(&args, run_id);
	cs_catalog_execute("INSERT INTO censync.record_log SELECT $1, o.* FROM outcomes o", &args);
	cs_catalog_end(&access);
}

static bool
is_called_running(int64 run_id)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };
	bool is;

	cs_catalog_begin(&access);
	cs_args_add_int8(&args, run_id);
	is = cs_catalog_select_latest("SELECT FROM censync.run_log WHERE run_id = $1 "
								  "AND status = 'running'",
								  &args) > 0;
	cs_catalog_end(&access);
	return is;
}

static int64
insert_run(const CsSync *sync, const char *trigger, bool dry_run)
{
	CsArgs args = { 0 };
	bool isnull;

	cs_args_add_int8(&args, sync->sync_id);
	cs_args_add_text(&args, sync->name);
	cs_args_add(&args, OIDOID, ObjectIdGetDatum(sync->owner), false);
	cs_args_add_text(&args, trigger);
	cs_args_add(&args, BOOLOID, BoolGetDatum(dry_run), false);
	cs_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(cs_clock_now()), false);
	cs_catalog_execute("INSERT INTO censync.run_log (sync_id, sync, owner_oid, status, trigger, "
					   "dry_run, started_at) VALUES ($1, $2, $3, 'running', $4, $5, $6) "
					   "RETURNING run_id",
					   &args);
	return DatumGetInt64(cs_catalog_datum(0, 1, &isnull));
}

static int64
take_queued(int64 run_id)
{
	CsArgs args = { 0 };

	if (cs_beacon_is_lit())
		cs_user_set("lock_timeout", LONGEST_WAIT);
	cs_args_add_int8(&args, run_id);
	cs_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(cs_clock_now()), false);
	if (cs_catalog_execute("UPDATE censync.run_log SET status = 'running', started_at = $2 "
						   "WHERE run_id = $1 AND status = 'queued'",
						   &args) == 0)
		ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED),
						errmsg("run " INT64_FORMAT " does not wait to be run any longer", run_id)));
	return run_id;
}

static void
end_store(void *store)
{
	tuplestore_end(store);
}

/* The payload, or the beginning of one that is too large to keep. */
static const char *
bounded(const char *payload)
{
	size_t len = strlen(payload);
	StringInfoData json;
	char *start;

	if (len <= MAX_PAYLOAD)
		return payload;
	start = pnstrdup(payload, pg_mbcliplen(payload, (int) Min(len, INT_MAX), KEPT_OF_PAYLOAD));
	initStringInfo(&json);
	appendStringInfo(&json, "{\"payload_bytes\": %zu, \"payload_begins\": ", len);
	escape_json(&json, start);
	appendStringInfoChar(&json, '}');
	return json.data;
}

/* A subtransaction for each of a million records is to be had only where it is needed. */
static Datum
log_jsonb(const char *json, bool own)
{
	return own ? DirectFunctionCall1(jsonb_in, CStringGetDatum(json)) : safe_jsonb(json);
}

/* Text that may or may not be JSON that jsonb can hold, as jsonb; what it can't hold becomes a string. */
static Datum
safe_jsonb(const char *json)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int level = GetCurrentTransactionNestLevel();
	volatile Datum result = 0;
	StringInfoData quoted;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		result = DirectFunctionCall1(jsonb_in, CStringGetDatum(json));
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		CsError *error = cs_error_catch(caller);

		cs_error_roll_back(error, level);
		if (!cs_error_is_of_row(error->code))
			cs_error_throw(error);
		result = 0;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	if (result != 0)
		return result;
	initStringInfo(&quoted);
	escape_json(&quoted, json);
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(quoted.data));
}
