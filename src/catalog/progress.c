/*
 * progress.c
 *		What running runs are doing, in shared memory, for other sessions to see.
 *
 * Each run has a slot, which its backend alone writes to, without a lock: a
 * counter is odd while it does, and a reader takes its copy again if the
 * counter was odd or has moved.  This is how the server keeps
 * pg_stat_activity, too.
 *
 * Between two calls of the run a timer looks at the numbers that move
 * meanwhile: those of the reader, which may wait for its source for minutes,
 * and the row count of a statement that writes a million rows.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "catalog/progress.h"

/* So often numbers are looked at, in ms. */
#define SAMPLE_INTERVAL 500

/* In shared memory. */
struct CsProgressSlot
{
	pg_atomic_uint32 taken_by; /* a process id; 0: free */
	volatile uint32 changes;   /* odd: shown is being written */
	CsProgress shown;

	/* What follows is the owner's own: nobody else looks at it, and its pointers lead into its memory. */
	int64 sync_id;
	CsProgressSlot *outer;			  /* of the run that this one runs in; NULL: none */
	CsProgressSource source;		  /* zeros: nothing is being read */
	const uint64 *processed;		  /* rows of the statement that is running, or NULL */
	int64 done;						  /* in this phase, without that statement */
	SubTransactionId expected_within; /* of the statement to watch; or InvalidSubTransactionId */
};

static CsProgressSlot *slots = NULL; /* NULL: the library was not loaded at the server's start */
static CsProgressSlot *volatile innermost = NULL; /* of this backend's runs */
static TimeoutId timer;
static bool prepared = false; /* timer and callback of this process */

static shmem_request_hook_type next_shmem_request = NULL;
static shmem_startup_hook_type next_shmem_startup = NULL;
static ExecutorRun_hook_type next_executor_run = NULL;

static void request_memory(void);
static void set_up_memory(void);
static void prepare_process(void);
static CsProgressSlot *take_slot(void);
static void release_innermost(void);
static void release_all(int code, Datum arg);
static void put_name(char *target, size_t size, const char *name);
static void begin_change(CsProgressSlot *slot);
static void end_change(CsProgressSlot *slot);
static void start_phase(CsProgressSlot *slot, CsProgressPhase phase, int64 total);
static void sample(void);
static void look(CsProgressSlot *slot);
static void run_watched(QueryDesc *query, CS_EXECUTOR_RUN_PARAMETERS);
static void run_next(QueryDesc *query, CS_EXECUTOR_RUN_PARAMETERS);
static bool is_expected(const CsProgressSlot *slot, const QueryDesc *query);
static void watch(CsProgressSlot *slot, const uint64 *processed);

void
cs_progress_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	next_shmem_request = shmem_request_hook;
	shmem_request_hook = request_memory;
	next_shmem_startup = shmem_startup_hook;
	shmem_startup_hook = set_up_memory;
	next_executor_run = ExecutorRun_hook;
	ExecutorRun_hook = run_watched;
}

CsProgressSlot *
cs_progress_begin(const CsSync *sync, int64 run_id, bool dry_run, TimestampTz started_at)
{
	CsProgressSlot *slot;

	if (slots == NULL)
		return NULL;
	prepare_process();
	slot = take_slot();
	if (slot == NULL)
		return NULL;
	begin_change(slot);
	memset(&slot->shown, 0, sizeof(slot->shown));
	slot->shown.run_id = run_id;
	slot->shown.pid = MyProcPid;
	slot->shown.database = MyDatabaseId;
	slot->shown.owner = sync->owner;
	slot->shown.dry_run = dry_run;
	slot->shown.started_at = started_at;
	put_name(slot->shown.sync, sizeof(slot->shown.sync), sync->name);
	slot->sync_id = sync->sync_id;
	slot->outer = innermost;
	start_phase(slot, CS_PROGRESS_PREPARING, -1);
	end_change(slot);
	innermost = slot;
	if (slot->outer == NULL)
		enable_timeout_every(timer,
							 TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SAMPLE_INTERVAL),
							 SAMPLE_INTERVAL);
	return slot;
}

/* Those that it ran within stay; those within it can't, whatever became of them. */
void
cs_progress_end(int64 sync_id)
{
	bool is_here = false;

	for (CsProgressSlot *slot = innermost; slot; slot = slot->outer)
		is_here |= slot->sync_id == sync_id;
	while (is_here)
	{
		is_here = innermost->sync_id != sync_id;
		release_innermost();
	}
}

void
cs_progress_phase(CsProgressSlot *slot, CsProgressPhase phase, int64 total)
{
	if (slot == NULL)
		return;
	begin_change(slot);
	start_phase(slot, phase, total);
	end_change(slot);
}

void
cs_progress_read_from(CsProgressSlot *slot, const CsProgressSource *source)
{
	if (slot == NULL)
		return;
	begin_change(slot);
	start_phase(slot, CS_PROGRESS_READING, -1);
	slot->source = *source;
	end_change(slot);
}

void
cs_progress_set_read(CsProgressSlot *slot, int64 records, int64 bytes)
{
	TimestampTz now;

	if (slot == NULL)
		return;
	now = GetCurrentTimestamp();
	begin_change(slot);
	slot->shown.records_read = slot->shown.records_done = records;
	slot->shown.bytes_read = bytes;
	slot->shown.changed_at = now;
	end_change(slot);
}

void
cs_progress_add(CsProgressSlot *slot, int64 records)
{
	TimestampTz now;

	if (slot == NULL)
		return;
	now = GetCurrentTimestamp();
	begin_change(slot);
	slot->done += records;
	slot->shown.records_done = slot->done;
	slot->shown.changed_at = now;
	end_change(slot);
}

void
cs_progress_expect_statement(CsProgressSlot *slot)
{
	if (slot)
		slot->expected_within = GetCurrentSubTransactionId();
}

int
cs_progress_slot_count(void)
{
	return slots ? MaxBackends : 0;
}

bool
cs_progress_get(int i, CsProgress *progress)
{
	const CsProgressSlot *slot = &slots[i];

	for (;;)
	{
		uint32 before = slot->changes;

		pg_read_barrier();
		memcpy(progress, &slot->shown, sizeof(*progress));
		pg_read_barrier();
		if (before == slot->changes && before % 2 == 0)
			return progress->run_id != 0;
		CHECK_FOR_INTERRUPTS();
	}
}

const char *
cs_progress_phase_name(CsProgressPhase phase)
{
	static const char *const names[] = {
		"preparing", "reading",	  "waiting",  "deduplicating", "comparing",	 "deleting",
		"updating",	 "inserting", "tracking", "logging",	   "committing", "undoing",
	};

	return names[phase];
}

static void
request_memory(void)
{
	if (next_shmem_request)
		next_shmem_request();
	RequestAddinShmemSpace(mul_size(MaxBackends, sizeof(CsProgressSlot)));
}

/* At the server's start, and again after a crash: no run survives one. */
static void
set_up_memory(void)
{
	bool found;

	if (next_shmem_startup)
		next_shmem_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	slots =
		ShmemInitStruct("censync progress", mul_size(MaxBackends, sizeof(CsProgressSlot)), &found);
	if (!found)
	{
		memset(slots, 0, mul_size(MaxBackends, sizeof(CsProgressSlot)));
		for (int i = 0; i < MaxBackends; i++)
			pg_atomic_init_u32(&slots[i].taken_by, 0);
	}
	LWLockRelease(AddinShmemInitLock);
}

static void
prepare_process(void)
{
	if (prepared)
		return;
	timer = RegisterTimeout(USER_TIMEOUT, sample);
	before_shmem_exit(release_all, 0);
	prepared = true;
}

/* As many slots as backends: they only run out when runs run within runs. */
static CsProgressSlot *
take_slot(void)
{
	for (int i = 0; i < MaxBackends; i++)
	{
		CsProgressSlot *slot = &slots[(i + MyProcPid) % MaxBackends];
		uint32 nobody = 0;

		if (pg_atomic_compare_exchange_u32(&slot->taken_by, &nobody, MyProcPid))
			return slot;
	}
	return NULL;
}

static void
release_innermost(void)
{
	CsProgressSlot *slot = innermost;

	innermost = slot->outer;
	if (innermost == NULL)
		disable_timeout(timer, false);
	begin_change(slot);
	slot->shown.run_id = 0;
	end_change(slot);
	pg_write_barrier();
	pg_atomic_write_u32(&slot->taken_by, 0);
}

/* Before the transaction's memory goes, which the slots point into. */
static void
release_all(int code, Datum arg)
{
	while (innermost)
		release_innermost();
}

/* Cut at a character's boundary. */
static void
put_name(char *target, size_t size, const char *name)
{
	size_t len = pg_mbcliplen(name, (int) strlen(name), (int) size - 1);

	memcpy(target, name, len);
	target[len] = '\0';
}

/* What stands between these two must not be able to fail.  A signal handler of this process that finds
 * the counter odd has interrupted a change, and leaves the slot alone. */
static void
begin_change(CsProgressSlot *slot)
{
	slot->changes++;
	pg_write_barrier();
}

static void
end_change(CsProgressSlot *slot)
{
	pg_write_barrier();
	slot->changes++;
}

static void
start_phase(CsProgressSlot *slot, CsProgressPhase phase, int64 total)
{
	bool counts = phase == CS_PROGRESS_READING || phase == CS_PROGRESS_DELETING ||
				  phase == CS_PROGRESS_UPDATING || phase == CS_PROGRESS_INSERTING;

	slot->source = (CsProgressSource){ 0 };
	slot->processed = NULL;
	slot->done = 0;
	slot->expected_within = InvalidSubTransactionId;
	slot->shown.phase = phase;
	slot->shown.phase_started_at = slot->shown.changed_at = GetCurrentTimestamp();
	slot->shown.records_done = counts ? 0 : -1;
	slot->shown.records_total = total;
}

/* In a signal handler. */
static void
sample(void)
{
	CsProgressSlot *slot = innermost;

	if (slot == NULL || slot->changes % 2 != 0)
		return;
	if (slot->source.records || slot->processed)
		look(slot);
}

static void
look(CsProgressSlot *slot)
{
	const CsProgressSource *source = &slot->source;
	CsProgress was = slot->shown;
	CsProgress now = was;

	if (source->records)
	{
		now.records_read = Max(now.records_read, *source->records);
		now.bytes_read = Max(now.bytes_read, *source->bytes);
		now.records_total = *source->total > 0 ? *source->total : -1;
		if (source->limit >= 0)
			now.records_read = Min(now.records_read, source->limit);
		if (source->limit >= 0 && now.records_total > source->limit)
			now.records_total = source->limit;
		now.records_done = now.records_read;
	}
	else
		now.records_done = slot->done + (int64) *slot->processed;
	if (now.records_done == was.records_done && now.bytes_read == was.bytes_read &&
		now.records_total == was.records_total)
		return;
	now.changed_at = GetCurrentTimestamp();
	begin_change(slot);
	slot->shown = now;
	end_change(slot);
}

/* Every query of the server comes by here. */
static void
run_watched(QueryDesc *query, CS_EXECUTOR_RUN_PARAMETERS)
{
	CsProgressSlot *slot = innermost;

	if (slot == NULL || !is_expected(slot, query))
	{
		run_next(query, CS_EXECUTOR_RUN_ARGUMENTS);
		return;
	}
	watch(slot, &query->estate->es_processed);
	PG_TRY();
	{
		run_next(query, CS_EXECUTOR_RUN_ARGUMENTS);
	}
	PG_FINALLY();
	{
		watch(slot, NULL);
	}
	PG_END_TRY();
}

static void
run_next(QueryDesc *query, CS_EXECUTOR_RUN_PARAMETERS)
{
	if (next_executor_run)
		next_executor_run(query, CS_EXECUTOR_RUN_ARGUMENTS);
	else
		standard_ExecutorRun(query, CS_EXECUTOR_RUN_ARGUMENTS);
}

static bool
is_expected(const CsProgressSlot *slot, const QueryDesc *query)
{
	return slot->expected_within != InvalidSubTransactionId && query->operation != CMD_SELECT &&
		   slot->expected_within == GetCurrentSubTransactionId();
}

static void
watch(CsProgressSlot *slot, const uint64 *processed)
{
	slot->expected_within = InvalidSubTransactionId;
	begin_change(slot);
	slot->processed = processed;
	end_change(slot);
}
