/*
 * http_outcome.c
 *		How far a transfer came, what ended it, and whether that was its end.
 */
#include "postgres.h"

#include "net/http_curl.h"

CsHttpStep
cs_transfer_step(const CsTransfer *transfer)
{
	if (transfer->head.status > 0 || transfer->requested)
		return CS_HTTP_QUERY;
	if (transfer->tls_begun)
		return CS_HTTP_TLS;
	if (cs_transfer_reached(transfer, CURLINFO_CONNECT_TIME_T))
		return transfer->tls ? CS_HTTP_TLS : CS_HTTP_QUERY;
	return cs_transfer_reached(transfer, CURLINFO_NAMELOOKUP_TIME_T) ? CS_HTTP_CONNECT
																	 : CS_HTTP_RESOLVE;
}

CsFailureKind
cs_transfer_failure_kind(CsTransfer *transfer, CURLcode code)
{
	switch (code)
	{
		case CURLE_COULDNT_RESOLVE_HOST:
		case CURLE_COULDNT_RESOLVE_PROXY:
			return CS_FAILURE_RESOLVE;
		case CURLE_COULDNT_CONNECT:
			if (transfer->refused[0] != '\0' && transfer->sockets == 0)
				return CS_FAILURE_REFUSED;
			return transfer->no_fd ? CS_FAILURE_NO_FD : CS_FAILURE_CONNECT;
		case CURLE_OPERATION_TIMEDOUT:
			return transfer->requested ? CS_FAILURE_TIMEOUT : CS_FAILURE_CONNECT_TIMEOUT;
		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_SSL_ISSUER_ERROR:
			return CS_FAILURE_CERTIFICATE;
		case CURLE_SSL_CACERT_BADFILE:
			return CS_FAILURE_CA_FILE;
		case CURLE_SSL_CONNECT_ERROR:
		case CURLE_SSL_CERTPROBLEM:
		case CURLE_SSL_CIPHER:
		case CURLE_SSL_ENGINE_NOTFOUND:
		case CURLE_SSL_ENGINE_SETFAILED:
		case CURLE_SSL_ENGINE_INITFAILED:
		case CURLE_SSL_CRL_BADFILE:
		case CURLE_SSL_INVALIDCERTSTATUS:
			return CS_FAILURE_TLS;
		case CURLE_SEND_ERROR:
		case CURLE_RECV_ERROR:
		case CURLE_PARTIAL_FILE:
		case CURLE_GOT_NOTHING:
		case CURLE_HTTP2:
		case CURLE_HTTP2_STREAM:
		case CURLE_SSL_SHUTDOWN_FAILED:
			return CS_FAILURE_LOST;
		case CURLE_UNSUPPORTED_PROTOCOL:
		case CURLE_WEIRD_SERVER_REPLY:
		case CURLE_BAD_CONTENT_ENCODING:
			return CS_FAILURE_NOT_HTTP;
		case CURLE_WRITE_ERROR:
			return transfer->head.overflow ? CS_FAILURE_HEAD_TOO_LARGE : CS_FAILURE_OTHER;
		case CURLE_OUT_OF_MEMORY:
			return CS_FAILURE_NO_MEMORY;
		default:
			return CS_FAILURE_OTHER;
	}
}

/* Does anything say that a body that ended without an error has ended where it should? */
bool
cs_transfer_end_is_proven(const CsTransfer *transfer)
{
	const CsHttpHead *head = &transfer->head;
	curl_off_t length = -1;
	long version = 0;

	(void) curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	(void) curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_VERSION, &version);
	return transfer->no_body || head->status == 204 || head->status == 304 || length >= 0 ||
		   version >= CURL_HTTP_VERSION_2_0 ||
		   cs_head_lists(head, "Transfer-Encoding", "chunked") || transfer->tls_closed;
}

/* Has libcurl put a time to this stage of the present transfer? */
bool
cs_transfer_reached(const CsTransfer *transfer, CURLINFO info)
{
	curl_off_t us = 0;

	return curl_easy_getinfo(transfer->easy, info, &us) == CURLE_OK && us > 0;
}
