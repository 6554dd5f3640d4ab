/*
 * change.h
 *		One kind of change being applied: deletions, updates or insertions.
 */
#ifndef CS_CHANGE_H
#define CS_CHANGE_H

#include "sync/part.h"
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
	char *sql_returning; /* the same, returning number and key (or all) of the rows it wrote */
	CsPrepared *few;	 /* sql for a few rows at a time */
	CsPrepared *few_returning;	   /* sql_returning for such */
	CsPrepared *key_exists;		   /* has another session inserted the key of a row in part? */
	CsStage *set;				   /* all of it; NULL: nothing of this kind to do */
	CsStage *part;				   /* what the statement reads, registered as "part" */
	CsPart *window;				   /* part, while the set is taken in parts; else NULL */
	CsStage *returned;			   /* what it returned; made when first needed */
	CsStage *before;			   /* log_records = changes: rows as they were before an update */
	const char *prelude;		   /* to be executed first, for all rows or none; usually NULL */
	MemoryContext attempt_context; /* lives for one attempt; its error is in it */
	int width;					   /* so many rows does the next attempt in parts take */
	int wrong_guesses;			   /* how often another row than the last one read was at fault */
	int searched;	  /* CS_SUSPECT_... (sqlgen.h): what the set has been searched for */
	bool in_parts;	  /* part is not the whole set */
	bool must_return; /* somebody asks for the keys of every row */
	int64 applied;	  /* rows that the statements changed */
	int64 suppressed; /* rows that a trigger kept out, without a word */
	bool settled;	  /* no row of the set has to be looked at again */
	List *refused;	  /* CsRefusal *: rows refused by themselves that may yet pass */
	MemoryContext refused_context; /* of those */
} CsChange;

/* A row that was refused by itself and may yet pass; in the change's refused_context. */
typedef struct CsRefusal
{
	MinimalTuple row;
	CsError *error;
} CsRefusal;

extern void cs_change_init(CsChange *change, CsRun *run, CsChangeKind kind, CsStage *stage);

/* Applies a set, as one statement or else in parts, down to the rows that are refused. */
extern void cs_change_apply(CsChange *change, CsStage *set);

/* Applies the refused rows again, as one set; false if there are none. */
extern bool cs_change_retry(CsChange *change, bool backwards);

/* Logs the rows that are still refused as rejected; throws if on_error is fail or there are too many. */
extern void cs_change_blame_refused(CsChange *change);

/* Takes the rows of a stage out of the next diff. */
extern void cs_change_settle(CsRun *run, CsStage *stage);

/* attempt.c: executes the change's statement over part in a subtransaction.  Returns, in
 * CurrentMemoryContext, the error that may be a row's, or of a lost race; throws any other.  Whatever
 * went through has been counted, settled and logged. */
extern CsError *cs_change_attempt(CsChange *change);

/* change_log.c: rows as they are before an update, and the log of what a statement has written. */
extern void cs_change_note_old(CsChange *change);
extern void cs_change_log(CsChange *change);

/* suspects.c: moves rows that will probably be refused with an error like this one from a set to
 * suspects.  Returns the set of the others, or NULL if none was found. */
extern CsStage *cs_change_set_apart(CsChange *change, CsStage *set, const CsError *error,
									CsStage *suspects);

/* The same file: the record numbers that a question about a set finds; NULL if there are none, or the
 * question met an error that may be a row's (a CHECK may raise one of its own) or lacks a privilege. */
extern CsNumberSet *cs_change_find(CsStage *set, const char *sql);

/* Ends what a statement has returned. */
extern void cs_change_end_results(CsChange *change);

/* exchange.c: applies refused updates whose rows exchange values of a unique constraint among them. */
extern void cs_change_exchange(CsChange *change);

#endif /* CS_CHANGE_H */
