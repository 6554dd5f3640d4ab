/*
 * mysql.c
 *		MySQL and MariaDB as a source: how their SQL is written.  Their driver is
 *		a module of its own, src/driver_mysql.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "source/mysql.h"
#include "source/option_table.h"
#include "source/sql_statement.h"

/* Whatever is compared with it, and by whatever operator: true. */
#define COMPARES_TRUE "ALL (SELECT 1 FROM DUAL WHERE 1 = 0)"

/* Digits of a decimal there, before and behind its point. */
#define MAX_DIGITS 65
#define MAX_SCALE 30

static bool mysql_compares(const CsColumn *column, CsComparison comparison, Oid type,
						   bool *exactly);
static bool mysql_tells_null(const CsColumn *column);
static void mysql_append_constant(StringInfo sql, Oid type, Datum value);
static void append_numeric(StringInfo sql, Datum value);
static void append_moment(StringInfo sql, const char *name, Timestamp value, bool is_date);
static void append_string(StringInfo sql, Datum value);
static bool is_moment(Oid type);

static const CsDialect mysql_dialect = {
	.open_quote = '`',
	.close_quote = '`',
	.limit = CS_LIMIT_BEHIND,
	.wraps_queries = true,
	.backslash_escapes = true,
	.compares = mysql_compares,
	.tells_null = mysql_tells_null,
	.append_constant = mysql_append_constant,
};

const CsSqlSource cs_source_mysql = {
	.base = CS_SQL_SOURCE("mysql", CS_FOR_MYSQL),
	.dialect = &mysql_dialect,
	.driver = NULL,
	.library = "censync_mysql",
	.package = "libmariadb-dev",
	.port = 3306,
};

/*
 * Numbers mean the same on both sides, but for floats (compared with decimals, there) and for years
 * (as which smallint arrives: there 50 is 2050).  Equal text is equal in every collation, and much that
 * is not equal is, too.  A date may be none here.
 */
static bool
mysql_compares(const CsColumn *column, CsComparison comparison, Oid type, bool *exactly)
{
	*exactly = cs_sql_is_integer(type);
	switch (column->typid)
	{
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
			return cs_sql_is_integer(type) || type == NUMERICOID;
		case TEXTOID:
		case VARCHAROID:
			return comparison == CS_EQUAL && (type == TEXTOID || type == VARCHAROID);
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return type == column->typid;
		default:
			return false;
	}
}

/* What is a zero date there may be NULL here. */
static bool
mysql_tells_null(const CsColumn *column)
{
	return !is_moment(column->typid);
}

static void
mysql_append_constant(StringInfo sql, Oid type, Datum value)
{
	if (cs_sql_append_integer(sql, type, value))
		return;
	switch (type)
	{
		case NUMERICOID:
			append_numeric(sql, value);
			break;
		case DATEOID:
			append_moment(sql, "DATE",
						  DATE_NOT_FINITE(DatumGetDateADT(value))
							  ? DT_NOEND
							  : date2timestamp_no_overflow(DatumGetDateADT(value)),
						  true);
			break;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			append_moment(sql, "TIMESTAMP", DatumGetTimestamp(value), false);
			break;
		default:
			append_string(sql, value);
	}
}

/* Those that a decimal there can have; of others nothing is said. */
static void
append_numeric(StringInfo sql, Datum value)
{
	char *text = DatumGetCString(DirectFunctionCall1(numeric_out, value));
	char *point = strchr(text, '.');

	if (strspn(text, "-.0123456789") != strlen(text) ||
		(point ? point - text : strlen(text)) > MAX_DIGITS - MAX_SCALE ||
		(point && strlen(point + 1) > MAX_SCALE))
		appendStringInfoString(sql, COMPARES_TRUE);
	else
		appendStringInfoString(sql, text);
}

/* From year 1 to 9999; of others nothing is said. */
static void
append_moment(StringInfo sql, const char *name, Timestamp value, bool is_date)
{
	struct pg_tm tm;
	fsec_t fsec;

	if (TIMESTAMP_NOT_FINITE(value) || timestamp2tm(value, NULL, &tm, &fsec, NULL, NULL) != 0 ||
		tm.tm_year < 1 || tm.tm_year > 9999)
	{
		appendStringInfoString(sql, COMPARES_TRUE);
		return;
	}
	appendStringInfo(sql, "%s'%04d-%02d-%02d", name, tm.tm_year, tm.tm_mon, tm.tm_mday);
	if (!is_date)
		appendStringInfo(sql, " %02d:%02d:%02d.%06d", tm.tm_hour, tm.tm_min, tm.tm_sec, (int) fsec);
	appendStringInfoChar(sql, '\'');
}

/* As bytes: whether backslashes escape is up to a setting there. */
static void
append_string(StringInfo sql, Datum value)
{
	const char *bytes = TextDatumGetCString(value);

	appendStringInfoString(sql, "_utf8mb4 X'");
	for (bytes = pg_server_to_any(bytes, (int) strlen(bytes), PG_UTF8); *bytes; bytes++)
		appendStringInfo(sql, "%02X", (unsigned char) *bytes);
	appendStringInfoChar(sql, '\'');
}

static bool
is_moment(Oid type)
{
	return type == DATEOID || type == TIMESTAMPOID || type == TIMESTAMPTZOID;
}
