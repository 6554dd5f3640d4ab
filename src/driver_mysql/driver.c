/*
 * driver.c
 *		The module's one entry point.
 */
#include "postgres.h"

#include "fmgr.h"

#include "driver_mysql/mysql_session.h"

PG_MODULE_MAGIC;

static const CsSqlDriver mysql_driver = {
	.version = CS_SQL_DRIVER_VERSION,
	.connect = cs_mysql_connect,
	.describe = cs_mysql_describe,
	.execute = cs_mysql_execute,
	.next_row = cs_mysql_next_row,
	.list = cs_mysql_list,
};

const CsSqlDriver *
cs_sql_driver_get(void)
{
	return &mysql_driver;
}
