/*
 * csv.c
 *		CSV as RFC 4180 has it, with a header row, into records.
 *
 * An unquoted empty field is NULL, a quoted one is ''.  Blank lines are
 * skipped, in a file of one column too (its writer quotes an empty row).
 */
#include "postgres.h"

#include "format/csv_scan.h"
#include "format/decoder_internal.h"
#include "mb/pg_wchar.h"
#include "utils/json.h"

typedef struct CsvDecoder
{
	CsDecoder base;
	CsvScan scan; /* of the row being read */
	bool have_header;
	int nheader;
	char **header; /* names in the server's encoding; the decoder's */
	int *twin;	   /* per wanted column: an earlier one of the same name, or -1 */
	int *position; /* per wanted column: where the header has it, or -1 */
} CsvDecoder;

static void csv_begin(CsDecoder *decoder);
static bool csv_next(CsDecoder *decoder, CsRecord *record);
static char *csv_record_json(CsDecoder *decoder, const CsRecord *record);
static bool next_row(CsvDecoder *csv, const char **row, size_t *len, bool *ended);
static bool last_row(CsvDecoder *csv, const char **row, size_t *len);
static bool read_row(CsvDecoder *csv, const char *row, size_t len, bool ended, CsRecord *record);
static void read_header(CsvDecoder *csv, const char *row, size_t len);
static void check_header(const CsvDecoder *csv, const char *row, size_t len);
static char *read_name(const CsvDecoder *csv, const CsvField *field, const char *row);
static int find_column(const CsvDecoder *csv, const char *name);
static void check_row(const CsvDecoder *csv, CsRecord *record);
static CsField *read_fields(const CsvDecoder *csv, const char *row, size_t len);
static void read_field(const CsvDecoder *csv, const CsvField *at, const char *row, char **room,
					   CsField *field);
static void throw_bad_header(const char *detail) pg_attribute_noreturn();

static const CsDecoderOps csv_ops = { csv_begin, csv_next, NULL, NULL, csv_record_json };

/* A decoder of CSV.  Throws 22023 for a delimiter that is no printable byte, or a quote. */
CsDecoder *
cs_csv_decoder_create(const CsDecoderOptions *options)
{
	CsvDecoder *csv = palloc0(sizeof(CsvDecoder));
	char delimiter = options->delimiter != '\0' ? options->delimiter : ',';

	if (delimiter == '"' || (delimiter != '\t' && (delimiter < ' ' || delimiter > '~')))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("CSV delimiter must be one ASCII character, and not a quote"),
						errhint("Use a comma, a semicolon, a vertical bar or a tab.")));
	csv->base.ops = &csv_ops;
	cs_csv_scan_init(&csv->scan, delimiter);
	return &csv->base;
}

static void
csv_begin(CsDecoder *decoder)
{
	CsvDecoder *csv = (CsvDecoder *) decoder;

	csv->twin = palloc((decoder->projection->ncolumns + 1) * sizeof(int));
	csv->position = palloc((decoder->projection->ncolumns + 1) * sizeof(int));
}

/*
 * cs_decoder_next of CSV.
 *
 * Throws 22P04 if the body ends inside a row, or its header is missing, broken or ambiguous, 22021 if
 * the header is not UTF-8, 54000 for a row or a header that is too large.
 */
static bool
csv_next(CsDecoder *decoder, CsRecord *record)
{
	CsvDecoder *csv = (CsvDecoder *) decoder;
	bool filled = false;
	const char *row;
	size_t len;
	bool ended;

	while (!filled && next_row(csv, &row, &len, &ended))
	{
		if (len > 0 && !csv->have_header)
			read_header(csv, row, len);
		else if (len > 0)
			filled = read_row(csv, row, len, ended, record);
		resetStringInfo(&decoder->partial);
		cs_csv_scan_reset(&csv->scan);
	}
	if (!filled && decoder->last && !csv->have_header)
		ereport(ERROR, (errcode(ERRCODE_BAD_COPY_FILE_FORMAT), errmsg("response has no header row"),
						errhint("The first row of CSV must have the names of the columns.")));
	return filled;
}

/* The row as an object of the header's names; a row that can't be read, as a string. */
static char *
csv_record_json(CsDecoder *decoder, const CsRecord *record)
{
	CsvDecoder *csv = (CsvDecoder *) decoder;
	StringInfoData out;
	CsvScan scan;
	char *text = palloc(record->rawlen + 1);

	initStringInfo(&out);
	cs_csv_scan_init(&scan, csv->scan.delimiter);
	if (cs_csv_scan_row(&scan, record->raw, record->raw + record->rawlen, 0) != NULL ||
		!cs_csv_scan_finish(&scan, record->rawlen) || scan.error != NULL ||
		scan.nfields != csv->nheader)
	{
		escape_json(&out, record->raw);
		return out.data;
	}
	for (int i = 0; i < scan.nfields; i++)
	{
		CsvField *field = &scan.fields[i];

		appendStringInfoString(&out, i == 0 ? "{" : ", ");
		escape_json(&out, csv->header[i]);
		appendStringInfoString(&out, ": ");
		cs_csv_field_read(field, record->raw, text);
		if (text[0] == '\0' && !field->quoted)
			appendStringInfoString(&out, "null");
		else
			escape_json(&out, text);
	}
	appendStringInfoChar(&out, '}');
	return out.data;
}

/* The next row, scanned; false: there is none in this segment.  *ended: it had its newline. */
static bool
next_row(CsvDecoder *csv, const char **row, size_t *len, bool *ended)
{
	CsDecoder *decoder = &csv->base;
	const char *start = decoder->input;
	const char *end = cs_csv_scan_row(&csv->scan, start, decoder->input_end, decoder->partial.len);

	*ended = end != NULL;
	if (end == NULL)
	{
		cs_partial_append(decoder, start, decoder->input_end - start);
		decoder->input = decoder->input_end;
		return decoder->last && decoder->partial.len > 0 && last_row(csv, row, len);
	}
	*row = cs_partial_join(decoder, start, end, len);
	*len = cs_csv_scan_length(&csv->scan);
	decoder->input = end;
	return true;
}

/* A row that the end of the body ends. */
static bool
last_row(CsvDecoder *csv, const char **row, size_t *len)
{
	if (!cs_csv_scan_finish(&csv->scan, csv->base.partial.len))
		cs_decoder_cut_short(ERRCODE_BAD_COPY_FILE_FORMAT, "quoted CSV field");
	*row = csv->base.partial.data;
	*len = cs_csv_scan_length(&csv->scan);
	return true;
}

static bool
read_row(CsvDecoder *csv, const char *row, size_t len, bool ended, CsRecord *record)
{
	/* Without its newline, a row that lacks fields is the sign of a body cut off. */
	if (!ended && csv->scan.nfields < csv->nheader)
		cs_decoder_cut_short(ERRCODE_BAD_COPY_FILE_FORMAT, "CSV row");
	memset(record, 0, sizeof(CsRecord));
	if (cs_text_decode(&csv->base.text, row, len, record))
		check_row(csv, record);
	if (record->error_code == 0)
		record->fields = read_fields(csv, row, len);
	return true;
}

/* The names of the columns, and where the wanted ones are. */
static void
read_header(CsvDecoder *csv, const char *row, size_t len)
{
	CsProjection *projection = csv->base.projection;
	MemoryContext old = MemoryContextSwitchTo(csv->base.context);

	check_header(csv, row, len);
	csv->nheader = csv->scan.nfields;
	csv->header = palloc(csv->nheader * sizeof(char *));
	for (int i = 0; i < csv->nheader; i++)
		csv->header[i] = read_name(csv, &csv->scan.fields[i], row);
	for (int i = 0; i < projection->ncolumns; i++)
	{
		csv->position[i] = find_column(csv, projection->names[i]);
		projection->seen[i] = csv->position[i] >= 0;
		csv->twin[i] = -1;
		for (int j = 0; j < i && csv->twin[i] < 0; j++)
			if (strcmp(projection->names[j], projection->names[i]) == 0)
				csv->twin[i] = j;
	}
	csv->have_header = true;
	MemoryContextSwitchTo(old);
}

static void
check_header(const CsvDecoder *csv, const char *row, size_t len)
{
	static const char *const pages[] = { "<!doctype", "<html", "<?xml" };

	for (int i = 0; i < (int) lengthof(pages); i++)
		if (len >= strlen(pages[i]) && pg_strncasecmp(row, pages[i], strlen(pages[i])) == 0)
			cs_decoder_is_markup(ERRCODE_BAD_COPY_FILE_FORMAT);
	if (pg_encoding_verifymbstr(PG_UTF8, row, (int) len) < (int) len)
		ereport(ERROR, (errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
						errmsg("header row of the response is not valid UTF-8"),
						errhint("Have the source send its data in UTF-8.")));
	if (csv->scan.error != NULL)
		throw_bad_header(csv->scan.error);
	if (csv->scan.nfields > CS_MAX_CSV_COLUMNS)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("header row of the response has more than %d columns",
							   CS_MAX_CSV_COLUMNS)));
}

/* A name that the server's encoding lacks can't be asked for; it is only shown. */
static char *
read_name(const CsvDecoder *csv, const CsvField *field, const char *row)
{
	char *name = palloc(field->end - field->start + 1);
	int len = cs_csv_field_read(field, row, name);
	char *converted = cs_text_convert(&csv->base.text, name, len, &len);

	return converted != NULL ? converted : cs_text_printable(&csv->base.text, name, len, false);
}

/* The header's position of a wanted column, or -1.  Throws 22P04 if there are two. */
static int
find_column(const CsvDecoder *csv, const char *name)
{
	int position = -1;

	for (int i = 0; i < csv->nheader; i++)
	{
		if (strcmp(csv->header[i], name) != 0)
			continue;
		if (position >= 0 || name[0] == '\0')
			ereport(ERROR,
					(errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
					 errmsg("header row of the response has column \"%s\" more than once", name),
					 errhint("Have the source give each column that is used a name of its own.")));
		position = i;
	}
	return position;
}

static void
check_row(const CsvDecoder *csv, CsRecord *record)
{
	const CsvScan *scan = &csv->scan;

	if (scan->error != NULL)
		cs_record_fail(record, ERRCODE_BAD_COPY_FILE_FORMAT,
					   psprintf("record is not valid CSV: %s", scan->error));
	else if (scan->nfields != csv->nheader)
		cs_record_fail(
			record, ERRCODE_BAD_COPY_FILE_FORMAT,
			psprintf("record has %d fields, the header row %d", scan->nfields, csv->nheader));
}

static CsField *
read_fields(const CsvDecoder *csv, const char *row, size_t len)
{
	int ncolumns = csv->base.projection->ncolumns;
	CsField *fields = palloc0((ncolumns + 1) * sizeof(CsField));
	char *room = palloc(len + ncolumns + 1);

	for (int i = 0; i < ncolumns; i++)
	{
		/* Namesakes share one value: there is room for each field once. */
		if (csv->twin[i] >= 0)
			fields[i] = fields[csv->twin[i]];
		else if (csv->position[i] >= 0)
			read_field(csv, &csv->scan.fields[csv->position[i]], row, &room, &fields[i]);
	}
	return fields;
}

static void
read_field(const CsvDecoder *csv, const CsvField *at, const char *row, char **room, CsField *field)
{
	if (at->start == at->end)
		return;
	field->kind = CS_VALUE_TEXT;
	field->text = *room;
	field->len = cs_csv_field_read(at, row, *room);
	*room += field->len + 1;
	/* The row as a whole was found to be convertible. */
	if (OidIsValid(csv->base.text.proc))
		field->text = cs_text_convert(&csv->base.text, field->text, field->len, &field->len);
}

static void
throw_bad_header(const char *detail)
{
	ereport(ERROR, (errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
					errmsg("header row of the response is not valid CSV: %s", detail),
					errhint("Rows must end with LF or CRLF, and quotes must enclose whole fields; "
							"if the delimiter is not a comma, set the option \"delimiter\".")));
}
