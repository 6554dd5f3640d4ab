/*
 * json_plain.h
 *		A quick way through records that have nothing but plain members.
 */
#ifndef CS_JSON_PLAIN_H
#define CS_JSON_PLAIN_H

#include "format/json_names.h"

/* Words are read whole. */
#define CS_JSON_PADDING 8

/*
 * Reads the record that text begins with, NUL-terminated with eight bytes to spare, into fields (all zero before).
 * Returns what is behind it and the spaces after it, only for valid JSON of strings, numbers, literals, and containers
 * without escapes; for anything else NULL, and the server's parser must say what it is: fields and text are then of no use any
 * more.  The values stay in text, which gets a NUL behind each of them.  utf8: text is; else escapes are not plain.
 */

/* An object: fields are the columns that names were built for, none of which may be a path. */
extern char *cs_json_plain_read(JsonNames *names, bool *seen, char *text, CsField *fields,
								bool utf8);

/* A row of at most n values; *count gets how many it has. */
extern char *cs_json_plain_read_array(char *text, CsField *fields, int n, bool utf8, int *count);
extern char *cs_json_plain_read_cells(char *text, CsField *fields, int n, bool utf8, int *count);

#endif /* CS_JSON_PLAIN_H */
