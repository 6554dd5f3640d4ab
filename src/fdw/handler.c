/*
 * handler.c
 *		SQL: the handler of the foreign-data wrapper, and what it refuses.
 *
 * Foreign tables are read only.  What writes into the destination tables of
 * this database is a sync.
 */
#include "postgres.h"

#include "fmgr.h"
#include "foreign/fdwapi.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "fdw/analyze.h"
#include "fdw/import.h"
#include "fdw/plan.h"
#include "fdw/scan.h"

PG_FUNCTION_INFO_V1(censync_fdw_handler);

static List *refuse_change(PlannerInfo *root, ModifyTable *plan, Index relid, int which);
static void refuse_truncate(List *rels, DropBehavior behavior, bool restart_seqs);
static int is_updatable(Relation rel);
static void refuse_writing(const char *name) pg_attribute_noreturn();

/* SQL: censync_fdw_handler() */
PGDLLEXPORT Datum
censync_fdw_handler(FunctionCallInfo fcinfo pg_attribute_unused())
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = cs_foreign_plan_size;
	routine->GetForeignPaths = cs_foreign_plan_paths;
	routine->GetForeignPlan = cs_foreign_plan_create;
	routine->BeginForeignScan = cs_foreign_scan_begin;
	routine->IterateForeignScan = cs_foreign_scan_iterate;
	routine->ReScanForeignScan = cs_foreign_scan_restart;
	routine->EndForeignScan = cs_foreign_scan_end;
	routine->ExplainForeignScan = cs_foreign_scan_explain;
	routine->AnalyzeForeignTable = cs_foreign_analyze;
	routine->ImportForeignSchema = cs_foreign_import;
	routine->PlanForeignModify = refuse_change;
	routine->ExecForeignTruncate = refuse_truncate;
	routine->IsForeignRelUpdatable = is_updatable;
	PG_RETURN_POINTER(routine);
}

/* Where core would only say that it can't; COPY and partitions get no further than that. */
static List *
refuse_change(PlannerInfo *root, ModifyTable *plan pg_attribute_unused(), Index relid,
			  int which pg_attribute_unused())
{
	refuse_writing(get_rel_name(planner_rt_fetch(relid, root)->relid));
}

static void
refuse_truncate(List *rels, DropBehavior behavior pg_attribute_unused(),
				bool restart_seqs pg_attribute_unused())
{
	refuse_writing(RelationGetRelationName((Relation) linitial(rels)));
}

/* For the information schema: none of INSERT, UPDATE, DELETE. */
static int
is_updatable(Relation rel pg_attribute_unused())
{
	return 0;
}

static void
refuse_writing(const char *name)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("foreign table \"%s\" can only be read", name),
					errdetail("censync writes nothing to its sources."),
					errhint("To keep rows of the source in a table of this database, make that the "
							"destination of a sync: censync_create_sync.")));
}
