/*
 * cursor.h
 *		Incremental reads (option cursor_column): from where on a run reads,
 *		and how far it has come.
 */
#ifndef CS_CURSOR_H
#define CS_CURSOR_H

#include "source/reader.h"

struct CsRun;

typedef struct CsCursor CsCursor;

/* Before the source is opened: loads the watermark and puts the bound into the spec.  NULL without the
 * option.  Throws 0A000 for a mirror and 22023 for options that do not go together. */
extern CsCursor *cs_cursor_create(struct CsRun *run);

/* Before a source of text is opened: settles the type and returns wanted with the cursor's column. */
extern List *cs_cursor_wanted(struct CsRun *run, List *wanted);

/* After it was opened; throws 42703, 42702 and 42804 for a column that can't be a cursor. */
extern void cs_cursor_bind(struct CsRun *run);

/* Marks the cursor's column among those of a typed reader. */
extern void cs_cursor_need(const CsCursor *cursor, bool *needed);

/* The steps of a run call these; all do nothing for a run without a cursor. */
extern void cs_cursor_note_batch(struct CsRun *run, const CsBatch *batch);
extern void cs_cursor_note_record(struct CsRun *run, const CsRecord *record); /* typed sources */
extern void cs_cursor_note_bad(struct CsRun *run, int64 number);

/* At the end of a run: the watermark is the greatest cursor seen, but never past a bad record. */
extern void cs_cursor_advance(struct CsRun *run);
extern void cs_cursor_end(struct CsRun *run);

#endif /* CS_CURSOR_H */
