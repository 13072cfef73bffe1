// Texts to be worked on, as they arrive: files, and pipes whose writer is still writing.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/files.h"
#include "base/json.h"
#include "base/run_context.h"
#include "data/format.h"
#include "data/refusal.h"

namespace moecollab::data {

struct TextRecord {
  int64_t line = 0;  // of its file, from 1: where it begins
  std::string id;    // key or column `id` as JSON, byte for byte as it was; empty if there is none
  std::string text;  // UTF-8, and more than white space
};

// A record that cannot be read; those after it can, unless the message says otherwise.
struct BadRecord {
  int64_t line = 0;
  std::string code;     // E_DATA
  std::string message;  // "file:line: reason"
};

BadRecord to_bad_record(const fs::path& file, const Refusal& refusal);
// {"error": {"line", "code", "message"}}: what a verb prints in place of this record's result.
Json to_json(const BadRecord& bad);

using TextItem = std::variant<TextRecord, BadRecord>;

// The records of several files, one after the other. Reads no further ahead than what is there:
// a line is delivered as soon as its line end is, a last line at the end of its file. Holds one
// file open at a time. Not thread-safe.
class TextSource {
 public:
  // "-" is standard input, as is an empty list. What is noted about the reading taken goes to
  // `log`. Throws E_DATA if a file is missing, a folder or unreadable, E_CONFIG if standard input
  // is named twice; nothing is read yet.
  explicit TextSource(std::vector<fs::path> files, Reading reading = {}, Log log = {});
  ~TextSource();
  TextSource(const TextSource&) = delete;
  TextSource& operator=(const TextSource&) = delete;

  // The next record, waiting for it if need be (a signal does not end the wait); nullopt at the end
  // of the last file. Throws E_DATA if a file cannot be read or is none of texts; a further call
  // continues with the next file.
  std::optional<TextItem> next();

  // Waits up to `timeout_ms` (0: not at all; negative: without end) and says whether next() can now
  // answer without waiting, be it with the end. False as soon as a signal is caught. Throws as
  // next() does.
  bool ready(int timeout_ms);

 private:
  struct Input;

  bool fill();
  bool at_end() const;
  void take_refusal(const Refusal& refused);
  void read_some();
  void say(const std::vector<std::string>& notes) const;

  std::vector<fs::path> files_;
  Reading reading_;
  Log log_;
  size_t opened_ = 0;  // files opened so far
  std::unique_ptr<Input> input_;
  std::optional<TextItem> pending_;
};

}  // namespace moecollab::data
