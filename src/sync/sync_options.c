/*
 * sync_options.c
 *		Options of a sync, parsed.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "catalog/spi.h"
#include "source/options.h"
#include "sync/sync_options.h"

typedef enum OptionKind
{
	OPTION_CHOICE, /* an enum, by the position of its name */
	OPTION_SHARE,  /* 0 to 1 */
	OPTION_POSITIVE,
	OPTION_COUNT, /* 1 and more */
	OPTION_FLAG,
	OPTION_SECONDS,
	OPTION_PERIOD, /* the same in a form that is an interval to SQL, too */
	OPTION_NUMBER, /* 0 to 1000 */
	OPTION_TEXT
} OptionKind;

typedef struct SyncOption
{
	const char *name;
	OptionKind kind;
	size_t offset;			/* in CsSyncOptions */
	const char *choices[4]; /* of OPTION_CHOICE and two-valued OPTION_FLAG, else all NULL */
} SyncOption;

static const SyncOption sync_options[] = {
	{ "add_columns", OPTION_FLAG, offsetof(CsSyncOptions, add_columns), { NULL } },
	{ "alert_duration", OPTION_PERIOD, offsetof(CsSyncOptions, alert_duration_s), { NULL } },
	{ "alert_failed", OPTION_FLAG, offsetof(CsSyncOptions, alert_failed), { NULL } },
	{ "alert_invalid", OPTION_SHARE, offsetof(CsSyncOptions, alert_invalid), { NULL } },
	{ "alert_rejected", OPTION_SHARE, offsetof(CsSyncOptions, alert_rejected), { NULL } },
	{ "alert_repeat", OPTION_FLAG, offsetof(CsSyncOptions, alert_every), { "first", "every" } },
	{ "alert_stale", OPTION_PERIOD, offsetof(CsSyncOptions, alert_stale_s), { NULL } },
	{ "alert_unusual", OPTION_POSITIVE, offsetof(CsSyncOptions, alert_unusual), { NULL } },
	{ "alert_unusual_runs", OPTION_COUNT, offsetof(CsSyncOptions, alert_unusual_runs), { NULL } },
	{ "allow_empty_source", OPTION_FLAG, offsetof(CsSyncOptions, allow_empty_source), { NULL } },
	{ "cursor_column", OPTION_TEXT, offsetof(CsSyncOptions, cursor_column), { NULL } },
	{ "cursor_overlap", OPTION_TEXT, offsetof(CsSyncOptions, cursor_overlap), { NULL } },
	{ "cursor_type", OPTION_TEXT, offsetof(CsSyncOptions, cursor_type), { NULL } },
	{ "log_records", OPTION_FLAG, offsetof(CsSyncOptions, log_changes), { "problems", "changes" } },
	{ "max_deletes", OPTION_SHARE, offsetof(CsSyncOptions, max_deletes), { NULL } },
	{ "max_rejected", OPTION_SHARE, offsetof(CsSyncOptions, max_rejected), { NULL } },
	{ "mirror_scope", OPTION_FLAG, offsetof(CsSyncOptions, whole_table), { "synced", "table" } },
	{ "on_duplicate",
	  OPTION_CHOICE,
	  offsetof(CsSyncOptions, on_duplicate),
	  { "reject", "first", "last", "fail" } },
	{ "on_error", OPTION_FLAG, offsetof(CsSyncOptions, fail_on_error), { "continue", "fail" } },
	{ "retention", OPTION_PERIOD, offsetof(CsSyncOptions, retention_s), { NULL } },
	{ "retries", OPTION_NUMBER, offsetof(CsSyncOptions, retries), { NULL } },
	{ "timeout", OPTION_SECONDS, offsetof(CsSyncOptions, timeout_s), { NULL } },
};

static void set_option(CsSyncOptions *options, const char *name, const char *value);
static bool parse_value(CsSyncOptions *options, const SyncOption *option, const char *value);
static bool is_decimal(const char *value);
static bool parse_choice(const SyncOption *option, const char *value, int *choice);
static const char *expected_value(const SyncOption *option);
static char *option_names(void);

CsSyncOptions *
cs_sync_options_parse(Jsonb *json)
{
	CsSyncOptions *options = palloc0(sizeof(CsSyncOptions));
	CsCatalogAccess access;
	CsArgs args = { 0 };

	cs_sync_options_check_form(json);
	options->max_rejected = 0.75;
	options->max_deletes = 0.5;
	options->retries = 5;
	cs_catalog_begin(&access);
	cs_args_add(&args, JSONBOID, JsonbPGetDatum(json), false);
	cs_catalog_execute("SELECT o.key, o.value #>> '{}' FROM jsonb_each($1) o "
					   "WHERE o.value <> 'null'",
					   &args);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		char *name = cs_catalog_text(&access, row, 1);
		char *value = cs_catalog_text(&access, row, 2);
		MemoryContext spi = MemoryContextSwitchTo(access.caller);

		set_option(options, name, value);
		MemoryContextSwitchTo(spi);
	}
	cs_catalog_end(&access);
	cs_options_validate(options->read, CS_LEVEL_SYNC);
	return options;
}

void
cs_sync_options_check_form(Jsonb *options)
{
	if (!JB_ROOT_IS_OBJECT(options))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("options must be a JSON object"),
				 errhint("For example {\"max_deletes\": 0.1}.")));
}

bool
cs_sync_options_read_same(Jsonb *a, Jsonb *b)
{
	const CsSyncOptions *x = cs_sync_options_parse(a);
	const CsSyncOptions *y = cs_sync_options_parse(b);

	return equal(x->read, y->read) && cs_same_text(x->cursor_column, y->cursor_column) &&
		   cs_same_text(x->cursor_type, y->cursor_type);
}

static void
set_option(CsSyncOptions *options, const char *name, const char *value)
{
	for (int i = 0; i < (int) lengthof(sync_options); i++)
	{
		if (strcmp(sync_options[i].name, name) != 0)
			continue;
		if (!parse_value(options, &sync_options[i], value))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("invalid value for option \"%s\": \"%s\"", name, value),
							errhint("Expected: %s.", expected_value(&sync_options[i]))));
		return;
	}
	if (!cs_option_is_of_sync(name))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("invalid option \"%s\"", name),
				 errhint("Options of a sync are: %s; and those of its source: format, records, "
						 "delimiter, headers, pagination and what pagination needs.",
						 option_names())));
	options->read =
		lappend(options->read, makeDefElem((char *) name, (Node *) makeString((char *) value), -1));
}

static bool
parse_value(CsSyncOptions *options, const SyncOption *option, const char *value)
{
	void *target = (char *) options + option->offset;
	int number;

	switch (option->kind)
	{
		case OPTION_CHOICE:
			if (!parse_choice(option, value, &number))
				return false;
			*(CsOnDuplicate *) target = (CsOnDuplicate) number;
			return true;
		case OPTION_FLAG:
			if (option->choices[0] == NULL)
				return parse_bool(value, (bool *) target);
			if (!parse_choice(option, value, &number))
				return false;
			*(bool *) target = number == 1;
			return true;
		case OPTION_SHARE:
			if (!parse_real(value, (double *) target, 0, NULL))
				return false;
			return *(double *) target >= 0 && *(double *) target <= 1;
		case OPTION_POSITIVE:
			return parse_real(value, (double *) target, 0, NULL) && *(double *) target > 0;
		case OPTION_COUNT:
			return strspn(value, "0123456789") == strlen(value) &&
				   parse_int(value, (int *) target, 0, NULL) && *(int *) target > 0;
		case OPTION_PERIOD:
			if (!is_decimal(value))
				return false;
			/* FALLTHROUGH */
		case OPTION_SECONDS:
			return parse_int(value, (int *) target, GUC_UNIT_S, NULL) && *(int *) target >= 0;
		case OPTION_NUMBER:
			return value[strspn(value, "0123456789")] == '\0' &&
				   parse_int(value, (int *) target, 0, NULL) && *(int *) target <= 1000;
		case OPTION_TEXT:
			*(char **) target = pstrdup(value);
			return value[0] != '\0';
	}
	return false;
}

/* Does the number at its beginning have no form but that of everyday?  parse_int takes others, too. */
static bool
is_decimal(const char *value)
{
	const char *at = value + strspn(value, " ");
	size_t digits = strspn(at, "0123456789");

	at += digits;
	if (*at == '.')
		at += 1 + strspn(at + 1, "0123456789");
	return digits > 0 && strspn(at, " usminhd") == strlen(at);
}

static bool
parse_choice(const SyncOption *option, const char *value, int *choice)
{
	for (int i = 0; i < (int) lengthof(option->choices) && option->choices[i]; i++)
		if (strcmp(option->choices[i], value) == 0)
		{
			*choice = i;
			return true;
		}
	return false;
}

static const char *
expected_value(const SyncOption *option)
{
	StringInfoData names;

	if (option->kind == OPTION_SHARE)
		return "a share, 0 to 1";
	if (option->kind == OPTION_POSITIVE)
		return "a number above 0, such as 0.5";
	if (option->kind == OPTION_COUNT)
		return "a whole number above 0";
	if (option->kind == OPTION_SECONDS || option->kind == OPTION_PERIOD)
		return "seconds, or a number with a unit (s, min, h, d) such as \"5 min\"; 0 for none";
	if (option->kind == OPTION_NUMBER)
		return "a number, 0 to 1000";
	if (option->kind == OPTION_TEXT)
		return "a text that is not empty";
	if (option->choices[0] == NULL)
		return "true or false";
	initStringInfo(&names);
	for (int i = 0; i < (int) lengthof(option->choices) && option->choices[i]; i++)
		appendStringInfo(&names, "%s%s", i ? ", " : "", option->choices[i]);
	return names.data;
}

static char *
option_names(void)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < (int) lengthof(sync_options); i++)
		appendStringInfo(&names, "%s%s", i ? ", " : "", sync_options[i].name);
	return names.data;
}
