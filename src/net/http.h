/*
 * http.h
 *		An HTTP client for a backend: streams, can be canceled at any moment,
 *		and holds every handle through a memory context.
 *
 * Only http.c and http_setup.c know libcurl.
 */
#ifndef CS_HTTP_H
#define CS_HTTP_H

#include "nodes/pg_list.h"

#include "base/compat.h"

/* How far a request got; the steps of censync_check. */
typedef enum CsHttpStep
{
	CS_HTTP_RESOLVE,
	CS_HTTP_SSH, /* only where there is a tunnel */
	CS_HTTP_CONNECT,
	CS_HTTP_TLS,
	CS_HTTP_AUTHENTICATE, /* connected; the server answered 401 or 403 */
	CS_HTTP_QUERY		  /* connected and let in */
} CsHttpStep;

typedef struct CsHttpHeader
{
	char *name;
	char *value;
} CsHttpHeader;

/* Set by the caller before cs_http_create, copied there. */
typedef struct CsHttpOptions
{
	bool allow_http;			/* plain http: URLs are allowed */
	const char *ca_file;		/* certificates to trust instead of the system's, or NULL */
	int connect_timeout_s;		/* resolve + connect + TLS */
	int timeout_s;				/* one request as a whole, 0: no limit */
	int stall_timeout_s;		/* less than one byte a second for so long ends the request */
	int64 max_response_bytes;	/* of one response, after decompression */
	double requests_per_second; /* 0: no limit */
	Oid server;	   /* whose requests are counted together; InvalidOid: this client's alone are */
	List *secrets; /* char *: redacted wherever remote text is shown */
	const struct CsTunnelSpec *tunnel; /* through which all connections go; NULL: they are direct */
	List *tunnel_hosts; /* char *: the only ones that may be connected to through it */
} CsHttpOptions;

typedef struct CsHttpRequest
{
	const char *method;		  /* "GET", "POST" */
	const char *url;		  /* absolute */
	List *headers;			  /* CsHttpHeader *; sent to the first origin only */
	List *credentials;		  /* CsHttpHeader *; likewise, and never logged */
	const char *secret_query; /* "name=value", already percent-encoded, added to the query string
								 * of requests to the first origin (API keys); or NULL */
	const char
		*repeat_query; /* "name=value", added to the query string when it is sent again; or NULL */
	const char *body;  /* or NULL */
	size_t body_len;
	bool repeatable;	/* may be sent again after a failure */
	bool no_redirects;	/* a redirect is an answer like others: for cs_http_exchange */
	bool authenticates; /* it fetches a credential: once connected, its failures are those of
								 * CS_HTTP_AUTHENTICATE */
} CsHttpRequest;

typedef struct CsHttp CsHttp;

/* A client in CurrentMemoryContext; deleting that context closes its connections. */
extern CsHttp *cs_http_create(const CsHttpOptions *options);

/*
 * Sends a request, follows redirects (at most 5; another origin gets neither headers nor
 * credentials; https never becomes http), retries what may be retried, and returns when the head
 * of the final answer is there.  A status of 400 and above is thrown, with the beginning of the
 * body, redacted, as detail; except 401 when accept_unauthorized is set (the caller renews its
 * token and sends again).  Returns the status.
 * Every wait is interruptible.  Any body of an earlier request is dropped.
 *
 * Errors: 08001 (resolve, connect, TLS), 08006 (connection lost), 08P01 (not HTTP, bad redirect),
 * 42501 (host not allowed by censync.allowed_hosts), 28000 (401, 403), 42704 (404, 410),
 * 53400 (429 for ever), HV000 (5xx, 408, 409, 423, 425), HV00L (other statuses), 57014 (canceled).
 */
extern int cs_http_send(CsHttp *http, const CsHttpRequest *request, bool accept_unauthorized);

/*
 * The same, but every final status is returned, whatever it is.  cs_http_throw_status then throws
 * what cs_http_send would have thrown.
 */
extern int cs_http_exchange(CsHttp *http, const CsHttpRequest *request);
extern int cs_http_status(CsHttp *http); /* of the last answer */
extern void cs_http_throw_status(CsHttp *http) pg_attribute_noreturn();

/* The error code of a status that has none of its own: HV000 if the same request may fare better later, else
 * CS_ERRCODE_REFUSED. */
extern int cs_http_refusal_code(int status);

/* The beginning of the body of an answer that nothing has been read of, redacted; valid until the next
 * request.  What is thrown by cs_http_throw_status has it, too. */
extern const char *cs_http_refusal(CsHttp *http);

/*
 * Sends a request that only reads without waiting for anything; the next cs_http_send of that method, URL and body takes its
 * answer, with all that it does with answers.  Until then nothing about it is known, and nothing of the present
 * answer is lost.  Any other request, and cs_http_forget_ahead, drop it.  The request must have the
 * headers and credentials that the later one has.  False: it was not sent.
 *
 * Now is the time if the present answer has come completely, though it may not have been read yet,
 * and the limit of requests per second allows another.  So there is never more than one request on
 * its way: a server that serves one at a time sees no other load than without this.
 */
extern bool cs_http_may_send_ahead(CsHttp *http);
extern bool cs_http_send_ahead(CsHttp *http, const CsHttpRequest *request);
extern void cs_http_forget_ahead(CsHttp *http);

/* What is at hand of the end of the present answer's body, if all of it has come, as it was sent; good until the next
 * cs_http_read.  False: it has not, or it is compressed. */
extern bool cs_http_end_of_body(CsHttp *http, const char **data, size_t *len);

/* Makes a client that was asked for nothing yet go on with what it was sent ahead whenever the other one waits, or
 * any that has joined it.  Its context must be gone before the other's. */
extern void cs_http_join(CsHttp *http, const CsHttp *other);

/* What is sent when the client's context goes away, on errors and at the end of the backend, too: tried once, on a
 * connection of its own, for at most 2.5 seconds, whatever comes of it; only where the client may
 * connect to.  Copied; the one before is forgotten.  NULL: nothing any more. */
extern void cs_http_set_farewell(CsHttp *http, const CsHttpRequest *request);

/* Lets arrive what can without waiting, a few MB at most.  Throws nothing; what
 * cs_http_read gave stays valid. */
extern void cs_http_work(CsHttp *http);

/*
 * The next piece of the body, valid until the next one or the next request.  False is a proven end:
 * Content-Length reached, last chunk seen, stream ended by HTTP/2, or connection ended by TLS
 * close_notify; and, for a compressed body, the compressed stream complete too.  A body delimited
 * only by the close of a plain connection ends with error 08P01 unless allow_unproven_end is set;
 * everything else that ends early is error 08006, a body over the cap 54000.
 */
extern bool cs_http_read(CsHttp *http, const char **data, size_t *len);

/* Accepts such an end from now on, or not; returns what held before. */
extern bool cs_http_allow_unproven_end(CsHttp *http, bool allow);

/* One more text that no message of this client may show; copied. */
extern void cs_http_add_secret(CsHttp *http, const char *secret);

/* Remote text fit for a message: see cs_redact, with this client's secrets. */
extern char *cs_http_redact(CsHttp *http, const char *text, int len, int max_len);

/* The same of a text that is fit for one otherwise, lines and all. */
extern char *cs_http_redact_secrets(CsHttp *http, const char *text);

/* The value of a header of the last answer (the first of several), or NULL; names in any case.
 * Valid until the next request. */
extern const char *cs_http_header(CsHttp *http, const char *name);

/* All values of a header of the last answer: List of char *. */
extern List *cs_http_headers(CsHttp *http, const char *name);

/* The URL that finally answered, after redirects, without user info.  Valid until the next request. */
extern const char *cs_http_url(CsHttp *http);

/* Bytes of body received by this client so far, after decompression. */
extern int64 cs_http_bytes(CsHttp *http);

/* How far the last request got; meaningful after an error too. */
extern CsHttpStep cs_http_step(CsHttp *http);

#endif /* CS_HTTP_H */
