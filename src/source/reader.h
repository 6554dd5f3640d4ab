/*
 * reader.h
 *		The contract between a source and everything that reads it.
 *
 * A source is one file that fills a CsSourceType, and one row in registry.c.
 *
 * A reader has three outcomes: a batch of rows, CS_READ_END, or an error.
 * CS_READ_END is a proof that the source has no more rows, never a guess: a
 * mirror deletes what it has not seen.
 *
 * There is no close.  A reader lives in the memory context that was current
 * when it was opened; deleting that context closes what it holds, on every
 * path.
 */
#ifndef CS_READER_H
#define CS_READER_H

#include "format/decoder.h"

struct CsCheck; /* source/check.h */
#include "nodes/pg_list.h"

typedef enum CsReadStatus
{
	CS_READ_ROWS, /* the batch has at least one record */
	CS_READ_END	  /* the batch is empty, and the source was read to its proven end */
} CsReadStatus;

/* What a source says of one of its columns. */
typedef struct CsColumn
{
	char *name;
	Oid typid; /* TEXTOID where values arrive as text (CsRecord.fields) */
	int32 typmod;
	Oid collation;
} CsColumn;

/* An incremental read: leaves out records whose value in the column is known to be below the bound, and
 * no others.  A reader may bring more than it must. */
typedef struct CsReadSince
{
	const char *column;
	Oid type;	  /* of the bound; InvalidOid: there is none, all is read */
	Datum value;  /* the bound, inclusive */
	char *text;	  /* the same as text under canonical settings */
	Oid declared; /* what the column's text is compared as; InvalidOid: the source has types */
} CsReadSince;

/* What to read.  Filled by the caller; outlives the reader. */
typedef struct CsReadSpec
{
	Oid serverid;			  /* InvalidOid: a query in this database */
	Oid userid;				  /* whose user mapping and privileges count */
	const char *query;		  /* or NULL */
	const char *object;		  /* or NULL */
	List *near;				  /* DefElem *: options of the sync or foreign table, nearer than the
								 * server's */
	bool partial;			  /* won't be read to its end: nothing is fetched ahead */
	List *wanted;			  /* char *: columns to read, in this order; NIL: what there is
								 * (records then only have their raw form, or typed values) */
	const CsReadSince *since; /* or NULL */
} CsReadSpec;

typedef struct CsBatch
{
	int nrecords;
	CsRecord *records; /* live until the next call */
} CsBatch;

typedef struct CsReader CsReader;

typedef struct CsSourceType
{
	const char *name; /* CREATE SERVER ... TYPE 'name' */

	/* Opens, without waiting on a network if that can be helped.  Result in CurrentMemoryContext. */
	CsReader *(*open)(const CsReadSpec *spec);

	/* censync_check: calls cs_check_step for each step; see source/check.h. */
	void (*check)(const CsReadSpec *spec, struct CsCheck *check);
} CsSourceType;

/* The common head of every reader; a source embeds it as its first member. */
struct CsReader
{
	bool typed;	  /* records carry values/nulls of columns, not fields */
	int ncolumns; /* wanted columns in their order, or all columns of a typed source */
	CsColumn *columns;
	bool *seen;			/* per column: has any record had it yet; typed: all true */
	int64 records_read; /* so far, those of the batch that is being filled included */
	int64 bytes_read;	/* likewise */
	int64 total;		/* records that the source has announced; 0: it has not, or not yet */
	bool local;			/* reads this database: needs a snapshot, no network */
	bool since;			/* heeds CsReadSpec.since */

	/* Both are called with CurrentMemoryContext set to the batch's context. */
	CsReadStatus (*next_batch)(CsReader *reader, CsBatch *batch);
	char *(*record_json)(CsReader *reader, const CsRecord *record);

	/* Local readers, else NULL: hands at most n records to take, one by one, which saves the copies of
	 * a batch.  A record and its values live during that call only, and take runs in the midst of the
	 * source's query.  Returns how many there were; fewer than n: CS_READ_END. */
	int (*each)(CsReader *reader, int n, void (*take)(void *arg, const CsRecord *record),
				void *arg);
};

/* The type of that name; throws 22023 with the list of those there are. */
extern const CsSourceType *cs_source_type_find(const char *name);

/* The type of a server of this extension; 42809 for another wrapper's. */
extern const CsSourceType *cs_source_type_of_server(Oid serverid);

/* Throws 42501 unless userid has USAGE on the server.  For syncs, previews and checks; a foreign table's
 * readers need SELECT on the table alone, as everywhere in SQL. */
extern void cs_server_check_usage(Oid serverid, Oid userid);

/* Opens a reader for spec: by its server's type, or for a query in this database. */
extern CsReader *cs_reader_open(const CsReadSpec *spec);

#endif /* CS_READER_H */
