/*
 * postgres_dialect.h
 *		How PostgreSQL and Redshift want to be asked.
 */
#ifndef CS_POSTGRES_DIALECT_H
#define CS_POSTGRES_DIALECT_H

#include "source/sql_statement.h"

extern const CsDialect cs_postgres_dialect;
extern const CsDialect cs_redshift_dialect;

#endif /* CS_POSTGRES_DIALECT_H */
