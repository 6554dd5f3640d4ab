/*
 * sqlgen.h
 *		Every statement that reads or writes a destination is built here.
 *
 * Names go through quote_identifier, operators are qualified, and values never
 * appear: they come out of stages.
 */
#ifndef CS_SQLGEN_H
#define CS_SQLGEN_H

#include "catalog/constraint.h"
#include "sync/mapping.h"

/* What a row of the diff says of its record; column "op". */
#define CS_OP_CREATE 1
#define CS_OP_UPDATE 2
#define CS_OP_SKIP 3
#define CS_OP_EXTRA 4 /* no record, but a row of the destination */

/* Which constraints are looked at for rows that break them. */
#define CS_SUSPECT_VALUES 0x01 /* NOT NULL, CHECK, foreign keys */
#define CS_SUSPECT_UNIQUE 0x02 /* unique constraints other than the sync key */

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

/* One of these that also returns the rows that it has written, (number, k1..kn) or whole, (number,
 * c1..cn); the number of the record is 0 but for updates. */
extern char *cs_sql_returning(const CsMappingSet *set, const char *sql, bool with_number,
							  bool whole);

/* part, destination -> before (rn, c1..cn): the rows that an update would write, as they are. */
extern char *cs_sql_before_update(const CsMappingSet *set);

/* returned, whole, -> (rn, c1..cn) of what was written, then (with_before) as it was before; the number
 * is that of the record in part with the same key (with_part), or as returned. */
extern char *cs_sql_written(const CsMappingSet *set, bool with_before, bool with_part);

/* part, destination -> one row if the destination has a row with the key of one in part. */
extern char *cs_sql_key_exists(const CsMappingSet *set);

/* The columns (CsColumn *) go into the destination, nullable.  Types and collations are qualified as the
 * search_path in force asks. */
extern char *cs_sql_add_columns(const CsDestination *destination, List *columns);

/* destination -> at most one empty row. */
extern char *cs_sql_any_row(const CsMappingSet *set);

/* sqlgen_suspects.c: part, destination -> rn of rows that a constraint will refuse, unless a trigger changes
 * them or another row comes to help; NULL if there is none that can be asked.  what: CS_SUSPECT_... */
extern char *cs_sql_suspects(const CsMappingSet *set, const CsConstraints *constraints, int what,
							 bool for_update);

/* part, destination -> rn of rows whose new values of unique constraints belong to none but rows of part. */
extern char *cs_sql_exchangeable(const CsMappingSet *set, const CsConstraints *constraints);

/* part -> destination: NULL into these columns (positions in the mappings), where it is not to stay. */
extern char *cs_sql_vacate(const CsMappingSet *set, const List *columns);

/* How many rows of the destination have a key; how many different keys are tracked (memory). */
extern char *cs_sql_count_destination(const CsMappingSet *set);
extern char *cs_sql_count_tracked(const CsMappingSet *set);

#endif /* CS_SQLGEN_H */
