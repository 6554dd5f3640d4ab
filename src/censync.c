/*
 * censync.c
 *		Module entry: settings, hooks.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/guc.h"

#include "base/settings.h"
#include "catalog/progress.h"
#include "fdw/server.h"
#include "net/address.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

static void define_settings(void);

void
_PG_init(void)
{
	define_settings();
	cs_progress_init();
	cs_foreign_server_init();
}

static void
define_settings(void)
{
	DefineCustomStringVariable("censync.allowed_hosts",
							   "Hosts and networks that sources may be read from.",
							   "Names, *.suffixes, addresses and networks, separated by commas. "
							   "Empty: every public address, and no private one.",
							   &cs_allowed_hosts, "", PGC_SUSET, GUC_LIST_INPUT,
							   cs_allowed_hosts_check, cs_allowed_hosts_assign, NULL);
	DefineCustomIntVariable(
		"censync.http_max_wait", "Longest wait that a server may ask for with Retry-After.", NULL,
		&cs_http_max_wait_s, 120, 0, 86400, PGC_SUSET, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("censync.http_retries",
							"How often a failed request is sent again when the cause may pass.",
							NULL, &cs_http_retries, 4, 0, 100, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"censync.max_record_size", "Largest single record that a source may send.", NULL,
		&cs_max_record_size_mb, 64, 1, 512, PGC_SUSET, GUC_UNIT_MB, NULL, NULL, NULL);
	DefineCustomIntVariable("censync.max_response_size",
							"Largest body that one HTTP response may have, decompressed.", NULL,
							&cs_max_response_size_mb, 10240, 1, 1024 * 1024 * 1024, PGC_SUSET,
							GUC_UNIT_MB, NULL, NULL, NULL);
	MarkGUCPrefixReserved("censync");
}
