/*
 * databricks.h
 *		What the files of the source databricks share.
 */
#ifndef CS_DATABRICKS_H
#define CS_DATABRICKS_H

#include "net/auth.h"
#include "source/service.h"
#include "source/service_statement.h"

/* In the session's context, as is what it points to. */
typedef struct CsDatabricks
{
	CsServiceSession base; /* must be first */
	CsAuth *auth;
	const char *warehouse;
	const char *statement; /* its id, whose result is read */
	bool external;		   /* chunks are behind links */
	int nchunks;
	int64 *chunk_rows; /* announced, per chunk; -1: not */
	int next_chunk;
} CsDatabricks;

/* Sets base_url, warehouse and whatever logs in, from options; no network.  Throws 22023, 28000. */
extern void cs_databricks_log_in(CsDatabricks *session, const CsOptionSet *options);

/* As CsService.authorize. */
extern bool cs_databricks_authorize(CsServiceSession *base, CsHttpRequest *request, bool renew);

/* As CsService.refuse. */
extern void cs_databricks_refuse(CsServiceSession *base, int status, const char *body);

/* Throws unless the status of a statement is that of success, or of one that goes on (false). */
extern bool cs_databricks_check_status(CsServiceSession *base, const json_t *answer);

/* databricks_statement.c */
extern const CsDialect cs_databricks_object_dialect;

/* The dialect for what is read. */
extern const CsDialect *cs_databricks_dialect(const CsReadSpec *spec);

/* As CsService.takes, CsService.statement. */
extern bool cs_databricks_takes(const CsReadSpec *spec, const CsColumn *column,
								CsComparison comparison, Oid type, bool *exactly);
extern char *cs_databricks_statement(const CsReadSpec *spec);

/* Its object as a statement names it, 42602 if it is no name; NULL: it has none. */
extern const char *cs_databricks_from(const CsReadSpec *spec);

/* A column of that type, as the manifest or Unity Catalog name it. */
extern void cs_databricks_set_type(CsColumn *column, CsCell *cell, const char *type,
								   int64 precision, int64 scale);

/* An ARRAY, MAP or STRUCT of that type_text, such as "ARRAY<INT>", whose values are all texts; false, and nothing
 * set: it is none. */
extern bool cs_databricks_set_nested(CsColumn *column, CsCell *cell, const char *text);

/* As CsService.list. */
extern List *cs_databricks_list(CsServiceSession *base, const char *schema, List *only);

#endif /* CS_DATABRICKS_H */
