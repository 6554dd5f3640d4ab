/*
 * library.c
 *		Calls of FreeTDS: its callbacks, and waiting for its socket.
 */
#include "postgres.h"

#include <errno.h>

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "base/clock.h"
#include "driver_tds/tds.h"

/* The one whose call is running; the library's callbacks know of no other. */
static TdsSession *current;

static int on_message(DBPROCESS *process, DBINT number, int state, int severity, char *text,
					  char *server, char *procedure, int line);
static int on_error(DBPROCESS *process, int severity, int number, int os_error, char *text,
					char *os_text);
static int on_timeout(void);
static bool is_late(void);
static int is_given_up(void *process);
static int give_up(void *process);

/* Before each call of the library; what the one before had to say is forgotten. */
void
tds_enter(TdsSession *session)
{
	session->server.number = 0;
	session->library.number = 0;
	session->os_error = 0;
	session->stalled = false;
	session->late = false;
	session->replaced = false;
	current = session;
	session->their_error = dberrhandle(on_error);
	session->their_message = dbmsghandle(on_message);
	if (session->process)
		dbsetinterrupt(session->process, is_given_up, give_up);
}

/* After it; throws nothing. */
void
tds_leave(TdsSession *session)
{
	dberrhandle(session->their_error);
	dbmsghandle(session->their_message);
	current = NULL;
}

/* Until the socket is ready or the time has come; the caller finds out which. */
void
tds_wait(int fd, int events, TimestampTz deadline)
{
	for (;;)
	{
		long left = TimestampDifferenceMilliseconds(cs_clock_steady(), deadline);
		int ready;

		CHECK_FOR_INTERRUPTS();
		if (left <= 0)
			return;
		ready = WaitLatchOrSocket(MyLatch, events | WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
								  fd, Min(left, 1000), PG_WAIT_EXTENSION);
		if (ready & WL_LATCH_SET)
			ResetLatch(MyLatch);
		if (ready & events)
			return;
	}
}

int
tds_column_count(TdsSession *session)
{
	int n;

	tds_enter(session);
	n = dbnumcols(session->process);
	tds_leave(session);
	return n;
}

/* Up to 10 they are information. */
static int
on_message(DBPROCESS *process, DBINT number, int state, int severity, char *text, char *server,
		   char *procedure, int line)
{
	TdsMessage *message;

	if (current == NULL || severity <= 10 || current->server.number != 0)
		return 0;
	message = &current->server;
	message->number = number;
	message->severity = severity;
	message->state = state;
	message->line = line;
	strlcpy(message->text, text ? text : "", sizeof(message->text));
	strlcpy(message->procedure, procedure ? procedure : "", sizeof(message->procedure));
	return 0;
}

static int
on_error(DBPROCESS *process, int severity, int number, int os_error, char *text, char *os_text)
{
	TdsMessage *message;

	if (current == NULL)
		return INT_CANCEL;
	if (current->deadline != 0 && process && tds_is_elsewhere(current, dbiordesc(process)))
		return INT_CANCEL;
	if (number == SYBETIME)
		return on_timeout();
	if (number == SYBEICONVI || number == SYBEICONV2BIG)
		current->replaced = true;
	if (number == SYBESMSG || current->library.number != 0)
		return INT_CANCEL;
	message = &current->library;
	message->number = number;
	message->severity = severity;
	strlcpy(message->text, text ? text : "", sizeof(message->text));
	current->os_error = Max(os_error, 0);
	return INT_CANCEL;
}

/*
 * The library has waited as long as it may, or is_given_up said so.  Connecting, that is a second, and it
 * goes on until the deadline.  Else the server is asked to stop, which gets another second to answer.
 */
static int
on_timeout(void)
{
	bool interrupted = QueryCancelPending || ProcDiePending || current->closing;

	if (current->deadline != 0)
	{
		if (!interrupted && cs_clock_steady() < current->deadline)
			return INT_CONTINUE;
		current->stalled = !interrupted;
		return INT_CANCEL;
	}
	current->stalled = current->stalled || !interrupted;
	current->late = current->late || is_late();
	if (current->attention || current->closing)
		return INT_CANCEL;
	current->attention = true;
	return INT_TIMEOUT;
}

static bool
is_late(void)
{
	TimestampTz late_at = current->login->late_at;

	return late_at != 0 && cs_clock_steady() >= late_at;
}

/* Asked once a second while the library waits, and after every signal. */
static int
is_given_up(void *process)
{
	return QueryCancelPending || ProcDiePending || (current && current->closing) ||
		   (current && (current->attention || is_late()));
}

static int
give_up(void *process)
{
	return INT_CANCEL;
}
