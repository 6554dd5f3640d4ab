/*
 * sheets_columns.c
 *		Columns of a tab: names from its header, and values.
 *
 * A cell is a number, a boolean or a text, whatever column it is in, so that
 * columns are text, and the destination's type decides.  Dates are numbers,
 * which only who has made the sheet can tell.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/date.h"
#include "utils/timestamp.h"

#include "net/url.h"
#include "source/sheets.h"

#define MS_PER_DAY 86400000.0

/* Numbers of days count from 1899-12-30; that many before 2000-01-01. */
#define SERIAL_OF_2000 36526

/* Far more days than PostgreSQL has. */
#define MAX_SERIAL 1e9

/* Rows whose formats tell the type of a column. */
#define PROBED_ROWS 10

typedef struct DateKind
{
	const char *name;	/* in the option */
	const char *format; /* of cells; NULL: none */
	Oid type;
	CsCellRead read;
} DateKind;

static char *text_of(const json_t *value);
static char *trimmed(const char *text);
static int times(List *names, const char *name);
static void set_dates(GsSession *session, const char *option);
static void set_dates_of_formats(GsSession *session);
static void take_formats(GsSession *session, const json_t *row, bool *known);
static void set_kind(CsColumn *column, CsCell *cell, const DateKind *kind);
static const DateKind *kind_of(const char *name, bool format);
static Datum read_cell(CsCell *cell, const CsField *field, char **why);
static bool read_serial(CsCell *cell, const CsField *field, int64 *ms, char **why);
static Datum read_date(CsCell *cell, const CsField *field, char **why);
static Datum read_timestamp(CsCell *cell, const CsField *field, char **why);
static Datum read_time(CsCell *cell, const CsField *field, char **why);
static Datum read_interval(CsCell *cell, const CsField *field, char **why);

static const DateKind kinds[] = {
	{ "date", "DATE", DATEOID, read_date },
	{ "timestamp", "DATE_TIME", TIMESTAMPOID, read_timestamp },
	{ "time", "TIME", TIMEOID, read_time },
	{ "interval", NULL, INTERVALOID, read_interval },
};

/* Those that occur more than once get their cell behind them, all of them: which one is the first may change. */
List *
cs_gs_names(const json_t *row, const GsTab *tab, int header_row)
{
	List *given = NIL;
	List *names = NIL;
	int last = 0;

	for (int i = 0; i < (int) json_array_size(row); i++)
	{
		char *name = trimmed(text_of(json_array_get(row, i)));

		if (name[0])
			last = i + 1;
		given = lappend(given, name);
	}
	for (int i = 0; i < last; i++)
	{
		char *name = list_nth(given, i);
		char *letters = cs_gs_letters(tab->first_column + i);
		int number = tab->first_row + header_row;

		if (name[0] == '\0')
			name = psprintf("column_%s", letters);
		if (times(given, name) > 1)
			name = psprintf("%s_%s%d", name, letters, number);
		while (times(names, name) > 0)
			name = psprintf("%s_%s%d", name, letters, number);
		names = lappend(names, name);
	}
	return names;
}

void
cs_gs_set_columns(GsSession *session, List *names)
{
	CsServiceSession *base = &session->base;
	const char *dates = cs_option_get(base->options, "serial_dates");
	ListCell *lc;
	int i = 0;

	base->ncolumns = list_length(names);
	base->columns = palloc0(sizeof(CsColumn) * base->ncolumns);
	base->cells = palloc0(sizeof(CsCell) * base->ncolumns);
	foreach (lc, names)
	{
		base->columns[i].name = lfirst(lc);
		cs_cell_set(&base->columns[i], &base->cells[i], TEXTOID, -1, read_cell);
		i++;
	}
	if (dates && strcmp(dates, "auto") == 0)
		set_dates_of_formats(session);
	else if (dates)
		set_dates(session, dates);
}

/* In the server's encoding. */
static char *
text_of(const json_t *value)
{
	char *text = json_is_string(value) ? pstrdup(json_string_value(value)) : pstrdup("");

	if (json_is_integer(value))
		text = psprintf(INT64_FORMAT, (int64) json_integer_value(value));
	else if (json_is_real(value))
		text = psprintf("%.15g", json_real_value(value));
	else if (json_is_boolean(value))
		text = pstrdup(json_is_true(value) ? "TRUE" : "FALSE");
	return pg_any_to_server(text, (int) strlen(text), PG_UTF8);
}

static char *
trimmed(const char *text)
{
	size_t len;

	text += strspn(text, " \t\r\n");
	len = strlen(text);
	while (len > 0 && strchr(" \t\r\n", text[len - 1]))
		len--;
	return pnstrdup(text, len);
}

static int
times(List *names, const char *name)
{
	ListCell *lc;
	int n = 0;

	foreach (lc, names)
		n += strcmp(lfirst(lc), name) == 0;
	return n;
}

/* "signed, when:timestamp": a column, and what it holds unless it is dates. */
static void
set_dates(GsSession *session, const char *option)
{
	CsServiceSession *base = &session->base;
	char *rest = pstrdup(option);

	while (rest)
	{
		char *entry = strsep(&rest, ",");
		char *colon = strrchr(entry, ':');
		const DateKind *kind = colon ? kind_of(trimmed(colon + 1), false) : &kinds[0];
		int at;

		if (colon && kind)
			*colon = '\0';
		if (trimmed(entry)[0] == '\0')
			continue;
		at = cs_column_find(base->columns, base->ncolumns, trimmed(entry));
		if (kind == NULL)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("option \"serial_dates\" has an unknown type \"%s\"",
								   trimmed(colon + 1)),
							errhint("Expected: names of columns by comma, each with :date, "
									":timestamp, :time or :interval; or auto.")));
		if (at >= 0)
			set_kind(&base->columns[at], &base->cells[at], kind);
	}
}

/* Of the first rows that have a number. */
static void
set_dates_of_formats(GsSession *session)
{
	CsServiceSession *base = &session->base;
	int first = session->header_row + 1;
	int last = Min(first + PROBED_ROWS - 1, session->tab->rows);
	bool *known = palloc0(sizeof(bool) * base->ncolumns);
	json_t *data;
	json_t *rows;

	if (first > last)
		return;
	data = cs_service_call(
		base,
		cs_service_request(
			base, "GET",
			psprintf("/%s?ranges=%s&fields=sheets.data.rowData.values(effectiveValue,"
					 "effectiveFormat.numberFormat)",
					 cs_url_encode(session->spreadsheet),
					 cs_gs_range(session->tab, first, last, base->ncolumns)),
			NULL),
		0, NULL);
	data = json_object_get(json_array_get(json_object_get(data, "sheets"), 0), "data");
	rows = json_object_get(json_array_get(data, 0), "rowData");
	for (size_t i = 0; i < json_array_size(rows); i++)
		take_formats(session, json_object_get(json_array_get(rows, i), "values"), known);
}

static void
take_formats(GsSession *session, const json_t *row, bool *known)
{
	CsServiceSession *base = &session->base;

	for (int i = 0; i < base->ncolumns; i++)
	{
		const json_t *value = json_array_get(row, i);
		const json_t *number =
			json_object_get(json_object_get(value, "effectiveValue"), "numberValue");
		const json_t *format =
			json_object_get(json_object_get(value, "effectiveFormat"), "numberFormat");
		char *type = cs_json_text(format, "type");

		if (known[i] || number == NULL)
			continue;
		known[i] = true;
		if (type && kind_of(type, true))
			set_kind(&base->columns[i], &base->cells[i], kind_of(type, true));
	}
}

static void
set_kind(CsColumn *column, CsCell *cell, const DateKind *kind)
{
	cs_cell_set(column, cell, kind->type, -1, kind->read);
}

static const DateKind *
kind_of(const char *name, bool format)
{
	for (int i = 0; i < (int) lengthof(kinds); i++)
	{
		const char *own = format ? kinds[i].format : kinds[i].name;

		if (own && strcmp(own, name) == 0)
			return &kinds[i];
	}
	return NULL;
}

/* An empty cell is "" or nothing at all. */
static Datum
read_cell(CsCell *cell, const CsField *field, char **why)
{
	cell->is_null = field->len == 0;
	return cell->is_null ? (Datum) 0 : cs_cell_text(cell, field, why);
}

/* Milliseconds: more than that a double does not have. */
static bool
read_serial(CsCell *cell, const CsField *field, int64 *ms, char **why)
{
	double serial;

	cell->is_null = field->len == 0;
	if (cell->is_null)
		return false;
	if (field->kind != CS_VALUE_NUMBER)
	{
		(void) cs_cell_fail(field, "no date: the cell holds no number", why);
		return false;
	}
	serial = strtod(field->text, NULL);
	if (fabs(serial) > MAX_SERIAL)
	{
		(void) cs_cell_fail(field, "out of range of dates", why);
		return false;
	}
	*ms = (int64) llround(serial * MS_PER_DAY);
	return true;
}

static Datum
read_date(CsCell *cell, const CsField *field, char **why)
{
	int64 ms;
	double days;

	if (!read_serial(cell, field, &ms, why))
		return (Datum) 0;
	days = floor((double) ms / MS_PER_DAY) - SERIAL_OF_2000;
	if (days < DATETIME_MIN_JULIAN - POSTGRES_EPOCH_JDATE ||
		days >= DATE_END_JULIAN - POSTGRES_EPOCH_JDATE)
		return cs_cell_fail(field, "out of range of date", why);
	return DateADTGetDatum((DateADT) days);
}

static Datum
read_timestamp(CsCell *cell, const CsField *field, char **why)
{
	int64 ms;
	int64 timestamp;

	if (!read_serial(cell, field, &ms, why))
		return (Datum) 0;
	if (fabs((double) ms) > (double) PG_INT64_MAX / 2000)
		return cs_cell_fail(field, "out of range of timestamp", why);
	timestamp = ms * 1000 - SERIAL_OF_2000 * USECS_PER_DAY;
	if (!IS_VALID_TIMESTAMP(timestamp))
		return cs_cell_fail(field, "out of range of timestamp", why);
	return TimestampGetDatum(timestamp);
}

static Datum
read_time(CsCell *cell, const CsField *field, char **why)
{
	int64 ms;

	if (!read_serial(cell, field, &ms, why))
		return (Datum) 0;
	if (ms < 0 || ms >= (int64) MS_PER_DAY)
		return cs_cell_fail(field, "no time of a day", why);
	return TimeADTGetDatum(ms * 1000);
}

static Datum
read_interval(CsCell *cell, const CsField *field, char **why)
{
	Interval *interval = palloc0(sizeof(Interval));
	int64 ms;

	if (!read_serial(cell, field, &ms, why))
		return (Datum) 0;
	if (fabs((double) ms) > (double) PG_INT64_MAX / 2000)
		return cs_cell_fail(field, "out of range of interval", why);
	interval->time = ms * 1000;
	return IntervalPGetDatum(interval);
}
