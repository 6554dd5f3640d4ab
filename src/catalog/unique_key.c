/*
 * unique_key.c
 *		The keys of a destination: which of them can identify a row for censync,
 *		why the others cannot, and what statement would help.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/stratnum.h"
#include "access/sysattr.h"
#include "catalog/dependency.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_partitioned_table.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "nodes/bitmapset.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "catalog/destination.h"
#include "catalog/destination_internal.h"

static int compare_keys(const ListCell *a, const ListCell *b);
static CsUniqueKey *load_key(Relation relation, Relation index, const CsDestination *destination);
static List *load_parts(Relation relation, Relation index, const CsDestination *destination,
						CsUniqueKey *key);
static Node *index_node(Relation index, AttrNumber field);
static int only_column(const CsDestination *destination, Node *expression);
static char *refuse_key(Relation relation, Relation index, const CsDestination *destination,
						const CsUniqueKey *key, bool *rebuildable);
static char *refuse_equality(Relation index, const CsDestination *destination,
							 const CsUniqueKey *key);
static bool same_collation(Oid a, Oid b);
static int best_column(const CsDestination *destination);
static bool can_identify(const CsDestColumn *column);
static bool can_be_ordered(const CsDestColumn *column);
static char *propose_column(Relation relation, const CsDestination *destination);
static bool add_partition_columns(const CsDestination *destination, List **positions);
static bool add_columns_of(Oid relid, const CsDestination *destination, List **positions);

List *
cs_unique_key_list(Relation relation, const CsDestination *destination)
{
	List *keys = NIL;
	ListCell *cell;

	foreach (cell, RelationGetIndexList(relation))
	{
		/* DROP INDEX CONCURRENTLY does not wait for our lock on the table. */
		Relation index = try_relation_open(lfirst_oid(cell), AccessShareLock);

		if (index == NULL)
			continue;
		if (index->rd_index->indisunique || index->rd_index->indisexclusion)
			keys = lappend(keys, load_key(relation, index, destination));
		relation_close(index, AccessShareLock);
	}
	list_sort(keys, compare_keys);
	return keys;
}

/*
 * What would make an unusable key usable comes first; then a primary key on the column that looks
 * most like an identifier; then a column to be added.
 */
char *
cs_unique_key_propose(Relation relation, const CsDestination *destination)
{
	ListCell *cell;
	int position;
	char *statement;

	foreach (cell, destination->keys)
	{
		CsUniqueKey *key = lfirst(cell);

		if (key->remedy != NULL)
			return pstrdup(key->remedy);
	}

	position = best_column(destination);
	if (position >= 0)
	{
		const CsDestColumn *column = &destination->columns[position];
		bool primary =
			column->notnull && cs_not_null_is_valid(RelationGetDescr(relation), column->attnum);

		statement = cs_unique_key_statement(destination, primary ? "PRIMARY KEY" : "UNIQUE",
											list_make1_int(position));
		if (statement != NULL)
			return statement;
	}
	return propose_column(relation, destination);
}

char *
cs_unique_key_statement(const CsDestination *destination, const char *kind, List *positions)
{
	StringInfoData statement;
	List *all = list_copy(positions);
	ListCell *cell;

	if (!add_partition_columns(destination, &all))
		return NULL;

	initStringInfo(&statement);
	appendStringInfo(&statement, "ALTER TABLE %s ADD %s (", cs_destination_quoted(destination),
					 kind);
	foreach (cell, all)
	{
		const CsDestColumn *column = &destination->columns[lfirst_int(cell)];

		if (!can_be_ordered(column))
			return NULL;
		if (foreach_current_index(cell) > 0)
			appendStringInfoString(&statement, ", ");
		appendStringInfoString(&statement, quote_identifier(column->name));
	}
	appendStringInfoChar(&statement, ')');
	return statement.data;
}

/* The primary key first, the others by name. */
static int
compare_keys(const ListCell *a, const ListCell *b)
{
	const CsUniqueKey *x = lfirst(a);
	const CsUniqueKey *y = lfirst(b);

	if (x->primary != y->primary)
		return x->primary ? -1 : 1;
	return strcmp(x->name, y->name);
}

static CsUniqueKey *
load_key(Relation relation, Relation index, const CsDestination *destination)
{
	CsUniqueKey *key = palloc0(sizeof(CsUniqueKey));
	List *positions;
	bool rebuildable;

	key->index_oid = RelationGetRelid(index);
	key->name = pstrdup(RelationGetRelationName(index));
	key->primary = index->rd_index->indisprimary;
	key->is_constraint = OidIsValid(get_index_constraint(key->index_oid));
	key->ncolumns = IndexRelationGetNumberOfKeyAttributes(index);
	positions = load_parts(relation, index, destination, key);
	key->refused = refuse_key(relation, index, destination, key, &rebuildable);

	/* The columns of an exclusion constraint need not be unique in any sense, unless WITHOUT OVERLAPS
	 * makes them so: equal periods overlap. */
	if (rebuildable)
		key->remedy = psprintf("REINDEX INDEX CONCURRENTLY %s",
							   quote_qualified_identifier(destination->schema, key->name));
	else if (key->refused != NULL && positions != NIL &&
			 (index->rd_index->indisunique || !index->rd_index->indisexclusion))
		key->remedy = cs_unique_key_statement(destination, "UNIQUE", positions);
	return key;
}

/*
 * Fills in columns, parts and eq_operators.  Returns the positions of the plain columns whose
 * uniqueness would do in the key's place, or NIL if an expression has not exactly one column.
 */
static List *
load_parts(Relation relation, Relation index, const CsDestination *destination, CsUniqueKey *key)
{
	List *expressions = (List *) index_node(index, Anum_pg_index_indexprs);
	ListCell *next = list_head(expressions);
	List *positions = NIL;
	bool replaceable = true;

	key->columns = palloc(sizeof(int) * key->ncolumns);
	key->parts = palloc(sizeof(char *) * key->ncolumns);
	key->eq_operators = palloc(sizeof(Oid) * key->ncolumns);

	for (int i = 0; i < key->ncolumns; i++)
	{
		AttrNumber attnum = index->rd_index->indkey.values[i];
		int position;

		if (attnum == InvalidAttrNumber)
		{
			key->parts[i] = cs_expression_deparse(lfirst(next), relation);
			position = only_column(destination, lfirst(next));
			next = lnext(expressions, next);
		}
		else
		{
			key->parts[i] = get_attname(destination->relid, attnum, false);
			position = cs_destination_find_attribute(destination, attnum);
		}
		key->columns[i] = position;
		if (position >= 0)
			positions = list_append_unique_int(positions, position);
		else
			replaceable = false;

		key->eq_operators[i] = InvalidOid;
		if (index->rd_rel->relam == BTREE_AM_OID)
			key->eq_operators[i] =
				get_opfamily_member(index->rd_opfamily[i], index->rd_opcintype[i],
									index->rd_opcintype[i], BTEqualStrategyNumber);
	}
	if (expressions != NIL)
		key->columns = NULL;
	return replaceable ? positions : NIL;
}

/*
 * The expressions (a List) or the predicate of an index as stored, or NULL.  The relcache's own
 * accessors would fold constants in them, and so run functions of a user.
 */
static Node *
index_node(Relation index, AttrNumber field)
{
	bool isnull;
	Datum value = SysCacheGetAttr(INDEXRELID, index->rd_indextuple, field, &isnull);

	return isnull ? NULL : stringToNode(TextDatumGetCString(value));
}

/* Position of the one column an expression is made of; -1 for none, several, or a whole row. */
static int
only_column(const CsDestination *destination, Node *expression)
{
	Bitmapset *attributes = NULL;
	int member;

	pull_varattnos(expression, 1, &attributes);
	if (!bms_get_singleton_member(attributes, &member))
		return -1;
	return cs_destination_find_attribute(destination, member + FirstLowInvalidHeapAttributeNumber);
}

/*
 * Why a key cannot serve, or NULL.  What a rebuild of the index would cure is asked last, and told
 * by *rebuildable.
 */
static char *
refuse_key(Relation relation, Relation index, const CsDestination *destination,
		   const CsUniqueKey *key, bool *rebuildable)
{
	Form_pg_index form = index->rd_index;
	Node *predicate = index_node(index, Anum_pg_index_indpred);
	char *reason;

	*rebuildable = false;
	if (form->indisexclusion)
		return pstrdup(form->indisunique ? "it is WITHOUT OVERLAPS: one key has several rows"
										 : "it is an exclusion constraint");
	if (key->columns == NULL)
		return pstrdup("it is on expressions");
	if (predicate != NULL)
		return psprintf("it is partial: WHERE %s", cs_expression_deparse(predicate, relation));
	if ((reason = refuse_equality(index, destination, key)) != NULL)
		return reason;
	if (!form->indimmediate)
		return pstrdup("it is deferrable");
	if (form->indisvalid && form->indisready && form->indislive)
		return NULL;
	if (index->rd_rel->relkind == RELKIND_PARTITIONED_INDEX)
		return pstrdup("it is invalid: not every partition has its index");
	*rebuildable = true;
	return pstrdup("it is invalid: its concurrent build failed or goes on");
}

/* Two rows the index takes for different must be different for the type's own equality, too. */
static char *
refuse_equality(Relation index, const CsDestination *destination, const CsUniqueKey *key)
{
	for (int i = 0; i < key->ncolumns; i++)
	{
		const CsDestColumn *column;
		Oid equality;

		if (key->columns[i] < 0)
			return pstrdup("it is on a system column");
		column = &destination->columns[key->columns[i]];
		for (int j = 0; j < i; j++)
			if (key->columns[j] == key->columns[i])
				return psprintf("it has column \"%s\" twice", column->name);

		equality = lookup_type_cache(column->typid, TYPECACHE_EQ_OPR)->eq_opr;

		if (!OidIsValid(key->eq_operators[i]) || !OidIsValid(equality) ||
			(equality != key->eq_operators[i] &&
			 get_op_opfamily_strategy(equality, index->rd_opfamily[i]) != BTEqualStrategyNumber))
			return psprintf("its operator class compares column \"%s\" by an equality other than "
							"that of the type",
							column->name);
		if (!same_collation(index->rd_indcollation[i], column->collation))
			return psprintf("its collation compares column \"%s\" by an equality other than that "
							"of the column",
							column->name);
	}
	return NULL;
}

/* All deterministic collations agree on what is equal. */
static bool
same_collation(Oid a, Oid b)
{
	if (a == b || !OidIsValid(a) || !OidIsValid(b))
		return a == b;
	return get_collation_isdeterministic(a) && get_collation_isdeterministic(b);
}

/*
 * The column that looks most like an identifier: id, <table>_id, else the first that is never null;
 * -1 if there is none.
 */
static int
best_column(const CsDestination *destination)
{
	char *own_id = psprintf("%s_id", destination->name);
	int position = cs_destination_find_column(destination, "id");

	if (position >= 0 && can_identify(&destination->columns[position]))
		return position;
	position = cs_destination_find_column(destination, own_id);
	if (position >= 0 && can_identify(&destination->columns[position]))
		return position;

	for (int i = 0; i < destination->ncolumns; i++)
		if (destination->columns[i].notnull && can_identify(&destination->columns[i]))
			return i;
	return -1;
}

/* A generated column can't be written, and a boolean tells two rows apart at most. */
static bool
can_identify(const CsDestColumn *column)
{
	return column->generated == '\0' && getBaseType(column->typid) != BOOLOID &&
		   can_be_ordered(column);
}

/* Without a btree operator class there can be no unique constraint. */
static bool
can_be_ordered(const CsDestColumn *column)
{
	return OidIsValid(lookup_type_cache(column->typid, TYPECACHE_CMP_PROC)->cmp_proc);
}

/*
 * A new column as the key.  Identity columns do not reach children and partitions, so that those
 * get UUIDs; partitions and typed tables take no columns of their own.
 */
static char *
propose_column(Relation relation, const CsDestination *destination)
{
	char *table = cs_destination_quoted(destination);
	char *name = pstrdup("id");
	List *others = NIL;
	StringInfoData key;
	ListCell *cell;

	if (relation->rd_rel->relispartition || OidIsValid(relation->rd_rel->reloftype) ||
		!add_partition_columns(destination, &others))
		return NULL;

	for (int i = 1; cs_destination_find_column(destination, name) >= 0; i++)
		name = psprintf("row_id%d", i);
	if (!relation->rd_rel->relhassubclass && others == NIL)
		return psprintf("ALTER TABLE %s ADD COLUMN %s bigint GENERATED ALWAYS AS IDENTITY "
						"PRIMARY KEY",
						table, name);

	initStringInfo(&key);
	appendStringInfoString(&key, name);
	foreach (cell, others)
		appendStringInfo(&key, ", %s",
						 quote_identifier(destination->columns[lfirst_int(cell)].name));
	return psprintf("ALTER TABLE %s ADD COLUMN %s uuid NOT NULL DEFAULT gen_random_uuid(), "
					"ADD PRIMARY KEY (%s)",
					table, name, key.data);
}

/*
 * A unique constraint of a partitioned table has to contain all partition columns, those of its
 * partitions that are partitioned in turn too.  Returns false if that can't be: one of them is
 * partitioned by an expression.  No partition is locked, as this ends in no more than advice.
 */
static bool
add_partition_columns(const CsDestination *destination, List **positions)
{
	bool possible = true;
	ListCell *cell;

	if (!SearchSysCacheExists1(PARTRELID, ObjectIdGetDatum(destination->relid)))
		return true;

	foreach (cell, find_all_inheritors(destination->relid, NoLock, NULL))
		if (!add_columns_of(lfirst_oid(cell), destination, positions))
			possible = false;
	return possible;
}

/* The same for one table of the tree, whose columns are known by name: their numbers differ. */
static bool
add_columns_of(Oid relid, const CsDestination *destination, List **positions)
{
	HeapTuple tuple = SearchSysCache1(PARTRELID, ObjectIdGetDatum(relid));
	Form_pg_partitioned_table partitioned;
	bool possible = true;

	if (!HeapTupleIsValid(tuple))
		return true;

	partitioned = (Form_pg_partitioned_table) GETSTRUCT(tuple);
	for (int i = 0; i < partitioned->partnatts; i++)
	{
		char *name = get_attname(relid, partitioned->partattrs.values[i], true);
		int position = name == NULL ? -1 : cs_destination_find_column(destination, name);

		if (position >= 0)
			*positions = list_append_unique_int(*positions, position);
		else
			possible = false;
	}
	ReleaseSysCache(tuple);
	return possible;
}
