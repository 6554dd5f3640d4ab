/*
 * condition.c
 *		Which quals of a query the source of a foreign table can be asked with.
 *
 * A comparison is known by PostgreSQL's own btree operators of the column's
 * type: what others mean by theirs, nobody can say to a source.  Whether the
 * source means the same by its comparison, its type says.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/restrictinfo.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "fdw/condition.h"

/* More values than that are not sent: statements have their limits. */
#define MAX_VALUES 1000

static bool match_clause(const CsQualTarget *target, Expr *clause, CsQual *qual);
static bool match_null_test(const CsQualTarget *target, NullTest *test, CsQual *qual);
static bool match_boolean(const CsQualTarget *target, Expr *column, bool value, CsQual *qual);
static bool match_operator(const CsQualTarget *target, OpExpr *op, CsQual *qual);
static bool match_any(const CsQualTarget *target, ScalarArrayOpExpr *op, CsQual *qual);
static AttrNumber column_of(const CsQualTarget *target, Expr *node);
static bool comparison_of(const CsQualTarget *target, AttrNumber attnum, Oid operator,
						  Oid collation, CsComparison *comparison);
static bool is_known_before(Expr *value);
static bool is_taken(const CsQualTarget *target, CsQual *qual);
static bool take_values(CsCondition *condition, Datum array);

bool
cs_qual_match(const CsQualTarget *target, RestrictInfo *clause, CsQual *qual)
{
	/* What a security barrier has not let through must not leak to a source either. */
	return target->type->takes && !clause->pseudoconstant &&
		   restriction_is_securely_promotable(clause, target->rel) &&
		   match_clause(target, clause->clause, qual) && is_taken(target, qual);
}

CsCondition *
cs_qual_condition(const CsQual *qual, const char *column, Datum value, bool isnull)
{
	CsCondition *condition = palloc0(sizeof(CsCondition));

	condition->column = column;
	condition->comparison = qual->comparison;
	condition->type = qual->type;
	condition->value = value;
	if (isnull)
		return NULL;
	if (qual->comparison == CS_EQUAL_ANY && !take_values(condition, value))
		return NULL;
	return condition;
}

static bool
match_clause(const CsQualTarget *target, Expr *clause, CsQual *qual)
{
	switch (nodeTag(clause))
	{
		case T_NullTest:
			return match_null_test(target, (NullTest *) clause, qual);
		case T_OpExpr:
			return match_operator(target, (OpExpr *) clause, qual);
		case T_ScalarArrayOpExpr:
			return match_any(target, (ScalarArrayOpExpr *) clause, qual);
		case T_Var:
			return match_boolean(target, clause, true, qual);
		case T_BoolExpr:
			return is_notclause(clause) &&
				   match_boolean(target, get_notclausearg(clause), false, qual);
		default:
			return false;
	}
}

static bool
match_null_test(const CsQualTarget *target, NullTest *test, CsQual *qual)
{
	qual->attnum = test->argisrow ? 0 : column_of(target, test->arg);
	qual->comparison = test->nulltesttype == IS_NULL ? CS_IS_NULL : CS_IS_NOT_NULL;
	qual->type = InvalidOid;
	qual->value = NULL;
	return qual->attnum != 0;
}

/* The planner makes "flag" of "flag = true", and "NOT flag" of "flag = false". */
static bool
match_boolean(const CsQualTarget *target, Expr *column, bool value, CsQual *qual)
{
	qual->attnum = column_of(target, column);
	qual->comparison = CS_EQUAL;
	qual->type = BOOLOID;
	qual->value = (Expr *) makeBoolConst(value, false);
	return qual->attnum != 0;
}

static bool
match_operator(const CsQualTarget *target, OpExpr *op, CsQual *qual)
{
	Oid operator= op->opno;
	Expr *left = linitial(op->args);
	Expr *right = list_length(op->args) == 2 ? lsecond(op->args) : NULL;

	if (right && column_of(target, left) == 0)
	{
		Expr *swap = left;

		left = right;
		right = swap;
		operator= get_commutator(operator);
	}
	qual->attnum = right ? column_of(target, left) : 0;
	qual->value = right;
	if (qual->attnum == 0 || !OidIsValid(operator) || !is_known_before(right) ||
		!comparison_of(target, qual->attnum, operator, op->inputcollid, &qual->comparison))
		return false;
	qual->type = getBaseType(exprType((Node *) right));
	return true;
}

/* column = ANY (array), which is what the parser makes of IN. */
static bool
match_any(const CsQualTarget *target, ScalarArrayOpExpr *op, CsQual *qual)
{
	qual->attnum = op->useOr ? column_of(target, linitial(op->args)) : 0;
	qual->value = lsecond(op->args);
	if (qual->attnum == 0 || !is_known_before(qual->value) ||
		!comparison_of(target, qual->attnum, op->opno, op->inputcollid, &qual->comparison) ||
		qual->comparison != CS_EQUAL)
		return false;
	qual->comparison = CS_EQUAL_ANY;
	qual->type = getBaseType(get_element_type(getBaseType(exprType((Node *) qual->value))));
	return OidIsValid(qual->type);
}

/* The column that a node is, seen as its own type; 0: it is none. */
static AttrNumber
column_of(const CsQualTarget *target, Expr *node)
{
	Oid type = exprType((Node *) node);
	Oid own;
	Var *var;

	while (IsA(node, RelabelType))
		node = ((RelabelType *) node)->arg;
	var = (Var *) node;
	if (!IsA(node, Var) || var->varno != (int) target->rel->relid || var->varlevelsup != 0 ||
		var->varattno <= 0)
		return 0;
	own = getBaseType(var->vartype);
	if (getBaseType(type) != own && !(own == VARCHAROID && type == TEXTOID))
		return 0;
	return var->varattno;
}

static bool
comparison_of(const CsQualTarget *target, AttrNumber attnum, Oid operator, Oid collation,
			  CsComparison *comparison)
{
	static const CsComparison by_strategy[] = { CS_LESS, CS_LESS_EQUAL, CS_EQUAL, CS_GREATER_EQUAL,
												CS_GREATER };
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(target->relation), attnum - 1);
	Oid family =
		lookup_type_cache(getBaseType(attribute->atttypid), TYPECACHE_BTREE_OPFAMILY)->btree_opf;
	int strategy;

	if (operator>= FirstUnpinnedObjectId || !OidIsValid(family) ||
		(OidIsValid(collation) && collation != attribute->attcollation))
		return false;
	strategy = get_op_opfamily_strategy(operator, family);
	if (strategy != 0)
		*comparison = by_strategy[strategy - BTLessStrategyNumber];
	else if (OidIsValid(get_negator(operator)) &&
			 get_op_opfamily_strategy(get_negator(operator), family) == BTEqualStrategyNumber)
		*comparison = CS_NOT_EQUAL;
	else
		return false;
	return true;
}

/* Before a record is there, and the same for all of them. */
static bool
is_known_before(Expr *value)
{
	return !contain_var_clause((Node *) value) && !contain_volatile_functions((Node *) value) &&
		   !contain_subplans((Node *) value);
}

static bool
is_taken(const CsQualTarget *target, CsQual *qual)
{
	Form_pg_attribute attribute =
		TupleDescAttr(RelationGetDescr(target->relation), qual->attnum - 1);
	CsColumn column = { cs_foreign_column_source(target->relation, qual->attnum),
						getBaseType(attribute->atttypid), attribute->atttypmod,
						attribute->attcollation, attribute->attnotnull };

	qual->exactly = false;
	return target->type->takes(target->type, target->spec, &column, qual->comparison, qual->type,
							   &qual->exactly);
}

/* Elements that are NULL equal nothing.  Too many make a condition that is no more than a test for NULL. */
static bool
take_values(CsCondition *condition, Datum array)
{
	int16 length;
	bool by_value;
	char align;
	Datum *elements;
	bool *nulls;
	int n;
	Datum *values;

	get_typlenbyvalalign(ARR_ELEMTYPE(DatumGetArrayTypeP(array)), &length, &by_value, &align);
	deconstruct_array(DatumGetArrayTypeP(array), ARR_ELEMTYPE(DatumGetArrayTypeP(array)), length,
					  by_value, align, &elements, &nulls, &n);
	values = palloc(sizeof(Datum) * Max(1, n));
	for (int i = 0; i < n; i++)
		if (!nulls[i])
			values[condition->nvalues++] = elements[i];
	condition->values = values;
	if (condition->nvalues > MAX_VALUES)
	{
		condition->comparison = CS_IS_NOT_NULL;
		condition->nvalues = 0;
	}
	return condition->nvalues > 0 || condition->comparison == CS_IS_NOT_NULL;
}
