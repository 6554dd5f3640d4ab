/*
 * bigquery_job.c
 *		Source BigQuery: statements that run as jobs, until their result is there.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "net/url.h"
#include "source/bigquery.h"
#include "source/option_table.h"

/* How long a request waits for its job, in ms.  The first one less, since only its answer has the name by
 * which the job can be canceled. */
#define FIRST_WAIT 1000
#define WAIT 10000

/* A statement is run anew this often after failures that are no fault of its own. */
#define MAX_JOBS 3

static json_t *submit(BqSession *session, bool dry, int *status);
static char *query_body(BqSession *session, bool dry);
static json_t *await_job(BqSession *session, json_t *answer, int *status);
static void note_job(BqSession *session, const json_t *answer);
static void take_result(BqSession *session, const json_t *answer);
static void throw_no_rows(const BqSession *session, const json_t *answer) pg_attribute_noreturn();
static bool may_run_again(const json_t *answer);

void
cs_bq_dry_run(BqSession *session)
{
	MemoryContext old = MemoryContextSwitchTo(session->base.context);
	int status;
	json_t *answer;
	int n;
	BqField *fields;

	session->statement = session->base.spec->query;
	answer = submit(session, true, &status);
	if (status >= 300)
		cs_bq_throw(session, answer, status);
	fields = cs_bq_fields(json_object_get(answer, "schema"), &n);
	if (n == 0)
		throw_no_rows(session, answer);
	cs_bq_set_columns(&session->base, fields, n);
	MemoryContextSwitchTo(old);
}

void
cs_bq_run(BqSession *session)
{
	MemoryContext old = MemoryContextSwitchTo(session->base.context);

	for (int jobs = 1;; jobs++)
	{
		int status;
		json_t *answer = await_job(session, submit(session, false, &status), &status);

		cs_service_set_farewell(&session->base, NULL);
		if (status < 300)
		{
			take_result(session, answer);
			break;
		}
		if (jobs == MAX_JOBS || !may_run_again(answer))
			cs_bq_throw(session, answer, status);
		cs_service_wait(jobs * 2);
	}
	MemoryContextSwitchTo(old);
}

bool
cs_bq_is_complete(const json_t *answer)
{
	return json_is_true(json_object_get(answer, "jobComplete"));
}

char *
cs_bq_job_path(const BqSession *session, const char *verb, const char *parameters)
{
	const char *location = session->job_location ? session->job_location : session->location;
	StringInfoData path;

	initStringInfo(&path);
	appendStringInfo(&path, "/projects/%s/%s/%s", cs_url_encode(session->job_project),
					 verb ? "jobs" : "queries", cs_url_encode(session->job));
	if (verb)
		appendStringInfo(&path, "/%s", verb);
	if (location)
		appendStringInfo(&path, "?location=%s", cs_url_encode(location));
	if (parameters[0])
		appendStringInfo(&path, "%c%s", location ? '&' : '?', parameters);
	return path.data;
}

void
cs_bq_append_member(StringInfo json, const char *name, const char *value)
{
	appendStringInfo(json, ", \"%s\": %s", name, value);
}

static json_t *
submit(BqSession *session, bool dry, int *status)
{
	char *path = psprintf("/projects/%s/queries", cs_url_encode(cs_bq_project(session)));
	CsHttpRequest *request =
		cs_service_request(&session->base, "POST", path, query_body(session, dry));
	CsKeptAnswer kept;
	json_t *answer;

	session->job = NULL;
	/* Its requestId makes one job of it; and it only reads. */
	request->repeatable = true;
	answer = cs_service_call_keeping(&session->base, request, "/rows", 400, &kept);
	*status = kept.status;
	/* No rows were asked for, but there are servers of this API that send them nevertheless, and keep no job. */
	session->answer =
		kept.rows > 0 && cs_bq_is_complete(answer) && !json_object_get(answer, "pageToken")
			? kept.text
			: NULL;
	return answer;
}

static char *
query_body(BqSession *session, bool dry)
{
	const char *billed = cs_option_get(session->base.options, "maximum_bytes_billed");
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfo(&json, "{\"query\": %s, \"useLegacySql\": false, \"timeoutMs\": %d",
					 cs_json_quote(session->statement), FIRST_WAIT);
	appendStringInfo(&json, ", \"maxResults\": 0, \"requestId\": \"%s\"", cs_service_random_id());
	if (dry)
		cs_bq_append_member(&json, "dryRun", "true");
	if (session->location)
		cs_bq_append_member(&json, "location", cs_json_quote(session->location));
	if (billed)
		cs_bq_append_member(&json, "maximumBytesBilled",
							psprintf("\"" INT64_FORMAT "\"", cs_option_bytes(billed)));
	if (session->dataset)
		cs_bq_append_member(&json, "defaultDataset",
							psprintf("{\"projectId\": %s, \"datasetId\": %s}",
									 cs_json_quote(session->project),
									 cs_json_quote(session->dataset)));
	cs_bq_append_member(&json, "labels", "{\"application\": \"censync\"}");
	cs_bq_append_member(&json, "formatOptions", "{\"useInt64Timestamp\": true}");
	appendStringInfoChar(&json, '}');
	return json.data;
}

/* The answer that has the result, or says why there is none. */
static json_t *
await_job(BqSession *session, json_t *answer, int *status)
{
	for (int polls = 1; *status < 300; polls++)
	{
		note_job(session, answer);
		if (cs_bq_is_complete(answer))
			break;
		if (session->job == NULL)
			ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
							errmsg("the service did not say which job runs the query"),
							errhint("Check the server option \"base_url\".")));
		cs_service_set_farewell(&session->base,
								cs_service_request(&session->base, "POST",
												   cs_bq_job_path(session, "cancel", ""), NULL));
		if (polls > 1)
			cs_service_wait(polls);
		answer = cs_service_call(
			&session->base,
			cs_service_request(&session->base, "GET",
							   cs_bq_job_path(session, NULL,
											  psprintf("maxResults=0&timeoutMs=%d"
													   "&formatOptions.useInt64Timestamp=true",
													   WAIT)),
							   NULL),
			400, status);
	}
	return answer;
}

static void
note_job(BqSession *session, const json_t *answer)
{
	const json_t *reference = json_object_get(answer, "jobReference");

	if (session->job || cs_json_text(reference, "jobId") == NULL)
		return;
	session->job = cs_json_text(reference, "jobId");
	session->job_project = cs_json_text(reference, "projectId");
	session->job_location = cs_json_text(reference, "location");
	if (session->job_project == NULL)
		session->job_project = session->project;
}

static void
take_result(BqSession *session, const json_t *answer)
{
	BqField *fields;
	int n;

	session->base.total = cs_json_int(answer, "totalRows", -1);
	fields = cs_bq_fields(json_object_get(answer, "schema"), &n);
	if (n == 0 || session->base.total < 0)
		throw_no_rows(session, answer);
	if (session->job == NULL && session->answer == NULL && session->base.total > 0)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("the service did not say which job has the result"),
						errhint("Check the server option \"base_url\".")));
	cs_bq_set_columns(&session->base, fields, n);
	session->submitted = true;
}

static void
throw_no_rows(const BqSession *session, const json_t *answer)
{
	const char *kind = json_string_value(json_object_get(answer, "statementType"));

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the source query returns no rows"),
			 kind ? errdetail("BigQuery takes it for a statement of type %s.",
							  cs_http_redact(session->base.http, kind, (int) strlen(kind), 60))
				  : 0,
			 errhint("It must be one statement that returns rows, or a script that ends "
					 "with one.")));
}

/* A job that failed by no fault of its statement, which a new one may not share. */
static bool
may_run_again(const json_t *answer)
{
	const char *reason = cs_bq_reason(answer);

	return reason && !cs_bq_blames_statement(answer) &&
		   (strcmp(reason, "jobBackendError") == 0 || strcmp(reason, "jobInternalError") == 0 ||
			strcmp(reason, "jobRateLimitExceeded") == 0);
}
