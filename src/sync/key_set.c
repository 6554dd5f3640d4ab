/*
 * key_set.c
 *		The keys of a read: were all of them different?
 *
 * Keys that come in strictly ascending order are.  Otherwise: equal keys have
 * equal hashes, so if no two of the 64-bit hashes are equal, no two keys are;
 * if some are, a query finds out.  Eight bytes a key: up to MAX_IN_MEMORY of
 * them, then in files, one for each of PARTITIONS ranges of the hash, so that
 * each range can be looked at by itself and memory does not grow with the
 * source.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/buffile.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/compat.h"
#include "sync/key_set.h"

#define MIN_KEYS 1024
#define MAX_IN_MEMORY (1024 * 1024)
#define PARTITIONS 64
#define PARTITION_OF(hash) ((hash) >> 58)

struct CsKeySet
{
	const CsKeyOps *ops;   /* the creator's */
	MemoryContext context; /* of the set: what follows lives there */
	ResourceOwner owner;   /* of the files */
	bool unknown;		   /* only a query can tell */
	bool ascending;		   /* every key so far was greater than the one before */
	Datum *last;		   /* the key added last; by reference: copies of our own */
	int64 added;
	CsFingerprint print;
	uint64 *hashes; /* those not yet in files */
	int count;
	int allocated;
	BufFile **files; /* NULL while all hashes are in memory */
	int64 *in_file;	 /* hashes in each */
};

#define ST_SORT sort_hashes
#define ST_ELEMENT_TYPE uint64
#define ST_COMPARE(a, b) (*(a) < *(b) ? -1 : *(a) > *(b))
#define ST_SCOPE static
#define ST_DEFINE
#define ST_CHECK_FOR_INTERRUPTS
#include "lib/sort_template.h"

static void note_order(CsKeySet *keys, const Datum *values);
static void make_room(CsKeySet *keys);
static void move_to_files(CsKeySet *keys);
static void create_files(CsKeySet *keys);
static bool files_have_duplicates(CsKeySet *keys);
static bool has_equal_hashes(uint64 *hashes, int64 count);
static void forget_hashes(CsKeySet *keys);

CsKeySet *
cs_key_set_create(const CsKeyOps *ops)
{
	CsKeySet *keys = palloc0(sizeof(CsKeySet));

	keys->ops = ops;
	keys->context = CurrentMemoryContext;
	keys->owner = CurrentResourceOwner;
	keys->unknown = !ops->hashable;
	keys->ascending = ops->ordered;
	keys->last = palloc0(sizeof(Datum) * ops->ncolumns);
	keys->allocated = MIN_KEYS;
	keys->hashes = palloc(sizeof(uint64) * keys->allocated);
	return keys;
}

void
cs_key_set_add(CsKeySet *keys, const Datum *values)
{
	uint64 hash;

	if (keys->ascending)
		note_order(keys, values);
	keys->added++;
	if (keys->unknown)
		return;
	if (keys->count == keys->allocated)
		make_room(keys);
	hash = cs_key_hash(keys->ops, values);
	keys->hashes[keys->count++] = hash;
	cs_fingerprint_add(&keys->print, hash);
}

bool
cs_key_set_may_have_duplicates(CsKeySet *keys)
{
	bool found = false;

	if (!keys->ascending)
		found = keys->unknown || (keys->files ? files_have_duplicates(keys)
											  : has_equal_hashes(keys->hashes, keys->count));
	forget_hashes(keys);
	return found;
}

CsFingerprint
cs_key_set_fingerprint(const CsKeySet *keys)
{
	return keys->print;
}

/* Two sums of what two different mixers make of the hash. */
void
cs_fingerprint_add(CsFingerprint *print, uint64 hash)
{
	print->count++;
	print->sums[0] += hash;
	print->sums[1] += (hash ^ (hash >> 29)) * UINT64CONST(0xbf58476d1ce4e5b9);
}

void
cs_fingerprint_subtract(CsFingerprint *print, uint64 hash)
{
	print->count--;
	print->sums[0] -= hash;
	print->sums[1] -= (hash ^ (hash >> 29)) * UINT64CONST(0xbf58476d1ce4e5b9);
}

bool
cs_fingerprint_equal(const CsFingerprint *a, const CsFingerprint *b)
{
	return a->count == b->count && a->sums[0] == b->sums[0] && a->sums[1] == b->sums[1];
}

static void
note_order(CsKeySet *keys, const Datum *values)
{
	const CsKeyOps *ops = keys->ops;
	bool is_first = keys->added == 0;
	MemoryContext old;

	if (!is_first && cs_key_compare(ops, keys->last, values) >= 0)
	{
		keys->ascending = false;
		return;
	}
	old = MemoryContextSwitchTo(keys->context);
	for (int k = 0; k < ops->ncolumns; k++)
	{
		const CsKeyColumn *column = &ops->columns[k];

		if (!column->by_value && !is_first)
			pfree(DatumGetPointer(keys->last[k]));
		keys->last[k] = datumCopy(values[k], column->by_value, column->length);
	}
	MemoryContextSwitchTo(old);
}

static void
make_room(CsKeySet *keys)
{
	if (keys->allocated >= MAX_IN_MEMORY)
	{
		move_to_files(keys);
		return;
	}
	keys->allocated *= 2;
	keys->hashes = repalloc(keys->hashes, sizeof(uint64) * keys->allocated);
}

/* In runs of one partition each: the hashes are sorted first. */
static void
move_to_files(CsKeySet *keys)
{
	int from = 0;

	if (keys->files == NULL)
		create_files(keys);
	sort_hashes(keys->hashes, keys->count);
	while (from < keys->count)
	{
		int partition = PARTITION_OF(keys->hashes[from]);
		int to = from;

		while (to < keys->count && PARTITION_OF(keys->hashes[to]) == partition)
			to++;
		BufFileWrite(keys->files[partition], keys->hashes + from, sizeof(uint64) * (to - from));
		keys->in_file[partition] += to - from;
		from = to;
	}
	keys->count = 0;
}

/* The reader that feeds us may have a resource owner of its own, which ends before we do. */
static void
create_files(CsKeySet *keys)
{
	MemoryContext old = MemoryContextSwitchTo(keys->context);
	ResourceOwner owner = CurrentResourceOwner;

	CurrentResourceOwner = keys->owner;
	keys->in_file = palloc0(sizeof(int64) * PARTITIONS);
	keys->files = palloc(sizeof(BufFile *) * PARTITIONS);
	for (int i = 0; i < PARTITIONS; i++)
		keys->files[i] = BufFileCreateTemp(false);
	CurrentResourceOwner = owner;
	MemoryContextSwitchTo(old);
}

static bool
files_have_duplicates(CsKeySet *keys)
{
	bool found = false;

	move_to_files(keys);
	for (int i = 0; i < PARTITIONS && !found; i++)
	{
		size_t bytes = sizeof(uint64) * keys->in_file[i];
		uint64 *hashes = MemoryContextAllocHuge(keys->context, Max(1, bytes));

		if (BufFileSeek(keys->files[i], 0, 0, SEEK_SET) != 0)
			ereport(ERROR, (errcode_for_file_access(),
							errmsg("could not rewind a temporary file of the run: %m")));
		cs_buffile_read(keys->files[i], hashes, bytes);
		found = has_equal_hashes(hashes, keys->in_file[i]);
		pfree(hashes);
	}
	return found;
}

static bool
has_equal_hashes(uint64 *hashes, int64 count)
{
	sort_hashes(hashes, count);
	for (int64 i = 1; i < count; i++)
		if (hashes[i] == hashes[i - 1])
			return true;
	return false;
}

static void
forget_hashes(CsKeySet *keys)
{
	for (int i = 0; i < PARTITIONS && keys->files; i++)
		BufFileClose(keys->files[i]);
	keys->files = NULL;
	if (keys->hashes)
		pfree(keys->hashes);
	keys->hashes = NULL;
	keys->unknown = true;
}
