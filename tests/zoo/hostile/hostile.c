/* Experts that attack the process they run in, one per row of attacks.txt: -DATTACK=name, and
 * -DAT_LOAD if it strikes while the library is loaded and not when it is asked.
 *
 * An expert answers every text with {1, 0}, or with {0, 1} if its attack had its effect: that is
 * what it says itself, and the test looks at what lies in HOSTILE_FOLDER besides. Everything is
 * bounded: threads, memory and output end by themselves, and files are touched in that folder
 * only. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <fenv.h>
#include <moecollab/note.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

MOEC_LIBRARY_NOTE("org.moecollab.hostile", "1.0.0");

/* --- what an attack sees of the call that it strikes in */

static const moec_batch* g_batch; /* NULL while the library is loaded */
static float* g_logits;
static const moec_host* g_host;

static char* in_folder(const char* name) {
  static char path[512];
  snprintf(path, sizeof path, "%s/%s", HOSTILE_FOLDER, name);
  return path;
}

/* --- attacks: 1 if it had its effect */

static int exits(void) { exit(0); }
static int aborts(void) { abort(); }
static int kills_itself(void) { return kill(getpid(), SIGKILL); }
static int reads_nowhere(void) { return *(volatile int*)16; }
static int divides_by_zero(void) {
  volatile int seven = 7, zero = 0;
  return seven / zero;
}
static int overflows_its_stack(void) {
  volatile char room[4096];
  room[0] = 1;
  return overflows_its_stack() + room[0];
}
static int loops(void) {
  for (volatile unsigned n = 1; n != 0;) n |= 1;
  return 1;
}
static int sleeps(void) {
  while (1) sleep(1000);
}
static int waits_for_itself(void) {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&mutex);
  return pthread_mutex_lock(&mutex);
}
static int ignores_signals(void) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, NULL);
  return loops();
}

static int forks(void) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  return child > 0 && waitpid(child, NULL, 0) == child;
}
static int runs_a_program(void) {
  char program[] = "/bin/true";
  char* arguments[] = {program, NULL};
  execv(program, arguments);
  return 0;
}
static int signals_its_parent(void) { return kill(getppid(), SIGUSR1) == 0; }
static int signals_its_group(void) { return kill(0, SIGURG) == 0; }
static int traces_its_parent(void) { return ptrace(PTRACE_SEIZE, getppid(), NULL, NULL) == 0; }
static int writes_into_its_parent(void) {
  char byte = 0;
  struct iovec mine = {&byte, 1}, there = {&byte, 1};
  /* That it may is the effect: the address is nobody's. */
  return process_vm_readv(getppid(), &mine, 1, &there, 1, 0) == 1 || errno == EFAULT;
}
static int limits_its_parent(void) {
  const struct rlimit none = {0, 0};
  return prlimit(getppid(), RLIMIT_CORE, &none, NULL) == 0;
}
static int is_nice_to_nobody(void) { return setpriority(PRIO_PROCESS, 0, 5) == 0; }

static int connects(void) {
  const int line = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in to = {.sin_family = AF_INET};
  FILE* port = fopen(in_folder("port"), "r");
  int number = 0;
  if (line < 0 || port == NULL || fscanf(port, "%d", &number) != 1) return 0;
  to.sin_port = htons((uint16_t)number);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return connect(line, (struct sockaddr*)&to, sizeof to) == 0;
}
static int listens(void) {
  const int line = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  snprintf(at.sun_path + 1, sizeof at.sun_path - 1, "moecollab-hostile-%d", getpid());
  return bind(line, (struct sockaddr*)&at, sizeof at) == 0 && listen(line, 1) == 0;
}
static int shares_memory(void) {
  const int segment = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
  return segment >= 0 && shmctl(segment, IPC_RMID, NULL) == 0;
}

static int reads_a_file(void) {
  char secret[16] = "";
  const int file = open(in_folder("canary"), O_RDONLY);
  return file >= 0 && read(file, secret, sizeof secret) > 0;
}
static int reads_its_environment(void) {
  extern char** environ;
  for (char** entry = environ; *entry != NULL; ++entry) {
    if (strncmp(*entry, "HOSTILE_SECRET=", 15) == 0) return 1;
  }
  return 0;
}
static int lists_a_folder(void) {
  char entries[256];
  const int folder = open(HOSTILE_FOLDER, O_RDONLY | O_DIRECTORY);
  return folder >= 0 && syscall(SYS_getdents64, folder, entries, sizeof entries) > 0;
}
static int writes_a_file(void) { return open(in_folder("written"), O_CREAT | O_RDWR, 0600) >= 0; }
static int cuts_a_file(void) { return truncate(in_folder("canary"), 3) == 0; }
static int removes_a_file(void) { return unlink(in_folder("canary")) == 0; }
static int renames_a_file(void) {
  char from[512];
  snprintf(from, sizeof from, "%s", in_folder("canary"));
  return rename(from, in_folder("renamed")) == 0;
}
static int makes_a_folder(void) { return mkdir(in_folder("made"), 0700) == 0; }
static int links_a_file(void) { return symlink("canary", in_folder("link")) == 0; }
static int opens_a_file_up(void) { return chmod(in_folder("canary"), 0777) == 0; }
static int changes_its_folder(void) { return chdir(HOSTILE_FOLDER) == 0; }
static int hides_a_file(void) { return syscall(SYS_memfd_create, "hidden", 0) >= 0; }

static int fills_memory(void) {
  const size_t most = (size_t)192 << 20;
  volatile char* room = (volatile char*)malloc(most);
  if (room == NULL) return 0;
  for (size_t i = 0; i < most; i += 4096) room[i] = 1;
  return 1;
}
static int fills_descriptors(void) {
  int opened = 0;
  while (opened < 100 && dup(1) >= 0) ++opened;
  return opened == 100;
}
static void* rests(void* nothing) {
  sleep(2);
  return nothing;
}
static int fills_the_process_with_threads(void) {
  pthread_attr_t small;
  pthread_t thread;
  int started = 0;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 65536);
  while (started < 150 && pthread_create(&thread, &small, rests, NULL) == 0) ++started;
  usleep(300000);
  return started == 150;
}
static int prints_a_lot(void) {
  static char line[1 << 16];
  memset(line, 'x', sizeof line);
  for (int i = 0; i < 1 << 14; ++i) {
    if (write(1, line, sizeof line) < 0) return 0;
  }
  return 1;
}
static int logs_a_lot(void) {
  const moec_string message = {"nothing", 7};
  for (int i = 0; i < 20000; ++i) g_host->log(g_host, 2, message);
  return 1;
}
static int closes_everything(void) {
  int closed = 0;
  for (int file = 0; file < 64; ++file) closed += close(file) == 0;
  return closed > 0;
}
static int talks_to_the_host(void) {
  const char nonsense[] = "nonsense";
  return write(3, nonsense, sizeof nonsense) == (ssize_t)sizeof nonsense;
}
static int writes_to_its_input(void) {
  *(char*)(uintptr_t)g_batch->texts[0].data = 'X';
  return 1;
}
static int writes_past_its_output(void) {
  /* Far enough to leave every mapping of the logits. */
  volatile char* place = (volatile char*)g_logits;
  for (size_t i = 0; i < (size_t)40 << 30; i += (size_t)1 << 20) place[i] = 1;
  return 1;
}
static void* rewrites(void* nothing) {
  for (int i = 0; i < 2000; ++i) {
    g_logits[0] = (float)i;
    usleep(100);
  }
  return nothing;
}
static int rewrites_its_answers(void) {
  pthread_t thread;
  return pthread_create(&thread, NULL, rewrites, NULL) == 0;
}
static int sets_an_alarm(void) {
  const struct itimerval soon = {{0, 0}, {0, 50000}};
  return setitimer(ITIMER_REAL, &soon, NULL) == 0 && usleep(200000) == 0;
}
static int leaves_its_user(void) { return unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0; }
static int undoes_its_death(void) {
  /* Not to die with the host. */
  return syscall(SYS_prctl, 1 /* PR_SET_PDEATHSIG */, 0, 0, 0, 0) == 0;
}
static int catches_what_is_refused(void) {
  struct sigaction plain;
  memset(&plain, 0, sizeof plain);
  plain.sa_handler = SIG_IGN;
  return sigaction(SIGSYS, &plain, NULL) == 0;
}
static int changes_its_process(void) {
  /* All that a thread may change of its own process: that it can is the effect. */
  return fesetround(FE_UPWARD) == 0 && signal(SIGINT, SIG_IGN) != SIG_ERR &&
         setenv("HOSTILE_SECRET", "changed", 1) == 0;
}
static int leaks(void) {
  const size_t size = (size_t)8 << 20;
  volatile char* room = (volatile char*)malloc(size);
  if (room == NULL) return 0;
  for (size_t i = 0; i < size; i += 4096) room[i] = 1;
  return 1;
}
static int signals_by_a_descriptor(void) {
  int line[2] = {1, 1};
  return fcntl(line[0], F_SETOWN, getppid()) == 0 && fcntl(line[0], F_SETSIG, SIGURG) == 0;
}
static int shares_its_pages(void) {
  return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}
static int is_peaceful(void) { return 0; }

/* --- the expert */

static int g_struck;

#ifdef AT_LOAD
__attribute__((constructor)) static void at_load(void) { g_struck = ATTACK(); }
#endif

struct moec_expert {
  int classes;
};

static const moec_library_info* describe(void) {
  static const moec_library_info info = {sizeof(moec_library_info),
                                         {"org.moecollab.hostile", 21},
                                         {"1.0.0", 5},
                                         {MOEC_SDK_VERSION, sizeof(MOEC_SDK_VERSION) - 1},
                                         0,
                                         NULL};
  return &info;
}
static const void* get_extension(const char* id) {
  (void)id;
  return NULL;
}
static moec_status create(const moec_host* host, const moec_create_info* info, moec_expert** expert,
                          moec_error* error) {
  (void)error;
  g_host = host;
  *expert = (moec_expert*)malloc(sizeof **expert);
  (*expert)->classes = info->classes;
  return MOEC_OK;
}
static moec_status requirements(moec_expert* expert, moec_requirements* out, moec_error* error) {
  (void)error;
  out->classes = expert->classes;
  out->inputs = MOEC_INPUT_TEXT;
  return MOEC_OK;
}
static moec_status forward(moec_expert* expert, const moec_exec* exec, const moec_batch* batch,
                           const moec_tensor* logits, moec_error* error) {
  (void)exec;
  (void)error;
  g_batch = batch;
  g_logits = (float*)logits->data;
#ifndef AT_LOAD
  g_struck = ATTACK();
#endif
  for (int64_t i = 0; i < batch->rows * expert->classes; ++i)
    g_logits[i] = (float)((i % expert->classes == 1) == (g_struck != 0));
  return MOEC_OK;
}
static void destroy(moec_expert* expert) { free(expert); }

/* An attack each; all but one of a library's is unused. */
int (*const hostile_attacks[])(void)
    __attribute__((visibility("hidden"))) = {exits,
                                             aborts,
                                             kills_itself,
                                             reads_nowhere,
                                             divides_by_zero,
                                             overflows_its_stack,
                                             loops,
                                             sleeps,
                                             waits_for_itself,
                                             ignores_signals,
                                             forks,
                                             runs_a_program,
                                             signals_its_parent,
                                             signals_its_group,
                                             traces_its_parent,
                                             writes_into_its_parent,
                                             limits_its_parent,
                                             is_nice_to_nobody,
                                             connects,
                                             listens,
                                             shares_memory,
                                             reads_a_file,
                                             reads_its_environment,
                                             lists_a_folder,
                                             writes_a_file,
                                             cuts_a_file,
                                             removes_a_file,
                                             renames_a_file,
                                             makes_a_folder,
                                             links_a_file,
                                             opens_a_file_up,
                                             changes_its_folder,
                                             hides_a_file,
                                             fills_memory,
                                             fills_descriptors,
                                             fills_the_process_with_threads,
                                             prints_a_lot,
                                             logs_a_lot,
                                             closes_everything,
                                             talks_to_the_host,
                                             writes_to_its_input,
                                             writes_past_its_output,
                                             rewrites_its_answers,
                                             sets_an_alarm,
                                             leaves_its_user,
                                             undoes_its_death,
                                             catches_what_is_refused,
                                             changes_its_process,
                                             leaks,
                                             signals_by_a_descriptor,
                                             shares_its_pages,
                                             is_peaceful};

MOEC_EXPORT const moec_library* moec_plugin_entry(void) {
  static const moec_library library = {sizeof(moec_library),
                                       MOEC_ABI_MAJOR,
                                       MOEC_ABI_MINOR,
                                       MOEC_MIN_HOST_MINOR,
                                       describe,
                                       get_extension,
                                       create,
                                       requirements,
                                       forward,
                                       destroy};
  return &library;
}
