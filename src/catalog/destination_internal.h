/*
 * destination_internal.h
 *		What destination.c and unique_key.c share, and nobody else calls.
 */
#ifndef CS_DESTINATION_INTERNAL_H
#define CS_DESTINATION_INTERNAL_H

#include "nodes/nodes.h"
#include "utils/relcache.h"

#include "catalog/destination.h"

/* The expression as SQL, in CurrentMemoryContext.  Its columns are those of the relation, which may
 * be NULL for an expression without any.  Names come out qualified as the search_path in force asks. */
extern char *cs_expression_deparse(Node *expression, Relation relation);

/* The keys of an open table whose columns are already in the destination: CsUniqueKey *, primary
 * first, then by name.  Indexes dropped at this moment are left out. */
extern List *cs_unique_key_list(Relation relation, const CsDestination *destination);

/* The statement that would give a table without a usable key one, or NULL if there is none to be had
 * in one statement.  Needs columns and keys of the destination. */
extern char *cs_unique_key_propose(Relation relation, const CsDestination *destination);

/* ALTER TABLE ... ADD <kind> on columns by position, with the partition columns that the server asks
 * for; kind is UNIQUE or PRIMARY KEY.  NULL if the server would refuse it. */
extern char *cs_unique_key_statement(const CsDestination *destination, const char *kind,
									 List *positions);

#endif /* CS_DESTINATION_INTERNAL_H */
