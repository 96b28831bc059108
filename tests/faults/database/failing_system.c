/* A system that fails on order: preloaded into a server, told by a shared page what to refuse.

   The page is the file named by FAILING_SYSTEM; its layout stands in failing_system.py too. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct orders {
    int32_t sync_error;   /* fsync and fdatasync fail with this errno; 0: they work */
    int32_t write_error;  /* pwrite, by which SQLite writes */
    int32_t thread_error; /* pthread_create */
    int32_t refusals;     /* counts what was refused */
    int64_t clock_shift;  /* seconds that the wall clock is ahead */
};

static struct orders none;
static volatile struct orders *orders = &none;

__attribute__((constructor)) static void read_orders(void)
{
    const char *name = getenv("FAILING_SYSTEM");
    int file = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *page = mmap(NULL, sizeof none, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (page != MAP_FAILED)
        orders = page;
    close(file);
}

static int refused(int error)
{
    if (!error)
        return 0;
    __sync_fetch_and_add((int32_t *)&orders->refusals, 1);
    errno = error;
    return 1;
}

int fsync(int file)
{
    return refused(orders->sync_error) ? -1 : (int)syscall(SYS_fsync, file);
}

int fdatasync(int file)
{
    return refused(orders->sync_error) ? -1 : (int)syscall(SYS_fdatasync, file);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t offset)
{
    if (refused(orders->write_error))
        return -1;
    return syscall(SYS_pwrite64, file, bytes, count, offset);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset)
{
    return pwrite64(file, bytes, count, offset);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *), void *given)
{
    static int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (refused(orders->thread_error))
        return orders->thread_error;
    if (!create)
        create = dlsym(RTLD_NEXT, "pthread_create");
    return create(thread, how, run, given);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int answer = (int)syscall(SYS_clock_gettime, clock, now);
    if (!answer && clock == CLOCK_REALTIME)
        now->tv_sec += orders->clock_shift;
    return answer;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    int answer = (int)syscall(SYS_gettimeofday, now, zone);
    if (!answer)
        now->tv_sec += orders->clock_shift;
    return answer;
}

time_t time(time_t *given)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (given)
        *given = now.tv_sec;
    return now.tv_sec;
}
