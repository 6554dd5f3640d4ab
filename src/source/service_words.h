/*
 * service_words.h
 *		What services say of their errors, as errors of this server.
 */
#ifndef CS_SERVICE_WORDS_H
#define CS_SERVICE_WORDS_H

#include "net/http.h"

/* The SQLSTATE of a service as one that may be thrown here, or 0: it is none, or says nothing.  A statement
 * canceled there is none canceled here. */
extern int cs_service_sqlstate(const char *state);

/* Throws what a service said, without secrets of http: its first line is the message; the others and facts,
 * sentences or NULL, are the detail. */
extern void cs_service_throw(CsHttp *http, int sqlstate, const char *said, const char *facts,
							 const char *hint) pg_attribute_noreturn();

/* What a status of HTTP means where the service says no more. */
extern int cs_service_status_code(int status);

#endif /* CS_SERVICE_WORDS_H */
