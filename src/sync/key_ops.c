/*
 * key_ops.c
 *		Sync keys as C sees them: hashed, compared, ordered.
 *
 * Where equal values have equal images, bytes are hashed, not what the type's
 * own function makes of them: that of bigint folds its halves together, so that
 * different keys collide by rule.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "common/hashfn.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "sync/key_ops.h"

static void init_column(CsKeyOps *ops, CsKeyColumn *column, const CsDestColumn *dest,
						Oid eq_operator);
static bool order_is_cheap(const CsKeyColumn *column);
static uint64 hash_column(const CsKeyColumn *column, Datum value);
static uint64 mix(uint64 x);

CsKeyOps *
cs_key_ops_create(const CsMappingSet *set)
{
	CsKeyOps *ops = palloc0(sizeof(CsKeyOps));

	ops->ncolumns = set->nkeys;
	ops->columns = palloc0(sizeof(CsKeyColumn) * set->nkeys);
	ops->hashable = true;
	ops->ordered = true;
	for (int k = 0; k < set->nkeys; k++)
		init_column(ops, &ops->columns[k], set->items[k].dest, set->key->eq_operators[k]);
	return ops;
}

uint64
cs_key_hash(const CsKeyOps *ops, const Datum *values)
{
	uint64 hash = 0;

	for (int k = 0; k < ops->ncolumns; k++)
		hash = hash_combine64(hash, hash_column(&ops->columns[k], values[k]));
	return hash;
}

bool
cs_key_equal(const CsKeyOps *ops, const Datum *a, const Datum *b)
{
	for (int k = 0; k < ops->ncolumns; k++)
	{
		CsKeyColumn *column = &ops->columns[k];

		if (column->exact
				? !datum_image_eq(a[k], b[k], column->by_value, column->length)
				: !DatumGetBool(FunctionCall2Coll(&column->equal, column->collation, a[k], b[k])))
			return false;
	}
	return true;
}

int
cs_key_compare(const CsKeyOps *ops, const Datum *a, const Datum *b)
{
	for (int k = 0; k < ops->ncolumns; k++)
	{
		int order = ApplySortComparator(a[k], false, b[k], false, &ops->columns[k].order);

		if (order != 0)
			return order;
	}
	return 0;
}

/* What the type's default operator class says counts only if the key's index calls the same things equal. */
static void
init_column(CsKeyOps *ops, CsKeyColumn *column, const CsDestColumn *dest, Oid eq_operator)
{
	Oid base = getBaseType(dest->typid);
	TypeCacheEntry *type = lookup_type_cache(base, TYPECACHE_EQ_OPR | TYPECACHE_LT_OPR |
													   TYPECACHE_HASH_EXTENDED_PROC_FINFO);
	bool same = type->eq_opr == eq_operator;

	get_typlenbyval(base, &column->length, &column->by_value);
	column->collation = dest->collation;
	column->exact = same && dest->exact;
	column->hash = &type->hash_extended_proc_finfo;
	fmgr_info(get_opcode(eq_operator), &column->equal);
	if (!same || (!column->exact && !OidIsValid(type->hash_extended_proc)))
		ops->hashable = false;
	if (!same || !OidIsValid(type->lt_opr) || !order_is_cheap(column))
		ops->ordered = false;
	if (!ops->ordered)
		return;
	column->order.ssup_cxt = CurrentMemoryContext;
	column->order.ssup_collation = dest->collation;
	PrepareSortSupportFromOrderingOp(type->lt_opr, &column->order);
}

/* Not so where a locale's rules would have to be asked for each row. */
static bool
order_is_cheap(const CsKeyColumn *column)
{
	return column->length > 0 || !OidIsValid(column->collation) ||
		   column->collation == C_COLLATION_OID;
}

static uint64
hash_column(const CsKeyColumn *column, Datum value)
{
	struct varlena *bytes;
	uint64 hash;

	if (!column->exact)
		return DatumGetUInt64(
			FunctionCall2Coll(column->hash, column->collation, value, UInt64GetDatum(0)));
	if (column->by_value)
		return mix((uint64) value);
	if (column->length > 0)
		return hash_bytes_extended((unsigned char *) DatumGetPointer(value), column->length, 0);
	if (column->length == -2)
		return hash_bytes_extended((unsigned char *) DatumGetCString(value),
								   (int) strlen(DatumGetCString(value)), 0);
	bytes = pg_detoast_datum_packed((struct varlena *) DatumGetPointer(value));
	hash = hash_bytes_extended((unsigned char *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), 0);
	if ((Pointer) bytes != DatumGetPointer(value))
		pfree(bytes);
	return hash;
}

/* Spreads the bits of a number over all 64. */
static uint64
mix(uint64 x)
{
	x += UINT64CONST(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64CONST(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64CONST(0x94d049bb133111eb);
	return x ^ (x >> 31);
}
