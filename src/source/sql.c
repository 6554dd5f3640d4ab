/*
 * sql.c
 *		The reader of sources that speak SQL, whatever their driver.
 *
 * Opening connects and describes; the statement runs when the first record is
 * asked for, by then narrowed to the columns that are needed.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/errors.h"
#include "net/tunnel.h"
#include "source/check.h"
#include "source/sql.h"
#include "source/sql_statement.h"
#include "source/typed.h"

typedef struct SqlReader
{
	CsTypedReader base;		/* must be first; its columns are what the caller knows them as */
	const CsReadSpec *spec; /* the caller's */
	const CsSqlSource *source;
	MemoryContext context; /* of the reader and of its session */
	CsSqlSession *session;
	CsColumn *known; /* of the source as it was described */
	int nknown;
	int *positions; /* per column of base: its place in the session's rows, -1: not read */
	bool started;	/* the statement was executed */
	bool ended;		/* all of it was read */
	CsSqlLogin *login;
} SqlReader;

static SqlReader *create_reader(const CsSourceType *type, const CsReadSpec *spec);
static void connect_to(SqlReader *reader, CsSqlLogin *login);
static void begin_request(CsSqlLogin *login);
static void describe_source(SqlReader *reader);
static void start(SqlReader *reader);
static void match_columns(SqlReader *reader);
static bool next_record(CsTypedReader *typed);
static void look_at_clock(const CsSqlLogin *login);
static void take_row(SqlReader *reader);
static void watch_tunnel(SqlReader *reader, ErrorContextCallback *callback);
static void explain_tunnel(void *arg);
static void try_steps(void *arg);
static void report_steps(CsCheck *check, const CsSqlLogin *login, const CsSqlSession *session,
						 char *detail, bool ok);

CsReader *
cs_sql_open(const CsSourceType *type, const CsReadSpec *spec)
{
	SqlReader *reader = create_reader(type, spec);
	CsOptionSet *options = cs_options_load(spec->serverid, spec->userid, spec->near);

	connect_to(reader, cs_sql_login_create(reader->source, options));
	describe_source(reader);
	cs_typed_set_columns(&reader->base, reader->known, reader->nknown, spec->wanted);
	reader->positions = palloc(sizeof(int) * reader->base.base.ncolumns);
	reader->base.base.since = true;
	return &reader->base.base;
}

/* Goes as far as it gets: the step that fails is the one the login stands at. */
void
cs_sql_check(const CsSourceType *type, const CsReadSpec *spec, CsCheck *check)
{
	SqlReader *reader = create_reader(type, spec);
	CsOptionSet *options = cs_options_load(spec->serverid, spec->userid, spec->near);
	CsError *error;

	reader->login = cs_sql_login_create(reader->source, options);
	error = cs_check_try(try_steps, reader);
	report_steps(check, reader->login, reader->session,
				 error ? cs_check_words(error) : psprintf("%s answers", reader->session->server),
				 error == NULL);
}

List *
cs_sql_list(const CsSourceType *type, const CsReadSpec *spec, const char *schema, List *only)
{
	SqlReader *reader = create_reader(type, spec);
	CsOptionSet *options = cs_options_load(spec->serverid, spec->userid, spec->near);
	ErrorContextCallback tunnel;
	List *objects;

	connect_to(reader, cs_sql_login_create(reader->source, options));
	watch_tunnel(reader, &tunnel);
	begin_request(reader->login);
	objects = reader->session->driver->list(reader->session, schema, only);
	error_context_stack = tunnel.previous;
	return objects;
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
	cs_typed_init(&reader->base, next_record);
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

/* From now on until the next one, option timeout counts. */
static void
begin_request(CsSqlLogin *login)
{
	login->late_at =
		login->timeout_s > 0
			? TimestampTzPlusMilliseconds(cs_clock_steady(), login->timeout_s * INT64CONST(1000))
			: 0;
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
	begin_request(reader->login);
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

/* Runs the statement, and finds the columns in its rows. */
static void
start(SqlReader *reader)
{
	CsSqlSession *session = reader->session;
	MemoryContext old = MemoryContextSwitchTo(reader->context);
	List *names = NIL;

	for (int i = 0; i < reader->base.base.ncolumns; i++)
		if (reader->base.needed[i])
			names = lappend(names, reader->base.base.columns[i].name);
	if (names == NIL)
		names = list_make1(reader->known[0].name);
	begin_request(reader->login);
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
	const bool *needed = reader->base.needed;

	for (int i = 0; i < reader->base.base.ncolumns; i++)
	{
		const CsColumn *column = &reader->base.base.columns[i];
		int at = cs_column_find(session->columns, session->ncolumns, column->name);

		reader->positions[i] = needed[i] ? at : -1;
		if (needed[i] && (at < 0 || session->columns[at].typid != column->typid))
			ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
							errmsg("column \"%s\" of the source changed while it was being read",
								   column->name),
							errhint("Run it again.")));
	}
}

static bool
next_record(CsTypedReader *typed)
{
	SqlReader *reader = (SqlReader *) typed;
	CsSqlSession *session = reader->session;
	ErrorContextCallback tunnel;

	if (reader->ended)
		return false;
	watch_tunnel(reader, &tunnel);
	if (!reader->started)
		start(reader);
	look_at_clock(reader->login);
	reader->ended = !session->driver->next_row(session);
	error_context_stack = tunnel.previous;
	if (!reader->ended)
		take_row(reader);
	return !reader->ended;
}

/* A driver looks only while it waits, and a row that is there already is not waited for. */
static void
look_at_clock(const CsSqlLogin *login)
{
	if (login->late_at != 0 && cs_clock_steady() >= login->late_at)
		login->throw_late(login);
}

/* The session's row as a record. */
static void
take_row(SqlReader *reader)
{
	CsSqlSession *session = reader->session;
	CsReader *base = &reader->base.base;
	CsRecord *record = &reader->base.record;

	record->error_code = 0;
	base->bytes_read = session->bytes_read;
	for (int i = 0; i < base->ncolumns; i++)
	{
		int at = reader->positions[i];

		record->nulls[i] = at < 0 || session->nulls[at];
		record->values[i] = at < 0 ? (Datum) 0 : session->values[at];
		if (unlikely(session->error_code) && at == session->error_column)
			cs_record_blame(record, i, session->error_code, session->error_message);
	}
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
try_steps(void *arg)
{
	SqlReader *reader = arg;

	connect_to(reader, reader->login);
	reader->login->step = CS_SQL_QUERY;
	if (reader->spec->query || reader->spec->object)
		describe_source(reader);
	else
	{
		begin_request(reader->login);
		reader->session->driver->describe(reader->session, "SELECT 1 AS one");
	}
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
		else if (step == CS_SQL_TLS)
			what = "ok, where it is used"; /* a login that was refused does not say */
		cs_check_step(check, names[step], true, pstrdup(what));
	}
	cs_check_step(check, names[login->step], ok, detail);
}
