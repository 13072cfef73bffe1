// Each parser with each of its allocations failing in turn: it ends with an exception that the
// program reports, and gives back what it had; or, where a library's function may not throw, the
// process ends as the program says it.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <string>

#include "base/error.h"
#include "cli/terminate.h"
#include "fuzz/parsers.h"

namespace {

constexpr int64_t kNever = -1;
// After that many allocations of this thread one fails, or all from then on.
thread_local int64_t allocations_left = kNever;
thread_local bool goes_on_failing = false;
thread_local int64_t made = 0, live = 0;

}  // namespace

// All forms are replaced: a sanitizer brings its own of each.
void* operator new(std::size_t size) {
  if (allocations_left == 0) {
    if (!goes_on_failing) allocations_left = kNever;
    throw std::bad_alloc();
  }
  if (allocations_left > 0) --allocations_left;
  void* memory = std::malloc(std::max<std::size_t>(size, 1));
  if (memory == nullptr) throw std::bad_alloc();
  ++made;
  ++live;
  return memory;
}

void operator delete(void* memory) noexcept {
  if (memory != nullptr) --live;
  std::free(memory);
}

void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  try {
    return operator new(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void* operator new[](std::size_t size) { return operator new(size); }
void* operator new[](std::size_t size, const std::nothrow_t& no) noexcept {
  return operator new(size, no);
}
void operator delete(void* memory, std::size_t) noexcept { operator delete(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { operator delete(memory); }
void operator delete[](void* memory) noexcept { operator delete(memory); }
void operator delete[](void* memory, std::size_t) noexcept { operator delete(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { operator delete(memory); }

namespace moecollab::fuzz {
namespace {

constexpr int64_t kPoints = 150;  // of each parser; in `make soak` every allocation

class ShortOfMemory : public testing::TestWithParam<Parser> {};

// Whether the parser, with its allocation `number` failing, kept memory.
bool keeps_memory(const Parser& parser, const std::string& bytes, int64_t number, bool goes_on) {
  const int64_t before = live;
  goes_on_failing = goes_on;
  allocations_left = number;
  try {
    parser.parse(bytes);
  } catch (const std::bad_alloc&) {
  } catch (const Error&) {
  }
  allocations_left = kNever;
  return live != before;
}

int64_t allocations_of(const Parser& parser, const std::string& bytes) {
  parser.parse(bytes);  // what is made once in a process
  const int64_t before = made;
  parser.parse(bytes);
  return made - before;
}

// Values of nlohmann::json allocate in their destructors, and toml++ in functions that may not
// throw.
bool may_end_the_process(const Parser& parser) {
  const std::string name = parser.name;
  return name == "json" || name == "json_array" || name == "registry" || name == "manifest" ||
         name == "lock";
}

// The status of a process of its own, whose standard error is `said`.
int status_of(const Parser& parser, const std::string& bytes, int64_t number, bool goes_on,
              std::string& said) {
  int pipe[2];
  if (::pipe(pipe) != 0) return -1;
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(pipe[1], STDERR_FILENO);
    cli::say_lack_of_memory();
    keeps_memory(parser, bytes, number, goes_on);
    ::_exit(0);
  }
  ::close(pipe[1]);
  char buffer[256];
  for (ssize_t n = 0; (n = ::read(pipe[0], buffer, sizeof buffer)) > 0;)
    said.append(buffer, static_cast<size_t>(n));
  ::close(pipe[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

void expect_clear_end(const Parser& parser, const std::string& bytes, int64_t number,
                      bool goes_on) {
  std::string said;
  const int status = status_of(parser, bytes, number, goes_on, said);
  ASSERT_TRUE(WIFEXITED(status)) << "allocation " << number << " of " << parser.name;
  if (WEXITSTATUS(status) == 0) return;
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_EQ(said, "error: E_INTERNAL: out of memory\n") << "allocation " << number;
}

TEST_P(ShortOfMemory, R59_EachAllocationThatFailsEndsTheParserWithoutALeak) {
  const Parser& parser = GetParam();
  const std::string bytes = parser.seed();
  const int64_t all = allocations_of(parser, bytes);
  ASSERT_GT(all, 0);
  const int64_t step =
      std::getenv("MOECOLLAB_SOAK") != nullptr ? 1 : std::max<int64_t>(1, all / kPoints);
  for (const bool goes_on : {false, true}) {
    for (int64_t number = 0; number < all; number += step) {
      if (may_end_the_process(parser)) {
        expect_clear_end(parser, bytes, number, goes_on);
        continue;
      }
      // What a failure makes once in a process is no leak: then the second time is none.
      const bool kept = keeps_memory(parser, bytes, number, goes_on) &&
                        keeps_memory(parser, bytes, number, goes_on);
      ASSERT_FALSE(kept) << "allocation " << number << " of " << all;
    }
  }
  EXPECT_NO_THROW(parser.parse(bytes)) << "after all that";
}

INSTANTIATE_TEST_SUITE_P(Parsers, ShortOfMemory,
                         testing::ValuesIn(parsers().begin(), parsers().end()),
                         [](const auto& made_of) { return std::string(made_of.param.name); });

}  // namespace
}  // namespace moecollab::fuzz
