/*
 * libpq_describe.c
 *		The columns of a statement, which is prepared and not run.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "source/libpq.h"

/* Within the transaction of the read: what the statement reads can't be altered before it is run. */
void
cs_pq_describe(CsSqlSession *base, const char *sql)
{
	CsPqSession *session = (CsPqSession *) base;
	PGresult *result;

	cs_pq_finish(session, PQsendPrepare(session->conn, "", sql, 0, NULL));
	result = cs_pq_finish(session, PQsendDescribePrepared(session->conn, ""));
	base->ncolumns = PQnfields(result);
	base->columns = palloc0(sizeof(CsColumn) * Max(1, base->ncolumns));
	base->values = palloc0(sizeof(Datum) * Max(1, base->ncolumns));
	base->nulls = palloc0(sizeof(bool) * Max(1, base->ncolumns));
	session->reads = palloc0(sizeof(CsPqColumn) * Max(1, base->ncolumns));
	for (int i = 0; i < base->ncolumns; i++)
	{
		base->columns[i].name = cs_pq_clean(PQfname(result, i));
		session->flavor->set_type(session, &base->columns[i], &session->reads[i],
								  PQftype(result, i), PQfmod(result, i));
	}
}
