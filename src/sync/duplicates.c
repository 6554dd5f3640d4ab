/*
 * duplicates.c
 *		Records of one read that share a sync key: which of them may be applied.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "sync/run.h"
#include "sync/sqlgen.h"

static CsStage *find_duplicates(CsRun *run);
static void filter_stage(CsRun *run, CsStage *duplicates);
static void drop_duplicate(CsRun *run, TupleTableSlot *slot, int64 number);

void
cs_run_drop_duplicates(CsRun *run)
{
	CsStage *duplicates;

	if (!cs_key_set_may_have_duplicates(run->keys))
		return;
	cs_progress_phase(run->progress, CS_PROGRESS_DEDUPLICATING, run->stage->count);
	duplicates = find_duplicates(run);
	if (duplicates->count > 0)
		filter_stage(run, duplicates);
	cs_run_check_bad_share(run, true);
}

static CsStage *
find_duplicates(CsRun *run)
{
	TupleDesc desc = CreateTemplateTupleDesc(3);
	CsStage *found = palloc0(sizeof(CsStage));

	TupleDescInitEntry(desc, 1, "rn", INT8OID, -1, 0);
	TupleDescInitEntry(desc, 2, "first", BOOLOID, -1, 0);
	TupleDescInitEntry(desc, 3, "last", BOOLOID, -1, 0);
	found->desc = desc;
	found->store = tuplestore_begin_heap(true, false, work_mem);
	cs_stage_register(run->stage);
	cs_run_store(cs_sql_duplicates(run->mappings), found);
	cs_stage_unregister(run->stage);
	return found;
}

/* Both are ordered by record number, so one pass over each does. */
static void
filter_stage(CsRun *run, CsStage *duplicates)
{
	CsStage *kept = cs_stage_create_like(run->stage);
	TupleTableSlot *row = cs_stage_rewind(run->stage);
	TupleTableSlot *duplicate = cs_stage_rewind(duplicates);
	bool more = cs_stage_next(duplicates, duplicate);
	MemoryContext row_context =
		AllocSetContextCreate(run->context, "censync duplicate", ALLOCSET_SMALL_SIZES);

	while (cs_stage_next(run->stage, row))
	{
		bool isnull;
		int64 number = DatumGetInt64(slot_getattr(row, 1, &isnull));
		bool keep = true;

		if (more && DatumGetInt64(slot_getattr(duplicate, 1, &isnull)) == number)
		{
			bool first = DatumGetBool(slot_getattr(duplicate, 2, &isnull));
			bool last = DatumGetBool(slot_getattr(duplicate, 3, &isnull));

			keep = (first && run->options->on_duplicate == CS_DUPLICATE_FIRST) ||
				   (last && run->options->on_duplicate == CS_DUPLICATE_LAST);
			more = cs_stage_next(duplicates, duplicate);
		}
		if (keep)
			cs_stage_put_slot(kept, row);
		else
		{
			MemoryContext old = MemoryContextSwitchTo(row_context);

			drop_duplicate(run, row, number);
			MemoryContextSwitchTo(old);
			MemoryContextReset(row_context);
		}
	}
	MemoryContextDelete(row_context);
	cs_stage_end(run->stage);
	cs_stage_end(duplicates);
	run->stage = kept;
}

static void
drop_duplicate(CsRun *run, TupleTableSlot *slot, int64 number)
{
	CsError error = { 0 };
	char *key = cs_run_row_json(run, run->stage, slot, true);
	char *payload;

	error.code = ERRCODE_UNIQUE_VIOLATION;
	error.message = psprintf("more than one record of the source has sync key %s", key);
	if (run->options->on_duplicate == CS_DUPLICATE_FAIL)
		ereport(ERROR,
				(errcode(error.code), errmsg_internal("%s", error.message),
				 errdetail("One of them is record " INT64_FORMAT ".", number),
				 errhint("Make the source unique, or choose with option on_duplicate: reject, "
						 "first or last.")));
	if (run->held)
		cs_stage_put(run->held, number, slot->tts_values + 1, slot->tts_isnull + 1);
	payload = cs_run_row_json(run, run->stage, slot, false);
	if (run->options->on_duplicate == CS_DUPLICATE_REJECT)
		cs_run_bad_record(run, "read", "invalid", number, key, &error, payload);
	else
	{
		error.message = psprintf("another record with sync key %s is taken instead", key);
		cs_run_superseded_record(run, number, key, &error, payload);
	}
	CHECK_FOR_INTERRUPTS();
}
