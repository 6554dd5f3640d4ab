/*
 * json_leaves.h
 *		The fields of a document in which objects may stand as objects or as
 *		dotted names, and any value may be an array of values.
 *
 * {"o": {"k": 1}}, {"o.k": 1} and {"o": [{"k": 1}]} have the same field o.k, as Elasticsearch sees it.
 */
#ifndef CS_JSON_LEAVES_H
#define CS_JSON_LEAVES_H

#include "format/decoder.h"

typedef enum CsLeafKind
{
	CS_LEAF_VALUE, /* an array of one value is that value, one of none is null */
	CS_LEAF_POINT, /* the same, but an array that begins with a number is one value */
	CS_LEAF_JSON,  /* what stands there */
	CS_LEAF_ARRAY, /* always an array, unless it is null */
	CS_LEAF_BARE   /* a value; an object in its place holds other fields */
} CsLeafKind;

typedef struct CsJsonLeaves CsJsonLeaves;

/* For n fields of those names, none of which is inside of another that is not bare; in CurrentMemoryContext. */
extern CsJsonLeaves *cs_json_leaves_create(int n, char *const *names, const CsLeafKind *kinds);

/* Reads an object, which is known to be valid JSON in the server's encoding, into fields.  They may stand in its
 * text, which is written to, or in CurrentMemoryContext.  False: a text in it has what is no character here. */
extern bool cs_json_leaves_read(CsJsonLeaves *leaves, char *json, CsField *fields);

/* The members of an object, one after the other (of one that is no valid JSON, what looks like them): *json, at first its beginning, is
 * moved on; name (escapes are not resolved) and value are where they stand.  False: there are no more. */
extern bool cs_json_member_next(const char **json, const char **name, int *name_len,
								const char **value, int *value_len);

/* The elements of an array, likewise. */
extern bool cs_json_element_next(const char **json, const char **value, int *value_len);

#endif /* CS_JSON_LEAVES_H */
