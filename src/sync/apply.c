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

#include "catalog/locks.h"
#include "sync/run.h"
#include "sync/sqlgen.h"

/* Rows of a set that failed are retried in parts of so many. */
#define PART_ROWS 1024

/* So often at most is the diff taken again; each time other sessions must have interfered. */
#define MAX_ROUNDS 10

/* One kind of change being applied. */
typedef struct Change
{
	CsRun *run;
	const char *operation; /* for the log */
	char *sql;
	CsStage *part;		   /* what the statement reads, registered as "part" */
	int64 applied;		   /* rows that the statements changed */
	bool rows_are_records; /* else deletions: no record number */
} Change;

static int64 apply_set(CsRun *run, CsStage *set, const char *operation, char *sql);
static void apply_in_parts(Change *change, CsStage *set);
static void apply_rows(Change *change, MinimalTuple *rows, int n);
static CsError *try_statement(Change *change);
static void blame_row(Change *change, MinimalTuple row, const CsError *error);
static bool lost_a_race(Change *change, const CsError *error);
static void mark_left_over(CsRun *run, CsStage *set);

void
cs_run_apply(CsRun *run)
{
	CsRunCounts *counts = &run->counts;
	int64 last_left = -1;

	cs_apply_lock(run->destination->relid);
	if (run->deletes && run->deletes->count > 0)
		counts->deleted = apply_set(run, run->deletes, "delete", cs_sql_delete(run->mappings));
	for (int round = 0; round < MAX_ROUNDS; round++)
	{
		int64 todo = run->updates->count + run->creates->count;
		int64 bad_before = counts->rejected;
		int64 updated = 0;
		int64 created = 0;

		if (run->updates->count > 0)
			updated = apply_set(run, run->updates, "update", cs_sql_update(run->mappings));
		if (run->creates->count > 0)
			created = apply_set(run, run->creates, "insert", cs_sql_insert(run->mappings));
		counts->updated += updated;
		counts->created += created;
		cs_run_note_written(run);
		if (updated + created + counts->rejected - bad_before >= todo)
			return;
		cs_run_diff(run);
		if (run->updates->count + run->creates->count == last_left)
			break;
		last_left = run->updates->count + run->creates->count;
		if (last_left == 0)
			return;
	}
	/* A trigger or rule keeps these rows as they are, and says nothing. */
	mark_left_over(run, run->updates);
	mark_left_over(run, run->creates);
}

/* Returns the number of rows changed. */
static int64
apply_set(CsRun *run, CsStage *set, const char *operation, char *sql)
{
	Change change = { run, operation, sql, set, 0, strcmp(operation, "delete") != 0 };
	CsError *error;

	cs_run_check_deadline(run);
	cs_stage_register(set);
	error = try_statement(&change);
	cs_stage_unregister(set);
	if (error == NULL)
		return change.applied;
	/* With on_error = fail too: the row to blame is named, and its values stay out of the message. */
	apply_in_parts(&change, set);
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

/* Executes in a subtransaction.  Returns the error that may be a row's; throws any other. */
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
		uint64 processed = cs_run_execute(change->sql, NULL);

		ReleaseCurrentSubTransaction();
		change->applied += processed;
	}
	PG_CATCH();
	{
		error = cs_error_catch(caller);
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(caller);
		CurrentResourceOwner = owner;
		if (!cs_error_is_of_row(error->code))
			cs_error_throw(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
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

/* An insert that met its own key: another session was faster, and the next round will update. */
static bool
lost_a_race(Change *change, const CsError *error)
{
	return error->code == ERRCODE_UNIQUE_VIOLATION && strcmp(change->operation, "insert") == 0 &&
		   cs_run_execute(cs_sql_key_exists(change->run->mappings), NULL) > 0;
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
