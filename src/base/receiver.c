/*
 * receiver.c
 *		Receivers of rows that need nothing at start and end.
 */
#include "postgres.h"

#include "executor/tuptable.h"

#include "base/receiver.h"

static void do_nothing_at_start(DestReceiver *self, int operation, TupleDesc desc);
static void do_nothing(DestReceiver *self);

void
cs_receiver_init(DestReceiver *receiver, bool (*receive)(TupleTableSlot *slot, DestReceiver *self))
{
	receiver->receiveSlot = receive;
	receiver->rStartup = do_nothing_at_start;
	receiver->rShutdown = do_nothing;
	receiver->rDestroy = do_nothing;
	receiver->mydest = DestNone;
}

static void
do_nothing_at_start(DestReceiver *self pg_attribute_unused(), int operation pg_attribute_unused(),
					TupleDesc desc pg_attribute_unused())
{
}

static void
do_nothing(DestReceiver *self pg_attribute_unused())
{
}
