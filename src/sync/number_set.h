/*
 * number_set.h
 *		A set of record numbers: one bit each.
 */
#ifndef CS_NUMBER_SET_H
#define CS_NUMBER_SET_H

typedef struct CsNumberSet CsNumberSet;

/* In CurrentMemoryContext, where it grows too. */
extern CsNumberSet *cs_number_set_create(void);

extern void cs_number_set_add(CsNumberSet *set, int64 number);
extern bool cs_number_set_has(const CsNumberSet *set, int64 number);

#endif /* CS_NUMBER_SET_H */
