/*
 * memory.c
 *		What a mirror tracks: the keys it has written, which it alone may
 *		delete.
 *
 * Keys are kept as text, under fixed settings, so that they outlive changes of
 * a session, a server version or a column's type.  User-defined code (domain
 * checks behind input functions) only ever runs as the role that applies;
 * reading and writing the table itself runs as its owner.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "catalog/spi.h"
#include "sync/run.h"
#include "sync/sqlgen.h"

/* A tracked key (m) and one of a stage (k), by the index of the table. */
#define SAME_KEY                                                                                   \
	"m.sync_id = " INT64_FORMAT " AND pg_catalog.hash_array_extended(m.key, 0) = "                 \
	"pg_catalog.hash_array_extended(k.key, 0) AND m.key = k.key"

static void warn_of_postponed_deletes(const CsRun *run);
static void find_vanished(CsRun *run);
static int64 count_tracked(CsRun *run);
static CsStage *load_keys(CsRun *run);
static CsStage *type_keys(CsRun *run, CsStage *keys);
static void type_key(CsRun *run, const Datum *parts, FmgrInfo *input, const Oid *ioparam,
					 Datum *values);
static void check_share_of_deletes(CsRun *run, int64 of, const char *what);
static void remember_written(CsRun *run);
static void forget_gone(CsRun *run);
static Datum key_to_text_array(const CsMappingSet *set, const Datum *values);
static void execute_on_keys(CsStage *keys, const char *sql);

/* To be called as the role that applies. */
void
cs_run_find_deletes(CsRun *run)
{
	const CsMappingSet *set = run->mappings;

	if (run->sync->behavior != CS_MIRROR || !run->read_to_end)
		return;
	if (run->counts.read == 0 && !run->options->allow_empty_source)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the source of mirror \"%s\" is empty", run->sync->name),
						errdetail("Every mirrored row would be deleted."),
						errhint("If that is meant, set option allow_empty_source to true.")));
	if (run->unidentified > 0)
	{
		warn_of_postponed_deletes(run);
		return;
	}
	run->deletes = cs_stage_create("part", set, true);
	cs_stage_register(run->stage);
	cs_stage_register(run->held);
	if (run->options->whole_table)
		cs_run_store(cs_sql_deletable(set, true), run->deletes);
	else
		find_vanished(run);
	cs_stage_unregister(run->held);
	cs_stage_unregister(run->stage);
	if (run->options->whole_table && run->deletes->count > 0)
	{
		bool isnull;

		cs_run_execute(cs_sql_count_destination(set), NULL);
		check_share_of_deletes(run, DatumGetInt64(cs_catalog_datum(0, 1, &isnull)),
							   "rows of the table");
	}
}

/* Does the run remember what it writes? */
bool
cs_run_tracks(const CsRun *run)
{
	return run->sync->behavior == CS_MIRROR && !run->options->whole_table;
}

/*
 * Only what was really written: a row that another session wrote in the same moment as this run would
 * have is its row, and not to be deleted one day.
 */
void
cs_run_note_written(CsRun *run, CsStage *keys)
{
	TupleTableSlot *slot = cs_stage_rewind(keys);

	if (run->written == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(run->context);

		run->written = cs_stage_create("written", run->mappings, true);
		MemoryContextSwitchTo(old);
	}
	while (cs_stage_next(keys, slot))
		cs_stage_put_slot(run->written, slot);
}

/* To be called as the role that applies, after the apply. */
void
cs_run_update_memory(CsRun *run)
{
	if (!cs_run_tracks(run))
		return;
	cs_progress_phase(run->progress, CS_PROGRESS_TRACKING, -1);
	if (run->vanished && run->vanished->count > 0)
		forget_gone(run);
	if (run->written && run->written->count > 0)
		remember_written(run);
}

/* Any row might be the one that such a record is about. */
static void
warn_of_postponed_deletes(const CsRun *run)
{
	ereport(
		WARNING,
		(errcode(ERRCODE_WARNING),
		 errmsg("mirror \"%s\" deletes nothing in this run", run->sync->name),
		 errdetail_plural("The key of " INT64_FORMAT " record could not be read, so it is not "
						  "known which rows the source no longer has.",
						  "The keys of " INT64_FORMAT " records could not be read, so it is not "
						  "known which rows the source no longer has.",
						  run->unidentified, run->unidentified),
		 errhint("censync.records has the records. The first run without such ones deletes.")));
}

static void
find_vanished(CsRun *run)
{
	CsStage *keys = load_keys(run);
	CsStage *memory = type_keys(run, keys);
	int64 tracked;

	run->vanished = cs_stage_create_tracked("vanished", run->mappings);
	cs_stage_register(memory);
	cs_run_store(cs_sql_vanished(run->mappings), run->vanished);
	tracked = run->vanished->count > 0 ? count_tracked(run) : 0;
	cs_stage_unregister(memory);
	cs_stage_end(memory);
	if (run->vanished->count == 0)
		return;
	cs_stage_register(run->vanished);
	cs_run_store(cs_sql_deletable(run->mappings, false), run->deletes);
	cs_stage_unregister(run->vanished);
	check_share_of_deletes(run, tracked, "rows that this sync has written");
}

/* A row may be tracked under several images of its key: equal keys count once. */
static int64
count_tracked(CsRun *run)
{
	bool isnull;

	cs_run_execute(cs_sql_count_tracked(run->mappings), NULL);
	return DatumGetInt64(cs_catalog_datum(0, 1, &isnull));
}

static CsStage *
load_keys(CsRun *run)
{
	CsStage *keys = cs_stage_create_keys("keys");
	CsUserContext saved;

	cs_user_switch_to_catalog(&saved);
	cs_run_store(psprintf("SELECT key FROM censync.mirror_memory WHERE sync_id = " INT64_FORMAT,
						  run->sync->sync_id),
				 keys);
	cs_user_restore(&saved);
	return keys;
}

/* Ends keys. */
static CsStage *
type_keys(CsRun *run, CsStage *keys)
{
	const CsMappingSet *set = run->mappings;
	CsStage *memory = cs_stage_create_tracked("memory", set);
	FmgrInfo *input = palloc(sizeof(FmgrInfo) * set->nkeys);
	Oid *ioparam = palloc(sizeof(Oid) * set->nkeys);
	Datum *values = palloc(sizeof(Datum) * (set->nkeys + 1));
	bool *nulls = palloc0(sizeof(bool) * (set->nkeys + 1));
	TupleTableSlot *slot = cs_stage_rewind(keys);
	MemoryContext row_context =
		AllocSetContextCreate(run->context, "censync tracked key", ALLOCSET_SMALL_SIZES);
	CsUserContext saved;

	cs_user_switch(&saved, run->apply_as, CS_SAFE_SEARCH_PATH);
	cs_user_set_canonical_text();
	for (int k = 0; k < set->nkeys; k++)
	{
		Oid function;

		getTypeInputInfo(set->items[k].dest->typid, &function, &ioparam[k]);
		fmgr_info(function, &input[k]);
	}
	while (cs_stage_next(keys, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(row_context);
		bool isnull;
		Datum *parts;
		int n;

		values[0] = slot_getattr(slot, 1, &isnull);
		deconstruct_array(DatumGetArrayTypeP(values[0]), TEXTOID, -1, false, TYPALIGN_INT, &parts,
						  NULL, &n);
		if (n != set->nkeys)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("what mirror \"%s\" tracks is of another sync key", run->sync->name),
					 errhint("SELECT censync_reset(%s) makes the next run a first run.",
							 quote_literal_cstr(run->sync->name))));
		type_key(run, parts, input, ioparam, values + 1);
		cs_stage_put_raw(memory, values, nulls);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_context);
	}
	cs_user_restore(&saved);
	MemoryContextDelete(row_context);
	cs_stage_end(keys);
	return memory;
}

/* What was fit for the key's type once may no longer be: a domain was made stricter. */
static void
type_key(CsRun *run, const Datum *parts, FmgrInfo *input, const Oid *ioparam, Datum *values)
{
	const CsMappingSet *set = run->mappings;
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		for (int k = 0; k < set->nkeys; k++)
			values[k] = InputFunctionCall(&input[k], TextDatumGetCString(parts[k]), ioparam[k],
										  set->items[k].dest->typmod);
	}
	PG_CATCH();
	{
		CsError *error = cs_error_catch(context);

		if (!cs_error_is_of_row(error->code))
			cs_error_throw(error);
		ereport(ERROR,
				(errcode(error->code), errmsg_internal("%s", error->message),
				 errdetail("A key that mirror \"%s\" tracks is no value of column \"%s\" any more.",
						   run->sync->name, set->items[0].dest->name),
				 errhint("SELECT censync_reset(%s) makes the next run a first run.",
						 quote_literal_cstr(run->sync->name))));
	}
	PG_END_TRY();
}

static void
check_share_of_deletes(CsRun *run, int64 of, const char *what)
{
	if ((double) run->deletes->count <= run->options->max_deletes * (double) of)
		return;
	ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					errmsg("mirror \"%s\" would delete " INT64_FORMAT " of " INT64_FORMAT " %s",
						   run->sync->name, run->deletes->count, of, what),
					errdetail("Option max_deletes allows a share of %g. Nothing was changed.",
							  run->options->max_deletes),
					errhint("If the source is right, raise max_deletes for this run.")));
}

static void
remember_written(CsRun *run)
{
	CsStage *keys = cs_stage_create_keys("keys");
	TupleTableSlot *slot = cs_stage_rewind(run->written);
	MemoryContext row_context =
		AllocSetContextCreate(run->context, "censync written key", ALLOCSET_SMALL_SIZES);
	CsUserContext saved;
	bool isnull = false;

	cs_user_switch(&saved, run->apply_as, CS_SAFE_SEARCH_PATH);
	cs_user_set_canonical_text();
	while (cs_stage_next(run->written, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(row_context);
		Datum key;

		slot_getallattrs(slot);
		key = key_to_text_array(run->mappings, slot->tts_values + 1);
		cs_stage_put_raw(keys, &key, &isnull);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_context);
	}
	cs_user_restore(&saved);
	MemoryContextDelete(row_context);
	execute_on_keys(keys, psprintf("INSERT INTO censync.mirror_memory SELECT DISTINCT " INT64_FORMAT
								   ", k.key FROM keys k WHERE NOT EXISTS (SELECT FROM "
								   "censync.mirror_memory m WHERE " SAME_KEY ")",
								   run->sync->sync_id, run->sync->sync_id));
}

/* Vanished keys that the destination has no row of, be it that this run deleted it or somebody else. */
static void
forget_gone(CsRun *run)
{
	CsStage *keys = cs_stage_create_keys("keys");

	cs_stage_register(run->vanished);
	cs_run_store(cs_sql_forgettable(run->mappings), keys);
	cs_stage_unregister(run->vanished);
	execute_on_keys(keys,
					psprintf("DELETE FROM censync.mirror_memory m USING keys k WHERE " SAME_KEY,
							 run->sync->sync_id));
}

static Datum
key_to_text_array(const CsMappingSet *set, const Datum *values)
{
	Datum *parts = palloc(sizeof(Datum) * set->nkeys);

	for (int k = 0; k < set->nkeys; k++)
	{
		Oid function;
		bool is_varlena;

		getTypeOutputInfo(set->items[k].dest->typid, &function, &is_varlena);
		parts[k] = CStringGetTextDatum(OidOutputFunctionCall(function, values[k]));
	}
	return PointerGetDatum(construct_array(parts, set->nkeys, TEXTOID, -1, false, TYPALIGN_INT));
}

/* As the owner of the extension's tables; ends keys. */
static void
execute_on_keys(CsStage *keys, const char *sql)
{
	CsUserContext saved;

	cs_user_switch_to_catalog(&saved);
	cs_stage_register(keys);
	cs_run_execute(sql, NULL);
	cs_stage_unregister(keys);
	cs_user_restore(&saved);
	cs_stage_end(keys);
}
