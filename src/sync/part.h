/*
 * part.h
 *		A few rows at a time as the relation "part".
 */
#ifndef CS_PART_H
#define CS_PART_H

#include "executor/tuptable.h"
#include "utils/queryenvironment.h"

#include "sync/stage.h"

/* In a context of its own below that of its creation. */
typedef struct CsPart
{
	CsStage stage; /* its store is made anew by each fill */
	EphemeralNamedRelationData relation;
	TupleTableSlot *slot;
	MemoryContext context;
} CsPart;

/* For rows of that set; registers it, empty, with the current SPI connection. */
extern CsPart *cs_part_create(const CsStage *set);

/* Has it hold these rows and no others. */
extern void cs_part_fill(CsPart *part, MinimalTuple *rows, int n);

/* After a statement over it has failed: how many rows had been read, or 0 if that says nothing of which row
 * was at fault: they had all been read and the end met, or there is not exactly one reader. */
extern int cs_part_rows_read(CsPart *part);

/* Unregisters and frees it. */
extern void cs_part_end(CsPart *part);

#endif /* CS_PART_H */
