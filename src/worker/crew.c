/*
 * crew.c
 *		The workers that a scheduler has sent.
 */
#include "postgres.h"

#include "access/xact.h"
#include "nodes/pg_list.h"
#include "postmaster/bgworker.h"
#include "utils/memutils.h"

#include "sync/start.h"
#include "worker/agenda.h"
#include "worker/crew.h"

/* In TopMemoryContext. */
typedef struct Member
{
	int64 run_id;
	int64 sync_id;
	Oid owner;
	Oid server;
	BackgroundWorkerHandle *handle;
} Member;

static List *members = NIL; /* Member * */
static bool out_of_workers = false;

static void close_if_lost(const Member *member);

int
cs_crew_size(void)
{
	return list_length(members);
}

int
cs_crew_size_for_server(Oid server)
{
	int count = 0;
	ListCell *lc;

	foreach (lc, members)
		count += ((Member *) lfirst(lc))->server == server;
	return count;
}

int
cs_crew_size_for_owner(Oid owner)
{
	int count = 0;
	ListCell *lc;

	foreach (lc, members)
		count += ((Member *) lfirst(lc))->owner == owner;
	return count;
}

bool
cs_crew_has_run(int64 run_id)
{
	ListCell *lc;

	foreach (lc, members)
		if (((Member *) lfirst(lc))->run_id == run_id)
			return true;
	return false;
}

bool
cs_crew_send(const CsQueuedRun *run)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	Member *member = palloc0(sizeof(Member));
	bool sent;

	member->run_id = run->run_id;
	member->sync_id = run->sync_id;
	member->owner = run->owner;
	member->server = cs_start_server(run->server);
	sent = cs_start_worker(run, InvalidTransactionId, &member->handle);
	if (sent)
		members = lappend(members, member);
	else
		pfree(member);
	MemoryContextSwitchTo(old);
	if (!sent && !out_of_workers)
		ereport(LOG, (errmsg("runs of syncs wait for a free background worker slot"),
					  errhint("Raise max_worker_processes, or lower censync.max_workers.")));
	out_of_workers = !sent;
	return sent;
}

void
cs_crew_dismiss_ended(void)
{
	ListCell *lc;

	foreach (lc, members)
	{
		Member *member = lfirst(lc);
		pid_t pid;

		if (GetBackgroundWorkerPid(member->handle, &pid) != BGWH_STOPPED)
			continue;
		members = foreach_delete_current(members, lc);
		close_if_lost(member);
		cs_agenda_load_around(member->sync_id);
		pfree(member->handle);
		pfree(member);
	}
}

/* A worker that could write its run's row has done so. */
static void
close_if_lost(const Member *member)
{
	StartTransactionCommand();
	if (cs_queue_end_left(member->run_id))
		cs_queue_pause_crashing(member->sync_id);
	CommitTransactionCommand();
}
