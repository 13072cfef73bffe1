// JSON objects, one at a time, made records.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/columns.h"
#include "data/labels.h"
#include "data/record.h"

namespace moecollab::data {

// Reads objects whose keys are the columns, and the shapes in which labelling tools export texts
// (docs/data.md): Label Studio's tasks, Argilla's records, Doccano's examples. The first object
// settles which keys hold text and label. Strict: UTF-8, no key twice, at most 32 levels; half a
// surrogate pair becomes U+FFFD, and is counted. Not thread-safe.
class JsonRecords {
 public:
  JsonRecords(const Columns& columns, Need need);
  ~JsonRecords();

  // The record of these bytes, behind which InputBuffer::kPadding bytes can be read; valid until
  // the next call. Throws Refused.
  Record read(std::string_view bytes, int64_t line);

  int64_t replaced() const;  // half surrogate pairs so far
  const LabelCounts& label_counts() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moecollab::data
