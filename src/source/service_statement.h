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

/* A date, timestamp or timestamptz (in UTC) that is written: "2024-01-31", "2024-01-31 12:34:56.789000". */
extern void cs_warehouse_append_moment(StringInfo sql, Oid type, Datum value);

/* Integers, decimals and booleans; false, and nothing appended: it is none of them. */
extern bool cs_warehouse_append_plain(StringInfo sql, Oid type, Datum value);

/* Is what differs unequal in the column's collation here? */
extern bool cs_warehouse_is_deterministic(const CsColumn *column);

/* What a text constant says. */
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
