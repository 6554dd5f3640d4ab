/*
 * expression.h
 *		SQL expressions over the columns of a source.
 */
#ifndef CS_EXPRESSION_H
#define CS_EXPRESSION_H

#include "nodes/execnodes.h"

#include "source/reader.h"

/* The columns an expression may use.  Text sources take any name: a new one is appended. */
typedef struct CsScope
{
	bool open; /* unknown names become text columns */
	int ncolumns;
	int allocated;
	CsColumn *columns;
} CsScope;

/* The position of a column, appending it to an open scope; -1 if it isn't there.  42702 if there are several. */
extern int cs_scope_find(CsScope *scope, const char *name);

/* Compiles sql to a value of the given type by assignment cast, or else through text.  *used gets the
 * positions of the columns it reads. */
extern ExprState *cs_expression_compile(CsScope *scope, const char *sql, Oid type, int32 typmod,
										const char *column, List **used);

/* The same for a bare column. */
extern ExprState *cs_expression_compile_column(CsScope *scope, int position, Oid type,
											   int32 typmod);

/* Is it nothing but the column's value, as it is? */
extern bool cs_expression_is_bare_column(const ExprState *state);

/* Is it nothing but that function of the column's value? */
extern bool cs_expression_is_cast(const ExprState *state, Oid function);

#endif /* CS_EXPRESSION_H */
