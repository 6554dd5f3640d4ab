/*
 * window.h
 *		Rows that wait for their counterpart, found by key.
 */
#ifndef CS_WINDOW_H
#define CS_WINDOW_H

#include "executor/tuptable.h"
#include "lib/ilist.h"

#include "sync/key_ops.h"

/* A row that waits.  Lives until it is removed, or until the window is freed. */
typedef struct CsWaiting
{
	uint64 hash;
	struct CsWaiting *next; /* with the same hash */
	dlist_node order;		/* in order of arrival */
	MinimalTuple row;
} CsWaiting;

typedef struct CsWindow CsWindow;

/* Rows of desc, whose key begins at attribute first_key (from 0).  In CurrentMemoryContext. */
extern CsWindow *cs_window_create(TupleDesc desc, int first_key, const CsKeyOps *ops);

/* Adds a copy of the row in slot. */
extern void cs_window_add(CsWindow *window, TupleTableSlot *slot, uint64 hash);

/* Takes out the row with that key: into a slot of the window, valid until the next call; NULL: none. */
extern TupleTableSlot *cs_window_take(CsWindow *window, const Datum *key, uint64 hash);

/* Takes out the oldest row likewise. */
extern TupleTableSlot *cs_window_take_first(CsWindow *window);

extern bool cs_window_is_empty(const CsWindow *window);
extern int64 cs_window_bytes(const CsWindow *window);

#endif /* CS_WINDOW_H */
