/*
 * databases.h
 *		The sources that are databases.
 */
#ifndef CS_DATABASES_H
#define CS_DATABASES_H

#include "source/sql.h"

extern const CsSqlSource cs_source_postgres; /* postgres.c */
extern const CsSqlSource cs_source_redshift; /* redshift.c */

#endif /* CS_DATABASES_H */
