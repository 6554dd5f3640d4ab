/*
 * sql_statement.c
 *		The statements that are sent to databases, by the dialect of each.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "source/sql.h"
#include "source/sql_statement.h"

static void append_part(StringInfo text, const char *name);
static void check_source(const CsReadSpec *spec);
static void append_query(StringInfo sql, const char *query);
static void append_source(StringInfo sql, const CsReadSpec *spec, const char *from);
static void append_columns(StringInfo sql, const CsDialect *dialect, List *wanted,
						   const CsColumn *known, int nknown);
static bool append_where(StringInfo sql, const CsDialect *dialect, const CsReadSpec *spec,
						 const CsColumn *known, int nknown);
static bool append_since(StringInfo sql, const CsDialect *dialect, const CsReadSince *since,
						 const CsColumn *known, int nknown);
static bool can_wrap(const CsDialect *dialect, const char *query, const CsColumn *known,
					 int nknown);
static bool can_say(const CsDialect *dialect, const CsCondition *condition, const CsColumn *known,
					int nknown, bool *exactly);
static bool can_write(const CsDialect *dialect, const CsCondition *condition,
					  const CsColumn *column);
static void append_condition(StringInfo sql, const CsDialect *dialect,
							 const CsCondition *condition);
static void append_value(StringInfo sql, const CsDialect *dialect, const CsCondition *condition,
						 Datum value);
static const CsColumn *known_column(const CsColumn *known, int nknown, const char *name);
static const char *next_part(const char *object, char **part);

char *
cs_sql_select(const CsDialect *dialect, const CsReadSpec *spec, List *wanted, const CsColumn *known,
			  int nknown)
{
	check_source(spec);
	return cs_sql_select_from(dialect, spec, wanted, known, nknown,
							  spec->object ? cs_sql_object_name(dialect, spec->object) : NULL);
}

char *
cs_sql_select_from(const CsDialect *dialect, const CsReadSpec *spec, List *wanted,
				   const CsColumn *known, int nknown, const char *from)
{
	StringInfoData sql;
	StringInfoData where;
	int64 limit = spec->limit;

	initStringInfo(&sql);
	initStringInfo(&where);
	if (!append_where(&where, dialect, spec, known, nknown))
		limit = 0;
	if (spec->query &&
		((where.len == 0 && limit == 0) || !can_wrap(dialect, spec->query, known, nknown)))
	{
		append_query(&sql, spec->query);
		return sql.data;
	}
	appendStringInfoString(&sql, "SELECT ");
	if (limit > 0 && dialect->limit == CS_LIMIT_TOP)
		appendStringInfo(&sql, "TOP (" INT64_FORMAT ") ", limit);
	append_columns(&sql, dialect, spec->query ? NIL : wanted, known, nknown);
	append_source(&sql, spec, from);
	appendStringInfoString(&sql, where.data);
	if (limit > 0 && dialect->limit == CS_LIMIT_BEHIND)
		appendStringInfo(&sql, " LIMIT " INT64_FORMAT, limit);
	return sql.data;
}

char *
cs_sql_select_needed(const CsDialect *dialect, const CsReadSpec *spec, const CsColumn *columns,
					 int ncolumns, const bool *needed, const char *from)
{
	List *names = NIL;

	for (int i = 0; i < ncolumns; i++)
		if (needed[i])
			names = lappend(names, columns[i].name);
	if (names == NIL)
		names = list_make1(columns[0].name);
	return cs_sql_select_from(dialect, spec, names, columns, ncolumns, from);
}

bool
cs_sql_narrows(const CsDialect *dialect, const CsReadSpec *spec, const CsColumn *columns,
			   int ncolumns)
{
	StringInfoData where;

	initStringInfo(&where);
	(void) append_where(&where, dialect, spec, columns, ncolumns);
	return where.len > 0;
}

char *
cs_sql_select_none(const CsReadSpec *spec, const char *from)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT *");
	append_source(&sql, spec, from);
	appendStringInfoString(&sql, " LIMIT 0");
	return sql.data;
}

bool
cs_sql_wraps(const CsDialect *dialect, const CsReadSpec *spec)
{
	return spec->query && can_wrap(dialect, spec->query, NULL, 0);
}

char *
cs_sql_object_name(const CsDialect *dialect, const char *object)
{
	StringInfoData sql;
	const char *rest = object;

	initStringInfo(&sql);
	do
	{
		char *part;

		rest = next_part(rest, &part);
		if (rest == NULL || part[0] == '\0' || (*rest != '.' && *rest != '\0'))
			ereport(ERROR, (errcode(ERRCODE_INVALID_NAME),
							errmsg("\"%s\" is not the name of an object", object),
							errhint("It is a name, or names joined by dots; those with dots or "
									"quotes in them stand in double quotes.")));
		if (sql.len > 0)
			appendStringInfoChar(&sql, '.');
		cs_sql_append_name(&sql, dialect, part);
	} while (*rest++ == '.');
	return sql.data;
}

char *
cs_sql_object_text(const char *schema, const char *name)
{
	StringInfoData text;

	initStringInfo(&text);
	if (schema)
	{
		append_part(&text, schema);
		appendStringInfoChar(&text, '.');
	}
	append_part(&text, name);
	return text.data;
}

void
cs_sql_append_name(StringInfo sql, const CsDialect *dialect, const char *name)
{
	appendStringInfoChar(sql, dialect->open_quote);
	for (; *name; name++)
	{
		if (*name == dialect->close_quote)
			appendStringInfoChar(sql, *name);
		appendStringInfoChar(sql, *name);
	}
	appendStringInfoChar(sql, dialect->close_quote);
}

bool
cs_sql_append_integer(StringInfo sql, Oid type, Datum value)
{
	switch (type)
	{
		case INT2OID:
			appendStringInfo(sql, "%d", DatumGetInt16(value));
			return true;
		case INT4OID:
			appendStringInfo(sql, "%d", DatumGetInt32(value));
			return true;
		case INT8OID:
			appendStringInfo(sql, INT64_FORMAT, DatumGetInt64(value));
			return true;
		default:
			return false;
	}
}

void
cs_sql_append_text(StringInfo sql, const CsDialect *dialect, const char *text)
{
	appendStringInfoChar(sql, '\'');
	for (; *text; text++)
	{
		if (*text == '\'' || (*text == '\\' && dialect->backslash_escapes))
			appendStringInfoChar(sql, *text);
		appendStringInfoChar(sql, *text);
	}
	appendStringInfoChar(sql, '\'');
}

bool
cs_sql_is_integer(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

bool
cs_sql_is_string(Oid type)
{
	return type == TEXTOID || type == VARCHAROID;
}

bool
cs_sql_is_deterministic(const CsColumn *column)
{
	return !OidIsValid(column->collation) || get_collation_isdeterministic(column->collation);
}

bool
cs_sql_takes(const CsSourceType *type, const CsReadSpec *spec, const CsColumn *column,
			 CsComparison comparison, Oid type_of_value, bool *exactly)
{
	return cs_dialect_takes(((const CsSqlSource *) type)->dialect, spec, column, comparison,
							type_of_value, exactly);
}

bool
cs_dialect_takes(const CsDialect *dialect, const CsReadSpec *spec, const CsColumn *column,
				 CsComparison comparison, Oid type_of_value, bool *exactly)
{
	if (spec->query && !can_wrap(dialect, spec->query, NULL, 0))
		return false;
	if (comparison == CS_EQUAL_ANY)
		comparison = CS_EQUAL;
	if (comparison == CS_IS_NULL || comparison == CS_IS_NOT_NULL)
	{
		*exactly = true;
		return dialect->tells_null == NULL || dialect->tells_null(column);
	}
	if (!cs_sql_is_deterministic(column))
		return false;
	return dialect->compares(column, comparison, type_of_value, exactly);
}

static void
check_source(const CsReadSpec *spec)
{
	if (spec->query && spec->object)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a source is a query or an object, not both"),
						errhint("Leave one of them out.")));
	if (spec->query == NULL && spec->object == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("there is neither a query nor an object to read"),
						errhint("Give a query in the source's own SQL, or the name of a table.")));
}

static void
append_part(StringInfo text, const char *name)
{
	if (strpbrk(name, ".\"") == NULL)
	{
		appendStringInfoString(text, name);
		return;
	}
	appendStringInfoChar(text, '"');
	for (; *name; name++)
	{
		if (*name == '"')
			appendStringInfoChar(text, '"');
		appendStringInfoChar(text, *name);
	}
	appendStringInfoChar(text, '"');
}

/* As it is, less the semicolon that an editor may have left behind it. */
static void
append_query(StringInfo sql, const char *query)
{
	int len = (int) strlen(query);

	while (len > 0 && strchr("; \t\r\n", query[len - 1]))
		len--;
	appendBinaryStringInfo(sql, query, len);
}

static void
append_source(StringInfo sql, const CsReadSpec *spec, const char *from)
{
	if (spec->query == NULL)
	{
		appendStringInfo(sql, " FROM %s", from);
		return;
	}
	/* The newline ends a comment that the query may end with. */
	appendStringInfoString(sql, " FROM (");
	append_query(sql, spec->query);
	appendStringInfoString(sql, "\n) AS source");
}

static void
append_columns(StringInfo sql, const CsDialect *dialect, List *wanted, const CsColumn *known,
			   int nknown)
{
	const CsColumn *column;
	ListCell *lc;

	if (wanted == NIL)
		appendStringInfoChar(sql, '*');
	foreach (lc, wanted)
	{
		if (lc != list_head(wanted))
			appendStringInfoString(sql, ", ");
		column = known_column(known, nknown, lfirst(lc));
		if (column && column->expression)
			appendStringInfo(sql, "%s AS ", column->expression);
		cs_sql_append_name(sql, dialect, lfirst(lc));
	}
}

/* Returns whether it leaves out all that the caller would: only then may a limit count the rest. */
static bool
append_where(StringInfo sql, const CsDialect *dialect, const CsReadSpec *spec,
			 const CsColumn *known, int nknown)
{
	bool exact = true;
	ListCell *lc;

	foreach (lc, spec->conditions)
	{
		const CsCondition *condition = lfirst(lc);
		bool exactly = true;

		if ((known && !can_say(dialect, condition, known, nknown, &exactly)) ||
			!can_write(dialect, condition, known_column(known, nknown, condition->column)))
		{
			exact = false;
			continue;
		}
		exact &= exactly;
		appendStringInfoString(sql, sql->len ? " AND " : " WHERE ");
		append_condition(sql, dialect, condition);
	}
	if (spec->since && OidIsValid(spec->since->type))
		exact &= append_since(sql, dialect, spec->since, known, nknown);
	return exact;
}

static bool
append_since(StringInfo sql, const CsDialect *dialect, const CsReadSince *since,
			 const CsColumn *known, int nknown)
{
	const CsColumn *column = known_column(known, nknown, since->column);
	CsCondition bound = { since->column, CS_GREATER_EQUAL, since->type, since->value };
	CsCondition is_null = { since->column, CS_IS_NULL, InvalidOid, (Datum) 0 };
	bool exactly = true;

	if (column == NULL || getBaseType(column->typid) != since->type ||
		!dialect->compares(column, CS_GREATER_EQUAL, since->type, &exactly) ||
		!can_write(dialect, &bound, column))
		return false;
	if (dialect->lacks_values)
	{
		bound.comparison = CS_LESS;
		appendStringInfoString(sql, sql->len ? " AND CASE WHEN " : " WHERE CASE WHEN ");
		append_condition(sql, dialect, &bound);
		appendStringInfoString(sql, " THEN FALSE ELSE TRUE END");
		return exactly;
	}
	appendStringInfoString(sql, sql->len ? " AND (" : " WHERE (");
	append_condition(sql, dialect, &bound);
	appendStringInfoString(sql, " OR ");
	append_condition(sql, dialect, &is_null);
	appendStringInfoChar(sql, ')');
	return exactly;
}

/* A query of which it is known that it may stand in FROM, and that its columns have names of their own there. */
static bool
can_wrap(const CsDialect *dialect, const char *query, const CsColumn *known, int nknown)
{
	static const char *const beginnings[] = { "SELECT", "WITH", "VALUES", "TABLE" };

	if (!dialect->wraps_queries)
		return false;
	if (dialect->scripts)
	{
		const char *semicolon = strchr(query, ';');

		if (semicolon && semicolon[strspn(semicolon, "; \t\r\n")] != '\0')
			return false;
	}
	for (int i = 0; i < nknown; i++)
		if (known[i].name[0] == '\0' || known_column(known, i, known[i].name))
			return false;
	query += strspn(query, " \t\r\n(");
	for (int i = 0; i < (int) lengthof(beginnings); i++)
	{
		size_t len = strlen(beginnings[i]);

		if (pg_strncasecmp(query, beginnings[i], len) == 0 && query[len] != '\0' &&
			strchr(" \t\r\n(*'\"", query[len]))
			return true;
	}
	return false;
}

static bool
can_say(const CsDialect *dialect, const CsCondition *condition, const CsColumn *known, int nknown,
		bool *exactly)
{
	const CsColumn *column = known_column(known, nknown, condition->column);
	CsComparison comparison = condition->comparison;

	if (comparison == CS_IS_NULL || comparison == CS_IS_NOT_NULL)
		return column && (dialect->tells_null == NULL || dialect->tells_null(column));
	if (comparison == CS_EQUAL_ANY)
		comparison = CS_EQUAL;
	return column && dialect->compares(column, comparison, condition->type, exactly);
}

static bool
can_write(const CsDialect *dialect, const CsCondition *condition, const CsColumn *column)
{
	if (dialect->writes == NULL || condition->placeholder || condition->comparison >= CS_IS_NULL)
		return true;
	if (condition->comparison != CS_EQUAL_ANY)
		return dialect->writes(column, condition->type, condition->value);
	for (int i = 0; i < condition->nvalues; i++)
		if (!dialect->writes(column, condition->type, condition->values[i]))
			return false;
	return true;
}

static void
append_condition(StringInfo sql, const CsDialect *dialect, const CsCondition *condition)
{
	static const char *const operators[] = { " = ",	 " <> ",  " < ",	  " <= ",		 " > ",
											 " >= ", " IN (", " IS NULL", " IS NOT NULL" };

	if (dialect->append_column)
		dialect->append_column(sql, condition);
	else
		cs_sql_append_name(sql, dialect, condition->column);
	appendStringInfoString(sql, operators[condition->comparison]);
	if (condition->comparison < CS_EQUAL_ANY)
		append_value(sql, dialect, condition, condition->value);
	if (condition->comparison != CS_EQUAL_ANY)
		return;
	for (int i = 0; i < Max(1, condition->nvalues); i++)
	{
		if (i > 0)
			appendStringInfoString(sql, ", ");
		append_value(sql, dialect, condition, condition->nvalues > 0 ? condition->values[i] : 0);
	}
	appendStringInfoChar(sql, ')');
}

static void
append_value(StringInfo sql, const CsDialect *dialect, const CsCondition *condition, Datum value)
{
	bool upper = condition->comparison == CS_LESS || condition->comparison == CS_LESS_EQUAL;

	if (condition->placeholder)
	{
		appendStringInfoString(sql, condition->placeholder);
		return;
	}
	if (condition->type == TIMESTAMPOID || condition->type == TIMESTAMPTZOID)
		value = TimestampGetDatum(DatumGetTimestamp(value) +
								  (upper ? dialect->slack : -dialect->slack));
	dialect->append_constant(sql, condition->type, value);
}

static const CsColumn *
known_column(const CsColumn *known, int nknown, const char *name)
{
	for (int i = 0; i < nknown; i++)
		if (strcmp(known[i].name, name) == 0)
			return &known[i];
	return NULL;
}

/* The name that object begins with, unquoted; returns what is behind it, NULL if its quote is not closed. */
static const char *
next_part(const char *object, char **part)
{
	StringInfoData name;

	initStringInfo(&name);
	*part = name.data;
	if (*object != '"')
	{
		size_t len = strcspn(object, ".\"");

		appendBinaryStringInfo(&name, object, (int) len);
		*part = name.data;
		return object + len;
	}
	for (object++; *object; object++)
	{
		if (*object == '"' && *++object != '"')
		{
			*part = name.data;
			return object;
		}
		appendStringInfoChar(&name, *object);
	}
	return NULL;
}
