// What a run has beside its arguments: who hears its messages, who may stop it, who watches it.
//
// It is handed down from the one who runs something to what computes: a library prints nothing and
// asks nothing of the process, so the command line, a server and a test each give their own. All
// parts are small values that refer to what their owner keeps until the run is over; those made by
// default say, stop and show nothing, at no cost.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace moecollab {

struct Message {
  enum class Level { kNote, kWarning };
  Level level;
  std::string_view text;
  std::string_view hint;  // the way on; may be empty
};

// Who hears. Called from any thread; a message that cannot be passed on is dropped without a word.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void write(const Message& message) = 0;
};

class Log {
 public:
  Log() = default;  // nobody hears
  explicit Log(LogSink& sink) : sink_(&sink) {}

  void note(std::string_view text) const { write({Message::Level::kNote, text, {}}); }
  void warning(std::string_view text, std::string_view hint = {}) const {
    write({Message::Level::kWarning, text, hint});
  }
  void write(const Message& message) const {
    if (sink_ != nullptr) sink_->write(message);
  }

 private:
  LogSink* sink_ = nullptr;
};

// Passes everything on, and collects the texts (without hints) for the notes of a report.
class CollectingLog final : public LogSink {
 public:
  explicit CollectingLog(Log next) : next_(next) {}

  void write(const Message& message) override;
  // Collects a text that nobody needs to hear now.
  void keep(std::string text);
  Log log() { return Log(*this); }
  // In the order in which they came.
  std::vector<std::string> texts() const;

 private:
  Log next_;
  mutable std::mutex mutex_;
  std::vector<std::string> texts_;
};

// Whether the run is to end at its next step, where nothing is lost.
class StopToken {
 public:
  StopToken() = default;  // never
  // When the flag is set, as a signal handler may do.
  explicit StopToken(const std::atomic<bool>& flag) : flag_(&flag) {}

  bool requested() const { return flag_ != nullptr && *flag_; }
  // Throws E_INTERRUPTED with this message and hint if a stop is requested.
  void throw_if_requested(const char* message, const char* hint = "") const;

 private:
  static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets it");
  const std::atomic<bool>* flag_ = nullptr;
};

// A loop whose progress is shown.
struct ProgressTask {
  std::string what;
  std::string unit;   // of a step: a regular noun in the singular
  int64_t total = 0;  // steps
  int64_t done = 0;   // of these, in an earlier run: they say nothing about the rate
};

// One loop as it is shown, until the destructor. Used by one thread at a time; never throws.
class ProgressDisplay {
 public:
  virtual ~ProgressDisplay() = default;
  virtual void advance(int64_t steps, std::string_view detail) = 0;
};

class ProgressDisplays {
 public:
  virtual ~ProgressDisplays() = default;
  // nullptr: nothing is shown.
  virtual std::unique_ptr<ProgressDisplay> open(ProgressTask task) = 0;
};

class Progress {
 public:
  Progress() = default;  // shows nothing
  explicit Progress(std::unique_ptr<ProgressDisplay> display) : display_(std::move(display)) {}

  // `detail`: what to say beside the count.
  void advance(int64_t steps = 1, std::string_view detail = {}) {
    if (display_) display_->advance(steps, detail);
  }

 private:
  std::unique_ptr<ProgressDisplay> display_;
};

class Ranks;

struct RunContext {
  Log log;
  StopToken stop;
  ProgressDisplays* displays = nullptr;
  Ranks* ranks = nullptr;  // of which this process is one; none: it computes alone (ranks.h)

  // The progress of a loop of `total` steps, `done` of them taken in an earlier run.
  Progress progress(std::string what, std::string unit, int64_t total, int64_t done = 0) const;
};

}  // namespace moecollab
