/*
 * schedule.h
 *		What a schedule says, and when it means a sync to run next.
 *
 * Nothing is written down of when a sync is due: it follows from its schedule
 * and from the log of its runs, whatever has happened since.
 */
#ifndef CS_SCHEDULE_H
#define CS_SCHEDULE_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#include "catalog/cron.h"

typedef enum CsScheduleKind
{
	CS_SCHEDULE_INTERVAL,
	CS_SCHEDULE_CRON,
	CS_SCHEDULE_CONTINUOUS,
	CS_SCHEDULE_AFTER
} CsScheduleKind;

/* In the context in which it was parsed; zone is the server's for good. */
typedef struct CsSchedule
{
	CsScheduleKind kind;
	int64 interval_s;
	CsCron cron;
	const pg_tz *zone; /* of cron; NULL: none is given */
	List *parents;	   /* char *: names of syncs */
} CsSchedule;

/* What is known of a sync's runs, dry ones aside. */
typedef struct CsScheduleHistory
{
	int64 sync_id;
	TimestampTz since; /* when the schedule was set, or taken up again */
	bool has_run;	   /* then, of the last run: */
	bool failed;
	bool crashed;
	bool may_pass; /* its failure */
	TimestampTz started_at;
	TimestampTz finished_at; /* as started_at where it is not known */
	int failures;			 /* in a row, crashes included */
	int retries;			 /* of these, how many are tried again before their time */
	bool
		parents_are_done; /* of an after: each has completed a run that this sync has not followed */
} CsScheduleHistory;

/* False: *problem says what is wrong with it, as a sentence. */
extern bool cs_schedule_parse(const char *text, CsSchedule *schedule, const char **problem);

/* The same, but throws 22023. */
extern void cs_schedule_parse_or_throw(const char *text, CsSchedule *schedule);

/* As it is kept: a cron expression with its zone, the session's where it has none. */
extern char *cs_schedule_canonical(const char *text, const CsSchedule *schedule);

/* When a sync is due; a time that has passed: at once; DT_NOEND: not by time alone. */
extern TimestampTz cs_schedule_due(const CsSchedule *schedule, const CsScheduleHistory *history,
								   TimestampTz now);

/* Is that the time of a retry, and not the schedule's own? */
extern bool cs_schedule_is_retry(const CsSchedule *schedule, const CsScheduleHistory *history,
								 TimestampTz now);

/* The first time of the schedule itself after another; DT_NOEND if there is none. */
extern TimestampTz cs_schedule_next_time(const CsSchedule *schedule, TimestampTz since,
										 TimestampTz after);

#endif /* CS_SCHEDULE_H */
