// What a Hugging Face BERT folder says about its tokenizer.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "text/normalizer.h"
#include "text/vocabulary.h"

namespace moecollab::text {

struct TokenizerFiles {
  Vocabulary vocabulary;
  NormalizerOptions normalizer;
  // Those of tokenizer.json's added_tokens; absent if that file is.
  std::optional<std::vector<std::string>> special_tokens;
};

// The vocabulary is vocab.txt's, or tokenizer.json's model.vocab if there is no vocab.txt; the rest
// is read from tokenizer.json, or tokenizer_config.json if the former does not exist. Throws
// E_VOCAB as Vocabulary does. Throws E_ENCODER naming the file if neither exists, it is no JSON,
// the two vocabularies differ, or it describes anything but the BERT tokenizer: another normaliser,
// model or template, added tokens of a kind that is not matched literally in the raw text.
TokenizerFiles read_tokenizer_files(const fs::path& encoder_folder);

}  // namespace moecollab::text
