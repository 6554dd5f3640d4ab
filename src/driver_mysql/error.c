/*
 * error.c
 *		Errors of the source and of the library, as PostgreSQL's.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/compat.h"
#include "driver_mysql/mysql_session.h"

#include <errmsg.h>
#include <mysqld_error.h>

/* Of later servers, and of MySQL only. */
#define NUMBER_CREDENTIALS_REQUIRED 1862
#define NUMBER_STATEMENT_TIMEOUT 1969
#define NUMBER_QUERY_TIMEOUT 3024
#define NUMBER_ACCOUNT_LOCKED 3118
#define NUMBER_ACCOUNT_LOCKED_MARIADB 4151
#define NUMBER_TLS_REQUIRED 3159

/* What a number of the source means here, and what to do about it. */
typedef struct Meaning
{
	unsigned int number;
	int code;
	const char *hint;
} Meaning;

static const Meaning meanings[] = {
	{ ER_ACCESS_DENIED_ERROR, ERRCODE_INVALID_PASSWORD,
	  "Check user and password of the user mapping, and from which hosts the source lets that user "
	  "in." },
	{ 1698 /* access denied without a password */, ERRCODE_INVALID_PASSWORD,
	  "The source has that user log in in another way: give it a password there." },
	{ NUMBER_CREDENTIALS_REQUIRED, ERRCODE_INVALID_PASSWORD,
	  "The password has expired: set a new one at the source." },
	{ 1820 /* must change password */, ERRCODE_INVALID_PASSWORD,
	  "The password has expired: set a new one at the source." },
	{ NUMBER_ACCOUNT_LOCKED, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	  "ALTER USER ... ACCOUNT UNLOCK, at the source." },
	{ NUMBER_ACCOUNT_LOCKED_MARIADB, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	  "ALTER USER ... ACCOUNT UNLOCK, at the source." },
	{ NUMBER_TLS_REQUIRED, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
	  "Option \"tls\" of the server is 'off': leave it out." },
	{ 1251 /* old protocol */, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, NULL },
	{ CR_AUTH_PLUGIN_CANNOT_LOAD, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	  "The source wants a way to log in that its client library has no plugin for." },
	{ CR_SECURE_AUTH, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	  "Give the user a password of the present kind at the source." },
	{ CR_PLUGIN_NOT_ALLOWED, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	  "The source wants a way to log in that is not safe on this connection: a password in the "
	  "clear "
	  "needs tls 'verify', the kind of before MySQL 4.1 is refused." },
	{ ER_DBACCESS_DENIED_ERROR, ERRCODE_INSUFFICIENT_PRIVILEGE,
	  "GRANT SELECT ON that database to the user, at the source." },
	{ ER_TABLEACCESS_DENIED_ERROR, ERRCODE_INSUFFICIENT_PRIVILEGE,
	  "GRANT SELECT to the user, at the source." },
	{ ER_COLUMNACCESS_DENIED_ERROR, ERRCODE_INSUFFICIENT_PRIVILEGE,
	  "GRANT SELECT to the user, at the source." },
	{ ER_SPECIFIC_ACCESS_DENIED_ERROR, ERRCODE_INSUFFICIENT_PRIVILEGE, NULL },
	{ ER_BAD_DB_ERROR, ERRCODE_INVALID_CATALOG_NAME, "Check option \"database\" of the server." },
	{ ER_NO_DB_ERROR, ERRCODE_INVALID_CATALOG_NAME,
	  "Set option \"database\" of the server, or name tables with their database." },
	{ ER_PARSE_ERROR, ERRCODE_SYNTAX_ERROR,
	  "The query is sent as it is, in the source's own SQL." },
	{ ER_EMPTY_QUERY, ERRCODE_SYNTAX_ERROR, NULL },
	{ ER_NO_SUCH_TABLE, ERRCODE_UNDEFINED_TABLE, "It may have been dropped or renamed." },
	{ ER_BAD_TABLE_ERROR, ERRCODE_UNDEFINED_TABLE, NULL },
	{ ER_UNKNOWN_TABLE, ERRCODE_UNDEFINED_TABLE, NULL },
	{ ER_BAD_FIELD_ERROR, ERRCODE_UNDEFINED_COLUMN,
	  "The source may have changed: import its foreign table again." },
	{ ER_NON_UNIQ_ERROR, ERRCODE_AMBIGUOUS_COLUMN, NULL },
	{ ER_DUP_FIELDNAME, ERRCODE_DUPLICATE_COLUMN,
	  "Give the columns of the query names of their own." },
	{ ER_SP_DOES_NOT_EXIST, ERRCODE_UNDEFINED_FUNCTION, NULL },
	{ ER_SUBQUERY_NO_1_ROW, ERRCODE_CARDINALITY_VIOLATION, NULL },
	{ ER_VIEW_INVALID, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, NULL },
	{ ER_UNSUPPORTED_PS, ERRCODE_FEATURE_NOT_SUPPORTED,
	  "A source query is one SELECT, WITH, TABLE or VALUES statement." },
	{ ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION, ERRCODE_READ_ONLY_SQL_TRANSACTION,
	  "A source is only read." },
	{ ER_TABLE_DEF_CHANGED, ERRCODE_T_R_SERIALIZATION_FAILURE,
	  "The table was altered after the read began: run it again." },
	{ CR_NEW_STMT_METADATA, ERRCODE_T_R_SERIALIZATION_FAILURE,
	  "The table was altered after the read began: run it again." },
	{ ER_LOCK_WAIT_TIMEOUT, ERRCODE_LOCK_NOT_AVAILABLE, "Run it again." },
	{ ER_LOCK_DEADLOCK, ERRCODE_T_R_DEADLOCK_DETECTED, "Run it again." },
	{ ER_QUERY_INTERRUPTED, ERRCODE_OPERATOR_INTERVENTION,
	  "Somebody ended the statement at the source." },
	{ NUMBER_STATEMENT_TIMEOUT, ERRCODE_OPERATOR_INTERVENTION,
	  "A limit of the source, max_statement_time, ended the statement." },
	{ NUMBER_QUERY_TIMEOUT, ERRCODE_OPERATOR_INTERVENTION,
	  "A limit of the source, max_execution_time, ended the statement." },
	{ ER_SERVER_SHUTDOWN, ERRCODE_CONNECTION_FAILURE, "Run it again when the source is back." },
	{ ER_CONNECTION_KILLED, ERRCODE_CONNECTION_FAILURE,
	  "Somebody ended the connection at the source." },
	{ CR_SERVER_GONE_ERROR, ERRCODE_CONNECTION_FAILURE, "Run it again when the source is back." },
	{ CR_SERVER_LOST, ERRCODE_CONNECTION_FAILURE, "Run it again when the source is back." },
	{ CR_NET_PACKET_TOO_LARGE, ERRCODE_PROGRAM_LIMIT_EXCEEDED, "A row has less than 1 GB." },
	{ CR_MALFORMED_PACKET, ERRCODE_PROTOCOL_VIOLATION, NULL },
	{ CR_OUT_OF_MEMORY, ERRCODE_OUT_OF_MEMORY, NULL },
	{ ER_CON_COUNT_ERROR, ERRCODE_SQLSERVER_REJECTED_ESTABLISHMENT_OF_SQLCONNECTION,
	  "The source has as many connections as it takes." },
	{ ER_USER_LIMIT_REACHED, ERRCODE_SQLSERVER_REJECTED_ESTABLISHMENT_OF_SQLCONNECTION,
	  "The user has as many connections as the source gives it." },
	{ ER_TOO_MANY_USER_CONNECTIONS, ERRCODE_SQLSERVER_REJECTED_ESTABLISHMENT_OF_SQLCONNECTION,
	  "The user has as many connections as the source gives it." },
	{ ER_HOST_NOT_PRIVILEGED, ERRCODE_SQLSERVER_REJECTED_ESTABLISHMENT_OF_SQLCONNECTION,
	  "The source lets nobody in from this machine: create the user there for this host." },
	{ ER_HOST_IS_BLOCKED, ERRCODE_SQLSERVER_REJECTED_ESTABLISHMENT_OF_SQLCONNECTION,
	  "FLUSH HOSTS at the source." },
	{ CR_CONNECTION_ERROR, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
	  "Check options \"host\" and \"port\" of the server, and that it is running." },
	{ CR_CONN_HOST_ERROR, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
	  "Check options \"host\" and \"port\" of the server, and that it is running." },
	{ CR_UNKNOWN_HOST, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
	  "Check options \"host\" and \"port\" of the server, and that it is running." },
};

static unsigned int number_of(const MysqlSession *session);
static const Meaning *meaning_of(unsigned int number);
static void throw_connecting(MysqlSession *session) pg_attribute_noreturn();
static void throw_tls(MysqlSession *session) pg_attribute_noreturn();

void
cs_mysql_throw(MysqlSession *session)
{
	unsigned int number = number_of(session);
	const Meaning *meaning = meaning_of(number);

	CHECK_FOR_INTERRUPTS();
	if (session->deadline != 0 && session->login->step < CS_SQL_AUTHENTICATE)
		throw_connecting(session);
	if (number == CR_SERVER_GONE_ERROR || number == CR_SERVER_LOST)
		ereport(
			ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("the connection to \"%s\" was lost", session->login->host),
			 errdetail("%s (number %u).", cs_mysql_message(session), number),
			 errhint("Run it again when the source is back. A server that ends connections on its "
					 "own says why in its log.")));
	ereport(ERROR, (errcode(cs_mysql_sqlstate(number)), errmsg("%s", cs_mysql_message(session)),
					errdetail("Error number %u of the source.", number),
					meaning && meaning->hint ? errhint("%s", meaning->hint) : 0));
}

/* In this database's encoding, and without the blanks and points at its end; in CurrentMemoryContext. */
char *
cs_mysql_message(MysqlSession *session)
{
	const char *text = mysql_error(session->mysql);
	size_t len;

	if (text[0] == '\0' && session->stmt)
		text = mysql_stmt_error(session->stmt);
	len = strlen(text);
	text = cs_mysql_recode(text, &len);
	if (text == NULL || len == 0)
		return pstrdup("the source gives no reason");
	while (len > 1 && (text[len - 1] == '.' || text[len - 1] == ' ' || text[len - 1] == '\n'))
		len--;
	return pnstrdup(text, len);
}

int
cs_mysql_sqlstate(unsigned int number)
{
	const Meaning *meaning = meaning_of(number);

	return meaning ? meaning->code : ERRCODE_FDW_ERROR;
}

static unsigned int
number_of(const MysqlSession *session)
{
	unsigned int number = mysql_errno(session->mysql);

	if (number == 0 && session->stmt)
		number = mysql_stmt_errno(session->stmt);
	return number;
}

static const Meaning *
meaning_of(unsigned int number)
{
	for (int i = 0; i < (int) lengthof(meanings); i++)
		if (meanings[i].number == number)
			return &meanings[i];
	return NULL;
}

/* There is no session yet: whatever it was, it could not be made. */
static void
throw_connecting(MysqlSession *session)
{
	const CsSqlLogin *login = session->login;
	unsigned int number = number_of(session);
	const Meaning *meaning = meaning_of(number);
	int code = meaning ? meaning->code : ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION;

	if (number == CR_SSL_CONNECTION_ERROR || login->step == CS_SQL_TLS)
		throw_tls(session);
	if (code == ERRCODE_CONNECTION_FAILURE)
		code = ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION;
	ereport(ERROR,
			(errcode(code), errmsg("could not connect to \"%s\"", login->host),
			 errdetail("%s (number %u).", cs_mysql_message(session), number),
			 meaning && meaning->hint
				 ? errhint("%s", meaning->hint)
				 : errhint("Check options \"host\" and \"port\" of the server, and that it is "
						   "running.")));
}

static void
throw_tls(MysqlSession *session)
{
	const CsSqlLogin *login = session->login;

	if (session->refused)
		ereport(
			ERROR,
			(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
			 errmsg("could not connect to \"%s\" with TLS", login->host),
			 errdetail("%s", session->refused),
			 errhint("Turn TLS on there. Option \"tls\" of the server, which a superuser may set, "
					 "does without.")));
	ereport(
		ERROR,
		(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
		 errmsg("could not connect to \"%s\" with TLS", login->host),
		 errdetail("%s.", cs_mysql_message(session)),
		 session->tls == MYSQL_TLS_VERIFY
			 ? errhint(
				   "Its certificate must be of an authority in option \"ca_file\" of the server "
				   "(else of the system's), and must name option \"host\".")
			 : 0));
}
