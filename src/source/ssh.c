/*
 * ssh.c
 *		The options of a tunnel.
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "miscadmin.h"

#include "source/ssh.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

/* The beginning of OpenSSH's own format, of a key that no passphrase protects. */
#define OPENSSH_PLAIN "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU"

static void require(const char *value, const char *message, const char *hint);
static bool is_encrypted(const char *key);
static void refuse(const char *name, const char *expected) pg_attribute_noreturn();

CsTunnelSpec *
cs_ssh_spec(const CsOptionSet *options)
{
	CsTunnelSpec *spec = palloc0(sizeof(CsTunnelSpec));
	const char *port = cs_option_get(options, "ssh_port");

	spec->host = cs_option_get(options, "ssh_host");
	if (spec->host == NULL)
		return NULL;
	spec->config_file = cs_option_get(options, "ssh_config_file");
	if (port || spec->config_file == NULL)
		spec->port = port ? cs_option_int(port) : 22;
	spec->known_hosts = cs_option_get(options, "ssh_known_hosts");
	spec->user = cs_option_get_user(options, "ssh_user");
	spec->private_key = cs_option_get_user(options, "ssh_private_key");
	spec->private_key_file = cs_option_get_user(options, "ssh_private_key_file");
	spec->connect_timeout_s =
		cs_option_int(cs_option_get_default(options, "connect_timeout", "10"));
	if (spec->config_file)
		return spec;
	require(
		spec->known_hosts, "the server has no option \"ssh_known_hosts\"",
		"ALTER SERVER ... OPTIONS (ADD ssh_known_hosts '...') with what ssh-keyscan says of the "
		"host, after comparing it with what the host's administrator says.");
	require(spec->user, "the user mapping has no option \"ssh_user\"",
			"ALTER USER MAPPING ... OPTIONS (ADD ssh_user '...')");
	require(spec->private_key ? spec->private_key : spec->private_key_file,
			"the user mapping has no option \"ssh_private_key\"",
			"SELECT censync_ssh_keygen('server') makes a key and says what to put into "
			"authorized_keys on the SSH host.");
	return spec;
}

void
cs_ssh_validate(List *user_options)
{
	bool key = false;
	bool file = false;
	ListCell *lc;

	foreach (lc, user_options)
	{
		const char *name = ((DefElem *) lfirst(lc))->defname;

		key = key || strcmp(name, "ssh_private_key") == 0;
		file = file || strcmp(name, "ssh_private_key_file") == 0;
	}
	if (key && file)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("options \"ssh_private_key\" and \"ssh_private_key_file\" exclude "
							   "each other")));
}

/* No name of a host begins with a hyphen; options of ssh do. */
void
cs_ssh_check_host(const char *name, const char *value)
{
	if (value[0] == '\0' || value[0] == '-' || strspn(value, LETTERS "-._:") != strlen(value))
		refuse(name, "the name or address of one host");
}

void
cs_ssh_check_user(const char *name, const char *value)
{
	if (value[0] == '\0' || value[0] == '-' || strspn(value, LETTERS "-._@+") != strlen(value))
		refuse(name, "the name of a user");
}

void
cs_ssh_check_key(const char *name, const char *value)
{
	const char *begin = value + strspn(value, " \t\r\n");

	if (strncmp(begin, "-----BEGIN ", 11) != 0 || strstr(begin, "PRIVATE KEY-----") == NULL ||
		is_encrypted(begin))
		refuse(name, "a private key in OpenSSH's or PEM format, without a passphrase");
}

/* Lines, or the path of a file that has them. */
void
cs_ssh_check_known_hosts(const char *name, const char *value)
{
	if (value[0] == '/')
		cs_ssh_check_path(name, value);
	else if (strspn(value, " \t\r\n") == strlen(value))
		refuse(name, "lines as in known_hosts");
	if (value[0] == '/' && !superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("only a superuser may set option \"%s\" to the path of a file", name),
				 errhint("It may hold the lines themselves.")));
}

/* It becomes a part of a quoted argument of ssh, which would replace what begins with % or $. */
void
cs_ssh_check_path(const char *name, const char *value)
{
	if (value[0] != '/' || strpbrk(value, "\"%$\\\r\n") != NULL)
		refuse(name, "an absolute path");
}

static void
require(const char *value, const char *message, const char *hint)
{
	if (value == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND), errmsg("%s", message),
						errhint("%s", hint)));
}

static bool
is_encrypted(const char *key)
{
	return strstr(key, "ENCRYPTED") != NULL ||
		   (strstr(key, "BEGIN OPENSSH PRIVATE KEY") != NULL && strstr(key, OPENSSH_PLAIN) == NULL);
}

/* The value itself stays out of the message: it may be a secret. */
static void
refuse(const char *name, const char *expected)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s\"", name), errhint("Expected: %s.", expected)));
}
