/*
 * json_peek.h
 *		A look at a member of a JSON text that nobody has proven yet.
 */
#ifndef CS_JSON_PEEK_H
#define CS_JSON_PEEK_H

/*
 * The text of the string, integer or boolean that a JSON Pointer leads to, in CurrentMemoryContext.
 * NULL if there is none, if json is NULL or no JSON, or if anything is unusually large.  Throws
 * nothing: good for guesses only.
 */
extern char *cs_json_peek(const char *json, const char *pointer);

#endif /* CS_JSON_PEEK_H */
