/* Every other call that reads or writes is interrupted by a signal, and the others move 1,000 bytes
 * at most. What is asked of a device, a socket or the kernel's own files is left alone: LibTorch
 * would take another processor for this one. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { kMost = 1000 };
static unsigned long calls;

static int applies(int file) {
  struct stat facts;
  struct statfs system;
  return fstat(file, &facts) == 0 && fstatfs(file, &system) == 0 &&
         system.f_type != PROC_SUPER_MAGIC && system.f_type != SYSFS_MAGIC &&
         (S_ISREG(facts.st_mode) || S_ISFIFO(facts.st_mode));
}

/* 1: this call is interrupted; else *size is cut. */
static int interrupted(int file, size_t* size) {
  if (!applies(file)) return 0;
  if (__atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) % 2 == 1) {
    errno = EINTR;
    return 1;
  }
  if (*size > kMost) *size = kMost;
  return 0;
}

#define NEXT(type, name) ((type)dlsym(RTLD_NEXT, name))

ssize_t read(int file, void* bytes, size_t size) {
  if (interrupted(file, &size)) return -1;
  return NEXT(ssize_t(*)(int, void*, size_t), "read")(file, bytes, size);
}
ssize_t write(int file, const void* bytes, size_t size) {
  if (interrupted(file, &size)) return -1;
  return NEXT(ssize_t(*)(int, const void*, size_t), "write")(file, bytes, size);
}
ssize_t pread(int file, void* bytes, size_t size, off_t at) {
  if (interrupted(file, &size)) return -1;
  return NEXT(ssize_t(*)(int, void*, size_t, off_t), "pread")(file, bytes, size, at);
}
ssize_t pread64(int file, void* bytes, size_t size, off_t at) {
  return pread(file, bytes, size, at);
}
