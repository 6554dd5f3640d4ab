/*
 * service_statement.h
 *		What the dialects of services that speak SQL have in common.
 */
#ifndef CS_SERVICE_STATEMENT_H
#define CS_SERVICE_STATEMENT_H

#include "source/sql_statement.h"

/* CsDialect.compares: where moments there have no more digits than here; where they do, or are cut off. */
extern bool cs_warehouse_compares(const CsColumn *column, CsComparison comparison, Oid type,
								  bool *exactly);
extern bool cs_warehouse_compares_rounded(const CsColumn *column, CsComparison comparison, Oid type,
										  bool *exactly);

/* CsDialect.writes: decimals of 38 digits, years 1 to 9999. */
extern bool cs_warehouse_writes(const CsColumn *column, Oid type, Datum value);

/* Its digits in front of the point and behind it; false: it is no number. */
extern bool cs_numeric_digits(Datum value, int *before, int *behind);

/* What stands in front of a moment and behind it, where it is a constant. */
typedef struct CsMomentForms
{
	const char *date[2];
	const char *timestamp[2];
	const char *timestamptz[2]; /* which is in UTC */
	char separator;				/* between day and time; 0: a space */
} CsMomentForms;

/* Integers, decimals, booleans and moments as constants; false, and nothing appended: it is none of them. */
extern bool cs_warehouse_append(StringInfo sql, Oid type, Datum value, const CsMomentForms *forms);

/* A date, timestamp or timestamptz (in UTC): "2024-01-31", "2024-01-31 12:34:56.789000". */
extern void cs_warehouse_append_moment(StringInfo sql, Oid type, Datum value, char separator);

/* What a text constant says: for files that have jansson's names, which are also those of builtins.h. */
extern char *cs_warehouse_text(Datum value);

/* A query must be described before it is run: what else is asked for depends on its columns. */
extern bool cs_warehouse_defers(const CsDialect *dialect, const CsReadSpec *spec);

/* The statement that describes: the query itself, with its limit if that is all, unless it is deferred. */
extern char *cs_warehouse_first_statement(const CsDialect *dialect, const CsReadSpec *spec,
										  const char *from);

/* CsService.statement, of an object whose name is written as there; NULL: spec has a query. */
extern char *cs_warehouse_statement(const CsDialect *dialect, const CsReadSpec *spec,
									const char *from);

#endif /* CS_SERVICE_STATEMENT_H */
