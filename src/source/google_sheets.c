/*
 * google_sheets.c
 *		Source: a tab or a named range of a Google spreadsheet, by the Sheets API v4.
 *
 * It is read in blocks of rows, bounded by the grid's size as it was when
 * the read began.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "base/names.h"
#include "net/url.h"
#include "source/option_table.h"
#include "source/services.h"
#include "source/sheets.h"

#define BASE_URL "https://sheets.googleapis.com/v4/spreadsheets"
#define SCOPE "https://www.googleapis.com/auth/spreadsheets.readonly"

/* Cells of a block, which makes about 2 MB; and its rows. */
#define BLOCK_CELLS 200000
#define MIN_BLOCK 1000
#define MAX_BLOCK 50000

/* Rows of a block where only some are wanted. */
#define FEW_ROWS 200

/* Tabs whose headers are asked for at a time: an address has its limits. */
#define TABS_AT_A_TIME 20

static CsServiceSession *create(const CsReadSpec *spec, CsOptionSet *options);
static char *id_of(const char *text);
static bool authorize(CsServiceSession *base, CsHttpRequest *request, bool renew);
static void describe(CsServiceSession *base);
static List *look_at_tabs(GsSession *session);
static List *add_ranges(List *tabs, const json_t *ranges);
static GsTab *make_range(const GsTab *tab, const json_t *cells);
static GsTab *find_tab(GsSession *session, List *tabs, const char *title);
static List *letters_of_all(const GsTab *tab);
static List *read_header(GsSession *session);
static void choose_block(GsSession *session);
static bool next_part(CsServiceSession *base, CsServicePart *part);
static void end_part(CsServiceSession *base, const char *envelope, int64 rows);
static void throw_changed(const GsSession *session) pg_attribute_noreturn();
static void check_size(GsSession *session);
static List *list(CsServiceSession *base, const char *schema, List *only);
static void list_some(GsSession *session, List *tabs, int first, List **objects);
static CsObject *make_object(GsSession *session, const GsTab *tab, const json_t *row);
static void probe(CsServiceSession *base);

const CsService cs_source_google_sheets = {
	.base = CS_SERVICE("google_sheets", CS_FOR_SHEETS),
	.create = create,
	.authorize = authorize,
	.may_pass = cs_gs_may_pass,
	.refuse = cs_gs_refuse,
	.describe = describe,
	.next_part = next_part,
	.end_part = end_part,
	.list = list,
	.probe = probe,
};

char *
cs_gs_letters(int column)
{
	char letters[8];
	int at = lengthof(letters) - 1;

	letters[at] = '\0';
	for (column++; column > 0 && at > 0; column = (column - 1) / 26)
		letters[--at] = (char) ('A' + (column - 1) % 26);
	return pstrdup(letters + at);
}

/* One cell is written as such. */
char *
cs_gs_cells(const GsTab *tab, int first_row, int last_row, int columns)
{
	char *first = psprintf("%s%d", cs_gs_letters(tab->first_column), tab->first_row + first_row);
	char *last =
		psprintf("%s%d", cs_gs_letters(tab->first_column + columns - 1), tab->first_row + last_row);

	return strcmp(first, last) == 0 ? first : psprintf("%s:%s", first, last);
}

/* The title always in quotes, lest it be taken for a cell or a named range. */
char *
cs_gs_range(const GsTab *tab, int first_row, int last_row, int columns)
{
	StringInfoData range;

	initStringInfo(&range);
	appendStringInfoChar(&range, '\'');
	for (const char *p = tab->title; *p; p++)
	{
		if (*p == '\'')
			appendStringInfoChar(&range, '\'');
		appendStringInfoChar(&range, *p);
	}
	if (last_row == 0 && tab->is_range)
		appendStringInfo(&range, "'!%s", cs_gs_cells(tab, first_row, first_row, tab->columns));
	else if (last_row == 0)
		appendStringInfo(&range, "'!%d:%d", first_row, first_row);
	else
		appendStringInfo(&range, "'!%s", cs_gs_cells(tab, first_row, last_row, columns));
	return cs_url_encode(range.data);
}

static CsServiceSession *
create(const CsReadSpec *spec, CsOptionSet *options)
{
	GsSession *session = palloc0(sizeof(GsSession));
	const char *id = cs_option_get(options, "spreadsheet_id");

	session->base.context = CurrentMemoryContext;
	session->base.base_url = cs_option_get_default(options, "base_url", BASE_URL);
	session->auth = cs_google_auth_create(&session->base, options, SCOPE);
	session->header_row = cs_option_int(cs_option_get_default(options, "header_row", "1"));
	session->formatted =
		strcmp(cs_option_get_default(options, "cell_values", "unformatted"), "formatted") == 0;
	if (session->formatted && cs_option_get(options, "serial_dates"))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("conflicting options \"cell_values\" and \"serial_dates\""),
						errdetail("Dates are texts where values are formatted."),
						errhint("Leave one of them out.")));
	if (spec->query)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("a spreadsheet can't be queried"),
				 errhint("Give the title of a tab, or the name of a range, as object.")));
	if (id == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
						errmsg("the server has no option \"spreadsheet_id\""),
						errhint("It is what stands in the spreadsheet's address after /d/.")));
	session->spreadsheet = id_of(id);
	return &session->base;
}

/* Of an id, or of an address that has it. */
static char *
id_of(const char *text)
{
	const char *at = strstr(text, "/spreadsheets/d/");

	if (at == NULL)
		return pstrdup(text);
	at += strlen("/spreadsheets/d/");
	return pnstrdup(at, strcspn(at, "/?#"));
}

static bool
authorize(CsServiceSession *base, CsHttpRequest *request, bool renew)
{
	return cs_google_authorize(((GsSession *) base)->auth, base, request, renew);
}

static void
describe(CsServiceSession *base)
{
	GsSession *session = (GsSession *) base;
	List *tabs = look_at_tabs(session);
	List *names;

	session->tab = find_tab(session, tabs, base->spec->object);
	names = session->header_row > 0 ? read_header(session) : letters_of_all(session->tab);
	if (names == NIL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("row %d of %s \"%s\" has no names of columns", session->header_row,
							   session->tab->is_range ? "named range" : "tab", session->tab->name),
						errhint("Option \"header_row\" says where they are; 0: nowhere, columns "
								"are named A, B, C then.")));
	cs_gs_set_columns(session, names);
	choose_block(session);
	session->next_row = session->ended_row = session->header_row + 1;
}

/* GsTab *: tabs, and then named ranges; what has its default may be left out of the answer. */
static List *
look_at_tabs(GsSession *session)
{
	char *path =
		psprintf("/%s?fields=properties(title,locale,timeZone),sheets.properties,namedRanges",
				 cs_url_encode(session->spreadsheet));
	json_t *answer = cs_service_call(
		&session->base, cs_service_request(&session->base, "GET", path, NULL), 0, NULL);
	json_t *sheets = json_object_get(answer, "sheets");
	List *tabs = NIL;

	session->title = cs_json_text(json_object_get(answer, "properties"), "title");
	for (size_t i = 0; i < json_array_size(sheets); i++)
	{
		json_t *properties = json_object_get(json_array_get(sheets, i), "properties");
		json_t *grid = json_object_get(properties, "gridProperties");
		char *type = cs_json_text(properties, "sheetType");
		GsTab *tab = palloc0(sizeof(GsTab));

		tab->name = tab->title = cs_json_text(properties, "title");
		tab->id = cs_json_int(properties, "sheetId", 0);
		tab->rows = (int) cs_json_int(grid, "rowCount", 0);
		tab->columns = (int) cs_json_int(grid, "columnCount", 0);
		if (tab->title && tab->rows > 0 && tab->columns > 0 &&
			(type == NULL || strcmp(type, "GRID") == 0))
			tabs = lappend(tabs, tab);
	}
	return add_ranges(tabs, json_object_get(answer, "namedRanges"));
}

/* A range with the name of a tab can't be asked for. */
static List *
add_ranges(List *tabs, const json_t *ranges)
{
	int ntabs = list_length(tabs);

	for (size_t i = 0; i < json_array_size(ranges); i++)
	{
		const json_t *named = json_array_get(ranges, i);
		const json_t *cells = json_object_get(named, "range");
		char *name = cs_json_text(named, "name");
		GsTab *range = NULL;

		for (int at = 0; at < ntabs && name; at++)
		{
			const GsTab *tab = list_nth(tabs, at);

			if (strcmp(tab->name, name) == 0)
				name = NULL;
			else if (tab->id == cs_json_int(cells, "sheetId", 0))
				range = make_range(tab, cells);
		}
		if (name == NULL || range == NULL)
			continue;
		range->name = name;
		tabs = lappend(tabs, range);
	}
	return tabs;
}

/* NULL: it has no cells in the grid.  An open end is the grid's. */
static GsTab *
make_range(const GsTab *tab, const json_t *cells)
{
	GsTab *range = palloc0(sizeof(GsTab));
	int64 top = cs_json_int(cells, "startRowIndex", 0);
	int64 left = cs_json_int(cells, "startColumnIndex", 0);
	int64 bottom = Min(cs_json_int(cells, "endRowIndex", tab->rows), tab->rows);
	int64 right = Min(cs_json_int(cells, "endColumnIndex", tab->columns), tab->columns);

	range->title = tab->title;
	range->id = tab->id;
	range->is_range = true;
	range->first_row = (int) top;
	range->first_column = (int) left;
	range->rows = (int) (bottom - top);
	range->columns = (int) (right - left);
	return top >= 0 && left >= 0 && top < bottom && left < right ? range : NULL;
}

/* Without a title, the first tab. */
static GsTab *
find_tab(GsSession *session, List *tabs, const char *title)
{
	StringInfoData titles;
	ListCell *lc;

	initStringInfo(&titles);
	foreach (lc, tabs)
	{
		GsTab *tab = lfirst(lc);

		if (strcmp(tab->name, title ? title : tab->name) == 0 && (title || !tab->is_range))
			return tab;
		appendStringInfo(&titles, "%s\"%s\"", titles.len ? ", " : "", tab->name);
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("the spreadsheet has no tab \"%s\" that holds cells", title ? title : ""),
			 titles.len ? errdetail("It has: %s.", cs_http_redact(session->base.http, titles.data,
																  titles.len, 500))
						: 0,
			 errhint("The object is the title of a tab, or the name of a named range, as it is "
					 "written there.")));
}

static List *
letters_of_all(const GsTab *tab)
{
	List *names = NIL;

	for (int i = 0; i < tab->columns; i++)
		names = lappend(names, cs_gs_letters(tab->first_column + i));
	return names;
}

static List *
read_header(GsSession *session)
{
	char *path;
	json_t *answer;

	if (session->header_row > session->tab->rows)
		return NIL;
	path = psprintf("/%s/values/%s?majorDimension=ROWS&valueRenderOption=FORMATTED_VALUE",
					cs_url_encode(session->spreadsheet),
					cs_gs_range(session->tab, session->header_row, 0, 0));
	answer = cs_service_call(&session->base, cs_service_request(&session->base, "GET", path, NULL),
							 0, NULL);
	return cs_gs_names(json_array_get(json_object_get(answer, "values"), 0), session->tab,
					   session->header_row);
}

static void
choose_block(GsSession *session)
{
	const char *size = cs_option_get(session->base.options, "page_size");
	int rows = BLOCK_CELLS / Max(1, session->base.ncolumns);

	session->block = Max(MIN_BLOCK, Min(rows, MAX_BLOCK));
	if (session->base.spec->partial)
		session->block = FEW_ROWS;
	if (size && cs_option_int(size) > 0)
		session->block = cs_option_int(size);
}

static bool
next_part(CsServiceSession *base, CsServicePart *part)
{
	GsSession *session = (GsSession *) base;
	int first = session->next_row;
	int last = (int) Min((int64) first + session->block - 1, session->tab->rows);

	if (first > session->tab->rows)
		return false;
	session->next_row = last + 1;
	part->request.url = psprintf(
		"%s/%s/values/%s?majorDimension=ROWS&valueRenderOption=%s", base->base_url,
		cs_url_encode(session->spreadsheet), cs_gs_range(session->tab, first, last, base->ncolumns),
		session->formatted ? "FORMATTED_VALUE"
						   : "UNFORMATTED_VALUE&dateTimeRenderOption=SERIAL_NUMBER");
	part->records = "/values";
	part->shape = CS_ROW_ARRAY;
	part->ragged = true;
	part->may_lack_records = true;
	part->skip_blank = true;
	return true;
}

/* The answer repeats which cells it is of.  Fewer than were asked for: the tab has become smaller. */
static void
end_part(CsServiceSession *base, const char *envelope, int64 rows pg_attribute_unused())
{
	GsSession *session = (GsSession *) base;
	int first = session->ended_row;
	int last = (int) Min((int64) first + session->block - 1, session->tab->rows);
	char *range = cs_json_text(cs_json_parse(envelope, strlen(envelope)), "range");
	char *cells = range ? strrchr(range, '!') : NULL;

	if (cells == NULL ||
		strcmp(cells + 1, cs_gs_cells(session->tab, first, last, base->ncolumns)) != 0)
		throw_changed(session);
	session->ended_row = last + 1;
	if (session->ended_row > session->tab->rows && session->block < session->tab->rows)
		check_size(session);
}

static void
throw_changed(const GsSession *session)
{
	ereport(ERROR, (errcode(ERRCODE_FDW_ERROR),
					errmsg("%s \"%s\" changed while it was being read",
						   session->tab->is_range ? "named range" : "tab", session->tab->name),
					errdetail("Rows or columns were added or removed."), errhint("Run it again.")));
}

/* There are no snapshots.  Rows that were inserted or removed while blocks were read are seen at least
 * when the grid has another size. */
static void
check_size(GsSession *session)
{
	ListCell *lc;

	foreach (lc, look_at_tabs(session))
	{
		const GsTab *tab = lfirst(lc);

		if (tab->is_range == session->tab->is_range && strcmp(tab->name, session->tab->name) == 0 &&
			tab->id == session->tab->id && tab->first_row == session->tab->first_row &&
			tab->first_column == session->tab->first_column && tab->rows == session->tab->rows &&
			tab->columns == session->tab->columns)
			return;
	}
	throw_changed(session);
}

/* A spreadsheet has no schemas. */
static List *
list(CsServiceSession *base, const char *schema, List *only)
{
	GsSession *session = (GsSession *) base;
	List *tabs = look_at_tabs(session);
	List *wanted = NIL;
	List *objects = NIL;
	ListCell *lc;

	if (schema[0] && strcmp(schema, "public") != 0 &&
		(session->title == NULL || strcmp(schema, session->title) != 0))
		ereport(ERROR, (errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
						errmsg("a spreadsheet has no schema \"%s\"", schema),
						errhint("IMPORT FOREIGN SCHEMA public takes all tabs.")));
	foreach (lc, tabs)
	{
		GsTab *tab = lfirst(lc);

		/* Ranges when they are asked for by name: their cells are those of a tab, too. */
		if (cs_names_want(only, tab->name) && (only || !tab->is_range))
			wanted = lappend(wanted, tab);
	}
	for (int first = 0; first < list_length(wanted); first += TABS_AT_A_TIME)
		list_some(session, wanted, first, &objects);
	return objects;
}

static void
list_some(GsSession *session, List *tabs, int first, List **objects)
{
	StringInfoData path;
	json_t *ranges;
	int last = Min(first + TABS_AT_A_TIME, list_length(tabs));
	int row = Max(1, session->header_row);

	initStringInfo(&path);
	appendStringInfo(&path, "/%s/values:batchGet?", cs_url_encode(session->spreadsheet));
	for (int i = first; i < last; i++)
	{
		const GsTab *tab = list_nth(tabs, i);

		appendStringInfo(&path, "ranges=%s&", cs_gs_range(tab, Min(row, tab->rows), 0, 0));
	}
	appendStringInfoString(&path, "majorDimension=ROWS&valueRenderOption=FORMATTED_VALUE");
	ranges = json_object_get(
		cs_service_call(&session->base, cs_service_request(&session->base, "GET", path.data, NULL),
						0, NULL),
		"valueRanges");
	for (int i = first; i < last; i++)
		*objects = lappend(
			*objects,
			make_object(
				session, list_nth(tabs, i),
				json_array_get(json_object_get(json_array_get(ranges, i - first), "values"), 0)));
}

static CsObject *
make_object(GsSession *session, const GsTab *tab, const json_t *row)
{
	CsObject *object = palloc0(sizeof(CsObject));
	List *names =
		session->header_row > 0 ? cs_gs_names(row, tab, session->header_row) : letters_of_all(tab);

	object->name = tab->name;
	object->object = tab->name;
	if (names == NIL || session->header_row > tab->rows)
	{
		object->refused = psprintf("its row %d has no names of columns", session->header_row);
		return object;
	}
	session->tab = (GsTab *) tab;
	cs_gs_set_columns(session, names);
	object->ncolumns = session->base.ncolumns;
	object->columns = session->base.columns;
	return object;
}

static void
probe(CsServiceSession *base)
{
	(void) look_at_tabs((GsSession *) base);
}
