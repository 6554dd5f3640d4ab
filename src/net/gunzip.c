/*
 * gunzip.c
 *		Undoes Content-Encoding: gzip (and deflate) piece by piece.
 */
#include "postgres.h"

#include <zlib.h>

#include "net/gunzip.h"
#include "utils/memutils.h"

#define PIECE (256 * 1024)

/* Tells zlib to find out itself whether the stream has a gzip or a zlib header. */
#define DETECT_HEADER (MAX_WBITS + 32)

struct CsGunzip
{
	z_stream stream; /* zlib's own memory, released by cleanup */
	bool open;		 /* inside a compressed stream */
	bool any;		 /* any byte was fed */
	MemoryContextCallback cleanup;
	char piece[PIECE];
};

static void release(void *arg);
static CsGunzipStatus begin_member(CsGunzip *gunzip);

CsGunzip *
cs_gunzip_create(void)
{
	CsGunzip *gunzip = palloc(sizeof(CsGunzip));

	memset(gunzip, 0, offsetof(CsGunzip, piece));
	if (inflateInit2(&gunzip->stream, DETECT_HEADER) != Z_OK)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	gunzip->cleanup.func = release;
	gunzip->cleanup.arg = gunzip;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &gunzip->cleanup);
	return gunzip;
}

void
cs_gunzip_feed(CsGunzip *gunzip, const char *data, size_t len)
{
	Assert(len <= UINT_MAX);
	gunzip->stream.next_in = (z_const Bytef *) data;
	gunzip->stream.avail_in = (uInt) len;
}

CsGunzipStatus
cs_gunzip_next(CsGunzip *gunzip, const char **data, size_t *len)
{
	z_stream *stream = &gunzip->stream;

	stream->next_out = (Bytef *) gunzip->piece;
	stream->avail_out = PIECE;
	while (stream->avail_out > 0)
	{
		int result;

		if (!gunzip->open && stream->avail_in > 0 && begin_member(gunzip) == CS_GUNZIP_CORRUPT)
			return CS_GUNZIP_CORRUPT;
		if (!gunzip->open)
			break;
		result = inflate(stream, Z_NO_FLUSH);
		if (result == Z_STREAM_END)
			gunzip->open = false;
		else if (result == Z_BUF_ERROR)
			break;
		else if (result != Z_OK)
			return CS_GUNZIP_CORRUPT;
	}
	*data = gunzip->piece;
	*len = PIECE - stream->avail_out;
	return *len > 0 ? CS_GUNZIP_DATA : CS_GUNZIP_MORE;
}

bool
cs_gunzip_is_complete(const CsGunzip *gunzip)
{
	return !gunzip->open;
}

static void
release(void *arg)
{
	(void) inflateEnd(&((CsGunzip *) arg)->stream);
}

/* A gzip body may consist of several members, one after the other; whatever else follows the first
 * makes inflate complain of its header. */
static CsGunzipStatus
begin_member(CsGunzip *gunzip)
{
	if (gunzip->any && inflateReset(&gunzip->stream) != Z_OK)
		return CS_GUNZIP_CORRUPT;
	gunzip->any = gunzip->open = true;
	return CS_GUNZIP_MORE;
}
