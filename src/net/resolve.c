/*
 * resolve.c
 *		Names of hosts to addresses that may be connected to.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "lib/stringinfo.h"
#include "base/compat.h"
#include "net/address.h"
#include "net/resolve.h"

/* Addresses of one host; freed by the callback of the context they were looked up in. */
typedef struct Lookup
{
	struct addrinfo *addresses;
	MemoryContextCallback free;
} Lookup;

static struct addrinfo *look_up(const char *host, int port, const char *option);
static void free_addresses(void *arg);
static void refuse_address(const char *host, const struct sockaddr *address)
	pg_attribute_noreturn();

char *
cs_host_resolve(const char *host, int port, const char *option, const char **all)
{
	struct addrinfo *addresses = look_up(host, port, option);
	StringInfoData list;
	char *first = NULL;
	char text[INET6_ADDRSTRLEN];

	initStringInfo(&list);
	for (struct addrinfo *a = addresses; a; a = a->ai_next)
		if (cs_address_is_allowed(host, a->ai_addr))
		{
			cs_address_text(a->ai_addr, text, sizeof(text));
			first = first ? first : pstrdup(text);
			appendStringInfo(&list, "%s%s", list.len ? "," : "", text);
		}
	if (first == NULL)
		refuse_address(host, addresses->ai_addr);
	if (all)
		*all = list.data;
	return first;
}

static struct addrinfo *
look_up(const char *host, int port, const char *option)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	Lookup *lookup = palloc0(sizeof(Lookup));
	char service[12];
	int error;

	snprintf(service, sizeof(service), "%d", port);
	lookup->free.func = free_addresses;
	lookup->free.arg = lookup;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &lookup->free);
	error = getaddrinfo(host, service, &hints, &lookup->addresses);
	if (error != 0)
		ereport(ERROR, (errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
						errmsg("could not resolve host \"%s\"", host),
						errdetail("%s.", gai_strerror(error)),
						errhint("Check option \"%s\" of the server.", option)));
	return lookup->addresses;
}

static void
free_addresses(void *arg)
{
	Lookup *lookup = arg;

	if (lookup->addresses)
		freeaddrinfo(lookup->addresses);
}

static void
refuse_address(const char *host, const struct sockaddr *address)
{
	const char *kind = cs_address_kind(address);
	char text[INET6_ADDRSTRLEN];

	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("connecting to host \"%s\" is not allowed", host),
			 cs_allowed_hosts_are_missing()
				 ? errdetail("What was given as censync.allowed_hosts could not be set, so nothing "
							 "is allowed.")
				 : errdetail("Its address is %s%s%s.", cs_address_text(address, text, sizeof(text)),
							 kind ? ", which is " : "", kind ? kind : ""),
			 errhint("A superuser may list it in censync.allowed_hosts.")));
}
