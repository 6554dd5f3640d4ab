/*
 * window.c
 *		Rows that wait for their counterpart, found by key.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "sync/window.h"

/* One chain of rows with the same hash. */
typedef struct WindowEntry
{
	uint64 hash;
	CsWaiting *first;
	char status; /* simplehash's */
} WindowEntry;

#define SH_PREFIX window
#define SH_ELEMENT_TYPE WindowEntry
#define SH_KEY_TYPE uint64
#define SH_KEY hash
#define SH_HASH_KEY(table, key) ((uint32) ((key) ^ ((key) >> 32)))
#define SH_EQUAL(table, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

#define INITIAL_ROWS 1024

struct CsWindow
{
	MemoryContext context; /* of the rows */
	const CsKeyOps *ops;   /* the creator's */
	int first_key;
	window_hash *rows;
	dlist_head order;
	TupleTableSlot *taken; /* what was taken last */
	TupleTableSlot *probe; /* a row of a chain that is looked at */
	int64 bytes;
};

static void take_out(CsWindow *window, WindowEntry *entry, CsWaiting **link);

CsWindow *
cs_window_create(TupleDesc desc, int first_key, const CsKeyOps *ops)
{
	CsWindow *window = palloc0(sizeof(CsWindow));

	window->context =
		AllocSetContextCreate(CurrentMemoryContext, "censync window", ALLOCSET_DEFAULT_SIZES);
	window->ops = ops;
	window->first_key = first_key;
	window->rows = window_create(CurrentMemoryContext, INITIAL_ROWS, NULL);
	dlist_init(&window->order);
	window->taken = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	window->probe = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	return window;
}

void
cs_window_add(CsWindow *window, TupleTableSlot *slot, uint64 hash)
{
	MemoryContext old = MemoryContextSwitchTo(window->context);
	CsWaiting *waiting = palloc(sizeof(CsWaiting));
	WindowEntry *entry;
	bool found;

	waiting->hash = hash;
	waiting->row = ExecCopySlotMinimalTuple(slot);
	entry = window_insert(window->rows, hash, &found);
	waiting->next = found ? entry->first : NULL;
	entry->first = waiting;
	dlist_push_tail(&window->order, &waiting->order);
	window->bytes += waiting->row->t_len + sizeof(CsWaiting) + sizeof(WindowEntry);
	MemoryContextSwitchTo(old);
}

TupleTableSlot *
cs_window_take(CsWindow *window, const Datum *key, uint64 hash)
{
	WindowEntry *entry = window_lookup(window->rows, hash);

	if (entry == NULL)
		return NULL;
	for (CsWaiting **link = &entry->first; *link; link = &(*link)->next)
	{
		ExecStoreMinimalTuple((*link)->row, window->probe, false);
		slot_getallattrs(window->probe);
		if (cs_key_equal(window->ops, window->probe->tts_values + window->first_key, key))
		{
			take_out(window, entry, link);
			return window->taken;
		}
	}
	return NULL;
}

TupleTableSlot *
cs_window_take_first(CsWindow *window)
{
	CsWaiting *waiting;
	WindowEntry *entry;
	CsWaiting **link;

	if (dlist_is_empty(&window->order))
		return NULL;
	waiting = dlist_head_element(CsWaiting, order, &window->order);
	entry = window_lookup(window->rows, waiting->hash);
	for (link = &entry->first; *link != waiting; link = &(*link)->next)
		;
	take_out(window, entry, link);
	return window->taken;
}

bool
cs_window_is_empty(const CsWindow *window)
{
	return dlist_is_empty(&((CsWindow *) window)->order);
}

int64
cs_window_bytes(const CsWindow *window)
{
	return window->bytes;
}

/* The row goes into the slot taken, which owns it from then on. */
static void
take_out(CsWindow *window, WindowEntry *entry, CsWaiting **link)
{
	CsWaiting *waiting = *link;

	*link = waiting->next;
	if (entry->first == NULL)
		window_delete_item(window->rows, entry);
	dlist_delete(&waiting->order);
	window->bytes -= waiting->row->t_len + sizeof(CsWaiting) + sizeof(WindowEntry);
	ExecClearTuple(window->probe);
	ExecStoreMinimalTuple(waiting->row, window->taken, true);
	slot_getallattrs(window->taken);
	pfree(waiting);
}
