/*
 * list.c
 *		The tables and views of a database of the source, for IMPORT FOREIGN
 *		SCHEMA.  Each is described as a statement that reads it would be.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/compat.h"
#include "driver_mysql/mysql_session.h"

#include <errmsg.h>

static void check_schema(MysqlSession *session, const char *schema);
static List *read_names(MysqlSession *session, const char *sql);
static CsObject *describe_object(MysqlSession *session, const char *schema, char *name);
static void append_text(StringInfo sql, const char *text);
static void append_name(StringInfo sql, const char *name);
static void append_part(StringInfo object, const char *name);

List *
cs_mysql_list(CsSqlSession *base, const char *schema, List *only)
{
	MysqlSession *session = (MysqlSession *) base;
	StringInfoData sql;
	List *objects = NIL;
	ListCell *lc;

	check_schema(session, schema);
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT table_name FROM information_schema.tables"
								 " WHERE table_type <> 'SEQUENCE' AND table_schema = ");
	append_text(&sql, schema);
	foreach (lc, only)
	{
		appendStringInfoString(&sql, lc == list_head(only) ? " AND table_name IN (" : ", ");
		append_text(&sql, lfirst(lc));
	}
	appendStringInfoString(&sql, only ? ") ORDER BY table_name" : " ORDER BY table_name");
	foreach (lc, read_names(session, sql.data))
		objects = lappend(objects, describe_object(session, schema, lfirst(lc)));
	return objects;
}

static void
check_schema(MysqlSession *session, const char *schema)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(
		&sql, "SELECT schema_name FROM information_schema.schemata WHERE schema_name = ");
	append_text(&sql, schema);
	if (read_names(session, sql.data) == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
				 errmsg("the source has no database \"%s\"", schema),
				 errhint("Databases that the user has no privilege in are not seen, either.")));
}

static List *
read_names(MysqlSession *session, const char *sql)
{
	List *names = NIL;

	cs_mysql_execute(&session->base, sql);
	/* What a server says that its rows are is believed only where it is checked. */
	if (session->base.ncolumns != 1 ||
		(session->base.columns[0].typid != TEXTOID && session->base.columns[0].typid != VARCHAROID))
		ereport(ERROR, (errcode(ERRCODE_FDW_ERROR),
						errmsg("the source lists tables otherwise than by their names")));
	while (cs_mysql_next_row(&session->base))
	{
		CHECK_FOR_INTERRUPTS();
		if (!session->base.nulls[0])
			names = lappend(names, TextDatumGetCString(session->base.values[0]));
	}
	return names;
}

static CsObject *
describe_object(MysqlSession *session, const char *schema, char *name)
{
	CsObject *object = palloc0(sizeof(CsObject));
	StringInfoData text;
	StringInfoData sql;

	initStringInfo(&text);
	append_part(&text, schema);
	appendStringInfoChar(&text, '.');
	append_part(&text, name);
	object->schema = pstrdup(schema);
	object->name = name;
	object->object = text.data;
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT * FROM ");
	append_name(&sql, schema);
	appendStringInfoChar(&sql, '.');
	append_name(&sql, name);
	if (cs_mysql_prepare(session, sql.data))
	{
		cs_mysql_set_columns(session);
		object->ncolumns = session->base.ncolumns;
		object->columns = session->base.columns;
	}
	else if (mysql_errno(session->mysql) >= CR_MIN_ERROR &&
			 mysql_errno(session->mysql) <= CR_MAX_ERROR)
		cs_mysql_throw(session);
	else
		object->refused = cs_mysql_message(session);
	return object;
}

/* As bytes, which no setting of the source reads in another way. */
static void
append_text(StringInfo sql, const char *text)
{
	const char *encoded = pg_server_to_any(text, (int) strlen(text), PG_UTF8);

	appendStringInfoString(sql, "_utf8mb4 X'");
	for (; *encoded; encoded++)
		appendStringInfo(sql, "%02X", (unsigned char) *encoded);
	appendStringInfoChar(sql, '\'');
}

static void
append_name(StringInfo sql, const char *name)
{
	appendStringInfoChar(sql, '`');
	for (; *name; name++)
	{
		if (*name == '`')
			appendStringInfoChar(sql, *name);
		appendStringInfoChar(sql, *name);
	}
	appendStringInfoChar(sql, '`');
}

/* As option object has it. */
static void
append_part(StringInfo object, const char *name)
{
	bool plain = strpbrk(name, ".\"") == NULL;

	if (!plain)
		appendStringInfoChar(object, '"');
	for (; *name; name++)
	{
		if (*name == '"')
			appendStringInfoChar(object, *name);
		appendStringInfoChar(object, *name);
	}
	if (!plain)
		appendStringInfoChar(object, '"');
}
