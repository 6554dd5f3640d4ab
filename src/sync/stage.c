/*
 * stage.c
 *		Rows set aside under a name that SQL can read.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"

#include "sync/stage.h"

#define MAX_ROW_COLUMNS 1700

/* For stages of which several are there at a time, in kB. */
#define PART_OF_WORK_MEM Max(work_mem / 4, 64)

static CsStage *create(const char *name, TupleDesc desc, int memory_kb);
static Tuplestorestate *begin_store(int memory_kb);
static TupleDesc describe(const CsMappingSet *set, int n);
static void init_columns(TupleDesc desc, AttrNumber first, const CsMappingSet *set, int n);

CsStage *
cs_stage_create_full(const char *name, const CsMappingSet *set)
{
	CsStage *stage = create(name, describe(set, set->count), work_mem);

	stage->full = true;
	return stage;
}

CsStage *
cs_stage_create(const char *name, const CsMappingSet *set, bool keys_only)
{
	return create(name, describe(set, keys_only ? set->nkeys : set->count), PART_OF_WORK_MEM);
}

CsStage *
cs_stage_create_like(const CsStage *other)
{
	CsStage *stage = create(other->name, other->desc, other->full ? work_mem : PART_OF_WORK_MEM);

	stage->full = other->full;
	return stage;
}

CsStage *
cs_stage_borrow(const char *name, const CsStage *other)
{
	CsStage *stage = palloc(sizeof(CsStage));

	*stage = *other;
	stage->name = name;
	stage->borrowed = true;
	return stage;
}

void
cs_stage_end(CsStage *stage)
{
	if (!stage->borrowed)
		tuplestore_end(stage->store);
}

CsStage *
cs_stage_create_tracked(const char *name, const CsMappingSet *set)
{
	TupleDesc desc = CreateTemplateTupleDesc(set->nkeys + 2);

	TupleDescInitEntry(desc, 1, "key", TEXTARRAYOID, -1, 0);
	TupleDescInitEntry(desc, 2, "hash", INT8OID, -1, 0);
	init_columns(desc, 3, set, set->nkeys);
	return create(name, desc, PART_OF_WORK_MEM);
}

CsStage *
cs_stage_create_keys(const char *name)
{
	TupleDesc desc = CreateTemplateTupleDesc(1);

	TupleDescInitEntry(desc, 1, "key", TEXTARRAYOID, -1, 0);
	return create(name, desc, PART_OF_WORK_MEM);
}

void
cs_stage_put(CsStage *stage, int64 rn, const Datum *values, const bool *nulls)
{
	Datum row_values[MAX_ROW_COLUMNS];
	bool row_nulls[MAX_ROW_COLUMNS];
	int n = stage->desc->natts - 1;

	Assert(n < MAX_ROW_COLUMNS);
	row_values[0] = Int64GetDatum(rn);
	row_nulls[0] = false;
	memcpy(row_values + 1, values, sizeof(Datum) * n);
	memcpy(row_nulls + 1, nulls, sizeof(bool) * n);
	cs_stage_put_raw(stage, row_values, row_nulls);
}

void
cs_stage_put_raw(CsStage *stage, const Datum *values, const bool *nulls)
{
	tuplestore_putvalues(stage->store, stage->desc, (Datum *) values, (bool *) nulls);
	stage->count++;
}

void
cs_stage_put_slot(CsStage *stage, TupleTableSlot *slot)
{
	tuplestore_puttupleslot(stage->store, slot);
	stage->count++;
}

void
cs_stage_clear(CsStage *stage)
{
	tuplestore_clear(stage->store);
	stage->count = 0;
}

TupleTableSlot *
cs_stage_rewind(CsStage *stage)
{
	tuplestore_select_read_pointer(stage->store, 0);
	tuplestore_rescan(stage->store);
	return MakeSingleTupleTableSlot(stage->desc, &TTSOpsMinimalTuple);
}

bool
cs_stage_next(CsStage *stage, TupleTableSlot *slot)
{
	CHECK_FOR_INTERRUPTS();
	/* Statements that read the stage use read pointers of their own and may leave one selected. */
	tuplestore_select_read_pointer(stage->store, 0);
	if (tuplestore_gettupleslot(stage->store, true, false, slot))
		return true;
	ExecDropSingleTupleTableSlot(slot);
	return false;
}

void
cs_stage_register(CsStage *stage)
{
	EphemeralNamedRelation relation = palloc0(sizeof(EphemeralNamedRelationData));
	int rc;

	relation->md.name = (char *) stage->name;
	relation->md.reliddesc = InvalidOid;
	relation->md.tupdesc = stage->desc;
	relation->md.enrtype = ENR_NAMED_TUPLESTORE;
	relation->md.enrtuples = (double) stage->count;
	relation->reldata = stage->store;
	rc = SPI_register_relation(relation);
	if (rc != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register stage %s: %s", stage->name, SPI_result_code_string(rc));
}

void
cs_stage_unregister(CsStage *stage)
{
	SPI_unregister_relation(stage->name);
}

static CsStage *
create(const char *name, TupleDesc desc, int memory_kb)
{
	CsStage *stage = palloc0(sizeof(CsStage));

	stage->name = name;
	stage->desc = desc;
	stage->store = begin_store(memory_kb);
	return stage;
}

/* Statements that read it add read pointers and rewind them; nothing reads backwards, which would cost
 * four bytes a row. */
static Tuplestorestate *
begin_store(int memory_kb)
{
	Tuplestorestate *store = tuplestore_begin_heap(false, false, memory_kb);

	tuplestore_set_eflags(store, EXEC_FLAG_REWIND);
	return store;
}

/* rn, then the columns of the first n mappings. */
static TupleDesc
describe(const CsMappingSet *set, int n)
{
	TupleDesc desc = CreateTemplateTupleDesc(n + 1);

	TupleDescInitEntry(desc, 1, "rn", INT8OID, -1, 0);
	init_columns(desc, 2, set, n);
	return desc;
}

static void
init_columns(TupleDesc desc, AttrNumber first, const CsMappingSet *set, int n)
{
	for (int i = 0; i < n; i++)
	{
		const CsDestColumn *column = set->items[i].dest;
		char name[NAMEDATALEN];

		snprintf(name, sizeof(name), "c%d", set->items[i].position);
		TupleDescInitEntry(desc, first + i, name, column->typid, column->typmod, 0);
		TupleDescInitEntryCollation(desc, first + i, column->collation);
	}
}
