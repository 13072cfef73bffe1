// A file from its first record to its last.
#pragma once

#include <functional>
#include <string>

#include "base/files.h"
#include "base/run_context.h"
#include "data/labels.h"
#include "data/records.h"

namespace moecollab::data {

struct FileFacts {
  std::string sha256;  // of the bytes as they lie in the file, hexadecimal
  Format format = Format::kAuto;
  LabelCounts labels;
};

// Calls `use` for every record and refusal, in order, each valid during the call. What is noted
// about the reading goes to `log`, with the file's name. Throws E_DATA if the file cannot be read,
// and what `use` throws.
FileFacts for_each_entry(const fs::path& file, const Reading& reading, Need need, Log log,
                         const std::function<void(const Entry&)>& use);

// The refusal as an E_DATA error: "file:line: reason" and `suffix`.
[[noreturn]] void throw_refusal(const fs::path& file, const Refusal& refusal,
                                const std::string& suffix = {});

}  // namespace moecollab::data
