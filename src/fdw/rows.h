/*
 * rows.h
 *		What a foreign table reads: its source's records as its own rows.
 */
#ifndef CS_FOREIGN_ROWS_H
#define CS_FOREIGN_ROWS_H

#include "nodes/execnodes.h"
#include "utils/rel.h"

#include "source/reader.h"
#include "sync/convert.h"
#include "sync/expression.h"

/* Owned by whoever initialized it, as is the relation; what it points to is in the context of the
 * initialization unless said otherwise. */
typedef struct CsForeignRows
{
	CsReadSpec spec;
	const CsSourceType *type;
	Relation rel;
	int ncolumns;		   /* those that are read */
	AttrNumber *attnums;   /* of each */
	CsTextInput *inputs;   /* of each; for text */
	MemoryContext context; /* of the reader, and of what follows; reset by a close */
	MemoryContext batch_context;
	CsReader *reader; /* NULL while closed */
	CsScope scope;	  /* the reader's columns */
	ExprState **
		expressions; /* per column: typed values into the table's type; NULL: they are as they are */
	ExprContext *econtext; /* for those, with a slot for the record; NULL: there are none */
	CsBatch batch;
	int next;				/* record of the batch to return */
	const CsRecord *record; /* the one at hand, and */
	int column;				/* the index of its column that is; -1: none. For errors */
} CsForeignRows;

/* For columns of rel (attribute numbers; none: just to count) as read by userid.  Connects to nothing. */
extern void cs_foreign_rows_init(CsForeignRows *rows, Relation rel, Oid userid, List *columns);

/* Object or query, and options for the read, of a foreign table. */
extern void cs_foreign_table_spec(CsReadSpec *spec, Relation rel);

/* What the source calls a column. */
extern char *cs_foreign_column_source(Relation rel, AttrNumber attnum);

/* Opens the reader.  Conditions of the spec that the source's columns do not bear are taken back, with
 * the limit. */
extern void cs_foreign_rows_open(CsForeignRows *rows);

/* The next row into arrays as long as the relation has attributes, columns that are not read as NULL; false: there are no more, and
 * the reader is closed.  By-reference values live until the next call or close. */
extern bool cs_foreign_rows_next(CsForeignRows *rows, Datum *values, bool *isnull);

/* Closes the reader, whatever is left in it. */
extern void cs_foreign_rows_close(CsForeignRows *rows);

#endif /* CS_FOREIGN_ROWS_H */
