/*
 * key_set.h
 *		Were all keys of a read different?  A cheap proof for the usual case that
 *		they were.
 */
#ifndef CS_KEY_SET_H
#define CS_KEY_SET_H

#include "sync/mapping.h"

typedef struct CsKeySet CsKeySet;

/* In CurrentMemoryContext. */
extern CsKeySet *cs_key_set_create(const CsMappingSet *set);

/* Adds a key: the first values of a decoded row, none of them null. */
extern void cs_key_set_add(CsKeySet *keys, const Datum *values);

/* False: no two keys were equal.  True: some may have been.  Ends the set. */
extern bool cs_key_set_may_have_duplicates(CsKeySet *keys);

#endif /* CS_KEY_SET_H */
