/*
 * query.c
 *		Source: a query, table, view or foreign table of this database.
 *
 * The query runs as the sync's owner, under the search_path of the session that
 * defined it.  It must not write itself; functions that it calls may.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "catalog/namespace.h"
#include "parser/parser.h"
#include "tcop/pquery.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/regproc.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "base/receiver.h"
#include "base/user.h"
#include "format/json_value.h"
#include "source/query.h"

#define BATCH_RECORDS 1000

typedef struct QueryReader
{
	CsReader base;			/* must be first */
	const CsReadSpec *spec; /* the caller's */
	Portal portal;			/* closed by the reset callback of the reader's context */
	char *portal_name;
	MemoryContextCallback close;
	TupleDesc desc;		  /* of the query, in the reader's context */
	SPITupleTable *batch; /* of the last fetch, freed by the next */
} QueryReader;

/* Hands the rows of the query on as they come. */
typedef struct EachReceiver
{
	DestReceiver base; /* must be first */
	QueryReader *reader;
	void (*take)(void *arg, const CsRecord *record);
	void *arg;
} EachReceiver;

static CsReadStatus query_next_batch(CsReader *base, CsBatch *batch);
static int query_each(CsReader *base, int n, void (*take)(void *arg, const CsRecord *record),
					  void *arg);
static bool receive_record(TupleTableSlot *slot, DestReceiver *self);
static int64 slot_bytes(TupleTableSlot *slot);
static char *query_record_json(CsReader *base, const CsRecord *record);
static const char *query_text(const CsReadSpec *spec);
static void open_portal(QueryReader *reader, const char *sql);
static SPIPlanPtr prepare(const char *sql, int nargs, Oid *types);
static bool narrow(SPIPlanPtr *plan, const char *sql, const CsReadSince *since);
static const char *without_semicolon(const char *sql);
static void refuse_writing(SPIPlanPtr plan);
static void describe(QueryReader *reader);
static void switch_to_owner(QueryReader *reader, CsUserContext *saved);
static void close_portal(void *arg);

CsReader *
cs_query_open(const CsReadSpec *spec)
{
	QueryReader *reader = palloc0(sizeof(QueryReader));
	MemoryContext context = CurrentMemoryContext;

	reader->spec = spec;
	open_portal(reader, query_text(spec));
	MemoryContextSwitchTo(context);
	describe(reader);
	reader->portal_name = pstrdup(reader->portal->name);
	reader->close.func = close_portal;
	reader->close.arg = reader;
	MemoryContextRegisterResetCallback(context, &reader->close);
	reader->base.typed = true;
	reader->base.local = true;
	reader->base.since = true;
	reader->base.next_batch = query_next_batch;
	reader->base.record_json = query_record_json;
	reader->base.each = query_each;
	return &reader->base;
}

static CsReadStatus
query_next_batch(CsReader *base, CsBatch *batch)
{
	QueryReader *reader = (QueryReader *) base;
	MemoryContext context = CurrentMemoryContext;
	CsUserContext saved;

	if (reader->batch)
		SPI_freetuptable(reader->batch);
	reader->batch = NULL;
	switch_to_owner(reader, &saved);
	SPI_cursor_fetch(reader->portal, true, BATCH_RECORDS);
	cs_user_restore(&saved);
	reader->batch = SPI_tuptable;
	MemoryContextSwitchTo(context);

	batch->nrecords = (int) SPI_processed;
	if (batch->nrecords == 0)
		return CS_READ_END;
	batch->records = palloc0(sizeof(CsRecord) * batch->nrecords);
	for (int i = 0; i < batch->nrecords; i++)
	{
		CsRecord *record = &batch->records[i];
		HeapTuple tuple = reader->batch->vals[i];

		record->number = ++base->records_read;
		record->values = palloc(sizeof(Datum) * reader->desc->natts);
		record->nulls = palloc(sizeof(bool) * reader->desc->natts);
		heap_deform_tuple(tuple, reader->desc, record->values, record->nulls);
		base->bytes_read += tuple->t_len;
	}
	return CS_READ_ROWS;
}

static int
query_each(CsReader *base, int n, void (*take)(void *arg, const CsRecord *record), void *arg)
{
	QueryReader *reader = (QueryReader *) base;
	EachReceiver receiver = { .reader = reader, .take = take, .arg = arg };
	CsUserContext saved;
	uint64 got;

	cs_receiver_init(&receiver.base, receive_record);
	switch_to_owner(reader, &saved);
	got = PortalRunFetch(reader->portal, FETCH_FORWARD, n, &receiver.base);
	cs_user_restore(&saved);
	return (int) got;
}

static bool
receive_record(TupleTableSlot *slot, DestReceiver *self)
{
	EachReceiver *receiver = (EachReceiver *) self;
	QueryReader *reader = receiver->reader;
	CsRecord record = { 0 };

	slot_getallattrs(slot);
	record.number = ++reader->base.records_read;
	record.values = slot->tts_values;
	record.nulls = slot->tts_isnull;
	reader->base.bytes_read += slot_bytes(slot);
	receiver->take(receiver->arg, &record);
	return true;
}

/* What the row takes as a tuple; that of a plain scan already is one. */
static int64
slot_bytes(TupleTableSlot *slot)
{
	if (TTS_IS_BUFFERTUPLE(slot) || TTS_IS_HEAPTUPLE(slot))
		return ((HeapTupleTableSlot *) slot)->tuple->t_len;
	return SizeofHeapTupleHeader +
		   heap_compute_data_size(slot->tts_tupleDescriptor, slot->tts_values, slot->tts_isnull);
}

static char *
query_record_json(CsReader *base, const CsRecord *record)
{
	QueryReader *reader = (QueryReader *) base;
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (int i = 0; i < base->ncolumns; i++)
		cs_json_append_member(&json, base->columns[i].name,
							  TupleDescAttr(reader->desc, i)->atttypid, record->values[i],
							  record->nulls[i]);
	appendStringInfoChar(&json, '}');
	return json.data;
}

static const char *
query_text(const CsReadSpec *spec)
{
	if (spec->near)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\"", linitial_node(DefElem, spec->near)->defname),
				 errhint("It is for sources that have a server.")));
	if (spec->query && spec->object)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a source is a query or an object, not both"),
						errhint("Leave one of them out; in censync_alter_sync an empty text takes "
								"away what was there.")));
	if (spec->query)
		return spec->query;
	if (spec->object)
		return psprintf("SELECT * FROM %s",
						NameListToQuotedString(cs_qualified_name_parse(spec->object)));
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the sync has no source"),
					errhint("Give a server, a query in this database, or an object of it.")));
}

/* Read only: functions that would write are refused by SPI. */
static void
open_portal(QueryReader *reader, const char *sql)
{
	CsUserContext saved;
	SPIPlanPtr plan;
	const CsReadSince *since = reader->spec->since;
	bool narrowed = false;
	Datum bound = since ? since->value : (Datum) 0;

	switch_to_owner(reader, &saved);
	plan = prepare(sql, 0, NULL);
	if (!SPI_is_cursor_plan(plan))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the source query must be one statement that returns rows"),
						errhint("It is a SELECT, VALUES or TABLE, or WITH in front of one.")));
	refuse_writing(plan);
	if (since && OidIsValid(since->type))
		narrowed = narrow(&plan, sql, since);
	PushActiveSnapshot(GetTransactionSnapshot());
	reader->portal = SPI_cursor_open(NULL, plan, narrowed ? &bound : NULL, NULL, true);
	PopActiveSnapshot();
	SPI_freeplan(plan);
	cs_user_restore(&saved);
}

static SPIPlanPtr
prepare(const char *sql, int nargs, Oid *types)
{
	SPIPlanPtr plan = SPI_prepare(sql, nargs, types);

	if (plan == NULL)
		elog(ERROR, "could not prepare the source query: %s", SPI_result_code_string(SPI_result));
	return plan;
}

/* Around a query that has been proved to be one SELECT: only what is not older than the bound.  A column
 * of another type than the bound is left as it is: whoever gave the bound sees that, too. */
static bool
narrow(SPIPlanPtr *plan, const char *sql, const CsReadSince *since)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(*plan));
	TupleDesc desc = source->resultDesc;
	const char *column = quote_identifier(since->column);
	Oid type = since->type;
	int matches = 0;

	for (int i = 0; i < desc->natts; i++)
		if (strcmp(NameStr(TupleDescAttr(desc, i)->attname), since->column) == 0)
			matches += getBaseType(TupleDescAttr(desc, i)->atttypid) == type ? 1 : 2;
	if (matches != 1)
		return false;
	SPI_freeplan(*plan);
	/* The newline ends a comment that the query may end with. */
	*plan = prepare(psprintf("SELECT * FROM (%s\n) AS source WHERE source.%s "
							 "OPERATOR(pg_catalog.>=) $1 OR source.%s IS NULL",
							 without_semicolon(sql), column, column),
					1, &type);
	return true;
}

static const char *
without_semicolon(const char *sql)
{
	RawStmt *statement = linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT));

	sql += statement->stmt_location;
	return statement->stmt_len > 0 ? pnstrdup(sql, statement->stmt_len) : sql;
}

/* SPI would refuse it too, with a message about functions. */
static void
refuse_writing(SPIPlanPtr plan)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan));
	ListCell *lc;

	foreach (lc, source->query_list)
	{
		Query *query = lfirst_node(Query, lc);

		if (query->commandType != CMD_SELECT || query->hasModifyingCTE || query->rowMarks)
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("the source query must not write or lock rows"),
							errhint("A sync reads its source, and writes its destination only.")));
	}
}

static void
describe(QueryReader *reader)
{
	CsReader *base = &reader->base;

	reader->desc = BlessTupleDesc(CreateTupleDescCopy(reader->portal->tupDesc));
	base->ncolumns = reader->desc->natts;
	if (base->ncolumns == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the source query returns no columns"),
						errhint("It needs those of the sync key at least.")));
	base->columns = palloc0(sizeof(CsColumn) * Max(1, base->ncolumns));
	base->seen = palloc(sizeof(bool) * Max(1, base->ncolumns));
	memset(base->seen, true, base->ncolumns);
	for (int i = 0; i < base->ncolumns; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(reader->desc, i);

		base->columns[i].name = pstrdup(NameStr(attribute->attname));
		base->columns[i].typid = attribute->atttypid;
		base->columns[i].typmod = attribute->atttypmod;
		base->columns[i].collation = attribute->attcollation;
	}
}

static void
switch_to_owner(QueryReader *reader, CsUserContext *saved)
{
	/* The path in force is the definition's, put there by whoever opened the reader. */
	cs_user_switch(saved, reader->spec->userid, NULL);
}

/* By name: a rollback may have closed it already.  One that is under way will, and walks the table of
 * portals while it resets contexts: nothing may be taken out of that then. */
static void
close_portal(void *arg)
{
	QueryReader *reader = arg;
	Portal portal;

	if (!IsTransactionState())
		return;
	portal = SPI_cursor_find(reader->portal_name);
	if (PortalIsValid(portal) && portal->status != PORTAL_ACTIVE)
		SPI_cursor_close(portal);
}
