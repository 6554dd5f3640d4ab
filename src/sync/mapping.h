/*
 * mapping.h
 *		Which destination columns a sync writes, and from what.
 */
#ifndef CS_MAPPING_H
#define CS_MAPPING_H

#include "catalog/definition.h"
#include "catalog/destination.h"
#include "format/decoder.h"

typedef enum CsMappingKind
{
	CS_MAP_COLUMN,	   /* from a source column */
	CS_MAP_EXPRESSION, /* from an SQL expression over source columns */
	CS_MAP_VALUE	   /* a constant */
} CsMappingKind;

/* One destination column that is written. */
typedef struct CsMapping
{
	const CsDestColumn *dest; /* the destination's */
	CsMappingKind kind;
	char *source;  /* column name or path, or the expression's text */
	CsField value; /* a constant */
	int position;  /* its column in a stage is c<position>; never changes */
	bool by_name;  /* not asked for: the names agree */
	bool is_key;
	bool skip_null;	 /* a NULL leaves the destination's value alone */
	bool only_empty; /* set only where the destination has NULL or '' */
} CsMapping;

/* All of them, key columns first in the key's order; in the context of cs_mapping_load. */
typedef struct CsMappingSet
{
	int count;
	int nkeys;
	CsMapping *items;
	const CsDestination *destination;
	const CsUniqueKey *key;
	bool explicit; /* given, not by name */
} CsMappingSet;

/*
 * The mappings of a sync.  source_columns (char *) are the names the source is known to have, NIL if it
 * can't tell beforehand; by-name mappings then offer every writable column of the destination.
 * Throws: 42703 unknown destination column; 428C9 generated or GENERATED ALWAYS column; 42703 unknown
 * source column; 42P10 a key column that is not mapped; 23502 a NOT NULL column without default that a
 * behavior which inserts leaves out; 22023 malformed mappings.
 */
extern CsMappingSet *cs_mapping_load(const CsSync *sync, const CsDestination *destination,
									 const CsUniqueKey *key, List *source_columns);

/* Drops by-name mappings whose source column no record had (seen is per mapping), then checks again
 * that keys and NOT NULL columns are there; throws 42703 for an asked-for column that no record had. */
extern void cs_mapping_settle(CsMappingSet *set, const CsSync *sync, const bool *seen);

/* Is the column written? */
extern bool cs_mapping_has_column(const CsMappingSet *set, const CsDestColumn *column);

/* Can a matched row differ in it?  A key column only where equal values may have different images. */
extern bool cs_mapping_is_compared(const CsMapping *mapping);

#endif /* CS_MAPPING_H */
