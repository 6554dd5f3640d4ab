/*
 * diff.c
 *		What the source changes: one comparison of stage and destination.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/receiver.h"
#include "sync/run.h"
#include "sync/sqlgen.h"
#include "sync/walk.h"

/* Sorts the rows of the diff by what they say. */
typedef struct DiffReceiver
{
	DestReceiver base; /* must be first */
	CsRun *run;
	int op_column;
	int64 skipped;
} DiffReceiver;

static void join(CsRun *run, bool with_extras);
static bool destination_is_empty(CsRun *run);
static bool receive_diff(TupleTableSlot *slot, DestReceiver *self);

/*
 * Fills creates and updates.  Settled records are left out, so that the diff can be taken again after an
 * apply and shows what is left to do.
 */
void
cs_run_diff(CsRun *run)
{
	bool is_first = run->updates == NULL;

	if (is_first)
	{
		run->updates = cs_stage_create("part", run->mappings, false);
		if (run->sync->behavior != CS_UPDATE && destination_is_empty(run))
		{
			/* All of it is new: the stage itself is the delta. */
			run->creates = cs_stage_borrow("part", run->stage);
			return;
		}
	}
	if (run->creates == NULL || run->creates->borrowed)
		run->creates = cs_stage_create("part", run->mappings, false);
	if (!is_first || !cs_run_walk(run))
		join(run, is_first && run->extras);
}

static void
join(CsRun *run, bool with_extras)
{
	DiffReceiver receiver = { .run = run, .op_column = run->mappings->count + 2 };

	cs_stage_clear(run->creates);
	cs_stage_clear(run->updates);
	if (with_extras)
		cs_stage_clear(run->extras);
	cs_receiver_init(&receiver.base, receive_diff);
	cs_stage_register(run->stage);
	cs_run_execute(cs_sql_diff(run->mappings, run->sync->behavior, with_extras), &receiver.base);
	cs_stage_unregister(run->stage);
	run->counts.skipped = receiver.skipped;
}

static bool
destination_is_empty(CsRun *run)
{
	return cs_run_execute(cs_sql_any_row(run->mappings), NULL) == 0;
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
	if (op == CS_OP_EXTRA)
		cs_stage_put(run->extras, 0, slot->tts_values + 1, slot->tts_isnull + 1);
	else if (run->settled == NULL ||
			 !cs_number_set_has(run->settled, DatumGetInt64(slot->tts_values[0])))
		cs_stage_put_raw(target, slot->tts_values, slot->tts_isnull);
	return true;
}
