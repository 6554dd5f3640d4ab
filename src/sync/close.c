/*
 * close.c
 *		The end of a run: its commit and its log, also when it has failed.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"

#include "catalog/alerts.h"
#include "catalog/late_log.h"
#include "catalog/locks.h"
#include "sync/run.h"

static void begin_to_close(const CsRun *run);

/* A transaction that can't go on, or can't be committed, can't keep the log either: a new one does. */
CsError *
cs_run_commit(const CsRun *run, CsError *failure, MemoryContext result)
{
	CsError *volatile error = failure;

	if (error)
		SPI_rollback();
	else
	{
		cs_progress_phase(run->progress, CS_PROGRESS_COMMITTING, -1);
		PG_TRY();
		{
			SPI_commit();
		}
		PG_CATCH();
		{
			error = cs_error_catch(result);
		}
		PG_END_TRY();
	}
	MemoryContextSwitchTo(result);
	return error;
}

/* Writes the log.  A cancel undoes the transaction around us, so then somebody else must write it. */
void
cs_run_close_failed(CsRun *run, const CsError *error, bool durable)
{
	bool canceled = cs_error_is_cancel(error->code);
	CsError logged = *error;

	if (durable)
		begin_to_close(run);
	if (canceled && error->hint == NULL)
		logged.hint = "Nothing was changed; the next run starts afresh.";
	run->counts.created = run->counts.updated = run->counts.deleted = 0;
	run->counts.unchanged = run->counts.skipped = 0;
	if (canceled && !durable)
	{
		cs_late_log_write(run->sync, run->run_id, run->trigger, run->dry_run, run->started_at,
						  &run->counts, &logged);
		return;
	}
	cs_run_write_log(run, canceled ? "canceled" : "failed", &logged);
	if (durable)
	{
		SPI_commit();
		RESUME_CANCEL_INTERRUPTS();
	}
	else
		ereport(WARNING, (errcode(error->code),
						  errmsg("run " INT64_FORMAT " of sync \"%s\" failed: %s", run->run_id,
								 run->sync->name, error->message),
						  error->detail ? errdetail_internal("%s", error->detail) : 0,
						  error->hint ? errhint("%s", error->hint) : 0));
}

void
cs_run_write_log(const CsRun *run, const char *status, const CsError *error)
{
	cs_progress_phase(run->progress, CS_PROGRESS_LOGGING, -1);
	cs_record_log_write(run->records, run->run_id);
	if (error == NULL)
		cs_record_log_write(run->changes, run->run_id);
	cs_run_log_close(run->run_id, status, &run->counts, error);
	if (cs_alerts_are_wanted(run->sync->options))
		cs_alerts_judge_run(run->run_id);
}

/* In a transaction that has just begun.  The row would go on saying that the run goes on if a second cancel, or what
 * other transactions do, could come in between. */
static void
begin_to_close(const CsRun *run)
{
	bool must_wait;

	XactIsoLevel = XACT_READ_COMMITTED;
	HOLD_CANCEL_INTERRUPTS();
	must_wait = !cs_extension_try_lock();
	if (must_wait)
		RESUME_CANCEL_INTERRUPTS();
	/* There may be a new one, with other runs under the same numbers. */
	cs_extension_lock(run->extension);
	if (must_wait)
		HOLD_CANCEL_INTERRUPTS();
}
