/*
 * mirror.c
 *		Which rows a mirror deletes, and what it remembers.
 *
 * A mirror that deletes only what it has written remembers the keys of that.
 * To read that memory in every run would cost as much as the comparison, so a
 * run first asks fingerprints:
 *
 * - The source has just the keys that it had when it last had all that is
 *   remembered: then nothing has vanished.
 * - Else, the comparison finds the rows that no record has the key of (extras)
 *   and the records that have no row (creates).  Those of them that are
 *   remembered, and the keys of the other records, are all that is
 *   remembered, if the fingerprints say so: then the remembered extras are
 *   what has vanished.
 * - Else the memory is read.
 */
#include "postgres.h"

#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "catalog/spi.h"
#include "sync/memory.h"
#include "sync/sqlgen.h"
#include "sync/walk.h"

/* Extras and creates are looked up one by one: not if they are more than that, or than half of what is
 * remembered. */
#define MIN_LOOKUPS 1000

/* What one run knows of its mirror's memory; in the run's context. */
struct CsMirror
{
	char *key_types;
	CsMirrorState before; /* as the last run left it, if known */
	bool known;			  /* before means something */
	bool counted;		  /* after.tracked.count is right */
	CsMirrorState after;  /* tracked: kept up to date */
	bool seen_is_exact;	  /* after.seen has each key of the source once, and no other */
	bool nothing_vanished;
};

static void check_not_empty(const CsRun *run);
static void warn_of_postponed_deletes(const CsRun *run);
static void load_state(CsRun *run);
static char *key_types(const CsMappingSet *set);
static void find_untracked(CsRun *run);
static bool find_among_extras(CsRun *run);
static void subtract_keys(const CsRun *run, CsStage *keys, CsFingerprint *print);
static void add_tracked(CsStage *tracked, CsFingerprint *print);
static void find_in_memory(CsRun *run);
static int64 count_tracked(CsRun *run);
static void check_share_of_deletes(CsRun *run, int64 of, const char *what);
static void forget_gone(CsRun *run);

void
cs_run_plan_deletes(CsRun *run)
{
	if (run->sync->behavior != CS_MIRROR || !run->read_to_end)
		return;
	check_not_empty(run);
	if (run->unidentified > 0)
	{
		warn_of_postponed_deletes(run);
		return;
	}
	run->deletes = cs_stage_create("part", run->mappings, true);
	if (cs_run_tracks(run))
	{
		load_state(run);
		if (run->mirror->nothing_vanished || !run->mirror->seen_is_exact || !run->mirror->known ||
			run->mirror->before.tracked.count == 0 || !cs_run_is_walkable(run))
			return;
	}
	run->extras = cs_stage_create("extras", run->mappings, true);
}

void
cs_run_find_deletes(CsRun *run)
{
	if (run->deletes == NULL)
		return;
	if (!cs_run_tracks(run))
		find_untracked(run);
	else if (!run->mirror->nothing_vanished && !(run->extras && find_among_extras(run)))
		find_in_memory(run);
}

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

void
cs_run_update_memory(CsRun *run)
{
	CsMirror *mirror;

	if (!cs_run_tracks(run))
		return;
	cs_progress_phase(run->progress, CS_PROGRESS_TRACKING, -1);
	if (run->mirror == NULL)
		load_state(run);
	mirror = run->mirror;
	if (run->vanished && run->vanished->count > 0)
		forget_gone(run);
	if (run->written && run->written->count > 0)
		cs_memory_add(run, run->written, mirror->counted && mirror->after.tracked.count == 0,
					  &mirror->after.tracked);
	/* Fingerprints that are not known are of no types: the next run reads the memory. */
	if (mirror->before.all_seen != mirror->after.all_seen ||
		!cs_fingerprint_equal(&mirror->before.tracked, &mirror->after.tracked) ||
		!cs_fingerprint_equal(&mirror->before.seen, &mirror->after.seen))
		cs_mirror_state_save(run->sync->sync_id, mirror->known ? mirror->key_types : "",
							 &mirror->after);
}

static void
check_not_empty(const CsRun *run)
{
	if (run->counts.read == 0 && !run->options->allow_empty_source)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the source of mirror \"%s\" is empty", run->sync->name),
						errdetail("Every mirrored row would be deleted."),
						errhint("If that is meant, set option allow_empty_source to true.")));
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

/* A key that is held back, or that several records have, is not in the fingerprint as it should be. */
static void
load_state(CsRun *run)
{
	CsMirror *mirror = palloc0(sizeof(CsMirror));

	run->mirror = mirror;
	mirror->key_types = key_types(run->mappings);
	mirror->seen_is_exact = run->deletes && run->key_ops->hashable && run->held->count == 0;
	mirror->known = cs_mirror_state_load(run->sync->sync_id, mirror->key_types, &mirror->before);
	mirror->counted = mirror->known;
	mirror->after.tracked = mirror->before.tracked;
	if (mirror->seen_is_exact)
		mirror->after.seen = cs_key_set_fingerprint(run->keys);
	mirror->nothing_vanished = mirror->known && mirror->seen_is_exact && mirror->before.all_seen &&
							   cs_fingerprint_equal(&mirror->after.seen, &mirror->before.seen);
	mirror->after.all_seen = mirror->nothing_vanished;
}

/* Types and their equality: what hashes of keys depend on. */
static char *
key_types(const CsMappingSet *set)
{
	StringInfoData types;

	initStringInfo(&types);
	for (int k = 0; k < set->nkeys; k++)
		appendStringInfo(&types, "%s%u/%u/%u", k ? "," : "", set->items[k].dest->typid,
						 set->key->eq_operators[k], set->items[k].dest->collation);
	return types.data;
}

/* Every row that no record has the key of. */
static void
find_untracked(CsRun *run)
{
	bool isnull;

	cs_stage_register(run->extras);
	cs_stage_register(run->held);
	cs_run_store(cs_sql_not_held(run->mappings), run->deletes);
	cs_stage_unregister(run->held);
	cs_stage_unregister(run->extras);
	if (run->deletes->count == 0)
		return;
	cs_run_execute(cs_sql_count_destination(run->mappings), NULL);
	check_share_of_deletes(run, DatumGetInt64(cs_catalog_datum(0, 1, &isnull)),
						   "rows of the table");
}

static bool
find_among_extras(CsRun *run)
{
	CsMirror *mirror = run->mirror;
	CsFingerprint all = mirror->after.seen;
	CsStage *remembered;

	if (run->extras->count + run->creates->count >
		Max(MIN_LOOKUPS, mirror->before.tracked.count / 2))
		return false;
	remembered = cs_memory_find(run, run->creates, "remembered");
	subtract_keys(run, run->creates, &all);
	add_tracked(remembered, &all);
	cs_stage_end(remembered);
	run->vanished = cs_memory_find(run, run->extras, "vanished");
	add_tracked(run->vanished, &all);
	if (!cs_fingerprint_equal(&all, &mirror->before.tracked))
	{
		cs_stage_end(run->vanished);
		run->vanished = NULL;
		return false;
	}
	cs_stage_register(run->vanished);
	cs_run_store(cs_sql_vanished_keys(run->mappings), run->deletes);
	cs_stage_unregister(run->vanished);
	mirror->after.all_seen = run->vanished->count == 0;
	check_share_of_deletes(run, mirror->before.tracked.count, "rows that this sync has written");
	return true;
}

static void
subtract_keys(const CsRun *run, CsStage *keys, CsFingerprint *print)
{
	TupleTableSlot *slot = cs_stage_rewind(keys);

	while (cs_stage_next(keys, slot))
	{
		slot_getallattrs(slot);
		cs_fingerprint_subtract(print, cs_key_hash(run->key_ops, slot->tts_values + 1));
	}
}

static void
add_tracked(CsStage *tracked, CsFingerprint *print)
{
	TupleTableSlot *slot = cs_stage_rewind(tracked);
	bool isnull;

	while (cs_stage_next(tracked, slot))
		cs_fingerprint_add(print, DatumGetUInt64(slot_getattr(slot, 2, &isnull)));
}

static void
find_in_memory(CsRun *run)
{
	CsMirror *mirror = run->mirror;
	CsStage *memory = cs_memory_load(run, &mirror->after.tracked);
	int64 tracked;

	mirror->counted = true;
	mirror->known = run->key_ops->hashable;
	run->vanished = cs_stage_create_tracked("vanished", run->mappings);
	cs_stage_register(run->stage);
	cs_stage_register(run->held);
	cs_stage_register(memory);
	cs_run_store(cs_sql_vanished(run->mappings), run->vanished);
	tracked = run->vanished->count > 0 ? count_tracked(run) : 0;
	cs_stage_unregister(memory);
	cs_stage_unregister(run->held);
	cs_stage_unregister(run->stage);
	cs_stage_end(memory);
	mirror->after.all_seen = mirror->seen_is_exact && run->vanished->count == 0;
	if (run->vanished->count == 0)
		return;
	cs_stage_register(run->vanished);
	cs_run_store(cs_sql_deletable(run->mappings), run->deletes);
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

/* Vanished keys that the destination has no row of, be it that this run deleted it or somebody else. */
static void
forget_gone(CsRun *run)
{
	CsStage *gone = cs_stage_create_tracked("gone", run->mappings);

	cs_stage_register(run->vanished);
	cs_run_store(cs_sql_forgettable(run->mappings), gone);
	cs_stage_unregister(run->vanished);
	cs_memory_remove(run, gone, &run->mirror->after.tracked);
	run->mirror->after.all_seen = run->mirror->seen_is_exact && gone->count == run->vanished->count;
	cs_stage_end(gone);
}
