/*
 * service_words.c
 *		What services say of their errors, as errors of this server.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "base/errors.h"
#include "net/http.h"
#include "source/service_words.h"

/* ODBC's states, and what they are here. */
static const struct
{
	const char *state;
	int code;
} odbc_states[] = {
	{ "42S01", ERRCODE_DUPLICATE_TABLE },
	{ "42S02", ERRCODE_UNDEFINED_TABLE },
	{ "42S22", ERRCODE_UNDEFINED_COLUMN },
};

int
cs_service_sqlstate(const char *state)
{
	if (state == NULL || strlen(state) != 5 ||
		strspn(state, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 5)
		return 0;
	for (int i = 0; i < (int) lengthof(odbc_states); i++)
		if (strcmp(odbc_states[i].state, state) == 0)
			return odbc_states[i].code;
	/* Success, a warning, no data: no errors. */
	if (state[0] == '0' && state[1] <= '2')
		return 0;
	return cs_error_of_source(MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4]));
}

int
cs_service_status_code(int status)
{
	switch (status)
	{
		case 401:
			return ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
		case 403:
			return ERRCODE_INSUFFICIENT_PRIVILEGE;
		case 404:
			return ERRCODE_UNDEFINED_OBJECT;
		case 429:
			return ERRCODE_CONFIGURATION_LIMIT_EXCEEDED;
		default:
			return cs_http_refusal_code(status);
	}
}

void
cs_service_throw(CsHttp *http, int sqlstate, const char *said, const char *facts, const char *hint)
{
	size_t first;
	const char *rest;
	StringInfoData detail;

	said = cs_http_redact_secrets(http, said);
	facts = facts ? cs_http_redact_secrets(http, facts) : NULL;
	said += strspn(said, " \r\n");
	first = strcspn(said, "\r\n");
	rest = said + first + strspn(said + first, " \r\n");
	initStringInfo(&detail);
	appendStringInfoString(&detail, rest);
	if (facts)
		appendStringInfo(&detail, "%s%s", detail.len ? "\n" : "", facts);
	ereport(ERROR,
			(errcode(sqlstate), errmsg_internal("%s", first ? pnstrdup(said, first) : "error"),
			 detail.len ? errdetail_internal("%s", detail.data) : 0,
			 hint ? errhint("%s", hint) : 0));
}
