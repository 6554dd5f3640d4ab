/*
 * snowflake_statement.c
 *		What Snowflake is asked: its dialect.
 *
 * Moments have nanoseconds there, and are rounded here: bounds are moved by a
 * microsecond.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "source/snowflake.h"

static void append_constant(StringInfo sql, Oid type, Datum value);
static const char *check_object(const char *object);
static const char *skip_part(const char *p);

/* With formats: those that are left out are up to settings there. */
static const CsMomentForms moments = {
	.date = { "TO_DATE('", "', 'YYYY-MM-DD')" },
	.timestamp = { "TO_TIMESTAMP_NTZ('", "', 'YYYY-MM-DD HH24:MI:SS.FF6')" },
	.timestamptz = { "TO_TIMESTAMP_TZ('", " +00:00', 'YYYY-MM-DD HH24:MI:SS.FF6 TZH:TZM')" },
};

const CsDialect cs_snowflake_dialect = {
	.open_quote = '"',
	.close_quote = '"',
	.limit = CS_LIMIT_BEHIND,
	.wraps_queries = true,
	.scripts = true,
	.backslash_escapes = true,
	.compares = cs_warehouse_compares_rounded,
	.writes = cs_warehouse_writes,
	.append_constant = append_constant,
	.slack = 1,
};

char *
cs_snowflake_statement(const CsReadSpec *spec)
{
	return cs_warehouse_statement(&cs_snowflake_dialect, spec, cs_snowflake_from(spec));
}

const char *
cs_snowflake_from(const CsReadSpec *spec)
{
	return spec->object ? check_object(spec->object) : NULL;
}

static void
append_constant(StringInfo sql, Oid type, Datum value)
{
	if (!cs_warehouse_append(sql, type, value, &moments))
		cs_sql_append_text(sql, &cs_snowflake_dialect, cs_warehouse_text(value));
}

/* [database.][schema.]name as it is written in Snowflake's SQL; nothing else, so that it can't be more
 * than a name. */
static const char *
check_object(const char *object)
{
	const char *p = skip_part(object);
	int parts = 1;

	while (p && *p == '.' && parts++ < 3)
		p = skip_part(p + 1);
	if (p == NULL || *p != '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_NAME),
						errmsg("\"%s\" is no name of a table of Snowflake", object),
						errhint("Write database.schema.table, schema.table or table, in double "
								"quotes where Snowflake's SQL needs them.")));
	return object;
}

/* Behind it; NULL: it is none. */
static const char *
skip_part(const char *p)
{
	const char *begin = p;

	if (*p == '"')
	{
		for (p++; *p != '\0' && (*p != '"' || p[1] == '"'); p++)
			p += *p == '"';
		return *p == '"' && p > begin + 1 ? p + 1 : NULL;
	}
	while (isalnum((unsigned char) *p) || *p == '_' || *p == '$' || IS_HIGHBIT_SET(*p))
		p++;
	return p > begin && !isdigit((unsigned char) *begin) ? p : NULL;
}
