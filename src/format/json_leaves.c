/*
 * json_leaves.c
 *		The fields of a document in which objects may stand as objects or as
 *		dotted names, and any value may be an array of values.
 *
 * Everything here has been through a JSON parser before: brackets and quotes match.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "format/decoder_internal.h"
#include "format/json_leaves.h"
#include "format/json_plain.h"

/* A part of a name. */
typedef struct LeafNode
{
	const char *name;
	int len;
	int leaf;  /* or -1: there are more parts */
	bool bare; /* there may be more parts, too */
	int nchildren;
	int next; /* child that is expected next: documents are alike */
	struct LeafNode **children;
} LeafNode;

/* What a document has of a field. */
typedef struct Leaf
{
	CsLeafKind kind;
	const char *text; /* NULL: nothing */
	int len;
	StringInfoData
		pieces; /* data NULL: text is one piece of the document; else text is this, which grows in place */
} Leaf;

struct CsJsonLeaves
{
	LeafNode root;
	int n;
	Leaf *leaves;
	bool plain;				 /* all are values of the document's own members */
	JsonNames names;		 /* if plain: theirs */
	CsProjection projection; /* same */
	bool escapes;			 /* the document has a backslash somewhere */
	bool valid;				 /* so far */
};

static void prepare_plain(CsJsonLeaves *leaves, char *const *names);
static bool read_plain(CsJsonLeaves *leaves, const char *json, CsField *fields);
static void add_name(LeafNode *node, const char *name, int leaf, bool bare);
static LeafNode *find_child(LeafNode *node, const char *name, int len);
static void walk_object(CsJsonLeaves *leaves, LeafNode *node, const char *json);
static LeafNode *find_dotted(LeafNode *node, const char **name, int *len);
static void take_value(CsJsonLeaves *leaves, LeafNode *node, const char *rest, int rest_len,
					   const char *value, int len);
static void add_piece(Leaf *leaf, const char *rest, int rest_len, const char *value, int len);
static void reopen(Leaf *leaf, char bracket);
static void append_elements(StringInfo to, const char *value, int len);
static bool read_leaf(const CsJsonLeaves *leaves, int i, CsField *field);
static void unwrap(const char **text, int *len, bool point);
static bool set_field(CsField *field, const char *text, int len, bool escapes);
static bool set_string(CsField *field, const char *text, int len, bool escapes);
static bool is_null(const char *text);
static const char *resolve_name(const char *name, int *len);
static const char *skip_spaces(const char *p);
static const char *skip_value(const char *p);
static const char *skip_string(const char *p);

CsJsonLeaves *
cs_json_leaves_create(int n, char *const *names, const CsLeafKind *kinds)
{
	CsJsonLeaves *leaves = palloc0(sizeof(CsJsonLeaves));

	leaves->n = n;
	leaves->leaves = palloc0(sizeof(Leaf) * Max(1, n));
	leaves->root.leaf = -1;
	leaves->plain = n > 0;
	for (int i = 0; i < n; i++)
	{
		leaves->leaves[i].kind = kinds[i];
		add_name(&leaves->root, names[i], i, kinds[i] == CS_LEAF_BARE);
		leaves->plain = leaves->plain && strchr(names[i], '.') == NULL &&
						(kinds[i] == CS_LEAF_VALUE || kinds[i] == CS_LEAF_POINT);
	}
	if (leaves->plain)
		prepare_plain(leaves, names);
	return leaves;
}

static void
prepare_plain(CsJsonLeaves *leaves, char *const *names)
{
	leaves->projection.ncolumns = leaves->n;
	leaves->projection.names = palloc(sizeof(char *) * leaves->n);
	memcpy(leaves->projection.names, names, sizeof(char *) * leaves->n);
	leaves->projection.seen = palloc0(sizeof(bool) * leaves->n);
	cs_json_names_build(&leaves->names, &leaves->projection);
}

bool
cs_json_leaves_read(CsJsonLeaves *leaves, char *json, CsField *fields)
{
	if (leaves->plain && read_plain(leaves, json, fields))
		return true;
	for (int i = 0; i < leaves->n; i++)
	{
		leaves->leaves[i].text = NULL;
		leaves->leaves[i].pieces.data = NULL;
	}
	leaves->valid = true;
	leaves->escapes = strchr(json, '\\') != NULL;
	walk_object(leaves, &leaves->root, json);
	for (int i = 0; i < leaves->n; i++)
		leaves->valid = read_leaf(leaves, i, &fields[i]) && leaves->valid;
	return leaves->valid;
}

/* Nothing in objects, no dotted names: the quick way.  It needs room, and may not touch json unless it is true. */
static bool
read_plain(CsJsonLeaves *leaves, const char *json, CsField *fields)
{
	size_t len = strlen(json) + 1;
	char *text = palloc(len + CS_JSON_PADDING);
	char *end;

	memcpy(text, json, len);
	memset(text + len, 0, CS_JSON_PADDING);
	memset(fields, 0, sizeof(CsField) * leaves->n);
	end = cs_json_plain_read(&leaves->names, leaves->projection.seen, text, fields,
							 GetDatabaseEncoding() == PG_UTF8);
	if (end == NULL || *end != '\0')
		return false;
	for (int i = 0; i < leaves->n; i++)
	{
		if (fields[i].kind != CS_VALUE_ARRAY)
			continue;
		leaves->escapes = true;
		leaves->leaves[i].text = fields[i].text;
		leaves->leaves[i].len = fields[i].len;
		(void) read_leaf(leaves, i, &fields[i]);
	}
	return true;
}

bool
cs_json_member_next(const char **json, const char **name, int *name_len, const char **value,
					int *value_len)
{
	const char *p = skip_spaces(*json);

	if (*p == '{' || *p == ',')
		p = skip_spaces(p + 1);
	if (*p != '"')
		return false;
	*name = p + 1;
	p = skip_string(p);
	*name_len = (int) (p - 1 - *name);
	p = skip_spaces(p);
	if (*p != ':')
		return false;
	*value = skip_spaces(p + 1);
	*json = skip_value(*value);
	*value_len = (int) (*json - *value);
	return true;
}

bool
cs_json_element_next(const char **json, const char **value, int *value_len)
{
	const char *p = skip_spaces(*json);

	if (*p == '[' || *p == ',')
		p = skip_spaces(p + 1);
	if (*p == ']' || *p == '\0')
		return false;
	*value = p;
	*json = skip_value(p);
	*value_len = (int) (*json - p);
	/* A bracket that closes another kind of container is no value, and would be met again. */
	return *value_len > 0 || *p == ',';
}

static void
add_name(LeafNode *node, const char *name, int leaf, bool bare)
{
	const char *dot = strchr(name, '.');
	int len = dot ? (int) (dot - name) : (int) strlen(name);
	LeafNode *child = find_child(node, name, len);

	if (child == NULL)
	{
		child = palloc0(sizeof(LeafNode));
		child->name = pnstrdup(name, len);
		child->len = len;
		child->leaf = -1;
		node->children = node->children
							 ? repalloc(node->children, sizeof(LeafNode *) * (node->nchildren + 1))
							 : palloc(sizeof(LeafNode *));
		node->children[node->nchildren++] = child;
	}
	if (dot)
		add_name(child, dot + 1, leaf, bare);
	else
	{
		child->leaf = leaf;
		child->bare = bare;
	}
}

static LeafNode *
find_child(LeafNode *node, const char *name, int len)
{
	for (int i = 0; i < node->nchildren; i++)
	{
		int at = (node->next + i) % node->nchildren;
		LeafNode *child = node->children[at];

		if (child->len == len && memcmp(child->name, name, len) == 0)
		{
			node->next = (at + 1) % node->nchildren;
			return child;
		}
	}
	return NULL;
}

static void
walk_object(CsJsonLeaves *leaves, LeafNode *node, const char *json)
{
	const char *name;
	const char *value;
	int name_len;
	int len;

	node->next = 0;
	while (cs_json_member_next(&json, &name, &name_len, &value, &len))
	{
		LeafNode *child;

		if (leaves->escapes && memchr(name, '\\', name_len))
			name = resolve_name(name, &name_len);
		child = find_dotted(node, &name, &name_len);
		if (child)
			take_value(leaves, child, name, name_len, value, len);
	}
}

/* *name and *len become what is left of the name behind a leaf; *len 0: nothing. */
static LeafNode *
find_dotted(LeafNode *node, const char **name, int *len)
{
	const char *end = *name + *len;

	while (*len > 0 && node && (node->leaf < 0 || node->bare))
	{
		const char *dot = memchr(*name, '.', *len);
		int part = dot ? (int) (dot - *name) : *len;

		node = find_child(node, *name, part);
		*name += dot ? part + 1 : part;
		*len = (int) (end - *name);
	}
	return node;
}

static void
take_value(CsJsonLeaves *leaves, LeafNode *node, const char *rest, int rest_len, const char *value,
		   int len)
{
	const char *element;
	int element_len;

	if (node->leaf >= 0 && !(node->bare && (*value == '{' || *value == '[')))
		add_piece(&leaves->leaves[node->leaf], rest, rest_len, value, len);
	else if (*value == '{')
		walk_object(leaves, node, value);
	else if (*value == '[')
		while (cs_json_element_next(&value, &element, &element_len))
			take_value(leaves, node, rest, rest_len, element, element_len);
}

/* A value more; what is left of its name makes it a member of an object.  Beside what is none, that is an element. */
static void
add_piece(Leaf *leaf, const char *rest, int rest_len, const char *value, int len)
{
	StringInfo pieces = &leaf->pieces;

	if (leaf->text && is_null(value))
		return;
	if (rest_len == 0 && (leaf->text == NULL || is_null(leaf->text)))
	{
		leaf->text = value;
		leaf->len = len;
		return;
	}
	if (rest_len > 0 && leaf->text && !is_null(leaf->text) && *leaf->text != '{')
	{
		value = psprintf("{\"%.*s\":%.*s}", rest_len, rest, len, value);
		len = (int) strlen(value);
		rest_len = 0;
	}
	if (rest_len > 0)
	{
		reopen(leaf, '{');
		if (strspn(pieces->data, "{ \t\r\n") < pieces->len)
			appendStringInfoChar(pieces, ',');
		appendStringInfo(pieces, "\"%.*s\":%.*s}", rest_len, rest, len, value);
	}
	else
	{
		reopen(leaf, '[');
		append_elements(pieces, value, len);
		appendStringInfoChar(pieces, ']');
	}
	leaf->text = pieces->data;
	leaf->len = pieces->len;
}

/* Makes pieces an array or object that lacks its end.  An array has what was there before; an object has it if that was one. */
static void
reopen(Leaf *leaf, char bracket)
{
	StringInfo pieces = &leaf->pieces;
	const char *text = leaf->text;

	if (text && text == pieces->data && *text == bracket)
	{
		pieces->data[--pieces->len] = '\0';
		return;
	}
	initStringInfo(pieces);
	if (bracket == '{' && text && *text == '{')
		appendBinaryStringInfo(pieces, text, leaf->len - 1);
	else
		appendStringInfoChar(pieces, bracket);
	if (bracket == '[')
		append_elements(pieces, text, leaf->len);
}

static void
append_elements(StringInfo to, const char *value, int len)
{
	const char *element;
	int element_len;

	if (*value != '[')
		appendStringInfo(to, "%s%.*s", to->len > 1 ? "," : "", len, value);
	else
		while (cs_json_element_next(&value, &element, &element_len))
			appendStringInfo(to, "%s%.*s", to->len > 1 ? "," : "", element_len, element);
}

/* False: it has what is no character. */
static bool
read_leaf(const CsJsonLeaves *leaves, int i, CsField *field)
{
	const Leaf *leaf = &leaves->leaves[i];
	const char *text = leaf->text;
	int len = leaf->len;

	field->kind = CS_VALUE_NULL;
	field->text = NULL;
	field->len = 0;
	if (text && leaf->kind != CS_LEAF_JSON && leaf->kind != CS_LEAF_ARRAY)
		unwrap(&text, &len, leaf->kind == CS_LEAF_POINT);
	if (text == NULL || is_null(text))
		return true;
	if (leaf->kind == CS_LEAF_ARRAY && *text != '[')
	{
		text = psprintf("[%.*s]", len, text);
		len += 2;
	}
	return set_field(field, text, len, leaves->escapes);
}

/* An array of one value is that value; *text NULL: there is none. */
static void
unwrap(const char **text, int *len, bool point)
{
	while (*text && **text == '[')
	{
		const char *json = *text;
		const char *element;
		const char *only = NULL;
		int element_len;
		int only_len = 0;

		if (point && strchr("-0123456789", *skip_spaces(*text + 1)))
			return;
		while (cs_json_element_next(&json, &element, &element_len))
		{
			if (is_null(element))
				continue;
			if (only)
				return;
			only = element;
			only_len = element_len;
		}
		*text = only;
		*len = only_len;
	}
}

static bool
set_field(CsField *field, const char *text, int len, bool escapes)
{
	if (*text == '"')
		return set_string(field, text + 1, len - 2, escapes);
	field->kind = *text == '{'					 ? CS_VALUE_OBJECT
				  : *text == '['				 ? CS_VALUE_ARRAY
				  : *text == 't' || *text == 'f' ? CS_VALUE_BOOL
												 : CS_VALUE_NUMBER;
	field->text = (char *) text;
	field->text[len] = '\0';
	field->len = len;
	return true;
}

static bool
set_string(CsField *field, const char *text, int len, bool escapes)
{
	StringInfoData plain;

	field->kind = CS_VALUE_STRING;
	field->text = (char *) text;
	field->text[len] = '\0';
	field->len = len;
	if (!escapes || memchr(text, '\\', len) == NULL)
		return true;
	if (!cs_json_escapes_are_valid(text, len) || GetDatabaseEncoding() != PG_UTF8)
		return false;
	initStringInfo(&plain);
	cs_json_unescape(text, len, &plain);
	field->text = plain.data;
	field->len = plain.len;
	return true;
}

static bool
is_null(const char *text)
{
	return *text == 'n';
}

static const char *
resolve_name(const char *name, int *len)
{
	StringInfoData plain;

	initStringInfo(&plain);
	cs_json_unescape(name, *len, &plain);
	*len = plain.len;
	return plain.data;
}

static const char *
skip_spaces(const char *p)
{
	while (cs_json_is_space(*p))
		p++;
	return p;
}

static const char *
skip_value(const char *p)
{
	int depth = 0;

	if (*p == '"')
		return skip_string(p);
	if (*p != '{' && *p != '[')
	{
		while (*p != ',' && *p != ']' && *p != '}' && *p != '\0' && !cs_json_is_space(*p))
			p++;
		return p;
	}
	do
	{
		if (*p == '"')
			p = skip_string(p);
		else
		{
			depth += (*p == '{' || *p == '[') - (*p == '}' || *p == ']');
			p++;
		}
	} while (depth > 0 && *p != '\0');
	return p;
}

/* From its opening quote to behind its closing one. */
static const char *
skip_string(const char *p)
{
	for (p++;; p += 2)
	{
		while (*p != '"' && *p != '\\' && *p != '\0')
			p++;
		if (*p == '"')
			return p + 1;
		if (*p == '\0' || p[1] == '\0')
			return p + strlen(p);
	}
}
