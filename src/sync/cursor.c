/*
 * cursor.c
 *		Incremental reads: from where on a run reads, and how far it has come.
 *
 * The watermark is a value such that every record with a lesser cursor is
 * settled.  A run reads what is not below it, less the overlap, and moves it to
 * the greatest cursor seen, but never past a record that was invalid or
 * rejected: the next run reads that again.  Which records are bad is known only
 * at the end, by their numbers, so the cursors are kept beside their numbers
 * until then.
 */
#include "postgres.h"

#include "access/xact.h"
#include "base/names.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/typcache.h"

#include "catalog/cursor_state.h"
#include "catalog/spi.h"
#include "sync/convert.h"
#include "sync/cursor.h"
#include "sync/cursor_value.h"
#include "sync/run.h"

/* In the run's context. */
struct CsCursor
{
	CsReadSince since; /* what the reader is told */
	Oid type;		   /* of the cursors; domains are looked through */
	Oid collation;
	bool by_value;
	int16 length;
	int position;		   /* among the reader's columns */
	FmgrInfo *compare;	   /* the type cache's */
	CsTextInput input;	   /* of text sources */
	bool has_watermark;	   /* of this type, from an earlier run */
	Datum watermark;	   /* that one */
	bool has_greatest;	   /* any cursor was seen */
	Datum greatest;		   /* of them */
	CsStage *seen;		   /* (rn, cursor) of records that have one */
	CsNumberSet *nameless; /* records whose cursor could not be read */
	CsNumberSet *bad;	   /* invalid and rejected records */
	int64 nbad;
	int64 nunreadable; /* records whose cursor is no value of the type */
	bool held;		   /* a bad record is among the nameless */
};

static void refuse_stray_options(const CsSyncOptions *options);
static void load_watermark(CsRun *run, CsCursor *cursor);
static Oid declared_type(const CsRun *run);
static void use_type(CsCursor *cursor, Oid type, Oid collation);
static void note_texts(CsRun *run, const CsBatch *batch);
static bool read_text(CsCursor *cursor, const CsBatch *batch, Datum *values, bool *nulls,
					  volatile int *at);
static void note(CsCursor *cursor, int64 number, Datum value);
static bool is_greater(const CsCursor *cursor, Datum a, Datum b);
static bool find_least_bad(CsCursor *cursor, Datum *least);
static void check_seen(const CsRun *run);

CsCursor *
cs_cursor_create(CsRun *run)
{
	CsCursor *cursor;

	if (run->options->cursor_column == NULL)
	{
		refuse_stray_options(run->options);
		return NULL;
	}
	if (run->sync->behavior == CS_MIRROR)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a mirror can't have option \"cursor_column\""),
						errdetail("It deletes what its source does not have, so it must see all "
								  "of it."),
						errhint("Leave the option out, or use behavior \"upsert\".")));
	cursor = palloc0(sizeof(CsCursor));
	cursor->since.column = run->options->cursor_column;
	cursor->nameless = cs_number_set_create();
	cursor->bad = cs_number_set_create();
	load_watermark(run, cursor);
	run->spec.since = &cursor->since;
	return cursor;
}

List *
cs_cursor_wanted(CsRun *run, List *wanted)
{
	CsCursor *cursor = run->cursor;

	if (cursor == NULL)
		return wanted;
	cursor->since.declared = declared_type(run);
	/* A bound of another type means nothing to this source. */
	if (cursor->since.type != cursor->since.declared)
		cursor->since.type = InvalidOid;
	if (cs_names_have(wanted, cursor->since.column))
		return wanted;
	return lappend(wanted, pstrdup(cursor->since.column));
}

void
cs_cursor_bind(CsRun *run)
{
	CsCursor *cursor = run->cursor;
	const CsReader *reader = run->reader;
	int matches = 0;

	if (cursor == NULL)
		return;
	if (!reader->since)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("this source can't be read incrementally"),
						errhint("Leave option \"cursor_column\" out.")));
	for (int i = 0; i < reader->ncolumns; i++)
		if (strcmp(reader->columns[i].name, cursor->since.column) == 0)
		{
			cursor->position = i;
			matches++;
		}
	if (matches != 1)
		ereport(ERROR, (errcode(matches ? ERRCODE_AMBIGUOUS_COLUMN : ERRCODE_UNDEFINED_COLUMN),
						matches ? errmsg("the source has more than one column \"%s\"",
										 cursor->since.column)
								: errmsg("the source has no column \"%s\"", cursor->since.column),
						errdetail("Option \"cursor_column\" names it.")));
	if (reader->typed)
	{
		const CsColumn *column = &reader->columns[cursor->position];

		if (run->options->cursor_type)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("option \"cursor_type\" is for sources without types"),
							errhint("Cast the column in the query.")));
		use_type(cursor, getBaseType(column->typid), column->collation);
	}
	else
		use_type(cursor, cursor->since.declared, C_COLLATION_OID);
	if (run->options->cursor_overlap)
		cs_cursor_overlap_check(cursor->type, run->options->cursor_overlap);
}

void
cs_cursor_note_batch(CsRun *run, const CsBatch *batch)
{
	if (run->cursor && !run->reader->typed)
		note_texts(run, batch);
	else if (run->cursor)
		for (int i = 0; i < batch->nrecords; i++)
			cs_cursor_note_record(run, &batch->records[i]);
}

void
cs_cursor_need(const CsCursor *cursor, bool *needed)
{
	needed[cursor->position] = true;
}

void
cs_cursor_note_record(CsRun *run, const CsRecord *record)
{
	CsCursor *cursor = run->cursor;
	MemoryContext old;

	if (cursor == NULL)
		return;
	old = MemoryContextSwitchTo(run->context);
	/* Nulls need no note: a typed source is asked for them every time, whatever its bound.  But one of a record
	 * that could not be read may be none there. */
	if (!record->nulls[cursor->position])
		note(cursor, record->number, record->values[cursor->position]);
	else if (record->error_code)
		cs_number_set_add(cursor->nameless, record->number);
	MemoryContextSwitchTo(old);
}

void
cs_cursor_note_bad(CsRun *run, int64 number)
{
	CsCursor *cursor = run->cursor;

	if (cursor == NULL || number <= 0)
		return;
	cs_number_set_add(cursor->bad, number);
	cursor->nbad++;
	cursor->held |= cs_number_set_has(cursor->nameless, number);
}

void
cs_cursor_advance(CsRun *run)
{
	CsCursor *cursor = run->cursor;
	Datum next;
	Datum least;
	bool known;

	if (cursor == NULL)
		return;
	check_seen(run);
	if (run->dry_run || run->limit >= 0 || !run->read_to_end)
		return;
	if (cursor->nunreadable > 0 || cursor->held)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 cursor->held
					 ? errmsg("the watermark of sync \"%s\" stays where it is", run->sync->name)
					 : errmsg("sync \"%s\" read cursors that are not of type %s", run->sync->name,
							  format_type_be(cursor->type)),
				 cursor->held
					 ? errdetail("The cursor of a record that could not be applied could not be "
								 "read.")
					 : errdetail("There are " INT64_FORMAT "; they do not move the watermark.",
								 cursor->nunreadable),
				 run->reader->typed
					 ? errhint("Set the record right at the source, or leave it out there.")
					 : errhint("Option \"cursor_type\" says how \"%s\" is read.",
							   cursor->since.column)));
	if (cursor->held)
		return;
	known = cursor->has_watermark;
	next = cursor->watermark;
	if (cursor->has_greatest && (!known || is_greater(cursor, cursor->greatest, next)))
	{
		next = cursor->greatest;
		known = true;
	}
	if (known && find_least_bad(cursor, &least) && is_greater(cursor, next, least))
		next = least;
	if (known && (!cursor->has_watermark || is_greater(cursor, next, cursor->watermark) ||
				  is_greater(cursor, cursor->watermark, next)))
		cs_cursor_state_store(run->sync->sync_id, cursor->type,
							  cs_cursor_value_text(cursor->type, next));
}

void
cs_cursor_end(CsRun *run)
{
	if (run->cursor && run->cursor->seen)
		cs_stage_end(run->cursor->seen);
}

static void
refuse_stray_options(const CsSyncOptions *options)
{
	if (options->cursor_overlap || options->cursor_type)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" needs option \"cursor_column\"",
						options->cursor_overlap ? "cursor_overlap" : "cursor_type"),
				 errhint("It names the column of the source that grows with every change.")));
}

/* And the bound that follows from it. */
static void
load_watermark(CsRun *run, CsCursor *cursor)
{
	const char *overlap = run->options->cursor_overlap;
	char *text;
	Oid type;

	if (!cs_cursor_state_load(run->sync->sync_id, &type, &text))
		return;
	cursor->has_watermark = true;
	cursor->since.type = type;
	cursor->watermark = cs_cursor_value_parse(type, text);
	cursor->since.value = cursor->watermark;
	if (overlap)
		cursor->since.value = cs_cursor_value_less(type, text, overlap);
	cursor->since.text = cs_cursor_value_text(type, cursor->since.value);
}

/* Of a source that knows no types: what the option says, else the type of the column it goes to. */
static Oid
declared_type(const CsRun *run)
{
	const char *given = run->options->cursor_type;
	const CsMappingSet *set = run->mappings;

	if (given)
		return DatumGetObjectId(DirectFunctionCall1(regtypein, CStringGetDatum(given)));
	for (int i = 0; i < set->count; i++)
	{
		const CsMapping *mapping = &set->items[i];
		Oid type = getBaseType(mapping->dest->typid);

		/* Text may be anything, and would be compared letter by letter. */
		if (mapping->kind == CS_MAP_COLUMN &&
			strcmp(mapping->source, run->options->cursor_column) == 0 &&
			cs_cursor_type_serves(type) && !cs_cursor_type_is_text(type))
			return type;
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("the type of cursor \"%s\" is not known", run->options->cursor_column),
					errdetail("It is mapped to no column of a number, date or time."),
					errhint("Give option \"cursor_type\", such as timestamptz or bigint.")));
}

static void
use_type(CsCursor *cursor, Oid type, Oid collation)
{
	if (!cs_cursor_type_serves(type))
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("cursor \"%s\" is of type %s, which can't serve as one",
							   cursor->since.column, format_type_be(type)),
						errhint("It can be a number, a date or time, text, uuid, bytea or pg_lsn "
								"that grows with every change.")));
	cursor->type = type;
	cursor->collation = OidIsValid(get_typcollation(type)) ? collation : InvalidOid;
	get_typlenbyval(type, &cursor->length, &cursor->by_value);
	cursor->compare = &lookup_type_cache(type, TYPECACHE_CMP_PROC_FINFO)->cmp_proc_finfo;
	cs_text_input_init(&cursor->input, type, -1);
	cursor->seen = palloc0(sizeof(CsStage));
	cursor->seen->desc = CreateTemplateTupleDesc(2);
	TupleDescInitEntry(cursor->seen->desc, 1, "rn", INT8OID, -1, 0);
	TupleDescInitEntry(cursor->seen->desc, 2, "cursor", type, -1, 0);
	cursor->seen->store = tuplestore_begin_heap(true, false, work_mem);
	if (cursor->has_watermark && cursor->since.type != type)
	{
		ereport(NOTICE, (errmsg("cursor \"%s\" is of type %s by now: everything is read",
								cursor->since.column, format_type_be(type))));
		cursor->has_watermark = false;
	}
}

static void
note_texts(CsRun *run, const CsBatch *batch)
{
	CsCursor *cursor = run->cursor;
	Datum *values = palloc(sizeof(Datum) * Max(1, batch->nrecords));
	bool *nulls = palloc(sizeof(bool) * Max(1, batch->nrecords));
	volatile int at = 0;
	MemoryContext old;

	while (at < batch->nrecords)
		if (!read_text(cursor, batch, values, nulls, &at))
		{
			nulls[at++] = true;
			cursor->nunreadable++;
		}
	old = MemoryContextSwitchTo(run->context);
	for (int i = 0; i < batch->nrecords; i++)
	{
		if (nulls[i])
			cs_number_set_add(cursor->nameless, batch->records[i].number);
		else
			note(cursor, batch->records[i].number, values[i]);
	}
	MemoryContextSwitchTo(old);
}

/* From record *at on, in a subtransaction that lasts until one can't be read: then false, and *at is
 * that one. */
static bool
read_text(CsCursor *cursor, const CsBatch *batch, Datum *values, bool *nulls, volatile int *at)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int level = GetCurrentTransactionNestLevel();
	volatile bool readable = true;

	CHECK_FOR_INTERRUPTS();
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		for (; *at < batch->nrecords; (*at)++)
		{
			const CsRecord *record = &batch->records[*at];

			nulls[*at] = record->error_code != 0;
			if (!nulls[*at])
				values[*at] =
					cs_text_input(&cursor->input, &record->fields[cursor->position], &nulls[*at]);
		}
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		CsError *error = cs_error_catch(context);

		cs_error_roll_back(error, level);
		if (!cs_error_is_of_value(error->code))
			cs_error_throw(error);
		readable = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return readable;
}

static void
note(CsCursor *cursor, int64 number, Datum value)
{
	Datum row[] = { Int64GetDatum(number), value };
	bool nulls[] = { false, false };

	/* Infinity is never below a bound: it is read every time, and must not become one. */
	if (cs_cursor_value_is_endless(cursor->type, value))
		return;
	cs_stage_put_raw(cursor->seen, row, nulls);
	if (cursor->has_greatest && !is_greater(cursor, value, cursor->greatest))
		return;
	if (cursor->has_greatest && !cursor->by_value)
		pfree(DatumGetPointer(cursor->greatest));
	cursor->greatest = datumCopy(value, cursor->by_value, cursor->length);
	cursor->has_greatest = true;
}

static bool
is_greater(const CsCursor *cursor, Datum a, Datum b)
{
	return DatumGetInt32(FunctionCall2Coll(cursor->compare, cursor->collation, a, b)) > 0;
}

/* In the run's context; false if no bad record has a cursor. */
static bool
find_least_bad(CsCursor *cursor, Datum *least)
{
	TupleTableSlot *slot;
	bool found = false;

	if (cursor->nbad == 0)
		return false;
	slot = cs_stage_rewind(cursor->seen);
	while (cs_stage_next(cursor->seen, slot))
	{
		bool isnull;
		Datum value;

		if (!cs_number_set_has(cursor->bad, DatumGetInt64(slot_getattr(slot, 1, &isnull))))
			continue;
		value = slot_getattr(slot, 2, &isnull);
		if (found && !is_greater(cursor, *least, value))
			continue;
		*least = datumCopy(value, cursor->by_value, cursor->length);
		found = true;
	}
	return found;
}

/* A misspelt name would read everything, every time, and nobody would notice. */
static void
check_seen(const CsRun *run)
{
	const CsCursor *cursor = run->cursor;

	if (run->counts.read > run->counts.invalid && !run->reader->seen[cursor->position])
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("no record of the source has \"%s\"", cursor->since.column),
						errdetail("Option \"cursor_column\" names it."),
						errhint("censync_preview shows what the records have.")));
}
