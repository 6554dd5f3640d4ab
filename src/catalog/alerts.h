/*
 * alerts.h
 *		What a sync's owner wants to be told when it goes wrong: options alert_... of the sync.
 */
#ifndef CS_ALERTS_H
#define CS_ALERTS_H

#include "utils/jsonb.h"

/* Does a sync with these options have any alert? */
extern bool cs_alerts_are_wanted(Jsonb *options);

/* Raises and resolves what a run that has just ended gives reason for.  Its row must be closed; a canceled run
 * and a dry one give none. */
extern void cs_alerts_judge_run(int64 run_id);

/* Raises and resolves what time alone gives reason for, in this database: no success for too long, a run that
 * goes on for too long.  For the launcher, once a minute; one query if there is nothing to tell. */
extern void cs_alerts_watch(void);

#endif /* CS_ALERTS_H */
