/*
 * clock.c
 *		The time by which schedules go and runs are logged.
 */
#include "postgres.h"

#include <time.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/compat.h"

static const CsClock *current(void);
static void wait_for_latch(TimestampTz until, bool busy);

static const CsClock real_clock = { GetCurrentTimestamp, wait_for_latch };

TimestampTz
cs_clock_now(void)
{
	return current()->now();
}

TimestampTz
cs_clock_steady(void)
{
	struct timespec now = { 0 };

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return ((TimestampTz) now.tv_sec + 1) * USECS_PER_SEC + now.tv_nsec / 1000;
}

void
cs_clock_wait(TimestampTz until, bool busy)
{
	current()->wait(until, busy);
}

static const CsClock *
current(void)
{
	static void **variable = NULL;

	if (variable == NULL)
		variable = find_rendezvous_variable(CS_CLOCK_VARIABLE);
	return *variable ? *variable : &real_clock;
}

static void
wait_for_latch(TimestampTz until, bool busy)
{
	long timeout_ms = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);

	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, timeout_ms,
					 cs_wait_event(CS_WAIT_SCHEDULE));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}
