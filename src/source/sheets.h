/*
 * sheets.h
 *		What the files of source google_sheets share.
 */
#ifndef CS_SHEETS_H
#define CS_SHEETS_H

#include "source/google_auth.h"

/* A tab that holds cells, or a named range of cells. */
typedef struct GsTab
{
	char *name;	 /* the title, or that of the range */
	char *title; /* of the tab */
	int64 id;	 /* of the tab */
	bool is_range;
	int first_row; /* of its cells, from 0; rows are counted from there */
	int first_column;
	int rows;
	int columns;
} GsTab;

typedef struct GsSession
{
	CsServiceSession base; /* must be first */
	CsGoogleAuth *auth;
	char *spreadsheet; /* its id */
	char *title;	   /* of the spreadsheet, once it was looked at */
	GsTab *tab;		   /* that is read */
	int header_row;	   /* 0: there is none */
	bool formatted;	   /* values are taken as they are displayed */
	int block;		   /* rows that are asked for at a time */
	int next_row;	   /* the first of the next block */
	int ended_row;	   /* the first of the block that ends next */
} GsSession;

/* The letters of a column, from 0: A, B, ... AA. */
extern char *cs_gs_letters(int column);

/* "A2:F9": cells of its rows from first_row to last_row, from 1, and of its first columns. */
extern char *cs_gs_cells(const GsTab *tab, int first_row, int last_row, int columns);

/* "'title'!A2:F9", percent-encoded; last_row 0: that row alone, all of it. */
extern char *cs_gs_range(const GsTab *tab, int first_row, int last_row, int columns);

/* sheets_columns.c: the names that a row of headers gives, char *; NIL: there are none. */
extern List *cs_gs_names(const json_t *row, const GsTab *tab, int header_row);

/* Columns and cells of those names, as option serial_dates says. */
extern void cs_gs_set_columns(GsSession *session, List *names);

/* sheets_error.c */
extern void cs_gs_refuse(CsServiceSession *base, int status, const char *body);
extern bool cs_gs_may_pass(CsServiceSession *base, int status, const char *body);

#endif /* CS_SHEETS_H */
