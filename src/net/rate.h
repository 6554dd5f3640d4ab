/*
 * rate.h
 *		When the next request to a server may begin.
 */
#ifndef CS_RATE_H
#define CS_RATE_H

#include "datatype/timestamp.h"

/*
 * No request to the server before this (of cs_clock_steady); 0: there was none yet.  All that this backend asks the server for is
 * counted there, whichever client asks.  Lives as long as the backend.
 */
extern TimestampTz *cs_rate_next_start(Oid serverid);

/* Sleeps, interruptibly, until the next request may begin, and counts it; per_second 0: there is no limit. */
extern void cs_rate_wait(TimestampTz *next_start, double per_second);

/* Counts one that begins now. */
extern void cs_rate_count(TimestampTz *next_start, double per_second);

#endif /* CS_RATE_H */
