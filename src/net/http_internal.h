/*
 * http_internal.h
 *		What the files of the HTTP client share with each other, and with nobody else:
 *		http.c moves bytes with libcurl (set up by http_setup.c), http_client.c decides
 *		what to send, and again, and where; http_body.c reads what is answered;
 *		http_error.c says what went wrong.
 */
#ifndef CS_HTTP_INTERNAL_H
#define CS_HTTP_INTERNAL_H

#include <netinet/in.h>

#include "datatype/timestamp.h"
#include "net/gunzip.h"
#include "net/http.h"

struct CsTunnel; /* tunnel.h */
struct CsUrl;	 /* url.h */

/* Of the head of one answer, trailing blanks and line ends not counted. */
#define CS_MAX_HEAD (256 * 1024)
#define CS_MAX_HEADERS 500

/* The head of one answer.  Filled inside libcurl's callback, where nothing may throw: all memory is
 * there beforehand. */
typedef struct CsHttpHead
{
	int status;	   /* 0: no status line yet */
	bool complete; /* the empty line after the headers of the final answer was seen */
	bool overflow; /* larger than allowed */
	int nheaders;
	size_t used;
	char *text; /* CS_MAX_HEAD bytes: name, NUL, value, NUL, ... */
} CsHttpHead;

extern void cs_head_init(CsHttpHead *head);
extern void cs_head_reset(CsHttpHead *head);

/* One line as it came.  False: over a limit.  Throws nothing. */
extern bool cs_head_add_line(CsHttpHead *head, const char *line, size_t len);

/* Makes all values valid in the server's encoding. */
extern void cs_head_finish(CsHttpHead *head);

/* The next value of this header after previous (NULL: the first one), or NULL. */
extern const char *cs_head_find(const CsHttpHead *head, const char *name, const char *previous);

/* Does a comma-separated header have this element? */
extern bool cs_head_lists(const CsHttpHead *head, const char *name, const char *element);

typedef enum CsFailureKind
{
	CS_FAILURE_NONE,
	CS_FAILURE_RESOLVE,
	CS_FAILURE_REFUSED, /* by us: an address that is not allowed */
	CS_FAILURE_NO_FD,	/* by us: too many open files */
	CS_FAILURE_CONNECT,
	CS_FAILURE_TLS,
	CS_FAILURE_CERTIFICATE,
	CS_FAILURE_CA_FILE,
	CS_FAILURE_CONNECT_TIMEOUT,
	CS_FAILURE_TIMEOUT,
	CS_FAILURE_STALLED,
	CS_FAILURE_LOST,
	CS_FAILURE_NOT_HTTP,
	CS_FAILURE_HEAD_TOO_LARGE,
	CS_FAILURE_NO_MEMORY,
	CS_FAILURE_OTHER
} CsFailureKind;

typedef struct CsFailure
{
	CsFailureKind kind;
	CsHttpStep step;				/* how far the transfer got */
	char text[512];					/* libcurl's words, unredacted; may be empty */
	char address[INET6_ADDRSTRLEN]; /* CS_FAILURE_REFUSED */
	const char *address_kind;		/* same: see cs_address_kind; NULL: a public one */
} CsFailure;

/* One request as it goes on the wire. */
typedef struct CsTransferRequest
{
	const char *method;
	const char *url;  /* from cs_url_build */
	const char *host; /* of url, for the rules of addresses; outlives the transfer */
	bool tls;		  /* url is https */
	List *headers;	  /* CsHttpHeader *, checked */
	const char *body; /* or NULL; lives until the head of the answer is there */
	size_t body_len;
	bool ahead;			   /* sent before its answer is needed; see cs_transfer_take */
	bool fresh_connection; /* libcurl silently sends again when a kept connection turns out to
								 * be dead; this keeps it from doing so */
	int tunnel_port;	   /* on 127.0.0.1, to connect to in place of the host's address; 0: none */
} CsTransferRequest;

typedef enum CsTransferStatus
{
	CS_TRANSFER_DATA,
	CS_TRANSFER_END,		  /* complete by Content-Length, chunks, HTTP/2 or TLS */
	CS_TRANSFER_UNPROVEN_END, /* the connection was closed, and nothing says that this is the end */
	CS_TRANSFER_FAILED
} CsTransferStatus;

typedef struct CsTransfer CsTransfer;

/* In CurrentMemoryContext, which owns it; options must outlive it.  With sibling, NULL or created
 * before in the same context, it shares connections. */
extern CsTransfer *cs_transfer_create(const CsHttpOptions *options, CsTransfer *sibling);

/* Makes a transfer that was not begun yet go on whenever the other one is waited for, or any that has joined it,
 * and use the same connections.  The other one must be released later. */
extern void cs_transfer_join(CsTransfer *transfer, const CsTransfer *other);

/* Ends what is under way and begins a request. */
extern void cs_transfer_start(CsTransfer *transfer, const CsTransferRequest *request);

/* Lets arrive what can without waiting, up to what the buffer holds.  Throws nothing. */
extern void cs_transfer_work(CsTransfer *transfer);

/* All of the body has come, though it may not have been read yet. */
extern bool cs_transfer_is_received(const CsTransfer *transfer);

/* The latest piece of the body that has come: read already, and good until the next cs_transfer_read, or not. */
extern void cs_transfer_latest(const CsTransfer *transfer, const char **data, size_t *len);

/* The answer to a request sent ahead is needed: the time it may take counts from now on.  False: it
 * failed before it was answered. */
extern bool cs_transfer_take(CsTransfer *transfer);

/* Waits, interruptibly, for the head of the answer; false: see cs_transfer_failure. */
extern bool cs_transfer_await_head(CsTransfer *transfer);

/* The next piece of the body as sent, valid until the next call. */
extern CsTransferStatus cs_transfer_read(CsTransfer *transfer, const char **data, size_t *len);

/* From now on the transfer fails as stalled if it takes longer than this. */
extern void cs_transfer_limit(CsTransfer *transfer, int ms);

/* Ends the transfer; its connection is kept if it can be used again. */
extern void cs_transfer_drop(CsTransfer *transfer);

extern const CsHttpHead *cs_transfer_head(const CsTransfer *transfer);
extern const CsFailure *cs_transfer_failure(const CsTransfer *transfer);

/* How far it got. */
extern CsHttpStep cs_transfer_step(const CsTransfer *transfer);

typedef struct CsFarewell CsFarewell;

/* Prepares a request that is sent when CurrentMemoryContext goes away, unless it was taken back.  What request
 * and options point to must live as long as that context; headers are copied. */
extern CsFarewell *cs_farewell_create(const CsHttpOptions *options,
									  const CsTransferRequest *request);
extern void cs_farewell_take_back(CsFarewell *farewell);

typedef enum CsBodyStatus
{
	CS_BODY_DATA,
	CS_BODY_END,
	CS_BODY_UNPROVEN_END,
	CS_BODY_FAILED,	   /* see cs_transfer_failure */
	CS_BODY_CORRUPT,   /* what came is not what its Content-Encoding says */
	CS_BODY_TRUNCATED, /* the body ended, the compressed stream in it did not */
	CS_BODY_TOO_LARGE
} CsBodyStatus;

struct CsHttp
{
	MemoryContext context;		  /* this struct, copies of the options, the transfer */
	MemoryContext exchange;		  /* what belongs to one request; reset by the next */
	MemoryContext ahead_exchange; /* same, of the request sent ahead */
	CsHttpOptions options;
	CsTransfer *transfer;
	CsTransfer *ahead;			/* of the request sent ahead; NULL before the first one */
	CsHttpRequest *asked_ahead; /* that request, in ahead_exchange; NULL: none was sent */
	bool taken;					/* transfer was the one ahead; the first hop need not be sent */
	CsGunzip *gunzip;			/* of the present answer, in exchange; NULL: it is not compressed */
	char *url;					/* of the present hop, in exchange; NULL before the first request */
	char *host;					/* same */
	List *tunnels;				/* of http_tunnel.c */
	struct CsTunnel *tunnel;	/* of the present hop; NULL: none, or it is not there yet */
	CsHttpStep tunnel_step;		/* if that is so, or it failed: what was being done */
	bool tunnel_failed;
	bool authenticates; /* see CsHttpRequest */
	bool sent;			/* the present hop is on its way, or was */
	bool allow_unproven_end;
	const char *refusal;			/* see cs_http_refusal; in exchange; NULL: not read */
	bool answered;					/* the head of an answer is there */
	bool ended;						/* the end of its body was reported */
	CsFarewell *farewell;			/* or NULL */
	MemoryContext farewell_context; /* of it and its request; NULL if there is none */
	int64 bytes;					/* of all answers */
	int64 response_bytes;			/* of this one */
	TimestampTz own_start;			/* what next_start leads to for a client of no server */
	TimestampTz *next_start;		/* no request before this; see rate.h */
};

/* Where to connect to in place of the URL's host, its tunnel opened; 0: to the host itself.  Throws 42501
 * for a host that no option names, and what cs_tunnel_create and cs_tunnel_open throw. */
extern int cs_http_tunnel_port(CsHttp *http, const struct CsUrl *url);
extern bool cs_http_may_tunnel_to(const CsHttp *http, const char *host);

/* Did the last transfer fail for its tunnel, and may another one do better? */
extern bool cs_http_tunnel_has_failed(CsHttp *http, bool *passing);

/* Throws if it did. */
extern void cs_http_throw_tunnel_failure(CsHttp *http);

/* The head is there.  What can't be decoded is refused when the body is read. */
extern void cs_http_begin_body(CsHttp *http);

/* The next piece of the body, decompressed and counted; throws nothing but a cancel. */
extern CsBodyStatus cs_http_next_piece(CsHttp *http, const char **data, size_t *len);

/* Why the last transfer failed, or the body ended badly. */
extern void cs_http_throw_failure(CsHttp *http) pg_attribute_noreturn();
extern void cs_http_throw_body(CsHttp *http, CsBodyStatus status) pg_attribute_noreturn();

/* The present hop's URL and host for a message. */
extern char *cs_http_shown_url(CsHttp *http);
extern char *cs_http_shown_host(CsHttp *http);

/* The present hop's host, or the address it has, is not allowed.  address_kind is NULL, and address
 * may be, where the address itself is not to blame. */
extern void cs_http_throw_refused(CsHttp *http, const char *address, const char *address_kind)
	pg_attribute_noreturn();

#endif /* CS_HTTP_INTERNAL_H */
