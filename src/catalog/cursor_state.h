/*
 * cursor_state.h
 *		How far incremental syncs have come.
 */
#ifndef CS_CURSOR_STATE_H
#define CS_CURSOR_STATE_H

/* The watermark (text under canonical settings) and its type, in CurrentMemoryContext; false if there
 * is none. */
extern bool cs_cursor_state_load(int64 sync_id, Oid *type, char **watermark);

extern void cs_cursor_state_store(int64 sync_id, Oid type, const char *watermark);
extern void cs_cursor_state_forget(int64 sync_id);

#endif /* CS_CURSOR_STATE_H */
