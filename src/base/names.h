/*
 * names.h
 *		Lists of names.
 */
#ifndef CS_NAMES_H
#define CS_NAMES_H

#include "nodes/pg_list.h"

/* Is name among names (char *)? */
static inline bool
cs_names_have(const List *names, const char *name)
{
	ListCell *lc;

	foreach (lc, names)
		if (strcmp((const char *) lfirst(lc), name) == 0)
			return true;
	return false;
}

/* The same of names that somebody gave; NIL: he wants all there are. */
static inline bool
cs_names_want(const List *names, const char *name)
{
	return names == NIL || cs_names_have(names, name);
}

#endif /* CS_NAMES_H */
