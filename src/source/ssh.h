/*
 * ssh.h
 *		The options of a tunnel.
 */
#ifndef CS_SOURCE_SSH_H
#define CS_SOURCE_SSH_H

#include "net/tunnel.h"
#include "source/options.h"

/* The SSH host that connections to a source go through; NULL: there is none.  In CurrentMemoryContext;
 * throws HV00J for options that are missing. */
extern CsTunnelSpec *cs_ssh_spec(const CsOptionSet *options);

/* Refuses options of a user mapping that contradict each other; 22023. */
extern void cs_ssh_validate(List *user_options);

/* Checks of the option table. */
extern void cs_ssh_check_host(const char *name, const char *value);
extern void cs_ssh_check_user(const char *name, const char *value);
extern void cs_ssh_check_key(const char *name, const char *value);
extern void cs_ssh_check_known_hosts(const char *name, const char *value);
extern void cs_ssh_check_path(const char *name, const char *value);

#endif /* CS_SOURCE_SSH_H */
