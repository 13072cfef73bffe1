#include "worker/sandbox.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <memory>
#include <vector>

#include "worker/landlock.h"

namespace moecollab::worker {
namespace {

constexpr rlim_t kMostDescriptors = 64;

// --- limits

// Bytes of this process: its addresses, and of these its data.
struct Sizes {
  uint64_t addresses = 0, data = 0;
};
Sizes sizes() {
  unsigned long all = 0, data = 0;
  FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return {};
  const bool read = std::fscanf(file, "%lu %*u %*u %*u %*u %lu", &all, &data) == 2;
  std::fclose(file);
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  return read ? Sizes{all * page, data * page} : Sizes{};
}

void limit(__rlimit_resource_t resource, uint64_t most) {
  const rlimit value{most, most};
  ::setrlimit(resource, &value);
}

void enter_limits(uint64_t memory) {
  const Sizes now = sizes();
  limit(RLIMIT_AS, now.addresses + memory);
  limit(RLIMIT_DATA, now.data + memory);  // whatever it unmaps of the shared regions
  limit(RLIMIT_NOFILE, kMostDescriptors);
  limit(RLIMIT_CORE, 1);  // no dump, also if a program would take it
  limit(RLIMIT_FSIZE, 0);
  limit(RLIMIT_MEMLOCK, 0);
}

// What a process of root may beside others.
bool drop_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  return ::syscall(SYS_capset, &header, none) == 0;
}

// A thread that exists already would stay outside.
bool is_single_threaded() {
  int threads = 0;
  std::error_code failed;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task", failed)) {
    (void)thread;
    ++threads;
  }
  return threads == 1;
}

// --- system calls

OutHeader* g_header = nullptr;

// May interrupt anything.
void on_denied(int, siginfo_t* info, void* context) {
  int32_t none = -1;
  g_header->denied.compare_exchange_strong(none, info->si_syscall);
#if defined(__x86_64__)
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RAX] = -EPERM;
#else
  (void)context;
  ::_exit(128 + SIGSYS);
#endif
}

// What computing, threads, memory and the loader need; each is harmless whatever its arguments.
constexpr int kAllowed[] = {SCMP_SYS(brk),

                            SCMP_SYS(munmap),
                            SCMP_SYS(mprotect),
                            SCMP_SYS(mremap),
                            SCMP_SYS(madvise),
                            SCMP_SYS(membarrier),
                            SCMP_SYS(futex),
                            SCMP_SYS(set_robust_list),
                            SCMP_SYS(get_robust_list),
                            SCMP_SYS(rseq),
                            SCMP_SYS(sched_yield),
                            SCMP_SYS(sched_getaffinity),
                            SCMP_SYS(sched_getparam),
                            SCMP_SYS(sched_getscheduler),
                            SCMP_SYS(getcpu),
                            SCMP_SYS(read),
                            SCMP_SYS(write),
                            SCMP_SYS(readv),
                            SCMP_SYS(writev),
                            SCMP_SYS(pread64),
                            SCMP_SYS(lseek),
                            SCMP_SYS(close),
                            SCMP_SYS(fstat),

                            SCMP_SYS(poll),
                            SCMP_SYS(recvfrom),
                            SCMP_SYS(sendto),
                            SCMP_SYS(nanosleep),
                            SCMP_SYS(clock_nanosleep),
                            SCMP_SYS(clock_gettime),
                            SCMP_SYS(clock_getres),
                            SCMP_SYS(getrlimit),
                            SCMP_SYS(gettimeofday),
                            SCMP_SYS(time),
                            SCMP_SYS(times),
                            SCMP_SYS(getrusage),
                            SCMP_SYS(getrandom),
                            SCMP_SYS(sysinfo),
                            SCMP_SYS(uname),
                            SCMP_SYS(getpid),
                            SCMP_SYS(getppid),
                            SCMP_SYS(gettid),
                            SCMP_SYS(getuid),
                            SCMP_SYS(geteuid),
                            SCMP_SYS(getgid),
                            SCMP_SYS(getegid),
                            SCMP_SYS(rt_sigreturn),
                            SCMP_SYS(rt_sigprocmask),
                            SCMP_SYS(rt_sigpending),
                            SCMP_SYS(sigaltstack),
                            SCMP_SYS(restart_syscall),
                            SCMP_SYS(exit),
                            SCMP_SYS(exit_group)};

// What libraries try without a purpose of their own, as a stream asks whether it writes to a
// terminal: refused as by a system that does not have it.
constexpr int kRefusedQuietly[] = {SCMP_SYS(ioctl),
                                   SCMP_SYS(access),
                                   SCMP_SYS(faccessat),
                                   SCMP_SYS(faccessat2),
                                   SCMP_SYS(stat),
                                   SCMP_SYS(lstat),
                                   SCMP_SYS(statx),
                                   SCMP_SYS(readlink),
                                   SCMP_SYS(readlinkat),
                                   SCMP_SYS(getcwd),
                                   SCMP_SYS(prctl),
                                   SCMP_SYS(arch_prctl),
                                   SCMP_SYS(sched_setaffinity),
                                   SCMP_SYS(mlock),
                                   SCMP_SYS(get_mempolicy),
                                   SCMP_SYS(eventfd2),
                                   SCMP_SYS(getdents64)};

class Filter {
 public:
  Filter() : context_(::seccomp_init(SCMP_ACT_TRAP), &::seccomp_release) {}

  bool load() {
    if (context_ == nullptr) return false;
    for (const int call : kAllowed) allow(call);
    for (const int call : kRefusedQuietly) refuse(call, EPERM);
    // With EPERM libc would take it for a failure; so it starts threads by clone().
    refuse(SCMP_SYS(clone3), ENOSYS);
    // Memory of its own only: what others could see is not counted by any limit.
    allow(SCMP_SYS(mmap), {SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_TYPE | MAP_GROWSDOWN, MAP_PRIVATE)});
    // Another command could have signals sent to whom it likes.
    for (const int command : {F_GETFD, F_SETFD, F_GETFL, F_DUPFD, F_DUPFD_CLOEXEC})
      allow(SCMP_SYS(fcntl), {SCMP_A1_32(SCMP_CMP_EQ, static_cast<uint32_t>(command))});
    const auto self = static_cast<scmp_datum_t>(::getpid());
    allow(SCMP_SYS(clone), {SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)});
    allow(SCMP_SYS(tgkill), {SCMP_A0(SCMP_CMP_EQ, self)});
    allow(SCMP_SYS(kill), {SCMP_A0(SCMP_CMP_EQ, self)});
    allow(SCMP_SYS(rt_sigaction), {SCMP_A0_32(SCMP_CMP_NE, SIGSYS)});
    allow(SCMP_SYS(prlimit64), {SCMP_A2(SCMP_CMP_EQ, 0)});  // asks, and sets nothing
    allow(SCMP_SYS(seccomp), {SCMP_A0(SCMP_CMP_EQ, SECCOMP_SET_MODE_FILTER)});  // takes more away
    // libc's fstat(); of a path it says whether there is a file, and not what is in it.
    allow(SCMP_SYS(newfstatat), {SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH)});
#if defined(MOECOLLAB_UNDER_ASAN) || defined(__SANITIZE_ADDRESS__)
    allow(SCMP_SYS(pipe2));  // by which UBSan finds out whether memory can be read
#endif
    // The loader opens the sealed library; what else could be opened, Landlock refuses.
    const scmp_datum_t writes = O_ACCMODE | O_CREAT | O_TRUNC | O_PATH;
    allow(SCMP_SYS(openat), {SCMP_A2(SCMP_CMP_MASKED_EQ, writes, O_RDONLY)});
    return good_ &&
           ::seccomp_attr_set(context_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) ==
               0 &&
           ::seccomp_load(context_.get()) == 0;
  }

 private:
  void allow(int call, const std::vector<scmp_arg_cmp>& arguments = {}) {
    add(SCMP_ACT_ALLOW, call, arguments);
  }
  void refuse(int call, int error) { add(SCMP_ACT_ERRNO(static_cast<uint32_t>(error)), call, {}); }
  void add(uint32_t action, int call, const std::vector<scmp_arg_cmp>& arguments) {
    good_ =
        ::seccomp_rule_add_array(context_.get(), action, call,
                                 static_cast<unsigned>(arguments.size()), arguments.data()) == 0 &&
        good_;
  }

  std::unique_ptr<void, decltype(&::seccomp_release)> context_;
  bool good_ = true;
};

// One more filter, for all threads, after which the loader opens nothing either.
bool refuse_opening() {
  sock_filter instructions[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
                                {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_openat},
                                {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_TRAP},
                                {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
  const sock_fprog program{std::size(instructions), instructions};
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}

bool enter_filter(OutHeader& header) {
  g_header = &header;
  struct sigaction action {};
  action.sa_sigaction = &on_denied;
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  ::sigaction(SIGSYS, &action, nullptr);
  return Filter().load();
}

}  // namespace

const char* name(SandboxLevel level) {
  switch (level) {
    case SandboxLevel::kFull:
      return "full";
    case SandboxLevel::kCalls:
      return "system calls";
    case SandboxLevel::kNone:
      break;
  }
  return "none";
}

uint64_t writable_bytes() { return sizes().data; }

SandboxLevel enter_sandbox(uint64_t memory, OutHeader& header) {
  if (!is_single_threaded()) return SandboxLevel::kNone;
  enter_limits(memory);
  if (!drop_capabilities()) return SandboxLevel::kNone;
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return SandboxLevel::kNone;
  const bool files = enter_landlock(LandlockAccess::kAll);
  if (!enter_filter(header)) return SandboxLevel::kNone;
  return files ? SandboxLevel::kFull : SandboxLevel::kCalls;
}

bool close_sandbox(SandboxLevel level) { return level == SandboxLevel::kNone || refuse_opening(); }

std::string system_call_name(int32_t number) {
  const std::unique_ptr<char, decltype(&std::free)> name(
      ::seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number), &std::free);
  return name == nullptr ? fmt::format("call {}", number) : std::string(name.get());
}

}  // namespace moecollab::worker
