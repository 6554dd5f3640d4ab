/*
 * exchange.c
 *		Rows that exchange the values of a unique constraint.
 *
 * No order of single updates lets two rows swap a unique value.  Where every
 * value that refused rows want belongs to one of them, their values are set to
 * NULL first, and then to what they are to be, all in one subtransaction.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "sync/change.h"
#include "sync/sqlgen.h"

/* So many times at most are rows left out that can't take part. */
#define MAX_PASSES 100

static CsStage *conflicting_rows(CsChange *change);
static CsStage *exchangeable_rows(CsChange *change, CsStage *rows);
static CsStage *only(CsStage *rows, const CsNumberSet *numbers);
static List *columns_to_vacate(const CsMappingSet *set, const CsUniqueKey **fixed);
static int column_to_vacate(const CsMappingSet *set, const CsUniqueKey *key);
static CsError *vacate_and_update(CsChange *change, CsStage *rows, List *columns);
static CsStage *without_suspects(CsChange *change, CsStage *rows, CsError *error);
static void leave_out(CsChange *change, CsStage *rows);
static void explain(CsChange *change, CsStage *rows, const CsUniqueKey *fixed);
static CsNumberSet *numbers_of(CsStage *rows);
static bool is_among(const CsChange *change, const CsRefusal *refusal, const CsNumberSet *numbers);

void
cs_change_exchange(CsChange *change)
{
	const CsUniqueKey *fixed = NULL;
	CsStage *rows;
	CsStage *others;
	CsError *error;
	List *columns;
	int64 before = change->applied;

	if (change->refused == NIL)
		return;
	columns = columns_to_vacate(change->run->mappings, &fixed);
	rows = exchangeable_rows(change, conflicting_rows(change));
	while (rows->count > 1 && columns && (error = vacate_and_update(change, rows, columns)) &&
		   (others = without_suspects(change, rows, error)) != NULL)
		rows = exchangeable_rows(change, others);
	if (change->applied > before)
		leave_out(change, rows);
	else if (rows->count > 1 && fixed)
		explain(change, rows, fixed);
	cs_stage_end(rows);
}

static CsStage *
conflicting_rows(CsChange *change)
{
	CsStage *rows = cs_stage_create_like(change->set);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(rows->desc, &TTSOpsMinimalTuple);
	ListCell *lc;

	foreach (lc, change->refused)
	{
		CsRefusal *refusal = lfirst(lc);

		if (refusal->error->code != ERRCODE_UNIQUE_VIOLATION)
			continue;
		ExecStoreMinimalTuple(refusal->row, slot, false);
		cs_stage_put_slot(rows, slot);
	}
	ExecDropSingleTupleTableSlot(slot);
	return rows;
}

/* Each row that is left out may own what another wants, so it is asked until none is. */
static CsStage *
exchangeable_rows(CsChange *change, CsStage *rows)
{
	const CsMappingSet *set = change->run->mappings;
	char *sql = cs_sql_exchangeable(set, cs_constraints_load(set->destination));

	for (int pass = 0; rows->count > 0; pass++)
	{
		CsNumberSet *numbers = pass < MAX_PASSES ? cs_change_find(rows, sql) : NULL;
		CsStage *kept = only(rows, numbers);
		bool all = kept->count == rows->count;

		cs_stage_end(rows);
		rows = kept;
		if (all)
			break;
	}
	return rows;
}

/* NULL: none */
static CsStage *
only(CsStage *rows, const CsNumberSet *numbers)
{
	CsStage *kept = cs_stage_create_like(rows);
	TupleTableSlot *slot = cs_stage_rewind(rows);
	bool isnull;

	while (cs_stage_next(rows, slot))
		if (numbers && cs_number_set_has(numbers, DatumGetInt64(slot_getattr(slot, 1, &isnull))))
			cs_stage_put_slot(kept, slot);
	return kept;
}

/* One column of each unique constraint, by position in the mappings.  *fixed: a constraint without any. */
static List *
columns_to_vacate(const CsMappingSet *set, const CsUniqueKey **fixed)
{
	List *columns = NIL;
	ListCell *lc;

	foreach (lc, set->destination->keys)
	{
		const CsUniqueKey *key = lfirst(lc);
		int column;

		if (key == set->key || key->refused)
			continue;
		column = column_to_vacate(set, key);
		if (column >= 0)
			columns = list_append_unique_int(columns, column);
		else
			*fixed = key;
	}
	return columns;
}

/* One that takes a NULL, and whose new value does not depend on the one it has. */
static int
column_to_vacate(const CsMappingSet *set, const CsUniqueKey *key)
{
	for (int i = set->nkeys; i < set->count; i++)
	{
		const CsMapping *mapping = &set->items[i];

		if (mapping->dest->notnull || mapping->skip_null || mapping->only_empty)
			continue;
		for (int k = 0; k < key->ncolumns; k++)
			if (set->destination->columns[key->columns[k]].attnum == mapping->dest->attnum)
				return i;
	}
	return -1;
}

static CsError *
vacate_and_update(CsChange *change, CsStage *rows, List *columns)
{
	CsError *error;

	change->prelude = cs_sql_vacate(change->run->mappings, columns);
	change->in_parts = true;
	change->part = rows;
	cs_stage_register(rows);
	error = cs_change_attempt(change);
	cs_stage_unregister(rows);
	cs_change_end_results(change);
	change->in_parts = false;
	change->prelude = NULL;
	return error;
}

/* One row that is bad in another way, too, holds up all.  Ends rows, unless there is none to suspect: that
 * values conflict is nothing new. */
static CsStage *
without_suspects(CsChange *change, CsStage *rows, CsError *error)
{
	CsStage *suspects;
	CsStage *others;

	if (error->code == ERRCODE_UNIQUE_VIOLATION)
		return NULL;
	suspects = cs_stage_create_like(rows);
	change->searched = 0;
	others = cs_change_set_apart(change, rows, error, suspects);
	cs_stage_end(suspects);
	if (others)
		cs_stage_end(rows);
	return others;
}

static void
leave_out(CsChange *change, CsStage *rows)
{
	CsNumberSet *numbers = numbers_of(rows);
	ListCell *lc;

	foreach (lc, change->refused)
		if (is_among(change, lfirst(lc), numbers))
			change->refused = foreach_delete_current(change->refused, lc);
}

static void
explain(CsChange *change, CsStage *rows, const CsUniqueKey *fixed)
{
	CsNumberSet *numbers = numbers_of(rows);
	MemoryContext old = MemoryContextSwitchTo(change->refused_context);
	ListCell *lc;

	foreach (lc, change->refused)
	{
		CsError *error = ((CsRefusal *) lfirst(lc))->error;

		if (is_among(change, lfirst(lc), numbers) && error->constraint &&
			strcmp(error->constraint, fixed->name) == 0)
			error->message = psprintf("%s: rows of this run exchange its values, which takes a "
									  "column of it that may be NULL in between",
									  error->message);
	}
	MemoryContextSwitchTo(old);
}

static CsNumberSet *
numbers_of(CsStage *rows)
{
	CsNumberSet *numbers = cs_number_set_create();
	TupleTableSlot *slot = cs_stage_rewind(rows);
	bool isnull;

	while (cs_stage_next(rows, slot))
		cs_number_set_add(numbers, DatumGetInt64(slot_getattr(slot, 1, &isnull)));
	return numbers;
}

static bool
is_among(const CsChange *change, const CsRefusal *refusal, const CsNumberSet *numbers)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(change->set->desc, &TTSOpsMinimalTuple);
	bool isnull;
	bool result;

	ExecStoreMinimalTuple(refusal->row, slot, false);
	result = refusal->error->code == ERRCODE_UNIQUE_VIOLATION &&
			 cs_number_set_has(numbers, DatumGetInt64(slot_getattr(slot, 1, &isnull)));
	ExecDropSingleTupleTableSlot(slot);
	return result;
}
