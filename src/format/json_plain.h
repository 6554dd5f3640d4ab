/*
 * json_plain.h
 *		A quick way through records that have nothing but plain members.
 */
#ifndef CS_JSON_PLAIN_H
#define CS_JSON_PLAIN_H

#include "format/json_names.h"

/*
 * Reads one record's text, NUL-terminated, into fields (one per column, all zero before).  True only for
 * an object that is valid JSON, of strings without escapes, numbers and literals; for anything else
 * false, and the server's parser must say what it is: fields and text are then of no use any more.
 * The values stay in text, which gets a NUL behind each of them.  No name may be a path.
 */
extern bool cs_json_plain_read(JsonNames *names, bool *seen, char *text, CsField *fields);

#endif /* CS_JSON_PLAIN_H */
