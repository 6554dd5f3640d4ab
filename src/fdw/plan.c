/*
 * plan.c
 *		Planning the scan of a foreign table: which columns, conditions and limit
 *		go to its source.
 *
 * All quals stay in the plan.  What the source leaves out is a saving, never
 * the truth.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "foreign/foreign.h"
#include "nodes/makefuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"

#include "base/compat.h"
#include "fdw/condition.h"
#include "fdw/plan.h"

/* Nobody knows the size of a remote answer before ANALYZE has read it. */
#define ASSUMED_ROWS 1000

/* To connect, and for each row that comes, in units of the planner. */
#define STARTUP_COST 100.0
#define ROW_COST 0.1

static void open_target(CsQualTarget *target, RelOptInfo *rel, Oid relid);
static void close_target(CsQualTarget *target);
static List *used_columns(RelOptInfo *rel, Relation relation, List *quals);
static bool limit_counts_rows_of(PlannerInfo *root, RelOptInfo *rel);
static bool is_known_limit(Node *limit);
static List *limit_expressions(Query *parse);
static List *pack(List *columns, List *quals, bool limit);

void
cs_foreign_plan_size(PlannerInfo *root, RelOptInfo *rel, Oid relid pg_attribute_unused())
{
	if (rel->tuples < 0)
		rel->tuples = ASSUMED_ROWS;
	set_baserel_size_estimates(root, rel);
}

/* Its cost is that of the rows that come over, and of checking them once more. */
void
cs_foreign_plan_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	CsQualTarget target;
	List *sent = NIL;
	double rows;
	Cost cost;
	ListCell *lc;

	open_target(&target, rel, relid);
	foreach (lc, rel->baserestrictinfo)
	{
		CsQual qual;

		if (cs_qual_match(&target, lfirst_node(RestrictInfo, lc), &qual))
			sent = lappend(sent, lfirst(lc));
	}
	close_target(&target);
	rows = clamp_row_est(rel->tuples * clauselist_selectivity(root, sent, 0, JOIN_INNER, NULL));
	cost = STARTUP_COST + rel->baserestrictcost.startup +
		   rows * (ROW_COST + cpu_tuple_cost + rel->baserestrictcost.per_tuple);
	add_path(rel, (Path *) cs_foreign_path_create(root, rel, STARTUP_COST, cost));
}

ForeignScan *
cs_foreign_plan_create(PlannerInfo *root, RelOptInfo *rel, Oid relid,
					   ForeignPath *path pg_attribute_unused(), List *tlist, List *clauses,
					   Plan *outer)
{
	CsQualTarget target;
	List *quals = extract_actual_clauses(clauses, false);
	List *sent = NIL;
	List *values = NIL;
	bool limit = limit_counts_rows_of(root, rel);
	List *columns;
	ListCell *lc;

	open_target(&target, rel, relid);
	foreach (lc, clauses)
	{
		RestrictInfo *clause = lfirst_node(RestrictInfo, lc);
		CsQual *qual = palloc0(sizeof(CsQual));

		if (clause->pseudoconstant)
			continue;
		if (!cs_qual_match(&target, clause, qual))
		{
			limit = false;
			continue;
		}
		sent = lappend(sent, qual);
		if (qual->value)
			values = lappend(values, qual->value);
		limit &= qual->exactly;
	}
	columns = used_columns(rel, target.relation, quals);
	close_target(&target);
	if (limit)
		values = list_concat(values, limit_expressions(root->parse));
	return make_foreignscan(tlist, quals, rel->relid, values, pack(columns, sent, limit), NIL, NIL,
							outer);
}

CsForeignPlan *
cs_foreign_plan_unpack(ForeignScan *scan)
{
	CsForeignPlan *plan = palloc0(sizeof(CsForeignPlan));
	ListCell *lc;

	plan->columns = linitial(scan->fdw_private);
	plan->limit = boolVal(lsecond(scan->fdw_private));
	for_each_from (lc, scan->fdw_private, 2)
	{
		List *packed = lfirst(lc);
		CsQual *qual = palloc0(sizeof(CsQual));

		qual->attnum = (AttrNumber) list_nth_oid(packed, 0);
		qual->comparison = (CsComparison) list_nth_oid(packed, 1);
		qual->type = list_nth_oid(packed, 2);
		plan->quals = lappend(plan->quals, qual);
	}
	return plan;
}

static void
open_target(CsQualTarget *target, RelOptInfo *rel, Oid relid)
{
	CsReadSpec *spec = palloc0(sizeof(CsReadSpec));

	target->rel = rel;
	target->relation = table_open(relid, NoLock);
	cs_foreign_table_spec(spec, target->relation);
	target->spec = spec;
	target->type = cs_source_type_of_server(spec->serverid);
}

static void
close_target(CsQualTarget *target)
{
	table_close(target->relation, NoLock);
}

static List *
used_columns(RelOptInfo *rel, Relation relation, List *quals)
{
	Bitmapset *used = NULL;
	List *columns = NIL;
	bool all;

	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &used);
	pull_varattnos((Node *) quals, rel->relid, &used);
	/* A whole-row reference uses all of them. */
	all = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, used);
	for (AttrNumber attnum = 1; attnum <= RelationGetNumberOfAttributes(relation); attnum++)
	{
		if (TupleDescAttr(RelationGetDescr(relation), attnum - 1)->attisdropped)
			continue;
		if (all || bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, used))
			columns = lappend_int(columns, attnum);
	}
	return columns;
}

/* Is there nothing between the scan and the query's LIMIT but quals of the scan?  The node of the limit
 * stays in the plan. */
static bool
limit_counts_rows_of(PlannerInfo *root, RelOptInfo *rel)
{
	Query *parse = root->parse;

	return parse->commandType == CMD_SELECT && (parse->limitCount != NULL) &&
		   parse->limitOption == LIMIT_OPTION_COUNT && rel->reloptkind == RELOPT_BASEREL &&
		   bms_equal(root->all_baserels, rel->relids) && rel->joininfo == NIL && !parse->hasAggs &&
		   !parse->hasWindowFuncs && !parse->hasTargetSRFs && parse->groupClause == NIL &&
		   parse->groupingSets == NIL && parse->havingQual == NULL &&
		   parse->distinctClause == NIL && parse->sortClause == NIL &&
		   parse->setOperations == NULL && parse->rowMarks == NIL &&
		   is_known_limit(parse->limitCount) && is_known_limit(parse->limitOffset);
}

static bool
is_known_limit(Node *limit)
{
	return limit == NULL || (!contain_var_clause(limit) && !contain_volatile_functions(limit) &&
							 !contain_subplans(limit));
}

static List *
limit_expressions(Query *parse)
{
	Node *none = (Node *) makeNullConst(INT8OID, -1, InvalidOid);

	return list_make2(copyObject(parse->limitCount),
					  parse->limitOffset ? copyObject(parse->limitOffset) : none);
}

/* As nodes that can be copied: the columns, is there a limit, and three numbers for each qual. */
static List *
pack(List *columns, List *quals, bool limit)
{
	List *packed = list_make2(columns, makeBoolean(limit));
	ListCell *lc;

	foreach (lc, quals)
	{
		const CsQual *qual = lfirst(lc);

		packed =
			lappend(packed, list_make3_oid((Oid) qual->attnum, (Oid) qual->comparison, qual->type));
	}
	return packed;
}
