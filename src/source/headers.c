/*
 * headers.c
 *		The "headers" option: a JSON object of names and values.
 */
#include "postgres.h"

#include <jansson.h>

#include "net/http.h"
#include "source/headers.h"

#define MAX_HEADERS 100

/* Refused: what the client itself decides. */
static const char *const reserved[] = { "Host",		  "Content-Length",	 "Transfer-Encoding",
										"Connection", "Accept-Encoding", "Expect",
										"Upgrade" };

/* Refused, too: credentials, which belong in a user mapping. A word of their names ends with one of these,
 * whoever has thought them up. */
static const char *const secrets[] = { "auth",	 "authorization", "authentication", "cookie",
									   "token",	 "secret",		  "password",		"passwd",
									   "apikey", "credential",	  "credentials",	"signature" };

static List *headers_from_object(json_t *object, const char **problem);
static bool is_reserved(const char *name);
static bool is_secret(const char *name);
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
		if (is_reserved(name))
		{
			*problem = "Framing headers are set by the client.";
			return NIL;
		}
		if (is_secret(name))
		{
			*problem =
				"Credentials belong in a user mapping: everybody can read this option. Option "
				"\"api_key_header\" there names the header of a key.";
			return NIL;
		}
		header = palloc(sizeof(CsHttpHeader));
		header->name = pstrdup(name);
		header->value = pstrdup(json_string_value(value));
		headers = lappend(headers, header);
	}
	return headers;
}

static bool
is_reserved(const char *name)
{
	for (int i = 0; i < (int) lengthof(reserved); i++)
		if (pg_strcasecmp(name, reserved[i]) == 0)
			return true;
	return false;
}

static bool
is_secret(const char *name)
{
	char *rest;

	for (char *word = strtok_r(pstrdup(name), "-_.", &rest); word;
		 word = strtok_r(NULL, "-_.", &rest))
	{
		size_t len = strlen(word);

		if (pg_strcasecmp(word, "key") == 0)
			return true;
		for (int i = 0; i < (int) lengthof(secrets); i++)
			if (len >= strlen(secrets[i]) &&
				pg_strcasecmp(word + len - strlen(secrets[i]), secrets[i]) == 0)
				return true;
	}
	return false;
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
