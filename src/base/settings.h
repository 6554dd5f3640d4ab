/*
 * settings.h
 *		The extension's configuration parameters (all named censync.*), registered by
 *		censync.c.
 */
#ifndef CS_SETTINGS_H
#define CS_SETTINGS_H

/* Hosts and networks an HTTP source may reach; owned by the GUC machinery. */
extern char *cs_allowed_hosts;

/* Largest body, in MB, that one response may have after decompression. */
extern int cs_max_response_size_mb;

/* Largest single record, in MB; bounds what a decoder holds in memory. */
extern int cs_max_record_size_mb;

/* How often a repeatable HTTP request is tried again after a failure that may pass. */
extern int cs_http_retries;

/* Longest wait, in seconds, that a server may ask for with Retry-After. */
extern int cs_http_max_wait_s;

/* Are events told by NOTIFY? */
extern bool cs_notify;

/* How long runs, and what became of their records, are kept, in minutes; 0: for ever. */
extern int cs_run_retention_min;
extern int cs_record_retention_min;

/* How many workers may run syncs at once: in the cluster, and from one server. */
extern int cs_max_workers;
extern int cs_max_workers_per_server;

/* Over so many seconds runs that are due at the same time are spread. */
extern int cs_jitter_s;

/* Is the launcher to be started with the server? */
extern bool cs_launcher_enabled;

#endif /* CS_SETTINGS_H */
