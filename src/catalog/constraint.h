/*
 * constraint.h
 *		Constraints of a destination that a query can ask about: CHECKs and
 *		foreign keys.  (Unique ones are keys of the destination.)
 */
#ifndef CS_CONSTRAINT_H
#define CS_CONSTRAINT_H

#include "catalog/destination.h"

/* A CHECK of the table as SQL over its bare column names. */
typedef struct CsCheckConstraint
{
	char *expression;
	List *columns; /* positions in the destination */
} CsCheckConstraint;

typedef struct CsForeignKey
{
	int ncolumns;
	int *columns;		   /* positions in the destination */
	char **parent_columns; /* quoted */
	int *self_columns;	   /* positions in the destination if that is the parent, else NULL */
	Oid *operators;		   /* parent's column = ours */
	char *parent;		   /* quoted, with ONLY where needed */
	bool match_full;
} CsForeignKey;

typedef struct CsConstraints
{
	List *checks;		/* CsCheckConstraint * */
	List *foreign_keys; /* CsForeignKey *; those whose parents the current role may read */
	bool *
		fixed_default; /* by column: what an insert that leaves it out gives it, its default or NULL,
								 * can be asked for without an effect */
} CsConstraints;

/* Of the destination, as the current role; in CurrentMemoryContext. */
extern CsConstraints *cs_constraints_load(const CsDestination *destination);

#endif /* CS_CONSTRAINT_H */
