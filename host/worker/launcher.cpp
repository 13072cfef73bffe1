#include "worker/launcher.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>

#include "base/compute.h"
#include "base/error.h"
#include "base/strings.h"

namespace moecollab::worker {
namespace {

// Above every number that a descriptor has in the process that is started: none of them is
// replaced before it was used.
constexpr int kAbove = 32;

// Descriptors from kAbove on, closed at the end.
class Lifted {
 public:
  explicit Lifted(const std::vector<int>& descriptors) {
    for (const int descriptor : descriptors) {
      const int number = ::fcntl(descriptor, F_DUPFD_CLOEXEC, kAbove);
      if (number < 0) {
        error_ = errno == EINVAL ? EMFILE : errno;  // the limit is below kAbove
        return;
      }
      numbers_.push_back(number);
    }
  }
  ~Lifted() {
    for (const int descriptor : numbers_) ::close(descriptor);
  }
  Lifted(const Lifted&) = delete;
  Lifted& operator=(const Lifted&) = delete;
  const std::vector<int>& numbers() const { return numbers_; }
  int error() const { return error_; }

 private:
  std::vector<int> numbers_;
  int error_ = 0;
};

// As the system takes them: ended by a null pointer.
std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> all;
  for (std::string& word : words) all.push_back(word.data());
  all.push_back(nullptr);
  return all;
}

// 0 or an errno.
int spawn(const fs::path& program, std::vector<std::string> arguments,
          const std::vector<int>& descriptors, pid_t& child) {
  const Lifted lifted(descriptors);
  if (lifted.error() != 0) return lifted.error();
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  for (size_t i = 0; i < lifted.numbers().size(); ++i)
    ::posix_spawn_file_actions_adddup2(&actions, lifted.numbers()[i], static_cast<int>(i));
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  // What the terminal sends goes to the host, which ends its experts.
  ::posix_spawnattr_setflags(
      &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  sigset_t all, none;
  ::sigfillset(&all);
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  const std::string path = program.string();
  arguments.insert(arguments.begin(), path);
  std::vector<std::string> environment = thread_waiting();
  const int error = ::posix_spawn(&child, path.c_str(), &actions, &attributes,
                                  pointers(arguments).data(), pointers(environment).data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  return error;
}

class Launcher {
 public:
  Launcher() {
    std::thread([this] { work(); }).detach();
  }
  void run(std::packaged_task<void()> task) {
    std::future<void> done = task.get_future();
    {
      const std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    awake_.notify_one();
    done.get();
  }

 private:
  [[noreturn]] void work() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);  // signals are the other threads' business
    while (true) {
      std::unique_lock lock(mutex_);
      awake_.wait(lock, [this] { return !tasks_.empty(); });
      std::packaged_task<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
    }
  }

  std::mutex mutex_;
  std::condition_variable awake_;
  std::deque<std::packaged_task<void()>> tasks_;
};

}  // namespace

pid_t launch(const fs::path& program, const std::vector<std::string>& arguments,
             const std::vector<int>& descriptors) {
  static auto& launcher = *new Launcher;  // its thread uses it until the process ends
  pid_t child = -1;
  int error = 0;
  launcher.run(
      std::packaged_task<void()>([&] { error = spawn(program, arguments, descriptors, child); }));
  if (error == 0) return child;
  throw Error("E_IPC",
              fmt::format("the process of an expert cannot be started: {}: {}",
                          escaped(program.string()), std::strerror(error)),
              "it belongs to this program; install or build it again (`make build`)");
}

}  // namespace moecollab::worker
