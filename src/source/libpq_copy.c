/*
 * libpq_copy.c
 *		Rows by COPY in binary form.
 */
#include "postgres.h"

#include "port/pg_bswap.h"

#include "lib/stringinfo.h"

#include "source/libpq.h"

/* "PGCOPY", flags, and the length of what may come in between. */
#define SIGNATURE "PGCOPY\n\377\r\n"
#define SIGNATURE_LEN 11
#define HEADER_LEN (SIGNATURE_LEN + 4 + 4)

static char *copy_statement(const CsPqSession *session, const char *sql);
static bool next_message(CsPqSession *session);
static void end_copy(CsPqSession *session);
static void read_header(CsPqSession *session);
static void read_values(CsPqSession *session);
static int get_int16(CsPqSession *session);
static int32 get_int32(CsPqSession *session);
static void check_left(const CsPqSession *session, int64 len);
static void broken(const char *what) pg_attribute_noreturn();

void
cs_pq_copy_execute(CsSqlSession *base, const char *sql)
{
	CsPqSession *session = (CsPqSession *) base;

	cs_pq_describe(base, sql);
	/* This form of a query takes one statement only, whatever its text. */
	if (!PQsendQueryParams(session->conn, copy_statement(session, sql), 0, NULL, NULL, NULL, NULL,
						   0) ||
		!cs_pq_next_result(session))
		cs_pq_throw_lost(session);
	if (PQresultStatus(session->result) != PGRES_COPY_OUT)
		cs_pq_throw_result(session);
	if (PQbinaryTuples(session->result) != 1 || PQnfields(session->result) != base->ncolumns)
		broken("its COPY has another form");
}

bool
cs_pq_copy_next_row(CsSqlSession *base)
{
	CsPqSession *session = (CsPqSession *) base;
	int nfields;

	while (session->at >= session->message_len)
	{
		if (!next_message(session))
		{
			end_copy(session);
			return false;
		}
		if (!session->header_read)
			read_header(session);
	}
	nfields = get_int16(session);
	if (nfields == -1)
	{
		session->trailer_read = true;
		return next_message(session) ? (broken("rows follow the last one"), false)
									 : (end_copy(session), false);
	}
	if (session->trailer_read || nfields != base->ncolumns)
		broken("a row has another number of columns");
	read_values(session);
	return true;
}

/* What can't travel in binary form is cast to text there; that of all columns is known only by position. */
static char *
copy_statement(const CsPqSession *session, const char *sql)
{
	StringInfoData copy;
	bool plain = true;

	for (int i = 0; i < session->base.ncolumns; i++)
		plain &= !session->reads[i].as_text;
	initStringInfo(&copy);
	appendStringInfoString(&copy, "COPY (");
	if (!plain)
	{
		for (int i = 0; i < session->base.ncolumns; i++)
			appendStringInfo(&copy, "%s c%d%s", i ? "," : "SELECT", i,
							 session->reads[i].as_text ? "::pg_catalog.text" : "");
		appendStringInfoString(&copy, " FROM (");
	}
	/* The newline ends a comment that the query may end with. */
	appendStringInfo(&copy, "%s\n)", sql);
	if (!plain)
	{
		for (int i = 0; i < session->base.ncolumns; i++)
			appendStringInfo(&copy, "%s c%d", i ? "," : " AS source (", i);
		appendStringInfoString(&copy, "))");
	}
	appendStringInfoString(&copy, " TO STDOUT (FORMAT binary)");
	return copy.data;
}

/* false: the server has sent the last one. */
static bool
next_message(CsPqSession *session)
{
	if (session->message)
		PQfreemem(session->message);
	session->message = NULL;
	session->at = 0;
	for (;;)
	{
		session->message_len = PQgetCopyData(session->conn, &session->message, 1);
		if (session->message_len > 0)
		{
			session->base.bytes_read += session->message_len;
			return true;
		}
		if (session->message_len == -1)
			return false;
		if (session->message_len < 0)
			cs_pq_throw_lost(session);
		cs_pq_wait_for_input(session);
	}
}

/* The end is proven by the trailer of the rows and by the server's word that the command is complete. */
static void
end_copy(CsPqSession *session)
{
	if (!cs_pq_next_result(session))
		cs_pq_throw_lost(session);
	if (PQresultStatus(session->result) != PGRES_COMMAND_OK)
		cs_pq_throw_result(session);
	if (!session->trailer_read)
		broken("its rows end without an end");
	cs_pq_end(session);
}

static void
read_header(CsPqSession *session)
{
	int32 extension;

	check_left(session, HEADER_LEN);
	if (memcmp(session->message, SIGNATURE, SIGNATURE_LEN) != 0)
		broken("its COPY is none in binary form");
	session->at = SIGNATURE_LEN;
	if (get_int32(session) != 0)
		broken("its COPY has flags that are not known");
	extension = get_int32(session);
	check_left(session, extension);
	session->at += extension;
	session->header_read = true;
}

static void
read_values(CsPqSession *session)
{
	MemoryContext old;

	MemoryContextReset(session->row);
	old = MemoryContextSwitchTo(session->row);
	session->base.error_code = 0;
	for (int i = 0; i < session->base.ncolumns; i++)
	{
		int32 len = get_int32(session);

		session->base.nulls[i] = len == -1;
		if (len == -1)
			continue;
		check_left(session, len);
		cs_pq_value(session, i, session->message + session->at, len);
		session->at += len;
	}
	MemoryContextSwitchTo(old);
}

static int
get_int16(CsPqSession *session)
{
	uint16 value;

	check_left(session, sizeof(value));
	memcpy(&value, session->message + session->at, sizeof(value));
	session->at += sizeof(value);
	return (int16) pg_ntoh16(value);
}

static int32
get_int32(CsPqSession *session)
{
	uint32 value;

	check_left(session, sizeof(value));
	memcpy(&value, session->message + session->at, sizeof(value));
	session->at += sizeof(value);
	return (int32) pg_ntoh32(value);
}

static void
check_left(const CsPqSession *session, int64 len)
{
	if (unlikely(len < 0 || len > session->message_len - session->at))
		broken("a row is shorter than its values");
}

static void
broken(const char *what)
{
	ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
					errmsg("the server does not speak as expected: %s", what),
					errhint("Is it a PostgreSQL?")));
}
