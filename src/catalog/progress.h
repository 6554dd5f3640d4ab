/*
 * progress.h
 *		What running runs are doing, in shared memory, for other sessions to see.
 *
 * There is such memory only where the server has loaded the library at its
 * start (shared_preload_libraries).  Elsewhere, and when every slot is taken,
 * a run has no slot, and all of this does nothing.
 */
#ifndef CS_PROGRESS_H
#define CS_PROGRESS_H

#include "datatype/timestamp.h"
#include "executor/execdesc.h"

#include "catalog/definition.h"

/* In the order of a run. */
typedef enum CsProgressPhase
{
	CS_PROGRESS_PREPARING,
	CS_PROGRESS_READING,
	CS_PROGRESS_WAITING, /* for the destination's lock, or for other runs that apply to it */
	CS_PROGRESS_DEDUPLICATING,
	CS_PROGRESS_COMPARING,
	CS_PROGRESS_DELETING,
	CS_PROGRESS_UPDATING,
	CS_PROGRESS_INSERTING,
	CS_PROGRESS_TRACKING, /* a mirror notes what it has written */
	CS_PROGRESS_LOGGING,
	CS_PROGRESS_COMMITTING,
	CS_PROGRESS_UNDOING
} CsProgressPhase;

/* A copy of what a run says of itself. */
typedef struct CsProgress
{
	int64 run_id; /* 0: there is no run in this slot */
	int pid;
	Oid database;
	Oid owner;
	bool dry_run;
	CsProgressPhase phase;
	TimestampTz started_at;
	TimestampTz phase_started_at;
	TimestampTz changed_at; /* when the phase or a number last did */
	int64 records_read;
	int64 bytes_read;
	int64 records_done;			/* in this phase; -1: not counted */
	int64 records_total;		/* of this phase; -1: not known */
	char sync[NAMEDATALEN * 4]; /* its name, cut to fit */
} CsProgress;

typedef struct CsProgressSlot CsProgressSlot;

/* Numbers that somebody else keeps up to date, and that are looked at now and then; in the caller's memory. */
typedef struct CsProgressSource
{
	const int64 *records;
	const int64 *bytes;
	const int64 *total; /* 0: not announced */
	int64 limit;		/* no more records than these count; -1: all */
} CsProgressSource;

/* To be called when the library is loaded. */
extern void cs_progress_init(void);

/* Takes a slot for a run; it is also released when the backend exits.  NULL: there is none. */
extern CsProgressSlot *cs_progress_begin(const CsSync *sync, int64 run_id, bool dry_run,
										 TimestampTz started_at);

/* Releases the slot of this backend's run of that sync, if it has one; to be called on every path. */
extern void cs_progress_end(int64 sync_id);

/* A phase of so many records (-1: who knows) begins.  Nothing is watched any more. */
extern void cs_progress_phase(CsProgressSlot *slot, CsProgressPhase phase, int64 total);

/* The phase of reading begins.  What source points to is looked at until the next phase. */
extern void cs_progress_read_from(CsProgressSlot *slot, const CsProgressSource *source);

/* So much has been read. */
extern void cs_progress_set_read(CsProgressSlot *slot, int64 records, int64 bytes);

/* The phase has got so many records further. */
extern void cs_progress_add(CsProgressSlot *slot, int64 records);

/* The next statement of the current subtransaction that writes is one over the phase's records: its
 * rows are counted while it runs. */
extern void cs_progress_expect_statement(CsProgressSlot *slot);

/* For readers: how many slots there are, and a consistent copy of one; false if it is free. */
extern int cs_progress_slot_count(void);
extern bool cs_progress_get(int i, CsProgress *progress);
extern const char *cs_progress_phase_name(CsProgressPhase phase);

#endif /* CS_PROGRESS_H */
