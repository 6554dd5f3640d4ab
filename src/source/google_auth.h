/*
 * google_auth.h
 *		Access tokens for Google's services: of a service account's key, given
 *		as they are, or of the metadata server.
 */
#ifndef CS_GOOGLE_AUTH_H
#define CS_GOOGLE_AUTH_H

#include "source/service.h"

typedef struct CsGoogleAuth CsGoogleAuth;

/* By the options of the session, which gets its secrets and hosts; scope: what tokens are asked for.  Throws
 * 28000 if there are no credentials or more than one kind of them, 22023 for a key that is none. */
extern CsGoogleAuth *cs_google_auth_create(CsServiceSession *session, CsOptionSet *options,
										   const char *scope);

/* The project of the key, or of the metadata server; NULL: nobody says. */
extern char *cs_google_auth_project(CsGoogleAuth *auth, CsServiceSession *session);

/* The account's address, for hints; NULL: unknown. */
extern const char *cs_google_auth_account(const CsGoogleAuth *auth);

/* As CsService.authorize. */
extern bool cs_google_authorize(CsGoogleAuth *auth, CsServiceSession *session,
								CsHttpRequest *request, bool renew);

#endif /* CS_GOOGLE_AUTH_H */
