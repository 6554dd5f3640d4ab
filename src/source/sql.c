/*
 * sql.c
 *		The reader of sources that speak SQL, whatever their driver.
 *
 * Opening connects and describes; the statement runs when the first record is
 * asked for, by then narrowed to the columns that are needed.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/errors.h"
#include "format/json_value.h"
#include "net/tunnel.h"
#include "source/check.h"
#include "source/sql.h"
#include "source/sql_statement.h"

#define BATCH_RECORDS 1000
#define BATCH_BYTES (1024 * 1024)

typedef struct SqlReader
{
	CsReader base;			/* must be first; its columns are what the caller knows them as */
	const CsReadSpec *spec; /* the caller's */
	const CsSqlSource *source;
	MemoryContext context; /* of the reader and of its session */
	CsSqlSession *session;
	CsColumn *known; /* of the source as it was described */
	int nknown;
	bool *needed;	 /* per column of base; see narrow */
	int *positions;	 /* per column of base: its place in the session's rows, -1: not read */
	bool started;	 /* the statement was executed */
	bool ended;		 /* all of it was read */
	CsRecord record; /* handed out by each; its arrays are as long as base's columns */
	int16 *lengths;	 /* typlen per column of base, for copies */
	bool *by_value;
	CsSqlLogin *login;
} SqlReader;

static SqlReader *create_reader(const CsSourceType *type, const CsReadSpec *spec);
static void connect_to(SqlReader *reader, CsSqlLogin *login);
static void describe_source(SqlReader *reader);
static void describe_columns(SqlReader *reader);
static int find_column(const CsColumn *columns, int n, const char *name);
static CsReadStatus sql_next_batch(CsReader *base, CsBatch *batch);
static int64 copy_record(const SqlReader *reader, CsRecord *copy);
static int sql_each(CsReader *base, int n, void (*take)(void *arg, const CsRecord *record),
					void *arg);
static void sql_narrow(CsReader *base, const bool *needed);
static char *sql_record_json(CsReader *base, const CsRecord *record);
static void start(SqlReader *reader);
static void match_columns(SqlReader *reader);
static bool next_record(SqlReader *reader);
static void watch_tunnel(SqlReader *reader, ErrorContextCallback *callback);
static void explain_tunnel(void *arg);
static void try_steps(SqlReader *reader, CsSqlLogin *login, const CsReadSpec *spec);
static void report_steps(CsCheck *check, const CsSqlLogin *login, const CsSqlSession *session,
						 char *detail, bool ok);

CsReader *
cs_sql_open(const CsSourceType *type, const CsReadSpec *spec)
{
	SqlReader *reader = create_reader(type, spec);
	CsOptionSet *options = cs_options_load(spec->serverid, spec->userid, spec->near);

	connect_to(reader, cs_sql_login_create(reader->source, options));
	describe_source(reader);
	describe_columns(reader);
	reader->base.since = true;
	return &reader->base;
}

/* Goes as far as it gets: the step that fails is the one the login stands at. */
void
cs_sql_check(const CsSourceType *type, const CsReadSpec *spec, CsCheck *check)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int level = GetCurrentTransactionNestLevel();
	SqlReader *reader = create_reader(type, spec);
	CsOptionSet *options = cs_options_load(spec->serverid, spec->userid, spec->near);
	CsSqlLogin *login = cs_sql_login_create(reader->source, options);

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		try_steps(reader, login, spec);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(caller);
		report_steps(check, login, reader->session, psprintf("%s answers", reader->session->server),
					 true);
	}
	PG_CATCH();
	{
		CsError *error = cs_error_catch(caller);

		cs_error_roll_back(error, level);
		MemoryContextSwitchTo(caller);
		if (cs_error_is_cancel(error->code))
			cs_error_throw(error);
		report_steps(check, login, reader->session, cs_check_words(error), false);
	}
	PG_END_TRY();
	CurrentResourceOwner = owner;
}

List *
cs_sql_list(const CsSourceType *type, const CsReadSpec *spec, const char *schema, List *only)
{
	SqlReader *reader = create_reader(type, spec);
	CsOptionSet *options = cs_options_load(spec->serverid, spec->userid, spec->near);

	connect_to(reader, cs_sql_login_create(reader->source, options));
	return reader->session->driver->list(reader->session, schema, only);
}

char *
cs_sql_statement(const CsSourceType *type, const CsReadSpec *spec)
{
	const CsSqlSource *source = (const CsSqlSource *) type;

	return cs_sql_select(source->dialect, spec, spec->wanted, NULL, 0);
}

static SqlReader *
create_reader(const CsSourceType *type, const CsReadSpec *spec)
{
	SqlReader *reader = palloc0(sizeof(SqlReader));

	reader->spec = spec;
	reader->source = (const CsSqlSource *) type;
	reader->context = CurrentMemoryContext;
	reader->base.typed = true;
	reader->base.next_batch = sql_next_batch;
	reader->base.each = sql_each;
	reader->base.narrow = sql_narrow;
	reader->base.record_json = sql_record_json;
	return reader;
}

static void
connect_to(SqlReader *reader, CsSqlLogin *login)
{
	const CsSqlDriver *driver = cs_sql_driver(reader->source);
	ErrorContextCallback tunnel;

	reader->login = login;
	cs_sql_login_resolve(login);
	watch_tunnel(reader, &tunnel);
	reader->session = driver->connect(login);
	error_context_stack = tunnel.previous;
}

/* Conditions wait for the statement that is executed: they may be about columns that it has yet to
 * describe. */
static void
describe_source(SqlReader *reader)
{
	CsSqlSession *session = reader->session;
	CsReadSpec plain = *reader->spec;
	ErrorContextCallback tunnel;

	watch_tunnel(reader, &tunnel);
	plain.conditions = NIL;
	plain.since = NULL;
	plain.limit = 0;
	session->driver->describe(
		session, cs_sql_select(reader->source->dialect, &plain, plain.wanted, NULL, 0));
	error_context_stack = tunnel.previous;
	if (session->ncolumns == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the source query returns no columns"),
						errhint("It must be one statement that returns rows.")));
	reader->nknown = session->ncolumns;
	reader->known = palloc(sizeof(CsColumn) * session->ncolumns);
	memcpy(reader->known, session->columns, sizeof(CsColumn) * session->ncolumns);
}

/* The wanted columns in their order, or all of them. */
static void
describe_columns(SqlReader *reader)
{
	CsReader *base = &reader->base;
	List *wanted = reader->spec->wanted;
	ListCell *lc;
	int i = 0;

	base->ncolumns = wanted ? list_length(wanted) : reader->nknown;
	base->columns = palloc(sizeof(CsColumn) * base->ncolumns);
	base->seen = palloc(sizeof(bool) * base->ncolumns);
	memset(base->seen, true, sizeof(bool) * base->ncolumns);
	foreach (lc, wanted)
	{
		int position = find_column(reader->known, reader->nknown, lfirst(lc));

		if (position < 0)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
							errmsg("the source has no column \"%s\"", (char *) lfirst(lc)),
							errhint("It may have changed: import its foreign table again.")));
		base->columns[i++] = reader->known[position];
	}
	if (wanted == NIL)
		memcpy(base->columns, reader->known, sizeof(CsColumn) * reader->nknown);
	reader->needed = palloc(sizeof(bool) * base->ncolumns);
	memset(reader->needed, true, sizeof(bool) * base->ncolumns);
	reader->positions = palloc(sizeof(int) * base->ncolumns);
	reader->record.values = palloc0(sizeof(Datum) * base->ncolumns);
	reader->record.nulls = palloc0(sizeof(bool) * base->ncolumns);
	reader->lengths = palloc(sizeof(int16) * base->ncolumns);
	reader->by_value = palloc(sizeof(bool) * base->ncolumns);
	for (i = 0; i < base->ncolumns; i++)
		get_typlenbyval(base->columns[i].typid, &reader->lengths[i], &reader->by_value[i]);
}

static int
find_column(const CsColumn *columns, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(columns[i].name, name) == 0)
			return i;
	return -1;
}

static CsReadStatus
sql_next_batch(CsReader *base, CsBatch *batch)
{
	SqlReader *reader = (SqlReader *) base;
	ErrorContextCallback tunnel;
	int64 bytes = 0;

	batch->nrecords = 0;
	batch->records = palloc(sizeof(CsRecord) * BATCH_RECORDS);
	watch_tunnel(reader, &tunnel);
	while (batch->nrecords < BATCH_RECORDS && bytes < BATCH_BYTES && next_record(reader))
		bytes += copy_record(reader, &batch->records[batch->nrecords++]);
	error_context_stack = tunnel.previous;
	return batch->nrecords > 0 ? CS_READ_ROWS : CS_READ_END;
}

/* Into CurrentMemoryContext; returns how many bytes its values have. */
static int64
copy_record(const SqlReader *reader, CsRecord *copy)
{
	int n = reader->base.ncolumns;
	int64 bytes = 0;

	*copy = reader->record;
	copy->values = palloc(sizeof(Datum) * n);
	copy->nulls = palloc(sizeof(bool) * n);
	memcpy(copy->nulls, reader->record.nulls, sizeof(bool) * n);
	for (int i = 0; i < n; i++)
	{
		copy->values[i] = 0;
		if (copy->nulls[i])
			continue;
		copy->values[i] =
			datumCopy(reader->record.values[i], reader->by_value[i], reader->lengths[i]);
		bytes += datumGetSize(copy->values[i], reader->by_value[i], reader->lengths[i]);
	}
	if (copy->error_message)
		copy->error_message = pstrdup(copy->error_message);
	return bytes;
}

static int
sql_each(CsReader *base, int n, void (*take)(void *arg, const CsRecord *record), void *arg)
{
	SqlReader *reader = (SqlReader *) base;
	ErrorContextCallback tunnel;
	int got = 0;

	watch_tunnel(reader, &tunnel);
	while (got < n && next_record(reader))
	{
		got++;
		take(arg, &reader->record);
	}
	error_context_stack = tunnel.previous;
	return got;
}

static void
sql_narrow(CsReader *base, const bool *needed)
{
	SqlReader *reader = (SqlReader *) base;

	Assert(!reader->started);
	memcpy(reader->needed, needed, sizeof(bool) * base->ncolumns);
}

static char *
sql_record_json(CsReader *base, const CsRecord *record)
{
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (int i = 0; i < base->ncolumns; i++)
		if (((SqlReader *) base)->needed[i])
			cs_json_append_member(&json, base->columns[i].name, base->columns[i].typid,
								  record->values[i], record->nulls[i]);
	appendStringInfoChar(&json, '}');
	return json.data;
}

/* Runs the statement, and finds the columns in its rows. */
static void
start(SqlReader *reader)
{
	CsSqlSession *session = reader->session;
	MemoryContext old = MemoryContextSwitchTo(reader->context);
	List *names = NIL;

	for (int i = 0; i < reader->base.ncolumns; i++)
		if (reader->needed[i])
			names = lappend(names, reader->base.columns[i].name);
	if (names == NIL)
		names = list_make1(reader->known[0].name);
	session->driver->execute(session, cs_sql_select(reader->source->dialect, reader->spec, names,
													reader->known, reader->nknown));
	match_columns(reader);
	reader->started = true;
	MemoryContextSwitchTo(old);
}

static void
match_columns(SqlReader *reader)
{
	CsSqlSession *session = reader->session;

	for (int i = 0; i < reader->base.ncolumns; i++)
	{
		const CsColumn *column = &reader->base.columns[i];
		int at = find_column(session->columns, session->ncolumns, column->name);

		reader->positions[i] = reader->needed[i] ? at : -1;
		if (reader->needed[i] && (at < 0 || session->columns[at].typid != column->typid))
			ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
							errmsg("column \"%s\" of the source changed while it was being read",
								   column->name),
							errhint("Run it again.")));
	}
}

/* Into reader->record; false: the source has no more. */
static bool
next_record(SqlReader *reader)
{
	CsSqlSession *session = reader->session;
	CsReader *base = &reader->base;
	CsRecord *record = &reader->record;

	CHECK_FOR_INTERRUPTS();
	if (!reader->started)
		start(reader);
	if (reader->ended)
		return false;
	if (!session->driver->next_row(session))
	{
		reader->ended = true;
		return false;
	}
	record->number = ++base->records_read;
	record->error_code = 0;
	record->error_message = NULL;
	base->bytes_read = session->bytes_read;
	for (int i = 0; i < base->ncolumns; i++)
	{
		int at = reader->positions[i];

		record->nulls[i] = at < 0 || session->nulls[at];
		record->values[i] = at < 0 ? (Datum) 0 : session->values[at];
		if (unlikely(session->error_code) && at == session->error_column)
		{
			record->error_code = session->error_code;
			record->error_message = session->error_message;
			record->error_column = i + 1;
			record->nulls[i] = true;
		}
	}
	return true;
}

/* From now on, until the caller takes the callback off again, an error for a tunnel's failure says so. */
static void
watch_tunnel(SqlReader *reader, ErrorContextCallback *callback)
{
	callback->previous = error_context_stack;
	callback->callback = explain_tunnel;
	callback->arg = reader->login;
	if (reader->login->tunnel)
		error_context_stack = callback;
}

/* A driver can't tell a tunnel that ended from a server that did. */
static void
explain_tunnel(void *arg)
{
	CsSqlLogin *login = arg;
	int category = ERRCODE_TO_CATEGORY(geterrcode());
	CsTunnelFailure *failure;

	if (category != ERRCODE_CONNECTION_EXCEPTION &&
		(login->step == CS_SQL_QUERY || category == ERRCODE_OPERATOR_INTERVENTION ||
		 category == ERRCODE_SUCCESSFUL_COMPLETION))
		return;
	failure = cs_tunnel_failure(login->tunnel);
	if (failure == NULL)
		return;
	login->step = failure->step == CS_TUNNEL_CONNECT ? CS_SQL_CONNECT : CS_SQL_SSH;
	errcode(failure->code);
	errmsg("%s", failure->message);
	errdetail("%s", failure->detail ? failure->detail : "The SSH client does not say why.");
	errhint("%s", failure->hint);
}

static void
try_steps(SqlReader *reader, CsSqlLogin *login, const CsReadSpec *spec)
{
	connect_to(reader, login);
	login->step = CS_SQL_QUERY;
	if (spec->query || spec->object)
		describe_source(reader);
	else
		reader->session->driver->describe(reader->session, "SELECT 1 AS one");
}

/* The steps before the one that was reached went well; that one did or did not. */
static void
report_steps(CsCheck *check, const CsSqlLogin *login, const CsSqlSession *session, char *detail,
			 bool ok)
{
	static const char *const names[] = {
		"resolve", "ssh", "connect", "tls", "authenticate", "query"
	};

	for (int step = CS_SQL_RESOLVE; step < (int) login->step; step++)
	{
		const char *what = "ok";

		if (step == CS_SQL_SSH && !login->tunneled)
			continue;
		if (step == CS_SQL_RESOLVE && login->tunneled)
			what = "the ssh host";
		else if (step == CS_SQL_RESOLVE)
			what = login->address ? login->address : "a Unix-domain socket";
		else if (step == CS_SQL_TLS && session)
			what = session->tls ? session->tls : "not used";
		cs_check_step(check, names[step], true, pstrdup(what));
	}
	cs_check_step(check, names[login->step], ok, detail);
}
