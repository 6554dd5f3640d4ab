/*
 * type.c
 *		Types of SQL Server and what they are here.
 *
 * The numbers are those of the protocol, [MS-TDS] 2.2.5.4; sys.types and
 * sp_describe_first_result_set use the same.  One table serves both, so that
 * what was described is what comes.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/numeric.h"

#include "driver_tds/tds.h"

/* A type's name in sys.types, and its number there. */
typedef struct TdsTypeName
{
	const char *name;
	int type;
} TdsTypeName;

static const TdsTypeName type_names[] = {
	{ "bigint", SYBINT8 },
	{ "binary", 173 },
	{ "bit", SYBBITN },
	{ "char", 175 },
	{ "date", SYBMSDATE },
	{ "datetime", SYBDATETIME },
	{ "datetime2", SYBMSDATETIME2 },
	{ "datetimeoffset", SYBMSDATETIMEOFFSET },
	{ "decimal", SYBDECIMAL },
	{ "float", SYBFLT8 },
	{ "geography", TDS_UDT },
	{ "geometry", TDS_UDT },
	{ "hierarchyid", TDS_UDT },
	{ "image", SYBIMAGE },
	{ "int", SYBINT4 },
	{ "money", SYBMONEY },
	{ "nchar", 239 },
	{ "ntext", SYBNTEXT },
	{ "numeric", SYBNUMERIC },
	{ "nvarchar", 231 },
	{ "real", SYBREAL },
	{ "rowversion", 189 },
	{ "smalldatetime", SYBDATETIME4 },
	{ "smallint", SYBINT2 },
	{ "smallmoney", SYBMONEY4 },
	{ "sql_variant", TDS_VARIANT },
	{ "sysname", 231 },
	{ "text", SYBTEXT },
	{ "time", SYBMSTIME },
	{ "timestamp", 189 },
	{ "tinyint", SYBINT1 },
	{ "uniqueidentifier", TDS_UNIQUE },
	{ "varbinary", 165 },
	{ "varchar", 167 },
	{ "xml", TDS_XML },
};

static int32 numeric_typmod(int precision, int scale);

int
tds_type_number(int number, const char *name)
{
	int32 typmod;
	size_t length;

	if (name == NULL || OidIsValid(tds_type(number, 1, 0, &typmod)))
		return number;
	length = strcspn(name, "(");
	for (int i = 0; i < (int) lengthof(type_names); i++)
		if (strlen(type_names[i].name) == length && strncmp(type_names[i].name, name, length) == 0)
			return type_names[i].type;
	return number;
}

Oid
tds_type(int type, int precision, int scale, int32 *typmod)
{
	*typmod = -1;
	switch (type)
	{
		case SYBBIT:
		case SYBBITN:
			return BOOLOID;
		case SYBINT1: /* 0 to 255 */
		case SYBINT2:
			return INT2OID;
		case SYBINT4:
			return INT4OID;
		case SYBINT8:
			return INT8OID;
		case SYBREAL:
			return FLOAT4OID;
		case SYBFLT8:
			return FLOAT8OID;
		case SYBMONEY:
			*typmod = numeric_typmod(19, 4);
			return NUMERICOID;
		case SYBMONEY4:
			*typmod = numeric_typmod(10, 4);
			return NUMERICOID;
		case SYBNUMERIC:
		case SYBDECIMAL:
			*typmod = numeric_typmod(precision, scale);
			return NUMERICOID;
		case SYBMSDATE:
			return DATEOID;
		case SYBMSTIME:
			*typmod = Min(scale, 6);
			return TIMEOID;
		case SYBDATETIME4: /* whole minutes */
			*typmod = 0;
			return TIMESTAMPOID;
		case SYBDATETIME: /* 1/300 s, which SQL Server rounds to milliseconds, too */
			*typmod = 3;
			return TIMESTAMPOID;
		case SYBMSDATETIME2:
			*typmod = Min(scale, 6);
			return TIMESTAMPOID;
		case SYBMSDATETIMEOFFSET:
			*typmod = Min(scale, 6);
			return TIMESTAMPTZOID;
		case SYBCHAR:
		case SYBVARCHAR:
		case SYBTEXT:
		case SYBNTEXT:
		case SYBNVARCHAR:
		case 167: /* varchar, char, nvarchar, nchar, xml, json in sys.types */
		case 175:
		case 231:
		case 239:
		case TDS_XML:
		case 244:
		case TDS_VARIANT:
			return TEXTOID;
		case SYBBINARY:
		case SYBVARBINARY:
		case SYBIMAGE:
		case 165: /* varbinary, binary, rowversion in sys.types */
		case 173:
		case 189:
		case TDS_UDT:
			return BYTEAOID;
		case TDS_UNIQUE:
			return UUIDOID;
		default:
			return InvalidOid;
	}
}

/* As numerictypmodin makes it. */
static int32
numeric_typmod(int precision, int scale)
{
	return ((precision << 16) | scale) + VARHDRSZ;
}
