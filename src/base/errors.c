/*
 * errors.c
 *		Errors as data: caught, judged, kept, thrown again.
 */
#include "postgres.h"

#include "base/errors.h"

CsError *
cs_error_catch(MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	ErrorData *edata = CopyErrorData();
	CsError *error = palloc0(sizeof(CsError));

	FlushErrorState();
	error->code = edata->sqlerrcode;
	error->message = edata->message;
	error->detail = edata->detail;
	error->hint = edata->hint;
	error->column = edata->column_name;
	error->constraint = edata->constraint_name;
	MemoryContextSwitchTo(old);
	return error;
}

void
cs_error_throw(const CsError *error)
{
	ereport(ERROR, (errcode(error->code), errmsg_internal("%s", error->message),
					error->detail ? errdetail_internal("%s", error->detail) : 0,
					error->hint ? errhint("%s", error->hint) : 0));
}

char *
cs_error_state(int code)
{
	return pstrdup(unpack_sql_state(code));
}

bool
cs_error_is_of_row(int code)
{
	switch (ERRCODE_TO_CATEGORY(code))
	{
		case MAKE_SQLSTATE('0', '9', '0', '0', '0'): /* triggered action */
		case MAKE_SQLSTATE('2', '1', '0', '0', '0'): /* cardinality, e.g. a trigger's subquery */
		case MAKE_SQLSTATE('2', '2', '0', '0', '0'): /* data */
		case MAKE_SQLSTATE('2', '3', '0', '0', '0'): /* integrity constraint */
		case MAKE_SQLSTATE('2', '7', '0', '0', '0'): /* triggered data change */
		case MAKE_SQLSTATE('3', '8', '0', '0', '0'): /* external routine */
		case MAKE_SQLSTATE('3', '9', '0', '0', '0'):
		case MAKE_SQLSTATE('4', '4', '0', '0', '0'): /* WITH CHECK OPTION */
		case MAKE_SQLSTATE('5', '4', '0', '0',
						   '0'): /* program limit, e.g. an index tuple too long */
		case MAKE_SQLSTATE('P', '0', '0', '0', '0'): /* raised by PL/pgSQL */
			return true;
		default:
			/* A row-level security policy refuses a row with this code. */
			return code == ERRCODE_INSUFFICIENT_PRIVILEGE;
	}
}

bool
cs_error_is_cancel(int code)
{
	return code == ERRCODE_QUERY_CANCELED ||
		   ERRCODE_TO_CATEGORY(code) == MAKE_SQLSTATE('5', '7', '0', '0', '0');
}
