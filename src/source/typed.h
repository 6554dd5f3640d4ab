/*
 * typed.h
 *		What readers of typed sources share: a record at a time, handed on as it
 *		is or copied into a batch.
 */
#ifndef CS_TYPED_H
#define CS_TYPED_H

#include "source/reader.h"

/* A source embeds it as the first member of its own struct. */
typedef struct CsTypedReader
{
	CsReader base; /* must be first */
	CsRecord
		record;	  /* the current one; its arrays are as long as base's columns, and its values good
					  * until the next */
	bool *needed; /* per column: somebody will look at it; see CsReader.narrow */
	int16 *lengths; /* typlen per column */
	bool *by_value;

	/* Brings the next record into record, but for its number; false: a proven end.  A record that is
	 * an error as a whole has its JSON as raw. */
	bool (*next)(struct CsTypedReader *reader);
} CsTypedReader;

extern void cs_typed_init(CsTypedReader *reader, bool (*next)(CsTypedReader *reader));

/* The columns of the reader: those of known that wanted (char *) names, in its order, or all of them for
 * NIL.  42703 for one that is not there, 42702 for one of several. */
extern void cs_typed_set_columns(CsTypedReader *reader, const CsColumn *known, int nknown,
								 List *wanted);

/* Position of the column of that name, or -1. */
extern int cs_column_find(const CsColumn *columns, int n, const char *name);

/* The same; throws 42702 if several have that name: nobody has said which of them is meant. */
extern int cs_column_find_only(const CsColumn *columns, int n, const char *name);

/* The value of that column (from 0) can't be had: it is null, and the record's error. */
extern void cs_record_blame(CsRecord *record, int column, int code, char *message);

#endif /* CS_TYPED_H */
