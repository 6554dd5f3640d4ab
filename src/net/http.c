/*
 * http.c
 *		HTTP transfers, driven with libcurl's multi interface.
 *
 * Bytes are pulled: libcurl is only run when the reader wants more, or has a
 * moment for what arrives while it is busy with what it has.  It is made to
 * pause when the buffer is full, so that memory stays flat whatever the size of
 * the body.  Nothing throws inside a callback; what went wrong is noted, and
 * thrown by the caller.
 */
#include "postgres.h"

#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compat.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "net/address.h"
#include "net/http_curl.h"
#include "storage/fd.h"
#include "storage/pmsignal.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

/* What may come while the reader is busy; libcurl pauses when it is full.  It takes longer to decode
 * than servers usually need to answer, so that the request for a next page is in time even if it is
 * sent when the last of a page fits in here. */
#define BUFFER_SIZE (4 * 1024 * 1024)

/* The same of an answer that nobody has asked for yet. */
#define AHEAD_SIZE (1024 * 1024)

/* Longest sleep without a look at interrupts.  A signal ends the sleep at once; this bounds the delay
 * of one that came just before it. */
#define POLL_MS 100

#define MAX_KEPT_CONNECTIONS 20

static void initialize_library(void);
static char *hand_out(CsTransfer *transfer);
static void go_on(CsTransfer *transfer);
static void release(void *arg);
static void set_callbacks(CsTransfer *transfer);
static size_t on_header(char *line, size_t size, size_t count, void *arg);
static size_t on_body(char *data, size_t size, size_t count, void *arg);
static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address);
static bool is_tunnel(const CsTransfer *transfer, const struct sockaddr *address);
static int on_close_socket(void *arg, curl_socket_t fd);
static int on_connected(void *arg, char *address, char *own_address, int port, int own_port);
static int on_debug(CURL *easy, curl_infotype type, char *data, size_t size, void *arg);
static void run(CsTransfer *transfer);
static void collect_results(CURLM *multi);
static void wait_for_more(CsTransfer *transfer);
static void check_timeout(CsTransfer *transfer);
static TimestampTz timeout_from_now(const CsTransfer *transfer);
static void watch_stall(CsTransfer *transfer, int64 waited_us);
static void fail(CsTransfer *transfer, CsFailureKind kind, const char *text);

CsTransfer *
cs_transfer_create(const CsHttpOptions *options, CsTransfer *sibling)
{
	CsTransfer *transfer = palloc0(sizeof(CsTransfer));

	initialize_library();
	transfer->options = options;
	transfer->buffer = palloc(BUFFER_SIZE);
	transfer->handed = palloc(BUFFER_SIZE);
	cs_head_init(&transfer->head);
	transfer->cleanup.func = release;
	transfer->cleanup.arg = transfer;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &transfer->cleanup);
	transfer->borrowed = sibling != NULL;
	transfer->multi = sibling ? sibling->multi : curl_multi_init();
	transfer->easy = curl_easy_init();
	if (transfer->multi == NULL || transfer->easy == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
						errdetail("libcurl could not be initialized.")));
	(void) curl_multi_setopt(transfer->multi, CURLMOPT_MAXCONNECTS, (long) MAX_KEPT_CONNECTIONS);
	return transfer;
}

void
cs_transfer_join(CsTransfer *transfer, const CsTransfer *other)
{
	Assert(!transfer->added && !transfer->borrowed);
	(void) curl_multi_cleanup(transfer->multi);
	transfer->multi = other->multi;
	transfer->borrowed = true;
}

void
cs_transfer_start(CsTransfer *transfer, const CsTransferRequest *request)
{
	cs_transfer_drop(transfer);
	cs_head_reset(&transfer->head);
	memset(&transfer->failure, 0, sizeof(transfer->failure));
	transfer->done = transfer->paused = false;
	transfer->tls_begun = transfer->tls_closed = transfer->no_fd = false;
	transfer->requested = false;
	transfer->tls = request->tls;
	transfer->no_body = strcmp(request->method, "HEAD") == 0;
	transfer->sockets = 0;
	transfer->host = request->host;
	transfer->tunnel_port = request->tunnel_port;
	transfer->refused[0] = transfer->error[0] = '\0';
	transfer->timeout = timeout_from_now(transfer);
	transfer->deadline = 0;
	transfer->stall_us = transfer->stall_bytes = transfer->received = 0;
	transfer->len = transfer->handed_len = 0;
	transfer->room = request->ahead ? AHEAD_SIZE : BUFFER_SIZE;
	cs_transfer_set_options(transfer, request);
	set_callbacks(transfer);
	if (curl_multi_add_handle(transfer->multi, transfer->easy) != CURLM_OK)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
						errdetail("libcurl could not begin a transfer.")));
	transfer->added = true;
}

void
cs_transfer_work(CsTransfer *transfer)
{
	if (transfer->added && !transfer->paused)
		run(transfer);
}

bool
cs_transfer_is_received(const CsTransfer *transfer)
{
	return transfer->done && transfer->failure.kind == CS_FAILURE_NONE;
}

void
cs_transfer_latest(const CsTransfer *transfer, const char **data, size_t *len)
{
	*data = transfer->len > 0 ? transfer->buffer : transfer->handed;
	*len = transfer->len > 0 ? transfer->len : transfer->handed_len;
}

bool
cs_transfer_take(CsTransfer *transfer)
{
	cs_transfer_work(transfer);
	transfer->timeout = timeout_from_now(transfer);
	transfer->room = BUFFER_SIZE;
	go_on(transfer);
	return transfer->head.complete || !transfer->done;
}

bool
cs_transfer_await_head(CsTransfer *transfer)
{
	run(transfer);
	while (!transfer->head.complete && !transfer->done)
	{
		wait_for_more(transfer);
		run(transfer);
	}
	if (!transfer->head.complete && transfer->failure.kind == CS_FAILURE_NONE)
		fail(transfer, CS_FAILURE_LOST, "The head of the answer is not complete.");
	if (!transfer->head.complete)
		return false;
	cs_head_finish(&transfer->head);
	return true;
}

CsTransferStatus
cs_transfer_read(CsTransfer *transfer, const char **data, size_t *len)
{
	cs_transfer_work(transfer);
	check_timeout(transfer);
	while (transfer->len == 0 && !transfer->done)
	{
		wait_for_more(transfer);
		run(transfer);
	}
	*len = transfer->len;
	if (transfer->len > 0)
	{
		*data = hand_out(transfer);
		return CS_TRANSFER_DATA;
	}
	if (transfer->failure.kind != CS_FAILURE_NONE)
		return CS_TRANSFER_FAILED;
	return cs_transfer_end_is_proven(transfer) ? CS_TRANSFER_END : CS_TRANSFER_UNPROVEN_END;
}

void
cs_transfer_limit(CsTransfer *transfer, int ms)
{
	transfer->deadline = TimestampTzPlusMilliseconds(cs_clock_steady(), ms);
}

void
cs_transfer_drop(CsTransfer *transfer)
{
	if (transfer->added)
		(void) curl_multi_remove_handle(transfer->multi, transfer->easy);
	transfer->added = false;
	curl_slist_free_all(transfer->headers);
	curl_slist_free_all(transfer->connect_to);
	transfer->headers = transfer->connect_to = NULL;
}

void
cs_transfer_guard(CsTransfer *transfer)
{
	CURL *easy = transfer->easy;

	cs_curl_check(curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket));
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer));
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket));
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, transfer));
}

const CsHttpHead *
cs_transfer_head(const CsTransfer *transfer)
{
	return &transfer->head;
}

const CsFailure *
cs_transfer_failure(const CsTransfer *transfer)
{
	return &transfer->failure;
}

/* In the process that first needs it: what the TLS library sets up must not be inherited by fork. */
static void
initialize_library(void)
{
	static bool done = false;

	if (done)
		return;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("could not initialize libcurl")));
	done = true;
}

/* The buffers change places, so that more can arrive while the reader is busy. */
static char *
hand_out(CsTransfer *transfer)
{
	char *data = transfer->buffer;

	transfer->buffer = transfer->handed;
	transfer->handed = data;
	transfer->handed_len = transfer->len;
	transfer->len = 0;
	go_on(transfer);
	return data;
}

/* There is room again. */
static void
go_on(CsTransfer *transfer)
{
	if (transfer->paused)
	{
		transfer->paused = false;
		(void) curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
	}
}

static void
release(void *arg)
{
	CsTransfer *transfer = arg;

	if (transfer->multi != NULL)
		cs_transfer_drop(transfer);
	curl_easy_cleanup(transfer->easy);
	if (!transfer->borrowed)
		(void) curl_multi_cleanup(transfer->multi);
}

static void
set_callbacks(CsTransfer *transfer)
{
	CURL *easy = transfer->easy;

	cs_curl_check(curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer));
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header));
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer));
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body));
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer));
	cs_transfer_guard(transfer);
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected));
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer));
	if (!transfer->tls)
		return;
	/* Watches for the server's close_notify; see on_debug. */
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_debug));
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_DEBUGDATA, transfer));
	cs_curl_check(curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L));
}

static size_t
on_header(char *line, size_t size, size_t count, void *arg)
{
	CsTransfer *transfer = arg;

	transfer->received += size * count;
	/* An idle connection that libcurl found closed before it opened this one counts for nothing. */
	if (!transfer->head.complete)
		transfer->tls_closed = false;
	return cs_head_add_line(&transfer->head, line, size * count) ? size * count : 0;
}

static size_t
on_body(char *data, size_t size, size_t count, void *arg)
{
	CsTransfer *transfer = arg;
	size_t len = size * count;

	if (len > AHEAD_SIZE)
		return 0;
	if (len > transfer->room - transfer->len)
	{
		transfer->paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	memcpy(transfer->buffer + transfer->len, data, len);
	transfer->len += len;
	transfer->received += len;
	return len;
}

/* The one place every connection passes, with the address it really goes to. */
static curl_socket_t
on_open_socket(void *arg, curlsocktype purpose pg_attribute_unused(), struct curl_sockaddr *address)
{
	CsTransfer *transfer = arg;
	curl_socket_t fd;

	if (!is_tunnel(transfer, &address->addr) &&
		!cs_address_is_allowed(transfer->host, &address->addr))
	{
		cs_address_text(&address->addr, transfer->refused, sizeof(transfer->refused));
		transfer->refused_kind = cs_address_kind(&address->addr);
		return CURL_SOCKET_BAD;
	}
	if (!AcquireExternalFD())
	{
		transfer->no_fd = true;
		return CURL_SOCKET_BAD;
	}
	fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd == CURL_SOCKET_BAD)
		ReleaseExternalFD();
	else
		transfer->sockets++;
	return fd;
}

/* The way into a tunnel, which was opened for this host. */
static bool
is_tunnel(const CsTransfer *transfer, const struct sockaddr *address)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *) address;

	return transfer->tunnel_port != 0 && in->sin_family == AF_INET &&
		   in->sin_addr.s_addr == htonl(INADDR_LOOPBACK) &&
		   ntohs(in->sin_port) == transfer->tunnel_port;
}

static int
on_close_socket(void *arg pg_attribute_unused(), curl_socket_t fd)
{
	ReleaseExternalFD();
	return close(fd);
}

/* The connection is there, with TLS if need be.  (The time that libcurl puts to this, recent versions
 * put to a failure to get there, too.) */
static int
on_connected(void *arg, char *address pg_attribute_unused(),
			 char *own_address pg_attribute_unused(), int port pg_attribute_unused(),
			 int own_port pg_attribute_unused())
{
	((CsTransfer *) arg)->requested = true;
	return CURL_PREREQFUNC_OK;
}

/*
 * Looks for the TLS alert close_notify, which tells the end of a stream from a
 * cut: libcurl reports it nowhere else, and with some versions of OpenSSL takes
 * a bare end of the connection for it.  A TLS library that shows no alerts to
 * libcurl leaves the end unproven.
 */
static int
on_debug(CURL *easy pg_attribute_unused(), curl_infotype type, char *data, size_t size, void *arg)
{
	static const char close_notify[2] = { 1, 0 };

	/* libcurl puts no time to the connection before TLS is there, too. */
	if (type == CURLINFO_SSL_DATA_OUT)
		((CsTransfer *) arg)->tls_begun = true;
	if (type == CURLINFO_SSL_DATA_IN && size == 2 && memcmp(data, close_notify, 2) == 0)
		((CsTransfer *) arg)->tls_closed = true;
	return 0;
}

/* Lets libcurl do what can be done without waiting, for both siblings.  Threads that it starts to look up names must
 * not take signals meant for this process's only real thread. */
static void
run(CsTransfer *transfer)
{
	int running;
	sigset_t before;
	CURLMcode code;

	if (transfer->done)
		return;
	sigprocmask(SIG_SETMASK, &BlockSig, &before);
	code = curl_multi_perform(transfer->multi, &running);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (code != CURLM_OK)
		fail(transfer, code == CURLM_OUT_OF_MEMORY ? CS_FAILURE_NO_MEMORY : CS_FAILURE_OTHER,
			 curl_multi_strerror(code));
	else
		collect_results(transfer->multi);
}

static void
collect_results(CURLM *multi)
{
	int left;
	CURLMsg *message;

	while ((message = curl_multi_info_read(multi, &left)) != NULL)
	{
		CURLcode code = message->data.result;
		CsTransfer *transfer = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		(void) curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &transfer);
		transfer->done = true;
		if (code != CURLE_OK)
			fail(transfer, cs_transfer_failure_kind(transfer, code),
				 transfer->error[0] != '\0' ? transfer->error : curl_easy_strerror(code));
	}
}

/* Sleeps until there is something to do for libcurl, or a signal, or a moment has passed. */
static void
wait_for_more(CsTransfer *transfer)
{
	TimestampTz before = cs_clock_steady();
	TimestampTz after;

	/* As before waiting for a client: what was looked up must not hold back a vacuum. */
	InvalidateCatalogSnapshotConditionally();
	pgstat_report_wait_start(cs_wait_event(CS_WAIT_SOURCE));
	(void) curl_multi_poll(transfer->multi, NULL, 0, POLL_MS, NULL);
	pgstat_report_wait_end();
	if (IsUnderPostmaster && !PostmasterIsAlive())
		ereport(FATAL, (errcode(ERRCODE_ADMIN_SHUTDOWN),
						errmsg("terminating connection due to unexpected postmaster exit")));
	CHECK_FOR_INTERRUPTS();
	after = cs_clock_steady();
	check_timeout(transfer);
	if (transfer->done)
		return;
	if (transfer->deadline != 0 && after >= transfer->deadline)
		fail(transfer, CS_FAILURE_STALLED, "");
	else if (transfer->requested)
		watch_stall(transfer, Max(after - before, 0));
}

/* libcurl's own limit can't be begun anew; see cs_transfer_take. */
static void
check_timeout(CsTransfer *transfer)
{
	if (!transfer->done && transfer->timeout != 0 && cs_clock_steady() >= transfer->timeout)
		fail(transfer, transfer->requested ? CS_FAILURE_TIMEOUT : CS_FAILURE_CONNECT_TIMEOUT, "");
}

static TimestampTz
timeout_from_now(const CsTransfer *transfer)
{
	int timeout_s = transfer->options->timeout_s;

	return timeout_s > 0 ? cs_clock_steady() + timeout_s * USECS_PER_SEC : 0;
}

/* Counts only time spent waiting here: a reader that takes its time with a piece is no stall. */
static void
watch_stall(CsTransfer *transfer, int64 waited_us)
{
	int limit_s = transfer->options->stall_timeout_s;
	curl_off_t sent = 0;
	int64 bytes;

	(void) curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
	bytes = transfer->received + sent;
	transfer->stall_us += waited_us;
	if (bytes - transfer->stall_bytes >= Max(limit_s, 1))
	{
		transfer->stall_us = 0;
		transfer->stall_bytes = bytes;
	}
	else if (limit_s > 0 && transfer->stall_us >= limit_s * USECS_PER_SEC)
		fail(transfer, CS_FAILURE_STALLED, "");
}

static void
fail(CsTransfer *transfer, CsFailureKind kind, const char *text)
{
	CsFailure *failure = &transfer->failure;

	transfer->done = true;
	failure->kind = kind;
	failure->step = cs_transfer_step(transfer);
	strlcpy(failure->text, text, sizeof(failure->text));
	strlcpy(failure->address, transfer->refused, sizeof(failure->address));
	failure->address_kind = transfer->refused_kind;
}
