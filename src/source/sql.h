/*
 * sql.h
 *		What sources that speak SQL share: one reader over a driver and a
 *		dialect.
 *
 * A database is a CsSqlSource: how its SQL is written (sql_statement.h), and
 * the driver that carries it.  Drivers of other client libraries than libpq
 * are modules of their own, loaded when a server of their type is first used;
 * they call nothing of this library, and get all they need in a CsSqlLogin.
 */
#ifndef CS_SQL_H
#define CS_SQL_H

#include "datatype/timestamp.h"

#include "source/options.h"
#include "source/reader.h"

/* Grows when a module that was built for another one would misread it. */
#define CS_SQL_DRIVER_VERSION 2

/* Steps of a connection, in the order of censync_check. */
typedef enum CsSqlStep
{
	CS_SQL_RESOLVE,
	CS_SQL_SSH, /* only where there is a tunnel */
	CS_SQL_CONNECT,
	CS_SQL_TLS,
	CS_SQL_AUTHENTICATE,
	CS_SQL_QUERY
} CsSqlStep;

/* Where to connect, and as whom.  Filled by login.c; all of it lives as long as the session. */
typedef struct CsSqlLogin
{
	const char *host; /* as the server option says: what a certificate must name */
	const char
		*address; /* the same resolved and allowed, or 127.0.0.1 of a tunnel; NULL: host is the
						  * directory of a Unix-domain socket */
	int port;	  /* to connect to: the database's own, or the tunnel's */
	bool tunneled;
	const struct CsTunnelSpec *ssh; /* or NULL; like the next, not for drivers */
	struct CsTunnel *tunnel;		/* NULL until it is open */
	const char *database;			/* or NULL, as are user and password */
	const char *user;
	const char *password;
	int connect_timeout_s; /* for all of connecting */
	int stall_timeout_s;   /* without a byte from the server; 0: for ever */
	int timeout_s;		   /* for a statement and all of its rows; 0: for ever */
	/* When the one in hand must be over (steady clock), kept by the reader; 0: never.  A driver that still waits then calls
	 * throw_late. */
	TimestampTz late_at;
	void (*throw_late)(const struct CsSqlLogin *login); /* does not return */
	CsOptionSet *options;
	/* The driver's own options: cs_option_get, cs_option_get_user (as a module can't link to them). */
	const char *(*option)(const CsOptionSet *options, const char *name);
	const char *(*user_option)(const CsOptionSet *options, const char *name);
	const char
		*addresses; /* all that are allowed, by comma, address being the first; NULL: of a tunnel */
	CsSqlStep step; /* kept by the driver: what is being done, and so what has failed */
} CsSqlLogin;

typedef struct CsSqlDriver CsSqlDriver;

/* One connection and at most one statement on it.  A driver embeds it as its first member. */
typedef struct CsSqlSession
{
	const CsSqlDriver *driver;
	const char *tls;	/* "TLSv1.3, certificate verified", or NULL: not used */
	const char *server; /* "PostgreSQL 15.20" */
	int ncolumns;		/* of the statement described or executed last */
	CsColumn *columns;
	Datum *
		values; /* of the current row; what they point to is good until the next row is asked for */
	bool *nulls;
	/* A value of the current row that can't be had here (a date like 0000-00-00): its SQLSTATE, else 0, why,
	 * and its column, from 0.  The row counts, and its other values do. */
	int error_code;
	char *error_message;
	int error_column;
	int64 bytes_read; /* of rows, so far */
} CsSqlSession;

/*
 * All but next_row run with CurrentMemoryContext set to one that lives as long as the session; what a
 * driver allocates for a row goes into a context of its own, emptied with the next.  All of them wait interruptibly, and throw: 08001
 * (no connection), 08006 (lost), 28000 and 28P01, 42601, 42P01, 42703 ... as the source's own error says, with the source's
 * message, its code where it has one in the detail, and a hint where the user can act.
 */
struct CsSqlDriver
{
	int version; /* CS_SQL_DRIVER_VERSION */

	/* In CurrentMemoryContext, whose reset closes the connection, cancels what runs on it, and throws
	 * nothing. */
	CsSqlSession *(*connect)(CsSqlLogin *login);

	/* Sets the columns of a statement, without running it if the source can do that. */
	void (*describe)(CsSqlSession *session, const char *sql);

	/* Runs a statement and sets its columns; rows are streamed, never held together. */
	void (*execute)(CsSqlSession *session, const char *sql);

	/* Brings the next row; false: the source has said that there are no more. */
	bool (*next_row)(CsSqlSession *session);

	/* CsObject * of a schema: tables, views and what else can be read; only: names, or NIL for all. */
	List *(*list)(CsSqlSession *session, const char *schema, List *only);
};

/* What a module exports, as "cs_sql_driver_get". */
typedef const CsSqlDriver *(*CsSqlDriverFunction)(void);

struct CsDialect; /* sql_statement.h */

/* A row of the registry. */
typedef struct CsSqlSource
{
	CsSourceType base; /* must be first; its calls are those below */
	const struct CsDialect *dialect;
	const CsSqlDriver *driver; /* NULL: in a module */
	const char *library;	   /* the module: "censync_mysql"; or NULL */
	const char *package;	   /* of Debian, without which it is not built */
	int port;				   /* the default */
} CsSqlSource;

extern CsReader *cs_sql_open(const CsSourceType *type, const CsReadSpec *spec);
extern void cs_sql_check(const CsSourceType *type, const CsReadSpec *spec, struct CsCheck *check);
extern List *cs_sql_list(const CsSourceType *type, const CsReadSpec *spec, const char *schema,
						 List *only);
extern char *cs_sql_statement(const CsSourceType *type, const CsReadSpec *spec);

/* The initializer of CsSqlSource.base. */
#define CS_SQL_SOURCE(name, bit)                                                                   \
	{                                                                                              \
		name, bit, true, cs_sql_open, cs_sql_check, cs_sql_list, cs_sql_takes, cs_sql_statement    \
	}

/* driver.c: the source's driver, its module loaded; 0A000 with the package to install where it was not
 * built. */
extern const CsSqlDriver *cs_sql_driver(const CsSqlSource *source);

/* Says so, at that level, if the driver's module is not there. */
extern void cs_sql_driver_check(const CsSqlSource *source, int elevel);

/* login.c: from the options of server and user mapping; resolves the host, and opens the tunnel.  Throws
 * 08001 for a host that is not known, 42501 for an address that censync.allowed_hosts refuses. */
extern CsSqlLogin *cs_sql_login_create(const CsSqlSource *source, CsOptionSet *options);
extern void cs_sql_login_resolve(CsSqlLogin *login);

#endif /* CS_SQL_H */
