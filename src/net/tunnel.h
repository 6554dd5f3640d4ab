/*
 * tunnel.h
 *		Connections through an SSH host, made by the system's OpenSSH client.
 *
 * A tunnel is a port on 127.0.0.1 and a child process behind it, the gate.  It
 * takes connections of the very process that opened the tunnel, and of no
 * other; for each of them it runs "ssh -W", whose standard input and output are
 * that connection.  Keys and host keys are handed to ssh as files in memory.
 * All of it ends with the memory context that the tunnel lives in, and with the
 * process.
 */
#ifndef CS_TUNNEL_H
#define CS_TUNNEL_H

#include "postgres_ext.h"

/* Through which host, and as whom.  Owned by the caller; outlives the tunnel. */
typedef struct CsTunnelSpec
{
	const char *host;
	int port;
	const char *user;			  /* or NULL, with config_file */
	const char *private_key;	  /* the key itself; or NULL */
	const char *private_key_file; /* likewise */
	const char *
		known_hosts; /* lines as in known_hosts, or the path of such a file; NULL with config_file only */
	const char
		*config_file; /* whatever else the client is to do, its agents and jump hosts; or NULL */
	int connect_timeout_s;
} CsTunnelSpec;

/* What has failed, in the order of censync_check. */
typedef enum CsTunnelStep
{
	CS_TUNNEL_RESOLVE, /* the name of the SSH host */
	CS_TUNNEL_LOGIN,   /* at the SSH host */
	CS_TUNNEL_CONNECT  /* from there to the host behind */
} CsTunnelStep;

/* Why connections through a tunnel fail; in CurrentMemoryContext of the call that asked. */
typedef struct CsTunnelFailure
{
	CsTunnelStep step;
	bool passing; /* another attempt may succeed */
	int code;	  /* SQLSTATE */
	char *message;
	char *detail; /* what ssh says, or NULL */
	const char *hint;
} CsTunnelFailure;

typedef struct CsTunnel CsTunnel;

/* To that host and port, as the SSH host knows them; in CurrentMemoryContext.  Throws 08001 and 42501 as
 * cs_host_resolve does. */
extern CsTunnel *cs_tunnel_create(const CsTunnelSpec *spec, const char *host, int port);

/* Opens it, if it is not yet, and returns its port on 127.0.0.1.  Nothing is sent before somebody
 * connects to that.  Throws 58P01 where there is no ssh. */
extern int cs_tunnel_open(CsTunnel *tunnel);

/* From now on, failures so far count for nothing. */
extern void cs_tunnel_forgive(CsTunnel *tunnel);

/* After a connection through the tunnel has failed: was it for the tunnel?  NULL: it was not.  Waits a
 * moment for ssh to say why; throws nothing but for want of memory. */
extern CsTunnelFailure *cs_tunnel_failure(CsTunnel *tunnel);

#endif /* CS_TUNNEL_H */
