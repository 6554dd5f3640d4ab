/*
 * decode.h
 *		Source values into values of the destination's columns.
 */
#ifndef CS_DECODE_H
#define CS_DECODE_H

#include "base/errors.h"
#include "source/reader.h"
#include "sync/mapping.h"

typedef struct CsDecodePlan CsDecodePlan;

/* A record as the destination will see it, one value per mapping.  In the batch's context. */
typedef struct CsRow
{
	Datum *values;
	bool *nulls;
	int decoded;	/* how many values are there: all, unless error is set */
	CsError *error; /* why the record is invalid, or NULL; column names the culprit */
} CsRow;

/*
 * Compiles mappings, expressions included, in CurrentMemoryContext.  columns are those of a typed
 * source; NULL: values come as text, and cs_decode_wanted says which columns to ask for.
 * To be called as the role that the sync applies as; throws what a bad expression throws, and 0A000 for
 * subqueries, aggregates and the like in it.
 */
extern CsDecodePlan *cs_decode_create(const CsMappingSet *set, const CsColumn *columns,
									  int ncolumns);

/* Names of the source columns that are needed, char *. */
extern List *cs_decode_wanted(const CsDecodePlan *plan);

/* Which columns of a typed source are looked at: one flag for each of them. */
extern bool *cs_decode_needed(const CsDecodePlan *plan);

/*
 * Decodes a batch into rows (nrecords of them), everything in CurrentMemoryContext.  What fails for one
 * record is that row's error.  Uses subtransactions; a cancel passes through.
 */
extern void cs_decode_batch(CsDecodePlan *plan, const CsBatch *batch, CsRow *rows);

/* Do all values come as they are from columns of a typed source?  Then nothing can fail, and nothing
 * runs, in making them. */
extern bool cs_decode_is_direct(const CsDecodePlan *plan);

/* The same for one record of such a source: fills the arrays of row; by-reference values stay the
 * record's. */
extern void cs_decode_direct(const CsDecodePlan *plan, const CsRecord *record, CsRow *row);

/* Which mappings' source columns any record had; throws 42703 where an expression's had none. */
extern bool *cs_decode_seen(const CsDecodePlan *plan, const CsReader *reader);

/* The first n values of a row as JSON for the log: an object by destination column.  NULL if n is 0. */
extern char *cs_decode_row_json(const CsMappingSet *set, const Datum *values, const bool *nulls,
								int n);

#endif /* CS_DECODE_H */
