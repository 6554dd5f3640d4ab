/*
 * retention.c
 *		What is older than it is to be kept goes.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "base/settings.h"
#include "catalog/retention.h"
#include "catalog/spi.h"

/* Of every statement: $1: how many to delete, $2: for whom, $3: minutes to keep, 0: for ever. */

/* The newest time before which anything can be old, whatever sync it is of; NULL: nothing can. */
#define OLD                                                                                        \
	"(SELECT clock_timestamp() - least(nullif($3 * interval '1 minute', '0'), "                    \
	"(SELECT min((options ->> 'retention')::interval) FROM censync.sync_definition "               \
	"WHERE (options ->> 'retention')::interval > '0')))"

/* How long runs of a sync d are kept. */
#define KEPT                                                                                       \
	"CROSS JOIN LATERAL (SELECT coalesce((d.options ->> 'retention')::interval, "                  \
	"$3 * interval '1 minute') AS kept) k "

/* What is too old of runs l. */
#define IS_OLD                                                                                     \
	"k.kept > '0' AND coalesce(l.finished_at, l.started_at) < clock_timestamp() - k.kept "         \
	"AND l.status NOT IN ('queued', 'running') AND pg_has_role($2, l.owner_oid, 'USAGE') "

/* The runs of record_log are walked along its index, however many records each has, up to the newest that can
 * be old. */
static const char *const delete_records =
	"WITH RECURSIVE bound AS (SELECT run_id FROM censync.run_log WHERE started_at < " OLD
	" ORDER BY started_at DESC LIMIT 1), "
	"logged AS ((SELECT r.run_id FROM censync.record_log r "
	"WHERE r.run_id <= (SELECT run_id FROM bound) ORDER BY r.run_id LIMIT 1) "
	"UNION ALL SELECT (SELECT r.run_id FROM censync.record_log r WHERE r.run_id > g.run_id "
	"AND r.run_id <= (SELECT run_id FROM bound) ORDER BY r.run_id LIMIT 1) "
	"FROM logged g WHERE g.run_id IS NOT NULL), "
	"old AS (SELECT g.run_id FROM logged g LEFT JOIN censync.run_log l ON l.run_id = g.run_id "
	"LEFT JOIN censync.sync_definition d ON d.sync_id = l.sync_id " KEPT
	"WHERE g.run_id IS NOT NULL AND (l.run_id IS NULL OR " IS_OLD ")) "
	"DELETE FROM censync.record_log WHERE ctid = ANY (ARRAY(SELECT r.ctid FROM old "
	"JOIN censync.record_log r ON r.run_id = old.run_id LIMIT $1))";

/* Only runs without records: those go first. */
static const char *const delete_runs =
	"DELETE FROM censync.run_log WHERE run_id = ANY (ARRAY("
	"SELECT l.run_id FROM censync.run_log l "
	"LEFT JOIN censync.sync_definition d ON d.sync_id = l.sync_id " KEPT "WHERE l.started_at < " OLD
	" AND " IS_OLD "AND NOT EXISTS (SELECT FROM censync.record_log r WHERE r.run_id = l.run_id) "
	"AND (d.sync_id IS NULL OR l.run_id <> (SELECT x.run_id FROM censync.run_log x "
	"WHERE x.sync_id = l.sync_id ORDER BY x.run_id DESC LIMIT 1)) "
	"AND (d.sync_id IS NULL OR l.run_id IS DISTINCT FROM (SELECT x.run_id "
	"FROM censync.run_log x WHERE x.sync_id = l.sync_id AND x.status = 'completed' "
	"AND NOT x.dry_run ORDER BY x.run_id DESC LIMIT 1)) LIMIT $1))";

static const char *const delete_alerts =
	"DELETE FROM censync.alert_log WHERE alert_id = ANY (ARRAY("
	"SELECT alert_id FROM censync.alert_log WHERE $3 > 0 "
	"AND resolved_at < clock_timestamp() - $3 * interval '1 minute' "
	"AND pg_has_role($2, owner_oid, 'USAGE') LIMIT $1))";

static const char *const delete_deliveries =
	"DELETE FROM censync.outbox WHERE delivery_id = ANY (ARRAY("
	"SELECT delivery_id FROM censync.outbox WHERE $3 > 0 AND status <> 'pending' "
	"AND finished_at < clock_timestamp() - $3 * interval '1 minute' "
	"AND pg_has_role($2, owner_oid, 'USAGE') LIMIT $1))";

static int64 delete_some(const char *sql, int64 max_rows, Oid caller, int kept_min);

int64
cs_prune_some(Oid caller, int64 max_rows)
{
	int64 deleted = delete_some(delete_records, max_rows, caller, cs_record_retention_min);

	if (deleted < max_rows)
		deleted += delete_some(delete_runs, max_rows - deleted, caller, cs_run_retention_min);
	if (deleted < max_rows)
		deleted += delete_some(delete_alerts, max_rows - deleted, caller, cs_run_retention_min);
	if (deleted < max_rows)
		deleted +=
			delete_some(delete_deliveries, max_rows - deleted, caller, cs_record_retention_min);
	return deleted;
}

static int64
delete_some(const char *sql, int64 max_rows, Oid caller, int kept_min)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };
	int64 deleted;

	cs_catalog_begin(&access);
	cs_args_add_int8(&args, max_rows);
	cs_args_add(&args, OIDOID, ObjectIdGetDatum(caller), false);
	cs_args_add_int8(&args, kept_min);
	deleted = (int64) cs_catalog_execute(sql, &args);
	cs_catalog_end(&access);
	return deleted;
}
