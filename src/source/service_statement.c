/*
 * service_statement.c
 *		What the dialects of services that speak SQL have in common.
 *
 * Of a type only that is compared there which is certainly the same there:
 * floating point numbers may have lost digits on their way as text, and texts
 * may have a collation that takes different ones for equal, but never equal ones
 * for different.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "source/service_statement.h"

/* Of a decimal there. */
#define MAX_DIGITS 38

static bool compares(const CsColumn *column, CsComparison comparison, Oid type, bool rounded,
					 bool *exactly);
static bool writes_numeric(const CsColumn *column, Datum value);
static bool is_in_years(Timestamp value);
static bool append_plain(StringInfo sql, Oid type, Datum value);

bool
cs_warehouse_compares(const CsColumn *column, CsComparison comparison, Oid type, bool *exactly)
{
	return compares(column, comparison, type, false, exactly);
}

bool
cs_warehouse_compares_rounded(const CsColumn *column, CsComparison comparison, Oid type,
							  bool *exactly)
{
	return compares(column, comparison, type, true, exactly);
}

static bool
compares(const CsColumn *column, CsComparison comparison, Oid type, bool rounded, bool *exactly)
{
	Oid typid = getBaseType(column->typid);
	bool is_equality = comparison == CS_EQUAL || comparison == CS_NOT_EQUAL;

	*exactly = true;
	if (cs_sql_is_integer(typid) && cs_sql_is_integer(type))
		return true;
	if (cs_sql_is_string(typid) && cs_sql_is_string(type))
	{
		*exactly = false;
		return comparison == CS_EQUAL && !column->opaque;
	}
	if (typid != type || column->opaque)
		return false;
	switch (type)
	{
		case BOOLOID:
			return is_equality;
		case NUMERICOID:
		case DATEOID:
			return true;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			*exactly = !rounded;
			return !rounded || !is_equality;
		default:
			return false;
	}
}

bool
cs_warehouse_writes(const CsColumn *column, Oid type, Datum value)
{
	switch (type)
	{
		case NUMERICOID:
			return writes_numeric(column, value);
		case DATEOID:
			return !DATE_NOT_FINITE(DatumGetDateADT(value)) &&
				   is_in_years(date2timestamp_no_overflow(DatumGetDateADT(value)));
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return !TIMESTAMP_NOT_FINITE(DatumGetTimestamp(value)) &&
				   is_in_years(DatumGetTimestamp(value));
		default:
			return true;
	}
}

/* If it fits the column, neither has to be made wider to be compared: that may fail there. */
static bool
writes_numeric(const CsColumn *column, Datum value)
{
	int before;
	int behind;
	int precision;
	int scale;

	if (!cs_numeric_digits(value, &before, &behind) || before + behind > MAX_DIGITS)
		return false;
	if (column == NULL || column->typmod < (int32) VARHDRSZ)
		return true;
	precision = ((column->typmod - VARHDRSZ) >> 16) & 0xffff;
	scale = (column->typmod - VARHDRSZ) & 0x7ff;
	return behind <= scale && before + scale <= precision;
}

/* One day from the ends, as bounds are moved a little. */
static bool
is_in_years(Timestamp value)
{
	struct pg_tm tm;
	fsec_t fsec;

	return timestamp2tm(value, NULL, &tm, &fsec, NULL, NULL) == 0 && tm.tm_year >= 1 &&
		   tm.tm_year <= 9999 && (tm.tm_year > 1 || tm.tm_mon > 1 || tm.tm_mday > 1) &&
		   (tm.tm_year < 9999 || tm.tm_mon < 12 || tm.tm_mday < 31);
}

bool
cs_numeric_digits(Datum value, int *before, int *behind)
{
	const char *text = DatumGetCString(DirectFunctionCall1(numeric_out, value));
	const char *point = strchr(text, '.');

	if (strspn(text, "-.0123456789") != strlen(text))
		return false;
	text += strspn(text, "-0");
	*before = (int) strspn(text, "0123456789");
	*behind = point ? (int) strlen(point + 1) : 0;
	return true;
}

bool
cs_warehouse_append(StringInfo sql, Oid type, Datum value, const CsMomentForms *forms)
{
	const char *const *form = type == DATEOID		   ? forms->date
							  : type == TIMESTAMPOID   ? forms->timestamp
							  : type == TIMESTAMPTZOID ? forms->timestamptz
													   : NULL;

	if (form == NULL)
		return append_plain(sql, type, value);
	appendStringInfoString(sql, form[0]);
	cs_warehouse_append_moment(sql, type, value, forms->separator ? forms->separator : ' ');
	appendStringInfoString(sql, form[1]);
	return true;
}

/* False, and nothing appended: it is neither an integer nor a decimal nor a boolean. */
static bool
append_plain(StringInfo sql, Oid type, Datum value)
{
	if (type == NUMERICOID)
		appendStringInfoString(sql, DatumGetCString(DirectFunctionCall1(numeric_out, value)));
	else if (type == BOOLOID)
		appendStringInfoString(sql, DatumGetBool(value) ? "TRUE" : "FALSE");
	else
		return cs_sql_append_integer(sql, type, value);
	return true;
}

void
cs_warehouse_append_moment(StringInfo sql, Oid type, Datum value, char separator)
{
	Timestamp moment = type == DATEOID ? date2timestamp_no_overflow(DatumGetDateADT(value))
									   : DatumGetTimestamp(value);
	struct pg_tm tm;
	fsec_t fsec;

	if (timestamp2tm(moment, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
	appendStringInfo(sql, "%04d-%02d-%02d", tm.tm_year, tm.tm_mon, tm.tm_mday);
	if (type != DATEOID)
		appendStringInfo(sql, "%c%02d:%02d:%02d.%06d", separator, tm.tm_hour, tm.tm_min, tm.tm_sec,
						 (int) fsec);
}

char *
cs_warehouse_text(Datum value)
{
	return TextDatumGetCString(value);
}

bool
cs_warehouse_defers(const CsDialect *dialect, const CsReadSpec *spec)
{
	return cs_sql_wraps(dialect, spec) &&
		   (spec->conditions != NIL || (spec->since && OidIsValid(spec->since->type)));
}

char *
cs_warehouse_first_statement(const CsDialect *dialect, const CsReadSpec *spec, const char *from)
{
	CsReadSpec plain = *spec;

	if (spec->object || cs_warehouse_defers(dialect, spec))
		return cs_sql_select_none(spec, from);
	/* Conditions that can't be sent: others are not to be counted. */
	if (spec->conditions != NIL || spec->since)
		plain.limit = 0;
	plain.conditions = NIL;
	plain.since = NULL;
	return cs_sql_select_from(dialect, &plain, NIL, NULL, 0, NULL);
}

char *
cs_warehouse_statement(const CsDialect *dialect, const CsReadSpec *spec, const char *from)
{
	return cs_sql_select_from(dialect, spec, spec->wanted, NULL, 0, from);
}
