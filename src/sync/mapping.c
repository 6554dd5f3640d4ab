/*
 * mapping.c
 *		Which destination columns a sync writes, and from what.
 */
#include "postgres.h"

#include "base/names.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "base/compat.h"
#include "catalog/spi.h"
#include "sync/mapping.h"

static CsMapping *add_mapping(CsMappingSet *set, int column);
static void load_by_name(CsMappingSet *set, List *source_columns);
static void load_explicit(CsMappingSet *set, const CsSync *sync);
static void load_one(CsMappingSet *set, CsCatalogAccess *access, uint64 row);
static void check_writable(const CsDestination *destination, const CsDestColumn *column);
static void check_source_columns(const CsMappingSet *set, List *source_columns);
static void check_complete(const CsMappingSet *set, const CsSync *sync);
static void report_unmapped_key(const CsMappingSet *set, const CsDestColumn *column)
	pg_attribute_noreturn();
static void sort_keys_first(CsMappingSet *set);
static CsMapping *find_mapping(const CsMappingSet *set, int column);
static char *column_names(const CsDestination *destination);
static char *quoted_names(List *names);
static CsValueKind kind_by_name(const char *name);

CsMappingSet *
cs_mapping_load(const CsSync *sync, const CsDestination *destination, const CsUniqueKey *key,
				List *source_columns)
{
	CsMappingSet *set = palloc0(sizeof(CsMappingSet));

	set->items = palloc0(sizeof(CsMapping) * destination->ncolumns);
	set->destination = destination;
	set->key = key;
	set->explicit = sync->mappings && JB_ROOT_COUNT(sync->mappings) > 0;
	if (set->explicit)
		load_explicit(set, sync);
	else
		load_by_name(set, source_columns);
	check_source_columns(set, source_columns);
	check_complete(set, sync);
	sort_keys_first(set);
	return set;
}

void
cs_mapping_settle(CsMappingSet *set, const CsSync *sync, const bool *seen)
{
	int kept = 0;

	for (int i = 0; i < set->count; i++)
	{
		if (!seen[i] && !set->items[i].by_name)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
							errmsg("no record of the source has \"%s\"", set->items[i].source),
							errdetail("It is mapped to column \"%s\".", set->items[i].dest->name),
							errhint("censync_preview shows what the records have.")));
		if (seen[i])
			set->items[kept++] = set->items[i];
	}
	set->count = kept;
	check_complete(set, sync);
}

bool
cs_mapping_has_column(const CsMappingSet *set, const CsDestColumn *column)
{
	return find_mapping(set, (int) (column - set->destination->columns)) != NULL;
}

bool
cs_mapping_is_compared(const CsMapping *mapping)
{
	return !mapping->is_key || !mapping->dest->exact;
}

static CsMapping *
add_mapping(CsMappingSet *set, int column)
{
	CsMapping *mapping = &set->items[set->count++];

	mapping->dest = &set->destination->columns[column];
	for (int k = 0; k < set->key->ncolumns; k++)
		if (set->key->columns[k] == column)
			mapping->is_key = true;
	return mapping;
}

static void
load_by_name(CsMappingSet *set, List *source_columns)
{
	for (int c = 0; c < set->destination->ncolumns; c++)
	{
		const CsDestColumn *column = &set->destination->columns[c];
		CsMapping *mapping;

		if (column->generated || column->identity == ATTRIBUTE_IDENTITY_ALWAYS)
			continue;
		if (source_columns && !cs_names_have(source_columns, column->name))
			continue;
		mapping = add_mapping(set, c);
		mapping->source = column->name;
		mapping->by_name = true;
	}
}

/* jsonb's own functions take the mappings apart, so that a constant keeps every digit. */
static void
load_explicit(CsMappingSet *set, const CsSync *sync)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };

	cs_catalog_begin(&access);
	cs_args_add(&args, JSONBOID, JsonbPGetDatum(sync->mappings), false);
	cs_catalog_execute(
		"SELECT m.key, jsonb_typeof(m.value), m.value #>> '{}', f.source, f.expression, "
		"f.given ? 'value', jsonb_typeof(f.given -> 'value'), f.given ->> 'value', f.when_null, "
		"f.\"when\", (SELECT string_agg(k, ', ') FROM jsonb_object_keys(f.given) k WHERE k NOT IN "
		"('source', 'column', 'expression', 'value', 'when_null', 'when')), "
		"(SELECT count(*) FILTER (WHERE k IN ('source', 'column', 'expression', 'value')) > 1 OR "
		"bool_or(k <> 'value' AND jsonb_typeof(v) <> 'string') FROM jsonb_each(f.given) e (k, v)) "
		"FROM jsonb_each($1) m, LATERAL (SELECT g.given, "
		"coalesce(g.given ->> 'source', g.given ->> 'column') AS source, "
		"g.given ->> 'expression' AS expression, g.given ->> 'when_null' AS when_null, "
		"g.given ->> 'when' AS \"when\" FROM (SELECT CASE WHEN jsonb_typeof(m.value) = 'object' "
		"THEN m.value ELSE '{}'::jsonb END AS given) g) f",
		&args);
	for (uint64 row = 0; row < SPI_processed; row++)
		load_one(set, &access, row);
	cs_catalog_end(&access);
}

static void
load_one(CsMappingSet *set, CsCatalogAccess *access, uint64 row)
{
	char *name = cs_catalog_text(access, row, 1);
	char *type = cs_catalog_text(access, row, 2);
	char *expression = cs_catalog_text(access, row, 5);
	char *when_null = cs_catalog_text(access, row, 9);
	char *when = cs_catalog_text(access, row, 10);
	char *unknown = cs_catalog_text(access, row, 11);
	bool isnull;
	bool has_value = DatumGetBool(cs_catalog_datum(row, 6, &isnull));
	bool malformed = DatumGetBool(cs_catalog_datum(row, 12, &isnull));
	int column = cs_destination_find_column(set->destination, name);
	MemoryContext spi = MemoryContextSwitchTo(access->caller);
	CsMapping *mapping;

	if (column < 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("column \"%s\" of destination %s does not exist", name,
							   cs_destination_quoted(set->destination)),
						errhint("Its columns are %s.", column_names(set->destination))));
	check_writable(set->destination, &set->destination->columns[column]);
	if ((strcmp(type, "string") != 0 && strcmp(type, "object") != 0) || unknown || malformed ||
		(when_null && strcmp(when_null, "skip") != 0) || (when && strcmp(when, "empty") != 0))
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid mapping of column \"%s\"", name),
			 unknown ? errdetail("It has unknown members: %s.", unknown) : 0,
			 errhint(
				 "A mapping is \"source_column\", or an object of one of source, expression "
				 "and value, with \"when_null\": \"skip\" and \"when\": \"empty\" if wanted.")));
	mapping = add_mapping(set, column);
	mapping->skip_null = when_null != NULL;
	mapping->only_empty = when != NULL;
	if (has_value)
	{
		mapping->kind = CS_MAP_VALUE;
		mapping->value.kind = kind_by_name(cs_catalog_text(access, row, 7));
		mapping->value.text = cs_catalog_text(access, row, 8);
		mapping->value.len = mapping->value.text ? (int) strlen(mapping->value.text) : 0;
	}
	else if (expression)
	{
		mapping->kind = CS_MAP_EXPRESSION;
		mapping->source = expression;
	}
	else
	{
		char *source = cs_catalog_text(access, row, strcmp(type, "string") == 0 ? 3 : 4);

		mapping->source = source ? source : name;
	}
	MemoryContextSwitchTo(spi);
}

static void
check_writable(const CsDestination *destination, const CsDestColumn *column)
{
	if (column->generated)
		ereport(ERROR, (errcode(ERRCODE_GENERATED_ALWAYS),
						errmsg("column \"%s\" of destination %s is a generated column",
							   column->name, cs_destination_quoted(destination)),
						errhint("Leave it out of the mappings: PostgreSQL computes it.")));
	if (column->identity == ATTRIBUTE_IDENTITY_ALWAYS)
		ereport(ERROR,
				(errcode(ERRCODE_GENERATED_ALWAYS),
				 errmsg("column \"%s\" of destination %s is GENERATED ALWAYS AS IDENTITY",
						column->name, cs_destination_quoted(destination)),
				 errhint("Leave it out of the mappings, or ALTER TABLE %s ALTER COLUMN %s SET "
						 "GENERATED BY DEFAULT.",
						 cs_destination_quoted(destination), quote_identifier(column->name))));
}

static void
check_source_columns(const CsMappingSet *set, List *source_columns)
{
	if (source_columns == NIL)
		return;
	for (int i = 0; i < set->count; i++)
	{
		const CsMapping *mapping = &set->items[i];

		if (mapping->kind == CS_MAP_COLUMN && !cs_names_have(source_columns, mapping->source))
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
							errmsg("the source has no column \"%s\"", mapping->source),
							errdetail("It is mapped to column \"%s\".", mapping->dest->name),
							errhint("Its columns are %s.", quoted_names(source_columns))));
	}
}

static void
check_complete(const CsMappingSet *set, const CsSync *sync)
{
	const CsDestination *destination = set->destination;

	for (int k = 0; k < set->key->ncolumns; k++)
		if (find_mapping(set, set->key->columns[k]) == NULL)
			report_unmapped_key(set, &destination->columns[set->key->columns[k]]);
	for (int c = 0; c < destination->ncolumns && sync->behavior != CS_UPDATE; c++)
	{
		const CsDestColumn *column = &destination->columns[c];

		if (column->notnull && column->default_sql == NULL && !column->generated &&
			!column->identity && find_mapping(set, c) == NULL)
			ereport(
				ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("column \"%s\" of destination %s is NOT NULL, has no default and is not "
						"mapped",
						column->name, cs_destination_quoted(destination)),
				 errdetail("Behavior \"%s\" could not insert a row.",
						   cs_behavior_name(sync->behavior)),
				 errhint("Map it, give it a default, or use behavior \"update\".")));
	}
}

static void
report_unmapped_key(const CsMappingSet *set, const CsDestColumn *column)
{
	const char *hint = "The source has no column of that name: map it, or use another sync key.";

	if (column->generated || column->identity == ATTRIBUTE_IDENTITY_ALWAYS)
		hint = "PostgreSQL generates it, and a run must not write it: use another sync key.";
	else if (set->explicit)
		hint = "Add it to the mappings, or use another sync key.";
	ereport(ERROR, (errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
					errmsg("column \"%s\" of the sync key is not mapped", column->name),
					errhint("%s", hint)));
}

static void
sort_keys_first(CsMappingSet *set)
{
	CsMapping *sorted = palloc0(sizeof(CsMapping) * Max(1, set->destination->ncolumns));
	int n = 0;

	for (int k = 0; k < set->key->ncolumns; k++)
		sorted[n++] = *find_mapping(set, set->key->columns[k]);
	set->nkeys = n;
	for (int i = 0; i < set->count; i++)
		if (!set->items[i].is_key)
			sorted[n++] = set->items[i];
	set->items = sorted;
	for (int i = 0; i < set->count; i++)
		sorted[i].position = i + 1;
}

static CsMapping *
find_mapping(const CsMappingSet *set, int column)
{
	for (int i = 0; i < set->count; i++)
		if (set->items[i].dest == &set->destination->columns[column])
			return &set->items[i];
	return NULL;
}

static char *
column_names(const CsDestination *destination)
{
	List *names = NIL;

	for (int c = 0; c < destination->ncolumns; c++)
		names = lappend(names, destination->columns[c].name);
	return quoted_names(names);
}

static char *
quoted_names(List *names)
{
	StringInfoData quoted;
	ListCell *lc;

	initStringInfo(&quoted);
	foreach (lc, names)
		appendStringInfo(&quoted, "%s\"%s\"", quoted.len ? ", " : "", (char *) lfirst(lc));
	return quoted.data;
}

static CsValueKind
kind_by_name(const char *name)
{
	static const char *const names[] = { "null", "string", "number", "boolean", "object", "array" };

	for (int i = 0; i < (int) lengthof(names); i++)
		if (name && strcmp(names[i], name) == 0)
			return (CsValueKind) i;
	return CS_VALUE_NULL;
}
