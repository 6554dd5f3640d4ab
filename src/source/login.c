/*
 * login.c
 *		Where and as whom to connect to a database, from the options of its
 *		server and user mapping.
 */
#include "postgres.h"

#include <netdb.h>
#include <sys/socket.h>

#include "lib/stringinfo.h"

#include "net/address.h"
#include "source/option_table.h"
#include "source/sql.h"

/* Addresses of one host; freed by the callback of the context they were looked up in. */
typedef struct Lookup
{
	struct addrinfo *addresses;
	MemoryContextCallback free;
} Lookup;

static struct addrinfo *look_up(const char *host, int port);
static void free_addresses(void *arg);
static void refuse_address(const char *host, const struct sockaddr *address)
	pg_attribute_noreturn();

CsSqlLogin *
cs_sql_login_create(const CsSqlSource *source, CsOptionSet *options)
{
	CsSqlLogin *login = palloc0(sizeof(CsSqlLogin));
	const char *port = cs_option_get(options, "port");

	cs_options_check_source(options, source->base.bit);
	login->options = options;
	login->option = cs_option_get;
	login->user_option = cs_option_get_user;
	login->host = cs_option_get(options, "host");
	login->port = port ? cs_option_int(port) : source->port;
	login->database = cs_option_get(options, "database");
	login->user = cs_option_get_user(options, "user");
	login->password = cs_option_get_user(options, "password");
	login->connect_timeout_s =
		cs_option_int(cs_option_get_default(options, "connect_timeout", "10"));
	login->stall_timeout_s = cs_option_int(cs_option_get_default(options, "stall_timeout", "600"));
	if (login->host == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
						errmsg("the server has no option \"host\""),
						errhint("ALTER SERVER ... OPTIONS (ADD host 'db.example.com')")));
	return login;
}

/* The addresses that may be connected to. */
void
cs_sql_login_resolve(CsSqlLogin *login)
{
	struct addrinfo *addresses;
	StringInfoData all;
	char text[INET6_ADDRSTRLEN];

	login->step = CS_SQL_RESOLVE;
	if (login->host[0] == '/')
		return;
	addresses = look_up(login->host, login->port);
	initStringInfo(&all);
	for (struct addrinfo *a = addresses; a; a = a->ai_next)
		if (cs_address_is_allowed(login->host, a->ai_addr))
		{
			cs_address_text(a->ai_addr, text, sizeof(text));
			if (login->address == NULL)
				login->address = pstrdup(text);
			appendStringInfo(&all, "%s%s", all.len ? "," : "", text);
		}
	login->addresses = all.data;
	login->step = login->address ? CS_SQL_CONNECT : CS_SQL_RESOLVE;
	if (login->address == NULL)
		refuse_address(login->host, addresses->ai_addr);
}

static struct addrinfo *
look_up(const char *host, int port)
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
						errhint("Check option \"host\" of the server.")));
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
			 errdetail("Its address is %s%s%s.", cs_address_text(address, text, sizeof(text)),
					   kind ? ", which is " : "", kind ? kind : ""),
			 errhint("A superuser may list it in censync.allowed_hosts.")));
}
