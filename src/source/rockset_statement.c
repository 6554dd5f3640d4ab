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
static void append_moment(StringInfo sql, const char *function, Oid type, Datum value,
						  const char *zone);

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

bool
cs_rockset_takes(const CsReadSpec *spec, const CsColumn *column, CsComparison comparison, Oid type,
				 bool *exactly)
{
	return spec->object &&
		   cs_dialect_takes(&cs_rockset_dialect, spec, column, comparison, type, exactly);
}

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
	if (cs_warehouse_append_plain(sql, type, value))
		return;
	switch (type)
	{
		case DATEOID:
			append_moment(sql, "PARSE_DATE_ISO8601", type, value, "");
			break;
		case TIMESTAMPOID:
			append_moment(sql, "PARSE_DATETIME_ISO8601", type, value, "");
			break;
		case TIMESTAMPTZOID:
			append_moment(sql, "PARSE_TIMESTAMP_ISO8601", type, value, "Z");
			break;
		default:
			cs_sql_append_text(sql, &cs_rockset_dialect, cs_warehouse_text(value));
	}
}

static void
append_moment(StringInfo sql, const char *function, Oid type, Datum value, const char *zone)
{
	StringInfoData text;

	initStringInfo(&text);
	cs_warehouse_append_moment(&text, type, value);
	if (type != DATEOID)
		text.data[strlen("2024-01-31")] = 'T';
	appendStringInfo(sql, "%s('%s%s')", function, text.data, zone);
}
