/*
 * query.h
 *		Source: a query, table, view or foreign table of this database.
 */
#ifndef CS_SOURCE_QUERY_H
#define CS_SOURCE_QUERY_H

#include "source/reader.h"

/* Needs a connected SPI, which must outlive the reader. */
extern CsReader *cs_query_open(const CsReadSpec *spec);

#endif /* CS_SOURCE_QUERY_H */
