/*
 * scan.c
 *		Foreign tables: a scan is a reader.
 *
 * Read only.  Only the columns that the query uses are decoded; a value that
 * doesn't fit its column's type is an error, as anywhere in SQL.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_attribute.h"
#include "commands/defrem.h"
#include "commands/explain.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "source/options.h"
#include "source/reader.h"
#include "sync/convert.h"

/* Nobody knows the size of a remote answer before it is read. */
#define ASSUMED_ROWS 1000
#define STARTUP_COST 100.0

PG_FUNCTION_INFO_V1(censync_fdw_handler);

/* One scan; in the executor's per-query context. */
typedef struct CsScan
{
	CsReadSpec spec;
	int ncolumns;				  /* wanted ones */
	AttrNumber *attnums;		  /* of each */
	CsTextInput *inputs;		  /* of each */
	MemoryContext reader_context; /* reset by a rescan */
	MemoryContext batch_context;  /* child of it */
	CsReader *reader;			  /* NULL until the first row is asked for */
	CsBatch batch;
	int next; /* record of the batch to return */
} CsScan;

static void get_rel_size(PlannerInfo *root, RelOptInfo *rel, Oid relid);
static void get_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid);
static ForeignScan *get_plan(PlannerInfo *root, RelOptInfo *rel, Oid relid, ForeignPath *path,
							 List *tlist, List *clauses, Plan *outer);
static void begin_scan(ForeignScanState *node, int eflags);
static TupleTableSlot *iterate_scan(ForeignScanState *node);
static void rescan(ForeignScanState *node);
static void end_scan(ForeignScanState *node);
static void explain_scan(ForeignScanState *node, ExplainState *es);
static void add_column(CsScan *scan, Relation rel, AttrNumber attnum);
static const CsRecord *next_record(CsScan *scan);
static int is_updatable(Relation rel);

/* SQL: censync_fdw_handler() */
PGDLLEXPORT Datum
censync_fdw_handler(FunctionCallInfo fcinfo pg_attribute_unused())
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = get_rel_size;
	routine->GetForeignPaths = get_paths;
	routine->GetForeignPlan = get_plan;
	routine->BeginForeignScan = begin_scan;
	routine->IterateForeignScan = iterate_scan;
	routine->ReScanForeignScan = rescan;
	routine->EndForeignScan = end_scan;
	routine->ExplainForeignScan = explain_scan;
	routine->IsForeignRelUpdatable = is_updatable;
	PG_RETURN_POINTER(routine);
}

static void
get_rel_size(PlannerInfo *root pg_attribute_unused(), RelOptInfo *rel,
			 Oid relid pg_attribute_unused())
{
	rel->rows = ASSUMED_ROWS;
}

static void
get_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid pg_attribute_unused())
{
	add_path(rel,
			 (Path *) cs_foreign_path_create(root, rel, STARTUP_COST, STARTUP_COST + rel->rows));
}

/* fdw_private is the list of the columns that are used, as integers. */
static ForeignScan *
get_plan(PlannerInfo *root pg_attribute_unused(), RelOptInfo *rel, Oid relid,
		 ForeignPath *path pg_attribute_unused(), List *tlist, List *clauses, Plan *outer)
{
	List *quals = extract_actual_clauses(clauses, false);
	Bitmapset *used = NULL;
	List *columns = NIL;
	Relation relation = table_open(relid, NoLock);

	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &used);
	pull_varattnos((Node *) quals, rel->relid, &used);
	for (AttrNumber attnum = 1; attnum <= RelationGetNumberOfAttributes(relation); attnum++)
	{
		if (TupleDescAttr(RelationGetDescr(relation), attnum - 1)->attisdropped)
			continue;
		/* A whole-row reference uses all of them. */
		if (bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, used) ||
			bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, used))
			columns = lappend_int(columns, attnum);
	}
	table_close(relation, NoLock);
	return make_foreignscan(tlist, quals, rel->relid, NIL, columns, NIL, NIL, outer);
}

static void
begin_scan(ForeignScanState *node, int eflags pg_attribute_unused())
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	Oid userid = cs_foreign_scan_user(node);
	Relation rel = node->ss.ss_currentRelation;
	ForeignTable *table = GetForeignTable(RelationGetRelid(rel));
	CsScan *scan = palloc0(sizeof(CsScan));
	int max = Max(1, list_length(plan->fdw_private));
	ListCell *lc;

	node->fdw_state = scan;
	scan->spec.serverid = table->serverid;
	scan->spec.userid = OidIsValid(userid) ? userid : GetUserId();
	foreach (lc, table->options)
	{
		DefElem *def = lfirst(lc);

		if (strcmp(def->defname, "object") == 0)
			scan->spec.object = defGetString(def);
		else
			scan->spec.near = lappend(scan->spec.near, def);
	}
	scan->attnums = palloc(sizeof(AttrNumber) * max);
	scan->inputs = palloc(sizeof(CsTextInput) * max);
	foreach (lc, plan->fdw_private)
		add_column(scan, rel, (AttrNumber) lfirst_int(lc));
	scan->reader_context =
		AllocSetContextCreate(CurrentMemoryContext, "censync scan", ALLOCSET_DEFAULT_SIZES);
}

static TupleTableSlot *
iterate_scan(ForeignScanState *node)
{
	CsScan *scan = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	MemoryContext old = CurrentMemoryContext;
	const CsRecord *record = next_record(scan);

	ExecClearTuple(slot);
	if (record == NULL)
		return slot;
	if (record->error_code)
		ereport(ERROR, (errcode(record->error_code), errmsg("%s", record->error_message),
						errdetail("Record " INT64_FORMAT ".", record->number)));
	memset(slot->tts_isnull, true, sizeof(bool) * slot->tts_tupleDescriptor->natts);
	MemoryContextSwitchTo(scan->batch_context);
	for (int i = 0; i < scan->ncolumns; i++)
	{
		int at = scan->attnums[i] - 1;

		slot->tts_values[at] =
			cs_text_input(&scan->inputs[i], &record->fields[i], &slot->tts_isnull[at]);
	}
	MemoryContextSwitchTo(old);
	return ExecStoreVirtualTuple(slot);
}

static void
rescan(ForeignScanState *node)
{
	CsScan *scan = node->fdw_state;

	MemoryContextReset(scan->reader_context);
	scan->reader = NULL;
}

static void
end_scan(ForeignScanState *node)
{
	CsScan *scan = node->fdw_state;

	if (scan)
		MemoryContextDelete(scan->reader_context);
}

static void
explain_scan(ForeignScanState *node, ExplainState *es)
{
	CsScan *scan = node->fdw_state;

	if (scan->spec.object)
		ExplainPropertyText("Object", scan->spec.object, es);
}

static void
add_column(CsScan *scan, Relation rel, AttrNumber attnum)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), attnum - 1);
	char *name = pstrdup(NameStr(attribute->attname));
	ListCell *lc;

	foreach (lc, GetForeignColumnOptions(RelationGetRelid(rel), attnum))
		name = defGetString((DefElem *) lfirst(lc));
	scan->spec.wanted = lappend(scan->spec.wanted, name);
	scan->attnums[scan->ncolumns] = attnum;
	cs_text_input_init(&scan->inputs[scan->ncolumns], attribute->atttypid, attribute->atttypmod);
	scan->ncolumns++;
}

static const CsRecord *
next_record(CsScan *scan)
{
	MemoryContext old;

	CHECK_FOR_INTERRUPTS();
	if (scan->reader && scan->next < scan->batch.nrecords)
		return &scan->batch.records[scan->next++];
	if (scan->reader == NULL)
	{
		old = MemoryContextSwitchTo(scan->reader_context);
		scan->batch_context = AllocSetContextCreate(scan->reader_context, "censync scan batch",
													ALLOCSET_DEFAULT_SIZES);
		scan->reader = cs_reader_open(&scan->spec);
		MemoryContextSwitchTo(old);
	}
	MemoryContextReset(scan->batch_context);
	old = MemoryContextSwitchTo(scan->batch_context);
	scan->next = 1;
	if (scan->reader->next_batch(scan->reader, &scan->batch) == CS_READ_END)
	{
		scan->batch.nrecords = 0;
		MemoryContextSwitchTo(old);
		return NULL;
	}
	MemoryContextSwitchTo(old);
	return &scan->batch.records[0];
}

static int
is_updatable(Relation rel pg_attribute_unused())
{
	return 0; /* none of INSERT, UPDATE, DELETE */
}
