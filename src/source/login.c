/*
 * login.c
 *		Where and as whom to connect to a database, from the options of its
 *		server and user mapping.
 */
#include "postgres.h"

#include "base/compat.h"
#include "net/resolve.h"
#include "source/option_table.h"
#include "source/sql.h"
#include "source/ssh.h"

static void throw_late(const CsSqlLogin *login) pg_attribute_noreturn();

CsSqlLogin *
cs_sql_login_create(const CsSqlSource *source, CsOptionSet *options)
{
	CsSqlLogin *login = palloc0(sizeof(CsSqlLogin));
	const char *port = cs_option_get(options, "port");

	cs_options_check_source(options, source->base.bit);
	login->options = options;
	login->option = cs_option_get;
	login->user_option = cs_option_get_user;
	login->host = cs_option_get(options, "host");
	login->port = port ? cs_option_int(port) : source->port;
	login->database = cs_option_get(options, "database");
	login->user = cs_option_get_user(options, "user");
	login->password = cs_option_get_user(options, "password");
	login->connect_timeout_s =
		cs_option_int(cs_option_get_default(options, "connect_timeout", "10"));
	login->stall_timeout_s = cs_option_int(cs_option_get_default(options, "stall_timeout", "600"));
	login->timeout_s = cs_option_int(cs_option_get_default(options, "timeout", "0"));
	login->throw_late = throw_late;
	login->ssh = cs_ssh_spec(options);
	if (login->host == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
						errmsg("the server has no option \"host\""),
						errhint("ALTER SERVER ... OPTIONS (ADD host 'db.example.com')")));
	return login;
}

/* The addresses that may be connected to, or the way into a tunnel. */
void
cs_sql_login_resolve(CsSqlLogin *login)
{
	login->step = CS_SQL_RESOLVE;
	if (login->ssh)
	{
		login->tunneled = true;
		login->tunnel = cs_tunnel_create(login->ssh, login->host, login->port);
		login->step = CS_SQL_SSH;
		login->port = cs_tunnel_open(login->tunnel);
		login->address = "127.0.0.1";
		login->step = CS_SQL_CONNECT;
		return;
	}
	if (login->host[0] == '/')
		return;
	login->address = cs_host_resolve(login->host, login->port, "host", &login->addresses);
	login->step = CS_SQL_CONNECT;
}

static void
throw_late(const CsSqlLogin *login)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("the request to \"%s\" took longer than %d s", login->host, login->timeout_s),
			 errhint("If that is normal, raise the server option \"timeout\".")));
}
