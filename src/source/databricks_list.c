/*
 * databricks_list.c
 *		The tables of a schema of Unity Catalog.
 */
#include "postgres.h"

#include "base/names.h"
#include "net/url.h"
#include "source/databricks.h"
#include "source/sql_statement.h"

static char *page_path(const char *catalog, const char *schema, const char *token);
static CsObject *object_of(const json_t *table, const char *catalog, const char *schema);
static void take_columns(CsObject *object, const json_t *columns);

/* A page may be empty while others follow. */
List *
cs_databricks_list(CsServiceSession *base, const char *schema, List *only)
{
	const char *catalog = cs_option_get(base->options, "catalog");
	char *token = NULL;
	List *objects = NIL;

	if (catalog == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("option \"catalog\" is missing"),
				 errhint("ALTER SERVER ... OPTIONS (ADD catalog '...')")));
	do
	{
		char *path = page_path(catalog, schema, token);
		json_t *page = cs_service_call(base, cs_service_request(base, "GET", path, NULL), 0, NULL);
		const json_t *tables = json_object_get(page, "tables");

		for (size_t i = 0; i < json_array_size(tables); i++)
		{
			CsObject *object = object_of(json_array_get(tables, i), catalog, schema);

			if (object && cs_names_want(only, object->name))
				objects = lappend(objects, object);
		}
		token = cs_json_text(page, "next_page_token");
	} while (token && token[0] != '\0');
	return objects;
}

static char *
page_path(const char *catalog, const char *schema, const char *token)
{
	char *path =
		psprintf("/api/2.1/unity-catalog/tables?catalog_name=%s&schema_name=%s&max_results=0",
				 cs_url_encode(catalog), cs_url_encode(schema));

	return token ? psprintf("%s&page_token=%s", path, cs_url_encode(token)) : path;
}

static CsObject *
object_of(const json_t *table, const char *catalog, const char *schema)
{
	CsObject *object = palloc0(sizeof(CsObject));

	object->schema = pstrdup(schema);
	object->name = cs_json_text(table, "name");
	if (object->name == NULL)
		return NULL;
	object->object = psprintf("%s.%s", cs_sql_object_text(catalog, schema),
							  cs_sql_object_text(NULL, object->name));
	take_columns(object, json_object_get(table, "columns"));
	return object;
}

static void
take_columns(CsObject *object, const json_t *columns)
{
	object->columns = palloc0(sizeof(CsColumn) * Max(1, json_array_size(columns)));
	for (size_t i = 0; i < json_array_size(columns); i++)
	{
		const json_t *described = json_array_get(columns, i);
		CsColumn *column = &object->columns[object->ncolumns];
		CsCell ignored = { 0 };
		char *type = cs_json_text(described, "type_name");

		column->name = cs_json_text(described, "name");
		if (column->name == NULL)
			continue;
		column->not_null = json_is_false(json_object_get(described, "nullable"));
		cs_databricks_set_type(column, &ignored, type ? type : "STRING",
							   cs_json_int(described, "type_precision", -1),
							   cs_json_int(described, "type_scale", -1));
		object->ncolumns++;
	}
}
