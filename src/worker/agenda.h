/*
 * agenda.h
 *		What a scheduler has to start, and when.
 */
#ifndef CS_AGENDA_H
#define CS_AGENDA_H

#include "datatype/timestamp.h"

extern void cs_agenda_init(void);

/* Reads it all. */
extern void cs_agenda_load(void);

/* Reads anew what depends on the runs of one sync. */
extern void cs_agenda_load_around(int64 sync_id);

/* Starts what is due, as far as there are workers for it; returns when to look again. */
extern TimestampTz cs_agenda_start_due(void);

#endif /* CS_AGENDA_H */
