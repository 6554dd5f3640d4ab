/*
 * walk.h
 *		The comparison of stage and destination by walking along both at once.
 */
#ifndef CS_WALK_H
#define CS_WALK_H

#include "sync/run.h"

/*
 * Fills run->creates, run->updates and, if it is there, run->extras, and counts what behavior update
 * skips.  Returns false, with the stages cleared, if it is not the way: the keys can't be compared in C,
 * the destination is much larger than the stage, or the order of the rows has too little in common.
 */
extern bool cs_run_walk(CsRun *run);

/* Is it worth a try?  Not so for the first two of these. */
extern bool cs_run_is_walkable(const CsRun *run);

#endif /* CS_WALK_H */
