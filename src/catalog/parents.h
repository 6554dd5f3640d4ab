/*
 * parents.h
 *		Which syncs run after which others.
 */
#ifndef CS_PARENTS_H
#define CS_PARENTS_H

#include "catalog/definition.h"

/* Has a sync run after those of these names, instead of what was before; throws 42704 for a name that is
 * none's, 42501 for one the current role may not run, 42P17 for a cycle. */
extern void cs_parents_set(const CsSync *sync, List *names);
extern void cs_parents_forget(int64 sync_id);

/* The child follows the runs that its parents have completed by now. */
extern void cs_parents_follow(int64 sync_id);

/* Throws 2BP01 if other syncs run after this one. */
extern void cs_parents_refuse_if_has_children(const CsSync *sync);

#endif /* CS_PARENTS_H */
