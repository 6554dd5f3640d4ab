/*
 * service.h
 *		What warehouses and other services share that are asked over HTTP and
 *		answer with pages of rows: one reader over what is particular to each.
 *
 * A service describes its result, which may mean that it runs the statement;
 * then it names the requests for its parts one after the other.  The reader
 * sends them, several ahead where the service allows it, takes the rows out of
 * the answers in order, and counts them: fewer than were announced is an error.
 */
#ifndef CS_SERVICE_H
#define CS_SERVICE_H

#include <jansson.h>

#include "net/http.h"
#include "source/cells.h"
#include "source/options.h"
#include "source/sql_statement.h"
#include "source/typed.h"

typedef struct CsServiceSession CsServiceSession;

/* The request for one part of the result, and how the rows stand in its answer. */
typedef struct CsServicePart
{
	int number;			   /* the service's */
	CsHttpRequest request; /* without credentials unless the service puts them in: see authorize */
	bool foreign;		   /* the request leaves the service (a presigned link): no credentials */
	const char *records;   /* JSON Pointer to the array of rows */
	CsRowShape shape;
	bool ragged;
	bool may_lack_records;
	const char *answer; /* it has been answered already: the body, instead of request; or NULL */
	bool skip_blank;	/* rows that have nothing but nulls and empty texts are none */
	int64 expected;		/* rows in it; -1: not announced */
} CsServicePart;

typedef struct CsService
{
	CsSourceType base; /* must be first; CS_SERVICE initializes it */

	/* A session in CurrentMemoryContext, embedding CsServiceSession, from spec and options: what can be
	 * said without the network.  Sets base_url, secrets. */
	CsServiceSession *(*create)(const CsReadSpec *spec, CsOptionSet *options);

	/* Puts credentials into a request, fetching a token first if need be.  renew: the last one was refused;
	 * false: there is no other, the refusal stands. */
	bool (*authorize)(CsServiceSession *session, CsHttpRequest *request, bool renew);

	/* Throws what an answer of status 400 and above means (body: its beginning, redacted, maybe no
	 * JSON), or returns: it means nothing more than its status. */
	void (*refuse)(CsServiceSession *session, int status, const char *body);

	/* Does an answer of that kind mean that the same request may succeed a little later?  Those of
	 * cs_retry_status do anyway.  Asked before refuse, for requests that are repeatable.  May be NULL. */
	bool (*may_pass)(CsServiceSession *session, int status, const char *body);

	/* Submits the statement, or looks at the object: sets the session's columns and cells, and total if
	 * it is announced. */
	void (*describe)(CsServiceSession *session);

	/* What was described is going to be read: needed says which columns; may submit it anew with those
	 * alone (a shape of fewer columns is set in columns and cells then).  May be NULL. */
	void (*narrow)(CsServiceSession *session, const bool *needed);

	/* The next part; false: there are none after the last one.  Called ahead of end_part for the parts before
	 * it unless sequential. */
	bool (*next_part)(CsServiceSession *session, CsServicePart *part);
	bool sequential; /* a part must be read before the next is known */

	/* Sequential services, or NULL: the request for the next part if the document of this one, of which
	 * the beginning (JSON) and some of the end (as sent) are known or NULL, is what it seems to be; or NULL.  It is
	 * sent ahead then, and dropped if next_part makes another one. */
	CsHttpRequest *(*guess_next)(CsServiceSession *session, const char *beginning, const char *end);

	/* What a foreign part's request led to was refused, with a status from 400 on, as a link that has expired
	 * would be: makes the request anew, once.  May be NULL. */
	void (*again)(CsServiceSession *session, CsServicePart *part);

	/* A part was read to its end: its document without the rows, and how many there were.  May be NULL. */
	void (*end_part)(CsServiceSession *session, const char *envelope, int64 rows);

	/* Rows of objects whose members are not the columns: makes the fields of the columns of those of the
	 * session's members; may set raw's error, and is called for records that have one, too.  NULL: the members are the columns. */
	CsField *(*spread)(CsServiceSession *session, CsRecord *raw);

	/* As CsSourceType.list, with a session. */
	List *(*list)(CsServiceSession *session, const char *schema, List *only);

	/* Whose SQL the conditions go into; takes instead, as CsSourceType.takes, if it isn't one alone or no SQL.  Neither:
	 * the service is asked for columns alone.  What was taken may still be left out when the columns are known. */
	const CsDialect *dialect;
	bool (*takes)(const CsReadSpec *spec, const CsColumn *column, CsComparison comparison,
				  Oid type_of_value, bool *exactly);

	/* As CsSourceType.statement.  NULL: it has nothing to show. */
	char *(*statement)(const CsReadSpec *spec);

	/* censync_check's last step: something cheap that needs the credentials.  NULL: describe. */
	void (*probe)(CsServiceSession *session);
} CsService;

/* A service embeds it as the first member of its own. */
struct CsServiceSession
{
	const CsService *service;
	const CsReadSpec *spec;
	CsOptionSet *options;
	MemoryContext context; /* what the session allocates lives here */
	CsHttp *http;		   /* for everything but parts; NULL in create */
	const char *base_url;
	struct CsAuth *auth; /* the service's own, for those that keep one here */
	List *hosts;		 /* char *: others that requests go to, through a tunnel if there is one */
	List *clients;		 /* CsHttp *: all that it has, in its context */
	List *secrets;		 /* char *: never to be shown; grows by cs_service_add_secret */
	int ncolumns;
	CsColumn *columns;
	CsCell *cells;
	int nmembers; /* with spread: of each row, and their names */
	char **members;
	CsHttpRequest *farewell; /* see cs_service_set_farewell */
	bool always_farewell;	 /* it is sent when all has been read, too */
	int64 total;			 /* rows that the service has announced; -1: it has not */
	bool since;				 /* as CsReader.since; set by describe */
	bool deferred; /* describe, which sets it, asked a query for its columns alone: the rows
							  * are narrow's to ask for, whatever has become of the conditions */
};

extern CsReader *cs_service_open(const CsSourceType *type, const CsReadSpec *spec);
extern void cs_service_check(const CsSourceType *type, const CsReadSpec *spec,
							 struct CsCheck *check);
extern List *cs_service_list(const CsSourceType *type, const CsReadSpec *spec, const char *schema,
							 List *only);
extern bool cs_service_takes(const CsSourceType *type, const CsReadSpec *spec,
							 const CsColumn *column, CsComparison comparison, Oid type_of_value,
							 bool *exactly);
extern char *cs_service_statement(const CsSourceType *type, const CsReadSpec *spec);

/* The initializer of CsService.base. */
#define CS_SERVICE(name, bit)                                                                      \
	{                                                                                              \
		name, bit, true, cs_service_open, cs_service_check, cs_service_list, cs_service_takes,     \
			cs_service_statement                                                                   \
	}

/*
 * Sends a request with the session's credentials, renewing them once if they are refused, and returns
 * the whole answer, parsed; *status, unless NULL, gets its status.  A status of 400 and above goes through the
 * service's refuse and is thrown (HV000 and those of cs_http_send) unless it is allowed (0: none is).
 * 08P01 if the answer is no JSON.  It lives as long as CurrentMemoryContext.
 */
extern json_t *cs_service_call(CsServiceSession *session, CsHttpRequest *request, int allowed,
							   int *status);

/* The answer as text, nothing allowed. */
extern char *cs_service_call_text(CsServiceSession *session, CsHttpRequest *request);

/* The document that text is, without the rows at records: NULL if it is no JSON. */
extern json_t *cs_json_parse_without(const char *text, const char *records);

/* The same without the rows that stand in the array at records (JSON Pointer): they are passed over, in
 * bounded memory. */
extern json_t *cs_service_call_without(CsServiceSession *session, CsHttpRequest *request,
									   const char *records, int *status);

/* An answer that may have the result in it. */
typedef struct CsKeptAnswer
{
	int status;
	char *text; /* all of it: the body */
	int64 rows; /* in the array at records; 0 for one of an error */
} CsKeptAnswer;

/* As cs_service_call, without the rows that stand at records, which are in kept. */
extern json_t *cs_service_call_keeping(CsServiceSession *session, CsHttpRequest *request,
									   const char *records, int allowed, CsKeptAnswer *kept);

/* The same as cs_service_call_without, with a status that is allowed. */
extern json_t *cs_service_poll(CsServiceSession *session, CsHttpRequest *request,
							   const char *records, int allowed, int *status);

/* What is sent, as well as can be and errors ignored, when the session is closed before its rows were read to
 * their end: it tells the service that nobody wants the rest.  Lives as long as the session.  NULL: nothing any more. */
extern void cs_service_set_farewell(CsServiceSession *session, CsHttpRequest *request);

/* "method base_url/path" with a body of JSON (in CurrentMemoryContext) or without one (NULL). */
extern CsHttpRequest *cs_service_request(CsServiceSession *session, const char *method,
										 const char *path, const char *body);

/* Waits before the next poll: from 100 ms, growing to 5 s with the number of polls; interruptible. */
extern void cs_service_wait(int polls);

/* A random UUID, by which a service knows a request again. */
extern char *cs_service_random_id(void);

/* For CsService.authorize: puts session->auth into the request; nothing of it can be renewed. */
extern bool cs_service_authorize_fixed(CsServiceSession *session, CsHttpRequest *request,
									   bool renew);

/* An address without the slashes that it ends with; in CurrentMemoryContext. */
extern char *cs_service_base_url(const char *url);

extern void cs_service_add_secret(CsServiceSession *session, const char *secret);

/* A document parsed, or NULL; freed with CurrentMemoryContext. */
extern json_t *cs_json_parse(const char *text, size_t len);

/* Members of a document: a text, copied into CurrentMemoryContext, NULL if it is not there or no string; an
 * integer that may be given as text (otherwise: fallback). */
extern char *cs_json_text(const json_t *object, const char *name);
extern int64 cs_json_int(const json_t *object, const char *name, int64 fallback);

/* A JSON string of text, in double quotes; in CurrentMemoryContext. */
extern char *cs_json_quote(const char *text);

#endif /* CS_SERVICE_H */
