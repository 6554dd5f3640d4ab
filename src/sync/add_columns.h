/*
 * add_columns.h
 *		Columns that the source has and the destination lacks (option
 *		add_columns).
 */
#ifndef CS_ADD_COLUMNS_H
#define CS_ADD_COLUMNS_H

struct CsRun;

/*
 * Adds them, as the role that the sync applies as, and loads the destination again; returns how many.  A
 * dry run and a validation only say what is missing.  Throws 0A000 for a source whose columns are not known
 * beforehand, 22023 for a sync with mappings, 42501 if the role does not own the table, and what
 * PostgreSQL says of a column that can't be added.
 */
extern int cs_columns_add(struct CsRun *run);

#endif /* CS_ADD_COLUMNS_H */
