/*
 * attempt.c
 *		The statement of a change, executed over a set or a part of it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "sync/bulk.h"
#include "sync/change.h"
#include "sync/sqlgen.h"

/* Up to so many rows are a few: one plan, made for a single row, serves for all such attempts. */
#define FEW_ROWS 16

static CsError *try_once(CsChange *change, bool returning, bool *short_of_rows);
static void make_returned(CsChange *change);
static uint64 execute(CsChange *change, bool returning);
static void note_result(CsChange *change, uint64 processed, bool returning);
static void note_written(CsChange *change);

/*
 * An update that came up short is undone and done again in a way that says which rows it wrote: another
 * session may have deleted the others, or a trigger refused them.  After a prelude it is only undone.
 */
CsError *
cs_change_attempt(CsChange *change)
{
	bool short_of_rows = false;
	CsError *error = try_once(change, change->must_return, &short_of_rows);

	if (short_of_rows && change->prelude == NULL)
		error = try_once(change, true, &short_of_rows);
	return error;
}

static CsError *
try_once(CsChange *change, bool returning, bool *short_of_rows)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int level = GetCurrentTransactionNestLevel();
	CsError *volatile error = NULL;
	volatile uint64 processed = 0;

	*short_of_rows = false;
	if (returning)
		make_returned(change);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	cs_progress_expect_statement(change->run->progress);
	PG_TRY();
	{
		processed = execute(change, returning);
		*short_of_rows = change->kind == CS_CHANGE_UPDATE && (!returning || change->prelude) &&
						 processed < (uint64) change->part->count;
		if (*short_of_rows)
			RollbackAndReleaseCurrentSubTransaction();
		else
			ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		error = cs_error_catch(caller);
		cs_error_roll_back(error, level);
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

/* Whole rows only where they are asked for. */
static void
make_returned(CsChange *change)
{
	CsRun *run = change->run;
	MemoryContext old;

	if (change->returned)
		return;
	old = MemoryContextSwitchTo(run->context);
	change->returned = cs_stage_create("returned", run->mappings, !run->options->log_changes);
	MemoryContextSwitchTo(old);
}

static uint64
execute(CsChange *change, bool returning)
{
	bool few = change->in_parts && change->part->count <= FEW_ROWS;

	if (change->run->options->log_changes && change->kind == CS_CHANGE_UPDATE)
		cs_change_note_old(change);
	if (change->prelude && cs_run_execute(change->prelude, NULL) < (uint64) change->part->count)
		return 0;
	if (few && returning)
		return cs_run_store_prepared(change->few_returning, change->returned);
	if (few)
		return cs_prepared_execute(change->few, NULL);
	if (cs_bulk_is_possible(change))
		return cs_bulk_insert(change, returning);
	if (returning)
		return cs_run_store(change->sql_returning, change->returned);
	return cs_run_execute(change->sql, NULL);
}

/* Counts, settles and remembers what a statement that went through has done. */
static void
note_result(CsChange *change, uint64 processed, bool returning)
{
	CsRun *run = change->run;

	cs_progress_add(run->progress, change->part->count);
	change->applied += processed;
	if (change->part->count > FEW_ROWS)
	{
		cs_prepared_replan(change->few);
		cs_prepared_replan(change->few_returning);
		cs_prepared_replan(change->key_exists);
	}
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
		note_written(change);
	if (run->options->log_changes)
		cs_change_log(change);
}

static void
note_written(CsChange *change)
{
	CsRun *run = change->run;
	CsStage *keys;
	TupleTableSlot *slot;

	if (!run->options->log_changes)
	{
		cs_run_note_written(run, change->returned);
		return;
	}
	keys = cs_stage_create("keys", run->mappings, true);
	slot = cs_stage_rewind(change->returned);
	while (cs_stage_next(change->returned, slot))
	{
		slot_getallattrs(slot);
		cs_stage_put_raw(keys, slot->tts_values, slot->tts_isnull);
	}
	cs_run_note_written(run, keys);
	cs_stage_end(keys);
}
