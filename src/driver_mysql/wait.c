/*
 * wait.c
 *		Waiting for the source, interruptibly and not for ever.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"

#include "base/clock.h"
#include "base/compat.h"
#include "driver_mysql/mysql_session.h"

static long time_left(const MysqlSession *session, TimestampTz since);
static void time_out(const MysqlSession *session) pg_attribute_noreturn();

int
cs_mysql_wait(MysqlSession *session)
{
	int events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;
	TimestampTz since = cs_clock_steady();
	int happened;

	if (session->pending & MYSQL_WAIT_READ)
		events |= WL_SOCKET_READABLE;
	if (session->pending & MYSQL_WAIT_WRITE)
		events |= WL_SOCKET_WRITEABLE;
	for (;;)
	{
		long timeout = time_left(session, since);

		if (timeout == 0)
			time_out(session);
		happened = WaitLatchOrSocket(MyLatch, timeout > 0 ? events | WL_TIMEOUT : events,
									 mysql_get_socket(session->mysql), timeout, PG_WAIT_EXTENSION);
		if (happened & WL_LATCH_SET)
			ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (happened & (WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE))
			return (happened & WL_SOCKET_READABLE ? MYSQL_WAIT_READ : 0) |
				   (happened & WL_SOCKET_WRITEABLE ? MYSQL_WAIT_WRITE : 0);
	}
}

/* In ms; -1: no limit. */
static long
time_left(const MysqlSession *session, TimestampTz since)
{
	const CsSqlLogin *login = session->login;
	TimestampTz end = session->deadline;

	if (end == 0)
	{
		if (login->stall_timeout_s > 0)
			end = TimestampTzPlusMilliseconds(since, (int64) login->stall_timeout_s * 1000);
		if (login->late_at != 0 && (end == 0 || login->late_at < end))
			end = login->late_at;
		if (end == 0)
			return -1;
	}
	return TimestampDifferenceMilliseconds(cs_clock_steady(), end);
}

static void
time_out(const MysqlSession *session)
{
	const CsSqlLogin *login = session->login;

	if (session->deadline != 0)
		ereport(ERROR, (errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
						errmsg("could not connect to \"%s\" in time", login->host),
						errdetail("%s, port %d, did not answer within %d s.",
								  login->address ? login->address : login->host, login->port,
								  login->connect_timeout_s),
						errhint("Check options \"host\" and \"port\" of the server, and firewalls "
								"between; option \"connect_timeout\" says how long to wait.")));
	if (login->late_at != 0 && cs_clock_steady() >= login->late_at)
		login->throw_late(login);
	ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
					errmsg("the source has sent nothing for %d s", login->stall_timeout_s),
					errhint("If its statements may think longer, raise option \"stall_timeout\" of "
							"the server.")));
}
