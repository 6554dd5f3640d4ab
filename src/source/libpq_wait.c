/*
 * libpq_wait.c
 *		Waiting for a server, and letting go of it.
 *
 * Nothing here calls a function of libpq that would wait on its own, but for
 * the request to cancel: that runs in a thread, which is left to itself when
 * it takes too long.
 */
#include "postgres.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/wait_event.h"

#include "base/clock.h"
#include "source/libpq.h"

/* How long the server may take to hear that its query is canceled. */
#define CANCEL_SECONDS 5

static PGresult *wait_for_result(CsPqSession *session);
static void wait_for(CsPqSession *session, int events);
static void cancel(PGconn *conn);
static void *send_cancel(void *request);

void
cs_pq_flush(CsPqSession *session)
{
	int state;

	while ((state = PQflush(session->conn)) > 0)
		wait_for(session, WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE);
	if (state < 0)
		cs_pq_throw_lost(session);
}

/* TLS may hold bytes that the socket no longer shows: they are asked for before it is waited for. */
void
cs_pq_wait_for_input(CsPqSession *session)
{
	session->polled = !session->polled;
	if (!session->polled)
		wait_for(session, WL_SOCKET_READABLE);
	else if (!PQconsumeInput(session->conn))
		cs_pq_throw_lost(session);
}

bool
cs_pq_next_result(CsPqSession *session)
{
	PGresult *next = wait_for_result(session);

	PQclear(session->result);
	session->result = next;
	return next != NULL;
}

PGresult *
cs_pq_finish(CsPqSession *session, int sent)
{
	PGresult *next;

	if (!sent)
		cs_pq_throw_lost(session);
	while ((next = wait_for_result(session)) != NULL)
	{
		PQclear(session->result);
		session->result = next;
		if (PQresultStatus(next) == PGRES_FATAL_ERROR)
			cs_pq_throw_result(session);
	}
	return session->result;
}

void
cs_pq_end(CsPqSession *session)
{
	while (cs_pq_next_result(session))
		if (PQresultStatus(session->result) == PGRES_FATAL_ERROR)
			cs_pq_throw_result(session);
	cs_pq_close(session);
}

PGresult *
cs_pq_query(CsPqSession *session, const char *sql, int nparams, const char *const *params)
{
	return cs_pq_finish(
		session, PQsendQueryParams(session->conn, sql, nparams, NULL, params, NULL, NULL, 0));
}

int
cs_pq_wait(PGconn *conn, int events, TimestampTz deadline)
{
	for (;;)
	{
		int wake = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | events;
		long left = -1;
		int ready;

		if (deadline != 0)
		{
			left = TimestampDifferenceMilliseconds(cs_clock_steady(), deadline);
			if (left <= 0)
				return 0;
			wake |= WL_TIMEOUT;
		}
		ready = WaitLatchOrSocket(MyLatch, wake, PQsocket(conn), left, PG_WAIT_EXTENSION);
		if (ready & WL_LATCH_SET)
			ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		ready &= events;
		if (ready != 0)
			return ready;
	}
}

void
cs_pq_close(void *arg)
{
	CsPqSession *session = arg;

	if (session->message)
		PQfreemem(session->message);
	PQclear(session->result);
	if (session->conn)
	{
		if (!session->failed && PQstatus(session->conn) == CONNECTION_OK &&
			PQtransactionStatus(session->conn) == PQTRANS_ACTIVE)
			cancel(session->conn);
		PQfinish(session->conn);
	}
	if (session->holds_fd)
		ReleaseExternalFD();
	session->message = NULL;
	session->result = NULL;
	session->conn = NULL;
	session->holds_fd = false;
}

static PGresult *
wait_for_result(CsPqSession *session)
{
	cs_pq_flush(session);
	while (PQisBusy(session->conn))
		cs_pq_wait_for_input(session);
	return PQgetResult(session->conn);
}

/* The server is silent for too long: as good as gone. */
static void
wait_for(CsPqSession *session, int events)
{
	const CsSqlLogin *login = session->login;
	int limit = login->stall_timeout_s;
	TimestampTz deadline =
		limit > 0 ? TimestampTzPlusMilliseconds(cs_clock_steady(), limit * INT64CONST(1000)) : 0;
	int ready;

	if (login->late_at != 0 && (deadline == 0 || login->late_at < deadline))
		deadline = login->late_at;
	ready = cs_pq_wait(session->conn, events, deadline);
	if (ready == 0 && login->late_at != 0 && cs_clock_steady() >= login->late_at)
		login->throw_late(login);
	if (ready == 0)
		ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
						errmsg("server \"%s\" sent nothing for %d s", login->host, limit),
						errhint("A query that takes so long needs a longer stall_timeout.")));
	if ((ready & WL_SOCKET_READABLE) && !PQconsumeInput(session->conn))
		cs_pq_throw_lost(session);
}

/* libpq's own way to ask waits for an answer that may never come; signals stay with the backend. */
static void
cancel(PGconn *conn)
{
	PGcancel *request = PQgetCancel(conn);
	struct timespec until;
	sigset_t all;
	sigset_t before;
	pthread_t thread;
	int error;

	if (request == NULL)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, NULL, send_cancel, request);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error != 0)
	{
		PQfreeCancel(request);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CANCEL_SECONDS;
	if (pthread_timedjoin_np(thread, NULL, &until) != 0)
		pthread_detach(thread);
}

static void *
send_cancel(void *request)
{
	char ignored[256];

	(void) PQcancel(request, ignored, sizeof(ignored));
	PQfreeCancel(request);
	return NULL;
}
