/*
 * catalog.c
 *		What the server says of statements and of its tables.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "driver_tds/tds.h"

/* The procedure can't tell; the statement itself may be fine. */
#define NO_SUCH_PROCEDURE 2812
#define FIRST_NOT_ANALYZABLE 11509
#define LAST_NOT_ANALYZABLE 11535

/* Columns of a description or a catalog, in a list. */
typedef struct TdsColumn
{
	CsColumn column;
	char *refused; /* why it can't be read, or NULL */
} TdsColumn;

static void adopt_columns(TdsSession *session, List *columns);
static int find(const CsSqlSession *session, const char *name);
static char *text_of(const CsSqlSession *session, int column);
static int number_of(const CsSqlSession *session, int column);
static TdsColumn *read_column(const CsSqlSession *session, const int *at, const char *type_name);
static char *list_query(const char *schema, List *only);
static void append_text(StringInfo sql, const char *text);
static CsObject *add_object(List **objects, const char *schema, const char *name);
static void add_column(CsObject *object, const TdsColumn *column);
static char *object_path(const char *schema, const char *name);
static void append_part(StringInfo path, const char *name);

/* Places of what a column is made of, in rows of either source. */
enum
{
	AT_NAME,
	AT_TYPE,
	AT_PRECISION,
	AT_SCALE,
	AT_NULLABLE,
	N_PLACES
};

/* False: it has no answer for this statement. */
bool
tds_describe_by_procedure(TdsSession *session, const char *sql)
{
	static const char *const names[N_PLACES] = { "name", "system_type_id", "precision", "scale",
												 "is_nullable" };
	CsSqlSession *base = &session->base;
	StringInfoData batch;
	List *columns = NIL;
	int at[N_PLACES];
	int hidden;
	int type_name;

	initStringInfo(&batch);
	appendStringInfoString(&batch, "EXEC sp_describe_first_result_set @tsql = ");
	append_text(&batch, sql);
	if (!tds_try(session, batch.data, NO_SUCH_PROCEDURE, FIRST_NOT_ANALYZABLE, LAST_NOT_ANALYZABLE))
		return false;
	hidden = find(base, "is_hidden");
	type_name = find(base, "system_type_name");
	for (int i = 0; i < N_PLACES; i++)
		at[i] = find(base, names[i]);
	while (tds_next_row(base))
	{
		TdsColumn *column;
		char *type;

		if (number_of(base, hidden) == 1)
			continue;
		type = text_of(base, type_name);
		column = read_column(base, at, type ? type : "of another name");
		if (column->column.name == NULL)
			column->column.name = pstrdup("");
		if (column->refused)
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("%s", column->refused),
							errhint("Leave it out, or cast it in the query.")));
		columns = lappend(columns, column);
	}
	adopt_columns(session, columns);
	return true;
}

/* The session's columns are those that were described. */
static void
adopt_columns(TdsSession *session, List *columns)
{
	CsSqlSession *base = &session->base;
	ListCell *lc;

	base->ncolumns = 0;
	base->columns = palloc0(sizeof(CsColumn) * (list_length(columns) + 1));
	foreach (lc, columns)
		base->columns[base->ncolumns++] = ((TdsColumn *) lfirst(lc))->column;
}

List *
tds_list(CsSqlSession *base, const char *schema, List *only)
{
	static const char *const names[N_PLACES] = { "column_name", "type_id", "precision", "scale",
												 "is_nullable" };
	TdsSession *session = (TdsSession *) base;
	List *objects = NIL;
	int at[N_PLACES];
	int object_name;
	int type_name;

	tds_run(session, list_query(schema, only));
	object_name = find(base, "name");
	type_name = find(base, "type_name");
	for (int i = 0; i < N_PLACES; i++)
		at[i] = find(base, names[i]);
	while (tds_next_row(base))
	{
		char *name = text_of(base, object_name);
		TdsColumn *column = read_column(base, at, text_of(base, type_name));
		CsObject *object = objects ? llast(objects) : NULL;

		CHECK_FOR_INTERRUPTS();
		if (name == NULL || column->column.name == NULL)
			ereport(ERROR, (errcode(ERRCODE_FDW_ERROR),
							errmsg("the server lists a table or column without its name")));
		if (object == NULL || strcmp(object->name, name) != 0)
			object = add_object(&objects, schema, name);
		add_column(object, column);
	}
	return objects;
}

static int
find(const CsSqlSession *session, const char *name)
{
	for (int i = 0; i < session->ncolumns; i++)
		if (strcmp(session->columns[i].name, name) == 0)
			return i;
	ereport(ERROR, (errcode(ERRCODE_FDW_ERROR),
					errmsg("the server describes queries without \"%s\"", name)));
}

/* NULL: it is NULL. */
static char *
text_of(const CsSqlSession *session, int column)
{
	if (session->nulls[column] || session->columns[column].typid != TEXTOID)
		return NULL;
	return TextDatumGetCString(session->values[column]);
}

static int
number_of(const CsSqlSession *session, int column)
{
	Datum value = session->values[column];

	if (session->nulls[column])
		return 0;
	switch (session->columns[column].typid)
	{
		case BOOLOID:
			return DatumGetBool(value) ? 1 : 0;
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		case INT8OID:
			return (int) DatumGetInt64(value);
		default:
			return 0;
	}
}

static TdsColumn *
read_column(const CsSqlSession *session, const int *at, const char *type_name)
{
	TdsColumn *result = palloc0(sizeof(TdsColumn));
	CsColumn *column = &result->column;
	int number = number_of(session, at[AT_TYPE]);
	int type = tds_type_number(number, type_name);
	int precision = number_of(session, at[AT_PRECISION]);
	int scale = number_of(session, at[AT_SCALE]);

	column->name = text_of(session, at[AT_NAME]);
	column->not_null = number_of(session, at[AT_NULLABLE]) == 0;
	column->typid = tds_type(type, precision, scale, &column->typmod);
	/* of a decimal of no precision, such as an expression of a view, Babelfish says 38 and 38 */
	if (type != number && column->typid == NUMERICOID && precision == 38 && scale == 38)
		column->typmod = -1;
	if (type == TDS_VARIANT && column->name)
		column->expression = tds_variant_text(column->name);
	/* only what is in UTF-16 or a code page can be compared with a text */
	if (column->typid == TEXTOID && type != SYBTEXT && type != SYBNTEXT && type != TDS_XML &&
		type != TDS_VARIANT)
		column->collation = DEFAULT_COLLATION_OID;
	if (!OidIsValid(column->typid))
		result->refused =
			psprintf("column \"%s\" has type %s, which is not supported",
					 column->name ? column->name : "", type_name ? type_name : "without a name");
	return result;
}

/*
 * FreeTDS does not tell the type of a value of sql_variant, so the server makes a text of it: with all digits
 * of a number, dates by ISO 8601, binary as 0x and hexadecimal digits.
 */
char *
tds_variant_text(const char *name)
{
	static const char *const casts[][3] = {
		{ "bit", "int", "" },
		{ "real", "float", ", 3" },
		{ "float", "float", ", 3" },
		{ "smallmoney", "decimal(19,4)", "" },
		{ "money", "decimal(19,4)", "" },
		{ "date", "date", ", 121" },
		{ "time", "time(7)", ", 121" },
		{ "smalldatetime", "datetime2(0)", ", 121" },
		{ "datetime", "datetime2(3)", ", 121" },
		{ "datetime2", "datetime2(7)", ", 121" },
		{ "datetimeoffset", "datetimeoffset(7)", ", 121" },
		{ "binary", "varbinary(8000)", ", 1" },
		{ "varbinary", "varbinary(8000)", ", 1" },
	};
	StringInfoData quoted;
	StringInfoData sql;

	initStringInfo(&quoted);
	initStringInfo(&sql);
	for (; *name; name++)
	{
		if (*name == ']')
			appendStringInfoChar(&quoted, *name);
		appendStringInfoChar(&quoted, *name);
	}
	appendStringInfo(&sql, "CASE CAST(SQL_VARIANT_PROPERTY([%s], 'BaseType') AS nvarchar(128))",
					 quoted.data);
	for (int i = 0; i < (int) lengthof(casts); i++)
		appendStringInfo(&sql, " WHEN N'%s' THEN CONVERT(nvarchar(max), CAST([%s] AS %s)%s)",
						 casts[i][0], quoted.data, casts[i][1], casts[i][2]);
	appendStringInfo(&sql, " ELSE CAST([%s] AS nvarchar(max)) END", quoted.data);
	return sql.data;
}

/* Views that SQL Server, Azure SQL and both kinds of Synapse pools have. */
static char *
list_query(const char *schema, List *only)
{
	StringInfoData sql;
	ListCell *lc;

	initStringInfo(&sql);
	appendStringInfoString(
		&sql, "SELECT o.name, c.name AS column_name, CAST(c.system_type_id AS int) AS type_id, "
			  "COALESCE(b.name, t.name) AS type_name, c.precision, c.scale, c.is_nullable "
			  "FROM sys.objects AS o "
			  "JOIN sys.schemas AS s ON s.schema_id = o.schema_id "
			  "JOIN sys.columns AS c ON c.object_id = o.object_id "
			  "LEFT JOIN sys.types AS t ON t.user_type_id = c.user_type_id "
			  "LEFT JOIN sys.types AS b ON b.user_type_id = c.system_type_id "
			  "WHERE o.type IN ('U', 'V') AND s.name = ");
	append_text(&sql, schema);
	foreach (lc, only)
	{
		appendStringInfoString(&sql, lc == list_head(only) ? " AND o.name IN (" : ", ");
		append_text(&sql, lfirst(lc));
	}
	if (only)
		appendStringInfoChar(&sql, ')');
	appendStringInfoString(&sql, " ORDER BY o.name, c.column_id");
	return sql.data;
}

static void
append_text(StringInfo sql, const char *text)
{
	appendStringInfoString(sql, "N'");
	for (; *text; text++)
	{
		if (*text == '\'')
			appendStringInfoChar(sql, *text);
		appendStringInfoChar(sql, *text);
	}
	appendStringInfoChar(sql, '\'');
}

static CsObject *
add_object(List **objects, const char *schema, const char *name)
{
	CsObject *object = palloc0(sizeof(CsObject));

	object->schema = pstrdup(schema);
	object->name = pstrdup(name);
	object->object = object_path(schema, name);
	*objects = lappend(*objects, object);
	return object;
}

static void
add_column(CsObject *object, const TdsColumn *column)
{
	if (column->refused)
	{
		ereport(NOTICE, (errmsg("%s: it is left out of %s", column->refused, object->object)));
		return;
	}
	object->columns = object->ncolumns == 0
						  ? palloc(sizeof(CsColumn))
						  : repalloc(object->columns, sizeof(CsColumn) * (object->ncolumns + 1));
	object->columns[object->ncolumns++] = column->column;
}

/* As option object says it. */
static char *
object_path(const char *schema, const char *name)
{
	StringInfoData path;

	initStringInfo(&path);
	append_part(&path, schema);
	appendStringInfoChar(&path, '.');
	append_part(&path, name);
	return path.data;
}

static void
append_part(StringInfo path, const char *name)
{
	bool quoted = strpbrk(name, ".\"") != NULL;

	if (quoted)
		appendStringInfoChar(path, '"');
	for (; *name; name++)
	{
		if (*name == '"')
			appendStringInfoChar(path, '"');
		appendStringInfoChar(path, *name);
	}
	if (quoted)
		appendStringInfoChar(path, '"');
}
