#include <dlfcn.h>
#include <fmt/format.h>

#include "base/compute.h"
#include "base/error.h"
#include "base/installation.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/verb.h"

namespace moecollab::cli {
namespace {

engine::Engine* opened = nullptr;

}  // namespace

bool engine_is_open() { return opened != nullptr; }

engine::Engine& open_engine() {
  if (opened != nullptr) return *opened;
  // LibTorch's libraries end the process if there is none.
  std::error_code gone;
  [[maybe_unused]] const fs::path here = fs::current_path(gone);
  if (gone)
    throw Error("E_CONFIG", fmt::format("the working folder cannot be used: {}", gone.message()),
                "go to a folder that exists (cd), and try again");
  set_thread_waiting();
  const fs::path library = library_folder() / "libmoecollab_engine.so";
  void* handle = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = ::dlerror();
    throw Error("E_INTERNAL",
                fmt::format("the engine cannot be loaded: {}",
                            reason == nullptr ? "no reason given" : reason),
                "run `make setup build`, and `moecollab doctor` to see what is missing");
  }
  using Entry = engine::Engine* (*)();
  const auto entry = reinterpret_cast<Entry>(::dlsym(handle, "moecollab_engine"));
  if (entry == nullptr)
    throw Error("E_INTERNAL", fmt::format("{} is not this program's engine", library.string()),
                "run `make build`");
  opened = entry();
  catch_interrupts();
  return *opened;
}

}  // namespace moecollab::cli
