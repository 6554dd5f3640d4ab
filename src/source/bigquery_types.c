/*
 * bigquery_types.c
 *		BigQuery's types.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/date.h"
#include "utils/timestamp.h"

#include "source/bigquery.h"

/* The longest text that varchar(n) can be declared for. */
#define MAX_VARCHAR 10485760

static void read_field(BqField *field, const json_t *definition);
static char *type_name(const char *type);
static void make_names_unique(BqField *fields, int n);
static bool is_taken(const BqField *fields, int n, const char *name);
static void set_numeric(CsColumn *column, CsCell *cell, const BqField *field);
static void set_text(CsColumn *column, CsCell *cell, const BqField *field);
static Datum read_interval(CsCell *cell, const CsField *field, char **why);
static const char *read_signed(const char *text, int64 *value, bool *negative);

/* Types of one PostgreSQL type, and how they are read. */
static const CsCellType types[] = {
	{ "INT64", INT8OID, cs_cell_int8 },
	{ "FLOAT64", FLOAT8OID, cs_cell_float8 },
	{ "BOOL", BOOLOID, cs_cell_bool },
	{ "BYTES", BYTEAOID, cs_cell_base64 },
	{ "DATE", DATEOID, cs_cell_date },
	{ "TIME", TIMEOID, cs_cell_time },
	{ "DATETIME", TIMESTAMPOID, cs_cell_timestamp },
	{ "TIMESTAMP", TIMESTAMPTZOID, cs_bq_cell_timestamp },
	{ "JSON", JSONBOID, cs_cell_json },
	{ "INTERVAL", INTERVALOID, read_interval },
};

BqField *
cs_bq_fields(const json_t *schema, int *n)
{
	const json_t *list = json_object_get(schema, "fields");
	BqField *fields;

	check_stack_depth();
	*n = (int) json_array_size(list);
	fields = palloc0(sizeof(BqField) * Max(1, *n));
	for (int i = 0; i < *n; i++)
		read_field(&fields[i], json_array_get(list, i));
	make_names_unique(fields, *n);
	return fields;
}

void
cs_bq_set_columns(CsServiceSession *session, BqField *fields, int n)
{
	session->ncolumns = n;
	session->columns = palloc0(sizeof(CsColumn) * Max(1, n));
	session->cells = palloc0(sizeof(CsCell) * Max(1, n));
	for (int i = 0; i < n; i++)
		cs_bq_set_column(&session->columns[i], &session->cells[i], &fields[i]);
}

void
cs_bq_set_column(CsColumn *column, CsCell *cell, BqField *field)
{
	column->name = field->name;
	column->not_null = field->required && !field->repeated;
	if (field->repeated || strcmp(field->type, "STRUCT") == 0)
	{
		cs_cell_set(column, cell, JSONBOID, -1, cs_bq_cell_nested);
		cell->fields = field;
		return;
	}
	column->opaque = field->picoseconds;
	if (cs_cell_set_named(column, cell, types, lengthof(types), field->type))
		return;
	if (strcmp(field->type, "NUMERIC") == 0 || strcmp(field->type, "BIGNUMERIC") == 0)
		set_numeric(column, cell, field);
	else if (strcmp(field->type, "RANGE") == 0)
		cs_bq_set_range(column, cell, field);
	else
		set_text(column, cell, field); /* GEOGRAPHY, STRING, what is new */
}

Datum
cs_bq_cell_timestamp(CsCell *cell, const CsField *field, char **why)
{
	CsField digits;

	if (strpbrk(field->text, "eE"))
		return cs_cell_without_exponent(field, &digits, why) ? cs_cell_seconds(cell, &digits, why)
															 : (Datum) 0;
	if (field->len > 1 && strchr(field->text + 1, '-'))
		return cs_cell_timestamptz(cell, field, why);
	return strchr(field->text, '.') ? cs_cell_seconds(cell, field, why)
									: cs_cell_micros(cell, field, why);
}

static void
read_field(BqField *field, const json_t *definition)
{
	char *type = cs_json_text(definition, "type");
	char *mode = cs_json_text(definition, "mode");

	field->name = cs_json_text(definition, "name");
	if (field->name == NULL)
		field->name = "";
	field->element = cs_json_text(json_object_get(definition, "rangeElementType"), "type");
	field->type = type_name(type ? type : field->element ? "RANGE" : "STRING");
	field->repeated = mode && strcmp(mode, "REPEATED") == 0;
	field->required = mode && strcmp(mode, "REQUIRED") == 0;
	field->precision = cs_json_int(definition, "precision", 0);
	field->scale = cs_json_int(definition, "scale", 0);
	field->length = cs_json_int(definition, "maxLength", 0);
	field->picoseconds = cs_json_int(definition, "timestampPrecision", 6) > 6;
	field->fields = cs_bq_fields(definition, &field->nfields);
}

/* Results have the names of old. */
static char *
type_name(const char *type)
{
	static const char *const names[][2] = {
		{ "INTEGER", "INT64" }, { "FLOAT", "FLOAT64" },	  { "BOOLEAN", "BOOL" },
		{ "RECORD", "STRUCT" }, { "DECIMAL", "NUMERIC" }, { "BIGDECIMAL", "BIGNUMERIC" },
	};

	for (int i = 0; i < (int) lengthof(names); i++)
		if (pg_strcasecmp(type, names[i][0]) == 0)
			return pstrdup(names[i][1]);
	return pstrdup(type);
}

/* Members of a STRUCT may have none, or the same.  Columns never do. */
static void
make_names_unique(BqField *fields, int n)
{
	for (int i = 0; i < n; i++)
	{
		char *name = fields[i].name[0] ? fields[i].name : psprintf("_field_%d", i + 1);
		char *unique = name;

		for (int k = 1; is_taken(fields, i, unique); k++)
			unique = psprintf("%s_%d", name, k);
		fields[i].name = unique;
	}
}

static bool
is_taken(const BqField *fields, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(fields[i].name, name) == 0)
			return true;
	return false;
}

static void
set_numeric(CsColumn *column, CsCell *cell, const BqField *field)
{
	cs_cell_set(column, cell, NUMERICOID, cs_cell_numeric_typmod(field->precision, field->scale),
				cs_cell_numeric);
}

static void
set_text(CsColumn *column, CsCell *cell, const BqField *field)
{
	if (field->length > 0 && field->length <= MAX_VARCHAR)
		cs_cell_set(column, cell, VARCHAROID, (int32) field->length + VARHDRSZ, cs_cell_text);
	else
		cs_cell_set(column, cell, TEXTOID, -1, cs_cell_text);
	column->opaque = strcmp(field->type, "STRING") != 0;
}

/* [-]years-months [-]days [-]hours:minutes:seconds[.fraction]: each part has its own sign, whatever
 * IntervalStyle says. */
static Datum
read_interval(CsCell *cell pg_attribute_unused(), const CsField *field, char **why)
{
	Interval *interval = palloc0(sizeof(Interval));
	const char *text = field->text;
	bool negative[3];
	int64 years;
	int64 months;
	int64 days;
	int64 hours;
	int64 clock;
	char *rest;

	if ((text = read_signed(text, &years, &negative[0])) == NULL || *text != '-' || text[1] < '0' ||
		text[1] > '9')
		return cs_cell_fail(field, "no interval", why);
	months = strtol(text + 1, &rest, 10) + years * 12;
	if (*rest != ' ' || (text = read_signed(rest + 1, &days, &negative[1])) == NULL ||
		*text != ' ' || (text = read_signed(text + 1, &hours, &negative[2])) == NULL ||
		*text != ':')
		return cs_cell_fail(field, "no interval", why);
	if (!cs_clock_parse(psprintf("0%s", text), &clock))
		return cs_cell_fail(field, "no interval", why);
	if (months > PG_INT32_MAX || days > PG_INT32_MAX || hours > PG_INT64_MAX / USECS_PER_HOUR - 1)
		return cs_cell_fail(field, "out of range of interval", why);
	clock += hours * USECS_PER_HOUR;
	interval->month = (int32) (negative[0] ? -months : months);
	interval->day = (int32) (negative[1] ? -days : days);
	interval->time = negative[2] ? -clock : clock;
	return IntervalPGetDatum(interval);
}

/* NULL: there are no digits, or too many. */
static const char *
read_signed(const char *text, int64 *value, bool *negative)
{
	int n = 0;

	*negative = *text == '-';
	text += *negative;
	for (*value = 0; n < 12 && *text >= '0' && *text <= '9'; n++)
		*value = *value * 10 + (*text++ - '0');
	return n > 0 ? text : NULL;
}
