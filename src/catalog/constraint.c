/*
 * constraint.c
 *		Constraints of a destination that a query can ask about.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "miscadmin.h"
#include "nodes/bitmapset.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "catalog/constraint.h"
#include "catalog/destination_internal.h"

static void load_constraint(CsConstraints *constraints, const CsDestination *destination,
							Relation relation, HeapTuple tuple, TupleDesc desc);
static void load_check(CsConstraints *constraints, const CsDestination *destination,
					   Relation relation, Datum expression);
static void load_foreign_key(CsConstraints *constraints, const CsDestination *destination,
							 HeapTuple tuple, TupleDesc desc);
static int load_numbers(HeapTuple tuple, TupleDesc desc, int column, int16 **numbers);
static bool may_read(Oid relid, const int16 *attnums, int n);
static bool has_fixed_default(Relation relation, const CsDestColumn *column);

CsConstraints *
cs_constraints_load(const CsDestination *destination)
{
	CsConstraints *constraints = palloc0(sizeof(CsConstraints));
	Relation relation = relation_open(destination->relid, AccessShareLock);
	Relation catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	constraints->fixed_default = palloc(sizeof(bool) * Max(1, destination->ncolumns));
	for (int i = 0; i < destination->ncolumns; i++)
		constraints->fixed_default[i] = has_fixed_default(relation, &destination->columns[i]);
	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(destination->relid));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		load_constraint(constraints, destination, relation, tuple, RelationGetDescr(catalog));
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	relation_close(relation, AccessShareLock);
	return constraints;
}

static void
load_constraint(CsConstraints *constraints, const CsDestination *destination, Relation relation,
				HeapTuple tuple, TupleDesc desc)
{
	Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
	bool isnull;
	Datum expression;

	if (!cs_constraint_is_enforced(form))
		return;
	if (form->contype == CONSTRAINT_CHECK)
	{
		expression = heap_getattr(tuple, Anum_pg_constraint_conbin, desc, &isnull);
		if (!isnull)
			load_check(constraints, destination, relation, expression);
	}
	else if (form->contype == CONSTRAINT_FOREIGN)
		load_foreign_key(constraints, destination, tuple, desc);
}

/* One that reads the whole row, or where the row is, is left out. */
static void
load_check(CsConstraints *constraints, const CsDestination *destination, Relation relation,
		   Datum expression)
{
	CsCheckConstraint *check = palloc0(sizeof(CsCheckConstraint));
	Node *node = stringToNode(TextDatumGetCString(expression));
	Bitmapset *attributes = NULL;
	int member = -1;

	pull_varattnos(node, 1, &attributes);
	while ((member = bms_next_member(attributes, member)) >= 0)
	{
		int position =
			cs_destination_find_attribute(destination, member + FirstLowInvalidHeapAttributeNumber);

		if (position < 0)
			return;
		check->columns = lappend_int(check->columns, position);
	}
	check->expression = cs_expression_deparse(node, relation);
	constraints->checks = lappend(constraints->checks, check);
}

static void
load_foreign_key(CsConstraints *constraints, const CsDestination *destination, HeapTuple tuple,
				 TupleDesc desc)
{
	Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
	CsForeignKey *key = palloc0(sizeof(CsForeignKey));
	bool is_self = form->confrelid == destination->relid;
	int16 *ours;
	int16 *theirs;
	bool isnull;
	Datum operators;

	key->ncolumns = load_numbers(tuple, desc, Anum_pg_constraint_conkey, &ours);
	if (load_numbers(tuple, desc, Anum_pg_constraint_confkey, &theirs) != key->ncolumns ||
		!may_read(form->confrelid, theirs, key->ncolumns))
		return;
	operators = heap_getattr(tuple, Anum_pg_constraint_conpfeqop, desc, &isnull);
	if (isnull)
		return;
	key->operators = (Oid *) ARR_DATA_PTR(DatumGetArrayTypePCopy(operators));
	key->columns = palloc(sizeof(int) * key->ncolumns);
	key->parent_columns = palloc(sizeof(char *) * key->ncolumns);
	key->self_columns = is_self ? palloc(sizeof(int) * key->ncolumns) : NULL;
	for (int i = 0; i < key->ncolumns; i++)
	{
		key->columns[i] = cs_destination_find_attribute(destination, ours[i]);
		key->parent_columns[i] =
			pstrdup(quote_identifier(get_attname(form->confrelid, theirs[i], false)));
		if (is_self)
			key->self_columns[i] = cs_destination_find_attribute(destination, theirs[i]);
	}
	key->parent =
		psprintf("%s%s", get_rel_relkind(form->confrelid) == RELKIND_RELATION ? "ONLY " : "",
				 quote_qualified_identifier(get_namespace_name(get_rel_namespace(form->confrelid)),
											get_rel_name(form->confrelid)));
	key->match_full = form->confmatchtype == FKCONSTR_MATCH_FULL;
	constraints->foreign_keys = lappend(constraints->foreign_keys, key);
}

static int
load_numbers(HeapTuple tuple, TupleDesc desc, int column, int16 **numbers)
{
	bool isnull;
	Datum value = heap_getattr(tuple, column, desc, &isnull);
	ArrayType *array;

	if (isnull)
		return 0;
	array = DatumGetArrayTypePCopy(value);
	*numbers = (int16 *) ARR_DATA_PTR(array);
	return ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
}

/* The server's own check of a foreign key needs no such right. */
static bool
may_read(Oid relid, const int16 *attnums, int n)
{
	Oid user = GetUserId();

	if (pg_class_aclcheck(relid, user, ACL_SELECT) == ACLCHECK_OK)
		return true;
	for (int i = 0; i < n; i++)
		if (pg_attribute_aclcheck(relid, attnums[i], user, ACL_SELECT) != ACLCHECK_OK)
			return false;
	return true;
}

static bool
has_fixed_default(Relation relation, const CsDestColumn *column)
{
	Node *value;

	if (column->generated || column->identity)
		return false;
	value = build_column_default(relation, column->attnum);
	return value == NULL || !contain_volatile_functions(value);
}
