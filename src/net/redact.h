/*
 * redact.h
 *		Text from elsewhere made fit for a message, a log or a table.
 */
#ifndef CS_REDACT_H
#define CS_REDACT_H

#include "nodes/pg_list.h"

/* At most max_len bytes of text, valid in the server's encoding (anything else becomes '?'), control
 * characters as spaces, every one of the secrets (char *, of 4 bytes and more) replaced by ***, also
 * where it appears percent-encoded, base64-encoded or JSON-escaped.  "..." marks a cut. */
extern char *cs_redact(const char *text, int len, int max_len, List *secrets);

/* The same without cut and without touching anything but secrets: for payloads. */
extern char *cs_redact_secrets(const char *text, List *secrets);

#endif /* CS_REDACT_H */
