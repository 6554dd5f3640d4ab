/*
 * sqlgen_internal.h
 *		What the files of sqlgen share.
 */
#ifndef CS_SQLGEN_INTERNAL_H
#define CS_SQLGEN_INTERNAL_H

#include "lib/stringinfo.h"

#include "sync/mapping.h"

/* The destination, with ONLY where its children are not meant. */
extern void cs_sql_append_table(StringInfo sql, const CsMappingSet *set);

/* OPERATOR(schema.name), between spaces. */
extern void cs_sql_append_operator(StringInfo sql, Oid operator_oid);

/* The destination (d) and a stage by key; two stages by key. */
extern void cs_sql_append_key_match(StringInfo sql, const CsMappingSet *set, const char *alias);
extern void cs_sql_append_key_join(StringInfo sql, const CsMappingSet *set, const char *left,
								   const char *right);

/* What a row (d) that matches a record (s) gets; does it differ from what it has? */
extern void cs_sql_append_new_value(StringInfo sql, const CsMapping *mapping);
extern void cs_sql_append_differs(StringInfo sql, const CsMappingSet *set);

/* What a new row gets that says nothing of the column, or NULL. */
extern char *cs_sql_default_value(const CsMappingSet *set, const CsMapping *mapping);

#endif /* CS_SQLGEN_INTERNAL_H */
