/*
 * mysql_session.h
 *		The driver of MySQL and MariaDB: what its files share.
 *
 * The library's calls run in coroutines of their own while they wait (its
 * nonblocking API).  Nothing of the server's that could throw is called from
 * there: waiting, allocating and reporting happen on our own stack.
 */
#ifndef CS_MYSQL_SESSION_H
#define CS_MYSQL_SESSION_H

#include "driver_mysql/mysql_library.h"

#include "utils/timestamp.h"

#include "base/compat.h"
#include "source/sql.h"

typedef enum MysqlTls
{
	MYSQL_TLS_VERIFY,
	MYSQL_TLS_REQUIRE,
	MYSQL_TLS_OFF
} MysqlTls;

struct MysqlColumn;
struct MysqlSession;

/* Where the library left a value of the current row, in its packet; data is NULL for NULL. */
typedef struct MysqlValue
{
	const unsigned char *data;
	size_t len;
} MysqlValue;

/* Decodes a value; *isnull when there is none, or none that can be had here (cs_mysql_refuse). */
typedef Datum (*MysqlDecode)(struct MysqlSession *session, const struct MysqlColumn *column,
							 const MysqlValue *value, bool *isnull);

/* How a column's values arrive; in the session's context, like those of base.columns. */
typedef struct MysqlColumn
{
	int position;
	int width; /* bytes of a value; 0: it says so itself */
	int scale; /* of a decimal */
	int bits;  /* of a bit field */
	MysqlDecode decode;
} MysqlColumn;

typedef struct MysqlSession
{
	CsSqlSession base; /* must be first */
	CsSqlLogin *login; /* the caller's; lives as long */
	MemoryContext context;
	MemoryContext row_context; /* of the values of the current row */
	MemoryContextCallback close;
	MYSQL *mysql;
	bool holds_fd;
	MysqlTls tls;
	const char *refused;  /* by the gate: why, constant */
	TimestampTz deadline; /* of all of connecting; 0: it is done */
	bool is_set_up;		  /* statements of others may run */
	int pending;		  /* events that an unfinished call of the library waits for; 0: none */
	MYSQL_STMT *stmt;
	bool reading;		 /* rows of stmt are still to come */
	char *prepared;		 /* what stmt is of, or NULL */
	MysqlColumn *decode; /* as many as base.ncolumns; so is raw */
	MysqlValue *raw;
	const unsigned char *row_start;
	const unsigned char *row_end;
	bool malformed; /* the current row reached beyond its packet */
	bool zero_dates_null;
	bool tinyint1_boolean;
} MysqlSession;

/* driver.c */
extern PGDLLEXPORT const CsSqlDriver *cs_sql_driver_get(void);

/* connect.c */
extern CsSqlSession *cs_mysql_connect(CsSqlLogin *login);
extern void cs_mysql_set_options(MysqlSession *session);
extern const char *cs_mysql_socket_path(const char *host);
extern void cs_mysql_cut_off(my_socket fd); /* what is said or heard on it then fails at once */

/* kill.c: ends what the session has the source do; throws nothing. */
extern void cs_mysql_kill(const MysqlSession *session);

/* gate.c: stands before authentication, where TLS is proved; throws nothing. */
extern bool cs_mysql_gate_register(MYSQL *mysql);
extern void cs_mysql_gate_enter(MysqlSession *session);
extern int cs_mysql_gate_wait(my_socket fd, my_bool reading, int timeout);
#define CS_MYSQL_GATE "censync_gate"

/* wait.c: waits for what session->pending says, interruptibly; returns what has happened. */
extern int cs_mysql_wait(MysqlSession *session);

/* error.c: throws what the library says of its last call; what: what could not be done, NULL: a statement. */
extern void cs_mysql_throw(MysqlSession *session) pg_attribute_noreturn();
extern char *cs_mysql_message(MysqlSession *session);

/* statement.c */
extern void cs_mysql_run(MysqlSession *session, const char *sql);
extern bool cs_mysql_prepare(MysqlSession *session, const char *sql);
extern void cs_mysql_set_columns(MysqlSession *session); /* from the statement's fields */
extern void cs_mysql_describe(CsSqlSession *base, const char *sql);
extern void cs_mysql_execute(CsSqlSession *base, const char *sql);
extern bool cs_mysql_next_row(CsSqlSession *base);

/* column.c: the column of a field, and how its values are decoded.  In CurrentMemoryContext. */
extern void cs_mysql_column(const MysqlSession *session, const MYSQL_FIELD *field, CsColumn *column,
							MysqlColumn *decode);

/* A value that can't be had here: the first one of a row is what the row is refused for. */
extern Datum cs_mysql_refuse(MysqlSession *session, const MysqlColumn *column, int code,
							 char *message, bool *isnull);

/* value.c */
extern Datum cs_mysql_int1(MysqlSession *, const MysqlColumn *, const MysqlValue *, bool *);
extern Datum cs_mysql_uint1(MysqlSession *, const MysqlColumn *, const MysqlValue *, bool *);
extern Datum cs_mysql_int2(MysqlSession *, const MysqlColumn *, const MysqlValue *, bool *);
extern Datum cs_mysql_uint2(MysqlSession *, const MysqlColumn *, const MysqlValue *, bool *);
extern Datum cs_mysql_int4(MysqlSession *, const MysqlColumn *, const MysqlValue *, bool *);
extern Datum cs_mysql_uint4(MysqlSession *, const MysqlColumn *, const MysqlValue *, bool *);
extern Datum cs_mysql_int8(MysqlSession *, const MysqlColumn *, const MysqlValue *, bool *);
extern Datum cs_mysql_uint8(MysqlSession *, const MysqlColumn *, const MysqlValue *, bool *);
extern Datum cs_mysql_boolean(MysqlSession *, const MysqlColumn *, const MysqlValue *, bool *);
extern Datum cs_mysql_float4(MysqlSession *, const MysqlColumn *, const MysqlValue *, bool *);
extern Datum cs_mysql_float8(MysqlSession *, const MysqlColumn *, const MysqlValue *, bool *);
extern Datum cs_mysql_decimal(MysqlSession *, const MysqlColumn *, const MysqlValue *, bool *);
extern Datum cs_mysql_bits(MysqlSession *, const MysqlColumn *, const MysqlValue *, bool *);

/* value_time.c */
extern Datum cs_mysql_date(MysqlSession *, const MysqlColumn *, const MysqlValue *, bool *);
extern Datum cs_mysql_datetime(MysqlSession *, const MysqlColumn *, const MysqlValue *, bool *);
extern Datum cs_mysql_time(MysqlSession *, const MysqlColumn *, const MysqlValue *, bool *);

/* value_text.c */
extern Datum cs_mysql_text(MysqlSession *, const MysqlColumn *, const MysqlValue *, bool *);
extern Datum cs_mysql_bytes(MysqlSession *, const MysqlColumn *, const MysqlValue *, bool *);
extern Datum cs_mysql_geometry(MysqlSession *, const MysqlColumn *, const MysqlValue *, bool *);
extern Datum cs_mysql_json(MysqlSession *, const MysqlColumn *, const MysqlValue *, bool *);
extern Datum cs_mysql_uuid(MysqlSession *, const MysqlColumn *, const MysqlValue *, bool *);

/* The text of the source in this database's encoding, valid, or NULL; *len follows. */
extern const char *cs_mysql_recode(const char *text, size_t *len);

/* list.c */
extern List *cs_mysql_list(CsSqlSession *base, const char *schema, List *only);

#endif /* CS_MYSQL_SESSION_H */
