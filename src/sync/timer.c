/*
 * timer.c
 *		The time limit of a run.
 *
 * The timer interrupts as a cancel does, so every wait that can be canceled
 * can be timed out.  A flag tells afterwards which of the two it was.  Of runs
 * within runs, whose triggers start others, the earliest limit counts.
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "sync/timer.h"

static TimeoutId alarm_id;
static bool registered = false;
static CsRunTimer *innermost = NULL;
static volatile sig_atomic_t expired = false;

static void set_alarm(void);
static void expire(void);
static void remove_timer(CsRunTimer *timer);

void
cs_run_timer_start(CsRunTimer *timer, int seconds)
{
	timer->limit_s = seconds;
	timer->end = DT_NOEND;
	if (seconds > 0)
		timer->end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												 INT64CONST(1000) * Min(seconds, INT_MAX / 1000));
	if (innermost == NULL)
		expired = false;
	timer->outer = innermost;
	innermost = timer;
	set_alarm();
}

void
cs_run_timer_stop(CsRunTimer *timer)
{
	remove_timer(timer);
	/* What it has just done would be taken for somebody's cancel later. */
	CHECK_FOR_INTERRUPTS();
}

CsError *
cs_run_timer_explain(CsRunTimer *timer, CsError *error, MemoryContext context)
{
	MemoryContext old;
	CsError *explained;
	bool is_up = expired && timer->limit_s > 0 && GetCurrentTimestamp() >= timer->end;

	if (is_up)
		expired = false;
	/* It has come too late to be what ended the run. */
	if (is_up && !cs_error_is_cancel(error->code))
		QueryCancelPending = false;
	remove_timer(timer);
	if (!is_up || !cs_error_is_cancel(error->code))
		return error;
	old = MemoryContextSwitchTo(context);
	explained = palloc0(sizeof(CsError));
	explained->code = ERRCODE_PROGRAM_LIMIT_EXCEEDED;
	explained->message = pstrdup("the run took longer than its timeout");
	explained->detail = psprintf("Option timeout is %d s. Nothing was changed.", timer->limit_s);
	explained->hint = pstrdup("Raise the option, or make the source faster.");
	MemoryContextSwitchTo(old);
	return explained;
}

CsRunTimer *
cs_run_timer_current(void)
{
	return innermost;
}

void
cs_run_timer_restore(CsRunTimer *timer)
{
	innermost = timer;
	set_alarm();
}

static void
set_alarm(void)
{
	TimestampTz end = DT_NOEND;

	for (CsRunTimer *timer = innermost; timer; timer = timer->outer)
		end = Min(end, timer->end);
	if (end == DT_NOEND && !registered)
		return;
	if (!registered)
		alarm_id = RegisterTimeout(USER_TIMEOUT, expire);
	registered = true;
	if (end == DT_NOEND)
		disable_timeout(alarm_id, false);
	else
		enable_timeout_at(alarm_id, end);
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

/* With those of runs within it. */
static void
remove_timer(CsRunTimer *timer)
{
	for (CsRunTimer *other = innermost; other; other = other->outer)
		if (other == timer)
		{
			cs_run_timer_restore(timer->outer);
			return;
		}
}
