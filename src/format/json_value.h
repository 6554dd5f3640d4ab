/*
 * json_value.h
 *		Values of PostgreSQL types as JSON.
 */
#ifndef CS_JSON_VALUE_H
#define CS_JSON_VALUE_H

#include "lib/stringinfo.h"

/*
 * Appends a value that is not null: numbers and booleans as such, json as it is, everything else as the
 * string of its text form.  Unlike row_to_json it looks for no casts: those are code of whoever made
 * them, and would run with the rights of whoever looks.
 */
extern void cs_json_append_value(StringInfo json, Oid type, Datum value);

/* Appends "name": value, after a comma unless it is the first member of its object. */
extern void cs_json_append_member(StringInfo json, const char *name, Oid type, Datum value,
								  bool isnull);

#endif /* CS_JSON_VALUE_H */
