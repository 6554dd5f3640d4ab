/*
 * http_body.c
 *		The body of an answer: its pieces, what they are compressed with, and when it
 *		has ended.
 */
#include "postgres.h"

#include "net/http_internal.h"

static CsBodyStatus next_raw(CsHttp *http, const char **data, size_t *len);
static CsBodyStatus next_plain(CsHttp *http, const char **data, size_t *len);

void
cs_http_begin_body(CsHttp *http)
{
	const char *encoding = cs_http_header(http, "Content-Encoding");

	http->answered = true;
	http->ended = false;
	http->response_bytes = 0;
	http->gunzip = NULL;
	if (encoding != NULL && *encoding != '\0' && pg_strcasecmp(encoding, "identity") != 0)
		http->gunzip = cs_gunzip_create();
}

bool
cs_http_read(CsHttp *http, const char **data, size_t *len)
{
	CsBodyStatus status;

	if (!http->answered)
		elog(ERROR, "there is no HTTP answer to read");
	if (http->ended)
		return false;
	status = cs_http_next_piece(http, data, len);
	if (status == CS_BODY_DATA)
		return true;
	if (status != CS_BODY_END && !(status == CS_BODY_UNPROVEN_END && http->allow_unproven_end))
		cs_http_throw_body(http, status);
	/* A tunnel that broke down is no server that has closed the connection. */
	if (status == CS_BODY_UNPROVEN_END)
		cs_http_throw_tunnel_failure(http);
	http->ended = true;
	cs_transfer_drop(http->transfer);
	return false;
}

bool
cs_http_end_of_body(CsHttp *http, const char **data, size_t *len)
{
	if (!http->answered || http->gunzip || !cs_transfer_is_received(http->transfer))
		return false;
	cs_transfer_latest(http->transfer, data, len);
	return *len > 0;
}

CsBodyStatus
cs_http_next_piece(CsHttp *http, const char **data, size_t *len)
{
	CsBodyStatus status = http->gunzip ? next_plain(http, data, len) : next_raw(http, data, len);

	if (status != CS_BODY_DATA)
		return status;
	http->bytes += *len;
	http->response_bytes += *len;
	if (http->response_bytes > http->options.max_response_bytes)
		return CS_BODY_TOO_LARGE;
	return CS_BODY_DATA;
}

static CsBodyStatus
next_raw(CsHttp *http, const char **data, size_t *len)
{
	switch (cs_transfer_read(http->transfer, data, len))
	{
		case CS_TRANSFER_DATA:
			return CS_BODY_DATA;
		case CS_TRANSFER_END:
			return CS_BODY_END;
		case CS_TRANSFER_UNPROVEN_END:
			return CS_BODY_UNPROVEN_END;
		case CS_TRANSFER_FAILED:
			break;
	}
	return CS_BODY_FAILED;
}

/* The end of a compressed stream proves nothing about the body around it, nor the other way
 * round: both must have ended. */
static CsBodyStatus
next_plain(CsHttp *http, const char **data, size_t *len)
{
	for (;;)
	{
		const char *raw;
		size_t raw_len;
		CsBodyStatus status;

		switch (cs_gunzip_next(http->gunzip, data, len))
		{
			case CS_GUNZIP_DATA:
				return CS_BODY_DATA;
			case CS_GUNZIP_CORRUPT:
				return CS_BODY_CORRUPT;
			case CS_GUNZIP_MORE:
				break;
		}
		status = next_raw(http, &raw, &raw_len);
		if (status == CS_BODY_DATA)
			cs_gunzip_feed(http->gunzip, raw, raw_len);
		else if (status == CS_BODY_FAILED || cs_gunzip_is_complete(http->gunzip))
			return status;
		else
			return CS_BODY_TRUNCATED;
	}
}
