/* Kills the process before its KILL_NTH call that changes a file below KILL_UNDER; with
 * KILL_COUNT=FILE it only counts them, into that file. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static long seen;

static int is_below(const char* path) {
  char full[PATH_MAX];
  const char* under = getenv("KILL_UNDER");
  if (!under || !path) return 0;
  if (path[0] != '/') {
    if (!getcwd(full, sizeof full / 2)) return 0;
    size_t n = strlen(full);
    snprintf(full + n, sizeof full - n, "/%s", path);
    path = full;
  }
  return strncmp(path, under, strlen(under)) == 0;
}

static int fd_is_below(int fd) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (n < 0) return 0;
  path[n] = 0;
  return is_below(path);
}

/* The program may end without running destructors, so each count is written at once. */
static void count(void) {
  const char* file = getenv("KILL_COUNT");
  if (!file) return;
  char text[32];
  long fd = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT, 0644);
  int n = snprintf(text, sizeof text, "%ld\n", seen);
  if (fd < 0 || syscall(SYS_write, fd, text, n) != n) abort();
  syscall(SYS_close, fd);
}

/* Whether this call is to fail, with errno set to that. */
static int fails(int below, int error) {
  if (!below) return 0;
  ++seen;
  count();
  const char *kill_nth = getenv("KILL_NTH"), *fail_nth = getenv("FAIL_NTH");
  if (kill_nth && seen == atol(kill_nth)) raise(SIGKILL);
  if (!fail_nth || seen < atol(fail_nth) || (seen > atol(fail_nth) && !getenv("FAIL_ON"))) return 0;
  errno = error;
  return 1;
}

#define NEXT(type, name) ((type)dlsym(RTLD_NEXT, name))

#define OPEN(name)                                                           \
  int name(const char* path, int flags, ...) {                               \
    va_list rest;                                                            \
    va_start(rest, flags);                                                   \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;  \
    va_end(rest);                                                            \
    if ((flags & (O_CREAT | O_TRUNC) || (flags & O_TMPFILE) == O_TMPFILE) && \
        fails(is_below(path), ENOSPC))                                       \
      return -1;                                                             \
    return NEXT(int (*)(const char*, int, ...), #name)(path, flags, mode);   \
  }
OPEN(open)
OPEN(open64)

ssize_t write(int fd, const void* bytes, size_t n) {
  if (fails(fd_is_below(fd), ENOSPC)) return -1;
  return NEXT(ssize_t(*)(int, const void*, size_t), "write")(fd, bytes, n);
}
int fsync(int fd) {
  if (fails(fd_is_below(fd), EIO)) return -1;
  return NEXT(int (*)(int), "fsync")(fd);
}
int ftruncate(int fd, off_t size) {
  if (fails(fd_is_below(fd), ENOSPC)) return -1;
  return NEXT(int (*)(int, off_t), "ftruncate")(fd, size);
}
int rename(const char* from, const char* to) {
  if (fails(is_below(to), ENOSPC)) return -1;
  return NEXT(int (*)(const char*, const char*), "rename")(from, to);
}
int linkat(int from_fd, const char* from, int to_fd, const char* to, int flags) {
  if (fails(is_below(to), ENOSPC)) return -1;
  return NEXT(int (*)(int, const char*, int, const char*, int), "linkat")(from_fd, from, to_fd, to,
                                                                          flags);
}
int unlink(const char* path) {
  if (fails(is_below(path), ENOSPC)) return -1;
  return NEXT(int (*)(const char*), "unlink")(path);
}
int unlinkat(int fd, const char* path, int flags) {
  if (fails(fd == AT_FDCWD ? is_below(path) : fd_is_below(fd), ENOSPC)) return -1;
  return NEXT(int (*)(int, const char*, int), "unlinkat")(fd, path, flags);
}
int remove(const char* path) {
  if (fails(is_below(path), ENOSPC)) return -1;
  return NEXT(int (*)(const char*), "remove")(path);
}
int rmdir(const char* path) {
  if (fails(is_below(path), ENOSPC)) return -1;
  return NEXT(int (*)(const char*), "rmdir")(path);
}
int mkdir(const char* path, mode_t mode) {
  if (fails(is_below(path), ENOSPC)) return -1;
  return NEXT(int (*)(const char*, mode_t), "mkdir")(path, mode);
}
