/*
 * libpq_rows.c
 *		Rows in text form, one by one.
 */
#include "postgres.h"

#include "source/libpq.h"

static void read_values(CsPqSession *session);

void
cs_pq_rows_execute(CsSqlSession *base, const char *sql)
{
	CsPqSession *session = (CsPqSession *) base;

	cs_pq_describe(base, sql);
	if (!PQsendQueryParams(session->conn, sql, 0, NULL, NULL, NULL, NULL, 0) ||
		!PQsetSingleRowMode(session->conn))
		cs_pq_throw_lost(session);
}

bool
cs_pq_rows_next_row(CsSqlSession *base)
{
	CsPqSession *session = (CsPqSession *) base;

	if (!cs_pq_next_result(session))
		cs_pq_throw_lost(session);
	switch (PQresultStatus(session->result))
	{
		case PGRES_SINGLE_TUPLE:
			read_values(session);
			return true;
		case PGRES_TUPLES_OK: /* without rows: the server's word that there are no more */
			cs_pq_end(session);
			return false;
		case PGRES_FATAL_ERROR:
			cs_pq_throw_result(session);
		default:
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("the source query returns no rows"),
							errhint("It must be one statement that returns rows.")));
	}
}

static void
read_values(CsPqSession *session)
{
	PGresult *result = session->result;
	MemoryContext old;

	if (PQnfields(result) != session->base.ncolumns)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("the server sent a row with another number of columns")));
	MemoryContextReset(session->row);
	old = MemoryContextSwitchTo(session->row);
	session->base.error_code = 0;
	for (int i = 0; i < session->base.ncolumns; i++)
	{
		session->base.nulls[i] = PQgetisnull(result, 0, i);
		if (session->base.nulls[i])
			continue;
		session->base.bytes_read += PQgetlength(result, 0, i);
		cs_pq_text_value(session, i, PQgetvalue(result, 0, i), PQgetlength(result, 0, i));
	}
	MemoryContextSwitchTo(old);
}
