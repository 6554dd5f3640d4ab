/*
 * service_internal.h
 *		What the reader of services and its sessions share.
 */
#ifndef CS_SERVICE_INTERNAL_H
#define CS_SERVICE_INTERNAL_H

#include "source/service.h"

/* A session of the service for spec, with its client, in CurrentMemoryContext. */
extern CsServiceSession *cs_service_session(const CsService *service, const CsReadSpec *spec);

/* Another client of it. */
extern CsHttp *cs_service_client(CsServiceSession *session);

/* Sends a request that is authorized unless it is foreign; renews credentials once, and throws for statuses
 * from 300 on but for the one allowed.  Returns the status. */
extern int cs_service_exchange(CsServiceSession *session, CsHttp *http, CsHttpRequest *request,
							   bool foreign, int allowed);

#endif /* CS_SERVICE_INTERNAL_H */
