/*
 * change.c
 *		One kind of change being applied, past rows that the destination refuses.
 *
 * A set is tried as one statement.  If that fails for a reason that can be a
 * row's, the rows that break a constraint are looked for by a query, set apart,
 * and tried one by one after the others.  What that can't find (a trigger that
 * raises, a partition that isn't there) is met by taking the set in parts: how
 * far a statement had read when it failed says which row it was.
 *
 * Whatever is thought of a row beforehand, only its own attempt is a verdict.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "sync/change.h"
#include "sync/privileges.h"
#include "sync/sqlgen.h"

/* So many rows at most does a part have, and so many bytes. */
#define PART_ROWS 1024
#define PART_BYTES (4 * 1024 * 1024)

/* After so many wrong guesses parts are halved instead. */
#define MAX_WRONG_GUESSES 16

/* So many refused rows of one kind at most are tried again: they are kept in memory. */
#define MAX_REFUSED 10000

static void work_around(CsChange *change, CsStage *set, CsError *error);
static void apply_in_parts(CsChange *change, CsStage *set, int width);
static int read_rows(CsStage *set, TupleTableSlot **slot, MinimalTuple *rows);
static void report(const CsChange *change, const CsStage *set);
static void apply_rows(CsChange *change, MinimalTuple *rows, int n);
static int narrow_down(CsChange *change, MinimalTuple *rows, int n);
static bool apply_row(CsChange *change, MinimalTuple row);
static CsError *try_rows(CsChange *change, MinimalTuple *rows, int n);
static void give_up_row(CsChange *change, MinimalTuple row, const CsError *error);
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
	change->sql_returning =
		cs_sql_returning(set, change->sql, kind == CS_CHANGE_UPDATE, run->options->log_changes);
	change->few = cs_prepared_create(change->sql);
	change->few_returning = cs_prepared_create(change->sql_returning);
	change->key_exists = cs_prepared_create(cs_sql_key_exists(set));
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
	report(change, set);
	change->part = set;
	cs_stage_register(set);
	error = cs_change_attempt(change);
	cs_stage_unregister(set);
	/* With on_error = fail too: the row to blame is named, and its values stay out of the message. */
	if (error && error->code == ERRCODE_INSUFFICIENT_PRIVILEGE)
		cs_privileges_check(change->run->mappings, change->run->sync->behavior,
							change->run->apply_as);
	if (error)
		work_around(change, set, error);
	cs_change_end_results(change);
}

void
cs_change_end_results(CsChange *change)
{
	if (change->returned)
		cs_stage_end(change->returned);
	change->returned = NULL;
	if (change->before)
		cs_stage_end(change->before);
	change->before = NULL;
}

bool
cs_change_retry(CsChange *change, bool backwards)
{
	CsStage *set;
	TupleTableSlot *slot;
	int n = list_length(change->refused);

	if (n == 0)
		return false;
	set = cs_stage_create_like(change->set);
	slot = MakeSingleTupleTableSlot(set->desc, &TTSOpsMinimalTuple);
	for (int i = 0; i < n; i++)
	{
		CsRefusal *refusal = list_nth(change->refused, backwards ? n - 1 - i : i);

		ExecStoreMinimalTuple(refusal->row, slot, false);
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
	MemoryContext old;
	ListCell *lc;

	if (change->refused == NIL)
		return;
	old = MemoryContextSwitchTo(change->attempt_context);
	foreach (lc, change->refused)
	{
		MemoryContextReset(change->attempt_context);
		blame_row(change, ((CsRefusal *) lfirst(lc))->row, ((CsRefusal *) lfirst(lc))->error);
	}
	MemoryContextSwitchTo(old);
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
report(const CsChange *change, const CsStage *set)
{
	static const CsProgressPhase phases[] = { CS_PROGRESS_DELETING, CS_PROGRESS_UPDATING,
											  CS_PROGRESS_INSERTING };

	cs_progress_phase(change->run->progress, phases[change->kind], set->count);
}

/*
 * The suspects come last: what they lack may be there by then.  But if the first bad row is to end the run,
 * they come first.
 */
static void
work_around(CsChange *change, CsStage *set, CsError *error)
{
	CsStage *suspects = cs_stage_create_like(set);
	CsStage *rest = set;
	CsStage *others;

	report(change, set);
	change->in_parts = true;
	change->searched = 0;
	while (error && (others = cs_change_set_apart(change, rest, error, suspects)) != NULL)
	{
		if (rest != set)
			cs_stage_end(rest);
		rest = others;
		if (change->run->options->fail_on_error)
		{
			apply_in_parts(change, suspects, 1);
			cs_stage_clear(suspects);
		}
		change->part = rest;
		cs_stage_register(rest);
		error = rest->count > 0 ? cs_change_attempt(change) : NULL;
		cs_stage_unregister(rest);
	}
	if (error)
		apply_in_parts(change, rest, PART_ROWS);
	if (suspects->count > 0)
		apply_in_parts(change, suspects, 1);
	if (rest != set)
		cs_stage_end(rest);
	cs_stage_end(suspects);
	change->in_parts = false;
}

static void
apply_in_parts(CsChange *change, CsStage *set, int width)
{
	MemoryContext rows_context =
		AllocSetContextCreate(change->run->context, "censync rows of part", ALLOCSET_DEFAULT_SIZES);
	MinimalTuple *rows = palloc(sizeof(MinimalTuple) * PART_ROWS);
	TupleTableSlot *slot = cs_stage_rewind(set);
	MemoryContext old;
	int n;

	if (change->attempt_context == NULL)
		change->attempt_context =
			AllocSetContextCreate(change->run->context, "censync attempt", ALLOCSET_DEFAULT_SIZES);
	change->width = width;
	change->window = cs_part_create(set);
	change->part = &change->window->stage;
	old = MemoryContextSwitchTo(rows_context);
	while ((n = read_rows(set, &slot, rows)) > 0)
	{
		apply_rows(change, rows, n);
		/* A row read back from disk belongs to the slot, in this context. */
		if (slot)
			ExecClearTuple(slot);
		MemoryContextReset(rows_context);
	}
	MemoryContextSwitchTo(old);
	cs_part_end(change->window);
	change->window = NULL;
	MemoryContextDelete(rows_context);
	pfree(rows);
}

/* The next rows of the set; *slot is NULL after the last. */
static int
read_rows(CsStage *set, TupleTableSlot **slot, MinimalTuple *rows)
{
	Size bytes = 0;
	int n = 0;

	while (*slot && n < PART_ROWS && bytes < PART_BYTES)
	{
		if (!cs_stage_next(set, *slot))
		{
			*slot = NULL;
			break;
		}
		rows[n] = ExecCopySlotMinimalTuple(*slot);
		bytes += rows[n++]->t_len;
	}
	return n;
}

static void
apply_rows(CsChange *change, MinimalTuple *rows, int n)
{
	MemoryContext old = MemoryContextSwitchTo(change->attempt_context);

	for (int at = 0; at < n;)
	{
		int width = Min(change->width, n - at);

		if (width == 1)
		{
			if (apply_row(change, rows[at]))
				change->width = 2;
			at++;
		}
		else if (try_rows(change, rows + at, width) == NULL)
		{
			change->width = Min(PART_ROWS, Max(change->width, width * 2));
			at += width;
		}
		else
			at += narrow_down(change, rows + at, width);
	}
	MemoryContextSwitchTo(old);
}

/*
 * Which of these rows, that failed together, was it?  A statement that takes row after row has just read it.
 * Otherwise half as many are tried next.  Returns how many rows are done.
 */
static int
narrow_down(CsChange *change, MinimalTuple *rows, int n)
{
	int read = change->wrong_guesses < MAX_WRONG_GUESSES ? cs_part_rows_read(change->window) : 0;

	if (read == 0)
	{
		change->width = n / 2;
		return 0;
	}
	change->width = Max(1, read - 1);
	if (read > 1 && try_rows(change, rows, read - 1) != NULL)
	{
		change->wrong_guesses++;
		change->width = Max(1, change->width / 2);
		return 0;
	}
	if (apply_row(change, rows[read - 1]))
		change->wrong_guesses++;
	return read;
}

/* Returns whether it went through. */
static bool
apply_row(CsChange *change, MinimalTuple row)
{
	CsError *error = try_rows(change, &row, 1);

	if (error)
		give_up_row(change, row, error);
	return error == NULL;
}

/* The error lives until the next attempt. */
static CsError *
try_rows(CsChange *change, MinimalTuple *rows, int n)
{
	CHECK_FOR_INTERRUPTS();
	MemoryContextReset(change->attempt_context);
	cs_part_fill(change->window, rows, n);
	return cs_change_attempt(change);
}

static void
give_up_row(CsChange *change, MinimalTuple row, const CsError *error)
{
	if (lost_a_race(change, error))
		change->settled = false;
	else
		refuse_row(change, row, error);
}

static void
refuse_row(CsChange *change, MinimalTuple row, const CsError *error)
{
	MemoryContext old;
	CsRefusal *refusal;

	cs_progress_add(change->run->progress, 1);
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
	if (cs_prepared_execute(change->key_exists, None_Receiver) > 0)
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
