/*
 * http_tunnel.c
 *		The tunnels of an HTTP client: one for each host and port it asks.
 *
 * With an SSH host, nothing is connected to directly.  What lies behind it is
 * no business of censync.allowed_hosts, so only hosts that were named by
 * whoever may name them are asked: no answer can send a request elsewhere.
 */
#include "postgres.h"

#include "net/http_internal.h"
#include "net/tunnel.h"
#include "net/url.h"

typedef struct Way
{
	char *host;
	int port;
	CsTunnel *tunnel;
} Way;

static Way *find_way(CsHttp *http, const char *host, int port);

bool
cs_http_may_tunnel_to(const CsHttp *http, const char *host)
{
	ListCell *lc;

	foreach (lc, http->options.tunnel_hosts)
		if (pg_strcasecmp(lfirst(lc), host) == 0)
			return true;
	return false;
}

int
cs_http_tunnel_port(CsHttp *http, const CsUrl *url)
{
	MemoryContext old;
	Way *way;

	if (http->options.tunnel == NULL)
		return 0;
	if (!cs_http_may_tunnel_to(http, url->host))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("connection to \"%s\" through ssh host \"%s\" is not allowed",
							   cs_http_shown_host(http), http->options.tunnel->host),
						errdetail("An answer led there; only the hosts of options \"url\" and "
								  "\"token_url\" are reached through an SSH host."),
						errhint("Name in option \"url\" the host that has the records.")));
	old = MemoryContextSwitchTo(http->context);
	http->tunnel = NULL;
	http->tunnel_step = CS_HTTP_RESOLVE;
	way = find_way(http, url->host, url->port);
	http->tunnel_step = CS_HTTP_SSH;
	(void) cs_tunnel_open(way->tunnel);
	cs_tunnel_forgive(way->tunnel);
	http->tunnel = way->tunnel;
	MemoryContextSwitchTo(old);
	return cs_tunnel_open(way->tunnel);
}

bool
cs_http_tunnel_has_failed(CsHttp *http, bool *passing)
{
	CsTunnelFailure *failure = http->tunnel ? cs_tunnel_failure(http->tunnel) : NULL;

	*passing = failure && failure->passing;
	return failure != NULL;
}

void
cs_http_throw_tunnel_failure(CsHttp *http)
{
	CsTunnelFailure *failure = http->tunnel ? cs_tunnel_failure(http->tunnel) : NULL;

	if (failure == NULL)
		return;
	http->tunnel_failed = true;
	http->tunnel_step = failure->step == CS_TUNNEL_CONNECT ? CS_HTTP_CONNECT : CS_HTTP_SSH;
	ereport(ERROR,
			(errcode(failure->code), errmsg("%s", failure->message),
			 failure->detail ? errdetail("%s", failure->detail) : 0, errhint("%s", failure->hint)));
}

static Way *
find_way(CsHttp *http, const char *host, int port)
{
	ListCell *lc;
	Way *way;

	foreach (lc, http->tunnels)
	{
		way = lfirst(lc);
		if (way->port == port && pg_strcasecmp(way->host, host) == 0)
			return way;
	}
	way = palloc(sizeof(Way));
	way->host = pstrdup(host);
	way->port = port;
	way->tunnel = cs_tunnel_create(http->options.tunnel, host, port);
	http->tunnels = lappend(http->tunnels, way);
	return way;
}
