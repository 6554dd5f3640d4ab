/*
 * condition.h
 *		Which quals of a query the source of a foreign table can be asked with.
 */
#ifndef CS_FOREIGN_CONDITION_H
#define CS_FOREIGN_CONDITION_H

#include "nodes/pathnodes.h"

#include "fdw/rows.h"

/* A qual as a condition on the source; the plan has it until its values are known. */
typedef struct CsQual
{
	AttrNumber attnum;
	CsComparison comparison;
	Oid type;	  /* of the value; CS_EQUAL_ANY: of the elements of the array that value is */
	Expr *value;  /* NULL: the comparison has none */
	bool exactly; /* the source leaves out all that fail it */
} CsQual;

/* Where conditions are about; filled by the caller. */
typedef struct CsQualTarget
{
	RelOptInfo *rel;
	Relation relation;
	const CsSourceType *type;
	const CsReadSpec *spec;
} CsQualTarget;

/* Fills qual and returns true if the source takes the clause.  The clause still has to be checked. */
extern bool cs_qual_match(const CsQualTarget *target, RestrictInfo *clause, CsQual *qual);

/*
 * The condition once its values are known, in CurrentMemoryContext.  NULL: nothing can fulfil it, as it
 * compares with NULL.
 */
extern CsCondition *cs_qual_condition(const CsQual *qual, const char *column, Datum value,
									  bool isnull);

#endif /* CS_FOREIGN_CONDITION_H */
