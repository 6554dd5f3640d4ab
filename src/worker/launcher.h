/*
 * launcher.h
 *		The process that sees to it that each database has a scheduler.
 */
#ifndef CS_LAUNCHER_H
#define CS_LAUNCHER_H

/* To be called when the library is loaded. */
extern void cs_launcher_register(void);

#endif /* CS_LAUNCHER_H */
