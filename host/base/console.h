// Messages and progress on stderr; stdout is for data.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace moecollab {

// How a run talks to the person who started it. Set once at start-up, before any thread.
struct ConsoleSettings {
  bool quiet = false;     // --quiet: warnings and errors only
  bool terminal = false;  // stderr is one: progress redraws in place
  bool colour = false;    // and NO_COLOR is not set
};
void set_console(const ConsoleSettings& settings);
const ConsoleSettings& console();

void print_note(std::string_view message);
void print_warning(std::string_view message);

// Progress of a loop of `total` steps: rate and time left, redrawn in place on a terminal, a line
// every few seconds elsewhere, and nothing at all for what takes under a second. Not thread-safe.
class Progress {
 public:
  Progress(std::string what, int64_t total, std::string unit);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void advance(int64_t steps = 1, std::string_view detail = {});

 private:
  using Clock = std::chrono::steady_clock;
  void draw(std::string_view detail);

  std::string what_, unit_;
  int64_t total_, done_ = 0;
  Clock::time_point start_ = Clock::now(), last_ = start_;
  bool drawn_ = false;
};

}  // namespace moecollab
