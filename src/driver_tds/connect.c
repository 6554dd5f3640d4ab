/*
 * connect.c
 *		Connecting by FreeTDS, and closing.
 *
 * FreeTDS takes most of what matters (encryption, certificates, the address)
 * from a configuration file alone, and much from the environment.  So it gets a
 * file of ours, in memory, in which nothing is left to a default, and none of
 * its variables: TDSDUMP would write passwords into a file, TDSHOST would lead
 * to another server.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "port/pg_bswap.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "driver_tds/tds.h"

/* A certificate may change between two connections where a name stands for several machines. */
#define MAX_ATTEMPTS 3

/* Files in memory; closed by the callback of their context. */
typedef struct TdsFiles
{
	int configuration;
	int certificate; /* -1: none */
	MemoryContextCallback close;
} TdsFiles;

static TdsSession *create_session(CsSqlLogin *login);
static TdsTls tls_mode(CsSqlLogin *login);
static void check_login(const CsSqlLogin *login);
static void close_session(void *arg);
static void leave_environment(void);
static bool open_connection(TdsSession *session, const char *certificate);
static TdsFiles *create_files(TdsSession *session, const char *certificate);
static int create_file(const char *content);
static void close_files(void *arg);
static LOGINREC *create_login(TdsSession *session);
static char *login_text(const char *what, const char *value);
static void prepare_session(TdsSession *session);
static char *read_version(TdsSession *session);

CsSqlSession *
tds_connect(CsSqlLogin *login)
{
	TdsSession *session = create_session(login);
	char *tls;

	login->step = CS_SQL_CONNECT;
	check_login(login);
	for (int attempt = 1;; attempt++)
	{
		char *certificate = tds_handshake(session, &tls);

		session->base.tls = tls;
		if (open_connection(session, certificate))
			break;
		/* Nobody has said why: FreeTDS saw another certificate. */
		if (certificate == NULL || attempt == MAX_ATTEMPTS || session->server.number != 0 ||
			session->stalled || session->library.number != SYBEFCON)
			tds_throw(session, "could not log in to the server");
	}
	if (tds_is_elsewhere(session, dbiordesc(session->process)))
		tds_throw(session, "");
	prepare_session(session);
	session->deadline = 0;
	return &session->base;
}

static TdsSession *
create_session(CsSqlLogin *login)
{
	static bool initialized = false;
	TdsSession *session = palloc0(sizeof(TdsSession));

	leave_environment();
	if (!initialized && dbinit() == FAIL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("could not initialize FreeTDS")));
	initialized = true;
	session->base.driver = cs_sql_driver_get();
	session->login = login;
	session->tls = tls_mode(login);
	session->context = CurrentMemoryContext;
	session->row =
		AllocSetContextCreate(CurrentMemoryContext, "censync tds row", ALLOCSET_DEFAULT_SIZES);
	session->deadline = cs_clock_steady() + (int64) login->connect_timeout_s * USECS_PER_SEC;
	session->close.func = close_session;
	session->close.arg = session;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &session->close);
	return session;
}

static TdsTls
tls_mode(CsSqlLogin *login)
{
	const char *tls = login->option(login->options, "tls");

	if (tls == NULL || strcmp(tls, "verify") == 0)
		return TDS_TLS_VERIFY;
	return strcmp(tls, "off") == 0 ? TDS_TLS_OFF : TDS_TLS_REQUIRE;
}

/* The name of the host goes into a file with a syntax of its own; without a user, FreeTDS would take the
 * Kerberos ticket of this server. */
static void
check_login(const CsSqlLogin *login)
{
	if (login->address == NULL ||
		strspn(login->host, "abcdefghijklmnopqrstuvwxyz0123456789"
							"ABCDEFGHIJKLMNOPQRSTUVWXYZ-._:") != strlen(login->host))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not the name of a host that a SQL Server can have", login->host),
				 errhint("Set option \"host\" of the server to a name or an address; an "
						 "instance has a port of its own, option \"port\".")));
	if (login->user == NULL || login->user[0] == '\0' || login->password == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
						errmsg("the user mapping has no user and password"),
						errhint("CREATE USER MAPPING ... OPTIONS (user '...', password '...'): a "
								"login of SQL Server itself, or of Azure SQL.")));
}

/* The server is told to stop what it is doing, and not waited for.  Throws nothing. */
static void
close_session(void *arg)
{
	TdsSession *session = arg;

	if (session->process)
	{
		session->closing = true;
		if (session->pending && !dbdead(session->process))
		{
			(void) shutdown(dbiordesc(session->process), SHUT_RD);
			tds_enter(session);
			(void) dbcancel(session->process);
			tds_leave(session);
		}
		tds_enter(session);
		dbclose(session->process);
		session->process = NULL;
		tds_leave(session);
	}
	if (session->has_fd)
		ReleaseExternalFD();
	session->has_fd = false;
}

static void
leave_environment(void)
{
	static const char *const names[] = { "TDSDUMP", "TDSDUMPCONFIG", "TDSVER",		"TDSHOST",
										 "TDSPORT", "TDSQUERY",		 "DSQUERY",		"FREETDSCONF",
										 "FREETDS", "SYBASE",		 "ASA_DATABASE" };

	for (int i = 0; i < (int) lengthof(names); i++)
		unsetenv(names[i]);
}

/* False: the server or the library has said why, in the session. */
static bool
open_connection(TdsSession *session, const char *certificate)
{
	CsSqlLogin *login = session->login;
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "censync tds login", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	TdsFiles *files = create_files(session, certificate);
	char *file = psprintf("/proc/self/fd/%d", files->configuration);
	LOGINREC *record;

	if (!session->has_fd && !(session->has_fd = AcquireExternalFD()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES), errmsg("could not create a socket: %m"),
				 errhint("There are too many open files already.")));
	login->step = CS_SQL_AUTHENTICATE;
	record = create_login(session);
	tds_enter(session);
	dbsetifile(file);
	/* It asks on_timeout once a second, which knows the deadline. */
	dbsetlogintime(1);
	session->process = dbopen(record, login->host);
	dbsetlogintime(-1);
	dbsetifile("");
	dbloginfree(record);
	tds_leave(session);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return session->process != NULL;
}

/* In CurrentMemoryContext. */
static TdsFiles *
create_files(TdsSession *session, const char *certificate)
{
	CsSqlLogin *login = session->login;
	TdsFiles *files = palloc(sizeof(TdsFiles));
	StringInfoData text;

	files->configuration = -1;
	files->certificate = -1;
	files->close.func = close_files;
	files->close.arg = files;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &files->close);
	initStringInfo(&text);
	appendStringInfo(&text,
					 "[%s]\nhost = %s\nport = %d\ntds version = 7.4\nclient charset = UTF-8\n"
					 "encryption = %s\ncheck certificate hostname = no\n",
					 login->host, login->address, login->port,
					 session->tls == TDS_TLS_OFF ? "off" : "require");
	if (certificate)
	{
		files->certificate = create_file(certificate);
		appendStringInfo(&text, "ca file = /proc/self/fd/%d\n", files->certificate);
	}
	files->configuration = create_file(text.data);
	return files;
}

static int
create_file(const char *content)
{
	int fd = memfd_create("censync", MFD_CLOEXEC);
	ssize_t length = (ssize_t) strlen(content);

	if (fd < 0 || write(fd, content, length) != length)
	{
		int error = errno;

		if (fd >= 0)
			close(fd);
		errno = error;
		ereport(ERROR,
				(errcode_for_file_access(), errmsg("could not create a file in memory: %m")));
	}
	return fd;
}

static void
close_files(void *arg)
{
	TdsFiles *files = arg;

	if (files->configuration >= 0)
		close(files->configuration);
	if (files->certificate >= 0)
		close(files->certificate);
}

static LOGINREC *
create_login(TdsSession *session)
{
	CsSqlLogin *login = session->login;
	const char *read_only = login->option(login->options, "read_only_intent");
	char *user = login_text("user", login->user);
	char *password = login_text("password", login->password);
	char *database = login->database ? login_text("database", login->database) : NULL;
	bool readonly = false;
	LOGINREC *record;

	if (read_only)
		(void) parse_bool(read_only, &readonly);
	tds_enter(session);
	record = dblogin();
	if (record && !(dbsetlname(record, user, DBSETUSER) == SUCCEED &&
					dbsetlname(record, password, DBSETPWD) == SUCCEED &&
					dbsetlname(record, database, DBSETDBNAME) == SUCCEED &&
					dbsetlname(record, "censync", DBSETAPP) == SUCCEED &&
					dbsetlname(record, "UTF-8", DBSETCHARSET) == SUCCEED &&
					dbsetlname(record, "us_english", DBSETNATLANG) == SUCCEED &&
					dbsetlversion(record, DBVERSION_74) == SUCCEED &&
					dbsetlbool(record, readonly, DBSETREADONLY) == SUCCEED))
	{
		dbloginfree(record);
		record = NULL;
	}
	tds_leave(session);
	if (record == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	return record;
}

/* In UTF-8, and as long as SQL Server and FreeTDS take it. */
static char *
login_text(const char *what, const char *value)
{
	char *text = tds_to_utf8(value);

	if (strlen(text) > 128)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"%s\" is longer than 128 bytes", what)));
	return text;
}

/*
 * The server may have sent FreeTDS elsewhere ([MS-TDS] 2.2.7.9, routing), which goes there without asking.
 * Who may be connected to is decided by censync.allowed_hosts, not by a server.
 */
bool
tds_is_elsewhere(TdsSession *session, int fd)
{
	CsSqlLogin *login = session->login;
	union
	{
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} peer;
	socklen_t len = sizeof(peer);
	char text[INET6_ADDRSTRLEN] = "";
	int port;

	memset(&peer, 0, sizeof(peer));
	if (fd < 0 || getpeername(fd, &peer.any, &len) != 0)
		return false;
	if (peer.any.sa_family == AF_INET6)
		(void) inet_ntop(AF_INET6, &peer.v6.sin6_addr, text, sizeof(text));
	else
		(void) inet_ntop(AF_INET, &peer.v4.sin_addr, text, sizeof(text));
	port = pg_ntoh16(peer.any.sa_family == AF_INET6 ? peer.v6.sin6_port : peer.v4.sin_port);
	if (port == login->port && strcmp(text, login->address) == 0)
		return false;
	snprintf(session->elsewhere, sizeof(session->elsewhere), "%s port %d", text, port);
	return true;
}

/* DB-Library's own defaults are not those of any other client: texts end after 4096 bytes, and queries that
 * use what came after 1992 fail. */
static void
prepare_session(TdsSession *session)
{
	char seconds[16];

	snprintf(seconds, sizeof(seconds), "%d", session->login->stall_timeout_s);
	tds_command(session, "SET TEXTSIZE 2147483647");
	tds_command(session, "SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET ANSI_PADDING ON; "
						 "SET ANSI_WARNINGS ON; SET CONCAT_NULL_YIELDS_NULL ON");
	session->base.server = read_version(session);
	if (session->login->stall_timeout_s > 0)
	{
		tds_enter(session);
		(void) dbsetopt(session->process, DBSETTIME, seconds, -1);
		tds_leave(session);
	}
}

/* "Microsoft SQL Server 2019 (RTM-CU22) ...": up to the parenthesis. */
static char *
read_version(TdsSession *session)
{
	char *version = pstrdup("SQL Server");

	tds_execute(&session->base, "SELECT @@VERSION");
	while (tds_next_row(&session->base))
		if (session->base.ncolumns == 1 && session->base.columns[0].typid == TEXTOID &&
			!session->base.nulls[0])
			version =
				MemoryContextStrdup(session->context, TextDatumGetCString(session->base.values[0]));
	version[strcspn(version, "\r\n(")] = '\0';
	while (version[0] != '\0' && strchr(" -", version[strlen(version) - 1]))
		version[strlen(version) - 1] = '\0';
	return version;
}
