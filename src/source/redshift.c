/*
 * redshift.c
 *		Source: Amazon Redshift.
 *
 * It speaks PostgreSQL's protocol, and SQL as PostgreSQL 8.0 did, without COPY
 * to a client: rows come as text, one by one.  Its own types have OIDs that
 * mean nothing here.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "source/databases.h"
#include "source/libpq.h"
#include "source/option_table.h"
#include "source/postgres_dialect.h"

/* Every transaction there has one snapshot.  These settings it knows. */
#define BEGIN_READ                                                                                 \
	"BEGIN READ ONLY; SET datestyle TO 'ISO'; SET timezone TO 'UTC'; SET extra_float_digits TO 2"

/* Of tables, views, late-binding views and external tables.  Names are varchar, not name. */
#define LIST_COLUMNS                                                                               \
	"SELECT table_name, column_name, data_type, character_maximum_length, numeric_precision,"      \
	" numeric_scale, is_nullable FROM svv_columns WHERE table_schema = "
#define ORDER_OF_COLUMNS " ORDER BY table_name, ordinal_position"

/* Types of its own. */
#define GEOMETRY_TYPE 3000
#define GEOGRAPHY_TYPE 3001
#define GEOMETRY_HEX_TYPE 3999
#define HLLSKETCH_TYPE 2935
#define SUPER_TYPE 4000
#define VARBYTE_TYPE 6551

static const struct
{
	const char *name;
	Oid type;
} type_names[] = {
	{ "smallint", INT2OID },
	{ "integer", INT4OID },
	{ "bigint", INT8OID },
	{ "numeric", NUMERICOID },
	{ "real", FLOAT4OID },
	{ "double precision", FLOAT8OID },
	{ "boolean", BOOLOID },
	{ "character", BPCHAROID },
	{ "character varying", VARCHAROID },
	{ "date", DATEOID },
	{ "time without time zone", TIMEOID },
	{ "time with time zone", TIMETZOID },
	{ "timestamp without time zone", TIMESTAMPOID },
	{ "timestamp with time zone", TIMESTAMPTZOID },
	{ "super", SUPER_TYPE },
	{ "hllsketch", HLLSKETCH_TYPE },
	{ "varbyte", VARBYTE_TYPE },
	{ "binary varying", VARBYTE_TYPE },
};

static CsSqlSession *redshift_connect(CsSqlLogin *login);
static void set_type(CsPqSession *session, CsColumn *column, CsPqColumn *read, Oid type,
					 int32 typmod);
static bool is_known_here(Oid type);
static List *redshift_list(CsSqlSession *base, const char *schema, List *only);
static int count_columns(const PGresult *rows, int first);
static char *list_statement(const char *schema, List *only);
static void add_column(CsPqSession *session, CsObject *object, const PGresult *rows, int row);
static Oid type_of_name(const char *name);
static int32 typmod_of(Oid type, const PGresult *rows, int row);
static int number_of(const PGresult *rows, int row, int column);

static const CsPqFlavor flavor = { "Redshift", BEGIN_READ, set_type };

static const CsSqlDriver driver = {
	CS_SQL_DRIVER_VERSION, redshift_connect,	cs_pq_describe,
	cs_pq_rows_execute,	   cs_pq_rows_next_row, redshift_list,
};

const CsSqlSource cs_source_redshift = {
	CS_SQL_SOURCE("redshift", CS_FOR_REDSHIFT), &cs_redshift_dialect, &driver, NULL, NULL, 5439,
};

static CsSqlSession *
redshift_connect(CsSqlLogin *login)
{
	return cs_pq_connect(login, &driver, &flavor);
}

static void
set_type(CsPqSession *session pg_attribute_unused(), CsColumn *column, CsPqColumn *read, Oid type,
		 int32 typmod)
{
	switch (type)
	{
		case SUPER_TYPE:
			cs_pq_type_set_input(column, read, JSONBOID, -1);
			break;
		case VARBYTE_TYPE:
			cs_pq_type_set_input(column, read, BYTEAOID, -1);
			read->wire = CS_PQ_HEX;
			break;
		case HLLSKETCH_TYPE:
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("column \"%s\" is of type hllsketch, which can't be read",
								   column->name),
							errhint("Leave it out, or let a query take HLL_CARDINALITY of it.")));
		default:
			if (is_known_here(type))
				cs_pq_type_set_input(column, read, type, typmod);
			else
				cs_pq_type_set_text(column, read);
			break;
	}
}

static bool
is_known_here(Oid type)
{
	for (int i = 0; i < (int) lengthof(type_names); i++)
		if (type_names[i].type == type)
			return true;
	return type == INTERVALOID || type == OIDOID || type == NAMEOID;
}

static List *
redshift_list(CsSqlSession *base, const char *schema, List *only)
{
	CsPqSession *session = (CsPqSession *) base;
	PGresult *rows = cs_pq_query(session, list_statement(schema, only), 0, NULL);
	List *objects = NIL;
	CsObject *object = NULL;

	for (int i = 0; i < PQntuples(rows); i++)
	{
		const char *name = cs_pq_clean(PQgetvalue(rows, i, 0));

		if (object == NULL || strcmp(object->name, name) != 0)
		{
			object = palloc0(sizeof(CsObject));
			object->schema = pstrdup(schema);
			object->name = pstrdup(name);
			object->object = cs_sql_object_text(schema, name);
			object->columns = palloc0(sizeof(CsColumn) * count_columns(rows, i));
			objects = lappend(objects, object);
		}
		add_column(session, object, rows, i);
	}
	if (objects == NIL && only == NIL)
		ereport(ERROR, (errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
						errmsg("the source has no schema \"%s\", or nothing in it", schema),
						errhint("Only what the user there may read is listed.")));
	return objects;
}

/* How many rows have the name of this one. */
static int
count_columns(const PGresult *rows, int first)
{
	int i = first;

	while (i < PQntuples(rows) && strcmp(PQgetvalue(rows, i, 0), PQgetvalue(rows, first, 0)) == 0)
		i++;
	return i - first;
}

/* No parameters: what type they would have is not the same in all that can be compared with them there. */
static char *
list_statement(const char *schema, List *only)
{
	StringInfoData sql;
	ListCell *lc;

	initStringInfo(&sql);
	appendStringInfoString(&sql, LIST_COLUMNS);
	cs_redshift_dialect.append_constant(&sql, VARCHAROID, PointerGetDatum(cstring_to_text(schema)));
	foreach (lc, only)
	{
		appendStringInfoString(&sql, lc == list_head(only) ? " AND table_name IN (" : ", ");
		cs_redshift_dialect.append_constant(&sql, VARCHAROID,
											PointerGetDatum(cstring_to_text(lfirst(lc))));
	}
	appendStringInfo(&sql, "%s%s", only ? ")" : "", ORDER_OF_COLUMNS);
	return sql.data;
}

static void
add_column(CsPqSession *session, CsObject *object, const PGresult *rows, int row)
{
	CsColumn *column = &object->columns[object->ncolumns];
	Oid type = type_of_name(PQgetvalue(rows, row, 2));
	CsPqColumn ignored;

	if (type == HLLSKETCH_TYPE)
	{
		ereport(WARNING, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						  errmsg("column \"%s\" of \"%s\" is left out: its type is hllsketch",
								 PQgetvalue(rows, row, 1), object->name)));
		return;
	}
	column->name = cs_pq_clean(PQgetvalue(rows, row, 1));
	column->not_null = pg_strcasecmp(PQgetvalue(rows, row, 6), "no") == 0;
	set_type(session, column, &ignored, type, typmod_of(type, rows, row));
	object->ncolumns++;
}

static Oid
type_of_name(const char *name)
{
	for (int i = 0; i < (int) lengthof(type_names); i++)
		if (pg_strcasecmp(type_names[i].name, name) == 0)
			return type_names[i].type;
	return InvalidOid;
}

static int32
typmod_of(Oid type, const PGresult *rows, int row)
{
	int length = number_of(rows, row, 3);
	int precision = number_of(rows, row, 4);
	int scale = number_of(rows, row, 5);

	if ((type == VARCHAROID || type == BPCHAROID) && length > 0)
		return length + VARHDRSZ;
	if (type == NUMERICOID && precision > 0)
		return ((precision << 16) | Max(0, scale)) + VARHDRSZ;
	return -1;
}

/* 0: none is said. */
static int
number_of(const PGresult *rows, int row, int column)
{
	return (int) strtol(PQgetvalue(rows, row, column), NULL, 10);
}
