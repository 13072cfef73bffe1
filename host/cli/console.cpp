#include "cli/console.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace moecollab::cli {
namespace {

// Not stdio's stream, which takes a write that a signal interrupts for one that failed.
struct {
  std::string kept;
  bool failed = false;
} g_stdout;

// No SIGPIPE for this thread. One that a write left is taken back: it would end the process.
class WithoutPipeSignal {
 public:
  WithoutPipeSignal() {
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~WithoutPipeSignal() {
    if (::sigismember(&before_, SIGPIPE) == 1) return;
    const timespec now{};
    while (::sigtimedwait(&pipe_, nullptr, &now) < 0 && errno == EINTR) {
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  WithoutPipeSignal(const WithoutPipeSignal&) = delete;
  WithoutPipeSignal& operator=(const WithoutPipeSignal&) = delete;

 private:
  sigset_t pipe_{}, before_{};
};

class ConsoleProgress final : public ProgressDisplay {
 public:
  ConsoleProgress(ProgressTask task, bool terminal)
      : task_(std::move(task)), terminal_(terminal), done_(task_.done) {}
  ~ConsoleProgress() override {
    if (drawn_ && terminal_) write_to_stderr("\r\033[K");
  }
  ConsoleProgress(const ConsoleProgress&) = delete;
  ConsoleProgress& operator=(const ConsoleProgress&) = delete;

  void advance(int64_t steps, std::string_view detail) override {
    done_ += steps;
    const auto interval = terminal_ ? std::chrono::milliseconds(200) : std::chrono::seconds(5);
    const auto now = Clock::now();
    if (now - start_ < std::chrono::seconds(1) || now - last_ < interval) return;
    last_ = now;
    drawn_ = true;
    const double seconds = std::chrono::duration<double>(now - start_).count();
    const std::string line = progress_line(task_, done_, seconds, detail);
    write_to_stderr(terminal_ ? "\r\033[K" + line : line + "\n");
  }

 private:
  using Clock = std::chrono::steady_clock;

  ProgressTask task_;
  bool terminal_;
  int64_t done_;
  Clock::time_point start_ = Clock::now(), last_ = start_;
  bool drawn_ = false;
};

}  // namespace

ConsoleSettings settings_of_stderr(bool quiet) {
  const bool terminal = ::isatty(STDERR_FILENO) == 1;
  return {.quiet = quiet,
          .terminal = terminal,
          .colour = terminal && std::getenv("NO_COLOR") == nullptr};
}

void Console::write(const Message& message) {
  std::string line(message.text);
  if (!message.hint.empty()) line += fmt::format("; {}", message.hint);
  if (message.level == Message::Level::kNote) {
    if (settings_.quiet) return;
  } else {
    line = (settings_.colour ? "\033[33mwarning\033[0m: " : "warning: ") + line;
  }
  write_to_stderr(line + "\n");
}

std::unique_ptr<ProgressDisplay> Console::open(ProgressTask task) {
  if (settings_.quiet) return nullptr;
  return std::make_unique<ConsoleProgress>(std::move(task), settings_.terminal);
}

std::string progress_line(const ProgressTask& task, int64_t done, double seconds,
                          std::string_view detail) {
  std::string line = fmt::format("{}: {}/{} {}s", task.what, done, task.total, task.unit);
  if (done > task.done) {
    const double each = seconds / static_cast<double>(done - task.done);
    line += each > 1 ? fmt::format(", {:.1f} s per {}", each, task.unit)
                     : fmt::format(", {:.0f}/s", 1 / std::max(each, 1e-9));
    line += fmt::format(", {:.0f} s left",
                        each * static_cast<double>(std::max<int64_t>(0, task.total - done)));
  }
  if (!detail.empty()) line += fmt::format(", {}", detail);
  return line;
}

void write_to_stdout(std::string_view text) {
  constexpr size_t kKept = size_t{64} << 10;
  g_stdout.kept += text;
  if (g_stdout.kept.size() >= kKept) flush_stdout();
}

bool stdout_failed() { return g_stdout.failed; }

bool flush_stdout() {
  std::string_view text = g_stdout.kept;
  while (!text.empty() && !g_stdout.failed) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    g_stdout.failed = n <= 0;
    if (!g_stdout.failed) text.remove_prefix(static_cast<size_t>(n));
  }
  g_stdout.kept.clear();
  return !g_stdout.failed;
}

void write_to_stderr(std::string_view text) { write_what_can_be_written(STDERR_FILENO, text); }

void write_what_can_be_written(int fd, std::string_view text) {
  const WithoutPipeSignal scope;
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}

void occupy_standard_descriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    // The lowest one that is free, and so this one.
    [[maybe_unused]] const int opened =
        ::open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_WRONLY);
  }
}

}  // namespace moecollab::cli
