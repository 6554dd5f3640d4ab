/*
 * diff.c
 *		What the source changes: duplicates out, then one join of stage and
 *		destination.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "sync/run.h"
#include "sync/sqlgen.h"

/* Sorts the rows of the diff by what they say. */
typedef struct DiffReceiver
{
	DestReceiver base; /* must be first */
	CsRun *run;
	int op_column;
	int64 skipped;
	TupleTableSlot *row; /* without op, for the stages; made at the first row */
} DiffReceiver;

static CsStage *find_duplicates(CsRun *run);
static void filter_stage(CsRun *run, CsStage *duplicates);
static void drop_duplicate(CsRun *run, TupleTableSlot *slot, int64 number);
static bool receive_diff(TupleTableSlot *slot, DestReceiver *self);
static void receiver_startup(DestReceiver *self, int operation, TupleDesc desc);
static void receiver_noop(DestReceiver *self);

void
cs_run_drop_duplicates(CsRun *run)
{
	CsStage *duplicates;

	if (run->stage->count < 2)
		return;
	duplicates = find_duplicates(run);
	if (duplicates->count > 0)
		filter_stage(run, duplicates);
	cs_run_check_bad_share(run, true);
}

/*
 * Fills creates and updates.  Rows already known not to be applicable are left out, so that the diff
 * can be taken again after an apply and shows what is left to do.
 */
void
cs_run_diff(CsRun *run)
{
	DiffReceiver receiver = { { receive_diff, receiver_startup, receiver_noop, receiver_noop,
								DestNone },
							  run,
							  run->mappings->count + 2,
							  0,
							  NULL };

	if (run->creates == NULL)
	{
		run->creates = cs_stage_create("part", run->mappings, false);
		run->updates = cs_stage_create("part", run->mappings, false);
	}
	cs_stage_clear(run->creates);
	cs_stage_clear(run->updates);
	cs_stage_register(run->stage);
	cs_run_execute(cs_sql_diff(run->mappings, run->sync->behavior), &receiver.base);
	cs_stage_unregister(run->stage);
	run->counts.skipped = receiver.skipped;
	if (receiver.row)
		ExecDropSingleTupleTableSlot(receiver.row);
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
			drop_duplicate(run, row, number);
	}
	tuplestore_end(run->stage->store);
	tuplestore_end(duplicates->store);
	run->stage = kept;
}

static void
drop_duplicate(CsRun *run, TupleTableSlot *slot, int64 number)
{
	CsError error = { 0 };
	int n = run->mappings->count;
	Datum *values = palloc(sizeof(Datum) * n);
	bool *nulls = palloc(sizeof(bool) * n);
	char *key;

	slot_getallattrs(slot);
	for (int i = 0; i < n; i++)
	{
		values[i] = slot->tts_values[run->mappings->items[i].position];
		nulls[i] = slot->tts_isnull[run->mappings->items[i].position];
	}
	key = cs_decode_row_json(run->mappings, values, nulls, run->mappings->nkeys);
	error.code = ERRCODE_UNIQUE_VIOLATION;
	error.message = psprintf("more than one record of the source has sync key %s", key);
	if (run->options->on_duplicate == CS_DUPLICATE_FAIL)
		ereport(ERROR,
				(errcode(error.code), errmsg_internal("%s", error.message),
				 errdetail("One of them is record " INT64_FORMAT ".", number),
				 errhint("Make the source unique, or choose with option on_duplicate: reject, "
						 "first or last.")));
	if (run->held)
		cs_stage_put(run->held, number, values, nulls);
	cs_run_bad_record(run, "read", "invalid", number, key, &error,
					  cs_decode_row_json(run->mappings, values, nulls, n));
	CHECK_FOR_INTERRUPTS();
}

static bool
receive_diff(TupleTableSlot *slot, DestReceiver *self)
{
	DiffReceiver *receiver = (DiffReceiver *) self;
	CsRun *run = receiver->run;
	bool isnull;
	int op = DatumGetInt32(slot_getattr(slot, receiver->op_column, &isnull));
	CsStage *target = op == CS_OP_UPDATE ? run->updates : run->creates;

	if (op == CS_OP_SKIP)
	{
		receiver->skipped++;
		return true;
	}
	slot_getallattrs(slot);
	if (!cs_run_is_unapplied(run, DatumGetInt64(slot->tts_values[0])))
		cs_stage_put_raw(target, slot->tts_values, slot->tts_isnull);
	return true;
}

static void
receiver_startup(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
receiver_noop(DestReceiver *self)
{
}
