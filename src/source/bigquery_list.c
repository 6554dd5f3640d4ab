/*
 * bigquery_list.c
 *		What there is in BigQuery: its datasets' tables.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "net/url.h"
#include "source/bigquery.h"

static List *list_names(BqSession *session, const char *path);
static CsObject *look_at_table(BqSession *session, const char *path, const char *schema,
							   const char *name);

/* Something that costs nothing and needs what a query needs: a query that is not run. */
void
cs_bq_probe(CsServiceSession *base)
{
	BqSession *session = (BqSession *) base;
	char *path = psprintf("/projects/%s/queries", cs_url_encode(cs_bq_project(session)));
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoString(&json,
						   "{\"query\": \"SELECT 1\", \"useLegacySql\": false, \"dryRun\": true");
	if (session->location)
		cs_bq_append_member(&json, "location", cs_json_quote(session->location));
	appendStringInfoChar(&json, '}');
	(void) cs_service_call(base, cs_service_request(base, "POST", path, json.data), 0, NULL);
}

/* schema: a dataset, or project.dataset. */
List *
cs_bq_list(CsServiceSession *base, const char *schema, List *only)
{
	BqSession *session = (BqSession *) base;
	const char *dot = strrchr(schema, strchr(schema, ':') ? ':' : '.');
	const char *project = dot ? pnstrdup(schema, dot - schema) : cs_bq_project(session);
	const char *path = psprintf("/projects/%s/datasets/%s/tables", cs_url_encode(project),
								cs_url_encode(dot ? dot + 1 : schema));
	List *objects = NIL;
	List *names = only ? only : list_names(session, path);
	ListCell *lc;

	foreach (lc, names)
	{
		CsObject *object = look_at_table(session, path, schema, lfirst(lc));

		if (object)
			objects = lappend(objects, object);
	}
	return objects;
}

static List *
list_names(BqSession *session, const char *path)
{
	List *names = NIL;
	char *token = NULL;

	do
	{
		char *page = psprintf("%s?maxResults=1000%s%s", path, token ? "&pageToken=" : "",
							  token ? cs_url_encode(token) : "");
		json_t *answer = cs_service_call(
			&session->base, cs_service_request(&session->base, "GET", page, NULL), 0, NULL);
		json_t *tables = json_object_get(answer, "tables");
		char *next = cs_json_text(answer, "nextPageToken");

		for (size_t i = 0; i < json_array_size(tables); i++)
		{
			json_t *reference = json_object_get(json_array_get(tables, i), "tableReference");
			char *name = cs_json_text(reference, "tableId");

			if (name)
				names = lappend(names, name);
		}
		if (next && token && strcmp(next, token) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_PROTOCOL_VIOLATION),
					 errmsg("the service named the same page twice"), errhint("Run it again.")));
		token = next;
	} while (token && token[0] != '\0');
	return names;
}

/* NULL: there is none of that name. */
static CsObject *
look_at_table(BqSession *session, const char *path, const char *schema, const char *name)
{
	CsObject *object = palloc0(sizeof(CsObject));
	int status;
	json_t *answer =
		cs_service_call(&session->base,
						cs_service_request(&session->base, "GET",
										   psprintf("%s/%s", path, cs_url_encode(name)), NULL),
						404, &status);
	BqField *fields;

	if (status == 404)
		return NULL;
	fields = cs_bq_fields(json_object_get(answer, "schema"), &object->ncolumns);
	object->schema = pstrdup(schema);
	object->name = pstrdup(name);
	object->object = psprintf("%s.%s", schema, name);
	object->columns = palloc0(sizeof(CsColumn) * Max(1, object->ncolumns));
	for (int i = 0; i < object->ncolumns; i++)
	{
		CsCell ignored = { 0 };

		cs_bq_set_column(&object->columns[i], &ignored, &fields[i]);
	}
	if (object->ncolumns == 0)
		object->refused = "it has no columns";
	return object;
}
