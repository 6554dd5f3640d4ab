/*
 * databricks_nested.c
 *		Databricks' ARRAYs, MAPs and STRUCTs, in whose JSON every value is a text.
 *
 * The type's own text ("ARRAY<STRUCT<a: INT NOT NULL, b: STRING>>") says which of
 * them are numbers and booleans; those lose their quotes, with all their digits.
 * What JSON has no number for (NaN, Infinity) stays a text, as does what is not of
 * the form that the type promises.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/json.h"

#include "source/cells.h"
#include "source/databricks.h"

typedef enum TypeKind
{
	TYPE_TEXT, /* and whatever is left as it is */
	TYPE_NUMBER,
	TYPE_BOOLEAN,
	TYPE_ARRAY, /* one member */
	TYPE_MAP,	/* two: key, value */
	TYPE_STRUCT
} TypeKind;

/* In the session's context. */
typedef struct NestedType
{
	TypeKind kind;
	int nmembers;
	struct NestedType **members;
	char **names; /* of a STRUCT's members, as JSON strings */
} NestedType;

typedef struct Conversion
{
	const char *p; /* what is to be read */
	StringInfoData json;
} Conversion;

static NestedType *parse_type(const char **p);
static TypeKind kind_of(const char *name, size_t len);
static void parse_members(NestedType *type, const char **p);
static char *parse_name(const char **p);
static void add_member(NestedType *type, NestedType *member, char *name);
static void skip_to_end_of_type(const char **p);
static NestedType *entries_of(const NestedType *map);
static Datum read_nested(CsCell *cell, const CsField *field, char **why);
static void convert(Conversion *conversion, const NestedType *type);
static void convert_members(Conversion *conversion, const NestedType *type);
static const NestedType *member_of(const NestedType *type, int number, const char *name, int len);
static void convert_scalar(Conversion *conversion, const NestedType *type);
static void copy_value(Conversion *conversion);
static const char *end_of_string(const char *p);
static void copy_spaces(Conversion *conversion);

bool
cs_databricks_set_nested(CsColumn *column, CsCell *cell, const char *text)
{
	NestedType *type = parse_type(&text);

	if (type == NULL || type->kind < TYPE_ARRAY || *text != '\0')
		return false;
	cs_cell_set(column, cell, JSONBOID, -1, read_nested);
	cell->fields = type;
	return true;
}

/* NULL: it is none. */
static NestedType *
parse_type(const char **p)
{
	NestedType *type = palloc0(sizeof(NestedType));
	size_t len;

	check_stack_depth();
	*p += strspn(*p, " ");
	len = strspn(*p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");
	if (len == 0)
		return NULL;
	type->kind = kind_of(*p, len);
	*p += len;
	if (type->kind < TYPE_ARRAY)
	{
		skip_to_end_of_type(p);
		return type;
	}
	if (**p != '<')
		return NULL;
	(*p)++;
	parse_members(type, p);
	if (**p != '>' || (type->kind == TYPE_ARRAY && type->nmembers != 1) ||
		(type->kind == TYPE_MAP && type->nmembers != 2))
		return NULL;
	(*p)++;
	skip_to_end_of_type(p);
	return type;
}

static TypeKind
kind_of(const char *name, size_t len)
{
	static const struct
	{
		const char *name;
		TypeKind kind;
	} kinds[] = {
		{ "TINYINT", TYPE_NUMBER },	 { "BYTE", TYPE_NUMBER },	{ "SMALLINT", TYPE_NUMBER },
		{ "SHORT", TYPE_NUMBER },	 { "INT", TYPE_NUMBER },	{ "INTEGER", TYPE_NUMBER },
		{ "BIGINT", TYPE_NUMBER },	 { "LONG", TYPE_NUMBER },	{ "FLOAT", TYPE_NUMBER },
		{ "REAL", TYPE_NUMBER },	 { "DOUBLE", TYPE_NUMBER }, { "DECIMAL", TYPE_NUMBER },
		{ "BOOLEAN", TYPE_BOOLEAN }, { "ARRAY", TYPE_ARRAY },	{ "MAP", TYPE_MAP },
		{ "STRUCT", TYPE_STRUCT },
	};

	for (int i = 0; i < (int) lengthof(kinds); i++)
		if (strlen(kinds[i].name) == len && pg_strncasecmp(kinds[i].name, name, len) == 0)
			return kinds[i].kind;
	return TYPE_TEXT;
}

/* Up to what does not belong to them, which should be the '>'. */
static void
parse_members(NestedType *type, const char **p)
{
	while (**p != '>' && **p != '\0')
	{
		char *name = type->kind == TYPE_STRUCT ? parse_name(p) : NULL;
		NestedType *member = type->kind == TYPE_STRUCT && name == NULL ? NULL : parse_type(p);

		if (member == NULL)
		{
			*p = "";
			return;
		}
		add_member(type, member, name);
		if (**p != ',')
			return;
		*p += 1 + strspn(*p + 1, " ");
	}
}

/* "name: " or "`na``me`: ", as a JSON string; NULL: there is none. */
static char *
parse_name(const char **p)
{
	StringInfoData name;
	StringInfoData json;

	initStringInfo(&name);
	initStringInfo(&json);
	*p += strspn(*p, " ");
	if (**p == '`')
	{
		for ((*p)++; **p != '\0' && (**p != '`' || (*p)[1] == '`'); (*p)++)
		{
			*p += **p == '`';
			appendStringInfoChar(&name, **p);
		}
		*p += **p == '`';
	}
	else
	{
		size_t len = strcspn(*p, ":<>,");

		appendBinaryStringInfo(&name, *p, (int) len);
		*p += len;
	}
	if (**p != ':')
		return NULL;
	*p += 1 + strspn(*p + 1, " ");
	escape_json(&json, name.data);
	return json.data;
}

static void
add_member(NestedType *type, NestedType *member, char *name)
{
	int n = type->nmembers++;

	type->members = n == 0 ? palloc(sizeof(NestedType *))
						   : repalloc(type->members, sizeof(NestedType *) * (n + 1));
	type->names = n == 0 ? palloc(sizeof(char *)) : repalloc(type->names, sizeof(char *) * (n + 1));
	type->members[n] = member;
	type->names[n] = name;
}

/* Behind "(10,2)", " YEAR TO MONTH", " COLLATE x", " NOT NULL" and what else there may be. */
static void
skip_to_end_of_type(const char **p)
{
	int depth = 0;

	for (; **p != '\0' && (depth > 0 || strchr(",>", **p) == NULL); (*p)++)
		depth += (**p == '(') - (**p == ')');
}

static Datum
read_nested(CsCell *cell, const CsField *field, char **why)
{
	Conversion conversion = { .p = field->text };
	CsField converted = { CS_VALUE_STRING, NULL, 0 };

	initStringInfo(&conversion.json);
	convert(&conversion, cell->fields);
	appendStringInfoString(&conversion.json, conversion.p);
	converted.text = conversion.json.data;
	converted.len = conversion.json.len;
	return cs_cell_json(cell, &converted, why);
}

/* One value.  The type bounds how deep this goes; that all is JSON is proven later. */
static void
convert(Conversion *conversion, const NestedType *type)
{
	copy_spaces(conversion);
	if (*conversion->p == '{' && (type->kind == TYPE_MAP || type->kind == TYPE_STRUCT))
		convert_members(conversion, type);
	else if (*conversion->p == '[' && type->kind == TYPE_ARRAY)
		convert_members(conversion, type);
	else if (*conversion->p == '[' && type->kind == TYPE_MAP)
		convert_members(conversion, entries_of(type));
	else if (*conversion->p == '"' && type->kind < TYPE_ARRAY)
		convert_scalar(conversion, type);
	else
		copy_value(conversion);
}

/* A MAP may come as an array of its entries. */
static NestedType *
entries_of(const NestedType *map)
{
	NestedType *entry = palloc0(sizeof(NestedType));
	NestedType *entries = palloc0(sizeof(NestedType));

	entry->kind = TYPE_STRUCT;
	add_member(entry, map->members[0], pstrdup("\"key\""));
	add_member(entry, map->members[1], pstrdup("\"value\""));
	entries->kind = TYPE_ARRAY;
	add_member(entries, entry, NULL);
	return entries;
}

/* Of an array or an object, with what is around them. */
static void
convert_members(Conversion *conversion, const NestedType *type)
{
	char close = *conversion->p == '{' ? '}' : ']';

	appendStringInfoChar(&conversion->json, *conversion->p++);
	copy_spaces(conversion);
	for (int i = 0; *conversion->p != close && *conversion->p != '\0'; i++)
	{
		const NestedType *member = type->members[type->nmembers - 1];

		if (close == '}')
		{
			const char *name = conversion->p;

			copy_value(conversion);
			if (type->kind == TYPE_STRUCT)
				member = member_of(type, i, name, (int) (conversion->p - name));
			copy_spaces(conversion);
			if (*conversion->p != ':')
				return;
			appendStringInfoChar(&conversion->json, *conversion->p++);
		}
		convert(conversion, member);
		copy_spaces(conversion);
		if (*conversion->p != ',' && *conversion->p != close)
			return;
		appendStringInfoChar(&conversion->json, *conversion->p);
		if (*conversion->p++ == close)
			return;
		copy_spaces(conversion);
	}
	if (*conversion->p == close)
		appendStringInfoChar(&conversion->json, *conversion->p++);
}

/* They come in their order; name is a JSON string. */
static const NestedType *
member_of(const NestedType *type, int number, const char *name, int len)
{
	static const NestedType unknown = { .kind = TYPE_TEXT };

	for (int i = 0; i < type->nmembers; i++)
	{
		int at = (number + i) % type->nmembers;

		if ((int) strlen(type->names[at]) == len && memcmp(type->names[at], name, len) == 0)
			return type->members[at];
	}
	return &unknown;
}

static void
convert_scalar(Conversion *conversion, const NestedType *type)
{
	const char *text = conversion->p + 1;
	const char *end = end_of_string(conversion->p);
	size_t len = end - text - 1;
	bool plain = false;

	if (*conversion->p == '"' && end[-1] == '"' && end > text)
	{
		plain = type->kind == TYPE_NUMBER && cs_text_is_json_number(text, len);
		plain |= type->kind == TYPE_BOOLEAN && ((len == 4 && memcmp(text, "true", 4) == 0) ||
												(len == 5 && memcmp(text, "false", 5) == 0));
	}
	if (plain)
		appendBinaryStringInfo(&conversion->json, text, (int) len);
	else
		appendBinaryStringInfo(&conversion->json, conversion->p, (int) (end - conversion->p));
	conversion->p = end;
}

/* Whatever it is, to its end. */
static void
copy_value(Conversion *conversion)
{
	const char *start = conversion->p;
	const char *p = start;
	int depth = 0;

	while (*p != '\0')
	{
		if (depth == 0 && p > start && strchr(",:]} \t\r\n", *p))
			break;
		if (*p == '"')
		{
			p = end_of_string(p);
			continue;
		}
		if (*p == ']' || *p == '}')
			depth--;
		depth += *p == '[' || *p == '{';
		p++;
	}
	appendBinaryStringInfo(&conversion->json, start, (int) (p - start));
	conversion->p = p;
}

/* Behind its closing quote, or at the end of all. */
static const char *
end_of_string(const char *p)
{
	for (p++; *p != '\0' && *p != '"'; p++)
		if (*p == '\\' && p[1] != '\0')
			p++;
	return *p == '"' ? p + 1 : p;
}

static void
copy_spaces(Conversion *conversion)
{
	size_t len = strspn(conversion->p, " \t\r\n");

	appendBinaryStringInfo(&conversion->json, conversion->p, (int) len);
	conversion->p += len;
}
