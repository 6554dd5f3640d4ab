/*
 * rockset.h
 *		What the files of the source rockset share.
 */
#ifndef CS_ROCKSET_H
#define CS_ROCKSET_H

#include "source/rockset_types.h"
#include "source/service.h"
#include "source/service_statement.h"

#define CS_ROCKSET_SELF "/v1/orgs/self"

/* In the session's context, as is all it points to. */
typedef struct RocksetSession
{
	CsServiceSession base; /* must be first */
	const char *workspace;
	const char *page_size;
	char *query_id;
	char *first_page;	   /* its answer, until it is read */
	char *cursor;		   /* of the next page; NULL: there is none */
	CsJsonLeaves *wrapper; /* reads one value's */
	char *from;			   /* the collection as a statement names it, while it is described alone */
	bool open_ended;	   /* the columns are those of the first page alone */
	bool ended;
} RocksetSession;

/* rockset_statement.c: CsService.dialect, of collections. */
extern const CsDialect cs_rockset_dialect;

/* rockset_columns.c: these set columns and cells of the session; false: there are none. */
extern bool cs_rockset_set_declared_columns(RocksetSession *session, const json_t *fields);
extern bool cs_rockset_set_described_columns(RocksetSession *session, const char *workspace,
											 const char *name);
extern void cs_rockset_set_found_columns(RocksetSession *session);

/* Throws if a row has a field that is no column. */
extern void cs_rockset_check_members(RocksetSession *session, const char *json);

#endif /* CS_ROCKSET_H */
