// What a Hugging Face BERT's config.json says.
#pragma once

#include <cstdint>
#include <string>

#include "base/files.h"

namespace moecollab::encoder {

struct BertConfig {
  int64_t layers = 0;
  int64_t hidden = 0;  // H
  int64_t heads = 0;
  int64_t intermediate = 0;  // I
  int64_t vocabulary = 0;
  int64_t max_positions = 0;
  int64_t token_types = 0;
  double ln_eps = 1e-12;
  std::string activation;  // "gelu" (erf), "gelu_tanh", "relu" or "silu"
};

// Reads FOLDER/config.json. Throws E_ENCODER naming key and value for what the forward pass does
// not do: relative positions, a decoder, another activation, sizes that do not fit each other.
BertConfig read_bert_config(const fs::path& folder);

}  // namespace moecollab::encoder
