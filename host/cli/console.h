// Messages and progress on stderr; stdout is for data. A message that cannot be written is dropped.
#pragma once

#include <string>
#include <string_view>

#include "base/run_context.h"

namespace moecollab::cli {

// How a run talks to the person who started it.
struct ConsoleSettings {
  bool quiet = false;     // --quiet: warnings and errors only
  bool terminal = false;  // stderr is one: progress redraws in place
  bool colour = false;    // and NO_COLOR is not set
};

// What stderr is, and whether colours are wanted there.
ConsoleSettings settings_of_stderr(bool quiet);

// Progress of a loop is its rate and the time left: redrawn in place on a terminal, a line every
// few seconds elsewhere, nothing for what takes less than a second, and nothing if quiet.
class Console final : public LogSink, public ProgressDisplays {
 public:
  explicit Console(const ConsoleSettings& settings = {}) : settings_(settings) {}
  const ConsoleSettings& settings() const { return settings_; }

  void write(const Message& message) override;
  std::unique_ptr<ProgressDisplay> open(ProgressTask task) override;

 private:
  ConsoleSettings settings_;
};

// "epochs: 3/8 epochs, 4.2 s per epoch, 21 s left, loss 0.1" for `done` steps, of which those of
// this run took `seconds`; one step per second or more are shown as a rate ("12/s").
std::string progress_line(const ProgressTask& task, int64_t done, double seconds,
                          std::string_view detail);

// Kept until there is more of it, or flush_stdout(). The run ends with an error if a result was not
// written whole.
void write_to_stdout(std::string_view text);
// Writes what is kept, whatever signals come. False if stdout_failed().
bool flush_stdout();
// Whether a write failed; what followed it is lost.
bool stdout_failed();
void write_to_stderr(std::string_view text);
// Writes as much as it can. The caller hears of no error, and of no SIGPIPE.
void write_what_can_be_written(int fd, std::string_view text);

// Opens those of the descriptors 0, 1 and 2 that are closed, 0 not for reading and 1 not for
// writing, so that both fail as before. Otherwise the next file to be opened would be one of them,
// and what is printed would go into it. Call before anything is opened.
void occupy_standard_descriptors();

}  // namespace moecollab::cli
