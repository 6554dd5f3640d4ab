/*
 * webhook.h
 *		Servers of type "webhook": where events are told, signed.
 */
#ifndef CS_WEBHOOK_H
#define CS_WEBHOOK_H

#include "source/reader.h"

/* Every event there is, in the order of a run's life. */
#define CS_WEBHOOK_EVENTS                                                                          \
	"sync.triggered, sync.started, sync.completed, sync.success, sync.failed, alert.raised, "      \
	"alert.resolved"

/* Its row in the registry: cannot be read; censync_check sends it the event "test". */
extern const CsSourceType cs_webhook_type;

/* Is this a list of events, "sync.*" and "alert.*"? */
extern bool cs_webhook_events_are_known(const char *list);

/* Is this server, of whatever type and wrapper, a webhook that wants to be told of that event? */
extern bool cs_webhook_wants(Oid serverid, const char *event);

/* What became of an attempt. */
typedef struct CsWebhookAnswer
{
	bool delivered; /* status 2xx */
	bool of_event;	/* if not: the answer is about this event; others may fare better */
	char *error;	/* redacted; NULL if delivered */
} CsWebhookAnswer;

/* Sends a body as that user (his mapping, and none of his privileges).  Throws nothing but a cancel and what
 * ends the session; needs no snapshot and holds none.  Result in CurrentMemoryContext. */
extern CsWebhookAnswer *cs_webhook_send(Oid serverid, Oid userid, const char *event_id,
										const char *event, const char *body);

#endif /* CS_WEBHOOK_H */
