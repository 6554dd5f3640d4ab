/*
 * bigquery.h
 *		What the files of source bigquery share.
 */
#ifndef CS_BIGQUERY_H
#define CS_BIGQUERY_H

#include "lib/stringinfo.h"
#include "source/google_auth.h"
#include "source/service_statement.h"

/* A field of a schema: a column, or a member of a STRUCT. */
typedef struct BqField
{
	char *name;	   /* of members: none twice */
	char *type;	   /* upper case, as GoogleSQL has it: INT64, STRUCT */
	char *element; /* RANGE: of its bounds */
	bool repeated;
	bool required;
	bool picoseconds; /* TIMESTAMP: more than is sent of it */
	int64 precision;  /* 0: not said, as the following */
	int64 scale;
	int64 length;
	int nfields; /* STRUCT */
	struct BqField *fields;
} BqField;

typedef struct BqSession
{
	CsServiceSession base; /* must be first */
	CsGoogleAuth *auth;
	char *project;		  /* that pays */
	const char *dataset;  /* that unqualified names in a query are of, or NULL */
	const char *location; /* or NULL */
	const char *
		statement; /* what is run: the query, or one over the object; NULL: rows of a table are listed */
	char *table_path; /* of the object */
	char *from;		  /* the object as a statement names it */
	bool is_listable; /* it is a table */
	char *fields;	  /* selectedFields of it, or NULL */
	CsProjection all; /* its columns, of which base has some */
	int *places;	  /* of those, among all */
	char *job;		  /* once it runs */
	char *job_project;
	char *job_location; /* or NULL */
	const char *answer; /* of the submission, if all rows of the result are in it; or NULL */
	bool submitted;		/* the statement has a result */
	bool started;		/* a page was asked for */
	char *page_token;	/* of the next page; NULL: there is none */
	int64 rows;			/* of the pages so far */
} BqSession;

/* The project that pays; throws if nobody names it. */
extern const char *cs_bq_project(BqSession *session);

/* bigquery_job.c: what columns the query has, which costs nothing. */
extern void cs_bq_dry_run(BqSession *session);

/* Runs the statement to its end, and looks at the result, none of whose rows are asked for yet. */
extern void cs_bq_run(BqSession *session);

/* Is the result in the answer, or will never be? */
extern bool cs_bq_is_complete(const json_t *answer);

/* Of the job.  verb: "cancel", or NULL for the result; parameters: of the query string, "" for none. */
extern char *cs_bq_job_path(const BqSession *session, const char *verb, const char *parameters);

/* A member, after a comma, of an object that has some. */
extern void cs_bq_append_member(StringInfo json, const char *name, const char *value);

/* bigquery_list.c: CsService.probe, CsService.list. */
extern void cs_bq_probe(CsServiceSession *base);
extern List *cs_bq_list(CsServiceSession *base, const char *schema, List *only);

/* bigquery_types.c: fields of a schema, in CurrentMemoryContext; columns and cells of them in the session. */
extern BqField *cs_bq_fields(const json_t *schema, int *n);
extern void cs_bq_set_columns(CsServiceSession *session, BqField *fields, int n);
extern void cs_bq_set_column(CsColumn *column, CsCell *cell, BqField *field);

/* TIMESTAMP, in whatever form a server of this API has it: microseconds, seconds with a fraction, with an
 * exponent, too, or ISO 8601. */
extern Datum cs_bq_cell_timestamp(CsCell *cell, const CsField *field, char **why);

/* bigquery_statement.c: CsService.dialect, CsService.statement. */
extern const CsDialect cs_bq_dialect;
extern char *cs_bq_statement(const CsReadSpec *spec);

/* bigquery_range.c */
extern void cs_bq_set_range(CsColumn *column, CsCell *cell, const BqField *field);

/* bigquery_nested.c: CsCell.read of STRUCT and ARRAY. */
extern Datum cs_bq_cell_nested(CsCell *cell, const CsField *field, char **why);

/* bigquery_error.c: the reason in an error's document, or NULL; does its message speak of the statement,
 * whatever the reason is; CsService.may_pass, CsService.refuse; what
 * an error's document means. */
extern const char *cs_bq_reason(const json_t *document);
extern bool cs_bq_blames_statement(const json_t *document);
extern bool cs_bq_may_pass(CsServiceSession *session, int status, const char *body);
extern void cs_bq_refuse(CsServiceSession *session, int status, const char *body);
extern void cs_bq_throw(BqSession *session, const json_t *document, int status)
	pg_attribute_noreturn();

#endif /* CS_BIGQUERY_H */
