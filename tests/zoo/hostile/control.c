/* control LIBRARY: a host without any sandbox, in which an attack has its effect. It stands in for
 * the host's parent, in user, process and IPC namespaces of its own, and calls the library in a
 * child with bounded memory, threads, files and time. Prints one word: struck, missed, ended or
 * hung. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <moecollab/abi.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kSeconds = 1, kOutcome = 60 };

static const void* no_extension(const moec_host* host, const char* id) {
  (void)host;
  (void)id;
  return NULL;
}
static void no_log(const moec_host* host, int32_t level, moec_string message) {
  (void)host;
  (void)level;
  (void)message;
}
static void no_progress(const moec_host* host, int64_t done, int64_t total) {
  (void)host;
  (void)done;
  (void)total;
}
static int32_t no_stop(const moec_host* host) {
  (void)host;
  return 0;
}

static void limit(int resource, rlim_t most) {
  const struct rlimit value = {most, most};
  setrlimit((__rlimit_resource_t)resource, &value);
}

static void call(const char* path) {
  char text[64] = "a text";
  const moec_string texts[] = {{text, strlen(text)}};
  const int64_t row = 0, shape[] = {1, 2}, strides[] = {2, 1};
  static float logits[16];
  const moec_host host = {sizeof host,  MOEC_ABI_MAJOR, MOEC_ABI_MINOR, NULL,
                          no_extension, no_log,         no_progress,    no_stop};
  moec_create_info info = {.struct_size = sizeof info, .classes = 2, .inputs = MOEC_INPUT_TEXT};
  moec_batch batch = {.struct_size = sizeof batch, .rows = 1, .row_ids = &row, .texts = texts};
  moec_exec exec = {.struct_size = sizeof exec, .device_type = MOEC_CPU, .threads = 1};
  moec_tensor out = {.data = logits,
                     .device_type = MOEC_CPU,
                     .ndim = 2,
                     .type_code = MOEC_FLOAT,
                     .type_bits = 32,
                     .type_lanes = 1,
                     .shape = shape,
                     .strides = strides};
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  const moec_library* (*entry)(void);
  moec_expert* expert = NULL;
  if (library == NULL) _exit(99);
  *(void**)&entry = dlsym(library, "moec_plugin_entry");
  if (entry == NULL || entry()->create(&host, &info, &expert, NULL) != MOEC_OK) _exit(99);
  if (entry()->forward(expert, &exec, &batch, &out, NULL) != MOEC_OK) _exit(99);
  /* Not by stdio, which an attack may have closed. */
  _exit(logits[1] == 1 ? kOutcome + 1 : kOutcome);
}

static void attacker(const char* path) {
  limit(RLIMIT_AS, (rlim_t)256 << 20);
  limit(RLIMIT_NPROC, 200);
  limit(RLIMIT_NOFILE, 256);
  limit(RLIMIT_FSIZE, 1 << 20);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_CPU, kSeconds + 1);
  setpgid(0, 0);
  const int nothing = open("/dev/null", O_RDWR);
  for (int file = 0; file < 4; ++file) dup2(nothing, file);
  call(path);
}

static const char* outcome_of(pid_t child) {
  const int handle = (int)syscall(SYS_pidfd_open, child, 0);
  struct pollfd end = {handle, POLLIN, 0};
  int status = 0;
  if (poll(&end, 1, kSeconds * 1000) != 1) {
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return "hung";
  }
  waitpid(child, &status, 0);
  if (!WIFEXITED(status)) return "ended";
  if (WEXITSTATUS(status) == 99) return "unusable";
  if (WEXITSTATUS(status) == kOutcome) return "missed";
  return WEXITSTATUS(status) == kOutcome + 1 ? "struck" : "ended";
}

static void write_file(const char* path, const char* text) {
  const int file = open(path, O_WRONLY);
  if (write(file, text, strlen(text)) < 0) puts("no user");
  close(file);
}

/* A user that exists there, so that it may make further namespaces. */
static void map_user(unsigned user, unsigned group) {
  char line[32];
  snprintf(line, sizeof line, "0 %u 1", user);
  write_file("/proc/self/uid_map", line);
  write_file("/proc/self/setgroups", "deny");
  snprintf(line, sizeof line, "0 %u 1", group);
  write_file("/proc/self/gid_map", line);
}

int main(int count, char** arguments) {
  if (count != 2) return 2;
  const unsigned user = geteuid(), group = getegid();
  if (unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWIPC) != 0) {
    puts("no namespaces");
    return 0;
  }
  map_user(user, group);
  const pid_t stand_in = fork();
  if (stand_in == 0) {
    signal(SIGUSR1, SIG_IGN);
    const pid_t child = fork();
    if (child == 0) attacker(arguments[1]);
    puts(outcome_of(child));
    fflush(stdout);
    _exit(0);
  }
  waitpid(stand_in, NULL, 0);
  return 0;
}
