/*
 * user.h
 *		The one place where this extension acts as somebody else.
 */
#ifndef CS_USER_H
#define CS_USER_H

/* What to go back to; on the stack of whoever switched. */
typedef struct CsUserContext
{
	Oid userid;
	int security_context;
	int guc_nest_level;
} CsUserContext;

/* The settings of code that must not depend on anybody's session. */
#define CS_SAFE_SEARCH_PATH "pg_catalog, pg_temp"

/*
 * Acts as userid until cs_user_restore, inside a security-restricted operation, with the given
 * search_path, or NULL: the one that is in force.  Errors need no clean-up: the end of the (sub)transaction restores all of it.
 */
extern void cs_user_switch(CsUserContext *saved, Oid userid, const char *search_path);

/* Acts as the owner of the extension's own tables, to read and write those and nothing else. */
extern void cs_user_switch_to_catalog(CsUserContext *saved);

/* Also undoes every setting made since with cs_user_set. */
extern void cs_user_restore(CsUserContext *saved);

/* Sets a configuration parameter until cs_user_restore. */
extern void cs_user_set(const char *name, const char *value);

/* Parameters under which values are turned to text and back without a session's influence. */
extern void cs_user_set_canonical_text(void);

/* The role a sync of this owner applies as: the owner, or for a superuser the destination's owner. */
extern Oid cs_user_to_apply_as(Oid sync_owner, Oid destination_owner);

/* May it log in?  A role that does not exist may not. */
extern bool cs_role_can_login(Oid role);

#endif /* CS_USER_H */
