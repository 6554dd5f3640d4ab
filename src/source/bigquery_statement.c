/*
 * bigquery_statement.c
 *		What BigQuery is asked: its dialect.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "source/bigquery.h"

/* Digits of NUMERIC, and of those numbers that BIGNUMERIC has anyway. */
#define NUMERIC_BEFORE 29
#define NUMERIC_BEHIND 9
#define BIGNUMERIC_DIGITS 38

static bool writes(const CsColumn *column, Oid type, Datum value);
static void append_constant(StringInfo sql, Oid type, Datum value);
static void append_numeric(StringInfo sql, Datum value);
static void append_text(StringInfo sql, const char *text);

static const CsMomentForms moments = {
	.date = { "DATE '", "'" },
	.timestamp = { "DATETIME '", "'" },
	.timestamptz = { "TIMESTAMP '", "+00:00'" },
};

const CsDialect cs_bq_dialect = {
	.open_quote = '`',
	.close_quote = '`',
	.limit = CS_LIMIT_BEHIND,
	.wraps_queries = true,
	.scripts = true,
	.compares = cs_warehouse_compares,
	.writes = writes,
	.append_constant = append_constant,
};

/* As far as it is known without having looked: of a view, all is queried. */
char *
cs_bq_statement(const CsReadSpec *spec)
{
	StringInfoData text;
	const char *from = spec->object ? psprintf("`%s`", spec->object) : NULL;
	ListCell *lc;

	if (spec->query || cs_sql_narrows(&cs_bq_dialect, spec, NULL, 0))
		return cs_warehouse_statement(&cs_bq_dialect, spec, from);
	initStringInfo(&text);
	appendStringInfo(&text, "tabledata.list %s selectedFields=", spec->object);
	foreach (lc, spec->wanted)
		appendStringInfo(&text, "%s%s", lc == list_head(spec->wanted) ? "" : ",",
						 (char *) lfirst(lc));
	return text.data;
}

/* Decimals of any column are compared as the wider of both types. */
static bool
writes(const CsColumn *column, Oid type, Datum value)
{
	int before;
	int behind;

	if (type != NUMERICOID)
		return cs_warehouse_writes(column, type, value);
	return cs_numeric_digits(value, &before, &behind) && before <= BIGNUMERIC_DIGITS &&
		   behind <= BIGNUMERIC_DIGITS;
}

static void
append_constant(StringInfo sql, Oid type, Datum value)
{
	if (type == NUMERICOID)
		append_numeric(sql, value);
	else if (!cs_warehouse_append(sql, type, value, &moments))
		append_text(sql, cs_warehouse_text(value));
}

static void
append_numeric(StringInfo sql, Datum value)
{
	int before = 0;
	int behind = 0;

	(void) cs_numeric_digits(value, &before, &behind);
	appendStringInfoString(
		sql, before <= NUMERIC_BEFORE && behind <= NUMERIC_BEHIND ? "NUMERIC '" : "BIGNUMERIC '");
	(void) cs_warehouse_append(sql, NUMERICOID, value, &moments);
	appendStringInfoChar(sql, '\'');
}

/* Neither two quotes nor a line's end may stand in one there. */
static void
append_text(StringInfo sql, const char *text)
{
	appendStringInfoChar(sql, '\'');
	for (; *text; text++)
	{
		if (*text == '\n')
			appendStringInfoString(sql, "\\n");
		else if (*text == '\r')
			appendStringInfoString(sql, "\\r");
		else if (*text == '\'' || *text == '\\')
			appendStringInfo(sql, "\\%c", *text);
		else
			appendStringInfoChar(sql, *text);
	}
	appendStringInfoChar(sql, '\'');
}
