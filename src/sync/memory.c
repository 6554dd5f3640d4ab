/*
 * memory.c
 *		The keys that a mirror has written, in their table.
 *
 * Keys are kept as text, under fixed settings, so that they outlive changes of
 * a session, a server version or a column's type.
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

#include "base/receiver.h"
#include "catalog/spi.h"
#include "sync/memory.h"

/*
 * A tracked key (m) and one of a stage (k), by the index of the table.  Only to be used in a subquery that
 * the planner can't turn into a join: the table may never have been analyzed, and a join the wrong way
 * round compares every key with every other.
 */
#define SAME_KEY                                                                                   \
	"m.sync_id = " INT64_FORMAT " AND pg_catalog.hash_array_extended(m.key, 0) = "                 \
	"pg_catalog.hash_array_extended(k.key, 0) AND m.key = k.key"

#define IS_REMEMBERED "(SELECT true FROM censync.mirror_memory m WHERE " SAME_KEY " LIMIT 1)"

/* Columns of a tracked stage before those of the key: its text and its hash. */
#define TRACKED_KEY 2

/* Takes the hashes that a statement returns. */
typedef struct HashReceiver
{
	DestReceiver base; /* must be first */
	CsFingerprint *print;
	void (*take)(CsFingerprint *print, uint64 hash);
} HashReceiver;

static CsStage *load_texts(CsRun *run);
static void type_keys(CsRun *run, CsStage *texts, CsStage *memory, CsFingerprint *print);
static void type_key(CsRun *run, const Datum *parts, FmgrInfo *input, const Oid *ioparam,
					 Datum *values);
static CsStage *write_texts(CsRun *run, CsStage *keys, const char *name);
static Datum key_to_text_array(const CsMappingSet *set, FmgrInfo *output, const Datum *values);
static uint64 hash_of(const CsRun *run, const Datum *values);
static void take_hashes(CsStage *keys, const char *sql, CsFingerprint *print,
						void (*take)(CsFingerprint *print, uint64 hash));
static void prefer_lookups(void);
static bool receive_hash(TupleTableSlot *slot, DestReceiver *self);

CsStage *
cs_memory_load(CsRun *run, CsFingerprint *print)
{
	CsStage *memory = cs_stage_create_tracked("memory", run->mappings);
	CsStage *texts = load_texts(run);
	CsUserContext saved;

	memset(print, 0, sizeof(*print));
	cs_user_switch(&saved, run->apply_as, CS_SAFE_SEARCH_PATH);
	cs_user_set_canonical_text();
	type_keys(run, texts, memory, print);
	cs_user_restore(&saved);
	cs_stage_end(texts);
	return memory;
}

CsStage *
cs_memory_find(CsRun *run, CsStage *keys, const char *name)
{
	CsStage *found = cs_stage_create_tracked(name, run->mappings);
	CsStage *texts = write_texts(run, keys, "keys");
	CsUserContext saved;

	cs_user_switch_to_catalog(&saved);
	prefer_lookups();
	cs_stage_register(texts);
	cs_run_store(psprintf("SELECT k.* FROM keys k WHERE " IS_REMEMBERED, run->sync->sync_id),
				 found);
	cs_stage_unregister(texts);
	cs_user_restore(&saved);
	cs_stage_end(texts);
	return found;
}

void
cs_memory_add(CsRun *run, CsStage *keys, bool is_empty, CsFingerprint *print)
{
	CsStage *texts = write_texts(run, keys, "keys");
	const char *unknown =
		is_empty ? "" : psprintf(" WHERE (" IS_REMEMBERED ") IS NULL", run->sync->sync_id);

	take_hashes(texts,
				psprintf("WITH fresh AS MATERIALIZED (SELECT %s k.key, k.hash FROM keys k%s), "
						 "added AS (INSERT INTO censync.mirror_memory SELECT " INT64_FORMAT
						 ", f.key FROM fresh f) SELECT f.hash FROM fresh f",
						 run->rounds > 1 ? "DISTINCT ON (k.key)" : "", unknown, run->sync->sync_id),
				print, cs_fingerprint_add);
	cs_stage_end(texts);
}

void
cs_memory_remove(CsRun *run, CsStage *keys, CsFingerprint *print)
{
	CsStage *named = cs_stage_borrow("keys", keys);

	take_hashes(
		named,
		psprintf("DELETE FROM censync.mirror_memory d USING (SELECT k.hash, f.ctid FROM keys k, "
				 "LATERAL (SELECT m.ctid FROM censync.mirror_memory m WHERE " SAME_KEY
				 " OFFSET 0) f) x WHERE d.ctid = x.ctid RETURNING x.hash",
				 run->sync->sync_id),
		print, cs_fingerprint_subtract);
}

static CsStage *
load_texts(CsRun *run)
{
	CsStage *texts = cs_stage_create_keys("texts");
	CsUserContext saved;

	cs_user_switch_to_catalog(&saved);
	cs_run_store(psprintf("SELECT key FROM censync.mirror_memory WHERE sync_id = " INT64_FORMAT,
						  run->sync->sync_id),
				 texts);
	cs_user_restore(&saved);
	return texts;
}

static void
type_keys(CsRun *run, CsStage *texts, CsStage *memory, CsFingerprint *print)
{
	const CsMappingSet *set = run->mappings;
	FmgrInfo *input = palloc(sizeof(FmgrInfo) * set->nkeys);
	Oid *ioparam = palloc(sizeof(Oid) * set->nkeys);
	Datum *values = palloc(sizeof(Datum) * (set->nkeys + TRACKED_KEY));
	bool *nulls = palloc0(sizeof(bool) * (set->nkeys + TRACKED_KEY));
	TupleTableSlot *slot = cs_stage_rewind(texts);
	MemoryContext row_context =
		AllocSetContextCreate(run->context, "censync tracked key", ALLOCSET_SMALL_SIZES);

	for (int k = 0; k < set->nkeys; k++)
	{
		Oid function;

		getTypeInputInfo(set->items[k].dest->typid, &function, &ioparam[k]);
		fmgr_info(function, &input[k]);
	}
	while (cs_stage_next(texts, slot))
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
		type_key(run, parts, input, ioparam, values + TRACKED_KEY);
		values[1] = UInt64GetDatum(hash_of(run, values + TRACKED_KEY));
		cs_fingerprint_add(print, DatumGetUInt64(values[1]));
		cs_stage_put_raw(memory, values, nulls);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_context);
	}
	MemoryContextDelete(row_context);
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

/* The keys of a stage of rows, as a tracked stage. */
static CsStage *
write_texts(CsRun *run, CsStage *keys, const char *name)
{
	const CsMappingSet *set = run->mappings;
	CsStage *texts = cs_stage_create_tracked(name, set);
	FmgrInfo *output = palloc(sizeof(FmgrInfo) * set->nkeys);
	Datum *values = palloc(sizeof(Datum) * (set->nkeys + TRACKED_KEY));
	bool *nulls = palloc0(sizeof(bool) * (set->nkeys + TRACKED_KEY));
	TupleTableSlot *slot = cs_stage_rewind(keys);
	MemoryContext row_context =
		AllocSetContextCreate(run->context, "censync written key", ALLOCSET_SMALL_SIZES);
	CsUserContext saved;

	for (int k = 0; k < set->nkeys; k++)
	{
		Oid function;
		bool is_varlena;

		getTypeOutputInfo(set->items[k].dest->typid, &function, &is_varlena);
		fmgr_info(function, &output[k]);
	}
	cs_user_switch(&saved, run->apply_as, CS_SAFE_SEARCH_PATH);
	cs_user_set_canonical_text();
	while (cs_stage_next(keys, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(row_context);

		slot_getallattrs(slot);
		memcpy(values + TRACKED_KEY, slot->tts_values + 1, sizeof(Datum) * set->nkeys);
		values[0] = key_to_text_array(set, output, slot->tts_values + 1);
		values[1] = UInt64GetDatum(hash_of(run, slot->tts_values + 1));
		cs_stage_put_raw(texts, values, nulls);
		MemoryContextSwitchTo(old);
		MemoryContextReset(row_context);
	}
	cs_user_restore(&saved);
	MemoryContextDelete(row_context);
	return texts;
}

static Datum
key_to_text_array(const CsMappingSet *set, FmgrInfo *output, const Datum *values)
{
	Datum *parts = palloc(sizeof(Datum) * set->nkeys);

	for (int k = 0; k < set->nkeys; k++)
		parts[k] = CStringGetTextDatum(OutputFunctionCall(&output[k], values[k]));
	return PointerGetDatum(construct_array(parts, set->nkeys, TEXTOID, -1, false, TYPALIGN_INT));
}

static uint64
hash_of(const CsRun *run, const Datum *values)
{
	return run->key_ops->hashable ? cs_key_hash(run->key_ops, values) : 0;
}

static void
take_hashes(CsStage *keys, const char *sql, CsFingerprint *print,
			void (*take)(CsFingerprint *print, uint64 hash))
{
	HashReceiver receiver = { .print = print, .take = take };
	CsUserContext saved;

	cs_receiver_init(&receiver.base, receive_hash);
	cs_user_switch_to_catalog(&saved);
	prefer_lookups();
	cs_stage_register(keys);
	cs_run_execute(sql, &receiver.base);
	cs_stage_unregister(keys);
	cs_user_restore(&saved);
}

/* Key by key, through the index. */
static void
prefer_lookups(void)
{
	static const char *const others[] = { "enable_hashjoin", "enable_mergejoin",
										  "enable_bitmapscan", "enable_seqscan" };

	for (int i = 0; i < (int) lengthof(others); i++)
		cs_user_set(others[i], "off");
}

static bool
receive_hash(TupleTableSlot *slot, DestReceiver *self)
{
	HashReceiver *receiver = (HashReceiver *) self;
	bool isnull;

	receiver->take(receiver->print, DatumGetUInt64(slot_getattr(slot, 1, &isnull)));
	return true;
}
