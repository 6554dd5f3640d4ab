/*
 * convert.h
 *		A source's text as a value of a PostgreSQL type.
 */
#ifndef CS_CONVERT_H
#define CS_CONVERT_H

#include "fmgr.h"

#include "format/decoder.h"

/* What is to be known of the target type; filled once by cs_text_input_init. */
typedef struct CsTextInput
{
	/* The same for the plain forms of common types; false: the input function must see it.  Or NULL. */
	bool (*quick)(const CsField *field, Datum *value);
	FmgrInfo input; /* the type's input function; its memory is of the init's context */
	Oid ioparam;
	int32 typmod;
	bool is_json;	/* json or jsonb: strings keep their quotes */
	bool is_array;	/* JSON arrays become array literals */
	char delimiter; /* of its elements */
	bool is_json_array;
	bool is_domain; /* NULL must be checked too */
} CsTextInput;

/* Allocates in CurrentMemoryContext. */
extern void cs_text_input_init(CsTextInput *target, Oid type, int32 typmod);

/* The value, in CurrentMemoryContext; throws whatever the type's input function throws. */
extern Datum cs_text_input(CsTextInput *target, const CsField *field, bool *isnull);

/* Does a column of that type become such a value by way of its JSON text?  So it is from json and jsonb to
 * arrays. */
extern bool cs_text_input_takes_json(const CsTextInput *target, Oid column);

/* That value; type: the column's, value: undefined if the column is null. */
extern Datum cs_text_input_json(CsTextInput *target, Oid type, Datum value, bool *isnull);

#endif /* CS_CONVERT_H */
