/*
 * unit_net.c
 *		The functions of the network layer that need no network, callable from SQL.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "net/address.h"
#include "net/auth.h"
#include "net/jwt.h"
#include "net/redact.h"
#include "net/retry.h"
#include "net/url.h"
#include "utils/array.h"
#include "utils/builtins.h"

#define TEXT_ARG(n) (PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n)))

static void parse_address(const char *text, struct sockaddr_storage *address);
static List *text_list(ArrayType *array);

/* scheme|user info|host|port|path|query */
PG_FUNCTION_INFO_V1(unit_url_parse);

PGDLLEXPORT Datum
unit_url_parse(PG_FUNCTION_ARGS)
{
	CsUrl *url = cs_url_parse(TEXT_ARG(0));

	PG_RETURN_TEXT_P(cstring_to_text(
		psprintf("%s|%s|%s|%d|%s|%s", url->scheme, url->user_info ? url->user_info : "-", url->host,
				 url->port, url->path, url->query ? url->query : "-")));
}

PG_FUNCTION_INFO_V1(unit_url_resolve);

PGDLLEXPORT Datum
unit_url_resolve(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(cs_url_resolve(TEXT_ARG(0), TEXT_ARG(1))));
}

PG_FUNCTION_INFO_V1(unit_url_append);

PGDLLEXPORT Datum
unit_url_append(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(cs_url_append(TEXT_ARG(0), TEXT_ARG(1))));
}

PG_FUNCTION_INFO_V1(unit_url_set);

PGDLLEXPORT Datum
unit_url_set(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(cs_url_set_parameter(TEXT_ARG(0), TEXT_ARG(1), TEXT_ARG(2))));
}

PG_FUNCTION_INFO_V1(unit_url_display);

PGDLLEXPORT Datum
unit_url_display(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(cs_url_display(TEXT_ARG(0))));
}

PG_FUNCTION_INFO_V1(unit_url_same_origin);

PGDLLEXPORT Datum
unit_url_same_origin(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(cs_url_same_origin(TEXT_ARG(0), TEXT_ARG(1)));
}

/* NULL for a public address */
PG_FUNCTION_INFO_V1(unit_address_kind);

PGDLLEXPORT Datum
unit_address_kind(PG_FUNCTION_ARGS)
{
	struct sockaddr_storage address;
	const char *kind;

	parse_address(TEXT_ARG(0), &address);
	kind = cs_address_kind((struct sockaddr *) &address);
	if (kind == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(kind));
}

PG_FUNCTION_INFO_V1(unit_address_allowed);

PGDLLEXPORT Datum
unit_address_allowed(PG_FUNCTION_ARGS)
{
	struct sockaddr_storage address;

	parse_address(TEXT_ARG(1), &address);
	PG_RETURN_BOOL(cs_address_is_allowed(TEXT_ARG(0), (struct sockaddr *) &address));
}

PG_FUNCTION_INFO_V1(unit_host_allowed);

PGDLLEXPORT Datum
unit_host_allowed(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(cs_host_may_be_allowed(TEXT_ARG(0)));
}

PG_FUNCTION_INFO_V1(unit_retry_delay);

PGDLLEXPORT Datum
unit_retry_delay(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(cs_retry_delay_ms(PG_GETARG_INT32(0), TEXT_ARG(1), PG_GETARG_INT64(2)));
}

PG_FUNCTION_INFO_V1(unit_redact);

PGDLLEXPORT Datum
unit_redact(PG_FUNCTION_ARGS)
{
	bytea *text = PG_GETARG_BYTEA_PP(0);

	PG_RETURN_TEXT_P(
		cstring_to_text(cs_redact(VARDATA_ANY(text), VARSIZE_ANY_EXHDR(text), PG_GETARG_INT32(1),
								  text_list(PG_GETARG_ARRAYTYPE_P(2)))));
}

PG_FUNCTION_INFO_V1(unit_redact_secrets);

PGDLLEXPORT Datum
unit_redact_secrets(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(
		cstring_to_text(cs_redact_secrets(TEXT_ARG(0), text_list(PG_GETARG_ARRAYTYPE_P(1)))));
}

/* A token with these claims, and the key's fingerprint; the passphrase may be null. */
PG_FUNCTION_INFO_V1(unit_jwt);

PGDLLEXPORT Datum
unit_jwt(PG_FUNCTION_ARGS)
{
	CsSigningKey *key = cs_signing_key_read(TEXT_ARG(0), TEXT_ARG(1), "private_key");

	PG_RETURN_TEXT_P(cstring_to_text(psprintf("%s %s", cs_jwt_sign(key, "key-1", TEXT_ARG(2)),
											  cs_signing_key_fingerprint(key))));
}

/* Resident kilobytes of this backend. */
PG_FUNCTION_INFO_V1(unit_rss);

PGDLLEXPORT Datum
unit_rss(PG_FUNCTION_ARGS)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long pages = 0;

	if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1)
		elog(ERROR, "can't read statm");
	(void) fclose(file);
	PG_RETURN_INT64((int64) pages * (getpagesize() / 1024));
}

static void
parse_address(const char *text, struct sockaddr_storage *address)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *) address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) address;

	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
		v4->sin_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1)
		v6->sin6_family = AF_INET6;
	else
		elog(ERROR, "bad address in test: %s", text);
}

static List *
text_list(ArrayType *array)
{
	Datum *elements;
	int count;
	List *result = NIL;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, &count);
	for (int i = 0; i < count; i++)
		result = lappend(result, TextDatumGetCString(elements[i]));
	return result;
}
