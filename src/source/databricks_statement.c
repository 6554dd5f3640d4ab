/*
 * databricks_statement.c
 *		What Databricks is asked: its dialect.
 *
 * In the result of a query the service cuts moments to milliseconds: there,
 * bounds are moved by one, and equality is not asked for.  Those of an object are
 * whole.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "source/databricks.h"

static void append_constant(StringInfo sql, Oid type, Datum value);
static void append_text(StringInfo sql, const char *text);

static const CsMomentForms moments = {
	.date = { "DATE '", "'" },
	.timestamp = { "TIMESTAMP_NTZ '", "'" },
	.timestamptz = { "TIMESTAMP '", "+00:00'" },
};

const CsDialect cs_databricks_object_dialect = {
	.open_quote = '`',
	.close_quote = '`',
	.limit = CS_LIMIT_BEHIND,
	.compares = cs_warehouse_compares,
	.writes = cs_warehouse_writes,
	.append_constant = append_constant,
};

static const CsDialect query_dialect = {
	.open_quote = '`',
	.close_quote = '`',
	.limit = CS_LIMIT_BEHIND,
	.wraps_queries = true,
	.scripts = true,
	.compares = cs_warehouse_compares_rounded,
	.writes = cs_warehouse_writes,
	.append_constant = append_constant,
	.slack = 1000,
};

const CsDialect *
cs_databricks_dialect(const CsReadSpec *spec)
{
	return spec->query ? &query_dialect : &cs_databricks_object_dialect;
}

bool
cs_databricks_takes(const CsReadSpec *spec, const CsColumn *column, CsComparison comparison,
					Oid type, bool *exactly)
{
	return cs_dialect_takes(cs_databricks_dialect(spec), spec, column, comparison, type, exactly);
}

char *
cs_databricks_statement(const CsReadSpec *spec)
{
	return cs_warehouse_statement(cs_databricks_dialect(spec), spec, cs_databricks_from(spec));
}

const char *
cs_databricks_from(const CsReadSpec *spec)
{
	return spec->object ? cs_sql_object_name(&cs_databricks_object_dialect, spec->object) : NULL;
}

static void
append_constant(StringInfo sql, Oid type, Datum value)
{
	if (!cs_warehouse_append(sql, type, value, &moments))
		append_text(sql, cs_warehouse_text(value));
}

/* Two quotes are none there; and before anything else, variables are put in for ${...}. */
static void
append_text(StringInfo sql, const char *text)
{
	appendStringInfoChar(sql, '\'');
	for (; *text; text++)
	{
		if (*text == '$')
		{
			appendStringInfoString(sql, "\\u0024");
			continue;
		}
		if (*text == '\'' || *text == '\\')
			appendStringInfoChar(sql, '\\');
		appendStringInfoChar(sql, *text);
	}
	appendStringInfoChar(sql, '\'');
}
