/*
 * change_log.c
 *		log_records = changes: what was written, with old and new values.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/receiver.h"
#include "sync/change.h"
#include "sync/sqlgen.h"

/* Takes the rows of cs_sql_written. */
typedef struct LogReceiver
{
	DestReceiver base; /* must be first */
	CsChange *change;
	MemoryContext row_context; /* lives for a row */
} LogReceiver;

static bool receive_written(TupleTableSlot *slot, DestReceiver *self);
static char *payload(const CsMappingSet *set, CsChangeKind kind, TupleTableSlot *slot);
static void append_image(StringInfo json, const char *name, const CsMappingSet *set,
						 TupleTableSlot *slot, int first);

void
cs_change_note_old(CsChange *change)
{
	CsRun *run = change->run;
	MemoryContext old = MemoryContextSwitchTo(run->context);

	if (change->before == NULL)
		change->before = cs_stage_create("before", run->mappings, false);
	MemoryContextSwitchTo(old);
	cs_run_store(cs_sql_before_update(run->mappings), change->before);
}

void
cs_change_log(CsChange *change)
{
	CsRun *run = change->run;
	LogReceiver receiver = { .change = change };
	bool is_update = change->kind == CS_CHANGE_UPDATE;
	MemoryContext old = MemoryContextSwitchTo(run->context);

	receiver.row_context =
		AllocSetContextCreate(run->context, "censync change", ALLOCSET_SMALL_SIZES);
	cs_receiver_init(&receiver.base, receive_written);
	cs_stage_register(change->returned);
	if (is_update)
		cs_stage_register(change->before);
	cs_run_execute(cs_sql_written(run->mappings, is_update, change->kind == CS_CHANGE_INSERT),
				   &receiver.base);
	if (is_update)
		cs_stage_unregister(change->before);
	cs_stage_unregister(change->returned);
	MemoryContextDelete(receiver.row_context);
	MemoryContextSwitchTo(old);
}

static bool
receive_written(TupleTableSlot *slot, DestReceiver *self)
{
	LogReceiver *receiver = (LogReceiver *) self;
	CsChange *change = receiver->change;
	const CsMappingSet *set = change->run->mappings;
	MemoryContext old = MemoryContextSwitchTo(receiver->row_context);
	CsRecordOutcome outcome = { 0 };

	slot_getallattrs(slot);
	if (!slot->tts_isnull[0])
		outcome.record_number = DatumGetInt64(slot->tts_values[0]);
	outcome.sync_key =
		cs_decode_row_json(set, slot->tts_values + 1, slot->tts_isnull + 1, set->nkeys);
	outcome.operation = change->operation;
	outcome.status = "succeeded";
	outcome.payload = payload(set, change->kind, slot);
	outcome.own_json = cs_run_json_is_own(change->run);
	cs_record_log_add(change->run->changes, &outcome);
	MemoryContextSwitchTo(old);
	MemoryContextReset(receiver->row_context);
	return true;
}

static char *
payload(const CsMappingSet *set, CsChangeKind kind, TupleTableSlot *slot)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	if (kind == CS_CHANGE_UPDATE)
	{
		append_image(&json, "old", set, slot, 1 + set->count);
		appendStringInfoString(&json, ", ");
	}
	append_image(&json, kind == CS_CHANGE_DELETE ? "old" : "new", set, slot, 1);
	appendStringInfoChar(&json, '}');
	return json.data;
}

static void
append_image(StringInfo json, const char *name, const CsMappingSet *set, TupleTableSlot *slot,
			 int first)
{
	appendStringInfo(
		json, "\"%s\": %s", name,
		cs_decode_row_json(set, slot->tts_values + first, slot->tts_isnull + first, set->count));
}
