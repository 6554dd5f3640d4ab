/*
 * connect.c
 *		A connection: made, set up, and closed whatever happens.
 */
#include "postgres.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/fd.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/compat.h"
#include "driver_mysql/mysql_session.h"

/* What may prove who we are; a password in the clear goes to a server whose certificate is verified. */
#define PLUGINS                                                                                    \
	CS_MYSQL_GATE                                                                                  \
	",mysql_native_password,caching_sha2_password,sha256_password,client_ed25519,parsec"
#define PLUGINS_VERIFIED PLUGINS ",mysql_clear_password"

/* Of the server, for us to take what it has sent: a reader may wait long for its own reader. */
#define PATIENCE_OF_SOURCE "3600"

/* A call whose socket was taken away fails in a few steps. */
#define MAX_STEPS 1000

static void read_options(MysqlSession *session);
static void close_session(void *arg);
static void finish_call(MysqlSession *session);
static void set_tls(MysqlSession *session);
static const char *system_certificates(void);
static void connect_now(MysqlSession *session);
static void set_up(MysqlSession *session);

CsSqlSession *
cs_mysql_connect(CsSqlLogin *login)
{
	MysqlSession *session = palloc0(sizeof(MysqlSession));

	session->base.driver = cs_sql_driver_get();
	session->login = login;
	session->context = CurrentMemoryContext;
	session->row_context =
		AllocSetContextCreate(CurrentMemoryContext, "censync mysql row", ALLOCSET_DEFAULT_SIZES);
	read_options(session);
	session->close.func = close_session;
	session->close.arg = session;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &session->close);
	if (!AcquireExternalFD())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("there are too many open files for another connection"),
				 errhint("Raise the server's max_files_per_process, and the system's limit.")));
	session->holds_fd = true;
	session->mysql = mysql_init(NULL);
	if (session->mysql == NULL || !cs_mysql_gate_register(session->mysql))
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	cs_mysql_set_options(session);
	connect_now(session);
	set_up(session);
	return &session->base;
}

static void
read_options(MysqlSession *session)
{
	const CsSqlLogin *login = session->login;
	const char *tls = login->option(login->options, "tls");
	const char *zero_dates = login->option(login->options, "zero_dates");
	const char *tinyint1 = login->option(login->options, "tinyint1");

	if (tls && strcmp(tls, "off") == 0)
		session->tls = MYSQL_TLS_OFF;
	else if (tls && strcmp(tls, "require") == 0)
		session->tls = MYSQL_TLS_REQUIRE;
	session->zero_dates_null = zero_dates && strcmp(zero_dates, "null") == 0;
	session->tinyint1_boolean = tinyint1 && strcmp(tinyint1, "boolean") == 0;
	if (login->user == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
						errmsg("there is no user to connect to \"%s\" as", login->host),
						errhint("CREATE USER MAPPING FOR CURRENT_USER SERVER ... OPTIONS (user "
								"'...', password '...')")));
}

/*
 * Throws nothing.  An idle connection says goodbye.  Of any other the socket is taken away first: what
 * the library still wants to read or write then fails at once, where it would otherwise read a long
 * result to its end; an unfinished call ends that way, and so frees what it holds; and the server
 * notices at its next write.
 */
static void
close_session(void *arg)
{
	MysqlSession *session = arg;

	if (session->mysql)
	{
		if (session->pending && session->is_set_up)
			cs_mysql_kill(session);
		if (session->pending || session->reading)
			cs_mysql_cut_off(mysql_get_socket(session->mysql));
		finish_call(session);
		if (session->stmt)
			(void) mysql_stmt_close(session->stmt);
		mysql_close(session->mysql);
	}
	if (session->holds_fd)
		ReleaseExternalFD();
	session->mysql = NULL;
	session->stmt = NULL;
	session->holds_fd = false;
}

/* A shut down socket would not do: what the server goes on sending could still be read. */
void
cs_mysql_cut_off(my_socket fd)
{
	int unconnected = fd == MARIADB_INVALID_SOCKET ? -1 : socket(AF_UNIX, SOCK_STREAM, 0);

	if (unconnected >= 0)
	{
		(void) dup2(unconnected, fd);
		(void) close(unconnected);
	}
	else if (fd != MARIADB_INVALID_SOCKET)
		(void) shutdown(fd, SHUT_RDWR);
}

/* All of the library's calls share one coroutine: any of its functions goes on with it. */
static void
finish_call(MysqlSession *session)
{
	MYSQL *ignored;

	cs_mysql_gate_enter(session);
	for (int i = 0; session->pending && i < MAX_STEPS; i++)
		session->pending = mysql_real_connect_cont(&ignored, session->mysql, MYSQL_WAIT_TIMEOUT);
}

/* No file is read that could change what is said here, and none is sent that the server asks for. */
void
cs_mysql_set_options(MysqlSession *session)
{
	MYSQL *mysql = session->mysql;
	unsigned int seconds = session->login->connect_timeout_s;
	unsigned int no = 0;
	unsigned int protocol = session->login->address ? MYSQL_PROTOCOL_TCP : MYSQL_PROTOCOL_SOCKET;
	unsigned long gigabyte = 1024UL * 1024 * 1024;
	my_bool yes = 1;
	my_bool never = 0;

	mysql_optionsv(mysql, MYSQL_OPT_NONBLOCK, NULL);
	mysql_optionsv(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	mysql_optionsv(mysql, MYSQL_OPT_LOCAL_INFILE, &no);
	mysql_optionsv(mysql, MYSQL_OPT_RECONNECT, &never);
	mysql_optionsv(mysql, MYSQL_OPT_PROTOCOL, &protocol);
	mysql_optionsv(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &seconds);
	mysql_optionsv(mysql, MYSQL_OPT_MAX_ALLOWED_PACKET, &gigabyte);
	mysql_optionsv(mysql, MYSQL_SECURE_AUTH, &yes);
	mysql_optionsv(mysql, MYSQL_DEFAULT_AUTH, CS_MYSQL_GATE);
	mysql_optionsv(mysql, MARIADB_OPT_RESTRICTED_AUTH,
				   session->tls == MYSQL_TLS_VERIFY ? PLUGINS_VERIFIED : PLUGINS);
	mysql_optionsv(mysql, MARIADB_OPT_IO_WAIT, cs_mysql_gate_wait);
	mysql_optionsv(mysql, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "censync");
	set_tls(session);
}

static void
set_tls(MysqlSession *session)
{
	MYSQL *mysql = session->mysql;
	const CsSqlLogin *login = session->login;
	const char *ca = login->option(login->options, "ca_file");
	const char *cert = login->user_option(login->options, "tls_cert_file");
	const char *key = login->user_option(login->options, "tls_key_file");
	my_bool use = session->tls != MYSQL_TLS_OFF && login->address;
	my_bool verify = use && session->tls == MYSQL_TLS_VERIFY;

	if (!use)
		session->tls = MYSQL_TLS_OFF;
	mysql_optionsv(mysql, MYSQL_OPT_SSL_ENFORCE, &use);
	mysql_optionsv(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
	if (!use)
		return;
	mysql_optionsv(mysql, MARIADB_OPT_TLS_VERSION, "TLSv1.2,TLSv1.3");
	if (cert)
		mysql_optionsv(mysql, MYSQL_OPT_SSL_CERT, cert);
	if (cert && key)
		mysql_optionsv(mysql, MYSQL_OPT_SSL_KEY, key);
	/* Without either, later versions of the library trust whoever knows the password. */
	if (verify && ca)
		mysql_optionsv(mysql, MYSQL_OPT_SSL_CA, ca);
	else if (verify)
		mysql_optionsv(mysql, MYSQL_OPT_SSL_CAPATH, system_certificates());
}

static const char *
system_certificates(void)
{
	static const char *const directories[] = { "/etc/ssl/certs", "/etc/pki/tls/certs",
											   "/usr/local/share/certs" };

	for (int i = 0; i < (int) lengthof(directories); i++)
		if (access(directories[i], R_OK | X_OK) == 0)
			return directories[i];
	ereport(ERROR,
			(errcode(ERRCODE_CONFIG_FILE_ERROR), errmsg("the system's certificates were not found"),
			 errhint("Set option \"ca_file\" of the server.")));
}

/* A socket, or the directory that has one.  Good until the next call: nothing is allocated. */
const char *
cs_mysql_socket_path(const char *host)
{
	static char path[MAXPGPATH];
	struct stat status;

	if (stat(host, &status) != 0 || !S_ISDIR(status.st_mode))
		return host;
	snprintf(path, sizeof(path), "%s/mysqld.sock", host);
	return path;
}

static void
connect_now(MysqlSession *session)
{
	const CsSqlLogin *login = session->login;
	const char *password = login->password ? login->password : "";
	const char *path = login->address ? NULL : cs_mysql_socket_path(login->host);
	MYSQL *connected = NULL;

	session->deadline =
		TimestampTzPlusMilliseconds(cs_clock_steady(), (int64) login->connect_timeout_s * 1000);
	cs_mysql_gate_enter(session);
	session->pending =
		mysql_real_connect_start(&connected, session->mysql, login->address, login->user, password,
								 login->database, login->port, path, 0);
	while (session->pending)
	{
		int happened = cs_mysql_wait(session);

		cs_mysql_gate_enter(session);
		session->pending = mysql_real_connect_cont(&connected, session->mysql, happened);
	}
	if (connected == NULL)
		cs_mysql_throw(session);
}

/* Within the time for connecting, too.  The SQL of the user keeps its meaning: sql_mode stays. */
static void
set_up(MysqlSession *session)
{
	MYSQL *mysql = session->mysql;
	const char *version = mysql_get_server_info(mysql);
	const char *tls = NULL;

	session->login->step = CS_SQL_QUERY;
	cs_mysql_run(session, "SET NAMES utf8mb4");
	cs_mysql_run(session,
				 "SET SESSION time_zone = '+00:00', net_write_timeout = " PATIENCE_OF_SOURCE);
	cs_mysql_run(session, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ");
	cs_mysql_run(session, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY");
	session->deadline = 0;
	session->is_set_up = true;
	session->base.server = psprintf("%s %.*s", mariadb_connection(mysql) ? "MariaDB" : "MySQL",
									(int) strcspn(version, "-"), version);
	if (session->tls == MYSQL_TLS_OFF)
		return;
	mariadb_get_infov(mysql, MARIADB_CONNECTION_TLS_VERSION, &tls);
	session->base.tls = psprintf("%s, certificate %s", tls ? tls : "TLS",
								 session->tls == MYSQL_TLS_VERIFY ? "verified" : "not verified");
}
