/*
 * postgres_dialect.c
 *		How PostgreSQL and Redshift want to be asked.
 *
 * Only comparisons that leave out no row which passes them here are sent:
 * strings have a collation there that nobody here knows.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "base/user.h"
#include "source/postgres_dialect.h"

/* Types that compare in the same way everywhere, and what they are called. */
static const struct
{
	Oid type;
	const char *name;
	bool in_redshift;
} comparable[] = {
	{ BOOLOID, "bool", true },			 { INT2OID, "int2", true },
	{ INT4OID, "int4", true },			 { INT8OID, "int8", true },
	{ NUMERICOID, "numeric", true },	 { FLOAT4OID, "float4", false },
	{ FLOAT8OID, "float8", false },		 { OIDOID, "oid", false },
	{ DATEOID, "date", true },			 { TIMEOID, "time", false },
	{ TIMESTAMPOID, "timestamp", true }, { TIMESTAMPTZOID, "timestamptz", true },
	{ UUIDOID, "uuid", false },
};

static bool postgres_compares(const CsColumn *column, CsComparison comparison, Oid type,
							  bool *exactly);
static bool redshift_compares(const CsColumn *column, CsComparison comparison, Oid type,
							  bool *exactly);
static bool is_comparable(Oid column, Oid type, bool in_redshift);
static void append_postgres_column(StringInfo sql, const CsCondition *condition);
static void append_postgres_constant(StringInfo sql, Oid type, Datum value);
static void append_redshift_constant(StringInfo sql, Oid type, Datum value);
static char *text_of(Oid type, Datum value);
static const char *name_of(Oid type);

const CsDialect cs_postgres_dialect = {
	.open_quote = '"',
	.close_quote = '"',
	.limit = CS_LIMIT_BEHIND,
	.wraps_queries = true,
	.compares = postgres_compares,
	.append_constant = append_postgres_constant,
	.append_column = append_postgres_column,
};

const CsDialect cs_redshift_dialect = {
	.open_quote = '"',
	.close_quote = '"',
	.limit = CS_LIMIT_BEHIND,
	.wraps_queries = true,
	.compares = redshift_compares,
	.append_constant = append_redshift_constant,
};

/* What is the same by its bytes is equal in every collation; what is not may still be in one there. */
static bool
postgres_compares(const CsColumn *column, CsComparison comparison, Oid type, bool *exactly)
{
	Oid base = getBaseType(column->typid);

	*exactly = true;
	if (!cs_sql_is_string(base) || !cs_sql_is_string(type))
		return is_comparable(base, type, false);
	*exactly = comparison == CS_NOT_EQUAL;
	return (comparison == CS_EQUAL || comparison == CS_NOT_EQUAL) &&
		   cs_sql_is_deterministic(column);
}

/* Blanks at the end, and case in some of its collations, do not count there; and text is a type that can't
 * be compared there, shown as text here. */
static bool
redshift_compares(const CsColumn *column, CsComparison comparison, Oid type, bool *exactly)
{
	Oid base = getBaseType(column->typid);

	*exactly = true;
	if (base != VARCHAROID || !cs_sql_is_string(type))
		return is_comparable(base, type, true);
	*exactly = false;
	return comparison == CS_EQUAL && cs_sql_is_deterministic(column);
}

static bool
is_comparable(Oid column, Oid type, bool in_redshift)
{
	if (column != type && !(cs_sql_is_integer(column) && cs_sql_is_integer(type)))
		return false;
	for (int i = 0; i < (int) lengthof(comparable); i++)
		if (comparable[i].type == type)
			return comparable[i].in_redshift || !in_redshift;
	return false;
}

/* A string may be the text of a value of any type there; as text it is compared as here. */
static void
append_postgres_column(StringInfo sql, const CsCondition *condition)
{
	bool string = condition->comparison < CS_IS_NULL && cs_sql_is_string(condition->type);

	cs_sql_append_name(sql, &cs_postgres_dialect, condition->column);
	if (string)
		appendStringInfoString(sql, "::pg_catalog.text");
	if (string && condition->comparison == CS_NOT_EQUAL)
		appendStringInfoString(sql, " COLLATE \"C\"");
}

static void
append_postgres_constant(StringInfo sql, Oid type, Datum value)
{
	cs_sql_append_text(sql, &cs_postgres_dialect, text_of(type, value));
	appendStringInfo(sql, "::pg_catalog.%s", name_of(type));
}

/* Whether a backslash in quotes means itself depends on a setting there. */
static void
append_redshift_constant(StringInfo sql, Oid type, Datum value)
{
	char *text = text_of(type, value);
	char *backslash;

	appendStringInfoChar(sql, '(');
	while ((backslash = strchr(text, '\\')) != NULL)
	{
		*backslash = '\0';
		cs_sql_append_text(sql, &cs_redshift_dialect, text);
		appendStringInfoString(sql, " || chr(92) || ");
		text = backslash + 1;
	}
	cs_sql_append_text(sql, &cs_redshift_dialect, text);
	appendStringInfo(sql, ")::%s", cs_sql_is_string(type) ? "varchar" : name_of(type));
}

static char *
text_of(Oid type, Datum value)
{
	Oid output;
	bool is_varlena;
	char *text;
	int nest = NewGUCNestLevel();

	cs_user_set_canonical_text();
	getTypeOutputInfo(type, &output, &is_varlena);
	text = OidOutputFunctionCall(output, value);
	AtEOXact_GUC(false, nest);
	return text;
}

static const char *
name_of(Oid type)
{
	for (int i = 0; i < (int) lengthof(comparable); i++)
		if (comparable[i].type == type)
			return comparable[i].name;
	return "text";
}
