/*
 * sqlgen.c
 *		Every statement that reads or writes a destination is built here.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "sync/sqlgen.h"
#include "sync/sqlgen_internal.h"

static void append_column(StringInfo sql, const char *alias, const CsMapping *mapping);
static void append_more_columns(StringInfo sql, const CsMappingSet *set, int n);
static void append_keys_not_null(StringInfo sql, const CsMappingSet *set);
static bool is_distinct_exact(const CsMapping *mapping);
static void append_columns(StringInfo sql, const char *alias, const CsMappingSet *set, int from,
						   int to);
static void append_either_keys(StringInfo sql, const CsMappingSet *set);

char *
cs_sql_duplicates(const CsMappingSet *set)
{
	StringInfoData sql;
	StringInfoData keys;

	initStringInfo(&sql);
	initStringInfo(&keys);
	append_columns(&keys, "s", set, 0, set->nkeys);
	appendStringInfo(&sql,
					 "SELECT w.rn, w.rn = w.first_rn, w.rn = w.last_rn FROM (SELECT s.rn, "
					 "pg_catalog.count(*) OVER (PARTITION BY %s) AS n, "
					 "pg_catalog.min(s.rn) OVER (PARTITION BY %s) AS first_rn, "
					 "pg_catalog.max(s.rn) OVER (PARTITION BY %s) AS last_rn FROM stage s "
					 "WHERE EXISTS (SELECT FROM (SELECT %s FROM stage s GROUP BY %s "
					 "HAVING pg_catalog.count(*) > 1) g WHERE ",
					 keys.data, keys.data, keys.data, keys.data, keys.data);
	cs_sql_append_key_join(&sql, set, "g", "s");
	appendStringInfoString(&sql, ")) w ORDER BY w.rn");
	return sql.data;
}

char *
cs_sql_diff(const CsMappingSet *set, CsBehavior behavior, bool with_extras)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT s.rn, ");
	if (with_extras)
		append_either_keys(&sql, set);
	else
		append_columns(&sql, "s", set, 0, set->nkeys);
	appendStringInfoString(&sql, set->count > set->nkeys ? ", " : "");
	append_columns(&sql, "s", set, set->nkeys, set->count);
	appendStringInfoString(&sql, ", CASE ");
	if (with_extras)
		appendStringInfo(&sql, "WHEN s.rn IS NULL THEN %d ", CS_OP_EXTRA);
	appendStringInfoString(&sql, "WHEN ");
	append_column(&sql, "d", &set->items[0]);
	/* A composite key whose members are NULL "IS NULL", but not this. */
	appendStringInfo(&sql, " IS NOT DISTINCT FROM NULL THEN %d ELSE %d END FROM stage s %s JOIN ",
					 behavior == CS_UPDATE ? CS_OP_SKIP : CS_OP_CREATE, CS_OP_UPDATE,
					 with_extras ? "FULL" : "LEFT");
	cs_sql_append_table(&sql, set);
	appendStringInfoString(&sql, " d ON ");
	cs_sql_append_key_match(&sql, set, "s");
	appendStringInfoString(&sql, with_extras ? " WHERE (s.rn IS NOT NULL AND " : " WHERE ");
	append_column(&sql, "d", &set->items[0]);
	appendStringInfo(&sql, " IS NOT DISTINCT FROM NULL%s", with_extras ? ")" : "");
	if (with_extras)
	{
		appendStringInfoString(&sql, " OR (s.rn IS NULL AND ");
		append_keys_not_null(&sql, set);
		appendStringInfoChar(&sql, ')');
	}
	if (behavior != CS_APPEND)
	{
		appendStringInfoString(&sql, with_extras ? " OR (s.rn IS NOT NULL AND " : " OR ");
		cs_sql_append_differs(&sql, set);
		appendStringInfoString(&sql, with_extras ? ")" : "");
	}
	return sql.data;
}

char *
cs_sql_scan(const CsMappingSet *set, int n)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < n; i++)
	{
		appendStringInfoString(&sql, i ? ", " : "");
		append_column(&sql, "d", &set->items[i]);
	}
	appendStringInfoString(&sql, " FROM ");
	cs_sql_append_table(&sql, set);
	appendStringInfoString(&sql, " d");
	return sql.data;
}

char *
cs_sql_vanished(const CsMappingSet *set)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT m.* FROM memory m WHERE NOT EXISTS (SELECT FROM stage s "
								 "WHERE ");
	cs_sql_append_key_join(&sql, set, "s", "m");
	appendStringInfoString(&sql, ") AND NOT EXISTS (SELECT FROM held h WHERE ");
	cs_sql_append_key_join(&sql, set, "h", "m");
	appendStringInfoString(&sql, ")");
	return sql.data;
}

char *
cs_sql_not_held(const CsMappingSet *set)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql,
						   "SELECT e.* FROM extras e WHERE NOT EXISTS (SELECT FROM held h WHERE ");
	cs_sql_append_key_join(&sql, set, "h", "e");
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

char *
cs_sql_vanished_keys(const CsMappingSet *set)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT 0::pg_catalog.int8, ");
	append_columns(&sql, "v", set, 0, set->nkeys);
	appendStringInfoString(&sql, " FROM vanished v");
	return sql.data;
}

char *
cs_sql_deletable(const CsMappingSet *set)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT 0::pg_catalog.int8");
	append_more_columns(&sql, set, set->nkeys);
	appendStringInfoString(&sql, " FROM ");
	cs_sql_append_table(&sql, set);
	/* Not a join: one row may be tracked under several images of its key. */
	appendStringInfoString(&sql, " d WHERE EXISTS (SELECT FROM vanished v WHERE ");
	cs_sql_append_key_match(&sql, set, "v");
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

char *
cs_sql_forgettable(const CsMappingSet *set)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT v.* FROM vanished v WHERE NOT EXISTS (SELECT FROM ");
	cs_sql_append_table(&sql, set);
	appendStringInfoString(&sql, " d WHERE ");
	cs_sql_append_key_match(&sql, set, "v");
	appendStringInfoString(&sql, ")");
	return sql.data;
}

/* A NULL that must leave the value alone leaves the default where there is no value yet. */
char *
cs_sql_insert(const CsMappingSet *set)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s AS d (", cs_destination_quoted(set->destination));
	for (int i = 0; i < set->count; i++)
		appendStringInfo(&sql, "%s%s", i ? ", " : "", quote_identifier(set->items[i].dest->name));
	appendStringInfoString(&sql, ") SELECT ");
	for (int i = 0; i < set->count; i++)
	{
		const CsMapping *mapping = &set->items[i];
		char *otherwise = mapping->skip_null ? cs_sql_default_value(set, mapping) : NULL;

		if (otherwise)
			appendStringInfo(&sql, "%sCOALESCE(p.c%d, %s)", i ? ", " : "", mapping->position,
							 otherwise);
		else
			appendStringInfo(&sql, "%sp.c%d", i ? ", " : "", mapping->position);
	}
	appendStringInfoString(&sql, " FROM part p");
	return sql.data;
}

/* The difference is asked for again: a row may have changed since the diff. */
char *
cs_sql_update(const CsMappingSet *set)
{
	StringInfoData sql;
	bool first = true;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "UPDATE ");
	cs_sql_append_table(&sql, set);
	appendStringInfoString(&sql, " d SET ");
	for (int i = 0; i < set->count; i++)
	{
		if (!cs_mapping_is_compared(&set->items[i]))
			continue;
		appendStringInfo(&sql, "%s%s = ", first ? "" : ", ",
						 quote_identifier(set->items[i].dest->name));
		cs_sql_append_new_value(&sql, &set->items[i]);
		first = false;
	}
	appendStringInfoString(&sql, " FROM part s WHERE ");
	cs_sql_append_key_match(&sql, set, "s");
	appendStringInfoString(&sql, " AND ");
	cs_sql_append_differs(&sql, set);
	return sql.data;
}

char *
cs_sql_returning(const CsMappingSet *set, const char *sql, bool with_number, bool whole)
{
	StringInfoData returning;

	initStringInfo(&returning);
	appendStringInfo(&returning, "%s RETURNING %s", sql,
					 with_number ? "s.rn" : "0::pg_catalog.int8");
	append_more_columns(&returning, set, whole ? set->count : set->nkeys);
	return returning.data;
}

/* Locks the rows: what they are remains so until they are updated. */
char *
cs_sql_before_update(const CsMappingSet *set)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT s.rn");
	append_more_columns(&sql, set, set->count);
	appendStringInfoString(&sql, " FROM part s JOIN ");
	cs_sql_append_table(&sql, set);
	appendStringInfoString(&sql, " d ON ");
	cs_sql_append_key_match(&sql, set, "s");
	appendStringInfoString(&sql, " WHERE ");
	cs_sql_append_differs(&sql, set);
	appendStringInfoString(&sql, " FOR UPDATE OF d");
	return sql.data;
}

/* A returned row bears no number if it is new: a trigger may have given it another key, too. */
char *
cs_sql_written(const CsMappingSet *set, bool with_before, bool with_part)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT %s, ", with_part ? "p.rn" : "r.rn");
	append_columns(&sql, "r", set, 0, set->count);
	if (with_before)
	{
		appendStringInfoString(&sql, ", ");
		append_columns(&sql, "b", set, 0, set->count);
	}
	appendStringInfoString(&sql, " FROM returned r");
	if (with_before)
		appendStringInfoString(&sql, " LEFT JOIN before b ON b.rn OPERATOR(pg_catalog.=) r.rn");
	if (with_part)
	{
		appendStringInfoString(&sql, " LEFT JOIN part p ON ");
		cs_sql_append_key_join(&sql, set, "r", "p");
	}
	return sql.data;
}

char *
cs_sql_delete(const CsMappingSet *set)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "DELETE FROM ");
	cs_sql_append_table(&sql, set);
	appendStringInfoString(&sql, " d USING part s WHERE ");
	cs_sql_append_key_match(&sql, set, "s");
	return sql.data;
}

char *
cs_sql_key_exists(const CsMappingSet *set)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT FROM part s JOIN ");
	cs_sql_append_table(&sql, set);
	appendStringInfoString(&sql, " d ON ");
	cs_sql_append_key_match(&sql, set, "s");
	return sql.data;
}

char *
cs_sql_any_row(const CsMappingSet *set)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT FROM ");
	cs_sql_append_table(&sql, set);
	appendStringInfoString(&sql, " LIMIT 1");
	return sql.data;
}

char *
cs_sql_count_destination(const CsMappingSet *set)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT pg_catalog.count(*) FROM ");
	cs_sql_append_table(&sql, set);
	appendStringInfoString(&sql, " d WHERE ");
	append_keys_not_null(&sql, set);
	return sql.data;
}

char *
cs_sql_count_tracked(const CsMappingSet *set)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT pg_catalog.count(*) FROM (SELECT FROM memory m GROUP BY ");
	append_columns(&sql, "m", set, 0, set->nkeys);
	appendStringInfoString(&sql, ") k");
	return sql.data;
}

/* ONLY keeps the children of plain inheritance out: their rows are not covered by the key. */
void
cs_sql_append_table(StringInfo sql, const CsMappingSet *set)
{
	appendStringInfo(sql, "%s%s", set->destination->only ? "ONLY " : "",
					 cs_destination_quoted(set->destination));
}

static void
append_column(StringInfo sql, const char *alias, const CsMapping *mapping)
{
	appendStringInfo(sql, "%s.%s", alias, quote_identifier(mapping->dest->name));
}

/* The key of the record (s), or of the row (d) that has none. */
static void
append_either_keys(StringInfo sql, const CsMappingSet *set)
{
	for (int k = 0; k < set->nkeys; k++)
	{
		appendStringInfo(sql, "%sCASE WHEN s.rn IS NULL THEN ", k ? ", " : "");
		append_column(sql, "d", &set->items[k]);
		appendStringInfo(sql, " ELSE s.c%d END", set->items[k].position);
	}
}

/* The key columns of the destination (d), after what is listed already. */
static void
append_more_columns(StringInfo sql, const CsMappingSet *set, int n)
{
	for (int k = 0; k < n; k++)
	{
		appendStringInfoString(sql, ", ");
		append_column(sql, "d", &set->items[k]);
	}
}

void
cs_sql_append_operator(StringInfo sql, Oid operator_oid)
{
	HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator_oid));
	Form_pg_operator form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", operator_oid);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	appendStringInfo(sql, " OPERATOR(%s.%s) ",
					 quote_identifier(get_namespace_name(form->oprnamespace)),
					 NameStr(form->oprname));
	ReleaseSysCache(tuple);
}

/* Two stages by key: left.c1 = right.c1 AND ... */
void
cs_sql_append_key_join(StringInfo sql, const CsMappingSet *set, const char *left, const char *right)
{
	for (int k = 0; k < set->nkeys; k++)
	{
		appendStringInfo(sql, "%s%s.c%d", k ? " AND " : "", left, set->items[k].position);
		cs_sql_append_operator(sql, set->key->eq_operators[k]);
		appendStringInfo(sql, "%s.c%d", right, set->items[k].position);
	}
}

/* Rows of the destination (d) that have a key at all: its columns may be nullable. */
static void
append_keys_not_null(StringInfo sql, const CsMappingSet *set)
{
	for (int k = 0; k < set->nkeys; k++)
	{
		appendStringInfoString(sql, k ? " AND " : "");
		append_column(sql, "d", &set->items[k]);
		appendStringInfoString(sql, " IS NOT NULL");
	}
}

/* The destination (d) and a stage by key. */
void
cs_sql_append_key_match(StringInfo sql, const CsMappingSet *set, const char *alias)
{
	for (int k = 0; k < set->nkeys; k++)
	{
		appendStringInfoString(sql, k ? " AND " : "");
		append_column(sql, "d", &set->items[k]);
		cs_sql_append_operator(sql, set->key->eq_operators[k]);
		appendStringInfo(sql, "%s.c%d", alias, set->items[k].position);
	}
}

/* What a matched row gets: always in terms of the row as it is now, never as it once was. */
void
cs_sql_append_new_value(StringInfo sql, const CsMapping *mapping)
{
	char *old = psprintf("d.%s", quote_identifier(mapping->dest->name));
	char *given = psprintf("s.c%d", mapping->position);

	if (mapping->skip_null)
		given = psprintf("COALESCE(%s, %s)", given, old);
	if (mapping->only_empty)
		appendStringInfo(sql,
						 "CASE WHEN %s IS NULL OR %s::pg_catalog.text OPERATOR(pg_catalog.=) '' "
						 "THEN %s ELSE %s END",
						 old, old, given, old);
	else
		appendStringInfoString(sql, given);
}

/* By image: columns whose equality is exact one by one, the others as one record.  (The casts keep the
 * parser from comparing two ROWs column by column.) */
void
cs_sql_append_differs(StringInfo sql, const CsMappingSet *set)
{
	StringInfoData old_image;
	StringInfoData new_image;
	int terms = 0;

	initStringInfo(&old_image);
	initStringInfo(&new_image);
	appendStringInfoChar(sql, '(');
	for (int i = 0; i < set->count; i++)
	{
		const CsMapping *mapping = &set->items[i];

		if (!cs_mapping_is_compared(mapping))
			continue;
		if (is_distinct_exact(mapping))
		{
			appendStringInfoString(sql, terms++ ? " OR " : "");
			append_column(sql, "d", mapping);
			appendStringInfoString(sql, " IS DISTINCT FROM ");
			cs_sql_append_new_value(sql, mapping);
		}
		else
		{
			appendStringInfoString(&old_image, old_image.len ? ", " : "");
			append_column(&old_image, "d", mapping);
			appendStringInfoString(&new_image, new_image.len ? ", " : "");
			cs_sql_append_new_value(&new_image, mapping);
		}
	}
	if (old_image.len)
		appendStringInfo(sql, "%sROW(%s)::record OPERATOR(pg_catalog.*<>) ROW(%s)::record",
						 terms++ ? " OR " : "", old_image.data, new_image.data);
	appendStringInfoString(sql, terms ? ")" : "false)");
}

/*
 * IS DISTINCT FROM finds its operator by name, so it has to be one of pg_catalog for the type itself: a
 * type that borrows another's operator class (pg_ndistinct that of bytea) may find several, or a wrong one.
 */
static bool
is_distinct_exact(const CsMapping *mapping)
{
	Oid base = getBaseType(mapping->dest->typid);
	TypeCacheEntry *type = lookup_type_cache(base, TYPECACHE_EQ_OPR);
	HeapTuple tuple;
	Form_pg_operator form;
	bool result;

	if (!mapping->dest->exact || !OidIsValid(type->eq_opr))
		return false;
	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(type->eq_opr));
	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_operator) GETSTRUCT(tuple);
	result = form->oprnamespace == PG_CATALOG_NAMESPACE &&
			 (form->oprleft == base || IsPolymorphicType(form->oprleft) || base == VARCHAROID);
	ReleaseSysCache(tuple);
	return result;
}

/* What a row gets that says nothing of the column, or NULL. */
char *
cs_sql_default_value(const CsMappingSet *set, const CsMapping *mapping)
{
	Relation relation;
	Oid sequence;

	if (!mapping->dest->identity)
		return mapping->dest->default_sql;
	relation = table_open(set->destination->relid, AccessShareLock);
	sequence = cs_identity_sequence(relation, mapping->dest->attnum);
	table_close(relation, NoLock);
	return psprintf("pg_catalog.nextval(%u::pg_catalog.regclass)", sequence);
}

static void
append_columns(StringInfo sql, const char *alias, const CsMappingSet *set, int from, int to)
{
	for (int i = from; i < to; i++)
		appendStringInfo(sql, "%s%s.c%d", i > from ? ", " : "", alias, set->items[i].position);
}
