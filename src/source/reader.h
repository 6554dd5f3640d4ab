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
	Oid typid; /* TEXTOID where values arrive as text (CsRecord.fields), and for types that are none here:
				* the text is then what any type's input function may be given */
	int32 typmod;
	Oid collation;
	bool not_null; /* declared so there; false: not, or nobody knows */
	const char
		*expression; /* SQL that the column of an object must be read by, or NULL: its name */
	bool opaque; /* something else there than what it is shown as: can't be compared with that */
} CsColumn;

/* A table or view of a source, for IMPORT FOREIGN SCHEMA.  In the context of the call that listed it. */
typedef struct CsObject
{
	char *schema; /* as the source knows it; NULL: it has none */
	char *name;
	char *object; /* what option object has to say to read it */
	int ncolumns; /* 0: unknown before it is read, or none that can be read */
	CsColumn *columns;
	char *refused; /* why it can't be read at all ("its user may not read it"), or NULL */
} CsObject;

typedef enum CsComparison
{
	CS_EQUAL,
	CS_NOT_EQUAL,
	CS_LESS,
	CS_LESS_EQUAL,
	CS_GREATER,
	CS_GREATER_EQUAL,
	CS_EQUAL_ANY, /* to one of several values, none of them null */
	CS_IS_NULL,	  /* from here on without a value */
	CS_IS_NOT_NULL
} CsComparison;

/* A condition on a column of the source.  Whoever gives it looks at the records that come once more: a
 * reader leaves out only records that certainly fail it, and may leave out none. */
typedef struct CsCondition
{
	const char *column;
	CsComparison comparison;
	Oid type; /* of the value, or of each of them */
	Datum value;
	int nvalues; /* CS_EQUAL_ANY: at least one */
	const Datum *values;
	const char *
		placeholder; /* for CsSourceType.statement: stands for a value that is yet unknown; else NULL */
} CsCondition;

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

/* What to read.  Filled by the caller; outlives the reader.  Readers heed conditions and limit when the first
 * record is asked for: until then the caller, who now knows the source's columns, may take them back. */
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
	List *conditions;		  /* CsCondition *, all of which must hold; see there */
	int64 limit; /* records that are enough, of those that fulfil them; 0: all are wanted */
} CsReadSpec;

typedef struct CsBatch
{
	int nrecords;
	CsRecord *records; /* live until the next call */
} CsBatch;

typedef struct CsReader CsReader;

typedef struct CsSourceType CsSourceType;

/* A source's row in registry.c; a source may embed it as the first member of more. */
struct CsSourceType
{
	const char *name; /* CREATE SERVER ... TYPE 'name' */
	int bit;		  /* CS_FOR_... of option_table.h: which options it knows */
	bool typed;		  /* knows its columns and their types once it is open; records have values */

	/* Opens.  One that is not typed does so without waiting on a network if that can be helped.  Result
	 * in CurrentMemoryContext. */
	CsReader *(*open)(const CsSourceType *type, const CsReadSpec *spec);

	/* censync_check: calls cs_check_step for each step; see source/check.h. */
	void (*check)(const CsSourceType *type, const CsReadSpec *spec, struct CsCheck *check);

	/* IMPORT FOREIGN SCHEMA: CsObject * of a schema of the source ("" or "public" where it has none);
	 * only: their names (char *), or NIL for all.  NULL: the source can't tell. */
	List *(*list)(const CsSourceType *type, const CsReadSpec *spec, const char *schema, List *only);

	/* Can the source be asked for records that fulfil it, by its column of that type?  exactly: then it
	 * brings no others, so that a limit may go along.  NULL: no condition.  CS_EQUAL_ANY is taken where
	 * CS_EQUAL is. */
	bool (*takes)(const CsSourceType *type, const CsReadSpec *spec, const CsColumn *column,
				  CsComparison comparison, Oid type_of_value, bool *exactly);

	/* EXPLAIN: what it would be asked, without a connection; NULL: nothing to show.  In
	 * CurrentMemoryContext. */
	char *(*statement)(const CsSourceType *type, const CsReadSpec *spec);
};

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

	/* Typed readers, or NULL: hands at most n records to take, one by one, which saves the copies of
	 * a batch.  A record and its values live during that call only, and take runs in the midst of the
	 * source's query.  Returns how many there were; fewer than n: CS_READ_END. */
	int (*each)(CsReader *reader, int n, void (*take)(void *arg, const CsRecord *record),
				void *arg);

	/* Typed readers, or NULL: before the first record, says which of its columns anybody will look at.
	 * Positions stay; values of the others may then be NULL. */
	void (*narrow)(CsReader *reader, const bool *needed);
};

/* The type of that name; throws 22023 with the list of those there are. */
extern const CsSourceType *cs_source_type_find(const char *name);

/* The same; NULL if there is none. */
extern const CsSourceType *cs_source_type_lookup(const char *name);

/* The names of all, by comma; in CurrentMemoryContext. */
extern char *cs_source_type_names(void);

/* The type of a server of this extension; 42809 for another wrapper's. */
extern const CsSourceType *cs_source_type_of_server(Oid serverid);

/* Throws 42501 unless userid has USAGE on the server.  For syncs, previews and checks; a foreign table's
 * readers need SELECT on the table alone, as everywhere in SQL. */
extern void cs_server_check_usage(Oid serverid, Oid userid);

/* Opens a reader for spec: by its server's type, or for a query in this database. */
extern CsReader *cs_reader_open(const CsReadSpec *spec);

#endif /* CS_READER_H */
