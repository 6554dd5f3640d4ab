/*
 * change.h
 *		One kind of change being applied: deletions, updates or insertions.
 */
#ifndef CS_CHANGE_H
#define CS_CHANGE_H

#include "sync/run.h"

typedef enum CsChangeKind
{
	CS_CHANGE_DELETE,
	CS_CHANGE_UPDATE,
	CS_CHANGE_INSERT,
	CS_N_CHANGES
} CsChangeKind;

/* On the stack of the apply; what it points to is in the run's context unless said otherwise. */
typedef struct CsChange
{
	CsRun *run;
	CsChangeKind kind;
	const char *operation; /* for the log */
	char *sql;
	char *sql_returning;		   /* the same, returning number and key of the rows it wrote */
	CsStage *set;				   /* all of it; NULL: nothing of this kind to do */
	CsStage *part;				   /* what the statement reads, registered as "part" */
	CsStage *returned;			   /* what it returned; made when first needed */
	bool in_parts;				   /* part is not the whole set */
	bool must_return;			   /* somebody asks for the keys of every row */
	int64 applied;				   /* rows that the statements changed */
	int64 suppressed;			   /* rows that a trigger kept out, without a word */
	bool settled;				   /* no row of the set has to be looked at again */
	List *refused;				   /* CsRefusal *: rows refused by themselves that may yet pass */
	MemoryContext refused_context; /* of those */
} CsChange;

extern void cs_change_init(CsChange *change, CsRun *run, CsChangeKind kind, CsStage *stage);

/* Applies a set, as one statement or else in parts, down to the rows that are refused. */
extern void cs_change_apply(CsChange *change, CsStage *set);

/* Applies the refused rows again, as one set; false if there are none. */
extern bool cs_change_retry(CsChange *change);

/* Logs the rows that are still refused as rejected; throws if on_error is fail or there are too many. */
extern void cs_change_blame_refused(CsChange *change);

/* Takes the rows of a stage out of the next diff. */
extern void cs_change_settle(CsRun *run, CsStage *stage);

#endif /* CS_CHANGE_H */
