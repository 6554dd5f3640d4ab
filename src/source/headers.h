/*
 * headers.h
 *		The "headers" option: a JSON object of names and values.
 */
#ifndef CS_HEADERS_H
#define CS_HEADERS_H

#include "nodes/pg_list.h"

/* List of CsHttpHeader *; throws 22023 on anything but an object of strings, on names and values that
 * could break out of a header, and on headers that carry credentials or framing. */
extern List *cs_headers_parse(const char *json);

#endif /* CS_HEADERS_H */
