/*
 * synapse.c
 *		Azure Synapse as a source: dedicated and serverless SQL pools.
 *
 * They speak SQL Server's protocol, and so much of its SQL that nothing here
 * needs another word: no cursors, one statement at a time, catalogs by sys.objects
 * and sys.columns alone, descriptions by sp_describe_first_result_set.
 */
#include "postgres.h"

#include "source/option_table.h"
#include "source/sqlserver.h"

const CsSqlSource cs_source_synapse = { CS_SQL_SOURCE("azure_synapse", CS_FOR_SYNAPSE),
										&cs_sqlserver_dialect,
										NULL,
										"censync_tds",
										"freetds-dev",
										1433 };
