/*
 * privileges.c
 *		What a role must be allowed before its sync reads anything.
 */
#include "postgres.h"

#include "catalog/pg_namespace.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "sync/privileges.h"

static void require_column(const CsMappingSet *set, const CsMapping *mapping, Oid role,
						   AclMode mode, const char *name);
static void refuse(const CsMappingSet *set, Oid role, const char *privilege, const char *column)
	pg_attribute_noreturn();
static void refuse_schema(const CsMappingSet *set, Oid role) pg_attribute_noreturn();

void
cs_privileges_check(const CsMappingSet *set, CsBehavior behavior, Oid role)
{
	Oid relid = set->destination->relid;

	if (cs_namespace_aclcheck(get_rel_namespace(relid), role, ACL_USAGE) != ACLCHECK_OK)
		refuse_schema(set, role);
	for (int i = 0; i < set->count; i++)
	{
		const CsMapping *mapping = &set->items[i];

		if (mapping->is_key || behavior != CS_APPEND)
			require_column(set, mapping, role, ACL_SELECT, "SELECT");
		if (behavior != CS_UPDATE)
			require_column(set, mapping, role, ACL_INSERT, "INSERT");
		if (behavior != CS_APPEND && (!mapping->is_key || !mapping->dest->exact))
			require_column(set, mapping, role, ACL_UPDATE, "UPDATE");
	}
	if (behavior == CS_MIRROR && pg_class_aclcheck(relid, role, ACL_DELETE) != ACLCHECK_OK)
		refuse(set, role, "DELETE", NULL);
}

static void
require_column(const CsMappingSet *set, const CsMapping *mapping, Oid role, AclMode mode,
			   const char *name)
{
	Oid relid = set->destination->relid;

	if (pg_class_aclcheck(relid, role, mode) != ACLCHECK_OK &&
		pg_attribute_aclcheck(relid, mapping->dest->attnum, role, mode) != ACLCHECK_OK)
		refuse(set, role, name, mapping->dest->name);
}

static void
refuse(const CsMappingSet *set, Oid role, const char *privilege, const char *column)
{
	char *table = cs_destination_quoted(set->destination);
	const char *grantee = quote_identifier(GetUserNameFromId(role, false));

	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 column ? errmsg("role %s lacks %s on column \"%s\" of destination %s", grantee,
							 privilege, column, table)
					: errmsg("role %s lacks %s on destination %s", grantee, privilege, table),
			 errhint("GRANT %s ON %s TO %s;", privilege, table, grantee)));
}

static void
refuse_schema(const CsMappingSet *set, Oid role)
{
	const char *schema = quote_identifier(set->destination->schema);
	const char *grantee = quote_identifier(GetUserNameFromId(role, false));

	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("role %s lacks USAGE on schema %s of the destination", grantee, schema),
					errhint("GRANT USAGE ON SCHEMA %s TO %s;", schema, grantee)));
}
