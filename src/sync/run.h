/*
 * run.h
 *		One run: everything its steps share.
 */
#ifndef CS_RUN_H
#define CS_RUN_H

#include "datatype/timestamp.h"
#include "tcop/dest.h"

#include "catalog/progress.h"
#include "catalog/run_log.h"
#include "source/reader.h"
#include "sync/cursor.h"
#include "sync/decode.h"
#include "sync/key_set.h"
#include "sync/mapping.h"
#include "sync/number_set.h"
#include "sync/prepared.h"
#include "sync/stage.h"
#include "sync/sync_options.h"

typedef struct CsMirror CsMirror; /* mirror.c */

/* In the run's context, as is what it points to unless said otherwise. */
typedef struct CsRun
{
	const CsSync *sync;
	int64 run_id;
	Oid extension;		 /* whose tables have the log */
	const char *trigger; /* the caller's */
	TimestampTz started_at;
	bool dry_run;
	int64 limit;		   /* records to read at most; -1: all */
	MemoryContext context; /* the run's */
	CsRunCounts counts;
	CsRecordLog *records;	  /* the caller's: outlives a rollback of the run */
	CsProgressSlot *progress; /* in shared memory, or NULL */

	CsSyncOptions *options;
	CsDestination *destination;
	CsUniqueKey *key;
	CsMappingSet *mappings;
	Oid apply_as; /* the role whose privileges count for the destination */
	Oid serverid; /* InvalidOid: this database */
	CsReadSpec spec;
	bool has_snapshot; /* the active snapshot is the run's own, while it prepares */
	bool
		has_columns; /* those that the destination lacked were added before, or none were lacking */
	CsReader *reader;
	CsDecodePlan *plan;
	bool read_to_end; /* the source was read to its proven end */
	CsCursor *cursor; /* incremental reads, else NULL */

	CsKeyOps *key_ops;
	CsKeySet *keys;			/* of stage, while reading */
	CsStage *stage;			/* valid records */
	CsStage *held;			/* keys of records that are in the source but not in stage; mirrors */
	int64 unidentified;		/* records whose keys could not be read */
	CsStage *creates;		/* the delta: rows not in the destination */
	CsStage *updates;		/* rows that differ */
	CsMirror *mirror;		/* of mirrors that track */
	CsStage *extras;		/* keys of rows that no record has; NULL: not wanted */
	CsStage *vanished;		/* tracked keys that the source no longer has; mirrors */
	CsStage *deletes;		/* rows to delete */
	CsStage *written;		/* keys of the rows written so far; mirrors that track */
	int64 superseded;		/* of counts.invalid: copies that on_duplicate passes over */
	int64 rejected_deletes; /* of counts.rejected: these were no records */
	int rounds;				/* in which the delta was applied so far */
	CsNumberSet *settled;	/* records that need no further look; NULL before the apply */
	CsRecordLog *changes;	/* log_records = changes: what succeeded; the caller's as records is */
} CsRun;

/* engine.c: opens what knows its columns; without our snapshot while a source elsewhere is waited for. */
extern CsReader *cs_run_open_typed(CsRun *run, const CsReadSpec *spec);

/* steps of the run, in the order in which the engine takes them */

/* read.c: reads the source to its end into stage; throws when too many records are invalid. */
extern void cs_run_read(CsRun *run);

/* duplicates.c: takes records that share a key out of stage, but for those that on_duplicate spares */
extern void cs_run_drop_duplicates(CsRun *run);

/* mirror.c: may anything be deleted, and what must the diff find out for that? */
extern void cs_run_plan_deletes(CsRun *run);

/* diff.c */
extern void cs_run_diff(CsRun *run);

/* mirror.c, as the role that applies: what to delete; what to remember, after the apply */
extern void cs_run_find_deletes(CsRun *run);
extern bool cs_run_tracks(const CsRun *run); /* does the run remember what it writes? */
extern void cs_run_note_written(CsRun *run, CsStage *keys);
extern void cs_run_update_memory(CsRun *run);

/* apply.c: deletes, then updates, then inserts */
extern void cs_run_apply(CsRun *run);

/* Ends the stages; on error paths the end of the subtransaction and of the context do that. */
extern void cs_run_end_stages(CsRun *run);

/* close.c: for who commits between phases: commits the run, or undoes what has failed; returns why it has failed, or NULL.
 * In another transaction after that. */
extern CsError *cs_run_commit(const CsRun *run, CsError *failure, MemoryContext result);

/* close.c: closes the log of a run that has failed.  A cancel undoes the transaction around us, so then somebody else must
 * write it, unless the run is durable. */
extern void cs_run_close_failed(CsRun *run, const CsError *error, bool durable);

/* close.c: writes what became of records, closes the run's row, and raises alerts. */
extern void cs_run_write_log(const CsRun *run, const char *status, const CsError *error);

/* For all of them: */

/* Logs a record as invalid that on_duplicate passes over for another: no fault of the source. */
extern void cs_run_superseded_record(CsRun *run, int64 number, char *key, const CsError *error,
									 char *payload);

/* Logs a record as invalid or rejected, counts it, and throws 54000 once more than max_rejected of the
 * records are bad; or the error itself when on_error is fail. */
extern void cs_run_bad_record(CsRun *run, const char *operation, const char *status, int64 number,
							  char *key, const CsError *error, char *payload);
extern bool cs_run_exceeds_bad_share(const CsRun *run, bool at_end);
extern void cs_run_check_bad_share(const CsRun *run, bool at_end);

/* Executes a statement of sqlgen over registered stages as the current role; dest may be NULL. */
extern uint64 cs_run_execute(const char *sql, DestReceiver *dest);

/* Executes a statement and stores its rows in a stage, which is cleared first. */
extern uint64 cs_run_store(const char *sql, CsStage *stage);
extern uint64 cs_run_store_prepared(CsPrepared *statement, CsStage *stage);

/* Is the JSON of its rows always such as jsonb can hold?  Values of type json need not be. */
extern bool cs_run_json_is_own(const CsRun *run);

/* The row in slot, of that stage, as JSON for the log. */
extern char *cs_run_row_json(const CsRun *run, const CsStage *stage, TupleTableSlot *slot,
							 bool key_only);

#endif /* CS_RUN_H */
