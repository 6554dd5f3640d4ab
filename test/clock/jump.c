/*
 * jump.c
 *		The time of day, off by as many seconds as a file says; to be preloaded ahead of libc.
 *
 * The kernel's other clocks are left alone, as they are when somebody sets a machine's time.
 */
#define _GNU_SOURCE

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int64_t
offset_s(void)
{
	static volatile int64_t *shared = NULL;

	if (shared == NULL)
	{
		const char *name = getenv("CENSYNC_TEST_JUMP");
		int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
		void *map =
			file < 0 ? MAP_FAILED : mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);

		if (file >= 0)
			(void) close(file);
		if (map == MAP_FAILED)
			return 0;
		shared = map;
	}
	return *shared;
}

int
clock_gettime(clockid_t id, struct timespec *now)
{
	int rc = (int) syscall(SYS_clock_gettime, id, now);

	if (rc == 0 && id == CLOCK_REALTIME)
		now->tv_sec += offset_s();
	return rc;
}

int
gettimeofday(struct timeval *now, void *zone)
{
	struct timespec time;

	(void) zone;
	if (clock_gettime(CLOCK_REALTIME, &time) != 0)
		return -1;
	now->tv_sec = time.tv_sec;
	now->tv_usec = time.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *result)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_REALTIME, &now);
	if (result)
		*result = now.tv_sec;
	return now.tv_sec;
}
