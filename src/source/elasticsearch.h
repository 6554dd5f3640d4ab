/*
 * elasticsearch.h
 *		What the files of the source elasticsearch share.
 */
#ifndef CS_ELASTICSEARCH_H
#define CS_ELASTICSEARCH_H

#include "source/elasticsearch_types.h"
#include "source/service.h"

/* What is compared of a column by a search. */
typedef struct ElasticComparable
{
	const char *field; /* in searches */
	const char *type;  /* of the mapping, the same in all indices; NULL: it can't be compared */
	int max_len;	   /* texts that are longer may not be found */
} ElasticComparable;

/* In the session's context, as is all it points to. */
typedef struct ElasticSession
{
	CsServiceSession base; /* must be first */
	const char *index;	   /* object, or option index; NULL: an SQL query */
	const char *search; /* the members of a search body that are sent on, each with a comma behind
							   * it; "" of an object; NULL: an SQL query */
	const char *sort;	/* the body's, JSON; or NULL */
	const char *query;	/* likewise */
	bool no_filter;		/* the body has something that a filter can't be added to */
	int page_size;		/* rows asked for at a time */
	const char *page_timeout; /* how long the service keeps its state between two pages */

	bool known; /* the product is: */
	bool opensearch;
	int major;
	int minor;
	bool hides_vectors; /* documents may come without vectors that are not asked for */
	bool has_vectors;	/* the mapping has some */

	bool ended; /* the last page was read */
	int64 rows; /* of all pages so far */

	/* SQL */
	char *first_page; /* its answer, until it is read */
	char *cursor;	  /* of the next page; NULL: there is none */
	int64 found;	  /* rows, as OpenSearch says on the first page; 0: it does not */

	/* search */
	char *pit;			  /* id of the point in time; NULL: it is not open */
	bool first;			  /* the first page was not asked for yet */
	const char *source;	  /* the fields that are asked for, JSON */
	CsJsonLeaves *leaves; /* of those columns that are needed */
	int nleaves;
	int *column_leaves; /* per column: its leaf, or -1 */
	char **paths;		/* per column: its field in documents; NULL: it is _id or _index */
	CsLeafKind *kinds;	/* per column */
	ElasticComparable *comparable; /* per column */
	const char *filter;			   /* what documents must fulfil, clauses by comma; or NULL */
	StringInfoData last_sort;	   /* of the last hit of the page; empty: no hit was there */
} ElasticSession;

/* elasticsearch.c */

/* Finds out what answers, once. */
extern void cs_elastic_detect(ElasticSession *session);

/* Option whose value is a list of names by comma: is name one of them? */
extern bool cs_elastic_is_listed(const ElasticSession *session, const char *option,
								 const char *name);

/* The text of an index or pattern in a path. */
extern char *cs_elastic_path(const char *index);

/* elasticsearch_error.c */

/* Throws what the document of an error says. */
extern void cs_elastic_throw(ElasticSession *session, int status, const json_t *document)
	pg_attribute_noreturn();

/* Throws if a document that came with a good status is an error, or says that something is missing in it. */
extern void cs_elastic_check_answer(ElasticSession *session, const json_t *document);

/* elasticsearch_sql.c */
extern void cs_elastic_sql_describe(ElasticSession *session);
extern bool cs_elastic_sql_next(ElasticSession *session, CsServicePart *part);
extern CsHttpRequest *cs_elastic_sql_guess(ElasticSession *session, const char *end);
extern void cs_elastic_sql_end(ElasticSession *session, const char *envelope, int64 rows);

/* elasticsearch_search.c */
extern char *cs_elastic_search_members(ElasticSession *session, const char *body);
extern void cs_elastic_search_narrow(ElasticSession *session, const bool *needed);
extern bool cs_elastic_search_next(ElasticSession *session, CsServicePart *part);
extern CsHttpRequest *cs_elastic_search_guess(ElasticSession *session, const char *beginning,
											  const char *end);
extern void cs_elastic_search_end(ElasticSession *session, const char *envelope, int64 rows);
extern CsField *cs_elastic_search_spread(CsServiceSession *base, CsRecord *raw);

/* elasticsearch_mapping.c */

/* Sets columns, cells, paths and kinds of the session by the mappings (GET /index/_mapping). */
extern void cs_elastic_mapping_set(ElasticSession *session, const json_t *mappings);

/* elasticsearch_filter.c */

/* Which columns of the session can be compared, by the mappings. */
extern void cs_elastic_comparable_set(ElasticSession *session, const json_t *mappings);

/* What of the session's conditions and bound its searches are sent; with them, the limit. */
extern void cs_elastic_filter_set(ElasticSession *session);

/* A query, or all documents (NULL), with a filter, or without (NULL). */
extern char *cs_elastic_filtered(const char *query, const char *filter);

/* As CsService.takes, CsService.statement. */
extern bool cs_elastic_takes(const CsReadSpec *spec, const CsColumn *column,
							 CsComparison comparison, Oid type, bool *exactly);
extern char *cs_elastic_statement(const CsReadSpec *spec);

#endif /* CS_ELASTICSEARCH_H */
