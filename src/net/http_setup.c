/*
 * http_setup.c
 *		One HTTP request put into libcurl's terms.
 */
#include "postgres.h"

#include "net/http_curl.h"

/* Google compresses only for agents that have "gzip" in their name. */
#define USER_AGENT "censync/1.0 (gzip)"

/* Bytes libcurl asks the kernel for at once; its upper limit in older versions. */
#define RECEIVE_SIZE (512 * 1024)

/* libcurl 8.0.0, as in its version_num. */
#define FIRST_SAFE_HTTP2 0x080000

static long http_version(void);
static void set_tls(CsTransfer *transfer);
static void set_tunnel(CsTransfer *transfer, int port);
static void set_method(CsTransfer *transfer, const CsTransferRequest *request);
static void set_headers(CsTransfer *transfer, const CsTransferRequest *request);
static void add_header(CsTransfer *transfer, const char *line);
static bool has_header(const CsTransferRequest *request, const char *name);

void
cs_transfer_set_options(CsTransfer *transfer, const CsTransferRequest *request)
{
	CURL *easy = transfer->easy;
	const CsHttpOptions *options = transfer->options;

	curl_easy_reset(easy);
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_URL, request->url));
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L));
#if LIBCURL_VERSION_NUM >= 0x075500
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https"));
#else
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L));
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L));
#if LIBCURL_VERSION_NUM >= 0x075700
	/* An abandoned name lookup is left to its thread instead of being waited for. */
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L));
#endif
	/* Nothing comes from the environment. */
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_PROXY, ""));
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_NOPROXY, "*"));
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_NETRC, (long) CURL_NETRC_IGNORED));
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, http_version()));
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L));
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, (long) request->fresh_connection));
	cs_curl_check(
		curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long) options->connect_timeout_s));
	/* Refused, and not needed, where a request before has not got as far as to give its buffer back. */
	(void) curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long) RECEIVE_SIZE);
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_USERAGENT, USER_AGENT));
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error));
	if (request->tunnel_port != 0)
		set_tunnel(transfer, request->tunnel_port);
	if (request->tls)
		set_tls(transfer);
	set_method(transfer, request);
	set_headers(transfer, request);
}

void
cs_curl_check(CURLcode code)
{
	if (code == CURLE_OUT_OF_MEMORY)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	if (code != CURLE_OK)
		ereport(ERROR, (errcode(ERRCODE_FDW_ERROR), errmsg("libcurl does not accept an option"),
						errdetail("%s.", curl_easy_strerror(code)),
						errhint("It may be too old, or built without TLS.")));
}

/* An older libcurl takes a stream that an HTTP/2 server resets without an error code for one that
 * is complete; the chunks of HTTP/1.1 leave no such doubt. */
static long
http_version(void)
{
	return curl_version_info(CURLVERSION_NOW)->version_num >= FIRST_SAFE_HTTP2
			   ? CURL_HTTP_VERSION_2TLS
			   : CURL_HTTP_VERSION_1_1;
}

static void
set_tls(CsTransfer *transfer)
{
	CURL *easy = transfer->easy;

	cs_curl_check(curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L));
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L));
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2));
	if (transfer->options->ca_file == NULL)
		return;
	/* Instead of the system's certificates, not besides them. */
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_CAPATH, NULL));
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_CAINFO, transfer->options->ca_file));
}

/* Whatever the URL says: names in certificates, in TLS and in headers stay those of the URL. */
static void
set_tunnel(CsTransfer *transfer, int port)
{
	char *way = psprintf("::127.0.0.1:%d", port);

	transfer->connect_to = curl_slist_append(NULL, way);
	pfree(way);
	cs_curl_check(transfer->connect_to == NULL ? CURLE_OUT_OF_MEMORY : CURLE_OK);
	cs_curl_check(curl_easy_setopt(transfer->easy, CURLOPT_CONNECT_TO, transfer->connect_to));
}

static void
set_method(CsTransfer *transfer, const CsTransferRequest *request)
{
	CURL *easy = transfer->easy;
	bool is_post = strcmp(request->method, "POST") == 0;

	if (transfer->no_body)
		cs_curl_check(curl_easy_setopt(easy, CURLOPT_NOBODY, 1L));
	else if (request->body != NULL || is_post)
	{
		curl_off_t len = request->body ? (curl_off_t) request->body_len : 0;

		cs_curl_check(curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, len));
		cs_curl_check(
			curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body ? request->body : ""));
	}
	if (!transfer->no_body && !is_post)
		cs_curl_check(curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method));
}

/* Also takes away what libcurl would add by itself. */
static void
set_headers(CsTransfer *transfer, const CsTransferRequest *request)
{
	ListCell *cell;

	foreach (cell, request->headers)
	{
		const CsHttpHeader *header = lfirst(cell);
		char *line = *header->value == '\0' ? psprintf("%s;", header->name)
											: psprintf("%s: %s", header->name, header->value);

		add_header(transfer, line);
		pfree(line);
	}
	add_header(transfer, "Expect:");
	if (!has_header(request, "Content-Type"))
		add_header(transfer, "Content-Type:");
	if (!has_header(request, "Accept-Encoding"))
		add_header(transfer, "Accept-Encoding: gzip");
	cs_curl_check(curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers));
}

static void
add_header(CsTransfer *transfer, const char *line)
{
	struct curl_slist *headers = curl_slist_append(transfer->headers, line);

	cs_curl_check(headers == NULL ? CURLE_OUT_OF_MEMORY : CURLE_OK);
	transfer->headers = headers;
}

static bool
has_header(const CsTransferRequest *request, const char *name)
{
	ListCell *cell;

	foreach (cell, request->headers)
	{
		if (pg_strcasecmp(((CsHttpHeader *) lfirst(cell))->name, name) == 0)
			return true;
	}
	return false;
}
