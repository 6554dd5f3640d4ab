/*
 * destination.h
 *		A destination table as the catalog describes it: columns, keys, and
 *		whether censync can write to it.
 */
#ifndef CS_DESTINATION_H
#define CS_DESTINATION_H

#include "access/attnum.h"
#include "nodes/pg_list.h"

typedef struct CsDestColumn
{
	AttrNumber attnum;
	char *name;
	Oid typid; /* as declared: domains are not looked through */
	int32 typmod;
	Oid collation;
	bool notnull;	   /* NOT NULL of the column, or of its domain (nested domains too) */
	char *default_sql; /* its default as SQL with qualified names (the domain's default
								 * counts), or NULL; identity columns: NULL */
	char generated;	   /* pg_attribute.attgenerated, '\0' if plain */
	char identity;	   /* pg_attribute.attidentity, '\0' if none */
	bool exact;		   /* equal values of this type have equal images */
} CsDestColumn;

/* One index that could be, or looks like it could be, a sync key. */
typedef struct CsUniqueKey
{
	Oid index_oid;
	char *name; /* of the constraint or index */
	bool primary;
	bool is_constraint;
	int ncolumns;	   /* key columns only; INCLUDE columns don't count */
	int *columns;	   /* positions in CsDestination.columns; NULL for expression keys */
	char **parts;	   /* one per key column: the column's name, or the expression as SQL */
	Oid *eq_operators; /* one per key column: equality of the index's operator class;
								 * InvalidOid where that has none, which a usable key never shows */
	char *refused;	   /* why it can't be a sync key, or NULL: it can */
	char *remedy;	   /* a statement that would give a usable key in its place, or NULL */
} CsUniqueKey;

typedef struct CsDestination
{
	Oid relid;
	char *schema;
	char *name;
	Oid owner;
	bool only;	  /* plain table: read and write with ONLY, so that inheritance
								 * children stay out; false for partitioned tables */
	int ncolumns; /* dropped columns are left out */
	CsDestColumn *columns;
	List *keys;		  /* CsUniqueKey *, primary first, then by name; refused ones too */
	char *refused;	  /* why the table can't be a destination, or NULL */
	int refused_code; /* SQLSTATE that goes with it, or 0 */
	char *remedy;	  /* a statement that would help, or NULL */
} CsDestination;

/* Reads all of it in CurrentMemoryContext, under AccessShareLock which is released again at the end.
 * Throws 42P01 if there is no such relation.  Runs no user code. */
extern CsDestination *cs_destination_load(Oid relid);

/* Throws the reason (0A000, 42809 or 55000, with the remedy as hint) unless the table can be written. */
extern void cs_destination_check(const CsDestination *destination);

/* The usable key on exactly these columns (char *, in any order), the primary key (or the only usable
 * key) for NIL; it belongs to the destination.  Throws 42P10 naming the columns, why a key that is
 * there can't serve, and the statement that would add one; 42703 for a name that is no column, 42701
 * for one given twice. */
extern CsUniqueKey *cs_destination_find_key(const CsDestination *destination, List *names);

/* Position of a column, or -1. */
extern int cs_destination_find_column(const CsDestination *destination, const char *name);

/* The same by its number; -1 for system columns. */
extern int cs_destination_find_attribute(const CsDestination *destination, AttrNumber attnum);

/* Same name, owner, columns and usable keys: for the re-check under the final lock.  An index that
 * was rebuilt meanwhile (REINDEX CONCURRENTLY gives it a new OID) or renamed makes no difference. */
extern bool cs_destination_equal(const CsDestination *a, const CsDestination *b);

/* schema.name, quoted where needed, in CurrentMemoryContext. */
extern char *cs_destination_quoted(const CsDestination *destination);

#endif /* CS_DESTINATION_H */
