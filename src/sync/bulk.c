/*
 * bulk.c
 *		Insertion of many rows into a plain table.
 *
 * The table gets the rows page by page, as it does from COPY, and not one by
 * one as from INSERT: a record of WAL for each page, and half the time.  Only
 * where that makes no other difference; everything else goes through SQL.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "sync/bulk.h"
#include "sync/privileges.h"

/* Below that, a statement costs little. */
#define MIN_ROWS 1000

/* What is handed to the table at a time, whichever comes first. */
#define BATCH_ROWS 1000
#define BATCH_BYTES 65536

/* In a context of its own, which ends with the insertion. */
typedef struct Bulk
{
	Relation relation;
	EState *estate;
	ResultRelInfo *target;
	BulkInsertState state;
	CommandId command;
	int *source; /* per column of the table: its attribute in part, from 0, or -1 */
	TupleTableSlot **slots;
	int count; /* of slots that are filled */
	Size bytes;
} Bulk;

static bool has_plain_indexes(Relation relation);
static void begin(Bulk *bulk, const CsChange *change);
static void add(Bulk *bulk, TupleTableSlot *row);
static void flush(Bulk *bulk);
static void end(Bulk *bulk);

bool
cs_bulk_is_possible(const CsChange *change)
{
	const CsMappingSet *set = change->run->mappings;
	const CsDestination *destination = set->destination;
	Relation relation;
	bool possible;

	/* In a part, it must be known how far the statement came. */
	if (change->kind != CS_CHANGE_INSERT || change->part->count < MIN_ROWS ||
		(change->window && change->part == &change->window->stage) ||
		change->run->options->log_changes)
		return false;
	for (int i = 0; i < set->count; i++)
		if (set->items[i].skip_null)
			return false;
	for (int c = 0; c < destination->ncolumns; c++)
	{
		const CsDestColumn *column = &destination->columns[c];

		if (column->generated || column->identity ||
			(column->default_sql && !cs_mapping_has_column(set, column)))
			return false;
	}
	relation = table_open(destination->relid, NoLock);
	possible = relation->rd_rel->relkind == RELKIND_RELATION &&
			   relation->rd_rel->relam == HEAP_TABLE_AM_OID && !relation->rd_rel->relispartition &&
			   !relation->rd_rel->relrowsecurity && relation->trigdesc == NULL &&
			   relation->rd_rules == NULL && has_plain_indexes(relation);
	table_close(relation, NoLock);
	return possible;
}

uint64
cs_bulk_insert(CsChange *change, bool returning)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "censync bulk", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Bulk bulk = { 0 };
	TupleTableSlot *row;

	/* As INSERT does when it begins. */
	cs_privileges_check(change->run->mappings, change->run->sync->behavior, change->run->apply_as);
	begin(&bulk, change);
	row = cs_stage_rewind(change->part);
	while (cs_stage_next(change->part, row))
	{
		slot_getallattrs(row);
		add(&bulk, row);
		if (returning)
			cs_stage_put(change->returned, 0, row->tts_values + 1, row->tts_isnull + 1);
	}
	end(&bulk);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	CommandCounterIncrement();
	return (uint64) change->part->count;
}

static bool
has_plain_indexes(Relation relation)
{
	List *indexes = RelationGetIndexList(relation);
	bool plain = true;
	ListCell *lc;

	foreach (lc, indexes)
	{
		Relation index = index_open(lfirst_oid(lc), AccessShareLock);

		plain &= index->rd_index->indimmediate && !index->rd_index->indisexclusion;
		index_close(index, NoLock);
	}
	return plain;
}

static void
begin(Bulk *bulk, const CsChange *change)
{
	const CsMappingSet *set = change->run->mappings;
	int natts;

	bulk->relation = table_open(set->destination->relid, RowExclusiveLock);
	natts = RelationGetDescr(bulk->relation)->natts;
	bulk->source = palloc(sizeof(int) * natts);
	for (int i = 0; i < natts; i++)
		bulk->source[i] = -1;
	for (int i = 0; i < set->count; i++)
		bulk->source[set->items[i].dest->attnum - 1] =
			change->part->full ? set->items[i].position : i + 1;
	bulk->estate = CreateExecutorState();
	bulk->target = makeNode(ResultRelInfo);
	InitResultRelInfo(bulk->target, bulk->relation, 0, NULL, 0);
	ExecOpenIndices(bulk->target, false);
	bulk->state = GetBulkInsertState();
	bulk->command = GetCurrentCommandId(true);
	bulk->slots = palloc0(sizeof(TupleTableSlot *) * BATCH_ROWS);
}

static void
add(Bulk *bulk, TupleTableSlot *row)
{
	TupleTableSlot *slot = bulk->slots[bulk->count];
	int natts = RelationGetDescr(bulk->relation)->natts;

	if (slot == NULL)
		slot = bulk->slots[bulk->count] = table_slot_create(bulk->relation, NULL);
	for (int i = 0; i < natts; i++)
	{
		slot->tts_isnull[i] = bulk->source[i] < 0 || row->tts_isnull[bulk->source[i]];
		slot->tts_values[i] = slot->tts_isnull[i] ? (Datum) 0 : row->tts_values[bulk->source[i]];
	}
	ExecStoreVirtualTuple(slot);
	if (RelationGetDescr(bulk->relation)->constr)
	{
		ExecConstraints(bulk->target, slot, bulk->estate);
		ResetPerTupleExprContext(bulk->estate);
	}
	ExecMaterializeSlot(slot);
	bulk->count++;
	bulk->bytes += ((HeapTupleTableSlot *) slot)->tuple->t_len;
	if (bulk->count == BATCH_ROWS || bulk->bytes >= BATCH_BYTES)
		flush(bulk);
}

static void
flush(Bulk *bulk)
{
	MemoryContext old = MemoryContextSwitchTo(GetPerTupleMemoryContext(bulk->estate));

	CHECK_FOR_INTERRUPTS();
	table_multi_insert(bulk->relation, bulk->slots, bulk->count, bulk->command, 0, bulk->state);
	for (int i = 0; i < bulk->count; i++)
	{
		(void) cs_insert_index_tuples(bulk->target, bulk->slots[i], bulk->estate);
		ExecClearTuple(bulk->slots[i]);
	}
	MemoryContextSwitchTo(old);
	ResetPerTupleExprContext(bulk->estate);
	bulk->count = 0;
	bulk->bytes = 0;
}

static void
end(Bulk *bulk)
{
	if (bulk->count > 0)
		flush(bulk);
	for (int i = 0; i < BATCH_ROWS && bulk->slots[i]; i++)
		ExecDropSingleTupleTableSlot(bulk->slots[i]);
	FreeBulkInsertState(bulk->state);
	table_finish_bulk_insert(bulk->relation, 0);
	ExecCloseIndices(bulk->target);
	FreeExecutorState(bulk->estate);
	table_close(bulk->relation, NoLock);
}
