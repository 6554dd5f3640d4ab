/*
 * report_chart.c
 *		Bars over time.
 *
 * The bars alone are SVG, stretched to whatever width there is; everything
 * that is read is HTML beside it, and keeps its size.
 */
#include "postgres.h"

#include <math.h>

#include "api/report.h"

/* Units of the drawing. */
#define WIDTH 720
#define HEIGHT 160

/* Of the small ones, and how many runs they show. */
#define SPARK_HEIGHT 22
#define SPARK_RUNS 24

static double scale_of(const CsChart *chart);
static double round_up(double value, bool seconds);
static void draw_legend(StringInfo html, const CsChart *chart);
static void draw_bars(StringInfo html, const CsChart *chart, double scale);
static void draw_bar(StringInfo html, const CsChart *chart, int label, double scale);
static void draw_scale(StringInfo html, const CsChart *chart, double scale);
static void draw_table(StringInfo html, const CsChart *chart);
static void put_value(StringInfo html, const CsChart *chart, double value);
static void spark_bars(StringInfo html, const char *runs, double longest, char letter,
					   const char *style);

void
cs_chart_draw(StringInfo html, const CsChart *chart)
{
	double scale = scale_of(chart);

	appendStringInfo(html, "<figure aria-labelledby=\"%s\"><figcaption id=\"%s\">%s", chart->id,
					 chart->id, chart->title);
	draw_legend(html, chart);
	appendStringInfoString(html, "</figcaption><div class=\"plot\">");
	draw_scale(html, chart, scale);
	draw_bars(html, chart, scale);
	appendStringInfoString(html, "</div><div class=\"axis\"><span>");
	cs_html_text(html, chart->labels[0], CS_REPORT_NAME);
	appendStringInfoString(html, "</span><span>");
	cs_html_text(html, chart->labels[chart->nlabels - 1], CS_REPORT_NAME);
	appendStringInfoString(html, "</span></div>");
	draw_table(html, chart);
	appendStringInfoString(html, "</figure>\n");
}

void
cs_chart_spark(StringInfo html, const char *runs)
{
	double longest = 0;
	int count = 0;
	int good = 0;

	for (const char *at = runs; *at != '\0'; at += strcspn(at, " "), at += *at == ' ')
	{
		longest = Max(longest, strtod(at + 2, NULL));
		count++;
		good += *at == 'c';
	}
	if (count == 0)
		return;
	appendStringInfo(html,
					 "<svg class=\"spark\" role=\"img\" viewBox=\"0 0 %d %d\" "
					 "aria-label=\"%d of the last %d runs completed\">",
					 SPARK_RUNS * 4, SPARK_HEIGHT, good, count);
	appendStringInfo(html, "<title>%d of the last %d runs completed; the longest took ", good,
					 count);
	cs_html_duration(html, longest);
	appendStringInfoString(html, "</title>");
	spark_bars(html, runs, longest, 'c', "good");
	spark_bars(html, runs, longest, 'f', "bad");
	spark_bars(html, runs, longest, 'o', "quiet");
	appendStringInfoString(html, "</svg>");
}

static double
scale_of(const CsChart *chart)
{
	double highest = 0;

	for (int label = 0; label < chart->nlabels; label++)
	{
		double sum = 0;

		for (int s = 0; s < chart->nseries; s++)
			sum = chart->stacked ? sum + chart->series[s].values[label]
								 : Max(sum, chart->series[s].values[label]);
		highest = Max(highest, sum);
	}
	return round_up(highest, chart->seconds);
}

/* To a number that is easy to read and to halve. */
static double
round_up(double value, bool seconds)
{
	static const double steps[] = { 1, 2, 4, 6, 8, 10 };
	double unit;

	if (value <= 0)
		return seconds ? 1 : 2;
	if (!seconds && value <= 2)
		return 2;
	if (seconds && value > 60)
	{
		double minute = value > 3600 ? 3600 : 60;

		return minute * round_up(value / minute, false);
	}
	unit = pow(10, floor(log10(value)));
	for (int i = 0; i < (int) lengthof(steps); i++)
		if (value <= steps[i] * unit * 1.0000001)
			return steps[i] * unit;
	return 10 * unit;
}

static void
draw_legend(StringInfo html, const CsChart *chart)
{
	appendStringInfoString(html, "<span class=\"legend\">");
	for (int s = 0; s < chart->nseries; s++)
		appendStringInfo(html, "<span class=\"key %s\">%s</span> ", chart->series[s].style,
						 chart->series[s].name);
	appendStringInfoString(html, "</span>");
}

static void
draw_bars(StringInfo html, const CsChart *chart, double scale)
{
	appendStringInfo(html,
					 "<svg role=\"img\" viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\" "
					 "aria-labelledby=\"%s\">",
					 WIDTH, HEIGHT, chart->id);
	for (int label = 0; label < chart->nlabels; label++)
		draw_bar(html, chart, label, scale);
	appendStringInfoString(html, "</svg>");
}

/* All series of one time, with a tooltip for the whole height. */
static void
draw_bar(StringInfo html, const CsChart *chart, int label, double scale)
{
	double step = (double) WIDTH / chart->nlabels;
	double y = HEIGHT;

	appendStringInfoString(html, "<g><title>");
	cs_html_text(html, chart->labels[label], CS_REPORT_NAME);
	for (int s = 0; s < chart->nseries; s++)
	{
		appendStringInfo(html, "\n%s: ", chart->series[s].name);
		put_value(html, chart, chart->series[s].values[label]);
	}
	appendStringInfo(html,
					 "</title><rect class=\"all\" x=\"%.1f\" y=\"0\" width=\"%.1f\" "
					 "height=\"%d\"/>",
					 label * step, step, HEIGHT);
	for (int s = 0; s < chart->nseries; s++)
	{
		double height = chart->series[s].values[label] / scale * HEIGHT;

		if (height <= 0)
			continue;
		height = Max(height, 2);
		y = chart->stacked ? y - height : HEIGHT - height;
		appendStringInfo(html,
						 "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
						 "height=\"%.1f\"/>",
						 chart->series[s].style, label * step + step * 0.1, Max(y, 0), step * 0.8,
						 height);
	}
	appendStringInfoString(html, "</g>");
}

static void
draw_scale(StringInfo html, const CsChart *chart, double scale)
{
	static const double lines[] = { 1, 0.5, 0 };

	appendStringInfoString(html, "<div class=\"scale\" aria-hidden=\"true\">");
	for (int i = 0; i < (int) lengthof(lines); i++)
	{
		appendStringInfoString(html, "<span>");
		if (lines[i] == 0)
			appendStringInfoChar(html, '0');
		else
			put_value(html, chart, scale * lines[i]);
		appendStringInfoString(html, "</span>");
	}
	appendStringInfoString(html, "</div>");
}

/* For who can't see bars, and who wants numbers: times at which nothing was are left out. */
static void
draw_table(StringInfo html, const CsChart *chart)
{
	appendStringInfoString(html, "<details><summary>Numbers</summary><div class=\"wide\"><table>"
								 "<thead><tr><th scope=\"col\">Time</th>");
	for (int s = 0; s < chart->nseries; s++)
		appendStringInfo(html, "<th scope=\"col\" class=\"num\">%s</th>", chart->series[s].name);
	appendStringInfoString(html, "</tr></thead><tbody>");
	for (int label = 0; label < chart->nlabels; label++)
	{
		bool any = false;

		for (int s = 0; s < chart->nseries; s++)
			any = any || chart->series[s].values[label] > 0;
		if (!any)
			continue;
		appendStringInfoString(html, "<tr><th scope=\"row\">");
		cs_html_text(html, chart->labels[label], CS_REPORT_NAME);
		appendStringInfoString(html, "</th>");
		for (int s = 0; s < chart->nseries; s++)
		{
			appendStringInfoString(html, "<td class=\"num\">");
			put_value(html, chart, chart->series[s].values[label]);
			appendStringInfoString(html, "</td>");
		}
		appendStringInfoString(html, "</tr>");
	}
	appendStringInfoString(html, "</tbody></table></div></details>");
}

static void
put_value(StringInfo html, const CsChart *chart, double value)
{
	if (chart->seconds)
		cs_html_duration(html, value);
	else
		cs_html_short(html, value);
}

/* One path for all runs that ended in this way. */
static void
spark_bars(StringInfo html, const char *runs, double longest, char letter, const char *style)
{
	bool any = false;
	int x = 0;

	for (const char *at = runs; *at != '\0'; at += strcspn(at, " "), at += *at == ' ', x += 4)
	{
		double share = longest > 0 ? strtod(at + 2, NULL) / longest : 0;
		int height = 4 + (int) (share * (SPARK_HEIGHT - 4));

		if (*at != letter)
			continue;
		if (!any)
			appendStringInfo(html, "<path class=\"%s\" d=\"", style);
		appendStringInfo(html, "M%d %dv-%dh3v%dz", x, SPARK_HEIGHT, height, height);
		any = true;
	}
	if (any)
		appendStringInfoString(html, "\"/>");
}
