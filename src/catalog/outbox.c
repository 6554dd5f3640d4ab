/*
 * outbox.c
 *		Deliveries to webhooks, from the outbox to their end.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "catalog/definition.h"
#include "catalog/events.h"
#include "catalog/spi.h"

/* A clock that was put back must not make anybody wait for longer than the longest wait there is. */
#define IS_DUE                                                                                     \
	"d.status = 'pending' AND (d.next_attempt_at <= clock_timestamp() "                            \
	"OR d.next_attempt_at > clock_timestamp() + interval '61 min') "                               \
	"AND NOT EXISTS (SELECT FROM censync.outbox b WHERE b.status = 'pending' AND b.holds "         \
	"AND b.server_oid = d.server_oid AND b.owner_oid = d.owner_oid "                               \
	"AND b.delivery_id < d.delivery_id) "

static CsDelivery *next_one(Oid caller, bool tried);
static void end(const CsDelivery *delivery, const char *status, const char *error);

/*
 * In the order in which they were written, but for those that wait for their next attempt; and behind one
 * that holds, those of the same webhook wait with it.  Who has not answered before comes last, so that others
 * need not wait for him again.
 */
CsDelivery *
cs_outbox_next(Oid caller)
{
	CsDelivery *delivery = next_one(caller, false);

	return delivery ? delivery : next_one(caller, true);
}

bool
cs_outbox_is_due(void)
{
	return cs_catalog_hits("SELECT FROM censync.outbox d WHERE " IS_DUE "LIMIT 1", NULL);
}

void
cs_outbox_delivered(const CsDelivery *delivery)
{
	end(delivery, "delivered", NULL);
}

void
cs_outbox_failed(const CsDelivery *delivery, const char *error, TimestampTz again_at, bool holds)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };

	if (again_at == 0)
	{
		end(delivery, "failed", error);
		return;
	}
	cs_catalog_begin(&access);
	cs_args_add_int8(&args, delivery->delivery_id);
	cs_args_add_text(&args, error);
	cs_args_add(&args, TIMESTAMPTZOID, TimestampTzGetDatum(again_at), false);
	cs_args_add(&args, BOOLOID, BoolGetDatum(holds), false);
	cs_catalog_execute("UPDATE censync.outbox SET attempts = attempts + 1, last_error = $2, "
					   "next_attempt_at = $3, holds = $4 WHERE delivery_id = $1",
					   &args);
	cs_catalog_end(&access);
}

static CsDelivery *
next_one(Oid caller, bool tried)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };
	CsDelivery *delivery = NULL;
	bool isnull;

	cs_catalog_begin(&access);
	cs_args_add(&args, OIDOID, ObjectIdGetDatum(caller), false);
	cs_args_add(&args, BOOLOID, BoolGetDatum(tried), false);
	cs_args_add_text(&args, cs_home());
	if (cs_catalog_execute(
			"SELECT d.delivery_id, d.event_id, d.event, d.owner_oid, d.server_oid, "
			"d.body, d.attempts, d.created_at, d.home = $3 FROM censync.outbox d WHERE " IS_DUE
			"AND pg_has_role($1, d.owner_oid, 'USAGE') AND (d.attempts > 0) = $2 "
			"ORDER BY d.delivery_id LIMIT 1",
			&args) > 0)
	{
		delivery = MemoryContextAllocZero(access.caller, sizeof(CsDelivery));
		delivery->delivery_id = DatumGetInt64(cs_catalog_datum(0, 1, &isnull));
		delivery->event_id = cs_catalog_text(&access, 0, 2);
		delivery->event = cs_catalog_text(&access, 0, 3);
		delivery->owner = DatumGetObjectId(cs_catalog_datum(0, 4, &isnull));
		delivery->server = DatumGetObjectId(cs_catalog_datum(0, 5, &isnull));
		delivery->body = cs_catalog_text(&access, 0, 6);
		delivery->attempts = DatumGetInt32(cs_catalog_datum(0, 7, &isnull));
		delivery->created_at = DatumGetTimestampTz(cs_catalog_datum(0, 8, &isnull));
		delivery->at_home = DatumGetBool(cs_catalog_datum(0, 9, &isnull));
	}
	cs_catalog_end(&access);
	return delivery;
}

static void
end(const CsDelivery *delivery, const char *status, const char *error)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };

	cs_catalog_begin(&access);
	cs_args_add_int8(&args, delivery->delivery_id);
	cs_args_add_text(&args, status);
	cs_args_add_text(&args, error);
	cs_catalog_execute("UPDATE censync.outbox SET attempts = attempts + 1, status = $2, "
					   "holds = false, finished_at = clock_timestamp(), "
					   "last_error = coalesce($3, last_error) WHERE delivery_id = $1",
					   &args);
	cs_catalog_end(&access);
}
