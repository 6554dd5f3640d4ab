/*
 * http_error.c
 *		What went wrong with an HTTP request, in words, with a code and a way out.
 *
 * An interrupt always comes first: a canceled query must say so, whatever the
 * cancel did to its connection.
 */
#include "postgres.h"

#include "base/errors.h"
#include "base/settings.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "net/address.h"
#include "net/http_internal.h"
#include "net/url.h"

#define MAX_DETAIL 500

/* How much of the body of a refusal is read, and how long that may take. */
#define MAX_BODY 16384
#define BODY_TIMEOUT_MS 5000

static void throw_timeout(CsHttp *http, const CsFailure *failure) pg_attribute_noreturn();
static void throw_connection(CsHttp *http, int code, const char *message, const char *hint)
	pg_attribute_noreturn();
static char *failure_detail(CsHttp *http);
static char *sentence(char *text);
static int status_code(int status);
static const char *status_hint(CsHttp *http, int status);

void
cs_http_throw_failure(CsHttp *http)
{
	const CsFailure *failure = cs_transfer_failure(http->transfer);

	CHECK_FOR_INTERRUPTS();
	if (failure->kind != CS_FAILURE_CERTIFICATE && failure->kind != CS_FAILURE_NO_FD &&
		failure->kind != CS_FAILURE_CA_FILE && failure->kind != CS_FAILURE_NOT_HTTP &&
		failure->kind != CS_FAILURE_NO_MEMORY)
		cs_http_throw_tunnel_failure(http);
	switch (failure->kind)
	{
		case CS_FAILURE_RESOLVE:
			throw_connection(http, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
							 "could not resolve host \"%s\"",
							 "Check the name, and the name service of the database's machine.");
		case CS_FAILURE_REFUSED:
			cs_http_throw_refused(http, failure->address, failure->address_kind);
		case CS_FAILURE_NO_FD:
			throw_connection(http, ERRCODE_INSUFFICIENT_RESOURCES,
							 "could not connect to \"%s\": too many open files",
							 "Raise max_files_per_process and the system's limit of open files.");
		case CS_FAILURE_CONNECT:
			throw_connection(http, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
							 "could not connect to \"%s\"",
							 "Is the server running, and can the database's machine reach it?");
		case CS_FAILURE_CERTIFICATE:
			throw_connection(http, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
							 "the certificate of \"%s\" could not be verified",
							 "The certificate must be valid for this host name. If a private "
							 "authority issued it, a superuser can name that authority's "
							 "certificate in the server option \"ca_file\".");
		case CS_FAILURE_CA_FILE:
			throw_connection(http, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
							 "could not load the certificates to verify \"%s\" with",
							 "Check the server option \"ca_file\": the file must be in PEM format, "
							 "and the database server must be able to read it.");
		case CS_FAILURE_TLS:
			throw_connection(http, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
							 "could not establish a TLS connection to \"%s\"",
							 "Check that the port speaks TLS 1.2 or later.");
		case CS_FAILURE_CONNECT_TIMEOUT:
		case CS_FAILURE_TIMEOUT:
		case CS_FAILURE_STALLED:
			throw_timeout(http, failure);
		case CS_FAILURE_LOST:
			throw_connection(
				http, ERRCODE_CONNECTION_FAILURE, "connection to \"%s\" was lost",
				"Run again. If it is lost every time, have the server send less in one "
				"answer.");
		case CS_FAILURE_NOT_HTTP:
			throw_connection(http, ERRCODE_PROTOCOL_VIOLATION, "\"%s\" did not answer in HTTP",
							 "Check the port, and whether the URL should begin with \"https\".");
		case CS_FAILURE_HEAD_TOO_LARGE:
			throw_connection(http, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
							 "the headers of the answer of \"%s\" are too large",
							 "Check the URL: such headers are the sign of a fault.");
		case CS_FAILURE_NO_MEMORY:
			ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
		case CS_FAILURE_NONE:
		case CS_FAILURE_OTHER:
			break;
	}
	throw_connection(http, ERRCODE_FDW_ERROR, "HTTP request to \"%s\" failed",
					 "Check the URL, and the server behind it.");
}

void
cs_http_throw_body(CsHttp *http, CsBodyStatus status)
{
	char *url = cs_http_shown_url(http);

	CHECK_FOR_INTERRUPTS();
	switch (status)
	{
		case CS_BODY_UNPROVEN_END:
			ereport(ERROR,
					(errcode(ERRCODE_PROTOCOL_VIOLATION),
					 errmsg("can't tell whether the answer of \"%s\" is complete", url),
					 errdetail("It has neither a length nor chunks; it ended when the connection "
							   "was closed."),
					 errhint("The server option end_of_body 'close' accepts such answers, cut "
							 "ones included.")));
			break;
		case CS_BODY_CORRUPT:
			ereport(
				ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("can't decompress the answer of \"%s\"", url),
				 errdetail("Its Content-Encoding is \"%s\".",
						   cs_http_redact(http, cs_http_header(http, "Content-Encoding"),
										  strlen(cs_http_header(http, "Content-Encoding")), 100)),
				 errhint("Only gzip and deflate are supported.")));
			break;
		case CS_BODY_TRUNCATED:
			ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
							errmsg("the answer of \"%s\" is cut off", url),
							errdetail("The compressed stream in it is not complete."),
							errhint("The server or something on the way cut it short: run again, "
									"or have it send less in one answer.")));
			break;
		case CS_BODY_TOO_LARGE:
			ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
							errmsg("the answer of \"%s\" is larger than " INT64_FORMAT " bytes",
								   url, http->options.max_response_bytes),
							errhint("Ask for less at a time, or raise the server option "
									"\"max_response_size\" and the setting "
									"censync.max_response_size, which is its limit.")));
			break;
		case CS_BODY_FAILED:
		case CS_BODY_DATA:
		case CS_BODY_END:
			break;
	}
	cs_http_throw_failure(http);
}

void
cs_http_throw_status(CsHttp *http)
{
	int status = cs_http_status(http);
	const char *body = cs_http_refusal(http);
	const char *hint = status_hint(http, status);

	cs_transfer_drop(http->transfer);
	CHECK_FOR_INTERRUPTS();
	ereport(ERROR,
			(errcode(status_code(status)),
			 errmsg("\"%s\" answered with HTTP status %d", cs_http_shown_url(http), status),
			 *body != '\0' ? errdetail("The answer begins: %s",
									   cs_http_redact(http, body, (int) strlen(body), MAX_DETAIL))
						   : 0,
			 hint ? errhint("%s", hint) : 0));
}

/* A state of the server or of what is asked for passes; a request that is wrong stays wrong. */
int
cs_http_refusal_code(int status)
{
	switch (status)
	{
		case 408: /* timeout */
		case 409: /* conflict */
		case 423: /* locked */
		case 425: /* too early */
		case 499: /* closed by the client */
			return ERRCODE_FDW_ERROR;
		default:
			return status >= 300 && status < 500 ? CS_ERRCODE_REFUSED : ERRCODE_FDW_ERROR;
	}
}

const char *
cs_http_refusal(CsHttp *http)
{
	MemoryContext old = MemoryContextSwitchTo(http->exchange);
	StringInfoData body;
	const char *data;
	size_t len;

	if (http->refusal == NULL)
	{
		initStringInfo(&body);
		cs_transfer_limit(http->transfer, BODY_TIMEOUT_MS);
		while (!http->ended && body.len < MAX_BODY &&
			   cs_http_next_piece(http, &data, &len) == CS_BODY_DATA)
			appendBinaryStringInfo(&body, data, Min(len, (size_t) (MAX_BODY - body.len)));
		http->refusal = cs_http_redact(http, body.data, body.len, MAX_BODY);
	}
	MemoryContextSwitchTo(old);
	return http->refusal;
}

void
cs_http_throw_refused(CsHttp *http, const char *address, const char *address_kind)
{
	char *host = cs_http_shown_host(http);
	char *kind = address_kind ? psprintf("%s is %s", address, address_kind) : NULL;

	ereport(
		ERROR,
		(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		 errmsg("connection to \"%s\" is not allowed", host),
		 cs_allowed_hosts_are_missing() ? errdetail("What was given as censync.allowed_hosts could "
													"not be set, so nothing is allowed.")
		 : kind							? errdetail("Its address %s.", kind)
				: errdetail("Neither its name nor its address is in censync.allowed_hosts."),
		 errhint("A superuser can add \"%s\" to censync.allowed_hosts.", kind ? address : host)));
}

char *
cs_http_shown_url(CsHttp *http)
{
	char *url = cs_url_display(http->url);

	return cs_http_redact(http, url, strlen(url), 300);
}

char *
cs_http_shown_host(CsHttp *http)
{
	return cs_http_redact(http, http->host, strlen(http->host), 300);
}

static void
throw_timeout(CsHttp *http, const CsFailure *failure)
{
	static const char *const steps[] = { "resolving its name", "logging in to the SSH host",
										 "connecting", "negotiating TLS" };
	const CsHttpOptions *options = &http->options;

	if (failure->kind == CS_FAILURE_CONNECT_TIMEOUT)
		ereport(ERROR,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("connecting to \"%s\" took longer than %d s", cs_http_shown_host(http),
						options->timeout_s > 0 && options->timeout_s < options->connect_timeout_s
							? options->timeout_s
							: options->connect_timeout_s),
				 errdetail("It ended while %s.", steps[Min(failure->step, CS_HTTP_TLS)]),
				 errhint("If the server is slow, raise the server option \"connect_timeout\".")));
	if (failure->kind == CS_FAILURE_TIMEOUT)
		ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
						errmsg("the request to \"%s\" took longer than %d s",
							   cs_http_shown_url(http), options->timeout_s),
						errhint("If that is normal, raise the server option \"timeout\".")));
	ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE),
					errmsg("the server of \"%s\" has sent nothing for %d s",
						   cs_http_shown_url(http), options->stall_timeout_s),
					errhint("If the server is slow, raise the server option \"stall_timeout\".")));
}

/* message has one %s, for the host. */
static void
throw_connection(CsHttp *http, int code, const char *message, const char *hint)
{
	char *detail = failure_detail(http);

	ereport(ERROR, (errcode(code), errmsg(message, cs_http_shown_host(http)),
					*detail != '\0' ? errdetail("%s", detail) : 0, hint ? errhint("%s", hint) : 0));
}

/* What libcurl says, as a sentence. */
static char *
failure_detail(CsHttp *http)
{
	const char *text = cs_transfer_failure(http->transfer)->text;

	return sentence(cs_http_redact(http, text, strlen(text), MAX_DETAIL));
}

static char *
sentence(char *text)
{
	size_t len = strlen(text);

	while (len > 0 && strchr(" .", text[len - 1]) != NULL)
		text[--len] = '\0';
	if (len == 0)
		return text;
	text[0] = pg_toupper((unsigned char) text[0]);
	return psprintf("%s.", text);
}

static int
status_code(int status)
{
	switch (status)
	{
		case 401:
		case 403:
			return ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
		case 404:
		case 410:
			return ERRCODE_UNDEFINED_OBJECT;
		case 429:
			return ERRCODE_CONFIGURATION_LIMIT_EXCEEDED;
		default:
			return cs_http_refusal_code(status);
	}
}

static const char *
status_hint(CsHttp *http, int status)
{
	const char *retry_after = cs_http_header(http, "Retry-After");

	switch (status)
	{
		case 401:
			return "Check the credentials in the user mapping.";
		case 403:
			return "Check what the credentials in the user mapping give access to.";
		case 404:
		case 410:
			return http->authenticates ? "Check the option \"token_url\" of the user mapping."
									   : "Check the server's URL and the object.";
		case 429:
			return retry_after
					   ? psprintf("The server asks to wait: Retry-After is \"%s\", "
								  "censync.http_max_wait is %d s. The server option "
								  "\"rate_limit\" keeps below a limit.",
								  cs_http_redact(http, retry_after, strlen(retry_after), 100),
								  cs_http_max_wait_s)
					   : "Set the server option \"rate_limit\", or run less often.";
		default:
			return cs_http_refusal_code(status) == ERRCODE_FDW_ERROR
					   ? "The fault is the server's; try again later."
					   : "Check the object, and the options that shape the request: "
						 "headers, pagination and what it needs.";
	}
}
