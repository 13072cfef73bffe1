// Records of text, whatever format and wherever from: the one place that says what is acceptable.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/format.h"
#include "data/record_source.h"
#include "data/text_decoder.h"

namespace moecollab::data {

// Bytes in (unpacked), records and refusals out, in the order of the file. A refused record does
// not stop those after it. Not thread-safe.
class RecordReader {
 public:
  // `named` is format_of() the file; it counts if the reading's format is kAuto.
  RecordReader(const Reading& reading, std::optional<Format> named, Need need);
  ~RecordReader();
  RecordReader(const RecordReader&) = delete;
  RecordReader& operator=(const RecordReader&) = delete;

  void feed(std::string_view bytes);
  void finish();
  // The next one that is complete; nullopt if there is none yet.
  std::optional<Entry> next();
  // True once nothing more will come, whatever is fed.
  bool stopped() const { return stopped_; }

  // kAuto until the first bytes have told it.
  Format format() const { return format_; }
  // What is to be said once about the reading taken, since the last call.
  std::vector<std::string> take_notes();
  // The same at the end: what was replaced or dropped, with counts.
  std::vector<std::string> closing_notes() const;
  LabelCounts label_counts() const;

 private:
  void feed_decoded(std::string_view text);
  void open(Format format, bool may_be_json);
  bool recognise();

  Reading reading_;
  std::optional<Format> named_;
  Need need_;
  Format format_;
  TextDecoder decoder_;
  std::unique_ptr<RecordSource> source_;  // once the format is known
  std::string head_;                      // until then
  std::optional<Refusal> refused_;        // of the whole file
  std::vector<std::string> notes_;
  bool finished_ = false, stopped_ = false, foreign_checked_ = false;
};

}  // namespace moecollab::data
