/*
 * libpq_error.c
 *		Errors of a server, and of the way to it, as errors of this one.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "base/errors.h"
#include "source/libpq.h"

static int code_here(const char *state);
static const char *hint_for(int code);
static char *first_line(const char *text);
static char *the_rest(const char *text);
static const char *find_state(const char *message, const char **text);
static const char *hint_for_step(const CsPqSession *session);

/* The error that session->result is. */
void
cs_pq_throw_result(CsPqSession *session)
{
	const PGresult *result = session->result;
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
	const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
	const char *said = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
	StringInfoData detail;
	int code;

	if (state == NULL || PQstatus(session->conn) == CONNECTION_BAD)
		session->failed = true;
	if (state == NULL)
		cs_pq_throw_lost(session);
	code = code_here(state);
	initStringInfo(&detail);
	if (said)
		appendStringInfoString(&detail, cs_pq_clean(said));
	if (context)
		appendStringInfo(&detail, "%s%s", detail.len ? "\n" : "", cs_pq_clean(context));
	if (strcmp(state, unpack_sql_state(code)) != 0)
		appendStringInfo(&detail, "%sThe SQLSTATE there was %s.", detail.len ? "\n" : "",
						 cs_pq_clean(state));
	if (hint == NULL)
		hint = hint_for(code);
	session->failed = true;
	ereport(ERROR, (errcode(code),
					errmsg_internal("%s", cs_pq_clean(message ? message : "error of the server")),
					detail.len ? errdetail_internal("%s", detail.data) : 0,
					hint ? errhint("%s", cs_pq_clean(hint)) : 0));
}

void
cs_pq_throw_lost(CsPqSession *session)
{
	session->failed = true;
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("the connection to server \"%s\" was lost", session->login->host),
			 errdetail_internal("%s", first_line(cs_pq_clean(PQerrorMessage(session->conn)))),
			 errhint("Nothing was changed. The log of the server there may say why.")));
}

/* With verbose messages, so that the SQLSTATE of a server that refuses stands in them. */
void
cs_pq_throw_connect(CsPqSession *session)
{
	const char *message = cs_pq_clean(PQerrorMessage(session->conn));
	const char *text = message;
	const char *state = find_state(message, &text);
	int code = state ? code_here(state) : ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION;
	char *rest = the_rest(text);

	session->failed = true;
	if (PQconnectionNeedsPassword(session->conn) && state == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PASSWORD),
						errmsg("server \"%s\" wants a password", session->login->host),
						errhint("ALTER USER MAPPING ... SERVER ... OPTIONS (ADD password '...')")));
	if (ERRCODE_TO_CATEGORY(code) == ERRCODE_CONNECTION_EXCEPTION)
		ereport(ERROR, (errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
						errmsg("could not connect to server \"%s\"", session->login->host),
						errdetail_internal("%s%s%s", first_line(message), rest ? "\n" : "",
										   rest ? rest : ""),
						errhint("%s", hint_for_step(session))));
	ereport(ERROR,
			(errcode(code), errmsg_internal("%s", first_line(text)),
			 rest ? errdetail_internal("%s", rest) : 0, errhint("%s", hint_for_step(session))));
}

/* Before it is connected, a server speaks in an encoding of its own. */
char *
cs_pq_clean(const char *text)
{
	char *copy = pstrdup(text);

	if (!pg_verify_mbstr(GetDatabaseEncoding(), copy, (int) strlen(copy), true))
		for (char *c = copy; *c; c++)
			if (IS_HIGHBIT_SET(*c))
				*c = '?';
	return copy;
}

static int
code_here(const char *state)
{
	if (strlen(state) != 5 || strncmp(state, "00", 2) == 0)
		return ERRCODE_FDW_ERROR;
	return cs_error_of_source(MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4]));
}

static const char *
hint_for(int code)
{
	switch (code)
	{
		case ERRCODE_SYNTAX_ERROR:
			return "The query must be one SELECT in the SQL of that server.";
		case ERRCODE_UNDEFINED_TABLE:
			return "It may have been dropped or renamed, or is not in the search_path of the user "
				   "there.";
		case ERRCODE_UNDEFINED_COLUMN:
			return "The source may have changed: import its foreign table again, or change the "
				   "query.";
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
			return "GRANT SELECT on it to the user there.";
		case ERRCODE_FDW_ERROR:
			return "It was canceled there, by a timeout or by somebody.";
		case ERRCODE_READ_ONLY_SQL_TRANSACTION:
			return "A source is only read.";
		case ERRCODE_CONNECTION_FAILURE:
			return "Run it again when the server is back.";
		default:
			return NULL;
	}
}

static char *
first_line(const char *text)
{
	size_t len;

	text += strspn(text, " \n");
	len = strcspn(text, "\n");
	return len > 0 ? pnstrdup(text, len) : pstrdup("Nobody says why.");
}

/* Behind the first line, without the names of functions; NULL: nothing. */
static char *
the_rest(const char *text)
{
	StringInfoData rest;

	initStringInfo(&rest);
	text = strchr(text, '\n');
	while (text)
	{
		size_t len = strcspn(++text, "\n");

		if (len > 0 && strncmp(text, "LOCATION:", strlen("LOCATION:")) != 0)
		{
			if (rest.len > 0)
				appendStringInfoChar(&rest, '\n');
			appendBinaryStringInfo(&rest, text, (int) len);
		}
		text = strchr(text, '\n');
	}
	return rest.len ? rest.data : NULL;
}

/* "FATAL:  28P01: password ...": the five characters; *text is behind them.  NULL: there are none. */
static const char *
find_state(const char *message, const char **text)
{
	for (const char *at = strstr(message, ":  "); at; at = strstr(at + 1, ":  "))
		if (strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 &&
			strncmp(at + 8, ": ", 2) == 0)
		{
			*text = at + 10;
			return pnstrdup(at + 3, 5);
		}
	return NULL;
}

static const char *
hint_for_step(const CsPqSession *session)
{
	switch (session->login->step)
	{
		case CS_SQL_TLS:
			return "Check sslmode and sslrootcert of the server, and whether it has TLS at all.";
		case CS_SQL_AUTHENTICATE:
			return "Check user and password of the user mapping, and database of the server.";
		default:
			return "Check host and port of the server, and whether a firewall is in the way.";
	}
}
