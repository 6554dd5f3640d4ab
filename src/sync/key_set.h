/*
 * key_set.h
 *		The keys of a read: were all of them different, and what is the
 *		fingerprint of the set?
 */
#ifndef CS_KEY_SET_H
#define CS_KEY_SET_H

#include "catalog/mirror_state.h"
#include "sync/key_ops.h"
#include "sync/stage.h"

typedef struct CsKeySet CsKeySet;

/* In CurrentMemoryContext; its files belong to the (sub)transaction.  stage is where the rows go, in the
 * order in which their keys are added; fingerprint: it will be asked for. */
extern CsKeySet *cs_key_set_create(const CsKeyOps *ops, CsStage *stage, bool fingerprint);

/* Adds a key: the first values of a decoded row that is staged, none of them null. */
extern void cs_key_set_add(CsKeySet *keys, const Datum *values);

/* False: no two keys were equal.  True: some may have been.  Ends the set but for its fingerprint. */
extern bool cs_key_set_may_have_duplicates(CsKeySet *keys);

/* Of the keys that were added, as often as they were; means nothing unless the keys are hashable and it
 * was announced. */
extern CsFingerprint cs_key_set_fingerprint(const CsKeySet *keys);

extern void cs_fingerprint_add(CsFingerprint *print, uint64 hash);
extern void cs_fingerprint_subtract(CsFingerprint *print, uint64 hash);
extern bool cs_fingerprint_equal(const CsFingerprint *a, const CsFingerprint *b);

#endif /* CS_KEY_SET_H */
