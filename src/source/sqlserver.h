/*
 * sqlserver.h
 *		SQL Server, and what is much like it.
 */
#ifndef CS_SQLSERVER_H
#define CS_SQLSERVER_H

#include "source/sql.h"
#include "source/sql_statement.h"

extern const CsDialect cs_sqlserver_dialect;
extern const CsSqlSource cs_source_sqlserver;
extern const CsSqlSource cs_source_synapse;

#endif /* CS_SQLSERVER_H */
