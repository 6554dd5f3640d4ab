/*
 * postgres_dialect.c
 *		How PostgreSQL and Redshift want to be asked.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/pg_locale.h"

#include "base/user.h"
#include "source/postgres_dialect.h"

static bool postgres_compares(const CsColumn *column, CsComparison comparison, Oid type,
							  bool *exactly);
static void append_postgres_constant(StringInfo sql, Oid type, Datum value);

const CsDialect cs_postgres_dialect = {
	.open_quote = '"',
	.close_quote = '"',
	.limit = CS_LIMIT_BEHIND,
	.wraps_queries = true,
	.compares = postgres_compares,
	.append_constant = append_postgres_constant,
};

static bool
is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

/* Types that compare the same everywhere. */
static bool
postgres_compares(const CsColumn *column, CsComparison comparison, Oid type, bool *exactly)
{
	Oid base = getBaseType(column->typid);

	*exactly = true;
	if (is_integer(base) && is_integer(type))
		return true;
	if (base != type)
		return false;
	switch (type)
	{
		case BOOLOID:
		case NUMERICOID:
		case FLOAT4OID:
		case FLOAT8OID:
		case OIDOID:
		case DATEOID:
		case TIMEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case UUIDOID:
			return true;
		default:
			return false;
	}
}

static void
append_postgres_constant(StringInfo sql, Oid type, Datum value)
{
	Oid output;
	bool is_varlena;
	int nest = NewGUCNestLevel();

	cs_user_set_canonical_text();
	getTypeOutputInfo(type, &output, &is_varlena);
	cs_sql_append_text(sql, &cs_postgres_dialect, OidOutputFunctionCall(output, value));
	appendStringInfo(sql, "::%s", format_type_extended(type, -1, FORMAT_TYPE_FORCE_QUALIFY));
	AtEOXact_GUC(false, nest);
}
