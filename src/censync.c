/*
 * censync.c
 *		Module entry: settings, hooks.
 */
#include "postgres.h"

#include <limits.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "base/settings.h"
#include "catalog/progress.h"
#include "catalog/beacon.h"
#include "fdw/server.h"
#include "net/address.h"
#include "worker/launcher.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

static void define_settings(void);

void
_PG_init(void)
{
	define_settings();
	cs_progress_init();
	cs_beacon_init();
	cs_launcher_register();
	cs_foreign_server_init();
}

static void
define_settings(void)
{
	bool hosts_given = GetConfigOption("censync.allowed_hosts", true, false) != NULL;

	DefineCustomStringVariable("censync.allowed_hosts",
							   "Hosts and networks that sources may be read from.",
							   "Names, *.suffixes, addresses and networks, separated by commas. "
							   "Empty: every public address, and no private one.",
							   &cs_allowed_hosts, "", PGC_SUSET, GUC_LIST_INPUT,
							   cs_allowed_hosts_check, cs_allowed_hosts_assign, NULL);
	cs_allowed_hosts_settle(hosts_given);
	DefineCustomIntVariable(
		"censync.http_max_wait", "Longest wait that a server may ask for with Retry-After.", NULL,
		&cs_http_max_wait_s, 120, 0, 86400, PGC_SUSET, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("censync.http_retries",
							"How often a failed request is sent again when the cause may pass.",
							NULL, &cs_http_retries, 4, 0, 100, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"censync.jitter", "Seconds over which runs that are due at the same time are spread.", NULL,
		&cs_jitter_s, 30, 0, 3600, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"censync.max_record_size", "Largest single record that a source may send.", NULL,
		&cs_max_record_size_mb, 64, 1, 512, PGC_SUSET, GUC_UNIT_MB, NULL, NULL, NULL);
	DefineCustomIntVariable("censync.max_response_size",
							"Largest body that one HTTP response may have, decompressed.", NULL,
							&cs_max_response_size_mb, 10240, 1, 1024 * 1024 * 1024, PGC_SUSET,
							GUC_UNIT_MB, NULL, NULL, NULL);
	DefineCustomBoolVariable("censync.notify", "Events are told by NOTIFY, on channel censync.",
							 NULL, &cs_notify, true, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"censync.record_retention", "How long what became of single records is kept.",
		"0: for ever. Option retention of a sync goes before it.", &cs_record_retention_min,
		14 * 24 * 60, 0, INT_MAX, PGC_SUSET, GUC_UNIT_MIN, NULL, NULL, NULL);
	DefineCustomIntVariable("censync.run_retention", "How long runs are kept in the log.",
							"0: for ever. Option retention of a sync goes before it.",
							&cs_run_retention_min, 90 * 24 * 60, 0, INT_MAX, PGC_SUSET,
							GUC_UNIT_MIN, NULL, NULL, NULL);
	DefineCustomIntVariable("censync.max_workers",
							"How many background workers may run syncs at once, in all databases.",
							NULL, &cs_max_workers, 4, 1, 1000, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("censync.max_workers_per_server",
							"How many background workers may read from one server at once.", NULL,
							&cs_max_workers_per_server, 2, 1, 1000, PGC_SIGHUP, 0, NULL, NULL,
							NULL);
	/* A setting of the postmaster's can't be defined any later than with its start. */
	DefineCustomBoolVariable("censync.launcher", "Starts what keeps schedules with the server.",
							 "It needs shared_preload_libraries.", &cs_launcher_enabled, true,
							 process_shared_preload_libraries_in_progress ? PGC_POSTMASTER
																		  : PGC_SIGHUP,
							 0, NULL, NULL, NULL);
	MarkGUCPrefixReserved("censync");
}
