/*
 * walk.c
 *		The comparison of stage and destination by walking along both at once.
 *
 * A source tends to give its rows in the same order every time, and the
 * destination has them in about that order, because runs have put them there.
 * So most rows meet their counterparts without being looked for.  One that
 * does not is set aside, in a window of its side, and is found there by its
 * key when its counterpart comes along.  Nothing depends on any order but the
 * time it takes: when the windows grow too large, the walk is given up, and a
 * join in SQL does it all.
 *
 * Rows are compared by image, as the statement of the diff does.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/receiver.h"
#include "sync/sqlgen.h"
#include "sync/walk.h"
#include "sync/window.h"

/* A destination larger than so many times what was read is better searched by index. */
#define MAX_SIZE_RATIO 4

/* So many rows of the stage are looked at for one of the destination, as long as order does not say more. */
#define MAX_LOOKAHEAD 8

typedef struct WalkColumn
{
	int position;	/* attribute of the stage, from 0 */
	bool compared;	/* else it only identifies */
	bool skip_null; /* a NULL of the source is no difference */
	bool by_value;
	int16 length;
} WalkColumn;

typedef struct Walk
{
	DestReceiver base; /* must be first */
	CsRun *run;
	MemoryContext context; /* of the walk; everything here lives in it */
	MemoryContext row;	   /* reset after each row of the destination */
	const CsKeyOps *ops;
	WalkColumn *columns; /* as the statement lists the destination's */
	int ncolumns;
	bool compares;		  /* some column can differ */
	CsWindow *staged;	  /* rows of the stage that wait for one of the destination */
	CsWindow *present;	  /* and the other way round; made when the first row tells what it is */
	TupleTableSlot *head; /* the next row of the stage, or NULL at its end */
	Datum *new_row;		  /* for what goes into a stage */
	bool *new_nulls;
	int64 budget; /* bytes that both windows may hold */
	bool given_up;
	int64 skipped;
} Walk;

static int64 destination_bytes(const CsDestination *destination);
static void set_up(Walk *walk, CsRun *run);
static void set_up_columns(Walk *walk);
static void advance(Walk *walk);
static bool receive_present(TupleTableSlot *slot, DestReceiver *self);
static bool has_null_key(const Walk *walk, TupleTableSlot *slot);
static bool find_staged(Walk *walk, TupleTableSlot *slot, uint64 hash);
static bool is_after(const Walk *walk, TupleTableSlot *slot);
static void set_head_aside(Walk *walk);
static void set_present_aside(Walk *walk, TupleTableSlot *slot, uint64 hash);
static void finish(Walk *walk);
static void compare(Walk *walk, TupleTableSlot *staged, TupleTableSlot *present);
static bool differs(const Walk *walk, TupleTableSlot *staged, TupleTableSlot *present);
static void put_staged(Walk *walk, CsStage *target, TupleTableSlot *staged);
static void put_unmatched(Walk *walk, TupleTableSlot *staged);
static void put_extra(Walk *walk, TupleTableSlot *present);

bool
cs_run_walk(CsRun *run)
{
	Walk walk = { 0 };
	MemoryContext old;

	if (!cs_run_is_walkable(run))
		return false;
	walk.context = AllocSetContextCreate(run->context, "censync walk", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(walk.context);
	set_up(&walk, run);
	cs_run_execute(cs_sql_scan(run->mappings, walk.ncolumns), &walk.base);
	if (!walk.given_up)
		finish(&walk);
	run->counts.skipped = walk.given_up ? 0 : walk.skipped;
	MemoryContextSwitchTo(old);
	if (walk.head)
		ExecDropSingleTupleTableSlot(walk.head);
	MemoryContextDelete(walk.context);
	return !walk.given_up;
}

/* When the condition "empty" asks for the text of the row as it is, SQL does. */
bool
cs_run_is_walkable(const CsRun *run)
{
	const CsMappingSet *set = run->mappings;

	if (!run->key_ops->hashable)
		return false;
	for (int i = 0; i < set->count; i++)
		if (set->items[i].only_empty)
			return false;
	return destination_bytes(set->destination) <= MAX_SIZE_RATIO * run->counts.bytes + BLCKSZ;
}

/* Of the table, or of all its partitions. */
static int64
destination_bytes(const CsDestination *destination)
{
	List *relids = destination->only
					   ? list_make1_oid(destination->relid)
					   : find_all_inheritors(destination->relid, AccessShareLock, NULL);
	int64 blocks = 0;
	ListCell *lc;

	foreach (lc, relids)
	{
		Relation relation = table_open(lfirst_oid(lc), AccessShareLock);

		if (RELKIND_HAS_TABLE_AM(relation->rd_rel->relkind))
			blocks += RelationGetNumberOfBlocks(relation);
		table_close(relation, NoLock);
	}
	return blocks * BLCKSZ;
}

static void
set_up(Walk *walk, CsRun *run)
{
	walk->run = run;
	walk->ops = run->key_ops;
	walk->row = AllocSetContextCreate(walk->context, "censync walked row", ALLOCSET_DEFAULT_SIZES);
	walk->budget = (int64) maintenance_work_mem * 1024 / 2;
	walk->new_row = palloc(sizeof(Datum) * (run->mappings->count + 1));
	walk->new_nulls = palloc(sizeof(bool) * (run->mappings->count + 1));
	set_up_columns(walk);
	walk->staged = cs_window_create(run->stage->desc, 1, walk->ops);
	walk->head = cs_stage_rewind(run->stage);
	advance(walk);
	cs_receiver_init(&walk->base, receive_present);
}

static void
set_up_columns(Walk *walk)
{
	const CsMappingSet *set = walk->run->mappings;

	walk->ncolumns = walk->run->sync->behavior == CS_APPEND ? set->nkeys : set->count;
	walk->columns = palloc0(sizeof(WalkColumn) * walk->ncolumns);
	for (int i = 0; i < walk->ncolumns; i++)
	{
		const CsMapping *mapping = &set->items[i];
		WalkColumn *column = &walk->columns[i];

		column->position = mapping->position;
		column->compared =
			walk->run->sync->behavior != CS_APPEND && cs_mapping_is_compared(mapping);
		column->skip_null = mapping->skip_null;
		get_typlenbyval(mapping->dest->typid, &column->length, &column->by_value);
		walk->compares |= column->compared;
	}
}

/* A row that is read back from disk belongs to the slot, in the context of this moment. */
static void
advance(Walk *walk)
{
	MemoryContext old = MemoryContextSwitchTo(walk->context);

	if (cs_stage_next(walk->run->stage, walk->head))
		slot_getallattrs(walk->head);
	else
		walk->head = NULL;
	MemoryContextSwitchTo(old);
}

static bool
receive_present(TupleTableSlot *slot, DestReceiver *self)
{
	Walk *walk = (Walk *) self;
	MemoryContext old = MemoryContextSwitchTo(walk->row);

	slot_getallattrs(slot);
	if (has_null_key(walk, slot))
		;
	else if (walk->head && cs_key_equal(walk->ops, walk->head->tts_values + 1, slot->tts_values))
	{
		compare(walk, walk->head, slot);
		advance(walk);
	}
	else
	{
		uint64 hash = cs_key_hash(walk->ops, slot->tts_values);

		if (!find_staged(walk, slot, hash))
			set_present_aside(walk, slot, hash);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(walk->row);
	return !walk->given_up;
}

static bool
has_null_key(const Walk *walk, TupleTableSlot *slot)
{
	for (int k = 0; k < walk->ops->ncolumns; k++)
		if (slot->tts_isnull[k])
			return true;
	return false;
}

/* Among the rows of the stage that wait, or else among the next ones. */
static bool
find_staged(Walk *walk, TupleTableSlot *slot, uint64 hash)
{
	TupleTableSlot *staged = cs_window_take(walk->staged, slot->tts_values, hash);

	if (staged)
	{
		compare(walk, staged, slot);
		return true;
	}
	for (int ahead = 0; walk->head; ahead++)
	{
		if (cs_key_equal(walk->ops, walk->head->tts_values + 1, slot->tts_values))
		{
			compare(walk, walk->head, slot);
			advance(walk);
			return true;
		}
		if (walk->ops->ordered ? is_after(walk, slot) : ahead >= MAX_LOOKAHEAD)
			return false;
		set_head_aside(walk);
		if (walk->given_up)
			return false;
	}
	return false;
}

/* Does the stage's next row come after this one by its key?  Then this one, in ordered rows, is not there. */
static bool
is_after(const Walk *walk, TupleTableSlot *slot)
{
	return cs_key_compare(walk->ops, walk->head->tts_values + 1, slot->tts_values) > 0;
}

static void
set_head_aside(Walk *walk)
{
	uint64 hash = cs_key_hash(walk->ops, walk->head->tts_values + 1);
	TupleTableSlot *present =
		walk->present ? cs_window_take(walk->present, walk->head->tts_values + 1, hash) : NULL;

	if (present)
		compare(walk, walk->head, present);
	else
		cs_window_add(walk->staged, walk->head, hash);
	advance(walk);
	walk->given_up = cs_window_bytes(walk->staged) > walk->budget;
}

/* It may yet meet a row of the stage, if there are any left. */
static void
set_present_aside(Walk *walk, TupleTableSlot *slot, uint64 hash)
{
	if (walk->head == NULL)
	{
		put_extra(walk, slot);
		return;
	}
	if (walk->present == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(walk->context);

		walk->present =
			cs_window_create(CreateTupleDescCopy(slot->tts_tupleDescriptor), 0, walk->ops);
		MemoryContextSwitchTo(old);
	}
	cs_window_add(walk->present, slot, hash);
	walk->given_up |= cs_window_bytes(walk->staged) + cs_window_bytes(walk->present) > walk->budget;
}

/* The destination has no more rows. */
static void
finish(Walk *walk)
{
	TupleTableSlot *slot;

	while ((slot = cs_window_take_first(walk->staged)) != NULL)
		put_unmatched(walk, slot);
	while (walk->head)
	{
		TupleTableSlot *present = NULL;

		if (walk->present && !cs_window_is_empty(walk->present))
			present = cs_window_take(walk->present, walk->head->tts_values + 1,
									 cs_key_hash(walk->ops, walk->head->tts_values + 1));
		if (present)
			compare(walk, walk->head, present);
		else
			put_unmatched(walk, walk->head);
		advance(walk);
	}
	while (walk->present && (slot = cs_window_take_first(walk->present)) != NULL)
		put_extra(walk, slot);
}

static void
compare(Walk *walk, TupleTableSlot *staged, TupleTableSlot *present)
{
	if (walk->compares && differs(walk, staged, present))
		put_staged(walk, walk->run->updates, staged);
}

static bool
differs(const Walk *walk, TupleTableSlot *staged, TupleTableSlot *present)
{
	for (int i = 0; i < walk->ncolumns; i++)
	{
		const WalkColumn *column = &walk->columns[i];
		bool is_null = staged->tts_isnull[column->position];

		if (!column->compared || (is_null && column->skip_null))
			continue;
		if (is_null != present->tts_isnull[i])
			return true;
		if (!is_null && !datum_image_eq(staged->tts_values[column->position],
										present->tts_values[i], column->by_value, column->length))
			return true;
	}
	return false;
}

/* From the order of the stage into that of the mappings that are left. */
static void
put_staged(Walk *walk, CsStage *target, TupleTableSlot *staged)
{
	const CsMappingSet *set = walk->run->mappings;

	walk->new_row[0] = staged->tts_values[0];
	walk->new_nulls[0] = false;
	for (int i = 0; i < set->count; i++)
	{
		walk->new_row[i + 1] = staged->tts_values[set->items[i].position];
		walk->new_nulls[i + 1] = staged->tts_isnull[set->items[i].position];
	}
	cs_stage_put_raw(target, walk->new_row, walk->new_nulls);
}

static void
put_unmatched(Walk *walk, TupleTableSlot *staged)
{
	if (walk->run->sync->behavior == CS_UPDATE)
		walk->skipped++;
	else
		put_staged(walk, walk->run->creates, staged);
}

static void
put_extra(Walk *walk, TupleTableSlot *present)
{
	if (walk->run->extras)
		cs_stage_put(walk->run->extras, 0, present->tts_values, present->tts_isnull);
}
