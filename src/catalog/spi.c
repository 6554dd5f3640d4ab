/*
 * spi.c
 *		Statements on the extension's own tables, with its own rights.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "catalog/spi.h"

static uint64 execute(const char *sql, CsArgs *args, bool read_only);
static uint64 check_result(int rc);

void
cs_catalog_begin(CsCatalogAccess *access)
{
	access->caller = CurrentMemoryContext;
	cs_user_switch_to_catalog(&access->user);
	access->pushed = !ActiveSnapshotSet();
	if (access->pushed)
		PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
}

void
cs_catalog_end(CsCatalogAccess *access)
{
	SPI_finish();
	if (access->pushed)
		PopActiveSnapshot();
	cs_user_restore(&access->user);
	MemoryContextSwitchTo(access->caller);
}

void
cs_args_add(CsArgs *args, Oid type, Datum value, bool isnull)
{
	Assert(args->count < CS_MAX_ARGS);
	args->types[args->count] = type;
	args->values[args->count] = value;
	args->nulls[args->count] = isnull ? 'n' : ' ';
	args->count++;
}

void
cs_args_add_text(CsArgs *args, const char *value)
{
	cs_args_add(args, TEXTOID, value ? CStringGetTextDatum(value) : (Datum) 0, value == NULL);
}

void
cs_args_add_int8(CsArgs *args, int64 value)
{
	cs_args_add(args, INT8OID, Int64GetDatum(value), false);
}

uint64
cs_catalog_execute(const char *sql, CsArgs *args)
{
	return execute(sql, args, false);
}

bool
cs_catalog_hits(const char *sql, CsArgs *args)
{
	CsCatalogAccess access;
	bool hits;

	cs_catalog_begin(&access);
	hits = cs_catalog_execute_latest(sql, args) > 0;
	cs_catalog_end(&access);
	return hits;
}

uint64
cs_catalog_select_latest(const char *sql, CsArgs *args)
{
	uint64 rows;

	PushActiveSnapshot(GetLatestSnapshot());
	rows = execute(sql, args, true);
	PopActiveSnapshot();
	return rows;
}

uint64
cs_catalog_execute_latest(const char *sql, CsArgs *args)
{
	SPIPlanPtr plan = SPI_prepare(sql, args ? args->count : 0, args ? args->types : NULL);

	if (plan == NULL)
		return check_result(SPI_result);
	return check_result(SPI_execute_snapshot(plan, args ? args->values : NULL,
											 args ? args->nulls : NULL, GetLatestSnapshot(),
											 InvalidSnapshot, false, true, 0));
}

char *
cs_catalog_text(CsCatalogAccess *access, uint64 row, int col)
{
	char *value = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, col);

	return value ? MemoryContextStrdup(access->caller, value) : NULL;
}

Datum
cs_catalog_datum(uint64 row, int col, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, col, isnull);
}

/* read_only: with the active snapshot. */
static uint64
execute(const char *sql, CsArgs *args, bool read_only)
{
	return check_result(SPI_execute_with_args(sql, args ? args->count : 0,
											  args ? args->types : NULL, args ? args->values : NULL,
											  args ? args->nulls : NULL, read_only, 0));
}

static uint64
check_result(int rc)
{
	if (rc < 0)
		elog(ERROR, "statement on the extension's tables failed: %s", SPI_result_code_string(rc));
	return SPI_processed;
}
