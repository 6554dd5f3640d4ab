/*
 * option_table.c
 *		Every option there is: where it may stand, for which sources, who may
 *		set it, and what it may be.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/compat.h"
#include "net/url.h"
#include "source/headers.h"
#include "source/option_table.h"
#include "source/options.h"
#include "source/ssh.h"
#include "source/webhook.h"

static void check_url(const char *name, const char *value);
static void check_boolean(const char *name, const char *value);
static void check_tls(const char *name, const char *value);
static void check_seconds(const char *name, const char *value);
static void check_some_seconds(const char *name, const char *value);
static void check_count(const char *name, const char *value);
static void check_size(const char *name, const char *value);
static void check_rate(const char *name, const char *value);
static void check_format(const char *name, const char *value);
static void check_delimiter(const char *name, const char *value);
static void check_pagination(const char *name, const char *value);
static void check_cursor_format(const char *name, const char *value);
static void check_pointer(const char *name, const char *value);
static void check_word(const char *name, const char *value);
static void check_account(const char *name, const char *value);
static void check_warehouse_id(const char *name, const char *value);
static void check_disposition(const char *name, const char *value);
static void check_cell_values(const char *name, const char *value);
static void check_token_type(const char *name, const char *value);
static void check_authority(const char *name, const char *value);
static void check_parallel(const char *name, const char *value);
static void check_duration(const char *name, const char *value);
static void check_headers(const char *name, const char *value);
static void check_end_of_body(const char *name, const char *value);
static void check_host(const char *name, const char *value);
static void check_port(const char *name, const char *value);
static void check_zero_dates(const char *name, const char *value);
static void check_tinyint1(const char *name, const char *value);
static void check_sslmode(const char *name, const char *value);
static void check_channel_binding(const char *name, const char *value);
static void check_gssencmode(const char *name, const char *value);
static void check_tls_version(const char *name, const char *value);
static void check_switch(const char *name, const char *value);
static void check_password_required(const char *name, const char *value);
static void check_client_auth(const char *name, const char *value);
static void check_events(const char *name, const char *value);
static void check_secret(const char *name, const char *value);
static void check_one_of(const char *name, const char *value, const char *words);
static void bad_value(const char *name, const char *expected) pg_attribute_noreturn();

#define SERVER CS_LEVEL_SERVER
#define USER CS_LEVEL_USER
#define READ (CS_LEVEL_SERVER | CS_LEVEL_TABLE | CS_LEVEL_SYNC)
#define CURSOR (CS_LEVEL_SERVER | CS_LEVEL_SYNC)

/* Every option there is, by name within its group. */
static const CsOption options[] = {
	/* where, and how carefully */
	{ "allow_http", CS_FOR_WEB | CS_FOR_WEBHOOK, SERVER, true, check_boolean },
	{ "base_url", CS_FOR_SERVICE, SERVER, true, check_url },
	{ "ca_file", CS_FOR_ALL, SERVER, true, NULL },
	{ "connect_timeout", CS_FOR_ALL, SERVER, false, check_some_seconds },
	{ "end_of_body", CS_FOR_WEB, SERVER, false, check_end_of_body },
	{ "max_response_size", CS_FOR_WEB, SERVER, false, check_size },
	{ "rate_limit", CS_FOR_WEB, SERVER, false, check_rate },
	{ "read_only_intent", CS_FOR_TDS, SERVER, false, check_boolean },
	{ "stall_timeout", CS_FOR_ALL, SERVER, false, check_seconds },
	{ "timeout", CS_FOR_ALL, SERVER, false, check_seconds },
	{ "tls", CS_FOR_MYSQL | CS_FOR_TDS, SERVER, true, check_tls },
	{ "url", CS_FOR_HTTP | CS_FOR_WEBHOOK, SERVER, false, check_url },
	/* what a webhook wants to hear */
	{ "events", CS_FOR_WEBHOOK, SERVER, false, check_events },
	/* where a database is */
	{ "database", CS_FOR_SQL | CS_FOR_SNOWFLAKE, SERVER, false, NULL },
	{ "host", CS_FOR_SQL | CS_FOR_ELASTICSEARCH | CS_FOR_SNOWFLAKE | CS_FOR_DATABRICKS, SERVER,
	  false, check_host },
	{ "port", CS_FOR_SQL | CS_FOR_ELASTICSEARCH, SERVER, false, check_port },
	/* through which SSH host */
	{ "ssh_config_file", CS_FOR_ALL, SERVER, true, cs_ssh_check_path },
	{ "ssh_host", CS_FOR_ALL, SERVER, false, cs_ssh_check_host },
	{ "ssh_known_hosts", CS_FOR_ALL, SERVER, false, cs_ssh_check_known_hosts },
	{ "ssh_port", CS_FOR_ALL, SERVER, false, check_port },
	/* where at a service, and how it is read */
	{ "account", CS_FOR_SNOWFLAKE, SERVER, false, check_account },
	{ "array_fields", CS_FOR_ELASTICSEARCH, READ, false, NULL },
	{ "async", CS_FOR_ROCKSET, READ, false, check_boolean },
	{ "catalog", CS_FOR_DATABRICKS, SERVER, false, NULL },
	{ "cell_values", CS_FOR_SHEETS, READ, false, check_cell_values },
	{ "cloud_id", CS_FOR_ELASTICSEARCH, SERVER, false, NULL },
	{ "dataset", CS_FOR_BIGQUERY, SERVER, false, NULL },
	{ "field_multi_value_leniency", CS_FOR_ELASTICSEARCH, READ, false, check_boolean },
	{ "header_row", CS_FOR_SHEETS, READ, false, check_count },
	{ "disposition", CS_FOR_DATABRICKS, READ, false, check_disposition },
	{ "http_path", CS_FOR_DATABRICKS, SERVER, false, NULL },
	{ "index", CS_FOR_ELASTICSEARCH, READ, false, NULL },
	{ "json_fields", CS_FOR_ELASTICSEARCH, READ, false, NULL },
	{ "jwt_account", CS_FOR_SNOWFLAKE, SERVER, false, check_account },
	{ "location", CS_FOR_BIGQUERY, SERVER, false, check_word },
	{ "maximum_bytes_billed", CS_FOR_BIGQUERY, READ, false, check_size },
	{ "metadata_host", CS_FOR_GOOGLE, SERVER, true, check_authority },
	{ "page_timeout", CS_FOR_ELASTICSEARCH, READ, false, check_duration },
	{ "parallel", CS_FOR_SERVICE & ~CS_FOR_BIGQUERY, READ, false, check_parallel },
	{ "project", CS_FOR_BIGQUERY, SERVER, false, NULL },
	{ "quota_project", CS_FOR_GOOGLE, SERVER, false, check_word },
	{ "region", CS_FOR_ROCKSET, SERVER, false, check_word },
	{ "role", CS_FOR_SNOWFLAKE, SERVER, false, NULL },
	{ "schema", CS_FOR_SNOWFLAKE | CS_FOR_DATABRICKS, SERVER, false, NULL },
	{ "serial_dates", CS_FOR_SHEETS, READ, false, NULL },
	{ "spreadsheet_id", CS_FOR_SHEETS, READ, false, NULL },
	{ "tiebreaker", CS_FOR_ELASTICSEARCH, READ, false, check_word },
	{ "virtual_instance", CS_FOR_ROCKSET, SERVER, false, check_word },
	{ "warehouse", CS_FOR_SNOWFLAKE, SERVER, false, NULL },
	{ "warehouse_id", CS_FOR_DATABRICKS, SERVER, false, check_warehouse_id },
	{ "workspace", CS_FOR_ROCKSET, READ, false, NULL },
	/* how libpq connects, under its own names */
	{ "application_name", CS_FOR_LIBPQ, SERVER, false, NULL },
	{ "channel_binding", CS_FOR_LIBPQ, SERVER, false, check_channel_binding },
	{ "gssencmode", CS_FOR_LIBPQ, SERVER, true, check_gssencmode },
	{ "keepalives", CS_FOR_LIBPQ, SERVER, false, check_switch },
	{ "keepalives_count", CS_FOR_LIBPQ, SERVER, false, check_count },
	{ "keepalives_idle", CS_FOR_LIBPQ, SERVER, false, check_seconds },
	{ "keepalives_interval", CS_FOR_LIBPQ, SERVER, false, check_seconds },
	{ "krbsrvname", CS_FOR_LIBPQ, SERVER, true, NULL },
	{ "options", CS_FOR_LIBPQ, SERVER, false, NULL },
	{ "requirepeer", CS_FOR_LIBPQ, SERVER, false, NULL },
	{ "ssl_max_protocol_version", CS_FOR_LIBPQ, SERVER, false, check_tls_version },
	{ "ssl_min_protocol_version", CS_FOR_LIBPQ, SERVER, false, check_tls_version },
	{ "sslcert", CS_FOR_LIBPQ, SERVER | USER, CS_BY_FILE_READER, NULL },
	{ "sslcrl", CS_FOR_LIBPQ, SERVER, CS_BY_FILE_READER, NULL },
	{ "sslcrldir", CS_FOR_LIBPQ, SERVER, CS_BY_FILE_READER, NULL },
	{ "sslkey", CS_FOR_LIBPQ, SERVER | USER, CS_BY_FILE_READER, NULL },
	{ "sslmode", CS_FOR_LIBPQ, SERVER, false, check_sslmode },
	{ "sslrootcert", CS_FOR_LIBPQ, SERVER, CS_BY_FILE_READER, NULL },
	{ "sslsni", CS_FOR_LIBPQ, SERVER, false, check_switch },
	{ "tcp_user_timeout", CS_FOR_LIBPQ, SERVER, false, check_count },
	/* what */
	{ "object", CS_FOR_ALL, CS_LEVEL_TABLE, false, NULL },
	{ "query", CS_FOR_SQL | (CS_FOR_SERVICE & ~CS_FOR_SHEETS), CS_LEVEL_TABLE, false, NULL },
	{ "source", CS_FOR_ALL, CS_LEVEL_COLUMN, false, NULL },
	/* in which form */
	{ "delimiter", CS_FOR_HTTP, READ, false, check_delimiter },
	{ "format", CS_FOR_HTTP, READ, false, check_format },
	{ "headers", CS_FOR_HTTP | CS_FOR_WEBHOOK, READ, false, check_headers },
	{ "records", CS_FOR_HTTP, READ, false, check_pointer },
	{ "tinyint1", CS_FOR_MYSQL, READ, false, check_tinyint1 },
	{ "zero_dates", CS_FOR_MYSQL, READ, false, check_zero_dates },
	/* from where on */
	{ "cursor_request_format", CS_FOR_HTTP, CURSOR, false, check_cursor_format },
	{ "cursor_request_param", CS_FOR_HTTP, CURSOR, false, check_word },
	/* in how many pieces */
	{ "cursor_param", CS_FOR_HTTP, READ, false, check_word },
	{ "cursor_path", CS_FOR_HTTP, READ, false, check_pointer },
	{ "has_more_path", CS_FOR_HTTP, READ, false, check_pointer },
	{ "limit_param", CS_FOR_HTTP, READ, false, check_word },
	{ "next_url_path", CS_FOR_HTTP, READ, false, check_pointer },
	{ "offset_param", CS_FOR_HTTP, READ, false, check_word },
	{ "page_param", CS_FOR_HTTP, READ, false, check_word },
	{ "page_size", CS_FOR_WEB, READ, false, check_count },
	{ "page_size_param", CS_FOR_HTTP, READ, false, check_word },
	{ "page_start", CS_FOR_HTTP, READ, false, check_count },
	{ "pagination", CS_FOR_HTTP, READ, false, check_pagination },
	{ "total_pages_path", CS_FOR_HTTP, READ, false, check_pointer },
	{ "total_path", CS_FOR_HTTP, READ, false, check_pointer },
	/* as whom */
	{ "api_key", CS_FOR_HTTP | CS_FOR_WEBHOOK | CS_FOR_ELASTICSEARCH | CS_FOR_ROCKSET, USER, false,
	  NULL },
	{ "api_key_header", CS_FOR_HTTP | CS_FOR_WEBHOOK, USER, false, check_word },
	{ "api_key_parameter", CS_FOR_HTTP | CS_FOR_WEBHOOK, USER, false, check_word },
	{ "client_auth", CS_FOR_HTTP | CS_FOR_WEBHOOK, USER, false, check_client_auth },
	{ "client_id", CS_FOR_HTTP | CS_FOR_WEBHOOK | CS_FOR_DATABRICKS, USER, false, NULL },
	{ "client_secret", CS_FOR_HTTP | CS_FOR_WEBHOOK | CS_FOR_DATABRICKS, USER, false, NULL },
	{ "password", CS_FOR_ALL, USER, false, NULL },
	{ "password_required", CS_FOR_LIBPQ, USER, false, check_password_required },
	{ "private_key", CS_FOR_SNOWFLAKE, USER, false, NULL },
	{ "private_key_passphrase", CS_FOR_SNOWFLAKE, USER, false, NULL },
	{ "scope", CS_FOR_HTTP | CS_FOR_WEBHOOK, USER, false, NULL },
	{ "secret", CS_FOR_WEBHOOK, USER, false, check_secret },
	{ "service_account_key", CS_FOR_GOOGLE, USER, false, NULL },
	{ "ssh_private_key", CS_FOR_ALL, USER, false, cs_ssh_check_key },
	{ "ssh_private_key_file", CS_FOR_ALL, USER, true, cs_ssh_check_path },
	{ "ssh_user", CS_FOR_ALL, USER, false, cs_ssh_check_user },
	{ "tls_cert_file", CS_FOR_MYSQL, USER, CS_BY_FILE_READER, NULL },
	{ "tls_key_file", CS_FOR_MYSQL, USER, CS_BY_FILE_READER, NULL },
	{ "sslpassword", CS_FOR_LIBPQ, USER, false, NULL },
	{ "token",
	  CS_FOR_HTTP | CS_FOR_WEBHOOK | CS_FOR_GOOGLE | CS_FOR_ELASTICSEARCH | CS_FOR_SNOWFLAKE |
		  CS_FOR_DATABRICKS,
	  USER, false, NULL },
	{ "token_type", CS_FOR_SNOWFLAKE, USER, false, check_token_type },
	{ "token_url", CS_FOR_HTTP | CS_FOR_WEBHOOK, USER, false, check_url },
	{ "user", CS_FOR_ALL, USER, false, NULL },
	{ "webhook_url", CS_FOR_WEBHOOK, USER, false, check_url },
};

const CsOption *
cs_option_find(const char *name)
{
	for (int i = 0; i < (int) lengthof(options); i++)
		if (strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

char *
cs_option_names(CsOptionLevel level, int sources)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < (int) lengthof(options); i++)
		if ((options[i].levels & level) && (options[i].sources & sources))
			appendStringInfo(&names, "%s%s", names.len ? ", " : "", options[i].name);
	return names.data;
}

static void
check_url(const char *name, const char *value)
{
	CsUrl *url = cs_url_parse(value);

	if (url->user_info)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"%s\" must not hold credentials", name),
						errhint("Server options can be read by everybody. Credentials belong in a "
								"user mapping.")));
}

static void
check_boolean(const char *name, const char *value)
{
	bool ignored;

	if (!parse_bool(value, &ignored))
		bad_value(name, "true or false");
}

static void
check_tls(const char *name, const char *value)
{
	if (strcmp(value, "verify") != 0 && strcmp(value, "require") != 0 && strcmp(value, "off") != 0)
		bad_value(name, "verify, require or off");
}

static void
check_seconds(const char *name, const char *value)
{
	int seconds = cs_option_int(value);

	if (seconds < 0 || seconds > 7 * 86400)
		bad_value(name, "a number of seconds");
}

/* libcurl takes 0 for its own default of five minutes. */
static void
check_some_seconds(const char *name, const char *value)
{
	if (cs_option_int(value) == 0)
		bad_value(name, "a number of seconds above 0");
	check_seconds(name, value);
}

static void
check_count(const char *name, const char *value)
{
	if (cs_option_int(value) < 0)
		bad_value(name, "a number");
}

static void
check_size(const char *name, const char *value)
{
	if (cs_option_bytes(value) <= 0)
		bad_value(name, "a size such as '100 MB'");
}

static void
check_rate(const char *name, const char *value)
{
	if (cs_option_rate(value) < 0)
		bad_value(name, "a number of requests such as '10' or '10/s', '600/min', '1000/h'");
}

static void
check_format(const char *name, const char *value)
{
	if (strcmp(value, "json") != 0 && strcmp(value, "ndjson") != 0 && strcmp(value, "csv") != 0)
		bad_value(name, "json, ndjson or csv");
}

static void
check_delimiter(const char *name, const char *value)
{
	char c = cs_option_delimiter(value);

	if (c == '\0' || c == '"' || c == '\n' || c == '\r')
		bad_value(name, "one character, or tab");
}

static void
check_pagination(const char *name, const char *value)
{
	static const char *const kinds[] = { "none", "link", "cursor", "next_url", "page", "offset" };

	for (int i = 0; i < (int) lengthof(kinds); i++)
		if (strcmp(kinds[i], value) == 0)
			return;
	bad_value(name, "none, link, cursor, next_url, page or offset");
}

static void
check_cursor_format(const char *name, const char *value)
{
	if (strcmp(value, "iso") != 0 && strcmp(value, "epoch") != 0 && strcmp(value, "epoch_ms") != 0)
		bad_value(name, "iso, epoch or epoch_ms");
}

static void
check_pointer(const char *name, const char *value)
{
	if (value[0] != '\0' && value[0] != '/')
		bad_value(name,
				  "a JSON Pointer (RFC 6901) such as '/data/items', or '' for the whole document");
}

static void
check_word(const char *name, const char *value)
{
	if (value[0] == '\0' || strpbrk(value, " \t\r\n:") != NULL)
		bad_value(name, "a name without spaces and colons");
}

static void
check_account(const char *name, const char *value)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";

	if (value[0] == '\0' || strspn(value, letters) != strlen(value))
		bad_value(name, "organization-account, or locator.region, without https:// and the domain");
}

static void
check_warehouse_id(const char *name, const char *value)
{
	if (value[0] == '\0' || strspn(value, "0123456789abcdefABCDEF") != strlen(value))
		bad_value(name, "the hexadecimal id of a SQL warehouse");
}

static void
check_disposition(const char *name, const char *value)
{
	check_one_of(name, value, "external_links, inline");
}

static void
check_cell_values(const char *name, const char *value)
{
	check_one_of(name, value, "unformatted, formatted");
}

static void
check_token_type(const char *name, const char *value)
{
	check_one_of(name, value, "oauth, pat");
}

/* host or host:port */
static void
check_authority(const char *name, const char *value)
{
	if (value[0] == '\0' || strpbrk(value, " \t\r\n/@?#") != NULL)
		bad_value(name, "a host, maybe with a port");
}

static void
check_parallel(const char *name, const char *value)
{
	int parallel = cs_option_int(value);

	if (parallel < 1 || parallel > 16)
		bad_value(name, "a number from 1 to 16");
}

/* As Elasticsearch writes them. */
static void
check_duration(const char *name, const char *value)
{
	size_t digits = strspn(value, "0123456789");

	if (digits == 0 || digits > 9 || value[0] == '0' ||
		(strcmp(value + digits, "s") != 0 && strcmp(value + digits, "m") != 0 &&
		 strcmp(value + digits, "h") != 0))
		bad_value(name, "a time such as '30s', '5m' or '1h'");
}

static void
check_headers(const char *name pg_attribute_unused(), const char *value)
{
	(void) cs_headers_parse(value);
}

static void
check_end_of_body(const char *name, const char *value)
{
	if (strcmp(value, "proven") != 0 && strcmp(value, "close") != 0)
		bad_value(name, "proven or close");
}

/* A name or an address; a path is the directory of a Unix-domain socket, where whoever connects is
 * known to the other side by the server's own user. */
static void
check_host(const char *name, const char *value)
{
	if (value[0] == '/' && !superuser())
		ereport(
			ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("only a superuser may set option \"%s\" to the directory of a socket", name)));
	if (value[0] == '\0' || strpbrk(value, " \t\r\n,") != NULL)
		bad_value(name, "the name or address of one host");
}

static void
check_port(const char *name, const char *value)
{
	int port = cs_option_int(value);

	if (port < 1 || port > 65535)
		bad_value(name, "a number from 1 to 65535");
}

static void
check_zero_dates(const char *name, const char *value)
{
	if (strcmp(value, "error") != 0 && strcmp(value, "null") != 0)
		bad_value(name, "error or null");
}

static void
check_tinyint1(const char *name, const char *value)
{
	if (strcmp(value, "integer") != 0 && strcmp(value, "boolean") != 0)
		bad_value(name, "integer or boolean");
}

static void
check_sslmode(const char *name, const char *value)
{
	check_one_of(name, value, "disable, allow, prefer, require, verify-ca, verify-full");
}

static void
check_channel_binding(const char *name, const char *value)
{
	check_one_of(name, value, "disable, prefer, require");
}

static void
check_gssencmode(const char *name, const char *value)
{
	check_one_of(name, value, "disable, prefer, require");
}

static void
check_tls_version(const char *name, const char *value)
{
	check_one_of(name, value, "TLSv1, TLSv1.1, TLSv1.2, TLSv1.3");
}

static void
check_switch(const char *name, const char *value)
{
	check_one_of(name, value, "0, 1");
}

/* Without one, whoever runs it connects as what the server's own operating system user is there. */
static void
check_password_required(const char *name, const char *value)
{
	check_boolean(name, value);
	if (!cs_option_bool(value) && !superuser())
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("only a superuser may set option \"%s\" to false", name)));
}

static void
check_client_auth(const char *name, const char *value)
{
	if (strcmp(value, "basic") != 0 && strcmp(value, "body") != 0)
		bad_value(name, "basic or body");
}

static void
check_events(const char *name, const char *value)
{
	if (!cs_webhook_events_are_known(value))
		bad_value(name, "events, by comma: sync.*, alert.*, " CS_WEBHOOK_EVENTS);
}

static void
check_secret(const char *name, const char *value)
{
	if (value[0] == '\0')
		bad_value(name, "a text that is not empty");
}

/* words: all there are, by comma. */
static void
check_one_of(const char *name, const char *value, const char *words)
{
	size_t len = strlen(value);

	for (const char *word = words; len > 0 && word; word = strchr(word, ','))
	{
		word += strspn(word, ", ");
		if (strncmp(word, value, len) == 0 && (word[len] == ',' || word[len] == '\0'))
			return;
	}
	bad_value(name, words);
}

/* The value itself stays out of the message: it may be a secret that was put in the wrong place. */
static void
bad_value(const char *name, const char *expected)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s\"", name), errhint("Expected: %s.", expected)));
}
