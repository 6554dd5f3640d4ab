/*
 * json_plain.c
 *		A quick way through records that have nothing but plain members.
 *
 * Most records of most sources are flat: names, strings, numbers, true, false,
 * null, and objects and arrays of these.  One pass over them decides and picks at once.  It accepts a part of
 * what the server's parser accepts, never more.
 */
#include "postgres.h"

#include "format/decoder_internal.h"
#include "format/json_plain.h"
#include "format/json_words.h"

/* Containers inside each other; more are the parser's business. */
#define MAX_PLAIN_DEPTH 32

static char *skip_spaces(char *p);
static char *read_member(char *p, JsonNames *names, bool *seen, CsField *fields, bool utf8,
						 char *after);
static char *read_cell(char *p, CsField *field, bool utf8);
static char *read_value(char *p, CsField *field, bool utf8, char **end);
static char *expect(char *p, const char *token);
static char *end_of_string(char *p, bool utf8, char **end);
static char *end_of_container(char *p, int depth);
static char *end_of_inner_value(char *p, int depth);
static char *end_of_scalar(char *p, CsField *field);
static char *end_of_number(char *p);
static char *end_of_digits(char *p);

char *
cs_json_plain_read(JsonNames *names, bool *seen, char *text, CsField *fields, bool utf8)
{
	char *p = expect(skip_spaces(text), "{");
	char after = ',';

	if (p == NULL)
		return NULL;
	if (*p == '}')
		return skip_spaces(p + 1);
	while (p != NULL && after == ',')
		p = read_member(p, names, seen, fields, utf8, &after);
	return p;
}

char *
cs_json_plain_read_array(char *text, CsField *fields, int n, bool utf8, int *count)
{
	char *p = expect(skip_spaces(text), "[");
	char *end;
	char after = ',';

	*count = 0;
	if (p == NULL)
		return NULL;
	if (*p == ']')
		return skip_spaces(p + 1);
	for (; after == ','; p = skip_spaces(p + 1))
	{
		if (*count == n || (p = read_value(p, &fields[*count], utf8, &end)) == NULL)
			return NULL;
		after = *p;
		if (after != ',' && after != ']')
			return NULL;
		*end = '\0';
		(*count)++;
	}
	return p;
}

char *
cs_json_plain_read_cells(char *text, CsField *fields, int n, bool utf8, int *count)
{
	char *p = expect(skip_spaces(text), "{\"f\":[");

	*count = 0;
	if (p == NULL)
		return NULL;
	if (*p == ']')
		return expect(p, "]}");
	for (;;)
	{
		if (*count == n || (p = read_cell(p, &fields[*count], utf8)) == NULL)
			return NULL;
		(*count)++;
		if (*p != ',')
			break;
		p = skip_spaces(p + 1);
	}
	return expect(p, "]}");
}

static inline char *
skip_spaces(char *p)
{
	while (cs_json_is_space(*p))
		p++;
	return p;
}

/* From a member's name to behind what follows it, a comma or brace, and spaces; NULL: not plain. */
static char *
read_member(char *p, JsonNames *names, bool *seen, CsField *fields, bool utf8, char *after)
{
	JsonNode *node;
	CsField field;
	char *end;
	char *name = p + 1;

	if (*p != '"' || (p = end_of_string(name, utf8, &end)) == NULL)
		return NULL;
	node = cs_json_names_find(names->root, name, (int) (end - name));
	p = expect(skip_spaces(p + 1), ":");
	if (p == NULL || (p = read_value(p, &field, utf8, &end)) == NULL)
		return NULL;
	*after = *p;
	if (*after != ',' && *after != '}')
		return NULL;
	*end = '\0';
	for (int column = node ? node->exact : -1; column >= 0; column = names->same[column])
	{
		fields[column] = field;
		seen[column] = true;
	}
	return skip_spaces(p + 1);
}

/* {"v": value}, to what follows it. */
static char *
read_cell(char *p, CsField *field, bool utf8)
{
	char *end;

	p = expect(p, "{\"v\":");
	if (p == NULL || (p = read_value(p, field, utf8, &end)) == NULL || *p != '}')
		return NULL;
	*end = '\0';
	return skip_spaces(p + 1);
}

/* A value and the spaces behind it; the NUL that ends it is to be put at *end once the byte at the result
 * is known, which may be the same.  NULL: not plain. */
static char *
read_value(char *p, CsField *field, bool utf8, char **end)
{
	char *start = p;

	if (*p == '"')
	{
		start++;
		field->kind = CS_VALUE_STRING;
		p = end_of_string(start, utf8, end);
		if (p == NULL)
			return NULL;
		p++;
	}
	else if (*p == '{' || *p == '[')
	{
		field->kind = *p == '{' ? CS_VALUE_OBJECT : CS_VALUE_ARRAY;
		p = *end = end_of_container(p, 1);
		if (p == NULL)
			return NULL;
	}
	else
	{
		p = *end = end_of_scalar(p, field);
		if (p == NULL)
			return NULL;
	}
	field->text = field->kind == CS_VALUE_NULL ? NULL : start;
	field->len = field->kind == CS_VALUE_NULL ? 0 : (int) (*end - start);
	return skip_spaces(p);
}

/* Behind the bytes of token and the spaces around its brackets and colons; NULL: something else. */
static char *
expect(char *p, const char *token)
{
	for (; *token; token++)
	{
		if (*p++ != *token)
			return NULL;
		/* All of them but letters and quotes: brackets, and the colon. */
		if ((*token != '"' && (*token < 'a' || *token > 'z')) || token[1] == ':')
			p = skip_spaces(p);
	}
	return p;
}

/* The closing quote of the string whose content begins at p; *end is where the content ends once its
 * escapes are resolved.  NULL: not plain. */
static inline char *
end_of_string(char *p, bool utf8, char **end)
{
	char *start = p;

	for (;; p += sizeof(uint64))
	{
		uint64 word;

		memcpy(&word, p, sizeof(word));
		if (CS_ANY_BELOW(word, ' ') | CS_ANY_ZERO(word ^ CS_BYTES('"')) |
			CS_ANY_ZERO(word ^ CS_BYTES('\\')))
			break;
	}
	while ((unsigned char) *p >= ' ' && *p != '"' && *p != '\\')
		p++;
	*end = p;
	if (*p == '"')
		return p;
	return *p == '\\' && utf8 ? cs_json_unescape_in_place(start, p, end) : NULL;
}

/* Behind an object or array, whose text stays as it is; NULL: not plain, as with escapes. */
static char *
end_of_container(char *p, int depth)
{
	bool object = *p == '{';
	char close = object ? '}' : ']';
	char *end;

	p = skip_spaces(p + 1);
	if (*p == close)
		return p + 1;
	if (depth > MAX_PLAIN_DEPTH)
		return NULL;
	for (;;)
	{
		if (object)
		{
			if (*p != '"' || (p = end_of_string(p + 1, false, &end)) == NULL)
				return NULL;
			p = skip_spaces(p + 1);
			if (*p != ':')
				return NULL;
			p = skip_spaces(p + 1);
		}
		if ((p = end_of_inner_value(p, depth)) == NULL)
			return NULL;
		p = skip_spaces(p);
		if (*p == close)
			return p + 1;
		if (*p != ',')
			return NULL;
		p = skip_spaces(p + 1);
	}
}

static char *
end_of_inner_value(char *p, int depth)
{
	CsField ignored;
	char *end;

	if (*p == '"')
	{
		p = end_of_string(p + 1, false, &end);
		return p ? p + 1 : NULL;
	}
	return *p == '{' || *p == '[' ? end_of_container(p, depth + 1) : end_of_scalar(p, &ignored);
}

/* Behind a number or literal; NULL: it is none. */
static char *
end_of_scalar(char *p, CsField *field)
{
	field->kind = CS_VALUE_BOOL;
	switch (*p)
	{
		case 't':
			return strncmp(p, "true", 4) == 0 ? p + 4 : NULL;
		case 'f':
			return strncmp(p, "false", 5) == 0 ? p + 5 : NULL;
		case 'n':
			field->kind = CS_VALUE_NULL;
			return strncmp(p, "null", 4) == 0 ? p + 4 : NULL;
		default:
			field->kind = CS_VALUE_NUMBER;
			return end_of_number(p);
	}
}

/* RFC 8259, 6. */
static char *
end_of_number(char *p)
{
	if (*p == '-')
		p++;
	if (*p == '0')
		p++;
	else if ((p = end_of_digits(p)) == NULL)
		return NULL;
	if (*p == '.' && (p = end_of_digits(p + 1)) == NULL)
		return NULL;
	if (*p == 'e' || *p == 'E')
	{
		p++;
		if (*p == '+' || *p == '-')
			p++;
		p = end_of_digits(p);
	}
	return p;
}

/* NULL: there is none. */
static char *
end_of_digits(char *p)
{
	char *start = p;

	while (*p >= '0' && *p <= '9')
		p++;
	return p > start ? p : NULL;
}
