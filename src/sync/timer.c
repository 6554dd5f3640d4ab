/*
 * timer.c
 *		The time limit of a run.
 *
 * The timer interrupts as a cancel does, so every wait that can be canceled
 * can be timed out.  A flag tells afterwards which of the two it was.
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timeout.h"

#include "sync/timer.h"

static TimeoutId timer;
static bool registered = false;
static int limit_s = 0; /* of the run that the timer was last started for */
static volatile sig_atomic_t expired = false;

static void expire(void);

void
cs_run_timer_start(int seconds)
{
	expired = false;
	limit_s = seconds;
	if (seconds == 0)
		return;
	if (!registered)
		timer = RegisterTimeout(USER_TIMEOUT, expire);
	registered = true;
	enable_timeout_after(timer, Min(seconds, INT_MAX / 1000) * 1000);
}

void
cs_run_timer_stop(void)
{
	if (registered)
		disable_timeout(timer, false);
}

CsError *
cs_run_timer_explain(CsError *error, MemoryContext context)
{
	MemoryContext old;
	CsError *explained;

	cs_run_timer_stop();
	if (!expired || !cs_error_is_cancel(error->code))
		return error;
	expired = false;
	old = MemoryContextSwitchTo(context);
	explained = palloc0(sizeof(CsError));
	explained->code = ERRCODE_PROGRAM_LIMIT_EXCEEDED;
	explained->message = pstrdup("the run took longer than its timeout");
	explained->detail = psprintf("Option timeout is %d s. Nothing was changed.", limit_s);
	explained->hint = pstrdup("Raise the option, or make the source faster.");
	MemoryContextSwitchTo(old);
	return explained;
}

/* In a signal handler. */
static void
expire(void)
{
	expired = true;
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
}
