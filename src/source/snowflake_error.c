/*
 * snowflake_error.c
 *		What Snowflake's errors mean here.
 */
#include "postgres.h"

#include "base/errors.h"
#include "source/service_words.h"
#include "source/snowflake.h"

/* A number of Snowflake, and what it is here. */
typedef struct KnownError
{
	const char *code;
	int sqlstate; /* 0: as its own SQLSTATE says */
	const char *hint;
} KnownError;

/* Of requests; those of statements have an SQLSTATE. */
static const KnownError known_errors[] = {
	{ "000008", ERRCODE_FEATURE_NOT_SUPPORTED, "A source's query is one statement." },
	{ "000604", ERRCODE_FDW_ERROR, "It was canceled there, by a timeout or by somebody." },
	{ "000606", ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	  "Set the server's option \"warehouse\", exactly as it is written there, and GRANT USAGE ON "
	  "WAREHOUSE to the role there." },
	{ "000607", ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
	  "Resume the warehouse there, or let it resume by itself." },
	{ "000630", ERRCODE_FDW_ERROR,
	  "Raise STATEMENT_TIMEOUT_IN_SECONDS of the user or the warehouse there, or read less." },
	{ "000709", ERRCODE_FDW_ERROR, "Results are kept for a day. Run it again." },
	{ "000904", ERRCODE_UNDEFINED_COLUMN,
	  "The source may have changed: import its foreign table again, or change the query." },
	{ "001003", ERRCODE_SYNTAX_ERROR, "The query must be one statement in Snowflake's SQL." },
	{ "002003", ERRCODE_UNDEFINED_TABLE,
	  "Names without double quotes are taken in capitals there, and options \"database\", "
	  "\"schema\" and \"role\" as they are written. GRANT SELECT on it, and USAGE on its database "
	  "and schema, to the role there." },
	{ "002043", ERRCODE_UNDEFINED_OBJECT,
	  "Options \"database\", \"schema\", \"warehouse\" and \"role\" are taken as they are written, "
	  "usually in capitals; the role there needs USAGE." },
	{ "003001", ERRCODE_INSUFFICIENT_PRIVILEGE, "GRANT it to the role there." },
	{ "390142", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	  "Is option \"token_type\" right for the token?" },
	{ "390144", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	  "DESC USER there must show this key as RSA_PUBLIC_KEY_FP. If the account has another name in "
	  "the token than in its host, set option \"jwt_account\". The clock of this machine must be "
	  "right." },
	{ "390146", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	  "Is option \"token_type\" right for the token?" },
	{ "390186", ERRCODE_INSUFFICIENT_PRIVILEGE,
	  "Set option \"role\", exactly as it is written there, to a role that was granted to the "
	  "user and that the token may use." },
	{ "390303", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
	  "Give the user mapping a new token; one that is no OAuth token needs token_type 'pat'." },
	{ "390505", ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
	  "Set the server's option \"rate_limit\", or \"parallel\" to less." },
	{ "391911", ERRCODE_FEATURE_NOT_SUPPORTED, "A source's query is one SELECT, or SHOW." },
	{ "391922", CS_ERRCODE_REFUSED, NULL },
};

static const KnownError *find_error(const char *code);

void
cs_snowflake_refuse(CsServiceSession *base, int status, const char *body)
{
	cs_snowflake_refuse_answer((CsSnowflake *) base, status, cs_json_parse(body, strlen(body)));
}

void
cs_snowflake_refuse_answer(CsSnowflake *session, int status, const json_t *answer)
{
	char *code = cs_json_text(answer, "code");
	char *message = cs_json_text(answer, "message");
	char *state = cs_json_text(answer, "sqlState");
	char *handle = cs_json_text(answer, "statementHandle");
	const KnownError *known = find_error(code);
	int sqlstate = known ? known->sqlstate : cs_service_sqlstate(state);
	char *facts;

	if (message == NULL)
		return;
	if (sqlstate == 0)
		sqlstate = cs_service_status_code(status);
	facts = psprintf("Snowflake's code is %s%s%s%s%s.", code ? code : "missing",
					 state ? ", its SQLSTATE " : "", state ? state : "",
					 handle ? ", the statement " : "", handle ? handle : "");
	if (status == 401 && session->key)
		facts = psprintf("%s The token was issued by %s.", facts, session->issuer);
	cs_service_throw(session->base.http, sqlstate, message, facts, known ? known->hint : NULL);
}

static const KnownError *
find_error(const char *code)
{
	for (int i = 0; i < (int) lengthof(known_errors); i++)
		if (code && strcmp(known_errors[i].code, code) == 0)
			return &known_errors[i];
	return NULL;
}
