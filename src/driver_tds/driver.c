/*
 * driver.c
 *		The driver of SQL Server and Azure Synapse, over FreeTDS.
 */
#include "postgres.h"

#include "fmgr.h"

#include "driver_tds/tds.h"

PG_MODULE_MAGIC;

static const CsSqlDriver driver = { CS_SQL_DRIVER_VERSION, tds_connect,	 tds_describe,
									tds_execute,		   tds_next_row, tds_list };

const CsSqlDriver *
cs_sql_driver_get(void)
{
	return &driver;
}
