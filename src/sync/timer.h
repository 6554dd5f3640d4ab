/*
 * timer.h
 *		The time limit of a run.
 */
#ifndef CS_TIMER_H
#define CS_TIMER_H

#include "base/errors.h"

/* Interrupts the run after so many seconds, wherever it is then; 0: never. */
extern void cs_run_timer_start(int seconds);
extern void cs_run_timer_stop(void);

/* Stops the timer.  If it was what canceled the run, the error that says so (54000), in context; else
 * the error as it is. */
extern CsError *cs_run_timer_explain(CsError *error, MemoryContext context);

#endif /* CS_TIMER_H */
