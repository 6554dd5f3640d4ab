/*
 * driver.c
 *		Finding the driver of a source, in a module where it has one of its own.
 */
#include "postgres.h"

#include <unistd.h>

#include "fmgr.h"
#include "miscadmin.h"

#include "source/sql.h"

static void module_path(const CsSqlSource *source, char *path);

const CsSqlDriver *
cs_sql_driver(const CsSqlSource *source)
{
	CsSqlDriverFunction function;
	const CsSqlDriver *driver = source->driver;
	char path[MAXPGPATH];

	if (driver)
		return driver;
	cs_sql_driver_check(source, ERROR);
	module_path(source, path);
	function = (CsSqlDriverFunction) load_external_function(path, "cs_sql_driver_get", true, NULL);
	driver = function();
	if (driver->version != CS_SQL_DRIVER_VERSION)
		ereport(ERROR, (errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
						errmsg("\"%s\" is not of this version of censync", path),
						errhint("Build and install all of censync again.")));
	return driver;
}

void
cs_sql_driver_check(const CsSqlSource *source, int elevel)
{
	char path[MAXPGPATH];

	if (source->driver)
		return;
	module_path(source, path);
	if (access(path, F_OK) != 0)
		ereport(elevel,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("this installation of censync has no driver for source type \"%s\"",
						source->base.name),
				 errdetail("There is no file \"%s\": its client library was not there when censync "
						   "was built.",
						   path),
				 errhint("Install %s, then build and install censync again.", source->package)));
}

/* Into path, which has MAXPGPATH bytes. */
static void
module_path(const CsSqlSource *source, char *path)
{
	snprintf(path, MAXPGPATH, "%s/%s%s", pkglib_path, source->library, DLSUFFIX);
}
