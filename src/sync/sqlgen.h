/*
 * sqlgen.h
 *		Every statement that reads or writes a destination is built here.
 *
 * Names go through quote_identifier, operators are qualified, and values never
 * appear: they come out of stages.
 */
#ifndef CS_SQLGEN_H
#define CS_SQLGEN_H

#include "sync/mapping.h"

/* What a row of the diff says of its record; column "op". */
#define CS_OP_CREATE 1
#define CS_OP_UPDATE 2
#define CS_OP_SKIP 3
#define CS_OP_EXTRA 4 /* no record, but a row of the destination */

/* stage -> rn of every record whose key another record has too, with its place among them: (rn, first,
 * last), by rn. */
extern char *cs_sql_duplicates(const CsMappingSet *set);

/* stage, destination -> (rn, c1..cn, op) of records that change something or are skipped, and, with
 * extras, of rows that no record has the key of. */
extern char *cs_sql_diff(const CsMappingSet *set, CsBehavior behavior, bool with_extras);

/* destination -> its columns of the first n mappings, in their order. */
extern char *cs_sql_scan(const CsMappingSet *set, int n);

/* Of tracked stages (key, hash, c1..ck): memory, stage, held -> vanished, what is tracked and no longer in
 * the source. */
extern char *cs_sql_vanished(const CsMappingSet *set);

/* vanished -> (0, c1..ck), as it is */
extern char *cs_sql_vanished_keys(const CsMappingSet *set);

/* destination, vanished -> (0, c1..ck) of the rows with its keys, as they are in the destination */
extern char *cs_sql_deletable(const CsMappingSet *set);

/* extras, held -> (rn, c1..ck) of the extras that are not held */
extern char *cs_sql_not_held(const CsMappingSet *set);

/* vanished -> those that the destination does not have (any more). */
extern char *cs_sql_forgettable(const CsMappingSet *set);

/* part -> destination. */
extern char *cs_sql_insert(const CsMappingSet *set);
extern char *cs_sql_update(const CsMappingSet *set);
extern char *cs_sql_delete(const CsMappingSet *set);

/* One of these that also returns (number, k1..kn) of the rows that it has written; the number of the
 * record is 0 but for updates. */
extern char *cs_sql_returning_key(const CsMappingSet *set, const char *sql, bool with_number);

/* part, destination -> one row if the destination has a row with the key of one in part. */
extern char *cs_sql_key_exists(const CsMappingSet *set);

/* destination -> at most one empty row. */
extern char *cs_sql_any_row(const CsMappingSet *set);

/* How many rows of the destination have a key; how many different keys are tracked (memory). */
extern char *cs_sql_count_destination(const CsMappingSet *set);
extern char *cs_sql_count_tracked(const CsMappingSet *set);

#endif /* CS_SQLGEN_H */
