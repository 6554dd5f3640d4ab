/*
 * timer.h
 *		The time limit of a run.
 */
#ifndef CS_TIMER_H
#define CS_TIMER_H

#include "datatype/timestamp.h"

#include "base/errors.h"

/* Of one run; in its memory.  Runs may run within runs. */
typedef struct CsRunTimer
{
	int limit_s;
	TimestampTz end; /* DT_NOEND: never */
	struct CsRunTimer *outer;
} CsRunTimer;

/* Interrupts the run after so many seconds, wherever it is then; 0: never.  To be stopped, or to explain, on every path. */
extern void cs_run_timer_start(CsRunTimer *timer, int seconds);

/* Throws if the time is up. */
extern void cs_run_timer_stop(CsRunTimer *timer);

/* Stops the timer.  If it was what canceled the run, the error that says so (54000), in context; else
 * the error as it is. */
extern CsError *cs_run_timer_explain(CsRunTimer *timer, CsError *error, MemoryContext context);

/* The timer that runs; and back to it, or none, when those that were started since are gone, however they ended. */
extern CsRunTimer *cs_run_timer_current(void);
extern void cs_run_timer_restore(CsRunTimer *timer);

#endif /* CS_TIMER_H */
