/*
 * gate.c
 *		Before a password goes anywhere: the server must speak TLS where it is
 *		asked for, and its certificate must name the host of the server option,
 *		not the address that is connected to (of a tunnel, it would be our own).
 *
 * The library checks certificates against the name it connected to, in its
 * field mysql->host, and starts TLS when the first authentication plugin
 * writes.  The gate is such a plugin: it puts the right name there, and leaves
 * authenticating to the plugin that the server then asks for.
 *
 * All of this runs in the library's coroutine: nothing here throws.
 */
#include "postgres.h"

#include <poll.h>
#include <errno.h>

#include "miscadmin.h"

#include "base/clock.h"
#include "driver_mysql/mysql_session.h"

#include <errmsg.h>
#include <mysql/plugin_auth.h>

#define AUTHENTICATION_PLUGIN 2

/* How long an interrupt may wait during a TLS handshake. */
#define HANDSHAKE_SLICE_MS 100

/* As the library's own plugins look; its header for them can't be included without its sources. */
typedef struct GatePlugin
{
	MYSQL_CLIENT_PLUGIN_HEADER
	int (*authenticate_user)(MYSQL_PLUGIN_VIO *vio, MYSQL *mysql);
	void *hash_password; /* of later versions: has none */
} GatePlugin;

static int pass_gate(MYSQL_PLUGIN_VIO *vio, MYSQL *mysql);
static int refuse(MysqlSession *session, MYSQL *mysql, const char *why);

static GatePlugin gate = {
	.type = AUTHENTICATION_PLUGIN,
	.name = CS_MYSQL_GATE,
	.author = "censync",
	.desc = "TLS before authentication",
	.version = { 1, 0, 0 },
	.license = "LGPL",
	.authenticate_user = pass_gate,
};

/* Whose connection is being made; one at a time. */
static MysqlSession *connecting;

bool
cs_mysql_gate_register(MYSQL *mysql)
{
	struct st_mysql_client_plugin *known =
		mysql_client_find_plugin(mysql, "mysql_native_password", AUTHENTICATION_PLUGIN);

	if (known == NULL)
		return false;
	gate.interface_version = known->interface_version;
	return mysql_client_register_plugin(mysql, (struct st_mysql_client_plugin *) &gate) != NULL;
}

void
cs_mysql_gate_enter(MysqlSession *session)
{
	connecting = session;
}

/* The library waits by this in a TLS handshake only, where its coroutine can't be left. */
int
cs_mysql_gate_wait(my_socket fd, my_bool reading, int timeout pg_attribute_unused())
{
	struct pollfd poller = { .fd = fd, .events = reading ? POLLIN : POLLOUT };

	while (!InterruptPending && cs_clock_steady() < connecting->deadline)
	{
		int n = poll(&poller, 1, HANDSHAKE_SLICE_MS);

		if (n > 0)
			return n;
		if (n < 0 && errno != EINTR)
			return -1;
	}
	errno = ETIMEDOUT;
	return 0;
}

static int
pass_gate(MYSQL_PLUGIN_VIO *vio, MYSQL *mysql)
{
	MysqlSession *session = connecting;
	unsigned char *packet;
	int len;

	/* A handshake on a blocking socket could not be left. */
	mysql_make_nonblocking(mysql);
	session->login->step = CS_SQL_TLS;
	if (session->tls != MYSQL_TLS_OFF && !(mysql->server_capabilities & CLIENT_SSL))
		return refuse(session, mysql, "The server does not offer TLS.");
	if (session->login->address)
	{
		char *host = strdup(session->login->host);

		if (host == NULL)
			return refuse(session, mysql, "Out of memory.");
		free(mysql->host);
		mysql->host = host;
	}
	len = vio->read_packet(vio, &packet);
	if (mysql->net.last_errno != CR_SSL_CONNECTION_ERROR &&
		(session->tls == MYSQL_TLS_OFF || mysql->net.pvio == NULL || mysql->net.pvio->ctls))
		session->login->step = CS_SQL_AUTHENTICATE;
	/* That the server asks for another plugin is no error to the library. */
	return len > 0 && packet[0] == 0 ? CR_OK_HANDSHAKE_COMPLETE : CR_ERROR;
}

static int
refuse(MysqlSession *session, MYSQL *mysql, const char *why)
{
	session->refused = why;
	mysql->net.last_errno = CR_SSL_CONNECTION_ERROR;
	strlcpy(mysql->net.last_error, why, sizeof(mysql->net.last_error));
	return CR_ERROR;
}
