/*
 * libpq_value.c
 *		One value of a row, as it came, into a Datum.
 *
 * Short strings stay where they are: their header takes the place of the
 * length before them.
 */
#include "postgres.h"

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/uuid.h"

#include "base/compat.h"
#include "source/libpq.h"

static uint16 get_uint16(const char *data);
static uint32 get_uint32(const char *data);
static uint64 get_uint64(const char *data);
static Datum get_float4(const char *data);
static Datum get_float8(const char *data);
static Datum get_date(const char *data);
static Datum get_time(const char *data);
static Datum get_timestamp(const char *data);
static void need(int len, int wanted);
static Datum get_bytes(char *data, int len);
static Datum get_string(CsPqSession *session, int i, char *data, int len);
static bool check_encoding(CsPqSession *session, int i, const char *data, int len);
static Datum receive(CsPqColumn *read, char *data, int len);
static void refuse_value(CsPqSession *session, int i, int code, const char *message);
static void out_of_range(const char *what) pg_attribute_noreturn();

void
cs_pq_value(CsPqSession *session, int i, char *data, int len)
{
	CsPqColumn *read = &session->reads[i];
	Datum *value = &session->base.values[i];

	switch (read->wire)
	{
		case CS_PQ_BOOL:
			need(len, 1);
			*value = BoolGetDatum(data[0] != 0);
			break;
		case CS_PQ_INT2:
			need(len, 2);
			*value = Int16GetDatum((int16) get_uint16(data));
			break;
		case CS_PQ_INT4:
			need(len, 4);
			*value = Int32GetDatum((int32) get_uint32(data));
			break;
		case CS_PQ_INT8:
			need(len, 8);
			*value = Int64GetDatum((int64) get_uint64(data));
			break;
		case CS_PQ_FLOAT4:
			need(len, 4);
			*value = get_float4(data);
			break;
		case CS_PQ_FLOAT8:
			need(len, 8);
			*value = get_float8(data);
			break;
		case CS_PQ_DATE:
			need(len, 4);
			*value = get_date(data);
			break;
		case CS_PQ_TIME:
			need(len, 8);
			*value = get_time(data);
			break;
		case CS_PQ_TIMESTAMP:
			need(len, 8);
			*value = get_timestamp(data);
			break;
		case CS_PQ_UUID:
			need(len, UUID_LEN);
			*value = PointerGetDatum(data);
			break;
		case CS_PQ_BYTES:
			*value = get_bytes(data, len);
			break;
		case CS_PQ_STRING:
			*value = get_string(session, i, data, len);
			break;
		case CS_PQ_RECEIVE:
			*value = receive(read, data, len);
			break;
		default:
			cs_pq_text_value(session, i, data, len);
			break;
	}
}

void
cs_pq_text_value(CsPqSession *session, int i, const char *text, int len)
{
	CsPqColumn *read = &session->reads[i];

	if (unlikely(!check_encoding(session, i, text, len)))
		session->base.values[i] = CStringGetTextDatum("");
	else if (read->wire == CS_PQ_STRING)
		session->base.values[i] = PointerGetDatum(cstring_to_text_with_len(text, len));
	else
		session->base.values[i] = InputFunctionCall(
			&read->read, read->wire == CS_PQ_HEX ? psprintf("\\x%s", text) : (char *) text,
			read->type_param, read->typmod);
}

static uint16
get_uint16(const char *data)
{
	uint16 value;

	memcpy(&value, data, sizeof(value));
	return pg_ntoh16(value);
}

static uint32
get_uint32(const char *data)
{
	uint32 value;

	memcpy(&value, data, sizeof(value));
	return pg_ntoh32(value);
}

static uint64
get_uint64(const char *data)
{
	uint64 value;

	memcpy(&value, data, sizeof(value));
	return pg_ntoh64(value);
}

static Datum
get_float4(const char *data)
{
	uint32 bits = get_uint32(data);
	float4 value;

	memcpy(&value, &bits, sizeof(value));
	return Float4GetDatum(value);
}

static Datum
get_float8(const char *data)
{
	uint64 bits = get_uint64(data);
	float8 value;

	memcpy(&value, &bits, sizeof(value));
	return Float8GetDatum(value);
}

static Datum
get_date(const char *data)
{
	DateADT value = (DateADT) get_uint32(data);

	if (!DATE_NOT_FINITE(value) && !IS_VALID_DATE(value))
		out_of_range("date");
	return DateADTGetDatum(value);
}

static Datum
get_time(const char *data)
{
	TimeADT value = (TimeADT) get_uint64(data);

	if (value < 0 || value > USECS_PER_DAY)
		out_of_range("time");
	return TimeADTGetDatum(value);
}

static Datum
get_timestamp(const char *data)
{
	Timestamp value = (Timestamp) get_uint64(data);

	if (!TIMESTAMP_NOT_FINITE(value) && !IS_VALID_TIMESTAMP(value))
		out_of_range("timestamp");
	return TimestampGetDatum(value);
}

static void
need(int len, int wanted)
{
	if (unlikely(len != wanted))
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("the server sent a value of %d bytes where %d are right", len, wanted)));
}

static Datum
get_bytes(char *data, int len)
{
	char *copy;

	if (len + VARHDRSZ_SHORT <= VARATT_SHORT_MAX)
	{
		SET_VARSIZE_SHORT(data - 1, len + 1);
		return PointerGetDatum(data - 1);
	}
	copy = palloc(VARHDRSZ + (Size) len);
	SET_VARSIZE(copy, VARHDRSZ + (Size) len);
	memcpy(VARDATA(copy), data, len);
	return PointerGetDatum(copy);
}

static Datum
get_string(CsPqSession *session, int i, char *data, int len)
{
	const CsPqColumn *read = &session->reads[i];

	if (unlikely(!pg_verify_mbstr(GetDatabaseEncoding(), data, len, true)))
		refuse_value(
			session, i, ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
			psprintf("invalid byte sequence for encoding \"%s\"", GetDatabaseEncodingName()));
	else if (read->max_chars > 0 && unlikely(len > read->max_chars) &&
			 pg_mbstrlen_with_len(data, len) > read->max_chars)
		refuse_value(session, i, ERRCODE_STRING_DATA_RIGHT_TRUNCATION,
					 psprintf("value too long for %d characters", read->max_chars));
	return get_bytes(data, len);
}

/* Whatever the server was told of encodings, and whatever it is. */
static bool
check_encoding(CsPqSession *session, int i, const char *data, int len)
{
	if (likely(pg_verify_mbstr(GetDatabaseEncoding(), data, len, true)))
		return true;
	refuse_value(session, i, ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
				 psprintf("invalid byte sequence for encoding \"%s\"", GetDatabaseEncodingName()));
	return false;
}

/* The byte behind a value is there, and restored by functions that write to it. */
static Datum
receive(CsPqColumn *read, char *data, int len)
{
	StringInfoData buffer = { .data = data, .len = len, .maxlen = len + 1, .cursor = 0 };
	Datum value = ReceiveFunctionCall(&read->read, &buffer, read->type_param, read->typmod);

	if (unlikely(buffer.cursor != len))
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("the server sent a value with bytes too many")));
	return value;
}

static void
refuse_value(CsPqSession *session, int i, int code, const char *message)
{
	session->base.error_code = code;
	session->base.error_message = (char *) message;
	session->base.error_column = i;
}

static void
out_of_range(const char *what)
{
	ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
					errmsg("the server sent a %s that is out of range", what)));
}
