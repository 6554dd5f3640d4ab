/*
 * libpq.h
 *		The driver of PostgreSQL and of what descends from it: libpq, never
 *		blocking.
 *
 * libpq_connect.c connects, libpq_wait.c waits, cancels and closes, libpq_error.c throws,
 * libpq_types.c knows the types, libpq_describe.c describes, libpq_copy.c and libpq_rows.c bring rows.
 */
#ifndef CS_LIBPQ_H
#define CS_LIBPQ_H

#include "fmgr.h"
#include "libpq-fe.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "source/sql.h"

/* How a value comes. */
typedef enum CsPqWire
{
	CS_PQ_BOOL,
	CS_PQ_INT2,
	CS_PQ_INT4,
	CS_PQ_INT8,
	CS_PQ_FLOAT4,
	CS_PQ_FLOAT8,
	CS_PQ_DATE,
	CS_PQ_TIME,
	CS_PQ_TIMESTAMP,
	CS_PQ_UUID,
	CS_PQ_BYTES,   /* bytea: any */
	CS_PQ_STRING,  /* text in this database's encoding */
	CS_PQ_RECEIVE, /* the type's receive function reads it */
	CS_PQ_INPUT,   /* text, which the type's input function reads */
	CS_PQ_HEX	   /* text: digits of a bytea, without \x */
} CsPqWire;

/* How a column is read.  In the session's context. */
typedef struct CsPqColumn
{
	CsPqWire wire;
	bool as_text;	/* asked for as text: its type is none that can travel */
	int max_chars;	/* of varchar(n) and char(n); 0: no limit */
	FmgrInfo read;	/* the receive or input function, if it takes one */
	Oid type_param; /* its argument */
	int32 typmod;
} CsPqColumn;

typedef struct CsPqSession CsPqSession;

/* In what descendants differ. */
typedef struct CsPqFlavor
{
	const char *product;	 /* of which a server is one */
	const char *transaction; /* begins the transaction of a read, and its settings */
	/* Sets a column's type, and how it is read, by its type there. */
	void (*set_type)(CsPqSession *session, CsColumn *column, CsPqColumn *read, Oid type,
					 int32 typmod);
} CsPqFlavor;

/* One connection; in the context it was opened in, whose reset closes it. */
struct CsPqSession
{
	CsSqlSession base; /* must be first */
	CsSqlLogin *login; /* the caller's */
	const CsPqFlavor *flavor;
	PGconn *conn;	  /* owned by close */
	PGresult *result; /* the last one, owned by close */
	char *message;	  /* the row that libpq handed out last; owned by close */
	int message_len;
	int at;			   /* in the message: what is read of it */
	bool polled;	   /* asked for input without waiting since the last wait */
	bool holds_fd;	   /* a file descriptor is reserved */
	bool failed;	   /* the server has given up on its own: nothing to cancel */
	bool header_read;  /* of a binary COPY */
	bool trailer_read; /* likewise */
	bool verifies_ca;  /* the server's certificate is verified */
	CsPqColumn *reads; /* base.ncolumns of them */
	MemoryContext row; /* values of the current row that are not in the message */
	MemoryContextCallback close;
};

/* libpq_connect.c: for CsSqlDriver.connect */
extern CsSqlSession *cs_pq_connect(CsSqlLogin *login, const CsSqlDriver *driver,
								   const CsPqFlavor *flavor);

/* libpq_params.c: what libpq is told, as a connection string; nothing comes from the environment.
 * *verifies_ca: the server must have a certificate of an authority that is trusted. */
extern char *cs_pq_conninfo(const CsSqlLogin *login, bool *verifies_ca);

/* libpq_wait.c: all that was sent is on its way */
extern void cs_pq_flush(CsPqSession *session);

/* Takes what the server has sent; every other call waits for it. */
extern void cs_pq_wait_for_input(CsPqSession *session);

/* The next result of what was sent, into session->result; false: there are no more. */
extern bool cs_pq_next_result(CsPqSession *session);

/* Waits for the results of what was sent (sent: what libpq's function returned) and keeps the last one;
 * throws the server's error if there is one. */
extern PGresult *cs_pq_finish(CsPqSession *session, int sent);

/* After the last row: hears the server out, and lets go of it, as what follows may take long. */
extern void cs_pq_end(CsPqSession *session);

/* One statement with text parameters. */
extern PGresult *cs_pq_query(CsPqSession *session, const char *sql, int nparams,
							 const char *const *params);

/* Waits until the socket of a connection is ready for events (WL_SOCKET_...), and returns which of them
 * it is ready for; 0: deadline was first.  0 as deadline: none. */
extern int cs_pq_wait(PGconn *conn, int events, TimestampTz deadline);

/* Cancels what runs, waiting only so long, and closes.  Throws nothing. */
extern void cs_pq_close(void *session);

/* libpq_error.c */
extern void cs_pq_throw_result(CsPqSession *session) pg_attribute_noreturn();
extern void cs_pq_throw_lost(CsPqSession *session) pg_attribute_noreturn();
extern void cs_pq_throw_connect(CsPqSession *session) pg_attribute_noreturn();

/* A copy of what a server says; what is no text in this database's encoding is made unreadable. */
extern char *cs_pq_clean(const char *text);

/* libpq_types.c: can values of a built-in type travel in binary form?  Sets how they are read then. */
extern bool cs_pq_type_set(CsPqSession *session, CsColumn *column, CsPqColumn *read, Oid type,
						   int32 typmod);

/* As text, whatever it is. */
extern void cs_pq_type_set_text(CsColumn *column, CsPqColumn *read);

/* As what the type's input function makes of its text. */
extern void cs_pq_type_set_input(CsColumn *column, CsPqColumn *read, Oid type, int32 typmod);

/* libpq_describe.c: for CsSqlDriver.describe */
extern void cs_pq_describe(CsSqlSession *session, const char *sql);

/* libpq_value.c: a value that is len bytes at data, of column i of session; may write to the four bytes before it.
 * One that can't be had sets the session's error. */
extern void cs_pq_value(CsPqSession *session, int i, char *data, int len);

/* The same for a value in text form, with a zero byte behind it, that must not be written to. */
extern void cs_pq_text_value(CsPqSession *session, int i, const char *text, int len);

/* libpq_copy.c: for CsSqlDriver.execute and next_row: COPY in binary form */
extern void cs_pq_copy_execute(CsSqlSession *session, const char *sql);
extern bool cs_pq_copy_next_row(CsSqlSession *session);

/* libpq_rows.c: likewise: results in text form, row by row */
extern void cs_pq_rows_execute(CsSqlSession *session, const char *sql);
extern bool cs_pq_rows_next_row(CsSqlSession *session);

#endif /* CS_LIBPQ_H */
