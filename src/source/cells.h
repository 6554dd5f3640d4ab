/*
 * cells.h
 *		Readers of values as several services send them.
 *
 * All are functions for CsCell.read: they throw nothing but for lack of
 * memory, and what is no value of the column's type, or out of its range,
 * sets *why.  Nothing goes through a double but what is one.
 */
#ifndef CS_CELLS_H
#define CS_CELLS_H

#include "fmgr.h"

#include "source/reader.h"

typedef struct CsCell CsCell;

typedef Datum (*CsCellRead)(CsCell *cell, const CsField *field, char **why);

/* How the values of a column are read.  In the session's context. */
struct CsCell
{
	/* Makes the value of a text that is not null, whose memory may be written to, in
	 * CurrentMemoryContext.  What can't be a value here sets *why (CurrentMemoryContext) instead: the
	 * record is invalid then, and the others go on. */
	CsCellRead read;
	CsCellRead
		inner;	  /* for read: of a part of the value, or of the value once something was seen to */
	bool is_null; /* set by read, false before: the value is null after all */
	FmgrInfo input; /* of the column's type, where read uses it */
	Oid ioparam;
	int32 typmod;
	int scale;	  /* for read */
	void *fields; /* likewise: what the service knows of nested ones */
};

/* Column and cell of one value; typmod -1: none. */
extern void cs_cell_set(CsColumn *column, CsCell *cell, Oid type, int32 typmod, CsCellRead read);

/* A type of a service, what it is here, and how its values are read. */
typedef struct CsCellType
{
	const char *name; /* in any case */
	Oid type;
	CsCellRead read;
} CsCellType;

/* The same by the name of its type, among n of them; false, and nothing set: it is none of them. */
extern bool cs_cell_set_named(CsColumn *column, CsCell *cell, const CsCellType *types, int n,
							  const char *name);

/* The typmod of numeric(precision, scale), or -1 where PostgreSQL has no such type. */
extern int32 cs_cell_numeric_typmod(int64 precision, int64 scale);

/* Anything, as its text. */
extern Datum cs_cell_text(CsCell *cell, const CsField *field, char **why);

/* true, false, 1, 0 in any case, text or not. */
extern Datum cs_cell_bool(CsCell *cell, const CsField *field, char **why);

/* int2, int4, int8: digits, and ".0" behind them. */
extern Datum cs_cell_int2(CsCell *cell, const CsField *field, char **why);
extern Datum cs_cell_int4(CsCell *cell, const CsField *field, char **why);
extern Datum cs_cell_int8(CsCell *cell, const CsField *field, char **why);

/* Digits, with a fraction and an exponent; NaN and infinities as any of the services writes them. */
extern Datum cs_cell_numeric(CsCell *cell, const CsField *field, char **why);
extern Datum cs_cell_float4(CsCell *cell, const CsField *field, char **why);
extern Datum cs_cell_float8(CsCell *cell, const CsField *field, char **why);

/* bytea. */
extern Datum cs_cell_base64(CsCell *cell, const CsField *field, char **why);
extern Datum cs_cell_hex(CsCell *cell, const CsField *field, char **why);

/* jsonb: of a text that is JSON, or of what stood there as JSON itself. */
extern Datum cs_cell_json(CsCell *cell, const CsField *field, char **why);

/* jsonb: of what stood there, so that a text is a JSON string. */
extern Datum cs_cell_json_value(CsCell *cell, const CsField *field, char **why);

/* cell_times.c.  Digits behind the sixth of a second are rounded off. */

/* date: 2024-01-31; days since 1970-01-01. */
extern Datum cs_cell_date(CsCell *cell, const CsField *field, char **why);
extern Datum cs_cell_date_days(CsCell *cell, const CsField *field, char **why);

/* time: 12:34, 12:34:56.789; seconds since midnight, "45296.789000000". */
extern Datum cs_cell_time(CsCell *cell, const CsField *field, char **why);
extern Datum cs_cell_time_seconds(CsCell *cell, const CsField *field, char **why);

/* timestamp: 2024-01-31T12:34:56.789 or with a space, a date alone; one with a zone is refused. */
extern Datum cs_cell_timestamp(CsCell *cell, const CsField *field, char **why);

/* timestamptz: the same, with Z, UTC, +02, +0200 or +02:00 (maybe after a space); without a zone it is UTC. */
extern Datum cs_cell_timestamptz(CsCell *cell, const CsField *field, char **why);

/* timestamp and timestamptz alike: microseconds, or seconds with a fraction, since 1970; behind the latter
 * there may be a space and a zone, as Snowflake has it ("1704164645.123456789 1560"), which does not change
 * the moment. */
extern Datum cs_cell_micros(CsCell *cell, const CsField *field, char **why);
extern Datum cs_cell_seconds(CsCell *cell, const CsField *field, char **why);

/* Parts for others: return false unless text is one. */
extern bool cs_days_parse(const char *text, int32 *days);		   /* ISO date; since 2000 */
extern bool cs_clock_parse(const char *text, int64 *microseconds); /* 00:00 to 24:00 */

/* Is it a number as JSON has them? */
extern bool cs_text_is_json_number(const char *text, size_t len);

/* A number written without an exponent, all its digits kept, in CurrentMemoryContext; false: it is none, as *why
 * says. */
extern bool cs_cell_without_exponent(const CsField *field, CsField *plain, char **why);

/* *why: "what: " and the beginning of the text; returns 0. */
extern Datum cs_cell_fail(const CsField *field, const char *what, char **why);

#endif /* CS_CELLS_H */
