/*
 * part.c
 *		A few rows at a time as the relation "part".
 *
 * Registered once, filled again and again.  Each fill has a store of its own: a
 * statement leaves a read pointer behind in what it reads, where that pointer
 * tells how far it came, and a store gets slower with every one.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "sync/part.h"

static void make_store(CsPart *part);

CsPart *
cs_part_create(const CsStage *set)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "censync part", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	CsPart *part = palloc0(sizeof(CsPart));

	part->context = context;
	part->stage.name = "part";
	part->stage.desc = set->desc;
	part->stage.full = set->full;
	part->slot = MakeSingleTupleTableSlot(set->desc, &TTSOpsMinimalTuple);
	part->relation.md.name = (char *) part->stage.name;
	part->relation.md.reliddesc = InvalidOid;
	part->relation.md.tupdesc = set->desc;
	part->relation.md.enrtype = ENR_NAMED_TUPLESTORE;
	make_store(part);
	if (SPI_register_relation(&part->relation) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register a part");
	MemoryContextSwitchTo(old);
	return part;
}

void
cs_part_fill(CsPart *part, MinimalTuple *rows, int n)
{
	MemoryContext old = MemoryContextSwitchTo(part->context);

	tuplestore_end(part->stage.store);
	make_store(part);
	for (int i = 0; i < n; i++)
	{
		ExecStoreMinimalTuple(rows[i], part->slot, false);
		cs_stage_put_slot(&part->stage, part->slot);
	}
	ExecClearTuple(part->slot);
	part->relation.md.enrtuples = n;
	MemoryContextSwitchTo(old);
}

int
cs_part_rows_read(CsPart *part)
{
	Tuplestorestate *store = part->stage.store;
	int64 left = 0;

	/* The first pointer is the store's own, the second the reader's. */
	if (tuplestore_alloc_read_pointer(store, EXEC_FLAG_REWIND) != 2)
		return 0;
	tuplestore_select_read_pointer(store, 1);
	if (tuplestore_ateof(store))
		return 0;
	while (tuplestore_advance(store, true))
		left++;
	return (int) (part->stage.count - left);
}

void
cs_part_end(CsPart *part)
{
	SPI_unregister_relation(part->stage.name);
	tuplestore_end(part->stage.store);
	MemoryContextDelete(part->context);
}

static void
make_store(CsPart *part)
{
	part->stage.store = tuplestore_begin_heap(true, false, work_mem);
	part->stage.count = 0;
	part->relation.reldata = part->stage.store;
}
