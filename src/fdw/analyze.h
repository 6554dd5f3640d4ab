/*
 * analyze.h
 *		ANALYZE of foreign tables.
 */
#ifndef CS_FOREIGN_ANALYZE_H
#define CS_FOREIGN_ANALYZE_H

#include "foreign/fdwapi.h"

/* A member of FdwRoutine. */
extern bool cs_foreign_analyze(Relation rel, AcquireSampleRowsFunc *acquire, BlockNumber *pages);

#endif /* CS_FOREIGN_ANALYZE_H */
