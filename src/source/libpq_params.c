/*
 * libpq_params.c
 *		What libpq is told of a connection.
 *
 * Everything it would otherwise take from the environment of the server's
 * process, or from files in the home of the server's user, is said: a role
 * must not connect with what is not its own.
 */
#include "postgres.h"

#include <unistd.h>

#include "mb/pg_wchar.h"

#include "lib/stringinfo.h"

#include "source/libpq.h"

/* No file can have such a name. */
#define NO_FILE "/dev/null/none"

/* The certificates a system trusts, as Debian keeps them. */
#define SYSTEM_CERTIFICATES "/etc/ssl/certs/ca-certificates.crt"

/* Server options that are libpq's own, under its names. */
static const char *const passed_on[] = {
	"application_name",
	"channel_binding",
	"gssencmode",
	"keepalives",
	"keepalives_count",
	"keepalives_idle",
	"keepalives_interval",
	"krbsrvname",
	"options",
	"requirepeer",
	"sslcert",
	"sslcrl",
	"sslcrldir",
	"sslkey",
	"sslmode",
	"sslrootcert",
	"sslsni",
	"ssl_max_protocol_version",
	"ssl_min_protocol_version",
	"tcp_user_timeout",
};

/* And what is said without them: NULL in passed_on's place is libpq's own default. */
typedef struct Default
{
	const char *keyword;
	const char *value;
} Default;

static const Default defaults[] = {
	{ "application_name", "censync" },
	{ "gssencmode", "disable" },
	{ "keepalives", "1" },
	{ "keepalives_count", "6" },
	{ "keepalives_idle", "60" },
	{ "keepalives_interval", "10" },
	{ "max_protocol_version", "3.0" },
	{ "min_protocol_version", "3.0" },
	{ "passfile", NO_FILE },
	{ "require_auth", "none,password,md5,gss,sspi,scram-sha-256" }, /* any: libpq since 16 */
	{ "sslcert", NO_FILE },
	{ "sslcertmode", "allow" }, /* libpq refuses it empty */
	{ "sslcrl", NO_FILE },
	{ "sslkey", NO_FILE },
	{ "sslrootcert", NO_FILE },
};

static const char *value_of(const CsSqlLogin *login, const char *keyword);
static const char *addresses_of(const CsSqlLogin *login);
static const char *host_names(const CsSqlLogin *login);
static const char *option_of(const CsSqlLogin *login, const char *keyword);
static const char *root_certificates(const CsSqlLogin *login);
static const char *mode_of(const CsSqlLogin *login);
static void append_parameter(StringInfo conninfo, const char *keyword, const char *value);

char *
cs_pq_conninfo(const CsSqlLogin *login, bool *verifies_ca)
{
	PQconninfoOption *known = PQconndefaults();
	StringInfoData conninfo;

	if (known == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	initStringInfo(&conninfo);
	for (PQconninfoOption *option = known; option->keyword; option++)
	{
		const char *value = value_of(login, option->keyword);

		/* A service could only fill in what is not said here; an empty name of one is an error. */
		if (strcmp(option->keyword, "service") == 0)
			continue;
		if (value == NULL && option->envvar)
			value = option->compiled ? option->compiled : "";
		if (value)
			append_parameter(&conninfo, option->keyword, value);
	}
	PQconninfoFree(known);
	*verifies_ca = strcmp(value_of(login, "sslrootcert"), NO_FILE) != 0;
	return conninfo.data;
}

/* NULL: what libpq has been built with. */
static const char *
value_of(const CsSqlLogin *login, const char *keyword)
{
	const char *value = option_of(login, keyword);

	if (strcmp(keyword, "host") == 0)
		return host_names(login);
	if (strcmp(keyword, "hostaddr") == 0)
		return addresses_of(login);
	if (strcmp(keyword, "port") == 0)
		return psprintf("%d", login->port);
	if (strcmp(keyword, "dbname") == 0)
		return login->database ? login->database : login->user;
	if (strcmp(keyword, "user") == 0)
		return login->user;
	if (strcmp(keyword, "password") == 0)
		return login->password;
	if (strcmp(keyword, "sslpassword") == 0)
		return login->user_option(login->options, "sslpassword");
	if (strcmp(keyword, "client_encoding") == 0)
		return GetDatabaseEncodingName();
	if (strcmp(keyword, "sslmode") == 0)
		return mode_of(login);
	if (strcmp(keyword, "sslrootcert") == 0)
		return root_certificates(login);
	if (value)
		return value;
	for (int i = 0; i < (int) lengthof(defaults); i++)
		if (strcmp(defaults[i].keyword, keyword) == 0)
			return defaults[i].value;
	return NULL;
}

/* libpq tries one address after the other; "" for a socket. */
static const char *
addresses_of(const CsSqlLogin *login)
{
	if (login->address == NULL)
		return "";
	return login->addresses ? login->addresses : login->address;
}

/* The host's name for each of them: that is what a certificate must have. */
static const char *
host_names(const CsSqlLogin *login)
{
	StringInfoData names;

	initStringInfo(&names);
	appendStringInfoString(&names, login->host);
	for (const char *c = strchr(addresses_of(login), ','); c; c = strchr(c + 1, ','))
		appendStringInfo(&names, ",%s", login->host);
	return names.data;
}

/* The user mapping's own certificate before the server's. */
static const char *
option_of(const CsSqlLogin *login, const char *keyword)
{
	for (int i = 0; i < (int) lengthof(passed_on); i++)
		if (strcmp(passed_on[i], keyword) == 0)
		{
			const char *value = login->user_option(login->options, keyword);

			return value ? value : login->option(login->options, keyword);
		}
	return NULL;
}

/* libpq would look for a file in a home directory; a system trusts more than that. */
static const char *
root_certificates(const CsSqlLogin *login)
{
	const char *file = login->option(login->options, "sslrootcert");

	if (file == NULL)
		file = login->option(login->options, "ca_file");
	if (file == NULL && strncmp(mode_of(login), "verify", strlen("verify")) == 0)
		file = access(SYSTEM_CERTIFICATES, R_OK) == 0 ? SYSTEM_CERTIFICATES : "system";
	return file ? file : NO_FILE;
}

/* On a socket of the same machine there is nothing to encrypt. */
static const char *
mode_of(const CsSqlLogin *login)
{
	const char *mode = login->option(login->options, "sslmode");

	if (login->address == NULL)
		return "disable";
	return mode ? mode : "require";
}

static void
append_parameter(StringInfo conninfo, const char *keyword, const char *value)
{
	appendStringInfo(conninfo, "%s%s='", conninfo->len ? " " : "", keyword);
	for (; *value; value++)
	{
		if (*value == '\'' || *value == '\\')
			appendStringInfoChar(conninfo, '\\');
		appendStringInfoChar(conninfo, *value);
	}
	appendStringInfoChar(conninfo, '\'');
}
