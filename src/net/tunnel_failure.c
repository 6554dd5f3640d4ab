/*
 * tunnel_failure.c
 *		Why connections through a tunnel fail, by what ssh says of them.
 *
 * Its words are those of OpenSSH since 7.4; LC_ALL is C.  What is not known is
 * shown as it is.
 */
#include "postgres.h"

#include <sys/wait.h>
#include <unistd.h>

#include "lib/stringinfo.h"

#include "net/redact.h"
#include "net/tunnel_internal.h"

/* Between the end of a connection and that of its ssh. */
#define PATIENCE_MS 1000

/* The same of one that has logged in: what failed may well be another thing. */
#define PATIENCE_LATER_MS 200

#define MAX_DETAIL 500

#define LOGGED_IN "Authenticated to "

typedef enum Kind
{
	UNKNOWN,
	UNREACHABLE,
	HOST_KEY_UNKNOWN,
	HOST_KEY_CHANGED,
	KEY_REFUSED,
	KEY_UNREADABLE,
	PROHIBITED,
	FAR_END,
	LOST
} Kind;

/* The first of them that is found decides: what follows from another comes after it. */
static const struct
{
	const char *words;
	Kind kind;
} known[] = {
	{ "Host key verification failed", HOST_KEY_UNKNOWN },
	{ ": Permission denied (", KEY_REFUSED },
	{ "Too many authentication failures", KEY_REFUSED },
	{ "open failed: administratively prohibited", PROHIBITED },
	{ "open failed: ", FAR_END },
	{ "ssh: connect to host ", UNREACHABLE },
	{ "kex_exchange_identification: ", UNREACHABLE },
	{ "banner exchange", UNREACHABLE },
	{ "Timeout, server ", LOST },
	{ " closed by remote host", LOST },
	{ "client_loop: ", LOST },
};

static bool wait_for_words(const CsTunnel *tunnel);
static bool has_logged_in(const CsTunnel *tunnel);
static bool gate_is_gone(const CsTunnel *tunnel);
static char *read_words(const CsTunnel *tunnel);
static Kind classify(const char *words, bool authenticated);
static CsTunnelFailure *describe(const CsTunnel *tunnel, Kind kind, char *words);
static char *detail_of(Kind kind, char *words);
static bool is_worth_showing(const char *line);
static CsTunnelFailure *make_failure(CsTunnelStep step, int code, bool passing, char *message,
									 char *detail, const char *hint);

CsTunnelFailure *
cs_tunnel_failure(CsTunnel *tunnel)
{
	const char *host = tunnel->spec->host;
	bool authenticated;
	bool failed;
	char *words;

	if (tunnel->counts == NULL)
		return NULL;
	failed = wait_for_words(tunnel);
	words = read_words(tunnel);
	authenticated = strstr(words, LOGGED_IN) != NULL;
	if (failed)
		return describe(tunnel, classify(words, authenticated), words);
	if (gate_is_gone(tunnel))
		return make_failure(CS_TUNNEL_LOGIN, ERRCODE_CONNECTION_FAILURE, true,
							psprintf("the tunnel through ssh host \"%s\" is gone", host),
							"The process that held it has ended.", "Run it again.");
	if (pg_atomic_read_u32(&tunnel->counts->begun) == 0 &&
		pg_atomic_read_u32(&tunnel->counts->strangers) > 0)
		return make_failure(
			CS_TUNNEL_LOGIN, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION, false,
			psprintf("could not enter the tunnel through ssh host \"%s\"", host),
			"Its process could not see that the connection is this server's.",
			"It looks at /proc/net/tcp and at the server's own directories in /proc.");
	if (pg_atomic_read_u32(&tunnel->counts->begun) > pg_atomic_read_u32(&tunnel->counts->ended) &&
		!authenticated)
		return make_failure(CS_TUNNEL_LOGIN, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
							true,
							psprintf("logging in to ssh host \"%s\" took longer than %d s", host,
									 tunnel->spec->connect_timeout_s),
							detail_of(UNKNOWN, words),
							"If the host is slow, raise the server option \"connect_timeout\".");
	return NULL;
}

/* Did one of them fail?  An ssh that still runs may be about to say so. */
static bool
wait_for_words(const CsTunnel *tunnel)
{
	CsGateCounts *counts = tunnel->counts;

	int patience = has_logged_in(tunnel) ? PATIENCE_LATER_MS : PATIENCE_MS;

	for (int waited = 0; waited < patience; waited += 5)
	{
		if (pg_atomic_read_u32(&counts->failed) > pg_atomic_read_u32(&counts->forgiven))
			return true;
		if (pg_atomic_read_u32(&counts->begun) == pg_atomic_read_u32(&counts->ended) &&
			(waited >= 50 || gate_is_gone(tunnel)))
			return false;
		pg_usleep(5000);
	}
	return false;
}

static bool
has_logged_in(const CsTunnel *tunnel)
{
	char *words = read_words(tunnel);
	bool result = strstr(words, LOGGED_IN) != NULL;

	pfree(words);
	return result;
}

static bool
gate_is_gone(const CsTunnel *tunnel)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, tunnel->gate, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
		   info.si_pid == tunnel->gate;
}

static char *
read_words(const CsTunnel *tunnel)
{
	char *raw = palloc0(CS_TUNNEL_LOG_SIZE + 1);
	ssize_t len = pread(tunnel->log, raw, CS_TUNNEL_LOG_SIZE, 0);

	raw[Max(len, 0)] = '\0';
	return raw;
}

static Kind
classify(const char *words, bool authenticated)
{
	Kind kind = UNKNOWN;

	for (int i = 0; i < (int) lengthof(known) && kind == UNKNOWN; i++)
		if (strstr(words, known[i].words) != NULL)
			kind = known[i].kind;
	if (kind == HOST_KEY_UNKNOWN && strstr(words, "HOST IDENTIFICATION HAS CHANGED") != NULL)
		return HOST_KEY_CHANGED;
	if (kind == KEY_REFUSED && strstr(words, "Load key ") != NULL)
		return KEY_UNREADABLE;
	if (kind == LOST && !authenticated)
		return UNREACHABLE;
	return kind == UNKNOWN && authenticated ? LOST : kind;
}

static CsTunnelFailure *
describe(const CsTunnel *tunnel, Kind kind, char *words)
{
	const CsTunnelSpec *spec = tunnel->spec;
	char *detail = detail_of(kind, words);

	switch (kind)
	{
		case UNREACHABLE:
			return make_failure(
				CS_TUNNEL_LOGIN, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION, true,
				psprintf("could not connect to ssh host \"%s\"", spec->host), detail,
				"Is it running, and can the database's machine reach it? Check the server options "
				"\"ssh_host\" and \"ssh_port\".");
		case HOST_KEY_UNKNOWN:
			return make_failure(
				CS_TUNNEL_LOGIN, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION, false,
				psprintf("the key of ssh host \"%s\" is not known", spec->host), detail,
				"Put what ssh-keyscan says of the host into the server option \"ssh_known_hosts\", "
				"after comparing it with what the host's administrator says.");
		case HOST_KEY_CHANGED:
			return make_failure(
				CS_TUNNEL_LOGIN, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION, false,
				psprintf("ssh host \"%s\" has another key than \"ssh_known_hosts\" says",
						 spec->host),
				detail,
				"If the host was not set up anew, somebody may have come in between. If it was, "
				"change the server option \"ssh_known_hosts\".");
		case KEY_REFUSED:
			return make_failure(
				CS_TUNNEL_LOGIN, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, false,
				psprintf("ssh host \"%s\" did not let user \"%s\" in", spec->host,
						 spec->user ? spec->user : "(of the configuration file)"),
				detail,
				"The line that censync_ssh_keygen returned must be in ~/.ssh/authorized_keys of "
				"that "
				"user there; check also \"ssh_user\" and the key in the user mapping.");
		case KEY_UNREADABLE:
			return make_failure(
				CS_TUNNEL_LOGIN, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, false,
				psprintf("ssh can't read the private key for host \"%s\"", spec->host), detail,
				"It must be in OpenSSH's or PEM format, without a passphrase; a file must belong "
				"to "
				"the server's user and be readable by nobody else.");
		case PROHIBITED:
			return make_failure(
				CS_TUNNEL_CONNECT, ERRCODE_SQLSERVER_REJECTED_ESTABLISHMENT_OF_SQLCONNECTION, false,
				psprintf("ssh host \"%s\" does not let user \"%s\" connect to \"%s\" port %d",
						 spec->host, spec->user ? spec->user : "(of the configuration file)",
						 tunnel->host, tunnel->port),
				detail,
				"AllowTcpForwarding and PermitOpen in its sshd_config, and the options of the key "
				"in "
				"authorized_keys, must allow it.");
		case FAR_END:
			return make_failure(
				CS_TUNNEL_CONNECT, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION, true,
				psprintf("ssh host \"%s\" could not connect to \"%s\" port %d", spec->host,
						 tunnel->host, tunnel->port),
				detail, "The name and the port must be right as seen from the SSH host.");
		case LOST:
			return make_failure(CS_TUNNEL_CONNECT, ERRCODE_CONNECTION_FAILURE, true,
								psprintf("the connection to ssh host \"%s\" was lost", spec->host),
								detail, "Run it again.");
		case UNKNOWN:
			break;
	}
	return make_failure(CS_TUNNEL_LOGIN, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION, false,
						psprintf("could not log in to ssh host \"%s\"", spec->host), detail,
						"Check the server options that begin with \"ssh_\", and those of the user "
						"mapping.");
}

/* What ssh says, without what is for other readers: paths in memory, progress, drawings. */
static char *
detail_of(Kind kind, char *words)
{
	StringInfoData detail;
	char *fingerprint = strstr(words, "SHA256:");

	initStringInfo(&detail);
	if (kind == HOST_KEY_CHANGED && fingerprint)
		appendStringInfo(&detail, "The key that it sent has the fingerprint %.*s",
						 (int) Min(strcspn(fingerprint, "\r\n"), (size_t) 60), fingerprint);
	for (char *line = words; kind != HOST_KEY_CHANGED && *line != '\0';)
	{
		size_t len = strcspn(line, "\r\n");
		char *copy = pnstrdup(line, len);

		if (is_worth_showing(copy))
			appendStringInfo(&detail, "%s%s%s", detail.len ? " " : "", copy,
							 copy[len - 1] == '.' ? "" : ".");
		line += len;
		line += strspn(line, "\r\n");
	}
	if (detail.len == 0)
		return NULL;
	/* The end is what matters. */
	return cs_redact(detail.data + Max(0, detail.len - MAX_DETAIL), Min(detail.len, MAX_DETAIL),
					 MAX_DETAIL, NIL);
}

static bool
is_worth_showing(const char *line)
{
	static const char *const noise[] = { LOGGED_IN, "Authenticated using ", "Transferred: ",
										 "Bytes per second: ", "stdio forwarding failed" };

	if (line[0] == '\0' || line[0] == '@' || strstr(line, "/proc/") != NULL)
		return false;
	for (int i = 0; i < (int) lengthof(noise); i++)
		if (strncmp(line, noise[i], strlen(noise[i])) == 0)
			return false;
	return true;
}

static CsTunnelFailure *
make_failure(CsTunnelStep step, int code, bool passing, char *message, char *detail,
			 const char *hint)
{
	CsTunnelFailure *failure = palloc(sizeof(CsTunnelFailure));

	failure->step = step;
	failure->code = code;
	failure->passing = passing;
	failure->message = message;
	failure->detail = detail;
	failure->hint = hint;
	return failure;
}
