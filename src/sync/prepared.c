/*
 * prepared.c
 *		A statement of a run that is executed many times over few rows.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "utils/memutils.h"

#include "sync/prepared.h"

/* A plan is made for the tables as they are, and this run changes them: so often it serves. */
#define MAX_USES 1024

struct CsPrepared
{
	const char *sql;
	SPIPlanPtr plan; /* kept by SPI, so that it is invalidated; NULL: to be made */
	int uses;
	MemoryContextCallback end; /* frees the plan with the context of the statement */
};

static void make_plan(CsPrepared *statement);
static void free_plan(void *statement);

CsPrepared *
cs_prepared_create(const char *sql)
{
	CsPrepared *statement = palloc0(sizeof(CsPrepared));

	statement->sql = sql;
	statement->end.func = free_plan;
	statement->end.arg = statement;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &statement->end);
	return statement;
}

uint64
cs_prepared_execute(CsPrepared *statement, DestReceiver *dest)
{
	SPIExecuteOptions options = { 0 };
	int rc;

	if (statement->uses >= MAX_USES)
		cs_prepared_replan(statement);
	if (statement->plan == NULL)
		make_plan(statement);
	statement->uses++;
	options.dest = dest;
	rc = SPI_execute_plan_extended(statement->plan, &options);
	if (rc < 0)
		elog(ERROR, "prepared statement of a run failed: %s", SPI_result_code_string(rc));
	return SPI_processed;
}

void
cs_prepared_replan(CsPrepared *statement)
{
	free_plan(statement);
	statement->uses = 0;
}

static void
make_plan(CsPrepared *statement)
{
	SPIPlanPtr plan = SPI_prepare(statement->sql, 0, NULL);

	if (plan == NULL)
		elog(ERROR, "could not prepare a statement of a run: %s",
			 SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	statement->plan = plan;
}

static void
free_plan(void *statement)
{
	CsPrepared *prepared = statement;
	SPIPlanPtr plan = prepared->plan;

	prepared->plan = NULL;
	if (plan)
		SPI_freeplan(plan);
}
