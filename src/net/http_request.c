/*
 * http_request.c
 *		Requests as values: one that was sent ahead is known again when it is needed.
 */
#include "postgres.h"

#include "net/http_internal.h"

CsHttpRequest *
cs_request_copy(const CsHttpRequest *request)
{
	CsHttpRequest *copy = palloc(sizeof(CsHttpRequest));

	*copy = *request;
	copy->method = pstrdup(request->method);
	copy->url = pstrdup(request->url);
	if (request->body)
	{
		char *body = palloc(request->body_len + 1);

		memcpy(body, request->body, request->body_len);
		body[request->body_len] = '\0';
		copy->body = body;
	}
	return copy;
}

bool
cs_request_is_same(const CsHttpRequest *a, const CsHttpRequest *b)
{
	if (strcmp(a->method, b->method) != 0 || strcmp(a->url, b->url) != 0 ||
		(a->body == NULL) != (b->body == NULL))
		return false;
	return a->body == NULL ||
		   (a->body_len == b->body_len && memcmp(a->body, b->body, a->body_len) == 0);
}
