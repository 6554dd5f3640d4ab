/*
 * expression.c
 *		SQL expressions over the columns of a source.
 *
 * An expression is parsed and analyzed by PostgreSQL's own parser; a hook
 * resolves column references to the source's columns, so that "a.b" reaches
 * into nested records of sources that have them.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "source/typed.h"
#include "sync/expression.h"

typedef struct ResolveState
{
	CsScope *scope;
	List *used; /* int positions */
} ResolveState;

static Node *parse_expression(const char *sql, const char *column);
static Node *resolve_column(ParseState *pstate, ColumnRef *ref);
static Var *column_var(const CsScope *scope, int position);
static ExprState *finish(Node *expr, ParseState *pstate, Oid type, int32 typmod);
static bool is_text_form(Oid from, Oid to);
static void refuse_more_than_expression(ParseState *pstate, const char *column);

int
cs_scope_find(CsScope *scope, const char *name)
{
	CsColumn *column;
	int position = cs_column_find_only(scope->columns, scope->ncolumns, name);

	if (position >= 0 || !scope->open)
		return position;
	if (scope->ncolumns == scope->allocated)
	{
		scope->allocated = Max(16, scope->allocated * 2);
		scope->columns = scope->columns
							 ? repalloc(scope->columns, sizeof(CsColumn) * scope->allocated)
							 : palloc(sizeof(CsColumn) * scope->allocated);
	}
	column = &scope->columns[scope->ncolumns];
	column->name = pstrdup(name);
	column->typid = TEXTOID;
	column->typmod = -1;
	column->collation = DEFAULT_COLLATION_OID;
	return scope->ncolumns++;
}

ExprState *
cs_expression_compile(CsScope *scope, const char *sql, Oid type, int32 typmod, const char *column,
					  List **used)
{
	ParseState *pstate = make_parsestate(NULL);
	ResolveState state = { scope, NIL };
	Node *expr;

	pstate->p_sourcetext = sql;
	pstate->p_pre_columnref_hook = resolve_column;
	pstate->p_ref_hook_state = &state;
	expr = transformExpr(pstate, parse_expression(sql, column), EXPR_KIND_SELECT_TARGET);
	refuse_more_than_expression(pstate, column);
	*used = state.used;
	return finish(expr, pstate, type, typmod);
}

ExprState *
cs_expression_compile_column(CsScope *scope, int position, Oid type, int32 typmod)
{
	ParseState *pstate = make_parsestate(NULL);

	return finish((Node *) column_var(scope, position), pstate, type, typmod);
}

bool
cs_expression_is_bare_column(const ExprState *state)
{
	Expr *expr = state->expr;

	while (IsA(expr, RelabelType))
		expr = ((RelabelType *) expr)->arg;
	return IsA(expr, Var);
}

bool
cs_expression_is_cast(const ExprState *state, Oid function)
{
	const FuncExpr *call = (const FuncExpr *) state->expr;

	return IsA(call, FuncExpr) && call->funcid == function && IsA(linitial(call->args), Var);
}

/* One expression and nothing around it: no FROM, no WHERE, no second column. */
static Node *
parse_expression(const char *sql, const char *column)
{
	List *parsed = raw_parser(sql, RAW_PARSE_PLPGSQL_EXPR);
	SelectStmt *select = castNode(SelectStmt, linitial_node(RawStmt, parsed)->stmt);

	if (list_length(select->targetList) != 1 || select->distinctClause || select->fromClause ||
		select->whereClause || select->groupClause || select->havingClause ||
		select->windowClause || select->sortClause || select->limitCount || select->limitOffset ||
		select->lockingClause || select->withClause || select->op != SETOP_NONE)
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
						errmsg("the mapping of column \"%s\" is not one expression", column),
						errhint("Joins, filters and aggregates belong in the source's query.")));
	return linitial_node(ResTarget, select->targetList)->val;
}

static Node *
resolve_column(ParseState *pstate, ColumnRef *ref)
{
	ResolveState *state = pstate->p_ref_hook_state;
	StringInfoData name;
	ListCell *lc;
	int position;

	initStringInfo(&name);
	foreach (lc, ref->fields)
	{
		if (!IsA(lfirst(lc), String))
			ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
							errmsg("\"*\" is not allowed in a mapping expression")));
		appendStringInfo(&name, "%s%s", name.len ? "." : "", strVal(lfirst(lc)));
	}
	position = cs_scope_find(state->scope, name.data);
	if (position < 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("the source has no column \"%s\"", name.data)));
	state->used = list_append_unique_int(state->used, position);
	return (Node *) column_var(state->scope, position);
}

static Var *
column_var(const CsScope *scope, int position)
{
	const CsColumn *column = &scope->columns[position];

	return makeVar(1, position + 1, column->typid, column->typmod, column->collation, 0);
}

/* To the destination's type as INSERT would, and where there is no such cast, through text. */
static ExprState *
finish(Node *expr, ParseState *pstate, Oid type, int32 typmod)
{
	Node *coerced = NULL;

	if (!is_text_form(exprType(expr), type))
		coerced = coerce_to_target_type(pstate, expr, exprType(expr), type, typmod,
										COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
	if (coerced == NULL)
	{
		CoerceViaIO *io = makeNode(CoerceViaIO);
		Oid base = getBaseType(type);

		io->arg = (Expr *) expr;
		io->resulttype = base;
		io->resultcollid = get_typcollation(base);
		io->coerceformat = COERCE_IMPLICIT_CAST;
		io->location = -1;
		coerced = coerce_to_target_type(pstate, (Node *) io, base, type, typmod,
										COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
	}
	assign_expr_collations(pstate, coerced);
	return ExecInitExpr(expression_planner((Expr *) coerced), NULL);
}

/* Text of a built-in type is what its output function writes; a cast may know less (that of regclass
 * knows no numbers). */
static bool
is_text_form(Oid from, Oid to)
{
	Oid base = getBaseType(to);

	return (from == TEXTOID || from == VARCHAROID) && base < FirstUnpinnedObjectId &&
		   TypeCategory(base) != TYPCATEGORY_STRING;
}

static void
refuse_more_than_expression(ParseState *pstate, const char *column)
{
	if (pstate->p_hasAggs || pstate->p_hasSubLinks || pstate->p_hasWindowFuncs ||
		pstate->p_hasTargetSRFs)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the mapping of column \"%s\" has more than a plain expression", column),
				 errdetail("Subqueries, aggregates, window and set-returning functions are not "
						   "possible over one record."),
				 errhint("Put them into the source's query.")));
}
