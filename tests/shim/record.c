/* Records what a program does to the files of one directory, for the power-loss tests of the store.
 *
 * Preloaded into the program (LD_PRELOAD). PLI_SHIM_DIR is the directory, PLI_SHIM_LOG the file to which
 * records are appended:
 *
 *   1 byte kind, 8 bytes inode, 8 bytes offset, 4 bytes length (native order), then so many bytes
 *
 *   O open (offset: 1 if it was made; path)     W write (offset; data)       T truncate (offset: length)
 *   S fsync or fdatasync that succeeded         D the same of a directory (path)
 *   R rename (from NUL to)                      U unlink (path)              A written to standard output
 *
 * sync_file_range is not recorded: it promises nothing after a loss of power. One lock around each call
 * and its record makes the order of the records the order of the calls.
 *
 * With PLI_SHIM_FULL_AFTER=BYTES the files of the directory can grow by so much together; a write that
 * would make them grow further fails with ENOSPC for as long as the file PLI_SHIM_FULL_FLAG exists.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FDS 4096
static struct { int used; int dir; uint64_t inode; char path[512]; } fds[FDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static const char *dir, *full_flag;
static long long full_after = -1, used;

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

__attribute__((constructor)) static void begin(void) {
    dir = getenv("PLI_SHIM_DIR");
    full_flag = getenv("PLI_SHIM_FULL_FLAG");
    const char *after = getenv("PLI_SHIM_FULL_AFTER");
    if (after) full_after = atoll(after);
    const char *log = getenv("PLI_SHIM_LOG");
    if (log) log_fd = REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void record(char kind, uint64_t inode, uint64_t offset, const void *data, uint32_t length) {
    if (log_fd < 0) return;
    char head[21];
    head[0] = kind;
    memcpy(head + 1, &inode, 8);
    memcpy(head + 9, &offset, 8);
    memcpy(head + 17, &length, 4);
    ssize_t done = REAL(write)(log_fd, head, sizeof head);
    if (length) done = REAL(write)(log_fd, data, length);
    if (done < 0) abort();
}

static int watched_path(const char *path) {
    return dir && path && strncmp(path, dir, strlen(dir)) == 0;
}
static int watched(int fd) { return fd >= 0 && fd < FDS && fds[fd].used; }

/* Does the file not get the space to reach to `end`? */
static int refused(int fd, off_t end) {
    if (!watched(fd) || full_after < 0) return 0;
    struct stat st;
    if (fstat(fd, &st) != 0 || end <= st.st_size) return 0;
    long long growth = end - st.st_size;
    if (used + growth > full_after && full_flag && access(full_flag, F_OK) == 0) {
        errno = ENOSPC;
        return 1;
    }
    used += growth;
    return 0;
}

static int opened(int fd, const char *path, int flags, int existed) {
    if (fd < 0 || fd >= FDS || !watched_path(path)) return fd;
    struct stat st;
    if (fstat(fd, &st) != 0) return fd;
    fds[fd].used = 1;
    fds[fd].dir = S_ISDIR(st.st_mode);
    fds[fd].inode = st.st_ino;
    snprintf(fds[fd].path, sizeof fds[fd].path, "%s", path);
    if (!fds[fd].dir) {
        record('O', st.st_ino, !existed, path, strlen(path));
        if (flags & O_TRUNC) record('T', st.st_ino, 0, NULL, 0);
    }
    return fd;
}

#define OPEN(name)                                                     \
    int name(const char *path, int flags, ...) {                       \
        va_list ap;                                                    \
        va_start(ap, flags);                                           \
        int mode = va_arg(ap, int);                                    \
        va_end(ap);                                                    \
        pthread_mutex_lock(&lock);                                     \
        int existed = watched_path(path) && access(path, F_OK) == 0;   \
        int fd = opened(REAL(name)(path, flags, mode), path, flags, existed); \
        pthread_mutex_unlock(&lock);                                   \
        return fd;                                                     \
    }
OPEN(open)
OPEN(open64)

int close(int fd) {
    pthread_mutex_lock(&lock);
    if (watched(fd)) fds[fd].used = 0;
    int r = REAL(close)(fd);
    pthread_mutex_unlock(&lock);
    return r;
}

#define PWRITE(name, off)                                              \
    ssize_t name(int fd, const void *data, size_t count, off at) {     \
        pthread_mutex_lock(&lock);                                     \
        ssize_t r = refused(fd, at + count) ? -1 : REAL(name)(fd, data, count, at); \
        int error = errno;                                             \
        if (r > 0 && watched(fd)) record('W', fds[fd].inode, at, data, r); \
        pthread_mutex_unlock(&lock);                                   \
        errno = error;                                                 \
        return r;                                                      \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t write(int fd, const void *data, size_t count) {
    pthread_mutex_lock(&lock);
    off_t at = watched(fd) ? lseek(fd, 0, SEEK_CUR) : 0;
    ssize_t r = refused(fd, at + count) ? -1 : REAL(write)(fd, data, count);
    int error = errno;
    if (r > 0 && watched(fd)) record('W', fds[fd].inode, at, data, r);
    if (r > 0 && fd == 1) record('A', 0, 0, data, r);
    pthread_mutex_unlock(&lock);
    errno = error;
    return r;
}

static void synced(int fd) {
    if (!watched(fd)) return;
    if (fds[fd].dir)
        record('D', 0, 0, fds[fd].path, strlen(fds[fd].path));
    else
        record('S', fds[fd].inode, 0, NULL, 0);
}

#define SYNC(name)                              \
    int name(int fd) {                          \
        pthread_mutex_lock(&lock);              \
        int r = REAL(name)(fd);                 \
        if (r == 0) synced(fd);                 \
        pthread_mutex_unlock(&lock);            \
        return r;                               \
    }
SYNC(fsync)
SYNC(fdatasync)

#define TRUNCATE(name, off)                                            \
    int name(int fd, off length) {                                     \
        pthread_mutex_lock(&lock);                                     \
        struct stat st;                                                \
        int shrinks = watched(fd) && fstat(fd, &st) == 0 && length < st.st_size; \
        int r = REAL(name)(fd, length);                                \
        if (r == 0 && shrinks) used -= st.st_size - length;            \
        if (r == 0 && watched(fd)) record('T', fds[fd].inode, length, NULL, 0); \
        pthread_mutex_unlock(&lock);                                   \
        return r;                                                      \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

int rename(const char *from, const char *to) {
    pthread_mutex_lock(&lock);
    int r = REAL(rename)(from, to);
    if (r == 0 && watched_path(from)) {
        char both[1100];
        int length = snprintf(both, sizeof both, "%s%c%s", from, 0, to);
        record('R', 0, 0, both, length);
    }
    pthread_mutex_unlock(&lock);
    return r;
}

#define ALLOCATE(name, off)                                            \
    int name(int fd, off at, off length) {                             \
        pthread_mutex_lock(&lock);                                     \
        int r = refused(fd, at + length) ? ENOSPC : REAL(name)(fd, at, length); \
        pthread_mutex_unlock(&lock);                                   \
        return r;                                                      \
    }
ALLOCATE(posix_fallocate, off_t)
ALLOCATE(posix_fallocate64, off64_t)

#define ALLOCATE_WITH_MODE(name, off)                                  \
    int name(int fd, int mode, off at, off length) {                   \
        pthread_mutex_lock(&lock);                                     \
        int r = refused(fd, at + length) ? -1 : REAL(name)(fd, mode, at, length); \
        pthread_mutex_unlock(&lock);                                   \
        return r;                                                      \
    }
ALLOCATE_WITH_MODE(fallocate, off_t)
ALLOCATE_WITH_MODE(fallocate64, off64_t)

int unlink(const char *path) {
    pthread_mutex_lock(&lock);
    struct stat st;
    if (watched_path(path) && stat(path, &st) == 0) used -= st.st_size;
    int r = REAL(unlink)(path);
    if (r == 0 && watched_path(path)) record('U', 0, 0, path, strlen(path));
    pthread_mutex_unlock(&lock);
    return r;
}
