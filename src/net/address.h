/*
 * address.h
 *		Where a backend may connect to: the rules of censync.allowed_hosts.
 *
 * The list is comma-separated.  An entry is a name ("api.example.com"), a
 * suffix ("*.example.com"), "*" (every name), an address ("10.1.2.3", "::1") or
 * a network ("10.0.0.0/8", "fd00::/8").
 *
 * An empty list: every public address may be reached, and no other.
 * Otherwise a connection is allowed if the address it goes to is in one of the
 * listed networks, or if the address is public and the name matches.  So a
 * private, loopback or link-local address must be listed as an address: a name
 * that somebody else's DNS suddenly points at 169.254.169.254 gains nothing.
 */
#ifndef CS_ADDRESS_H
#define CS_ADDRESS_H

#include <sys/socket.h>

#include "utils/guc.h"

/* What keeps an address from being public, as a word for a message ("link-local"), or NULL: it is public.
 * Not so are private, loopback, link-local, multicast, unspecified, reserved, carrier-grade NAT and
 * documentation space; IPv4-mapped, NAT64 and 6to4 addresses are judged by the IPv4 address in them. */
extern const char *cs_address_kind(const struct sockaddr *address);

/* The address as text in buf (INET6_ADDRSTRLEN bytes or more); returns buf.  Throws nothing. */
extern const char *cs_address_text(const struct sockaddr *address, char *buf, size_t buflen);

/* May a connection to this address, made for this host name, be opened?  Throws nothing: it is
 * called from inside libcurl. */
extern bool cs_address_is_allowed(const char *host, const struct sockaddr *address);

/* Could this name lead to an allowed address at all?  For an early, clear refusal. */
extern bool cs_host_may_be_allowed(const char *host);

/* check hook of censync.allowed_hosts: refuses what is neither a name nor an address. */
extern bool cs_allowed_hosts_check(char **newval, void **extra, GucSource source);
extern void cs_allowed_hosts_assign(const char *newval, void *extra);

/* To be called after the definition of the parameter, which may have been given before. */
extern void cs_allowed_hosts_settle(bool was_given);

/* Was a list given that could not be set?  Then nothing is allowed. */
extern bool cs_allowed_hosts_are_missing(void);

#endif /* CS_ADDRESS_H */
