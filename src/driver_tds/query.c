/*
 * query.c
 *		Statements and their rows.
 *
 * The end of a result is proven by its DONE token, which FreeTDS reports as
 * NO_MORE_ROWS, and by the count of rows in it; a connection that ends before
 * is an error of the library, and so is anything else that it complains of.
 */
#include "postgres.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "driver_tds/tds.h"

/* First byte of a record of encrypted data in TLS. */
#define TLS_APPLICATION_DATA 0x17

/* Around the UTF-16 of a batch: the packet's header and ALL_HEADERS; and the least that TLS adds, a header
 * and a tag. */
#define PACKET_HEADERS (8 + 22)
#define MIN_TLS_OVERHEAD (5 + 16)

static void describe_by_row(TdsSession *session, const char *sql);
static void check_names(const CsSqlSession *session);
static bool send_statement(TdsSession *session, const char *sql);
static void drain(TdsSession *session);
static void wait_for_answer(TdsSession *session);
static void check_encryption(TdsSession *session, int64 sent_before, int length);
static int64 bytes_sent(int fd);
static bool next_result(TdsSession *session);
static void set_columns(TdsSession *session);
static void set_column(TdsSession *session, int i);
static void end_result(TdsSession *session);
static void decode_row(TdsSession *session);
static void bad_value(TdsSession *session, int column, int code, const char *why);
static void blame_replacement(TdsSession *session);

void
tds_describe(CsSqlSession *base, const char *sql)
{
	TdsSession *session = (TdsSession *) base;
	StringInfoData batch;

	session->describing = true;
	if (strncmp(base->server, "Babelfish", strlen("Babelfish")) == 0)
		describe_by_row(session, sql);
	else if (!tds_describe_by_procedure(session, sql))
	{
		/* What the procedure cannot analyze, the server can at least begin. */
		initStringInfo(&batch);
		appendStringInfo(&batch, "SET FMTONLY ON;\n%s\n;SET FMTONLY OFF", sql);
		tds_command(session, batch.data);
	}
	session->describing = false;
	check_names(base);
}

/*
 * Babelfish's procedure makes a view of the statement, which a reader may not, and DECLARE ends the server;
 * its FMTONLY runs the statement, or makes another one of it.  So it is run for a row, and undone.
 */
static void
describe_by_row(TdsSession *session, const char *sql)
{
	CsSqlSession *base = &session->base;
	int ncolumns;
	CsColumn *columns;

	tds_command(session, "SET ROWCOUNT 1; BEGIN TRANSACTION");
	tds_command(session, sql);
	ncolumns = base->ncolumns;
	columns = base->columns;
	tds_command(session, "IF @@TRANCOUNT > 0 ROLLBACK; SET ROWCOUNT 0");
	base->ncolumns = ncolumns;
	base->columns = columns;
}

static void
check_names(const CsSqlSession *session)
{
	for (int i = 0; i < session->ncolumns; i++)
		if (session->columns[i].name[0] == '\0')
			ereport(ERROR, (errcode(ERRCODE_INVALID_COLUMN_DEFINITION),
							errmsg("column %d of the query has no name", i + 1),
							errhint("Name it: SELECT ... AS name.")));
}

void
tds_execute(CsSqlSession *base, const char *sql)
{
	tds_run((TdsSession *) base, sql);
}

/* Runs it up to its first result with columns, and sets them; without one there are none. */
void
tds_run(TdsSession *session, const char *sql)
{
	session->base.ncolumns = 0;
	if (!send_statement(session, sql))
		tds_throw(session, "could not run the query");
	if (next_result(session))
		set_columns(session);
}

/* The same, but false if the server refuses it with that error or one from first to last. */
bool
tds_try(TdsSession *session, const char *sql, int number, int first, int last)
{
	int refused;

	session->base.ncolumns = 0;
	if (send_statement(session, sql))
	{
		if (next_result(session))
			set_columns(session);
		return true;
	}
	refused = session->server.number;
	if (refused != number && (refused < first || refused > last))
		tds_throw(session, "could not run the query");
	drain(session);
	return false;
}

/* A statement that brings nothing. */
void
tds_command(TdsSession *session, const char *sql)
{
	tds_run(session, sql);
	while (tds_next_row(&session->base))
		;
}

bool
tds_next_row(CsSqlSession *base)
{
	TdsSession *session = (TdsSession *) base;
	int result;

	if (!session->pending)
		return false;
	MemoryContextReset(session->row);
	tds_enter(session);
	result = dbnextrow(session->process);
	tds_leave(session);
	tds_check(session);
	if (result == NO_MORE_ROWS)
	{
		end_result(session);
		return false;
	}
	if (result != REG_ROW)
		tds_throw(session, "could not read a row");
	session->rows++;
	decode_row(session);
	return true;
}

static bool
send_statement(TdsSession *session, const char *sql)
{
	char *text = tds_to_utf8(sql);
	int64 sent_before = bytes_sent(dbiordesc(session->process));
	bool sent;

	Assert(!session->pending);
	tds_enter(session);
	dbfreebuf(session->process);
	sent = dbcmd(session->process, text) == SUCCEED && dbsqlsend(session->process) == SUCCEED;
	tds_leave(session);
	if (!sent)
		return false;
	session->pending = true;
	session->rows = 0;
	wait_for_answer(session);
	if (session->tls != TDS_TLS_OFF && session->deadline != 0)
		check_encryption(session, sent_before, (int) strlen(text));
	tds_enter(session);
	sent = dbsqlok(session->process) == SUCCEED;
	tds_leave(session);
	return sent;
}

/* What is left of the answer to a statement that was refused. */
static void
drain(TdsSession *session)
{
	int result;

	do
	{
		CHECK_FOR_INTERRUPTS();
		tds_enter(session);
		result = dbresults(session->process);
		tds_leave(session);
		if (dbdead(session->process))
			tds_throw(session, "could not run the query");
	} while (result != NO_MORE_RESULTS);
	session->pending = false;
}

/* Where most of the time goes: here, so that the library need not be left by force. */
static void
wait_for_answer(TdsSession *session)
{
	int limit = session->login->stall_timeout_s;
	TimestampTz deadline = session->deadline;

	if (deadline == 0)
		deadline = limit == 0 ? PG_INT64_MAX : cs_clock_steady() + (int64) limit * USECS_PER_SEC;
	if (session->login->late_at != 0)
		deadline = Min(deadline, session->login->late_at);
	tds_wait(dbiordesc(session->process), WL_SOCKET_READABLE, deadline);
	if (cs_clock_steady() < deadline)
		return;
	session->late = deadline == session->login->late_at;
	session->stalled = true;
	session->server.number = 0;
	tds_throw(session, "");
}

/*
 * FreeTDS ends the encryption behind the login when the server says so, and nothing proves that it was the
 * server who did; what we wanted was a connection that is encrypted as a whole.  The answer must look like TLS,
 * and what was sent must have been larger than the statement is: the system counts it.
 */
static void
check_encryption(TdsSession *session, int64 sent_before, int length)
{
	int fd = dbiordesc(session->process);
	int64 sent = bytes_sent(fd) - sent_before;
	unsigned char first;
	bool in_clear = recv(fd, &first, 1, MSG_PEEK) == 1 && first != TLS_APPLICATION_DATA;

	if (sent_before > 0 && sent < PACKET_HEADERS + 2 * length + MIN_TLS_OVERHEAD)
		in_clear = true;
	if (in_clear)
		ereport(ERROR, (errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
						errmsg("the server encrypts nothing but the login"),
						errhint("Set it to encrypt connections as a whole.")));
}

/* On a connection, without what was sent twice; 0: the system does not tell. */
static int64
bytes_sent(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	memset(&info, 0, sizeof(info));
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0 ||
		len < offsetof(struct tcp_info, tcpi_bytes_retrans) + sizeof(info.tcpi_bytes_retrans))
		return 0;
	return (int64) (info.tcpi_bytes_sent - info.tcpi_bytes_retrans);
}

/* False: there is none with columns any more, and the server is done. */
static bool
next_result(TdsSession *session)
{
	int result;
	int ncolumns;

	do
	{
		tds_enter(session);
		result = dbresults(session->process);
		ncolumns = result == SUCCEED ? dbnumcols(session->process) : 0;
		tds_leave(session);
		tds_check(session);
		if (result == NO_MORE_RESULTS)
		{
			session->pending = false;
			return false;
		}
		if (result != SUCCEED)
			tds_throw(session, "could not run the query");
	} while (ncolumns == 0);
	return true;
}

static void
set_columns(TdsSession *session)
{
	MemoryContext old = MemoryContextSwitchTo(session->context);
	int n = tds_column_count(session);

	session->base.columns = palloc0(sizeof(CsColumn) * n);
	session->base.values = palloc0(sizeof(Datum) * n);
	session->base.nulls = palloc0(sizeof(bool) * n);
	session->types = palloc0(sizeof(int) * n);
	for (int i = 0; i < n; i++)
		set_column(session, i);
	session->base.ncolumns = n;
	MemoryContextSwitchTo(old);
}

static void
set_column(TdsSession *session, int i)
{
	CsColumn *column = &session->base.columns[i];
	DBCOL info = { .SizeOfStruct = sizeof(info) };
	bool good;
	const char *type_name;

	tds_enter(session);
	good = dbcolinfo(session->process, CI_REGULAR, i + 1, 0, &info) == SUCCEED;
	type_name = good ? dbprtype(info.Type) : NULL;
	tds_leave(session);
	if (!good)
		tds_throw(session, "could not read the columns of the result");
	column->name = tds_from_utf8(info.Name);
	column->not_null = info.Null == 0;
	column->typid = tds_type(info.Type, info.Precision, info.Scale, &column->typmod);
	session->types[i] = info.Type;
	/* text, ntext and xml come as SYBTEXT, and cannot be compared there */
	if (info.Type == SYBCHAR || info.Type == SYBVARCHAR)
		column->collation = DEFAULT_COLLATION_OID;
	/* of an object; of a query, the rows will be refused */
	if (info.Type == TDS_VARIANT && session->describing)
		column->expression = tds_variant_text(column->name);
	else if (info.Type == TDS_VARIANT)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("column \"%s\" of the query has type sql_variant", column->name),
						errhint("Cast it in the query, or read the table as an object.")));
	if (!OidIsValid(column->typid))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("column \"%s\" has a type that is not supported", column->name),
						errdetail("It is %s (%d).", type_name, info.Type),
						errhint("Leave it out, or cast it in a query.")));
}

/* The rows have ended.  Nothing may be left of them, and nothing may come behind. */
static void
end_result(TdsSession *session)
{
	bool counted;
	uint32 count;

	tds_enter(session);
	counted = dbiscount(session->process);
	count = (uint32) dbcount(session->process);
	tds_leave(session);
	/* FOR XML and FOR JSON cut one text into rows, and count what they made it of. */
	if (counted && count != (uint32) session->rows &&
		!(session->base.ncolumns == 1 && (strncmp(session->base.columns[0].name, "XML_", 4) == 0 ||
										  strncmp(session->base.columns[0].name, "JSON_", 5) == 0)))
		ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE), errmsg("rows are missing"),
						errdetail("The server has counted %u rows, and sent " INT64_FORMAT ".",
								  count, session->rows)));
	if (next_result(session))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("the query returns more than one result"),
						errhint("Leave one of its statements that return rows.")));
}

static void
decode_row(TdsSession *session)
{
	CsSqlSession *base = &session->base;
	MemoryContext old = MemoryContextSwitchTo(session->row);

	base->error_code = 0;
	base->error_message = NULL;
	for (int i = 0; i < base->ncolumns; i++)
	{
		/* neither of them waits or calls back */
		const BYTE *data = dbdata(session->process, i + 1);
		int length = dbdatlen(session->process, i + 1);
		int code;
		const char *why;

		base->nulls[i] = data == NULL;
		base->values[i] = (Datum) 0;
		if (data == NULL)
			continue;
		base->bytes_read += length;
		if (!tds_value(session->types[i], data, length, &base->values[i], &code, &why))
			bad_value(session, i, code, why);
	}
	if (session->replaced)
		blame_replacement(session);
	MemoryContextSwitchTo(old);
}

/* The first of a row is told. */
static void
bad_value(TdsSession *session, int column, int code, const char *why)
{
	CsSqlSession *base = &session->base;

	base->nulls[column] = true;
	if (base->error_code != 0)
		return;
	base->error_code = code;
	base->error_column = column;
	base->error_message =
		psprintf("the value of column \"%s\" can't be had: %s", base->columns[column].name, why);
}

/*
 * FreeTDS has put a question mark for characters that are none (half of a pair of UTF-16), in a column that it
 * does not name.
 */
static void
blame_replacement(TdsSession *session)
{
	CsSqlSession *base = &session->base;
	int found = -1;
	int n = 0;

	for (int i = 0; i < base->ncolumns; i++)
		if (!base->nulls[i] && base->columns[i].typid == TEXTOID &&
			memchr(VARDATA_ANY(DatumGetPointer(base->values[i])), '?',
				   VARSIZE_ANY_EXHDR(DatumGetPointer(base->values[i]))) != NULL)
		{
			found = i;
			n++;
		}
	if (n != 1)
		ereport(ERROR, (errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
						errmsg("a value of row " INT64_FORMAT " is no valid text", session->rows),
						errhint("Leave it out, or repair it at the source.")));
	base->error_code = 0;
	bad_value(session, found, ERRCODE_CHARACTER_NOT_IN_REPERTOIRE, "it is no valid text");
}
