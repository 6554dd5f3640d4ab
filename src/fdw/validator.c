/*
 * validator.c
 *		SQL: checks the options of CREATE and ALTER SERVER, USER MAPPING and
 *		FOREIGN TABLE.
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "fmgr.h"
#include "nodes/parsenodes.h"

#include "source/options.h"

PG_FUNCTION_INFO_V1(censync_fdw_validator);

static CsOptionLevel level_of_catalog(Oid catalog);
static void refuse_two_sources(List *options);

/* SQL: censync_fdw_validator(options, catalog) */
PGDLLEXPORT Datum
censync_fdw_validator(PG_FUNCTION_ARGS)
{
	List *options = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid catalog = PG_GETARG_OID(1);

	cs_options_validate(options, level_of_catalog(catalog));
	if (catalog == UserMappingRelationId)
		cs_options_validate_credentials(options);
	if (catalog == ForeignTableRelationId)
		refuse_two_sources(options);
	PG_RETURN_VOID();
}

static CsOptionLevel
level_of_catalog(Oid catalog)
{
	switch (catalog)
	{
		case ForeignServerRelationId:
			return CS_LEVEL_SERVER;
		case UserMappingRelationId:
			return CS_LEVEL_USER;
		case ForeignTableRelationId:
			return CS_LEVEL_TABLE;
		case AttributeRelationId:
			return CS_LEVEL_COLUMN;
		default:
			return (CsOptionLevel) 0; /* the wrapper itself has no options */
	}
}

static void
refuse_two_sources(List *options)
{
	int sources = 0;
	ListCell *lc;

	foreach (lc, options)
	{
		const char *name = lfirst_node(DefElem, lc)->defname;

		sources += strcmp(name, "object") == 0 || strcmp(name, "query") == 0;
	}
	if (sources > 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a foreign table has option \"object\" or \"query\", not both"),
						errhint("DROP one of them.")));
}
