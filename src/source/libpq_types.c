/*
 * libpq_types.c
 *		Types of PostgreSQL, and how their values travel.
 *
 * Built-in types have the same OIDs everywhere.  Those whose binary form is
 * the same in every version come so; all others, a remote server's own types
 * among them, come as the text of their output functions.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"

#include "source/libpq.h"

/* Types that come in binary form; those that are read otherwise than by their receive function first.
 * Not so tsquery: since 18 its receive function does not take back an empty one. */
static const struct
{
	Oid type;
	CsPqWire wire;
} binary_types[] = {
	{ BOOLOID, CS_PQ_BOOL },
	{ INT2OID, CS_PQ_INT2 },
	{ INT4OID, CS_PQ_INT4 },
	{ INT8OID, CS_PQ_INT8 },
	{ FLOAT4OID, CS_PQ_FLOAT4 },
	{ FLOAT8OID, CS_PQ_FLOAT8 },
	{ DATEOID, CS_PQ_DATE },
	{ TIMEOID, CS_PQ_TIME },
	{ TIMESTAMPOID, CS_PQ_TIMESTAMP },
	{ TIMESTAMPTZOID, CS_PQ_TIMESTAMP },
	{ UUIDOID, CS_PQ_UUID },
	{ BYTEAOID, CS_PQ_BYTES },
	{ TEXTOID, CS_PQ_STRING },
	{ VARCHAROID, CS_PQ_STRING },
	{ BPCHAROID, CS_PQ_STRING },
	{ NUMERICOID, CS_PQ_RECEIVE },
	{ JSONBOID, CS_PQ_RECEIVE },
	{ JSONOID, CS_PQ_RECEIVE },
	{ INTERVALOID, CS_PQ_RECEIVE },
	{ TIMETZOID, CS_PQ_RECEIVE },
	{ NAMEOID, CS_PQ_RECEIVE },
	{ CHAROID, CS_PQ_RECEIVE },
	{ OIDOID, CS_PQ_RECEIVE },
	{ XIDOID, CS_PQ_RECEIVE },
	{ XID8OID, CS_PQ_RECEIVE },
	{ CIDOID, CS_PQ_RECEIVE },
	{ TIDOID, CS_PQ_RECEIVE },
	{ CASHOID, CS_PQ_RECEIVE },
	{ BITOID, CS_PQ_RECEIVE },
	{ VARBITOID, CS_PQ_RECEIVE },
	{ INETOID, CS_PQ_RECEIVE },
	{ CIDROID, CS_PQ_RECEIVE },
	{ MACADDROID, CS_PQ_RECEIVE },
	{ MACADDR8OID, CS_PQ_RECEIVE },
	{ POINTOID, CS_PQ_RECEIVE },
	{ LSEGOID, CS_PQ_RECEIVE },
	{ PATHOID, CS_PQ_RECEIVE },
	{ BOXOID, CS_PQ_RECEIVE },
	{ POLYGONOID, CS_PQ_RECEIVE },
	{ LINEOID, CS_PQ_RECEIVE },
	{ CIRCLEOID, CS_PQ_RECEIVE },
	{ TSVECTOROID, CS_PQ_RECEIVE },
	{ JSONPATHOID, CS_PQ_RECEIVE },
	{ PG_LSNOID, CS_PQ_RECEIVE },
	{ PG_SNAPSHOTOID, CS_PQ_RECEIVE },
	{ TXID_SNAPSHOTOID, CS_PQ_RECEIVE },
	{ INT4RANGEOID, CS_PQ_RECEIVE },
	{ INT8RANGEOID, CS_PQ_RECEIVE },
	{ NUMRANGEOID, CS_PQ_RECEIVE },
	{ DATERANGEOID, CS_PQ_RECEIVE },
	{ TSRANGEOID, CS_PQ_RECEIVE },
	{ TSTZRANGEOID, CS_PQ_RECEIVE },
	{ INT4MULTIRANGEOID, CS_PQ_RECEIVE },
	{ INT8MULTIRANGEOID, CS_PQ_RECEIVE },
	{ NUMMULTIRANGEOID, CS_PQ_RECEIVE },
	{ DATEMULTIRANGEOID, CS_PQ_RECEIVE },
	{ TSMULTIRANGEOID, CS_PQ_RECEIVE },
	{ TSTZMULTIRANGEOID, CS_PQ_RECEIVE },
};

static bool find_wire(Oid type, CsPqWire *wire);
static bool depends_on_clock(Oid type);
static void set_common(CsColumn *column, CsPqColumn *read, Oid type, int32 typmod);

bool
cs_pq_type_set(CsPqSession *session, CsColumn *column, CsPqColumn *read, Oid type, int32 typmod)
{
	const char *integers = PQparameterStatus(session->conn, "integer_datetimes");
	Oid element;
	Oid receive;

	if (type >= FirstGenbkiObjectId)
		return false;
	if (!find_wire(type, &read->wire))
	{
		/* int2vector and oidvector are arrays whose own functions do not take back an empty one. */
		element = get_element_type(type);
		if (!OidIsValid(element) || get_array_type(element) != type ||
			!find_wire(element, &read->wire))
			return false;
		read->wire = CS_PQ_RECEIVE;
	}
	else
		element = type;
	/* Servers before 10 could be built with clocks that count in floating point. */
	if (depends_on_clock(element) && (integers == NULL || strcmp(integers, "on") != 0))
		return false;
	/* What a type modifier does to a value is up to its type; the length of strings is checked here. */
	if (typmod >= 0 && read->wire != CS_PQ_STRING)
		read->wire = CS_PQ_RECEIVE;
	getTypeBinaryInputInfo(type, &receive, &read->type_param);
	fmgr_info(receive, &read->read);
	set_common(column, read, type, typmod);
	return true;
}

void
cs_pq_type_set_text(CsColumn *column, CsPqColumn *read)
{
	set_common(column, read, TEXTOID, -1);
	read->as_text = true;
	read->wire = CS_PQ_STRING;
}

void
cs_pq_type_set_input(CsColumn *column, CsPqColumn *read, Oid type, int32 typmod)
{
	Oid input;

	read->wire = CS_PQ_INPUT;
	getTypeInputInfo(type, &input, &read->type_param);
	fmgr_info(input, &read->read);
	set_common(column, read, type, typmod);
}

static bool
find_wire(Oid type, CsPqWire *wire)
{
	for (int i = 0; i < (int) lengthof(binary_types); i++)
		if (binary_types[i].type == type)
		{
			*wire = binary_types[i].wire;
			return true;
		}
	return false;
}

static bool
depends_on_clock(Oid type)
{
	switch (type)
	{
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case INTERVALOID:
		case TSRANGEOID:
		case TSTZRANGEOID:
			return true;
		default:
			return false;
	}
}

static void
set_common(CsColumn *column, CsPqColumn *read, Oid type, int32 typmod)
{
	column->typid = type;
	column->typmod = typmod;
	column->collation = get_typcollation(type);
	read->typmod = typmod;
	if ((type == VARCHAROID || type == BPCHAROID) && typmod >= (int32) VARHDRSZ)
		read->max_chars = typmod - (int32) VARHDRSZ;
}
