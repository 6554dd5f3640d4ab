/*
 * clock.h
 *		The time by which schedules go and runs are logged.
 *
 * A library that is loaded beside this one may put a clock of its own into
 * the rendezvous variable "censync clock".  The tests do, to see a day pass
 * in seconds; nothing else has a reason to.
 */
#ifndef CS_CLOCK_H
#define CS_CLOCK_H

#include <time.h>

#include "datatype/timestamp.h"

#define CS_CLOCK_VARIABLE "censync clock"

typedef struct CsClock
{
	TimestampTz (*now)(void);

	/*
	 * Returns when the process's latch is set, or at the time given, or earlier.  busy: what goes on
	 * meanwhile takes real time, so that a clock that jumps must not.
	 */
	void (*wait)(TimestampTz until, bool busy);
} CsClock;

extern TimestampTz cs_clock_now(void);

extern void cs_clock_wait(TimestampTz until, bool busy);

/* A time that nobody puts forward or back, to measure how long something lasts.  It is none of the day, and
 * never 0.  Here, because the drivers' modules measure, too. */
static inline TimestampTz
cs_clock_steady(void)
{
	struct timespec now = { 0 };

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return ((TimestampTz) now.tv_sec + 1) * USECS_PER_SEC + now.tv_nsec / 1000;
}

#endif /* CS_CLOCK_H */
