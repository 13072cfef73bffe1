#include "conformance/watched_calls.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstddef>
#include <cstring>

#include "base/error.h"
#include "base/strings.h"

#if defined(__x86_64__)

// The only place in which a watched call is let through: the filter knows the address after it.
extern "C" long moecollab_plain_syscall(long number, const long* arguments);
extern "C" const char moecollab_after_syscall[];
asm(R"(
.text
.globl moecollab_plain_syscall
.hidden moecollab_plain_syscall
.type moecollab_plain_syscall, @function
moecollab_plain_syscall:
  movq %rdi, %rax
  movq %rsi, %r11
  movq 0(%r11), %rdi
  movq 8(%r11), %rsi
  movq 16(%r11), %rdx
  movq 24(%r11), %r10
  movq 32(%r11), %r8
  movq 40(%r11), %r9
  syscall
.globl moecollab_after_syscall
.hidden moecollab_after_syscall
moecollab_after_syscall:
  ret
.size moecollab_plain_syscall, .-moecollab_plain_syscall
)");

namespace moecollab::conformance {
namespace {

// --- what is watched

enum class Kind { kOpen, kChange, kConnect, kStart };

struct Watched {
  long number;
  Kind kind;
  const char* name;
  int path;    // which argument names the file; -1: none does
  int folder;  // which argument is the descriptor that a relative path begins at; -1: none
  int flags;   // which argument says how a file is opened; -1: for writing
};

constexpr Watched kWatched[] = {{SYS_open, Kind::kOpen, "open", 0, -1, 1},
                                {SYS_openat, Kind::kOpen, "open", 1, 0, 2},
                                {SYS_creat, Kind::kOpen, "creat", 0, -1, -1},
                                {SYS_unlink, Kind::kChange, "unlink", 0, -1, -1},
                                {SYS_unlinkat, Kind::kChange, "unlink", 1, 0, -1},
                                {SYS_rename, Kind::kChange, "rename", 0, -1, -1},
                                {SYS_renameat, Kind::kChange, "rename", 1, 0, -1},
                                {SYS_renameat2, Kind::kChange, "rename", 1, 0, -1},
                                {SYS_mkdir, Kind::kChange, "mkdir", 0, -1, -1},
                                {SYS_mkdirat, Kind::kChange, "mkdir", 1, 0, -1},
                                {SYS_rmdir, Kind::kChange, "rmdir", 0, -1, -1},
                                {SYS_link, Kind::kChange, "link", 0, -1, -1},
                                {SYS_linkat, Kind::kChange, "link", 1, 0, -1},
                                {SYS_symlink, Kind::kChange, "symlink", 1, -1, -1},
                                {SYS_symlinkat, Kind::kChange, "symlink", 2, 1, -1},
                                {SYS_mknod, Kind::kChange, "mknod", 0, -1, -1},
                                {SYS_mknodat, Kind::kChange, "mknod", 1, 0, -1},
                                {SYS_truncate, Kind::kChange, "truncate", 0, -1, -1},
                                {SYS_chmod, Kind::kChange, "chmod", 0, -1, -1},
                                {SYS_fchmodat, Kind::kChange, "chmod", 1, 0, -1},
                                {SYS_chown, Kind::kChange, "chown", 0, -1, -1},
                                {SYS_fchownat, Kind::kChange, "chown", 1, 0, -1},
                                {SYS_utimensat, Kind::kChange, "utimensat", 1, 0, -1},
                                {SYS_socket, Kind::kConnect, "socket", -1, -1, -1},
                                {SYS_shmget, Kind::kConnect, "shmget", -1, -1, -1},
                                {SYS_msgget, Kind::kConnect, "msgget", -1, -1, -1},
                                {SYS_semget, Kind::kConnect, "semget", -1, -1, -1},
                                {SYS_mq_open, Kind::kConnect, "mq_open", 0, -1, -1},
                                {SYS_fork, Kind::kStart, "fork", -1, -1, -1},
                                {SYS_vfork, Kind::kStart, "vfork", -1, -1, -1},
                                {SYS_execve, Kind::kStart, "execve", 0, -1, -1},
                                {SYS_execveat, Kind::kStart, "execve", 1, 0, -1}};
// A process's; a thread's is let through, and libc falls back to it if there is no clone3.
constexpr Watched kClone = {SYS_clone, Kind::kStart, "clone", -1, -1, -1};

constexpr std::string_view kSystem[] = {"/proc/", "/sys/", "/usr/", "/lib", "/etc/", "/dev/"};

// --- the handler, which may interrupt anything: no allocation, no locks

constexpr size_t kMost = 16;
struct Note {
  const Watched* call;
  bool writes;
  long argument;  // the first, of a call that names no file
  char path[512];
};
Note g_notes[kMost];
std::atomic<size_t> g_count = 0;

void append(Note& note, const char* text) {
  const size_t used = ::strnlen(note.path, sizeof note.path - 1);
  const size_t more = ::strnlen(text, sizeof note.path - 1 - used);
  std::memcpy(note.path + used, text, more);
  note.path[used + more] = '\0';
}

// The path that the call names, after the folder that it begins at, if it names one.
void fill_path(Note& note, const long* arguments) {
  if (note.call->path < 0) return;
  const auto* path = reinterpret_cast<const char*>(arguments[note.call->path]);
  if (path == nullptr) return;
  const int folder =
      note.call->folder < 0 ? AT_FDCWD : static_cast<int>(arguments[note.call->folder]);
  if (path[0] != '/' && folder != AT_FDCWD) {
    char link[64] = "/proc/self/fd/", digits[16];
    size_t n = 0;
    for (int rest = folder; n == 0 || rest > 0; rest /= 10)
      digits[n++] = static_cast<char>('0' + rest % 10);
    for (size_t at = std::strlen(link); n > 0; link[++at] = '\0') link[at] = digits[--n];
    const ssize_t size = ::readlink(link, note.path, sizeof note.path - 2);
    note.path[size < 0 ? 0 : static_cast<size_t>(size)] = '\0';
    append(note, "/");
  }
  append(note, path);
}

bool is_of_the_system(const char* path) {
  const std::string_view text(path);
  if (text.starts_with("/dev/shm") || text.find("/../") != text.npos) return false;
  return std::ranges::any_of(kSystem, [&](auto prefix) { return text.starts_with(prefix); });
}

// 0, or the error by which the call is refused.
int judge(Note& note, const long* arguments) {
  fill_path(note, arguments);
  note.argument = arguments[0];
  if (note.call->kind == Kind::kOpen) {
    const long flags =
        note.call->flags < 0 ? long{O_WRONLY} : arguments[static_cast<size_t>(note.call->flags)];
    note.writes = (flags & (O_ACCMODE | O_CREAT | O_TRUNC)) != 0;
    const std::string_view path(note.path);
    if (is_of_the_system(note.path) && (!note.writes || path.starts_with("/dev/"))) return 0;
    if (!note.writes && (path.ends_with(".so") || path.find(".so.") != path.npos)) return 0;
    if (!note.writes) return -1;  // is noted, and not refused
  }
  return note.call->kind == Kind::kConnect || note.call->kind == Kind::kStart ? EACCES : EROFS;
}

void on_call(int, siginfo_t* info, void* context) {
  const int kept = errno;
  greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const long arguments[] = {registers[REG_RDI], registers[REG_RSI], registers[REG_RDX],
                            registers[REG_R10], registers[REG_R8],  registers[REG_R9]};
  const auto* call = std::ranges::find(kWatched, long{info->si_syscall}, &Watched::number);
  Note note{call == std::end(kWatched) ? &kClone : call, false, 0, {}};
  const int error = judge(note, arguments);
  if (error != 0) {
    if (const size_t place = g_count++; place < kMost) g_notes[place] = note;
  }
  registers[REG_RAX] = error > 0 ? -error : moecollab_plain_syscall(info->si_syscall, arguments);
  errno = kept;
}

// --- the filter

std::vector<sock_filter> filter() {
  constexpr auto load = [](size_t offset) {
    return sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<uint32_t>(offset)};
  };
  // Skips `skipped` instructions if the value is another.
  constexpr auto unless = [](uint32_t value, uint8_t skipped) {
    return sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, skipped, value};
  };
  constexpr auto give = [](uint32_t verdict) {
    return sock_filter{BPF_RET | BPF_K, 0, 0, verdict};
  };
  const auto ours = reinterpret_cast<uint64_t>(moecollab_after_syscall);
  std::vector<sock_filter> all = {load(offsetof(seccomp_data, arch)),
                                  {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, AUDIT_ARCH_X86_64},
                                  give(SECCOMP_RET_ALLOW),
                                  load(offsetof(seccomp_data, instruction_pointer)),
                                  unless(static_cast<uint32_t>(ours), 3),
                                  load(offsetof(seccomp_data, instruction_pointer) + 4),
                                  unless(static_cast<uint32_t>(ours >> 32), 1),
                                  give(SECCOMP_RET_ALLOW),
                                  load(offsetof(seccomp_data, nr))};
  for (const Watched& call : kWatched) {
    all.push_back(unless(static_cast<uint32_t>(call.number), 1));
    all.push_back(give(SECCOMP_RET_TRAP));
  }
  const std::vector<sock_filter> of_clone = {unless(SYS_clone3, 1),
                                             give(SECCOMP_RET_ERRNO | ENOSYS),
                                             unless(SYS_clone, 4),
                                             load(offsetof(seccomp_data, args)),
                                             {BPF_JMP | BPF_JSET | BPF_K, 1, 0, CLONE_THREAD},
                                             give(SECCOMP_RET_TRAP),
                                             give(SECCOMP_RET_ALLOW),
                                             give(SECCOMP_RET_ALLOW)};
  all.insert(all.end(), of_clone.begin(), of_clone.end());
  return all;
}

std::string text_of(const Note& note) {
  const std::string path = escaped(note.path, 200);
  switch (note.call->kind) {
    case Kind::kOpen:
      return fmt::format("{} of {} for {}", note.call->name, path,
                         note.writes ? "writing" : "reading");
    case Kind::kConnect:
      if (note.call->number != SYS_socket) return fmt::format("{}()", note.call->name);
      return fmt::format("socket() of {}", note.argument == AF_UNIX    ? "AF_UNIX"
                                           : note.argument == AF_INET  ? "AF_INET"
                                           : note.argument == AF_INET6 ? "AF_INET6"
                                                                       : "another family");
    default:
      return note.call->path < 0 ? fmt::format("{}()", note.call->name)
                                 : fmt::format("{} of {}", note.call->name, path);
  }
}

}  // namespace

bool WatchedCalls::possible() { return true; }

WatchedCalls::WatchedCalls() {
  struct sigaction action {};
  action.sa_sigaction = &on_call;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  ::sigaction(SIGSYS, &action, nullptr);
  std::vector<sock_filter> instructions = filter();
  const sock_fprog program{static_cast<uint16_t>(instructions.size()), instructions.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    throw Error("E_INTERNAL", fmt::format("no filter of system calls: {}", std::strerror(errno)));
}

std::vector<std::string> WatchedCalls::seen() const {
  std::vector<std::string> all;
  for (size_t i = 0; i < std::min(g_count.load(), kMost); ++i) {
    std::string text = text_of(g_notes[i]);
    if (std::ranges::find(all, text) == all.end()) all.push_back(std::move(text));
  }
  return all;
}

}  // namespace moecollab::conformance

#else

namespace moecollab::conformance {

bool WatchedCalls::possible() { return false; }
WatchedCalls::WatchedCalls() {
  throw Error("E_INTERNAL", "system calls are watched on x86-64 only");
}
std::vector<std::string> WatchedCalls::seen() const { return {}; }

}  // namespace moecollab::conformance

#endif
