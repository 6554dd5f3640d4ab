/*
 * elasticsearch_types.h
 *		The types of Elasticsearch and OpenSearch.
 */
#ifndef CS_ELASTICSEARCH_TYPES_H
#define CS_ELASTICSEARCH_TYPES_H

#include "format/json_leaves.h"
#include "source/cells.h"

/* elasticsearch_types.c */

/* Column and cell of a field of a mapping; formats: of a date, or NULL.  Sets *kind. */
extern void cs_elastic_type_of_field(CsColumn *column, CsCell *cell, const char *type,
									 const char *formats, CsLeafKind *kind);

/* The same of a column of an SQL result. */
extern void cs_elastic_type_of_sql(CsColumn *column, CsCell *cell, const char *type);

/* jsonb: an array, if need be of the one value that is there. */
extern Datum cs_elastic_read_array(CsCell *cell, const CsField *field, char **why);

/* elasticsearch_dates.c */

/* A moment as one of the formats of a mapping ("strict_date_optional_time||epoch_millis") has it: cell->fields. */
extern Datum cs_elastic_read_date(CsCell *cell, const CsField *field, char **why);

#endif /* CS_ELASTICSEARCH_TYPES_H */
