/*
 * privileges.h
 *		What a role must be allowed before its sync reads anything.
 */
#ifndef CS_PRIVILEGES_H
#define CS_PRIVILEGES_H

#include "sync/mapping.h"

/* Throws 42501 naming the privilege, with the GRANT that would help as hint. */
extern void cs_privileges_check(const CsMappingSet *set, CsBehavior behavior, Oid role);

#endif /* CS_PRIVILEGES_H */
