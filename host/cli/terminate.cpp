#include "cli/terminate.h"

#include <unistd.h>

#include <exception>
#include <new>
#include <string_view>

namespace moecollab::cli {
namespace {

std::terminate_handler handler_before = nullptr;

// Takes no memory.
void end() {
  constexpr std::string_view kText = "error: E_INTERNAL: out of memory\n";
  try {
    if (const std::exception_ptr thrown = std::current_exception()) std::rethrow_exception(thrown);
  } catch (const std::bad_alloc&) {
    static_cast<void>(!::write(STDERR_FILENO, kText.data(), kText.size()));
    ::_exit(1);
  } catch (...) {
  }
  handler_before();
}

}  // namespace

void say_lack_of_memory() {
  if (handler_before == nullptr) handler_before = std::set_terminate(&end);
}

}  // namespace moecollab::cli
