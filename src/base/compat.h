/*
 * compat.h
 *		Every difference between PostgreSQL versions that this extension meets,
 *		behind one name each.  No other file asks for PG_VERSION_NUM.
 */
#ifndef CS_COMPAT_H
#define CS_COMPAT_H

#include "pg_config.h"

#if PG_VERSION_NUM < 150000
#error "censync needs PostgreSQL 15 or later"
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
/* Since 16 the extra data of a check hook is guc_malloc's; before, plain malloc's. */
#define cs_guc_malloc(size) guc_malloc(LOG, size)
#define cs_guc_free(pointer) guc_free(pointer)
#else
#define cs_guc_malloc(size) malloc(size)
#define cs_guc_free(pointer) free(pointer)
#endif

/* Reads exactly so many bytes of a BufFile, or throws. */
#if PG_VERSION_NUM >= 160000
#define cs_buffile_read(file, data, size) BufFileReadExact(file, data, size)
#else
#define cs_buffile_read(file, data, size)                                                          \
	do                                                                                             \
	{                                                                                              \
		if (BufFileRead(file, data, size) != (size))                                               \
			ereport(ERROR, (errcode_for_file_access(),                                             \
							errmsg("could not read a temporary file: it is too short")));          \
	} while (0)
#endif

/* What hooks into ExecutorRun has after its QueryDesc.  18 took the last one away. */
#if PG_VERSION_NUM >= 180000
#define CS_EXECUTOR_RUN_PARAMETERS ScanDirection direction, uint64 count
#define CS_EXECUTOR_RUN_ARGUMENTS direction, count
#else
#define CS_EXECUTOR_RUN_PARAMETERS ScanDirection direction, uint64 count, bool once
#define CS_EXECUTOR_RUN_ARGUMENTS direction, count, once
#endif

#endif /* CS_COMPAT_H */
