/*
 * cells.c
 *		Readers of values as several services send them: numbers, texts, bytes,
 *		JSON.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "common/base64.h"
#include "common/jsonapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "base/compat.h"
#include "format/decoder.h"
#include "source/cells.h"

/* Of a text that is quoted in a message. */
#define MAX_QUOTED 60

/* A number with a larger exponent than this is none that numeric has. */
#define MAX_EXPONENT 10000
#define MAX_NUMERIC_DIGITS 16000

/* A number's text, taken apart. */
typedef struct NumberParts
{
	bool negative;
	int whole;	  /* digits before the point without leading zeros */
	int fraction; /* behind it */
	long exponent;
	bool has_exponent;
} NumberParts;

static const char *behind_digits(const char *text, const char *end);
static int64 read_int(const CsField *field, int64 min, int64 max, const char *type, char **why);
static bool take_apart(const char *text, NumberParts *parts);
static const char *skip_digits(const char *p);
static const char *special_number(const CsField *field);
static double read_float(const CsField *field, char **why);
static bool fits(const NumberParts *parts, int32 typmod);
static bool fits_rounded(const char *text, int32 typmod);
static Datum make_jsonb(char *text, int len, char **why);
static CsJsonAction check_number(void *state, char *token, JsonTokenType type);

void
cs_cell_set(CsColumn *column, CsCell *cell, Oid type, int32 typmod, CsCellRead read)
{
	column->typid = type;
	column->typmod = typmod;
	column->collation = type == TEXTOID || type == VARCHAROID ? DEFAULT_COLLATION_OID : InvalidOid;
	cell->read = read;
	cell->typmod = typmod;
}

bool
cs_cell_set_named(CsColumn *column, CsCell *cell, const CsCellType *types, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (pg_strcasecmp(types[i].name, name) == 0)
		{
			cs_cell_set(column, cell, types[i].type, -1, types[i].read);
			return true;
		}
	return false;
}

int32
cs_cell_numeric_typmod(int64 precision, int64 scale)
{
	if (precision < 1 || precision > NUMERIC_MAX_PRECISION || scale < 0 || scale > precision)
		return -1;
	return (int32) ((precision << 16) | scale) + VARHDRSZ;
}

Datum
cs_cell_text(CsCell *cell pg_attribute_unused(), const CsField *field,
			 char **why pg_attribute_unused())
{
	return PointerGetDatum(cstring_to_text_with_len(field->text, field->len));
}

Datum
cs_cell_bool(CsCell *cell pg_attribute_unused(), const CsField *field, char **why)
{
	if (pg_strcasecmp(field->text, "true") == 0 || strcmp(field->text, "1") == 0)
		return BoolGetDatum(true);
	if (pg_strcasecmp(field->text, "false") == 0 || strcmp(field->text, "0") == 0)
		return BoolGetDatum(false);
	return cs_cell_fail(field, "no boolean", why);
}

Datum
cs_cell_int2(CsCell *cell pg_attribute_unused(), const CsField *field, char **why)
{
	return Int16GetDatum((int16) read_int(field, PG_INT16_MIN, PG_INT16_MAX, "smallint", why));
}

Datum
cs_cell_int4(CsCell *cell pg_attribute_unused(), const CsField *field, char **why)
{
	return Int32GetDatum((int32) read_int(field, PG_INT32_MIN, PG_INT32_MAX, "integer", why));
}

Datum
cs_cell_int8(CsCell *cell pg_attribute_unused(), const CsField *field, char **why)
{
	return Int64GetDatum(read_int(field, PG_INT64_MIN, PG_INT64_MAX, "bigint", why));
}

Datum
cs_cell_numeric(CsCell *cell, const CsField *field, char **why)
{
	const char *special;
	NumberParts parts;

	if (!take_apart(field->text, &parts))
	{
		special = special_number(field);
		if (special == NULL || (cell->typmod >= 0 && strcmp(special, "NaN") != 0))
			return cs_cell_fail(field, special ? "out of range of numeric" : "no number", why);
		return DirectFunctionCall3(numeric_in, CStringGetDatum(special),
								   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	}
	if (!fits(&parts, -1) ||
		(!fits(&parts, cell->typmod) && !fits_rounded(field->text, cell->typmod)))
		return cs_cell_fail(field, "out of range of numeric", why);
	return DirectFunctionCall3(numeric_in, CStringGetDatum(field->text),
							   ObjectIdGetDatum(InvalidOid), Int32GetDatum(cell->typmod));
}

Datum
cs_cell_float4(CsCell *cell pg_attribute_unused(), const CsField *field, char **why)
{
	double value = read_float(field, why);
	float narrow = (float) value;

	if (*why == NULL && ((isinf(narrow) && !isinf(value)) || (narrow == 0 && value != 0)))
		return cs_cell_fail(field, "out of range of real", why);
	return Float4GetDatum(narrow);
}

Datum
cs_cell_float8(CsCell *cell pg_attribute_unused(), const CsField *field, char **why)
{
	return Float8GetDatum(read_float(field, why));
}

Datum
cs_cell_base64(CsCell *cell pg_attribute_unused(), const CsField *field, char **why)
{
	int room = pg_b64_dec_len(field->len);
	bytea *bytes = palloc(VARHDRSZ + room + 1);
	int len = cs_base64_decode(field->text, field->len, VARDATA(bytes), room + 1);

	if (len < 0)
		return cs_cell_fail(field, "no base64", why);
	SET_VARSIZE(bytes, VARHDRSZ + len);
	return PointerGetDatum(bytes);
}

Datum
cs_cell_hex(CsCell *cell pg_attribute_unused(), const CsField *field, char **why)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	bytea *bytes = palloc(VARHDRSZ + field->len / 2 + 1);
	unsigned char *to = (unsigned char *) VARDATA(bytes);

	if (field->len % 2 != 0 || strspn(field->text, digits) != (size_t) field->len)
		return cs_cell_fail(field, "no hexadecimal bytes", why);
	for (int i = 0; i < field->len; i += 2)
		*to++ = (unsigned char) (((strchr(digits, field->text[i]) - digits) % 16) * 16 +
								 (strchr(digits, field->text[i + 1]) - digits) % 16);
	SET_VARSIZE(bytes, VARHDRSZ + field->len / 2);
	return PointerGetDatum(bytes);
}

Datum
cs_cell_json(CsCell *cell pg_attribute_unused(), const CsField *field, char **why)
{
	return make_jsonb(field->text, field->len, why);
}

Datum
cs_cell_json_value(CsCell *cell pg_attribute_unused(), const CsField *field, char **why)
{
	StringInfoData quoted;

	if (field->kind != CS_VALUE_STRING && field->kind != CS_VALUE_TEXT)
		return make_jsonb(field->text, field->len, why);
	initStringInfo(&quoted);
	escape_json(&quoted, field->text);
	return make_jsonb(quoted.data, quoted.len, why);
}

bool
cs_text_is_json_number(const char *text, size_t len)
{
	const char *end = text + len;
	const char *digits;

	text += len > 0 && *text == '-';
	digits = text;
	text = behind_digits(text, end);
	if (text == digits || (text > digits + 1 && *digits == '0'))
		return false;
	if (text < end && *text == '.')
	{
		digits = ++text;
		text = behind_digits(text, end);
		if (text == digits)
			return false;
	}
	if (text < end && (*text == 'e' || *text == 'E'))
	{
		text++;
		text += text < end && (*text == '-' || *text == '+');
		digits = text;
		text = behind_digits(text, end);
		if (text == digits)
			return false;
	}
	return text == end;
}

bool
cs_cell_without_exponent(const CsField *field, CsField *plain, char **why)
{
	CsCell whole = { .typmod = -1 };
	Datum number = cs_cell_numeric(&whole, field, why);

	if (*why)
		return false;
	plain->kind = field->kind;
	plain->text = DatumGetCString(DirectFunctionCall1(numeric_out, number));
	plain->len = (int) strlen(plain->text);
	return true;
}

Datum
cs_cell_fail(const CsField *field, const char *what, char **why)
{
	int len = pg_mbcliplen(field->text, field->len, MAX_QUOTED);

	*why = psprintf("%s: \"%.*s%s\"", what, len, field->text, len < field->len ? "..." : "");
	return (Datum) 0;
}

static const char *
behind_digits(const char *text, const char *end)
{
	while (text < end && *text >= '0' && *text <= '9')
		text++;
	return text;
}

static int64
read_int(const CsField *field, int64 min, int64 max, const char *type, char **why)
{
	const char *p = field->text;
	bool negative = *p == '-';
	uint64 limit = negative ? (uint64) 0 - (uint64) min : (uint64) max;
	uint64 number = 0;

	p += negative;
	if (*p < '0' || *p > '9')
		return (int64) cs_cell_fail(field, "no integer", why);
	for (; *p >= '0' && *p <= '9'; p++)
	{
		unsigned digit = (unsigned) (*p - '0');

		if (number > (limit - digit) / 10)
			return (int64) cs_cell_fail(field, psprintf("out of range of %s", type), why);
		number = number * 10 + digit;
	}
	if (*p == '.' && p[1] != '\0')
		p += 1 + strspn(p + 1, "0");
	if (*p != '\0')
		return (int64) cs_cell_fail(field, "no integer", why);
	return (int64) (negative ? (uint64) 0 - number : number);
}

/* [-+]digits[.digits][e[-+]digits], nothing else. */
static bool
take_apart(const char *text, NumberParts *parts)
{
	const char *p = text;
	const char *digits;
	int leading;

	memset(parts, 0, sizeof(NumberParts));
	parts->negative = *p == '-';
	if (*p == '-' || *p == '+')
		p++;
	digits = p;
	while (*p == '0')
		p++;
	leading = (int) (p - digits);
	p = skip_digits(p);
	parts->whole = (int) (p - digits) - leading;
	if (*p == '.')
		parts->fraction = (int) (skip_digits(p + 1) - (p + 1));
	if (p == digits && parts->fraction == 0)
		return false;
	if (*p == '.')
		p += 1 + parts->fraction;
	if (*p == 'e' || *p == 'E')
	{
		char *end;

		p++;
		if (p[strspn(p, "+-")] < '0' || p[strspn(p, "+-")] > '9' || strspn(p, "+-") > 1)
			return false;
		parts->exponent = strtol(p, &end, 10);
		parts->has_exponent = true;
		p = end;
	}
	return *p == '\0';
}

static const char *
skip_digits(const char *p)
{
	while (*p >= '0' && *p <= '9')
		p++;
	return p;
}

/* As PostgreSQL writes it, or NULL. */
static const char *
special_number(const CsField *field)
{
	static const char *const names[][2] = {
		{ "nan", "NaN" },
		{ "inf", "Infinity" },
		{ "infinity", "Infinity" },
		{ "+inf", "Infinity" },
		{ "+infinity", "Infinity" },
		{ "-inf", "-Infinity" },
		{ "-infinity", "-Infinity" },
	};

	for (int i = 0; i < (int) lengthof(names); i++)
		if (pg_strcasecmp(field->text, names[i][0]) == 0)
			return names[i][1];
	return NULL;
}

static double
read_float(const CsField *field, char **why)
{
	const char *special;
	NumberParts parts;
	double value;

	if (!take_apart(field->text, &parts))
	{
		special = special_number(field);
		if (special == NULL)
			(void) cs_cell_fail(field, "no number", why);
		return special == NULL	   ? 0
			   : special[0] == 'N' ? NAN
			   : special[0] == '-' ? -INFINITY
								   : INFINITY;
	}
	errno = 0;
	value = strtod(field->text, NULL);
	if (errno == ERANGE && (value == 0 || isinf(value)))
		(void) cs_cell_fail(field, "out of range of double precision", why);
	return value;
}

/* At a glance: true is certain, false is not unless typmod is -1. */
static bool
fits(const NumberParts *parts, int32 typmod)
{
	int precision = ((typmod - VARHDRSZ) >> 16) & 0xffff;
	int scale = (typmod - VARHDRSZ) & 0x7ff;

	if (parts->exponent > MAX_EXPONENT || parts->exponent < -MAX_EXPONENT ||
		parts->fraction > MAX_NUMERIC_DIGITS - MAX_EXPONENT || parts->whole > 100000)
		return false;
	if (typmod < 0)
		return true;
	/* What is rounded may get a digit more. */
	return parts->whole + Max(0, parts->exponent) + (parts->fraction > scale) <= precision - scale;
}

/* Its digits before the point, once those behind are rounded off, are counted. */
static bool
fits_rounded(const char *text, int32 typmod)
{
	int precision = ((typmod - VARHDRSZ) >> 16) & 0xffff;
	int scale = (typmod - VARHDRSZ) & 0x7ff;
	Datum number = DirectFunctionCall3(numeric_in, CStringGetDatum(text),
									   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	const char *digits;

	number = DirectFunctionCall2(numeric_round, number, Int32GetDatum(scale));
	digits = DatumGetCString(DirectFunctionCall1(numeric_out, number));
	digits += *digits == '-';
	digits += strspn(digits, "0");
	return (int) strcspn(digits, ".") <= precision - scale;
}

/* The server's own function throws; the parser that it uses tells. */
static Datum
make_jsonb(char *text, int len, char **why)
{
	CsField field = { CS_VALUE_STRING, text, len };
	JsonSemAction actions = { 0 };
	JsonLexContext *lex = cs_json_lex_create(text, len, GetDatabaseEncoding(), true);
	JsonParseErrorType error;

	if (cs_json_is_too_deep(text, len))
		return cs_cell_fail(&field, "JSON that is nested too deep", why);
	actions.semstate = why;
	actions.scalar = check_number;
	error = pg_parse_json(lex, &actions);
	if (error != JSON_SUCCESS)
		return cs_cell_fail(&field, "no JSON", why);
	if (*why)
		return (Datum) 0;
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(text));
}

/* Its numbers are numeric. */
static CsJsonAction
check_number(void *state, char *token, JsonTokenType type)
{
	char **why = state;
	NumberParts parts;

	if (type == JSON_TOKEN_NUMBER && (!take_apart(token, &parts) || !fits(&parts, -1)))
	{
		CsField field = { CS_VALUE_NUMBER, token, (int) strlen(token) };

		(void) cs_cell_fail(&field, "out of range of numeric", why);
	}
	CS_JSON_GO_ON;
}
