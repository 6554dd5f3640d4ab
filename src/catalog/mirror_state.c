/*
 * mirror_state.c
 *		What is known of a mirror's memory without reading it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "catalog/mirror_state.h"
#include "catalog/spi.h"

static CsFingerprint fingerprint_at(int col);
static void add_fingerprint(CsArgs *args, const CsFingerprint *print);

bool
cs_mirror_state_load(int64 sync_id, const char *key_types, CsMirrorState *state)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };
	bool found;
	bool isnull;

	cs_catalog_begin(&access);
	cs_args_add_int8(&args, sync_id);
	cs_args_add_text(&args, key_types);
	found = cs_catalog_execute("SELECT all_seen, tracked, tracked_sum_1, tracked_sum_2, "
							   "seen, seen_sum_1, seen_sum_2 FROM censync.mirror_state "
							   "WHERE sync_id = $1 AND key_types = $2",
							   &args) == 1;
	if (found)
	{
		state->all_seen = DatumGetBool(cs_catalog_datum(0, 1, &isnull));
		state->tracked = fingerprint_at(2);
		state->seen = fingerprint_at(5);
	}
	cs_catalog_end(&access);
	return found;
}

void
cs_mirror_state_save(int64 sync_id, const char *key_types, const CsMirrorState *state)
{
	CsCatalogAccess access;
	CsArgs args = { 0 };

	cs_catalog_begin(&access);
	cs_args_add_int8(&args, sync_id);
	cs_args_add_text(&args, key_types);
	cs_args_add(&args, BOOLOID, BoolGetDatum(state->all_seen), false);
	add_fingerprint(&args, &state->tracked);
	add_fingerprint(&args, &state->seen);
	cs_catalog_execute(
		"INSERT INTO censync.mirror_state VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) "
		"ON CONFLICT (sync_id) DO UPDATE SET key_types = $2, all_seen = $3, tracked = $4, "
		"tracked_sum_1 = $5, tracked_sum_2 = $6, seen = $7, seen_sum_1 = $8, seen_sum_2 = $9",
		&args);
	cs_catalog_end(&access);
}

static CsFingerprint
fingerprint_at(int col)
{
	CsFingerprint print;
	bool isnull;

	print.count = DatumGetInt64(cs_catalog_datum(0, col, &isnull));
	print.sums[0] = DatumGetUInt64(cs_catalog_datum(0, col + 1, &isnull));
	print.sums[1] = DatumGetUInt64(cs_catalog_datum(0, col + 2, &isnull));
	return print;
}

static void
add_fingerprint(CsArgs *args, const CsFingerprint *print)
{
	cs_args_add_int8(args, print->count);
	cs_args_add_int8(args, (int64) print->sums[0]);
	cs_args_add_int8(args, (int64) print->sums[1]);
}
