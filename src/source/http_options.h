/*
 * http_options.h
 *		The options that all sources over HTTP share.
 */
#ifndef CS_HTTP_OPTIONS_H
#define CS_HTTP_OPTIONS_H

#include "net/http.h"
#include "source/check.h"
#include "source/options.h"

/* A client in CurrentMemoryContext as the options say; hosts (char *) are those that a tunnel may be asked
 * for, secrets (char *) what no message may show. */
extern CsHttp *cs_http_client(const CsOptionSet *options, List *hosts, List *secrets);

/* censync_check: the steps before the one that was reached went well; that one did or did not. */
extern void cs_http_report_steps(CsCheck *check, CsHttpStep reached, bool ok, bool tls,
								 bool tunneled, char *detail);

#endif /* CS_HTTP_OPTIONS_H */
