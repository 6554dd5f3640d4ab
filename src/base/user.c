/*
 * user.c
 *		The one place where this extension acts as somebody else.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_namespace.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/syscache.h"

#include "base/user.h"

static Oid catalog_owner(void);
static void switch_to(CsUserContext *saved, Oid userid, int flags, const char *search_path);

void
cs_user_switch(CsUserContext *saved, Oid userid, const char *search_path)
{
	switch_to(saved, userid, SECURITY_RESTRICTED_OPERATION, search_path);
}

void
cs_user_switch_to_catalog(CsUserContext *saved)
{
	switch_to(saved, catalog_owner(), 0, CS_SAFE_SEARCH_PATH);
}

void
cs_user_restore(CsUserContext *saved)
{
	AtEOXact_GUC(false, saved->guc_nest_level);
	SetUserIdAndSecContext(saved->userid, saved->security_context);
}

void
cs_user_set(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
}

void
cs_user_set_canonical_text(void)
{
	cs_user_set("DateStyle", "ISO, YMD");
	cs_user_set("IntervalStyle", "postgres");
	cs_user_set("TimeZone", "UTC");
	cs_user_set("extra_float_digits", "1");
	cs_user_set("bytea_output", "hex");
}

Oid
cs_user_to_apply_as(Oid sync_owner, Oid destination_owner)
{
	return superuser_arg(sync_owner) ? destination_owner : sync_owner;
}

bool
cs_role_can_login(Oid role)
{
	HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	bool can;

	if (!HeapTupleIsValid(tuple))
		return false;
	can = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	ReleaseSysCache(tuple);
	return can;
}

/* The extension's schema is created by its script, so its owner owns the tables in it. */
static Oid
catalog_owner(void)
{
	Oid nspid = get_namespace_oid("censync", false);
	HeapTuple tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(nspid));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for namespace %u", nspid);
	owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	ReleaseSysCache(tuple);
	return owner;
}

static void
switch_to(CsUserContext *saved, Oid userid, int flags, const char *search_path)
{
	GetUserIdAndSecContext(&saved->userid, &saved->security_context);
	SetUserIdAndSecContext(userid, saved->security_context | SECURITY_LOCAL_USERID_CHANGE | flags);
	saved->guc_nest_level = NewGUCNestLevel();
	if (search_path)
		cs_user_set("search_path", search_path);
}
