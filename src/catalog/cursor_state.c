/*
 * cursor_state.c
 *		How far incremental syncs have come.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "catalog/cursor_state.h"
#include "catalog/spi.h"

bool
cs_cursor_state_load(int64 sync_id, Oid *type, char **watermark)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };
	bool found;
	bool isnull;

	cs_catalog_begin(&access);
	cs_args_add_int8(&args, sync_id);
	found = cs_catalog_execute("SELECT type, watermark FROM censync.cursor_state "
							   "WHERE sync_id = $1",
							   &args) > 0;
	if (found)
	{
		*type = DatumGetObjectId(cs_catalog_datum(0, 1, &isnull));
		*watermark = cs_catalog_text(&access, 0, 2);
	}
	cs_catalog_end(&access);
	return found;
}

void
cs_cursor_state_store(int64 sync_id, Oid type, const char *watermark)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };

	cs_catalog_begin(&access);
	cs_args_add_int8(&args, sync_id);
	cs_args_add(&args, REGTYPEOID, ObjectIdGetDatum(type), false);
	cs_args_add_text(&args, watermark);
	cs_catalog_execute("INSERT INTO censync.cursor_state (sync_id, type, watermark) "
					   "VALUES ($1, $2, $3) ON CONFLICT (sync_id) DO UPDATE "
					   "SET type = excluded.type, watermark = excluded.watermark",
					   &args);
	cs_catalog_end(&access);
}

void
cs_cursor_state_forget(int64 sync_id)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };

	cs_catalog_begin(&access);
	cs_args_add_int8(&args, sync_id);
	cs_catalog_execute_latest("DELETE FROM censync.cursor_state WHERE sync_id = $1", &args);
	cs_catalog_end(&access);
}
