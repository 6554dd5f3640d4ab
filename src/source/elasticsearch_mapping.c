/*
 * elasticsearch_mapping.c
 *		The columns of an index, an alias or a pattern: one for each field of
 *		its mappings.
 *
 * Fields of objects are columns by their dotted names; what has no such fields, and nested objects,
 * are jsonb.  Where indices disagree, the column takes the values of all of them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "source/elasticsearch.h"

/* Objects inside each other. */
#define MAX_DEPTH 100

typedef struct MappedField
{
	char *name;
	const char *type; /* NULL: it is not read */
	char *formats;	  /* of a date; NULL: the default */
	char *path;		  /* of an alias */
	bool is_array;	  /* by option */
	bool is_beside;	  /* of a.b: a is a value in the same index, which has no subobjects */
	bool is_bare;	  /* of a: so it is */
} MappedField;

typedef struct MappedFields
{
	ElasticSession *session;
	int n;
	int room;
	MappedField *items;
	json_t *positions; /* name: position */
} MappedFields;

typedef enum TypeFamily
{
	FAMILY_OTHER,
	FAMILY_INTEGER,
	FAMILY_FLOAT,
	FAMILY_TEXT,
	FAMILY_DATE
} TypeFamily;

static void collect(MappedFields *fields, const json_t *properties, const char *prefix,
					const json_t *source, int depth);
static void collect_field(MappedFields *fields, const char *name, const json_t *field,
						  const json_t *source, int depth);
static bool has_outer(const json_t *properties, const char *key);
static bool have_vectors(const json_t *properties);
static bool is_in_source(const json_t *source, const char *name);
static bool matches_any(const json_t *patterns, const char *name);
static bool matches(const char *pattern, const char *name);
static MappedField *add_field(MappedFields *fields, const char *name, const char *type,
							  const char *formats);
static MappedField *find_field(MappedFields *fields, const char *name);
static void merge(MappedField *field, const char *type, const char *formats);
static TypeFamily family(const char *type, int *width);
static void drop_inner(MappedFields *fields);
static void follow_aliases(MappedFields *fields);
static void set_columns(MappedFields *fields, bool several);
static void set_own_column(ElasticSession *session, int at, const char *name);

void
cs_elastic_mapping_set(ElasticSession *session, const json_t *mappings)
{
	MappedFields fields = { .session = session, .room = 64 };
	const char *index;
	json_t *entry;

	if (json_object_size(mappings) == 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("there is no index \"%s\" at the source", session->index),
						errhint("Check the name: a pattern must match one index at least.")));
	fields.items = palloc(sizeof(MappedField) * fields.room);
	fields.positions = cs_json_parse("{}", 2);
	session->has_vectors = false;
	json_object_foreach((json_t *) mappings, index, entry)
	{
		const json_t *mapping = json_object_get(entry, "mappings");
		const json_t *source = json_object_get(mapping, "_source");

		if (json_is_false(json_object_get(source, "enabled")))
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("index \"%s\" does not keep its documents", index),
							errdetail("Its mapping disables _source."),
							errhint("Read it with an SQL query.")));
		collect(&fields, json_object_get(mapping, "properties"), "", source, 0);
		session->has_vectors |= have_vectors(json_object_get(mapping, "properties"));
	}
	drop_inner(&fields);
	follow_aliases(&fields);
	set_columns(&fields, json_object_size(mappings) > 1);
	cs_elastic_comparable_set(session, mappings);
}

static void
collect(MappedFields *fields, const json_t *properties, const char *prefix, const json_t *source,
		int depth)
{
	const char *key;
	json_t *field;

	if (depth > MAX_DEPTH)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("the mapping of index \"%s\" is more than %d objects deep",
							   fields->session->index, MAX_DEPTH),
						errhint("Name an object above them in option \"json_fields\".")));
	json_object_foreach((json_t *) properties, key, field)
	{
		char *name = psprintf("%s%s", prefix, key);

		collect_field(fields, name, field, source, depth);
		if (has_outer(properties, key) && find_field(fields, name))
			find_field(fields, name)->is_beside = true;
	}
}

/* Only where objects are no fields, names have dots. */
static bool
has_outer(const json_t *properties, const char *key)
{
	for (const char *dot = strchr(key, '.'); dot; dot = strchr(dot + 1, '.'))
		if (json_object_get(properties, pnstrdup(key, dot - key)))
			return true;
	return false;
}

static void
collect_field(MappedFields *fields, const char *name, const json_t *field, const json_t *source,
			  int depth)
{
	const char *type = cs_json_text(field, "type");
	const json_t *properties = json_object_get(field, "properties");
	bool is_array = cs_elastic_is_listed(fields->session, "array_fields", name);

	if (!is_in_source(source, name))
		return;
	if (is_array || cs_elastic_is_listed(fields->session, "json_fields", name))
		add_field(fields, name, "object", NULL)->is_array = is_array;
	else if (type && strcmp(type, "alias") == 0)
		add_field(fields, name, "alias", NULL)->path = cs_json_text(field, "path");
	else if ((type == NULL || strcmp(type, "object") == 0) && json_object_size(properties) > 0)
		collect(fields, properties, psprintf("%s.", name), source, depth + 1);
	else
		(void) add_field(fields, name, type ? type : "object", cs_json_text(field, "format"));
}

/* Those in nested objects, too. */
static bool
have_vectors(const json_t *properties)
{
	static const char *const types[] = { "dense_vector", "sparse_vector", "rank_vectors" };
	const char *key;
	json_t *field;

	check_stack_depth();
	json_object_foreach((json_t *) properties, key, field)
	{
		const char *type = json_string_value(json_object_get(field, "type"));

		for (int i = 0; type && i < (int) lengthof(types); i++)
			if (strcmp(type, types[i]) == 0)
				return true;
		if (have_vectors(json_object_get(field, "properties")))
			return true;
	}
	return false;
}

/* The mapping may leave fields out of what is kept. */
static bool
is_in_source(const json_t *source, const char *name)
{
	const json_t *includes = json_object_get(source, "includes");
	const json_t *excludes = json_object_get(source, "excludes");

	return (json_array_size(includes) == 0 || matches_any(includes, name)) &&
		   !matches_any(excludes, name);
}

static bool
matches_any(const json_t *patterns, const char *name)
{
	for (size_t i = 0; i < json_array_size(patterns); i++)
	{
		const char *pattern = json_string_value(json_array_get(patterns, i));

		if (pattern && matches(pattern, name))
			return true;
	}
	return false;
}

/* With *; what an object's name matches, its fields match, too. */
static bool
matches(const char *pattern, const char *name)
{
	for (; *pattern && *pattern != '*'; pattern++, name++)
		if (*pattern != *name)
			return false;
	if (*pattern == '\0')
		return *name == '\0' || *name == '.';
	for (;; name++)
	{
		if (matches(pattern + 1, name))
			return true;
		if (*name == '\0')
			return false;
	}
}

static MappedField *
add_field(MappedFields *fields, const char *name, const char *type, const char *formats)
{
	MappedField *field = find_field(fields, name);

	if (field)
	{
		merge(field, type, formats);
		return field;
	}
	if (fields->n == fields->room)
	{
		fields->room *= 2;
		fields->items = repalloc(fields->items, sizeof(MappedField) * fields->room);
	}
	json_object_set_new(fields->positions, name, json_integer(fields->n));
	field = &fields->items[fields->n++];
	*field = (MappedField){ 0 };
	field->name = pstrdup(name);
	field->type = type;
	field->formats = formats ? pstrdup(formats) : NULL;
	return field;
}

static MappedField *
find_field(MappedFields *fields, const char *name)
{
	const json_t *position = json_object_get(fields->positions, name);

	return position ? &fields->items[json_integer_value(position)] : NULL;
}

/* Another index has it, too. */
static void
merge(MappedField *field, const char *type, const char *formats)
{
	int width;
	int other_width;
	TypeFamily one = family(field->type, &width);
	TypeFamily other = family(type, &other_width);

	if (one == FAMILY_DATE && other == FAMILY_DATE)
	{
		const char *ours =
			field->formats ? field->formats : "strict_date_optional_time||epoch_millis";
		const char *theirs = formats ? formats : "strict_date_optional_time||epoch_millis";

		if (strstr(ours, theirs) == NULL)
			field->formats = psprintf("%s||%s", ours, theirs);
	}
	else if (strcmp(field->type, type) == 0)
		return;
	else if (one == other && one == FAMILY_TEXT)
		field->type = "keyword";
	else if (one == other && one == FAMILY_INTEGER)
		field->type = other_width > width ? type : field->type;
	else if (one == other && one == FAMILY_FLOAT)
		field->type = "double";
	else if ((one == FAMILY_INTEGER || one == FAMILY_FLOAT || strcmp(field->type, "number") == 0) &&
			 (other == FAMILY_INTEGER || other == FAMILY_FLOAT))
		field->type = "number";
	else
		field->type = "conflict";
}

/* width: which of a family's types has all values of the others. */
static TypeFamily
family(const char *type, int *width)
{
	static const struct
	{
		const char *name;
		TypeFamily family;
	} types[] = {
		{ "byte", FAMILY_INTEGER },
		{ "short", FAMILY_INTEGER },
		{ "integer", FAMILY_INTEGER },
		{ "long", FAMILY_INTEGER },
		{ "unsigned_long", FAMILY_INTEGER },
		{ "half_float", FAMILY_FLOAT },
		{ "float", FAMILY_FLOAT },
		{ "double", FAMILY_FLOAT },
		{ "scaled_float", FAMILY_FLOAT },
		{ "keyword", FAMILY_TEXT },
		{ "text", FAMILY_TEXT },
		{ "constant_keyword", FAMILY_TEXT },
		{ "wildcard", FAMILY_TEXT },
		{ "match_only_text", FAMILY_TEXT },
		{ "version", FAMILY_TEXT },
		{ "ip", FAMILY_TEXT },
		{ "date", FAMILY_DATE },
		{ "date_nanos", FAMILY_DATE },
	};

	for (int i = 0; i < (int) lengthof(types); i++)
	{
		if (strcmp(types[i].name, type) == 0)
		{
			*width = i;
			return types[i].family;
		}
	}
	*width = 0;
	return FAMILY_OTHER;
}

/* What is an object here and a value there is taken as it is; but both may be fields of one index. */
static void
drop_inner(MappedFields *fields)
{
	for (int i = 0; i < fields->n; i++)
	{
		MappedField *field = &fields->items[i];
		int width;

		for (const char *dot = strchr(field->name, '.'); dot; dot = strchr(dot + 1, '.'))
		{
			MappedField *outer = find_field(fields, pnstrdup(field->name, dot - field->name));

			if (outer == NULL || strcmp(outer->type, "alias") == 0)
				continue;
			if ((field->is_beside || outer->is_bare) && family(outer->type, &width) != FAMILY_OTHER)
			{
				outer->is_bare = true;
				continue;
			}
			outer->type = "conflict";
			field->type = NULL;
			break;
		}
	}
}

static void
follow_aliases(MappedFields *fields)
{
	for (int i = 0; i < fields->n; i++)
	{
		MappedField *field = &fields->items[i];
		const MappedField *target;

		if (field->type == NULL || strcmp(field->type, "alias") != 0)
			continue;
		target = field->path ? find_field(fields, field->path) : NULL;
		field->type = target ? target->type : NULL;
		if (field->type == NULL)
			continue;
		field->formats = target->formats;
		field->is_array = target->is_array;
		field->is_bare = target->is_bare;
	}
}

static void
set_columns(MappedFields *fields, bool several)
{
	ElasticSession *session = fields->session;
	CsServiceSession *base = &session->base;
	int most = fields->n + 2;
	int n = 0;

	base->columns = palloc0(sizeof(CsColumn) * most);
	base->cells = palloc0(sizeof(CsCell) * most);
	session->paths = palloc0(sizeof(char *) * most);
	session->kinds = palloc0(sizeof(CsLeafKind) * most);
	set_own_column(session, n++, "_id");
	if (several)
		set_own_column(session, n++, "_index");
	for (int i = 0; i < fields->n; i++)
	{
		const MappedField *field = &fields->items[i];

		if (field->type == NULL || strcmp(field->type, "alias") == 0)
			continue;
		base->columns[n].name = field->name;
		session->paths[n] = field->path ? field->path : field->name;
		cs_elastic_type_of_field(&base->columns[n], &base->cells[n], field->type, field->formats,
								 &session->kinds[n]);
		if (field->is_array)
			session->kinds[n] = CS_LEAF_ARRAY;
		else if (field->is_bare)
			session->kinds[n] = CS_LEAF_BARE;
		n++;
	}
	base->ncolumns = n;
}

static void
set_own_column(ElasticSession *session, int at, const char *name)
{
	session->base.columns[at].name = pstrdup(name);
	cs_cell_set(&session->base.columns[at], &session->base.cells[at], TEXTOID, -1, cs_cell_text);
}
