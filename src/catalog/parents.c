/*
 * parents.c
 *		Which syncs run after which others.
 */
#include "postgres.h"

#include "catalog/locks.h"
#include "catalog/parents.h"
#include "catalog/spi.h"

static void add_parent(const CsSync *sync, const CsSync *parent);
static void refuse_cycle(const CsSync *sync, const CsSync *parent);

void
cs_parents_set(const CsSync *sync, List *names)
{
	ListCell *lc;

	/* Two sessions could close a cycle together that neither sees.  No lock of the table: the scheduler
	 * must not wait for what somebody leaves open. */
	if (names != NIL)
		cs_parents_lock();
	cs_parents_forget(sync->sync_id);
	foreach (lc, names)
	{
		CsSync *parent = cs_sync_load(lfirst(lc));

		cs_sync_check_access(parent);
		cs_sync_keep(parent);
		refuse_cycle(sync, parent);
		add_parent(sync, parent);
	}
}

void
cs_parents_forget(int64 sync_id)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };

	cs_catalog_begin(&access);
	cs_args_add_int8(&args, sync_id);
	cs_catalog_execute_latest("DELETE FROM censync.sync_parent WHERE sync_id = $1", &args);
	cs_catalog_end(&access);
}

void
cs_parents_follow(int64 sync_id)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };

	cs_catalog_begin(&access);
	cs_args_add_int8(&args, sync_id);
	cs_catalog_execute("UPDATE censync.sync_parent p SET seen_run_id = "
					   "(SELECT max(l.run_id) FROM censync.run_log l WHERE l.sync_id = p.parent_id "
					   "AND l.status = 'completed' AND NOT l.dry_run) "
					   "WHERE p.sync_id = $1 AND EXISTS (SELECT FROM censync.run_log l "
					   "WHERE l.sync_id = p.parent_id AND l.status = 'completed' AND NOT l.dry_run "
					   "AND l.run_id > p.seen_run_id)",
					   &args);
	cs_catalog_end(&access);
}

void
cs_parents_refuse_if_has_children(const CsSync *sync)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };
	char *children = NULL;

	cs_catalog_begin(&access);
	cs_args_add_int8(&args, sync->sync_id);
	cs_catalog_execute_latest("SELECT string_agg(format('\"%s\"', d.name), ', ' ORDER BY d.name) "
							  "FROM censync.sync_parent p "
							  "JOIN censync.sync_definition d ON d.sync_id = p.sync_id "
							  "WHERE p.parent_id = $1",
							  &args);
	children = cs_catalog_text(&access, 0, 1);
	cs_catalog_end(&access);
	if (children)
		ereport(ERROR, (errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
						errmsg("other syncs run after sync \"%s\"", sync->name),
						errdetail("They are: %s.", children),
						errhint("Give them another schedule first, with censync_schedule or "
								"censync_unschedule.")));
}

/* What the parent has done before is none of the child's business, but for what it is about to do. */
static void
add_parent(const CsSync *sync, const CsSync *parent)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };

	cs_catalog_begin(&access);
	cs_args_add_int8(&args, sync->sync_id);
	cs_args_add_int8(&args, parent->sync_id);
	cs_catalog_execute("INSERT INTO censync.sync_parent SELECT $1, $2, coalesce(max(run_id), 0) "
					   "FROM censync.run_log WHERE sync_id = $2 "
					   "AND status NOT IN ('queued', 'running') ON CONFLICT DO NOTHING",
					   &args);
	cs_catalog_end(&access);
}

static void
refuse_cycle(const CsSync *sync, const CsSync *parent)
{
	CsArgs args = { 0 };

	cs_args_add_int8(&args, parent->sync_id);
	cs_args_add_int8(&args, sync->sync_id);
	if (cs_catalog_hits("WITH RECURSIVE above AS (SELECT $1 AS sync_id UNION "
						"SELECT p.parent_id FROM above a "
						"JOIN censync.sync_parent p ON p.sync_id = a.sync_id) "
						"SELECT FROM above WHERE sync_id = $2",
						&args))
		ereport(ERROR, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
						parent->sync_id == sync->sync_id
							? errmsg("sync \"%s\" can't run after itself", sync->name)
							: errmsg("sync \"%s\" can't run after \"%s\", which runs after it",
									 sync->name, parent->name),
						errhint("\"continuous\" has a sync run again and again.")));
}
