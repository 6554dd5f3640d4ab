/*
 * deliver.c
 *		Telling webhooks what waits in the outbox.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "catalog/events.h"
#include "catalog/locks.h"
#include "source/webhook.h"
#include "sync/deliver.h"

/* Seconds before the second attempt; doubled each time, up to an hour. */
#define FIRST_WAIT_S 10
#define LONGEST_WAIT_S 3600

/* Seconds for which a session that has something else to do goes on. */
#define BRIEFLY_S 5

static void note(const CsDelivery *delivery, const CsWebhookAnswer *answer);
static bool is_there(const CsDelivery *delivery);
static TimestampTz next_attempt(const CsDelivery *delivery);

CsDeliverResult
cs_deliver_next(void)
{
	CsDelivery *delivery;
	CsWebhookAnswer *answer;

	CHECK_FOR_INTERRUPTS();
	/* After a run has let go of it, the extension may be gone, or be going. */
	if (!cs_extension_try_lock())
		return CS_DELIVER_NOTHING;
	/* One at a time, so that each webhook hears in the order in which things happened. */
	if (!cs_deliver_lock())
		return CS_DELIVER_NOTHING;
	/* A snapshot of our own, so that none is left behind while the webhook is waited for. */
	PushActiveSnapshot(GetTransactionSnapshot());
	delivery = cs_outbox_next(GetUserId());
	PopActiveSnapshot();
	if (delivery == NULL)
		return CS_DELIVER_NOTHING;
	answer = delivery->at_home && is_there(delivery)
				 ? cs_webhook_send(delivery->server, delivery->owner, delivery->event_id,
								   delivery->event, delivery->body)
				 : NULL;
	PushActiveSnapshot(GetTransactionSnapshot());
	note(delivery, answer);
	PopActiveSnapshot();
	return answer && answer->delivered ? CS_DELIVER_DONE : CS_DELIVER_FAILED;
}

/* A transaction begins without a snapshot, so that none is held while a webhook is waited for. */
void
cs_deliver_all(bool briefly)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context =
		AllocSetContextCreate(caller, "censync delivery", ALLOCSET_DEFAULT_SIZES);
	TimestampTz end = cs_clock_steady() + BRIEFLY_S * USECS_PER_SEC;
	CsDeliverResult result;

	do
	{
		SPI_commit();
		/* Others must not be able to fail who has something else to do. */
		XactIsoLevel = XACT_READ_COMMITTED;
		MemoryContextSwitchTo(context);
		result = cs_deliver_next();
		MemoryContextSwitchTo(caller);
		MemoryContextReset(context);
		if (briefly && (result == CS_DELIVER_FAILED || cs_clock_steady() > end))
			break;
	} while (result != CS_DELIVER_NOTHING);
	SPI_commit();
	MemoryContextDelete(context);
}

static bool
is_there(const CsDelivery *delivery)
{
	return SearchSysCacheExists1(FOREIGNSERVEROID, ObjectIdGetDatum(delivery->server)) &&
		   SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(delivery->owner));
}

/* answer NULL: there is nobody to be told any more. */
static void
note(const CsDelivery *delivery, const CsWebhookAnswer *answer)
{
	if (!delivery->at_home)
		cs_outbox_failed(delivery, "it came here with a copy of the database, or with pg_upgrade",
						 0, false);
	else if (answer == NULL)
		cs_outbox_failed(delivery, "the webhook does not exist any more", 0, false);
	else if (answer->delivered)
		cs_outbox_delivered(delivery);
	else
		cs_outbox_failed(delivery, answer->error, next_attempt(delivery), !answer->of_event);
}

/* 0: it is given up. */
static TimestampTz
next_attempt(const CsDelivery *delivery)
{
	TimestampTz now = GetCurrentTimestamp();
	int wait_s = delivery->attempts < 10 ? Min(FIRST_WAIT_S << delivery->attempts, LONGEST_WAIT_S)
										 : LONGEST_WAIT_S;

	if (now >= delivery->created_at + CS_DELIVER_FOR_S * USECS_PER_SEC)
		return 0;
	return now + wait_s * USECS_PER_SEC;
}
