/*
 * statement.c
 *		Statements: prepared, so that their columns are known without running
 *		them and values arrive in binary; and their rows, one by one.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "driver_mysql/mysql_session.h"

#include <errmsg.h>

/* A vector of MySQL 9, which the library does not know. */
#define TYPE_VECTOR ((enum enum_field_types) 242)

static void close_statement(MysqlSession *session);

static void take_value(void *arg, unsigned int position, unsigned char **row);
static bool take_length(unsigned char **at, const unsigned char *end, size_t *len);
static void decode_row(MysqlSession *session);

/* One that returns no rows. */
void
cs_mysql_run(MysqlSession *session, const char *sql)
{
	int failed = 0;

	session->pending = mysql_real_query_start(&failed, session->mysql, sql, strlen(sql));
	while (session->pending)
		session->pending = mysql_real_query_cont(&failed, session->mysql, cs_mysql_wait(session));
	if (failed)
		cs_mysql_throw(session);
}

/* False: the source refuses it; the library has its message. */
bool
cs_mysql_prepare(MysqlSession *session, const char *sql)
{
	const char *encoded = pg_server_to_any(sql, (int) strlen(sql), PG_UTF8);
	void *callback = (void *) take_value;
	int failed = 0;

	close_statement(session);
	session->stmt = mysql_stmt_init(session->mysql);
	if (session->stmt == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	mysql_stmt_attr_set(session->stmt, STMT_ATTR_CB_USER_DATA, session);
	mysql_stmt_attr_set(session->stmt, STMT_ATTR_CB_RESULT, callback);
	session->pending = mysql_stmt_prepare_start(&failed, session->stmt, encoded, strlen(encoded));
	while (session->pending)
		session->pending = mysql_stmt_prepare_cont(&failed, session->stmt, cs_mysql_wait(session));
	if (failed)
		return false;
	if (mysql_stmt_param_count(session->stmt) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR), errmsg("the source query has a placeholder"),
				 errhint("A question mark outside of quotes stands for a value, and there is "
						 "none to put there.")));
	session->prepared = MemoryContextStrdup(session->context, sql);
	return true;
}

void
cs_mysql_describe(CsSqlSession *base, const char *sql)
{
	MysqlSession *session = (MysqlSession *) base;

	if (!cs_mysql_prepare(session, sql))
		cs_mysql_throw(session);
	cs_mysql_set_columns(session);
}

void
cs_mysql_execute(CsSqlSession *base, const char *sql)
{
	MysqlSession *session = (MysqlSession *) base;
	int failed = 0;

	if ((session->prepared == NULL || strcmp(session->prepared, sql) != 0) &&
		!cs_mysql_prepare(session, sql))
		cs_mysql_throw(session);
	session->pending = mysql_stmt_execute_start(&failed, session->stmt);
	while (session->pending)
		session->pending = mysql_stmt_execute_cont(&failed, session->stmt, cs_mysql_wait(session));
	if (failed)
		cs_mysql_throw(session);
	session->reading = true;
	cs_mysql_set_columns(session);
}

/* The library returns MYSQL_NO_DATA once the server's packet that ends the rows is there, and an error
 * for everything else that is no row. */
bool
cs_mysql_next_row(CsSqlSession *base)
{
	MysqlSession *session = (MysqlSession *) base;
	int result = 0;

	session->row_start = session->row_end = NULL;
	session->pending = mysql_stmt_fetch_start(&result, session->stmt);
	while (unlikely(session->pending))
		session->pending = mysql_stmt_fetch_cont(&result, session->stmt, cs_mysql_wait(session));
	if (result == MYSQL_NO_DATA && mysql_errno(session->mysql) == 0)
	{
		session->reading = false;
		return false;
	}
	if (result != 0)
		cs_mysql_throw(session);
	if (session->malformed)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("the source has sent a row that cannot be read")));
	base->bytes_read += session->row_end - session->row_start;
	decode_row(session);
	return true;
}

static void
close_statement(MysqlSession *session)
{
	MYSQL_STMT *stmt = session->stmt;
	my_bool failed = 0;

	if (session->prepared)
		pfree(session->prepared);
	session->prepared = NULL;
	session->stmt = NULL;
	if (stmt == NULL)
		return;
	session->pending = mysql_stmt_close_start(&failed, stmt);
	while (session->pending)
		session->pending = mysql_stmt_close_cont(&failed, stmt, cs_mysql_wait(session));
}

/* A statement is described once or twice: what was there before is left to the session's context. */
void
cs_mysql_set_columns(MysqlSession *session)
{
	CsSqlSession *base = &session->base;
	MYSQL_FIELD *fields = mariadb_stmt_fetch_fields(session->stmt);
	int n = (int) mysql_stmt_field_count(session->stmt);
	MemoryContext old = MemoryContextSwitchTo(session->context);

	base->ncolumns = n;
	base->columns = palloc0(sizeof(CsColumn) * Max(n, 1));
	base->values = palloc0(sizeof(Datum) * Max(n, 1));
	base->nulls = palloc0(sizeof(bool) * Max(n, 1));
	session->decode = palloc0(sizeof(MysqlColumn) * Max(n, 1));
	session->raw = palloc0(sizeof(MysqlValue) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		session->decode[i].position = i;
		/* On the wire it is a string of bytes. */
		if (fields[i].type == TYPE_VECTOR)
			fields[i].type = MYSQL_TYPE_BLOB;
		cs_mysql_column(session, &fields[i], &base->columns[i], &session->decode[i]);
	}
	MemoryContextSwitchTo(old);
}

/* Called by the library, from its coroutine, for each value of a row: only notes where it is. */
static void
take_value(void *arg, unsigned int position, unsigned char **row)
{
	MysqlSession *session = arg;
	MysqlValue *value = &session->raw[position];
	const unsigned char *end = session->mysql->net.buff_end;

	if (row == NULL || session->malformed)
	{
		value->data = NULL;
		return;
	}
	if (session->row_start == NULL)
		session->row_start = *row;
	value->len = session->decode[position].width;
	if ((value->len == 0 && !take_length(row, end, &value->len)) ||
		value->len > (size_t) (end - *row))
	{
		session->malformed = true;
		return;
	}
	value->data = *row;
	*row += value->len;
	session->row_end = *row;
}

static bool
take_length(unsigned char **at, const unsigned char *end, size_t *len)
{
	unsigned char *p = *at;
	int bytes;

	if (p >= end)
		return false;
	bytes = *p < 251 ? 0 : *p == 252 ? 2 : *p == 253 ? 3 : *p == 254 ? 8 : -1;
	if (bytes < 0 || end - p < 1 + bytes)
		return false;
	*len = bytes == 0 ? *p : 0;
	for (int i = bytes; i > 0; i--)
		*len = *len << 8 | p[i];
	*at = p + 1 + bytes;
	return true;
}

static void
decode_row(MysqlSession *session)
{
	CsSqlSession *base = &session->base;
	MemoryContext old;

	MemoryContextReset(session->row_context);
	old = MemoryContextSwitchTo(session->row_context);
	base->error_code = 0;
	for (int i = 0; i < base->ncolumns; i++)
	{
		const MysqlValue *value = &session->raw[i];

		base->nulls[i] = value->data == NULL;
		if (value->data)
			base->values[i] =
				session->decode[i].decode(session, &session->decode[i], value, &base->nulls[i]);
	}
	MemoryContextSwitchTo(old);
}
