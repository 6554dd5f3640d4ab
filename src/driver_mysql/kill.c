/*
 * kill.c
 *		A statement that nobody waits for any more, ended at the source.
 *
 * Its server would notice that the connection is gone when it next writes,
 * which may be hours from now.  So a short second connection tells it, as the
 * source's own clients do.  Nothing here throws, and nothing lasts long: it
 * runs while a failed transaction is cleaned up.
 */
#include "postgres.h"

#include <poll.h>

#include "base/clock.h"
#include "driver_mysql/mysql_session.h"

#define PATIENCE_MS 2000

static int wait_a_little(MysqlSession *killer);
static bool connect_again(MysqlSession *killer);
static void send_kill(MysqlSession *killer, unsigned long thread);

void
cs_mysql_kill(const MysqlSession *session)
{
	MysqlSession killer = { 0 };

	killer.login = session->login;
	killer.tls = session->tls;
	killer.mysql = mysql_init(NULL);
	if (killer.mysql == NULL)
		return;
	killer.deadline = TimestampTzPlusMilliseconds(cs_clock_steady(), PATIENCE_MS);
	cs_mysql_set_options(&killer);
	if (connect_again(&killer))
		send_kill(&killer, mysql_thread_id(session->mysql));
	mysql_close(killer.mysql);
}

/* What has happened; MYSQL_WAIT_TIMEOUT ends the call, once its socket is cut off, too. */
static int
wait_a_little(MysqlSession *killer)
{
	struct pollfd poller = { .fd = mysql_get_socket(killer->mysql) };
	long left = TimestampDifferenceMilliseconds(cs_clock_steady(), killer->deadline);

	cs_mysql_gate_enter(killer);
	if (killer->pending & MYSQL_WAIT_READ)
		poller.events |= POLLIN;
	if (killer->pending & MYSQL_WAIT_WRITE)
		poller.events |= POLLOUT;
	if (left > 0 && poll(&poller, 1, (int) left) > 0)
		return killer->pending & (MYSQL_WAIT_READ | MYSQL_WAIT_WRITE);
	if (left <= 0)
		cs_mysql_cut_off(poller.fd);
	return left > 0 ? 0 : MYSQL_WAIT_TIMEOUT;
}

static bool
connect_again(MysqlSession *killer)
{
	const CsSqlLogin *login = killer->login;
	MYSQL *connected = NULL;

	cs_mysql_gate_enter(killer);
	killer->pending =
		mysql_real_connect_start(&connected, killer->mysql, login->address, login->user,
								 login->password ? login->password : "", NULL, login->port,
								 login->address ? NULL : cs_mysql_socket_path(login->host), 0);
	while (killer->pending)
		killer->pending = mysql_real_connect_cont(&connected, killer->mysql, wait_a_little(killer));
	return connected != NULL;
}

static void
send_kill(MysqlSession *killer, unsigned long thread)
{
	char sql[64];
	int failed;

	snprintf(sql, sizeof(sql), "KILL QUERY %lu", thread);
	killer->pending = mysql_real_query_start(&failed, killer->mysql, sql, strlen(sql));
	while (killer->pending)
		killer->pending = mysql_real_query_cont(&failed, killer->mysql, wait_a_little(killer));
}
