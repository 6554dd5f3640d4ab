/*
 * compat.h
 *		Every difference between PostgreSQL versions that this extension meets,
 *		behind one name each.  No other file asks for PG_VERSION_NUM.
 */
#ifndef CS_COMPAT_H
#define CS_COMPAT_H

#include "pg_config.h"

#if PG_VERSION_NUM < 150000
#error "censync needs PostgreSQL 15 or later"
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#endif /* CS_COMPAT_H */
