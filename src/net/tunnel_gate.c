/*
 * tunnel_gate.c
 *		The child process behind a tunnel's port.
 *
 * It is a fork of a backend that has let go of all that is the server's.  It
 * throws nothing and allocates nothing.  Who has connected is told by the
 * kernel: the socket at the other end of a connection must be among the open
 * files of the backend.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/pg_shmem.h"
#include "utils/ps_status.h"

#include "base/child.h"
#include "net/tunnel_internal.h"

#define MAX_CONNECTIONS 64

/* A backend that is gone is noticed by the lifeline at once; this is for one whose end somebody else has
 * inherited. */
#define LOOK_MS 1000

/* What the last bytes may take to get through, and then ssh to end. */
#define GRACE_MS 500
#define TERM_MS 300

typedef struct Gate
{
	CsGatePlan plan;
	int children_fd; /* readable when a child has ended */
	int nrunning;
	pid_t running[MAX_CONNECTIONS];
} Gate;

static void be_child(Gate *gate);
static bool backend_is_there(const Gate *gate, const struct pollfd *lifeline);
static void take_connection(Gate *gate);
static bool is_ours(const Gate *gate, const struct sockaddr_in *peer);
static unsigned long find_inode(const Gate *gate, const struct sockaddr_in *peer);
static bool parse_line(const char *line, uint32 *local, uint32 *local_port, uint32 *remote,
					   uint32 *remote_port, unsigned long *inode);
static bool backend_has(const Gate *gate, unsigned long inode);
static void forget_words(const Gate *gate);
static void start_ssh(Gate *gate, int connection);
static void reap(Gate *gate);
static void see_off(Gate *gate);
static void wait_for_end(Gate *gate, int patience_ms);
static void signal_all(const Gate *gate, int number);

void
cs_gate_run(const CsGatePlan *plan)
{
	Gate gate = { .plan = *plan };

	be_child(&gate);
	for (;;)
	{
		struct pollfd events[] = { { .fd = plan->lifeline },
								   { .fd = gate.children_fd, .events = POLLIN },
								   { .fd = plan->listener, .events = POLLIN } };

		(void) poll(events, lengthof(events), LOOK_MS);
		reap(&gate);
		if (!backend_is_there(&gate, &events[0]))
			break;
		if (events[2].revents & POLLIN)
			take_connection(&gate);
	}
	see_off(&gate);
	_exit(0);
}

/* The shared memory must go, too: no server starts while it is in use. */
static void
be_child(Gate *gate)
{
	const CsGatePlan *plan = &gate->plan;
	int keep[] = { plan->listener, plan->lifeline, plan->log };
	sigset_t children;

	set_ps_display("ssh gate");
	for (int i = 1; i < (int) lengthof(keep); i++)
		for (int j = i; j > 0 && keep[j] < keep[j - 1]; j--)
		{
			int swap = keep[j];

			keep[j] = keep[j - 1];
			keep[j - 1] = swap;
		}
	cs_child_detach(keep, lengthof(keep));
	PGSharedMemoryDetach();
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	gate->children_fd = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
	(void) fcntl(plan->listener, F_SETFL, O_NONBLOCK);
}

static bool
backend_is_there(const Gate *gate, const struct pollfd *lifeline)
{
	return lifeline->revents == 0 && getppid() == gate->plan.backend;
}

static void
take_connection(Gate *gate)
{
	struct sockaddr_in peer = { 0 };
	socklen_t len = sizeof(peer);
	int connection = accept4(gate->plan.listener, (struct sockaddr *) &peer, &len, SOCK_CLOEXEC);

	if (connection < 0)
		return;
	if (gate->nrunning == MAX_CONNECTIONS || !is_ours(gate, &peer))
		(void) pg_atomic_fetch_add_u32(&gate->plan.counts->strangers, 1);
	else
		start_ssh(gate, connection);
	(void) close(connection);
}

static bool
is_ours(const Gate *gate, const struct sockaddr_in *peer)
{
	unsigned long inode = find_inode(gate, peer);

	return inode != 0 && backend_has(gate, inode);
}

/* The socket at the other end; 0: there is none. */
static unsigned long
find_inode(const Gate *gate, const struct sockaddr_in *peer)
{
	char buffer[8192];
	size_t have = 0;
	unsigned long found = 0;
	ssize_t got;
	int fd = open("/proc/net/tcp", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	while (found == 0 && (got = read(fd, buffer + have, sizeof(buffer) - 1 - have)) > 0)
	{
		char *line = buffer;
		char *end;

		have += got;
		buffer[have] = '\0';
		while (found == 0 && (end = strchr(line, '\n')) != NULL)
		{
			uint32 local = 0, local_port = 0, remote = 0, remote_port = 0;
			unsigned long inode = 0;

			if (parse_line(line, &local, &local_port, &remote, &remote_port, &inode) &&
				local == peer->sin_addr.s_addr && local_port == ntohs(peer->sin_port) &&
				remote == htonl(INADDR_LOOPBACK) && remote_port == (uint32) gate->plan.port)
				found = inode;
			line = end + 1;
		}
		have -= line - buffer;
		memmove(buffer, line, have);
	}
	(void) close(fd);
	return found;
}

/* "sl: local:port remote:port state queues timer retransmits uid timeout inode ..."; addresses are
 * as they are in memory. */
static bool
parse_line(const char *line, uint32 *local, uint32 *local_port, uint32 *remote, uint32 *remote_port,
		   unsigned long *inode)
{
	char *at = strchr(line, ':');

	if (at == NULL)
		return false;
	*local = (uint32) strtoul(at + 1, &at, 16);
	if (*at != ':')
		return false;
	*local_port = (uint32) strtoul(at + 1, &at, 16);
	*remote = (uint32) strtoul(at, &at, 16);
	if (*at != ':')
		return false;
	*remote_port = (uint32) strtoul(at + 1, &at, 16);
	for (int field = 0; field < 6; field++)
	{
		at += strspn(at, " ");
		at += strcspn(at, " ");
	}
	*inode = strtoul(at, &at, 10);
	return true;
}

static bool
backend_has(const Gate *gate, unsigned long inode)
{
	char directory[64];
	char wanted[64];
	char entries[4096];
	bool found = false;
	ssize_t got;
	int fd;

	snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);
	snprintf(directory, sizeof(directory), "/proc/%d/fd", (int) gate->plan.backend);
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	while (!found && (got = getdents64(fd, entries, sizeof(entries))) > 0)
	{
		for (ssize_t at = 0; at < got && !found;)
		{
			const struct dirent64 *entry = (const struct dirent64 *) (entries + at);
			char target[64];
			ssize_t len = readlinkat(fd, entry->d_name, target, sizeof(target));

			found = len == (ssize_t) strlen(wanted) && memcmp(target, wanted, len) == 0;
			at += entry->d_reclen;
		}
	}
	(void) close(fd);
	return found;
}

/* What was said of connections that are gone. */
static void
forget_words(const Gate *gate)
{
	static const char zeros[4096];
	off_t said = lseek(gate->plan.log, 0, SEEK_CUR);

	for (off_t at = 0; at < said; at += sizeof(zeros))
		if (pwrite(gate->plan.log, zeros, sizeof(zeros), at) < 0)
			break;
	(void) lseek(gate->plan.log, 0, SEEK_SET);
}

static void
start_ssh(Gate *gate, int connection)
{
	const CsGatePlan *plan = &gate->plan;
	pid_t self = getpid();
	pid_t pid;

	if (gate->nrunning == 0 &&
		pg_atomic_read_u32(&plan->counts->failed) == pg_atomic_read_u32(&plan->counts->forgiven))
		forget_words(gate);
	(void) pg_atomic_fetch_add_u32(&plan->counts->begun, 1);
	pid = fork();
	if (pid == 0)
	{
		(void) prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != self)
			_exit(1);
		(void) dup2(connection, 0);
		(void) dup2(connection, 1);
		(void) dup2(plan->log, 2);
		cs_child_exec(plan->argv);
	}
	if (pid > 0)
	{
		gate->running[gate->nrunning++] = pid;
		return;
	}
	(void) pg_atomic_fetch_add_u32(&plan->counts->failed, 1);
	(void) pg_atomic_fetch_add_u32(&plan->counts->ended, 1);
}

static void
reap(Gate *gate)
{
	struct signalfd_siginfo ignored;
	int status;
	pid_t pid;

	while (read(gate->children_fd, &ignored, sizeof(ignored)) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
	{
		for (int i = 0; i < gate->nrunning; i++)
			if (gate->running[i] == pid)
			{
				gate->running[i] = gate->running[--gate->nrunning];
				break;
			}
		if (status != 0)
			(void) pg_atomic_fetch_add_u32(&gate->plan.counts->failed, 1);
		(void) pg_atomic_fetch_add_u32(&gate->plan.counts->ended, 1);
	}
}

/* None of them may be left to whoever inherits them: a server that is process 1 takes a child
 * of unknown origin that was killed for a crash of one of its own. */
static void
see_off(Gate *gate)
{
	(void) close(gate->plan.listener);
	wait_for_end(gate, GRACE_MS);
	signal_all(gate, SIGTERM);
	wait_for_end(gate, TERM_MS);
	signal_all(gate, SIGKILL);
	wait_for_end(gate, TERM_MS);
}

static void
wait_for_end(Gate *gate, int patience_ms)
{
	for (int waited = 0; gate->nrunning > 0 && waited < patience_ms; waited += 10)
	{
		struct pollfd event = { .fd = gate->children_fd, .events = POLLIN };

		(void) poll(&event, 1, 10);
		reap(gate);
	}
}

static void
signal_all(const Gate *gate, int number)
{
	for (int i = 0; i < gate->nrunning; i++)
		(void) kill(gate->running[i], number);
}
