/*
 * services.h
 *		The sources that are services over HTTP.
 */
#ifndef CS_SERVICES_H
#define CS_SERVICES_H

#include "source/service.h"

extern const CsService cs_source_bigquery;
extern const CsService cs_source_google_sheets;
extern const CsService cs_source_databricks;	/* databricks.c */
extern const CsService cs_source_snowflake;		/* snowflake.c */
extern const CsService cs_source_elasticsearch; /* elasticsearch.c */
extern const CsService cs_source_rockset;		/* rockset.c */

#endif /* CS_SERVICES_H */
