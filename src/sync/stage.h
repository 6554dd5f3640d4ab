/*
 * stage.h
 *		Rows set aside under a name that SQL can read: a tuplestore registered
 *		as an ephemeral relation.  No catalog rows, no WAL, and legal inside a
 *		security-restricted operation.
 *
 * Columns are called rn (record number) and c1, c2, ...: names of users never
 * enter a stage, so there is nothing to quote.
 */
#ifndef CS_STAGE_H
#define CS_STAGE_H

#include "access/tupdesc.h"
#include "utils/tuplestore.h"

#include "sync/mapping.h"

/* Lives in the context it was created in; its files belong to the (sub)transaction of its creation. */
typedef struct CsStage
{
	const char *name; /* under which it is registered, or NULL */
	Tuplestorestate *store;
	TupleDesc desc;
	int64 count;
	bool full;	   /* column c<n> is the n-th after rn; else columns are in the order
								 * of the mappings that are left */
	bool borrowed; /* the store is another stage's */
} CsStage;

/* The stage of all records: column c<n> is the n-th after rn.  It may use all of work_mem, the others a
 * quarter each. */
extern CsStage *cs_stage_create_full(const char *name, const CsMappingSet *set);

/* A stage of rn and one column per mapping, or, keys_only, per key column. */
extern CsStage *cs_stage_create(const char *name, const CsMappingSet *set, bool keys_only);

/* An empty one with the name and columns of another. */
extern CsStage *cs_stage_create_like(const CsStage *other);

/* The rows of another under a second name; the other must live longer. */
extern CsStage *cs_stage_borrow(const char *name, const CsStage *other);

/* Ends the store unless it is borrowed. */
extern void cs_stage_end(CsStage *stage);

/* A stage of columns key (the key's text, text[]) and hash in place of rn, then the key columns. */
extern CsStage *cs_stage_create_tracked(const char *name, const CsMappingSet *set);

/* A stage with a single column "key text[]". */
extern CsStage *cs_stage_create_keys(const char *name);

extern void cs_stage_put(CsStage *stage, int64 rn, const Datum *values, const bool *nulls);
extern void cs_stage_put_raw(CsStage *stage, const Datum *values, const bool *nulls);
extern void cs_stage_put_slot(CsStage *stage, TupleTableSlot *slot);
extern void cs_stage_clear(CsStage *stage);

/* Reading back: a slot to pass to cs_stage_next, which returns false at the end. */
extern TupleTableSlot *cs_stage_rewind(CsStage *stage);
extern bool cs_stage_next(CsStage *stage, TupleTableSlot *slot);

/* Makes it readable by its name for statements of the current SPI connection, until unregistered. */
extern void cs_stage_register(CsStage *stage);
extern void cs_stage_unregister(CsStage *stage);

#endif /* CS_STAGE_H */
