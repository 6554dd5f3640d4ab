/*
 * spi.h
 *		Statements on the extension's own tables, with its own rights.
 */
#ifndef CS_SPI_H
#define CS_SPI_H

#include "executor/spi.h"

#include "base/user.h"

#define CS_MAX_ARGS 24

/* Arguments of one statement; zero-initialized, on the caller's stack. */
typedef struct CsArgs
{
	int count;
	Oid types[CS_MAX_ARGS];
	Datum values[CS_MAX_ARGS];
	char nulls[CS_MAX_ARGS]; /* 'n' or ' ' */
} CsArgs;

/* A pass-through to the catalog: who was acting, and where results are copied to. */
typedef struct CsCatalogAccess
{
	CsUserContext user;
	MemoryContext caller;
	bool pushed; /* a snapshot: a background worker has none of a statement around us */
} CsCatalogAccess;

/* Everything between these two runs as the owner of the extension's tables. */
extern void cs_catalog_begin(CsCatalogAccess *access);
extern void cs_catalog_end(CsCatalogAccess *access);

extern void cs_args_add(CsArgs *args, Oid type, Datum value, bool isnull);
extern void cs_args_add_text(CsArgs *args, const char *value); /* NULL: null */
extern void cs_args_add_int8(CsArgs *args, int64 value);

/* Executes; returns the number of rows, which SPI_tuptable then has.  Unexpected SPI results are errors. */
extern uint64 cs_catalog_execute(const char *sql, CsArgs *args);

/* A statement alone, from beginning to end: is there a row that it finds or changes?  It sees the latest state. */
extern bool cs_catalog_hits(const char *sql, CsArgs *args);

/* As cs_catalog_execute, for a statement that sees the latest state even where the transaction's snapshot is older:
 * whoever holds a lock may act upon what was committed before he had it.  The first is read only. */
extern uint64 cs_catalog_select_latest(const char *sql, CsArgs *args);
extern uint64 cs_catalog_execute_latest(const char *sql, CsArgs *args);

/* Column col (1-based) of row row of SPI_tuptable as text in the caller's context, or NULL. */
extern char *cs_catalog_text(CsCatalogAccess *access, uint64 row, int col);
extern Datum cs_catalog_datum(uint64 row, int col, bool *isnull);

#endif /* CS_SPI_H */
