/*
 * report_html.c
 *		Pieces of the page: text made harmless, times and numbers made readable.
 */
#include "postgres.h"

#include <math.h>

#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "api/report.h"

static void put_two(StringInfo html, double number, int per_unit, const char *unit,
					const char *part);
static void put_character(StringInfo html, pg_wchar c);
static const char *status_style(const char *status);

/* Numeric references, and so no encoding but ASCII; characters that HTML forbids become a mark. */
void
cs_html_text(StringInfo html, const char *text, int max_chars)
{
	char *utf8 = pg_server_to_any(text, (int) strlen(text), PG_UTF8);
	const unsigned char *at = (const unsigned char *) utf8;
	int shown = 0;

	while (*at != '\0' && shown++ < max_chars)
	{
		int len = pg_utf_mblen(at);

		for (int i = 1; i < len; i++)
			if (at[i] == '\0')
				len = i;
		if (len == 1 || !pg_utf8_islegal(at, len))
		{
			put_character(html, *at < 0x80 ? *at : 0xfffd);
			at++;
			continue;
		}
		put_character(html, utf8_to_unicode(at));
		at += len;
	}
	if (*at != '\0')
		appendStringInfoString(html, "&#8230;");
	if (utf8 != text)
		pfree(utf8);
}

void
cs_html_attribute(StringInfo html, const char *name, const char *text)
{
	appendStringInfo(html, " %s=\"", name);
	cs_html_text(html, text, CS_REPORT_MESSAGE);
	appendStringInfoChar(html, '"');
}

void
cs_html_isolated(StringInfo html, const char *text, int max_chars)
{
	appendStringInfoString(html, "<bdi>");
	cs_html_text(html, text, max_chars);
	appendStringInfoString(html, "</bdi>");
}

void
cs_html_ago(StringInfo html, const char *time, const char *seconds)
{
	double age;
	const char *form;

	if (seconds == NULL || time == NULL)
	{
		appendStringInfoString(html, "<span class=\"none\">never</span>");
		return;
	}
	age = strtod(seconds, NULL);
	form = age < 0 ? "in %.0f %s" : "%.0f %s ago";
	age = fabs(age);
	appendStringInfoString(html, "<time");
	cs_html_attribute(html, "datetime", time);
	cs_html_attribute(html, "title", time);
	appendStringInfoChar(html, '>');
	if (age < 100)
		appendStringInfo(html, form, age, "s");
	else if (age < 6000)
		appendStringInfo(html, form, floor(age / 60), "min");
	else if (age < 2 * 86400)
		appendStringInfo(html, form, floor(age / 3600), "h");
	else
		appendStringInfo(html, form, floor(age / 86400), "d");
	appendStringInfoString(html, "</time>");
}

void
cs_html_duration(StringInfo html, double seconds)
{
	if (seconds < 0.9995)
		appendStringInfo(html, "%.0f ms", seconds * 1000);
	else if (seconds < 9.95)
		appendStringInfo(html, "%.1f s", seconds);
	else if (seconds < 59.5)
		appendStringInfo(html, "%.0f s", seconds);
	else if (seconds < 3570)
		put_two(html, rint(seconds), 60, "min", "s");
	else
		put_two(html, rint(seconds / 60), 60, "h", "min");
}

void
cs_html_count(StringInfo html, double number)
{
	char *digits = psprintf("%.0f", number);
	int len = (int) strlen(digits);

	for (int i = 0; i < len; i++)
	{
		appendStringInfoChar(html, digits[i]);
		if ((len - i) % 3 == 1 && i < len - 1 && digits[i] != '-')
			appendStringInfoChar(html, ',');
	}
}

void
cs_html_short(StringInfo html, double number)
{
	static const struct
	{
		double size;
		const char *unit;
	} units[] = { { 1e12, "T" }, { 1e9, "G" }, { 1e6, "M" }, { 1e3, "k" } };

	for (int i = 0; number >= 10000 && i < (int) lengthof(units); i++)
		if (number >= units[i].size)
		{
			double scaled = number / units[i].size;

			bool whole = scaled >= 99.95 || fabs(scaled - rint(scaled)) < 0.05;

			appendStringInfo(html, whole ? "%.0f %s" : "%.1f %s", scaled, units[i].unit);
			return;
		}
	if (number != floor(number))
		appendStringInfo(html, "%.1f", number);
	else
		cs_html_count(html, number);
}

void
cs_html_status(StringInfo html, const char *status)
{
	appendStringInfo(html, "<span class=\"status %s\">", status_style(status));
	cs_html_text(html, status, CS_REPORT_NAME);
	appendStringInfoString(html, "</span>");
}

void
cs_html_section(StringInfo html, const char *id, const char *title, const char *note)
{
	appendStringInfo(html, "</section>\n<section aria-labelledby=\"%s\"><h2 id=\"%s\">%s</h2>", id,
					 id, title);
	if (note)
		appendStringInfo(html, "<p class=\"note\">%s</p>", note);
}

uint64
cs_report_query(const char *sql)
{
	int rc = SPI_execute(sql, true, 0);

	if (rc != SPI_OK_SELECT)
		elog(ERROR, "query of the report failed: %s", SPI_result_code_string(rc));
	return SPI_processed;
}

struct SPITupleTable *
cs_report_keep(void)
{
	return SPI_tuptable;
}

void
cs_report_back_to(struct SPITupleTable *result)
{
	SPI_tuptable = result;
}

const char *
cs_report_text(uint64 row, int col)
{
	const char *text = cs_report_text_or_null(row, col);

	return text ? text : "";
}

const char *
cs_report_text_or_null(uint64 row, int col)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, col);
}

double
cs_report_number(uint64 row, int col)
{
	return strtod(cs_report_text(row, col), NULL);
}

/* "1 h 20 min", "2 h" */
static void
put_two(StringInfo html, double number, int per_unit, const char *unit, const char *part)
{
	double rest = fmod(number, per_unit);

	appendStringInfo(html, "%.0f %s", floor(number / per_unit), unit);
	if (rest > 0)
		appendStringInfo(html, " %.0f %s", rest, part);
}

static void
put_character(StringInfo html, pg_wchar c)
{
	bool control = (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0);

	if (control || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
		c = 0xfffd;
	if (c >= 0x80 || c == '<' || c == '>' || c == '&' || c == '"' || c == '\'' || c == '`')
		appendStringInfo(html, "&#%u;", (unsigned int) c);
	else
		appendStringInfoChar(html, (char) c);
}

static const char *
status_style(const char *status)
{
	static const char *const styles[][2] = {
		{ "completed", "good" }, { "fine", "good" },	 { "resolved", "good" },
		{ "failed", "bad" },	 { "crashed", "bad" },	 { "raised", "bad" },
		{ "alert", "bad" },		 { "canceled", "warn" }, { "bad records", "warn" },
		{ "running", "busy" },	 { "queued", "busy" },
	};

	for (int i = 0; i < (int) lengthof(styles); i++)
		if (strcmp(styles[i][0], status) == 0)
			return styles[i][1];
	return "quiet";
}
