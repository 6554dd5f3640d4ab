/*
 * since.h
 *		The bound of an incremental read, as it goes into a request.
 */
#ifndef CS_SINCE_H
#define CS_SINCE_H

#include "source/reader.h"

/* Text in the form that option cursor_request_format asks for (NULL: iso), never later than the bound;
 * NULL if there is none.  Throws 22023 for a form that the column's type does not have. */
extern char *cs_since_format(const CsReadSince *since, const char *format);

#endif /* CS_SINCE_H */
