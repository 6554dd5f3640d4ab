/*
 * bigquery_range.c
 *		BigQuery's RANGE: "[2024-01-01, UNBOUNDED)".
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/rangetypes.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "source/bigquery.h"

/* What is to be known of a range type; lives with the cell. */
typedef struct RangeKind
{
	TypeCacheEntry *type;
	CsCell bound; /* reads a bound, but that of a timestamp */
	bool of_timestamps;
} RangeKind;

static Datum read_range(CsCell *cell, const CsField *field, char **why);
static bool read_bound(RangeKind *kind, char *text, RangeBound *bound, char **why);

void
cs_bq_set_range(CsColumn *column, CsCell *cell, const BqField *field)
{
	RangeKind *kind = palloc0(sizeof(RangeKind));
	const char *element = field->element ? field->element : "";
	CsColumn ignored = { 0 };
	Oid range = InvalidOid;

	kind->of_timestamps = strcmp(element, "TIMESTAMP") == 0;
	if (strcmp(element, "DATE") == 0)
		range = DATERANGEOID;
	else if (strcmp(element, "DATETIME") == 0)
		range = TSRANGEOID;
	else if (kind->of_timestamps)
		range = TSTZRANGEOID;
	if (range == InvalidOid)
	{
		cs_cell_set(column, cell, TEXTOID, -1, cs_cell_text);
		return;
	}
	kind->type = lookup_type_cache(range, TYPECACHE_RANGE_INFO);
	cs_cell_set(&ignored, &kind->bound, range == DATERANGEOID ? DATEOID : TIMESTAMPOID, -1,
				range == DATERANGEOID ? cs_cell_date : cs_cell_timestamp);
	cs_cell_set(column, cell, range, -1, read_range);
	cell->fields = kind;
}

/* The lower bound is always in it, the upper one never. */
static Datum
read_range(CsCell *cell, const CsField *field, char **why)
{
	RangeKind *kind = cell->fields;
	RangeBound lower = { 0 };
	RangeBound upper = { 0 };
	char *comma = strstr(field->text, ", ");
	int len = field->len;

	lower.lower = lower.inclusive = true;
	if (field->text[0] != '[' || len < 2 || field->text[len - 1] != ')' || comma == NULL)
		return cs_cell_fail(field, "no range", why);
	if (!read_bound(kind, pnstrdup(field->text + 1, comma - field->text - 1), &lower, why) ||
		!read_bound(kind, pnstrdup(comma + 2, field->text + len - 1 - comma - 2), &upper, why))
		return (Datum) 0;
	if (!lower.infinite && !upper.infinite && range_cmp_bounds(kind->type, &lower, &upper) > 0)
		return cs_cell_fail(field, "no range", why);
	return RangeTypePGetDatum(cs_range_make(kind->type, &lower, &upper, false));
}

static bool
read_bound(RangeKind *kind, char *text, RangeBound *bound, char **why)
{
	CsField field = { CS_VALUE_STRING, text, (int) strlen(text) };

	bound->infinite = pg_strcasecmp(text, "UNBOUNDED") == 0 || pg_strcasecmp(text, "NULL") == 0;
	if (bound->infinite)
		return true;
	if (!kind->of_timestamps)
		bound->val = kind->bound.read(&kind->bound, &field, why);
	else
		bound->val = cs_bq_cell_timestamp(&kind->bound, &field, why);
	return *why == NULL;
}
