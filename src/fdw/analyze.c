/*
 * analyze.c
 *		ANALYZE of foreign tables: a random sample of one read of all rows.
 *
 * The sample is a reservoir (Vitter's algorithm Z).  Its rows are in memory
 * with all their values, however long; whenever they outgrow
 * maintenance_work_mem, a random half of them is given up, which leaves a
 * smaller sample that is as fair.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/sampling.h"

#include "base/compat.h"
#include "fdw/analyze.h"
#include "fdw/rows.h"

/* On the stack of the acquisition; rows are in the context of the caller, whose they become. */
typedef struct Sample
{
	HeapTuple *rows;
	int wanted; /* becomes less when they grow too large */
	int count;
	size_t bytes; /* of the rows */
	double seen;  /* records so far */
	double skip;  /* records to leave out before the next that is taken; below 0: to be chosen */
	ReservoirStateData state;
} Sample;

static int acquire_sample(Relation rel, int elevel, HeapTuple *rows, int wanted, double *total_rows,
						  double *dead_rows);
static List *all_columns(Relation rel);
static void consider_row(Sample *sample, TupleDesc desc, Datum *values, bool *isnull);
static int place_for_row(Sample *sample);
static void halve(Sample *sample);
static int random_below(Sample *sample, int n);

bool
cs_foreign_analyze(Relation rel pg_attribute_unused(), AcquireSampleRowsFunc *acquire,
				   BlockNumber *pages)
{
	*acquire = acquire_sample;
	*pages = 1; /* there are none */
	return true;
}

/* Runs as the owner of the table. */
static int
acquire_sample(Relation rel, int elevel, HeapTuple *rows, int wanted, double *total_rows,
			   double *dead_rows)
{
	TupleDesc desc = RelationGetDescr(rel);
	Sample sample = { .rows = rows, .wanted = wanted, .skip = -1 };
	CsForeignRows source;
	Datum *values = palloc(sizeof(Datum) * Max(1, desc->natts));
	bool *isnull = palloc(sizeof(bool) * Max(1, desc->natts));

	cs_foreign_rows_init(&source, rel, rel->rd_rel->relowner, all_columns(rel));
	cs_foreign_rows_open(&source);
	reservoir_init_selection_state(&sample.state, wanted);
	while (cs_foreign_rows_next(&source, values, isnull))
		consider_row(&sample, desc, values, isnull);
	MemoryContextDelete(source.context);
	*total_rows = sample.seen;
	*dead_rows = 0;
	ereport(elevel, (errcode(ERRCODE_SUCCESSFUL_COMPLETION),
					 errmsg("\"%s\": the source has %.0f rows; %d rows in sample",
							RelationGetRelationName(rel), sample.seen, sample.count)));
	return sample.count;
}

static List *
all_columns(Relation rel)
{
	List *columns = NIL;

	for (AttrNumber attnum = 1; attnum <= RelationGetNumberOfAttributes(rel); attnum++)
		if (!TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attisdropped)
			columns = lappend_int(columns, attnum);
	return columns;
}

static void
consider_row(Sample *sample, TupleDesc desc, Datum *values, bool *isnull)
{
	int at = place_for_row(sample);

	sample->seen++;
	if (at < 0)
		return;
	if (at == sample->count)
		sample->count++;
	else
	{
		sample->bytes -= sample->rows[at]->t_len;
		heap_freetuple(sample->rows[at]);
	}
	sample->rows[at] = heap_form_tuple(desc, values, isnull);
	sample->bytes += sample->rows[at]->t_len;
	while (sample->count > 1 && sample->bytes > (size_t) maintenance_work_mem * 1024)
		halve(sample);
}

/* -1: the row is not taken. */
static int
place_for_row(Sample *sample)
{
	if (sample->count < sample->wanted)
		return sample->count;
	if (sample->skip < 0)
		sample->skip = reservoir_get_next_S(&sample->state, sample->seen, sample->wanted);
	sample->skip -= 1;
	return sample->skip < 0 ? random_below(sample, sample->wanted) : -1;
}

/* Which skips come next depends on the size of the reservoir alone. */
static void
halve(Sample *sample)
{
	int keep = sample->count / 2;

	while (sample->count > keep)
	{
		int at = random_below(sample, sample->count--);

		sample->bytes -= sample->rows[at]->t_len;
		heap_freetuple(sample->rows[at]);
		sample->rows[at] = sample->rows[sample->count];
	}
	sample->wanted = keep;
	sample->skip = -1;
	reservoir_init_selection_state(&sample->state, keep);
}

static int
random_below(Sample *sample, int n)
{
	return Min(n - 1, (int) floor(n * sampler_random_fract(&sample->state.randstate)));
}
