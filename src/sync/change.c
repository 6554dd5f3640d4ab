/*
 * change.c
 *		One kind of change being applied, past rows that the destination refuses.
 *
 * A set is tried as one statement.  If that fails for a reason that can be a
 * row's, the set is taken in parts, and a part that fails in halves, each
 * attempt in a subtransaction, down to single rows.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "sync/change.h"
#include "sync/sqlgen.h"

/* Rows of a set that failed are retried in parts of so many. */
#define PART_ROWS 1024

/* So many refused rows of one kind at most are tried again: they are kept in memory. */
#define MAX_REFUSED 10000

/* A row that was refused by itself and may yet pass; in the change's refused_context. */
typedef struct CsRefusal
{
	MinimalTuple row;
	CsError *error;
} CsRefusal;

static void apply_in_parts(CsChange *change, CsStage *set);
static void apply_rows(CsChange *change, MinimalTuple *rows, int n);
static void fill_part(CsChange *change, MinimalTuple *rows, int n);
static void end_part(CsChange *change);
static CsError *try_statement(CsChange *change);
static CsError *try_once(CsChange *change, bool returning, bool *short_of_rows);
static void note_result(CsChange *change, uint64 processed, bool returning);
static void log_changes(CsChange *change);
static void refuse_row(CsChange *change, MinimalTuple row, const CsError *error);
static bool may_pass_later(int code);
static void blame_row(CsChange *change, MinimalTuple row, const CsError *error);
static bool lost_a_race(CsChange *change, const CsError *error);
static bool key_exists_by_now(CsChange *change);

void
cs_change_init(CsChange *change, CsRun *run, CsChangeKind kind, CsStage *stage)
{
	const CsMappingSet *set = run->mappings;

	memset(change, 0, sizeof(*change));
	change->run = run;
	change->kind = kind;
	change->set = stage;
	change->operation = kind == CS_CHANGE_DELETE   ? "delete"
						: kind == CS_CHANGE_UPDATE ? "update"
												   : "insert";
	change->sql = kind == CS_CHANGE_DELETE	 ? cs_sql_delete(set)
				  : kind == CS_CHANGE_UPDATE ? cs_sql_update(set)
											 : cs_sql_insert(set);
	change->sql_returning = cs_sql_returning_key(set, change->sql, kind == CS_CHANGE_UPDATE);
	change->must_return =
		run->options->log_changes || (kind != CS_CHANGE_DELETE && cs_run_tracks(run));
	change->settled = true;
}

void
cs_change_apply(CsChange *change, CsStage *set)
{
	CsError *error;

	if (set->count == 0)
		return;
	change->part = set;
	cs_stage_register(set);
	error = try_statement(change);
	cs_stage_unregister(set);
	/* With on_error = fail too: the row to blame is named, and its values stay out of the message. */
	if (error)
		apply_in_parts(change, set);
	if (change->returned)
		cs_stage_end(change->returned);
	change->returned = NULL;
}

bool
cs_change_retry(CsChange *change)
{
	CsStage *set;
	TupleTableSlot *slot;
	ListCell *lc;

	if (change->refused == NIL)
		return false;
	set = cs_stage_create_like(change->set);
	slot = MakeSingleTupleTableSlot(set->desc, &TTSOpsMinimalTuple);
	foreach (lc, change->refused)
	{
		ExecStoreMinimalTuple(((CsRefusal *) lfirst(lc))->row, slot, false);
		cs_stage_put_slot(set, slot);
	}
	ExecDropSingleTupleTableSlot(slot);
	change->refused = NIL;
	MemoryContextReset(change->refused_context);
	cs_change_apply(change, set);
	cs_stage_end(set);
	return true;
}

void
cs_change_blame_refused(CsChange *change)
{
	ListCell *lc;

	foreach (lc, change->refused)
		blame_row(change, ((CsRefusal *) lfirst(lc))->row, ((CsRefusal *) lfirst(lc))->error);
	if (change->refused_context)
		MemoryContextDelete(change->refused_context);
}

void
cs_change_settle(CsRun *run, CsStage *stage)
{
	TupleTableSlot *slot = cs_stage_rewind(stage);
	bool isnull;

	while (cs_stage_next(stage, slot))
		cs_number_set_add(run->settled, DatumGetInt64(slot_getattr(slot, 1, &isnull)));
}

static void
apply_in_parts(CsChange *change, CsStage *set)
{
	MemoryContext part_context =
		AllocSetContextCreate(change->run->context, "censync part", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(part_context);
	MinimalTuple *rows = palloc(sizeof(MinimalTuple) * PART_ROWS);
	TupleTableSlot *slot = cs_stage_rewind(set);
	MemoryContext rows_context =
		AllocSetContextCreate(part_context, "censync rows of part", ALLOCSET_DEFAULT_SIZES);
	bool more = true;

	change->in_parts = true;
	change->part = palloc0(sizeof(CsStage));
	change->part->name = "part";
	change->part->desc = set->desc;
	change->part->full = set->full;
	MemoryContextSwitchTo(rows_context);
	while (more)
	{
		int n = 0;

		while (n < PART_ROWS && (more = cs_stage_next(set, slot)))
			rows[n++] = ExecCopySlotMinimalTuple(slot);
		if (n > 0)
			apply_rows(change, rows, n);
		/* A row read back from disk belongs to the slot, in this context. */
		if (more)
			ExecClearTuple(slot);
		MemoryContextReset(rows_context);
	}
	MemoryContextSwitchTo(part_context);
	end_part(change);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(part_context);
}

static void
apply_rows(CsChange *change, MinimalTuple *rows, int n)
{
	CsError *error;

	CHECK_FOR_INTERRUPTS();
	fill_part(change, rows, n);
	error = try_statement(change);
	if (error == NULL)
		return;
	if (n == 1)
	{
		if (lost_a_race(change, error))
			change->settled = false;
		else
			refuse_row(change, rows[0], error);
		return;
	}
	apply_rows(change, rows, n / 2);
	apply_rows(change, rows + n / 2, n - n / 2);
}

/* A store of its own for each attempt: those that were read keep a read pointer for each reader, and
 * get slower with every one. */
static void
fill_part(CsChange *change, MinimalTuple *rows, int n)
{
	MemoryContext old = MemoryContextSwitchTo(change->run->context);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(change->part->desc, &TTSOpsMinimalTuple);

	end_part(change);
	change->part->store = tuplestore_begin_heap(true, false, work_mem);
	for (int i = 0; i < n; i++)
	{
		ExecStoreMinimalTuple(rows[i], slot, false);
		cs_stage_put_slot(change->part, slot);
	}
	ExecDropSingleTupleTableSlot(slot);
	cs_stage_register(change->part);
	MemoryContextSwitchTo(old);
}

static void
end_part(CsChange *change)
{
	if (change->part->store == NULL)
		return;
	cs_stage_unregister(change->part);
	tuplestore_end(change->part->store);
	change->part->store = NULL;
	change->part->count = 0;
}

/*
 * Executes the statement over part.  An update that came up short is undone and done again in a way that
 * says which rows it wrote: another session may have deleted the others, or a trigger refused them.
 */
static CsError *
try_statement(CsChange *change)
{
	bool short_of_rows = false;
	CsError *error = try_once(change, change->must_return, &short_of_rows);

	if (short_of_rows)
		error = try_once(change, true, &short_of_rows);
	return error;
}

/* In a subtransaction.  Returns the error that may be a row's, or of a lost race; throws any other. */
static CsError *
try_once(CsChange *change, bool returning, bool *short_of_rows)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	CsError *volatile error = NULL;
	volatile uint64 processed = 0;

	*short_of_rows = false;
	if (returning && change->returned == NULL)
	{
		MemoryContextSwitchTo(change->run->context);
		change->returned = cs_stage_create("returned", change->run->mappings, true);
		MemoryContextSwitchTo(caller);
	}
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		processed = returning ? cs_run_store(change->sql_returning, change->returned)
							  : cs_run_execute(change->sql, NULL);
		*short_of_rows = change->kind == CS_CHANGE_UPDATE && !returning &&
						 processed < (uint64) change->part->count;
		if (*short_of_rows)
			RollbackAndReleaseCurrentSubTransaction();
		else
			ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		error = cs_error_catch(caller);
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(caller);
		CurrentResourceOwner = owner;
		if (!cs_error_is_of_row(error->code) &&
			(error->code != ERRCODE_T_R_SERIALIZATION_FAILURE || IsolationUsesXactSnapshot()))
			cs_error_throw(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	if (error == NULL && !*short_of_rows)
		note_result(change, processed, returning);
	return error;
}

/* Counts, settles and remembers what a statement that went through has done. */
static void
note_result(CsChange *change, uint64 processed, bool returning)
{
	CsRun *run = change->run;

	change->applied += processed;
	/* No other session can make an insert come up short: it would have failed. */
	if (change->kind == CS_CHANGE_INSERT)
		change->suppressed += change->part->count - (int64) processed;
	if (change->kind == CS_CHANGE_UPDATE && processed < (uint64) change->part->count)
	{
		change->settled = false;
		cs_change_settle(run, change->returned);
	}
	else if (change->in_parts && change->kind != CS_CHANGE_DELETE)
		cs_change_settle(run, change->part);
	if (!returning)
		return;
	if (change->kind != CS_CHANGE_DELETE && cs_run_tracks(run))
		cs_run_note_written(run, change->returned);
	if (run->options->log_changes)
		log_changes(change);
}

static void
log_changes(CsChange *change)
{
	CsRun *run = change->run;
	TupleTableSlot *slot = cs_stage_rewind(change->returned);
	MemoryContext row_context =
		AllocSetContextCreate(run->context, "censync change", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(row_context);

	while (cs_stage_next(change->returned, slot))
	{
		CsRecordOutcome outcome = { 0 };
		bool isnull;

		outcome.record_number = DatumGetInt64(slot_getattr(slot, 1, &isnull));
		outcome.sync_key = cs_run_row_json(run, change->returned, slot, true);
		outcome.operation = change->operation;
		outcome.status = "succeeded";
		cs_record_log_add(run->changes, &outcome);
		MemoryContextReset(row_context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(row_context);
}

static void
refuse_row(CsChange *change, MinimalTuple row, const CsError *error)
{
	MemoryContext old;
	CsRefusal *refusal;

	if (!may_pass_later(error->code) || list_length(change->refused) >= MAX_REFUSED)
	{
		blame_row(change, row, error);
		return;
	}
	if (change->refused_context == NULL)
		change->refused_context = AllocSetContextCreate(
			change->run->context, "censync refused rows", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(change->refused_context);
	refusal = palloc(sizeof(CsRefusal));
	refusal->row = cs_minimal_tuple_copy(row);
	refusal->error = cs_error_copy(error);
	change->refused = lappend(change->refused, refusal);
	MemoryContextSwitchTo(old);
}

/* Not so: what no other row can help. */
static bool
may_pass_later(int code)
{
	switch (ERRCODE_TO_CATEGORY(code))
	{
		case MAKE_SQLSTATE('2', '2', '0', '0', '0'): /* data */
		case MAKE_SQLSTATE('4', '4', '0', '0', '0'): /* WITH CHECK OPTION */
		case MAKE_SQLSTATE('5', '4', '0', '0', '0'): /* program limit */
			return false;
		default:
			return code != ERRCODE_NOT_NULL_VIOLATION && code != ERRCODE_CHECK_VIOLATION &&
				   code != ERRCODE_INSUFFICIENT_PRIVILEGE;
	}
}

static void
blame_row(CsChange *change, MinimalTuple row, const CsError *error)
{
	CsRun *run = change->run;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(change->set->desc, &TTSOpsMinimalTuple);
	int64 number = 0;
	char *key;

	ExecStoreMinimalTuple(row, slot, false);
	slot_getallattrs(slot);
	if (change->kind != CS_CHANGE_DELETE)
	{
		number = DatumGetInt64(slot->tts_values[0]);
		cs_number_set_add(run->settled, number);
	}
	key = cs_run_row_json(run, change->set, slot, true);
	cs_run_bad_record(run, change->operation, "rejected", number, key, error,
					  cs_run_row_json(run, change->set, slot, false));
	ExecDropSingleTupleTableSlot(slot);
	cs_run_check_bad_share(run, false);
}

/*
 * Another session was faster, and the next round sees what it did: an insert met its own key, or a row
 * moved to another partition.  Throws 40001 where no later statement would see it.
 */
static bool
lost_a_race(CsChange *change, const CsError *error)
{
	if (error->code == ERRCODE_T_R_SERIALIZATION_FAILURE)
		return true;
	if (error->code != ERRCODE_UNIQUE_VIOLATION || change->kind != CS_CHANGE_INSERT)
		return false;
	if (cs_run_execute(cs_sql_key_exists(change->run->mappings), NULL) > 0)
		return true;
	if (IsolationUsesXactSnapshot() && key_exists_by_now(change))
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("could not serialize access due to concurrent insert"),
						errhint("Nothing was changed. Run again in a new transaction.")));
	return false;
}

/* Whatever the transaction's own snapshot says. */
static bool
key_exists_by_now(CsChange *change)
{
	SPIExecuteOptions options = { 0 };

	options.read_only = true; /* with the active snapshot */
	PushActiveSnapshot(GetLatestSnapshot());
	SPI_execute_extended(cs_sql_key_exists(change->run->mappings), &options);
	PopActiveSnapshot();
	return SPI_processed > 0;
}
