/*
 * json_names.h
 *		The wanted names as a tree: members of a record, and members of those.
 */
#ifndef CS_JSON_NAMES_H
#define CS_JSON_NAMES_H

#include "format/decoder.h"

typedef struct JsonNode JsonNode;

/* A member as records have had it: known to be wanted, or known not to be. */
typedef struct ShapeMember
{
	char *name; /* owned by the tree */
	int len;
	JsonNode *node; /* NULL: not wanted */
} ShapeMember;

/* A wanted name in an object; a node of the tree of all of them. */
struct JsonNode
{
	const char *name; /* the tree's; "" at the root */
	int len;
	int exact; /* first column that is this top-level member, or -1 */
	int path;  /* first column whose path of two or more parts ends here, or -1 */
	int nchildren;
	JsonNode **children; /* by name, see compare_name */
	int nshape;
	int next;			/* where in shape the next member is expected */
	ShapeMember *shape; /* allocated once the object is met */
};

typedef struct JsonNames
{
	JsonNode *root;
	int *same;	   /* per column: next column of the same name, or -1 */
	int levels;	   /* objects that can be open on the way to a wanted member */
	bool any_path; /* some name has a dot */
} JsonNames;

/* Builds the tree in CurrentMemoryContext.  Throws 22023 for a path deeper than records may be. */
extern void cs_json_names_build(JsonNames *names, const CsProjection *projection);

/* The node of an object's member, or NULL: it is not wanted.  Set object->next to 0 when an object
 * begins; the tree learns in what order members come. */
extern JsonNode *cs_json_names_find(JsonNode *object, const char *name, int len);

#endif /* CS_JSON_NAMES_H */
