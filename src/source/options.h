/*
 * options.h
 *		Options of servers, user mappings, foreign tables and syncs: one table
 *		says where each may stand, who may set it and what it may be.
 */
#ifndef CS_OPTIONS_H
#define CS_OPTIONS_H

#include "nodes/pg_list.h"

/* Where an option may stand; bits. */
typedef enum CsOptionLevel
{
	CS_LEVEL_SERVER = 1,
	CS_LEVEL_USER = 2,
	CS_LEVEL_TABLE = 4,
	CS_LEVEL_COLUMN = 8,
	CS_LEVEL_SYNC = 16
} CsOptionLevel;

/*
 * Refuses unknown, misplaced, malformed and privileged options (DefElem *) at a level.  Errors:
 * HV00D with the list of valid names as hint, 42501 for what only a superuser may set, 22023 values.
 */
extern void cs_options_validate(List *options, CsOptionLevel level);

/* Refuses credentials of a user mapping that contradict each other; 22023. */
extern void cs_options_validate_credentials(List *options);

/* What a user mapping says of credentials. */
extern struct CsCredentials *cs_options_credentials(List *user_options);

/* Is there an option of that name that may stand in a sync? */
extern bool cs_option_is_of_sync(const char *name);

/* What one read goes by: nearer layers first. */
typedef struct CsOptionSet
{
	List *near; /* DefElem * of the sync or foreign table */
	List *server;
	List *user; /* of the user mapping; NIL if there is none */
	Oid serverid;
	Oid userid; /* the role whose mapping that is, and who connects by it */
} CsOptionSet;

/* Loads server and user mapping options. */
extern CsOptionSet *cs_options_load(Oid serverid, Oid userid, List *near);

/* Refuses options of server and user mapping that this source (a CS_FOR_... bit) does not know: when they
 * were set, the type of the server could not be seen.  HV00D with those it knows. */
extern void cs_options_check_source(const CsOptionSet *set, int source);

/* The nearest value of an option that is no secret, or NULL. */
extern const char *cs_option_get(const CsOptionSet *set, const char *name);
extern const char *cs_option_get_default(const CsOptionSet *set, const char *name,
										 const char *otherwise);

/* An option of the user mapping, or NULL. */
extern const char *cs_option_get_user(const CsOptionSet *set, const char *name);

/* Parsed forms of values that the validator has let through. */
extern int64 cs_option_bytes(const char *value); /* '100 MB' */
extern double cs_option_rate(const char *value); /* '10', '10/s', '600/min': a second */
extern int cs_option_int(const char *value);
extern bool cs_option_bool(const char *value);
extern char cs_option_delimiter(const char *value);

#endif /* CS_OPTIONS_H */
