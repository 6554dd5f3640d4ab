/*
 * read.c
 *		First steps of a run: read, decode, stage.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/user.h"
#include "sync/run.h"

/* Records that a source is asked for at a time where nothing is kept of them. */
#define DIRECT_RECORDS 10000

/* What a record of a direct read goes through; on the stack of the read. */
typedef struct DirectRead
{
	CsRun *run;
	CsRow row;			   /* its arrays are used again for each record */
	MemoryContext context; /* of one record */
} DirectRead;

static void read_directly(CsRun *run);
static void take_directly(void *arg, const CsRecord *record);
static void read_batches(CsRun *run);
static int records_wanted(const CsRun *run, int n);
static void end_of_batch(CsRun *run);
static void report_read(CsRun *run);
static void stage_batch(CsRun *run, CsBatch *batch);
static void stage_row(CsRun *run, const CsRecord *record, CsRow *row);
static void check_bad_share(CsRun *run, bool at_end);
static void check_keys_seen(const CsRun *run);
static void settle_mappings(CsRun *run);

void
cs_run_read(CsRun *run)
{
	run->stage = cs_stage_create_full("stage", run->mappings);
	run->key_ops = cs_key_ops_create(run->mappings);
	run->keys = cs_key_set_create(run->key_ops, run->stage, run->sync->behavior == CS_MIRROR);
	if (run->sync->behavior == CS_MIRROR)
		run->held = cs_stage_create("held", run->mappings, true);
	report_read(run);
	if (run->reader->each && cs_decode_is_direct(run->plan))
		read_directly(run);
	else
		read_batches(run);
	check_bad_share(run, true);
	if (run->counts.read > run->counts.invalid)
		settle_mappings(run);
}

/* Rows go from the source's query into the stage without a copy in between. */
static void
read_directly(CsRun *run)
{
	DirectRead direct = { .run = run };
	int n;
	int got;

	direct.context =
		AllocSetContextCreate(run->context, "censync direct read", ALLOCSET_DEFAULT_SIZES);
	direct.row.values = palloc(sizeof(Datum) * run->mappings->count);
	direct.row.nulls = palloc(sizeof(bool) * run->mappings->count);
	do
	{
		CHECK_FOR_INTERRUPTS();
		n = records_wanted(run, DIRECT_RECORDS);
		if (n == 0)
			break;
		got = run->reader->each(run->reader, n, take_directly, &direct);
		end_of_batch(run);
		run->read_to_end = got < n;
	} while (!run->read_to_end);
	MemoryContextDelete(direct.context);
}

static void
take_directly(void *arg, const CsRecord *record)
{
	DirectRead *direct = arg;
	MemoryContext old = MemoryContextSwitchTo(direct->context);

	cs_decode_direct(direct->run->plan, record, &direct->row);
	cs_cursor_note_record(direct->run, record);
	direct->run->counts.read++;
	stage_row(direct->run, record, &direct->row);
	MemoryContextSwitchTo(old);
	MemoryContextReset(direct->context);
}

static void
read_batches(CsRun *run)
{
	MemoryContext batch_context =
		AllocSetContextCreate(run->context, "censync batch", ALLOCSET_DEFAULT_SIZES);
	CsBatch batch;

	while (records_wanted(run, 1) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(batch_context);
		MemoryContextSwitchTo(batch_context);
		if (run->reader->next_batch(run->reader, &batch) == CS_READ_END)
		{
			run->read_to_end = true;
			break;
		}
		stage_batch(run, &batch);
		end_of_batch(run);
	}
	end_of_batch(run);
	MemoryContextSwitchTo(run->context);
	MemoryContextDelete(batch_context);
}

/* At most n, or what the run's limit leaves. */
static int
records_wanted(const CsRun *run, int n)
{
	return run->limit < 0 ? n : (int) Min(n, run->limit - run->counts.read);
}

static void
end_of_batch(CsRun *run)
{
	run->counts.bytes = run->reader->bytes_read;
	cs_progress_set_read(run->progress, run->counts.read, run->counts.bytes);
	check_bad_share(run, false);
}

/* A batch may take minutes to fill: others see the reader's own numbers. */
static void
report_read(CsRun *run)
{
	CsProgressSource source = { &run->reader->records_read, &run->reader->bytes_read,
								&run->reader->total, run->limit };

	cs_progress_read_from(run->progress, &source);
}

static void
stage_batch(CsRun *run, CsBatch *batch)
{
	CsUserContext saved;
	CsRow *rows;

	batch->nrecords = records_wanted(run, batch->nrecords);
	rows = palloc0(sizeof(CsRow) * batch->nrecords);
	cs_user_switch(&saved, run->apply_as, NULL);
	cs_decode_batch(run->plan, batch, rows);
	cs_cursor_note_batch(run, batch);
	run->counts.read += batch->nrecords;
	for (int i = 0; i < batch->nrecords; i++)
		stage_row(run, &batch->records[i], &rows[i]);
	cs_user_restore(&saved);
}

/* A mirror must know of a record even if it can't be applied: what is in the source is not deleted. */
static void
stage_row(CsRun *run, const CsRecord *record, CsRow *row)
{
	if (row->error == NULL)
	{
		cs_stage_put(run->stage, record->number, row->values, row->nulls);
		cs_key_set_add(run->keys, row->values);
		return;
	}
	if (row->decoded < run->mappings->nkeys)
		run->unidentified++;
	else if (run->held)
	{
		bool has_null = false;

		for (int k = 0; k < run->mappings->nkeys; k++)
			has_null |= row->nulls[k];
		if (!has_null)
			cs_stage_put(run->held, record->number, row->values, row->nulls);
	}
	cs_run_bad_record(run, "read", "invalid", record->number,
					  cs_decode_row_json(run->mappings, row->values, row->nulls,
										 Min(row->decoded, run->mappings->nkeys)),
					  row->error, run->reader->record_json(run->reader, record));
}

/* A key column that no record has makes all of them invalid; its name then says more than their number. */
static void
check_bad_share(CsRun *run, bool at_end)
{
	if (cs_run_exceeds_bad_share(run, at_end) && run->counts.read > run->unidentified)
		check_keys_seen(run);
	cs_run_check_bad_share(run, at_end);
}

static void
check_keys_seen(const CsRun *run)
{
	for (int k = 0; k < run->mappings->nkeys; k++)
	{
		const CsMapping *key = &run->mappings->items[k];

		for (int i = 0; i < run->reader->ncolumns; i++)
			if (key->kind == CS_MAP_COLUMN && !run->reader->seen[i] &&
				strcmp(key->source, run->reader->columns[i].name) == 0)
				ereport(
					ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("no record of the source has \"%s\"", key->source),
					 errdetail("It is mapped to column \"%s\" of the sync key.", key->dest->name),
					 errhint("Map the key column to what the source calls it; censync_preview "
							 "shows what the records have.")));
	}
}

/* The stage keeps its columns; those that no record had are no longer looked at. */
static void
settle_mappings(CsRun *run)
{
	cs_mapping_settle(run->mappings, run->sync, cs_decode_seen(run->plan, run->reader));
}
