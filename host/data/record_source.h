// The records of one format: decoded text in, entries out.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "data/format.h"
#include "data/labels.h"
#include "data/record.h"
#include "data/refusal.h"

namespace moecollab::data {

using Entry = std::variant<Record, Refusal>;

// As RecordReader, once the format is known. Not thread-safe.
class RecordSource {
 public:
  virtual ~RecordSource() = default;
  virtual void feed(std::string_view text) = 0;
  virtual void finish() = 0;
  virtual std::optional<Entry> next() = 0;
  virtual bool stopped() const { return false; }
  virtual void add_notes(std::vector<std::string>&) {}
  virtual void add_closing_notes(std::vector<std::string>&) const {}
  virtual LabelCounts label_counts() const { return {}; }
};

// `may_be_json`: of plain lines, one that is JSON is refused.
std::unique_ptr<RecordSource> make_record_source(Format format, const Reading& reading,
                                                 bool may_be_json, Need need);

// What is said of halves of surrogate pairs that were replaced, if there were any.
void note_half_pairs(std::vector<std::string>& notes, int64_t count);

}  // namespace moecollab::data
