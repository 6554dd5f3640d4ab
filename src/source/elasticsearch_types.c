/*
 * elasticsearch_types.c
 *		The types of Elasticsearch and OpenSearch, and how their values are read.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/numeric.h"

#include "source/elasticsearch_types.h"

/* Of a date without a format of its own. */
#define DEFAULT_FORMATS "strict_date_optional_time||epoch_millis"

#define GEOHASH_DIGITS "0123456789bcdefghjkmnpqrstuvwxyz"

typedef struct TypeRow
{
	const char *name; /* there */
	Oid type;
	CsCellRead read;
	CsLeafKind kind;
	CsCellRead inner; /* for read */
} TypeRow;

static Datum read_bool(CsCell *cell, const CsField *field, char **why);
static Datum read_single(CsCell *cell, const CsField *field, char **why);
static Datum read_integer(CsCell *cell, const CsField *field, char **why);
static Datum read_sql_date(CsCell *cell, const CsField *field, char **why);
static Datum read_sql_time(CsCell *cell, const CsField *field, char **why);
static Datum read_point(CsCell *cell, const CsField *field, char **why);
static char *point_of_object(const char *json);
static char *point_of_array(const char *json);
static char *point_of_text(const char *text);
static bool decode_geohash(const char *text, double *lat, double *lon);
static char *scalar_text(const char *value, int len);
static char *make_point(const char *lon, const char *lat);
static bool is_several(const CsField *field, char **why);
static const TypeRow *find_row(const TypeRow *rows, int n, const char *name);

/* Of documents; what is not here is jsonb. */
static const TypeRow field_types[] = {
	{ "boolean", BOOLOID, read_bool, CS_LEAF_VALUE },
	{ "byte", INT2OID, read_integer, CS_LEAF_VALUE, cs_cell_int2 },
	{ "short", INT2OID, read_integer, CS_LEAF_VALUE, cs_cell_int2 },
	{ "integer", INT4OID, read_integer, CS_LEAF_VALUE, cs_cell_int4 },
	{ "long", INT8OID, read_integer, CS_LEAF_VALUE, cs_cell_int8 },
	{ "unsigned_long", NUMERICOID, read_single, CS_LEAF_VALUE, cs_cell_numeric },
	{ "half_float", FLOAT4OID, read_single, CS_LEAF_VALUE, cs_cell_float4 },
	{ "float", FLOAT4OID, read_single, CS_LEAF_VALUE, cs_cell_float4 },
	{ "double", FLOAT8OID, read_single, CS_LEAF_VALUE, cs_cell_float8 },
	{ "scaled_float", FLOAT8OID, read_single, CS_LEAF_VALUE, cs_cell_float8 },
	{ "rank_feature", FLOAT4OID, read_single, CS_LEAF_VALUE, cs_cell_float4 },
	{ "number", NUMERICOID, read_single, CS_LEAF_VALUE, cs_cell_numeric }, /* several of these */
	{ "keyword", TEXTOID, read_single, CS_LEAF_VALUE, cs_cell_text },
	{ "constant_keyword", TEXTOID, read_single, CS_LEAF_VALUE, cs_cell_text },
	{ "wildcard", TEXTOID, read_single, CS_LEAF_VALUE, cs_cell_text },
	{ "text", TEXTOID, read_single, CS_LEAF_VALUE, cs_cell_text },
	{ "match_only_text", TEXTOID, read_single, CS_LEAF_VALUE, cs_cell_text },
	{ "annotated_text", TEXTOID, read_single, CS_LEAF_VALUE, cs_cell_text },
	{ "search_as_you_type", TEXTOID, read_single, CS_LEAF_VALUE, cs_cell_text },
	{ "semantic_text", TEXTOID, read_single, CS_LEAF_VALUE, cs_cell_text },
	{ "version", TEXTOID, read_single, CS_LEAF_VALUE, cs_cell_text },
	{ "ip", TEXTOID, read_single, CS_LEAF_VALUE, cs_cell_text },
	{ "date", TIMESTAMPTZOID, cs_elastic_read_date, CS_LEAF_VALUE },
	{ "date_nanos", TIMESTAMPTZOID, cs_elastic_read_date, CS_LEAF_VALUE },
	{ "binary", BYTEAOID, read_single, CS_LEAF_VALUE, cs_cell_base64 },
	{ "geo_point", TEXTOID, read_point, CS_LEAF_POINT },
	{ "geo_shape", TEXTOID, cs_cell_text, CS_LEAF_VALUE },
	{ "shape", TEXTOID, cs_cell_text, CS_LEAF_VALUE },
};

/* Of columns of SQL results; what is not here is text. */
static const TypeRow sql_types[] = {
	{ "boolean", BOOLOID, read_bool, 0 },
	{ "byte", INT2OID, read_integer, 0, cs_cell_int2 },
	{ "short", INT2OID, read_integer, 0, cs_cell_int2 },
	{ "integer", INT4OID, read_integer, 0, cs_cell_int4 },
	{ "long", INT8OID, read_integer, 0, cs_cell_int8 },
	{ "unsigned_long", NUMERICOID, read_single, 0, cs_cell_numeric },
	{ "half_float", FLOAT4OID, read_single, 0, cs_cell_float4 },
	{ "float", FLOAT4OID, read_single, 0, cs_cell_float4 },
	{ "double", FLOAT8OID, read_single, 0, cs_cell_float8 },
	{ "scaled_float", FLOAT8OID, read_single, 0, cs_cell_float8 },
	{ "datetime", TIMESTAMPTZOID, read_single, 0, cs_cell_timestamptz },
	{ "date_nanos", TIMESTAMPTZOID, read_single, 0, cs_cell_timestamptz },
	{ "timestamp", TIMESTAMPTZOID, read_single, 0, cs_cell_timestamptz },
	{ "date", DATEOID, read_sql_date, 0 },
	{ "time", TIMEOID, read_sql_time, 0 },
	{ "binary", BYTEAOID, read_single, 0, cs_cell_base64 },
	{ "geo_point", TEXTOID, read_point, 0 },
	{ "object", JSONBOID, cs_cell_json_value, 0 },
	{ "struct", JSONBOID, cs_cell_json_value, 0 },
	{ "nested", JSONBOID, cs_cell_json_value, 0 },
	{ "array", JSONBOID, cs_cell_json_value, 0 },
	{ "flattened", JSONBOID, cs_cell_json_value, 0 },
};

void
cs_elastic_type_of_field(CsColumn *column, CsCell *cell, const char *type, const char *formats,
						 CsLeafKind *kind)
{
	const TypeRow *row = find_row(field_types, lengthof(field_types), type);

	cs_cell_set(column, cell, row ? row->type : JSONBOID, -1, row ? row->read : cs_cell_json_value);
	cell->inner = row ? row->inner : NULL;
	*kind = row ? row->kind : CS_LEAF_JSON;
	if (row && row->type == TIMESTAMPTZOID)
		cell->fields = pstrdup(formats ? formats : DEFAULT_FORMATS);
}

void
cs_elastic_type_of_sql(CsColumn *column, CsCell *cell, const char *type)
{
	const TypeRow *row = find_row(sql_types, lengthof(sql_types), type);

	cs_cell_set(column, cell, row ? row->type : TEXTOID, -1, row ? row->read : read_single);
	cell->inner = row ? row->inner : cs_cell_text;
}

Datum
cs_elastic_read_array(CsCell *cell, const CsField *field, char **why)
{
	StringInfoData array;
	CsField wrapped = { CS_VALUE_ARRAY, NULL, 0 };

	if (field->kind == CS_VALUE_ARRAY)
		return cs_cell_json(cell, field, why);
	initStringInfo(&array);
	appendStringInfoChar(&array, '[');
	if (field->kind == CS_VALUE_STRING)
		escape_json(&array, field->text);
	else
		appendStringInfoString(&array, field->text);
	appendStringInfoChar(&array, ']');
	wrapped.text = array.data;
	wrapped.len = array.len;
	return cs_cell_json(cell, &wrapped, why);
}

/* An empty text is false. */
static Datum
read_bool(CsCell *cell, const CsField *field, char **why)
{
	if (is_several(field, why))
		return (Datum) 0;
	return field->len == 0 ? BoolGetDatum(false) : cs_cell_bool(cell, field, why);
}

static Datum
read_single(CsCell *cell, const CsField *field, char **why)
{
	return is_several(field, why) ? (Datum) 0 : cell->inner(cell, field, why);
}

/* As the index has it: a fraction is cut off. */
static Datum
read_integer(CsCell *cell, const CsField *field, char **why)
{
	CsCell whole = { .typmod = -1 };
	CsField digits = *field;
	const char *end = field->text;
	Datum number;

	if (is_several(field, why))
		return (Datum) 0;
	while ((*end >= '0' && *end <= '9') || *end == '-')
		end++;
	if (*end == '\0')
		return cell->inner(cell, field, why);
	number = cs_cell_numeric(&whole, field, why);
	if (*why)
		return (Datum) 0;
	number = DirectFunctionCall2(numeric_trunc, number, Int32GetDatum(0));
	digits.text = DatumGetCString(DirectFunctionCall1(numeric_out, number));
	digits.len = (int) strlen(digits.text);
	return cell->inner(cell, &digits, why);
}

/* Elasticsearch has midnight behind it. */
static Datum
read_sql_date(CsCell *cell, const CsField *field, char **why)
{
	CsField date = *field;
	char *behind;

	if (is_several(field, why))
		return (Datum) 0;
	date.text = pstrdup(field->text);
	behind = strpbrk(date.text, "T ");
	if (behind && strspn(behind + 1, "0:.") == strcspn(behind + 1, "Z"))
	{
		*behind = '\0';
		date.len = (int) (behind - date.text);
	}
	return cs_cell_date(cell, &date, why);
}

/* In UTC. */
static Datum
read_sql_time(CsCell *cell, const CsField *field, char **why)
{
	CsField time = *field;

	if (is_several(field, why))
		return (Datum) 0;
	if (field->len > 0 && field->text[field->len - 1] == 'Z')
	{
		time.text = pnstrdup(field->text, field->len - 1);
		time.len--;
	}
	return cs_cell_time(cell, &time, why);
}

/* Any of the forms of a point as SQL has it: POINT (lon lat). */
static Datum
read_point(CsCell *cell pg_attribute_unused(), const CsField *field, char **why)
{
	char *point = field->kind == CS_VALUE_OBJECT   ? point_of_object(field->text)
				  : field->kind == CS_VALUE_ARRAY  ? point_of_array(field->text)
				  : field->kind == CS_VALUE_STRING ? point_of_text(field->text)
												   : NULL;

	if (point == NULL && field->kind == CS_VALUE_ARRAY && is_several(field, why))
		return (Datum) 0;
	if (point == NULL)
		return cs_cell_fail(field, "no geo_point", why);
	return PointerGetDatum(cstring_to_text(point));
}

/* {"lat", "lon"}, or GeoJSON. */
static char *
point_of_object(const char *json)
{
	const char *name;
	const char *value;
	int name_len;
	int len;
	char *lat = NULL;
	char *lon = NULL;

	while (cs_json_member_next(&json, &name, &name_len, &value, &len))
	{
		if (name_len == 3 && strncmp(name, "lat", 3) == 0)
			lat = scalar_text(value, len);
		else if (name_len == 3 && strncmp(name, "lon", 3) == 0)
			lon = scalar_text(value, len);
		else if (name_len == 11 && strncmp(name, "coordinates", 11) == 0 && *value == '[')
			return point_of_array(value);
	}
	return lat && lon ? make_point(lon, lat) : NULL;
}

/* [lon, lat], and maybe a height that the index has not either. */
static char *
point_of_array(const char *json)
{
	const char *value;
	int len;
	char *numbers[3] = { NULL };
	int n = 0;

	while (cs_json_element_next(&json, &value, &len))
	{
		if (n == 3 || strchr("-0123456789", *value) == NULL)
			return NULL;
		numbers[n++] = pnstrdup(value, len);
	}
	return n >= 2 ? make_point(numbers[0], numbers[1]) : NULL;
}

/* "lat,lon", WKT or a geohash, which stands for the middle of its cell. */
static char *
point_of_text(const char *text)
{
	const char *comma = strchr(text, ',');
	const char *open = strchr(text, '(');
	double lat;
	double lon;

	if (open && pg_strncasecmp(text, "POINT", 5) == 0)
	{
		const char *x = open + 1 + strspn(open + 1, " ");
		int x_len = (int) strcspn(x, " )");
		const char *y = x + x_len + strspn(x + x_len, " ");

		return make_point(pnstrdup(x, x_len), pnstrdup(y, strcspn(y, " )")));
	}
	if (comma)
	{
		const char *after = comma + 1 + strspn(comma + 1, " ");

		return make_point(pnstrdup(after, strcspn(after, " ,")),
						  pnstrdup(text, strcspn(text, " ,")));
	}
	if (decode_geohash(text, &lat, &lon))
		return make_point(psprintf("%.15g", lon), psprintf("%.15g", lat));
	return NULL;
}

static bool
decode_geohash(const char *text, double *lat, double *lon)
{
	double low[2] = { -180, -90 };
	double high[2] = { 180, 90 };
	int bit = 0;

	if (*text == '\0' || strlen(text) > 12)
		return false;
	for (; *text; text++)
	{
		const char *digit = strchr(GEOHASH_DIGITS, pg_tolower((unsigned char) *text));

		if (digit == NULL)
			return false;
		for (int mask = 16; mask > 0; mask >>= 1, bit++)
		{
			int axis = bit % 2;
			double middle = (low[axis] + high[axis]) / 2;

			if ((digit - GEOHASH_DIGITS) & mask)
				low[axis] = middle;
			else
				high[axis] = middle;
		}
	}
	*lon = (low[0] + high[0]) / 2;
	*lat = (low[1] + high[1]) / 2;
	return true;
}

/* A number, which may be in quotes. */
static char *
scalar_text(const char *value, int len)
{
	return *value == '"' ? pnstrdup(value + 1, len - 2) : pnstrdup(value, len);
}

static char *
make_point(const char *lon, const char *lat)
{
	if (*lon == '\0' || *lat == '\0' || lon[strspn(lon, "+-0123456789.eE")] != '\0' ||
		lat[strspn(lat, "+-0123456789.eE")] != '\0')
		return NULL;
	return psprintf("POINT (%s %s)", lon, lat);
}

static bool
is_several(const CsField *field, char **why)
{
	if (field->kind != CS_VALUE_ARRAY && field->kind != CS_VALUE_OBJECT)
		return false;
	(void) cs_cell_fail(field,
						field->kind == CS_VALUE_ARRAY
							? "several values; option array_fields makes an array of them"
							: "an object; option json_fields takes it as it is",
						why);
	return true;
}

static const TypeRow *
find_row(const TypeRow *rows, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}
