/*
 * keygen.c
 *		SQL: a key for the SSH host of a server.
 *
 * ssh-keygen writes into a directory of the server's temporary files that
 * nobody else can look into; it is removed at once, and after a crash by the
 * server's next start.  The key goes into the user mapping without passing
 * through a statement, whose text would be in logs and statistics.
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "access/xact.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_tablespace_d.h"
#include "commands/defrem.h"
#include "common/file_perm.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "tcop/utility.h"

#include "base/child.h"
#include "source/reader.h"

#define MAX_KEY 4096
#define SECONDS 30

PG_FUNCTION_INFO_V1(censync_ssh_keygen);

/* What the user mapping of a role says of keys so far. */
typedef enum Mapping
{
	NO_MAPPING,
	WITHOUT_KEY,
	WITH_KEY
} Mapping;

static Mapping look_at_mapping(Oid serverid, Oid userid);
static void check_replace(Mapping mapping, const ForeignServer *server, bool replace);
static char *make_directory(void);
static void remove_directory(void *directory);
static void run_keygen(const char *key_path, const ForeignServer *server);
static char *comment_of(const ForeignServer *server);
static char *read_file(const char *path);
static void keep(const ForeignServer *server, Mapping mapping, char *key);

/* SQL: censync_ssh_keygen(server, replace) returns text */
PGDLLEXPORT Datum
censync_ssh_keygen(PG_FUNCTION_ARGS)
{
	ForeignServer *server;
	Mapping mapping;
	char *directory;
	char *path;
	char *key;
	char *line;
	MemoryContext old;
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "censync key", ALLOCSET_SMALL_SIZES);

	PreventCommandIfReadOnly("censync_ssh_keygen()");
	server = GetForeignServerByName(NameStr(*PG_GETARG_NAME(0)), false);
	cs_server_check_usage(server->serverid, GetUserId());
	(void) cs_source_type_of_server(server->serverid);
	mapping = look_at_mapping(server->serverid, GetUserId());
	check_replace(mapping, server, PG_GETARG_BOOL(1));
	old = MemoryContextSwitchTo(context);
	directory = make_directory();
	path = psprintf("%s/key", directory);
	run_keygen(path, server);
	key = read_file(path);
	MemoryContextSwitchTo(old);
	line = read_file(psprintf("%s.pub", path));
	keep(server, mapping, key);
	explicit_bzero(key, strlen(key));
	MemoryContextDelete(context);
	line[strcspn(line, "\r\n")] = '\0';
	PG_RETURN_TEXT_P(cstring_to_text(line));
}

/* One for PUBLIC does not count: the new key would be everybody's. */
static Mapping
look_at_mapping(Oid serverid, Oid userid)
{
	UserMapping *mapping;
	ListCell *lc;

	if (!SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(userid),
							   ObjectIdGetDatum(serverid)))
	{
		if (SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid),
								  ObjectIdGetDatum(serverid)))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("role \"%s\" has no user mapping of its own for this server",
							GetUserNameFromId(userid, false)),
					 errdetail("There is one for PUBLIC, which one for the role would hide."),
					 errhint("CREATE USER MAPPING FOR CURRENT_USER ... with all the options it "
							 "needs, then call this again.")));
		return NO_MAPPING;
	}
	mapping = GetUserMapping(userid, serverid);
	foreach (lc, mapping->options)
	{
		const char *name = ((DefElem *) lfirst(lc))->defname;

		if (strcmp(name, "ssh_private_key") == 0)
			return WITH_KEY;
		if (strcmp(name, "ssh_private_key_file") == 0)
			ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
							errmsg("the user mapping has option \"ssh_private_key_file\""),
							errhint("Drop that option first, or keep using the key it names.")));
	}
	return WITHOUT_KEY;
}

static void
check_replace(Mapping mapping, const ForeignServer *server, bool replace)
{
	if (mapping == WITH_KEY && !replace)
		ereport(
			ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("the user mapping for server \"%s\" has a key already", server->servername),
			 errhint("censync_ssh_keygen('%s', replace => true) makes another one; the SSH host "
					 "then has to be told.",
					 server->servername)));
}

/* Its name begins as those of all temporary files of a server, which its start removes. */
static char *
make_directory(void)
{
	static int made = 0;
	char base[MAXPGPATH];
	char *directory;
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));

	TempTablespacePath(base, DEFAULTTABLESPACE_OID);
	directory = psprintf("%s/%s%d.ssh%d", base, PG_TEMP_FILE_PREFIX, MyProcPid, made++);
	callback->func = remove_directory;
	callback->arg = directory;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	PathNameCreateTemporaryDir(base, directory);
	return directory;
}

static void
remove_directory(void *directory)
{
	PathNameDeleteTemporaryDir(directory);
}

static void
run_keygen(const char *key_path, const ForeignServer *server)
{
	const char *program = cs_program_find("ssh-keygen");
	const char *argv[] = { program, "-q",	  "-t", "ed25519", "-N", "", "-C", comment_of(server),
						   "-f",	key_path, NULL };
	StringInfoData output;
	int status;

	if (program == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FILE), errmsg("there is no ssh-keygen"),
						errhint("Install openssh-client on the database's machine.")));
	initStringInfo(&output);
	status = cs_child_run(argv, SECONDS, &output);
	if (status != 0)
		ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION), errmsg("ssh-keygen failed"),
						errdetail("Exit status %d: %.200s", status,
								  output.len ? output.data : "it said nothing")));
}

/* The comment ends a line of authorized_keys: nothing in it may begin another one. */
static char *
comment_of(const ForeignServer *server)
{
	char *comment = psprintf("censync %s", server->servername);

	for (char *c = comment; *c != '\0'; c++)
		if ((unsigned char) *c < ' ' || *c == 0x7f)
			*c = '_';
	return comment;
}

static char *
read_file(const char *path)
{
	char *text = palloc(MAX_KEY + 1);
	int fd = OpenTransientFile(path, O_RDONLY);
	ssize_t len = fd < 0 ? -1 : read(fd, text, MAX_KEY);

	if (len < 0)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not read \"%s\": %m", path)));
	(void) CloseTransientFile(fd);
	text[len] = '\0';
	return text;
}

/* With the rights of the calling role, as the statements do it. */
static void
keep(const ForeignServer *server, Mapping mapping, char *key)
{
	RoleSpec *role = makeNode(RoleSpec);
	DefElem *option = makeDefElem("ssh_private_key", (Node *) makeString(key), -1);

	role->roletype = ROLESPEC_CURRENT_USER;
	role->location = -1;
	if (mapping == NO_MAPPING)
	{
		CreateUserMappingStmt *create = makeNode(CreateUserMappingStmt);

		create->user = role;
		create->servername = server->servername;
		create->options = list_make1(option);
		(void) CreateUserMapping(create);
	}
	else
	{
		AlterUserMappingStmt *alter = makeNode(AlterUserMappingStmt);

		option->defaction = mapping == WITH_KEY ? DEFELEM_SET : DEFELEM_ADD;
		alter->user = role;
		alter->servername = server->servername;
		alter->options = list_make1(option);
		(void) AlterUserMapping(alter);
	}
	CommandCounterIncrement();
}
