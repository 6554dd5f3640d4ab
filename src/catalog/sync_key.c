/*
 * sync_key.c
 *		Finds the key of a destination that a sync's columns name.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

#include "catalog/destination.h"
#include "catalog/destination_internal.h"

/* A message names at most so many columns or keys: a table may have 1600 columns. */
#define MAX_NAMED 20

static CsUniqueKey *find_default_key(const CsDestination *destination);
static List *find_positions(const CsDestination *destination, List *names);
static char *column_list(const CsDestination *destination);
static bool key_covers(const CsUniqueKey *key, List *positions);
static void report_no_key(const CsDestination *destination, List *positions);
static char *position_names(const CsDestination *destination, List *positions);
static char *describe_keys(const CsDestination *destination);

CsUniqueKey *
cs_destination_find_key(const CsDestination *destination, List *names)
{
	List *positions;
	ListCell *cell;

	if (names == NIL)
		return find_default_key(destination);

	positions = find_positions(destination, names);
	foreach (cell, destination->keys)
	{
		CsUniqueKey *key = lfirst(cell);

		if (key->refused == NULL && key_covers(key, positions))
			return key;
	}
	report_no_key(destination, positions);
	return NULL; /* not reached */
}

static CsUniqueKey *
find_default_key(const CsDestination *destination)
{
	CsUniqueKey *usable = NULL;
	int nusable = 0;
	ListCell *cell;

	foreach (cell, destination->keys)
	{
		CsUniqueKey *key = lfirst(cell);

		if (key->refused != NULL)
			continue;
		if (key->primary)
			return key;
		usable = key;
		nusable++;
	}
	if (nusable == 0)
		report_no_key(destination, NIL);
	if (nusable > 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
						errmsg("table \"%s.%s\" has no usable primary key and several unique keys",
							   destination->schema, destination->name),
						errdetail("%s", describe_keys(destination)),
						errhint("Name the columns of one of them as the sync key.")));
	return usable;
}

/* Positions of the named columns; throws on names that are unknown or come twice. */
static List *
find_positions(const CsDestination *destination, List *names)
{
	List *positions = NIL;
	ListCell *cell;

	foreach (cell, names)
	{
		const char *name = lfirst(cell);
		int position = cs_destination_find_column(destination, name);

		if (position < 0)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
							errmsg("column \"%s\" of table \"%s.%s\" does not exist", name,
								   destination->schema, destination->name),
							errhint("Its columns are: %s.", column_list(destination))));
		if (list_member_int(positions, position))
			ereport(ERROR, (errcode(ERRCODE_DUPLICATE_COLUMN),
							errmsg("column \"%s\" appears twice in the sync key", name),
							errhint("Name each column once.")));
		positions = lappend_int(positions, position);
	}
	return positions;
}

static char *
column_list(const CsDestination *destination)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < Min(destination->ncolumns, MAX_NAMED); i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", destination->columns[i].name);
	if (destination->ncolumns > MAX_NAMED)
		appendStringInfo(&list, " and %d more", destination->ncolumns - MAX_NAMED);
	return list.data;
}

/* Is the key on exactly these columns? */
static bool
key_covers(const CsUniqueKey *key, List *positions)
{
	if (key->columns == NULL || key->ncolumns != list_length(positions))
		return false;

	for (int i = 0; i < key->ncolumns; i++)
		if (!list_member_int(positions, key->columns[i]))
			return false;
	return true;
}

/* Throws 42P10: no usable key on these columns, or none at all for NIL.  What is wrong with the table
 * as a whole goes first, as a key would not help it. */
static void
report_no_key(const CsDestination *destination, List *positions)
{
	char *columns = position_names(destination, positions);
	char *remedy = destination->remedy;
	ListCell *cell;

	if (destination->refused_code != ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
		cs_destination_check(destination);

	if (positions != NIL)
		remedy = cs_unique_key_statement(destination, "UNIQUE", positions);
	foreach (cell, destination->keys)
	{
		const CsUniqueKey *key = lfirst(cell);

		if (key->remedy != NULL && key_covers(key, positions))
			remedy = key->remedy;
	}

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
			 positions == NIL ? errmsg("table \"%s.%s\" has no primary key or unique constraint "
									   "that can identify its rows",
									   destination->schema, destination->name)
							  : errmsg("no primary key or unique constraint of table \"%s.%s\" "
									   "is on exactly these columns: %s",
									   destination->schema, destination->name, columns),
			 destination->keys ? errdetail("%s", describe_keys(destination)) : 0,
			 remedy == NULL ? errhint("Name the columns of a key that can serve, or another table.")
			 : destination->only
				 ? errhint("This statement would add one: %s;", remedy)
				 : errhint("This statement would add one, with the partition columns that it has "
						   "to contain: %s;",
						   remedy)));
}

static char *
position_names(const CsDestination *destination, List *positions)
{
	StringInfoData names;
	ListCell *cell;

	initStringInfo(&names);
	foreach (cell, positions)
		appendStringInfo(&names, "%s%s", foreach_current_index(cell) > 0 ? ", " : "",
						 destination->columns[lfirst_int(cell)].name);
	return names.data;
}

/* The keys in sentences: usable ones with their columns, the others with their reasons. */
static char *
describe_keys(const CsDestination *destination)
{
	StringInfoData text;
	ListCell *cell;

	initStringInfo(&text);
	foreach (cell, destination->keys)
	{
		const CsUniqueKey *key = lfirst(cell);

		if (foreach_current_index(cell) == MAX_NAMED)
		{
			appendStringInfo(&text, " There are %d more.",
							 list_length(destination->keys) - MAX_NAMED);
			break;
		}
		appendStringInfo(&text, "%sKey \"%s\" (", text.len > 0 ? " " : "", key->name);
		for (int i = 0; i < key->ncolumns; i++)
			appendStringInfo(&text, "%s%s", i > 0 ? ", " : "", key->parts[i]);
		if (key->refused != NULL)
			appendStringInfo(&text, ") cannot serve: %s.", key->refused);
		else
			appendStringInfoString(&text, ") can serve.");
	}
	return text.data;
}
