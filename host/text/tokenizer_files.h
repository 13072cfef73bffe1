// What a Hugging Face BERT folder says about its tokenizer, beside vocab.txt.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "text/normalizer.h"
#include "text/vocabulary.h"

namespace moecollab::text {

struct TokenizerSettings {
  NormalizerOptions normalizer;
  // Those of tokenizer.json's added_tokens; absent if that file is.
  std::optional<std::vector<std::string>> special_tokens;
};

// Reads tokenizer.json, or tokenizer_config.json if the former does not exist. Throws E_ENCODER
// naming the file if neither exists, it is no JSON, it differs from `vocabulary`, or it describes
// anything but the BERT tokenizer: another normaliser, model or template, added tokens of a kind
// that is not matched literally in the raw text.
TokenizerSettings read_tokenizer_settings(const fs::path& encoder_folder,
                                          const Vocabulary& vocabulary);

}  // namespace moecollab::text
