/*
 * apply.c
 *		The delta into the destination, set by set, past rows that it refuses.
 *
 * Each set is tried as one statement.  If that fails for a reason that can be a
 * row's, the set is taken in parts, and a part that fails in halves, each
 * attempt in a subtransaction, down to single rows.
 *
 * A row may be refused only because another is not yet there, or not yet gone:
 * the parent it refers to, a child that refers to it, the owner of a unique
 * value.  So those refused are tried again, first as one set, as long as that
 * helps any of them, and only then blamed.
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

/* So often at most are refused rows tried again, and so many of one kind: they are kept in memory. */
#define MAX_PASSES 20
#define MAX_REFUSED 10000

/* One kind of change being applied. */
typedef enum ChangeKind
{
	CHANGE_DELETE,
	CHANGE_UPDATE,
	CHANGE_INSERT,
	N_CHANGES
} ChangeKind;

/* A row that was refused by itself and may yet pass; in the change's refused_context. */
typedef struct Refusal
{
	MinimalTuple row;
	CsError *error;
} Refusal;

typedef struct Change
{
	CsRun *run;
	ChangeKind kind;
	const char *operation; /* for the log */
	char *sql;
	char *sql_returning; /* the same, returning number and key of the rows it wrote */
	CsStage *set;		 /* all of it; NULL: nothing of this kind to do */
	CsStage *part;		 /* what the statement reads, registered as "part" */
	CsStage *returned;	 /* what it returned; made when first needed */
	bool in_parts;		 /* part is not the whole set */
	bool must_return;	 /* somebody asks for the keys of every row */
	int64 applied;		 /* rows that the statements changed */
	int64 suppressed;	 /* rows that a trigger kept out, without a word */
	bool settled;		 /* no row of the set has to be looked at again */
	List *refused;		 /* Refusal * */
	MemoryContext refused_context;
} Change;

static void init_change(Change *change, CsRun *run, ChangeKind kind, CsStage *stage);
static void apply_changes(Change *changes);
static int64 total_applied(const Change *changes);
static bool retry_refused(Change *change);
static void apply_set(Change *change, CsStage *set);
static void apply_in_parts(Change *change, CsStage *set);
static void apply_rows(Change *change, MinimalTuple *rows, int n);
static void fill_part(Change *change, MinimalTuple *rows, int n);
static void end_part(Change *change);
static CsError *try_statement(Change *change);
static CsError *try_once(Change *change, bool returning, bool *short_of_rows);
static void note_result(Change *change, uint64 processed, bool returning);
static void log_changes(Change *change);
static void settle_stage(CsRun *run, CsStage *stage);
static void refuse_row(Change *change, MinimalTuple row, const CsError *error);
static bool may_pass_later(int code);
static void blame_row(Change *change, MinimalTuple row, const CsError *error);
static bool lost_a_race(Change *change, const CsError *error);
static bool key_exists_by_now(Change *change);

void
cs_run_apply(CsRun *run)
{
	CsRunCounts *counts = &run->counts;
	int64 suppressed = 0;

	run->settled = cs_number_set_create();
	for (int round = 0; round < MAX_ROUNDS; round++)
	{
		int64 todo_update = run->updates->count;
		int64 todo_create = run->creates->count;
		Change changes[N_CHANGES];

		init_change(&changes[CHANGE_DELETE], run, CHANGE_DELETE, round == 0 ? run->deletes : NULL);
		init_change(&changes[CHANGE_UPDATE], run, CHANGE_UPDATE, run->updates);
		init_change(&changes[CHANGE_INSERT], run, CHANGE_INSERT, run->creates);
		apply_changes(changes);
		counts->deleted += changes[CHANGE_DELETE].applied;
		counts->updated += changes[CHANGE_UPDATE].applied;
		counts->created += changes[CHANGE_INSERT].applied;
		suppressed += changes[CHANGE_INSERT].suppressed;
		if (!changes[CHANGE_UPDATE].settled || !changes[CHANGE_INSERT].settled)
		{
			if (changes[CHANGE_UPDATE].settled)
				settle_stage(run, run->updates);
			if (changes[CHANGE_INSERT].settled)
				settle_stage(run, run->creates);
			cs_run_diff(run);
		}
		else
			todo_update = todo_create = -1;
		/* Twice the same, after all that could be settled was: a trigger keeps these rows as they are,
		 * and says nothing. */
		if (todo_update < 0 || run->updates->count + run->creates->count == 0 ||
			(round > 0 && run->updates->count == todo_update && run->creates->count == todo_create))
		{
			if (todo_update >= 0)
				suppressed += run->updates->count + run->creates->count;
			counts->skipped += suppressed;
			return;
		}
	}
	ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					errmsg("rows of destination %s kept changing under the run",
						   cs_destination_quoted(run->destination)),
					errhint("Nothing was changed. Run again.")));
}

static void
init_change(Change *change, CsRun *run, ChangeKind kind, CsStage *stage)
{
	const CsMappingSet *set = run->mappings;

	memset(change, 0, sizeof(*change));
	change->run = run;
	change->kind = kind;
	change->set = stage;
	change->operation = kind == CHANGE_DELETE	? "delete"
						: kind == CHANGE_UPDATE ? "update"
												: "insert";
	change->sql = kind == CHANGE_DELETE	  ? cs_sql_delete(set)
				  : kind == CHANGE_UPDATE ? cs_sql_update(set)
										  : cs_sql_insert(set);
	change->sql_returning = cs_sql_returning_key(set, change->sql, kind == CHANGE_UPDATE);
	change->must_return =
		run->options->log_changes || (kind != CHANGE_DELETE && cs_run_tracks(run));
	change->settled = true;
}

/* Whatever is refused at first may pass once the other kinds of changes are done. */
static void
apply_changes(Change *changes)
{
	int64 before = 0;

	for (int kind = 0; kind < N_CHANGES; kind++)
		if (changes[kind].set)
			apply_set(&changes[kind], changes[kind].set);
	for (int pass = 0; pass < MAX_PASSES && total_applied(changes) > before; pass++)
	{
		bool any = false;

		before = total_applied(changes);
		for (int kind = 0; kind < N_CHANGES; kind++)
			any |= retry_refused(&changes[kind]);
		if (!any)
			break;
	}
	for (int kind = 0; kind < N_CHANGES; kind++)
	{
		ListCell *lc;

		foreach (lc, changes[kind].refused)
			blame_row(&changes[kind], ((Refusal *) lfirst(lc))->row,
					  ((Refusal *) lfirst(lc))->error);
		if (changes[kind].refused_context)
			MemoryContextDelete(changes[kind].refused_context);
	}
}

static int64
total_applied(const Change *changes)
{
	return changes[CHANGE_DELETE].applied + changes[CHANGE_UPDATE].applied +
		   changes[CHANGE_INSERT].applied;
}

/* Is there anything to retry? */
static bool
retry_refused(Change *change)
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
		ExecStoreMinimalTuple(((Refusal *) lfirst(lc))->row, slot, false);
		cs_stage_put_slot(set, slot);
	}
	ExecDropSingleTupleTableSlot(slot);
	change->refused = NIL;
	MemoryContextReset(change->refused_context);
	apply_set(change, set);
	cs_stage_end(set);
	return true;
}

static void
apply_set(Change *change, CsStage *set)
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
apply_rows(Change *change, MinimalTuple *rows, int n)
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
fill_part(Change *change, MinimalTuple *rows, int n)
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
end_part(Change *change)
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
try_statement(Change *change)
{
	bool short_of_rows = false;
	CsError *error = try_once(change, change->must_return, &short_of_rows);

	if (short_of_rows)
		error = try_once(change, true, &short_of_rows);
	return error;
}

/* In a subtransaction.  Returns the error that may be a row's, or of a lost race; throws any other. */
static CsError *
try_once(Change *change, bool returning, bool *short_of_rows)
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
		*short_of_rows =
			change->kind == CHANGE_UPDATE && !returning && processed < (uint64) change->part->count;
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
note_result(Change *change, uint64 processed, bool returning)
{
	CsRun *run = change->run;

	change->applied += processed;
	/* No other session can make an insert come up short: it would have failed. */
	if (change->kind == CHANGE_INSERT)
		change->suppressed += change->part->count - (int64) processed;
	if (change->kind == CHANGE_UPDATE && processed < (uint64) change->part->count)
	{
		change->settled = false;
		settle_stage(run, change->returned);
	}
	else if (change->in_parts && change->kind != CHANGE_DELETE)
		settle_stage(run, change->part);
	if (!returning)
		return;
	if (change->kind != CHANGE_DELETE && cs_run_tracks(run))
		cs_run_note_written(run, change->returned);
	if (run->options->log_changes)
		log_changes(change);
}

static void
log_changes(Change *change)
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

/* The next diff leaves these rows out. */
static void
settle_stage(CsRun *run, CsStage *stage)
{
	TupleTableSlot *slot = cs_stage_rewind(stage);
	bool isnull;

	while (cs_stage_next(stage, slot))
		cs_number_set_add(run->settled, DatumGetInt64(slot_getattr(slot, 1, &isnull)));
}

static void
refuse_row(Change *change, MinimalTuple row, const CsError *error)
{
	MemoryContext old;
	Refusal *refusal;

	if (!may_pass_later(error->code) || list_length(change->refused) >= MAX_REFUSED)
	{
		blame_row(change, row, error);
		return;
	}
	if (change->refused_context == NULL)
		change->refused_context = AllocSetContextCreate(
			change->run->context, "censync refused rows", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(change->refused_context);
	refusal = palloc(sizeof(Refusal));
	refusal->row = heap_copy_minimal_tuple(row);
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
blame_row(Change *change, MinimalTuple row, const CsError *error)
{
	CsRun *run = change->run;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(change->set->desc, &TTSOpsMinimalTuple);
	int64 number = 0;
	char *key;

	ExecStoreMinimalTuple(row, slot, false);
	slot_getallattrs(slot);
	if (change->kind != CHANGE_DELETE)
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
lost_a_race(Change *change, const CsError *error)
{
	if (error->code == ERRCODE_T_R_SERIALIZATION_FAILURE)
		return true;
	if (error->code != ERRCODE_UNIQUE_VIOLATION || change->kind != CHANGE_INSERT)
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
