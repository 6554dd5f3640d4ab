/*
 * cron.h
 *		Cron expressions, and the times they mean in a time zone.
 */
#ifndef CS_CRON_H
#define CS_CRON_H

#include "pgtime.h"

typedef struct CsCron
{
	uint64 minutes; /* bit i: minute i is meant; and so on */
	uint32 hours;
	uint32 days;	 /* of the month, from 1 */
	uint32 months;	 /* from 1 */
	uint32 weekdays; /* 0: Sunday */
	bool any_day;	 /* the field of the day of the month begins with *; then both must match */
	bool any_weekday;
	bool
		any_hour; /* the field of the hour begins with *: no times of day are meant, but a rhythm */
} CsCron;

/*
 * Five fields separated by spaces, or @hourly and its like.  Where there is more after the fields, *rest
 * points to it, else to the end.  False: *problem says what is wrong.
 */
extern bool cs_cron_parse(const char *text, CsCron *cron, const char **rest, const char **problem);

/*
 * The first time that is meant after a time, in seconds since 1970; 0: none within the next years.
 *
 * Where clocks are put forward, a time of day that is left out is made up for at once, once; where they
 * are put back, the second of two equal times is not meant.  Unless the hour is *: then what counts is
 * what the clock shows, each time it does.
 */
extern pg_time_t cs_cron_next(const CsCron *cron, pg_time_t after, const pg_tz *zone);

#endif /* CS_CRON_H */
