/*
 * headers.c
 *		The "headers" option: a JSON object of names and values.
 */
#include "postgres.h"

#include <jansson.h>

#include "net/http.h"
#include "source/headers.h"

#define MAX_HEADERS 100

/* Refused: credentials, which belong in a user mapping, and what the client itself decides. */
static const char *const reserved[] = { "Authorization", "Proxy-Authorization", "Cookie",
										"Host",			 "Content-Length",		"Transfer-Encoding",
										"Connection",	 "Accept-Encoding",		"Expect",
										"Upgrade" };

static List *headers_from_object(json_t *object, const char **problem);
static bool is_token(const char *name);
static bool is_header_value(const char *value);

List *
cs_headers_parse(const char *json)
{
	json_t *object = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
	const char *problem = "It is not a JSON object such as {\"Accept-Language\": \"en\"}.";
	List *headers = NIL;

	if (json_is_object(object) && json_object_size(object) <= MAX_HEADERS)
	{
		problem = NULL;
		headers = headers_from_object(object, &problem);
	}
	json_decref(object);
	if (problem)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid value for option \"headers\""), errdetail("%s", problem)));
	return headers;
}

/* Small allocations only, so that nothing is expected to throw while object is held. */
static List *
headers_from_object(json_t *object, const char **problem)
{
	const char *name;
	json_t *value;
	List *headers = NIL;

	json_object_foreach(object, name, value)
	{
		CsHttpHeader *header;

		if (!is_token(name) || !json_is_string(value) || !is_header_value(json_string_value(value)))
		{
			*problem = "A name or value is not fit for an HTTP header.";
			return NIL;
		}
		for (int i = 0; i < (int) lengthof(reserved); i++)
			if (pg_strcasecmp(name, reserved[i]) == 0)
			{
				*problem = "Credentials belong in a user mapping, and framing headers are set by "
						   "the client.";
				return NIL;
			}
		header = palloc(sizeof(CsHttpHeader));
		header->name = pstrdup(name);
		header->value = pstrdup(json_string_value(value));
		headers = lappend(headers, header);
	}
	return headers;
}

/* RFC 9110, 5.6.2 */
static bool
is_token(const char *name)
{
	return name[0] != '\0' && strspn(name, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
										   "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(name);
}

static bool
is_header_value(const char *value)
{
	for (const unsigned char *p = (const unsigned char *) value; *p; p++)
		if (*p < ' ' && *p != '\t')
			return false;
	return true;
}
