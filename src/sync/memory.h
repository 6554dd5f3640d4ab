/*
 * memory.h
 *		The keys that a mirror has written, in their table.
 *
 * All of this is to be called as the role that applies: making text of keys and
 * keys of text may run user-defined code.  The table itself is read and
 * written as its owner.
 */
#ifndef CS_MEMORY_H
#define CS_MEMORY_H

#include "sync/run.h"

/* All of them, as a tracked stage called "memory", and their fingerprint. */
extern CsStage *cs_memory_load(CsRun *run, CsFingerprint *print);

/* Those of the keys in a stage that are remembered, as a tracked stage of that name. */
extern CsStage *cs_memory_find(CsRun *run, CsStage *keys, const char *name);

/* Remembers the keys of a stage; takes those that are new into the fingerprint. */
extern void cs_memory_add(CsRun *run, CsStage *keys, CsFingerprint *print);

/* Forgets the keys of a tracked stage, and takes them out of the fingerprint. */
extern void cs_memory_remove(CsRun *run, CsStage *keys, CsFingerprint *print);

#endif /* CS_MEMORY_H */
