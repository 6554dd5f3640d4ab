/*
 * commit.c
 *		Sessions that take their time between two transactions, for as long as the file GATE is there.
 *
 * What they have committed is visible by then.
 */
#include "postgres.h"

#include <unistd.h>

#include "access/xact.h"
#include "fmgr.h"

#define LOOK_US 10000
#define MOST_LOOKS 3000

PG_MODULE_MAGIC;

void _PG_init(void);

static void
wait_at_gate(XactEvent event, void *arg)
{
	(void) arg;
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT)
		for (int i = 0; i < MOST_LOOKS && access(GATE, F_OK) == 0; i++)
			pg_usleep(LOOK_US);
}

void
_PG_init(void)
{
	RegisterXactCallback(wait_at_gate, NULL);
}
