/*
 * start.h
 *		Runs in background workers.
 */
#ifndef CS_START_H
#define CS_START_H

#include "postmaster/bgworker.h"

#include "catalog/definition.h"
#include "catalog/queue.h"

/* What a worker is told; in its bgw_extra. */
typedef struct CsWorkerOrder
{
	Oid database;
	Oid owner; /* of the sync: whom it is to be */
	int64 run_id;
	TransactionId after; /* it has to end first; or InvalidTransactionId */
	bool may_connect;	 /* as the owner; else it has to become the owner afterwards */
} CsWorkerOrder;

/*
 * Queues a run of a sync for when this transaction is committed, and returns its id.  Where there is no
 * launcher, the commit itself starts the worker.  Throws 55006 if the sync runs or is queued already, 53400
 * if there is no launcher and no worker to be had, 42501 if the owner may not connect to the database.
 */
extern int64 cs_start_run(const CsSync *sync);

/* Was that run started in this transaction, so that it can't have begun? */
extern bool cs_start_is_pending(int64 run_id);

/* Why no worker could be this role, or NULL: one can. */
extern CsError *cs_start_owner_problem(const char *sync, Oid owner);

/* Starts a worker for a run that is queued; false: there is no free slot.  The handle, if it is wanted, is in
 * CurrentMemoryContext; this process is told when the worker ends. */
extern bool cs_start_worker(const CsQueuedRun *run, TransactionId after,
							BackgroundWorkerHandle **handle);

/* The server that a sync reads from, by its name, which may be NULL; InvalidOid: none. */
extern Oid cs_start_server(const char *name);

#endif /* CS_START_H */
