/*
 * key_ops.h
 *		Sync keys as C sees them: hashed, compared, ordered.
 *
 * A key is the first values of a row, one per key column, none of them null.
 */
#ifndef CS_KEY_OPS_H
#define CS_KEY_OPS_H

#include "fmgr.h"
#include "utils/sortsupport.h"

#include "sync/mapping.h"

typedef struct CsKeyColumn
{
	bool exact; /* equal values have equal images: bytes are hashed and compared */
	bool by_value;
	int16 length;	/* pg_type.typlen */
	FmgrInfo *hash; /* of the type's default operator class; the type cache's */
	FmgrInfo equal; /* of the key's operator class */
	Oid collation;
	SortSupportData order; /* of the type's default operator class, if ordered is set */
} CsKeyColumn;

/* In the context of cs_key_ops_create. */
typedef struct CsKeyOps
{
	int ncolumns;
	CsKeyColumn *columns;
	bool hashable; /* equal keys have equal hashes */
	bool ordered;  /* keys can be compared, and that is cheap */
} CsKeyOps;

/* In CurrentMemoryContext. */
extern CsKeyOps *cs_key_ops_create(const CsMappingSet *set);

/* 64 bits, the same in every session and on every server as long as the type is; needs hashable. */
extern uint64 cs_key_hash(const CsKeyOps *ops, const Datum *values);

/* By the equality of the key's index. */
extern bool cs_key_equal(const CsKeyOps *ops, const Datum *a, const Datum *b);

/* Less than, equal to or greater than 0; needs ordered. */
extern int cs_key_compare(const CsKeyOps *ops, const Datum *a, const Datum *b);

#endif /* CS_KEY_OPS_H */
