/*
 * http_curl.h
 *		A transfer as libcurl sees it.  The only file that includes libcurl; included by http.c,
 *		http_setup.c and http_farewell.c only.
 */
#ifndef CS_HTTP_CURL_H
#define CS_HTTP_CURL_H

#include <curl/curl.h>

#include "net/http_internal.h"
#include "utils/palloc.h"

struct CsTransfer
{
	const CsHttpOptions *options;  /* the client's */
	CURLM *multi;				   /* keeps connections between requests; released by cleanup */
	bool borrowed;				   /* multi is another transfer's, which is released later */
	CURL *easy;					   /* released by cleanup */
	struct curl_slist *headers;	   /* same; of the present request */
	struct curl_slist *connect_to; /* same */
	bool added;					   /* easy is in multi: a transfer is under way */
	bool done;					   /* it ended, well if failure.kind is CS_FAILURE_NONE */
	bool paused;				   /* the buffer was full */
	bool tls;
	bool no_body;					/* an answer to HEAD */
	bool requested;					/* connected; the request is on its way */
	bool tls_begun;					/* something was sent to negotiate TLS */
	bool tls_closed;				/* the server said that it has no more to send */
	bool no_fd;						/* refused by AcquireExternalFD */
	int sockets;					/* opened for this request */
	const char *host;				/* CsTransferRequest.host */
	int tunnel_port;				/* CsTransferRequest.tunnel_port */
	char refused[INET6_ADDRSTRLEN]; /* an address that is not allowed, "" if there was none */
	const char *refused_kind;
	TimestampTz timeout;  /* of the request as a whole; 0: none */
	TimestampTz deadline; /* 0: none; see cs_transfer_limit */
	int64 stall_us;		  /* time waited since the last reset_stall */
	int64 stall_bytes;	  /* bytes seen at that time */
	int64 received;		  /* of the present answer, head and body */
	CsHttpHead head;
	CsFailure failure;
	char error[CURL_ERROR_SIZE]; /* filled by libcurl */
	MemoryContextCallback cleanup;
	size_t room;  /* so much may come before it is read */
	size_t len;	  /* of what has come since the reader was last handed something */
	char *buffer; /* where it is, BUFFER_SIZE */
	char *handed; /* same size; what the reader has */
	size_t handed_len;
};

/* Makes the transfer's handle carry this request, from libcurl's defaults on: nothing of an earlier
 * request stays.  Sets no callbacks.  Throws 53200 and HV000. */
extern void cs_transfer_set_options(CsTransfer *transfer, const CsTransferRequest *request);

/* Sees to it that the transfer's handle opens sockets only to addresses that are allowed, and counts them. */
extern void cs_transfer_guard(CsTransfer *transfer);

/* Throws unless libcurl took an option. */
extern void cs_curl_check(CURLcode code);

/* Has libcurl put a time to this stage of the present transfer? */
extern bool cs_transfer_reached(const CsTransfer *transfer, CURLINFO info);

/* Why libcurl gave up with that code. */
extern CsFailureKind cs_transfer_failure_kind(CsTransfer *transfer, CURLcode code);

/* Does anything say that a body that ended without an error has ended where it should? */
extern bool cs_transfer_end_is_proven(const CsTransfer *transfer);

#endif /* CS_HTTP_CURL_H */
