/*
 * objects.c
 *		censync_objects(): what tables there are, whether they can be
 *		destinations, and by which keys.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "catalog/destination.h"

/* A relation to be shown; lives until the call ends. */
typedef struct ListedRelation
{
	Oid relid;
	char *schema;
	char *name;
} ListedRelation;

/* Columns of the result. */
enum
{
	OUT_SCHEMA_NAME,
	OUT_TABLE_NAME,
	OUT_SUPPORTED,
	OUT_KEY_NAME,
	OUT_SYNC_KEY,
	OUT_IS_PRIMARY,
	OUT_USABLE,
	OUT_REASON,
	OUT_REMEDY,
	OUT_COUNT
};

static Oid find_schema(const char *name);
static List *list_relations(Oid schema, MemoryContext scratch);
static bool is_listed(Form_pg_class form);
static bool privilege_granted(PGFunction function, Oid object, const char *privileges);
static int compare_relations(const ListCell *a, const ListCell *b);
static void emit_relation(ReturnSetInfo *result, Oid relid);
static void emit_row(ReturnSetInfo *result, const CsDestination *destination,
					 const CsUniqueKey *key);
static void set_text(Datum *value, bool *isnull, const char *text);
static Datum name_datum(const char *name);
static Datum parts_array(const CsUniqueKey *key);

PG_FUNCTION_INFO_V1(censync_objects);

/*
 * censync_objects(schema name DEFAULT NULL): a row per relation and key, of the relations that the
 * caller may read or write.  Throws 3F000 for a schema that does not exist.
 */
PGDLLEXPORT Datum
censync_objects(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid schema = InvalidOid;
	MemoryContext relation_context;
	ListCell *cell;

	InitMaterializedSRF(fcinfo, 0);
	if (!PG_ARGISNULL(0))
	{
		schema = find_schema(NameStr(*PG_GETARG_NAME(0)));
		if (!OidIsValid(schema))
			return (Datum) 0;
	}

	relation_context =
		AllocSetContextCreate(CurrentMemoryContext, "censync objects", ALLOCSET_DEFAULT_SIZES);
	foreach (cell, list_relations(schema, relation_context))
	{
		const ListedRelation *listed = lfirst(cell);
		MemoryContext caller_context = MemoryContextSwitchTo(relation_context);

		CHECK_FOR_INTERRUPTS();
		emit_relation(result, listed->relid);
		MemoryContextSwitchTo(caller_context);
		MemoryContextReset(relation_context);
	}
	MemoryContextDelete(relation_context);
	return (Datum) 0;
}

/* pg_temp stands for the session's own temporary schema, which need not exist yet: InvalidOid. */
static Oid
find_schema(const char *name)
{
	Oid schema = LookupNamespaceNoError(name);

	if (!OidIsValid(schema) && strcmp(name, "pg_temp") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_SCHEMA), errmsg("schema \"%s\" does not exist", name),
				 errhint("Leave the argument out to see the tables of all schemas.")));
	return schema;
}

/*
 * The relations to show, in order.  Names are held for that order, and because no scan should stay
 * open while relations are opened, which may have to wait for locks.  The scratch context is reset.
 */
static List *
list_relations(Oid schema, MemoryContext scratch)
{
	Relation catalog = table_open(RelationRelationId, AccessShareLock);
	List *relations = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	ScanKeyInit(&key, Anum_pg_class_relnamespace, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(schema));
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, OidIsValid(schema) ? 1 : 0, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);
		MemoryContext caller_context = MemoryContextSwitchTo(scratch);
		bool wanted = is_listed(form);
		ListedRelation *listed;

		MemoryContextSwitchTo(caller_context);
		MemoryContextReset(scratch);
		CHECK_FOR_INTERRUPTS();
		if (!wanted)
			continue;
		listed = palloc(sizeof(ListedRelation));
		listed->relid = form->oid;
		listed->schema = get_namespace_name(form->relnamespace);
		listed->name = pstrdup(NameStr(form->relname));
		if (listed->schema != NULL)
			relations = lappend(relations, listed);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);

	list_sort(relations, compare_relations);
	return relations;
}

/* Tables and what could be taken for one, outside the system's schemas, that the caller can use. */
static bool
is_listed(Form_pg_class form)
{
	char *schema;

	if (form->relkind != RELKIND_RELATION && form->relkind != RELKIND_PARTITIONED_TABLE &&
		form->relkind != RELKIND_VIEW && form->relkind != RELKIND_MATVIEW &&
		form->relkind != RELKIND_FOREIGN_TABLE)
		return false;
	if (IsCatalogNamespace(form->relnamespace) || IsToastNamespace(form->relnamespace) ||
		isOtherTempNamespace(form->relnamespace))
		return false;

	schema = get_namespace_name(form->relnamespace);
	if (schema == NULL || strcmp(schema, "information_schema") == 0 ||
		strcmp(schema, "censync") == 0)
		return false;

	return privilege_granted(has_schema_privilege_id, form->relnamespace, "USAGE") &&
		   privilege_granted(has_any_column_privilege_id, form->oid, "SELECT, INSERT, UPDATE");
}

/*
 * Asks the SQL function of that name about the current user.  Those, unlike the server's internal
 * functions, answer NULL for an object that is gone, and are the same in all versions.
 */
static bool
privilege_granted(PGFunction function, Oid object, const char *privileges)
{
	LOCAL_FCINFO(call, 2);
	Datum granted;

	InitFunctionCallInfoData(*call, NULL, 2, InvalidOid, NULL, NULL);
	call->args[0].value = ObjectIdGetDatum(object);
	call->args[0].isnull = false;
	call->args[1].value = CStringGetTextDatum(privileges);
	call->args[1].isnull = false;
	granted = function(call);
	return !call->isnull && DatumGetBool(granted);
}

static int
compare_relations(const ListCell *a, const ListCell *b)
{
	const ListedRelation *x = lfirst(a);
	const ListedRelation *y = lfirst(b);
	int order = strcmp(x->schema, y->schema);

	return order != 0 ? order : strcmp(x->name, y->name);
}

/* A table that was dropped since it was listed is passed over. */
static void
emit_relation(ReturnSetInfo *result, Oid relid)
{
	Relation relation = try_relation_open(relid, AccessShareLock);
	CsDestination *destination;
	ListCell *cell;

	if (relation == NULL)
		return;
	destination = cs_destination_load(relid);
	relation_close(relation, AccessShareLock);

	/* Keys are of no interest where the table is refused for anything but its keys. */
	if (destination->keys == NIL ||
		(destination->refused != NULL &&
		 destination->refused_code != ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE))
		emit_row(result, destination, NULL);
	else
		foreach (cell, destination->keys)
			emit_row(result, destination, lfirst(cell));
}

/* One row; the key is NULL for a table that has none to show. */
static void
emit_row(ReturnSetInfo *result, const CsDestination *destination, const CsUniqueKey *key)
{
	Datum values[OUT_COUNT] = { 0 };
	bool nulls[OUT_COUNT] = { false };
	const char *reason = key ? key->refused : destination->refused;
	const char *remedy = destination->remedy;

	/* An unusable key without a remedy of its own shows that of the table, which may have none. */
	if (key != NULL && (key->refused == NULL || key->remedy != NULL))
		remedy = key->remedy;

	values[OUT_SCHEMA_NAME] = name_datum(destination->schema);
	values[OUT_TABLE_NAME] = name_datum(destination->name);
	values[OUT_SUPPORTED] = BoolGetDatum(destination->refused == NULL);
	values[OUT_USABLE] = BoolGetDatum(key != NULL && key->refused == NULL);
	nulls[OUT_KEY_NAME] = nulls[OUT_SYNC_KEY] = nulls[OUT_IS_PRIMARY] = key == NULL;
	if (key != NULL)
	{
		values[OUT_KEY_NAME] = name_datum(key->name);
		values[OUT_SYNC_KEY] = parts_array(key);
		values[OUT_IS_PRIMARY] = BoolGetDatum(key->primary);
	}
	set_text(&values[OUT_REASON], &nulls[OUT_REASON], reason);
	set_text(&values[OUT_REMEDY], &nulls[OUT_REMEDY], remedy);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
set_text(Datum *value, bool *isnull, const char *text)
{
	*isnull = text == NULL;
	if (text != NULL)
		*value = CStringGetTextDatum(text);
}

static Datum
name_datum(const char *name)
{
	return DirectFunctionCall1(namein, CStringGetDatum(name));
}

static Datum
parts_array(const CsUniqueKey *key)
{
	Datum *elements = palloc(sizeof(Datum) * key->ncolumns);

	for (int i = 0; i < key->ncolumns; i++)
		elements[i] = CStringGetTextDatum(key->parts[i]);
	return PointerGetDatum(
		construct_array(elements, key->ncolumns, TEXTOID, -1, false, TYPALIGN_INT));
}
