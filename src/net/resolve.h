/*
 * resolve.h
 *		Names of hosts to addresses that may be connected to.
 */
#ifndef CS_RESOLVE_H
#define CS_RESOLVE_H

/* The first address of host that censync.allowed_hosts lets be connected to, as text in
 * CurrentMemoryContext.  option: that named the host, for the hint; all: where all such addresses go, by comma, or NULL.  Throws 08001 for a host that is not
 * known, 42501 for one without such an address. */
extern char *cs_host_resolve(const char *host, int port, const char *option, const char **all);

#endif /* CS_RESOLVE_H */
