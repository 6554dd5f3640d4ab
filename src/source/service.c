/*
 * service.c
 *		The reader of services that answer over HTTP with pages of rows.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "source/service_internal.h"

/* Requests that are on their way at a time, at most. */
#define MAX_PARALLEL 16

/* Rows between looks at what has arrived meanwhile. */
#define ROWS_BETWEEN_LOOKS 64

/* Of a body, where the next part may be named. */
#define MAX_END (64 * 1024)

/* A part that is asked for, and the client that asks. */
typedef struct ServiceSlot
{
	CsHttp *http;
	MemoryContext context; /* of the part; emptied for the next */
	CsServicePart part;
	bool ahead; /* it was sent, and nobody has waited for the answer yet */
} ServiceSlot;

/* In the context of the reader, as is what it points to unless said otherwise. */
typedef struct ServiceReader
{
	CsTypedReader base; /* must be first */
	CsServiceSession *session;
	ServiceSlot slots[MAX_PARALLEL]; /* a ring */
	int nslots;
	int first;					/* of the ring: the part that is being read */
	int count;					/* parts in it */
	bool all_asked;				/* next_part has no more */
	bool narrowed;				/* the session knows which columns are needed */
	int *positions;				/* per column of base: among the session's */
	CsProjection projection;	/* the session's columns */
	MemoryContext part_context; /* of the decoder */
	CsDecoder *decoder;			/* of the part that is being read, or NULL */
	bool drained;				/* its body has ended */
	bool part_fed;				/* an answer that was there before has been fed */
	bool guessed; /* what the next part is; it was asked for if there was something to guess */
	int64 part_rows;
	int64 rows;			/* of all parts */
	int64 bytes_before; /* read by clients that are done with their part, and by the session's */
	MemoryContext row;	/* values of the current row */
	bool ended;
} ServiceReader;

static ServiceReader *create_reader(const CsSourceType *type, const CsReadSpec *spec);
static bool next_record(CsTypedReader *typed);
static void start(ServiceReader *reader);
static int position_of(const ServiceReader *reader, int i);
static void set_up_projection(ServiceReader *reader);
static bool begin_part(ServiceReader *reader);
static void ask_for_parts(ServiceReader *reader);
static bool ask(ServiceReader *reader, ServiceSlot *slot, bool ahead);
static void await_answer(ServiceReader *reader, ServiceSlot *slot);
static void follow_link(CsServiceSession *session, ServiceSlot *slot);
static void start_decoder(ServiceReader *reader, const CsServicePart *part);
static void look_ahead(ServiceReader *reader);
static char *end_of_body(CsHttp *http);
static void read_some(ServiceReader *reader);
static void end_part(ServiceReader *reader);
static void check_total(ServiceReader *reader);
static bool take_row(ServiceReader *reader, CsRecord *raw);
static bool is_blank(const ServiceReader *reader, const CsRecord *raw);

CsReader *
cs_service_open(const CsSourceType *type, const CsReadSpec *spec)
{
	ServiceReader *reader = create_reader(type, spec);
	CsServiceSession *session = reader->session;

	session->service->describe(session);
	cs_typed_set_columns(&reader->base, session->columns, session->ncolumns, spec->wanted);
	reader->base.base.since = session->since;
	return &reader->base.base;
}

List *
cs_service_list(const CsSourceType *type, const CsReadSpec *spec, const char *schema, List *only)
{
	CsServiceSession *session = create_reader(type, spec)->session;

	return session->service->list(session, schema, only);
}

bool
cs_service_takes(const CsSourceType *type, const CsReadSpec *spec, const CsColumn *column,
				 CsComparison comparison, Oid type_of_value, bool *exactly)
{
	const CsService *service = (const CsService *) type;

	if (service->takes)
		return service->takes(spec, column, comparison, type_of_value, exactly);
	return service->dialect &&
		   cs_dialect_takes(service->dialect, spec, column, comparison, type_of_value, exactly);
}

char *
cs_service_statement(const CsSourceType *type, const CsReadSpec *spec)
{
	const CsService *service = (const CsService *) type;

	return service->statement ? service->statement(spec) : NULL;
}

static ServiceReader *
create_reader(const CsSourceType *type, const CsReadSpec *spec)
{
	const CsService *service = (const CsService *) type;
	ServiceReader *reader = palloc0(sizeof(ServiceReader));

	reader->session = cs_service_session(service, spec);
	reader->part_context =
		AllocSetContextCreate(CurrentMemoryContext, "censync part", ALLOCSET_DEFAULT_SIZES);
	reader->row =
		AllocSetContextCreate(CurrentMemoryContext, "censync row", ALLOCSET_DEFAULT_SIZES);
	cs_typed_init(&reader->base, next_record);
	return reader;
}

static bool
next_record(CsTypedReader *typed)
{
	ServiceReader *reader = (ServiceReader *) typed;
	MemoryContext old;
	CsRecord raw;
	bool found;
	bool taken;

	if (!reader->narrowed)
		start(reader);
	while (!reader->ended)
	{
		if (reader->decoder == NULL && !begin_part(reader))
		{
			check_total(reader);
			reader->ended = true;
			break;
		}
		MemoryContextReset(reader->row);
		old = MemoryContextSwitchTo(reader->row);
		found = cs_decoder_next(reader->decoder, &raw);
		taken = found && take_row(reader, &raw);
		MemoryContextSwitchTo(old);
		if (found && reader->part_rows % ROWS_BETWEEN_LOOKS == 0)
			look_ahead(reader);
		if (taken)
			return true;
		if (found)
			continue;
		if (reader->drained)
			end_part(reader);
		else
			read_some(reader);
	}
	return false;
}

/* The columns that are needed are known now. */
static void
start(ServiceReader *reader)
{
	CsServiceSession *session = reader->session;
	CsReader *base = &reader->base.base;
	MemoryContext old = MemoryContextSwitchTo(session->context);
	bool *needed = palloc0(sizeof(bool) * Max(1, session->ncolumns));
	const char *parallel = cs_option_get(session->options, "parallel");

	reader->positions = palloc(sizeof(int) * Max(1, base->ncolumns));
	for (int i = 0; i < base->ncolumns; i++)
	{
		int at = cs_column_find(session->columns, session->ncolumns, base->columns[i].name);

		if (at >= 0 && reader->base.needed[i])
			needed[at] = true;
	}
	if (session->service->narrow)
		session->service->narrow(session, needed);
	for (int i = 0; i < base->ncolumns; i++)
		reader->positions[i] = reader->base.needed[i] ? position_of(reader, i) : -1;
	base->total = Max(session->total, 0);
	reader->nslots = session->service->sequential || session->spec->partial ? 1
					 : parallel ? Min(MAX_PARALLEL, cs_option_int(parallel))
								: 4;
	set_up_projection(reader);
	reader->narrowed = true;
	MemoryContextSwitchTo(old);
}

static int
position_of(const ServiceReader *reader, int i)
{
	const CsServiceSession *session = reader->session;
	const CsColumn *column = &reader->base.base.columns[i];
	int at = cs_column_find(session->columns, session->ncolumns, column->name);

	if (at < 0 || session->columns[at].typid != column->typid)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("column \"%s\" of the source changed while it was being read",
							   column->name),
						errhint("Run it again.")));
	return at;
}

static void
set_up_projection(ServiceReader *reader)
{
	const CsServiceSession *session = reader->session;
	CsProjection *projection = &reader->projection;

	bool spread = session->service->spread != NULL && session->members != NULL;

	projection->ncolumns = spread ? session->nmembers : session->ncolumns;
	projection->names = palloc(sizeof(char *) * Max(1, projection->ncolumns));
	projection->seen = palloc0(sizeof(bool) * Max(1, projection->ncolumns));
	for (int i = 0; i < projection->ncolumns; i++)
		projection->names[i] = spread ? session->members[i] : session->columns[i].name;
}

/* False: there are no more. */
static bool
begin_part(ServiceReader *reader)
{
	ServiceSlot *slot;

	ask_for_parts(reader);
	if (reader->count == 0)
		return false;
	slot = &reader->slots[reader->first];
	if (slot->part.answer == NULL)
		await_answer(reader, slot);
	start_decoder(reader, &slot->part);
	return true;
}

/* As many as may be on their way. */
static void
ask_for_parts(ServiceReader *reader)
{
	while (reader->count < reader->nslots && !reader->all_asked)
	{
		ServiceSlot *slot = &reader->slots[(reader->first + reader->count) % reader->nslots];

		if (!ask(reader, slot, reader->count > 0))
			reader->all_asked = true;
		else
			reader->count++;
	}
}

/* False: there is no such part. */
static bool
ask(ServiceReader *reader, ServiceSlot *slot, bool ahead)
{
	CsServiceSession *session = reader->session;
	MemoryContext old = MemoryContextSwitchTo(session->context);
	bool found;

	if (slot->context == NULL)
	{
		slot->context =
			AllocSetContextCreate(session->context, "censync request", ALLOCSET_SMALL_SIZES);
		/* Later than the session's, and so gone earlier. */
		slot->http = cs_service_client(session);
		cs_http_join(slot->http, session->http);
	}
	MemoryContextReset(slot->context);
	MemoryContextSwitchTo(slot->context);
	memset(&slot->part, 0, sizeof(slot->part));
	slot->part.request.method = "GET";
	slot->part.request.repeatable = true;
	slot->part.expected = -1;
	found = session->service->next_part(session, &slot->part);
	slot->ahead = false;
	if (found && !slot->part.foreign && slot->part.answer == NULL)
		(void) session->service->authorize(session, &slot->part.request, false);
	if (found && ahead && strcmp(slot->part.request.method, "GET") == 0 &&
		cs_http_may_send_ahead(slot->http))
		slot->ahead = cs_http_send_ahead(slot->http, &slot->part.request);
	MemoryContextSwitchTo(old);
	return found;
}

static void
await_answer(ServiceReader *reader, ServiceSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(slot->context);

	if (slot->part.foreign && reader->session->service->again)
		follow_link(reader->session, slot);
	else
		(void) cs_service_exchange(reader->session, slot->http, &slot->part.request,
								   slot->part.foreign, 0);
	slot->ahead = false;
	MemoryContextSwitchTo(old);
}

static void
follow_link(CsServiceSession *session, ServiceSlot *slot)
{
	int status = cs_http_exchange(slot->http, &slot->part.request);

	if (status >= 400 && status < 500)
	{
		session->service->again(session, &slot->part);
		status = cs_http_exchange(slot->http, &slot->part.request);
	}
	if (status >= 300)
		cs_http_throw_status(slot->http);
}

static void
start_decoder(ServiceReader *reader, const CsServicePart *part)
{
	CsDecoderOptions options = { 0 };
	MemoryContext old = MemoryContextSwitchTo(reader->part_context);

	options.format = CS_FORMAT_JSON;
	options.records = part->records;
	options.shape = part->shape;
	options.ragged = part->ragged;
	options.may_lack_records = part->may_lack_records;
	reader->decoder = cs_decoder_create(&options, &reader->projection);
	reader->drained = reader->part_fed = reader->guessed = false;
	reader->part_rows = 0;
	MemoryContextSwitchTo(old);
}

/* Once the part has arrived completely, the next one is asked for if it can be guessed. */
static void
look_ahead(ServiceReader *reader)
{
	CsServiceSession *session = reader->session;
	ServiceSlot *slot = &reader->slots[reader->first];
	CsHttpRequest *next;
	MemoryContext old;

	if (session->service->guess_next == NULL || session->spec->partial || slot->part.answer)
		return;
	/* What was sent goes on meanwhile, too. */
	cs_http_work(slot->http);
	if (reader->guessed || !cs_http_may_send_ahead(slot->http))
		return;
	reader->guessed = true;
	old = MemoryContextSwitchTo(reader->part_context);
	next = session->service->guess_next(session, cs_decoder_envelope_so_far(reader->decoder),
										end_of_body(slot->http));
	if (next)
	{
		next->credentials = slot->part.request.credentials;
		next->secret_query = slot->part.request.secret_query;
		(void) cs_http_send_ahead(slot->http, next);
	}
	MemoryContextSwitchTo(old);
}

/* As much of it as anything that tells of the next part can take; NULL: there is no knowing. */
static char *
end_of_body(CsHttp *http)
{
	const char *data;
	size_t len;

	if (!cs_http_end_of_body(http, &data, &len))
		return NULL;
	return pnstrdup(data + len - Min(len, MAX_END), Min(len, MAX_END));
}

/* A piece of the part's body; meanwhile the others may arrive. */
static void
read_some(ServiceReader *reader)
{
	CsHttp *http = reader->slots[reader->first].http;
	CsServicePart *part = &reader->slots[reader->first].part;
	MemoryContext old = MemoryContextSwitchTo(reader->part_context);
	const char *data;
	size_t len;

	for (int i = 1; i < reader->count; i++)
		cs_http_work(reader->slots[(reader->first + i) % reader->nslots].http);
	if (!reader->part_fed && part->answer)
	{
		cs_decoder_feed(reader->decoder, part->answer, strlen(part->answer));
		reader->part_fed = true;
	}
	else if (part->answer == NULL && cs_http_read(http, &data, &len))
		cs_decoder_feed(reader->decoder, data, len);
	else
	{
		cs_decoder_finish(reader->decoder);
		reader->drained = true;
	}
	reader->base.base.bytes_read = cs_http_bytes(reader->session->http);
	for (int i = 0; i < reader->nslots && reader->slots[i].http; i++)
		reader->base.base.bytes_read += cs_http_bytes(reader->slots[i].http);
	MemoryContextSwitchTo(old);
}

static void
end_part(ServiceReader *reader)
{
	CsServiceSession *session = reader->session;
	const CsServicePart *part = &reader->slots[reader->first].part;

	if (part->expected >= 0 && reader->part_rows != part->expected)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 errmsg("the source sent " INT64_FORMAT " of the " INT64_FORMAT
						" rows that it announced for a part of the result",
						reader->part_rows, part->expected),
				 errhint("Nothing was changed. Run it again; if it happens again, the source "
						 "is at fault.")));
	reader->rows += reader->part_rows;
	if (session->service->end_part)
	{
		MemoryContext old = MemoryContextSwitchTo(reader->part_context);

		session->service->end_part(session, cs_decoder_envelope(reader->decoder),
								   reader->part_rows);
		MemoryContextSwitchTo(old);
		reader->base.base.total = Max(session->total, 0);
	}
	reader->decoder = NULL;
	MemoryContextReset(reader->part_context);
	reader->first = (reader->first + 1) % reader->nslots;
	reader->count--;
}

static void
check_total(ServiceReader *reader)
{
	const CsServiceSession *session = reader->session;

	if (session->total >= 0 && reader->rows != session->total)
		ereport(ERROR, (errcode(ERRCODE_FDW_ERROR),
						errmsg("the source announced " INT64_FORMAT " rows and sent " INT64_FORMAT,
							   session->total, reader->rows),
						errhint("Nothing was changed. Run it again; if it happens again, the "
								"source is at fault.")));
	if (!session->always_farewell)
		cs_service_set_farewell(reader->session, NULL);
}

/* A row of the service as a record; false: it is none. */
static bool
take_row(ServiceReader *reader, CsRecord *raw)
{
	CsServiceSession *session = reader->session;
	CsReader *base = &reader->base.base;
	CsRecord *record = &reader->base.record;

	reader->part_rows++;
	if (session->members && session->service->spread)
		raw->fields = session->service->spread(session, raw);
	if (reader->slots[reader->first].part.skip_blank && is_blank(reader, raw))
		return false;
	record->error_code = raw->error_code;
	record->error_message = raw->error_message;
	record->error_column = 0;
	record->raw = raw->error_code ? cs_decoder_record_json(reader->decoder, raw) : NULL;
	for (int i = 0; i < base->ncolumns; i++)
	{
		int at = reader->positions[i];
		char *why = NULL;

		record->nulls[i] = raw->error_code || at < 0 || raw->fields[at].kind == CS_VALUE_NULL;
		record->values[i] = 0;
		if (record->nulls[i])
			continue;
		session->cells[at].is_null = false;
		record->values[i] = session->cells[at].read(&session->cells[at], &raw->fields[at], &why);
		record->nulls[i] = session->cells[at].is_null;
		record->nulls[i] |= why != NULL;
		if (unlikely(why) && record->error_code == 0)
			cs_record_blame(record, i, ERRCODE_DATATYPE_MISMATCH, why);
	}
	return true;
}

static bool
is_blank(const ServiceReader *reader, const CsRecord *raw)
{
	for (int i = 0; !raw->error_code && i < reader->projection.ncolumns; i++)
		if (raw->fields[i].kind != CS_VALUE_NULL && raw->fields[i].len > 0)
			return false;
	return !raw->error_code;
}
