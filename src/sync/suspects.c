/*
 * suspects.c
 *		Rows that break a constraint, looked for all at once.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/receiver.h"
#include "sync/change.h"
#include "sync/sqlgen.h"

/* Takes the numbers of suspects. */
typedef struct NumberReceiver
{
	DestReceiver base; /* must be first */
	CsNumberSet *numbers;
	int64 count;
} NumberReceiver;

static int what_to_search(int code);
static CsNumberSet *search(CsChange *change, CsStage *set, int what);
static bool receive_number(TupleTableSlot *slot, DestReceiver *self);

CsNumberSet *
cs_change_find(CsStage *set, const char *sql)
{
	NumberReceiver receiver = { .numbers = cs_number_set_create() };
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int level = GetCurrentTransactionNestLevel();
	volatile bool failed = false;

	cs_receiver_init(&receiver.base, receive_number);
	cs_stage_register(set);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		cs_run_execute(sql, &receiver.base);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		CsError *error = cs_error_catch(caller);

		cs_error_roll_back(error, level);
		MemoryContextSwitchTo(caller);
		CurrentResourceOwner = owner;
		if (!cs_error_is_of_value(error->code))
			cs_error_throw(error);
		failed = true;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	cs_stage_unregister(set);
	return failed || receiver.count == 0 ? NULL : receiver.numbers;
}

CsStage *
cs_change_set_apart(CsChange *change, CsStage *set, const CsError *error, CsStage *suspects)
{
	int what = what_to_search(error->code) & ~change->searched;
	CsNumberSet *numbers;
	CsStage *others;
	TupleTableSlot *slot;
	bool isnull;

	/* What is deleted bears no number. */
	if (what == 0 || change->kind == CS_CHANGE_DELETE)
		return NULL;
	change->searched |= what;
	numbers = search(change, set, what);
	if (numbers == NULL)
		return NULL;
	others = cs_stage_create_like(set);
	slot = cs_stage_rewind(set);
	while (cs_stage_next(set, slot))
		cs_stage_put_slot(cs_number_set_has(numbers, DatumGetInt64(slot_getattr(slot, 1, &isnull)))
							  ? suspects
							  : others,
						  slot);
	return others;
}

/* Those that cost a join with the destination only if they are known to be needed. */
static int
what_to_search(int code)
{
	switch (code)
	{
		case ERRCODE_NOT_NULL_VIOLATION:
		case ERRCODE_CHECK_VIOLATION:
		case ERRCODE_FOREIGN_KEY_VIOLATION:
			return CS_SUSPECT_VALUES;
		case ERRCODE_UNIQUE_VIOLATION:
			return CS_SUSPECT_VALUES | CS_SUSPECT_UNIQUE;
		default:
			return 0;
	}
}

static CsNumberSet *
search(CsChange *change, CsStage *set, int what)
{
	const CsMappingSet *mappings = change->run->mappings;
	char *sql = cs_sql_suspects(mappings, cs_constraints_load(mappings->destination), what,
								change->kind == CS_CHANGE_UPDATE);

	return sql ? cs_change_find(set, sql) : NULL;
}

static bool
receive_number(TupleTableSlot *slot, DestReceiver *self)
{
	NumberReceiver *receiver = (NumberReceiver *) self;
	bool isnull;

	cs_number_set_add(receiver->numbers, DatumGetInt64(slot_getattr(slot, 1, &isnull)));
	receiver->count++;
	return true;
}
