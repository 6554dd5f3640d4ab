/*
 * scan.c
 *		Executing the scan of a foreign table: a scan is a reader.
 *
 * The source is connected to when the first row is asked for, and closed after
 * the last; a scan that is begun again reads it anew.
 */
#include "postgres.h"

#include "commands/explain.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "fdw/condition.h"
#include "fdw/plan.h"
#include "fdw/rows.h"
#include "fdw/scan.h"

/* One scan; in the executor's per-query context. */
typedef struct CsScan
{
	CsForeignRows rows;
	CsForeignPlan *plan;
	List *values;		   /* ExprState *: see CsForeignPlan */
	MemoryContext context; /* of conditions with their values; reset by a rescan */
	bool ended;			   /* there are no more rows */
} CsScan;

static bool open_scan(ForeignScanState *node, CsScan *scan);
static bool bind_quals(CsScan *scan, const Datum *values, const bool *nulls);
static void bind_limit(CsScan *scan, const Datum *values, const bool *nulls);
static int64 limit_of(Datum count, bool count_null, Datum offset, bool offset_null);
static void evaluate(ForeignScanState *node, CsScan *scan, Datum *values, bool *nulls);
static char *planned_statement(const CsScan *scan, List *expressions, bool *limit_unknown);
static CsCondition *planned_condition(const CsScan *scan, const CsQual *qual, Expr *value,
									  int *unknown);

void
cs_foreign_scan_begin(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	Oid userid = cs_foreign_scan_user(node);
	CsScan *scan = palloc0(sizeof(CsScan));

	node->fdw_state = scan;
	scan->plan = cs_foreign_plan_unpack(plan);
	cs_foreign_rows_init(&scan->rows, node->ss.ss_currentRelation,
						 OidIsValid(userid) ? userid : GetUserId(), scan->plan->columns);
	scan->context =
		AllocSetContextCreate(CurrentMemoryContext, "censync foreign scan", ALLOCSET_SMALL_SIZES);
	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0)
		scan->values = ExecInitExprList(plan->fdw_exprs, &node->ss.ps);
}

TupleTableSlot *
cs_foreign_scan_iterate(ForeignScanState *node)
{
	CsScan *scan = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;

	ExecClearTuple(slot);
	if (scan->rows.reader == NULL && !scan->ended && !open_scan(node, scan))
		scan->ended = true;
	if (scan->ended)
		return slot;
	scan->ended = !cs_foreign_rows_next(&scan->rows, slot->tts_values, slot->tts_isnull);
	return scan->ended ? slot : ExecStoreVirtualTuple(slot);
}

void
cs_foreign_scan_restart(ForeignScanState *node)
{
	CsScan *scan = node->fdw_state;

	cs_foreign_rows_close(&scan->rows);
	scan->ended = false;
}

void
cs_foreign_scan_end(ForeignScanState *node)
{
	CsScan *scan = node->fdw_state;

	if (scan)
		cs_foreign_rows_close(&scan->rows);
}

void
cs_foreign_scan_explain(ForeignScanState *node, ExplainState *es)
{
	CsScan *scan = node->fdw_state;
	const CsReadSpec *spec = &scan->rows.spec;
	bool limit_unknown = false;
	char *statement =
		planned_statement(scan, ((ForeignScan *) node->ss.ps.plan)->fdw_exprs, &limit_unknown);

	if (spec->object)
		ExplainPropertyText("Object", spec->object, es);
	if (spec->query)
		ExplainPropertyText("Query", spec->query, es);
	if (statement)
		ExplainPropertyText("Remote Statement", statement, es);
	if (statement && limit_unknown)
		ExplainPropertyText("Remote Limit", "known when it is executed", es);
}

/* False: nothing can come.  Errors of values are those of the query. */
static bool
open_scan(ForeignScanState *node, CsScan *scan)
{
	int n = list_length(scan->values);
	Datum *values;
	bool *nulls;
	MemoryContext old;
	bool possible;

	MemoryContextReset(scan->context);
	old = MemoryContextSwitchTo(scan->context);
	values = palloc(sizeof(Datum) * Max(1, n));
	nulls = palloc(sizeof(bool) * Max(1, n));
	evaluate(node, scan, values, nulls);
	possible = bind_quals(scan, values, nulls);
	bind_limit(scan, values, nulls);
	MemoryContextSwitchTo(old);
	if (possible)
		cs_foreign_rows_open(&scan->rows);
	return possible;
}

static bool
bind_quals(CsScan *scan, const Datum *values, const bool *nulls)
{
	int at = 0;
	ListCell *lc;

	scan->rows.spec.conditions = NIL;
	foreach (lc, scan->plan->quals)
	{
		const CsQual *qual = lfirst(lc);
		CsCondition *condition;
		bool valued = qual->comparison < CS_IS_NULL;

		condition = cs_qual_condition(qual, cs_foreign_column_source(scan->rows.rel, qual->attnum),
									  valued ? values[at] : (Datum) 0, valued && nulls[at]);
		if (condition == NULL)
			return false;
		scan->rows.spec.conditions = lappend(scan->rows.spec.conditions, condition);
		at += valued;
	}
	return true;
}

static void
bind_limit(CsScan *scan, const Datum *values, const bool *nulls)
{
	int at = list_length(scan->values) - 2;

	scan->rows.spec.limit = 0;
	if (scan->plan->limit)
		scan->rows.spec.limit = limit_of(values[at], nulls[at], values[at + 1], nulls[at + 1]);
	scan->rows.spec.partial = scan->rows.spec.limit > 0;
}

/* 0: none, or none that can be sent; the plan's own node refuses what is negative. */
static int64
limit_of(Datum count, bool count_null, Datum offset, bool offset_null)
{
	int64 skip = offset_null ? 0 : Max(0, DatumGetInt64(offset));
	int64 limit = count_null ? 0 : Max(0, DatumGetInt64(count));

	return limit == 0 || limit > PG_INT64_MAX - skip ? 0 : limit + skip;
}

/* Into scan->context, which is the current one. */
static void
evaluate(ForeignScanState *node, CsScan *scan, Datum *values, bool *nulls)
{
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	int i = 0;
	ListCell *lc;

	foreach (lc, scan->values)
	{
		ExprState *state = lfirst(lc);
		int16 length;
		bool by_value;

		values[i] = ExecEvalExprSwitchContext(state, econtext, &nulls[i]);
		get_typlenbyval(exprType((Node *) state->expr), &length, &by_value);
		if (!nulls[i])
			values[i] = datumCopy(values[i], by_value, length);
		i++;
	}
}

/* What the source will be asked if all that was planned can be kept; values that are no constants yet
 * are $1, $2 ... */
static char *
planned_statement(const CsScan *scan, List *expressions, bool *limit_unknown)
{
	CsReadSpec *spec = palloc(sizeof(CsReadSpec));
	int at = 0;
	int unknown = 0;
	ListCell *lc;

	if (scan->rows.type->statement == NULL)
		return NULL;
	*spec = scan->rows.spec;
	spec->conditions = NIL;
	spec->limit = 0;
	foreach (lc, scan->plan->quals)
	{
		const CsQual *qual = lfirst(lc);
		Expr *value = NULL;

		if (qual->comparison < CS_IS_NULL)
			value = list_nth(expressions, at++);
		spec->conditions =
			lappend(spec->conditions, planned_condition(scan, qual, value, &unknown));
	}
	if (scan->plan->limit)
	{
		Const *count = list_nth(expressions, at);
		Const *offset = list_nth(expressions, at + 1);

		if (IsA(count, Const) && IsA(offset, Const))
			spec->limit = limit_of(count->constvalue, count->constisnull, offset->constvalue,
								   offset->constisnull);
		else
			*limit_unknown = true;
	}
	return scan->rows.type->statement(scan->rows.type, spec);
}

static CsCondition *
planned_condition(const CsScan *scan, const CsQual *qual, Expr *value, int *unknown)
{
	CsCondition *condition = NULL;
	const char *column = cs_foreign_column_source(scan->rows.rel, qual->attnum);
	CsQual known = *qual;

	known.value = value;
	if (value == NULL)
		return cs_qual_condition(&known, column, (Datum) 0, false);
	if (IsA(value, Const))
		condition = cs_qual_condition(&known, column, ((Const *) value)->constvalue,
									  ((Const *) value)->constisnull);
	if (condition)
		return condition;
	condition = palloc0(sizeof(CsCondition));
	condition->column = column;
	condition->comparison = qual->comparison;
	condition->type = qual->type;
	condition->placeholder = psprintf("$%d", ++*unknown);
	return condition;
}
