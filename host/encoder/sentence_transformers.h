// What a sentence-transformers model says around its BERT: modules.json and its modules' settings.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"

namespace moecollab::encoder {

struct StatedLength {
  int64_t tokens = 0;
  std::string key;  // max_seq_length, or model_max_length of newer releases
  fs::path file;    // that says so
};

struct SentenceModel {
  fs::path transformer;  // the folder of its BERT; the stated one if there is no modules.json
  std::optional<StatedLength> max_length;
  std::vector<std::string> notes;  // what it does with the BERT's states and this program does not
};

// Reads modules.json of `folder`, if there is one, and the settings that it leads to, in the
// spellings of releases 0.3 to 6. Throws E_ENCODER naming file and value: no JSON, a first module
// that is no Transformer, a module outside the folder.
SentenceModel read_sentence_model(const fs::path& folder);

}  // namespace moecollab::encoder
