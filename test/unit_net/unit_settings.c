/*
 * unit_settings.c
 *		The settings that the network layer reads, for its unit tests.
 */
#include "postgres.h"

#include <limits.h>

#include "base/settings.h"
#include "fmgr.h"
#include "net/address.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

char *cs_allowed_hosts;
int cs_http_retries;
int cs_http_max_wait_s;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	DefineCustomStringVariable("censync.allowed_hosts", "Hosts and networks to reach.", NULL,
							   &cs_allowed_hosts, "", PGC_SUSET, 0, cs_allowed_hosts_check,
							   cs_allowed_hosts_assign, NULL);
	DefineCustomIntVariable("censync.http_retries", "Repetitions of a request.", NULL,
							&cs_http_retries, 3, 0, 100, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("censync.http_max_wait", "Longest wait asked for.", NULL,
							&cs_http_max_wait_s, 60, 0, INT_MAX / 1000, PGC_USERSET, GUC_UNIT_S,
							NULL, NULL, NULL);
}
