/*
 * option_table.h
 *		Every option there is.
 */
#ifndef CS_OPTION_TABLE_H
#define CS_OPTION_TABLE_H

#include "source/options.h"

/* Sources that know an option; bits.  A source type has one of them as its own. */
#define CS_FOR_HTTP 1
#define CS_FOR_POSTGRES 2
#define CS_FOR_REDSHIFT 4
#define CS_FOR_MYSQL 8
#define CS_FOR_SQLSERVER 16
#define CS_FOR_SYNAPSE 32
#define CS_FOR_BIGQUERY 64
#define CS_FOR_SHEETS 128
#define CS_FOR_SNOWFLAKE 256
#define CS_FOR_DATABRICKS 512
#define CS_FOR_ELASTICSEARCH 1024
#define CS_FOR_ROCKSET 2048
#define CS_FOR_WEBHOOK 0x10000 /* no source: what is told of events; see webhook.h */

#define CS_FOR_GOOGLE (CS_FOR_BIGQUERY | CS_FOR_SHEETS)
#define CS_FOR_SERVICE                                                                             \
	(CS_FOR_GOOGLE | CS_FOR_SNOWFLAKE | CS_FOR_DATABRICKS | CS_FOR_ELASTICSEARCH | CS_FOR_ROCKSET)
#define CS_FOR_WEB (CS_FOR_HTTP | CS_FOR_SERVICE)
#define CS_FOR_LIBPQ (CS_FOR_POSTGRES | CS_FOR_REDSHIFT)
#define CS_FOR_TDS (CS_FOR_SQLSERVER | CS_FOR_SYNAPSE)
#define CS_FOR_SQL (CS_FOR_LIBPQ | CS_FOR_MYSQL | CS_FOR_TDS)
#define CS_FOR_ALL (~0)

/* Who may set an option. */
typedef enum CsOptionGate
{
	CS_BY_ANYBODY = false,
	CS_BY_SUPERUSER = true,
	CS_BY_FILE_READER /* names a file on the server's disk: pg_read_server_files, too */
} CsOptionGate;

typedef struct CsOption
{
	const char *name;
	int sources;										/* CS_FOR_... bits */
	int levels;											/* CsOptionLevel bits */
	CsOptionGate gate;									/* or false, true: only a superuser */
	void (*check)(const char *name, const char *value); /* throws; NULL: any text */
} CsOption;

/* NULL: there is none of that name. */
extern const CsOption *cs_option_find(const char *name);

/* Those that may stand at a level for any of the sources, by comma; in CurrentMemoryContext. */
extern char *cs_option_names(CsOptionLevel level, int sources);

#endif /* CS_OPTION_TABLE_H */
