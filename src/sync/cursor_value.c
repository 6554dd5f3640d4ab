/*
 * cursor_value.c
 *		Values of cursors: which types serve, their text, and how far an overlap
 *		reaches back.
 *
 * They are of built-in types: comparing and reading them runs no user's code.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "catalog/spi.h"
#include "sync/cursor_value.h"

static bool is_time(Oid type);
static bool is_number(Oid type);
static Datum evaluate(const char *sql, const char *watermark, const char *overlap, Oid type);

bool
cs_cursor_type_serves(Oid type)
{
	return is_time(type) || is_number(type) || cs_cursor_type_is_text(type) || type == UUIDOID ||
		   type == BYTEAOID || type == PG_LSNOID || type == XID8OID;
}

bool
cs_cursor_type_is_text(Oid type)
{
	return type == TEXTOID || type == VARCHAROID || type == BPCHAROID;
}

bool
cs_cursor_value_is_endless(Oid type, Datum value)
{
	switch (type)
	{
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return TIMESTAMP_IS_NOEND(DatumGetTimestamp(value));
		case DATEOID:
			return DATE_IS_NOEND(DatumGetDateADT(value));
		case FLOAT4OID:
			return isnan(DatumGetFloat4(value)) ||
				   (isinf(DatumGetFloat4(value)) && DatumGetFloat4(value) > 0);
		case FLOAT8OID:
			return isnan(DatumGetFloat8(value)) ||
				   (isinf(DatumGetFloat8(value)) && DatumGetFloat8(value) > 0);
		case NUMERICOID:
			return numeric_is_nan(DatumGetNumeric(value)) ||
				   (numeric_is_inf(DatumGetNumeric(value)) &&
					DatumGetBool(DirectFunctionCall2(numeric_gt, value,
													 NumericGetDatum(int64_to_numeric(0)))));
		default:
			return false;
	}
}

char *
cs_cursor_value_text(Oid type, Datum value)
{
	CsCatalogAccess access;
	Oid function;
	bool is_varlena;
	char *text;

	cs_catalog_begin(&access);
	cs_user_set_canonical_text();
	getTypeOutputInfo(type, &function, &is_varlena);
	MemoryContextSwitchTo(access.caller);
	text = OidOutputFunctionCall(function, value);
	cs_catalog_end(&access);
	return text;
}

Datum
cs_cursor_value_parse(Oid type, char *text)
{
	CsCatalogAccess access;
	Oid function;
	Oid ioparam;
	Datum value;

	cs_catalog_begin(&access);
	cs_user_set_canonical_text();
	getTypeInputInfo(type, &function, &ioparam);
	MemoryContextSwitchTo(access.caller);
	value = OidInputFunctionCall(function, text, ioparam, -1);
	cs_catalog_end(&access);
	return value;
}

/* An integer stays within its type, so that an overlap as large as one likes reads everything. */
Datum
cs_cursor_value_less(Oid type, const char *text, const char *overlap)
{
	const char *name = format_type_be(type);
	const char *least = type == INT2OID	  ? "-32768"
						: type == INT4OID ? "-2147483648"
						: type == INT8OID ? "-9223372036854775808"
										  : NULL;
	char *sql;

	if (is_time(type))
		sql = psprintf("SELECT ($1::%s - $2::interval)::%s", name, name);
	else if (least)
		sql = psprintf("SELECT greatest(floor($1::numeric - $2::numeric), %s::numeric)::%s",
					   quote_literal_cstr(least), name);
	else
		sql = psprintf("SELECT ($1::numeric - $2::numeric)::%s", name);
	return evaluate(sql, text, overlap, type);
}

void
cs_cursor_overlap_check(Oid type, const char *overlap)
{
	bool time = is_time(type);

	if (!time && !is_number(type))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a cursor of type %s can't have option \"cursor_overlap\"",
							   format_type_be(type)),
						errhint("It is for numbers, dates and times.")));
	if (!DatumGetBool(
			evaluate(time ? "SELECT $2::interval >= '0'" : "SELECT $2::numeric BETWEEN 0 AND 1e100",
					 NULL, overlap, BOOLOID)))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"cursor_overlap\" must not be negative"),
						errhint("Expected: %s.",
								time ? "an interval such as \"10 minutes\"" : "a number")));
}

static bool
is_time(Oid type)
{
	return type == TIMESTAMPTZOID || type == TIMESTAMPOID || type == DATEOID;
}

static bool
is_number(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID || type == NUMERICOID ||
		   type == FLOAT4OID || type == FLOAT8OID;
}

/* A value of the type.  $1 is the watermark, $2 the overlap. */
static Datum
evaluate(const char *sql, const char *watermark, const char *overlap, Oid type)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };
	MemoryContext spi;
	bool isnull;
	Datum value;
	int16 length;
	bool by_value;

	cs_catalog_begin(&access);
	cs_user_set_canonical_text();
	cs_args_add_text(&args, watermark);
	cs_args_add_text(&args, overlap);
	cs_catalog_execute(sql, &args);
	get_typlenbyval(type, &length, &by_value);
	value = cs_catalog_datum(0, 1, &isnull);
	spi = MemoryContextSwitchTo(access.caller);
	value = datumCopy(value, by_value, length);
	MemoryContextSwitchTo(spi);
	cs_catalog_end(&access);
	return value;
}
