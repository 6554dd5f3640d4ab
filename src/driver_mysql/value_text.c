/*
 * value_text.c
 *		Text and bytes of the source.  Text arrives in UTF-8 whatever it is
 *		stored as there, and leaves in this database's encoding, verified.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "common/jsonapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/uuid.h"

#include "base/compat.h"
#include "driver_mysql/mysql_session.h"

/* A number of JSON that is longer, or whose exponent is, may be none that numeric has. */
#define MAX_NUMBER 1000
#define MAX_EXPONENT_DIGITS 3

/* Geometries have the number of their reference system in front. */
#define SRID_BYTES 4

#define UUID_TEXT 36

static Datum varlena(MysqlSession *session, const MysqlColumn *column, const MysqlValue *value,
					 bool *isnull);
static bool is_jsonb(const char *text, size_t len);
static CsJsonAction check_number(void *state, char *token, JsonTokenType type);
static int hex_digit(unsigned char c);

Datum
cs_mysql_text(MysqlSession *session, const MysqlColumn *column, const MysqlValue *value,
			  bool *isnull)
{
	size_t len = value->len;
	const char *text;

	Assert(value->data != NULL);
	if (likely(GetDatabaseEncoding() == PG_UTF8) &&
		likely(pg_verify_mbstr(PG_UTF8, (const char *) value->data, (int) len, true)))
		return varlena(session, column, value, isnull);
	text = cs_mysql_recode((const char *) value->data, &len);
	if (text == NULL)
		return cs_mysql_refuse(
			session, column,
			memchr(value->data, 0, value->len) ? ERRCODE_CHARACTER_NOT_IN_REPERTOIRE
											   : ERRCODE_UNTRANSLATABLE_CHARACTER,
			pstrdup(memchr(value->data, 0, value->len)
						? "the text has a zero byte, which no text here can have"
						: "the text has a character that this database's encoding cannot write"),
			isnull);
	return PointerGetDatum(cstring_to_text_with_len(text, (int) len));
}

Datum
cs_mysql_bytes(MysqlSession *session, const MysqlColumn *column, const MysqlValue *value,
			   bool *isnull)
{
	return varlena(session, column, value, isnull);
}

Datum
cs_mysql_geometry(MysqlSession *session, const MysqlColumn *column, const MysqlValue *value,
				  bool *isnull)
{
	if (value->len < SRID_BYTES)
		return cs_mysql_refuse(session, column, ERRCODE_DATA_EXCEPTION,
							   pstrdup("the geometry is cut"), isnull);
	return PointerGetDatum(cstring_to_text_with_len((const char *) value->data + SRID_BYTES,
													(int) (value->len - SRID_BYTES)));
}

/* What jsonb_in would throw for is found first: of a record, one value is bad and the others are not. */
Datum
cs_mysql_json(MysqlSession *session, const MysqlColumn *column, const MysqlValue *value,
			  bool *isnull)
{
	size_t len = value->len;
	const char *text = cs_mysql_recode((const char *) value->data, &len);

	if (text == NULL || !is_jsonb(text, len))
		return cs_mysql_refuse(session, column, ERRCODE_INVALID_TEXT_REPRESENTATION,
							   pstrdup("the value is no JSON that jsonb can hold"), isnull);
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(pnstrdup(text, len)));
}

Datum
cs_mysql_uuid(MysqlSession *session, const MysqlColumn *column, const MysqlValue *value,
			  bool *isnull)
{
	pg_uuid_t *uuid = palloc(sizeof(pg_uuid_t));
	int n = 0;

	for (size_t i = 0; value->len == UUID_TEXT && i < UUID_TEXT && n < 2 * UUID_LEN; i++)
	{
		int digit = hex_digit(value->data[i]);

		if (digit < 0)
			continue;
		uuid->data[n / 2] = (unsigned char) (n % 2 ? uuid->data[n / 2] | digit : digit << 4);
		n++;
	}
	if (n != 2 * UUID_LEN)
		return cs_mysql_refuse(session, column, ERRCODE_INVALID_TEXT_REPRESENTATION,
							   pstrdup("the value is no UUID"), isnull);
	return UUIDPGetDatum(uuid);
}

const char *
cs_mysql_recode(const char *text, size_t *len)
{
	const unsigned char *source = (const unsigned char *) text;
	int encoding = GetDatabaseEncoding();
	size_t room = *len * MAX_CONVERSION_GROWTH + 1;
	unsigned char *target;
	Oid function;

	if (!pg_verify_mbstr(PG_UTF8, text, (int) *len, true))
		return NULL;
	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII || *len == 0)
		return text;
	function = FindDefaultConversionProc(PG_UTF8, encoding);
	if (!OidIsValid(function) || room > MaxAllocSize)
		return NULL;
	target = palloc(room);
	if (pg_do_encoding_conversion_buf(function, PG_UTF8, encoding, (unsigned char *) source,
									  (int) *len, target, (int) room, true) != (int) *len)
		return NULL;
	*len = strlen((char *) target);
	return (char *) target;
}

/* A short value stays where the library has it: its length byte makes room for the header of one byte,
 * as in rows on disk. */
static Datum
varlena(MysqlSession *session, const MysqlColumn *column, const MysqlValue *value, bool *isnull)
{
	size_t len = value->len;
	struct varlena *copy;

	if (len + VARHDRSZ_SHORT <= VARATT_SHORT_MAX)
	{
		unsigned char *header = (unsigned char *) value->data - VARHDRSZ_SHORT;

		SET_VARSIZE_SHORT(header, len + VARHDRSZ_SHORT);
		return PointerGetDatum(header);
	}
	if (len > MaxAllocSize - VARHDRSZ)
		return cs_mysql_refuse(session, column, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
							   pstrdup("the value is too long"), isnull);
	copy = palloc(len + VARHDRSZ);
	SET_VARSIZE(copy, len + VARHDRSZ);
	memcpy(VARDATA(copy), value->data, len);
	return PointerGetDatum(copy);
}

static bool
is_jsonb(const char *text, size_t len)
{
	bool good = true;
	JsonSemAction actions = { .semstate = &good, .scalar = check_number };
	JsonLexContext *lex = cs_json_lex_create((char *) text, len, GetDatabaseEncoding(), true);

	return pg_parse_json(lex, &actions) == JSON_SUCCESS && good;
}

static CsJsonAction
check_number(void *state, char *token, JsonTokenType type)
{
	const char *exponent;

	if (type == JSON_TOKEN_NUMBER)
	{
		exponent = strpbrk(token, "eE");
		if (strlen(token) > MAX_NUMBER ||
			(exponent && strlen(exponent + 1 + strspn(exponent + 1, "+-0")) > MAX_EXPONENT_DIGITS))
			*(bool *) state = false;
	}
	CS_JSON_GO_ON;
}

static int
hex_digit(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}
