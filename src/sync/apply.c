/*
 * apply.c
 *		The delta into the destination, set by set, past rows that it refuses.
 *
 * Each set is tried as one statement.  If that fails for a reason that can be a
 * row's, the set is taken in parts, and a part that fails in halves, each
 * attempt in a subtransaction, down to the rows that are to blame.
 *
 * A row may change between the diff and the apply.  The update asks again
 * whether it differs; a row that another session deleted or inserted meanwhile
 * shows as a count that is short.  Then the diff is taken again: it says what
 * is left to do, until nothing is.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "sync/run.h"
#include "sync/sqlgen.h"

/* Rows of a set that failed are retried in parts of so many. */
#define PART_ROWS 1024

/* So often at most is a delta applied; each time but the first other sessions must have interfered. */
#define MAX_ROUNDS 10

/* One kind of change being applied. */
typedef struct Change
{
	CsRun *run;
	const char *operation; /* for the log */
	char *sql;
	CsStage *part;		   /* what the statement reads, registered as "part" */
	int64 applied;		   /* rows that the statements changed */
	CsStage *returned;	   /* keys that the last statement wrote; NULL: nobody asks */
	bool rows_are_records; /* else deletions: no record number */
} Change;

static int64 apply_set(CsRun *run, CsStage *set, const char *operation, char *sql);
static void apply_in_parts(Change *change, CsStage *set);
static void apply_rows(Change *change, MinimalTuple *rows, int n);
static CsError *try_statement(Change *change);
static void blame_row(Change *change, MinimalTuple row, const CsError *error);
static bool lost_a_race(Change *change, const CsError *error);
static bool key_exists_by_now(Change *change);
static void mark_left_over(CsRun *run, CsStage *set);

void
cs_run_apply(CsRun *run)
{
	CsRunCounts *counts = &run->counts;

	if (run->deletes && run->deletes->count > 0)
		counts->deleted = apply_set(run, run->deletes, "delete", cs_sql_delete(run->mappings));
	for (int round = 0; round < MAX_ROUNDS; round++)
	{
		int64 updates = run->updates->count;
		int64 creates = run->creates->count;
		int64 bad_before = counts->rejected;
		int64 updated = 0;
		int64 created = 0;

		if (run->updates->count > 0)
			updated = apply_set(run, run->updates, "update", cs_sql_update(run->mappings));
		if (run->creates->count > 0)
			created = apply_set(run, run->creates, "insert", cs_sql_insert(run->mappings));
		counts->updated += updated;
		counts->created += created;
		if (updated + created + counts->rejected - bad_before >= updates + creates)
			return;
		cs_run_diff(run);
		if (run->updates->count + run->creates->count == 0)
			return;
		/* A row that somebody deletes, or inserts, moves from one set to the other. */
		if (round > 0 && run->updates->count == updates && run->creates->count == creates)
		{
			/* A trigger keeps these rows as they are, and says nothing. */
			mark_left_over(run, run->updates);
			mark_left_over(run, run->creates);
			return;
		}
	}
	ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					errmsg("rows of destination %s kept changing under the run",
						   cs_destination_quoted(run->destination)),
					errhint("Nothing was changed. Run again.")));
}

/* Returns the number of rows changed. */
static int64
apply_set(CsRun *run, CsStage *set, const char *operation, char *sql)
{
	Change change = { run, operation, sql, set, 0, NULL, strcmp(operation, "delete") != 0 };
	CsError *error;

	if (change.rows_are_records && cs_run_tracks(run))
	{
		change.returned = cs_stage_create("returned", run->mappings, true);
		change.sql = cs_sql_returning_key(run->mappings, sql);
	}

	cs_run_check_deadline(run);
	cs_stage_register(set);
	error = try_statement(&change);
	cs_stage_unregister(set);
	/* With on_error = fail too: the row to blame is named, and its values stay out of the message. */
	if (error)
		apply_in_parts(&change, set);
	if (change.returned)
		tuplestore_end(change.returned->store);
	return change.applied;
}

static void
apply_in_parts(Change *change, CsStage *set)
{
	MemoryContext part_context =
		AllocSetContextCreate(change->run->context, "censync part", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(part_context);
	MinimalTuple *rows = palloc(sizeof(MinimalTuple) * PART_ROWS);
	TupleTableSlot *slot = cs_stage_rewind(set);
	MemoryContext rows_context =
		AllocSetContextCreate(part_context, "censync rows of part", ALLOCSET_DEFAULT_SIZES);
	bool more = true;

	change->part = palloc0(sizeof(CsStage));
	change->part->name = "part";
	change->part->desc = set->desc;
	change->part->full = set->full;
	change->part->store = tuplestore_begin_heap(true, false, work_mem);
	change->part->count = PART_ROWS;
	cs_stage_register(change->part);
	MemoryContextSwitchTo(rows_context);
	while (more)
	{
		int n = 0;

		while (n < PART_ROWS && (more = cs_stage_next(set, slot)))
			rows[n++] = ExecCopySlotMinimalTuple(slot);
		if (n > 0)
			apply_rows(change, rows, n);
		MemoryContextReset(rows_context);
	}
	MemoryContextSwitchTo(part_context);
	cs_stage_unregister(change->part);
	tuplestore_end(change->part->store);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(part_context);
}

static void
apply_rows(Change *change, MinimalTuple *rows, int n)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(change->part->desc, &TTSOpsMinimalTuple);
	CsError *error;

	CHECK_FOR_INTERRUPTS();
	cs_run_check_deadline(change->run);
	cs_stage_clear(change->part);
	for (int i = 0; i < n; i++)
	{
		ExecStoreMinimalTuple(rows[i], slot, false);
		cs_stage_put_slot(change->part, slot);
	}
	ExecDropSingleTupleTableSlot(slot);
	error = try_statement(change);
	if (error == NULL)
		return;
	if (n == 1)
	{
		if (!lost_a_race(change, error))
			blame_row(change, rows[0], error);
		return;
	}
	apply_rows(change, rows, n / 2);
	apply_rows(change, rows + n / 2, n - n / 2);
}

/* Executes in a subtransaction.  Returns the error that may be a row's, or of a lost race; throws any
 * other. */
static CsError *
try_statement(Change *change)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	CsError *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		uint64 processed = change->returned ? cs_run_store(change->sql, change->returned)
											: cs_run_execute(change->sql, NULL);

		ReleaseCurrentSubTransaction();
		change->applied += processed;
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
	if (change->returned && error == NULL)
		cs_run_note_written(change->run, change->returned);
	return error;
}

static void
blame_row(Change *change, MinimalTuple row, const CsError *error)
{
	CsRun *run = change->run;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(change->part->desc, &TTSOpsMinimalTuple);
	int64 number = 0;
	char *key;

	ExecStoreMinimalTuple(row, slot, false);
	slot_getallattrs(slot);
	if (change->rows_are_records)
	{
		number = DatumGetInt64(slot->tts_values[0]);
		cs_run_mark_unapplied(run, number);
	}
	key = cs_run_row_json(run, change->part, slot, true);
	cs_run_bad_record(run, change->operation, "rejected", number, key, error,
					  cs_run_row_json(run, change->part, slot, false));
	ExecDropSingleTupleTableSlot(slot);
	cs_run_check_bad_share(run, false);
}

/*
 * Another session was faster, and the next round sees what it did: an insert met its own key, or a row
 * moved to another partition.  Throws 40001 where no later statement would see it.
 */
static bool
lost_a_race(Change *change, const CsError *error)
{
	if (error->code == ERRCODE_T_R_SERIALIZATION_FAILURE)
		return true;
	if (error->code != ERRCODE_UNIQUE_VIOLATION || strcmp(change->operation, "insert") != 0)
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
key_exists_by_now(Change *change)
{
	SPIExecuteOptions options = { 0 };

	options.read_only = true; /* with the active snapshot */
	PushActiveSnapshot(GetLatestSnapshot());
	SPI_execute_extended(cs_sql_key_exists(change->run->mappings), &options);
	PopActiveSnapshot();
	return SPI_processed > 0;
}

static void
mark_left_over(CsRun *run, CsStage *set)
{
	TupleTableSlot *slot = cs_stage_rewind(set);
	bool isnull;

	run->counts.skipped += set->count;
	while (cs_stage_next(set, slot))
		cs_run_mark_unapplied(run, DatumGetInt64(slot_getattr(slot, 1, &isnull)));
}
