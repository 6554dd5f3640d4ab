/*
 * events.c
 *		What others are told of runs and alerts: NOTIFY, and the outbox of webhooks.
 *
 * Whoever listens need not be the owner of the sync, so a notification says
 * what happened and not why: no message, no value.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "commands/dbcommands.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/settings.h"
#include "catalog/definition.h"
#include "catalog/events.h"
#include "catalog/spi.h"
#include "source/webhook.h"

/* Bytes of a sync's name in a notification, which has room for 8000 in all. */
#define MAX_NOTIFIED_NAME 1000

static void notify(const char *name, const CsEvent *event, const char *id, const char *at);
static void tell_webhooks(const char *name, const CsEvent *event, const char *id, const char *at);
static List *webhooks_that_want(const char *name, Oid owner);
static bool has_mapping(Oid userid, Oid serverid);
static bool may_use(Oid userid, Oid serverid);
static void put_in_outbox(Oid serverid, const char *name, const CsEvent *event, const char *id,
						  const char *body);
static char *make_body(const char *name, const CsEvent *event, const char *id, const char *at);
static void put_counts(StringInfo json, const CsRunCounts *counts);
static char *summary(const char *name, const CsEvent *event);
static void put_text(StringInfo json, const char *name, const char *value);
static void put_number(StringInfo json, const char *name, int64 value);
static void put_time(StringInfo json, const char *name, TimestampTz value);
static char *time_text(TimestampTz value);
static char *new_id(void);

void
cs_event_tell(const char *name, const CsEvent *event)
{
	char *id = new_id();
	char *at = time_text(GetCurrentTimestamp());

	if (cs_notify)
		notify(name, event, id, at);
	if (OidIsValid(event->owner))
		tell_webhooks(name, event, id, at);
}

void
cs_event_tell_end(const CsEvent *event)
{
	cs_event_tell("sync.completed", event);
	cs_event_tell(event->error ? "sync.failed" : "sync.success", event);
}

static void
notify(const char *name, const CsEvent *event, const char *id, const char *at)
{
	StringInfoData json;

	initStringInfo(&json);
	put_text(&json, "id", id);
	put_text(&json, "event", name);
	put_text(&json, "at", at);
	put_text(
		&json, "sync",
		pnstrdup(event->sync, pg_mbcliplen(event->sync, strlen(event->sync), MAX_NOTIFIED_NAME)));
	put_number(&json, "run_id", event->run_id);
	put_text(&json, "status", event->status);
	put_text(&json, "error_code", event->error ? cs_error_state(event->error->code) : NULL);
	put_text(&json, "alert", event->alert);
	put_text(&json, "message", event->message);
	appendStringInfoChar(&json, '}');
	Async_Notify(CS_EVENT_CHANNEL, json.data);
}

static void
tell_webhooks(const char *name, const CsEvent *event, const char *id, const char *at)
{
	List *webhooks = webhooks_that_want(name, event->owner);
	char *body;
	ListCell *lc;

	if (webhooks == NIL)
		return;
	body = make_body(name, event, id, at);
	foreach (lc, webhooks)
		put_in_outbox(lfirst_oid(lc), name, event, id, body);
}

/* Servers are few, and looked at without a plan: most databases have no webhook.  Any of them may be dropped
 * meanwhile, and nobody waits for that. */
static List *
webhooks_that_want(const char *name, Oid owner)
{
	List *webhooks = NIL;
	Relation servers = table_open(ForeignServerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(servers, InvalidOid, false, NULL, 0, NULL);
	HeapTuple tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Oid oid = ((Form_pg_foreign_server) GETSTRUCT(tuple))->oid;

		if (cs_webhook_wants(oid, name) && has_mapping(owner, oid) && may_use(owner, oid))
			webhooks = lappend_oid(webhooks, oid);
	}
	systable_endscan(scan);
	table_close(servers, AccessShareLock);
	return webhooks;
}

static bool
has_mapping(Oid userid, Oid serverid)
{
	return SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(userid),
								 ObjectIdGetDatum(serverid)) ||
		   SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid),
								 ObjectIdGetDatum(serverid));
}

/* What has just been found in the cache is there for who looks next. */
static bool
may_use(Oid userid, Oid serverid)
{
	return SearchSysCacheExists1(FOREIGNSERVEROID, ObjectIdGetDatum(serverid)) &&
		   cs_foreign_server_aclcheck(serverid, userid, ACL_USAGE) == ACLCHECK_OK;
}

static void
put_in_outbox(Oid serverid, const char *name, const CsEvent *event, const char *id,
			  const char *body)
{
	ForeignServer *server = GetForeignServerExtended(serverid, FSV_MISSING_OK);
	CsCatalogAccess access;
	CsArgs args = { 0 };

	if (server == NULL)
		return;
	cs_catalog_begin(&access);
	cs_args_add_text(&args, id);
	cs_args_add_text(&args, name);
	cs_args_add_text(&args, event->sync);
	cs_args_add(&args, OIDOID, ObjectIdGetDatum(event->owner), false);
	cs_args_add(&args, OIDOID, ObjectIdGetDatum(serverid), false);
	cs_args_add_text(&args, server->servername);
	cs_args_add_text(&args, body);
	cs_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(GetCurrentTimestamp()), false);
	cs_args_add_text(&args, cs_home());
	cs_catalog_execute("INSERT INTO censync.outbox (event_id, event, sync, owner_oid, server_oid, "
					   "webhook, body, created_at, next_attempt_at, home) "
					   "VALUES ($1::uuid, $2, $3, $4, $5, $6, $7, $8, $8, $9)",
					   &args);
	cs_catalog_end(&access);
}

static char *
make_body(const char *name, const CsEvent *event, const char *id, const char *at)
{
	StringInfoData json;
	const CsError *error = event->error;

	initStringInfo(&json);
	put_text(&json, "id", id);
	put_text(&json, "event", name);
	put_text(&json, "created_at", at);
	put_text(&json, "database", get_database_name(MyDatabaseId));
	put_text(&json, "sync", event->sync);
	put_number(&json, "run_id", event->run_id);
	put_text(&json, "trigger", event->trigger);
	put_text(&json, "status", event->status);
	put_time(&json, "started_at", event->started_at);
	put_time(&json, "finished_at", event->finished_at);
	if (event->counts)
		put_counts(&json, event->counts);
	put_text(&json, "error_code", error ? cs_error_state(error->code) : NULL);
	put_text(&json, "error_message", error ? error->message : NULL);
	put_text(&json, "error_hint", error ? error->hint : NULL);
	put_text(&json, "alert", event->alert);
	put_text(&json, "message", event->message);
	put_text(&json, "text", summary(name, event));
	appendStringInfoChar(&json, '}');
	return json.data;
}

static void
put_counts(StringInfo json, const CsRunCounts *counts)
{
	put_number(json, "records_read", counts->read);
	put_number(json, "records_invalid", counts->invalid);
	put_number(json, "records_rejected", counts->rejected);
	put_number(json, "records_created", counts->created);
	put_number(json, "records_updated", counts->updated);
	put_number(json, "records_deleted", counts->deleted);
	put_number(json, "records_unchanged", counts->unchanged);
	put_number(json, "records_skipped", counts->skipped);
}

/* A sentence for people, under the name that chat services look for. */
static char *
summary(const char *name, const CsEvent *event)
{
	if (event->alert)
		return psprintf("%s of sync %s: %s",
						strcmp(name, "alert.raised") == 0 ? "Alert" : "End of an alert",
						event->sync, event->message);
	if (event->error)
		return psprintf("Run " INT64_FORMAT " of sync %s %s: %s", event->run_id, event->sync,
						event->status, event->error->message);
	return psprintf("Run " INT64_FORMAT " of sync %s: %s", event->run_id, event->sync,
					event->status);
}

static void
put_text(StringInfo json, const char *name, const char *value)
{
	if (value == NULL)
		return;
	appendStringInfo(json, "%s\"%s\": ", json->len ? ", " : "{", name);
	escape_json(json, value);
}

/* Where 0 stands for none, it is left out: run_id alone. */
static void
put_number(StringInfo json, const char *name, int64 value)
{
	if (value != 0 || strcmp(name, "run_id") != 0)
		appendStringInfo(json, "%s\"%s\": " INT64_FORMAT, json->len ? ", " : "{", name, value);
}

static void
put_time(StringInfo json, const char *name, TimestampTz value)
{
	if (value != 0)
		put_text(json, name, time_text(value));
}

/* ISO 8601, UTC. */
static char *
time_text(TimestampTz value)
{
	char buffer[MAXDATELEN + 1];
	int utc = 0;

	return pstrdup(JsonEncodeDateTime(buffer, TimestampTzGetDatum(value), TIMESTAMPTZOID, &utc));
}

/* A random UUID, version 4. */
static char *
new_id(void)
{
	unsigned char bytes[16];
	StringInfoData text;

	if (!pg_strong_random(bytes, sizeof(bytes)))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not get random bytes")));
	bytes[6] = (bytes[6] & 0x0f) | 0x40;
	bytes[8] = (bytes[8] & 0x3f) | 0x80;
	initStringInfo(&text);
	for (int i = 0; i < (int) sizeof(bytes); i++)
		appendStringInfo(&text, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
						 bytes[i]);
	return text.data;
}
