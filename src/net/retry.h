/*
 * retry.h
 *		Whether and when a failed HTTP request is sent again.
 */
#ifndef CS_RETRY_H
#define CS_RETRY_H

/* 429, 502, 503, 504: the same request may succeed a little later. */
extern bool cs_retry_status(int status);

/*
 * Milliseconds to wait before attempt number "attempt" (1 = first repetition): what Retry-After
 * says (seconds, or an HTTP date of any of RFC 9110's three forms).  If it says nothing, or no time
 * at all: 0.5 s doubling to 30 s, with up to half of it taken off at random.  now is in seconds
 * since the epoch.  Returns -1 if the server asks for more than censync.http_max_wait: then the
 * request fails instead.
 */
extern int64 cs_retry_delay_ms(int attempt, const char *retry_after, int64 now);

/* Sleeps, interruptibly. */
extern void cs_retry_sleep(int64 ms);

#endif /* CS_RETRY_H */
