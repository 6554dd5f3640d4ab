/*
 * full_disk.c
 *		A small disk without a file system of its own: LD_PRELOAD for a server.
 *
 * Mounting one needs root, which neither PostgreSQL nor every place where tests
 * run has.  So the calls by which the server makes files longer go through
 * here: when those below a directory have grown by so many bytes, writes come
 * back short and then fail with ENOSPC, as they do on a file system that is
 * full.
 *
 * $FULL_DISK is a file that the test writes and the server maps: struct Disk.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* What the test and all processes of the server share. */
typedef struct Disk
{
	atomic_llong left;	  /* bytes that are free */
	char directory[1024]; /* the disk's root, absolute, without links */
} Disk;

static Disk *disk = NULL;

static void *next_function(const char *name);
static bool is_on_disk(int fd);
static ssize_t room(int fd, size_t length, off_t offset);
static size_t take(size_t growth);

ssize_t
pwrite(int fd, const void *data, size_t length, off_t offset)
{
	static ssize_t (*next)(int, const void *, size_t, off_t) = NULL;
	ssize_t fits = room(fd, length, offset);

	if (next == NULL)
		next = next_function("pwrite");
	return fits < 0 ? -1 : next(fd, data, (size_t) fits, offset);
}

ssize_t
pwrite64(int fd, const void *data, size_t length, off_t offset)
{
	return pwrite(fd, data, length, offset);
}

ssize_t
write(int fd, const void *data, size_t length)
{
	static ssize_t (*next)(int, const void *, size_t) = NULL;
	off_t offset = disk && is_on_disk(fd) ? lseek(fd, 0, SEEK_CUR) : -1;
	ssize_t fits = offset < 0 ? (ssize_t) length : room(fd, length, offset);

	if (next == NULL)
		next = next_function("write");
	return fits < 0 ? -1 : next(fd, data, (size_t) fits);
}

ssize_t
pwritev(int fd, const struct iovec *parts, int nparts, off_t offset)
{
	static ssize_t (*next)(int, const struct iovec *, int, off_t) = NULL;
	size_t length = 0;
	ssize_t fits;

	for (int i = 0; i < nparts; i++)
		length += parts[i].iov_len;
	fits = room(fd, length, offset);
	if (next == NULL)
		next = next_function("pwritev");
	if (fits >= 0 && (size_t) fits < length)
		return pwrite(fd, parts[0].iov_base,
					  parts[0].iov_len < (size_t) fits ? parts[0].iov_len : (size_t) fits, offset);
	return fits < 0 ? -1 : next(fd, parts, nparts, offset);
}

ssize_t
pwritev64(int fd, const struct iovec *parts, int nparts, off_t offset)
{
	return pwritev(fd, parts, nparts, offset);
}

int
posix_fallocate(int fd, off_t offset, off_t length)
{
	static int (*next)(int, off_t, off_t) = NULL;
	ssize_t fits = room(fd, (size_t) length, offset);

	if (next == NULL)
		next = next_function("posix_fallocate");
	return fits < (ssize_t) length ? ENOSPC : next(fd, offset, length);
}

int
posix_fallocate64(int fd, off_t offset, off_t length)
{
	return posix_fallocate(fd, offset, length);
}

__attribute__((constructor)) static void
map_disk(void)
{
	const char *name = getenv("FULL_DISK");
	int fd = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
	void *mapped;

	if (fd < 0)
		return;
	mapped = mmap(NULL, sizeof(Disk), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mapped != MAP_FAILED)
		disk = mapped;
	close(fd);
}

static void *
next_function(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (function == NULL)
		abort();
	return function;
}

static bool
is_on_disk(int fd)
{
	char link[64];
	char path[PATH_MAX];
	size_t length = strlen(disk->directory);
	ssize_t got;

	if (length == 0)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	got = readlink(link, path, sizeof(path));
	return got > (ssize_t) length && memcmp(path, disk->directory, length) == 0 &&
		   path[length] == '/';
}

/* How much of a write fits; -1 with errno if nothing does. */
static ssize_t
room(int fd, size_t length, off_t offset)
{
	struct stat status;
	size_t growth;
	size_t missing;

	if (disk == NULL || length == 0 || !is_on_disk(fd) || fstat(fd, &status) != 0 ||
		offset + (off_t) length <= status.st_size)
		return (ssize_t) length;
	growth = offset > status.st_size ? length : (size_t) (offset + (off_t) length - status.st_size);
	missing = growth - take(growth);
	if (missing < length)
		return (ssize_t) (length - missing);
	errno = ENOSPC;
	return -1;
}

/* Takes what there is, at most so much. */
static size_t
take(size_t growth)
{
	long long left = atomic_load(&disk->left);
	long long taken;

	do
		taken = left < (long long) growth ? left : (long long) growth;
	while (!atomic_compare_exchange_weak(&disk->left, &left, left - taken));
	return (size_t) taken;
}
