/* What a database's files go through, in order, for `power.py`: preloaded into a server, it notes
 * each write, truncation and sync of the files DISK_FILE and DISK_FILE-wal in the file DISK_NOTES.
 *
 * A note is four 64-bit numbers, kind, file, offset or size, and length, and then the bytes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { WRITE = 1, TRUNCATE = 2, SYNC = 3 };
enum file { NEITHER = 0, DATABASE = 1, LOG = 2 };

static int notes = -1;

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("DISK_NOTES");
    if (path)
        notes = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static enum file which(int descriptor)
{
    const char *wanted = getenv("DISK_FILE");
    char link[64], path[4096];
    ssize_t length;

    if (notes < 0 || !wanted)
        return NEITHER;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0 || strncmp(path, wanted, strlen(wanted)))
        return NEITHER;
    path[length] = 0;
    if (!path[strlen(wanted)])
        return DATABASE;
    return strcmp(path + strlen(wanted), "-wal") ? NEITHER : LOG;
}

static void note(enum kind kind, enum file file, uint64_t place, const void *bytes, size_t length)
{
    uint64_t head[4] = {kind, file, place, length};
    struct iovec parts[2] = {{head, sizeof head}, {(void *)bytes, length}};

    /* A note that can't be kept makes the experiment worthless. */
    if (writev(notes, parts, 2) != (ssize_t)(sizeof head + length))
        abort();
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define WRITES(name, offset_type)                                                        \
    ssize_t name(int descriptor, const void *bytes, size_t length, offset_type offset)   \
    {                                                                                    \
        enum file file = which(descriptor);                                              \
        ssize_t written = REAL(name)(descriptor, bytes, length, offset);                 \
        if (file && written > 0)                                                         \
            note(WRITE, file, (uint64_t)offset, bytes, (size_t)written);                 \
        return written;                                                                  \
    }

#define TRUNCATES(name, offset_type)                                                     \
    int name(int descriptor, offset_type size)                                           \
    {                                                                                    \
        enum file file = which(descriptor);                                              \
        int answer = REAL(name)(descriptor, size);                                       \
        if (file && !answer)                                                             \
            note(TRUNCATE, file, (uint64_t)size, NULL, 0);                               \
        return answer;                                                                   \
    }

#define SYNCS(name)                                                                      \
    int name(int descriptor)                                                             \
    {                                                                                    \
        enum file file = which(descriptor);                                              \
        int answer = REAL(name)(descriptor);                                             \
        if (file && !answer)                                                             \
            note(SYNC, file, 0, NULL, 0);                                                \
        return answer;                                                                   \
    }

WRITES(pwrite, off_t)
WRITES(pwrite64, off64_t)
TRUNCATES(ftruncate, off_t)
TRUNCATES(ftruncate64, off64_t)
SYNCS(fsync)
SYNCS(fdatasync)
