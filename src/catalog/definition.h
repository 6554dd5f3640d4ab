/*
 * definition.h
 *		Syncs as they are defined and kept.
 */
#ifndef CS_DEFINITION_H
#define CS_DEFINITION_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

typedef enum CsBehavior
{
	CS_UPDATE,
	CS_UPSERT,
	CS_APPEND,
	CS_MIRROR
} CsBehavior;

/* A definition, all of it in the context in which it was loaded. */
typedef struct CsSync
{
	int64 sync_id;
	char *name;
	Oid owner; /* InvalidOid: the role is gone */
	char *owner_name;
	Oid destination;		/* InvalidOid: the table is gone */
	char *destination_name; /* quoted, with its schema, as it was last seen */
	CsBehavior behavior;
	char *server; /* name, or NULL: this database */
	char *query;  /* query or object, or both NULL for a server that needs neither */
	char *object;
	List *sync_key;	 /* char * */
	Jsonb *mappings; /* or NULL: by name */
	Jsonb *options;	 /* never NULL */
	List *settings;	 /* char * "name=value": of the session that defined it */
	bool paused;
	char *schedule;				/* as cs_schedule_canonical gives it, or NULL */
	TimestampTz schedule_since; /* of a schedule: see CsScheduleHistory */
	char *scheduler;			/* who keeps it, of cs_keeper's names, or NULL: nobody */
	bool at_home;				/* its OIDs are of this database; else it came with a dump */
	char *version;				/* another after each change; NULL: not yet written */
} CsSync;

/* Throws 42704 if there is none of that name. */
extern CsSync *cs_sync_load(const char *name);
extern CsSync *cs_sync_find(const char *name); /* NULL if there is none */

/* The same for who will write it back: locked until the end of the transaction, so that of two sessions
 * that change a definition neither undoes what the other did. */
extern CsSync *cs_sync_load_to_change(const char *name);

/* The same for who will remove it: waits for those who have called cs_sync_keep. */
extern CsSync *cs_sync_load_to_drop(const char *name);

/* Keeps a sync from being dropped until the end of the transaction, as what is about to refer to it would be left
 * behind; throws 42704 if it has been dropped since it was loaded. */
extern void cs_sync_keep(const CsSync *sync);

/* Is it still as it was loaded, whatever the transaction's own snapshot says? */
extern bool cs_sync_is_current(const CsSync *sync);

/* Names of active syncs that the current role may run, by sync_id. */
extern List *cs_sync_list_active(void);

/* Throws 42501 unless the current role has the privileges of the owner; 42704 if the owner is gone. */
extern void cs_sync_check_access(const CsSync *sync);

/* Writes a new definition and returns its id; throws 42710 if the name is taken. */
extern int64 cs_sync_insert(CsSync *sync);

/* Writes everything but id, name and owner. */
extern void cs_sync_update(const CsSync *sync);

/* Notes under which names owner and destination go by now, as only those mean something in a dump. */
extern void cs_sync_refresh_names(const CsSync *sync);
extern void cs_sync_delete(const CsSync *sync);
extern void cs_sync_forget_mirror(const CsSync *sync);

/* Do two definitions read the same and write it to the same place in the same way, options aside? */
extern bool cs_sync_is_same_work(const CsSync *a, const CsSync *b);

/* Are both NULL, or the same? */
extern bool cs_same_text(const char *a, const char *b);

/* Looks the names of a restored definition up in this database; throws 42704 or 42P01. */
extern void cs_sync_bring_home(CsSync *sync);

extern CsBehavior cs_behavior_parse(const char *name); /* throws 22023 */
extern const char *cs_behavior_name(CsBehavior behavior);

/* The current session's settings that decide how text becomes values, for CsSync.settings. */
extern List *cs_sync_current_settings(void);

/* Puts a definition's settings in force until the surrounding cs_user_restore, search_path included. */
extern void cs_sync_apply_settings(const CsSync *sync);

/* This installation among all: "system identifier/database OID/extension OID". */
extern char *cs_home(void);

#endif /* CS_DEFINITION_H */
