/*
 * sync_options.h
 *		Options of a sync, parsed.
 */
#ifndef CS_SYNC_OPTIONS_H
#define CS_SYNC_OPTIONS_H

#include "catalog/definition.h"

typedef enum CsOnDuplicate
{
	CS_DUPLICATE_REJECT, /* none of the copies is applied */
	CS_DUPLICATE_FIRST,
	CS_DUPLICATE_LAST,
	CS_DUPLICATE_FAIL
} CsOnDuplicate;

typedef struct CsSyncOptions
{
	CsOnDuplicate on_duplicate;
	bool fail_on_error; /* on_error = fail */
	bool whole_table;	/* mirror_scope = table */
	bool allow_empty_source;
	bool log_changes;	 /* log_records = changes */
	double max_rejected; /* share of the records read */
	double max_deletes;	 /* share of the rows tracked, or of the table */
	int timeout_s;		 /* of a run as a whole; 0: none */
	int retries;	  /* of runs that failed in a row, so many are tried again before their time */
	bool add_columns; /* those that the destination lacks */
	char *cursor_column; /* NULL: every run reads everything */
	char *cursor_overlap;
	char *cursor_type; /* of text sources */
	int retention_s;   /* 0: for ever; catalog/retention.c looks whether it is given */
	/* What catalog/alerts.c goes by, in the form that the definition has; here they are checked. */
	bool alert_failed;
	bool alert_every; /* alert_repeat = every */
	double alert_invalid;
	double alert_rejected;
	double alert_unusual;
	int alert_unusual_runs;
	int alert_duration_s;
	int alert_stale_s;
	List *read; /* DefElem *: what belongs to the reader */
} CsSyncOptions;

/* Throws HV00D for unknown options (with the valid ones as hint) and 22023 for bad values. */
extern CsSyncOptions *cs_sync_options_parse(Jsonb *options);

/* Throws unless it is a JSON object, whatever is in it. */
extern void cs_sync_options_check_form(Jsonb *options);

/* Do both sets make a run read the same records, and order them by the same cursor? */
extern bool cs_sync_options_read_same(Jsonb *a, Jsonb *b);

#endif /* CS_SYNC_OPTIONS_H */
