/*
 * receiver.h
 *		Receivers of rows that need nothing at start and end.
 */
#ifndef CS_RECEIVER_H
#define CS_RECEIVER_H

#include "tcop/dest.h"

/* Fills the head of a receiver; receive may stop the statement by returning false. */
extern void cs_receiver_init(DestReceiver *receiver,
							 bool (*receive)(TupleTableSlot *slot, DestReceiver *self));

#endif /* CS_RECEIVER_H */
