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

/*
 * The last member of that name, wherever it stands, in the end of a JSON text (or NULL): its value as it was sent, in
 * CurrentMemoryContext, and what follows it.  NULL: there is none.  Throws nothing.
 */
extern char *cs_json_peek_last(const char *end, const char *name, const char **rest);

/* The same of a text without escapes, behind the rows of a document: no array ends after it. */
extern char *cs_json_peek_behind_rows(const char *end, const char *name);

#endif /* CS_JSON_PEEK_H */
