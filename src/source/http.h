/*
 * http.h
 *		Source type "http".
 */
#ifndef CS_SOURCE_HTTP_H
#define CS_SOURCE_HTTP_H

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"

#include "source/reader.h"

extern const CsSourceType cs_source_http;

#endif /* CS_SOURCE_HTTP_H */
