/*
 * clock.c
 *		A clock for the tests of schedules, to be preloaded beside censync: it stands
 *		still, and jumps to when something is due, up to a limit.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/compat.h"

/* While workers run, and at the limit, real time passes in such steps, in ms. */
#define STEP_MS 5

/* In the data directory. */
#define FILE_NAME "censync_test_clock"

PG_MODULE_MAGIC;

typedef struct SharedClock
{
	pg_atomic_uint64 now; /* 0: the real time */
	pg_atomic_uint64 limit;
} SharedClock;

static SharedClock *shared = NULL;
static shmem_request_hook_type next_request = NULL;
static shmem_startup_hook_type next_startup = NULL;

PGDLLEXPORT void _PG_init(void);

static TimestampTz clock_now(void);
static void clock_wait(TimestampTz until, bool busy);
static void write_file(uint64 time);
static uint64 read_file(void);
static void request(void);
static void startup(void);

static CsClock clock_of_tests = { clock_now, clock_wait };

PG_FUNCTION_INFO_V1(test_clock_set);
PG_FUNCTION_INFO_V1(test_clock_run_until);
PG_FUNCTION_INFO_V1(test_clock_now);

void
_PG_init(void)
{
	next_request = shmem_request_hook;
	shmem_request_hook = request;
	next_startup = shmem_startup_hook;
	shmem_startup_hook = startup;
	*find_rendezvous_variable(CS_CLOCK_VARIABLE) = &clock_of_tests;
}

/* SQL: test_clock_set(timestamptz) */
PGDLLEXPORT Datum
test_clock_set(PG_FUNCTION_ARGS)
{
	write_file((uint64) PG_GETARG_TIMESTAMPTZ(0));
	pg_atomic_write_u64(&shared->limit, (uint64) PG_GETARG_TIMESTAMPTZ(0));
	pg_atomic_write_u64(&shared->now, (uint64) PG_GETARG_TIMESTAMPTZ(0));
	PG_RETURN_VOID();
}

/* SQL: test_clock_run_until(timestamptz) */
PGDLLEXPORT Datum
test_clock_run_until(PG_FUNCTION_ARGS)
{
	pg_atomic_write_u64(&shared->limit, (uint64) PG_GETARG_TIMESTAMPTZ(0));
	PG_RETURN_VOID();
}

/* SQL: test_clock_now() */
PGDLLEXPORT Datum
test_clock_now(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	PG_RETURN_TIMESTAMPTZ(clock_now());
}

static TimestampTz
clock_now(void)
{
	TimestampTz now = (TimestampTz) pg_atomic_read_u64(&shared->now);

	return now == 0 ? GetCurrentTimestamp() : now;
}

static void
clock_wait(TimestampTz until, bool busy)
{
	TimestampTz now = (TimestampTz) pg_atomic_read_u64(&shared->now);
	TimestampTz limit = (TimestampTz) pg_atomic_read_u64(&shared->limit);
	bool jumps = now != 0 && !busy && now < limit;

	if (jumps)
		pg_atomic_write_u64(&shared->now, (uint64) Max(now, Min(until, limit)));
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, jumps ? 0 : STEP_MS,
					 cs_wait_event(CS_WAIT_SCHEDULE));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* What was set last outlasts the server. */
static void
write_file(uint64 time)
{
	FILE *file = AllocateFile(FILE_NAME, "w");

	if (file == NULL || fwrite(&time, sizeof(time), 1, file) != 1 || FreeFile(file) != 0)
		ereport(ERROR,
				(errcode_for_file_access(), errmsg("could not write \"%s\": %m", FILE_NAME)));
}

static uint64
read_file(void)
{
	FILE *file = AllocateFile(FILE_NAME, "r");
	uint64 time = 0;

	if (file == NULL || fread(&time, sizeof(time), 1, file) != 1)
		time = 0;
	if (file)
		FreeFile(file);
	return time;
}

static void
request(void)
{
	if (next_request)
		next_request();
	RequestAddinShmemSpace(sizeof(SharedClock));
}

static void
startup(void)
{
	bool found;

	if (next_startup)
		next_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("censync test clock", sizeof(SharedClock), &found);
	if (!found)
	{
		uint64 time = read_file();

		pg_atomic_init_u64(&shared->now, time);
		pg_atomic_init_u64(&shared->limit, time);
	}
	LWLockRelease(AddinShmemInitLock);
}
