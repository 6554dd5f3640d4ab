/*
 * libpq_connect.c
 *		Connecting by libpq.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"

#include "lib/stringinfo.h"

#include "base/clock.h"
#include "source/libpq.h"

static void check_user(const CsSqlLogin *login);
static void begin(CsPqSession *session);
static void poll_to_the_end(CsPqSession *session, TimestampTz deadline);
static void note_step(CsPqSession *session);
static void throw_late(const CsPqSession *session) pg_attribute_noreturn();
static bool may_go_without_password(const CsSqlLogin *login);
static void check_password_given(const CsSqlLogin *login);
static void check_password_used(CsPqSession *session);
static void describe_connection(CsPqSession *session);
static void swallow(void *arg, const char *message);

CsSqlSession *
cs_pq_connect(CsSqlLogin *login, const CsSqlDriver *driver, const CsPqFlavor *flavor)
{
	CsPqSession *session = palloc0(sizeof(CsPqSession));
	TimestampTz deadline =
		TimestampTzPlusMilliseconds(cs_clock_steady(), login->connect_timeout_s * INT64CONST(1000));

	session->base.driver = driver;
	session->login = login;
	session->flavor = flavor;
	session->row =
		AllocSetContextCreate(CurrentMemoryContext, "censync libpq row", ALLOCSET_DEFAULT_SIZES);
	session->close.func = cs_pq_close;
	session->close.arg = session;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &session->close);
	check_user(login);
	check_password_given(login);
	begin(session);
	poll_to_the_end(session, deadline);
	check_password_used(session);
	describe_connection(session);
	login->step = CS_SQL_QUERY;
	cs_pq_finish(session, PQsendQuery(session->conn, flavor->transaction));
	return &session->base;
}

/* libpq would take the operating system's. */
static void
check_user(const CsSqlLogin *login)
{
	if (login->user == NULL || login->user[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
						errmsg("the user mapping has no option \"user\""),
						errhint("CREATE USER MAPPING ... OPTIONS (user '...', password '...')")));
}

static void
begin(CsPqSession *session)
{
	char *conninfo = cs_pq_conninfo(session->login, &session->verifies_ca);

	session->login->step = CS_SQL_CONNECT;
	if (!AcquireExternalFD())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not connect to server \"%s\": too many files are open",
						session->login->host),
				 errhint("Raise max_files_per_process and the limit of the operating system.")));
	session->holds_fd = true;
	session->conn = PQconnectStart(conninfo);
	if (session->conn == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	PQsetNoticeProcessor(session->conn, swallow, NULL);
	PQsetErrorVerbosity(session->conn, PQERRORS_VERBOSE);
	if (PQstatus(session->conn) == CONNECTION_BAD)
		cs_pq_throw_connect(session);
}

static void
poll_to_the_end(CsPqSession *session, TimestampTz deadline)
{
	PostgresPollingStatusType state = PGRES_POLLING_WRITING;

	while (state != PGRES_POLLING_OK)
	{
		int events = state == PGRES_POLLING_READING ? WL_SOCKET_READABLE : WL_SOCKET_WRITEABLE;

		if (state == PGRES_POLLING_FAILED)
			cs_pq_throw_connect(session);
		if (cs_pq_wait(session->conn, events, deadline) == 0)
			throw_late(session);
		state = PQconnectPoll(session->conn);
		note_step(session);
	}
	PQsetErrorVerbosity(session->conn, PQERRORS_DEFAULT);
	if (PQsetnonblocking(session->conn, 1) != 0)
		cs_pq_throw_connect(session);
}

/* What is under way; a connection that has failed stays at what it failed at. */
static void
note_step(CsPqSession *session)
{
	CsSqlStep *step = &session->login->step;

	switch (PQstatus(session->conn))
	{
		case CONNECTION_BAD:
		case CONNECTION_STARTED:
			break;
		case CONNECTION_SSL_STARTUP:
		case CONNECTION_GSS_STARTUP:
			*step = CS_SQL_TLS;
			break;
		case CONNECTION_MADE:
			if (*step == CS_SQL_CONNECT && session->login->address)
				*step = CS_SQL_TLS;
			else
				*step = CS_SQL_AUTHENTICATE;
			break;
		default:
			*step = CS_SQL_AUTHENTICATE;
			break;
	}
}

static void
throw_late(const CsPqSession *session)
{
	ereport(ERROR, (errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
					errmsg("could not connect to server \"%s\" within %d s", session->login->host,
						   session->login->connect_timeout_s),
					errhint("Check host and port of the server, and whether a firewall is in the "
							"way, or raise connect_timeout.")));
}

static bool
may_go_without_password(const CsSqlLogin *login)
{
	const char *required = login->user_option(login->options, "password_required");

	return superuser_arg(login->options->userid) || (required && !cs_option_bool(required));
}

/* Else a role could be let in as whom the server's own operating system user is. */
static void
check_password_given(const CsSqlLogin *login)
{
	if (!may_go_without_password(login) && (login->password == NULL || login->password[0] == '\0'))
		ereport(ERROR,
				(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
				 errmsg("a password is required"),
				 errdetail("Roles that are no superusers must have one in their user mapping."),
				 errhint("ALTER USER MAPPING ... SERVER ... OPTIONS (ADD password '...'), or a "
						 "superuser sets password_required to false there.")));
}

static void
check_password_used(CsPqSession *session)
{
	if (may_go_without_password(session->login) || PQconnectionUsedPassword(session->conn))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
			 errmsg("a password is required"),
			 errdetail("The server let the user in without asking for one."),
			 errhint("Change its pg_hba.conf, or a superuser sets password_required to false in "
					 "the user mapping.")));
}

static void
describe_connection(CsPqSession *session)
{
	PGconn *conn = session->conn;
	const char *version = PQparameterStatus(conn, "server_version");

	session->base.server = psprintf("%s %s", session->flavor->product,
									version ? cs_pq_clean(version) : "of unknown version");
	if (PQsslInUse(conn))
		session->base.tls = psprintf("%s, certificate %s", PQsslAttribute(conn, "protocol"),
									 session->verifies_ca ? "verified" : "not verified");
}

/* Else libpq would write to the server's log. */
static void
swallow(void *arg pg_attribute_unused(), const char *message pg_attribute_unused())
{
}
