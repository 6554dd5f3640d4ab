/*
 * scan.h
 *		Executing the scan of a foreign table, and showing it in EXPLAIN.
 */
#ifndef CS_FOREIGN_SCAN_H
#define CS_FOREIGN_SCAN_H

#include "foreign/fdwapi.h"

/* Members of FdwRoutine. */
extern void cs_foreign_scan_begin(ForeignScanState *node, int eflags);
extern TupleTableSlot *cs_foreign_scan_iterate(ForeignScanState *node);
extern void cs_foreign_scan_restart(ForeignScanState *node);
extern void cs_foreign_scan_end(ForeignScanState *node);
extern void cs_foreign_scan_explain(ForeignScanState *node, struct ExplainState *es);

#endif /* CS_FOREIGN_SCAN_H */
