/*
 * tds.h
 *		What the files of this module share: a session over FreeTDS' db-lib.
 *
 * db-lib, not ct-lib: it hands out values as they came (dbdata), so that dates
 * keep their 100 ns and decimals their digits, and it asks a function of ours
 * whether to go on while it waits.
 *
 * Its callbacks only record, in buffers of a fixed size: nothing is thrown
 * through the library.  It keeps one error handler per process, and other
 * extensions use it too: ours are set between tds_enter and tds_leave only.
 */
#ifndef CS_TDS_H
#define CS_TDS_H

#include <sybdb.h>

#include "datatype/timestamp.h"

#include "base/compat.h"
#include "source/sql.h"

/* Types of [MS-TDS] 2.2.5.4 that sybdb.h has no name for. */
#define TDS_UNIQUE 36
#define TDS_VARIANT 98
#define TDS_UDT 240
#define TDS_XML 241

/* What the server or the library said first during a call.  Text is in UTF-8. */
typedef struct TdsMessage
{
	int number; /* 0: it said nothing */
	int severity;
	int state;
	int line;
	char text[2048];
	char procedure[160];
} TdsMessage;

/* What the names of a certificate and its chain come to. */
typedef enum TdsTls
{
	TDS_TLS_OFF,
	TDS_TLS_REQUIRE, /* encrypted, for whoever answers */
	TDS_TLS_VERIFY
} TdsTls;

typedef struct TdsSession
{
	CsSqlSession base; /* must be first */
	CsSqlLogin *login; /* the caller's */
	TdsTls tls;
	DBPROCESS *process;	   /* NULL until it is connected; closed by the callback */
	bool has_fd;		   /* counted as a file descriptor of the backend */
	bool pending;		   /* a statement was sent, and its end has not been seen */
	bool describing;	   /* it is only about columns */
	bool closing;		   /* the library is to give up whatever it waits for */
	MemoryContext context; /* of the session */
	MemoryContext row;	   /* of the values of a row */
	MemoryContextCallback close;
	TimestampTz deadline;	 /* of connecting; 0: connected */
	TdsMessage server;		 /* the first error of the call */
	TdsMessage library;		 /* likewise, of FreeTDS; number is a SYBE... */
	int os_error;			 /* that comes with it, or 0 */
	char elsewhere[64];		 /* where the server has sent FreeTDS instead, or "" */
	bool stalled;			 /* it waited longer than it may */
	bool late;				 /* the statement took longer than it may */
	bool attention;			 /* the server was asked to stop */
	bool replaced;			 /* characters became question marks */
	EHANDLEFUNC their_error; /* handlers of others, while ours are set */
	MHANDLEFUNC their_message;
	int *types; /* per column: its type in a row */
	int64 rows; /* of the result, so far */
} TdsSession;

/* driver.c */
extern PGDLLEXPORT const CsSqlDriver *cs_sql_driver_get(void);

/* connect.c */
extern CsSqlSession *tds_connect(CsSqlLogin *login);
extern char *tds_to_utf8(const char *text);

/* Is the socket connected to another address than login's?  Notes it in session->elsewhere; throws nothing. */
extern bool tds_is_elsewhere(TdsSession *session, int fd);

/* handshake.c: a first, short connection: is there a server, does it encrypt, and is its certificate for
 * login->host?  Returns it in PEM, or NULL if it was not verified; sets *tls to what was agreed on. */
extern char *tds_handshake(TdsSession *session, char **tls);

/* library.c */
extern void tds_enter(TdsSession *session);
extern void tds_leave(TdsSession *session);
extern void tds_wait(int fd, int events, TimestampTz deadline);
extern int tds_column_count(TdsSession *session);

/* error.c */
extern void tds_check(TdsSession *session);
extern void tds_throw(TdsSession *session, const char *what) pg_attribute_noreturn();

/* query.c */
extern void tds_describe(CsSqlSession *session, const char *sql);
extern void tds_execute(CsSqlSession *session, const char *sql);
extern bool tds_next_row(CsSqlSession *session);
extern void tds_command(TdsSession *session, const char *sql);
extern void tds_run(TdsSession *session, const char *sql);
extern bool tds_try(TdsSession *session, const char *sql, int number, int first, int last);

/* catalog.c */
extern bool tds_describe_by_procedure(TdsSession *session, const char *sql);
extern List *tds_list(CsSqlSession *session, const char *schema, List *only);
extern char *tds_variant_text(const char *name);

/* type.c: the type here for one of [MS-TDS] (as sys.types numbers them, too); InvalidOid if there is none. */
extern Oid tds_type(int type, int precision, int scale, int32 *typmod);

/* The number of a type that a catalog gives a number and a name: Babelfish has numbers of its own, but the same names.
 * Name may be NULL, or have arguments: "decimal(10,2)". */
extern int tds_type_number(int number, const char *name);

/* value.c: one value.  False, with *why: it can't be had here. */
extern bool tds_value(int type, const BYTE *data, int length, Datum *value, int *code,
					  const char **why);

/* text.c */
extern bool tds_text(const char *utf8, int length, Datum *value, int *code, const char **why);
extern char *tds_from_utf8(const char *utf8);

#endif /* CS_TDS_H */
