/*
 * decode.c
 *		Source values into values of the destination's columns.
 *
 * Text goes straight to the type's input function; values of typed sources and
 * expressions go through the executor's expressions.  PostgreSQL 15 has no
 * soft errors, so records are decoded inside a subtransaction that lasts until
 * one fails: a batch without errors costs one, each bad record one more.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "format/json_value.h"
#include "format/quick_input.h"
#include "sync/convert.h"
#include "sync/decode.h"
#include "sync/expression.h"

/* How one mapping's value comes about. */
typedef struct DecodeColumn
{
	const CsMapping *mapping;
	int source;			   /* position in the scope; -1 for expressions and constants */
	ExprState *expression; /* typed values and expressions, else NULL */
	bool to_numeric;	   /* which casts a float8, nothing more */
	bool json;			   /* typed values that are converted by their JSON text */
	List *used;			   /* int: positions an expression reads */
	CsTextInput input;	   /* for text */
	Datum constant;		   /* of CS_MAP_VALUE, decoded once, in the plan's context */
	bool constant_null;
} DecodeColumn;

struct CsDecodePlan
{
	const CsMappingSet *set;
	MemoryContext context; /* the plan's */
	bool typed;
	CsScope scope;
	DecodeColumn *columns; /* set->count of them */
	ExprContext *econtext; /* NULL if there are no expressions */
	TupleTableSlot *slot;  /* the record, for expressions */
	bool direct;		   /* see cs_decode_is_direct */
	bool *in_slot;		   /* text sources: scope columns that expressions read */
};

static void plan_column(CsDecodePlan *plan, int i);
static void name_mapping(void *arg);
static void set_up_slot(CsDecodePlan *plan);
static void decode_records(CsDecodePlan *plan, const CsBatch *batch, CsRow *rows, volatile int *at);
static void decode_record(CsDecodePlan *plan, const CsRecord *record, CsRow *row);
static void fill_slot(CsDecodePlan *plan, const CsRecord *record);
static void check_key(const CsMappingSet *set, CsRow *row);
static void blame_column(const CsDecodePlan *plan, const CsRecord *record, CsRow *row);
static CsError *record_error(const CsRecord *record);

CsDecodePlan *
cs_decode_create(const CsMappingSet *set, const CsColumn *columns, int ncolumns)
{
	CsDecodePlan *plan = palloc0(sizeof(CsDecodePlan));

	plan->set = set;
	plan->context = CurrentMemoryContext;
	plan->typed = columns != NULL;
	plan->scope.open = !plan->typed;
	plan->scope.ncolumns = ncolumns;
	plan->scope.columns = (CsColumn *) columns;
	plan->columns = palloc0(sizeof(DecodeColumn) * set->count);
	plan->direct = plan->typed;
	for (int i = 0; i < set->count; i++)
		plan_column(plan, i);
	set_up_slot(plan);
	return plan;
}

List *
cs_decode_wanted(const CsDecodePlan *plan)
{
	List *names = NIL;

	for (int i = 0; i < plan->scope.ncolumns; i++)
		names = lappend(names, plan->scope.columns[i].name);
	return names;
}

bool *
cs_decode_needed(const CsDecodePlan *plan)
{
	bool *needed = palloc(sizeof(bool) * Max(1, plan->scope.ncolumns));

	memcpy(needed, plan->in_slot, sizeof(bool) * plan->scope.ncolumns);
	for (int i = 0; i < plan->set->count; i++)
		if (plan->columns[i].source >= 0)
			needed[plan->columns[i].source] = true;
	return needed;
}

void
cs_decode_batch(CsDecodePlan *plan, const CsBatch *batch, CsRow *rows)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int level = GetCurrentTransactionNestLevel();
	volatile int at = 0;

	PushActiveSnapshot(GetTransactionSnapshot());
	while (at < batch->nrecords)
	{
		CHECK_FOR_INTERRUPTS();
		BeginInternalSubTransaction(NULL);
		MemoryContextSwitchTo(context);
		PG_TRY();
		{
			decode_records(plan, batch, rows, &at);
			ReleaseCurrentSubTransaction();
		}
		PG_CATCH();
		{
			CsError *error = cs_error_catch(context);

			cs_error_roll_back(error, level);
			MemoryContextSwitchTo(context);
			CurrentResourceOwner = owner;
			if (!cs_error_is_of_value(error->code))
				cs_error_throw(error);
			error->column = plan->set->items[rows[at].decoded].dest->name;
			rows[at++].error = error;
		}
		PG_END_TRY();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PopActiveSnapshot();
}

bool
cs_decode_is_direct(const CsDecodePlan *plan)
{
	return plan->direct;
}

void
cs_decode_direct(const CsDecodePlan *plan, const CsRecord *record, CsRow *row)
{
	for (int i = 0; i < plan->set->count; i++)
	{
		const DecodeColumn *column = &plan->columns[i];

		row->values[i] = column->source < 0 ? column->constant : record->values[column->source];
		row->nulls[i] = column->source < 0 ? column->constant_null : record->nulls[column->source];
	}
	row->decoded = plan->set->count;
	row->error = NULL;
	if (unlikely(record->error_code))
		blame_column(plan, record, row);
	else
		check_key(plan->set, row);
}

bool *
cs_decode_seen(const CsDecodePlan *plan, const CsReader *reader)
{
	bool *seen = palloc(sizeof(bool) * Max(1, plan->set->count));

	for (int i = 0; i < plan->set->count; i++)
	{
		DecodeColumn *column = &plan->columns[i];
		ListCell *lc;

		seen[i] = column->source < 0 || reader->seen[column->source];
		foreach (lc, column->used)
			if (!reader->seen[lfirst_int(lc)])
				ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
								errmsg("no record of the source has \"%s\"",
									   plan->scope.columns[lfirst_int(lc)].name),
								errdetail("The expression for column \"%s\" reads it.",
										  column->mapping->dest->name),
								errhint("censync_preview shows what the records have.")));
	}
	return seen;
}

char *
cs_decode_row_json(const CsMappingSet *set, const Datum *values, const bool *nulls, int n)
{
	StringInfoData json;

	if (n == 0)
		return NULL;
	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (int k = 0; k < n; k++)
		cs_json_append_member(&json, set->items[k].dest->name, set->items[k].dest->typid, values[k],
							  nulls[k]);
	appendStringInfoChar(&json, '}');
	return json.data;
}

static void
plan_column(CsDecodePlan *plan, int i)
{
	const CsMapping *mapping = &plan->set->items[i];
	const CsDestColumn *dest = mapping->dest;
	DecodeColumn *column = &plan->columns[i];
	ErrorContextCallback callback = { error_context_stack, name_mapping, (void *) mapping };

	error_context_stack = &callback;
	column->mapping = mapping;
	column->source = -1;
	cs_text_input_init(&column->input, dest->typid, dest->typmod);
	switch (mapping->kind)
	{
		case CS_MAP_COLUMN:
			column->source = cs_scope_find(&plan->scope, mapping->source);
			Assert(column->source >= 0);
			column->json =
				plan->typed &&
				cs_text_input_takes_json(&column->input, plan->scope.columns[column->source].typid);
			if (plan->typed && !column->json)
			{
				column->expression = cs_expression_compile_column(&plan->scope, column->source,
																  dest->typid, dest->typmod);
				column->to_numeric = cs_expression_is_cast(column->expression, F_NUMERIC_FLOAT8);
			}
			break;
		case CS_MAP_EXPRESSION:
			column->expression = cs_expression_compile(&plan->scope, mapping->source, dest->typid,
													   dest->typmod, dest->name, &column->used);
			break;
		case CS_MAP_VALUE:
			column->constant =
				cs_text_input(&column->input, &mapping->value, &column->constant_null);
			break;
	}
	plan->direct &=
		mapping->kind == CS_MAP_VALUE || (mapping->kind == CS_MAP_COLUMN && column->expression &&
										  cs_expression_is_bare_column(column->expression));
	error_context_stack = callback.previous;
}

/* Says which mapping an error is about; a position in an expression is none in the user's statement. */
static void
name_mapping(void *arg)
{
	const CsMapping *mapping = arg;
	int position = geterrposition();

	if (mapping->kind == CS_MAP_EXPRESSION && position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(mapping->source);
	}
	errcontext("mapping of column \"%s\"", mapping->dest->name);
}

static void
set_up_slot(CsDecodePlan *plan)
{
	TupleDesc desc;

	plan->in_slot = palloc0(sizeof(bool) * Max(1, plan->scope.ncolumns));
	for (int i = 0; i < plan->set->count; i++)
	{
		ListCell *lc;

		if (plan->columns[i].expression && plan->econtext == NULL)
			plan->econtext = CreateStandaloneExprContext();
		foreach (lc, plan->columns[i].used)
			plan->in_slot[lfirst_int(lc)] = true;
	}
	if (plan->econtext == NULL)
		return;
	desc = CreateTemplateTupleDesc(plan->scope.ncolumns);
	for (int i = 0; i < plan->scope.ncolumns; i++)
	{
		const CsColumn *column = &plan->scope.columns[i];

		TupleDescInitEntry(desc, i + 1, NULL, column->typid, column->typmod, 0);
		TupleDescInitEntryCollation(desc, i + 1, column->collation);
	}
	plan->slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	plan->econtext->ecxt_scantuple = plan->slot;
}

/* From record *at on; *at follows, so that after an error it is the bad one. */
static void
decode_records(CsDecodePlan *plan, const CsBatch *batch, CsRow *rows, volatile int *at)
{
	for (; *at < batch->nrecords; (*at)++)
	{
		CsRow *row = &rows[*at];
		const CsRecord *record = &batch->records[*at];

		row->decoded = 0;
		row->error = NULL;
		if (record->error_code == 0 || record->error_column > 0)
			decode_record(plan, record, row);
		if (record->error_code)
			blame_column(plan, record, row);
		else
			check_key(plan->set, row);
	}
}

static void
decode_record(CsDecodePlan *plan, const CsRecord *record, CsRow *row)
{
	int n = plan->set->count;

	row->values = palloc(sizeof(Datum) * n);
	row->nulls = palloc(sizeof(bool) * n);
	if (plan->econtext)
		fill_slot(plan, record);
	for (int i = 0; i < n; i++, row->decoded++)
	{
		DecodeColumn *column = &plan->columns[i];

		if (column->to_numeric && !record->nulls[column->source] &&
			cs_quick_numeric(DatumGetFloat8(record->values[column->source]), &row->values[i]))
			row->nulls[i] = false;
		else if (column->expression)
			row->values[i] = ExecEvalExpr(column->expression, plan->econtext, &row->nulls[i]);
		else if (column->mapping->kind == CS_MAP_VALUE)
		{
			row->values[i] = column->constant;
			row->nulls[i] = column->constant_null;
		}
		else if (column->json)
		{
			row->nulls[i] = record->nulls[column->source];
			row->values[i] =
				cs_text_input_json(&column->input, plan->scope.columns[column->source].typid,
								   record->values[column->source], &row->nulls[i]);
		}
		else
			row->values[i] =
				cs_text_input(&column->input, &record->fields[column->source], &row->nulls[i]);
	}
}

static void
fill_slot(CsDecodePlan *plan, const CsRecord *record)
{
	TupleTableSlot *slot = plan->slot;

	ExecClearTuple(slot);
	for (int i = 0; i < plan->scope.ncolumns; i++)
	{
		if (plan->typed)
		{
			slot->tts_values[i] = record->values[i];
			slot->tts_isnull[i] = record->nulls[i];
			continue;
		}
		slot->tts_isnull[i] = !plan->in_slot[i] || record->fields[i].kind == CS_VALUE_NULL;
		slot->tts_values[i] = 0;
		if (!slot->tts_isnull[i])
			slot->tts_values[i] = PointerGetDatum(
				cstring_to_text_with_len(record->fields[i].text, record->fields[i].len));
	}
	ExecStoreVirtualTuple(slot);
}

/* A record whose key has a NULL names no row. */
static void
check_key(const CsMappingSet *set, CsRow *row)
{
	for (int k = 0; k < set->nkeys; k++)
		if (row->nulls[k])
		{
			CsError *error = palloc0(sizeof(CsError));

			error->code = ERRCODE_NOT_NULL_VIOLATION;
			error->message =
				psprintf("column \"%s\" of the sync key is null", set->items[k].dest->name);
			error->column = set->items[k].dest->name;
			row->error = error;
			return;
		}
}

/* One value of the record, or all of it, is none; its key is known unless that is of it. */
static void
blame_column(const CsDecodePlan *plan, const CsRecord *record, CsRow *row)
{
	int bad = record->error_column - 1;

	row->error = record_error(record);
	if (bad < 0)
	{
		row->decoded = 0;
		return;
	}
	row->error->column = plan->scope.columns[bad].name;
	for (int i = plan->set->nkeys - 1; i >= 0; i--)
		if (plan->columns[i].source == bad || list_member_int(plan->columns[i].used, bad))
			row->decoded = i;
}

static CsError *
record_error(const CsRecord *record)
{
	CsError *error = palloc0(sizeof(CsError));

	error->code = record->error_code;
	error->message = record->error_message;
	return error;
}
