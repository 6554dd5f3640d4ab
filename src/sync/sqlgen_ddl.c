/*
 * sqlgen_ddl.c
 *		The one statement that changes a destination's definition.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

#include "source/reader.h"
#include "sync/sqlgen.h"

char *
cs_sql_add_columns(const CsDestination *destination, List *columns)
{
	StringInfoData sql;
	ListCell *lc;

	initStringInfo(&sql);
	/* Without ONLY: partitions and inheritance children get them too. */
	appendStringInfo(&sql, "ALTER TABLE %s", cs_destination_quoted(destination));
	foreach (lc, columns)
	{
		const CsColumn *column = lfirst(lc);

		appendStringInfo(
			&sql, "%s ADD COLUMN %s %s", lc == list_head(columns) ? "" : ",",
			quote_identifier(column->name),
			format_type_extended(column->typid, column->typmod,
								 FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
		if (OidIsValid(column->collation) && column->collation != get_typcollation(column->typid))
			appendStringInfo(&sql, " COLLATE %s", generate_collation_name(column->collation));
	}
	return sql.data;
}
