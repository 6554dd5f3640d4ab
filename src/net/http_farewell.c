/*
 * http_farewell.c
 *		A last request, sent when its client goes away before it was taken back.
 *
 * It is sent by the reset callback of a memory context: on errors, cancels and
 * the end of the backend, where nothing may throw, allocate or take long.  So
 * all of it is put together beforehand, and kept by libcurl or in the context
 * that is about to go.  It has a connection of its own, which is tried for a
 * moment; what is answered, and whether, is nobody's business.
 */
#include "postgres.h"

#include <signal.h>

#include "libpq/pqsignal.h"
#include "net/http_curl.h"

/* Of the farewell as a whole, and of its connection. */
#define FAREWELL_MS 2500L
#define FAREWELL_CONNECT_MS 2000L

struct CsFarewell
{
	CsTransfer transfer; /* its options, handle, headers, and what connections are judged by; no
						  * buffers */
	bool armed;
	MemoryContextCallback callback;
};

static void say(void *arg);
static void release(CsFarewell *farewell);
static size_t ignore(char *data, size_t size, size_t count, void *arg);

CsFarewell *
cs_farewell_create(const CsHttpOptions *options, const CsTransferRequest *request)
{
	CsFarewell *farewell = palloc0(sizeof(CsFarewell));
	CsTransfer *transfer = &farewell->transfer;

	transfer->options = options;
	transfer->host = request->host;
	transfer->tunnel_port = request->tunnel_port;
	/* Before the handle is there: nothing below leaves it without an owner. */
	farewell->callback.func = say;
	farewell->callback.arg = farewell;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &farewell->callback);
	transfer->easy = curl_easy_init();
	if (transfer->easy == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
						errdetail("libcurl could not be initialized.")));
	cs_transfer_set_options(transfer, request);
	cs_transfer_guard(transfer);
	cs_curl_check(curl_easy_setopt(transfer->easy, CURLOPT_WRITEFUNCTION, ignore));
	cs_curl_check(curl_easy_setopt(transfer->easy, CURLOPT_FORBID_REUSE, 1L));
	cs_curl_check(curl_easy_setopt(transfer->easy, CURLOPT_TIMEOUT_MS, FAREWELL_MS));
	cs_curl_check(curl_easy_setopt(transfer->easy, CURLOPT_CONNECTTIMEOUT_MS, FAREWELL_CONNECT_MS));
	farewell->armed = true;
	return farewell;
}

void
cs_farewell_take_back(CsFarewell *farewell)
{
	farewell->armed = false;
	release(farewell);
}

/* Throws nothing.  Signals wait: libcurl's threads must not take them, nor may one cut this short half
 * way through the end of a transaction. */
static void
say(void *arg)
{
	CsFarewell *farewell = arg;
	sigset_t before;

	if (farewell->armed)
	{
		farewell->armed = false;
		sigprocmask(SIG_SETMASK, &BlockSig, &before);
		(void) curl_easy_perform(farewell->transfer.easy);
		sigprocmask(SIG_SETMASK, &before, NULL);
	}
	release(farewell);
}

static void
release(CsFarewell *farewell)
{
	CsTransfer *transfer = &farewell->transfer;

	curl_easy_cleanup(transfer->easy);
	curl_slist_free_all(transfer->headers);
	curl_slist_free_all(transfer->connect_to);
	transfer->easy = NULL;
	transfer->headers = transfer->connect_to = NULL;
}

static size_t
ignore(char *data pg_attribute_unused(), size_t size, size_t count, void *arg pg_attribute_unused())
{
	return size * count;
}
