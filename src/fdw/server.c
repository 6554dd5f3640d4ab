/*
 * server.c
 *		What CREATE SERVER says of the server's type.
 *
 * A validator is shown the options, but not the type.  It is called in any
 * case, though, and so this library is there when the server has been created
 * and the hook for that is called.  What is wrong is a warning: a dump must be
 * restored where the type can't be used yet.  Every use is an error.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_foreign_server.h"
#include "foreign/foreign.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "fdw/server.h"
#include "source/option_table.h"
#include "source/sql.h"

static object_access_hook_type previous_hook = NULL;

static void object_accessed(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id,
							void *arg);
static void check_new_server(Oid serverid);
static char *type_of_new_server(Relation rel, HeapTuple tuple);
static void check_type(const char *type);

void
cs_foreign_server_init(void)
{
	previous_hook = object_access_hook;
	object_access_hook = object_accessed;
}

static void
object_accessed(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *arg)
{
	if (previous_hook)
		previous_hook(access, class_id, object_id, sub_id, arg);
	if (access == OAT_POST_CREATE && class_id == ForeignServerRelationId)
		check_new_server(object_id);
}

/* The caches do not have it yet. */
static void
check_new_server(Oid serverid)
{
	Relation rel = table_open(ForeignServerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key, Anum_pg_foreign_server_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(serverid));
	scan = systable_beginscan(rel, ForeignServerOidIndexId, true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Oid wrapper = ((Form_pg_foreign_server) GETSTRUCT(tuple))->srvfdw;

		if (strcmp(GetForeignDataWrapper(wrapper)->fdwname, "censync") == 0)
			check_type(type_of_new_server(rel, tuple));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

static char *
type_of_new_server(Relation rel, HeapTuple tuple)
{
	bool isnull;
	Datum type =
		heap_getattr(tuple, Anum_pg_foreign_server_srvtype, RelationGetDescr(rel), &isnull);

	return isnull ? NULL : TextDatumGetCString(type);
}

static void
check_type(const char *type)
{
	const CsSourceType *source = cs_source_type_lookup(type);

	if (source == NULL)
		ereport(
			WARNING,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 type ? errmsg("unknown source type \"%s\"", type)
				  : errmsg("the server has no type, and can't be used"),
			 errhint("CREATE SERVER ... TYPE 'http' FOREIGN DATA WRAPPER censync; types are: %s.",
					 cs_source_type_names())));
	else if (source->bit & CS_FOR_SQL)
		cs_sql_driver_check((const CsSqlSource *) source, WARNING);
}
