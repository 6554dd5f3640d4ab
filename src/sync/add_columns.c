/*
 * add_columns.c
 *		Columns that the source has and the destination lacks.
 *
 * They are added nullable and without default, so that no row is rewritten: the
 * lock is exclusive, but short.  A domain gives way to its base type, as its
 * constraints would have every row looked at.
 */
#include "postgres.h"

#include "catalog/heap.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/user.h"
#include "catalog/cursor_state.h"
#include "sync/add_columns.h"
#include "sync/run.h"
#include "sync/sqlgen.h"

/* Everybody else queues up behind us while we wait, so without a lock_timeout there is this. */
#define LOCK_TIMEOUT "5s"

static List *find_missing(CsRun *run);
static void check_possible(const CsRun *run);
static void check_name(const CsRun *run, const CsColumn *column, List *missing);
static void refuse_name(const CsColumn *column, int code, const char *why) pg_attribute_noreturn();
static void check_owner(const CsRun *run);
static void add(CsRun *run, List *missing);
static void alter(const CsDestination *destination, const char *sql);

int
cs_columns_add(CsRun *run)
{
	List *missing;
	ListCell *lc;

	if (!run->options->add_columns || run->has_columns)
		return 0;
	check_possible(run);
	missing = find_missing(run);
	if (missing != NIL || run->run_id == 0)
		check_owner(run);
	if (missing == NIL)
		return 0;
	if (!run->dry_run)
		add(run, missing);
	foreach (lc, missing)
	{
		const CsColumn *column = lfirst(lc);

		ereport(NOTICE,
				(errmsg(run->dry_run ? "a run would add column \"%s\" %s to destination %s"
									 : "added column \"%s\" %s to destination %s",
						column->name, format_type_with_typemod(column->typid, column->typmod),
						cs_destination_quoted(run->destination))));
	}
	return list_length(missing);
}

static void
check_possible(const CsRun *run)
{
	if (run->sync->mappings && JB_ROOT_COUNT(run->sync->mappings) > 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"add_columns\" does not go with mappings"),
						errdetail("The mappings say which columns are written."),
						errhint("Leave one of them out.")));
	if (OidIsValid(run->serverid) && !cs_source_type_of_server(run->serverid)->typed)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("option \"add_columns\" needs a source that knows its columns"),
						errhint("Declare a foreign table over the server, and give it as object, "
								"without a server.")));
}

/* CsColumn *.  The source is opened for this, and closed again: it may read the destination itself, and a
 * table in use can't be altered. */
static List *
find_missing(CsRun *run)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "censync columns of source",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	CsReadSpec spec = { 0 };
	CsReader *reader;
	List *missing = NIL;

	spec.serverid = run->serverid;
	spec.userid = run->sync->owner;
	spec.query = run->sync->query;
	spec.object = run->sync->object;
	spec.near = run->options->read;
	spec.partial = true;
	reader = cs_run_open_typed(run, &spec);
	MemoryContextSwitchTo(old);
	for (int i = 0; i < reader->ncolumns; i++)
	{
		CsColumn *column;

		if (cs_destination_find_column(run->destination, reader->columns[i].name) >= 0)
			continue;
		column = palloc(sizeof(CsColumn));
		*column = reader->columns[i];
		column->name = pstrdup(column->name);
		column->typid = getBaseTypeAndTypmod(column->typid, &column->typmod);
		check_name(run, column, missing);
		missing = lappend(missing, column);
	}
	MemoryContextDelete(context);
	return missing;
}

static void
check_name(const CsRun *run, const CsColumn *column, List *missing)
{
	ListCell *lc;

	if (strlen(column->name) >= NAMEDATALEN)
		refuse_name(column, ERRCODE_NAME_TOO_LONG, "Its name is too long.");
	if (strcmp(column->name, "?column?") == 0)
		refuse_name(column, ERRCODE_INVALID_COLUMN_DEFINITION, "It has no name.");
	if (SystemAttributeByName(column->name))
		refuse_name(column, ERRCODE_DUPLICATE_COLUMN,
					"Every table has a system column of that name.");
	foreach (lc, missing)
		if (strcmp(((CsColumn *) lfirst(lc))->name, column->name) == 0)
			refuse_name(column, ERRCODE_DUPLICATE_COLUMN,
						"The source has another column of that name.");
	if (get_typtype(column->typid) == TYPTYPE_PSEUDO)
		refuse_name(column, ERRCODE_INVALID_TABLE_DEFINITION,
					psprintf("No column can be of type %s.", format_type_be(column->typid)));
}

static void
refuse_name(const CsColumn *column, int code, const char *why)
{
	ereport(ERROR,
			(errcode(code), errmsg("column \"%s\" of the source can't be added", column->name),
			 errdetail_internal("%s", why),
			 errhint("Give it another name or type in the query, or leave it out.")));
}

static void
check_owner(const CsRun *run)
{
	if (has_privs_of_role(run->apply_as, run->destination->owner))
		return;
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("role %s must own destination %s to add columns to it",
						   quote_identifier(GetUserNameFromId(run->apply_as, false)),
						   cs_destination_quoted(run->destination)),
					errhint("Its owner is %s. Let the owner add the columns, and leave option "
							"\"add_columns\" out.",
							quote_identifier(GetUserNameFromId(run->destination->owner, false)))));
}

static void
add(CsRun *run, List *missing)
{
	CsUserContext saved;

	cs_user_switch(&saved, run->apply_as, CS_SAFE_SEARCH_PATH);
	if (LockTimeout == 0)
		cs_user_set("lock_timeout", LOCK_TIMEOUT);
	alter(run->destination, cs_sql_add_columns(run->destination, missing));
	cs_user_restore(&saved);
	/* What was read before has none of their values. */
	cs_cursor_state_forget(run->sync->sync_id);
	run->destination = cs_destination_load(run->destination->relid);
	run->key = cs_destination_find_key(run->destination, run->sync->sync_key);
}

/* "Canceling statement" would leave everybody guessing which, and why. */
static void
alter(const CsDestination *destination, const char *sql)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		cs_run_execute(sql, NULL);
	}
	PG_CATCH();
	{
		CsError *error = cs_error_catch(context);

		if (error->code != ERRCODE_LOCK_NOT_AVAILABLE)
			cs_error_throw(error);
		ereport(ERROR,
				(errcode(error->code),
				 errmsg("columns could not be added to destination %s: it is in use",
						cs_destination_quoted(destination)),
				 errhint("Run again when no long transaction uses it, or set lock_timeout to "
						 "wait longer.")));
	}
	PG_END_TRY();
}
