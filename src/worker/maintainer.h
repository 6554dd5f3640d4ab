/*
 * maintainer.h
 *		What is to be done besides runs: alerts by time, webhooks, retention.
 */
#ifndef CS_MAINTAINER_H
#define CS_MAINTAINER_H

/*
 * For the scheduler of a database, as often as it wakes, outside a transaction: has a worker tell webhooks if any are
 * to be told; in each round, a minute or so apart, also looks whether alerts are due; once an hour has the
 * worker prune.  Returns soon: nobody waits for a network here.  Without a free worker slot a later call
 * tries again.
 */
extern void cs_maintainer_tick(bool round);

/* Its worker is to leave at once, whatever it does. */
extern void cs_maintainer_stop(void);

#endif /* CS_MAINTAINER_H */
