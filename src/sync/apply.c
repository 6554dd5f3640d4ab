/*
 * apply.c
 *		The delta into the destination: deletions, updates, insertions.
 *
 * A row may be refused only because another is not yet there, or not yet gone:
 * the parent it refers to, a child that refers to it, the owner of a unique
 * value.  So those refused are tried again, first as one set, as long as that
 * helps any of them, and only then blamed.
 *
 * A row may change between the diff and the apply.  The update asks again
 * whether it differs; a row that another session deleted or inserted meanwhile
 * shows as a count that is short.  Then the diff is taken again: it says what
 * is left to do, until nothing is.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "sync/change.h"

/* So often at most is a delta applied; each time but the first other sessions must have interfered. */
#define MAX_ROUNDS 10

/* So often at most are refused rows tried again. */
#define MAX_PASSES 20

static bool apply_round(CsRun *run, int64 *suppressed, bool is_first);
static void apply_changes(CsChange *changes);
static void explain_search_path(void *arg);
static void retry_refused(CsChange *changes, int64 before);
static int64 total_applied(const CsChange *changes);
static int64 left_to_do(const CsRun *run);

void
cs_run_apply(CsRun *run)
{
	int64 suppressed = 0;

	run->settled = cs_number_set_create();
	for (int round = 0; round < MAX_ROUNDS; round++)
	{
		int64 updates = run->updates->count;
		int64 creates = run->creates->count;
		bool again;

		run->rounds++;
		again = apply_round(run, &suppressed, round == 0);

		if (again && left_to_do(run) > 0)
		{
			if (round == 0 || run->updates->count != updates || run->creates->count != creates)
				continue;
			/* Twice the same, after all that could be settled was: a trigger keeps these rows as they
			 * are, and says nothing. */
			suppressed += left_to_do(run);
		}
		run->counts.skipped += suppressed;
		return;
	}
	ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					errmsg("rows of destination %s kept changing under the run",
						   cs_destination_quoted(run->destination)),
					errhint("Nothing was changed. Run again.")));
}

/* Returns whether rows had to be left for another round; then the diff has been taken again. */
static bool
apply_round(CsRun *run, int64 *suppressed, bool is_first)
{
	CsRunCounts *counts = &run->counts;
	CsChange changes[CS_N_CHANGES];
	CsChange *updates = &changes[CS_CHANGE_UPDATE];
	CsChange *inserts = &changes[CS_CHANGE_INSERT];
	ErrorContextCallback callback = { error_context_stack, explain_search_path, NULL };

	cs_change_init(&changes[CS_CHANGE_DELETE], run, CS_CHANGE_DELETE,
				   is_first ? run->deletes : NULL);
	cs_change_init(updates, run, CS_CHANGE_UPDATE, run->updates);
	cs_change_init(inserts, run, CS_CHANGE_INSERT, run->creates);
	error_context_stack = &callback;
	apply_changes(changes);
	error_context_stack = callback.previous;
	counts->deleted += changes[CS_CHANGE_DELETE].applied;
	counts->updated += updates->applied;
	counts->created += inserts->applied;
	*suppressed += inserts->suppressed;
	if (updates->settled && inserts->settled)
		return false;
	if (updates->settled)
		cs_change_settle(run, run->updates);
	if (inserts->settled)
		cs_change_settle(run, run->creates);
	cs_progress_phase(run->progress, CS_PROGRESS_COMPARING, run->stage->count);
	cs_run_diff(run);
	return true;
}

/* Whatever is refused at first may pass once the other kinds of changes are done.  Rows that wait for each
 * other in a chain are done in one pass of the right direction. */
static void
apply_changes(CsChange *changes)
{
	int64 before;

	for (int kind = 0; kind < CS_N_CHANGES; kind++)
		if (changes[kind].set)
			cs_change_apply(&changes[kind], changes[kind].set);
	retry_refused(changes, 0);
	before = total_applied(changes);
	cs_change_exchange(&changes[CS_CHANGE_UPDATE]);
	retry_refused(changes, before);
	for (int kind = 0; kind < CS_N_CHANGES; kind++)
		cs_change_blame_refused(&changes[kind]);
}

/* Functions of triggers and the like are mostly written for the search_path of their users. */
static void
explain_search_path(void *arg)
{
	int code = geterrcode();

	if (code == ERRCODE_UNDEFINED_FUNCTION || code == ERRCODE_UNDEFINED_TABLE ||
		code == ERRCODE_UNDEFINED_OBJECT)
		errhint(
			"Triggers, defaults and constraints run with search_path pg_catalog, pg_temp. Their "
			"functions must name schemas, or have a search_path: ALTER FUNCTION ... SET "
			"search_path = ...");
}

/* As long as more is applied than before. */
static void
retry_refused(CsChange *changes, int64 before)
{
	for (int pass = 0; pass < MAX_PASSES && total_applied(changes) > before; pass++)
	{
		bool any = false;

		before = total_applied(changes);
		for (int kind = 0; kind < CS_N_CHANGES; kind++)
			any |= cs_change_retry(&changes[kind], pass % 2 == 1);
		if (!any)
			break;
	}
}

static int64
total_applied(const CsChange *changes)
{
	return changes[CS_CHANGE_DELETE].applied + changes[CS_CHANGE_UPDATE].applied +
		   changes[CS_CHANGE_INSERT].applied;
}

static int64
left_to_do(const CsRun *run)
{
	return run->updates->count + run->creates->count;
}
