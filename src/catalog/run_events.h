/*
 * run_events.h
 *		The events of a run's life, from its row in the log.
 */
#ifndef CS_RUN_EVENTS_H
#define CS_RUN_EVENTS_H

#include "catalog/run_log.h"
#include "catalog/spi.h"

/* What cs_run_tell_end needs of a row of run_log. */
#define CS_RUN_TOLD "run_id, sync_id, sync, owner_oid, trigger, started_at, finished_at, dry_run"

/* It is wanted; now, or it has been queued for. */
extern void cs_run_tell_triggered(const CsSync *sync, int64 run_id, const char *trigger);
extern void cs_run_tell_started(const CsSync *sync, int64 run_id, const char *trigger);

/* It has ended; row: of SPI_tuptable, with CS_RUN_TOLD.  Of a dry run nobody is told.  error is NULL for a
 * completed one. */
extern void cs_run_tell_end(CsCatalogAccess *access, uint64 row, const char *status,
							const CsRunCounts *counts, const CsError *error);

/* The same for runs that others have ended than their own session, alerts included: the rows of SPI_tuptable,
 * which begin with run_id.  The log must say already how they ended. */
extern void cs_run_tell_ended(CsCatalogAccess *access, uint64 rows);

#endif /* CS_RUN_EVENTS_H */
