/*
 * gunzip.h
 *		Undoes Content-Encoding: gzip (and deflate) piece by piece.
 *
 * libcurl could do it, but it takes a compressed body that breaks off for a
 * complete one, stops at a second gzip member, and has to hold whatever one
 * read from the network expands to.
 */
#ifndef CS_GUNZIP_H
#define CS_GUNZIP_H

typedef enum CsGunzipStatus
{
	CS_GUNZIP_DATA, /* a piece of plain text */
	CS_GUNZIP_MORE, /* everything fed so far is used up */
	CS_GUNZIP_CORRUPT
} CsGunzipStatus;

typedef struct CsGunzip CsGunzip;

/* In CurrentMemoryContext, which owns it. */
extern CsGunzip *cs_gunzip_create(void);

/* Bytes to decompress; not copied, so they must live until CS_GUNZIP_MORE. */
extern void cs_gunzip_feed(CsGunzip *gunzip, const char *data, size_t len);

/* The next piece of plain text, valid until the next call. */
extern CsGunzipStatus cs_gunzip_next(CsGunzip *gunzip, const char **data, size_t *len);

/* Was the compressed stream, or a series of them, read to its end?  So is one that never began. */
extern bool cs_gunzip_is_complete(const CsGunzip *gunzip);

#endif /* CS_GUNZIP_H */
