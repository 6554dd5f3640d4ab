/*
 * destination.c
 *		Reads a destination table from the catalog and judges whether censync
 *		can write to it.  Everything comes from the relcache and the syscaches:
 *		no SPI, and no function, operator or expression of a user is run.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/nbtree.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/catalog.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/nodes.h"
#include "rewrite/rewriteDefine.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "catalog/destination.h"
#include "catalog/destination_internal.h"

/* What to answer for a relation that is no table. */
typedef struct KindReason
{
	char relkind;
	const char *reason;
} KindReason;

static const KindReason kind_reasons[] = {
	{ RELKIND_VIEW, "it is a view" },
	{ RELKIND_MATVIEW, "it is a materialized view" },
	{ RELKIND_FOREIGN_TABLE, "it is a foreign table" },
	{ RELKIND_SEQUENCE, "it is a sequence" },
	{ RELKIND_INDEX, "it is an index" },
	{ RELKIND_PARTITIONED_INDEX, "it is an index" },
	{ RELKIND_TOASTVALUE, "it is a TOAST table" },
	{ RELKIND_COMPOSITE_TYPE, "it is a composite type" },
};

static int enter_deparse_settings(void);
static void load_columns(Relation relation, CsDestination *destination);
static void load_column(TupleDesc descriptor, Form_pg_attribute attribute, CsDestColumn *column);
static bool domain_is_notnull(Oid typid);
static char *column_default(TupleDesc descriptor, Form_pg_attribute attribute);
static char *type_default(Oid typid);
static bool type_is_exact(Oid typid, Oid collation);
static bool is_table(Relation relation);
static void judge(Relation relation, CsDestination *destination);
static void refuse(CsDestination *destination, int code, char *reason, char *remedy);
static bool refuse_kind(Relation relation, CsDestination *destination);
static bool refuse_schema(Relation relation, CsDestination *destination);
static bool refuse_rules(Relation relation, CsDestination *destination);
static bool columns_equal(const CsDestination *a, const CsDestination *b);
static bool usable_keys_covered(const CsDestination *a, const CsDestination *b);
static bool key_has_equal(const CsUniqueKey *key, const CsDestination *destination);
static bool strings_equal(const char *a, const char *b);

CsDestination *
cs_destination_load(Oid relid)
{
	Relation relation = try_relation_open(relid, AccessShareLock);
	CsDestination *destination;
	int nest_level;

	if (relation == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation with OID %u does not exist", relid),
						errhint("It may have been dropped; name the destination anew.")));

	destination = palloc0(sizeof(CsDestination));
	destination->relid = relid;
	destination->schema = get_namespace_name(RelationGetNamespace(relation));
	destination->name = pstrdup(RelationGetRelationName(relation));
	destination->owner = relation->rd_rel->relowner;
	destination->only = relation->rd_rel->relkind == RELKIND_RELATION;

	nest_level = enter_deparse_settings();
	load_columns(relation, destination);
	if (is_table(relation))
		destination->keys = cs_unique_key_list(relation, destination);
	judge(relation, destination);
	AtEOXact_GUC(false, nest_level);

	relation_close(relation, AccessShareLock);
	return destination;
}

void
cs_destination_check(const CsDestination *destination)
{
	if (destination->refused == NULL)
		return;

	ereport(ERROR,
			(errcode(destination->refused_code),
			 errmsg("\"%s.%s\" cannot be a destination: %s", destination->schema, destination->name,
					destination->refused),
			 destination->remedy ? errhint("This statement would help: %s;", destination->remedy)
								 : errhint("Name an ordinary or partitioned table of your own that "
										   "has a primary key or a unique constraint.")));
}

int
cs_destination_find_column(const CsDestination *destination, const char *name)
{
	for (int i = 0; i < destination->ncolumns; i++)
		if (strcmp(destination->columns[i].name, name) == 0)
			return i;
	return -1;
}

int
cs_destination_find_attribute(const CsDestination *destination, AttrNumber attnum)
{
	for (int i = 0; i < destination->ncolumns; i++)
		if (destination->columns[i].attnum == attnum)
			return i;
	return -1;
}

bool
cs_destination_equal(const CsDestination *a, const CsDestination *b)
{
	return a->relid == b->relid && strcmp(a->schema, b->schema) == 0 &&
		   strcmp(a->name, b->name) == 0 && a->owner == b->owner && a->only == b->only &&
		   strings_equal(a->refused, b->refused) && columns_equal(a, b) &&
		   usable_keys_covered(a, b) && usable_keys_covered(b, a);
}

char *
cs_destination_quoted(const CsDestination *destination)
{
	return quote_qualified_identifier(destination->schema, destination->name);
}

char *
cs_expression_deparse(Node *expression, Relation relation)
{
	List *context = NIL;

	if (relation != NULL)
		context =
			deparse_context_for(RelationGetRelationName(relation), RelationGetRelid(relation));
	return deparse_expression(expression, context, false, false);
}

/*
 * Makes deparsed SQL mean the same whoever reads it: names outside pg_catalog qualified, and
 * constants in formats that no session's settings can misread.  Ended by AtEOXact_GUC with the
 * returned level; an error ends it too.
 */
static int
enter_deparse_settings(void)
{
	static const char *const settings[][2] = {
		{ "search_path", "pg_catalog, pg_temp" },
		{ "datestyle", "ISO" },
		{ "intervalstyle", "postgres" },
		{ "extra_float_digits", "3" },
	};
	int nest_level = NewGUCNestLevel();

	for (int i = 0; i < (int) lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	return nest_level;
}

static void
load_columns(Relation relation, CsDestination *destination)
{
	TupleDesc descriptor = RelationGetDescr(relation);

	destination->columns = palloc0(sizeof(CsDestColumn) * Max(descriptor->natts, 1));
	for (int i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, i);

		if (!attribute->attisdropped)
			load_column(descriptor, attribute, &destination->columns[destination->ncolumns++]);
	}
}

static void
load_column(TupleDesc descriptor, Form_pg_attribute attribute, CsDestColumn *column)
{
	column->attnum = attribute->attnum;
	column->name = pstrdup(NameStr(attribute->attname));
	column->typid = attribute->atttypid;
	column->typmod = attribute->atttypmod;
	column->collation = attribute->attcollation;
	column->notnull = attribute->attnotnull || domain_is_notnull(attribute->atttypid);
	column->default_sql = column_default(descriptor, attribute);
	column->generated = attribute->attgenerated;
	column->identity = attribute->attidentity;
	column->exact = type_is_exact(attribute->atttypid, attribute->attcollation);
}

/* A domain over a domain is as strict as the strictest of them. */
static bool
domain_is_notnull(Oid typid)
{
	while (OidIsValid(typid))
	{
		HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(typid));
		Form_pg_type type;
		bool notnull;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for type %u", typid);
		type = (Form_pg_type) GETSTRUCT(tuple);
		notnull = type->typnotnull;
		typid = type->typtype == TYPTYPE_DOMAIN ? type->typbasetype : InvalidOid;
		ReleaseSysCache(tuple);
		if (notnull)
			return true;
	}
	return false;
}

/* The column's own default hides that of its type. */
static char *
column_default(TupleDesc descriptor, Form_pg_attribute attribute)
{
	TupleConstr *constraints = descriptor->constr;

	if (attribute->attgenerated != '\0' || attribute->attidentity != '\0')
		return NULL;

	if (attribute->atthasdef && constraints != NULL)
	{
		for (int i = 0; i < constraints->num_defval; i++)
			if (constraints->defval[i].adnum == attribute->attnum)
				return cs_expression_deparse(stringToNode(constraints->defval[i].adbin), NULL);
	}
	return type_default(attribute->atttypid);
}

/*
 * A domain keeps an expression, and a domain over a domain a copy of it.  A base type keeps a
 * literal, which is quoted here rather than read: reading it would run the type's input function.
 */
static char *
type_default(Oid typid)
{
	HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(typid));
	char *result = NULL;
	Datum value;
	bool isnull;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", typid);

	value = SysCacheGetAttr(TYPEOID, tuple, Anum_pg_type_typdefaultbin, &isnull);
	if (!isnull)
		result = cs_expression_deparse(stringToNode(TextDatumGetCString(value)), NULL);
	else
	{
		value = SysCacheGetAttr(TYPEOID, tuple, Anum_pg_type_typdefault, &isnull);
		if (!isnull)
			result = psprintf("%s::%s", quote_literal_cstr(TextDatumGetCString(value)),
							  format_type_be_qualified(typid));
	}
	ReleaseSysCache(tuple);
	return result;
}

/*
 * Do equal values of the type always have equal images?  The default btree operator class tells, by
 * its "equalimage" support function; one that is not built in is user code, and taken for a no.
 */
static bool
type_is_exact(Oid typid, Oid collation)
{
	Oid base_type = getBaseType(typid);
	TypeCacheEntry *type;
	Oid function;

	/* Equality of bpchar ignores trailing blanks, and not every server's support function says so. */
	if (base_type == BPCHAROID)
		return false;

	type = lookup_type_cache(base_type, TYPECACHE_BTREE_OPFAMILY);
	if (!OidIsValid(type->btree_opf))
		return false;
	function = get_opfamily_proc(type->btree_opf, type->btree_opintype, type->btree_opintype,
								 BTEQUALIMAGE_PROC);
	if (!OidIsValid(function) || function >= FirstNormalObjectId)
		return false;
	return DatumGetBool(
		OidFunctionCall1Coll(function, collation, ObjectIdGetDatum(type->btree_opintype)));
}

static bool
is_table(Relation relation)
{
	return relation->rd_rel->relkind == RELKIND_RELATION ||
		   relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
}

/* Sets refused, its code and the remedy; the reason nobody can remove wins. */
static void
judge(Relation relation, CsDestination *destination)
{
	ListCell *cell;

	if (refuse_kind(relation, destination) || refuse_schema(relation, destination) ||
		refuse_rules(relation, destination))
		return;

	foreach (cell, destination->keys)
		if (((CsUniqueKey *) lfirst(cell))->refused == NULL)
			return;

	refuse(destination, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
		   pstrdup("no primary key or unique constraint can identify its rows"),
		   cs_unique_key_propose(relation, destination));
}

static void
refuse(CsDestination *destination, int code, char *reason, char *remedy)
{
	destination->refused_code = code;
	destination->refused = reason;
	destination->remedy = remedy;
}

static bool
refuse_kind(Relation relation, CsDestination *destination)
{
	const char *reason = "it is not a table";

	if (is_table(relation))
		return false;

	for (int i = 0; i < (int) lengthof(kind_reasons); i++)
		if (kind_reasons[i].relkind == relation->rd_rel->relkind)
			reason = kind_reasons[i].reason;
	refuse(destination, ERRCODE_WRONG_OBJECT_TYPE, pstrdup(reason), NULL);
	return true;
}

static bool
refuse_schema(Relation relation, CsDestination *destination)
{
	const char *reason = NULL;

	if (IsSystemRelation(relation) || IsCatalogNamespace(RelationGetNamespace(relation)) ||
		strcmp(destination->schema, "information_schema") == 0)
		reason = "it is a system catalog";
	else if (strcmp(destination->schema, "censync") == 0)
		reason = "it belongs to censync itself";
	else if (RELATION_IS_OTHER_TEMP(relation))
		reason = "it is a temporary table of another session";

	if (reason != NULL)
		refuse(destination, ERRCODE_FEATURE_NOT_SUPPORTED, pstrdup(reason), NULL);
	return reason != NULL;
}

/* Rules rewrite what a run would do; any of them counts unless it is disabled. */
static bool
refuse_rules(Relation relation, CsDestination *destination)
{
	Relation catalog;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	bool found = false;

	if (!relation->rd_rel->relhasrules)
		return false;

	catalog = table_open(RewriteRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_rewrite_ev_class, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(destination->relid));
	scan = systable_beginscan(catalog, RewriteRelRulenameIndexId, true, NULL, 1, &key);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_rewrite rule = (Form_pg_rewrite) GETSTRUCT(tuple);

		if (rule->ev_enabled == RULE_DISABLED)
			continue;
		found = true;
		refuse(destination, ERRCODE_FEATURE_NOT_SUPPORTED,
			   psprintf("its rule \"%s\" would change what a run does", NameStr(rule->rulename)),
			   psprintf("ALTER TABLE %s DISABLE RULE %s", cs_destination_quoted(destination),
						quote_identifier(NameStr(rule->rulename))));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return found;
}

static bool
columns_equal(const CsDestination *a, const CsDestination *b)
{
	if (a->ncolumns != b->ncolumns)
		return false;

	for (int i = 0; i < a->ncolumns; i++)
	{
		const CsDestColumn *x = &a->columns[i];
		const CsDestColumn *y = &b->columns[i];

		if (x->attnum != y->attnum || strcmp(x->name, y->name) != 0 || x->typid != y->typid ||
			x->typmod != y->typmod || x->collation != y->collation || x->notnull != y->notnull ||
			x->generated != y->generated || x->identity != y->identity || x->exact != y->exact ||
			!strings_equal(x->default_sql, y->default_sql))
			return false;
	}
	return true;
}

/* Has every usable key of a its equal in b? */
static bool
usable_keys_covered(const CsDestination *a, const CsDestination *b)
{
	ListCell *cell;

	foreach (cell, a->keys)
	{
		const CsUniqueKey *key = lfirst(cell);

		if (key->refused == NULL && !key_has_equal(key, b))
			return false;
	}
	return true;
}

static bool
key_has_equal(const CsUniqueKey *key, const CsDestination *destination)
{
	ListCell *cell;

	foreach (cell, destination->keys)
	{
		const CsUniqueKey *other = lfirst(cell);

		if (other->refused == NULL && other->primary == key->primary &&
			other->ncolumns == key->ncolumns &&
			memcmp(other->columns, key->columns, sizeof(int) * key->ncolumns) == 0 &&
			memcmp(other->eq_operators, key->eq_operators, sizeof(Oid) * key->ncolumns) == 0)
			return true;
	}
	return false;
}

/* NULL equals NULL. */
static bool
strings_equal(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a, b) == 0;
}
