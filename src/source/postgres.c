/*
 * postgres.c
 *		Source: PostgreSQL.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/pg_locale.h"

#include "source/databases.h"
#include "source/libpq.h"
#include "source/option_table.h"
#include "source/postgres_dialect.h"
#include "source/sql_statement.h"

/* One snapshot for all of a read, and text of values that any server reads as this one does.  Local to the
 * transaction, so that a pooler's connections stay as they were. */
#define BEGIN_READ                                                                                 \
	"START TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;"                                 \
	"SET LOCAL DateStyle = ISO; SET LOCAL IntervalStyle = postgres; SET LOCAL TimeZone = 'UTC';"   \
	"SET LOCAL extra_float_digits = 3; SET LOCAL bytea_output = hex;"                              \
	"SET LOCAL standard_conforming_strings = on"

/* Tables, views and foreign tables of schema $1 with their columns, domains as what they are made of.
 * Partitions come by name only: their table has their rows. */
#define LIST_OBJECTS                                                                               \
	"WITH RECURSIVE inner_type(domain, type, typmod) AS ("                                         \
	" SELECT oid, typbasetype, typtypmod FROM pg_type WHERE typtype = 'd'"                         \
	" UNION ALL SELECT i.domain, t.typbasetype, t.typtypmod"                                       \
	" FROM inner_type i JOIN pg_type t ON t.oid = i.type WHERE t.typtype = 'd'),"                  \
	" base AS (SELECT i.domain, i.type, i.typmod FROM inner_type i"                                \
	" JOIN pg_type t ON t.oid = i.type WHERE t.typtype <> 'd')"                                    \
	" SELECT c.relname, pg_catalog.has_any_column_privilege(c.oid, 'SELECT'), a.attname,"          \
	" coalesce(b.type, a.atttypid), CASE WHEN b.type IS NULL THEN a.atttypmod ELSE b.typmod END,"  \
	" a.attnotnull"                                                                                \
	" FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"                               \
	" LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"      \
	" LEFT JOIN base b ON b.domain = a.atttypid"                                                   \
	" WHERE n.nspname = $1 AND c.relkind IN ('r', 'v', 'm', 'f', 'p')"                             \
	" AND ($2::text[] IS NULL AND %s OR c.relname = ANY ($2::text[]))"                             \
	" ORDER BY c.relname COLLATE \"C\", a.attnum"

/* Versions as PQserverVersion says them. */
#define FIRST_WITH_PARTITIONS 100000

static CsSqlSession *postgres_connect(CsSqlLogin *login);
static void set_type(CsPqSession *session, CsColumn *column, CsPqColumn *read, Oid type,
					 int32 typmod);
static List *postgres_list(CsSqlSession *base, const char *schema, List *only);
static void check_schema(CsPqSession *session, const char *schema);
static const char *array_of(List *names);
static List *objects_of(CsPqSession *session, const char *schema, const PGresult *rows);
static CsObject *object_of(CsPqSession *session, const char *schema, const PGresult *rows, int *at);

static const CsPqFlavor flavor = { "PostgreSQL", BEGIN_READ, set_type };

static const CsSqlDriver driver = {
	CS_SQL_DRIVER_VERSION, postgres_connect,	cs_pq_describe,
	cs_pq_copy_execute,	   cs_pq_copy_next_row, postgres_list,
};

const CsSqlSource cs_source_postgres = {
	CS_SQL_SOURCE("postgres", CS_FOR_POSTGRES), &cs_postgres_dialect, &driver, NULL, NULL, 5432,
};

static CsSqlSession *
postgres_connect(CsSqlLogin *login)
{
	return cs_pq_connect(login, &driver, &flavor);
}

static void
set_type(CsPqSession *session, CsColumn *column, CsPqColumn *read, Oid type, int32 typmod)
{
	if (!cs_pq_type_set(session, column, read, type, typmod))
		cs_pq_type_set_text(column, read);
}

/* The session is for this alone: its search_path is no longer the user's. */
static List *
postgres_list(CsSqlSession *base, const char *schema, List *only)
{
	CsPqSession *session = (CsPqSession *) base;
	const char *params[2] = { schema, array_of(only) };
	bool partitions = PQserverVersion(session->conn) >= FIRST_WITH_PARTITIONS;

	cs_pq_query(session, "SET LOCAL search_path = pg_catalog", 0, NULL);
	check_schema(session, schema);
	cs_pq_query(session, psprintf(LIST_OBJECTS, partitions ? "NOT c.relispartition" : "true"), 2,
				params);
	return objects_of(session, schema, session->result);
}

static void
check_schema(CsPqSession *session, const char *schema)
{
	if (PQntuples(
			cs_pq_query(session, "SELECT 1 FROM pg_namespace WHERE nspname = $1", 1, &schema)) == 0)
		ereport(ERROR, (errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
						errmsg("the source has no schema \"%s\"", schema),
						errhint("Names are case-sensitive when they stand in double quotes.")));
}

/* As text of an array; NULL for an empty list. */
static const char *
array_of(List *names)
{
	StringInfoData array;
	ListCell *lc;

	if (names == NIL)
		return NULL;
	initStringInfo(&array);
	foreach (lc, names)
	{
		appendStringInfoString(&array, array.len ? ",\"" : "{\"");
		for (const char *c = lfirst(lc); *c; c++)
		{
			if (*c == '"' || *c == '\\')
				appendStringInfoChar(&array, '\\');
			appendStringInfoChar(&array, *c);
		}
		appendStringInfoChar(&array, '"');
	}
	appendStringInfoChar(&array, '}');
	return array.data;
}

static List *
objects_of(CsPqSession *session, const char *schema, const PGresult *rows)
{
	List *objects = NIL;
	int at = 0;

	while (at < PQntuples(rows))
		objects = lappend(objects, object_of(session, schema, rows, &at));
	return objects;
}

/* From the rows at *at on, which goes on to the next object's. */
static CsObject *
object_of(CsPqSession *session, const char *schema, const PGresult *rows, int *at)
{
	CsObject *object = palloc0(sizeof(CsObject));
	int first = *at;

	object->schema = pstrdup(schema);
	object->name = cs_pq_clean(PQgetvalue(rows, first, 0));
	object->object = cs_sql_object_text(schema, object->name);
	if (strcmp(PQgetvalue(rows, first, 1), "t") != 0)
		object->refused = psprintf("user \"%s\" has no privilege to read it", session->login->user);
	while (*at < PQntuples(rows) &&
		   strcmp(PQgetvalue(rows, *at, 0), PQgetvalue(rows, first, 0)) == 0)
		(*at)++;
	object->columns = palloc0(sizeof(CsColumn) * (*at - first));
	for (int i = first; i < *at && !PQgetisnull(rows, i, 2); i++)
	{
		CsColumn *column = &object->columns[object->ncolumns++];
		CsPqColumn ignored;

		column->name = cs_pq_clean(PQgetvalue(rows, i, 2));
		column->not_null = strcmp(PQgetvalue(rows, i, 5), "t") == 0;
		set_type(session, column, &ignored, (Oid) strtoul(PQgetvalue(rows, i, 3), NULL, 10),
				 (int32) strtol(PQgetvalue(rows, i, 4), NULL, 10));
	}
	return object;
}
