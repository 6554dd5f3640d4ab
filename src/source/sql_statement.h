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
	bool wraps_queries; /* SELECT ... FROM (query) AS source is possible with any query */
	bool scripts;		/* but a query may be several statements, with semicolons between them */
	bool backslash_escapes; /* in string constants: a backslash must be doubled */

	/* May rows be left out by this comparison of the column with a constant of that type?  *exactly: none
	 * is brought that fails it. */
	bool (*compares)(const CsColumn *column, CsComparison comparison, Oid type, bool *exactly);

	/* Can such a constant be written there, and compared with the column (NULL: it is not known yet)?  If not,
	 * the condition is not sent.  NULL: all can. */
	bool (*writes)(const CsColumn *column, Oid type, Datum value);

	/* Appends such a constant. */
	void (*append_constant)(StringInfo sql, Oid type, Datum value);

	/* Microseconds that a moment here may be off from the one there, where it is rounded: bounds are moved
	 * by them.  Equality must not be taken then. */
	int64 slack;

	/* May IS NULL be asked of the column?  NULL: of any. */
	bool (*tells_null)(const CsColumn *column);

	/* What a row lacks is neither null nor anything else there: a bound leaves out what is below it. */
	bool lacks_values;

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

/* The same from an object whose name is written in that way already; NULL: spec has a query. */
extern char *cs_sql_select_from(const CsDialect *dialect, const CsReadSpec *spec, List *wanted,
								const CsColumn *known, int nknown, const char *from);

/*
 * The same of the columns that are needed (one flag each), by their expressions where they have such, or of the
 * first one if none is: rows have to be counted, too.
 */
extern char *cs_sql_select_needed(const CsDialect *dialect, const CsReadSpec *spec,
								  const CsColumn *columns, int ncolumns, const bool *needed,
								  const char *from);

/* Would a statement for spec leave out anything, with those columns? */
extern bool cs_sql_narrows(const CsDialect *dialect, const CsReadSpec *spec,
						   const CsColumn *columns, int ncolumns);

/* A SELECT of none of its rows, which describes it. */
extern char *cs_sql_select_none(const CsReadSpec *spec, const char *from);

/* May it stand in FROM?  It is a query then. */
extern bool cs_sql_wraps(const CsDialect *dialect, const CsReadSpec *spec);

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

extern bool cs_sql_is_integer(Oid type);
extern bool cs_sql_is_string(Oid type); /* text, or varchar */

/* Is what differs unequal in the column's collation here? */
extern bool cs_sql_is_deterministic(const CsColumn *column);

/* As CsSourceType.takes, for the dialect. */
extern bool cs_dialect_takes(const CsDialect *dialect, const CsReadSpec *spec,
							 const CsColumn *column, CsComparison comparison, Oid type_of_value,
							 bool *exactly);

/* As CsSourceType.takes. */
extern bool cs_sql_takes(const CsSourceType *type, const CsReadSpec *spec, const CsColumn *column,
						 CsComparison comparison, Oid type_of_value, bool *exactly);

#endif /* CS_SQL_STATEMENT_H */
