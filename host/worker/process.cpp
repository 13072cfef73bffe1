#include "worker/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <new>
#include <optional>
#include <utility>

#include "base/installation.h"
#include "base/strings.h"
#include "worker/expert_words.h"
#include "worker/launch_words.h"
#include "worker/launcher.h"

namespace moecollab::worker {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kGlance{20};       // between two looks at the stop token
constexpr milliseconds kStart{120'000};   // of our own code, on a machine that does much else
constexpr milliseconds kAfterStop{2000};  // to end the call that it is in
constexpr size_t kMostPrinted = size_t{64} << 10;  // bytes that are kept
constexpr size_t kMostShown = 400;                 // bytes that a message shows of them
constexpr int kMostMessages = 100;                 // of one process that are passed on

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }
  int take() { return std::exchange(number_, -1); }

 private:
  int number_;
};

[[noreturn]] void cannot(const char* step) {
  throw Error("E_IPC", fmt::format("the process of an expert cannot be started: {}: {}", step,
                                   std::strerror(errno)));
}

std::string cause_of(int status) {
  if (WIFSIGNALED(status)) {
    const char* name = ::sigabbrev_np(WTERMSIG(status));
    return fmt::format("died of SIG{}", name == nullptr ? std::to_string(WTERMSIG(status)) : name);
  }
  return fmt::format("ended with exit status {}", WEXITSTATUS(status));
}

std::string last_lines(const std::string& printed) {
  std::string_view rest = printed;
  while (!rest.empty() && rest.back() == '\n') rest.remove_suffix(1);
  return std::string(rest.substr(rest.size() - std::min(rest.size(), kMostShown)));
}

std::string sentence(const std::string& name, const Ending& ending) {
  std::string text =
      fmt::format("expert {}: its process {} in {}()", escaped(name), ending.cause, ending.phase);
  if (!ending.output.empty())
    text += fmt::format("; it printed: {}", escaped(ending.output, kMostShown));
  return text;
}

}  // namespace

ProcessEnded::ProcessEnded(std::string code, const std::string& name, Ending ending)
    : Error(std::move(code), sentence(name, ending),
            "the others are not affected; `moecollab experts disable` takes it out, and its author "
            "can find the cause with `moecollab validate`"),
      ending_(std::move(ending)) {}

fs::path worker_program() { return library_folder() / "moecollab" / "moecollab_worker"; }

SandboxLevel granted_sandbox() {
  const Descriptor none(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  return Process("of nobody", none.number(), {}, {}).sandbox();
}

Process::Process(std::string name, int library, const ProcessLimits& limits,
                 const RunContext& context, const std::optional<EngineArguments>& engine)
    : name_(std::move(name)), limits_(limits), context_(context) {
  new (in_.at(in_.allocate(sizeof(InHeader)))) InHeader;
  new (out_.at(out_.allocate(sizeof(OutHeader)))) OutHeader;
  start(library, engine);
  try {
    const Reply hello = wait(0, "start", kStart);
    if (hello.kind != ReplyKind::kHello || hello.number != kProtocol)
      end("E_IPC", "start", "is of another version than this program");
    processor_ = text_of(hello.message);
    sandbox_ = static_cast<SandboxLevel>(std::clamp(hello.status, 0, 2));
    warn_of_a_weak_sandbox();
    if (limits.require_sandbox && sandbox_ != SandboxLevel::kFull) {
      throw Error("E_POLICY",
                  fmt::format("expert {}: the sandbox that this system grants is \"{}\", and "
                              "--require-sandbox asks for \"full\"",
                              escaped(name_), worker::name(sandbox_)),
                  "use a kernel with seccomp and Landlock (Linux 5.13), or leave it out");
    }
  } catch (...) {
    kill();
    throw;
  }
}

Process::~Process() { kill(); }

// Once: it is the system's.
void Process::warn_of_a_weak_sandbox() const {
  static std::atomic<bool> said = false;
  if (sandbox_ == SandboxLevel::kFull || said.exchange(true)) return;
  context_.log.warning(fmt::format("the sandbox that this system grants to experts is \"{}\"",
                                   worker::name(sandbox_)),
                       "`moecollab doctor` tells more; --require-sandbox refuses it");
}

void Process::start(int library, const std::optional<EngineArguments>& engine) {
  int line[2], output[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, line) != 0) cannot("socketpair");
  Descriptor ours(line[0]);
  const Descriptor theirs(line[1]);
  if (::pipe2(output, O_CLOEXEC) != 0) cannot("pipe");
  Descriptor reading(output[0]);
  const Descriptor writing(output[1]);
  ::fcntl(reading.number(), F_SETFL, O_NONBLOCK);
  const Descriptor nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (nothing.number() < 0) cannot("/dev/null");
  const Descriptor in(in_.peer_descriptor()), out(out_.peer_descriptor());
  LaunchWords words{::getpid(), limits_.memory, ""};
  if (engine) {
    words.engine = (library_folder() / "libmoecollab_engine.so").string();
    words.arguments = *engine;
  }
  child_ = launch(worker_program(), launch_words(words),
                  {nothing.number(), writing.number(), writing.number(), theirs.number(),
                   in.number(), out.number(), library});
  socket_ = ours.take();
  output_ = reading.take();
  handle_ = static_cast<int>(::syscall(SYS_pidfd_open, child_, 0));
}

Reply Process::call(Call call, const char* phase, milliseconds allowed) {
  if (!is_alive()) end("E_IPC_DIED", phase, "is gone");
  check_threads(phase);  // that it started since the last call
  call.sequence = ++sequence_;
  ssize_t sent = 0;
  do sent = ::send(socket_, &call, sizeof call, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (sent < 0 && errno == EINTR);
  if (sent < 0 && errno == EAGAIN) end("E_IPC", phase, "does not read its calls");
  if (sent != sizeof call) end("E_IPC_DIED", phase, "");
  return wait(call.sequence, phase, allowed);
}

// One message, if there is one.
struct Process::Heard {
  explicit Heard(int socket) {
    // A longer one has another size than asked for, too.
    const ssize_t got = ::recv(socket, &reply, sizeof reply, MSG_DONTWAIT | MSG_TRUNC);
    nothing = got < 0 && (errno == EAGAIN || errno == EINTR);
    gone = got == 0 || (got < 0 && !nothing);
    size = got < 0 ? 0 : static_cast<size_t>(got);
  }
  Reply reply;
  bool nothing, gone;
  size_t size;  // of the whole message, whatever of it lies in `reply`
};

// What is ready is taken also after the deadline: the host itself may have slept.
Reply Process::wait(uint64_t sequence, const char* phase, milliseconds allowed) {
  auto& stop = reinterpret_cast<InHeader*>(in_.at(0))->stop;
  stop = false;
  Clock::time_point deadline = Clock::now() + allowed;
  while (true) {
    const auto left =
        std::max(std::chrono::ceil<milliseconds>(deadline - Clock::now()), milliseconds(0));
    if (!stop && context_.stop.requested()) {
      stop = true;
      deadline = std::min(deadline, Clock::now() + kAfterStop);
    }
    std::array<pollfd, 3> watched{
        {{socket_, POLLIN, 0}, {output_, POLLIN, 0}, {handle_, POLLIN, 0}}};
    ::poll(watched.data(), watched.size(), static_cast<int>(std::min(left, kGlance).count()));
    if (watched[1].revents != 0) drain();
    if (watched[0].revents != 0) {
      if (const std::optional<Reply> reply = hear(sequence, phase)) return *reply;
    } else if (watched[2].revents != 0) {
      end("E_IPC_DIED", phase, "");
    }
    check_threads(phase);
    if (left.count() == 0) end_late(phase, allowed);
  }
}

// The answer, if that is what came.
std::optional<Reply> Process::hear(uint64_t sequence, const char* phase) {
  Heard heard(socket_);
  if (heard.nothing) return std::nullopt;
  if (heard.gone) end("E_IPC_DIED", phase, "");
  const Word word = word_of(heard.reply, heard.size, sequence);
  if (word == Word::kNote) {
    pass_on(heard.reply);
    return std::nullopt;
  }
  if (word == Word::kNonsense) end("E_IPC", phase, "sent what is no answer");
  drain();
  return heard.reply;
}

// One that does not heed a stop is no worse than one that cannot.
void Process::end_late(const char* phase, milliseconds allowed) {
  if (context_.stop.requested()) kill();
  context_.stop.throw_if_requested("an expert was interrupted in the middle of a call");
  end("E_IPC_DEADLINE", phase, fmt::format("did not answer in {} ms", allowed.count()));
}

void Process::check_threads(const char* phase) {
  if (const int count = threads(); count > limits_.threads) {
    end("E_IPC_LIMIT", phase,
        fmt::format("ran {} threads, and may run {}", count, limits_.threads));
  }
}

void Process::drain() {
  if (output_ < 0) return;
  char bytes[4096];
  // As much as the pipe holds: a process that prints faster than this is ended by its deadline.
  for (int parts = 0; parts < 64; ++parts) {
    const ssize_t got = ::read(output_, bytes, sizeof bytes);
    if (got == 0) {  // it closed them: there is nothing to wait for
      ::close(std::exchange(output_, -1));
      return;
    }
    if (got < 0) return;
    printed_.append(bytes, static_cast<size_t>(got));
    if (printed_.size() > 2 * kMostPrinted) printed_.erase(0, printed_.size() - kMostPrinted);
  }
}

void Process::pass_on(const Reply& message) {
  if (messages_ > kMostMessages) return;
  if (messages_++ == kMostMessages) {
    context_.log.warning(fmt::format("expert {}: more than {} messages; the others are left out",
                                     escaped(name_), kMostMessages));
    return;
  }
  const std::string text =
      fmt::format("expert {}: {}", escaped(name_), escaped(text_of(message.message), 500));
  if (message.kind == ReplyKind::kWarning)
    context_.log.warning(text);
  else
    context_.log.note(text);
}

std::string Process::take_denied() {
  const int32_t call = reinterpret_cast<OutHeader*>(out_.at(0))->denied.exchange(-1);
  return call < 0 ? "" : system_call_name(call);
}

uint64_t Process::resident() const {
  unsigned long all = 0, pages = 0, shared = 0;
  FILE* file = std::fopen(fmt::format("/proc/{}/statm", child_).c_str(), "re");
  if (file == nullptr) return 0;
  const bool read = std::fscanf(file, "%lu %lu %lu", &all, &pages, &shared) == 3;
  std::fclose(file);
  const uint64_t own = read && pages > shared ? pages - shared : 0;
  return own * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

int Process::threads() const {
  // Its name, which stands before the numbers, is its program's and has no blank.
  int count = 0;
  FILE* file = std::fopen(fmt::format("/proc/{}/stat", child_).c_str(), "re");
  if (file == nullptr) return 0;
  const int read = std::fscanf(file,
                               "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u "
                               "%*d %*d %*d %*d %d",
                               &count);
  std::fclose(file);
  return read == 1 ? count : 0;
}

// "": how it ended says the cause.
void Process::end(const char* code, const char* phase, const std::string& cause) {
  Ending ending{phase, cause, ""};
  const std::string denied = take_denied();
  if (is_alive() && cause.empty()) {
    // It may have closed the line and live on.
    pollfd gone{handle_, POLLIN, 0};
    ending.cause = ::poll(&gone, 1, static_cast<int>(kGlance.count())) == 1
                       ? cause_of(reap())
                       : "closed the connection to the host";
  }
  drain();
  kill();
  if (!denied.empty()) ending.cause += fmt::format(" (refused before: {}())", denied);
  ending.output = last_lines(printed_);
  throw ProcessEnded(code, name_, std::move(ending));
}

int Process::reap() {
  int status = SIGKILL;  // if someone else waited for it
  while (::waitpid(child_, &status, 0) < 0 && errno == EINTR) {
  }
  child_ = -1;
  return status;
}

void Process::kill() {
  if (child_ > 0) {
    ::kill(child_, SIGKILL);
    reap();
  }
  for (int* descriptor : {&socket_, &output_, &handle_}) {
    if (*descriptor >= 0) ::close(*descriptor);
    *descriptor = -1;
  }
}

}  // namespace moecollab::worker
