/*
 * sql_statement.h
 *		The statements that are sent to databases, by the dialect of each.  No
 *		SQL for a source is put together anywhere else, but for the catalog
 *		queries of the drivers.
 */
#ifndef CS_SQL_STATEMENT_H
#define CS_SQL_STATEMENT_H

#include "lib/stringinfo.h"

#include "source/reader.h"

typedef struct CsDialect
{
	char open_quote; /* of names: " ` [ */
	char close_quote;
	enum
	{
		CS_LIMIT_BEHIND, /* ... LIMIT n */
		CS_LIMIT_TOP	 /* SELECT TOP (n) ... */
	} limit;
	bool wraps_queries;		/* SELECT ... FROM (query) AS source is possible with any query */
	bool backslash_escapes; /* in string constants: a backslash must be doubled */

	/* May rows be left out by this comparison of the column with a constant of that type?  *exactly: none
	 * is brought that fails it. */
	bool (*compares)(const CsColumn *column, CsComparison comparison, Oid type, bool *exactly);

	/* Appends such a constant. */
	void (*append_constant)(StringInfo sql, Oid type, Datum value);

	/* May IS NULL be asked of the column?  NULL: of any. */
	bool (*tells_null)(const CsColumn *column);

	/* Appends the column of a condition, as something that compares with its constant; NULL: its name. */
	void (*append_column)(StringInfo sql, const CsCondition *condition);
} CsDialect;

/*
 * The statement for spec: its query as it is, or a SELECT of its object.  wanted (char *, or NIL: all)
 * are the columns of an object to read; a query always brings all of its own.  known are the columns of
 * the source, NULL before it was asked: what is shown then is what it would be if all is as the caller
 * believes.  Else conditions, the bound of an incremental read, and the limit go in only where the dialect can
 * say them of columns that are known.
 */
extern char *cs_sql_select(const CsDialect *dialect, const CsReadSpec *spec, List *wanted,
						   const CsColumn *known, int nknown);

/*
 * A SELECT of the columns that are needed (one flag each), by their expressions where they have such, or of the
 * first one if none is: rows have to be counted, too.  from: an object as the dialect has it.  With
 * spec's limit unless there are conditions, which it does not send.
 */
extern char *cs_sql_select_needed(const CsDialect *dialect, const CsReadSpec *spec,
								  const CsColumn *columns, int ncolumns, const bool *needed,
								  const char *from);

/* "a.b", with parts in double quotes where they have dots or quotes in them, as names of the dialect;
 * 42602 if it is no name. */
extern char *cs_sql_object_name(const CsDialect *dialect, const char *object);

/* What option object has to say for a table of a schema (NULL: none): the names, in double quotes where
 * they need them.  In CurrentMemoryContext. */
extern char *cs_sql_object_text(const char *schema, const char *name);

extern void cs_sql_append_name(StringInfo sql, const CsDialect *dialect, const char *name);

/* An integer; false, and nothing appended: the type is none. */
extern bool cs_sql_append_integer(StringInfo sql, Oid type, Datum value);

/* The text in single quotes. */
extern void cs_sql_append_text(StringInfo sql, const CsDialect *dialect, const char *text);

/* As CsSourceType.takes. */
extern bool cs_sql_takes(const CsSourceType *type, const CsReadSpec *spec, const CsColumn *column,
						 CsComparison comparison, Oid type_of_value, bool *exactly);

#endif /* CS_SQL_STATEMENT_H */
