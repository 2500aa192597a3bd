/* The machine under the program, made to fail where a test says so; see fault.rs. Loaded before
 * libc (LD_PRELOAD), it looks only at files whose path begins with $FAULT_FILES.
 *
 *   $FAULT_FULL  a path: while it exists the disk is full, and whatever would make a file grow
 *                fails with ENOSPC; what overwrites succeeds, as on a real disk
 *   $FAULT_KILL  "write:N", "torn:N", "wrote:N", "sync:N", "synced:N": the process dies by SIGKILL
 *                before, in the middle of, or after its Nth write to one of the files; before or
 *                after its Nth sync of one. "page:N": in the middle of its Nth write to the very
 *                file that $FAULT_FILES names. "begin:N": before its Nth try to become SQLite's
 *                one writer. "connect:N": before its Nth connection to $FAULT_PORT. "rename:N",
 *                "renamed:N": before or after one of the files is given its Nth new name
 *   $FAULT_ARMED a path: where it is set, nothing is counted before it exists
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long writes, pages, syncs, begins, connections, renames;

static struct {
    ssize_t (*pwrite)(int, const void *, size_t, off64_t);
    ssize_t (*write)(int, const void *, size_t);
    int (*ftruncate)(int, off64_t);
    int (*fsync)(int);
    int (*fdatasync)(int);
    int (*fcntl)(int, int, ...);
    int (*fcntl64)(int, int, ...);
    int (*connect)(int, const struct sockaddr *, socklen_t);
    int (*rename)(const char *, const char *);
    int (*renameat)(int, const char *, int, const char *);
} libc;

/* Before the program runs: dlsym locks and allocates, and a signal handler may write. */
__attribute__((constructor)) static void find(void) {
    libc.pwrite = dlsym(RTLD_NEXT, "pwrite64");
    libc.write = dlsym(RTLD_NEXT, "write");
    libc.ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    libc.fsync = dlsym(RTLD_NEXT, "fsync");
    libc.fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    libc.fcntl = dlsym(RTLD_NEXT, "fcntl");
    libc.fcntl64 = dlsym(RTLD_NEXT, "fcntl64");
    libc.connect = dlsym(RTLD_NEXT, "connect");
    libc.rename = dlsym(RTLD_NEXT, "rename");
    libc.renameat = dlsym(RTLD_NEXT, "renameat");
}

/* What follows $FAULT_FILES in the path of the file behind fd; NULL where the test does not mean
 * the file. */
static const char *meant(int fd, char path[PATH_MAX]) {
    const char *prefix = getenv("FAULT_FILES");
    char link[64];
    if (!prefix) return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0) return NULL;
    path[length] = 0;
    length = strlen(prefix);
    return strncmp(path, prefix, length) == 0 ? path + length : NULL;
}

static int is_meant(int fd) {
    char path[PATH_MAX];
    return meant(fd, path) != NULL;
}

static int is_the_ledger_itself(int fd) {
    char path[PATH_MAX];
    const char *rest = meant(fd, path);
    return rest && *rest == 0;
}

/* One more of what is counted; 0 while nothing is. */
static long next(atomic_long *counter) {
    const char *armed = getenv("FAULT_ARMED");
    if (armed && access(armed, F_OK) != 0) return 0;
    return atomic_fetch_add(counter, 1) + 1;
}

static int is_full(void) {
    const char *full = getenv("FAULT_FULL");
    return full && access(full, F_OK) == 0;
}

static int grows(int fd, off_t end) {
    struct stat now;
    return fstat(fd, &now) == 0 && end > now.st_size;
}

/* Whether this is the moment that $FAULT_KILL names; leaves errno alone. */
static int is_time(const char *what, long count) {
    const char *kill = getenv("FAULT_KILL");
    size_t length = strlen(what);
    return count > 0 && kill && strncmp(kill, what, length) == 0 && kill[length] == ':'
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
        long count = next(&writes);                                           \
        long page = is_the_ledger_itself(fd) ? next(&pages) : 0;              \
        if (is_time("write", count)) die();                                   \
        if (is_time("torn", count) || is_time("page", page)) {                \
            part(size / 2);                                                   \
            die();                                                            \
        }                                                                     \
        ssize_t done = part(size);                                            \
        if (is_time("wrote", count)) die();                                   \
        return done;                                                          \
    } while (0)

static ssize_t pwrite_at(int fd, const void *bytes, size_t size, off64_t at) {
#define PART(n) libc.pwrite(fd, bytes, n, at)
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
#define PART(n) libc.write(fd, bytes, n)
    WRITE(fd, size, lseek(fd, 0, SEEK_CUR) + (off_t)size, PART);
#undef PART
}

static int truncate_to(int fd, off_t size) {
    if (is_meant(fd) && is_full() && grows(fd, size)) { errno = ENOSPC; return -1; }
    return libc.ftruncate(fd, size);
}

int ftruncate64(int fd, off64_t size) { return truncate_to(fd, size); }
int ftruncate(int fd, off_t size) { return truncate_to(fd, size); }

static int sync_by(int (*real)(int), int fd) {
    if (!is_meant(fd)) return real(fd);
    long count = next(&syncs);
    if (is_time("sync", count)) die();
    int done = real(fd);
    if (is_time("synced", count)) die();
    return done;
}

int fsync(int fd) { return sync_by(libc.fsync, fd); }
int fdatasync(int fd) { return sync_by(libc.fdatasync, fd); }

/* SQLite's one writer holds the first lock byte of the log's index.
 * https://sqlite.org/walformat.html section 2.3.1 */
static int is_begin(int fd, int cmd, const struct flock *lock) {
    return cmd == F_SETLK && lock->l_type == F_WRLCK && lock->l_start == 120 && lock->l_len == 1
        && is_meant(fd);
}

static int control(int (*real)(int, int, ...), int fd, int cmd, void *argument) {
    if (is_begin(fd, cmd, argument) && is_time("begin", next(&begins))) die();
    return real(fd, cmd, argument);
}

#define CONTROL(name)                                                         \
    int name(int fd, int cmd, ...) {                                          \
        va_list arguments;                                                    \
        va_start(arguments, cmd);                                             \
        void *argument = va_arg(arguments, void *);                           \
        va_end(arguments);                                                    \
        return control(libc.name, fd, cmd, argument);                         \
    }

CONTROL(fcntl)
CONTROL(fcntl64)

int rename(const char *from, const char *to) {
    const char *prefix = getenv("FAULT_FILES");
    /* One that is not there is given no name. */
    if (!prefix || strncmp(from, prefix, strlen(prefix)) != 0 || access(from, F_OK) != 0)
        return libc.rename(from, to);
    long count = next(&renames);
    if (is_time("rename", count)) die();
    int done = libc.rename(from, to);
    if (is_time("renamed", count)) die();
    return done;
}

int renameat(int from_fd, const char *from, int to_fd, const char *to) {
    if (!is_meant(from_fd) || faccessat(from_fd, from, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
        return libc.renameat(from_fd, from, to_fd, to);
    long count = next(&renames);
    if (is_time("rename", count)) die();
    int done = libc.renameat(from_fd, from, to_fd, to);
    if (is_time("renamed", count)) die();
    return done;
}

int connect(int fd, const struct sockaddr *to, socklen_t length) {
    const char *port = getenv("FAULT_PORT");
    if (port && to->sa_family == AF_INET
        && ntohs(((const struct sockaddr_in *)to)->sin_port) == atoi(port)
        && is_time("connect", next(&connections)))
        die();
    return libc.connect(fd, to, length);
}
