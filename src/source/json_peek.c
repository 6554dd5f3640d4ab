/*
 * json_peek.c
 *		A look at a member of a JSON text that nobody has proven yet.
 *
 * The server's own parser throws over what it does not like; jansson does not.
 */
#include "postgres.h"

#include <jansson.h>

#include "format/json_leaves.h"
#include "source/json_peek.h"

/* Envelopes are small; of a large one a guess is not worth the time. */
#define MAX_JSON (64 * 1024)
#define MAX_VALUE 4096
#define MAX_NAME 256

static const json_t *find(const json_t *value, const char *pointer);
static const char *next_name(const char *pointer, char *name);
static const json_t *member(const json_t *value, const char *name);
static bool text_of(const json_t *value, char *text);

/* jansson allocates with malloc: nothing here can throw before its release. */
char *
cs_json_peek(const char *json, const char *pointer)
{
	char text[MAX_VALUE];
	bool found;
	json_t *root;

	if (json == NULL || strnlen(json, MAX_JSON) == MAX_JSON)
		return NULL;
	root = json_loads(json, 0, NULL);
	found = text_of(find(root, pointer), text);
	json_decref(root);
	return found ? pstrdup(text) : NULL;
}

/* Inside of a text, quotes have backslashes before them. */
char *
cs_json_peek_last(const char *end, const char *name, const char **rest)
{
	char *quoted = psprintf("\"%s\"", name);
	const char *value;
	int name_len;
	int len;

	*rest = NULL;
	for (const char *at = end ? strstr(end, quoted) : NULL; at; at = strstr(at + 1, quoted))
		*rest = at;
	if (*rest == NULL || !cs_json_member_next(rest, &name, &name_len, &value, &len))
		return NULL;
	return pnstrdup(value, len);
}

char *
cs_json_peek_behind_rows(const char *end, const char *name)
{
	const char *rest;
	char *text = cs_json_peek_last(end, name, &rest);
	size_t len = text ? strlen(text) : 0;

	if (len < 3 || text[0] != '"' || text[len - 1] != '"' || strchr(text, '\\') ||
		strchr(rest, ']'))
		return NULL;
	text[len - 1] = '\0';
	return text + 1;
}

static const json_t *
find(const json_t *value, const char *pointer)
{
	char name[MAX_NAME];

	while (value != NULL && *pointer == '/')
	{
		pointer = next_name(pointer + 1, name);
		value = pointer ? member(value, name) : NULL;
	}
	return value;
}

/* Behind the name; NULL: it is too long. */
static const char *
next_name(const char *pointer, char *name)
{
	size_t len = 0;

	for (; *pointer != '\0' && *pointer != '/'; pointer++)
	{
		if (len == MAX_NAME - 1)
			return NULL;
		name[len++] = *pointer;
		if (*pointer == '~' && (pointer[1] == '0' || pointer[1] == '1'))
			name[len - 1] = *++pointer == '0' ? '~' : '/';
	}
	name[len] = '\0';
	return pointer;
}

static const json_t *
member(const json_t *value, const char *name)
{
	size_t index = 0;

	if (!json_is_array(value))
		return json_object_get(value, name);
	if (*name == '\0' || strspn(name, "0123456789") != strlen(name) || strlen(name) > 9)
		return NULL;
	for (; *name != '\0'; name++)
		index = index * 10 + (*name - '0');
	return json_array_get(value, index);
}

static bool
text_of(const json_t *value, char *text)
{
	if (json_is_string(value))
		return strlcpy(text, json_string_value(value), MAX_VALUE) < MAX_VALUE;
	if (json_is_integer(value))
		return snprintf(text, MAX_VALUE, "%" JSON_INTEGER_FORMAT, json_integer_value(value)) > 0;
	if (json_is_boolean(value))
		return strlcpy(text, json_is_true(value) ? "true" : "false", MAX_VALUE) < MAX_VALUE;
	return false;
}
