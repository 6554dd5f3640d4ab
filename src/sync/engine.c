/*
 * engine.c
 *		A run from its definition to its log.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/user.h"
#include "catalog/locks.h"
#include "sync/add_columns.h"
#include "sync/engine.h"
#include "sync/privileges.h"
#include "sync/run.h"

static CsSync *load_runnable(const char *name, bool pass_over);
static int64 run_locked(const CsSync *sync, const CsRunRequest *request, CsError **failure);
static int64 run_logged(const CsSync *sync, const CsRunRequest *request, CsError **failure);
static CsError *add_columns_first(CsRun *run, MemoryContext result);
static CsError *try_run(CsRun *run, MemoryContext result);
static void take_steps(CsRun *run);
static void set_constraints_immediate(void);
static void prepare(CsRun *run);
static int prepare_destination(CsRun *run);
static void prepare_source(CsRun *run);
static List *column_names(const CsReader *reader);
static void set_for_bulk(void);
static void change_destination(CsRun *run);
static void lock_destination(CsRun *run);
static void count_delta(CsRun *run);

int64
cs_engine_run(const char *name, const CsRunRequest *request, CsError **failure)
{
	CsSync *sync = load_runnable(name, request->pass_over);

	if (sync == NULL)
		return 0;
	if (!cs_run_lock(sync->sync_id, request->durable))
	{
		ereport(request->pass_over ? WARNING : ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("sync \"%s\" is already running", sync->name),
				 errhint("censync.runs shows since when.")));
		return 0;
	}
	return run_locked(sync, request, failure);
}

void
cs_engine_reserve(List *names)
{
	ListCell *lc;

	foreach (lc, names)
	{
		CsSync *sync = cs_sync_find(lfirst(lc));

		if (sync)
			(void) cs_run_lock(sync->sync_id, false);
	}
}

void
cs_engine_validate(const CsSync *sync)
{
	CsRun run = { 0 };
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "censync validation", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = CurrentMemoryContext;
	CsUserContext saved;

	run.sync = sync;
	run.context = context;
	run.dry_run = true;
	/* Its end goes back to the context that is current now, which must be there then. */
	SPI_connect();
	MemoryContextSwitchTo(context);
	cs_user_switch(&saved, sync->owner, CS_SAFE_SEARCH_PATH);
	cs_sync_apply_settings(sync);
	prepare(&run);
	cs_user_restore(&saved);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	SPI_finish();
}

/* NULL: it is passed over. */
static CsSync *
load_runnable(const char *name, bool pass_over)
{
	CsSync *sync = pass_over ? cs_sync_find(name) : cs_sync_load(name);

	if (pass_over && (sync == NULL || sync->paused))
	{
		ereport(WARNING, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						  errmsg("sync \"%s\" is not active any more", name)));
		return NULL;
	}
	cs_sync_check_access(sync);
	if (sync->paused)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("sync \"%s\" is paused", sync->name),
						sync->at_home
							? 0
							: errdetail("It came here with a dump or a copy, or with pg_upgrade."),
						errhint("SELECT censync_resume(%s);", quote_literal_cstr(sync->name))));
	return sync;
}

/* Lets go of the lock on every path. */
static int64
run_locked(const CsSync *sync, const CsRunRequest *request, CsError **failure)
{
	CsRunTimer *outer = cs_run_timer_current();
	volatile int64 run_id;

	cs_run_enter(sync->sync_id);
	PG_TRY();
	{
		run_id = run_logged(sync, request, failure);
	}
	PG_FINALLY();
	{
		cs_run_timer_restore(outer);
		cs_progress_end(sync->sync_id);
		cs_run_leave(sync->sync_id, request->durable);
	}
	PG_END_TRY();
	return run_id;
}

static int64
run_logged(const CsSync *sync, const CsRunRequest *request, CsError **failure)
{
	MemoryContext result = CurrentMemoryContext;
	CsRun run = { 0 };
	CsError *error;

	if (!cs_sync_is_current(sync))
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("sync \"%s\" has just been changed", sync->name),
						errhint("Run it again, in a new transaction.")));
	run.sync = sync;
	run.dry_run = request->dry_run;
	run.limit = request->limit;
	run.trigger = request->trigger;
	run.started_at = GetCurrentTimestamp();
	run.extension = cs_extension_lock(InvalidOid);
	run.run_id = cs_run_log_open(sync, request->trigger, request->dry_run, request->queued);
	run.progress = cs_progress_begin(sync, run.run_id, run.dry_run, run.started_at);
	if (!request->dry_run)
		cs_sync_refresh_names(sync);
	if (request->durable)
	{
		SPI_commit();
		cs_run_lock_again(sync->sync_id);
	}
	MemoryContextSwitchTo(result);
	run.records = cs_record_log_create();
	run.changes = cs_record_log_create();
	run.context = AllocSetContextCreate(result, "censync run", ALLOCSET_DEFAULT_SIZES);
	error = request->durable && !request->dry_run ? add_columns_first(&run, result) : NULL;
	if (error == NULL)
		error = try_run(&run, result);
	MemoryContextDelete(run.context);
	if (request->durable)
		error = cs_run_commit(&run, error, result);
	if (error)
		cs_run_close_failed(&run, error, request->durable);
	cs_record_log_destroy(run.records);
	cs_record_log_destroy(run.changes);
	if (error && cs_error_is_cancel(error->code))
		cs_error_throw(error);
	*failure = error;
	return run.run_id;
}

/* In a transaction of its own, so that the table is not locked while the source is read. */
static CsError *
add_columns_first(CsRun *run, MemoryContext result)
{
	CsRun first = *run;
	ResourceOwner owner = CurrentResourceOwner;
	int level = GetCurrentTransactionNestLevel();
	CsError *volatile error = NULL;
	volatile int added = 0;

	first.context = AllocSetContextCreate(result, "censync added columns", ALLOCSET_DEFAULT_SIZES);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(first.context);
	PG_TRY();
	{
		CsUserContext saved;

		cs_user_switch(&saved, run->sync->owner, CS_SAFE_SEARCH_PATH);
		cs_sync_apply_settings(run->sync);
		PushActiveSnapshot(GetTransactionSnapshot());
		first.has_snapshot = true;
		if (cs_sync_options_parse(run->sync->options)->add_columns)
			added = prepare_destination(&first);
		PopActiveSnapshot();
		cs_user_restore(&saved);
		cs_run_timer_stop(&first.timer);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		error = cs_run_timer_explain(&first.timer, cs_error_catch(result), result);
		cs_error_roll_back(error, level);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(result);
	CurrentResourceOwner = owner;
	MemoryContextDelete(first.context);
	run->has_columns = error == NULL;
	if (added > 0)
	{
		SPI_commit();
		cs_run_lock_again(run->sync->sync_id);
		MemoryContextSwitchTo(result);
	}
	return error;
}

/* In a subtransaction, so that a failed run changes nothing and its log remains. */
static CsError *
try_run(CsRun *run, MemoryContext result)
{
	ResourceOwner owner = CurrentResourceOwner;
	int level = GetCurrentTransactionNestLevel();
	CsError *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(run->context);
	PG_TRY();
	{
		take_steps(run);
		cs_run_timer_stop(&run->timer);
		/* What the source's functions did goes with a dry run, too. */
		if (run->dry_run)
			RollbackAndReleaseCurrentSubTransaction();
		else
		{
			cs_run_write_log(run, "completed", NULL);
			ReleaseCurrentSubTransaction();
		}
	}
	PG_CATCH();
	{
		cs_progress_phase(run->progress, CS_PROGRESS_UNDOING, -1);
		error = cs_run_timer_explain(&run->timer, cs_error_catch(result), result);
		cs_error_roll_back(error, level);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(result);
	CurrentResourceOwner = owner;
	if (run->dry_run && error == NULL)
		cs_run_write_log(run, "completed", NULL);
	return error;
}

static void
take_steps(CsRun *run)
{
	CsUserContext saved;

	/* Deferred triggers can't fire inside a security-restricted operation.  What the transaction has
	 * deferred before fires here, as the role that did it. */
	if (!run->dry_run)
		set_constraints_immediate();
	cs_user_switch(&saved, run->sync->owner, CS_SAFE_SEARCH_PATH);
	cs_sync_apply_settings(run->sync);
	/* A snapshot of our own, so that none is left behind while we wait for the source. */
	PushActiveSnapshot(GetTransactionSnapshot());
	run->has_snapshot = true;
	prepare(run);
	run->has_snapshot = false;
	PopActiveSnapshot();
	cs_run_read(run);
	cs_progress_phase(run->progress, CS_PROGRESS_WAITING, -1);
	PushActiveSnapshot(GetTransactionSnapshot());
	lock_destination(run);
	cs_user_restore(&saved);

	cs_user_switch(&saved, run->apply_as, CS_SAFE_SEARCH_PATH);
	set_for_bulk();
	change_destination(run);
	cs_user_restore(&saved);
	cs_cursor_advance(run);
	PopActiveSnapshot();
	cs_run_end_stages(run);
}

/* In a background worker there is no snapshot of a statement around us. */
static void
set_constraints_immediate(void)
{
	bool needs_snapshot = !ActiveSnapshotSet();

	if (needs_snapshot)
		PushActiveSnapshot(GetTransactionSnapshot());
	cs_run_execute("SET CONSTRAINTS ALL IMMEDIATE", NULL);
	if (needs_snapshot)
		PopActiveSnapshot();
}

/* Everything that can be known, and go wrong, before the source is read. */
static void
prepare(CsRun *run)
{
	(void) prepare_destination(run);
	prepare_source(run);
	cs_privileges_check(run->mappings, run->sync->behavior, run->apply_as);
}

/* Returns how many columns were added to it. */
static int
prepare_destination(CsRun *run)
{
	const CsSync *sync = run->sync;

	run->options = cs_sync_options_parse(sync->options);
	/* A check of the definition is no run. */
	if (run->run_id != 0)
		cs_run_timer_start(&run->timer, run->options->timeout_s);
	if (!OidIsValid(sync->destination))
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("destination %s does not exist any more", sync->destination_name),
			 errhint(
				 "Name another with censync_alter_sync, or the same again if it was made anew.")));
	run->destination = cs_destination_load(sync->destination);
	cs_destination_check(run->destination);
	run->key = cs_destination_find_key(run->destination, sync->sync_key);
	run->apply_as = cs_user_to_apply_as(sync->owner, run->destination->owner);
	if (sync->server)
	{
		run->serverid = get_foreign_server_oid(sync->server, false);
		cs_server_check_usage(run->serverid, sync->owner);
	}
	return cs_columns_add(run);
}

/* A source that knows its columns is opened first; one that doesn't is told which are wanted. */
static void
prepare_source(CsRun *run)
{
	const CsSync *sync = run->sync;
	CsUserContext saved;
	bool knows_columns =
		!OidIsValid(run->serverid) || cs_source_type_of_server(run->serverid)->typed;

	run->spec.serverid = run->serverid;
	run->spec.userid = sync->owner;
	run->spec.query = sync->query;
	run->spec.object = sync->object;
	run->spec.near = run->options->read;
	run->cursor = cs_cursor_create(run);
	run->spec.partial = run->limit >= 0;
	if (knows_columns)
		run->reader = cs_run_open_typed(run, &run->spec);
	run->mappings = cs_mapping_load(sync, run->destination, run->key,
									knows_columns ? column_names(run->reader) : NIL);
	cs_user_switch(&saved, run->apply_as, NULL);
	run->plan = cs_decode_create(run->mappings, knows_columns ? run->reader->columns : NULL,
								 knows_columns ? run->reader->ncolumns : 0);
	cs_user_restore(&saved);
	if (!knows_columns)
	{
		run->spec.wanted = cs_cursor_wanted(run, cs_decode_wanted(run->plan));
		run->reader = cs_reader_open(&run->spec);
	}
	cs_cursor_bind(run);
	if (knows_columns && run->reader->narrow)
	{
		bool *needed = cs_decode_needed(run->plan);

		if (run->cursor)
			cs_cursor_need(run->cursor, needed);
		run->reader->narrow(run->reader, needed);
	}
}

/* A source elsewhere may take long to answer: our snapshot does not wait for it. */
CsReader *
cs_run_open_typed(CsRun *run, const CsReadSpec *spec)
{
	bool elsewhere = OidIsValid(run->serverid) && run->has_snapshot;
	CsReader *reader;

	if (elsewhere)
		PopActiveSnapshot();
	reader = cs_reader_open(spec);
	if (elsewhere)
		PushActiveSnapshot(GetTransactionSnapshot());
	return reader;
}

static List *
column_names(const CsReader *reader)
{
	List *names = NIL;

	for (int i = 0; i < reader->ncolumns; i++)
		names = lappend(names, reader->columns[i].name);
	return names;
}

/*
 * The comparison may use what other bulk work on a table may: maintenance_work_mem, in all, hashes
 * included.  Code that is compiled for one statement does not pay; and rows are wanted in the order of the
 * table.
 */
static void
set_for_bulk(void)
{
	int bulk = (int) (maintenance_work_mem / Max(hash_mem_multiplier, 1.0));

	if (bulk > work_mem)
		cs_user_set("work_mem", psprintf("%d", bulk));
	cs_user_set("jit", "off");
	cs_user_set("max_parallel_workers_per_gather", "0");
	cs_user_set("synchronize_seqscans", "off");
}

static void
change_destination(CsRun *run)
{
	if (!run->dry_run)
		cs_apply_lock(run->destination->relid);
	cs_run_drop_duplicates(run);
	cs_progress_phase(run->progress, CS_PROGRESS_COMPARING, run->stage->count);
	cs_run_plan_deletes(run);
	cs_run_diff(run);
	cs_run_find_deletes(run);
	if (run->dry_run)
		count_delta(run);
	else
	{
		cs_run_apply(run);
		cs_run_update_memory(run);
		cs_run_check_bad_share(run, true);
	}
	run->counts.unchanged = run->counts.read - run->counts.invalid - run->counts.created -
							run->counts.updated - run->counts.skipped -
							(run->counts.rejected - run->rejected_deletes);
}

/* Only now: no lock on the destination is held while the source is read. */
static void
lock_destination(CsRun *run)
{
	CsDestination *now;

	cs_extension_lock(run->extension);
	LockRelationOid(run->destination->relid, RowExclusiveLock);
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(run->destination->relid)))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("destination %s was dropped during the run",
							   cs_destination_quoted(run->destination)),
						errhint("Name another with censync_alter_sync.")));
	now = cs_destination_load(run->destination->relid);
	if (!cs_destination_equal(run->destination, now))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("destination %s was altered during the run",
							   cs_destination_quoted(run->destination)),
						errhint("Nothing was changed. Run again.")));
}

static void
count_delta(CsRun *run)
{
	run->counts.created = run->creates->count;
	run->counts.updated = run->updates->count;
	run->counts.deleted = run->deletes ? run->deletes->count : 0;
}
