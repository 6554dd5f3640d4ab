/*
 * typed.c
 *		What readers of typed sources share: a record at a time, handed on as it
 *		is or copied into a batch.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

#include "format/json_value.h"
#include "source/typed.h"

#define BATCH_RECORDS 1000
#define BATCH_BYTES (1024 * 1024)

static CsReadStatus next_batch(CsReader *base, CsBatch *batch);
static int64 copy_record(const CsTypedReader *reader, CsRecord *copy);
static int each(CsReader *base, int n, void (*take)(void *arg, const CsRecord *record), void *arg);
static bool next_record(CsTypedReader *reader);
static void narrow(CsReader *base, const bool *needed);
static char *record_json(CsReader *base, const CsRecord *record);

void
cs_typed_init(CsTypedReader *reader, bool (*next)(CsTypedReader *reader))
{
	reader->base.typed = true;
	reader->base.next_batch = next_batch;
	reader->base.each = each;
	reader->base.narrow = narrow;
	reader->base.record_json = record_json;
	reader->next = next;
}

void
cs_typed_set_columns(CsTypedReader *reader, const CsColumn *known, int nknown, List *wanted)
{
	CsReader *base = &reader->base;
	int n = wanted ? list_length(wanted) : nknown;
	ListCell *lc;
	int i = 0;

	base->ncolumns = n;
	base->columns = palloc(sizeof(CsColumn) * n);
	base->seen = palloc(sizeof(bool) * n);
	memset(base->seen, true, sizeof(bool) * n);
	foreach (lc, wanted)
	{
		int position = cs_column_find_only(known, nknown, lfirst(lc));

		if (position < 0)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
							errmsg("the source has no column \"%s\"", (char *) lfirst(lc)),
							errhint("It may have changed: import its foreign table again.")));
		base->columns[i++] = known[position];
	}
	if (wanted == NIL)
		memcpy(base->columns, known, sizeof(CsColumn) * n);
	reader->needed = palloc(sizeof(bool) * n);
	memset(reader->needed, true, sizeof(bool) * n);
	reader->record.values = palloc0(sizeof(Datum) * n);
	reader->record.nulls = palloc0(sizeof(bool) * n);
	reader->lengths = palloc(sizeof(int16) * n);
	reader->by_value = palloc(sizeof(bool) * n);
	for (i = 0; i < n; i++)
		get_typlenbyval(base->columns[i].typid, &reader->lengths[i], &reader->by_value[i]);
}

int
cs_column_find(const CsColumn *columns, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(columns[i].name, name) == 0)
			return i;
	return -1;
}

int
cs_column_find_only(const CsColumn *columns, int n, const char *name)
{
	int first = cs_column_find(columns, n, name);

	if (first >= 0 && cs_column_find(columns + first + 1, n - first - 1, name) >= 0)
		ereport(ERROR, (errcode(ERRCODE_AMBIGUOUS_COLUMN),
						errmsg("the source has more than one column \"%s\"", name),
						errhint("Give each of them a name of its own in the query.")));
	return first;
}

void
cs_record_blame(CsRecord *record, int column, int code, char *message)
{
	record->error_code = code;
	record->error_message = message;
	record->error_column = column + 1;
	record->nulls[column] = true;
}

static CsReadStatus
next_batch(CsReader *base, CsBatch *batch)
{
	CsTypedReader *reader = (CsTypedReader *) base;
	int64 bytes = 0;

	batch->nrecords = 0;
	batch->records = palloc(sizeof(CsRecord) * BATCH_RECORDS);
	while (batch->nrecords < BATCH_RECORDS && bytes < BATCH_BYTES && next_record(reader))
		bytes += copy_record(reader, &batch->records[batch->nrecords++]);
	return batch->nrecords > 0 ? CS_READ_ROWS : CS_READ_END;
}

/* Into CurrentMemoryContext; returns how many bytes its values have. */
static int64
copy_record(const CsTypedReader *reader, CsRecord *copy)
{
	int n = reader->base.ncolumns;
	int64 bytes = 0;

	*copy = reader->record;
	copy->values = palloc(sizeof(Datum) * n);
	copy->nulls = palloc(sizeof(bool) * n);
	memcpy(copy->nulls, reader->record.nulls, sizeof(bool) * n);
	for (int i = 0; i < n; i++)
	{
		copy->values[i] = 0;
		if (copy->nulls[i])
			continue;
		copy->values[i] =
			datumCopy(reader->record.values[i], reader->by_value[i], reader->lengths[i]);
		bytes += datumGetSize(copy->values[i], reader->by_value[i], reader->lengths[i]);
	}
	if (copy->error_code)
		copy->error_message = pstrdup(copy->error_message);
	if (copy->raw)
		copy->raw = pstrdup(copy->raw);
	return bytes;
}

static int
each(CsReader *base, int n, void (*take)(void *arg, const CsRecord *record), void *arg)
{
	CsTypedReader *reader = (CsTypedReader *) base;
	int got = 0;

	while (got < n && next_record(reader))
	{
		got++;
		take(arg, &reader->record);
	}
	return got;
}

static bool
next_record(CsTypedReader *reader)
{
	CHECK_FOR_INTERRUPTS();
	if (!reader->next(reader))
		return false;
	reader->record.number = ++reader->base.records_read;
	return true;
}

static void
narrow(CsReader *base, const bool *needed)
{
	Assert(base->records_read == 0);
	memcpy(((CsTypedReader *) base)->needed, needed, sizeof(bool) * base->ncolumns);
}

static char *
record_json(CsReader *base, const CsRecord *record)
{
	StringInfoData json;

	if (record->raw)
		return record->raw;
	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (int i = 0; i < base->ncolumns; i++)
		if (((CsTypedReader *) base)->needed[i])
			cs_json_append_member(&json, base->columns[i].name, base->columns[i].typid,
								  record->values[i], record->nulls[i]);
	appendStringInfoChar(&json, '}');
	return json.data;
}
