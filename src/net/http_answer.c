/*
 * http_answer.c
 *		What a client tells of the last answer.
 */
#include "postgres.h"

#include "net/http_internal.h"
#include "net/redact.h"

int
cs_http_status(CsHttp *http)
{
	return cs_transfer_head(http->transfer)->status;
}

bool
cs_http_allow_unproven_end(CsHttp *http, bool allow)
{
	bool before = http->allow_unproven_end;

	http->allow_unproven_end = allow;
	return before;
}

char *
cs_http_redact(CsHttp *http, const char *text, int len, int max_len)
{
	return cs_redact(text, len, max_len, http->options.secrets);
}

char *
cs_http_redact_secrets(CsHttp *http, const char *text)
{
	return cs_redact_secrets(text, http->options.secrets);
}

const char *
cs_http_header(CsHttp *http, const char *name)
{
	return cs_head_find(cs_transfer_head(http->transfer), name, NULL);
}

List *
cs_http_headers(CsHttp *http, const char *name)
{
	const CsHttpHead *head = cs_transfer_head(http->transfer);
	const char *value = NULL;
	List *result = NIL;

	while ((value = cs_head_find(head, name, value)) != NULL)
		result = lappend(result, pstrdup(value));
	return result;
}

const char *
cs_http_url(CsHttp *http)
{
	return http->url;
}

int64
cs_http_bytes(CsHttp *http)
{
	return http->bytes;
}

CsHttpStep
cs_http_step(CsHttp *http)
{
	int status = cs_transfer_head(http->transfer)->status;
	CsHttpStep step = cs_transfer_step(http->transfer);

	if (http->url == NULL)
		return CS_HTTP_RESOLVE;
	if (http->options.tunnel && (http->tunnel == NULL || http->tunnel_failed))
		return http->tunnel_step;
	/* The curl handle still knows of the request before when this one was refused unsent. */
	if (!http->sent)
		return CS_HTTP_CONNECT;
	if (cs_transfer_failure(http->transfer)->kind != CS_FAILURE_NONE)
		step = cs_transfer_failure(http->transfer)->step;
	if (step == CS_HTTP_QUERY && (http->authenticates || status == 401 || status == 403))
		return CS_HTTP_AUTHENTICATE;
	return step;
}
