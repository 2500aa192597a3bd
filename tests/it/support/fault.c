/* The machine under the program, made to fail where a test says so; see fault.rs. Loaded before
 * libc (LD_PRELOAD), it looks only at files whose path begins with $FAULT_FILES.
 *
 *   $FAULT_FULL  a path: while it exists the disk is full, and whatever would make a file grow
 *                fails with ENOSPC; what overwrites succeeds, as on a real disk
 *   $FAULT_KILL  "write:N", "torn:N", "wrote:N", "sync:N", "synced:N": the process dies by SIGKILL
 *                before, in the middle of, or after its Nth write to one of the files; before or
 *                after its Nth sync of one
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long writes, syncs;

/* Whether the test means the file behind fd. */
static int is_meant(int fd) {
    const char *prefix = getenv("FAULT_FILES");
    char link[64], path[PATH_MAX];
    if (!prefix) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    return length > 0 && strncmp(path, prefix, strlen(prefix)) == 0;
}

static int is_full(void) {
    const char *full = getenv("FAULT_FULL");
    return full && access(full, F_OK) == 0;
}

static int grows(int fd, off_t end) {
    struct stat now;
    return fstat(fd, &now) == 0 && end > now.st_size;
}

/* Whether this is the moment that $FAULT_KILL names. */
static int is_time(const char *what, long count) {
    const char *kill = getenv("FAULT_KILL");
    size_t length = strlen(what);
    return kill && strncmp(kill, what, length) == 0 && kill[length] == ':'
        && atol(kill + length + 1) == count;
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* One write of `size` bytes that ends at `end`, done by `part`, which writes the first n. */
#define WRITE(fd, size, end, part)                                            \
    do {                                                                      \
        if (!is_meant(fd)) return part(size);                                 \
        if (is_full() && grows(fd, end)) { errno = ENOSPC; return -1; }       \
        long count = atomic_fetch_add(&writes, 1) + 1;                        \
        if (is_time("write", count)) die();                                   \
        if (is_time("torn", count)) { part(size / 2); die(); }                \
        ssize_t done = part(size);                                            \
        if (is_time("wrote", count)) die();                                   \
        return done;                                                          \
    } while (0)

static ssize_t pwrite_at(int fd, const void *bytes, size_t size, off64_t at) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
#define PART(n) real(fd, bytes, n, at)
    WRITE(fd, size, at + (off_t)size, PART);
#undef PART
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
    return pwrite_at(fd, bytes, size, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
    return pwrite_at(fd, bytes, size, at);
}

ssize_t write(int fd, const void *bytes, size_t size) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
#define PART(n) real(fd, bytes, n)
    WRITE(fd, size, lseek(fd, 0, SEEK_CUR) + (off_t)size, PART);
#undef PART
}

static int truncate_to(int fd, off_t size) {
    static int (*real)(int, off_t);
    if (!real) real = dlsym(RTLD_NEXT, "ftruncate64");
    if (is_meant(fd) && is_full() && grows(fd, size)) { errno = ENOSPC; return -1; }
    return real(fd, size);
}

int ftruncate64(int fd, off64_t size) { return truncate_to(fd, size); }
int ftruncate(int fd, off_t size) { return truncate_to(fd, size); }

static int sync_by(const char *name, int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, name);
    if (!is_meant(fd)) return real(fd);
    long count = atomic_fetch_add(&syncs, 1) + 1;
    if (is_time("sync", count)) die();
    int done = real(fd);
    if (is_time("synced", count)) die();
    return done;
}

int fsync(int fd) { return sync_by("fsync", fd); }
int fdatasync(int fd) { return sync_by("fdatasync", fd); }
