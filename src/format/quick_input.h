/*
 * quick_input.h
 *		Plain forms of common types, without the detours that an input function
 *		takes for all the others.
 */
#ifndef CS_QUICK_INPUT_H
#define CS_QUICK_INPUT_H

#include "format/decoder.h"

/* Makes the value that the type's input function would make of the text, in CurrentMemoryContext; false:
 * the text is not of the plain form.  Never throws, but for lack of memory. */
typedef bool (*CsQuickInput)(const CsField *field, Datum *value);

/* That of a type without a modifier, or NULL. */
extern CsQuickInput cs_quick_input_find(Oid type);

/* Makes of a float8 what its cast to numeric would, without printing it and reading that; false: it is not known
 * at once what that is. */
extern bool cs_quick_numeric(float8 number, Datum *value);

#endif /* CS_QUICK_INPUT_H */
