/*
 * definition.c
 *		Syncs as they are defined and kept.
 *
 * A definition names its owner and destination twice: by OID, which follows a
 * rename and can't be taken over by another role of the same name, and by
 * name, which means something after a dump was restored elsewhere.  "home"
 * says which of the two counts.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "catalog/cursor_state.h"
#include "catalog/definition.h"
#include "catalog/spi.h"

/* In the order of CsBehavior; the last name is an alias. */
static const char *const behavior_names[] = { "update", "upsert", "append", "mirror" };

/* What a session can set that changes how text turns into values or names into objects. */
static const char *const captured_settings[] = {
	"search_path",		  "DateStyle",	 "IntervalStyle", "TimeZone",
	"xmloption",		  "array_nulls", "bytea_output",  "default_text_search_config",
	"extra_float_digits", "lc_monetary", "xmlbinary"
};

#define SELECT_SYNC                                                                                \
	"SELECT sync_id, name, home, owner_oid, owner_name, destination_oid, destination_name, "       \
	"behavior, server_name, query, object, sync_key, settings, paused, mappings, options, "        \
	"xmin, schedule, schedule_since, scheduler FROM censync.sync_definition "

PG_FUNCTION_INFO_V1(censync_home);

static CsSync *find(const char *name, const char *sql);
static CsSync *load(const char *name, const char *sql);
static void throw_missing(const char *name) pg_attribute_noreturn();
static void throw_taken(const char *name) pg_attribute_noreturn();
static CsSync *sync_from_row(CsCatalogAccess *access, uint64 row);
static bool same_texts(List *a, List *b);
static List *text_array_to_list(Datum array);
static Datum list_to_text_array(List *list);
static Jsonb *copy_jsonb(Datum value);
static void add_definition_args(CsArgs *args, const CsSync *sync);
static char *relation_display_name(Oid relid);

/* SQL: censync.home() */
PGDLLEXPORT Datum
censync_home(FunctionCallInfo fcinfo pg_attribute_unused())
{
	PG_RETURN_TEXT_P(cstring_to_text(cs_home()));
}

CsSync *
cs_sync_load(const char *name)
{
	return load(name, SELECT_SYNC "WHERE name = $1");
}

CsSync *
cs_sync_find(const char *name)
{
	return find(name, SELECT_SYNC "WHERE name = $1");
}

CsSync *
cs_sync_load_to_change(const char *name)
{
	return load(name, SELECT_SYNC "WHERE name = $1 FOR NO KEY UPDATE");
}

CsSync *
cs_sync_load_to_drop(const char *name)
{
	return load(name, SELECT_SYNC "WHERE name = $1 FOR UPDATE");
}

void
cs_sync_keep(const CsSync *sync)
{
	CsArgs args = { 0 };

	cs_args_add_int8(&args, sync->sync_id);
	if (!cs_catalog_hits("SELECT FROM censync.sync_definition WHERE sync_id = $1 FOR KEY SHARE",
						 &args))
		throw_missing(sync->name);
}

bool
cs_sync_is_current(const CsSync *sync)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };
	bool current;

	cs_catalog_begin(&access);
	cs_args_add_int8(&args, sync->sync_id);
	cs_args_add_text(&args, sync->version);
	current = cs_catalog_select_latest("SELECT FROM censync.sync_definition "
									   "WHERE sync_id = $1 AND xmin::text = $2",
									   &args) > 0;
	cs_catalog_end(&access);
	return current;
}

List *
cs_sync_list_active(void)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };
	List *names = NIL;
	Oid caller = GetUserId();

	cs_catalog_begin(&access);
	cs_args_add_text(&args, cs_home());
	cs_args_add(&args, OIDOID, ObjectIdGetDatum(caller), false);
	cs_catalog_execute(
		"SELECT name, owner_name, EXISTS (SELECT FROM pg_roles WHERE oid = owner_oid) "
		"FROM censync.sync_definition "
		"WHERE NOT paused AND home = $1 AND pg_has_role($2, owner_oid, 'USAGE') "
		"ORDER BY sync_id",
		&args);
	MemoryContextSwitchTo(access.caller);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char *name = cs_catalog_text(&access, i, 1);
		bool isnull;

		if (DatumGetBool(cs_catalog_datum(i, 3, &isnull)))
			names = lappend(names, name);
		else
			ereport(WARNING, (errcode(ERRCODE_UNDEFINED_OBJECT),
							  errmsg("sync \"%s\" is left out: its owner \"%s\" does not exist",
									 name, cs_catalog_text(&access, i, 2)),
							  errhint("Drop the sync, and let another role define it anew.")));
	}
	cs_catalog_end(&access);
	return names;
}

void
cs_sync_check_access(const CsSync *sync)
{
	if (!OidIsValid(sync->owner) && !sync->at_home)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("role \"%s\", owner of sync \"%s\", does not exist here",
							   sync->owner_name, sync->name),
						errhint("Create the role, or define the sync anew.")));
	if (!OidIsValid(sync->owner))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("owner \"%s\" of sync \"%s\" does not exist", sync->owner_name, sync->name),
				 errhint("A superuser can drop the sync; another role can define it anew.")));
	if (!has_privs_of_role(GetUserId(), sync->owner))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("must be owner of sync \"%s\"", sync->name)));
}

int64
cs_sync_insert(CsSync *sync)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };
	bool isnull;

	cs_catalog_begin(&access);
	cs_args_add_text(&args, sync->name);
	if (cs_catalog_execute("SELECT FROM censync.sync_definition WHERE name = $1", &args) > 0)
		throw_taken(sync->name);
	add_definition_args(&args, sync);
	cs_args_add(&args, OIDOID, ObjectIdGetDatum(sync->owner), false);
	cs_args_add_text(&args, sync->owner_name);
	if (cs_catalog_execute(
			"INSERT INTO censync.sync_definition (name, home, destination_oid, "
			"destination_name, behavior, server_name, query, object, sync_key, settings, paused, "
			"mappings, options, schedule, schedule_since, scheduler, owner_oid, owner_name) VALUES "
			"($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) "
			"ON CONFLICT (name) DO NOTHING RETURNING sync_id",
			&args) == 0)
		throw_taken(sync->name);
	sync->sync_id = DatumGetInt64(cs_catalog_datum(0, 1, &isnull));
	cs_catalog_end(&access);
	return sync->sync_id;
}

void
cs_sync_update(const CsSync *sync)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };

	cs_catalog_begin(&access);
	cs_args_add_text(&args, sync->name);
	add_definition_args(&args, sync);
	cs_args_add(&args, OIDOID, ObjectIdGetDatum(sync->owner), false);
	cs_catalog_execute("UPDATE censync.sync_definition SET home = $2, destination_oid = $3, "
					   "destination_name = $4, behavior = $5, server_name = $6, query = $7, "
					   "object = $8, sync_key = $9, settings = $10, paused = $11, mappings = $12, "
					   "options = $13, schedule = $14, schedule_since = $15, scheduler = $16, "
					   "paused_reason = CASE WHEN $11 AND paused THEN paused_reason END, "
					   "owner_oid = $17, altered_at = pg_catalog.now() "
					   "WHERE name = $1",
					   &args);
	cs_catalog_end(&access);
}

void
cs_sync_refresh_names(const CsSync *sync)
{
	char *destination_name = relation_display_name(sync->destination);
	char *owner_name = GetUserNameFromId(sync->owner, true);
	CsCatalogAccess access;
	CsArgs args = { 0 };

	if (destination_name == NULL || owner_name == NULL ||
		(strcmp(destination_name, sync->destination_name) == 0 &&
		 strcmp(owner_name, sync->owner_name) == 0))
		return;
	cs_catalog_begin(&access);
	cs_args_add_int8(&args, sync->sync_id);
	cs_args_add_text(&args, destination_name);
	cs_args_add_text(&args, owner_name);
	/* Whoever is changing the definition is not waited for: the next run notes it. */
	cs_catalog_execute("UPDATE censync.sync_definition SET destination_name = $2, owner_name = $3 "
					   "WHERE sync_id = (SELECT sync_id FROM censync.sync_definition "
					   "WHERE sync_id = $1 FOR NO KEY UPDATE SKIP LOCKED)",
					   &args);
	cs_catalog_end(&access);
}

void
cs_sync_delete(const CsSync *sync)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };

	cs_sync_forget_mirror(sync);
	cs_cursor_state_forget(sync->sync_id);
	cs_catalog_begin(&access);
	cs_args_add_int8(&args, sync->sync_id);
	cs_catalog_execute("DELETE FROM censync.sync_definition WHERE sync_id = $1", &args);
	cs_catalog_end(&access);
}

void
cs_sync_forget_mirror(const CsSync *sync)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };

	cs_catalog_begin(&access);
	cs_args_add_int8(&args, sync->sync_id);
	cs_catalog_execute_latest("DELETE FROM censync.mirror_memory WHERE sync_id = $1", &args);
	cs_catalog_execute_latest("DELETE FROM censync.mirror_state WHERE sync_id = $1", &args);
	cs_catalog_end(&access);
}

bool
cs_sync_is_same_work(const CsSync *a, const CsSync *b)
{
	return a->destination == b->destination && a->behavior == b->behavior &&
		   cs_same_text(a->server, b->server) && cs_same_text(a->query, b->query) &&
		   cs_same_text(a->object, b->object) && same_texts(a->sync_key, b->sync_key) &&
		   same_texts(a->settings, b->settings) && (a->mappings == NULL) == (b->mappings == NULL) &&
		   (a->mappings == NULL ||
			compareJsonbContainers(&a->mappings->root, &b->mappings->root) == 0);
}

void
cs_sync_bring_home(CsSync *sync)
{
	if (sync->at_home)
		return;
	sync->owner = get_role_oid(sync->owner_name, true);
	cs_sync_check_access(sync);
	sync->destination = RangeVarGetRelid(
		makeRangeVarFromNameList(cs_qualified_name_parse(sync->destination_name)), NoLock, true);
	if (!OidIsValid(sync->destination))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("destination %s of sync \"%s\" does not exist here",
							   sync->destination_name, sync->name),
						errhint("Create the table, or name another with censync_alter_sync.")));
	sync->at_home = true;
}

bool
cs_same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

CsBehavior
cs_behavior_parse(const char *name)
{
	for (int i = 0; i < (int) lengthof(behavior_names); i++)
		if (strcmp(name, behavior_names[i]) == 0)
			return (CsBehavior) i;
	if (strcmp(name, "update_or_create") == 0)
		return CS_UPSERT;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown behavior \"%s\"", name),
			 errhint("Behaviors are update, upsert (update_or_create), append and mirror.")));
}

const char *
cs_behavior_name(CsBehavior behavior)
{
	return behavior_names[behavior];
}

List *
cs_sync_current_settings(void)
{
	List *settings = NIL;

	for (int i = 0; i < (int) lengthof(captured_settings); i++)
		settings = lappend(settings, psprintf("%s=%s", captured_settings[i],
											  GetConfigOption(captured_settings[i], false, false)));
	return settings;
}

void
cs_sync_apply_settings(const CsSync *sync)
{
	ListCell *lc;

	foreach (lc, sync->settings)
	{
		char *name = pstrdup(lfirst(lc));
		char *equals = strchr(name, '=');

		if (equals == NULL)
			continue;
		*equals = '\0';
		for (int i = 0; i < (int) lengthof(captured_settings); i++)
			if (strcmp(name, captured_settings[i]) == 0)
				cs_user_set(name, equals + 1);
	}
}

char *
cs_home(void)
{
	return psprintf(UINT64_FORMAT "/%u/%u", GetSystemIdentifier(), MyDatabaseId,
					get_extension_oid("censync", false));
}

static CsSync *
find(const char *name, const char *sql)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };
	CsSync *sync = NULL;

	cs_catalog_begin(&access);
	cs_args_add_text(&args, name);
	if (cs_catalog_execute(sql, &args) > 0)
		sync = sync_from_row(&access, 0);
	cs_catalog_end(&access);
	return sync;
}

static CsSync *
load(const char *name, const char *sql)
{
	CsSync *sync = find(name, sql);

	if (sync == NULL)
		throw_missing(name);
	return sync;
}

static void
throw_missing(const char *name)
{
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("sync \"%s\" does not exist", name),
					errhint("SELECT name FROM censync.syncs lists those there are.")));
}

static void
throw_taken(const char *name)
{
	ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT), errmsg("sync \"%s\" already exists", name),
					errhint("censync_alter_sync changes it, censync_drop_sync removes it.")));
}

static CsSync *
sync_from_row(CsCatalogAccess *access, uint64 row)
{
	MemoryContext spi = MemoryContextSwitchTo(access->caller);
	CsSync *sync = palloc0(sizeof(CsSync));
	bool isnull;
	Datum mappings;

	sync->sync_id = DatumGetInt64(cs_catalog_datum(row, 1, &isnull));
	sync->name = cs_catalog_text(access, row, 2);
	sync->at_home = strcmp(cs_catalog_text(access, row, 3), cs_home()) == 0;
	sync->owner_name = cs_catalog_text(access, row, 5);
	sync->destination_name = cs_catalog_text(access, row, 7);
	if (sync->at_home)
	{
		sync->owner = DatumGetObjectId(cs_catalog_datum(row, 4, &isnull));
		sync->destination = DatumGetObjectId(cs_catalog_datum(row, 6, &isnull));
		if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(sync->owner)))
			sync->owner = InvalidOid;
		if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(sync->destination)))
			sync->destination = InvalidOid;
	}
	else
		sync->owner = get_role_oid(sync->owner_name, true);
	sync->behavior = cs_behavior_parse(cs_catalog_text(access, row, 8));
	sync->server = cs_catalog_text(access, row, 9);
	sync->query = cs_catalog_text(access, row, 10);
	sync->object = cs_catalog_text(access, row, 11);
	sync->sync_key = text_array_to_list(cs_catalog_datum(row, 12, &isnull));
	sync->settings = text_array_to_list(cs_catalog_datum(row, 13, &isnull));
	sync->paused = DatumGetBool(cs_catalog_datum(row, 14, &isnull)) || !sync->at_home;
	mappings = cs_catalog_datum(row, 15, &isnull);
	sync->mappings = isnull ? NULL : copy_jsonb(mappings);
	sync->options = copy_jsonb(cs_catalog_datum(row, 16, &isnull));
	sync->version = cs_catalog_text(access, row, 17);
	sync->schedule = cs_catalog_text(access, row, 18);
	sync->schedule_since = DatumGetTimestampTz(cs_catalog_datum(row, 19, &isnull));
	sync->scheduler = cs_catalog_text(access, row, 20);
	MemoryContextSwitchTo(spi);
	return sync;
}

static bool
same_texts(List *a, List *b)
{
	ListCell *la;
	ListCell *lb;

	if (list_length(a) != list_length(b))
		return false;
	forboth (la, a, lb, b)
		if (strcmp(lfirst(la), lfirst(lb)) != 0)
			return false;
	return true;
}

static List *
text_array_to_list(Datum array)
{
	Datum *elements;
	int n;
	List *list = NIL;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL,
					  &n);
	for (int i = 0; i < n; i++)
		list = lappend(list, TextDatumGetCString(elements[i]));
	return list;
}

static Datum
list_to_text_array(List *list)
{
	Datum *elements = palloc(sizeof(Datum) * Max(1, list_length(list)));
	int n = 0;
	ListCell *lc;

	foreach (lc, list)
		elements[n++] = CStringGetTextDatum((char *) lfirst(lc));
	return PointerGetDatum(construct_array(elements, n, TEXTOID, -1, false, TYPALIGN_INT));
}

static Jsonb *
copy_jsonb(Datum value)
{
	return (Jsonb *) PG_DETOAST_DATUM_COPY(value);
}

/* $2 to $16 of both statements that write a definition. */
static void
add_definition_args(CsArgs *args, const CsSync *sync)
{
	char *destination_name = relation_display_name(sync->destination);

	cs_args_add_text(args, cs_home());
	cs_args_add(args, OIDOID, ObjectIdGetDatum(sync->destination), false);
	cs_args_add_text(args, destination_name ? destination_name : sync->destination_name);
	cs_args_add_text(args, cs_behavior_name(sync->behavior));
	cs_args_add_text(args, sync->server);
	cs_args_add_text(args, sync->query);
	cs_args_add_text(args, sync->object);
	cs_args_add(args, TEXTARRAYOID, list_to_text_array(sync->sync_key), false);
	cs_args_add(args, TEXTARRAYOID, list_to_text_array(sync->settings), false);
	cs_args_add(args, BOOLOID, BoolGetDatum(sync->paused), false);
	cs_args_add(args, JSONBOID, PointerGetDatum(sync->mappings), sync->mappings == NULL);
	cs_args_add(args, JSONBOID, PointerGetDatum(sync->options), false);
	cs_args_add_text(args, sync->schedule);
	cs_args_add(args, TIMESTAMPTZOID, TimestampTzGetDatum(sync->schedule_since),
				sync->schedule == NULL);
	cs_args_add_text(args, sync->scheduler);
}

static char *
relation_display_name(Oid relid)
{
	char *name = get_rel_name(relid);

	return name ? quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), name)
				: NULL;
}
