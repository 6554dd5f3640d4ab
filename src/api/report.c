/*
 * report.c
 *		SQL: one HTML page about syncs and their runs.
 *
 * It has no script and loads nothing, and tells the browser so.  All it shows
 * comes from the views, as the caller sees them.
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "api/report.h"
#include "base/user.h"

PG_FUNCTION_INFO_V1(censync_report);

#define WORK_MEM_KB 32768

static void write_head(StringInfo html);
static void write_foot(StringInfo html);

/* SQL: censync_report() returns text */
PGDLLEXPORT Datum
censync_report(FunctionCallInfo fcinfo pg_attribute_unused())
{
	StringInfoData html;
	CsUserContext saved;

	initStringInfo(&html);
	cs_user_switch(&saved, GetUserId(), CS_SAFE_SEARCH_PATH);
	/* A few scans of a log that may be long. */
	cs_user_set("jit", "off");
	cs_user_set("work_mem", psprintf("%d", Max(work_mem, WORK_MEM_KB)));
	SPI_connect();
	write_head(&html);
	cs_report_syncs(&html);
	cs_report_time(&html);
	cs_report_failures(&html);
	cs_report_records(&html);
	cs_report_recent(&html);
	write_foot(&html);
	SPI_finish();
	cs_user_restore(&saved);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(html.data, html.len));
}

static void
write_head(StringInfo html)
{
	appendStringInfoString(
		html, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
			  "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
			  "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n"
			  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
			  "<meta name=\"color-scheme\" content=\"light dark\">\n"
			  "<meta name=\"referrer\" content=\"no-referrer\">\n<title>censync: ");
	cs_html_text(html, get_database_name(MyDatabaseId), CS_REPORT_NAME);
	appendStringInfo(html, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<header><h1>",
					 cs_report_style);
	cs_html_isolated(html, get_database_name(MyDatabaseId), CS_REPORT_NAME);
	appendStringInfoString(html, " <small>censync</small></h1><p class=\"when\">");
	(void) cs_report_query("SELECT to_char(now(), 'YYYY-MM-DD HH24:MI TZ')");
	cs_html_text(html, cs_report_text(0, 1), CS_REPORT_NAME);
	appendStringInfoString(html, ", as ");
	cs_html_isolated(html, GetUserNameFromId(GetUserId(), false), CS_REPORT_NAME);
	appendStringInfoString(html, "</p></header>\n<main>\n");
}

static void
write_foot(StringInfo html)
{
	appendStringInfoString(html, "</section>\n</main>\n<footer>censync_report(), of the syncs "
								 "that this role may see.</footer>\n</body>\n</html>\n");
}
