/*
 * scheduled.h
 *		Syncs that have a schedule, with what decides when they run next.
 */
#ifndef CS_SCHEDULED_H
#define CS_SCHEDULED_H

#include "catalog/definition.h"
#include "catalog/schedule.h"

typedef struct CsScheduledSync
{
	int64 sync_id;
	char *name;
	Oid owner;
	char *server;		/* or NULL */
	const char *broken; /* why the schedule can't be kept, or NULL */
	CsSchedule schedule;
	CsScheduleHistory history;
	bool busy; /* queued or running, as far as the log knows */
} CsScheduledSync;

/* Whose schedules. */
typedef enum CsScheduledScope
{
	CS_SCHEDULED_BY_LAUNCHER,			 /* all that the launcher keeps */
	CS_SCHEDULED_BY_LAUNCHER_AROUND_ONE, /* of these, one sync and those that run after it */
	CS_SCHEDULED_ONE					 /* one sync, whoever keeps its schedule */
} CsScheduledScope;

/* Active ones of this database; CsScheduledSync *, in CurrentMemoryContext. */
extern List *cs_scheduled_list(CsScheduledScope scope, int64 sync_id);

/* Keeps a sync as it is until the end of the transaction; false: somebody is changing it, or it is gone. */
extern bool cs_scheduled_hold(int64 sync_id);

/* When one sync is due, whoever keeps its schedule; DT_NOEND: not known, or not the current role's to know. */
extern TimestampTz cs_scheduled_next_run(int64 sync_id);

#endif /* CS_SCHEDULED_H */
