/*
 * run_log.h
 *		What is known of runs: one row each, and the records that went wrong.
 */
#ifndef CS_RUN_LOG_H
#define CS_RUN_LOG_H

#include "utils/tuplestore.h"

#include "base/errors.h"
#include "catalog/definition.h"

typedef struct CsRunCounts
{
	int64 read;
	int64 invalid;
	int64 rejected;
	int64 created;
	int64 updated;
	int64 deleted;
	int64 unchanged;
	int64 skipped;
	int64 bytes;
} CsRunCounts;

/* What became of one record.  Copied by cs_record_log_add. */
typedef struct CsRecordOutcome
{
	int64 record_number;   /* 0: none (a deletion) */
	const char *sync_key;  /* JSON text, or NULL */
	const char *operation; /* "read", "insert", "update", "delete" */
	const char *status;	   /* "invalid", "rejected", "succeeded" */
	const CsError *error;  /* NULL for succeeded */
	const char *payload;   /* JSON text, or NULL */
	bool own_json;		   /* key and payload were made here, of values that jsonb can hold */
} CsRecordOutcome;

/* Outcomes waiting to be written: survives the rollback of what was done since it was created. */
typedef struct CsRecordLog
{
	MemoryContext context; /* its own; deleting it ends the store */
	MemoryContextCallback end;
	Tuplestorestate *store;
	TupleDesc desc;
	int64 count;
} CsRecordLog;

/* What is set of a run that nobody runs any more. */
#define CS_RUN_IS_CRASHED                                                                          \
	"status = 'crashed', error_code = '58000', "                                                   \
	"error_message = 'the session that ran it is gone', "                                          \
	"error_detail = 'The destination is as it was before the run.', "                              \
	"error_hint = 'The server log says what ended the session. The next run starts afresh.'"

/* Closes runs of this sync that are still called running although nobody runs them; to be called
 * with the lock held.  Then writes the new run's row and returns its id; or, if queued is not 0, takes
 * that run from the queue.  Throws 57014 if it waits there no longer. */
extern int64 cs_run_log_open(const CsSync *sync, const char *trigger, bool dry_run, int64 queued);

/* Closes a run; error is NULL for a completed one.  status: 'completed', 'failed' or 'canceled'. */
extern void cs_run_log_close(int64 run_id, const char *status, const CsRunCounts *counts,
							 const CsError *error);

/* In a context of its own below CurrentMemoryContext. */
extern CsRecordLog *cs_record_log_create(void);
extern void cs_record_log_destroy(CsRecordLog *log);
extern void cs_record_log_add(CsRecordLog *log, const CsRecordOutcome *outcome);
extern void cs_record_log_write(CsRecordLog *log, int64 run_id);

#endif /* CS_RUN_LOG_H */
