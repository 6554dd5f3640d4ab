/*
 * deliver.h
 *		Telling webhooks what waits in the outbox.
 */
#ifndef CS_DELIVER_H
#define CS_DELIVER_H

typedef enum CsDeliverResult
{
	CS_DELIVER_NOTHING, /* is due; or another session delivers */
	CS_DELIVER_DONE,
	CS_DELIVER_FAILED /* it is tried again later, or given up */
} CsDeliverResult;

/*
 * Makes one attempt at the next delivery that is due, of those whose owner's privileges the current user has,
 * and notes what became of it.  To be called at the beginning of a transaction, without a snapshot, which the
 * caller commits after it.  So a worker does
 *
 *     do { begin; result = cs_deliver_next(); commit; } while (result != CS_DELIVER_NOTHING);
 *
 * An event is told at least once: what was told and not committed is told again, with the same id.
 */
extern CsDeliverResult cs_deliver_next(void);

/* The same for a procedure with a non-atomic SPI connection: commits, delivers all that is due, and commits
 * after each.  briefly, for a session that has something else to do: ends with the first failure, or after
 * a few seconds. */
extern void cs_deliver_all(bool briefly);

/* How long an event is tried for, in seconds. */
#define CS_DELIVER_FOR_S (3 * 86400)

#endif /* CS_DELIVER_H */
