/*
 * worker.h
 *		Background workers of this library.
 */
#ifndef CS_WORKER_H
#define CS_WORKER_H

#include "postmaster/bgworker.h"

/* What all have in common: the library's function, connected to a database, not on a standby before it is
 * promoted, never restarted; type is the name, too, until another is put there. */
extern void cs_worker_init(BackgroundWorker *worker, const char *type, const char *function);

/* For a worker that keeps our own tables: whatever sessions of the database have for defaults, its
 * transactions may write, see what others have committed, and wait. */
extern void cs_worker_set_defaults(void);

#endif /* CS_WORKER_H */
