/*
 * csv_scan.c
 *		RFC 4180, strictly: quotes enclose whole fields, rows end with LF or CRLF.
 *
 * A row that breaks the rules still ends at its newline, so that it costs no
 * other row.
 */
#include "postgres.h"

#include <limits.h>

#include "format/csv_scan.h"

static const char *scan_unquoted(const CsvScan *scan, const char *p, const char *end);
static bool scan_byte(CsvScan *scan, char c, size_t offset);
static void end_field(CsvScan *scan, size_t offset);

void
cs_csv_scan_init(CsvScan *scan, char delimiter)
{
	memset(scan, 0, sizeof(CsvScan));
	scan->delimiter = delimiter;
	scan->maxfields = 64;
	scan->fields = palloc(scan->maxfields * sizeof(CsvField));
}

void
cs_csv_scan_reset(CsvScan *scan)
{
	scan->state = CSV_FIELD_START;
	memset(&scan->current, 0, sizeof(CsvField));
	scan->nfields = 0;
	scan->error = NULL;
}

const char *
cs_csv_scan_row(CsvScan *scan, const char *data, const char *end, size_t offset)
{
	const char *p = data;

	while (p < end)
	{
		if (scan->state == CSV_UNQUOTED)
			p = scan_unquoted(scan, p, end);
		else if (scan->state == CSV_QUOTED)
		{
			p = memchr(p, '"', end - p);
			if (p == NULL)
				return NULL;
		}
		if (p == end)
			return NULL;
		if (scan_byte(scan, *p, offset + (p - data)))
			return p + 1;
		p++;
	}
	return NULL;
}

bool
cs_csv_scan_finish(CsvScan *scan, size_t len)
{
	if (scan->state == CSV_QUOTED)
		return false;
	/* The newline that is missing after a carriage return is forgiven. */
	end_field(scan, scan->state == CSV_RETURN ? len - 1 : len);
	return true;
}

size_t
cs_csv_scan_length(const CsvScan *scan)
{
	return scan->current.start - 1;
}

int
cs_csv_field_read(const CsvField *field, const char *row, char *out)
{
	const char *start = row + field->start;
	const char *end = row + field->end;
	char *to = out;

	if (field->quoted)
	{
		start++;
		end--;
	}
	if (!field->doubled)
	{
		memcpy(out, start, end - start);
		out[end - start] = '\0';
		return (int) (end - start);
	}
	for (; start < end; start++)
	{
		*to++ = *start;
		if (*start == '"')
			start++;
	}
	*to = '\0';
	return (int) (to - out);
}

/* To the next byte that means something in an unquoted field. */
static const char *
scan_unquoted(const CsvScan *scan, const char *p, const char *end)
{
	char delimiter = scan->delimiter;

	while (p < end && *p != delimiter && *p != '\n' && *p != '\r' && *p != '"')
		p++;
	return p;
}

/* One byte, at offset in the row; true: it ends the row. */
static bool
scan_byte(CsvScan *scan, char c, size_t offset)
{
	if (scan->state == CSV_QUOTED)
	{
		if (c == '"')
			scan->state = CSV_QUOTE;
		return false;
	}
	if (scan->state == CSV_QUOTE && c == '"')
	{
		scan->current.doubled = true;
		scan->state = CSV_QUOTED;
		return false;
	}
	if (c == '\n')
	{
		end_field(scan, scan->state == CSV_RETURN ? offset - 1 : offset);
		return true;
	}
	if (scan->state == CSV_RETURN)
	{
		scan->error = "carriage return in a field without quotes";
		scan->state = CSV_UNQUOTED;
	}
	if (c == scan->delimiter)
		end_field(scan, offset);
	else if (c == '\r')
		scan->state = CSV_RETURN;
	else if (c == '"' && scan->state == CSV_FIELD_START)
	{
		scan->current.quoted = true;
		scan->state = CSV_QUOTED;
	}
	else
	{
		if (scan->state == CSV_QUOTE)
			scan->error = "text after the closing quote of a field";
		else if (c == '"')
			scan->error = "quote in a field without quotes";
		scan->state = CSV_UNQUOTED;
	}
	return false;
}

/* The field ends before offset, where its delimiter or the row's newline is. */
static void
end_field(CsvScan *scan, size_t offset)
{
	scan->current.end = offset;
	if (scan->nfields == scan->maxfields && scan->maxfields < CS_MAX_CSV_COLUMNS)
	{
		scan->maxfields *= 2;
		scan->fields = repalloc(scan->fields, scan->maxfields * sizeof(CsvField));
	}
	if (scan->nfields < scan->maxfields)
		scan->fields[scan->nfields] = scan->current;
	if (scan->nfields < INT_MAX)
		scan->nfields++;
	memset(&scan->current, 0, sizeof(CsvField));
	scan->current.start = offset + 1;
	scan->state = CSV_FIELD_START;
}
