/*
 * unit_format.c
 *		The decoders as SQL functions, fed in pieces of any size.
 *
 * Each piece is a fresh copy that is overwritten as soon as the contract
 * allows: a decoder that kept a pointer into it would be found out.
 */
#include "postgres.h"

#include "base/settings.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "format/decoder.h"
#include "format/json_leaves.h"
#include "format/quick_input.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

PG_MODULE_MAGIC;

/* A body on its way into a decoder. */
typedef struct Feeder
{
	CsDecoder *decoder;
	CsProjection projection;
	MemoryContext batch; /* of one record */
	const char *next;	 /* in the body */
	size_t left;
	char *piece;   /* copy that the decoder was given, or NULL */
	size_t chunk;  /* bytes per piece */
	bool finished; /* the decoder was told */
} Feeder;

PGDLLEXPORT Datum unit_decode(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum unit_count(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum unit_envelope(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum unit_seen(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum unit_array_literal(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum unit_sniff(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum unit_content_type(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum unit_max_record(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum unit_quick_input(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum unit_leaves(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum unit_leaves_memory(PG_FUNCTION_ARGS);

static const char *const format_names[] = { "auto", "json", "ndjson", "csv" };
static const char *const kind_names[] = { "null",	"string", "number", "bool",
										  "object", "array",  "text" };

static void feeder_open(Feeder *feeder, FunctionCallInfo fcinfo);
static CsFormat read_format(const char *name, CsRowShape *shape);
static bool feeder_next(Feeder *feeder, CsRecord *record);
static void feed_piece(Feeder *feeder);
static void put_record(Feeder *feeder, const CsRecord *record, int64 number, ReturnSetInfo *rsinfo);
static int read_leaves(FunctionCallInfo fcinfo, CsField **fields);
static Datum text_array(char **values, int nvalues);

PG_FUNCTION_INFO_V1(unit_decode);
PG_FUNCTION_INFO_V1(unit_count);
PG_FUNCTION_INFO_V1(unit_envelope);
PG_FUNCTION_INFO_V1(unit_seen);
PG_FUNCTION_INFO_V1(unit_array_literal);
PG_FUNCTION_INFO_V1(unit_sniff);
PG_FUNCTION_INFO_V1(unit_content_type);
PG_FUNCTION_INFO_V1(unit_max_record);
PG_FUNCTION_INFO_V1(unit_quick_input);
PG_FUNCTION_INFO_V1(unit_leaves);
PG_FUNCTION_INFO_V1(unit_leaves_memory);

/* unit_decode(body, format, records, delimiter, columns, chunk) returns setof record */
Datum
unit_decode(PG_FUNCTION_ARGS)
{
	Feeder feeder;
	CsRecord record;
	int64 number = 0;

	InitMaterializedSRF(fcinfo, 0);
	feeder_open(&feeder, fcinfo);
	while (feeder_next(&feeder, &record))
	{
		put_record(&feeder, &record, ++number, (ReturnSetInfo *) fcinfo->resultinfo);
		MemoryContextReset(feeder.batch);
	}
	return (Datum) 0;
}

/* Same arguments: only the number of records, for measurements. */
Datum
unit_count(PG_FUNCTION_ARGS)
{
	Feeder feeder;
	CsRecord record;
	int64 number = 0;

	feeder_open(&feeder, fcinfo);
	while (feeder_next(&feeder, &record))
		if (++number % 1000 == 0)
			MemoryContextReset(feeder.batch);
	PG_RETURN_INT64(number);
}

/* Same arguments. */
Datum
unit_envelope(PG_FUNCTION_ARGS)
{
	Feeder feeder;
	CsRecord record;
	const char *envelope;

	feeder_open(&feeder, fcinfo);
	while (feeder_next(&feeder, &record))
		MemoryContextReset(feeder.batch);
	envelope = cs_decoder_envelope(feeder.decoder);
	if (envelope == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(envelope));
}

/* Same arguments: for each column, whether it was seen. */
Datum
unit_seen(PG_FUNCTION_ARGS)
{
	Feeder feeder;
	CsRecord record;
	char **seen;

	feeder_open(&feeder, fcinfo);
	while (feeder_next(&feeder, &record))
		MemoryContextReset(feeder.batch);
	seen = palloc((feeder.projection.ncolumns + 1) * sizeof(char *));
	for (int i = 0; i < feeder.projection.ncolumns; i++)
		seen[i] = feeder.projection.seen[i] ? "t" : "f";
	PG_RETURN_DATUM(text_array(seen, feeder.projection.ncolumns));
}

Datum
unit_array_literal(PG_FUNCTION_ARGS)
{
	text *json = PG_GETARG_TEXT_PP(0);

	PG_RETURN_TEXT_P(
		cstring_to_text(cs_json_array_literal(pnstrdup(VARDATA_ANY(json), VARSIZE_ANY_EXHDR(json)),
											  VARSIZE_ANY_EXHDR(json), ',', false)));
}

Datum
unit_sniff(PG_FUNCTION_ARGS)
{
	bytea *body = PG_GETARG_BYTEA_PP(0);

	PG_RETURN_TEXT_P(
		cstring_to_text(format_names[cs_format_sniff(VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body))]));
}

Datum
unit_content_type(PG_FUNCTION_ARGS)
{
	char *type = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));

	PG_RETURN_TEXT_P(cstring_to_text(format_names[cs_format_from_content_type(type)]));
}

Datum
unit_max_record(PG_FUNCTION_ARGS)
{
	cs_max_record_size_mb = PG_GETARG_INT32(0);
	PG_RETURN_VOID();
}

/* unit_quick_input(type, value, kind): the value as its type writes it, NULL if it is not a plain form */
Datum
unit_quick_input(PG_FUNCTION_ARGS)
{
	Oid type = PG_GETARG_OID(0);
	CsQuickInput quick = cs_quick_input_find(type);
	CsField field = { .text = text_to_cstring(PG_GETARG_TEXT_PP(1)) };
	char *kind = text_to_cstring(PG_GETARG_TEXT_PP(2));
	Datum value;
	Oid output;
	bool is_varlena;

	field.len = (int) strlen(field.text);
	for (int i = 0; i < (int) lengthof(kind_names); i++)
		if (strcmp(kind, kind_names[i]) == 0)
			field.kind = (CsValueKind) i;
	if (quick == NULL || !quick(&field, &value))
		PG_RETURN_NULL();
	getTypeOutputInfo(type, &output, &is_varlena);
	PG_RETURN_TEXT_P(cstring_to_text(OidOutputFunctionCall(output, value)));
}

/* unit_leaves(object, names, kinds): the texts of the fields of those names */
Datum
unit_leaves(PG_FUNCTION_ARGS)
{
	CsField *fields;
	int n = read_leaves(fcinfo, &fields);
	char **texts = palloc(sizeof(char *) * n);

	for (int i = 0; i < n; i++)
	{
		texts[i] = fields[i].text;
		if (texts[i] != NULL && strlen(texts[i]) != fields[i].len)
			elog(ERROR, "field %d has a wrong length", i);
	}
	PG_RETURN_DATUM(text_array(texts, n));
}

/* Same arguments: bytes that it took to read them. */
Datum
unit_leaves_memory(PG_FUNCTION_ARGS)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "unit leaves", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	CsField *fields;
	Size size;

	(void) read_leaves(fcinfo, &fields);
	MemoryContextSwitchTo(old);
	size = MemoryContextMemAllocated(context, true);
	MemoryContextDelete(context);
	PG_RETURN_INT64((int64) size);
}

static void
feeder_open(Feeder *feeder, FunctionCallInfo fcinfo)
{
	CsDecoderOptions options = { 0 };
	bytea *body = PG_GETARG_BYTEA_PP(0);
	Datum *names = NULL;

	memset(feeder, 0, sizeof(Feeder));
	options.format = read_format(text_to_cstring(PG_GETARG_TEXT_PP(1)), &options.shape);
	options.ragged = options.may_lack_records = options.shape != CS_ROW_OBJECT;
	options.records = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	options.delimiter = PG_ARGISNULL(3) ? '\0' : *text_to_cstring(PG_GETARG_TEXT_PP(3));
	if (!PG_ARGISNULL(4))
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(4), TEXTOID, -1, false, TYPALIGN_INT, &names, NULL,
						  &feeder->projection.ncolumns);
	feeder->projection.names = palloc0((feeder->projection.ncolumns + 1) * sizeof(char *));
	feeder->projection.seen = palloc0((feeder->projection.ncolumns + 1) * sizeof(bool));
	for (int i = 0; i < feeder->projection.ncolumns; i++)
		feeder->projection.names[i] = TextDatumGetCString(names[i]);
	feeder->next = VARDATA_ANY(body);
	feeder->left = VARSIZE_ANY_EXHDR(body);
	feeder->chunk = PG_ARGISNULL(5) ? feeder->left : Max(PG_GETARG_INT32(5), 1);
	feeder->batch =
		AllocSetContextCreate(CurrentMemoryContext, "unit batch", ALLOCSET_DEFAULT_SIZES);
	feeder->decoder = cs_decoder_create(&options, &feeder->projection);
}

static CsFormat
read_format(const char *name, CsRowShape *shape)
{
	*shape = strcmp(name, "array") == 0	  ? CS_ROW_ARRAY
			 : strcmp(name, "cells") == 0 ? CS_ROW_CELLS
										  : CS_ROW_OBJECT;
	if (*shape != CS_ROW_OBJECT)
		return CS_FORMAT_JSON;

	for (int i = 0; i < lengthof(format_names); i++)
		if (strcmp(format_names[i], name) == 0)
			return (CsFormat) i;
	elog(ERROR, "no such format: %s", name);
}

static bool
feeder_next(Feeder *feeder, CsRecord *record)
{
	for (;;)
	{
		MemoryContext old = MemoryContextSwitchTo(feeder->batch);
		bool filled = cs_decoder_next(feeder->decoder, record);

		MemoryContextSwitchTo(old);
		if (filled || feeder->finished)
			return filled;
		feed_piece(feeder);
	}
}

static void
feed_piece(Feeder *feeder)
{
	size_t len = Min(feeder->chunk, feeder->left);

	if (feeder->piece != NULL)
	{
		memset(feeder->piece, 0x7f, feeder->chunk);
		pfree(feeder->piece);
		feeder->piece = NULL;
	}
	if (len == 0)
	{
		cs_decoder_finish(feeder->decoder);
		feeder->finished = true;
		return;
	}
	feeder->piece = palloc(feeder->chunk);
	memcpy(feeder->piece, feeder->next, len);
	cs_decoder_feed(feeder->decoder, feeder->piece, len);
	feeder->next += len;
	feeder->left -= len;
}

/* (number, error_code, error_message, kinds, texts, raw, json) */
static void
put_record(Feeder *feeder, const CsRecord *record, int64 number, ReturnSetInfo *rsinfo)
{
	int ncolumns = feeder->projection.ncolumns;
	char **kinds = palloc((ncolumns + 1) * sizeof(char *));
	char **texts = palloc((ncolumns + 1) * sizeof(char *));
	Datum values[7] = { 0 };
	bool nulls[7] = { 0 };

	for (int i = 0; i < ncolumns && record->fields != NULL; i++)
	{
		const CsField *field = &record->fields[i];

		kinds[i] = unconstify(char *, kind_names[field->kind]);
		texts[i] = field->text;
		if (field->text != NULL ? field->len != strlen(field->text) : field->kind != CS_VALUE_NULL)
			elog(ERROR, "field %d of record " INT64_FORMAT " has a wrong length", i, number);
	}
	if (record->rawlen != strlen(record->raw))
		elog(ERROR, "record " INT64_FORMAT " has a wrong raw length", number);
	values[0] = Int64GetDatum(number);
	nulls[1] = nulls[2] = record->error_code == 0;
	nulls[3] = nulls[4] = record->fields == NULL;
	if (!nulls[1])
	{
		values[1] = CStringGetTextDatum(unpack_sql_state(record->error_code));
		values[2] = CStringGetTextDatum(record->error_message);
	}
	if (!nulls[3])
	{
		values[3] = text_array(kinds, ncolumns);
		values[4] = text_array(texts, ncolumns);
	}
	values[5] = CStringGetTextDatum(record->raw);
	values[6] = CStringGetTextDatum(cs_decoder_record_json(feeder->decoder, record));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static int
read_leaves(FunctionCallInfo fcinfo, CsField **fields)
{
	CsLeafKind kinds[8];
	char *names[8];
	Datum *name_datums;
	Datum *kind_datums;
	int n;
	int nkinds;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &name_datums,
					  NULL, &n);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), INT4OID, 4, true, TYPALIGN_INT, &kind_datums, NULL,
					  &nkinds);
	if (n != nkinds || n > lengthof(kinds))
		elog(ERROR, "names and kinds are not as many");
	for (int i = 0; i < n; i++)
	{
		names[i] = TextDatumGetCString(name_datums[i]);
		kinds[i] = (CsLeafKind) DatumGetInt32(kind_datums[i]);
	}
	*fields = palloc0(sizeof(CsField) * n);
	if (!cs_json_leaves_read(cs_json_leaves_create(n, names, kinds),
							 text_to_cstring(PG_GETARG_TEXT_PP(0)), *fields))
		elog(ERROR, "it has what is no character");
	return n;
}

/* NULL pointers become NULLs. */
static Datum
text_array(char **values, int nvalues)
{
	Datum *datums = palloc0((nvalues + 1) * sizeof(Datum));
	bool *nulls = palloc0((nvalues + 1) * sizeof(bool));
	int dims[1] = { nvalues };
	int lower[1] = { 1 };

	for (int i = 0; i < nvalues; i++)
	{
		nulls[i] = values[i] == NULL;
		if (!nulls[i])
			datums[i] = CStringGetTextDatum(values[i]);
	}
	return PointerGetDatum(
		construct_md_array(datums, nulls, 1, dims, lower, TEXTOID, -1, false, TYPALIGN_INT));
}
