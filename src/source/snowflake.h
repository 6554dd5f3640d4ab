/*
 * snowflake.h
 *		What the files of the source snowflake share.
 */
#ifndef CS_SNOWFLAKE_H
#define CS_SNOWFLAKE_H

#include "net/jwt.h"
#include "source/service.h"
#include "source/service_statement.h"

/* In the session's context, as is what it points to. */
typedef struct CsSnowflake
{
	CsServiceSession base; /* must be first */

	/* snowflake_login.c */
	CsSigningKey *key;		/* of a key pair, or NULL: the token is given */
	const char *subject;	/* ACCOUNT.USER; of a key pair */
	const char *issuer;		/* and the fingerprint of its key */
	const char *token;		/* NULL: not made yet */
	const char *token_type; /* as the service calls it; NULL: it is to look at the token */
	int64 renew_at;			/* seconds since the epoch; of a key pair */

	/* snowflake.c */
	const char *handle; /* of the statement whose result is read */
	int nparts;
	int64 *part_rows; /* announced, per part */
	int next_part;
} CsSnowflake;

/* Sets base_url and whatever logs in, from options; no network.  Throws 22023, 28000. */
extern void cs_snowflake_log_in(CsSnowflake *session, const CsOptionSet *options);

/* As CsService.authorize. */
extern bool cs_snowflake_authorize(CsServiceSession *session, CsHttpRequest *request, bool renew);

/* As CsService.refuse. */
extern void cs_snowflake_refuse(CsServiceSession *session, int status, const char *body);

/* The same for an answer that was parsed. */
extern void cs_snowflake_refuse_answer(CsSnowflake *session, int status, const json_t *answer);

/* snowflake_statement.c */
extern const CsDialect cs_snowflake_dialect;

/* As CsService.statement. */
extern char *cs_snowflake_statement(const CsReadSpec *spec);

/* Its object as a statement names it, 42602 if it is no name; NULL: it has none. */
extern const char *cs_snowflake_from(const CsReadSpec *spec);

/* A column of that type, as rowType or INFORMATION_SCHEMA.COLUMNS name it. */
extern void cs_snowflake_set_type(CsColumn *column, CsCell *cell, const char *type,
								  const char *extended, int64 precision, int64 scale);

#endif /* CS_SNOWFLAKE_H */
