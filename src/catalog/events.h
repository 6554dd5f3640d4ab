/*
 * events.h
 *		What others are told of runs and alerts: NOTIFY, and the outbox of webhooks.
 */
#ifndef CS_EVENTS_H
#define CS_EVENTS_H

#include "datatype/timestamp.h"

#include "catalog/run_log.h"

/* The channel of NOTIFY. */
#define CS_EVENT_CHANNEL "censync"

/* One event; zero-initialized, on the caller's stack, as is all that it points to. */
typedef struct CsEvent
{
	int64 sync_id;
	const char *sync;
	Oid owner;
	int64 run_id;		 /* 0: of no run */
	const char *trigger; /* of the run; this and the rest may be NULL or 0 */
	const char *status;
	TimestampTz started_at;
	TimestampTz finished_at;
	const CsRunCounts *counts;
	const CsError *error;
	const char *alert;	 /* its kind */
	const char *message; /* what it says; holds nothing of a record */
} CsEvent;

/*
 * Tells of an event when the transaction commits, and not at all if it doesn't: by NOTIFY (censync.notify), and
 * by rows in the outbox for those webhooks that want it.  A webhook is a server of type "webhook" on which
 * the owner of the sync has USAGE, and a user mapping.
 */
extern void cs_event_tell(const char *name, const CsEvent *event);

/* sync.completed, and sync.success or sync.failed after it. */
extern void cs_event_tell_end(const CsEvent *event);

/* A delivery that is due.  In CurrentMemoryContext. */
typedef struct CsDelivery
{
	int64 delivery_id;
	char *event_id;
	char *event;
	Oid owner;
	Oid server;
	bool at_home; /* else the two OIDs are of another database, of which this one is a copy */
	char *body;
	int attempts; /* so far */
	TimestampTz created_at;
} CsDelivery;

/* The next one among those that caller has the privileges of the owner of; NULL: none is due. */
extern CsDelivery *cs_outbox_next(Oid caller);

/* Is any delivery due, of whomever? */
extern bool cs_outbox_is_due(void);

/* It was delivered. */
extern void cs_outbox_delivered(const CsDelivery *delivery);

/* It was not.  again_at: when to try again, or 0: never.  holds: the webhook itself is out of order, so that
 * what comes later waits. */
extern void cs_outbox_failed(const CsDelivery *delivery, const char *error, TimestampTz again_at,
							 bool holds);

#endif /* CS_EVENTS_H */
