/*
 * cursor_value.h
 *		Values of cursors: which types serve, their text, and how far an overlap
 *		reaches back.
 */
#ifndef CS_CURSOR_VALUE_H
#define CS_CURSOR_VALUE_H

/* Built-in types that have an order and a text that means the same everywhere. */
extern bool cs_cursor_type_serves(Oid type);
extern bool cs_cursor_type_is_text(Oid type);

/* Infinity, or NaN, which sorts above it. */
extern bool cs_cursor_value_is_endless(Oid type, Datum value);

/* To text and back, under canonical settings. */
extern char *cs_cursor_value_text(Oid type, Datum value);
extern Datum cs_cursor_value_parse(Oid type, char *text);

/* What the text says, less the overlap. */
extern Datum cs_cursor_value_less(Oid type, const char *text, const char *overlap);

/* Throws 22023 for an overlap that can't be subtracted from the type, or is negative. */
extern void cs_cursor_overlap_check(Oid type, const char *overlap);

#endif /* CS_CURSOR_VALUE_H */
