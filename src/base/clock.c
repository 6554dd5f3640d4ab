/*
 * clock.c
 *		The time by which schedules go and runs are logged.
 */
#include "postgres.h"

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
