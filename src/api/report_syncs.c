/*
 * report_syncs.c
 *		The beginning of the page: is anything wrong, and what; and all syncs.
 */
#include "postgres.h"

#include "api/report.h"

/* Rows of the table of syncs, the worst first; and of what needs a look. */
#define MAX_SYNCS 300
#define MAX_CARDS 20

/* Columns of the query below. */
enum
{
	COL_NAME = 1,
	COL_OWNER,
	COL_DESTINATION,
	COL_BEHAVIOR,
	COL_STATE, /* the word */
	COL_SEVERITY,
	COL_LAST_TIME,
	COL_LAST_AGE,
	COL_SUCCESS_TIME,
	COL_SUCCESS_AGE,
	COL_TOOK,
	COL_READ,
	COL_WRITTEN,
	COL_BAD,
	COL_STREAK,
	COL_ERROR_CODE,
	COL_ERROR,
	COL_HINT,
	COL_ALERTS,
	COL_SPARK,
	COL_WATERMARK,
	COL_NEXT_TIME,
	COL_NEXT_AGE,
	COL_PAUSED_REASON
};

/* Severities. */
#define FAILING 0
#define ALERTING 1
#define SOMEWHAT 3 /* up to this: worth a look */
#define PAUSED 6

/* Dry runs are no news.  What of a sync is older than a month comes from censync.syncs alone. */
static const char *const syncs_query =
	"WITH recent AS (SELECT * FROM (SELECT run_id, sync, status, "
	"round(coalesce(extract(epoch FROM finished_at - started_at), 0), 3) AS took, "
	"records_invalid + records_rejected AS bad, row_number() OVER "
	"(PARTITION BY sync COLLATE \"C\" ORDER BY run_id DESC) AS n FROM censync.runs "
	"WHERE NOT dry_run AND started_at > now() - interval '30 days') r WHERE n <= 24), "
	"spark AS (SELECT sync, string_agg(CASE WHEN status = 'completed' THEN 'c' "
	"WHEN status IN ('failed', 'crashed') THEN 'f' ELSE 'o' END || ':' || took, ' ' "
	"ORDER BY n DESC) AS runs "
	"FROM recent WHERE status NOT IN ('queued', 'running') GROUP BY sync), "
	"latest AS (SELECT DISTINCT ON (r.sync) r.sync, r.status, r.bad, e.error_code, "
	"e.error_message, e.error_hint FROM recent r "
	"LEFT JOIN censync.runs e ON e.run_id = r.run_id AND r.status IN ('failed', 'crashed') "
	"WHERE n <= 2 ORDER BY r.sync, r.status IN ('queued', 'running'), n), "
	"alerts AS (SELECT sync, count(*) AS n FROM censync.alerts WHERE state = 'raised' "
	"GROUP BY sync), "
	"judged AS (SELECT s.*, l.error_code, l.error_message, l.error_hint, k.runs, "
	"coalesce(a.n, 0) AS alerts, l.bad, "
	"coalesce(l.status, s.last_status) AS ended "
	"FROM censync.syncs s LEFT JOIN spark k ON k.sync = s.name "
	"LEFT JOIN latest l ON l.sync = s.name LEFT JOIN alerts a ON a.sync = s.name), "
	"sorted AS (SELECT *, CASE WHEN state = 'paused' THEN 6 "
	"WHEN ended IN ('failed', 'crashed') THEN 0 WHEN alerts > 0 THEN 1 "
	"WHEN ended = 'canceled' THEN 2 WHEN bad > 0 AND ended = 'completed' THEN 3 "
	"WHEN last_status IN ('queued', 'running') THEN 4 ELSE 5 END AS severity FROM judged) "
	"SELECT name, owner, destination, behavior, CASE severity WHEN 6 THEN 'paused' "
	"WHEN 0 THEN ended WHEN 1 THEN 'alert' WHEN 2 THEN 'canceled' WHEN 3 THEN 'bad records' "
	"WHEN 4 THEN last_status ELSE CASE WHEN last_success_at IS NULL THEN 'never run' "
	"ELSE 'fine' END END, severity, "
	"to_char(last_started_at, 'YYYY-MM-DD\"T\"HH24:MI:SSTZH:TZM'), "
	"extract(epoch FROM now() - last_started_at), "
	"to_char(last_success_at, 'YYYY-MM-DD\"T\"HH24:MI:SSTZH:TZM'), "
	"extract(epoch FROM now() - last_success_at), extract(epoch FROM last_success_took), "
	"last_success_records, last_success_written, bad, consecutive_failures, error_code, "
	"error_message, "
	"error_hint, alerts, runs, watermark, "
	"to_char(next_run, 'YYYY-MM-DD\"T\"HH24:MI:SSTZH:TZM'), "
	"extract(epoch FROM now() - next_run), paused_reason FROM sorted ORDER BY severity, "
	"consecutive_failures DESC, name";

static void write_verdict(StringInfo html, uint64 rows);
static void write_tile(StringInfo html, const char *style, double number, const char *what);
static void write_cards(StringInfo html, uint64 rows);
static void write_card(StringInfo html, uint64 row);
static void write_table(StringInfo html, uint64 rows);
static void write_row(StringInfo html, uint64 row);
static void write_name(StringInfo html, uint64 row);
static void write_small(StringInfo html, const char *what, const char *text);
static void write_times(StringInfo html, uint64 row);
static void write_cell(StringInfo html, const char *label, int col, uint64 row);
static int severity(uint64 row);

void
cs_report_syncs(StringInfo html)
{
	uint64 rows = cs_report_query(syncs_query);
	struct SPITupleTable *syncs = cs_report_keep();

	write_verdict(html, rows);
	write_cards(html, rows);
	cs_report_alerts(html);
	cs_report_back_to(syncs);
	write_table(html, rows);
}

/* What somebody with five seconds reads. */
static void
write_verdict(StringInfo html, uint64 rows)
{
	int failing = 0;
	int alerting = 0;
	int somewhat = 0;
	int paused = 0;
	int fine = 0;
	const char *style;

	for (uint64 row = 0; row < rows; row++)
	{
		failing += severity(row) == FAILING;
		alerting += cs_report_number(row, COL_ALERTS) > 0;
		somewhat += severity(row) > ALERTING && severity(row) <= SOMEWHAT;
		paused += severity(row) == PAUSED;
		fine += severity(row) > SOMEWHAT && severity(row) < PAUSED;
	}
	style = failing + alerting > 0 ? "bad" : somewhat > 0 ? "warn" : "good";
	appendStringInfo(html, "<section class=\"verdict %s\" aria-label=\"Summary\"><h2>", style);
	if (rows == 0)
		appendStringInfoString(html, "There are no syncs to be seen");
	else if (failing > 0)
		appendStringInfo(html, "%d of " UINT64_FORMAT " syncs %s", failing, rows,
						 failing == 1 ? "fails" : "fail");
	else if (alerting > 0)
		appendStringInfo(html, "%d of " UINT64_FORMAT " syncs %s an open alert", alerting, rows,
						 alerting == 1 ? "has" : "have");
	else if (somewhat > 0)
		appendStringInfoString(html, "No sync fails; some are worth a look");
	else
		appendStringInfoString(html, rows == 1 ? "The sync is fine" : "All syncs are fine");
	appendStringInfoString(html, "</h2><ul class=\"tiles\">");
	write_tile(html, failing ? "bad" : "", failing, "failing");
	write_tile(html, alerting ? "bad" : "", alerting, "with open alerts");
	write_tile(html, somewhat ? "warn" : "", somewhat, "with bad records or canceled");
	write_tile(html, "", fine, "fine");
	write_tile(html, "", paused, "paused");
	appendStringInfoString(html, "</ul>");
}

static void
write_tile(StringInfo html, const char *style, double number, const char *what)
{
	appendStringInfo(html, "<li class=\"%s\"><b>", style);
	cs_html_count(html, number);
	appendStringInfo(html, "</b> %s</li>", what);
}

static void
write_cards(StringInfo html, uint64 rows)
{
	uint64 failing = 0;

	while (failing < rows && severity(failing) == FAILING)
		failing++;
	if (failing == 0)
		return;
	cs_html_section(html, "failing", "Failing", NULL);
	appendStringInfoString(html, "<div class=\"cards\">");
	for (uint64 row = 0; row < Min(failing, MAX_CARDS); row++)
		write_card(html, row);
	appendStringInfoString(html, "</div>");
	if (failing > MAX_CARDS)
		appendStringInfo(html, "<p class=\"note\">And " UINT64_FORMAT " more; see below.</p>",
						 failing - MAX_CARDS);
}

static void
write_card(StringInfo html, uint64 row)
{
	double streak = cs_report_number(row, COL_STREAK);

	appendStringInfoString(html, "<article class=\"card bad\"><h3>");
	cs_html_isolated(html, cs_report_text(row, COL_NAME), CS_REPORT_NAME);
	appendStringInfoString(html, "</h3><p class=\"since\">");
	cs_html_status(html, cs_report_text(row, COL_STATE));
	if (streak > 1)
	{
		appendStringInfoString(html, ", ");
		cs_html_count(html, streak);
		appendStringInfoString(html, " times in a row");
	}
	appendStringInfoString(html, "; last success ");
	cs_html_ago(html, cs_report_text_or_null(row, COL_SUCCESS_TIME),
				cs_report_text_or_null(row, COL_SUCCESS_AGE));
	appendStringInfoString(html, "</p><p class=\"error\">");
	cs_html_isolated(html, cs_report_text(row, COL_ERROR), CS_REPORT_MESSAGE);
	appendStringInfoString(html, " <code>");
	cs_html_text(html, cs_report_text(row, COL_ERROR_CODE), CS_REPORT_NAME);
	appendStringInfoString(html, "</code></p>");
	if (cs_report_text_or_null(row, COL_HINT))
	{
		appendStringInfoString(html, "<p class=\"hint\">");
		cs_html_isolated(html, cs_report_text(row, COL_HINT), CS_REPORT_MESSAGE);
		appendStringInfoString(html, "</p>");
	}
	appendStringInfoString(html, "</article>");
}

static void
write_table(StringInfo html, uint64 rows)
{
	if (rows == 0)
		return;
	cs_html_section(html, "syncs", "Syncs",
					"Those that need a look come first. Bars are the last runs of a month: as high "
					"as they took long.");
	appendStringInfoString(
		html, "<table class=\"stack\"><thead><tr><th scope=\"col\">Sync</th>"
			  "<th scope=\"col\">State</th><th scope=\"col\">Last runs</th>"
			  "<th scope=\"col\">Last run</th><th scope=\"col\">Last success</th>"
			  "<th scope=\"col\" class=\"num\">Took</th><th scope=\"col\" class=\"num\">Read</th>"
			  "<th scope=\"col\" class=\"num\">Written</th>"
			  "<th scope=\"col\" class=\"num\">Bad</th></tr></thead><tbody>\n");
	for (uint64 row = 0; row < Min(rows, MAX_SYNCS); row++)
		write_row(html, row);
	appendStringInfoString(html, "</tbody></table>");
	if (rows > MAX_SYNCS)
		appendStringInfo(html, "<p class=\"note\">And " UINT64_FORMAT " more.</p>",
						 rows - MAX_SYNCS);
}

static void
write_row(StringInfo html, uint64 row)
{
	appendStringInfoString(html, "<tr><th scope=\"row\">");
	write_name(html, row);
	appendStringInfoString(html, "</th><td data-label=\"State\">");
	cs_html_status(html, cs_report_text(row, COL_STATE));
	write_small(html, "", cs_report_text_or_null(row, COL_PAUSED_REASON));
	appendStringInfoString(html, "</td><td data-label=\"Last runs\">");
	cs_chart_spark(html, cs_report_text(row, COL_SPARK));
	appendStringInfoString(html, "</td>");
	write_times(html, row);
	appendStringInfoString(html, "<td class=\"num\" data-label=\"Took\">");
	if (cs_report_text_or_null(row, COL_TOOK))
		cs_html_duration(html, cs_report_number(row, COL_TOOK));
	appendStringInfoString(html, "</td>");
	write_cell(html, "Read", COL_READ, row);
	write_cell(html, "Written", COL_WRITTEN, row);
	write_cell(html, "Bad", COL_BAD, row);
	appendStringInfoString(html, "</tr>\n");
}

static void
write_name(StringInfo html, uint64 row)
{
	cs_html_isolated(html, cs_report_text(row, COL_NAME), CS_REPORT_NAME);
	appendStringInfoString(html, "<small>");
	cs_html_text(html, cs_report_text(row, COL_BEHAVIOR), CS_REPORT_NAME);
	appendStringInfoString(html, " of ");
	cs_html_isolated(html, cs_report_text(row, COL_DESTINATION), CS_REPORT_NAME);
	appendStringInfoString(html, "</small>");
	write_small(html, "read up to ", cs_report_text_or_null(row, COL_WATERMARK));
}

/* A line below, if there is something to say; it is shown as what it is, whatever its direction. */
static void
write_small(StringInfo html, const char *what, const char *text)
{
	if (text == NULL)
		return;
	appendStringInfo(html, "<small>%s", what);
	cs_html_isolated(html, text, CS_REPORT_MESSAGE);
	appendStringInfoString(html, "</small>");
}

static void
write_times(StringInfo html, uint64 row)
{
	appendStringInfoString(html, "<td data-label=\"Last run\">");
	cs_html_ago(html, cs_report_text_or_null(row, COL_LAST_TIME),
				cs_report_text_or_null(row, COL_LAST_AGE));
	if (cs_report_text_or_null(row, COL_NEXT_TIME))
	{
		appendStringInfoString(html, "<small>next ");
		cs_html_ago(html, cs_report_text(row, COL_NEXT_TIME), cs_report_text(row, COL_NEXT_AGE));
		appendStringInfoString(html, "</small>");
	}
	appendStringInfoString(html, "</td><td data-label=\"Last success\">");
	cs_html_ago(html, cs_report_text_or_null(row, COL_SUCCESS_TIME),
				cs_report_text_or_null(row, COL_SUCCESS_AGE));
	appendStringInfoString(html, "</td>");
}

static void
write_cell(StringInfo html, const char *label, int col, uint64 row)
{
	appendStringInfo(html, "<td class=\"num\" data-label=\"%s\">", label);
	if (cs_report_text_or_null(row, col))
		cs_html_count(html, cs_report_number(row, col));
	appendStringInfoString(html, "</td>");
}

static int
severity(uint64 row)
{
	return (int) cs_report_number(row, COL_SEVERITY);
}
