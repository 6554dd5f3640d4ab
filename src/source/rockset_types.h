/*
 * rockset_types.h
 *		The types of Rockset.
 */
#ifndef CS_ROCKSET_TYPES_H
#define CS_ROCKSET_TYPES_H

#include "format/json_leaves.h"
#include "source/cells.h"

/* The two members of a value that JSON has no type for. */
#define CS_ROCKSET_TYPE "__rockset_type"

/* Column and cell of a type by its name there, in any case; NULL: not known. */
extern void cs_rockset_type_set(CsColumn *column, CsCell *cell, const char *type);

/* The type of a value by its form: that of its wrapper, or what JSON says; NULL of null. */
extern char *cs_rockset_type_of(CsJsonLeaves *wrapper, const CsField *field);

/* Takes the value out of its wrapper, if it is in one. */
extern void cs_rockset_unwrap(CsJsonLeaves *wrapper, CsField *field);

/* Leaves that read a wrapper. */
extern CsJsonLeaves *cs_rockset_wrapper(void);

#endif /* CS_ROCKSET_TYPES_H */
