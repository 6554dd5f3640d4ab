/*
 * auth.h
 *		Credentials of a user mapping on the wire: none, basic, bearer, API
 *		key in a header or query parameter, OAuth 2 client credentials.
 */
#ifndef CS_AUTH_H
#define CS_AUTH_H

#include "net/http.h"

/* What a user mapping says; NULL where it says nothing.  Owned by the caller. */
typedef struct CsCredentials
{
	const char *user; /* basic */
	const char *password;
	const char *token; /* bearer */
	const char *api_key;
	const char *api_key_header;	   /* header to carry api_key, default X-API-Key */
	const char *api_key_parameter; /* query parameter to carry it instead */
	const char *client_id;		   /* OAuth 2 client credentials (RFC 6749, 4.4) */
	const char *client_secret;
	const char *token_url;
	const char *scope;
	const char *client_auth; /* "basic" (default) or "body" */
} CsCredentials;

typedef struct CsAuth CsAuth;

/* Throws 22023 when options contradict each other.  In CurrentMemoryContext. */
extern CsAuth *cs_auth_create(const CsCredentials *credentials);

/* Checks the same without creating anything, for the option validator. */
extern void cs_auth_validate(const CsCredentials *credentials);

/* Every secret, encoded forms included, for CsHttpOptions.secrets. Grows when a token is fetched. */
extern List *cs_auth_secrets(CsAuth *auth);

/* Can they be put into a request without fetching anything first? */
extern bool cs_auth_is_ready(const CsAuth *auth);

/* Puts the credentials into request; fetches an OAuth token with http first when there is none or it is
 * about to expire (the token's expiry is taken from expires_in, number or string, when given). */
extern void cs_auth_apply(CsAuth *auth, CsHttp *http, CsHttpRequest *request);

/* After a 401: forgets the token.  Returns whether trying once more makes sense. */
extern bool cs_auth_renew(CsAuth *auth);

#endif /* CS_AUTH_H */
