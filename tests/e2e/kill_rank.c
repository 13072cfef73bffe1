/* Ends or stops the process of rank KILL_RANK: KILL_HOW=kill|stop, KILL_AT=
 *   open:TEXT    before it opens a file with TEXT in its path
 *   letter:TEXT  before it sends a letter with TEXT in its first bytes
 *   after:TEXT   a tenth of a second after it sent such a letter
 *   rename:TEXT  before it renames a file to a path with TEXT in it */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NEXT(type, name) ((type)dlsym(RTLD_NEXT, name))

static void end(void) { kill(getpid(), strcmp(getenv("KILL_HOW"), "stop") ? SIGKILL : SIGSTOP); }

/* The text that KILL_AT names for this kind of moment, if this is the rank. */
static const char* wanted(const char* moment) {
  const char *rank = getenv("OMPI_COMM_WORLD_RANK"), *victim = getenv("KILL_RANK"),
             *at = getenv("KILL_AT");
  const size_t n = strlen(moment);
  if (!rank || !victim || !at || strcmp(rank, victim) || strncmp(at, moment, n) || at[n] != ':')
    return NULL;
  return at + n + 1;
}

static int holds(const void* bytes, size_t size, const char* text) {
  return text && memmem(bytes, size < 200 ? size : 200, text, strlen(text)) != NULL;
}

static void* later(void* unused) {
  usleep(100000);
  end();
  return unused;
}

/* MPI_Isend, whose types are pointers or integers to Open MPI. */
int MPI_Isend(const void* bytes, int count, void* type, int to, int tag, void* all, void* request) {
  if (holds(bytes, (size_t)count, wanted("letter"))) end();
  if (holds(bytes, (size_t)count, wanted("after"))) {
    pthread_t thread;
    pthread_create(&thread, NULL, later, NULL);
  }
  return NEXT(int (*)(const void*, int, void*, int, int, void*, void*), "MPI_Isend")(
      bytes, count, type, to, tag, all, request);
}

static void opening(const char* path) {
  const char* text = wanted("open");
  if (text && path && strstr(path, text)) end();
}

#define OPEN(name)                                                         \
  int name(const char* path, int flags, ...) {                             \
    va_list rest;                                                          \
    va_start(rest, flags);                                                 \
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;      \
    va_end(rest);                                                          \
    opening(path);                                                         \
    return NEXT(int (*)(const char*, int, ...), #name)(path, flags, mode); \
  }
OPEN(open)
OPEN(open64)

FILE* fopen(const char* path, const char* mode) {
  opening(path);
  return NEXT(FILE * (*)(const char*, const char*), "fopen")(path, mode);
}
FILE* fopen64(const char* path, const char* mode) {
  opening(path);
  return NEXT(FILE * (*)(const char*, const char*), "fopen64")(path, mode);
}

int rename(const char* from, const char* to) {
  const char* text = wanted("rename");
  if (text && strstr(to, text)) end();
  return NEXT(int (*)(const char*, const char*), "rename")(from, to);
}
