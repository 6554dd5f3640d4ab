/*
 * late_log.h
 *		The log of a run whose own transaction is about to be undone.
 */
#ifndef CS_LATE_LOG_H
#define CS_LATE_LOG_H

#include "datatype/timestamp.h"

#include "catalog/run_log.h"

/*
 * Has a short-lived background worker write the closed row of a canceled run, because a cancel undoes the
 * transaction in which we could.  The worker waits for that by itself.  Without a free worker slot the
 * server log gets the line instead.  Throws nothing.
 */
extern void cs_late_log_write(const CsSync *sync, int64 run_id, const char *trigger, bool dry_run,
							  TimestampTz started_at, const CsRunCounts *counts,
							  const CsError *error);

#endif /* CS_LATE_LOG_H */
