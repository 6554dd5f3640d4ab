/*
 * tunnel_internal.h
 *		What the files of the tunnel share: tunnel.c is the backend's side, tunnel_gate.c the
 *		child's, tunnel_failure.c says what went wrong.
 */
#ifndef CS_TUNNEL_INTERNAL_H
#define CS_TUNNEL_INTERNAL_H

#include "port/atomics.h"

#include "net/tunnel.h"

/* Of what ssh says.  A banner of the host is in it, which may have 64 KB. */
#define CS_TUNNEL_LOG_SIZE (128 * 1024)

/* Counters of connections, in memory that backend and gate share.  The gate writes all but the last. */
typedef struct CsGateCounts
{
	pg_atomic_uint32 begun;
	pg_atomic_uint32 ended;
	pg_atomic_uint32 failed;	/* ended, and ssh says that it was not well */
	pg_atomic_uint32 strangers; /* refused: of another process */
	pg_atomic_uint32
		forgiven; /* so many of failed count for nothing; what ssh said of them may go */
} CsGateCounts;

/* What the gate needs; all of it is there before the fork. */
typedef struct CsGatePlan
{
	int listener;
	int lifeline; /* at its end when the backend has closed the tunnel, or is gone */
	int log;	  /* what ssh says */
	int port;	  /* of listener */
	pid_t backend;
	const char *const *argv;
	CsGateCounts *counts;
} CsGatePlan;

struct CsTunnel
{
	const CsTunnelSpec *spec;
	char *host; /* behind the SSH host */
	int port;
	char *address;	/* of the SSH host; NULL with a configuration file, which may say otherwise */
	int local_port; /* 0: not open */
	pid_t gate;
	int lifeline; /* -1, as the next three, unless it is open */
	int log;
	int key;
	int known_hosts;
	CsGateCounts *counts; /* NULL: likewise */
};

/* The child's work; its signals are blocked.  Does not come back. */
extern void cs_gate_run(const CsGatePlan *plan) pg_attribute_noreturn();

#endif /* CS_TUNNEL_INTERNAL_H */
