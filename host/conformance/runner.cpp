#include "conformance/runner.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <set>

#include "base/json.h"
#include "base/measure.h"
#include "base/strings.h"
#include "conformance/subject.h"

namespace moecollab::conformance {
namespace {

constexpr size_t kMostBytes = 96 << 10;  // of a record; a socket takes twice that in one message
constexpr size_t kMostText = 1500;       // of each sentence in it
constexpr size_t kMostNotes = 16;
constexpr rlim_t kMostWritten = 64 << 20;  // bytes of a file that a check's process may write,
                                           // beside the library's own, which is loaded from one
constexpr int kOutOfTheWay = 500;          // descriptors that are closed by the dozen lie below

// The child's end of the socket, and what tells its record from anything else that is written
// there.
int result_socket = -1;
uint64_t result_key = 0;
pid_t child_process = 0;

// One message: the key, then the text. Little stack: a signal handler calls it on its own.
void send_record(std::string_view text) {
  iovec parts[] = {{&result_key, sizeof result_key},
                   {const_cast<char*>(text.data()), std::min(text.size(), kMostBytes)}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = std::size(parts);
  while (::sendmsg(result_socket, &message, MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

Json to_json(const Findings& findings) {
  Json list = Json::array();
  for (const Finding& f : findings.all())
    list.push_back({{"expected", f.expected.substr(0, kMostText)},
                    {"seen", f.seen.substr(0, kMostText)},
                    {"cure", f.cure.substr(0, kMostText)}});
  Json notes = Json::array();
  for (const std::string& note : findings.notes()) {
    if (notes.size() < kMostNotes) notes.push_back(note.substr(0, kMostText));
  }
  return {{"findings", list}, {"reason", findings.reason().substr(0, kMostText)}, {"notes", notes}};
}

// Says where the fault lay, as far as guarded memory knows. Memory may be in any state: formatting
// can fault in its turn, and as both signals are blocked here, that ends the process at once; the
// signal alone is then what the parent sees.
void on_fault(int signal, siginfo_t* info, void*) {
  static std::atomic_flag taken;
  while (taken.test_and_set()) ::pause();       // another thread says it, and ends the process
  if (::getpid() != child_process) ::_exit(1);  // a process of the check's or of the library's own
  ::signal(SIGALRM, SIG_DFL);
  ::alarm(1);  // memory may be locked: then the signal ends the process
  const std::string where = describe_address(info->si_addr);
  Findings findings;
  findings.add("only memory that the host handed over is touched",
               fmt::format("{} {}", ::strsignal(signal),
                           where.empty() ? fmt::format("at address {}", info->si_addr) : where),
               where.empty()
                   ? "it is no memory that the host lent: an array or pointer of the "
                     "library's own; run your functions with -fsanitize=address,undefined "
                     "in a program of yours"
                   : "read and write what the call lends, its elements and no others, while "
                     "it lasts; a text ends at its size, and not at a NUL");
  send_record(to_line(to_json(findings)));
  ::_exit(0);
}

void catch_faults() {
  static char stack[1 << 16];
  stack_t alternative{};
  alternative.ss_sp = stack;
  alternative.ss_size = sizeof stack;
  ::sigaltstack(&alternative, nullptr);
  struct sigaction action {};
  action.sa_sigaction = &on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigaddset(&action.sa_mask, SIGSEGV);
  ::sigaddset(&action.sa_mask, SIGBUS);
  ::sigaction(SIGSEGV, &action, nullptr);
  ::sigaction(SIGBUS, &action, nullptr);
}

[[noreturn]] void run_child(const Check& check, Subject& subject, bool confined) {
  child_process = ::getpid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // what its processes leave behind is its own
  const rlim_t most = kMostWritten + subject.library_bytes().size();
  const rlimit none{0, 0}, some{most, most};
  ::setrlimit(RLIMIT_CORE, &none);
  ::setrlimit(RLIMIT_FSIZE, &some);
  const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(nowhere, fd);
  ::setpgid(0, 0);  // so that what it starts ends with it
  catch_faults();
  if (confined) subject.confine();
  Findings findings;
  try {
    check.run(subject, findings);
  } catch (const CallFailed& error) {
    findings.add("every call of this check succeeds", error.what(),
                 "the message is the library's own: a call with arguments that the contract allows "
                 "gives MOEC_OK");
  } catch (const Error& error) {
    findings.add("every call of this check succeeds", error.what(), error.hint());
  } catch (const std::exception& error) {
    findings.add("every call of this check succeeds", error.what());
  } catch (...) {
    findings.add("no exception leaves the library", "something was thrown out of it");
  }
  if (::getpid() != child_process) ::_exit(0);  // the library forked, and this is its child
  send_record(to_line(to_json(findings)));
  if (check.exits) std::exit(0);
  ::_exit(0);
}

// What came from a check's process.
struct Heard {
  std::string record;   // "": none
  size_t foreign = 0;   // bytes of other messages: something wrote to a descriptor of the host's
  bool in_time = true;  // false: neither a record nor the end came by the deadline
};

// Takes one message, if there is one; false if no more can come.
bool hear(int socket, uint64_t key, Heard& heard) {
  char message[sizeof key + kMostBytes];
  const ssize_t n = ::recv(socket, message, sizeof message, MSG_DONTWAIT);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  const auto size = static_cast<size_t>(n);
  if (size > sizeof key && heard.record.empty() && std::memcmp(message, &key, sizeof key) == 0)
    heard.record.assign(message + sizeof key, size - sizeof key);
  else
    heard.foreign += size;
  return n > 0;
}

// Whether the child has ended; it stays to be waited for.
bool has_ended(pid_t child) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == child;
}

// A deadline in time of the processor, so that other programs do not count, and in twice as much
// time by the clock, for a process that waits.
class Deadline {
 public:
  Deadline(pid_t child, std::chrono::milliseconds allowed)
      : allowed_(allowed), end_(std::chrono::steady_clock::now() + 2 * allowed) {
    if (::clock_getcpuclockid(child, &clock_) != 0) end_ -= allowed;
  }
  bool is_over() const {
    timespec used{};
    const bool known = ::clock_gettime(clock_, &used) == 0;
    return std::chrono::steady_clock::now() > end_ ||
           (known &&
            std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec) > allowed_);
  }

 private:
  std::chrono::milliseconds allowed_;
  std::chrono::steady_clock::time_point end_;
  clockid_t clock_ = CLOCK_MONOTONIC;
};

// Whether the child ends by the deadline; its status.
bool ends_by(pid_t child, const Deadline& deadline, int& status) {
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (deadline.is_over()) return false;
    ::usleep(2000);
  }
  return true;
}

// Until the record, the child's end or the deadline: others may hold its end of the socket open.
Heard listen_until(int socket, uint64_t key, pid_t child, const Deadline& deadline) {
  constexpr int kGlance = 20;  // milliseconds between two looks at the child
  Heard heard;
  bool open = true;
  while (heard.record.empty()) {
    const bool ended = has_ended(child);
    pollfd wait{socket, POLLIN, 0};
    const int ready = open ? ::poll(&wait, 1, ended ? 0 : kGlance) : ::usleep(kGlance * 1000);
    if (ready > 0) open = hear(socket, key, heard);
    if (ready <= 0 && ended) break;
    if (heard.record.empty() && deadline.is_over()) {  // also if it writes without end
      heard.in_time = false;
      break;
    }
  }
  return heard;
}

// 0 if it has ended meanwhile, which may be at any moment.
pid_t parent_of(const char* process) {
  char stat[512];
  const int file =
      ::open(("/proc/" + std::string(process) + "/stat").c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const ssize_t n = ::read(file, stat, sizeof stat);
  ::close(file);
  const std::string_view text(stat, n < 0 ? 0 : static_cast<size_t>(n));
  const size_t name_end = text.rfind(')');  // the name may hold anything
  pid_t parent = 0;
  if (name_end != text.npos && name_end + 4 < text.size())
    std::from_chars(text.data() + name_end + 4, text.data() + text.size(), parent);
  return parent;
}

std::set<pid_t> children() {
  std::set<pid_t> found;
  DIR* processes = ::opendir("/proc");
  if (processes == nullptr) return found;
  while (const dirent* entry = ::readdir(processes)) {
    const std::string_view name = entry->d_name;
    pid_t process = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), process);
    if (error == std::errc() && *end == '\0' && parent_of(entry->d_name) == ::getpid())
      found.insert(process);
  }
  ::closedir(processes);
  return found;
}

// While one lives, orphans of a child become children of this process, and not of init; at its end
// they are killed, and theirs.
class Orphanage {
 public:
  Orphanage() : before_(children()) {
    ::prctl(PR_GET_CHILD_SUBREAPER, &was_);
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  }
  ~Orphanage() {
    for (int round = 0; round < kMostRounds; ++round) {
      bool any = false;
      for (const pid_t process : children()) {
        if (before_.contains(process)) continue;
        any = true;
        ::kill(process, SIGKILL);
        ::waitpid(process, nullptr, 0);
      }
      if (!any) break;
    }
    ::prctl(PR_SET_CHILD_SUBREAPER, was_);
  }
  Orphanage(const Orphanage&) = delete;

 private:
  static constexpr int kMostRounds = 1000;  // each may set free the children of those it killed
  std::set<pid_t> before_;
  int was_ = 0;
};

std::string ending(int status) {
  if (WIFSIGNALED(status)) return fmt::format("it died of {}", ::strsignal(WTERMSIG(status)));
  return fmt::format("it ended with exit status {} before the check was done", WEXITSTATUS(status));
}

// "": the check's own says more.
std::string cure_of_ending(int status) {
  if (!WIFSIGNALED(status)) return "return a status instead of calling exit()";
  switch (WTERMSIG(status)) {
    case SIGABRT:
      return "catch every exception before it leaves a callback or a noexcept function; replace "
             "abort() and assert() by a status; malloc() aborts if memory was written past its end";
    case SIGFPE:
      return "look for an integer division by 0, such as by the length of an empty text";
    case SIGSYS:
      return "start no process: no system(), popen(), fork() or posix_spawn()";
    case SIGILL:
      return "build for the oldest CPU that you support, without -march=native";
    default:
      return "";
  }
}

void read_record(const std::string& record, Outcome& outcome) {
  const Json json = parse_json(record);
  for (const Json& f : json.at("findings"))
    outcome.findings.push_back({f.at("expected").get<std::string>(),
                                f.at("seen").get<std::string>(), f.at("cure").get<std::string>()});
  outcome.reason = json.at("reason").get<std::string>();
  for (const Json& note : json.at("notes")) outcome.notes.push_back(note.get<std::string>());
}

void fill(Outcome& outcome, const Heard& heard, int status, std::chrono::milliseconds deadline) {
  if (!heard.in_time) {
    outcome.findings.push_back({fmt::format("it returns within {} ms", deadline.count()),
                                "it did not return, and was killed",
                                "an expert that is only slow gets more time by --deadline-ms; else "
                                "bound every loop by the text at hand"});
  } else if (heard.record.empty()) {
    outcome.findings.push_back(
        {"the library leaves the process alive", ending(status), cure_of_ending(status)});
  } else {
    try {
      read_record(heard.record, outcome);
    } catch (const std::exception& error) {
      outcome.findings.push_back({"the check's process can say what it found",
                                  std::string("it could not: ") + error.what()});
    }
  }
  if (heard.foreign > 0) {
    outcome.findings.push_back({"the library writes to no descriptor that it did not open",
                                fmt::format("{} bytes came to one of the host's", heard.foreign)});
  }
  outcome.verdict = !outcome.findings.empty() ? Verdict::kFailed
                    : outcome.reason.empty()  ? Verdict::kPassed
                                              : Verdict::kNotApplicable;
}

}  // namespace

Outcome run_check(const Check& check, Subject& subject, std::chrono::milliseconds deadline,
                  bool confined) {
  const Stopwatch watch;
  int sockets[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0)
    throw Error("E_INTERNAL", fmt::format("no socket for a check: {}", std::strerror(errno)));
  uint64_t key = 0;
  while (::getrandom(&key, sizeof key, 0) != sizeof key) {
  }
  const Orphanage orphanage;
  const pid_t child = ::fork();
  if (child < 0) {
    ::close(sockets[0]);
    ::close(sockets[1]);
    throw Error("E_INTERNAL", fmt::format("no process for a check: {}", std::strerror(errno)));
  }
  if (child == 0) {
    ::close(sockets[0]);
    result_socket = ::fcntl(sockets[1], F_DUPFD_CLOEXEC, kOutOfTheWay);
    if (result_socket < 0)
      result_socket = sockets[1];
    else
      ::close(sockets[1]);
    result_key = key;
    run_child(check, subject, confined);
  }
  ::close(sockets[1]);
  const Deadline end(child, deadline);
  const Heard heard = listen_until(sockets[0], key, child, end);
  ::close(sockets[0]);
  Outcome outcome;
  outcome.check = check;
  int status = 0;
  const bool ended = check.exits && ends_by(child, end, status);
  if (check.exits && !heard.record.empty() && (!ended || status != 0)) {
    outcome.findings.push_back({"the process that used it ends by exit()",
                                ended ? ending(status) : "it did not end, and was killed"});
  }
  ::kill(-child, SIGKILL);  // and what it left behind
  if (!ended) {
    ::kill(child, SIGKILL);
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
  }
  fill(outcome, heard, status, deadline);
  outcome.seconds = watch.seconds();
  return outcome;
}

}  // namespace moecollab::conformance
