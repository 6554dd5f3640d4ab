/*
 * rows.c
 *		What a foreign table reads: its source's records as its own rows.
 *
 * A value of another type than its column's is converted as an INSERT would do
 * it, by the role whose query it is, as any cast in that query.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "executor/executor.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "fdw/rows.h"

static char *cheapest_column(Relation rel);
static void open_reader(CsForeignRows *rows);
static void compile_conversions(CsForeignRows *rows);
static void compile_conversion(CsForeignRows *rows, int i);
static void create_slot(CsForeignRows *rows);
static void take_back_conditions(CsForeignRows *rows);
static bool is_bearable(const CsForeignRows *rows, const CsCondition *condition);
static bool is_kind_of(Oid type, Oid source);
static const CsRecord *next_record(CsForeignRows *rows);
static void convert_record(CsForeignRows *rows, const CsRecord *record, Datum *values,
						   bool *isnull);
static void fill_slot(CsForeignRows *rows, const CsRecord *record);
static void throw_record_error(CsForeignRows *rows, const CsRecord *record);
static void name_place(void *arg);
static void hint_at_type(const CsForeignRows *rows);

void
cs_foreign_rows_init(CsForeignRows *rows, Relation rel, Oid userid, List *columns)
{
	int n = list_length(columns);
	ListCell *lc;

	memset(rows, 0, sizeof(CsForeignRows));
	rows->rel = rel;
	rows->column = -1;
	rows->spec.userid = userid;
	cs_foreign_table_spec(&rows->spec, rel);
	rows->type = cs_source_type_of_server(rows->spec.serverid);
	rows->attnums = palloc(sizeof(AttrNumber) * Max(1, n));
	rows->inputs = palloc(sizeof(CsTextInput) * Max(1, n));
	foreach (lc, columns)
	{
		AttrNumber attnum = (AttrNumber) lfirst_int(lc);
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), attnum - 1);

		rows->spec.wanted = lappend(rows->spec.wanted, cs_foreign_column_source(rel, attnum));
		rows->attnums[rows->ncolumns] = attnum;
		cs_text_input_init(&rows->inputs[rows->ncolumns++], attribute->atttypid,
						   attribute->atttypmod);
	}
	if (n == 0 && rows->type->typed && cheapest_column(rel))
		rows->spec.wanted = list_make1(cheapest_column(rel));
	rows->context =
		AllocSetContextCreate(CurrentMemoryContext, "censync foreign rows", ALLOCSET_DEFAULT_SIZES);
}

void
cs_foreign_table_spec(CsReadSpec *spec, Relation rel)
{
	ForeignTable *table = GetForeignTable(RelationGetRelid(rel));
	ListCell *lc;

	spec->serverid = table->serverid;
	foreach (lc, table->options)
	{
		DefElem *def = lfirst(lc);

		if (strcmp(def->defname, "object") == 0)
			spec->object = defGetString(def);
		else if (strcmp(def->defname, "query") == 0)
			spec->query = defGetString(def);
		else
			spec->near = lappend(spec->near, def);
	}
	if (spec->object == NULL && spec->query == NULL &&
		cs_source_type_of_server(spec->serverid)->typed)
		ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
						errmsg("foreign table \"%s\" has neither option \"object\" nor \"query\"",
							   RelationGetRelationName(rel)),
						errhint("ALTER FOREIGN TABLE ... OPTIONS (ADD object 'schema.table')")));
}

char *
cs_foreign_column_source(Relation rel, AttrNumber attnum)
{
	ListCell *lc;

	foreach (lc, GetForeignColumnOptions(RelationGetRelid(rel), attnum))
	{
		DefElem *def = lfirst(lc);

		if (strcmp(def->defname, "source") == 0)
			return defGetString(def);
	}
	return pstrdup(NameStr(TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attname));
}

void
cs_foreign_rows_open(CsForeignRows *rows)
{
	ErrorContextCallback callback = { error_context_stack, name_place, rows };

	error_context_stack = &callback;
	rows->record = NULL;
	open_reader(rows);
	if (rows->reader->typed)
		compile_conversions(rows);
	take_back_conditions(rows);
	error_context_stack = callback.previous;
}

bool
cs_foreign_rows_next(CsForeignRows *rows, Datum *values, bool *isnull)
{
	ErrorContextCallback callback = { error_context_stack, name_place, rows };
	MemoryContext old = CurrentMemoryContext;
	const CsRecord *record;

	error_context_stack = &callback;
	rows->record = NULL;
	record = next_record(rows);
	if (record)
	{
		MemoryContextSwitchTo(rows->batch_context);
		memset(isnull, true, sizeof(bool) * RelationGetNumberOfAttributes(rows->rel));
		convert_record(rows, record, values, isnull);
		MemoryContextSwitchTo(old);
	}
	error_context_stack = callback.previous;
	if (record == NULL)
		cs_foreign_rows_close(rows);
	return record != NULL;
}

void
cs_foreign_rows_close(CsForeignRows *rows)
{
	rows->reader = NULL;
	rows->record = NULL;
	rows->batch.nrecords = 0;
	MemoryContextReset(rows->context);
}

/* To count records, one column has to be read: better one that is short.  NULL: the table has none. */
static char *
cheapest_column(Relation rel)
{
	TupleDesc desc = RelationGetDescr(rel);
	int best = 0;

	for (int attnum = 1; attnum <= desc->natts; attnum++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, attnum - 1);

		if (attribute->attisdropped)
			continue;
		if (best == 0 || (attribute->attlen > 0 && TupleDescAttr(desc, best - 1)->attlen < 0))
			best = attnum;
	}
	return best ? cs_foreign_column_source(rel, (AttrNumber) best) : NULL;
}

static void
open_reader(CsForeignRows *rows)
{
	MemoryContext old = MemoryContextSwitchTo(rows->context);
	CsReader *reader;

	rows->batch_context =
		AllocSetContextCreate(rows->context, "censync foreign batch", ALLOCSET_DEFAULT_SIZES);
	rows->batch.nrecords = rows->next = 0;
	reader = cs_reader_open(&rows->spec);
	if (reader->narrow && rows->spec.wanted == NIL)
		reader->narrow(reader, palloc0(sizeof(bool) * Max(1, reader->ncolumns)));
	MemoryContextSwitchTo(old);
	rows->reader = reader;
}

/* A reader has the wanted columns in their order. */
static void
compile_conversions(CsForeignRows *rows)
{
	MemoryContext old = MemoryContextSwitchTo(rows->context);
	bool any = false;

	rows->scope.open = false;
	rows->scope.ncolumns = rows->reader->ncolumns;
	rows->scope.columns = rows->reader->columns;
	rows->expressions = palloc0(sizeof(ExprState *) * Max(1, rows->ncolumns));
	for (int i = 0; i < rows->ncolumns; i++)
	{
		rows->column = i;
		compile_conversion(rows, i);
		any |= rows->expressions[i] != NULL;
	}
	rows->column = -1;
	rows->econtext = NULL;
	if (any)
		create_slot(rows);
	MemoryContextSwitchTo(old);
}

static void
compile_conversion(CsForeignRows *rows, int i)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rows->rel), rows->attnums[i] - 1);
	ExprState *expression;

	if (cs_text_input_takes_json(&rows->inputs[i], rows->scope.columns[i].typid))
		return;
	expression =
		cs_expression_compile_column(&rows->scope, i, attribute->atttypid, attribute->atttypmod);

	if (!cs_expression_is_bare_column(expression))
		rows->expressions[i] = expression;
}

static void
create_slot(CsForeignRows *rows)
{
	TupleDesc desc = CreateTemplateTupleDesc(rows->scope.ncolumns);

	for (int i = 0; i < rows->scope.ncolumns; i++)
	{
		const CsColumn *column = &rows->scope.columns[i];

		TupleDescInitEntry(desc, i + 1, NULL, column->typid, column->typmod, 0);
		TupleDescInitEntryCollation(desc, i + 1, column->collation);
	}
	rows->econtext = CreateStandaloneExprContext();
	rows->econtext->ecxt_scantuple = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
}

/* Conditions are about values as the table shows them.  Where those of the source are others, it must
 * not be asked. */
static void
take_back_conditions(CsForeignRows *rows)
{
	ListCell *lc;

	foreach (lc, rows->spec.conditions)
	{
		if (is_bearable(rows, lfirst(lc)))
			continue;
		rows->spec.conditions = foreach_delete_current(rows->spec.conditions, lc);
		rows->spec.limit = 0;
	}
}

static bool
is_bearable(const CsForeignRows *rows, const CsCondition *condition)
{
	for (int i = 0; i < rows->ncolumns; i++)
	{
		Form_pg_attribute attribute =
			TupleDescAttr(RelationGetDescr(rows->rel), rows->attnums[i] - 1);

		if (strcmp(rows->scope.columns[i].name, condition->column) == 0 &&
			(rows->expressions[i] ||
			 !is_kind_of(attribute->atttypid, rows->scope.columns[i].typid)))
			return false;
	}
	return true;
}

/* Same type, and so the same comparisons. */
static bool
is_kind_of(Oid type, Oid source)
{
	Oid base = getBaseType(type);

	source = getBaseType(source);
	return base == source ||
		   ((base == TEXTOID || base == VARCHAROID) && (source == TEXTOID || source == VARCHAROID));
}

static const CsRecord *
next_record(CsForeignRows *rows)
{
	MemoryContext old;
	CsReadStatus status;

	CHECK_FOR_INTERRUPTS();
	if (rows->next < rows->batch.nrecords)
		return &rows->batch.records[rows->next++];
	MemoryContextReset(rows->batch_context);
	old = MemoryContextSwitchTo(rows->batch_context);
	status = rows->reader->next_batch(rows->reader, &rows->batch);
	MemoryContextSwitchTo(old);
	rows->next = 1;
	return status == CS_READ_END ? NULL : &rows->batch.records[0];
}

static void
convert_record(CsForeignRows *rows, const CsRecord *record, Datum *values, bool *isnull)
{
	rows->record = record;
	if (record->error_code)
		throw_record_error(rows, record);
	if (rows->reader->typed && rows->econtext)
		fill_slot(rows, record);
	for (int i = 0; i < rows->ncolumns; i++)
	{
		int at = rows->attnums[i] - 1;

		rows->column = i;
		if (!rows->reader->typed)
			values[at] = cs_text_input(&rows->inputs[i], &record->fields[i], &isnull[at]);
		else if (rows->expressions[i])
			values[at] = ExecEvalExpr(rows->expressions[i], rows->econtext, &isnull[at]);
		else
		{
			values[at] = record->values[i];
			isnull[at] = record->nulls[i];
			if (cs_text_input_takes_json(&rows->inputs[i], rows->scope.columns[i].typid))
				values[at] = cs_text_input_json(&rows->inputs[i], rows->scope.columns[i].typid,
												values[at], &isnull[at]);
		}
	}
	rows->column = -1;
}

static void
fill_slot(CsForeignRows *rows, const CsRecord *record)
{
	TupleTableSlot *slot = rows->econtext->ecxt_scantuple;

	ExecClearTuple(slot);
	memcpy(slot->tts_values, record->values, sizeof(Datum) * rows->scope.ncolumns);
	memcpy(slot->tts_isnull, record->nulls, sizeof(bool) * rows->scope.ncolumns);
	ExecStoreVirtualTuple(slot);
}

static void
throw_record_error(CsForeignRows *rows, const CsRecord *record)
{
	rows->column = Min(record->error_column, rows->ncolumns) - 1;
	ereport(ERROR, (errcode(record->error_code), errmsg("%s", record->error_message)));
}

static void
name_place(void *arg)
{
	const CsForeignRows *rows = arg;
	const char *table = RelationGetRelationName(rows->rel);

	if (rows->column >= 0 && rows->record)
	{
		hint_at_type(rows);
		errcontext(
			"column \"%s\" of foreign table \"%s\", record " INT64_FORMAT,
			NameStr(TupleDescAttr(RelationGetDescr(rows->rel), rows->attnums[rows->column] - 1)
						->attname),
			table, rows->record->number);
	}
	else if (rows->record)
		errcontext("foreign table \"%s\", record " INT64_FORMAT, table, rows->record->number);
	else
		errcontext("foreign table \"%s\"", table);
}

/* A value that has come as another type's, and is none of the column's. */
static void
hint_at_type(const CsForeignRows *rows)
{
	const CsColumn *column = &rows->scope.columns[rows->column];

	if (rows->reader->typed && rows->expressions[rows->column])
		errhint("Column \"%s\" of the source is of type %s.", column->name,
				format_type_with_typemod(column->typid, column->typmod));
}
