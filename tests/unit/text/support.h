// What the tests of this stage share.
#pragma once

#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "text/tokenizer.h"

namespace moecollab::text {

// The Error that `action` throws; nothing else it throws is caught.
inline std::optional<Error> error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

inline fs::path source_path(const char* relative) {
  return fs::path(MOECOLLAB_SOURCE_DIR) / relative;
}

inline fs::path encoder_folder() {
  const char* given = std::getenv("MOECOLLAB_ENCODER");
  return given != nullptr ? fs::path(given) : source_path(".deps/encoder/all-MiniLM-L6-v2");
}

inline Json read_golden(const char* name) {
  return parse_json(read_file(source_path("tests/golden") / name, "E_DATA"));
}

inline Vocabulary vocabulary_of(const std::vector<std::string>& tokens) {
  std::string lines;
  for (const std::string& token : tokens) lines += token + "\n";
  return Vocabulary::parse(lines, "vocab.txt");
}

inline Vocabulary small_vocabulary() {
  return vocabulary_of({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##aff", "##able", "a",
                        "##a", "x", "y", "[", "]", "sep"});
}

inline constexpr int kNoLimit = 1 << 30;

inline std::vector<std::string> tokens_of(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::string> tokens;
  for (const int32_t id : tokenizer.encode(text, kNoLimit).ids)
    tokens.push_back(tokenizer.token(id));
  return tokens;
}

}  // namespace moecollab::text
