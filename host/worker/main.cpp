// moecollab_worker: the process of one isolated expert. The host starts it with the descriptors of
// protocol.h and the arguments of launch_words(). It ends with the host.
#include <dlfcn.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "experts/elf_facts.h"
#include "worker/engine_side.h"
#include "worker/launch_words.h"
#include "worker/sandbox.h"
#include "worker/service.h"

namespace moecollab::worker {
namespace {

// The loader finds them in the process when the expert asks for them: no file can be opened then.
void load_runtime() {
  for (const char* library : experts::kRuntimeLibraries) ::dlopen(library, RTLD_NOW | RTLD_GLOBAL);
}

EngineSide& load_engine(const LaunchWords& words) {
  void* library = ::dlopen(words.engine.c_str(), RTLD_NOW | RTLD_LOCAL);
  const auto entry =
      library == nullptr
          ? nullptr
          : reinterpret_cast<EngineSideEntry>(::dlsym(library, "moecollab_engine_side"));
  if (entry == nullptr) throw Error("E_INTERNAL", words.engine + " cannot be loaded");
  EngineSide& engine = *entry();
  engine.prepare(words.arguments);
  return engine;
}

int run(const LaunchWords& words) {
  HostLine line(kSocket);
  SharedMemory in(kIn, SharedMemory::Writers::kHost), out(kOut, SharedMemory::Writers::kBoth);
  Reply hello;
  hello.kind = ReplyKind::kHello;
  hello.number = kProtocol;
  load_runtime();
  std::unique_ptr<ExpertHost> host;
  if (words.engine.empty()) {
    host = plain_host(line, in);
  } else {
    EngineSide& engine = load_engine(words);
    host = engine.host(line, in);
    hello.message[engine.processor().copy(hello.message, sizeof hello.message - 1)] = '\0';
  }
  const SandboxLevel level = enter_sandbox(words.memory, *reinterpret_cast<OutHeader*>(out.at(0)));
  hello.status = static_cast<int32_t>(level);
  if (!line.send(hello)) return 1;
  Service service(line, *host, in, out, kLibrary, level);
  service.run();
  return 0;
}

}  // namespace
}  // namespace moecollab::worker

#if defined(MOECOLLAB_UNDER_ASAN) || defined(__SANITIZE_ADDRESS__)
// An expert that dies does so by its own signal in this build, too.
extern "C" const char* __asan_default_options() {
  return "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0:"
         "detect_leaks=0:allocator_may_return_null=1:use_sigaltstack=0";
}
#endif

int main(int count, char** arguments) {
  using namespace moecollab;
  // What the host started and does not wait for any more is not to live on.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  int status = 2;
  if (::close_range(worker::kDescriptors, ~0U, 0) != 0) ::_exit(status);
  try {
    const worker::LaunchWords words = worker::parse_words({arguments + 1, arguments + count});
    if (::getppid() == words.host) status = worker::run(words);
  } catch (const std::exception& error) {
    const std::string text = std::string(error.what()) + "\n";
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
  }
  ::_exit(status);  // the library's exit handlers and destructors are not the host's business
}
