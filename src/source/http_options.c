/*
 * http_options.c
 *		The options that all sources over HTTP share.
 */
#include "postgres.h"

#include "base/settings.h"
#include "source/http_options.h"
#include "source/ssh.h"

CsHttp *
cs_http_client(const CsOptionSet *set, List *hosts, List *secrets)
{
	CsHttpOptions http = { 0 };
	const char *size = cs_option_get(set, "max_response_size");
	const char *rate = cs_option_get(set, "rate_limit");
	int64 cap = (int64) cs_max_response_size_mb * 1024 * 1024;
	CsHttp *client;

	http.allow_http = cs_option_bool(cs_option_get_default(set, "allow_http", "false"));
	http.ca_file = cs_option_get(set, "ca_file");
	http.connect_timeout_s = cs_option_int(cs_option_get_default(set, "connect_timeout", "10"));
	http.timeout_s = cs_option_int(cs_option_get_default(set, "timeout", "3600"));
	http.stall_timeout_s = cs_option_int(cs_option_get_default(set, "stall_timeout", "60"));
	http.max_response_bytes = size ? Min(cap, cs_option_bytes(size)) : cap;
	http.requests_per_second = rate ? cs_option_rate(rate) : 0;
	http.server = set->serverid;
	http.secrets = secrets;
	http.tunnel = cs_ssh_spec(set);
	http.tunnel_hosts = http.tunnel ? hosts : NIL;
	client = cs_http_create(&http);
	(void) cs_http_allow_unproven_end(
		client, strcmp(cs_option_get_default(set, "end_of_body", "proven"), "close") == 0);
	return client;
}

void
cs_http_report_steps(CsCheck *check, CsHttpStep reached, bool ok, bool tls, bool tunneled,
					 char *detail)
{
	static const char *const names[] = {
		"resolve", "ssh", "connect", "tls", "authenticate", "query"
	};

	for (int step = CS_HTTP_RESOLVE; step < (int) reached; step++)
		if (step != CS_HTTP_SSH || tunneled)
			cs_check_step(
				check, names[step], true,
				pstrdup(step == CS_HTTP_TLS && !tls ? "not used: the url is http" : "ok"));
	cs_check_step(check, names[reached], ok, detail);
}
