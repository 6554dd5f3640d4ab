/*
 * error.c
 *		Errors of the server and of FreeTDS as errors of PostgreSQL.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/errors.h"
#include "driver_tds/tds.h"

/* What an error number of the server means, and what the user can do. */
typedef struct TdsErrorCode
{
	int number;
	int code;
	const char *hint; /* or NULL */
} TdsErrorCode;

#define LOST ERRCODE_CONNECTION_FAILURE
#define TRY_AGAIN "It passes: run it again."

static const TdsErrorCode error_codes[] = {
	/* statements */
	{ 102, ERRCODE_SYNTAX_ERROR, NULL },
	{ 105, ERRCODE_SYNTAX_ERROR, NULL },
	{ 156, ERRCODE_SYNTAX_ERROR, NULL },
	{ 170, ERRCODE_SYNTAX_ERROR, NULL },
	{ 195, ERRCODE_UNDEFINED_FUNCTION, NULL },
	{ 201, ERRCODE_UNDEFINED_PARAMETER, NULL },
	{ 207, ERRCODE_UNDEFINED_COLUMN, NULL },
	{ 208, ERRCODE_UNDEFINED_TABLE,
	  "Name it with its schema, such as \"dbo.orders\", and check option \"database\" of the "
	  "server." },
	{ 209, ERRCODE_AMBIGUOUS_COLUMN, NULL },
	{ 229, ERRCODE_INSUFFICIENT_PRIVILEGE, "Grant SELECT on it to the user of the user mapping." },
	{ 230, ERRCODE_INSUFFICIENT_PRIVILEGE, "Grant SELECT on it to the user of the user mapping." },
	{ 297, ERRCODE_INSUFFICIENT_PRIVILEGE, NULL },
	{ 300, ERRCODE_INSUFFICIENT_PRIVILEGE, NULL },
	{ 2812, ERRCODE_UNDEFINED_FUNCTION, NULL },
	{ 4104, ERRCODE_UNDEFINED_COLUMN, NULL },
	{ 4121, ERRCODE_UNDEFINED_FUNCTION, NULL },
	/* values */
	{ 220, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, NULL },
	{ 232, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, NULL },
	{ 241, ERRCODE_INVALID_DATETIME_FORMAT, NULL },
	{ 242, ERRCODE_DATETIME_FIELD_OVERFLOW, NULL },
	{ 245, ERRCODE_INVALID_TEXT_REPRESENTATION, NULL },
	{ 248, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, NULL },
	{ 512, ERRCODE_CARDINALITY_VIOLATION, NULL },
	{ 2628, ERRCODE_STRING_DATA_RIGHT_TRUNCATION, NULL },
	{ 8114, ERRCODE_INVALID_TEXT_REPRESENTATION, NULL },
	{ 8115, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, NULL },
	{ 8134, ERRCODE_DIVISION_BY_ZERO, NULL },
	{ 8152, ERRCODE_STRING_DATA_RIGHT_TRUNCATION, NULL },
	{ 8169, ERRCODE_INVALID_TEXT_REPRESENTATION, NULL },
	/* other sessions */
	{ 1205, ERRCODE_T_R_DEADLOCK_DETECTED, TRY_AGAIN },
	{ 1222, ERRCODE_LOCK_NOT_AVAILABLE, TRY_AGAIN },
	{ 3960, ERRCODE_T_R_SERIALIZATION_FAILURE, TRY_AGAIN },
	/* who, and where */
	{ 911, ERRCODE_INVALID_CATALOG_NAME, "Check option \"database\" of the server." },
	{ 916, ERRCODE_INSUFFICIENT_PRIVILEGE, "Create a user for the login in that database." },
	{ 4060, ERRCODE_INVALID_CATALOG_NAME,
	  "Check option \"database\" of the server, and that the login has a user in it." },
	{ 4064, ERRCODE_INVALID_CATALOG_NAME, "Set option \"database\" of the server." },
	{ 18450, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, NULL },
	{ 18452, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	  "Give user and password of a SQL Server login in the user mapping." },
	{ 18456, ERRCODE_INVALID_PASSWORD,
	  "Check user and password of the user mapping, and that the login may connect to the "
	  "database." },
	{ 18470, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, "The login is disabled." },
	{ 18486, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, "The login is locked." },
	{ 18487, ERRCODE_INVALID_PASSWORD, "Change the password of the login." },
	{ 18488, ERRCODE_INVALID_PASSWORD, "Change the password of the login." },
	{ 40532, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	  "Give the user as user@server, with the first part of the host's name." },
	{ 40615, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	  "Allow this machine's address in the firewall of the Azure server." },
	/* a server that is busy, moving or asleep */
	{ 596, LOST, TRY_AGAIN },
	{ 701, ERRCODE_OUT_OF_MEMORY, TRY_AGAIN },
	{ 6005, ERRCODE_ADMIN_SHUTDOWN, TRY_AGAIN },
	{ 10928, ERRCODE_TOO_MANY_CONNECTIONS, TRY_AGAIN },
	{ 10929, ERRCODE_TOO_MANY_CONNECTIONS, TRY_AGAIN },
	{ 40143, LOST, TRY_AGAIN },
	{ 40197, LOST, TRY_AGAIN },
	{ 40501, ERRCODE_TOO_MANY_CONNECTIONS, TRY_AGAIN },
	{ 40540, LOST, TRY_AGAIN },
	{ 40613, LOST, TRY_AGAIN },
	{ 42108, LOST, "Resume the SQL pool, then run it again." },
	{ 42109, LOST, TRY_AGAIN },
	{ 49918, ERRCODE_TOO_MANY_CONNECTIONS, TRY_AGAIN },
	{ 49919, ERRCODE_TOO_MANY_CONNECTIONS, TRY_AGAIN },
	{ 49920, ERRCODE_TOO_MANY_CONNECTIONS, TRY_AGAIN },
};

static void throw_server(TdsSession *session) pg_attribute_noreturn();
static const TdsErrorCode *find_code(int number);
static void throw_library(TdsSession *session, const char *what) pg_attribute_noreturn();

/* After a call that went well: it did only if nobody complained and the connection stands. */
void
tds_check(TdsSession *session)
{
	CHECK_FOR_INTERRUPTS();
	if (session->server.number != 0)
		throw_server(session);
	if (session->stalled || dbdead(session->process) ||
		(session->library.number != 0 && !session->replaced))
		throw_library(session, "could not read from the server");
}

/* After a call that failed. */
void
tds_throw(TdsSession *session, const char *what)
{
	CHECK_FOR_INTERRUPTS();
	if (session->server.number != 0)
		throw_server(session);
	throw_library(session, what);
}

static void
throw_server(TdsSession *session)
{
	const TdsMessage *message = &session->server;
	const TdsErrorCode *found = find_code(message->number);
	char *text = tds_from_utf8(message->text);
	char *procedure = tds_from_utf8(message->procedure);
	int len = (int) strlen(text);

	while (len > 0 && strchr(". \r\n", text[len - 1]))
		text[--len] = '\0';
	/* Of 20 and more the connection does not survive. */
	ereport(ERROR,
			(errcode(found					   ? found->code
					 : session->deadline != 0  ? ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION
					 : message->severity >= 20 ? LOST
					 : message->severity == 14 ? ERRCODE_INSUFFICIENT_PRIVILEGE
					 : message->severity == 15 ? ERRCODE_SYNTAX_ERROR
					 : message->severity < 17  ? CS_ERRCODE_REFUSED
											   : ERRCODE_FDW_ERROR),
			 errmsg("%s", text),
			 errdetail("SQL Server error %d, severity %d, state %d, line %d%s%s.", message->number,
					   message->severity, message->state, message->line,
					   procedure[0] ? ", procedure " : "", procedure),
			 found && found->hint ? errhint("%s", found->hint) : 0));
}

static const TdsErrorCode *
find_code(int number)
{
	for (int i = 0; i < (int) lengthof(error_codes); i++)
		if (error_codes[i].number == number)
			return &error_codes[i];
	return NULL;
}

static void
throw_library(TdsSession *session, const char *what)
{
	bool connecting = session->deadline != 0;
	int code = connecting ? ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION : LOST;

	if (session->elsewhere[0] != '\0')
		ereport(ERROR, (errcode(code), errmsg("the server sends its clients to another host"),
						errdetail("It is %s.", session->elsewhere),
						errhint("Set the connection policy of the Azure server to Proxy, or option "
								"\"host\" to where it sends its clients.")));
	if (session->stalled && connecting)
		ereport(
			ERROR,
			(errcode(code),
			 errmsg("could not connect to host \"%s\" port %d", session->login->host,
					session->login->port),
			 errdetail("There was no answer within %d seconds.", session->login->connect_timeout_s),
			 errhint("Check options \"host\" and \"port\", and the firewalls between.")));
	if (session->late)
		session->login->throw_late(session->login);
	if (session->stalled)
		ereport(ERROR, (errcode(code), errmsg("the server sends nothing any more"),
						errdetail("There was not a byte from it for %d seconds.",
								  session->login->stall_timeout_s),
						errhint("Option \"stall_timeout\" of the server says how long to wait.")));
	ereport(
		ERROR,
		(errcode(code), errmsg("%s", what),
		 session->library.number == 0
			 ? errdetail("The connection was closed.")
			 : errdetail("FreeTDS says: %s%s%s (error %d).", session->library.text,
						 session->os_error ? ": " : "",
						 session->os_error ? strerror(session->os_error) : "",
						 session->library.number),
		 connecting && session->tls == TDS_TLS_VERIFY && session->library.number == SYBEFCON
			 ? errhint("If its name stands for several machines, give them the same certificate, "
					   "or name one of them in option \"host\".")
			 : 0));
}
