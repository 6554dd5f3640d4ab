/*
 * child.h
 *		Child processes of a backend: nothing of the server goes with them, and
 *		nothing of them stays.
 */
#ifndef CS_CHILD_H
#define CS_CHILD_H

#include <sys/types.h>

#include "lib/stringinfo.h"

/* Where a program of the system is, or NULL; in no directory that an environment names. */
extern const char *cs_program_find(const char *name);

/* As fork; the child's signals are blocked. */
extern pid_t cs_child_fork(void);

/* In the child: a session of its own, so that signals for the backend's process group pass it by, no
 * handlers of the server's, and no open files but those to keep (in ascending order, above 2) and
 * /dev/null as 0, 1 and 2.  Calls only what may be called between fork and exec. */
extern void cs_child_detach(const int *keep, int nkeep);

/* Unblocks all signals and becomes the program; does not come back. */
extern void cs_child_exec(const char *const argv[]) pg_attribute_noreturn();

/* Waits for the end of a child, and kills it and its process group if it takes longer than that.  Throws nothing. */
extern void cs_child_end(pid_t pid, int patience_ms);

/* Runs a program (argv[0] is its path) with arguments that nobody interprets, in seconds at most;
 * returns its exit status, -1 if it was ended by a signal, and appends what it said. */
extern int cs_child_run(const char *const argv[], int seconds, StringInfo output);

/* A file without a name, which only this server's user can open, as /proc/PID/fd/...; it has gone
 * when nobody has it open.  len: of data, which may be NULL; its size can't change from then on.  Returns its descriptor, to be
 * closed by cs_memory_file_close, which takes -1 for none. */
extern int cs_memory_file_create(const char *data, size_t len);
extern void cs_memory_file_close(int fd);

#endif /* CS_CHILD_H */
