/*
 * mirror_state.h
 *		What is known of a mirror's memory without reading it.
 */
#ifndef CS_MIRROR_STATE_H
#define CS_MIRROR_STATE_H

/* An order-independent digest of a set of keys.  Sets that differ have different ones, but for a chance
 * of about 1 in 2^64; keys can be added and taken away. */
typedef struct CsFingerprint
{
	int64 count;
	uint64 sums[2];
} CsFingerprint;

typedef struct CsMirrorState
{
	CsFingerprint tracked; /* of the keys in memory */
	bool all_seen;		   /* the last run's source had all of these; then: */
	CsFingerprint seen;	   /* of the keys that it had */
} CsMirrorState;

/* False: there is none, or it is of keys of other types, which hash otherwise. */
extern bool cs_mirror_state_load(int64 sync_id, const char *key_types, CsMirrorState *state);
extern void cs_mirror_state_save(int64 sync_id, const char *key_types, const CsMirrorState *state);

#endif /* CS_MIRROR_STATE_H */
