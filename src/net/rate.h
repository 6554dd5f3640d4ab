/*
 * rate.h
 *		When the next request to a server may begin.
 */
#ifndef CS_RATE_H
#define CS_RATE_H

#include "datatype/timestamp.h"

/*
 * No request to the server before this; 0: there was none yet.  All that this backend asks the server for is
 * counted there, whichever client asks.  Lives as long as the backend.
 */
extern TimestampTz *cs_rate_next_start(Oid serverid);

#endif /* CS_RATE_H */
