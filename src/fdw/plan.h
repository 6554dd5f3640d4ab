/*
 * plan.h
 *		What planning a foreign scan hands to its execution.
 */
#ifndef CS_FOREIGN_PLAN_H
#define CS_FOREIGN_PLAN_H

#include "foreign/fdwapi.h"

/* Unpacked from a ForeignScan, whose expressions are: the values of quals that have one, the number of
 * rows wanted, the number of rows to skip before. */
typedef struct CsForeignPlan
{
	List *columns; /* int: attribute numbers to read */
	List *quals;   /* CsQual *, without their values */
	bool limit;	   /* the last expressions are those two, a NULL constant where there is none */
} CsForeignPlan;

/* Members of FdwRoutine. */
extern void cs_foreign_plan_size(PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern void cs_foreign_plan_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern ForeignScan *cs_foreign_plan_create(PlannerInfo *root, RelOptInfo *rel, Oid relid,
										   ForeignPath *path, List *tlist, List *clauses,
										   Plan *outer);

/* In CurrentMemoryContext. */
extern CsForeignPlan *cs_foreign_plan_unpack(ForeignScan *scan);

#endif /* CS_FOREIGN_PLAN_H */
