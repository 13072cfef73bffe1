#include "conformance/surroundings.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cfenv>
#include <clocale>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

#include "base/strings.h"

namespace moecollab::conformance {
namespace {

constexpr unsigned kSequence = 4711;

std::set<std::string> open_descriptors() {
  std::set<std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;  // the one that lists them
    const auto target = std::filesystem::read_symlink(entry.path(), gone);
    const bool of_host = target.string().starts_with("/memfd:moecollab-expert");  // the library
    if (!gone && !of_host && !target.string().ends_with("/fd"))
      all.insert(entry.path().filename().string() + " (" + escaped(target.string(), 80) + ")");
  }
  return all;
}

// "7f…-7f… rw-s /dev/shm/x" for each.
std::set<std::string> unusual_mappings() {
  std::set<std::string> all;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::istringstream words(line);
    std::string range, rights, offset, device, inode, path;
    words >> range >> rights >> offset >> device >> inode >> path;
    if (rights.find('w') != rights.npos && (rights.ends_with('s') || rights[2] == 'x'))
      all.insert(range + " " + rights + " " + path);
  }
  return all;
}

std::string text_of(const char* file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

// LibTorch's functions, found by name in the copy that the library brought: this stage is built
// without LibTorch. Absent: nothing is compared.
class Torch {
 public:
  Torch() : library_(::dlopen("libtorch_cpu.so", RTLD_NOLOAD | RTLD_LAZY)) {
    find("_ZN2at15get_num_threadsEv", threads_);
    find("_ZN2at6detail22getDefaultCPUGeneratorEv", generator_);
    find("_ZN2at16CPUGeneratorImpl6randomEv", random_);
    find("_ZN2at16CPUGeneratorImpl16set_current_seedEm", seed_);
  }
  ~Torch() {
    if (library_ != nullptr) ::dlclose(library_);
  }
  Torch(const Torch&) = delete;

  int threads() const { return threads_ == nullptr ? 0 : threads_(); }
  uint32_t draw() const { return whole() ? random_(state()) : 0; }
  void seed(uint64_t value) const {
    if (whole()) seed_(state(), value);
  }

 private:
  template <typename Function>
  void find(const char* name, Function& function) {
    if (library_ != nullptr) function = reinterpret_cast<Function>(::dlsym(library_, name));
  }
  bool whole() const { return generator_ != nullptr && random_ != nullptr && seed_ != nullptr; }
  // A generator is one pointer to its state.
  void* state() const { return *generator_(); }

  void* library_;
  int (*threads_)() = nullptr;
  void* const* (*generator_)() = nullptr;
  uint32_t (*random_)(void*) = nullptr;
  void (*seed_)(void*, uint64_t) = nullptr;
};

bool same_bytes(const auto& a, const auto& b) { return std::memcmp(&a, &b, sizeof a) == 0; }

}  // namespace

void begin_sequence() {
  ::srandom(kSequence);
  ::srand48(kSequence);
  Torch().seed(kSequence);
}

Surroundings Surroundings::now() {
  Surroundings s;
  s.locale = std::setlocale(LC_ALL, nullptr);
  s.folder = std::filesystem::current_path();
  for (char** variable = environ; *variable != nullptr; ++variable)
    s.environment += std::string(*variable) + "\n";
  s.mask = ::umask(0);
  ::umask(s.mask);
  s.rounding = std::fegetround();
#if defined(__x86_64__)
  s.float_control = __builtin_ia32_stmxcsr() & ~0x3Fu;  // without the flags of past operations
#else
  s.float_control = 0;
#endif
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) == 0)
      s.handlers[static_cast<size_t>(signal)] = reinterpret_cast<void*>(action.sa_sigaction);
  }
  ::sigprocmask(SIG_SETMASK, nullptr, &s.blocked);
  for (const auto which : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF})
    ::getitimer(which, &s.timers[static_cast<size_t>(which)]);
  for (size_t which = 0; which < s.limits.size(); ++which)
    ::getrlimit(static_cast<__rlimit_resource>(which), &s.limits[which]);
  s.posix_timers = text_of("/proc/self/timers");
  s.mappings = unusual_mappings();
  ::sched_getaffinity(0, sizeof s.cores, &s.cores);
  s.nice = ::getpriority(PRIO_PROCESS, 0);
  ::prctl(PR_GET_NAME, s.thread_name.data());
  s.descriptors = open_descriptors();
  s.drawn = ::random();
  s.drawn48 = ::lrand48();
  const Torch torch;
  s.torch_threads = torch.threads();
  s.torch_drawn = torch.draw();
  begin_sequence();
  s.thread_locale = ::uselocale(nullptr);
  s.threads = static_cast<size_t>(
      std::distance(std::filesystem::directory_iterator("/proc/self/task"), {}));
  return s;
}

std::string opened_since(const Surroundings& before, const Surroundings& after) {
  std::vector<std::string> opened;
  std::ranges::set_difference(after.descriptors, before.descriptors, std::back_inserter(opened));
  return join(opened, ", ");
}

void compare(const Surroundings& before, const Surroundings& after, const char* when,
             bool uses_torch, Findings& findings) {
  // What changed once stays so: the first call is named.
  const auto add = [&](const std::string& what, const std::string& seen, const char* cure) {
    const bool known = std::ranges::any_of(findings.all(), [&](const Finding& finding) {
      return finding.expected.ends_with(what) && finding.seen == seen;
    });
    if (!known) findings.add(fmt::format("{} {}", when, what), seen, cure);
  };
  const auto same = [&](const char* what, bool equal, const char* cure = "") {
    if (!equal) add(fmt::format("leaves {} as it was", what), "it is another now", cure);
  };
  same("the locale", before.locale == after.locale,
       "read and write numbers by std::from_chars() and std::to_chars(), which know no locale");
  same("the working folder", before.folder == after.folder, "use absolute paths, or none");
  same("the environment", before.environment == after.environment,
       "give settings to your own functions as arguments");
  same("the umask", before.mask == after.mask);
  same("the rounding mode", before.rounding == after.rounding,
       "use std::floor() and the like instead of another rounding mode");
  same("the floating-point mode (flush to zero, traps)",
       before.float_control == after.float_control,
       "link without -ffast-math and -Ofast, whose start-up code sets it; without _MM_SET_…_MODE");
  same("the signal handlers", before.handlers == after.handlers,
       "signals are the host's: handle none");
  same("the blocked signals", same_bytes(before.blocked, after.blocked),
       "signals are the host's: block none");
  same("the timers",
       same_bytes(before.timers, after.timers) && before.posix_timers == after.posix_timers,
       "timers are the host's: a long call asks should_stop()");
  same("the resource limits", same_bytes(before.limits, after.limits));
  same("the cores it may run on", same_bytes(before.cores, after.cores));
  same("the priority", before.nice == after.nice);
  same("the thread's name", before.thread_name == after.thread_name);
  same("the thread's locale", before.thread_locale == after.thread_locale);
  same("the sequence of random()", before.drawn == after.drawn);
  same("the sequence of drand48()", before.drawn48 == after.drawn48);
  same("LibTorch's default generator", before.torch_drawn == after.torch_drawn,
       "make an at::Generator of your own from the seed that a call brings");
  same("LibTorch's number of threads", before.torch_threads == after.torch_threads,
       "threads are the host's choice: no at::set_num_threads()");
  for (const std::string& mapping : after.mappings)
    if (!uses_torch && !before.mappings.contains(mapping))
      add("maps no memory to be written that others see or that is code", escaped(mapping, 120),
          "use memory of your own, from the heap");
  if (!std::ranges::includes(after.descriptors, before.descriptors))
    findings.add(fmt::format("{} closes only its own files", when), "another was closed");
  if (!uses_torch && after.threads > before.threads)
    findings.add(fmt::format("{} starts no thread", when),
                 fmt::format("{} threads, {} before", after.threads, before.threads));
}

}  // namespace moecollab::conformance
