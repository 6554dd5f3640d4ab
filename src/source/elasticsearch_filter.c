/*
 * elasticsearch_filter.c
 *		Conditions as filters of a search.
 *
 * What is searched is the index, what is read are the documents: a field is
 * compared only where both are certainly the same.  A moment is cut to
 * milliseconds in most indices, so that only bounds are sent, a little wider.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/date.h"
#include "utils/timestamp.h"

#include "source/elasticsearch.h"
#include "source/service_statement.h"

/* Of texts, in bytes, unless the mapping has less. */
#define MAX_LEN 1024

/* Of _id. */
#define MAX_ID 512

static ElasticComparable look_at(const json_t *mappings, const char *path);
static const json_t *find_definition(const json_t *properties, const char *path);
static const char *type_of(const json_t *definition);
static bool is_copied_to(const json_t *properties, const char *path);
static bool names_path(const json_t *copy_to, const char *path);
static bool append_since(StringInfo filter, const ElasticSession *session);
static ElasticComparable comparable_of(const ElasticSession *session, const char *column, Oid type);
static bool append_condition(StringInfo filter, const ElasticComparable *field,
							 const CsCondition *condition);
static bool can_write(const ElasticComparable *field, const CsCondition *condition);
static bool can_write_value(const ElasticComparable *field, const CsCondition *condition,
							Datum value);
static bool fits_integer(const char *type, Oid typid, Datum value);
static void append_value(StringInfo filter, const CsCondition *condition, Datum value);
static void append_moment(StringInfo filter, const CsCondition *condition, Datum value);

void
cs_elastic_comparable_set(ElasticSession *session, const json_t *mappings)
{
	CsServiceSession *base = &session->base;

	session->comparable = palloc0(sizeof(ElasticComparable) * Max(1, base->ncolumns));
	for (int i = 0; i < base->ncolumns; i++)
	{
		if (session->paths[i])
			session->comparable[i] = look_at(mappings, session->paths[i]);
		else if (strcmp(base->columns[i].name, "_id") == 0)
			session->comparable[i] = (ElasticComparable){ "_id", "keyword", MAX_ID };
	}
}

/* It must be the same in every index: what one of them does not map, its documents may have all the same. */
static ElasticComparable
look_at(const json_t *mappings, const char *path)
{
	ElasticComparable field = { path, NULL, MAX_LEN };
	const char *index;
	json_t *entry;

	json_object_foreach((json_t *) mappings, index, entry)
	{
		const json_t *mapping = json_object_get(entry, "mappings");
		const json_t *properties = json_object_get(mapping, "properties");
		const json_t *definition = find_definition(properties, path);
		const char *type = type_of(definition);

		if (type == NULL || (field.type && strcmp(field.type, type) != 0) ||
			json_object_get(json_object_get(mapping, "runtime"), path) ||
			is_copied_to(properties, path))
			return (ElasticComparable){ NULL };
		field.type = type;
		field.max_len = (int) Min(field.max_len, cs_json_int(definition, "ignore_above", MAX_LEN));
	}
	return field;
}

/* A name may have dots itself. */
static const json_t *
find_definition(const json_t *properties, const char *path)
{
	const char *name;
	json_t *field;

	json_object_foreach((json_t *) properties, name, field)
	{
		size_t len = strlen(name);
		const json_t *found;

		if (strcmp(name, path) == 0)
			return field;
		if (strncmp(name, path, len) != 0 || path[len] != '.')
			continue;
		found = find_definition(json_object_get(field, "properties"), path + len + 1);
		if (found)
			return found;
	}
	return NULL;
}

/* NULL: its values in the index may be others, or are not there. */
static const char *
type_of(const json_t *definition)
{
	static const char *const types[] = { "boolean", "byte", "short",	  "integer",
										 "long",	"date", "date_nanos", "keyword" };
	const char *type = cs_json_text(definition, "type");

	if (type == NULL || json_is_false(json_object_get(definition, "index")) ||
		json_object_get(definition, "null_value") || json_object_get(definition, "script"))
		return NULL;
	for (int i = 0; i < (int) lengthof(types); i++)
		if (strcmp(types[i], type) == 0)
			return type;
	return NULL;
}

/* Then the index has values that the document has elsewhere. */
static bool
is_copied_to(const json_t *properties, const char *path)
{
	const char *name;
	json_t *field;

	json_object_foreach((json_t *) properties, name, field)
	{
		if (names_path(json_object_get(field, "copy_to"), path) ||
			is_copied_to(json_object_get(field, "properties"), path) ||
			is_copied_to(json_object_get(field, "fields"), path))
			return true;
	}
	return false;
}

static bool
names_path(const json_t *copy_to, const char *path)
{
	if (json_is_string(copy_to))
		return strcmp(json_string_value(copy_to), path) == 0;
	for (size_t i = 0; i < json_array_size(copy_to); i++)
		if (names_path(json_array_get(copy_to, i), path))
			return true;
	return false;
}

void
cs_elastic_filter_set(ElasticSession *session)
{
	const CsReadSpec *spec = session->base.spec;
	StringInfoData filter;
	bool all = true;
	ListCell *lc;

	if (session->no_filter)
		return;
	initStringInfo(&filter);
	foreach (lc, spec->conditions)
	{
		const CsCondition *condition = lfirst(lc);
		ElasticComparable field = comparable_of(session, condition->column, condition->type);

		all &= append_condition(&filter, &field, condition);
	}
	if (spec->since && OidIsValid(spec->since->type))
		all &= append_since(&filter, session);
	session->filter = filter.len > 0 ? filter.data : NULL;
	if (all && spec->limit > 0)
		session->page_size = (int) Min(session->page_size, spec->limit);
}

/* Documents without a value come every time. */
static bool
append_since(StringInfo filter, const ElasticSession *session)
{
	const CsReadSince *since = session->base.spec->since;
	CsCondition bound = { since->column, CS_GREATER_EQUAL, since->type, since->value };
	ElasticComparable field = comparable_of(session, since->column, since->type);
	StringInfoData range;

	initStringInfo(&range);
	if (!append_condition(&range, &field, &bound))
		return false;
	appendStringInfo(
		filter,
		"%s{\"bool\":{\"should\":[%s,{\"bool\":{\"must_not\":[{\"exists\":{\"field\":%s}}]}}]"
		",\"minimum_should_match\":1}}",
		filter->len ? "," : "", range.data, cs_json_quote(field.field));
	return true;
}

/* Without a session: as the caller believes it to be. */
static ElasticComparable
comparable_of(const ElasticSession *session, const char *column, Oid type)
{
	int at;

	if (session == NULL)
		return (ElasticComparable){ column,
									cs_sql_is_integer(type)	 ? "long"
									: type == BOOLOID		 ? "boolean"
									: type == TIMESTAMPTZOID ? "date"
															 : "keyword",
									MAX_LEN };
	at = cs_column_find(session->base.columns, session->base.ncolumns, column);
	if (at < 0)
		return (ElasticComparable){ NULL };
	return session->comparable[at];
}

/* False, and nothing appended: the service can't be asked for it. */
static bool
append_condition(StringInfo filter, const ElasticComparable *field, const CsCondition *condition)
{
	static const char *const bounds[] = { "", "", "lt", "lte", "gt", "gte" };
	const char *name;

	if (field->type == NULL || !can_write(field, condition))
		return false;
	name = cs_json_quote(field->field);
	appendStringInfoString(filter, filter->len ? "," : "");
	if (condition->comparison == CS_EQUAL_ANY)
	{
		appendStringInfo(filter, "{\"terms\":{%s:[", name);
		for (int i = 0; i < Max(1, condition->nvalues); i++)
		{
			appendStringInfoString(filter, i > 0 ? "," : "");
			append_value(filter, condition, condition->nvalues ? condition->values[i] : (Datum) 0);
		}
		appendStringInfoString(filter, "]}}");
		return true;
	}
	if (condition->comparison == CS_EQUAL)
		appendStringInfo(filter, "{\"term\":{%s:{\"value\":", name);
	else if (condition->type == TIMESTAMPTZOID)
		appendStringInfo(filter,
						 "{\"range\":{%s:{\"format\":\"strict_date_optional_time\",\"%s\":", name,
						 condition->comparison >= CS_GREATER ? "gte" : "lte");
	else
		appendStringInfo(filter, "{\"range\":{%s:{\"%s\":", name, bounds[condition->comparison]);
	append_value(filter, condition, condition->value);
	appendStringInfoString(filter, "}}}");
	return true;
}

/* Values that the field can't have are refused there. */
static bool
can_write(const ElasticComparable *field, const CsCondition *condition)
{
	bool exactly;
	CsColumn column = { .typid = condition->type };

	if (!cs_elastic_takes(NULL, &column, condition->comparison, condition->type, &exactly))
		return false;
	if (condition->placeholder)
		return true;
	if (condition->comparison != CS_EQUAL_ANY)
		return can_write_value(field, condition, condition->value);
	for (int i = 0; i < condition->nvalues; i++)
		if (!can_write_value(field, condition, condition->values[i]))
			return false;
	return true;
}

static bool
can_write_value(const ElasticComparable *field, const CsCondition *condition, Datum value)
{
	/* Of date_nanos: from 1970-01-02 to 2262-01-01. */
	static const Timestamp first = (UNIX_EPOCH_JDATE + 1 - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY;
	static const Timestamp last = INT64CONST(95694) * USECS_PER_DAY;

	switch (condition->type)
	{
		case BOOLOID:
			return strcmp(field->type, "boolean") == 0;
		case TEXTOID:
		case VARCHAROID:
			return strcmp(field->type, "keyword") == 0 &&
				   (int) strlen(cs_warehouse_text(value)) <= field->max_len;
		case TIMESTAMPTZOID:
			if (strcmp(field->type, "date_nanos") == 0)
				return DatumGetTimestamp(value) >= first && DatumGetTimestamp(value) <= last;
			return strcmp(field->type, "date") == 0 &&
				   cs_warehouse_writes(NULL, condition->type, value);
		default:
			return fits_integer(field->type, condition->type, value);
	}
}

static bool
fits_integer(const char *type, Oid typid, Datum value)
{
	int64 number = typid == INT2OID	  ? DatumGetInt16(value)
				   : typid == INT4OID ? DatumGetInt32(value)
									  : DatumGetInt64(value);

	if (strcmp(type, "byte") == 0)
		return number >= -128 && number <= 127;
	if (strcmp(type, "short") == 0)
		return number >= PG_INT16_MIN && number <= PG_INT16_MAX;
	if (strcmp(type, "integer") == 0)
		return number >= PG_INT32_MIN && number <= PG_INT32_MAX;
	return strcmp(type, "long") == 0;
}

static void
append_value(StringInfo filter, const CsCondition *condition, Datum value)
{
	if (condition->placeholder)
		appendStringInfoString(filter, condition->placeholder);
	else if (condition->type == BOOLOID)
		appendStringInfoString(filter, DatumGetBool(value) ? "true" : "false");
	else if (condition->type == TIMESTAMPTZOID)
		append_moment(filter, condition, value);
	else if (!cs_sql_append_integer(filter, condition->type, value))
		appendStringInfoString(filter, cs_json_quote(cs_warehouse_text(value)));
}

/* In milliseconds, one less or more. */
static void
append_moment(StringInfo filter, const CsCondition *condition, Datum value)
{
	bool lower = condition->comparison >= CS_GREATER;
	Timestamp moment = DatumGetTimestamp(value) + (lower ? -1000 : 1000);
	StringInfoData text;

	initStringInfo(&text);
	cs_warehouse_append_moment(&text, TIMESTAMPTZOID, TimestampTzGetDatum(moment), 'T');
	appendStringInfo(filter, "\"%.*sZ\"", (int) strlen("2024-01-31T12:34:56.789"), text.data);
}

char *
cs_elastic_filtered(const char *query, const char *filter)
{
	if (query == NULL)
		query = "{\"match_all\":{}}";
	if (filter == NULL)
		return pstrdup(query);
	return psprintf("{\"bool\":{\"must\":[%s],\"filter\":[%s]}}", query, filter);
}

/* A text may be found by another, if the field makes small letters of capitals. */
bool
cs_elastic_takes(const CsReadSpec *spec, const CsColumn *column, CsComparison comparison, Oid type,
				 bool *exactly)
{
	bool is_equality = comparison == CS_EQUAL || comparison == CS_EQUAL_ANY;

	*exactly = true;
	if ((spec && spec->query && spec->query[strspn(spec->query, " \t\r\n")] != '{') ||
		comparison == CS_NOT_EQUAL || comparison == CS_IS_NULL || comparison == CS_IS_NOT_NULL ||
		column->opaque)
		return false;
	if (cs_sql_is_integer(column->typid) && cs_sql_is_integer(type))
		return true;
	*exactly = false;
	switch (type)
	{
		case BOOLOID:
			*exactly = true;
			return column->typid == type && is_equality;
		case TEXTOID:
		case VARCHAROID:
			return cs_sql_is_string(column->typid) && is_equality &&
				   cs_sql_is_deterministic(column);
		case TIMESTAMPTZOID:
			return column->typid == type && !is_equality;
		default:
			return false;
	}
}

/* The search, but for its point in time and its pages; SQL as it is. */
char *
cs_elastic_statement(const CsReadSpec *spec)
{
	StringInfoData text;
	StringInfoData filter;
	ElasticSession session = { 0 };
	ListCell *lc;

	if (spec->query && spec->query[strspn(spec->query, " \t\r\n")] != '{')
		return pstrdup(spec->query);
	initStringInfo(&text);
	initStringInfo(&filter);
	if (spec->query)
		(void) cs_elastic_search_members(&session, spec->query);
	foreach (lc, spec->conditions)
	{
		const CsCondition *condition = lfirst(lc);
		ElasticComparable field = comparable_of(NULL, condition->column, condition->type);

		if (!session.no_filter)
			(void) append_condition(&filter, &field, condition);
	}
	appendStringInfo(&text, "{\"query\":%s,\"_source\":[",
					 cs_elastic_filtered(session.query, filter.len ? filter.data : NULL));
	foreach (lc, spec->wanted)
		appendStringInfo(&text, "%s%s", lc == list_head(spec->wanted) ? "" : ",",
						 cs_json_quote(lfirst(lc)));
	appendStringInfoString(&text, "]");
	if (spec->limit > 0)
		appendStringInfo(&text, ",\"size\":" INT64_FORMAT, spec->limit);
	appendStringInfoChar(&text, '}');
	return text.data;
}
