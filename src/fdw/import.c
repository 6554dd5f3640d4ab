/*
 * import.c
 *		IMPORT FOREIGN SCHEMA: a foreign table for each object that the source
 *		lists.
 *
 * What is not imported is named, with the reason: a table that is missed later
 * was missed here.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "base/names.h"
#include "catalog/heap.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/ruleutils.h"

#include "fdw/import.h"
#include "source/reader.h"

/* A longer name in a statement may have been cut off by the parser. */
#define LONGEST_SURE_NAME (NAMEDATALEN - 1 - MAX_MULTIBYTE_CHAR_LEN)

static const CsSourceType *source_that_lists(Oid serverid);
static void refuse_options(const ImportForeignSchemaStmt *stmt);
static List *list_objects(const CsSourceType *source, Oid serverid, ImportForeignSchemaStmt *stmt);
static List *names_to_ask_for(const ImportForeignSchemaStmt *stmt);
static const char *reason_against(const CsObject *object);
static char *create_statement(const ImportForeignSchemaStmt *stmt, const CsObject *object,
							  const char *name);
static void append_column(StringInfo sql, const CsColumn *column, const char *name);
static char *name_here(const char *name, List *taken, bool of_column);
static bool is_taken(const char *name, List *taken, bool of_column);
static void warn_of_missing(const ImportForeignSchemaStmt *stmt, List *objects, List *names);
static const char *similar_name(const char *name, List *objects);

List *
cs_foreign_import(ImportForeignSchemaStmt *stmt, Oid serverid)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "censync import", ALLOCSET_DEFAULT_SIZES);
	List *statements = NIL;
	List *names = NIL;
	List *objects;
	ListCell *lc;

	refuse_options(stmt);
	MemoryContextSwitchTo(context);
	objects = list_objects(source_that_lists(serverid), serverid, stmt);
	MemoryContextSwitchTo(caller);
	foreach (lc, objects)
	{
		const CsObject *object = lfirst(lc);
		char *name = name_here(object->name, names, false);
		const char *reason = reason_against(object);

		names = lappend(names, name);
		if (!IsImportableForeignTable(name, stmt))
			continue;
		if (reason)
			ereport(WARNING, (errcode(ERRCODE_WARNING),
							  errmsg("\"%s\" is not imported: %s", object->name, reason)));
		else
			statements = lappend(statements, create_statement(stmt, object, name));
	}
	warn_of_missing(stmt, objects, names);
	MemoryContextDelete(context);
	return statements;
}

static const CsSourceType *
source_that_lists(Oid serverid)
{
	const CsSourceType *source = cs_source_type_of_server(serverid);

	if (source->list == NULL)
		ereport(
			ERROR,
			(errcode(ERRCODE_FDW_NO_SCHEMAS),
			 errmsg("a source of type \"%s\" can't tell what it has", source->name),
			 errhint("CREATE FOREIGN TABLE ... SERVER %s OPTIONS (object '...') with the columns "
					 "that you want; censync_preview shows what records have.",
					 quote_identifier(GetForeignServer(serverid)->servername))));
	return source;
}

static void
refuse_options(const ImportForeignSchemaStmt *stmt)
{
	if (stmt->options)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\"", linitial_node(DefElem, stmt->options)->defname),
				 errhint("IMPORT FOREIGN SCHEMA takes no options here.")));
}

/* In the current context, as is the connection. */
static List *
list_objects(const CsSourceType *source, Oid serverid, ImportForeignSchemaStmt *stmt)
{
	CsReadSpec *spec = palloc0(sizeof(CsReadSpec));
	List *objects;

	spec->serverid = serverid;
	spec->userid = GetUserId();
	objects = source->list(source, spec, stmt->remote_schema, names_to_ask_for(stmt));
	if (objects == NIL && stmt->list_type != FDW_IMPORT_SCHEMA_LIMIT_TO)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("schema \"%s\" of the source has no tables that can be read",
						stmt->remote_schema),
				 errhint("Check its name, capitals too, and what the mapped user may see there.")));
	return objects;
}

/* Of LIMIT TO; NIL: all, as one of them may be only the beginning of a name. */
static List *
names_to_ask_for(const ImportForeignSchemaStmt *stmt)
{
	List *names = NIL;
	ListCell *lc;

	if (stmt->list_type != FDW_IMPORT_SCHEMA_LIMIT_TO)
		return NIL;
	foreach (lc, stmt->table_list)
	{
		char *name = lfirst_node(RangeVar, lc)->relname;

		if (strlen(name) > LONGEST_SURE_NAME)
			return NIL;
		names = lappend(names, name);
	}
	return names;
}

static const char *
reason_against(const CsObject *object)
{
	if (object->refused)
		return object->refused;
	if (object->ncolumns == 0)
		return "it has no column that can be read";
	if (object->ncolumns > MaxHeapAttributeNumber)
		return psprintf("it has %d columns, and a table can have %d at most", object->ncolumns,
						MaxHeapAttributeNumber);
	return NULL;
}

static char *
create_statement(const ImportForeignSchemaStmt *stmt, const CsObject *object, const char *name)
{
	StringInfoData sql;
	List *names = NIL;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE FOREIGN TABLE %s (", quote_identifier(name));
	for (int i = 0; i < object->ncolumns; i++)
	{
		char *column = name_here(object->columns[i].name, names, true);

		names = lappend(names, column);
		appendStringInfoString(&sql, i > 0 ? ", " : "");
		append_column(&sql, &object->columns[i], column);
	}
	appendStringInfo(&sql, ") SERVER %s OPTIONS (object %s)", quote_identifier(stmt->server_name),
					 quote_literal_cstr(object->object));
	return sql.data;
}

static void
append_column(StringInfo sql, const CsColumn *column, const char *name)
{
	appendStringInfo(sql, "%s %s", quote_identifier(name),
					 format_type_extended(column->typid, column->typmod,
										  FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
	if (strcmp(name, column->name) != 0)
		appendStringInfo(sql, " OPTIONS (source %s)", quote_literal_cstr(column->name));
	if (OidIsValid(column->collation) && column->collation != get_typcollation(column->typid))
		appendStringInfo(sql, " COLLATE %s", generate_collation_name(column->collation));
	if (column->not_null)
		appendStringInfoString(sql, " NOT NULL");
}

/* The same, unless it is too long, there already, or the name of a system column. */
static char *
name_here(const char *name, List *taken, bool of_column)
{
	int len = (int) strlen(name);
	char *here = pnstrdup(name, pg_mbcliplen(name, len, NAMEDATALEN - 1));

	for (int i = 1; is_taken(here, taken, of_column); i++)
	{
		char *suffix = psprintf("_%d", i);
		int kept = pg_mbcliplen(name, len, NAMEDATALEN - 1 - (int) strlen(suffix));

		here = psprintf("%.*s%s", kept, name, suffix);
	}
	return here;
}

static bool
is_taken(const char *name, List *taken, bool of_column)
{
	return cs_names_have(taken, name) || name[0] == '\0' ||
		   (of_column && SystemAttributeByName(name) != NULL);
}

/* Names in LIMIT TO that the source does not have; those of EXCEPT do no harm. */
static void
warn_of_missing(const ImportForeignSchemaStmt *stmt, List *objects, List *names)
{
	ListCell *lc;

	if (stmt->list_type != FDW_IMPORT_SCHEMA_LIMIT_TO)
		return;
	foreach (lc, stmt->table_list)
	{
		const char *name = lfirst_node(RangeVar, lc)->relname;
		const char *similar;

		if (is_taken(name, names, false))
			continue;
		similar = similar_name(name, objects);
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("\"%s\" is not imported: schema \"%s\" of the source has no such table",
						name, stmt->remote_schema),
				 similar ? errhint("There is \"%s\".", similar) : 0));
	}
}

static const char *
similar_name(const char *name, List *objects)
{
	ListCell *lc;

	foreach (lc, objects)
		if (pg_strcasecmp(((const CsObject *) lfirst(lc))->name, name) == 0)
			return ((const CsObject *) lfirst(lc))->name;
	return NULL;
}
