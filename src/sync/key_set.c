/*
 * key_set.c
 *		The keys of a read: were all of them different?
 *
 * Keys that come in strictly ascending order are; should the order break, those
 * before are read back from the stage.  Otherwise: equal keys have
 * equal hashes, so if no two of the 64-bit hashes are equal, no two keys are;
 * if some are, a query finds out.  Eight bytes a key: up to MAX_IN_MEMORY of
 * them, then in files, one for each of PARTITIONS ranges of the hash, so that
 * each range can be looked at by itself and memory does not grow with the
 * source.
 */
#include "postgres.h"

#include "executor/executor.h"
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
	CsStage *stage;		   /* the creator's */
	bool has_print;		   /* print is wanted */
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

/* What is written to a partition at a time. */
#define BUFFERED 512

#define ST_SORT sort_hashes
#define ST_ELEMENT_TYPE uint64
#define ST_COMPARE(a, b) (*(a) < *(b) ? -1 : *(a) > *(b))
#define ST_SCOPE static
#define ST_DEFINE
#define ST_CHECK_FOR_INTERRUPTS
#include "lib/sort_template.h"

static void note_order(CsKeySet *keys, const Datum *values);
static void keep_staged(CsKeySet *keys);
static void keep(CsKeySet *keys, uint64 hash);
static void make_room(CsKeySet *keys);
static void move_to_files(CsKeySet *keys);
static void write_partition(CsKeySet *keys, int partition, uint64 *hashes, int *count);
static void create_files(CsKeySet *keys);
static bool files_have_duplicates(CsKeySet *keys);
static bool has_equal_hashes(uint64 *hashes, int64 count);
static void forget_hashes(CsKeySet *keys);

CsKeySet *
cs_key_set_create(const CsKeyOps *ops, CsStage *stage, bool fingerprint)
{
	CsKeySet *keys = palloc0(sizeof(CsKeySet));

	keys->ops = ops;
	keys->context = CurrentMemoryContext;
	keys->owner = CurrentResourceOwner;
	keys->stage = stage;
	keys->has_print = fingerprint;
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
	bool was_ascending = keys->ascending;

	if (was_ascending)
		note_order(keys, values);
	if (!keys->unknown && was_ascending && !keys->ascending)
		keep_staged(keys);
	keys->added++;
	if (keys->unknown || (keys->ascending && !keys->has_print))
		return;
	keep(keys, cs_key_hash(keys->ops, values));
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

/* The keys so far, whose order made their hashes needless. */
static void
keep_staged(CsKeySet *keys)
{
	TupleTableSlot *slot = cs_stage_rewind(keys->stage);
	CsFingerprint print = keys->print;

	for (int64 i = 0; i < keys->added && cs_stage_next(keys->stage, slot); i++)
	{
		slot_getsomeattrs(slot, keys->ops->ncolumns + 1);
		keep(keys, cs_key_hash(keys->ops, slot->tts_values + 1));
	}
	if (keys->added < keys->stage->count)
		ExecDropSingleTupleTableSlot(slot);
	keys->print = print;
}

/* While the keys ascend, only for the fingerprint. */
static void
keep(CsKeySet *keys, uint64 hash)
{
	if (keys->has_print)
		cs_fingerprint_add(&keys->print, hash);
	if (keys->ascending)
		return;
	if (keys->count == keys->allocated)
		make_room(keys);
	keys->hashes[keys->count++] = hash;
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

static void
move_to_files(CsKeySet *keys)
{
	uint64(*buffers)[BUFFERED] = palloc(sizeof(uint64) * BUFFERED * PARTITIONS);
	int buffered[PARTITIONS] = { 0 };

	if (keys->files == NULL)
		create_files(keys);
	for (int i = 0; i < keys->count; i++)
	{
		int partition = PARTITION_OF(keys->hashes[i]);

		buffers[partition][buffered[partition]++] = keys->hashes[i];
		if (buffered[partition] == BUFFERED)
			write_partition(keys, partition, buffers[partition], &buffered[partition]);
	}
	for (int partition = 0; partition < PARTITIONS; partition++)
		write_partition(keys, partition, buffers[partition], &buffered[partition]);
	pfree(buffers);
	keys->count = 0;
}

static void
write_partition(CsKeySet *keys, int partition, uint64 *hashes, int *count)
{
	BufFileWrite(keys->files[partition], hashes, sizeof(uint64) * *count);
	keys->in_file[partition] += *count;
	*count = 0;
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
