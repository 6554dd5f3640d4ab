/*
 * key_set.c
 *		Were all keys of a read different?
 *
 * Equal keys have equal hashes.  If no two of the 64-bit hashes are equal, no
 * two keys are; if some are, a query finds out.  Eight bytes a record, up to
 * MAX_KEYS; beyond that only the query can tell.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "sync/key_set.h"

#define MIN_KEYS 1024
#define MAX_KEYS (6 * 1024 * 1024)

struct CsKeySet
{
	bool unknown;	 /* a type has no hash function, or there are too many keys */
	int nkeys;		 /* columns */
	FmgrInfo **hash; /* of each column's type; owned by the type cache */
	Oid *collations;
	uint64 *hashes; /* in the context of the set */
	int64 count;
	int64 allocated;
};

#define ST_SORT sort_hashes
#define ST_ELEMENT_TYPE uint64
#define ST_COMPARE(a, b) (*(a) < *(b) ? -1 : *(a) > *(b))
#define ST_SCOPE static
#define ST_DEFINE
#define ST_CHECK_FOR_INTERRUPTS
#include "lib/sort_template.h"

static void forget_hashes(CsKeySet *keys);

CsKeySet *
cs_key_set_create(const CsMappingSet *set)
{
	CsKeySet *keys = palloc0(sizeof(CsKeySet));

	keys->nkeys = set->nkeys;
	keys->hash = palloc(sizeof(FmgrInfo *) * set->nkeys);
	keys->collations = palloc(sizeof(Oid) * set->nkeys);
	for (int k = 0; k < set->nkeys; k++)
	{
		TypeCacheEntry *type = lookup_type_cache(getBaseType(set->items[k].dest->typid),
												 TYPECACHE_HASH_EXTENDED_PROC_FINFO);

		keys->hash[k] = &type->hash_extended_proc_finfo;
		keys->collations[k] = set->items[k].dest->collation;
		if (!OidIsValid(type->hash_extended_proc))
			keys->unknown = true;
	}
	keys->allocated = MIN_KEYS;
	keys->hashes = palloc(sizeof(uint64) * keys->allocated);
	return keys;
}

void
cs_key_set_add(CsKeySet *keys, const Datum *values)
{
	uint64 hash = 0;

	if (keys->unknown)
		return;
	if (keys->count == keys->allocated)
	{
		if (keys->allocated >= MAX_KEYS)
		{
			forget_hashes(keys);
			return;
		}
		keys->allocated = Min(keys->allocated * 2, MAX_KEYS);
		keys->hashes = repalloc_huge(keys->hashes, sizeof(uint64) * keys->allocated);
	}
	for (int k = 0; k < keys->nkeys; k++)
		hash = hash_combine64(hash,
							  DatumGetUInt64(FunctionCall2Coll(keys->hash[k], keys->collations[k],
															   values[k], UInt64GetDatum(0))));
	keys->hashes[keys->count++] = hash;
}

bool
cs_key_set_may_have_duplicates(CsKeySet *keys)
{
	bool found = keys->unknown;

	if (!found)
	{
		sort_hashes(keys->hashes, keys->count);
		for (int64 i = 1; i < keys->count && !found; i++)
			found = keys->hashes[i] == keys->hashes[i - 1];
	}
	forget_hashes(keys);
	return found;
}

static void
forget_hashes(CsKeySet *keys)
{
	keys->unknown = true;
	if (keys->hashes)
		pfree(keys->hashes);
	keys->hashes = NULL;
}
