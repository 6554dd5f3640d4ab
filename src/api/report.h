/*
 * report.h
 *		What the files of censync_report share: report.c is the page, report_html.c its pieces,
 *		report_chart.c draws, report_syncs.c and report_runs.c have a section each or more,
 *		report_style.c says what it looks like.
 */
#ifndef CS_REPORT_H
#define CS_REPORT_H

#include "lib/stringinfo.h"

/* How long a text from elsewhere may be, in characters; longer ones are cut. */
#define CS_REPORT_NAME 120
#define CS_REPORT_MESSAGE 400

/* report_html.c.  What comes from elsewhere becomes ASCII without markup, whatever it is and whatever encoding
 * the client will get it in. */
extern void cs_html_text(StringInfo html, const char *text, int max_chars);
extern void cs_html_attribute(StringInfo html, const char *name, const char *text);

/* A text in a direction of its own, so that it can't reorder what is around it. */
extern void cs_html_isolated(StringInfo html, const char *text, int max_chars);

/* "3 min ago" or "in 3 min", with the time itself as a tooltip; seconds NULL: never. */
extern void cs_html_ago(StringInfo html, const char *time, const char *seconds);
extern void cs_html_duration(StringInfo html, double seconds);
extern void cs_html_count(StringInfo html, double number); /* 12,345 */
extern void cs_html_short(StringInfo html, double number); /* 12.3 k */

/* A status as a word with its color and its sign. */
extern void cs_html_status(StringInfo html, const char *status);

/* A section with its heading; the next one, or the end of the page, ends it. */
extern void cs_html_section(StringInfo html, const char *id, const char *title, const char *note);

/* A query in the page's transaction, as the caller; returns the number of rows.  Needs SPI. */
extern uint64 cs_report_query(const char *sql);

/* Its result, for later, when other queries have come between. */
extern struct SPITupleTable *cs_report_keep(void);
extern void cs_report_back_to(struct SPITupleTable *result);

/* Of its result, column col from 1: text, "" for null; NULL for null; number, 0 for null. */
extern const char *cs_report_text(uint64 row, int col);
extern const char *cs_report_text_or_null(uint64 row, int col);
extern double cs_report_number(uint64 row, int col);

/* One kind of bars in a chart. */
typedef struct CsSeries
{
	const char *name;
	const char *style; /* class of the bars */
	double *values;	   /* one per label */
} CsSeries;

typedef struct CsChart
{
	const char *id;
	const char *title;
	bool seconds; /* values are durations; else they are counts */
	bool stacked; /* series on top of each other; else in front of each other */
	int nseries;
	CsSeries *series;
	int nlabels;
	const char **labels; /* of the time axis */
} CsChart;

/* report_chart.c: a figure with bars, legend, scale, and the same as a table. */
extern void cs_chart_draw(StringInfo html, const CsChart *chart);

/* The last runs of a sync as small bars: runs is "c:1.5 f:0.2 ...", oldest first. */
extern void cs_chart_spark(StringInfo html, const char *runs);

/* report_syncs.c: what is wrong, and all syncs. */
extern void cs_report_syncs(StringInfo html);

/* report_runs.c */
extern void cs_report_alerts(StringInfo html);
extern void cs_report_time(StringInfo html);
extern void cs_report_failures(StringInfo html);
extern void cs_report_records(StringInfo html);
extern void cs_report_recent(StringInfo html);

/* report_style.c */
extern const char cs_report_style[];

#endif /* CS_REPORT_H */
