/*
 * run.c
 *		What the steps of a run share: bad records, statements over stages.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/receiver.h"
#include "sync/run.h"

/* Below so many records a share says little: the verdict waits for the end of the read. */
#define MIN_RECORDS_FOR_SHARE 1000

/* A destination for the rows of a statement that keeps them in a stage. */
typedef struct StageReceiver
{
	DestReceiver base; /* must be first */
	CsStage *stage;
} StageReceiver;

static void log_outcome(CsRun *run, const char *operation, const char *status, int64 number,
						char *key, const CsError *error, char *payload);
static int64 bad_records(const CsRun *run);
static bool receive_into_stage(TupleTableSlot *slot, DestReceiver *self);

void
cs_run_bad_record(CsRun *run, const char *operation, const char *status, int64 number, char *key,
				  const CsError *error, char *payload)
{
	log_outcome(run, operation, status, number, key, error, payload);
	if (strcmp(status, "invalid") == 0)
		run->counts.invalid++;
	else
		run->counts.rejected++;
	if (number == 0)
		run->rejected_deletes++;
	if (run->options->fail_on_error)
		ereport(ERROR,
				(errcode(error->code), errmsg_internal("%s", error->message),
				 errdetail_internal(
					 "%s%s%s%s%s.",
					 number > 0 ? psprintf("Record " INT64_FORMAT, number) : "Delete of a row",
					 error->column ? ", column \"" : "", error->column ? error->column : "",
					 error->column ? "\"" : "", key ? psprintf(", key %s", key) : ""),
				 errhint("With option on_error = continue the run goes on past bad records.")));
}

void
cs_run_superseded_record(CsRun *run, int64 number, char *key, const CsError *error, char *payload)
{
	log_outcome(run, "read", "invalid", number, key, error, payload);
	run->counts.invalid++;
	run->superseded++;
}

bool
cs_run_exceeds_bad_share(const CsRun *run, bool at_end)
{
	int64 bad = bad_records(run);

	if (bad == 0 || (!at_end && run->counts.read < MIN_RECORDS_FOR_SHARE))
		return false;
	return (double) bad > run->options->max_rejected * (double) run->counts.read;
}

void
cs_run_check_bad_share(const CsRun *run, bool at_end)
{
	if (!cs_run_exceeds_bad_share(run, at_end))
		return;
	ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					errmsg(INT64_FORMAT " of " INT64_FORMAT " records are invalid or rejected",
						   bad_records(run), run->counts.read),
					errdetail("Option max_rejected allows a share of %g. Nothing was changed.",
							  run->options->max_rejected),
					errhint("censync.records has them with their reasons.")));
}

uint64
cs_run_execute(const char *sql, DestReceiver *dest)
{
	SPIExecuteOptions options = { 0 };
	int rc;

	options.dest = dest;
	rc = SPI_execute_extended(sql, &options);
	if (rc < 0)
		elog(ERROR, "statement of a run failed: %s", SPI_result_code_string(rc));
	return SPI_processed;
}

uint64
cs_run_store(const char *sql, CsStage *stage)
{
	StageReceiver receiver = { .stage = stage };

	cs_receiver_init(&receiver.base, receive_into_stage);
	cs_stage_clear(stage);
	return cs_run_execute(sql, &receiver.base);
}

char *
cs_run_row_json(const CsRun *run, const CsStage *stage, TupleTableSlot *slot, bool key_only)
{
	const CsMappingSet *set = run->mappings;
	int n = key_only ? set->nkeys : Min(set->count, stage->desc->natts - 1);
	Datum *values = palloc(sizeof(Datum) * n);
	bool *nulls = palloc(sizeof(bool) * n);

	slot_getallattrs(slot);
	for (int i = 0; i < n; i++)
	{
		int at = stage->full ? set->items[i].position : i + 1;

		values[i] = slot->tts_values[at];
		nulls[i] = slot->tts_isnull[at];
	}
	return cs_decode_row_json(set, values, nulls, n);
}

void
cs_run_end_stages(CsRun *run)
{
	CsStage *stages[] = { run->stage,  run->held,	  run->creates, run->updates,
						  run->extras, run->vanished, run->deletes, run->written };

	for (int i = 0; i < (int) lengthof(stages); i++)
		if (stages[i])
			cs_stage_end(stages[i]);
}

static void
log_outcome(CsRun *run, const char *operation, const char *status, int64 number, char *key,
			const CsError *error, char *payload)
{
	CsRecordOutcome outcome = { 0 };

	outcome.record_number = number;
	outcome.sync_key = key;
	outcome.operation = operation;
	outcome.status = status;
	outcome.error = error;
	outcome.payload = payload;
	cs_record_log_add(run->records, &outcome);
}

/* A deletion that was refused is no record of the source. */
static int64
bad_records(const CsRun *run)
{
	return run->counts.invalid - run->superseded + run->counts.rejected - run->rejected_deletes;
}

static bool
receive_into_stage(TupleTableSlot *slot, DestReceiver *self)
{
	cs_stage_put_slot(((StageReceiver *) self)->stage, slot);
	return true;
}
