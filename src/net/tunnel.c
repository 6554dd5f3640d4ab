/*
 * tunnel.c
 *		Opening and closing tunnels.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#include "base/child.h"
#include "net/resolve.h"
#include "net/tunnel_internal.h"

#define BACKLOG 16

/* How long the gate may take to see its ssh off. */
#define PATIENCE_MS 3000

/* Said of every connection, whatever a configuration file says. */
static const char *const always[] = {
	"BatchMode=yes",
	"StrictHostKeyChecking=yes",
	"UpdateHostKeys=no",
	"PasswordAuthentication=no",
	"KbdInteractiveAuthentication=no",
	"ControlMaster=no",
	"ControlPath=none",
	"ClearAllForwardings=yes",
	"ForwardAgent=no",
	"ForwardX11=no",
	"PermitLocalCommand=no",
	"RequestTTY=no",
	"ServerAliveInterval=15",
	"ServerAliveCountMax=3",
	"LogLevel=VERBOSE",
};

/* Of those without a configuration file: nothing is taken from the account that the server runs as. */
static const char *const alone[] = {
	"GlobalKnownHostsFile=/dev/null",
	"IdentitiesOnly=yes",
	"IdentityAgent=none",
	"PreferredAuthentications=publickey",
	"GSSAPIAuthentication=no",
	"CheckHostIP=no",
	"VerifyHostKeyDNS=no",
	"NoHostAuthenticationForLocalhost=no",
};

static void check_target(const char *host);
static void close_tunnel(void *arg);
static char *memory_path(int fd);
static char *as_known_hosts(const CsTunnelSpec *spec);
static char *known_name(const CsTunnelSpec *spec);
static bool begins_with_key_type(const char *line);
static const char *const *make_arguments(CsTunnel *tunnel);
static List *add_option(List *arguments, const char *option);
static int open_listener(int *port);
static void start_gate(CsTunnel *tunnel, const CsGatePlan *plan, int lifeline[2]);

CsTunnel *
cs_tunnel_create(const CsTunnelSpec *spec, const char *host, int port)
{
	CsTunnel *tunnel = palloc0(sizeof(CsTunnel));
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));

	check_target(host);
	tunnel->spec = spec;
	tunnel->host = pstrdup(host);
	tunnel->port = port;
	tunnel->lifeline = tunnel->log = tunnel->key = tunnel->known_hosts = -1;
	/* A configuration file may know the host by another name, or reach it by way of others; whoever may
	 * name one may connect to where he likes. */
	if (spec->config_file == NULL)
		tunnel->address = cs_host_resolve(spec->host, spec->port, "ssh_host", NULL);
	callback->func = close_tunnel;
	callback->arg = tunnel;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	return tunnel;
}

int
cs_tunnel_open(CsTunnel *tunnel)
{
	const CsTunnelSpec *spec = tunnel->spec;
	CsGatePlan plan = { .backend = MyProcPid };
	int lifeline[2];
	void *shared;

	if (tunnel->local_port != 0)
		return tunnel->local_port;
	tunnel->log = cs_memory_file_create(NULL, CS_TUNNEL_LOG_SIZE);
	if (spec->private_key)
	{
		char *key = psprintf("%s\n", spec->private_key);

		tunnel->key = cs_memory_file_create(key, strlen(key));
		explicit_bzero(key, strlen(key));
	}
	if (spec->known_hosts && spec->known_hosts[0] != '/')
	{
		char *lines = as_known_hosts(spec);

		tunnel->known_hosts = cs_memory_file_create(lines, strlen(lines));
	}
	plan.argv = make_arguments(tunnel);
	plan.log = tunnel->log;
	shared =
		/* cppcheck-suppress invalidFunctionArg */
		mmap(NULL, sizeof(CsGateCounts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
						errdetail("A tunnel needs a page to share with its gate.")));
	plan.counts = tunnel->counts = shared;
	plan.listener = open_listener(&plan.port);
	if (!AcquireExternalFD() || pipe2(lifeline, O_CLOEXEC) != 0)
	{
		(void) close(plan.listener);
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES), errmsg("could not open a tunnel: %m")));
	}
	start_gate(tunnel, &plan, lifeline);
	tunnel->local_port = plan.port;
	return tunnel->local_port;
}

void
cs_tunnel_forgive(CsTunnel *tunnel)
{
	if (tunnel->counts)
		pg_atomic_write_u32(&tunnel->counts->forgiven, pg_atomic_read_u32(&tunnel->counts->failed));
}

/* It becomes a part of an argument of ssh. */
static void
check_target(const char *host)
{
	if (host[0] == '\0' || host[0] == '-' ||
		strspn(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._:") !=
			strlen(host))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("host \"%s\" can't be reached through an SSH host", host),
						errhint("It must be a name or an address.")));
}

/* Non-throwing: it runs when a context is reset. */
static void
close_tunnel(void *arg)
{
	CsTunnel *tunnel = arg;

	if (tunnel->lifeline >= 0)
	{
		(void) close(tunnel->lifeline);
		ReleaseExternalFD();
		cs_child_end(tunnel->gate, PATIENCE_MS);
	}
	cs_memory_file_close(tunnel->log);
	cs_memory_file_close(tunnel->key);
	cs_memory_file_close(tunnel->known_hosts);
	if (tunnel->counts)
		(void) munmap(tunnel->counts, sizeof(CsGateCounts));
}

/* As ssh may open it, which closes what it inherits. */
static char *
memory_path(int fd)
{
	return psprintf("/proc/%d/fd/%d", MyProcPid, fd);
}

/* A line may be the key alone, as the host's own ssh_host_*_key.pub has it. */
static char *
as_known_hosts(const CsTunnelSpec *spec)
{
	StringInfoData lines;
	const char *line = spec->known_hosts;

	initStringInfo(&lines);
	while (*line != '\0')
	{
		int len = (int) strcspn(line, "\r\n");

		if (begins_with_key_type(line))
			appendStringInfo(&lines, "%s ", known_name(spec));
		appendBinaryStringInfo(&lines, line, len);
		appendStringInfoChar(&lines, '\n');
		line += len;
		line += strspn(line, "\r\n");
	}
	return lines.data;
}

/* What ssh-keyscan calls the host. */
static char *
known_name(const CsTunnelSpec *spec)
{
	char *name = spec->port == 22 || spec->port == 0 ? pstrdup(spec->host)
													 : psprintf("[%s]:%d", spec->host, spec->port);

	for (char *c = name; *c != '\0'; c++)
		*c = (char) pg_ascii_tolower((unsigned char) *c);
	return name;
}

static bool
begins_with_key_type(const char *line)
{
	return strncmp(line, "ssh-", 4) == 0 || strncmp(line, "ecdsa-", 6) == 0 ||
		   strncmp(line, "sk-", 3) == 0;
}

/* Of ssh.  No secret is among them: everybody on the machine can see them. */
static const char *const *
make_arguments(CsTunnel *tunnel)
{
	const CsTunnelSpec *spec = tunnel->spec;
	const char *program = cs_program_find("ssh");
	const char **argv;
	List *list;
	int n = 0;
	ListCell *lc;

	if (program == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FILE), errmsg("there is no SSH client"),
						errdetail("Program \"ssh\" is neither in /usr/bin nor in /usr/local/bin."),
						errhint("Install openssh-client on the database's machine.")));
	list = list_make3(unconstify(char *, program), "-F",
					  spec->config_file ? unconstify(char *, spec->config_file) : "none");
	for (int i = 0; i < (int) lengthof(always); i++)
		list = add_option(list, always[i]);
	for (int i = 0; i < (int) lengthof(alone) && spec->config_file == NULL; i++)
		list = add_option(list, alone[i]);
	list = add_option(list, psprintf("ConnectTimeout=%d", spec->connect_timeout_s));
	if (spec->known_hosts)
		list = add_option(list, psprintf("UserKnownHostsFile=\"%s\"",
										 tunnel->known_hosts >= 0 ? memory_path(tunnel->known_hosts)
																  : spec->known_hosts));
	if (tunnel->address)
		list = add_option(list, psprintf("HostKeyAlias=%s", known_name(spec)));
	if (tunnel->key >= 0)
		list = add_option(list, psprintf("IdentityFile=\"%s\"", memory_path(tunnel->key)));
	if (spec->private_key_file)
		list = add_option(list, psprintf("IdentityFile=\"%s\"", spec->private_key_file));
	if (spec->user)
		list = add_option(list, psprintf("User=%s", spec->user));
	if (spec->port != 0)
		list = add_option(list, psprintf("Port=%d", spec->port));
	list = lappend(list, "-W");
	list = lappend(list, psprintf(strchr(tunnel->host, ':') ? "[%s]:%d" : "%s:%d", tunnel->host,
								  tunnel->port));
	list = lappend(list, "--");
	list = lappend(list, tunnel->address ? tunnel->address : unconstify(char *, spec->host));
	argv = palloc(sizeof(char *) * (list_length(list) + 1));
	foreach (lc, list)
		argv[n++] = lfirst(lc);
	argv[n] = NULL;
	return argv;
}

static List *
add_option(List *arguments, const char *option)
{
	return lappend(lappend(arguments, "-o"), unconstify(char *, option));
}

static int
open_listener(int *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) != 0 ||
		listen(fd, BACKLOG) != 0 || getsockname(fd, (struct sockaddr *) &address, &len) != 0)
	{
		int save_errno = errno;

		if (fd >= 0)
			(void) close(fd);
		errno = save_errno;
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("could not listen on the loopback address: %m")));
	}
	*port = ntohs(address.sin_port);
	return fd;
}

static void
start_gate(CsTunnel *tunnel, const CsGatePlan *plan, int lifeline[2])
{
	CsGatePlan mine = *plan;
	int save_errno;

	mine.lifeline = lifeline[0];
	tunnel->gate = cs_child_fork();
	if (tunnel->gate == 0)
		cs_gate_run(&mine);
	save_errno = errno;
	(void) close(plan->listener);
	(void) close(lifeline[0]);
	if (tunnel->gate > 0)
	{
		tunnel->lifeline = lifeline[1];
		return;
	}
	(void) close(lifeline[1]);
	ReleaseExternalFD();
	errno = save_errno;
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					errmsg("could not start a process for a tunnel: %m")));
}
