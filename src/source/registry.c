/*
 * registry.c
 *		The source types there are: one row each.
 */
#include "postgres.h"

#include "catalog/pg_foreign_server.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "utils/acl.h"

#include "base/compat.h"
#include "source/databases.h"
#include "source/http.h"
#include "source/mysql.h"
#include "source/query.h"
#include "source/reader.h"
#include "source/services.h"
#include "source/sqlserver.h"
#include "source/webhook.h"

static const CsSourceType *const source_types[] = {
	&cs_source_http,		   &cs_source_postgres.base,
	&cs_source_redshift.base,  &cs_source_mysql.base,
	&cs_source_sqlserver.base, &cs_source_synapse.base,
	&cs_source_bigquery.base,  &cs_source_google_sheets.base,
	&cs_source_snowflake.base, &cs_source_databricks.base,
	&cs_webhook_type,
};

const CsSourceType *
cs_source_type_lookup(const char *name)
{
	for (int i = 0; i < (int) lengthof(source_types); i++)
		if (name && strcmp(source_types[i]->name, name) == 0)
			return source_types[i];
	return NULL;
}

char *
cs_source_type_names(void)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < (int) lengthof(source_types); i++)
		appendStringInfo(&names, "%s%s", i ? ", " : "", source_types[i]->name);
	return names.data;
}

const CsSourceType *
cs_source_type_find(const char *name)
{
	const CsSourceType *type = cs_source_type_lookup(name);

	if (type == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 name ? errmsg("unknown source type \"%s\"", name) : errmsg("the server has no type"),
			 errhint("CREATE SERVER ... TYPE 'http' FOREIGN DATA WRAPPER censync; types are: %s.",
					 cs_source_type_names())));
	return type;
}

const CsSourceType *
cs_source_type_of_server(Oid serverid)
{
	ForeignServer *server = GetForeignServer(serverid);
	ForeignDataWrapper *wrapper = GetForeignDataWrapper(server->fdwid);

	if (strcmp(wrapper->fdwname, "censync") != 0)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("server \"%s\" belongs to foreign-data wrapper \"%s\"",
							   server->servername, wrapper->fdwname),
						errhint("Its foreign tables can be read by a query in this database: leave "
								"server out and give query or object.")));
	return cs_source_type_find(server->servertype);
}

void
cs_server_check_usage(Oid serverid, Oid userid)
{
	AclResult result = cs_foreign_server_aclcheck(serverid, userid, ACL_USAGE);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FOREIGN_SERVER, GetForeignServer(serverid)->servername);
}

CsReader *
cs_reader_open(const CsReadSpec *spec)
{
	const CsSourceType *type;

	if (!OidIsValid(spec->serverid))
		return cs_query_open(spec);
	type = cs_source_type_of_server(spec->serverid);
	return type->open(type, spec);
}
