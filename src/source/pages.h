/*
 * pages.h
 *		From one page of an HTTP source to the next, and when there is none.
 */
#ifndef CS_PAGES_H
#define CS_PAGES_H

#include "source/options.h"

/* One page. */
typedef struct CsPage
{
	const char *url;	  /* that answered */
	List *links;		  /* char *: values of its Link headers */
	const char *envelope; /* the document without its records; NULL if it was no JSON */
	int64 records;
	uint64 digest; /* of its records; where cs_pager_compares */
} CsPage;

typedef struct CsPager CsPager;

/* A pager over first_url in CurrentMemoryContext; throws 22023 when options are missing. */
extern CsPager *cs_pager_create(const CsOptionSet *options, const char *first_url);

/* The page to fetch now. */
extern const char *cs_pager_url(const CsPager *pager);

/*
 * Moves on.  False: that was the last page, and nothing the source announced is missing.  Throws
 * HV000 when pages repeat, when a configured member is missing, or when fewer records came than
 * were announced; 08P01 when the next page is on another origin.
 */
extern bool cs_pager_next(CsPager *pager, const CsPage *page);

/* Does it tell by their records whether a page was there before? */
extern bool cs_pager_compares(const CsPager *pager);

/* Records that the last page announced, or 0. */
extern int64 cs_pager_total(const CsPager *pager);

/*
 * Where the page after this one probably is, in CurrentMemoryContext, or NULL; before this one was
 * read to its end: records are then those so far, and the envelope is cs_decoder_envelope_so_far.
 * It is of the first page's origin.  Throws nothing, and promises nothing: cs_pager_next decides.
 */
extern char *cs_pager_guess(const CsPager *pager, const CsPage *page, bool at_end);

/* The target of rel=next among the values of Link headers (RFC 8288), or NULL. */
extern char *cs_link_next(List *values);

#endif /* CS_PAGES_H */
