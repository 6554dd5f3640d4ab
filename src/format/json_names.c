/*
 * json_names.c
 *		Which members of a record are wanted.
 */
#include "postgres.h"

#include "format/decoder_internal.h"
#include "format/json_names.h"
#include "utils/memutils.h"

/* Members whose order is remembered per object. */
#define MAX_SHAPE 64

static void add_column(JsonNames *names, const char *name, int column);
static void join_same(JsonNames *names, int *first, int column);
static JsonNode *add_child(JsonNode *parent, const char *name, int len);
static void remember_member(JsonNode *object, const char *name, int len, JsonNode *node);
static int find_child(const JsonNode *parent, const char *name, int len, bool *found);
static int compare_name(const JsonNode *node, const char *name, int len);

void
cs_json_names_build(JsonNames *names, const CsProjection *projection)
{
	names->root = palloc0(sizeof(JsonNode));
	names->root->name = "";
	names->root->exact = names->root->path = -1;
	names->same = palloc((projection->ncolumns + 1) * sizeof(int));
	names->levels = 1;
	names->any_path = false;
	for (int i = 0; i < projection->ncolumns; i++)
		add_column(names, projection->names[i], i);
}

/* Records are much alike: the member that came next the last time is tried first. */
JsonNode *
cs_json_names_find(JsonNode *object, const char *name, int len)
{
	JsonNode *node;
	bool found;
	int at;

	/* One further: a member that is not always there. */
	for (int i = object->next; i < object->nshape && i < object->next + 2; i++)
	{
		ShapeMember *member = &object->shape[i];

		if (member->len == len && memcmp(member->name, name, len) == 0)
		{
			object->next = i + 1;
			return member->node;
		}
	}
	at = find_child(object, name, len, &found);
	node = found ? object->children[at] : NULL;
	if (object->next == object->nshape && object->nshape < MAX_SHAPE)
		remember_member(object, name, len, node);
	return node;
}

/* Enters a column under its whole name, and under its path if it has a dot. */
static void
add_column(JsonNames *names, const char *name, int column)
{
	const char *dot = strchr(name, '.');
	JsonNode *node = names->root;
	int level = 1;

	names->same[column] = -1;
	join_same(names, &add_child(node, name, (int) strlen(name))->exact, column);
	if (dot == NULL)
		return;
	names->any_path = true;
	for (; dot != NULL; dot = strchr(name, '.'))
	{
		node = add_child(node, name, (int) (dot - name));
		name = dot + 1;
		if (++level > CS_MAX_NESTING)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("path of a source column has more than %d parts", CS_MAX_NESTING)));
	}
	node = add_child(node, name, (int) strlen(name));
	/* Two columns of one name: the chain was joined above, its head is enough here. */
	if (node->path < 0)
		node->path = column;
	names->levels = Max(names->levels, level);
}

/* Adds column to the chain of its namesakes. */
static void
join_same(JsonNames *names, int *first, int column)
{
	while (*first >= 0)
		first = &names->same[*first];
	*first = column;
}

/* The child of that name, made if need be; keeps the children sorted. */
static JsonNode *
add_child(JsonNode *parent, const char *name, int len)
{
	JsonNode *node;
	bool found;
	int at = find_child(parent, name, len, &found);

	if (found)
		return parent->children[at];
	node = palloc0(sizeof(JsonNode));
	node->name = pnstrdup(name, len);
	node->len = len;
	node->exact = node->path = -1;
	if (parent->children == NULL)
		parent->children = palloc(sizeof(JsonNode *));
	else
		parent->children = repalloc(parent->children, (parent->nchildren + 1) * sizeof(JsonNode *));
	memmove(parent->children + at + 1, parent->children + at,
			(parent->nchildren - at) * sizeof(JsonNode *));
	parent->children[at] = node;
	parent->nchildren++;
	return node;
}

static void
remember_member(JsonNode *object, const char *name, int len, JsonNode *node)
{
	MemoryContext context = GetMemoryChunkContext(object);
	ShapeMember *member;

	if (len >= NAMEDATALEN)
		return;
	if (object->shape == NULL)
		object->shape = MemoryContextAlloc(context, MAX_SHAPE * sizeof(ShapeMember));
	member = &object->shape[object->nshape++];
	member->name = MemoryContextAlloc(context, len + 1);
	memcpy(member->name, name, len);
	member->name[len] = '\0';
	member->len = len;
	member->node = node;
	object->next = object->nshape;
}

/* Position of a child, or of where it belongs. */
static int
find_child(const JsonNode *parent, const char *name, int len, bool *found)
{
	int low = 0;
	int high = parent->nchildren;

	while (low < high)
	{
		int middle = (low + high) / 2;
		int order = compare_name(parent->children[middle], name, len);

		if (order == 0)
		{
			*found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*found = false;
	return low;
}

/* By length, then bytes: any total order will do. */
static int
compare_name(const JsonNode *node, const char *name, int len)
{
	return node->len != len ? node->len - len : memcmp(node->name, name, len);
}
