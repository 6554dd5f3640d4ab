/*
 * errors.c
 *		Errors as data: caught, judged, kept, thrown again.
 */
#include "postgres.h"

#include "access/xact.h"

#include "base/errors.h"

static ErrorData *copy_error(void);
static bool is_raised_by_user(int code);

CsError *
cs_error_catch(MemoryContext context)
{
	static CsError no_memory;
	MemoryContext old = MemoryContextSwitchTo(context);
	ErrorData *edata = copy_error();
	CsError *error =
		edata ? palloc_extended(sizeof(CsError), MCXT_ALLOC_NO_OOM | MCXT_ALLOC_ZERO) : NULL;

	FlushErrorState();
	if (error == NULL)
	{
		MemoryContextSwitchTo(old);
		no_memory = (CsError){ .code = ERRCODE_OUT_OF_MEMORY, .message = "out of memory" };
		return &no_memory;
	}
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
cs_error_roll_back(const CsError *error, int level)
{
	while (GetCurrentTransactionNestLevel() > level)
	{
		/* One that failed to begin: only the end of the whole transaction can clean up after it. */
		if (!IsTransactionState())
			cs_error_throw(error);
		RollbackAndReleaseCurrentSubTransaction();
	}
}

CsError *
cs_error_copy(const CsError *error)
{
	CsError *copy = palloc(sizeof(CsError));

	*copy = *error;
	copy->message = error->message ? pstrdup(error->message) : NULL;
	copy->detail = error->detail ? pstrdup(error->detail) : NULL;
	copy->hint = error->hint ? pstrdup(error->hint) : NULL;
	copy->column = error->column ? pstrdup(error->column) : NULL;
	copy->constraint = error->constraint ? pstrdup(error->constraint) : NULL;
	return copy;
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
			return code == ERRCODE_INSUFFICIENT_PRIVILEGE || is_raised_by_user(code);
	}
}

bool
cs_error_is_of_value(int code)
{
	switch (ERRCODE_TO_CATEGORY(code))
	{
		case MAKE_SQLSTATE('0', 'A', '0', '0', '0'): /* a type that can't be read */
		case MAKE_SQLSTATE('3', 'F', '0', '0', '0'): /* a schema, in a name given as a value */
		case MAKE_SQLSTATE('4', '2', '0', '0', '0'): /* a relation, a function, ... likewise */
			return true;
		default:
			/* Input functions of some extensions, hstore's for one, refuse text with an internal error. */
			return code == ERRCODE_INTERNAL_ERROR || cs_error_is_of_row(code);
	}
}

bool
cs_error_may_pass(const char *state)
{
	static const char *const causes[] = {
		"08",	 /* connections */
		"40",	 /* serialization, deadlocks */
		"53",	 /* resources: connections, memory, disk */
		"55P03", /* a lock that was not to be had in time */
		"55006", /* in use */
		"57P0",	 /* shutdown, start-up */
		"58",	 /* the system, crashes */
		"HV000", /* a server's refusal that is none of our fault, such as an HTTP status of 5xx */
		"HV00N", /* a server that can't be reached */
	};

	for (int i = 0; i < (int) lengthof(causes); i++)
		if (strncmp(state, causes[i], strlen(causes[i])) == 0)
			return true;
	return false;
}

int
cs_error_of_source(int code)
{
	if (code == ERRCODE_QUERY_CANCELED)
		return ERRCODE_FDW_ERROR;
	if (ERRCODE_TO_CATEGORY(code) == ERRCODE_OPERATOR_INTERVENTION)
		return ERRCODE_CONNECTION_FAILURE;
	return code;
}

bool
cs_error_is_cancel(int code)
{
	return code == ERRCODE_QUERY_CANCELED;
}

/* RAISE ... USING ERRCODE may give any code: those that neither the standard nor the server uses. */
/* NULL if there is no memory for it: whoever handles an error must get to his rollback. */
static ErrorData *
copy_error(void)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData *volatile copy = NULL;

	PG_TRY();
	{
		copy = CopyErrorData();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
	}
	PG_END_TRY();
	return copy;
}

static bool
is_raised_by_user(int code)
{
	const char *state = unpack_sql_state(code);

	if (strncmp(state, "45", 2) == 0) /* the standard's "unhandled user-defined exception" */
		return true;
	if ((state[0] >= '0' && state[0] <= '4') || (state[0] >= 'A' && state[0] <= 'H'))
		return false;
	return state[0] != '5' && strncmp(state, "72", 2) != 0 && strncmp(state, "XX", 2) != 0;
}
