/*
 * mysql.h
 *		MySQL and MariaDB as a source.
 */
#ifndef CS_MYSQL_H
#define CS_MYSQL_H

#include "source/sql.h"

extern const CsSqlSource cs_source_mysql;

#endif /* CS_MYSQL_H */
