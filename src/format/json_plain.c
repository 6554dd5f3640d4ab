/*
 * json_plain.c
 *		A quick way through records that have nothing but plain members.
 *
 * Most records of most sources are flat: names, strings without escapes,
 * numbers, true, false, null.  One pass over them decides and picks at once.
 * It accepts a part of what the server's parser accepts, never more.
 */
#include "postgres.h"

#include "format/decoder_internal.h"
#include "format/json_plain.h"

/* All eight bytes of a word at once (Hacker's Delight, 6-1): is one of them below n, or zero? */
#define BYTES(b) (UINT64CONST(0x0101010101010101) * (b))
#define ANY_BELOW(word, n) (((word) -BYTES(n)) & ~(word) &BYTES(0x80))
#define ANY_ZERO(word) ANY_BELOW(word, 1)

static char *skip_spaces(char *p);
static char *read_member(char *p, JsonNames *names, bool *seen, CsField *fields, bool *done);
static char *end_of_string(char *p);
static char *end_of_scalar(char *p, CsField *field);
static char *end_of_number(char *p);
static char *end_of_digits(char *p);

bool
cs_json_plain_read(JsonNames *names, bool *seen, char *text, CsField *fields)
{
	char *p = skip_spaces(text);
	bool done = false;

	if (*p != '{')
		return false;
	p = skip_spaces(p + 1);
	if (*p == '}')
		return *skip_spaces(p + 1) == '\0';
	while (p != NULL && !done)
		p = read_member(p, names, seen, fields, &done);
	return p != NULL && *skip_spaces(p) == '\0';
}

static inline char *
skip_spaces(char *p)
{
	while (cs_json_is_space(*p))
		p++;
	return p;
}

/* From a member's name to behind the comma and space, or, done, the brace that follow it; NULL: not
 * plain. */
static char *
read_member(char *p, JsonNames *names, bool *seen, CsField *fields, bool *done)
{
	JsonNode *node;
	CsField field;
	char *end;
	char after;

	if (*p != '"' || (end = end_of_string(++p)) == NULL)
		return NULL;
	node = cs_json_names_find(names->root, p, (int) (end - p));
	p = skip_spaces(end + 1);
	if (*p != ':')
		return NULL;
	p = skip_spaces(p + 1);
	if (*p == '"')
	{
		field.kind = CS_VALUE_STRING;
		field.text = ++p;
		end = end_of_string(p);
		if (end == NULL)
			return NULL;
		field.len = (int) (end - p);
		p = skip_spaces(end + 1);
	}
	else
	{
		field.text = p;
		end = end_of_scalar(p, &field);
		if (end == NULL)
			return NULL;
		field.len = (int) (end - p);
		p = skip_spaces(end);
	}
	after = *p;
	if (after != ',' && after != '}')
		return NULL;
	*end = '\0';
	if (field.kind == CS_VALUE_NULL)
	{
		field.text = NULL;
		field.len = 0;
	}
	for (int column = node ? node->exact : -1; column >= 0; column = names->same[column])
	{
		fields[column] = field;
		seen[column] = true;
	}
	*done = after == '}';
	return *done ? p + 1 : skip_spaces(p + 1);
}

/* The closing quote of the string that p is in; NULL if something else has to be looked at before. */
static inline char *
end_of_string(char *p)
{
	for (;; p += sizeof(uint64))
	{
		uint64 word;

		memcpy(&word, p, sizeof(word));
		if (ANY_BELOW(word, ' ') | ANY_ZERO(word ^ BYTES('"')) | ANY_ZERO(word ^ BYTES('\\')))
			break;
	}
	while ((unsigned char) *p >= ' ' && *p != '"' && *p != '\\')
		p++;
	return *p == '"' ? p : NULL;
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
