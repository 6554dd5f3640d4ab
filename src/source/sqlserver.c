/*
 * sqlserver.c
 *		SQL Server and Azure SQL as sources: their dialect, and their row of the
 *		registry.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "source/option_table.h"
#include "source/sqlserver.h"

#define ROUNDING 1000 /* microseconds */

static bool compares(const CsColumn *column, CsComparison comparison, Oid type, bool *exactly);
static void append_constant(StringInfo sql, Oid type, Datum value);
static void append_date(StringInfo sql, DateADT date);
static void append_timestamp(StringInfo sql, Timestamp value, const char *type, const char *zone);

/* No query can be wrapped: ORDER BY, WITH and a batch of statements can't stand in a subquery. */
const CsDialect cs_sqlserver_dialect = {
	.open_quote = '[',
	.close_quote = ']',
	.limit = CS_LIMIT_TOP,
	.compares = compares,
	.append_constant = append_constant,
};

const CsSqlSource cs_source_sqlserver = { CS_SQL_SOURCE("sqlserver", CS_FOR_SQLSERVER),
										  &cs_sqlserver_dialect,
										  NULL,
										  "censync_tds",
										  "freetds-dev",
										  1433 };

/*
 * Only what both sides certainly see alike.  Texts that are equal here are equal there, too, though its collation
 * may ignore case; those without a collation are ntext or xml, which cannot be compared.  Decimals here may have
 * more digits than a constant there.
 * Of dates and times, which have other limits and were rounded, a lower bound is put low enough.
 */
static bool
compares(const CsColumn *column, CsComparison comparison, Oid type, bool *exactly)
{
	Oid typid = getBaseType(column->typid);
	bool is_equality = comparison == CS_EQUAL || comparison == CS_NOT_EQUAL;

	*exactly = true;
	if (cs_sql_is_integer(typid) && cs_sql_is_integer(type))
		return true;
	if (typid != type)
		return false;
	switch (typid)
	{
		case BOOLOID:
		case UUIDOID: /* have another order there */
			return is_equality;
		case TEXTOID:
			*exactly = false;
			return comparison == CS_EQUAL && OidIsValid(column->collation);
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			*exactly = false;
			return comparison == CS_GREATER_EQUAL;
		default:
			return false;
	}
}

static void
append_constant(StringInfo sql, Oid type, Datum value)
{
	if (cs_sql_append_integer(sql, type, value))
		return;
	switch (type)
	{
		case BOOLOID:
			appendStringInfoString(sql, DatumGetBool(value) ? "1" : "0");
			break;
		case TEXTOID:
			appendStringInfoChar(sql, 'N');
			cs_sql_append_text(sql, &cs_sqlserver_dialect, TextDatumGetCString(value));
			break;
		case UUIDOID:
			appendStringInfo(sql, "CAST(N'%s' AS uniqueidentifier)",
							 DatumGetCString(DirectFunctionCall1(uuid_out, value)));
			break;
		case DATEOID:
			append_date(sql, DatumGetDateADT(value));
			break;
		case TIMESTAMPOID:
			append_timestamp(sql, DatumGetTimestamp(value), "datetime2(7)", "");
			break;
		case TIMESTAMPTZOID:
			append_timestamp(sql, DatumGetTimestamp(value), "datetimeoffset(7)", " +00:00");
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("SQL Server has no constants of type %s", format_type_be(type))));
	}
}

/* From 0001-01-01 to 9999-12-31. */
static void
append_date(StringInfo sql, DateADT date)
{
	int first = date2j(1, 1, 1) - POSTGRES_EPOCH_JDATE;
	int last = date2j(9999, 12, 31) - POSTGRES_EPOCH_JDATE;
	int year;
	int month;
	int day;

	j2date(Max(first, Min(last, date)) + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	appendStringInfo(sql, "CAST(N'%04d-%02d-%02d' AS date)", year, month, day);
}

/* Less what a value can have gained when it was rounded: a datetime, half a millisecond. */
static void
append_timestamp(StringInfo sql, Timestamp value, const char *type, const char *zone)
{
	Timestamp first = (int64) (date2j(1, 1, 1) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY;
	Timestamp last =
		(int64) (date2j(10000, 1, 1) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY - USECS_PER_SEC;
	struct pg_tm tm;
	fsec_t fsec;

	value = Max(Min(value, last), first + ROUNDING) - ROUNDING;
	if (timestamp2tm(value, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
	appendStringInfo(sql, "CAST(N'%04d-%02d-%02d %02d:%02d:%02d.%06d%s' AS %s)", tm.tm_year,
					 tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int) fsec, zone,
					 type);
}
