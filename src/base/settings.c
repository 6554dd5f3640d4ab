/*
 * settings.c
 *		The extension's configuration parameters; censync.c registers them.
 */
#include "postgres.h"

#include "base/settings.h"

char *cs_allowed_hosts = NULL;
int cs_max_response_size_mb = 10240;
int cs_max_record_size_mb = 64;
int cs_http_retries = 4;
int cs_http_max_wait_s = 120;
bool cs_notify = true;
int cs_run_retention_min = 90 * 24 * 60;
int cs_record_retention_min = 14 * 24 * 60;
int cs_max_workers = 4;
int cs_max_workers_per_server = 2;
int cs_jitter_s = 30;
bool cs_launcher_enabled = true;
