/*
 * number_set.c
 *		A set of record numbers: one bit each.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "sync/number_set.h"

#define MIN_BYTES 1024

struct CsNumberSet
{
	MemoryContext context; /* in which the bits live */
	uint8 *bits;
	int64 bytes;
};

CsNumberSet *
cs_number_set_create(void)
{
	CsNumberSet *set = palloc0(sizeof(CsNumberSet));

	set->context = CurrentMemoryContext;
	return set;
}

void
cs_number_set_add(CsNumberSet *set, int64 number)
{
	int64 byte = number / 8;

	Assert(number >= 0);
	if (byte >= set->bytes)
	{
		int64 bytes = Max(Max(MIN_BYTES, set->bytes * 2), byte + 1);
		uint8 *bits =
			MemoryContextAllocExtended(set->context, bytes, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

		if (set->bits)
		{
			memcpy(bits, set->bits, set->bytes);
			pfree(set->bits);
		}
		set->bits = bits;
		set->bytes = bytes;
	}
	set->bits[byte] |= 1 << (number % 8);
}

bool
cs_number_set_has(const CsNumberSet *set, int64 number)
{
	return number / 8 < set->bytes && (set->bits[number / 8] & (1 << (number % 8))) != 0;
}
