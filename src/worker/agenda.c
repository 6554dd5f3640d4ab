/*
 * agenda.c
 *		What a scheduler has to start, and when.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/settings.h"
#include "catalog/locks.h"
#include "catalog/parents.h"
#include "catalog/queue.h"
#include "catalog/scheduled.h"
#include "sync/start.h"
#include "worker/agenda.h"
#include "worker/crew.h"

/* After which a sync is looked at again that somebody else runs or changes. */
#define BUSY_DELAY (INT64CONST(5) * USECS_PER_SEC)

/* After which workers are asked for again when there was none. */
#define NO_WORKER_DELAY (INT64CONST(1) * USECS_PER_SEC)

/* By sync_id. */
typedef struct Item
{
	int64 sync_id;
	TimestampTz due; /* DT_NOEND: not by itself */
	Oid owner;
	Oid server;
} Item;

/* What may be started now; in the context of whoever looks for it. */
typedef struct Candidate
{
	const CsQueuedRun *run; /* NULL: an item that is due */
	TimestampTz due;		/* of that */
	int64 sync_id;
	Oid owner;
	Oid server;
	int load;  /* runs of the owner that go on */
	int place; /* what was asked for, in its order, goes before what is due */
	bool done; /* started, or it can't be */
} Candidate;

static HTAB *items = NULL; /* Item */
static List *queue = NIL;  /* CsQueuedRun *, in queue_context */
static MemoryContext queue_context = NULL;

static void take_items(List *syncs);
static void note_item(const CsScheduledSync *sync);
static void load_queue(void);
static bool has_room_now(Oid server);
static bool has_room(Oid server);
static List *list_candidates(TimestampTz now, TimestampTz *next);
static void add_queued(List **candidates);
static void add_due(List **candidates, TimestampTz now, TimestampTz *next);
static int compare_due(const ListCell *a, const ListCell *b);
static void rank(List *candidates);
static int compare_rank(const ListCell *a, const ListCell *b);
static bool start(const Candidate *candidate, TimestampTz now, TimestampTz *again);
static bool start_item(int64 sync_id, TimestampTz now, TimestampTz *due);
static bool send_for(const CsQueuedRun *run);
static bool queue_run(const CsScheduledSync *sync, TimestampTz now, CsQueuedRun *run);

void
cs_agenda_init(void)
{
	HASHCTL control = { .keysize = sizeof(int64), .entrysize = sizeof(Item) };

	items = hash_create("censync agenda", 64, &control, HASH_ELEM | HASH_BLOBS);
	queue_context =
		AllocSetContextCreate(TopMemoryContext, "censync queued runs", ALLOCSET_SMALL_SIZES);
}

void
cs_agenda_load(void)
{
	HASH_SEQ_STATUS status;
	Item *item;

	hash_seq_init(&status, items);
	while ((item = hash_seq_search(&status)) != NULL)
		hash_search(items, &item->sync_id, HASH_REMOVE, NULL);
	StartTransactionCommand();
	take_items(cs_scheduled_list(CS_SCHEDULED_BY_LAUNCHER, 0));
	load_queue();
	CommitTransactionCommand();
}

void
cs_agenda_load_around(int64 sync_id)
{
	StartTransactionCommand();
	hash_search(items, &sync_id, HASH_REMOVE, NULL);
	take_items(cs_scheduled_list(CS_SCHEDULED_BY_LAUNCHER_AROUND_ONE, sync_id));
	load_queue();
	CommitTransactionCommand();
}

/* Each start may make it somebody else's turn. */
TimestampTz
cs_agenda_start_due(void)
{
	TimestampTz now = cs_clock_now();
	TimestampTz next = DT_NOEND;
	List *candidates = list_candidates(now, &next);
	List *full = NIL; /* servers that have as many readers as they may */
	bool again;

	do
	{
		int crew = cs_crew_size();
		ListCell *lc;

		rank(candidates);
		again = false;
		foreach (lc, candidates)
		{
			Candidate *candidate = lfirst(lc);
			TimestampTz later = now + NO_WORKER_DELAY;

			if (candidate->done)
				continue;
			candidate->done = true;
			if (cs_crew_size() >= cs_max_workers)
				return Min(next, later);
			if (!list_member_oid(full, candidate->server) && !has_room_now(candidate->server))
				full = lappend_oid(full, candidate->server);
			if (!list_member_oid(full, candidate->server) && !start(candidate, now, &later))
				return Min(next, later);
			next = Min(next, later);
			again = cs_crew_size() != crew;
			if (again)
				break;
		}
	} while (again);
	return next;
}

static void
take_items(List *syncs)
{
	ListCell *lc;

	foreach (lc, syncs)
		note_item(lfirst(lc));
}

static void
note_item(const CsScheduledSync *sync)
{
	Item *item = hash_search(items, &sync->sync_id, HASH_ENTER, NULL);

	item->owner = sync->owner;
	item->server = cs_start_server(sync->server);
	item->due = DT_NOEND;
	if (sync->broken)
		ereport(LOG, (errmsg("the schedule of sync \"%s\" can't be kept", sync->name),
					  errdetail("%s", sync->broken)));
	/* A run that goes on is heard of when it ends, or else in the next round. */
	else if (!sync->busy)
		item->due = cs_schedule_due(&sync->schedule, &sync->history, cs_clock_now());
}

/* Within a transaction. */
static void
load_queue(void)
{
	MemoryContext old;

	MemoryContextReset(queue_context);
	old = MemoryContextSwitchTo(queue_context);
	queue = cs_queue_list();
	MemoryContextSwitchTo(old);
}

static bool
has_room_now(Oid server)
{
	MemoryContext context = CurrentMemoryContext;
	bool has;

	StartTransactionCommand();
	has = has_room(server);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return has;
}

/* In this database the crew is counted, which may not have taken its slots yet; in others, slots. */
static bool
has_room(Oid server)
{
	if (cs_crew_size() >= cs_max_workers)
		return false;
	if (OidIsValid(server) && cs_crew_size_for_server(server) >= cs_max_workers_per_server)
		return false;
	return cs_worker_slots_free(server) > 0;
}

/* *next becomes no later than when the next one is due that is not yet. */
static List *
list_candidates(TimestampTz now, TimestampTz *next)
{
	List *queued = NIL;
	List *due = NIL;
	ListCell *lc;
	int place = 0;

	add_queued(&queued);
	add_due(&due, now, next);
	list_sort(due, compare_due);
	queued = list_concat(queued, due);
	foreach (lc, queued)
		((Candidate *) lfirst(lc))->place = place++;
	return queued;
}

static void
add_queued(List **candidates)
{
	MemoryContext context = CurrentMemoryContext;
	ListCell *lc;

	if (queue == NIL)
		return;
	StartTransactionCommand();
	foreach (lc, queue)
	{
		const CsQueuedRun *run = lfirst(lc);
		Oid server = cs_start_server(run->server);
		Candidate *candidate;

		if (cs_crew_has_run(run->run_id))
			continue;
		MemoryContextSwitchTo(context);
		candidate = palloc0(sizeof(Candidate));
		candidate->run = run;
		candidate->owner = run->owner;
		candidate->server = server;
		*candidates = lappend(*candidates, candidate);
		MemoryContextSwitchTo(CurTransactionContext);
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
}

static void
add_due(List **candidates, TimestampTz now, TimestampTz *next)
{
	HASH_SEQ_STATUS status;
	Item *item;

	hash_seq_init(&status, items);
	while ((item = hash_seq_search(&status)) != NULL)
	{
		Candidate *candidate;

		if (item->due > now)
		{
			*next = Min(*next, item->due);
			continue;
		}
		candidate = palloc0(sizeof(Candidate));
		candidate->due = item->due;
		candidate->sync_id = item->sync_id;
		candidate->owner = item->owner;
		candidate->server = item->server;
		*candidates = lappend(*candidates, candidate);
	}
}

static int
compare_due(const ListCell *a, const ListCell *b)
{
	const Candidate *x = lfirst(a);
	const Candidate *y = lfirst(b);

	return x->due < y->due ? -1 : x->due > y->due;
}

/* Nobody's runs, however many there are, hold up those of somebody who has fewer that go on. */
static void
rank(List *candidates)
{
	ListCell *lc;

	foreach (lc, candidates)
	{
		Candidate *candidate = lfirst(lc);

		candidate->load = cs_crew_size_for_owner(candidate->owner);
	}
	list_sort(candidates, compare_rank);
}

static int
compare_rank(const ListCell *a, const ListCell *b)
{
	const Candidate *x = lfirst(a);
	const Candidate *y = lfirst(b);

	return x->load != y->load ? x->load - y->load : x->place - y->place;
}

/* False: there is no free slot for a worker.  *again: when to look at it next. */
static bool
start(const Candidate *candidate, TimestampTz now, TimestampTz *again)
{
	MemoryContext context = CurrentMemoryContext;
	bool held;
	bool sent;

	if (candidate->run == NULL)
		return start_item(candidate->sync_id, now, again);
	/* Its worker would wait for whoever is about to cancel it, and others for the worker.  It must not have to wait
	 * for us. */
	StartTransactionCommand();
	held = cs_queue_hold(candidate->run->run_id);
	CommitTransactionCommand();
	StartTransactionCommand();
	sent = !held || cs_crew_send(candidate->run);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	if (sent)
		*again = held ? DT_NOEND : now + BUSY_DELAY;
	return sent;
}

/* Looks at the sync again: it may have been changed since, or be run by somebody else.  It is held before that,
 * so that it can't be changed between the look and the run. */
static bool
start_item(int64 sync_id, TimestampTz now, TimestampTz *due)
{
	MemoryContext context = CurrentMemoryContext;
	Item *item = hash_search(items, &sync_id, HASH_ENTER, NULL);
	CsQueuedRun run = { 0 };
	bool queued = false;
	bool sent = true;
	bool held;
	List *found;

	StartTransactionCommand();
	held = cs_scheduled_hold(sync_id);
	found = cs_scheduled_list(CS_SCHEDULED_ONE, sync_id);
	item->due = DT_NOEND;
	if (found != NIL)
		note_item(linitial(found));
	if (item->due <= now && (!held || cs_run_is_locked(sync_id)))
		item->due = now + BUSY_DELAY;
	else if (item->due <= now)
	{
		queued = queue_run(linitial(found), now, &run);
		note_item(linitial(cs_scheduled_list(CS_SCHEDULED_ONE, sync_id)));
	}
	CommitTransactionCommand();
	if (queued)
		sent = send_for(&run);
	*due = sent ? item->due : now + NO_WORKER_DELAY;
	MemoryContextSwitchTo(context);
	return sent;
}

/* What is not sent waits in the queue. */
static bool
send_for(const CsQueuedRun *run)
{
	bool sent;

	StartTransactionCommand();
	sent = cs_crew_send(run);
	if (!sent)
		load_queue();
	CommitTransactionCommand();
	return sent;
}

/* Writes that it is to run, or that it can't; returns whether it can. */
static bool
queue_run(const CsScheduledSync *scheduled, TimestampTz now, CsQueuedRun *run)
{
	CsError *problem = cs_start_owner_problem(scheduled->name, scheduled->owner);
	CsSync sync = { .sync_id = scheduled->sync_id,
					.name = scheduled->name,
					.owner = scheduled->owner };
	const char *trigger = "schedule";

	if (cs_schedule_is_retry(&scheduled->schedule, &scheduled->history, now))
		trigger = "retry";
	else if (scheduled->schedule.kind == CS_SCHEDULE_AFTER)
		trigger = "after";
	cs_parents_follow(scheduled->sync_id);
	*run = (CsQueuedRun){ .run_id = cs_queue_add(&sync, trigger),
						  .sync_id = scheduled->sync_id,
						  .sync = MemoryContextStrdup(queue_context, scheduled->name),
						  .owner = scheduled->owner };
	if (scheduled->server)
		run->server = MemoryContextStrdup(queue_context, scheduled->server);
	if (problem)
		(void) cs_queue_end(run->run_id, "failed", problem);
	return problem == NULL;
}
