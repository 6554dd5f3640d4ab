/*
 * define.c
 *		SQL: defining, changing and removing syncs.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "catalog/cursor_state.h"
#include "catalog/definition.h"
#include "catalog/destination.h"
#include "catalog/keeper.h"
#include "catalog/locks.h"
#include "catalog/parents.h"
#include "catalog/queue.h"
#include "sync/engine.h"
#include "sync/sync_options.h"

PG_FUNCTION_INFO_V1(censync_create_sync);
PG_FUNCTION_INFO_V1(censync_alter_sync);
PG_FUNCTION_INFO_V1(censync_drop_sync);
PG_FUNCTION_INFO_V1(censync_pause);
PG_FUNCTION_INFO_V1(censync_resume);
PG_FUNCTION_INFO_V1(censync_reset);

/* Positions of the arguments that censync_create_sync and censync_alter_sync share. */
enum
{
	ARG_NAME,
	ARG_DESTINATION,
	ARG_BEHAVIOR,
	ARG_SERVER,
	ARG_QUERY,
	ARG_OBJECT,
	ARG_SYNC_KEY,
	ARG_MAPPINGS,
	ARG_SCHEDULE,
	ARG_OPTIONS
};

static void take_arguments(CsSync *sync, FunctionCallInfo fcinfo);
static void set_schedule(CsSync *sync, FunctionCallInfo fcinfo);
static void take_text(char **target, FunctionCallInfo fcinfo, int arg);
static List *text_array_argument(Datum array);
static Jsonb *merge_options(Jsonb *old, Jsonb *changes);
static void settle_key(CsSync *sync);
static CsSync *load_owned(FunctionCallInfo fcinfo);
static void require_idle(const CsSync *sync);
static void require(FunctionCallInfo fcinfo, int arg, const char *name);

/* SQL: censync_create_sync(...) returns bigint */
PGDLLEXPORT Datum
censync_create_sync(PG_FUNCTION_ARGS)
{
	CsSync *sync = palloc0(sizeof(CsSync));

	require(fcinfo, ARG_NAME, "name");
	require(fcinfo, ARG_DESTINATION, "destination");
	require(fcinfo, ARG_BEHAVIOR, "behavior");
	sync->name = text_to_cstring(PG_GETARG_TEXT_PP(ARG_NAME));
	if (sync->name[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_NAME), errmsg("a sync needs a name")));
	sync->owner = GetUserId();
	sync->owner_name = GetUserNameFromId(sync->owner, false);
	sync->at_home = true;
	sync->options = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")));
	sync->settings = cs_sync_current_settings();
	take_arguments(sync, fcinfo);
	settle_key(sync);
	cs_engine_validate(sync);
	cs_sync_insert(sync);
	if (!PG_ARGISNULL(ARG_SCHEDULE))
		set_schedule(sync, fcinfo);
	PG_RETURN_INT64(sync->sync_id);
}

/* SQL: censync_alter_sync(...) */
PGDLLEXPORT Datum
censync_alter_sync(PG_FUNCTION_ARGS)
{
	CsSync *sync;
	CsSync old;

	require(fcinfo, ARG_NAME, "name");
	sync = load_owned(fcinfo);
	old = *sync;
	if (!PG_ARGISNULL(ARG_DESTINATION) && !sync->at_home)
	{
		sync->destination_name = "";
		sync->at_home = true;
	}
	cs_sync_bring_home(sync);
	take_arguments(sync, fcinfo);
	/* Names in what is left as it was still mean what they meant. */
	if (!PG_ARGISNULL(ARG_QUERY) || !PG_ARGISNULL(ARG_OBJECT) || !PG_ARGISNULL(ARG_MAPPINGS))
		sync->settings = cs_sync_current_settings();
	settle_key(sync);
	/* A run that goes on would move the watermark of what the sync was. */
	if (cs_sync_options_parse(old.options)->cursor_column &&
		(!cs_sync_is_same_work(&old, sync) ||
		 !cs_sync_options_read_same(old.options, sync->options)))
	{
		require_idle(sync);
		cs_cursor_state_forget(sync->sync_id);
	}
	cs_engine_validate(sync);
	if (sync->destination != old.destination || !PG_ARGISNULL(ARG_SYNC_KEY))
	{
		require_idle(sync);
		cs_sync_forget_mirror(sync);
	}
	cs_sync_update(sync);
	if (!PG_ARGISNULL(ARG_SCHEDULE))
		set_schedule(sync, fcinfo);
	PG_RETURN_VOID();
}

/* SQL: censync_drop_sync(name) */
PGDLLEXPORT Datum
censync_drop_sync(PG_FUNCTION_ARGS)
{
	CsSync *sync = cs_sync_load_to_drop(text_to_cstring(PG_GETARG_TEXT_PP(ARG_NAME)));

	/* What belongs to nobody any more, a superuser may still remove. */
	if (OidIsValid(sync->owner) || !superuser())
		cs_sync_check_access(sync);

	require_idle(sync);
	cs_parents_refuse_if_has_children(sync);
	cs_keeper_release(sync);
	cs_parents_forget(sync->sync_id);
	cs_queue_cancel_of_sync(sync->sync_id);
	cs_sync_delete(sync);
	PG_RETURN_VOID();
}

/* SQL: censync_pause(name) */
PGDLLEXPORT Datum
censync_pause(PG_FUNCTION_ARGS)
{
	CsSync *sync = load_owned(fcinfo);

	if (sync->at_home && !sync->paused)
	{
		sync->paused = true;
		cs_keeper_release(sync);
		cs_sync_update(sync);
	}
	PG_RETURN_VOID();
}

/* SQL: censync_resume(name) */
PGDLLEXPORT Datum
censync_resume(PG_FUNCTION_ARGS)
{
	CsSync *sync = load_owned(fcinfo);
	bool from_elsewhere = !sync->at_home;

	cs_sync_bring_home(sync);
	if (sync->paused)
	{
		sync->paused = false;
		cs_engine_validate(sync);
		if (from_elsewhere)
			cs_keeper_find_parents(sync);
		cs_keeper_take(sync, false);
		cs_sync_update(sync);
	}
	PG_RETURN_VOID();
}

/* SQL: censync_reset(name) */
PGDLLEXPORT Datum
censync_reset(PG_FUNCTION_ARGS)
{
	CsSync *sync = load_owned(fcinfo);

	require_idle(sync);
	cs_sync_forget_mirror(sync);
	cs_cursor_state_forget(sync->sync_id);
	PG_RETURN_VOID();
}

/* What is given replaces what was there; options are merged. */
static void
take_arguments(CsSync *sync, FunctionCallInfo fcinfo)
{
	if (!PG_ARGISNULL(ARG_DESTINATION))
		sync->destination = PG_GETARG_OID(ARG_DESTINATION);
	if (!PG_ARGISNULL(ARG_BEHAVIOR))
		sync->behavior = cs_behavior_parse(text_to_cstring(PG_GETARG_TEXT_PP(ARG_BEHAVIOR)));
	if (!PG_ARGISNULL(ARG_SERVER))
	{
		char *server = NameStr(*PG_GETARG_NAME(ARG_SERVER));

		sync->server = server[0] ? pstrdup(server) : NULL;
	}
	take_text(&sync->query, fcinfo, ARG_QUERY);
	take_text(&sync->object, fcinfo, ARG_OBJECT);
	if (!PG_ARGISNULL(ARG_SYNC_KEY))
		sync->sync_key = text_array_argument(PG_GETARG_DATUM(ARG_SYNC_KEY));
	if (!PG_ARGISNULL(ARG_MAPPINGS))
	{
		sync->mappings = PG_GETARG_JSONB_P(ARG_MAPPINGS);
		if (!JB_ROOT_IS_OBJECT(sync->mappings))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("mappings must be a JSON object"),
					 errhint("For example {\"email\": \"email_address\"}: destination column, "
							 "then source column.")));
	}
	if (!PG_ARGISNULL(ARG_OPTIONS))
		sync->options = merge_options(sync->options, PG_GETARG_JSONB_P(ARG_OPTIONS));
}

/* Of a sync that is written already: it needs its id. */
static void
set_schedule(CsSync *sync, FunctionCallInfo fcinfo)
{
	cs_keeper_set_schedule(sync, text_to_cstring(PG_GETARG_TEXT_PP(ARG_SCHEDULE)));
	cs_sync_update(sync);
}

static void
take_text(char **target, FunctionCallInfo fcinfo, int arg)
{
	char *value;

	if (PG_ARGISNULL(arg))
		return;
	value = text_to_cstring(PG_GETARG_TEXT_PP(arg));
	*target = value[0] ? value : NULL;
}

static List *
text_array_argument(Datum array)
{
	Datum *elements;
	bool *nulls;
	int n;
	List *list = NIL;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &elements,
					  &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("sync_key must not contain nulls")));
		list = lappend(list, TextDatumGetCString(elements[i]));
	}
	return list;
}

static Jsonb *
merge_options(Jsonb *old, Jsonb *changes)
{
	cs_sync_options_check_form(changes);
	return DatumGetJsonbP(DirectFunctionCall1(
		jsonb_strip_nulls,
		DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(old), JsonbPGetDatum(changes))));
}

/* The columns of the key that will be used, so that a key added later does not change the sync. */
static void
settle_key(CsSync *sync)
{
	CsDestination *destination = cs_destination_load(sync->destination);
	CsUniqueKey *key;
	List *names = NIL;

	cs_destination_check(destination);
	key = cs_destination_find_key(destination, sync->sync_key);
	for (int k = 0; k < key->ncolumns; k++)
		names = lappend(names, destination->columns[key->columns[k]].name);
	sync->sync_key = names;
}

static CsSync *
load_owned(FunctionCallInfo fcinfo)
{
	CsSync *sync = cs_sync_load_to_change(text_to_cstring(PG_GETARG_TEXT_PP(ARG_NAME)));

	cs_sync_check_access(sync);
	return sync;
}

/* Until the end of the transaction: a run remembers at its end what it has written. */
static void
require_idle(const CsSync *sync)
{
	if (!cs_run_lock(sync->sync_id, false))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE), errmsg("sync \"%s\" is running", sync->name),
				 errhint("Wait for its end, or cancel it.")));
}

static void
require(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"%s\" must not be null", name)));
}
