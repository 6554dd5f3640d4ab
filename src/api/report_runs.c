/*
 * report_runs.c
 *		The rest of the page: alerts, runs over time, failures, bad records, the latest runs.
 */
#include "postgres.h"

#include "api/report.h"

#define MAX_ALERTS 30
#define MAX_FAILURES 30
#define MAX_REASONS 40
#define MAX_RECENT 40


/* Series of the charts, as columns of the query from 2 on. */
enum
{
	COMPLETED,
	FAILED,
	CREATED,
	UPDATED,
	DELETED,
	MEDIAN,
	LONGEST,
	SERIES
};

/* A time as it goes into the page. */
#define ISO "'YYYY-MM-DD\"T\"HH24:MI:SSTZH:TZM'"

static const char *const alerts_query =
	"SELECT sync, alert, message, times, to_char(raised_at, " ISO "), "
	"extract(epoch FROM now() - raised_at) FROM censync.alerts WHERE state = 'raised' "
	"ORDER BY raised_at DESC LIMIT 1000";

static const char *const time_query =
	"WITH unit AS (SELECT CASE WHEN EXISTS (SELECT FROM censync.runs "
	"WHERE started_at BETWEEN now() - interval '30 days' AND now() - interval '2 days') "
	"THEN 'day' ELSE 'hour' END AS u), "
	"slots AS (SELECT t FROM unit, LATERAL generate_series(date_trunc(unit.u, now() - "
	"CASE unit.u WHEN 'hour' THEN interval '47 hours' ELSE interval '29 days' END), "
	"now(), ('1 ' || unit.u)::interval) t), "
	"sums AS (SELECT date_trunc((SELECT u FROM unit), started_at) AS t, "
	"count(*) FILTER (WHERE status = 'completed') AS good, "
	"count(*) FILTER (WHERE status <> 'completed') AS bad, sum(records_created) AS c, "
	"sum(records_updated) AS u, sum(records_deleted) AS d, "
	"percentile_disc(0.5) WITHIN GROUP (ORDER BY finished_at - started_at) AS median, "
	"max(finished_at - started_at) AS longest FROM censync.runs "
	"WHERE NOT dry_run AND status NOT IN ('queued', 'running') "
	"AND started_at > now() - interval '30 days' GROUP BY 1) "
	"SELECT to_char(t, CASE unit.u WHEN 'hour' THEN 'Mon DD HH24:MI' ELSE 'Mon DD' END), "
	"good, bad, c, s.u, d, extract(epoch FROM median), extract(epoch FROM longest) "
	"FROM unit CROSS JOIN slots LEFT JOIN sums s USING (t) "
	"WHERE EXISTS (SELECT FROM sums) ORDER BY t";

static const char *const failures_query =
	"SELECT sync, error_code, error_message, hint, n, to_char(last, " ISO "), "
	"extract(epoch FROM now() - last) FROM (SELECT sync, error_code, error_message, "
	"(array_agg(error_hint ORDER BY run_id DESC))[1] AS hint, count(*) AS n, "
	"max(started_at) AS last FROM censync.runs "
	"WHERE NOT dry_run AND status IN ('failed', 'crashed', 'canceled') "
	"AND started_at > now() - interval '30 days' GROUP BY 1, 2, 3 "
	"ORDER BY last DESC, n DESC LIMIT 1000) f";

/* The log of records may have millions. */
static const char *const records_query =
	"SELECT sync, status, reason_code, min(reason), column_name, constraint_name, count(*) "
	"FROM (SELECT u.sync, r.* FROM (SELECT run_id, sync FROM censync.runs "
	"WHERE records_invalid + records_rejected > 0 AND started_at > now() - interval '30 days' "
	"ORDER BY run_id DESC LIMIT 500) u CROSS JOIN LATERAL (SELECT * FROM censync.records r "
	"WHERE r.run_id = u.run_id AND r.status <> 'succeeded' LIMIT 20000) r LIMIT 20000) r "
	"GROUP BY sync, status, reason_code, column_name, constraint_name "
	"ORDER BY count(*) DESC, sync LIMIT 1000";

static const char *const recent_query =
	"SELECT run_id, sync, CASE WHEN dry_run THEN status || ' (dry)' ELSE status END, "
	"to_char(started_at, " ISO "), extract(epoch FROM now() - started_at), "
	"extract(epoch FROM finished_at - started_at), records_read, records_created, "
	"records_updated, records_deleted, records_invalid + records_rejected "
	"FROM (SELECT * FROM censync.runs WHERE started_at > now() - interval '%s' "
	"ORDER BY run_id DESC LIMIT %d) r ORDER BY run_id DESC";

static void load_series(double *values[SERIES], const char **labels, int n);
static void draw(StringInfo html, const char *id, const char *title, double **values,
				 const char **labels, int n, const CsSeries *series, int nseries, bool seconds,
				 bool stacked);
static void begin_table(StringInfo html, const char *style, const char *const *heads);
static void end_table(StringInfo html, uint64 rows, uint64 shown);
static void begin_cell(StringInfo html, const char *label, bool number);
static void count_cell(StringInfo html, const char *label, uint64 row, int col);
static void ago_cell(StringInfo html, const char *label, uint64 row, int time_col);
static void text_cell(StringInfo html, const char *label, const char *text);
static void reason_cell(StringInfo html, uint64 row, int code_col, int reason_col, int hint_col);

void
cs_report_alerts(StringInfo html)
{
	static const char *const heads[] = { "Sync", "Alert", "Says", "#Times", "Raised", NULL };
	uint64 rows = cs_report_query(alerts_query);

	if (rows == 0)
		return;
	cs_html_section(html, "alerts", "Open alerts", NULL);
	begin_table(html, "stack", heads);
	for (uint64 row = 0; row < Min(rows, MAX_ALERTS); row++)
	{
		appendStringInfoString(html, "<tr>");
		text_cell(html, "Sync", cs_report_text(row, 1));
		begin_cell(html, "Alert", false);
		appendStringInfoString(html, "<span class=\"status bad\">");
		cs_html_text(html, cs_report_text(row, 2), CS_REPORT_NAME);
		appendStringInfoString(html, "</span></td>");
		text_cell(html, "Says", cs_report_text(row, 3));
		count_cell(html, "Times", row, 4);
		ago_cell(html, "Raised", row, 5);
		appendStringInfoString(html, "</tr>\n");
	}
	end_table(html, rows, MAX_ALERTS);
}

/* A month by days, or two days by hours if there is no more. */
void
cs_report_time(StringInfo html)
{
	static const CsSeries runs[] = { { "completed", "good", NULL }, { "failed", "bad", NULL } };
	static const CsSeries rows[] = { { "created", "one", NULL },
									 { "updated", "two", NULL },
									 { "deleted", "three", NULL } };
	static const CsSeries times[] = { { "longest", "four", NULL }, { "median", "one", NULL } };
	int n = (int) cs_report_query(time_query);
	double *values[SERIES];
	const char **labels = palloc(sizeof(char *) * Max(n, 1));

	if (n == 0)
		return;
	load_series(values, labels, n);
	cs_html_section(html, "time", "Runs over time", NULL);
	appendStringInfoString(html, "<div class=\"charts\">");
	draw(html, "chart-runs", "Runs", values + COMPLETED, labels, n, runs, lengthof(runs), false,
		 true);
	draw(html, "chart-rows", "Rows written", values + CREATED, labels, n, rows, lengthof(rows),
		 false, true);
	/* In front of each other: the longer one first. */
	draw(html, "chart-times", "Time a run takes", (double *[]){ values[LONGEST], values[MEDIAN] },
		 labels, n, times, lengthof(times), true, false);
	appendStringInfoString(html, "</div>");
}

void
cs_report_failures(StringInfo html)
{
	static const char *const heads[] = { "Sync", "Reason", "#Runs", "Last", NULL };
	uint64 rows = cs_report_query(failures_query);

	if (rows == 0)
		return;
	cs_html_section(html, "failures", "Failures of a month, by reason", NULL);
	begin_table(html, "stack", heads);
	for (uint64 row = 0; row < Min(rows, MAX_FAILURES); row++)
	{
		appendStringInfoString(html, "<tr>");
		text_cell(html, "Sync", cs_report_text(row, 1));
		reason_cell(html, row, 2, 3, 4);
		count_cell(html, "Runs", row, 5);
		ago_cell(html, "Last", row, 6);
		appendStringInfoString(html, "</tr>\n");
	}
	end_table(html, rows, MAX_FAILURES);
}

void
cs_report_records(StringInfo html)
{
	static const char *const heads[] = { "Sync", "Status", "Reason", "Where", "#Records", NULL };
	uint64 rows = cs_report_query(records_query);

	if (rows == 0)
		return;
	cs_html_section(html, "records", "Bad records, by reason",
					"Of the last 500 runs that had any, 20,000 records at most.");
	begin_table(html, "stack", heads);
	for (uint64 row = 0; row < Min(rows, MAX_REASONS); row++)
	{
		const char *constraint = cs_report_text(row, 6);

		appendStringInfoString(html, "<tr>");
		text_cell(html, "Sync", cs_report_text(row, 1));
		text_cell(html, "Status", cs_report_text(row, 2));
		reason_cell(html, row, 3, 4, 0);
		text_cell(html, "Where", constraint[0] ? constraint : cs_report_text(row, 5));
		count_cell(html, "Records", row, 7);
		appendStringInfoString(html, "</tr>\n");
	}
	end_table(html, rows, MAX_REASONS);
}

void
cs_report_recent(StringInfo html)
{
	static const char *const heads[] = { "#Run",	 "Sync",  "Status",	  "Started",
										 "#Took",	 "#Read", "#Created", "#Updated",
										 "#Deleted", "#Bad",  NULL };
	static const char *const spans[] = { "1 hour", "1 day", "10 years" };
	uint64 rows = 0;

	/* The log is long, the latest runs are not. */
	for (int i = 0; i < (int) lengthof(spans) && rows < MAX_RECENT; i++)
		rows = cs_report_query(psprintf(recent_query, spans[i], MAX_RECENT));
	if (rows == 0)
		return;
	cs_html_section(html, "recent", "Latest runs", NULL);
	begin_table(html, "stack", heads);
	for (uint64 row = 0; row < rows; row++)
	{
		appendStringInfoString(html, "<tr>");
		begin_cell(html, "Run", true);
		cs_html_text(html, cs_report_text(row, 1), CS_REPORT_NAME);
		appendStringInfoString(html, "</td>");
		text_cell(html, "Sync", cs_report_text(row, 2));
		begin_cell(html, "Status", false);
		cs_html_status(html, cs_report_text(row, 3));
		appendStringInfoString(html, "</td>");
		ago_cell(html, "Started", row, 4);
		begin_cell(html, "Took", true);
		if (cs_report_text_or_null(row, 6))
			cs_html_duration(html, cs_report_number(row, 6));
		appendStringInfoString(html, "</td>");
		count_cell(html, "Read", row, 7);
		count_cell(html, "Created", row, 8);
		count_cell(html, "Updated", row, 9);
		count_cell(html, "Deleted", row, 10);
		count_cell(html, "Bad", row, 11);
		appendStringInfoString(html, "</tr>\n");
	}
	end_table(html, rows, MAX_RECENT);
}

static void
load_series(double *values[SERIES], const char **labels, int n)
{
	for (int s = 0; s < SERIES; s++)
		values[s] = palloc(sizeof(double) * n);
	for (int i = 0; i < n; i++)
	{
		labels[i] = cs_report_text(i, 1);
		for (int s = 0; s < SERIES; s++)
			values[s][i] = cs_report_number(i, s + 2);
	}
}

static void
draw(StringInfo html, const char *id, const char *title, double **values, const char **labels,
	 int n, const CsSeries *series, int nseries, bool seconds, bool stacked)
{
	CsSeries *filled = palloc(sizeof(CsSeries) * nseries);
	CsChart chart = { .id = id,
					  .title = title,
					  .seconds = seconds,
					  .stacked = stacked,
					  .nseries = nseries,
					  .series = filled,
					  .nlabels = n,
					  .labels = labels };

	for (int s = 0; s < nseries; s++)
	{
		filled[s] = series[s];
		filled[s].values = values[s];
	}
	cs_chart_draw(html, &chart);
}

/* '#' marks columns of numbers. */
static void
begin_table(StringInfo html, const char *style, const char *const *heads)
{
	appendStringInfo(html, "<table class=\"%s\"><thead><tr>", style);
	for (; *heads; heads++)
		appendStringInfo(html, "<th scope=\"col\"%s>%s</th>",
						 **heads == '#' ? " class=\"num\"" : "", *heads + (**heads == '#'));
	appendStringInfoString(html, "</tr></thead><tbody>\n");
}

static void
end_table(StringInfo html, uint64 rows, uint64 shown)
{
	appendStringInfoString(html, "</tbody></table>");
	if (rows > shown)
		appendStringInfo(html, "<p class=\"note\">And " UINT64_FORMAT "%s more.</p>", rows - shown,
						 rows == 1000 ? " or" : "");
}

static void
begin_cell(StringInfo html, const char *label, bool number)
{
	appendStringInfo(html, "<td%s data-label=\"%s\">", number ? " class=\"num\"" : "", label);
}

static void
count_cell(StringInfo html, const char *label, uint64 row, int col)
{
	begin_cell(html, label, true);
	cs_html_count(html, cs_report_number(row, col));
	appendStringInfoString(html, "</td>");
}

/* The column after that of the time is its age. */
static void
ago_cell(StringInfo html, const char *label, uint64 row, int time_col)
{
	begin_cell(html, label, false);
	cs_html_ago(html, cs_report_text_or_null(row, time_col),
				cs_report_text_or_null(row, time_col + 1));
	appendStringInfoString(html, "</td>");
}

static void
text_cell(StringInfo html, const char *label, const char *text)
{
	begin_cell(html, label, false);
	cs_html_isolated(html, text, CS_REPORT_MESSAGE);
	appendStringInfoString(html, "</td>");
}

static void
reason_cell(StringInfo html, uint64 row, int code_col, int reason_col, int hint_col)
{
	const char *hint = hint_col ? cs_report_text(row, hint_col) : "";

	begin_cell(html, "Reason", false);
	cs_html_isolated(html, cs_report_text(row, reason_col), CS_REPORT_MESSAGE);
	appendStringInfoString(html, " <code>");
	cs_html_text(html, cs_report_text(row, code_col), CS_REPORT_NAME);
	appendStringInfoString(html, "</code>");
	if (hint[0])
	{
		appendStringInfoString(html, "<small>");
		cs_html_isolated(html, hint, CS_REPORT_MESSAGE);
		appendStringInfoString(html, "</small>");
	}
	appendStringInfoString(html, "</td>");
}
