/*
 * rockset_statement.c
 *		What Rockset is asked of a collection: its dialect.
 *
 * What a document lacks is undefined there: a bound leaves out what is certainly
 * below it, and whether something is null is not asked.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "source/rockset.h"

static bool compares(const CsColumn *column, CsComparison comparison, Oid type, bool *exactly);
static bool tells_null(const CsColumn *column);
static void append_constant(StringInfo sql, Oid type, Datum value);

static const CsMomentForms moments = {
	.date = { "PARSE_DATE_ISO8601('", "')" },
	.timestamp = { "PARSE_DATETIME_ISO8601('", "')" },
	.timestamptz = { "PARSE_TIMESTAMP_ISO8601('", "Z')" },
	.separator = 'T',
};

const CsDialect cs_rockset_dialect = {
	.open_quote = '"',
	.close_quote = '"',
	.limit = CS_LIMIT_BEHIND,
	.compares = compares,
	.writes = cs_warehouse_writes,
	.append_constant = append_constant,
	.tells_null = tells_null,
	.lacks_values = true,
};

/* Decimals are none there: what is shown as one may be anything. */
static bool
compares(const CsColumn *column, CsComparison comparison, Oid type, bool *exactly)
{
	return type != NUMERICOID && cs_warehouse_compares(column, comparison, type, exactly);
}

static bool
tells_null(const CsColumn *column pg_attribute_unused())
{
	return false;
}

static void
append_constant(StringInfo sql, Oid type, Datum value)
{
	if (!cs_warehouse_append(sql, type, value, &moments))
		cs_sql_append_text(sql, &cs_rockset_dialect, cs_warehouse_text(value));
}
