/*
 * csv_scan.h
 *		Finds the fields of one CSV row at a time, in whatever pieces it comes.
 */
#ifndef CS_CSV_SCAN_H
#define CS_CSV_SCAN_H

/* Columns that a file may have; what a row has beyond them is only counted. */
#define CS_MAX_CSV_COLUMNS 16384

typedef enum CsvState
{
	CSV_FIELD_START,
	CSV_UNQUOTED,
	CSV_QUOTED,
	CSV_QUOTE, /* a quote in a quoted field: its end, or half of a "" */
	CSV_RETURN /* a carriage return: half of the row's end */
} CsvState;

/* Offsets are bytes from the start of the row; quotes are inside start and end. */
typedef struct CsvField
{
	size_t start;
	size_t end;
	bool quoted;
	bool doubled; /* has "" in it */
} CsvField;

typedef struct CsvScan
{
	char delimiter;
	CsvState state;
	CsvField current;
	int nfields;	  /* complete ones, the row's last included once it has ended */
	CsvField *fields; /* as many as fit maxfields; in the context of its init */
	int maxfields;
	const char *error; /* what is wrong with the row's quoting, or NULL; a constant */
} CsvScan;

extern void cs_csv_scan_init(CsvScan *scan, char delimiter);

/* Forgets the row. */
extern void cs_csv_scan_reset(CsvScan *scan);

/* Reads on; data begins offset bytes into the row.  Returns what follows the row's newline, or NULL:
 * the row goes on after end. */
extern const char *cs_csv_scan_row(CsvScan *scan, const char *data, const char *end, size_t offset);

/* The text has ended, len bytes into the row; false: inside quotes. */
extern bool cs_csv_scan_finish(CsvScan *scan, size_t len);

/* Bytes of a complete row, without its newline. */
extern size_t cs_csv_scan_length(const CsvScan *scan);

/* A field's content, without quotes, NUL-terminated, written to out (end - start + 1 bytes). */
extern int cs_csv_field_read(const CsvField *field, const char *row, char *out);

#endif /* CS_CSV_SCAN_H */
