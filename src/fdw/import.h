/*
 * import.h
 *		IMPORT FOREIGN SCHEMA.
 */
#ifndef CS_FOREIGN_IMPORT_H
#define CS_FOREIGN_IMPORT_H

#include "foreign/fdwapi.h"

/* A member of FdwRoutine: the statements (char *) that create the foreign tables. */
extern List *cs_foreign_import(ImportForeignSchemaStmt *stmt, Oid serverid);

#endif /* CS_FOREIGN_IMPORT_H */
