/*
 * rate.c
 *		When the next request to a server may begin.
 */
#include "postgres.h"

#include "net/rate.h"
#include "utils/hsearch.h"

/* Of one server; never removed, as there are as many as this backend has asked. */
typedef struct Rate
{
	Oid serverid; /* must be first: the key */
	TimestampTz next_start;
} Rate;

TimestampTz *
cs_rate_next_start(Oid serverid)
{
	static HTAB *rates = NULL;
	bool found;
	Rate *rate;

	if (rates == NULL)
	{
		HASHCTL control = { .keysize = sizeof(Oid), .entrysize = sizeof(Rate) };

		rates = hash_create("censync rates of requests", 16, &control, HASH_ELEM | HASH_BLOBS);
	}
	rate = hash_search(rates, &serverid, HASH_ENTER, &found);
	if (!found)
		rate->next_start = 0;
	return &rate->next_start;
}
