/*
 * child.c
 *		Child processes of a backend.
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/fd.h"

#include "base/child.h"

#define MAX_OUTPUT (16 * 1024)

static void reset_signals(void);
static void close_between(int first, int last);
static bool has_ended(pid_t pid, int patience_ms, int *status);

const char *
cs_program_find(const char *name)
{
	static const char *const directories[] = { "/usr/bin", "/usr/local/bin", "/bin" };

	for (int i = 0; i < (int) lengthof(directories); i++)
	{
		char *path = psprintf("%s/%s", directories[i], name);

		if (access(path, X_OK) == 0)
			return path;
		pfree(path);
	}
	return NULL;
}

pid_t
cs_child_fork(void)
{
	sigset_t all;
	sigset_t before;
	pid_t pid;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid != 0)
		sigprocmask(SIG_SETMASK, &before, NULL);
	return pid;
}

void
cs_child_detach(const int *keep, int nkeep)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int next = 3;

	reset_signals();
	(void) setsid();
	for (int fd = 0; fd < 3; fd++)
		(void) dup2(null, fd);
	for (int i = 0; i < nkeep; i++)
	{
		close_between(next, keep[i] - 1);
		next = keep[i] + 1;
	}
	close_between(next, -1);
}

void
cs_child_exec(const char *const argv[])
{
	static const char *const environment[] = { "PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C",
											   NULL };
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	(void) execve(argv[0], (char **) argv, (char **) environment);
	_exit(127);
}

void
cs_child_end(pid_t pid, int patience_ms)
{
	int status;

	if (has_ended(pid, patience_ms, &status))
		return;
	(void) kill(-pid, SIGKILL);
	(void) kill(pid, SIGKILL);
	(void) has_ended(pid, 2000, &status);
}

int
cs_child_run(const char *const argv[], int seconds, StringInfo output)
{
	int said = cs_memory_file_create(NULL, MAX_OUTPUT);
	pid_t pid = cs_child_fork();
	int status = -1;
	ssize_t len;

	if (pid == 0)
	{
		cs_child_detach(&said, 1);
		(void) dup2(said, 1);
		(void) dup2(said, 2);
		cs_child_exec(argv);
	}
	if (pid > 0 && !has_ended(pid, seconds * 1000, &status))
		cs_child_end(pid, 0);
	enlargeStringInfo(output, MAX_OUTPUT);
	len = pid > 0 ? pread(said, output->data + output->len, MAX_OUTPUT, 0) : 0;
	output->data[output->len + Max(len, 0)] = '\0';
	output->len = strlen(output->data);
	cs_memory_file_close(said);
	if (pid < 0)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("could not start \"%s\": %m", argv[0])));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* One that is to be written (data is NULL) must not grow without end; sealed, it takes no more than len
 * bytes. */
int
cs_memory_file_create(const char *data, size_t len)
{
	int fd = -1;
	bool ok;

	if (AcquireExternalFD())
	{
		fd = memfd_create("censync", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (fd < 0)
			ReleaseExternalFD();
	}
	ok = fd >= 0 && fchmod(fd, S_IRUSR | S_IWUSR) == 0;
	if (data)
		ok = ok && write(fd, data, len) == (ssize_t) len;
	else
		ok = ok && ftruncate(fd, (off_t) len) == 0;
	ok = ok && fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0;
	if (!ok)
	{
		int save_errno = errno;

		cs_memory_file_close(fd);
		errno = save_errno;
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("could not create a file in memory: %m")));
	}
	return fd;
}

void
cs_memory_file_close(int fd)
{
	if (fd < 0)
		return;
	(void) close(fd);
	ReleaseExternalFD();
}

static void
reset_signals(void)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = SIG_DFL;
	for (int number = 1; number < NSIG; number++)
		(void) sigaction(number, &action, NULL);
}

/* last < 0: without an end. */
static void
close_between(int first, int last)
{
	unsigned int end = last < 0 ? ~0U : (unsigned int) last;

	if ((last >= 0 && last < first) || close_range((unsigned int) first, end, 0) == 0)
		return;
	/* A kernel before 5.9. */
	end = Min(end, (unsigned int) sysconf(_SC_OPEN_MAX));
	for (unsigned int fd = (unsigned int) first; fd <= end; fd++)
		(void) close((int) fd);
}

/* Where nobody is there to be waited for, it has ended. */
static bool
has_ended(pid_t pid, int patience_ms, int *status)
{
	instr_time begin;
	instr_time now;

	INSTR_TIME_SET_CURRENT(begin);
	for (;;)
	{
		pid_t got = waitpid(pid, status, WNOHANG);

		if (got == pid || (got < 0 && errno != EINTR))
			return true;
		INSTR_TIME_SET_CURRENT(now);
		INSTR_TIME_SUBTRACT(now, begin);
		if (INSTR_TIME_GET_MILLISEC(now) >= patience_ms)
			return false;
		pg_usleep(1000);
	}
}
