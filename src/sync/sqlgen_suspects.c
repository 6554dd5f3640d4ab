/*
 * sqlgen_suspects.c
 *		The query for rows that a constraint of the destination will refuse.
 *
 * "v" is what the rows of a part would become, under the destination's own
 * column names, as far as that can be told without an effect.  Each constraint
 * has a SELECT of its own, so that each is one scan or one join.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "sync/sqlgen.h"
#include "sync/sqlgen_internal.h"

/* A query being built. */
typedef struct Search
{
	const CsMappingSet *set;
	const CsConstraints *constraints;
	bool for_update;
	char *number;  /* name of the record number in v: none of the columns' */
	char **values; /* by column of the destination: SQL of what it becomes; NULL: unknown */
	bool *used;	   /* by column: v has it */
	StringInfoData selects; /* one after another */
} Search;

static void load_values(Search *search);
static char *value_of(const Search *search, int column);
static const CsMapping *mapping_of(const CsMappingSet *set, int column);
static bool known(const Search *search, int column);
static bool all_known(const Search *search, const int *columns, int n);
static bool any_mapped(const Search *search, const int *columns, int n);
static void use(Search *search, const int *columns, int n);
static const char *name_of(const Search *search, int column);
static void add_not_null(Search *search);
static void add_checks(Search *search);
static void add_foreign_key(Search *search, const CsForeignKey *key);
static void append_nulls_of_key(Search *search, const CsForeignKey *key);
static void append_no_parent(Search *search, const CsForeignKey *key);
static void add_unique(Search *search, const CsUniqueKey *key);
static bool use_unique(Search *search, const CsUniqueKey *key);
static void append_owner(Search *search, const CsUniqueKey *key, bool in_set);
static void append_same_key(Search *search, const char *other);
static void begin_select(Search *search);
static char *assemble(const Search *search);

char *
cs_sql_suspects(const CsMappingSet *set, const CsConstraints *constraints, int what,
				bool for_update)
{
	Search search = { .set = set, .constraints = constraints, .for_update = for_update };
	ListCell *lc;

	load_values(&search);
	initStringInfo(&search.selects);
	if (what & CS_SUSPECT_VALUES)
	{
		add_not_null(&search);
		add_checks(&search);
		foreach (lc, constraints->foreign_keys)
			add_foreign_key(&search, lfirst(lc));
	}
	if (what & CS_SUSPECT_UNIQUE)
		foreach (lc, set->destination->keys)
			add_unique(&search, lfirst(lc));
	return search.selects.len > 0 ? assemble(&search) : NULL;
}

char *
cs_sql_exchangeable(const CsMappingSet *set, const CsConstraints *constraints)
{
	Search search = { .set = set, .constraints = constraints, .for_update = true };
	StringInfo sql = &search.selects;
	ListCell *lc;

	load_values(&search);
	initStringInfo(sql);
	begin_select(&search);
	appendStringInfoString(sql, "true");
	foreach (lc, set->destination->keys)
	{
		if (!use_unique(&search, lfirst(lc)))
			continue;
		appendStringInfoString(sql, " AND NOT EXISTS (");
		append_owner(&search, lfirst(lc), false);
		appendStringInfoString(sql, " AND NOT EXISTS (SELECT FROM v q WHERE ");
		append_same_key(&search, "q");
		appendStringInfoString(sql, ")) AND NOT EXISTS (");
		append_owner(&search, lfirst(lc), true);
		appendStringInfo(sql, " AND o.%s OPERATOR(pg_catalog.<) v.%s)", search.number,
						 search.number);
	}
	return assemble(&search);
}

char *
cs_sql_vacate(const CsMappingSet *set, const List *columns)
{
	StringInfoData sql;
	const ListCell *lc;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "UPDATE ");
	cs_sql_append_table(&sql, set);
	appendStringInfoString(&sql, " d SET ");
	foreach (lc, columns)
	{
		const CsMapping *mapping = &set->items[lfirst_int(lc)];
		const char *name = quote_identifier(mapping->dest->name);

		appendStringInfo(&sql, "%s%s = CASE WHEN s.c%d IS NOT DISTINCT FROM NULL THEN d.%s END",
						 foreach_current_index(lc) > 0 ? ", " : "", name, mapping->position, name);
	}
	appendStringInfoString(&sql, " FROM part s WHERE ");
	cs_sql_append_key_match(&sql, set, "s");
	return sql.data;
}

static void
load_values(Search *search)
{
	const CsDestination *destination = search->set->destination;

	search->values = palloc(sizeof(char *) * destination->ncolumns);
	search->used = palloc0(sizeof(bool) * destination->ncolumns);
	for (int i = 0; i < destination->ncolumns; i++)
		search->values[i] = value_of(search, i);
	search->number = "rn";
	while (cs_destination_find_column(destination, search->number) >= 0)
		search->number = psprintf("%s_", search->number);
}

static char *
value_of(const Search *search, int column)
{
	const CsDestColumn *dest = &search->set->destination->columns[column];
	const CsMapping *mapping = mapping_of(search->set, column);
	bool fixed = search->constraints->fixed_default[column];
	char *otherwise;
	StringInfoData value;

	if (dest->generated)
		return NULL;
	if (mapping && search->for_update)
	{
		initStringInfo(&value);
		cs_sql_append_new_value(&value, mapping);
		return value.data;
	}
	if (search->for_update)
		return psprintf("d.%s", quote_identifier(dest->name));
	if (mapping && !mapping->skip_null)
		return psprintf("s.c%d", mapping->position);
	if (!fixed)
		return NULL;
	otherwise = dest->default_sql ? psprintf("(%s)", dest->default_sql) : "NULL";
	if (mapping)
		return psprintf("COALESCE(s.c%d, %s)", mapping->position, otherwise);
	return psprintf("%s::%s", otherwise, format_type_with_typemod(dest->typid, dest->typmod));
}

static const CsMapping *
mapping_of(const CsMappingSet *set, int column)
{
	for (int i = 0; i < set->count; i++)
		if (set->items[i].dest->attnum == set->destination->columns[column].attnum)
			return &set->items[i];
	return NULL;
}

static bool
known(const Search *search, int column)
{
	return column >= 0 && search->values[column] != NULL;
}

static bool
all_known(const Search *search, const int *columns, int n)
{
	for (int i = 0; i < n; i++)
		if (!known(search, columns[i]))
			return false;
	return true;
}

/* What the record does not touch was accepted before. */
static bool
any_mapped(const Search *search, const int *columns, int n)
{
	for (int i = 0; i < n; i++)
		if (mapping_of(search->set, columns[i]))
			return true;
	return false;
}

static void
use(Search *search, const int *columns, int n)
{
	for (int i = 0; i < n; i++)
		search->used[columns[i]] = true;
}

static const char *
name_of(const Search *search, int column)
{
	return quote_identifier(search->set->destination->columns[column].name);
}

/* Not IS NULL: that is true of a row of NULLs, too. */
static void
add_not_null(Search *search)
{
	const CsDestination *destination = search->set->destination;
	bool first = true;

	for (int i = 0; i < destination->ncolumns; i++)
	{
		if (!destination->columns[i].notnull || !known(search, i) || !mapping_of(search->set, i))
			continue;
		if (first)
			begin_select(search);
		appendStringInfo(&search->selects, "%sv.%s IS NOT DISTINCT FROM NULL", first ? "" : " OR ",
						 name_of(search, i));
		use(search, &i, 1);
		first = false;
	}
}

static void
add_checks(Search *search)
{
	bool first = true;
	ListCell *lc;

	foreach (lc, search->constraints->checks)
	{
		CsCheckConstraint *check = lfirst(lc);
		int n = list_length(check->columns);
		int *columns = palloc(sizeof(int) * Max(1, n));

		for (int i = 0; i < n; i++)
			columns[i] = list_nth_int(check->columns, i);
		if (!all_known(search, columns, n))
			continue;
		if (first)
			begin_select(search);
		appendStringInfo(&search->selects, "%s(%s) IS FALSE", first ? "" : " OR ",
						 check->expression);
		use(search, columns, n);
		first = false;
	}
}

static void
add_foreign_key(Search *search, const CsForeignKey *key)
{
	if (!all_known(search, key->columns, key->ncolumns) ||
		!any_mapped(search, key->columns, key->ncolumns))
		return;
	use(search, key->columns, key->ncolumns);
	begin_select(search);
	for (int i = 0; i < key->ncolumns; i++)
		appendStringInfo(&search->selects, "v.%s IS NOT NULL AND ",
						 name_of(search, key->columns[i]));
	append_no_parent(search, key);
	if (key->match_full && key->ncolumns > 1)
		append_nulls_of_key(search, key);
}

/* MATCH FULL: all of them or none. */
static void
append_nulls_of_key(Search *search, const CsForeignKey *key)
{
	begin_select(search);
	appendStringInfoString(&search->selects, "pg_catalog.num_nulls(");
	for (int i = 0; i < key->ncolumns; i++)
		appendStringInfo(&search->selects, "%sv.%s", i ? ", " : "",
						 name_of(search, key->columns[i]));
	appendStringInfo(&search->selects,
					 ") OPERATOR(pg_catalog.<>) ALL ('{0,%d}'::pg_catalog.int4[])", key->ncolumns);
}

/* A parent that is itself in the set will be there. */
static void
append_no_parent(Search *search, const CsForeignKey *key)
{
	appendStringInfo(&search->selects, "NOT EXISTS (SELECT FROM %s f WHERE ", key->parent);
	for (int i = 0; i < key->ncolumns; i++)
	{
		appendStringInfo(&search->selects, "%sf.%s", i ? " AND " : "", key->parent_columns[i]);
		cs_sql_append_operator(&search->selects, key->operators[i]);
		appendStringInfo(&search->selects, "v.%s", name_of(search, key->columns[i]));
	}
	appendStringInfoChar(&search->selects, ')');
	if (key->self_columns == NULL || !all_known(search, key->self_columns, key->ncolumns))
		return;
	use(search, key->self_columns, key->ncolumns);
	appendStringInfoString(&search->selects, " AND NOT EXISTS (SELECT FROM v f WHERE ");
	for (int i = 0; i < key->ncolumns; i++)
	{
		appendStringInfo(&search->selects, "%sf.%s", i ? " AND " : "",
						 name_of(search, key->self_columns[i]));
		cs_sql_append_operator(&search->selects, key->operators[i]);
		appendStringInfo(&search->selects, "v.%s", name_of(search, key->columns[i]));
	}
	appendStringInfoChar(&search->selects, ')');
}

/* In the destination under another key, or in the set before: the first of equals is the one to go in. */
static void
add_unique(Search *search, const CsUniqueKey *key)
{
	StringInfo sql = &search->selects;

	if (!use_unique(search, key))
		return;
	begin_select(search);
	appendStringInfoString(sql, "EXISTS (");
	append_owner(search, key, false);
	appendStringInfoString(sql, " AND NOT (");
	append_same_key(search, "v");
	appendStringInfoString(sql, "))");
	begin_select(search);
	appendStringInfoString(sql, "EXISTS (");
	append_owner(search, key, true);
	appendStringInfo(sql, " AND o.%s OPERATOR(pg_catalog.<) v.%s)", search->number, search->number);
}

/* Can its new values be told?  They and the sync key's are then in v. */
static bool
use_unique(Search *search, const CsUniqueKey *key)
{
	const CsMappingSet *set = search->set;

	if (key == set->key || key->refused || !all_known(search, key->columns, key->ncolumns) ||
		!any_mapped(search, key->columns, key->ncolumns))
		return false;
	use(search, key->columns, key->ncolumns);
	for (int k = 0; k < set->nkeys; k++)
		search->used[cs_destination_find_column(set->destination, set->items[k].dest->name)] = true;
	return true;
}

/* SELECT FROM the destination, or v, as o: rows that have what v is to get. */
static void
append_owner(Search *search, const CsUniqueKey *key, bool in_set)
{
	StringInfo sql = &search->selects;

	appendStringInfoString(sql, "SELECT FROM ");
	if (in_set)
		appendStringInfoString(sql, "v");
	else
		cs_sql_append_table(sql, search->set);
	appendStringInfoString(sql, " o WHERE ");
	for (int i = 0; i < key->ncolumns; i++)
	{
		appendStringInfo(sql, "%so.%s", i ? " AND " : "", name_of(search, key->columns[i]));
		cs_sql_append_operator(sql, key->eq_operators[i]);
		appendStringInfo(sql, "v.%s", name_of(search, key->columns[i]));
	}
}

/* o and another by sync key */
static void
append_same_key(Search *search, const char *other)
{
	const CsMappingSet *set = search->set;

	for (int k = 0; k < set->nkeys; k++)
	{
		const char *name = quote_identifier(set->items[k].dest->name);

		appendStringInfo(&search->selects, "%so.%s", k ? " AND " : "", name);
		cs_sql_append_operator(&search->selects, set->key->eq_operators[k]);
		appendStringInfo(&search->selects, "%s.%s", other, name);
	}
}

static void
begin_select(Search *search)
{
	appendStringInfo(&search->selects, "%sSELECT v.%s FROM v WHERE ",
					 search->selects.len ? " UNION ALL " : "", search->number);
}

/* The rows of an update need the destination, and that join is to be done once. */
static char *
assemble(const Search *search)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "WITH v AS %sMATERIALIZED (SELECT s.rn AS %s",
					 search->for_update ? "" : "NOT ", search->number);
	for (int i = 0; i < search->set->destination->ncolumns; i++)
		if (search->used[i])
			appendStringInfo(&sql, ", %s AS %s", search->values[i], name_of(search, i));
	appendStringInfoString(&sql, " FROM part s");
	if (search->for_update)
	{
		appendStringInfoString(&sql, " JOIN ");
		cs_sql_append_table(&sql, search->set);
		appendStringInfoString(&sql, " d ON ");
		cs_sql_append_key_match(&sql, search->set, "s");
	}
	appendStringInfo(&sql, ") %s", search->selects.data);
	return sql.data;
}
