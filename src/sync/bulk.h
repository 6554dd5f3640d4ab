/*
 * bulk.h
 *		Insertion of many rows into a plain table.
 */
#ifndef CS_BULK_H
#define CS_BULK_H

#include "sync/change.h"

/*
 * Is nothing about the destination or the change such that only the executor would do it right: triggers
 * (foreign keys have some), row-level security, partitions, defaults, generated columns, indexes other than
 * immediate ones, a log of changes?
 */
extern bool cs_bulk_is_possible(const CsChange *change);

/* Inserts the rows of part, all or none; returns how many.  With returning, their keys go into returned.
 * Throws what INSERT would throw; to be called in a subtransaction, as the role that applies. */
extern uint64 cs_bulk_insert(CsChange *change, bool returning);

#endif /* CS_BULK_H */
