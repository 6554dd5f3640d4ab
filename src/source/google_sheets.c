/*
 * google_sheets.c
 *		Source: a tab of a Google spreadsheet, by the Sheets API v4.
 *
 * A tab is read in blocks of rows, bounded by the grid's size as it was when
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
	if (last_row == 0)
		appendStringInfo(&range, "'!%d:%d", first_row, first_row);
	else
		appendStringInfo(&range, "'!A%d:%s%d", first_row, cs_gs_letters(columns - 1), last_row);
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
	if (spec->query)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("a spreadsheet can't be queried"),
				 errhint("Give the title of a tab as object.")));
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
						errmsg("row %d of tab \"%s\" has no names of columns", session->header_row,
							   session->tab->title),
						errhint("Option \"header_row\" says where they are; 0: nowhere, columns "
								"are named A, B, C then.")));
	cs_gs_set_columns(session, names);
	choose_block(session);
	session->next_row = session->ended_row = session->header_row + 1;
}

/* GsTab *; what has its default may be left out of the answer. */
static List *
look_at_tabs(GsSession *session)
{
	char *path = psprintf("/%s?fields=properties(title,locale,timeZone),sheets.properties",
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

		tab->title = cs_json_text(properties, "title");
		tab->rows = (int) cs_json_int(grid, "rowCount", 0);
		tab->columns = (int) cs_json_int(grid, "columnCount", 0);
		if (tab->title && tab->rows > 0 && tab->columns > 0 &&
			(type == NULL || strcmp(type, "GRID") == 0))
			tabs = lappend(tabs, tab);
	}
	return tabs;
}

/* Without a title, the first one. */
static GsTab *
find_tab(GsSession *session, List *tabs, const char *title)
{
	StringInfoData titles;
	ListCell *lc;

	initStringInfo(&titles);
	foreach (lc, tabs)
	{
		GsTab *tab = lfirst(lc);

		if (title == NULL || strcmp(tab->title, title) == 0)
			return tab;
		appendStringInfo(&titles, "%s\"%s\"", titles.len ? ", " : "", tab->title);
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("the spreadsheet has no tab \"%s\" that holds cells", title ? title : ""),
			 titles.len ? errdetail("It has: %s.", cs_http_redact(session->base.http, titles.data,
																  titles.len, 500))
						: 0,
			 errhint("The object is the title of a tab, as it is written there.")));
}

static List *
letters_of_all(const GsTab *tab)
{
	List *names = NIL;

	for (int i = 0; i < tab->columns; i++)
		names = lappend(names, cs_gs_letters(i));
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
	return cs_gs_names(json_array_get(json_object_get(answer, "values"), 0), session->header_row);
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
	part->request.url =
		psprintf("%s/%s/values/%s?majorDimension=ROWS&valueRenderOption=UNFORMATTED_VALUE"
				 "&dateTimeRenderOption=SERIAL_NUMBER",
				 base->base_url, cs_url_encode(session->spreadsheet),
				 cs_gs_range(session->tab, first, last, base->ncolumns));
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
	char *asked = psprintf("!A%d:%s%d", first, cs_gs_letters(base->ncolumns - 1), last);

	if (first == last && base->ncolumns == 1)
		asked = psprintf("!A%d", first);
	if (cells == NULL || strcmp(cells, asked) != 0)
		throw_changed(session);
	session->ended_row = last + 1;
	if (session->ended_row > session->tab->rows && session->block < session->tab->rows)
		check_size(session);
}

static void
throw_changed(const GsSession *session)
{
	ereport(ERROR, (errcode(ERRCODE_FDW_ERROR),
					errmsg("tab \"%s\" changed while it was being read", session->tab->title),
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

		if (strcmp(tab->title, session->tab->title) == 0 && tab->rows == session->tab->rows &&
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

		if (cs_names_want(only, tab->title))
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
		session->header_row > 0 ? cs_gs_names(row, session->header_row) : letters_of_all(tab);

	object->name = tab->title;
	object->object = tab->title;
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
